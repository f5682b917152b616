//! What the daemon is to reach, judged: peers-performance section 6 says why these.
//!
//! A goal that this run has no numbers for is neither reached nor missed.

use std::fmt;
use std::process::ExitCode;

use crate::batch::STARTS_TO_CREATE;
use crate::report::{number, ratio};
use crate::results::Results;
use crate::workload::{Candidate, Step};

/// The sizes at which ratios are judged: below them the constant part of a request rules.
const JUDGED: [usize; 2] = [100, 1000];
const CREATE_TO_RAW: f64 = 1.3;
const REAPPLY_TO_DUMP: f64 = 2.0;
const DELETE_TO_GROUP: f64 = 1.1;
/// How much faster than the kernel's own our time per network may grow.
const GROWTH_TO_RAW: f64 = 1.2;
/// One more network may cost, over one on an empty host, as much as one dump.
const ONE_MORE_IN_DUMPS: f64 = 1.0;
const PEAK_MB: f64 = 30.0;

/// The section GOALS.
pub(crate) fn section(counts: &[usize], results: &Results) -> Section {
    let mut goals = Vec::new();
    let judged: Vec<usize> = JUDGED.into_iter().filter(|n| counts.contains(n)).collect();
    for n in &judged {
        goals.push(at_most(
            format!("create, CPU to raw, N={n}"),
            cpu_ratio(results, *n, Step::Create, Candidate::Raw),
            CREATE_TO_RAW,
        ));
        goals.push(below_batch(results, *n));
        goals.push(at_most(
            format!("re-apply, CPU to a raw dump, N={n}"),
            cpu_ratio(results, *n, Step::Reapply, Candidate::Raw),
            REAPPLY_TO_DUMP,
        ));
        let [ours, raw] = [Candidate::Ours, Candidate::Raw].map(|who| results.wall((*n, Step::RemoveAll, who)));
        goals.push(at_most(
            format!("remove-all, wall to a raw group delete, N={n}"),
            ratio(ours, raw),
            DELETE_TO_GROUP,
        ));
    }
    // Below the first of them the constant part of a request rules.
    let large: Vec<usize> = counts.iter().copied().filter(|n| *n >= JUDGED[0]).collect();
    for pair in large.windows(2) {
        let steps = [Step::Create, Step::Reapply, Step::MtuDown, Step::RemoveAll];
        goals.extend(steps.map(|step| growth(results, step, pair[0], pair[1])));
    }
    goals.extend(judged.iter().map(|n| one_more(results, *n)));
    goals.extend(counts.iter().map(|n| {
        let mb = results.peak_kib(*n).map(|kib| kib as f64 * 1024.0 / 1e6);
        at_most(format!("peak memory in MB, N={n}"), mb, PEAK_MB)
    }));
    Section::new("GOALS", &goals)
}

/// A section GOALS, and whether it is good.
#[derive(Debug)]
pub(crate) struct Section {
    pub(crate) text: String,
    /// Nothing was missed.
    pub(crate) reached: bool,
}

impl Section {
    pub(crate) fn new(title: &str, goals: &[Goal]) -> Section {
        let lines: String = goals.iter().map(|goal| format!("{goal}\n")).collect();
        let reached = goals.iter().all(|goal| goal.verdict != Verdict::Miss);
        Section { text: format!("\n{title}\n{lines}"), reached }
    }

    /// The exit code of a run: whether it came to its end, and reached what it was to reach.
    pub(crate) fn exit(&self, whole: bool) -> ExitCode {
        if whole && self.reached { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

/// How a goal stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Pass,
    Miss,
    Unknown,
}

/// One line of a section GOALS.
pub(crate) struct Goal {
    pub(crate) what: String,
    pub(crate) verdict: Verdict,
    pub(crate) numbers: String,
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match self.verdict {
            Verdict::Pass => "pass",
            Verdict::Miss => "MISS",
            Verdict::Unknown => "?",
        };
        write!(f, "{word:<5} {:<58} {}", self.what, self.numbers)
    }
}

/// A value that is not to exceed a limit.
pub(crate) fn at_most(what: String, value: Option<f64>, limit: f64) -> Goal {
    Goal { what, verdict: judged(value, limit), numbers: format!("{} (at most {limit})", number(value)) }
}

/// Whether it does.
pub(crate) fn judged(value: Option<f64>, limit: f64) -> Verdict {
    match value {
        None => Verdict::Unknown,
        Some(value) if value <= limit => Verdict::Pass,
        Some(_) => Verdict::Miss,
    }
}

fn cpu_ratio(results: &Results, n: usize, step: Step, to: Candidate) -> Option<f64> {
    ratio(results.cpu((n, step, Candidate::Ours)), results.cpu((n, step, to)))
}

/// Judged as it is; what is left when `ip` need not be started is shown beside it.
fn below_batch(results: &Results, n: usize) -> Goal {
    let [ours, batch] = [Candidate::Ours, Candidate::IpBatch].map(|who| results.cpu((n, Step::Create, who)));
    let bare = batch.zip(results.ip_start).map(|(batch, start)| batch - STARTS_TO_CREATE * start);
    let (plain, bare) = (ratio(ours, batch), ratio(ours, bare));
    Goal {
        what: format!("create, CPU to ip-batch, N={n}"),
        verdict: judged(plain, 1.0),
        numbers: format!("{} (at most 1), {} without the starts of `ip`", number(plain), number(bare)),
    }
}

/// Time per network at the one size over that at the next smaller one. The kernel's own time grows
/// faster than N, so we are judged beside raw.
fn growth(results: &Results, step: Step, few: usize, many: usize) -> Goal {
    let scale = few as f64 / many as f64;
    let of = |who| ratio(results.wall((many, step, who)), results.wall((few, step, who))).map(|r| r * scale);
    let (ours, raw) = (of(Candidate::Ours), of(Candidate::Raw));
    let relative = ratio(ours, raw);
    Goal {
        what: format!("{}, wall per network, N={many} to N={few}", step.name()),
        verdict: judged(relative, GROWTH_TO_RAW),
        numbers: format!(
            "{}, raw {}: {} of raw's (at most {GROWTH_TO_RAW})",
            number(ours),
            number(raw),
            number(relative)
        ),
    }
}

/// A network on top of N others, less one on an empty host, in dumps of N. The first network
/// brings its bond; a second one on a host with one does not, and is shown beside it.
fn one_more(results: &Results, n: usize) -> Goal {
    let ours = |n, step| results.cpu((n, step, Candidate::Ours));
    let dump = results.cpu((n, Step::Reapply, Candidate::Raw));
    let more = |base: Option<f64>| ratio(ours(n, Step::AddOne).zip(base).map(|(many, empty)| many - empty), dump);
    let (first, second) = (more(ours(1, Step::Create)), more(ours(1, Step::AddOne)));
    Goal {
        what: format!("one more network, in dumps, CPU, N={n}"),
        verdict: judged(first, ONE_MORE_IN_DUMPS),
        numbers: format!(
            "{} over the first network, {} over the second (at most {ONE_MORE_IN_DUMPS})",
            number(first),
            number(second)
        ),
    }
}
