//! Who waits for what: a network for its nic, a bond for its slaves, a network for its bond's.
//!
//! The configuration decides; of the host only what came unseen is looked for. Bridges and VLANs are not waited
//! for: we make them ourselves.

use std::collections::BTreeSet;
use std::fmt;

use vdsm_model::config::{Base, NetConfig};
use vdsm_model::name::{DeviceName, NetworkName};
use vdsm_model::netinfo::NetInfo;

use crate::check::{Checked, Selection, Verdict};

/// A network or a bond of the running configuration; bonds come first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Entity {
    Bond(DeviceName),
    Network(NetworkName),
}

impl Entity {
    /// Adds it to a selection.
    pub(super) fn select(&self, selection: &mut Selection) {
        match self {
            Entity::Network(name) => drop(selection.networks.insert(name.clone())),
            Entity::Bond(name) => drop(selection.bonds.insert(*name)),
        }
    }

    /// Whether it was selected.
    pub(super) fn is_in(&self, selection: &Selection) -> bool {
        match self {
            Entity::Network(name) => selection.networks.contains(name),
            Entity::Bond(name) => selection.bonds.contains(name),
        }
    }

    /// The list of a check's answer that it is in, and its name there.
    pub(super) fn key(&self) -> (&'static str, String) {
        match self {
            Entity::Network(name) => ("networks", name.to_string()),
            Entity::Bond(name) => ("bonds", name.to_string()),
        }
    }

    /// Its name, if it is a bond.
    pub(super) fn bond(&self) -> Option<DeviceName> {
        match self {
            Entity::Network(_) => None,
            Entity::Bond(name) => Some(*name),
        }
    }

    /// The nic or bond that a network stands on.
    pub(super) fn base(&self, running: &NetConfig) -> Option<DeviceName> {
        match self {
            Entity::Network(name) => running.networks.get(name)?.base.map(Base::device),
            Entity::Bond(_) => None,
        }
    }
}

impl fmt::Display for Entity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Entity::Network(name) => write!(f, "network {name}"),
            Entity::Bond(name) => write!(f, "bond {name}"),
        }
    }
}

/// Those who stand on these links without having made them: the bonds that have one as their
/// slave, and the networks on one, be it a nic or a bond of somebody else's, or on such a bond.
pub(super) fn waiting(running: &NetConfig, links: &BTreeSet<DeviceName>) -> Selection {
    let bonds = links.iter().flat_map(|link| running.bonds.masters_of(*link)).map(|(bond, _)| *bond);
    let bonds: BTreeSet<DeviceName> = bonds.collect();
    let waits = |base: Base| match base {
        Base::Bond(bond) if running.bonds.contains_key(&bond) => bonds.contains(&bond),
        base => links.contains(&base.device()),
    };
    let users = links.union(&bonds).flat_map(|base| running.networks.users_of(*base));
    let networks = users.filter(|(_, net)| net.base.is_some_and(waits)).map(|(name, _)| name.clone()).collect();
    Selection { networks, bonds }
}

/// The links that somebody stands on and that are as the kernel makes them: down, in nobody's hands,
/// without addresses, and nothing on them.
///
/// Ours are up, and stay so when a person takes one out of its bridge or deletes what is above. So
/// this tells a nic that was plugged in from one whose network somebody has changed.
pub(super) fn bare(running: &NetConfig, seen: &NetInfo) -> BTreeSet<DeviceName> {
    let bases = running.networks.values().filter_map(|net| net.base.map(Base::device));
    let slaves = running.bonds.values().flat_map(|bond| bond.nics.iter().copied());
    let wanted: BTreeSet<DeviceName> = bases.filter(|base| !running.bonds.contains_key(base)).chain(slaves).collect();
    let below: BTreeSet<DeviceName> = seen.links().filter_map(|link| link.base).collect();
    let is_bare = |name: &DeviceName| {
        let link = seen.link(name);
        link.is_some_and(|it| !it.up && it.master.is_none() && it.addresses.is_empty()) && !below.contains(name)
    };
    wanted.into_iter().filter(is_bare).collect()
}

/// Those that the plan of a check would help.
pub(super) fn mendable(checked: &Checked) -> BTreeSet<Entity> {
    let helps = |verdict: &Verdict| verdict.differences.iter().any(|difference| difference.mends.is_some());
    let networks = checked.networks.iter().filter(|(_, verdict)| helps(verdict));
    let bonds = checked.bonds.iter().filter(|(_, verdict)| helps(verdict));
    let networks = networks.map(|(name, _)| Entity::Network(name.clone()));
    bonds.map(|(name, _)| Entity::Bond(*name)).chain(networks).collect()
}
