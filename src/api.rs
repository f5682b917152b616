//! The verbs: JSON in, JSON out. What a verb does is the engine's, how it travels the server's.

use serde_json::{Map, Value, json};
use vdsm_model::problem::{Code, Problems};
use vdsm_model::request::Request;

use crate::caps::{self, Visibility};
use crate::engine::{Engine, EngineError};
use crate::older::{self, Translated};
use crate::restore::Omission;
use crate::rpc::RpcError;
use crate::server::{Access, Peer, Service};
use crate::transaction::{SetupError, chain};

/// The error code of a call that its caller may not make.
pub const NOT_ALLOWED: i64 = -32001;

/// The API of one host.
pub struct Api {
    engine: Engine,
    visibility: Visibility,
}

impl Api {
    /// The API over an engine.
    pub fn new(engine: Engine, visibility: Visibility) -> Api {
        Api { engine, visibility }
    }
}

impl Api {
    /// The daemon is to end: a change that waits for a sign of life is undone at once.
    pub fn give_up_waiting(&self) {
        self.engine.connectivity.give_up();
    }
}

type Answer = Result<Value, RpcError>;

impl Service for Api {
    fn call(&self, method: &str, params: Value, peer: &Peer) -> Answer {
        let params = match params {
            Value::Object(map) => map,
            Value::Null => Map::new(),
            _ => return Err(RpcError::invalid_params("parameters go by name")),
        };
        let reads = matches!(method, "Host.getCapabilities" | "Host.planNetworks" | "Host.ping2");
        let known = reads || CHANGES.contains(&method);
        if known && !reads && peer.access != Access::Change {
            return Err(RpcError::new(
                NOT_ALLOWED,
                format!("{method} is for root and the group that vdsm.conf names; uid {} may only read", peer.uid),
            ));
        }
        match method {
            "Host.setupNetworks" => {
                expect(&params, &["networks", "bondings", "options"])?;
                self.setup(&whole(params))
            }
            "Host.planNetworks" => {
                expect(&params, &["networks", "bondings", "options"])?;
                self.plan(&whole(params))
            }
            "Host.addNetwork" => {
                expect(&params, &["bridge", "vlan", "bond", "nics", "options"])?;
                self.setup(&older::add(&params, &self.engine.running()).map_err(told)?)
            }
            "Host.editNetwork" => {
                expect(&params, &["oldBridge", "newBridge", "vlan", "bond", "nics", "options"])?;
                self.setup(&older::edit(&params, &self.engine.running()).map_err(told)?)
            }
            "Host.delNetwork" => {
                expect(&params, &["bridge", "vlan", "bond", "nics", "options"])?;
                self.setup(&older::delete(&params, &self.engine.running()).map_err(told)?)
            }
            "Host.setSafeNetworkConfig" => {
                expect(&params, &[])?;
                self.engine.set_safe().map(|()| done()).map_err(refused)
            }
            "Host.restoreNetworks" => {
                expect(&params, &["force"])?;
                let force = match params.get("force") {
                    None | Some(Value::Null) => false,
                    Some(Value::Bool(force)) => *force,
                    Some(other) => {
                        return Err(RpcError::invalid_params(format!(
                            "force is {other}, but it must be true or false"
                        )));
                    }
                };
                self.restore(force)
            }
            "Host.getCapabilities" => {
                expect(&params, &[])?;
                self.capabilities()
            }
            "Host.ping2" => Ok(done()),
            // `ping` was both once (vdsm-facts 1.2).
            "Host.confirmConnectivity" | "Host.ping" => {
                self.engine.connectivity.confirm();
                Ok(done())
            }
            _ => Err(RpcError::method_not_found(method)),
        }
    }
}

const CHANGES: &[&str] = &[
    "Host.setupNetworks",
    "Host.addNetwork",
    "Host.editNetwork",
    "Host.delNetwork",
    "Host.setSafeNetworkConfig",
    "Host.restoreNetworks",
    "Host.confirmConnectivity",
    "Host.ping",
];

impl Api {
    fn read(&self, asked: &Translated) -> Request {
        Request::read(&asked.networks, &asked.bondings, &asked.options, self.engine.unknown_keys())
    }

    fn setup(&self, asked: &Translated) -> Answer {
        let done = self.engine.setup(&self.read(asked)).map_err(refused)?;
        Ok(
            json!({ "status": status(), "warnings": done.warnings, "changed": !done.plan.is_empty(), "steps": done.plan.steps().len(), "rounds": done.rounds }),
        )
    }

    fn plan(&self, asked: &Translated) -> Answer {
        let explained = self.engine.explain(&self.read(asked)).map_err(refused)?;
        let steps: Vec<Value> = explained
            .plan
            .steps()
            .iter()
            .zip(explained.commands)
            .map(|(step, commands)| {
                let mut json = step.to_json();
                json["commands"] = json!(commands);
                json
            })
            .collect();
        Ok(json!({ "text": explained.plan.to_string(), "plan": steps, "warnings": explained.warnings }))
    }

    fn restore(&self, force: bool) -> Answer {
        let restored = self.engine.restore(force).map_err(refused)?;
        let list =
            |all: &[Omission]| -> Value { all.iter().map(|o| json!({ "name": o.name, "reason": o.reason })).collect() };
        let note =
            if restored.done { "" } else { "the networks were restored since boot already; force does it again" };
        let answer = json!({ "status": status(), "restored": restored.done, "note": note, "skipped": list(&restored.skipped), "failed": list(&restored.failed) });
        if restored.failed.is_empty() {
            return Ok(answer);
        }
        let message = format!(
            "{} could not be restored",
            restored.failed.iter().map(|o| o.name.as_str()).collect::<Vec<_>>().join(", ")
        );
        Err(RpcError { code: Code::FailedIfup as i64, message, data: Some(answer) })
    }

    fn capabilities(&self) -> Answer {
        let seen = self.engine.look().map_err(|e| refused(EngineError::Look(e)))?;
        // A host without the file has no name servers.
        let resolver = std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
        Ok(caps::capabilities(
            &seen,
            &self.engine.running(),
            &self.visibility,
            self.engine.is_dirty(),
            &caps::resolver(&resolver),
        ))
    }
}

fn whole(mut params: Map<String, Value>) -> Translated {
    let mut get = |key| params.get_mut(key).map(Value::take).unwrap_or(Value::Null);
    Translated { networks: get("networks"), bondings: get("bondings"), options: get("options") }
}

fn expect(params: &Map<String, Value>, known: &[&str]) -> Result<(), RpcError> {
    match params.keys().find(|k| !known.contains(&k.as_str())) {
        Some(strange) => {
            Err(RpcError::invalid_params(format!("there is no parameter '{strange}'; known are: {}", known.join(", "))))
        }
        None => Ok(()),
    }
}

fn status() -> Value {
    json!({ "code": 0, "message": "Done" })
}

fn done() -> Value {
    json!({ "status": status() })
}

/// An error as the engine expects it: the original's code, a sentence, and all problems as data.
fn refused(error: EngineError) -> RpcError {
    let text = chain(&error);
    let one = |code: Code, rolled_back: Value, leftover: &[String]| {
        let data = json!({ "problems": [{ "code": code as i64, "message": text }], "rolled_back": rolled_back, "leftover": leftover });
        RpcError { code: code as i64, message: text.clone(), data: Some(data) }
    };
    match &error {
        EngineError::Busy => one(Code::Unavailable, Value::Null, &[]),
        EngineError::Look(_) | EngineError::Store(_) | EngineError::NotRestored => {
            one(Code::Unexpected, Value::Null, &[])
        }
        EngineError::Setup(SetupError::Refused(problems)) => all(problems),
        EngineError::Setup(setup @ SetupError::Blind(_)) => one(setup.code(), Value::Null, &[]),
        EngineError::Setup(setup @ SetupError::RolledBack { .. }) => one(setup.code(), json!(true), &[]),
        EngineError::Setup(setup @ SetupError::Stuck { leftover, .. }) => one(setup.code(), json!(false), leftover),
    }
}

fn all(problems: &Problems) -> RpcError {
    let list: Vec<Value> =
        problems.all().iter().map(|p| json!({ "code": p.code() as i64, "message": p.to_string() })).collect();
    RpcError {
        code: problems.code() as i64,
        message: problems.to_string(),
        data: Some(json!({ "problems": list, "rolled_back": null, "leftover": [] })),
    }
}

/// A refusal of an older verb in the form of all refusals.
fn told(error: RpcError) -> RpcError {
    let problems = json!([{ "code": error.code, "message": error.message }]);
    let data = json!({ "problems": problems, "rolled_back": null, "leftover": [] });
    RpcError { data: Some(data), ..error }
}
