//! The shapes of `hostQos`, `qosInbound` and `qosOutbound` (vdsm-facts 1.1.1, 3.10).
//!
//! What they would do is not known here: no configurator does it yet.

use serde_json::{Map, Value};

use super::fields::Fields;
use crate::problem::{Code, Stage};

/// Notes what is wrong with one of the three.
pub(super) fn check(key: &str, qos: &Map<String, Value>, f: &mut Fields<'_>) {
    if key != "hostQos" {
        return numbers(key, qos, &["average", "peak", "burst"], f);
    }
    for (direction, curves) in qos {
        let place = format!("{key}.{direction}");
        match curves.as_object() {
            Some(curves) if direction == "out" => {
                for (name, curve) in curves {
                    let place = format!("{place}.{name}");
                    match curve.as_object() {
                        Some(curve) if ["ls", "ul", "rt"].contains(&name.as_str()) => {
                            numbers(&place, curve, &["m1", "d", "m2"], f)
                        }
                        _ => wrong(&place, curve, "a curve is called ls, ul or rt, and is a map of m1, d and m2", f),
                    }
                }
            }
            _ => wrong(&place, curves, "the only direction is out, and it is a map of curves", f),
        }
    }
}

fn numbers(place: &str, map: &Map<String, Value>, known: &[&str], f: &mut Fields<'_>) {
    for (key, value) in map {
        let number = value.as_u64().or_else(|| value.as_str().and_then(|text| text.trim().parse().ok()));
        if number.is_none() || !known.contains(&key.as_str()) {
            wrong(
                &format!("{place}.{key}"),
                value,
                &format!("it must be one of {} and a whole number", known.join(", ")),
                f,
            );
        }
    }
}

fn wrong(place: &str, value: &Value, rule: &str, f: &mut Fields<'_>) {
    f.wrong_value(place, value.to_string(), rule, Code::BadParams, Stage::Canonical);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::problem::{Problem, Subject};

    fn places(key: &str, qos: Value) -> Vec<String> {
        let map = Map::new();
        let mut f = Fields::new(Subject::Request, &map);
        check(key, qos.as_object().unwrap(), &mut f);
        f.problems
            .iter()
            .map(|p| if let Problem::Value { key, .. } = p { key.clone() } else { p.to_string() })
            .collect()
    }

    #[test]
    fn each_number_has_its_place() {
        assert_eq!(places("hostQos", json!({"out": {"ls": {"m1": 0, "d": 0, "m2": "5000000"}}})), [""; 0]);
        assert_eq!(places("hostQos", json!({"out": 5})), ["hostQos.out"]);
        assert_eq!(places("hostQos", json!({"in": {}})), ["hostQos.in"]);
        assert_eq!(
            places("hostQos", json!({"out": {"xx": {}, "ul": {"m3": 1, "m2": -1}}})),
            ["hostQos.out.xx", "hostQos.out.ul.m3", "hostQos.out.ul.m2"]
        );
        assert_eq!(places("qosInbound", json!({"average": 1, "peak": "x"})), ["qosInbound.peak"]);
    }
}
