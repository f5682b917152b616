//! Lines of JSON on the socket: calls, answers, events.
//!
//! Who may connect and what is done is not known here.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use vdsm_model::name::DeviceName;

use crate::types::{Afterwards, Family, Status, Wanted};

/// A longer line is refused: no call comes near it.
pub(crate) const LONGEST_LINE: usize = 16 << 10;

/// A line of the daemon's.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Request {
    pub(crate) id: u64,
    pub(crate) method: String,
    #[serde(default)]
    pub(crate) params: Value,
}

/// What can be called.
#[derive(Debug, PartialEq)]
pub(crate) enum Call {
    Start(Wanted),
    Stop(Stop),
    List,
    Subscribe,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Stop {
    pub(crate) device: DeviceName,
    pub(crate) family: Family,
    pub(crate) lease: Afterwards,
}

impl Call {
    pub(crate) fn read(method: &str, params: Value) -> Result<Call, String> {
        fn of<T: serde::de::DeserializeOwned>(params: Value) -> Result<T, String> {
            serde_json::from_value(params).map_err(|error| error.to_string())
        }
        match method {
            "start" => match of::<Wanted>(params)? {
                Wanted { hostname: Some(name), .. } if !fits(&name) => Err(format!("'{name}' is no host name")),
                wanted => Ok(Call::Start(wanted)),
            },
            "stop" => of(params).map(Call::Stop),
            "list" => Ok(Call::List),
            "subscribe" => Ok(Call::Subscribe),
            _ => Err(format!("unknown method '{method}'")),
        }
    }

    pub(crate) fn spell(&self) -> (&'static str, Value) {
        match self {
            Call::Start(wanted) => ("start", json!(wanted)),
            Call::Stop(stop) => ("stop", json!(stop)),
            Call::List => ("list", Value::Null),
            Call::Subscribe => ("subscribe", Value::Null),
        }
    }
}

/// An option has at most 255 bytes, and a domain name fewer (RFC 1035, section 2.3.4).
fn fits(hostname: &str) -> bool {
    (1..=253).contains(&hostname.len()) && hostname.bytes().all(|it| it.is_ascii_alphanumeric() || b"-_.".contains(&it))
}

/// A line of the process's.
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Line {
    Good { id: u64, result: Value },
    Bad { id: Option<u64>, error: String },
    Event { event: Event },
}

/// What subscribers are told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Event {
    /// How a client stands now.
    Changed(Box<Status>),
    /// A client was stopped.
    Stopped(Wanted),
    /// More happened than was heard: this is everything.
    All(Vec<Status>),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_understood_is_refused_with_its_word() {
        for (method, params, word) in [
            ("dance", json!({}), "dance"),
            ("start", json!({ "device": "a/b", "family": "v4" }), "'/'"),
            ("start", json!({ "device": "eth0", "family": "v5" }), "v5"),
            ("start", json!({ "device": "eth0", "family": "v4", "shell": "rm" }), "shell"),
            ("start", json!({ "device": "eth0", "family": "v4", "hostname": "" }), "host name"),
            ("start", json!({ "device": "eth0", "family": "v4", "hostname": "a b" }), "'a b'"),
            ("stop", json!({ "device": "eth0", "family": "v4" }), "lease"),
        ] {
            let error = Call::read(method, params).unwrap_err();
            assert!(error.contains(word), "{error}");
        }
    }

    #[test]
    fn calls_arrive_as_they_were_sent() {
        let device = DeviceName::try_from("eth0").unwrap();
        let wanted = Wanted { device, family: Family::V6, hostname: Some("h".into()) };
        let stop = Stop { device, family: Family::V4, lease: Afterwards::Release };
        for call in [Call::Start(wanted), Call::Stop(stop), Call::List, Call::Subscribe] {
            let (method, params) = call.spell();
            assert_eq!(Call::read(method, params).unwrap(), call);
        }
    }
}
