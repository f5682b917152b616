//! What a subscriber may expect of us, and what it may not take of others.

use super::taps::{event, some_length};
use super::*;
use crate::rpc::Notification;

#[test]
fn the_answer_to_a_subscription_comes_before_its_first_line() {
    let server = Server::start(Limits::default());
    for tap in 0..100 {
        let mut wire = server.connect();
        wire.subscribe(&[], tap);
        wire.hears_event(tap, 0);
        wire.hears_event(tap, 1);
    }
    server.ends_with_feeds(100);
}

#[test]
fn a_batch_may_subscribe_and_so_may_a_notification() {
    let server = Server::start(Limits::default());
    let mut wire = server.connect();
    wire.say(r#"[{"jsonrpc":"2.0","id":1,"method":"subscribe"},{"jsonrpc":"2.0","id":2,"method":"subscribe"}]"#);
    // The second took the place of the first before the answer was there.
    let answer = |id: u64| json!({"jsonrpc": "2.0", "id": id, "result": id - 1});
    assert_eq!(wire.hear(), Some(json!([answer(1), answer(2)])));
    wire.hears_event(1, 0);
    wire.hears_event(1, 1);
    let mut wire = server.connect();
    wire.notify("subscribe");
    wire.hears_event(2, 0);
    wire.hears_event(2, 1);
    drop(wire);
    server.ends_with_feeds(3);
}

#[test]
fn what_is_said_later_comes_as_it_is_said() {
    let server = Server::start(Limits::default());
    let mut wires = [server.connect(), server.connect()];
    for (tap, wire) in wires.iter_mut().enumerate() {
        wire.subscribe(&[], tap);
        wire.hears_event(tap, 0);
        wire.hears_event(tap, 1);
    }
    for line in 2..500 {
        for (tap, wire) in wires.iter_mut().enumerate() {
            server.gates.taps.say(tap, 1);
            wire.hears_event(tap, line);
            wire.is_usable();
        }
    }
}

/// Calls and waits for the answer; what comes before it is the next of an endless tap's lines.
fn call_in_between(wire: &mut Wire, tap: usize, next: &mut u64, id: u64, method: &str) -> Value {
    wire.call(id, method);
    loop {
        let heard = wire.hear().expect("the server closed");
        if heard["id"] == id {
            return heard["result"].clone();
        }
        assert_eq!(heard, event(tap, *next, some_length(*next)));
        *next += 1;
    }
}

#[test]
fn lines_stay_whole_and_in_order_while_calls_are_answered() {
    let server = Server::start(Limits::default());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            let mut wire = server.connect();
            wire.say(r#"{"jsonrpc":"2.0","id":0,"method":"subscribe","params":["endless"]}"#);
            let tap = wire.hear().unwrap()["result"].as_u64().unwrap() as usize;
            scope.spawn(move || {
                let mut next = 0;
                for id in 1..100 {
                    let method = if id % 20 == 0 { "large" } else { "echo" };
                    let result = call_in_between(&mut wire, tap, &mut next, id, method);
                    assert_eq!(result.as_str().map_or(0, str::len), if method == "large" { LARGE } else { 0 });
                }
                assert!(next > 100, "calls kept the notifications from being sent: {next}");
            });
        }
        // On the same thread of the server as both of them.
        let mut other = server.connect();
        (0..100).for_each(|_| other.is_usable());
    });
    server.ends_with_feeds(2);
}

#[test]
fn who_never_reads_costs_what_its_socket_holds() {
    let server = Server::start(Limits::default());
    let mut wire = server.connect();
    wire.subscribe(&["endless"], 0);
    let mut other = server.connect();
    (0..1000).for_each(|_| other.is_usable());
    let taken = server.gates.taps.seen(|all| all[0].taken);
    assert!((1..4 << 20).contains(&taken), "{taken} bytes were taken");
    // And nothing was lost for it.
    let mut next = 0;
    for id in 0..10 {
        call_in_between(&mut wire, 0, &mut next, id, "echo");
    }
    drop(wire);
    server.ends_with_feeds(1);
}

#[test]
fn who_reads_no_notifications_is_waited_for_until_an_answer_waits() {
    let write_timeout = Duration::from_millis(50);
    let server = Server::start(Limits { write_timeout, max_clients: 2, ..Limits::default() });
    let mut wire = server.connect();
    wire.subscribe(&["endless"], 0);
    // Full, since it takes nothing more: this is how a suspended terminal looks.
    server.gates.taps.wait_for(|all| all[0].taken > 200_000);
    for id in 0..3 {
        let mut deaf = server.admitted();
        deaf.call(id, "large");
        // Who came later, and does not take an answer, is dropped before.
        drop(server.admitted());
    }
    // It reads on, also what was not yet taken then.
    let (closed, made) = server.gates.taps.seen(|all| (all[0].closed, all[0].made));
    assert_eq!(closed, 0);
    for line in 0..made + 10 {
        assert_eq!(wire.hear(), Some(event(0, line, some_length(line))));
    }
    wire.call(1, "large");
    server.closes(0);
    server.ends_with_feeds(1);
}

#[test]
fn a_second_subscription_takes_the_place_of_the_first() {
    let server = Server::start(Limits::default());
    let mut wire = server.connect();
    wire.subscribe(&[], 0);
    wire.hears_event(0, 0);
    wire.hears_event(0, 1);
    wire.subscribe(&[], 1);
    server.closes(0);
    server.gates.taps.say(0, 3);
    server.gates.taps.say(1, 1);
    for line in 0..3 {
        wire.hears_event(1, line);
    }
    wire.is_usable();
    drop(wire);
    server.ends_with_feeds(2);
}

#[test]
fn after_the_second_answer_nothing_of_the_first_feed_comes() {
    let server = Server::start(Limits::default());
    let mut wire = server.connect();
    wire.subscribe(&["endless"], 0);
    server.gates.taps.wait_for(|all| all[0].taken > 200_000);
    let result = call_in_between(&mut wire, 0, &mut 0, 7, "subscribe");
    assert_eq!(result, json!(1));
    wire.hears_event(1, 0);
    wire.hears_event(1, 1);
    wire.is_usable();
    drop(wire);
    server.ends_with_feeds(2);
}

#[test]
fn the_client_for_the_command_line_can_subscribe() {
    let server = Server::start(Limits::default());
    let mut client = server.client();
    assert_eq!(client.call("subscribe", Value::Null).unwrap(), json!(0));
    // Whether they come before or after these answers.
    assert_eq!(client.call("echo", json!([1])).unwrap(), json!([1]));
    server.gates.taps.say(0, 1);
    assert_eq!(client.call("echo", json!([2])).unwrap(), json!([2]));
    for line in 0..3 {
        let expected = Notification { method: "event".into(), params: json!([0, line, ""]) };
        assert_eq!(client.next_notification(Some(SOON)).unwrap(), Some(expected));
    }
    assert_eq!(client.next_notification(Some(Duration::ZERO)).unwrap(), None);
    server.gates.taps.say(0, 1);
    assert_eq!(client.next_notification(None).unwrap().unwrap().params, json!([0, 3, ""]));
    drop(client);
    server.ends_with_feeds(1);
}
