//! Default routes of others in the place of ours: what a router announced, and what could not be put
//! back, after each single action.

use std::time::Duration;

use serde_json::{Value, json};
use vdsm_configurators::fault::Fuse;
use vdsm_configurators::sim::Sim;
use vdsm_model::ip::Route;
use vdsm_model::problem::{Code, Problem, Subject};
use vdsm_net::check::check;
use vdsm_net::connectivity::Lost;
use vdsm_net::transaction::{SetupError, Transaction};

use crate::default_route::{Watched, default_routes_of};
use crate::world::{NICS, World, dev, request};

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

    /// Whatever fails, all is as before; and nowhere on the way there and back is there no default
    /// route. The answer's warnings are given back.
    #[track_caller]
    fn undone_everywhere(&mut self, networks: Value) -> Vec<String> {
        let before = (self.world.text(), self.are());
        // Nobody confirms it.
        let (running, policy) = (self.world.running.clone(), self.world.policy.clone());
        let asked = request(networks.clone(), json!({}));
        let outcome = Transaction::plan(&mut self.world.host, &running, &asked, &policy)
            .and_then(|planned| planned.apply())
            .and_then(|applied| applied.confirm(Some(Duration::ZERO), |_, _| Err(Lost::default())))
            .map(|_| ());
        assert!(matches!(outcome, Err(SetupError::RolledBack { .. })), "{outcome:?}");
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
    Problem::CrowdedDefaultRoute { of: Subject::Network("red".to_owned()), routes }
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
