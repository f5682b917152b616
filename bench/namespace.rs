//! A network namespace of one's own, and a directory in memory that goes with it.
//!
//! What is done there is the stages'.

use std::fs;
use std::path::{Path, PathBuf};

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};

/// A new network namespace, and a /sys that shows it.
pub(crate) fn own_namespace() -> Result<(), String> {
    let none = None::<&str>;
    let new = CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS;
    unshare(new)
        .and_then(|()| mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none))
        .and_then(|()| mount(Some("sysfs"), "/sys", Some("sysfs"), MsFlags::empty(), none))
        .map_err(|e| format!("no network namespace of my own (am I root?): {e}"))
}

/// A directory in memory that goes with us.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn make() -> Result<Scratch, String> {
        let base = ["/run", "/dev/shm"].into_iter().find(|dir| fs::create_dir_all(probe(dir)).is_ok());
        base.map(|dir| Scratch(probe(dir))).ok_or_else(|| "neither /run nor /dev/shm can be written".into())
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What stays is a few files in memory, in a sandbox that ends soon.
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn probe(dir: &str) -> PathBuf {
    Path::new(dir).join(format!("vdsm-bench.{}", std::process::id()))
}
