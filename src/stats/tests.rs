//! Samples of hosts made by hand.

use std::sync::Arc;

use serde_json::{Value, json};
use vdsm_model::bond_options::BondOptions;
use vdsm_model::netinfo::Details;
use vdsm_model::units::VlanTag;

use super::*;
use crate::conf::Patterns;

fn name(text: &str) -> DeviceName {
    DeviceName::try_from(text).unwrap()
}

fn link(index: u32, text: &str, kind: SeenKind) -> SeenLink {
    SeenLink::new(index, name(text), kind)
}

fn nic(index: u32, text: &str, speed: u32) -> SeenLink {
    let details = Details { speed: Some(speed), duplex: Some(Duplex::Full), ..Details::default() };
    SeenLink { details: Arc::new(details), ..link(index, text, SeenKind::Nic) }
}

fn slave(master: &str, link: SeenLink) -> SeenLink {
    SeenLink { master: Some(name(master)), ..link }
}

fn bond(index: u32, text: &str) -> SeenLink {
    let options = BondOptions::parse("mode=4").unwrap();
    link(index, text, SeenKind::Bond { options, active: None, lacp: None })
}

fn vlan(index: u32, text: &str, base: &str) -> SeenLink {
    link(index, text, SeenKind::Vlan { tag: VlanTag::new(7).unwrap(), device: Some(name(base)) })
}

fn bytes(rx: u64, tx: u64) -> Counters {
    Counters { rx, tx, ..Counters::default() }
}

fn sample(stats: &Stats, at: f64, links: &[SeenLink], counters: &[(u32, Counters)]) -> Value {
    let seen = NetInfo::new(links.iter().cloned(), true);
    let text = stats.sample(counters, at, &seen, &Visibility::default());
    serde_json::from_slice(&text).unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&text)))
}

#[test]
fn a_sample_is_told_as_the_original_tells_it() {
    let links = [
        nic(2, "eth0", 10_000),
        SeenLink { running: false, ..link(3, "eth1", SeenKind::Nic) },
        link(1, "lo", SeenKind::Other("loopback".into())),
    ];
    let eth0 = Counters { rx: 1, tx: 2, rx_errors: 3, tx_errors: 4, rx_dropped: 5, tx_dropped: 6 };
    let eth1 = Counters { rx_dropped: 10, tx_dropped: 20, ..Counters::default() };
    let told = sample(&Stats::new(), 1_795_168_758.25, &links, &[(1, bytes(7, 7)), (2, eth0), (3, eth1)]);
    let expected = json!({
        "name": "eth0", "speed": "10000", "rx": "1", "tx": "2", "rxErrors": "3", "txErrors": "4", "rxDropped": "5",
        "txDropped": "6", "state": "up", "duplex": "full", "sampleTime": 1_795_168_758.25, "rxRate": "0.0",
        "txRate": "0.0",
    });
    assert_eq!(told["network"]["eth0"], expected);
    let eth1 = &told["network"]["eth1"];
    let unknown = (json!("down"), json!("1000"), json!("unknown"));
    assert_eq!((&eth1["state"], &eth1["speed"], &eth1["duplex"]), (&unknown.0, &unknown.1, &unknown.2));
    assert_eq!(told["network"]["lo"]["rx"], json!("7"));
    assert_eq!((&told["rxDropped"], &told["txDropped"]), (&json!(15), &json!(26)));
    assert_eq!(told.as_object().unwrap().len(), 3);
}

#[test]
fn the_keys_are_those_of_the_originals_sample_and_the_rates() {
    let original: Value = serde_json::from_str(include_str!("../../tests/data/legacy-stats.json")).unwrap();
    let ours = sample(&Stats::new(), 1.5, &[nic(2, "bond1", 1000)], &[(2, bytes(0, 0))]);
    let mut device = original["network"]["bond1"].as_object().unwrap().clone();
    device.extend([("rxRate".to_owned(), json!("0.0")), ("txRate".to_owned(), json!("0.0"))]);
    let ours_of_it = ours["network"]["bond1"].as_object().unwrap();
    let mut keys: Vec<_> = ours_of_it.keys().collect();
    keys.sort();
    let mut expected: Vec<_> = device.keys().collect();
    expected.sort();
    assert_eq!(keys, expected);
    let kind = |value: &Value| std::mem::discriminant(value);
    assert!(device.iter().all(|(key, value)| kind(value) == kind(&ours_of_it[key])), "{ours}");
    assert_eq!(kind(&ours["rxDropped"]), kind(&original["rxDropped"]));
}

#[test]
fn rates_are_percent_of_the_speed_since_the_last_sample() {
    let stats = Stats::new();
    let rates = |at, rx, tx| {
        let links = [nic(2, "eth0", 100), link(3, "tap", SeenKind::Tap)];
        let told = sample(&stats, at, &links, &[(2, bytes(rx, tx)), (3, bytes(rx, tx))]);
        let rate = |device: &str, key: &str| told["network"][device][key].as_str().unwrap().to_owned();
        [rate("eth0", "rxRate"), rate("eth0", "txRate"), rate("tap", "rxRate")].join(" ")
    };
    assert_eq!(rates(100.0, 1_000_000, 50), "0.0 0.0 0.0");
    // 2.5 MB in 2 s are 10 Mbit/s.
    assert_eq!(rates(102.0, 3_500_000, 50), "10.0 0.0 1.0");
    assert_eq!(rates(103.0, 3_500_000, 6_250_050), "0.0 50.0 0.0");
    // A clock that was set back, and a sample in the same moment.
    assert_eq!(rates(90.0, 9_000_000, 9_000_000), "0.0 0.0 0.0");
    assert_eq!(rates(90.0, 19_000_000, 19_000_000), "0.0 0.0 0.0");
    assert_eq!(rates(91.0, 21_500_000, 9_000_000), "100.0 0.0 10.0");
}

#[test]
fn a_device_that_was_made_anew_has_no_rate() {
    let stats = Stats::new();
    let rates = |at, index, text: &str, rx, tx| {
        let told = sample(&stats, at, &[nic(index, text, 1000)], &[(index, bytes(rx, tx))]);
        (told["network"][text]["rxRate"].clone(), told["network"][text]["txRate"].clone())
    };
    let none = (json!("0.0"), json!("0.0"));
    assert_eq!(rates(1.0, 2, "eth0", 1 << 40, 1000), none);
    // The same name and index, but from zero; it sent more already than its forerunner.
    assert_eq!(rates(2.0, 2, "eth0", 5, 1 << 30), none);
    assert_eq!(rates(3.0, 2, "eth0", 1 << 30, 5), none);
    // The same name with another index, and the other way round.
    assert_eq!(rates(4.0, 3, "eth0", 1 << 41, 1 << 41), none);
    assert_eq!(rates(5.0, 3, "eth1", 1 << 42, 1 << 42), none);
    assert_eq!(rates(6.0, 3, "eth1", (1 << 42) + 12_500_000, 1 << 42), (json!("10.0"), json!("0.0")));
}

#[test]
fn what_is_only_in_the_counters_or_only_in_the_picture_is_left_out() {
    let links = [nic(2, "eth0", 1000), nic(3, "new", 1000)];
    let dropped = Counters { rx_dropped: 9, ..Counters::default() };
    let told = sample(&Stats::new(), 1.0, &links, &[(2, bytes(1, 1)), (9, dropped)]);
    assert_eq!(told["network"].as_object().unwrap().keys().collect::<Vec<_>>(), ["eth0"]);
    assert_eq!(told["rxDropped"], json!(0));
}

#[test]
fn bonds_and_vlans_are_as_fast_as_what_carries_them() {
    let links = [
        slave("bond0", nic(2, "eth0", 10_000)),
        slave("bond0", nic(3, "eth1", 10_000)),
        bond(4, "bond0"),
        vlan(5, "bond0.7", "bond0"),
        vlan(6, "vlan", "nobody"),
        bond(7, "empty"),
    ];
    let counters: Vec<_> = links.iter().map(|link| (link.index, bytes(0, 0))).collect();
    let told = sample(&Stats::new(), 1.0, &links, &counters);
    let speeds = ["eth0", "bond0", "bond0.7", "vlan", "empty"].map(|it| told["network"][it]["speed"].clone());
    assert_eq!(speeds, ["10000", "20000", "20000", "1000", "1000"].map(|speed| json!(speed)));
}

#[test]
fn what_is_hidden_is_not_told() {
    let links = [
        SeenLink { nic: false, ..link(2, "usb0", SeenKind::Nic) },
        slave("bond0", nic(3, "eth0", 1000)),
        slave("bondx", nic(4, "eth1", 1000)),
        bond(5, "bond0"),
        bond(6, "bondx"),
        vlan(7, "eth0.7", "eth0"),
        vlan(8, "vlan8", "eth0"),
        link(9, "vnet0", SeenKind::Tap),
        link(10, "tunl0", SeenKind::Other("ipip".into())),
    ];
    let counters: Vec<_> = links.iter().map(|link| (link.index, bytes(0, 0))).collect();
    let visible = Visibility { hidden_bonds: Patterns::from("bondx"), hidden_vlans: Patterns::from("vlan*") };
    let text = Stats::new().sample(&counters, 1.0, &NetInfo::new(links, true), &visible);
    let told: Value = serde_json::from_slice(&text).unwrap();
    let names: Vec<_> = told["network"].as_object().unwrap().keys().collect();
    assert_eq!(names, ["bond0", "eth0", "eth0.7", "tunl0", "vnet0"]);
}

#[test]
fn several_may_ask_at_once_and_all_get_rates_over_a_second() {
    let stats = Stats::new();
    let rate = |at: f64, rx: u64| {
        let told = sample(&stats, at, &[nic(2, "eth0", 1000)], &[(2, bytes(rx, 0))]);
        told["network"]["eth0"]["rxRate"].as_str().unwrap().to_owned()
    };
    assert_eq!(rate(10.0, 0), "0.0");
    assert_eq!(rate(12.0, 25_000_000), "10.0");
    assert_eq!(rate(12.1, 26_250_000), "10.0", "not over a tenth of a second");
    assert_eq!(rate(14.0, 50_000_000), "10.0");
    // A clock that was set back has nothing to compare with at first.
    assert_eq!([rate(3.0, 60_000_000), rate(5.0, 85_000_000)], ["0.0", "10.0"]);
}
