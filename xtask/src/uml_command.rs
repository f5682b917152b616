//! `cargo xtask uml`: any command in user-mode-linux.
//!
//! Only the command line is read here; the work is in `uml.rs`.

use std::ffi::OsString;
use std::io::Read;
use std::time::Duration;

use crate::error::{Error, Trying};
use crate::sandbox::Job;
use crate::{packages, uml};

/// Runs it; the exit code is the command's.
pub(crate) fn run(args: Vec<OsString>) -> Result<u8, Error> {
    let directory = std::env::current_dir().trying("find the current directory")?;
    let mut job = Job::new(Vec::new(), directory);
    job.cpu = uml::cpus().last().copied();
    let mut memory = OsString::from(uml::DEFAULT_MEMORY);
    let mut reads_input = false;
    let mut args = args.into_iter();
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or_else(|| usage(&arg));
        match arg.to_str() {
            Some("-m") => memory = value()?,
            Some("-t") => job.limit = seconds(&value()?)?,
            Some("-c") => job.cpu = Some(number(&value()?)?),
            Some("-k") => job.kernel.push(value()?),
            Some("-w") => job.shared.push(value()?.into()),
            Some("-i") => reads_input = true,
            Some("--") => break,
            Some(option) if option.starts_with('-') => return Err(usage(&arg)),
            _ => {
                job.command.push(arg);
                break;
            }
        }
    }
    job.command.extend(args);
    if job.command.is_empty() {
        return Err(Error::Usage("uml: which command?".into()));
    }
    let memory = memory.to_str().filter(|_| uml::is_memory(&memory)).ok_or_else(|| usage(&memory))?;
    packages::ensure(&packages::FOR_UML)?;
    let mut stdin = Vec::new();
    if reads_input {
        std::io::stdin().read_to_end(&mut stdin).trying("read standard input")?;
    }
    let ended = uml::run(&job, memory, &stdin)?;
    if ended == crate::process::Ended::AtLimit {
        eprintln!("xtask: no end after {} s", job.limit.as_secs());
    }
    Ok(ended.code())
}

fn usage(word: &OsString) -> Error {
    Error::Usage(format!("not understood: {}", word.display()))
}

/// A whole number on the command line.
fn number(word: &OsString) -> Result<usize, Error> {
    word.to_str().and_then(|text| text.parse().ok()).ok_or_else(|| usage(word))
}

/// A time limit on the command line.
pub(crate) fn seconds(word: &OsString) -> Result<Duration, Error> {
    Ok(Duration::from_secs(number(word)? as u64))
}
