//! What a run of tests leaves behind: its output, and its tests' notes on themselves.
//!
//! How to read the output is in `libtest.rs`.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::error::{Error, Trying};
use crate::libtest::{Tally, tally};
use crate::process::{Ended, Stream, output, wait};
use crate::workplace::Workplace;

/// The files that one run writes.
pub(crate) struct Logs {
    pub(crate) stdout: PathBuf,
    pub(crate) stderr: PathBuf,
    /// What tests say of themselves: `NAME: reason`, if they could not run.
    pub(crate) notes: PathBuf,
}

impl Logs {
    pub(crate) fn new(workplace: &Workplace, name: &str) -> Self {
        let file = |kind: &str| workplace.file(&format!("{name}.{kind}"));
        Self { stdout: file("out"), stderr: file("err"), notes: file("notes") }
    }

    /// Runs a command into them; at the limit its whole process group ends.
    pub(crate) fn run(&self, command: &mut Command, limit: Duration) -> Result<Ended, Error> {
        let stdout = Stream::File(self.stdout.clone()).stdio()?;
        let stderr = Stream::File(self.stderr.clone()).stdio()?;
        let mut child = command.process_group(0).stdout(stdout).stderr(stderr).spawn().trying("start a test")?;
        let ended = wait(&mut child, limit)?;
        if ended == Ended::AtLimit {
            output(Command::new("sh").args(["-c", "kill -KILL -- -\"$1\"", "sh", &child.id().to_string()]));
        }
        Ok(ended)
    }

    /// Counts, and prints all if something failed.
    pub(crate) fn tally(&self, expected: Option<usize>, ended: Ended) -> Tally {
        let tally = tally(&read(&self.stdout), expected, &read(&self.notes), ended);
        if tally.failed > 0 {
            self.print(ended);
        }
        tally
    }

    pub(crate) fn print(&self, ended: Ended) {
        match ended {
            Ended::AtLimit => println!("ended at its limit:"),
            Ended::With(code) => println!("ended with {code}:"),
        }
        for path in [&self.stdout, &self.stderr] {
            println!("-- {}", path.display());
            print!("{}", read(path));
        }
        println!("--");
    }
}

/// A log's text, with a line end, whatever bytes a test wrote; nothing if there is none.
fn read(path: &Path) -> String {
    let mut text = fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    text
}
