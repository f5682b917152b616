//! A network namespace for a comparison, and other tools at work in it.
//!
//! What they are made to do is in `changes.rs`.

use std::any::type_name_of_val;
use std::fs;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::Signal;
use tempfile::TempDir;
use vdsm_net::netinfo::Live;

use super::facts::{Facts, Nics, differences, ours};
use super::silence;
use super::tools::theirs;
use crate::lab::skip;
use crate::look::try_ip;

/// Longer than anything takes; used up only when a promise is broken.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Tells a story in a network namespace of its own, with a view of sysfs that shows it. Where this
/// machine cannot bear it, the summary is told.
pub fn staged(programs: &[&str], tell: impl FnOnce() + Send + 'static) {
    let whole = type_name_of_val(&tell);
    let test = whole.trim_start_matches("netns::").trim_end_matches("::{{closure}}").to_owned();
    let missing = programs.iter().find(|program| Command::new(program).arg("--version").output().is_err());
    if let Some(program) = missing {
        return skip(&test, &format!("there is no {program} here"));
    }
    let thread = thread::spawn(move || match stage() {
        Err(why) => skip(&test, &why),
        Ok(()) => tell(),
    });
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

fn stage() -> Result<(), String> {
    unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS).map_err(|e| format!("no namespaces: {e}"))?;
    let nothing = None::<&str>;
    mount(nothing, "/", nothing, MsFlags::MS_REC | MsFlags::MS_PRIVATE, nothing).map_err(|e| format!("mount: {e}"))?;
    // It shows the links of whoever mounts it.
    mount(Some("sysfs"), "/sys", Some("sysfs"), MsFlags::empty(), nothing).map_err(|e| format!("no sysfs: {e}"))?;
    try_ip(
        "link set lo up\nlink add probe0 type bond\nlink add probe1 type dummy\nlink add probe2 link probe1 type vlan id 1\nlink del probe0\nlink del probe1\n",
    )
}

/// A command that dies with this thread.
pub fn mortal(program: &str) -> Command {
    let mut command = Command::new(program);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    // SAFETY: one system call.
    unsafe { command.pre_exec(|| nix::sys::prctl::set_pdeathsig(Signal::SIGKILL).map_err(Into::into)) };
    command
}

/// Feeds a program, whatever it says to some of it; what it writes.
pub fn run(program: &str, arguments: &str, input: &str) -> String {
    let mut command = Command::new(program);
    command.args(arguments.split_whitespace()).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap()
}

/// What a command writes; its words have no blanks.
pub fn said(line: &str) -> String {
    let (program, arguments) = line.split_once(' ').unwrap_or((line, ""));
    run(program, arguments, "")
}

/// A listening picture, as the daemon has it.
pub fn listen(buffer: Option<usize>) -> (Arc<Live>, vdsm_net::netinfo::Watching) {
    Live::open(Nics, PATIENCE, buffer).unwrap()
}

/// Waits until something holds, and says what did not.
#[track_caller]
pub fn until(what: &str, mut holds: impl FnMut() -> Result<(), String>) {
    let end = Instant::now() + PATIENCE;
    while let Err(why) = holds() {
        assert!(Instant::now() < end, "{what}:\n{why}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Which links are compared: those of others are changed all the while.
pub fn is_compared(name: &str) -> bool {
    !name.starts_with("noise")
}

/// The picture and the tools agree. The kernel does some things a moment later, so who differs has
/// another chance.
#[track_caller]
pub fn agrees(live: &Live, when: &str) {
    until(when, || {
        let mut theirs = theirs(&is_compared);
        let mut ours = ours(&live.settled().unwrap(), &is_compared);
        silence::hush(&mut ours, &mut theirs);
        said_alike(&ours, &theirs)
    });
}

/// The same with what the kernel does not tell: all was read anew.
#[track_caller]
pub fn agrees_wholly(live: &Live, when: &str) {
    until(when, || {
        let theirs = theirs(&is_compared);
        said_alike(&ours(&live.reread().unwrap(), &is_compared), &theirs)
    });
}

/// Whether both say the same; if not, where they differ.
pub fn said_alike(ours: &Facts, theirs: &Facts) -> Result<(), String> {
    let differences = differences(ours, theirs);
    if differences.is_empty() { Ok(()) } else { Err(differences) }
}

/// Somebody who keeps changing links of its own until it is dropped.
pub struct Noise {
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<usize>>,
}

impl Noise {
    /// Begins; a process of its own does it all.
    pub fn begin() -> Noise {
        let over = Arc::new(AtomicBool::new(false));
        let until = Arc::clone(&over);
        let thread = thread::spawn(move || {
            let mut command = mortal("ip");
            let mut child = command.args(["-force", "-batch", "-"]).stdin(Stdio::piped()).spawn().unwrap();
            let mut input = child.stdin.take().unwrap();
            let mut rounds = 0;
            while !until.load(Ordering::SeqCst) {
                input.write_all(NOISE.as_bytes()).unwrap();
                rounds += 1;
            }
            drop(input);
            child.wait().unwrap();
            rounds
        });
        Noise { over, thread: Some(thread) }
    }

    /// Ends it; how often all was changed.
    pub fn end(mut self) -> usize {
        self.over.store(true, Ordering::SeqCst);
        self.thread.take().unwrap().join().unwrap()
    }
}

const NOISE: &str = "link add noise0 type veth peer name noise1
link add noise2 type bridge
link set noise0 master noise2
link set noise2 up
link set noise0 up
link set noise1 up
addr add 192.0.2.1/24 dev noise2
addr add 2001:db8:99::1/64 dev noise2 nodad
route add 198.51.100.0/24 via 192.0.2.9 proto static
link set noise1 mtu 1400
link set noise1 down
addr del 192.0.2.1/24 dev noise2
link set noise0 nomaster
link del noise0
link del noise2
";

impl Drop for Noise {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Open vSwitch with a database and a switch of its own.
pub struct Switch {
    dir: TempDir,
    servers: Vec<Child>,
}

impl Switch {
    /// Starts it, with the kernel's datapath.
    pub fn start() -> Switch {
        let dir = tempfile::Builder::new().prefix("ovs").tempdir().unwrap();
        let database = dir.path().join("conf.db");
        let schema = Path::new("/usr/share/openvswitch/vswitch.ovsschema");
        let made = mortal("ovsdb-tool").arg("create").arg(&database).arg(schema).status().unwrap();
        assert!(made.success());
        let mut switch = Switch { dir, servers: Vec::new() };
        let socket = format!("unix:{}", switch.dir.path().join("db.sock").display());
        switch.serve("ovsdb-server", &[&database.display().to_string(), &format!("--remote=p{socket}")]);
        switch.change("init");
        switch.serve("ovs-vswitchd", &[&socket]);
        switch
    }

    fn serve(&mut self, program: &str, arguments: &[&str]) {
        let mut command = self.command(program);
        self.servers.push(command.args(arguments).arg("-vconsole:off").spawn().unwrap());
    }

    fn command(&self, program: &str) -> Command {
        let mut command = mortal(program);
        for variable in ["OVS_RUNDIR", "OVS_LOGDIR", "OVS_DBDIR", "OVS_SYSCONFDIR"] {
            command.env(variable, self.dir.path());
        }
        command
    }

    /// Says something to `ovs-vsctl`, which does not wait for the switch to do it.
    pub fn change(&self, words: &str) {
        let mut command = self.command("ovs-vsctl");
        let done = command.args(["--retry", "--timeout=20", "--no-wait"]).args(words.split_whitespace()).status();
        assert!(done.unwrap().success(), "{words}");
    }
}

impl Drop for Switch {
    fn drop(&mut self) {
        for server in &mut self.servers {
            let _ = server.kill();
            let _ = server.wait();
        }
    }
}

/// A team with the daemon that makes and keeps it.
pub struct Team {
    daemon: Child,
}

impl Team {
    /// Starts it, and waits for its device.
    pub fn start(name: &str) -> Team {
        fs::create_dir_all("/run/teamd").unwrap();
        let config =
            format!(r#"{{"device":"{name}","runner":{{"name":"activebackup"}},"link_watch":{{"name":"ethtool"}}}}"#);
        let daemon = mortal("teamd").args(["-t", name, "-U", "-c", &config]).spawn().unwrap();
        until("teamd makes its device", || match Path::new(&format!("/sys/class/net/{name}")).exists() {
            true => Ok(()),
            false => Err("there is none".to_owned()),
        });
        Team { daemon }
    }
}

impl Drop for Team {
    fn drop(&mut self) {
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
    }
}
