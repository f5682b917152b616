//! The host's default route moves to a network that has no lease yet: never two, and never none
//! where that can be helped, after each single action.
//!
//! What others have in its place is `rivals.rs`'s. That a lease is reacted to is `src/keeper/tests/leases.rs`'s; here re-applying stands for it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use vdsm_configurators::fault::{Faulty, Fuse};
use vdsm_configurators::iproute2::{Action, Kernel};
use vdsm_configurators::sim::Sim;
use vdsm_configurators::{Begin, RunError};
use vdsm_dhcp_client::Family;
use vdsm_model::dhcp::Lease;
use vdsm_model::graph::Desired;
use vdsm_model::ip::MAIN_TABLE;
use vdsm_model::netinfo::{NetInfo, SeenLink};
use vdsm_model::units::Prefixed;
use vdsm_net::check::check;
use vdsm_net::connectivity::Lost;
use vdsm_net::transaction::{Done, SetupError, Transaction};

use crate::world::{NICS, World, dev, net, request};

/// The IPv4 default routes, each as `GATEWAY DEVICE`.
fn default_routes(seen: &NetInfo) -> Vec<String> {
    default_routes_of(seen, false)
}

/// The default routes of IPv6 or else of IPv4, announced ones among them.
pub(crate) fn default_routes_of(seen: &NetInfo, v6: bool) -> Vec<String> {
    let of = |link: &SeenLink| link.routes.iter().chain(&link.made_routes).copied().collect::<Vec<_>>();
    let all = seen.links().flat_map(|link| of(link).into_iter().map(|route| (link.name, route)));
    let ours = all.filter(|(_, r)| r.to.prefix == 0 && r.to.addr.is_ipv6() == v6 && r.table == MAIN_TABLE);
    ours.filter_map(|(device, route)| Some(format!("{} {device}", route.gateway?))).collect()
}

/// A kernel that is looked at after every single action.
#[derive(Debug)]
pub(crate) struct Watched {
    sim: Sim,
    moments: Moments,
    v6: bool,
}

/// The default routes after each action.
type Moments = Arc<Mutex<Vec<Vec<String>>>>;

impl Watched {
    /// A host like that, with a fuse, and what is seen of its default routes of that family.
    pub(crate) fn world(sim: &Sim, v6: bool) -> (World, Fuse, Moments) {
        let (fuse, moments) = (Fuse::never(), Moments::default());
        let watched = Watched { sim: sim.clone(), moments: Arc::clone(&moments), v6 };
        (World::over(sim.clone(), Faulty { inner: watched, fuse: fuse.clone() }), fuse, moments)
    }
}

impl Kernel for Watched {
    fn run(
        &mut self,
        actions: &[(usize, Action)],
        _: &NetInfo,
        begin: &mut Begin<'_>,
    ) -> Result<(), (usize, RunError)> {
        for (at, action) in actions.iter().enumerate() {
            begin(at..at + 1);
            self.sim.act(&action.1).map_err(|error| (at, error))?;
            self.moments.lock().unwrap().push(default_routes_of(&self.sim.look(), self.v6));
        }
        Ok(())
    }
}

struct Stage {
    world: World,
    fuse: Fuse,
    moments: Moments,
}

impl Stage {
    /// `red` has the default route, by a static gateway.
    fn new() -> Stage {
        let (world, fuse, moments) = Watched::world(&Sim::with_nics(&NICS), false);
        let mut stage = Stage { world, fuse, moments };
        stage.world.set(json!({ "red": red(true) }), json!({}));
        stage.are(["10.0.0.1 red"]);
        stage.moments.lock().unwrap().clear();
        stage
    }

    /// A change, with exactly one default route at every moment of it.
    #[track_caller]
    fn gapless(&mut self, networks: Value) -> Done {
        let done = self.world.set(networks, json!({}));
        for (at, moment) in self.moments.lock().unwrap().drain(..).enumerate() {
            assert_eq!(moment.len(), 1, "after action {at}: {moment:?}\n{}", done.plan);
        }
        self.in_sync();
        done
    }

    #[track_caller]
    fn are<const N: usize>(&self, expected: [&str; N]) {
        assert_eq!(default_routes(&self.world.sim.look()), expected);
    }

    #[track_caller]
    fn in_sync(&self) {
        let checked = check(&self.world.running, &self.world.sim.look(), &self.world.policy, None);
        assert!(checked.in_sync(), "{}", checked.to_json());
    }

    fn offer(&self, device: &str, lease: Option<Lease>) {
        self.world.sim.offer(dev(device), Family::V4, lease);
    }

    /// What follows from a lease of `blue`, as the keeper does it: its network alone is applied again.
    #[track_caller]
    fn follow(&mut self) {
        self.gapless(json!({ "blue": blue() }));
    }
}

fn red(default: bool) -> Value {
    json!({ "nic": "dummy_0", "ipaddr": "10.0.0.5", "prefix": 24, "gateway": "10.0.0.1", "defaultRoute": default })
}

fn blue() -> Value {
    json!({ "nic": "dummy_1", "bootproto": "dhcp", "defaultRoute": true })
}

fn lease(subnet: u8, gateway: u8) -> Lease {
    Lease {
        address: Prefixed { addr: [10, subnet, 0, 5].into(), prefix: 24 },
        gateway: (gateway != 0).then(|| [10, subnet, 0, gateway].into()),
        routes: Vec::new(),
        nameservers: Vec::new(),
    }
}

const STAYS: &str = "network 'blue': network 'red' keeps the host's IPv4 default route until its lease arrives";

#[test]
fn the_former_owner_keeps_it_until_the_lease() {
    let mut stage = Stage::new();
    let rules = stage.world.rules();
    let (plan, _) = stage.world.explain(json!({ "blue": blue() }), json!({}));
    assert!(
        plan.ends_with("dhcp blue: +DHCPv4, default via 10.0.0.1 stays on red until the lease arrives\n"),
        "{plan}"
    );
    let done = stage.gapless(json!({ "blue": blue() }));
    assert_eq!(done.warnings, [STAYS]);
    stage.are(["10.0.0.1 red"]);
    assert!(!stage.world.network("red").default_route && stage.world.network("blue").default_route);
    assert_eq!(stage.world.rules(), rules);
    // Whoever is applied again meanwhile, it stays.
    stage.gapless(json!({ "red": red(false) }));
    stage.gapless(json!({ "red": red(false), "blue": blue() }));
    stage.gapless(json!({ "green": { "nic": "dummy_2" } }));
    stage.are(["10.0.0.1 red"]);
    // The lease comes, and the plan says who gives way.
    stage.offer("blue", Some(lease(77, 1)));
    let (plan, _) = stage.world.explain(json!({ "blue": blue() }), json!({}));
    assert!(
        plan.contains("+default via 10.77.0.1") && plan.contains("instead of default via 10.0.0.1 on red"),
        "{plan}"
    );
    stage.follow();
    stage.are(["10.77.0.1 blue"]);
    assert!(stage.world.rules().len() == 4 && rules.iter().all(|rule| stage.world.rules().contains(rule)));
    // And back, as it always was.
    stage.gapless(json!({ "red": red(true) }));
    stage.are(["10.0.0.1 red"]);
}

/// Before the keeper has followed the lease, somebody names the one that has kept the route.
#[test]
fn whoever_gives_it_up_meanwhile_gives_it_to_the_one_with_the_lease() {
    for former in [red(false), json!({ "nic": "dummy_0" }), json!({ "remove": true })] {
        let mut stage = Stage::new();
        stage.gapless(json!({ "blue": blue() }));
        stage.offer("blue", Some(lease(77, 1)));
        stage.gapless(json!({ "red": former }));
        stage.are(["10.77.0.1 blue"]);
        stage.follow();
    }
    // One that brings no router has nothing to take.
    let mut stage = Stage::new();
    stage.gapless(json!({ "blue": blue() }));
    stage.offer("blue", Some(lease(77, 0)));
    stage.world.set(json!({ "red": red(false) }), json!({}));
    stage.are([]);
}

#[test]
fn one_with_a_lease_of_its_own_keeps_it_as_well() {
    let mut stage = Stage::new();
    let green = |default: bool| json!({ "nic": "dummy_2", "bootproto": "dhcp", "defaultRoute": default });
    stage.gapless(json!({ "green": green(true) }));
    stage.offer("green", Some(lease(88, 1)));
    stage.gapless(json!({ "green": green(true) }));
    stage.are(["10.88.0.1 green"]);
    stage.gapless(json!({ "blue": blue() }));
    stage.are(["10.88.0.1 green"]);
    // Its lease may come with another router.
    stage.offer("green", Some(lease(88, 2)));
    let done = stage.world.set(json!({ "green": green(false) }), json!({}));
    assert_eq!(done.rounds, 1);
    stage.are(["10.88.0.2 green"]);
    stage.moments.lock().unwrap().clear();
    stage.offer("blue", Some(lease(77, 1)));
    stage.follow();
    stage.are(["10.77.0.1 blue"]);
}

#[test]
fn it_is_kept_for_whoever_waits_last_and_on_a_bond_too() {
    let mut stage = Stage::new();
    let bonds = json!({ "bond0": { "nics": ["dummy_0"], "options": "mode=1" } });
    let on_bond = |default: bool| {
        let mut net = red(default);
        let it = net.as_object_mut().unwrap();
        it.remove("nic");
        it.extend([("bonding".to_owned(), json!("bond0")), ("bridged".to_owned(), json!(false))]);
        net
    };
    stage.world.set(json!({ "red": on_bond(true) }), bonds);
    stage.moments.lock().unwrap().clear();
    stage.gapless(json!({ "blue": blue() }));
    stage.gapless(json!({ "red": on_bond(false) }));
    // Another one is to have it, and waits as well.
    let green = json!({ "nic": "dummy_2", "bootproto": "dhcp", "defaultRoute": true });
    let done = stage.gapless(json!({ "green": green }));
    assert!(done.warnings[0].contains("'green': network 'red' keeps"), "{:?}", done.warnings);
    stage.are(["10.0.0.1 bond0"]);
    // Nobody is to have it any more: what was kept goes, though its network is not named.
    stage.world.set(json!({ "green": { "remove": true } }), json!({}));
    stage.are([]);
    stage.in_sync();
}

#[test]
fn another_gateway_takes_the_place_of_the_former_one() {
    let mut stage = Stage::new();
    let mut other = red(true);
    other["gateway"] = json!("10.0.0.2");
    let done = stage.gapless(json!({ "red": other }));
    stage.are(["10.0.0.2 red"]);
    assert!(done.plan.steps().iter().all(|step| step.interruption().is_none()), "{}", done.plan);
}

#[test]
fn who_stands_already_takes_it_before_its_former_owner_goes() {
    let still = |default: bool| json!({ "nic": "dummy_2", "ipaddr": "10.4.0.5", "prefix": 24, "gateway": "10.4.0.1", "defaultRoute": default });
    // The former owner goes, gets another device, or another nic below it.
    let moved = json!({ "nic": "dummy_3", "ipaddr": "10.0.0.5", "prefix": 24, "gateway": "10.0.0.1" });
    let bare = json!({ "nic": "dummy_0", "bridged": false, "ipaddr": "10.0.0.5", "prefix": 24 });
    for former in [json!({ "remove": true }), moved, bare] {
        let mut stage = Stage::new();
        stage.gapless(json!({ "green": still(false) }));
        stage.gapless(json!({ "green": still(true), "red": former }));
        stage.are(["10.4.0.1 green"]);
    }
    // And a former owner that lives by a lease.
    let mut stage = Stage::new();
    stage.world.set(json!({ "green": still(false), "blue": blue(), "red": { "remove": true } }), json!({}));
    stage.offer("blue", Some(lease(3, 1)));
    stage.world.set(json!({ "blue": blue() }), json!({}));
    stage.are(["10.3.0.1 blue"]);
    stage.moments.lock().unwrap().clear();
    stage.gapless(json!({ "green": still(true), "blue": { "remove": true } }));
    stage.are(["10.4.0.1 green"]);
}

#[test]
fn it_ends_with_its_network_its_gateway_and_the_wait() {
    let removed = json!({ "remove": true });
    let bare = json!({ "nic": "dummy_0", "ipaddr": "10.0.0.5", "prefix": 24 });
    let other =
        json!({ "nic": "dummy_2", "ipaddr": "10.2.0.5", "prefix": 24, "gateway": "10.2.0.1", "defaultRoute": true });
    let yields = json!({ "nic": "dummy_1", "bootproto": "dhcp" });
    let cases: [(Value, &[&str]); 5] = [
        (json!({ "red": removed }), &[]),
        (json!({ "red": bare }), &[]),
        (json!({ "blue": removed }), &[]),
        (json!({ "blue": yields }), &[]),
        (json!({ "green": other }), &["10.2.0.1 green"]),
    ];
    for (networks, left) in cases {
        let mut stage = Stage::new();
        stage.gapless(json!({ "blue": blue() }));
        stage.world.set(networks.clone(), json!({}));
        assert_eq!(default_routes(&stage.world.sim.look()), left, "{networks}");
        stage.in_sync();
    }
    // A lease without a router: the network that is to have the default route has none to give.
    let mut stage = Stage::new();
    stage.gapless(json!({ "blue": blue() }));
    stage.offer("blue", Some(lease(77, 0)));
    stage.world.set(json!({ "blue": blue() }), json!({}));
    stage.are([]);
    stage.in_sync();
}

#[test]
fn it_goes_where_that_cannot_be_helped_and_the_answer_says_so() {
    let mut stage = Stage::new();
    let asks = json!({ "nic": "dummy_0", "bootproto": "dhcp", "defaultRoute": true });
    let done = stage.world.set(json!({ "red": asks }), json!({}));
    assert_eq!(done.warnings, ["network 'red': the host has no IPv4 default route of ours until its lease arrives"]);
    stage.are([]);
}

#[test]
fn it_follows_its_network_to_another_device_and_another_gateway() {
    let mut stage = Stage::new();
    stage.gapless(json!({ "blue": blue() }));
    let moved = json!({ "nic": "dummy_0", "vlan": 5, "bridged": false, "ipaddr": "10.3.0.5", "prefix": 24, "gateway": "10.3.0.1" });
    stage.world.set(json!({ "red": moved }), json!({}));
    stage.are(["10.3.0.1 dummy_0.5"]);
    stage.in_sync();
}

#[test]
fn who_takes_it_away_meanwhile_is_no_drift() {
    let mut stage = Stage::new();
    stage.gapless(json!({ "blue": blue() }));
    let route = *stage.world.link("red").routes.iter().find(|it| it.to.prefix == 0 && it.table == MAIN_TABLE).unwrap();
    stage.world.act(Action::DelRoute { device: dev("red"), route });
    stage.in_sync();
}

/// A blocking request: it ends with the route moved, and whatever fails, it is where it was.
#[test]
fn a_request_that_waits_ends_with_it_moved() {
    let wait = |stage: &mut Stage, within: u64, kept: bool| {
        let asked = request(json!({ "blue": blue() }), json!({}));
        let (running, policy) = (stage.world.running.clone(), stage.world.policy.clone());
        let rejudge = |seen: &NetInfo| Desired::build(&running, &asked, seen, &policy).map_err(SetupError::Refused);
        Transaction::plan(&mut stage.world.host, &running, &asked, &policy)
            .and_then(|planned| planned.apply())
            .and_then(|applied| {
                // It comes while it is waited for.
                stage.world.sim.offer(dev("blue"), Family::V4, Some(lease(77, 1)));
                applied.leased(&[net("blue")], Duration::from_secs(within), rejudge)
            })
            .and_then(|applied| {
                applied.confirm(Some(Duration::ZERO), |_, _| kept.then_some(()).ok_or_else(Lost::default))
            })
            .and_then(|confirmed| confirmed.commit(|_| Ok(())))
    };
    let mut stage = Stage::new();
    let before = stage.world.text();
    for failing in 0.. {
        stage.fuse.after(failing);
        stage.offer("blue", None);
        let done = wait(&mut stage, 0, true);
        let moments = std::mem::take(&mut *stage.moments.lock().unwrap());
        // Where the lease is undone, its address and the route with it have to go first.
        assert!(moments.iter().all(|it| it.len() <= 1), "failing at {failing}: {moments:?}");
        match done {
            Ok(done) => {
                stage.fuse.after(usize::MAX);
                assert_eq!(done.warnings, [""; 0], "there is no wait any more");
                assert!(moments.iter().all(|it| it.len() == 1), "{moments:?}");
                break;
            }
            Err(SetupError::RolledBack { .. }) => assert_eq!(stage.world.text(), before, "failing at {failing}"),
            Err(error) => panic!("{error:?}"),
        }
    }
    stage.are(["10.77.0.1 blue"]);
    // The same with somebody who does not see the change through.
    let mut stage = Stage::new();
    wait(&mut stage, 0, false).unwrap_err();
    assert_eq!(stage.world.text(), before);
    // Somebody else's gives way as well, and comes back.
    for kept in [false, true] {
        let mut stage = Stage::new();
        stage.world.set(json!({ "red": { "remove": true } }), json!({}));
        stage.world.add_address("dummy_3", "10.9.0.5/24");
        stage.world.add_default_route("dummy_3", "10.9.0.1");
        let before = stage.world.text();
        stage.moments.lock().unwrap().clear();
        let done = wait(&mut stage, 0, kept);
        if kept {
            assert!(stage.moments.lock().unwrap().iter().all(|it| it.len() == 1));
            assert!(done.unwrap().warnings[0].ends_with("that of dummy_3, which is not ours, gives way"));
            stage.are(["10.77.0.1 blue"]);
        } else {
            done.unwrap_err();
            assert_eq!(stage.world.text(), before);
        }
    }
}

#[test]
fn whatever_fails_it_is_where_it_was() {
    let mut stage = Stage::new();
    stage.gapless(json!({ "blue": blue() }));
    stage.offer("blue", Some(lease(77, 1)));
    // The move itself, and with the lease a change of the one that kept it.
    let wish = || json!({ "blue": blue(), "red": { "nic": "dummy_2", "ipaddr": "10.2.0.5", "prefix": 24 } });
    let before = stage.world.text();
    for failing in 0.. {
        stage.fuse.after(failing);
        let outcome = stage.world.setup(wish(), json!({}));
        if outcome.is_ok() {
            stage.fuse.after(usize::MAX);
            break;
        }
        assert_eq!(stage.world.text(), before, "failing at action {failing}");
    }
    stage.are(["10.77.0.1 blue"]);
    stage.in_sync();
}

#[test]
fn a_lease_that_becomes_a_static_address_is_taken_over_in_one_round() {
    for owner in [true, false] {
        let mut stage = Stage::new();
        let leased = json!({ "nic": "dummy_2", "bootproto": "dhcp", "defaultRoute": owner });
        stage.world.set(json!({ "green": leased }), json!({}));
        stage.offer("green", Some(lease(88, 1)));
        stage.world.set(json!({ "green": leased }), json!({}));
        stage.moments.lock().unwrap().clear();
        let fixed = json!({
            "nic": "dummy_2", "ipaddr": "10.88.0.5", "prefix": 24, "gateway": "10.88.0.1", "defaultRoute": true,
        });
        // The client takes the address along; so only another owner can bear the route meanwhile.
        let done = stage.world.set(json!({ "green": fixed }), json!({}));
        assert_eq!(done.rounds, 1, "{}", done.plan);
        let moments = std::mem::take(&mut *stage.moments.lock().unwrap());
        assert!(owner || moments.iter().all(|moment| moment.len() == 1), "{moments:?}");
        stage.are(["10.88.0.1 green"]);
        stage.in_sync();
    }
}

#[test]
fn a_gateway_on_the_link_itself_is_reached_too() {
    let still = |default: bool| json!({ "nic": "dummy_2", "ipv6addr": "fd04::5/64", "ipv6gateway": "fe80::1", "defaultRoute": default });
    let mut stage = Stage::new();
    let red = json!({ "nic": "dummy_0", "ipv6addr": "fd00::5/64", "ipv6gateway": "fd00::1", "defaultRoute": true });
    stage.world.set(json!({ "red": red, "green": still(false) }), json!({}));
    let (plan, _) = stage.world.explain(json!({ "green": still(true), "red": { "remove": true } }), json!({}));
    assert!(plan.starts_with("address green: +default via fe80::1, instead of default via fd00::1 on red\n"), "{plan}");
}

#[test]
fn a_rollback_after_a_lease_gives_the_resolver_back() {
    let mut stage = Stage::new();
    let before = stage.world.sim.look().resolver;
    let servers = vec!["10.77.0.53".parse().unwrap()];
    let offer = Lease { nameservers: servers, ..lease(77, 1) };
    let asked = request(json!({ "blue": blue() }), json!({}));
    let (running, policy) = (stage.world.running.clone(), stage.world.policy.clone());
    let rejudge = |seen: &NetInfo| Desired::build(&running, &asked, seen, &policy).map_err(SetupError::Refused);
    let error = Transaction::plan(&mut stage.world.host, &running, &asked, &policy)
        .and_then(|planned| planned.apply())
        .and_then(|applied| {
            stage.world.sim.offer(dev("blue"), Family::V4, Some(offer));
            applied.leased(&[net("blue")], Duration::ZERO, rejudge)
        })
        .and_then(|applied| applied.confirm(Some(Duration::ZERO), |_, _| Err(Lost::default())))
        .map(|_| ())
        .unwrap_err();
    assert!(matches!(error, SetupError::RolledBack { .. }), "{error:?}");
    assert_eq!(stage.world.sim.look().resolver, before);
}
