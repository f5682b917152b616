//! The other end of the socket, for `vdsm-tool` and for tests.
//!
//! Blocking, one call at a time: a command line has nothing else to do. A
//! program that wants to call and confirm at once opens two clients. What the
//! methods are called, what they answer and what a notification tells is not
//! known here.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::socket::{self, AddressFamily, SockFlag, SockType, UnixAddr, sockopt};
use nix::sys::time::TimeVal;
use serde_json::Value;

use crate::rpc::{Id, Notification, Outgoing, Request, RpcError};

/// A connection to the daemon.
#[derive(Debug)]
pub struct Client {
    stream: UnixStream,
    /// What came after the last line that was read.
    held: Vec<u8>,
    /// What was said unasked while an answer was awaited.
    unasked: VecDeque<Notification>,
    last_id: u64,
    patience: Option<Duration>,
}

/// Why a call brought no result.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody answers there. Nothing was called.
    #[error("cannot reach the daemon at {path}")]
    Unreachable {
        /// The socket's file.
        path: PathBuf,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// The connection broke, or what came over it was no answer. The call may have been executed.
    #[error("the connection to the daemon broke")]
    Io(#[source] io::Error),
    /// The answer did not come in time. The call may still run.
    #[error("the daemon did not answer within {0:?}")]
    Late(Duration),
    /// The daemon said no.
    #[error(transparent)]
    Rpc(RpcError),
}

impl Client {
    /// Connects. Neither this nor sending a call later takes longer than `timeout`.
    ///
    /// Waiting for an answer has no limit, as a change may take its time: see
    /// [`Client::answered_within`].
    pub fn connect(path: &Path, timeout: Duration) -> Result<Client, ClientError> {
        let stream = open(path, timeout).map_err(|errno| {
            // `EAGAIN` is what the time limit looks like from here.
            let source = match errno {
                Errno::EAGAIN => ErrorKind::TimedOut.into(),
                errno => errno.into(),
            };
            ClientError::Unreachable { path: path.to_owned(), source }
        })?;
        Ok(Client { stream, held: Vec::new(), unasked: VecDeque::new(), last_id: 0, patience: None })
    }

    /// The same client, but it waits for each answer no longer than `patience`.
    ///
    /// After [`ClientError::Late`] it can be used on; the late answer is passed over.
    #[must_use]
    pub fn answered_within(self, patience: Duration) -> Client {
        Client { patience: Some(patience), ..self }
    }

    /// Calls a method and waits for what comes of it.
    ///
    /// `params` is an array or an object, or `Value::Null` for none. Notifications that come
    /// before the answer are kept, all of them, for [`Client::next_notification`].
    pub fn call(&mut self, method: &str, params: Value) -> Result<Value, ClientError> {
        self.last_id += 1;
        let request = Request { id: Some(self.last_id.into()), method: method.to_owned(), params };
        let mut line = serde_json::to_vec(&request).map_err(|error| ClientError::Io(error.into()))?;
        line.push(b'\n');
        match self.stream.write_all(&line) {
            // A server that turned us away has said why before it closed.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {}
            sent => sent.map_err(ClientError::Io)?,
        }
        let deadline = deadline(self.patience);
        loop {
            let line = self.next_line(deadline)?;
            match Outgoing::read(&line).map_err(broken)? {
                Outgoing::Notification(notification) => self.unasked.push_back(notification),
                // Without an id it is about the connection, or about a line that was beyond
                // understanding, and all we sent are ours.
                Outgoing::Response(response) if response.id == self.last_id.into() || response.id == Id::Null => {
                    return response.outcome.map_err(ClientError::Rpc);
                }
                Outgoing::Response(_) => {}
            }
        }
    }

    /// What the daemon says next without being asked; none when `patience` runs out before.
    ///
    /// Without `patience` it waits for as long as it takes. A zero asks for what has come
    /// already, and may take a millisecond. A refusal that is about the connection itself is
    /// [`ClientError::Rpc`], answers that came late are passed over.
    pub fn next_notification(&mut self, patience: Option<Duration>) -> Result<Option<Notification>, ClientError> {
        if let Some(notification) = self.unasked.pop_front() {
            return Ok(Some(notification));
        }
        let patience = patience.map(|patience| patience.max(Duration::from_millis(1)));
        let deadline = deadline(patience);
        loop {
            let line = match self.next_line(deadline) {
                Err(ClientError::Late(_)) => return Ok(None),
                line => line?,
            };
            match Outgoing::read(&line).map_err(broken)? {
                Outgoing::Notification(notification) => return Ok(Some(notification)),
                Outgoing::Response(response) if response.id == Id::Null => {
                    response.outcome.map_err(ClientError::Rpc)?;
                }
                Outgoing::Response(_) => {}
            }
        }
    }

    fn next_line(&mut self, deadline: Option<(Instant, Duration)>) -> Result<Vec<u8>, ClientError> {
        let mut searched = 0;
        loop {
            if let Some(end) = self.held[searched..].iter().position(|&byte| byte == b'\n') {
                return Ok(self.held.drain(..=searched + end).collect());
            }
            searched = self.held.len();
            let left = match deadline {
                None => None,
                Some((end, patience)) => match end.checked_duration_since(Instant::now()) {
                    Some(left) if !left.is_zero() => Some(left),
                    _ => return Err(ClientError::Late(patience)),
                },
            };
            self.stream.set_read_timeout(left).map_err(ClientError::Io)?;
            let mut part = [0; 64 << 10];
            match self.stream.read(&mut part) {
                Ok(0) => {
                    let text = "the daemon closed it";
                    let error = io::Error::new(ErrorKind::UnexpectedEof, text);
                    return Err(ClientError::Io(error));
                }
                Ok(count) => self.held.extend_from_slice(&part[..count]),
                // The limit has passed, or a signal came: the next round tells.
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
                Err(error) => return Err(ClientError::Io(error)),
            }
        }
    }
}

/// When it is too late, and the time there was; none when that is beyond counting.
fn deadline(patience: Option<Duration>) -> Option<(Instant, Duration)> {
    patience.and_then(|patience| Some((Instant::now().checked_add(patience)?, patience)))
}

fn broken(text: String) -> ClientError {
    ClientError::Io(io::Error::new(ErrorKind::InvalidData, text))
}

/// By hand, since a connection waits while the daemon's queue is full, and only a time limit
/// set beforehand ends that.
fn open(path: &Path, timeout: Duration) -> nix::Result<UnixStream> {
    let address = UnixAddr::new(path)?;
    let fd = socket::socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    // To the kernel a zero is no limit at all.
    let timeout = timeout.max(Duration::from_micros(1));
    let seconds = timeout.as_secs().try_into().unwrap_or(libc::time_t::MAX);
    let limit = TimeVal::new(seconds, timeout.subsec_micros().into());
    socket::setsockopt(&fd, sockopt::SendTimeout, &limit)?;
    socket::connect(fd.as_raw_fd(), &address)?;
    Ok(UnixStream::from(fd))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::os::unix::net::UnixListener;
    use std::sync::mpsc;
    use std::thread;

    use serde_json::json;

    use super::*;

    const SOON: Duration = Duration::from_secs(30);

    /// A client of a server that hears one line and then says `said`.
    fn of(said: &'static [u8]) -> Client {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let listener = UnixListener::bind(&path).unwrap();
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            while stream.read(&mut [0; 1000]).unwrap() == 0 {}
            stream.write_all(said).unwrap();
        });
        Client::connect(&path, SOON).unwrap()
    }

    fn call(said: &'static [u8]) -> Result<Value, ClientError> {
        of(said).call("m", Value::Null)
    }

    #[test]
    fn an_answer_is_found_among_others() {
        let said = b"{\"jsonrpc\":\"2.0\",\"id\":0,\"result\":1}\n{\"id\":1,\"result\":2}\n";
        assert_eq!(call(said).unwrap(), json!(2));
    }

    #[test]
    fn a_refusal_is_the_daemons_own() {
        let said = br#"{"id":null,"error":{"code":-32000,"message":"too many clients"}}"#;
        let said = [said as &[u8], b"\n"].concat().leak();
        let ClientError::Rpc(error) = call(said).unwrap_err() else { panic!("not the daemon's") };
        assert_eq!(error, RpcError::new(-32000, "too many clients"));
    }

    #[test]
    fn what_is_no_answer_is_a_broken_connection() {
        let cases = [
            (b"" as &[u8], ErrorKind::UnexpectedEof),
            (b"{\"id\":1,\"result\":2}", ErrorKind::UnexpectedEof),
            (b"hello\n", ErrorKind::InvalidData),
            (b"{\"id\":1}\n", ErrorKind::InvalidData),
        ];
        for (said, kind) in cases {
            let ClientError::Io(error) = call(said).unwrap_err() else { panic!("{said:?}") };
            assert_eq!(error.kind(), kind, "{said:?}");
        }
    }

    #[test]
    fn what_is_said_unasked_is_kept_until_it_is_asked_for() {
        let said =
            b"{\"jsonrpc\":\"2.0\",\"method\":\"a\",\"params\":[1]}\n{\"method\":\"b\"}\n{\"id\":1,\"result\":2}\n\
            {\"id\":0,\"result\":3}\n{\"method\":\"c\"}\n{\"id\":null,\"error\":{\"code\":-1,\"message\":\"no\"}}\n";
        let mut client = of(said);
        assert_eq!(client.call("m", Value::Null).unwrap(), json!(2));
        for (method, params) in [("a", json!([1])), ("b", Value::Null), ("c", Value::Null)] {
            let expected = Notification { method: method.into(), params };
            assert_eq!(client.next_notification(Some(SOON)).unwrap(), Some(expected));
        }
        let refused = client.next_notification(Some(SOON)).unwrap_err();
        assert!(matches!(&refused, ClientError::Rpc(error) if error.code == -1), "{refused:?}");
        let gone = client.next_notification(None).unwrap_err();
        assert!(matches!(&gone, ClientError::Io(error) if error.kind() == ErrorKind::UnexpectedEof), "{gone:?}");
    }

    #[test]
    fn who_has_no_patience_gets_what_has_come() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let listener = UnixListener::bind(&path).unwrap();
        let mut client = Client::connect(&path, SOON).unwrap();
        let (mut stream, _) = listener.accept().unwrap();
        let mut next = || client.next_notification(Some(Duration::ZERO)).unwrap().map(|heard| heard.method);
        assert_eq!(next(), None);
        stream.write_all(b"{\"method\":\"a\"}\n{\"method\":").unwrap();
        assert_eq!(next().as_deref(), Some("a"));
        assert_eq!(next(), None);
        stream.write_all(b"\"b\"}\n").unwrap();
        assert_eq!(next().as_deref(), Some("b"));
    }

    #[test]
    fn nobody_there_is_said_so() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let unreachable = |kind| match Client::connect(&path, Duration::from_millis(20)) {
            Err(ClientError::Unreachable { path: at, source }) => {
                assert_eq!((at, source.kind()), (path.clone(), kind));
            }
            other => panic!("{other:?}"),
        };
        unreachable(ErrorKind::NotFound);
        let listener = UnixListener::bind(&path).unwrap();
        socket::listen(&listener, socket::Backlog::new(0).unwrap()).unwrap();
        let _first = Client::connect(&path, SOON).unwrap();
        unreachable(ErrorKind::TimedOut);
        drop(listener);
        unreachable(ErrorKind::ConnectionRefused);
    }

    #[test]
    fn after_a_late_answer_the_client_can_be_used_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let listener = UnixListener::bind(&path).unwrap();
        let (go, gone) = mpsc::channel();
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream.write_all(b"{\"id\":1,").unwrap();
            gone.recv().unwrap();
            stream.write_all(b"\"result\":1}\n{\"id\":2,\"result\":2}\n").unwrap();
            gone.recv().unwrap_err();
        });
        let mut client = Client::connect(&path, SOON).unwrap().answered_within(Duration::from_millis(20));
        let late = client.call("m", json!({})).unwrap_err();
        assert!(matches!(late, ClientError::Late(_)), "{late:?}");
        go.send(()).unwrap();
        let mut client = client.answered_within(SOON);
        assert_eq!(client.call("m", json!([])).unwrap(), json!(2));
    }
}
