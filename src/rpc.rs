//! JSON-RPC 2.0, as the daemon and its clients speak it.
//!
//! What a request, an answer and an error look like, and how a line of text
//! becomes one of them. Not here: sockets (`server`, `client`), and any method
//! or its parameters (`api`). The envelope is judged strictly, since a misspelt
//! `id` would turn a call into a notification nobody hears the end of.

mod notification;
mod strict;

use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Map, Number, Value};

pub use notification::{Notification, Outgoing};
pub use strict::{MAX_VALUES, ParseError, Parsed, parse};

/// The text is not JSON.
pub const PARSE_ERROR: i64 = -32700;
/// The JSON is not a request, or is one this server does not take.
pub const INVALID_REQUEST: i64 = -32600;
/// There is no such method.
pub const METHOD_NOT_FOUND: i64 = -32601;
/// The method exists, its parameters are wrong.
pub const INVALID_PARAMS: i64 = -32602;
/// The server failed in a way it did not expect.
pub const INTERNAL_ERROR: i64 = -32603;
/// The server has as many connections as it takes.
pub const TOO_MANY_CLIENTS: i64 = -32000;
/// The server holds as much as it may of lines that it has not answered yet.
pub const NO_ROOM: i64 = -32002;

/// What the caller wants to find again beside the answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Id {
    /// `null`: also stands for "the request was too broken to have one".
    Null,
    /// An integer. Fractions are refused, they do not survive the way back.
    Number(Number),
    /// Any text.
    Text(String),
}

impl TryFrom<Value> for Id {
    type Error = RpcError;

    fn try_from(value: Value) -> Result<Self, RpcError> {
        match value {
            Value::Null => Ok(Id::Null),
            Value::String(text) => Ok(Id::Text(text)),
            Value::Number(number) if !number.is_f64() => Ok(Id::Number(number)),
            _ => Err(RpcError::invalid_request("id is neither an integer of 64 bits, a string nor null")),
        }
    }
}

impl From<u64> for Id {
    fn from(number: u64) -> Self {
        Id::Number(number.into())
    }
}

/// One call, or a notification when it has no id.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// Absent in a notification: it is executed and never answered.
    pub id: Option<Id>,
    /// The method's name as the caller wrote it.
    pub method: String,
    /// An array or an object; `Value::Null` when the caller left it out.
    pub params: Value,
}

/// One line from a client.
#[derive(Debug, PartialEq)]
pub enum Incoming {
    /// One request, or the answer to what was no request.
    Single(Result<Request, Box<Response>>),
    /// An array of them, answered with an array.
    Batch(Vec<Result<Request, Box<Response>>>),
}

impl Incoming {
    /// Reads a line. What cannot be understood is already its own answer.
    pub fn read(line: &[u8]) -> Incoming {
        let refuse = |id, error| Incoming::Single(Err(Box::new(Response::error(id, error))));
        let Parsed { value, duplicate } = match parse(line) {
            Ok(parsed) => parsed,
            Err(error) => return refuse(Id::Null, error.into()),
        };
        if let Some(place) = duplicate {
            let id = value.get("id").filter(|_| place.path != ["id"]);
            let id = id.and_then(|id| Id::try_from(id.clone()).ok()).unwrap_or(Id::Null);
            return refuse(id, RpcError::invalid_request(place.to_string()));
        }
        match value {
            Value::Array(all) if all.is_empty() => refuse(Id::Null, RpcError::invalid_request("the batch is empty")),
            Value::Array(all) => Incoming::Batch(all.into_iter().map(Request::judge).collect()),
            single => Incoming::Single(Request::judge(single)),
        }
    }
}

impl Request {
    fn judge(value: Value) -> Result<Request, Box<Response>> {
        let Value::Object(mut members) = value else {
            let error = RpcError::invalid_request("a request is an object");
            return Err(Box::new(Response::error(Id::Null, error)));
        };
        let id = members.remove("id").map(Id::try_from).transpose();
        let known = id.as_ref().ok().cloned().flatten().unwrap_or(Id::Null);
        id.and_then(|id| Request::from_members(id, members)).map_err(|error| Box::new(Response::error(known, error)))
    }

    fn from_members(id: Option<Id>, mut members: Map<String, Value>) -> Result<Request, RpcError> {
        if members.remove("jsonrpc") != Some("2.0".into()) {
            return Err(RpcError::invalid_request(r#"jsonrpc is not "2.0""#));
        }
        let Some(Value::String(method)) = members.remove("method") else {
            return Err(RpcError::invalid_request("method is missing or not a string"));
        };
        let params = match members.remove("params") {
            None => Value::Null,
            Some(params @ (Value::Array(_) | Value::Object(_))) => params,
            Some(_) => {
                return Err(RpcError::invalid_request("params is neither an array nor an object"));
            }
        };
        match members.keys().next() {
            None => Ok(Request { id, method, params }),
            Some(name) => Err(RpcError::invalid_request(format!("a request has no member {:?}", shortened(name)))),
        }
    }
}

impl Serialize for Request {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("jsonrpc", "2.0")?;
        if let Some(id) = &self.id {
            map.serialize_entry("id", id)?;
        }
        map.serialize_entry("method", &self.method)?;
        if !self.params.is_null() {
            map.serialize_entry("params", &self.params)?;
        }
        map.end()
    }
}

/// The answer to one call.
#[derive(Debug, Clone, PartialEq)]
pub struct Response {
    /// The call's id.
    pub id: Id,
    /// What came of it.
    pub outcome: Result<Value, RpcError>,
}

impl Response {
    /// An answer that says no.
    pub fn error(id: Id, error: RpcError) -> Response {
        Response { id, outcome: Err(error) }
    }

    fn from_members(mut members: Map<String, Value>) -> Result<Response, String> {
        let id = members.remove("id").ok_or("the answer has no id")?;
        let id = Id::try_from(id).map_err(|error| error.message)?;
        let outcome = match (members.remove("result"), members.remove("error")) {
            (Some(result), None) => Ok(result),
            (None, Some(error)) => Err(serde_json::from_value(error).map_err(|error| error.to_string())?),
            _ => return Err("an answer has either a result or an error".to_owned()),
        };
        Ok(Response { id, outcome })
    }
}

impl Serialize for Response {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(3))?;
        map.serialize_entry("jsonrpc", "2.0")?;
        map.serialize_entry("id", &self.id)?;
        match &self.outcome {
            Ok(result) => map.serialize_entry("result", result)?,
            Err(error) => map.serialize_entry("error", error)?,
        }
        map.end()
    }
}

/// Why a call failed. VDSM's own codes (21, 25, 40 ..) stand in `code` unchanged.
#[derive(Debug, Clone, PartialEq, thiserror::Error, Serialize, Deserialize)]
#[error("{message} (code {code})")]
pub struct RpcError {
    /// What a program reads.
    pub code: i64,
    /// What a person reads.
    pub message: String,
    /// Details, where the method has any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<Value>,
}

impl RpcError {
    /// An error without details.
    pub fn new(code: i64, message: impl Into<String>) -> RpcError {
        RpcError { code, message: message.into(), data: None }
    }

    /// -32600: what came is not a request.
    pub fn invalid_request(message: impl Into<String>) -> RpcError {
        RpcError::new(INVALID_REQUEST, message)
    }

    /// -32601: there is no such method.
    pub fn method_not_found(method: &str) -> RpcError {
        let message = format!("there is no method {:?}", shortened(method));
        RpcError::new(METHOD_NOT_FOUND, message)
    }

    /// -32602: the parameters do not fit the method.
    pub fn invalid_params(message: impl Into<String>) -> RpcError {
        RpcError::new(INVALID_PARAMS, message)
    }

    /// -32603: we failed in a way we did not expect.
    pub fn internal(message: impl Into<String>) -> RpcError {
        RpcError::new(INTERNAL_ERROR, message)
    }
}

impl From<ParseError> for RpcError {
    fn from(error: ParseError) -> Self {
        let code = match error {
            ParseError::Syntax(_) => PARSE_ERROR,
            ParseError::TooManyValues => INVALID_REQUEST,
        };
        RpcError::new(code, error.to_string())
    }
}

/// The first hundred characters: a caller's text, fit for a message or a log.
pub(crate) fn shortened(text: &str) -> &str {
    text.char_indices().nth(100).map_or(text, |(end, _)| &text[..end])
}

#[cfg(test)]
mod tests;
