//! N networks in a network namespace of their own, and everything that is measured of them.
//!
//! A process for each N, because what a namespace leaves behind ends with it:
//! `vdsm-bench live-stage WORKLOAD N REPS CLOCK` prints one JSON line for each figure.

use std::process::ExitCode;
use std::time::Instant;

use serde_json::json;

use super::figures::{Series, What};
use super::inside::{Picture, settings};
use super::{asks, changes, cold};
use crate::clock::CpuClock;
use crate::host::{Layout, count_links};
use crate::namespace::{Scratch, own_namespace};
use crate::ours::{Daemon, write_config};
use crate::raw;

pub(crate) fn run(args: &[String]) -> Result<ExitCode, String> {
    let [layout, n, reps, clock] = args else { return Err("live-stage WORKLOAD N REPS CLOCK".into()) };
    let (layout, clock) = (Layout::named(layout)?, CpuClock::named(clock)?);
    let [n, reps] = [n, reps].map(|word| word.parse::<usize>().map_err(|e| format!("{word}: {e}")));
    let (n, reps) = (n?, reps?);
    own_namespace()?;
    let scratch = Scratch::make()?;
    let begun = Instant::now();
    layout.build(n, 1, scratch.path())?;
    eprintln!("vdsm-bench: {n} networks made in {:.1} s", begun.elapsed().as_secs_f64());
    println!("{}", json!({"links": count_links().map_err(|e| format!("cannot count the links: {e}"))?}));

    let cold = cold::run(scratch.path(), clock, reps)?;
    cold.memory.iter().for_each(|(when, memory)| println!("{}", when.line(*memory)));
    let (mut raw, rest): (Vec<_>, Vec<_>) = cold.series.into_iter().partition(|(what, _)| *what == What::Raw);
    print(&rest);
    let mut raw = raw.pop().map(|(_, series)| series).unwrap_or_default();

    let bare = changes::bare(clock)?;
    let picture = Picture::open(&settings(&write_config(scratch.path())?)?)?;
    print(&[(What::Snapshot, changes::to_snapshot(&picture)?)]);
    drop(picture);

    let daemon = Daemon::start(scratch.path())?;
    print(&asks::run(&daemon, clock, reps, &mut raw)?);
    drop(daemon);
    // Whoever was asked to check everything has more to do than a change.
    let daemon = Daemon::start(scratch.path())?;
    print(&changes::of_daemon(&daemon, clock, &bare)?);
    print(&[(What::Told, changes::to_subscriber(&daemon, clock, &bare)?), (What::Raw, raw), (What::Change, bare)]);
    drop(daemon);
    raw::clear().map_err(|e| format!("cannot clear the namespace: {e}"))?;
    Ok(ExitCode::SUCCESS)
}

fn print(all: &[(What, Series)]) {
    all.iter().for_each(|(what, series)| println!("{}", series.line(*what)));
}
