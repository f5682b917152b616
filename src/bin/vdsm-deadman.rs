//! The dead man: holds the deadline of a change that waits for a sign of life, and brings the host
//! back when its daemon dies, or hangs beyond the deadline.
//!
//! It has no opinion on networks: to bring the host back is to open the engine, as a daemon that
//! starts does. Where another daemon was quicker, it leaves that to it. What it is told is in
//! `src/deadman.rs`.

use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, getppid};
use vdsm_net::conf::{ConfError, Settings};
use vdsm_net::deadman::{OVER, READY};
use vdsm_net::engine::{Engine, OpenError};
use vdsm_net::transaction::chain;

/// A killed daemon is gone after this, or cannot be killed.
const DYING: Duration = Duration::from_secs(30);
/// How often the host is brought back, and the time between.
const ATTEMPTS: usize = 10;
const BETWEEN: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(5);

/// Holds the deadline of a change for vdsm-netd, which starts it.
#[derive(Parser)]
#[command(version, about)]
struct Arguments {
    /// The daemon's configuration file [default: /etc/vdsm/vdsm.conf, which may be missing]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The daemon, which must be our parent
    #[arg(long, value_name = "PID", required_unless_present = "recover")]
    daemon: Option<i32>,
    /// Wait for nobody: undo or finish what is left of a change, as after the end of a daemon
    #[arg(long, conflicts_with = "daemon")]
    recover: bool,
    /// Where the daemon's running configuration is, whatever the configuration says by now
    #[arg(long, value_name = "FOLDER")]
    run_dir: Option<PathBuf>,
    /// And what survives a reboot
    #[arg(long, value_name = "FOLDER")]
    lib_dir: Option<PathBuf>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    tracing_subscriber::fmt().with_ansi(false).with_writer(std::io::stderr).init();
    // Read now: somebody may spoil the file while we wait.
    let settings = match settings(&arguments) {
        Ok(settings) => settings,
        Err(error) => {
            tracing::error!("{}", chain(&error));
            return ExitCode::FAILURE;
        }
    };
    if let Some(daemon) = arguments.daemon {
        if let Err(error) = std::io::stdout().write_all(READY) {
            tracing::error!("the daemon does not hear that we are here: {error}");
        }
        let why = wait();
        if why == Why::Over {
            return ExitCode::SUCCESS;
        }
        tracing::warn!("vdsm-netd {}: its change is undone", if why == Why::Gone { "died" } else { "hangs" });
        end(Pid::from_raw(daemon));
    } else if !settings.run_dir.join("journal").exists() {
        return ExitCode::SUCCESS;
    }
    if bring_back(&settings) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
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
        // Rounded up, so that it does not spin through the last millisecond. What was said in time and
        // heard late counts, too.
        let rounded = if left.is_zero() { 0 } else { left.as_millis() + 1 };
        let timeout = PollTimeout::try_from(rounded).unwrap_or(PollTimeout::MAX);
        let mut fds = [PollFd::new(stdin.as_fd(), PollFlags::POLLIN)];
        match poll(&mut fds, timeout) {
            Ok(0) if left.is_zero() => return Why::Late,
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

fn settings(arguments: &Arguments) -> Result<Settings, ConfError> {
    let settings = Settings::named(arguments.config.as_deref())?;
    let run_dir = arguments.run_dir.clone().unwrap_or(settings.run_dir);
    let lib_dir = arguments.lib_dir.clone().unwrap_or(settings.lib_dir);
    Ok(Settings { run_dir, lib_dir, ..settings })
}

/// As a daemon does that starts; again and again where it does not succeed, for nobody else may.
/// Whether it did, or another daemon was quicker.
fn bring_back(settings: &Settings) -> bool {
    (0..ATTEMPTS).any(|attempt| {
        if attempt > 0 {
            std::thread::sleep(BETWEEN);
        }
        match Engine::open(settings) {
            Ok((engine, _watch)) => !engine.is_unfinished(),
            Err(error) => {
                tracing::error!("{}", chain(&error));
                matches!(error, OpenError::Lock { .. })
            }
        }
    })
}
