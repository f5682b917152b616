//! The table of `vdsm-bench storm`, and its goals judged.

use super::phase::{Kind, Phase};
use crate::clock::CpuClock;
use crate::goals::{Goal, Section, at_most};
use crate::host::Layout;
use crate::report::{kernel, ratio};
use crate::results::Latency;

/// What the daemon holds after a storm, beside before it.
const MEMORY: f64 = 1.1;
/// The most it holds during one, beside the most at rest before it.
const PEAK: f64 = 1.5;
/// The median another client waits after a storm, beside before it.
const AFTERWARDS: f64 = 1.25;
/// The same during one. On a single CPU whoever makes the storm takes his part, and who listens to it.
const MEANWHILE: f64 = 4.0;
/// One in a hundred waits longer than the others, and how much longer is the scheduler's mood.
const RARELY: f64 = 2.0;

pub(super) fn head(layout: Layout, clock: CpuClock, n: usize) -> String {
    format!(
        "Kernel {}; workload {}: {}; N={n}.\nAnother client's answers in milliseconds, median/p99; behind them the \
         same bytes from one who does nothing.\nMemory in MB, now/at most. CPU in \u{b5}s for each change or visit, less what the \
         other client costs.\nClock {}: {}.\n",
        kernel(),
        layout.name(),
        layout.explained(),
        clock.name(),
        clock.explained()
    )
}

pub(super) fn table(phases: &[Phase]) -> String {
    let mut text = format!(
        "\n{:<24} {:>7} {:>7} {:>6} {:>11} {:>5} {:>13} {:>13} {:>14} {:>14}\n",
        "", "count", "s", "CPU", "memory", "files", "ping2", "idle", "capabilities", "idle"
    );
    for phase in phases {
        let memory = phase.memory.map(|it| format!("{:.1}/{:.1}", mb(it.now), mb(it.peak)));
        let counted = |text: String| if phase.count > 0 { text } else { String::new() };
        text += &format!(
            "{:<24} {:>7} {:>7} {:>6} {:>11} {:>5} {:>13} {:>13} {:>14} {:>14}\n",
            phase.kind.name(),
            counted(phase.count.to_string()),
            counted(format!("{:.2}", phase.took.as_secs_f64())),
            phase.cpu_each().filter(|_| phase.kind != Kind::Picture).map_or_else(String::new, |it| format!("{it:.1}")),
            memory.unwrap_or_default(),
            phase.files.map_or_else(String::new, |it| it.to_string()),
            latency(phase.ping),
            latency(phase.as_ping),
            latency(phase.capabilities),
            latency(phase.as_capabilities),
        );
    }
    for phase in phases.iter().filter(|phase| !phase.note.is_empty()) {
        text += &format!("{}: {}\n", phase.kind.name(), phase.note);
    }
    text
}

/// Each phase beside the rests around it.
pub(super) fn goals(phases: &[Phase]) -> Section {
    let mut goals = Vec::new();
    for around in phases.windows(3) {
        let [before, phase, after] = around else { continue };
        if (before.kind, after.kind) != (Kind::Rest, Kind::Rest) {
            continue;
        }
        goals.extend(judged(before, phase, after));
    }
    Section::new("GOALS, beside the rest before", &goals)
}

fn judged(before: &Phase, phase: &Phase, after: &Phase) -> Vec<Goal> {
    let name = phase.kind.name();
    let memory = |phase: &Phase| phase.memory.map(|it| it.now as f64);
    let peak = |phase: &Phase| phase.memory.map(|it| it.peak as f64);
    let (median, rare): (Part, Part) = (|it| it.median, |it| it.p99);
    // Where one who does nothing takes longer too, the machine is guilty.
    let beside = |this: &Phase, of: Waited, idle: Waited, part: Part| {
        let times = |of: Waited| ratio(of(this).map(part), of(before).map(part));
        ratio(times(of), times(idle).map(|it| it.max(1.0)))
    };
    let mut goals = vec![
        at_most(format!("{name}: memory, after"), ratio(memory(after), memory(before)), MEMORY),
        at_most(format!("{name}: memory, at most"), ratio(peak(phase), peak(before)), PEAK),
    ];
    let asked: [(&str, Waited, Waited); 2] =
        [("ping2", |it| it.ping, |it| it.as_ping), ("capabilities", |it| it.capabilities, |it| it.as_capabilities)];
    for (part, word, lenience) in [(median, "median", 1.0), (rare, "p99", RARELY)] {
        for (when, this, limit) in [("after", after, AFTERWARDS), ("meanwhile", phase, MEANWHILE)] {
            goals.extend(asked.map(|(what, of, idle)| {
                at_most(format!("{name}: {what}, {word}, {when}"), beside(this, of, idle, part), limit * lenience)
            }));
        }
    }
    goals
}

/// The median of a time or the longest but one in a hundred.
type Part = fn(Latency) -> f64;

/// One of the times of a phase.
type Waited = fn(&Phase) -> Option<Latency>;

fn mb(kib: u64) -> f64 {
    kib as f64 * 1024.0 / 1e6
}

fn latency(of: Option<Latency>) -> String {
    of.map_or_else(String::new, |it| it.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ours::Memory;

    fn phase(kind: Kind, kib: u64, ping: f64, idle: f64) -> Phase {
        let latency = |median| Some(Latency { median, p99: 9.0 });
        let mut phase = Phase::new(kind);
        phase.memory = Some(Memory { now: kib, peak: kib });
        (phase.ping, phase.as_ping) = (latency(ping), latency(idle));
        (phase.capabilities, phase.as_capabilities) = (latency(1.0), latency(1.0));
        phase
    }

    #[test]
    fn a_storm_is_judged_by_the_rests_around_it() {
        let rest = |kib| phase(Kind::Rest, kib, 1.0, 1.0);
        let goals = goals(&[
            rest(1000),
            phase(Kind::Storm, 1400, 9.0, 2.0),
            rest(1050),
            phase(Kind::Deaf, 1, 8.0, 4.0),
            rest(2000),
        ]);
        assert!(!goals.reached);
        let text = goals.text;
        let line =
            |of: &str| text.lines().find(|line| line.contains(of)).unwrap_or_else(|| panic!("no {of} in {text}"));
        assert!(line("storm: memory, after").starts_with("pass"), "{text}");
        assert!(line("reads: memory, after").starts_with("MISS"), "{text}");
        assert!(line("storm: ping2, median, meanwhile").starts_with("MISS"), "{text}");
        assert!(line("reads: ping2, median, meanwhile").starts_with("pass"), "{text}");
        assert_eq!(text.lines().count(), 2 + 20);
    }

    #[test]
    fn the_longest_wait_and_the_most_memory_count_too() {
        let calm = || phase(Kind::Rest, 1000, 1.0, 1.0);
        let mut storm = phase(Kind::Storm, 1000, 1.0, 1.0);
        assert!(goals(&[calm(), storm.clone(), calm()]).reached);
        storm.capabilities = Some(Latency { median: 1.0, p99: 90.0 });
        let text = goals(&[calm(), storm.clone(), calm()]);
        let missed = |text: &str| text.lines().filter(|line| line.starts_with("MISS")).map(str::to_owned).collect();
        let lines: Vec<String> = missed(&text.text);
        assert!(lines.len() == 1 && lines[0].contains("capabilities, p99, meanwhile"), "{lines:?}");
        storm.capabilities = calm().capabilities;
        storm.memory = Some(Memory { now: 1000, peak: 3000 });
        let lines: Vec<String> = missed(&goals(&[calm(), storm, calm()]).text);
        assert!(lines.len() == 1 && lines[0].contains("memory, at most"), "{lines:?}");
    }
}
