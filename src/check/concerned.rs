//! Whom a change of some devices may concern, so that an event of the kernel costs a check of few.
//!
//! Rather too many than too few: what is named here is looked at, and mostly found in sync.

use std::collections::BTreeSet;

use vdsm_model::config::{Base, NetConfig};
use vdsm_model::graph::Stack;
use vdsm_model::name::{DeviceName, NetworkName};
use vdsm_model::netinfo::NetInfo;

use super::Selection;

/// The networks and bonds that a change of these devices may concern, by the running configuration
/// and the host as it is: those made of them, of their masters and ports, or of what they stand on.
///
/// The owner of the default route is always among them, since any device may get or lose a rival
/// of it. A device that is gone says no more what it stood on and belonged to: who knows adds that
/// to `devices`.
pub fn concerned(running: &NetConfig, seen: &NetInfo, devices: &BTreeSet<DeviceName>) -> Selection {
    if devices.is_empty() {
        return Selection::default();
    }
    let stacks: Vec<(&NetworkName, Stack)> =
        running.networks.iter().map(|(name, net)| (name, Stack::of(name, net, seen))).collect();
    let touched = around(&stacks, seen, devices);
    let mut bonds: BTreeSet<DeviceName> = running
        .bonds
        .iter()
        .filter(|(name, bond)| touched.contains(*name) || bond.nics.iter().any(|nic| touched.contains(nic)))
        .map(|(name, _)| *name)
        .collect();
    let is_touched = |device: DeviceName| touched.contains(&device) || bonds.contains(&device);
    let mut networks: BTreeSet<&NetworkName> =
        stacks.iter().filter(|(_, stack)| stack.devices().any(is_touched)).map(|(name, _)| *name).collect();
    networks.extend(running.networks.iter().filter(|(_, net)| net.default_route).map(|(name, _)| name));
    let base_of = |name: &NetworkName| running.networks.get(name)?.base.map(Base::device);
    let bases: BTreeSet<DeviceName> = networks.iter().filter_map(|name| base_of(name)).chain(bonds.clone()).collect();
    networks.extend(stacks.iter().filter(|(name, stack)| lifts(running, seen, name, stack, &bases)).map(|(n, _)| *n));
    bonds.extend(bases.into_iter().filter(|base| running.bonds.contains_key(base)));
    Selection { networks: networks.into_iter().cloned().collect(), bonds }
}

/// The devices with those directly around them: a master has them, or they are ports of it; and
/// what a stranger stands on, which must be as large as it. One of ours above others is no matter
/// to those.
fn around(stacks: &[(&NetworkName, Stack)], seen: &NetInfo, devices: &BTreeSet<DeviceName>) -> BTreeSet<DeviceName> {
    let ours: BTreeSet<DeviceName> = stacks.iter().filter_map(|(_, stack)| stack.vlan).collect();
    let mut touched = devices.clone();
    for link in devices.iter().filter_map(|device| seen.link(device)) {
        touched.extend(link.master);
        touched.extend(link.base.filter(|_| !ours.contains(&link.name)));
        touched.extend(seen.ports_of(link.name).map(|port| port.name));
    }
    touched
}

/// Whether a network's VLAN is larger than it should be: looked at without it, the device below
/// would seem to need that size.
fn lifts(running: &NetConfig, seen: &NetInfo, name: &NetworkName, stack: &Stack, bases: &BTreeSet<DeviceName>) -> bool {
    let larger = || {
        let (net, vlan) = (running.networks.get(name)?, seen.link(&stack.vlan?)?);
        Some(vlan.mtu > net.mtu)
    };
    stack.base.is_some_and(|base| bases.contains(&base.device())) && larger() == Some(true)
}
