//! A directory under target/xtask for each command: what it runs and what it logs.
//!
//! One process at a time has it. What a run leaves is there to be read until the next
//! run of the same command.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use crate::error::{Error, Trying};

/// An empty directory of our own.
pub(crate) struct Workplace {
    path: PathBuf,
    /// Held, not read: the lock ends with us, however we end.
    _lock: File,
}

impl Workplace {
    /// Clears the directory `name`, once no other process works there.
    pub(crate) fn open(name: &str) -> Result<Self, Error> {
        let all = target_directory()?.join("xtask");
        let path = all.join(name);
        fs::create_dir_all(&all).trying(format_args!("make {}", all.display()))?;
        let lock = File::create(all.join(format!("{name}.lock"))).trying("make a lock file")?;
        if lock.try_lock().is_err() {
            eprintln!("xtask: another `cargo xtask {name}` is running here; waiting for its end");
            lock.lock().trying("lock a file")?;
        }
        if path.exists() {
            fs::remove_dir_all(&path).trying(format_args!("clear {}", path.display()))?;
        }
        fs::create_dir(&path).trying(format_args!("make {}", path.display()))?;
        Ok(Self { path, _lock: lock })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// A file in it.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// A new directory in it.
    pub(crate) fn directory(&self, name: &str) -> Result<PathBuf, Error> {
        let path = self.path.join(name);
        fs::create_dir(&path).trying(format_args!("make {}", path.display()))?;
        Ok(path)
    }

    /// A directory with copies of these programs: a build that goes on meanwhile must
    /// not change them under a UML's feet.
    pub(crate) fn programs(&self, programs: &[PathBuf]) -> Result<PathBuf, Error> {
        let bin = self.directory("bin")?;
        for program in programs {
            let name = program.file_name().unwrap_or(OsStr::new("program"));
            fs::copy(program, bin.join(name)).trying(format_args!("copy {}", program.display()))?;
        }
        Ok(bin)
    }
}

/// Where cargo builds: we were built there ourselves, as target/debug/xtask.
pub(crate) fn target_directory() -> Result<PathBuf, Error> {
    let program = std::env::current_exe().trying("find the xtask program")?;
    let target = program.ancestors().nth(2).map(Path::to_path_buf);
    target.ok_or_else(|| Error::Failed("the xtask program is in no target directory".into()))
}
