//! A line becomes calls, their outcomes become a line.
//!
//! This half blocks and belongs on a thread of its own. It knows nothing of
//! sockets or of waiting; `connection` does.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use serde::Serialize;

use super::{Peer, Service};
use crate::rpc::{Id, Incoming, Request, Response, RpcError, shortened};

/// The answer to a line; none when it held only notifications.
pub(super) fn answer(line: Vec<u8>, service: &dyn Service, peer: &Peer, longest_batch: usize) -> Option<Vec<u8>> {
    let outcome = |request: Result<Request, Box<Response>>| match request {
        Ok(request) => call(request, service, peer),
        Err(response) => Some(*response),
    };
    let incoming = Incoming::read(&line);
    // A call may take minutes; its text is not needed for any of them.
    drop(line);
    match incoming {
        Incoming::Single(request) => outcome(request).map(|response| line_of(&response)),
        Incoming::Batch(requests) if requests.len() > longest_batch => {
            let text = format!("a batch holds at most {longest_batch} requests");
            Some(line_of(&Response::error(Id::Null, RpcError::invalid_request(text))))
        }
        Incoming::Batch(requests) => {
            let responses: Vec<_> = requests.into_iter().filter_map(outcome).collect();
            (!responses.is_empty()).then(|| line_of(&responses))
        }
    }
}

/// A response, or an array of them, as the client gets to see it.
pub(super) fn line_of<T: Serialize>(response: &T) -> Vec<u8> {
    let mut line = serde_json::to_vec(response)
        .expect("responses have only text for keys and write to memory, so nothing can fail");
    line.push(b'\n');
    line
}

fn call(request: Request, service: &dyn Service, peer: &Peer) -> Option<Response> {
    let Request { id, method, params } = request;
    // The service is shared with calls still to come. Whatever it guards with a mutex is
    // poisoned by the panic, and anything else it must keep whole by itself.
    let outcome = catch_unwind(AssertUnwindSafe(|| service.call(&method, params, peer)));
    let outcome = outcome.unwrap_or_else(|panic| {
        let (method, panic) = (shortened(&method), text_of(&*panic));
        tracing::error!(method, panic, ?peer, "a call panicked");
        Err(RpcError::internal("the call failed in a way nobody foresaw; the daemon's log has more"))
    });
    id.map(|id| Response { id, outcome })
}

fn text_of(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no text")
}
