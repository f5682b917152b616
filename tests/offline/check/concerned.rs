//! Whom a change concerns, and whose a device is, beside definitions that walk through everything: on
//! random networks that random strangers have been at.

use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::sample::Index;
use vdsm_model::config::{Base, NetConfig, NetworkConfig};
use vdsm_model::graph::Stack;
use vdsm_model::name::{DeviceName, NetworkName};
use vdsm_model::netinfo::NetInfo;
use vdsm_net::check::{Selection, concerned};

use super::drift::{Drift, drift};
use super::laws::{Case, settled};

type Stacks<'a> = Vec<(&'a NetworkName, &'a NetworkConfig, Stack)>;

fn stacks<'a>(running: &'a NetConfig, seen: &NetInfo) -> Stacks<'a> {
    running.networks.iter().map(|(name, net)| (name, net, Stack::of(name, net, seen))).collect()
}

/// As [`concerned`] says it.
fn defined(running: &NetConfig, seen: &NetInfo, devices: &BTreeSet<DeviceName>) -> Selection {
    let stacks = stacks(running, seen);
    if devices.is_empty() {
        return Selection::default();
    }
    let touched = around(&stacks, seen, devices);
    let bonds = running.bonds.iter().filter(|(name, bond)| touched.contains(*name) || !bond.nics.is_disjoint(&touched));
    let mut bonds: BTreeSet<DeviceName> = bonds.map(|(name, _)| *name).collect();
    let is_touched = |device: DeviceName| touched.contains(&device) || bonds.contains(&device);
    let those = stacks.iter().filter(|(_, net, stack)| net.default_route || stack.devices().any(is_touched));
    let mut networks: BTreeSet<NetworkName> = those.map(|(name, ..)| (*name).clone()).collect();
    let base_of = |name: &NetworkName| running.networks.get(name)?.base.map(Base::device);
    let bases: BTreeSet<DeviceName> = networks.iter().filter_map(base_of).chain(bonds.clone()).collect();
    for base in &bases {
        let users: Stacks =
            stacks.iter().filter(|(.., stack)| stack.base.map(Base::device) == Some(*base)).copied().collect();
        let largest = users.iter().map(|(_, net, _)| net.mtu).max();
        // One that only has the name of a VLAN that is to be lifts nothing.
        let link = |stack: &Stack| seen.link(&stack.vlan?).filter(|link| link.base == Some(*base));
        let lifting = users.iter().filter(|(.., stack)| link(stack).is_some_and(|link| Some(link.mtu) > largest));
        networks.extend(lifting.map(|(name, ..)| (*name).clone()));
    }
    bonds.extend(bases.into_iter().filter(|base| running.bonds.contains_key(base)));
    Selection { networks, bonds }
}

fn around(stacks: &Stacks<'_>, seen: &NetInfo, devices: &BTreeSet<DeviceName>) -> BTreeSet<DeviceName> {
    let ours: BTreeSet<DeviceName> = stacks.iter().filter_map(|(.., stack)| stack.vlan).collect();
    let mut touched = devices.clone();
    for link in devices.iter().filter_map(|device| seen.link(device)) {
        touched.extend(link.master);
        touched.extend(link.base.filter(|_| !ours.contains(&link.name)));
        touched.extend(seen.links().filter(|port| port.master == Some(link.name)).map(|port| port.name));
    }
    touched
}

/// Every device that the host has or a configuration means.
fn devices(running: &NetConfig, seen: &NetInfo) -> Vec<DeviceName> {
    let meant = stacks(running, seen).into_iter().flat_map(|(_, net, stack)| {
        let spelled =
            net.base.zip(net.vlan).and_then(|(base, tag)| DeviceName::of_vlan(&base.device(), tag.get()).ok());
        stack.devices().chain(spelled)
    });
    let bonds = running.bonds.iter().flat_map(|(name, bond)| bond.nics.iter().chain([name]).copied());
    let all: BTreeSet<DeviceName> = seen.links().map(|link| link.name).chain(meant).chain(bonds).collect();
    all.into_iter().collect()
}

fn drifted(seed: u64, drifts: &[Drift]) -> Case {
    let mut case = settled(seed);
    drifts.iter().for_each(|drift| drift.happen(&mut case.sim));
    case
}

proptest! {
    #[test]
    fn whom_a_change_concerns_is_found_without_looking_at_all(
        seed in any::<u64>(),
        drifts in prop::collection::vec(drift(), 0..7),
        changed in prop::collection::vec(any::<Index>(), 0..4),
    ) {
        let case = drifted(seed, &drifts);
        let seen = case.sim.look();
        let all = devices(&case.running, &seen);
        let changed: BTreeSet<DeviceName> = changed.iter().map(|at| *at.get(&all)).collect();
        prop_assert_eq!(concerned(&case.running, &seen, &changed), defined(&case.running, &seen, &changed), "{:?}", changed);
    }

    #[test]
    fn a_device_knows_its_networks(seed in any::<u64>(), drifts in prop::collection::vec(drift(), 0..7)) {
        let case = drifted(seed, &drifts);
        let (seen, networks) = (case.sim.look(), &case.running.networks);
        let stacks = stacks(&case.running, &seen);
        for device in devices(&case.running, &seen) {
            let found: BTreeSet<&NetworkName> = Stack::with(device, networks, &seen).map(|(name, _)| name).collect();
            let with = stacks.iter().filter(|(.., stack)| stack.devices().any(|it| it == device));
            prop_assert_eq!(found, with.map(|(name, ..)| *name).collect(), "{}", device);
            let found: BTreeSet<&NetworkName> = Stack::topped_by(device, networks, &seen).map(|(name, _)| name).collect();
            let topped = stacks.iter().filter(|(.., stack)| stack.top == Some(device));
            prop_assert_eq!(found, topped.map(|(name, ..)| *name).collect(), "{} on top", device);
        }
    }
}
