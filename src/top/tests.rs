//! Screens compared with what they should show, and what holds for any answers.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::show::any::{self, network};

fn topology() -> Value {
    let mut untagged = network("ovirtmgmt", "eth0", 0, "in_sync");
    untagged["vlan"] = Value::Null;
    json!({
        "links": [
            {"name": "eth0", "kind": "nic", "nic": true, "ours": true, "up": true, "state": "up", "speed": 10000},
            {"name": "eth1", "kind": "nic", "nic": true, "ours": true, "up": true, "state": "up", "speed": 100, "duplex": "half", "master": "bond0"},
            {"name": "eth2", "kind": "nic", "nic": true, "ours": true, "up": true, "state": "down", "master": "bond0"},
            {"name": "bond0", "kind": "bond", "ours": true, "up": true, "state": "up", "speed": 100},
            {"name": "bond0.101", "kind": "vlan", "ours": true, "up": true, "base": "bond0", "tag": 101, "master": "vm101"},
            {"name": "vm101", "kind": "bridge", "ours": true, "up": true, "state": "up"},
            {"name": "ovirtmgmt", "kind": "bridge", "ours": true, "up": true, "state": "up"},
        ],
        "networks": [
            network("vm101", "bond0", 101, "drifted"),
            network("vm102", "bond0", 102, "missing"),
            untagged,
        ],
    })
}

/// Device, bytes in and out, packets dropped, errors.
fn stats(time: f64, counters: &[(&str, u64, u64, u64, u64)]) -> Value {
    let entry = |&(name, rx, tx, drops, errors): &(&str, u64, u64, u64, u64)| {
        let text = |number: u64| number.to_string();
        let value = json!({
            "name": name, "rx": text(rx), "tx": text(tx), "rxDropped": text(drops), "txDropped": "0", "rxErrors": "0",
            "txErrors": text(errors), "speed": "1000", "state": "up", "duplex": "full", "sampleTime": time,
        });
        (name.to_owned(), value)
    };
    json!({"network": counters.iter().map(entry).collect::<Map<_, _>>()})
}

fn before() -> Value {
    stats(
        10.0,
        &[
            ("eth0", 1000, 5000, 0, 0),
            ("eth1", 0, 0, 0, 0),
            ("bond0", 0, 0, 0, 0),
            ("bond0.101", 7, 7, 0, 0),
            ("vm101", 0, 0, 0, 0),
        ],
    )
}

fn now() -> Value {
    let (eth0_rx, eth0_tx) = (1000 + 1_250_000_000, 5000 + 2_500_000_000);
    stats(
        12.0,
        &[
            ("eth0", eth0_rx, eth0_tx, 0, 0),
            ("eth1", 8_000_000, 15_000_000, 12_345, 3),
            ("bond0", 8_000_000, 15_000_000, 0, 0),
            ("bond0.101", 3, 9, 0, 0),
            ("vm101", 1 << 40, 0, 0, 0),
            ("far0", 1, 1, 0, 0),
        ],
    )
}

fn screen(rows: usize, columns: usize) -> Screen {
    Screen { rows, columns, colour: false }
}

fn drawn(screen: Screen) -> String {
    Frame { previous: Some(&before()), current: &now(), topology: &topology() }.drawn(screen)
}

#[test]
fn the_busiest_is_on_top_of_its_part() {
    let expected = "\
3 networks, 2 not as configured; 3 nics: rx 5.03 Gbit/s, tx 10.1 Gbit/s
NETWORK   STATE           SPEED          RX          TX  USE            DROPS ERRORS
ovirtmgmt up                10G 5.00 Gbit/s 10.0 Gbit/s 100% ██████████     0      0
vm101     ! drifted        100M         new         new
vm102     ! missing        100M           -           -
NIC, BOND STATE           SPEED          RX          TX  USE            DROPS ERRORS
eth0      up                10G 5.00 Gbit/s 10.0 Gbit/s 100% ██████████     0      0
bond0     up               100M 32.0 Mbit/s 60.0 Mbit/s  60% ██████░░░░     0      0
eth1      up          100M half 32.0 Mbit/s 60.0 Mbit/s  92% █████████░ 12.3k      3
eth2      no carrier                      -           -
far0      up                 1G         new         new";
    let drawn = drawn(screen(30, 100));
    assert_eq!(drawn, expected, "drawn:\n{drawn}");
}

#[test]
fn the_first_screen_has_no_rates_yet() {
    let drawn = Frame { previous: None, current: &now(), topology: &topology() }.drawn(screen(30, 100));
    assert!(drawn.starts_with("3 networks, 2 not as configured; 3 nics: measuring\n"), "{drawn}");
    assert!(!drawn.contains("bit/s") && !drawn.contains("new"), "{drawn}");
}

#[test]
fn a_small_screen_shows_what_matters_most() {
    let expected = "\
3 networks, 2 not as configured; 3 nic…
NETWORK            RX          TX  USE
ovirtmgmt 5.00 Gbit/s 10.0 Gbit/s 100%
… and 2 more
NIC, BOND          RX          TX  USE
eth0      5.00 Gbit/s 10.0 Gbit/s 100%
… and 4 more";
    let drawn = drawn(screen(7, 39));
    assert_eq!(drawn, expected, "drawn:\n{drawn}");
}

#[test]
fn colours_are_only_added() {
    let coloured = drawn(Screen { colour: true, ..screen(30, 100) });
    assert!(coloured.contains("\x1b[33m! drifted\x1b[0m") && coloured.contains("\x1b[31m12.3k\x1b[0m"), "{coloured:?}");
    let codes = ["0", "1", "31", "32", "33"];
    let plain = codes.iter().fold(coloured, |text, code| text.replace(&format!("\x1b[{code}m"), ""));
    let trimmed = |text: &str| text.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>();
    assert_eq!(trimmed(&plain), trimmed(&drawn(screen(30, 100))));
}

#[test]
fn without_a_topology_devices_are_told_by_their_counters() {
    let drawn = Frame { previous: Some(&before()), current: &now(), topology: &Value::Null }.drawn(screen(30, 100));
    assert!(drawn.lines().any(|line| line.starts_with("eth0") && line.contains("10.0 Gbit/s")), "{drawn}");
}

/// Readings of the devices that `any::host` makes, and of others.
fn readings() -> impl Strategy<Value = Value> {
    let entry = (0..12usize, any::<u64>(), any::<u64>(), 0.0..1e9f64);
    proptest::collection::vec(entry, 0..8).prop_map(|entries| {
        let names = entries.iter().map(|(at, ..)| ["eth0", "eth1", "bond0", "net0", "e\u{1b}[2J", "x"][at % 6]);
        let counters = names.zip(&entries).map(|(name, &(_, rx, tx, _))| (name, rx, tx, rx, tx)).collect::<Vec<_>>();
        stats(entries.first().map_or(0.0, |entry| entry.3), &counters)
    })
}

proptest! {
    #[test]
    fn whatever_is_answered_it_fits_the_screen(
        previous in proptest::option::of(prop_oneof![readings(), any::answer()]),
        current in prop_oneof![3 => readings(), 1 => any::answer()],
        topology in prop_oneof![any::host(), any::answer()],
        rows in 0..40usize,
        columns in 0..120usize,
    ) {
        let frame = Frame { previous: previous.as_ref(), current: &current, topology: &topology };
        let drawn = frame.drawn(screen(rows, columns));
        prop_assert!(drawn.lines().count() <= rows, "{}", drawn);
        for line in drawn.lines() {
            prop_assert!(line.chars().count() <= columns, "{}", line);
            let escapes = line.contains('\u{1b}');
            prop_assert!(!escapes, "{}", line);
        }
    }
}
