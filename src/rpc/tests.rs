//! What a line of text is taken for.

#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn refused(line: &str) -> Response {
    match Incoming::read(line.as_bytes()) {
        Incoming::Single(Err(response)) => *response,
        other => panic!("{line} was taken for {other:?}"),
    }
}

fn refuses(line: &str, id: Id, code: i64, text: &str) {
    let response = refused(line);
    let error = response.outcome.unwrap_err();
    assert_eq!((response.id, error.code), (id, code), "{line}: {}", error.message);
    assert!(error.message.contains(text), "{line}: {}", error.message);
}

#[test]
fn a_request_is_read_as_it_was_written() {
    let all = [
        Request { id: Some(7.into()), method: "a.b".into(), params: json!({"z": 1, "a": [null]}) },
        Request { id: Some(Id::Text("x".into())), method: "a".into(), params: json!([1, -2, 0.5]) },
        Request { id: Some(Id::Null), method: "a".into(), params: Value::Null },
        Request { id: None, method: "a".into(), params: json!({}) },
    ];
    for request in all {
        let line = serde_json::to_vec(&request).unwrap();
        assert_eq!(Incoming::read(&line), Incoming::Single(Ok(request)));
    }
}

#[test]
fn an_answer_is_read_as_it_was_written() {
    let error = RpcError { code: 25, message: "no".into(), data: Some(json!({"net": "red"})) };
    let all = [
        Response { id: 7.into(), outcome: Ok(Value::Null) },
        Response { id: Id::Null, outcome: Ok(json!({"b": 1, "a": 2})) },
        Response { id: Id::Text("x".into()), outcome: Err(error) },
        Response { id: 8.into(), outcome: Err(RpcError::new(40, "bad")) },
    ];
    for response in all {
        let line = serde_json::to_vec(&response).unwrap();
        assert_eq!(Outgoing::read(&line), Ok(Outgoing::Response(response)));
    }
}

#[test]
fn a_notification_is_read_as_it_was_written() {
    for params in [json!({"b": 1, "a": ["\n"]}), json!([]), Value::Null] {
        let notification = Notification { method: "a.b".into(), params };
        let line = notification.to_line();
        assert_eq!(line.iter().position(|&byte| byte == b'\n'), Some(line.len() - 1));
        // A client's own look the same.
        let Notification { method, params } = notification.clone();
        assert_eq!(Incoming::read(&line), Incoming::Single(Ok(Request { id: None, method, params })));
        assert_eq!(Outgoing::read(&line), Ok(Outgoing::Notification(notification)));
    }
}

#[test]
fn what_is_neither_answer_nor_notification_is_said_so() {
    let cases = [
        ("{", "not JSON"),
        ("[1]", "an object"),
        ("{}", "no id"),
        (r#"{"method":1}"#, "method is a string"),
        (r#"{"id":1}"#, "either a result or an error"),
        (r#"{"id":1,"method":"a","params":[]}"#, "either a result or an error"),
        (r#"{"id":1,"error":{"message":"no"}}"#, "code"),
    ];
    for (line, text) in cases {
        let error = Outgoing::read(line.as_bytes()).unwrap_err();
        assert!(error.contains(text), "{line}: {error}");
    }
}

#[test]
fn a_report_may_hold_more_values_than_a_request() {
    let values = vec![Value::Null; MAX_VALUES + 1];
    let response = Response { id: 1.into(), outcome: Ok(values.into()) };
    let line = serde_json::to_vec(&response).unwrap();
    assert_eq!(Outgoing::read(&line), Ok(Outgoing::Response(response)));
}

#[test]
fn an_error_without_details_has_no_data_member() {
    let text = serde_json::to_string(&RpcError::new(21, "no")).unwrap();
    assert_eq!(text, r#"{"code":21,"message":"no"}"#);
}

#[test]
fn what_is_not_json_is_a_parse_error() {
    for line in ["{", "nul", "{} {}", "[1,]", r#"{"a":"\ud800"}"#, "\u{0}", "1e999"] {
        refuses(line, Id::Null, PARSE_ERROR, "not JSON");
    }
    let bytes = b"{\"a\":\"\xff\"}";
    assert!(matches!(parse(bytes), Err(ParseError::Syntax(_))));
}

#[test]
fn deep_nesting_is_a_parse_error() {
    let deep = "[".repeat(100_000);
    refuses(&deep, Id::Null, PARSE_ERROR, "recursion limit");
    let deep = format!("{}{}", r#"{"a":"#.repeat(200), "1".to_owned() + &"}".repeat(200));
    refuses(&deep, Id::Null, PARSE_ERROR, "recursion limit");
}

#[test]
fn what_is_no_request_is_said_to_be_none() {
    let cases = [
        ("1", Id::Null, "is an object"),
        ("[]", Id::Null, "empty"),
        ("{}", Id::Null, "jsonrpc"),
        (r#"{"jsonrpc":"1.0","method":"a","id":1}"#, 1.into(), "jsonrpc"),
        (r#"{"jsonrpc":"2.0","method":1,"id":1}"#, 1.into(), "method"),
        (r#"{"jsonrpc":"2.0","method":"a","id":1,"params":3}"#, 1.into(), "params"),
        (r#"{"jsonrpc":"2.0","method":"a","id":1,"params":null}"#, 1.into(), "params"),
        (r#"{"jsonrpc":"2.0","method":"a","id":1,"prams":[]}"#, 1.into(), "\"prams\""),
        (r#"{"jsonrpc":"2.0","method":"a","id":1.5}"#, Id::Null, "id"),
        (r#"{"jsonrpc":"2.0","method":"a","id":[1]}"#, Id::Null, "id"),
        (r#"{"jsonrpc":"2.0","method":"a","id":99999999999999999999}"#, Id::Null, "id"),
    ];
    for (line, id, text) in cases {
        refuses(line, id, INVALID_REQUEST, text);
    }
}

#[test]
fn a_duplicate_key_is_named_with_its_place() {
    let in_params = |params| format!(r#"{{"jsonrpc":"2.0","method":"a","id":9,"params":{params}}}"#);
    let cases = [
        (in_params(r#"{"red":1,"blue":2,"red":3}"#), r#"duplicate key "red" in "params""#),
        (in_params(r#"[0,{"n":{"vlan":1,"vlan":1}}]"#), r#""vlan" in "params.1.n""#),
        (in_params(r#"{"a":{"b":1,"b":2},"a":{"c":1,"c":2}}"#), r#""b" in "params.a""#),
        (in_params(r#"{"a":{},"a":{"c":1,"c":2}}"#), r#""c" in "params.a""#),
        (in_params(r#"{"\u0061":1,"a":2}"#), r#""a" in "params""#),
    ];
    for (line, text) in cases {
        refuses(&line, 9.into(), INVALID_REQUEST, text);
    }
    let twice = r#"{"jsonrpc":"2.0","method":"a","id":1,"id":2}"#;
    refuses(twice, Id::Null, INVALID_REQUEST, r#"duplicate key "id""#);
    refuses(r#"[{"a":1,"a":1}]"#, Id::Null, INVALID_REQUEST, r#""a" in "0""#);
}

#[test]
fn a_message_never_repeats_a_long_name() {
    let long = "x".repeat(1 << 20);
    let line = format!(r#"{{"jsonrpc":"2.0","method":"a","id":1,"{long}":1}}"#);
    assert!(refused(&line).outcome.unwrap_err().message.len() < 500);
    let line = format!(r#"{{"{long}":{{"{long}":1,"{long}":1}}}}"#);
    assert!(refused(&line).outcome.unwrap_err().message.len() < 500);
}

#[test]
fn a_small_text_cannot_become_a_large_document() {
    let many = |count: usize| format!("[{}0]", "0,".repeat(count - 2));
    assert!(parse(many(MAX_VALUES).as_bytes()).is_ok());
    refuses(&many(MAX_VALUES + 1), Id::Null, INVALID_REQUEST, "more than 131072 values");
}

#[test]
fn each_of_a_batch_is_judged_alone() {
    let line = br#"[1,{"jsonrpc":"2.0","method":"a"},{"jsonrpc":"2.0","method":"b","id":2}]"#;
    let Incoming::Batch(all) = Incoming::read(line) else { panic!("no batch") };
    assert_eq!(all[0].as_ref().unwrap_err().id, Id::Null);
    assert_eq!(all[1].as_ref().unwrap().id, None);
    assert_eq!(all[2].as_ref().unwrap().id, Some(2.into()));
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 60, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((any::<String>(), inner), 0..6)
                .prop_map(|all| Value::Object(all.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn without_duplicates_we_read_what_serde_json_reads(value in any_json()) {
        let text = serde_json::to_string(&value).unwrap();
        let parsed = parse(text.as_bytes()).unwrap();
        prop_assert_eq!(parsed.duplicate, None);
        // Compared as text, since `Value` does not compare the order of keys.
        prop_assert_eq!(parsed.value.to_string(), text);
    }

    #[test]
    fn no_text_is_too_strange_to_be_read(line in any::<Vec<u8>>()) {
        let _ = Incoming::read(&line);
        let _ = Outgoing::read(&line);
    }

    #[test]
    fn what_we_take_for_json_serde_json_does_too(line in r#"[\[\]{}:,"a1 e.-]{0,12}"#) {
        let theirs = serde_json::from_str::<Value>(&line).is_ok();
        prop_assert_eq!(parse(line.as_bytes()).is_ok(), theirs);
    }
}
