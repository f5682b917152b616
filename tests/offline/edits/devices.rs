//! Addresses from before, slaves, bridges that stay, the plan in words, and misfortune on the way.

use vdsm_configurators::fault::{Disturbed, Fuse};

use super::*;

// ---- Addresses from before.

fn foreign_bond() -> World {
    let mut world = World::new();
    world.add_bond("bond1", "mode=1", &["dummy_0", "dummy_1"]);
    world.add_address("bond1", "192.0.2.5/24");
    world
}

fn bridgeless(address: &str) -> Value {
    json!({ "n": { "bonding": "bond1", "bridged": false, "ipaddr": address, "prefix": 24 } })
}

/// vdsm-facts 3.18, the design document's "special previous behavior".
#[test]
fn a_bond_keeps_a_foreign_address_beside_its_bridgeless_networks() {
    for (ours, other) in [("192.0.2.10", "192.0.2.11"), ("198.51.100.10", "198.51.100.11")] {
        let mut world = foreign_bond();
        world.set(bridgeless(ours), json!({}));
        assert_eq!(
            world.addresses("bond1"),
            ["192.0.2.5/24".to_owned(), format!("{ours}/24")],
            "the network's is the secondary one"
        );
        world.set(bridgeless(other), json!({}));
        assert_eq!(
            world.addresses("bond1"),
            ["192.0.2.5/24".to_owned(), format!("{other}/24")],
            "its own is always replaced"
        );
        world.set(removal("n"), json!({}));
        assert_eq!(world.addresses("bond1"), NOTHING, "and with the network all goes");
    }
}

#[test]
fn a_bond_loses_its_foreign_address_where_vdsm_conf_says_so() {
    let mut world = foreign_bond();
    world.policy.bond_addresses = BondAddresses::Replace;
    world.set(bridgeless("192.0.2.10"), json!({}));
    assert_eq!(world.addresses("bond1"), ["192.0.2.10/24"]);
}

#[test]
fn a_bond_below_a_bridge_has_no_address_at_all() {
    let mut world = foreign_bond();
    world.set(json!({ "n": { "bonding": "bond1", "ipaddr": "192.0.2.10", "prefix": 24 } }), json!({}));
    assert_eq!((world.addresses("bond1"), world.addresses("n")), (vec![], vec!["192.0.2.10/24".to_owned()]));
}

#[test]
fn a_nic_loses_the_address_it_had() {
    for bridged in [true, false] {
        let mut world = World::new();
        world.add_address("dummy_0", "203.0.113.2/24");
        world.add_default_route("dummy_0", "203.0.113.1");
        world.set(
            json!({ "n": { "nic": "dummy_0", "bridged": bridged, "ipaddr": "192.0.2.10", "prefix": 24 } }),
            json!({}),
        );
        let (top, below) = if bridged { ("n", "dummy_0") } else { ("dummy_0", "n") };
        assert_eq!((world.addresses(top), world.routes(top)), (vec!["192.0.2.10/24".to_owned()], vec![]));
        assert!(!bridged || world.addresses(below).is_empty() && world.routes(below).is_empty());
    }
    let mut world = World::new();
    world.add_address("dummy_0", "203.0.113.2/24");
    world.set(json!({}), json!({ "bond1": { "nics": ["dummy_0"] } }));
    assert_eq!(world.addresses("dummy_0"), NOTHING);
}

#[test]
fn a_base_of_vlans_alone_keeps_the_address_it_had() {
    let mut world = foreign_bond();
    world.add_address("dummy_2", "203.0.113.2/24");
    world.add_default_route("dummy_2", "203.0.113.1");
    let kept = |world: &World| (world.addresses("dummy_2"), world.routes("dummy_2"), world.addresses("bond1"));
    let before = kept(&world);
    world.set(json!({ "n": { "nic": "dummy_2", "vlan": 5, "ipaddr": "10.0.0.1", "prefix": 24 }, "m": { "bonding": "bond1", "vlan": 5 } }), json!({}));
    assert_eq!(kept(&world), before);
    world.set(json!({ "n": { "remove": true }, "m": { "remove": true } }), json!({}));
    assert_eq!(kept(&world), before);
}

#[test]
fn a_nic_loses_its_networks_address_while_vlans_stay_on_it() {
    let mut world = World::with(
        json!({ "n": { "nic": "dummy_0", "bridged": false, "ipaddr": "192.0.2.10", "prefix": 24 }, "v": { "nic": "dummy_0", "vlan": 5, "ipaddr": "10.0.0.1", "prefix": 24 } }),
        json!({}),
    );
    world.set(removal("n"), json!({}));
    assert_eq!((world.addresses("dummy_0"), world.addresses("v")), (vec![], vec!["10.0.0.1/24".to_owned()]));
}

// ---- Bonds and their slaves.

#[test]
fn two_bonds_swap_slaves_in_one_request() {
    let bonds = |one: [&str; 2], two: [&str; 2]| json!({ "bond1": { "nics": one }, "bond2": { "nics": two } });
    let mut world = World::with(
        json!({ "a": { "bonding": "bond1", "mtu": 9000 }, "b": { "bonding": "bond2" } }),
        bonds(["dummy_0", "dummy_1"], ["dummy_2", "dummy_3"]),
    );
    let index = |world: &World| ["bond1", "bond2", "a", "b"].map(|name| world.link(name).index);
    let before = index(&world);
    let masters = |world: &World| NICS.map(|nic| world.master(nic).unwrap_or_default());
    let both = || json!({ "a": { "bonding": "bond1", "mtu": 9000 }, "b": { "bonding": "bond2" } });
    world.set(both(), bonds(["dummy_0", "dummy_2"], ["dummy_1", "dummy_3"]));
    assert_eq!(masters(&world), ["bond1", "bond2", "bond1", "bond2"]);
    assert_eq!(world.mtus(NICS), [9000, 1500, 9000, 1500]);
    world.set(both(), bonds(["dummy_1", "dummy_3"], ["dummy_0", "dummy_2"]));
    assert_eq!(masters(&world), ["bond2", "bond1", "bond2", "bond1"]);
    assert_eq!(world.mtus(NICS), [1500, 9000, 1500, 9000]);
    assert_eq!(
        (index(&world), world.master("bond1").as_deref(), world.master("bond2").as_deref()),
        (before, Some("a"), Some("b"))
    );
}

#[test]
fn a_bond_gives_its_network_to_one_of_its_slaves() {
    let mut world = World::with(
        json!({ "n": { "bonding": "bond1", "ipaddr": "192.0.2.10", "prefix": 24 } }),
        json!({ "bond1": { "nics": ["dummy_0", "dummy_1"] } }),
    );
    world.sim.plug_tap("vnet0", "n");
    let index = world.link("n").index;
    world.set(json!({ "n": { "nic": "dummy_0", "ipaddr": "192.0.2.10", "prefix": 24 } }), removal("bond1"));
    assert!(!world.has("bond1"));
    assert_eq!((world.link("n").index, world.addresses("n")), (index, vec!["192.0.2.10/24".to_owned()]));
    assert_eq!(
        ["dummy_0", "dummy_1", "vnet0"].map(|port| world.master(port)),
        [Some("n".to_owned()), None, Some("n".to_owned())]
    );
    // And back.
    world.set(json!({ "n": { "bonding": "bond1" } }), json!({ "bond1": { "nics": ["dummy_0", "dummy_1"] } }));
    assert_eq!((world.link("n").index, world.master("bond1")), (index, Some("n".to_owned())));
}

#[test]
fn more_slaves_come_and_go_without_the_bond_going_down() {
    let bond = |nics: Value| json!({ "bond1": { "nics": nics, "options": "mode=4" } });
    let mut world = World::with(json!({ "n": { "bonding": "bond1", "vlan": 5 } }), bond(json!(["dummy_0"])));
    for (nics, says) in [
        (
            json!(["dummy_0", "dummy_1"]),
            "change nic dummy_1: down, ipv6 off  [interrupts: the nic goes down]\nchange bond bond1: slaves join: dummy_1\n",
        ),
        (json!(["dummy_0"]), "change bond bond1: slaves leave: dummy_1\nchange nic dummy_1: mtu 1500, up\n"),
    ] {
        let done = world.set(json!({}), bond(nics));
        assert_eq!(done.plan.to_string(), says);
    }
}

// ---- The bridge stays.

#[test]
fn no_edit_of_a_bridged_network_makes_its_bridge_anew() {
    let mut world = World::with(json!({ "n": { "nic": "dummy_0" } }), json!({ "bond1": { "nics": ["dummy_1"] } }));
    world.sim.plug_tap("vnet0", "n");
    let index = world.link("n").index;
    for attributes in [
        json!({ "nic": "dummy_0", "ipaddr": "192.0.2.10", "prefix": 24 }),
        json!({ "nic": "dummy_0", "ipaddr": "192.0.2.11", "prefix": 25, "gateway": "192.0.2.1", "defaultRoute": true }),
        json!({ "nic": "dummy_0", "ipv6addr": "2001:db8::1/64" }),
        json!({ "nic": "dummy_0", "mtu": 9000 }),
        json!({ "nic": "dummy_0", "mtu": 600 }),
        json!({ "nic": "dummy_0", "stp": true }),
        json!({ "nic": "dummy_0", "custom": { "bridge_opts": "hello_time=300 forward_delay=700" } }),
        json!({ "nic": "dummy_0", "stp": true, "custom": { "bridge_opts": "ageing_time=0" } }),
    ] {
        let done = world.set(json!({ "n": attributes }), json!({}));
        assert_eq!(makings(&done), NOTHING, "{attributes}");
        assert_eq!((world.link("n").index, world.master("vnet0").as_deref()), (index, Some("n")), "{attributes}");
    }
    // What is below changes, the bridge and its VMs do not.
    for (attributes, makes) in [
        (json!({ "nic": "dummy_0", "vlan": 5 }), 1),
        (json!({ "bonding": "bond1", "vlan": 5 }), 2),
        (json!({ "bonding": "bond1" }), 1),
        (json!({ "nic": "dummy_2" }), 0),
        (json!({}), 0),
    ] {
        let done = world.set(json!({ "n": attributes }), json!({}));
        assert_eq!(makings(&done).len(), makes, "{attributes}: {}", done.plan);
        assert_eq!((world.link("n").index, world.master("vnet0").as_deref()), (index, Some("n")), "{attributes}");
    }
}

#[test]
fn a_vms_tap_follows_a_change_of_its_networks_mtu_and_nothing_else() {
    let mut world = World::with(json!({ "n": { "nic": "dummy_0" }, "m": { "nic": "dummy_1" } }), json!({}));
    world.sim.plug_tap("vnet0", "n");
    world.sim.plug_tap("vnet1", "m");
    for mtu in [9000, 600, 1500] {
        let done = world.set(json!({ "n": { "nic": "dummy_0", "mtu": mtu } }), json!({}));
        assert!(done.plan.to_string().contains(&format!("tap vnet0 mtu {mtu}")), "{}", done.plan);
        assert_eq!(world.mtus(["n", "vnet0", "vnet1"]), [mtu, mtu, 1500]);
    }
    world.set_mtu("vnet0", 1300);
    world.set(json!({ "n": { "nic": "dummy_0", "ipaddr": "192.0.2.10", "prefix": 24 } }), json!({}));
    assert_eq!(world.mtu("vnet0"), 1300, "a VM's own MTU is its own");
}

// ---- The plan in words.

/// `tests/data/plans`: the plan, and the commands that would do the same by hand.
#[track_caller]
fn explains(world: &mut World, networks: Value, bonds: Value, expected: &str) {
    let (plan, commands) = world.explain(networks, bonds);
    assert_eq!(format!("{plan}\n{}\n", commands.join("\n")), expected);
}

#[test]
fn a_first_management_network_in_words() {
    let mut world = World::new();
    world.add_address("dummy_0", "192.0.2.10/24");
    world.add_default_route("dummy_0", "192.0.2.1");
    explains(
        &mut world,
        json!({ "ovirtmgmt": { "nic": "dummy_0", "ipaddr": "192.0.2.10", "prefix": 24, "gateway": "192.0.2.1", "defaultRoute": true } }),
        json!({}),
        include_str!("../../data/plans/management.txt"),
    );
}

#[test]
fn a_vlan_over_a_new_bond_in_words() {
    explains(
        &mut World::new(),
        json!({ "prod": { "bonding": "bond7", "vlan": "120", "mtu": 9000, "ipaddr": "10.7.0.5", "netmask": "255.255.255.0", "stp": true } }),
        json!({ "bond7": { "nics": ["dummy_2", "dummy_1"], "options": "miimon=100 mode=4" } }),
        include_str!("../../data/plans/vlan_over_new_bond.txt"),
    );
}

#[test]
fn a_move_from_a_nic_to_a_bond_of_another_mode_in_words() {
    let mut world = World::with(
        json!({ "n": { "nic": "dummy_0", "ipaddr": "192.0.2.10", "prefix": 24 }, "old": { "bonding": "bond1", "vlan": 9, "bridged": false, "mtu": 9000 } }),
        json!({ "bond1": { "nics": ["dummy_1", "dummy_2"], "options": "mode=1 miimon=100" } }),
    );
    explains(
        &mut world,
        json!({ "n": { "bonding": "bond1", "vlan": 5, "ipaddr": "192.0.2.11", "prefix": 24 }, "old": { "remove": true } }),
        json!({ "bond1": { "nics": ["dummy_1", "dummy_3"], "options": "mode=4 lacp_rate=fast" } }),
        include_str!("../../data/plans/move_to_bond.txt"),
    );
}

// ---- Misfortune.

#[test]
fn a_nic_that_vanishes_in_the_middle_is_told_and_all_else_is_as_before() {
    let mut lost = 0;
    for after in 0.. {
        let sim = Sim::with_nics(&NICS);
        let (fuse, twin) = (Fuse::never(), sim.clone());
        let what = Box::new(move || twin.unplug("dummy_1"));
        let mut world = World::over(sim.clone(), Disturbed { inner: sim, fuse: fuse.clone(), what });
        world.set(json!({ "a": { "nic": "dummy_0", "ipaddr": "192.0.2.10", "prefix": 24 }, "b": { "nic": "dummy_1", "vlan": 5 } }), json!({}));
        let bereft = {
            let twin = World::with(
                json!({ "a": { "nic": "dummy_0", "ipaddr": "192.0.2.10", "prefix": 24 }, "b": { "nic": "dummy_1", "vlan": 5 } }),
                json!({}),
            );
            twin.sim.unplug("dummy_1");
            twin.text()
        };
        let running = world.running.clone();
        fuse.after(after);
        let request = json!({ "a": { "nic": "dummy_0", "mtu": 9000 }, "b": { "nic": "dummy_1", "vlan": 6, "mtu": 4000 }, "c": { "nic": "dummy_1", "vlan": 7 } });
        let outcome = world.setup(request, json!({}));
        fuse.after(usize::MAX);
        match outcome {
            Ok(_) => {
                assert!(world.has("dummy_1"), "a change without the nic cannot have succeeded");
                break;
            }
            Err(error) => {
                assert_eq!(error.code(), Code::FailedIfup);
                assert!(chain(&error).starts_with("the change failed and was rolled back, but dummy_1, dummy_1.5 vanished meanwhile and could not be brought back: "), "{}", chain(&error));
                let SetupError::RolledBack { cause: Cause::Apply(_) | Cause::Verify { .. }, missing } = error else {
                    panic!("{error:?}")
                };
                assert_eq!(missing, [dev("dummy_1"), dev("dummy_1.5")]);
                assert_eq!(world.text(), bereft, "lost before action {after}");
                assert_eq!(world.running, running);
                lost += 1;
            }
        }
    }
    assert!(lost > 10, "{lost}");
}

#[test]
fn a_change_that_cannot_be_stored_is_undone() {
    let mut world = World::with(json!({ "n": { "nic": "dummy_0" } }), json!({}));
    let before = world.text();
    let wish = request(json!({ "n": { "nic": "dummy_1" } }), json!({ "bond1": { "nics": ["dummy_2"] } }));
    let full = || vdsm_persistence::StoreError::NotAnObject { name: "n".to_owned() };
    let confirmed = Transaction::plan(&mut world.host, &world.running, &wish, &world.policy)
        .unwrap()
        .apply()
        .unwrap()
        .confirm(None, |_, _| unreachable!())
        .unwrap();
    let error = confirmed.commit(|_| Err(full())).unwrap_err();
    assert_eq!(
        chain(&error),
        "the change failed and was rolled back: cannot store the configuration: `n` is not a JSON object"
    );
    assert_eq!(error.code(), Code::Unexpected);
    assert_eq!(world.text(), before);
}

#[test]
fn networks_on_a_nic_that_is_gone_can_be_removed_one_by_one() {
    let mut world = World::new();
    let nets = json!({ "l1": { "nic": "dummy_3", "vlan": 5 }, "l2": { "nic": "dummy_3", "bridged": false }, "z": { "nic": "dummy_0" } });
    world.setup(nets, json!({})).unwrap();
    world.sim.unplug("dummy_3");
    world.setup(removal("l2"), json!({})).unwrap();
    world.setup(json!({ "l1": { "nic": "dummy_1" } }), json!({})).unwrap();
    world.setup(removal("l1"), json!({})).unwrap();
    assert_eq!(world.running.networks.len(), 1);
}

#[test]
fn a_vlan_with_a_strangers_vlan_upon_it_does_not_go() {
    let mut world = World::new();
    world.set(json!({ "n": { "nic": "dummy_0", "vlan": 5 } }), json!({}));
    world.add_vlan("dummy_0.5.9", "dummy_0.5", 9);
    let problems = world.problems(removal("n"), json!({}));
    assert_eq!(problems, [Problem::VlanInUse { vlan: dev("dummy_0.5"), users: vec![dev("dummy_0.5.9")] }]);
    assert_eq!(problems[0].code(), Code::UsedBridge);
    let sentence = "vlan 'dummy_0.5': it would go, but 'dummy_0.5.9', not ours, would be lost with it";
    assert_eq!(problems[0].to_string(), sentence);
}
