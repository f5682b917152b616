//! All problems of a request at once, and the sentence of each kind.

use super::*;

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
        "f": { "nic": "dummy_0", "switch": "ovs", "vlan": 5 },                  // 21, at the end
        "g": { "nic": "dummy_0", "vlan": 5 },                                   // 21, shares with f
        "h": { "vlan": 5 },                                                     // 26, before addresses
        "i": { "nic": "dummy_0", "mtu": 1 },                                    // 21, before all
    });
    let bonds = json!({ "bonda": { "nics": ["dummy_0"] }, "bond1": { "nics": ["dummy_2"], "options": "mode=9" } });
    let modes = "bonding option mode cannot be '9'; allowed: balance-rr (0), active-backup (1), balance-xor (2), broadcast (3), 802.3ad (4), balance-tlb (5), balance-alb (6)";
    let expected = [
        value(of_net("i"), "mtu", "1", "it must be a number of bytes from 68 to 65535", BadParams, Canonical),
        Problem::Missing {
            of: of_net("h"),
            key: "nic or bonding",
            because: "and a vlan device requires a southbound device",
            code: BadVlan,
            stage: Link,
        },
        Problem::BondName { name: "bonda".to_owned() },
        Problem::Missing {
            of: of_net("e"),
            key: "netmask",
            because: "and so is prefix; an ipaddr needs one of them",
            code: BadAddr,
            stage: Ip,
        },
        shared("dummy_0", &["f", "g"], OWN_TAG),
        value(of_net("b"), "vlan", "4095", "a VLAN tag is a number from 0 to 4094", BadVlan, Switch),
        Problem::BondOption { bond: dev("bond1"), problem: modes.to_owned() },
        Problem::UnknownBond { network: net("d"), bond: dev("bond7") },
        unknown_nic(of_net("c"), "dummy_9"),
        unknown_nic(of_net("b"), "dummy_9"),
        used("dummy_1", &["port of virbr0, which is not ours", "the request"]),
        Problem::NoSuchNetwork { network: net("gone") },
        Problem::BridgeInUse { network: net("old"), ports: vec![dev("vnet0")] },
        Problem::NotSupported {
            of: of_net("f"),
            key: "switch".to_owned(),
            value: "ovs".to_owned(),
            configurator: "iproute2".to_owned(),
        },
    ];
    refuses(&world, networks, bonds, &expected);
    assert!(expected.is_sorted_by_key(Problem::stage));
}

#[test]
fn the_order_of_a_request_decides_nothing() {
    let problems = |names: [&str; 2]| {
        let networks: serde_json::Map<String, Value> =
            names.iter().map(|n| ((*n).to_owned(), json!({ "nic": "dummy_0" }))).collect();
        World::new().problems(Value::Object(networks), json!({}))
    };
    assert_eq!(problems(["a", "b"]), problems(["b", "a"]));
}

#[test]
fn a_refused_request_leaves_host_and_configuration_alone() {
    let mut world = World::with(on_nic(json!({})), json!({}));
    let (text, running) = (world.text(), world.running.clone());
    let error =
        world.setup(json!({ "n": { "remove": true }, "m": { "nic": "dummy_9" } }), json!({})).map(|_| ()).unwrap_err();
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
        (
            value(of_net("n"), "mtu", "67", "it must be a number", BadParams, Canonical),
            BadParams,
            Canonical,
            "network 'n': mtu is 67, but it must be a number",
        ),
        (
            unknown(of_bond("bond1"), "option", Some("options")),
            BadParams,
            Canonical,
            "bond 'bond1': the key 'option' is unknown; the nearest known key is 'options'",
        ),
        (unknown(Subject::Options, "x", None), BadParams, Canonical, "options: the key 'x' is unknown"),
        (
            Problem::Missing {
                of: of_net("n"),
                key: "ipaddr",
                because: "but gateway is given",
                code: BadAddr,
                stage: Ip,
            },
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
        (
            Problem::NetworkName { name: text("a.b"), error: NameError::Character { bad: '.' } },
            BadBridge,
            Apply,
            "network 'a.b': this is no name for it: it contains '.'",
        ),
        (
            Problem::BondName { name: text("bonda") },
            BadBonding,
            Link,
            "bond 'bonda': this is no name for a bond, which is 'bond' and a number",
        ),
        (
            Problem::RemovalWithAttributes { of: of_net("n"), keys: vec![text("nic")] },
            BadParams,
            Switch,
            "network 'n': a removal takes no attribute but custom, and has 'nic'",
        ),
        (
            Problem::BondOption { bond: dev("bond1"), problem: text("no") },
            BadBonding,
            Switch,
            "bond 'bond1': options: no",
        ),
        (
            Problem::BridgeOption { network: n(), problem: text("no") },
            BadParams,
            Canonical,
            "network 'n': custom.bridge_opts: no",
        ),
        (
            unknown_nic(of_bond("bond1"), "eth7"),
            BadNic,
            Switch,
            "bond 'bond1': unknown nic 'eth7': the host has none of that name, or hides it",
        ),
        (
            used("eth0", &["slave of bond1", "network n"]),
            UsedNic,
            Switch,
            "nic 'eth0' has several uses: 'slave of bond1' and 'network n'",
        ),
        (
            Problem::UnknownBond { network: n(), bond: dev("bond7") },
            BadBonding,
            Switch,
            "network 'n': bonding is 'bond7', but no such bond is there or in the request",
        ),
        (
            Problem::NoSuchBond { bond: dev("bond7") },
            BadBonding,
            Switch,
            "bond 'bond7': it cannot be removed, for it does not exist",
        ),
        (
            Problem::UsedBond { bond: dev("bond7"), networks: vec![n()] },
            UsedBond,
            Switch,
            "bond 'bond7': it cannot be removed, for 'n' stand on it",
        ),
        (
            Problem::BondInUse { bond: dev("bond7"), users: vec![dev("v5")] },
            UsedBond,
            Switch,
            "bond 'bond7': it cannot be removed, for 'v5', not ours, would lose it",
        ),
        (
            Problem::NoSuchNetwork { network: n() },
            BadBridge,
            Apply,
            "network 'n': it cannot be removed, for it does not exist",
        ),
        (
            shared("eth0", &["a", "b"], "no"),
            BadParams,
            Sharing,
            "networks 'a' and 'b' share the interface 'eth0', but no",
        ),
        (
            Problem::NoDevices { network: n() },
            BadParams,
            Sharing,
            "network 'n': it is not bridged and has neither nic nor bonding",
        ),
        (
            Problem::VlanName {
                network: n(),
                base: dev("enp0s20f0u1u2"),
                tag: 100,
                error: NameError::TooLong { length: 17 },
            },
            BadVlan,
            Switch,
            "network 'n': the VLAN device would be called 'enp0s20f0u1u2.100', which is no name: it is 17 bytes long",
        ),
        (
            Problem::BondNameTaken { bond: dev("bond1"), kind: text("bridge") },
            BadBonding,
            Switch,
            "bond 'bond1': a device of that name exists (bridge)",
        ),
        (
            Problem::NameTaken { network: n(), device: dev("n"), kind: text("nic"), code: BadBridge },
            BadBridge,
            Apply,
            "network 'n': it needs a device called 'n', but that name is taken (nic)",
        ),
        (
            Problem::BridgeInUse { network: n(), ports: vec![dev("vnet0"), dev("vnet1")] },
            UsedBridge,
            Apply,
            "network 'n': its bridge would go, but has 'vnet0' and 'vnet1' connected",
        ),
        (
            Problem::NotSupported {
                of: of_net("n"),
                key: text("bootproto"),
                value: text("dhcp"),
                configurator: text("iproute2"),
            },
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
    let codes = [
        LostConnection,
        Unexpected,
        BadParams,
        BadAddr,
        BadNic,
        UsedNic,
        BadBonding,
        BadVlan,
        BadBridge,
        UsedBridge,
        FailedIfup,
        UsedBond,
        Unavailable,
    ];
    assert_eq!(codes.map(|code| code as i64), [10, 16, 21, 22, 23, 24, 25, 26, 27, 28, 29, 31, 40]);
}

/// A reader may ask for plans: what a request costs is bounded before anything is made of it.
#[test]
fn more_networks_than_a_host_can_have_are_refused_in_one_sentence() {
    let networks: serde_json::Map<String, Value> = (0..10_001).map(|n| (format!("n{n}"), json!({}))).collect();
    let rule = "there must be no more than 10000 entries";
    let expected = [value(Subject::Request, "networks", "10001", rule, BadParams, Canonical)];
    rejects(Value::Object(networks), json!({}), &expected);
}

#[test]
fn a_long_value_is_quoted_in_part() {
    let problem = Problem::BondName { name: "x".repeat(5000) };
    assert!(problem.to_string().len() < 400, "{problem}");
}
