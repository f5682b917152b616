//! What belongs to all links together at layer three: what one link's change means for another's.
//!
//! A replacement may take a route from another link, and an address that nobody has any more takes
//! the routes that prefer it. What happens within one link is `belongings.rs`'s.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;

use vdsm_model::ip::{Address, MAIN_TABLE, Route};
use vdsm_model::units::Prefixed;

use super::belongings::Belongings;
use super::layer3::Told;

/// See the head of this file.
#[derive(Default)]
pub(super) struct Estate {
    belongings: HashMap<u32, Belongings>,
    /// On which links a route of that kind is, to find what a replacement replaces.
    holders: HashMap<(u32, Prefixed<IpAddr>, u32), Vec<u32>>,
    /// On which links an address is, and which links' routes prefer it as their source.
    owners: HashMap<IpAddr, Vec<u32>>,
    preferring: HashMap<IpAddr, Vec<u32>>,
    /// Links that lost something by another's change.
    disturbed: Vec<u32>,
    /// Links of whose routes no event tells what became of them.
    doubtful: Vec<u32>,
}

impl Estate {
    /// What belongs to a link.
    pub(super) fn of(&self, index: u32) -> Option<&Belongings> {
        self.belongings.get(&index)
    }

    /// The same, for what is no other link's business: queueing disciplines.
    pub(super) fn of_mut(&mut self, index: u32) -> &mut Belongings {
        self.belongings.entry(index).or_default()
    }

    /// The links that lost something by another's change since the last call.
    pub(super) fn take_disturbed(&mut self) -> Vec<u32> {
        std::mem::take(&mut self.disturbed)
    }

    /// The links whose routes are to be read anew, see [`Estate::nobody_has`].
    pub(super) fn take_doubtful(&mut self) -> Vec<u32> {
        std::mem::take(&mut self.doubtful)
    }

    /// An address as a dump has it, behind those that came before.
    pub(super) fn append_address(&mut self, told: Told) {
        if let Some(address) = &told.address {
            note(&mut self.owners, address.ip.addr, told.index);
        }
        self.belongings.entry(told.index).or_default().append_address(told);
    }

    /// An address came, or is another one now.
    pub(super) fn add_address(&mut self, index: u32, address: Address, secondary: bool) {
        note(&mut self.owners, address.ip.addr, index);
        self.of_mut(index).add_address(address, secondary);
    }

    /// An address went.
    pub(super) fn remove_address(&mut self, index: u32, address: &Address) {
        let Some(own) = self.belongings.get_mut(&index) else { return };
        let Some(lost) = own.remove_address(address) else { return };
        let still = own.addresses().any(|it| it.ip.addr == address.ip.addr);
        self.forget_routes(index, &lost);
        if !still {
            self.forget_owner(index, address.ip.addr);
        }
    }

    fn forget_owner(&mut self, index: u32, addr: IpAddr) {
        forget(&mut self.owners, &addr, index);
        self.nobody_has(addr);
    }

    /// An address that nobody has any more cannot be preferred by a route of the main table
    /// (net/ipv4/fib_semantics.c, fib_sync_down_addr); in other tables IPv4's stay. IPv6's outlive it, with
    /// it where its link went down or lost IPv6, and without it where somebody took it away
    /// (net/ipv6/addrconf.c, ipv6_del_addr and rt6_remove_prefsrc): the events of both are alike.
    pub(super) fn nobody_has(&mut self, addr: IpAddr) {
        if self.owners.contains_key(&addr) {
            return;
        }
        for other in self.preferring.get(&addr).cloned().unwrap_or_default() {
            let Some(routes) = self.belongings.get_mut(&other) else { continue };
            if addr.is_ipv6() {
                self.doubtful.push(other);
                continue;
            }
            let lost = routes.drop_routes(|route| route.source == Some(addr) && route.table == MAIN_TABLE);
            self.forget_routes(other, &lost);
            self.disturbed.push(other);
        }
    }

    /// A route came.
    pub(super) fn add_route(&mut self, index: u32, route: Route) {
        note(&mut self.holders, key(&route), index);
        if let Some(source) = route.source {
            note(&mut self.preferring, source, index);
        }
        let lost = self.of_mut(index).add_route(route);
        self.forget_routes(index, &lost);
    }

    /// A route went.
    pub(super) fn remove_route(&mut self, index: u32, route: &Route) {
        if let Some(own) = self.belongings.get_mut(&index) {
            own.remove_route(route);
            self.forget_routes(index, std::slice::from_ref(route));
        }
    }

    /// Forgets that a link holds such routes, where they were its last of the kind.
    fn forget_routes(&mut self, index: u32, routes: &[Route]) {
        for route in routes {
            let left = |which: &dyn Fn(&Route) -> bool| {
                self.belongings.get(&index).is_some_and(|own| own.all_routes().any(which))
            };
            let (kind, source) = (left(&|it| key(it) == key(route)), left(&|it| it.source == route.source));
            if !kind {
                forget(&mut self.holders, &key(route), index);
            }
            if let Some(addr) = route.source.filter(|_| !source) {
                forget(&mut self.preferring, &addr, index);
            }
        }
    }

    /// One route to the same destination goes, on whichever link it was. Where there were several,
    /// or one of a routing daemon's that is not kept, it is not known which: the links that had one
    /// are given back, to be read anew.
    pub(super) fn replace(&mut self, place: (u32, Prefixed<IpAddr>, u32)) -> Vec<u32> {
        let holders = self.holders.get(&place).cloned().unwrap_or_default();
        for holder in &holders {
            self.drop_routes(*holder, |it| key(it) == place);
            self.disturbed.push(*holder);
        }
        holders
    }

    /// The links with next hops of a route like this one, where it goes over several: which of them
    /// an event adds or takes away, and what is left, is to be read.
    pub(super) fn sharing(&self, route: &Route) -> Vec<u32> {
        let holders = self.holders.get(&key(route)).cloned().unwrap_or_default();
        let shares = |index: &u32| self.of(*index).is_some_and(|own| own.shared().iter().any(|it| it.rivals(route)));
        if route.shared || holders.iter().any(shares) { holders } else { Vec::new() }
    }

    /// All routes of a link go, to be read anew.
    pub(super) fn clear_routes(&mut self, index: u32) {
        self.drop_routes(index, |_| true);
        if let Some(own) = self.belongings.get_mut(&index) {
            own.many = false;
        }
    }

    /// A link went down: IPv4's routes go without an event (net/ipv4/fib_frontend.c, fib_disable_ip).
    pub(super) fn went_down(&mut self, index: u32) {
        self.drop_routes(index, Route::leaves);
    }

    fn drop_routes(&mut self, index: u32, which: impl Fn(&Route) -> bool) {
        if let Some(own) = self.belongings.get_mut(&index) {
            let lost = own.drop_routes(which);
            self.forget_routes(index, &lost);
        }
    }

    /// Forgets all that belonged to a link, with what that means for others.
    pub(super) fn drop_all(&mut self, index: u32) {
        let (_, addresses) = self.take_all(index);
        addresses.into_iter().for_each(|addr| self.nobody_has(addr));
    }

    /// Forgets all that belonged to a link, and gives it back with its addresses.
    pub(super) fn take_all(&mut self, index: u32) -> (Belongings, Vec<IpAddr>) {
        let own = self.belongings.remove(&index).unwrap_or_default();
        let routes: Vec<Route> = own.all_routes().copied().collect();
        self.forget_routes(index, &routes);
        let addresses: Vec<IpAddr> = own.addresses().map(|address| address.ip.addr).collect();
        for addr in &addresses {
            forget(&mut self.owners, addr, index);
        }
        (own, addresses)
    }

    /// Of what a link had, there is still what shapes its traffic.
    pub(super) fn start_with(&mut self, index: u32, former: Belongings) {
        self.belongings.insert(index, Belongings::of_shaping(former));
    }
}

/// Notes that a link has something of that kind.
fn note<K: Eq + Hash>(notes: &mut HashMap<K, Vec<u32>>, kind: K, index: u32) {
    let links = notes.entry(kind).or_default();
    if !links.contains(&index) {
        links.push(index);
    }
}

/// Forgets it.
fn forget<K: Eq + Hash>(notes: &mut HashMap<K, Vec<u32>>, kind: &K, index: u32) {
    if let Some(links) = notes.get_mut(kind) {
        links.retain(|it| *it != index);
        if links.is_empty() {
            notes.remove(kind);
        }
    }
}

fn key(route: &Route) -> (u32, Prefixed<IpAddr>, u32) {
    (route.table, route.to, route.metric)
}
