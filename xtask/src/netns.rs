//! The light sandbox: this kernel, in name spaces of its own.
//!
//! Its links, addresses and routes are private, and so are /run, /sys and
//! /etc/resolv.conf; files elsewhere are the machine's. Everything that a command
//! leaves running in it dies with it.

use std::process::{Command, Stdio};

use crate::error::{Error, Trying};
use crate::process::{Ended, mortal, wait};
use crate::sandbox::Job;

// sysfs shows the network of whoever mounted it, so it is mounted anew.
const SETUP: &str = r#"
set -e
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/netns /run/lock
mount -t sysfs sysfs /sys
if [ -e /etc/resolv.conf ]; then
  cat /etc/resolv.conf >/run/.resolv.conf
  mount --bind /run/.resolv.conf /etc/resolv.conf
fi
hostname netns 2>/dev/null || echo netns >/proc/sys/kernel/hostname
ip link set lo up
set +e
"$@"
exit $?
"#;

/// Runs the job in new network, mount, UTS and PID name spaces.
pub(crate) fn run(job: &Job) -> Result<Ended, Error> {
    let mut command = mortal("unshare");
    command
        .args(["--net", "--mount", "--propagation", "private", "--uts"])
        .args(["--pid", "--fork", "--kill-child", "--mount-proc"])
        .args(["sh", "-c", SETUP, "netns"]);
    if let Some(cpu) = job.cpu {
        command.args(["taskset", "-c", &cpu.to_string()]);
    }
    command
        .args(&job.command)
        .current_dir(&job.directory)
        .envs(job.environment.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::inherit())
        .stdout(job.stdout.stdio()?)
        .stderr(job.stderr.stdio()?);
    let mut child = command.spawn().trying("start unshare")?;
    wait(&mut child, job.limit)
}

/// Why no name spaces can be had here, if so.
pub(crate) fn refusal() -> Option<String> {
    let output = Command::new("unshare")
        .args(["--net", "--mount", "--uts", "--pid", "--fork", "--mount-proc", "true"])
        .stdin(Stdio::null())
        .output();
    match output {
        Err(error) => Some(format!("cannot start unshare: {error}")),
        Ok(output) if output.status.success() => None,
        Ok(output) => Some(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::Stream;
    use std::io::Write;

    #[test]
    fn a_command_sees_only_its_own_links_and_gives_its_exit_code() {
        if let Some(why) = refusal() {
            skip(&why);
            return;
        }
        let file = std::env::temp_dir().join(format!("xtask-netns-test.{}", std::process::id()));
        let command = ["sh", "-c", "ls /sys/class/net; exit 7"].map(Into::into).to_vec();
        let mut job = Job::new(command, "/".into());
        job.stdout = Stream::File(file.clone());
        assert_eq!(run(&job).unwrap(), Ended::With(7));
        let links = std::fs::read_to_string(&file).unwrap();
        std::fs::remove_file(&file).unwrap();
        assert!(links.lines().all(|link| link == "lo" || link == "sit0"), "{links}");
    }

    const TEST: &str = "netns::tests::a_command_sees_only_its_own_links_and_gives_its_exit_code";

    /// Says so in the summary of `cargo xtask test`.
    fn skip(why: &str) {
        let Some(file) = std::env::var_os("VDSM_SKIP_FILE") else {
            return;
        };
        let mut notes = std::fs::OpenOptions::new().create(true).append(true).open(file).unwrap();
        writeln!(notes, "{TEST}: {why}").unwrap();
    }
}
