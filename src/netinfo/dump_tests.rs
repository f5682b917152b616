//! Messages made by hand, whole and broken. What a kernel really sends is in `kernel_tests.rs`.

use proptest::prelude::*;
use vdsm_model::bond_options::BondMode;
use vdsm_model::netinfo::{NetInfo, SeenKind};
use vdsm_model::units::Mac;

use super::super::messages::{attribute, kind, link, number, route_message, text};
use super::super::mirror::Mirror;
use super::*;

struct Rule;

impl NicRule for Rule {
    fn is_fake(&self, name: &str) -> bool {
        name.starts_with("dummy_")
    }

    fn is_hidden(&self, name: &str) -> bool {
        name.ends_with('w')
    }
}

fn vlan(tag: u16, protocol: u16) -> Vec<u8> {
    let tag = attribute(1, &tag.to_ne_bytes());
    kind("vlan", &[tag, attribute(5, &protocol.to_be_bytes())])
}

fn slave(bond: u32) -> [Vec<u8>; 2] {
    let data = [attribute(4, &[2, 0, 0, 0, 0, 9]), attribute(6, &[3, 0])].concat();
    let info = [text(4, "bond"), attribute(5, &data)].concat();
    [number(libc::IFLA_MASTER, bond), attribute(libc::IFLA_LINKINFO, &info)]
}

fn host(messages: &[(u16, Vec<u8>)]) -> NetInfo {
    let mut dump = Dump::new(&Rule);
    for (kind, payload) in messages {
        dump.take(*kind, payload);
    }
    Mirror::of(dump, true).compose().0
}

fn links(messages: &[Vec<u8>]) -> NetInfo {
    let messages: Vec<_> = messages.iter().map(|m| (libc::RTM_NEWLINK, m.clone())).collect();
    host(&messages)
}

fn name(text: &str) -> DeviceName {
    DeviceName::try_from(text).unwrap()
}

#[test]
fn names_are_found_wherever_in_the_dump_they_stand() {
    let bond = [
        attribute(1, &[1]),
        number(2, 9),
        number(3, 100),
        number(11, 9),
        attribute(23, &[attribute(1, &[3, 0]), attribute(5, &[1; 6])].concat()),
    ];
    let host = links(&[
        link(3, "v.7", &[number(libc::IFLA_LINK, 4), vlan(7, 0x8100)]),
        link(4, "bond0", &[kind("bond", &bond), number(libc::IFLA_MASTER, 12)]),
        link(9, "eth0", &slave(4)),
        link(12, "br0", &[kind("bridge", &[])]),
    ]);
    let seen = |n: &str| host.link(&name(n)).unwrap();
    let SeenKind::Bond { options, active, lacp } = &seen("bond0").kind else { panic!("no bond") };
    assert_eq!(options.mode(), BondMode::ActiveBackup);
    assert_eq!(options.canonical(), "mode=1 miimon=100 primary=eth0");
    assert_eq!((*active, *lacp), (Some(name("eth0")), Some((3, Mac([1; 6])))));
    assert_eq!(seen("bond0").master, Some(name("br0")));
    assert_eq!(seen("eth0").master, Some(name("bond0")));
    assert_eq!(seen("eth0").permanent_mac, Some(Mac([2, 0, 0, 0, 0, 9])));
    assert_eq!(seen("eth0").aggregator, Some(3));
    assert!(
        matches!(seen("v.7").kind, SeenKind::Vlan { tag, device } if tag.get() == 7 && device == Some(name("bond0")))
    );
    assert_eq!(host.name_of(12), Some(name("br0")));
}

#[test]
fn a_slave_has_a_permanent_mac_and_nobody_else() {
    let odd = [text(4, "bond"), attribute(5, &attribute(4, &[1; 20]))].concat();
    let port = attribute(libc::IFLA_LINKINFO, &text(4, "bridge"));
    let host = links(&[
        link(1, "ib0", &[attribute(libc::IFLA_LINKINFO, &odd)]),
        link(2, "port", &[port]),
        link(3, "eth0", &[]),
    ]);
    let mac = |n: &str| host.link(&name(n)).unwrap().permanent_mac;
    assert_eq!((mac("port"), mac("eth0")), (None, None));
    assert_eq!(mac("ib0"), Some(Mac([2, 0, 0, 0, 0, 7])));
}

#[test]
fn hardware_and_what_is_let_in_are_nics() {
    for (name, info, nic, word) in [
        ("eth0", None, true, "nic"),
        ("ethw", None, false, "nic"),
        ("dummy_1", Some("dummy"), true, "nic"),
        ("dummy_w", Some("dummy"), false, "nic"),
        ("dummy1", Some("dummy"), false, "dummy"),
        ("dummy_2", Some("bond"), false, "bond"),
        ("dummy_3", Some("bridge"), false, "bridge"),
        ("dummy_4", Some("tun"), true, "tap"),
        ("dummy_5", Some("team"), false, "team"),
        ("dummy_6", Some("veth"), true, "nic"),
        ("dummy_7", Some("macvlan"), true, "nic"),
        ("dummy_8", Some("ifb"), true, "nic"),
        ("vnet0", Some("tun"), false, "tap"),
        ("veth0", Some("veth"), false, "veth"),
    ] {
        let info: Vec<_> = info.iter().map(|info| kind(info, &[])).collect();
        let host = links(&[link(5, name, &info)]);
        let seen = host.links().next().unwrap();
        assert_eq!((seen.nic, seen.kind.word()), (nic, word), "{name}");
    }
    let mut loopback = link(1, "lo", &[]);
    loopback[2..4].copy_from_slice(&772_u16.to_ne_bytes());
    loopback[8] |= 8;
    let host = links(&[loopback]);
    let seen = host.links().next().unwrap();
    assert_eq!((seen.nic, seen.kind.word()), (false, "loopback"));
}

#[test]
fn only_a_customer_vlan_is_a_vlan() {
    let host = links(&[
        link(1, "c", &[number(libc::IFLA_LINK, 9), vlan(5, 0x8100), number(libc::IFLA_LINK_NETNSID, 0)]),
        link(2, "s", &[vlan(5, 0x88a8)]),
        link(3, "b", &[vlan(4095, 0x8100)]),
        link(9, "base", &[]),
    ]);
    let word = |n: &str| host.link(&name(n)).unwrap().kind.word().to_owned();
    assert_eq!([word("c"), word("s"), word("b")], ["vlan", "802.1ad vlan", "vlan"]);
    // Index 9 of another namespace is not ours.
    assert!(matches!(host.link(&name("c")).unwrap().kind, SeenKind::Vlan { device: None, .. }));
}

#[test]
fn names_we_refuse_and_bridge_tables_are_passed_over() {
    let mut table = link(1, "eth0", &[]);
    table[0] = 7;
    let host = links(&[table, link(2, "a%d", &[]), link(3, "", &[]), link(4, "eth1", &[])]);
    assert_eq!(host.links().map(|l| l.index).collect::<Vec<_>>(), [4]);
}

#[test]
fn a_link_runs_when_its_state_or_else_its_carrier_says_so() {
    for (operstate, lower_up, running) in [(6, 0, true), (0, 1, true), (0, 0, false), (2, 1, false), (5, 1, false)] {
        let mut message = link(1, "eth0", &[attribute(libc::IFLA_OPERSTATE, &[operstate])]);
        message[10] = lower_up;
        assert_eq!(links(&[message]).links().next().unwrap().running, running, "{operstate} {lower_up}");
    }
}

#[test]
fn an_interrupted_reading_leaves_nothing_behind() {
    let mut dump = Dump::new(&Rule);
    dump.take(libc::RTM_NEWLINK, &link(1, "eth0", &[]));
    let mark = dump.mark();
    dump.take(libc::RTM_NEWLINK, &link(2, "eth1", &[]));
    dump.take(libc::RTM_NEWADDR, &[&[2, 24, 0, 0, 1, 0, 0, 0][..], &attribute(2, &[10, 0, 0, 1])].concat());
    dump.back_to(&mark);
    let host = Mirror::of(dump, true).compose().0;
    assert_eq!(host.links().count(), 1);
    assert!(host.link(&name("eth0")).unwrap().addresses.is_empty());
}

#[test]
fn no_cut_makes_it_panic() {
    let bond = kind("bond", &[attribute(1, &[4]), number(11, 9), attribute(8, &attribute(0, &[1; 4]))]);
    let spec = attribute(libc::IFLA_AF_SPEC, &attribute(10, &attribute(2, &[1; 27 * 4])));
    let message = link(4, "bond0", &[slave(9).concat(), spec, number(libc::IFLA_LINK, 9), bond]);
    assert_eq!(links(std::slice::from_ref(&message)).links().next().unwrap().ipv6_disabled, Some(true));
    for length in 0..message.len() {
        links(&[message[..length].to_vec()]);
    }
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(messages in prop::collection::vec((16..26_u16, prop::collection::vec(any::<u8>(), 0..200)), 0..8)) {
        host(&messages);
    }

    /// Attributes that are whole get farther in than mere noise.
    #[test]
    fn no_attributes_make_it_panic(
        index in 0..4_u32,
        attributes in prop::collection::vec((0..40_u16, prop::collection::vec(any::<u8>(), 0..40)), 0..20),
        info in prop::collection::vec((0..8_u16, prop::collection::vec(any::<u8>(), 0..60)), 0..6),
        family in prop::sample::select(vec![0_u8, 2, 10]),
        sort in prop::sample::select(vec!["bond", "bridge", "vlan", "tun"]),
    ) {
        let build = |list: &[(u16, Vec<u8>)]| list.iter().flat_map(|(k, v)| attribute(*k, v)).collect::<Vec<_>>();
        let info = [text(libc::IFLA_INFO_KIND, sort), build(&info)].concat();
        let body = build(&attributes);
        let message = link(index, "x", &[body.clone(), attribute(libc::IFLA_LINKINFO, &info)]);
        let address = [&[family, 24, 0, 0, 1, 0, 0, 0][..], &body].concat();
        let route = route_message([family, 24, 0, 0, 254, 4, 0, 1], 0, &[body]);
        host(&[(libc::RTM_NEWLINK, message), (libc::RTM_NEWADDR, address), (libc::RTM_NEWROUTE, route)]);
    }
}
