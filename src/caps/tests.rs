//! Hosts made by hand, one of them the original's own sample. The kernel's bytes are `netinfo`'s to test.

mod client;
mod kinds;

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};
use vdsm_model::bond_options::BondOptions;
use vdsm_model::bridge_options::{self, BridgeOptions};
use vdsm_model::config::{Base, Bonds, NetworkConfig};
use vdsm_model::ip::{Address, MAIN_TABLE, Route};
use vdsm_model::name::{DeviceName, NetworkName};
use vdsm_model::netinfo::{SeenKind, SeenLink};
use vdsm_model::qos::{Curve, Curves, Shaper};
use vdsm_model::request::Stored;
use vdsm_model::units::{Mac, Mtu, VlanTag};
use vdsm_netlink::attrs::Attrs;

use super::*;
use crate::conf::Patterns;

fn name(text: &str) -> DeviceName {
    DeviceName::try_from(text).unwrap()
}

fn ip(text: &str) -> Address {
    let (addr, prefix) = text.split_once('/').unwrap();
    Address::new(addr.parse().unwrap(), prefix.parse().unwrap())
}

fn via(gateway: &str, table: u32) -> Route {
    Route { table, ..Route::default_via(gateway.parse().unwrap()) }
}

fn link(text: &str, kind: SeenKind) -> SeenLink {
    SeenLink::new(0, name(text), kind)
}

fn port(master: &str, link: SeenLink) -> SeenLink {
    SeenLink { master: Some(name(master)), ..link }
}

fn vlan(text: &str, base: &str, tag: i64) -> SeenLink {
    link(text, SeenKind::Vlan { tag: VlanTag::new(tag).unwrap(), device: Some(name(base)) })
}

fn bond(text: &str, options: &str, lacp: Option<(u16, Mac)>) -> SeenLink {
    link(text, SeenKind::Bond { options: BondOptions::parse(options).unwrap(), active: None, lacp })
}

fn bridge(text: &str, options: &str) -> SeenLink {
    link(text, SeenKind::Bridge { options: BridgeOptions::parse(options).unwrap(), report: Default::default() })
}

fn network(text: &str, base: Base, tag: i64, bridged: bool) -> (NetworkName, NetworkConfig) {
    let config = NetworkConfig { base: Some(base), vlan: VlanTag::new(tag), bridged, ..NetworkConfig::new() };
    (NetworkName::try_from(text).unwrap(), config)
}

fn caps(
    links: impl IntoIterator<Item = SeenLink>,
    networks: impl IntoIterator<Item = (NetworkName, NetworkConfig)>,
) -> Value {
    let running = NetConfig { networks: networks.into_iter().collect(), bonds: Bonds::new() };
    told(&NetInfo::new(links, true), &running, &About::default())
}

/// The report, read again.
fn told(seen: &NetInfo, running: &NetConfig, about: &About) -> Value {
    let text = capabilities(seen, running, about);
    serde_json::from_slice(&text).unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&text)))
}

fn names(section: &Value) -> Vec<&str> {
    section.as_object().unwrap().keys().map(String::as_str).collect()
}

/// The attributes of a bridge whose sysfs files say this.
fn bridge_bytes(opts: &Value) -> Vec<u8> {
    let text = |key: &str| opts[key].as_str().unwrap();
    let number = |key: &str| text(key).parse::<u64>().unwrap();
    let id = |key: &str| u64::from_str_radix(&text(key).replace('.', ""), 16).unwrap().to_be_bytes().to_vec();
    let short = |key: &str| u16::try_from(number(key)).unwrap().to_ne_bytes().to_vec();
    let long = |key: &str| u32::try_from(number(key)).unwrap().to_ne_bytes().to_vec();
    let mut attributes = vec![
        (10, id("root_id")),
        (11, id("bridge_id")),
        (12, short("root_port")),
        (13, long("root_path_cost")),
        (14, vec![number("topology_change") as u8]),
        (15, vec![number("topology_change_detected") as u8]),
    ];
    let timers = ["hello_timer", "tcn_timer", "topology_change_timer", "gc_timer"];
    attributes.extend((16..).zip(timers).map(|(kind, key)| (kind, number(key).to_ne_bytes().to_vec())));
    let fixed = ["root_id", "bridge_id", "root_port", "root_path_cost", "topology_change", "topology_change_detected"];
    let words = opts
        .as_object()
        .unwrap()
        .iter()
        .filter(|(key, _)| !fixed.contains(&key.as_str()) && !timers.contains(&key.as_str()));
    let words: Vec<_> = words.map(|(key, value)| format!("{key}={}", value.as_str().unwrap())).collect();
    let options = BridgeOptions::parse(&words.join(" ")).unwrap();
    attributes.extend(options.iter().map(|(key, value)| bridge_options::encode(key, value).unwrap()));
    let mut bytes = Vec::new();
    for (kind, value) in attributes {
        bytes.extend(u16::try_from(4 + value.len()).unwrap().to_ne_bytes());
        bytes.extend(u16::to_ne_bytes(kind));
        bytes.extend(value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
    }
    bytes
}

/// The host below the sample: `ip -d link`, `ip addr` and `ip route show table all`, by hand.
fn sample_host(sample: &Value) -> NetInfo {
    let mac = |text: &str| text.parse::<Mac>().ok();
    let nic = |text: &str, current: &str| SeenLink { mac: mac(current), ..link(text, SeenKind::Nic) };
    let slave = |text: &str, own: &str, aggregator| {
        let seen = SeenLink { permanent_mac: mac(own), aggregator: Some(aggregator), ..nic(text, "d6:fe:37:cb:25:a4") };
        port("bond1", seen)
    };
    let bridge = |text: &str| {
        let report = bridge_bytes(&sample["bridges"][text]["opts"]);
        link(text, SeenKind::Bridge { options: BridgeOptions::from_kernel(Attrs::new(&report)), report: report.into() })
    };
    let loopback = SeenLink {
        mtu: Mtu::seen(65536),
        addresses: vec![ip("127.0.0.1/8"), ip("::1/128")],
        ..link("lo", SeenKind::Other("loopback".into()))
    };
    let ten = Curves { ls: Some(Curve { m2: 5_000_000, ..Curve::default() }), ..Curves::default() };
    let shaper = Shaper::of([(VlanTag::new(10), ten)]).map(Arc::new);
    let bond1 = SeenLink { shaper, ..bond("bond1", "mode=4 lacp_rate=1", Some((1, Mac([0; 6])))) };
    let source = |prefix: &str, gateway: &str, table| Route { to: ip(prefix).ip, ..via(gateway, table) };
    let st20 = SeenLink {
        addresses: vec![ip("198.51.100.5/24")],
        routes: vec![via("198.51.100.1", 3325256709), source("198.51.100.0/24", "198.51.100.5", 3325256709)],
        ..vlan("dummy_2.20", "dummy_2", 20)
    };
    let mgmt = SeenLink {
        addresses: vec![ip("192.0.2.10/24"), ip("2001:db8::10/64")],
        routes: vec![
            via("192.0.2.1", 3221225994),
            source("192.0.2.0/24", "192.0.2.10", 3221225994),
            via("192.0.2.1", MAIN_TABLE),
        ],
        ..bridge("mgmt")
    };
    let mtu = Mtu::new(1400).unwrap();
    let links = [
        loopback,
        slave("dummy_0", "d6:fe:37:cb:25:a4", 1),
        slave("dummy_1", "92:d6:ea:49:b1:08", 2),
        nic("dummy_2", "1e:cb:b0:30:31:3b"),
        port("mgmt", SeenLink { mac: mac("d6:fe:37:cb:25:a4"), ..bond1 }),
        port("vm10", SeenLink { mtu, ..vlan("bond1.10", "bond1", 10) }),
        SeenLink { mtu, ..bridge("vm10") },
        st20,
        mgmt,
    ];
    NetInfo::new(links, true)
}

/// What the running configuration's files say: after each `== nets/NAME` or `== bonds/NAME` its JSON.
fn sample_config(text: &str) -> NetConfig {
    let (mut nets, mut bonds) = (Stored::new(), Stored::new());
    for entry in text.split("== ").skip(1) {
        let (path, json) = entry.split_once('\n').unwrap();
        let (folder, name) = path.split_once('/').unwrap();
        let entities = if folder == "nets" { &mut nets } else { &mut bonds };
        entities.insert(name.to_owned(), serde_json::from_str(json).unwrap());
    }
    let (config, problems) = NetConfig::from_stored(&nets, &bonds);
    assert_eq!(problems, []);
    config
}

/// Where two reports differ, down to what both have.
fn differences(ours: &Value, theirs: &Value, path: &str, found: &mut BTreeSet<String>) {
    match (ours, theirs) {
        (Value::Object(one), Value::Object(other)) => {
            for key in one.keys().chain(other.keys()) {
                let get = |map: &serde_json::Map<String, Value>| map.get(key).cloned().unwrap_or(json!("(nothing)"));
                differences(&get(one), &get(other), &format!("{path}/{key}"), found);
            }
        }
        _ if ours != theirs => drop(found.insert(path.to_owned())),
        _ => {}
    }
}

#[test]
fn the_originals_host_is_told_as_the_original_told_it() {
    let sample: Value = serde_json::from_str(include_str!("../../tests/data/legacy-caps.json")).unwrap();
    let running = sample_config(include_str!("../../tests/data/legacy-running.txt"));
    let about = About { dirty: true, nameservers: vec!["192.0.2.53".to_owned()], ..About::default() };
    let ours = told(&sample_host(&sample), &running, &about);
    let deliberate = [
        ("/netConfigDirty", "the original puts it beside the network report, whence the sample is"),
        ("/lastClient", "likewise"),
        ("/lastClientIface", "likewise"),
        ("/networks/st20/vlanid", "of the later original, which the engine of today knows"),
        ("/networks/vm10/vlanid", "of the later original, which the engine of today knows"),
        ("/bondings/bond1/slaves", "in natural order; the original's is that of a set"),
    ];
    let mut found = BTreeSet::new();
    differences(&ours, &sample, "", &mut found);
    assert_eq!(found, deliberate.iter().map(|(path, _)| path.to_string()).collect());
    assert_eq!(ours["networks"]["st20"]["vlanid"], json!(20));
    assert_eq!(ours["bondings"]["bond1"]["slaves"], json!(["dummy_0", "dummy_1"]));
    assert_eq!(ours["netConfigDirty"], json!("True"));
    let network_part = network_capabilities(&sample_host(&sample), &running, &about.visible, &about.nameservers);
    let mut rest = ours;
    for key in ["netConfigDirty", "lastClient", "lastClientIface"] {
        rest.as_object_mut().unwrap().remove(key);
    }
    assert_eq!(serde_json::from_slice::<Value>(&network_part).unwrap(), rest);
}

#[test]
fn a_network_is_found_by_its_device_whatever_that_is_called() {
    let report = caps(
        [link("eth0", SeenKind::Nic), vlan("fcoe", "eth0", 7), vlan("eth0.7", "eth1", 7)],
        [network("n", Base::Nic(name("eth0")), 7, false)],
    );
    let n = &report["networks"]["n"];
    assert_eq!(
        (&n["iface"], &n["interface"], &n["southbound"], &n["vlanid"]),
        (&json!("fcoe"), &json!("fcoe"), &json!("fcoe"), &json!(7))
    );
    assert_eq!(n.get("ports"), None);
}

#[test]
fn a_network_whose_device_is_gone_is_left_out() {
    let nets =
        |tag| [network("n", Base::Nic(name("eth0")), tag, false), network("b", Base::Nic(name("eth0")), tag, true)];
    assert_eq!(caps([link("eth0", SeenKind::Nic)], nets(7))["networks"], json!({}));
    assert_eq!(names(&caps([link("eth0", SeenKind::Nic)], nets(-1))["networks"]), ["n"]);
    // A dummy of the bridge's name is no bridge.
    assert_eq!(caps([link("b", SeenKind::Nic)], nets(7))["networks"], json!({}));
}

#[test]
fn the_southbound_is_what_is_plugged_in() {
    let ask = |links: &[SeenLink]| {
        let (b, eth0) = (bridge("b", "stp_state=1"), link("eth0", SeenKind::Nic));
        let tap = port("b", link("vnet10", SeenKind::Tap));
        let report = caps(
            [b, eth0, tap].into_iter().chain(links.iter().cloned()),
            [network("b", Base::Nic(name("eth0")), 7, true)],
        );
        let b = &report["networks"]["b"];
        assert_eq!(b["stp"], json!("on"));
        (b["southbound"].clone(), b.get("vlanid").cloned(), b["ports"].clone())
    };
    assert_eq!(ask(&[]), (Value::Null, None, json!(["vnet10"])));
    assert_eq!(ask(&[vlan("eth0.7", "eth0", 7)]), (Value::Null, None, json!(["vnet10"])));
    let ours = port("b", vlan("eth0.7", "eth0", 7));
    let other = port("b", bond("bond0", "", None));
    assert_eq!(ask(&[other.clone(), ours]), (json!("eth0.7"), Some(json!(7)), json!(["bond0", "eth0.7", "vnet10"])));
    assert_eq!(ask(&[other]), (json!("bond0"), None, json!(["bond0", "vnet10"])));
}

#[test]
fn what_is_hidden_is_not_told() {
    let hidden = SeenLink { nic: false, ..link("usb0", SeenKind::Nic) };
    let links = [
        hidden,
        link("eth0", SeenKind::Nic),
        port("bond0", link("eth1", SeenKind::Nic)),
        port("bondx", link("eth2", SeenKind::Nic)),
        port("bondbr", link("eth3", SeenKind::Nic)),
        bond("bond0", "mode=1", None),
        bond("bondx", "", None),
        bridge("bondbr", ""),
        bridge(";vdsmdummy;", ""),
        vlan("eth0.7", "eth0", 7),
        vlan("vlan8", "eth0", 8),
        link("vnet0", SeenKind::Tap),
    ];
    let visible = Visibility { hidden_bonds: Patterns::from("bondx,bondb*"), hidden_vlans: Patterns::from("vlan*") };
    let about = About { visible, ..About::default() };
    let report = told(&NetInfo::new(links, false), &NetConfig::default(), &about);
    let sections = ["nics", "bondings", "bridges", "vlans"].map(|section| names(&report[section]).join(" "));
    assert_eq!(sections, ["eth0 eth1 eth3", "bond0", "bondbr", "eth0.7"]);
    assert_eq!((&report["supportsIPv6"], &report["netConfigDirty"]), (&json!(false), &json!("False")));
    let bond0 = &report["bondings"]["bond0"];
    assert_eq!(
        (&bond0["opts"], bond0.get("ad_aggregator_id"), bond0.get("ad_partner_mac")),
        (&json!({"mode": "1"}), None, None)
    );
    assert_eq!(report["nics"]["eth0"].get("permhwaddr"), None);
}

#[test]
fn the_primary_address_is_the_one_that_reaches_the_gateway() {
    let two = ["10.0.0.1/24", "10.1.0.1/16"];
    for (addresses, routes, told) in [
        (&[][..], vec![], ["", "", "", "false", "::"]),
        (&two, vec![], ["10.0.0.1", "255.255.255.0", "", "false", "::"]),
        (&two, vec![via("10.1.9.9", MAIN_TABLE)], ["10.1.0.1", "255.255.0.0", "10.1.9.9", "true", "::"]),
        (&two, vec![via("10.1.9.9", 77)], ["10.1.0.1", "255.255.0.0", "10.1.9.9", "false", "::"]),
        (
            &two,
            vec![via("10.1.9.9", 77), via("10.9.9.9", MAIN_TABLE)],
            ["10.0.0.1", "255.255.255.0", "10.9.9.9", "true", "::"],
        ),
        (
            &["2001:db8::1/64", "10.0.0.1/32"],
            vec![via("fe80::1", MAIN_TABLE)],
            ["10.0.0.1", "255.255.255.255", "", "false", "fe80::1"],
        ),
        // A route to a subnet is no default route, nor is one without a gateway.
        (
            &two,
            vec![Route { to: ip("10.2.0.0/16").ip, ..via("10.0.0.9", MAIN_TABLE) }],
            ["10.0.0.1", "255.255.255.0", "", "false", "::"],
        ),
        (
            &two,
            vec![Route { gateway: None, ..via("10.0.0.9", MAIN_TABLE) }],
            ["10.0.0.1", "255.255.255.0", "", "false", "::"],
        ),
    ] {
        let eth0 = SeenLink {
            addresses: addresses.iter().map(|a| ip(a)).collect(),
            routes: routes.clone(),
            ..link("eth0", SeenKind::Nic)
        };
        let report = caps([eth0], []);
        let keys = ["addr", "netmask", "gateway", "ipv4defaultroute", "ipv6gateway"];
        let ours = keys.map(|key| report["nics"]["eth0"][key].to_string().replace('"', ""));
        assert_eq!(ours, told, "{addresses:?} {routes:?}");
    }
}

#[test]
fn addresses_that_reach_no_farther_than_the_link_are_not_told() {
    let mut of_link = ip("192.0.2.1/24");
    of_link.more.scope = 253;
    let addresses = vec![of_link, ip("198.51.100.1/24"), ip("fe80::5/64"), ip("2001:db8::1/64")];
    let nic = SeenLink { nic: true, addresses, ..link("eth0", SeenKind::Nic) };
    let told = &caps([nic], [])["nics"]["eth0"];
    assert_eq!(
        [&told["addr"], &told["ipv4addrs"], &told["ipv6addrs"]],
        [&json!("198.51.100.1"), &json!(["198.51.100.1/24"]), &json!(["2001:db8::1/64"])]
    );
}
