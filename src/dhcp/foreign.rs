//! Other people's DHCP clients in our network namespace: who serves a device, ended without giving its
//! lease back, started again with its own words.
//!
//! Finding is reading /proc, and judging a command line is pure. When to end one is the caller's.

mod arguments;

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use vdsm_model::name::DeviceName;

use crate::types::Family;
use arguments::Read;

/// How long a client may take to end by itself.
const PATIENCE: Duration = Duration::from_secs(3);
const LOOK: Duration = Duration::from_millis(10);

/// Which program it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// ISC's.
    Dhclient,
    /// Roy Marples'.
    Dhcpcd,
    /// Busybox' and its fork's.
    Udhcpc,
}

/// Which devices it serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Serves {
    /// These.
    Devices(Vec<DeviceName>),
    /// Every device there is, now and later.
    All,
}

impl Serves {
    /// Whether that device is among them.
    pub fn has(&self, device: DeviceName) -> bool {
        match self {
            Serves::Devices(devices) => devices.contains(&device),
            Serves::All => true,
        }
    }
}

/// Somebody else's client, as it was when it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Foreign {
    /// Its process.
    pub pid: i32,
    /// The program.
    pub kind: Kind,
    /// What it serves.
    pub serves: Serves,
    /// The protocols it speaks.
    pub families: Vec<Family>,
    /// The program's file, an absolute path.
    pub exe: PathBuf,
    /// Its command line, its name first. Of a dhcpcd only the devices and the protocols can be told.
    pub argv: Vec<OsString>,
    /// The folder relative names in it are meant from.
    pub cwd: PathBuf,
    /// The file with its pid, if it is said, or where the program keeps it by itself.
    pub pid_files: Vec<PathBuf>,
    /// In clock ticks since boot: another process with the same pid has another one.
    started: u64,
}

/// Why a client could not be ended or started.
#[derive(Debug, thiserror::Error)]
pub enum ForeignError {
    /// The pid belongs to somebody else by now.
    #[error("process {pid} is not the DHCP client any more")]
    Gone {
        /// Its former pid.
        pid: i32,
    },
    /// The kernel refuses.
    #[error("cannot end process {pid}")]
    Kill {
        /// The pid.
        pid: i32,
        /// Why.
        source: io::Error,
    },
    /// It lives on after SIGKILL, in a system call that does not end.
    #[error("process {pid} does not end")]
    Stays {
        /// The pid.
        pid: i32,
    },
    /// It cannot be started.
    #[error("cannot start {exe}")]
    Start {
        /// The program.
        exe: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// The clients of others that serve `device`, in the network namespace of this thread.
///
/// # Errors
/// Only when /proc cannot be read; processes that go meanwhile are passed over.
pub fn find(device: DeviceName) -> io::Result<Vec<Foreign>> {
    Ok(all()?.into_iter().filter(|foreign| foreign.serves.has(device)).collect())
}

/// All clients of others in the network namespace of this thread.
///
/// # Errors
/// Those of [`find`].
pub fn all() -> io::Result<Vec<Foreign>> {
    let ours = fs::read_link("/proc/thread-self/ns/net")?;
    let pids = fs::read_dir("/proc")?.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let here = |pid: &i32| fs::read_link(format!("/proc/{pid}/ns/net")).is_ok_and(|theirs| theirs == ours);
    let mut found: Vec<Foreign> = pids.filter(|pid| may_be(*pid) && here(pid)).filter_map(Foreign::read).collect();
    found.sort_by_key(|foreign| foreign.pid);
    // One that is about to become the script of its parent is no client of its own.
    let pids: Vec<i32> = found.iter().map(|foreign| foreign.pid).collect();
    found.retain(|foreign| stat(foreign.pid).is_none_or(|stat| !pids.contains(&stat.parent)));
    Ok(found)
}

/// Cheap, for the thousands of processes that have nothing to do with us.
fn may_be(pid: i32) -> bool {
    let comm = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    ["dhclient", "dhcpcd", "udhcpc", "busybox"].iter().any(|name| comm.starts_with(name))
}

impl Foreign {
    fn read(pid: i32) -> Option<Foreign> {
        let folder = PathBuf::from(format!("/proc/{pid}"));
        let started = started(pid)?;
        let cmdline = fs::read(folder.join("cmdline")).ok()?;
        let mut argv: Vec<OsString> = cmdline
            .strip_suffix(b"\0")
            .unwrap_or(&cmdline)
            .split(|byte| *byte == 0)
            .map(|word| OsString::from_vec(word.to_vec()))
            .collect();
        let exe = fs::read_link(folder.join("exe")).ok()?;
        let cwd = fs::read_link(folder.join("cwd")).unwrap_or_else(|_| PathBuf::from("/"));
        let words: Vec<String> = argv.iter().map(|word| word.to_string_lossy().into_owned()).collect();
        let read = arguments::read(&words)?;
        if words[0].contains(": ") {
            argv = arguments::respelled(&read);
        }
        let Read { kind, serves, families, pid_files } = read;
        let pid_files = pid_files.into_iter().map(|file| cwd.join(file)).collect();
        Some(Foreign { pid, kind, serves, families, exe, argv, cwd, pid_files, started })
    }

    /// Ends it and removes its pid file. Its lease is not given back, so that the server keeps the
    /// address for whoever asks next with this MAC. What it configured may stay or go.
    ///
    /// As tried: dhclient keeps lease and addresses on SIGTERM, and so does udhcpc unless it was started
    /// with `-R`. dhcpcd removes its addresses on SIGTERM, and releases where its configuration says
    /// `release`; it and such a udhcpc are killed, with the helpers that dhcpcd would leave behind.
    ///
    /// # Errors
    /// [`ForeignError`]; one that has ended by itself is [`ForeignError::Gone`].
    pub fn stop(&self) -> Result<(), ForeignError> {
        if !self.is_same() {
            return Err(ForeignError::Gone { pid: self.pid });
        }
        let gentle = match self.kind {
            Kind::Dhclient => true,
            Kind::Dhcpcd => false,
            Kind::Udhcpc => !arguments::releases(&self.argv),
        };
        let family = descendants(self.pid, self.started);
        if gentle {
            ends_on(self.pid, self.started, Signal::SIGTERM)?;
        }
        // Also a script of its that still runs, and would set what nobody keeps any more.
        for (pid, started) in &family {
            if !ends_on(*pid, *started, Signal::SIGKILL)? {
                return Err(ForeignError::Stays { pid: *pid });
            }
        }
        for file in &self.pid_files {
            // Only its own: the path was the program's default, or another one may have taken it.
            let text = fs::read_to_string(file).unwrap_or_default();
            if text.trim() == self.pid.to_string()
                && let Err(error) = fs::remove_file(file)
            {
                tracing::warn!(%error, ?file, "the pid file of an ended DHCP client stays");
            }
        }
        Ok(())
    }

    /// Whether the process is still the one that was found.
    fn is_same(&self) -> bool {
        started(self.pid) == Some(self.started)
    }
}

/// Starts one again with its own command line, in its folder and a session of its own.
///
/// # Errors
/// [`ForeignError::Start`].
pub fn start(exe: &Path, argv: &[OsString], cwd: &Path) -> Result<(), ForeignError> {
    let failed = |source| ForeignError::Start { exe: exe.to_owned(), source };
    let folder = if cwd.is_dir() { cwd } else { Path::new("/") };
    let mut command = Command::new(exe);
    if let Some((name, rest)) = argv.split_first() {
        // Busybox goes by the name it is called.
        command.arg0(name).args(rest);
    }
    command.current_dir(folder).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    // SAFETY: one system call, between fork and exec.
    unsafe { command.pre_exec(|| nix::unistd::setsid().map(drop).map_err(Into::into)) };
    let mut child = command.spawn().map_err(failed)?;
    // Most go to the background by themselves; whoever ends must not stay as a zombie.
    thread::spawn(move || child.wait());
    Ok(())
}

fn ends_on(pid: i32, since: u64, signal: Signal) -> Result<bool, ForeignError> {
    if started(pid) != Some(since) {
        return Ok(true);
    }
    match kill(Pid::from_raw(pid), signal) {
        Ok(()) => {}
        Err(Errno::ESRCH) => return Ok(true),
        Err(errno) => return Err(ForeignError::Kill { pid, source: errno.into() }),
    }
    let end = Instant::now() + PATIENCE;
    while started(pid) == Some(since) {
        if Instant::now() > end {
            return Ok(false);
        }
        thread::sleep(LOOK);
    }
    Ok(true)
}

/// A process and all below it, itself first.
fn descendants(pid: i32, since: u64) -> Vec<(i32, u64)> {
    let mut found = vec![(pid, since)];
    let mut at = 0;
    while let Some((parent, _)) = found.get(at).copied() {
        let children = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).unwrap_or_default();
        let children = children.split_whitespace().filter_map(|word| word.parse().ok());
        found.extend(children.filter_map(|child| Some((child, started(child)?))));
        at += 1;
    }
    found
}

/// When the process started; nothing for one that is gone, or a zombie.
fn started(pid: i32) -> Option<u64> {
    stat(pid).map(|stat| stat.started)
}

struct Stat {
    parent: i32,
    started: u64,
}

/// Nothing for a process that is gone, or a zombie.
fn stat(pid: i32) -> Option<Stat> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // Behind the name, which may hold anything: the state is the 3rd field, the parent the 4th, the
    // start the 22nd (proc(5)).
    let mut fields = stat.rsplit_once(") ")?.1.split(' ');
    let (state, parent) = (fields.next()?, fields.next()?.parse().ok()?);
    let started = fields.nth(17)?.parse().ok()?;
    (!matches!(state, "Z" | "X")).then_some(Stat { parent, started })
}
