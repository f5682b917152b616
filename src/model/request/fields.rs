//! The engine's spellings: numbers and booleans as text, nulls and empty strings for nothing.
//!
//! Which keys there are is known to `network.rs` and `bond.rs`.

use serde_json::{Map, Value};

use crate::problem::{Code, Problem, Stage, Subject};

/// The attributes of one entry, with a place for what is wrong with them.
pub(super) struct Fields<'a> {
    pub(super) of: Subject,
    pub(super) map: &'a Map<String, Value>,
    pub(super) problems: Vec<Problem>,
}

impl<'a> Fields<'a> {
    pub(super) fn new(of: Subject, map: &'a Map<String, Value>) -> Fields<'a> {
        Fields { of, map, problems: Vec::new() }
    }

    /// The value, unless it is null or empty: the engine once stored `""` for "none" (vdsm-facts 9.23).
    pub(super) fn value(&self, key: &str) -> Option<&'a Value> {
        self.map.get(key).filter(|v| !v.is_null() && v.as_str() != Some(""))
    }

    /// Notes that a value breaks a rule.
    pub(super) fn wrong(&mut self, key: &str, rule: &str, code: Code, stage: Stage) {
        let value = self.map.get(key).map_or_else(|| "missing".to_owned(), Value::to_string);
        self.wrong_value(key, value, rule, code, stage);
    }

    /// The same for a part of a value.
    pub(super) fn wrong_value(&mut self, key: &str, value: String, rule: &str, code: Code, stage: Stage) {
        self.problems.push(Problem::Value {
            of: self.of.clone(),
            key: key.to_owned(),
            value,
            rule: rule.to_owned(),
            code,
            stage,
        });
    }

    /// A text.
    pub(super) fn text(&mut self, key: &str) -> Option<&'a str> {
        let value = self.value(key)?;
        if value.as_str().is_none() {
            self.wrong(key, "it must be a text", Code::BadParams, Stage::Canonical);
        }
        value.as_str()
    }

    /// A whole number, or a text that is one.
    pub(super) fn integer(&mut self, key: &str, rule: &str, code: Code) -> Option<i64> {
        let value = self.value(key)?;
        let number = match value {
            Value::Number(n) => n.as_i64(),
            Value::String(s) => s.trim().parse().ok(),
            _ => None,
        };
        if number.is_none() {
            self.wrong(key, rule, code, Stage::Canonical);
        }
        number
    }

    /// A boolean: the original's `tobool` (vdsm-facts 1.1.4), but whole numbers count as such
    /// (there 1 was false), and a text that is neither is refused instead of being false.
    pub(super) fn boolean(&mut self, key: &str) -> Option<bool> {
        let value = self.value(key)?;
        let truth = match value {
            Value::Bool(b) => Some(*b),
            Value::Number(n) => n.as_i64().map(|n| n != 0),
            Value::String(s) => truth_of(s),
            _ => None,
        };
        if truth.is_none() {
            self.wrong(
                key,
                "it must be true or false, as a boolean, a text or a number",
                Code::BadParams,
                Stage::Canonical,
            );
        }
        truth
    }

    /// A list of texts.
    pub(super) fn texts(&mut self, key: &str) -> Option<Vec<&'a str>> {
        let value = self.value(key)?;
        let texts = value.as_array().and_then(|items| items.iter().map(Value::as_str).collect());
        if texts.is_none() {
            self.wrong(key, "it must be a list of texts", Code::BadParams, Stage::Canonical);
        }
        texts
    }

    /// A map.
    pub(super) fn map(&mut self, key: &str) -> Option<&'a Map<String, Value>> {
        let value = self.value(key)?;
        if value.as_object().is_none() {
            self.wrong(key, "it must be a map", Code::BadParams, Stage::Canonical);
        }
        value.as_object()
    }

    /// Keys that are neither known nor among those the original accepted and ignored, with the
    /// nearest known one.
    pub(super) fn unknown(&self, known: &[&str], ignored: &[&str]) -> Vec<Problem> {
        let strange = self.map.keys().filter(|k| !known.contains(&k.as_str()) && !ignored.contains(&k.as_str()));
        strange
            .map(|key| Problem::UnknownKey {
                of: self.of.clone(),
                key: key.clone(),
                nearest: crate::nearest(key, known).map(str::to_owned),
            })
            .collect()
    }
}

/// "true" in any case, or a number that is not 0; "false" likewise.
pub(super) fn truth_of(text: &str) -> Option<bool> {
    match text.trim() {
        t if t.eq_ignore_ascii_case("true") => Some(true),
        t if t.eq_ignore_ascii_case("false") => Some(false),
        t => t.parse::<i64>().ok().map(|n| n != 0),
    }
}
