//! Networks that ask for their addresses: a real DHCP server and a router at the other end.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::beyond::server::{Announce, Offers, Server};
use crate::ears::{Ears, until};
use crate::lab::{Nics::Veth, story_needing, story_needing_with};
use crate::look::Look;
use crate::monitor::changes;

fn asks(more: Value) -> Value {
    let mut net = json!({ "nic": "veth_0", "bootproto": "dhcp" });
    net.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    net
}

fn blocking(more: Value) -> Value {
    let mut net = asks(more);
    net["blockingdhcp"] = json!(true);
    net
}

fn serving(last: u8) -> (Server, Offers) {
    let mut server = Server::behind(0);
    let offers = Offers { v4: Some(last..=last), lease: 120, ..Offers::default() };
    server.start(&offers);
    (server, offers)
}

/// `10.77.0.N`, as rules and tables have it.
fn table(last: u32) -> u32 {
    (10 << 24) + (77 << 16) + last
}

#[test]
fn a_request_may_wait_for_its_lease_and_has_all_that_follows() {
    story_needing(&["dnsmasq"], Veth, 1, |lab| {
        let (_server, _) = serving(100);
        lab.nets(json!({ "red": blocking(json!({ "defaultRoute": true })) }));
        let now = Look::now();
        assert_eq!(now.addresses("red"), ["10.77.0.100/24"]);
        assert_eq!(now.default_routes(), ["10.77.0.1 red"]);
        let table = table(100);
        let source = [
            format!("10.77.0.0/24 via - of red, table {table}"),
            format!("default via 10.77.0.1 of red, table {table}"),
        ];
        assert_eq!(now.source_routes(), source);
        assert_eq!(now.source_rules().len(), 2);
        let caps = lab.capabilities();
        let red = &caps["networks"]["red"];
        assert_eq!(
            (&red["dhcpv4"], &red["addr"], &red["gateway"], &red["ipv4defaultroute"]),
            (&json!(true), &json!("10.77.0.100"), &json!("10.77.0.1"), &json!(true))
        );
        assert_eq!(caps["nameservers"], json!(["10.77.0.1"]), "those of the lease");
        // A second time, and an unrelated request: no address goes or comes.
        let told = changes(|| assert!(!lab.nets(json!({ "red": blocking(json!({ "defaultRoute": true })) }))));
        assert_eq!(told, [""; 0]);
        // To static, and nothing of it is left; then the network goes.
        lab.nets(json!({ "red": { "nic": "veth_0", "ipaddr": "192.0.2.5", "prefix": 24 } }));
        let now = Look::now();
        assert_eq!((now.addresses("red"), now.default_routes()), (vec!["192.0.2.5/24".to_owned()], vec![]));
        assert_eq!((now.source_routes(), now.source_rules()), (vec![], vec![]));
        assert_eq!(lab.capabilities()["nameservers"], json!(["192.0.2.1"]), "the host's own again");
        lab.nets(json!({ "red": { "remove": true } }));
    });
}

#[test]
fn a_leased_gateway_beside_the_subnet_is_on_the_link() {
    story_needing(&["dnsmasq"], Veth, 1, |lab| {
        let (mut server, offers) = serving(100);
        server.start(&Offers { router: Some([10, 99, 0, 1].into()), ..offers });
        lab.nets(json!({ "red": blocking(json!({ "defaultRoute": true })) }));
        assert_eq!(Look::now().default_routes(), ["10.99.0.1 red"]);
        lab.again(json!({ "red": blocking(json!({ "defaultRoute": true })) }), json!({}));
        lab.nets(json!({ "red": blocking(json!({ "mtu": 1400, "defaultRoute": true })) }));
        lab.nets(json!({ "red": { "remove": true } }));
    });
}

#[test]
fn a_request_need_not_wait_and_the_lease_is_an_event_that_brings_its_routes() {
    story_needing(&["dnsmasq"], Veth, 1, |lab| {
        let mut server = Server::behind(0);
        let mut ears = Ears::open(lab, &["lease", "lease_lost"]);
        lab.nets(json!({ "red": asks(json!({ "defaultRoute": true })) }));
        assert!(Look::now().addresses("red").is_empty(), "nobody serves yet");
        server.start(&Offers { v4: Some(101..=101), lease: 120, ..Offers::default() });
        assert_eq!(ears.until("red has a lease: 10.77.0.101/24").len(), 1);
        until("its routes", |look| look.default_routes() == ["10.77.0.1 red"] && look.source_rules().len() == 2);
        let checked = lab.call("Host.checkNetworks", json!({})).unwrap();
        assert_eq!(checked["in_sync"], true, "{checked}");
        lab.again(json!({ "red": asks(json!({ "defaultRoute": true })) }), json!({}));
        lab.nets(json!({ "red": { "remove": true } }));
        assert_eq!((Look::now().default_routes(), Look::now().source_rules()), (vec![], vec![]));
    });
}

/// What was told of IPv4 default routes of the main table.
fn of_default_routes(told: &[String]) -> Vec<&str> {
    let ours = |it: &&String| it.contains("route default via 1") && it.ends_with("in table 254");
    told.iter().filter(ours).map(String::as_str).collect()
}

#[test]
fn the_default_route_moves_when_the_lease_is_there_and_not_before() {
    story_needing_with(&["dnsmasq"], "dhcp_timeout = 4", Veth, 2, |lab| {
        let mut server = Server::behind(0);
        let red = |default: bool| json!({ "nic": "veth_1", "ipaddr": "192.0.2.5", "prefix": 24, "gateway": "192.0.2.1", "defaultRoute": default });
        lab.nets(json!({ "red": red(true) }));
        let source = Look::now().source_rules();
        let blue = || asks(json!({ "defaultRoute": true }));
        let told = changes(|| {
            // One that waits in vain has the default route where it was.
            lab.expect_error(29, json!({ "networks": { "blue": blocking(json!({ "defaultRoute": true })) } }));
            assert_eq!(Look::now().default_routes(), ["192.0.2.1 red"]);
            let answer = lab.request(json!({ "networks": { "blue": blue() } })).unwrap();
            let stays = "network 'blue': network 'red' keeps the host's IPv4 default route until its lease arrives";
            assert_eq!(answer["warnings"], json!([stays]));
            lab.again(json!({ "blue": blue() }), json!({}));
            lab.again(json!({ "red": red(false) }), json!({}));
            let checked = lab.call("Host.checkNetworks", json!({})).unwrap();
            assert_eq!(checked["in_sync"], true, "{checked}");
            let networks = lab.capabilities()["networks"].take();
            let owns = ["red", "blue"].map(|name| networks[name]["ipv4defaultroute"] == true);
            assert_eq!(owns, [true, false], "as the kernel has it");
            assert_eq!(Look::now().source_rules(), source);
        });
        assert_eq!(of_default_routes(&told), [""; 0], "nothing came, and nothing went");
        let told = changes(|| {
            server.start(&Offers { v4: Some(100..=100), lease: 120, ..Offers::default() });
            until("it moves", |look| look.default_routes() == ["10.77.0.1 blue"]);
        });
        // The kernel tells a replacement as one new route: there were neither two nor none.
        assert_eq!(of_default_routes(&told), ["+ route default via 10.77.0.1 by blue in table 254"]);
        let checked = lab.call("Host.checkNetworks", json!({})).unwrap();
        assert_eq!(checked["in_sync"], true, "{checked}");
        // A request that waits for the lease ends with the route moved as well.
        lab.nets(json!({ "blue": { "remove": true }, "red": red(true) }));
        let told = changes(|| {
            let params = json!({ "networks": { "blue": blocking(json!({ "defaultRoute": true })) } });
            assert_eq!(lab.request(params).unwrap()["warnings"], json!([]));
        });
        assert_eq!(of_default_routes(&told), ["+ route default via 10.77.0.1 by blue in table 254"]);
        assert_eq!(Look::now().default_routes(), ["10.77.0.1 blue"]);
        // Removed while it keeps the route, the former owner takes it along.
        lab.nets(json!({ "blue": { "remove": true }, "red": red(true) }));
        server.stop();
        lab.nets(json!({ "blue": blue() }));
        lab.nets(json!({ "red": { "remove": true } }));
        assert_eq!(Look::now().default_routes(), [""; 0]);
    });
}

#[test]
fn without_a_server_a_request_that_waits_fails_with_29_and_all_is_as_before() {
    story_needing_with(&["dnsmasq"], "dhcp_timeout = 4", Veth, 1, |lab| {
        lab.nets(json!({ "red": { "nic": "veth_0", "ipaddr": "192.0.2.5", "prefix": 24, "gateway": "192.0.2.1" } }));
        let before = Look::now().text(None);
        let error = lab.expect_error(29, json!({ "networks": { "red": blocking(json!({})) } }));
        assert!(error.message.contains("no lease came within 4 s for red"), "{error:?}");
        crate::look::assert_same(&before, &Look::now().text(None), "rolled back");
        assert_eq!(lab.running_files()["nets/red"]["bootproto"], "none");
    });
}

#[test]
fn what_fails_later_brings_the_lease_back_with_all_that_followed() {
    story_needing_with(&["dnsmasq"], "dhcp_timeout = 4", Veth, 2, |lab| {
        let (_server, _) = serving(100);
        lab.nets(json!({ "red": blocking(json!({ "defaultRoute": true })) }));
        let before = Look::now();
        let fails = json!({ "networks": {
            "red": { "nic": "veth_0", "ipaddr": "192.0.2.5", "prefix": 24 },
            "blue": { "nic": "veth_1", "bootproto": "dhcp", "blockingdhcp": true },
        } });
        lab.expect_error(29, fails);
        let now = Look::now();
        assert_eq!(
            (now.addresses("red"), now.default_routes(), now.source_routes(), now.source_rules()),
            (before.addresses("red"), before.default_routes(), before.source_routes(), before.source_rules())
        );
        assert!(!now.has("blue"));
        assert_eq!(lab.capabilities()["networks"]["red"]["dhcpv4"], true);
        let checked = lab.call("Host.checkNetworks", json!({})).unwrap();
        assert_eq!(checked["in_sync"], true, "{checked}");
    });
}

#[test]
fn a_bridge_over_a_nic_with_a_lease_has_its_address() {
    story_needing(&["dnsmasq"], Veth, 1, |lab| {
        let mut server = Server::behind(0);
        let v4 = Some(100..=150);
        server.start(&Offers { v4, lease: 120, ..Offers::default() });
        lab.nets(json!({ "red": blocking(json!({ "bridged": false })) }));
        let address = Look::now().addresses("veth_0");
        assert_eq!(address.len(), 1);
        lab.nets(json!({ "red": blocking(json!({})) }));
        let now = Look::now();
        assert_eq!((now.addresses("red"), now.addresses("veth_0")), (address.clone(), vec![]));
        lab.nets(json!({ "red": blocking(json!({ "bridged": false })) }));
        assert_eq!(Look::now().addresses("veth_0"), address);
        assert_eq!(server.leases().len(), 1, "one client all the time");
    });
}

#[test]
fn a_lease_outlives_the_daemon_and_its_process_and_is_taken_up_again() {
    story_needing(&["dnsmasq"], Veth, 1, |lab| {
        let (_server, _) = serving(100);
        let wish = || json!({ "red": blocking(json!({ "defaultRoute": true })) });
        lab.nets(wish());
        let told = changes(|| {
            lab.kill();
            lab.start();
            assert!(!lab.nets(wish()));
            lab.kill_dhcp();
            let end = Instant::now() + Duration::from_secs(60);
            while lab.capabilities()["networks"]["red"]["dhcpv4"] != true {
                assert!(Instant::now() < end, "the process is not started again");
            }
        });
        assert!(!told.iter().any(|it| it.starts_with('-')), "nothing went meanwhile: {told:#?}");
        assert_eq!(Look::now().addresses("red"), ["10.77.0.100/24"]);
        // Nobody wants it any more, and so it ends with the network.
        lab.nets(json!({ "red": { "remove": true } }));
        assert!(Look::now().addresses("veth_0").is_empty());
    });
}

#[test]
fn somebody_elses_client_is_ended_first_and_comes_back_with_a_rollback() {
    story_needing_with(&["dnsmasq", "udhcpc"], "dhcp_timeout = 15", Veth, 2, |lab| {
        let (server, _) = serving(100);
        // It configures nothing: whether it is there is what matters.
        let words = ["-f", "-i", "veth_0", "-s", "/bin/true", "-t", "1000"];
        let mut client = Command::new("udhcpc").args(words).stdin(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let end = Instant::now() + Duration::from_secs(60);
        while server.leases().is_empty() {
            assert!(Instant::now() < end, "no lease: {}", server.log());
        }
        let fails = json!({ "networks": {
            "red": blocking(json!({})),
            "blue": { "nic": "veth_1", "bootproto": "dhcp", "blockingdhcp": true },
        } });
        lab.expect_error(29, fails);
        client.wait().unwrap();
        let runs = || vdsm_dhcp_client::foreign::all().unwrap().len();
        assert_eq!(runs(), 1, "it was started again");
        lab.nets(json!({ "red": blocking(json!({})) }));
        assert_eq!(runs(), 0);
        assert_eq!(Look::now().addresses("red"), ["10.77.0.100/24"]);
    });
}

/// Whether the network's addresses and default route are as the server has them.
fn has_v6(look: &Look, device: &str, address: &str) -> bool {
    look.has(device) && look.addresses(device).iter().any(|it| it.starts_with(address))
}

#[test]
fn routers_are_heard_where_a_network_wants_it_and_nowhere_else() {
    story_needing(&["dnsmasq"], Veth, 1, |lab| {
        let mut server = Server::behind(0);
        server.start(&Offers { announce: Announce::Prefix, v6: Some(0x100..=0x1ff), lease: 120, ..Offers::default() });
        let slaac = |default: bool| json!({ "nic": "veth_0", "ipv6autoconf": true, "defaultRoute": default });
        lab.nets(json!({ "red": slaac(true) }));
        until("an address and a router", |look| {
            has_v6(look, "red", "fd77:") && look.default_routes().iter().any(|it| it.ends_with(" red"))
        });
        assert_eq!(lab.capabilities()["networks"]["red"]["ipv6autoconf"], true);
        let told = changes(|| assert!(!lab.nets(json!({ "red": slaac(true) }))));
        assert!(!told.iter().any(|it| it.starts_with('-')), "{told:#?}");
        // One that is not the host's default route keeps its addresses alone.
        lab.nets(json!({ "red": slaac(false) }));
        let now = Look::now();
        assert!(has_v6(&now, "red", "fd77:") && now.default_routes().is_empty());
        // A static one has nothing of what was announced.
        lab.nets(json!({ "red": { "nic": "veth_0", "ipv6addr": "fd99::1/64" } }));
        let now = Look::now();
        assert_eq!((now.addresses("red"), now.default_routes()), (vec!["fd99::1/64".to_owned()], vec![]));
        lab.nets(json!({ "red": slaac(true) }));
        until("the router again", |look| has_v6(look, "red", "fd77:") && !look.default_routes().is_empty());
        lab.nets(json!({ "red": { "nic": "veth_0" } }));
        Look::now().assert_no_ipv6(&["red"]);
        assert!(Look::now().default_routes().is_empty());
    });
}

#[test]
fn dhcpv6_brings_an_address_and_the_router_its_default_route() {
    story_needing(&["dnsmasq"], Veth, 1, |lab| {
        let mut server = Server::behind(0);
        server.start(&Offers { announce: Announce::Router, v6: Some(0x100..=0x100), lease: 120, ..Offers::default() });
        let wish = json!({ "nic": "veth_0", "dhcpv6": true, "blockingdhcp": true, "defaultRoute": true });
        lab.nets(json!({ "red": wish }));
        let addresses = Look::now().addresses("red");
        assert!(addresses.len() == 1 && addresses[0].ends_with("::100/128"), "{addresses:?}");
        until("the router", |look| look.default_routes().iter().any(|it| it.ends_with(" red")));
        let caps = lab.capabilities();
        let red = &caps["networks"]["red"];
        assert_eq!(
            (&red["dhcpv6"], &red["dhcpv4"], &red["ipv6autoconf"]),
            (&json!(true), &json!(false), &json!(false))
        );
        lab.nets(json!({ "red": { "nic": "veth_0" } }));
        Look::now().assert_no_ipv6(&["red"]);
    });
}

#[test]
fn a_restore_waits_for_leases_and_tells_of_those_that_do_not_come() {
    story_needing_with(&["dnsmasq"], "dhcp_timeout = 3", Veth, 1, |lab| {
        lab.nets(json!({ "red": asks(json!({})) }));
        lab.set_safe();
        lab.reboot();
        let restored = lab.restore(false);
        let skipped = restored["skipped"].to_string();
        assert!(skipped.contains("no lease has come yet"), "{restored}");
        assert!(Look::now().has("red"), "it is there all the same");
        // The other end went with the reboot.
        let (_server, _) = serving(100);
        until("the lease comes late", |look| look.addresses("red") == ["10.77.0.100/24"]);
    });
}

#[test]
fn another_host_with_the_address_is_told_and_delays_nobody() {
    story_needing(&["dnsmasq"], Veth, 1, |lab| {
        let server = Server::behind(0);
        server.place.ip("addr add fd55::5/64 dev peer0 nodad");
        let mut ears = Ears::open(lab, &["duplicate_address"]);
        lab.nets(json!({ "red": { "nic": "veth_0", "ipv6addr": "fd55::5/64" } }));
        ears.until("red: another host has address fd55::5/64 as well");
    });
}
