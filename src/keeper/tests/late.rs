//! Restore is a standing goal: whoever waits for a nic gets it, whatever `drift` says.

use super::*;

const ALL: [Drift; 3] = [Drift::Ignore, Drift::Report, Drift::Heal];

#[test]
fn a_nic_that_comes_back_gets_its_networks_and_all_others_stay() {
    for drift in ALL {
        let tagged = NetworkConfig { vlan: VlanTag::new(7), ..with_address("eth1", 1) };
        let mut stage = Stage::new(drift, config([("red", with_address("eth0", 9)), ("blue", tagged)]));
        stage.sim.plug_tap("vnet0", "red");
        stage.sim.plug_tap("vnet1", "blue");
        stage.rest();
        stage.changes();
        let indexes = ["red", "blue", "vnet0"].map(|name| stage.index(name));
        stage.sim.unplug("eth0");
        stage.sim.unplug("eth1");
        stage.rest();
        assert_eq!((stage.ports("red"), stage.ports("blue")), (vec!["vnet0".into()], vec!["vnet1".into()]));
        assert_eq!(stage.changes(), 0, "{drift:?}: nothing can be done yet");
        stage.sim.plug("eth0");
        stage.sim.plug("eth1");
        stage.rest();
        assert_eq!(stage.ports("red"), ["eth0", "vnet0"], "{drift:?}");
        assert_eq!(stage.ports("blue"), ["eth1.7", "vnet1"], "{drift:?}");
        assert_eq!(
            (stage.addresses("red"), stage.addresses("blue")),
            (vec!["10.0.0.9/24".into()], vec!["10.0.0.1/24".into()])
        );
        assert_eq!(indexes, ["red", "blue", "vnet0"].map(|name| stage.index(name)), "{drift:?}: the bridges stayed");
        let told: &[&str] = match drift {
            Drift::Ignore => &[],
            _ => &["network blue is in sync again", "network red is in sync again"],
        };
        assert_eq!(stage.heard(), told, "{drift:?}");
    }
}

#[test]
fn a_missing_nic_is_told_once_and_that_it_is_back() {
    let mut stage = Stage::new(Drift::Report, config([("red", on_nic("eth0"))]));
    stage.sim.unplug("eth0");
    stage.rest();
    assert_eq!(stage.heard(), ["network red is out of sync: its nic eth0 is missing"]);
    stage.sim.plug("eth0");
    stage.pass(SETTLING / 2);
    assert_eq!(stage.heard(), [""; 0], "it is about to be mended");
    stage.rest();
    assert_eq!(stage.heard(), ["network red is in sync again"]);
}

#[test]
fn a_bond_gets_its_missing_slave_and_its_networks_with_the_first_one() {
    for drift in ALL {
        let tagged = config([("red", on_bond("bond0", 7))]);
        let mut stage = Stage::new(drift, and_bond(tagged, "bond0", &["eth0", "eth1"]));
        let index = stage.index("bond0");
        stage.sim.unplug("eth0");
        stage.rest();
        stage.sim.plug("eth0");
        stage.rest();
        assert_eq!((stage.ports("bond0"), stage.index("bond0")), (vec!["eth0".into(), "eth1".into()], index));

        for name in ["eth0", "eth1", "bond0"] {
            stage.sim.unplug(name);
        }
        stage.rest();
        assert!(!stage.has("bond0"));
        stage.sim.plug("eth1");
        stage.rest();
        assert_eq!(
            (stage.ports("bond0"), stage.ports("red")),
            (vec!["eth1".into()], vec!["bond0.7".into()]),
            "{drift:?}"
        );
        stage.sim.plug("eth0");
        stage.rest();
        assert_eq!(stage.ports("bond0"), ["eth0", "eth1"], "{drift:?}");
    }
}

#[test]
fn a_nic_has_a_moment_to_settle_and_one_that_is_gone_by_then_is_nobodys() {
    let mut stage = Stage::new(Drift::Heal, config([("red", on_nic("eth0"))]));
    stage.sim.unplug("eth0");
    stage.rest();
    stage.changes();
    stage.sim.plug("eth0");
    stage.pass(SETTLING - Duration::from_millis(1));
    assert_eq!(stage.changes(), 0, "it may get another name yet");
    // As udev renames it: another one has that name now.
    stage.sim.unplug("eth0");
    stage.turn();
    stage.sim.plug("eth0");
    stage.pass(SETTLING - Duration::from_millis(1));
    assert_eq!(stage.changes(), 0, "that is another one");
    stage.sim.unplug("eth0");
    stage.sim.plug("ens5");
    stage.rest();
    assert_eq!((stage.changes(), stage.ports("red")), (0, vec![]));
    stage.sim.plug("eth0");
    stage.rest();
    assert_eq!(stage.ports("red"), ["eth0"]);
}

#[test]
fn nics_that_keep_coming_do_not_keep_one_another_waiting() {
    let mut stage = Stage::new(Drift::Ignore, config([("red", on_nic("eth0"))]));
    stage.sim.unplug("eth0");
    stage.rest();
    stage.sim.plug("eth0");
    for number in 0..10 {
        stage.sim.plug(&format!("vnet{number}"));
        stage.pass(SETTLING / 4);
    }
    assert_eq!(stage.ports("red"), ["eth0"]);
}

#[test]
fn who_comes_while_a_change_is_under_way_is_seen_to_afterwards() {
    let mut stage = Stage::new(Drift::Heal, config([("red", on_nic("eth0"))]));
    stage.sim.unplug("eth0");
    stage.rest();
    let engine = Arc::clone(&stage.engine);
    let mut wanted = (*engine.running()).clone();
    wanted.networks.insert(network("blue"), on_nic("eth1"));
    wanted.networks.remove(&network("red"));
    let mut request = Request::between(&NetConfig::default(), &wanted);
    request.options.connectivity_check = true;
    request.options.connectivity_timeout = Duration::from_secs(3600);
    let change = std::thread::spawn(move || engine.setup(&request).map(|_| ()));
    while !stage.has("blue") {
        std::thread::yield_now();
    }
    stage.sim.plug("eth0");
    stage.pass(Duration::from_secs(10));
    assert_eq!(stage.ports("red"), [""; 0]);
    // Each sign of life that comes too early is lost.
    while !change.is_finished() {
        stage.engine.connectivity.confirm();
        std::thread::yield_now();
    }
    change.join().unwrap().unwrap();
    stage.pass(BUSY + Duration::from_millis(1));
    assert_eq!((stage.ports("red"), stage.ports("blue")), (vec!["eth0".into()], vec!["eth1".into()]));
}

/// Does something while a reaction is under way.
fn meanwhile(act: fn(&Engine) -> Result<(), EngineError>) -> Stage {
    let mut stage = Stage::new(Drift::Heal, config([("red", on_nic("eth0"))]));
    let (asked, was_asked) = channel();
    let (let_go, may) = channel();
    stage.moods.lock().unwrap().gate = Some((asked, may));
    stage.release("eth0");
    let engine = Arc::clone(&stage.engine);
    let reaction = std::thread::spawn(move || {
        stage.rest();
        stage
    });
    was_asked.recv().unwrap();
    let (begun, has_begun) = channel();
    let other = std::thread::spawn(move || {
        begun.send(()).unwrap();
        act(&engine)
    });
    has_begun.recv().unwrap();
    // Whoever is turned away is so at once.
    (0..1000).for_each(|_| std::thread::yield_now());
    let_go.send(()).unwrap();
    other.join().unwrap().unwrap();
    reaction.join().unwrap()
}

#[test]
fn a_change_that_meets_a_reaction_waits_for_its_end() {
    let stage = meanwhile(|engine| {
        let blue = config([("blue", on_nic("eth1"))]);
        engine.setup(&Request::between(&NetConfig::default(), &blue)).map(drop)
    });
    assert_eq!((stage.ports("red"), stage.ports("blue")), (vec!["eth0".into()], vec!["eth1".into()]));
}

#[test]
fn a_check_that_meets_a_reaction_waits_for_its_end() {
    meanwhile(|engine| engine.check(None, false).map(|checked| assert!(checked.in_sync())));
}

#[test]
fn who_comes_in_the_middle_of_a_restore_gets_what_was_restored() {
    let red = config([("red", on_nic("eth0"))]);
    let mut stage = Stage::new(Drift::Ignore, red);
    stage.engine.set_safe().unwrap();
    stage.set(&NetConfig::default());
    stage.sim.unplug("eth0");
    stage.rest();
    // The restore has looked before it came, and ends while it settles.
    let restored = stage.engine.restore(true).unwrap();
    assert_eq!(restored.skipped.len(), 1);
    stage.sim.plug("eth0");
    stage.rest();
    assert_eq!(stage.ports("red"), ["eth0"]);
}

#[test]
fn what_cannot_be_had_is_tried_less_and_less_often_until_it_can() {
    for drift in [Drift::Ignore, Drift::Report] {
        let mut stage = Stage::new(drift, config([("red", on_nic("eth0"))]));
        stage.sim.unplug("eth0");
        stage.delete("red");
        stage.refuse(&["red"]);
        stage.rest();
        stage.sim.plug("eth0");
        stage.pass(Duration::from_secs(300));
        // After 1, 2, 4 .. seconds.
        let tries = stage.refusals();
        assert!((8..=10).contains(&tries), "{drift:?}: {tries}");
        assert!(!stage.has("red"));
        stage.refuse(&[]);
        stage.pass(Duration::from_secs(300));
        assert_eq!(stage.ports("red"), ["eth0"], "{drift:?}");
    }
}

#[test]
fn a_nic_that_comes_in_a_strangers_bridge_is_served_when_it_is_let_go() {
    let mut stage = Stage::new(Drift::Report, config([("red", on_nic("eth0"))]));
    stage.sim.unplug("eth0");
    stage.rest();
    stage.sim.plug("eth0");
    stage.add_bridge("theirs", "eth0");
    stage.rest();
    assert_eq!(stage.ports("red"), [""; 0]);
    stage.delete("theirs");
    stage.rest();
    assert_eq!(stage.ports("red"), ["eth0"]);
}

#[test]
fn what_cannot_be_had_does_not_keep_others_away() {
    let tagged = |tag| NetworkConfig { vlan: VlanTag::new(tag), ..on_nic("eth0") };
    let mut stage = Stage::new(Drift::Ignore, config([("blue", tagged(1)), ("green", tagged(2)), ("red", tagged(3))]));
    ["eth0", "blue", "green", "red"].iter().for_each(|name| stage.sim.unplug(name));
    stage.refuse(&["green"]);
    stage.rest();
    stage.sim.plug("eth0");
    stage.rest();
    assert_eq!((stage.ports("blue"), stage.ports("red")), (vec!["eth0.1".into()], vec!["eth0.3".into()]));
    assert!(!stage.has("green") && !stage.has("eth0.2"));
    assert_eq!(stage.refusals(), 2, "together, and by itself");
}

#[test]
fn what_stands_on_a_bond_that_cannot_be_had_is_not_tried() {
    let tagged = config([("blue", on_bond("bond0", 1)), ("red", on_bond("bond0", 2)), ("green", on_nic("eth2"))]);
    let mut stage = Stage::new(Drift::Heal, and_bond(tagged, "bond0", &["eth0", "eth1"]));
    stage.refuse(&["bond0"]);
    ["bond0", "green"].iter().for_each(|name| stage.delete(name));
    stage.rest();
    assert_eq!(stage.refusals(), 2, "together, and the bond by itself");
    assert_eq!(stage.ports("green"), ["eth2"]);
}

#[test]
fn a_nic_that_came_while_there_was_no_daemon_gets_its_networks() {
    for drift in ALL {
        let tagged = NetworkConfig { vlan: VlanTag::new(7), ..on_nic("eth1") };
        let all = config([("red", on_nic("eth0")), ("blue", tagged), ("green", on_bond("bond0", 9))]);
        let mut stage = Stage::new(drift, and_bond(all, "bond0", &["eth2", "eth3"]));
        let nics = ["eth0", "eth1", "eth2"];
        nics.iter().for_each(|nic| stage.sim.unplug(nic));
        stage.rest();
        for nic in nics {
            stage.sim.plug(nic);
            // As the kernel makes it.
            stage.change(nic, LinkChange { up: Some(false), ..LinkChange::default() });
        }
        stage.restart();
        stage.rest();
        let ports = ["red", "blue", "bond0"].map(|name| stage.ports(name).join(" "));
        assert_eq!(ports, ["eth0", "eth1.7", "eth2 eth3"], "{drift:?}");
    }
}

#[test]
fn what_a_person_took_out_stays_out_when_the_daemon_begins_anew() {
    for drift in [Drift::Ignore, Drift::Report] {
        let mut stage = Stage::new(drift, config([("red", on_nic("eth0")), ("blue", on_nic("eth1"))]));
        stage.release("eth0");
        stage.delete("blue");
        stage.restart();
        stage.rest();
        assert_eq!((stage.changes(), stage.ports("red"), stage.has("blue")), (0, vec![], false), "{drift:?}");
    }
}
