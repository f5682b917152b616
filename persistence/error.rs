//! Every way the disk can refuse, and what a caller can do about each.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::tree::Tree;

/// Why a configuration was not read or not written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The name of a network or bond cannot be the name of a file. Nothing was written.
    #[error("`{}` cannot be the name of a file: {rule}", name.escape_debug())]
    Name {
        /// The name as it was given.
        name: String,
        /// What it breaks.
        rule: &'static str,
    },
    /// A network or bond to be saved is not a JSON object. Nothing was written.
    #[error("`{name}` is not a JSON object")]
    NotAnObject {
        /// Whose value it is.
        name: String,
    },
    /// The link to the configuration leads nowhere. `save` and `clear` mend it.
    #[error("{link} points to {target}, which is not a directory")]
    Dangling {
        /// The link, `DIR/netconf`.
        link: PathBuf,
        /// What it says.
        target: PathBuf,
    },
    /// Some files do not hold what they should; all of them are named.
    #[error("{}", sentences(files))]
    Broken {
        /// The files, in the order of their folders and names; never empty.
        files: Vec<BrokenFile>,
        /// All that could be read, for who would rather restore most than nothing.
        rest: Box<Tree>,
    },
    /// The configuration changed under each of many attempts to read it.
    #[error("{path} keeps changing while it is read")]
    Busy {
        /// The link, `DIR/netconf`.
        path: PathBuf,
    },
    /// The file system would not show something.
    #[error("cannot read {path}")]
    Read {
        /// What was to be read.
        path: PathBuf,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// The file system would not take something. The old configuration stands.
    #[error("cannot write {path}")]
    Write {
        /// What was to be made, replaced, removed or flushed.
        path: PathBuf,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
}

/// One file that is there and is not a network or bond.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokenFile {
    /// Where it is.
    pub path: PathBuf,
    /// What is wrong with it, for people.
    pub reason: String,
}

impl fmt::Display for BrokenFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.reason)
    }
}

fn sentences(files: &[BrokenFile]) -> String {
    let each: Vec<String> = files.iter().map(BrokenFile::to_string).collect();
    each.join("; ")
}

pub(crate) fn reading(path: &Path) -> impl FnOnce(io::Error) -> StoreError + '_ {
    move |source| StoreError::Read { path: path.to_owned(), source }
}

pub(crate) fn writing(path: &Path) -> impl FnOnce(io::Error) -> StoreError + '_ {
    move |source| StoreError::Write { path: path.to_owned(), source }
}
