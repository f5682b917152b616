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

/// What the log says meanwhile, without times and targets.
fn logged(act: impl FnOnce()) -> Vec<String> {
    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);
    impl std::io::Write for Log {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let log = Log::default();
    let to = log.clone();
    let lines = tracing_subscriber::fmt().without_time().with_target(false).with_ansi(false);
    let lines = lines.with_max_level(tracing::Level::INFO).with_writer(move || to.clone()).finish();
    tracing::subscriber::with_default(lines, act);
    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    text.lines().map(|line| line.trim().to_owned()).collect()
}

#[test]
fn the_log_says_once_what_is_out_of_sync() {
    let mut stage = stage(Drift::Report);
    let said = logged(|| {
        stage.set_mtu("red", 1400);
        stage.pass(Duration::from_secs(600));
        // What happens to it otherwise is nothing new.
        stage.add_address("eth3", "10.9.0.1");
        stage.release("eth0");
        stage.pass(Duration::from_secs(600));
        stage.engine.heal().unwrap();
        stage.pass(Duration::from_secs(600));
    });
    let wanted = [
        "WARN network red is out of sync: the MTU of red is 1400 instead of 1500",
        "WARN network red is out of sync: the MTU of red is 1400 instead of 1500; eth0 left red",
        "INFO network red is in sync again",
    ];
    assert_eq!(said, wanted);
}

#[test]
fn the_log_and_a_check_say_that_healing_fails_and_when_it_is_tried_again() {
    let mut stage = stage(Drift::Heal);
    stage.refuse(&["red"]);
    let said = logged(|| {
        stage.delete("red");
        stage.pass(Duration::from_secs(3600));
    });
    assert!(stage.refusals() > 10);
    // Each way back from an attempt is an act on the host, and told as any.
    let said: Vec<_> = said.iter().filter(|line| !line.starts_with("WARN rolling back: ")).collect();
    let [line] = &said[..] else { panic!("{said:#?}") };
    assert!(
        line.starts_with("WARN network red is out of sync: the bridge red is missing; it cannot be brought back: ")
    );
    assert!(line.ends_with("not today; tried again in 1 s, and less and less often"), "{line}");
    let check = || {
        let mut answer = stage.engine.check(None, true).unwrap().to_json();
        stage.engine.healing.tell(&mut answer);
        answer
    };
    let told = &check()["networks"];
    assert!(told["red"]["healing"]["failed"].as_str().unwrap().ends_with("not today"), "{told}");
    assert!(told["red"]["healing"]["again"].as_u64().unwrap() > 1000, "of this stage's clock: {told}");
    assert!(told["blue"].get("healing").is_none());
    stage.refuse(&[]);
    let said = logged(|| stage.pass(Duration::from_secs(301)));
    assert_eq!(said.len(), 2, "{said:#?}");
    assert!(said[0].starts_with("INFO drift was found; brought back: "), "{said:#?}");
    assert_eq!(said[1], "INFO network red is in sync again");
    let mut answer = stage.engine.check(None, true).unwrap().to_json();
    stage.engine.healing.tell(&mut answer);
    assert!(!answer.to_string().contains("healing"), "{answer}");
}

#[test]
fn the_log_says_once_what_no_plan_mends() {
    let mut stage = stage(Drift::Heal);
    let said = logged(|| {
        stage.release("eth0");
        stage.add_bridge("theirs", "eth0");
        stage.pass(Duration::from_secs(600));
    });
    let ours: Vec<_> = said.iter().filter(|line| line.contains("is out of sync")).collect();
    let [line] = &ours[..] else { panic!("{said:#?}") };
    assert!(line.contains("eth0 is port of theirs"), "{line}");
    assert!(
        line.ends_with("; nothing brings that back now, and it is looked at again when the host changes"),
        "{line}"
    );
}

#[test]
fn the_log_says_that_who_is_fought_with_is_left_alone() {
    let mut stage = stage(Drift::Heal);
    stage.drop_address("blue", "10.0.0.1");
    stage.pass(Duration::from_millis(300));
    let said = logged(|| {
        stage.drop_address("blue", "10.0.0.1");
        stage.pass(Duration::from_millis(300));
    });
    let [line] = &said[..] else { panic!("{said:#?}") };
    assert!(line.contains("address 10.0.0.1/24 on blue is missing"), "{line}");
    assert!(line.ends_with("; it was brought back a moment ago, and is left alone for 1 s"), "{line}");
}
