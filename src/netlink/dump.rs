//! Dumping a whole table.
//!
//! A dump is only as good as its end: an error in `NLMSG_DONE` is an error, and a
//! dump during which the table changed is tried again. Nothing is collected
//! here, so that a dump of thousands of links needs one receive buffer.

use std::{thread, time::Duration};

use netlink_packet_core::{NLMSG_DONE, NLMSG_ERROR, NLMSG_NOOP, NLMSG_OVERRUN};
use netlink_packet_route::RouteNetlinkMessage;

use crate::{
    ack,
    error::{KernelError, WireError},
    frame::Frames,
    request::Request,
    socket::Clock,
    wire::Wire,
};

/// How often a dump is tried.
const ATTEMPTS: u32 = 10;

/// What a dump tells its reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dumped<'a> {
    /// The table is read from its beginning: forget what came before.
    ///
    /// Comes once at the start, and again for each attempt after an interruption.
    Start,
    /// One object of the table.
    Object {
        /// The type of the message, such as `RTM_NEWLINK`.
        kind: u16,
        /// The fixed header of the family and the attributes.
        payload: &'a [u8],
    },
}

impl Wire {
    /// Reads a table. What `each` has seen since the last [`Dumped::Start`] is
    /// consistent if, and only if, this returns `Ok`.
    ///
    /// Interrupted dumps, lost answers and a busy socket are tried again, ten
    /// times in all, with pauses of 1, 2, 4 .. 256 ms, within the wire's deadline.
    ///
    /// # Errors
    /// [`WireError::Refused`] for what the kernel says, be it at the start or at
    /// the end of the dump; [`WireError::Interrupted`] when the table does not come to rest.
    pub fn dump(&mut self, message: RouteNetlinkMessage, each: &mut dyn FnMut(Dumped<'_>)) -> Result<(), WireError> {
        let request = Request::dump(&message);
        let clock = Clock::start(self.deadline);
        let mut attempts = 0;
        loop {
            attempts += 1;
            each(Dumped::Start);
            let trouble = match self.attempt(&request, &clock, each) {
                Ok(End::Clean) => return Ok(()),
                Ok(End::Interrupted) => WireError::Interrupted { attempts },
                Err(error) if may_pass(&error) => error,
                Err(error) => return Err(error),
            };
            let pause = Duration::from_millis(1 << (attempts - 1));
            if attempts == ATTEMPTS || clock.left().is_ok_and(|left| left <= pause) {
                return Err(trouble);
            }
            tracing::debug!(attempts, %trouble, "dumping again");
            thread::sleep(pause);
        }
    }

    fn attempt(
        &mut self,
        request: &Request,
        clock: &Clock,
        each: &mut dyn FnMut(Dumped<'_>),
    ) -> Result<End, WireError> {
        self.begin()?;
        let seq = self.sequence(1);
        let mut datagram = Vec::with_capacity(request.room());
        request.pack(seq, &mut datagram);
        self.channel.send(&datagram)?;
        let mut end = End::Clean;
        loop {
            let length = self.channel.receive(&mut self.inbox, clock)?;
            for frame in Frames::new(&self.inbox[..length]) {
                let frame = frame?;
                if frame.seq != seq {
                    continue;
                }
                if frame.interrupted() {
                    end = End::Interrupted;
                }
                let verdict = match frame.kind {
                    NLMSG_DONE => ack::finished(&frame, request.as_bytes())?,
                    NLMSG_ERROR => ack::acknowledged(&frame, request.as_bytes())?,
                    NLMSG_OVERRUN => return Err(WireError::Overrun),
                    NLMSG_NOOP => continue,
                    kind => {
                        // An interrupted dump is read to its end, to leave the socket empty.
                        if end == End::Clean {
                            each(Dumped::Object { kind, payload: frame.payload });
                        }
                        continue;
                    }
                };
                let verdict = verdict.map_err(WireError::Refused);
                // EBUSY means that another dump runs on this socket, and its answers are none of ours.
                self.pending = matches!(&verdict, Err(error) if may_pass(error));
                return verdict.map(|()| end);
            }
            // A table that grows while it is read must not keep us for ever.
            clock.left()?;
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Clean,
    Interrupted,
}

/// Whether another attempt may fare better.
fn may_pass(error: &WireError) -> bool {
    match error {
        WireError::Overrun | WireError::Truncated { .. } => true,
        WireError::Refused(KernelError { errno, .. }) => {
            matches!(*errno, libc::EBUSY | libc::EINTR | libc::EAGAIN)
        }
        _ => false,
    }
}
