//! The story of storms, in a network namespace of its own.
//!
//! `vdsm-bench storm-stage WORKLOAD N CHANGES CONNECTS CLOCK` prints one JSON line for each phase.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::phase::{Kind, Phase};
use super::prober::{Probed, Prober};
use super::weather::{LINKS, Storm, come_and_go};
use crate::clock::{CpuClock, Stopwatch, Who};
use crate::host::Layout;
use crate::live::inside::{Picture, settings};
use crate::namespace::{Scratch, own_namespace};
use crate::ours::{Daemon, write_config};
use crate::raw;

/// So often another client asks while the host is at rest.
const ROUNDS: usize = 500;
/// By then the daemon has done what follows from the last change.
const AFTERWARDS: Duration = Duration::from_millis(500);

pub(crate) fn run(args: &[String]) -> Result<ExitCode, String> {
    let [layout, n, changes, connects, clock] = args else {
        return Err("storm-stage WORKLOAD N CHANGES CONNECTS CLOCK".into());
    };
    let (layout, clock) = (Layout::named(layout)?, CpuClock::named(clock)?);
    let number = |word: &String| word.parse::<usize>().map_err(|e| format!("{word}: {e}"));
    let (n, changes, connects) = (number(n)?, number(changes)?, number(connects)?);
    own_namespace()?;
    let scratch = Scratch::make()?;
    layout.build(n, LINKS, scratch.path())?;
    let mut storm = Storm::gather()?;

    let alone = without_daemon(&mut storm, changes, clock)?;
    println!("{}", alone.line());
    let daemon = Daemon::start(scratch.path())?;
    let mut story = Story { daemon: &daemon, clock, round: Duration::ZERO, change: Duration::ZERO };
    if clock == CpuClock::Busy {
        // That clock counts everybody, so also whoever makes the changes.
        story.change = alone.cpu / alone.count.max(1) as u32;
    }
    // The first of them finds memory that was never touched; it does not count.
    story.rest()?;
    println!("{}", story.rest()?.line());
    let deaf = story.deaf(&mut storm, changes)?;
    println!("{}\n{}", deaf.line(), story.rest()?.line());
    let visits = story.phase(Kind::Visits, || come_and_go(&daemon, connects).map(|took| (connects, took)))?;
    println!("{}\n{}", visits.line(), story.rest()?.line());
    let plain = story.phase(Kind::Storm, || storm.blow(changes))?;
    println!("{}\n{}", plain.line(), story.rest()?.line());
    drop(daemon);

    let picture = Picture::open(&settings(&write_config(scratch.path())?)?)?;
    println!("{}", over_picture(&picture, &mut storm, changes)?.line());
    drop(picture);
    raw::clear().map_err(|e| format!("cannot clear the namespace: {e}"))?;
    Ok(ExitCode::SUCCESS)
}

fn without_daemon(storm: &mut Storm, changes: usize, clock: CpuClock) -> Result<Phase, String> {
    let watch = Stopwatch::start(clock, Who::Me).map_err(|e| format!("the clock: {e}"))?;
    let (count, took) = storm.blow(changes)?;
    let cpu = watch.stop().map_err(|e| format!("the clock: {e}"))?.cpu;
    Ok(Phase { count, took, cpu, ..Phase::new(Kind::Alone) })
}

/// How often everything had to be read, since more happened than the kernel keeps for one listener.
fn over_picture(picture: &Picture, storm: &mut Storm, changes: usize) -> Result<Phase, String> {
    let before = picture.readings();
    let (count, took) = storm.blow(changes)?;
    let begun = Instant::now();
    picture.settle()?;
    let note = format!(
        "everything was read anew {} times; true again {:.1} ms after the last change",
        picture.readings() - before,
        begun.elapsed().as_secs_f64() * 1000.0
    );
    Ok(Phase { count, took, note, ..Phase::new(Kind::Picture) })
}

struct Story<'a> {
    daemon: &'a Daemon,
    clock: CpuClock,
    /// CPU time of one round of another client's, as it was at the last rest.
    round: Duration,
    /// CPU time of a change that is not the daemon's, but on the same clock.
    change: Duration,
}

impl Story<'_> {
    /// Nothing happens but another client's asking.
    fn rest(&mut self) -> Result<Phase, String> {
        let (mut phase, probed, cpu) = self.observed(Kind::Rest, |prober| {
            prober.wait_for(ROUNDS);
            Ok((0, Duration::ZERO))
        })?;
        self.round = cpu / probed.ping.len().max(1) as u32;
        phase.note = format!("{:.0} \u{b5}s of CPU for a round of another client's", self.round.as_secs_f64() * 1e6);
        Ok(phase)
    }

    fn phase(&self, kind: Kind, act: impl FnOnce() -> Result<(usize, Duration), String>) -> Result<Phase, String> {
        let (mut phase, probed, cpu) = self.observed(kind, |_| act())?;
        let others = self.round * probed.ping.len() as u32;
        let own = if kind == Kind::Visits { Duration::ZERO } else { self.change * phase.count as u32 };
        phase.cpu = cpu.saturating_sub(others + own);
        Ok(phase)
    }

    /// A storm during which one subscriber reads nothing; it reads all that is left for it afterwards.
    fn deaf(&self, storm: &mut Storm, changes: usize) -> Result<Phase, String> {
        let mut subscriber = self.daemon.connect()?;
        subscriber.call("Host.subscribe", json!({}))?;
        let mut phase = self.phase(Kind::Deaf, || storm.blow(changes))?;
        let told = subscriber.hear_out(AFTERWARDS).map_err(|e| format!("a subscriber: {e}"))?;
        let (lines, missed) = counted(&told)?;
        phase.note = format!("the subscriber then read {lines} lines, and that it missed {missed} events");
        Ok(phase)
    }

    /// What another client waits for while something happens, and the CPU time of all of it.
    fn observed(
        &self,
        kind: Kind,
        act: impl FnOnce(&Prober) -> Result<(usize, Duration), String>,
    ) -> Result<(Phase, Probed, Duration), String> {
        let mut phase = Phase::new(kind);
        self.daemon.forget_peak()?;
        let prober = Prober::start(self.daemon)?;
        let watch = Stopwatch::start(self.clock, self.daemon.who()).map_err(|e| format!("the clock: {e}"))?;
        (phase.count, phase.took) = act(&prober)?;
        std::thread::sleep(AFTERWARDS);
        let cpu = watch.stop().map_err(|e| format!("the clock: {e}"))?.cpu;
        let probed = prober.stop().map_err(|error| self.daemon.explained(error))?;
        phase.probed(&probed);
        phase.memory = self.daemon.memory();
        phase.files = self.daemon.open_files();
        Ok((phase, probed, cpu))
    }
}

/// How many lines were told, and of how many missed events.
fn counted(told: &[u8]) -> Result<(usize, u64), String> {
    let lines = told.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines.clone().try_fold((0, 0), |(count, missed), line| {
        let line: Value = serde_json::from_slice(line).map_err(|e| format!("a notification: {e}"))?;
        let more = if line["params"]["event"] == "missed" { line["params"]["count"].as_u64().unwrap_or(0) } else { 0 };
        Ok((count + 1, missed + more))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missed_events_are_summed() {
        let told = b"{\"params\":{\"event\":\"link_up\"}}\n{\"params\":{\"event\":\"missed\",\"count\":7}}\n";
        assert_eq!(counted(told), Ok((2, 7)));
        assert_eq!(counted(&told.repeat(2)), Ok((4, 14)));
        counted(b"{half\n").unwrap_err();
    }
}
