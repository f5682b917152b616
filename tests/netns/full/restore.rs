//! Bonds and VLANs after a reboot, and after somebody was at them.

use serde_json::json;

use crate::lab::{Nics::Dummy, story};
use crate::look::{Look, assert_same, without_indexes};

#[test]
fn a_whole_host_comes_back_after_a_reboot() {
    story(Dummy, 5, |lab| {
        let networks = json!({
            "red": { "bonding": "bond0", "vlan": 10, "mtu": 9000, "stp": true, "ipaddr": "10.0.0.1", "prefix": 24, "gateway": "10.0.0.254", "defaultRoute": true, "ipv6addr": "fd00::1/64" },
            "plain": { "bonding": "bond0", "bridged": false, "ipaddr": "10.1.0.1", "prefix": 24 },
            "zero": { "nic": "dummy_3", "vlan": 0 },
            "blue": { "bonding": "bond1", "mtu": 1400 },
        });
        let bonds = json!({ "bond0": { "nics": ["dummy_0", "dummy_1"], "options": "mode=4 lacp_rate=1 custom=a:b" }, "bond1": { "nics": ["dummy_2"], "options": "mode=1 miimon=100", "hwaddr": "02:00:00:00:bb:01" } });
        lab.setup(networks, bonds);
        lab.set_safe();
        let text = || without_indexes(&Look::now().text(None));
        let (before, stored) = (text(), lab.running_files());
        lab.setup(
            json!({ "red": { "remove": true }, "late": { "nic": "dummy_4" } }),
            json!({ "bond0": { "nics": ["dummy_0"] } }),
        );
        lab.reboot();
        let told = lab.restore(false);
        assert_eq!((&told["skipped"], &told["failed"]), (&json!([]), &json!([])));
        assert_same(&before, &text(), "after a reboot");
        assert_eq!(lab.running_files(), stored);
    });
}

#[test]
fn a_forced_restore_touches_only_what_differs() {
    story(Dummy, 4, |lab| {
        let networks = json!({ "red": { "bonding": "bond0", "vlan": 10 }, "blue": { "bonding": "bond1", "vlan": 20, "ipaddr": "10.0.0.1", "prefix": 24 } });
        lab.setup(networks, json!({ "bond0": { "nics": ["dummy_0", "dummy_1"] }, "bond1": { "nics": ["dummy_2"] } }));
        lab.set_safe();
        let all = ["red", "bond0.10", "bond0", "dummy_0", "dummy_1", "blue", "bond1.20", "bond1", "dummy_2"];
        let safe = Look::now().text(Some(&all));
        lab.restore(true);
        assert_same(&safe, &Look::now().text(Some(&all)), "nothing differs");
        let red = ["red", "bond0.10", "bond0", "dummy_0", "dummy_1"];
        let untouched = Look::now().text(Some(&red));
        lab.setup(
            json!({ "blue": { "bonding": "bond1", "vlan": 21 }, "more": { "nic": "dummy_3" } }),
            json!({ "bond1": { "nics": ["dummy_2"], "options": "mode=4" } }),
        );
        lab.restore(true);
        assert_same(&untouched, &Look::now().text(Some(&red)), "the untouched network");
        assert_same(&without_indexes(&safe), &without_indexes(&Look::now().text(Some(&all))), "the others");
        assert!(!Look::now().has("more") && !Look::now().has("bond1.21"));
    });
}

#[test]
fn a_bond_keeps_the_slaves_that_are_there_and_gets_the_others_later() {
    story(Dummy, 4, |lab| {
        let networks = json!({ "red": { "bonding": "bond0", "vlan": 10 }, "blue": { "bonding": "bond1" } });
        lab.setup(networks, json!({ "bond0": { "nics": ["dummy_0", "dummy_1"] }, "bond1": { "nics": ["dummy_2"] } }));
        lab.set_safe();
        let stored = lab.running_files();
        lab.reboot();
        lab.ip("link del dummy_1\nlink del dummy_2\n");
        let told = lab.restore(false);
        let mut names: Vec<&str> =
            told["skipped"].as_array().unwrap().iter().map(|s| s["name"].as_str().unwrap()).collect();
        names.sort();
        assert_eq!((names, &told["failed"]), (vec!["blue", "bond0", "bond1"], &json!([])));
        let now = Look::now();
        assert_eq!(
            (now.ports("bond0"), now.ports("red"), now.has("bond1"), now.has("blue")),
            (vec!["dummy_0"], vec!["bond0.10"], false, false)
        );
        assert_eq!(lab.running_files(), stored);
        lab.ip("link add dummy_1 type dummy\nlink add dummy_2 type dummy\n");
        assert_eq!(lab.restore(true)["skipped"], json!([]));
        let now = Look::now();
        assert_eq!((now.ports("bond0"), now.ports("blue")), (vec!["dummy_0", "dummy_1"], vec!["bond1"]));
    });
}

#[test]
fn a_bond_removed_by_hand_can_be_set_again_restored_or_removed() {
    story(Dummy, 2, |lab| {
        let networks = json!({ "red": { "bonding": "bond0", "vlan": 10, "ipaddr": "10.0.0.1", "prefix": 24 } });
        let bond = json!({ "bond0": { "nics": ["dummy_0", "dummy_1"], "options": "mode=1 miimon=100" } });
        lab.setup(networks.clone(), bond.clone());
        lab.set_safe();
        lab.ip("link del bond0\n");
        lab.setup(networks.clone(), bond);
        assert_eq!((Look::now().ports("bond0").len(), Look::now().ports("red")), (2, vec!["bond0.10"]));
        // The network alone brings its bond back: it is ours.
        lab.ip("link del bond0\n");
        lab.nets(networks);
        assert_eq!((Look::now().ports("bond0").len(), Look::now().ports("red")), (2, vec!["bond0.10"]));
        lab.ip("link del bond0\nlink del red\n");
        lab.restore(true);
        let now = Look::now();
        assert_eq!(
            (now.ports("bond0").len(), now.ports("red"), now.addresses("red")),
            (2, vec!["bond0.10"], vec!["10.0.0.1/24".to_owned()])
        );
        lab.ip("link del bond0\n");
        lab.setup(json!({ "red": { "remove": true } }), json!({ "bond0": { "remove": true } }));
        let now = Look::now();
        assert!(!now.has("red") && lab.running_files().is_empty());
        assert!(now.is_up("dummy_0") && now.is_up("dummy_1"));
    });
}
