//! Somebody who holds a change's deadline in our place, should we die or hang while it waits for a
//! sign of life: the process `vdsm-deadman`, started with the change and told when it is over.
//!
//! What it is told comes through a pipe: lines of milliseconds, "from now on, do without me after so
//! many", and [`OVER`]. A pipe that ends without it says that we are no more. What it does then is
//! in `src/bin/vdsm-deadman.rs`, and is what a daemon does that starts.

use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

/// The last word: the change has ended well or was undone.
pub const OVER: &str = "over";
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
    config: Option<PathBuf>,
}

impl Launcher {
    /// The program beside ours, with this configuration file.
    pub fn new(config: Option<PathBuf>) -> Launcher {
        let ours = std::env::current_exe().unwrap_or_else(|_| "/usr/sbin/vdsm-netd".into());
        Launcher { program: ours.with_file_name("vdsm-deadman"), config }
    }

    /// Starts one; from now on it acts when we die, or are silent for `within`.
    ///
    /// # Errors
    /// If there is no such program, or no room for a process.
    pub fn arm(&self, within: Duration) -> io::Result<DeadMan> {
        let mut command = Command::new(&self.program);
        if let Some(config) = &self.config {
            command.arg("--config").arg(config);
        }
        command.arg("--daemon").arg(std::process::id().to_string());
        command.stdin(Stdio::piped()).stdout(Stdio::null()).current_dir("/");
        // SAFETY: one system call, between fork and exec. What ends our session does not end it.
        unsafe { command.pre_exec(|| nix::unistd::setsid().map(drop).map_err(Into::into)) };
        let mut child = command.spawn()?;
        let words = child.stdin.take().ok_or(io::ErrorKind::BrokenPipe)?;
        let mut dead_man = DeadMan { child, words };
        dead_man.within(within);
        Ok(dead_man)
    }
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
        let launcher = Launcher { program, config: None };
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
        let (folder, mut dead_man) = armed("cat > \"$(dirname \"$0\")/heard\"");
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
        let (_folder, dead_man) = armed("exec sleep 600");
        let start = Instant::now();
        dead_man.disarm();
        assert!(start.elapsed() < Duration::from_secs(60), "{:?}", start.elapsed());
    }

    #[test]
    fn steps_and_a_slow_kernel_have_their_time() {
        let answer = Duration::from_secs(30);
        assert_eq!(longest(0, answer), Duration::from_secs(40));
        assert_eq!(longest(1000, answer), Duration::from_secs(90));
    }
}
