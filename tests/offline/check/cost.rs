//! What it costs to judge one change among many networks, counted and not timed: the memory that is
//! asked for meanwhile, and the devices that are held against one another.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::collections::BTreeSet;

use serde_json::{Map, Value, json};
use vdsm_model::graph::Desired;
use vdsm_model::request::Request;
use vdsm_net::check::{Selection, check, concerned};

use crate::world::{World, dev, net, request};

/// Counts what each thread asks for, for all tests of this program.
struct Counting;

thread_local! {
    static ASKED: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: everything is the system's; a number is counted up beside it.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // A thread that ends has no counter any more.
        let _ = ASKED.try_with(|asked| asked.set(asked.get() + 1));
        // SAFETY: the caller's promise is handed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is handed on.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// A bond with a VLAN for each network, every other one bridged, and a nic beside it.
fn many(count: usize) -> World {
    let mut networks: Map<String, Value> = (1..=count)
        .map(|tag| (format!("n{tag}"), json!({ "bonding": "bond0", "vlan": tag, "bridged": tag % 2 == 0 })))
        .collect();
    networks.insert(
        "mgmt".to_owned(),
        json!({ "nic": "dummy_3", "ipaddr": "192.0.2.9", "prefix": 24, "gateway": "192.0.2.1", "defaultRoute": true }),
    );
    World::with(Value::Object(networks), json!({ "bond0": { "nics": ["dummy_0", "dummy_1"], "options": "mode=1" } }))
}

/// How often memory is asked for until the change of a device is judged.
fn asked_for(world: &World, device: &str) -> (Selection, usize) {
    let seen = world.sim.look();
    let before = ASKED.get();
    let selection = concerned(&world.running, &seen, &BTreeSet::from([dev(device)]));
    let checked = check(&world.running, &seen, &world.policy, Some(&selection));
    let asked = ASKED.get() - before;
    assert!(checked.in_sync());
    (selection, asked)
}

#[test]
fn one_change_among_many_networks_costs_as_much_as_among_few() {
    let (few, many) = (many(10), many(400));
    for device in ["n2", "bond0.3", "dummy_2", "dummy_3"] {
        let ((among_few, less), (among_many, more)) = (asked_for(&few, device), asked_for(&many, device));
        assert_eq!(among_many, among_few, "{device}");
        assert_eq!(more, less, "{device}: so often is memory asked for");
    }
}

fn devices_for(world: &World, request: &Request) -> usize {
    let desired = Desired::build(&world.running, request, &world.sim.look(), &world.policy).unwrap();
    desired.scope.devices().count()
}

#[test]
fn what_stands_on_a_bond_is_looked_at_only_when_the_bond_changes() {
    let world = many(60);
    let bond = |options| request(json!({}), json!({ "bond0": { "nics": ["dummy_0", "dummy_1"], "options": options } }));
    assert_eq!(devices_for(&world, &bond("mode=1")), 3, "the bond and its slaves");
    let all = 3 + 60 + 30;
    assert_eq!(devices_for(&world, &bond("mode=4")), all, "a bond that goes down takes along what its VLANs have");
    let fewer = request(json!({}), json!({ "bond0": { "nics": ["dummy_0"], "options": "mode=1" } }));
    assert_eq!(devices_for(&world, &fewer), all);
    assert!(world.running.networks.contains_key(&net("n60")));
}
