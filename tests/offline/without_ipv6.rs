//! A kernel without IPv6: who asks for it is told, all else works, and what was stored with it is
//! restored without it.
//!
//! A real one is `tests/netns/without_ipv6.rs`'s.

use serde_json::{Value, json};
use vdsm_configurators::sim::Sim;
use vdsm_model::problem::{Code, Problem, Stage};
use vdsm_model::request::Request;
use vdsm_net::asking::without_lease;
use vdsm_net::check::check;
use vdsm_net::restore::possible;

use crate::common::random::{Kinds, Random, config};
use crate::refusals::{refuses, unknown_nic};
use crate::world::{NICS, World, net, request};

fn world() -> World {
    let sim = Sim::with_nics(&NICS).without_ipv6();
    World::over(sim.clone(), sim)
}

/// With networks from before its kernel lost IPv6, as a restore leaves them.
fn rebooted() -> World {
    let mut world = world();
    let full = World::with(networks(), json!({}));
    world.running = full.running;
    let stored = possible(&world.running, &world.sim.look(), &world.policy);
    let request = Request::between(&Default::default(), &stored.config);
    let running = std::mem::take(&mut world.running);
    world.setup_request(&request);
    world.running = running;
    world
}

fn networks() -> Value {
    json!({
        "red": {
            "nic": "dummy_0", "ipaddr": "10.0.0.5", "prefix": 24, "gateway": "10.0.0.1", "defaultRoute": true,
            "ipv6addr": "fd00::5/64", "ipv6gateway": "fd00::1",
        },
        "blue": { "nic": "dummy_1", "bridged": false, "bootproto": "dhcp", "dhcpv6": true, "ipv6autoconf": true },
        "green": { "nic": "dummy_2" },
    })
}

fn none(network: &str, key: &'static str, value: &str) -> Problem {
    Problem::NoIpv6 { network: net(network), key, value: value.to_owned() }
}

#[test]
fn each_key_that_needs_it_is_named_with_all_else_that_is_wrong() {
    let mut world = world();
    let before = world.text();
    let asked = json!({
        "a": { "nic": "dummy_0", "ipv6addr": "fd00::5", "ipv6gateway": "fd00::1" },
        "b": { "nic": "dummy_9", "ipv6autoconf": true, "dhcpv6": "1" },
        // It could not be read whole.
        "c": { "nic": "dummy_1", "ipaddr": "10.0.0.5", "prefix": 33, "dhcpv6": true },
    });
    let problems = world.problems(asked.clone(), json!({}));
    for expected in [
        none("a", "ipv6addr", "fd00::5/64"),
        none("b", "ipv6autoconf", "true"),
        none("b", "dhcpv6", "true"),
        none("c", "dhcpv6", "true"),
        unknown_nic(vdsm_model::problem::Subject::Network("b".to_owned()), "dummy_9"),
    ] {
        assert!(problems.contains(&expected), "{expected}\n{problems:#?}");
    }
    assert_eq!(problems.len(), 6, "{problems:#?}");
    world.setup(asked, json!({})).map(|_| ()).unwrap_err();
    assert_eq!(world.text(), before);
    let alone = none("a", "ipv6addr", "fd00::5/64");
    assert_eq!(
        (alone.to_string(), alone.code(), alone.stage()),
        ("network 'a': ipv6addr is fd00::5/64, but this kernel has no IPv6".to_owned(), Code::BadAddr, Stage::Apply)
    );
    refuses(&world, json!({ "a": { "nic": "dummy_0", "ipv6addr": "fd00::5" } }), json!({}), &[alone]);
}

#[test]
fn what_was_restored_without_it_is_told_and_can_be_left_moved_and_removed() {
    let world = rebooted();
    assert_eq!(world.addresses("red"), ["10.0.0.5/24"]);
    let clients = world.link("dummy_1").dhcp.clients();
    assert!(clients.v4 && !clients.v6);
    let seen = world.sim.look();
    let reasons: Vec<String> =
        possible(&world.running, &seen, &world.policy).skipped.into_iter().map(|it| it.reason).collect();
    assert_eq!(
        reasons,
        [
            "restored without ipv6autoconf = true, dhcpv6 = true, for this kernel has no IPv6",
            "restored without ipv6addr = fd00::5/64, for this kernel has no IPv6",
        ]
    );
    // Nobody waits for what cannot come.
    let lacking = without_lease(&world.running, &[net("blue"), net("red")], &seen);
    assert_eq!(lacking.len(), 1, "DHCPv4 alone: {lacking:?}");
    // It is told, and nothing can mend it.
    let checked = check(&world.running, &seen, &world.policy, None);
    let told = checked.to_json().to_string();
    assert!(told.contains("ipv6addr is fd00::5/64, but this kernel has no IPv6"), "{told}");
    assert!(!checked.in_sync() && checked.plan.is_empty());
    assert_eq!(checked.networks[&net("green")].differences, []);
    let removed = json!({ "remove": true });
    let yellow =
        json!({ "nic": "dummy_3", "ipaddr": "10.1.0.5", "prefix": 24, "gateway": "10.1.0.1", "defaultRoute": true });
    for networks in [
        json!({ "green": { "nic": "dummy_2", "mtu": 1200 } }),
        json!({ "green": { "nic": "dummy_2", "ipaddr": "10.2.0.5", "prefix": 24 } }),
        // It takes the default route from `red`, which is not named and goes on as it can.
        json!({ "yellow": yellow }),
        json!({ "red": removed, "blue": removed, "green": removed }),
    ] {
        let mut world = rebooted();
        world.set(networks.clone(), json!({}));
        assert!(!networks.as_object().unwrap().contains_key("yellow") || world.routes("red").is_empty());
    }
    // Named, it is judged as it is asked for.
    let mut red = networks()["red"].take();
    assert_eq!(rebooted().problems(json!({ "red": red }), json!({})), [none("red", "ipv6addr", "fd00::5/64")]);
    red.as_object_mut().unwrap().retain(|key, _| !key.starts_with("ipv6"));
    rebooted().set(json!({ "red": red }), json!({}));
}

#[test]
fn all_else_is_as_on_any_kernel() {
    let nics: Vec<String> = NICS.map(str::to_owned).to_vec();
    for seed in 0..100 {
        let mut random = Random(seed);
        let mut world = world();
        for _ in 0..6 {
            let mut wanted = config(&mut random, &nics, Kinds { bonds: true, vlans: true });
            let names: Vec<_> = wanted.networks.keys().cloned().collect();
            names.iter().for_each(|name| wanted.networks.change(name, |net| net.drop_ipv6()));
            world.setup_request(&Request::between(&world.running, &wanted));
            assert_eq!(world.running, wanted, "seed {seed}");
            assert!(check(&wanted, &world.sim.look(), &world.policy, None).in_sync(), "seed {seed}");
        }
    }
    // `::` is the engine's word for none.
    let plain = json!({ "n": { "nic": "dummy_0", "ipv6autoconf": false, "dhcpv6": false } });
    assert_eq!(world().judge(&request(plain, json!({})), &world().sim.look()), []);
}
