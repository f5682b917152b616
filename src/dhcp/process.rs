//! The process: all clients, one socket, a few threads.
//!
//! Arguments, the log and opening the socket are the program's.

use std::io;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::Semaphore;
use vdsm_netlink::{Wire, WireError};

use crate::client::Host;
use crate::connection;
use crate::devices::Ears;
use crate::files::Files;
use crate::service::{Board, Service};

/// The daemon needs two; a caller more waits until another one goes.
const CALLERS: usize = 16;
/// Binding and closing a packet socket, as each client does when it asks, waits in the kernel for
/// everybody's last look at it (`synchronize_net` in net/packet/af_packet.c), about 30 ms. All that wait
/// at once wait together: 200 leases took 6.3 s on one thread, 2.3 s on four, 1.2 s on 16, 0.7 s on 32.
const THREADS: usize = 16;
/// For one address.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why the process cannot run.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// The state folder cannot be used.
    #[error("cannot use {path}")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The runtime or the socket fails.
    #[error("cannot serve the socket")]
    Serve(#[source] io::Error),
    /// The kernel cannot be heard or talked to.
    #[error("cannot talk to the kernel")]
    Kernel(#[source] WireError),
}

/// Runs the clients that were wanted before and those that callers start, until `stop`.
///
/// Addresses and leases stay as they are then: who comes next adopts them.
///
/// # Errors
/// [`ProcessError`]; the addresses stay as well.
pub fn run(
    listener: UnixListener,
    state: &Path,
    ready: impl FnOnce(),
    stop: impl Future<Output = ()>,
) -> Result<(), ProcessError> {
    more_descriptors();
    let folder = |source| ProcessError::Folder { path: state.to_owned(), source };
    let files = Files::open(state).map_err(folder)?;
    let duid = files.duid().map_err(folder)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(THREADS).enable_all().build();
    let runtime = runtime.map_err(ProcessError::Serve)?;
    runtime.block_on(async {
        let (ears, devices) = Ears::open().map_err(ProcessError::Kernel)?;
        let wire = Mutex::new(Wire::open(PATIENCE).map_err(ProcessError::Kernel)?);
        listener.set_nonblocking(true).map_err(ProcessError::Serve)?;
        let listener = tokio::net::UnixListener::from_std(listener).map_err(ProcessError::Serve)?;
        let service = Arc::new(Service::resume(Host { devices, files, board: Board::new(), wire, duid }).await);
        ready();
        tokio::select! {
            error = ears.listen() => Err(ProcessError::Kernel(error)),
            error = accept(listener, service) => Err(ProcessError::Serve(error)),
            () = stop => Ok(()),
        }
    })
}

async fn accept(listener: tokio::net::UnixListener, service: Arc<Service>) -> io::Error {
    let room = Arc::new(Semaphore::new(CALLERS));
    loop {
        let Ok(seat) = Arc::clone(&room).acquire_owned().await else {
            return io::ErrorKind::BrokenPipe.into();
        };
        match listener.accept().await {
            Ok((stream, _)) => {
                let service = Arc::clone(&service);
                tokio::spawn(async move {
                    connection::serve(stream, service).await;
                    drop(seat);
                });
            }
            Err(error) if matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE | libc::ECONNABORTED)) => {
                tracing::warn!(%error, "a caller could not be taken");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            Err(error) => return error,
        }
    }
}

/// A client that asks has a socket, one that waits a timer: the usual 1024 would end at some hundred
/// networks with both families.
fn more_descriptors() {
    // SAFETY: the kernel writes to and reads from `limit`, nothing else.
    unsafe {
        let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        if libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) == 0 {
            limit.rlim_cur = limit.rlim_max.min(65_536);
            libc::setrlimit(libc::RLIMIT_NOFILE, &limit);
        }
    }
}
