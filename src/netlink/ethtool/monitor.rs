//! Hearing of link modes that somebody changed.
//!
//! Only which link it was is told; ask [`Ethtool`](super::Ethtool) for the modes it has now.

use std::{
    os::fd::{AsFd, BorrowedFd},
    time::Duration,
};

use neli::consts::nl::Nlmsg;

use super::{
    EthtoolError,
    generic::{Generic, Port},
    message::{self, Told},
};
use crate::frame::Frames;

/// How long the kernel may take to tell the number of the multicast group.
const DEADLINE: Duration = Duration::from_secs(5);
/// A notification has less than 1 KiB.
const INBOX: usize = 32 << 10;

/// Hears of each change that `ethtool -s` and its like make to a link's modes.
///
/// The kernel tells of changes that were asked for, be it over netlink or by
/// ioctl. It does not tell what the link's two ends agree upon by themselves:
/// that comes with a carrier, of which rtnetlink tells. The socket belongs to
/// the network namespace of the thread that opened it, and never blocks.
#[derive(Debug)]
pub struct EthtoolMonitor {
    port: Port,
    /// The type of the family's messages.
    family: u16,
    inbox: Vec<u8>,
}

/// How the queue of changes was left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drained {
    /// Everything was told.
    Empty,
    /// Some changes were lost; ask about all links. What came after is still queued.
    Lost,
}

impl EthtoolMonitor {
    /// Listens in the network namespace of this thread, from now on.
    ///
    /// None on a kernel without the family, as [`Ethtool::open`](super::Ethtool::open).
    ///
    /// # Errors
    /// Trouble with the socket, [`EthtoolError::Family`] and [`EthtoolError::Join`].
    pub fn open() -> Result<Option<Self>, EthtoolError> {
        let Some(family) = Generic::open(DEADLINE)?.family(message::FAMILY)? else {
            return Ok(None);
        };
        let group = family.group(message::MONITOR).ok_or(EthtoolError::Malformed)?;
        let port = Port::open().map_err(EthtoolError::Open)?;
        port.join(group).map_err(EthtoolError::Join)?;
        Ok(Some(Self::over(port, family.id)))
    }

    pub(super) fn over(port: Port, family: u16) -> Self {
        Self { port, family, inbox: vec![0; INBOX] }
    }

    /// Takes what is queued, without waiting, and hands the index of each changed link to `each`.
    ///
    /// One link may come several times.
    ///
    /// # Errors
    /// [`EthtoolError::Receive`]
    pub fn drain(&mut self, each: &mut dyn FnMut(u32)) -> Result<Drained, EthtoolError> {
        loop {
            let length = match self.port.receive(&mut self.inbox) {
                Ok(Some(length)) => length,
                Ok(None) => return Ok(Drained::Empty),
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => return Ok(Drained::Lost),
                Err(error) => return Err(EthtoolError::Receive(error)),
            };
            let Some(datagram) = self.inbox.get(..length) else {
                return Ok(Drained::Lost);
            };
            for frame in Frames::new(datagram) {
                // What nobody can read may have been anything.
                let Ok(frame) = frame else {
                    return Ok(Drained::Lost);
                };
                match message::told(frame.payload) {
                    _ if Nlmsg::from(frame.kind) == Nlmsg::Overrun => return Ok(Drained::Lost),
                    _ if frame.kind != self.family => {}
                    Told::Modes(index) => each(index),
                    Told::Else => {}
                    Told::Unreadable => return Ok(Drained::Lost),
                }
            }
        }
    }
}

impl AsFd for EthtoolMonitor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.port.as_fd()
    }
}
