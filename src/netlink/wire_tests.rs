//! The wire against a kernel which the test plays itself, and against the real
//! one where trouble can be had on purpose. Needs no privileges.

use super::*;

use std::{
    os::fd::AsRawFd,
    panic::{AssertUnwindSafe, catch_unwind},
    thread,
    time::Instant,
};

use netlink_packet_core::{NLM_F_CAPPED, NLM_F_DUMP_INTR};
use netlink_packet_route::link::LinkMessage;
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, recv, send, socketpair};
use rtnetlink::{LinkDummy, LinkUnspec};

use crate::{
    attrs::{text, u32},
    dump::Dumped,
};

const LONG: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(40);

/// A wire to a kernel which answers each datagram with what `play` makes of it,
/// given how many came before and the sequence number of its first message.
fn played(deadline: Duration, play: impl Fn(usize, u32) -> Vec<Vec<u8>> + Send + 'static) -> Wire {
    let (ours, theirs) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC).unwrap();
    thread::spawn(move || {
        let mut inbox = vec![0; 64 << 10];
        for count in 0.. {
            match recv(theirs.as_raw_fd(), &mut inbox, MsgFlags::empty()) {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
            for datagram in play(count, u32(&inbox[8..]).unwrap()) {
                // The wire may have hung up meanwhile.
                let _ = send(theirs.as_raw_fd(), &datagram, MsgFlags::MSG_NOSIGNAL);
            }
        }
    });
    Wire::over(Channel::to(ours), deadline)
}

fn message(kind: u16, flags: u16, seq: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::from(u32::try_from(16 + payload.len()).unwrap().to_ne_bytes());
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(flags.to_ne_bytes());
    bytes.extend(seq.to_ne_bytes());
    bytes.extend([0; 4]);
    bytes.extend(payload);
    bytes
}

fn ack(seq: u32, errno: i32) -> Vec<u8> {
    let mut payload = Vec::from((-errno).to_ne_bytes());
    payload.extend([0; 16]);
    message(NLMSG_ERROR, NLM_F_CAPPED, seq, &payload)
}

fn done(seq: u32, flags: u16, errno: i32) -> Vec<u8> {
    message(NLMSG_DONE, flags, seq, &(-errno).to_ne_bytes())
}

fn links() -> RouteNetlinkMessage {
    RouteNetlinkMessage::GetLink(LinkMessage::default())
}

fn loopback() -> RouteNetlinkMessage {
    RouteNetlinkMessage::GetLink(LinkUnspec::new_with_name("lo").build())
}

fn dummies(count: usize) -> Vec<Request> {
    (0..count)
        .map(|i| RouteNetlinkMessage::NewLink(LinkDummy::new(&format!("d{i}")).build()))
        .map(|message| Request::new(message, 0))
        .collect()
}

/// The payloads since the last start, and the number of starts.
fn dump(wire: &mut Wire) -> (Result<(), WireError>, Vec<Vec<u8>>, usize) {
    let (mut seen, mut starts) = (Vec::new(), 0);
    let result = wire.dump(links(), &mut |dumped| match dumped {
        Dumped::Start => {
            seen.clear();
            starts += 1;
        }
        Dumped::Object { payload, .. } => seen.push(payload.to_vec()),
    });
    (result, seen, starts)
}

/// The real kernel answers, and answers to what was asked.
fn is_usable(wire: &mut Wire) {
    let mut names = Vec::new();
    wire.get(&[loopback()], &mut |at, answer| {
        let (kind, payload) = answer.unwrap();
        let name = crate::attrs::find(crate::attrs::Attrs::after(payload, 16), libc::IFLA_IFNAME).and_then(text);
        names.push((at, kind, name.unwrap().to_owned()));
    })
    .unwrap();
    assert_eq!(names, [(0, libc::RTM_NEWLINK, "lo".to_owned())]);
}

#[test]
fn an_interrupted_dump_is_read_anew() {
    let mut wire = played(LONG, |count, seq| {
        let flags = if count < 2 { NLM_F_DUMP_INTR } else { 0 };
        let payload = [u8::try_from(count).unwrap(); 4];
        vec![message(16, 0, seq, &payload), message(16, flags, seq, &payload), done(seq, 0, 0)]
    });
    let (result, seen, starts) = dump(&mut wire);
    result.unwrap();
    assert_eq!((seen, starts), (vec![vec![2; 4]; 2], 3));
}

#[test]
fn an_interruption_told_at_the_end_counts_too() {
    let mut wire = played(LONG, |count, seq| vec![done(seq, if count == 0 { NLM_F_DUMP_INTR } else { 0 }, 0)]);
    let (result, _, starts) = dump(&mut wire);
    result.unwrap();
    assert_eq!(starts, 2);
}

#[test]
fn a_table_that_never_rests_is_an_error() {
    let mut wire = played(LONG, |_, seq| vec![done(seq, NLM_F_DUMP_INTR, 0)]);
    let (result, _, starts) = dump(&mut wire);
    assert!(matches!(result, Err(WireError::Interrupted { attempts: 10 })), "{result:?}");
    assert_eq!(starts, 10);
}

#[test]
fn an_error_at_the_end_of_a_dump_is_an_error() {
    let mut wire = played(LONG, |_, seq| vec![message(16, 0, seq, &[0; 4]), done(seq, 0, libc::ENODEV)]);
    let (result, ..) = dump(&mut wire);
    assert!(matches!(result, Err(WireError::Refused(KernelError { errno: libc::ENODEV, .. }))), "{result:?}");
}

#[test]
fn answers_to_others_are_not_ours() {
    let mut wire = played(LONG, |_, seq| {
        vec![ack(seq.wrapping_sub(1), libc::EEXIST), ack(seq + 2, libc::EPERM), [ack(seq, 0), ack(seq + 1, 0)].concat()]
    });
    wire.batch(&dummies(2)).unwrap();
}

#[test]
fn answers_to_others_do_not_outlast_the_deadline() {
    let mut wire = played(SHORT, |_, seq| vec![ack(seq + 9, 0); 200]);
    let result = wire.batch(&dummies(1));
    assert!(matches!(result, Err(BatchError::Broken { source: WireError::Deadline { after: SHORT }, .. })));
}

#[test]
fn a_batch_stops_behind_the_refused_chunk_and_tells_what_was_done() {
    let mut wire = played(LONG, |count, seq| {
        vec![
            (0..64)
                .map(|i| ack(seq + i, if count == 1 && i == 3 { libc::EEXIST } else { 0 }))
                .collect::<Vec<_>>()
                .concat(),
        ]
    });
    let Err(BatchError::Refused { index, done, source }) = wire.batch(&dummies(64 * 3)) else {
        panic!("was not refused")
    };
    assert_eq!((index, source.errno, done.len()), (67, libc::EEXIST, 128));
    assert_eq!(done.iter().enumerate().filter(|(_, done)| !**done).map(|(i, _)| i).collect::<Vec<_>>(), [67]);
}

#[test]
fn a_batch_that_breaks_off_tells_what_was_acknowledged() {
    let mut wire = played(SHORT, |_, seq| vec![ack(seq, 0), ack(seq + 2, 0)]);
    let Err(BatchError::Broken { done, source: WireError::Deadline { .. } }) = wire.batch(&dummies(4)) else {
        panic!("did not break off")
    };
    assert_eq!(done, [true, false, true, false]);
}

#[test]
fn garbage_is_malformed() {
    let mut wire = played(LONG, |_, _| vec![vec![7; 9]]);
    assert!(matches!(wire.try_each(&dummies(1)), Err(WireError::Malformed)));
    is_usable(&mut wire);
}

#[test]
fn late_answers_are_never_taken_for_answers_to_something_else() {
    let mut wire = played(SHORT, |_, seq| {
        thread::sleep(2 * SHORT);
        (seq..seq + 9).map(|seq| ack(seq, libc::EPERM)).collect()
    });
    let started = Instant::now();
    assert!(matches!(wire.try_each(&dummies(1)), Err(WireError::Deadline { after: SHORT })));
    assert!(started.elapsed() >= SHORT);
    thread::sleep(2 * SHORT);
    wire.deadline = LONG;
    is_usable(&mut wire);
}

#[test]
fn a_silent_kernel_meets_the_deadline_and_the_wire_stays_usable() {
    let mut wire = Wire::open(SHORT).unwrap();
    let silent = Request::new(loopback(), 0).silenced();
    // The answer itself comes, its acknowledgement does not.
    assert!(matches!(wire.try_each(&[silent]), Err(WireError::Deadline { .. })));
    wire.deadline = LONG;
    is_usable(&mut wire);
}

#[test]
fn a_panic_amid_a_dump_leaves_the_wire_usable() {
    let mut wire = Wire::open(LONG).unwrap();
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        wire.dump(links(), &mut |dumped| assert_eq!(dumped, Dumped::Start, "on purpose"))
    }));
    assert!(panicked.is_err());
    is_usable(&mut wire);
    let (result, seen, _) = dump(&mut wire);
    result.unwrap();
    assert!(!seen.is_empty());
}

#[test]
fn lost_answers_are_noticed() {
    let mut wire = Wire::open(LONG).unwrap();
    wire.channel.shrink();
    let result = wire.get(&vec![loopback(); 64], &mut |_, _| {});
    assert!(matches!(result, Err(WireError::Overrun)), "{result:?}");
    is_usable(&mut wire);
}

#[test]
fn an_inbox_that_is_too_small_grows() {
    let mut wire = Wire::open(LONG).unwrap();
    wire.inbox = vec![0; 64];
    let (result, seen, starts) = dump(&mut wire);
    result.unwrap();
    assert!(!seen.is_empty());
    assert!(starts > 1 && wire.inbox.len() > 64);

    wire.inbox = vec![0; 64];
    let result = wire.get(&[loopback()], &mut |_, _| {});
    assert!(matches!(result, Err(WireError::Truncated { needed }) if needed > 64));
    is_usable(&mut wire);
}

#[test]
fn a_thread_in_another_namespace_does_not_reopen_the_wire() {
    let mut wire = played(SHORT, |_, _| Vec::new());
    wire.try_each(&dummies(1)).unwrap_err();
    wire.namespace = Some((0, 0));
    assert!(matches!(wire.try_each(&dummies(1)), Err(WireError::Namespace)));
}

#[test]
fn chunks_are_bounded_by_messages_and_by_bytes() {
    let sizes = |requests: &[Request]| chunks(requests).map(|(start, chunk)| (start, chunk.len())).collect::<Vec<_>>();
    assert_eq!(sizes(&[]), []);
    assert_eq!(sizes(&dummies(130)), [(0, 64), (64, 64), (128, 2)]);

    let long = |length: usize| {
        let alias = "a".repeat(length);
        Request::new(RouteNetlinkMessage::NewLink(LinkUnspec::new_with_name("lo").alias(alias).build()), 0)
    };
    assert_eq!(sizes(&vec![long(10_000); 7]), [(0, 3), (3, 3), (6, 1)]);
    assert_eq!(sizes(&[long(10), long(40_000), long(40_000), long(10)]), [(0, 1), (1, 1), (2, 1), (3, 1)]);
}

#[test]
fn sequence_numbers_start_anew_before_they_run_over() {
    let mut wire = played(LONG, |_, _| Vec::new());
    wire.seq = u32::MAX - 3;
    assert_eq!((wire.sequence(3), wire.sequence(3), wire.sequence(1)), (u32::MAX - 3, 1, 4));
}
