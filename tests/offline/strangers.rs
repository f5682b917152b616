//! A law on hosts that are not ours alone: foreign bonds, VLANs, bridges, VMs, addresses and routes
//! are about, and requests are as wild as a request can be. What is accepted arrives; what fails
//! leaves the host as it was.
//!
//! `laws.rs` has the same on hosts of our own, with sound configurations only.

use serde_json::{Map, Value, json};
use vdsm_model::config::{BondAddresses, Combination};
use vdsm_net::transaction::{SetupError, chain};

use crate::common::random::Random;
use crate::common::state;
use crate::world::{NICS, World, net};

/// A host with some strangers on it; `n1`, `bond9` and the nics are in their hands or may be taken.
fn world(random: &mut Random) -> World {
    let mut world = World::new();
    if random.chance(50) {
        world.policy.combination = Combination::Relaxed;
    }
    if random.chance(50) {
        world.policy.bond_addresses = BondAddresses::Replace;
    }
    if random.chance(40) {
        world.add_bond("bond9", "mode=1", &["dummy_3"]);
        world.add_address("bond9", "10.0.0.77/24");
        if random.chance(30) {
            world.add_vlan("v9", "bond9", 7);
        }
    }
    if random.chance(30) {
        let mtu = random.pick(&[1500, 4000]);
        world.set_mtu("dummy_0", mtu);
        world.add_vlan("theirs", "dummy_0", 7);
        world.add_address("theirs", "10.9.0.1/24");
        world.add_default_route("theirs", "10.9.0.254");
    }
    if random.chance(30) {
        world.add_bridge("n1", &[]);
        world.sim.plug_tap("vnet1", "n1");
    }
    if random.chance(30) {
        world.add_address("dummy_1", "10.1.0.99/24");
    }
    world
}

fn network(random: &mut Random) -> Value {
    if random.chance(15) {
        return json!({ "remove": true });
    }
    let mut attributes = match random.below(10) {
        0 => json!({}),
        1..=5 => json!({ "nic": random.pick(&NICS) }),
        _ => json!({ "bonding": random.pick(&["bond1", "bond2", "bond9"]) }),
    };
    let mtu = random.pick(&[600, 1280, 1500, 1500, 2000, 9000]);
    attributes["mtu"] = json!(mtu);
    attributes["bridged"] = json!(random.chance(60));
    attributes["stp"] = json!(random.chance(20));
    if random.chance(55) {
        attributes["vlan"] = json!(random.pick(&[5, 6, 7]));
    }
    if random.chance(20) {
        attributes["custom"] = json!({ "bridge_opts": random.pick(&["hello_time=300", "forward_delay=700", "stp_state=1", "priority=1 ageing_time=0"]) });
    }
    attributes["defaultRoute"] = json!(random.chance(30));
    let (subnet, host) = (random.below(3), 1 + random.below(5));
    if random.chance(50) {
        attributes["ipaddr"] = json!(format!("10.{subnet}.0.{host}"));
        attributes["prefix"] = json!(24);
        attributes["gateway"] = json!(format!("10.{subnet}.0.254"));
    }
    if mtu >= 1280 && random.chance(25) {
        attributes["ipv6addr"] = json!(format!("fd00:{subnet}::{host}/64"));
        attributes["ipv6gateway"] = json!(format!("fd00:{subnet}::ffff"));
    }
    attributes
}

fn bond(random: &mut Random) -> Value {
    if random.chance(20) {
        return json!({ "remove": true });
    }
    let mut nics: Vec<&str> = NICS.into_iter().filter(|_| random.chance(35)).collect();
    if nics.is_empty() {
        nics.push(random.pick(&NICS));
    }
    let options = random.pick(&[
        "",
        "mode=1 miimon=100",
        "mode=4 lacp_rate=1",
        "mode=3",
        "mode=1 arp_interval=100 arp_ip_target=10.0.0.9",
        "mode=6",
        "mode=1 primary=dummy_0",
    ]);
    let hwaddr = if random.chance(10) { "52:54:00:aa:bb:01" } else { "" };
    json!({ "nics": nics, "options": options, "hwaddr": hwaddr })
}

#[test]
fn whatever_is_accepted_arrives_and_whatever_fails_is_undone() {
    let (mut arrived, mut undone) = (0, 0);
    for seed in 0..400 {
        let mut random = Random(seed);
        let mut world = world(&mut random);
        for _ in 0..10 {
            let networks: Map<String, Value> = (0..random.below(3))
                .map(|_| (random.pick(&["n1", "n2", "n3", "n4"]).to_owned(), network(&mut random)))
                .collect();
            let bonds: Map<String, Value> = (0..random.below(2))
                .map(|_| (random.pick(&["bond1", "bond2", "bond9"]).to_owned(), bond(&mut random)))
                .collect();
            let (networks, bonds) = (Value::Object(networks), Value::Object(bonds));
            if world.running.networks.contains_key(&net("n2"))
                && world.has("n2")
                && !world.has("vnet2")
                && random.chance(10)
            {
                world.sim.plug_tap("vnet2", "n2");
            }
            if !world.problems(networks.clone(), bonds.clone()).is_empty() {
                continue;
            }
            let story = format!("seed {seed}: {networks} {bonds}");
            let (before, running) = (world.text(), world.running.clone());
            world.fuse.after(if random.chance(30) { random.below(25) } else { usize::MAX });
            let outcome = world.setup(networks, bonds);
            let blown = !world.fuse.is_set();
            world.fuse.after(usize::MAX);
            match outcome {
                Ok(done) => {
                    assert!(done.rounds <= 2, "{story}\n{}", done.plan);
                    arrived += 1;
                }
                Err(SetupError::RolledBack { missing, .. }) if blown => {
                    let after = world.text();
                    assert_eq!(after, before, "{story}\n{}", state::difference(&before, &after));
                    assert_eq!((missing, &world.running), (vec![], &running), "{story}");
                    undone += 1;
                }
                Err(error) => panic!("{story}\n{}\n{before}", chain(&error)),
            }
        }
    }
    assert!(arrived > 500 && undone > 50, "{arrived} {undone}");
}
