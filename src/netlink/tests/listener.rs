//! What this machine's kernel tells a listener, each test in a network namespace of its own.
//!
//! Needs root; without it each test is skipped. The kernel tells
//! before the system call that changes something returns, so nothing waits here.

#![allow(clippy::unwrap_used)]

use std::{
    any::type_name_of_val,
    net::{IpAddr, Ipv4Addr},
    os::fd::AsFd,
    thread,
    time::Duration,
};

use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE};
use netlink_packet_route::{
    RouteNetlinkMessage,
    link::LinkMessage,
    route::{RouteMessage, RouteProtocol},
};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
use nix::{
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sched::{CloneFlags, unshare},
};
use rtnetlink::{AddressMessageBuilder, LinkBridge, LinkUnspec, RouteMessageBuilder};
use vdsm_netlink::{
    Drained, Listener, Request, Topic, Wire,
    attrs::{self, Attrs},
};

#[path = "../../../tests/common/skip.rs"]
mod skip;
use skip::skip;

const ALL: usize = usize::MAX;
/// The least the kernel has is about half of it.
const SMALL: usize = 4 << 10;

/// Runs the test on a thread with a network namespace of its own, in which `lo` is up.
fn in_namespace(test: impl FnOnce(Wire) + Send) {
    let name = type_name_of_val(&test).trim_end_matches("::{{closure}}");
    thread::scope(|scope| {
        let run = scope.spawn(|| match unshare(CloneFlags::CLONE_NEWNET) {
            Err(errno) => skip(name, &format!("no network namespace may be made here: {errno}")),
            Ok(()) => {
                let mut wire = Wire::open(Duration::from_secs(30)).unwrap();
                wire.batch(&[set(LinkUnspec::new_with_name("lo").up().build())]).unwrap();
                test(wire);
            }
        });
        run.join().unwrap();
    });
}

fn set(link: LinkMessage) -> Request {
    Request::new(RouteNetlinkMessage::SetLink(link), 0)
}

/// A bridge that is down: of what is up the kernel goes on telling later, as IPv6 comes to it.
fn bridge(name: &str) -> Request {
    Request::new(RouteNetlinkMessage::NewLink(LinkBridge::new(name).down().build()), NLM_F_CREATE | NLM_F_EXCL)
}

fn bridges(range: std::ops::Range<usize>) -> Vec<Request> {
    range.map(|i| bridge(&format!("br{i}"))).collect()
}

/// The index of a link.
fn index(wire: &mut Wire, name: &str) -> u32 {
    let mut found = 0;
    wire.get(&[RouteNetlinkMessage::GetLink(LinkUnspec::new_with_name(name).build())], &mut |_, answer| {
        found = attrs::u32(&answer.unwrap().1[4..]).unwrap();
    })
    .unwrap();
    found
}

/// What a drain hands out of links and addresses, each thing once, and how it ends.
fn told(listener: &mut Listener, most: usize) -> (Vec<String>, Drained) {
    let mut seen = Vec::new();
    let end = listener.drain(most, &mut |event| {
        let (what, header, kind) = match event.kind {
            libc::RTM_NEWLINK => ("link", 16, libc::IFLA_IFNAME),
            libc::RTM_DELLINK => ("no link", 16, libc::IFLA_IFNAME),
            libc::RTM_NEWADDR => ("address", 8, libc::IFA_LABEL),
            libc::RTM_DELADDR => ("no address", 8, libc::IFA_LABEL),
            _ => return,
        };
        // IPv6 gives `lo` its own address at its leisure, and addresses without labels.
        if header == 8 && i32::from(event.payload[0]) != libc::AF_INET {
            return;
        }
        let name = attrs::find(Attrs::after(event.payload, header), kind).and_then(attrs::text).unwrap();
        let line = format!("{what} {name}");
        // The kernel likes to repeat itself.
        if !seen.contains(&line) {
            seen.push(line);
        }
    });
    (seen, end.unwrap())
}

fn is_readable(listener: &Listener) -> bool {
    poll(&mut [PollFd::new(listener.as_fd(), PollFlags::POLLIN)], PollTimeout::ZERO).unwrap() > 0
}

#[test]
fn links_and_addresses_are_told_in_order() {
    in_namespace(|mut wire| {
        let mut listener = Listener::open(Topic::Links, None).unwrap();
        assert!(!is_readable(&listener));
        wire.batch(&[bridge("br0")]).unwrap();
        assert!(is_readable(&listener));
        let br0 = index(&mut wire, "br0");
        let address = AddressMessageBuilder::<Ipv4Addr>::new().index(br0).address([192, 0, 2, 1].into(), 24).build();
        wire.batch(&[
            Request::new(RouteNetlinkMessage::NewAddress(address), NLM_F_CREATE | NLM_F_EXCL),
            set(LinkUnspec::new_with_index(br0).name("br1").build()),
            Request::new(RouteNetlinkMessage::DelLink(LinkUnspec::new_with_name("br1").build()), 0),
            bridge("br2"),
        ])
        .unwrap();
        // The label follows the name.
        let expected =
            ["link br0", "address br0", "link br1", "address br1", "no address br1", "no link br1", "link br2"];
        assert_eq!(told(&mut listener, ALL), (expected.map(str::to_owned).to_vec(), Drained::Empty));
        assert!(!is_readable(&listener));
    });
}

#[test]
fn links_of_other_namespaces_are_not_told() {
    in_namespace(|mut wire| {
        let mut listener = Listener::open(Topic::Links, None).unwrap();
        in_namespace(|mut elsewhere| elsewhere.batch(&[bridge("br0")]).unwrap());
        wire.batch(&[bridge("br1")]).unwrap();
        assert_eq!(told(&mut listener, ALL), (vec!["link br1".to_owned()], Drained::Empty));
    });
}

/// Adds and removes the route; returns types and protocols of what was told of it.
fn told_of(wire: &mut Wire, listener: &mut Listener, route: RouteMessage) -> Vec<(u16, u8)> {
    wire.batch(&[
        Request::new(RouteNetlinkMessage::NewRoute(route.clone()), NLM_F_CREATE | NLM_F_EXCL),
        Request::new(RouteNetlinkMessage::DelRoute(route), 0),
    ])
    .unwrap();
    let woken = is_readable(listener);
    let mut seen = Vec::new();
    let end = listener.drain(ALL, &mut |event| seen.push((event.kind, event.payload[5])));
    assert_eq!(end.unwrap(), Drained::Empty);
    assert_eq!(woken, !seen.is_empty());
    seen
}

fn route(to: &str, length: u8, protocol: u8, table: u32) -> RouteMessage {
    RouteMessageBuilder::<IpAddr>::new()
        .destination_prefix(to.parse().unwrap(), length)
        .unwrap()
        .output_interface(1)
        .protocol(RouteProtocol::from(protocol))
        .table_id(table)
        .build()
}

#[test]
fn routes_of_daemons_do_not_wake_us_and_others_do() {
    const BGP: u8 = 186;
    let ipv6 = std::path::Path::new("/proc/net/if_inet6").exists();
    let cases = [
        ("192.0.2.0", 24, BGP, 254, false),
        ("192.0.2.0", 24, 4, 254, true),
        ("192.0.2.0", 24, 3, 254, true),
        ("192.0.2.0", 24, 16, 254, true),
        ("0.0.0.0", 0, BGP, 254, true),
        ("0.0.0.0", 0, BGP, 1000, true),
        ("192.0.2.0", 24, 4, 1000, true),
        ("192.0.2.0", 24, BGP, 1000, false),
        ("192.0.2.1", 32, 4, 255, false),
        ("2001:db8::", 64, BGP, 254, false),
        ("2001:db8::", 64, 9, 254, true),
        ("::", 0, BGP, 254, true),
    ];
    in_namespace(|mut wire| {
        let mut listener = Listener::open(Topic::Routes, None).unwrap();
        for (to, length, protocol, table, heard) in cases {
            if to.contains(':') && !ipv6 {
                skip(to, "no IPv6 here");
                continue;
            }
            let expected = [(libc::RTM_NEWROUTE, protocol), (libc::RTM_DELROUTE, protocol)];
            let expected = if heard { &expected[..] } else { &[] };
            let told = told_of(&mut wire, &mut listener, route(to, length, protocol, table));
            assert_eq!(told, expected, "{to}/{length} {protocol} {table}");
        }
    });
}

#[test]
fn a_replaced_route_shows_as_such() {
    in_namespace(|mut wire| {
        let mut listener = Listener::open(Topic::Routes, None).unwrap();
        let add = |protocol, flags| {
            Request::new(RouteNetlinkMessage::NewRoute(route("192.0.2.0", 24, protocol, 254)), NLM_F_CREATE | flags)
        };
        wire.batch(&[add(4, NLM_F_EXCL), add(3, NLM_F_REPLACE)]).unwrap();
        let mut seen = Vec::new();
        let end = listener.drain(ALL, &mut |event| seen.push((event.payload[5], event.flags & NLM_F_REPLACE != 0)));
        assert_eq!((seen, end.unwrap()), (vec![(4, false), (3, true)], Drained::Empty));
    });
}

#[test]
fn links_and_routes_on_one_socket_keep_their_order() {
    in_namespace(|mut wire| {
        let mut listener = Listener::open(Topic::All, None).unwrap();
        let [ours, bgp] = [4, 186].map(|protocol| route("192.0.2.0", 24, protocol, 254));
        let add = |route| Request::new(RouteNetlinkMessage::NewRoute(route), NLM_F_CREATE | NLM_F_EXCL);
        let delete = |route| Request::new(RouteNetlinkMessage::DelRoute(route), 0);
        wire.batch(&[add(bgp.clone()), delete(bgp)]).unwrap();
        assert!(!is_readable(&listener));
        wire.batch(&[add(ours.clone()), bridge("br0"), delete(ours)]).unwrap();
        let mut kinds = Vec::new();
        let end = listener.drain(ALL, &mut |event| kinds.push(event.kind));
        assert_eq!(end.unwrap(), Drained::Empty);
        kinds.retain(|kind| [libc::RTM_NEWROUTE, libc::RTM_NEWLINK, libc::RTM_DELROUTE].contains(kind));
        kinds.dedup();
        assert_eq!(kinds, [libc::RTM_NEWROUTE, libc::RTM_NEWLINK, libc::RTM_DELROUTE]);
    });
}

#[test]
fn a_full_buffer_is_a_loss_and_what_was_queued_before_stays() {
    in_namespace(|mut wire| {
        let mut listener = Listener::open(Topic::Links, Some(SMALL)).unwrap();
        wire.batch(&bridges(0..300)).unwrap();
        // The loss is told before what came before it.
        assert_eq!(told(&mut listener, ALL), (vec![], Drained::Lost));
        assert!(is_readable(&listener));
        let (seen, end) = told(&mut listener, ALL);
        assert_eq!(end, Drained::Empty);
        assert!((1..300).contains(&seen.len()), "{seen:?}");
        assert!(seen.iter().enumerate().all(|(i, seen)| *seen == format!("link br{i}")), "{seen:?}");

        wire.batch(&[bridge("later")]).unwrap();
        assert_eq!(told(&mut listener, ALL), (vec!["link later".to_owned()], Drained::Empty));
    });
}

#[test]
fn what_is_dropped_between_a_loss_and_an_empty_queue_is_a_loss_of_its_own() {
    in_namespace(|mut wire| {
        let mut listener = Listener::open(Topic::Links, Some(SMALL)).unwrap();
        wire.batch(&bridges(0..300)).unwrap();
        assert_eq!(told(&mut listener, ALL), (vec![], Drained::Lost));
        // Whoever reads the host here does not see this one, and the kernel says nothing more of it.
        wire.batch(&[bridge("between")]).unwrap();
        let (seen, end) = told(&mut listener, ALL);
        assert!(!seen.contains(&"link between".to_owned()), "{seen:?}");
        assert_eq!(end, Drained::Lost);
        assert_eq!(told(&mut listener, ALL), (vec![], Drained::Empty));
        wire.batch(&[bridge("later")]).unwrap();
        assert_eq!(told(&mut listener, ALL), (vec!["link later".to_owned()], Drained::Empty));
    });
}

#[test]
fn a_storm_fits_into_the_usual_buffer() {
    in_namespace(|mut wire| {
        let mut listener = Listener::open(Topic::Links, None).unwrap();
        wire.batch(&bridges(0..300)).unwrap();
        let (seen, end) = told(&mut listener, 10);
        assert_eq!(end, Drained::More);
        assert!(seen.len() <= 10);
        let (rest, end) = told(&mut listener, ALL);
        assert_eq!(end, Drained::Empty);
        let mut all = [seen, rest].concat();
        all.dedup();
        assert_eq!(all, (0..300).map(|i| format!("link br{i}")).collect::<Vec<_>>());
    });
}

#[test]
fn what_other_programs_say_to_the_group_is_not_handed_out() {
    in_namespace(|mut wire| {
        let mut listener = Listener::open(Topic::Links, None).unwrap();
        let mut witness = Socket::new(NETLINK_ROUTE).unwrap();
        witness.bind_auto().unwrap();
        witness.add_membership(libc::RTNLGRP_LINK).unwrap();

        let forged = bridge("forged").as_bytes().to_vec();
        let mut stranger = Socket::new(NETLINK_ROUTE).unwrap();
        stranger.bind_auto().unwrap();
        // As an event has it: no request, or the kernel would heed it.
        let forged = [&forged[..6], &[0; 2], &forged[8..]].concat();
        stranger.send_to(&forged, &SocketAddr::new(0, 1 << (libc::RTNLGRP_LINK - 1)), 0).unwrap();
        wire.batch(&[bridge("true")]).unwrap();

        let (heard, sender) = witness.recv_from(&mut Vec::with_capacity(8192), libc::MSG_DONTWAIT).unwrap();
        assert_eq!((heard, sender.port_number() != 0), (forged.len(), true));
        assert_eq!(told(&mut listener, ALL), (vec!["link true".to_owned()], Drained::Empty));
    });
}
