//! Answers whose text the service has written itself.

use super::*;

/// The next line, as it came.
fn text(wire: &mut Wire) -> Vec<u8> {
    let mut line = Vec::new();
    wire.from.read_until(b'\n', &mut line).unwrap();
    line
}

#[test]
fn a_raw_reply_comes_byte_for_byte() {
    let server = Server::start(Limits::default());
    let mut wire = server.connect();
    let report = str::from_utf8(&server.gates.report).unwrap();
    wire.call("\"", "raw");
    let expected = format!("{{\"jsonrpc\":\"2.0\",\"id\":\"\\\"\",\"result\":{report}}}\n");
    assert!(text(&mut wire) == expected.as_bytes(), "the text is another");
    wire.notify("raw");
    wire.is_usable();
}

#[test]
fn raw_replies_in_a_batch_come_byte_for_byte() {
    let server = Server::start(Limits::default());
    let mut wire = server.connect();
    let report = str::from_utf8(&server.gates.report).unwrap();
    let call = |id, method| format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}"}}"#);
    let silent = r#"{"jsonrpc":"2.0","method":"raw"}"#;
    wire.say(&format!("[{},{},{silent},{}]", call(1, "raw"), call(2, "echo"), call(3, "raw")));
    let answer = |id, result| format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#);
    let expected = format!("[{},{},{}]\n", answer(1, report), answer(2, "null"), answer(3, report));
    assert!(text(&mut wire) == expected.as_bytes(), "the text is another");
    wire.say(&format!("[{silent},{silent}]"));
    wire.is_usable();
}

#[test]
fn a_report_for_many_is_there_once() {
    let server = Server::start(Limits::default());
    let mut wires: Vec<_> = (0..8).map(|_| server.connect()).collect();
    for wire in &mut wires {
        wire.call(1, "raw");
        wire.call(2, "raw");
    }
    // The service's own one, and two for each who does not take his answers: none has its own copy.
    let shares = |expected: usize| {
        let start = std::time::Instant::now();
        while Arc::strong_count(&server.gates.report) != expected {
            assert!(start.elapsed() < SOON, "{}", Arc::strong_count(&server.gates.report));
            std::thread::yield_now();
        }
    };
    shares(17);
    for wire in &mut wires {
        for _ in 0..2 {
            assert!(text(wire).len() > LARGE);
        }
    }
    shares(1);
}
