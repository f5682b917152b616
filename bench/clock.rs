//! Wall time and CPU time, each from the best clock the kernel at hand has.
//!
//! A kernel that accounts CPU time in ticks (user-mode Linux: 10 ms) would call most steps free.
//! On one CPU with nobody else on it there is a better way: what was not idle was busy, and the
//! kernel knows its idle time to the nanosecond. That counts the kernel's own deferred work and
//! the asking side as well, for every candidate alike.

use std::fs;
use std::io;
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use nix::time::{ClockId, clock_getcpuclockid};
use nix::unistd::Pid;

/// Where CPU time is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CpuClock {
    /// The processes' own CPU clocks, to the nanosecond.
    Process,
    /// Wall time less the only CPU's idle time.
    Busy,
    /// The processes' own CPU clocks, which move once a tick: only a mean of many says something.
    Ticks,
}

impl CpuClock {
    const ALL: [CpuClock; 3] = [CpuClock::Process, CpuClock::Busy, CpuClock::Ticks];

    /// The best one here.
    pub(crate) fn best() -> io::Result<CpuClock> {
        if grain()? < Duration::from_millis(1) {
            return Ok(CpuClock::Process);
        }
        let alone = std::thread::available_parallelism()?.get() == 1;
        Ok(if alone && idle().is_ok() { CpuClock::Busy } else { CpuClock::Ticks })
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            CpuClock::Process => "process",
            CpuClock::Busy => "busy",
            CpuClock::Ticks => "ticks",
        }
    }

    pub(crate) fn named(word: &str) -> Result<CpuClock, String> {
        Self::ALL.into_iter().find(|c| c.name() == word).ok_or_else(|| format!("{word}: no clock"))
    }

    /// A sentence for the head of the report.
    pub(crate) fn explained(self) -> &'static str {
        match self {
            CpuClock::Process => "CPU is the working processes' own, user and system",
            CpuClock::Busy => "CPU accounting here is in ticks, so CPU is wall time less this one CPU's idle time",
            CpuClock::Ticks => {
                "CPU accounting here is in ticks: CPU is a mean, and says nothing where the sum is small"
            }
        }
    }
}

/// Whose CPU time counts.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Who {
    Me,
    MeAndChildren,
    Process(Pid),
}

/// What a step took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Measured {
    pub(crate) wall: Duration,
    pub(crate) cpu: Duration,
}

/// A running measurement.
pub(crate) struct Stopwatch {
    clock: CpuClock,
    who: Who,
    before: Duration,
    started: Instant,
}

impl Stopwatch {
    pub(crate) fn start(clock: CpuClock, who: Who) -> io::Result<Stopwatch> {
        let before = reading(clock, who)?;
        Ok(Stopwatch { clock, who, before, started: Instant::now() })
    }

    /// Starts before a process is born that has used no CPU time yet; [`Stopwatch::stop_of`] names it.
    pub(crate) fn before_birth(clock: CpuClock) -> io::Result<Stopwatch> {
        let before = if clock == CpuClock::Busy { idle()? } else { Duration::ZERO };
        Ok(Stopwatch { clock, who: Who::Me, before, started: Instant::now() })
    }

    /// The same for somebody else than it was started for.
    pub(crate) fn stop_of(self, who: Who) -> io::Result<Measured> {
        Stopwatch { who, ..self }.stop()
    }

    pub(crate) fn stop(self) -> io::Result<Measured> {
        let wall = self.started.elapsed();
        let spent = reading(self.clock, self.who)?.saturating_sub(self.before);
        let cpu = match self.clock {
            CpuClock::Busy => wall.saturating_sub(spent),
            CpuClock::Process | CpuClock::Ticks => spent,
        };
        Ok(Measured { wall, cpu })
    }
}

fn reading(clock: CpuClock, who: Who) -> io::Result<Duration> {
    if clock == CpuClock::Busy {
        return idle();
    }
    Ok(match who {
        Who::Me => ClockId::CLOCK_PROCESS_CPUTIME_ID.now()?.into(),
        Who::MeAndChildren => {
            let children = getrusage(UsageWho::RUSAGE_CHILDREN)?;
            let micros = |t: nix::sys::time::TimeVal| Duration::new(t.tv_sec() as u64, t.tv_usec() as u32 * 1000);
            Duration::from(ClockId::CLOCK_PROCESS_CPUTIME_ID.now()?)
                + micros(children.user_time())
                + micros(children.system_time())
        }
        // As `clock_getcpuclockid(3)`: all threads of the process, those that ended as well.
        Who::Process(pid) => clock_getcpuclockid(pid)?.now()?.into(),
    })
}

/// The smallest step the CPU clock was seen to make.
fn grain() -> io::Result<Duration> {
    let read = || Ok::<Duration, nix::Error>(ClockId::CLOCK_PROCESS_CPUTIME_ID.now()?.into());
    let deadline = Instant::now() + Duration::from_millis(50);
    let (mut last, mut least) = (read()?, Duration::MAX);
    while Instant::now() < deadline {
        let now = read()?;
        if now > last {
            least = least.min(now - last);
            last = now;
        }
    }
    Ok(least)
}

/// How long the only CPU has been idle.
fn idle() -> io::Result<Duration> {
    let text = fs::read_to_string("/proc/timer_list")?;
    let nanos = text.lines().find_map(idle_nanos);
    nanos.map(Duration::from_nanos).ok_or_else(|| io::Error::other("/proc/timer_list tells no idle_sleeptime"))
}

/// Of a line `  .idle_sleeptime : 499993600 nsecs`.
fn idle_nanos(line: &str) -> Option<u64> {
    line.trim().strip_prefix(".idle_sleeptime")?.trim_start_matches([' ', ':']).split(' ').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_idle_time_is_read_from_its_line_only() {
        assert_eq!(idle_nanos("  .idle_sleeptime : 499993600 nsecs"), Some(499_993_600));
        assert_eq!(idle_nanos("  .iowait_sleeptime: 0 nsecs"), None);
    }
}
