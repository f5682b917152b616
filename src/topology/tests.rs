//! A small host with something of everything, told key by key.

use std::net::Ipv4Addr;
use std::sync::Arc;

use serde_json::{Value, json};
use vdsm_model::bond_options::BondOptions;
use vdsm_model::bridge_options::BridgeOptions;
use vdsm_model::config::{BondAddresses, BondConfig, Combination, Feature, Policy, Switch};
use vdsm_model::device::Adverts;
use vdsm_model::ip::{Address, IpConfig, Route};
use vdsm_model::netinfo::{BondPort, BridgePort, Details, Duplex, OperState, Team, TeamPort};
use vdsm_model::source_routing;
use vdsm_model::units::{Mtu, Prefixed, VlanTag};

use super::*;
use crate::check::check;
use crate::show;

fn dev(name: &str) -> DeviceName {
    DeviceName::try_from(name).unwrap()
}

fn link(index: u32, name: &str, kind: SeenKind, details: Details) -> SeenLink {
    SeenLink {
        index,
        name: dev(name),
        nic: matches!(kind, SeenKind::Nic),
        kind,
        mtu: Mtu::DEFAULT,
        up: true,
        running: true,
        mac: Some(Mac([2, 0, 0, 0, 0, index as u8])),
        permanent_mac: None,
        master: None,
        base: None,
        group: 0,
        ipv6_disabled: Some(true),
        adverts: Some(Adverts::IGNORED),
        addresses: Vec::new(),
        routes: Vec::new(),
        made_routes: Vec::new(),
        shared_routes: Vec::new(),
        dhcp: Arc::default(),
        many_routes: false,
        aggregator: None,
        settings: None,
        shaper: None,
        details: Arc::new(Details { state: OperState::Up, ..details }),
    }
}

fn port(link: SeenLink, master: &str) -> SeenLink {
    SeenLink { master: Some(dev(master)), ..link }
}

fn bridge() -> SeenKind {
    let mut options = BridgeOptions::default();
    // As a network of ours has it while STP is off.
    options.set("stp_state", 0);
    options.set("forward_delay", 0);
    SeenKind::Bridge { options, report: Default::default() }
}

fn bond(partner: u8) -> SeenKind {
    let options = BondOptions::parse("mode=4").unwrap();
    SeenKind::Bond { options, active: None, lacp: Some((1, Mac([partner; 6]))) }
}

/// A network upon a bond's VLAN with a VM, one on a nic, and strangers.
fn host() -> NetInfo {
    let plain = Details::default;
    let fast = Details { speed: Some(10_000), duplex: Some(Duplex::Full), ..plain() };
    let slave = |active| Details { port: Some(Port::Bond(BondPort { active, ..BondPort::default() })), ..fast.clone() };
    let forwarding = Details { port: Some(Port::Bridge(BridgePort { state: 3, ..BridgePort::default() })), ..plain() };
    let vlan = SeenKind::Vlan { tag: VlanTag::new(7).unwrap(), device: Some(dev("bond0")) };
    let veth = |peer: &str| Details { driver: Driver::Veth { peer: Some(dev(peer)) }, ..plain() };
    let macvlan = Details { driver: Driver::Macvlan { mode: 4 }, ..plain() };
    let team = Team { mode: Some("activebackup".to_owned()), active: Some(dev("tp0")) };
    let team_port =
        |enabled| Details { port: Some(Port::Team(TeamPort { enabled, ..TeamPort::default() })), ..plain() };
    let mut links = vec![
        port(link(1, "eth0", SeenKind::Nic, slave(true)), "bond0"),
        port(link(2, "eth1", SeenKind::Nic, slave(false)), "bond0"),
        link(3, "eth2", SeenKind::Nic, Details { speed: Some(100), duplex: Some(Duplex::Half), ..plain() }),
        link(4, "bond0", bond(9), plain()),
        SeenLink { base: Some(dev("bond0")), ..port(link(5, "bond0.7", vlan, forwarding.clone()), "red") },
        link(6, "red", bridge(), plain()),
        port(link(7, "vnet0", SeenKind::Tap, forwarding), "red"),
        link(8, "veth0", SeenKind::Other("veth".into()), veth("veth1")),
        link(9, "veth1", SeenKind::Nic, veth("veth0")),
        SeenLink { base: Some(dev("eth2")), ..link(10, "mac0", SeenKind::Other("macvlan".into()), macvlan) },
        SeenLink { nic: false, ..link(11, "wlan0", SeenKind::Nic, plain()) },
        link(12, "bond1", bond(0), plain()),
        link(13, "tm0", SeenKind::Other("team".into()), Details { driver: Driver::Team(team), ..plain() }),
        port(link(14, "tp0", SeenKind::Nic, team_port(true)), "tm0"),
        port(link(15, "tp1", SeenKind::Nic, team_port(true)), "tm0"),
    ];
    links[5].addresses = vec![Address::new([10, 0, 0, 9].into(), 24)];
    let mut routed = IpConfig { routes: [Route::default_via([10, 0, 0, 254].into())].into(), ..IpConfig::default() };
    source_routing::add(dev("red"), ADDRESS, Route::default_via(GATEWAY.into()), &mut routed);
    links[5].routes = routed.routes.into_iter().collect();
    (links[5].ipv6_disabled, links[5].adverts) = (Some(false), Some(Adverts::heard(true, true)));
    links[5].made_routes = vec![Route { metric: 1024, ..Route::default_via("fe80::1".parse().unwrap()) }];
    links[9].routes = vec![Route { table: 77, ..Route::default_via([10, 1, 0, 254].into()) }];
    links[9].made_routes = vec![Route { metric: 1024, ..Route::default_via("fe80::2".parse().unwrap()) }];
    let mut host = NetInfo::new(links, true);
    routed.rules.into_iter().for_each(|rule| host.insert_rule(rule));
    host
}

const ADDRESS: Prefixed<Ipv4Addr> = Prefixed { addr: Ipv4Addr::new(10, 0, 0, 9), prefix: 24 };
const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 254);

fn running() -> NetConfig {
    let red = NetworkConfig {
        base: Some(Base::Bond(dev("bond0"))),
        vlan: VlanTag::new(7),
        ipv4: Some(ADDRESS),
        gateway: Some(GATEWAY),
        ipv6_autoconf: true,
        default_route: true,
        ..NetworkConfig::new()
    };
    let blue =
        NetworkConfig { base: Some(Base::Nic(dev("eth9"))), mtu: Mtu::new(9000).unwrap(), ..NetworkConfig::new() };
    let flat = NetworkConfig { base: Some(Base::Nic(dev("eth2"))), bridged: false, ..NetworkConfig::new() };
    let named = [("red", red), ("blue", blue), ("flat", flat), ("alone", NetworkConfig::new())];
    let bond0 = BondConfig {
        nics: [dev("eth0"), dev("eth1")].into(),
        options: BondOptions::parse("mode=4").unwrap(),
        options_text: "mode=4".to_owned(),
        hwaddr: None,
        switch: Switch::Legacy,
    };
    NetConfig {
        networks: named.map(|(name, net)| (NetworkName::try_from(name).unwrap(), net)).into(),
        bonds: [(dev("bond0"), bond0)].into(),
    }
}

fn told() -> Value {
    let policy = Policy {
        combination: Combination::Strict,
        bond_addresses: BondAddresses::Preserve,
        configurator: "iproute2".to_owned(),
        features: [Feature::Ipv6Autoconf].into(),
    };
    let (seen, running) = (host(), running());
    let checked = check(&running, &seen, &policy, None);
    let text = topology(&seen, &running, &checked, &["192.0.2.53".to_owned()], true);
    serde_json::from_slice(&text).unwrap()
}

/// The entry of that name, with these keys of it.
#[track_caller]
fn entry(list: &str, name: &str, keys: &[&str]) -> Value {
    let told = told();
    let found = told[list].as_array().unwrap().iter().find(|entry| entry["name"] == name).unwrap();
    keys.iter().map(|key| ((*key).to_owned(), found.get(*key).unwrap_or(&json!("no such key")).clone())).collect()
}

#[test]
fn a_link_is_told_whole() {
    let eth0 =
        entry("links", "eth0", &["index", "kind", "nic", "hidden", "ours", "up", "running", "state", "mtu", "mac"]);
    let wanted = json!({
        "index": 1, "kind": "nic", "nic": true, "hidden": false, "ours": true, "up": true, "running": true,
        "state": "up", "mtu": 1500, "mac": "02:00:00:00:00:01",
    });
    assert_eq!(eth0, wanted);
    let more = entry("links", "eth0", &["speed", "duplex", "master", "base", "port_state", "addresses"]);
    let wanted = json!({
        "speed": 10_000, "duplex": "full", "master": "bond0", "base": null, "port_state": "active", "addresses": [],
    });
    assert_eq!(more, wanted);
    let eth2 = entry("links", "eth2", &["speed", "duplex", "port_state"]);
    assert_eq!(eth2, json!({ "speed": 100, "duplex": "half", "port_state": null }));
}

#[test]
fn each_kind_is_told_by_its_word_and_with_what_only_it_has() {
    let kind = |name: &str, keys: &[&str]| entry("links", name, &[&["kind", "ours"], keys].concat());
    assert_eq!(
        kind("bond0", &["mode", "partner"]),
        json!({ "kind": "bond", "ours": true, "mode": "802.3ad", "partner": "09:09:09:09:09:09" })
    );
    assert_eq!(
        kind("bond1", &["partner"]),
        json!({ "kind": "bond", "ours": false, "partner": null }),
        "nobody answers"
    );
    assert_eq!(
        kind("bond0.7", &["tag", "base", "master", "port_state"]),
        json!({ "kind": "vlan", "ours": true, "tag": 7, "base": "bond0", "master": "red", "port_state": "forwarding" })
    );
    assert_eq!(kind("red", &[]), json!({ "kind": "bridge", "ours": true }));
    assert_eq!(kind("vnet0", &["master"]), json!({ "kind": "tap", "ours": false, "master": "red" }));
    assert_eq!(
        kind("veth0", &["nic", "peer"]),
        json!({ "kind": "veth", "ours": false, "nic": false, "peer": "veth1" })
    );
    assert_eq!(
        kind("veth1", &["nic", "peer"]),
        json!({ "kind": "veth", "ours": false, "nic": true, "peer": "veth0" }),
        "a laboratory's nic"
    );
    assert_eq!(
        kind("mac0", &["macvlan_mode", "base"]),
        json!({ "kind": "macvlan", "ours": false, "macvlan_mode": "bridge", "base": "eth2" })
    );
    assert_eq!(
        kind("tm0", &["mode", "active"]),
        json!({ "kind": "team", "ours": false, "mode": "activebackup", "active": "tp0" })
    );
    assert_eq!(
        kind("tp0", &["master", "port_state"]),
        json!({ "kind": "nic", "ours": false, "master": "tm0", "port_state": "active" })
    );
    assert_eq!(
        kind("tp1", &["port_state"]),
        json!({ "kind": "nic", "ours": false, "port_state": "backup" }),
        "enabled, and not the active one"
    );
    assert_eq!(kind("wlan0", &["hidden"]), json!({ "kind": "nic", "ours": false, "hidden": true }));
}

#[test]
fn the_ways_out_are_those_of_the_main_table_and_the_default_route_is_ipv4s() {
    let out = |name| entry("links", name, &["gateway", "gateway6", "default_route"]);
    assert_eq!(out("red"), json!({ "gateway": "10.0.0.254", "gateway6": "fe80::1", "default_route": true }));
    assert_eq!(out("mac0"), json!({ "gateway": "10.1.0.254", "gateway6": "fe80::2", "default_route": false }));
    assert_eq!(out("eth0"), json!({ "gateway": null, "gateway6": null, "default_route": false }));
}

#[test]
fn a_network_is_told_with_what_it_wants_and_how_it_is() {
    let shape = ["top", "base", "vlan", "mtu", "wants", "addresses", "gateway", "default_route", "state"];
    let red = json!({
        "top": "red", "base": "bond0", "vlan": 7, "mtu": 1500,
        "wants": [{ "device": "bond0.7", "kind": "vlan", "on": ["bond0"] }, { "device": "red", "kind": "bridge", "ports": ["bond0.7"] }],
        "addresses": ["10.0.0.9/24"], "gateway": "10.0.0.254", "default_route": true, "state": "in_sync",
    });
    assert_eq!(entry("networks", "red", &shape), red);
    let blue = json!({
        "top": "blue", "base": "eth9", "vlan": null, "mtu": 9000,
        "wants": [{ "device": "blue", "kind": "bridge", "ports": ["eth9"] }],
        "addresses": [], "gateway": null, "default_route": false, "state": "missing",
    });
    assert_eq!(entry("networks", "blue", &shape), blue);
    assert_eq!(entry("networks", "blue", &["differences"])["differences"][0], "its nic eth9 is missing");
    let flat = entry("networks", "flat", &["top", "wants", "state"]);
    assert_eq!(flat, json!({ "top": "eth2", "wants": [], "state": "in_sync" }));
    let alone = entry("networks", "alone", &["base", "wants", "state"]);
    assert_eq!(
        alone,
        json!({ "base": null, "wants": [{ "device": "alone", "kind": "bridge", "ports": [] }], "state": "missing" })
    );
    assert_eq!(told().pointer("/networks/0/bridged"), Some(&json!(true)));
}

#[test]
fn a_bond_is_told_with_the_slaves_it_should_have() {
    let bond0 = entry("bonds", "bond0", &["slaves", "mode", "state", "differences"]);
    let wanted = json!({ "slaves": ["eth0", "eth1"], "mode": "802.3ad", "state": "in_sync", "differences": [] });
    assert_eq!(bond0, wanted);
    let told = told();
    assert_eq!(told["bonds"].as_array().unwrap().len(), 1, "a stranger's is among the links alone");
    assert_eq!((&told["nameservers"], &told["unsaved"]), (&json!(["192.0.2.53"]), &json!(true)));
}

#[test]
fn who_draws_it_understands_it() {
    let drawn = show::tree(&told(), false);
    for line in [
        "red      bridge, vlan 7, up",
        "default via 10.0.0.254",
        "bond 802.3ad",
        "partner 09:09:09:09:09:09",
        "VM ports vnet0",
        "its nic eth9 is missing",
        "name servers: 192.0.2.53",
        "not saved",
    ] {
        assert!(drawn.contains(line), "{line} in\n{drawn}");
    }
    assert!(!drawn.contains("wlan0"), "{drawn}");
}
