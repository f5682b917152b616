//! Which networks and bonds of a configuration exclude one another (vdsm-facts 2.2, 2.3).
//! Only configurations are compared here; the host is not asked.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use super::merge::{Merged, uses};
use crate::config::{Base, Combination, NetworkConfig, Policy};
use crate::name::{DeviceName, NetworkName};
use crate::problem::{Problem, Subject};

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

fn touched(merged: &Merged) -> impl Iterator<Item = (&NetworkName, &NetworkConfig)> {
    merged.config.networks.iter().filter(|(name, _)| merged.networks.contains(*name))
}

fn no_devices(merged: &Merged, problems: &mut Vec<Problem>) {
    let bare = touched(merged).filter(|(_, net)| !net.bridged && net.base.is_none());
    problems.extend(bare.map(|(name, _)| Problem::NoDevices { network: name.clone() }));
}

fn shared_interfaces(merged: &Merged, policy: &Policy, problems: &mut Vec<Problem>) {
    let mut by_base: BTreeMap<DeviceName, Vec<(&NetworkName, &NetworkConfig)>> = BTreeMap::new();
    for (name, net) in &merged.config.networks {
        if let Some(base) = net.base {
            by_base.entry(base.device()).or_default().push((name, net));
        }
    }
    for (interface, users) in by_base {
        if !users.iter().any(|(name, _)| merged.networks.contains(*name)) {
            continue;
        }
        let mut report = |networks: Vec<&NetworkName>, rule| {
            problems.push(Problem::SharedInterface {
                interface,
                networks: networks.into_iter().cloned().collect(),
                rule,
            })
        };
        let mut by_tag: BTreeMap<_, Vec<&NetworkName>> = BTreeMap::new();
        for (name, net) in &users {
            by_tag.entry(net.vlan).or_default().push(name);
        }
        for (_, same) in by_tag.into_iter().filter(|(_, same)| same.len() > 1) {
            report(same, "each needs a VLAN tag of its own, and only one may be without");
        }
        let alone = users.iter().any(|(_, net)| net.bridged && net.vlan.is_none());
        if policy.combination == Combination::Strict && alone && users.iter().any(|(_, net)| net.vlan.is_some()) {
            report(
                users.iter().map(|(name, _)| *name).collect(),
                "a bridged network without VLAN tag must be the only one (network_combination = strict)",
            );
        }
    }
}

/// A nic is one network's, or one bond's slave; a VLAN device that is a network's is no slave.
fn nics_used_twice(merged: &Merged, problems: &mut Vec<Problem>) {
    let mut users: BTreeMap<DeviceName, Vec<String>> = BTreeMap::new();
    let mut fresh: BTreeSet<DeviceName> = BTreeSet::new();
    for (bond, config) in &merged.config.bonds {
        for slave in &config.nics {
            users.entry(*slave).or_default().push(format!("slave of {bond}"));
            if merged.bonds.contains(bond) {
                fresh.insert(*slave);
            }
        }
    }
    // Only a VLAN's name has a dot in it: without such a slave none needs to be spelled.
    let dotted = users.keys().any(|slave| slave.as_str().contains('.'));
    for (name, net) in &merged.config.networks {
        let vlan = net
            .base
            .zip(net.vlan)
            .filter(|_| dotted)
            .and_then(|(b, tag)| DeviceName::of_vlan(&b.device(), tag.get()).ok());
        for device in net.base.map(Base::device).into_iter().chain(vlan) {
            if let Some(slaves) = users.get_mut(&device) {
                slaves.push(format!("network {name}"));
                if merged.networks.contains(name) {
                    fresh.insert(device);
                }
            }
        }
    }
    let twice = users.into_iter().filter(|(nic, users)| users.len() > 1 && fresh.contains(nic));
    problems.extend(twice.map(|(nic, users)| Problem::UsedNic { nic, users }));
}

fn used_bonds(merged: &Merged, problems: &mut Vec<Problem>) {
    for bond in merged.bonds.iter().filter(|b| !merged.config.bonds.contains_key(*b)) {
        let networks: Vec<NetworkName> =
            merged.config.networks.iter().filter(|(_, net)| uses(net, *bond)).map(|(name, _)| name.clone()).collect();
        if !networks.is_empty() {
            problems.push(Problem::UsedBond { bond: *bond, networks });
        }
    }
}

/// The table of source routing is the address's own (`source_routing.rs`): it has room for one gateway.
fn shared_addresses(merged: &Merged, problems: &mut Vec<Problem>) {
    let mut users: BTreeMap<Ipv4Addr, Vec<&NetworkName>> = BTreeMap::new();
    for (name, net) in &merged.config.networks {
        if let (Some(ip), Some(_)) = (net.ipv4, net.gateway) {
            users.entry(ip.addr).or_default().push(name);
        }
    }
    for (address, users) in users.into_iter().filter(|(_, users)| users.len() > 1) {
        if users.iter().any(|name| merged.networks.contains(*name)) {
            problems.push(Problem::SharedAddress { address, networks: users.into_iter().cloned().collect() });
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
    problems.extend(touched(merged).flat_map(|(name, net)| unsupported_of(name, net, policy)));
    for (name, bond) in merged.config.bonds.iter().filter(|(name, _)| merged.bonds.contains(*name)) {
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
