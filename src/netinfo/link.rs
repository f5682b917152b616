//! One `RTM_NEWLINK` message becomes a link, but for the names of other links.
//!
//! Of the sixty attributes of a link only those the model needs are read; what only reports want
//! is read in `details.rs`. Names are filled in later ([`Head::resolve`]), and again when another
//! link is renamed: a message has only indexes.

use std::sync::Arc;

use vdsm_model::bond_options::BondOptions;
use vdsm_model::device::Adverts;
use vdsm_model::name::DeviceName;
use vdsm_model::netinfo::{Driver, Port, SeenKind, SeenLink};
use vdsm_model::units::{Mac, Mtu, VlanTag};
use vdsm_netlink::attrs::{self, Attrs};

use super::NicRule;
use super::{ageing, details};

/// Length of `ifinfomsg`.
pub(super) const IFINFOMSG: usize = 16;

// Of linux/if.h.
const IF_OPER_UNKNOWN: u8 = 0;
const IF_OPER_UP: u8 = 6;

// Of linux/if_link.h; the libc crate has the others.
const IFLA_PARENT_DEV_NAME: u16 = 56;
const IFLA_VLAN_ID: u16 = 1;
const IFLA_VLAN_PROTOCOL: u16 = 5;
const IFLA_INET6_CONF: u16 = 2;
const IFLA_BOND_ACTIVE_SLAVE: u16 = 2;
const IFLA_BOND_PRIMARY: u16 = 11;
const IFLA_BOND_AD_INFO: u16 = 23;
const IFLA_BOND_AD_INFO_AGGREGATOR: u16 = 1;
const IFLA_BOND_AD_INFO_PARTNER_MAC: u16 = 5;
const IFLA_BOND_SLAVE_PERM_HWADDR: u16 = 4;
const IFLA_BOND_SLAVE_AD_AGGREGATOR_ID: u16 = 6;

/// The place of `disable_ipv6` in `IFLA_INET6_CONF`: `DEVCONF_DISABLE_IPV6` of linux/ipv6.h.
const DEVCONF_DISABLE_IPV6: usize = 26;
/// The places of `accept_ra`, `autoconf` and `accept_ra_defrtr`, likewise.
const DEVCONF_ACCEPT_RA: usize = 3;
const DEVCONF_AUTOCONF: usize = 5;
const DEVCONF_ACCEPT_RA_DEFRTR: usize = 17;

/// A link as its own messages tell it: its neighbours are indexes, and what belongs to it is not there.
#[derive(Clone)]
pub(super) struct Head {
    pub(super) link: SeenLink,
    master: Option<u32>,
    base: Option<u32>,
    /// The other end of a veth.
    pub(super) peer: Option<u32>,
    /// What it is in, by the kernel's name for that.
    pub(super) slot: Slot,
    /// The `IFLA_INFO_DATA` of a bond, which names slaves.
    bond: Option<Arc<[u8]>>,
}

/// Whether there is hardware behind a link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Slot {
    /// None, or the kernel (before 5.14) does not tell.
    #[default]
    None,
    /// There is.
    Device,
    /// Of PCI, and a function with the device number 0: where functions with virtual ones are.
    First,
}

impl Slot {
    /// By `IFLA_PARENT_DEV_NAME`: `0000:3b:00.1` of PCI.
    fn of(parent: &[u8]) -> Slot {
        match attrs::text(parent).unwrap_or_default().rsplit_once(':') {
            Some((_, function)) if function.starts_with("00.") => Slot::First,
            _ => Slot::Device,
        }
    }
}

/// What `IFLA_LINKINFO` says.
#[derive(Clone, Copy, Default)]
pub(super) struct Info<'a> {
    pub(super) kind: Option<&'a str>,
    pub(super) data: &'a [u8],
    pub(super) slave_kind: &'a [u8],
    pub(super) slave_data: &'a [u8],
}

impl Head {
    /// Reads the message; none for a link with a name that [`DeviceName`] refuses.
    pub(super) fn read(payload: &[u8], rule: &dyn NicRule) -> Option<Head> {
        let family = attrs::u8(payload)?;
        let layer = attrs::u16(payload.get(2..)?)?;
        let index = attrs::u32(payload.get(4..)?)?;
        let flags = attrs::u32(payload.get(8..)?)?;
        // What a bridge says of its ports, and IPv6 of its settings, has the same message type.
        if i32::from(family) != libc::AF_UNSPEC {
            return None;
        }
        let (mut name, mut base, mut base_elsewhere) = (&[][..], None, false);
        let (mut mac, mut mtu, mut master, mut group) = (None, 0, None, 0);
        let (mut operstate, mut ipv6) = (IF_OPER_UNKNOWN, None);
        let (mut hardware, mut vfs) = (None, Vec::new());
        let (mut info, mut slot) = (Info::default(), Slot::None);
        for (kind, value) in Attrs::after(payload, IFINFOMSG) {
            match kind {
                libc::IFLA_IFNAME => name = value,
                libc::IFLA_ADDRESS => mac = mac_of(value),
                libc::IFLA_MTU => mtu = attrs::u32(value)?,
                // A pair that is not whole yet says 0.
                libc::IFLA_LINK => base = attrs::u32(value).filter(|index| *index != 0),
                libc::IFLA_LINK_NETNSID => base_elsewhere = true,
                libc::IFLA_MASTER => master = attrs::u32(value),
                libc::IFLA_OPERSTATE => operstate = attrs::u8(value)?,
                libc::IFLA_LINKINFO => info = Info::read(value),
                libc::IFLA_GROUP => group = attrs::u32(value)?,
                libc::IFLA_AF_SPEC => ipv6 = attrs::find(Attrs::new(value), libc::AF_INET6 as u16).and_then(ipv6_in),
                details::IFLA_PERM_ADDRESS => hardware = mac_of(value),
                libc::IFLA_VFINFO_LIST => vfs = details::vfs(value),
                IFLA_PARENT_DEV_NAME => slot = Slot::of(value),
                _ => {}
            }
        }
        let Some(name) = attrs::text(name).and_then(|name| DeviceName::try_from(name).ok()) else {
            let name = String::from_utf8_lossy(attrs::text_bytes(name));
            tracing::trace!(index, %name, "passing over a link with a name we refuse");
            return None;
        };
        let loopback = flags & libc::IFF_LOOPBACK as u32 != 0;
        let like = Like::of(&info, name.as_str(), layer, loopback, rule);
        let slave = info.slave();
        let base = base.filter(|_| !base_elsewhere);
        let kind = kind_of(&info, &like);
        let details = details::of(&info, operstate, hardware, vfs);
        let lower_up = flags & libc::IFF_LOWER_UP as u32 != 0;
        let link = SeenLink {
            index,
            name,
            kind,
            nic: like.is_nic() && !rule.is_hidden(name.as_str()),
            mtu: Mtu::seen(mtu),
            up: flags & libc::IFF_UP as u32 != 0,
            running: operstate == IF_OPER_UP || (operstate == IF_OPER_UNKNOWN && lower_up),
            mac,
            // Of a slave it must be there; one with another kind of address (InfiniBand) has none of ours.
            permanent_mac: slave.map(|own| own.mac.or(mac).unwrap_or(Mac([0; 6]))),
            master: None,
            base: None,
            group,
            ipv6_disabled: ipv6.map(|(disabled, _)| disabled),
            adverts: ipv6.map(|(_, adverts)| adverts),
            addresses: Vec::new(),
            routes: Vec::new(),
            made_routes: Vec::new(),
            shared_routes: Vec::new(),
            dhcp: Arc::default(),
            many_routes: false,
            aggregator: slave.and_then(|own| own.aggregator),
            settings: None,
            shaper: None,
            details: Arc::new(details),
        };
        // A veth's other end is not below it.
        let (peer, base) = if info.kind == Some("veth") { (base, None) } else { (None, base) };
        let bond = (info.kind == Some("bond")).then(|| info.data.into());
        Some(Head { link, master, base, peer, slot, bond })
    }

    /// The links that are named when this one is told.
    pub(super) fn refers(&self) -> impl Iterator<Item = u32> {
        let named = |kind| self.bond.as_ref().and_then(|data| attrs::find(Attrs::new(data), kind)).and_then(attrs::u32);
        let slaves = [named(IFLA_BOND_ACTIVE_SLAVE), named(IFLA_BOND_PRIMARY)];
        [self.master, self.base, self.peer].into_iter().chain(slaves).flatten()
    }

    /// Whether it is one end of a pair.
    pub(super) fn is_veth(&self) -> bool {
        matches!(self.link.details.driver, Driver::Veth { .. })
    }

    /// What LACP has agreed on: as a bond tells it, as its slave does.
    pub(super) fn lacp(&self) -> (Option<(u16, Mac)>, Option<u16>, Option<&Port>) {
        let of_bond = match &self.link.kind {
            SeenKind::Bond { lacp, .. } => *lacp,
            _ => None,
        };
        (of_bond, self.link.aggregator, self.link.details.port.as_ref())
    }

    /// The index of its master.
    pub(super) fn master(&self) -> Option<u32> {
        self.master
    }

    /// The link with the names filled in.
    pub(super) fn resolve(&self, name_of: &dyn Fn(u32) -> Option<DeviceName>) -> SeenLink {
        let mut link = self.link.clone();
        link.master = self.master.and_then(name_of);
        link.base = self.base.and_then(name_of);
        if let SeenKind::Vlan { device, .. } = &mut link.kind {
            *device = link.base;
        }
        if let Some(data) = &self.bond {
            link.kind = bond(data, name_of);
        }
        if let Some(name) = self.peer.and_then(name_of) {
            Arc::make_mut(&mut link.details).driver = Driver::Veth { peer: Some(name) };
        }
        link
    }
}

/// What a link is as far as nics are concerned.
enum Like<'a> {
    /// Ethernet hardware.
    Hardware,
    /// Something without hardware, of the kernel's kind, that may stand in for it.
    Fake(&'a str),
    /// Something else, by a word for it.
    No(&'a str),
}

impl<'a> Like<'a> {
    fn of(info: &Info<'a>, name: &str, layer: u16, loopback: bool, rule: &dyn NicRule) -> Like<'a> {
        match info.kind {
            None if loopback => Like::No("loopback"),
            None if layer == libc::ARPHRD_ETHER => Like::Hardware,
            None if layer == libc::ARPHRD_INFINIBAND => Like::No("infiniband"),
            None => Like::No("link without ethernet"),
            Some(kind @ ("bond" | "vlan" | "bridge")) => Like::No(kind),
            // An ifb is a dummy where there is none, and of these only a tap has ethtool options.
            Some(kind @ ("dummy" | "veth" | "macvlan" | "ifb" | "tun")) if rule.is_fake(name) => Like::Fake(kind),
            Some(kind) => Like::No(kind),
        }
    }

    fn is_nic(&self) -> bool {
        matches!(self, Like::Hardware | Like::Fake(_))
    }
}

fn kind_of(info: &Info<'_>, like: &Like<'_>) -> SeenKind {
    match *like {
        // A tap that stands in for a nic is still a tap.
        Like::Fake("tun") | Like::No("tun") => SeenKind::Tap,
        Like::Hardware | Like::Fake(_) => SeenKind::Nic,
        Like::No("bridge") => SeenKind::Bridge { options: ageing::options(info.data), report: info.data.into() },
        // Its options name devices.
        Like::No("bond") => bond(info.data, &|_| None),
        Like::No("vlan") => match vlan_tag(info.data) {
            Some(tag) => SeenKind::Vlan { tag, device: None },
            None if vlan_protocol(info.data) == libc::ETH_P_8021AD => SeenKind::Other("802.1ad vlan".into()),
            None => SeenKind::Other("vlan".into()),
        },
        Like::No(kind) => SeenKind::Other(kind.into()),
    }
}

/// The tag of an 802.1Q VLAN; 802.1ad's are another matter, although the driver is the same.
fn vlan_tag(data: &[u8]) -> Option<VlanTag> {
    let tag = attrs::find(Attrs::new(data), IFLA_VLAN_ID).and_then(attrs::u16);
    let tag = tag.filter(|_| vlan_protocol(data) == libc::ETH_P_8021Q)?;
    VlanTag::new(tag.into())
}

fn vlan_protocol(data: &[u8]) -> i32 {
    let protocol = attrs::find(Attrs::new(data), IFLA_VLAN_PROTOCOL).and_then(attrs::be16);
    // Before 3.10 there was no other.
    protocol.map_or(libc::ETH_P_8021Q, i32::from)
}

fn bond(data: &[u8], name_of: &dyn Fn(u32) -> Option<DeviceName>) -> SeenKind {
    let nested = || Attrs::new(data);
    let text_of = |index| name_of(index).map(|name| name.as_str().to_owned());
    let lacp = |info| {
        let aggregator = attrs::find(Attrs::new(info), IFLA_BOND_AD_INFO_AGGREGATOR)?;
        let partner = attrs::find(Attrs::new(info), IFLA_BOND_AD_INFO_PARTNER_MAC)?;
        Some((attrs::u16(aggregator)?, mac_of(partner)?))
    };
    SeenKind::Bond {
        options: BondOptions::from_kernel(nested(), text_of),
        active: attrs::find(nested(), IFLA_BOND_ACTIVE_SLAVE).and_then(attrs::u32).and_then(name_of),
        lacp: attrs::find(nested(), IFLA_BOND_AD_INFO).and_then(lacp),
    }
}

/// What a bond says of its slave.
#[derive(Clone, Copy)]
struct Slave {
    mac: Option<Mac>,
    aggregator: Option<u16>,
}

impl<'a> Info<'a> {
    fn read(value: &'a [u8]) -> Info<'a> {
        let mut info = Info::default();
        for (kind, value) in Attrs::new(value) {
            match kind {
                libc::IFLA_INFO_KIND => info.kind = attrs::text(value),
                libc::IFLA_INFO_DATA => info.data = value,
                libc::IFLA_INFO_SLAVE_KIND => info.slave_kind = attrs::text_bytes(value),
                libc::IFLA_INFO_SLAVE_DATA => info.slave_data = value,
                _ => {}
            }
        }
        info
    }

    fn slave(&self) -> Option<Slave> {
        let find = |kind| attrs::find(Attrs::new(self.slave_data), kind);
        (self.slave_kind == b"bond").then(|| Slave {
            mac: find(IFLA_BOND_SLAVE_PERM_HWADDR).and_then(mac_of),
            aggregator: find(IFLA_BOND_SLAVE_AD_AGGREGATOR_ID).and_then(attrs::u16),
        })
    }
}

/// `disable_ipv6`, and what is taken from router advertisements.
pub(super) fn ipv6_in(inet6: &[u8]) -> Option<(bool, Adverts)> {
    let conf = attrs::find(Attrs::new(inet6), IFLA_INET6_CONF)?;
    let value = |place: usize| attrs::i32(conf.get(place * 4..)?);
    let set = |place: usize| value(place).map(|value| value != 0);
    let accept = value(DEVCONF_ACCEPT_RA)?.clamp(0, 2) as u8;
    let adverts = Adverts { accept, autoconf: set(DEVCONF_AUTOCONF)?, default_route: set(DEVCONF_ACCEPT_RA_DEFRTR) };
    Some((set(DEVCONF_DISABLE_IPV6)?, adverts))
}

pub(super) fn mac_of(value: &[u8]) -> Option<Mac> {
    value.try_into().ok().map(Mac)
}
