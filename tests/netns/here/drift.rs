//! What others change behind our back: told, mended or ignored, as vdsm.conf says; and our own
//! changes, which are no drift at any moment.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::tool::tool;
use crate::common::random::{Kinds, Random, config};
use crate::ears::{Ears, until};
use crate::lab::{Lab, Nics::Veth, story, story_with};
use crate::look::{Look, assert_same, without_indexes};

/// A network with a bit of everything.
fn red() -> Value {
    json!({ "nic": "veth_0", "ipaddr": "10.0.0.1", "prefix": 24, "gateway": "10.0.0.254", "defaultRoute": true, "ipv6addr": "fd00::1/64" })
}

/// What somebody does to it, and what is told of that.
const PRANKS: [(&str, &[&str]); 9] = [
    (
        "addr del 10.0.0.1/24 dev red",
        &["address 10.0.0.1/24 on red is missing", "default route via 10.0.0.254 on red is missing"],
    ),
    ("addr add 10.0.0.77/24 dev red", &["address 10.0.0.77/24 on red is not ours"]),
    (
        "addr change 10.0.0.1/24 dev red valid_lft 900 preferred_lft 800",
        &["address 10.0.0.1/24 on red has an end, and is to stay"],
    ),
    (
        "addr change fd00::1/64 dev red valid_lft 900 preferred_lft 800",
        &["address fd00::1/64 on red has an end, and is to stay"],
    ),
    ("link set veth_0 nomaster", &["veth_0 left red"]),
    ("link set red mtu 1400", &["the MTU of red is 1400 instead of 1500"]),
    ("link set red type bridge stp_state 1", &["STP on red is on instead of off"]),
    ("route del default", &["default route via 10.0.0.254 on red is missing"]),
    ("link del red", &["the bridge red is missing"]),
];

/// What is to come back, as text. How large a segment may be follows a bridge's other ports.
fn outside() -> String {
    let text = without_indexes(&Look::now().text(Some(&["red", "veth_0"])));
    text.lines().filter(|line| !line.contains(" tso_max_")).map(|line| format!("{line}\n")).collect()
}

#[test]
fn drift_is_told_in_words_and_mended_when_somebody_asks() {
    story(Veth, 1, |lab| {
        lab.nets(json!({ "red": red() }));
        let (wanted, mut ears) = (outside(), Ears::for_drift(lab));
        assert_eq!(tool(lab, "check", "").expect(0).out, "all networks are as configured\n");
        for (prank, told) in PRANKS {
            lab.ip(&format!("{prank}\n"));
            let said = ears.until_like("network red is out of sync: ").concat();
            let drifted = outside();
            assert_ne!(drifted, wanted, "{prank}");
            let checked = tool(lab, "check", "").expect(3).out;
            for sentence in told {
                assert!(said.contains(sentence), "{prank}: {said}");
                assert!(checked.contains(&format!("  {sentence}\n")), "{prank}: {checked}");
            }
            assert!(checked.contains("what would bring it back (vdsm-tool check --heal):\n  "), "{checked}");
            assert_same(&drifted, &outside(), "nobody has asked for anything");
            let healed = tool(lab, "check --heal", "").expect(0).out;
            assert!(healed.starts_with("brought back in "), "{healed}");
            assert_same(&wanted, &outside(), prank);
            let said = ears.until("network red is in sync again");
            assert_eq!(said, ["network red is in sync again"], "{prank}");
            tool(lab, "check", "").expect(0);
        }
        assert!(lab.running_files().contains_key("nets/red"));
    });
}

#[test]
fn drift_is_mended_where_vdsm_conf_says_so() {
    story_with("drift = heal", Veth, 2, |lab| {
        lab.nets(json!({ "red": red(), "blue": { "nic": "veth_1", "ipaddr": "10.1.0.1", "prefix": 24 } }));
        lab.ip("tuntap add dev vnet0 mode tap\nlink set vnet0 master red\nlink set vnet0 up\n");
        let (wanted, mut ears) = (outside(), Ears::for_drift(lab));
        for (prank, told) in PRANKS {
            lab.ip(&format!("{prank}\n"));
            let said = ears.until("network red is in sync again");
            if said.len() > 1 {
                assert!(said[0].contains(told[0]), "{prank}: {said:?}");
            }
            // A bridge made anew is not where its ports were.
            if prank != "link del red" {
                assert_eq!(Look::now().master("vnet0"), "red", "{prank}");
            }
            assert_same(&wanted, &outside(), prank);
            // Each of them is mended at once, by a daemon who has not yet met this one.
            lab.kill();
            lab.start();
            ears = Ears::for_drift(lab);
        }
    });
}

#[test]
fn who_changes_it_again_and_again_is_left_alone_longer_each_time() {
    story_with("drift = heal", Veth, 1, |lab| {
        lab.nets(json!({ "red": { "nic": "veth_0", "ipaddr": "10.0.0.1", "prefix": 24 } }));
        let (start, mut ears) = (Instant::now(), Ears::for_drift(lab));
        // Only the shortest time can be told: how long a machine takes is its own affair.
        for least in [0, 1, 1 + 2] {
            lab.ip("addr del 10.0.0.1/24 dev red\n");
            ears.until("network red is in sync again");
            assert_eq!(Look::now().addresses("red"), ["10.0.0.1/24"]);
            assert!(start.elapsed() > Duration::from_secs(least), "{:?}, not {least} s", start.elapsed());
        }
    });
}

#[test]
fn drift_is_nobodys_business_where_vdsm_conf_says_so() {
    story_with("drift = ignore", Veth, 2, |lab| {
        lab.nets(json!({ "red": red(), "blue": { "nic": "veth_1" } }));
        lab.ip("link add end type veth peer name end1\n");
        let mut ears = Ears::open(lab, &["out_of_sync", "in_sync", "link_vanished"]);
        lab.ip("addr del 10.0.0.1/24 dev red\nlink del veth_1\n");
        until("red has drifted", |look| look.addresses("red") == ["fd00::1/64"]);
        // What comes back is greeted, and that is after any judging; its networks are brought back whole.
        lab.ip("link set blue mtu 1400\nlink add veth_1 type veth peer name peer1\n");
        until("blue has its port and its size", |look| look.ports("blue") == ["veth_1"] && look.mtu("blue") == 1500);
        assert_eq!(Look::now().addresses("red"), ["fd00::1/64"]);
        lab.ip("link del end\n");
        let told = ears.until("end vanished");
        assert!(told.iter().all(|it| it.ends_with(" vanished")), "{told:?}");
        tool(lab, "check", "").expect(3);
        tool(lab, "check --heal", "").expect(0);
        assert_eq!(Look::now().addresses("red"), ["10.0.0.1/24", "fd00::1/64"]);
    });
}

/// Makes drift of its own, and hears of nothing before.
fn nothing_was_said(lab: &mut Lab, ears: &mut Ears, nic: &str, what: &str) {
    lab.nets(json!({ "end": { "nic": nic } }));
    lab.ip("link set end mtu 1400\n");
    let told = ears.until_like("network end is out of sync: ");
    assert_eq!(told.len(), 1, "{what}: {told:?}");
}

#[test]
fn our_own_changes_are_no_drift_at_any_moment() {
    story(Veth, 6, |lab| {
        let nics: Vec<String> = (0..5).map(|n| format!("veth_{n}")).collect();
        let (mut random, mut ears) = (Random(11), Ears::for_drift(lab));
        for _ in 0..20 {
            let (nets, _) = config(&mut random, &nics, Kinds { bonds: false, vlans: false }).to_stored();
            let mut wanted: serde_json::Map<String, Value> = nets.into_iter().collect();
            for file in lab.running_files().keys() {
                let name = file.strip_prefix("nets/").unwrap();
                wanted.entry(name).or_insert(json!({ "remove": true }));
            }
            lab.nets(Value::Object(wanted));
        }
        nothing_was_said(lab, &mut ears, "veth_5", "after twenty changes");
    });
}

#[test]
fn what_is_undone_is_no_drift_either() {
    story(Veth, 3, |lab| {
        lab.nets(json!({ "red": red() }));
        let mut ears = Ears::for_drift(lab);
        let mut other = red();
        other["nic"] = json!("veth_1");
        other["ipaddr"] = json!("10.0.0.2");
        let mut params = json!({ "networks": { "red": other }, "options": { "connectivityTimeout": 1 } });
        lab.expect_error(10, params.clone());
        // A gateway that is nowhere near: the kernel refuses it in the middle.
        params["networks"]["red"]["gateway"] = json!("10.9.0.254");
        lab.expect_error(29, params);
        nothing_was_said(lab, &mut ears, "veth_2", "after two that failed");
    });
}

#[test]
fn what_drifted_while_nobody_looked_is_told_to_the_next_subscriber_who_waits_for_it() {
    story(Veth, 2, |lab| {
        lab.nets(json!({ "red": red(), "blue": { "nic": "veth_1" } }));
        lab.kill();
        lab.ip("addr del 10.0.0.1/24 dev red\nlink del veth_1\n");
        lab.start();
        let checked = lab.call("Host.checkNetworks", json!({})).unwrap();
        assert_eq!(checked["networks"]["red"]["state"], "drifted", "{checked}");
        let blue = json!([{ "device": "veth_1", "text": "its nic veth_1 is missing" }]);
        assert_eq!(checked["networks"]["blue"], json!({ "state": "missing", "differences": blue }));
        let healed = tool(lab, "check --heal --json", "").expect(3).json();
        assert_eq!((&healed["in_sync"], &healed["networks"]["red"]["state"]), (&json!(false), &json!("in_sync")));
        assert!(healed["mended"].as_u64() > Some(0) && healed["plan"] == json!([]), "{healed}");
    });
}
