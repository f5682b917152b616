//! The law of the quorum, whose gateways and carriers count, and what is said of them. What the
//! kernel makes of it is `tests/netns/here/probes.rs`'s.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use serde_json::json;
use vdsm_configurators::sim::Sim;
use vdsm_model::bond_options::BondOptions;
use vdsm_model::config::{Base, NetConfig, NetworkConfig};
use vdsm_model::dhcp::{Lease, SeenClient};
use vdsm_model::ip::{Address, MAIN_TABLE, Route};
use vdsm_model::name::{DeviceName, NetworkName};
use vdsm_model::netinfo::{NetInfo, SeenKind, SeenLink};
use vdsm_model::request::{Request, UnknownKeys};
use vdsm_model::units::{Mac, Prefixed};

use super::check::tally;
use super::subjects::{Gateways, Hop};
use super::*;
use crate::conf::Quorum;

const LONG: Duration = Duration::from_secs(3600);

fn dev(name: &str) -> DeviceName {
    DeviceName::try_from(name).unwrap()
}

fn net(name: &str) -> NetworkName {
    NetworkName::try_from(name).unwrap()
}

/// A check of a request that names nothing.
fn check(probes: &[Probe], quorum: Quorum, needs_call: bool) -> Check {
    Check::new(probes, quorum, needs_call, Subjects::default())
}

fn by_call() -> Check {
    check(&[Probe::Call], Quorum::All, false)
}

fn told(lost: Result<(), Lost>, after: Duration) -> String {
    lost.unwrap_err().told(after).to_string()
}

#[test]
fn who_waits_has_lost_when_nobody_can_call_any_more() {
    for probes in [&[Probe::Call][..], &[Probe::Call, Probe::Gateway, Probe::Carrier]] {
        let connectivity = Arc::new(Connectivity::default());
        let (other, check) = (Arc::clone(&connectivity), check(probes, Quorum::All, false));
        let thread = thread::spawn(move || check.pass(&other, 0, LONG, &Sim::with_nics(&[])));
        connectivity.give_up();
        thread.join().unwrap().unwrap_err();
    }
}

#[test]
fn only_a_call_after_the_change_counts() {
    let (connectivity, sim) = (Arc::new(Connectivity::default()), Sim::with_nics(&[]));
    connectivity.confirm();
    let changed = connectivity.calls();
    let short = Duration::from_millis(10);
    let lost = by_call().pass(&connectivity, changed, short, &sim);
    assert_eq!(told(lost, short), "nobody called within 0.01 s of the change");
    let caller = Arc::clone(&connectivity);
    let thread = thread::spawn(move || {
        // As the engine does: again and again.
        for _ in 0..1000 {
            caller.confirm();
            thread::sleep(Duration::from_millis(1));
        }
    });
    by_call().pass(&connectivity, changed, LONG, &sim).unwrap();
    thread.join().unwrap();
    // One that came before anybody waited counts, too.
    by_call().pass(&connectivity, changed, Duration::ZERO, &sim).unwrap();
}

#[test]
fn who_goes_on_calling_makes_nobody_try_the_others_faster() {
    let connectivity = Connectivity::default();
    connectivity.confirm();
    let start = Instant::now();
    assert!(connectivity.pause(0, Duration::from_millis(30)));
    assert!(start.elapsed() >= Duration::from_millis(30));
}

const VERDICTS: [Verdict; 3] = [Verdict::Met, Verdict::Unmet, Verdict::Inapplicable];

fn tried(verdicts: &[Verdict]) -> Vec<Tried> {
    let one = |verdict: &Verdict| Tried {
        probe: Probe::Gateway,
        outcome: Outcome { verdict: *verdict, words: String::new() },
    };
    verdicts.iter().map(one).collect()
}

#[test]
fn what_does_not_apply_does_not_count_and_where_nothing_does_it_takes_a_call() {
    let quorums = [Quorum::All, Quorum::Majority, Quorum::AtLeast(1), Quorum::AtLeast(2), Quorum::AtLeast(3)];
    for quorum in quorums {
        for [a, b, c] in (0..27).map(|n| [n % 3, n / 3 % 3, n / 9].map(|it| VERDICTS[it])) {
            let all = [a, b, c];
            let [met, unmet] =
                [Verdict::Met, Verdict::Unmet].map(|wanted| all.iter().filter(|it| **it == wanted).count());
            for (needs_call, called) in [(false, false), (false, true), (true, false), (true, true)] {
                let passes = tally(&tried(&all), quorum, needs_call, called).is_enough();
                let wanted = match (met + unmet, quorum) {
                    (0, _) => called,
                    (_, Quorum::All) => unmet == 0,
                    (_, Quorum::Majority) => met > unmet,
                    (_, Quorum::AtLeast(count)) => met >= count || unmet == 0,
                };
                // No probe answers in the place of a person who is asked.
                assert_eq!(passes, wanted && (called || !needs_call), "{quorum:?} {all:?} {needs_call} {called}");
                // What does not apply could as well not be there.
                let applying: Vec<Verdict> = all.into_iter().filter(|it| *it != Verdict::Inapplicable).collect();
                assert_eq!(passes, tally(&tried(&applying), quorum, needs_call, called).is_enough());
            }
        }
    }
}

#[test]
fn a_person_is_waited_for_although_all_probes_have_come_true() {
    let (connectivity, short) = (Connectivity::default(), Duration::from_millis(10));
    let (sim, subjects) = (Sim::with_nics(&["eth0"]), subjects([("red", on_nic("eth0"))], &["red"], &[]));
    let check = |needs_call| Check::new(&[Probe::Carrier], Quorum::All, needs_call, subjects.clone());
    check(false).pass(&connectivity, 0, Duration::ZERO, &sim).unwrap();
    let lost = check(true).pass(&connectivity, 0, short, &sim).unwrap_err();
    assert_eq!(
        lost.told(short).to_string(),
        "nobody called within 0.01 s of the change, and no probe takes the place of that: eth0 has a carrier; no call came"
    );
    assert_eq!(lost.to_json()["probes"][1], json!({ "probe": "call", "outcome": "failed", "reason": "no call came" }));
    connectivity.confirm();
    check(true).pass(&connectivity, 0, Duration::ZERO, &sim).unwrap();
    assert!(check(true).pass(&connectivity, 1, Duration::ZERO, &sim).is_err(), "a call before the change");
}

#[test]
fn where_no_probe_applies_a_call_decides() {
    let (connectivity, sim) = (Connectivity::default(), Sim::with_nics(&[]));
    let none = || check(&[Probe::Gateway, Probe::Carrier], Quorum::AtLeast(1), false);
    let lost = none().pass(&connectivity, 0, Duration::ZERO, &sim).unwrap_err();
    assert_eq!(
        lost.told(Duration::ZERO).to_string(),
        "nobody called within 0 s of the change, and no probe takes the place of that: no gateway is configured; \
         no nic or bond is below these networks; no call came"
    );
    assert_eq!((&lost.to_json()["met"], &lost.to_json()["needed"]), (&json!(0), &json!(0)));
    assert_eq!(lost.to_json()["probes"][0]["outcome"], "inapplicable");
    connectivity.confirm();
    none().pass(&connectivity, 0, Duration::ZERO, &sim).unwrap();
}

fn on_nic(nic: &str) -> NetworkConfig {
    NetworkConfig { base: Some(Base::Nic(dev(nic))), bridged: false, ..NetworkConfig::new() }
}

fn on_bond(bond: &str) -> NetworkConfig {
    NetworkConfig { base: Some(Base::Bond(dev(bond))), bridged: false, ..NetworkConfig::new() }
}

/// Those of a request for some of these networks, and bonds.
fn subjects<const N: usize>(networks: [(&str, NetworkConfig); N], named: &[&str], bonds: &[&str]) -> Subjects {
    let config = NetConfig {
        networks: networks.into_iter().map(|(name, net)| (self::net(name), net)).collect(),
        ..NetConfig::default()
    };
    let mut request = Request::default();
    request.networks.extend(named.iter().map(|name| (net(name), config.networks.get(&net(name)).cloned())));
    let removed = Request::read(&json!({}), &json!({ "bond9": { "remove": true } }), &json!({}), UnknownKeys::Refuse);
    request.bonds = removed.bonds;
    let options = json!({ "nics": ["x"] });
    let bonds: serde_json::Map<String, serde_json::Value> =
        bonds.iter().map(|name| ((*name).to_owned(), options.clone())).collect();
    let read = Request::read(&json!({}), &json!(bonds), &json!({}), UnknownKeys::Refuse);
    request.bonds.extend(read.bonds);
    Subjects::of(&request, &config)
}

fn nic(index: u32, name: &str) -> SeenLink {
    SeenLink::new(index, dev(name), SeenKind::Nic)
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn hop(index: u32, device: &str, to: &str) -> Hop {
    Hop { device: dev(device), link: Some(index), ip: ip(to) }
}

fn groups<const N: usize>(groups: [Vec<Hop>; N]) -> Gateways {
    Gateways { groups: groups.into_iter().collect(), leaseless: Vec::new() }
}

#[test]
fn the_gateways_are_those_of_the_named_networks_and_of_the_default_routes() {
    let red = NetworkConfig {
        gateway: Some(Ipv4Addr::new(10, 0, 0, 254)),
        ipv6_gateway: Some("fd00::fe".parse().unwrap()),
        ..on_nic("eth0")
    };
    let blue = NetworkConfig { gateway: Some(Ipv4Addr::new(10, 0, 1, 254)), ..on_bond("bond0") };
    let config = || [("red", red.clone()), ("blue", blue.clone())];
    let default = |via: &str, metric| Route { metric, ..Route::default_via(ip(via)) };
    let mut eth0 = nic(1, "eth0");
    let mut bond0 = nic(2, "bond0");
    let seen = |links: &[&SeenLink]| NetInfo::new(links.iter().map(|it| (*it).clone()), true);

    let of_red = [vec![hop(1, "eth0", "10.0.0.254")], vec![hop(1, "eth0", "fd00::fe")]];
    let of_blue = vec![hop(2, "bond0", "10.0.1.254")];
    let host = seen(&[&eth0, &bond0]);
    assert_eq!(subjects(config(), &[], &[]).gateways(&host), groups([]));
    assert_eq!(subjects(config(), &["red"], &[]).gateways(&host), groups(of_red.clone()));
    // A network on a bond that is named is concerned as well.
    assert_eq!(subjects(config(), &[], &["bond0"]).gateways(&host), groups([of_blue.clone()]));
    // One whose device is gone has not lost its gateway's importance.
    let gone = subjects(config(), &["blue"], &[]).gateways(&seen(&[&eth0]));
    assert_eq!(gone, groups([vec![Hop { device: dev("bond0"), link: None, ip: ip("10.0.1.254") }]]));

    // The host's default routes, whoever made them: of each family those that the kernel prefers.
    eth0.routes = vec![default("10.0.0.254", 0), default("10.0.9.9", 7)];
    bond0.routes = vec![Route { table: 7, ..default("10.0.8.8", 0) }, default("10.0.7.7", 7)];
    bond0.made_routes = vec![default("fe80::1", 1024), default("fe80::2", 1024)];
    let routers = vec![hop(2, "bond0", "fe80::1"), hop(2, "bond0", "fe80::2")];
    let host = seen(&[&eth0, &bond0]);
    assert_eq!(subjects(config(), &[], &[]).gateways(&host), groups([of_red[0].clone(), routers.clone()]));
    let [v4, v6] = of_red;
    assert_eq!(subjects(config(), &["red"], &[]).gateways(&host), groups([v4, v6, routers]));
    // One that needs no gateway is answered by nobody.
    eth0.routes = vec![Route { table: MAIN_TABLE, gateway: None, ..default("10.0.0.254", 0) }];
    bond0.made_routes.clear();
    assert_eq!(subjects(config(), &[], &[]).gateways(&seen(&[&eth0, &bond0])), groups([]));
}

#[test]
fn a_network_without_its_lease_has_a_gateway_that_is_not_known_yet() {
    let red = NetworkConfig { dhcpv4: true, ..on_nic("eth0") };
    let subjects = subjects([("red", red)], &["red"], &[]);
    let mut eth0 = nic(1, "eth0");
    let of = |link: &SeenLink| subjects.gateways(&NetInfo::new([link.clone()], true));
    assert_eq!(of(&eth0), Gateways { leaseless: vec![net("red")], ..Gateways::default() });
    let host = NetInfo::new([eth0.clone()], true);
    let outcome = gateway::Asking::default().go_on(&subjects, &host);
    assert_eq!(outcome, Outcome::unmet("red has no lease yet, and so no gateway is known"));

    let lease = |gateway| Lease {
        address: Prefixed { addr: ip("10.0.0.7"), prefix: 24 },
        gateway,
        routes: Vec::new(),
        nameservers: Vec::new(),
    };
    let mut grant = |gateway| {
        let client = SeenClient { lease: Some(lease(gateway)), ..SeenClient::default() };
        let mut clients = (*eth0.dhcp).clone();
        clients.v4 = Some(client);
        eth0.dhcp = Arc::new(clients);
        eth0.addresses = vec![Address::new(ip("10.0.0.7"), 24)];
        of(&eth0)
    };
    assert_eq!(grant(Some(Ipv4Addr::new(10, 0, 0, 1))), groups([vec![hop(1, "eth0", "10.0.0.1")]]));
    // A server that names no router leaves nothing to be asked.
    assert_eq!(grant(None), groups([]));
}

#[test]
fn the_carriers_are_those_below_the_named_networks_and_the_default_routes() {
    let config = || [("red", on_nic("eth0")), ("blue", on_bond("bond0")), ("idle", on_nic("eth3"))];
    let names = |subjects: Subjects, host: &NetInfo| -> Vec<String> {
        subjects.carriers(host).iter().map(ToString::to_string).collect()
    };
    let bridge = SeenKind::Other("bridge".to_owned());
    let with_default = |mut link: SeenLink| {
        link.routes = vec![Route::default_via(ip("10.0.0.1"))];
        link
    };
    let host = NetInfo::new([nic(1, "eth0"), nic(2, "eth1")], true);
    assert_eq!(names(subjects(config(), &["red"], &[]), &host), ["eth0"]);
    assert_eq!(names(subjects(config(), &["red"], &["bond0"]), &host), ["bond0", "eth0"]);
    assert!(names(subjects(config(), &[], &[]), &host).is_empty());
    // The default route of ours, and of a stranger's VLAN on a nic.
    let ours = NetInfo::new([with_default(nic(1, "eth0"))], true);
    assert_eq!(names(subjects(config(), &["blue"], &[]), &ours), ["bond0", "eth0"]);
    let stacked = SeenLink { base: Some(dev("eth1")), ..with_default(SeenLink::new(3, dev("up"), bridge)) };
    let foreign = NetInfo::new([nic(1, "eth0"), nic(2, "eth1"), stacked], true);
    assert_eq!(names(subjects(config(), &[], &[]), &foreign), ["eth1"]);
}

#[test]
fn a_carrier_is_up_running_and_has_a_partner_where_it_speaks_lacp() {
    let subjects = subjects([("red", on_bond("bond0"))], &["red"], &[]);
    let bond = |options: &str, lacp| {
        let options = BondOptions::parse(options).unwrap();
        SeenLink::new(1, dev("bond0"), SeenKind::Bond { options, active: None, lacp })
    };
    let look = |links: Vec<SeenLink>| carrier::look(&subjects, &NetInfo::new(links, true));
    let partner = Some((1, Mac([2, 0, 0, 0, 0, 1])));
    for (link, outcome) in [
        (bond("mode=1", None), Outcome::met("bond0 has a carrier")),
        (bond("mode=4", partner), Outcome::met("bond0 has a carrier")),
        (bond("mode=4", Some((1, Mac([0; 6])))), Outcome::unmet("bond0 has no LACP partner")),
        (bond("mode=4", None), Outcome::unmet("bond0 has no LACP partner")),
        (SeenLink { running: false, ..bond("mode=4", partner) }, Outcome::unmet("bond0 has no carrier")),
        (SeenLink { up: false, running: false, ..bond("mode=1", None) }, Outcome::unmet("bond0 is down")),
    ] {
        assert_eq!(look(vec![link]), outcome);
    }
    assert_eq!(look(Vec::new()), Outcome::unmet("bond0 is not there"));
}

#[test]
fn of_several_parts_all_or_any_must_come_true() {
    let parts = |verdicts: &[Verdict]| -> Vec<Outcome> {
        verdicts.iter().enumerate().map(|(at, it)| Outcome { verdict: *it, words: at.to_string() }).collect()
    };
    let [met, unmet, none] = VERDICTS;
    for (verdicts, all, any) in [
        (&[met, met][..], (met, "0, 1"), (met, "0")),
        (&[met, unmet, none], (unmet, "1"), (met, "0")),
        (&[unmet, none, unmet], (unmet, "0, 2"), (unmet, "0, 2")),
        (&[none, none], (none, "0, 1"), (none, "0, 1")),
        (&[none, met], (met, "1"), (met, "1")),
    ] {
        let of = |(verdict, words): (Verdict, &str)| Outcome { verdict, words: words.to_owned() };
        assert_eq!(Outcome::of_all(parts(verdicts), "-"), of(all), "{verdicts:?}");
        assert_eq!(Outcome::of_any(parts(verdicts)), of(any), "{verdicts:?}");
    }
    assert_eq!(Outcome::of_all(Vec::new(), "nothing"), Outcome::inapplicable("nothing"));
}

/// Tries until it is over with it.
fn dialled(to: SocketAddr, is_over: impl Fn(&Outcome) -> bool) -> Outcome {
    let (mut dial, end) = (tcp::Dial::new(to), Instant::now() + Duration::from_secs(60));
    loop {
        let outcome = dial.go_on();
        if is_over(&outcome) {
            return outcome;
        }
        assert!(Instant::now() < end, "{outcome:?}");
        thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_refused_connection_does_not_count_and_one_to_ourselves_proves_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let to = listener.local_addr().unwrap();
    let ourselves = dialled(to, |it| it.verdict != Verdict::Unmet);
    assert_eq!(ourselves, Outcome::inapplicable(format!("TCP {to}: is this host itself, which proves nothing")));
    drop(listener);
    let refused = dialled(to, |it| !it.words.ends_with("no answer"));
    assert_eq!(refused, Outcome::unmet(format!("TCP {to}: connection refused")));
}
