//! What flows to a client unasked, and how a call attaches it.
//!
//! The server pulls: a feed keeps what it has to say in a mailbox of its own,
//! with a bound of its own, and a connection takes from it when its client takes
//! more. So a client that is slow, or stopped, costs that mailbox and nobody
//! else anything. What a feed tells is not known here, nor when it is sent
//! (`writer`).

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

use super::Peer;

/// Where a connection gets notifications from; each connection from one of its own.
///
/// All of it runs on the server's own thread, so nothing in it may block.
pub trait Feed: Send + Sync + 'static {
    /// The next line or lines to send: complete JSON-RPC notifications, each ending in `\n`; or none.
    ///
    /// Called only when the connection can take more. What is given out is held
    /// by the connection until its client reads it or leaves, so it is better
    /// given in small portions, a line or some ten kilobytes.
    fn take(&self) -> Option<Vec<u8>>;

    /// Whom the feed wakes, with `notify_one`, when there is something to take.
    ///
    /// `notify_one` remembers; `notify_waiters` would be missed by a connection
    /// that is about to wait.
    fn waker(&self) -> &Notify;

    /// Nobody will take any more. Told exactly once, whatever the reason: the
    /// client is gone, the server ends, another feed took the place, or the call
    /// that attached it failed.
    ///
    /// What was taken before may or may not have reached the client.
    fn closed(&self);
}

/// Who calls, and what the call leaves behind on the connection.
pub struct Caller {
    /// The client.
    pub peer: Arc<Peer>,
    attached: Mutex<Option<Attached>>,
}

impl Caller {
    pub(super) fn new(peer: Arc<Peer>) -> Caller {
        Caller { peer, attached: Mutex::new(None) }
    }

    /// Sends the client what `feed` has to say, from after the answer to this
    /// call until the client leaves.
    ///
    /// A connection has one feed. Another one that was attached to it is closed,
    /// and after the answer nothing comes of it any more. If the call fails in
    /// the end, with an error or a panic, nothing is attached and `feed` is closed.
    pub fn attach(&self, feed: Arc<dyn Feed>) {
        let mut attached = self.attached.lock().unwrap_or_else(PoisonError::into_inner);
        let former = attached.replace(Attached(feed));
        // A feed is told without anything of ours locked.
        drop(attached);
        drop(former);
    }

    pub(super) fn into_attached(self) -> Option<Attached> {
        self.attached.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A feed that is told when it is dropped, once, wherever that happens.
pub(super) struct Attached(Arc<dyn Feed>);

impl Attached {
    pub(super) fn take(&self) -> Option<Vec<u8>> {
        let lines = self.0.take();
        debug_assert!(lines.as_ref().is_none_or(|lines| lines.ends_with(b"\n")), "a feed gives whole lines");
        lines
    }

    /// Waits until there may be something to take.
    pub(super) async fn woken(&self) {
        self.0.waker().notified().await;
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        // A panic here may come upon another one, and that would end the daemon.
        if catch_unwind(AssertUnwindSafe(|| self.0.closed())).is_err() {
            tracing::error!("a feed panicked as it was closed");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Broken(Notify);

    impl Feed for Broken {
        fn take(&self) -> Option<Vec<u8>> {
            None
        }

        fn waker(&self) -> &Notify {
            &self.0
        }

        fn closed(&self) {
            panic!("as asked");
        }
    }

    #[test]
    fn a_feed_that_panics_when_it_is_closed_is_let_go() {
        drop(Attached(Arc::new(Broken(Notify::new()))));
    }
}
