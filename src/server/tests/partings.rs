//! However a subscription ends, its feed is told so once.

use std::net::Shutdown;
use std::os::fd::AsRawFd;

use nix::sys::socket::{MsgFlags, send};

use super::*;

#[test]
fn a_client_that_leaves_is_missed_though_there_is_nothing_to_send() {
    let server = Server::start(Limits::default());
    let mut wire = server.connect();
    wire.subscribe(&[], 0);
    wire.hears_event(0, 0);
    wire.hears_event(0, 1);
    drop(wire);
    server.closes(0);
    server.ends_with_feeds(1);
}

#[test]
fn a_client_that_leaves_with_its_calls_running_is_missed_at_once() {
    let server = Server::start(Limits { max_pending_per_client: 2, ..Limits::default() });
    let mut wire = server.connect();
    wire.subscribe(&[], 0);
    wire.hears_event(0, 0);
    wire.hears_event(0, 1);
    // As many as may run, so the server reads nothing more of it.
    wire.call(1, "hold");
    wire.call(2, "hold");
    server.gates.wait_for(|calls| calls.running == 2);
    drop(wire);
    server.closes(0);
    server.gates.open();
    server.ends_with_feeds(1);
}

#[test]
fn a_client_that_leaves_unread_lines_behind_is_missed() {
    let server = Server::start(Limits::default());
    let mut wire = server.connect();
    wire.subscribe(&["endless"], 0);
    server.gates.taps.wait_for(|all| all[0].taken > 200_000);
    drop(wire);
    server.closes(0);
    server.ends_with_feeds(1);
}

#[test]
fn who_closes_only_its_sending_side_is_told_on() {
    let server = Server::start(Limits::default());
    let mut wire = server.connect();
    wire.subscribe(&[], 0);
    wire.stream.shutdown(Shutdown::Write).unwrap();
    // The server has seen it, and heeds it, with any other.
    let mut other = server.connect();
    other.is_usable();
    other.stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(other.hear(), None);
    for line in 0..100 {
        wire.hears_event(0, line);
        server.gates.taps.say(0, 1);
    }
    assert_eq!(server.gates.taps.seen(|all| all[0].closed), 0);
    drop(wire);
    server.closes(0);
    server.ends_with_feeds(1);
}

#[test]
fn a_last_line_without_an_end_may_subscribe() {
    let server = Server::start(Limits::default());
    let mut wire = server.connect();
    wire.stream.write_all(br#"{"jsonrpc":"2.0","id":1,"method":"subscribe"}"#).unwrap();
    wire.stream.shutdown(Shutdown::Write).unwrap();
    wire.hears(1, 0);
    wire.hears_event(0, 0);
    wire.hears_event(0, 1);
    server.gates.taps.say(0, 1);
    wire.hears_event(0, 2);
    drop(wire);
    server.closes(0);
}

#[test]
fn urgent_data_is_no_leaving() {
    let server = Server::start(Limits::default());
    let mut wire = server.connect();
    wire.subscribe(&[], 0);
    wire.hears_event(0, 0);
    wire.hears_event(0, 1);
    match send(wire.stream.as_raw_fd(), b"\n", MsgFlags::MSG_OOB) {
        // A kernel without it has nothing to be mistaken about.
        Err(nix::errno::Errno::EOPNOTSUPP) => {}
        sent => assert_eq!(sent.unwrap(), 1),
    }
    for line in 2..50 {
        server.gates.taps.say(0, 1);
        wire.hears_event(0, line);
    }
    assert_eq!(server.gates.taps.seen(|all| all[0].closed), 0);
    drop(wire);
    server.closes(0);
    server.ends_with_feeds(1);
}

#[test]
fn who_is_dropped_for_half_a_line_is_told_no_more() {
    let idle_partial = Duration::from_millis(50);
    let server = Server::start(Limits { idle_partial, ..Limits::default() });
    let mut wire = server.connect();
    wire.subscribe(&[], 0);
    wire.hears_event(0, 0);
    wire.hears_event(0, 1);
    wire.stream.write_all(b"{\"half\":").unwrap();
    wire.hears_error(Value::Null, -32600, "not finished");
    assert_eq!(wire.hear(), None);
    server.ends_with_feeds(1);
}

#[test]
fn a_call_that_fails_leaves_no_feed_behind() {
    let server = Server::start(Limits::default());
    let mut wire = server.connect();
    wire.subscribe(&[], 0);
    wire.hears_event(0, 0);
    wire.hears_event(0, 1);
    for (tap, (word, code)) in [("fail", 25), ("panic", -32603)].into_iter().enumerate() {
        wire.say(&format!(r#"{{"jsonrpc":"2.0","id":1,"method":"subscribe","params":["{word}"]}}"#));
        wire.hears_error(1, code, "");
        server.closes(tap + 1);
    }
    // What was there before is there still.
    server.gates.taps.say(0, 1);
    wire.hears_event(0, 2);
    drop(wire);
    server.ends_with_feeds(3);
}

#[test]
fn a_call_that_attaches_twice_means_the_second() {
    let server = Server::start(Limits::default());
    let mut wire = server.connect();
    wire.subscribe(&["again"], 1);
    server.closes(0);
    wire.hears_event(1, 0);
    wire.hears_event(1, 1);
    drop(wire);
    server.ends_with_feeds(2);
}

#[test]
fn who_is_gone_before_its_answer_has_no_feed_left() {
    let write_timeout = Duration::from_millis(50);
    let server = Server::start(Limits { write_timeout, max_clients: 1, ..Limits::default() });
    let mut wire = server.connect();
    wire.call(1, "hold and subscribe");
    wire.call(2, "hold and subscribe");
    server.gates.wait_for(|calls| calls.running == 2);
    wire.call(3, "large");
    // His place is free again.
    drop(server.admitted());
    server.gates.open();
    server.closes(0);
    server.closes(1);
    server.ends_with_feeds(2);
}

#[test]
fn a_feed_that_panics_ends_its_own_connection_only() {
    let server = Server::start(Limits { max_clients: 2, ..Limits::default() });
    let mut other = server.connect();
    other.is_usable();
    let mut wire = server.connect();
    wire.subscribe(&["broken"], 0);
    assert_eq!(wire.hear(), None);
    other.is_usable();
    // Its place is free again.
    server.admitted();
    server.ends_with_feeds(1);
}

#[test]
fn a_shutdown_waits_for_no_subscriber() {
    let write_timeout = Duration::from_secs(3600);
    let server = Server::start(Limits { write_timeout, ..Limits::default() });
    let mut idle = server.connect();
    idle.subscribe(&[], 0);
    let mut half = server.connect();
    half.subscribe(&[], 1);
    half.stream.shutdown(Shutdown::Write).unwrap();
    // With half a line in its socket.
    let mut stopped = server.connect();
    stopped.subscribe(&["endless"], 2);
    server.gates.taps.wait_for(|all| all[2].taken > 200_000);
    server.ends_with_feeds(3);
    for (tap, wire) in [&mut idle, &mut half].into_iter().enumerate() {
        wire.hears_event(tap, 0);
        wire.hears_event(tap, 1);
        assert_eq!(wire.hear(), None);
    }
}

#[test]
fn at_a_shutdown_a_running_call_is_answered_after_a_whole_line() {
    let mut server = Server::start(Limits::default());
    let mut wire = server.connect();
    wire.subscribe(&["endless"], 0);
    wire.call(1, "hold");
    server.gates.wait_for(|calls| calls.running == 1);
    server.gates.taps.wait_for(|all| all[0].taken > 200_000);
    server.ask_to_stop();
    server.closes(0);
    server.gates.open();
    // Each line is a document, or `hear` would not understand it.
    let mut heard = Vec::new();
    while let Some(line) = wire.hear() {
        heard.push(line);
    }
    let (answer, events) = heard.split_last().unwrap();
    assert_eq!(answer["result"], "held");
    assert!(!events.is_empty() && events.iter().all(|event| event["method"] == "event"));
    server.ends_with_feeds(1);
}

#[test]
fn who_subscribes_as_the_server_stops_is_answered_and_told_nothing() {
    let mut server = Server::start(Limits::default());
    let mut wire = server.connect();
    wire.subscribe(&[], 0);
    wire.hears_event(0, 0);
    wire.hears_event(0, 1);
    wire.call(1, "hold and subscribe");
    server.gates.wait_for(|calls| calls.running == 1);
    server.ask_to_stop();
    // The connection knows that it is to end.
    server.closes(0);
    server.gates.open();
    wire.hears(1, 1);
    assert_eq!(wire.hear(), None);
    server.ends_with_feeds(2);
}

#[test]
fn a_thousand_who_come_and_go_leave_nothing_behind() {
    let server = Server::start(Limits { max_clients: 8, ..Limits::default() });
    for tap in 0..1000 {
        server.admitted().subscribe(&[], tap);
    }
    (0..1000).for_each(|tap| server.closes(tap));
    // All places are free.
    let mut wires: Vec<Wire> = (0..8).map(|_| server.admitted()).collect();
    wires.iter_mut().for_each(Wire::is_usable);
    drop(wires);
    server.ends_with_feeds(1000);
}

#[test]
fn a_shutdown_does_not_wait_long_for_who_reads_no_answers() {
    let write_timeout = Duration::from_secs(3600);
    let mut server = Server::start(Limits { write_timeout, ..Limits::default() });
    let mut deaf: Vec<_> = (0..3).map(|_| server.connect()).collect();
    for wire in &mut deaf {
        (0..8).for_each(|id| wire.call(id, "large"));
    }
    server.gates.wait_for(|calls| calls.done.len() == 24);
    let mut late = server.connect();
    late.call(1, "hold");
    server.gates.wait_for(|calls| calls.running == 1);
    server.ask_to_stop();
    // Who has waited for his own answer all the time gets it.
    server.gates.open();
    late.hears(1, "held");
    server.stopped().unwrap();
}
