//! One command to be run where it can do the host no harm.
//!
//! The two kinds of sandbox are in `netns.rs` and `uml.rs`; which one a machine
//! needs is decided in `ground.rs`.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::time::Duration;

use crate::process::Stream;

/// A command and all that it is given.
#[derive(Debug, Clone)]
pub(crate) struct Job {
    pub(crate) command: Vec<OsString>,
    /// Its working directory.
    pub(crate) directory: PathBuf,
    /// On top of our own environment.
    pub(crate) environment: Vec<(OsString, OsString)>,
    /// Directories in which its writes shall last. In a name space every directory is one.
    pub(crate) shared: Vec<PathBuf>,
    pub(crate) stdout: Stream,
    pub(crate) stderr: Stream,
    pub(crate) limit: Duration,
    /// The CPU it is bound to, if it matters.
    pub(crate) cpu: Option<usize>,
    /// More words for the command line of a kernel of its own.
    pub(crate) kernel: Vec<OsString>,
}

impl Job {
    /// `command` in `directory`, with our own streams and no limit to speak of.
    pub(crate) fn new(command: Vec<OsString>, directory: PathBuf) -> Self {
        Self {
            command,
            directory,
            environment: Vec::new(),
            shared: Vec::new(),
            stdout: Stream::Ours,
            stderr: Stream::Ours,
            limit: DEFAULT_LIMIT,
            cpu: None,
            kernel: Vec::new(),
        }
    }

    /// Adds a variable to its environment.
    pub(crate) fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }
}

/// Nothing that we run may hang for longer.
pub(crate) const DEFAULT_LIMIT: Duration = Duration::from_secs(30 * 60);

/// `text` as one word of a shell script, whatever its bytes are.
pub(crate) fn quoted(text: &OsStr) -> Vec<u8> {
    let mut word = vec![b'\''];
    for &byte in text.as_bytes() {
        match byte {
            b'\'' => word.extend(br"'\''"),
            _ => word.push(byte),
        }
    }
    word.push(b'\'');
    word
}

/// Whether a shell script can export a variable of that name.
pub(crate) fn is_shell_name(name: &OsStr) -> bool {
    let bytes = name.as_bytes();
    bytes.first().is_some_and(|first| !first.is_ascii_digit())
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn a_quoted_word_arrives_as_it_was() {
        for text in [&b"plain"[..], b"", b"it's $HOME `x` \"y\" \\", b"two\nlines", b"\xff\xfe"] {
            let mut script = b"printf %s ".to_vec();
            script.extend(quoted(OsStr::from_bytes(text)));
            let output = Command::new("sh").arg("-c").arg(OsStr::from_bytes(&script)).output().unwrap();
            assert_eq!(output.stdout, text);
        }
    }

    #[test]
    fn only_names_a_shell_knows_are_exported() {
        assert!(is_shell_name(OsStr::new("VDSM_BIN_DIR")));
        for name in ["", "1ST", "CARGO_BIN_EXE_vdsm-netd", "BASH_FUNC_x%%"] {
            assert!(!is_shell_name(OsStr::new(name)), "{name}");
        }
    }
}
