//! A route socket: send bytes, count acknowledgements, walk dumps.
//!
//! As thin as the system calls allow, since it is the floor others are measured by. It knows no
//! attribute's meaning but the index of a link.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, send, setsockopt, socket,
    sockopt,
};

use crate::message::{HEADER, IFADDR, IFINFO, Message, RTMSG};

/// How many messages go into one `send`; their answers fit the default receive buffer.
const CHUNK: usize = 64;

// Of linux/if_link.h; libc has it not.
const IFLA_INFO_SLAVE_DATA: u16 = 5;

/// Messages for one `send`, numbered from `first`.
pub(crate) struct Chunk {
    bytes: Vec<u8>,
    first: u32,
    count: u32,
}

impl Chunk {
    /// Packs messages, in their order.
    pub(crate) fn pack(messages: Vec<Message>, sequence: &mut u32) -> Vec<Chunk> {
        let mut chunks: Vec<Chunk> = Vec::new();
        for message in messages {
            if chunks.last().is_none_or(|chunk| chunk.count as usize == CHUNK) {
                chunks.push(Chunk { bytes: Vec::new(), first: *sequence, count: 0 });
            }
            if let Some(chunk) = chunks.last_mut() {
                chunk.bytes.extend(message.numbered(*sequence));
                chunk.count += 1;
                *sequence += 1;
            }
        }
        chunks
    }

    /// How many messages are in it.
    pub(crate) fn count(&self) -> usize {
        self.count as usize
    }
}

/// A socket of the route family in this thread's network namespace.
pub(crate) struct Netlink {
    fd: OwnedFd,
    buffer: Vec<u8>,
}

impl Netlink {
    pub(crate) fn open() -> io::Result<Netlink> {
        let fd = socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::NetlinkRoute)?;
        bind(fd.as_raw_fd(), &NetlinkAddr::new(0, 0))?;
        setsockopt(&fd, sockopt::RcvBuf, &(1 << 20))?;
        // Without a copy of what was asked, an acknowledgement has 36 bytes.
        for option in [libc::NETLINK_CAP_ACK, libc::NETLINK_GET_STRICT_CHK] {
            switch_on(&fd, option)?;
        }
        Ok(Netlink { fd, buffer: vec![0; 64 << 10] })
    }

    /// Sends the messages and reads an acknowledgement of each; the first error ends it.
    pub(crate) fn run(&mut self, chunk: &Chunk) -> io::Result<()> {
        send(self.fd.as_raw_fd(), &chunk.bytes, MsgFlags::empty())?;
        let mut open = chunk.count;
        while open > 0 {
            let length = recv(self.fd.as_raw_fd(), &mut self.buffer, MsgFlags::empty())?;
            for (header, payload) in messages(&self.buffer[..length]) {
                if i32::from(header.kind) != libc::NLMSG_ERROR {
                    continue;
                }
                refused(payload)
                    .map_err(|e| io::Error::new(e.kind(), format!("message {}: {e}", header.sequence - chunk.first)))?;
                open -= 1;
            }
        }
        Ok(())
    }

    /// Sends a dump's request and shows each message to `each`; once more if links changed below it.
    pub(crate) fn dump(&mut self, request: &Chunk, mut each: impl FnMut(&[u8])) -> io::Result<()> {
        while self.dump_once(request, &mut each)? == Dump::Interrupted {}
        Ok(())
    }

    fn dump_once(&mut self, request: &Chunk, each: &mut impl FnMut(&[u8])) -> io::Result<Dump> {
        send(self.fd.as_raw_fd(), &request.bytes, MsgFlags::empty())?;
        let mut outcome = Dump::Whole;
        loop {
            let length = recv(self.fd.as_raw_fd(), &mut self.buffer, MsgFlags::empty())?;
            for (header, payload) in messages(&self.buffer[..length]) {
                if header.flags & libc::NLM_F_DUMP_INTR as u16 != 0 {
                    outcome = Dump::Interrupted;
                }
                match i32::from(header.kind) {
                    libc::NLMSG_DONE => return Ok(outcome),
                    libc::NLMSG_ERROR => refused(payload)?,
                    _ => each(payload),
                }
            }
        }
    }
}

#[derive(PartialEq, Eq)]
enum Dump {
    Whole,
    Interrupted,
}

/// The index of a link of a dump.
pub(crate) fn link_index(payload: &[u8]) -> u32 {
    number(payload, 4)
}

/// Visits each attribute of a link, those nested in it too; returns how many.
pub(crate) fn walk_link(payload: &[u8]) -> usize {
    payload
        .get(IFINFO..)
        .map_or(0, |rest| walk(rest, |kind| matches!(kind, libc::IFLA_LINKINFO | libc::IFLA_AF_SPEC), walk_nest))
}

/// Visits each attribute of an address.
pub(crate) fn walk_address(payload: &[u8]) -> usize {
    payload.get(IFADDR..).map_or(0, |rest| walk(rest, |_| false, |_| 0))
}

/// Visits each attribute of a route.
pub(crate) fn walk_route(payload: &[u8]) -> usize {
    payload.get(RTMSG..).map_or(0, |rest| walk(rest, |_| false, |_| 0))
}

/// The inside of IFLA_LINKINFO and IFLA_AF_SPEC: the data of kinds and families nest once more.
fn walk_nest(bytes: &[u8]) -> usize {
    let nests = |kind| matches!(kind, libc::IFLA_INFO_DATA | IFLA_INFO_SLAVE_DATA) || kind == libc::AF_INET6 as u16;
    walk(bytes, nests, |inner| walk(inner, |_| false, |_| 0))
}

fn walk(bytes: &[u8], nests: impl Fn(u16) -> bool, inside: impl Fn(&[u8]) -> usize) -> usize {
    attributes(bytes).map(|(kind, value)| 1 + if nests(kind) { inside(value) } else { touch(value) }).sum()
}

/// Looks at a value, so that no compiler takes the walk away.
fn touch(value: &[u8]) -> usize {
    std::hint::black_box(value);
    0
}

struct Header {
    kind: u16,
    flags: u16,
    sequence: u32,
}

fn messages(mut bytes: &[u8]) -> impl Iterator<Item = (Header, &[u8])> {
    std::iter::from_fn(move || {
        let length = (bytes.len() >= HEADER)
            .then(|| number(bytes, 0) as usize)
            .filter(|l| (HEADER..=bytes.len()).contains(l))?;
        let header = Header { kind: half(bytes, 4), flags: half(bytes, 6), sequence: number(bytes, 8) };
        let payload = &bytes[HEADER..length];
        bytes = &bytes[length.next_multiple_of(4).min(bytes.len())..];
        Some((header, payload))
    })
}

fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length =
            (bytes.len() >= 4).then(|| usize::from(half(bytes, 0))).filter(|l| (4..=bytes.len()).contains(l))?;
        let attribute = (half(bytes, 2), &bytes[4..length]);
        bytes = &bytes[length.next_multiple_of(4).min(bytes.len())..];
        Some(attribute)
    })
}

/// The error of an NLMSG_ERROR; zero is the acknowledgement.
fn refused(payload: &[u8]) -> io::Result<()> {
    match number(payload, 0) as i32 {
        0 => Ok(()),
        error => Err(io::Error::from_raw_os_error(-error)),
    }
}

fn number(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).and_then(|b| b.try_into().ok()).map_or(0, u32::from_ne_bytes)
}

fn half(bytes: &[u8], at: usize) -> u16 {
    bytes.get(at..at + 2).and_then(|b| b.try_into().ok()).map_or(0, u16::from_ne_bytes)
}

fn switch_on(fd: &OwnedFd, option: libc::c_int) -> io::Result<()> {
    let on: libc::c_int = 1;
    // SAFETY: the option's value is one int that outlives the call.
    let code = unsafe {
        let value = std::ptr::from_ref(&on).cast();
        libc::setsockopt(fd.as_raw_fd(), libc::SOL_NETLINK, option, value, size_of_val(&on) as libc::socklen_t)
    };
    if code == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
