//! What one asks for networks and bonds, beside their names. Each answer costs what it holds, and
//! not what the configuration holds.
//!
//! Only the configuration is asked here. Which devices a network means on a host is
//! [`graph::Stack`](crate::graph::Stack)'s.

use std::cmp::Reverse;
use std::net::Ipv4Addr;

use rpds::{RedBlackTreeMapSync, RedBlackTreeSetSync};

use super::entries::{Entity, Entries, Index};
use super::{Base, BondConfig, NetworkConfig};
use crate::name::{DeviceName, NetworkName};
use crate::units::{Mtu, VlanTag};

impl Entity for NetworkConfig {
    type Name = NetworkName;
    type Index = NetworkIndex;
}

impl Entity for BondConfig {
    type Name = DeviceName;
    type Index = BondIndex;
}

/// Networks by what they share with others.
#[derive(Clone, Default)]
pub struct NetworkIndex {
    /// By the nic or bond below, and the tag.
    users: RedBlackTreeSetSync<(DeviceName, Option<VlanTag>, NetworkName)>,
    /// How many there are of each size on a nic or bond, the largest first.
    sizes: RedBlackTreeMapSync<(DeviceName, Reverse<Mtu>), usize>,
    /// Those that wish for something of the nic or bond below: a share, or settings.
    wishing: RedBlackTreeSetSync<(DeviceName, NetworkName)>,
    /// Those with a gateway, by the address it is for.
    routed: RedBlackTreeSetSync<(Ipv4Addr, NetworkName)>,
    /// Those that have the host's default route.
    default_routes: RedBlackTreeSetSync<NetworkName>,
}

/// Bonds by their slaves.
#[derive(Clone, Default)]
pub struct BondIndex {
    masters: RedBlackTreeSetSync<(DeviceName, DeviceName)>,
}

impl Index<NetworkConfig> for NetworkIndex {
    fn enter(&mut self, name: &NetworkName, net: &NetworkConfig) {
        if let Some(base) = net.base.map(Base::device) {
            self.users.insert_mut((base, net.vlan, name.clone()));
            let size = (base, Reverse(net.mtu));
            let count = self.sizes.get(&size).copied().unwrap_or(0);
            self.sizes.insert_mut(size, count + 1);
            if is_wishing(net) {
                self.wishing.insert_mut((base, name.clone()));
            }
        }
        if let Some(address) = routed(net) {
            self.routed.insert_mut((address, name.clone()));
        }
        if net.default_route {
            self.default_routes.insert_mut(name.clone());
        }
    }

    fn leave(&mut self, name: &NetworkName, net: &NetworkConfig) {
        if let Some(base) = net.base.map(Base::device) {
            self.users.remove_mut(&(base, net.vlan, name.clone()));
            let size = (base, Reverse(net.mtu));
            match self.sizes.get(&size).copied() {
                Some(count) if count > 1 => self.sizes.insert_mut(size, count - 1),
                _ => drop(self.sizes.remove_mut(&size)),
            }
            if is_wishing(net) {
                self.wishing.remove_mut(&(base, name.clone()));
            }
        }
        if let Some(address) = routed(net) {
            self.routed.remove_mut(&(address, name.clone()));
        }
        if net.default_route {
            self.default_routes.remove_mut(name);
        }
    }
}

impl Index<BondConfig> for BondIndex {
    fn enter(&mut self, name: &DeviceName, bond: &BondConfig) {
        bond.nics.iter().for_each(|nic| self.masters.insert_mut((*nic, *name)));
    }

    fn leave(&mut self, name: &DeviceName, bond: &BondConfig) {
        for nic in &bond.nics {
            self.masters.remove_mut(&(*nic, *name));
        }
    }
}

fn is_wishing(net: &NetworkConfig) -> bool {
    net.host_qos.is_some() || !net.ethtool_options.is_empty()
}

/// The address that a network's gateway is for.
fn routed(net: &NetworkConfig) -> Option<Ipv4Addr> {
    net.gateway.and(net.ipv4).map(|ip| ip.addr)
}

impl Entries<NetworkConfig> {
    /// The networks that stand on a nic or bond, by tag, those without one first, and name.
    pub fn users_of(&self, base: DeviceName) -> impl Iterator<Item = (&NetworkName, &NetworkConfig)> {
        let from_there = self.index().users.range((base, None, NetworkName::lowest())..);
        from_there.take_while(move |(it, ..)| *it == base).filter_map(|(.., name)| self.get_key_value(name))
    }

    /// Those of them with this tag, or without any; there is more than one where they exclude
    /// one another.
    pub fn on(&self, base: DeviceName, tag: Option<VlanTag>) -> impl Iterator<Item = (&NetworkName, &NetworkConfig)> {
        let from_there = self.index().users.range((base, tag, NetworkName::lowest())..);
        let these = from_there.take_while(move |(it, its, _)| (*it, *its) == (base, tag));
        these.filter_map(|(.., name)| self.get_key_value(name))
    }

    /// The MTU of the largest network on a nic or bond.
    pub fn largest_on(&self, base: DeviceName) -> Option<Mtu> {
        let first = self.index().sizes.range((base, Reverse(Mtu::LARGEST))..).next();
        first.filter(|((it, _), _)| *it == base).map(|((_, size), _)| size.0)
    }

    /// The networks on a nic or bond that wish for something of it: a share (`hostQos`) or
    /// settings (`ethtool_opts`). By name.
    pub fn wishing_of(&self, base: DeviceName) -> impl Iterator<Item = (&NetworkName, &NetworkConfig)> {
        let from_there = self.index().wishing.range((base, NetworkName::lowest())..);
        from_there.take_while(move |(it, _)| *it == base).filter_map(|(_, name)| self.get_key_value(name))
    }

    /// The networks that have a gateway for this address, by name.
    pub fn routed_from(&self, address: Ipv4Addr) -> impl Iterator<Item = &NetworkName> {
        let from_there = self.index().routed.range((address, NetworkName::lowest())..);
        from_there.take_while(move |(it, _)| *it == address).map(|(_, name)| name)
    }

    /// The networks that have the host's default route, by name; one at most, mostly.
    pub fn default_routes(&self) -> impl Iterator<Item = &NetworkName> {
        self.index().default_routes.iter()
    }
}

impl Entries<BondConfig> {
    /// The bonds that have a device as their slave, by name; one at most, mostly.
    pub fn masters_of(&self, slave: DeviceName) -> impl Iterator<Item = (&DeviceName, &BondConfig)> {
        let from_there = self.index().masters.range((slave, DeviceName::LOWEST)..);
        from_there.take_while(move |(it, _)| *it == slave).filter_map(|(_, bond)| self.get_key_value(bond))
    }
}
