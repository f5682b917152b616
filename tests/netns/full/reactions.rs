//! Reactions and drift where there are bonds and VLANs: what comes back, what is told, what is mended.

use serde_json::{Map, Value, json};

use crate::common::random::{Kinds, Random, config};
use crate::ears::{Ears, until};
use crate::lab::{Lab, Nics::Dummy, story, story_with};
use crate::look::{Look, assert_same, without_indexes};

fn text(names: &[&str]) -> String {
    without_indexes(&Look::now().text(Some(names)))
}

/// The tool's other half: each difference, and the plan that mends them all.
fn differences(lab: &mut Lab, kind: &str, name: &str) -> Vec<String> {
    let checked = lab.call("Host.checkNetworks", json!({})).unwrap();
    let all = checked[kind][name]["differences"].as_array().unwrap_or_else(|| panic!("{kind} {name}: {checked}"));
    all.iter().map(|it| it["text"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_nic_below_a_vlan_and_a_bridge_is_unplugged_and_comes_back() {
    story(Dummy, 2, |lab| {
        let red = json!({ "nic": "dummy_0", "vlan": 10, "mtu": 2000, "stp": true, "ipaddr": "10.0.0.1", "prefix": 24, "gateway": "10.0.0.254", "defaultRoute": true, "ipv6addr": "fd00::1/64" });
        let plain = json!({ "nic": "dummy_0", "bridged": false, "ipaddr": "10.1.0.1", "prefix": 24 });
        let tagged = json!({ "nic": "dummy_0", "vlan": 20, "bridged": false, "ipaddr": "10.2.0.1", "prefix": 24 });
        lab.nets(json!({ "red": red, "plain": plain, "tagged": tagged, "blue": { "nic": "dummy_1" } }));
        lab.ip("tuntap add dev vnet0 mode tap\nlink set vnet0 mtu 2000 master red up\n");
        let mut ears = Ears::for_drift(lab);
        let devices = ["red", "dummy_0.10", "dummy_0.20"];
        let (before, all, others) = (Look::now(), text(&devices), text(&["blue", "dummy_1"]));
        for round in 0..2 {
            lab.ip("link del dummy_0\n");
            // The three are told together, by name.
            let told = ears.until_like("network tagged is out of sync: its nic dummy_0 is missing");
            assert_eq!(told.len(), 3, "{told:?}");
            let now = Look::now();
            assert_eq!((now.ports("red"), now.has("dummy_0.10")), (vec!["vnet0"], false));
            lab.ip(&format!("link add dummy_0 address {} type dummy\n", crate::lab::mac(0)));
            let told = ears.until("network tagged is in sync again");
            assert!(told.len() == 3 && told.iter().all(|it| it.ends_with("is in sync again")), "{told:?}");
            let now = Look::now();
            assert_eq!(
                (now.ports("red"), now.addresses("dummy_0")),
                (vec!["dummy_0.10", "vnet0"], vec!["10.1.0.1/24".to_owned()])
            );
            assert_eq!((now.index("red"), now.index("vnet0")), (before.index("red"), before.index("vnet0")));
            assert_same(&all, &text(&devices), &format!("round {round}"));
            assert_same(&others, &text(&["blue", "dummy_1"]), "the others");
            assert_eq!(now.default_routes(), before.default_routes());
        }
    });
}

#[test]
fn a_vlan_that_somebody_made_anew_with_another_tag_is_ours_again() {
    story(Dummy, 2, |lab| {
        let red = json!({ "nic": "dummy_0", "vlan": 10, "ipaddr": "10.0.0.1", "prefix": 24 });
        lab.nets(json!({ "red": red, "blue": { "nic": "dummy_1" } }));
        let (wanted, others) = (text(&["red", "dummy_0.10"]), text(&["dummy_0", "dummy_1", "blue"]));
        for other in ["dummy_0 name dummy_0.10 type vlan id 11", "dummy_1 name dummy_0.10 type vlan id 10"] {
            lab.ip(&format!("link del dummy_0.10\nlink add link {other}\nlink set dummy_0.10 up\n"));
            let told = differences(lab, "networks", "red");
            assert!(
                told[0].starts_with("the tag of dummy_0.10 is 11") || told[0].contains("stands on dummy_1"),
                "{told:?}"
            );
            let healed = crate::here::tool::tool(lab, "check --heal", "").expect(0).out;
            assert!(healed.starts_with("brought back in "), "{healed}");
            assert_same(&wanted, &text(&["red", "dummy_0.10"]), other);
            assert_same(&others, &text(&["dummy_0", "dummy_1", "blue"]), other);
        }
        // Another kind of VLAN is somebody's, and told as that.
        lab.ip("link del dummy_0.10\nlink add link dummy_0 name dummy_0.10 type vlan proto 802.1ad id 10\n");
        let told = differences(lab, "networks", "red");
        let wanted = "dummy_0.10 is another device (802.1ad vlan); nothing here is mended until the name is free";
        assert_eq!(told, [wanted]);
    });
}

#[test]
fn a_bond_gets_its_slaves_as_they_come_and_its_networks_with_the_first() {
    story_with("drift = ignore", Dummy, 4, |lab| {
        let networks = json!({ "red": { "bonding": "bond0", "vlan": 10, "ipaddr": "10.0.0.1", "prefix": 24 }, "blue": { "bonding": "bond1" } });
        let bonds = json!({ "bond0": { "nics": ["dummy_0", "dummy_1"], "options": "mode=1 miimon=100" }, "bond1": { "nics": ["dummy_2"], "options": "mode=4" } });
        lab.setup(networks, bonds);
        lab.set_safe();
        let devices = ["red", "bond0.10", "bond0", "blue", "bond1"];
        let (stored, bond) = (lab.running_files(), Look::now().index("bond0"));
        // A slave of a bond that lives.
        lab.ip("link del dummy_1\n");
        assert_eq!(Look::now().ports("bond0"), ["dummy_0"]);
        lab.ip("link add dummy_1 type dummy\n");
        until("it is a slave again", |look| look.ports("bond0") == ["dummy_0", "dummy_1"]);
        assert_eq!((Look::now().index("bond0"), Look::now().ports("red")), (bond, vec!["bond0.10"]));
        // All of them late at boot, one after the other.
        let all = |look: &Look| (look.ports("bond0").len(), look.ports("red").len(), look.ports("blue").len());
        lab.reboot();
        lab.ip("link del dummy_0\nlink del dummy_1\nlink del dummy_2\n");
        assert_eq!(lab.restore(false)["skipped"].as_array().map(Vec::len), Some(4));
        assert!(devices.iter().all(|name| !Look::now().has(name)));
        for (nic, wanted) in [("dummy_1", (1, 1, 0)), ("dummy_2", (1, 1, 1)), ("dummy_0", (2, 1, 1))] {
            lab.ip(&format!("link add {nic} type dummy\n"));
            until(nic, |look| all(look) == wanted);
        }
        until("red is whole", |look| look.addresses("red") == ["10.0.0.1/24"]);
        assert_eq!(lab.running_files(), stored);
        assert_eq!(lab.call("Host.checkNetworks", json!({})).unwrap()["in_sync"], true);
    });
}

#[test]
fn a_bonds_active_slave_and_its_lacp_partner_are_told() {
    story(Dummy, 2, |lab| {
        // Two cables to a switch, which is a stranger's bond.
        lab.ip("link add bond9 type bond mode 802.3ad miimon 100 lacp_rate fast\nlink set bond9 address 02:00:00:00:99:99\n");
        for number in [7, 8] {
            lab.ip(&format!(
                "link add dummy_{number} type veth peer name far{number}\nlink set far{number} master bond9\n"
            ));
        }
        lab.ip("link set bond9 up\n");
        let mut ears = Ears::open(lab, &["active_slave", "lacp_partner"]);
        let lacp = json!({ "nics": ["dummy_7", "dummy_8"], "options": "mode=4 miimon=100 lacp_rate=1" });
        let active = json!({ "nics": ["dummy_0", "dummy_1"], "options": "mode=1 miimon=100 primary=dummy_0" });
        lab.setup(json!({ "red": { "bonding": "bond0" } }), json!({ "bond0": lacp, "bond1": active }));
        ears.until("bond0: the LACP partner is 02:00:00:00:99:99");
        lab.ip("link set dummy_0 down\n");
        ears.until("bond1: the active slave is dummy_1");
        lab.ip("link set dummy_0 up\n");
        ears.until("bond1: the active slave is dummy_0");
        lab.ip("link set dummy_0 down\nlink set dummy_1 down\n");
        ears.until("bond1 has no active slave");
        lab.ip("link del bond9\n");
        ears.until("bond0: the LACP partner is 00:00:00:00:00:00");
    });
}

#[test]
fn our_own_changes_are_no_drift_at_any_moment() {
    story(Dummy, 6, |lab| {
        let nics: Vec<String> = (0..5).map(|n| format!("dummy_{n}")).collect();
        let (mut random, mut ears) = (Random(23), Ears::for_drift(lab));
        for _ in 0..20 {
            let (nets, bonds) = config(&mut random, &nics, Kinds { bonds: true, vlans: true }).to_stored();
            let mut wanted: Map<String, Value> = nets.into_iter().collect();
            let mut bonds: Map<String, Value> = bonds.into_iter().collect();
            for file in lab.running_files().keys() {
                let (folder, name) = file.split_once('/').unwrap();
                let all = if folder == "nets" { &mut wanted } else { &mut bonds };
                all.entry(name).or_insert(json!({ "remove": true }));
            }
            lab.setup(Value::Object(wanted), Value::Object(bonds));
        }
        lab.nets(json!({ "end": { "nic": "dummy_5" } }));
        lab.ip("link set end mtu 1400\n");
        let told = ears.until_like("network end is out of sync: ");
        assert_eq!(told.len(), 1, "{told:?}");
    });
}

#[test]
fn what_the_kernel_rounds_is_no_drift() {
    story(Dummy, 2, |lab| {
        let options = "mode=1 miimon=100 updelay=250";
        lab.setup(
            json!({ "red": { "bonding": "bond0" } }),
            json!({ "bond0": { "nics": ["dummy_0", "dummy_1"], "options": options } }),
        );
        let rounded = std::fs::read_to_string("/proc/thread-self/net/bonding/bond0").unwrap();
        assert!(rounded.contains("Up Delay (ms): 200"), "{rounded}");
        assert_eq!(differences(lab, "bonds", "bond0"), [""; 0]);
        assert_eq!(differences(lab, "networks", "red"), [""; 0]);
        lab.ip("link set bond0 type bond updelay 300\n");
        assert_eq!(differences(lab, "bonds", "bond0").len(), 1);
    });
}

/// What somebody does, and what is told of the bond and of the network upon it.
const PRANKS: [(&str, &[&str], &[&str]); 6] = [
    ("link set dummy_1 nomaster", &["dummy_1 left bond0"], &["its bond bond0 is out of sync"]),
    (
        "link set bond0 type bond miimon 200",
        &["option miimon of bond0 is 200 instead of 100"],
        &["its bond bond0 is out of sync"],
    ),
    ("link del bond0.10", &[], &["the vlan bond0.10 is missing"]),
    ("link set bond0.10 nomaster", &[], &["bond0.10 left red"]),
    ("link set bond0.10 mtu 1400", &[], &["the MTU of bond0.10 is 1400 instead of 1500"]),
    ("link del bond0", &["the bond bond0 is missing"], &["its bond bond0 is missing", "the vlan bond0.10 is missing"]),
];

fn networks() -> Value {
    json!({ "red": { "bonding": "bond0", "vlan": 10, "ipaddr": "10.0.0.1", "prefix": 24 } })
}

fn bonds() -> Value {
    json!({ "bond0": { "nics": ["dummy_0", "dummy_1"], "options": "mode=1 miimon=100" } })
}

const OURS: [&str; 5] = ["red", "bond0.10", "bond0", "dummy_0", "dummy_1"];

#[test]
fn drift_of_bonds_and_vlans_is_told_in_words_and_mended_when_somebody_asks() {
    story(Dummy, 2, |lab| {
        lab.setup(networks(), bonds());
        let (wanted, mut ears) = (text(&OURS), Ears::for_drift(lab));
        for (prank, of_bond, of_network) in PRANKS {
            lab.ip(&format!("{prank}\n"));
            ears.until_like("network red is out of sync: ");
            assert_eq!(differences(lab, "bonds", "bond0"), of_bond, "{prank}");
            let told = differences(lab, "networks", "red");
            for sentence in of_network {
                assert!(told.iter().any(|it| it == sentence), "{prank}: {told:?}");
            }
            let healed = lab.call("Host.healNetworks", json!({})).unwrap();
            assert_eq!(healed["in_sync"], true, "{prank}: {healed}");
            assert_same(&wanted, &text(&OURS), prank);
            ears.until("network red is in sync again");
        }
    });
}

#[test]
fn drift_of_bonds_and_vlans_is_mended_where_vdsm_conf_says_so() {
    for part in 0..2 {
        story_with("drift = heal", Dummy, 2, move |lab| {
            lab.setup(networks(), bonds());
            let wanted = text(&OURS);
            for (prank, ..) in PRANKS.iter().skip(part).step_by(2) {
                lab.ip(&format!("{prank}\n"));
                until(prank, |look| without_indexes(&look.text(Some(&OURS))) == wanted);
            }
        });
    }
}
