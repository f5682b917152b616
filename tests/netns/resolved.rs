//! A systemd-resolved of a test's own, with a bus of its own, for the test's network namespace.
//!
//! It is Debian's, unpacked and not installed: its package would take the machine's resolv.conf
//! over. `cargo xtask test` unpacks it and names the folder in VDSM_RESOLVED_DIR.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Output};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::lab::Lab;

const PATIENCE: Duration = Duration::from_secs(60);

/// Everybody may everything: nobody else can reach it.
const BUS: &str = r#"<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN" "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>system</type><listen>unix:path=BUS</listen><auth>EXTERNAL</auth><policy context="default">
<allow user="*"/><allow own="*"/><allow send_type="method_call"/><allow send_type="signal"/>
<allow send_requested_reply="true" send_type="method_return"/><allow send_requested_reply="true" send_type="error"/>
<allow receive_type="method_call"/><allow receive_type="signal"/><allow receive_type="method_return"/><allow receive_type="error"/>
</policy></busconfig>"#;

/// It keeps its state below /run, wants its user, and reads /etc/resolv.conf: all private. It dies
/// with the shell, the first process of its PID namespace; by itself it would not, for who changes
/// his user loses PR_SET_PDEATHSIG.
const SETUP: &str = r#"
set -e
mount -t tmpfs -o mode=755 tmpfs /run
mount -t sysfs sysfs /sys
mkdir -p /run/systemd/resolve
for file in passwd group; do cp /etc/$file /run/$file; done
grep -q ^systemd-resolve: /run/passwd || echo systemd-resolve:x:64999:64999::/:/usr/sbin/nologin >>/run/passwd
grep -q ^systemd-resolve: /run/group || echo systemd-resolve:x:64999: >>/run/group
for file in passwd group; do mount --bind /run/$file /etc/$file; done
chown systemd-resolve:systemd-resolve /run/systemd/resolve
if [ -e /etc/resolv.conf ]; then : >/run/empty; mount --bind /run/empty /etc/resolv.conf; fi
dbus-daemon --config-file="$1/bus.conf" --nofork --nopidfile &
while [ ! -S "$1/bus" ]; do sleep 0.05; done
DBUS_SYSTEM_BUS_ADDRESS="unix:path=$1/bus" "$2/lib/systemd/systemd-resolved" &
wait $!
"#;

/// Ends with the story.
pub struct Resolved {
    child: Child,
    bus: String,
    programs: PathBuf,
}

impl Resolved {
    /// Starts it in the namespace of this thread, or says why it cannot be had.
    pub fn start(lab: &Lab) -> Result<Resolved, String> {
        let programs = std::env::var_os("VDSM_RESOLVED_DIR").map(PathBuf::from);
        let programs = programs.filter(|dir| dir.join("lib/systemd/systemd-resolved").exists());
        let programs = programs.ok_or("systemd-resolved is not unpacked: cargo xtask test does that")?;
        let dir = lab.path("");
        let dir = dir.to_str().unwrap().trim_end_matches('/').to_owned();
        fs::write(lab.path("bus.conf"), BUS.replace("BUS", &format!("{dir}/bus"))).unwrap();
        let log = fs::File::create(lab.path("resolved.log")).unwrap();
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "--pid", "--fork", "--kill-child", "--mount-proc"]);
        command.args(["sh", "-c", SETUP, "resolved", &dir]).arg(&programs);
        command.stdout(log.try_clone().unwrap()).stderr(log);
        // SAFETY: one system call. Whatever becomes of us, it does not stay.
        unsafe { command.pre_exec(|| nix::sys::prctl::set_pdeathsig(Signal::SIGKILL).map_err(Into::into)) };
        let child = command.spawn().map_err(|error| format!("no unshare: {error}"))?;
        let mut resolved = Resolved { child, bus: format!("unix:path={dir}/bus"), programs };
        let end = Instant::now() + PATIENCE;
        while !resolved.resolvectl(&["status"]).status.success() {
            let log = || fs::read_to_string(lab.path("resolved.log")).unwrap_or_default();
            if resolved.child.try_wait().unwrap().is_some() {
                panic!("systemd-resolved ended: {}", log());
            }
            assert!(Instant::now() < end, "systemd-resolved does not come: {}", log());
            thread::sleep(Duration::from_millis(20));
        }
        Ok(resolved)
    }

    /// The bus, as DBUS_SYSTEM_BUS_ADDRESS.
    pub fn bus(&self) -> &str {
        &self.bus
    }

    fn resolvectl(&self, words: &[&str]) -> Output {
        let program = self.programs.join("usr/bin/resolvectl");
        Command::new(program).args(words).env("DBUS_SYSTEM_BUS_ADDRESS", &self.bus).output().unwrap()
    }

    /// What `resolvectl` says, with single spaces.
    #[track_caller]
    pub fn says(&self, words: &[&str]) -> String {
        let output = self.resolvectl(words);
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).split_whitespace().collect::<Vec<_>>().join(" ")
    }
}

impl Drop for Resolved {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        // The rest of the namespace goes a moment later.
        let end = Instant::now() + PATIENCE;
        while self.resolvectl(&["status"]).status.success() && Instant::now() < end {
            thread::sleep(Duration::from_millis(10));
        }
    }
}
