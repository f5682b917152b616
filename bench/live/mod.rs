//! `vdsm-bench live`: what the live picture costs, beside bare dumps and `ip`.
//!
//! The command line, a process for each number of networks, and the report. What is measured there
//! is in `stage.rs`.

mod asks;
mod changes;
mod cold;
mod figures;
mod goals;
pub(crate) mod inside;
pub(crate) mod stage;
mod swing;
mod table;

use std::path::PathBuf;
use std::process::ExitCode;

use crate::clock::CpuClock;
use crate::host::Layout;
use crate::options::{count, list};
use crate::{ours, runs};
use figures::Figures;

/// What a run was asked for.
struct Options {
    /// Network counts, ascending.
    counts: Vec<usize>,
    reps: usize,
    layout: Option<Layout>,
    json: Option<PathBuf>,
}

impl Options {
    fn parse(args: &[String]) -> Result<Options, String> {
        let mut options = Options { counts: vec![10, 100, 1000, 4000], reps: 5, layout: None, json: None };
        let mut args = args.iter();
        while let Some(key) = args.next() {
            let value = args.next().ok_or_else(|| format!("{key} needs a value"))?;
            match key.as_str() {
                "--n" => options.counts = list(value, count)?,
                "--reps" => options.reps = count(value)?,
                "--workload" => options.layout = Some(Layout::named(value)?),
                "--json" => options.json = Some(value.into()),
                _ => return Err(format!("{key}: unknown option")),
            }
        }
        options.counts.sort_unstable();
        options.counts.dedup();
        Ok(options)
    }
}

/// Measures, and prints tables and goals.
pub(crate) fn run(args: &[String]) -> Result<ExitCode, String> {
    let options = match Options::parse(args) {
        Ok(options) => options,
        Err(error) => return Ok(crate::misused(&error)),
    };
    ours::is_here()?;
    let clock = CpuClock::best().map_err(|e| format!("the clock: {e}"))?;
    let layout = options.layout.unwrap_or_else(Layout::best);
    print!("{}", table::head(layout, clock));
    let mut figures = Figures::default();
    let mut whole = true;
    for n in &options.counts {
        whole &= stage(*n, layout, options.reps, clock, &mut figures)?;
        print!("{}", table::table(*n, &figures));
        runs::calm();
    }
    let goals = goals::section(&options.counts, &figures);
    print!("{}", goals.text);
    runs::written(options.json.as_deref(), &figures.json())?;
    Ok(goals.exit(whole))
}

/// Runs one stage and notes what it says; whether it came to its end.
fn stage(n: usize, layout: Layout, reps: usize, clock: CpuClock, figures: &mut Figures) -> Result<bool, String> {
    let args = [layout.name(), &n.to_string(), &reps.to_string(), clock.name()];
    let (lines, status) = runs::myself("live-stage", args)?;
    for line in lines {
        figures.note(n, &line)?;
    }
    Ok(status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Options, String> {
        Options::parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn counts_ascend() {
        let options = parsed("--n 1000,10,1000 --workload nics").unwrap();
        assert_eq!((options.counts, options.layout), (vec![10, 1000], Some(Layout::Nics)));
    }

    #[test]
    fn what_is_not_understood_is_named() {
        for (line, word) in [("--n 0", "0:"), ("--reps", "--reps"), ("--quick 1", "--quick"), ("--workload x", "x:")] {
            let error = parsed(line).err().unwrap_or_default();
            assert!(error.contains(word), "{line}: {error}");
        }
    }
}
