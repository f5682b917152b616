//! Feeds for tests, and what becomes of them. No promises are tested here.

use std::collections::VecDeque;

use tokio::sync::Notify;

use super::*;
use crate::rpc::Notification;

/// All feeds there ever were, by their numbers.
#[derive(Default)]
pub(super) struct Taps {
    all: Mutex<Vec<Tap>>,
    changed: Condvar,
}

/// One feed.
#[derive(Default)]
pub(super) struct Tap {
    mailbox: VecDeque<Vec<u8>>,
    /// How many lines a portion has, when there is always one more.
    endless: Option<u64>,
    /// Taking from it panics.
    broken: bool,
    /// Lines made so far, each has its number.
    pub(super) made: u64,
    pub(super) taken: usize,
    pub(super) closed: usize,
    waker: Arc<Notify>,
}

/// The end of a feed that the server sees.
struct End {
    number: usize,
    taps: Arc<Taps>,
    waker: Arc<Notify>,
}

/// `event`, with the feed's number, the line's number and something to fill it.
pub(super) fn event(tap: usize, line: u64, length: usize) -> Value {
    let params = json!([tap, line, "x".repeat(length)]);
    json!({"jsonrpc": "2.0", "method": "event", "params": params})
}

fn line(tap: usize, number: u64, length: usize) -> Vec<u8> {
    let event = event(tap, number, length);
    Notification { method: "event".into(), params: event["params"].clone() }.to_line()
}

/// A length for an endless feed's line: mostly short, and some as large as a socket's buffer.
pub(super) fn some_length(line: u64) -> usize {
    if line % 50 == 49 { 200_000 } else { (line * 37 % 1000) as usize }
}

impl Taps {
    /// Attaches a new feed and answers with its number. `params` is an array of
    /// words: `endless`, with ten lines a portion; `broken`; `again`, attach another
    /// one in the same call; and how the call ends: `fail` or `panic`. Without any
    /// the feed has two lines in its mailbox.
    pub(super) fn subscribe(self: &Arc<Self>, params: &Value, caller: &Caller) -> Result<Value, RpcError> {
        let has = |word: &str| params.as_array().is_some_and(|words| words.contains(&json!(word)));
        let mut number = self.attach(caller, has("endless").then_some(10), has("broken"));
        if has("again") {
            number = self.attach(caller, None, false);
        }
        assert!(!has("panic"), "as asked");
        if has("fail") { Err(RpcError::new(25, "no")) } else { Ok(json!(number)) }
    }

    fn attach(self: &Arc<Self>, caller: &Caller, endless: Option<u64>, broken: bool) -> usize {
        let (number, end) = self.open(Tap { endless, broken, ..Tap::default() });
        if endless.is_none() {
            self.say(number, 2);
        }
        caller.attach(end);
        number
    }

    pub(super) fn open(self: &Arc<Self>, tap: Tap) -> (usize, Arc<dyn Feed>) {
        let waker = tap.waker.clone();
        let number = self.change(|all| {
            all.push(tap);
            all.len() - 1
        });
        (number, Arc::new(End { number, taps: self.clone(), waker }))
    }

    /// Puts empty lines into a mailbox.
    pub(super) fn say(&self, number: usize, lines: u64) {
        let waker = self.change(|all| {
            let tap = &mut all[number];
            for _ in 0..lines {
                tap.mailbox.push_back(line(number, tap.made, 0));
                tap.made += 1;
            }
            tap.waker.clone()
        });
        waker.notify_one();
    }

    pub(super) fn seen<T>(&self, what: impl FnOnce(&[Tap]) -> T) -> T {
        what(&self.all.lock().unwrap())
    }

    pub(super) fn wait_for(&self, what: impl Fn(&[Tap]) -> bool) {
        let all = self.all.lock().unwrap();
        let wait = self.changed.wait_timeout_while(all, SOON, |all| !what(all));
        assert!(!wait.unwrap().1.timed_out(), "what was waited for never came");
    }

    fn change<T>(&self, how: impl FnOnce(&mut Vec<Tap>) -> T) -> T {
        let result = how(&mut self.all.lock().unwrap());
        self.changed.notify_all();
        result
    }
}

impl Tap {
    /// Full of lines of this length, all in one portion.
    pub(super) fn of_one_portion(number: usize, lines: u64, length: usize) -> Tap {
        let portion = (0..lines).flat_map(|at| line(number, at, length)).collect();
        Tap { mailbox: [portion].into(), made: lines, ..Tap::default() }
    }

    /// With always one more line.
    pub(super) fn endless() -> Tap {
        Tap { endless: Some(1), ..Tap::default() }
    }

    fn portion(&mut self, number: usize) -> Option<Vec<u8>> {
        let Some(lines) = self.endless else {
            return self.mailbox.pop_front();
        };
        let portion = (self.made..self.made + lines).flat_map(|at| line(number, at, some_length(at))).collect();
        self.made += lines;
        Some(portion)
    }
}

impl Feed for End {
    fn take(&self) -> Option<Vec<u8>> {
        assert!(!self.taps.seen(|all| all[self.number].broken), "as asked");
        self.taps.change(|all| {
            let tap = &mut all[self.number];
            assert_eq!(tap.closed, 0, "taken from when it was closed");
            let portion = tap.portion(self.number);
            tap.taken += portion.as_ref().map_or(0, Vec::len);
            portion
        })
    }

    fn waker(&self) -> &Notify {
        &self.waker
    }

    fn closed(&self) {
        self.taps.change(|all| all[self.number].closed += 1);
    }
}

impl Server {
    /// Waits until this feed is closed.
    pub(super) fn closes(&self, tap: usize) {
        self.gates.taps.wait_for(|all| all.get(tap).is_some_and(|tap| tap.closed > 0));
    }

    /// Stops, and all feeds there ever were have been closed once.
    pub(super) fn ends_with_feeds(mut self, expected: usize) {
        self.stopped().unwrap();
        let closed = self.gates.taps.seen(|all| all.iter().map(|tap| tap.closed).collect::<Vec<_>>());
        assert_eq!(closed, vec![1; expected]);
    }
}

impl Wire {
    /// Subscribes, and the answer comes first of all.
    pub(super) fn subscribe(&mut self, words: &[&str], tap: usize) {
        self.say(&json!({"jsonrpc": "2.0", "id": "subscribe", "method": "subscribe", "params": words}).to_string());
        self.hears("subscribe", tap);
    }

    /// The next of a tap's short lines.
    pub(super) fn hears_event(&mut self, tap: usize, line: u64) {
        assert_eq!(self.hear(), Some(event(tap, line, 0)));
    }
}
