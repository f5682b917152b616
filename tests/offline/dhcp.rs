//! Networks that ask for their addresses, on the host in memory: whose clients serve what, what
//! follows from a lease, and that whatever fails all of it comes back.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use vdsm_configurators::fault::{Faulty, Fuse};
use vdsm_configurators::sim::Sim;
use vdsm_dhcp_client::Family;
use vdsm_model::dhcp::{Foreign, Lease, SeenClient, SeenClients};
use vdsm_model::graph::{Desired, Graph, Scope};
use vdsm_model::plan::Plan;
use vdsm_model::units::Prefixed;
use vdsm_net::asking::{Leaseless, without_lease};
use vdsm_net::transaction::{Cause, SetupError, Transaction};

use crate::world::{World, dev, net, request};

fn asks(nic: &str) -> Value {
    json!({ "nic": nic, "bootproto": "dhcp", "defaultRoute": true })
}

fn lease(last: u8) -> Lease {
    Lease {
        address: Prefixed { addr: [10, 77, 0, last].into(), prefix: 24 },
        gateway: Some([10, 77, 0, 1].into()),
        routes: Vec::new(),
        nameservers: Vec::new(),
    }
}

fn foreign() -> Foreign {
    Foreign {
        exe: "/sbin/dhclient".into(),
        argv: vec!["dhclient".into(), "-4".into(), "dummy_0".into()],
        cwd: "/".into(),
    }
}

#[test]
fn a_client_starts_when_its_device_stands_and_a_lease_brings_the_rest() {
    let mut world = World::new();
    let (plan, commands) = world.explain(json!({ "red": asks("dummy_0") }), json!({}));
    assert!(plan.ends_with("dhcp red: +DHCPv4\n"), "{plan}");
    assert_eq!(commands.last().map(String::as_str), Some("dhclient -4 red"));
    let done = world.set(json!({ "red": asks("dummy_0") }), json!({}));
    // Nobody of ours has it (`default_route.rs` has the others).
    assert_eq!(done.warnings, ["network 'red': the host has no IPv4 default route of ours until its lease arrives"]);
    assert_eq!((world.addresses("red"), world.rules()), (vec![], vec![]));
    // The lease arrives: re-applying is what follows from it.
    world.sim.offer(dev("red"), Family::V4, Some(lease(5)));
    assert_eq!(world.addresses("red"), ["10.77.0.5/24"]);
    let (plan, _) = world.explain(json!({ "red": asks("dummy_0") }), json!({}));
    assert!(plan.starts_with("address red: +default via 10.77.0.1"), "{plan}");
    world.set(json!({ "red": asks("dummy_0") }), json!({}));
    assert_eq!((world.routes("red"), world.rules().len()), (vec!["default via 10.77.0.1".to_owned()], 2));
    // Another lease leaves no stale rule, and none leaves nothing.
    world.sim.offer(dev("red"), Family::V4, Some(lease(6)));
    world.set(json!({ "red": asks("dummy_0") }), json!({}));
    let table = (10 << 24) + (77 << 16) + 6;
    assert!(world.rules().iter().all(|rule| rule.ends_with(&table.to_string())), "{:?}", world.rules());
    world.sim.offer(dev("red"), Family::V4, None);
    world.set(json!({ "red": asks("dummy_0") }), json!({}));
    assert_eq!((world.addresses("red"), world.routes("red"), world.rules()), (vec![], vec![], vec![]));
    // To static: the client ends.
    world.set(json!({ "red": { "nic": "dummy_0", "ipaddr": "192.0.2.5", "prefix": 24 } }), json!({}));
    assert!(world.link("red").dhcp.v4.is_none());
}

#[test]
fn a_bridge_has_its_ports_hardware_address() {
    let mut world = World::new();
    world.set(json!({ "red": asks("dummy_0") }), json!({}));
    assert_eq!(world.link("red").mac, world.link("dummy_0").mac);
    let (plan, _) = world.explain(json!({ "red": asks("dummy_0") }), json!({}));
    assert_eq!(plan, "nothing to do\n");
    world.set(json!({ "red": asks("dummy_1") }), json!({}));
    assert_eq!(world.link("red").mac, world.link("dummy_1").mac);
}

#[test]
fn whoever_waits_for_a_lease_has_it_or_fails() {
    let mut world = World::new();
    world.sim.offer(dev("red"), Family::V4, Some(lease(5)));
    let asked =
        request(json!({ "red": asks("dummy_0"), "blue": { "nic": "dummy_1", "bootproto": "dhcp" } }), json!({}));
    let policy = world.policy.clone();
    let before = world.text();
    let mut wait = |names: &[&str]| {
        let names: Vec<_> = names.iter().map(|name| net(name)).collect();
        let (running, policy) = (world.running.clone(), policy.clone());
        let rejudge = |seen: &_| Desired::build(&running, &asked, seen, &policy).map_err(SetupError::Refused);
        Transaction::plan(&mut world.host, &world.running, &asked, &policy)
            .and_then(|planned| planned.apply())
            .and_then(|applied| applied.leased(&names, Duration::from_secs(1), rejudge))
            .map(|_| ())
    };
    let error = wait(&["red", "blue"]).unwrap_err();
    let SetupError::RolledBack { cause: Cause::NoLease { networks, .. }, .. } = &error else { panic!("{error:?}") };
    let blue = Leaseless { network: net("blue"), why: None };
    assert_eq!((networks.as_slice(), error.code() as i64), ([blue].as_slice(), 29));
    wait(&["red"]).unwrap();
    assert_eq!(world.routes("red"), ["default via 10.77.0.1"]);
    assert_ne!(world.text(), before);
}

#[test]
fn a_client_that_cannot_even_ask_says_why() {
    let mut world = World::new();
    world.set(json!({ "red": { "nic": "dummy_0", "bootproto": "dhcp", "dhcpv6": true } }), json!({}));
    let mut seen = world.sim.look();
    let mut link = seen.link(&dev("red")).unwrap().clone();
    let trouble = Some("the kernel refuses a packet socket".to_owned());
    link.dhcp = Arc::new(SeenClients {
        v4: Some(SeenClient::default()),
        v6: Some(SeenClient { lease: None, trouble }),
        ..SeenClients::default()
    });
    seen.insert(Arc::new(link));
    let texts: Vec<String> =
        without_lease(&world.running, &[net("red")], &seen).iter().map(ToString::to_string).collect();
    assert_eq!(texts, ["red (the kernel refuses a packet socket)"]);
}

#[test]
fn whatever_fails_leases_and_clients_come_back() {
    let fuse = Fuse::never();
    let sim = Sim::with_nics(&["dummy_0", "dummy_1", "dummy_2", "dummy_3", "dummy_4", "dummy_5"]);
    let mut world = World::over(sim.clone(), Faulty { inner: sim.clone(), fuse: fuse.clone() });
    sim.serve(dev("dummy_1"), foreign());
    let mut bare = asks("dummy_0");
    bare["bridged"] = json!(false);
    world.set(json!({ "red": bare }), json!({}));
    sim.offer(dev("dummy_0"), Family::V4, Some(lease(5)));
    world.set(json!({ "red": bare }), json!({}));
    assert_eq!(world.routes("dummy_0"), ["default via 10.77.0.1"]);
    let before = world.text();
    let clients = |world: &World| ["dummy_0", "dummy_1"].map(|name| world.link(name).dhcp.clients());
    let were = clients(&world);
    assert!(were[0].v4 && were[1].foreign == [foreign()].into());
    // The lease's network gets a bridge, and the foreign client's nic becomes another's.
    let wish = || {
        json!({
            "red": asks("dummy_0"),
            "blue": { "nic": "dummy_1", "ipv6autoconf": true, "dhcpv6": true },
        })
    };
    for failing in 0.. {
        fuse.after(failing);
        let outcome = world.setup(wish(), json!({}));
        if outcome.is_ok() {
            fuse.after(usize::MAX);
            break;
        }
        assert!(matches!(outcome, Err(SetupError::RolledBack { .. })), "at {failing}: {:?}", outcome.map(|_| ()));
        assert_eq!(world.text(), before, "failing at action {failing}");
        assert_eq!(clients(&world), were, "failing at action {failing}");
    }
    assert_eq!(clients(&world), [Default::default(), Default::default()]);
    assert!(world.link("red").dhcp.v4.is_some() && world.link("blue").dhcp.v6.is_some());
    let (plan, _) = world.explain(wish(), json!({}));
    assert_eq!(plan, "nothing to do\n", "a second time");
}

/// Without a router nothing else of the device changes with its lease: the address alone comes back, and
/// is not left to the client, who asks the server first.
#[test]
fn a_rollback_gives_a_leased_address_back_itself() {
    let mut world = World::with(json!({ "red": { "nic": "dummy_0", "bootproto": "dhcp", "dhcpv6": true } }), json!({}));
    let six = Lease { address: Prefixed { addr: "fd77::5".parse().unwrap(), prefix: 128 }, gateway: None, ..lease(0) };
    world.sim.offer(dev("red"), Family::V4, Some(Lease { gateway: None, ..lease(5) }));
    world.sim.offer(dev("red"), Family::V6, Some(six));
    let seen = world.sim.look();
    let mut scope = Scope::default();
    scope.add(dev("red"));
    let before = Graph::seen(&seen, &scope);
    world.set(json!({ "red": { "nic": "dummy_0" } }), json!({}));
    let now = Graph::seen(&world.sim.look(), &scope);
    let back = Plan::between(&now, &before).to_string();
    assert!(back.contains("+fd77::5/128") && back.contains("+10.77.0.5/24"), "{back}");
    // Nobody can wish for one that a client has not lost.
    assert_eq!(Plan::between(&now, &now).to_string(), "nothing to do\n");
}
