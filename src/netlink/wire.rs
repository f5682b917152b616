//! Requests and their answers over one socket.
//!
//! Packs requests into chunks, sends each chunk with one call and matches every
//! answer to its request by sequence number. Dumps are in `dump.rs`; which
//! requests to send, and what a refusal means, is the caller's.

use std::{fs, os::unix::fs::MetadataExt, time::Duration};

use netlink_packet_core::{NLMSG_DONE, NLMSG_ERROR, NLMSG_NOOP, NLMSG_OVERRUN};
use netlink_packet_route::RouteNetlinkMessage;

use crate::{
    ack,
    error::{BatchError, KernelError, WireError},
    frame::Frames,
    request::Request,
    socket::{Channel, Clock},
};

/// At most this many messages go in one datagram: one bit of a word for each.
pub const CHUNK_MESSAGES: usize = u64::BITS as usize;
/// At most this many bytes go in one datagram, unless a single message is longer.
const CHUNK_BYTES: usize = 32 << 10;

/// The kernel fills no datagram of a dump beyond 32 KiB, but a single link with
/// many virtual functions may be longer. Untouched pages cost nothing.
const INBOX: usize = 256 << 10;

/// One `NETLINK_ROUTE` socket for requests.
///
/// The socket belongs to the network namespace of the thread that opened it.
/// Whenever answers may still be under way, after an error or a panic of the
/// caller's closure, the next call opens a new socket first: late answers are
/// never taken for answers to something else.
#[derive(Debug)]
pub struct Wire {
    pub(crate) channel: Channel,
    pub(crate) deadline: Duration,
    namespace: Option<(u64, u64)>,
    seq: u32,
    exchanges: u64,
    /// Answers may still be under way.
    pub(crate) pending: bool,
    pub(crate) inbox: Vec<u8>,
    outbox: Vec<u8>,
}

/// One answer to [`Wire::get`]: the message's type and its payload, or the refusal.
pub type Got<'a> = Result<(u16, &'a [u8]), KernelError>;

/// One answer to one request of a chunk.
enum Answer<'a> {
    Data(u16, &'a [u8]),
    End(Result<(), KernelError>),
}

impl Wire {
    /// Opens a socket in the network namespace of this thread.
    ///
    /// The deadline holds for each chunk of requests, from the moment the kernel
    /// has taken it, and for each dump as a whole, its repetitions included. The
    /// kernel's own work inside a system call cannot be cut short: whoever holds
    /// the RTNL lock for long, as the end of a network namespace does, delays us.
    ///
    /// # Errors
    /// [`WireError::Open`] when the kernel gives no such socket.
    pub fn open(deadline: Duration) -> Result<Self, WireError> {
        let channel = Channel::open().map_err(WireError::Open)?;
        Ok(Self::over(channel, deadline))
    }

    fn over(channel: Channel, deadline: Duration) -> Self {
        let (inbox, outbox) = (vec![0; INBOX], Vec::new());
        Self { channel, deadline, namespace: namespace(), seq: 1, exchanges: 0, pending: false, inbox, outbox }
    }

    /// How often the kernel was asked for something: a batch counts once, and so does a try of a dump.
    #[must_use]
    pub fn exchanges(&self) -> u64 {
        self.exchanges
    }

    /// Whether the kernel checks dump requests strictly (`NETLINK_GET_STRICT_CHK`).
    ///
    /// Without it a dump ignores its filters and returns the whole table.
    #[must_use]
    pub fn strict(&self) -> bool {
        self.channel.strict()
    }

    /// Sends the requests in order and stops after the first chunk with a refusal.
    ///
    /// A chunk is no transaction: the kernel goes on behind a refused message,
    /// so up to 63 messages after it were tried too. `done` tells which ones succeeded.
    ///
    /// # Errors
    /// [`BatchError::Refused`] names the first refused message,
    /// [`BatchError::Broken`] tells that the socket failed.
    pub fn batch(&mut self, requests: &[Request]) -> Result<(), BatchError> {
        let mut done = Vec::with_capacity(requests.len());
        for (start, chunk) in chunks(requests) {
            done.resize(start + chunk.len(), false);
            let mut refused = None;
            let exchanged = self.exchange(chunk, &mut |at, answer| match answer {
                Answer::Data(..) => {}
                Answer::End(Ok(())) => done[start + at] = true,
                Answer::End(Err(source)) => {
                    refused.get_or_insert((start + at, source));
                }
            });
            match (exchanged, refused) {
                (Err(source), _) => return Err(BatchError::Broken { done, source }),
                (Ok(()), Some((index, source))) => {
                    return Err(BatchError::Refused { index, done, source });
                }
                (Ok(()), None) => {}
            }
        }
        Ok(())
    }

    /// Sends all requests in order, whatever becomes of each, and returns every result.
    ///
    /// # Errors
    /// Only trouble with the socket; what was carried out by then is not known.
    pub fn try_each(&mut self, requests: &[Request]) -> Result<Vec<Result<(), KernelError>>, WireError> {
        let mut results = vec![Ok(()); requests.len()];
        for (start, chunk) in chunks(requests) {
            self.exchange(chunk, &mut |at, answer| {
                if let Answer::End(result) = answer {
                    results[start + at] = result;
                }
            })?;
        }
        Ok(results)
    }

    /// Asks for single objects and hands each answer, type and payload, to `each` with the question's index.
    ///
    /// Mostly there is one answer for each question; a question the kernel
    /// acknowledges without an answer is passed over.
    ///
    /// # Errors
    /// Only trouble with the socket; refusals such as `ENODEV` go to `each`.
    pub fn get(
        &mut self,
        messages: &[RouteNetlinkMessage],
        each: &mut dyn FnMut(usize, Got<'_>),
    ) -> Result<(), WireError> {
        let requests: Vec<_> = messages.iter().map(Request::get).collect();
        for (start, chunk) in chunks(&requests) {
            self.exchange(chunk, &mut |at, answer| match answer {
                Answer::Data(kind, payload) => each(start + at, Ok((kind, payload))),
                Answer::End(Err(error)) => each(start + at, Err(error)),
                Answer::End(Ok(())) => {}
            })?;
        }
        Ok(())
    }

    /// Sends one chunk and waits until each of its requests is acknowledged.
    fn exchange(&mut self, chunk: &[Request], answered: &mut dyn FnMut(usize, Answer<'_>)) -> Result<(), WireError> {
        self.begin()?;
        let first = self.sequence(chunk.len());
        self.outbox.clear();
        for (request, seq) in chunk.iter().zip(first..) {
            request.pack(seq, &mut self.outbox);
        }
        self.channel.send(&self.outbox)?;
        let clock = Clock::start(self.deadline);
        // One bit for each request that has no acknowledgement yet.
        let mut open = u64::MAX >> (CHUNK_MESSAGES - chunk.len());
        while open != 0 {
            let length = self.channel.receive(&mut self.inbox, &clock)?;
            let mut ours = false;
            for frame in Frames::new(&self.inbox[..length]) {
                let frame = frame?;
                let at = frame.seq.wrapping_sub(first) as usize;
                let Some(request) = chunk.get(at).filter(|_| open & (1 << at) != 0) else {
                    continue;
                };
                ours = true;
                match frame.kind {
                    NLMSG_ERROR => {
                        open &= !(1 << at);
                        answered(at, Answer::End(ack::acknowledged(&frame, request.as_bytes())?));
                    }
                    NLMSG_OVERRUN => return Err(WireError::Overrun),
                    NLMSG_NOOP | NLMSG_DONE => {}
                    kind => answered(at, Answer::Data(kind, frame.payload)),
                }
            }
            if !ours {
                // What does not concern us must not keep us beyond the deadline.
                clock.left()?;
            }
        }
        self.pending = false;
        Ok(())
    }

    /// Makes the socket fit for a new exchange, and takes it as unfit until the exchange is over.
    pub(crate) fn begin(&mut self) -> Result<(), WireError> {
        if self.pending {
            if namespace() != self.namespace {
                return Err(WireError::Namespace);
            }
            tracing::debug!("opening the netlink socket anew: answers may be under way");
            self.channel = Channel::open().map_err(WireError::Open)?;
        }
        self.pending = true;
        self.exchanges += 1;
        Ok(())
    }

    /// Takes `count` sequence numbers and returns the first.
    pub(crate) fn sequence(&mut self, count: usize) -> u32 {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        let first = if self.seq.checked_add(count).is_some() { self.seq } else { 1 };
        self.seq = first.wrapping_add(count);
        first
    }
}

/// Cuts the requests into chunks, each with the index of its first request.
fn chunks(requests: &[Request]) -> impl Iterator<Item = (usize, &[Request])> {
    let mut start = 0;
    std::iter::from_fn(move || {
        let rest = &requests[start..];
        let mut room = CHUNK_BYTES;
        let fit = rest.iter().take(CHUNK_MESSAGES).take_while(|request| {
            let fits = request.room() <= room;
            room = room.saturating_sub(request.room());
            fits
        });
        // A message that is too long for any chunk travels alone.
        let length = fit.count().max(1);
        let chunk = rest.get(..length)?;
        start += length;
        Some((start - length, chunk))
    })
}

/// What tells this thread's network namespace from others; nothing without `/proc`.
fn namespace() -> Option<(u64, u64)> {
    let seen = fs::metadata("/proc/thread-self/ns/net").ok()?;
    Some((seen.dev(), seen.ino()))
}

#[cfg(test)]
#[path = "wire_tests.rs"]
mod tests;
