//! What a server says unasked: a method's name and parameters, and no id.
//!
//! On the wire it looks as a client's notification does; that one is a
//! [`Request`](super::Request) without an id. Which methods there are is not
//! known here.

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use super::Response;

/// A message nobody answers.
#[derive(Debug, Clone, PartialEq)]
pub struct Notification {
    /// What it is about.
    pub method: String,
    /// An array or an object; `Value::Null` when there are none.
    pub params: Value,
}

impl Notification {
    /// The line with it, and the line's end.
    pub fn to_line(&self) -> Vec<u8> {
        let mut line = serde_json::to_vec(self)
            .expect("a notification has only text for keys and is written to memory, so nothing can fail");
        line.push(b'\n');
        line
    }

    fn from_members(mut members: Map<String, Value>) -> Result<Notification, String> {
        match members.remove("method") {
            Some(Value::String(method)) => {
                Ok(Notification { method, params: members.remove("params").unwrap_or_default() })
            }
            _ => Err("a notification's method is a string".to_owned()),
        }
    }
}

impl Serialize for Notification {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("jsonrpc", "2.0")?;
        map.serialize_entry("method", &self.method)?;
        if !self.params.is_null() {
            map.serialize_entry("params", &self.params)?;
        }
        map.end()
    }
}

/// One line from a server.
#[derive(Debug, Clone, PartialEq)]
pub enum Outgoing {
    /// The answer to a call.
    Response(Response),
    /// Something it says unasked.
    Notification(Notification),
}

impl Outgoing {
    /// Reads a line, as a client does; the text of the error says what is wrong with it.
    ///
    /// Unlike a server a client trusts the other end: reports may be of any size.
    pub fn read(line: &[u8]) -> Result<Outgoing, String> {
        let value = serde_json::from_slice(line).map_err(|error| format!("this is not JSON: {error}"))?;
        let Value::Object(members) = value else {
            return Err("an answer is an object".to_owned());
        };
        if members.contains_key("method") && !members.contains_key("id") {
            Notification::from_members(members).map(Outgoing::Notification)
        } else {
            Response::from_members(members).map(Outgoing::Response)
        }
    }
}
