//! Two changes of a link that undo each other, done in turn; each is one message and its
//! acknowledgement.

use crate::message::Message;
use crate::netlink::{Chunk, Netlink};

/// Who changes a link to and fro.
pub(crate) struct Swing {
    socket: Netlink,
    turns: [Vec<Chunk>; 2],
    done: usize,
}

/// The MTUs of a link, the one it gets first and the one it has.
pub(crate) const MTUS: [u32; 2] = [1400, 1500];
/// Of a block that is nobody's (RFC 5737).
const ADDRESS: [u8; 4] = [192, 0, 2, 77];
/// The same for a person.
pub(crate) const ADDRESS_TEXT: &str = "192.0.2.77/32";

impl Swing {
    /// Its MTU goes down and up.
    pub(crate) fn mtu(index: u32) -> Result<Swing, String> {
        Swing::of(MTUS.map(|mtu| Message::mtu(index, mtu)))
    }

    /// It gets an address, and loses it.
    pub(crate) fn address(index: u32) -> Result<Swing, String> {
        Swing::of([Message::add_address(index, ADDRESS), Message::delete_address(index, ADDRESS)])
    }

    fn of(turns: [Message; 2]) -> Result<Swing, String> {
        let socket = Netlink::open().map_err(|e| format!("no socket to change links with: {e}"))?;
        let mut sequence = 1;
        let turns = turns.map(|message| Chunk::pack(vec![message], &mut sequence));
        Ok(Swing { socket, turns, done: 0 })
    }

    /// Which of the two comes next.
    pub(crate) fn turn(&self) -> usize {
        self.done % 2
    }

    /// Does it, and waits for the kernel's word.
    pub(crate) fn next(&mut self) -> Result<(), String> {
        let turn = self.turn();
        self.turns[turn].iter().try_for_each(|chunk| self.socket.run(chunk)).map_err(|e| format!("a change: {e}"))?;
        self.done += 1;
        Ok(())
    }
}
