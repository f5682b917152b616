//! Drawings compared with files, and what holds for any answer.

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn host() -> Value {
    serde_json::from_str(include_str!("../../tests/data/show-topology.json")).unwrap()
}

fn drawn(networks: Value, links: Value) -> String {
    tree(&json!({ "networks": networks, "links": links }), false)
}

#[test]
fn a_host_is_drawn_as_in_the_file() {
    let drawn = tree(&host(), false);
    assert_eq!(drawn, include_str!("../../tests/data/show.txt"), "drawn:\n{drawn}");
}

/// Takes the escape sequences out.
fn uncoloured(text: &str) -> String {
    ["0", "1", "2", "31", "32", "33"]
        .iter()
        .fold(text.to_owned(), |text, code| text.replace(&format!("\x1b[{code}m"), ""))
}

#[test]
fn colour_adds_nothing_but_escape_sequences() {
    let coloured = tree(&host(), true);
    for part in ["\x1b[1movirtmgmt\x1b[0m", "\x1b[33m! drifted\x1b[0m", "\x1b[31m! missing\x1b[0m", "\x1b[32mup\x1b[0m"]
    {
        assert!(coloured.contains(part), "{part:?} in {coloured:?}");
    }
    assert_eq!(uncoloured(&coloured), tree(&host(), false));
}

#[test]
fn whatever_the_json_it_is_drawn() {
    for odd in [json!(null), json!([]), json!({}), json!({"networks": {}, "links": 3}), json!({"networks": [1, {}]})] {
        assert_eq!(tree(&odd, false), "no networks\n");
    }
    let odd = json!({
        "networks": [{"name": "n", "bridged": 1}, {"name": "m", "base": "gone", "vlan": "5", "mtu": "x"}, {"name": "m"}],
        "bonds": [{"name": "b"}],
    });
    let expected = "\
┌─ m     vlan 5
└─ gone  ! missing

── n     no nic

in no network
   b     ! missing, bond
";
    assert_eq!(tree(&odd, false), expected);
}

#[test]
fn a_network_without_its_device_says_so_though_nobody_called_it_drifted() {
    let networks = json!([{"name": "a", "bridged": true, "top": "a", "base": "eth0"}]);
    let links = json!([{"name": "eth0", "kind": "nic", "up": true, "state": "down"}]);
    let expected = "┌─ a     bridge, a is missing\n└─ eth0  nic, no carrier\n";
    assert_eq!(drawn(networks, links), expected);
}

#[test]
fn a_vlan_in_a_bridge_is_known_without_what_was_wanted() {
    let networks = json!([{"name": "a", "bridged": true, "top": "on123", "base": "eth0", "vlan": 9}]);
    let links = json!([
        {"name": "eth0", "kind": "nic"},
        {"name": "odd", "kind": "vlan", "base": "eth0", "tag": 9, "master": "on123", "ours": true, "up": false},
        {"name": "on123", "kind": "bridge", "ours": true, "up": true, "mtu": 1500},
    ]);
    assert_eq!(drawn(networks, links), "┌─ a     bridge on123, vlan 9 (odd) down, up, mtu 1500\n└─ eth0  nic\n");
}

#[test]
fn a_network_has_the_addresses_that_were_found() {
    let network =
        |state| json!([{"name": "a", "top": "eth0", "base": "eth0", "state": state, "addresses": ["192.0.2.1/24"]}]);
    let link = |addresses: Value| json!([{"name": "eth0", "kind": "nic", "ours": true, "addresses": addresses}]);
    let first = |networks, links| drawn(networks, links).lines().next().unwrap().to_owned();
    assert_eq!(first(network("in_sync"), link(json!([]))), "┌─ a     192.0.2.1/24");
    assert_eq!(first(network("drifted"), link(json!([]))), "┌─ a     ! drifted");
    let found = json!(["192.0.2.9/24", "fe80::1/64"]);
    assert_eq!(first(network("drifted"), link(found)), "┌─ a     ! drifted, 192.0.2.9/24");
    assert_eq!(first(network("missing"), json!([])), "┌─ a     ! missing, 192.0.2.1/24");
}

#[test]
fn what_a_stranger_holds_of_a_network_is_drawn_as_his() {
    let networks = json!([
        {"name": "a", "bridged": true, "top": "a", "base": "eth0", "state": "drifted"},
        {"name": "b", "bridged": true, "top": "b", "base": "bond0", "vlan": 5, "state": "drifted",
            "wants": [{"device": "bond0.5", "kind": "vlan", "on": ["bond0"]}]},
    ]);
    let link = |name: &str, kind: &str, master: Value| json!({"name": name, "kind": kind, "ours": true, "up": true, "master": master});
    let links = json!([
        link("a", "bridge", json!(null)),
        link("b", "bridge", json!(null)),
        link("eth0", "nic", json!("theirs")),
        link("bond0", "bond", json!(null)),
        link("bond0.5", "vlan", json!("theirs")),
        link("eth1", "nic", json!("bond0")),
        link("eth2", "nic", json!("theirs")),
        {"name": "theirs", "kind": "bridge", "up": true},
    ]);
    let bonds = json!([{"name": "bond0", "slaves": ["eth1", "eth2"], "state": "drifted"}]);
    let drawn = tree(&json!({ "networks": networks, "bonds": bonds, "links": links }), false);
    let expected = "\
┌─ a        ! drifted, bridge, up
└─ eth0     ! held by theirs, which is not ours, nic, up

┌─ b        ! drifted, bridge, vlan 5 held by theirs, up
└─ bond0    ! drifted, bond, up
   ├─ eth1  nic, up
   └─ eth2  ! held by theirs, which is not ours, nic, up

not ours
   theirs   bridge, up, ports bond0.5 eth0 eth2
";
    assert_eq!(drawn, expected, "drawn:\n{drawn}");
}

#[test]
fn what_is_out_of_sight_is_left_out_unless_it_is_ours() {
    let link = |name: &str, ours: bool| json!({"name": name, "kind": "nic", "hidden": true, "ours": ours});
    let links = json!([link("usb0", false), link("usb1", true), {"name": "lo", "kind": "loopback"}]);
    assert_eq!(drawn(json!([]), links), "no networks\n\nin no network\n   usb1  nic\n");
}

#[test]
fn a_name_cannot_command_the_terminal() {
    let links = json!([{"name": "e\u{1b}[2Jx\u{202e}", "kind": "nic"}]);
    let drawn = drawn(json!([]), links);
    assert!(drawn.contains("e\u{fffd}[2Jx\u{fffd}"), "{drawn:?}");
}

#[test]
fn the_lights_are_told_as_the_kernel_means_them() {
    let light = |up: Value, running: Value, state: &str| {
        let link = json!({"name": "a", "kind": "nic", "up": up, "running": running, "state": state});
        drawn(json!([]), json!([link])).lines().last().unwrap().rsplit_once("nic").unwrap().1.to_owned()
    };
    assert_eq!(light(json!(true), json!(true), "up"), ", up");
    assert_eq!(light(json!(true), json!(true), "unknown"), ", up");
    assert_eq!(light(json!(true), json!(false), "lowerlayerdown"), ", no carrier");
    assert_eq!(light(json!(true), json!(false), "down"), ", no carrier");
    assert_eq!(light(json!(true), json!(false), "dormant"), ", dormant");
    assert_eq!(light(json!(false), json!(false), "down"), ", down");
    assert_eq!(light(json!(false), json!(false), "notpresent"), ", not present");
    assert_eq!(light(json!(null), json!(null), "up"), ", up");
    assert_eq!(light(json!(null), json!(null), "down"), ", down");
    assert_eq!(light(json!(null), json!(null), ""), "");
}

proptest! {
    #[test]
    fn no_answer_makes_it_panic(answer in crate::show::any::answer()) {
        let plain = tree(&answer, false);
        prop_assert!(plain.ends_with('\n'));
        prop_assert_eq!(uncoloured(&tree(&answer, true)), plain);
    }

    #[test]
    fn every_name_is_told(host in crate::show::any::host()) {
        let drawn = tree(&host, false);
        for name in crate::show::any::names(&host) {
            prop_assert!(drawn.contains(&name), "{} in\n{}", name, drawn);
        }
    }
}

#[test]
fn a_team_is_drawn_as_a_bond_is_with_its_mode_and_its_active_port() {
    let port = |name: &str, state: &str| json!({ "name": name, "kind": "nic", "up": true, "master": "tm0", "port_state": state });
    let team = json!({ "name": "tm0", "kind": "team", "up": true, "mode": "activebackup", "active": "d2" });
    let drawn = drawn(json!([]), json!([team, port("d1", "backup"), port("d2", "active")]));
    let wanted = "   tm0    team activebackup, up\n   ├─ d1  nic, up\n   └─ d2  nic, up, active\n";
    assert!(drawn.contains(wanted), "{drawn}");
}
