//! Listening to what the kernel tells of links, addresses, rules and routes.
//!
//! A socket of its own, apart from the requests' one: what the kernel tells
//! unasked must not fill the buffer that answers need. Which routes are worth
//! hearing of is decided in `filter.rs`. What a message means, waiting for one,
//! and reading the host anew after a loss are the caller's.

mod filter;

use std::{
    io::{self, IoSliceMut},
    mem,
    os::fd::{AsFd, AsRawFd, BorrowedFd},
};

use netlink_packet_core::{NLMSG_DONE, NLMSG_ERROR, NLMSG_NOOP, NLMSG_OVERRUN};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
use nix::{
    errno::Errno,
    sys::socket::{MsgFlags, NetlinkAddr, recvmsg},
};

use crate::{
    error::WireError,
    frame::{Frame, Frames},
    socket,
};

/// Room for a storm: about 4,000 messages about links or 20,000 about routes, as measured. The
/// kernel doubles what it is asked for, and counts 3.3 to 4.3 KB for a link and 0.8 KB for a route.
const RECEIVE_BUFFER: usize = 8 << 20;

/// Messages about links have 1.3 to 1.9 KB, and grow with what a driver has to say.
const INBOX: usize = 32 << 10;

/// What is listened to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Topic {
    /// Links, the IPv6 settings of links, addresses, rules and queueing disciplines.
    Links,
    /// Routes that hosts are configured with: those of the kernel, of people, of
    /// router advertisements and of DHCP, and every default route. What routing
    /// daemons learn otherwise, the local table and cached routes do not wake us.
    Routes,
    /// Both, on one socket: only then it is known which of two things happened first.
    All,
}

impl Topic {
    fn groups(self) -> impl Iterator<Item = u32> {
        const LINKS: [u32; 7] = [
            libc::RTNLGRP_LINK,
            libc::RTNLGRP_IPV4_IFADDR,
            libc::RTNLGRP_IPV6_IFADDR,
            libc::RTNLGRP_IPV4_RULE,
            libc::RTNLGRP_IPV6_RULE,
            libc::RTNLGRP_TC,
            libc::RTNLGRP_IPV6_IFINFO,
        ];
        const ROUTES: [u32; 2] = [libc::RTNLGRP_IPV4_ROUTE, libc::RTNLGRP_IPV6_ROUTE];
        let links = LINKS.into_iter().filter(move |_| self != Topic::Routes);
        links.chain(ROUTES.into_iter().filter(move |_| self != Topic::Links))
    }

    fn wants(self, kind: u16, payload: &[u8]) -> bool {
        match self {
            Topic::Links => true,
            Topic::Routes | Topic::All => filter::is_wanted(kind, payload),
        }
    }
}

/// One message of the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event<'a> {
    /// The type of the message, such as `RTM_NEWLINK`.
    pub kind: u16,
    /// `nlmsg_flags`. `NLM_F_REPLACE` on a new route says that it took another one's place.
    pub flags: u16,
    /// The fixed header of the family and the attributes.
    pub payload: &'a [u8],
}

/// The messages of one datagram, in their order.
///
/// # Errors
/// [`WireError::Malformed`] for one that does not fit, which is then the last.
pub fn events(datagram: &[u8]) -> impl Iterator<Item = Result<Event<'_>, WireError>> {
    Frames::new(datagram).map(|frame| frame.map(|Frame { kind, flags, payload, .. }| Event { kind, flags, payload }))
}

/// Why [`Listener::drain`] came back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Drained {
    /// The queue is empty. Only now it makes sense to wait for the descriptor.
    Empty,
    /// As many messages as asked for were taken; there may be more.
    More,
    /// Messages were lost: read everything anew.
    ///
    /// What is still queued stays queued, is older than the loss, and may be
    /// taken. Who keeps a picture of the host takes it first, until
    /// [`Drained::Empty`], and reads anew after that: old messages would spoil the
    /// new picture. The kernel also drops everything until the queue has been
    /// empty once. If there was anything to drop, `Lost` comes again then.
    Lost,
}

/// A socket that hears what the kernel tells everybody.
///
/// It belongs to the network namespace of the thread that opened it. It is
/// readable, for `poll` and its kin, when there is something to
/// [`drain`](Listener::drain).
#[derive(Debug)]
pub struct Listener {
    socket: Socket,
    topic: Topic,
    /// The port of the sender that counts.
    kernel: u32,
    inbox: Vec<u8>,
    /// Set while messages are handed out: still set afterwards, some were not.
    amid: bool,
    /// The queue has overrun and was not empty since; with the drops counted when this was told.
    overrun: Option<Drops>,
}

/// How many messages the kernel has dropped on this socket; nothing if it does not say (before Linux 4.12).
type Drops = Option<u32>;

/// What one look into the queue found.
enum Taken {
    Nothing,
    Datagram { length: usize },
    Foreign,
    Overrun,
    TooLong { needed: usize },
}

impl Listener {
    /// Opens a socket in the network namespace of this thread.
    ///
    /// `buffer` is what is asked of `SO_RCVBUFFORCE`, in bytes; 8 MiB when not
    /// given. Without `CAP_NET_ADMIN` the kernel gives at most `net.core.rmem_max`.
    ///
    /// # Errors
    /// [`WireError::Open`] when the kernel gives no such socket.
    pub fn open(topic: Topic, buffer: Option<usize>) -> Result<Self, WireError> {
        let socket = Self::socket(topic, buffer.unwrap_or(RECEIVE_BUFFER)).map_err(WireError::Open)?;
        Ok(Self::over(socket, topic, 0))
    }

    fn socket(topic: Topic, buffer: usize) -> io::Result<Socket> {
        let socket = Socket::new(NETLINK_ROUTE)?;
        socket::set_receive_buffer(&socket, buffer)?;
        // Others cannot write to a socket connected to the kernel; to its groups they still can.
        // This binds it, too: without a port of its own it would pass for the sender, who hears nothing.
        socket.connect(&SocketAddr::new(0, 0))?;
        if topic != Topic::Links {
            // Before the groups, or what came in between would be queued unfiltered.
            if let Err(error) = filter::attach(&socket) {
                tracing::warn!(%error, "the kernel takes no filter for routes; every change of a route wakes us");
            }
        }
        for group in topic.groups() {
            socket.add_membership(group)?;
        }
        Ok(socket)
    }

    fn over(socket: Socket, topic: Topic, kernel: u32) -> Self {
        Self { socket, topic, kernel, inbox: vec![0; INBOX], amid: false, overrun: None }
    }

    /// Hears nothing any more until [`Listener::join`]; what is queued stays queued.
    ///
    /// For times in which very much happens that is read anew afterwards: the kernel then does not
    /// even queue it.
    ///
    /// # Errors
    /// [`WireError::Receive`]; some groups may be left by then, so that the next to do is to join
    /// and to read everything anew.
    pub fn leave(&mut self) -> Result<(), WireError> {
        self.topic.groups().try_for_each(|group| self.socket.drop_membership(group)).map_err(WireError::Receive)
    }

    /// Hears again, from now on. What was before is lost without a word.
    ///
    /// # Errors
    /// [`WireError::Receive`].
    pub fn join(&mut self) -> Result<(), WireError> {
        self.topic.groups().try_for_each(|group| self.socket.add_membership(group)).map_err(WireError::Receive)
    }

    /// Takes what is queued, without waiting, and hands it to `each` in order.
    ///
    /// Comes back after `most` messages or a few more, as a datagram is taken
    /// whole, and takes one datagram at least. Messages that are not handed out,
    /// such as those of other programs, count too.
    ///
    /// # Errors
    /// [`WireError::Receive`] and [`WireError::Malformed`]. The next call then
    /// says [`Drained::Lost`], also after a panic of `each`; so do not wait for the descriptor.
    pub fn drain(&mut self, most: usize, each: &mut dyn FnMut(Event<'_>)) -> Result<Drained, WireError> {
        if mem::replace(&mut self.amid, true) {
            self.amid = false;
            return Ok(Drained::Lost);
        }
        let drained = self.take(most, each)?;
        self.amid = false;
        Ok(drained)
    }

    fn take(&mut self, most: usize, each: &mut dyn FnMut(Event<'_>)) -> Result<Drained, WireError> {
        let mut count = 0;
        loop {
            match self.receive()? {
                Taken::Nothing => return Ok(self.at_rest()),
                Taken::Foreign => count += 1,
                Taken::Datagram { length } => match self.hand_out(length, each)? {
                    Some(messages) => count += messages,
                    None => return Ok(Drained::Lost),
                },
                Taken::Overrun => {
                    self.overrun = Some(drops(&self.socket));
                    return Ok(Drained::Lost);
                }
                Taken::TooLong { needed } => {
                    self.inbox.resize(needed.next_power_of_two(), 0);
                    return Ok(Drained::Lost);
                }
            }
            if count >= most {
                return Ok(Drained::More);
            }
        }
    }

    fn receive(&mut self) -> Result<Taken, WireError> {
        loop {
            let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_TRUNC;
            let mut room = [IoSliceMut::new(&mut self.inbox)];
            let received = recvmsg::<NetlinkAddr>(self.socket.as_raw_fd(), &mut room, None, flags)
                .map(|received| (received.bytes, received.address));
            return match received {
                Ok((_, sender)) if sender.is_none_or(|sender| sender.pid() != self.kernel) => Ok(Taken::Foreign),
                Ok((needed, _)) if needed > self.inbox.len() => Ok(Taken::TooLong { needed }),
                Ok((length, _)) => Ok(Taken::Datagram { length }),
                Err(Errno::EAGAIN) => Ok(Taken::Nothing),
                Err(Errno::ENOBUFS) => Ok(Taken::Overrun),
                Err(Errno::EINTR) => continue,
                Err(errno) => Err(WireError::Receive(errno.into())),
            };
        }
    }

    /// Returns how many messages there were; nothing if one of them tells of a loss.
    fn hand_out(&self, length: usize, each: &mut dyn FnMut(Event<'_>)) -> Result<Option<usize>, WireError> {
        let mut count = 0;
        let mut lost = false;
        for event in events(&self.inbox[..length]) {
            let event = event?;
            count += 1;
            match event.kind {
                NLMSG_OVERRUN => lost = true,
                // We ask nothing, so these answer nothing.
                NLMSG_NOOP | NLMSG_ERROR | NLMSG_DONE => {}
                kind if self.topic.wants(kind, event.payload) => each(event),
                _ => {}
            }
        }
        Ok((!lost).then_some(count))
    }

    /// What an empty queue means.
    ///
    /// After an overrun the kernel drops whatever comes until the queue has been
    /// empty (`NETLINK_S_CONGESTED`), and `ENOBUFS` tells of the first drop only.
    fn at_rest(&mut self) -> Drained {
        match self.overrun.take() {
            Some(told) if dropped_since(told, drops(&self.socket)) => Drained::Lost,
            _ => Drained::Empty,
        }
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Where nobody counts, it is possible, and so it is assumed.
fn dropped_since(told: Drops, now: Drops) -> bool {
    told.is_none() || told != now
}

fn drops(socket: &Socket) -> Drops {
    const DROPS: usize = libc::SK_MEMINFO_DROPS as usize;
    let mut info = [0_u32; DROPS + 1];
    // Cannot be truncated: a few words.
    let mut length = size_of_val(&info) as libc::socklen_t;
    // SAFETY: the kernel writes at most `length` bytes to `info`, and how many to `length`.
    let done = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_MEMINFO,
            info.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    (done == 0 && length as usize == size_of_val(&info)).then_some(info[DROPS])
}

#[cfg(test)]
mod tests;
