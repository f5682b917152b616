//! Lines that nobody should send, and the answers they deserve; the connection is as good as new then.

use serde_json::{Value, json};

use super::client::{Client, Count};
use super::wire::judged;

/// One of them.
pub fn send(client: &mut Client) {
    client.counted(Count::Garbage);
    match client.random.below(10) {
        0 => half_a_line(client),
        1 => a_batch(client),
        2 => a_notification(client),
        3 => a_wrong_request(client),
        _ => a_line(client),
    }
}

/// What cannot be understood, or not be meant: the code, and whether the id was seen.
fn a_line(client: &mut Client) {
    let id = client.next_id();
    let long = "x".repeat(client.ground.longest_line);
    let call = |method: &str, params: &str| {
        format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{params}}}"#).into_bytes()
    };
    let (code, is_seen, line) = client.random.pick(&[
        (-32700, false, b"hello?".to_vec()),
        (-32700, false, b"\xff\xfe{}".to_vec()),
        (-32700, false, call("Host.ping2", "{")),
        (-32700, false, vec![b'['; 10_000]),
        (-32600, false, b"[]".to_vec()),
        (-32600, false, b"17".to_vec()),
        (-32600, false, call(&long, "{}")),
        (-32600, false, format!(r#"{{"id":{id},"id":{id}}}"#).into_bytes()),
        (-32600, true, format!(r#"{{"id":{id}}}"#).into_bytes()),
        (-32600, true, call("Host.getStats", "7")),
        (-32602, true, call("Host.getStats", "[1, 2]")),
        (-32602, true, call("Host.getStats", r#"{"loud": true}"#)),
        (-32602, true, call("Host.getCapabilities", r#"{"lastClient": 4}"#)),
        (-32602, true, call("Host.subscribe", r#"{"events": ["rain"]}"#)),
        (-32602, true, call("Host.restoreNetworks", r#"{"force": "very"}"#)),
        (-32601, true, call("Host.getLost", "{}")),
    ]);
    let sent = client.wire().send(&[&line[..], b"\n"].concat());
    let Some(()) = client.unless_lost(sent) else { return };
    let heard = client.wire().hear();
    let Some(answer) = client.unless_lost(heard) else { return };
    let (found, outcome) = judged(answer);
    let text = String::from_utf8_lossy(&line[..line.len().min(200)]).into_owned();
    assert_eq!(outcome.unwrap_err().code, code, "{text}");
    assert_eq!(found, if is_seen { json!(id) } else { Value::Null }, "{text}");
}

/// Whoever leaves in the middle of a word is missed by nobody.
fn half_a_line(client: &mut Client) {
    let id = client.next_id();
    let line = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"Host.setupNetworks","params":{{"networks":{{"#);
    // The daemon may have been killed, but then nobody is left either.
    let _ = client.wire().send(line.as_bytes());
    client.leave();
}

fn a_batch(client: &mut Client) {
    let (ping, lost) = (client.next_id(), client.next_id());
    let batch = json!([
        { "jsonrpc": "2.0", "id": ping, "method": "Host.ping2" },
        { "jsonrpc": "2.0", "method": "Host.ping2" },
        { "jsonrpc": "2.0", "id": lost, "method": "Host.getLost" },
        5,
    ]);
    let sent = client.wire().send(format!("{batch}\n").as_bytes());
    let Some(()) = client.unless_lost(sent) else { return };
    let heard = client.wire().hear();
    let Some(Value::Array(answers)) = client.unless_lost(heard) else { return };
    let codes: Vec<(Value, i64)> = answers
        .into_iter()
        .map(judged)
        .map(|(id, outcome)| {
            (id, outcome.map_or_else(|error| error.code, |told| told["status"]["code"].as_i64().unwrap()))
        })
        .collect();
    assert_eq!(codes, [(json!(ping), 0), (json!(lost), -32601), (Value::Null, -32600)]);
}

/// Nobody hears of it; the next answer is the next call's.
fn a_notification(client: &mut Client) {
    let sent = client.wire().send(b"{\"jsonrpc\":\"2.0\",\"method\":\"Host.ping2\"}\n\n");
    let Some(()) = client.unless_lost(sent) else { return };
    if let Some(outcome) = client.call("Host.ping2", json!({})) {
        outcome.unwrap();
    }
}

/// JSON of the wrong types where networks belong.
fn a_wrong_request(client: &mut Client) {
    let (code, key, value) = client.random.pick(&[
        (21, "networks", json!(5)),
        (21, "networks", json!(["red"])),
        (21, "networks", json!({ "red": "blue" })),
        (27, "networks", json!({ "../red": {} })),
        (21, "bondings", json!("bond0")),
        (21, "options", json!({ "connectivityTimeout": [] })),
    ]);
    let method = client.random.pick(&["Host.setupNetworks", "Host.planNetworks"]);
    if let Some(outcome) = client.call(method, json!({ key: value })) {
        client.is_refused(code, &outcome.unwrap_err());
    }
}
