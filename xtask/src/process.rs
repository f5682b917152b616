//! Child processes that end: at a limit, and when we are killed.
//!
//! What runs in them is the caller's business.

use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::error::{Error, Trying};

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// By itself; 128 and the signal's number if a signal ended it, as shells have it.
    With(u8),
    /// By us, at its time limit.
    AtLimit,
}

impl Ended {
    /// 124 stands for the limit, as in timeout(1).
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::With(code) => code,
            Self::AtLimit => 124,
        }
    }
}

impl From<ExitStatus> for Ended {
    fn from(status: ExitStatus) -> Self {
        let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(1);
        Self::With(u8::try_from(code).unwrap_or(1))
    }
}

/// Where a stream of a command goes.
#[derive(Debug, Clone)]
pub(crate) enum Stream {
    /// To our own.
    Ours,
    /// Into a file, which is emptied first.
    File(PathBuf),
}

impl Stream {
    pub(crate) fn stdio(&self) -> Result<Stdio, Error> {
        match self {
            Self::Ours => Ok(Stdio::inherit()),
            Self::File(path) => Ok(create(path)?.into()),
        }
    }
}

/// A command that the kernel kills when the calling thread ends, however that happens.
///
/// The thread, not the process: so whoever starts such a command also waits for it.
pub(crate) fn mortal(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--"]).arg(program).stdin(Stdio::null());
    command
}

/// Waits, at most for `limit`; then kills and reaps the child.
pub(crate) fn wait(child: &mut Child, limit: Duration) -> Result<Ended, Error> {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait().trying("wait for a child")? {
            return Ok(status.into());
        }
        if start.elapsed() > limit {
            child.kill().trying("kill a child")?;
            child.wait().trying("wait for a child")?;
            return Ok(Ended::AtLimit);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Runs a short helper and gives its standard output if it went well.
pub(crate) fn output(command: &mut Command) -> Option<String> {
    let output = command.stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

pub(crate) fn create(path: &Path) -> Result<File, Error> {
    File::create(path).trying(format_args!("create {}", path.display()))
}

/// Whether a program is on the PATH, or where administrators keep theirs.
pub(crate) fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).chain(["/usr/sbin", "/sbin"].map(PathBuf::from)).any(|dir| dir.join(program).is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_becomes_the_shells_number() {
        let mut child = mortal("sh").args(["-c", "kill -TERM $$"]).spawn().unwrap();
        assert_eq!(wait(&mut child, Duration::from_secs(9)).unwrap(), Ended::With(143));
    }

    #[test]
    fn the_limit_ends_a_child() {
        let mut child = mortal("sleep").arg("60").spawn().unwrap();
        assert_eq!(wait(&mut child, Duration::from_millis(50)).unwrap(), Ended::AtLimit);
    }
}
