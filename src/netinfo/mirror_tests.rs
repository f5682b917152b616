//! Messages made by hand, as events. What a kernel really sends is in `live_tests.rs`.

use std::net::Ipv4Addr;

use vdsm_model::netinfo::MANY_ROUTES;
use vdsm_netlink::ethtool::{self, Modes};

use super::super::messages::{attribute, kind, link, number, route_message, text};
use super::*;

struct Rule;

impl NicRule for Rule {
    fn is_fake(&self, _: &str) -> bool {
        true
    }

    fn is_hidden(&self, _: &str) -> bool {
        false
    }
}

const NEWLINK: u16 = libc::RTM_NEWLINK;
const DELLINK: u16 = libc::RTM_DELLINK;

fn name(text: &str) -> DeviceName {
    DeviceName::try_from(text).unwrap()
}

/// A mirror that has taken these events, its questions forgotten.
fn mirror(events: &[(u16, Vec<u8>)]) -> Mirror {
    let mut mirror = Mirror::new();
    take(&mut mirror, events);
    mirror.take_wants();
    mirror
}

fn take(mirror: &mut Mirror, events: &[(u16, Vec<u8>)]) {
    events.iter().for_each(|(kind, payload)| mirror.take(*kind, 0, payload, &Rule));
}

fn slave_of(bond: u32) -> Vec<u8> {
    let info = [text(4, "bond"), attribute(5, &attribute(1, &[1]))].concat();
    [number(libc::IFLA_MASTER, bond), attribute(libc::IFLA_LINKINFO, &info)].concat()
}

fn vlan(index: u32, it: &str, base: u32) -> (u16, Vec<u8>) {
    let tag = [attribute(1, &7_u16.to_ne_bytes()), attribute(5, &0x8100_u16.to_be_bytes())];
    (NEWLINK, link(index, it, &[number(libc::IFLA_LINK, base), kind("vlan", &tag)]))
}

fn address(index: u32, addr: [u8; 4]) -> Vec<u8> {
    let header = [2, 24, 0, 0].into_iter().chain(index.to_ne_bytes()).collect::<Vec<u8>>();
    [header, attribute(libc::IFA_LOCAL, &addr)].concat()
}

fn route(index: u32, to: [u8; 4], via: u8, source: Option<[u8; 4]>) -> Vec<u8> {
    let mut attributes = vec![number(libc::RTA_OIF, index), attribute(libc::RTA_DST, &to)];
    attributes.push(attribute(libc::RTA_GATEWAY, &[10, 0, 0, via]));
    attributes.extend(source.map(|source| attribute(libc::RTA_PREFSRC, &source)));
    route_message([2, 24, 0, 0, 254, 4, 0, 1], 0, &attributes)
}

fn routes(mirror: &mut Mirror, it: &str) -> Vec<String> {
    mirror.compose().0.link(&name(it)).unwrap().routes.iter().map(ToString::to_string).collect()
}

#[test]
fn a_renamed_link_is_renamed_wherever_it_is_named() {
    let mut mirror = mirror(&[(NEWLINK, link(2, "eth0", &[])), vlan(3, "v7", 2)]);
    mirror.compose();
    take(&mut mirror, &[(NEWLINK, link(2, "lan0", &[]))]);
    let (host, links) = mirror.compose();
    assert_eq!(links, [name("eth0"), name("lan0"), name("v7")].into());
    let v7 = host.link(&name("v7")).unwrap();
    assert!(v7.base == Some(name("lan0")) && host.link(&name("eth0")).is_none());
    assert!(matches!(v7.kind, SeenKind::Vlan { device: Some(base), .. } if base == name("lan0")));
    // Two change their names with each other; and a name of another kind drops a link.
    take(&mut mirror, &[(NEWLINK, link(2, "tmp", &[])), vlan(3, "lan0", 2), (NEWLINK, link(2, "v7", &[]))]);
    let host = mirror.compose().0;
    assert_eq!((host.name_of(2), host.name_of(3)), (Some(name("v7")), Some(name("lan0"))));
    take(&mut mirror, &[(NEWLINK, link(2, "a%d", &[]))]);
    let host = mirror.compose().0;
    assert_eq!((host.count(), host.link(&name("lan0")).unwrap().base), (1, None));
}

#[test]
fn a_pair_knows_both_ends_whichever_was_told_first() {
    let end = |index, it, peer: u32| (NEWLINK, link(index, it, &[number(libc::IFLA_LINK, peer), kind("veth", &[])]));
    let mut mirror = mirror(&[end(2, "a", 0), end(3, "b", 2)]);
    let host = mirror.compose().0;
    let peer = |it: &str| host.link(&name(it)).unwrap().details.driver.clone();
    assert_eq!(peer("a"), Driver::Veth { peer: Some(name("b")) });
    assert_eq!(peer("b"), Driver::Veth { peer: Some(name("a")) });
}

#[test]
fn a_slaves_event_asks_for_its_bond_and_a_nics_for_its_speed() {
    let bond = (NEWLINK, link(4, "bond0", &[kind("bond", &[attribute(1, &[4])])]));
    let mut mirror = mirror(&[bond, (NEWLINK, link(2, "eth0", &[slave_of(4)]))]);
    take(&mut mirror, &[(NEWLINK, link(2, "eth0", &[slave_of(4)]))]);
    assert_eq!(mirror.take_wants(), Wants { links: [4].into(), ..Wants::default() });
    let mut down = link(2, "eth0", &[slave_of(4)]);
    down[8] = 0;
    take(&mut mirror, &[(NEWLINK, down)]);
    assert_eq!(mirror.take_wants(), Wants { links: [4].into(), speeds: [2].into(), ..Wants::default() });
    take(&mut mirror, &[(NEWLINK, link(9, "eth9", &[]))]);
    assert_eq!(mirror.take_wants().speeds, [9].into());
}

#[test]
fn a_speed_stays_while_the_link_runs_and_goes_with_its_carrier() {
    let mut mirror = mirror(&[(NEWLINK, link(2, "eth0", &[]))]);
    mirror.learn_speed(2, Modes { speed: Some(1000), duplex: Some(ethtool::Duplex::Full) });
    let speed = |mirror: &mut Mirror| mirror.compose().0.link(&name("eth0")).unwrap().details.speed;
    assert_eq!(speed(&mut mirror), Some(1000));
    take(&mut mirror, &[(NEWLINK, link(2, "eth0", &[number(libc::IFLA_GROUP, 3)]))]);
    assert_eq!(speed(&mut mirror), Some(1000));
    take(&mut mirror, &[(NEWLINK, link(2, "eth0", &[attribute(libc::IFLA_OPERSTATE, &[2])]))]);
    assert_eq!(speed(&mut mirror), None);
}

#[test]
fn ipv4_routes_go_with_the_link_the_last_address_and_their_source() {
    let links = [(NEWLINK, link(2, "eth0", &[])), (NEWLINK, link(3, "eth1", &[]))];
    let given = [
        (libc::RTM_NEWADDR, address(2, [10, 0, 0, 1])),
        (libc::RTM_NEWADDR, address(3, [10, 0, 1, 1])),
        (libc::RTM_NEWROUTE, route(2, [10, 9, 0, 0], 9, Some([10, 0, 1, 1]))),
        (libc::RTM_NEWROUTE, route(2, [10, 8, 0, 0], 9, None)),
    ];
    let start = || mirror(&[&links[..], &given[..]].concat());
    let (nine, eight) = ("10.9.0.0/24 via 10.0.0.9 src 10.0.1.1", "10.8.0.0/24 via 10.0.0.9");
    assert_eq!(routes(&mut start(), "eth0"), [nine, eight]);
    let after = |event: (u16, Vec<u8>)| {
        let mut mirror = start();
        mirror.compose();
        take(&mut mirror, &[event]);
        routes(&mut mirror, "eth0")
    };
    assert_eq!(after((libc::RTM_DELADDR, address(3, [10, 0, 1, 1]))), [eight], "another link's address");
    assert_eq!(after((libc::RTM_DELADDR, address(2, [10, 0, 0, 1]))), [""; 0]);
    assert_eq!(after((DELLINK, link(3, "eth1", &[]))), [eight]);
    let mut down = link(2, "eth0", &[]);
    down[8] = 0;
    assert_eq!(after((NEWLINK, down)), [""; 0]);
}

#[test]
fn a_replaced_route_goes_wherever_it_was_and_is_asked_for() {
    let links = [(NEWLINK, link(2, "eth0", &[])), (NEWLINK, link(3, "eth1", &[]))];
    let mut mirror = mirror(&links);
    let first = (libc::RTM_NEWROUTE, route(2, [10, 9, 0, 0], 9, None));
    take(&mut mirror, &[first]);
    mirror.take(libc::RTM_NEWROUTE, NLM_F_REPLACE, &route(3, [10, 9, 0, 0], 8, None), &Rule);
    assert_eq!(routes(&mut mirror, "eth0"), [""; 0]);
    assert_eq!(routes(&mut mirror, "eth1"), ["10.9.0.0/24 via 10.0.0.8"]);
    assert_eq!(mirror.take_wants().routes, [2, 3].into());
    mirror.take(libc::RTM_NEWROUTE, NLM_F_REPLACE, &route(3, [10, 7, 0, 0], 8, None), &Rule);
    assert_eq!(mirror.take_wants().routes, [].into(), "it replaced nothing");
    let to = attribute(libc::RTA_DST, &[10, 7, 0, 0]);
    let blackhole = route_message([2, 24, 0, 0, 254, 4, 0, 6], 0, &[to]);
    mirror.take(libc::RTM_NEWROUTE, NLM_F_REPLACE, &blackhole, &Rule);
    assert_eq!(routes(&mut mirror, "eth1"), ["10.9.0.0/24 via 10.0.0.8"], "one that is not kept, too");
    assert_eq!(mirror.take_wants().routes, [3].into());
}

#[test]
fn too_many_routes_are_not_kept_and_a_new_reading_starts_anew() {
    let mut mirror = mirror(&[(NEWLINK, link(2, "eth0", &[]))]);
    for number in 0..=MANY_ROUTES {
        let [.., high, low] = (number as u32).to_be_bytes();
        take(&mut mirror, &[(libc::RTM_NEWROUTE, route(2, [10, high, low, 0], 9, None))]);
    }
    let seen = mirror.compose().0;
    let eth0 = seen.link(&name("eth0")).unwrap();
    assert!(eth0.many_routes && eth0.routes.is_empty());
    let mut dump = Dump::new(&Rule);
    dump.take(libc::RTM_NEWROUTE, &route(2, [10, 9, 0, 0], 9, None));
    mirror.refresh_routes(&[2].into(), &dump);
    assert_eq!(routes(&mut mirror, "eth0"), ["10.9.0.0/24 via 10.0.0.9"]);
}

#[test]
fn what_belonged_to_a_link_goes_with_it() {
    let mut mirror = mirror(&[(NEWLINK, link(2, "eth0", &[])), (libc::RTM_NEWADDR, address(2, [10, 0, 0, 1]))]);
    take(&mut mirror, &[(DELLINK, link(2, "eth0", &[])), (NEWLINK, link(2, "eth0", &[]))]);
    let host = mirror.compose().0;
    assert!(host.link(&name("eth0")).unwrap().addresses.is_empty());
    // A bridge that lets a port go says so with the same type of message.
    let mut table = link(2, "eth0", &[]);
    table[0] = libc::AF_BRIDGE as u8;
    take(&mut mirror, &[(DELLINK, table)]);
    assert_eq!(mirror.compose().0.count(), 1);
}

#[test]
fn ipv4_addresses_stand_as_the_kernel_has_them() {
    let told = |last: u8, secondary: bool| {
        let flags = number(libc::IFA_FLAGS, u32::from(secondary));
        (libc::RTM_NEWADDR, [address(2, [10, 0, 0, last]), flags].concat())
    };
    let mut mirror = mirror(&[(NEWLINK, link(2, "eth0", &[])), told(1, false), told(2, true), told(3, false)]);
    let order = |mirror: &mut Mirror| -> Vec<u8> {
        let host = mirror.compose().0;
        let last = |addr: &std::net::IpAddr| match addr {
            std::net::IpAddr::V4(addr) => Ipv4Addr::octets(addr)[3],
            std::net::IpAddr::V6(_) => 0,
        };
        host.link(&name("eth0")).unwrap().addresses.iter().map(|it| last(&it.ip.addr)).collect()
    };
    assert_eq!(order(&mut mirror), [1, 3, 2], "primary addresses first");
    take(&mut mirror, &[(libc::RTM_DELADDR, address(2, [10, 0, 0, 1])), told(2, false)]);
    assert_eq!(order(&mut mirror), [3, 2], "promoted");
}

#[test]
fn a_class_takes_its_discipline_along() {
    let message = |handle: u32, parent: u32, kind: &str| {
        let words = [3, handle, parent, 0].iter().flat_map(|it: &u32| it.to_ne_bytes()).collect();
        [vec![0; 4], words, text(1, kind)].concat()
    };
    let new = |handle, parent, kind| (libc::RTM_NEWQDISC, message(handle, parent, kind));
    let mut mirror = mirror(&[
        (NEWLINK, link(3, "a", &[])),
        new(0x2_0000, u32::MAX, "htb"),
        new(0x30_0000, 0x2_0001, "prio"),
        new(0x40_0000, 0x30_0001, "pfifo"),
        new(0x50_0000, 0x2_0002, "pfifo"),
    ]);
    take(&mut mirror, &[(libc::RTM_DELTCLASS, message(0x2_0001, 0x2_0000, "htb"))]);
    let host = mirror.compose().0;
    let left: Vec<_> = host.link(&name("a")).unwrap().details.qdiscs.iter().map(|it| it.handle).collect();
    assert_eq!(left, [0x50_0000, 0x2_0000]);
}

#[test]
fn a_slave_that_its_bond_set_free_is_asked_for() {
    let free = || link(3, "a", &[]);
    let bond = |more: &[Vec<u8>]| link(9, "bond0", &[&[kind("bond", &[attribute(1, &[1])])], more].concat());
    let mut mirror = mirror(&[(NEWLINK, bond(&[])), (NEWLINK, link(3, "a", &[slave_of(9)]))]);
    take(&mut mirror, &[(NEWLINK, free()), (DELLINK, bond(&[]))]);
    assert!(mirror.take_wants().links.contains(&3), "its MTU comes back in silence");
    take(&mut mirror, &[(NEWLINK, free())]);
    assert!(!mirror.is_wanting(), "once is enough: {:?}", mirror.take_wants());
}

#[test]
fn a_bond_without_slaves_is_asked_for() {
    let bond = || link(9, "bond0", &[kind("bond", &[attribute(1, &[1])])]);
    let mut mirror = mirror(&[(NEWLINK, bond())]);
    take(&mut mirror, &[(NEWLINK, bond())]);
    assert!(mirror.take_wants().links.contains(&9), "it may have turned a slave away");
    take(&mut mirror, &[(NEWLINK, link(3, "a", &[slave_of(9)]))]);
    mirror.take_wants();
    take(&mut mirror, &[(NEWLINK, bond())]);
    assert!(!mirror.is_wanting(), "it has one: {:?}", mirror.take_wants());
}

#[test]
fn what_lacp_learns_is_taken_where_it_is_new() {
    let bond = link(9, "bond0", &[kind("bond", &[attribute(1, &[4])])]);
    let slave = |partner: u8| {
        let data = [attribute(1, &[0]), attribute(7, &[63]), attribute(8, &[partner, 0])].concat();
        let info = [text(4, "bond"), attribute(5, &data)].concat();
        link(3, "a", &[number(libc::IFLA_MASTER, 9), attribute(libc::IFLA_LINKINFO, &info)])
    };
    let other = link(8, "bond1", &[kind("bond", &[attribute(1, &[1])])]);
    let mut mirror =
        mirror(&[(NEWLINK, bond), (NEWLINK, slave(15)), (NEWLINK, other), (NEWLINK, link(4, "b", &[slave_of(8)]))]);
    assert_eq!(mirror.lacp().into_iter().collect::<Vec<_>>(), [3, 9], "active-backup is no LACP");
    mirror.compose();
    let head = |partner| Head::read(&slave(partner), &Rule).unwrap();
    mirror.learn_lacp(head(15));
    assert!(!mirror.is_stale(), "nothing new");
    mirror.learn_lacp(head(63));
    let host = mirror.compose().0;
    let Some(Port::Bond(port)) = &host.link(&name("a")).unwrap().details.port else { panic!("no slave") };
    assert_eq!(port.partner, Some(63));
}

/// Hardware in this place, with virtual functions as an answer tells them, or without as an event does.
fn hardware(index: u32, it: &str, place: &str, more: &[Vec<u8>]) -> Vec<u8> {
    link(index, it, &[&[text(56, place)], more].concat())
}

#[test]
fn virtual_functions_that_come_later_are_asked_for() {
    let port = |more: &[Vec<u8>]| hardware(2, "eth0", "0000:3b:00.0", more);
    let mut mirror = mirror(&[
        (NEWLINK, port(&[])),
        (NEWLINK, hardware(3, "eth1", "0000:3b:02.0", &[])),
        (NEWLINK, link(4, "br0", &[kind("bridge", &[])])),
    ]);
    let wanted = |mirror: &mut Mirror, event: (u16, Vec<u8>)| {
        take(mirror, &[event]);
        mirror.take_wants().links
    };
    // As ever, no more than the event: of what is no hardware, and of hardware with other news.
    assert_eq!(wanted(&mut mirror, (NEWLINK, link(4, "br0", &[kind("bridge", &[])]))), [].into());
    assert_eq!(wanted(&mut mirror, (NEWLINK, port(&[number(libc::IFLA_GROUP, 3)]))), [].into());
    assert_eq!(wanted(&mut mirror, (NEWLINK, link(5, "veth0", &[kind("veth", &[])]))), [].into());
    // Somebody gave a function an address, say: nothing in the event tells it.
    assert_eq!(wanted(&mut mirror, (NEWLINK, port(&[number(libc::IFLA_GROUP, 3)]))), [2].into());
    // One appears as a nic, and goes.
    assert_eq!(wanted(&mut mirror, (NEWLINK, hardware(6, "eth0v0", "0000:3b:10.1", &[]))), [2].into());
    assert_eq!(wanted(&mut mirror, (DELLINK, hardware(6, "eth0v0", "0000:3b:10.1", &[]))), [2].into());
    // The answer is taken, and asks for nothing.
    let vf = attribute(1, &attribute(2, &[0, 7, 0].map(u32::to_ne_bytes).concat()));
    let mut dump = Dump::new(&Rule);
    dump.take(NEWLINK, &port(&[attribute(libc::IFLA_VFINFO_LIST, &vf)]));
    mirror.refresh(dump, &BTreeSet::new());
    assert!(!mirror.is_wanting());
    assert_eq!(mirror.compose().0.link(&name("eth0")).unwrap().details.vfs.len(), 1);
}

/// A bridge with a forward delay of 15 s; its tree changes or not.
fn tree(changing: u8, ageing: u32, delay: u32) -> Vec<u8> {
    let data = [number(1, delay), number(4, ageing), number(5, 1), attribute(14, &[changing])];
    link(4, "br0", &[kind("bridge", &data)])
}

#[test]
fn a_changing_tree_is_no_change_of_the_ageing_time() {
    let ageing = |mirror: &mut Mirror| match &mirror.compose().0.link(&name("br0")).unwrap().kind {
        SeenKind::Bridge { options, .. } => (options.get("ageing_time"), options.clone()),
        other => panic!("{other:?}"),
    };
    let mut known = mirror(&[(NEWLINK, tree(0, 30_000, 1500))]);
    for (event, expected) in [
        (tree(1, 3000, 1500), 30_000),
        (tree(1, 3000, 200), 30_000),
        (tree(0, 30_000, 200), 30_000),
        (tree(1, 400, 200), 30_000),
        // Somebody sets one while it changes.
        (tree(1, 5000, 200), 5000),
        (tree(1, 5000, 300), 5000),
        (tree(0, 5000, 300), 5000),
        (tree(0, 600, 300), 600),
    ] {
        take(&mut known, &[(NEWLINK, event)]);
        assert_eq!(ageing(&mut known).0, Some(expected));
    }
    // Who has not known it before says nothing of it, and nothing is written for it.
    let mut new = mirror(&[(NEWLINK, tree(1, 3000, 1500))]);
    let (told, seen) = ageing(&mut new);
    let mut wished = vdsm_model::bridge_options::BridgeOptions::default();
    wished.set("ageing_time", 30_000);
    assert!(told.is_none() && wished.met_by(&seen) && wished.changes_from(&seen).is_empty());
    take(&mut new, &[(NEWLINK, tree(0, 30_000, 1500))]);
    assert_eq!(ageing(&mut new).0, Some(30_000));
    // A reading anew remembers.
    let mut dump = Dump::new(&Rule);
    dump.take(NEWLINK, &tree(1, 3000, 1500));
    let mut afresh = Mirror::of(dump, false);
    afresh.keep_untold(&known);
    afresh.compose();
    assert_eq!(ageing(&mut known).0, Some(600));
    let told = afresh.info.link(&name("br0")).unwrap().kind.clone();
    let SeenKind::Bridge { options, .. } = told else { panic!("no bridge") };
    assert_eq!(options.get("ageing_time"), Some(600));
}
