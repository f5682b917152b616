//! Subscribers hear what happens to the host, all of them the same, and none at another's cost.

use std::collections::BTreeMap;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;

use serde_json::json;
use vdsm_net::events;
use vdsm_net::hub::MOST_WAITING;

use crate::ears::{Ears, until};
use crate::lab::{Nics::Veth, program, story};
use crate::look::{Look, ip};

#[test]
fn each_thing_that_happens_is_told() {
    story(Veth, 1, |lab| {
        let mut ears = Ears::open(lab, &[]);
        lab.ip("link add veth_7 type veth peer name peer7\n");
        ears.until("veth_7 appeared (nic)");
        lab.ip("link set peer7 up\nlink set veth_7 up\n");
        ears.until("veth_7 is up");
        lab.ip("addr add 192.0.2.7/24 dev veth_7\n");
        ears.until("veth_7 has address 192.0.2.7/24");
        lab.ip("route add default via 192.0.2.1 dev veth_7\n");
        ears.until("ipv4 default route: via 192.0.2.1 dev veth_7");
        lab.ip("route replace default via 192.0.2.2 dev veth_7\n");
        ears.until("ipv4 default route: via 192.0.2.2 dev veth_7");
        lab.ip("addr add 2001:db8::7/64 dev veth_7 nodad\nroute add default via 2001:db8::1 dev veth_7\n");
        ears.until("ipv6 default route: via 2001:db8::1 dev veth_7");
        lab.ip("addr del 192.0.2.7/24 dev veth_7\n");
        let told = ears.until("there is no ipv4 default route");
        assert!(told.contains(&"veth_7 lost address 192.0.2.7/24".to_owned()), "{told:?}");
        lab.ip("link set peer7 down\n");
        ears.until("veth_7 is down");
        lab.ip("link del veth_7\n");
        ears.until("veth_7 vanished");
    });
}

#[test]
fn a_request_is_told_as_it_shows_and_each_subscriber_hears_what_he_wants() {
    story(Veth, 1, |lab| {
        let (mut all, mut few) = (Ears::open(lab, &[]), Ears::open(lab, &["link_vanished"]));
        let refused = lab.call("Host.subscribe", json!({ "events": ["link_up", "nonsense"] })).unwrap_err();
        assert!(refused.code == -32602 && refused.message.contains("nonsense"), "{refused:?}");
        lab.nets(json!({ "red": { "nic": "veth_0", "ipaddr": "192.0.2.7", "prefix": 24 } }));
        let told = all.until("red is up");
        assert!(told.contains(&"red appeared (bridge)".to_owned()), "{told:?}");
        lab.nets(json!({ "red": { "remove": true } }));
        all.until("red vanished");
        assert_eq!(few.until("red vanished"), ["red vanished"]);
    });
}

/// Links, and addresses of each.
const MANY: (u8, u8) = (20, 250);

/// A command for each address of each link.
fn batch(verb: &str) -> String {
    let (links, addresses) = MANY;
    let line = |link, address| format!("addr {verb} 10.{link}.{address}.1/24 dev veth_{link}\n");
    (0..links).flat_map(|link| (0..addresses).map(move |address| line(link, address))).collect()
}

/// Listens until each of so many events is heard or counted as missed; how many were which.
fn count(mut ears: Ears, total: usize) -> (usize, usize) {
    let (mut heard, mut missed) = (0, 0);
    while heard + missed < total {
        let event = ears.next();
        match (event["event"].as_str(), event["count"].as_u64()) {
            (Some("missed"), Some(count)) => missed += count as usize,
            (Some("address_added"), None) => heard += 1,
            _ => panic!("{event}"),
        }
    }
    assert_eq!(heard + missed, total);
    (heard, missed)
}

#[test]
fn who_does_not_read_loses_the_oldest_and_is_told_how_many() {
    story(Veth, MANY.0.into(), |lab| {
        let (slow, quick) = (Ears::open(lab, &["address_added"]), Ears::open(lab, &["address_added"]));
        let total = usize::from(MANY.0) * usize::from(MANY.1);
        let reader = thread::spawn(move || count(quick, total));
        lab.ip(&batch("add"));
        // The daemon goes on for others: they are told, and calls are answered.
        lab.call("Host.ping2", json!({})).unwrap();
        reader.join().unwrap();
        let (heard, missed) = count(slow, total);
        assert!(missed > 0 && heard >= MOST_WAITING, "{heard} heard, {missed} missed");
    });
}

#[test]
fn in_a_storm_the_last_word_about_each_thing_is_the_truth() {
    story(Veth, 3, |lab| {
        let mut ears = Ears::open(lab, &[]);
        let flaps = |link| format!("link set peer{link} down\nlink set peer{link} up\n").repeat(400);
        lab.ip(&(0..3).map(flaps).collect::<String>());
        lab.ip("link set peer1 down\n");
        // The kernel tells of carriers in its own time, a second at most.
        let state = |look: &Look, number: usize| look.link(&format!("veth_{number}"))["operstate"].clone();
        // Down below or down itself, as the other end's carrier was seen first or last.
        let is_over = |look: &Look| [0, 1, 2].map(|n| state(look, n) == "UP") == [true, false, true];
        until("the storm is over", is_over);
        lab.ip("addr add 192.0.2.1/24 dev veth_2\n");
        // All were up, and of what has passed by the time somebody looks nothing is told.
        let mut last: BTreeMap<String, String> =
            (0..3).map(|n| (format!("veth_{n}"), format!("veth_{n} is up"))).collect();
        loop {
            let event = ears.next();
            if event["address"] == "192.0.2.1/24" {
                break;
            }
            if ["link_up", "link_down"].contains(&event["event"].as_str().unwrap()) {
                last.insert(event["link"].as_str().unwrap().to_owned(), events::sentence(&event));
            }
        }
        for nic in ["veth_0 is up", "veth_1 is down", "veth_2 is up"] {
            assert_eq!(last[&nic[..6]], nic);
        }
    });
}

#[test]
fn devices_that_come_and_go_meanwhile_are_in_no_reports_way() {
    story(Veth, 2, |lab| {
        lab.nets(json!({ "red": { "nic": "veth_0", "ipaddr": "10.0.0.1", "prefix": 24 } }));
        let (over, rounds) = (AtomicBool::new(false), AtomicU32::new(0));
        thread::scope(|scope| {
            let others = scope.spawn(|| {
                while !over.load(Ordering::SeqCst) {
                    ip("link add veth_8 type veth peer name veth_9\ntuntap add dev vnet0 mode tap\nlink set vnet0 master red up\nlink set veth_8 master red up\naddr add 192.0.2.8/24 dev veth_9\nlink del vnet0\nlink del veth_8\n");
                    rounds.fetch_add(1, Ordering::SeqCst);
                }
            });
            // Ends the other thread also when this one panics, which would wait for it otherwise.
            let _over = Defer(|| over.store(true, Ordering::SeqCst));
            let mut looks = 0;
            // A kernel may take longer for its rounds than we for fifty looks.
            while looks < 50 || (rounds.load(Ordering::SeqCst) < 4 && !others.is_finished()) {
                for verb in ["Host.getCapabilities", "Host.getNetworkCapabilities", "Host.getStats", "Host.getTopology"]
                {
                    let told = lab.call(verb, json!({})).unwrap_or_else(|e| panic!("{verb}: {e:?}"));
                    assert!(told.to_string().contains("veth_1"), "{verb}: {told}");
                }
                // Where a nic of the others' lives long enough to be looked at, that is a change under way.
                match lab.call("Host.checkNetworks", json!({})) {
                    Err(error) if error.code == 40 => continue,
                    checked => assert_eq!(checked.as_ref().unwrap()["in_sync"], true, "{checked:?}"),
                }
                looks += 1;
            }
        });
    });
}

/// Does it at the end of its scope, however that ends.
struct Defer<F: Fn()>(F);

impl<F: Fn()> Drop for Defer<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

#[test]
fn who_may_only_read_may_listen_and_check_and_not_heal() {
    story(Veth, 1, |lab| {
        lab.nets(json!({ "red": { "nic": "veth_0" } }));
        let nobody = |words: &str| {
            let mut command = Command::new(program("vdsm-tool"));
            command.arg("--socket").arg(lab.path("socket")).args(words.split(' ')).uid(65534).gid(65534);
            let output = command.output().unwrap();
            (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
        };
        for words in
            ["check", "show", "graph", "top --frames 1", "call Host.getStats", "call Host.getNetworkCapabilities"]
        {
            assert_eq!(nobody(words), (Some(0), String::new()), "{words}");
        }
        assert_eq!(nobody("call Host.subscribe"), (Some(0), String::new()));
        lab.ip("link set veth_0 nomaster\n");
        assert_eq!(nobody("check").0, Some(3));
        let (code, said) = nobody("check --heal");
        assert!(code == Some(7) && said.contains("uid 65534 may only read"), "{code:?} {said}");
        assert_eq!(nobody("check").0, Some(3), "nothing was healed");
    });
}
