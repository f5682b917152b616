//! The only hands of this crate: everything it does to the file system.
//!
//! Behind a trait, so that the tests can pull the plug at any operation.
//! Reading is not here; it changes nothing.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use nix::fcntl::OFlag;

use crate::fault;

/// To open a file that may be another's by now: no link is followed, and no pipe waited for.
pub(crate) const PLAIN: i32 = OFlag::O_NOFOLLOW.union(OFlag::O_NONBLOCK).bits();

/// What may be done to the file system. Each operation is whole or fails.
pub trait Disk {
    /// Makes a directory with mode 0755, whatever the umask.
    fn mkdir(&self, path: &Path) -> io::Result<()>;
    /// Makes a new file with mode 0644, writes it and flushes it to the disk.
    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()>;
    /// Adds to a file that is there; flushed to the disk where `flush` says so.
    fn append(&self, path: &Path, bytes: &[u8], flush: bool) -> io::Result<()>;
    /// Sets so many bytes aside for a file, which stays as long as it is.
    fn reserve(&self, path: &Path, size: u64) -> io::Result<()>;
    /// Gives a file a second name.
    fn hard_link(&self, file: &Path, name: &Path) -> io::Result<()>;
    /// Makes `link` say `target`.
    fn symlink(&self, target: &Path, link: &Path) -> io::Result<()>;
    /// Renames, over what is there.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Lets two names change places, with neither missing in between.
    fn exchange(&self, one: &Path, other: &Path) -> io::Result<()>;
    /// Removes a file or a link.
    fn unlink(&self, path: &Path) -> io::Result<()>;
    /// Removes a directory and all in it, file by file.
    fn remove_tree(&self, path: &Path) -> io::Result<()>;
    /// Flushes the names in a directory to the disk.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;
}

/// The file system of this host.
#[derive(Debug, Clone, Copy)]
pub struct HostDisk;

impl Disk for HostDisk {
    fn mkdir(&self, path: &Path) -> io::Result<()> {
        fault::pass(|| ())?;
        DirBuilder::new().mode(0o755).create(path)?;
        fs::set_permissions(path, Permissions::from_mode(0o755))
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        fault::pass(|| drop(fs::write(path, &bytes[..bytes.len() / 2])))?;
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o644).open(path)?;
        file.set_permissions(Permissions::from_mode(0o644))?;
        file.write_all(bytes)?;
        file.sync_all()
    }

    fn append(&self, path: &Path, bytes: &[u8], flush: bool) -> io::Result<()> {
        let mut file = OpenOptions::new().append(true).custom_flags(PLAIN).open(path)?;
        fault::pass(|| drop(file.try_clone().and_then(|mut file| file.write_all(&bytes[..bytes.len() / 2]))))?;
        file.write_all(bytes)?;
        if flush { file.sync_data() } else { Ok(()) }
    }

    fn reserve(&self, path: &Path, size: u64) -> io::Result<()> {
        use nix::fcntl::{FallocateFlags, fallocate};
        let file = OpenOptions::new().write(true).open(path)?;
        match fallocate(&file, FallocateFlags::FALLOC_FL_KEEP_SIZE, 0, size.try_into().unwrap_or(i64::MAX)) {
            // A file system that cannot: what is written later finds room or does not.
            Err(nix::Error::EOPNOTSUPP | nix::Error::ENOSYS) => Ok(()),
            done => Ok(done?),
        }
    }

    fn hard_link(&self, file: &Path, name: &Path) -> io::Result<()> {
        fault::pass(|| ())?;
        fs::hard_link(file, name)
    }

    fn symlink(&self, target: &Path, link: &Path) -> io::Result<()> {
        fault::pass(|| ())?;
        std::os::unix::fs::symlink(target, link)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fault::pass(|| ())?;
        fs::rename(from, to)
    }

    #[cfg(target_env = "gnu")]
    fn exchange(&self, one: &Path, other: &Path) -> io::Result<()> {
        fault::pass(|| ())?;
        use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
        Ok(renameat2(AT_FDCWD, one, AT_FDCWD, other, RenameFlags::RENAME_EXCHANGE)?)
    }

    #[cfg(not(target_env = "gnu"))]
    fn exchange(&self, _: &Path, _: &Path) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn unlink(&self, path: &Path) -> io::Result<()> {
        fault::pass(|| ())?;
        fs::remove_file(path)
    }

    fn remove_tree(&self, path: &Path) -> io::Result<()> {
        fault::pass(|| ())?;
        fs::remove_dir_all(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        fault::pass(|| ())?;
        File::open(path)?.sync_all()
    }
}
