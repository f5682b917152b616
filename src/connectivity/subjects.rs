//! Whose gateways and carriers a change is held against: the networks that the request names, those
//! on a bond that it names, and the host's default routes.
//!
//! What they are on the host is looked up in each picture anew, since leases and routers bring
//! more of it. Nothing is tried here.

use std::collections::BTreeSet;
use std::net::IpAddr;

use vdsm_model::config::{Base, NetConfig, NetworkConfig};
use vdsm_model::graph::Stack;
use vdsm_model::ip::{MAIN_TABLE, Route};
use vdsm_model::name::{DeviceName, NetworkName};
use vdsm_model::netinfo::{NetInfo, SeenKind, SeenLink};
use vdsm_model::request::Request;

/// See the head of this file.
#[derive(Clone, Debug, Default)]
pub struct Subjects {
    config: NetConfig,
    networks: BTreeSet<NetworkName>,
    bonds: BTreeSet<DeviceName>,
}

/// Somebody who takes packets to other networks, as a device reaches him.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Hop {
    /// The device's name and, while it is there, index.
    pub(super) device: DeviceName,
    pub(super) link: Option<u32>,
    pub(super) ip: IpAddr,
}

/// All gateways that count.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Gateways {
    /// Of each group one is enough: several routers may announce the same default route.
    pub(super) groups: BTreeSet<Vec<Hop>>,
    /// Networks whose gateway is not known yet.
    pub(super) leaseless: Vec<NetworkName>,
}

impl Subjects {
    /// Those of a request, and of the configuration that it leads to.
    pub fn of(request: &Request, config: &NetConfig) -> Subjects {
        let bonds: BTreeSet<DeviceName> =
            request.bonds.iter().filter(|(_, bond)| bond.is_some()).map(|(name, _)| *name).collect();
        let named = request.networks.iter().filter(|(_, net)| net.is_some()).map(|(name, _)| name);
        let on_bonds = bonds.iter().flat_map(|bond| config.networks.users_of(*bond)).map(|(name, _)| name);
        let networks = named.chain(on_bonds).cloned().collect();
        Subjects { config: config.clone(), networks, bonds }
    }

    fn networks(&self) -> impl Iterator<Item = (&NetworkName, &NetworkConfig)> {
        self.networks.iter().filter_map(|name| self.config.networks.get_key_value(name))
    }

    /// The gateways as this picture has them.
    pub(super) fn gateways(&self, seen: &NetInfo) -> Gateways {
        let mut found = Gateways::default();
        for (name, net) in self.networks() {
            let Some(device) = Stack::of(name, net, seen).top else { continue };
            let link = seen.link(&device);
            let lease = link.and_then(|link| link.lease(false)).filter(|_| net.dhcpv4);
            if net.dhcpv4 && lease.is_none() {
                found.leaseless.push(name.clone());
            }
            let v4 = net.gateway.or(lease.and_then(|lease| lease.gateway)).map(IpAddr::from);
            let hop = |ip| vec![Hop { device, link: link.map(|link| link.index), ip }];
            found.groups.extend(v4.into_iter().chain(net.ipv6_gateway.map(IpAddr::from)).map(hop));
        }
        found.groups.extend([false, true].into_iter().filter_map(|v6| default_gateways(seen, v6)));
        found
    }

    /// The nics and bonds as this picture has them. A bond's slaves are the bond's affair.
    pub(super) fn carriers(&self, seen: &NetInfo) -> BTreeSet<DeviceName> {
        let mut found = self.bonds.clone();
        found.extend(self.networks().filter_map(|(_, net)| net.base).map(Base::device));
        for link in seen.with_default_routes() {
            let ours: Vec<_> = Stack::topped_by(link.name, &self.config.networks, seen).collect();
            match ours.is_empty() {
                false => found.extend(ours.into_iter().filter_map(|(_, net)| net.base).map(Base::device)),
                true => found.extend(seen.below(link.name).into_iter().filter(|name| is_base(seen.link(name)))),
            }
        }
        found
    }
}

/// Of a stranger's stack: what a network could stand on.
fn is_base(link: Option<&SeenLink>) -> bool {
    link.is_some_and(|link| link.nic || matches!(link.kind, SeenKind::Bond { .. }))
}

/// The gateways of the default routes of one family that the kernel prefers; none where there are
/// none, or one needs no gateway.
fn default_gateways(seen: &NetInfo, v6: bool) -> Option<Vec<Hop>> {
    let is_default =
        |route: &&Route| route.to.prefix == 0 && route.table == MAIN_TABLE && route.to.addr.is_ipv6() == v6;
    let all = seen.with_default_routes().flat_map(|link| {
        link.routes.iter().chain(&link.made_routes).filter(is_default).map(move |route| (link, route))
    });
    let all: Vec<(&SeenLink, &Route)> = all.collect();
    let best = all.iter().map(|(_, route)| route.metric).min()?;
    let hop = |(link, route): &(&SeenLink, &Route)| {
        Some(Hop { device: link.name, link: Some(link.index), ip: route.gateway? })
    };
    let mut hops: Vec<Hop> = all.iter().filter(|(_, route)| route.metric == best).map(hop).collect::<Option<_>>()?;
    hops.sort_unstable();
    hops.dedup();
    Some(hops)
}
