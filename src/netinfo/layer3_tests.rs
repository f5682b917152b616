//! Addresses and routes made by hand. What a kernel really sends is in `kernel_tests.rs`.

use super::super::messages::{attribute, number, route_message};
use super::*;

fn seen(family: u8, prefix: u8, attributes: &[Vec<u8>]) -> Option<Address> {
    let header = [family, prefix, 0, 0, 1, 0, 0, 0];
    address(&[&header[..], &attributes.concat()].concat()).and_then(|told| told.address)
}

#[test]
fn an_address_is_our_own_and_not_the_other_ends() {
    let peer = attribute(libc::IFA_ADDRESS, &[10, 0, 0, 9]);
    let local = attribute(libc::IFA_LOCAL, &[10, 0, 0, 1]);
    let broadcast = attribute(libc::IFA_BROADCAST, &[10, 0, 0, 255]);
    for attributes in [[peer.clone(), local.clone()], [local.clone(), peer]] {
        let seen = seen(INET, 24, &attributes).unwrap();
        assert_eq!(seen.to_string(), "10.0.0.1/24");
        assert_eq!(seen.broadcast, None);
    }
    let seen = seen(INET, 24, &[local, broadcast]).unwrap();
    assert_eq!(seen.broadcast, Some([10, 0, 0, 255].into()));
}

#[test]
fn link_local_addresses_of_the_kernels_and_broken_ones_are_left_out() {
    let six = |text: &str| {
        let addr: Ipv6Addr = text.parse().unwrap();
        let addr = attribute(libc::IFA_ADDRESS, &addr.octets());
        seen(INET6, 64, &[addr]).map(|a| a.to_string())
    };
    assert_eq!(six("fe80::5054:ff:fe12:3456"), None, "made of a hardware address");
    assert_eq!(six("fe80::5").as_deref(), Some("fe80::5/64"), "somebody's");
    let addr = attribute(libc::IFA_ADDRESS, &"fe80::5".parse::<Ipv6Addr>().unwrap().octets());
    let kernels = attribute(IFA_PROTO, &[3]);
    assert_eq!(seen(INET6, 64, &[addr.clone(), kernels]), None, "it says so");
    let secret = attribute(libc::IFA_FLAGS, &(IFA_F_STABLE_PRIVACY | 0x80).to_ne_bytes());
    assert_eq!(seen(INET6, 64, &[addr, secret]), None, "made of a secret");
    assert_eq!(six("fec0::1").as_deref(), Some("fec0::1/64"));
    assert_eq!(six("2001:db8::1").as_deref(), Some("2001:db8::1/64"));
    let short = attribute(libc::IFA_ADDRESS, &[10, 0, 0]);
    assert_eq!(seen(INET, 24, &[short]), None);
    let long = attribute(libc::IFA_ADDRESS, &[10, 0, 0, 1]);
    assert_eq!(seen(INET, 33, &[long]), None);
}

/// Family, prefix, source prefix, type of service, table, protocol, scope and type.
type Header = [u8; 8];

#[test]
fn routes_that_somebody_made_are_kept() {
    let check = |header: Header, more: &[Vec<u8>], text: &str| {
        let attributes = [&[number(libc::RTA_OIF, 7)], more].concat();
        let (index, route) = route(&route_message(header, 0, &attributes)).unwrap();
        assert_eq!((index, route.to_string().as_str()), (7, text));
    };
    let via = || attribute(libc::RTA_GATEWAY, &[10, 0, 0, 254]);
    let to = || attribute(libc::RTA_DST, &[10, 9, 0, 0]);
    let table = || number(libc::RTA_TABLE, 3232);
    let metric = || number(libc::RTA_PRIORITY, 5);
    let source = || attribute(libc::RTA_PREFSRC, &[10, 0, 0, 1]);
    let via6 = || attribute(libc::RTA_VIA, &[&[10, 0][..], &[0xfe; 16]].concat());

    let default = "default via 10.0.0.254";
    check([2, 0, 0, 0, 254, 3, 0, 1], &[via()], default);
    check([2, 0, 0, 0, 254, 186, 0, 1], &[via()], default);
    let text = "10.9.0.0/16 via 10.0.0.254 table 3232";
    check([2, 16, 0, 0, 0, 4, 0, 1], &[to(), via(), table()], text);
    let text = "10.9.0.0/16 metric 5 src 10.0.0.1";
    let more = [to(), metric(), source()];
    check([2, 16, 0, 0, 254, 16, 253, 1], &more, text);
    let text = "default via fefe:fefe:fefe:fefe:fefe:fefe:fefe:fefe";
    check([2, 0, 0, 0, 254, 4, 0, 1], &[via6()], text);
}

#[test]
fn connected_routes_and_routers_are_told_from_wishes() {
    for (protocol, made) in [(2, true), (9, true), (3, false), (4, false), (16, false)] {
        let message = route_message([10, 0, 0, 0, 254, protocol, 0, 1], 0, &[number(libc::RTA_OIF, 7)]);
        assert_eq!(is_made(&route(&message).unwrap().1), made, "{protocol}");
    }
}

#[test]
fn link_local_routes_and_those_of_daemons_are_left_out() {
    let none = |what: &str, header: Header, flags: u32, more: &[Vec<u8>]| {
        let attributes = [&[number(libc::RTA_OIF, 7)], more].concat();
        assert_eq!(route(&route_message(header, flags, &attributes)), None, "{what}");
    };
    let to = attribute(libc::RTA_DST, &[10, 9, 0, 0]);
    let hops = attribute(libc::RTA_MULTIPATH, &[0; 32]);
    let local = attribute(libc::RTA_DST, &"fe80::".parse::<Ipv6Addr>().unwrap().octets());
    none("link-local", [10, 64, 0, 0, 254, 2, 0, 1], 0, &[local]);
    none("redirect", [2, 0, 0, 0, 254, 1, 0, 1], 0, &[]);
    none("daemon's", [2, 16, 0, 0, 254, 186, 0, 1], 0, std::slice::from_ref(&to));
    none("local", [2, 16, 0, 0, 255, 4, 0, 1], 0, std::slice::from_ref(&to));
    none("blackhole", [2, 16, 0, 0, 254, 4, 0, 6], 0, &[to]);
    none("cached", [10, 0, 0, 0, 254, 4, 0, 1], libc::RTM_F_CLONED, &[]);
    none("multipath", [2, 0, 0, 0, 254, 4, 0, 1], 0, &[hops]);
    none("from a source", [10, 0, 8, 0, 254, 4, 0, 1], 0, &[]);
    none("for a service", [2, 0, 0, 4, 254, 4, 0, 1], 0, &[]);
    none("mpls", [28, 0, 0, 0, 254, 4, 0, 1], 0, &[]);
    none("too long a prefix", [2, 33, 0, 0, 254, 4, 0, 1], 0, &[]);
    let nowhere = route_message([2, 0, 0, 0, 254, 4, 0, 1], 0, &[]);
    assert_eq!(route(&nowhere), None);
}

#[test]
fn what_leads_nowhere_is_the_loopbacks_where_one_of_ours_might_want_the_place() {
    let to = || attribute(libc::RTA_DST, &[10, 9, 0, 0]);
    let table = || number(libc::RTA_TABLE, 3232);
    let text = |header: Header, more: &[Vec<u8>]| {
        let (index, route) = route(&route_message(header, 0, more))?;
        assert_eq!(index, LOOPBACK);
        Some(route.to_string())
    };
    for (kind, word) in [(6, "blackhole"), (7, "unreachable"), (8, "prohibit"), (9, "throw")] {
        assert_eq!(text([2, 0, 0, 0, 254, 3, 0, kind], &[]), Some(format!("{word} default")));
        let lo = number(libc::RTA_OIF, LOOPBACK);
        let metric = number(libc::RTA_PRIORITY, 1024);
        assert_eq!(text([10, 0, 0, 0, 254, 3, 0, kind], &[lo, metric]), Some(format!("{word} default")));
        let expected = Some(format!("{word} 10.9.0.0/16 table 3232"));
        assert_eq!(text([2, 16, 0, 0, 0, 3, 0, kind], &[to(), table()]), expected);
        // Of a main table full of them one has no use.
        assert_eq!(text([2, 16, 0, 0, 254, 3, 0, kind], &[to()]), None);
    }
    let local = route_message([2, 32, 0, 0, 255, 2, 254, 2], 0, &[to()]);
    assert!(is_local(&local) && !is_local(&route_message([2, 0, 0, 0, 254, 3, 0, 7], 0, &[])) && !is_local(&[]));
}

#[test]
fn of_a_nexthop_object_its_number_is_enough() {
    let nhid = || number(RTA_NH_ID, 77);
    let whole = [nhid(), number(libc::RTA_OIF, 7), attribute(libc::RTA_GATEWAY, &[10, 0, 0, 9])];
    let (index, seen) = route(&route_message([2, 0, 0, 0, 254, 3, 0, 1], 0, &whole)).unwrap();
    assert_eq!((index, seen.to_string().as_str(), seen.gateway), (7, "default nhid 77", Some([10, 0, 0, 9].into())));
    let (index, seen) = route(&route_message([2, 0, 0, 0, 254, 3, 0, 1], 0, &[nhid()])).unwrap();
    assert_eq!((index, seen.to_string().as_str()), (LOOPBACK, "default nhid 77"));
    let elsewhere = route_message([2, 16, 0, 0, 254, 3, 0, 1], 0, &[nhid(), attribute(libc::RTA_DST, &[10, 9, 0, 0])]);
    assert_eq!(route(&elsewhere), None);
}

#[test]
fn next_hops_of_a_default_route_are_routes_of_their_own() {
    let hop = |index: u8, gateway: u8| {
        [&[16, 0, 0, 2, index, 0, 0, 0][..], &attribute(libc::RTA_GATEWAY, &[10, 0, 0, gateway])].concat()
    };
    let both = attribute(libc::RTA_MULTIPATH, &[hop(7, 1), hop(8, 2)].concat());
    let metric = number(libc::RTA_PRIORITY, 5);
    let message = |prefix: u8| route_message([2, prefix, 0, 0, 254, 4, 0, 1], 0, &[metric.clone(), both.clone()]);
    let via = |last: u8| Route { metric: 5, shared: true, ..Route::default_via([10, 0, 0, last].into()) };
    assert_eq!(hops(&message(0)), [(7, via(1)), (8, via(2))]);
    assert_eq!((hops(&message(16)), route(&message(0))), (vec![], None));
    // One that ends in the middle of a next hop, or says that it has no length.
    let cut = attribute(libc::RTA_MULTIPATH, &hop(7, 1)[..12]);
    let none = attribute(libc::RTA_MULTIPATH, &[0; 32]);
    for odd in [cut, none] {
        assert_eq!(hops(&route_message([2, 0, 0, 0, 254, 4, 0, 1], 0, &[odd])), []);
    }
}
