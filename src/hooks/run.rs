//! One script, run: no shell, nothing of ours in its hands, and an end in any case.

use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use super::How;

/// All of its environment besides `_hook_json`.
const ENVIRONMENT: [(&str, &str); 2] =
    [("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"), ("LANG", "C.UTF-8")];
/// How much of its standard error is kept, in bytes: the end, where the reason is.
const KEPT: usize = 4096;
/// A pipe holds this much, see pipe(7).
const PIPE: usize = 65536;
/// How long we wait for words before looking whether it has ended.
const TICK: Duration = Duration::from_millis(10);

/// What became of a script.
pub(super) struct Ended {
    /// Whether it was content.
    pub(super) outcome: Result<(), How>,
    /// The end of its standard error, trimmed.
    pub(super) stderr: String,
}

/// Runs a script to its end, or to the deadline, when its whole process group is killed.
///
/// A child that it leaves in the background stays, as it may be meant to; it has nobody to talk to
/// any more and nobody waits for it.
pub(super) fn run(script: &Path, json: &Path, timeout: Duration) -> Ended {
    let mut words = Words { from: None, tail: Vec::new() };
    let outcome = start(script, json).map_err(How::Run).and_then(|mut child| {
        words.from = child.stderr.take();
        let outcome = follow(&mut child, &mut words, timeout);
        words.rest();
        outcome
    });
    Ended { outcome, stderr: String::from_utf8_lossy(&words.tail).trim().to_owned() }
}

fn start(script: &Path, json: &Path) -> io::Result<Child> {
    let mut command = Command::new(script);
    command.env_clear().envs(ENVIRONMENT).env("_hook_json", json).current_dir("/");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).process_group(0);
    // SAFETY: one system call that touches no memory.
    unsafe { command.pre_exec(keep_descriptors) };
    command.spawn()
}

/// Our own descriptors are close-on-exec already; this is for those that a library forgot, and for
/// what the daemon was started with. Kernels before 5.11 do not know the call, and nothing is lost.
fn keep_descriptors() -> io::Result<()> {
    const FROM: libc::c_uint = 3;
    // SAFETY: see above; the flag closes nothing before the script runs.
    unsafe { libc::syscall(libc::SYS_close_range, FROM, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC) };
    Ok(())
}

fn follow(child: &mut Child, words: &mut Words, timeout: Duration) -> Result<(), How> {
    let end = Instant::now() + timeout;
    loop {
        if let Some(status) = child.try_wait().map_err(How::Run)? {
            return judge(status);
        }
        if Instant::now() >= end {
            // It is not reaped yet, so the number is still its own, and its group's.
            let _ = killpg(Pid::from_raw(child.id().cast_signed()), Signal::SIGKILL);
            let _ = child.kill();
            child.wait().map_err(How::Run)?;
            return Err(How::Deadline(timeout));
        }
        words.listen(TICK);
    }
}

fn judge(status: ExitStatus) -> Result<(), How> {
    match (status.code(), status.signal()) {
        (Some(0), _) => Ok(()),
        (Some(code), _) => Err(How::Code(code)),
        (None, signal) => Err(How::Signal(signal.unwrap_or_default())),
    }
}

/// What a script says on its standard error. All of it is read, lest the script wait for us.
struct Words {
    /// None once all who could write have closed it.
    from: Option<ChildStderr>,
    tail: Vec<u8>,
}

impl Words {
    /// Reads what comes within that time, at most a buffer full; whether there was something.
    fn listen(&mut self, within: Duration) -> bool {
        let Some(from) = &mut self.from else {
            thread::sleep(within);
            return false;
        };
        let mut fds = [PollFd::new(from.as_fd(), PollFlags::POLLIN)];
        let ready = poll(&mut fds, PollTimeout::try_from(within).unwrap_or(PollTimeout::ZERO)).unwrap_or(0);
        if ready == 0 {
            return false;
        }
        let mut buffer = [0; KEPT];
        match from.read(&mut buffer) {
            Ok(0) => self.from = None,
            Ok(count) => {
                self.tail.extend_from_slice(&buffer[..count]);
                self.tail.drain(..self.tail.len().saturating_sub(KEPT));
                return true;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => self.from = None,
        }
        false
    }

    /// What the script had said before it ended; a child in the background may go on for ever.
    fn rest(&mut self) {
        for _ in 0..PIPE / KEPT {
            if self.from.is_none() || !self.listen(Duration::ZERO) {
                return;
            }
        }
    }
}
