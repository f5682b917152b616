//! One network of a request, or of the disk: its keys, their spellings, and what is wrong with a
//! value alone (vdsm-facts 1.1.1, 2.1). Relations between networks are judged in `graph/`.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};

use serde_json::{Map, Value, json};

use super::fields::{Fields, truth_of};
use crate::bridge_options::BridgeOptions;
use crate::config::{Base, NetworkConfig, Switch};
use crate::ethtool_options::EthtoolOptions;
use crate::name::{DeviceName, NetworkName};
use crate::problem::{Code, Problem, Stage};
use crate::resolver::Server;
use crate::units::{Mtu, Prefixed, VlanTag, netmask_of, prefix_of};

pub(super) const KNOWN: &[&str] = &[
    "nic",
    "bonding",
    "vlan",
    "bridged",
    "mtu",
    "stp",
    "STP",
    "bootproto",
    "ipaddr",
    "netmask",
    "prefix",
    "gateway",
    "defaultRoute",
    "ipv6addr",
    "ipv6gateway",
    "ipv6autoconf",
    "dhcpv6",
    "blockingdhcp",
    "nameservers",
    "switch",
    "hostQos",
    "qosInbound",
    "qosOutbound",
    "custom",
    "remove",
];

/// What the original took and did nothing with (vdsm-facts 1.1.1).
pub(super) const IGNORED: &[&str] = &[
    "delay",
    "forward_delay",
    "DELAY",
    "onboot",
    "ONBOOT",
    "TYPE",
    "NAME",
    "DEVICE",
    "VLAN",
    "force",
    "implicitBonding",
    "connectivityCheck",
    "connectivityTimeout",
    "bondingOptions",
];

/// Reads a network; the problems found are left in `f`.
pub(super) fn read(name: &NetworkName, f: &mut Fields<'_>) -> NetworkConfig {
    let mut net = NetworkConfig::new();
    net.default_route = f.boolean("defaultRoute").unwrap_or(false);
    read_mtu(f, &mut net);
    read_vlan(f, &mut net);
    net.bridged = f.boolean("bridged").unwrap_or(true);
    read_stp(f, &mut net);
    read_custom(name, f, &mut net);
    read_switch(f, &mut net);
    read_base(f, &mut net);
    if net.bridged
        && let Err(error) = name.bridge()
    {
        f.problems.push(Problem::NetworkName { name: name.to_string(), error });
    }
    read_dynamic(f, &mut net);
    read_ipv4(f, &mut net);
    read_ipv6(f, &mut net);
    read_nameservers(f, &mut net);
    for key in ["hostQos", "qosInbound", "qosOutbound"] {
        if let Some(qos) = f.map(key).filter(|m| !m.is_empty()) {
            match key {
                "hostQos" => net.host_qos = super::qos::read_host(qos, f),
                _ => super::qos::check_limits(key, qos, f),
            }
            net.qos.insert(key.to_owned(), Value::Object(qos.clone()));
        }
    }
    net
}

fn read_mtu(f: &mut Fields<'_>, net: &mut NetworkConfig) {
    const RULE: &str = "it must be a number of bytes from 68 to 65535";
    if let Some(number) = f.integer("mtu", RULE, Code::BadParams) {
        match Mtu::new(number) {
            Some(mtu) => net.mtu = mtu,
            None => f.wrong("mtu", RULE, Code::BadParams, Stage::Canonical),
        }
    }
}

fn read_vlan(f: &mut Fields<'_>, net: &mut NetworkConfig) {
    const RULE: &str = "a VLAN tag is a number from 0 to 4094";
    if let Some(number) = f.integer("vlan", RULE, Code::BadVlan) {
        net.vlan = VlanTag::new(number);
        if net.vlan.is_none() {
            f.wrong("vlan", RULE, Code::BadVlan, Stage::Switch);
        }
    }
}

/// `STP` is what today's engine sends; the original had a parser of its own for it.
fn read_stp(f: &mut Fields<'_>, net: &mut NetworkConfig) {
    let key = if f.value("stp").is_some() { "stp" } else { "STP" };
    let stp = match f.value(key) {
        None => Some(false),
        Some(Value::Bool(b)) => Some(*b),
        Some(Value::Number(n)) => n.as_i64().map(|n| n != 0),
        Some(Value::String(s)) => match s.to_ascii_lowercase().as_str() {
            "true" | "on" | "yes" | "1" => Some(true),
            "false" | "off" | "no" | "0" => Some(false),
            _ => None,
        },
        Some(_) => None,
    };
    match stp {
        Some(stp) => net.stp = stp && net.bridged,
        None => {
            f.wrong(key, "a bridge STP value is true, on, yes, false, off or no", Code::BadParams, Stage::Canonical)
        }
    }
}

fn read_custom(name: &NetworkName, f: &mut Fields<'_>, net: &mut NetworkConfig) {
    let Some(custom) = f.map("custom") else { return };
    for (key, value) in custom {
        match value {
            Value::String(text) => drop(net.custom.insert(key.clone(), text.clone())),
            Value::Null => {}
            other => f.wrong_value(
                &format!("custom.{key}"),
                other.to_string(),
                "custom properties are texts",
                Code::BadParams,
                Stage::Canonical,
            ),
        }
    }
    if let Some(text) = net.custom.get_mut("bridge_opts") {
        match BridgeOptions::parse(text) {
            Ok(options) => {
                *text = options.canonical();
                net.bridge_options = options;
            }
            Err(wrong) => f.problems.extend(
                wrong.into_iter().map(|p| Problem::BridgeOption { network: name.clone(), problem: p.to_string() }),
            ),
        }
    }
    if let Some(text) = net.custom.get("ethtool_opts") {
        match EthtoolOptions::parse(text) {
            Ok(options) => net.ethtool_options = options,
            Err(wrong) => f.problems.extend(
                wrong.into_iter().map(|p| Problem::EthtoolOption { network: name.clone(), problem: p.to_string() }),
            ),
        }
    }
    // Deprecated, and stronger than defaultRoute (vdsm-facts 1.1.1).
    if let Some(text) = net.custom.get("default_route") {
        match truth_of(text) {
            Some(truth) => net.default_route = truth,
            None => f.wrong_value(
                "custom.default_route",
                format!("{text:?}"),
                "it must be true or false",
                Code::BadParams,
                Stage::Canonical,
            ),
        }
    }
}

/// A host is reached without what another version could say of nics' settings: takes out what
/// cannot be read of it.
pub(super) fn leave_out_ethtool(name: &str, stored: &mut Value) -> Vec<Problem> {
    let Some(custom) = stored.get_mut("custom").and_then(Value::as_object_mut) else { return Vec::new() };
    let text = custom.get("ethtool_opts").and_then(Value::as_str);
    let (Some(Err(wrong)), Ok(network)) = (text.map(EthtoolOptions::parse), NetworkName::try_from(name)) else {
        return Vec::new();
    };
    custom.remove("ethtool_opts");
    let wrong = wrong.into_iter().map(|p| Problem::EthtoolOption {
        network: network.clone(),
        problem: format!("{p}; what is stored is left out"),
    });
    wrong.collect()
}

fn read_switch(f: &mut Fields<'_>, net: &mut NetworkConfig) {
    net.switch = switch(f);
    if net.custom.get("ovs").and_then(|t| truth_of(t)) == Some(true) {
        net.switch = Switch::Ovs;
    }
}

/// The switch of a network or a bond.
pub(super) fn switch(f: &mut Fields<'_>) -> Switch {
    match f.text("switch") {
        None | Some("legacy") => Switch::Legacy,
        Some("ovs") => Switch::Ovs,
        Some(_) => {
            f.wrong("switch", "it must be legacy or ovs", Code::BadParams, Stage::Sharing);
            Switch::Legacy
        }
    }
}

fn read_base(f: &mut Fields<'_>, net: &mut NetworkConfig) {
    let nic = f.text("nic").and_then(|text| device(f, "nic", text, Code::BadNic, Stage::Switch)).map(Base::Nic);
    let bonding = f.text("bonding").and_then(|text| {
        let name = super::bond::name(text);
        if name.is_none() {
            f.problems.push(Problem::BondName { name: text.to_owned() });
        }
        name.map(Base::Bond)
    });
    let given = (f.value("nic").is_some(), f.value("bonding").is_some());
    match given {
        (true, true) => f.problems.push(Problem::Both {
            of: f.of.clone(),
            keys: ("nic", "bonding"),
            code: Code::BadParams,
            stage: Stage::Link,
        }),
        (false, false) if f.value("vlan").is_some() => f.problems.push(Problem::Missing {
            of: f.of.clone(),
            key: "nic or bonding",
            because: "and a vlan device requires a southbound device",
            code: Code::BadVlan,
            stage: Stage::Link,
        }),
        _ => {}
    }
    net.base = nic.or(bonding);
}

/// A device's name, or the problem that it is none.
pub(super) fn device(f: &mut Fields<'_>, key: &str, text: &str, code: Code, stage: Stage) -> Option<DeviceName> {
    match DeviceName::try_from(text) {
        Ok(name) => Some(name),
        Err(error) => {
            f.wrong_value(key, format!("{text:?}"), &format!("it must be the name of a device: {error}"), code, stage);
            None
        }
    }
}

fn read_dynamic(f: &mut Fields<'_>, net: &mut NetworkConfig) {
    match f.text("bootproto") {
        None | Some("none" | "static") => {}
        Some("dhcp") => net.dhcpv4 = true,
        Some(_) => f.wrong("bootproto", "it must be dhcp, none or static", Code::BadParams, Stage::Canonical),
    }
    net.dhcpv6 = f.boolean("dhcpv6").unwrap_or(false);
    net.ipv6_autoconf = f.boolean("ipv6autoconf").unwrap_or(false);
    net.blocking_dhcp = f.boolean("blockingdhcp").unwrap_or(false);
}

fn read_ipv4(f: &mut Fields<'_>, net: &mut NetworkConfig) {
    let addr = parsed::<Ipv4Addr>(f, "ipaddr", "it must be an IPv4 address")
        .filter(|a| unicast(f, "ipaddr", a.is_multicast() || a.is_broadcast() || a.is_unspecified()));
    let prefix = read_prefix(f);
    // The original skipped 0.0.0.0 as "no gateway" (vdsm-facts 3.11).
    net.gateway = parsed::<Ipv4Addr>(f, "gateway", "it must be an IPv4 address")
        .filter(|g| !g.is_unspecified() && unicast(f, "gateway", g.is_multicast() || g.is_broadcast()));
    let has = |key| f.value(key).is_some();
    let (mask, gateway) = (has("netmask") || has("prefix"), has("gateway"));
    let missing =
        |key, because| Problem::Missing { of: f.of.clone(), key, because, code: Code::BadAddr, stage: Stage::Ip };
    match (has("ipaddr"), mask || gateway) {
        (false, true) => f.problems.push(missing("ipaddr", "but gateway, netmask or prefix is given")),
        (true, _) if !mask => f.problems.push(missing("netmask", "and so is prefix; an ipaddr needs one of them")),
        (true, _) if net.dhcpv4 => f.problems.push(Problem::Both {
            of: f.of.clone(),
            keys: ("ipaddr", "bootproto=dhcp"),
            code: Code::BadAddr,
            stage: Stage::Ip,
        }),
        _ => {}
    }
    net.ipv4 = addr.zip(prefix).map(|(addr, prefix)| Prefixed { addr, prefix });
}

/// `prefix`, or `netmask` as one.
fn read_prefix(f: &mut Fields<'_>) -> Option<u8> {
    if f.value("prefix").is_some() && f.value("netmask").is_some() {
        f.problems.push(Problem::Both {
            of: f.of.clone(),
            keys: ("prefix", "netmask"),
            code: Code::BadParams,
            stage: Stage::Canonical,
        });
    }
    const RULE: &str = "a prefix is a number from 0 to 32";
    let prefix = f.integer("prefix", RULE, Code::BadAddr).and_then(|n| {
        let prefix = u8::try_from(n).ok().filter(|p| *p <= 32);
        if prefix.is_none() {
            f.wrong("prefix", RULE, Code::BadAddr, Stage::Canonical);
        }
        prefix
    });
    let mask = parsed::<Ipv4Addr>(f, "netmask", "it must be a netmask such as 255.255.255.0").and_then(|mask| {
        let prefix = prefix_of(mask);
        if prefix.is_none() {
            f.wrong("netmask", "its bits must be contiguous", Code::BadAddr, Stage::Ip);
        }
        prefix
    });
    prefix.or(mask)
}

fn read_ipv6(f: &mut Fields<'_>, net: &mut NetworkConfig) {
    const RULE: &str = "it must be an IPv6 address, with a prefix length from 0 to 128 or none (64 then)";
    if let Some(text) = f.text("ipv6addr") {
        let (addr, prefix) = text.split_once('/').unwrap_or((text, "64"));
        let addr = addr.parse::<Ipv6Addr>().ok().filter(|a| !a.is_multicast());
        let prefix = prefix.parse::<u8>().ok().filter(|p| *p <= 128);
        net.ipv6 = addr.zip(prefix).map(|(addr, prefix)| Prefixed { addr, prefix });
        if net.ipv6.is_none() {
            f.wrong("ipv6addr", RULE, Code::BadAddr, Stage::Ip);
        }
        for (given, key) in [(net.ipv6_autoconf, "ipv6autoconf"), (net.dhcpv6, "dhcpv6")] {
            if given {
                f.problems.push(Problem::Both {
                    of: f.of.clone(),
                    keys: ("ipv6addr", key),
                    code: Code::BadAddr,
                    stage: Stage::Ip,
                });
            }
        }
    }
    if net.mtu < Mtu::IPV6_MINIMUM && (f.value("ipv6addr").is_some() || net.hears_routers()) {
        f.wrong("mtu", "IPv6 needs at least 1280 bytes (RFC 8200)", Code::BadAddr, Stage::Ip);
    }
    // The engine sends "::" for "none" (vdsm-facts 15).
    net.ipv6_gateway = parsed::<Ipv6Addr>(f, "ipv6gateway", "it must be an IPv6 address")
        .filter(|g| !g.is_unspecified() && unicast(f, "ipv6gateway", g.is_multicast()));
    if net.ipv6_gateway.is_some() && f.value("ipv6addr").is_none() {
        f.problems.push(Problem::Missing {
            of: f.of.clone(),
            key: "ipv6addr",
            because: "but ipv6gateway is given",
            code: Code::BadAddr,
            stage: Stage::Ip,
        });
    }
}

fn parsed<T: std::str::FromStr>(f: &mut Fields<'_>, key: &'static str, rule: &str) -> Option<T> {
    let value = f.text(key)?.parse().ok();
    if value.is_none() {
        f.wrong(key, rule, Code::BadAddr, Stage::Ip);
    }
    value
}

fn unicast(f: &mut Fields<'_>, key: &str, other: bool) -> bool {
    if other {
        f.wrong(key, "it must be a unicast address", Code::BadAddr, Stage::Ip);
    }
    !other
}

fn read_nameservers(f: &mut Fields<'_>, net: &mut NetworkConfig) {
    let Some(servers) = f.texts("nameservers") else { return };
    if !servers.is_empty() && !net.default_route {
        f.wrong(
            "nameservers",
            "name servers may only be defined on the default route network",
            Code::BadParams,
            Stage::Ip,
        );
    }
    for server in &servers {
        if let Err(error) = server.parse::<Server>() {
            f.wrong_value("nameservers", format!("{server:?}"), &error.to_string(), Code::BadAddr, Stage::Ip);
        }
    }
    // Elsewhere than on the default route network an empty list is what one has anyway.
    net.nameservers =
        (net.default_route || !servers.is_empty()).then(|| servers.into_iter().map(str::to_owned).collect());
}

/// The canonical form, as the original's files have it (`samples/*/running.txt`).
pub(super) fn write(net: &NetworkConfig) -> Value {
    let mut out = Map::new();
    let mut put = |key: &str, value: Value| drop(out.insert(key.to_owned(), value));
    match net.base {
        Some(Base::Nic(name)) => put("nic", json!(name)),
        Some(Base::Bond(name)) => put("bonding", json!(name)),
        None => {}
    }
    if let Some(tag) = net.vlan {
        put("vlan", json!(tag.get()));
    }
    put("bridged", json!(net.bridged));
    put("switch", json!(switch_word(net.switch)));
    if let Some(Prefixed { addr, prefix }) = net.ipv4 {
        put("ipaddr", json!(addr.to_string()));
        put("netmask", json!(netmask_of(prefix).to_string()));
    }
    if let Some(gateway) = net.gateway {
        put("gateway", json!(gateway.to_string()));
    }
    put("defaultRoute", json!(net.default_route));
    if let Some(address) = net.ipv6 {
        put("ipv6addr", json!(address.to_string()));
    }
    if let Some(gateway) = net.ipv6_gateway {
        put("ipv6gateway", json!(gateway.to_string()));
    }
    for (key, qos) in &net.qos {
        put(key, qos.clone());
    }
    put("mtu", json!(net.mtu.get()));
    if net.bridged {
        put("stp", json!(net.stp));
    }
    put("bootproto", json!(if net.dhcpv4 { "dhcp" } else { "none" }));
    put("dhcpv6", json!(net.dhcpv6));
    put("ipv6autoconf", json!(net.ipv6_autoconf));
    match &net.nameservers {
        Some(servers) => put("nameservers", json!(servers)),
        // A default route network that names none keeps the host's, whatever they will be then
        // (vdsm-facts 9.20: nothing of the host's belongs into the configuration).
        None if net.default_route => {}
        None => put("nameservers", json!([])),
    }
    if !net.custom.is_empty() {
        put("custom", json!(net.custom.iter().collect::<BTreeMap<_, _>>()));
    }
    Value::Object(out)
}

/// The engine's word.
pub(super) fn switch_word(switch: Switch) -> &'static str {
    match switch {
        Switch::Legacy => "legacy",
        Switch::Ovs => "ovs",
    }
}
