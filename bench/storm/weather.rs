//! Storms: many links changed as fast as the kernel takes it, or many clients that come and go.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::host::Stray;
use crate::message::Message;
use crate::netlink::{Chunk, Netlink};
use crate::ours::Daemon;

/// How many links are changed: more than there is room in one subscriber's mailbox (1024 subjects).
pub(super) const LINKS: usize = 1200;

/// Changes of links of nobody's, ready to be sent.
pub(super) struct Storm {
    socket: Netlink,
    /// Brings every link back to where it was.
    cycle: Vec<Chunk>,
}

impl Storm {
    pub(super) fn gather() -> Result<Storm, String> {
        let socket = Netlink::open().map_err(|e| format!("no socket to change links with: {e}"))?;
        let turns: [fn(u32) -> Message; 4] =
            [|index| Message::mtu(index, 1400), Message::down, |index| Message::mtu(index, 1500), Message::up];
        let each = |turn: &fn(u32) -> Message| (0..LINKS).map(|at| turn(Stray(at).index())).collect::<Vec<_>>();
        Ok(Storm { socket, cycle: Chunk::pack(turns.iter().flat_map(each).collect(), &mut 1) })
    }

    /// At least so many changes, in whole cycles; how many they were, and how long it took.
    pub(super) fn blow(&mut self, changes: usize) -> Result<(usize, Duration), String> {
        let begun = Instant::now();
        let mut done = 0;
        while done < changes {
            for chunk in &self.cycle {
                self.socket.run(chunk).map_err(|e| format!("a storm: {e}"))?;
                done += chunk.count();
            }
        }
        Ok((done, begun.elapsed()))
    }
}

/// Clients that connect, subscribe to all events, and leave; how long it took.
pub(super) fn come_and_go(daemon: &Daemon, times: usize) -> Result<Duration, String> {
    let begun = Instant::now();
    for _ in 0..times {
        daemon.connect()?.call("Host.subscribe", json!({})).map_err(|error| daemon.explained(error))?;
    }
    Ok(begun.elapsed())
}
