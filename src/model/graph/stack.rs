//! The devices that one network is made of on this host, for those who ask by network.
//!
//! What they are to be like is `desired.rs`'s; a bond's slaves are the bond's affair and not here.

use super::scope::{bridge_of, top_of, vlan_of};
use crate::config::{Base, NetworkConfig};
use crate::name::{DeviceName, NetworkName};
use crate::netinfo::NetInfo;

/// A network's devices, whether the host has them or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stack {
    /// The bridge, where the network has one.
    pub bridge: Option<DeviceName>,
    /// The VLAN device, by the name the host has for it, or `BASE.TAG` where it has none.
    pub vlan: Option<DeviceName>,
    /// The nic or bond.
    pub base: Option<Base>,
    /// The one of them that carries the addresses.
    pub top: Option<DeviceName>,
}

impl Stack {
    /// The devices of a network.
    pub fn of(name: &NetworkName, net: &NetworkConfig, seen: &NetInfo) -> Stack {
        Stack { bridge: bridge_of(name, net), vlan: vlan_of(net, seen), base: net.base, top: top_of(name, net, seen) }
    }

    /// All of them, from the top.
    pub fn devices(&self) -> impl Iterator<Item = DeviceName> + use<> {
        [self.bridge, self.vlan, self.base.map(Base::device)].into_iter().flatten()
    }
}
