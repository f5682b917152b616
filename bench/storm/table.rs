//! The table of `vdsm-bench storm`, and its goals judged.

use super::phase::{Kind, Latency, Phase};
use crate::clock::CpuClock;
use crate::goals::{Goal, at_most};
use crate::host::Layout;
use crate::report::{kernel, ratio};

/// What the daemon holds after a storm, beside before it.
const MEMORY: f64 = 1.1;
/// The median another client waits after a storm, beside before it.
const AFTERWARDS: f64 = 1.25;
/// The same during one. On a single CPU whoever makes the storm takes his part, and who listens to it.
const MEANWHILE: f64 = 4.0;

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
pub(super) fn goals(phases: &[Phase]) -> String {
    let mut goals = Vec::new();
    for around in phases.windows(3) {
        let [before, phase, after] = around else { continue };
        if (before.kind, after.kind) != (Kind::Rest, Kind::Rest) {
            continue;
        }
        goals.extend(judged(before, phase, after));
    }
    let lines: String = goals.iter().map(|goal| format!("{goal}\n")).collect();
    format!("\nGOALS, medians beside those of the rest before\n{lines}")
}

fn judged(before: &Phase, phase: &Phase, after: &Phase) -> Vec<Goal> {
    let name = phase.kind.name();
    let memory = |phase: &Phase| phase.memory.map(|it| it.now as f64);
    // Where one who does nothing takes longer too, the machine is guilty.
    let beside = |this: &Phase, of: Waited, idle: Waited| {
        let median = |phase: &Phase, of: Waited| of(phase).map(|it| it.median);
        let times = |of: Waited| ratio(median(this, of), median(before, of));
        ratio(times(of), times(idle).map(|it| it.max(1.0)))
    };
    let ping = |this| beside(this, |it| it.ping, |it| it.as_ping);
    let capabilities = |this| beside(this, |it| it.capabilities, |it| it.as_capabilities);
    vec![
        at_most(format!("{name}: memory, after"), ratio(memory(after), memory(before)), MEMORY),
        at_most(format!("{name}: ping2, after"), ping(after), AFTERWARDS),
        at_most(format!("{name}: capabilities, after"), capabilities(after), AFTERWARDS),
        at_most(format!("{name}: ping2, meanwhile"), ping(phase), MEANWHILE),
        at_most(format!("{name}: capabilities, meanwhile"), capabilities(phase), MEANWHILE),
    ]
}

/// One of the times of a phase.
type Waited = fn(&Phase) -> Option<Latency>;

fn mb(kib: u64) -> f64 {
    kib as f64 * 1024.0 / 1e6
}

fn latency(of: Option<Latency>) -> String {
    of.map_or_else(String::new, |it| format!("{:.3}/{:.3}", it.median, it.p99))
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
        let text = goals(&[
            rest(1000),
            phase(Kind::Storm, 5000, 9.0, 2.0),
            rest(1050),
            phase(Kind::Deaf, 1, 8.0, 4.0),
            rest(2000),
        ]);
        let line =
            |of: &str| text.lines().find(|line| line.contains(of)).unwrap_or_else(|| panic!("no {of} in {text}"));
        assert!(line("storm: memory").starts_with("pass"), "{text}");
        assert!(line("reads: memory").starts_with("MISS"), "{text}");
        assert!(line("storm: ping2, meanwhile").starts_with("MISS"), "{text}");
        assert!(line("reads: ping2, meanwhile").starts_with("pass"), "{text}");
        assert_eq!(text.lines().count(), 2 + 10);
    }
}
