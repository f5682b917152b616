//! Clients that only read, each on a connection and a thread of its own, and how long they wait.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::client::Client;
use crate::idler::Idler;
use crate::ours::Daemon;
use crate::results::Latency;

/// How long each rests between two rounds.
const PAUSE: Duration = Duration::from_millis(2);

/// What is asked in each round, in this order.
pub(super) const METHODS: [&str; 3] = ["Host.ping2", "Host.getStats", "Host.getCapabilities"];

/// How long answers were waited for, by method.
pub(super) type Waits = [Wait; METHODS.len()];

/// The answers to one method.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Wait {
    of: Vec<Duration>,
    /// The same bytes from one who does nothing.
    idle: Vec<Duration>,
    /// The longest answer.
    bytes: usize,
}

impl Wait {
    pub(super) fn add(&mut self, more: Wait) {
        self.of.extend(more.of);
        self.idle.extend(more.idle);
        self.bytes = self.bytes.max(more.bytes);
    }

    pub(super) fn json(&self) -> Value {
        let latency = |times| Latency::of(times).map(Latency::json);
        json!({ "count": self.of.len(), "bytes": self.bytes, "ms": latency(&self.of), "idle_ms": latency(&self.idle) })
    }
}

/// Readers that ask until they are stopped.
pub(super) struct Readers {
    over: Arc<AtomicBool>,
    rounds: Arc<AtomicUsize>,
    threads: Vec<JoinHandle<Result<Waits, String>>>,
}

impl Readers {
    pub(super) fn start(daemon: &Daemon, count: usize) -> Result<Readers, String> {
        let (over, rounds) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let thread = |_| {
            let (client, idler) = (daemon.connect()?, Idler::start()?);
            let (over, rounds) = (Arc::clone(&over), Arc::clone(&rounds));
            Ok(std::thread::spawn(move || read(client, idler, &over, &rounds)))
        };
        let threads = (0..count).map(thread).collect::<Result<_, String>>()?;
        Ok(Readers { over, rounds, threads })
    }

    /// Waits until they have asked so often, together.
    pub(super) fn wait_for(&self, rounds: usize) {
        while self.rounds.load(Ordering::SeqCst) < rounds && !self.threads.iter().any(JoinHandle::is_finished) {
            std::thread::sleep(PAUSE);
        }
    }

    pub(super) fn stop(self) -> Result<Waits, String> {
        self.over.store(true, Ordering::SeqCst);
        let mut all = Waits::default();
        for thread in self.threads {
            let waits = thread.join().map_err(|_| "a thread that reads had failed")??;
            all.iter_mut().zip(waits).for_each(|(all, wait)| all.add(wait));
        }
        Ok(all)
    }
}

fn read(mut client: Client, mut idler: Idler, over: &AtomicBool, rounds: &AtomicUsize) -> Result<Waits, String> {
    let mut waits = Waits::default();
    let lines = METHODS.map(|method| client.line(method, json!({})));
    while !over.load(Ordering::SeqCst) {
        for (line, wait) in lines.iter().zip(&mut waits) {
            let begun = Instant::now();
            let bytes = client.ask_size(line).map_err(|e| format!("a reader: {e}"))?;
            wait.of.push(begun.elapsed());
            let begun = Instant::now();
            idler.ask(bytes)?;
            wait.idle.push(begun.elapsed());
            wait.bytes = wait.bytes.max(bytes);
        }
        rounds.fetch_add(1, Ordering::SeqCst);
        std::thread::sleep(PAUSE);
    }
    Ok(waits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_of_several_readers_are_one() {
        let wait = |millis, bytes| {
            let times = vec![Duration::from_millis(millis); 3];
            Wait { of: times.clone(), idle: times, bytes }
        };
        let mut all = wait(1, 70);
        all.add(wait(3, 60));
        let said = json!({ "count": 6, "bytes": 70, "ms": [2.0, 3.0], "idle_ms": [2.0, 3.0] });
        assert_eq!(all.json(), said);
        assert_eq!(Wait::default().json()["ms"], Value::Null);
    }
}
