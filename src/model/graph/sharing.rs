//! Which networks and bonds of a configuration exclude one another (vdsm-facts 2.2, 2.3).
//! Only configurations are compared here; the host is not asked.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use super::merge::Merged;
use crate::config::{Combination, NetworkConfig, Policy};
use crate::name::{DeviceName, NetworkName};
use crate::problem::{Problem, Subject};
use crate::units::VlanTag;

/// Everything wrong between the entries that the request touches and all others.
pub(super) fn check(merged: &Merged, policy: &Policy) -> Vec<Problem> {
    let mut problems = Vec::new();
    no_devices(merged, &mut problems);
    shared_interfaces(merged, policy, &mut problems);
    nics_used_twice(merged, &mut problems);
    used_bonds(merged, &mut problems);
    shared_addresses(merged, &mut problems);
    unsupported(merged, policy, &mut problems);
    problems
}

fn no_devices(merged: &Merged, problems: &mut Vec<Problem>) {
    let bare = merged.touched().filter(|(_, net)| !net.bridged && net.base.is_none());
    problems.extend(bare.map(|(name, _)| Problem::NoDevices { network: name.clone() }));
}

fn shared_interfaces(merged: &Merged, policy: &Policy, problems: &mut Vec<Problem>) {
    let networks = &merged.config.networks;
    let mut tags: BTreeMap<DeviceName, BTreeSet<Option<VlanTag>>> = BTreeMap::new();
    for (_, net) in merged.touched() {
        if let Some(base) = net.base {
            tags.entry(base.device()).or_default().insert(net.vlan);
        }
    }
    for (interface, tags) in tags {
        let mut report =
            |networks: Vec<NetworkName>, rule| problems.push(Problem::SharedInterface { interface, networks, rule });
        for tag in tags {
            let same = names(networks.on(interface, tag));
            if same.len() > 1 {
                report(same, "each needs a VLAN tag of its own, and only one may be without");
            }
        }
        let alone = || networks.on(interface, None).any(|(_, net)| net.bridged);
        let tagged = || networks.users_of(interface).any(|(_, net)| net.vlan.is_some());
        if policy.combination == Combination::Strict && alone() && tagged() {
            report(
                names(networks.users_of(interface)),
                "a bridged network without VLAN tag must be the only one (network_combination = strict)",
            );
        }
    }
}

/// The names of networks, in their order.
fn names<'a>(networks: impl Iterator<Item = (&'a NetworkName, &'a NetworkConfig)>) -> Vec<NetworkName> {
    let mut names: Vec<NetworkName> = networks.map(|(name, _)| name.clone()).collect();
    names.sort_unstable();
    names
}

/// A nic is one network's, or one bond's slave; a VLAN device that is a network's is no slave.
fn nics_used_twice(merged: &Merged, problems: &mut Vec<Problem>) {
    let config = &merged.config;
    let mut fresh: BTreeSet<DeviceName> =
        merged.bonds.iter().filter_map(|bond| config.bonds.get(bond)).flat_map(|bond| bond.nics.clone()).collect();
    for (base, tag) in merged.touched().filter_map(|(_, net)| Some((net.base?.device(), net.vlan))) {
        fresh.insert(base);
        fresh.extend(tag.and_then(|tag| DeviceName::of_vlan(&base, tag.get()).ok()));
    }
    for nic in fresh {
        let mut users: Vec<String> = config.bonds.masters_of(nic).map(|(bond, _)| format!("slave of {bond}")).collect();
        if users.is_empty() {
            continue;
        }
        let vlan = nic.as_vlan().into_iter().flat_map(|(base, tag)| config.networks.on(base, Some(tag)));
        let networks = names(config.networks.users_of(nic).chain(vlan));
        users.extend(networks.iter().map(|name| format!("network {name}")));
        if users.len() > 1 {
            problems.push(Problem::UsedNic { nic, users });
        }
    }
}

fn used_bonds(merged: &Merged, problems: &mut Vec<Problem>) {
    for bond in merged.bonds.iter().filter(|b| !merged.config.bonds.contains_key(b)) {
        let networks = names(merged.config.networks.users_of(*bond));
        if !networks.is_empty() {
            problems.push(Problem::UsedBond { bond: *bond, networks });
        }
    }
}

/// The table of source routing is the address's own (`source_routing.rs`): it has room for one gateway.
fn shared_addresses(merged: &Merged, problems: &mut Vec<Problem>) {
    let routed = merged.touched().filter_map(|(_, net)| net.gateway.and(net.ipv4).map(|ip| ip.addr));
    for address in routed.collect::<BTreeSet<Ipv4Addr>>() {
        let networks: Vec<NetworkName> = merged.config.networks.routed_from(address).cloned().collect();
        if networks.len() > 1 {
            problems.push(Problem::SharedAddress { address, networks });
        }
    }
}

/// The parts of a network that this configurator does not have.
pub(super) fn unsupported_of(name: &NetworkName, net: &NetworkConfig, policy: &Policy) -> Vec<Problem> {
    let missing = net.features().into_iter().filter(|f| !policy.features.contains(f));
    let problem = |feature| {
        let (key, value) = net.spelled(feature);
        let configurator = policy.configurator.clone();
        Problem::NotSupported { of: Subject::Network(name.to_string()), key, value, configurator }
    };
    missing.map(problem).collect()
}

fn unsupported(merged: &Merged, policy: &Policy, problems: &mut Vec<Problem>) {
    let configurator = &policy.configurator;
    problems.extend(merged.touched().flat_map(|(name, net)| unsupported_of(name, net, policy)));
    for (name, bond) in merged.bonds.iter().filter_map(|name| merged.config.bonds.get_key_value(name)) {
        if bond.switch == crate::config::Switch::Ovs && !policy.features.contains(&crate::config::Feature::OvsSwitch) {
            problems.push(Problem::NotSupported {
                of: Subject::Bond(name.to_string()),
                key: "switch".to_owned(),
                value: "ovs".to_owned(),
                configurator: configurator.clone(),
            });
        }
    }
}
