//! A daemon that is killed at some moment of a change, for real, and the one that is started then.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::common::random::Random;
use crate::lab::{Lab, Nics::Veth, story};
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
            outcomes[usize::from(side == to)] += 1;
            at = side;
        }
        assert!(outcomes.iter().all(|count| *count > 3), "undone, done: {outcomes:?}; one change took {took:?}");
        assert_eq!(lab.call("Host.checkNetworks", json!({})).unwrap()["in_sync"], true);
    });
}

/// While a change waits for a sign of life nobody has decided yet.
#[test]
fn who_is_killed_while_waiting_for_a_sign_of_life_is_undone() {
    story(Veth, 3, |lab| {
        lab.nets(first());
        let before = state(lab);
        let mut client = lab.client();
        let params = json!({ "networks": sides()[1], "options": { "connectivityTimeout": 60 } });
        let asked = thread::spawn(move || client.call("Host.setupNetworks", params).is_ok());
        while !Look::now().has("grey") {}
        lab.kill();
        assert!(!asked.join().unwrap());
        lab.start();
        assert_eq!(state(lab), before);
    });
}
