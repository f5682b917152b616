//! How long it takes to know the host from nothing: by bare dumps, by `ip`, by `Live::open`, and by
//! starting the daemon.
//!
//! All take turns, so that a machine that becomes slower does so for all of them.

use std::path::Path;
use std::process::{Command, Stdio};

use super::asks;
use super::figures::{Series, What, When};
use super::inside::{Picture, settings};
use crate::clock::{CpuClock, Measured, Stopwatch, Who};
use crate::host::Dumps;
use crate::ours::{Daemon, Memory, write_config};

/// What one run found.
pub(super) struct Cold {
    pub(super) series: Vec<(What, Series)>,
    pub(super) memory: Vec<(When, Memory)>,
}

/// Measures all of them, `reps` times. The daemon finds its networks in `dir`.
pub(super) fn run(dir: &Path, clock: CpuClock, reps: usize) -> Result<Cold, String> {
    let settings = settings(&write_config(dir)?)?;
    let mut dumps = Dumps::open().map_err(|e| format!("no socket for dumps: {e}"))?;
    let [mut raw, mut ip, mut open, mut start] = [const { Vec::new() }; 4];
    let mut memory = Vec::new();
    // The first finds cold caches; it does not count.
    for rep in 0..=reps {
        let raws = [dump(&mut dumps, clock)?, dump(&mut dumps, clock)?];
        let ips = with_ip(clock)?;
        let opened = timed(clock, Who::Me, || Picture::open(&settings))?;
        let (daemon, started) = Daemon::start_timed(dir, clock)?;
        memory = remembered(&daemon)?;
        if rep > 0 {
            raw.extend(raws);
            ip.push(ips);
            open.push(opened);
            start.push(started);
        }
    }
    let series = [(What::Raw, raw), (What::Ip, ip), (What::Open, open), (What::ColdStart, start)];
    let collected = |all: Vec<Measured>| {
        let mut series = Series::default();
        all.into_iter().for_each(|measured| series.add(measured));
        series
    };
    Ok(Cold { series: series.into_iter().map(|(what, all)| (what, collected(all))).collect(), memory })
}

/// The three dumps.
pub(super) fn dump(dumps: &mut Dumps, clock: CpuClock) -> Result<Measured, String> {
    timed(clock, Who::Me, || dumps.read().map_err(|e| format!("a dump: {e}")))
}

/// Both commands, to nobody's eyes.
fn with_ip(clock: CpuClock) -> Result<Measured, String> {
    timed(clock, Who::MeAndChildren, || {
        ["link", "address"].into_iter().try_for_each(|what| {
            let mut command = Command::new("ip");
            command.args(["-d", "-j", what]).stdin(Stdio::null()).stdout(Stdio::null());
            match command.status() {
                Ok(status) if status.success() => Ok(()),
                Ok(status) => Err(format!("ip -d -j {what}: {status}")),
                Err(error) => Err(format!("ip: {error}")),
            }
        })
    })
}

fn remembered(daemon: &Daemon) -> Result<Vec<(When, Memory)>, String> {
    let now = || daemon.memory().ok_or_else(|| daemon.explained("vdsm-netd is gone".into()));
    let start = now()?;
    asks::capabilities(daemon, 10)?;
    Ok(vec![(When::Start, start), (When::Asked, now()?)])
}

/// What an action takes; its result is dropped after the clock has stopped.
fn timed<T>(clock: CpuClock, who: Who, act: impl FnOnce() -> Result<T, String>) -> Result<Measured, String> {
    let watch = Stopwatch::start(clock, who).map_err(|e| format!("the clock: {e}"))?;
    let kept = act()?;
    let measured = watch.stop().map_err(|e| format!("the clock: {e}"))?;
    drop(kept);
    Ok(measured)
}
