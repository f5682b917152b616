//! Neighbours: whether somebody on the link answers, as the kernel's own resolution finds out (ARP,
//! and neighbour discovery for IPv6).
//!
//! No packet is made here: an entry of the kernel's table is put into a state in which the kernel
//! asks, and looked at again. Its states are told in ip-neighbour(8) and arp(7), and their order is
//! `net/core/neighbour.c`'s. How long to wait, and what an answer is good for, is the caller's.

use std::net::IpAddr;
use std::time::Duration;

use netlink_packet_core::NLM_F_CREATE;
use netlink_packet_route::neighbour::{
    NeighbourAttribute, NeighbourExtFlags, NeighbourFlags, NeighbourMessage, NeighbourState,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};

use crate::attrs::{self, Attrs};
use crate::error::{KernelError, WireError};
use crate::request::Request;
use crate::wire::Wire;

/// Length of `ndmsg`, where its state and its flags are (linux/neighbour.h).
const NDMSG: usize = 12;
const STATE: usize = 8;
const FLAGS: usize = 10;
const NDA_FLAGS_EXT: u16 = 15;
/// `NTF_EXT_LEARNED`: the entry is a control plane's (of a fabric, say), and is to stay so.
const EXT_LEARNED: NeighbourFlags = NeighbourFlags::ExtLearned;

/// Somebody on a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Neighbour {
    /// The link's interface index.
    pub link: u32,
    /// Who is meant.
    pub ip: IpAddr,
}

/// What the kernel knows of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    state: NeighbourState,
    flags: NeighbourFlags,
    more: Option<u32>,
}

impl Entry {
    /// Nobody is asked for it, so it proves nothing: somebody has set it for good (`permanent`), or the
    /// link has no such resolution (`noarp`).
    pub fn is_fixed(&self) -> bool {
        matches!(self.state, NeighbourState::Permanent | NeighbourState::Noarp)
    }

    /// An answer to a question has come, within the last half minute or so. An announcement that
    /// nobody has asked for does not lead here, but to `stale`.
    pub fn is_reachable(&self) -> bool {
        self.state == NeighbourState::Reachable
    }

    /// The kernel is asking the hardware address that it knows.
    pub fn is_probed(&self) -> bool {
        self.state == NeighbourState::Probe
    }

    /// The kernel is asking everybody on the link.
    pub fn is_searched(&self) -> bool {
        self.state == NeighbourState::Incomplete
    }

    /// Whether there is a hardware address to be asked.
    pub fn is_known(&self) -> bool {
        use NeighbourState::{Delay, Stale};
        matches!(self.state, Stale | Delay) || self.is_reachable() || self.is_probed() || self.is_fixed()
    }

    fn read(payload: &[u8]) -> Option<Entry> {
        Some(Entry {
            state: attrs::u16(payload.get(STATE..)?)?.into(),
            flags: NeighbourFlags::from_bits_retain(attrs::u8(payload.get(FLAGS..)?)?),
            more: attrs::find(Attrs::after(payload, NDMSG), NDA_FLAGS_EXT).and_then(attrs::u32),
        })
    }
}

/// The neighbours of the network namespace it was opened in.
#[derive(Debug)]
pub struct Neighbours {
    wire: Wire,
}

impl Neighbours {
    /// Opens a socket in the network namespace of this thread; no answer takes longer than `deadline`.
    ///
    /// # Errors
    /// [`WireError::Open`] when the kernel gives no such socket.
    pub fn open(deadline: Duration) -> Result<Self, WireError> {
        Ok(Self { wire: Wire::open(deadline)? })
    }

    /// What the kernel knows of one, without asking it anything; nothing is known of a stranger.
    ///
    /// # Errors
    /// [`WireError::Refused`] where the link is gone (`ENODEV`), or the kernel cannot look up a
    /// single neighbour (`EOPNOTSUPP`, before Linux 5.0); the others are the socket's.
    pub fn look(&mut self, at: Neighbour) -> Result<Option<Entry>, WireError> {
        let question = RouteNetlinkMessage::GetNeighbour(message(at));
        let mut answer = Ok(None);
        self.wire.get(&[question], &mut |_, got| match got {
            Ok((_, payload)) => answer = Ok(Entry::read(payload)),
            Err(KernelError { errno: libc::ENOENT, .. }) => {}
            Err(error) => answer = Err(WireError::Refused(error)),
        })?;
        answer
    }

    /// Has the kernel ask the known address of one at once, whatever it knew: from now on the entry is
    /// reachable only if an answer comes. As `ip neigh change IP dev LINK nud probe`. The traffic
    /// goes on meanwhile.
    ///
    /// # Errors
    /// As the kernel puts it: `ENOENT` and `EINVAL` where there is no such entry, or no address, any more.
    pub fn ask_known(&mut self, at: Neighbour, entry: Entry) -> Result<(), WireError> {
        self.send(vec![Request::new(changed(at, Some(entry), NeighbourState::Probe), 0)])
    }

    /// Forgets the address of one, where there is one, and has the kernel ask everybody on the link
    /// for it at once. As `ip neigh replace IP dev LINK use`. Not for a fixed entry, which would be lost.
    ///
    /// # Errors
    /// As the kernel puts it.
    pub fn ask_everybody(&mut self, at: Neighbour, entry: Option<Entry>) -> Result<(), WireError> {
        let forgotten = entry.filter(Entry::is_known).map(|it| changed(at, Some(it), NeighbourState::Failed));
        let mut used = message(at);
        used.header.flags = NeighbourFlags::Use | kept(entry);
        used.attributes.extend(more(entry));
        let used = Request::new(RouteNetlinkMessage::NewNeighbour(used), NLM_F_CREATE);
        self.send(forgotten.map(|it| Request::new(it, 0)).into_iter().chain([used]).collect())
    }

    fn send(&mut self, requests: Vec<Request>) -> Result<(), WireError> {
        let results = self.wire.try_each(&requests)?;
        results.into_iter().collect::<Result<(), _>>().map_err(WireError::Refused)
    }
}

fn message(at: Neighbour) -> NeighbourMessage {
    let mut message = NeighbourMessage::default();
    message.header.family = if at.ip.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    message.header.ifindex = at.link;
    message.attributes = vec![NeighbourAttribute::Destination(at.ip.into())];
    message
}

/// A change of the state alone. Without `NLM_F_REPLACE` the kernel leaves the address, and whether it
/// is a router's, as they are; the other flags go unless they are said again.
fn changed(at: Neighbour, entry: Option<Entry>, state: NeighbourState) -> RouteNetlinkMessage {
    let mut message = message(at);
    message.header.state = state;
    message.header.flags = kept(entry);
    message.attributes.extend(more(entry));
    RouteNetlinkMessage::NewNeighbour(message)
}

fn kept(entry: Option<Entry>) -> NeighbourFlags {
    entry.map_or(NeighbourFlags::empty(), |it| it.flags & EXT_LEARNED)
}

fn more(entry: Option<Entry>) -> Option<NeighbourAttribute> {
    Some(NeighbourAttribute::ExtFlags(NeighbourExtFlags::from_bits_retain(entry?.more?)))
}
