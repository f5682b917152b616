//! A look at a part: what is looked at, and whom a change of devices concerns.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};
use vdsm_model::name::DeviceName;
use vdsm_net::check::{Checked, Selection, State, check, concerned};

use super::texts;
use crate::world::{World, dev, net};

fn selection(networks: &[&str], bonds: &[&str]) -> Selection {
    Selection {
        networks: networks.iter().map(|name| net(name)).collect(),
        bonds: bonds.iter().map(|name| dev(name)).collect(),
    }
}

fn checked(world: &World, networks: &[&str], bonds: &[&str]) -> Checked {
    check(&world.running, &world.sim.look(), &world.policy, Some(&selection(networks, bonds)))
}

fn world() -> World {
    World::with(
        json!({
            "a": { "bonding": "bond0", "vlan": 1 },
            "b": { "bonding": "bond0", "vlan": 2 },
            "c": { "nic": "dummy_2", "vlan": 3 },
            "d": { "nic": "dummy_2", "vlan": 4 },
            "mgmt": { "nic": "dummy_3", "ipaddr": "192.0.2.9", "prefix": 24, "gateway": "192.0.2.1", "defaultRoute": true },
        }),
        json!({ "bond0": { "nics": ["dummy_0"], "options": "mode=1" }, "bond1": { "nics": ["dummy_1"] } }),
    )
}

#[test]
fn only_what_was_selected_is_looked_at_and_the_bonds_below() {
    let mut world = world();
    world.set_mtu("c", 1400);
    world.set_mtu("bond0.2", 1400);
    world.set_up("bond1", false);
    let looked = checked(&world, &["a", "no such network"], &["bond99"]);
    assert_eq!(looked.networks.keys().cloned().collect::<Vec<_>>(), [net("a")]);
    assert_eq!(looked.bonds.keys().copied().collect::<Vec<_>>(), [dev("bond0")]);
    assert!(looked.in_sync());
    assert!(!checked(&world, &["a", "b"], &[]).in_sync());
    assert!(!checked(&world, &[], &["bond1"]).in_sync());
    assert!(checked(&world, &[], &[]).in_sync());
}

#[test]
fn a_network_alone_knows_of_its_bond() {
    let mut world = world();
    world.leave("dummy_0");
    let looked = checked(&world, &["a"], &[]);
    assert_eq!(texts(&looked.networks[&net("a")]), ["its bond bond0 is out of sync"]);
    assert_eq!(texts(&looked.bonds[&dev("bond0")]), ["dummy_0 left bond0"]);
}

#[test]
fn a_look_at_one_of_many_asks_for_that_one_alone() {
    let many: Map<String, Value> = (1..=200)
        .map(|tag| (format!("n{tag}"), json!({ "bonding": "bond0", "vlan": tag, "bridged": false })))
        .collect();
    let mut world = World::with(Value::Object(many), json!({ "bond0": { "nics": ["dummy_0"] } }));
    world.set_mtu("bond0.7", 1400);
    let looked = checked(&world, &["n7"], &[]);
    assert_eq!(looked.request.networks.keys().cloned().collect::<Vec<_>>(), [net("n7")]);
    assert_eq!(looked.plan.to_string(), "change vlan bond0.7: mtu 1400 -> 1500\n");
}

// ---- Whom it concerns.

fn concerns(world: &World, devices: &[&str]) -> Selection {
    let devices: BTreeSet<DeviceName> = devices.iter().map(|name| dev(name)).collect();
    concerned(&world.running, &world.sim.look(), &devices)
}

#[test]
fn nothing_concerns_nobody() {
    assert_eq!(concerns(&world(), &[]), Selection::default());
}

/// The owner of the default route is in it whatever changes.
#[test]
fn a_device_concerns_those_made_of_it() {
    let mut world = world();
    world.sim.plug_tap("vnet1", "d");
    world.add_vlan("theirs", "dummy_2", 77);
    for (device, networks, bonds) in [
        ("bond0", &["a", "b", "mgmt"][..], &["bond0"][..]),
        ("dummy_0", &["a", "b", "mgmt"], &["bond0"]),
        ("bond0.1", &["a", "mgmt"], &["bond0"]),
        ("a", &["a", "mgmt"], &["bond0"]),
        ("dummy_2", &["c", "d", "mgmt"], &[]),
        ("vnet1", &["d", "mgmt"], &[]),
        ("theirs", &["c", "d", "mgmt"], &[]),
        ("dummy_1", &["mgmt"], &["bond1"]),
        ("dummy_3", &["mgmt"], &[]),
        ("dummy_9", &["mgmt"], &[]),
    ] {
        assert_eq!(concerns(&world, &[device]), selection(networks, bonds), "{device}");
    }
}

#[test]
fn a_missing_vlan_concerns_its_network_by_name() {
    let mut world = world();
    world.delete("dummy_2.3");
    assert_eq!(concerns(&world, &["dummy_2.3"]), selection(&["c", "mgmt"], &[]));
}

#[test]
fn a_stolen_port_concerns_loser_and_holder() {
    let mut world = world();
    world.leave("dummy_3");
    world.enter("dummy_3", "c");
    for devices in [&["dummy_3"][..], &["c", "mgmt"]] {
        assert_eq!(concerns(&world, devices), selection(&["c", "mgmt"], &[]), "{devices:?}");
    }
}

/// Without `d`, whose VLAN is too large, the nic below would seem to need its size.
#[test]
fn what_would_hide_a_difference_is_looked_at_with_it() {
    let mut world = world();
    world.set_mtu("dummy_2", 9000);
    world.set_mtu("dummy_2.4", 9000);
    assert_eq!(checked(&world, &["c"], &[]).networks[&net("c")].state, State::InSync);
    let some = concerns(&world, &["dummy_2.3"]);
    assert_eq!(some, selection(&["c", "d", "mgmt"], &[]));
    let looked = check(&world.running, &world.sim.look(), &world.policy, Some(&some));
    assert_eq!(texts(&looked.networks[&net("c")]), ["the MTU of dummy_2 is 9000 instead of 1500"]);
}
