//! The daemon as a candidate: one vdsm-netd for all steps, asked over its socket.
//!
//! A step is one line to the socket and the line that answers it. The daemon's own files live in
//! a directory of the run, so nothing of the machine's is read or written.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;

use crate::client::{Client, judged};
use crate::clock::{CpuClock, Measured, Stopwatch, Who};
use crate::workload::{Step, Workload};

/// The longest start and end we wait for.
const START: Duration = Duration::from_secs(120);
const END: Duration = Duration::from_secs(10);
/// How often it is asked whether the daemon that starts is still alive.
const GLANCE: Duration = Duration::from_millis(100);

/// Where the daemon is, whether it is there or not.
pub(crate) fn program() -> Result<PathBuf, String> {
    let dir = match std::env::var_os("VDSM_BIN_DIR") {
        Some(dir) => PathBuf::from(dir),
        None => std::env::current_exe()
            .map_err(|e| format!("where am I: {e}"))?
            .parent()
            .map(Path::to_owned)
            .unwrap_or_default(),
    };
    Ok(dir.join("vdsm-netd"))
}

/// Fails where the daemon was not built.
pub(crate) fn is_here() -> Result<(), String> {
    let program = program()?;
    match program.exists() {
        true => Ok(()),
        false => Err(format!("{} is not there: build it, or set VDSM_BIN_DIR", program.display())),
    }
}

/// A running daemon and a connection to it.
pub(crate) struct Daemon {
    child: Child,
    client: Option<Client>,
    socket: PathBuf,
    log: PathBuf,
}

/// What it holds of the machine's memory, in KiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Memory {
    /// Now (`VmRSS`).
    pub(crate) now: u64,
    /// The most since its start, or since [`Daemon::forget_peak`] (`VmHWM`).
    pub(crate) peak: u64,
}

impl Daemon {
    /// Starts it and has it answer once.
    pub(crate) fn start(dir: &Path) -> Result<Daemon, String> {
        Self::start_timed(dir, CpuClock::Process).map(|(daemon, _)| daemon)
    }

    /// The same, and what it took from before the start to the answer.
    pub(crate) fn start_timed(dir: &Path, clock: CpuClock) -> Result<(Daemon, Measured), String> {
        let config = write_config(dir)?;
        let (log, bell) = (dir.join("log"), Bell::hang(dir)?);
        let program = program()?;
        let file = fs::File::create(&log).map_err(|e| format!("{}: {e}", log.display()))?;
        let mut command = Command::new(&program);
        command.arg("--config").arg(&config).env("NOTIFY_SOCKET", &bell.path);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(file);
        let watch = Stopwatch::before_birth(clock).map_err(|e| format!("the clock: {e}"))?;
        let child = command.spawn().map_err(|e| format!("{}: {e}", program.display()))?;
        let mut daemon = Daemon { child, client: None, socket: dir.join(SOCKET), log };
        bell.rung(&mut daemon.child).map_err(|error| daemon.explained(error))?;
        daemon.client = Some(daemon.connect()?);
        daemon.ping()?;
        let took = watch.stop_of(daemon.who()).map_err(|e| format!("the clock: {e}"))?;
        Ok((daemon, took))
    }

    /// Does a step. The answer is read by us after the clock has stopped.
    pub(crate) fn step(&mut self, step: Step, workload: Workload, clock: CpuClock) -> Result<Measured, String> {
        let line = self.client()?.line("Host.setupNetworks", workload.request(step));
        let watch = Stopwatch::start(clock, self.who()).map_err(|e| format!("the clock: {e}"))?;
        let answer = self.client()?.ask(&line).map_err(|e| self.explained(e.to_string()))?;
        let measured = watch.stop().map_err(|e| format!("the clock: {e}"))?;
        judged(&answer).map(|()| measured).map_err(|error| self.explained(error))
    }

    /// Another connection.
    pub(crate) fn connect(&self) -> Result<Client, String> {
        Client::connect(&self.socket).map_err(|error| self.explained(error))
    }

    /// Whose CPU time a step is.
    pub(crate) fn who(&self) -> Who {
        Who::Process(self.pid())
    }

    /// None of a daemon that is gone.
    pub(crate) fn memory(&self) -> Option<Memory> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).ok()?;
        let kib = |key: &str| -> Option<u64> {
            status.lines().find_map(|line| line.strip_prefix(key))?.split_whitespace().next()?.parse().ok()
        };
        Some(Memory { now: kib("VmRSS:")?, peak: kib("VmHWM:")? })
    }

    /// From now on the most memory it had is counted anew (proc_pid_clear_refs(5)).
    pub(crate) fn forget_peak(&self) -> Result<(), String> {
        let path = format!("/proc/{}/clear_refs", self.pid());
        fs::write(&path, "5").map_err(|e| format!("{path}: {e}"))
    }

    /// How many files it has open.
    pub(crate) fn open_files(&self) -> Option<usize> {
        Some(fs::read_dir(format!("/proc/{}/fd", self.pid())).ok()?.count())
    }

    /// The end of its log after `error`.
    pub(crate) fn explained(&self, error: String) -> String {
        format!("{error}\n{}", tail(&self.log))
    }

    fn client(&mut self) -> Result<&mut Client, String> {
        self.client.as_mut().ok_or_else(|| "vdsm-netd has not started".into())
    }

    fn ping(&mut self) -> Result<(), String> {
        let pinged = self.client()?.call("Host.ping2", json!({}));
        pinged.map_err(|error| self.explained(error))
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().cast_signed())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let asked = Instant::now();
        // It may be gone already, which is what we want.
        let _ = kill(self.pid(), Signal::SIGTERM);
        while asked.elapsed() < END {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        eprintln!("vdsm-bench: vdsm-netd did not end within {END:?} of SIGTERM");
        drop((self.child.kill(), self.child.wait()));
    }
}

const SOCKET: &str = "netd.sock";

/// The daemon's settings in its directory; where they are.
pub(crate) fn write_config(dir: &Path) -> Result<PathBuf, String> {
    let path = dir.join("vdsm.conf");
    let text = format!(
        "[vars]\nnet_configurator = iproute2\nnet_persistence = unified\nrun_dir = {0}/run\nlib_dir = {0}/lib\n\
         socket = {0}/{SOCKET}\ngroup = root\nfake_nics = dummy_*,veth_*,ifb_*\n",
        dir.display()
    );
    let made = ["run", "lib"].iter().try_for_each(|sub| fs::create_dir_all(dir.join(sub)));
    made.and_then(|()| fs::write(&path, text)).map_err(|e| format!("{}: {e}", path.display()))?;
    Ok(path)
}

/// Where the daemon says that it listens, as it does to systemd (sd_notify(3)): asking it again and
/// again would take its time, and tell ours.
struct Bell {
    socket: UnixDatagram,
    path: PathBuf,
}

impl Bell {
    fn hang(dir: &Path) -> Result<Bell, String> {
        let path = dir.join("ready.sock");
        // Of a daemon before this one.
        let _ = fs::remove_file(&path);
        let socket = UnixDatagram::bind(&path).and_then(|socket| {
            socket.set_read_timeout(Some(GLANCE))?;
            Ok(socket)
        });
        Ok(Bell { socket: socket.map_err(|e| format!("{}: {e}", path.display()))?, path })
    }

    fn rung(&self, child: &mut Child) -> Result<(), String> {
        let begun = Instant::now();
        let mut said = [0; 4096];
        while begun.elapsed() < START {
            match self.socket.recv(&mut said) {
                Ok(length) if said[..length].starts_with(b"READY=1") => return Ok(()),
                Ok(_) => {}
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
                Err(error) => return Err(format!("{}: {error}", self.path.display())),
            }
            if let Ok(Some(status)) = child.try_wait() {
                return Err(format!("vdsm-netd ended at its start: {status}"));
            }
        }
        Err(format!("vdsm-netd does not listen after {START:?}"))
    }
}

/// The end of the daemon's log.
fn tail(log: &Path) -> String {
    let text = fs::read(log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(10)..].join("\n")
}
