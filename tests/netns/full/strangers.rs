//! Bonds and VLANs of others stay exactly as they are.

use serde_json::json;

use crate::lab::{Nics::Dummy, story, story_with};
use crate::look::{Look, assert_same};

const THEIRS: &str = "link set dummy_3 down
link set dummy_4 down
link add bond7 type bond mode balance-xor miimon 77
link set dummy_3 master bond7
link set dummy_4 master bond7
link set bond7 up
addr add 192.0.2.1/24 dev bond7
link add link bond7 name bond7.9 type vlan id 9
link set bond7.9 mtu 1300 up
link add link dummy_0 name theirs.5 type vlan id 5
addr add 198.51.100.1/24 dev theirs.5
link set theirs.5 up
link add team1 type bond
";

#[test]
fn a_foreign_bond_and_a_foreign_vlan_on_our_nic_are_never_touched() {
    story(Dummy, 5, |lab| {
        lab.ip(THEIRS);
        let devices: &[&str] = &["bond7", "bond7.9", "dummy_3", "dummy_4", "theirs.5", "team1"];
        let text = || Look::now().text(Some(devices));
        let before = text();
        let steps = [
            (
                json!({ "red": { "nic": "dummy_0", "vlan": 10, "mtu": 9000 } }),
                json!({ "bond0": { "nics": ["dummy_1"] } }),
            ),
            (
                json!({ "plain": { "nic": "dummy_0", "bridged": false, "ipaddr": "10.0.0.1", "prefix": 24 }, "blue": { "bonding": "bond0", "vlan": 5 } }),
                json!({}),
            ),
            (
                json!({ "red": { "remove": true }, "plain": { "remove": true } }),
                json!({ "bond0": { "nics": ["dummy_1", "dummy_2"], "options": "mode=4" } }),
            ),
            (json!({ "blue": { "remove": true } }), json!({ "bond0": { "remove": true } })),
        ];
        for (networks, bonds) in steps {
            lab.setup(networks.clone(), bonds);
            assert_same(&before, &text(), &networks.to_string());
        }
        lab.set_safe();
        lab.restore(true);
        assert_same(&before, &text(), "after a restore");
        // Their slaves are taken, and their VLAN keeps its nic from a bond.
        lab.refused(24, json!({ "red": { "nic": "dummy_3" } }), json!({}));
        lab.refused(24, json!({}), json!({ "bond0": { "nics": ["dummy_3"] } }));
        lab.refused(24, json!({}), json!({ "bond0": { "nics": ["dummy_0"] } }));
        assert_same(&before, &text(), "after refusals");
    });
}

#[test]
fn an_untouched_network_is_not_mended_by_a_request_for_another() {
    story(Dummy, 3, |lab| {
        lab.setup(
            json!({ "red": { "nic": "dummy_0", "vlan": 10, "mtu": 2000 }, "blue": { "nic": "dummy_1" } }),
            json!({}),
        );
        lab.ip("link set red mtu 1400\naddr add 192.0.2.1/24 dev red\n");
        let before = Look::now().text(Some(&["red", "dummy_0.10", "dummy_0"]));
        lab.nets(json!({ "blue": { "nic": "dummy_1", "mtu": 3000 }, "green": { "nic": "dummy_0", "vlan": 20 } }));
        assert_same(&before, &Look::now().text(Some(&["red", "dummy_0.10", "dummy_0"])), "drifted, and not asked for");
    });
}

#[test]
fn an_untouched_bridge_keeps_its_port_when_its_bond_or_a_tagged_neighbour_changes() {
    story_with("network_combination = relaxed", Dummy, 4, |lab| {
        let bond = |nics: &[&str], options: &str| json!({ "bond0": { "nics": nics, "options": options } });
        lab.setup(
            json!({ "red": { "bonding": "bond0", "ipaddr": "10.0.0.1", "prefix": 24 }, "blue": { "nic": "dummy_3" } }),
            bond(&["dummy_0", "dummy_1"], "mode=1"),
        );
        let index = Look::now().index("red");
        let check = |what: &str| {
            let now = Look::now();
            assert_eq!(
                (now.ports("red"), now.ports("blue"), now.index("red"), now.addresses("red")),
                (vec!["bond0"], vec!["dummy_3"], index, vec!["10.0.0.1/24".to_owned()]),
                "{what}"
            );
            assert_eq!(now.mac("red"), now.mac("bond0"), "{what}");
        };
        lab.bonds(bond(&["dummy_1", "dummy_2"], "mode=1"));
        check("a slave goes");
        lab.bonds(bond(&["dummy_0"], "mode=1"));
        check("all slaves go");
        lab.bonds(bond(&["dummy_0"], "mode=4"));
        check("another mode");
        // The kernel lets a bridge follow its only port's MTU, so this may take a second round.
        lab.request(json!({ "networks": { "ten": { "bonding": "bond0", "vlan": 10, "mtu": 9000 }, "twenty": { "nic": "dummy_3", "vlan": 20 } } })).unwrap();
        assert_eq!(Look::now().mtus(&["bond0", "red"]), [9000, 1500]);
        check("a tagged neighbour comes");
        lab.nets(json!({ "ten": { "remove": true }, "twenty": { "nic": "dummy_3", "vlan": 21, "bridged": false } }));
        check("a tagged neighbour goes");
    });
}

#[test]
fn a_default_route_on_any_kind_of_device_gives_way_and_comes_back() {
    story(Dummy, 3, |lab| {
        let red = json!({ "nic": "dummy_0", "ipaddr": "10.0.0.1", "prefix": 24, "gateway": "10.0.0.254", "defaultRoute": true });
        let out_of_reach = json!({ "nic": "dummy_1", "ipaddr": "10.9.0.1", "prefix": 24, "gateway": "10.5.0.254" });
        let kinds = [
            "link dummy_2 type macvlan",
            "type vxlan id 7 dstport 4789 dev dummy_2",
            "type gre local 192.0.2.1 remote 192.0.2.2",
            "type dummy",
        ];
        for kind in kinds {
            lab.ip(&format!("link add strange {kind}\nlink set strange up\nroute add default dev strange\n"));
            let before = Look::now().text(None);
            lab.expect_error(29, json!({ "networks": { "red": red, "zz": out_of_reach } }));
            assert_same(&before, &Look::now().text(None), kind);
            lab.nets(json!({ "red": red }));
            assert_eq!(Look::now().default_routes(), ["10.0.0.254 red"], "{kind}");
            lab.nets(json!({ "red": { "remove": true } }));
            lab.ip("link del strange\n");
        }
    });
}
