//! Requests that are wrong: the original's code, a sentence, and nothing touched.

use serde_json::{Value, json};

use crate::lab::{Nics::Veth, story, story_with};
use crate::look::{Look, assert_same};

#[test]
fn a_wrong_network_is_refused_with_the_originals_code_and_nothing_is_touched() {
    story(Veth, 3, |lab| {
        lab.nets(json!({ "here": { "nic": "veth_0", "bridged": false }, "alone": { "nic": "veth_1" } }));
        let (before, stored) = (Look::now().text(None), lab.running_files());
        let nic = "veth_2";
        let cases = [
            (23, json!({ "nic": "eth7" })),
            (23, json!({ "nic": "lo" })),
            (23, json!({ "nic": "peer0" })),
            (21, json!({ "bridged": false })),
            (21, json!({ "bridged": "maybe", "nic": nic })),
            (21, json!({ "nic": nic, "stp": "perhaps" })),
            (21, json!({ "nic": nic, "bonding": "bond0" })),
            (21, json!({ "remove": true, "nic": nic })),
            (21, json!({ "nic": nic, "mtu": 67 })),
            (21, json!({ "nic": nic, "mtu": "much" })),
            (21, json!({ "nic": nic, "switch": "magic" })),
            (21, json!({ "nic": nic, "custom": { "bridge_opts": "nonsense=1" } })),
            (25, json!({ "bonding": "bond0" })),
            (25, json!({ "bonding": "jamesbond007" })),
            (26, json!({ "vlan": 5 })),
            (26, json!({ "nic": nic, "vlan": 4095 })),
            (26, json!({ "nic": nic, "vlan": -1 })),
            (26, json!({ "nic": nic, "vlan": "five" })),
            (27, json!({ "remove": true })),
            // Two untagged networks on one nic, and a second one beside a bridged one.
            (21, json!({ "nic": "veth_0", "bridged": false })),
            (21, json!({ "nic": "veth_1", "vlan": 5 })),
        ];
        for (code, network) in cases {
            lab.refused(code, json!({ "new": network }), json!({}));
        }
        assert_same(&before, &Look::now().text(None), "after refusals");
        assert_eq!(lab.running_files(), stored);
    });
}

#[test]
fn wrong_addresses_are_refused_with_22() {
    story(Veth, 1, |lab| {
        let before = Look::now().text(None);
        let cases = [
            json!({ "ipaddr": "300.300.300.300", "netmask": "255.255.255.0" }),
            json!({ "ipaddr": "10.0.0", "prefix": 24 }),
            json!({ "ipaddr": "10.0.0.1" }),
            json!({ "ipaddr": "10.0.0.1", "prefix": 33 }),
            json!({ "ipaddr": "10.0.0.1", "netmask": "255.0.255.0" }),
            json!({ "netmask": "255.255.255.0" }),
            json!({ "gateway": "10.0.0.254" }),
            json!({ "ipaddr": "10.0.0.1", "prefix": 24, "gateway": "10.0.0" }),
            json!({ "ipaddr": "10.0.0.1", "prefix": 24, "bootproto": "dhcp" }),
            json!({ "ipv6addr": "::abcd::/64" }),
            json!({ "ipv6addr": "ff:abcde::1/64" }),
            json!({ "ipv6addr": "fd00::1/129" }),
            json!({ "ipv6gateway": "fd00::1" }),
            json!({ "ipv6addr": "fd00::1/64", "ipv6autoconf": true }),
            json!({ "ipv6addr": "fd00::1/64", "mtu": 1279 }),
        ];
        for mut network in cases {
            network["nic"] = json!("veth_0");
            lab.refused(22, json!({ "new": network }), json!({}));
        }
        lab.refused(
            21,
            json!({ "new": { "nic": "veth_0", "ipaddr": "10.0.0.1", "prefix": 24, "netmask": "255.255.255.0" } }),
            json!({}),
        );
        lab.refused(
            21,
            json!({ "a": { "nic": "veth_0", "defaultRoute": true }, "b": { "defaultRoute": true } }),
            json!({}),
        );
        assert_same(&before, &Look::now().text(None), "after refusals");
        assert!(lab.running_files().is_empty());
    });
}

#[test]
fn bad_names_are_refused_27_for_networks_and_25_for_bonds() {
    story(Veth, 1, |lab| {
        let before = Look::now().text(None);
        for name in ["aaaaaaaaaaaaaaaa", "a b", "a\tb", "a.b", "a:b", "-abc", "", "a/b", "."] {
            lab.refused(27, json!({ name: { "nic": "veth_0" } }), json!({}));
        }
        for name in ["..", "a/b", "a\u{0}b", ""] {
            lab.refused(27, json!({ name: { "nic": "veth_0", "bridged": false } }), json!({}));
        }
        for name in ["bond", "bonda", "bond0a", "jamesbond007", "0bond", ""] {
            lab.refused(25, json!({}), json!({ name: { "nics": ["veth_0"] } }));
        }
        lab.refused(21, json!({}), json!({ "bond0": { "nics": [] } }));
        lab.refused(21, json!({}), json!({ "bond0": {} }));
        lab.refused(23, json!({}), json!({ "bond0": { "nics": ["eth7"] } }));
        lab.refused(25, json!({}), json!({ "bond0": { "remove": true } }));
        for options in ["mode=9", "mode=1 nonsense=2", "miimon", "mode=1 lacp_rate=fast"] {
            lab.refused(25, json!({}), json!({ "bond0": { "nics": ["veth_0"], "options": options } }));
        }
        assert_same(&before, &Look::now().text(None), "after refusals");
        // Fifteen bytes are a name.
        lab.nets(json!({ "aaaaaaaaaaaaaaa": { "nic": "veth_0" } }));
        assert!(Look::now().has("aaaaaaaaaaaaaaa"));
    });
}

#[test]
fn every_problem_of_a_request_is_told_at_once() {
    story(Veth, 1, |lab| {
        let networks = json!({ "a": { "nic": "eth7" }, "b": { "nic": "veth_0", "ipaddr": "10.0.0.1" }, "c": { "vlan": 9 }, "gone": { "remove": true } });
        let error = lab.refused(26, networks, json!({ "bond0": { "nics": ["eth8"] } }));
        let mut codes: Vec<i64> =
            error.data.unwrap()["problems"].as_array().unwrap().iter().map(|p| p["code"].as_i64().unwrap()).collect();
        codes.sort();
        assert_eq!(codes, [22, 23, 23, 26, 27]);
    });
}

#[test]
fn unknown_keys_are_told_or_refused_as_vdsm_conf_says() {
    let network = || json!({ "networks": { "red": { "nic": "veth_0", "ipadr": "10.0.0.1" } } });
    // The key is the disk's policy for requests and files alike.
    story_with("unknown_keys = warn", Veth, 1, move |lab| {
        let answer = lab.request(network()).unwrap();
        let warning = answer["warnings"][0].as_str().unwrap();
        assert!(warning.contains("ipadr") && warning.contains("ipaddr"), "{warning}");
    });
    story_with("unknown_keys = refuse", Veth, 1, move |lab| {
        let error = lab.expect_error(21, network());
        assert!(error.message.contains("ipadr"), "{error:?}");
        assert!(!Look::now().has("red"));
    });
}

#[test]
fn what_is_no_call_is_told_so() {
    story(Veth, 0, |lab| {
        let code = |outcome: Result<Value, vdsm_net::rpc::RpcError>| outcome.unwrap_err().code;
        assert_eq!(code(lab.call("Host.makeCoffee", json!({}))), -32601);
        assert_eq!(code(lab.call("Host.setupNetworks", json!([1, 2]))), -32602);
        assert_eq!(code(lab.call("Host.setupNetworks", json!({ "nets": {} }))), -32602);
        lab.expect_error(21, json!({ "networks": [] }));
        lab.expect_error(21, json!({ "networks": { "red": "blue" } }));
        lab.expect_error(21, json!({ "options": { "connectivityTimeout": "soon" } }));
        lab.call("Host.ping2", json!({})).unwrap();
    });
}

#[test]
fn relaxed_sharing_lets_bridged_and_tagged_networks_share_a_nic() {
    story_with("network_combination = relaxed", Veth, 1, |lab| {
        lab.nets(json!({ "red": { "nic": "veth_0" } }));
        // Planned only: this kernel may have no VLANs.
        let request = |vlan: Option<u16>| json!({ "networks": { "blue": { "nic": "veth_0", "vlan": vlan } } });
        let plan = lab.call("Host.planNetworks", request(Some(5))).unwrap();
        assert!(plan["text"].as_str().unwrap().contains("veth_0.5"), "{plan}");
        assert_eq!(lab.call("Host.planNetworks", request(None)).unwrap_err().code, 21);
    });
}

#[test]
fn a_network_named_like_what_it_stands_on_is_refused_with_27() {
    story(Veth, 2, |lab| {
        let before = Look::now().text(None);
        lab.refused(27, json!({ "veth_0": { "nic": "veth_0" } }), json!({}));
        lab.refused(27, json!({ "veth_1": { "nic": "veth_0" } }), json!({}));
        // Planned only: this kernel may have no bonds.
        let request =
            json!({ "networks": { "bond0": { "bonding": "bond0" } }, "bondings": { "bond0": { "nics": ["veth_0"] } } });
        assert_eq!(lab.call("Host.planNetworks", request).unwrap_err().code, 27);
        assert_same(&before, &Look::now().text(None), "after refusals");
        lab.nets(json!({ "veth_0": { "nic": "veth_0", "bridged": false, "ipaddr": "10.0.0.1", "prefix": 24 } }));
        assert_eq!(Look::now().addresses("veth_0"), ["10.0.0.1/24"]);
    });
}

#[test]
fn a_hidden_nic_is_no_nic() {
    story_with("hidden_nics = veth_1", Veth, 2, |lab| {
        lab.refused(23, json!({ "red": { "nic": "veth_1" } }), json!({}));
        assert_eq!(lab.capabilities()["nics"].as_object().unwrap().keys().collect::<Vec<_>>(), ["veth_0"]);
        lab.nets(json!({ "red": { "nic": "veth_0" } }));
    });
}

#[test]
fn who_manages_the_host_through_a_network_does_not_lose_it_unnoticed() {
    story_with("management_network = red", Veth, 2, |lab| {
        lab.nets(json!({
            "red": { "nic": "veth_0", "ipaddr": "192.0.2.2", "prefix": 24 },
            "blue": { "nic": "veth_1", "ipaddr": "198.51.100.2", "prefix": 24, "gateway": "198.51.100.1", "defaultRoute": true },
        }));
        let before = Look::now().text(None);
        let gone = |name: &str, peer: &str| json!({ "networks": { name: { "remove": true } }, "options": { "connectivityCheck": false, "peer": peer } });
        // On the link of the one, by the default route of the other.
        for (name, peer, whom) in [
            ("red", "", "network 'red'"),
            ("blue", "198.51.100.77", "198.51.100.77"),
            ("blue", "203.0.113.9", "203.0.113.9"),
        ] {
            let message = lab.expect_error(21, gone(name, peer)).message;
            assert!(message.starts_with(&format!("the way to {whom} is interrupted by ")), "{message}");
        }
        assert_same(&before, &Look::now().text(None), "refused");
        lab.request(gone("blue", "192.0.2.77")).unwrap();
        // Somebody who waits for a sign of life notices.
        let params = json!({ "networks": { "red": { "remove": true } }, "options": { "connectivityTimeout": 0.1 } });
        assert_eq!(lab.call("Host.setupNetworks", params).unwrap_err().code, 10);
        assert!(Look::now().has("red"));
    });
}
