//! Who shares what, options, what is not built yet, and keys nobody knows.

use super::*;

// ---- Who shares what.

#[test]
fn one_default_route_is_asked_for_at_a_time() {
    let world = World::with(json!({ "old": { "nic": "dummy_3", "defaultRoute": true } }), json!({}));
    let two =
        json!({ "b": { "nic": "dummy_0", "defaultRoute": true }, "a": { "nic": "dummy_1", "defaultRoute": true } });
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
    accepts(
        &world,
        json!({ "a": { "bonding": "bond1", "vlan": 6 }, "b": { "bonding": "bond1", "vlan": 5 } }),
        json!({}),
    );
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
        (
            "mode=9",
            "bonding option mode cannot be '9'; allowed: balance-rr (0), active-backup (1), balance-xor (2), broadcast (3), 802.3ad (4), balance-tlb (5), balance-alb (6)",
        ),
        ("miimon=100 fast", "Error parsing bonding options: 'fast' is not of the form name=value"),
        ("mode=4 speed=1", "'speed' is not a valid bonding option"),
        ("mode=4 lacp_rat=1", "'lacp_rat' is not a valid bonding option; did you mean 'lacp_rate'?"),
        ("mode=1 lacp_rate=1", "'lacp_rate' is not a valid bonding option in mode active-backup (1)"),
        ("lacp_rate=1 mode=balance-xor", "'lacp_rate' is not a valid bonding option in mode balance-xor (2)"),
        ("mode=4 lacp_rate=5", "bonding option lacp_rate cannot be '5'; allowed: slow (0), fast (1)"),
        ("mode=4 arp_interval=100", "'arp_interval' is not a valid bonding option in mode 802.3ad (4)"),
        ("mode=0 primary=dummy_0", "'primary' is not a valid bonding option in mode balance-rr (0)"),
        ("mode=1 updelay=100", "bonding option updelay=100 needs MII monitoring: miimon is 0"),
        (
            "mode=1 miimon=100 arp_interval=100",
            "bonding options miimon=100 and arp_interval=100 exclude each other: a bond is monitored either by MII or by ARP",
        ),
    ] {
        let problem = Problem::BondOption { bond: dev("bond1"), problem: sentence.to_owned() };
        assert_eq!(problem.code(), BadBonding);
        rejects(json!({}), json!({ "bond1": { "nics": ["dummy_0"], "options": options } }), &[problem]);
    }
    for options in
        ["mode=4 lacp_rate=fast", "miimon=100 mode=802.3ad custom=a:b,c:d", "mode=6 primary=dummy_0", "", "  "]
    {
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
    let refused = |of, key: &str, value: &str| Problem::NotSupported {
        of,
        key: key.to_owned(),
        value: value.to_owned(),
        configurator: "iproute2".to_owned(),
    };
    for (attributes, key, given) in [
        (json!({ "switch": "ovs" }), "switch", "ovs"),
        (json!({ "custom": { "ovs": "true" } }), "switch", "ovs"),
        (json!({ "qosInbound": { "average": 1 } }), "qosInbound", r#"{"average":1}"#),
        (json!({ "qosOutbound": { "peak": 1 } }), "qosOutbound", r#"{"peak":1}"#),
    ] {
        let problem = refused(of_net("n"), key, given);
        assert_eq!((problem.code(), problem.stage()), (BadParams, Stage::Support));
        rejects_network(attributes, &[problem]);
    }
    rejects(
        json!({}),
        json!({ "bond1": { "nics": ["dummy_0"], "switch": "ovs" } }),
        &[refused(of_bond("bond1"), "switch", "ovs")],
    );
    rejects(
        on_nic(json!({ "qosInbound": { "average": 1 }, "switch": "ovs" })),
        json!({}),
        &[refused(of_net("n"), "switch", "ovs"), refused(of_net("n"), "qosInbound", r#"{"average":1}"#)],
    );
    // Nothing is asked for here.
    for attributes in [
        json!({ "dhcpv6": false, "hostQos": {} }),
        json!({ "bootproto": "none", "qosInbound": "", "custom": { "fcoe": "yes" } }),
    ] {
        accepts(&World::new(), on_nic(attributes), json!({}));
    }
}

#[test]
fn an_unbuilt_key_of_an_untouched_network_is_in_nobodys_way() {
    let mut world = World::with(on_nic(json!({})), json!({}));
    let names: Vec<_> = world.running.networks.keys().cloned().collect();
    names.iter().for_each(|name| world.running.networks.change(name, |net| net.dhcpv4 = true));
    accepts(&world, json!({ "m": { "nic": "dummy_1" } }), json!({}));
}

// ---- Keys.

#[test]
fn an_unknown_key_is_told_with_the_nearest_one() {
    for (key, nearest) in [
        ("brigded", Some("bridged")),
        ("Mtu", Some("mtu")),
        ("ip_addr", Some("ipaddr")),
        ("IPADDR", Some("ipaddr")),
        ("xyzzy", None),
    ] {
        rejects_network(json!({ key: "x" }), &[unknown(of_net("n"), key, nearest)]);
    }
    rejects(
        json!({}),
        json!({ "bond1": { "nics": ["dummy_0"], "option": "mode=1" } }),
        &[unknown(of_bond("bond1"), "option", Some("options"))],
    );
    let options = json!({ "connectivityTimeOut": 5, "connectivityCheck": false });
    let request = Request::read(&json!({}), &json!({}), &options, UnknownKeys::Refuse);
    assert_eq!(request.problems, [unknown(Subject::Options, "connectivityTimeOut", Some("connectivityTimeout"))]);
}

#[test]
fn an_unknown_key_is_a_warning_where_vdsm_conf_says_so() {
    let networks = json!({ "n": { "nic": "dummy_0", "brigded": false }, "m": { "nic": "dummy_1", "xyzzy": 1 } });
    let request = Request::read(&networks, &json!({}), &json!({ "connectivityCheck": false }), UnknownKeys::Warn);
    let wished = Desired::build(&NetConfig::default(), &request, &World::new().sim.look(), &policy()).unwrap();
    assert_eq!(
        wished.warnings,
        [
            "network 'n': the key 'brigded' is unknown; the nearest known key is 'bridged'",
            "network 'm': the key 'xyzzy' is unknown"
        ]
    );
}

#[test]
fn what_the_original_took_and_ignored_is_taken_and_ignored() {
    let ignored = [
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
    let attributes: BTreeMap<_, _> = ignored.map(|key| (key, "whatever")).into();
    accepts(&World::new(), on_nic(json!(attributes)), json!({}));
}
