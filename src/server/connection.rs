//! One client, from its first line to its last answer.
//!
//! Its calls run side by side and are answered as they finish: a client must be
//! able to confirm its connectivity while its change is still under way. Not
//! here: what a line says (`dispatch`), and who may connect at all (`serve`).

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{OwnedSemaphorePermit, mpsc, watch};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::lines::{Line, Lines};
use super::{Desk, Peer, at_least_one, dispatch, permits};
use crate::rpc::{Id, Response, RpcError};

/// Serves a client until it leaves, is dropped, or the server closes.
///
/// Calls under way are finished in any case. A client that only closed its
/// sending side gets their answers too.
pub(super) async fn attend(stream: UnixStream, peer: Peer, desk: Arc<Desk>, mut closing: watch::Receiver<bool>) {
    let peer = Arc::new(peer);
    let (incoming, outgoing) = stream.into_split();
    let (answers, queue) = mpsc::unbounded_channel();
    let mut writing = Box::pin(write_answers(outgoing, queue, desk.limits.write_timeout));
    let written = tokio::select! {
        written = &mut writing => Some(written),
        () = read_requests(incoming, peer.clone(), desk, answers) => None,
        _ = closing.wait_for(|closing| *closing) => None,
    };
    // With the reader gone the queue ends after the last call that still runs.
    let written = match written {
        Some(written) => written,
        None => writing.await,
    };
    if let Err(error) = written {
        tracing::debug!(%error, ?peer, "a client does not take its answers");
    }
}

/// A line to send, and the client's permit it gives back once it is sent.
///
/// The queue has no bound of its own, these permits are it.
struct Answer {
    line: Vec<u8>,
    _turn: OwnedSemaphorePermit,
}

async fn write_answers(
    mut to: OwnedWriteHalf,
    mut queue: mpsc::UnboundedReceiver<Answer>,
    patience: Duration,
) -> io::Result<()> {
    while let Some(answer) = queue.recv().await {
        timeout(patience, to.write_all(&answer.line)).await??;
    }
    Ok(())
}

async fn read_requests(from: OwnedReadHalf, peer: Arc<Peer>, desk: Arc<Desk>, answers: mpsc::UnboundedSender<Answer>) {
    let limits = &desk.limits;
    let pending = permits(at_least_one(limits.max_pending_per_client));
    let mut lines = Lines::new(from, limits.max_request_bytes, limits.idle_partial);
    // Neither semaphore is ever closed, so acquiring can only wait.
    while let Ok(turn) = pending.clone().acquire_owned().await {
        let (refusal, last) = match lines.next().await {
            Ok(Line::Whole(line)) => {
                let Ok(permit) = desk.calls.of(peer.access).acquire_owned().await else {
                    return;
                };
                execute(line, turn, permit, &peer, &desk, &answers);
                continue;
            }
            Ok(Line::TooLong) => (format!("the line is longer than {} bytes", limits.max_request_bytes), false),
            Ok(Line::Unfinished) => (format!("the line was not finished within {:?}", limits.idle_partial), true),
            Ok(Line::End) => return,
            Err(error) => {
                tracing::debug!(%error, ?peer, "cannot read from a client");
                return;
            }
        };
        let response = Response::error(Id::Null, RpcError::invalid_request(refusal));
        let answer = Answer { line: dispatch::line_of(&response), _turn: turn };
        if answers.send(answer).is_err() || last {
            return;
        }
    }
}

/// Starts the calls of a line; the document is read there too, since it may be large.
fn execute(
    line: Vec<u8>,
    turn: OwnedSemaphorePermit,
    permit: OwnedSemaphorePermit,
    peer: &Arc<Peer>,
    desk: &Arc<Desk>,
    answers: &mpsc::UnboundedSender<Answer>,
) {
    let (peer, desk, answers) = (peer.clone(), desk.clone(), answers.clone());
    spawn_blocking(move || {
        let longest_batch = desk.limits.max_pending_per_client.max(1);
        let line = dispatch::answer(line, &*desk.service, &peer, longest_batch);
        drop(permit);
        if let Some(line) = line
            && answers.send(Answer { line, _turn: turn }).is_err()
        {
            tracing::debug!(?peer, "a client left before its answer came");
        }
    });
}
