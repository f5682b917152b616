//! `vdsm-bench dhcp`: one process with all DHCP clients beside one process for each network.
//!
//! Many veth pairs, whose far ends are in one bridge in a namespace with one dnsmasq. Each candidate
//! asks on all of them at once; a lease is there when the kernel has its route. The others' scripts do
//! nothing but set the address, which is the least they can do.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;
use serde_json::json;

use crate::namespace::{Scratch, own_namespace};
use crate::ours;

/// So long all leases may take; what is missing then is told.
const PATIENCE: Duration = Duration::from_secs(40);
/// A glance at the routes costs us a fraction of a millisecond.
const GLANCE: Duration = Duration::from_millis(5);
/// What follows from the last lease is done by then.
const AFTERWARDS: Duration = Duration::from_secs(1);

const CANDIDATES: [&str; 4] = ["vdsm-dhcp", "udhcpc", "dhclient", "dhcpcd"];

/// Asks with each candidate that is installed, and prints the table.
pub(crate) fn run(args: &[String]) -> Result<ExitCode, String> {
    let n = match args {
        [] => 200,
        [key, value] if key == "--n" => {
            value.parse().ok().filter(|n| (1..=1000).contains(n)).ok_or(format!("--n {value}: 1 to 1000"))?
        }
        _ => return Ok(crate::misused("dhcp takes --n only")),
    };
    own_namespace()?;
    nix::sys::prctl::set_child_subreaper(true).map_err(|e| format!("cannot wait for others' children: {e}"))?;
    let stage = Stage::build(n)?;
    let here = |name: &&str| *name == CANDIDATES[0] || find(name).is_some();
    let found: Vec<Figures> =
        CANDIDATES.into_iter().filter(here).map(|name| stage.measure(name)).collect::<Result<_, _>>()?;
    print!("{}", table(n, &found));
    Ok(ExitCode::SUCCESS)
}

/// What one candidate took.
struct Figures {
    name: &'static str,
    /// When the leases were there, ascending.
    leases: Vec<Duration>,
    cpu: Duration,
    processes: usize,
    rss_kib: u64,
    /// Pages that several share counted once.
    pss_kib: u64,
}

fn table(n: usize, all: &[Figures]) -> String {
    let mut text = format!(
        "{n} networks\n\n{:<10} {:>6} {:>8} {:>8} {:>8} {:>8} {:>6} {:>9} {:>9}\n",
        "", "leases", "first", "median", "last", "CPU ms", "proc", "RSS MiB", "PSS MiB"
    );
    let ms = |d: Duration| format!("{:.0} ms", d.as_secs_f64() * 1e3);
    for one in all {
        let [first, median, last] = [0, one.leases.len() / 2, one.leases.len() - 1].map(|at| ms(one.leases[at]));
        let (cpu, rss, pss) = (one.cpu.as_millis(), one.rss_kib as f64 / 1024.0, one.pss_kib as f64 / 1024.0);
        text += &format!(
            "{:<10} {:>6} {first:>8} {median:>8} {last:>8} {cpu:>8} {:>6} {rss:>9.1} {pss:>9.1}\n",
            one.name,
            one.leases.len(),
            one.processes
        );
    }
    if let Some((ours, others)) = all.split_first() {
        for one in others {
            let last = |it: &Figures| it.leases.last().map_or(0.0, Duration::as_secs_f64);
            text += &format!(
                "{} / {}: last lease {:.1}, CPU {:.1}, RSS {:.1}, PSS {:.1}\n",
                one.name,
                ours.name,
                last(one) / last(ours),
                one.cpu.as_secs_f64() / ours.cpu.as_secs_f64(),
                one.rss_kib as f64 / ours.rss_kib as f64,
                one.pss_kib as f64 / ours.pss_kib as f64
            );
        }
    }
    text
}

/// The networks and their server.
struct Stage {
    n: usize,
    scratch: Scratch,
    /// Keeps the server's namespace.
    far: Child,
    dnsmasq: Child,
}

impl Drop for Stage {
    fn drop(&mut self) {
        for child in [&mut self.dnsmasq, &mut self.far] {
            // It may have ended by itself; it is gone either way.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Stage {
    fn build(n: usize) -> Result<Stage, String> {
        let scratch = Scratch::make()?;
        // Whatever a client does to the name servers, it does not do to the machine's.
        let resolv = scratch.path().join("resolv.conf");
        fs::write(&resolv, "").map_err(|e| format!("{}: {e}", resolv.display()))?;
        if Path::new("/etc/resolv.conf").exists() {
            mount(Some(&resolv), "/etc/resolv.conf", None::<&str>, MsFlags::MS_BIND, None::<&str>)
                .map_err(|e| format!("cannot hide resolv.conf: {e}"))?;
        }
        let mut far = Command::new("sleep");
        // SAFETY: system calls only, between fork and exec.
        unsafe { far.arg("3600").pre_exec(|| unshare(CloneFlags::CLONE_NEWNET).map_err(Into::into)) };
        let far = far.spawn().map_err(|e| format!("cannot start sleep: {e}"))?;
        let pid = far.id().to_string();
        ip(&[], "link set lo up\n")?;
        let pairs = (0..n).map(|i| format!("link add n{i} type veth peer name s{i} netns {pid}\n"));
        ip(&[], &pairs.collect::<String>())?;
        let mut there = "link set lo up\nlink add br0 type bridge\naddr add 10.77.0.1/16 dev br0\n".to_owned();
        there.extend((0..n).map(|i| format!("link set s{i} master br0\nlink set s{i} up\n")));
        ip(&["-t", &pid, "-n"], &format!("{there}link set br0 up\n"))?;
        ip(&[], &(0..n).map(|i| format!("link set n{i} up\n")).collect::<String>())?;
        let dnsmasq = Command::new("nsenter")
            .args(["-t", &pid, "-n", "dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--no-hosts"])
            .args(["--no-resolv", "--port=0", "--user=root", "--group=root", "--interface=br0", "--no-ping"])
            .args(["--dhcp-authoritative", "--dhcp-range=10.77.1.0,10.77.250.0,255.255.0.0,1h", "--quiet-dhcp"])
            .args(["--dhcp-lease-max=100000", "--bind-interfaces", "--log-facility=/dev/null"])
            .arg(format!("--dhcp-leasefile={}", scratch.path().join("leases").display()))
            .arg(format!("--pid-file={}", scratch.path().join("dnsmasq.pid").display()))
            .spawn()
            .map_err(|e| format!("cannot start dnsmasq (package dnsmasq-base): {e}"))?;
        std::thread::sleep(AFTERWARDS);
        Ok(Stage { n, scratch, far, dnsmasq })
    }

    fn measure(&self, name: &'static str) -> Result<Figures, String> {
        let dir = self.scratch.path().join(name);
        fs::create_dir_all(&dir).map_err(|e| format!("{}: {e}", dir.display()))?;
        let before = children()?;
        let begun = Instant::now();
        match name {
            "vdsm-dhcp" => self.ours(&dir)?,
            _ => self.others(name, &dir)?,
        }
        let mut leases = Vec::new();
        while leases.len() < self.n {
            std::thread::sleep(GLANCE);
            let now = begun.elapsed();
            leases.resize(routes()?.max(leases.len()), now);
            if now > PATIENCE {
                break;
            }
        }
        std::thread::sleep(AFTERWARDS);
        let pids = processes(name);
        let sum = |key| pids.iter().map(|pid| memory(*pid, key)).sum();
        if leases.is_empty() {
            end(name)?;
            return Err(format!("{name}: no lease in {PATIENCE:?}"));
        }
        let (rss_kib, pss_kib) = (sum("Rss:"), sum("Pss:"));
        end(name)?;
        let cpu = children()?.saturating_sub(before);
        ip(&[], &(0..self.n).map(|i| format!("addr flush dev n{i}\n")).collect::<String>())?;
        Ok(Figures { name, leases, cpu, processes: pids.len(), rss_kib, pss_kib })
    }

    fn ours(&self, dir: &Path) -> Result<(), String> {
        let program = ours::program()?.with_file_name("vdsm-dhcp");
        let socket = dir.join("socket");
        let mut command = Command::new(&program);
        command.arg("--socket").arg(&socket).arg("--state-dir").arg(dir.join("state"));
        spawn(&mut command)?;
        let begun = Instant::now();
        let mut stream = loop {
            match UnixStream::connect(&socket) {
                Ok(stream) => break stream,
                Err(error) if begun.elapsed() > PATIENCE => return Err(format!("{}: {error}", program.display())),
                Err(_) => std::thread::sleep(Duration::from_millis(1)),
            }
        };
        let mut answers = BufReader::new(stream.try_clone().map_err(|e| e.to_string())?);
        for i in 0..self.n {
            let call = json!({"id": i, "method": "start", "params": {"device": format!("n{i}"), "family": "v4"}});
            let mut answer = String::new();
            writeln!(stream, "{call}").and_then(|()| answers.read_line(&mut answer)).map_err(|e| e.to_string())?;
            if !answer.contains("\"result\"") {
                return Err(format!("vdsm-dhcp: {answer}"));
            }
        }
        Ok(())
    }

    fn others(&self, name: &str, dir: &Path) -> Result<(), String> {
        let set = dir.join("set");
        // The words of udhcpc's and of dhclient's environment.
        let text = "#!/bin/sh\naddress=${ip:-$new_ip_address}\n\
                    [ -z \"$address\" ] || exec ip address replace $address/16 dev $interface\n";
        let executable = fs::Permissions::from_mode(0o755);
        fs::write(&set, text).and_then(|()| fs::set_permissions(&set, executable)).map_err(|e| e.to_string())?;
        let path = |suffix: String| dir.join(suffix).into_os_string();
        for i in 0..self.n {
            let device = format!("n{i}");
            let mut command = Command::new(name);
            let own = [path(format!("{device}.pid")), path(format!("{device}.leases"))];
            match name {
                "udhcpc" => command.args(["-f", "-i", &device, "-s"]).arg(&set).arg("-p").arg(&own[0]),
                "dhclient" => command.args(["-4", "-d", "-cf", "/dev/null", "-sf"]).arg(&set).args([
                    OsStr::new("-pf"),
                    &own[0],
                    OsStr::new("-lf"),
                    &own[1],
                    OsStr::new(&device),
                ]),
                _ => command.args(["-4", "-B", "-q", "-A", "-L", "-f", "/dev/null", "-c", "/bin/true", &device]),
            };
            spawn(&mut command)?;
        }
        Ok(())
    }
}

fn spawn(command: &mut Command) -> Result<(), String> {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    // `end` waits for it, as for everything that comes of it.
    command.spawn().map(drop).map_err(|e| format!("cannot start {}: {e}", command.get_program().display()))
}

/// `ip -batch`, behind `nsenter` with these words if there are any.
fn ip(enter: &[&str], lines: &str) -> Result<(), String> {
    let mut command = Command::new(if enter.is_empty() { "ip" } else { "nsenter" });
    command.args(enter).args(if enter.is_empty() { &[][..] } else { &["ip"][..] }).args(["-batch", "-"]);
    let mut child = command.stdin(Stdio::piped()).spawn().map_err(|e| format!("cannot start ip: {e}"))?;
    let fed = child.stdin.take().map_or(Ok(()), |mut pipe| pipe.write_all(lines.as_bytes()));
    let status = fed.and_then(|()| child.wait()).map_err(|e| format!("ip: {e}"))?;
    if status.success() { Ok(()) } else { Err(format!("ip: {status}")) }
}

/// How many devices have a lease: its network's route comes with the address.
fn routes() -> Result<usize, String> {
    let text = fs::read_to_string("/proc/thread-self/net/route").map_err(|e| format!("routes: {e}"))?;
    let leased = text.lines().skip(1).filter_map(|line| line.split('\t').next()).filter(|it| it.starts_with('n'));
    Ok(leased.collect::<BTreeSet<_>>().len())
}

/// CPU time of all children that have been waited for, and of theirs.
fn children() -> Result<Duration, String> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).map_err(|e| format!("the clock: {e}"))?;
    let sum = [usage.user_time(), usage.system_time()];
    Ok(sum.iter().map(|it| Duration::new(it.tv_sec() as u64, it.tv_usec() as u32 * 1000)).sum())
}

/// The candidate's processes, which are all in our network namespace.
fn processes(name: &str) -> Vec<i32> {
    let net = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/net")).ok();
    let ours = net("self");
    let pids = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let named = |pid: &i32| fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|comm| comm.trim() == name);
    // One that has ended shows no name space; it is to be waited for.
    let here = |pid: &i32| net(&pid.to_string()).is_none_or(|theirs| Some(theirs) == ours);
    pids.filter(named).filter(here).collect()
}

fn memory(pid: i32, key: &str) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with(key));
    line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok()).unwrap_or(0)
}

/// Ends the candidate and takes account of all that came of it.
fn end(name: &str) -> Result<(), String> {
    let begun = Instant::now();
    loop {
        let pids = processes(name);
        for pid in &pids {
            // One that went by itself needs no signal.
            let _ = kill(Pid::from_raw(*pid), Signal::SIGKILL);
        }
        while matches!(waitpid(Pid::from_raw(-1), Some(WaitPidFlag::WNOHANG)), Ok(status) if status.pid().is_some()) {}
        if pids.is_empty() {
            return Ok(());
        }
        if begun.elapsed() > PATIENCE {
            return Err(format!("{name} does not end"));
        }
        std::thread::sleep(GLANCE);
    }
}

fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|it| it.exists())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_sets_the_others_against_ours() {
        let figures = |name, times: u32| Figures {
            name,
            leases: [100, 200, 300].map(|ms| Duration::from_millis(ms) * times).to_vec(),
            cpu: Duration::from_millis(40) * times,
            processes: 1,
            rss_kib: 1024 * u64::from(times),
            pss_kib: 512 * u64::from(times),
        };
        let text = table(3, &[figures("vdsm-dhcp", 1), figures("dhclient", 4)]);
        assert!(text.contains("dhclient / vdsm-dhcp: last lease 4.0, CPU 4.0, RSS 4.0, PSS 4.0"), "{text}");
        let line = text.lines().find(|line| line.starts_with("vdsm-dhcp")).unwrap_or_default();
        let words: Vec<&str> = line.split_whitespace().collect();
        assert_eq!(words, ["vdsm-dhcp", "3", "100", "ms", "200", "ms", "300", "ms", "40", "1", "1.0", "0.5"]);
    }
}
