//! One daemon for a run directory: a lock that ends with whoever holds it, however that ends.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::fcntl::{Flock, FlockArg};

/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(10);

/// Held while this lives.
#[derive(Debug)]
pub struct Lock(#[allow(dead_code)] Flock<File>);

impl Lock {
    /// Takes the lock of a directory, which is made where it is missing. Whoever holds it has so
    /// long to end: one that was killed, or that brings the host back in its place.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] if it is still held then; else what the file system says.
    pub fn take(dir: &Path, patience: Duration) -> io::Result<Lock> {
        fs::create_dir_all(dir)?;
        let end = Instant::now() + patience;
        let path = dir.join("vdsm-netd.lock");
        let mut file = file(&path)?;
        loop {
            match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
                Ok(lock) => return Ok(Lock(lock)),
                Err((_, error)) if error != nix::Error::EWOULDBLOCK || Instant::now() >= end => {
                    return Err(error.into());
                }
                Err((same, _)) => file = same,
            }
            std::thread::sleep(PAUSE);
        }
    }
}

/// A file to be locked. Nobody else can open it, so nobody else can lock us out.
pub(crate) fn file(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false).mode(0o600).custom_flags(libc::O_NOFOLLOW).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_has_it_and_the_next_gets_it_when_that_one_ends() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("run");
        let first = Lock::take(&dir, Duration::ZERO).unwrap();
        let refused = Lock::take(&dir, Duration::from_millis(30)).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::WouldBlock);
        let next = std::thread::spawn(move || Lock::take(&dir, Duration::from_secs(60)).map(drop));
        std::thread::sleep(Duration::from_millis(30));
        drop(first);
        next.join().unwrap().unwrap();
    }
}
