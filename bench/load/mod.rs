//! `vdsm-bench load`: how long those who only read wait for their answers, at rest and while all networks are
//! made or removed.
//!
//! The command line, the process in which it happens, and the report. What happens is in `stage.rs`.

mod readers;
pub(crate) mod stage;
mod table;

use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::Value;

use crate::host::Layout;
use crate::options::count;
use crate::{ours, runs};

/// What a run was asked for.
#[derive(Debug)]
struct Options {
    n: usize,
    reps: usize,
    clients: usize,
    layout: Option<Layout>,
    json: Option<PathBuf>,
}

impl Options {
    fn parse(args: &[String]) -> Result<Options, String> {
        let mut options = Options { n: 1000, reps: 5, clients: 3, layout: None, json: None };
        let mut args = args.iter();
        while let Some(key) = args.next() {
            let value = args.next().ok_or_else(|| format!("{key} needs a value"))?;
            match key.as_str() {
                "--n" => options.n = count(value)?,
                "--reps" => options.reps = count(value)?,
                "--clients" => options.clients = count(value)?,
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
    let layout = options.layout.unwrap_or_else(Layout::best);
    print!("{}", table::head(layout, options.n, options.clients));
    let numbers = [options.n, options.reps, options.clients].map(|number| number.to_string());
    let (phases, status) = runs::myself("load-stage", [layout.name().to_owned()].iter().chain(&numbers))?;
    let goals = table::goals(&phases);
    print!("{}{}", table::table(&phases), goals.text);
    runs::written(options.json.as_deref(), &Value::from(phases))?;
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
        let options = parsed("--n 10 --clients 8 --workload nics").unwrap();
        assert_eq!((options.n, options.reps, options.clients, options.layout), (10, 5, 8, Some(Layout::Nics)));
    }

    #[test]
    fn what_is_not_understood_is_named() {
        for (line, word) in [("--n 0", "0:"), ("--clients", "--clients"), ("--quick 1", "--quick")] {
            let error = parsed(line).err().unwrap_or_default();
            assert!(error.contains(word), "{line}: {error}");
        }
    }
}
