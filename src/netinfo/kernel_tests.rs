//! What this machine's kernel sends, compared with what `ip` makes of it, each test in a network
//! namespace of its own.
//!
//! Needs root and iproute2, and links that every kernel has; bonds and VLANs are beside `ip` in
//! `tests/netns/full/picture`.

use std::fs;
use std::time::Duration;

use super::beside_ip::{Rule, agrees, in_namespace, ip, is_the_same, name};
use super::{Live, Reader};

/// For `ip`, line by line.
const BRIDGES: &str = "
    link add br0 type bridge forward_delay 200 stp_state 1
    link add fake0 type veth peer name veth1
    link add fakew type veth peer name veth2
    link set fake0 master br0
    link set fake0 mtu 1400 group 7
    link add low mtu 1000 type bridge
    link set lo up
    link set br0 up
    link set fake0 up
    link set veth1 up
    addr add 10.0.0.1/24 brd + dev br0
    addr add 10.0.0.2/24 dev br0
    addr add 10.1.0.1/24 dev br0
    addr add 10.2.0.1 peer 10.2.0.2/32 dev veth1
    addr add 2001:db8::1/64 dev br0 nodad
    addr add 2001:db8:1::1 peer 2001:db8:1::2/128 dev veth1 nodad
    route add default via 10.0.0.254
    route add default via 10.0.0.253 metric 10 proto dhcp
    route add default via 10.0.0.252 metric 11 proto bird
    route add default via inet6 fe80::9 dev veth1 metric 12 proto static
    route add 10.9.0.0/16 via 10.0.0.254 proto bird
    route add 10.8.0.0/16 dev veth1 src 10.1.0.1 table 3232 proto static
    route add 10.7.0.0/16 nexthop via 10.0.0.254 nexthop dev veth1
    route add blackhole 10.6.0.0/16
    route add 10.5.0.1/32 dev br0 table 255 proto static
    -6 route add default via 2001:db8::9 proto static
    -6 route add default via 2001:db8::8 metric 5 proto ra
    -6 route add 2001:db8:8::/48 via 2001:db8::9 table 100";

#[test]
fn bridges_addresses_and_routes_are_seen_as_ip_shows_them() {
    in_namespace(|| {
        let mut reader = Reader::open(Duration::from_secs(30)).unwrap();
        ip(BRIDGES);
        fs::write("/proc/sys/net/ipv6/conf/veth2/disable_ipv6", "1").unwrap();
        let host = agrees(reader.look(&Rule).unwrap());
        let link = |n: &str| host.link(&name(n)).unwrap();
        assert!(link("fake0").nic && !link("fakew").nic && !link("veth1").nic);
        assert_eq!(link("fake0").master, Some(name("br0")));
        assert_eq!((link("veth2").ipv6_disabled, link("low").ipv6_disabled), (Some(true), None));
        let addresses: Vec<_> = link("br0").addresses.iter().map(|a| a.to_string()).collect();
        // The primary addresses first.
        assert_eq!(addresses, ["10.0.0.1/24", "10.1.0.1/24", "10.0.0.2/24", "2001:db8::1/64"]);
        assert_eq!((link("br0").routes.len(), link("veth1").routes.len()), (5, 2));
    });
}

#[test]
fn a_second_look_at_what_changed_is_as_good_as_a_whole_one() {
    in_namespace(|| {
        let mut reader = Reader::open(Duration::from_secs(30)).unwrap();
        ip(BRIDGES);
        for i in 0..40 {
            ip(&format!("link add other{i} type bridge"));
        }
        let (live, _watching) = Live::open(Rule, Duration::from_secs(30), None).unwrap();
        let check = |reader: &mut Reader, change: &str, names: &[&str]| {
            ip(change);
            let afresh = live.refreshed(&names.iter().map(|n| name(n)).collect()).unwrap();
            let whole = reader.look(&Rule).unwrap();
            is_the_same(&afresh, &whole, change);
        };
        check(&mut reader, "", &["br0", "veth1", "absent"]);
        check(&mut reader, "addr add 10.3.0.1/24 dev low", &["low"]);
        check(&mut reader, "route add 10.3.4.0/24 dev br0 table 9", &["br0"]);
        check(&mut reader, "link del other7", &["other7"]);
        check(&mut reader, "link add new type bridge", &["new"]);
        // The neighbour is new as well, and nobody named it.
        check(&mut reader, "link add more type bridge\nlink set veth2 master more", &["veth2"]);
        check(
            &mut reader,
            "link set other1 name tmp\nlink set other2 name other1\nlink set tmp name other2",
            &["other1", "other2"],
        );
        check(
            &mut reader,
            "link del br0\nlink add br0 type bridge\nlink set fake0 master br0",
            &["br0", "fake0", "veth1"],
        );
        check(&mut reader, "link property add dev other4 altname other-alt", &["other-alt"]);
        let all: Vec<_> = reader.look(&Rule).unwrap().links().map(|l| l.name.to_string()).collect();
        check(&mut reader, "link set br0 up", &all.iter().map(String::as_str).collect::<Vec<_>>());
    });
}
