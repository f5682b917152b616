//! Asking the kernel how the host stands.
//!
//! A whole look is three dumps, however many links there are; nothing is asked
//! link by link, and nothing is read from sysfs. What the answers mean stands
//! in `dump.rs`. Reading never changes anything.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use netlink_packet_core::{NetlinkDeserializable, NetlinkHeader};
use vdsm_model::name::DeviceName;
use vdsm_model::netinfo::NetInfo;
use vdsm_netlink::{Dumped, KernelError, Wire, WireError};

use super::NicRule;
use super::dump::Dump;
use super::link::IFINFOMSG;

/// Beyond one link in so many a whole look is cheaper: of 3001 links it takes 8 µs for each, and
/// one link's message and addresses together take 13 µs.
const WORTH_A_LOOK: usize = 2;
/// The kernel goes through its whole tables to find one link's routes, which takes it a fifth of
/// the time in which it would tell them all.
const WORTH_ALL_ROUTES: usize = 4;

/// Looks at the host through a socket of its own.
///
/// The socket belongs to the network namespace of the thread that opened it.
pub struct Reader {
    wire: Wire,
    rule: Box<dyn NicRule>,
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
}

impl Reader {
    /// Opens a socket in the network namespace of this thread. The deadline holds for each dump.
    ///
    /// # Errors
    /// [`LookError::Open`] when the kernel gives no such socket.
    pub fn open(rule: impl NicRule + 'static, deadline: Duration) -> Result<Reader, LookError> {
        let wire = Wire::open(deadline).map_err(LookError::Open)?;
        Ok(Reader { wire, rule: Box::new(rule) })
    }

    /// The whole host.
    ///
    /// Each dump is consistent in itself. A link that comes to be between two of them is not yet
    /// seen; one that goes is seen without its addresses and routes.
    ///
    /// # Errors
    /// Whatever keeps one of the dumps from its end; half a host is no host.
    pub fn look(&mut self) -> Result<NetInfo, LookError> {
        let mut dump = Dump::new(&*self.rule);
        let wire = &mut self.wire;
        read(wire, &every_link(), &mut dump).map_err(LookError::Links)?;
        read(wire, &addresses_on(0), &mut dump).map_err(LookError::Addresses)?;
        read(wire, &routes_through(None), &mut dump).map_err(LookError::Routes)?;
        let has_ipv6 = dump.shows_ipv6() || Path::new("/proc/sys/net/ipv6").exists();
        Ok(dump.net_info(has_ipv6))
    }

    /// Only these links afresh, the others as they were known; a name that no link has any more
    /// is gone from the result.
    ///
    /// Whatever a change does to other links, such as the VLANs that go with their base, is not
    /// noticed: name them too. Takes a whole look where that is cheaper, where a fresh link
    /// has a neighbour nobody knows, and where the kernel cannot filter.
    ///
    /// # Errors
    /// As [`Reader::look`], and [`LookError::Link`].
    pub fn look_at(&mut self, known: &NetInfo, names: &[DeviceName]) -> Result<NetInfo, LookError> {
        let names: BTreeSet<DeviceName> = names.iter().copied().collect();
        let few = names.len() <= known.links().count() / WORTH_A_LOOK;
        let afresh = match self.wire.strict() && few {
            true => self.some(known, &names)?,
            false => None,
        };
        afresh.map_or_else(|| self.look(), Ok)
    }

    /// None when only a whole look will do.
    fn some(&mut self, known: &NetInfo, names: &BTreeSet<DeviceName>) -> Result<Option<NetInfo>, LookError> {
        let mut dump = Dump::new(&*self.rule);
        let wire = &mut self.wire;
        named(wire, names, &mut dump)?;
        let heads: Vec<_> = dump.heads().collect();
        for (index, ..) in &heads {
            match read(wire, &addresses_on(*index), &mut dump) {
                Err(error) if is_gone(&error) => return Ok(None),
                read => read.map_err(LookError::Addresses)?,
            }
        }
        // The kernel keeps no route through a link that is down.
        let up = heads.iter().filter(|(.., up)| *up);
        let mut through: Vec<Option<u32>> = up.map(|(index, ..)| Some(*index)).collect();
        if through.len() > WORTH_ALL_ROUTES {
            through = vec![None];
        }
        for index in through {
            match read(wire, &routes_through(index), &mut dump) {
                Err(error) if is_gone(&error) => return Ok(None),
                read => read.map_err(LookError::Routes)?,
            }
        }
        let has_ipv6 = known.has_ipv6 || dump.shows_ipv6();
        let stranger = Cell::new(false);
        let links = dump.into_links(&|index| {
            // What is looked at afresh may have another index by now.
            let name = known.name_of(index).filter(|name| !names.contains(name));
            stranger.set(stranger.get() || name.is_none());
            name
        });
        if stranger.get() {
            return Ok(None);
        }
        // What was known of them goes first: two may have changed their names or indexes with each other.
        let fresh = links.into_iter().map(|link| (link.name, Some(link)));
        let all = names.iter().map(|name| (*name, None)).chain(fresh);
        let mut info = known.clone().with(all);
        info.has_ipv6 = has_ipv6;
        Ok(Some(info))
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

/// Counters make up a fifth of a link's message, and nobody here wants them.
fn without_counters(header: Vec<u8>) -> Vec<u8> {
    let mask = libc::RTEXT_FILTER_SKIP_STATS as u32;
    with_attribute(header, libc::IFLA_EXT_MASK, &mask.to_ne_bytes())
}

fn every_link() -> Question {
    (libc::RTM_GETLINK, without_counters(vec![0; IFINFOMSG]))
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

/// The unicast routes of both families and all tables.
fn routes_through(index: Option<u32>) -> Question {
    let mut header = vec![0; 12];
    header[7] = libc::RTN_UNICAST;
    let header = match index {
        Some(index) => with_attribute(header, libc::RTA_OIF, &index.to_ne_bytes()),
        None => header,
    };
    (libc::RTM_GETROUTE, header)
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
fn message<M: NetlinkDeserializable>(kind: u16, payload: &[u8]) -> M {
    let mut header = NetlinkHeader::default();
    header.message_type = kind;
    M::deserialize(&header, payload).expect("these few bytes were written above")
}
