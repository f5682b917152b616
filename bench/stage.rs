//! One candidate in a network namespace of its own, through all steps.
//!
//! A process for each, because what a namespace leaves behind ends with it: `vdsm-bench stage
//! CANDIDATE N CLOCK MODE` prints one JSON line for each step. The host is checked after each,
//! and emptied at the end, so that the namespace's death does not slow the next candidate.

use std::io;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use serde_json::json;

use crate::clock::{CpuClock, Measured, Stopwatch, Who};
use crate::namespace::{Scratch, own_namespace};
use crate::ours::Daemon;
use crate::state;
use crate::workload::{BondMode, Candidate, Step, Workload};
use crate::{batch, raw};

/// Afterwork is counted in windows of this length until one of them is quiet,
const WINDOW: Duration = Duration::from_millis(50);
/// which is one with no more CPU time than this,
const QUIET: Duration = Duration::from_millis(1);
/// or there were as many as this.
const WINDOWS: usize = 40;

pub(crate) fn run(args: &[String]) -> Result<ExitCode, String> {
    let [candidate, n, clock, mode] = args else { return Err("stage CANDIDATE N CLOCK MODE".into()) };
    let workload = Workload { n: n.parse().map_err(|e| format!("{n}: {e}"))?, mode: BondMode::named(mode)? };
    let (candidate, clock) = (Candidate::named(candidate)?, CpuClock::named(clock)?);
    own_namespace()?;
    let others = state::names()?;
    raw::make_nics().map_err(|e| format!("cannot make the nics: {e}"))?;
    let dir = Scratch::make()?;
    let mut actor = Actor::start(candidate, dir.path())?;
    let afterwards = Afterwards::calibrated(clock, &actor).map_err(|e| format!("the clock: {e}"))?;
    for step in Step::ALL {
        let (line, good) = match actor.step(step, workload, clock, dir.path()) {
            Err(problem) => (json!({"step": step.name(), "problem": problem}), false),
            Ok(measured) => {
                let after = afterwards.wait(actor.who()).map_err(|e| format!("the clock: {e}"))?;
                let problem = state::difference(&state::expected(step, workload), &state::seen(&others)?);
                let [wall, cpu, after] = [measured.wall, measured.cpu, after].map(|time| time.as_nanos() as u64);
                let line =
                    json!({"step": step.name(), "wall_ns": wall, "cpu_ns": cpu, "after_ns": after, "problem": problem});
                (line, problem.is_none())
            }
        };
        println!("{line}");
        // What comes after a failure would start elsewhere: nothing is removed fast.
        if !good {
            break;
        }
        if step == Step::RemoveAll {
            println!("{}", json!({"peak_kib": actor.peak_kib()}));
        }
    }
    drop(actor);
    raw::clear().map_err(|e| format!("cannot clear the namespace: {e}"))?;
    Ok(ExitCode::SUCCESS)
}

/// Who does the steps of this stage.
enum Actor {
    Ours(Daemon),
    Raw,
    IpBatch,
}

impl Actor {
    fn start(candidate: Candidate, dir: &Path) -> Result<Actor, String> {
        Ok(match candidate {
            Candidate::Ours => Actor::Ours(Daemon::start(dir)?),
            Candidate::Raw => Actor::Raw,
            Candidate::IpBatch => Actor::IpBatch,
        })
    }

    fn step(&mut self, step: Step, workload: Workload, clock: CpuClock, dir: &Path) -> Result<Measured, String> {
        match self {
            Actor::Ours(daemon) => daemon.step(step, workload, clock),
            Actor::Raw => raw::step(step, workload, clock),
            Actor::IpBatch => batch::step(step, workload, clock, dir),
        }
    }

    fn who(&self) -> Who {
        match self {
            Actor::Ours(daemon) => daemon.who(),
            Actor::Raw | Actor::IpBatch => Who::MeAndChildren,
        }
    }

    fn peak_kib(&self) -> Option<u64> {
        match self {
            Actor::Ours(daemon) => daemon.memory().map(|memory| memory.peak),
            Actor::Raw | Actor::IpBatch => None,
        }
    }
}

/// What is still worked on after the answer, for nobody shall win by answering early. On a clock
/// that knows only how busy the CPU was this is the kernel's deferred work too: how much of that
/// falls before the answer is chance, their sum is not.
struct Afterwards {
    clock: CpuClock,
    /// What a window costs in which nothing happens.
    idle: Duration,
}

impl Afterwards {
    fn calibrated(clock: CpuClock, actor: &Actor) -> io::Result<Afterwards> {
        let raw = Afterwards { clock, idle: Duration::ZERO };
        raw.wait(actor.who())?; // the start's own afterwork
        let windows = [raw.window(actor.who())?, raw.window(actor.who())?, raw.window(actor.who())?];
        Ok(Afterwards { clock, idle: windows.into_iter().min().unwrap_or_default() })
    }

    fn wait(&self, who: Who) -> io::Result<Duration> {
        let mut sum = Duration::ZERO;
        for _ in 0..WINDOWS {
            let window = self.window(who)?;
            sum += window;
            if window <= QUIET {
                break;
            }
        }
        Ok(sum)
    }

    fn window(&self, who: Who) -> io::Result<Duration> {
        let watch = Stopwatch::start(self.clock, who)?;
        std::thread::sleep(WINDOW);
        Ok(watch.stop()?.cpu.saturating_sub(self.idle))
    }
}
