//! What the live picture is to reach, judged.
//!
//! Ratios within one run, so that no machine is better than another. A goal that this run has no
//! numbers for is neither reached nor missed.

use super::figures::{Figures, What, When};
use crate::goals::{Goal, Section, at_most, judged};
use crate::report::{number, ratio};

/// At this size getCapabilities is held against a bare dump.
const SERVED: usize = 1000;
const CAPABILITIES_TO_RAW: f64 = 1.0;
/// From the fewest networks to the most, what a change costs may grow by so much,
const CHANGE_GROWTH: f64 = 1.5;
/// and the time until it shows, half of which is the scheduler's mood.
const LATENCY_GROWTH: f64 = 2.0;
/// How much faster than a bare dump's our time per network may grow.
const GROWTH_TO_RAW: f64 = 1.2;
/// How much faster than the networks memory may grow.
const MEMORY_GROWTH: f64 = 1.2;

/// What must not grow faster than the number of networks.
const PER_NETWORK: [What; 7] = [
    What::Open,
    What::ColdStart,
    What::Capabilities,
    What::CapabilitiesAfterChange,
    What::Statistics,
    What::Topology,
    What::Check,
];

/// The section GOALS.
pub(super) fn section(counts: &[usize], figures: &Figures) -> Section {
    let mut goals = Vec::new();
    for n in counts.iter().copied().filter(|n| *n == SERVED) {
        for what in [What::Capabilities, What::CapabilitiesAfterChange] {
            let name = what.title();
            let to_raw =
                |of: fn(&Figures, usize, What) -> Option<f64>| ratio(of(figures, n, what), of(figures, n, What::Raw));
            goals.push(at_most(
                format!("{name}, wall to a raw dump, N={n}"),
                to_raw(Figures::wall),
                CAPABILITIES_TO_RAW,
            ));
            goals.push(at_most(format!("{name}, CPU to a raw dump, N={n}"), to_raw(Figures::cpu), CAPABILITIES_TO_RAW));
        }
    }
    if let [few, .., many] = *counts {
        goals.extend([What::Snapshot, What::Told].map(|what| latency(few, many, what, figures)));
        goals.extend([What::Told, What::Lone, What::LoneOurs].map(|what| flat(few, many, what, figures)));
    }
    for pair in counts.windows(2) {
        goals.extend(PER_NETWORK.map(|what| growth(pair[0], pair[1], what, figures)));
        // With fewer networks it is a matter of a few pages.
        if counts[0] < pair[0] && pair[0] >= SERVED {
            let sizes = [counts[0], pair[0], pair[1]];
            goals.extend([When::Start, When::Asked].map(|when| memory(sizes, when, figures)));
        }
    }
    Section::new("GOALS", &goals)
}

/// The time after the kernel has done its part, which is its own affair.
fn latency(few: usize, many: usize, what: What, figures: &Figures) -> Goal {
    let ours = |n| Some(figures.wall(n, what)? - figures.wall(n, What::Change)?);
    let name = format!("{}, beyond the bare change, N={many} to N={few}", what.title());
    at_most(name, ratio(ours(many), ours(few)), LATENCY_GROWTH)
}

fn flat(few: usize, many: usize, what: What, figures: &Figures) -> Goal {
    let name = format!("{}, CPU, N={many} to N={few}", what.title());
    at_most(name, ratio(figures.cpu(many, what), figures.cpu(few, what)), CHANGE_GROWTH)
}

/// CPU time per network beside that of the bare dump, which grows as the kernel pleases. Not wall
/// time: who else works on the machine takes more of what takes longer.
fn growth(few: usize, many: usize, what: What, figures: &Figures) -> Goal {
    let scale = few as f64 / many as f64;
    let of = |what| ratio(figures.cpu(many, what), figures.cpu(few, what)).map(|it| it * scale);
    let (ours, raw) = (of(what), of(What::Raw));
    // Where the constant part of a dump makes it look better with size, that is no reason for more.
    let relative = ratio(ours, raw.map(|raw| raw.max(1.0)));
    let numbers = format!("{}, raw {} (at most {GROWTH_TO_RAW} of raw's)", number(ours), number(raw));
    let what = format!("{}, CPU per network, N={many} to N={few}", what.title());
    Goal { what, verdict: judged(relative, GROWTH_TO_RAW), numbers }
}

/// What more networks hold, each, beyond what the fewest do.
fn memory([few, fewer, many]: [usize; 3], when: When, figures: &Figures) -> Goal {
    let each = |n: usize| {
        let more = figures.memory(n, when)?.now as f64 - figures.memory(few, when)?.now as f64;
        Some(more / (n - few) as f64)
    };
    let (less, more) = (each(fewer), each(many));
    let relative = ratio(more, less);
    let numbers =
        format!("{} KiB, before {}: {} (at most {MEMORY_GROWTH})", number(more), number(less), number(relative));
    let what = format!("memory {}, per network, N={many} to N={fewer}", when.name());
    Goal { what, verdict: judged(relative, MEMORY_GROWTH), numbers }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn wall(what: What, micros: u64) -> serde_json::Value {
        json!({"what": what.name(), "wall_ns": [micros * 1000], "cpu_ns": micros * 1000, "times": 1, "bytes": null})
    }

    fn line<'a>(text: &'a str, of: &str) -> &'a str {
        text.lines().find(|line| line.contains(of)).unwrap_or_else(|| panic!("no {of} in {text}"))
    }

    #[test]
    fn each_goal_is_judged_by_its_own_ratio() {
        let mut figures = Figures::default();
        for (n, raw, capabilities, open, snapshot) in
            [(10, 100, 50, 300, 120), (100, 900, 450, 900, 130), (1000, 8000, 7000, 20_000, 900)]
        {
            let all = [
                (What::Raw, raw),
                (What::Capabilities, capabilities),
                (What::Open, open),
                (What::Snapshot, snapshot),
                (What::Change, 100),
            ];
            all.iter().for_each(|(what, micros)| figures.note(n, &wall(*what, *micros)).unwrap());
        }
        let goals = section(&[10, 100, 1000], &figures);
        assert!(!goals.reached);
        let text = goals.text;
        assert!(line(&text, "getCapabilities, wall to a raw dump").starts_with("pass"), "{text}");
        assert!(line(&text, "change to snapshot").starts_with("MISS"), "{text}");
        assert!(line(&text, "getTopology, CPU per network").starts_with("?"), "{text}");
        // Each pair of neighbours is judged, not only the last.
        assert!(line(&text, "Live::open, CPU per network, N=100 to N=10").starts_with("pass"), "{text}");
        assert!(line(&text, "Live::open, CPU per network, N=1000 to N=100").starts_with("MISS"), "{text}");
        let alone = section(&[1000], &figures);
        assert!(alone.reached && alone.text.lines().count() == 6, "a growth of one size");
    }
}
