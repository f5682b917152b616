//! Names, and what stands on what: nics, bonds, VLANs, bridges, and the host they meet.

use super::*;

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
    for (name, error) in [("../x", NameError::Character { bad: '/' }), ("..", NameError::Dots), ("", NameError::Empty)]
    {
        rejects(
            json!({ name: { "nic": "dummy_0", "bridged": false } }),
            json!({}),
            &[Problem::NetworkName { name: name.to_owned(), error }],
        );
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
    refuses(
        &world,
        long(100),
        json!({}),
        &[Problem::VlanName {
            network: net("n"),
            base: dev("enp0s20f0u1u2"),
            tag: 100,
            error: NameError::TooLong { length: 17 },
        }],
    );
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
    let taken = |network: &str, device: &str, kind: &str, code| Problem::NameTaken {
        network: net(network),
        device: dev(device),
        kind: kind.to_owned(),
        code,
    };
    refuses(
        &world,
        json!({ "dummy_1": { "nic": "dummy_0" } }),
        json!({}),
        &[taken("dummy_1", "dummy_1", "nic", BadBridge)],
    );
    refuses(
        &world,
        json!({ "dummy_0": { "nic": "dummy_0" } }),
        json!({}),
        &[taken("dummy_0", "dummy_0", "nic", BadBridge)],
    );
    accepts(&world, json!({ "dummy_0": { "nic": "dummy_0", "bridged": false } }), json!({}));

    world.add_bond("bond9", "mode=1", &["dummy_3"]);
    refuses(
        &world,
        json!({ "bond9": { "bonding": "bond9" } }),
        json!({}),
        &[taken("bond9", "bond9", "bond", BadBridge)],
    );

    world.add_vlan("dummy_0.5", "dummy_1", 6);
    refuses(
        &world,
        json!({ "n": { "nic": "dummy_0", "vlan": 5 } }),
        json!({}),
        &[taken("n", "dummy_0.5", "vlan with tag 6 on dummy_1", BadVlan)],
    );
    world.add_bridge("dummy_0.7", &[]);
    refuses(
        &world,
        json!({ "n": { "nic": "dummy_0", "vlan": 7 } }),
        json!({}),
        &[taken("n", "dummy_0.7", "bridge", BadVlan)],
    );

    world.add_bridge("bond5", &[]);
    let is = |kind: &str| Problem::BondOption {
        bond: dev("bond5"),
        problem: format!("a device of that name exists already ({kind})"),
    };
    refuses(&world, json!({}), json!({ "bond5": { "nics": ["dummy_2"] } }), &[is("bridge")]);
}

#[test]
fn a_bridge_and_a_bond_of_one_request_cannot_have_one_name() {
    let expected =
        [Problem::NameTaken { network: net("bond1"), device: dev("bond1"), kind: "bond".to_owned(), code: BadBridge }];
    rejects(json!({ "bond1": { "bonding": "bond1" } }), json!({ "bond1": { "nics": ["dummy_0"] } }), &expected);
    rejects(json!({ "bond1": {} }), json!({ "bond1": { "nics": ["dummy_0"] } }), &expected);
    rejects(json!({ "bond1": { "nic": "dummy_1" } }), json!({ "bond1": { "nics": ["dummy_0"] } }), &expected);
}

#[test]
fn a_bridge_does_not_stand_in_for_a_missing_nic_of_its_name() {
    rejects(json!({ "dummy_9": { "nic": "dummy_9" } }), json!({}), &[unknown_nic(of_net("dummy_9"), "dummy_9")]);
    rejects(
        json!({ "dummy_9": { "nic": "dummy_0" }, "z": { "nic": "dummy_9" } }),
        json!({}),
        &[unknown_nic(of_net("z"), "dummy_9")],
    );
    rejects(
        json!({ "dummy_9": { "nic": "dummy_0" } }),
        json!({ "bond1": { "nics": ["dummy_9"] } }),
        &[unknown_nic(of_bond("bond1"), "dummy_9")],
    );
}

// ---- What stands on what.

#[test]
fn a_network_stands_on_one_device() {
    let missing = Problem::Missing {
        of: of_net("n"),
        key: "nic or bonding",
        because: "and a vlan device requires a southbound device",
        code: BadVlan,
        stage: Link,
    };
    let both = Problem::Both { of: of_net("n"), keys: ("nic", "bonding"), code: BadParams, stage: Link };
    rejects(json!({ "n": { "vlan": 5 } }), json!({}), std::slice::from_ref(&missing));
    rejects(json!({ "n": { "vlan": 5, "bridged": false } }), json!({}), &[missing]);
    rejects(
        json!({ "n": { "nic": "dummy_0", "bonding": "bond1" } }),
        json!({ "bond1": { "nics": ["dummy_1"] } }),
        &[both],
    );
    rejects(json!({ "n": { "bridged": false } }), json!({}), &[Problem::NoDevices { network: net("n") }]);
    accepts(&World::new(), json!({ "n": {} }), json!({}));
}

#[test]
fn a_nic_that_is_not_there_or_hidden_is_refused_with_code_23() {
    rejects(json!({ "n": { "nic": "dummy_9" } }), json!({}), &[unknown_nic(of_net("n"), "dummy_9")]);
    rejects(
        json!({ "n": { "nic": "dummy_9", "vlan": 5, "bridged": false } }),
        json!({}),
        &[unknown_nic(of_net("n"), "dummy_9")],
    );
    rejects(
        json!({}),
        json!({ "bond1": { "nics": ["dummy_0", "dummy_9"] } }),
        &[unknown_nic(of_bond("bond1"), "dummy_9")],
    );

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
    assert_eq!(
        world.judge(&request(json!({}), json!({ "bond1": { "nics": ["dummy_0"] } })), &seen),
        [unknown_nic(of_bond("bond1"), "dummy_0")]
    );
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
    let (bond, network) =
        (json!({ "bond1": { "nics": ["dummy_0", "dummy_1"] } }), json!({ "n": { "nic": "dummy_0" } }));
    let problem = used("dummy_0", &["slave of bond1", "network n"]);
    assert_eq!(problem.code(), UsedNic);
    let problem = [problem];
    rejects(network.clone(), bond.clone(), &problem);
    refuses(&World::with(json!({}), bond.clone()), network.clone(), json!({}), &problem);
    refuses(&World::with(network, json!({})), json!({}), bond.clone(), &problem);

    // Nor is a VLAN's base a slave, and here the host says so as well.
    let tagged = World::with(json!({ "n": { "nic": "dummy_0", "vlan": 5 } }), json!({}));
    refuses(
        &tagged,
        json!({}),
        bond,
        &[problem[0].clone(), used("dummy_0", &["slave of bond1", "the vlan dummy_0.5 upon it"])],
    );
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
    for (nic, holder) in
        [("dummy_0", "port of virbr0, which is not ours"), ("dummy_1", "slave of bond9, which is not ours")]
    {
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
    refuses(
        &world,
        json!({ "n": { "nic": "dummy_0", "vlan": 5 } }),
        json!({}),
        &[used("dummy_0.5", &["slave of bond9, which is not ours", "the request"])],
    );
    world.add_bond("bond8", "mode=1", &["dummy_1"]);
    world.add_bridge("virbr0", &["bond8"]);
    refuses(
        &world,
        json!({ "n": { "bonding": "bond8" } }),
        json!({}),
        &[used("bond8", &["port of virbr0, which is not ours", "the request"])],
    );
}

#[test]
fn a_bond_must_be_there_to_carry_a_network_or_to_be_removed() {
    rejects(
        json!({ "n": { "bonding": "bond7" } }),
        json!({}),
        &[Problem::UnknownBond { network: net("n"), bond: dev("bond7") }],
    );
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
    let used_by = |networks: &[&str]| Problem::UsedBond {
        bond: dev("bond1"),
        networks: networks.iter().map(|n| net(n)).collect(),
    };
    refuses(&world, json!({}), gone(), &[used_by(&["a", "b"])]);
    refuses(&world, json!({ "a": { "remove": true } }), gone(), &[used_by(&["b"])]);
    refuses(
        &world,
        json!({ "a": { "bonding": "bond1", "vlan": 5, "mtu": 9000 }, "b": { "nic": "dummy_1" } }),
        gone(),
        &[used_by(&["a"])],
    );
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
    let missing = Problem::Missing {
        of: of_bond("bond1"),
        key: "nics",
        because: "and a bond needs at least one",
        code: BadParams,
        stage: Link,
    };
    for attributes in
        [json!({}), json!({ "nics": [] }), json!({ "nics": null }), json!({ "remove": false, "options": "mode=1" })]
    {
        rejects(json!({}), bond(attributes), std::slice::from_ref(&missing));
    }
    for (nics, given) in [(json!("dummy_0"), "\"dummy_0\""), (json!([1]), "[1]")] {
        rejects(
            json!({}),
            bond(json!({ "nics": nics })),
            &[value(of_bond("bond1"), "nics", given, "it must be a list of texts", BadParams, Canonical)],
        );
    }
    rejects(
        json!({}),
        bond(json!({ "nics": ["a b"] })),
        &[value(
            of_bond("bond1"),
            "nics",
            "\"a b\"",
            "it must be the name of a device: it contains ' '",
            BadNic,
            Switch,
        )],
    );
    for mac in ["x", "01:00:5e:00:00:01", "00:00:00:00:00:00", "02:00:00:00:00"] {
        rejects(
            json!({}),
            bond(json!({ "nics": ["dummy_0"], "hwaddr": mac })),
            &[value(
                of_bond("bond1"),
                "hwaddr",
                &format!("{mac:?}"),
                "it must be a unicast MAC address",
                BadBonding,
                Switch,
            )],
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
    refuses(
        &world,
        json!({ "virbr0": { "remove": true } }),
        json!({}),
        &[Problem::NoSuchNetwork { network: net("virbr0") }],
    );
}

#[test]
fn a_removal_takes_no_attribute_but_custom() {
    let world = World::with(on_nic(json!({})), json!({ "bond1": { "nics": ["dummy_1"] } }));
    let with =
        |of, keys: &[&str]| Problem::RemovalWithAttributes { of, keys: keys.iter().map(ToString::to_string).collect() };
    refuses(
        &world,
        json!({ "n": { "remove": true, "nic": "dummy_0", "mtu": 1500 } }),
        json!({}),
        &[with(of_net("n"), &["nic", "mtu"])],
    );
    refuses(
        &world,
        json!({}),
        json!({ "bond1": { "remove": "true", "nics": ["dummy_1"] } }),
        &[with(of_bond("bond1"), &["nics"])],
    );
    refuses(
        &world,
        json!({}),
        json!({ "bond1": { "remove": true, "custom": {} } }),
        &[unknown(of_bond("bond1"), "custom", None), with(of_bond("bond1"), &["custom"])],
    );
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

/// What stands in the graph by one name must not hide that another device by it is missing.
#[test]
fn a_nic_that_the_request_itself_would_make_is_no_nic() {
    let mut world = World::new();
    world.setup(json!({ "a": { "nic": "dummy_0" } }), json!({})).unwrap();
    refuses(&world, json!({ "b": { "nic": "a", "bridged": false } }), json!({}), &[unknown_nic(of_net("b"), "a")]);
    let both = json!({ "v": { "nic": "dummy_3", "vlan": 7 }, "w": { "nic": "dummy_3.7", "bridged": false } });
    refuses(&world, both, json!({}), &[unknown_nic(of_net("w"), "dummy_3.7")]);
}

#[test]
fn a_bond_prefers_one_of_its_own_slaves_and_has_one_master_of_its_address() {
    let wrong = |problem: &str| Problem::BondOption { bond: dev("bond1"), problem: problem.to_owned() };
    rejects(
        json!({}),
        json!({ "bond1": { "nics": ["dummy_0"], "options": "mode=1 primary=dummy_1" } }),
        &[wrong("primary is dummy_1, but that is none of its slaves")],
    );
    rejects(
        json!({}),
        json!({ "bond1": { "nics": ["dummy_0"], "options": "mode=1 fail_over_mac=1", "hwaddr": "02:00:00:00:00:77" } }),
        &[wrong("fail_over_mac and hwaddr exclude each other")],
    );
}

#[test]
fn names_that_the_kernel_keeps_are_no_bridges() {
    for name in ["all", "default"] {
        let problem = Problem::NetworkName { name: name.to_owned(), error: NameError::Reserved };
        rejects(json!({ name: { "nic": "dummy_0" } }), json!({}), &[problem]);
        accepts(&World::new(), json!({ name: { "nic": "dummy_0", "bridged": false } }), json!({}));
    }
}
