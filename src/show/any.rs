//! Answers of `Host.getTopology` for property tests: plausible hosts, and JSON of no sense at all.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

/// Few names, so that references often meet; some that no drawing may take at their word.
fn name() -> BoxedStrategy<String> {
    let nasty = ["a&b<c>\"'", "]]>", "e\u{1b}[1m", "\u{202e}x", "end", "graph \"x\"; }", "über", ""];
    prop_oneof![
        6 => (select(vec!["eth", "net", "bond", "vnet", "vm"]), 0..12u8).prop_map(|(word, n)| format!("{word}{n}")),
        1 => select(nasty.to_vec()).prop_map(str::to_owned),
    ]
    .boxed()
}

fn leaf() -> BoxedStrategy<Value> {
    prop_oneof![
        3 => name().prop_map(Value::from),
        1 => any::<bool>().prop_map(Value::from),
        1 => any::<u64>().prop_map(Value::from),
        1 => any::<f64>().prop_map(Value::from),
        1 => any::<String>().prop_map(Value::from),
        1 => Just(Value::Null),
        1 => select(vec!["bridge", "vlan", "bond", "tap", "nic", "drifted", "missing", "up"]).prop_map(Value::from),
    ]
    .boxed()
}

/// Any JSON below the keys of the contract, or none of them.
pub(crate) fn answer() -> BoxedStrategy<Value> {
    const KEYS: [&str; 34] = [
        "name",
        "kind",
        "ours",
        "nic",
        "hidden",
        "up",
        "running",
        "state",
        "mtu",
        "mac",
        "speed",
        "duplex",
        "master",
        "base",
        "peer",
        "tag",
        "mode",
        "active",
        "partner",
        "port_state",
        "addresses",
        "gateway",
        "default_route",
        "top",
        "vlan",
        "differences",
        "wants",
        "device",
        "on",
        "ports",
        "slaves",
        "bridged",
        "links",
        "networks",
    ];
    let value = leaf().prop_recursive(3, 40, 6, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(Value::from),
            vec((select(KEYS.to_vec()), inner), 0..12)
                .prop_map(|entries| entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()),
        ]
    });
    let top = |value: BoxedStrategy<Value>| (vec(value.clone(), 0..12), vec(value.clone(), 0..12), vec(value, 0..6));
    prop_oneof![
        1 => value.clone(),
        4 => top(value.boxed()).prop_map(|(links, networks, bonds)| {
            json!({ "links": links, "networks": networks, "bonds": bonds, "nameservers": links, "unsaved": true })
        }),
    ]
    .boxed()
}

/// A host that could be: nics, bonds upon them, networks upon both, VMs, strangers, and drift.
pub(crate) fn host() -> BoxedStrategy<Value> {
    let network = (0..8usize, 0..40u32, any::<bool>(), 0..4usize, 0..4usize, any::<bool>());
    (1..8usize, 0..3usize, vec(network, 0..40), 0..6usize)
        .prop_map(|(nics, bonds, networks, strangers)| built(nics, bonds, &networks, strangers))
        .boxed()
}

/// Base, tag (0 for none), bridged, ports, state, and whether it has an address.
type Asked = (usize, u32, bool, usize, usize, bool);

fn built(nics: usize, bonds: usize, asked: &[Asked], strangers: usize) -> Value {
    let state = |at: usize| ["in_sync", "in_sync", "drifted", "missing"][at];
    let mut links = Vec::new();
    let mut networks = Vec::new();
    for nic in 0..nics {
        let master = (nic < bonds).then(|| format!("bond{nic}"));
        links.push(json!({"name": format!("eth{nic}"), "kind": "nic", "nic": true, "ours": true, "up": true, "state": "up", "master": master, "mtu": 1500, "speed": 10_000}));
    }
    for bond in 0..bonds {
        links.push(json!({"name": format!("bond{bond}"), "kind": "bond", "ours": true, "up": true, "mode": "802.3ad", "mtu": 1500}));
    }
    for (at, &(base, tag, bridged, ports, drift, address)) in asked.iter().enumerate() {
        let base = if base < bonds { format!("bond{base}") } else { format!("eth{}", base % nics) };
        let name = format!("net{at}");
        let vlan = (tag > 0).then(|| format!("{base}.{}", tag * 100 + at as u32));
        let below = vlan.clone().unwrap_or_else(|| base.clone());
        let top = if bridged { name.clone() } else { below.clone() };
        let mut wants = Vec::new();
        if let Some(vlan) = &vlan {
            wants.push(json!({"device": vlan, "kind": "vlan", "on": [base]}));
            if drift < 3 {
                let master = bridged.then_some(&name);
                links.push(json!({"name": vlan, "kind": "vlan", "ours": true, "base": base, "tag": tag, "master": master, "up": true}));
            }
        }
        if bridged {
            wants.push(json!({"device": name, "kind": "bridge", "ports": [below]}));
            if drift < 3 {
                links.push(json!({"name": name, "kind": "bridge", "ours": true, "up": true, "mtu": 1500}));
                let tap = |port| json!({"name": format!("vnet{at}x{port}"), "kind": "tap", "master": name});
                links.extend((0..ports).map(tap));
            }
        }
        let addresses: Vec<String> = address.then(|| format!("192.0.2.{at}/24")).into_iter().collect();
        networks.push(json!({"name": name, "bridged": bridged, "top": top, "base": base, "vlan": vlan.map(|_| tag), "addresses": addresses, "state": state(drift), "differences": if drift > 1 { vec!["it is not as it should be"] } else { Vec::new() }, "wants": wants}));
    }
    for stranger in 0..strangers {
        let kind = ["veth", "dummy", "macvlan", "bridge", "nic", "team"][stranger];
        links.push(json!({"name": format!("far{stranger}"), "kind": kind, "base": (kind == "macvlan").then_some("eth0"), "up": false}));
    }
    json!({"links": links, "networks": networks, "bonds": [], "nameservers": ["192.0.2.53"], "unsaved": false})
}

/// The devices and networks of a host that a drawing must name.
pub(crate) fn names(host: &Value) -> Vec<String> {
    let all = ["links", "networks"].into_iter().flat_map(|key| host[key].as_array().unwrap());
    all.map(|entry| entry["name"].as_str().unwrap().to_owned()).collect()
}

/// A bridged VLAN network with all it wants; its bridge and its VLAN are named as usual.
pub(crate) fn network(name: &str, base: &str, tag: usize, state: &str) -> Value {
    let vlan = format!("{base}.{tag}");
    json!({
        "name": name, "bridged": true, "top": name, "base": base, "vlan": tag, "state": state,
        "wants": [
            {"device": vlan, "kind": "vlan", "on": [base]},
            {"device": name, "kind": "bridge", "ports": [vlan]},
        ],
    })
}

/// So many VLAN networks on `bond0`, with a machine on each, and the first few drifted.
pub(crate) fn many(networks: usize, drifted: usize) -> Value {
    let mut links = vec![json!({"name": "bond0", "kind": "bond", "ours": true, "up": true})];
    let mut all = Vec::new();
    for at in 0..networks {
        let (name, vlan) = (format!("vm{at}"), format!("bond0.{at}"));
        links.push(json!({"name": vlan, "kind": "vlan", "ours": true, "base": "bond0", "tag": at, "master": name}));
        links.push(json!({"name": name, "kind": "bridge", "ours": true, "up": true}));
        links.push(json!({"name": format!("vnet{at}"), "kind": "tap", "master": name}));
        all.push(network(&name, "bond0", at, if at < drifted { "drifted" } else { "in_sync" }));
    }
    json!({"links": links, "networks": all})
}
