//! N networks made and removed by an engine that writes its journal, and by one that does not.
//!
//! A process for each N: `vdsm-bench journal-stage WORKLOAD N REPS CLOCK DIR` prints one JSON line for
//! each change, and for each bare record. As on a host the run directory is in memory and `lib_dir` on the
//! disk of DIR. The engine is in this process, for no daemon can be told to go without a journal.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use vdsm_net::asked::Asked;
use vdsm_net::conf::Settings;
use vdsm_net::engine::Engine;
use vdsm_net::engine::journal::Asker;
use vdsm_net::transaction::chain;

use super::{Change, Writes};
use crate::clock::{CpuClock, Measured, Stopwatch, Who};
use crate::host::Layout;
use crate::live::inside::settings;
use crate::namespace::{Scratch, own_namespace};
use crate::ours::write_config;
use crate::raw;

pub(crate) fn run(args: &[String]) -> Result<ExitCode, String> {
    let [layout, n, reps, clock, dir] = args else { return Err("journal-stage WORKLOAD N REPS CLOCK DIR".into()) };
    let (layout, clock, dir) = (Layout::named(layout)?, CpuClock::named(clock)?, Path::new(dir));
    let [n, reps] = [n, reps].map(|word| word.parse::<usize>().map_err(|e| format!("{word}: {e}")));
    let (n, reps) = (n?, reps?);
    own_namespace()?;
    let memory = Scratch::make()?;
    // One more than N; strays are nobody's.
    layout.plug(n + 1, 0)?;
    let settings = settings(&write_config(memory.path())?)?;
    let stage = Stage { layout, n, clock, settings, memory, disk: dir.to_owned() };
    // The first ones find a kernel and a disk that have never done this; they do not count.
    stage.changes(Writes::Journal)?;
    for rep in 0..reps {
        let both = [Writes::Journal, Writes::Nothing];
        for writes in if rep % 2 == 0 { both } else { [both[1], both[0]] } {
            for (change, measured) in stage.changes(writes)? {
                println!("{}", line(change, writes, measured));
            }
        }
        println!("{}", json!({"bare_ns": stage.bare().map_err(|e| format!("a bare record: {e}"))?.as_nanos() as u64}));
    }
    raw::clear().map_err(|e| format!("cannot clear the namespace: {e}"))?;
    Ok(ExitCode::SUCCESS)
}

fn line(change: Change, writes: Writes, measured: Measured) -> Value {
    let [wall, cpu] = [measured.wall, measured.cpu].map(|time| time.as_nanos() as u64);
    json!({"change": change.name(), "writes": writes.name(), "wall_ns": wall, "cpu_ns": cpu})
}

struct Stage {
    layout: Layout,
    n: usize,
    clock: CpuClock,
    settings: Settings,
    memory: Scratch,
    disk: PathBuf,
}

impl Stage {
    /// All changes once, by an engine that has never done anything.
    fn changes(&self, writes: Writes) -> Result<Vec<(Change, Measured)>, String> {
        let settings = Settings {
            run_dir: self.memory.path().join("run"),
            lib_dir: self.disk.join("lib"),
            hooks_dir: None,
            ..self.settings.clone()
        };
        let (engine, watch) = Engine::open(&settings).map_err(|error| chain(&error))?;
        let engine = if writes == Writes::Nothing { engine.unwritten() } else { engine };
        let asker = Asker { verb: "Host.setupNetworks".to_owned(), caller: Some((0, 1)), request: Value::Null };
        let mut all = Vec::new();
        for change in Change::ALL {
            watch.live.settled().map_err(|error| chain(&error))?;
            let mut request = change.request(self.layout, self.n);
            let [networks, bondings, options] = ["networks", "bondings", "options"].map(|key| request[key].take());
            let stopwatch = Stopwatch::start(self.clock, Who::Me).map_err(|e| format!("the clock: {e}"))?;
            let done = engine.setup_with_hooks(Asked { networks, bondings, options }, &asker);
            let measured = stopwatch.stop().map_err(|e| format!("the clock: {e}"))?;
            let done = done.map_err(|error| format!("{}: {}", change.name(), chain(&error)))?;
            if done.plan.is_empty() {
                return Err(format!("{}: nothing was to be done", change.name()));
            }
            all.push((change, measured));
        }
        drop((engine, watch));
        for dir in [&settings.run_dir, &settings.lib_dir] {
            fs::remove_dir_all(dir).map_err(|e| format!("{}: {e}", dir.display()))?;
        }
        Ok(all)
    }

    /// What no record of a change can do without: a file that is on the disk before the change with its
    /// name, a word more that is on the disk after it, and the file's end.
    fn bare(&self) -> io::Result<Duration> {
        fs::create_dir_all(&self.disk)?;
        let (path, dir) = (self.disk.join("bare"), File::open(&self.disk)?);
        let start = Instant::now();
        let mut file = OpenOptions::new().append(true).create_new(true).open(&path)?;
        file.write_all(&[b'x'; 4096])?;
        file.sync_all()?;
        dir.sync_all()?;
        file.write_all(b"committed\n")?;
        file.sync_data()?;
        fs::remove_file(&path)?;
        dir.sync_all()?;
        Ok(start.elapsed())
    }
}
