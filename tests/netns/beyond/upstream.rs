//! A router at the other end of several nics, and packets that show which of them is used.
//!
//! Behind nic N are 10.0.N.0/24 and fd00:N::/64, each with a gateway of its own; behind the router is
//! the rest of the world, which is one address of each family. What is counted are real echo
//! requests and replies of ICMP, and the link they came in by (`IP_PKTINFO`, `IPV6_PKTINFO`).

use std::io::{IoSlice, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrStorage,
    bind, recvmsg, sendmsg, sendto, setsockopt, socket, sockopt,
};

use super::{Elsewhere, PATIENCE};

/// Somebody in the rest of the world.
pub const WORLD: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
/// The same by IPv6.
pub const WORLD6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);

/// The first packet may be lost while neighbours are looked for.
const AGAIN: Duration = Duration::from_secs(1);

/// The router.
pub struct Upstream {
    pub place: Elsewhere,
    nics: Vec<usize>,
}

/// The gateway behind a nic, for `gateway`.
pub fn gateway(nic: usize) -> IpAddr {
    IpAddr::from([10, 0, u8::try_from(nic).unwrap(), 254])
}

/// The same for `ipv6gateway`.
pub fn gateway6(nic: usize) -> IpAddr {
    IpAddr::from([0xfd00, u16::try_from(nic).unwrap(), 0, 0, 0, 0, 0, 0xfffe])
}

impl Upstream {
    /// The router behind these nics.
    pub fn behind(nics: &[usize]) -> Upstream {
        let place = Elsewhere::new();
        place.ip(&format!("addr add {WORLD}/32 dev lo\naddr add {WORLD6}/128 dev lo\n"));
        for &n in nics {
            let (v4, v6) = (gateway(n), gateway6(n));
            place.take(
                &format!("peer{n}"),
                &format!("addr add {v4}/24 dev peer{n}\naddr add {v6}/64 dev peer{n} nodad\n"),
            );
        }
        Upstream { place, nics: nics.to_owned() }
    }

    /// Somebody in the world asks an address of the host, and the packet comes in through nic
    /// `through`: the nic by which the host replies. An IPv6 address must be on that nic, as nobody
    /// else would say where it is.
    #[track_caller]
    pub fn reply_to_world(&self, through: usize, to: IpAddr) -> usize {
        let world = if to.is_ipv4() { IpAddr::from(WORLD) } else { IpAddr::from(WORLD6) };
        let (socket, index) =
            self.place.run(|| (Icmp::open(world), nix::net::if_::if_nametoindex(peer(through).as_str())));
        let index = index.unwrap();
        let reply = patiently(|| {
            socket.ask(to, Some(index));
            socket.hear(Kind::Reply, to)
        });
        self.nic(reply.unwrap_or_else(|| panic!("{to} does not reply to {world}, asked through nic {through}")))
    }

    /// The host asks somebody, from this address if that is said, and gets a reply: the nic by
    /// which it asked. To be called in the story's own thread.
    #[track_caller]
    pub fn host_asks(&self, to: IpAddr, from: Option<IpAddr>) -> usize {
        let any = if to.is_ipv4() { IpAddr::from(Ipv4Addr::UNSPECIFIED) } else { IpAddr::from(Ipv6Addr::UNSPECIFIED) };
        let here = Icmp::open(from.unwrap_or(any));
        let there = self.place.run(|| Icmp::open(to));
        let mut came_by = None;
        let replied = patiently(|| {
            here.ask(to, None);
            here.hear(Kind::Reply, to)
        });
        while let Some(index) = there.next(Kind::Request, None, Duration::ZERO) {
            came_by = Some(index);
        }
        assert!(replied.is_some(), "the host gets no reply from {to}, asked from {from:?}; nic {came_by:?}");
        self.nic(came_by.unwrap())
    }

    fn nic(&self, index: u32) -> usize {
        let name = self.place.run(|| nix::net::if_::if_indextoname(index)).unwrap();
        let name = name.to_str().unwrap();
        *self.nics.iter().find(|n| peer(**n) == name).unwrap_or_else(|| panic!("it came by {name}"))
    }
}

fn peer(nic: usize) -> String {
    format!("peer{nic}")
}

/// Tries until there is something.
fn patiently<T>(mut act: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + PATIENCE;
    loop {
        let done = act();
        if done.is_some() || Instant::now() > end {
            return done;
        }
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Request,
    Reply,
}

/// A raw socket of ICMP or ICMPv6, bound to an address.
struct Icmp {
    socket: OwnedFd,
    /// Packets it sends come from here.
    address: IpAddr,
    is_v4: bool,
}

impl Icmp {
    fn open(address: IpAddr) -> Icmp {
        let is_v4 = address.is_ipv4();
        let (family, protocol) = match is_v4 {
            true => (AddressFamily::Inet, SockProtocol::Icmp),
            false => (AddressFamily::Inet6, SockProtocol::IcmpV6),
        };
        let socket = socket(family, SockType::Raw, SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK, protocol).unwrap();
        match is_v4 {
            true => setsockopt(&socket, sockopt::Ipv4PacketInfo, &true).unwrap(),
            false => setsockopt(&socket, sockopt::Ipv6RecvPacketInfo, &true).unwrap(),
        }
        bind(socket.as_raw_fd(), &SockaddrStorage::from(SocketAddr::new(address, 0))).unwrap();
        Icmp { socket, address, is_v4 }
    }

    /// Sends an echo request, through the link with that index if one is given. What cannot be sent
    /// now is tried again by whoever waits.
    fn ask(&self, to: IpAddr, through: Option<u32>) {
        // Type, code, checksum (for IPv6 the kernel's affair), identifier, number.
        let request: [u8; 8] = if self.is_v4 { [8, 0, 0xf6, 0xfd, 1, 1, 0, 1] } else { [128, 0, 0, 0, 1, 1, 0, 1] };
        let to = SockaddrStorage::from(SocketAddr::new(to, 0));
        let Some(index) = through else {
            let _ = sendto(self.socket.as_raw_fd(), &request, &to, MsgFlags::empty());
            return;
        };
        let parts = [IoSlice::new(&request)];
        let send = |by| sendmsg(self.socket.as_raw_fd(), &parts, &[by], MsgFlags::empty(), Some(&to));
        let _ = match self.address {
            IpAddr::V4(from) => {
                let address = libc::in_addr { s_addr: from.to_bits().to_be() };
                let none = libc::in_addr { s_addr: 0 };
                send(ControlMessage::Ipv4PacketInfo(&libc::in_pktinfo {
                    ipi_ifindex: index.cast_signed(),
                    ipi_spec_dst: address,
                    ipi_addr: none,
                }))
            }
            IpAddr::V6(from) => send(ControlMessage::Ipv6PacketInfo(&libc::in6_pktinfo {
                ipi6_addr: libc::in6_addr { s6_addr: from.octets() },
                ipi6_ifindex: index,
            })),
        };
    }

    /// The link by which something comes from somebody, for a while.
    fn hear(&self, kind: Kind, from: IpAddr) -> Option<u32> {
        self.next(kind, Some(from), AGAIN)
    }

    fn next(&self, kind: Kind, from: Option<IpAddr>, within: Duration) -> Option<u32> {
        let end = Instant::now() + within;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let mut fds = [PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)];
            if poll(&mut fds, PollTimeout::try_from(left).unwrap()).unwrap() == 0 {
                return None;
            }
            let (packet, sender, index) = self.receive();
            // IPv4 comes with its header, IPv6 without.
            let start = if self.is_v4 { usize::from(packet[0] & 15) * 4 } else { 0 };
            let wanted = match (self.is_v4, kind) {
                (true, Kind::Request) => 8,
                (true, Kind::Reply) => 0,
                (false, Kind::Request) => 128,
                (false, Kind::Reply) => 129,
            };
            if packet[start] == wanted && from.is_none_or(|from| from == sender) {
                return Some(index);
            }
        }
    }

    fn receive(&self) -> (Vec<u8>, IpAddr, u32) {
        let mut buffer = [0; 2048];
        let mut parts = [IoSliceMut::new(&mut buffer)];
        let mut control = nix::cmsg_space!(libc::in6_pktinfo);
        let flags = MsgFlags::empty();
        let got = recvmsg::<SockaddrStorage>(self.socket.as_raw_fd(), &mut parts, Some(&mut control), flags).unwrap();
        let index = got.cmsgs().unwrap().find_map(|message| match message {
            ControlMessageOwned::Ipv4PacketInfo(info) => Some(info.ipi_ifindex.cast_unsigned()),
            ControlMessageOwned::Ipv6PacketInfo(info) => Some(info.ipi6_ifindex),
            _ => None,
        });
        let from = got.address.unwrap();
        let v4 = from.as_sockaddr_in().map(|from| IpAddr::from(SocketAddrV4::from(*from).ip().to_owned()));
        let v6 = from.as_sockaddr_in6().map(|from| IpAddr::from(SocketAddrV6::from(*from).ip().to_owned()));
        let (length, sender, index) = (got.bytes, v4.or(v6).unwrap(), index.unwrap());
        (buffer[..length].to_vec(), sender, index)
    }
}
