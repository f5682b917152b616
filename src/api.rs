//! The verbs: JSON in, JSON out. What a verb does is the engine's, how it travels the server's.

mod history;
mod refusal;

use std::sync::Arc;

use serde_json::{Map, Value, json};
use vdsm_model::plan::Step;
use vdsm_model::problem::Code;

use crate::advice::explanation;
use crate::asked::Asked;
use crate::engine::journal::Asker;
use crate::engine::{Engine, Explained};
use crate::events;
use crate::hub::{Hub, Kinds};
use crate::older;
use crate::reports::Reports;
use crate::restore::Omission;
use crate::rpc::RpcError;
use crate::server::{Access, Caller, Reply, Service};
use crate::transaction::Done;

pub(crate) use refusal::refused;
use refusal::told;

/// The error code of a call that its caller may not make.
pub const NOT_ALLOWED: i64 = -32001;

/// The API of one host.
pub struct Api {
    engine: Arc<Engine>,
    hub: Arc<Hub>,
    reports: Reports,
}

impl Api {
    /// The API over an engine, with those who listen, and what is told of the host.
    pub fn new(engine: Arc<Engine>, hub: Arc<Hub>, reports: Reports) -> Api {
        Api { engine, hub, reports }
    }

    /// The daemon is to end: a change that waits for a sign of life is undone at once.
    pub fn give_up_waiting(&self) {
        self.engine.connectivity.give_up();
    }
}

type Answer = Result<Value, RpcError>;

/// Every method: who may call it, and its parameters.
const METHODS: &[(&str, Access, &[&str])] = &[
    ("Host.setupNetworks", Access::Change, &["networks", "bondings", "options"]),
    ("Host.planNetworks", Access::Read, &["networks", "bondings", "options"]),
    ("Host.addNetwork", Access::Change, &["bridge", "vlan", "bond", "nics", "options"]),
    ("Host.editNetwork", Access::Change, &["oldBridge", "newBridge", "vlan", "bond", "nics", "options"]),
    ("Host.delNetwork", Access::Change, &["bridge", "vlan", "bond", "nics", "options"]),
    ("Host.setSafeNetworkConfig", Access::Change, &[]),
    ("Host.restoreNetworks", Access::Change, &["force"]),
    ("Host.checkNetworks", Access::Read, &[]),
    ("Host.healNetworks", Access::Change, &[]),
    ("Host.getHistory", Access::Read, &["from", "count"]),
    ("Host.getHistoryEntry", Access::Read, &["number"]),
    ("Host.rollbackNetworks", Access::Change, &["to", "options"]),
    ("Host.planRollback", Access::Read, &["to", "options"]),
    ("Host.getCapabilities", Access::Read, &["lastClient"]),
    ("Host.getNetworkCapabilities", Access::Read, &[]),
    ("Host.getStats", Access::Read, &[]),
    ("Host.getTopology", Access::Read, &[]),
    ("Host.subscribe", Access::Read, &["events"]),
    ("Host.ping2", Access::Read, &[]),
    ("Host.confirmConnectivity", Access::Change, &[]),
    // It was both once (vdsm-facts 1.2).
    ("Host.ping", Access::Change, &[]),
];

impl Service for Api {
    fn call(&self, method: &str, params: Value, caller: &Caller) -> Result<Reply, RpcError> {
        let params = match params {
            Value::Object(map) => map,
            Value::Null => Map::new(),
            _ => return Err(RpcError::invalid_params("parameters go by name")),
        };
        let Some((_, access, known)) = METHODS.iter().find(|(name, ..)| *name == method) else {
            return Err(RpcError::method_not_found(method));
        };
        if *access == Access::Change && caller.peer.access != Access::Change {
            let uid = caller.peer.uid;
            let text = format!("{method} is for root and the group that vdsm.conf names; uid {uid} may only read");
            return Err(RpcError::new(NOT_ALLOWED, text));
        }
        if !matches!(method, "Host.confirmConnectivity" | "Host.ping" | "Host.ping2") {
            expect(&params, known)?;
        }
        let running = || self.engine.running();
        match method {
            "Host.setupNetworks" => self.setup(Asked::from_params(params), method, caller),
            "Host.planNetworks" => self.plan(&Asked::from_params(params)),
            "Host.addNetwork" => self.setup(older::add(&params, &running()).map_err(told)?, method, caller),
            "Host.editNetwork" => self.setup(older::edit(&params, &running()).map_err(told)?, method, caller),
            "Host.delNetwork" => self.setup(older::delete(&params, &running()).map_err(told)?, method, caller),
            "Host.setSafeNetworkConfig" => self.engine.set_safe().map(|()| done()).map_err(refused),
            "Host.restoreNetworks" => self.restore(params.get("force")),
            "Host.checkNetworks" => self.check(),
            "Host.healNetworks" => self.heal(),
            "Host.getHistory" => self.history(&params),
            "Host.getHistoryEntry" => self.history_entry(&params),
            "Host.rollbackNetworks" => self.roll_back(&params, method, caller),
            "Host.planRollback" => self.plan_rollback(&params),
            "Host.getCapabilities" => return self.reports.capabilities(&self.engine, params.get("lastClient")),
            "Host.getNetworkCapabilities" => return self.reports.network_capabilities(&self.engine),
            "Host.getStats" => return self.reports.stats(&self.engine),
            "Host.getTopology" => return self.reports.topology(&self.engine),
            "Host.subscribe" => self.subscribe(params.get("events"), caller),
            "Host.ping2" => Ok(done()),
            _ => {
                self.engine.connectivity.confirm();
                Ok(done())
            }
        }
        .map(Reply::from)
    }
}

impl Api {
    fn setup(&self, asked: Asked, verb: &str, caller: &Caller) -> Answer {
        let caller = Some((caller.peer.uid, caller.peer.pid));
        let asker = Asker { verb: verb.to_owned(), caller, request: asked.to_hook_json() };
        let done = self.engine.setup_with_hooks(asked, &asker).map_err(refused)?;
        Ok(changed(&done))
    }

    fn plan(&self, asked: &Asked) -> Answer {
        Ok(explained(self.engine.explain(&asked.read(self.engine.unknown_keys())).map_err(refused)?))
    }

    fn restore(&self, force: Option<&Value>) -> Answer {
        let force = match force {
            None | Some(Value::Null) => false,
            Some(Value::Bool(force)) => *force,
            Some(other) => {
                return Err(RpcError::invalid_params(format!("force is {other}, but it must be true or false")));
            }
        };
        let restored = self.engine.restore(force).map_err(refused)?;
        let list =
            |all: &[Omission]| -> Value { all.iter().map(|o| json!({ "name": o.name, "reason": o.reason })).collect() };
        let note =
            if restored.done { "" } else { "the networks were restored since boot already; force does it again" };
        let mut answer = json!({ "status": status(), "restored": restored.done, "note": note, "skipped": list(&restored.skipped), "failed": list(&restored.failed) });
        if restored.failed.is_empty() {
            return Ok(answer);
        }
        let message = format!(
            "{} could not be restored",
            restored.failed.iter().map(|o| o.name.as_str()).collect::<Vec<_>>().join(", ")
        );
        answer["advice"] = json!(explanation(Code::FailedIfup).advice);
        Err(RpcError { code: Code::FailedIfup as i64, message, data: Some(answer) })
    }

    /// The truth is the kernel's tables, read anew: who asks wants to be sure.
    fn check(&self) -> Answer {
        let mut answer = self.engine.check(None, true).map_err(refused)?.to_json();
        self.engine.healing.tell(&mut answer);
        Ok(answer)
    }

    /// What is left is told in the form of a check, with what was done.
    fn heal(&self) -> Answer {
        let done = self.engine.heal().map_err(refused)?;
        let mut left = self.check()?;
        left["mended"] = json!(done.map_or(0, |done| done.plan.steps().len()));
        Ok(left)
    }

    fn subscribe(&self, kinds: Option<&Value>, caller: &Caller) -> Answer {
        let kinds = match kinds {
            None | Some(Value::Null) => Kinds::ALL,
            Some(Value::Array(kinds)) => kinds.iter().try_fold(Kinds::NONE, with_kind)?,
            Some(other) => {
                return Err(RpcError::invalid_params(format!("events is {other}, but it must be a list of kinds")));
            }
        };
        caller.attach(self.hub.subscribe(kinds));
        Ok(done())
    }
}

fn with_kind(kinds: Kinds, kind: &Value) -> Result<Kinds, RpcError> {
    kind.as_str().and_then(|kind| kinds.and(kind)).ok_or_else(|| {
        RpcError::invalid_params(format!("there is no event {kind}; known are: {}", events::KINDS.join(", ")))
    })
}

fn expect(params: &Map<String, Value>, known: &[&str]) -> Result<(), RpcError> {
    match params.keys().find(|k| !known.contains(&k.as_str())) {
        Some(strange) => {
            Err(RpcError::invalid_params(format!("there is no parameter '{strange}'; known are: {}", known.join(", "))))
        }
        None => Ok(()),
    }
}

/// What was done.
fn changed(done: &Done) -> Value {
    json!({
        "status": status(), "warnings": done.warnings, "changed": !done.plan.is_empty(),
        "steps": done.plan.steps().len(), "rounds": done.rounds, "history": done.history,
    })
}

/// What would be done.
fn explained(explained: Explained) -> Value {
    let with_commands = |(step, commands): (&Step, Vec<String>)| {
        let mut json = step.to_json();
        json["commands"] = json!(commands);
        json
    };
    let steps: Vec<Value> = explained.plan.steps().iter().zip(explained.commands).map(with_commands).collect();
    json!({ "text": explained.plan.to_string(), "plan": steps, "warnings": explained.warnings })
}

fn status() -> Value {
    json!({ "code": 0, "message": "Done" })
}

fn done() -> Value {
    json!({ "status": status() })
}
