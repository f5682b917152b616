//! The kernel's messages about links, addresses, routes and rules, collected until they make a whole.
//!
//! One message names others by interface index, and those may come later; so everything is
//! collected first and put together in `mirror.rs`. No socket here: which messages to ask for is
//! `reader.rs`'s business. Bytes that make no sense are passed over, and none make it panic.

use std::collections::{BTreeSet, HashMap};

use vdsm_model::ip::Route;
use vdsm_model::name::DeviceName;
use vdsm_model::netinfo::{MANY_ROUTES, Qdisc};
use vdsm_model::rule::Rule;

use super::NicRule;
use super::layer3::{self, Told};
use super::link::Head;
use super::shaping::{self, Piece};
use super::{details, rule};

/// To find one link's routes, the kernel goes through those of all: of 100,000 in 10 ms, for each link.
const CROWD: usize = 10_000;

/// What has come from the kernel so far.
pub(super) struct Dump<'r> {
    nics: &'r dyn NicRule,
    pub(super) links: Vec<Head>,
    pub(super) addresses: Vec<Told>,
    pub(super) routes: Vec<(u32, Route)>,
    pub(super) rules: Vec<Rule>,
    pub(super) qdiscs: Vec<(u32, Qdisc)>,
    /// Of root disciplines of ours.
    pub(super) pieces: Vec<(u32, Piece)>,
    /// How many routes of one link there are, so that a full table takes no memory.
    counts: HashMap<u32, usize>,
    most: usize,
    /// How many routes are none of ours to keep.
    passed_over: usize,
    ipv6: bool,
}

/// How far a dump had come, to forget what an interrupted reading added since.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark {
    links: usize,
    addresses: usize,
    routes: usize,
    rules: usize,
    qdiscs: usize,
    pieces: usize,
}

impl<'r> Dump<'r> {
    /// Nothing yet.
    pub(super) fn new(nics: &'r dyn NicRule) -> Dump<'r> {
        Dump {
            nics,
            links: Vec::new(),
            addresses: Vec::new(),
            routes: Vec::new(),
            rules: Vec::new(),
            qdiscs: Vec::new(),
            pieces: Vec::new(),
            counts: HashMap::new(),
            most: MANY_ROUTES,
            passed_over: 0,
            ipv6: false,
        }
    }

    /// The same, and it takes every route, however many there are.
    pub(super) fn with_all_routes(self) -> Dump<'r> {
        Dump { most: usize::MAX, ..self }
    }

    /// Takes one message; any of a type it does not know is passed over.
    pub(super) fn take(&mut self, kind: u16, payload: &[u8]) {
        match kind {
            libc::RTM_NEWLINK => {
                if let Some(head) = Head::read(payload, self.nics) {
                    self.ipv6 |= head.link.ipv6_disabled.is_some();
                    self.links.push(head);
                }
            }
            libc::RTM_NEWADDR => self.addresses.extend(layer3::address(payload).filter(|told| told.address.is_some())),
            libc::RTM_NEWROUTE => {
                let Some((index, route)) = layer3::route(payload) else {
                    self.passed_over += usize::from(!layer3::is_local(payload));
                    self.routes.extend(layer3::hops(payload));
                    return;
                };
                let count = self.counts.entry(index).or_default();
                *count += 1;
                // One more than are kept says that there are many.
                if route.to.prefix == 0 || *count <= self.most.saturating_add(1) {
                    self.routes.push((index, route));
                }
            }
            libc::RTM_NEWRULE => self.rules.extend(rule::rule(payload)),
            libc::RTM_NEWQDISC => self.qdiscs.extend(details::qdisc(payload).filter(|(_, it)| it.handle != 0)),
            libc::RTM_NEWTCLASS => self.pieces.extend(shaping::class(payload)),
            libc::RTM_NEWTFILTER => self.pieces.extend(shaping::filter(payload)),
            _ => {}
        }
    }

    /// Whether the kernel has so many routes that to go through them all costs more than it tells.
    pub(super) fn is_crowded(&self) -> bool {
        self.passed_over > CROWD
    }

    /// The links so far whose root discipline is ours.
    pub(super) fn shaped(&self) -> BTreeSet<u32> {
        self.qdiscs.iter().filter(|(_, qdisc)| qdisc.is_our_root()).map(|(index, _)| *index).collect()
    }

    /// This moment, for [`Dump::back_to`].
    pub(super) fn mark(&self) -> Mark {
        Mark {
            links: self.links.len(),
            addresses: self.addresses.len(),
            routes: self.routes.len(),
            rules: self.rules.len(),
            qdiscs: self.qdiscs.len(),
            pieces: self.pieces.len(),
        }
    }

    /// Forgets what has come since.
    pub(super) fn back_to(&mut self, mark: &Mark) {
        self.links.truncate(mark.links);
        self.addresses.truncate(mark.addresses);
        self.routes.truncate(mark.routes);
        self.rules.truncate(mark.rules);
        self.qdiscs.truncate(mark.qdiscs);
        self.pieces.truncate(mark.pieces);
        self.counts.clear();
        for (index, _) in &self.routes {
            *self.counts.entry(*index).or_default() += 1;
        }
    }

    /// Whether a link showed that this kernel has IPv6.
    pub(super) fn shows_ipv6(&self) -> bool {
        self.ipv6
    }

    /// The links so far, without what belongs to them: index, name and whether they are up.
    pub(super) fn heads(&self) -> impl Iterator<Item = (u32, DeviceName, bool)> + '_ {
        self.links.iter().map(|head| (head.link.index, head.link.name, head.link.up))
    }
}

#[cfg(test)]
#[path = "dump_tests.rs"]
mod tests;
