//! What is done to the file system for the resolver's sake: the only hands of this folder on it.
//!
//! Behind a trait, so that the tests can pull the plug at any operation. Reading changes nothing
//! and is not here.

use std::fmt::Debug;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// What may be done. Each operation is whole or fails, but for [`Disk::overwrite`].
pub(super) trait Disk: Debug + Send + Sync {
    /// Makes a new file with the owner and mode of `like`, or root's and 0644, and flushes it to the disk.
    fn write(&self, path: &Path, bytes: &[u8], like: Option<&Path>) -> io::Result<()>;
    /// Renames, over what is there.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Writes into a file that is there; a crash in between leaves a part of it.
    fn overwrite(&self, path: &Path, bytes: &[u8]) -> io::Result<()>;
    /// Removes a file.
    fn unlink(&self, path: &Path) -> io::Result<()>;
    /// Makes a directory, and those above it.
    fn mkdir(&self, path: &Path) -> io::Result<()>;
    /// Flushes the names in a directory to the disk.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;
}

/// The file system of this host.
#[derive(Debug, Clone, Copy)]
pub(super) struct HostDisk;

impl Disk for HostDisk {
    fn write(&self, path: &Path, bytes: &[u8], like: Option<&Path>) -> io::Result<()> {
        let like = like.map(fs::metadata).transpose()?;
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        if let Some(like) = &like {
            std::os::unix::fs::fchown(&file, Some(like.uid()), Some(like.gid()))?;
        }
        file.set_permissions(Permissions::from_mode(like.map_or(0o644, |like| like.mode() & 0o7777)))?;
        file.write_all(bytes)?;
        file.sync_all()
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn overwrite(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).truncate(true).open(path)?;
        file.write_all(bytes)?;
        file.sync_all()
    }

    fn unlink(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn mkdir(&self, path: &Path) -> io::Result<()> {
        fs::create_dir_all(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }
}

/// Makes a file say `bytes`, or be gone; a crash at any moment leaves the old or the new.
///
/// A file that something is mounted upon (as `/etc/resolv.conf` in most containers), or in a
/// directory that cannot be written, cannot be replaced: it is written into.
pub(super) fn put(disk: &dyn Disk, path: &Path, bytes: Option<&[u8]>) -> io::Result<()> {
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let Some(bytes) = bytes else {
        return match disk.unlink(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
            Ok(()) => disk.sync_dir(dir),
        };
    };
    let like = Some(path).filter(|path| path.exists());
    match replace(disk, dir, path, bytes, like) {
        Err(error) if like.is_some() && is_fixed(&error) => disk.overwrite(path, bytes),
        done => done,
    }
}

fn replace(disk: &dyn Disk, dir: &Path, path: &Path, bytes: &[u8], like: Option<&Path>) -> io::Result<()> {
    // Only the name is tempfile's: what a crash leaves behind is as good as nothing, and told by its name.
    let temp = tempfile::Builder::new()
        .prefix(".vdsm-resolver.")
        .disable_cleanup(true)
        .make_in(dir, |temp| disk.write(temp, bytes, like).inspect_err(|_| drop(disk.unlink(temp))))?;
    let temp = temp.path();
    disk.rename(temp, path).inspect_err(|_| drop(disk.unlink(temp)))?;
    disk.sync_dir(dir)
}

/// A mount point (EBUSY, EXDEV), or a directory that is not to be written in.
fn is_fixed(error: &io::Error) -> bool {
    use io::ErrorKind::{CrossesDevices, PermissionDenied, ReadOnlyFilesystem, ResourceBusy};
    [ResourceBusy, CrossesDevices, ReadOnlyFilesystem, PermissionDenied].contains(&error.kind())
}
