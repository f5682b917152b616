//! Hosts whose cables end somewhere: routers, real packets, DHCP servers, and what the kernel tells
//! of a change. Each of the lab's tools for that is tried here on what is known to be so.

use std::fs;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::beyond::server::{Announce, Offers, Server};
use crate::beyond::upstream::{Upstream, WORLD, WORLD6, gateway, gateway6};
use crate::ears::until;
use crate::lab::{Nics::Veth, story, story_needing};
use crate::look::Look;
use crate::monitor::changes;

/// A network on nic `n` with an address and a gateway of each family.
fn network(n: usize, default_route: bool) -> serde_json::Value {
    json!({
        "nic": format!("veth_{n}"), "ipaddr": format!("10.0.{n}.5"), "prefix": 24, "gateway": gateway(n),
        "ipv6addr": format!("fd00:{n}::5/64"), "ipv6gateway": gateway6(n), "defaultRoute": default_route
    })
}

#[test]
fn each_network_reaches_its_own_gateway() {
    story(Veth, 2, |lab| {
        let upstream = Upstream::behind(&[0, 1]);
        lab.nets(json!({ "red": network(0, true), "blue": network(1, false) }));
        for n in [0, 1] {
            assert_eq!(upstream.host_asks(gateway(n), None), n);
            assert_eq!(upstream.host_asks(gateway6(n), None), n);
            assert_eq!(upstream.reply_to_world(n, format!("10.0.{n}.5").parse().unwrap()), n);
        }
    });
}

#[test]
fn packets_leave_by_the_network_that_has_the_default_route() {
    story(Veth, 2, |lab| {
        let upstream = Upstream::behind(&[0, 1]);
        lab.nets(json!({ "red": network(0, true), "blue": network(1, false) }));
        assert_eq!([WORLD.into(), WORLD6.into()].map(|to| upstream.host_asks(to, None)), [0, 0]);
        lab.nets(json!({ "red": network(0, false), "blue": network(1, true) }));
        assert_eq!([WORLD.into(), WORLD6.into()].map(|to| upstream.host_asks(to, None)), [1, 1]);
        assert_eq!(Look::now().default_routes(), ["10.0.1.254 blue", "fd00:1::fffe blue"]);
    });
}

#[test]
fn a_request_that_says_what_is_so_changes_nothing_at_any_moment() {
    story(Veth, 2, |lab| {
        let upstream = Upstream::behind(&[0]);
        let networks = json!({ "red": network(0, true) });
        let told = changes(|| assert!(lab.nets(networks.clone())));
        for wanted in
            ["+ link red", "+ address 10.0.0.5/24 of red", "+ route default via 10.0.0.254 by red in table 254"]
        {
            assert!(told.iter().any(|it| it == wanted), "{wanted}: {told:#?}");
        }
        // Neighbours and duplicates are looked for, and then it is quiet.
        assert_eq!(upstream.host_asks(WORLD6.into(), None), 0);
        assert_eq!(changes(|| assert!(!lab.nets(networks.clone()))), [""; 0]);
        let told =
            changes(|| assert!(lab.nets(json!({ "red": { "nic": "veth_0", "ipaddr": "10.0.0.6", "prefix": 24 } }))));
        assert!(told.contains(&"- address 10.0.0.5/24 of red".to_owned()), "{told:#?}");
        assert!(told.iter().all(|it| it != "- link red"), "{told:#?}");
    });
}

#[test]
fn an_address_that_a_router_gives_to_a_nic_is_reported() {
    story_needing(&["dnsmasq"], Veth, 1, |lab| {
        let mut server = Server::behind(0);
        server.start(&Offers { announce: Announce::Prefix, lease: 600, ..Offers::default() });
        // As long as it is nobody's, the kernel looks after a nic's IPv6. It tells of an address once
        // that is known to be no duplicate.
        until("an address of the announced prefix", |look| {
            look.link("veth_0")["addr_info"]
                .as_array()
                .unwrap()
                .iter()
                .any(|a| a["local"].as_str().unwrap().starts_with("fd77:") && a["tentative"].is_null())
        });
        let wanted = Look::now().addresses("veth_0");
        let end = Instant::now() + Duration::from_secs(60);
        while lab.capabilities()["nics"]["veth_0"]["ipv6addrs"] != json!(wanted) {
            assert!(Instant::now() < end, "{wanted:?}: {}", lab.capabilities()["nics"]["veth_0"]);
        }
    });
}

/// A client that takes one lease and ends.
fn udhcpc() {
    let mut client = Command::new("udhcpc");
    client.args(["-i", "veth_0", "-f", "-n", "-q", "-t", "20", "-T", "2", "-s", "/bin/true"]);
    let output = client.stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_server_hands_out_what_it_was_told_to_and_remembers_it() {
    story_needing(&["dnsmasq", "udhcpc"], Veth, 1, |_| {
        let mut server = Server::behind(0);
        let mut offers = Offers { v4: Some(100..=109), lease: 120, renew: Some((5, 8)), ..Offers::default() };
        server.start(&offers);
        udhcpc();
        let leases = server.leases();
        assert!(leases.len() == 1 && leases[0].starts_with("10.77.0.10"), "{leases:?}");
        for option in ["58 T1  5s", "59 T2  8s", "3 router  10.77.0.1", "6 dns-server  10.77.0.1", "51 lease-time  2m"]
        {
            assert!(server.log().contains(option), "{option}");
        }
        // It still knows after a restart, and does not once its file is lost.
        server.start(&offers);
        assert_eq!(server.leases(), leases);
        server.stop();
        server.forget();
        offers.v4 = Some(200..=200);
        server.start(&offers);
        udhcpc();
        assert_eq!(server.leases(), ["10.77.0.200"]);
    });
}

#[test]
fn a_server_leases_ipv6_with_and_without_being_announced() {
    story_needing(&["dnsmasq", "dhclient"], Veth, 1, |lab| {
        let mut server = Server::behind(0);
        for (announce, last) in [(Announce::Nothing, 0x100), (Announce::Router, 0x200)] {
            let v6 = Some(last..=last);
            server.stop();
            server.forget();
            server.start(&Offers { v6, announce, lease: 120, ..Offers::default() });
            // It needs an address of its own to ask from, and one that is no duplicate.
            until("a link-local address", |look| {
                look.link("veth_0")["addr_info"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .any(|a| a["scope"] == "link" && a["tentative"].is_null())
            });
            let mut client = Command::new("dhclient");
            client.args(["-6", "-1", "-d", "-sf", "/bin/true", "-cf", "/dev/null", "-pf", "/dev/null", "-lf"]);
            let mut client = client.arg(lab.path("leases6")).arg("veth_0").stderr(Stdio::null()).spawn().unwrap();
            let end = Instant::now() + Duration::from_secs(60);
            while server.leases().is_empty() && Instant::now() < end {
                thread::sleep(Duration::from_millis(5));
            }
            let _ = client.kill();
            client.wait().unwrap();
            fs::remove_file(lab.path("leases6")).unwrap();
            assert_eq!(server.leases(), [format!("fd77::{last:x}")]);
        }
        until("a default route", |_| {
            let routes = Command::new("ip").args(["-6", "route", "show", "default", "dev", "veth_0"]).output().unwrap();
            String::from_utf8(routes.stdout).unwrap().contains("proto ra")
        });
    });
}
