//! What a caller asks for, as JSON that nobody has judged yet: the parameters of setupNetworks.
//!
//! The hooks see a request in this form, and may rewrite it. What it means is the model's affair.

use serde_json::{Map, Value, json};
use vdsm_model::request::{Request, UnknownKeys};

use crate::rpc::{ParseError, Parsed, parse, shortened};

/// A request as `networks`, `bondings` and `options`.
#[derive(Clone, Debug, PartialEq)]
pub struct Asked {
    /// Network attributes by name.
    pub networks: Value,
    /// Bond attributes by name.
    pub bondings: Value,
    /// The options.
    pub options: Value,
}

/// Why a text is no request.
#[derive(Debug, thiserror::Error)]
pub enum AskedError {
    /// It is not JSON, or too much of it.
    #[error(transparent)]
    Parse(#[from] ParseError),
    /// A key is there twice, and which of them is meant nobody knows.
    #[error("{0}")]
    Duplicate(String),
    /// It has another form than it was handed out in.
    #[error("{0}")]
    Form(String),
}

/// The keys of a request.
const KEYS: [&str; 3] = ["networks", "bondings", "options"];

impl Asked {
    /// The parameters of a call; what is not given is null.
    pub fn from_params(mut params: Map<String, Value>) -> Asked {
        let mut get = |key| params.remove(key).unwrap_or(Value::Null);
        Asked { networks: get(KEYS[0]), bondings: get(KEYS[1]), options: get(KEYS[2]) }
    }

    /// As a typed request, with all that is wrong with it.
    pub fn read(&self, unknown: UnknownKeys) -> Request {
        Request::read(&self.networks, &self.bondings, &self.options, unknown)
    }

    /// The form the original's hooks know: `{"request": {"networks": .., "bondings": .., "options": ..}}`.
    /// What was not asked for is an empty map there.
    pub fn to_hook_json(&self) -> Value {
        let map = |value: &Value| if value.is_null() { json!({}) } else { value.clone() };
        json!({ "request": {
            "networks": map(&self.networks), "bondings": map(&self.bondings), "options": map(&self.options)
        } })
    }

    /// Reads that form again, as strictly as a line on the socket: all three keys, none twice, and
    /// no other. A key that a script has lost would be a wish that is silently forgotten.
    pub fn from_hook_json(text: &[u8]) -> Result<Asked, AskedError> {
        let Parsed { value, duplicate } = parse(text)?;
        if let Some(duplicate) = duplicate {
            return Err(AskedError::Duplicate(duplicate.to_string()));
        }
        let [request] = members(value, "the document", ["request"])?;
        let [networks, bondings, options] = members(request, "the request", KEYS)?;
        Ok(Asked { networks, bondings, options })
    }
}

/// The values of these keys, where they are all that there is.
fn members<const N: usize>(value: Value, what: &str, keys: [&str; N]) -> Result<[Value; N], AskedError> {
    let Value::Object(mut map) = value else {
        return Err(AskedError::Form(format!("{what} must be a map")));
    };
    if let Some(missing) = keys.iter().find(|key| !map.contains_key(**key)) {
        return Err(AskedError::Form(format!("{what} has no {missing:?} any more")));
    }
    let values = keys.map(|key| map.remove(key).unwrap_or(Value::Null));
    match map.keys().next() {
        None => Ok(values),
        Some(strange) => Err(AskedError::Form(format!("{what} has no member {:?}", shortened(strange)))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_handed_out_is_read_back() {
        let asked =
            Asked { networks: json!({ "b": {}, "a": { "mtu": 9000 } }), bondings: Value::Null, options: json!({}) };
        let text = asked.to_hook_json().to_string();
        let expected = r#"{"request":{"networks":{"b":{},"a":{"mtu":9000}},"bondings":{},"options":{}}}"#;
        assert_eq!(text, expected);
        let back = Asked::from_hook_json(text.as_bytes()).unwrap();
        assert_eq!(back, Asked { bondings: json!({}), ..asked });
    }

    #[test]
    fn a_rewritten_request_is_read_as_strictly_as_one_on_the_socket() {
        let whole = |inner: &str| format!(r#"{{"request":{{"networks":{{}},"bondings":{{}},"options":{{{inner}}}}}}}"#);
        for (text, told) in [
            (String::new(), "this is not JSON: EOF while parsing a value at line 1 column 0"),
            (whole("") + "x", "this is not JSON: trailing characters at line 1 column 55"),
            ("[1]".to_owned(), "the document must be a map"),
            ("{}".to_owned(), "the document has no \"request\" any more"),
            (r#"{"request":{"networks":{},"options":{}}}"#.to_owned(), "the request has no \"bondings\" any more"),
            (whole("").replace("{}}}", "{},\"x\":1}}"), "the request has no member \"x\""),
            (whole("").replace("}}}", "}},\"y\":1}"), "the document has no member \"y\""),
            (whole(r#""a":1,"a":2"#), "duplicate key \"a\" in \"request.options\""),
            (whole(&format!(r#""a":[{}]"#, ["[]"; 1 << 17].join(","))), "the document holds more than 131072 values"),
        ] {
            let error = Asked::from_hook_json(text.as_bytes()).unwrap_err();
            assert_eq!(error.to_string(), told, "{}", &text[..text.len().min(200)]);
        }
    }
}
