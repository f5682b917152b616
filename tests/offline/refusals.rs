//! Every way a request is turned away: the problem, its code, and once its sentence.
//!
//! The codes are the original's (vdsm-facts 1.3, 2 and 14). What a legal request does is in
//! `edits.rs`; which spellings are legal in `requests.rs`.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use vdsm_configurators::sim::Sim;
use vdsm_model::config::{Combination, NetConfig};
use vdsm_model::graph::Desired;
use vdsm_model::name::{DeviceName, NameError};
use vdsm_model::netinfo::NetInfo;
use vdsm_model::problem::{Code, Problem, Stage, Subject};
use vdsm_model::request::{Request, UnknownKeys};

use crate::common::policy;
use crate::world::{World, dev, net, request};

use Code::*;
use Stage::{Apply, Canonical, Ip, Link, Sharing, Switch};

// ---- The words of this file.

fn of_net(name: &str) -> Subject {
    Subject::Network(name.to_owned())
}

fn of_bond(name: &str) -> Subject {
    Subject::Bond(name.to_owned())
}

fn value(of: Subject, key: &str, value: &str, rule: &str, code: Code, stage: Stage) -> Problem {
    Problem::Value { of, key: key.to_owned(), value: value.to_owned(), rule: rule.to_owned(), code, stage }
}

fn used(nic: &str, users: &[&str]) -> Problem {
    Problem::UsedNic { nic: dev(nic), users: users.iter().map(ToString::to_string).collect() }
}

fn unknown_nic(of: Subject, nic: &str) -> Problem {
    Problem::UnknownNic { of, nic: dev(nic) }
}

fn shared(interface: &str, networks: &[&str], rule: &'static str) -> Problem {
    Problem::SharedInterface { interface: dev(interface), networks: networks.iter().map(|n| net(n)).collect(), rule }
}

const OWN_TAG: &str = "each needs a VLAN tag of its own, and only one may be without";
const ALONE: &str = "a bridged network without VLAN tag must be the only one (network_combination = strict)";

/// A fresh host refuses the request, for these reasons and no others.
#[track_caller]
fn rejects(networks: Value, bonds: Value, expected: &[Problem]) {
    refuses(&World::new(), networks, bonds, expected);
}

/// The same on a host with a past. The first problem's code is the answer's, and nothing happens.
#[track_caller]
fn refuses(world: &World, networks: Value, bonds: Value, expected: &[Problem]) {
    let asked = format!("{networks} {bonds}");
    let seen = world.sim.look();
    let refused = Desired::build(&world.running, &request(networks, bonds), &seen, &world.policy).map(|_| ()).expect_err(&asked);
    assert_eq!(refused.all(), expected, "{asked}");
    assert_eq!(refused.code(), expected[0].code(), "{asked}");
}

#[track_caller]
fn accepts(world: &World, networks: Value, bonds: Value) {
    let asked = format!("{networks} {bonds}");
    assert_eq!(world.problems(networks, bonds), [], "{asked}");
}

/// A network `n` on a nic with these attributes besides.
fn on_nic(more: Value) -> Value {
    let mut attributes = json!({ "nic": "dummy_0" });
    attributes.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({ "n": attributes })
}

#[track_caller]
fn rejects_network(more: Value, expected: &[Problem]) {
    rejects(on_nic(more), json!({}), expected);
}

// ---- Values.

#[test]
fn a_value_that_breaks_its_rule_is_refused_with_the_originals_code() {
    const MTU: &str = "it must be a number of bytes from 68 to 65535";
    const VLAN: &str = "a VLAN tag is a number from 0 to 4094";
    const TRUTH: &str = "it must be true or false, as a boolean, a text or a number";
    const STP: &str = "a bridge STP value is true, on, yes, false, off or no";
    const TEXT: &str = "it must be a text";
    const MAP: &str = "it must be a map";
    let cases = [
        (json!({ "mtu": 67 }), "mtu", "67", MTU, BadParams, Canonical),
        (json!({ "mtu": 65536 }), "mtu", "65536", MTU, BadParams, Canonical),
        (json!({ "mtu": -1500 }), "mtu", "-1500", MTU, BadParams, Canonical),
        (json!({ "mtu": "big" }), "mtu", "\"big\"", MTU, BadParams, Canonical),
        (json!({ "mtu": 1500.5 }), "mtu", "1500.5", MTU, BadParams, Canonical),
        (json!({ "mtu": true }), "mtu", "true", MTU, BadParams, Canonical),
        (json!({ "mtu": u64::MAX }), "mtu", "18446744073709551615", MTU, BadParams, Canonical),
        (json!({ "vlan": 4095 }), "vlan", "4095", VLAN, BadVlan, Switch),
        (json!({ "vlan": -1 }), "vlan", "-1", VLAN, BadVlan, Switch),
        (json!({ "vlan": "4095" }), "vlan", "\"4095\"", VLAN, BadVlan, Switch),
        (json!({ "vlan": "x" }), "vlan", "\"x\"", VLAN, BadVlan, Canonical),
        (json!({ "vlan": [5] }), "vlan", "[5]", VLAN, BadVlan, Canonical),
        (json!({ "bridged": "yes" }), "bridged", "\"yes\"", TRUTH, BadParams, Canonical),
        (json!({ "defaultRoute": "on" }), "defaultRoute", "\"on\"", TRUTH, BadParams, Canonical),
        (json!({ "dhcpv6": {} }), "dhcpv6", "{}", TRUTH, BadParams, Canonical),
        (json!({ "ipv6autoconf": "foo" }), "ipv6autoconf", "\"foo\"", TRUTH, BadParams, Canonical),
        (json!({ "blockingdhcp": 0.5 }), "blockingdhcp", "0.5", TRUTH, BadParams, Canonical),
        (json!({ "remove": "maybe" }), "remove", "\"maybe\"", TRUTH, BadParams, Canonical),
        (json!({ "stp": "maybe" }), "stp", "\"maybe\"", STP, BadParams, Canonical),
        (json!({ "STP": [] }), "STP", "[]", STP, BadParams, Canonical),
        (json!({ "bootproto": "bootp" }), "bootproto", "\"bootp\"", "it must be dhcp, none or static", BadParams, Canonical),
        (json!({ "bootproto": 1 }), "bootproto", "1", TEXT, BadParams, Canonical),
        (json!({ "switch": "cisco" }), "switch", "\"cisco\"", "it must be legacy or ovs", BadParams, Sharing),
        (json!({ "nic": ["dummy_0"] }), "nic", "[\"dummy_0\"]", TEXT, BadParams, Canonical),
        (json!({ "nic": "a b" }), "nic", "\"a b\"", "it must be the name of a device: it contains ' '", BadNic, Switch),
        (json!({ "custom": "x" }), "custom", "\"x\"", MAP, BadParams, Canonical),
        (json!({ "custom": { "a": 5 } }), "custom.a", "5", "custom properties are texts", BadParams, Canonical),
        (json!({ "custom": { "default_route": "maybe" } }), "custom.default_route", "\"maybe\"", "it must be true or false", BadParams, Canonical),
        (json!({ "hostQos": 5 }), "hostQos", "5", MAP, BadParams, Canonical),
        (json!({ "nameservers": "192.0.2.53" }), "nameservers", "\"192.0.2.53\"", "it must be a list of texts", BadParams, Canonical),
    ];
    for (attributes, key, given, rule, code, stage) in cases {
        rejects_network(attributes, &[value(of_net("n"), key, given, rule, code, stage)]);
    }
}

#[test]
fn an_address_that_is_none_is_refused_with_code_22() {
    const V4: &str = "it must be an IPv4 address";
    const V6: &str = "it must be an IPv6 address, with a prefix length from 0 to 128 or none (64 then)";
    const MASK: &str = "it must be a netmask such as 255.255.255.0";
    const PREFIX: &str = "a prefix is a number from 0 to 32";
    const BITS: &str = "its bits must be contiguous";
    const UNICAST: &str = "it must be a unicast address";
    const SERVER: &str = "a name server is an IPv4 or IPv6 address";
    let with_mask = |addr: &str| json!({ "ipaddr": addr, "netmask": "255.255.255.0" });
    let masked = |mask: &str| json!({ "ipaddr": "192.0.2.10", "netmask": mask });
    let via = |gateway: &str| json!({ "ipaddr": "192.0.2.10", "prefix": 24, "gateway": gateway });
    let prefixed = |prefix: Value| json!({ "ipaddr": "192.0.2.10", "prefix": prefix });
    let six = |addr: &str| json!({ "ipv6addr": addr });
    let server = |server: &str| json!({ "defaultRoute": true, "nameservers": ["192.0.2.53", server] });
    let cases = [
        (with_mask("300.300.300.300"), "ipaddr", "\"300.300.300.300\"", V4, Ip),
        (with_mask("192.0.2"), "ipaddr", "\"192.0.2\"", V4, Ip),
        (with_mask("192.0.2.10/24"), "ipaddr", "\"192.0.2.10/24\"", V4, Ip),
        (with_mask("::1"), "ipaddr", "\"::1\"", V4, Ip),
        (with_mask("224.0.0.1"), "ipaddr", "\"224.0.0.1\"", UNICAST, Ip),
        (with_mask("255.255.255.255"), "ipaddr", "\"255.255.255.255\"", UNICAST, Ip),
        (masked("255.0.255.0"), "netmask", "\"255.0.255.0\"", BITS, Ip),
        (masked("253.0.0.0"), "netmask", "\"253.0.0.0\"", BITS, Ip),
        (masked("256.0.0.0"), "netmask", "\"256.0.0.0\"", MASK, Ip),
        (masked("24"), "netmask", "\"24\"", MASK, Ip),
        (prefixed(json!(33)), "prefix", "33", PREFIX, Canonical),
        (prefixed(json!(-1)), "prefix", "-1", PREFIX, Canonical),
        (prefixed(json!("/24")), "prefix", "\"/24\"", PREFIX, Canonical),
        (via("192.0.2.256"), "gateway", "\"192.0.2.256\"", V4, Ip),
        (via("224.0.0.1"), "gateway", "\"224.0.0.1\"", UNICAST, Ip),
        (six("::abcd::"), "ipv6addr", "\"::abcd::\"", V6, Ip),
        (six("ff:abcde::1"), "ipv6addr", "\"ff:abcde::1\"", V6, Ip),
        (six("fe80::/132"), "ipv6addr", "\"fe80::/132\"", V6, Ip),
        (six("2001:db8::1/129"), "ipv6addr", "\"2001:db8::1/129\"", V6, Ip),
        (six("2001:db8::1/x"), "ipv6addr", "\"2001:db8::1/x\"", V6, Ip),
        (six("ff02::1/64"), "ipv6addr", "\"ff02::1/64\"", V6, Ip),
        (json!({ "ipv6addr": "2001:db8::1/64", "ipv6gateway": "192.0.2.1" }), "ipv6gateway", "\"192.0.2.1\"", "it must be an IPv6 address", Ip),
        (json!({ "ipv6addr": "2001:db8::1/64", "ipv6gateway": "ff02::2" }), "ipv6gateway", "\"ff02::2\"", UNICAST, Ip),
        (json!({ "ipv6addr": "2001:db8::1/64", "mtu": 1279 }), "mtu", "1279", "an ipv6addr needs at least 1280 bytes (RFC 8200)", Ip),
        (server("x"), "nameservers", "\"x\"", SERVER, Ip),
        (server("192.0.2.53%eth0"), "nameservers", "\"192.0.2.53%eth0\"", SERVER, Ip),
        (server("fe80::1%"), "nameservers", "\"fe80::1%\"", SERVER, Ip),
    ];
    for (attributes, key, given, rule, stage) in cases {
        rejects_network(attributes, &[value(of_net("n"), key, given, rule, BadAddr, stage)]);
    }
}

#[test]
fn addresses_netmasks_and_prefixes_at_their_limits_are_taken() {
    let world = World::new();
    for attributes in [
        json!({ "ipaddr": "192.0.2.10", "netmask": "254.0.0.0" }),
        json!({ "ipaddr": "192.0.2.10", "prefix": 0 }),
        json!({ "ipaddr": "192.0.2.10", "prefix": "32" }),
        json!({ "ipv6addr": "::1" }),
        json!({ "ipv6addr": "::/0" }),
        json!({ "ipv6addr": "fe80::/16" }),
        json!({ "ipv6addr": "2001:db8::1/128" }),
        json!({ "ipv6addr": "2001:db8::1", "mtu": 1280 }),
        json!({ "mtu": 68 }),
        json!({ "mtu": 65535 }),
        json!({ "vlan": 0 }),
        json!({ "vlan": 4094 }),
    ] {
        accepts(&world, on_nic(attributes), json!({}));
    }
}

#[test]
fn name_servers_belong_to_the_default_route_network() {
    let rule = "name servers may only be defined on the default route network";
    rejects_network(json!({ "nameservers": ["192.0.2.53"] }), &[value(of_net("n"), "nameservers", "[\"192.0.2.53\"]", rule, BadParams, Ip)]);
    accepts(&World::new(), on_nic(json!({ "nameservers": [] })), json!({}));
}

#[test]
fn what_an_address_needs_is_missed_and_what_it_excludes_is_told() {
    let n = || of_net("n");
    let missing = |key, because| Problem::Missing { of: n(), key, because, code: BadAddr, stage: Ip };
    let both = |a, b, code, stage| Problem::Both { of: n(), keys: (a, b), code, stage };
    let no_mask = || missing("netmask", "and so is prefix; an ipaddr needs one of them");
    let no_address = || missing("ipaddr", "but gateway, netmask or prefix is given");
    let cases = [
        (json!({ "ipaddr": "192.0.2.10" }), no_mask()),
        (json!({ "ipaddr": "192.0.2.10", "netmask": "" }), no_mask()),
        (json!({ "ipaddr": "192.0.2.10", "gateway": "192.0.2.1" }), no_mask()),
        (json!({ "gateway": "192.0.2.1" }), no_address()),
        (json!({ "netmask": "255.255.255.0" }), no_address()),
        (json!({ "prefix": 24 }), no_address()),
        (json!({ "bootproto": "dhcp", "gateway": "192.0.2.1" }), no_address()),
        (json!({ "ipv6gateway": "2001:db8::1" }), missing("ipv6addr", "but ipv6gateway is given")),
        (json!({ "ipaddr": "192.0.2.10", "prefix": 24, "netmask": "255.255.255.0" }), both("prefix", "netmask", BadParams, Canonical)),
        (json!({ "ipaddr": "192.0.2.10", "prefix": 24, "bootproto": "dhcp" }), both("ipaddr", "bootproto=dhcp", BadAddr, Ip)),
        (json!({ "ipv6addr": "2001:db8::1/64", "ipv6autoconf": true }), both("ipv6addr", "ipv6autoconf", BadAddr, Ip)),
        (json!({ "ipv6addr": "2001:db8::1/64", "dhcpv6": true }), both("ipv6addr", "dhcpv6", BadAddr, Ip)),
    ];
    for (attributes, problem) in cases {
        rejects_network(attributes, &[problem]);
    }
    rejects_network(
        json!({ "ipv6addr": "2001:db8::1/64", "dhcpv6": true, "ipv6autoconf": true }),
        &[both("ipv6addr", "ipv6autoconf", BadAddr, Ip), both("ipv6addr", "dhcpv6", BadAddr, Ip)],
    );
}

#[test]
fn a_request_of_the_wrong_shape_is_refused() {
    let read = |networks: Value, bonds: Value, options: Value| {
        let request = Request::read(&networks, &bonds, &options, UnknownKeys::Refuse);
        World::new().judge(&request, &Sim::with_nics(&["dummy_0"]).look())
    };
    let wrong = |of, key, given: &str, rule| [value(of, key, given, rule, BadParams, Canonical)];
    const MAPS: &str = "it must be a map of names to attributes";
    const SECONDS: &str = "it must be a number of seconds from 0 to 86400";
    const TRUTH: &str = "it must be true or false, as a boolean, a text or a number";
    assert_eq!(read(json!([]), json!({}), json!({})), wrong(Subject::Request, "networks", "[]", MAPS));
    assert_eq!(read(json!({}), json!("x"), json!({})), wrong(Subject::Request, "bondings", "\"x\"", MAPS));
    assert_eq!(read(json!({}), json!({}), json!(5)), wrong(Subject::Request, "options", "5", "they must be a map"));
    assert_eq!(read(json!({ "n": 5 }), json!({}), json!({})), wrong(of_net("n"), "attributes", "5", "they must be a map"));
    assert_eq!(read(json!({}), json!({ "bond1": null }), json!({})), wrong(of_bond("bond1"), "attributes", "null", "they must be a map"));
    for given in [json!("soon"), json!(-1), json!(86401), json!(true)] {
        assert_eq!(read(json!({}), json!({}), json!({ "connectivityTimeout": given })), wrong(Subject::Options, "connectivityTimeout", &given.to_string(), SECONDS));
    }
    for key in ["connectivityCheck", "commitOnSuccess"] {
        assert_eq!(read(json!({}), json!({}), json!({ key: "perhaps" })), wrong(Subject::Options, key, "\"perhaps\"", TRUTH));
    }
    assert_eq!(read(Value::Null, Value::Null, Value::Null), []);
}

// ---- Names.

#[test]
fn a_name_that_is_no_bridges_is_refused_with_code_27() {
    let refused = |name: &str, error| Problem::NetworkName { name: name.to_owned(), error };
    for (name, error) in [
        ("aaaaaaaaaaaaaaaa", NameError::TooLong { length: 16 }),
        ("a b", NameError::Character { bad: ' ' }),
        ("a\tb", NameError::Character { bad: '\t' }),
        ("a.b", NameError::Character { bad: '.' }),
        ("a:b", NameError::Character { bad: ':' }),
        ("a/b", NameError::Character { bad: '/' }),
        ("a\0b", NameError::Character { bad: '\0' }),
        ("-abc", NameError::LeadingDash),
        (".", NameError::Dots),
        ("..", NameError::Dots),
        ("", NameError::Empty),
    ] {
        let problem = refused(name, error);
        assert_eq!(problem.code(), BadBridge);
        rejects(json!({ name: { "nic": "dummy_0" } }), json!({}), &[problem]);
    }
    accepts(&World::new(), json!({ "aaaaaaaaaaaaaaa": { "nic": "dummy_0" } }), json!({}));
}

#[test]
fn a_network_without_bridge_is_only_refused_names_that_are_no_files() {
    let world = World::new();
    for name in ["aaaaaaaaaaaaaaaa", "a b", "a.b", "a:b", "-abc", "größer"] {
        accepts(&world, json!({ name: { "nic": "dummy_0", "bridged": false } }), json!({}));
    }
    for (name, error) in [("../x", NameError::Character { bad: '/' }), ("..", NameError::Dots), ("", NameError::Empty)] {
        rejects(json!({ name: { "nic": "dummy_0", "bridged": false } }), json!({}), &[Problem::NetworkName { name: name.to_owned(), error }]);
    }
}

#[test]
fn a_bond_is_called_bond_and_a_number_wherever_it_is_named() {
    for name in ["bond", "bonda", "bond0a", "jamesbond007", "bond-1", "bond1.5", "bond١", "bond123456789012"] {
        let problem = Problem::BondName { name: name.to_owned() };
        assert_eq!(problem.code(), BadBonding);
        rejects(json!({}), json!({ name: { "nics": ["dummy_0"] } }), std::slice::from_ref(&problem));
        rejects(json!({}), json!({ name: { "remove": true } }), std::slice::from_ref(&problem));
        rejects(json!({ "n": { "bonding": name } }), json!({}), &[problem]);
    }
    for name in ["bond0", "bond007", "bond12345678901"] {
        accepts(&World::new(), json!({ "n": { "bonding": name } }), json!({ name: { "nics": ["dummy_0"] } }));
    }
}

#[test]
fn a_vlan_device_must_be_able_to_have_its_name() {
    let world = World::over(Sim::with_nics(&["enp0s20f0u1u2"]), Sim::default());
    let long = |tag| json!({ "n": { "nic": "enp0s20f0u1u2", "vlan": tag } });
    accepts(&world, long(5), json!({}));
    refuses(&world, long(100), json!({}), &[Problem::VlanName { network: net("n"), base: dev("enp0s20f0u1u2"), tag: 100, error: NameError::TooLong { length: 17 } }]);
}

#[test]
fn a_vlan_that_is_there_by_a_short_name_needs_no_long_one() {
    let sim = Sim::with_nics(&["enp0s20f0u1u2"]);
    let mut world = World::over(sim.clone(), sim);
    world.add_vlan("short", "enp0s20f0u1u2", 100);
    accepts(&world, json!({ "n": { "nic": "enp0s20f0u1u2", "vlan": 100 } }), json!({}));
}

#[test]
fn a_device_of_another_kind_keeps_its_name() {
    let mut world = World::new();
    let taken = |network: &str, device: &str, kind: &str, code| Problem::NameTaken { network: net(network), device: dev(device), kind: kind.to_owned(), code };
    refuses(&world, json!({ "dummy_1": { "nic": "dummy_0" } }), json!({}), &[taken("dummy_1", "dummy_1", "nic", BadBridge)]);
    refuses(&world, json!({ "dummy_0": { "nic": "dummy_0" } }), json!({}), &[taken("dummy_0", "dummy_0", "nic", BadBridge)]);
    accepts(&world, json!({ "dummy_0": { "nic": "dummy_0", "bridged": false } }), json!({}));

    world.add_bond("bond9", "mode=1", &["dummy_3"]);
    refuses(&world, json!({ "bond9": { "bonding": "bond9" } }), json!({}), &[taken("bond9", "bond9", "bond", BadBridge)]);

    world.add_vlan("dummy_0.5", "dummy_1", 6);
    refuses(&world, json!({ "n": { "nic": "dummy_0", "vlan": 5 } }), json!({}), &[taken("n", "dummy_0.5", "vlan with tag 6 on dummy_1", BadVlan)]);
    world.add_bridge("dummy_0.7", &[]);
    refuses(&world, json!({ "n": { "nic": "dummy_0", "vlan": 7 } }), json!({}), &[taken("n", "dummy_0.7", "bridge", BadVlan)]);

    world.add_bridge("bond5", &[]);
    let is = |kind: &str| Problem::BondOption { bond: dev("bond5"), problem: format!("a device of that name exists and is a {kind}") };
    refuses(&world, json!({}), json!({ "bond5": { "nics": ["dummy_2"] } }), &[is("bridge")]);
}

#[test]
fn a_bridge_and_a_bond_of_one_request_cannot_have_one_name() {
    let expected = [Problem::NameTaken { network: net("bond1"), device: dev("bond1"), kind: "bond".to_owned(), code: BadBridge }];
    rejects(json!({ "bond1": { "bonding": "bond1" } }), json!({ "bond1": { "nics": ["dummy_0"] } }), &expected);
    rejects(json!({ "bond1": {} }), json!({ "bond1": { "nics": ["dummy_0"] } }), &expected);
    rejects(json!({ "bond1": { "nic": "dummy_1" } }), json!({ "bond1": { "nics": ["dummy_0"] } }), &expected);
}

#[test]
fn a_bridge_does_not_stand_in_for_a_missing_nic_of_its_name() {
    rejects(json!({ "dummy_9": { "nic": "dummy_9" } }), json!({}), &[unknown_nic(of_net("dummy_9"), "dummy_9")]);
    rejects(json!({ "dummy_9": { "nic": "dummy_0" }, "z": { "nic": "dummy_9" } }), json!({}), &[unknown_nic(of_net("z"), "dummy_9")]);
    rejects(json!({ "dummy_9": { "nic": "dummy_0" } }), json!({ "bond1": { "nics": ["dummy_9"] } }), &[unknown_nic(of_bond("bond1"), "dummy_9")]);
}

// ---- What stands on what.

#[test]
fn a_network_stands_on_one_device() {
    let missing = Problem::Missing { of: of_net("n"), key: "nic or bonding", because: "and a vlan device requires a southbound device", code: BadVlan, stage: Link };
    let both = Problem::Both { of: of_net("n"), keys: ("nic", "bonding"), code: BadParams, stage: Link };
    rejects(json!({ "n": { "vlan": 5 } }), json!({}), std::slice::from_ref(&missing));
    rejects(json!({ "n": { "vlan": 5, "bridged": false } }), json!({}), &[missing]);
    rejects(json!({ "n": { "nic": "dummy_0", "bonding": "bond1" } }), json!({ "bond1": { "nics": ["dummy_1"] } }), &[both]);
    rejects(json!({ "n": { "bridged": false } }), json!({}), &[Problem::NoDevices { network: net("n") }]);
    accepts(&World::new(), json!({ "n": {} }), json!({}));
}

#[test]
fn a_nic_that_is_not_there_or_hidden_is_refused_with_code_23() {
    rejects(json!({ "n": { "nic": "dummy_9" } }), json!({}), &[unknown_nic(of_net("n"), "dummy_9")]);
    rejects(json!({ "n": { "nic": "dummy_9", "vlan": 5, "bridged": false } }), json!({}), &[unknown_nic(of_net("n"), "dummy_9")]);
    rejects(json!({}), json!({ "bond1": { "nics": ["dummy_0", "dummy_9"] } }), &[unknown_nic(of_bond("bond1"), "dummy_9")]);

    // All who ask are named.
    rejects(
        json!({ "a": { "nic": "dummy_9", "vlan": 5 }, "b": { "nic": "dummy_9", "vlan": 6 } }),
        json!({}),
        &[unknown_nic(of_net("a"), "dummy_9"), unknown_nic(of_net("b"), "dummy_9")],
    );

    let world = World::new();
    let mut hidden = world.link("dummy_0");
    hidden.nic = false;
    let seen = world.sim.look().with([(dev("dummy_0"), Some(hidden))]);
    assert_eq!(world.judge(&request(on_nic(json!({})), json!({})), &seen), [unknown_nic(of_net("n"), "dummy_0")]);
    assert_eq!(world.judge(&request(json!({}), json!({ "bond1": { "nics": ["dummy_0"] } })), &seen), [unknown_nic(of_bond("bond1"), "dummy_0")]);
}

#[test]
fn only_a_nic_is_taken_for_a_nic() {
    let mut world = World::new();
    world.add_bond("bond9", "mode=1", &["dummy_3"]);
    world.add_bridge("virbr0", &[]);
    world.sim.plug_tap("vnet0", "virbr0");
    for device in ["bond9", "virbr0", "vnet0"] {
        refuses(&world, json!({ "n": { "nic": device } }), json!({}), &[unknown_nic(of_net("n"), device)]);
        refuses(&world, json!({}), json!({ "bond1": { "nics": [device] } }), &[unknown_nic(of_bond("bond1"), device)]);
    }
}

#[test]
fn a_slave_is_no_networks_nic_whichever_came_first() {
    let (bond, network) = (json!({ "bond1": { "nics": ["dummy_0", "dummy_1"] } }), json!({ "n": { "nic": "dummy_0" } }));
    let problem = used("dummy_0", &["slave of bond1", "network n"]);
    assert_eq!(problem.code(), UsedNic);
    let problem = [problem];
    rejects(network.clone(), bond.clone(), &problem);
    refuses(&World::with(json!({}), bond.clone()), network.clone(), json!({}), &problem);
    refuses(&World::with(network, json!({})), json!({}), bond.clone(), &problem);

    // Nor is a VLAN's base a slave, and here the host says so as well.
    let tagged = World::with(json!({ "n": { "nic": "dummy_0", "vlan": 5 } }), json!({}));
    refuses(&tagged, json!({}), bond, &[problem[0].clone(), used("dummy_0", &["slave of bond1", "the vlan dummy_0.5 upon it"])]);
}

#[test]
fn a_slave_has_one_bond() {
    let twice = [used("dummy_0", &["slave of bond1", "slave of bond2"])];
    let one = |name: &str| json!({ name: { "nics": ["dummy_0"] } });
    rejects(json!({}), json!({ "bond1": { "nics": ["dummy_0"] }, "bond2": { "nics": ["dummy_0"] } }), &twice);
    refuses(&World::with(json!({}), one("bond1")), json!({}), one("bond2"), &twice);
    rejects(json!({}), json!({ "bond1": { "nics": ["dummy_0", "dummy_0"] } }), &[used("dummy_0", &["bond1", "bond1"])]);
}

#[test]
fn what_strangers_hold_is_not_taken_from_them() {
    let mut world = World::new();
    world.add_bridge("virbr0", &["dummy_0"]);
    world.add_bond("bond9", "mode=1", &["dummy_1"]);
    world.add_vlan("theirs", "dummy_2", 7);
    let bond = |nic: &str| json!({ "bond1": { "nics": [nic] } });
    for (nic, holder) in [("dummy_0", "port of virbr0, which is not ours"), ("dummy_1", "slave of bond9, which is not ours")] {
        let problem = [used(nic, &[holder, "the request"])];
        refuses(&world, json!({ "n": { "nic": nic } }), json!({}), &problem);
        refuses(&world, json!({}), bond(nic), &problem);
    }
    refuses(&world, json!({}), bond("dummy_2"), &[used("dummy_2", &["slave of bond1", "the vlan theirs upon it"])]);
    // Beside it there is room.
    accepts(&world, json!({ "n": { "nic": "dummy_2", "vlan": 8 } }), json!({}));

    let mut world = World::new();
    world.add_vlan("dummy_0.5", "dummy_0", 5);
    world.add_bond("bond9", "mode=1", &["dummy_0.5"]);
    refuses(&world, json!({ "n": { "nic": "dummy_0", "vlan": 5 } }), json!({}), &[used("dummy_0.5", &["slave of bond9, which is not ours", "the request"])]);
    world.add_bond("bond8", "mode=1", &["dummy_1"]);
    world.add_bridge("virbr0", &["bond8"]);
    refuses(&world, json!({ "n": { "bonding": "bond8" } }), json!({}), &[used("bond8", &["port of virbr0, which is not ours", "the request"])]);
}

#[test]
fn a_bond_must_be_there_to_carry_a_network_or_to_be_removed() {
    rejects(json!({ "n": { "bonding": "bond7" } }), json!({}), &[Problem::UnknownBond { network: net("n"), bond: dev("bond7") }]);
    rejects(json!({}), json!({ "bond7": { "remove": true } }), &[Problem::NoSuchBond { bond: dev("bond7") }]);
    let mut world = World::new();
    world.add_bond("bond7", "mode=1", &["dummy_0"]);
    accepts(&world, json!({ "n": { "bonding": "bond7" } }), json!({}));
    accepts(&world, json!({}), json!({ "bond7": { "remove": true } }));
}

#[test]
fn a_bond_that_carries_networks_is_not_removed() {
    let networks = json!({ "a": { "bonding": "bond1", "vlan": 5 }, "b": { "bonding": "bond1", "vlan": 6 } });
    let world = World::with(networks, json!({ "bond1": { "nics": ["dummy_0"] } }));
    let gone = || json!({ "bond1": { "remove": true } });
    let used_by = |networks: &[&str]| Problem::UsedBond { bond: dev("bond1"), networks: networks.iter().map(|n| net(n)).collect() };
    refuses(&world, json!({}), gone(), &[used_by(&["a", "b"])]);
    refuses(&world, json!({ "a": { "remove": true } }), gone(), &[used_by(&["b"])]);
    refuses(&world, json!({ "a": { "bonding": "bond1", "vlan": 5, "mtu": 9000 }, "b": { "nic": "dummy_1" } }), gone(), &[used_by(&["a"])]);
    accepts(&world, json!({ "a": { "remove": true }, "b": { "nic": "dummy_1" } }), gone());
    assert_eq!(used_by(&["a"]).code(), UsedBond);
}

#[test]
fn a_bond_that_strangers_use_is_not_removed() {
    let mut world = World::with(json!({}), json!({ "bond1": { "nics": ["dummy_0"] } }));
    world.add_vlan("theirs", "bond1", 7);
    world.add_bond("bond9", "mode=1", &["dummy_1"]);
    world.add_bridge("virbr0", &["bond9"]);
    for (bond, user) in [("bond1", "theirs"), ("bond9", "virbr0")] {
        let problem = Problem::BondInUse { bond: dev(bond), users: vec![dev(user)] };
        assert_eq!(problem.code(), UsedBond);
        refuses(&world, json!({}), json!({ bond: { "remove": true } }), &[problem]);
    }
}

#[test]
fn a_bond_has_slaves_and_a_unicast_address() {
    let bond = |attributes: Value| json!({ "bond1": attributes });
    let missing = Problem::Missing { of: of_bond("bond1"), key: "nics", because: "and a bond needs at least one", code: BadParams, stage: Link };
    for attributes in [json!({}), json!({ "nics": [] }), json!({ "nics": null }), json!({ "remove": false, "options": "mode=1" })] {
        rejects(json!({}), bond(attributes), std::slice::from_ref(&missing));
    }
    for (nics, given) in [(json!("dummy_0"), "\"dummy_0\""), (json!([1]), "[1]")] {
        rejects(json!({}), bond(json!({ "nics": nics })), &[value(of_bond("bond1"), "nics", given, "it must be a list of texts", BadParams, Canonical)]);
    }
    rejects(json!({}), bond(json!({ "nics": ["a b"] })), &[value(of_bond("bond1"), "nics", "\"a b\"", "it must be the name of a device: it contains ' '", BadNic, Switch)]);
    for mac in ["x", "01:00:5e:00:00:01", "00:00:00:00:00:00", "02:00:00:00:00"] {
        rejects(
            json!({}),
            bond(json!({ "nics": ["dummy_0"], "hwaddr": mac })),
            &[value(of_bond("bond1"), "hwaddr", &format!("{mac:?}"), "it must be a unicast MAC address", BadBonding, Switch)],
        );
    }
}

#[test]
fn what_is_not_there_is_not_removed() {
    for name in ["n", "a b"] {
        rejects(json!({ name: { "remove": true } }), json!({}), &[Problem::NoSuchNetwork { network: net(name) }]);
    }
    // A bridge that is nobody's network is none of ours.
    let mut world = World::new();
    world.add_bridge("virbr0", &[]);
    refuses(&world, json!({ "virbr0": { "remove": true } }), json!({}), &[Problem::NoSuchNetwork { network: net("virbr0") }]);
}

#[test]
fn a_removal_takes_no_attribute_but_custom() {
    let world = World::with(on_nic(json!({})), json!({ "bond1": { "nics": ["dummy_1"] } }));
    let with = |of, keys: &[&str]| Problem::RemovalWithAttributes { of, keys: keys.iter().map(ToString::to_string).collect() };
    refuses(&world, json!({ "n": { "remove": true, "nic": "dummy_0", "mtu": 1500 } }), json!({}), &[with(of_net("n"), &["nic", "mtu"])]);
    refuses(&world, json!({}), json!({ "bond1": { "remove": "true", "nics": ["dummy_1"] } }), &[with(of_bond("bond1"), &["nics"])]);
    refuses(&world, json!({}), json!({ "bond1": { "remove": true, "custom": {} } }), &[unknown(of_bond("bond1"), "custom", None), with(of_bond("bond1"), &["custom"])]);
    accepts(&world, json!({ "n": { "remove": true, "custom": { "a": "b" } } }), json!({}));
}

#[test]
fn a_bridge_with_a_vm_on_it_does_not_go() {
    let world = World::with(on_nic(json!({})), json!({}));
    world.sim.plug_tap("vnet0", "n");
    world.sim.plug_tap("vnet1", "n");
    let in_use = [Problem::BridgeInUse { network: net("n"), ports: vec![dev("vnet0"), dev("vnet1")] }];
    assert_eq!(in_use[0].code(), UsedBridge);
    refuses(&world, json!({ "n": { "remove": true } }), json!({}), &in_use);
    refuses(&world, on_nic(json!({ "bridged": false })), json!({}), &in_use);
    refuses(&world, json!({ "n": { "remove": true }, "m": { "nic": "dummy_0" } }), json!({}), &in_use);
    // Whatever leaves the bridge in place is free.
    for attributes in [
        json!({}),
        json!({ "mtu": 9000 }),
        json!({ "stp": true }),
        json!({ "vlan": 5 }),
        json!({ "nic": "dummy_1" }),
        json!({ "nic": "" }),
        json!({ "ipaddr": "192.0.2.10", "prefix": 24, "gateway": "192.0.2.1", "defaultRoute": true }),
        json!({ "custom": { "bridge_opts": "ageing_time=0" } }),
    ] {
        accepts(&world, on_nic(attributes), json!({}));
    }
    accepts(&world, json!({ "n": { "bonding": "bond1" } }), json!({ "bond1": { "nics": ["dummy_0"] } }));
}

// ---- Who shares what.

#[test]
fn one_default_route_is_asked_for_at_a_time() {
    let world = World::with(json!({ "old": { "nic": "dummy_3", "defaultRoute": true } }), json!({}));
    let two = json!({ "b": { "nic": "dummy_0", "defaultRoute": true }, "a": { "nic": "dummy_1", "defaultRoute": true } });
    let many = Problem::ManyDefaultRoutes { networks: vec![net("a"), net("b")] };
    assert_eq!((many.code(), many.stage()), (BadParams, Canonical));
    refuses(&world, two, json!({}), &[many]);
    accepts(&world, json!({ "a": { "nic": "dummy_0", "defaultRoute": true } }), json!({}));
    accepts(&world, json!({ "a": { "nic": "dummy_0", "defaultRoute": true }, "old": { "nic": "dummy_3" } }), json!({}));
}

/// What becomes of two networks on one nic: in one request, and one after the other both ways.
#[track_caller]
fn together(combination: Combination, a: &Value, b: &Value, rule: Option<&'static str>) {
    let on = |more: &Value| {
        let mut net = json!({ "nic": "dummy_0" });
        net.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        net
    };
    let (a, b) = (on(a), on(b));
    let expected: Vec<Problem> = rule.into_iter().map(|rule| shared("dummy_0", &["a", "b"], rule)).collect();
    let world = |past: Value| {
        let mut world = World::new();
        world.policy.combination = combination;
        world.set(past, json!({}));
        world
    };
    let asked = format!("{combination:?} {a} {b}");
    assert_eq!(world(json!({})).problems(json!({ "a": a, "b": b }), json!({})), expected, "{asked}");
    assert_eq!(world(json!({ "a": a })).problems(json!({ "b": b }), json!({})), expected, "{asked}, a first");
    assert_eq!(world(json!({ "b": b })).problems(json!({ "a": a }), json!({})), expected, "{asked}, b first");
}

#[test]
fn who_may_share_a_nic_does_not_depend_on_who_came_first() {
    let (bridged, bare) = (json!({}), json!({ "bridged": false }));
    let tagged = |tag: u16, bridged: bool| json!({ "vlan": tag, "bridged": bridged });
    for combination in [Combination::Strict, Combination::Relaxed] {
        for (a, b) in [(&bridged, &bridged), (&bridged, &bare), (&bare, &bare)] {
            together(combination, a, b, Some(OWN_TAG));
        }
        together(combination, &tagged(5, true), &tagged(5, true), Some(OWN_TAG));
        together(combination, &tagged(5, true), &tagged(5, false), Some(OWN_TAG));
        for one in [true, false] {
            together(combination, &tagged(5, one), &tagged(6, true), None);
            together(combination, &tagged(0, one), &tagged(4094, false), None);
            together(combination, &bare, &tagged(5, one), None);
        }
    }
    for one in [true, false] {
        together(Combination::Strict, &bridged, &tagged(5, one), Some(ALONE));
        together(Combination::Relaxed, &bridged, &tagged(5, one), None);
    }
}

#[test]
fn the_rule_counts_for_bonds_and_ends_with_the_interface() {
    let bonds = json!({ "bond1": { "nics": ["dummy_0"] } });
    let world = World::with(json!({ "a": { "bonding": "bond1", "vlan": 5 } }), bonds);
    refuses(&world, json!({ "b": { "bonding": "bond1" } }), json!({}), &[shared("bond1", &["a", "b"], ALONE)]);
    accepts(&world, json!({ "b": { "nic": "dummy_1", "vlan": 5 }, "c": { "nic": "dummy_2" } }), json!({}));
    // It counts what will be, not what was.
    accepts(&world, json!({ "a": { "remove": true }, "b": { "bonding": "bond1" } }), json!({}));
    accepts(&world, json!({ "a": { "bonding": "bond1", "vlan": 6 }, "b": { "bonding": "bond1", "vlan": 5 } }), json!({}));
}

#[test]
fn who_is_too_many_on_an_interface_is_named_by_rule() {
    rejects(
        json!({ "a": { "nic": "dummy_0" }, "b": { "nic": "dummy_0", "bridged": false }, "c": { "nic": "dummy_0", "vlan": 5 } }),
        json!({}),
        &[shared("dummy_0", &["a", "b"], OWN_TAG), shared("dummy_0", &["a", "b", "c"], ALONE)],
    );
}

// ---- Options.

#[test]
fn a_bond_option_is_judged_by_its_mode() {
    for (options, sentence) in [
        ("mode=9", "bonding option mode cannot be '9'; allowed: balance-rr (0), active-backup (1), balance-xor (2), broadcast (3), 802.3ad (4), balance-tlb (5), balance-alb (6)"),
        ("miimon=100 fast", "Error parsing bonding options: 'fast' is not of the form name=value"),
        ("mode=4 speed=1", "'speed' is not a valid bonding option"),
        ("mode=4 lacp_rat=1", "'lacp_rat' is not a valid bonding option; did you mean 'lacp_rate'?"),
        ("mode=1 lacp_rate=1", "'lacp_rate' is not a valid bonding option in mode active-backup (1)"),
        ("lacp_rate=1 mode=balance-xor", "'lacp_rate' is not a valid bonding option in mode balance-xor (2)"),
        ("mode=4 lacp_rate=5", "bonding option lacp_rate cannot be '5'; allowed: slow (0), fast (1)"),
        ("mode=4 arp_interval=100", "'arp_interval' is not a valid bonding option in mode 802.3ad (4)"),
        ("mode=0 primary=dummy_0", "'primary' is not a valid bonding option in mode balance-rr (0)"),
        ("mode=1 updelay=100", "bonding option updelay=100 needs MII monitoring: miimon is 0"),
        ("mode=1 miimon=100 arp_interval=100", "bonding options miimon=100 and arp_interval=100 exclude each other: a bond is monitored either by MII or by ARP"),
    ] {
        let problem = Problem::BondOption { bond: dev("bond1"), problem: sentence.to_owned() };
        assert_eq!(problem.code(), BadBonding);
        rejects(json!({}), json!({ "bond1": { "nics": ["dummy_0"], "options": options } }), &[problem]);
    }
    for options in ["mode=4 lacp_rate=fast", "miimon=100 mode=802.3ad custom=a:b,c:d", "mode=6 primary=dummy_0", "", "  "] {
        accepts(&World::new(), json!({}), json!({ "bond1": { "nics": ["dummy_0"], "options": options } }));
    }
    let told = ["'a' is not a valid bonding option", "bonding option miimon cannot be 'x'; allowed: 0 to 2147483647"];
    let all = told.map(|problem| Problem::BondOption { bond: dev("bond1"), problem: problem.to_owned() });
    rejects(json!({}), json!({ "bond1": { "nics": ["dummy_0"], "options": "a=1 miimon=x" } }), &all);
}

#[test]
fn a_bridge_option_must_be_one() {
    for (options, sentence) in [
        ("oops", "'oops' is not of the form name=value"),
        ("multicast_snoping=0", "'multicast_snoping' is not a bridge option; did you mean 'multicast_snooping'?"),
        ("hello_time=99", "bridge option hello_time cannot be '99'; allowed: 100 to 1000 (centiseconds)"),
        ("bridge_id=1", "bridge option bridge_id cannot be set: it is made of the priority and the MAC address"),
    ] {
        let problem = Problem::BridgeOption { network: net("n"), problem: sentence.to_owned() };
        assert_eq!((problem.code(), problem.stage()), (BadParams, Canonical));
        rejects_network(json!({ "custom": { "bridge_opts": options } }), &[problem]);
    }
}

// ---- Not built yet.

#[test]
fn what_no_configurator_can_do_yet_is_refused_by_name() {
    let refused = |of, key: &str, value: &str| Problem::NotSupported { of, key: key.to_owned(), value: value.to_owned(), configurator: "iproute2".to_owned() };
    let qos = json!({ "out": { "ls": { "m2": 5000000 } } });
    for (attributes, key, given) in [
        (json!({ "bootproto": "dhcp" }), "bootproto", "dhcp"),
        (json!({ "dhcpv6": true }), "dhcpv6", "true"),
        (json!({ "ipv6autoconf": "1" }), "ipv6autoconf", "true"),
        (json!({ "defaultRoute": true, "nameservers": ["192.0.2.53", "fe80::1%eth0"] }), "nameservers", r#"["192.0.2.53", "fe80::1%eth0"]"#),
        (json!({ "switch": "ovs" }), "switch", "ovs"),
        (json!({ "custom": { "ovs": "true" } }), "switch", "ovs"),
        (json!({ "custom": { "ethtool_opts": "-K * gro off" } }), "custom.ethtool_opts", "\"-K * gro off\""),
        (json!({ "hostQos": qos }), "hostQos", r#"{"out":{"ls":{"m2":5000000}}}"#),
        (json!({ "qosInbound": { "average": 1 } }), "qosInbound", r#"{"average":1}"#),
        (json!({ "qosOutbound": { "peak": 1 } }), "qosOutbound", r#"{"peak":1}"#),
    ] {
        let problem = refused(of_net("n"), key, given);
        assert_eq!((problem.code(), problem.stage()), (BadParams, Stage::Support));
        rejects_network(attributes, &[problem]);
    }
    rejects(json!({}), json!({ "bond1": { "nics": ["dummy_0"], "switch": "ovs" } }), &[refused(of_bond("bond1"), "switch", "ovs")]);
    rejects(
        on_nic(json!({ "bootproto": "dhcp", "dhcpv6": true, "switch": "ovs" })),
        json!({}),
        &[refused(of_net("n"), "bootproto", "dhcp"), refused(of_net("n"), "dhcpv6", "true"), refused(of_net("n"), "switch", "ovs")],
    );
    // Nothing is asked for here.
    for attributes in [json!({ "dhcpv6": false, "hostQos": {} }), json!({ "bootproto": "none", "qosInbound": "", "custom": { "fcoe": "yes" } })] {
        accepts(&World::new(), on_nic(attributes), json!({}));
    }
}

#[test]
fn an_unbuilt_key_of_an_untouched_network_is_in_nobodys_way() {
    let mut world = World::with(on_nic(json!({})), json!({}));
    for network in world.running.networks.values_mut() {
        network.dhcpv4 = true;
    }
    accepts(&world, json!({ "m": { "nic": "dummy_1" } }), json!({}));
}

// ---- Keys.

fn unknown(of: Subject, key: &str, nearest: Option<&str>) -> Problem {
    Problem::UnknownKey { of, key: key.to_owned(), nearest: nearest.map(str::to_owned) }
}

#[test]
fn an_unknown_key_is_told_with_the_nearest_one() {
    for (key, nearest) in [("brigded", Some("bridged")), ("Mtu", Some("mtu")), ("ip_addr", Some("ipaddr")), ("IPADDR", None), ("xyzzy", None)] {
        rejects_network(json!({ key: "x" }), &[unknown(of_net("n"), key, nearest)]);
    }
    rejects(json!({}), json!({ "bond1": { "nics": ["dummy_0"], "option": "mode=1" } }), &[unknown(of_bond("bond1"), "option", Some("options"))]);
    let options = json!({ "connectivityTimeOut": 5, "connectivityCheck": false });
    let request = Request::read(&json!({}), &json!({}), &options, UnknownKeys::Refuse);
    assert_eq!(request.problems, [unknown(Subject::Options, "connectivityTimeOut", Some("connectivityTimeout"))]);
}

#[test]
fn an_unknown_key_is_a_warning_where_vdsm_conf_says_so() {
    let networks = json!({ "n": { "nic": "dummy_0", "brigded": false }, "m": { "nic": "dummy_1", "xyzzy": 1 } });
    let request = Request::read(&networks, &json!({}), &json!({ "connectivityCheck": false }), UnknownKeys::Warn);
    let wished = Desired::build(&NetConfig::default(), &request, &World::new().sim.look(), &policy()).unwrap();
    assert_eq!(wished.warnings, ["network 'n': the key 'brigded' is unknown; the nearest known key is 'bridged'", "network 'm': the key 'xyzzy' is unknown"]);
}

#[test]
fn what_the_original_took_and_ignored_is_taken_and_ignored() {
    let ignored = ["delay", "forward_delay", "DELAY", "onboot", "ONBOOT", "TYPE", "NAME", "DEVICE", "VLAN", "force", "implicitBonding", "connectivityCheck", "connectivityTimeout", "bondingOptions"];
    let attributes: BTreeMap<_, _> = ignored.map(|key| (key, "whatever")).into();
    accepts(&World::new(), on_nic(json!(attributes)), json!({}));
}

// ---- All at once.

#[test]
fn all_problems_are_told_at_once_and_the_originals_first_decides() {
    let mut world = World::with(json!({ "old": { "nic": "dummy_3" } }), json!({}));
    world.sim.plug_tap("vnet0", "old");
    world.add_bridge("virbr0", &["dummy_1"]);
    let networks = json!({
        "gone": { "remove": true },                                             // 27, found while applying
        "old": { "remove": true },                                              // 28, likewise
        "a": { "nic": "dummy_1" },                                              // 24
        "b": { "nic": "dummy_9", "vlan": 4095 },                                // 26, and its nic is not looked for
        "c": { "nic": "dummy_9" },                                              // 23
        "d": { "bonding": "bond7" },                                            // 25
        "e": { "nic": "dummy_0", "ipaddr": "192.0.2.10" },                      // 22
        "f": { "nic": "dummy_0", "bootproto": "dhcp", "vlan": 5 },              // 21, at the end
        "g": { "nic": "dummy_0", "vlan": 5 },                                   // 21, shares with f
        "h": { "vlan": 5 },                                                     // 26, before addresses
        "i": { "nic": "dummy_0", "mtu": 1 },                                    // 21, before all
    });
    let bonds = json!({ "bonda": { "nics": ["dummy_0"] }, "bond1": { "nics": ["dummy_2"], "options": "mode=9" } });
    let modes = "bonding option mode cannot be '9'; allowed: balance-rr (0), active-backup (1), balance-xor (2), broadcast (3), 802.3ad (4), balance-tlb (5), balance-alb (6)";
    let expected = [
        value(of_net("i"), "mtu", "1", "it must be a number of bytes from 68 to 65535", BadParams, Canonical),
        Problem::Missing { of: of_net("h"), key: "nic or bonding", because: "and a vlan device requires a southbound device", code: BadVlan, stage: Link },
        Problem::BondName { name: "bonda".to_owned() },
        Problem::Missing { of: of_net("e"), key: "netmask", because: "and so is prefix; an ipaddr needs one of them", code: BadAddr, stage: Ip },
        shared("dummy_0", &["f", "g"], OWN_TAG),
        value(of_net("b"), "vlan", "4095", "a VLAN tag is a number from 0 to 4094", BadVlan, Switch),
        Problem::BondOption { bond: dev("bond1"), problem: modes.to_owned() },
        Problem::UnknownBond { network: net("d"), bond: dev("bond7") },
        used("dummy_1", &["port of virbr0, which is not ours", "the request"]),
        unknown_nic(of_net("c"), "dummy_9"),
        Problem::NoSuchNetwork { network: net("gone") },
        Problem::BridgeInUse { network: net("old"), ports: vec![dev("vnet0")] },
        Problem::NotSupported { of: of_net("f"), key: "bootproto".to_owned(), value: "dhcp".to_owned(), configurator: "iproute2".to_owned() },
    ];
    refuses(&world, networks, bonds, &expected);
    assert!(expected.is_sorted_by_key(Problem::stage));
}

#[test]
fn the_order_of_a_request_decides_nothing() {
    let problems = |names: [&str; 2]| {
        let networks: serde_json::Map<String, Value> = names.iter().map(|n| ((*n).to_owned(), json!({ "nic": "dummy_0" }))).collect();
        World::new().problems(Value::Object(networks), json!({}))
    };
    assert_eq!(problems(["a", "b"]), problems(["b", "a"]));
}

#[test]
fn a_refused_request_leaves_host_and_configuration_alone() {
    let mut world = World::with(on_nic(json!({})), json!({}));
    let (text, running) = (world.text(), world.running.clone());
    let error = world.setup(json!({ "n": { "remove": true }, "m": { "nic": "dummy_9" } }), json!({})).map(|_| ()).unwrap_err();
    assert_eq!(error.code(), BadNic);
    assert_eq!(error.to_string(), "network 'm': unknown nic 'dummy_9': the host has none of that name, or hides it");
    assert_eq!((world.text(), world.running), (text, running));
}

#[test]
fn an_empty_host_refuses_what_needs_nics() {
    let seen = NetInfo::default();
    let world = World::new();
    assert_eq!(world.judge(&request(on_nic(json!({})), json!({})), &seen), [unknown_nic(of_net("n"), "dummy_0")]);
    assert_eq!(world.judge(&request(json!({ "n": {} }), json!({})), &seen), []);
}

// ---- The sentences, each kind once.

#[test]
fn each_problem_has_its_sentence_and_code() {
    let n = || net("n");
    let dev = |name: &str| -> DeviceName { dev(name) };
    let text = |t: &str| t.to_owned();
    let cases: Vec<(Problem, Code, Stage, &str)> = vec![
        (value(of_net("n"), "mtu", "67", "it must be a number", BadParams, Canonical), BadParams, Canonical, "network 'n': mtu is 67, but it must be a number"),
        (unknown(of_bond("bond1"), "option", Some("options")), BadParams, Canonical, "bond 'bond1': the key 'option' is unknown; the nearest known key is 'options'"),
        (unknown(Subject::Options, "x", None), BadParams, Canonical, "options: the key 'x' is unknown"),
        (
            Problem::Missing { of: of_net("n"), key: "ipaddr", because: "but gateway is given", code: BadAddr, stage: Ip },
            BadAddr,
            Ip,
            "network 'n': ipaddr is missing, but gateway is given",
        ),
        (
            Problem::Both { of: Subject::Request, keys: ("nic", "bonding"), code: BadParams, stage: Link },
            BadParams,
            Link,
            "request: nic and bonding are both given, but they exclude each other",
        ),
        (
            Problem::ManyDefaultRoutes { networks: vec![net("a"), net("b"), net("c")] },
            BadParams,
            Canonical,
            "defaultRoute is true on 'a', 'b' and 'c', but only a single default route network is allowed",
        ),
        (Problem::NetworkName { name: text("a.b"), error: NameError::Character { bad: '.' } }, BadBridge, Apply, "network 'a.b': this is no name for it: it contains '.'"),
        (Problem::BondName { name: text("bonda") }, BadBonding, Link, "bond 'bonda': this is no name for a bond, which is 'bond' and a number"),
        (
            Problem::RemovalWithAttributes { of: of_net("n"), keys: vec![text("nic")] },
            BadParams,
            Switch,
            "network 'n': a removal takes no attribute but custom, and has 'nic'",
        ),
        (Problem::BondOption { bond: dev("bond1"), problem: text("no") }, BadBonding, Switch, "bond 'bond1': options: no"),
        (Problem::BridgeOption { network: n(), problem: text("no") }, BadParams, Canonical, "network 'n': custom.bridge_opts: no"),
        (unknown_nic(of_bond("bond1"), "eth7"), BadNic, Switch, "bond 'bond1': unknown nic 'eth7': the host has none of that name, or hides it"),
        (used("eth0", &["slave of bond1", "network n"]), UsedNic, Switch, "nic 'eth0' has several uses: 'slave of bond1' and 'network n'"),
        (
            Problem::UnknownBond { network: n(), bond: dev("bond7") },
            BadBonding,
            Switch,
            "network 'n': bonding is 'bond7', but no such bond is there or in the request",
        ),
        (Problem::NoSuchBond { bond: dev("bond7") }, BadBonding, Switch, "bond 'bond7': it cannot be removed, for it does not exist"),
        (Problem::UsedBond { bond: dev("bond7"), networks: vec![n()] }, UsedBond, Switch, "bond 'bond7': it cannot be removed, for 'n' stand on it"),
        (Problem::BondInUse { bond: dev("bond7"), users: vec![dev("v5")] }, UsedBond, Switch, "bond 'bond7': it cannot be removed, for 'v5', not ours, would lose it"),
        (Problem::NoSuchNetwork { network: n() }, BadBridge, Apply, "network 'n': it cannot be removed, for it does not exist"),
        (shared("eth0", &["a", "b"], "no"), BadParams, Sharing, "networks 'a' and 'b' share the interface 'eth0', but no"),
        (Problem::NoDevices { network: n() }, BadParams, Sharing, "network 'n': it is not bridged and has neither nic nor bonding"),
        (
            Problem::VlanName { network: n(), base: dev("enp0s20f0u1u2"), tag: 100, error: NameError::TooLong { length: 17 } },
            BadVlan,
            Switch,
            "network 'n': the VLAN device would be called 'enp0s20f0u1u2.100', which is no name: it is 17 bytes long",
        ),
        (
            Problem::NameTaken { network: n(), device: dev("n"), kind: text("nic"), code: BadBridge },
            BadBridge,
            Apply,
            "network 'n': it needs a device called 'n', but that is a nic",
        ),
        (
            Problem::BridgeInUse { network: n(), ports: vec![dev("vnet0"), dev("vnet1")] },
            UsedBridge,
            Apply,
            "network 'n': its bridge would go, but has 'vnet0' and 'vnet1' connected",
        ),
        (
            Problem::NotSupported { of: of_net("n"), key: text("bootproto"), value: text("dhcp"), configurator: text("iproute2") },
            BadParams,
            Stage::Support,
            "network 'n': bootproto is dhcp, which is not supported by this configurator (iproute2) yet",
        ),
    ];
    for (problem, code, stage, sentence) in cases {
        assert_eq!((problem.code(), problem.stage()), (code, stage), "{problem:?}");
        assert_eq!(problem.to_string(), sentence);
    }
}

#[test]
fn the_codes_are_the_originals() {
    let codes = [LostConnection, Unexpected, BadParams, BadAddr, BadNic, UsedNic, BadBonding, BadVlan, BadBridge, UsedBridge, FailedIfup, UsedBond, Unavailable];
    assert_eq!(codes.map(|code| code as i64), [10, 16, 21, 22, 23, 24, 25, 26, 27, 28, 29, 31, 40]);
}
