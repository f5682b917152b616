//! What is no drift: our own changes. What is, although no device has changed: the configuration.

use super::random::{Kinds, Random};
use super::*;

#[test]
fn our_own_changes_are_no_drift_and_nothing_to_react_to() {
    for drift in [Drift::Report, Drift::Heal] {
        let mut stage = Stage::new(drift, NetConfig::default());
        let nics = NICS.map(str::to_owned);
        let mut random = Random(7);
        for step in 0..40 {
            let wanted = random::config(&mut random, &nics, Kinds { bonds: true, vlans: true });
            stage.set(&wanted);
            let changes = stage.changes();
            stage.pass(Duration::from_millis(random.below(400) as u64));
            assert_eq!((stage.heard(), stage.changes()), (vec![], 0), "{drift:?}, step {step}, after {changes}");
        }
    }
}

#[test]
fn the_intermediate_states_of_a_change_are_no_drift() {
    let mut stage = Stage::new(Drift::Heal, config([("red", with_address("eth0", 9))]));
    let engine = Arc::clone(&stage.engine);
    let mut request = Request::between(&NetConfig::default(), &config([("red", with_address("eth1", 8))]));
    request.options.connectivity_check = true;
    request.options.connectivity_timeout = Duration::from_secs(3600);
    let change = std::thread::spawn(move || engine.setup(&request).map(|_| ()));
    while stage.ports("red") != ["eth1"] || stage.addresses("red") != ["10.0.0.8/24"] {
        std::thread::yield_now();
    }
    stage.pass(Duration::from_secs(60));
    // It is rolled back.
    stage.engine.connectivity.give_up();
    change.join().unwrap().unwrap_err();
    stage.changes();
    stage.rest();
    assert_eq!((stage.heard(), stage.changes()), (vec![], 0));
    assert_eq!(stage.ports("red"), ["eth0"]);
}

#[test]
fn a_link_that_appears_brings_nothing_back_but_what_waited_for_it() {
    let red = NetworkConfig { default_route: true, gateway: Some([10, 0, 0, 254].into()), ..with_address("eth0", 9) };
    let mut stage = Stage::new(Drift::Report, config([("red", red)]));
    stage.drop_address("red", "10.0.0.9");
    stage.rest();
    stage.changes();
    stage.sim.plug_tap("vnet0", "red");
    stage.sim.plug("eth9");
    stage.rest();
    assert_eq!((stage.addresses("red"), stage.changes()), (vec![], 0));
}

#[test]
fn a_configuration_that_changes_alone_is_judged_anew() {
    let mut stage = Stage::new(Drift::Report, config([("red", on_nic("eth0"))]));
    stage.set_mtu("red", 1400);
    stage.set_mtu("eth0", 1400);
    stage.rest();
    assert_eq!(stage.heard().len(), 1);
    let mtu = Mtu::new(1400).unwrap();
    stage.set(&config([("red", NetworkConfig { mtu, ..on_nic("eth0") })]));
    assert_eq!(stage.changes(), 0, "the host was like this already");
    stage.pass(COMPARING * 2);
    assert_eq!(stage.heard(), ["network red is in sync again"]);
}

#[test]
fn what_cannot_be_restored_is_told() {
    let mut stage = Stage::new(Drift::Report, config([("red", on_nic("eth0"))]));
    stage.engine.set_safe().unwrap();
    stage.set(&NetConfig::default());
    stage.sim.unplug("eth0");
    stage.rest();
    assert_eq!(stage.heard(), [""; 0]);
    stage.engine.restore(true).unwrap();
    stage.pass(COMPARING * 2);
    assert_eq!(stage.heard(), ["network red is out of sync: its nic eth0 is missing"]);
}

#[test]
fn what_drifted_while_there_was_no_daemon_is_told_and_mended() {
    for drift in [Drift::Report, Drift::Heal] {
        let mut stage = Stage::new(drift, config([("red", with_address("eth0", 9)), ("blue", on_nic("eth1"))]));
        stage.drop_address("red", "10.0.0.9");
        stage.sim.unplug("eth1");
        stage.sim.unplug("blue");
        stage.restart();
        stage.rest();
        let told = stage.heard();
        let blue = "network blue is out of sync: its nic eth1 is missing";
        assert!(told[0].starts_with(blue) || told[1].starts_with(blue), "{told:?}");
        let red = match drift {
            Drift::Report => "network red is out of sync: address 10.0.0.9/24 on red is missing",
            _ => "network red is in sync again",
        };
        assert!(told.len() == 2 && told.contains(&red.to_owned()), "{told:?}");
    }
}

#[test]
fn what_is_ours_no_more_is_forgotten() {
    let mut stage = Stage::new(Drift::Heal, config([("red", on_nic("eth0"))]));
    stage.refuse(&["red"]);
    stage.delete("red");
    stage.rest();
    stage.heard();
    stage.set(&NetConfig::default());
    stage.pass(Duration::from_secs(600));
    assert_eq!((stage.heard(), stage.keeper.out.len()), (vec![], 0));
}
