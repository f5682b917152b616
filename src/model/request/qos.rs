//! The engine's `hostQos`, `qosInbound` and `qosOutbound` (vdsm-facts 1.1.1, 3.10).
//!
//! `hostQos` becomes curves in the kernel's units, and curves become its numbers again. What the
//! other two would do is not known here: no configurator does it yet.

use serde_json::{Map, Value};

use super::fields::Fields;
use crate::problem::{Code, Problem, Stage};
use crate::qos::{Curve, Curves};

/// Reads `hostQos`; none when something is wrong with it.
///
/// Without `ls` the original failed while applying, and the kernel takes an upper limit for nothing
/// without it: so it is asked for.
pub(super) fn read_host(qos: &Map<String, Value>, f: &mut Fields<'_>) -> Option<Curves> {
    let before = f.problems.len();
    let mut curves = Curves::default();
    for (direction, given) in qos {
        let place = format!("hostQos.{direction}");
        match given.as_object() {
            Some(given) if direction == "out" => read_curves(&place, given, &mut curves, f),
            _ => wrong(&place, given, "the only direction is out, and it is a map of curves", f),
        }
    }
    if f.problems.len() == before && curves.ls.is_none() {
        f.problems.push(Problem::Missing {
            of: f.of.clone(),
            key: "hostQos.out.ls",
            because: "which says what share of the interface is the network's: its m2 must be more than 0",
            code: Code::BadParams,
            stage: Stage::Canonical,
        });
    }
    (f.problems.len() == before).then_some(curves)
}

fn read_curves(place: &str, given: &Map<String, Value>, into: &mut Curves, f: &mut Fields<'_>) {
    for (name, curve) in given {
        let place = format!("{place}.{name}");
        let part = match name.as_str() {
            "ls" => &mut into.ls,
            "ul" => &mut into.ul,
            "rt" => &mut into.rt,
            _ => {
                wrong(&place, curve, "a curve is called ls, ul or rt", f);
                continue;
            }
        };
        match curve.as_object() {
            Some(map) => *part = read_curve(&place, map, Unit::of(name), f).filter(|curve| !curve.is_zero()),
            None => wrong(&place, curve, "a curve is a map of m1, d and m2", f),
        }
    }
}

/// How slopes are given.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Unit {
    /// A weight: the original multiplied it by 8 and called it bits, so the kernel has it as it is.
    Weight,
    /// Bits a second.
    Bits,
}

impl Unit {
    fn of(curve: &str) -> Unit {
        if curve == "ls" { Unit::Weight } else { Unit::Bits }
    }
}

fn read_curve(place: &str, map: &Map<String, Value>, unit: Unit, f: &mut Fields<'_>) -> Option<Curve> {
    numbers(place, map, &["m1", "d", "m2"], f);
    let mut slope = |key: &str| {
        let given = map.get(key).and_then(number).unwrap_or(0);
        let bytes = if unit == Unit::Weight { given } else { given / 8 };
        let rule = match unit {
            Unit::Weight => "it must be no more than 4294967295",
            Unit::Bits => "it must be 0 or from 8 to 34359738367 bits a second",
        };
        let found = u32::try_from(bytes).ok().filter(|bytes| *bytes > 0 || given == 0);
        if found.is_none() {
            wrong(&format!("{place}.{key}"), &map[key], rule, f);
        }
        found
    };
    let (m1, m2) = (slope("m1"), slope("m2"));
    let d = u32::try_from(map.get("d").and_then(number).unwrap_or(0)).ok();
    if d.is_none() {
        wrong(&format!("{place}.d"), &map["d"], "it must be no more than 4294967295 microseconds", f);
    }
    Some(Curve { m1: m1?, d: d?, m2: m2? })
}

/// The numbers that the engine would have given for a curve: m1, d and m2.
pub fn spelled(name: &str, curve: Curve) -> [(&'static str, u64); 3] {
    let slope = |bytes: u32| u64::from(bytes) * if Unit::of(name) == Unit::Weight { 1 } else { 8 };
    [("d", curve.d.into()), ("m1", slope(curve.m1)), ("m2", slope(curve.m2))]
}

/// Notes what is wrong with `qosInbound` or `qosOutbound`.
pub(super) fn check_limits(key: &str, qos: &Map<String, Value>, f: &mut Fields<'_>) {
    numbers(key, qos, &["average", "peak", "burst"], f);
}

fn number(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str().and_then(|text| text.trim().parse().ok()))
}

fn numbers(place: &str, map: &Map<String, Value>, known: &[&str], f: &mut Fields<'_>) {
    for (key, value) in map {
        if number(value).is_none() || !known.contains(&key.as_str()) {
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
    use crate::problem::Subject;

    fn read(key: &str, qos: Value) -> (Option<Curves>, Vec<String>) {
        let map = Map::new();
        let mut f = Fields::new(Subject::Request, &map);
        let curves = match key {
            "hostQos" => read_host(qos.as_object().unwrap(), &mut f),
            _ => {
                check_limits(key, qos.as_object().unwrap(), &mut f);
                None
            }
        };
        let place = |p: &Problem| match p {
            Problem::Value { key, .. } => key.clone(),
            Problem::Missing { key, .. } => format!("no {key}"),
            _ => p.to_string(),
        };
        (curves, f.problems.iter().map(place).collect())
    }

    fn places(key: &str, qos: Value) -> Vec<String> {
        let (curves, places) = read(key, qos);
        assert!(curves.is_none());
        places
    }

    #[test]
    fn each_number_has_its_place() {
        assert_eq!(places("hostQos", json!({"out": 5})), ["hostQos.out"]);
        assert_eq!(places("hostQos", json!({"in": {}})), ["hostQos.in"]);
        assert_eq!(
            places("hostQos", json!({"out": {"xx": {}, "ul": {"m3": 1, "m2": -1}}})),
            ["hostQos.out.xx", "hostQos.out.ul.m3", "hostQos.out.ul.m2"]
        );
        assert_eq!(places("qosInbound", json!({"average": 1, "peak": "x"})), ["qosInbound.peak"]);
    }

    #[test]
    fn numbers_and_texts_become_the_kernels_units() {
        let given = json!({"out": {
            "ls": {"m1": 0, "d": 0, "m2": "5000000"}, "ul": {"m2": 1_000_000_001}, "rt": {"m1": 16, "d": "7", "m2": 0},
        }});
        let curve = |m1, d, m2| Some(Curve { m1, d, m2 });
        let curves = Curves { ls: curve(0, 0, 5_000_000), ul: curve(0, 0, 125_000_000), rt: curve(2, 7, 0) };
        assert_eq!(read("hostQos", given), (Some(curves), Vec::new()));
        assert_eq!(spelled("ls", curves.ls.unwrap()), [("d", 0), ("m1", 0), ("m2", 5_000_000)]);
        assert_eq!(spelled("ul", curves.ul.unwrap()), [("d", 0), ("m1", 0), ("m2", 1_000_000_000)]);
    }

    #[test]
    fn a_curve_of_nothing_is_none() {
        let given = json!({"out": {"ls": {"m2": 1}, "ul": {"m1": 0, "d": 9}}});
        assert_eq!(read("hostQos", given).0.unwrap().ul, None);
        for without in [json!({"out": {}}), json!({"out": {"ls": {"m2": 0}}}), json!({"out": {"ul": {"m2": 8}}})] {
            assert_eq!(places("hostQos", without), ["no hostQos.out.ls"]);
        }
    }

    #[test]
    fn what_the_kernel_cannot_hold_is_refused() {
        let with = |name: &str, curve: Value| {
            let mut out = json!({"ls": {"m2": 1}});
            out[name] = curve;
            read("hostQos", json!({"out": out}))
        };
        assert!(with("ls", json!({"m2": u32::MAX})).0.is_some());
        assert!(with("ul", json!({"m2": 34_359_738_367_u64})).0.is_some());
        for (name, curve, place) in [
            ("ls", json!({"m2": 4_294_967_296_u64}), "hostQos.out.ls.m2"),
            ("ul", json!({"m2": 34_359_738_368_u64}), "hostQos.out.ul.m2"),
            ("rt", json!({"m1": 7, "m2": 8}), "hostQos.out.rt.m1"),
            ("ls", json!({"m2": 1, "d": 4_294_967_296_u64}), "hostQos.out.ls.d"),
        ] {
            assert_eq!(with(name, curve), (None, vec![place.to_owned()]));
        }
    }
}
