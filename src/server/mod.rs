//! The daemon's front door: JSON-RPC 2.0, one document a line, over a UNIX socket.
//!
//! Accepts clients, learns from the kernel who they are, frames their lines and
//! hands each call to a [`Service`]. Nothing here knows of networks, of methods
//! or of who may call which one: the service sees the [`Peer`] and decides. What
//! it has to say unasked, it says through a [`Feed`] that a call attaches.
//!
//! No client can harm another. What one may hold is limited in lines, bytes and
//! calls, and those who may only read never use up a place or a thread of those
//! who may change something.

mod connection;
mod dispatch;
mod feed;
mod lines;
mod listen;
mod peer;
mod reply;
mod room;
mod writer;

use std::future::Future;
use std::io::{self, ErrorKind, Write};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::{JoinError, JoinSet};

use crate::rpc::{RpcError, TOO_MANY_CLIENTS};

pub use feed::{Caller, Feed};
#[cfg(test)]
pub(crate) use lines::all_lines;
pub use listen::{inherited, listen, make_way, remove};
pub use peer::{Access, Peer};
pub use reply::{RawJson, Reply};

use reply::Text;
use room::Room;

/// What the server serves.
pub trait Service: Send + Sync + 'static {
    /// Executes one call. Runs on a thread of its own and may block; several run
    /// at once, also of one client. A panic is answered with -32603.
    fn call(&self, method: &str, params: serde_json::Value, caller: &Caller) -> Result<Reply, RpcError>;
}

/// How many of the longest lines there is room for at once. One user's clients have half of what
/// others leave, so whoever else comes has room for one of the longest lines, too.
const ROOM: usize = 4;

/// What a client may take of us. A zero counts as a one.
#[derive(Debug, Clone)]
pub struct Limits {
    /// A longer line is refused unread; the connection stays usable. Lines that come still, or wait
    /// for their call, take [`ROOM`] times as much together, counted for each access apart.
    pub max_request_bytes: usize,
    /// Connections at once. Those with [`Access::Read`] are counted apart from
    /// those with [`Access::Change`], so neither can shut the other out.
    pub max_clients: usize,
    /// Calls of one connection at once, running or with an answer yet unread.
    /// At the limit its further lines are not read. Also the longest batch.
    pub max_pending_per_client: usize,
    /// Calls of all connections at once, again counted for each access apart.
    /// The runtime needs twice as many blocking threads.
    pub max_calls: usize,
    /// The time from a line's first byte to its end, after which the client is
    /// dropped. Between lines a client may be silent for as long as it likes.
    pub idle_partial: Duration,
    /// The time in which a client has to take an answer, or it is dropped.
    /// For notifications it has as long as it likes.
    pub write_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            max_request_bytes: 4 << 20,
            max_clients: 64,
            max_pending_per_client: 16,
            max_calls: 32,
            idle_partial: Duration::from_secs(30),
            write_timeout: Duration::from_secs(30),
        }
    }
}

/// Serves until `shutdown` comes true, then ends in good order: nobody new is
/// let in, no further line is read, feeds are closed, and the calls that run are
/// finished and answered. How long that takes is the service's affair; drop the
/// future to stop waiting. The socket's file stays: see [`remove`].
///
/// An error is one of the listening socket itself.
pub async fn serve(
    listener: UnixListener,
    service: Arc<dyn Service>,
    group: Option<u32>,
    limits: Limits,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let places = PerAccess::new(|| permits(at_least_one(limits.max_clients)));
    let desk = Arc::new(Desk::new(service, limits));
    let (close, closing) = watch::channel(false);
    let mut connections = JoinSet::new();
    let mut shutdown = pin!(shutdown);
    let outcome = loop {
        tokio::select! {
            biased;
            () = &mut shutdown => break Ok(()),
            Some(ended) = connections.join_next() => note_panic(ended),
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    if let Some((stream, peer, place)) = admit(stream, &places, group) {
                        let (desk, closing) = (desk.clone(), closing.clone());
                        connections.spawn(async move {
                            connection::attend(stream, peer, desk, closing).await;
                            drop(place);
                        });
                    }
                }
                Err(error) if passes(&error) => {
                    // Out of file descriptors, say: the error stays until somebody leaves.
                    tracing::warn!(%error, "cannot accept a client");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                Err(error) => break Err(error),
            },
        }
    };
    drop(listener);
    close.send_replace(true);
    while let Some(ended) = connections.join_next().await {
        note_panic(ended);
    }
    // Clients that did not take their answers are gone, their calls may not be.
    desk.all_back().await;
    outcome
}

/// What all connections share.
struct Desk {
    service: Arc<dyn Service>,
    limits: Limits,
    calls: PerAccess<Arc<Semaphore>>,
    rooms: PerAccess<Arc<Room>>,
}

impl Desk {
    fn new(service: Arc<dyn Service>, limits: Limits) -> Desk {
        let calls = PerAccess::new(|| permits(at_least_one(limits.max_calls)));
        let rooms = PerAccess::new(|| Room::new(limits.max_request_bytes.saturating_mul(ROOM)));
        Desk { service, limits, calls, rooms }
    }

    /// Waits until no call runs any more.
    async fn all_back(&self) {
        for access in [Access::Change, Access::Read] {
            // An error means closed, and we never close one.
            let _ = self.calls.of(access).acquire_many(at_least_one(self.limits.max_calls)).await;
        }
    }
}

/// The same for those who change and for those who read.
struct PerAccess<T> {
    change: T,
    read: T,
}

impl<T> PerAccess<T> {
    fn new(make: impl Fn() -> T) -> PerAccess<T> {
        PerAccess { change: make(), read: make() }
    }

    fn of(&self, access: Access) -> &T {
        match access {
            Access::Change => &self.change,
            Access::Read => &self.read,
        }
    }
}

fn permits(count: u32) -> Arc<Semaphore> {
    Arc::new(Semaphore::new(count as usize))
}

/// A limit as a semaphore takes it; a million of anything is no limit.
fn at_least_one(limit: usize) -> u32 {
    limit.clamp(1, 1 << 20) as u32
}

type Admitted = (UnixStream, Peer, tokio::sync::OwnedSemaphorePermit);

fn admit(stream: UnixStream, places: &PerAccess<Arc<Semaphore>>, group: Option<u32>) -> Option<Admitted> {
    let peer = match Peer::of(&stream, group) {
        Ok(peer) => peer,
        Err(error) => {
            tracing::warn!(%error, "cannot learn who a client is");
            return None;
        }
    };
    match places.of(peer.access).clone().try_acquire_owned() {
        Ok(place) => Some((stream, peer, place)),
        Err(_) => {
            tracing::warn!(?peer, "too many clients, one is turned away");
            turn_away(stream);
            None
        }
    }
}

fn turn_away(stream: UnixStream) {
    let line = Text::refusal(RpcError::new(TOO_MANY_CLIENTS, "too many clients"));
    // The socket's buffer is empty and we do not wait: this neither blocks nor needs a task.
    if let Err(error) = stream.into_std().and_then(|mut stream| stream.write_vectored(&line.slices())) {
        tracing::debug!(%error, "a client left before it was turned away");
    }
}

/// Whether accepting may well succeed later.
fn passes(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::ConnectionAborted | ErrorKind::Interrupted)
        || matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM))
}

fn note_panic(ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a connection's task failed");
    }
}

#[cfg(test)]
mod tests;
