//! Calls, answers and their order; what a client may expect of us.

use super::*;

#[test]
fn a_call_is_answered_with_its_result_or_its_error() {
    let server = Server::start(Limits::default());
    let mut wire = server.connect();
    let params = r#"{"z":1,"a":[true,null,"ü"],"b":-0.5}"#;
    wire.say(&format!(r#"{{"jsonrpc":"2.0","id":1,"method":"echo","params":{params}}}"#));
    wire.hears(1, serde_json::from_str::<Value>(params).unwrap());
    wire.call("two", "fail");
    let expected = json!({"jsonrpc": "2.0", "id": "two",
        "error": {"code": 25, "message": "no", "data": {"nic": 1}}});
    assert_eq!(wire.hear(), Some(expected));
    wire.call(Value::Null, "nope");
    wire.hears_error(Value::Null, -32601, "no method \"nope\"");
}

#[test]
fn the_client_for_the_command_line_understands_the_server() {
    let server = Server::start(Limits::default());
    let mut client = server.client();
    assert_eq!(client.call("echo", json!({"b": 1, "a": 2})).unwrap().to_string(), r#"{"b":1,"a":2}"#);
    assert_eq!(client.call("echo", Value::Null).unwrap(), Value::Null);
    assert_eq!(client.call("large", Value::Null).unwrap().as_str().unwrap().len(), LARGE);
    let error = client.call("fail", Value::Null).unwrap_err();
    assert!(error.to_string().contains("code 25"), "{error}");
}

#[test]
fn a_notification_is_executed_and_never_answered() {
    let server = Server::start(Limits::default());
    let mut wire = server.connect();
    for method in ["echo", "fail", "panic", "nope"] {
        wire.notify(method);
    }
    server.gates.wait_for(|calls| calls.done.len() == 3);
    wire.is_usable();
}

#[test]
fn a_batch_is_answered_with_an_array() {
    let server = Server::start(Limits::default());
    let mut wire = server.connect();
    wire.say(
        r#"[{"jsonrpc":"2.0","id":1,"method":"echo","params":[1]}, 5,
            {"jsonrpc":"2.0","method":"echo"}, {"jsonrpc":"2.0","id":2,"method":"panic"},
            {"jsonrpc":"2.0","id":3,"method":"fail"}]"#
            .replace('\n', " ")
            .as_str(),
    );
    let heard = wire.hear().unwrap();
    let told = |answer: &Value| (answer["id"].clone(), answer["error"]["code"].as_i64());
    let told: Vec<_> = heard.as_array().unwrap().iter().map(told).collect();
    let expected = [(json!(1), None), (Value::Null, Some(-32600)), (json!(2), Some(-32603)), (json!(3), Some(25))];
    assert_eq!(told, expected);
    wire.say(r#"[{"jsonrpc":"2.0","method":"echo"},{"jsonrpc":"2.0","method":"echo"}]"#);
    wire.is_usable();
    wire.say("[]");
    wire.hears_error(Value::Null, -32600, "empty");
}

#[test]
fn calls_of_one_connection_run_side_by_side() {
    let server = Server::start(Limits::default());
    let mut wire = server.connect();
    wire.call(1, "hold");
    // Would never be executed if it waited for the first.
    wire.call(2, "open");
    let mut ids = [wire.hear().unwrap()["id"].clone(), wire.hear().unwrap()["id"].clone()];
    ids.sort_by_key(Value::to_string);
    assert_eq!(ids, [json!(1), json!(2)]);
}

#[test]
fn answers_come_as_the_calls_finish() {
    let server = Server::start(Limits::default());
    let mut wire = server.connect();
    wire.call(1, "hold");
    wire.call(2, "echo");
    wire.hears(2, Value::Null);
    wire.call(3, "echo");
    wire.hears(3, Value::Null);
    server.gates.open();
    wire.hears(1, "held");
}

#[test]
fn a_call_that_panics_is_answered_and_harms_nothing() {
    let server = Server::start(Limits::default());
    let mut wire = server.connect();
    for id in 0..40 {
        wire.call(id, "panic");
        wire.hears_error(id, -32603, "log");
    }
    wire.is_usable();
}

#[test]
fn a_call_is_finished_though_its_client_is_gone() {
    let server = Server::start(Limits::default());
    let mut wire = server.connect();
    wire.call(1, "hold");
    server.gates.wait_for(|calls| calls.running == 1);
    drop(wire);
    server.connect().is_usable();
    server.gates.open();
    server.gates.wait_for(|calls| calls.done.contains(&"hold".to_owned()));
    server.connect().is_usable();
}

#[test]
fn who_closes_only_its_sending_side_still_gets_its_answers() {
    let server = Server::start(Limits::default());
    let mut wire = server.connect();
    wire.call(1, "hold");
    let last = json!({"jsonrpc": "2.0", "id": 2, "method": "echo"}).to_string();
    wire.stream.write_all(last.as_bytes()).unwrap();
    wire.stream.shutdown(std::net::Shutdown::Write).unwrap();
    wire.hears(2, Value::Null);
    server.gates.open();
    wire.hears(1, "held");
    assert_eq!(wire.hear(), None);
}

#[test]
fn a_shutdown_finishes_what_runs_and_starts_nothing() {
    let mut server = Server::start(Limits::default());
    let mut idle = server.connect();
    idle.is_usable();
    let mut half = server.connect();
    half.is_usable();
    half.stream.write_all(b"{\"half\":").unwrap();
    let mut busy = server.connect();
    busy.call(1, "hold");
    server.gates.wait_for(|calls| calls.running == 1);
    server.ask_to_stop();
    assert_eq!(idle.hear(), None);
    assert_eq!(half.hear(), None);
    server.gates.open();
    busy.hears(1, "held");
    assert_eq!(busy.hear(), None);
    server.stopped().unwrap();
    assert!(UnixStream::connect(&server.path).is_err());
    remove(&server.path).unwrap();
    assert!(!server.path.exists());
}
