//! One moment of the host, as the kernel told it. Immutable; nobody here asks the kernel.
//!
//! `src/netinfo/` of the root crate fills it, `configurators/sim` invents it.

use std::collections::{BTreeMap, HashMap};

use crate::bond_options::BondOptions;
use crate::bridge_options::BridgeOptions;
use crate::ip::{Address, Route};
use crate::name::DeviceName;
use crate::units::{Mac, Mtu, VlanTag};

/// All links, with their addresses and routes.
#[derive(Clone, Debug, Default)]
pub struct NetInfo {
    links: BTreeMap<DeviceName, SeenLink>,
    index: Index,
    /// Whether this kernel has IPv6 (`ipv6.disable=1` takes it away).
    pub has_ipv6: bool,
}

/// The same links by what else one asks for them.
#[derive(Clone, Debug, Default)]
struct Index {
    names: HashMap<u32, DeviceName>,
    ports: HashMap<DeviceName, Vec<DeviceName>>,
    vlans: HashMap<DeviceName, Vec<DeviceName>>,
    uppers: HashMap<DeviceName, Vec<DeviceName>>,
    tags: HashMap<(DeviceName, VlanTag), DeviceName>,
}

impl Index {
    fn of(links: &BTreeMap<DeviceName, SeenLink>) -> Index {
        let mut index = Index { names: HashMap::with_capacity(links.len()), ..Index::default() };
        for link in links.values() {
            index.names.insert(link.index, link.name);
            if let Some(master) = link.master {
                index.ports.entry(master).or_default().push(link.name);
            }
            if let Some(base) = link.base {
                index.uppers.entry(base).or_default().push(link.name);
            }
            if let SeenKind::Vlan { tag, device: Some(base) } = link.kind {
                index.vlans.entry(base).or_default().push(link.name);
                index.tags.insert((base, tag), link.name);
            }
        }
        index
    }
}

impl NetInfo {
    /// A host with these links.
    pub fn new(links: impl IntoIterator<Item = SeenLink>, has_ipv6: bool) -> NetInfo {
        let links: BTreeMap<_, _> = links.into_iter().map(|l| (l.name, l)).collect();
        NetInfo { index: Index::of(&links), links, has_ipv6 }
    }

    /// The link of that name.
    pub fn link(&self, name: &DeviceName) -> Option<&SeenLink> {
        self.links.get(name)
    }

    /// The name of an interface index.
    pub fn name_of(&self, index: u32) -> Option<DeviceName> {
        self.index.names.get(&index).copied()
    }

    /// All links, by name.
    pub fn links(&self) -> impl Iterator<Item = &SeenLink> {
        self.links.values()
    }

    /// The links that have this one as master, by name.
    pub fn ports_of(&self, master: DeviceName) -> impl Iterator<Item = &SeenLink> {
        self.named(self.index.ports.get(&master))
    }

    /// The VLAN devices that stand on this link, by name.
    pub fn vlans_on(&self, base: DeviceName) -> impl Iterator<Item = &SeenLink> {
        self.named(self.index.vlans.get(&base))
    }

    /// Everything that stands on this link, VLANs among it, by name.
    pub fn standing_on(&self, base: DeviceName) -> impl Iterator<Item = &SeenLink> {
        self.named(self.index.uppers.get(&base))
    }

    fn named<'a>(&'a self, names: Option<&'a Vec<DeviceName>>) -> impl Iterator<Item = &'a SeenLink> {
        names.into_iter().flatten().filter_map(|name| self.links.get(name))
    }

    /// The VLAN device with that tag on that link, whatever it is called.
    pub fn vlan(&self, base: DeviceName, tag: VlanTag) -> Option<&SeenLink> {
        self.links.get(self.index.tags.get(&(base, tag))?)
    }

    /// This moment with some links looked at anew: `Some` replaces, `None` says it is gone.
    pub fn with(mut self, fresh: impl IntoIterator<Item = (DeviceName, Option<SeenLink>)>) -> NetInfo {
        for (name, link) in fresh {
            match link {
                Some(link) => drop(self.links.insert(name, link)),
                None => drop(self.links.remove(&name)),
            }
        }
        NetInfo { index: Index::of(&self.links), ..self }
    }
}

/// One link.
#[derive(Clone, Debug)]
pub struct SeenLink {
    /// Its interface index.
    pub index: u32,
    /// Its name.
    pub name: DeviceName,
    /// What it is.
    pub kind: SeenKind,
    /// Whether networks may use it as a nic: hardware, or a fake one that vdsm.conf lets in, and not hidden.
    pub nic: bool,
    /// As set, not as usable.
    pub mtu: Mtu,
    /// Administratively up (`IFF_UP`).
    pub up: bool,
    /// Operationally up: `operstate` up, or unknown with a carrier.
    pub running: bool,
    /// Its current hardware address.
    pub mac: Option<Mac>,
    /// A slave's own address, which its bond hides.
    pub permanent_mac: Option<Mac>,
    /// The bridge or bond it belongs to.
    pub master: Option<DeviceName>,
    /// The link it stands on, whatever it is: a VLAN, a macvlan, a vxlan (`IFLA_LINK` in this namespace).
    pub base: Option<DeviceName>,
    /// The group it is in (`IFLA_GROUP`); 0 mostly.
    pub group: u32,
    /// The sysctl `disable_ipv6`; none where IPv6 does not exist on the device (MTU below 1280).
    pub ipv6_disabled: Option<bool>,
    /// The sysctls `accept_ra` and `autoconf`: whether one of them is on.
    pub ipv6_autoconf: Option<bool>,
    /// Without IPv6's link-local ones, in the kernel's order.
    pub addresses: Vec<Address>,
    /// Unicast routes through it that the kernel did not make by itself.
    pub routes: Vec<Route>,
    /// A slave's LACP aggregator.
    pub aggregator: Option<u16>,
}

/// What a link is.
#[derive(Clone, Debug)]
pub enum SeenKind {
    /// Hardware, or something that stands in for it (dummy, veth).
    Nic,
    /// A bonding master.
    Bond {
        /// As the kernel reports them.
        options: BondOptions,
        /// The slave that carries the traffic, where the mode has one.
        active: Option<DeviceName>,
        /// LACP: aggregator and partner.
        lacp: Option<(u16, Mac)>,
    },
    /// An 802.1Q VLAN.
    Vlan {
        /// Its tag.
        tag: VlanTag,
        /// What it stands on; none when that lies in another namespace.
        device: Option<DeviceName>,
    },
    /// A kernel bridge.
    Bridge {
        /// As the kernel reports them.
        options: BridgeOptions,
        /// Every attribute as sysfs would spell it, for the report.
        report: Vec<u8>,
    },
    /// A VM's tap.
    Tap,
    /// Anything else, by the kernel's name for it.
    Other(String),
}

impl SeenKind {
    /// A word for sentences.
    pub fn word(&self) -> &str {
        match self {
            SeenKind::Nic => "nic",
            SeenKind::Bond { .. } => "bond",
            SeenKind::Vlan { .. } => "vlan",
            SeenKind::Bridge { .. } => "bridge",
            SeenKind::Tap => "tap",
            SeenKind::Other(kind) => kind,
        }
    }
}
