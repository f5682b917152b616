//! A host of its own for each test: namespace, nics, folders, daemon.
//!
//! What is said to the daemon is here, what `ip` says of the outcome in `look.rs`.

use std::any::type_name_of_val;
use std::fs::{self, OpenOptions, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::thread;
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{Signal, kill};
use nix::sys::socket::{getsockopt, sockopt};
use nix::unistd::Pid;
use serde_json::{Map, Value, json};
use tempfile::TempDir;
use vdsm_net::client::{Client, ClientError};
use vdsm_net::rpc::RpcError;

pub use crate::common::skip::skip;
use crate::look::{self, Look, ip, try_ip};

/// Longer than anything takes on the slowest ground.
const PATIENCE: Duration = Duration::from_secs(120);

/// A host's resolver before us.
pub const RESOLV_CONF: &str = "# By hand.\nsearch example.org\nnameserver 192.0.2.1\noptions edns0";

/// What the nics of a host are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Nics {
    /// `veth_0`, its other end `peer0`, and so on: every kernel has them.
    Veth,
    /// `dummy_0` and so on.
    Dummy,
}

impl Nics {
    pub fn name(self, number: usize) -> String {
        match self {
            Nics::Veth => format!("veth_{number}"),
            Nics::Dummy => format!("dummy_{number}"),
        }
    }

    fn commands(self, number: usize) -> String {
        let (name, mac) = (self.name(number), mac(number));
        match self {
            Nics::Veth => format!(
                "link add {name} address {mac} type veth peer name peer{number}\nlink set {name} up\nlink set peer{number} up\n"
            ),
            Nics::Dummy => format!("link add {name} address {mac} type dummy\nlink set {name} up\n"),
        }
    }
}

/// The address of the nic with that number.
pub fn mac(number: usize) -> String {
    format!("02:00:00:00:aa:{number:02x}")
}

/// One host. Dies with its daemon at the end of the story.
pub struct Lab {
    dir: TempDir,
    nics: (Nics, usize),
    daemon: Option<Child>,
    client: Option<Client>,
}

/// Tells a story in a namespace of its own; it goes with its thread. Where this kernel cannot
/// bear it, the summary is told.
pub fn story(nics: Nics, count: usize, tell: impl FnOnce(&mut Lab) + Send + 'static) {
    story_with("", nics, count, tell);
}

/// The same with lines for vdsm.conf.
pub fn story_with(conf: &'static str, nics: Nics, count: usize, tell: impl FnOnce(&mut Lab) + Send + 'static) {
    story_needing_with(&[], conf, nics, count, tell);
}

/// The same with programs of others, see `FOR_TESTS` in `xtask/src/packages.rs`.
pub fn story_needing(
    programs: &'static [&'static str],
    nics: Nics,
    count: usize,
    tell: impl FnOnce(&mut Lab) + Send + 'static,
) {
    story_needing_with(programs, "", nics, count, tell);
}

/// Both.
pub fn story_needing_with(
    programs: &'static [&'static str],
    conf: &'static str,
    nics: Nics,
    count: usize,
    tell: impl FnOnce(&mut Lab) + Send + 'static,
) {
    let whole = type_name_of_val(&tell);
    let test = whole.trim_start_matches("netns::").trim_end_matches("::{{closure}}").to_owned();
    if let Some(missing) = programs.iter().find(|program| !is_installed(program)) {
        return skip(&test, &format!("{missing} is not installed"));
    }
    let thread = thread::spawn(move || match Lab::ground(nics, count) {
        Err(why) => skip(&test, &why),
        Ok(()) => {
            let mut lab = Lab::found(conf, nics, count);
            lab.start();
            tell(&mut lab);
        }
    });
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|dir| dir.join(program).is_file())
}

/// The folder with the programs under test.
pub fn program(name: &str) -> PathBuf {
    let built = || Path::new(env!("CARGO_BIN_EXE_vdsm-netd")).parent().unwrap().to_owned();
    std::env::var_os("VDSM_BIN_DIR").map_or_else(built, PathBuf::from).join(name)
}

impl Lab {
    /// A new namespace with nics, or why there is none.
    fn ground(nics: Nics, count: usize) -> Result<(), String> {
        unshare(CloneFlags::CLONE_NEWNET).map_err(|e| format!("no network namespace: {e}"))?;
        let mut commands = "link set lo up\n".to_owned();
        if nics == Nics::Dummy {
            // Where there are dummies there may be no bonds: one look for all that `full` needs.
            commands += "link add bond9 type bond\nlink add bond9.1 link bond9 type vlan id 1\nlink del bond9\n";
        }
        (0..count).for_each(|number| commands += &nics.commands(number));
        try_ip(&commands)
    }

    fn found(conf: &str, nics: Nics, count: usize) -> Lab {
        let dir = tempfile::Builder::new().prefix("lab").tempdir().unwrap();
        // Strangers, too, are to reach the socket.
        fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
        let path = dir.path().display();
        let text = format!(
            "[vars]\nrun_dir = {path}/run\nlib_dir = {path}/lib\nsocket = {path}/socket\ngroup = root\nfake_nics = dummy_*,veth_*\nhooks_dir = {path}/hooks\nresolv_conf = {path}/resolv.conf\n{conf}\n"
        );
        fs::write(dir.path().join("conf"), text).unwrap();
        fs::write(dir.path().join("resolv.conf"), RESOLV_CONF).unwrap();
        Lab { dir, nics: (nics, count), daemon: None, client: None }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The daemon's command line, for those who start it in their own way.
    pub fn daemon(&self) -> Command {
        self.prepared(Command::new(program("vdsm-netd")))
    }

    /// The same for a daemon that stands elsewhere.
    pub fn prepared(&self, mut command: Command) -> Command {
        command.arg("--config").arg(self.path("conf"));
        self.prepare(&mut command);
        command
    }

    fn prepare(&self, command: &mut Command) {
        let log = OpenOptions::new().create(true).append(true).open(self.path("log")).unwrap();
        command.stderr(log);
        // SAFETY: one system call. Whatever becomes of us, no daemon is left.
        unsafe { command.pre_exec(|| nix::sys::prctl::set_pdeathsig(Signal::SIGKILL).map_err(Into::into)) };
    }

    /// Starts the daemon, or `command` as if it were, and waits until it answers.
    pub fn start_as(&mut self, mut command: Command) {
        self.daemon = Some(command.spawn().unwrap());
        let end = Instant::now() + PATIENCE;
        loop {
            // It listens once it is ready; with a socket of systemd's the first call waits for it.
            match Client::connect(&self.path("socket"), PATIENCE) {
                Ok(client) => return self.client = Some(client.answered_within(PATIENCE)),
                Err(error) if Instant::now() > end => panic!("{error}"),
                Err(_) => thread::sleep(Duration::from_millis(2)),
            }
            if let Some(status) = self.daemon.as_mut().unwrap().try_wait().unwrap() {
                panic!("the daemon ended with {status}");
            }
        }
    }

    pub fn start(&mut self) {
        let command = self.daemon();
        self.start_as(command);
    }

    pub fn pid(&self) -> i32 {
        self.daemon.as_ref().unwrap().id() as i32
    }

    /// As `kill -9`.
    pub fn kill(&mut self) {
        self.client = None;
        if let Some(mut daemon) = self.daemon.take() {
            let _ = daemon.kill();
            daemon.wait().unwrap();
        }
    }

    /// As `kill -9` of the process with the DHCP clients, which outlives the daemon.
    pub fn kill_dhcp(&self) {
        if let Some(pid) = self.dhcp_pid() {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }

    /// The process with the DHCP clients, if there is one.
    pub fn dhcp_pid(&self) -> Option<i32> {
        let stream = UnixStream::connect(self.path("run/vdsm-dhcp.sock")).ok()?;
        Some(getsockopt(&stream, sockopt::PeerCredentials).unwrap().pid())
    }

    /// The processes of that name that were started for this host.
    pub fn processes(&self, name: &str) -> Vec<i32> {
        let (folder, all) = (self.dir.path().to_str().unwrap(), fs::read_dir("/proc").unwrap().flatten());
        let pids = all.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
        let command = |pid| fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let is_one = |text: &str| text.contains(name) && text.contains(folder);
        pids.filter(|pid| is_one(&String::from_utf8_lossy(&command(*pid)))).collect()
    }

    /// Waits for the daemon to end by itself; its exit code.
    pub fn ended(&mut self) -> Option<i32> {
        self.client = None;
        self.daemon.take().unwrap().wait().unwrap().code()
    }

    /// Everything volatile goes: all devices but the nics, and run_dir. Nothing is restored yet.
    pub fn reboot(&mut self) {
        self.kill();
        self.kill_dhcp();
        let _ = fs::remove_dir_all(self.path("run"));
        Lab::ground(self.nics.0, self.nics.1).unwrap();
        self.start();
    }

    /// Another client.
    pub fn client(&self) -> Client {
        Client::connect(&self.path("socket"), PATIENCE).unwrap().answered_within(PATIENCE)
    }

    pub fn call(&mut self, method: &str, params: Value) -> Result<Value, RpcError> {
        match self.client.as_mut().unwrap().call(method, params) {
            Ok(answer) => Ok(answer),
            Err(ClientError::Rpc(error)) => Err(error),
            Err(other) => panic!("{method}: {other:?}"),
        }
    }

    /// Host.setupNetworks; without `options` nobody waits for a sign of life.
    pub fn request(&mut self, mut params: Value) -> Result<Value, RpcError> {
        if params.get("options").is_none() {
            params["options"] = json!({ "connectivityCheck": false });
        }
        self.call("Host.setupNetworks", params)
    }

    /// A request that must succeed, and arrive at once as foreseen; whether it changed anything.
    #[track_caller]
    pub fn setup(&mut self, networks: Value, bondings: Value) -> bool {
        let params = json!({ "networks": networks, "bondings": bondings });
        let answer = self.request(params.clone()).unwrap_or_else(|e| panic!("{params}: {e:?}"));
        assert_eq!(answer["status"], json!({ "code": 0, "message": "Done" }), "{params}");
        assert!(answer["rounds"].as_u64().unwrap() <= 1, "{params} took {} rounds, see the log", answer["rounds"]);
        answer["changed"].as_bool().unwrap()
    }

    #[track_caller]
    pub fn nets(&mut self, networks: Value) -> bool {
        self.setup(networks, json!({}))
    }

    #[track_caller]
    pub fn bonds(&mut self, bondings: Value) -> bool {
        self.setup(json!({}), bondings)
    }

    /// What must not do anything any more.
    #[track_caller]
    pub fn again(&mut self, networks: Value, bondings: Value) {
        let before = Look::now().text(None);
        assert!(!self.setup(networks.clone(), bondings.clone()), "a second time: {networks} {bondings}");
        look::assert_same(&before, &Look::now().text(None), "a second time");
    }

    /// A request that must fail with this code.
    #[track_caller]
    pub fn expect_error(&mut self, code: i64, params: Value) -> RpcError {
        match self.request(params.clone()) {
            Err(error) if error.code == code => error,
            other => panic!("{params} should fail with {code}: {other:?}"),
        }
    }

    /// The same for a request that is refused before anything happens.
    #[track_caller]
    pub fn refused(&mut self, code: i64, networks: Value, bondings: Value) -> RpcError {
        let error = self.expect_error(code, json!({ "networks": networks, "bondings": bondings }));
        let problems = &error.data.as_ref().unwrap()["problems"];
        assert_eq!(problems[0]["code"], code, "{problems}");
        assert!(error.message.contains(problems[0]["message"].as_str().unwrap()), "{error:?}");
        error
    }

    /// What `vdsm-tool set-safe-config` calls.
    pub fn set_safe(&mut self) {
        self.call("Host.setSafeNetworkConfig", json!({})).unwrap();
    }

    /// Restores at most once since boot, unless forced.
    #[track_caller]
    pub fn restore(&mut self, force: bool) -> Value {
        self.call("Host.restoreNetworks", json!({ "force": force })).unwrap()
    }

    pub fn capabilities(&mut self) -> Value {
        self.call("Host.getCapabilities", json!({})).unwrap()
    }

    /// The running configuration's files: `nets/red` and the like, with their content.
    pub fn running_files(&self) -> Map<String, Value> {
        files(&self.path("run/netconf"))
    }

    pub fn persistent_files(&self) -> Map<String, Value> {
        files(&self.path("lib/persistence/netconf"))
    }

    /// By hand, as an administrator would.
    pub fn ip(&self, commands: &str) {
        ip(commands);
    }
}

fn files(netconf: &Path) -> Map<String, Value> {
    let mut all = Map::new();
    for folder in ["nets", "bonds"] {
        for entry in fs::read_dir(netconf.join(folder)).into_iter().flatten() {
            let path = entry.unwrap().path();
            let content = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
            all.insert(format!("{folder}/{}", path.file_name().unwrap().display()), content);
        }
    }
    all
}

impl Drop for Lab {
    fn drop(&mut self) {
        self.kill();
        self.kill_dhcp();
        if thread::panicking() {
            eprintln!("the daemon's log:\n{}", fs::read_to_string(self.path("log")).unwrap_or_default());
        }
    }
}
