//! Restore is a standing goal: a nic that comes late, or again, gets the networks that wait for it.

use std::fs;
use std::thread;

use serde_json::json;

use crate::ears::{Ears, until};
use crate::lab::{Lab, Nics::Veth, story, story_with};
use crate::look::{Look, assert_same, without_indexes};

/// How often the daemon has said that.
fn said(lab: &Lab, text: &str) -> usize {
    fs::read_to_string(lab.path("log")).unwrap_or_default().matches(text).count()
}

fn plug(lab: &Lab, number: usize) {
    lab.ip(&format!("link add veth_{number} type veth peer name peer{number}\nlink set peer{number} up\n"));
}

#[test]
fn a_nic_that_is_late_at_boot_gets_its_networks_whatever_is_done_about_drift() {
    for conf in ["drift = ignore", "drift = report", "drift = heal"] {
        story_with(conf, Veth, 2, move |lab| {
            let red = json!({ "nic": "veth_0", "mtu": 2000, "ipaddr": "10.0.0.1", "prefix": 24, "gateway": "10.0.0.254", "defaultRoute": true });
            lab.nets(json!({ "red": red, "blue": { "nic": "veth_1", "bridged": false, "ipaddr": "10.1.0.1", "prefix": 24 } }));
            lab.set_safe();
            let stored = lab.running_files();
            lab.reboot();
            lab.ip("link del veth_0\nlink del veth_1\n");
            let told = lab.restore(false);
            assert_eq!(told["skipped"].as_array().map(Vec::len), Some(2), "{told}");
            assert!(!Look::now().has("red"));
            plug(lab, 0);
            plug(lab, 1);
            until("both have come", |look| look.has("red") && look.addresses("veth_1") == ["10.1.0.1/24"]);
            until("red is whole", |look| look.default_routes() == ["10.0.0.254 red"]);
            let now = Look::now();
            assert_eq!((now.ports("red"), now.mtus(&["red", "veth_0"])), (vec!["veth_0"], vec![2000, 2000]));
            assert_eq!(lab.running_files(), stored);
            assert_eq!(lab.capabilities()["netConfigDirty"], "False", "it is what was safe");
        });
    }
}

#[test]
fn a_port_that_comes_back_joins_its_bridge_again_and_the_vms_notice_nothing() {
    story(Veth, 2, |lab| {
        let red = json!({ "nic": "veth_0", "ipaddr": "10.0.0.1", "prefix": 24, "gateway": "10.0.0.254", "defaultRoute": true });
        lab.nets(json!({ "red": red, "blue": { "nic": "veth_1" } }));
        lab.ip("tuntap add dev vnet0 mode tap\nlink set vnet0 master red\nlink set vnet0 up\n");
        let mut ears = Ears::for_drift(lab);
        let (untouched, before) = (["blue", "veth_1"], Look::now());
        for _ in 0..3 {
            lab.ip("link del veth_0\n");
            let told = ears.until_like("network red is out of sync: its nic veth_0 is missing");
            assert_eq!(told.len(), 1, "{told:?}");
            assert_eq!(Look::now().ports("red"), ["vnet0"]);
            plug(lab, 0);
            assert_eq!(ears.until("network red is in sync again").len(), 1);
            let now = Look::now();
            assert_eq!((now.ports("red"), now.index("red")), (vec!["veth_0", "vnet0"], before.index("red")));
            assert_eq!(
                (now.addresses("red"), now.default_routes()),
                (before.addresses("red"), before.default_routes())
            );
            assert_eq!(now.index("vnet0"), before.index("vnet0"));
            assert_same(&before.text(Some(&untouched)), &now.text(Some(&untouched)), "the others");
        }
        assert_eq!(said(lab, "veth_0 appeared; brought back: "), 3);
    });
}

#[test]
fn a_nic_that_udev_renames_is_taken_by_its_last_name_only() {
    story(Veth, 2, |lab| {
        lab.nets(json!({ "red": { "nic": "veth_0" }, "blue": { "nic": "veth_1" } }));
        lab.ip("link del veth_0\nlink del veth_1\n");
        // The first is called something else until udev comes; the second has the name of the
        // first until udev comes.
        lab.ip("link add eth9 type veth peer name peer0\nlink add veth_0 type veth peer name peer1\nlink set veth_0 name veth_1\nlink set eth9 name veth_0\n");
        until("both have come", |look| look.ports("red") == ["veth_0"] && look.ports("blue") == ["veth_1"]);
        assert_eq!(Look::now().link("veth_0")["link"], "peer0");
        let log = fs::read_to_string(lab.path("log")).unwrap();
        let reactions: Vec<&str> = log.lines().filter(|line| line.contains(" appeared")).collect();
        assert!(!reactions.is_empty() && reactions.iter().all(|line| line.contains("brought back")), "{reactions:?}");
    });
}

#[test]
fn a_nic_that_comes_during_a_change_is_seen_to_afterwards() {
    story(Veth, 2, |lab| {
        lab.nets(json!({ "red": { "nic": "veth_0" } }));
        lab.ip("link del veth_0\n");
        let mut ears = Ears::open(lab, &["link_up"]);
        let mut client = lab.client();
        let params = json!({ "networks": { "blue": { "nic": "veth_1" } }, "options": { "connectivityTimeout": 60 } });
        let waiting = thread::spawn(move || client.call("Host.setupNetworks", params));
        until("the change is under way", |look| look.has("blue"));
        plug(lab, 0);
        lab.ip("link set veth_0 up\n");
        ears.until("veth_0 is up");
        // A second is turned away for the first's sake, and a reaction waits.
        assert_eq!(lab.call("Host.setSafeNetworkConfig", json!({})).unwrap_err().code, 40);
        assert_eq!((Look::now().ports("red"), waiting.is_finished()), (vec![], false));
        lab.call("Host.confirmConnectivity", json!({})).unwrap();
        waiting.join().unwrap().unwrap();
        until("red has its port", |look| look.ports("red") == ["veth_0"]);
    });
}

#[test]
fn a_nic_that_does_not_stay_leaves_everything_as_it_is() {
    story(Veth, 2, |lab| {
        lab.nets(
            json!({ "red": { "nic": "veth_0", "ipaddr": "10.0.0.1", "prefix": 24 }, "blue": { "nic": "veth_1" } }),
        );
        let text = || without_indexes(&Look::now().text(Some(&["red", "blue", "veth_1"])));
        lab.ip("link del veth_0\n");
        let before = text();
        for _ in 0..20 {
            lab.ip("link add veth_0 type veth peer name peer0\nlink del veth_0\n");
        }
        assert_same(&before, &text(), "while it came and went");
        // Changes are not in its way either.
        for number in 0..10 {
            plug(lab, 0);
            lab.nets(json!({ "blue": { "nic": "veth_1", "mtu": 1400 + number } }));
            lab.ip("link del veth_0\n");
        }
        plug(lab, 0);
        until("it has stayed", |look| look.ports("red") == ["veth_0"]);
        assert_eq!(said(lab, "ERROR"), 0);
    });
}

/// Who wants a change while we react is not turned away for what nobody has asked for.
#[test]
fn a_change_waits_for_a_reaction_and_is_not_refused() {
    story(Veth, 2, |lab| {
        lab.nets(json!({ "red": { "nic": "veth_0" } }));
        for number in 0..6 {
            lab.ip("link del veth_0\n");
            plug(lab, 0);
            while Look::now().ports("red").is_empty() {
                lab.nets(json!({ "blue": { "nic": "veth_1", "mtu": 1500 + number } }));
                lab.nets(json!({ "blue": { "nic": "veth_1", "mtu": 1400 } }));
            }
        }
    });
}

#[test]
fn a_reaction_that_fails_is_told_and_tried_less_and_less_often() {
    story(Veth, 2, |lab| {
        lab.nets(json!({ "red": { "nic": "veth_0" }, "blue": { "nic": "veth_1" } }));
        lab.ip("link del veth_0\nlink del veth_1\n");
        let before = without_indexes(&Look::now().text(Some(&["red"])));
        // Of that name, and no bridge takes it: it has no Ethernet.
        lab.ip("tuntap add dev veth_0 mode tun\n");
        let failed = "veth_0 appeared; network red cannot be brought back: ";
        until("it has failed", |_| said(lab, failed) > 0);
        assert_same(&before, &without_indexes(&Look::now().text(Some(&["red"]))), "it was undone");
        // Others come and go, and are seen to.
        for _ in 0..3 {
            plug(lab, 1);
            until("blue has its port", |look| look.ports("blue") == ["veth_1"]);
            lab.ip("link del veth_1\n");
        }
        // After 1, 2, 4 .. seconds, and each time takes its own: 12 would be more than an hour.
        assert!(said(lab, failed) < 12, "it does not loop");
        lab.ip("link del veth_0\n");
        plug(lab, 0);
        until("the right one has come", |look| look.ports("red") == ["veth_0"]);
    });
}
