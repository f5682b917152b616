//! The verbs of the history: what was committed, and the way back to it.
//!
//! What an entry holds, and that the way back is an ordinary change, is the engine's affair.

use serde_json::{Map, Value, json};

use super::{Answer, Api, changed, explained, refused};
use crate::engine::journal::Asker;
use crate::rpc::RpcError;
use crate::server::Caller;

impl Api {
    /// Without configurations, requests and plans, which may be long.
    pub(super) fn history(&self, params: &Map<String, Value>) -> Answer {
        let (from, count) = (number(params, "from")?, number(params, "count")?);
        let count = count.map(|count| usize::try_from(count).unwrap_or(usize::MAX));
        let entries = self.engine.history(from, count).map_err(|error| refused(error.into()))?;
        Ok(json!({ "entries": entries }))
    }

    /// Without a number, what runs now: it may be no entry's.
    pub(super) fn history_entry(&self, params: &Map<String, Value>) -> Answer {
        match number(params, "number")? {
            Some(number) => Ok(json!(self.engine.entry(number).map_err(refused)?)),
            None => Ok(json!({ "number": null, "config": self.engine.running_as_stored() })),
        }
    }

    pub(super) fn roll_back(&self, params: &Map<String, Value>, verb: &str, caller: &Caller) -> Answer {
        let caller = Some((caller.peer.uid, caller.peer.pid));
        let asker = Asker { verb: verb.to_owned(), caller, request: Value::Object(params.clone()) };
        let done = self.engine.go_back(goal(params)?, options(params), &asker).map_err(refused)?;
        Ok(changed(&done))
    }

    pub(super) fn plan_rollback(&self, params: &Map<String, Value>) -> Answer {
        let plan = self.engine.explain_going_back(goal(params)?, options(params)).map_err(refused)?;
        Ok(explained(plan))
    }
}

fn goal(params: &Map<String, Value>) -> Result<u64, RpcError> {
    number(params, "to")?
        .ok_or_else(|| RpcError::invalid_params("to is missing, and it must be the number of an entry"))
}

fn options(params: &Map<String, Value>) -> &Value {
    params.get("options").unwrap_or(&Value::Null)
}

fn number(params: &Map<String, Value>, key: &str) -> Result<Option<u64>, RpcError> {
    match params.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => match value.as_u64() {
            Some(number) => Ok(Some(number)),
            None => Err(RpcError::invalid_params(format!("{key} is {value}, but it must be a whole number"))),
        },
    }
}
