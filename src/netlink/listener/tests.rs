//! The listener to a kernel which the test plays itself, on a protocol that is
//! open to everybody. Needs no privileges; what the real kernel tells is in
//! `tests/listener.rs`.

use std::{
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
};

use netlink_sys::protocols::NETLINK_USERSOCK;
use nix::{
    sys::{
        socket::{getsockopt, recv, sockopt},
        stat::fstat,
    },
    unistd::Uid,
};
use proptest::prelude::*;

use super::*;

const RTM_NEWLINK: u16 = libc::RTM_NEWLINK;
const RTM_NEWROUTE: u16 = libc::RTM_NEWROUTE;
const ALL: usize = usize::MAX;

/// One end plays the kernel, and sends to the other.
pub(super) fn kernel_and_listener() -> (Socket, Socket) {
    let mut ears = Socket::new(NETLINK_USERSOCK).unwrap();
    let address = ears.bind_auto().unwrap();
    (speaks_to(&address), ears)
}

fn speaks_to(address: &SocketAddr) -> Socket {
    let mut mouth = Socket::new(NETLINK_USERSOCK).unwrap();
    mouth.bind_auto().unwrap();
    mouth.connect(address).unwrap();
    mouth
}

/// Whether the datagram gets through to the other socket's queue; it is taken off there.
pub(super) fn hears(kernel: &Socket, ears: &Socket, datagram: &[u8]) -> bool {
    assert_eq!(kernel.send(datagram, 0).unwrap(), datagram.len());
    match recv(ears.as_raw_fd(), &mut [0; 16], MsgFlags::MSG_DONTWAIT) {
        Ok(_) => true,
        Err(Errno::EAGAIN) => false,
        Err(errno) => panic!("{errno}"),
    }
}

pub(super) fn message(kind: u16, flags: u16, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::from(u32::try_from(16 + payload.len()).unwrap().to_ne_bytes());
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(flags.to_ne_bytes());
    bytes.extend([0; 8]);
    bytes.extend(payload);
    bytes
}

fn address(socket: &Socket) -> SocketAddr {
    let mut address = SocketAddr::new(0, 0);
    socket.get_address(&mut address).unwrap();
    address
}

/// A kernel to play, and a listener without a filter in it.
fn played(topic: Topic) -> (Socket, Listener) {
    let (kernel, ears) = kernel_and_listener();
    let port = address(&kernel).port_number();
    (kernel, Listener::over(ears, topic, port))
}

fn tell(kernel: &Socket, messages: &[Vec<u8>]) {
    let datagram = messages.concat();
    assert_eq!(kernel.send(&datagram, 0).unwrap(), datagram.len());
}

/// What a drain hands out, as (type, flags, payload), and how it ends.
fn drain(listener: &mut Listener, most: usize) -> (Vec<(u16, u16, Vec<u8>)>, Drained) {
    let mut seen = Vec::new();
    let end = listener.drain(most, &mut |event| seen.push((event.kind, event.flags, event.payload.to_vec())));
    (seen, end.unwrap())
}

fn link(n: u8) -> Vec<u8> {
    message(RTM_NEWLINK, 0, &[n; 4])
}

/// The first bytes of the payloads, for messages made by [`link`].
fn numbers(listener: &mut Listener, most: usize) -> (Vec<u8>, Drained) {
    let (seen, end) = drain(listener, most);
    (seen.into_iter().map(|(.., payload)| payload[0]).collect(), end)
}

#[test]
fn all_messages_of_a_datagram_are_handed_out_as_they_are() {
    let (kernel, mut listener) = played(Topic::Links);
    tell(&kernel, &[message(RTM_NEWLINK, 0x100, &[1; 4]), message(libc::RTM_DELADDR, 0, &[]), message(36, 7, &[2; 8])]);
    tell(&kernel, &[message(RTM_NEWROUTE, 0, &[3; 4])]);
    let expected = vec![
        (RTM_NEWLINK, 0x100, vec![1; 4]),
        (libc::RTM_DELADDR, 0, vec![]),
        (36, 7, vec![2; 8]),
        (RTM_NEWROUTE, 0, vec![3; 4]),
    ];
    assert_eq!(drain(&mut listener, ALL), (expected, Drained::Empty));
    assert_eq!(drain(&mut listener, ALL), (vec![], Drained::Empty));
}

#[test]
fn no_more_datagrams_are_taken_than_asked_for() {
    let (kernel, mut listener) = played(Topic::Links);
    tell(&kernel, &[link(1), link(2), link(3)]);
    tell(&kernel, &[link(4)]);
    tell(&kernel, &[link(5)]);
    assert_eq!(numbers(&mut listener, 2), (vec![1, 2, 3], Drained::More));
    assert_eq!(numbers(&mut listener, 0), (vec![4], Drained::More));
    assert_eq!(numbers(&mut listener, 2), (vec![5], Drained::Empty));
}

#[test]
fn messages_that_are_not_handed_out_count_too() {
    let (kernel, mut listener) = played(Topic::Routes);
    let stranger = speaks_to(&address(&listener.socket));
    for _ in 0..2 {
        tell(&kernel, &[message(RTM_NEWROUTE, 0, &[])]);
        tell(&stranger, &[link(9)]);
        tell(&kernel, &[message(NLMSG_DONE, 0, &[0; 4])]);
    }
    assert_eq!(numbers(&mut listener, 3), (vec![], Drained::More));
    tell(&kernel, &[link(1)]);
    assert_eq!(numbers(&mut listener, 3), (vec![], Drained::More));
    assert_eq!(numbers(&mut listener, 3), (vec![1], Drained::Empty));
}

#[test]
fn only_the_kernel_is_listened_to() {
    let (kernel, mut listener) = played(Topic::Links);
    let stranger = speaks_to(&address(&listener.socket));
    tell(&kernel, &[link(1)]);
    tell(&stranger, &[link(2)]);
    tell(&stranger, &[message(NLMSG_OVERRUN, 0, &[])]);
    tell(&stranger, &[message(RTM_NEWLINK, 0, &vec![3; 2 * INBOX])]);
    tell(&stranger, &[vec![4; 7]]);
    tell(&kernel, &[link(5)]);
    assert_eq!(numbers(&mut listener, ALL), (vec![1, 5], Drained::Empty));
    assert_eq!(listener.inbox.len(), INBOX);
}

#[test]
fn without_a_filter_in_the_kernel_unwanted_routes_are_left_out_here() {
    let bgp = [2, 24, 0, 0, 254, 186, 0, 1, 0, 0, 0, 0];
    let default = [2, 0, 0, 0, 254, 186, 0, 1, 0, 0, 0, 0];
    let told = [
        message(RTM_NEWROUTE, 0, &bgp),
        message(RTM_NEWROUTE, 0, &default),
        message(libc::RTM_DELROUTE, 0, &bgp),
        link(1),
    ];
    for topic in [Topic::Routes, Topic::All] {
        let (kernel, mut listener) = played(topic);
        tell(&kernel, &told);
        let expected = vec![(RTM_NEWROUTE, 0, default.to_vec()), (RTM_NEWLINK, 0, vec![1; 4])];
        assert_eq!(drain(&mut listener, ALL), (expected, Drained::Empty), "{topic:?}");
    }

    let (kernel, mut listener) = played(Topic::Links);
    tell(&kernel, &told);
    assert_eq!(drain(&mut listener, ALL).0.len(), 4);
}

#[test]
fn each_topic_has_its_groups() {
    // Numbers of `linux/rtnetlink.h`: link, tc, IPv4 address and rule, IPv6 address, ifinfo and rule; IPv4 and IPv6 route.
    let (links, routes) = ([1, 4, 5, 8, 9, 12, 19], [7, 11]);
    let mask = |groups: &[u32]| groups.iter().fold(0, |mask, group| mask | 1_u32 << (group - 1));
    for (topic, groups) in
        [(Topic::Links, mask(&links)), (Topic::Routes, mask(&routes)), (Topic::All, mask(&links) | mask(&routes))]
    {
        let listener = Listener::open(topic, None).unwrap();
        let inode = fstat(&listener).unwrap().st_ino.to_string();
        let sockets = fs::read_to_string("/proc/thread-self/net/netlink").unwrap();
        let ours = sockets.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        let ours = ours.into_iter().find(|words| words.last() == Some(&&*inode)).unwrap();
        assert_eq!(u32::from_str_radix(ours[3], 16), Ok(groups), "{topic:?}");
    }
}

#[test]
fn nobody_else_can_write_to_a_listener() {
    let listener = Listener::open(Topic::Links, None).unwrap();
    let mut stranger = Socket::new(NETLINK_ROUTE).unwrap();
    stranger.bind_auto().unwrap();
    let refused = stranger.send_to(&link(1), &address(&listener.socket), 0).unwrap_err();
    // Those without privileges are refused for that.
    assert!(matches!(refused.raw_os_error(), Some(libc::ECONNREFUSED | libc::EPERM)), "{refused}");
}

#[test]
fn the_buffer_is_as_large_as_asked_for() {
    for (asked, least) in [(Some(4096), 4096), (Some(100_000), 100_000), (None, 8 << 20), (Some(usize::MAX), 1 << 30)] {
        let listener = Listener::open(Topic::Links, asked).unwrap();
        let size = getsockopt(&listener, sockopt::RcvBuf).unwrap();
        // Those without privileges get at most what the host allows.
        let allowed: usize = fs::read_to_string("/proc/sys/net/core/rmem_max").unwrap().trim().parse().unwrap();
        let least = if Uid::effective().is_root() { least } else { least.min(allowed) };
        assert!(size >= least && (asked != Some(4096) || size < 100_000), "{asked:?}: {size}");
    }
}

#[test]
fn answers_to_nobody_are_left_out() {
    let (kernel, mut listener) = played(Topic::Links);
    tell(&kernel, &[NLMSG_NOOP, NLMSG_ERROR, NLMSG_DONE].map(|kind| message(kind, 0, &[0; 20])));
    tell(&kernel, &[link(1)]);
    assert_eq!(numbers(&mut listener, ALL), (vec![1], Drained::Empty));
}

#[test]
fn an_overrun_told_in_a_message_is_a_loss() {
    let (kernel, mut listener) = played(Topic::Links);
    tell(&kernel, &[link(1), message(NLMSG_OVERRUN, 0, &[]), link(2)]);
    tell(&kernel, &[link(3)]);
    assert_eq!(numbers(&mut listener, ALL), (vec![1, 2], Drained::Lost));
    assert_eq!(numbers(&mut listener, ALL), (vec![3], Drained::Empty));
}

#[test]
fn a_datagram_that_does_not_fit_is_a_loss_and_the_next_one_fits() {
    let (kernel, mut listener) = played(Topic::Links);
    let long = message(RTM_NEWLINK, 0, &vec![7; INBOX - 15]);
    tell(&kernel, &[link(1)]);
    tell(&kernel, &[link(2), long.clone()]);
    tell(&kernel, &[long]);
    assert_eq!(numbers(&mut listener, ALL), (vec![1], Drained::Lost));
    assert_eq!(numbers(&mut listener, ALL), (vec![7], Drained::Empty));
}

#[test]
fn a_datagram_as_long_as_the_inbox_fits() {
    let (kernel, mut listener) = played(Topic::Links);
    tell(&kernel, &[message(RTM_NEWLINK, 0, &vec![7; INBOX - 16])]);
    assert_eq!(numbers(&mut listener, ALL), (vec![7], Drained::Empty));
}

#[test]
fn garbage_is_an_error_and_then_a_loss() {
    let (kernel, mut listener) = played(Topic::Links);
    tell(&kernel, &[link(1), vec![7; 9]]);
    tell(&kernel, &[link(2)]);
    let result = listener.drain(ALL, &mut |event| assert_eq!(event.payload, [1; 4]));
    assert!(matches!(result, Err(WireError::Malformed)), "{result:?}");
    assert_eq!(numbers(&mut listener, ALL), (vec![], Drained::Lost));
    assert_eq!(numbers(&mut listener, ALL), (vec![2], Drained::Empty));
}

#[test]
fn a_panic_amid_a_datagram_is_a_loss() {
    let (kernel, mut listener) = played(Topic::Links);
    tell(&kernel, &[link(1), link(2)]);
    tell(&kernel, &[link(3)]);
    let panicked = catch_unwind(AssertUnwindSafe(|| listener.drain(ALL, &mut |_| panic!("on purpose"))));
    assert!(panicked.is_err());
    assert_eq!(numbers(&mut listener, ALL), (vec![], Drained::Lost));
    assert_eq!(numbers(&mut listener, ALL), (vec![3], Drained::Empty));
}

#[test]
fn an_overrun_is_a_loss_again_if_more_was_dropped_since_or_nobody_counts() {
    assert!(dropped_since(None, None) && dropped_since(Some(1), None));
    let (_kernel, mut listener) = played(Topic::Links);
    let now = drops(&listener.socket);
    assert!(now.is_some(), "this kernel does not count drops");
    for (told, end) in [(now, Drained::Empty), (now.map(|n| n + 1), Drained::Lost), (None, Drained::Lost)] {
        listener.overrun = Some(told);
        assert_eq!(drain(&mut listener, ALL).1, end, "{told:?}");
        assert_eq!(drain(&mut listener, ALL).1, Drained::Empty);
    }
}

proptest! {
    #[test]
    fn no_datagram_makes_a_drain_panic(datagram in prop::collection::vec(any::<u8>(), 1..200)) {
        for topic in [Topic::Links, Topic::Routes] {
            let (kernel, mut listener) = played(topic);
            tell(&kernel, std::slice::from_ref(&datagram));
            let _ = listener.drain(ALL, &mut |event| assert!(event.payload.len() < datagram.len()));
        }
    }
}
