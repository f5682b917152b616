//! Host QoS on the host in memory: who gets which class, and what becomes of it.

use serde_json::{Value, json};
use vdsm_configurators::iproute2::{Action, QosChange};
use vdsm_model::config::NetConfig;
use vdsm_model::problem::{Code, Problem};
use vdsm_model::qos::{Filter, Shaper};
use vdsm_net::check::{State, check};
use vdsm_net::transaction::SetupError;

use crate::world::{World, dev, net};

fn weight(m2: u64) -> Value {
    json!({ "out": { "ls": { "m2": m2 } } })
}

fn shaper(world: &World, device: &str) -> Option<Shaper> {
    world.link(device).shaper.map(|it| (*it).clone())
}

/// `CLASS WEIGHT` for each class, with a star where a filter leads there.
fn classes(world: &World, device: &str) -> Vec<String> {
    let told = |(number, class): (u16, vdsm_model::qos::Class)| {
        assert!(class.leaf, "{number}");
        let star = if class.filter == Filter::Ours { "*" } else { "" };
        format!("{number} {}{star}", class.curves.ls.unwrap().m2)
    };
    shaper(world, device).into_iter().flat_map(|it| it.classes).map(told).collect()
}

#[test]
fn networks_come_and_go_and_the_last_takes_the_root_along() {
    let mut world = World::with(json!({ "a": { "nic": "dummy_0", "vlan": 10, "hostQos": weight(5) } }), json!({}));
    assert_eq!(classes(&world, "dummy_0"), ["10 5*", "5000 5"]);
    world.set(json!({ "b": { "nic": "dummy_0", "vlan": 20, "hostQos": weight(9) } }), json!({}));
    assert_eq!(classes(&world, "dummy_0"), ["10 5*", "20 9*", "5000 9"]);
    world.set(json!({ "c": { "nic": "dummy_0", "bridged": false, "hostQos": weight(1) } }), json!({}));
    assert_eq!(classes(&world, "dummy_0"), ["10 5*", "20 9*", "5000 1*"]);
    // One is edited without a word of it, and loses its share; another goes.
    world.set(json!({ "b": { "nic": "dummy_0", "vlan": 20 }, "c": { "remove": true } }), json!({}));
    assert_eq!(classes(&world, "dummy_0"), ["10 5*", "5000 5"]);
    // What has no part in it changes nothing of it.
    world.set(json!({ "d": { "nic": "dummy_0", "vlan": 30 } }), json!({}));
    assert_eq!(classes(&world, "dummy_0"), ["10 5*", "5000 5"]);
    world.set(json!({ "a": { "remove": true } }), json!({}));
    assert_eq!(shaper(&world, "dummy_0"), None);
}

#[test]
fn a_network_takes_its_share_to_another_base() {
    let mut world = World::with(json!({ "a": { "nic": "dummy_0", "vlan": 10, "hostQos": weight(5) } }), json!({}));
    let bond = json!({ "bond0": { "nics": ["dummy_1", "dummy_2"], "options": "mode=1" } });
    world.set(json!({ "a": { "bonding": "bond0", "vlan": 0, "hostQos": weight(5) } }), bond);
    assert_eq!((shaper(&world, "dummy_0"), classes(&world, "bond0")), (None, vec!["4096 5*".into(), "5000 5".into()]));
    // The bond goes, and its nic carries the network, while another nic with a share is enslaved.
    world.set(json!({ "b": { "nic": "dummy_3", "hostQos": weight(2) } }), json!({}));
    let (nets, bonds) = (
        json!({ "a": { "nic": "dummy_1", "hostQos": weight(5) }, "b": { "bonding": "bond1", "hostQos": weight(2) } }),
        json!({ "bond0": { "remove": true }, "bond1": { "nics": ["dummy_3"] } }),
    );
    world.set(nets, bonds);
    assert_eq!(
        (classes(&world, "dummy_1"), classes(&world, "bond1")),
        (vec!["5000 5*".into()], vec!["5000 2*".into()])
    );
    assert_eq!(shaper(&world, "dummy_3"), None, "it is the bond that sends");
}

#[test]
fn a_curve_less_is_a_class_made_anew() {
    let full = json!({ "out": { "ls": { "m2": 5 }, "ul": { "m2": "8000" }, "rt": { "m1": 80, "d": 7, "m2": 16 } } });
    let mut world = World::with(json!({ "a": { "nic": "dummy_0", "hostQos": full } }), json!({}));
    let curves = shaper(&world, "dummy_0").unwrap().classes[&5000].curves;
    assert_eq!(curves.to_string(), "ls m1 0bit d 0us m2 40bit ul m1 0bit d 0us m2 8000bit rt m1 80bit d 7us m2 16bit");
    world.set(json!({ "a": { "nic": "dummy_0", "hostQos": weight(5) } }), json!({}));
    assert_eq!(shaper(&world, "dummy_0").unwrap().classes[&5000].curves.to_string(), "ls m1 0bit d 0us m2 40bit");
    assert_eq!(world.network("a").qos["hostQos"], weight(5), "it is kept as it was given");
}

#[test]
fn a_root_of_somebody_elses_is_named_and_left_alone() {
    let mut world = World::with(json!({ "a": { "nic": "dummy_0", "vlan": 10 } }), json!({}));
    world.sim.set_root_qdisc("dummy_0", Some("tbf"));
    let wish = json!({ "a": { "nic": "dummy_0", "vlan": 10, "hostQos": weight(5) } });
    let problems = world.problems(wish.clone(), json!({}));
    let foreign =
        Problem::ForeignQdisc { network: net("a"), device: dev("dummy_0"), kind: "tbf".into(), major: 0x8001 };
    assert_eq!((problems[0].code(), problems), (Code::BadParams, vec![foreign]));
    // Who wants no share is not in its way, now and once it has come between.
    world.set(json!({ "b": { "nic": "dummy_0", "vlan": 20 } }), json!({}));
    world.sim.set_root_qdisc("dummy_0", None);
    world.set(wish, json!({}));
    world.sim.set_root_qdisc("dummy_0", Some("tbf"));
    world.set(json!({ "b": { "remove": true } }), json!({}));
    let checked = check(&world.running, &world.sim.look(), &world.policy, None);
    let verdict = &checked.networks[&net("a")];
    assert_eq!(verdict.state, State::Drifted);
    assert!(verdict.differences[0].text.contains("that is tbf 8001: of somebody else"), "{verdict:?}");
    world.set(json!({ "a": { "remove": true } }), json!({}));
    assert_eq!(world.link("dummy_0").details.qdiscs[0].kind, "tbf");
}

#[test]
fn what_strangers_do_below_our_root_is_told_and_mended() {
    let wish = json!({ "a": { "nic": "dummy_0", "vlan": 10, "hostQos": weight(5) } });
    let mut world = World::with(wish.clone(), json!({}));
    let before = shaper(&world, "dummy_0");
    for (changes, told) in [
        (vec![QosChange::DelRoot], "the host QoS of dummy_0 is missing"),
        (vec![QosChange::SetRoot { default: 7 }], "what has no host QoS on dummy_0 goes into another class"),
        (vec![QosChange::DelFilter { class: 10 }], "the host QoS of tag 10 on dummy_0 lacks its filter or queue"),
        (vec![QosChange::AddFilter { class: 10 }], "the host QoS of tag 10 on dummy_0 lacks its filter or queue"),
        (
            vec![QosChange::DelLeaf { class: 5000 }],
            "the host QoS of untagged frames on dummy_0 lacks its filter or queue",
        ),
        (vec![QosChange::DelClass { class: 5000 }], "the host QoS of untagged frames on dummy_0 is missing"),
        (
            vec![QosChange::AddClass { class: 77, curves: before.as_ref().unwrap().classes[&10].curves }],
            "the host QoS of tag 77 on dummy_0 is not ours",
        ),
    ] {
        for change in changes {
            world.act(Action::Qos { device: dev("dummy_0"), change });
        }
        let checked = check(&world.running, &world.sim.look(), &world.policy, None);
        let verdict = &checked.networks[&net("a")];
        let texts: Vec<&str> = verdict.differences.iter().map(|d| d.text.as_str()).collect();
        assert_eq!((texts, verdict.differences[0].mends), (vec![told], Some(0)));
        world.set(wish.clone(), json!({}));
        assert_eq!(shaper(&world, "dummy_0"), before);
    }
}

/// Also from a shaper that strangers have spoiled.
#[test]
fn whatever_fails_the_shaper_comes_back() {
    let mut world = World::with(
        json!({
            "a": { "nic": "dummy_0", "vlan": 10, "hostQos": weight(5) },
            "b": { "nic": "dummy_0", "vlan": 20, "hostQos": { "out": { "ls": { "m2": 1 }, "ul": { "m2": 800 } } } },
            "c": { "nic": "dummy_1", "hostQos": weight(5) },
        }),
        json!({}),
    );
    for change in [QosChange::DelLeaf { class: 10 }, QosChange::DelFilter { class: 20 }] {
        world.act(Action::Qos { device: dev("dummy_0"), change });
    }
    let wish = json!({
        "a": { "nic": "dummy_1", "vlan": 10, "hostQos": weight(5) },
        "b": { "nic": "dummy_0", "vlan": 20, "hostQos": weight(7) },
        "c": { "remove": true },
        "d": { "nic": "dummy_2", "hostQos": weight(1) },
    });
    let before = world.text();
    let mut failures = 0;
    loop {
        world.fuse.after(failures);
        match world.setup(wish.clone(), json!({})) {
            Ok(_) => break,
            Err(SetupError::RolledBack { .. }) => assert_eq!(world.text(), before, "failing at {failures}"),
            Err(other) => panic!("{other:?}"),
        }
        failures += 1;
    }
    assert!(failures > 15, "{failures}");
    assert_eq!(classes(&world, "dummy_2"), ["5000 1*"]);
}

#[test]
fn a_network_upon_nothing_has_a_share_of_nothing() {
    let done = World::new().set(json!({ "a": { "hostQos": weight(1) } }), json!({}));
    assert_eq!(done.warnings, ["network 'a': hostQos has no effect without nic or bonding"]);
}

#[test]
fn it_is_stored_in_the_shape_in_which_it_was_given() {
    let given = json!({ "out": { "ls": { "m2": "5000000", "d": 0 } } });
    let world = World::with(json!({ "a": { "nic": "dummy_0", "hostQos": given } }), json!({}));
    let (nets, bonds) = world.running.to_stored();
    assert_eq!(nets["a"]["hostQos"], given);
    assert_eq!(NetConfig::from_stored(&nets, &bonds), (world.running.clone(), vec![]));
}

#[test]
fn the_root_goes_with_the_last_network_that_asked_for_a_share() {
    let request: Value = serde_json::from_str(include_str!("../data/legacy-request.json")).unwrap();
    let mut world = World::new();
    world.policy.combination = vdsm_model::config::Combination::Relaxed;
    world.set(request["networks"].clone(), request["bondings"].clone());
    let (plan, _) = world.explain(json!({ "vm10": { "remove": true } }), json!({}));
    assert!(plan.ends_with("shape qos bond1: not any more\n"), "{plan}");
}
