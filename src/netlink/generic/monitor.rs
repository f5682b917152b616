//! Hearing of changes in a family's multicast group.
//!
//! Only which link it was is told; whoever wants to know more asks.

use std::os::fd::{AsFd, BorrowedFd};

use neli::consts::nl::Nlmsg;

use super::{Family, GenericError, Port};
use crate::frame::Frames;

/// A notification has less than 1 KiB about a nic, and a page or two about a team.
const INBOX: usize = 32 << 10;

/// What a message of a group tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    /// Something of the link with this index.
    Of(u32),
    /// Something that nobody asked about, such as the size of a ring.
    Else,
    /// Something of a link, but nobody knows which.
    Unreadable,
}

/// How the queue of changes was left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drained {
    /// Everything was told.
    Empty,
    /// Some changes were lost; ask about all links. What came after is still queued.
    Lost,
}

/// A socket that hears of changes, and never blocks.
#[derive(Debug)]
pub(crate) struct Monitor {
    port: Port,
    /// The type of the family's messages; none until there is a family to listen to.
    family: Option<u16>,
    inbox: Vec<u8>,
}

impl Monitor {
    /// A socket in the network namespace of this thread. It is in no group yet.
    pub(crate) fn open() -> Result<Self, GenericError> {
        Ok(Self::over(Port::open().map_err(GenericError::Open)?, None))
    }

    pub(crate) fn over(port: Port, family: Option<u16>) -> Self {
        Self { port, family, inbox: vec![0; INBOX] }
    }

    /// Listens to this group from now on. To do so again does no harm: a family that was loaded anew
    /// may have other numbers, and has forgotten its listeners.
    pub(crate) fn join(&mut self, family: &Family, group: &str) -> Result<(), GenericError> {
        let group = family.group(group).ok_or(GenericError::Malformed)?;
        self.port.join(group).map_err(GenericError::Join)?;
        self.family = Some(family.id);
        Ok(())
    }

    /// Takes what is queued, without waiting, and hands the index of each changed link to `each`,
    /// as `told` reads it. One link may come several times.
    pub(crate) fn drain(
        &mut self,
        told: fn(&[u8]) -> Told,
        each: &mut dyn FnMut(u32),
    ) -> Result<Drained, GenericError> {
        loop {
            let length = match self.port.receive(&mut self.inbox) {
                Ok(Some(length)) => length,
                Ok(None) => return Ok(Drained::Empty),
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => return Ok(Drained::Lost),
                Err(error) => return Err(GenericError::Receive(error)),
            };
            let Some(datagram) = self.inbox.get(..length) else {
                return Ok(Drained::Lost);
            };
            for frame in Frames::new(datagram) {
                // What nobody can read may have been anything.
                let Ok(frame) = frame else {
                    return Ok(Drained::Lost);
                };
                match told(frame.payload) {
                    _ if Nlmsg::from(frame.kind) == Nlmsg::Overrun => return Ok(Drained::Lost),
                    _ if Some(frame.kind) != self.family => {}
                    Told::Of(index) => each(index),
                    Told::Else => {}
                    Told::Unreadable => return Ok(Drained::Lost),
                }
            }
        }
    }
}

impl AsFd for Monitor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.port.as_fd()
    }
}
