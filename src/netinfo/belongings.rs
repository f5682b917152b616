//! What belongs to one link at layer three: its addresses and routes, kept as the kernel keeps them.
//!
//! An event says that an address or a route came or went, not where in the kernel's list; and some
//! things the kernel does without an event. Both are repeated here, for one link. What one link's
//! change means for another's routes is `mirror.rs`'s.

use std::net::IpAddr;

use vdsm_model::ip::{Address, Route};
use vdsm_model::netinfo::{MANY_ROUTES, Qdisc};
use vdsm_model::qos::Shaper;

use super::layer3::{Told, is_made};
use super::shaping::{Classes, HANDLE};

/// One link's addresses, routes and queueing disciplines.
#[derive(Clone, Debug, Default)]
pub(super) struct Belongings {
    /// With whether an IPv4 address is a secondary one.
    addresses: Vec<(Address, bool)>,
    routes: Vec<Route>,
    made: Vec<Route>,
    shared: Vec<Route>,
    /// More routes than are kept.
    pub(super) many: bool,
    pub(super) qdiscs: Vec<Qdisc>,
    /// What is below a root discipline of ours, without the leaves: those are disciplines.
    classes: Classes,
}

impl Belongings {
    /// Nothing but what shapes its traffic.
    pub(super) fn of_shaping(former: Belongings) -> Belongings {
        Belongings { qdiscs: former.qdiscs, classes: former.classes, ..Belongings::default() }
    }

    pub(super) fn addresses(&self) -> impl Iterator<Item = &Address> {
        self.addresses.iter().map(|(address, _)| address)
    }

    pub(super) fn routes(&self) -> &[Route] {
        &self.routes
    }

    pub(super) fn made(&self) -> &[Route] {
        &self.made
    }

    pub(super) fn shared(&self) -> &[Route] {
        &self.shared
    }

    pub(super) fn all_routes(&self) -> impl Iterator<Item = &Route> {
        self.routes.iter().chain(&self.made).chain(&self.shared)
    }

    /// The list in which such a route is.
    fn list_of(&mut self, route: &Route) -> &mut Vec<Route> {
        match route {
            Route { shared: true, .. } => &mut self.shared,
            _ if is_made(route) => &mut self.made,
            _ => &mut self.routes,
        }
    }

    /// Puts an address at its place in the kernel's list. Of a dump, that is the end.
    pub(super) fn add_address(&mut self, address: Address, secondary: bool) {
        let same = |(it, _): &(Address, bool)| *it == address && it.more.peer == address.more.peer;
        if let Some(known) = self.addresses.iter().position(same) {
            if self.addresses[known].1 == secondary {
                self.addresses[known].0 = address;
                return;
            }
            // It was promoted.
            self.addresses.remove(known);
        }
        let place = match address.ip.addr {
            // net/ipv4/devinet.c, __inet_insert_ifa: a primary address stands behind the last
            // primary of the same or a wider scope, a secondary one behind all.
            IpAddr::V4(_) => {
                let end =
                    self.addresses.iter().position(|(it, _)| it.ip.addr.is_ipv6()).unwrap_or(self.addresses.len());
                let is_before = |(it, secondary): &(Address, bool)| {
                    it.ip.addr.is_ipv4() && !secondary && address.more.scope <= it.more.scope
                };
                let behind = self.addresses.iter().rposition(is_before).map_or(0, |at| at + 1);
                if secondary { end } else { behind }
            }
            // net/ipv6/addrconf.c, ipv6_link_dev_addr: before the first of the same or a narrower scope.
            IpAddr::V6(_) => {
                let width = scope(&address);
                let first = self.addresses.iter().position(|(it, _)| it.ip.addr.is_ipv6() && scope(it) <= width);
                first.unwrap_or(self.addresses.len())
            }
        };
        self.addresses.insert(place, (address, secondary));
    }

    /// An address as a dump has it, behind those that came before.
    pub(super) fn append_address(&mut self, told: Told) {
        self.addresses.extend(told.address.map(|address| (address, told.secondary)));
    }

    /// Takes an address out; none when it was not there, else the routes that went with it: the
    /// last IPv4 address takes all of IPv4's, without an event (net/ipv4/fib_frontend.c,
    /// fib_inetaddr_event).
    pub(super) fn remove_address(&mut self, address: &Address) -> Option<Vec<Route>> {
        let same = |(it, _): &(Address, bool)| it == address && it.more.peer == address.more.peer;
        let known = self.addresses.iter().position(same)?;
        self.addresses.remove(known);
        let was_last = address.ip.addr.is_ipv4() && !self.addresses().any(|it| it.ip.addr.is_ipv4());
        Some(if was_last { self.drop_routes(|route| route.to.addr.is_ipv4() && route.leaves()) } else { Vec::new() })
    }

    /// Adds a route, unless it is there; gives back those that became too many.
    pub(super) fn add_route(&mut self, route: Route) -> Vec<Route> {
        if self.many && route.to.prefix != 0 || self.list_of(&route).contains(&route) {
            return Vec::new();
        }
        self.list_of(&route).push(route);
        if self.routes.len() + self.made.len() <= MANY_ROUTES {
            return Vec::new();
        }
        self.many = true;
        self.drop_routes(|it| it.to.prefix != 0)
    }

    /// Takes a route out.
    pub(super) fn remove_route(&mut self, route: &Route) {
        let list = self.list_of(route);
        // What an event repeats of a route may differ in its metrics.
        let told = |it: &Route| (it.place(), it.gateway, it.source, it.fate, it.nhid);
        let like = |it: &Route| told(it) == told(route);
        let place = list.iter().position(|it| it == route).or_else(|| list.iter().position(like));
        place.map(|place| list.remove(place));
    }

    /// Drops routes, and gives them back.
    pub(super) fn drop_routes(&mut self, which: impl Fn(&Route) -> bool) -> Vec<Route> {
        let mut dropped: Vec<Route> = self.routes.extract_if(.., |route| which(route)).collect();
        dropped.extend(self.made.extract_if(.., |route| which(route)));
        dropped.extend(self.shared.extract_if(.., |route| which(route)));
        dropped
    }

    /// A discipline came, in the place of the one that hung there.
    pub(super) fn add_qdisc(&mut self, qdisc: Qdisc) {
        self.qdiscs.retain(|it| it.parent != qdisc.parent);
        // The kernel's own defaults have no handle.
        if qdisc.handle != 0 {
            self.qdiscs.push(qdisc);
            self.qdiscs.sort_unstable();
        }
    }

    /// Whether the root discipline is ours, so that classes and filters are wanted.
    pub(super) fn is_shaped(&self) -> bool {
        self.qdiscs.iter().any(Qdisc::is_our_root)
    }

    /// The classes and filters below our root, as they were read.
    pub(super) fn set_classes(&mut self, classes: Classes) {
        self.classes = classes;
    }

    /// The shaper, where the root discipline is ours.
    pub(super) fn shaper(&self) -> Option<Shaper> {
        let root = self.qdiscs.iter().find(|qdisc| qdisc.is_our_root())?;
        let mut classes = self.classes.clone();
        for (number, class) in &mut classes {
            let number = u32::from(*number);
            let is_leaf =
                |it: &Qdisc| (it.parent, it.handle) == (HANDLE | number, number << 16) && it.kind == "fq_codel";
            class.leaf = self.qdiscs.iter().any(is_leaf);
        }
        Some(Shaper { default: root.default_class.unwrap_or(0), classes })
    }

    /// A class went, and what hung on it with it.
    pub(super) fn remove_class(&mut self, class: u32) {
        if let Some(lost) = self.qdiscs.iter().find(|it| it.parent == class) {
            self.remove_qdisc(lost.handle);
        }
    }

    /// A discipline went, and what hung on it with it.
    pub(super) fn remove_qdisc(&mut self, handle: u32) {
        self.qdiscs.retain(|it| it.handle != handle);
        let major = |number: u32| number >> 16;
        while let Some(lost) = (self.qdiscs.iter())
            .position(|it| handle != 0 && major(it.parent) == major(handle) && it.parent < 0xffff_0000)
        {
            let handle = self.qdiscs.remove(lost).handle;
            self.remove_qdisc(handle);
        }
    }
}

/// How far an IPv6 address reaches, as `ipv6_addr_src_scope` orders it.
fn scope(address: &Address) -> u8 {
    match address.ip.addr {
        IpAddr::V6(addr) if addr.is_loopback() => 1,
        IpAddr::V6(addr) if addr.is_unicast_link_local() => 2,
        IpAddr::V6(addr) if addr.segments()[0] & 0xffc0 == 0xfec0 => 5,
        _ => 14,
    }
}
