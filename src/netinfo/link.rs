//! One `RTM_NEWLINK` message becomes a link, but for the names of other links.
//!
//! Of the sixty attributes of a link only those the model needs are read. Names
//! are filled in at the end ([`Half::resolve`]): a message has only indexes.

use vdsm_model::bond_options::BondOptions;
use vdsm_model::bridge_options::BridgeOptions;
use vdsm_model::name::DeviceName;
use vdsm_model::netinfo::{SeenKind, SeenLink};
use vdsm_model::units::{Mac, Mtu, VlanTag};
use vdsm_netlink::attrs::{self, Attrs};

use super::NicRule;

/// Length of `ifinfomsg`.
pub(super) const IFINFOMSG: usize = 16;

// Of linux/if.h.
const IF_OPER_UNKNOWN: u8 = 0;
const IF_OPER_UP: u8 = 6;

// Of linux/if_link.h; the libc crate has the others.
const IFLA_VLAN_ID: u16 = 1;
const IFLA_VLAN_PROTOCOL: u16 = 5;
const IFLA_INET6_CONF: u16 = 2;
const IFLA_BOND_ACTIVE_SLAVE: u16 = 2;
const IFLA_BOND_AD_INFO: u16 = 23;
const IFLA_BOND_AD_INFO_AGGREGATOR: u16 = 1;
const IFLA_BOND_AD_INFO_PARTNER_MAC: u16 = 5;
const IFLA_BOND_SLAVE_PERM_HWADDR: u16 = 4;
const IFLA_BOND_SLAVE_AD_AGGREGATOR_ID: u16 = 6;

/// The place of `disable_ipv6` in `IFLA_INET6_CONF`: `DEVCONF_DISABLE_IPV6` of linux/ipv6.h.
const DEVCONF_DISABLE_IPV6: usize = 26;
/// The places of `accept_ra` and `autoconf`, likewise.
const DEVCONF_ACCEPT_RA: usize = 3;
const DEVCONF_AUTOCONF: usize = 5;

/// A link whose neighbours have no names yet.
pub(super) struct Half {
    pub(super) link: SeenLink,
    master: Option<u32>,
    base: Option<u32>,
    loose: Loose,
}

/// What else of it wants names.
enum Loose {
    Nothing,
    /// The index of what a VLAN stands on.
    Base(u32),
    /// The `IFLA_INFO_DATA` of a bond.
    Bond(Vec<u8>),
}

/// What `IFLA_LINKINFO` says.
#[derive(Clone, Copy, Default)]
struct Info<'a> {
    kind: Option<&'a str>,
    data: &'a [u8],
    slave_kind: &'a [u8],
    slave_data: &'a [u8],
}

impl Half {
    /// Reads the message; none for a link with a name that [`DeviceName`] refuses.
    pub(super) fn read(payload: &[u8], rule: &dyn NicRule) -> Option<Half> {
        let family = attrs::u8(payload)?;
        let layer = attrs::u16(payload.get(2..)?)?;
        let index = attrs::u32(payload.get(4..)?)?;
        let flags = attrs::u32(payload.get(8..)?)?;
        // A bridge's own dump of its ports has the same message type.
        if i32::from(family) != libc::AF_UNSPEC {
            return None;
        }
        let (mut name, mut base, mut base_elsewhere) = (&[][..], None, false);
        let (mut mac, mut mtu, mut master, mut group) = (None, 0, None, 0);
        let (mut operstate, mut ipv6) = (IF_OPER_UNKNOWN, None);
        let mut info = Info::default();
        for (kind, value) in Attrs::after(payload, IFINFOMSG) {
            match kind {
                libc::IFLA_IFNAME => name = value,
                libc::IFLA_ADDRESS => mac = mac_of(value),
                libc::IFLA_MTU => mtu = attrs::u32(value)?,
                libc::IFLA_LINK => base = attrs::u32(value),
                libc::IFLA_LINK_NETNSID => base_elsewhere = true,
                libc::IFLA_MASTER => master = attrs::u32(value),
                libc::IFLA_OPERSTATE => operstate = attrs::u8(value)?,
                libc::IFLA_LINKINFO => info = Info::read(value),
                libc::IFLA_GROUP => group = attrs::u32(value)?,
                libc::IFLA_AF_SPEC => ipv6 = ipv6_in(value),
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
        let (kind, loose) = kind_of(&info, &like, base);
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
            ipv6_autoconf: ipv6.map(|(_, autoconf)| autoconf),
            addresses: Vec::new(),
            routes: Vec::new(),
            aggregator: slave.and_then(|own| own.aggregator),
        };
        // A veth's other end is not below it.
        let base = base.filter(|_| info.kind != Some("veth"));
        Some(Half { link, master, base, loose })
    }

    /// Fills in the names.
    pub(super) fn resolve(self, name_of: &dyn Fn(u32) -> Option<DeviceName>) -> SeenLink {
        let mut link = self.link;
        link.master = self.master.and_then(name_of);
        link.base = self.base.and_then(name_of);
        match (self.loose, &mut link.kind) {
            (Loose::Base(index), SeenKind::Vlan { device, .. }) => *device = name_of(index),
            (Loose::Bond(data), kind) => *kind = bond(&data, name_of),
            _ => {}
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
            Some(kind) if rule.is_fake(name) => Like::Fake(kind),
            Some(kind) => Like::No(kind),
        }
    }

    fn is_nic(&self) -> bool {
        matches!(self, Like::Hardware | Like::Fake(_))
    }
}

fn kind_of(info: &Info<'_>, like: &Like<'_>, base: Option<u32>) -> (SeenKind, Loose) {
    let kind = match *like {
        // A tap that stands in for a nic is still a tap.
        Like::Fake("tun") | Like::No("tun") => SeenKind::Tap,
        Like::Hardware | Like::Fake(_) => SeenKind::Nic,
        Like::No("bridge") => {
            SeenKind::Bridge { options: BridgeOptions::from_kernel(Attrs::new(info.data)), report: info.data.to_vec() }
        }
        // A bond's options name devices.
        Like::No("bond") => return (SeenKind::Nic, Loose::Bond(info.data.to_vec())),
        Like::No("vlan") => match vlan_tag(info.data) {
            Some(tag) => {
                let vlan = SeenKind::Vlan { tag, device: None };
                return (vlan, base.map_or(Loose::Nothing, Loose::Base));
            }
            None if vlan_protocol(info.data) == libc::ETH_P_8021AD => SeenKind::Other("802.1ad vlan".into()),
            None => SeenKind::Other("vlan".into()),
        },
        Like::No(kind) => SeenKind::Other(kind.into()),
    };
    (kind, Loose::Nothing)
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

/// `disable_ipv6`, and whether router advertisements are heeded.
fn ipv6_in(af_spec: &[u8]) -> Option<(bool, bool)> {
    let inet6 = attrs::find(Attrs::new(af_spec), libc::AF_INET6 as u16)?;
    let conf = attrs::find(Attrs::new(inet6), IFLA_INET6_CONF)?;
    let set = |place: usize| attrs::i32(conf.get(place * 4..)?).map(|value| value != 0);
    Some((set(DEVCONF_DISABLE_IPV6)?, set(DEVCONF_ACCEPT_RA)? || set(DEVCONF_AUTOCONF)?))
}

fn mac_of(value: &[u8]) -> Option<Mac> {
    value.try_into().ok().map(Mac)
}
