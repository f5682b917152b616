//! `vdsm-bench journal`: what it costs that a change is written down before and while it is made.
//!
//! The command line, a process for each number of networks, the table and the goals. What is measured is
//! in `stage.rs`.

pub(crate) mod stage;
mod table;

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::Value;

use crate::clock::CpuClock;
use crate::host::Layout;
use crate::options::{count, list};
use crate::runs;
use table::Figures;

/// One change of which both engines make the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Change {
    /// N networks on an empty host.
    Create,
    /// Network N+1.
    AddOne,
    /// It goes.
    RemoveOne,
    /// The N others go.
    RemoveAll,
}

impl Change {
    const ALL: [Change; 4] = [Change::Create, Change::AddOne, Change::RemoveOne, Change::RemoveAll];

    fn name(self) -> &'static str {
        match self {
            Change::Create => "create",
            Change::AddOne => "add-one",
            Change::RemoveOne => "remove-one",
            Change::RemoveAll => "remove-all",
        }
    }

    fn named(word: &str) -> Option<Change> {
        Self::ALL.into_iter().find(|it| it.name() == word)
    }

    /// The parameters of `Host.setupNetworks`.
    fn request(self, layout: Layout, n: usize) -> Value {
        match self {
            Change::Create => layout.request(1..=n),
            Change::AddOne => layout.request(n + 1..=n + 1),
            Change::RemoveOne => layout.removal(n + 1..=n + 1),
            Change::RemoveAll => layout.removal(1..=n),
        }
    }
}

/// Whether an engine writes its journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Writes {
    Journal,
    Nothing,
}

impl Writes {
    fn name(self) -> &'static str {
        match self {
            Writes::Journal => "journal",
            Writes::Nothing => "nothing",
        }
    }

    fn named(word: &str) -> Option<Writes> {
        [Writes::Journal, Writes::Nothing].into_iter().find(|it| it.name() == word)
    }
}

/// What a run was asked for.
struct Options {
    /// Network counts, ascending.
    counts: Vec<usize>,
    reps: usize,
    layout: Option<Layout>,
    /// On the disk that is measured.
    dir: Option<PathBuf>,
    json: Option<PathBuf>,
}

impl Options {
    fn parse(args: &[String]) -> Result<Options, String> {
        let mut options = Options { counts: vec![1, 10, 100, 1000], reps: 5, layout: None, dir: None, json: None };
        let mut args = args.iter();
        while let Some(key) = args.next() {
            let value = args.next().ok_or_else(|| format!("{key} needs a value"))?;
            match key.as_str() {
                "--n" => options.counts = list(value, count)?,
                "--reps" => options.reps = count(value)?,
                "--workload" => options.layout = Some(Layout::named(value)?),
                "--dir" => options.dir = Some(value.into()),
                "--json" => options.json = Some(value.into()),
                _ => return Err(format!("{key}: unknown option")),
            }
        }
        options.counts.sort_unstable();
        options.counts.dedup();
        Ok(options)
    }
}

/// Small changes are over soon, and differ more from one to the next.
fn reps(asked: usize, n: usize) -> usize {
    asked * (100 / n).clamp(1, 8)
}

/// Measures, and prints tables and goals.
pub(crate) fn run(args: &[String]) -> Result<ExitCode, String> {
    let options = match Options::parse(args) {
        Ok(options) => options,
        Err(error) => return Ok(crate::misused(&error)),
    };
    let clock = CpuClock::best().map_err(|e| format!("the clock: {e}"))?;
    let layout = options.layout.unwrap_or_else(Layout::best);
    let program = std::env::current_exe().map_err(|e| format!("where am I: {e}"))?;
    let beside = program.parent().map(PathBuf::from).unwrap_or_default();
    let dir = options.dir.clone().unwrap_or(beside).join(format!("journal-bench.{}", std::process::id()));
    print!("{}", table::head(layout, clock, &dir));
    let (mut figures, mut whole) = (Figures::default(), true);
    for n in &options.counts {
        let args = [layout.name(), &n.to_string(), &reps(options.reps, *n).to_string(), clock.name()];
        let args = args.iter().map(OsStr::new).chain([dir.as_os_str()]);
        let (lines, status) = runs::myself("journal-stage", args)?;
        for line in lines {
            figures.note(*n, &line).ok_or_else(|| format!("no line of a stage: {line}"))?;
        }
        whole &= status.success();
        print!("{}", table::table(*n, &figures));
        std::fs::remove_dir_all(&dir).map_err(|e| format!("{}: {e}", dir.display()))?;
        runs::calm();
    }
    let goals = table::goals(&options.counts, &figures);
    print!("{}", goals.text);
    runs::written(options.json.as_deref(), &figures.json())?;
    Ok(goals.exit(whole))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Options, String> {
        Options::parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn what_is_said_is_heeded_and_what_is_not_understood_is_named() {
        let options = parsed("--n 100,1 --dir /var/tmp").unwrap();
        assert_eq!((options.counts, options.dir), (vec![1, 100], Some("/var/tmp".into())));
        assert_eq!([1, 10, 100, 1000].map(|n| reps(5, n)), [40, 40, 5, 5]);
        for (line, word) in [("--n 0", "0:"), ("--dir", "--dir"), ("--disk x", "--disk")] {
            let error = parsed(line).err().unwrap_or_default();
            assert!(error.contains(word), "{line}: {error}");
        }
    }
}
