//! Changes of a host that has a past: what an edit replaces, what it leaves alone, and whom it
//! does not disturb. Each on the simulated host, through the whole transaction.
//!
//! That any change arrives and any failure is undone is shown in `laws.rs`.

mod devices;

use std::time::Duration;

use serde_json::{Value, json};
use vdsm_configurators::sim::Sim;
use vdsm_model::config::{BondAddresses, Combination};
use vdsm_model::netinfo::SeenKind;
use vdsm_model::problem::{Code, Problem};
use vdsm_net::connectivity::Lost;
use vdsm_net::transaction::{Cause, Done, SetupError, Transaction, chain};

use crate::world::{NICS, World, dev, net, request};

const NOTHING: [&str; 0] = [];

/// The steps of a plan that make or remove something, in words.
fn makings(done: &Done) -> Vec<String> {
    done.plan
        .to_string()
        .lines()
        .filter(|l| l.starts_with("create") || l.starts_with("remove"))
        .map(str::to_owned)
        .collect()
}

fn removal(name: &str) -> Value {
    json!({ name: { "remove": true } })
}

// ---- Full replacement.

#[test]
fn an_attribute_left_out_goes_back_to_its_default() {
    let full = json!({ "n": {
        "nic": "dummy_0", "mtu": 9000, "stp": true, "ipaddr": "192.0.2.10", "prefix": 24, "gateway": "192.0.2.1", "defaultRoute": true, "ipv6addr": "2001:db8::10/64",
        "custom": { "bridge_opts": "ageing_time=0 priority=1" },
    } });
    let mut world = World::with(full, json!({}));
    let bridge = world.link("n");
    world.set(json!({ "n": { "nic": "dummy_0" } }), json!({}));

    let plain = World::with(json!({ "n": { "nic": "dummy_0" } }), json!({}));
    assert_eq!(world.running, plain.running);
    assert_eq!(world.link("n").index, bridge.index);
    let SeenKind::Bridge { options, .. } = world.link("n").kind else { panic!() };
    for (name, default) in [("stp_state", 0), ("forward_delay", 0), ("ageing_time", 30000), ("priority", 32768)] {
        assert_eq!(options.get(name), Some(default), "{name}");
    }
    assert_eq!((world.mtu("n"), world.mtu("dummy_0")), (1500, 1500));
    assert_eq!((world.addresses("n"), world.routes("n")), (vec![], vec![]));
    assert_eq!(world.link("n").ipv6_disabled, Some(true));
}

#[test]
fn a_network_may_change_everything_at_once() {
    let mut world = World::with(json!({ "n": { "nic": "dummy_0", "ipaddr": "192.0.2.10", "prefix": 24 } }), json!({}));
    world.set(json!({ "n": { "bonding": "bond1", "vlan": 5, "bridged": false, "mtu": 9000, "ipaddr": "192.0.2.11", "prefix": 24 } }), json!({ "bond1": { "nics": ["dummy_1", "dummy_2"] } }));
    assert!(!world.has("n"));
    assert_eq!(world.addresses("bond1.5"), ["192.0.2.11/24"]);
    assert_eq!(world.mtus(["bond1.5", "bond1", "dummy_1", "dummy_2", "dummy_0"]), [9000, 9000, 9000, 9000, 1500]);
    assert_eq!(world.master("dummy_0"), None);
    assert!(world.link("dummy_0").up, "nics stay up");
    world.set(removal("n"), removal("bond1"));
    assert_eq!(world.sim.look().links().map(|l| l.name.to_string()).collect::<Vec<_>>(), NICS);
}

#[test]
fn a_bond_without_options_keeps_those_it_has_and_with_options_has_no_others() {
    let options = |world: &World| {
        let SeenKind::Bond { options, .. } = world.link("bond1").kind else { panic!("bond1 is none") };
        options.canonical()
    };
    let bond = |nics: Value, options: &str| json!({ "bond1": { "nics": nics, "options": options } });
    let mut world = World::with(json!({}), bond(json!(["dummy_0"]), "mode=1 miimon=150"));
    let index = world.link("bond1").index;
    world.set(json!({}), json!({ "bond1": { "nics": ["dummy_0", "dummy_1"] } }));
    assert_eq!(options(&world), "mode=1 miimon=150");
    assert_eq!(world.running.bonds.get(&dev("bond1")).unwrap().options_text, "mode=1 miimon=150");
    world.set(json!({}), bond(json!(["dummy_0", "dummy_1"]), "mode=3"));
    assert_eq!(options(&world), "mode=3");
    world.set(json!({}), bond(json!(["dummy_0", "dummy_1"]), "mode=802.3ad custom=a:b"));
    assert_eq!((options(&world).as_str(), world.link("bond1").index), ("mode=4", index));
    assert_eq!(world.running.bonds.get(&dev("bond1")).unwrap().options_text, "mode=802.3ad custom=a:b");
}

#[test]
fn a_bond_has_the_same_address_whatever_the_order_of_its_slaves() {
    let mac = |nics: Value| {
        let mut world = World::with(json!({}), json!({ "bond1": { "nics": nics } }));
        let bond = world.link("bond1").mac;
        world.set(json!({}), removal("bond1"));
        (bond, world.link("dummy_1").mac)
    };
    let (one, other) = (mac(json!(["dummy_1", "dummy_2"])), mac(json!(["dummy_2", "dummy_1"])));
    assert_eq!(one, other);
    assert_eq!(one.0, one.1, "that of its first slave");
    let world = World::with(json!({}), json!({ "bond1": { "nics": ["dummy_1"], "hwaddr": "52:54:00:ab:cd:01" } }));
    assert_eq!(world.link("bond1").mac.unwrap().to_string(), "52:54:00:ab:cd:01");
}

// ---- What nobody asked for.

#[test]
fn an_untouched_network_stays_as_it_is_even_where_it_drifted() {
    let networks = json!({
        "alone": { "nic": "dummy_1", "ipaddr": "192.0.2.10", "prefix": 24 },
        "beside": { "bonding": "bond1", "vlan": 5, "ipaddr": "198.51.100.1", "prefix": 24, "mtu": 1400 },
        "n": { "bonding": "bond1", "vlan": 6 },
    });
    let mut world = World::with(networks, json!({ "bond1": { "nics": ["dummy_0"] } }));
    for bridge in ["alone", "beside"] {
        world.add_address(bridge, "203.0.113.1/24");
        world.set_mtu(bridge, 1300);
        world.set_up(bridge, false);
    }
    world.set_mtu("dummy_1", 4000);
    let drifted = |world: &World| {
        world
            .text()
            .lines()
            .filter(|l| ["alone", "beside", "bond1.5 ", "dummy_1"].iter().any(|d| l.starts_with(d)))
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let before = drifted(&world);
    assert_eq!(before.len(), 4);

    world.set(json!({ "n": { "bonding": "bond1", "vlan": 6, "mtu": 9000 }, "m": { "nic": "dummy_2" } }), json!({}));
    assert_eq!(drifted(&world), before);
    world.set(removal("n"), json!({}));
    assert_eq!(drifted(&world), before);
    // Naming it is how one has it put right.
    world.set(json!({ "alone": { "nic": "dummy_1", "ipaddr": "192.0.2.10", "prefix": 24 } }), json!({}));
    assert_eq!(
        (world.mtu("alone"), world.mtu("dummy_1"), world.addresses("alone")),
        (1500, 1500, vec!["192.0.2.10/24".to_owned()])
    );
}

#[test]
fn an_edited_bond_keeps_the_networks_nobody_named() {
    let networks = json!({ "a": { "bonding": "bond1", "vlan": 5, "ipaddr": "192.0.2.10", "prefix": 24, "gateway": "192.0.2.1", "defaultRoute": true, "ipv6addr": "2001:db8::1/64" }, "b": { "bonding": "bond1", "vlan": 6, "bridged": false, "ipv6addr": "2001:db8:1::1/64" } });
    let mut world =
        World::with(networks, json!({ "bond1": { "nics": ["dummy_0", "dummy_1"], "options": "mode=1 miimon=100" } }));
    let above = |world: &World| {
        world
            .text()
            .lines()
            .filter(|l| ["a ", "bond1.5", "bond1.6"].iter().any(|d| l.starts_with(d)))
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let (before, running) = (above(&world), world.running.networks.clone());
    world.set(json!({}), json!({ "bond1": { "nics": ["dummy_2", "dummy_3"], "options": "mode=4" } }));
    assert_eq!((above(&world), &world.running.networks), (before, &running));
}

#[test]
fn an_edited_bond_stays_in_the_bridge_of_a_network_nobody_named() {
    let mut world = World::with(json!({ "n": { "bonding": "bond1" } }), json!({ "bond1": { "nics": ["dummy_0"] } }));
    for bond in [
        json!({ "nics": ["dummy_0", "dummy_1"] }),
        json!({ "nics": ["dummy_1"] }),
        json!({ "nics": ["dummy_1"], "options": "mode=4" }),
    ] {
        let done = world.set(json!({}), json!({ "bond1": bond }));
        assert_eq!(world.master("bond1").as_deref(), Some("n"), "{bond}: {}", done.plan);
    }
}

#[test]
fn a_nic_stays_in_the_bridge_of_a_network_nobody_named() {
    let mut world = World::new();
    world.policy.combination = Combination::Relaxed;
    world.set(json!({ "n": { "nic": "dummy_0" } }), json!({}));
    let done = world.set(json!({ "v": { "nic": "dummy_0", "vlan": 5 } }), json!({}));
    assert_eq!(world.master("dummy_0").as_deref(), Some("n"), "{}", done.plan);
    let done = world.set(removal("v"), json!({}));
    assert_eq!(world.master("dummy_0").as_deref(), Some("n"), "{}", done.plan);
}

#[test]
fn strangers_are_left_alone() {
    let mut world = World::new();
    world.add_vlan("theirs", "dummy_3", 7);
    world.add_bridge("virbr0", &["theirs"]);
    world.add_address("virbr0", "203.0.113.1/24");
    let theirs = |world: &World| {
        world
            .text()
            .lines()
            .filter(|l| ["dummy_2", "dummy_3", "theirs", "virbr0"].iter().any(|d| l.starts_with(d)))
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let before = theirs(&world);
    world.set(json!({ "n": { "nic": "dummy_0", "mtu": 9000 } }), json!({ "bond1": { "nics": ["dummy_1"] } }));
    assert_eq!(theirs(&world), before);
    world.set(removal("n"), removal("bond1"));
    assert_eq!((theirs(&world), before.len()), (before, 4));
}

// ---- Taking over.

#[test]
fn a_bond_that_a_network_names_becomes_ours_as_it_is() {
    let mut world = World::new();
    world.add_bond("bond1", "mode=1 miimon=150 updelay=300", &["dummy_0", "dummy_1"]);
    let before = world.link("bond1");
    let done = world.set(json!({ "n": { "bonding": "bond1", "vlan": 5 } }), json!({}));
    assert_eq!(
        makings(&done),
        [
            "create vlan bond1.5: tag 5 on bond1, mtu 1500, up, ipv6 off",
            "create bridge n: port bond1.5, stp off, mtu 1500, up, ipv6 off"
        ]
    );

    let owned = world.running.bonds.get(&dev("bond1")).unwrap();
    assert_eq!(owned.nics.iter().map(ToString::to_string).collect::<Vec<_>>(), ["dummy_0", "dummy_1"]);
    assert_eq!(owned.options_text, "mode=1 miimon=150 updelay=300");
    assert_eq!(owned.hwaddr, before.mac);
    assert_eq!((world.link("bond1").index, world.link("bond1").mac), (before.index, before.mac));
    // Its address stays even when the slave it came from goes.
    world.set(json!({}), json!({ "bond1": { "nics": ["dummy_1", "dummy_2"] } }));
    assert_eq!((world.link("bond1").index, world.link("bond1").mac), (before.index, before.mac));
}

#[test]
fn a_bridge_of_the_networks_name_is_taken_over_with_its_ports() {
    let mut world = World::new();
    world.add_bridge("ovirtmgmt", &["dummy_1"]);
    world.add_address("ovirtmgmt", "203.0.113.1/24");
    world.sim.plug_tap("vnet0", "ovirtmgmt");
    let index = world.link("ovirtmgmt").index;
    let done = world.set(json!({ "ovirtmgmt": { "nic": "dummy_0", "ipaddr": "192.0.2.10", "prefix": 24 } }), json!({}));
    assert_eq!(makings(&done), NOTHING);
    assert_eq!(world.link("ovirtmgmt").index, index);
    assert_eq!(
        ["dummy_0", "dummy_1", "vnet0"].map(|port| world.master(port)),
        [(); 3].map(|()| Some("ovirtmgmt".to_owned()))
    );
    assert_eq!(world.addresses("ovirtmgmt"), ["192.0.2.10/24"]);
    // It does not go while strangers are on it.
    assert_eq!(
        world.problems(removal("ovirtmgmt"), json!({})),
        [Problem::BridgeInUse { network: net("ovirtmgmt"), ports: vec![dev("dummy_1"), dev("vnet0")] }]
    );
}

#[test]
fn a_vlan_of_another_name_is_used_as_it_is() {
    let mut world = World::new();
    world.add_vlan("storage", "dummy_0", 100);
    let index = world.link("storage").index;
    let done = world.set(json!({ "n": { "nic": "dummy_0", "vlan": 100, "mtu": 1400 } }), json!({}));
    assert_eq!(makings(&done), ["create bridge n: port storage, stp off, mtu 1400, up, ipv6 off"]);
    assert_eq!(
        (world.link("storage").index, world.master("storage"), world.mtu("storage")),
        (index, Some("n".to_owned()), 1400)
    );
    assert!(!world.has("dummy_0.100"));
    world.set(removal("n"), json!({}));
    assert!(!world.has("storage"), "it was the network's");
}

// ---- The default route.

#[test]
fn the_default_route_moves_and_its_former_owner_gives_it_up() {
    let via = |nic: &str, net: u8| json!({ "nic": nic, "ipaddr": format!("10.{net}.0.2"), "prefix": 24, "gateway": format!("10.{net}.0.1"), "ipv6addr": format!("fd00:{net}::2/64"), "ipv6gateway": format!("fd00:{net}::1"), "defaultRoute": true });
    let mut world = World::with(json!({ "old": via("dummy_0", 1) }), json!({}));
    assert_eq!(world.routes("old"), ["default via 10.1.0.1", "default via fd00:1::1"]);
    world.set(json!({ "new": via("dummy_1", 2) }), json!({}));
    assert_eq!(
        (world.routes("old"), world.routes("new")),
        (vec![], vec!["default via 10.2.0.1".to_owned(), "default via fd00:2::1".to_owned()])
    );
    assert_eq!(world.addresses("old"), ["10.1.0.2/24", "fd00:1::2/64"]);
    let old = world.network("old");
    assert!(!old.default_route && old.nameservers.is_none() && old.gateway.is_some());
    assert_eq!(world.running.default_route(), Some(&net("new")));
    // Removed, it goes to nobody by itself.
    world.set(removal("new"), json!({}));
    assert_eq!((world.running.default_route(), world.routes("old")), (None, vec![]));
}

#[test]
fn the_default_route_may_swap_within_one_request() {
    let with = |nic: &str, net: u8, default: bool| json!({ "nic": nic, "ipaddr": format!("10.{net}.0.2"), "prefix": 24, "gateway": format!("10.{net}.0.1"), "defaultRoute": default });
    let mut world = World::with(json!({ "a": with("dummy_0", 1, true), "b": with("dummy_1", 2, false) }), json!({}));
    world.set(json!({ "a": with("dummy_0", 1, false), "b": with("dummy_1", 2, true) }), json!({}));
    assert_eq!((world.routes("a"), world.routes("b")), (vec![], vec!["default via 10.2.0.1".to_owned()]));
}

#[test]
fn a_strangers_default_route_gives_way_and_comes_back_with_a_rollback() {
    let mut world = World::new();
    world.add_address("dummy_3", "203.0.113.2/24");
    world.add_default_route("dummy_3", "203.0.113.1");
    let before = world.text();
    let ours = json!({ "n": { "nic": "dummy_0", "ipaddr": "192.0.2.10", "prefix": 24, "gateway": "192.0.2.1", "defaultRoute": true } });

    let lost = Transaction::plan(&mut world.host, &world.running, &request(ours.clone(), json!({})), &world.policy)
        .unwrap()
        .apply()
        .unwrap()
        .confirm(Some(Duration::from_millis(7)), |within, _| {
            assert_eq!(within, Duration::from_millis(7));
            Err(Lost::default())
        });
    let error = lost.map(|_| ()).unwrap_err();
    assert_eq!(error.code(), Code::LostConnection);
    assert_eq!(
        chain(&error),
        "the change failed and was rolled back: connectivity check failed: nobody called within 0.007 s of the change"
    );
    assert_eq!(world.text(), before);

    let told = "network 'n': the host has one default route a family: that of dummy_3, which is not ours, gives way";
    assert_eq!(world.set(ours, json!({})).warnings, [told]);
    assert_eq!((world.routes("dummy_3"), world.routes("n")), (vec![], vec!["default via 192.0.2.1".to_owned()]));
    assert_eq!(world.addresses("dummy_3"), ["203.0.113.2/24"]);
}

#[test]
fn a_gateway_alone_makes_no_default_route() {
    let mut world = World::new();
    world.add_address("dummy_3", "203.0.113.2/24");
    world.add_default_route("dummy_3", "203.0.113.1");
    world.set(
        json!({ "n": { "nic": "dummy_0", "ipaddr": "192.0.2.10", "prefix": 24, "gateway": "192.0.2.1" } }),
        json!({}),
    );
    assert_eq!((world.routes("n"), world.routes("dummy_3")), (vec![], vec!["default via 203.0.113.1".to_owned()]));
}

// ---- MTU.

#[test]
fn a_base_has_the_highest_mtu_of_its_networks() {
    let vlan = |tag: u16, mtu: u32| json!({ "bonding": "bond1", "vlan": tag, "mtu": mtu });
    let mut world = World::with(json!({ "a": vlan(1, 1500) }), json!({ "bond1": { "nics": ["dummy_0", "dummy_1"] } }));
    let base = |world: &World| world.mtus(["bond1", "dummy_0", "dummy_1"]);
    assert_eq!(base(&world), [1500; 3]);
    world.set(json!({ "b": vlan(2, 9000) }), json!({}));
    assert_eq!((base(&world), world.mtus(["a", "bond1.1", "b", "bond1.2"])), ([9000; 3], [1500, 1500, 9000, 9000]));
    world.set(json!({ "c": vlan(3, 4000) }), json!({}));
    assert_eq!((base(&world), world.mtus(["b", "c"])), ([9000; 3], [9000, 4000]), "a smaller one lowers nobody");
    world.set(json!({}), json!({ "bond1": { "nics": ["dummy_0", "dummy_1", "dummy_2"] } }));
    assert_eq!(world.mtu("dummy_2"), 9000, "a slave that comes later gets it as well");
    let done = world.set(removal("b"), json!({}));
    assert_eq!(
        (base(&world), world.mtus(["a", "c", "bond1.3"])),
        ([4000; 3], [1500, 4000, 4000]),
        "the highest of the rest"
    );
    assert!(!done.plan.to_string().contains("down"), "and nothing bounces for it");
    world.set(json!({ "a": vlan(1, 600), "c": vlan(3, 700) }), json!({}));
    assert_eq!((base(&world), world.mtus(["a", "c"])), ([700; 3], [600, 700]));
    world.set(json!({ "a": { "remove": true }, "c": { "remove": true } }), json!({}));
    assert_eq!(base(&world), [1500; 3]);
}

/// The kernel takes an MTU that a bridge has anyway for nobody's wish, and lets it follow its ports.
#[test]
fn a_bridge_of_1500_over_a_nic_of_more_is_right_at_once() {
    let mut world = World::new();
    world.set_mtu("dummy_0", 4000);
    world.add_vlan("theirs", "dummy_0", 7);
    world.set(json!({ "n": { "nic": "dummy_0" } }), json!({}));
    assert_eq!(world.mtus(["n", "dummy_0"]), [1500, 4000]);
}

#[test]
fn a_bridge_that_gets_ipv6_back_with_its_mtu_has_it_taken_off_at_once() {
    let mut world = World::with(json!({ "n": { "nic": "dummy_2", "vlan": 6, "mtu": 600 } }), json!({}));
    world.set(json!({ "n": { "nic": "dummy_1", "vlan": 7, "mtu": 9000 } }), json!({}));
    assert_eq!((world.mtu("n"), world.link("n").ipv6_disabled), (9000, Some(true)));
}

#[test]
fn a_strangers_vlan_keeps_its_mtu() {
    let mut world = World::new();
    world.set_mtu("dummy_0", 9000);
    world.add_vlan("theirs", "dummy_0", 7);
    world.set_mtu("theirs", 2000);
    world.set(json!({ "n": { "nic": "dummy_0", "vlan": 8 } }), json!({}));
    assert_eq!(world.mtus(["dummy_0", "theirs", "n"]), [2000, 2000, 1500]);
    world.set(json!({ "n": { "nic": "dummy_0", "vlan": 8, "mtu": 4000 } }), json!({}));
    assert_eq!(world.mtus(["dummy_0", "theirs", "n"]), [4000, 2000, 4000]);
    world.set(removal("n"), json!({}));
    assert_eq!(world.mtus(["dummy_0", "theirs"]), [2000, 2000]);
}

#[test]
fn a_released_nic_is_up_and_has_1500() {
    let mut world = World::with(
        json!({ "n": { "nic": "dummy_0", "mtu": 9000 }, "m": { "bonding": "bond1", "mtu": 600 } }),
        json!({ "bond1": { "nics": ["dummy_1", "dummy_2"] } }),
    );
    world.set(json!({}), json!({ "bond1": { "nics": ["dummy_1"] } }));
    assert_eq!((world.mtu("dummy_2"), world.master("dummy_2"), world.link("dummy_2").up), (1500, None, true));
    world.set(json!({ "n": { "remove": true }, "m": { "remove": true } }), removal("bond1"));
    for nic in NICS {
        assert_eq!((world.mtu(nic), world.master(nic), world.link(nic).up), (1500, None, true), "{nic}");
    }
}
