//! Generic netlink: one socket, its exchanges, and the numbers of the families.
//!
//! neli gives the socket and spells the messages. They are not read with neli:
//! it subtracts lengths unchecked and copies each attribute, so answers are read
//! as everywhere in this crate. `message.rs` spells messages, `monitor.rs` hears of changes.
//! What the messages of a family mean is not known here.

use std::{
    fmt, fs,
    io::{self, Cursor},
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd},
        unix::fs::MetadataExt,
    },
    time::Duration,
};

use neli::{
    ToBytes,
    consts::{
        genl::{CtrlAttr, CtrlAttrMcastGrp, CtrlCmd},
        nl::{GenlId, NlmF, Nlmsg},
        socket::{Msg, NlFamily},
    },
    nl::{NlPayload, NlmsghdrBuilder},
    socket::NlSocket,
    utils::Groups,
};
use netlink_packet_core::NLM_F_MULTIPART;
use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::socket::{NetlinkAddr, connect, setsockopt, sockopt},
};

use crate::{
    ack,
    attrs::{Attrs, find, text, u16, u32},
    error::KernelError,
    frame::Frames,
    socket::Clock,
};

mod error;
pub(crate) mod message;
mod monitor;
#[cfg(test)]
pub(crate) mod played;

pub use error::GenericError;
pub use monitor::Drained;
pub(crate) use monitor::{Monitor, Told};

use message::Message;

/// Room for the answers to one datagram, or for changes nobody has read yet.
const RECEIVE_BUFFER: usize = 1 << 20;
/// The longest answer is the one about the family itself, with one or two KiB.
const INBOX: usize = 32 << 10;

/// One answer, or a part of it: the message behind its netlink header, empty if it was a bare acknowledgement; or the
/// refusal.
pub(crate) type Answer<'a> = Result<&'a [u8], KernelError>;

/// A family of generic netlink. Its numbers hold until the module is loaded anew.
#[derive(Debug, PartialEq, Eq)]
pub struct Family {
    /// The type of its messages.
    pub(crate) id: u16,
    groups: Vec<(String, u32)>,
}

impl Family {
    /// The number of the multicast group of this name.
    pub(crate) fn group(&self, name: &str) -> Option<u32> {
        self.groups.iter().find(|(seen, _)| seen == name).map(|(_, id)| *id)
    }

    /// Reads `CTRL_CMD_NEWFAMILY`.
    pub(crate) fn read(payload: &[u8]) -> Option<Self> {
        let attributes = message::attributes(payload);
        let groups = find(attributes.clone(), CtrlAttr::McastGroups.into()).unwrap_or_default();
        let group = |group| {
            let name = find(Attrs::new(group), CtrlAttrMcastGrp::Name.into()).and_then(text)?;
            let id = find(Attrs::new(group), CtrlAttrMcastGrp::Id.into()).and_then(u32)?;
            Some((name.to_owned(), id))
        };
        Some(Self {
            id: find(attributes, CtrlAttr::FamilyId.into()).and_then(u16)?,
            groups: Attrs::new(groups).filter_map(|(_, value)| group(value)).collect(),
        })
    }
}

/// A socket for questions, with a deadline.
#[derive(Debug)]
pub(crate) struct Generic {
    port: Port,
    pub(crate) deadline: Duration,
    pub(crate) namespace: Option<(u64, u64)>,
    seq: u32,
    /// Answers may still be under way.
    pending: bool,
    inbox: Vec<u8>,
}

impl Generic {
    pub(crate) fn open(deadline: Duration) -> Result<Self, GenericError> {
        Ok(Self::over(Port::open().map_err(GenericError::Open)?, deadline))
    }

    pub(crate) fn over(port: Port, deadline: Duration) -> Self {
        Self { port, deadline, namespace: namespace(), seq: 1, pending: false, inbox: vec![0; INBOX] }
    }

    /// Asks for the numbers of a family; none when the kernel does not have it.
    pub(crate) fn family(&mut self, name: &str) -> Result<Option<Family>, GenericError> {
        let name = message::attribute(CtrlAttr::FamilyName.into(), false, name);
        let question = message::message(CtrlCmd::Getfamily.into(), 1, [name]);
        let mut seen = Err(GenericError::Malformed);
        self.exchange(GenlId::Ctrl.into(), vec![question], &mut |_, answer| {
            seen = match answer {
                Ok(payload) => Family::read(payload).map(Some).ok_or(GenericError::Malformed),
                Err(refusal) if refusal.errno == libc::ENOENT => Ok(None),
                Err(refusal) => Err(GenericError::Family(refusal)),
            }
        })?;
        seen
    }

    /// Sends the questions with one call and waits until each has its answer.
    ///
    /// No acknowledgement is asked for: a question for one object is answered by
    /// that object or by an error, never by both and never by silence. An answer
    /// may have several parts (`NLM_F_MULTI`), then `NLMSG_DONE` is its end.
    pub(crate) fn exchange(
        &mut self,
        family: u16,
        questions: Vec<Message>,
        answered: &mut dyn FnMut(usize, Answer<'_>),
    ) -> Result<(), GenericError> {
        self.send(family, NlmF::REQUEST, questions, answered)
    }

    /// Sends an order and waits for its acknowledgement, which must be its only answer.
    pub(crate) fn order(
        &mut self,
        family: u16,
        order: Message,
        answered: &mut dyn FnMut(usize, Answer<'_>),
    ) -> Result<(), GenericError> {
        self.send(family, NlmF::REQUEST | NlmF::ACK, vec![order], answered)
    }

    fn send(
        &mut self,
        family: u16,
        flags: NlmF,
        questions: Vec<Message>,
        answered: &mut dyn FnMut(usize, Answer<'_>),
    ) -> Result<(), GenericError> {
        self.begin()?;
        let (first, mut open) = (self.seq, vec![true; questions.len()]);
        let datagram = spelled(family, flags, first, questions);
        // Numbers that run over are no harm: those in use at a time are few and follow one another.
        self.seq = first.wrapping_add(u32::try_from(open.len()).unwrap_or(u32::MAX));
        self.port.send(&datagram).map_err(GenericError::Send)?;
        let clock = Clock::start(self.deadline);
        while open.contains(&true) {
            let length = self.receive(&clock)?;
            let mut ours = false;
            for frame in Frames::new(&self.inbox[..length]) {
                let frame = frame.map_err(|_| GenericError::Malformed)?;
                let at = frame.seq.wrapping_sub(first) as usize;
                let Some(open) = open.get_mut(at).filter(|open| **open) else {
                    continue;
                };
                let answer = match Nlmsg::from(frame.kind) {
                    Nlmsg::Overrun => return Err(GenericError::Overrun),
                    Nlmsg::Done => {
                        (*open, ours) = (false, true);
                        continue;
                    }
                    Nlmsg::Error => {
                        ack::acknowledged(&frame, &[]).map_err(|_| GenericError::Malformed)?.map(|()| &[][..])
                    }
                    _ if frame.kind == family => Ok(frame.payload),
                    _ => continue,
                };
                (*open, ours) = (answer.is_ok() && frame.flags & NLM_F_MULTIPART != 0, true);
                answered(at, answer);
            }
            if !ours {
                // What does not concern us must not keep us beyond the deadline.
                self.left(&clock)?;
            }
        }
        self.pending = false;
        Ok(())
    }

    /// Makes the socket fit for a new exchange, and takes it as unfit until the exchange is over.
    fn begin(&mut self) -> Result<(), GenericError> {
        if self.pending {
            if namespace() != self.namespace {
                return Err(GenericError::Namespace);
            }
            tracing::debug!("opening the generic netlink socket anew: answers may be under way");
            self.port = Port::open().map_err(GenericError::Open)?;
        }
        self.pending = true;
        Ok(())
    }

    /// Receives one datagram. Looks before it waits: the answers are mostly there already.
    fn receive(&mut self, clock: &Clock) -> Result<usize, GenericError> {
        loop {
            match self.port.receive(&mut self.inbox) {
                Ok(Some(length)) if length > self.inbox.len() => return Err(GenericError::Malformed),
                Ok(Some(length)) => return Ok(length),
                Ok(None) => {}
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => return Err(GenericError::Overrun),
                Err(error) => return Err(GenericError::Receive(error)),
            }
            // Rounded up, or the last millisecond would be spent in a busy loop.
            let timeout =
                PollTimeout::try_from(self.left(clock)? + Duration::from_millis(1)).unwrap_or(PollTimeout::MAX);
            match poll(&mut [PollFd::new(self.port.as_fd(), PollFlags::POLLIN)], timeout) {
                Ok(_) | Err(Errno::EINTR) => {}
                Err(errno) => return Err(GenericError::Receive(errno.into())),
            }
        }
    }

    /// What is left of the time; nothing left is an error.
    fn left(&self, clock: &Clock) -> Result<Duration, GenericError> {
        clock.left().map_err(|_| GenericError::Deadline { after: self.deadline })
    }
}

/// One datagram of questions, numbered from `first`.
fn spelled(family: u16, flags: NlmF, first: u32, questions: Vec<Message>) -> Vec<u8> {
    let mut datagram = Cursor::new(Vec::new());
    for (question, seq) in questions.into_iter().zip((0..).map(|at| first.wrapping_add(at))) {
        NlmsghdrBuilder::default()
            .nl_type(family)
            .nl_flags(flags)
            .nl_seq(seq)
            .nl_payload(NlPayload::Payload(question))
            .build()
            .expect("type, flags and payload are given")
            .to_bytes(&mut datagram)
            .expect("writing to memory does not fail");
    }
    datagram.into_inner()
}

/// What tells this thread's network namespace from others; nothing without `/proc`.
fn namespace() -> Option<(u64, u64)> {
    let seen = fs::metadata("/proc/thread-self/ns/net").ok()?;
    Some((seen.dev(), seen.ino()))
}

/// A generic netlink socket, talking to the kernel only.
pub(crate) struct Port(NlSocket);

impl Port {
    pub(crate) fn open() -> io::Result<Self> {
        let port = Self(NlSocket::connect(NlFamily::Generic, None, Groups::empty())?);
        port.0.enable_ext_ack(true)?;
        // Only root may go beyond `net.core.rmem_max`, and others can make do with less.
        setsockopt(&port, sockopt::RcvBufForce, &RECEIVE_BUFFER)
            .or_else(|_| setsockopt(&port, sockopt::RcvBuf, &RECEIVE_BUFFER))?;
        // What neli calls `connect` only binds. A connected netlink socket takes
        // datagrams from its peer only, here the kernel; and from multicast groups.
        connect(port.0.as_raw_fd(), &NetlinkAddr::new(0, 0))?;
        Ok(port)
    }

    /// Takes part in a multicast group.
    pub(crate) fn join(&self, group: u32) -> io::Result<()> {
        self.0.add_mcast_membership(Groups::new_groups(&[group]))
    }

    fn send(&self, datagram: &[u8]) -> io::Result<()> {
        loop {
            match self.0.send(datagram, Msg::empty()) {
                // The kernel has not looked at the datagram yet when it reports this.
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                sent => return sent.map(drop),
            }
        }
    }

    /// Receives one datagram, none if there is none. The length may exceed the inbox: the rest of it is lost.
    pub(crate) fn receive(&self, inbox: &mut [u8]) -> io::Result<Option<usize>> {
        loop {
            match self.0.recv(&mut *inbox, Msg::DONTWAIT | Msg::TRUNC) {
                Ok((0, _)) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok((length, _)) => return Ok(Some(length)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

impl AsFd for Port {
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: the descriptor stays open as long as the socket, which the borrow holds.
        unsafe { BorrowedFd::borrow_raw(self.0.as_raw_fd()) }
    }
}

impl fmt::Debug for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Port").field(&self.0.as_raw_fd()).finish()
    }
}

#[cfg(test)]
impl Generic {
    pub(crate) fn seq_before_the_end(&mut self) {
        self.seq = u32::MAX - 2;
    }

    pub(crate) fn shrink(&self) {
        setsockopt(&self.port, sockopt::RcvBuf, &1).unwrap();
    }
}

#[cfg(test)]
impl Port {
    /// A port to a kernel which the test plays itself.
    pub(crate) fn to(end: std::os::fd::OwnedFd) -> Self {
        use std::os::fd::{FromRawFd, IntoRawFd};
        // SAFETY: the descriptor is ours alone, and the socket becomes its only owner.
        Self(unsafe { NlSocket::from_raw_fd(end.into_raw_fd()) })
    }
}
