//! Each event in its words, and what is told of two moments.

use std::sync::Arc;

use vdsm_model::bond_options::BondOptions;
use vdsm_model::ip::{Address, Route};
use vdsm_model::netinfo::{Details, Team};
use vdsm_model::units::Mtu;

use super::*;

fn name(text: &str) -> DeviceName {
    DeviceName::try_from(text).unwrap()
}

fn link(text: &str) -> SeenLink {
    SeenLink::new(1 + u32::from(text.as_bytes()[0]), name(text), SeenKind::Nic)
}

fn told(before: &[SeenLink], after: &[SeenLink]) -> Vec<String> {
    let links = before.iter().chain(after).map(|link| link.name).collect();
    let host = |links: &[SeenLink]| Arc::new(NetInfo::new(links.to_vec(), true));
    let events = between(&Moment { before: host(before), after: host(after), links });
    for event in &events {
        assert!(KINDS.contains(&event.kind()), "{event:?}");
        assert_eq!(event.to_notification(1.5).params["time"], 1.5);
    }
    events.iter().map(ToString::to_string).collect()
}

#[test]
fn links_come_and_go() {
    assert_eq!(told(&[], &[link("eth0")]), ["eth0 appeared (nic)", "eth0 is up"]);
    assert_eq!(told(&[link("eth0")], &[]), ["eth0 vanished"]);
    let again = SeenLink { index: 9, running: false, ..link("eth0") };
    assert_eq!(told(&[link("eth0")], &[again]), ["eth0 appeared (nic)"]);
    assert_eq!(told(&[link("eth0")], &[SeenLink { mtu: Mtu::seen(1400), ..link("eth0") }]), [""; 0]);
}

#[test]
fn a_link_loses_and_finds_its_carrier_and_addresses() {
    let down = SeenLink { running: false, ..link("eth0") };
    assert_eq!(told(&[link("eth0")], std::slice::from_ref(&down)), ["eth0 is down"]);
    assert_eq!(told(&[down], &[link("eth0")]), ["eth0 is up"]);
    let with = |text: &str| SeenLink { addresses: vec![Address::new(text.parse().unwrap(), 24)], ..link("eth0") };
    let moved = told(&[with("192.0.2.1")], &[with("192.0.2.2")]);
    assert_eq!(moved, ["eth0 lost address 192.0.2.1/24", "eth0 has address 192.0.2.2/24"]);
}

#[test]
fn the_default_route_is_the_best_of_the_main_table() {
    let with = |text: &str, gateway: &str, metric, table| {
        let route = Route { metric, table, ..Route::default_via(gateway.parse().unwrap()) };
        SeenLink { routes: vec![route], ..link(text) }
    };
    let (best, other) = (with("a", "192.0.2.1", 0, MAIN_TABLE), with("b", "198.51.100.1", 5, MAIN_TABLE));
    assert_eq!(
        told(&[link("a"), other.clone()], &[best.clone(), other.clone()]),
        ["ipv4 default route: via 192.0.2.1 dev a"]
    );
    assert_eq!(
        told(&[best.clone(), other.clone()], &[link("a"), other.clone()]),
        ["ipv4 default route: via 198.51.100.1 dev b"]
    );
    assert_eq!(told(&[best.clone(), other], &[best.clone(), link("b")]), [""; 0], "it was not in use");
    let nowhere = Route { gateway: None, fate: Fate::Unreachable, ..Route::default_via([0, 0, 0, 0].into()) };
    let lo = SeenLink { routes: vec![nowhere], ..link("lo") };
    assert_eq!(told(&[best.clone(), link("lo")], &[link("a"), lo]), ["there is no ipv4 default route"]);
    assert_eq!(told(&[best], &[link("a")]), ["there is no ipv4 default route"]);
    assert_eq!(told(&[link("a")], &[with("a", "192.0.2.1", 0, 77)]), [""; 0]);
    let six = with("a", "2001:db8::1", 1024, MAIN_TABLE);
    assert_eq!(told(&[link("a")], &[six]), ["ipv6 default route: via 2001:db8::1 dev a"]);
}

#[test]
fn a_bond_changes_its_slave_and_its_partner() {
    let bond = |active: Option<&str>, partner: u8| {
        let (active, lacp) = (active.map(name), Some((1, Mac([partner; 6]))));
        let options = BondOptions::parse("mode=1").unwrap();
        SeenLink { kind: SeenKind::Bond { options, active, lacp }, ..link("bond0") }
    };
    assert_eq!(
        told(&[bond(Some("a"), 0)], &[bond(Some("b"), 2)]),
        ["bond0: the active slave is b", "bond0: the LACP partner is 02:02:02:02:02:02"]
    );
    assert_eq!(told(&[bond(Some("a"), 2)], &[bond(None, 2)]), ["bond0 has no active slave"]);
}

#[test]
fn a_team_changes_its_port() {
    let team = |active: Option<&str>| {
        let driver = Driver::Team(Team { mode: None, active: active.map(name) });
        SeenLink { details: Arc::new(Details { driver, ..Details::default() }), ..link("tm0") }
    };
    assert_eq!(told(&[team(Some("a"))], &[team(Some("b"))]), ["tm0: the active slave is b"]);
    assert_eq!(told(&[team(Some("a"))], &[team(None)]), ["tm0 has no active slave"]);
    assert_eq!(told(&[team(Some("a"))], &[team(Some("a"))]), [""; 0]);
}

#[test]
fn drift_is_told_in_its_words() {
    let sync = |bond, differences: &[&str]| Event::Sync {
        bond,
        name: "n".to_owned(),
        differences: differences.iter().map(ToString::to_string).collect(),
    };
    assert_eq!(sync(false, &["a", "b"]).to_string(), "network n is out of sync: a; b");
    assert_eq!(sync(true, &[]).to_string(), "bond n is in sync again");
    assert_eq!(sync(true, &["a"]).to_notification(0.0).params["bond"], "n");
    assert_eq!(sentence(&missed(3, 0.0).params), "3 events were missed");
    assert_eq!(sentence(&json!({"event": "of tomorrow"})), r#"{"event":"of tomorrow"}"#);
}
