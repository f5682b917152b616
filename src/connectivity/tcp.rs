//! The probe `tcp:ADDRESS:PORT`: somebody takes a connection there, begun after the change.
//!
//! A refused one does not count. It may come from whom we want to reach, but as well from a firewall
//! on the way that refuses what the change has made of us (iptables' REJECT is an ICMP message
//! or a reset, and both end as ECONNREFUSED): nobody can tell them apart. No data is sent.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrStorage, connect, getsockname, getsockopt, socket, sockopt,
};

use super::Outcome;

/// The kernel repeats itself after one second; beyond two a new attempt fares better, as its
/// repetitions become ever rarer.
const ATTEMPT: Duration = Duration::from_secs(2);
/// From the begin of one attempt to that of the next, at least.
const PACE: Duration = Duration::from_millis(300);

/// The attempts at one address.
pub(super) struct Dial {
    to: SocketAddr,
    attempt: Option<OwnedFd>,
    begun: Option<Instant>,
    /// What came of the last one that is over.
    outcome: Outcome,
    done: bool,
}

impl Dial {
    pub(super) fn new(to: SocketAddr) -> Dial {
        Dial { to, attempt: None, begun: None, outcome: failed(to, "no answer"), done: false }
    }

    /// Looks what has become of the attempt, and begins another one when it is time.
    pub(super) fn go_on(&mut self) -> Outcome {
        if !self.done {
            if let Some(over) = self.attempt.as_ref().and_then(|socket| self.ended(socket)) {
                self.end(over);
            } else if self.attempt.is_some() && self.begun.is_some_and(|begun| begun.elapsed() >= ATTEMPT) {
                self.end(Err(Errno::ETIMEDOUT));
            }
            if !self.done && self.attempt.is_none() && self.begun.is_none_or(|begun| begun.elapsed() >= PACE) {
                self.begin();
            }
        }
        self.outcome.clone()
    }

    fn begin(&mut self) {
        self.begun = Some(Instant::now());
        let family = if self.to.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
        let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
        let opened = socket(family, SockType::Stream, flags, None);
        let begun = opened.and_then(|socket| match connect(socket.as_raw_fd(), &SockaddrStorage::from(self.to)) {
            Err(Errno::EINPROGRESS) | Ok(()) => Ok(socket),
            Err(errno) => Err(errno),
        });
        match begun {
            Ok(socket) => self.attempt = Some(socket),
            Err(errno) => self.end(Err(errno)),
        }
    }

    /// What came of it, once it is over: whether the other end is ourselves.
    fn ended(&self, socket: &OwnedFd) -> Option<Result<bool, Errno>> {
        let mut fds = [PollFd::new(socket.as_fd(), PollFlags::POLLOUT)];
        match poll(&mut fds, PollTimeout::ZERO) {
            Ok(0) | Err(Errno::EINTR) => return None,
            Ok(_) => {}
            Err(errno) => return Some(Err(errno)),
        }
        let error = match getsockopt(socket, sockopt::SocketError) {
            Ok(error) => error,
            Err(errno) => return Some(Err(errno)),
        };
        Some(match error {
            0 => getsockname::<SockaddrStorage>(socket.as_raw_fd()).map(|ours| self.is_ourselves(&ours)),
            errno => Err(Errno::from_raw(errno)),
        })
    }

    fn is_ourselves(&self, ours: &SockaddrStorage) -> bool {
        match self.to {
            SocketAddr::V4(to) => ours.as_sockaddr_in().is_some_and(|it| it.ip() == *to.ip()),
            SocketAddr::V6(to) => ours.as_sockaddr_in6().is_some_and(|it| it.ip() == *to.ip()),
        }
    }

    fn end(&mut self, came: Result<bool, Errno>) {
        self.attempt = None;
        self.done = came.is_ok();
        self.outcome = match came {
            Ok(false) => Outcome::met(format!("TCP {}: connected", self.to)),
            Ok(true) => Outcome::inapplicable(format!("TCP {}: is this host itself, which proves nothing", self.to)),
            Err(Errno::ETIMEDOUT) => failed(self.to, "no answer"),
            // In small letters: "connection refused", "network unreachable".
            Err(errno) => failed(self.to, &io::Error::from(errno).kind().to_string()),
        };
    }
}

fn failed(to: SocketAddr, why: &str) -> Outcome {
    Outcome::unmet(format!("TCP {to}: {why}"))
}
