//! A thin rtnetlink transport: batches, strict dumps, extended acknowledgements, deadlines, events.
//!
//! A table of contents. The transport blocks: the kernel does the whole work of
//! a request inside `sendmsg`, so there is nothing to await. What a message
//! means, and in which order messages are sent, is not known here; the messages
//! come from `netlink-packet-route` and `rtnetlink`'s builders. Events have a
//! socket of their own; what to make of them is not known here either.

pub mod attrs;
pub mod ethtool;
pub mod generic;
pub mod neighbour;
pub mod team;

mod ack;
mod dump;
mod error;
mod frame;
mod listener;
mod request;
mod socket;
mod wire;

#[cfg(test)]
#[path = "../../tests/fuzz/mod.rs"]
mod fuzz;
#[cfg(test)]
mod fuzzed;

pub use dump::Dumped;
pub use error::{BatchError, ENOTSUPP, KernelError, WireError, errno_name};
pub use listener::{Drained, Event, Listener, Topic, events};
pub use request::Request;
pub use wire::{CHUNK_MESSAGES, Got, Wire};
