//! `vdsm-bench storm`: what storms of events leave of the daemon's memory, and of the time in which it
//! answers others.
//!
//! The command line, the process in which it happens, and the report. What happens is in `stage.rs`.

mod phase;
mod prober;
pub(crate) mod stage;
mod table;
mod weather;

use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::Value;

use crate::clock::CpuClock;
use crate::host::Layout;
use crate::{ours, runs};
use phase::Phase;

/// What a run was asked for.
#[derive(Debug)]
struct Options {
    n: usize,
    changes: usize,
    connects: usize,
    layout: Option<Layout>,
    json: Option<PathBuf>,
}

impl Options {
    fn parse(args: &[String]) -> Result<Options, String> {
        let mut options = Options { n: 1000, changes: 100_000, connects: 1000, layout: None, json: None };
        let mut args = args.iter();
        while let Some(key) = args.next() {
            let value = args.next().ok_or_else(|| format!("{key} needs a value"))?;
            let number = |most: usize| {
                let found = value.parse().ok().filter(|it| (1..=most).contains(it));
                found.ok_or_else(|| format!("{key} {value}: not a number from 1 to {most}"))
            };
            match key.as_str() {
                "--n" => options.n = number(4000)?,
                "--changes" => options.changes = number(100_000_000)?,
                "--connects" => options.connects = number(1_000_000)?,
                "--workload" => options.layout = Some(Layout::named(value)?),
                "--json" => options.json = Some(value.into()),
                _ => return Err(format!("{key}: unknown option")),
            }
        }
        Ok(options)
    }
}

/// Lets it happen, and prints the table and the goals.
pub(crate) fn run(args: &[String]) -> Result<ExitCode, String> {
    let options = match Options::parse(args) {
        Ok(options) => options,
        Err(error) => return Ok(crate::misused(&error)),
    };
    ours::is_here()?;
    let clock = CpuClock::best().map_err(|e| format!("the clock: {e}"))?;
    let layout = options.layout.unwrap_or_else(Layout::best);
    print!("{}", table::head(layout, clock, options.n));
    let numbers = [options.n, options.changes, options.connects].map(|number| number.to_string());
    let (first, last) = ([layout.name().to_owned()], [clock.name().to_owned()]);
    let (lines, status) = runs::myself("storm-stage", first.iter().chain(&numbers).chain(&last))?;
    let read = |line| Phase::read(line).ok_or_else(|| format!("no line of a stage: {line}"));
    let phases: Vec<Phase> = lines.iter().map(read).collect::<Result<_, _>>()?;
    let goals = table::goals(&phases);
    print!("{}{}", table::table(&phases), goals.text);
    runs::written(options.json.as_deref(), &Value::from(lines))?;
    Ok(goals.exit(status.success()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Options, String> {
        Options::parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn what_is_said_is_heeded_and_the_rest_is_usual() {
        let options = parsed("--n 10 --changes 500").unwrap();
        assert_eq!((options.n, options.changes, options.connects), (10, 500, 1000));
    }

    #[test]
    fn what_is_not_understood_is_named() {
        for (line, word) in [("--n 4001", "--n 4001"), ("--connects", "--connects"), ("--hail 1", "--hail")] {
            let error = parsed(line).err().unwrap_or_default();
            assert!(error.contains(word), "{line}: {error}");
        }
    }
}
