//! What a change of the host costs: until the picture shows it, until a subscriber reads of it, and
//! the daemon's CPU time.
//!
//! A change among many is one the daemon may take together with others, more or less as the scheduler
//! likes; one that comes alone also pays for whatever the daemon does once for many. Storms are in
//! `storm`.

use std::time::{Duration, Instant};

use serde_json::json;

use super::figures::{Series, What};
use super::inside::Picture;
use super::swing::{ADDRESS_TEXT, MTUS, Swing};
use crate::clock::{CpuClock, Stopwatch, Who};
use crate::host::{Stray, index_of};
use crate::ours::Daemon;
use crate::workload::bridge;

/// How many changes a median is made of. All of these are even, so that the last brings back what was.
const CHANGES: u32 = 1000;
/// How many come alone,
const ALONE: usize = 40;
/// and how far apart: the daemon judges what came within 100 ms together.
const APART: Duration = Duration::from_millis(200);
/// How many come in a row, and how many such rows.
const ROW: u32 = 1000;
const ROWS: usize = 5;
/// So long the daemon has nothing to do after its start,
const CALM: Duration = Duration::from_secs(8);
/// or this much is waited for.
const CALM_AT_LAST: Duration = Duration::from_secs(60);

/// The link that is changed.
const STRAY: Stray = Stray(0);

/// Changes that nobody listens to.
pub(super) fn bare(clock: CpuClock) -> Result<Series, String> {
    let mut swing = Swing::mtu(STRAY.index())?;
    let mut series = Series::default();
    for _ in 0..CHANGES {
        let watch = Stopwatch::start(clock, Who::Me).map_err(|e| format!("the clock: {e}"))?;
        swing.next()?;
        series.add(watch.stop().map_err(|e| format!("the clock: {e}"))?);
    }
    Ok(series)
}

/// Each until a picture in this process shows it.
pub(super) fn to_snapshot(picture: &Picture) -> Result<Series, String> {
    let mut swing = Swing::mtu(STRAY.index())?;
    let follower = picture.follow(&STRAY.name())?;
    let mut series = Series::default();
    for _ in 0..CHANGES {
        let mtu = MTUS[swing.turn()];
        series.add_wall(follower.time(mtu, || swing.next())?);
    }
    Ok(series)
}

/// Each until a subscriber of the daemon's has read of it; and the daemon's CPU time for all that,
/// which is that of an event taken by itself.
pub(super) fn to_subscriber(daemon: &Daemon, clock: CpuClock, bare: &Series) -> Result<Series, String> {
    let mut subscriber = daemon.connect()?;
    subscriber.call("Host.subscribe", json!({}))?;
    let mut swing = Swing::address(STRAY.index())?;
    let mut series = Series::default();
    let watch = Stopwatch::start(clock, daemon.who()).map_err(|e| format!("the clock: {e}"))?;
    for _ in 0..CHANGES {
        let event = ["\"address_added\"", "\"address_removed\""][swing.turn()];
        let begun = Instant::now();
        swing.next()?;
        let heard = subscriber.hear(&[event, ADDRESS_TEXT]);
        heard.map_err(|e| daemon.explained(format!("a subscriber: {e}")))?;
        series.add_wall(begun.elapsed());
    }
    let cpu = watch.stop().map_err(|e| format!("the clock: {e}"))?.cpu;
    series.add_cpu(cpu.saturating_sub(of_others(clock, bare) * CHANGES), CHANGES);
    Ok(series)
}

/// What of a change a clock that counts everybody also counts: the change itself.
fn of_others(clock: CpuClock, bare: &Series) -> Duration {
    match clock {
        CpuClock::Busy => bare.cpu_each().unwrap_or_default(),
        CpuClock::Process | CpuClock::Ticks => Duration::ZERO,
    }
}

/// The daemon's CPU time for changes in a row, and for such that come alone; it has just been started.
pub(super) fn of_daemon(daemon: &Daemon, clock: CpuClock, bare: &Series) -> Result<Vec<(What, Series)>, String> {
    calm(daemon, clock)?;
    let own = of_others(clock, bare);
    let mut stray = Swing::mtu(STRAY.index())?;
    let mut ours = Swing::mtu(index_of(&bridge(1))?)?;
    let at_rest = typical(daemon, clock, ALONE, || Ok(()))?;
    let dense = typical(daemon, clock, ROWS, || (0..ROW).try_for_each(|_| stray.next()))?;
    let lone = typical(daemon, clock, ALONE, || stray.next())?;
    let lone_ours = typical(daemon, clock, ALONE, || ours.next())?;
    let series = |cpu: Duration, changes: u32| {
        let mut series = Series::default();
        series.add_cpu(cpu.saturating_sub(at_rest + own * changes), changes);
        series
    };
    Ok(vec![(What::Dense, series(dense, ROW)), (What::Lone, series(lone, 1)), (What::LoneOurs, series(lone_ours, 1))])
}

/// The daemon's CPU time from an act until it is quiet again: the mean, as it may do something once
/// for several, but without the dearest, as what it does now and then belongs to no act.
fn typical(
    daemon: &Daemon,
    clock: CpuClock,
    times: usize,
    mut act: impl FnMut() -> Result<(), String>,
) -> Result<Duration, String> {
    let mut all = Vec::new();
    for _ in 0..times {
        let watch = Stopwatch::start(clock, daemon.who()).map_err(|e| format!("the clock: {e}"))?;
        act()?;
        std::thread::sleep(APART);
        all.push(watch.stop().map_err(|e| format!("the clock: {e}"))?.cpu);
    }
    Ok(without_dearest(all))
}

/// The mean of all but one in twenty.
fn without_dearest(mut all: Vec<Duration>) -> Duration {
    all.sort_unstable();
    all.truncate(all.len() - all.len() / 20);
    all.iter().sum::<Duration>() / all.len().max(1) as u32
}

/// Waits until the daemon has done what it does after its start: it looks for drift everywhere, and
/// then again at what it has learned meanwhile.
fn calm(daemon: &Daemon, clock: CpuClock) -> Result<(), String> {
    let begun = Instant::now();
    let mut quiet = Duration::ZERO;
    while quiet < CALM && begun.elapsed() < CALM_AT_LAST {
        let spent = typical(daemon, clock, 1, || Ok(()))?;
        quiet = if spent < Duration::from_millis(2) { quiet + APART } else { Duration::ZERO };
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_in_twenty_does_not_count() {
        let millis = |all: &[u64]| all.iter().map(|it| Duration::from_millis(*it)).collect::<Vec<_>>();
        let mut all = vec![1; 18];
        all.extend([20, 900]);
        assert_eq!(without_dearest(millis(&all)), Duration::from_millis(38) / 19);
        assert_eq!(without_dearest(millis(&[1, 3])), Duration::from_millis(2));
        assert_eq!(without_dearest(Vec::new()), Duration::ZERO);
    }
}
