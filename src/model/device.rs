//! The objects a host network is made of: nic, bond, VLAN, bridge, and what they share.
//!
//! Each knows what it is and when two of its kind mean the same. The rules of each stand in
//! `nic.rs`, `bond.rs`, `vlan.rs` and `bridge.rs`; relations between them in `graph/`.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::bond_options::{BondOptions, OptionValue};
use crate::bridge_options::BridgeOptions;
use crate::graph::Judge;
use crate::name::DeviceName;
use crate::problem::Problem;
use crate::units::{Mac, Mtu, VlanTag};

/// What every device has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// Its name.
    pub name: DeviceName,
    /// In bytes; none: not ours to say, or unknown after what the kernel did of itself.
    pub mtu: Option<Mtu>,
    /// Administratively up.
    pub up: bool,
    /// Whether IPv6 runs on it (the sysctl `disable_ipv6` turned round); none: not ours to say.
    pub ipv6: Option<bool>,
    /// What it takes from router advertisements; none: not ours to say.
    pub adverts: Option<Adverts>,
    /// Its hardware address; none: whatever the kernel gives it.
    pub mac: Option<Mac>,
}

impl Link {
    /// A link that is up.
    pub fn new(name: DeviceName, mtu: Mtu) -> Link {
        Link { name, mtu: Some(mtu), up: true, ipv6: None, adverts: None, mac: None }
    }

    /// Whether nothing is to be done to get from `self` to `to`.
    pub fn same(&self, to: &Link) -> bool {
        fn meets<T: PartialEq>(from: &Option<T>, to: &Option<T>) -> bool {
            to.is_none() || from == to
        }
        self.up == to.up
            && meets(&self.mtu, &to.mtu)
            && meets(&self.ipv6, &to.ipv6)
            && to.adverts.is_none_or(|to| self.adverts.is_some_and(|now| now.meets(to)))
            && meets(&self.mac, &to.mac)
    }
}

/// What a device takes from router advertisements (RFC 4861): sysctls of `net.ipv6.conf`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Adverts {
    /// `accept_ra`: 0 not at all, 1 unless the host forwards IPv6, 2 even then.
    pub accept: u8,
    /// `autoconf`: it makes itself addresses of the announced prefixes (RFC 4862).
    pub autoconf: bool,
    /// `accept_ra_defrtr`: the router becomes the host's default route; none: not ours to say.
    pub default_route: Option<bool>,
}

impl Adverts {
    /// It does not listen to routers.
    pub const IGNORED: Adverts = Adverts { accept: 0, autoconf: false, default_route: None };

    /// It listens. A host whose VMs are routed forwards, and is to keep its addresses all the same.
    pub fn heard(autoconf: bool, default_route: bool) -> Adverts {
        Adverts { accept: 2, autoconf, default_route: Some(default_route) }
    }

    /// Whether it listens at all.
    pub fn are_heard(self) -> bool {
        self.accept != 0
    }

    /// Whether nothing is to be done to get from `self` to `to`.
    pub fn meets(self, to: Adverts) -> bool {
        let default_route = to.default_route.is_none() || self.default_route == to.default_route;
        self.accept == to.accept && self.autoconf == to.autoconf && default_route
    }
}

/// A piece of network hardware, or what stands in for one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Nic {
    /// What every device has.
    pub link: Link,
}

/// A bonding master.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bond {
    /// What every device has.
    pub link: Link,
    /// Its slaves: nics, or VLANs that stand on nics.
    pub slaves: BTreeSet<DeviceName>,
    /// Mode and the rest.
    pub options: BondOptions,
}

/// Whether a bond's address is that of its active slave, and cannot be pinned (`fail_over_mac`).
pub fn follows_its_slave(options: &BondOptions) -> bool {
    !matches!(options.get("fail_over_mac"), None | Some(OptionValue::Number(0)))
}

/// An 802.1Q VLAN.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Vlan {
    /// What every device has.
    pub link: Link,
    /// Its tag.
    pub tag: VlanTag,
    /// What it stands on: a nic, a bond or a bridge.
    pub device: DeviceName,
}

/// A kernel bridge.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bridge {
    /// What every device has.
    pub link: Link,
    /// Its ports that are nics, bonds or VLANs in our care: one, or none, when we made it.
    pub ports: BTreeSet<DeviceName>,
    /// `stp_state`, `forward_delay` and whatever else is ours to say.
    pub options: BridgeOptions,
    /// The MTUs of the VM taps on it. They come and go without us, and follow its MTU.
    pub guests: BTreeMap<DeviceName, Mtu>,
}

impl Bridge {
    /// Whether it runs the spanning tree protocol.
    pub fn stp(&self) -> bool {
        self.options.get("stp_state").is_some_and(|s| s != 0)
    }

    /// The spanning tree protocol's forward delay, in centiseconds.
    pub fn forward_delay(&self) -> Option<u64> {
        self.options.get("forward_delay")
    }
}

/// A device of any kind.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum Device {
    Nic(Nic),
    Bond(Bond),
    Vlan(Vlan),
    Bridge(Bridge),
}

/// What the graph asks of every kind.
pub trait NetDevice {
    /// What every device has.
    fn link(&self) -> &Link;
    /// The devices directly below.
    fn lower(&self) -> Vec<DeviceName>;
    /// Whether nothing is to be done to get from `self` to `to`.
    fn same(&self, to: &Self) -> bool;
    /// What is wrong with it, given its neighbours and the host.
    fn check(&self, judge: &Judge<'_>) -> Vec<Problem>;
    /// Its name.
    fn name(&self) -> DeviceName {
        self.link().name
    }
}

macro_rules! each {
    ($device:expr, $inner:ident => $what:expr) => {
        match $device {
            Device::Nic($inner) => $what,
            Device::Bond($inner) => $what,
            Device::Vlan($inner) => $what,
            Device::Bridge($inner) => $what,
        }
    };
}

impl NetDevice for Device {
    fn link(&self) -> &Link {
        each!(self, d => d.link())
    }

    fn lower(&self) -> Vec<DeviceName> {
        each!(self, d => d.lower())
    }

    fn same(&self, to: &Device) -> bool {
        match (self, to) {
            (Device::Nic(a), Device::Nic(b)) => a.same(b),
            (Device::Bond(a), Device::Bond(b)) => a.same(b),
            (Device::Vlan(a), Device::Vlan(b)) => a.same(b),
            (Device::Bridge(a), Device::Bridge(b)) => a.same(b),
            _ => false,
        }
    }

    fn check(&self, judge: &Judge<'_>) -> Vec<Problem> {
        each!(self, d => d.check(judge))
    }
}

impl Device {
    /// What every device has, to be changed.
    pub fn link_mut(&mut self) -> &mut Link {
        each!(self, d => &mut d.link)
    }

    /// A word for sentences.
    pub fn word(&self) -> &'static str {
        match self {
            Device::Nic(_) => "nic",
            Device::Bond(_) => "bond",
            Device::Vlan(_) => "vlan",
            Device::Bridge(_) => "bridge",
        }
    }

    /// The devices that have it as master, where it is one.
    pub fn ports(&self) -> Option<&BTreeSet<DeviceName>> {
        match self {
            Device::Bond(bond) => Some(&bond.slaves),
            Device::Bridge(bridge) => Some(&bridge.ports),
            _ => None,
        }
    }

    /// The same, to be changed.
    pub fn ports_mut(&mut self) -> Option<&mut BTreeSet<DeviceName>> {
        match self {
            Device::Bond(bond) => Some(&mut bond.slaves),
            Device::Bridge(bridge) => Some(&mut bridge.ports),
            _ => None,
        }
    }
}
