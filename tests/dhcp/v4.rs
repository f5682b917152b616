//! DHCP.

use std::fs;
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::time::Duration;

use vdsm_dhcp_client::Family::V4;
use vdsm_dhcp_client::{Afterwards, DhcpClients, News, State, StaticRoute, Wanted};

use crate::lab::{Monitor, addresses, has_only, ip, name, say, story, wait, wanted};
use crate::server::Server;

fn last(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(address) => address.octets()[3],
        IpAddr::V6(_) => panic!("{address}"),
    }
}

#[test]
fn what_the_server_says_is_told() {
    story("v4::what_the_server_says_is_told", |lab| {
        let routes = "--dhcp-option=121,0.0.0.0/0,10.77.0.9,10.5.0.0/16,10.77.0.8";
        lab.serve(100, &[routes, "--dhcp-option=option:mtu,1400", "--domain=example.com"]);
        lab.start("n0", V4);
        let lease = lab.bound("n0", V4, |_| true);
        assert_eq!((lease.prefix, lease.server), (24, Some([10, 77, 0, 1].into())));
        assert_eq!((lease.gateway, lease.mtu), (Some([10, 77, 0, 9].into()), Some(1400)));
        assert_eq!(lease.nameservers, [IpAddr::from([10, 77, 0, 53])]);
        assert_eq!((lease.domain.as_deref(), lease.valid), (Some("example.com"), 120));
        let to = StaticRoute { destination: [10, 5, 0, 0].into(), prefix: 16, gateway: [10, 77, 0, 8].into() };
        assert_eq!(lease.routes, [to]);
        let [(address, life)] = addresses("n0")[..] else { panic!("{:?}", addresses("n0")) };
        assert!(address == lease.address && (110..=120).contains(&life), "{address} {life}");
        assert!(ip("route").contains("10.77.0.0/24 dev n0"));
    });
}

#[test]
fn a_renewal_extends_the_address_and_nobody_sees_it_go() {
    story("v4::a_renewal_extends_the_address_and_nobody_sees_it_go", |lab| {
        let server = Server::start(lab);
        lab.start("n0", V4);
        let lease = lab.bound("n0", V4, |_| true);
        let monitor = Monitor::start(lab);
        lab.bound("n0", V4, |now| now.obtained > lease.obtained + 6);
        let seen = monitor.end();
        assert!(seen.contains(&lease.address.to_string()) && !seen.contains("Deleted"), "{seen}");
        has_only("n0", lease.address);
        assert_eq!(server.discovers.load(Ordering::Relaxed), 1);
    });
}

#[test]
fn a_lease_for_ever_has_an_address_with_an_end() {
    story("v4::a_lease_for_ever_has_an_address_with_an_end", |lab| {
        lab.serve(100, &["--dhcp-host=02:00:00:00:77:01,infinite"]);
        lab.start("n0", V4);
        assert_eq!(lab.bound("n0", V4, |_| true).valid, u32::MAX);
        let [(_, life)] = addresses("n0")[..] else { panic!("{:?}", addresses("n0")) };
        assert!(life < u32::MAX.into() && life > 1 << 30, "{life}");
    });
}

#[test]
fn a_second_start_changes_nothing_and_a_stop_leaves_nothing() {
    story("v4::a_second_start_changes_nothing_and_a_stop_leaves_nothing", |lab| {
        lab.serve(100, &[]);
        lab.start("n0", V4);
        let lease = lab.bound("n0", V4, |_| true);
        let monitor = Monitor::start(lab);
        lab.start("n0", V4);
        assert_eq!(lab.bound("n0", V4, |_| true), lease);
        let mode = fs::metadata(lab.socket()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        // Other wishes ask anew, with the address where it is.
        let named = Wanted { hostname: Some("peter".into()), ..wanted("n0", V4) };
        lab.clients().start(&named).unwrap();
        wait("the name", || (lab.logged("client provides name: peter") > 0).then_some(()));
        let seen = monitor.end();
        assert!(!seen.contains("Deleted"), "{seen}");
        assert_eq!((lab.logged("DHCPDISCOVER"), lab.logged("DHCPRELEASE")), (1, 0));
        lab.clients().stop(name("n0"), V4, Afterwards::Keep).unwrap();
        assert_eq!((addresses("n0"), lab.clients().list().unwrap()), (vec![], vec![]));
        assert_eq!(lab.logged("DHCPRELEASE"), 0);
        lab.start("n0", V4);
        has_only("n0", lab.bound("n0", V4, |now| now.address == lease.address).address);
        assert_eq!(lab.logged("DHCPDISCOVER"), 1);
        lab.clients().stop(name("n0"), V4, Afterwards::Release).unwrap();
        wait("the release", || (lab.logged("DHCPRELEASE") == 1).then_some(()));
        assert_eq!(addresses("n0"), []);
        assert_eq!(fs::read_to_string(lab.path("state/wanted.json")).unwrap(), "[]");
        assert_eq!(fs::read_dir(lab.path("state/leases")).unwrap().count(), 0);
    });
}

#[test]
fn a_server_that_refuses_is_obeyed_soon() {
    story("v4::a_server_that_refuses_is_obeyed_soon", |lab| {
        let server = Server::start(lab);
        lab.start("n0", V4);
        has_only("n0", lab.bound("n0", V4, |lease| last(lease.address) == 50).address);
        let monitor = Monitor::start(lab);
        // A refused renewal is not even heard by mozim; the lease would last on.
        server.seconds.store(600, Ordering::Relaxed);
        lab.bound("n0", V4, |lease| lease.valid == 600);
        lab.kill();
        lab.bound("n0", V4, |lease| lease.valid == 600);
        server.last.store(51, Ordering::Relaxed);
        has_only("n0", lab.bound("n0", V4, |lease| last(lease.address) == 51).address);
        let seen = monitor.end();
        assert_eq!(seen.matches("Deleted").count(), 1, "{seen}");
    });
}

#[test]
fn after_a_loss_of_the_carrier_another_networks_server_is_obeyed() {
    story("v4::after_a_loss_of_the_carrier_another_networks_server_is_obeyed", |lab| {
        lab.serve(100, &[]);
        lab.start("n0", V4);
        lab.bound("n0", V4, |lease| (100..110).contains(&last(lease.address)));
        lab.far_ip("link set s0 down");
        lab.stands("n0", V4, &State::NoCarrier);
        lab.silence();
        lab.forget();
        lab.serve(200, &[]);
        lab.far_ip("link set s0 up");
        let lease = lab.bound("n0", V4, |lease| (200..210).contains(&last(lease.address)));
        has_only("n0", lease.address);
        assert!(lab.logged("DHCPNAK") > 0);
    });
}

#[test]
fn without_a_carrier_the_address_stays_and_is_confirmed_afterwards() {
    story("v4::without_a_carrier_the_address_stays_and_is_confirmed_afterwards", |lab| {
        lab.serve(100, &[]);
        lab.start("n0", V4);
        let lease = lab.bound("n0", V4, |_| true);
        lab.far_ip("link set s0 down");
        lab.stands("n0", V4, &State::NoCarrier);
        assert_eq!(lab.status("n0", V4).unwrap().lease, Some(lease.clone()));
        has_only("n0", lease.address);
        let requests = lab.logged("DHCPREQUEST");
        lab.far_ip("link set s0 up");
        wait("a confirmation", || (lab.logged("DHCPREQUEST") > requests).then_some(()));
        assert_eq!(lab.bound("n0", V4, |_| true).address, lease.address);
        assert_eq!(lab.logged("DHCPDISCOVER"), 1);
    });
}

#[test]
fn a_device_that_goes_and_comes_gets_a_lease_again() {
    story("v4::a_device_that_goes_and_comes_gets_a_lease_again", |lab| {
        lab.serve(100, &[]);
        ip("link del n0");
        lab.start("n0", V4);
        lab.stands("n0", V4, &State::NoDevice);
        lab.plug("02:00:00:00:77:02");
        lab.serve(100, &[]);
        let lease = lab.bound("n0", V4, |_| true);
        ip("link del n0");
        lab.stands("n0", V4, &State::NoDevice);
        lab.plug("02:00:00:00:77:03");
        lab.serve(100, &[]);
        has_only("n0", lab.bound("n0", V4, |now| now.address != lease.address).address);
    });
}

#[test]
fn a_killed_process_is_started_again_and_takes_over() {
    story("v4::a_killed_process_is_started_again_and_takes_over", |lab| {
        lab.serve(100, &[]);
        let (told, hear) = mpsc::channel();
        lab.start("n0", V4);
        let watch = lab.clients().watch(move |news| told.send(news).unwrap());
        let lease = lab.bound("n0", V4, |_| true);
        let monitor = Monitor::start(lab);
        let requests = lab.logged("DHCPREQUEST");
        lab.kill();
        wait("a confirmation", || (lab.logged("DHCPREQUEST") > requests).then_some(()));
        assert_eq!(lab.bound("n0", V4, |_| true).address, lease.address);
        let seen = monitor.end();
        assert!(!seen.contains("Deleted"), "{seen}");
        has_only("n0", lease.address);
        assert_eq!(lab.logged("DHCPDISCOVER"), 1);
        lab.clients().stop(name("n0"), V4, Afterwards::Keep).unwrap();
        let news = || hear.recv_timeout(Duration::from_secs(10)).unwrap();
        let mut all = 0;
        loop {
            match news() {
                News::All(_) => all += 1,
                News::Stopped(stopped) => break assert_eq!(stopped, wanted("n0", V4)),
                News::Changed(_) => {}
            }
        }
        assert!(all >= 2, "the watch found the new process {all} times");
        drop(watch);
    });
}

#[test]
fn a_bridge_over_the_nic_has_the_nics_address() {
    story("v4::a_bridge_over_the_nic_has_the_nics_address", |lab| {
        lab.serve(100, &[]);
        lab.start("n0", V4);
        let lease = lab.bound("n0", V4, |_| true);
        lab.clients().stop(name("n0"), V4, Afterwards::Keep).unwrap();
        ip("link add br0 address 02:00:00:00:77:01 type bridge");
        ip("link set n0 master br0");
        ip("link set br0 up");
        lab.start("br0", V4);
        has_only("br0", lab.bound("br0", V4, |_| true).address);
        has_only("br0", lease.address);
        assert_eq!((addresses("n0"), lab.logged("DHCPDISCOVER")), (vec![], 1));
    });
}

#[test]
fn a_lease_that_ends_takes_its_address_along() {
    story("v4::a_lease_that_ends_takes_its_address_along", |lab| {
        let server = Server::start(lab);
        lab.start("n0", V4);
        let lease = lab.bound("n0", V4, |_| true);
        has_only("n0", lease.address);
        // As long as somebody grants it, it stays.
        lab.bound("n0", V4, |now| now.obtained > lease.obtained + 3);
        server.speaks.store(false, Ordering::Relaxed);
        lab.stands("n0", V4, &State::Asking);
        assert_eq!((addresses("n0"), lab.status("n0", V4).unwrap().lease), (vec![], None));
        server.last.store(51, Ordering::Relaxed);
        server.speaks.store(true, Ordering::Relaxed);
        has_only("n0", lab.bound("n0", V4, |now| last(now.address) == 51).address);
        // And what is taken back goes at once.
        server.last.store(52, Ordering::Relaxed);
        has_only("n0", lab.bound("n0", V4, |now| last(now.address) == 52).address);
    });
}

#[test]
fn what_makes_no_sense_is_refused_and_harms_nobody() {
    story("v4::what_makes_no_sense_is_refused_and_harms_nobody", |lab| {
        lab.serve(100, &[]);
        lab.start("n0", V4);
        for (line, word) in [
            (b"nonsense\n".to_vec(), "no request"),
            (br#"{"id":7,"method":"dance"}"#.iter().chain(b"\n").copied().collect(), "unknown method 'dance'"),
            (br#"{"id":7,"method":"start","params":{"device":"../x","family":"v4"}}"#.iter().chain(b"\n").copied().collect(), "contains '/'"),
            (vec![b'x'; 20 << 10], "a line has at most"),
        ] {
            let answer = say(lab, &line);
            assert!(answer.contains(word), "{answer}");
        }
        lab.bound("n0", V4, |_| true);
    });
}
