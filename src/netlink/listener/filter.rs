//! Which messages about routes are worth waking up for.
//!
//! One rule, told twice: as a function, and as a classic BPF program for the
//! kernel. A host with a full routing table has 100,000 routes of routing daemons
//! that change all day; nothing here needs them. The function goes over whatever
//! the program lets through, so a kernel without filters costs time, not truth.

use std::{io, os::fd::AsRawFd};

use libc::sock_filter;
use netlink_sys::Socket;

use crate::frame::HEADER;

const RTM_NEWROUTE: u16 = libc::RTM_NEWROUTE;
const RTM_DELROUTE: u16 = libc::RTM_DELROUTE;

// Where `rtmsg` has its fields.
const DST_LEN: usize = 1;
const TABLE: usize = 4;
const PROTOCOL: usize = 5;
const FLAGS: usize = 8;

/// The routes of the kernel, of people, of router advertisements and of DHCP.
/// `linux/rtnetlink.h` has the numbers; the `libc` crate lacks the last two, 9 and 16.
const PROTOCOLS: [u8; 5] = [libc::RTPROT_KERNEL, libc::RTPROT_BOOT, libc::RTPROT_STATIC, 9, 16];

/// Whether a message is worth handing out: it is not about a route, or the route is neither of
/// the local table nor cached, and it is a default route or comes of one of the [`PROTOCOLS`].
///
/// A table beyond 255 shows as `RT_TABLE_COMPAT` in the fixed header, never as the local one.
pub(super) fn is_wanted(kind: u16, payload: &[u8]) -> bool {
    if !matches!(kind, RTM_NEWROUTE | RTM_DELROUTE) {
        return true;
    }
    let Some(route) = payload.first_chunk::<12>() else {
        return false;
    };
    let flags = u32::from_ne_bytes([route[FLAGS], route[FLAGS + 1], route[FLAGS + 2], route[FLAGS + 3]]);
    route[TABLE] != libc::RT_TABLE_LOCAL
        && flags & libc::RTM_F_CLONED == 0
        && (route[DST_LEN] == 0 || PROTOCOLS.contains(&route[PROTOCOL]))
}

/// Has the kernel keep unwanted messages from the socket.
pub(super) fn attach(socket: &Socket) -> io::Result<()> {
    let mut steps = program();
    // Cannot be truncated: the program has a few dozen steps.
    let program = libc::sock_fprog { len: steps.len() as u16, filter: steps.as_mut_ptr() };
    // SAFETY: the kernel reads the `len` steps at `filter`, which outlive the call, and copies them.
    let done = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_FILTER,
            (&raw const program).cast(),
            size_of_val(&program) as libc::socklen_t,
        )
    };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Where a step leads.
#[derive(Clone, Copy)]
enum To {
    Next,
    Pass,
    Drop,
}

/// An operation, its operand, and where it leads if it is true and if not. What is no jump leads on.
type Step = (u32, u32, To, To);

fn load(width: u32, offset: usize) -> Step {
    (libc::BPF_LD | width | libc::BPF_ABS, offset as u32, To::Next, To::Next)
}

fn work(operation: u32, operand: u32) -> Step {
    (operation, operand, To::Next, To::Next)
}

fn test(comparison: u32, operand: u32, yes: To, no: To) -> Step {
    (libc::BPF_JMP | comparison | libc::BPF_K, operand, yes, no)
}

/// [`is_wanted`] of the datagram's first message; a datagram with several messages passes.
///
/// The program sees the datagram from `nlmsghdr` on. Its loads are big-endian and netlink is not,
/// so operands are turned instead of what is loaded. A load beyond the end drops the datagram.
fn program() -> Vec<sock_filter> {
    let mut steps = more_than_one_passes();
    steps.extend([
        // The two types differ in their last bit.
        load(libc::BPF_H, 4),
        work(libc::BPF_ALU | libc::BPF_AND | libc::BPF_K, u32::from((!1_u16).to_be())),
        test(libc::BPF_JEQ, u32::from(RTM_NEWROUTE.to_be()), To::Next, To::Pass),
        // The last word of `rtmsg` first: a message too short for it goes.
        load(libc::BPF_W, HEADER + FLAGS),
        test(libc::BPF_JSET, libc::RTM_F_CLONED.to_be(), To::Drop, To::Next),
        load(libc::BPF_B, HEADER + TABLE),
        test(libc::BPF_JEQ, u32::from(libc::RT_TABLE_LOCAL), To::Drop, To::Next),
        load(libc::BPF_B, HEADER + DST_LEN),
        test(libc::BPF_JEQ, 0, To::Pass, To::Next),
        load(libc::BPF_B, HEADER + PROTOCOL),
    ]);
    steps.extend(PROTOCOLS.map(|protocol| test(libc::BPF_JEQ, u32::from(protocol), To::Pass, To::Next)));
    assemble(&steps)
}

/// The kernel sends each route in a datagram of its own, but promises it nowhere.
fn more_than_one_passes() -> Vec<Step> {
    let lowest_first = cfg!(target_endian = "little");
    let mut steps = Vec::new();
    // The length of the message, from its highest byte to its lowest.
    for n in 0..4 {
        steps.push(load(libc::BPF_B, if lowest_first { 3 - n } else { n }));
        if n > 0 {
            steps.push(work(libc::BPF_ALU | libc::BPF_OR | libc::BPF_X, 0));
        }
        if n < 3 {
            steps.push(work(libc::BPF_ALU | libc::BPF_LSH | libc::BPF_K, 8));
        }
        steps.push(work(libc::BPF_MISC | libc::BPF_TAX, 0));
    }
    steps.extend([
        work(libc::BPF_LD | libc::BPF_W | libc::BPF_LEN, 0),
        work(libc::BPF_ALU | libc::BPF_SUB | libc::BPF_X, 0),
        // Room behind it for another header. A length beyond the datagram's end passes as well, to be noticed.
        test(libc::BPF_JGE, HEADER as u32, To::Pass, To::Next),
    ]);
    steps
}

/// Appends the two ends, `Drop` and `Pass`, and puts numbers for where jumps lead. What falls off the end is dropped.
fn assemble(steps: &[Step]) -> Vec<sock_filter> {
    let ends = [work(libc::BPF_RET | libc::BPF_K, 0), work(libc::BPF_RET | libc::BPF_K, u32::MAX)];
    let count = steps.len();
    let all = steps.iter().chain(&ends).enumerate();
    all.map(|(at, &(code, k, yes, no))| {
        // How many steps to skip. Cannot be truncated: the program has a few dozen steps.
        let skip = |to| match to {
            To::Next => 0,
            To::Drop => (count - at - 1) as u8,
            To::Pass => (count - at) as u8,
        };
        sock_filter { code: code as u16, jt: skip(yes), jf: skip(no), k }
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::listener::tests::{hears, kernel_and_listener, message};
    use proptest::prelude::*;

    const MAIN: u8 = 254;
    const BGP: u8 = 186;

    fn route(length: u8, table: u8, protocol: u8, flags: u32) -> Vec<u8> {
        let mut payload = vec![2, length, 0, 0, table, protocol, 0, 1];
        payload.extend(flags.to_ne_bytes());
        payload
    }

    fn wanted(payload: &[u8]) -> bool {
        let answers = [RTM_NEWROUTE, RTM_DELROUTE].map(|kind| is_wanted(kind, payload));
        assert_eq!(answers[0], answers[1]);
        answers[0]
    }

    #[test]
    fn routes_of_the_host_are_wanted_and_those_of_daemons_are_not() {
        for protocol in 0..=u8::MAX {
            let ours = [2, 3, 4, 9, 16].contains(&protocol);
            for length in [1, 24, 32, 128] {
                assert_eq!(wanted(&route(length, MAIN, protocol, 0)), ours, "{length} {protocol}");
            }
            assert!(wanted(&route(0, MAIN, protocol, 0)), "a default route of {protocol}");
        }
    }

    #[test]
    fn every_table_but_the_local_one_is_heard() {
        for table in 0..=u8::MAX {
            assert_eq!(wanted(&route(24, table, 4, 0)), table != 255);
            assert_eq!(wanted(&route(0, table, BGP, 0)), table != 255);
        }
    }

    #[test]
    fn cached_routes_are_not_wanted() {
        assert!(!wanted(&route(0, MAIN, 4, 0x200)));
        assert!(wanted(&route(0, MAIN, 4, !0x200)));
    }

    #[test]
    fn what_is_too_short_for_a_route_is_not_wanted() {
        assert!(!wanted(&route(0, MAIN, 4, 0)[..11]));
    }

    #[test]
    fn what_is_no_route_is_wanted() {
        for kind in (0..RTM_NEWROUTE).chain(RTM_DELROUTE + 1..300) {
            assert!(is_wanted(kind, &route(24, 255, BGP, 0x200)) && is_wanted(kind, &[]), "{kind}");
        }
    }

    #[test]
    fn a_wanted_message_behind_an_unwanted_one_passes() {
        let (kernel, ears) = kernel_and_listener();
        attach(&ears).unwrap();
        let unwanted = message(RTM_NEWROUTE, 0, &route(24, MAIN, BGP, 0));
        assert!(!hears(&kernel, &ears, &unwanted));
        assert!(hears(&kernel, &ears, &[&unwanted[..], &message(RTM_NEWROUTE, 0, &[])].concat()));
        // Lengths of more than one byte, for each of them is loaded by itself.
        let long = [&route(24, MAIN, BGP, 0)[..], &[0; 70_000]].concat();
        assert!(!hears(&kernel, &ears, &message(RTM_NEWROUTE, 0, &long)));
    }

    #[test]
    fn a_length_that_lies_passes_and_is_noticed_later() {
        let (kernel, ears) = kernel_and_listener();
        attach(&ears).unwrap();
        for byte in 0..4 {
            let mut datagram = message(RTM_NEWROUTE, 0, &route(24, MAIN, BGP, 0));
            datagram[byte] |= 0x80;
            assert!(hears(&kernel, &ears, &datagram), "{byte}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        /// The real kernel runs the program.
        #[test]
        fn the_kernel_and_we_agree(
            kind in prop_oneof![4 => RTM_NEWROUTE..=RTM_DELROUTE, 1 => any::<u16>(), 1 => 0..40_u16],
            length in prop_oneof![Just(0), any::<u8>()],
            table in prop_oneof![Just(255), Just(MAIN), any::<u8>()],
            protocol in prop_oneof![3 => 0..20_u8, 1 => any::<u8>()],
            flags in prop_oneof![2 => Just(0), 1 => (0..32).prop_map(|bit| 1_u32 << bit), 1 => any::<u32>()],
            size in prop_oneof![1 => 0..12_usize, 4 => 12..80_usize],
        ) {
            let (kernel, ears) = kernel_and_listener();
            attach(&ears).unwrap();
            let mut payload = route(length, table, protocol, flags);
            payload.resize(size, 0xff);
            prop_assert_eq!(hears(&kernel, &ears, &message(kind, 0, &payload)), is_wanted(kind, &payload));
        }
    }
}
