//! A line becomes calls, their outcomes become a line.
//!
//! This half blocks and belongs on a thread of its own. It knows nothing of
//! sockets or of waiting; `connection` does.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::feed::Attached;
use super::lines::Held;
use super::reply::{Answered, Text};
use super::{Caller, Peer, Service};
use crate::rpc::{Incoming, Request, Response, RpcError, shortened};

/// The answer to a line, none when it held only notifications; and the feed its calls attached.
pub(super) fn answer(
    line: Held,
    service: &dyn Service,
    peer: &Arc<Peer>,
    longest_batch: usize,
) -> (Option<Text>, Option<Attached>) {
    let incoming = Incoming::read(line.bytes());
    // A call may take minutes; its text, and the room for it, is not needed for any of them.
    drop(line);
    let mut feed = None;
    let outcome = |request: Result<Request, Box<Response>>| match request {
        Ok(request) => call(request, service, peer, &mut feed),
        Err(refused) => Some(Answered::from(*refused)),
    };
    let text = match incoming {
        Incoming::Single(request) => Some(request).and_then(outcome).map(Text::single),
        Incoming::Batch(requests) if requests.len() > longest_batch => {
            let text = format!("a batch holds at most {longest_batch} requests");
            Some(Text::refusal(RpcError::invalid_request(text)))
        }
        Incoming::Batch(requests) => Text::batch(requests.into_iter().filter_map(outcome)),
    };
    (text, feed)
}

fn call(request: Request, service: &dyn Service, peer: &Arc<Peer>, feed: &mut Option<Attached>) -> Option<Answered> {
    let Request { id, method, params } = request;
    let caller = Caller::new(peer.clone());
    // The service is shared with calls still to come. Whatever it guards with a mutex is
    // poisoned by the panic, and anything else it must keep whole by itself.
    let outcome = catch_unwind(AssertUnwindSafe(|| service.call(&method, params, &caller)));
    let outcome = outcome.unwrap_or_else(|panic| {
        let (method, panic) = (shortened(&method), text_of(&*panic));
        tracing::error!(method, panic, ?peer, "a call panicked");
        Err(RpcError::internal("the call failed in a way nobody foresaw; the daemon's log has more"))
    });
    if outcome.is_ok()
        && let Some(attached) = caller.into_attached()
    {
        *feed = Some(attached);
    }
    id.map(|id| Answered { id, outcome })
}

fn text_of(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no text")
}
