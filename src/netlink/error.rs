//! What can go wrong between us and the kernel.
//!
//! A refusal of the kernel and trouble with the socket are kept apart: after the
//! first one knows how the host stands, after the second one must look. Advice
//! for the user is not here; it needs to know which step was tried.

use std::{fmt, io, time::Duration};

use nix::errno::Errno;

/// The kernel's refusal of one request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct KernelError {
    /// The error number, positive, such as `libc::EEXIST`.
    pub errno: i32,
    /// The kernel's own words. Many refusals carry none.
    pub text: Option<String>,
    /// The type of the attribute of our request the kernel points at.
    pub attribute: Option<u16>,
    /// The type of the attribute the kernel misses in our request.
    pub missing: Option<u16>,
}

/// Ought to stay inside the kernel (`include/linux/errno.h`); drivers let it out,
/// and libc has no name for it.
pub const ENOTSUPP: i32 = 524;

/// The name of an error number, such as `EEXIST`.
pub fn errno_name(errno: i32) -> String {
    match (Errno::from_raw(errno), errno) {
        (_, ENOTSUPP) => "ENOTSUPP".to_owned(),
        (Errno::UnknownErrno, raw) => format!("error {raw}"),
        (errno, _) => format!("{errno:?}"),
    }
}

impl fmt::Display for KernelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (Errno::from_raw(self.errno), self.errno) {
            (_, ENOTSUPP) => f.write_str("Operation not supported (ENOTSUPP)")?,
            (Errno::UnknownErrno, raw) => write!(f, "Unknown error {raw}")?,
            (errno, _) => write!(f, "{} ({errno:?})", errno.desc())?,
        }
        match (&self.text, self.missing, self.attribute) {
            (Some(text), ..) => write!(f, ": {text}"),
            (None, Some(missing), _) => write!(f, ": attribute {missing} is missing"),
            (None, None, Some(attribute)) => write!(f, ": attribute {attribute}"),
            (None, None, None) => Ok(()),
        }
    }
}

/// Trouble with the socket or with a dump. The wire can be used again after any of them.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// No socket could be had.
    #[error("cannot open a netlink route socket")]
    Open(#[source] io::Error),
    /// The socket must be opened anew, but the thread has moved since.
    #[error("this thread is in another network namespace than the one the wire was opened in")]
    Namespace,
    /// The kernel did not take our messages.
    #[error("cannot send to the kernel")]
    Send(#[source] io::Error),
    /// The answers cannot be read.
    #[error("cannot receive from the kernel")]
    Receive(#[source] io::Error),
    /// The answers did not come in time.
    #[error("the kernel did not answer within {after:?}")]
    Deadline {
        /// The deadline the wire was opened with.
        after: Duration,
    },
    /// Answers were lost: the receive buffer of the socket was full (`ENOBUFS`).
    #[error("answers of the kernel were lost in a full receive buffer")]
    Overrun,
    /// One datagram was longer than our buffer. The buffer has been enlarged since.
    #[error("an answer of {needed} bytes did not fit")]
    Truncated {
        /// How long the datagram was.
        needed: usize,
    },
    /// The dumped table changed under every attempt to read it.
    #[error("the dump was interrupted {attempts} times in a row")]
    Interrupted {
        /// How many dumps were tried.
        attempts: u32,
    },
    /// The answer is no netlink message.
    #[error("the answer of the kernel is malformed")]
    Malformed,
    /// The kernel does not give this dump.
    #[error("the kernel refused the dump")]
    Refused(#[source] KernelError),
}

/// A batch which did not go through.
#[derive(Debug, thiserror::Error)]
pub enum BatchError {
    /// The kernel refused at least one message.
    #[error("message {index} of the batch was refused")]
    Refused {
        /// The first message that was refused.
        index: usize,
        /// For each message sent, whether it was carried out. What is `false`
        /// was refused too; what lies behind the end was not sent.
        done: Vec<bool>,
        /// The refusal of the message at `index`.
        source: KernelError,
    },
    /// The socket failed while the batch was on its way.
    #[error("the batch broke off")]
    Broken {
        /// For each message sent, whether it was acknowledged. What is `false`
        /// may or may not have been carried out; what lies behind the end was not sent.
        done: Vec<bool>,
        /// What broke.
        source: WireError,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shows(error: KernelError, text: &str) {
        assert_eq!(error.to_string(), text);
    }

    #[test]
    fn a_refusal_reads_as_a_sentence() {
        let plain = KernelError { errno: libc::EPERM, text: None, attribute: None, missing: None };
        shows(plain.clone(), "Operation not permitted (EPERM)");
        shows(
            KernelError {
                text: Some("unable to set option because the bond device has slaves".into()),
                attribute: Some(1),
                ..plain.clone()
            },
            "Operation not permitted (EPERM): unable to set option because the bond device has slaves",
        );
        shows(KernelError { attribute: Some(4), ..plain.clone() }, "Operation not permitted (EPERM): attribute 4");
        shows(
            KernelError { errno: libc::EINVAL, missing: Some(2), ..plain.clone() },
            "Invalid argument (EINVAL): attribute 2 is missing",
        );
        shows(KernelError { errno: 524, ..plain.clone() }, "Operation not supported (ENOTSUPP)");
        shows(KernelError { errno: 4000, ..plain }, "Unknown error 4000");
    }
}
