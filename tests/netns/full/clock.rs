//! The clock is set while somebody waits: what has a deadline keeps it.
//!
//! Only where the clock is this machine's own: a user-mode Linux.

use std::thread;
use std::time::{Duration, Instant};

use nix::sys::time::TimeSpec;
use nix::time::{ClockId, clock_gettime, clock_settime};
use serde_json::json;

use crate::beyond::server::{Offers, Server};
use crate::ears::until;
use crate::lab::{Nics::Veth, skip, story, story_needing};
use crate::look::{Look, assert_same};

const DAY: i64 = 86_400;

/// Sets the clock forward or back.
fn set_by(seconds: i64) {
    let now = clock_gettime(ClockId::CLOCK_REALTIME).unwrap();
    clock_settime(ClockId::CLOCK_REALTIME, now + TimeSpec::new(seconds, 0)).unwrap();
}

/// Whether nobody else lives by this clock; where it is not so, that is told.
fn is_ours(test: &str) -> bool {
    let is_so = std::fs::read_to_string("/proc/cpuinfo").unwrap().contains("User Mode Linux");
    if !is_so {
        skip(&format!("full::clock::{test}"), "the clock is the whole machine's");
    }
    is_so
}

#[test]
fn a_clock_that_is_set_neither_shortens_nor_lengthens_a_wait() {
    if !is_ours("a_clock_that_is_set_neither_shortens_nor_lengthens_a_wait") {
        return;
    }
    story(Veth, 1, |lab| {
        for seconds in [2 * DAY, -DAY, -DAY] {
            let waiting = |timeout: f64| {
                let options = json!({ "connectivityCheck": true, "connectivityTimeout": timeout });
                json!({ "networks": { "red": { "nic": "veth_0" } }, "options": options })
            };
            // Who confirms after the jump is heard.
            let mut client = lab.client();
            let change = thread::spawn(move || client.call("Host.setupNetworks", waiting(60.0)));
            while !Look::now().has("red") {
                thread::sleep(Duration::from_millis(5));
            }
            set_by(seconds);
            thread::sleep(Duration::from_millis(300));
            assert!(!change.is_finished(), "{seconds} s are not what was waited for");
            while !change.is_finished() {
                lab.call("Host.confirmConnectivity", json!({})).unwrap();
                thread::sleep(Duration::from_millis(20));
            }
            change.join().unwrap().unwrap();
            lab.nets(json!({ "red": { "remove": true } }));
            // And where nobody does, it is undone in time.
            let (before, start) = (Look::now().text(None), Instant::now());
            let mut client = lab.client();
            let change = thread::spawn(move || client.call("Host.setupNetworks", waiting(1.0)));
            while !Look::now().has("red") {
                thread::sleep(Duration::from_millis(5));
            }
            set_by(-seconds);
            let error = change.join().unwrap().unwrap_err();
            assert!(error.to_string().contains("nobody called within 1 s"), "{error}");
            assert!(start.elapsed() < Duration::from_secs(30), "{:?}", start.elapsed());
            assert_same(&before, &Look::now().text(None), "undone");
            set_by(seconds);
        }
    });
}

#[test]
fn a_lease_outlives_a_clock_that_is_set() {
    if !is_ours("a_lease_outlives_a_clock_that_is_set") {
        return;
    }
    story_needing(&["dnsmasq"], Veth, 1, |lab| {
        let mut server = Server::behind(0);
        server.start(&Offers { v4: Some(100..=100), lease: 120, ..Offers::default() });
        lab.nets(json!({ "red": { "nic": "veth_0", "bootproto": "dhcp", "blockingdhcp": true } }));
        let has_lease = || Look::now().addresses("red") == ["10.77.0.100/24"];
        for seconds in [2 * DAY, -4 * DAY, 2 * DAY] {
            set_by(seconds);
            thread::sleep(Duration::from_millis(500));
            assert!(has_lease(), "after {seconds} s");
        }
        // Whoever begins anew after a jump has it again, or still.
        for seconds in [2 * DAY, -4 * DAY] {
            set_by(seconds);
            lab.kill();
            lab.kill_dhcp();
            lab.start();
            until("the lease is there", |_| has_lease());
            assert_eq!(lab.capabilities()["networks"]["red"]["dhcpv4"], true);
        }
        set_by(2 * DAY);
    });
}
