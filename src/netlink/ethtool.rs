//! Speed, duplex and settings of links, asked of the kernel's `ethtool` family, and changed.
//!
//! Many links are asked about at once, and a link that cannot say is no error.
//! The messages are spelled in `message.rs` and, for what ethtool(8) can
//! change, in `settings.rs`; `generic.rs` beside this file carries them. That a cable came or went is
//! not told here: rtnetlink's link events tell it.

use std::time::Duration;

use crate::generic::{Generic, GenericError};

mod message;
mod monitor;
mod settings;

pub use monitor::EthtoolMonitor;
pub use settings::{Features, Found, Group, Setting};

use message::{LINKMODES_GET, LINKSTATE_GET};

/// So many links are asked about in one datagram, with two questions each.
const CHUNK_LINKS: usize = 32;

/// How a link runs. Nothing of it is known of a link that is down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Modes {
    /// In Mbit/s, never 0; none when the driver does not know.
    pub speed: Option<u32>,
    /// None when the driver does not know.
    pub duplex: Option<Duplex>,
}

/// Whether both ends may send at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Duplex {
    /// They take turns.
    Half,
    /// They may.
    Full,
}

/// Questions to the `ethtool` family.
///
/// The socket belongs to the network namespace of the thread that opened it.
/// After an error the next call opens a new socket first, so that late answers
/// are never taken for answers to something else.
#[derive(Debug)]
pub struct Ethtool {
    socket: Generic,
    family: u16,
}

impl Ethtool {
    /// Opens a socket in the network namespace of this thread.
    ///
    /// None on a kernel without the family (before 5.6, or `CONFIG_ETHTOOL_NETLINK` is off).
    ///
    /// The deadline holds for each 32 links, from the moment the kernel has taken
    /// the questions. The kernel's own work inside a system call cannot be cut
    /// short: it asks the driver, and waits for the RTNL lock to do so.
    ///
    /// # Errors
    /// Trouble with the socket, and [`GenericError::Family`] if the kernel does not tell of its families.
    pub fn open(deadline: Duration) -> Result<Option<Self>, GenericError> {
        Self::over(Generic::open(deadline)?)
    }

    fn over(mut socket: Generic) -> Result<Option<Self>, GenericError> {
        let family = socket.family(message::FAMILY)?;
        Ok(family.map(|family| Self { socket, family: family.id }))
    }

    /// Speed and duplex of each of these links, in their order.
    ///
    /// Nothing is known of a link that is gone (`ENODEV`), whose driver cannot
    /// say (`EOPNOTSUPP` mostly), or that has no carrier. Of the last `ethtool`
    /// and sysfs may tell what the driver says all the same: veth and tun name
    /// a speed at any time.
    ///
    /// A link costs two questions: 5 µs on a Linux 6.18 where reading the two
    /// files in sysfs costs 22 µs, if the driver knows the answers by heart.
    ///
    /// # Errors
    /// Only trouble with the socket.
    pub fn modes(&mut self, indexes: &[u32]) -> Result<Vec<Modes>, GenericError> {
        let mut all = Vec::with_capacity(indexes.len());
        for chunk in indexes.chunks(CHUNK_LINKS) {
            let questions =
                chunk.iter().flat_map(|&index| [LINKMODES_GET, LINKSTATE_GET].map(|get| message::about(get, index)));
            let mut seen = vec![(Modes::default(), false); chunk.len()];
            self.socket.exchange(self.family, questions.collect(), &mut |at, answer| {
                let (modes, down) = &mut seen[at / 2];
                match (at % 2, answer) {
                    (0, Ok(payload)) => *modes = message::modes(payload),
                    (_, Ok(payload)) => *down = message::is_down(payload),
                    (_, Err(refusal)) => tracing::debug!(index = chunk[at / 2], %refusal, "no word about link modes"),
                }
            })?;
            all.extend(seen.into_iter().map(|(modes, down)| if down { Modes::default() } else { modes }));
        }
        Ok(all)
    }
}

/// All that reads a message of the family, on one that may be anything.
#[cfg(test)]
pub(crate) fn read_all(payload: &[u8]) {
    message::tests::read_all(payload);
    settings::tests::read_all(payload);
}

#[cfg(test)]
#[path = "ethtool/tests.rs"]
mod tests;
