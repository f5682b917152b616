//! The daemon as a candidate: one vdsm-netd for all steps, asked over its socket.
//!
//! A step is one line to the socket and the line that answers it. The daemon's own files live in
//! a directory of the run, so nothing of the machine's is read or written.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use crate::clock::{CpuClock, Measured, Stopwatch, Who};
use crate::workload::{Step, Workload};

/// The longest answer or start we wait for.
const PATIENCE: Duration = Duration::from_secs(600);
const START: Duration = Duration::from_secs(20);
const END: Duration = Duration::from_secs(10);

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

/// A running daemon and a connection to it.
pub(crate) struct Daemon {
    child: Child,
    stream: BufReader<UnixStream>,
    log: PathBuf,
    sent: u64,
}

impl Daemon {
    /// Starts it and has it answer once.
    pub(crate) fn start(dir: &Path) -> Result<Daemon, String> {
        let (config, log, socket) = (dir.join("vdsm.conf"), dir.join("log"), dir.join("netd.sock"));
        write_config(&config, dir, &socket)?;
        let program = program()?;
        let file = fs::File::create(&log).map_err(|e| format!("{}: {e}", log.display()))?;
        let mut child = Command::new(&program)
            .arg("--config")
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(file)
            .spawn()
            .map_err(|e| format!("{}: {e}", program.display()))?;
        let stream = match connected(&socket, &mut child) {
            Ok(stream) => BufReader::new(stream),
            Err(error) => {
                // Nothing more can be done for a child that does not even listen.
                drop((child.kill(), child.wait()));
                return Err(format!("{error}\n{}", tail(&log)));
            }
        };
        let mut daemon = Daemon { child, stream, log, sent: 0 };
        let line = daemon.line("Host.ping2", json!({}));
        let answer = daemon.ask(&line)?;
        daemon.judged(&answer)?;
        Ok(daemon)
    }

    /// Does a step. The answer is read by us after the clock has stopped.
    pub(crate) fn step(&mut self, step: Step, workload: Workload, clock: CpuClock) -> Result<Measured, String> {
        let line = self.line("Host.setupNetworks", workload.request(step));
        let watch = Stopwatch::start(clock, self.who()).map_err(|e| format!("the clock: {e}"))?;
        let answer = self.ask(&line)?;
        let measured = watch.stop().map_err(|e| format!("the clock: {e}"))?;
        self.judged(&answer).map(|()| measured)
    }

    /// Whose CPU time a step is.
    pub(crate) fn who(&self) -> Who {
        Who::Process(self.pid())
    }

    /// The most memory it ever had, in KiB.
    pub(crate) fn peak_kib(&self) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).ok()?;
        status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?.split_whitespace().next()?.parse().ok()
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().cast_signed())
    }

    fn line(&mut self, method: &str, params: Value) -> String {
        self.sent += 1;
        format!("{}\n", json!({"jsonrpc": "2.0", "method": method, "params": params, "id": self.sent}))
    }

    fn ask(&mut self, line: &str) -> Result<String, String> {
        let mut answer = String::new();
        let asked = self.stream.get_mut().write_all(line.as_bytes()).and_then(|()| self.stream.read_line(&mut answer));
        match asked {
            Ok(0) => Err(format!("vdsm-netd closed the connection\n{}", tail(&self.log))),
            Ok(_) => Ok(answer),
            Err(error) => Err(format!("vdsm-netd: {error}\n{}", tail(&self.log))),
        }
    }

    /// An answer is good if it is a result, and one whose status, where it has one, is 0.
    fn judged(&self, answer: &str) -> Result<(), String> {
        let value: Value =
            serde_json::from_str(answer).map_err(|e| format!("vdsm-netd answered no JSON: {e}: {answer}"))?;
        let code = &value["result"]["status"]["code"];
        let good = value.get("error").is_none_or(Value::is_null)
            && value.get("result").is_some()
            && (code.is_null() || *code == 0);
        let short: String = answer.trim().chars().take(2000).collect();
        if good { Ok(()) } else { Err(format!("vdsm-netd answered {short}\n{}", tail(&self.log))) }
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

fn write_config(path: &Path, dir: &Path, socket: &Path) -> Result<(), String> {
    let text = format!(
        "[vars]\nnet_configurator = iproute2\nnet_persistence = unified\nrun_dir = {0}/run\nlib_dir = {0}/lib\n\
         socket = {1}\ngroup = root\nfake_nics = dummy_*,veth_*\n",
        dir.display(),
        socket.display()
    );
    let made = ["run", "lib"].iter().try_for_each(|sub| fs::create_dir_all(dir.join(sub)));
    made.and_then(|()| fs::write(path, text)).map_err(|e| format!("{}: {e}", path.display()))
}

/// Connects as soon as the daemon listens.
fn connected(socket: &Path, child: &mut Child) -> Result<UnixStream, String> {
    let begun = Instant::now();
    loop {
        if let Ok(stream) = UnixStream::connect(socket) {
            stream.set_read_timeout(Some(PATIENCE)).map_err(|e| format!("{}: {e}", socket.display()))?;
            return Ok(stream);
        }
        if let Ok(Some(status)) = child.try_wait() {
            return Err(format!("vdsm-netd ended at its start: {status}"));
        }
        if begun.elapsed() > START {
            return Err(format!("vdsm-netd does not listen after {START:?}"));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The end of the daemon's log.
fn tail(log: &Path) -> String {
    let text = fs::read(log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(10)..].join("\n")
}
