//! A thin rtnetlink transport: batches, strict dumps, extended acknowledgements, deadlines.
//!
//! A table of contents. The transport blocks: the kernel does the whole work of
//! a request inside `sendmsg`, so there is nothing to await. What a message
//! means, and in which order messages are sent, is not known here; the messages
//! come from `netlink-packet-route` and `rtnetlink`'s builders. Event listening
//! is not here either: it wants a socket of its own.

pub mod attrs;

mod ack;
mod dump;
mod error;
mod frame;
mod request;
mod socket;
mod wire;

pub use dump::Dumped;
pub use error::{BatchError, KernelError, WireError};
pub use request::Request;
pub use wire::{Got, Wire};
