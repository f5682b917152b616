//! Router solicitation (RFC 4861, sections 4.1 and 6.3.7): a question to all routers on a link.
//!
//! What they answer is the kernel's to take.

use std::io;
use std::net::Ipv6Addr;
use std::os::fd::AsRawFd;

use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrIn6, sendto, setsockopt, socket, sockopt,
};

/// All routers on the link.
const ROUTERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2);
/// Type 133, code 0; the kernel fills in the checksum. Four reserved bytes.
const SOLICITATION: [u8; 8] = [133, 0, 0, 0, 0, 0, 0, 0];
/// Routers take it from nobody who is farther away.
const HOPS: i32 = 255;

/// Asks once; waits for nobody.
pub(super) fn solicit(index: u32) -> io::Result<()> {
    let kind = SockType::Raw;
    let socket = socket(AddressFamily::Inet6, kind, SockFlag::SOCK_CLOEXEC, SockProtocol::IcmpV6)?;
    setsockopt(&socket, sockopt::Ipv6MulticastHops, &HOPS)?;
    // Not through all of the host's routing: to this link.
    let to = SockaddrIn6::from(std::net::SocketAddrV6::new(ROUTERS, 0, 0, index));
    sendto(socket.as_raw_fd(), &SOLICITATION, &to, MsgFlags::MSG_DONTWAIT)?;
    Ok(())
}
