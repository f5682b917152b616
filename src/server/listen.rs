//! The socket's file: made, taken over from a dead daemon, removed.
//!
//! Everybody may connect (mode 0666), since everybody may read; what a client
//! may do is decided by who it is (`peer`), not by the file. What is said over
//! the socket is of no concern here.

use std::fs::{DirBuilder, File, Permissions};
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, PermissionsExt, chown};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::kill;
use nix::sys::socket::{self, AddressFamily, Backlog, SockFlag, SockType, UnixAddr, sockopt};
use nix::sys::stat::{Mode, fchmod};
use nix::unistd::Pid;

/// A process that was forked has become another by then, on a busy machine too.
const UNTIL_EXEC: Duration = Duration::from_secs(5);

/// Opens the daemon's socket, ready for `tokio::net::UnixListener::from_std`.
///
/// The file belongs to the daemon's user and to `group`, mode 0666; a missing
/// folder is made with mode 0755. A socket left behind by a dead daemon is
/// replaced. Fails with `AddrInUse` when a living one answers on it, and with
/// `AlreadyExists` when the file is no socket. A file `<path>.lock` remains
/// beside it: two daemons that start at once must not both find the old one dead.
pub fn listen(path: &Path, group: Option<u32>) -> io::Result<UnixListener> {
    if let Some(folder) = path.parent() {
        make_folder(folder)?;
    }
    let _lock = lock(path)?;
    remove_dead(path)?;
    let fd = new_socket()?;
    // Linux gives the file the mode of the socket it is bound to, so for nobody but us does it
    // exist before it is ours and the group's. It refuses connections until `listen` below.
    fchmod(&fd, Mode::S_IRUSR | Mode::S_IWUSR)?;
    socket::bind(fd.as_raw_fd(), &UnixAddr::new(path)?)?;
    chown(path, None, group)
        .and_then(|()| std::fs::set_permissions(path, Permissions::from_mode(0o666)))
        .and_then(|()| Ok(socket::listen(&fd, Backlog::new(128)?)?))
        .inspect_err(|_| {
            if let Err(error) = std::fs::remove_file(path) {
                tracing::warn!(%error, ?path, "cannot remove the socket again");
            }
        })?;
    Ok(UnixListener::from(fd))
}

/// Removes the socket of a dead daemon, if it is there. Fails with `AddrInUse` when a living one
/// answers on it: who is about to take the host in its care finds out before.
pub fn make_way(path: &Path) -> io::Result<()> {
    if std::fs::symlink_metadata(path).is_err() {
        return Ok(());
    }
    let _lock = lock(path)?;
    remove_dead(path)
}

/// Removes the socket's file after a clean end, once its listener is closed.
///
/// Where a newer daemon answers on it already it stays, and that is no error.
/// Not for a socket from [`inherited`]: that one is systemd's.
pub fn remove(path: &Path) -> io::Result<()> {
    match make_way(path) {
        Err(error) if error.kind() == ErrorKind::AddrInUse => Ok(()),
        done => done,
    }
}

/// The socket systemd opened for us, ready for `tokio::net::UnixListener::from_std`.
///
/// The first call takes it, a later one finds none. What else systemd handed
/// over is left alone, and said so in the log.
pub fn inherited() -> Option<UnixListener> {
    static TAKEN: AtomicBool = AtomicBool::new(false);
    if TAKEN.swap(true, Ordering::SeqCst) {
        return None;
    }
    let fds = sd_notify::listen_fds()
        .inspect_err(|error| tracing::warn!(%error, "cannot tell which sockets systemd passed"))
        .ok()?;
    let mut found = None;
    for fd in fds {
        // SAFETY: the descriptor is open, or `listen_fds` had failed to set its flags. systemd
        // opened it for us alone, and `TAKEN` keeps us from taking it a second time.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        if found.is_none() && listens(&fd) {
            found = Some(UnixListener::from(fd));
        } else {
            tracing::warn!(?fd, "systemd passed something that is not our socket");
            // Not ours to close.
            std::mem::forget(fd);
        }
    }
    let found = found?;
    found
        .set_nonblocking(true)
        .inspect_err(|error| tracing::warn!(%error, "cannot use the socket systemd passed"))
        .ok()?;
    Some(found)
}

fn listens(fd: &OwnedFd) -> bool {
    socket::getsockopt(fd, sockopt::AcceptConn) == Ok(true)
        && socket::getsockopt(fd, sockopt::SockType) == Ok(SockType::Stream)
        && socket::getsockname::<UnixAddr>(fd.as_raw_fd()).is_ok()
}

fn make_folder(folder: &Path) -> io::Result<()> {
    if folder.as_os_str().is_empty() || folder.is_dir() {
        return Ok(());
    }
    DirBuilder::new().recursive(true).mode(0o755).create(folder)?;
    // The umask may have taken away what everybody needs to reach the socket.
    std::fs::set_permissions(folder, Permissions::from_mode(0o755))
}

fn lock(path: &Path) -> io::Result<Flock<File>> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let file = crate::lock::file(Path::new(&name))?;
    Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, error)| error.into())
}

/// Removes the socket at `path` if there is one and nobody answers on it.
fn remove_dead(path: &Path) -> io::Result<()> {
    match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
        Ok(seen) if !seen.file_type().is_socket() => {
            let text = format!("{} exists and is not a socket", path.display());
            return Err(io::Error::new(ErrorKind::AlreadyExists, text));
        }
        Ok(_) => {}
    }
    let end = Instant::now() + UNTIL_EXEC;
    loop {
        // Without blocking: a living daemon that hangs answers with a full queue, and it lives.
        let fd = new_socket()?;
        match socket::connect(fd.as_raw_fd(), &UnixAddr::new(path)?) {
            Err(Errno::ECONNREFUSED) => return std::fs::remove_file(path),
            Err(Errno::ENOENT) => return Ok(()),
            Ok(()) if is_bequeathed(&fd) && Instant::now() < end => until_let_go(&fd, end)?,
            Ok(()) | Err(Errno::EAGAIN) => {
                let text = format!("another process answers on {}", path.display());
                return Err(io::Error::new(ErrorKind::AddrInUse, text));
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Whether who listened is dead, and another process holds the socket: mostly a child that the daemon
/// was killed over, which closes it once it has got from fork to exec.
fn is_bequeathed(connection: &OwnedFd) -> bool {
    // Who called listen(2) is whom the kernel names (unix(7)); 0 is beyond our PID namespace.
    let listener = socket::getsockopt(connection, sockopt::PeerCredentials).map_or(0, |peer| peer.pid());
    listener > 0 && kill(Pid::from_raw(listener), None) == Err(Errno::ESRCH)
}

/// Who waits to be accepted is hung up on when the socket goes. To connect again and again would fill its queue.
fn until_let_go(connection: &OwnedFd, end: Instant) -> io::Result<()> {
    let left = end.saturating_duration_since(Instant::now());
    let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
    match poll(&mut [PollFd::new(connection.as_fd(), PollFlags::POLLIN)], timeout) {
        Ok(_) | Err(Errno::EINTR) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

fn new_socket() -> nix::Result<OwnedFd> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    socket::socket(AddressFamily::Unix, SockType::Stream, flags, None)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::os::unix::fs::MetadataExt;
    use std::os::unix::net::UnixStream;
    use std::os::unix::process::CommandExt;
    use std::process::{Command, Stdio};
    use std::sync::Barrier;

    use std::path::PathBuf;

    use super::*;

    fn place() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run/vdsm/netd.sock");
        (folder, path)
    }

    fn refuses(path: &Path, kind: ErrorKind) {
        assert_eq!(listen(path, None).unwrap_err().kind(), kind);
    }

    #[test]
    fn the_socket_is_open_to_all_and_its_folder_to_the_owner() {
        let (_folder, path) = place();
        let group = nix::unistd::getegid().as_raw();
        let listener = listen(&path, Some(group)).unwrap();
        let seen = std::fs::metadata(&path).unwrap();
        assert_eq!((seen.mode() & 0o7777, seen.gid()), (0o666, group));
        let seen = std::fs::metadata(path.parent().unwrap()).unwrap();
        assert_eq!(seen.mode() & 0o7777, 0o755);
        assert_eq!(listener.local_addr().unwrap().as_pathname(), Some(&*path));
        UnixStream::connect(&path).unwrap();
    }

    #[test]
    fn a_dead_daemons_socket_is_replaced_once_its_child_has_let_it_go() {
        let (_folder, path) = place();
        make_folder(path.parent().unwrap()).unwrap();
        let fd = new_socket().unwrap();
        socket::bind(fd.as_raw_fd(), &UnixAddr::new(&path).unwrap()).unwrap();
        let mut daemon = Command::new("true");
        let raw = fd.as_raw_fd();
        // SAFETY: one system call.
        unsafe { daemon.pre_exec(move || Ok(Errno::result(libc::listen(raw, 9)).map(drop)?)) };
        assert!(daemon.status().unwrap().success());
        UnixStream::connect(&path).unwrap();
        let child = std::thread::spawn(|| {
            std::thread::sleep(Duration::from_millis(200));
            drop(fd);
        });
        listen(&path, None).unwrap();
        child.join().unwrap();
    }

    #[test]
    fn a_dead_daemons_socket_is_replaced() {
        let (_folder, path) = place();
        drop(listen(&path, None).unwrap());
        assert!(path.exists());
        let _listener = listen(&path, None).unwrap();
        UnixStream::connect(&path).unwrap();
    }

    #[test]
    fn a_living_daemons_socket_is_left_alone() {
        let (_folder, path) = place();
        let listener = listen(&path, None).unwrap();
        refuses(&path, ErrorKind::AddrInUse);
        remove(&path).unwrap();
        UnixStream::connect(&path).unwrap();
        // Also when it hangs and its queue is full.
        socket::listen(&listener, Backlog::new(0).unwrap()).unwrap();
        refuses(&path, ErrorKind::AddrInUse);
        refuses(&path, ErrorKind::AddrInUse);
        assert!(path.exists());
    }

    #[test]
    fn a_file_that_is_no_socket_is_left_alone() {
        let (_folder, path) = place();
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, "precious").unwrap();
        refuses(&path, ErrorKind::AlreadyExists);
        std::fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink("elsewhere", &path).unwrap();
        refuses(&path, ErrorKind::AlreadyExists);
    }

    #[test]
    fn of_daemons_that_start_at_once_one_gets_the_socket() {
        let (_folder, path) = place();
        for _ in 0..50 {
            drop(listen(&path, None).unwrap());
            let start = Barrier::new(8);
            let daemon = || {
                start.wait();
                listen(&path, None)
            };
            let all = std::thread::scope(|scope| {
                let daemons: Vec<_> = (0..8).map(|_| scope.spawn(daemon)).collect();
                let ended = daemons.into_iter().map(|daemon| daemon.join().unwrap());
                ended.collect::<Vec<_>>()
            });
            let (won, lost): (Vec<_>, Vec<_>) = all.into_iter().partition(Result::is_ok);
            assert_eq!(won.len(), 1);
            for error in lost {
                assert_eq!(error.unwrap_err().kind(), ErrorKind::AddrInUse);
            }
            UnixStream::connect(&path).unwrap();
        }
    }

    #[test]
    fn after_a_clean_end_the_file_is_gone() {
        let (_folder, path) = place();
        drop(listen(&path, None).unwrap());
        remove(&path).unwrap();
        assert!(!path.exists());
        remove(&path).unwrap();
    }

    const CHILD: &str = "VDSM_NET_TEST_INHERITED";

    /// Runs this very test again as systemd would start a daemon: fd 3 is the socket.
    #[test]
    fn a_socket_from_systemd_is_taken_once() {
        if std::env::var_os(CHILD).is_some() {
            let listener = inherited().unwrap();
            assert!(inherited().is_none());
            listener.set_nonblocking(false).unwrap();
            listener.accept().unwrap();
            return;
        }
        let (_folder, path) = place();
        let listener = listen(&path, None).unwrap();
        let _client = UnixStream::connect(&path).unwrap();
        let script = r#"exec 3<&0 </dev/null; LISTEN_FDS=1 LISTEN_PID=$$ exec "$@""#;
        let name = "server::listen::tests::a_socket_from_systemd_is_taken_once";
        let output = Command::new("sh")
            .args(["-c", script, "sh"])
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", name, "--nocapture"])
            .env(CHILD, "1")
            .stdin(Stdio::from(OwnedFd::from(listener)))
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && text.contains("1 passed"), "{output:?}");
    }

    #[test]
    fn what_is_no_listening_socket_is_not_taken_for_one() {
        let (one, _other) = UnixStream::pair().unwrap();
        assert!(!listens(&OwnedFd::from(one)));
        assert!(!listens(&OwnedFd::from(File::open("/dev/null").unwrap())));
        let tcp = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        assert!(!listens(&OwnedFd::from(tcp)));
        let (_folder, path) = place();
        assert!(listens(&OwnedFd::from(listen(&path, None).unwrap())));
    }
}
