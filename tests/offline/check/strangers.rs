//! What is missing, what cannot be judged, and what strangers do: who is told, and that the rest
//! is judged nevertheless.

use serde_json::json;
use vdsm_configurators::iproute2::{Action, NewLink};
use vdsm_model::bond_options::BondOptions;
use vdsm_model::config::{BondAddresses, Bonds};
use vdsm_model::ip::Route;
use vdsm_model::netinfo::SeenKind;
use vdsm_model::resolver::{Manager, Resolver};
use vdsm_net::check::{State, check};

use super::{CLEAN, texts, verdict};
use crate::world::{World, dev, net};

fn bonded() -> World {
    World::with(
        json!({ "a": { "bonding": "bond0", "vlan": 1, "bridged": false }, "b": { "bonding": "bond0", "vlan": 2 }, "c": { "nic": "dummy_3" } }),
        json!({ "bond0": { "nics": ["dummy_0", "dummy_1"], "options": "mode=1" } }),
    )
}

// ---- What is missing.

#[test]
fn a_network_on_a_missing_nic_is_missing() {
    let world = bonded();
    world.sim.unplug("dummy_3");
    let checked = world.check();
    let c = verdict(&checked, "c");
    assert_eq!((c.state, texts(c)), (State::Missing, vec!["its nic dummy_3 is missing".to_owned()]));
    assert_eq!(c.differences[0].mends, None);
    assert!(checked.plan.is_empty() && !checked.in_sync());
    assert!(!checked.request.networks.contains_key(&net("c")), "it would be refused");
}

#[test]
fn a_bond_without_one_of_its_slaves_is_drifted_and_the_rest_is_judged() {
    let mut world = bonded();
    world.sim.unplug("dummy_1");
    world.set_mtu("bond0.1", 1400);
    let checked = world.check();
    let bond = verdict(&checked, "bond0");
    assert_eq!((bond.state, texts(bond)), (State::Drifted, vec!["its slave dummy_1 is missing".to_owned()]));
    assert_eq!(
        texts(verdict(&checked, "a")),
        ["its bond bond0 is out of sync", "the MTU of bond0.1 is 1400 instead of 1500"]
    );
    assert_eq!(verdict(&checked, "b").state, State::Drifted);
    assert_eq!(checked.plan.to_string(), "change vlan bond0.1: mtu 1400 -> 1500\n");
}

#[test]
fn a_bond_without_any_of_its_slaves_is_missing() {
    let world = bonded();
    world.sim.unplug("dummy_0");
    world.sim.unplug("dummy_1");
    let checked = world.check();
    let bond = verdict(&checked, "bond0");
    assert_eq!(bond.state, State::Missing);
    assert_eq!(texts(bond), ["its slave dummy_0 is missing", "its slave dummy_1 is missing"]);
    assert_eq!(texts(verdict(&checked, "a")), ["its bond bond0 is out of sync"]);
}

#[test]
fn a_bond_that_is_gone_is_missing_and_so_is_what_stood_on_it() {
    let mut world = bonded();
    world.delete("bond0");
    let checked = world.check();
    assert_eq!(texts(verdict(&checked, "bond0")), ["the bond bond0 is missing"]);
    let a = verdict(&checked, "a");
    assert_eq!(a.state, State::Missing);
    assert_eq!(texts(a), ["its bond bond0 is missing", "the vlan bond0.1 is missing"]);
    let step = a.differences[0].mends.and_then(|at| checked.plan.steps()[at].device());
    assert_eq!(step, Some(dev("bond0")));
    world.heal();
}

#[test]
fn a_bond_that_is_gone_with_its_slaves_cannot_be_mended() {
    let mut world = bonded();
    world.delete("bond0");
    world.sim.unplug("dummy_0");
    world.sim.unplug("dummy_1");
    let checked = world.check();
    assert_eq!(verdict(&checked, "bond0").state, State::Missing);
    assert_eq!(texts(verdict(&checked, "a")), ["its bond bond0 is missing"]);
    assert_eq!(verdict(&checked, "a").state, State::Missing);
    assert_eq!(verdict(&checked, "c").state, State::InSync);
    assert!(checked.plan.is_empty());
}

// ---- What cannot be judged.

#[test]
fn a_name_taken_by_another_device_is_told_of_its_network_alone() {
    let mut world = bonded();
    world.delete("c");
    world.act(Action::AddLink { name: dev("c"), kind: NewLink::Bond(BondOptions::default()), mtu: None, mac: None });
    world.set_mtu("bond0.1", 1400);
    let checked = world.check();
    let c = verdict(&checked, "c");
    assert_eq!(c.state, State::Drifted);
    assert_eq!(texts(c), ["network 'c': it needs a device called 'c', but that name is taken (bond)"]);
    assert_eq!(texts(verdict(&checked, "a")), ["the MTU of bond0.1 is 1400 instead of 1500"]);
    assert_eq!(texts(verdict(&checked, "b")), CLEAN);
    assert_eq!(checked.plan.to_string(), "change vlan bond0.1: mtu 1400 -> 1500\n");
}

#[test]
fn a_slave_that_a_stranger_has_taken_is_told_of_the_bond() {
    let mut world = bonded();
    world.leave("dummy_1");
    world.add_bridge("br9", &["dummy_1"]);
    let checked = world.check();
    let bond = verdict(&checked, "bond0");
    let held = "dummy_1 is port of br9, which is not ours; nothing here is mended until it is free";
    assert_eq!(texts(bond), [held, "dummy_1 left bond0"]);
    assert!(bond.differences.iter().all(|difference| difference.mends.is_none()));
    for name in ["a", "b"] {
        assert_eq!(texts(verdict(&checked, name)), ["its bond bond0 is out of sync"], "{name}");
    }
    assert!(checked.request.networks.contains_key(&net("a")) && checked.plan.is_empty());
}

#[test]
fn what_else_is_the_matter_with_a_network_whose_nic_a_stranger_holds_is_told() {
    let mut world = World::with(
        json!({ "n": { "nic": "dummy_0", "ipaddr": "192.0.2.1", "prefix": 24 }, "m": { "nic": "dummy_1" } }),
        json!({}),
    );
    world.leave("dummy_0");
    world.add_bridge("br9", &["dummy_0"]);
    world.set_mtu("n", 1400);
    world.set_mtu("m", 1400);
    let checked = world.check();
    let n = verdict(&checked, "n");
    assert_eq!(n.state, State::Drifted);
    assert_eq!(
        texts(n),
        [
            "dummy_0 is port of br9, which is not ours; nothing here is mended until it is free",
            "the MTU of n is 1400 instead of 1500",
            "dummy_0 left n",
        ]
    );
    assert!(n.differences.iter().all(|difference| difference.mends.is_none()));
    assert_eq!(checked.plan.to_string(), "change bridge m: mtu 1400 -> 1500\n", "the stranger's nic is left alone");
}

#[test]
fn a_nic_that_somebody_gives_to_a_bridge_of_ours_is_his() {
    let mut world = World::with(json!({ "n": { "nic": "dummy_0" } }), json!({}));
    world.join("dummy_3", "n");
    assert_eq!(world.said("n"), CLEAN);
    assert!(world.check().plan.is_empty());
}

#[test]
fn a_strangers_vlan_on_a_slave_keeps_the_bond_and_all_upon_it_from_being_judged() {
    let mut world = bonded();
    world.add_vlan("theirs", "dummy_0", 7);
    let checked = world.check();
    let told = "nic 'dummy_0' has several uses: 'slave of bond0' and 'the vlan theirs upon it'";
    assert_eq!(texts(verdict(&checked, "bond0")), [told]);
    assert_eq!(texts(verdict(&checked, "a")), ["its bond bond0 is out of sync"]);
    assert_eq!(texts(verdict(&checked, "c")), CLEAN);
    assert!(!checked.request.networks.contains_key(&net("a")), "it would be refused");
}

#[test]
fn a_bond_that_a_strangers_bridge_holds_is_told() {
    let mut world = World::with(
        json!({ "a": { "bonding": "bond0", "bridged": false } }),
        json!({ "bond0": { "nics": ["dummy_0"], "options": "mode=1" } }),
    );
    world.add_bridge("br9", &["bond0"]);
    let told = "bond0 is port of br9, which is not ours; nothing here is mended until it is free";
    assert_eq!(world.said("bond0"), [told]);
    assert_eq!(world.said("a"), ["its bond bond0 is out of sync"]);
}

#[test]
fn a_bond_whose_primary_is_missing_goes_on_with_the_others() {
    let world = World::with(
        json!({ "a": { "bonding": "bond0", "vlan": 1 } }),
        json!({ "bond0": { "nics": ["dummy_0", "dummy_1"], "options": "mode=1 primary=dummy_1" } }),
    );
    world.sim.unplug("dummy_1");
    assert_eq!(world.said("bond0"), ["its slave dummy_1 is missing"]);
    assert_eq!(world.said("a"), ["its bond bond0 is out of sync"]);
    assert!(world.check().plan.is_empty());
}

#[test]
fn name_servers_that_somebody_changed_are_told_of_the_network_that_brought_them() {
    let mut world = World::new();
    let attributes = json!({
        "nic": "dummy_0", "ipaddr": "192.0.2.9", "prefix": 24, "gateway": "192.0.2.1", "defaultRoute": true, "nameservers": ["192.0.2.53"]
    });
    world.set(json!({ "n": attributes, "m": { "nic": "dummy_1" } }), json!({}));
    let ours = world.sim.look().resolver;
    let manager = Manager::File { text: Some("nameserver 9.9.9.9\n".to_owned()) };
    world.sim.set_resolver(Resolver { manager, ..(*ours).clone() });
    assert_eq!(world.said("n"), ["the name servers are 9.9.9.9 instead of 192.0.2.53"]);
    assert_eq!(world.said("m"), CLEAN);
    let checked = world.check();
    let difference = &verdict(&checked, "n").differences[0];
    assert_eq!((difference.device, difference.mends), (None, Some(0)));
    assert_eq!(checked.plan.to_string(), "set resolver of the host: name servers 9.9.9.9 -> 192.0.2.53\n");
    assert_eq!(checked.plan.to_json()[0]["object"], "resolver");
    // And who is in charge of it now, if that is nobody we could tell.
    let why = "/etc/resolv.conf is generated by NetworkManager".to_owned();
    world.sim.set_resolver(Resolver { manager: Manager::Closed { why, servers: Vec::new() }, ..(*ours).clone() });
    assert_eq!(
        world.said("n"),
        ["network 'n': nameservers cannot be had, for /etc/resolv.conf is generated by NetworkManager"]
    );
    assert!(world.check().plan.is_empty());
}

#[test]
fn nobody_plans_to_make_a_nic() {
    let world = bonded();
    // vdsm.conf does not let it in any more: it is no nic, and no other object of ours.
    let mut slave = world.link("dummy_1");
    (slave.nic, slave.kind) = (false, SeenKind::Other("dummy".to_owned()));
    let seen = world.sim.look().with([(dev("dummy_1"), Some(slave))]);
    let checked = check(&world.running, &seen, &world.policy, None);
    assert!(checked.plan.is_empty(), "{}", checked.plan);
    let told = "bond 'bond0': unknown nic 'dummy_1': the host has none of that name, or hides it";
    assert_eq!(texts(verdict(&checked, "bond0")), [told]);
}

#[test]
fn a_nic_that_is_hidden_now_is_told() {
    let world = bonded();
    let mut seen = world.sim.look();
    let mut nic = world.link("dummy_3");
    nic.nic = false;
    seen = seen.with([(dev("dummy_3"), Some(nic))]);
    let checked = check(&world.running, &seen, &world.policy, None);
    assert_eq!(
        texts(verdict(&checked, "c")),
        ["network 'c': unknown nic 'dummy_3': the host has none of that name, or hides it"]
    );
    assert_eq!(verdict(&checked, "a").state, State::InSync);
}

#[test]
fn what_this_configurator_does_not_have_cannot_drift() {
    let mut world = World::new();
    world.set(
        json!({ "n": { "nic": "dummy_0", "ipaddr": "192.0.2.9", "prefix": 24, "gateway": "192.0.2.1", "defaultRoute": true, "nameservers": ["192.0.2.53"] } }),
        json!({}),
    );
    assert_eq!(world.said("n"), CLEAN);
    world.policy.features.clear();
    // As another version stored it: restore has said that it was left out, and nobody can mend it.
    assert_eq!(world.said("n"), CLEAN);
    assert!(world.check().plan.is_empty());
}

#[test]
fn two_default_routes_of_a_broken_store_are_told_of_both() {
    let mut world = World::with(json!({ "a": { "nic": "dummy_0" }, "b": { "nic": "dummy_1" }, "c": {} }), json!({}));
    for name in ["a", "b"] {
        world.running.networks.change(&net(name), |net| net.default_route = true);
    }
    let told = "defaultRoute is true on 'a' and 'b', but only a single default route network is allowed";
    assert_eq!((world.said("a"), world.said("b")), (vec![told.to_owned()], vec![told.to_owned()]));
    assert_eq!(world.said("c"), CLEAN);
}

// ---- What strangers do.

#[test]
fn a_strangers_default_route_is_told_of_the_network_whose_route_it_rivals() {
    let mut world = World::with(
        json!({
            "mgmt": { "nic": "dummy_0", "ipaddr": "192.0.2.9", "prefix": 24, "gateway": "192.0.2.1", "defaultRoute": true },
            "other": { "nic": "dummy_1" },
        }),
        json!({}),
    );
    world.drop_address("mgmt", "192.0.2.9/24");
    world.add_address("dummy_3", "198.51.100.7/24");
    world.add_default_route("dummy_3", "198.51.100.1");
    let checked = world.check();
    assert_eq!(
        texts(verdict(&checked, "mgmt")),
        [
            "address 192.0.2.9/24 on mgmt is missing",
            "default route via 192.0.2.1 on mgmt is missing",
            "default route via 192.0.2.1 table 3221225993 on mgmt is missing",
            "route 192.0.2.0/24 table 3221225993 on mgmt is missing",
            "default via 198.51.100.1 on dummy_3 is in the way of its default route",
        ]
    );
    // The last is over once it is replaced.
    assert!(verdict(&checked, "mgmt").differences.iter().all(|difference| difference.mends.is_some()));
    assert_eq!(texts(verdict(&checked, "other")), CLEAN);
    world.heal();
}

#[test]
fn a_nic_that_a_bridge_of_ours_holds_is_told_of_both_networks() {
    let mut world = World::with(
        json!({ "plain": { "nic": "dummy_0", "bridged": false }, "net1": { "nic": "dummy_1" } }),
        json!({}),
    );
    world.enter("dummy_0", "net1");
    assert_eq!(world.said("plain"), ["dummy_0 is held by net1"]);
    assert_eq!(world.said("net1"), ["port dummy_0 of net1 is not ours"]);
    world.heal();
}

#[test]
fn a_strangers_address_on_a_bond_is_drift_only_where_it_would_be_replaced() {
    for (policy, told) in [
        (BondAddresses::Preserve, vec![]),
        (BondAddresses::Replace, vec!["address 198.51.100.7/24 on bond0 is not ours"]),
    ] {
        let mut world = World::new();
        world.policy.bond_addresses = policy;
        world.set(
            json!({ "n": { "bonding": "bond0", "bridged": false, "ipaddr": "192.0.2.9", "prefix": 24 } }),
            json!({ "bond0": { "nics": ["dummy_0"] } }),
        );
        world.add_address("bond0", "198.51.100.7/24");
        if policy == BondAddresses::Preserve {
            // One of the same subnet after ours does not push ours back.
            world.add_address("bond0", "192.0.2.77/24");
        }
        assert_eq!(world.said("n"), told, "{policy:?}");
        assert_eq!(world.said("bond0"), CLEAN, "an address is the network's affair");
    }
}

#[test]
fn a_bond_that_is_not_ours_is_judged_with_its_network() {
    let mut world = World::new();
    world.add_bond("bond9", "mode=1", &["dummy_0"]);
    world.set(json!({ "n": { "bonding": "bond9", "bridged": false } }), json!({}));
    // As an older version may have stored it.
    world.running.bonds = Bonds::new();
    assert!(world.check().in_sync());
    world.set_mtu("bond9", 1600);
    assert_eq!(
        world.said("n"),
        ["the MTU of dummy_0 is 1600 instead of 1500", "the MTU of bond9 is 1600 instead of 1500"]
    );
    world.delete("bond9");
    assert_eq!(world.said("n"), ["its bond bond9 is missing"]);
    assert!(matches!(world.link("dummy_0").kind, SeenKind::Nic));
}

#[test]
fn a_default_route_in_the_way_is_mended_by_the_step_that_takes_it_over() {
    let gateway = |nic: &str, n: u8, default: bool| json!({ "nic": nic, "ipaddr": format!("10.{n}.0.5"), "prefix": 24, "gateway": format!("10.{n}.0.1"), "defaultRoute": default });
    let mut world =
        World::with(json!({ "red": gateway("dummy_0", 0, true), "blue": gateway("dummy_1", 1, false) }), json!({}));
    world.act(Action::DelRoute { device: dev("red"), route: Route::default_via([10, 0, 0, 1].into()) });
    world.add_default_route("blue", "10.1.0.77");
    let checked = world.check();
    let mends: Vec<_> = checked.networks.values().flat_map(|it| &it.differences).map(|it| it.mends).collect();
    assert!(mends.len() >= 2 && mends.iter().all(|step| *step == Some(0)), "{:#}", checked.to_json());
}
