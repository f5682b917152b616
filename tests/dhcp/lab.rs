//! A host with a nic `n0`, whose other end `s0` is in the namespace of a DHCP server.
//!
//! What the server says is dnsmasq's business, or `server.rs`'.

use std::fs::{self, File};
use std::io::Write;
use std::net::IpAddr;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{Signal, kill};
use nix::sys::socket::{getsockopt, sockopt};
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::TempDir;
use vdsm_dhcp_client::{Clients, DhcpClients, Family, Lease, State, Status, Wanted};
use vdsm_model::name::DeviceName;

/// Longer than anything takes.
const PATIENCE: Duration = Duration::from_secs(40);

pub struct Lab {
    dir: TempDir,
    /// Keeps the server's namespace.
    far: Child,
    dnsmasq: Option<Child>,
    clients: Option<Clients>,
}

/// Tells a story in a namespace of its own; where there is none, the summary is told.
pub fn story(test: &str, tell: impl FnOnce(&mut Lab) + Send + 'static) {
    let name = test.to_owned();
    let thread = thread::spawn(move || match ground() {
        Err(why) => skip(&name, &format!("no name space: {why}")),
        Ok(()) if !has("dnsmasq") => skip(&name, "there is no dnsmasq"),
        Ok(()) => {
            let mut lab = Lab::found();
            tell(&mut lab);
        }
    });
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

/// A network, and a /run, of one's own: dhcpcd takes a pid file there for its living self.
fn ground() -> nix::Result<()> {
    let none = None::<&str>;
    unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS)?;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)?;
    mount(Some("tmpfs"), "/run", Some("tmpfs"), MsFlags::empty(), none)
}

pub fn has(program: &str) -> bool {
    ["/usr/sbin", "/sbin", "/usr/bin", "/bin"].iter().any(|folder| Path::new(folder).join(program).exists())
}

/// Notes for the summary of `cargo xtask test` that a test did not run.
pub fn skip(test: &str, why: &str) {
    eprintln!("{test} is skipped: {why}");
    if let Some(file) = std::env::var_os("VDSM_SKIP_FILE") {
        let mut notes = File::options().create(true).append(true).open(file).unwrap();
        writeln!(notes, "{test}: {why}").unwrap();
    }
}

pub fn name(device: &str) -> DeviceName {
    DeviceName::try_from(device).unwrap()
}

pub fn wanted(device: &str, family: Family) -> Wanted {
    Wanted { device: name(device), family, hostname: None }
}

fn mortal(program: &str) -> Command {
    let mut command = Command::new(program);
    // SAFETY: one system call. Whatever becomes of us, nothing is left.
    unsafe { command.pre_exec(|| nix::sys::prctl::set_pdeathsig(Signal::SIGKILL).map_err(Into::into)) };
    command
}

#[track_caller]
fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// As `ip WORDS`, in our namespace.
#[track_caller]
pub fn ip(words: &str) -> String {
    run(Command::new("ip").args(words.split_whitespace()))
}

impl Lab {
    fn found() -> Lab {
        let dir = tempfile::Builder::new().prefix("dhcp").tempdir().unwrap();
        let mut far = mortal("sleep");
        // SAFETY: one system call, between fork and exec.
        unsafe { far.pre_exec(|| unshare(CloneFlags::CLONE_NEWNET).map_err(Into::into)) };
        let lab = Lab { dir, far: far.arg("3600").spawn().unwrap(), dnsmasq: None, clients: None };
        ip("link set lo up");
        lab.plug("02:00:00:00:77:01");
        lab
    }

    /// The nic and its other end.
    pub fn plug(&self, mac: &str) {
        ip(&format!("link add n0 address {mac} type veth peer name s0 netns {}", self.far.id()));
        self.far_ip("link set lo up");
        self.far_ip("link set s0 up");
        self.far_ip("addr add 10.77.0.1/24 dev s0");
        self.far_ip("addr add fd77::1/64 dev s0 nodad");
        // For broadcasts of a server that is no dnsmasq.
        self.far_ip("route add default dev s0");
        ip("link set n0 up");
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn far_pid(&self) -> u32 {
        self.far.id()
    }

    fn far_command(&self, program: &str) -> Command {
        let mut command = mortal("nsenter");
        command.args(["-t", &self.far.id().to_string(), "-n", program]);
        command
    }

    #[track_caller]
    pub fn far_ip(&self, words: &str) {
        run(self.far_command("ip").args(words.split_whitespace()));
    }

    /// dnsmasq that grants v4 addresses `.FROM` to `.FROM+9`, and v6 `::FROM` and on, and renews soon.
    pub fn serve(&mut self, from: u32, more: &[&str]) {
        self.silence();
        let path = |name: &str| self.path(name).display().to_string();
        let child = self
            .far_command("dnsmasq")
            .args(["--keep-in-foreground", "--conf-file=/dev/null", "--no-hosts", "--no-resolv", "--port=0"])
            .args(["--user=root", "--group=root", "--interface=s0", "--bind-interfaces", "--no-ping"])
            .args(["--dhcp-authoritative", "--log-dhcp", "--dhcp-option=option:dns-server,10.77.0.53"])
            .arg(format!("--log-facility={}", path("dnsmasq.log")))
            .arg(format!("--dhcp-leasefile={}", path("dnsmasq.leases")))
            .arg(format!("--pid-file={}", path("dnsmasq.pid")))
            .arg(format!("--dhcp-range=10.77.0.{from},10.77.0.{},255.255.255.0,2m", from + 9))
            .arg(format!("--dhcp-range=fd77::{from:x},fd77::{:x},64,2m", from + 9))
            .args(more)
            .spawn()
            .unwrap();
        self.dnsmasq = Some(child);
        wait("dnsmasq", || self.path("dnsmasq.pid").exists().then_some(()));
    }

    /// The server is gone.
    pub fn silence(&mut self) {
        if let Some(mut dnsmasq) = self.dnsmasq.take() {
            dnsmasq.kill().unwrap();
            dnsmasq.wait().unwrap();
            fs::remove_file(self.path("dnsmasq.pid")).unwrap();
        }
    }

    /// The server forgets its clients.
    pub fn forget(&self) {
        fs::remove_file(self.path("dnsmasq.leases")).unwrap();
    }

    /// How often the server's log has the word.
    pub fn logged(&self, word: &str) -> usize {
        fs::read_to_string(self.path("dnsmasq.log")).unwrap_or_default().matches(word).count()
    }

    /// The process under test, started as the daemon does.
    pub fn clients(&mut self) -> Clients {
        let built = || Path::new(env!("CARGO_BIN_EXE_vdsm-dhcp")).parent().unwrap().to_owned();
        let program = std::env::var_os("VDSM_BIN_DIR").map_or_else(built, PathBuf::from).join("vdsm-dhcp");
        let (socket, state) = (self.socket(), self.path("state"));
        let clients = self.clients.get_or_insert_with(|| Clients::connect_or_spawn(&socket, &state, &program).unwrap());
        clients.clone()
    }

    pub fn socket(&self) -> PathBuf {
        self.path("run/dhcp.sock")
    }

    fn pid(&self) -> Option<Pid> {
        let stream = UnixStream::connect(self.socket()).ok()?;
        Some(Pid::from_raw(getsockopt(&stream, sockopt::PeerCredentials).ok()?.pid()))
    }

    /// As `kill -9`, until it is gone.
    pub fn kill(&self) {
        let pid = self.pid().unwrap();
        kill(pid, Signal::SIGKILL).unwrap();
        wait("the end", || self.pid().is_none().then_some(()));
    }

    #[track_caller]
    pub fn start(&mut self, device: &str, family: Family) {
        self.clients().start(&wanted(device, family)).unwrap();
    }

    pub fn status(&mut self, device: &str, family: Family) -> Option<Status> {
        let all = self.clients().list().unwrap();
        all.into_iter().find(|status| status.wanted == wanted(device, family))
    }

    /// Waits until the client is bound, to a lease that `fits`.
    #[track_caller]
    pub fn bound(&mut self, device: &str, family: Family, fits: impl Fn(&Lease) -> bool) -> Lease {
        wait(&format!("a lease of {device} {family}"), || {
            let status = self.status(device, family)?;
            status.lease.filter(|lease| status.state == State::Bound && fits(lease))
        })
    }

    #[track_caller]
    pub fn stands(&mut self, device: &str, family: Family, state: &State) {
        wait(&format!("{state:?} of {device}"), || (&self.status(device, family)?.state == state).then_some(()));
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("{}", fs::read_to_string(self.path("dnsmasq.log")).unwrap_or_default());
        }
        if let Some(pid) = self.pid() {
            kill(pid, Signal::SIGKILL).unwrap();
        }
        self.silence();
        self.far.kill().unwrap();
        self.far.wait().unwrap();
    }
}

#[track_caller]
pub fn wait<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "waited in vain for {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// The leased addresses of a device as `ip` tells them, with their seconds of life.
pub fn addresses(device: &str) -> Vec<(IpAddr, u64)> {
    let output = Command::new("ip").args(["-j", "address", "show", "dev", device, "scope", "global"]).output().unwrap();
    let links: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap_or_default();
    let all = links.iter().filter_map(|link| link["addr_info"].as_array()).flatten();
    let all = all.filter(|it| it["local"].is_string());
    all.map(|it| (it["local"].as_str().unwrap().parse().unwrap(), it["valid_life_time"].as_u64().unwrap())).collect()
}

#[track_caller]
pub fn has_only(device: &str, address: IpAddr) {
    let seen: Vec<IpAddr> = addresses(device).into_iter().map(|(address, _)| address).collect();
    assert_eq!(seen, [address]);
}

/// `ip monitor address`, from now on.
pub struct Monitor(Child, PathBuf);

impl Monitor {
    pub fn start(lab: &Lab) -> Monitor {
        let path = lab.path("monitor");
        let child = mortal("ip").args(["monitor", "address"]).stdout(File::create(&path).unwrap()).spawn().unwrap();
        // It listens when it has a socket.
        let listens = || fs::read_link(format!("/proc/{}/fd/3", child.id())).ok();
        wait("ip monitor", || listens().filter(|it| it.to_string_lossy().starts_with("socket:")));
        Monitor(child, path)
    }

    /// Everything that happened.
    pub fn end(mut self) -> String {
        thread::sleep(Duration::from_millis(50));
        self.0.kill().unwrap();
        self.0.wait().unwrap();
        fs::read_to_string(&self.1).unwrap()
    }
}

/// Says a line to the process; its answer.
pub fn say(lab: &Lab, line: &[u8]) -> String {
    use std::io::{BufRead, BufReader};
    let mut stream = UnixStream::connect(lab.socket()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    assert!(stream.as_raw_fd() >= 0);
    let _ = stream.write_all(line);
    let mut answer = String::new();
    let _ = BufReader::new(stream).read_line(&mut answer);
    answer
}

/// Nobody's output.
pub fn quiet(command: &mut Command) -> &mut Command {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null())
}
