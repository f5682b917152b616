//! What the engine is told of the host: the network part of Host.getCapabilities (vdsm-facts 6.1).
//!
//! Devices are told as the kernel has them, networks as the running configuration names them.
//! Nothing here asks the host. Not told yet: `qos` and `hostQos`, DHCP and IPv6 autoconfiguration
//! (always false), the speed (always 0, the original's word for unknown), and `lastClient`. What
//! the reader of the kernel leaves out is missing here too, such as routes learnt from routers.

use std::collections::HashMap;
use std::net::IpAddr;

use serde_json::{Value, json};
use vdsm_model::bridge_options;
use vdsm_model::config::{NetConfig, NetworkConfig, Switch};
use vdsm_model::ip::{Address, MAIN_TABLE, Route};
use vdsm_model::name::{DeviceName, NetworkName};
use vdsm_model::netinfo::{NetInfo, SeenKind, SeenLink};
use vdsm_model::units::{Mac, Prefixed, VlanTag, netmask_of};
use vdsm_netlink::attrs::Attrs;

use crate::conf::Patterns;

/// What the administrator keeps from the engine. Hidden nics are known to the reader of the
/// kernel already; a network of ours is told whatever it stands on.
#[derive(Clone, Debug, Default)]
pub struct Visibility {
    /// Bonds, and their slaves with them.
    pub hidden_bonds: Patterns,
    /// VLAN devices.
    pub hidden_vlans: Patterns,
}

/// The report of Host.getCapabilities as far as this version's objects go.
pub fn capabilities(
    seen: &NetInfo,
    running: &NetConfig,
    visible: &Visibility,
    dirty: bool,
    nameservers: &[String],
) -> Value {
    let report = Report::of(seen, running, visible);
    json!({
        "networks": report.networks(),
        "bridges": report.section(Report::bridge),
        "bondings": report.section(Report::bond),
        "nics": report.section(Report::nic),
        "vlans": report.section(Report::vlan),
        "nameservers": nameservers,
        "supportsIPv6": seen.has_ipv6,
        "netConfigDirty": if dirty { "True" } else { "False" },
    })
}

/// The name servers of a resolv.conf, in its order (resolv.conf(5)).
pub fn resolver(text: &str) -> Vec<String> {
    let nameserver = |line: &str| {
        // A comment begins in the first column; behind the address, anything is passed over.
        let mut words = line.split_whitespace();
        (line.starts_with("nameserver") && words.next() == Some("nameserver"))
            .then(|| words.next())
            .flatten()
            .map(str::to_owned)
    };
    text.lines().filter_map(nameserver).collect()
}

/// The bridge that `;vdsmdummy;` is: VDSM's own, for VMs whose nics are plugged in nowhere.
const DUMMY_BRIDGE: &str = ";vdsmdummy;";

/// Keys of one device or network, in the order of the report.
type Keys = Vec<(&'static str, Value)>;

/// The host with what would take a walk through all links to find.
struct Report<'a> {
    seen: &'a NetInfo,
    running: &'a NetConfig,
    visible: &'a Visibility,
    ports: HashMap<DeviceName, Vec<DeviceName>>,
    vlans: HashMap<(DeviceName, VlanTag), &'a SeenLink>,
}

impl<'a> Report<'a> {
    fn of(seen: &'a NetInfo, running: &'a NetConfig, visible: &'a Visibility) -> Report<'a> {
        let mut ports: HashMap<DeviceName, Vec<DeviceName>> = HashMap::new();
        let mut vlans = HashMap::new();
        for link in seen.links() {
            if let Some(master) = link.master {
                ports.entry(master).or_default().push(link.name);
            }
            if let SeenKind::Vlan { tag, device: Some(base) } = link.kind {
                vlans.insert((base, tag), link);
            }
        }
        ports.values_mut().for_each(|all| all.sort_by(DeviceName::natural_cmp));
        Report { seen, running, visible, ports, vlans }
    }

    /// Every network whose device exists; the others are the engine's to miss.
    fn networks(&self) -> Value {
        self.running
            .networks
            .iter()
            .filter_map(|(name, config)| Some((name.as_str(), self.network(name, config)?)))
            .collect()
    }

    fn network(&self, name: &NetworkName, config: &NetworkConfig) -> Option<Value> {
        let below = config.base.and_then(|base| match config.vlan {
            Some(tag) => self.vlans.get(&(base.device(), tag)).copied(),
            None => self.seen.link(&base.device()),
        });
        let (top, southbound, mut keys) = if config.bridged {
            let bridge = self.seen.link(&name.bridge().ok()?)?;
            let stp = stp(bridge)?;
            let southbound = self.southbound(bridge, below);
            (bridge, southbound, vec![("bridged", json!(true)), ("ports", json!(self.ports(bridge))), ("stp", stp)])
        } else {
            let top = below?;
            (top, Some(top), vec![("bridged", json!(false)), ("interface", json!(top.name))])
        };
        keys.extend([
            ("iface", json!(top.name)),
            ("southbound", json!(southbound.map(|link| link.name))),
            ("switch", switch(config.switch)),
        ]);
        if let Some(SeenKind::Vlan { tag, .. }) = southbound.map(|link| &link.kind) {
            keys.push(("vlanid", json!(tag.get())));
        }
        Some(told(keys, top))
    }

    /// What carries a bridge's traffic to the wire: the configured device if it is a port, else
    /// whatever nic, bond or VLAN somebody has put there instead.
    fn southbound(&self, bridge: &SeenLink, configured: Option<&'a SeenLink>) -> Option<&'a SeenLink> {
        let carries = |link: &&SeenLink| link.nic || matches!(link.kind, SeenKind::Bond { .. } | SeenKind::Vlan { .. });
        let actual = || self.ports(bridge).iter().filter_map(|port| self.seen.link(port)).find(carries);
        configured.filter(|link| link.master == Some(bridge.name)).or_else(actual)
    }

    /// All links of which `keys` knows what to tell.
    fn section(&self, keys: impl Fn(&Report<'a>, &'a SeenLink) -> Option<Keys>) -> Value {
        self.seen.links().filter_map(|link| Some((link.name.as_str(), told(keys(self, link)?, link)))).collect()
    }

    fn bridge(&self, link: &'a SeenLink) -> Option<Keys> {
        let SeenKind::Bridge { report, .. } = &link.kind else { return None };
        let opts: Value = bridge_options::report(Attrs::new(report)).into_iter().collect();
        let stp = stp(link)?;
        (link.name.as_str() != DUMMY_BRIDGE)
            .then(|| vec![("ports", json!(self.ports(link))), ("stp", stp), ("opts", opts)])
    }

    fn bond(&self, link: &'a SeenLink) -> Option<Keys> {
        let SeenKind::Bond { options, active, lacp } = &link.kind else { return None };
        if self.hides_bond(link) {
            return None;
        }
        let ours = self.running.bonds.get(&link.name).map_or(Switch::Legacy, |bond| bond.switch);
        let mut keys = vec![
            ("slaves", json!(self.ports(link))),
            ("active_slave", json!(active.map(|slave| slave.to_string()).unwrap_or_default())),
            ("opts", options.report().into_iter().collect()),
            ("hwaddr", mac(link.mac)),
            ("switch", switch(ours)),
            ("speed", json!(0)),
        ];
        if let Some((aggregator, partner)) = lacp {
            keys.extend([("ad_aggregator_id", json!(aggregator.to_string())), ("ad_partner_mac", mac(Some(*partner)))]);
        }
        Some(keys)
    }

    fn nic(&self, link: &'a SeenLink) -> Option<Keys> {
        let master = link.master.and_then(|master| self.seen.link(&master));
        if !link.nic || master.is_some_and(|master| self.hides_bond(master)) {
            return None;
        }
        let mut keys = vec![("hwaddr", mac(link.mac)), ("speed", json!(0))];
        keys.extend(link.permanent_mac.map(|own| ("permhwaddr", mac(Some(own)))));
        keys.extend(link.aggregator.map(|aggregator| ("ad_aggregator_id", json!(aggregator.to_string()))));
        Some(keys)
    }

    fn vlan(&self, link: &'a SeenLink) -> Option<Keys> {
        // One that stands on a device of another namespace has no `iface` to tell.
        let SeenKind::Vlan { tag, device: Some(base) } = &link.kind else { return None };
        let hidden = self.visible.hidden_vlans.matches(link.name.as_str());
        (!hidden).then(|| vec![("iface", json!(base)), ("vlanid", json!(tag.get()))])
    }

    fn ports(&self, master: &SeenLink) -> &[DeviceName] {
        self.ports.get(&master.name).map_or(&[], Vec::as_slice)
    }

    fn hides_bond(&self, link: &SeenLink) -> bool {
        matches!(link.kind, SeenKind::Bond { .. }) && self.visible.hidden_bonds.matches(link.name.as_str())
    }
}

/// The keys together with those that every device has.
fn told(keys: Keys, link: &SeenLink) -> Value {
    let (v4, v6): (Vec<&Address>, Vec<&Address>) = link.addresses.iter().partition(|a| a.ip.addr.is_ipv4());
    let list = |all: &[&Address]| all.iter().map(|a| a.to_string()).collect::<Value>();
    let (route4, route6) = (default_route(link, IpAddr::is_ipv4), default_route(link, IpAddr::is_ipv6));
    let gateway = |route: Option<(&Route, IpAddr)>, none: &str| {
        json!(route.map_or(none.to_owned(), |(_, gateway)| gateway.to_string()))
    };
    let primary = primary(&v4, route4.map(|(_, gateway)| gateway));
    let common = [
        ("addr", json!(primary.map(|a| a.ip.addr.to_string()).unwrap_or_default())),
        ("netmask", json!(primary.map(|a| netmask_of(a.ip.prefix).to_string()).unwrap_or_default())),
        ("ipv4addrs", list(&v4)),
        ("ipv6addrs", list(&v6)),
        ("gateway", gateway(route4, "")),
        ("ipv6gateway", gateway(route6, "::")),
        ("ipv4defaultroute", json!(route4.is_some_and(|(route, _)| route.table == MAIN_TABLE))),
        // The engine once took nothing but text.
        ("mtu", json!(link.mtu.to_string())),
        ("dhcpv4", json!(false)),
        ("dhcpv6", json!(false)),
        ("ipv6autoconf", json!(link.ipv6_disabled == Some(false) && link.ipv6_autoconf == Some(true))),
    ];
    keys.into_iter().chain(common).collect()
}

/// The device's default route of one family, and its gateway. The source routes of a network
/// that is not the host's default lie in a table of their own; the main table comes first.
fn default_route(link: &SeenLink, family: impl Fn(&IpAddr) -> bool) -> Option<(&Route, IpAddr)> {
    let default = |route: &&Route| route.to.prefix == 0 && family(&route.to.addr);
    // An IPv4 route through an IPv6 gateway (RFC 5549) is nothing the engine could read.
    let routes = link.routes.iter().filter(default).filter_map(|route| Some((route, route.gateway.filter(&family)?)));
    routes.min_by_key(|(route, _)| (route.table != MAIN_TABLE, route.metric, route.table))
}

/// The address in the gateway's subnet, or else the first.
fn primary<'a>(addresses: &[&'a Address], gateway: Option<IpAddr>) -> Option<&'a Address> {
    let reaches =
        |a: &&Address| gateway.is_some_and(|addr| Prefixed { addr, prefix: a.ip.prefix }.network() == a.ip.network());
    addresses.iter().copied().find(reaches).or_else(|| addresses.first().copied())
}

/// `on` or `off`; none for what is no bridge.
fn stp(link: &SeenLink) -> Option<Value> {
    match &link.kind {
        SeenKind::Bridge { options, .. } => {
            Some(json!(if options.get("stp_state").unwrap_or(0) == 0 { "off" } else { "on" }))
        }
        _ => None,
    }
}

fn switch(switch: Switch) -> Value {
    match switch {
        Switch::Legacy => json!("legacy"),
        Switch::Ovs => json!("ovs"),
    }
}

fn mac(mac: Option<Mac>) -> Value {
    json!(mac.map(|mac| mac.to_string()).unwrap_or_default())
}

#[cfg(test)]
mod tests;
