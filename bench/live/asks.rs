//! What a caller waits for a report, and what it costs the daemon; in turn with the bare dump.

use std::time::{Duration, Instant};

use serde_json::json;

use super::cold;
use super::figures::{Series, What};
use super::swing::Swing;
use crate::client::{Client, judged};
use crate::clock::{CpuClock, Stopwatch};
use crate::host::{Dumps, Stray};
use crate::ours::Daemon;

/// The methods, and how often each is asked in a row. What is asked first in a row may find the
/// daemon's caches cold, and pays for what the one before has left to do.
const METHODS: [(What, &str, usize); 4] = [
    (What::Capabilities, "Host.getCapabilities", 10),
    (What::Statistics, "Host.getStats", 5),
    (What::Topology, "Host.getTopology", 3),
    (What::Check, "Host.checkNetworks", 2),
];
/// How often a changed host is asked for its capabilities in a row.
const CHANGED: usize = 5;
/// Rounds go on until they took so long,
const ENOUGH: Duration = Duration::from_secs(3);
/// or there are so many.
const MOST: usize = 50;

/// Asks for everything, again and again. `raw` goes on where it was.
pub(super) fn run(
    daemon: &Daemon,
    clock: CpuClock,
    reps: usize,
    raw: &mut Series,
) -> Result<Vec<(What, Series)>, String> {
    let mut client = daemon.connect()?;
    let mut dumps = Dumps::open().map_err(|e| format!("no socket for dumps: {e}"))?;
    let mut swing = Swing::mtu(Stray(0).index())?;
    let mut all = METHODS.map(|(what, method, times)| Asked::new(what, method, times, &mut client));
    let mut changed = Asked::new(What::CapabilitiesAfterChange, METHODS[0].1, CHANGED, &mut client);
    for asked in &all {
        let answer = client.ask(&asked.line).map_err(|e| daemon.explained(e.to_string()))?;
        judged(&answer).map_err(|error| daemon.explained(error))?;
    }
    let begun = Instant::now();
    for round in 0..MOST {
        if round >= reps && begun.elapsed() >= ENOUGH {
            break;
        }
        raw.add(cold::dump(&mut dumps, clock)?);
        for asked in &mut all {
            asked.round(daemon, clock, &mut client, || Ok(()))?;
        }
        changed.round(daemon, clock, &mut client, || swing.next())?;
    }
    Ok(all.into_iter().chain([changed]).map(|asked| (asked.what, asked.series)).collect())
}

struct Asked {
    what: What,
    line: String,
    times: usize,
    series: Series,
}

impl Asked {
    fn new(what: What, method: &str, times: usize, client: &mut Client) -> Asked {
        Asked { what, line: client.line(method, json!({})), times, series: Series::default() }
    }

    /// Asks in a row, and does something before each time that nobody waits for.
    fn round(
        &mut self,
        daemon: &Daemon,
        clock: CpuClock,
        client: &mut Client,
        mut before: impl FnMut() -> Result<(), String>,
    ) -> Result<(), String> {
        for _ in 0..self.times {
            before()?;
            let watch = Stopwatch::start(clock, daemon.who()).map_err(|e| format!("the clock: {e}"))?;
            let bytes = client.ask_size(&self.line).map_err(|e| daemon.explained(e.to_string()))?;
            self.series.add(watch.stop().map_err(|e| format!("the clock: {e}"))?);
            self.series.answer(bytes);
        }
        Ok(())
    }
}

/// Asks for the capabilities, some times; whoever looks at the daemon's memory comes after it.
pub(super) fn capabilities(daemon: &Daemon, times: usize) -> Result<(), String> {
    let mut client = daemon.connect()?;
    for _ in 0..times {
        client.call(METHODS[0].1, json!({})).map_err(|error| daemon.explained(error))?;
    }
    Ok(())
}
