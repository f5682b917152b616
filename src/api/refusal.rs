//! Errors as the engine expects them: the original's code, a sentence, and as data all problems, what
//! became of the host, and what a person can do.
//!
//! What is advised is in `advice.rs`.

use serde_json::{Value, json};
use vdsm_model::problem::{Code, Problem};

use crate::advice;
use crate::engine::EngineError;
use crate::engine::history::HistoryError;
use crate::hooks::Failure;
use crate::rpc::RpcError;
use crate::transaction::{SetupError, chain};

/// An error of the engine's.
pub(crate) fn refused(error: EngineError) -> RpcError {
    let code = code_of(&error);
    let one = |message: &str| vec![json!({ "code": code as i64, "message": message })];
    let (message, problems) = match &error {
        EngineError::Setup(SetupError::Refused(problems)) => {
            let one = |p: &Problem| json!({ "code": p.code() as i64, "message": p.to_string() });
            (problems.to_string(), problems.all().iter().map(one).collect())
        }
        // The scripts that did not let a change begin, each with its own words.
        EngineError::Hook(failures) => {
            let one = |f: &Failure| json!({ "code": code as i64, "message": f.to_string(), "script": f.script.display().to_string() });
            (failures.to_string(), failures.0.iter().map(one).collect())
        }
        other => (chain(other), one(&chain(other))),
    };
    let (rolled_back, leftover) = match &error {
        EngineError::Setup(SetupError::RolledBack { .. }) => (json!(true), &[][..]),
        EngineError::Setup(SetupError::Stuck { leftover, .. }) => (json!(false), leftover.as_slice()),
        _ => (Value::Null, &[][..]),
    };
    let mut data = json!({ "problems": problems, "rolled_back": rolled_back, "leftover": leftover });
    if let (Some(data), Value::Object(told)) = (data.as_object_mut(), advice::told(&error, code)) {
        data.extend(told);
    }
    RpcError { code: code as i64, message, data: Some(data) }
}

fn code_of(error: &EngineError) -> Code {
    match error {
        EngineError::Busy => Code::Unavailable,
        EngineError::Look(_) | EngineError::Store(_) | EngineError::NotRestored => Code::Unexpected,
        EngineError::History(HistoryError::Missing { .. }) => Code::BadParams,
        EngineError::History(HistoryError::Unusable { .. }) => Code::Unexpected,
        EngineError::Hook(_) => Code::HookError,
        EngineError::Setup(setup) => setup.code(),
    }
}

/// A refusal of an older verb in the form of all refusals.
pub(super) fn told(error: RpcError) -> RpcError {
    let problems = json!([{ "code": error.code, "message": error.message }]);
    let mut data = json!({ "problems": problems, "rolled_back": null, "leftover": [] });
    if let Some(explanation) = advice::find(&error.code.to_string()) {
        data["advice"] = json!(explanation.advice);
    }
    RpcError { data: Some(data), ..error }
}
