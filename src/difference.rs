//! How two configurations differ, attribute by attribute.
//!
//! Both are JSON in the stored form, as the history has them. What an attribute means is not known
//! here, and neither is how a difference is drawn.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

/// The networks and bonds that are not the same in both: for each `what` became of it (`added`,
/// `changed` or `removed`) and its `attributes`, each `[old, new]`, null for what is not there. An
/// attribute within a map is told with the map's name before it, as in `custom.bridge_opts`.
pub fn between(old: &Value, new: &Value) -> Value {
    let of = |part: &str| {
        let empty = Map::new();
        let (old, new) = (old[part].as_object().unwrap_or(&empty), new[part].as_object().unwrap_or(&empty));
        let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
        let told = |name: &String| Some((name.clone(), entity(old.get(name), new.get(name))?));
        names.into_iter().filter_map(told).collect::<Map<String, Value>>()
    };
    json!({ "networks": of("networks"), "bondings": of("bondings") })
}

fn entity(old: Option<&Value>, new: Option<&Value>) -> Option<Value> {
    let what = match (old, new) {
        (old, new) if old == new => return None,
        (None, _) => "added",
        (_, None) => "removed",
        _ => "changed",
    };
    let (old, new) = (attributes(old), attributes(new));
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let differing = names.into_iter().filter(|name| old.get(*name) != new.get(*name));
    let pairs: Map<String, Value> =
        differing.map(|name| (name.clone(), json!([old.get(name), new.get(name)]))).collect();
    Some(json!({ "what": what, "attributes": pairs }))
}

fn attributes(entity: Option<&Value>) -> BTreeMap<String, &Value> {
    let mut flat = BTreeMap::new();
    flatten("", entity.unwrap_or(&Value::Null), &mut flat);
    flat
}

fn flatten<'a>(prefix: &str, value: &'a Value, into: &mut BTreeMap<String, &'a Value>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                let name = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
                flatten(&name, value, into);
            }
        }
        Value::Null => {}
        other => drop(into.insert(prefix.to_owned(), other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_attribute_is_told_as_it_was_and_as_it_is() {
        let old = json!({
            "networks": {
                "same": { "nic": "eth0" },
                "blue": { "nic": "eth1", "mtu": 1500, "gateway": "192.0.2.1", "custom": { "a": "1", "b": "2" } },
                "green": { "nic": "eth2" },
            },
            "bondings": { "bond0": { "nics": ["a", "b"] } },
        });
        let new = json!({
            "networks": {
                "same": { "nic": "eth0" },
                "blue": { "nic": "eth1", "mtu": 9000, "vlan": 7, "custom": { "a": "1", "b": "3" } },
                "red": { "nic": "eth3" },
            },
            "bondings": { "bond0": { "nics": ["a", "b", "c"] } },
        });
        let wanted = json!({
            "networks": {
                "blue": { "what": "changed", "attributes": {
                    "custom.b": ["2", "3"], "gateway": ["192.0.2.1", null], "mtu": [1500, 9000], "vlan": [null, 7],
                } },
                "green": { "what": "removed", "attributes": { "nic": ["eth2", null] } },
                "red": { "what": "added", "attributes": { "nic": [null, "eth3"] } },
            },
            "bondings": { "bond0": { "what": "changed", "attributes": { "nics": [["a", "b"], ["a", "b", "c"]] } } },
        });
        assert_eq!(between(&old, &new), wanted);
        let nothing = json!({ "networks": {}, "bondings": {} });
        assert_eq!(between(&old, &old), nothing);
        assert_eq!(between(&Value::Null, &nothing), nothing);
    }
}
