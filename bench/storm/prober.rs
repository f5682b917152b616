//! Another client, who asks now and then, and what it waits for its answers.
//!
//! Beside the daemon it asks somebody in this process who answers as much and does nothing for it:
//! what that takes longer in a storm, the machine does, and not the daemon.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::client::Client;
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
        let idler = Idler::start().map_err(|e| format!("nobody who does nothing: {e}"))?;
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
            idler.ask(bytes).map_err(|e| format!("who does nothing: {e}"))?;
            idle.push(begun.elapsed());
        }
        rounds.fetch_add(1, Ordering::SeqCst);
        std::thread::sleep(PAUSE);
    }
    Ok(probed)
}

/// Somebody who answers with as many bytes as he is asked for.
struct Idler {
    stream: UnixStream,
    room: Vec<u8>,
}

impl Idler {
    /// A thread, which ends with its connection.
    fn start() -> std::io::Result<Idler> {
        let (ours, mut theirs) = UnixStream::pair()?;
        std::thread::spawn(move || {
            let (mut asked, mut answer) = ([0; 8], Vec::new());
            while theirs.read_exact(&mut asked).is_ok() {
                answer.resize(u64::from_ne_bytes(asked) as usize, 0);
                if theirs.write_all(&answer).is_err() {
                    break;
                }
            }
        });
        Ok(Idler { stream: ours, room: vec![0; 256 << 10] })
    }

    fn ask(&mut self, bytes: usize) -> std::io::Result<()> {
        self.stream.write_all(&(bytes as u64).to_ne_bytes())?;
        let mut left = bytes;
        while left > 0 {
            let room = self.room.len().min(left);
            match self.stream.read(&mut self.room[..room])? {
                0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
                read => left -= read,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_does_nothing_answers_as_much_as_is_asked_for() {
        let mut idler = Idler::start().unwrap();
        for bytes in [1, 70, 1 << 20] {
            idler.ask(bytes).unwrap();
        }
        idler.stream.set_nonblocking(true).unwrap();
        assert_eq!(idler.stream.read(&mut [0]).unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    }
}
