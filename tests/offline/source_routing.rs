//! Each network with a gateway answers through it (vdsm-facts 3.11), on the host in memory.

use serde_json::{Value, json};
use vdsm_configurators::iproute2::Action;
use vdsm_model::problem::Problem;

use crate::refusals::rejects;
use crate::world::{World, dev, net};

fn with(nic: &str, number: u8) -> Value {
    json!({ "nic": nic, "ipaddr": format!("10.{number}.0.5"), "prefix": 24, "gateway": format!("10.{number}.0.1") })
}

const OF_1: [&str; 2] =
    ["32000: from all to 10.1.0.0/24 iif a lookup 167837701", "32000: from 10.1.0.0/24 lookup 167837701"];

#[test]
fn a_network_with_a_gateway_has_a_table_and_two_rules_of_its_own() {
    let mut world = World::with(json!({ "a": with("dummy_0", 1) }), json!({}));
    assert_eq!(world.source_routes("a"), ["10.1.0.0/24 table 167837701", "default via 10.1.0.1 table 167837701"]);
    assert_eq!((world.routes("a"), world.rules()), (vec![], OF_1.map(str::to_owned).to_vec()));
    world.set(json!({ "a": { "remove": true } }), json!({}));
    assert_eq!(world.rules(), [""; 0]);
}

#[test]
fn another_gateway_or_address_leaves_no_stale_route_or_rule() {
    let mut world = World::with(json!({ "a": with("dummy_0", 1) }), json!({}));
    let mut other = with("dummy_0", 1);
    other["gateway"] = json!("10.1.0.2");
    world.set(json!({ "a": other }), json!({}));
    assert_eq!(world.source_routes("a")[1], "default via 10.1.0.2 table 167837701");
    assert_eq!(world.rules(), OF_1);
    world.set(json!({ "a": with("dummy_0", 2) }), json!({}));
    assert_eq!(world.source_routes("a"), ["10.2.0.0/24 table 167903237", "default via 10.2.0.1 table 167903237"]);
    assert_eq!(
        world.rules(),
        ["32000: from all to 10.2.0.0/24 iif a lookup 167903237", "32000: from 10.2.0.0/24 lookup 167903237"]
    );
    let mut none = with("dummy_0", 2);
    none.as_object_mut().unwrap().remove("gateway");
    world.set(json!({ "a": none }), json!({}));
    assert_eq!((world.source_routes("a"), world.rules()), (vec![], vec![]));
}

#[test]
fn rules_move_with_the_address_from_a_nic_to_its_bridge_and_back() {
    let mut bare = with("dummy_0", 1);
    bare["bridged"] = json!(false);
    let mut world = World::with(json!({ "a": bare.clone() }), json!({}));
    assert_eq!(world.rules()[0], "32000: from all to 10.1.0.0/24 iif dummy_0 lookup 167837701");
    world.set(json!({ "a": with("dummy_0", 1) }), json!({}));
    assert_eq!((world.source_routes("dummy_0"), world.rules()), (vec![], OF_1.map(str::to_owned).to_vec()));
    world.set(json!({ "a": bare }), json!({}));
    assert_eq!(world.rules().len(), 2);
}

#[test]
fn what_a_deleted_device_left_behind_is_taken_away() {
    let mut world = World::with(json!({ "a": with("dummy_0", 1) }), json!({}));
    world.act(Action::DelLink { name: dev("a") });
    assert_eq!(world.rules(), OF_1, "rules outlive their device");
    let mut other = with("dummy_0", 2);
    other["gateway"] = json!("10.2.0.9");
    world.set(json!({ "a": other }), json!({}));
    assert_eq!(world.rules().len(), 2);
    world.act(Action::DelLink { name: dev("a") });
    world.set(json!({ "a": { "remove": true } }), json!({}));
    assert_eq!(world.rules(), [""; 0]);
}

#[test]
fn one_address_has_one_gateway() {
    let networks = json!({ "a": with("dummy_0", 1), "b": with("dummy_1", 1) });
    let problem = Problem::SharedAddress { address: "10.1.0.5".parse().unwrap(), networks: vec![net("a"), net("b")] };
    assert_eq!(problem.code() as i64, 22);
    rejects(networks, json!({}), &[problem]);
    // Without gateways it is nobody's business.
    let bare = |nic: &str| json!({ "nic": nic, "ipaddr": "10.1.0.5", "prefix": 24 });
    World::with(json!({ "a": with("dummy_0", 1), "b": bare("dummy_1") }), json!({}));
}

#[test]
fn a_default_route_that_moves_is_replaced() {
    let owner = |nic: &str, number: u8| {
        let mut net = with(nic, number);
        net["defaultRoute"] = json!(true);
        net
    };
    let mut world = World::with(json!({ "a": owner("dummy_0", 1), "b": with("dummy_1", 2) }), json!({}));
    let (plan, commands) = world.explain(json!({ "b": owner("dummy_1", 2) }), json!({}));
    assert_eq!(plan, "address b: +default via 10.2.0.1, instead of default via 10.1.0.1 on a\n");
    assert_eq!(commands, ["ip route replace default via 10.2.0.1 dev b proto 4"]);
    world.set(json!({ "b": owner("dummy_1", 2) }), json!({}));
    assert_eq!((world.routes("a"), world.routes("b")), (vec![], vec!["default via 10.2.0.1".to_owned()]));
    // A swap within a request, and an owner that goes: the route is there all the time as well.
    let (plan, _) = world.explain(json!({ "a": owner("dummy_0", 1), "b": with("dummy_1", 2) }), json!({}));
    assert_eq!(plan, "address a: +default via 10.1.0.1, instead of default via 10.2.0.1 on b\n");
    let (plan, _) = world.explain(json!({ "a": owner("dummy_0", 1), "b": { "remove": true } }), json!({}));
    let first = "address a: +default via 10.1.0.1, instead of default via 10.2.0.1 on b\n";
    assert!(plan.starts_with(first) && plan.contains("remove bridge b"), "{plan}");
}
