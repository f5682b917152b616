//! One link as the kernel tells it, with what belongs to it.
//!
//! What a plan is made of stands in [`SeenLink`] itself; what only reports and people want is in
//! [`Details`]. Counters are not here: they change without an event.

use std::sync::Arc;

use super::details::Details;
use crate::bond_options::BondOptions;
use crate::bridge_options::BridgeOptions;
use crate::device::Adverts;
use crate::dhcp::{Lease, SeenClients};
use crate::ethtool_options::SeenSettings;
use crate::ip::{Address, Route};
use crate::name::DeviceName;
use crate::qos::Shaper;
use crate::units::{Mac, Mtu, VlanTag};

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
    /// What it takes from router advertisements; none as above.
    pub adverts: Option<Adverts>,
    /// Without IPv6's link-local ones, in the kernel's order.
    pub addresses: Vec<Address>,
    /// Routes through it that the kernel did not make by itself. The loopback's are also those that
    /// lead nowhere, where one of ours might want the place.
    pub routes: Vec<Route>,
    /// Routes through it that came without anybody's wish: the kernel made them of an address, or
    /// a router announced them. Link-local ones are left out.
    pub made_routes: Vec<Route>,
    /// Next hops through it of routes that go over several (multipath), where one of ours might want the place.
    pub shared_routes: Vec<Route>,
    /// The DHCP clients that serve it.
    pub dhcp: Arc<SeenClients>,
    /// There are more routes through it than [`MANY_ROUTES`]; of those in [`SeenLink::routes`]
    /// only the default routes are there. A host may carry the Internet's table.
    pub many_routes: bool,
    /// A slave's LACP aggregator.
    pub aggregator: Option<u16>,
    /// What ethtool says of it; none where nobody has asked. A picture of the host has none of it:
    /// only a transaction asks, and only for what matters to it.
    pub settings: Option<Arc<SeenSettings>>,
    /// How it shares what it sends, where the root discipline is ours.
    pub shaper: Option<Arc<Shaper>>,
    /// What else is known of it. Shared by the link's moments while it stays the same.
    pub details: Arc<Details>,
}

impl SeenLink {
    /// A link that is up, with nothing on it and nothing around it.
    pub fn new(index: u32, name: DeviceName, kind: SeenKind) -> SeenLink {
        SeenLink {
            index,
            name,
            nic: matches!(kind, SeenKind::Nic),
            kind,
            mtu: Mtu::DEFAULT,
            up: true,
            running: true,
            mac: None,
            permanent_mac: None,
            master: None,
            base: None,
            group: 0,
            ipv6_disabled: None,
            adverts: None,
            addresses: Vec::new(),
            routes: Vec::new(),
            made_routes: Vec::new(),
            shared_routes: Vec::new(),
            dhcp: Arc::default(),
            many_routes: false,
            aggregator: None,
            settings: None,
            shaper: None,
            details: Arc::default(),
        }
    }

    /// The lease of our client of DHCPv6, or else of DHCP, once its address is there: only then does
    /// anything follow from it.
    pub fn lease(&self, v6: bool) -> Option<&Lease> {
        let client = if v6 { &self.dhcp.v6 } else { &self.dhcp.v4 };
        let lease = client.as_ref()?.lease.as_ref()?;
        self.addresses.iter().any(|it| it.ip == lease.address).then_some(lease)
    }
}

/// The most routes of a link that are kept beside its default routes.
pub const MANY_ROUTES: usize = 1000;

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
        /// Every attribute as the kernel sent it, for the report.
        report: Arc<[u8]>,
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
