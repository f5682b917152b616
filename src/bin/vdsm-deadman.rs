//! The dead man: holds the deadline of a change that waits for a sign of life, and brings the host
//! back when its daemon dies, or hangs beyond the deadline.
//!
//! It has no opinion on networks: to bring the host back is to open the engine, as a daemon that
//! starts does. Where another daemon was quicker, it leaves that to it. What it is told is in
//! `src/deadman.rs`.

use std::io::Read;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, getppid};
use vdsm_net::conf::{Absent, DEFAULT_PATH, Settings};
use vdsm_net::deadman::OVER;
use vdsm_net::engine::Engine;
use vdsm_net::transaction::chain;

/// A killed daemon is gone after this, or cannot be killed.
const DYING: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(5);

/// Holds the deadline of a change for vdsm-netd, which starts it.
#[derive(Parser)]
#[command(version, about)]
struct Arguments {
    /// The daemon's configuration file [default: /etc/vdsm/vdsm.conf, which may be missing]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The daemon, which must be our parent
    #[arg(long, value_name = "PID")]
    daemon: i32,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let why = wait();
    if why == Why::Over {
        return ExitCode::SUCCESS;
    }
    tracing_subscriber::fmt().with_ansi(false).with_writer(std::io::stderr).init();
    tracing::warn!("vdsm-netd {}: its change is undone", if why == Why::Gone { "died" } else { "hangs" });
    end(Pid::from_raw(arguments.daemon));
    match bring_back(arguments.config.as_deref()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{}", chain(&*error));
            ExitCode::FAILURE
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Why {
    Over,
    Gone,
    Late,
}

/// Listens until the change is over, nobody speaks any more, or the time has come.
fn wait() -> Why {
    let (mut deadline, mut heard, stdin) = (Instant::now() + DYING, String::new(), std::io::stdin());
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Why::Late;
        }
        // Rounded up, so that it does not spin through the last millisecond.
        let timeout = PollTimeout::try_from(left.as_millis() + 1).unwrap_or(PollTimeout::MAX);
        let mut fds = [PollFd::new(stdin.as_fd(), PollFlags::POLLIN)];
        match poll(&mut fds, timeout) {
            Ok(0) | Err(nix::Error::EINTR) => continue,
            Ok(_) => {}
            Err(_) => return Why::Gone,
        }
        let mut bytes = [0; 256];
        match stdin.lock().read(&mut bytes) {
            Ok(0) | Err(_) => return Why::Gone,
            Ok(length) => heard.push_str(&String::from_utf8_lossy(&bytes[..length])),
        }
        while let Some((word, rest)) = heard.split_once('\n') {
            if word == OVER {
                return Why::Over;
            }
            if let Ok(milliseconds) = word.parse() {
                deadline = Instant::now() + Duration::from_millis(milliseconds);
            }
            heard = rest.to_owned();
        }
    }
}

/// While it is our parent its number is nobody else's.
fn end(daemon: Pid) {
    let end = Instant::now() + DYING;
    while getppid() == daemon && Instant::now() < end {
        let _ = kill(daemon, Signal::SIGKILL);
        std::thread::sleep(PAUSE);
    }
}

fn bring_back(config: Option<&Path>) -> Result<(), Box<dyn std::error::Error>> {
    let settings = match config {
        Some(path) => Settings::load(path, Absent::IsAnError)?,
        None => Settings::load(Path::new(DEFAULT_PATH), Absent::MeansDefaults)?,
    };
    Engine::open(&settings)?;
    Ok(())
}
