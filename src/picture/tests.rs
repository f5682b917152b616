//! Pictures compared with files, and what they say in special cases; laws for all are in `laws`.

use serde_json::{Value, json};

use crate::show::any::{many, network};

use super::scene::{Layer, Scene, Standing, WireState};
use super::*;

fn host() -> Value {
    serde_json::from_str(include_str!("../../tests/data/picture/topology.json")).unwrap()
}

#[test]
fn a_host_is_drawn_as_in_the_files() {
    let drawn = [svg(&host()), dot(&host()), mermaid(&host())];
    let expected = [
        include_str!("../../tests/data/picture/host.svg"),
        include_str!("../../tests/data/picture/host.dot"),
        include_str!("../../tests/data/picture/host.mmd"),
    ];
    for (drawn, expected) in drawn.iter().zip(expected) {
        assert_eq!(drawn, expected, "drawn:\n{drawn}");
    }
}

fn names(scene: &Scene, layer: Layer) -> Vec<&str> {
    scene.nodes.iter().filter(|node| node.layer == layer).map(|node| node.name.as_str()).collect()
}

#[test]
fn many_networks_of_one_shape_are_one_box_and_those_that_drifted_are_not_in_it() {
    let scene = scene(&many(500, 5));
    assert_eq!(names(&scene, Layer::Network), ["vm0", "vm1", "vm2", "vm3", "vm4", "vm5 … vm499"]);
    assert_eq!(names(&scene, Layer::Vlan), ["bond0.0", "bond0.1", "bond0.2", "bond0.3", "bond0.4"]);
    assert_eq!(names(&scene, Layer::Ports)[4..], ["1 VM port", "495 VM ports"]);
    assert_eq!(scene.nodes[5].lines, ["495 VLAN networks on bond0"]);
    let base = scene.nodes.iter().position(|node| node.name == "bond0").unwrap();
    assert!(scene.wires.iter().any(|wire| (wire.from, wire.to, wire.state) == (base, 5, WireState::Laid)));
}

#[test]
fn a_moderate_number_of_networks_is_drawn_one_by_one() {
    assert_eq!(names(&scene(&many(fold::PLAIN, 0)), Layer::Network).len(), fold::PLAIN);
}

#[test]
fn where_hardly_anything_agrees_like_goes_with_like() {
    let scene = scene(&many(500, 300));
    assert_eq!(names(&scene, Layer::Network), ["vm0 … vm299", "vm300 … vm499"]);
    assert_eq!(scene.nodes[0].standing, Standing::Drifted);
}

#[test]
fn different_shapes_are_not_drawn_as_one() {
    let mut host = many(100, 0);
    for (at, key, value) in [(0, "default_route", json!(true)), (1, "base", json!("eth9")), (2, "mtu", json!(9000))] {
        host["networks"][at][key] = value;
    }
    assert_eq!(names(&scene(&host), Layer::Network), ["vm0", "vm1", "vm2", "vm3 … vm99"]);
}

#[test]
fn a_crowd_of_strangers_is_one_box_but_for_those_that_carry_something() {
    let mut links: Vec<Value> = (0..100).map(|at| json!({"name": format!("dummy{at}"), "kind": "dummy"})).collect();
    links.push(json!({"name": "far", "kind": "vlan", "base": "dummy7"}));
    let scene = scene(&json!({"links": links}));
    assert_eq!(names(&scene, Layer::Nic), ["dummy0 … dummy99", "dummy7"]);
    assert_eq!(scene.nodes[0].lines, ["99 dummy devices"]);
}

#[test]
fn what_is_wanted_and_missing_is_drawn_with_what_it_should_stand_on() {
    let scene = scene(&json!({
        "links": [{"name": "eth0", "kind": "nic", "ours": true}],
        "networks": [network("red", "eth7", 5, "missing")],
        "bonds": [{"name": "bond0", "slaves": ["eth0", "eth1"], "state": "missing"}],
    }));
    let missing: Vec<_> = scene.nodes.iter().filter(|it| it.standing == Standing::Missing).collect();
    let seen: Vec<_> = missing.iter().map(|it| (it.name.as_str(), it.layer)).collect();
    let expected = [
        ("red", Layer::Network),
        ("bond0", Layer::Bond),
        ("eth7.5", Layer::Vlan),
        ("eth7", Layer::Nic),
        ("eth1", Layer::Nic),
    ];
    assert_eq!(seen, expected);
    let wires: Vec<_> = scene
        .wires
        .iter()
        .map(|wire| (scene.nodes[wire.from].name.as_str(), scene.nodes[wire.to].name.as_str()))
        .collect();
    assert_eq!(wires, [("eth7", "eth7.5"), ("eth7.5", "red"), ("eth0", "bond0"), ("eth1", "bond0")]);
    assert!(scene.wires.iter().all(|wire| wire.state == WireState::Missing));
}

#[test]
fn devices_that_are_there_and_not_wired_are_not_drawn_as_a_tower() {
    let mut host = many(1, 1);
    host["links"][1]["master"] = Value::Null;
    let scene = scene(&host);
    let towers = tower::Towers::built(&scene);
    let vlan = scene.nodes.iter().position(|node| node.name == "bond0.0").unwrap();
    let own = towers.towers.iter().find(|tower| tower.floors.contains(&vlan)).unwrap();
    assert_eq!(own.floors, [vlan]);
    let missing = towers.wires.iter().filter(|wire| wire.state == WireState::Missing).count();
    assert_eq!(missing, 1);
}

#[test]
fn a_slave_in_waiting_has_a_wire_of_its_own_kind() {
    let slave = |name: &str| json!({"name": name, "kind": "nic", "ours": true, "master": "bond0"});
    let bond = json!({"name": "bond0", "kind": "bond", "ours": true, "active": "eth1"});
    let scene = scene(&json!({"links": [slave("eth0"), slave("eth1"), bond]}));
    let state = |name: &str| scene.wires.iter().find(|wire| scene.nodes[wire.from].name == name).map(|wire| wire.state);
    assert_eq!((state("eth0"), state("eth1")), (Some(WireState::Standby), Some(WireState::Laid)));
}

#[test]
fn names_cannot_break_out_of_any_language() {
    let name = "a\"b<c>&d\\n[x]{y}`%%{z}%%#1;\u{1b}";
    let host = json!({"links": [{"name": name, "kind": "nic"}, {"name": "style:a#1;", "kind": "nic"}]});
    assert!(svg(&host).contains(">a&quot;b&lt;c&gt;&amp;d\\n[x]{y}"));
    assert!(dot(&host).contains(r##"label="a\"b<c>&amp;d\\n[x]{y}`%%{z}%%#1;"##));
    let mermaid = mermaid(&host);
    assert!(
        mermaid.contains("[\"a#34;b#60;c#62;#38;d#92;n#91;x#93;#123;y#125;#96;#37;#37;#123;z#125;#37;#37;#35;1#59;")
    );
    assert!(mermaid.contains("[\"style#58;a#35;1#59;\"]"), "{mermaid}");
    assert!([svg(&host), dot(&host), mermaid].iter().all(|text| !text.contains('\u{1b}')));
}
