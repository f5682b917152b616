//! Just enough JSON to read what cargo says about what it built.
//!
//! Not a validator, and it does not write. A dependency would have to be compiled
//! before the first command could run.

use std::collections::BTreeMap;
use std::iter::Peekable;
use std::str::Chars;

/// One JSON value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    Number(String),
    String(String),
    Array(Vec<Value>),
    Object(BTreeMap<String, Value>),
}

impl Value {
    /// The value `text` holds, or nothing if it holds none.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        value(&mut text.chars().peekable())
    }

    /// The member at the end of `path`; null where there is none.
    pub(crate) fn at(&self, path: &[&str]) -> &Self {
        path.iter().fold(self, |value, key| match value {
            Self::Object(members) => members.get(*key).unwrap_or(&Self::Null),
            _ => &Self::Null,
        })
    }

    pub(crate) fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn items(&self) -> &[Self] {
        match self {
            Self::Array(items) => items,
            _ => &[],
        }
    }
}

type Input<'a> = Peekable<Chars<'a>>;

fn value(input: &mut Input<'_>) -> Option<Value> {
    match peek(input)? {
        '{' => object(input),
        '[' => array(input),
        '"' => string(input).map(Value::String),
        _ => word(input),
    }
}

fn object(input: &mut Input<'_>) -> Option<Value> {
    input.next();
    let mut members = BTreeMap::new();
    while peek(input)? != '}' {
        let key = string(input)?;
        expect(input, ':')?;
        members.insert(key, value(input)?);
        if peek(input)? == ',' {
            input.next();
        }
    }
    input.next();
    Some(Value::Object(members))
}

fn array(input: &mut Input<'_>) -> Option<Value> {
    input.next();
    let mut items = Vec::new();
    while peek(input)? != ']' {
        items.push(value(input)?);
        if peek(input)? == ',' {
            input.next();
        }
    }
    input.next();
    Some(Value::Array(items))
}

fn string(input: &mut Input<'_>) -> Option<String> {
    expect(input, '"')?;
    let mut text = String::new();
    loop {
        match input.next()? {
            '"' => return Some(text),
            '\\' => match input.next()? {
                'n' => text.push('\n'),
                't' => text.push('\t'),
                'r' => text.push('\r'),
                'b' => text.push('\u{8}'),
                'f' => text.push('\u{c}'),
                'u' => text.push(escaped(input)?),
                other => text.push(other),
            },
            other => text.push(other),
        }
    }
}

/// What follows `\u`; beyond the first plane it is a pair of them.
fn escaped(input: &mut Input<'_>) -> Option<char> {
    let first = hex4(input)?;
    if !(0xd800..0xdc00).contains(&first) {
        return char::from_u32(first);
    }
    expect(input, '\\')?;
    expect(input, 'u')?;
    let second = hex4(input)?.checked_sub(0xdc00)?;
    char::from_u32(0x1_0000 + ((first - 0xd800) << 10) + second)
}

fn hex4(input: &mut Input<'_>) -> Option<u32> {
    let digits: String = input.by_ref().take(4).collect();
    u32::from_str_radix(&digits, 16).ok()
}

fn word(input: &mut Input<'_>) -> Option<Value> {
    let mut text = String::new();
    while let Some(c) = input.next_if(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '+' | '.')) {
        text.push(c);
    }
    match text.as_str() {
        "null" => Some(Value::Null),
        "true" => Some(Value::Bool(true)),
        "false" => Some(Value::Bool(false)),
        _ => text.parse::<f64>().is_ok().then_some(Value::Number(text)),
    }
}

fn expect(input: &mut Input<'_>, wanted: char) -> Option<()> {
    (peek(input)? == wanted).then(|| input.next()).map(|_| ())
}

fn peek(input: &mut Input<'_>) -> Option<char> {
    while input.next_if(|c| c.is_ascii_whitespace()).is_some() {}
    input.peek().copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargos_lines_are_read() {
        let line = r#"{"reason":"compiler-artifact","target":{"kind":["test"],"name":"netns"},
            "profile":{"test":true,"debuginfo":1},"executable":"/a \"b\"/\u00e9\ud83d\ude00","fresh":false,"x":null}"#;
        let value = Value::parse(line).unwrap();
        assert_eq!(value.at(&["target", "name"]).as_str(), Some("netns"));
        assert_eq!(value.at(&["target", "kind"]).items(), [Value::String("test".into())]);
        assert_eq!(value.at(&["profile", "test"]), &Value::Bool(true));
        assert_eq!(value.at(&["executable"]).as_str(), Some("/a \"b\"/é😀"));
        assert_eq!(value.at(&["no", "such"]), &Value::Null);
    }

    #[test]
    fn an_unfinished_text_is_no_value() {
        for text in ["", "{", "[1, 2", "\"abc", "{\"a\" 1}", "nonsense", "\"\\ud800x\""] {
            assert_eq!(Value::parse(text), None, "{text}");
        }
    }
}
