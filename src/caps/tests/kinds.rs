//! What single kinds of devices tell: speeds, gateways that nobody configured, limits, odd names.

use std::sync::Arc;

use vdsm_model::device::Adverts;
use vdsm_model::ip::{Route, STATIC};
use vdsm_model::netinfo::{Details, Vf};

use super::*;

/// `RTPROT_RA` and `RTPROT_DHCP` of linux/rtnetlink.h.
const RA: u8 = 9;
const DHCP: u8 = 16;

fn running_at(speed: u32, link: SeenLink) -> SeenLink {
    SeenLink { details: Arc::new(Details { speed: Some(speed), ..Details::default() }), ..link }
}

fn with_mac(mac: u8, link: SeenLink) -> SeenLink {
    SeenLink { mac: Some(Mac([2, 0, 0, 0, 0, mac])), ..link }
}

#[test]
fn a_bond_is_as_fast_as_the_slaves_that_send() {
    for (mode, active, speed) in [
        (0, None, 11_000),
        (1, Some("eth1"), 1000),
        (1, Some("eth0"), 10_000),
        (1, Some("eth2"), 0),
        (1, None, 0),
        (2, None, 11_000),
        // There every slave sends the same, and the original looks for an active one.
        (3, None, 0),
        (4, None, 11_000),
        (5, Some("eth1"), 11_000),
        (6, Some("eth1"), 11_000),
    ] {
        let options = BondOptions::parse(&format!("mode={mode}")).unwrap();
        let bond0 = link("bond0", SeenKind::Bond { options, active: active.map(name), lacp: None });
        let slaves = [
            running_at(10_000, link("eth0", SeenKind::Nic)),
            running_at(1000, link("eth1", SeenKind::Nic)),
            link("eth2", SeenKind::Nic),
        ];
        let report = caps(slaves.into_iter().map(|slave| port("bond0", slave)).chain([bond0]), []);
        assert_eq!(report["bondings"]["bond0"]["speed"], json!(speed), "mode {mode}, active {active:?}");
        assert_eq!(report["bondings"]["bond0"]["active_slave"], json!(active.unwrap_or("")));
        let speeds = ["eth0", "eth1", "eth2"].map(|nic| report["nics"][nic]["speed"].clone());
        assert_eq!(speeds, [10_000, 1000, 0].map(|speed| json!(speed)));
    }
}

#[test]
fn a_slave_that_is_a_vlan_is_as_fast_as_what_it_stands_on() {
    let links = [
        running_at(10_000, link("eth0", SeenKind::Nic)),
        port("bond0", vlan("eth0.7", "eth0", 7)),
        port("bond0", vlan("gone.7", "gone", 7)),
        bond("bond0", "mode=0", None),
    ];
    assert_eq!(caps(links, [])["bondings"]["bond0"]["speed"], json!(10_000));
    // A picture put together of two moments may have a circle in it.
    let links = [vlan("a", "bond0", 7), bond("bond0", "mode=0", None)];
    assert_eq!(caps(links.map(|it| port("bond0", it)), [])["bondings"]["bond0"]["speed"], json!(0));
}

#[test]
fn gateways_of_routers_and_dhcp_are_told_and_the_main_tables_come_first() {
    let gateways = |routes: &[Route], made: &[Route]| {
        let eth0 = SeenLink { routes: routes.to_vec(), made_routes: made.to_vec(), ..link("eth0", SeenKind::Nic) };
        let report = caps([eth0], []);
        ["gateway", "ipv4defaultroute", "ipv6gateway"]
            .map(|key| report["nics"]["eth0"][key].to_string().replace('"', ""))
            .join(" ")
    };
    let by = |protocol, route| Route { protocol, ..route };
    assert_eq!(gateways(&[], &[by(RA, via("fe80::1", MAIN_TABLE))]), " false fe80::1");
    assert_eq!(gateways(&[by(DHCP, via("10.0.0.1", MAIN_TABLE))], &[]), "10.0.0.1 true ::");
    assert_eq!(gateways(&[by(DHCP, via("10.0.0.1", 77))], &[]), "10.0.0.1 false ::");
    let ours = by(STATIC, via("fe80::9", 77));
    assert_eq!(gateways(&[ours], &[by(RA, via("fe80::1", MAIN_TABLE))]), " false fe80::1");
    let cheap = Route { metric: 1, ..by(STATIC, via("fe80::9", MAIN_TABLE)) };
    assert_eq!(gateways(&[cheap], &[by(RA, via("fe80::1", MAIN_TABLE))]), " false fe80::9");
}

#[test]
fn a_virtual_function_in_a_vms_hands_is_not_told() {
    let macvtap = |mac| with_mac(mac, link("macvtap0", SeenKind::Other("macvtap".into())));
    let functions = |macs: &[u8]| {
        let vfs = macs.iter().map(|mac| Vf { mac: Some(Mac([2, 0, 0, 0, 0, *mac])), ..Vf::default() });
        let vfs = vfs.chain([Vf { mac: Some(Mac([0; 6])), ..Vf::default() }]).collect();
        SeenLink { details: Arc::new(Details { vfs, ..Details::default() }), ..with_mac(1, link("pf", SeenKind::Nic)) }
    };
    let vf = |number: u8, mac| with_mac(mac, link(&format!("vf{number}"), SeenKind::Nic));
    let no_address = SeenLink { mac: Some(Mac([0; 6])), ..link("enic0", SeenKind::Nic) };
    let told = |pf: &[u8], tap| names(&caps([functions(pf), vf(0, 10), vf(1, 11), macvtap(tap)], [])["nics"]).join(" ");
    assert_eq!(told(&[10, 11], 10), "pf vf1");
    assert_eq!(told(&[10, 11], 12), "pf vf0 vf1");
    // A nic that is passed through as a whole is no virtual function.
    assert_eq!(told(&[10, 11], 1), "pf vf0 vf1");
    assert_eq!(told(&[], 10), "pf vf0 vf1");
    // Those without an address of their own are not mistaken for one another.
    let taps = SeenLink { mac: Some(Mac([0; 6])), ..macvtap(0) };
    assert_eq!(names(&caps([functions(&[10]), no_address, taps], [])["nics"]), ["enic0", "pf"]);
}

#[test]
fn limits_are_told_as_the_kernel_has_them_with_the_zeros_nobody_wrote() {
    let stored = json!({
        "nic": "eth0", "bridged": false, "switch": "legacy", "qosInbound": { "average": 512 },
        "hostQos": { "out": { "ls": { "m2": "5000000" }, "ul": { "m1": 8, "d": 2, "m2": 23 } } },
    });
    let nets = Stored::from([("n".to_owned(), stored)]);
    let (running, problems) = NetConfig::from_stored(&nets, &Stored::new());
    assert_eq!(problems, []);
    let wish = running.networks.values().filter_map(|net| Some((net.vlan, net.host_qos?)));
    let shaper = Shaper::of(wish.chain([(VlanTag::new(0), Curves::default())])).map(Arc::new);
    let seen = NetInfo::new([SeenLink { shaper, ..link("eth0", SeenKind::Nic) }], true);
    let report = told(&seen, &running, &About::default());
    let n = &report["networks"]["n"];
    let curves = json!({ "ls": { "d": 0, "m1": 0, "m2": 5_000_000 }, "ul": { "d": 2, "m1": 8, "m2": 16 } });
    assert_eq!((&n["hostQos"], &n["qosInbound"]), (&json!({ "out": curves.clone() }), &json!({ "average": 512 })));
    let all = json!([{ "hostQos": { "out": curves }, "vlan": -1 }, { "hostQos": { "out": {} }, "vlan": 0 }]);
    assert_eq!((n.get("qosOutbound"), &report["nics"]["eth0"]["qos"]), (None, &all));
    // What the kernel does not have is not told, whatever is configured.
    let report = told(&NetInfo::new([link("eth0", SeenKind::Nic)], true), &running, &About::default());
    assert_eq!((report["networks"]["n"].get("hostQos"), report["nics"]["eth0"].get("qos")), (None, None));
}

#[test]
fn slaves_and_ports_are_told_in_natural_order() {
    let ports = |names: [&str; 3], master| names.map(|text| port(master, link(text, SeenKind::Nic)));
    let (slaves, taps) = (ports(["eth10", "eth9", "eth1"], "bond0"), ports(["tap2", "tap10", "tap1"], "br"));
    let report = caps(slaves.into_iter().chain(taps).chain([bond("bond0", "", None), bridge("br", "")]), []);
    assert_eq!(report["bondings"]["bond0"]["slaves"], json!(["eth1", "eth9", "eth10"]));
    assert_eq!(report["bridges"]["br"]["ports"], json!(["tap1", "tap2", "tap10"]));
}

#[test]
fn a_slave_tells_its_own_address() {
    let own = Some(Mac([2, 0, 0, 0, 0, 7]));
    let slave = SeenLink { permanent_mac: own, aggregator: Some(3), ..with_mac(1, link("eth0", SeenKind::Nic)) };
    let report = caps([port("bond0", slave), bond("bond0", "mode=4", Some((3, Mac([9; 6]))))], []);
    let (eth0, bond0) = (&report["nics"]["eth0"], &report["bondings"]["bond0"]);
    assert_eq!((&eth0["hwaddr"], &eth0["permhwaddr"]), (&json!("02:00:00:00:00:01"), &json!("02:00:00:00:00:07")));
    assert_eq!((&eth0["ad_aggregator_id"], &bond0["ad_aggregator_id"]), (&json!("3"), &json!("3")));
    assert_eq!(bond0["ad_partner_mac"], json!("09:09:09:09:09:09"));
}

#[test]
fn ipv6_autoconfiguration_needs_ipv6() {
    let (on, router_only) = (Adverts::heard(true, false), Adverts::heard(false, true));
    let deaf = Adverts { accept: 0, ..on };
    for (disabled, adverts, told) in [
        (Some(false), Some(on), true),
        (Some(false), Some(router_only), false),
        (Some(false), Some(deaf), false),
        (Some(true), Some(on), false),
        (None, Some(on), false),
        (None, None, false),
    ] {
        let eth0 = SeenLink { ipv6_disabled: disabled, adverts, ..link("eth0", SeenKind::Nic) };
        assert_eq!(caps([eth0], [])["nics"]["eth0"]["ipv6autoconf"], json!(told));
    }
}

#[test]
fn odd_names_do_not_break_the_report() {
    let odd = ["a\"b", "c\\d", "\u{e9}\u{1f980}", "{", "}", "\\"];
    let links = odd.map(|text| port("\"", link(text, SeenKind::Nic)));
    let (network, config) = network("n\"\\", Base::Nic(name("a\"b")), -1, false);
    let report = caps(links.into_iter().chain([bond("\"", "mode=0", None)]), [(network, config)]);
    let mut sorted = odd;
    sorted.sort_unstable();
    assert_eq!(names(&report["nics"]), sorted);
    assert_eq!(report["bondings"]["\""]["slaves"].as_array().unwrap().len(), odd.len());
    assert_eq!(report["networks"]["n\"\\"]["iface"], json!("a\"b"));
}
