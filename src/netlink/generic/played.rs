//! For tests: a kernel which the test plays itself.

use std::{
    os::fd::{AsRawFd, OwnedFd},
    thread,
    time::Duration,
};

use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, recv, send, socketpair};

use super::{Generic, Port};
use crate::frame::Frames;

pub(crate) fn attr(kind: u16, value: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::from(u16::try_from(4 + value.len()).unwrap().to_ne_bytes());
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

pub(crate) fn framed(kind: u16, seq: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::from(u32::try_from(16 + payload.len()).unwrap().to_ne_bytes());
    bytes.extend(kind.to_ne_bytes());
    bytes.extend([0; 2]);
    bytes.extend(seq.to_ne_bytes());
    bytes.extend([0; 4]);
    bytes.extend(payload);
    bytes
}

pub(crate) fn refused(seq: u32, errno: i32) -> Vec<u8> {
    framed(2, seq, &[&(-errno).to_ne_bytes()[..], &[0; 16]].concat())
}

/// `CTRL_CMD_NEWFAMILY`, with what the kernel says about operations left out.
pub(crate) fn newfamily(seq: u32, attributes: &[Vec<u8>]) -> Vec<u8> {
    framed(16, seq, &[vec![1, 2, 0, 0], attributes.concat()].concat())
}

pub(crate) fn pair() -> (Port, OwnedFd) {
    let (ours, theirs) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC).unwrap();
    (Port::to(ours), theirs)
}

pub(crate) fn say(end: &OwnedFd, datagram: &[u8]) {
    // The other end may have hung up meanwhile.
    let _ = send(end.as_raw_fd(), datagram, MsgFlags::MSG_NOSIGNAL);
}

/// A socket to a kernel which answers each datagram with what `play` makes of
/// it, given the numbers of its questions in order.
pub(crate) fn played(deadline: Duration, play: impl Fn(&[u32]) -> Vec<Vec<u8>> + Send + 'static) -> Generic {
    let (ours, theirs) = pair();
    thread::spawn(move || {
        let mut inbox = vec![0; 64 << 10];
        while let Ok(length @ 1..) = recv(theirs.as_raw_fd(), &mut inbox, MsgFlags::empty()) {
            let seqs: Vec<_> = Frames::new(&inbox[..length]).map(|frame| frame.unwrap().seq).collect();
            play(&seqs).iter().for_each(|datagram| say(&theirs, datagram));
        }
    });
    Generic::over(ours, deadline)
}
