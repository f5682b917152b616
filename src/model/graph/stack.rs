//! The devices that one network is made of on this host, and the networks that a device is part of.
//!
//! The latter costs what is found, however many networks there are. What devices are to be like is `desired.rs`'s; a bond's slaves are the bond's affair and not here.

use super::scope::{bridge_of, top_of, vlan_of};
use crate::config::{Base, NetworkConfig, Networks};
use crate::name::{DeviceName, NetworkName};
use crate::netinfo::{NetInfo, SeenKind};

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

    /// The networks with this device among theirs.
    pub fn with<'a>(
        device: DeviceName,
        networks: &'a Networks,
        seen: &NetInfo,
    ) -> impl Iterator<Item = (&'a NetworkName, &'a NetworkConfig)> {
        made(device, networks, seen).chain(networks.users_of(device))
    }

    /// The networks whose addresses this device carries; one at most, mostly.
    pub fn topped_by<'a>(
        device: DeviceName,
        networks: &'a Networks,
        seen: &NetInfo,
    ) -> impl Iterator<Item = (&'a NetworkName, &'a NetworkConfig)> {
        let all = made(device, networks, seen).chain(networks.on(device, None));
        all.filter(move |(name, net)| top_of(name, net, seen) == Some(device))
    }
}

/// The networks whose bridge or VLAN a device is.
pub(super) fn made<'a>(
    device: DeviceName,
    networks: &'a Networks,
    seen: &NetInfo,
) -> impl Iterator<Item = (&'a NetworkName, &'a NetworkConfig)> {
    let called = NetworkName::try_from(device.as_str()).ok().and_then(|name| networks.get_key_value(&name));
    let bridged = called.filter(move |(name, net)| bridge_of(name, net) == Some(device));
    let found = seen.link(&device).and_then(|link| match link.kind {
        SeenKind::Vlan { tag, device: Some(base) } => Some((base, tag)),
        _ => None,
    });
    // Where the host has no such VLAN, it is the name that counts.
    let spelled = device.as_vlan().filter(|it| Some(*it) != found);
    let tagged = found.into_iter().chain(spelled).flat_map(|(base, tag)| networks.on(base, Some(tag)));
    bridged.into_iter().chain(tagged.filter(move |(_, net)| vlan_of(net, seen) == Some(device)))
}
