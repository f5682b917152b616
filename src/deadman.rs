//! Somebody who holds a change's deadline in our place, should we die or hang while it waits for a
//! sign of life: the process `vdsm-deadman`, started with the change and told when it is over.
//!
//! What it is told comes through a pipe: lines of milliseconds, "from now on, do without me after so
//! many", and [`OVER`]. A pipe that ends without it says that we are no more. What it does then is
//! in `src/bin/vdsm-deadman.rs`, and is what a daemon does that starts.

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::conf::Settings;
use crate::leases::program;

/// The last word: the change has ended well or was undone.
pub const OVER: &str = "over";
/// What it says once it is ready.
pub const READY: &[u8; 6] = b"ready\n";
/// It is ready within this.
const STARTING: Duration = Duration::from_secs(10);
/// Between the deadline that a caller was told and the one of ours.
pub const MARGIN: Duration = Duration::from_secs(1);
/// What a change takes at most besides waiting for the kernel, and what each of its steps adds.
const CHANGING: Duration = Duration::from_secs(10);
const STEP: Duration = Duration::from_millis(50);

/// Who is not done with a change of so many steps after this hangs. No answer of the kernel takes
/// longer than `answer`.
pub fn longest(steps: usize, answer: Duration) -> Duration {
    CHANGING + answer + STEP * u32::try_from(steps).unwrap_or(u32::MAX)
}

/// It ends within this once it is told to, and is looked for so often.
const ENDING: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(1);

/// How one is started.
#[derive(Debug, Clone)]
pub struct Launcher {
    program: PathBuf,
    arguments: Vec<OsString>,
}

impl Launcher {
    /// The program beside ours, with this configuration file and the folders that we use.
    pub fn new(config: Option<&Path>, settings: &Settings) -> Launcher {
        let config = config.map(|path| ["--config".into(), path.into()]);
        let folders = [("--run-dir", &settings.run_dir), ("--lib-dir", &settings.lib_dir)];
        let folders = folders.into_iter().flat_map(|(key, path)| [key.into(), path.into()]);
        let arguments = config.into_iter().flatten().chain(folders).collect();
        Launcher { program: program("vdsm-deadman"), arguments }
    }

    /// Starts one; from now on it acts when we die, or are silent for `within`.
    ///
    /// # Errors
    /// If there is no such program, or no room for a process.
    pub fn arm(&self, within: Duration) -> io::Result<DeadMan> {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).arg("--daemon").arg(std::process::id().to_string());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).current_dir("/");
        // SAFETY: one system call, between fork and exec. What ends our session does not end it.
        unsafe { command.pre_exec(|| nix::unistd::setsid().map(drop).map_err(Into::into)) };
        let mut child = command.spawn()?;
        let words = child.stdin.take().ok_or(io::ErrorKind::BrokenPipe)?;
        let answer = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
        let mut dead_man = DeadMan { child, words };
        dead_man.within(within);
        match is_ready(answer) {
            Ok(()) => Ok(dead_man),
            Err(error) => {
                dead_man.disarm();
                Err(error)
            }
        }
    }
}

/// Waits for the word that it has all it needs: one that cannot read its configuration holds nothing.
fn is_ready(mut answer: ChildStdout) -> io::Result<()> {
    let mut fds = [PollFd::new(answer.as_fd(), PollFlags::POLLIN)];
    let patience = PollTimeout::try_from(STARTING.as_millis()).unwrap_or(PollTimeout::MAX);
    if poll(&mut fds, patience)? == 0 {
        return Err(io::ErrorKind::TimedOut.into());
    }
    let mut word = [0; READY.len()];
    answer.read_exact(&mut word)?;
    if word == *READY { Ok(()) } else { Err(io::ErrorKind::InvalidData.into()) }
}

/// One that holds the deadline of a change. To drop it is to have it act.
#[derive(Debug)]
pub struct DeadMan {
    child: Child,
    words: ChildStdin,
}

impl DeadMan {
    /// From now on it waits so long.
    pub fn within(&mut self, within: Duration) {
        self.say(&within.as_millis().to_string());
    }

    /// The change is over, and so is it: by itself, or else it is killed, lest it act later.
    pub fn disarm(mut self) {
        self.say(OVER);
        let end = Instant::now() + ENDING;
        while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < end {
            std::thread::sleep(PAUSE);
        }
        if matches!(self.child.try_wait(), Ok(None)) {
            tracing::warn!("the dead man does not end by itself");
            let _ = self.child.kill();
        }
        if let Err(error) = self.child.wait() {
            tracing::warn!("the dead man cannot be waited for: {error}");
        }
    }

    /// Should it be dead itself, there is nothing to be done about it: the change goes on without.
    fn say(&mut self, word: &str) {
        if let Err(error) = self.words.write_all(format!("{word}\n").as_bytes()) {
            tracing::warn!("the dead man does not hear: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// A dead man of the test's making.
    fn armed(script: &str) -> (tempfile::TempDir, DeadMan) {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("vdsm-deadman");
        std::fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
        let launcher = Launcher { program, arguments: Vec::new() };
        loop {
            match launcher.arm(Duration::from_millis(1500)) {
                // Another test's fork has the script open for writing, for a moment.
                Err(error) if error.kind() == io::ErrorKind::ExecutableFileBusy => {}
                armed => return (folder, armed.unwrap()),
            }
        }
    }

    #[test]
    fn it_hears_how_long_to_wait_and_that_it_is_over() {
        let (folder, mut dead_man) = armed("echo ready; cat > \"$(dirname \"$0\")/heard\"");
        dead_man.within(Duration::from_secs(7));
        // `cat` ends with the pipe, not with the last word.
        dead_man.say(OVER);
        let DeadMan { mut child, words } = dead_man;
        drop(words);
        child.wait().unwrap();
        assert_eq!(std::fs::read_to_string(folder.path().join("heard")).unwrap(), "1500\n7000\nover\n");
    }

    #[test]
    fn one_that_does_not_end_is_killed_and_nobody_waits_for_it_for_ever() {
        let (_folder, dead_man) = armed("echo ready; exec sleep 600");
        let start = Instant::now();
        dead_man.disarm();
        assert!(start.elapsed() < Duration::from_secs(60), "{:?}", start.elapsed());
    }

    #[test]
    fn one_that_is_not_ready_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let arm = |program: &str| {
            let launcher = Launcher { program: folder.path().join(program), arguments: Vec::new() };
            launcher.arm(Duration::from_secs(60)).map(|_| ()).unwrap_err().kind()
        };
        assert_eq!(arm("nothing"), io::ErrorKind::NotFound);
        std::os::unix::fs::symlink("/bin/false", folder.path().join("fails")).unwrap();
        assert_eq!(arm("fails"), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn steps_and_a_slow_kernel_have_their_time() {
        let answer = Duration::from_secs(30);
        assert_eq!(longest(0, answer), Duration::from_secs(40));
        assert_eq!(longest(1000, answer), Duration::from_secs(90));
    }
}
