//! Layer three of the wish: addresses, routes and rules of each network, and who asks for addresses.
//!
//! What a device is below that is `desired.rs`'s.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::super::scope::top_of;
use super::super::stack::Stack;
use super::super::waiting::{self, Stay};
use super::Builder;
use crate::config::{Base, BondAddresses, NetworkConfig};
use crate::dhcp::{self, Clients};
use crate::ip::{Address, Dynamic, Fate, IpConfig, MAIN_TABLE, Place, RA, Route};
use crate::name::{DeviceName, NetworkName};
use crate::source_routing;

impl Builder<'_> {
    /// Clients of ours on the devices that carry addresses of networks that want them, and nobody
    /// else's on any device of the touched networks.
    pub(super) fn put_clients(&mut self) {
        let stacks = |(name, net): (&NetworkName, &NetworkConfig)| Stack::of(name, net, self.seen).devices();
        let untouched = |device: &DeviceName| {
            let mut topped = Stack::topped_by(*device, &self.merged.config.networks, self.seen);
            topped.any(|(name, _)| !self.merged.networks.contains(name))
        };
        let all: BTreeSet<DeviceName> = self.wanted().chain(self.former()).flat_map(stacks).collect();
        let ours = all.into_iter().chain(self.merged.slaves()).chain(self.merged.bonds.iter().copied());
        let mut wish: BTreeMap<DeviceName, Clients> =
            ours.filter(|d| !untouched(d)).map(|d| (d, Clients::default())).collect();
        for (name, net) in self.wanted() {
            if let Some(top) = top_of(name, net, self.seen) {
                let v6 = net.dhcpv6 && self.seen.has_ipv6;
                wish.insert(top, Clients { v4: net.dhcpv4, v6, ..Clients::default() });
            }
        }
        // A stranger's address below our VLANs stays, and so does who keeps it there.
        let is_left = |device: &DeviceName| self.prior_addresses_stay(*device);
        let wish: Vec<_> = wish.into_iter().filter(|(device, it)| !it.is_empty() || !is_left(device)).collect();
        for (device, clients) in wish {
            self.graph.set_clients(device, clients);
        }
    }

    /// Who has kept the default route for a network that waits no more gives it up; where one waits,
    /// it is told who has the route meanwhile.
    pub(super) fn put_stays(&mut self) {
        for (device, route) in &self.over {
            if let Some(mut ip) = self.graph.ip(device).cloned() {
                ip.routes.remove(route);
                self.graph.set_ip(*device, ip);
            }
        }
        let waiting = waiting::waiting(&self.merged.config, self.seen);
        if let Some((owner, _)) = waiting.filter(|(owner, _)| self.merged.networks.contains(*owner)) {
            let meanwhile = match &self.stay {
                Some(Stay { network, .. }) => format!("network '{network}' keeps the host's IPv4 default route"),
                None => "the host has no IPv4 default route of ours".to_owned(),
            };
            self.warnings.push(format!("network '{owner}': {meanwhile} until its lease arrives"));
        }
        self.graph.set_stay(self.stay.clone());
    }

    /// Whether a nic or bond keeps what others gave it: see [`Builder::layer_three`].
    fn prior_addresses_stay(&self, base: DeviceName) -> bool {
        self.bases.contains(&base)
            && self.untagged_on(base).is_none()
            && !self.was_untagged_on(base)
            && self.slave_of(base).is_none()
    }

    /// What a network has at layer three, on the device that carries its addresses. What follows from
    /// a lease is there once its address is.
    pub(super) fn ip_of(&self, top: DeviceName, net: &NetworkConfig) -> IpConfig {
        // A kernel without IPv6 has nothing to give that; who asks for it anew is told.
        let can = |it: IpAddr| it.is_ipv4() || self.seen.has_ipv6;
        let hears = net.hears_routers() && self.seen.has_ipv6;
        let v4 = net.ipv4.map(|ip| Address::new(ip.addr.into(), ip.prefix));
        let v6 = net.ipv6.map(|ip| Address::new(ip.addr.into(), ip.prefix));
        let mut ip = IpConfig {
            addresses: v4.into_iter().chain(v6).filter(|it| can(it.ip.addr)).collect(),
            routes: static_default_routes(net).filter(|it| can(it.to.addr)).collect(),
            dynamic: Dynamic { v4: net.dhcpv4, v6: hears, router: hears && net.default_route },
            ..IpConfig::default()
        };
        if let Some((address, gateway)) = net.ipv4.zip(net.gateway) {
            source_routing::add(top, address, Route::default_via(gateway.into()), &mut ip);
        }
        if let Some(lease) = self.seen.link(&top).filter(|_| net.dhcpv4).and_then(|link| link.lease(false)) {
            dhcp::follow(top, lease, net.default_route, &mut ip);
        }
        ip.routes.extend(self.stay.iter().filter(|stay| stay.device == top).map(|stay| stay.route));
        ip
    }

    /// The routes of a network whose place they have for themselves: the host's default routes, if they
    /// are its, and those of its source routing.
    pub(super) fn exclusive_routes(&self, name: &NetworkName, net: &NetworkConfig) -> Vec<Route> {
        let Some(top) = top_of(name, net, self.seen) else { return Vec::new() };
        self.ip_of(top, net).routes.into_iter().filter(Route::is_exclusive).collect()
    }

    /// Whoever has another route in the place of one of ours gives it up.
    pub(super) fn put_aside_rivals(&mut self) {
        let mut holders: BTreeMap<Place, Vec<DeviceName>> = BTreeMap::new();
        for (device, ip) in self.graph.ips() {
            for route in ip.all_routes().filter(|route| route.is_exclusive()) {
                holders.entry(route.place()).or_default().push(*device);
            }
        }
        for (name, net) in self.wanted() {
            let Some(top) = top_of(name, net, self.seen) else { continue };
            for ours in self.exclusive_routes(name, net) {
                let others: BTreeSet<DeviceName> =
                    holders.get(&ours.place()).into_iter().flatten().filter(|it| **it != top).copied().collect();
                others.into_iter().for_each(|device| self.put_aside(name, top, &ours, device));
            }
        }
    }

    /// A device gives up what it has in the place of a network's route.
    fn put_aside(&mut self, name: &NetworkName, top: DeviceName, ours: &Route, device: DeviceName) {
        let Some(mut ip) = self.graph.ip(&device).cloned() else { return };
        let has = self.seen.link(&top).is_some_and(|link| link.routes.contains(ours));
        // Beside ours a router may announce itself again and again, and only a new one of ours
        // takes the place of what it says.
        let gives = !has || ip.routes.iter().any(|r| r.rivals(ours));
        if gives && Stack::topped_by(device, &self.running.networks, self.seen).next().is_none() {
            let theirs = ip.announced.iter().chain(&ip.routes).find(|r| r.rivals(ours));
            self.warnings.extend(theirs.map(|theirs| gives_way(name, device, theirs)));
        }
        ip.routes.retain(|r| !r.rivals(ours));
        ip.announced.retain(|r| !r.rivals(ours));
        self.graph.set_ip(device, ip);
    }

    /// What a nic or bond has at layer three, and whether IPv6 runs on it.
    pub(super) fn layer_three(&self, base: DeviceName, policy: BondAddresses) -> (Option<bool>, IpConfig) {
        let live = self.graph.ip(&base).cloned().unwrap_or_default();
        let Some((name, net)) = self.untagged_on(base) else {
            // "Removing the network ... removes any previous configuration" (design document).
            let ip = if self.was_untagged_on(base) { IpConfig::default() } else { live };
            // A stranger's address below our VLANs is not ours to disturb, nor is a nic that is
            // released.
            let ours = self.is_used(base) || self.merged.config.bonds.contains_key(&base);
            // One that had none for its small MTU would have IPv6 when it grows again.
            let ours = ours || self.seen.link(&base).is_some_and(|link| link.ipv6_disabled.is_none());
            return ((ours && ip.is_empty()).then_some(false), ip);
        };
        if net.bridged {
            return (Some(false), IpConfig::default());
        }
        if !self.merged.networks.contains(name) {
            return (None, live);
        }
        let mut ip = self.ip_of(base, net);
        if policy == BondAddresses::Preserve {
            let owned = self
                .running
                .networks
                .get(name)
                .filter(|n| n.base.map(Base::device) == Some(base) && !n.bridged && n.vlan.is_none())
                // The default route that it may have kept for the network that waits for it was ours, too.
                .map(|net| NetworkConfig { default_route: self.running.default_route().is_some(), ..net.clone() })
                .map(|net| self.ip_of(base, &net))
                .unwrap_or_default();
            // The stranger's stay first: the network's become the secondary ones. What the network has
            // already stays where it is, whoever came after it.
            let is_kept = |a: &&Address| owned.addresses.contains(*a) && ip.addresses.contains(*a);
            // What comes and goes by itself was somebody's whom we have sent away.
            let is_theirs =
                |a: &&Address| !owned.addresses.contains(*a) && !ip.addresses.contains(*a) && !a.is_dynamic();
            // For as long as the network wants it, however long it is there.
            let wanted = |a: &Address| ip.addresses.iter().find(|it| *it == a).copied().unwrap_or(*a);
            let mut addresses: Vec<Address> =
                live.addresses.iter().filter(|a| is_kept(a) || is_theirs(a)).map(wanted).collect();
            let missing: Vec<Address> = ip.addresses.iter().filter(|a| !addresses.contains(*a)).copied().collect();
            addresses.extend(missing);
            ip.addresses = addresses;
            let theirs: Vec<Route> = live
                .routes
                .iter()
                .filter(|r| !owned.routes.contains(*r) && !ip.routes.iter().any(|ours| r.rivals(ours)))
                .copied()
                .collect();
            ip.routes.extend(theirs);
        }
        (Some(net.wants_ipv6() || ip.uses_ipv6()), ip)
    }
}

/// What is said of a stranger's route that gives way.
fn gives_way(name: &NetworkName, device: DeviceName, theirs: &Route) -> String {
    let route = theirs.on(device);
    match theirs {
        Route { table, .. } if *table != MAIN_TABLE => {
            format!(
                "network '{name}': '{route}', which is not ours, gives way: it is in the table of the network's source routing"
            )
        }
        Route { fate: Fate::Forwarded, .. } => {
            let until = if theirs.protocol == RA { " until a router announces it anew" } else { "" };
            format!(
                "network '{name}': the host has one default route a family: that of {device}, which is not ours, gives way{until}"
            )
        }
        _ => format!(
            "network '{name}': the host has one default route a family: '{route}', which is not ours, gives way"
        ),
    }
}

/// The host's default routes that a network names itself, if they are its.
fn static_default_routes(net: &NetworkConfig) -> impl Iterator<Item = Route> + use<> {
    let gateways = net.gateway.map(Into::into).into_iter().chain(net.ipv6_gateway.map(Into::into));
    let owner = net.default_route;
    gateways.filter(move |_| owner).map(Route::default_via)
}
