//! Nics between bonds and networks: each has one use at a time, and changes it in one request.

use serde_json::json;

use crate::lab::{Nics::Dummy, mac, story, story_with};
use crate::look::{Look, assert_same, disable_ipv6};

#[test]
fn two_bonds_exchange_slaves_in_one_request() {
    story(Dummy, 4, |lab| {
        let networks = json!({ "red": { "bonding": "bond0", "ipaddr": "10.0.0.1", "prefix": 24 }, "blue": { "bonding": "bond1", "vlan": 5 } });
        lab.setup(
            networks,
            json!({ "bond0": { "nics": ["dummy_0", "dummy_1"] }, "bond1": { "nics": ["dummy_2", "dummy_3"] } }),
        );
        let before = Look::now();
        let rounds = [
            json!({ "bond0": { "nics": ["dummy_0", "dummy_2"] }, "bond1": { "nics": ["dummy_1", "dummy_3"] } }),
            json!({ "bond0": { "nics": ["dummy_1", "dummy_3"] }, "bond1": { "nics": ["dummy_0", "dummy_2"] } }),
            json!({ "bond0": { "nics": ["dummy_0"] }, "bond1": { "nics": ["dummy_1", "dummy_2", "dummy_3"] } }),
        ];
        for bonds in rounds {
            lab.bonds(bonds.clone());
            let now = Look::now();
            for name in ["bond0", "bond1"] {
                assert_eq!(
                    (json!(now.ports(name)), now.index(name)),
                    (bonds[name]["nics"].clone(), before.index(name)),
                    "{bonds}"
                );
                assert!(now.is_up(name) && now.has_carrier(name));
                assert_eq!(now.mac(name), now.mac(if name == "bond0" { "red" } else { "blue" }), "{bonds}");
            }
            assert_eq!((now.ports("red"), now.ports("blue")), (vec!["bond0"], vec!["bond1.5"]), "{bonds}");
            assert_eq!(
                (now.addresses("red"), now.index("bond1.5")),
                (before.addresses("red"), before.index("bond1.5"))
            );
        }
    });
}

#[test]
fn a_nic_is_a_slave_or_a_networks_and_never_both() {
    story(Dummy, 3, |lab| {
        let both = (json!({ "red": { "nic": "dummy_0" } }), json!({ "bond0": { "nics": ["dummy_0", "dummy_1"] } }));
        // All in one request, the bond first, the network first.
        lab.refused(24, both.0.clone(), both.1.clone());
        lab.bonds(both.1.clone());
        let before = Look::now().text(None);
        let error = lab.refused(24, both.0.clone(), json!({}));
        assert!(error.message.contains("dummy_0") && error.message.contains("bond0"), "{error:?}");
        lab.refused(24, json!({ "red": { "nic": "dummy_0", "vlan": 5 } }), json!({}));
        lab.refused(24, json!({}), json!({ "bond1": { "nics": ["dummy_1", "dummy_2"] } }));
        assert_same(&before, &Look::now().text(None), "after refusals");
        lab.bonds(json!({ "bond0": { "remove": true } }));
        lab.nets(both.0);
        lab.refused(24, json!({}), both.1);
        lab.refused(24, json!({}), json!({ "bond0": { "nics": ["dummy_1"] }, "bond1": { "nics": ["dummy_1"] } }));
    });
}

#[test]
fn a_bond_is_replaced_by_one_of_its_slaves_and_back() {
    story(Dummy, 2, |lab| {
        let red = |base: &str, name: &str| {
            let mut net = json!({ "vlan": 7, "ipaddr": "10.0.0.1", "prefix": 24, "mtu": 2000 });
            net[base] = json!(name);
            json!({ "red": net })
        };
        let bond = json!({ "bond0": { "nics": ["dummy_0", "dummy_1"] } });
        lab.setup(red("bonding", "bond0"), bond.clone());
        let before = Look::now();
        lab.setup(red("nic", "dummy_0"), json!({ "bond0": { "remove": true } }));
        let now = Look::now();
        assert!(!now.has("bond0") && !now.has("bond0.7"));
        assert_eq!(
            (now.ports("red"), now.index("red"), now.addresses("red")),
            (vec!["dummy_0.7"], before.index("red"), before.addresses("red"))
        );
        assert_eq!((now.mtus(&["dummy_0", "dummy_1"]), now.mac("dummy_1")), (vec![2000, 1500], mac(1).as_str()));
        lab.setup(red("bonding", "bond0"), bond);
        let now = Look::now();
        assert_eq!(
            (now.ports("red"), now.ports("bond0"), now.index("red")),
            (vec!["bond0.7"], vec!["dummy_0", "dummy_1"], before.index("red"))
        );
        assert!(!now.has("dummy_0.7"));
    });
}

#[test]
fn a_slave_with_an_address_of_its_own_loses_it() {
    story(Dummy, 2, |lab| {
        lab.ip("addr add 172.16.0.1/24 dev dummy_0\naddr add 2001:db8::1/64 dev dummy_0\nroute add default via 172.16.0.254\n");
        lab.setup(
            json!({ "red": { "bonding": "bond0", "bridged": false, "ipaddr": "10.0.0.1", "prefix": 24 } }),
            json!({ "bond0": { "nics": ["dummy_0", "dummy_1"] } }),
        );
        let now = Look::now();
        assert!(now.addresses("dummy_0").is_empty() && now.default_routes().is_empty());
        assert_eq!(now.addresses("bond0"), ["10.0.0.1/24"]);
        now.assert_no_ipv6(&["dummy_0", "dummy_1", "bond0"]);
    });
}

const FOREIGN: &str = "link set dummy_0 down\nlink add bond3 type bond\nlink set dummy_0 master bond3\nlink set bond3 up\naddr add 172.16.0.1/24 dev bond3\naddr add 2001:db8::1/64 dev bond3 nodad\n";

#[test]
fn an_address_a_bond_had_is_preserved_until_its_network_goes() {
    // The default, as the design document has it (vdsm-facts 3.18).
    story(Dummy, 1, |lab| {
        lab.ip(FOREIGN);
        let net = |n: u8| json!({ "red": { "bonding": "bond3", "bridged": false, "ipaddr": format!("172.16.0.{n}"), "prefix": 24 } });
        lab.nets(net(5));
        assert_eq!(Look::now().addresses("bond3"), ["172.16.0.1/24", "172.16.0.5/24", "2001:db8::1/64"]);
        lab.again(net(5), json!({}));
        lab.nets(net(6));
        assert_eq!(Look::now().addresses("bond3"), ["172.16.0.1/24", "172.16.0.6/24", "2001:db8::1/64"]);
        lab.nets(json!({ "red": { "remove": true } }));
        assert!(Look::now().addresses("bond3").is_empty(), "removing the network drops all");
        Look::now().assert_no_ipv6(&["bond3"]);
    });
}

#[test]
fn an_address_a_bond_had_is_replaced_where_vdsm_conf_says_so() {
    story_with("bond_foreign_addresses = replace", Dummy, 1, |lab| {
        lab.ip(FOREIGN);
        lab.nets(json!({ "red": { "bonding": "bond3", "bridged": false, "ipaddr": "172.16.0.5", "prefix": 24 } }));
        assert_eq!(Look::now().addresses("bond3"), ["172.16.0.5/24"]);
        Look::now().assert_no_ipv6(&["bond3"]);
    });
}

#[test]
fn ipv6_runs_on_the_devices_that_have_ipv6_and_on_no_other() {
    story(Dummy, 3, |lab| {
        let networks = json!({
            "six": { "bonding": "bond0", "vlan": 6, "ipv6addr": "fd00::1/64" },
            "plain6": { "bonding": "bond0", "vlan": 66, "bridged": false, "ipv6addr": "fd01::1/64" },
            "four": { "bonding": "bond0", "vlan": 4, "ipaddr": "10.0.0.1", "prefix": 24 },
            "nothing": { "nic": "dummy_2", "vlan": 9, "bridged": false },
        });
        lab.setup(networks, json!({ "bond0": { "nics": ["dummy_0", "dummy_1"] } }));
        let now = Look::now();
        now.assert_no_ipv6(&["dummy_0", "dummy_1", "dummy_2", "bond0", "bond0.6", "bond0.4", "four", "dummy_2.9"]);
        assert_eq!((disable_ipv6("six"), disable_ipv6("bond0.66")), ("0".to_owned(), "0".to_owned()));
        assert_eq!(
            (now.addresses("six"), now.addresses("bond0.66")),
            (vec!["fd00::1/64".to_owned()], vec!["fd01::1/64".to_owned()])
        );
        lab.nets(json!({ "six": { "bonding": "bond0", "vlan": 6 }, "four": { "bonding": "bond0", "vlan": 4, "ipv6addr": "fd00::1/64" } }));
        Look::now().assert_no_ipv6(&["six", "bond0.4"]);
        assert_eq!(Look::now().addresses("four"), ["fd00::1/64"]);
    });
}
