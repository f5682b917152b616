//! Bonds come, change and go, with the networks upon them.

use serde_json::{Value, json};

use crate::lab::{Nics::Dummy, mac, story};
use crate::look::{Look, assert_same};

fn bond(nics: &[&str]) -> Value {
    json!({ "nics": nics, "options": "mode=1 miimon=100" })
}

#[test]
fn a_bond_comes_changes_size_and_goes() {
    story(Dummy, 3, |lab| {
        assert!(lab.bonds(json!({ "bond0": bond(&["dummy_0", "dummy_1"]) })));
        let first = Look::now();
        assert_eq!((first.kind("bond0"), first.ports("bond0")), ("bond", vec!["dummy_0", "dummy_1"]));
        assert!(first.is_up("bond0") && first.is_up("dummy_0") && first.is_up("dummy_1"));
        first.assert_no_ipv6(&["bond0", "dummy_0", "dummy_1"]);
        lab.again(json!({}), json!({ "bond0": bond(&["dummy_1", "dummy_0"]) }));
        for nics in [&["dummy_0", "dummy_1", "dummy_2"][..], &["dummy_2"], &["dummy_0", "dummy_1"], &["dummy_0"]] {
            lab.bonds(json!({ "bond0": bond(nics) }));
            let now = Look::now();
            assert_eq!((now.ports("bond0"), now.index("bond0")), (nics.to_vec(), first.index("bond0")));
            for number in 0..3 {
                let nic = format!("dummy_{number}");
                assert!(now.is_up(&nic), "{nic} with {nics:?}");
                if now.master(&nic).is_empty() {
                    assert_eq!(now.mac(&nic), mac(number), "a released nic has its own address");
                }
            }
        }
        assert_eq!(
            lab.running_files()["bonds/bond0"],
            json!({ "options": "mode=1 miimon=100", "nics": ["dummy_0"], "switch": "legacy" })
        );
        lab.bonds(json!({ "bond0": { "remove": true } }));
        let now = Look::now();
        assert!(!now.has("bond0") && now.is_up("dummy_0") && now.master("dummy_0").is_empty());
        assert!(lab.running_files().is_empty());
    });
}

#[test]
fn the_bonds_address_is_its_natural_first_slaves_whatever_the_order_on_the_wire() {
    story(Dummy, 11, |lab| {
        for nics in [["dummy_10", "dummy_2"], ["dummy_2", "dummy_10"]] {
            lab.bonds(json!({ "bond0": { "nics": nics } }));
            assert_eq!(Look::now().mac("bond0"), mac(2), "{nics:?}");
            lab.bonds(json!({ "bond0": { "remove": true } }));
        }
        let pinned = "02:00:00:00:bb:01";
        lab.bonds(json!({ "bond0": { "nics": ["dummy_1", "dummy_2"], "hwaddr": pinned } }));
        lab.bonds(json!({ "bond1": { "nics": ["dummy_3"] } }));
        assert_eq!((Look::now().mac("bond0"), Look::now().mac("bond1")), (pinned, mac(3).as_str()));
        // An address once pinned stays so.
        lab.bonds(json!({ "bond0": { "nics": ["dummy_4"] } }));
        assert_eq!(Look::now().mac("bond0"), pinned);
        lab.bonds(json!({ "bond1": { "nics": ["dummy_3"], "hwaddr": "02:00:00:00:bb:02" } }));
        assert_eq!(Look::now().mac("bond1"), "02:00:00:00:bb:02");
        lab.refused(25, json!({}), json!({ "bond1": { "nics": ["dummy_3"], "hwaddr": "01:00:5e:00:00:01" } }));
    });
}

#[test]
fn vlans_and_bridges_upon_a_bond_have_its_address() {
    story(Dummy, 2, |lab| {
        let networks =
            json!({ "red": { "bonding": "bond0", "vlan": 10 }, "plain": { "bonding": "bond0", "bridged": false } });
        lab.setup(networks, json!({ "bond0": bond(&["dummy_1", "dummy_0"]) }));
        let now = Look::now();
        for device in ["bond0", "bond0.10", "red"] {
            assert_eq!(now.mac(device), mac(0), "{device}");
        }
    });
}

#[test]
fn editing_slaves_keeps_carrier_number_and_addresses_of_the_bond() {
    story(Dummy, 4, |lab| {
        let plain = json!({ "bonding": "bond0", "bridged": false, "ipaddr": "10.0.0.1", "prefix": 24, "gateway": "10.0.0.254", "defaultRoute": true, "ipv6addr": "fd00::1/64" });
        let networks =
            json!({ "plain": plain, "red": { "bonding": "bond0", "vlan": 10, "ipaddr": "10.1.0.1", "prefix": 24 } });
        lab.setup(networks, json!({ "bond0": bond(&["dummy_0", "dummy_1"]) }));
        let before = Look::now();
        for nics in
            [&["dummy_0", "dummy_1", "dummy_2"][..], &["dummy_1", "dummy_2"], &["dummy_2", "dummy_3"], &["dummy_0"]]
        {
            lab.bonds(json!({ "bond0": bond(nics) }));
            let now = Look::now();
            assert_eq!(now.ports("bond0"), nics);
            assert!(now.is_up("bond0") && now.has_carrier("bond0"), "{nics:?}");
            for device in ["bond0", "bond0.10", "red"] {
                assert_eq!(
                    (now.index(device), now.addresses(device)),
                    (before.index(device), before.addresses(device)),
                    "{device}, {nics:?}"
                );
            }
            assert_eq!(now.default_routes(), before.default_routes(), "{nics:?}");
        }
    });
}

#[test]
fn redefining_the_address_of_a_bonded_network_leaves_exactly_one() {
    story(Dummy, 2, |lab| {
        let net = |n: u8| json!({ "plain": { "bonding": "bond0", "bridged": false, "ipaddr": format!("10.0.0.{n}"), "prefix": 24 } });
        lab.setup(net(1), json!({ "bond0": bond(&["dummy_0", "dummy_1"]) }));
        for n in [2, 3, 1] {
            lab.nets(net(n));
            assert_eq!(Look::now().addresses("bond0"), [format!("10.0.0.{n}/24")]);
        }
        lab.nets(json!({ "plain": { "remove": true } }));
        let now = Look::now();
        assert!(now.addresses("bond0").is_empty());
        assert_eq!(now.ports("bond0").len(), 2, "the bond stays until it is removed");
    });
}

#[test]
fn removing_one_of_several_networks_keeps_the_bond_and_the_others() {
    story(Dummy, 2, |lab| {
        let address = |n: u8| json!({ "ipaddr": format!("10.{n}.0.1"), "prefix": 24 });
        let mut networks = json!({ "a": address(1), "b": address(2), "c": address(3) });
        for (net, vlan) in [("a", Some(10)), ("b", Some(20)), ("c", None)] {
            networks[net]["bonding"] = json!("bond0");
            networks[net]["bridged"] = json!(net != "c");
            networks[net]["vlan"] = json!(vlan);
        }
        lab.setup(networks.clone(), json!({ "bond0": bond(&["dummy_0", "dummy_1"]) }));
        let before = Look::now();
        for (gone, stay) in [("a", vec!["b", "bond0.20", "bond0", "dummy_0"]), ("c", vec!["b", "bond0.20", "dummy_0"])]
        {
            lab.nets(json!({ gone: { "remove": true } }));
            assert_same(&before.text(Some(&stay)), &Look::now().text(Some(&stay)), gone);
        }
        let now = Look::now();
        assert!(!now.has("bond0.10") && !now.has("a"));
        assert!(now.addresses("bond0").is_empty(), "the address went with its network, below a VLAN that stays");
        assert_eq!(now.index("bond0"), before.index("bond0"));
        lab.refused(31, json!({}), json!({ "bond0": { "remove": true } }));
        lab.setup(json!({ "b": { "remove": true } }), json!({ "bond0": { "remove": true } }));
        assert!(!Look::now().has("bond0") && lab.running_files().is_empty());
    });
}

#[test]
fn bonds_that_are_in_use_unknown_or_empty() {
    story(Dummy, 2, |lab| {
        lab.setup(json!({ "red": { "bonding": "bond0" } }), json!({ "bond0": bond(&["dummy_0"]) }));
        let before = Look::now().text(None);
        lab.refused(31, json!({}), json!({ "bond0": { "remove": true } }));
        lab.refused(31, json!({ "red": { "bonding": "bond0", "vlan": 5 } }), json!({ "bond0": { "remove": true } }));
        lab.refused(25, json!({ "blue": { "bonding": "bond7" } }), json!({}));
        lab.refused(25, json!({}), json!({ "bond7": { "remove": true } }));
        lab.refused(21, json!({}), json!({ "bond0": { "remove": true, "nics": ["dummy_0"] } }));
        assert_same(&before, &Look::now().text(None), "after refusals");
        // A bond without slaves can be removed, and so can one whose slaves have vanished.
        lab.ip("link add bond5 type bond\nlink set dummy_0 nomaster\nlink del dummy_0\n");
        lab.bonds(json!({ "bond5": { "remove": true } }));
        lab.setup(json!({ "red": { "remove": true } }), json!({ "bond0": { "remove": true } }));
        let now = Look::now();
        assert!(!now.has("bond5") && !now.has("bond0") && !now.has("red"));
    });
}

#[test]
fn a_bond_that_only_a_network_names_is_taken_over_as_it_is() {
    story(Dummy, 3, |lab| {
        lab.ip("link set dummy_0 down\nlink set dummy_1 down\nlink add bond3 type bond mode 802.3ad miimon 150\nlink set dummy_1 master bond3\nlink set dummy_0 master bond3\nlink set bond3 up\nlink add vlan100 link bond3 type vlan id 100\nlink set vlan100 up\n");
        let before = Look::now();
        lab.nets(json!({ "red": { "bonding": "bond3", "vlan": 100, "ipaddr": "10.0.0.1", "prefix": 24 } }));
        let now = Look::now();
        assert_eq!(
            (now.index("bond3"), now.index("vlan100"), now.ports("red")),
            (before.index("bond3"), before.index("vlan100"), vec!["vlan100"])
        );
        let stored = &lab.running_files()["bonds/bond3"];
        assert_eq!((&stored["nics"], &stored["hwaddr"]), (&json!(["dummy_0", "dummy_1"]), &json!(before.mac("bond3"))));
        let options = stored["options"].as_str().unwrap();
        assert!(options.contains("mode=4") && options.contains("miimon=150"), "{options}");
        lab.again(json!({ "red": { "bonding": "bond3", "vlan": 100, "ipaddr": "10.0.0.1", "prefix": 24 } }), json!({}));
        // Edited without options it keeps them.
        lab.bonds(json!({ "bond3": { "nics": ["dummy_0", "dummy_1", "dummy_2"] } }));
        assert_eq!(
            (&Look::now().info("bond3")["mode"], &Look::now().info("bond3")["miimon"]),
            (&json!("802.3ad"), &json!(150))
        );
        lab.setup(json!({ "red": { "remove": true } }), json!({ "bond3": { "remove": true } }));
        let now = Look::now();
        assert!(!now.has("vlan100") && !now.has("bond3"));
    });
}
