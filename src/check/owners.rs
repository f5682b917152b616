//! Whose a device is: the networks and bonds that a difference on it concerns.
//!
//! Only the configuration decides; what is wrong with the device is not asked here.

use std::collections::{BTreeMap, BTreeSet};

use vdsm_model::config::{Base, BondConfig, NetConfig};
use vdsm_model::graph::Stack;
use vdsm_model::name::{DeviceName, NetworkName};
use vdsm_model::netinfo::NetInfo;
use vdsm_model::plan::Part;

/// A network or a bond of a configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Entity<'a> {
    Bond(DeviceName),
    Network(&'a NetworkName),
}

/// The networks and bonds of each device.
pub(super) struct Owners<'a> {
    devices: BTreeMap<DeviceName, Vec<Entity<'a>>>,
    /// The untagged network without a bridge whose addresses a nic or bond carries: what else
    /// stands on it has nothing to do with these.
    carried: BTreeMap<DeviceName, &'a NetworkName>,
}

impl<'a> Owners<'a> {
    /// The owners among the entities of `config`. A bond that is one of them answers for itself and
    /// the slaves that `slaves` says it has; networks answer for it otherwise.
    pub(super) fn new(
        config: &'a NetConfig,
        seen: &NetInfo,
        slaves: impl Fn(DeviceName, &BondConfig) -> BTreeSet<DeviceName>,
    ) -> Owners<'a> {
        let mut owners = Owners { devices: BTreeMap::new(), carried: BTreeMap::new() };
        for (name, bond) in config.bonds.iter() {
            owners.add(*name, Entity::Bond(*name));
            slaves(*name, bond).into_iter().for_each(|slave| owners.add(slave, Entity::Bond(*name)));
        }
        for (name, net) in config.networks.iter() {
            let stack = Stack::of(name, net, seen);
            let entity = Entity::Network(name);
            stack.bridge.into_iter().chain(stack.vlan).for_each(|device| owners.add(device, entity));
            match net.base {
                Some(Base::Nic(nic)) => owners.add(nic, entity),
                Some(Base::Bond(bond)) if !config.bonds.contains_key(&bond) => {
                    owners.add(bond, entity);
                    seen.ports_of(bond).for_each(|slave| owners.add(slave.name, entity));
                }
                _ => {}
            }
            if let Some(base) = net.base.filter(|_| !net.bridged && net.vlan.is_none()) {
                owners.carried.insert(base.device(), name);
            }
        }
        owners
    }

    fn add(&mut self, device: DeviceName, entity: Entity<'a>) {
        let entities = self.devices.entry(device).or_default();
        // A bridge, its port and the base may have one name in a broken configuration.
        if entities.last() != Some(&entity) {
            entities.push(entity);
        }
    }

    /// Whose a device is; nobody's mostly.
    pub(super) fn of(&self, device: DeviceName) -> &[Entity<'a>] {
        self.devices.get(&device).map_or(&[], Vec::as_slice)
    }

    /// Whom a part of a device concerns.
    pub(super) fn of_part(&self, device: DeviceName, part: Part) -> Vec<Entity<'a>> {
        match self.carried.get(&device) {
            Some(network) if part != Part::Device => vec![Entity::Network(network)],
            _ => self.of(device).to_vec(),
        }
    }
}
