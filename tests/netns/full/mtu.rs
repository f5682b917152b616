//! MTUs along the chain: the base has the largest of its networks, the rest each its own.

use serde_json::{Value, json};

use crate::lab::{Lab, Nics::Dummy, story};
use crate::look::Look;

fn net(vlan: impl Into<Value>, mtu: u32) -> Value {
    let vlan: Value = vlan.into();
    json!({ "bonding": "bond0", "vlan": vlan, "mtu": mtu, "bridged": !vlan.is_null() })
}

fn bond(nics: &[&str]) -> Value {
    json!({ "bond0": { "nics": nics, "options": "mode=1 miimon=100" } })
}

const CHAIN: &[&str] = &["a", "bond0.10", "bond0", "dummy_0", "dummy_1"];

#[test]
fn the_whole_chain_follows_its_network_up_and_down() {
    story(Dummy, 2, |lab| {
        lab.setup(json!({ "a": net(10, 9000) }), bond(&["dummy_0", "dummy_1"]));
        let before = Look::now();
        for mtu in [9000, 1500, 65000, 576, 1280, 2000] {
            lab.nets(json!({ "a": net(10, mtu) }));
            let now = Look::now();
            assert_eq!(now.mtus(CHAIN), [i64::from(mtu); 5]);
            for device in CHAIN {
                assert_eq!(now.index(device), before.index(device));
                assert!(now.is_up(device) && now.has_carrier(device), "{device} at {mtu}");
            }
            if mtu >= 1280 {
                now.assert_no_ipv6(CHAIN);
            }
            lab.again(json!({ "a": net(10, mtu) }), json!({}));
        }
    });
}

#[test]
fn the_base_has_the_largest_of_its_networks() {
    story(Dummy, 3, |lab| {
        let check = |lab: &mut Lab, networks: Value, base: i64, what: &str| {
            lab.nets(networks);
            let now = Look::now();
            let slaves = now.ports("bond0");
            assert_eq!(now.mtus(&slaves), vec![base; slaves.len()], "{what}");
            assert_eq!(now.mtu("bond0"), base, "{what}");
        };
        lab.setup(json!({ "a": net(10, 2000) }), bond(&["dummy_0", "dummy_1"]));
        check(lab, json!({ "b": net(20, 9000) }), 9000, "a larger one comes");
        check(lab, json!({ "c": net(Value::Null, 1400) }), 9000, "a smaller one never lowers it");
        assert_eq!(Look::now().mtus(&["a", "bond0.10", "b", "bond0.20"]), [2000, 2000, 9000, 9000]);
        check(lab, json!({ "a": net(10, 1500) }), 9000, "one of the others is lowered");
        lab.bonds(bond(&["dummy_0", "dummy_1", "dummy_2"]));
        assert_eq!(Look::now().mtus(&["bond0", "dummy_2"]), [9000, 9000], "a slave that comes later");
        check(lab, json!({ "b": net(20, 4000) }), 4000, "the largest is lowered");
        check(lab, json!({ "b": { "remove": true } }), 1500, "the largest goes");
        check(lab, json!({ "a": { "remove": true } }), 1400, "the next one goes");
        lab.bonds(bond(&["dummy_0"]));
        let now = Look::now();
        assert_eq!(now.mtus(&["dummy_0", "dummy_1", "dummy_2"]), [1400, 1500, 1500], "what is released is as a nic is");
        assert!(now.is_up("dummy_1") && now.is_up("dummy_2"));
        check(lab, json!({ "c": { "remove": true } }), 1500, "the last one goes");
    });
}

#[test]
fn a_nic_shared_by_tags_follows_the_same_rule() {
    story(Dummy, 1, |lab| {
        let net = |vlan: u16, mtu: u32| json!({ "nic": "dummy_0", "vlan": vlan, "mtu": mtu });
        lab.nets(json!({ "a": net(10, 9000), "b": net(20, 1500) }));
        assert_eq!(
            Look::now().mtus(&["dummy_0", "dummy_0.10", "dummy_0.20", "a", "b"]),
            [9000, 9000, 1500, 9000, 1500]
        );
        lab.nets(json!({ "a": { "remove": true } }));
        assert_eq!(Look::now().mtus(&["dummy_0", "dummy_0.20", "b"]), [1500; 3]);
        lab.nets(json!({ "b": { "remove": true } }));
        let now = Look::now();
        assert_eq!((now.mtu("dummy_0"), now.is_up("dummy_0")), (1500, true));
    });
}

#[test]
fn a_strangers_vlan_on_the_base_keeps_its_mtu() {
    story(Dummy, 1, |lab| {
        lab.nets(json!({ "a": { "nic": "dummy_0", "vlan": 10, "mtu": 9000 } }));
        lab.ip("link add theirs link dummy_0 type vlan id 77\nlink set theirs mtu 5000 up\naddr add 192.0.2.1/24 dev theirs\n");
        let before = Look::now().text(Some(&["theirs"]));
        lab.nets(json!({ "a": { "nic": "dummy_0", "vlan": 10 } }));
        assert_eq!(Look::now().mtus(&["dummy_0", "dummy_0.10", "a"]), [5000, 1500, 1500]);
        lab.nets(json!({ "a": { "remove": true } }));
        crate::look::assert_same(&before, &Look::now().text(Some(&["theirs"])), "the stranger's");
    });
}

#[test]
fn ipv6_stays_off_and_on_while_the_chain_goes_below_1280_and_back() {
    story(Dummy, 2, |lab| {
        let six = |mtu: u32| json!({ "six": { "bonding": "bond0", "vlan": 6, "mtu": mtu, "ipv6addr": "fd00::1/64" } });
        lab.setup(six(1280), bond(&["dummy_0", "dummy_1"]));
        lab.refused(22, six(1279), json!({}));
        assert_eq!(Look::now().addresses("six"), ["fd00::1/64"]);
        lab.nets(json!({ "six": { "bonding": "bond0", "vlan": 6, "mtu": 1000 } }));
        assert_eq!(Look::now().mtus(&["six", "bond0.6", "bond0", "dummy_1"]), [1000; 4]);
        lab.nets(json!({ "six": { "bonding": "bond0", "vlan": 6 } }));
        Look::now().assert_no_ipv6(&["six", "bond0.6", "bond0", "dummy_0", "dummy_1"]);
        lab.nets(json!({ "six": { "bonding": "bond0", "vlan": 6, "mtu": 1000 } }));
        lab.nets(six(1500));
        let now = Look::now();
        assert_eq!(now.addresses("six"), ["fd00::1/64"]);
        now.assert_no_ipv6(&["bond0.6", "bond0", "dummy_0", "dummy_1"]);
    });
}
