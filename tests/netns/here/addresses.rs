//! Addresses, IPv6 on and off, and the default route.

use serde_json::{Value, json};

use crate::ears::until;
use crate::lab::{Nics::Veth, mac, story};
use crate::look::{Look, assert_same, disable_ipv6};

#[test]
fn static_addresses_are_on_the_top_device_and_nothing_else_is_anywhere() {
    story(Veth, 1, |lab| {
        // What to ask for, and what is then there.
        let cases = [
            (json!({ "ipaddr": "10.0.0.1", "netmask": "255.255.255.0" }), vec!["10.0.0.1/24"]),
            (json!({ "ipaddr": "10.0.0.1", "prefix": "16" }), vec!["10.0.0.1/16"]),
            (
                json!({ "ipaddr": "10.0.1.2", "netmask": "254.0.0.0", "ipv6addr": "fd00::2/48" }),
                vec!["10.0.1.2/7", "fd00::2/48"],
            ),
            (json!({ "ipv6addr": "fd00::3/128" }), vec!["fd00::3/128"]),
            (json!({ "ipv6addr": "fd00:0:0::4" }), vec!["fd00::4/64"]),
            (json!({}), vec![]),
            (json!({ "ipaddr": "10.0.0.1", "prefix": 32 }), vec!["10.0.0.1/32"]),
        ];
        for bridged in [true, false] {
            for (address, wanted) in &cases {
                let mut red = json!({ "nic": "veth_0", "bridged": bridged });
                red.as_object_mut().unwrap().extend(address.as_object().unwrap().clone());
                let red = json!({ "red": red });
                lab.nets(red.clone());
                let now = Look::now();
                let top = if bridged { "red" } else { "veth_0" };
                assert_eq!(now.addresses(top), *wanted, "{red}");
                if bridged {
                    now.assert_no_ipv6(&["veth_0"]);
                    assert!(now.addresses("veth_0").is_empty(), "{red}");
                }
                if wanted.iter().any(|a| a.contains(':')) {
                    assert_eq!(disable_ipv6(top), "0", "{red}");
                } else {
                    now.assert_no_ipv6(&[top]);
                }
                assert!(!lab.nets(red.clone()), "{red} a second time");
            }
        }
        lab.nets(json!({ "red": { "remove": true } }));
        assert!(Look::now().addresses("veth_0").is_empty());
    });
}

fn net(nic: &str, number: u8, default: bool) -> Value {
    let mut net = json!({ "nic": nic, "ipaddr": format!("10.0.{number}.1"), "prefix": 24, "gateway": format!("10.0.{number}.254"), "ipv6addr": format!("fd00:{number}::1/64") });
    if default {
        net["ipv6gateway"] = json!(format!("fd00:{number}::fffe"));
        net["defaultRoute"] = json!(true);
    }
    net
}

#[test]
fn the_default_route_is_one_networks_and_moves_to_whoever_asks() {
    story(Veth, 3, |lab| {
        lab.nets(json!({ "a": net("veth_0", 1, true), "b": net("veth_1", 2, false) }));
        assert_eq!(Look::now().default_routes(), ["10.0.1.254 a", "fd00:1::fffe a"]);
        lab.nets(json!({ "b": net("veth_1", 2, true) }));
        assert_eq!(Look::now().default_routes(), ["10.0.2.254 b", "fd00:2::fffe b"]);
        let files = lab.running_files();
        assert_eq!((&files["nets/a"]["defaultRoute"], &files["nets/b"]["defaultRoute"]), (&json!(false), &json!(true)));
        assert_eq!(Look::now().addresses("a"), ["10.0.1.1/24", "fd00:1::1/64"]);
        lab.again(json!({ "b": net("veth_1", 2, true) }), json!({}));

        // A bridgeless one takes it too, and a stranger's goes.
        let mut c = net("veth_2", 3, true);
        c["bridged"] = json!(false);
        lab.nets(json!({ "c": c, "b": { "remove": true } }));
        assert_eq!(Look::now().default_routes(), ["10.0.3.254 veth_2", "fd00:3::fffe veth_2"]);
        lab.ip("route replace default via 10.0.1.254 dev a\n");
        lab.nets(json!({ "c": c }));
        assert_eq!(Look::now().default_routes(), ["10.0.3.254 veth_2", "fd00:3::fffe veth_2"]);
        let mut c = net("veth_2", 3, false);
        c["bridged"] = json!(false);
        lab.nets(json!({ "c": c }));
        assert!(Look::now().default_routes().is_empty());
    });
}

#[test]
fn each_network_with_a_gateway_has_its_own_table_and_rules() {
    story(Veth, 2, |lab| {
        lab.nets(json!({ "a": net("veth_0", 1, true), "b": net("veth_1", 2, false) }));
        let of = |number: u32, net: &str| {
            let table = (10 << 24) + (number << 8) + 1;
            let routes = [
                format!("10.0.{number}.0/24 via - of {net}, table {table}"),
                format!("default via 10.0.{number}.254 of {net}, table {table}"),
            ];
            let rules = [
                format!("from 10.0.{number}.0/24 to - iif -, table {table}"),
                format!("from all to 10.0.{number}.0/24 iif {net}, table {table}"),
            ];
            (routes, rules)
        };
        let both = |one: ([String; 2], [String; 2]), other: ([String; 2], [String; 2])| {
            let (mut routes, mut rules) = ([one.0, other.0].concat(), [one.1, other.1].concat());
            routes.sort();
            rules.sort();
            (routes, rules)
        };
        let told = |now: &Look| (now.source_routes(), now.source_rules());
        assert_eq!(told(&Look::now()), both(of(1, "a"), of(2, "b")));
        lab.again(json!({ "a": net("veth_0", 1, true), "b": net("veth_1", 2, false) }), json!({}));
        // A bridgeless one, with another address; nothing of the old is left.
        let mut c = net("veth_1", 3, false);
        c["bridged"] = json!(false);
        lab.nets(json!({ "b": c }));
        assert_eq!(told(&Look::now()), both(of(1, "a"), of(3, "veth_1")));
        // Whoever takes a rule away, or a device: it comes back, and nothing is there twice.
        lab.ip("rule del priority 32000 from 10.0.1.0/24 table 167772417\nlink del dev a\n");
        lab.nets(json!({ "a": net("veth_0", 1, true) }));
        assert_eq!(told(&Look::now()), both(of(1, "a"), of(3, "veth_1")));
        lab.nets(json!({ "a": { "remove": true }, "b": { "remove": true } }));
        assert_eq!(told(&Look::now()), (vec![], vec![]));
    });
}

#[test]
fn a_nic_with_an_address_of_its_own_loses_it_to_its_network() {
    story(Veth, 2, |lab| {
        lab.ip("addr add 172.16.0.1/24 dev veth_0\naddr add 2001:db8::1/64 dev veth_0\naddr add 172.16.1.1/24 dev veth_1\nroute add default via 172.16.0.254\n");
        lab.nets(json!({ "red": { "nic": "veth_0" }, "blue": { "nic": "veth_1", "bridged": false, "ipaddr": "10.0.0.1", "prefix": 24 } }));
        let now = Look::now();
        assert!(now.addresses("veth_0").is_empty() && now.addresses("red").is_empty());
        assert_eq!(now.addresses("veth_1"), ["10.0.0.1/24"]);
        assert!(now.default_routes().is_empty());
        now.assert_no_ipv6(&["veth_0", "veth_1", "red"]);
    });
}

#[test]
fn an_address_moves_between_networks_in_one_request() {
    story(Veth, 2, |lab| {
        let with = |nic: &str| json!({ "nic": nic, "ipaddr": "10.0.0.1", "prefix": 24, "ipv6addr": "fd00::1/64", "gateway": "10.0.0.254", "defaultRoute": true });
        lab.nets(json!({ "a": with("veth_0"), "b": { "nic": "veth_1" } }));
        lab.nets(json!({ "a": { "nic": "veth_0" }, "b": with("veth_1") }));
        let now = Look::now();
        assert!(now.addresses("a").is_empty());
        assert_eq!(
            (now.addresses("b"), now.default_routes()),
            (vec!["10.0.0.1/24".to_owned(), "fd00::1/64".to_owned()], vec!["10.0.0.254 b".to_owned()])
        );
    });
}

#[test]
fn an_mtu_of_1280_keeps_ipv6_and_a_smaller_one_comes_back_from() {
    story(Veth, 1, |lab| {
        let red = |mtu: u16, v6: bool| json!({ "red": { "nic": "veth_0", "mtu": mtu, "ipv6addr": if v6 { "fd00::1/64" } else { "" } } });
        lab.nets(red(1280, true));
        let now = Look::now();
        assert_eq!(
            (now.addresses("red"), now.mtus(&["red", "veth_0"])),
            (vec!["fd00::1/64".to_owned()], vec![1280, 1280])
        );
        lab.refused(22, red(1279, true), json!({}));
        assert_eq!(Look::now().addresses("red"), ["fd00::1/64"]);
        lab.nets(red(1279, false));
        assert_eq!((Look::now().mtus(&["red", "veth_0"]), disable_ipv6("red")), (vec![1279, 1279], "-".to_owned()));
        // Back above 1280 the kernel starts IPv6 of itself; it is not to be on.
        lab.nets(red(1500, false));
        Look::now().assert_no_ipv6(&["red", "veth_0"]);
        lab.nets(red(600, false));
        lab.nets(red(1300, true));
        assert_eq!(Look::now().addresses("red"), ["fd00::1/64"]);
    });
}

/// The kernel's words of an address: whether it ends by itself.
fn ends(device: &str, address: &str) -> bool {
    let text = Look::now().text(Some(&[device]));
    let found = text.lines().find(|line| line.contains(&format!("\"{address}\""))).unwrap_or_else(|| panic!("{text}"));
    found.contains("\"dynamic\":true")
}

#[test]
fn an_address_that_a_client_left_behind_stays_when_a_network_has_it() {
    story(Veth, 1, |lab| {
        // As a host that was installed over DHCP has it, and whose client is gone.
        for address in ["10.0.0.1/24", "fd00::1/64"] {
            lab.ip(&format!("addr add {address} dev veth_0 valid_lft 900 preferred_lft 800\n"));
        }
        lab.ip("link set veth_0 up\n");
        assert!(ends("veth_0", "10.0.0.1") && ends("veth_0", "fd00::1"));
        let red =
            json!({ "nic": "veth_0", "bridged": false, "ipaddr": "10.0.0.1", "prefix": 24, "ipv6addr": "fd00::1/64" });
        let before = Look::now().text(Some(&["veth_0"]));
        // Whoever fails gives it its end back.
        lab.expect_error(10, json!({ "networks": { "red": red }, "bondings": {}, "options": { "connectivityCheck": true, "connectivityTimeout": 0.1 } }));
        assert_same(&before, &Look::now().text(Some(&["veth_0"])), "rolled back");
        lab.nets(json!({ "red": red }));
        assert!(!ends("veth_0", "10.0.0.1") && !ends("veth_0", "fd00::1"));
        lab.again(json!({ "red": red }), json!({}));
    });
}

#[test]
fn a_nic_that_had_no_ipv6_for_its_small_size_has_none_when_it_is_released() {
    story(Veth, 1, |lab| {
        for bridged in [true, false] {
            lab.nets(json!({ "red": { "nic": "veth_0", "mtu": 1000, "bridged": bridged } }));
            assert_eq!(disable_ipv6("veth_0"), "-");
            lab.nets(json!({ "red": { "remove": true } }));
            assert_eq!((Look::now().mtu("veth_0"), disable_ipv6("veth_0")), (1500, "1".to_owned()), "{bridged}");
        }
    });
}

#[test]
fn a_bridges_link_local_address_is_made_of_its_ports() {
    story(Veth, 1, |lab| {
        let wanted = mac(0).parse::<vdsm_model::units::Mac>().unwrap().0;
        let [a, b, c, d, e, f] = wanted;
        let eui = format!(
            "fe80::{:x}:{:x}:{:x}:{:x}",
            u16::from_be_bytes([a ^ 2, b]),
            u16::from_be_bytes([c, 0xff]),
            u16::from_be_bytes([0xfe, d]),
            u16::from_be_bytes([e, f])
        );
        let eui = eui.parse::<std::net::Ipv6Addr>().unwrap().to_string();
        for mtu in [1500, 9000] {
            lab.nets(json!({ "red": { "nic": "veth_0", "mtu": mtu, "ipv6addr": "fd00::1/64" } }));
            until("it has one", |look| link_local(look, "red").is_some());
            assert_eq!(link_local(&Look::now(), "red"), Some(eui.clone()), "{mtu}");
            lab.nets(json!({ "red": { "remove": true } }));
        }
    });
}

fn link_local(look: &Look, device: &str) -> Option<String> {
    let all = look.link(device)["addr_info"].as_array()?;
    let found = all.iter().find(|it| it["family"] == "inet6" && it["scope"] == "link")?;
    Some(found["local"].as_str()?.to_owned())
}

#[test]
fn a_bridge_without_ipv6_never_has_any() {
    story(Veth, 1, |lab| {
        let told = crate::monitor::changes(|| {
            lab.nets(json!({ "red": { "nic": "veth_0" } }));
        });
        let of_red: Vec<&String> = told.iter().filter(|line| line.ends_with("red")).collect();
        assert!(!of_red.is_empty() && !of_red.iter().any(|line| line.contains("address")), "{told:#?}");
    });
}
