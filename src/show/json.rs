//! Words and numbers out of JSON by a stranger: what does not fit is absent, what harms is taken out.
//!
//! Which keys there are is known in `topology`.

use serde_json::Value;

pub(super) fn list<'v>(entry: &'v Value, key: &str) -> impl Iterator<Item = &'v Value> {
    entry.get(key).and_then(Value::as_array).into_iter().flatten()
}

pub(super) fn flag(entry: &Value, key: &str) -> bool {
    entry.get(key) == Some(&Value::Bool(true))
}

/// Older reports spell numbers as strings.
pub(super) fn number(entry: &Value, key: &str) -> Option<u64> {
    let value = entry.get(key)?;
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

pub(super) fn text(entry: &Value, key: &str) -> Option<String> {
    entry.get(key).and_then(Value::as_str).filter(|text| !text.is_empty()).map(clean)
}

pub(super) fn texts(entry: &Value, key: &str) -> Vec<String> {
    list(entry, key).filter_map(Value::as_str).filter(|text| !text.is_empty()).map(clean).collect()
}

/// Without what a terminal would obey, an XML document may not hold, or a reader cannot see.
///
/// A device's name may hold any byte but `/`, `:` and white space (`dev_valid_name` in the
/// kernel's `net/core/dev.c`), the escape character among them.
pub(crate) fn clean(text: &str) -> String {
    let unfit = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
            || matches!(c, '\u{fffe}' | '\u{ffff}')
    };
    text.chars().map(|c| if unfit(c) { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_may_be_spelled_as_strings() {
        let entry = json!({"a": 5, "b": "7", "c": -1, "d": "x", "e": 1.5, "f": null});
        assert_eq!(
            ["a", "b", "c", "d", "e", "f", "g"].map(|key| number(&entry, key)),
            [Some(5), Some(7), None, None, None, None, None]
        );
    }

    #[test]
    fn what_nobody_can_see_is_made_visible() {
        assert_eq!(clean("a\u{1b}[2J\n\u{202e}\u{200b}\u{ffff}ü …"), "a\u{fffd}[2J\u{fffd}\u{fffd}\u{fffd}\u{fffd}ü …");
    }
}
