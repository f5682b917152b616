//! DHCPv6.

use std::fs;
use std::net::IpAddr;

use vdsm_dhcp_client::Family::V6;
use vdsm_dhcp_client::{Afterwards, DhcpClients, State};

use crate::lab::{Monitor, addresses, has_only, ip, name, story, wait};

fn last(address: IpAddr) -> u16 {
    match address {
        IpAddr::V6(address) => address.segments()[7],
        IpAddr::V4(_) => panic!("{address}"),
    }
}

#[test]
fn a_killed_process_renews_the_address_and_nobody_sees_it_go() {
    story("v6::a_killed_process_renews_the_address_and_nobody_sees_it_go", |lab| {
        lab.serve(100, &["--dhcp-option=option6:dns-server,[fd77::53]"]);
        lab.start("n0", V6);
        let lease = lab.bound("n0", V6, |_| true);
        assert_eq!(lease.nameservers, ["fd77::53".parse::<IpAddr>().unwrap()]);
        let [(address, life)] = addresses("n0")[..] else { panic!("{:?}", addresses("n0")) };
        assert!(address == lease.address && life <= 120, "{address} {life}");
        let duid = fs::read(lab.path("state/duid")).unwrap();
        let monitor = Monitor::start(lab);
        lab.kill();
        lab.bound("n0", V6, |now| now.address == lease.address && now.obtained > lease.obtained);
        let seen = monitor.end();
        assert!(!seen.contains("Deleted"), "{seen}");
        assert_eq!(lab.logged("DHCPSOLICIT"), 1);
        assert_eq!(fs::read(lab.path("state/duid")).unwrap(), duid);
        lab.clients().stop(name("n0"), V6, Afterwards::Release).unwrap();
        wait("the release", || (lab.logged("DHCPRELEASE") > 0).then_some(()));
        assert_eq!(addresses("n0"), []);
    });
}

#[test]
fn a_bridge_over_the_nic_has_the_nics_address() {
    story("v6::a_bridge_over_the_nic_has_the_nics_address", |lab| {
        lab.serve(100, &[]);
        lab.start("n0", V6);
        let lease = lab.bound("n0", V6, |_| true);
        lab.clients().stop(name("n0"), V6, Afterwards::Keep).unwrap();
        ip("link add br0 address 02:00:00:00:77:01 type bridge");
        ip("link set n0 master br0");
        ip("link set br0 up");
        lab.start("br0", V6);
        has_only("br0", lab.bound("br0", V6, |_| true).address);
        has_only("br0", lease.address);
        assert_eq!(addresses("n0"), []);
    });
}

#[test]
fn a_server_that_knows_us_no_more_gives_another_address_after_a_loss_of_the_carrier() {
    story("v6::a_server_that_knows_us_no_more_gives_another_address_after_a_loss_of_the_carrier", |lab| {
        lab.serve(100, &[]);
        lab.start("n0", V6);
        let lease = lab.bound("n0", V6, |_| true);
        lab.far_ip("link set s0 down");
        lab.stands("n0", V6, &State::NoCarrier);
        has_only("n0", lease.address);
        lab.silence();
        lab.forget();
        lab.far_ip("link set s0 up");
        lab.far_ip("addr replace fd77::1/64 dev s0 nodad");
        lab.serve(200, &[]);
        let lease = lab.bound("n0", V6, |lease| (200..210).contains(&last(lease.address)));
        has_only("n0", lease.address);
    });
}

#[test]
fn without_ipv6_the_client_says_so_and_begins_when_it_comes() {
    story("v6::without_ipv6_the_client_says_so_and_begins_when_it_comes", |lab| {
        lab.serve(100, &[]);
        fs::write("/proc/sys/net/ipv6/conf/n0/disable_ipv6", "1").unwrap();
        lab.start("n0", V6);
        let why = "it has no usable IPv6 link-local address; is IPv6 off?".to_owned();
        lab.stands("n0", V6, &State::Failed(why));
        fs::write("/proc/sys/net/ipv6/conf/n0/disable_ipv6", "0").unwrap();
        has_only("n0", lab.bound("n0", V6, |_| true).address);
    });
}
