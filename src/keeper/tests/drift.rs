//! Drift: reported, mended or ignored, and not fought over without end.

use super::*;
use vdsm_model::bridge_options::BridgeOptions;

/// A network with everything, the default route too.
fn whole() -> NetworkConfig {
    NetworkConfig { gateway: Some([10, 0, 0, 254].into()), default_route: true, ..with_address("eth0", 9) }
}

fn gateway() -> Route {
    Route::default_via("10.0.0.254".parse().unwrap())
}

fn stage(drift: Drift) -> Stage {
    Stage::new(drift, config([("red", whole()), ("blue", with_address("eth1", 1))]))
}

fn switch_stp_on(stage: &Stage) {
    let mut wanted = BridgeOptions::default();
    wanted.set("stp_state", 1);
    for change in wanted.changes_from(&BridgeOptions::default()) {
        stage.act(Action::SetBridge { name: dev("red"), change });
    }
}

/// What somebody does to `red`, and what is told of it.
type Prank = (fn(&Stage), &'static str);

const PRANKS: [Prank; 6] = [
    (
        |stage| stage.drop_address("red", "10.0.0.9"),
        "address 10.0.0.9/24 on red is missing; default route via 10.0.0.254 on red is missing; default route via 10.0.0.254 table 167772169 on red is missing; route 10.0.0.0/24 table 167772169 on red is missing",
    ),
    (|stage| stage.release("eth0"), "eth0 left red"),
    (|stage| stage.set_mtu("red", 1400), "the MTU of red is 1400 instead of 1500"),
    (|stage| stage.delete("red"), "the bridge red is missing"),
    (switch_stp_on, "STP on red is on instead of off; option forward_delay of red is 200 instead of 0"),
    (|stage| stage.drop_route("red", gateway()), "default route via 10.0.0.254 on red is missing"),
];

#[test]
fn drift_is_told_and_left_alone_until_somebody_brings_it_back() {
    for (prank, told) in PRANKS {
        let mut stage = stage(Drift::Report);
        prank(&stage);
        stage.pass(Duration::from_secs(60));
        assert_eq!(stage.heard(), [format!("network red is out of sync: {told}")]);
        assert_eq!(stage.changes(), 0, "{told}");
        stage.engine.heal().unwrap();
        stage.rest();
        assert_eq!(stage.heard(), ["network red is in sync again"], "{told}");
    }
}

#[test]
fn drift_is_told_and_mended_where_that_is_wanted() {
    for (prank, told) in PRANKS {
        let mut stage = stage(Drift::Heal);
        prank(&stage);
        stage.rest();
        assert_eq!(stage.heard(), ["network red is in sync again"], "one who is slow to read hears only how it is now");
        assert!(stage.engine.check(None, true).unwrap().in_sync(), "{told}");
        assert!(stage.changes() > 0);
        stage.pass(Duration::from_secs(60));
        assert_eq!(stage.changes(), 0, "once is enough");
    }
}

#[test]
fn drift_is_ignored_where_that_is_wanted() {
    for (prank, told) in PRANKS {
        let mut stage = stage(Drift::Ignore);
        prank(&stage);
        stage.pass(Duration::from_secs(60));
        assert_eq!((stage.heard(), stage.changes()), (vec![], 0), "{told}");
    }
}

#[test]
fn what_is_told_of_drift_is_told_again_when_it_changes() {
    let mut stage = stage(Drift::Report);
    stage.set_mtu("red", 1400);
    stage.rest();
    stage.heard();
    stage.release("eth0");
    stage.rest();
    let both = "network red is out of sync: the MTU of red is 1400 instead of 1500; eth0 left red";
    assert_eq!(stage.heard(), [both]);
    stage.add_address("blue", "10.0.0.77");
    stage.rest();
    assert_eq!(stage.heard(), ["network blue is out of sync: address 10.0.0.77/24 on blue is not ours"]);
}

#[test]
fn who_changes_it_again_and_again_is_not_fought_without_end() {
    let mut stage = stage(Drift::Heal);
    let mut fights = 0;
    for _ in 0..3600 {
        if stage.addresses("blue") == ["10.0.0.1/24"] {
            stage.drop_address("blue", "10.0.0.1");
            fights += 1;
        }
        stage.pass(Duration::from_secs(1));
    }
    // At once, then after 1, 2, 4 .. 256 s, which is half of the first 1022 s, and then every 300 s.
    assert!((15..=21).contains(&fights), "{fights}");
    stage.changes();
    // Others do not wait for that.
    stage.drop_address("red", "10.0.0.9");
    stage.rest();
    assert_eq!(stage.addresses("red"), ["10.0.0.9/24"]);
    stage.pass(Duration::from_secs(301));
    assert_eq!(stage.addresses("blue"), ["10.0.0.1/24"], "he has given up, and we have not");
    stage.pass(Duration::from_secs(3600));
    stage.drop_address("blue", "10.0.0.1");
    stage.rest();
    assert_eq!(stage.addresses("blue"), ["10.0.0.1/24"], "after long peace it is mended at once");
}

#[test]
fn what_cannot_be_mended_is_tried_less_and_less_often_and_others_are_mended() {
    let mut stage = stage(Drift::Heal);
    stage.refuse(&["red"]);
    stage.delete("red");
    stage.drop_address("blue", "10.0.0.1");
    stage.rest();
    assert_eq!(stage.addresses("blue"), ["10.0.0.1/24"]);
    stage.pass(Duration::from_secs(3600));
    let refusals = stage.refusals();
    assert!((15..=22).contains(&refusals), "{refusals}");
    stage.refuse(&[]);
    stage.pass(Duration::from_secs(301));
    assert_eq!((stage.ports("red"), stage.addresses("red")), (vec!["eth0".into()], vec!["10.0.0.9/24".into()]));
    assert_eq!(stage.heard(), ["network blue is in sync again", "network red is in sync again"]);
}

#[test]
fn what_failed_when_its_nic_came_is_not_mended_a_moment_later() {
    let mut stage = stage(Drift::Heal);
    stage.refuse(&["red"]);
    stage.sim.unplug("eth0");
    stage.delete("red");
    stage.rest();
    stage.sim.plug("eth0");
    stage.rest();
    assert_eq!(stage.refusals(), 1);
}
