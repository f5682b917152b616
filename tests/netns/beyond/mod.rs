//! What is at the other end of the cables: a network namespace of its own, in which peers of our
//! nics end.
//!
//! Who lives there is in `server.rs` (DHCP, router advertisements) and `upstream.rs` (a router, and
//! packets through it).

pub mod server;
pub mod upstream;

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::thread;
use std::time::Duration;

use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::signal::Signal;

use crate::look::{ip, try_ip};

/// Longer than anything takes on the slowest ground.
const PATIENCE: Duration = Duration::from_secs(60);

/// A network namespace beside the story's. It goes when this is dropped, and the cables with it.
pub struct Elsewhere {
    namespace: OwnedFd,
}

impl Elsewhere {
    /// A new one in which only `lo` is up. No packet is dropped for coming along another way than
    /// it would be answered.
    pub fn new() -> Elsewhere {
        let made = thread::spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET).unwrap();
            ip("link set lo up\n");
            for conf in ["all", "default"] {
                std::fs::write(format!("/proc/sys/net/ipv4/conf/{conf}/rp_filter"), "0").unwrap();
            }
            OwnedFd::from(File::open("/proc/thread-self/ns/net").unwrap())
        });
        Elsewhere { namespace: made.join().unwrap() }
    }

    /// Takes a device of the story's namespace, brings it up there and runs more `ip` commands.
    pub fn take(&self, device: &str, commands: &str) {
        let there = format!("/proc/{}/fd/{}", std::process::id(), self.namespace.as_raw_fd());
        ip(&format!("link set {device} netns {there}\n"));
        // A peer that is not up yet is no reason to wait: duplicate detection is for others.
        self.ip(&format!("link set {device} up\n{commands}"));
    }

    /// `ip` there; a failing command is a failing test.
    pub fn ip(&self, commands: &str) {
        self.run(|| try_ip(commands)).unwrap_or_else(|why| panic!("ip elsewhere: {why}\n{commands}"));
    }

    /// Does something there. Sockets that are made stay there.
    pub fn run<T: Send>(&self, act: impl FnOnce() -> T + Send) -> T {
        thread::scope(|scope| {
            let done = scope.spawn(|| {
                setns(self.namespace.as_fd(), CloneFlags::CLONE_NEWNET).unwrap();
                act()
            });
            done.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// A program that will run there, and die with the story's thread.
    pub fn command(&self, program: &str) -> Command {
        let namespace = self.namespace.try_clone().unwrap();
        let mut command = Command::new(program);
        // SAFETY: two system calls.
        unsafe {
            command.pre_exec(move || {
                setns(namespace.as_fd(), CloneFlags::CLONE_NEWNET)?;
                nix::sys::prctl::set_pdeathsig(Signal::SIGKILL).map_err(Into::into)
            })
        };
        command
    }
}
