//! addNetwork, editNetwork and delNetwork: what they become, and what they are refused.

use serde_json::{Map, Value, json};
use vdsm_model::config::NetConfig;
use vdsm_net::asked::Asked;
use vdsm_net::older::{add, delete, edit};
use vdsm_net::rpc::RpcError;

use crate::world::World;

type Verb = fn(&Map<String, Value>, &NetConfig) -> Result<Asked, RpcError>;

fn call(verb: Verb, params: Value) -> Result<Asked, RpcError> {
    verb(params.as_object().unwrap(), &running())
}

/// Two networks on a bond, one on a nic, one on nothing.
fn running() -> NetConfig {
    let networks = json!({ "n": { "nic": "dummy_0", "vlan": 5 }, "m": { "bonding": "bond1", "vlan": 6 }, "b": { "bonding": "bond1", "bridged": false }, "lonely": {} });
    World::with(networks, json!({ "bond1": { "nics": ["dummy_1", "dummy_2"] } })).running
}

#[track_caller]
fn becomes(verb: Verb, params: Value, networks: Value, bondings: Value) {
    let options = json!({ "connectivityCheck": false });
    assert_eq!(call(verb, params.clone()), Ok(Asked { networks, bondings, options }), "{params}");
}

#[track_caller]
fn fails(verb: Verb, params: Value, code: i64, message: &str) {
    assert_eq!(call(verb, params.clone()), Err(RpcError::new(code, message)), "{params}");
}

#[test]
fn an_added_network_stands_on_what_is_named() {
    for (params, network, bonds) in [
        (json!({ "bridge": "new" }), json!({}), json!({})),
        (json!({ "bridge": "new", "vlan": null, "bond": null, "nics": null, "options": null }), json!({}), json!({})),
        (json!({ "bridge": "new", "vlan": "", "bond": "", "nics": [], "options": {} }), json!({}), json!({})),
        (json!({ "bridge": "new", "nics": ["em1"] }), json!({ "nic": "em1" }), json!({})),
        (json!({ "bridge": "new", "vlan": "5", "nics": ["em1"] }), json!({ "vlan": "5", "nic": "em1" }), json!({})),
        (
            json!({ "bridge": "new", "vlan": 5, "bond": "bond4", "nics": ["em1", "em2"] }),
            json!({ "vlan": 5, "bonding": "bond4" }),
            json!({ "bond4": { "nics": ["em1", "em2"] } }),
        ),
        (
            json!({ "bridge": "new", "bond": "bond4", "nics": ["em1"], "options": { "bondingOptions": "mode=1", "mtu": "9000" } }),
            json!({ "mtu": "9000", "bonding": "bond4" }),
            json!({ "bond4": { "nics": ["em1"], "options": "mode=1" } }),
        ),
        // A bond that is there is taken as it is.
        (
            json!({ "bridge": "new", "bond": "bond4", "options": { "bondingOptions": "mode=1" } }),
            json!({ "bonding": "bond4" }),
            json!({}),
        ),
    ] {
        becomes(add, params, json!({ "new": network }), bonds);
    }
}

#[test]
fn names_of_ifcfg_files_are_the_attributes_of_today() {
    let options = json!({ "IPADDR": "192.0.2.10", "NETMASK": "255.255.255.0", "GATEWAY": "192.0.2.1", "BOOTPROTO": "none", "BONDING_OPTS": "mode=4", "STP": "yes", "bridged": "true", "force": true, "connectivityCheck": "true" });
    becomes(
        add,
        json!({ "bridge": "new", "bond": "bond4", "nics": ["em1"], "options": options }),
        json!({ "new": { "ipaddr": "192.0.2.10", "netmask": "255.255.255.0", "gateway": "192.0.2.1", "bootproto": "none", "STP": "yes", "bridged": "true", "bonding": "bond4" } }),
        json!({ "bond4": { "nics": ["em1"], "options": "mode=4" } }),
    );
    becomes(
        add,
        json!({ "bridge": "new", "options": { "PREFIX": "24" } }),
        json!({ "new": { "prefix": "24" } }),
        json!({}),
    );
}

#[test]
fn a_network_is_added_once_and_several_nics_need_a_bond() {
    fails(add, json!({ "bridge": "n", "nics": ["em1"] }), 28, "network 'n': it exists already");
    fails(add, json!({ "bridge": "new", "nics": ["em1", "em2"] }), 25, "network 'new': several nics need a bond");
    fails(
        edit,
        json!({ "oldBridge": "n", "newBridge": "n", "nics": ["em1", "em2"] }),
        25,
        "network 'n': several nics need a bond",
    );
}

#[test]
fn an_edit_replaces_or_renames() {
    becomes(
        edit,
        json!({ "oldBridge": "n", "newBridge": "n", "nics": ["em1"] }),
        json!({ "n": { "nic": "em1" } }),
        json!({}),
    );
    becomes(
        edit,
        json!({ "oldBridge": "n", "newBridge": "new", "nics": ["em1"] }),
        json!({ "new": { "nic": "em1" }, "n": { "remove": true } }),
        json!({}),
    );
    fails(
        edit,
        json!({ "oldBridge": "gone", "newBridge": "new" }),
        27,
        "network 'gone': it cannot be edited, for it does not exist",
    );
    fails(edit, json!({ "newBridge": "new" }), 27, "network '': it cannot be edited, for it does not exist");
}

#[test]
fn an_edit_does_not_replace_a_third_network() {
    fails(edit, json!({ "oldBridge": "n", "newBridge": "m", "nics": ["em1"] }), 28, "network 'm': it exists already");
}

#[test]
fn only_an_edit_may_ask_for_a_connectivity_check() {
    let options = json!({ "connectivityCheck": "true", "connectivityTimeout": 60 });
    let edited = call(edit, json!({ "oldBridge": "n", "newBridge": "n", "options": options })).unwrap();
    assert_eq!((edited.options, edited.networks), (options, json!({ "n": {} })));
}

#[test]
fn a_removal_is_held_to_what_it_says() {
    let gone = |name: &str| json!({ name: { "remove": true } });
    for params in [
        json!({ "bridge": "n" }),
        json!({ "bridge": "n", "vlan": "", "bond": "", "nics": [], "options": { "force": true } }),
        json!({ "bridge": "n", "vlan": 5, "nics": ["dummy_0"] }),
        json!({ "bridge": "n", "vlan": "5" }),
    ] {
        becomes(delete, params, gone("n"), json!({}));
    }
    becomes(
        delete,
        json!({ "bridge": "m", "vlan": 6, "bond": "bond1", "nics": ["dummy_2", "dummy_1"] }),
        gone("m"),
        json!({}),
    );
    becomes(delete, json!({ "bridge": "b", "bond": "bond1" }), gone("b"), json!({}));
    // Whether it exists is the transaction's to say (27).
    becomes(delete, json!({ "bridge": "nowhere", "vlan": 5 }), gone("nowhere"), json!({}));

    let not_so = |name: &str, what: &str, said: &str| {
        format!("network '{name}': {what} is {said}, but that is not what the network has")
    };
    for (params, code, name, what, said) in [
        (json!({ "bridge": "n", "vlan": 6 }), 26, "n", "vlan", "6"),
        (json!({ "bridge": "n", "vlan": "x" }), 26, "n", "vlan", "\"x\""),
        (json!({ "bridge": "b", "vlan": 6 }), 26, "b", "vlan", "6"),
        (json!({ "bridge": "n", "bond": "dummy_0" }), 25, "n", "bond", "\"dummy_0\""),
        (json!({ "bridge": "m", "bond": "bond2" }), 25, "m", "bond", "\"bond2\""),
        (json!({ "bridge": "lonely", "bond": "bond1" }), 25, "lonely", "bond", "\"bond1\""),
        (json!({ "bridge": "m", "nics": ["dummy_1"] }), 23, "m", "nics", r#"["dummy_1"]"#),
        (json!({ "bridge": "n", "nics": ["dummy_0", "dummy_1"] }), 23, "n", "nics", r#"["dummy_0","dummy_1"]"#),
        (json!({ "bridge": "lonely", "nics": ["dummy_0"] }), 23, "lonely", "nics", r#"["dummy_0"]"#),
    ] {
        fails(delete, params, code, &not_so(name, what, said));
    }
}

#[test]
fn a_parameter_of_the_wrong_kind_is_refused() {
    fails(add, json!({ "bridge": 5 }), 21, "bridge is 5, but it must be a text");
    fails(add, json!({ "bridge": "new", "bond": [] }), 21, "bond is [], but it must be a text");
    fails(add, json!({ "bridge": "new", "nics": "em1" }), 21, "nics is \"em1\", but it must be a list of texts");
    fails(add, json!({ "bridge": "new", "nics": [1] }), 21, "nics is [1], but it must be a list of texts");
    fails(add, json!({ "bridge": "new", "options": "x" }), 21, "options is \"x\", but it must be a map");
    fails(edit, json!({ "oldBridge": "n", "newBridge": {} }), 21, "newBridge is {}, but it must be a text");
    fails(delete, json!({ "bridge": "n", "nics": 5 }), 21, "nics is 5, but it must be a list of texts");
    fails(delete, json!({ "bridge": "n", "options": [] }), 21, "options is [], but it must be a map");
}

/// The verbs' stories, told through the transaction.
#[test]
fn what_the_verbs_become_works() {
    let mut world = World::new();
    let mut tell = |verb: Verb, params: Value| {
        let told = verb(params.as_object().unwrap(), &world.running).map_err(|e| e.code)?;
        world.setup(told.networks, told.bondings).map(|_| world.has("n")).map_err(|e| e.code() as i64)
    };
    let ip = json!({ "IPADDR": "192.0.2.10", "NETMASK": "255.255.255.0", "BONDING_OPTS": "mode=4 miimon=150", "bridged": true });
    assert_eq!(tell(delete, json!({ "bridge": "n" })), Err(27));
    assert_eq!(tell(add, json!({ "bridge": "", "nics": ["dummy_0"] })), Err(27));
    assert_eq!(
        tell(
            add,
            json!({ "bridge": "n", "vlan": "5", "bond": "bond1", "nics": ["dummy_0", "dummy_1"], "options": ip })
        ),
        Ok(true)
    );
    assert_eq!(tell(add, json!({ "bridge": "n", "nics": ["dummy_0"] })), Err(28));
    assert_eq!(tell(add, json!({ "bridge": "m", "nics": ["dummy_0"] })), Err(24));
    assert_eq!(tell(add, json!({ "bridge": "m", "nics": ["dummy_9"] })), Err(23));
    assert_eq!(tell(edit, json!({ "oldBridge": "n", "newBridge": "m", "bond": "bond1" })), Ok(false));
    assert_eq!(tell(delete, json!({ "bridge": "m", "nics": ["dummy_0"] })), Err(23));
    assert_eq!(tell(delete, json!({ "bridge": "m", "bond": "bond1", "nics": ["dummy_1", "dummy_0"] })), Ok(false));
    assert!(world.has("bond1"), "a network's removal leaves its bond");
}
