//! Routes of others in the place of ours: what a router announced, what leads nowhere, what stands in
//! our tables, and what could not be put back, after each single action.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use serde_json::{Value, json};
use vdsm_configurators::fault::Fuse;
use vdsm_configurators::iproute2::Action;
use vdsm_configurators::sim::Sim;
use vdsm_model::ip::{Fate, Route};
use vdsm_model::problem::{Code, Problem, Subject};
use vdsm_model::units::Prefixed;
use vdsm_net::check::{check, concerned};
use vdsm_net::connectivity::Lost;
use vdsm_net::transaction::{SetupError, Transaction};

use crate::default_route::{Watched, default_routes_of};
use crate::world::{NICS, World, dev, net, request};

fn static_v6(nic: &str, subnet: u8, default: bool) -> Value {
    json!({
        "nic": nic, "ipv6addr": format!("fd0{subnet}::5/64"), "ipv6gateway": format!("fd0{subnet}::1"),
        "defaultRoute": default,
    })
}

struct Stage {
    world: World,
    fuse: Fuse,
    moments: std::sync::Arc<std::sync::Mutex<Vec<Vec<String>>>>,
}

impl Stage {
    /// Routers announce themselves on these nics, whose default routes the host has.
    fn hearing(routers: &[(&str, &str)]) -> Stage {
        let sim = Sim::with_nics(&NICS);
        routers.iter().for_each(|(nic, router)| sim.announce(dev(nic), router.parse().unwrap()));
        let (world, fuse, moments) = Watched::world(&sim, true);
        Stage { world, fuse, moments }
    }

    fn are(&self) -> Vec<String> {
        let mut all = default_routes_of(&self.world.sim.look(), true);
        all.sort();
        all
    }

    fn moments(&self) -> Vec<Vec<String>> {
        std::mem::take(&mut *self.moments.lock().unwrap())
    }

    /// A change that nobody confirms.
    #[track_caller]
    fn unconfirmed(&mut self, networks: Value) {
        let (running, policy) = (self.world.running.clone(), self.world.policy.clone());
        let outcome = Transaction::plan(&mut self.world.host, &running, &request(networks, json!({})), &policy)
            .and_then(|planned| planned.apply())
            .and_then(|applied| applied.confirm(Some(Duration::ZERO), |_, _| Err(Lost::default())))
            .map(|_| ());
        assert!(matches!(outcome, Err(SetupError::RolledBack { .. })), "{outcome:?}");
    }

    /// Whatever fails, all is as before; and nowhere on the way there and back is there no default
    /// route. The answer's warnings are given back.
    #[track_caller]
    fn undone_everywhere(&mut self, networks: Value) -> Vec<String> {
        let before = (self.world.text(), self.are());
        self.unconfirmed(networks.clone());
        let moments = self.moments();
        assert!(moments.iter().all(|it| !it.is_empty()), "undone: {moments:?}");
        assert_eq!((self.world.text(), self.are()), before, "undone");
        for failing in 0.. {
            self.fuse.after(failing);
            let outcome = self.world.setup(networks.clone(), json!({}));
            let moments = self.moments();
            assert!(moments.iter().all(|it| !it.is_empty()), "failing at {failing}: {moments:?}");
            if let Ok(done) = outcome {
                self.fuse.after(usize::MAX);
                let checked = check(&self.world.running, &self.world.sim.look(), &self.world.policy, None);
                assert!(checked.in_sync(), "{}", checked.to_json());
                return done.warnings;
            }
            assert_eq!((self.world.text(), self.are()), before, "failing at {failing}");
        }
        unreachable!("there are not that many actions")
    }
}

#[test]
fn what_routers_announce_to_others_gives_way_and_comes_back() {
    for routers in
        [&[("dummy_3", "fe80::1")][..], &[("dummy_2", "fe80::1"), ("dummy_3", "fe80::1"), ("dummy_3", "fe80::2")]]
    {
        let mut stage = Stage::hearing(routers);
        assert_eq!(stage.are().len(), routers.len());
        let warnings = stage.undone_everywhere(json!({ "red": static_v6("dummy_0", 0, true) }));
        assert_eq!(stage.are(), ["fd00::1 red"]);
        let way = |nic: &str| {
            format!(
                "network 'red': the host has one default route a family: that of {nic}, which is not ours, gives way until a router announces it anew"
            )
        };
        let mut nics: Vec<&str> = routers.iter().map(|(nic, _)| *nic).collect();
        nics.dedup();
        assert_eq!(warnings, nics.into_iter().map(way).collect::<Vec<_>>());
        // Whoever hears it again has it again: that is no drift, and takes nothing from ours.
        stage.world.sim.announce(dev("dummy_3"), "fe80::1".parse().unwrap());
        let done = stage.world.set(json!({ "red": static_v6("dummy_0", 0, true) }), json!({}));
        assert!(done.plan.is_empty() && done.warnings.is_empty(), "{}{:?}", done.plan, done.warnings);
    }
}

#[test]
fn one_of_ours_that_hears_routers_gives_it_to_a_static_one_without_a_gap() {
    let autoconf = |default: bool| json!({ "nic": "dummy_0", "ipv6autoconf": true, "defaultRoute": default });
    for stands in [true, false] {
        let mut stage = Stage::hearing(&[]);
        stage.world.set(json!({ "red": autoconf(true) }), json!({}));
        if stands {
            stage.world.set(json!({ "blue": static_v6("dummy_1", 1, false) }), json!({}));
        }
        stage.world.sim.announce(dev("red"), "fe80::1".parse().unwrap());
        assert_eq!(stage.are(), ["fe80::1 red"]);
        stage.moments();
        let (plan, _) = stage.world.explain(json!({ "blue": static_v6("dummy_1", 1, true) }), json!({}));
        assert!(plan.contains("+default via fd01::1, instead of default via fe80::1 on red"), "{plan}");
        assert_eq!(stage.undone_everywhere(json!({ "blue": static_v6("dummy_1", 1, true) })), [""; 0]);
        assert_eq!(stage.are(), ["fd01::1 blue"]);
    }
    // The same network goes over to a gateway of its own.
    let mut stage = Stage::hearing(&[]);
    stage.world.set(json!({ "red": autoconf(true) }), json!({}));
    stage.world.sim.announce(dev("red"), "fe80::1".parse().unwrap());
    stage.moments();
    stage.undone_everywhere(json!({ "red": static_v6("dummy_0", 0, true) }));
    assert_eq!(stage.are(), ["fd00::1 red"]);
}

fn v4(default: bool) -> Value {
    json!({ "nic": "dummy_0", "ipaddr": "10.0.0.5", "prefix": 24, "gateway": "10.0.0.1", "defaultRoute": default })
}

fn red_has(routes: &[&str]) -> Problem {
    let routes = routes.iter().map(|it| (*it).to_owned()).collect();
    Problem::CrowdedRoute { of: Subject::Network("red".to_owned()), routes }
}

#[test]
fn nothing_changes_where_there_are_several_that_nobody_could_put_back() {
    let via = |gateway: &str, shared: bool| Route { shared, ..Route::default_via(gateway.parse().unwrap()) };
    let two = ["default via 10.8.0.1 on dummy_2", "default via 10.9.0.1 on dummy_3"];
    for shared in [true, false] {
        let mut world = World::new();
        for (nic, subnet) in [("dummy_2", 8), ("dummy_3", 9)] {
            world.add_address(nic, &format!("10.{subnet}.0.5/24"));
            world.sim.append(dev(nic), via(&format!("10.{subnet}.0.1"), shared));
        }
        let problems = world.problems(json!({ "red": v4(true) }), json!({}));
        assert_eq!(problems, [red_has(&two)]);
        assert_eq!(problems[0].code(), Code::BadParams);
        // Whoever does not need the place is not kept from anything.
        world.set(json!({ "red": v4(false) }), json!({}));
        assert_eq!(world.problems(json!({ "red": v4(true) }), json!({})), [red_has(&two)]);
    }
    // IPv6, which has several next hops in its place and not in another's.
    let world = World::new();
    world.sim.append(dev("dummy_3"), via("fd09::1", true));
    let shared = [red_has(&["default via fd09::1 on dummy_3"])];
    assert_eq!(world.problems(json!({ "red": static_v6("dummy_0", 0, true) }), json!({})), shared);
    assert_eq!(world.problems(json!({ "red": v4(true) }), json!({})), []);
}

#[test]
fn one_beside_ours_stays_until_somebody_has_taken_it_away() {
    let mut world = World::with(json!({ "red": v4(true) }), json!({}));
    world.add_address("dummy_3", "10.9.0.5/24");
    world.sim.append(dev("dummy_3"), Route::default_via([10, 9, 0, 1].into()));
    let both = [red_has(&["default via 10.9.0.1 on dummy_3", "default via 10.0.0.1 on red"])];
    for wish in [v4(true), v4(false), json!({ "remove": true })] {
        assert_eq!(world.problems(json!({ "red": wish }), json!({})), both, "{wish}");
    }
    let checked = check(&world.running, &world.sim.look(), &world.policy, None);
    assert!(!checked.in_sync() && checked.to_json().to_string().contains("could not be put back"));
}

/// A stranger's route, and the device it is on.
type Theirs = (&'static str, Route);

/// `to` in the table for 10.0.0.5's source routing, or the default route of the main table.
fn nowhere(fate: Fate, v6: bool) -> Theirs {
    let any: IpAddr = if v6 { Ipv6Addr::UNSPECIFIED.into() } else { Ipv4Addr::UNSPECIFIED.into() };
    ("lo", Route { gateway: None, fate, ..Route::default_via(any) })
}

fn in_our_table((device, route): Theirs) -> Theirs {
    (device, Route { table: u32::from_be_bytes([10, 0, 0, 5]), ..route })
}

fn to_our_subnet((device, route): Theirs) -> Theirs {
    (device, Route { to: Prefixed { addr: [10, 0, 0, 0].into(), prefix: 24 }, ..route })
}

fn through(device: &'static str) -> Theirs {
    (device, Route { protocol: 3, ..Route::default_via([10, 9, 0, 1].into()) })
}

/// One that leads nowhere for each kind there is, one through a nexthop object, and those that may stand
/// in the table of `red`'s source routing; each with what the answer warns of and the check tells.
fn all() -> Vec<(Theirs, &'static str, &'static str)> {
    let family = "the host has one default route a family: ";
    let table = "it is in the table of the network's source routing";
    let by_object = ("dummy_3", Route { nhid: Some(7), ..through("dummy_3").1 });
    let ours = |theirs| in_our_table(theirs);
    vec![
        (nowhere(Fate::Unreachable, false), "unreachable default", family),
        (nowhere(Fate::Blackhole, false), "blackhole default", family),
        (nowhere(Fate::Prohibit, false), "prohibit default", family),
        (nowhere(Fate::Throw, false), "throw default", family),
        (nowhere(Fate::Unreachable, true), "unreachable default", family),
        (by_object, "default nhid 7 on dummy_3", family),
        (ours(through("dummy_3")), "default via 10.9.0.1 table 167772165 on dummy_3", table),
        (ours(nowhere(Fate::Unreachable, false)), "unreachable default table 167772165", table),
        (to_our_subnet(ours(through("dummy_3"))), "10.0.0.0/24 via 10.9.0.1 table 167772165 on dummy_3", table),
        (to_our_subnet(ours(nowhere(Fate::Blackhole, false))), "blackhole 10.0.0.0/24 table 167772165", table),
    ]
}

fn both_families() -> Value {
    let mut red = v4(true);
    red.as_object_mut().unwrap().extend(static_v6("dummy_0", 0, true).as_object().unwrap().clone());
    red
}

#[test]
fn what_leads_nowhere_or_stands_in_our_tables_gives_way_and_comes_back() {
    for ((device, route), told, why) in all() {
        let mut stage = Stage::hearing(&[]);
        stage.world.add_address("dummy_3", "10.9.0.5/24");
        stage.world.sim.append(dev(device), route);
        let before = stage.world.text();
        stage.unconfirmed(json!({ "red": both_families() }));
        assert_eq!(stage.world.text(), before, "{told}");
        let steps = (0..200).take_while(|failing| {
            stage.fuse.after(*failing);
            let failed = stage.world.setup(json!({ "red": both_families() }), json!({})).is_err();
            assert!(!failed || stage.world.text() == before, "{told}, failing at {failing}:\n{}", stage.world.text());
            failed
        });
        assert!((4..200).contains(&steps.count()), "{told}: it succeeds in the end");
        stage.fuse.after(usize::MAX);
        assert_eq!(texts_of(&stage.world), [""; 0]);
        stage.world.set(json!({ "red": { "remove": true } }), json!({}));
        stage.world.sim.append(dev(device), route);
        let warnings = stage.world.set(json!({ "red": both_families() }), json!({})).warnings;
        assert!(warnings.len() == 1 && warnings[0].contains(why), "{warnings:?}");
        assert!(told.contains(" nhid ") || warnings[0].contains(&format!("'{told}'")), "{warnings:?}");
        assert!(!stage.world.text().contains("unreachable") && stage.world.routes("red").len() == 2);
    }
}

#[test]
fn what_has_taken_the_place_of_ours_is_told_in_words_and_healed() {
    for ((device, route), told, why) in all() {
        let mut world = World::with(json!({ "red": both_families() }), json!({}));
        world.add_address("dummy_3", "10.9.0.5/24");
        let good = world.text();
        // As `ip route replace`.
        let ours = *world.link("red").routes.iter().find(|ours| ours.rivals(&route)).unwrap();
        world.act(Action::DelRoute { device: dev("red"), route: ours });
        world.sim.append(dev(device), route);
        let said = texts_of(&world);
        let whose = if why.contains("table") { "source routing" } else { "default route" };
        assert!(said.contains(&format!("{told} is in the way of its {whose}")), "{said:?}");
        let checked = check(&world.running, &world.sim.look(), &world.policy, None);
        let verdict = checked.networks.values().next().unwrap();
        assert!(!checked.plan.is_empty() && verdict.differences.iter().all(|it| it.mends.is_some()), "{said:?}");
        // Healing, re-attaching and restoring are this request.
        world.setup_request(&checked.request);
        let now: Vec<String> =
            world.text().lines().filter(|line| !line.starts_with("lo ")).map(str::to_owned).collect();
        assert_eq!(now, good.lines().collect::<Vec<_>>(), "{told}");
        assert_eq!(texts_of(&world), [""; 0]);
    }
}

fn texts_of(world: &World) -> Vec<String> {
    let checked = check(&world.running, &world.sim.look(), &world.policy, None);
    checked.networks.values().flat_map(|it| &it.differences).map(|it| it.text.clone()).collect()
}

#[test]
fn beside_ours_in_our_own_table_nothing_is_changed_either() {
    let mut world = World::with(json!({ "red": v4(false) }), json!({}));
    let (device, route) = in_our_table(nowhere(Fate::Unreachable, false));
    world.sim.append(dev(device), route);
    let both = [red_has(&["unreachable default table 167772165", "default via 10.0.0.1 table 167772165 on red"])];
    for wish in [v4(true), v4(false), json!({ "remove": true })] {
        assert_eq!(world.problems(json!({ "red": wish }), json!({})), both, "{wish}");
    }
    assert!(texts_of(&world)[0].contains("could not be put back"));
    // Others are not kept from anything.
    world.set(
        json!({ "blue": { "nic": "dummy_1", "ipaddr": "10.1.0.5", "prefix": 24, "gateway": "10.1.0.1" } }),
        json!({}),
    );
}

#[test]
fn whoever_puts_a_route_into_a_table_of_ours_is_noticed_by_its_network() {
    let mut world = World::with(json!({ "red": v4(false), "blue": { "nic": "dummy_1" } }), json!({}));
    let touched = |world: &World, device: &str| {
        concerned(&world.running, &world.sim.look(), &[dev(device)].into()).networks.into_iter().collect::<Vec<_>>()
    };
    assert_eq!(touched(&world, "dummy_3"), []);
    world.add_address("dummy_3", "10.9.0.5/24");
    let (device, route) = in_our_table(through("dummy_3"));
    world.sim.append(dev(device), route);
    assert_eq!(touched(&world, "dummy_3"), [net("red")]);
}

#[test]
fn several_beside_one_another_that_ipv6_makes_no_hops_of_are_left_alone_too() {
    let world = World::new();
    let (lo, unreachable) = nowhere(Fate::Unreachable, true);
    world.sim.append(dev(lo), unreachable);
    world.sim.append(dev("dummy_3"), Route::default_via("fd09::1".parse().unwrap()));
    let both = [red_has(&["default via fd09::1 on dummy_3", "unreachable default"])];
    assert_eq!(world.problems(json!({ "red": static_v6("dummy_0", 0, true) }), json!({})), both);
}
