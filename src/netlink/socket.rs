//! One netlink socket, and waiting on it.
//!
//! Opens the socket with the options every request relies on, and receives one
//! datagram at a time within a deadline. Sequence numbers and retries are not
//! known here. The socket for events has a file of its own, `listener.rs`.

use std::{
    io,
    os::fd::{AsFd, AsRawFd},
    time::{Duration, Instant},
};

use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::socket::{MsgFlags, recv, send, setsockopt, sockopt},
};

use crate::error::WireError;

/// Room for the answers to one chunk, also on hosts whose links carry hundreds of virtual functions.
const RECEIVE_BUFFER: usize = 4 << 20;

/// An open socket, talking to the kernel only.
#[derive(Debug)]
pub(crate) struct Channel {
    // `netlink_sys::Socket` is `Clone`, but a clone shares the descriptor and closes it a second time.
    socket: Socket,
    strict: bool,
}

impl Channel {
    pub(crate) fn open() -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        set_receive_buffer(&socket, RECEIVE_BUFFER)?;
        socket.set_ext_ack(true)?;
        socket.set_cap_ack(true)?;
        // Some distributions' kernels refuse this; dumps are then filtered by nobody.
        let strict = socket.set_netlink_get_strict_chk(true).is_ok();
        if !strict {
            tracing::warn!("this kernel has no strict checking of dump requests");
        }
        socket.bind_auto()?;
        // A connected netlink socket takes datagrams from its peer only, here the kernel.
        socket.connect(&SocketAddr::new(0, 0))?;
        Ok(Self { socket, strict })
    }

    /// Whether the kernel heeds the filters of a dump request.
    pub(crate) fn strict(&self) -> bool {
        self.strict
    }

    pub(crate) fn send(&self, datagram: &[u8]) -> Result<(), WireError> {
        loop {
            match send(self.socket.as_raw_fd(), datagram, MsgFlags::MSG_NOSIGNAL) {
                Ok(_) => return Ok(()),
                // The kernel has not looked at the datagram yet when it reports this.
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(WireError::Send(errno.into())),
            }
        }
    }

    /// Receives one datagram into `inbox` and returns its length.
    ///
    /// Looks before it waits: the answers are mostly there already.
    pub(crate) fn receive(&self, inbox: &mut Vec<u8>, clock: &Clock) -> Result<usize, WireError> {
        loop {
            let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_TRUNC;
            match recv(self.socket.as_raw_fd(), inbox, flags) {
                Ok(0) => return Err(WireError::Receive(io::ErrorKind::UnexpectedEof.into())),
                Ok(needed) if needed > inbox.len() => {
                    inbox.resize(needed.next_power_of_two(), 0);
                    return Err(WireError::Truncated { needed });
                }
                Ok(length) => return Ok(length),
                Err(Errno::EAGAIN) => self.wait(clock)?,
                Err(Errno::EINTR) => {}
                Err(Errno::ENOBUFS) => return Err(WireError::Overrun),
                Err(errno) => return Err(WireError::Receive(errno.into())),
            }
        }
    }

    fn wait(&self, clock: &Clock) -> Result<(), WireError> {
        // Rounded up, or the last millisecond would be spent in a busy loop.
        let left = clock.left()? + Duration::from_millis(1);
        let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        match poll(&mut [PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)], timeout) {
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(errno) => Err(WireError::Receive(errno.into())),
        }
    }
}

/// Only root may go beyond `net.core.rmem_max`, and others can make do with less.
pub(crate) fn set_receive_buffer(socket: &Socket, bytes: usize) -> nix::Result<()> {
    // The kernel takes an `int`, and cuts what is beyond a half of that.
    let bytes = bytes.min(libc::c_int::MAX as usize);
    setsockopt(socket, sockopt::RcvBufForce, &bytes).or_else(|_| setsockopt(socket, sockopt::RcvBuf, &bytes))
}

/// The time one exchange may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    started: Instant,
    after: Duration,
}

impl Clock {
    pub(crate) fn start(after: Duration) -> Self {
        Self { started: Instant::now(), after }
    }

    /// What is left of it; nothing left is an error.
    pub(crate) fn left(&self) -> Result<Duration, WireError> {
        match self.after.checked_sub(self.started.elapsed()) {
            Some(left) if !left.is_zero() => Ok(left),
            _ => Err(WireError::Deadline { after: self.after }),
        }
    }
}

#[cfg(test)]
impl Channel {
    /// A channel to a kernel which the test plays itself.
    pub(crate) fn to(end: std::os::fd::OwnedFd) -> Self {
        use std::os::fd::{FromRawFd, IntoRawFd};
        // SAFETY: the descriptor is ours alone, and the socket becomes its only owner.
        let socket = unsafe { Socket::from_raw_fd(end.into_raw_fd()) };
        Self { socket, strict: true }
    }

    pub(crate) fn shrink(&self) {
        setsockopt(&self.socket, sockopt::RcvBuf, &1).unwrap();
    }
}
