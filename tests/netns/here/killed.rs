//! A daemon that is killed at some moment of a change, for real, or hangs: and who brings the host back
//! then, the next daemon or the dead man.

use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use vdsm_net::engine::account::Account;
use vdsm_persistence::{Place, Unfinished};

use crate::common::random::Random;
use crate::lab::{Lab, Nics::Veth, program, story};
use crate::look::{Look, without_indexes};

/// Two configurations between which everything changes.
fn sides() -> [Value; 2] {
    let gone = json!({ "remove": true });
    [
        json!({
            "red": { "nic": "veth_0", "ipaddr": "192.0.2.2", "prefix": 24, "gateway": "192.0.2.1", "defaultRoute": true },
            "blue": { "nic": "veth_1", "mtu": 9000, "STP": true },
            "green": gone, "grey": gone,
        }),
        json!({
            "red": { "nic": "veth_1", "ipaddr": "198.51.100.2", "prefix": 24, "gateway": "198.51.100.1", "defaultRoute": true },
            "blue": gone,
            "green": { "nic": "veth_0", "bridged": false, "ipaddr": "203.0.113.7", "prefix": 28, "mtu": 1400 },
            "grey": { "nic": "veth_2", "ipv6addr": "2001:db8::7/64" },
        }),
    ]
}

/// The first of them on a host that has no networks yet.
fn first() -> Value {
    let [mut side, _] = sides();
    side.as_object_mut().unwrap().retain(|_, net| net["remove"].is_null());
    side
}

/// The number of the history's last entry; all of them can be read.
fn last_entry(lab: &mut Lab) -> u64 {
    let listed = lab.call("Host.getHistory", json!({})).unwrap();
    let entries = listed["entries"].as_array().unwrap();
    assert!(entries.iter().all(|entry| entry.get("unreadable").is_none()), "{listed}");
    entries.last().map_or(0, |entry| entry["number"].as_u64().unwrap())
}

fn state(lab: &Lab) -> (String, Value) {
    (without_indexes(&Look::now().text(None)), Value::Object(lab.running_files()))
}

#[test]
fn whenever_it_is_killed_the_next_one_finds_the_host_as_before_or_as_wished() {
    story(Veth, 3, |lab| {
        let sides = sides();
        let mut took = Duration::ZERO;
        lab.nets(first());
        let known = [1, 0].map(|side: usize| {
            let start = Instant::now();
            lab.nets(sides[side].clone());
            took = start.elapsed();
            state(lab)
        });
        // As it is in the order of the sides.
        let [after, before] = known;
        let known = [before, after];
        let mut random = Random(5);
        let (mut at, mut outcomes) = (0, [0, 0]);
        for round in 0..60 {
            let entry = last_entry(lab);
            let (mut client, to) = (lab.client(), 1 - at);
            let params = json!({ "networks": sides[to], "options": { "connectivityCheck": false } });
            let asked = thread::spawn(move || client.call("Host.setupNetworks", params).is_ok());
            let wait = took.mul_f64(random.below(1300) as f64 / 1000.0);
            thread::sleep(wait);
            lab.kill();
            let was_told = asked.join().unwrap();
            lab.start();
            let found = state(lab);
            let Some(side) = known.iter().position(|it| *it == found) else {
                panic!("round {round}, killed after {wait:?}: {found:#?}\nis neither of {known:#?}");
            };
            assert!(side == to || !was_told, "round {round}: what was said to be done is undone");
            for journal in ["run/journal", "lib/journal"] {
                assert!(!lab.path(journal).exists(), "round {round}: {journal}");
            }
            assert_eq!(last_entry(lab), entry + u64::from(side == to), "round {round}: once, if it was done");
            outcomes[usize::from(side == to)] += 1;
            at = side;
        }
        assert!(outcomes.iter().all(|count| *count > 3), "undone, done: {outcomes:?}; one change took {took:?}");
        assert_eq!(lab.call("Host.checkNetworks", json!({})).unwrap()["in_sync"], true);
    });
}

/// A change that waits for a sign of life; it has been made.
fn waiting(lab: &mut Lab, seconds: u32) -> (thread::JoinHandle<bool>, (String, Value)) {
    lab.nets(first());
    let before = state(lab);
    let mut client = lab.client();
    let params = json!({ "networks": sides()[1], "options": { "connectivityTimeout": seconds } });
    let asked = thread::spawn(move || client.call("Host.setupNetworks", params).is_ok());
    let is_done = |left: Unfinished| Account::of(&left).to_string().ends_with("all were done");
    let waits = |journal: Vec<u8>| Unfinished::of(&journal, Place::Run).is_some_and(is_done);
    let end = Instant::now() + Duration::from_secs(120);
    while !std::fs::read(lab.path("run/journal")).is_ok_and(waits) {
        assert!(Instant::now() < end, "it never came to that");
        thread::sleep(Duration::from_millis(1));
    }
    assert!(Look::now().has("grey"));
    (asked, before)
}

/// The host becomes as it was, and nobody who would do it is left.
#[track_caller]
fn comes_back(lab: &Lab, before: &(String, Value), within: Duration) {
    let end = Instant::now() + within;
    while state(lab) != *before || lab.path("run/journal").exists() {
        assert!(Instant::now() < end, "after {within:?}: {:#?}\nis not {before:#?}", state(lab));
        thread::sleep(Duration::from_millis(20));
    }
}

fn dead_men(lab: &Lab) -> Vec<i32> {
    lab.processes("vdsm-deadman")
}

fn kill_dead_men(lab: &Lab) {
    dead_men(lab).into_iter().for_each(|pid| kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap());
}

#[test]
fn who_is_killed_while_waiting_for_a_sign_of_life_is_undone_though_no_other_daemon_comes() {
    story(Veth, 3, |lab| {
        let (asked, before) = waiting(lab, 60);
        assert_eq!(dead_men(lab).len(), 1);
        lab.kill();
        assert!(!asked.join().unwrap());
        comes_back(lab, &before, Duration::from_secs(30));
        // And one that comes nevertheless finds nothing to do.
        lab.start();
        assert_eq!(state(lab), before);
        assert_eq!(dead_men(lab), [0; 0]);
    });
}

#[test]
fn who_hangs_while_waiting_for_a_sign_of_life_is_killed_at_the_deadline_and_undone() {
    story(Veth, 3, |lab| {
        let start = Instant::now();
        let (asked, before) = waiting(lab, 3);
        kill(Pid::from_raw(lab.pid()), Signal::SIGSTOP).unwrap();
        comes_back(lab, &before, Duration::from_secs(30));
        assert!(start.elapsed() > Duration::from_secs(3), "before the deadline: {:?}", start.elapsed());
        assert!(!asked.join().unwrap());
        assert_eq!(lab.ended(), None, "it was killed");
        lab.start();
        assert_eq!((state(lab), dead_men(lab)), (before, vec![]));
    });
}

#[test]
fn a_dead_man_goes_with_the_change_however_it_ends() {
    story(Veth, 3, |lab| {
        let (asked, before) = waiting(lab, 60);
        // Once is enough: the change has been made, whether it is verified yet or not.
        lab.call("Host.confirmConnectivity", json!({})).unwrap();
        assert!(asked.join().unwrap());
        assert_eq!(dead_men(lab), [0; 0]);
        let after = state(lab);
        assert_ne!(after, before);
        let params = json!({ "networks": sides()[0], "options": { "connectivityTimeout": 0.2 } });
        assert_eq!(lab.call("Host.setupNetworks", params).unwrap_err().code, 10);
        assert_eq!((state(lab), dead_men(lab)), (after, vec![]));
        // The daemon that is told to end undoes it itself.
        let mut client = lab.client();
        let params = json!({ "networks": sides()[0], "options": { "connectivityTimeout": 60 } });
        let asked = thread::spawn(move || client.call("Host.setupNetworks", params).is_ok());
        while !Look::now().has("blue") {}
        kill(Pid::from_raw(lab.pid()), Signal::SIGTERM).unwrap();
        assert_eq!(lab.ended(), Some(0));
        assert!(!asked.join().unwrap());
        assert_eq!(dead_men(lab), [0; 0]);
    });
}

#[test]
fn whoever_looks_after_the_end_of_a_daemon_brings_the_host_back() {
    story(Veth, 3, |lab| {
        let (asked, before) = waiting(lab, 60);
        // systemd ends all of a unit, and has somebody look then.
        kill_dead_men(lab);
        lab.kill();
        assert!(!asked.join().unwrap());
        assert_ne!(state(lab), before);
        let recover =
            || Command::new(program("vdsm-deadman")).arg("--recover").arg("--config").arg(lab.path("conf")).status();
        assert!(recover().unwrap().success());
        assert_eq!(state(lab), before);
        assert!(!lab.path("run/journal").exists());
        assert!(recover().unwrap().success(), "there is nothing left to do");
        assert_eq!(state(lab), before);
    });
}

#[test]
fn a_configuration_that_is_spoilt_meanwhile_keeps_nobody_from_it() {
    story(Veth, 3, |lab| {
        let (asked, before) = waiting(lab, 60);
        std::fs::write(lab.path("conf"), "[vars]\nrun_dir = here\n").unwrap();
        lab.kill();
        assert!(!asked.join().unwrap());
        comes_back(lab, &before, Duration::from_secs(30));
    });
}

#[test]
fn without_a_dead_man_a_change_says_so() {
    story(Veth, 1, |lab| {
        // A daemon that stands alone.
        lab.kill();
        let alone = lab.path("vdsm-netd");
        std::fs::copy(program("vdsm-netd"), &alone).unwrap();
        lab.start_as(lab.prepared(Command::new(alone)));
        let mut client = lab.client();
        let params = json!({ "networks": { "red": { "nic": "veth_0" } }, "options": { "connectivityTimeout": 60 } });
        let asked = thread::spawn(move || client.call("Host.setupNetworks", params));
        while !Look::now().has("red") {}
        while !asked.is_finished() {
            lab.call("Host.ping", json!({})).unwrap();
        }
        let warnings = asked.join().unwrap().unwrap()["warnings"].clone();
        let text = warnings[0].as_str().unwrap();
        assert!(text.starts_with("nobody would have undone this change had the daemon died: no dead man: "), "{text}");
    });
}
