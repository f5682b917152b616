//! The configuration: the sum of the requests so far, typed. What the disk stores.
//!
//! Keys and spellings are `request/`'s; what devices a configuration means is `graph/`'s. What is found
//! without walking through all of it, `config/index.rs` says.

mod entries;
mod index;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, Ipv6Addr};

use serde_json::{Map, Value};

pub use entries::{Entity, Entries, Index};

use crate::bond_options::BondOptions;
use crate::bridge_options::BridgeOptions;
use crate::ethtool_options::EthtoolOptions;
use crate::name::{DeviceName, NetworkName};
use crate::qos::Curves;
use crate::units::{Mac, Mtu, Prefixed, VlanTag};

/// Networks by name, and by what they share.
pub type Networks = Entries<NetworkConfig>;
/// Bonds by name, and by their slaves.
pub type Bonds = Entries<BondConfig>;

/// All networks and bonds that are ours. A copy shares everything with its original.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NetConfig {
    /// By name.
    pub networks: Networks,
    /// By name.
    pub bonds: Bonds,
}

impl NetConfig {
    /// Whether nothing is configured.
    pub fn is_empty(&self) -> bool {
        self.networks.is_empty() && self.bonds.is_empty()
    }

    /// The networks and bonds that are not as they were `before`.
    pub fn changes_from(&self, before: &NetConfig) -> Vec<Changed> {
        let networks = self.networks.changes_from(&before.networks).into_iter().map(Changed::Network);
        networks.chain(self.bonds.changes_from(&before.bonds).into_iter().map(Changed::Bond)).collect()
    }

    /// The owner of the host's default route.
    pub fn default_route(&self) -> Option<&NetworkName> {
        self.networks.default_routes().next()
    }
}

/// A network or bond that is new, different, or gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Changed {
    /// A network.
    Network(NetworkName),
    /// A bond.
    Bond(DeviceName),
}

/// The device below a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Base {
    /// The engine's `nic`.
    Nic(DeviceName),
    /// The engine's `bonding`.
    Bond(DeviceName),
}

impl Base {
    /// Its name.
    pub fn device(self) -> DeviceName {
        match self {
            Base::Nic(name) | Base::Bond(name) => name,
        }
    }
}

/// One logical network, as the engine wants it (vdsm-facts 1.1.1).
#[derive(Clone, Debug, PartialEq)]
pub struct NetworkConfig {
    /// `nic` or `bonding`.
    pub base: Option<Base>,
    /// `vlan`.
    pub vlan: Option<VlanTag>,
    /// `bridged`.
    pub bridged: bool,
    /// `mtu`.
    pub mtu: Mtu,
    /// `stp`; false without a bridge.
    pub stp: bool,
    /// `ipaddr` with `netmask` or `prefix`.
    pub ipv4: Option<Prefixed<Ipv4Addr>>,
    /// `gateway`.
    pub gateway: Option<Ipv4Addr>,
    /// `ipv6addr`.
    pub ipv6: Option<Prefixed<Ipv6Addr>>,
    /// `ipv6gateway`.
    pub ipv6_gateway: Option<Ipv6Addr>,
    /// `defaultRoute`: whether the gateways are the host's.
    pub default_route: bool,
    /// `bootproto` is `dhcp`.
    pub dhcpv4: bool,
    /// `dhcpv6`.
    pub dhcpv6: bool,
    /// `ipv6autoconf`.
    pub ipv6_autoconf: bool,
    /// `blockingdhcp`: applied, never stored.
    pub blocking_dhcp: bool,
    /// `nameservers`; none means: whatever the host has.
    pub nameservers: Option<Vec<String>>,
    /// `switch`.
    pub switch: Switch,
    /// `hostQos`, `qosInbound` and `qosOutbound` as given.
    pub qos: Map<String, Value>,
    /// `hostQos`, read.
    pub host_qos: Option<Curves>,
    /// `custom` as given.
    pub custom: BTreeMap<String, String>,
    /// `custom.bridge_opts`, read.
    pub bridge_options: BridgeOptions,
    /// `custom.ethtool_opts`, read.
    pub ethtool_options: EthtoolOptions,
}

impl NetworkConfig {
    /// A bridged network without anything below or upon it.
    pub fn new() -> NetworkConfig {
        NetworkConfig {
            base: None,
            vlan: None,
            bridged: true,
            mtu: Mtu::DEFAULT,
            stp: false,
            ipv4: None,
            gateway: None,
            ipv6: None,
            ipv6_gateway: None,
            default_route: false,
            dhcpv4: false,
            dhcpv6: false,
            ipv6_autoconf: false,
            blocking_dhcp: false,
            nameservers: None,
            switch: Switch::Legacy,
            qos: Map::new(),
            host_qos: None,
            custom: BTreeMap::new(),
            bridge_options: BridgeOptions::default(),
            ethtool_options: EthtoolOptions::default(),
        }
    }

    /// The parts whose behaviour a configurator may lack.
    pub fn features(&self) -> Vec<Feature> {
        let nameservers = self.nameservers.as_ref().is_some_and(|n| !n.is_empty());
        let mut features = vec![
            (self.dhcpv4, Feature::Dhcpv4),
            (self.dhcpv6, Feature::Dhcpv6),
            (self.ipv6_autoconf, Feature::Ipv6Autoconf),
            (nameservers, Feature::Nameservers),
            (self.switch == Switch::Ovs, Feature::OvsSwitch),
            (self.custom.contains_key("ethtool_opts"), Feature::EthtoolOptions),
        ];
        features.extend(
            [("hostQos", Feature::HostQos), ("qosInbound", Feature::QosInbound), ("qosOutbound", Feature::QosOutbound)]
                .map(|(key, f)| (self.qos.contains_key(key), f)),
        );
        features.into_iter().filter_map(|(wanted, feature)| wanted.then_some(feature)).collect()
    }

    /// Whether it asks any server for addresses.
    pub fn asks(&self) -> bool {
        self.dhcpv4 || self.dhcpv6
    }

    /// Whether it lives by what routers announce: its addresses, or at least its default route.
    pub fn hears_routers(&self) -> bool {
        self.ipv6_autoconf || self.dhcpv6
    }

    /// Whether any of it needs IPv6 on the network's top device.
    pub fn wants_ipv6(&self) -> bool {
        self.ipv6.is_some() || self.hears_routers()
    }
}

impl Default for NetworkConfig {
    fn default() -> NetworkConfig {
        NetworkConfig::new()
    }
}

/// Who switches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Switch {
    /// The kernel's bridge.
    Legacy,
    /// Open vSwitch.
    Ovs,
}

/// A part of a request that some configurators do not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)] // named for the engine's keys
pub enum Feature {
    Dhcpv4,
    Dhcpv6,
    Ipv6Autoconf,
    Nameservers,
    OvsSwitch,
    EthtoolOptions,
    HostQos,
    QosInbound,
    QosOutbound,
}

impl Feature {
    /// Whether a network without it still connects the host.
    pub fn is_accessory(self) -> bool {
        use Feature::*;
        matches!(self, Nameservers | EthtoolOptions | HostQos | QosInbound | QosOutbound)
    }
}

/// One bond, as the engine wants it (vdsm-facts 1.1.2).
#[derive(Clone, Debug, PartialEq)]
pub struct BondConfig {
    /// `nics`, sorted: their order on the wire has no meaning.
    pub nics: BTreeSet<DeviceName>,
    /// `options`, read.
    pub options: BondOptions,
    /// `options`, as given: what the disk stores.
    pub options_text: String,
    /// `hwaddr`.
    pub hwaddr: Option<Mac>,
    /// `switch`.
    pub switch: Switch,
}

/// What of the request the host's administrator decides, and what a configurator can do.
#[derive(Clone, Debug)]
pub struct Policy {
    /// `network_combination`.
    pub combination: Combination,
    /// `bond_foreign_addresses`.
    pub bond_addresses: BondAddresses,
    /// The configurator's name, for sentences.
    pub configurator: String,
    /// What it can do.
    pub features: BTreeSet<Feature>,
}

/// Which networks may share a nic or bond.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Combination {
    /// The design document's rule: one non-VLANed bridged network alone, or any number of VLANed
    /// ones with at most one non-VLANed bridgeless one.
    Strict,
    /// The later original's: one network for each pair of interface and tag.
    Relaxed,
}

/// What becomes of an address a bond had before a bridgeless network came upon it (vdsm-facts 3.18).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BondAddresses {
    /// It stays, and the network's is added: the design document's "special previous behavior".
    Preserve,
    /// It goes, as it does on a nic.
    Replace,
}
