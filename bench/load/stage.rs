//! Readers and a change of everything, in a network namespace of its own.
//!
//! `vdsm-bench load-stage WORKLOAD N REPS CLIENTS` prints one JSON line for each phase.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::readers::{METHODS, Readers, Waits};
use crate::host::Layout;
use crate::namespace::{Scratch, own_namespace};
use crate::ours::Daemon;
use crate::raw;

/// So often is asked while nothing else happens.
const ROUNDS: usize = 600;
/// By then the daemon has done what follows from the last change.
const AFTERWARDS: Duration = Duration::from_millis(500);

/// What happens besides the reading.
pub(super) const IDLE: &str = "nothing";
pub(super) const REMOVING: &str = "all go";
pub(super) const MAKING: &str = "all come";

pub(crate) fn run(args: &[String]) -> Result<ExitCode, String> {
    let [layout, n, reps, clients] = args else {
        return Err("load-stage WORKLOAD N REPS CLIENTS".into());
    };
    let layout = Layout::named(layout)?;
    let number = |word: &String| word.parse::<usize>().map_err(|e| format!("{word}: {e}"));
    let (n, reps, clients) = (number(n)?, number(reps)?, number(clients)?);
    own_namespace()?;
    let scratch = Scratch::make()?;
    layout.build(n, 0, scratch.path())?;
    let daemon = Daemon::start(scratch.path())?;

    // The first of them finds memory that was never touched; it does not count.
    at_rest(&daemon, clients)?;
    println!("{}", line(IDLE, &[], &at_rest(&daemon, clients)?));
    let (mut removing, mut making) = ((Vec::new(), Waits::default()), (Vec::new(), Waits::default()));
    for _ in 0..reps {
        for (request, (took, waits)) in [(layout.removal(1..=n), &mut removing), (layout.request(1..=n), &mut making)] {
            let (time, more) = during(&daemon, clients, &request)?;
            took.push(time);
            waits.iter_mut().zip(more).for_each(|(waits, more)| waits.add(more));
        }
    }
    println!("{}\n{}", line(REMOVING, &removing.0, &removing.1), line(MAKING, &making.0, &making.1));
    drop(daemon);
    raw::clear().map_err(|e| format!("cannot clear the namespace: {e}"))?;
    Ok(ExitCode::SUCCESS)
}

fn at_rest(daemon: &Daemon, clients: usize) -> Result<Waits, String> {
    let readers = Readers::start(daemon, clients)?;
    readers.wait_for(ROUNDS);
    readers.stop().map_err(|error| daemon.explained(error))
}

/// Reads while a change is under way, and how long that takes.
fn during(daemon: &Daemon, clients: usize, request: &Value) -> Result<(Duration, Waits), String> {
    let mut changer = daemon.connect()?;
    let readers = Readers::start(daemon, clients)?;
    let begun = Instant::now();
    let changed = changer.call("Host.setupNetworks", request.clone());
    let took = begun.elapsed();
    let waits = readers.stop();
    changed.and(waits).map(|waits| (took, waits)).map_err(|error| daemon.explained(error)).inspect(|_| {
        std::thread::sleep(AFTERWARDS);
    })
}

fn line(phase: &str, took: &[Duration], waits: &Waits) -> Value {
    let reads: serde_json::Map<String, Value> =
        METHODS.into_iter().zip(waits).map(|(method, wait)| (method.to_owned(), wait.json())).collect();
    let millis: Vec<f64> = took.iter().map(|it| it.as_secs_f64() * 1000.0).collect();
    json!({ "phase": phase, "change_ms": crate::results::median(&millis), "reads": reads })
}
