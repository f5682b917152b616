//! What a client may take of us, and that nobody else feels it.

use proptest::prelude::*;

use super::*;

#[test]
fn a_line_too_long_is_refused_and_the_next_one_served() {
    let server = Server::start(Limits { max_request_bytes: 1000, ..Limits::default() });
    let mut wire = server.connect();
    for length in [1001, 100_000, 4 << 20] {
        wire.say(&"x".repeat(length));
        wire.hears_error(Value::Null, -32600, "longer than 1000 bytes");
        wire.is_usable();
    }
    let padding = "x".repeat(1000 - r#"{"jsonrpc":"2.0","id":1,"method":"size","params":[""]}"#.len());
    wire.say(&format!(r#"{{"jsonrpc":"2.0","id":1,"method":"size","params":["{padding}"]}}"#));
    wire.hears(1, padding.len());
}

#[test]
fn what_is_no_request_is_refused_and_the_next_one_served() {
    let server = Server::start(Limits::default());
    let mut wire = server.connect();
    let deep = "[".repeat(200_000);
    let wide = format!("[{}0]", "0,".repeat(200_000));
    let doubled = r#"{"jsonrpc":"2.0","id":4,"method":"echo","params":{"red":1,"red":2}}"#;
    let cases = [
        ("{", Value::Null, -32700, "not JSON"),
        (&*deep, Value::Null, -32700, "recursion limit"),
        (&*wide, Value::Null, -32600, "values"),
        (doubled, json!(4), -32600, r#"duplicate key "red" in "params""#),
        (r#"{"jsonrpc":"2.0","id":5}"#, json!(5), -32600, "method"),
    ];
    for (line, id, code, text) in cases {
        wire.say(line);
        wire.hears_error(id, code, text);
        wire.is_usable();
    }
    assert!(!server.gates.change(|calls| calls.done.iter().any(|method| method != "echo")));
}

#[test]
fn a_batch_too_long_is_refused_whole() {
    let server = Server::start(Limits { max_pending_per_client: 2, ..Limits::default() });
    let mut wire = server.connect();
    let one = r#"{"jsonrpc":"2.0","method":"fail"}"#;
    wire.say(&format!("[{one},{one},{one}]"));
    wire.hears_error(Value::Null, -32600, "at most 2");
    wire.is_usable();
    assert_eq!(server.gates.change(|calls| calls.done.clone()), ["echo"]);
}

#[test]
fn a_line_left_unfinished_ends_the_connection() {
    let idle_partial = Duration::from_millis(50);
    let server = Server::start(Limits { idle_partial, ..Limits::default() });
    let mut wire = server.connect();
    wire.is_usable();
    wire.call(1, "hold");
    wire.stream.write_all(b"{\"half\":").unwrap();
    wire.hears_error(Value::Null, -32600, "not finished");
    // What was asked for before is answered still.
    server.gates.open();
    wire.hears(1, "held");
    assert_eq!(wire.hear(), None);
}

#[test]
fn who_asks_for_much_at_once_waits_for_himself() {
    let server = Server::start(Limits { max_pending_per_client: 3, ..Limits::default() });
    let mut wire = server.connect();
    for id in 0..30 {
        wire.call(id, "hold");
    }
    server.gates.wait_for(|calls| calls.running == 3);
    let mut other = server.connect();
    for _ in 0..100 {
        other.is_usable();
    }
    server.gates.open();
    for _ in 0..30 {
        assert_eq!(wire.hear().unwrap()["result"], "held");
    }
    assert_eq!(server.gates.change(|calls| calls.most), 3);
}

#[test]
fn all_clients_together_run_no_more_calls_than_allowed() {
    let limits = Limits { max_calls: 5, max_clients: 100, ..Limits::default() };
    let server = Server::start(limits);
    let mut wires: Vec<_> = (0..10).map(|_| server.connect()).collect();
    for wire in &mut wires {
        wire.call(1, "hold");
        wire.call(2, "hold");
    }
    server.gates.wait_for(|calls| calls.running >= 5);
    // A sixth, were there one, gets the time to show itself.
    std::thread::sleep(Duration::from_millis(100));
    server.gates.open();
    for wire in &mut wires {
        assert_eq!(wire.hear().unwrap()["result"], "held");
        assert_eq!(wire.hear().unwrap()["result"], "held");
    }
    assert_eq!(server.gates.change(|calls| calls.most), 5);
}

#[test]
fn one_client_too_many_is_told_so() {
    let server = Server::start(Limits { max_clients: 2, ..Limits::default() });
    let mut wires = [server.connect(), server.connect()];
    wires.iter_mut().for_each(Wire::is_usable);
    let mut third = server.connect();
    third.hears_error(Value::Null, -32000, "too many clients");
    assert_eq!(third.hear(), None);
    // The client for the command line learns the reason, however the race of its call with
    // our closing ends.
    for _ in 0..50 {
        let error = server.client().call("echo", Value::Null).unwrap_err();
        assert!(error.to_string().contains("too many clients"), "{error}");
    }
    wires.iter_mut().for_each(Wire::is_usable);
    drop(wires);
    while server.client().call("echo", Value::Null).is_err() {}
}

/// A client that asks for more than its socket holds, and does not read.
fn deaf(server: &Server) -> Wire {
    let mut wire = server.connect();
    wire.call(1, "large");
    wire
}

#[test]
fn who_does_not_take_his_answers_is_dropped() {
    let write_timeout = Duration::from_millis(50);
    let limits = Limits { write_timeout, max_clients: 1, ..Limits::default() };
    let server = Server::start(limits);
    let wire = deaf(&server);
    // His place is free again, though he has not left.
    while server.client().call("echo", Value::Null).is_err() {}
    drop(wire);
}

#[test]
fn a_shutdown_waits_for_the_calls_of_who_was_dropped() {
    let write_timeout = Duration::from_millis(50);
    let limits = Limits { write_timeout, max_clients: 1, ..Limits::default() };
    let mut server = Server::start(limits);
    let mut wire = server.connect();
    wire.call(1, "hold");
    server.gates.wait_for(|calls| calls.running == 1);
    wire.call(2, "large");
    while server.client().call("echo", Value::Null).is_err() {}
    server.ask_to_stop();
    while UnixStream::connect(&server.path).is_ok() {}
    server.gates.open();
    // The server itself checks, as it ends, that nothing was left behind.
    server.stopped().unwrap();
}

#[test]
fn who_does_not_take_his_answers_keeps_nobody_waiting() {
    let limits = Limits { max_calls: 2, max_pending_per_client: 3, ..Limits::default() };
    let server = Server::start(limits);
    let mut wires: Vec<_> = (0..10).map(|_| deaf(&server)).collect();
    for wire in &mut wires {
        (0..10).for_each(|id| wire.call(id, "large"));
    }
    let mut other = server.connect();
    for _ in 0..100 {
        other.is_usable();
    }
    // They are still let to take them, each eleven.
    for _ in 0..11 {
        assert_eq!(wires[0].hear().unwrap()["result"].as_str().unwrap().len(), LARGE);
    }
    for wire in wires {
        // Those who never will are cut off here, so that the server can end.
        wire.stream.shutdown(std::net::Shutdown::Both).unwrap();
    }
}

#[derive(Debug, Clone)]
enum Nuisance {
    Noise(Vec<u8>),
    HalfLine(String),
    Oversize(usize),
    Deep(usize),
    Unread(usize),
    Panics(usize),
    Silent,
}

fn any_nuisance() -> impl Strategy<Value = Nuisance> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..3000).prop_map(Nuisance::Noise),
        r#"\{"jsonrpc":"2.0","id":[0-9],"me"#.prop_map(Nuisance::HalfLine),
        (10_000usize..300_000).prop_map(Nuisance::Oversize),
        (100usize..5000).prop_map(Nuisance::Deep),
        (1usize..20).prop_map(Nuisance::Unread),
        (1usize..3).prop_map(Nuisance::Panics),
        Just(Nuisance::Silent),
    ]
}

impl Nuisance {
    fn text(&self) -> Vec<u8> {
        let calls = |count: &usize, method: &str| {
            let line = json!({"jsonrpc": "2.0", "id": 1, "method": method}).to_string();
            (line + "\n").repeat(*count).into_bytes()
        };
        match self {
            Nuisance::Noise(bytes) => bytes.clone(),
            Nuisance::HalfLine(text) => text.clone().into_bytes(),
            Nuisance::Oversize(length) => [vec![b'x'; *length], b"\n".into()].concat(),
            Nuisance::Deep(depth) => ("[".repeat(*depth) + "\n").into_bytes(),
            Nuisance::Unread(count) => calls(count, "echo"),
            Nuisance::Panics(count) => calls(count, "panic"),
            Nuisance::Silent => Vec::new(),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 50, ..ProptestConfig::with_cases(4) })]

    #[test]
    fn two_hundred_clients_of_garbage_keep_no_other_from_its_answers(
        nuisances in prop::collection::vec(any_nuisance(), 200..=200),
        stay in any::<bool>(),
    ) {
        let limits = Limits { max_clients: 300, max_request_bytes: 10_000, ..Limits::default() };
        let server = Server::start(limits);
        let mut good = server.connect();
        let mut kept = Vec::new();
        for nuisance in &nuisances {
            let mut wire = server.connect();
            // The server reads on whatever comes, so this never waits for long.
            wire.stream.write_all(&nuisance.text()).unwrap();
            if stay {
                kept.push(wire);
            }
            good.is_usable();
        }
        (0..100).for_each(|_| good.is_usable());
    }
}
