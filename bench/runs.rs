//! All candidates, all sizes: who runs when, and how often.
//!
//! Within each repetition the candidates take turns, so that a machine that becomes slower does
//! so for all of them. Short runs are repeated until a median of them means something.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, ExitCode, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::clock::CpuClock;
use crate::options::Options;
use crate::results::{Results, Sample};
use crate::workload::{Candidate, Step};
use crate::{batch, goals, ours, report};

/// Repetitions go on until the fastest candidate's creations add up to this,
const ENOUGH: Duration = Duration::from_secs(1);
/// or there are as many as this.
const MOST: usize = 20;
/// How long a dead namespace's clean-up is waited for at most.
const CALM: Duration = Duration::from_secs(5);

pub(crate) fn run(options: &Options) -> Result<ExitCode, String> {
    if options.candidates.contains(&Candidate::Ours) {
        ours::is_here().map_err(|e| format!("{e}, or leave `ours` out of --candidates"))?;
    }
    let clock = CpuClock::best().map_err(|e| format!("the clock: {e}"))?;
    let mut results = Results::new(clock, options.mode);
    if options.candidates.contains(&Candidate::IpBatch) {
        results.ip_start = batch::start_cost(clock)?;
    }
    print!("{}", report::head(&results));
    for n in &options.counts {
        repeat(*n, options, &mut results)?;
        print!("{}", report::table(*n, &options.candidates, &results));
    }
    let goals = goals::section(&options.counts, &results);
    print!("{}", goals.text);
    written(options.json.as_deref(), &results.json())?;
    Ok(goals.exit(!results.any_failure()))
}

fn repeat(n: usize, options: &Options, results: &mut Results) -> Result<(), String> {
    // The first of a size finds cold caches and a kernel that has yet to grow; it does not count.
    let mut cold = Results::new(results.clock, results.mode);
    for candidate in options.candidates.iter().filter(|c| **c == Candidate::Raw) {
        stage(n, *candidate, &mut cold)?;
        calm();
    }
    for repetition in 0.. {
        let enough = options.candidates.iter().all(|c| summed(n, *c, results) >= ENOUGH)
            || repetition >= MOST
            || results.any_failure();
        if repetition >= options.reps && enough {
            break;
        }
        // Whoever comes first, does so in turn.
        let turn = repetition % options.candidates.len();
        for candidate in options.candidates[turn..].iter().chain(&options.candidates[..turn]) {
            stage(n, *candidate, results)?;
            calm();
        }
        eprintln!("vdsm-bench: {n} networks, repetition {} done", repetition + 1);
    }
    Ok(())
}

/// How long a candidate's creations took together.
fn summed(n: usize, candidate: Candidate, results: &Results) -> Duration {
    let key = (n, Step::Create, candidate);
    let millis = results.wall(key).unwrap_or(0.0) * results.good(key) as f64;
    Duration::from_secs_f64(millis / 1000.0)
}

/// Runs one candidate once through all steps and notes what it says.
fn stage(n: usize, candidate: Candidate, results: &mut Results) -> Result<(), String> {
    let args = [candidate.name(), &n.to_string(), results.clock.name(), results.mode.name()];
    let (lines, status) = myself("stage", args)?;
    let mut last = None;
    for line in lines {
        last = note(n, candidate, &line, results)?.or(last);
    }
    if !status.success() {
        // What it was about is on standard error.
        let step = Step::ALL.into_iter().find(|step| last.is_none_or(|last| *step > last)).unwrap_or(Step::RemoveAll);
        results.fail((n, step, candidate), format!("the stage ended early: {status}"));
    }
    Ok(())
}

/// Runs a stage, this program once more; the lines it printed, and how it ended.
pub(crate) fn myself(
    stage: &str,
    args: impl IntoIterator<Item = impl AsRef<OsStr>>,
) -> Result<(Vec<Value>, ExitStatus), String> {
    let program = std::env::current_exe().map_err(|e| format!("where am I: {e}"))?;
    let output = Command::new(program)
        .arg(stage)
        .args(args)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|e| format!("cannot start myself: {e}"))?;
    let read = |line: &str| serde_json::from_str(line).map_err(|e| format!("{stage}: {e}: {line}"));
    let lines = String::from_utf8_lossy(&output.stdout).lines().map(read).collect::<Result<_, _>>()?;
    Ok((lines, output.status))
}

/// Writes every figure into the file that was asked for, if one was.
pub(crate) fn written(path: Option<&Path>, figures: &Value) -> Result<(), String> {
    let write =
        |path: &Path| std::fs::write(path, format!("{figures:#}\n")).map_err(|e| format!("{}: {e}", path.display()));
    path.map_or(Ok(()), write)
}

/// Takes one line of a stage; the step it was about.
fn note(n: usize, candidate: Candidate, line: &Value, results: &mut Results) -> Result<Option<Step>, String> {
    let Some(step) = line["step"].as_str() else {
        line["peak_kib"].as_u64().into_iter().for_each(|kib| results.peak(n, kib));
        return Ok(None);
    };
    let step = Step::named(step)?;
    let key = (n, step, candidate);
    if let Some(problem) = line["problem"].as_str() {
        eprintln!("vdsm-bench: {} {} with {n}: {problem}", candidate.name(), step.name());
        results.fail(key, problem.to_owned());
        return Ok(Some(step));
    }
    let nanos = |name: &str| {
        line[name].as_u64().map(Duration::from_nanos).ok_or_else(|| format!("a stage without {name}: {line}"))
    };
    results.add(key, Sample { wall: nanos("wall_ns")?, cpu: nanos("cpu_ns")?, after: nanos("after_ns")? });
    Ok(Some(step))
}

/// Waits until nothing of the last namespace is being cleaned up any more.
pub(crate) fn calm() {
    let begun = Instant::now();
    let mut quiet = 0;
    while quiet < 2 && begun.elapsed() < CALM {
        let before = busy_ticks();
        std::thread::sleep(Duration::from_millis(50));
        // At 100 ticks a second and CPU; one may be our own.
        let ticks = busy_ticks().saturating_sub(before);
        quiet = if ticks <= 1 { quiet + 1 } else { 0 };
    }
}

/// The kernel's own time of all CPUs; the programs of other people on the machine matter less.
fn busy_ticks() -> u64 {
    let text = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    let words = text.lines().next().unwrap_or_default().split_whitespace().skip(1);
    words.enumerate().filter(|(at, _)| matches!(at, 2 | 5 | 6)).filter_map(|(_, word)| word.parse::<u64>().ok()).sum()
}
