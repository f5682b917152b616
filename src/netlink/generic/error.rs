//! What goes wrong over generic netlink, whatever the family.

use std::{io, time::Duration};

use crate::error::KernelError;

/// Trouble with the socket. It can be used again after any of them.
#[derive(Debug, thiserror::Error)]
pub enum GenericError {
    /// No socket could be had.
    #[error("cannot open a generic netlink socket")]
    Open(#[source] io::Error),
    /// The kernel does not tell whether it has a family.
    #[error("the kernel does not tell of its generic netlink families")]
    Family(#[source] KernelError),
    /// The multicast group cannot be joined.
    #[error("cannot join a generic netlink group")]
    Join(#[source] io::Error),
    /// The socket must be opened anew, but the thread has moved since.
    #[error("this thread is in another network namespace than the one the generic netlink socket was opened in")]
    Namespace,
    /// The kernel did not take our questions.
    #[error("cannot ask the kernel over generic netlink")]
    Send(#[source] io::Error),
    /// The answers cannot be read.
    #[error("cannot receive from the kernel over generic netlink")]
    Receive(#[source] io::Error),
    /// The answers did not come in time.
    #[error("the kernel did not answer over generic netlink within {after:?}")]
    Deadline {
        /// The deadline the socket was opened with.
        after: Duration,
    },
    /// Answers were lost: the receive buffer of the socket was full (`ENOBUFS`).
    #[error("answers over generic netlink were lost in a full receive buffer")]
    Overrun,
    /// The answer is no netlink message, or longer than any message of a family.
    #[error("the kernel's answer over generic netlink is malformed")]
    Malformed,
}
