//! `cargo xtask try`: a host's story told and checked in a sandbox.
//!
//! The story itself is `try.sh`.

use std::ffi::OsString;
use std::fs;

use crate::error::{Error, Trying};
use crate::ground::Ground;
use crate::process::Ended;
use crate::sandbox::Job;
use crate::workplace::Workplace;
use crate::{cargo, uml_command};

const STORY: &str = include_str!("try.sh");

/// Builds, and runs the story, or a command in a host as the story makes it.
pub(crate) fn run(args: Vec<OsString>) -> Result<u8, Error> {
    let mut limit = None;
    let mut args = args.into_iter();
    let mut command: Vec<OsString> = Vec::new();
    while let Some(arg) = args.next() {
        match arg.to_str() {
            Some("-t") => limit = Some(uml_command::seconds(&args.next().unwrap_or_default())?),
            Some("--") => command.extend(args.by_ref()),
            _ => {
                return Err(Error::Usage(format!("try: a command comes after `--`, so not {}", arg.display())));
            }
        }
    }
    let ground = Ground::find()?;
    let workplace = Workplace::open("try")?;
    // Not the release build: on a fresh machine it takes several times as long.
    let built = cargo::artifacts(&["build", "--bins"], &workplace.file("build.json"))?;
    let programs: Vec<_> = built.into_iter().filter(|it| it.is_program()).map(|it| it.executable).collect();
    let bin = workplace.programs(&programs)?;
    let story = workplace.file("try.sh");
    fs::write(&story, STORY).trying("write the story")?;
    eprintln!("xtask: the sandbox is {}", ground.describe());
    let words = [vec!["sh".into(), story.into(), bin.clone().into()], command].concat();
    let directory = std::env::current_dir().trying("find the current directory")?;
    let mut job = Job::new(words, directory).env("VDSM_BIN_DIR", bin);
    job.limit = limit.unwrap_or(job.limit);
    let ended = ground.run(&job)?;
    if ended == Ended::AtLimit {
        eprintln!("xtask: no end after {} s", job.limit.as_secs());
    }
    Ok(ended.code())
}
