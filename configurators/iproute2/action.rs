//! What this configurator can say to the kernel, one message or one sysctl each.
//!
//! `Display` is the command a person would type for it.

use std::fmt;
use std::sync::Arc;

use vdsm_model::bond_options::{BondOptions, OptionChange, OptionValue, Payload};
use vdsm_model::bridge_options::{BridgeChange, BridgeOptions};
use vdsm_model::device::Adverts;
use vdsm_model::ethtool_options::{Group, Settings};
use vdsm_model::ip::{Address, Fate, Route};
use vdsm_model::name::DeviceName;
use vdsm_model::resolver::Resolver;
use vdsm_model::rule::Rule;
use vdsm_model::units::{Mac, Mtu, VlanTag};

use super::clients::{self, ClientChange};
use super::qos::{QosChange, Spelled};
use crate::resolver;

/// One thing done to the host.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub enum Action {
    /// A new link; it is down.
    AddLink {
        name: DeviceName,
        kind: NewLink,
        mtu: Option<Mtu>,
        mac: Option<Mac>,
    },
    /// Attributes of a link, in one message.
    SetLink {
        name: DeviceName,
        change: LinkChange,
    },
    /// One option of a bond.
    SetBond {
        name: DeviceName,
        change: OptionChange,
    },
    /// One option of a bridge.
    SetBridge {
        name: DeviceName,
        change: BridgeChange,
    },
    /// A link goes, with what the kernel takes along. That it is gone already is no error.
    DelLink {
        name: DeviceName,
    },
    /// The sysctl `disable_ipv6`.
    Ipv6 {
        name: DeviceName,
        on: bool,
    },
    /// The sysctls `accept_ra`, `autoconf` and `accept_ra_defrtr`.
    Adverts {
        name: DeviceName,
        adverts: Adverts,
    },
    /// Asks the routers on a link to announce themselves (RFC 4861, 6.3.7): the kernel does that
    /// only when IPv6 starts there. Nobody fails without.
    Solicit {
        device: DeviceName,
    },
    /// A part of a device's host QoS.
    Qos {
        device: DeviceName,
        change: QosChange,
    },
    /// The MTU of a VM's tap, if it is still there.
    SetTap {
        name: DeviceName,
        mtu: Mtu,
    },
    /// Settings of a nic that one message of ethtool's carries.
    Ethtool {
        name: DeviceName,
        group: Group,
        settings: Settings,
    },
    /// `replace`: it may be there already, and then takes over what is said here of its life.
    AddAddress {
        device: DeviceName,
        address: Address,
        replace: bool,
    },
    /// That it is gone already is no error, nor that its device is.
    DelAddress {
        device: DeviceName,
        address: Address,
    },
    /// A DHCP client starts or ends.
    Dhcp {
        device: DeviceName,
        change: ClientChange,
    },
    /// With `replace` it takes the place of the one to the same destination, whoever has that.
    AddRoute {
        device: DeviceName,
        route: Route,
        replace: bool,
    },
    /// That it is gone already is no error: the kernel removes routes of itself.
    DelRoute {
        device: DeviceName,
        route: Route,
    },
    AddRule {
        rule: Rule,
    },
    /// That it is gone already is no error.
    DelRule {
        rule: Rule,
    },
    /// The host's resolver, from what it is to what it is to be.
    Resolver {
        from: Arc<Resolver>,
        to: Arc<Resolver>,
    },
}

/// What a new link is.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub enum NewLink {
    Bond(BondOptions),
    Vlan { device: DeviceName, tag: VlanTag },
    Bridge(BridgeOptions),
}

/// Attributes of a link to be changed together; none stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LinkChange {
    /// In bytes.
    pub mtu: Option<Mtu>,
    /// Its hardware address.
    pub mac: Option<Mac>,
    /// The bridge or bond it joins, or that it leaves its own.
    pub master: Option<Option<DeviceName>>,
    /// Administratively up or down.
    pub up: Option<bool>,
}

impl LinkChange {
    /// Whether it changes nothing.
    pub fn is_empty(&self) -> bool {
        *self == LinkChange::default()
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Action::AddLink { name, kind, mtu, mac } => write_new(f, name, kind, *mtu, *mac),
            Action::SetLink { name, change } => {
                write!(f, "ip link set {name}")?;
                change.mtu.map_or(Ok(()), |mtu| write!(f, " mtu {mtu}"))?;
                change.mac.map_or(Ok(()), |mac| write!(f, " address {mac}"))?;
                match change.master {
                    Some(Some(master)) => write!(f, " master {master}")?,
                    Some(None) => write!(f, " nomaster")?,
                    None => {}
                }
                change.up.map_or(Ok(()), |up| write!(f, " {}", if up { "up" } else { "down" }))
            }
            Action::SetBond { name, change } => {
                write!(f, "ip link set {name} type bond {} {}", change.attribute.name, Shown(&change.value))
            }
            Action::SetBridge { name, change } => {
                write!(f, "echo {} > /sys/class/net/{name}/bridge/{}", change.value, change.name)
            }
            Action::DelLink { name } => write!(f, "ip link del {name}"),
            Action::Ipv6 { name, on } => {
                write!(f, "echo {} > /proc/sys/net/ipv6/conf/{name}/disable_ipv6", u8::from(!on))
            }
            Action::Adverts { name, adverts } => {
                let all = adverts_sysctls(*adverts);
                let each =
                    all.iter().map(|(key, value)| format!("echo {value} > /proc/sys/net/ipv6/conf/{name}/{key}"));
                f.write_str(&each.collect::<Vec<_>>().join("; "))
            }
            Action::Solicit { device } => write!(f, "rdisc6 -1 {device}"),
            Action::Qos { device, change } => Spelled(device, change).fmt(f),
            Action::SetTap { name, mtu } => write!(f, "ip link set {name} mtu {mtu}"),
            Action::Ethtool { name, group, settings } => {
                write!(f, "ethtool {} {name}", group.flag())?;
                settings.iter().try_for_each(|(key, value)| write!(f, " {} {}", key.name(), key.shown(*value)))
            }
            Action::AddAddress { device, address, replace } => {
                write!(f, "ip addr {} {address}", if *replace { "replace" } else { "add" })?;
                address.broadcast.map_or(Ok(()), |brd| write!(f, " brd {brd}"))?;
                write!(f, " dev {device}")
            }
            Action::DelAddress { device, address } => write!(f, "ip addr del {address} dev {device}"),
            Action::Dhcp { device, change } => clients::Spelled(device, change).fmt(f),
            Action::AddRoute { device, route, replace } => {
                let verb = if *replace { "replace" } else { "add" };
                write!(f, "ip {}route {verb} {} proto {}", family(route), Way(device, route), route.protocol)
            }
            Action::DelRoute { device, route } => write!(f, "ip {}route del {}", family(route), Way(device, route)),
            Action::AddRule { rule } => write!(f, "ip rule add {}", rule.spelled()),
            Action::DelRule { rule } => write!(f, "ip rule del {}", rule.spelled()),
            Action::Resolver { to, .. } => resolver::write_command(f, to),
        }
    }
}

/// The sysctls of a device below `net.ipv6.conf`, in the order in which they are written: nothing is
/// accepted before it is known what.
pub(super) fn adverts_sysctls(adverts: Adverts) -> Vec<(&'static str, u8)> {
    let mut all = vec![("autoconf", u8::from(adverts.autoconf))];
    all.extend(adverts.default_route.map(|on| ("accept_ra_defrtr", u8::from(on))));
    if adverts.are_heard() {
        all.push(("accept_ra", adverts.accept));
    } else {
        all.insert(0, ("accept_ra", 0));
    }
    all
}

/// A route with its device, where it has one of its own.
struct Way<'a>(&'a DeviceName, &'a Route);

impl fmt::Display for Way<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Way(device, route) = self;
        match (route.fate, route.nhid) {
            (Fate::Forwarded, None) => write!(f, "{route} dev {device}"),
            _ => write!(f, "{route}"),
        }
    }
}

fn family(route: &Route) -> &'static str {
    if route.to.addr.is_ipv6() { "-6 " } else { "" }
}

fn write_new(
    f: &mut fmt::Formatter<'_>,
    name: &DeviceName,
    kind: &NewLink,
    mtu: Option<Mtu>,
    mac: Option<Mac>,
) -> fmt::Result {
    write!(f, "ip link add")?;
    if let NewLink::Vlan { device, .. } = kind {
        write!(f, " link {device}")?;
    }
    write!(f, " name {name}")?;
    mac.map_or(Ok(()), |mac| write!(f, " address {mac}"))?;
    mtu.map_or(Ok(()), |mtu| write!(f, " mtu {mtu}"))?;
    match kind {
        NewLink::Vlan { tag, .. } => write!(f, " type vlan id {tag}"),
        NewLink::Bridge(options) => {
            write!(f, " type bridge")?;
            options.iter().try_for_each(|(key, value)| write!(f, " {} {value}", word_of(key)))
        }
        NewLink::Bond(options) => {
            write!(f, " type bond")?;
            for attribute in options.attributes() {
                match (options.get(attribute.name), &attribute.payload) {
                    (Some(value), _) => write!(f, " {} {}", attribute.name, Shown(&value))?,
                    (None, _) => write!(f, " {} {}", attribute.name, options.mode().name())?,
                }
            }
            Ok(())
        }
    }
}

/// What `ip link` calls a file of `/sys/class/net/BR/bridge/`.
fn word_of(file: &str) -> String {
    match (file, file.strip_prefix("multicast_")) {
        (_, Some(rest)) => format!("mcast_{rest}"),
        ("hash_max" | "hash_elasticity", _) => format!("mcast_{file}"),
        ("default_pvid", _) => format!("vlan_{file}"),
        ("group_addr", _) => "group_address".to_owned(),
        _ => file.to_owned(),
    }
}

/// A bonding option's value as `ip link` takes it.
struct Shown<'a>(&'a OptionValue);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |texts: Vec<String>| texts.join(",");
        match self.0 {
            OptionValue::Number(number) => write!(f, "{number}"),
            OptionValue::Device(name) => write!(f, "{name}"),
            OptionValue::Ips4(ips) => f.write_str(&list(ips.iter().map(ToString::to_string).collect())),
            OptionValue::Ips6(ips) => f.write_str(&list(ips.iter().map(ToString::to_string).collect())),
            OptionValue::Mac(mac) => write!(f, "{}", Mac(*mac)),
        }
    }
}

/// A device that an attribute's payload names.
pub(super) fn named(payload: &Payload) -> Option<&str> {
    match payload {
        Payload::Device(name) => Some(name),
        Payload::Bytes(_) => None,
    }
}
