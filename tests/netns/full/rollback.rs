//! Changes of whole chains that fail.

use serde_json::{Value, json};

use crate::lab::{Lab, Nics::Dummy, story};
use crate::look::{Look, assert_same, without_indexes};

/// Fails at the very end, when everything else has been done.
fn failing(base: Value) -> Value {
    let mut net = json!({ "ipaddr": "10.5.0.1", "prefix": 24, "gateway": "10.7.0.254", "defaultRoute": true });
    net.as_object_mut().unwrap().extend(base.as_object().unwrap().clone());
    net
}

#[track_caller]
fn fails(lab: &mut Lab, goes: bool, networks: Value, bondings: Value) {
    let (mut before, stored) = (Look::now().text(None), lab.running_files());
    let params = json!({ "networks": networks, "bondings": bondings });
    let error = lab.expect_error(29, params.clone());
    assert!(error.message.contains("invalid gateway"), "{error:?}");
    assert_eq!(error.data.unwrap()["rolled_back"], true);
    let mut after = Look::now().text(None);
    if goes {
        (before, after) = (without_indexes(&before), without_indexes(&after));
    }
    assert_same(&before, &after, &params.to_string());
    assert_eq!(lab.running_files(), stored);
}

#[test]
fn a_new_bond_vlan_and_bridge_that_fail_leave_none_of_them() {
    story(Dummy, 3, |lab| {
        fails(
            lab,
            false,
            json!({ "new": failing(json!({ "bonding": "bond0", "vlan": 10, "mtu": 9000 })) }),
            json!({ "bond0": { "nics": ["dummy_0", "dummy_1"], "options": "mode=4" } }),
        );
        let now = Look::now();
        assert!(!now.has("bond0") && !now.has("bond0.10") && !now.has("new"));
    });
}

#[test]
fn existing_networks_come_back_exactly_after_a_failed_edit() {
    story(Dummy, 5, |lab| {
        let old = json!({
            "red": { "bonding": "bond0", "vlan": 10, "mtu": 2000, "stp": true, "ipaddr": "10.0.0.1", "prefix": 24, "gateway": "10.0.0.254", "defaultRoute": true, "ipv6addr": "fd00::1/64", "ipv6gateway": "fd00::fffe", "custom": { "bridge_opts": "hello_time=300" } },
            "plain": { "bonding": "bond0", "bridged": false, "ipaddr": "10.1.0.1", "prefix": 24, "ipv6addr": "fd01::1/64" },
            "blue": { "nic": "dummy_2", "vlan": 20, "bridged": false, "mtu": 4000, "ipaddr": "10.2.0.1", "prefix": 24 },
        });
        lab.setup(old, json!({ "bond0": { "nics": ["dummy_0", "dummy_1"], "options": "mode=1 miimon=100 updelay=200" }, "bond1": { "nics": ["dummy_3"] } }));
        lab.ip("tuntap add dev vnet0 mode tap\nlink set vnet0 master red up\n");
        let new = |vlan: u16| failing(json!({ "nic": "dummy_4", "vlan": vlan }));
        // Everything changes but the numbers.
        let red = json!({ "bonding": "bond0", "vlan": 10, "mtu": 1400, "ipaddr": "10.9.0.1", "prefix": 16 });
        let bonds = json!({ "bond0": { "nics": ["dummy_1", "dummy_3"], "options": "mode=1 miimon=50" }, "bond1": { "nics": ["dummy_0"] } });
        fails(lab, false, json!({ "red": red, "new": new(5) }), bonds);
        // The mode changes, which takes bond and VLANs down.
        fails(
            lab,
            false,
            json!({ "new": new(5) }),
            json!({ "bond0": { "nics": ["dummy_1"], "options": "mode=4 lacp_rate=1" } }),
        );
        // A VLAN goes and comes back: it has another number.
        fails(
            lab,
            true,
            json!({ "red": { "nic": "dummy_2", "vlan": 11 }, "blue": { "remove": true }, "new": new(6) }),
            json!({}),
        );
        // A bond goes.
        fails(
            lab,
            true,
            json!({ "red": { "nic": "dummy_0" }, "plain": { "remove": true }, "new": new(7) }),
            json!({ "bond0": { "remove": true } }),
        );
        // Nothing of all that is in the way of the next request.
        lab.setup(
            json!({ "plain": { "remove": true }, "red": { "bonding": "bond0", "vlan": 10 } }),
            json!({ "bond1": { "remove": true } }),
        );
        assert_eq!(Look::now().ports("red"), ["bond0.10", "vnet0"]);
    });
}

#[test]
fn lost_connectivity_takes_a_new_bond_away_and_keeps_an_old_one() {
    story(Dummy, 3, |lab| {
        let lost = |networks: Value, bondings: Value| json!({ "networks": networks, "bondings": bondings, "options": { "connectivityCheck": true, "connectivityTimeout": 0.1 } });
        let before = Look::now().text(None);
        lab.expect_error(
            10,
            lost(
                json!({ "red": { "bonding": "bond0", "vlan": 10 } }),
                json!({ "bond0": { "nics": ["dummy_0", "dummy_1"] } }),
            ),
        );
        assert_same(&before, &Look::now().text(None), "a new bond");
        lab.bonds(json!({ "bond0": { "nics": ["dummy_0", "dummy_1"] } }));
        let before = Look::now().text(None);
        lab.expect_error(10, lost(json!({ "red": { "bonding": "bond0", "vlan": 10 } }), json!({})));
        assert_same(&before, &Look::now().text(None), "an old bond");
        lab.expect_error(10, lost(json!({}), json!({ "bond0": { "nics": ["dummy_2"], "options": "mode=4" } })));
        assert_same(&before, &Look::now().text(None), "its slaves and mode");
    });
}

#[test]
fn an_address_that_is_none_is_refused_before_the_bond_is_made() {
    story(Dummy, 2, |lab| {
        lab.nets(json!({ "old": { "nic": "dummy_1", "ipaddr": "10.0.0.1", "prefix": 24 } }));
        let before = Look::now().text(None);
        lab.refused(22, json!({ "red": { "bonding": "bond0", "ipaddr": "300.300.300.300", "prefix": 24 }, "old": { "remove": true } }), json!({ "bond0": { "nics": ["dummy_0"] } }));
        assert_same(&before, &Look::now().text(None), "after a refusal");
    });
}

#[test]
fn after_a_rollback_the_devices_on_a_bond_still_follow_its_address() {
    story(Dummy, 4, |lab| {
        let bond = |nics: &[&str]| json!({ "bond0": { "nics": nics } });
        lab.setup(json!({ "red": { "bonding": "bond0", "vlan": 10 } }), bond(&["dummy_0", "dummy_1"]));
        fails(lab, false, json!({ "new": failing(json!({ "nic": "dummy_3" })) }), bond(&["dummy_2"]));
        lab.bonds(bond(&["dummy_2"]));
        let now = Look::now();
        assert_eq!((now.mac("bond0.10"), now.mac("red")), (now.mac("bond0"), now.mac("bond0")));
    });
}
