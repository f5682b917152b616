//! The exit codes, and what goes where.

use super::*;

use std::time::Duration;

use vdsm_model::problem::{Problem, Subject};

fn rpc(code: i64, rolled_back: Value) -> Failure {
    let data = json!({ "problems": [{ "code": code, "message": "m" }], "rolled_back": rolled_back, "leftover": [] });
    let error = RpcError { code, message: "m".to_owned(), data: Some(data) };
    Failure::Call(ClientError::Rpc(error))
}

fn unknown_key() -> Failure {
    let problem = Problem::UnknownKey { of: Subject::Options, key: "x\ny".to_owned(), nearest: None };
    Failure::Input(InputError::UnknownKeys { file: "f".to_owned(), problems: vec![problem] })
}

fn unreachable() -> Failure {
    let source = io::Error::from(ErrorKind::ConnectionRefused);
    Failure::Call(ClientError::Unreachable { path: "/s".into(), source })
}

#[test]
fn each_end_has_its_number() {
    for code in (21..=28).chain([31, 78]) {
        assert_eq!(rpc(code, Value::Null).exit(), Exit::Refused, "{code}");
        // A request may also turn out to be wrong on the way.
        assert_eq!(rpc(code, json!(true)).exit(), Exit::RolledBack, "{code}");
    }
    for (failure, number) in [
        (rpc(10, json!(true)), 4),
        (rpc(29, json!(true)), 4),
        (rpc(29, json!(false)), 5),
        (rpc(16, json!(false)), 5),
        (rpc(16, Value::Null), 1),
        (rpc(20, Value::Null), 1),
        (rpc(29, Value::Null), 1),
        (rpc(30, Value::Null), 1),
        (rpc(32, Value::Null), 1),
        (rpc(-32001, Value::Null), 7),
        (rpc(40, Value::Null), 8),
        (rpc(-32601, Value::Null), 1),
        (Failure::Call(ClientError::Rpc(RpcError::new(21, "m"))), 3),
        (Failure::Call(ClientError::Rpc(RpcError { code: 40, message: String::new(), data: Some(json!([1])) })), 8),
        (unreachable(), 6),
        (Failure::Call(ClientError::Io(ErrorKind::UnexpectedEof.into())), 1),
        (Failure::Call(ClientError::Late(Duration::ZERO)), 1),
        (unknown_key(), 3),
        (Failure::Input(InputError::Form { file: "f".to_owned(), reason: "r".to_owned() }), 3),
        (Failure::Input(InputError::Unreadable { file: "f".to_owned(), source: ErrorKind::NotFound.into() }), 1),
        (Failure::NoTerminal(ErrorKind::NotFound.into()), 2),
        (Failure::Directory("d".to_owned(), ErrorKind::NotADirectory.into()), 1),
        (Failure::NoCode("99".to_owned()), 2),
        (Failure::Ended, 1),
        (Failure::Print(ErrorKind::StorageFull.into()), 1),
    ] {
        assert_eq!(failure.exit() as u8, number, "{failure:?}");
    }
}

fn told(outcome: Outcome, as_json: bool) -> (String, Told) {
    let mut out = Vec::new();
    let told = report(&outcome, as_json, &mut out);
    (String::from_utf8(out).unwrap(), told)
}

fn answer() -> Outcome {
    let warnings = vec!["careful".to_owned()];
    Ok(Answer { text: "done\n".to_owned(), json: json!({"a": 1}), warnings, failed: Vec::new(), differs: false })
}

#[test]
fn a_person_reads_sentences_and_a_program_json() {
    let warned = Told { exit: Exit::Done, errors: vec!["warning: careful".to_owned()] };
    assert_eq!(told(answer(), false), ("done\n".to_owned(), warned));
    assert_eq!(told(answer(), true).0, "{\n  \"a\": 1\n}\n");
}

#[test]
fn what_was_done_in_part_is_told_and_counts_as_failed() {
    let part = Answer { failed: vec!["one".to_owned()], ..answer().unwrap() };
    let (text, told) = told(Ok(part), false);
    assert_eq!((text.as_str(), told.exit), ("done\n", Exit::Failed));
    assert_eq!(told.errors, ["warning: careful", "error: one"]);
}

#[test]
fn errors_have_one_form_whoever_found_them() {
    let (text, said) = told(Err(rpc(25, Value::Null)), true);
    let theirs: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(theirs["data"]["problems"][0], json!({ "code": 25, "message": "m" }));
    assert_eq!(said, Told { exit: Exit::Refused, errors: vec!["error: m (code 25)".to_owned()] });

    let (text, said) = told(Err(unknown_key()), true);
    let ours: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(ours["code"], json!(21));
    assert_eq!(ours["data"]["problems"][0], json!({ "code": 21, "message": "options: the key 'x\ny' is unknown" }));
    assert_eq!(ours["data"]["rolled_back"], Value::Null);
    assert_eq!(said.errors[0], "error: options: the key 'x\n    y' is unknown");

    let (text, said) = told(Err(unreachable()), true);
    assert_eq!(
        serde_json::from_str::<Value>(&text).unwrap(),
        json!({ "code": null, "message": "cannot reach the daemon at /s: connection refused" })
    );
    assert_eq!(said.errors, ["error: cannot reach the daemon at /s: connection refused"]);
}

#[test]
fn a_person_gets_no_error_on_stdout() {
    assert_eq!(told(Err(rpc(25, Value::Null)), false).0, "");
}

#[test]
fn what_was_printed_as_it_came_is_not_printed_again() {
    let nothing = Told { exit: Exit::Done, errors: Vec::new() };
    assert_eq!(told(Ok(Answer::default()), true), (String::new(), nothing));
    let null = Answer { text: "null\n".to_owned(), ..Answer::default() };
    assert_eq!(told(Ok(null), true).0, "null\n", "an answer may be null");
}

#[test]
fn who_looks_on_is_told_that_there_is_nothing_more_to_see() {
    let (text, said) = told(Err(Failure::Ended), true);
    let theirs: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(theirs, json!({ "code": null, "message": "the daemon has ended" }));
    assert_eq!(said, Told { exit: Exit::Failed, errors: vec!["error: the daemon has ended".to_owned()] });
}

#[test]
fn a_host_that_is_not_as_configured_is_no_failure_and_has_an_exit_code() {
    let differs = Answer { differs: true, ..Answer::default() };
    assert_eq!(told(Ok(differs), false).1.exit as u8, 3);
}

/// A pipe that fails.
struct Failing(ErrorKind);

impl Write for Failing {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(self.0.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn an_answer_that_cannot_be_printed_is_a_failure_unless_nobody_reads() {
    let quiet = report(&answer(), false, &mut Failing(ErrorKind::BrokenPipe));
    assert_eq!((quiet.exit, quiet.errors.len()), (Exit::Done, 1));
    let full = report(&answer(), false, &mut Failing(ErrorKind::StorageFull));
    assert_eq!(full.exit, Exit::Failed);
    assert_eq!(full.errors[1], "error: cannot print the answer: no storage space");
    let worse = report(&Err(rpc(40, Value::Null)), true, &mut Failing(ErrorKind::StorageFull));
    assert_eq!(worse.exit, Exit::Busy);
}
