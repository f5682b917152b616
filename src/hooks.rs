//! The scripts of a site around a change: `before_network_setup`, `after_network_setup` and
//! `after_network_setup_fail` below `hooks_dir` (vdsm-facts 3.1, 13).
//!
//! A script finds the request in the file that `_hook_json` names; before a change it may rewrite
//! it. Which files are scripts is in `hooks/scripts.rs`, how one is run in `hooks/run.rs`, and when
//! they are is the engine's: `engine/hooked.rs`.

mod run;
mod scripts;
#[cfg(test)]
mod tests;

use std::fmt;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;

use crate::asked::{Asked, AskedError};
use crate::conf::Settings;

/// Where scripts are, and what they may take.
pub struct Hooks {
    /// None where there are to be no hooks.
    dir: Option<PathBuf>,
    run_dir: PathBuf,
    timeout: Duration,
    /// In bytes, as on the socket.
    longest_request: usize,
}

/// The scripts of one change, in the order in which they run.
#[derive(Debug, Default, PartialEq)]
pub struct Scripts {
    /// Before anything is changed.
    pub before: Vec<PathBuf>,
    /// After a change that came about.
    pub after: Vec<PathBuf>,
    /// After one that did not, when it is undone.
    pub after_fail: Vec<PathBuf>,
    /// A sentence for each file that is left alone because strangers could have written it.
    pub warnings: Vec<String>,
}

impl Scripts {
    /// Whether there are none at all.
    pub fn is_empty(&self) -> bool {
        self.before.is_empty() && self.after.is_empty() && self.after_fail.is_empty()
    }
}

/// The scripts that did not let a change begin; never empty.
#[derive(Debug)]
pub struct HookError(pub Vec<Failure>);

impl fmt::Display for HookError {
    /// As the original has it (vdsm-facts 1.2): what the scripts said on their standard error.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<String> = self.0.iter().map(Failure::words).collect();
        write!(f, "Hook error: {}", words.join("\n"))
    }
}

impl std::error::Error for HookError {}

/// A script that did not do well.
#[derive(Debug)]
pub struct Failure {
    /// Its path.
    pub script: PathBuf,
    /// What became of it.
    pub how: How,
    /// The end of what it said on its standard error, without the white space around.
    pub stderr: String,
}

/// What became of a script.
#[derive(Debug, thiserror::Error)]
pub enum How {
    /// It ended by itself and was not content. With 1 the next script still has its turn.
    #[error("ended with exit code {0}")]
    Code(i32),
    /// A signal ended it.
    #[error("was killed by signal {0}")]
    Signal(i32),
    /// It took too long, and was killed with all its children.
    #[error("did not end within {} s and was killed", .0.as_secs_f64())]
    Deadline(Duration),
    /// The kernel would not run it.
    #[error("cannot be run: {0}")]
    Run(#[source] io::Error),
    /// The file with the request could not be written or read back.
    #[error("has no readable request: {0}")]
    File(#[source] io::Error),
    /// What it left is longer than a request may be.
    #[error("left a request of more than {0} bytes")]
    TooLong(usize),
    /// What it left is no request.
    #[error("left no request: {0}")]
    NoRequest(#[source] AskedError),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.script.display(), self.how)?;
        if self.stderr.is_empty() { Ok(()) } else { write!(f, ": {}", self.stderr) }
    }
}

impl Failure {
    /// What a person is told: the script's own words where it had any and ended by itself.
    fn words(&self) -> String {
        match self.how {
            How::Code(_) if !self.stderr.is_empty() => self.stderr.clone(),
            _ => self.to_string(),
        }
    }

    /// Whether the next script is run all the same.
    fn is_mild(&self) -> bool {
        matches!(self.how, How::Code(1))
    }
}

impl Hooks {
    /// As vdsm.conf says.
    pub fn new(settings: &Settings) -> Hooks {
        Hooks {
            dir: settings.hooks_dir.clone(),
            run_dir: settings.run_dir.clone(),
            timeout: settings.hook_timeout,
            longest_request: settings.max_request_bytes,
        }
    }

    /// Looks which scripts there are now.
    pub fn find(&self) -> Scripts {
        let mut found = Scripts::default();
        let Some(dir) = &self.dir else {
            return found;
        };
        let mut of = |folder| scripts::find(&dir.join(folder), &mut found.warnings);
        found.before = of("before_network_setup");
        found.after = of("after_network_setup");
        found.after_fail = of("after_network_setup_fail");
        for warning in &found.warnings {
            tracing::warn!("{warning}");
        }
        found
    }

    /// Runs scripts that may still change the request or stop it; what they have made of it.
    ///
    /// # Errors
    /// All scripts that were not content. Nobody has changed anything then.
    pub fn before(&self, scripts: &[PathBuf], mut asked: Asked) -> Result<Asked, HookError> {
        let mut failures = Vec::new();
        for script in scripts {
            match self.run(script, &asked) {
                Ok(rewritten) => asked = rewritten,
                Err(failure) => {
                    tracing::warn!("{:?}", failure.to_string());
                    let is_mild = failure.is_mild();
                    failures.push(failure);
                    if !is_mild {
                        break;
                    }
                }
            }
        }
        if failures.is_empty() { Ok(asked) } else { Err(HookError(failures)) }
    }

    /// Tells scripts of a change, each of the same one. What they make of it is only logged.
    pub fn after(&self, scripts: &[PathBuf], asked: &Asked) {
        for script in scripts {
            if let Err(failure) = self.run(script, asked) {
                tracing::warn!("{:?}", failure.to_string());
                if !failure.is_mild() {
                    break;
                }
            }
        }
    }

    /// Runs one script. It has a folder of its own, so that what it leaves running in the
    /// background cannot reach the next one's request.
    fn run(&self, script: &Path, asked: &Asked) -> Result<Asked, Failure> {
        let failed = |how, stderr| Failure { script: script.to_owned(), how, stderr };
        let (_folder, file) = self.write(asked).map_err(|e| failed(How::File(e), String::new()))?;
        tracing::info!("running {}", script.display());
        let ended = run::run(script, &file, self.timeout);
        ended.outcome.and_then(|()| self.read(&file)).map_err(|how| failed(how, ended.stderr))
    }

    fn write(&self, asked: &Asked) -> io::Result<(TempDir, PathBuf)> {
        fs::create_dir_all(&self.run_dir)?;
        let private = Permissions::from_mode(0o700);
        let folder = tempfile::Builder::new().prefix("hook-").permissions(private).tempdir_in(&self.run_dir)?;
        let path = folder.path().join("request.json");
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        file.write_all(asked.to_hook_json().to_string().as_bytes())?;
        Ok((folder, path))
    }

    /// What a script has left. It may have put another file in the place of ours, but no link, and
    /// nothing that one could wait for.
    fn read(&self, path: &Path) -> Result<Asked, How> {
        let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
        let file = OpenOptions::new().read(true).custom_flags(flags).open(path).map_err(How::File)?;
        let text = bounded(&file, self.longest_request).map_err(How::File)?;
        let text = text.ok_or(How::TooLong(self.longest_request))?;
        Asked::from_hook_json(&text).map_err(How::NoRequest)
    }
}

/// The content of a file, unless it is longer.
fn bounded(file: &File, longest: usize) -> io::Result<Option<Vec<u8>>> {
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is no regular file any more"));
    }
    let mut text = Vec::new();
    file.take(longest as u64 + 1).read_to_end(&mut text)?;
    Ok((text.len() <= longest).then_some(text))
}
