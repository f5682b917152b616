//! What went through each link since it was made, by one dump.
//!
//! Counters change without an event, so the live picture has none of them: whoever wants them asks
//! here. What becomes of them (rates, totals) is not known here.

use std::time::Duration;

use vdsm_netlink::attrs::{self, Attrs};
use vdsm_netlink::{Dumped, Wire, WireError};

use super::link::IFINFOMSG;
use super::reader::message;

// Of linux/rtnetlink.h and linux/if_link.h; the libc crate has the others.
const RTM_NEWSTATS: u16 = 92;
const RTM_GETSTATS: u16 = 94;
/// Length of `if_stats_msg`: family, three bytes of padding, index, and a bit for each table wanted.
const STATS_HEADER: usize = 12;
const IFLA_STATS_LINK_64: u16 = 1;
const IFLA_STATS64: u16 = 23;

/// Counters of one link, all of them since the link was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Bytes received.
    pub rx: u64,
    /// Bytes sent.
    pub tx: u64,
    /// Packets that came in broken.
    pub rx_errors: u64,
    /// Packets that could not be sent.
    pub tx_errors: u64,
    /// Packets that came in and were dropped.
    pub rx_dropped: u64,
    /// Packets dropped on their way out.
    pub tx_dropped: u64,
}

/// Why the counters could not be read.
#[derive(Debug, thiserror::Error)]
pub enum CountersError {
    /// There is no way to ask.
    #[error("cannot ask the kernel for counters")]
    Open(#[source] WireError),
    /// They do not come.
    #[error("cannot read the counters")]
    Read(#[source] WireError),
}

/// Asks for counters through a socket of its own, which belongs to the network namespace of the
/// thread that opened it.
pub struct CounterReader {
    wire: Wire,
    /// What to ask; the last is asked, and forgotten when the kernel does not know it.
    questions: Vec<(u16, Vec<u8>)>,
}

impl CounterReader {
    /// Opens the socket. The deadline holds for each dump.
    ///
    /// # Errors
    /// [`CountersError::Open`] when the kernel gives no such socket.
    pub fn open(deadline: Duration) -> Result<CounterReader, CountersError> {
        let wire = Wire::open(deadline).map_err(CountersError::Open)?;
        // A kernel before 4.7 tells counters with the whole link or not at all.
        Ok(CounterReader { wire, questions: vec![whole_links(), counters_alone()] })
    }

    /// The counters of all links, by interface index, in the kernel's order.
    ///
    /// # Errors
    /// [`CountersError::Read`] for whatever keeps the dump from its end.
    pub fn read(&mut self) -> Result<Vec<(u32, Counters)>, CountersError> {
        loop {
            match self.ask() {
                Err(error) if is_unknown(&error) && self.questions.len() > 1 => drop(self.questions.pop()),
                answer => return answer.map_err(CountersError::Read),
            }
        }
    }

    fn ask(&mut self) -> Result<Vec<(u32, Counters)>, WireError> {
        let mut all = Vec::new();
        let Some((kind, payload)) = self.questions.last() else { return Ok(all) };
        self.wire.dump(message(*kind, payload), &mut |dumped| match dumped {
            Dumped::Start => all.clear(),
            Dumped::Object { kind, payload } => all.extend(counters(kind, payload)),
        })?;
        Ok(all)
    }
}

fn is_unknown(error: &WireError) -> bool {
    matches!(error, WireError::Refused(refusal) if refusal.errno == libc::EOPNOTSUPP)
}

fn counters_alone() -> (u16, Vec<u8>) {
    let mut header = vec![0; STATS_HEADER];
    let wanted = 1_u32 << (IFLA_STATS_LINK_64 - 1);
    header[8..].copy_from_slice(&wanted.to_ne_bytes());
    (RTM_GETSTATS, header)
}

fn whole_links() -> (u16, Vec<u8>) {
    (libc::RTM_GETLINK, vec![0; IFINFOMSG])
}

/// The counters of one message; none for one that has none.
pub(super) fn counters(kind: u16, payload: &[u8]) -> Option<(u32, Counters)> {
    let (header, table) = match kind {
        RTM_NEWSTATS => (STATS_HEADER, IFLA_STATS_LINK_64),
        libc::RTM_NEWLINK => (IFINFOMSG, IFLA_STATS64),
        _ => return None,
    };
    let index = attrs::u32(payload.get(4..)?)?;
    let table = attrs::find(Attrs::after(payload, header), table)?;
    // `rtnl_link_stats64` begins with the numbers of packets, received and sent.
    let number = |place: usize| table.get(place * 8..).and_then(attrs::u64);
    let counters = Counters {
        rx: number(2)?,
        tx: number(3)?,
        rx_errors: number(4)?,
        tx_errors: number(5)?,
        rx_dropped: number(6)?,
        tx_dropped: number(7)?,
    };
    Some((index, counters))
}

#[cfg(test)]
#[path = "counters_tests.rs"]
mod tests;
