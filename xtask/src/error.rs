//! What can go wrong in these commands, as one sentence for the person who ran them.
//!
//! A test that fails is not an error here; it is a result.

use std::fmt;
use std::io;

/// Why a command could not do its work.
#[derive(Debug)]
pub(crate) enum Error {
    /// The command line is not one of ours.
    Usage(String),
    /// The sandbox could not be had: a tool or a right is missing on this machine.
    NoGround(String),
    /// The sandbox was there and broke.
    Broken(String),
    /// A step that everything else needs failed.
    Failed(String),
}

impl Error {
    /// 125 is what `uml` promises when it was not COMMAND that failed.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) => 2,
            Self::NoGround(_) | Self::Broken(_) => 125,
            Self::Failed(_) => 1,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(text) => write!(f, "{text}; see `cargo xtask help`"),
            Self::NoGround(text) | Self::Broken(text) | Self::Failed(text) => f.write_str(text),
        }
    }
}

/// Says what was tried when the operating system refused.
pub(crate) trait Trying<T> {
    /// `what` completes the sentence "cannot ...".
    fn trying(self, what: impl fmt::Display) -> Result<T, Error>;
}

impl<T> Trying<T> for io::Result<T> {
    fn trying(self, what: impl fmt::Display) -> Result<T, Error> {
        self.map_err(|source| Error::Failed(format!("cannot {what}: {source}")))
    }
}
