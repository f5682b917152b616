//! What the engine writes and what the disk holds, read: which spellings there are, and what each
//! means. What is refused is in `refusals.rs`.

mod disk;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Map, Value, json};
use vdsm_model::config::{Base, NetConfig, NetworkConfig, Switch};
use vdsm_model::graph::Desired;
use vdsm_model::plan::Plan;
use vdsm_model::request::{BondRequest, Options, Request, Stored, UnknownKeys};
use vdsm_model::units::{Mtu, Prefixed, VlanTag};

use crate::common::policy;
use crate::common::random::{Kinds, Random, config};
use crate::world::{NICS, World, dev, net, request};

/// A network `n` with these attributes; it must be right.
#[track_caller]
fn read(attributes: Value) -> NetworkConfig {
    let asked = attributes.to_string();
    let mut request = request(json!({ "n": attributes }), json!({}));
    assert_eq!(request.problems, [], "{asked}");
    request.networks.remove(&net("n")).flatten().unwrap_or_else(|| panic!("{asked} is a removal"))
}

#[track_caller]
fn read_bond(attributes: Value) -> BondRequest {
    let mut request = request(json!({}), json!({ "bond1": attributes }));
    assert_eq!(request.problems, []);
    request.bonds.remove(&dev("bond1")).flatten().unwrap()
}

fn read_options(options: Value) -> Options {
    let request = Request::read(&Value::Null, &Value::Null, &options, UnknownKeys::Refuse);
    assert_eq!(request.problems, [], "{options}");
    request.options
}

fn is_read(attributes: Value) -> bool {
    request(json!({ "n": attributes }), json!({})).problems.is_empty()
}

// ---- Spellings.

#[test]
fn a_boolean_is_read_as_the_original_did_where_that_made_sense() {
    // vdsm-facts 1.1.4: the original's table ...
    for (spelling, truth) in [
        (json!(true), true),
        (json!(false), false),
        (json!("true"), true),
        (json!("True"), true),
        (json!("TRUE"), true),
        (json!("false"), false),
        (json!("False"), false),
        (json!("1"), true),
        (json!("2"), true),
        (json!("-1"), true),
        (json!("0"), false),
        (json!(" true "), true),
        // ... and where we differ: there a number was never true.
        (json!(1), true),
        (json!(2), true),
        (json!(0), false),
    ] {
        assert_eq!(read(json!({ "bridged": spelling })).bridged, truth, "{spelling}");
        assert_eq!(read(json!({ "defaultRoute": spelling })).default_route, truth, "{spelling}");
        assert_eq!(read(json!({ "ipv6autoconf": spelling })).ipv6_autoconf, truth, "{spelling}");
        assert_eq!(read(json!({ "dhcpv6": spelling })).dhcpv6, truth, "{spelling}");
        assert_eq!(read(json!({ "blockingdhcp": spelling })).blocking_dhcp, truth, "{spelling}");
        assert_eq!(read_options(json!({ "connectivityCheck": spelling })).connectivity_check, truth, "{spelling}");
    }
    // There these were false without a word.
    for spelling in [json!("yes"), json!("on"), json!("foo"), json!([]), json!({}), json!(1.5)] {
        assert!(!is_read(json!({ "bridged": spelling })), "{spelling}");
    }
}

#[test]
fn nothing_is_said_by_null_and_by_the_empty_text() {
    let plain = read(json!({}));
    assert_eq!(plain, NetworkConfig::new());
    for key in [
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
    ] {
        for nothing in [Value::Null, json!("")] {
            assert_eq!(read(json!({ key: nothing })), plain, "{key}: {nothing}");
        }
    }
    // The engine once stored these (vdsm-facts 9.23).
    let stored = read(json!({ "nic": "em1", "bonding": "", "vlan": "" }));
    assert_eq!((stored.base, stored.vlan), (Some(Base::Nic(dev("em1"))), None));
    // One spelling of nothing does not hide the other spelling's something.
    assert!(read(json!({ "stp": null, "STP": "yes" })).stp);
    let bond = read_bond(json!({ "nics": ["em1"], "options": null, "hwaddr": "", "switch": null, "remove": "" }));
    assert_eq!(bond, read_bond(json!({ "nics": ["em1"] })));
    assert_eq!(
        read_options(
            json!({ "connectivityCheck": null, "connectivityTimeout": "", "commitOnSuccess": null, "reason": "" })
        ),
        Options::default()
    );
}

#[test]
fn a_network_that_says_nothing_has_the_originals_defaults() {
    let net = read(json!({}));
    assert_eq!(
        (net.base, net.vlan, net.bridged, net.mtu, net.stp, net.switch),
        (None, None, true, Mtu::DEFAULT, false, Switch::Legacy)
    );
    assert!(!net.default_route && !net.dhcpv4 && !net.dhcpv6 && !net.ipv6_autoconf && net.nameservers.is_none());
    assert_eq!(
        read_options(json!({})),
        Options {
            connectivity_check: true,
            connectivity_timeout: Duration::from_secs(4),
            commit_on_success: false,
            ..Options::default()
        }
    );
}

#[test]
fn a_number_may_be_a_text() {
    for (given, tag) in [(json!(100), 100), (json!("100"), 100), (json!(" 0"), 0), (json!("0100"), 100)] {
        assert_eq!(read(json!({ "nic": "em1", "vlan": given })).vlan, VlanTag::new(tag), "{given}");
    }
    for given in [json!(9000), json!("9000")] {
        assert_eq!(read(json!({ "mtu": given })).mtu.get(), 9000);
    }
    let ip = Prefixed { addr: Ipv4Addr::new(192, 0, 2, 10), prefix: 24 };
    for mask in [
        json!({ "prefix": 24 }),
        json!({ "prefix": "24" }),
        json!({ "netmask": "255.255.255.0" }),
        json!({ "prefix": "24", "netmask": "" }),
    ] {
        let mut attributes = json!({ "ipaddr": "192.0.2.10" });
        attributes.as_object_mut().unwrap().extend(mask.as_object().unwrap().clone());
        assert_eq!(read(attributes).ipv4, Some(ip), "{mask}");
    }
    // The original dropped it without a word.
    assert_eq!(read(json!({ "ipaddr": "192.0.2.10", "prefix": 0 })).ipv4.unwrap().prefix, 0);
    for (given, millis) in
        [(json!(120), 120_000), (json!("120"), 120_000), (json!(0.1), 100), (json!("0.1"), 100), (json!(0), 0)]
    {
        assert_eq!(
            read_options(json!({ "connectivityTimeout": given })).connectivity_timeout,
            Duration::from_millis(millis),
            "{given}"
        );
    }
}

#[test]
fn stp_has_spellings_of_its_own() {
    for (spelling, stp) in [
        (json!(true), true),
        (json!("true"), true),
        (json!("True"), true),
        (json!("on"), true),
        (json!("ON"), true),
        (json!("yes"), true),
        (json!("Yes"), true),
        (json!("1"), true),
        (json!(1), true),
        (json!(false), false),
        (json!("false"), false),
        (json!("off"), false),
        (json!("no"), false),
        (json!("NO"), false),
        (json!("0"), false),
        (json!(0), false),
        (json!(null), false),
    ] {
        for key in ["stp", "STP"] {
            assert_eq!(read(json!({ key: spelling })).stp, stp, "{key}: {spelling}");
            assert!(!read(json!({ key: spelling, "bridged": false })).stp, "there is no bridge to run it");
        }
    }
}

#[test]
fn only_a_true_remove_is_a_removal() {
    for (remove, is_removal) in [
        (json!(true), true),
        (json!("true"), true),
        (json!("True"), true),
        (json!(1), true),
        (json!(false), false),
        (json!("false"), false),
        (json!("0"), false),
        (json!(null), false),
    ] {
        let request = request(
            json!({ "n": { "remove": remove } }),
            json!({ "bond1": if is_removal { json!({ "remove": remove }) } else { json!({ "remove": remove, "nics": ["em1"] }) } }),
        );
        assert_eq!(request.problems, [], "{remove}");
        assert_eq!(request.networks[&net("n")].is_none(), is_removal, "{remove}");
        assert_eq!(request.bonds[&dev("bond1")].is_none(), is_removal, "{remove}");
    }
}

#[test]
fn custom_properties_may_overrule_attributes() {
    assert!(read(json!({ "custom": { "default_route": "true" } })).default_route);
    assert!(!read(json!({ "defaultRoute": true, "custom": { "default_route": "false" } })).default_route);
    assert_eq!(read(json!({ "switch": "legacy", "custom": { "ovs": "1" } })).switch, Switch::Ovs);
    assert_eq!(read(json!({ "switch": "ovs", "custom": { "ovs": "0" } })).switch, Switch::Ovs);
    let options = read(
        json!({ "custom": { "bridge_opts": "multicast_snooping=0  ageing_time=0x10", "free": "as given", "nothing": null } }),
    );
    let custom = BTreeMap::from(
        [("bridge_opts", "ageing_time=16 multicast_snooping=0"), ("free", "as given")]
            .map(|(k, v)| (k.to_owned(), v.to_owned())),
    );
    assert_eq!(options.custom, custom, "sorted, so that one wish has one form");
    assert_eq!(options.bridge_options.get("ageing_time"), Some(16));
}

#[test]
fn a_gateway_of_zeros_is_none() {
    let net = read(
        json!({ "ipaddr": "192.0.2.10", "prefix": 24, "gateway": "0.0.0.0", "ipv6addr": "2001:db8::1", "ipv6gateway": "::" }),
    );
    assert_eq!((net.gateway, net.ipv6_gateway), (None, None));
    assert_eq!(
        net.ipv6,
        Some(Prefixed { addr: Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1), prefix: 64 }),
        "a prefix length left out is 64"
    );
    // Without an address it says nothing either: the engine sends it as a matter of course.
    assert_eq!(read(json!({ "ipv6gateway": "::" })).ipv6_gateway, None);
}

#[test]
fn slaves_have_no_order_and_options_keep_their_text() {
    let bond = read_bond(json!({ "nics": ["p2", "p10", "p1"], "options": " miimon=100 mode=4 custom=a:b,c:d " }));
    assert_eq!(bond, read_bond(json!({ "nics": ["p1", "p2", "p10"], "options": "miimon=100 mode=4 custom=a:b,c:d" })));
    let (text, options) = bond.options.unwrap();
    assert_eq!(
        (text.as_str(), options.canonical().as_str(), options.custom()),
        ("miimon=100 mode=4 custom=a:b,c:d", "mode=4 custom=a:b,c:d", Some("a:b,c:d"))
    );
    assert_eq!(
        read_bond(json!({ "nics": ["p1"], "hwaddr": "52-54-00-AB-CD-01" })).hwaddr.unwrap().to_string(),
        "52:54:00:ab:cd:01"
    );
}

// ---- What the engine of today sends (vdsm-facts 10.6, 15).

#[test]
fn what_todays_engine_sends_works() {
    let networks = json!({
        "ovirtmgmt": {
            "nic": "dummy_0", "bridged": "true", "STP": "no", "mtu": 1500, "switch": "legacy", "defaultRoute": true,
            "ipaddr": "192.0.2.10", "prefix": "24", "gateway": "192.0.2.1",
            "ipv6addr": "2001:db8::10/64", "ipv6gateway": "2001:db8::1", "dhcpv6": false, "ipv6autoconf": false,
            "custom": { "bridge_opts": "ageing_time=0" },
        },
        "vm10": { "bonding": "bond1", "vlan": "10", "bridged": "true", "STP": "yes", "mtu": 1400, "switch": "legacy" },
        "storage": {
            "bonding": "bond1", "vlan": "20", "bridged": "false", "mtu": 9000, "switch": "legacy",
            "ipaddr": "198.51.100.5", "netmask": "255.255.255.0", "ipv6addr": "2001:db8:1::5/64", "ipv6gateway": "::", "dhcpv6": false, "ipv6autoconf": false,
        },
    });
    let bonds =
        json!({ "bond1": { "nics": ["dummy_2", "dummy_1"], "options": "mode=4 miimon=100", "switch": "legacy" } });
    let options =
        json!({ "connectivityCheck": "true", "connectivityTimeout": 120, "commitOnSuccess": true, "reason": "ä" });
    let request = Request::read(&networks, &bonds, &options, UnknownKeys::Refuse);
    assert_eq!((request.problems.as_slice(), request.warnings.len()), ([].as_slice(), 0));
    assert_eq!(
        request.options,
        Options {
            connectivity_check: true,
            connectivity_timeout: Duration::from_secs(120),
            commit_on_success: true,
            reason: Some("ä".to_owned()),
            ..Options::default()
        }
    );

    let mut world = World::new();
    world.set(networks, bonds);
    assert_eq!(world.addresses("ovirtmgmt"), ["192.0.2.10/24", "2001:db8::10/64"]);
    assert_eq!(world.routes("ovirtmgmt"), ["default via 192.0.2.1", "default via 2001:db8::1"]);
    assert_eq!(world.addresses("bond1.20"), ["198.51.100.5/24", "2001:db8:1::5/64"]);
    assert_eq!(world.routes("bond1.20"), [""; 0]);
    assert_eq!(world.mtus(["vm10", "bond1.10", "bond1.20", "bond1", "dummy_1"]), [1400, 1400, 9000, 9000, 9000]);

    world.set(
        json!({ "vm10": { "remove": "true" }, "storage": { "remove": "true" } }),
        json!({ "bond1": { "remove": "true" } }),
    );
    assert!(!world.has("bond1") && !world.has("vm10") && world.has("ovirtmgmt"));
}

#[test]
fn the_shapes_of_older_engines_are_read() {
    let attach = json!({ "ovirtmgmt": { "nic": "em1", "bridged": "true", "mtu": 1500, "bootproto": "dhcp", "defaultRoute": true, "STP": "no" } });
    let request = Request::read(&attach, &json!({}), &json!({ "connectivityCheck": "false" }), UnknownKeys::Refuse);
    assert_eq!(request.problems, []);
    assert!(request.networks[&net("ovirtmgmt")].as_ref().is_some_and(|n| n.dhcpv4 && n.default_route));
    assert!(!request.options.connectivity_check);
}
