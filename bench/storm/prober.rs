//! Another client, who asks now and then, and what it waits for its answers.
//!
//! Beside the daemon it asks somebody who does nothing for as much (`idler.rs`).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::client::Client;
use crate::idler::Idler;
use crate::ours::Daemon;

/// How long it rests between two rounds.
const PAUSE: Duration = Duration::from_millis(2);

/// How long each answer took, the daemon's and the other's of the same length.
#[derive(Clone, Debug, Default)]
pub(super) struct Probed {
    pub(super) ping: Vec<Duration>,
    pub(super) as_ping: Vec<Duration>,
    pub(super) capabilities: Vec<Duration>,
    pub(super) as_capabilities: Vec<Duration>,
}

/// A thread that asks until it is stopped.
pub(super) struct Prober {
    over: Arc<AtomicBool>,
    rounds: Arc<AtomicUsize>,
    thread: JoinHandle<Result<Probed, String>>,
}

impl Prober {
    pub(super) fn start(daemon: &Daemon) -> Result<Prober, String> {
        let client = daemon.connect()?;
        let idler = Idler::start()?;
        let (over, rounds) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (ended, counted) = (Arc::clone(&over), Arc::clone(&rounds));
        let thread = std::thread::spawn(move || probe(client, idler, &ended, &counted));
        Ok(Prober { over, rounds, thread })
    }

    /// Waits until it has asked so often.
    pub(super) fn wait_for(&self, rounds: usize) {
        while self.rounds.load(Ordering::SeqCst) < rounds && !self.thread.is_finished() {
            std::thread::sleep(PAUSE);
        }
    }

    pub(super) fn stop(self) -> Result<Probed, String> {
        self.over.store(true, Ordering::SeqCst);
        self.thread.join().map_err(|_| "the thread that asks had failed")?
    }
}

fn probe(mut client: Client, mut idler: Idler, over: &AtomicBool, rounds: &AtomicUsize) -> Result<Probed, String> {
    let mut probed = Probed::default();
    let ping = client.line("Host.ping2", json!({}));
    let capabilities = client.line("Host.getNetworkCapabilities", json!({}));
    while !over.load(Ordering::SeqCst) {
        let Probed { ping: pings, as_ping, capabilities: all, as_capabilities } = &mut probed;
        for (line, times, idle) in [(&ping, pings, as_ping), (&capabilities, all, as_capabilities)] {
            let begun = Instant::now();
            let bytes = client.ask_size(line).map_err(|e| format!("another client: {e}"))?;
            times.push(begun.elapsed());
            let begun = Instant::now();
            idler.ask(bytes)?;
            idle.push(begun.elapsed());
        }
        rounds.fetch_add(1, Ordering::SeqCst);
        std::thread::sleep(PAUSE);
    }
    Ok(probed)
}
