//! The heavy sandbox: a kernel of our own, with every kind of link.
//!
//! Debian's user-mode-linux runs the command as root. The machine's root file system
//! is its read-only lower layer and a tmpfs the upper one, so all that the command
//! writes is gone afterwards, but under the job's shared directories. Inside works
//! `uml-init.sh`. Nothing here installs anything: that is in `packages.rs`.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::copier::follow;
use crate::error::{Error, Trying};
use crate::process::{Ended, create, mortal, output, wait};
use crate::sandbox::{Job, is_shell_name, quoted};

const INIT: &str = include_str!("uml-init.sh");

/// Enough for all we run; the machine gives it page by page.
pub(crate) const DEFAULT_MEMORY: &str = "1G";

/// Boots a UML with `memory` and runs the job in it; `stdin` is what it may read.
pub(crate) fn run(job: &Job, memory: &str, stdin: &[u8]) -> Result<Ended, Error> {
    let directory = JobDirectory::make()?;
    let at = |name: &str| directory.path.join(name);
    fs::write(at("init"), INIT)
        .and_then(|()| fs::set_permissions(at("init"), fs::Permissions::from_mode(0o755)))
        .and_then(|()| fs::write(at("command"), script(job)))
        .and_then(|()| fs::write(at("shared"), shared(job)?))
        .and_then(|()| fs::write(at("stdin"), stdin))
        .trying("prepare a job for UML")?;
    create(&at("stdout"))?;
    create(&at("stderr"))?;

    let finished = AtomicBool::new(false);
    let (ended, copied) = std::thread::scope(|scope| {
        let stdout = scope.spawn(|| follow(&at("stdout"), &job.stdout, false, &finished));
        let stderr = scope.spawn(|| follow(&at("stderr"), &job.stderr, true, &finished));
        let ended = kernel(job, memory, &directory.path)
            .and_then(|mut command| command.spawn().trying("start user-mode-linux"))
            .and_then(|mut child| wait(&mut child, job.limit));
        finished.store(true, Ordering::Release);
        let copied = [stdout.join(), stderr.join()];
        (ended, copied)
    });
    for copy in copied {
        copy.unwrap_or_else(|_| Err(Error::Broken("a copier of UML's output panicked".into())))?;
    }
    // A written code counts even if the kernel was killed on its way out.
    match (fs::read_to_string(at("code")).map(|text| text.trim().parse::<u8>()), ended?) {
        (Ok(Ok(code)), _) => Ok(Ended::With(code)),
        (_, Ended::AtLimit) => Ok(Ended::AtLimit),
        (_, Ended::With(code)) => Err(no_code(code, &directory.path)),
    }
}

/// The command that boots it, in a PID name space: when the limit hits, or we are
/// killed, every process that UML made on the host dies with it.
fn kernel(job: &Job, memory: &str, directory: &Path) -> Result<Command, Error> {
    let with = |key: &str, name: &str| {
        let mut text = std::ffi::OsString::from(key);
        text.push(if name.is_empty() { directory.to_path_buf() } else { directory.join(name) });
        text
    };
    let log = create(&directory.join("kernel"))?;
    let log2 = log.try_clone().trying("share a file")?;
    let mut command = mortal("unshare");
    command.args(["--fork", "--pid", "--kill-child", "--mount-proc"]);
    // A UML that panics sends SIGTERM to its process group and then SIGABRT to itself
    // until it dies, which it never does as process 1. So a shell is process 1, and
    // the group is UML's own.
    command.args(["sh", "-c", "setsid \"$@\"; exit $?", "uml"]);
    // On two CPUs its processes wake each other across them: system calls take
    // three to five times as long.
    if let Some(cpu) = job.cpu {
        command.args(["taskset", "-c", &cpu.to_string()]);
    }
    // Measuring the best way to compute RAID 6 would be half of the boot.
    command
        .args(["linux.uml", "initcall_blacklist=raid6_select_algo"])
        .args([&format!("mem={memory}"), "umid=u", "root=/dev/root", "rootfstype=hostfs"])
        .args(["rootflags=/", "ro", "quiet", "noreboot", "panic=-1", "con=null", "con0=null,fd:2"])
        .args(&job.kernel)
        .args([with("uml_dir=", "uml"), with("init=", "init"), with("vdsmjob=", "")])
        .stdout(log)
        .stderr(log2);
    match memory_directory(memory) {
        Some(path) => command.env("TMPDIR", path),
        None => command.env_remove("TMPDIR"),
    };
    Ok(command)
}

/// UML keeps its memory in a file it may execute, on /dev/shm if that will do.
fn memory_directory(memory: &str) -> Option<PathBuf> {
    let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
    let free = output(Command::new("df").args(["--output=avail", "-B1", "/dev/shm"]))
        .and_then(|table| table.lines().nth(1)?.trim().parse().ok());
    (!shm_will_do(&mounts, free, bytes(memory))).then(std::env::temp_dir)
}

fn shm_will_do(mounts: &str, free: Option<u64>, needed: u64) -> bool {
    let options = mounts.lines().rev().find_map(|line| {
        let mut words = line.split(' ').skip(1);
        (words.next()? == "/dev/shm").then(|| words.nth(1).unwrap_or_default())
    });
    options.is_some_and(|options| !options.split(',').any(|option| option == "noexec"))
        && free.is_some_and(|free| free >= needed)
}

/// `512M` as a number of bytes; the kernel itself judges a text we cannot read.
fn bytes(memory: &str) -> u64 {
    let digits = memory.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match memory[digits.len()..].to_ascii_uppercase().as_str() {
        "K" => 1 << 10,
        "M" => 1 << 20,
        "G" => 1 << 30,
        _ => 1,
    };
    digits.parse::<u64>().unwrap_or(0).saturating_mul(unit)
}

/// The job as a shell script: our environment, the job's, its directory, its words.
fn script(job: &Job) -> Vec<u8> {
    const NOT_OURS: [&str; 4] = ["SHLVL", "OLDPWD", "PWD", "_"];
    let mut script = Vec::new();
    let inherited = std::env::vars_os().filter(|(name, _)| !NOT_OURS.iter().any(|not| name == not));
    for (name, value) in inherited.chain(job.environment.iter().cloned()) {
        if is_shell_name(&name) {
            script.extend([b"export ", name.as_bytes(), b"=", &quoted(&value), b"\n"].concat());
        }
    }
    script.extend([b"cd ", &quoted(job.directory.as_os_str())[..], b" || cd /\nexec"].concat());
    for word in &job.command {
        script.push(b' ');
        script.extend(quoted(word));
    }
    script.push(b'\n');
    script
}

/// The shared directories, one on a line, as the kernel in there will find them.
fn shared(job: &Job) -> std::io::Result<Vec<u8>> {
    let mut lines = Vec::new();
    for path in &job.shared {
        lines.extend(fs::canonicalize(path)?.as_os_str().as_bytes());
        lines.push(b'\n');
    }
    Ok(lines)
}

fn no_code(code: u8, directory: &Path) -> Error {
    let log = fs::read(directory.join("kernel")).unwrap_or_default();
    let log = String::from_utf8_lossy(&log);
    let lines: Vec<&str> = log.lines().collect();
    let tail = lines[lines.len().saturating_sub(20)..].join("\n");
    if directory.join("booted").exists() {
        Error::Broken(format!("UML ended ({code}) before its command did:\n{tail}"))
    } else {
        Error::NoGround(format!("UML does not boot here ({code}):\n{tail}"))
    }
}

/// A directory for one boot, which goes away with us even if we are killed.
struct JobDirectory {
    path: PathBuf,
    /// Waits for its standard input to close, which happens at the latest when we end.
    sweeper: Child,
}

impl JobDirectory {
    fn make() -> Result<Self, Error> {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        // Not under target/: the name of a socket in here must fit into 108 bytes.
        let temporary = fs::canonicalize(std::env::temp_dir()).trying("find the temporary directory")?;
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = temporary.join(format!("vdsm-uml.{}.{count}", std::process::id()));
        fs::create_dir(&path).trying(format_args!("make {}", path.display()))?;
        let sweeper = Command::new("sh")
            .args(["-c", SWEEP, "sweeper"])
            .arg(&path)
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .trying("start sh")?;
        Ok(Self { path, sweeper })
    }
}

// Twice, because a dying UML may write once more. The signals that end us must not
// end it first.
const SWEEP: &str = "trap '' HUP INT TERM; cat; rm -rf -- \"$1\" || { sleep 1; rm -rf -- \"$1\"; }";

impl Drop for JobDirectory {
    fn drop(&mut self) {
        drop(self.sweeper.stdin.take());
        // Whatever it says, there is nothing more to be done about the directory.
        let _ = self.sweeper.wait();
    }
}

/// Whether this machine has the program; a boot may still fail.
pub(crate) fn is_here() -> bool {
    crate::process::is_installed("linux.uml") && Path::new("/usr/lib/uml/modules").is_dir()
}

/// The CPUs we may run on, in order: a UML each can be pinned there.
pub(crate) fn cpus() -> Vec<usize> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
    let cpus = cpu_list(list.unwrap_or("0"));
    if cpus.is_empty() { vec![0] } else { cpus }
}

/// `0-2,5` as numbers.
fn cpu_list(text: &str) -> Vec<usize> {
    let ranges = text.trim().split(',').filter_map(|range| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        Some(first.parse::<usize>().ok()?..=last.parse::<usize>().ok()?)
    });
    ranges.flatten().collect()
}

/// Whether a word is what the kernel takes for an amount of memory.
pub(crate) fn is_memory(word: &OsStr) -> bool {
    word.to_str().is_some_and(|text| bytes(text) > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_lists_are_read() {
        assert_eq!(cpu_list("\t0-2,5\n"), [0, 1, 2, 5]);
        assert_eq!(cpu_list("7"), [7]);
        assert_eq!(cpu_list("x"), [0; 0]);
    }

    #[test]
    fn memory_is_read_as_the_kernel_does() {
        assert_eq!(bytes("512M"), 512 << 20);
        assert_eq!(bytes("1g"), 1 << 30);
        assert_eq!(bytes("lots"), 0);
    }

    #[test]
    fn memory_that_is_small_or_not_executable_is_not_used() {
        let good = "tmpfs /dev/shm tmpfs rw,nosuid,nodev 0 0";
        let docker = "shm /dev/shm tmpfs rw,nosuid,nodev,noexec,relatime,size=65536k 0 0";
        assert!(shm_will_do(good, Some(1 << 30), 1 << 30));
        assert!(!shm_will_do(good, Some(1 << 26), 1 << 30));
        assert!(!shm_will_do(docker, Some(1 << 30), 1 << 30));
        assert!(!shm_will_do("", Some(1 << 30), 1 << 30));
    }

    #[test]
    fn the_script_is_the_job() {
        let command = ["sh", "-c", "printf '%s|' \"$PWD\" \"$GREETING\" \"$@\"", "x", "a b", "it's"];
        let job = Job::new(command.map(Into::into).to_vec(), "/usr".into()).env("GREETING", "$(no)");
        let output = Command::new("sh").arg("-c").arg(OsStr::from_bytes(&script(&job))).output().unwrap();
        assert_eq!(output.stdout, b"/usr|$(no)|a b|it's|");
    }

    #[test]
    fn a_jobs_directory_goes_away() {
        let directory = JobDirectory::make().unwrap();
        let path = directory.path.clone();
        assert!(path.is_dir());
        drop(directory);
        assert!(!path.exists());
    }
}
