//! Hearing of link modes that somebody changed.
//!
//! Only which link it was is told; ask [`Ethtool`](super::Ethtool) for the modes it has now.

use std::{
    os::fd::{AsFd, BorrowedFd},
    time::Duration,
};

use super::message;
use crate::generic::{Drained, Generic, GenericError, Monitor};

/// How long the kernel may take to tell the number of the multicast group.
const DEADLINE: Duration = Duration::from_secs(5);

/// Hears of each change that `ethtool -s` and its like make to a link's modes.
///
/// The kernel tells of changes that were asked for, be it over netlink or by
/// ioctl. It does not tell what the link's two ends agree upon by themselves:
/// that comes with a carrier, of which rtnetlink tells. The socket belongs to
/// the network namespace of the thread that opened it, and never blocks.
#[derive(Debug)]
pub struct EthtoolMonitor(pub(super) Monitor);

impl EthtoolMonitor {
    /// Listens in the network namespace of this thread, from now on.
    ///
    /// None on a kernel without the family, as [`Ethtool::open`](super::Ethtool::open).
    ///
    /// # Errors
    /// Trouble with the socket, [`GenericError::Family`] and [`GenericError::Join`].
    pub fn open() -> Result<Option<Self>, GenericError> {
        let Some(family) = Generic::open(DEADLINE)?.family(message::FAMILY)? else {
            return Ok(None);
        };
        let mut monitor = Monitor::open()?;
        monitor.join(&family, message::MONITOR)?;
        Ok(Some(Self(monitor)))
    }

    /// Takes what is queued, without waiting, and hands the index of each changed link to `each`.
    ///
    /// One link may come several times.
    ///
    /// # Errors
    /// [`GenericError::Receive`]
    pub fn drain(&mut self, each: &mut dyn FnMut(u32)) -> Result<Drained, GenericError> {
        self.0.drain(message::told, each)
    }
}

impl AsFd for EthtoolMonitor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
