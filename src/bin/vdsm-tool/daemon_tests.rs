//! The whole way: what is typed, what a daemon hears, what comes of it.
//!
//! The daemon is the real server with a service that notes its calls and says what it is told to.

#![allow(clippy::unwrap_used)]

use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use clap::Parser;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::oneshot;
use vdsm_net::rpc::RpcError;
use vdsm_net::server::{self, Caller, Limits, Reply, Service};

use crate::arguments::Arguments;
use crate::outcome::{Exit, Told, report};
use crate::perform;

#[derive(Default)]
struct Script {
    heard: Vec<(String, Value)>,
    answers: VecDeque<Result<Value, RpcError>>,
}

struct Actor(Mutex<Script>);

impl Service for Actor {
    fn call(&self, method: &str, params: Value, _: &Caller) -> Result<Reply, RpcError> {
        let mut script = self.0.lock().unwrap();
        script.heard.push((method.to_owned(), params));
        let answer = script.answers.pop_front().unwrap_or_else(|| Err(RpcError::internal("nothing was said")));
        answer.map(Reply::from)
    }
}

/// A daemon that gives these answers, one after the other.
struct Stage {
    folder: TempDir,
    actor: Arc<Actor>,
    server: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
}

impl Stage {
    fn answering(answers: impl IntoIterator<Item = Result<Value, RpcError>>) -> Stage {
        let folder = tempfile::tempdir().unwrap();
        let actor = Arc::new(Actor(Mutex::new(Script { answers: answers.into_iter().collect(), ..Script::default() })));
        let listener = server::listen(&folder.path().join("socket"), None).unwrap();
        let (stop, stopped) = oneshot::channel();
        let service = actor.clone();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = tokio::net::UnixListener::from_std(listener).unwrap();
                let stopped = async { drop(stopped.await) };
                server::serve(listener, service, None, Limits::default(), stopped).await.unwrap();
            });
        });
        Stage { folder, actor, server: Some((stop, thread)) }
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::write(&path, text).unwrap();
        path
    }

    fn tool(&self, words: &[&str]) -> (String, Told) {
        let socket = self.folder.path().join("socket");
        tool(&[&["--socket", socket.to_str().unwrap()], words].concat())
    }

    fn heard(&self) -> Vec<(String, Value)> {
        std::mem::take(&mut self.actor.0.lock().unwrap().heard)
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if let Some((stop, thread)) = self.server.take() {
            drop(stop);
            thread.join().unwrap();
        }
    }
}

fn tool(words: &[&str]) -> (String, Told) {
    let arguments = Arguments::try_parse_from([&["vdsm-tool"], words].concat()).unwrap();
    let mut out = Vec::new();
    let told = report(&perform(&arguments), arguments.json, &mut out);
    (String::from_utf8(out).unwrap(), told)
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn done(changed: bool, steps: u64) -> Result<Value, RpcError> {
    Ok(
        json!({ "status": { "code": 0, "message": "Done" }, "warnings": ["mind it"], "changed": changed, "steps": steps }),
    )
}

#[test]
fn a_file_becomes_a_change() {
    let stage = Stage::answering([done(true, 3)]);
    let file = stage.file("wish.yaml", "networks: {red: {nic: eth0, vlan: 5}}\n");
    let (out, told) = stage.tool(&["setup-networks", text(&file)]);
    assert_eq!((out.as_str(), told.exit), ("done in 3 steps\n", Exit::Done));
    assert_eq!(told.errors, ["warning: mind it"]);
    let params = json!({ "networks": { "red": { "nic": "eth0", "vlan": 5 } }, "bondings": null, "options": { "connectivityCheck": false } });
    assert_eq!(stage.heard(), [("Host.setupNetworks".to_owned(), params)]);
}

#[test]
fn a_plan_is_no_change() {
    let plan = json!({ "text": "create vlan eth0.5\n", "plan": [{ "interrupts": null, "commands": ["ip link add"] }], "warnings": [] });
    let stage = Stage::answering([Ok(plan.clone()), Ok(plan.clone())]);
    let file = stage.file("wish", r#"{"networks": {"red": {"nic": "eth0", "vlan": 5}}}"#);
    let (out, told) = stage.tool(&["setup-networks", "--plan", text(&file)]);
    assert_eq!(
        (out.as_str(), told.exit),
        ("  create vlan eth0.5\n      ip link add\n1 step, none of them interrupts traffic\n", Exit::Done)
    );
    let (out, _) = stage.tool(&["setup-networks", "--plan", "--json", text(&file)]);
    assert_eq!(serde_json::from_str::<Value>(&out).unwrap(), plan);
    assert!(stage.heard().iter().all(|(method, _)| method == "Host.planNetworks"));
}

#[test]
fn unknown_keys_reach_the_daemon_only_when_allowed() {
    let stage = Stage::answering([done(false, 0)]);
    let file = stage.file("wish.yaml", "networks: {red: {nci: eth0}, blue: {vlna: 5}}\n");
    let (out, told) = stage.tool(&["setup-networks", text(&file)]);
    assert_eq!((out.as_str(), told.exit), ("", Exit::Refused));
    assert_eq!(told.errors.len(), 3, "{:?}", told.errors);
    assert!(
        told.errors
            .contains(&"error: network 'red': the key 'nci' is unknown; the nearest known key is 'nic'".to_owned())
    );
    assert!(stage.heard().is_empty());
    let (out, told) = stage.tool(&["setup-networks", "--allow-unknown", text(&file)]);
    assert_eq!((out.as_str(), told.exit), ("nothing to do: the host is like this already\n", Exit::Done));
    assert_eq!(stage.heard().len(), 1);
}

#[test]
fn a_misspelt_part_is_never_allowed() {
    let stage = Stage::answering([]);
    let file = stage.file("wish.yaml", "network: {}\n");
    let (_, told) = stage.tool(&["setup-networks", "--allow-unknown", text(&file)]);
    assert_eq!(told.exit, Exit::Refused);
    assert!(stage.heard().is_empty());
}

#[test]
fn the_small_commands_call_their_methods() {
    let fine = || Ok(json!({ "status": { "code": 0, "message": "Done" } }));
    let restored = json!({ "status": {}, "restored": true, "note": "", "skipped": [{ "name": "red", "reason": "no nic" }], "failed": [] });
    let stage = Stage::answering([fine(), Ok(restored.clone()), Ok(restored), Ok(json!({ "a": 1 })), Ok(json!([2]))]);
    assert_eq!(stage.tool(&["set-safe-config"]).0, "the running networks are safe: they will be restored at boot\n");
    assert_eq!(stage.tool(&["restore-nets"]).0, "the networks are restored\nskipped red: no nic\n");
    stage.tool(&["restore-nets", "--force"]);
    assert_eq!(stage.tool(&["caps"]).0, "{\n  \"a\": 1\n}\n");
    assert_eq!(stage.tool(&["call", "X.y", r#"{"b":2}"#]).0, "[\n  2\n]\n");
    let heard = stage.heard();
    let heard: Vec<(&str, &Value)> = heard.iter().map(|(method, params)| (method.as_str(), params)).collect();
    let wanted = [
        ("Host.setSafeNetworkConfig", &Value::Null),
        ("Host.restoreNetworks", &json!({ "force": false })),
        ("Host.restoreNetworks", &json!({ "force": true })),
        ("Host.getCapabilities", &Value::Null),
        ("X.y", &json!({ "b": 2 })),
    ];
    assert_eq!(heard, wanted);
}

#[test]
fn what_was_committed_is_listed_compared_and_brought_back() {
    let entry =
        |mtu: u64| json!({ "number": mtu, "config": { "networks": { "red": { "mtu": mtu } }, "bondings": {} } });
    let plan = json!({ "text": "one\n", "plan": [{ "interrupts": null }], "warnings": [] });
    let answers = [json!({ "entries": [] }), entry(7), entry(1500), entry(9000), entry(1500), entry(1500), plan];
    let stage = Stage::answering(answers.into_iter().map(Ok).chain([done(true, 1)]));
    assert_eq!(stage.tool(&["history", "--count", "3"]).0, "the history is empty\n");
    assert!(stage.tool(&["history", "7"]).0.starts_with("   7  1970-01-01"));
    let changed = "--- entry 3\n+++ what runs now\n~ network red\n    mtu: 1500 -> 9000\n";
    assert_eq!(stage.tool(&["diff", "3"]).0, changed);
    let (same, _) = stage.tool(&["diff", "3", "4", "--json"]);
    let nothing = json!({ "from": 3, "to": 4, "difference": { "networks": {}, "bondings": {} } });
    assert_eq!(serde_json::from_str::<Value>(&same).unwrap(), nothing);
    assert_eq!(stage.tool(&["rollback", "--to", "3", "--plan"]).0, "  one\n1 step, none of them interrupts traffic\n");
    assert_eq!(stage.tool(&["rollback", "--to", "3", "--reason", "why"]).0, "done in one step\n");
    let heard = stage.heard();
    let heard: Vec<(&str, &Value)> = heard.iter().map(|(method, params)| (method.as_str(), params)).collect();
    let number = |number: Value| json!({ "number": number });
    let wanted = [
        ("Host.getHistory", json!({ "count": 3 })),
        ("Host.getHistoryEntry", number(json!(7))),
        ("Host.getHistoryEntry", number(json!(3))),
        ("Host.getHistoryEntry", number(Value::Null)),
        ("Host.getHistoryEntry", number(json!(3))),
        ("Host.getHistoryEntry", number(json!(4))),
        ("Host.planRollback", json!({ "to": 3, "options": { "connectivityCheck": false } })),
        ("Host.rollbackNetworks", json!({ "to": 3, "options": { "connectivityCheck": false, "reason": "why" } })),
    ];
    assert_eq!(heard, wanted.iter().map(|(method, params)| (*method, params)).collect::<Vec<_>>());
}

#[test]
fn a_reason_of_the_command_line_goes_before_the_files() {
    let stage = Stage::answering([done(true, 1)]);
    let file =
        stage.file("wish.yaml", "networks: {red: {nic: eth0}}\noptions: {reason: old, connectivityCheck: true}\n");
    stage.tool(&["setup-networks", "--reason", "new", text(&file)]);
    assert_eq!(stage.heard()[0].1["options"], json!({ "reason": "new", "connectivityCheck": true }));
}

#[test]
fn the_daemons_no_is_told_with_its_exit_code() {
    let refused = |code, data| Err(RpcError { code, message: "no".to_owned(), data });
    let stuck = json!({ "problems": [{ "code": 29, "message": "it broke" }], "rolled_back": false, "leftover": ["ip link del red"] });
    let stage = Stage::answering([refused(29, Some(stuck)), refused(40, None), refused(-32001, None)]);
    let file = stage.file("wish.yaml", "networks: {red: {remove: true}}\n");
    let (_, told) = stage.tool(&["setup-networks", text(&file)]);
    assert_eq!(told.exit, Exit::Stuck);
    assert_eq!(
        told.errors,
        ["error: it broke (code 29)", "The way back failed, too. Left to do by hand:", "  ip link del red"]
    );
    assert_eq!(stage.tool(&["set-safe-config"]).1.exit, Exit::Busy);
    let (out, told) = stage.tool(&["set-safe-config", "--json"]);
    assert_eq!(told.exit, Exit::NotAllowed);
    assert_eq!(serde_json::from_str::<Value>(&out).unwrap(), json!({ "code": -32001, "message": "no" }));
}

#[test]
fn the_socket_is_that_of_the_configuration() {
    let stage = Stage::answering([Ok(json!({})), Ok(json!({}))]);
    let socket = stage.folder.path().join("socket");
    let conf = stage.file("vdsm.conf", &format!("[vars]\nsocket = {}\n", socket.display()));
    assert_eq!(tool(&["--config", text(&conf), "caps"]).1.exit, Exit::Done);
    let other = stage.file("other.conf", "[vars]\nsocket = /nowhere/s\n");
    assert_eq!(tool(&["--config", text(&other), "caps"]).1.exit, Exit::Unreachable);
    assert_eq!(stage.tool(&["--config", text(&other), "caps"]).1.exit, Exit::Done, "--socket goes first");
    let missing = stage.folder.path().join("missing.conf");
    let (_, told) = stage.tool(&["--config", text(&missing), "caps"]);
    assert_eq!(told.exit, Exit::Failed);
    assert!(told.errors[0].contains(text(&missing)), "{:?}", told.errors);
}

#[test]
fn without_a_daemon_files_are_removed_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ifcfg-red");
    fs::write(&file, "# Generated by VDSM version 4\n").unwrap();
    let words = ["--config", "/nowhere/vdsm.conf", "--socket", "/nowhere/s"];
    let (out, told) = tool(&[&words[..], &["remove-net-persistence", "--dir", text(folder.path())]].concat());
    assert_eq!((out, told.exit), (format!("removed {}\n", file.display()), Exit::Done));
    assert_eq!(tool(&["--socket", "/nowhere/s", "show"]).1.exit, Exit::Unreachable);
}
