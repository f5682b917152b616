//! One connection, as bytes: garbage must be sent as it is, and an answer be seen as it comes.

use std::io::{self, BufRead, BufReader, ErrorKind, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use serde_json::Value;
use vdsm_net::rpc::RpcError;

/// Longer than any answer takes on this machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// What came of a call.
pub type Outcome = Result<Value, RpcError>;

pub struct Wire(BufReader<UnixStream>);

impl Wire {
    pub fn connect(socket: &Path) -> io::Result<Wire> {
        let stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Wire(BufReader::new(stream)))
    }

    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.get_mut().write_all(bytes)
    }

    /// The next line. An error is the end of the connection, also in the middle of a line.
    pub fn hear(&mut self) -> io::Result<Value> {
        let mut line = String::new();
        match self.0.read_line(&mut line) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => panic!("no answer within {PATIENCE:?}"),
            heard => drop(heard?),
        }
        if !line.ends_with('\n') {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        Ok(serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}")))
    }

    /// Whether something comes within so many milliseconds.
    pub fn is_told(&self, millis: u8) -> bool {
        let mut fds = [PollFd::new(self.0.get_ref().as_fd(), PollFlags::POLLIN)];
        !self.0.buffer().is_empty() || poll(&mut fds, PollTimeout::from(millis)).unwrap() > 0
    }
}

/// The id of an answer and what it says; it has the form that JSON-RPC wants.
#[track_caller]
pub fn judged(answer: Value) -> (Value, Outcome) {
    let Value::Object(mut members) = answer else { panic!("no answer: {answer}") };
    assert_eq!(members.len(), 3, "{members:?}");
    assert_eq!(members["jsonrpc"], "2.0", "{members:?}");
    let id = members.remove("id").unwrap();
    match (members.remove("result"), members.remove("error")) {
        (Some(result), None) => (id, Ok(result)),
        (None, Some(error)) => (id, Err(serde_json::from_value(error).unwrap())),
        neither => panic!("{neither:?}"),
    }
}
