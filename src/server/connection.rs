//! One client, from its first line to its last answer or notification.
//!
//! Its calls run side by side and are answered as they finish: a client must be
//! able to confirm its connectivity while its change is still under way. Not
//! here: what a line says (`dispatch`), how answers and notifications share the
//! way back (`writer`), and who may connect at all (`serve`).

use std::future::pending;
use std::pin::pin;
use std::sync::Arc;

use tokio::net::UnixStream;
use tokio::net::unix::OwnedReadHalf;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot, watch};
use tokio::task::spawn_blocking;

use super::lines::{Held, Line, Lines};
use super::reply::Text;
use super::writer::{self, Answer};
use super::{Desk, Peer, at_least_one, dispatch, permits};
use crate::rpc::{NO_ROOM, RpcError};

/// Serves a client until it leaves, is dropped, or the server closes.
///
/// Calls under way are finished in any case. A client that only closed its
/// sending side gets their answers too, and notifications, if it is subscribed
/// to any, until it closes the other side as well.
pub(super) async fn attend(stream: UnixStream, peer: Peer, desk: Arc<Desk>, mut closing: watch::Receiver<bool>) {
    let peer = Arc::new(peer);
    let (incoming, outgoing) = stream.into_split();
    let (answers, queue) = mpsc::unbounded_channel();
    let (heard, listening) = oneshot::channel();
    let mut writing = pin!(writer::write(outgoing, queue, listening, desk.limits.write_timeout));
    let reading = async {
        match read_requests(incoming, peer.clone(), desk, answers).await {
            // Whether it listens still is the writer's to find out.
            Parting::Silent => pending().await,
            Parting::Dropped => {}
        }
    };
    let written = tokio::select! {
        written = &mut writing => Some(written),
        () = reading => None,
        _ = closing.wait_for(|closing| *closing) => None,
    };
    // With the reader gone the queue ends after the last call that still runs, and a feed ends now.
    drop(heard);
    let written = match written {
        Some(written) => written,
        None => writing.await,
    };
    if let Err(error) = written {
        tracing::debug!(%error, ?peer, "a client does not take its answers");
    }
}

/// How a client ceased to call.
enum Parting {
    /// It said that it has no more to say.
    Silent,
    /// It is not to be served any longer.
    Dropped,
}

async fn read_requests(
    from: OwnedReadHalf,
    peer: Arc<Peer>,
    desk: Arc<Desk>,
    answers: mpsc::UnboundedSender<Answer>,
) -> Parting {
    let limits = &desk.limits;
    let pending = permits(at_least_one(limits.max_pending_per_client));
    let room = desk.rooms.of(peer.access).clone();
    let mut lines = Lines::new(from, limits.max_request_bytes, limits.idle_partial, room, peer.uid);
    // Neither semaphore is ever closed, so acquiring can only wait.
    while let Ok(turn) = pending.clone().acquire_owned().await {
        let (refusal, last) = match lines.next().await {
            Ok(Line::Whole(line)) => {
                let Ok(permit) = desk.calls.of(peer.access).clone().acquire_owned().await else {
                    break;
                };
                execute(line, turn, permit, &peer, &desk, &answers);
                continue;
            }
            Ok(Line::TooLong) => {
                let text = format!("the line is longer than {} bytes", limits.max_request_bytes);
                (RpcError::invalid_request(text), false)
            }
            Ok(Line::NoRoom) => {
                tracing::warn!(?peer, "no room for a line beside what this user's clients hold, it is refused");
                (RpcError::new(NO_ROOM, "no room for the line beside others that are not answered yet"), false)
            }
            Ok(Line::Unfinished) => {
                let text = format!("the line was not finished within {:?}", limits.idle_partial);
                (RpcError::invalid_request(text), true)
            }
            Ok(Line::End) => return Parting::Silent,
            Err(error) => {
                tracing::debug!(%error, ?peer, "cannot read from a client");
                break;
            }
        };
        let line = Text::refusal(refusal);
        if answers.send(Answer { line: Some(line), feed: None, turn }).is_err() || last {
            break;
        }
    }
    Parting::Dropped
}

/// Starts the calls of a line; the document is read there too, since it may be large.
fn execute(
    line: Held,
    turn: OwnedSemaphorePermit,
    permit: OwnedSemaphorePermit,
    peer: &Arc<Peer>,
    desk: &Arc<Desk>,
    answers: &mpsc::UnboundedSender<Answer>,
) {
    let (peer, desk, answers) = (peer.clone(), desk.clone(), answers.clone());
    spawn_blocking(move || {
        let longest_batch = desk.limits.max_pending_per_client.max(1);
        let (line, feed) = dispatch::answer(line, &*desk.service, &peer, longest_batch);
        drop(permit);
        if (line.is_some() || feed.is_some()) && answers.send(Answer { line, feed, turn }).is_err() {
            tracing::debug!(?peer, "a client left before its answer came");
        }
    });
}
