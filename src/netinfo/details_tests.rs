//! Details of links made by hand: what the kernel's structures hold, and what is too short for them.
//!
//! The layouts are those of linux/if_link.h; virtual functions can be had on hardware only, so
//! that nothing but these bytes stands for them.

use proptest::prelude::*;
use vdsm_model::units::Mac;

use super::super::NicRule;
use super::super::link::Head;
use super::super::messages::{attribute, kind, link, number, text};
use super::*;

struct Rule;

impl NicRule for Rule {
    fn is_fake(&self, _: &str) -> bool {
        false
    }

    fn is_hidden(&self, _: &str) -> bool {
        false
    }
}

fn details_of(more: &[Vec<u8>]) -> Details {
    let head = Head::read(&link(7, "it", more), &Rule).unwrap();
    (*head.link.details).clone()
}

fn words(all: &[u32]) -> Vec<u8> {
    all.iter().flat_map(|word| word.to_ne_bytes()).collect()
}

/// A function as `rtnl_fill_vfinfo` of net/core/rtnetlink.c tells it, with every attribute of its.
fn function(number: u32, mac: [u8; 6], vlan: [u32; 2], rates: [u32; 2], switches: [u32; 3]) -> Vec<u8> {
    let [spoof_check, link_state, trust] = switches;
    let mut hardware = [0; 32];
    hardware[..6].copy_from_slice(&mac);
    let of = |kind: u16, rest: &[u32]| attribute(kind, &words(&[&[number], rest].concat()));
    // A VLAN's protocol is in network byte order.
    let in_list = [words(&[number]), words(&vlan), vec![0x81, 0, 0, 0]].concat();
    let counters = [attribute(0, &[0xaa; 8]), attribute(1, &[0xbb; 8])].concat();
    let all = [
        attribute(1, &[&words(&[number])[..], &hardware].concat()),
        // No number before the broadcast address.
        attribute(13, &[0xff; 32]),
        of(2, &vlan),
        of(6, &rates),
        of(3, &[rates[1]]),
        of(4, &[spoof_check]),
        of(5, &[link_state]),
        of(7, &[0]),
        of(9, &[trust]),
        attribute(12, &attribute(1, &in_list)),
        attribute(8, &counters),
    ];
    attribute(1, &all.concat())
}

#[test]
fn virtual_functions_are_told_by_their_number() {
    let list = [
        function(0, [2, 0, 0, 0, 0, 1], [100, 3], [0, 1000], [1, 0, 0]),
        function(5, [0; 6], [0, 0], [200, 0], [u32::MAX, 2, u32::MAX]),
    ];
    let first = Vf {
        number: 0,
        mac: Some(Mac([2, 0, 0, 0, 0, 1])),
        vlan: VlanTag::new(100),
        qos: 3,
        max_rate: 1000,
        min_rate: 0,
        spoof_check: Some(true),
        link_state: 0,
        trust: Some(false),
    };
    let second = Vf {
        number: 5,
        mac: Some(Mac([0; 6])),
        vlan: None,
        qos: 0,
        max_rate: 0,
        min_rate: 200,
        spoof_check: None,
        link_state: 2,
        trust: None,
    };
    assert_eq!(details_of(&[attribute(libc::IFLA_VFINFO_LIST, &list.concat())]).vfs, [first, second]);
    assert_eq!(details_of(&[]).vfs, []);
}

#[test]
fn an_older_drivers_short_words_are_passed_over() {
    // Before 3.1 there was no rate, before 4.4 no trust; and a driver's bug may leave out anything.
    let old = attribute(1, &attribute(2, &words(&[3, 7, 0])));
    let cut = attribute(1, &[attribute(2, &words(&[4])), attribute(4, &[1, 0])].concat());
    let vfs = vfs(&[old, cut].concat());
    assert_eq!(vfs[0], Vf { number: 3, vlan: VlanTag::new(7), ..Vf::default() });
    assert_eq!(vfs[1], Vf { number: 4, ..Vf::default() });
    // A tag that no VLAN can have.
    assert_eq!(super::vfs(&attribute(1, &attribute(2, &words(&[3, 70000, 0]))))[0].vlan, None);
}

#[test]
fn the_hardwares_own_address_is_told_where_there_is_one() {
    let with = |value: &[u8]| details_of(&[attribute(IFLA_PERM_ADDRESS, value)]).hardware;
    assert_eq!(with(&[2, 0, 0, 0, 0, 9]), Some(Mac([2, 0, 0, 0, 0, 9])));
    assert_eq!(with(&[0; 6]), None);
    assert_eq!(with(&[2; 20]), None, "InfiniBand");
}

#[test]
fn a_tap_tells_its_owner() {
    let own = |data: &[Vec<u8>]| details_of(&[kind("tun", data)]).driver;
    let byte = |number: u16, value: u8| attribute(number, &[value]);
    let whole = [number(1, 4242), byte(3, 2), byte(6, 1), byte(7, 1)];
    assert_eq!(own(&whole), Driver::Tun { tap: true, persist: true, multi_queue: true, owner: Some(4242) });
    let plain = [byte(3, 1), byte(6, 0), byte(7, 0)];
    assert_eq!(own(&plain), Driver::Tun { tap: false, persist: false, multi_queue: false, owner: None });
    let short = [attribute(1, &[1, 2]), attribute(3, &[])];
    assert_eq!(own(&short), Driver::Tun { tap: false, persist: false, multi_queue: false, owner: None });
}

#[test]
fn a_macvlan_tells_its_mode() {
    for (number_of_mode, word) in [(1, "private"), (2, "vepa"), (4, "bridge"), (8, "passthru"), (16, "source")] {
        for driver in ["macvlan", "macvtap"] {
            let told = details_of(&[kind(driver, &[number(1, number_of_mode)])]).driver;
            assert_eq!(told, Driver::Macvlan { mode: number_of_mode });
            assert_eq!(Driver::macvlan_mode(number_of_mode), word);
        }
    }
    assert_eq!(details_of(&[kind("macvlan", &[])]).driver, Driver::Macvlan { mode: 0 });
    assert_eq!(details_of(&[kind("veth", &[])]).driver, Driver::Veth { peer: None });
    assert_eq!(details_of(&[kind("team", &[])]).driver, Driver::Team(Team::default()));
    assert_eq!(details_of(&[kind("dummy", &[])]).driver, Driver::Silent);
}

/// A port of a master of that kind.
fn port_of(kind: &str, data: &[Vec<u8>]) -> Option<Port> {
    let info = [text(4, kind), attribute(5 | 0x8000, &data.concat())].concat();
    details_of(&[number(libc::IFLA_MASTER, 9), attribute(libc::IFLA_LINKINFO, &info)]).port
}

#[test]
fn a_bridges_port_tells_its_state_and_every_switch() {
    for (switch, word) in BRIDGE_PORT_SWITCHES {
        let data = [attribute(1, &[3]), attribute(2, &[32, 0]), number(3, 100), attribute(switch, &[1])];
        let Some(Port::Bridge(port)) = port_of("bridge", &data) else { panic!("no port") };
        assert_eq!((port.word(), port.priority, port.cost), ("forwarding", 32, 100), "{word}");
        assert!(BRIDGE_PORT_SWITCHES.iter().all(|(it, _)| port.is_on(*it) == (*it == switch)), "{word}");
        let off = port_of("bridge", &[attribute(switch, &[0])]);
        assert_eq!(off, Some(Port::Bridge(BridgePort::default())), "{word}");
    }
    // What is no switch, and what is too long or too short for one.
    let odd = [attribute(4, &[1, 1]), attribute(5, &[]), attribute(10, &[1]), attribute(300, &[1]), attribute(3, &[1])];
    assert_eq!(port_of("bridge", &odd), Some(Port::Bridge(BridgePort::default())));
    let state = |number: u8| BridgePort { state: number, ..BridgePort::default() }.word();
    assert_eq!([0, 1, 2, 3, 4, 5].map(state), ["disabled", "listening", "learning", "forwarding", "blocking", ""]);
}

#[test]
fn a_bonds_slave_tells_how_it_stands() {
    let data = [
        attribute(1, &[1]),
        attribute(2, &[2]),
        number(3, 70000),
        attribute(4, &[2, 0, 0, 0, 0, 9]),
        attribute(5, &[7, 0]),
        attribute(6, &[3, 0]),
        attribute(7, &[61]),
        attribute(8, &[63, 1]),
    ];
    let told = BondPort { active: false, mii: 2, failures: 70000, queue: 7, actor: Some(61), partner: Some(0x13f) };
    assert_eq!(port_of("bond", &data), Some(Port::Bond(told)));
    let active = BondPort { active: true, ..BondPort::default() };
    assert_eq!(port_of("bond", &[attribute(1, &[0])]), Some(Port::Bond(active)));
    // Without LACP, and without anything.
    assert_eq!(port_of("bond", &[attribute(3, &[1])]), Some(Port::Bond(BondPort::default())));
    assert_eq!(port_of("team", &[]), Some(Port::Team(TeamPort::default())));
    assert_eq!(port_of("vrf", &[]), Some(Port::Other("vrf".to_owned())));
}

#[test]
fn the_operational_state_has_a_word() {
    let state = |number: u8| details_of(&[attribute(libc::IFLA_OPERSTATE, &[number])]).state.word();
    let words = ["unknown", "notpresent", "down", "lowerlayerdown", "testing", "dormant", "up", "unknown", "unknown"];
    assert_eq!([0, 1, 2, 3, 4, 5, 6, 7, 255].map(state), words);
}

#[test]
fn a_queueing_discipline_tells_where_it_hangs() {
    let message = |words: [u32; 4], kind: &str| {
        let header = [vec![0; 4], words.iter().flat_map(|it| it.to_ne_bytes()).collect()].concat();
        [header, text(1, kind)].concat()
    };
    let told = qdisc(&message([7, 0x10_0000, 0x1_0001, 2], "tbf"));
    assert_eq!(
        told,
        Some((7, Qdisc { parent: 0x1_0001, handle: 0x10_0000, kind: "tbf".to_owned(), default_class: None }))
    );
    let whole = message([7, 0x10_0000, u32::MAX, 2], "hfsc");
    // Up to the attribute's last letter.
    assert!((0..whole.len()).all(|length| qdisc(&whole[..length]).is_none_or(|(_, it)| it.kind == "hfsc")));
    assert_eq!(qdisc(&whole[..20]), None, "it has no kind");
}

/// Attributes with lengths that fit, mostly, and with anything in them.
fn noise() -> impl Strategy<Value = Vec<u8>> {
    let one = (0..64_u16, prop::collection::vec(any::<u8>(), 0..40)).prop_map(|(kind, value)| attribute(kind, &value));
    let some = prop::collection::vec(one, 0..8).prop_map(|all| all.concat());
    let nested = (some.clone(), 0..64_u16).prop_map(|(inner, kind)| attribute(kind, &inner));
    let sound = prop_oneof![some, nested];
    (sound, any::<prop::sample::Index>()).prop_map(|(mut bytes, cut)| {
        bytes.truncate(cut.index(bytes.len() + 1));
        bytes
    })
}

proptest! {
    #[test]
    fn bytes_without_sense_do_no_harm(noise in noise(), kind in "bridge|bond|team|tun|macvlan|veth|vlan", wild in prop::collection::vec(any::<u8>(), 0..80)) {
        for bytes in [&noise, &wild] {
            let _ = vfs(bytes);
            let _ = qdisc(bytes);
            let _ = class(bytes);
            let _ = bridge_port(bytes);
            let info = [text(1, &kind), attribute(2, bytes), text(4, &kind), attribute(5, bytes)].concat();
            let message = link(7, "it", &[attribute(libc::IFLA_LINKINFO, &info), attribute(libc::IFLA_VFINFO_LIST, bytes)]);
            let _ = Head::read(&message, &Rule);
        }
    }
}
