//! Asking the kernel how the host stands.
//!
//! A whole look is five dumps, however many links there are, and two more for each that has host QoS; nothing is read from sysfs. What the
//! answers mean stands in `dump.rs` and `mirror.rs`. Reading never changes anything, and nothing is
//! kept here from one question to the next.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use netlink_packet_core::{NetlinkDeserializable, NetlinkHeader};
use vdsm_model::ip::Route;
use vdsm_model::name::DeviceName;
use vdsm_model::netinfo::NetInfo;
use vdsm_netlink::generic::GenericError;
use vdsm_netlink::{Dumped, Got, KernelError, Wire, WireError};

use super::NicRule;
use super::dump::Dump;
use super::layer3::{LOOPBACK, is_made};
use super::link::IFINFOMSG;
use super::mirror::Mirror;
use super::shaping::HANDLE;

/// Beyond one link in so many a whole look is cheaper: of 3001 links it takes 8 µs for each, and
/// one link's message and addresses together take 13 µs.
const WORTH_A_LOOK: usize = 2;
/// The kernel goes through its whole tables to find one link's routes, which takes it a fifth of
/// the time in which it would tell them all.
const WORTH_ALL_ROUTES: usize = 4;

/// Asks the kernel through a socket of its own.
///
/// The socket belongs to the network namespace of the thread that opened it.
pub struct Reader {
    wire: Wire,
    /// See [`Dump::is_crowded`], as of the last whole look.
    crowded: bool,
}

/// Why the host could not be looked at.
#[derive(Debug, thiserror::Error)]
pub enum LookError {
    /// There is no way to ask.
    #[error("cannot ask the kernel about the network")]
    Open(#[source] WireError),
    /// The links do not come.
    #[error("cannot read the links")]
    Links(#[source] WireError),
    /// The kernel does not tell about one link.
    #[error("cannot read link {name}")]
    Link {
        /// Which one.
        name: DeviceName,
        /// Why not.
        #[source]
        source: KernelError,
    },
    /// The addresses do not come.
    #[error("cannot read the addresses")]
    Addresses(#[source] WireError),
    /// The routes do not come.
    #[error("cannot read the routes")]
    Routes(#[source] WireError),
    /// The rules of routing do not come.
    #[error("cannot read the rules of routing")]
    Rules(#[source] WireError),
    /// The queueing disciplines do not come.
    #[error("cannot read the queueing disciplines")]
    Qdiscs(#[source] WireError),
    /// The settings of nics do not come.
    #[error("cannot read the settings of nics")]
    Settings(#[source] GenericError),
    /// Other processes cannot be looked at.
    #[error("cannot look for DHCP clients")]
    Processes(#[source] std::io::Error),
    /// Events cannot be listened to.
    #[error("cannot listen to the kernel's events")]
    Events(#[source] WireError),
}

impl Reader {
    /// Opens a socket in the network namespace of this thread. The deadline holds for each dump.
    ///
    /// # Errors
    /// [`LookError::Open`] when the kernel gives no such socket.
    pub fn open(deadline: Duration) -> Result<Reader, LookError> {
        Ok(Reader { wire: Wire::open(deadline).map_err(LookError::Open)?, crowded: false })
    }

    /// How often the kernel was asked.
    pub(super) fn questions(&self) -> u64 {
        self.wire.exchanges()
    }

    /// The whole host at once, for those who look once.
    ///
    /// Each dump is consistent in itself. A link that comes to be between two of them is not yet
    /// seen; one that goes is seen without its addresses and routes. Nobody is asked for speeds.
    ///
    /// # Errors
    /// Whatever keeps one of the dumps from its end; half a host is no host.
    pub fn look(&mut self, nics: &dyn NicRule) -> Result<NetInfo, LookError> {
        let mut dump = Dump::new(nics);
        let has_ipv6 = self.whole(&mut dump)?;
        Ok(Mirror::of(dump, has_ipv6).compose().0)
    }

    /// All tables; whether the kernel has IPv6.
    pub(super) fn whole(&mut self, dump: &mut Dump<'_>) -> Result<bool, LookError> {
        let wire = &mut self.wire;
        read(wire, &every_link(), dump).map_err(LookError::Links)?;
        read(wire, &addresses_on(0), dump).map_err(LookError::Addresses)?;
        read(wire, &routes_through(None), dump).map_err(LookError::Routes)?;
        self.crowded = dump.is_crowded();
        read(wire, &(libc::RTM_GETRULE, vec![0; RULE_HEADER]), dump).map_err(LookError::Rules)?;
        // A kernel without traffic control has no such table.
        match read(wire, &(libc::RTM_GETQDISC, vec![0; TCMSG]), dump) {
            Err(WireError::Refused(error)) if error.errno == libc::EOPNOTSUPP => {}
            read => read.map_err(LookError::Qdiscs)?,
        }
        self.shapers(&dump.shaped(), dump)?;
        Ok(dump.shows_ipv6() || Path::new("/proc/sys/net/ipv6").exists())
    }

    /// These links' own messages. One that does not exist leaves nothing in the dump.
    pub(super) fn links(&mut self, indexes: &[u32], dump: &mut Dump<'_>) -> Result<(), LookError> {
        let questions: Vec<_> = (indexes.iter()).map(|index| message(libc::RTM_GETLINK, &link_at(*index))).collect();
        let mut refused = None;
        let each = &mut |_, answer: Got<'_>| match answer {
            Ok((kind, payload)) => dump.take(kind, payload),
            Err(error) if error.errno == libc::ENODEV => {}
            Err(error) => refused = Some(error),
        };
        self.wire.get(&questions, each).map_err(LookError::Links)?;
        refused.map_or(Ok(()), |error| Err(LookError::Links(WireError::Refused(error))))
    }

    /// Whether the kernel has so many routes that events are to tell of ours, not answers.
    pub(super) fn is_crowded(&self) -> bool {
        self.crowded
    }

    /// These links with their addresses and, unless there are too many, their routes; false when only a whole
    /// look will do: one of them went meanwhile, or the kernel cannot filter. `known` is how many links there
    /// are: beyond one in [`WORTH_A_LOOK`] a whole look is cheaper.
    pub(super) fn deep(
        &mut self,
        names: &BTreeSet<DeviceName>,
        known: usize,
        dump: &mut Dump<'_>,
    ) -> Result<bool, LookError> {
        let wire = &mut self.wire;
        if !wire.strict() || names.len() > known / WORTH_A_LOOK {
            return Ok(false);
        }
        named(wire, names, dump)?;
        let heads: Vec<_> = dump.heads().collect();
        for (index, ..) in &heads {
            match read(wire, &addresses_on(*index), dump) {
                Err(error) if is_gone(&error) => return Ok(false),
                read => read.map_err(LookError::Addresses)?,
            }
        }
        if self.crowded {
            return Ok(true);
        }
        // The kernel keeps no route through a link that is down, but those that lead nowhere.
        let up = heads.iter().filter(|(index, _, up)| *up || *index == LOOPBACK).map(|(index, ..)| *index).collect();
        self.routes(&up, dump)?;
        Ok(true)
    }

    /// The routes through these links; there are none through one that does not exist.
    pub(super) fn routes(&mut self, links: &BTreeSet<u32>, dump: &mut Dump<'_>) -> Result<(), LookError> {
        let mut through: Vec<Option<u32>> = links.iter().copied().map(Some).collect();
        // Those of the loopback that lead nowhere have no device to ask for.
        if through.len() > WORTH_ALL_ROUTES || links.contains(&LOOPBACK) {
            through = vec![None];
        }
        for index in through {
            match read(&mut self.wire, &routes_through(index), dump) {
                Err(error) if is_gone(&error) => {}
                read => read.map_err(LookError::Routes)?,
            }
        }
        dump.routes.retain(|(index, _)| links.contains(index));
        Ok(())
    }

    /// The classes and filters below a root discipline of ours on these links; there are none on a
    /// link that does not exist.
    pub(super) fn shapers(&mut self, links: &BTreeSet<u32>, dump: &mut Dump<'_>) -> Result<(), LookError> {
        for index in links {
            for kind in [libc::RTM_GETTCLASS, libc::RTM_GETTFILTER] {
                match read(&mut self.wire, &(kind, below_our_root(*index)), dump) {
                    Err(error) if is_gone(&error) => {}
                    read => read.map_err(LookError::Qdiscs)?,
                }
            }
        }
        Ok(())
    }

    /// All routes through a link, however many they are.
    pub(super) fn all_routes(&mut self, index: u32, nics: &dyn NicRule) -> Result<Vec<Route>, LookError> {
        let mut dump = Dump::new(nics).with_all_routes();
        match read(&mut self.wire, &routes_through(Some(index)), &mut dump) {
            Err(error) if !is_gone(&error) => return Err(LookError::Routes(error)),
            _ => {}
        }
        // A kernel without strict checking does not filter.
        Ok(dump
            .routes
            .into_iter()
            .filter(|(it, route)| *it == index && !is_made(route) && !route.shared)
            .map(|(_, it)| it)
            .collect())
    }
}

/// Asks for each link by name. One that does not exist leaves nothing in the dump.
fn named(wire: &mut Wire, names: &BTreeSet<DeviceName>, dump: &mut Dump<'_>) -> Result<(), LookError> {
    let asked: Vec<DeviceName> = names.iter().copied().collect();
    let questions: Vec<_> = asked.iter().map(|name| message(libc::RTM_GETLINK, &link_named(name))).collect();
    let mut refused = BTreeMap::new();
    wire.get(&questions, &mut |at, answer| match answer {
        Ok((kind, payload)) => {
            let before = dump.mark();
            dump.take(kind, payload);
            // The kernel goes by alternative names, too.
            if dump.heads().last().is_some_and(|(_, name, _)| name != asked[at]) {
                dump.back_to(&before);
            }
        }
        Err(error) if error.errno == libc::ENODEV => {}
        Err(error) => drop(refused.insert(asked[at], error)),
    })
    .map_err(LookError::Links)?;
    match refused.pop_first() {
        Some((name, source)) => Err(LookError::Link { name, source }),
        None => Ok(()),
    }
}

/// Reads one table to its end.
fn read(wire: &mut Wire, question: &Question, dump: &mut Dump<'_>) -> Result<(), WireError> {
    let start = dump.mark();
    let (kind, payload) = question;
    wire.dump(message(*kind, payload), &mut |dumped| match dumped {
        Dumped::Start => dump.back_to(&start),
        Dumped::Object { kind, payload } => dump.take(kind, payload),
    })
}

fn is_gone(error: &WireError) -> bool {
    matches!(error, WireError::Refused(refusal) if refusal.errno == libc::ENODEV)
}

/// The type of a request, and its bytes behind the netlink header.
type Question = (u16, Vec<u8>);

/// Length of `fib_rule_hdr` and of `tcmsg`.
const RULE_HEADER: usize = 12;
const TCMSG: usize = 20;

/// Counters make up a fifth of a link's message, and nobody here wants them; virtual functions
/// are told to those only who ask.
fn without_counters(header: Vec<u8>) -> Vec<u8> {
    let mask = (libc::RTEXT_FILTER_SKIP_STATS | libc::RTEXT_FILTER_VF) as u32;
    with_attribute(header, libc::IFLA_EXT_MASK, &mask.to_ne_bytes())
}

fn every_link() -> Question {
    (libc::RTM_GETLINK, without_counters(vec![0; IFINFOMSG]))
}

fn link_at(index: u32) -> Vec<u8> {
    let mut header = vec![0; IFINFOMSG];
    header[4..8].copy_from_slice(&index.to_ne_bytes());
    without_counters(header)
}

fn link_named(name: &DeviceName) -> Vec<u8> {
    let text = [name.as_str().as_bytes(), &[0]].concat();
    with_attribute(without_counters(vec![0; IFINFOMSG]), libc::IFLA_IFNAME, &text)
}

/// The addresses of both families; index 0 stands for all links.
fn addresses_on(index: u32) -> Question {
    // Family, prefix, flags and scope, each a byte.
    let header = [[0; 4], index.to_ne_bytes()].concat();
    (libc::RTM_GETADDR, header)
}

/// The routes of both families and all tables, or the unicast ones through a link. One can ask for a
/// single type, and all of them together cost less than the few that are wanted by themselves.
fn routes_through(index: Option<u32>) -> Question {
    let mut header = vec![0; 12];
    if let Some(index) = index {
        header[7] = libc::RTN_UNICAST;
        header = with_attribute(header, libc::RTA_OIF, &index.to_ne_bytes());
    }
    (libc::RTM_GETROUTE, header)
}

/// A `tcmsg`.
fn below_our_root(index: u32) -> Vec<u8> {
    [[0; 4], index.to_ne_bytes(), [0; 4], HANDLE.to_ne_bytes(), [0; 4]].concat()
}

fn with_attribute(mut message: Vec<u8>, kind: u16, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(4 + value.len()).unwrap_or(u16::MAX);
    message.extend(length.to_ne_bytes());
    message.extend(kind.to_ne_bytes());
    message.extend(value);
    message.resize(message.len().next_multiple_of(4), 0);
    message
}

/// The transport wants its messages typed. The type is left to inference, as it belongs to a
/// crate nobody else here needs.
pub(super) fn message<M: NetlinkDeserializable>(kind: u16, payload: &[u8]) -> M {
    let mut header = NetlinkHeader::default();
    header.message_type = kind;
    M::deserialize(&header, payload).expect("these few bytes were written above")
}
