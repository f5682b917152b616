//! Which devices a request may touch: those it names, and those of its networks as they were.
//!
//! Everything else on the host is a stranger's and stays as it is.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::config::{Base, NetConfig, NetworkConfig};
use crate::ip::Route;
use crate::name::{DeviceName, NetworkName};
use crate::netinfo::{NetInfo, SeenKind, SeenLink};

/// The names of devices in our care.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scope(BTreeSet<DeviceName>);

impl Scope {
    /// All of them, by name.
    pub fn devices(&self) -> impl Iterator<Item = &DeviceName> {
        self.0.iter()
    }

    /// Whether a device is in our care.
    pub fn contains(&self, name: &DeviceName) -> bool {
        self.0.contains(name)
    }

    /// Takes a device into our care.
    pub fn add(&mut self, name: DeviceName) {
        self.0.insert(name);
    }

    /// Those that are not in the other one.
    pub(super) fn without(&self, other: &Scope) -> Scope {
        Scope(self.0.difference(&other.0).copied().collect())
    }

    /// The devices of a network, as `config` describes it, and the slaves of its bond.
    pub(super) fn add_network(&mut self, name: &NetworkName, net: &NetworkConfig, config: &NetConfig, seen: &NetInfo) {
        if let Some(bridge) = bridge_of(name, net) {
            self.add(bridge);
        }
        if let Some(vlan) = vlan_of(net, seen) {
            self.add(vlan);
        }
        match net.base {
            Some(Base::Nic(nic)) => self.add(nic),
            Some(Base::Bond(bond)) => self.add_bond(bond, config, seen),
            None => {}
        }
    }

    /// A bond and its slaves, those it is to have and those it has.
    pub(super) fn add_bond(&mut self, bond: DeviceName, config: &NetConfig, seen: &NetInfo) {
        self.add(bond);
        self.0.extend(config.bonds.get(&bond).into_iter().flat_map(|b| &b.nics));
        if seen.link(&bond).is_some_and(|l| matches!(l.kind, SeenKind::Bond { .. })) {
            self.0.extend(seen.ports_of(bond).map(|l| l.name));
        }
    }

    /// Everything that stands on a device: a bond that has to go down takes its VLANs with it, and
    /// what they lose by that must be given back to them.
    pub(super) fn add_above(&mut self, device: DeviceName, seen: &NetInfo) {
        let mut above: Vec<DeviceName> = seen.vlans_on(device).map(|l| l.name).collect();
        while let Some(vlan) = above.pop() {
            // A VLAN may carry VLANs.
            above.extend(seen.vlans_on(vlan).map(|l| l.name));
            self.add(vlan);
        }
    }

    /// The devices with a route that would stand in the way of ours.
    pub(super) fn add_rivals(&mut self, ours: &Route, seen: &NetInfo) {
        let all = |link: &SeenLink| link.routes.iter().chain(&link.made_routes).any(|it| it.rivals(ours));
        let rivals = seen.with_routes_in(ours.table).filter(|link| all(link));
        self.0.extend(rivals.map(|l| l.name));
    }
}

/// The bridge of a bridged network: named as the network.
pub(super) fn bridge_of(name: &NetworkName, net: &NetworkConfig) -> Option<DeviceName> {
    name.bridge().ok().filter(|_| net.bridged)
}

/// The VLAN device of a VLANed network: whatever the host calls it, or `BASE.TAG`.
pub(super) fn vlan_of(net: &NetworkConfig, seen: &NetInfo) -> Option<DeviceName> {
    let (base, tag) = (net.base?.device(), net.vlan?);
    match seen.vlan(base, tag) {
        Some(found) => Some(found.name),
        None => DeviceName::of_vlan(&base, tag.get()).ok(),
    }
}

/// The device a bridge would have as port, or a bridgeless network stands on.
pub(super) fn southbound_of(net: &NetworkConfig, seen: &NetInfo) -> Option<DeviceName> {
    if net.vlan.is_some() { vlan_of(net, seen) } else { net.base.map(Base::device) }
}

/// The device that carries a network's addresses.
pub(super) fn top_of(name: &NetworkName, net: &NetworkConfig, seen: &NetInfo) -> Option<DeviceName> {
    if net.bridged { bridge_of(name, net) } else { southbound_of(net, seen) }
}
