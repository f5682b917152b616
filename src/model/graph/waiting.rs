//! Who has the host's IPv4 default route while the network that is to have it waits for its lease.
//!
//! There is one default route, and the host is without only when that cannot be helped. A lease can
//! take for ever, so until it is there whoever of ours has the route keeps it; then it moves as every
//! default route does. Nobody's memory says so: the network that keeps it names a gateway, or has one
//! from a lease of its own, and its device has that route now. One that somebody else takes away
//! meanwhile is therefore not brought back.
//!
//! IPv6 has nothing of this, although a network that hears routers waits for one: the kernel itself
//! makes their route, at the same metric, beside any other one that is there. With a former owner
//! that stays the host would have two until we hear of it, which is worse than none for the moment
//! that it takes to ask a router.

use serde::{Deserialize, Serialize};

use super::merge::Merged;
use super::scope::top_of;
use super::stack::Stack;
use crate::config::{NetConfig, NetworkConfig};
use crate::ip::{DHCP, Route};
use crate::name::{DeviceName, NetworkName};
use crate::netinfo::NetInfo;

/// A default route that stays for now where it is not to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stay {
    /// The device that gets the default route with its lease.
    pub waiting: DeviceName,
    /// The network that keeps it until then.
    pub network: NetworkName,
    /// The device that carries that network's addresses.
    pub device: DeviceName,
    /// The route.
    pub route: Route,
}

/// The default route that stays, if one does.
pub(super) fn stay(running: &NetConfig, config: &NetConfig, seen: &NetInfo) -> Option<Stay> {
    let (owner, waiting) = waiting(config, seen)?;
    let others = with_default_routes(running, seen).filter(|(name, ..)| *name != owner);
    let had_it = others.filter(|(name, before, _)| had(name, before, seen).is_some());
    let mut stays = had_it.filter_map(|(name, ..)| {
        let net = config.networks.get(name)?;
        let device = top_of(name, net, seen)?;
        let route = route_of(device, net, seen)?;
        Some(Stay { waiting, network: name.clone(), device, route })
    });
    stays.next()
}

/// The networks whose device has a default route now: of thousands of networks few do.
fn with_default_routes<'a>(
    config: &'a NetConfig,
    seen: &'a NetInfo,
) -> impl Iterator<Item = (&'a NetworkName, &'a NetworkConfig, DeviceName)> {
    let devices = seen.with_default_routes().map(|link| link.name);
    devices.flat_map(|device| {
        let networks = Stack::topped_by(device, &config.networks, seen);
        networks.map(move |(name, net)| (name, net, device))
    })
}

/// The default route network that waits for its IPv4 lease, and the device it waits on.
pub(super) fn waiting<'a>(config: &'a NetConfig, seen: &NetInfo) -> Option<(&'a NetworkName, DeviceName)> {
    let owner = config.default_route()?;
    let net = config.networks.get(owner).filter(|net| net.dhcpv4)?;
    let top = top_of(owner, net, seen)?;
    seen.link(&top).and_then(|link| link.lease(false)).is_none().then_some((owner, top))
}

/// The default route network, where its lease has come and nobody has drawn the consequences yet: one
/// that has kept the route for it and is touched now would give it to nobody. So the request does.
pub(super) fn due(running: &NetConfig, merged: &Merged, seen: &NetInfo) -> Option<NetworkName> {
    let owner = merged.config.default_route().filter(|owner| !merged.networks.contains(*owner))?;
    let net = merged.config.networks.get(owner).filter(|net| net.dhcpv4)?;
    let link = seen.link(&top_of(owner, net, seen)?)?;
    let gateway = link.lease(false)?.gateway?;
    let leased = Route { protocol: DHCP, ..Route::default_via(gateway.into()) };
    let mut touched = with_default_routes(running, seen).filter(|(name, ..)| merged.networks.contains(*name));
    let keeps = touched.any(|(name, net, _)| had(name, net, seen).is_some());
    (keeps && !link.routes.contains(&leased)).then(|| owner.clone())
}

/// Default routes of networks that a request does not touch, which have kept them for one that waits
/// no more: its lease came without a router, or the default route is not to be its any more.
pub(super) fn over(running: &NetConfig, merged: &Merged, seen: &NetInfo) -> Vec<(DeviceName, Route)> {
    let owners = merged.config.default_route().into_iter().chain(running.default_route());
    if !owners.into_iter().any(|owner| merged.networks.contains(owner)) {
        return Vec::new();
    }
    let stays = stay(running, &merged.config, seen).map(|stay| stay.network);
    with_default_routes(&merged.config, seen)
        .filter(|(name, net, _)| {
            !merged.networks.contains(*name) && !net.default_route && Some(*name) != stays.as_ref()
        })
        .filter_map(|(name, net, device)| Some((device, had(name, net, seen)?)))
        .collect()
}

/// The IPv4 default route that a network has now and that is of our making.
fn had(name: &NetworkName, net: &NetworkConfig, seen: &NetInfo) -> Option<Route> {
    let link = seen.link(&top_of(name, net, seen)?)?;
    let named = net.gateway.map(|gateway| Route::default_via(gateway.into()));
    // A lease may have come with another router since.
    let any = Route::default_via(std::net::Ipv4Addr::UNSPECIFIED.into());
    let leased = |route: &Route| net.dhcpv4 && route.protocol == DHCP && route.rivals(&any);
    link.routes.iter().find(|route| Some(**route) == named || leased(route)).copied()
}

/// The IPv4 default route through a network's own gateway.
fn route_of(top: DeviceName, net: &NetworkConfig, seen: &NetInfo) -> Option<Route> {
    let leased = || {
        let gateway = seen.link(&top).filter(|_| net.dhcpv4)?.lease(false)?.gateway?;
        Some(Route { protocol: DHCP, ..Route::default_via(gateway.into()) })
    };
    net.gateway.map(|gateway| Route::default_via(gateway.into())).or_else(leased)
}
