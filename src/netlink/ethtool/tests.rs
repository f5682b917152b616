//! Against a kernel which the test plays itself, and against the real one where
//! trouble can be had on purpose. Needs no privileges.

use super::*;

use std::{
    os::fd::{AsFd, AsRawFd},
    sync::mpsc,
    time::Instant,
};

use nix::{
    errno::Errno,
    sys::socket::{MsgFlags, NetlinkAddr, getsockname, sendto},
};

use crate::generic::{
    Drained, Family, Monitor, Port,
    played::{attr, framed, newfamily, pair, played, refused, say},
};

#[path = "../../../tests/common/skip.rs"]
mod skip;

const LONG: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(40);
const ETHTOOL: u16 = 21;
const FULL: Modes = Modes { speed: Some(1000), duplex: Some(Duplex::Full) };

fn modes(seq: u32, speed: u32) -> Vec<u8> {
    framed(ETHTOOL, seq, &[vec![4, 1, 0, 0], attr(5, &speed.to_ne_bytes()), attr(6, &[1])].concat())
}

fn state(seq: u32, up: u8) -> Vec<u8> {
    framed(ETHTOOL, seq, &[vec![6, 1, 0, 0], attr(2, &[up])].concat())
}

fn group(name: &[u8], id: u32) -> Vec<u8> {
    [attr(1, name), attr(2, &id.to_ne_bytes())].concat()
}

/// As [`played`], for questions about links; the family is known already.
fn asking(deadline: Duration, play: impl Fn(&[u32]) -> Vec<Vec<u8>> + Send + 'static) -> Ethtool {
    Ethtool { socket: played(deadline, play), family: ETHTOOL }
}

/// The real kernel answers, and answers to what was asked. Of `lo` nobody knows a speed.
fn is_usable(ethtool: &mut Ethtool) {
    ethtool.socket.deadline = LONG;
    assert_eq!(ethtool.modes(&[1]).unwrap(), [Modes::default()]);
}

#[test]
fn a_family_is_read_with_its_groups() {
    let groups = [attr(1, &group(b"other\0", 7)), attr(2, &group(b"monitor\0", 9))].concat();
    let mut kernel = played(LONG, move |seqs| {
        vec![newfamily(seqs[0], &[attr(2, b"ethtool\0"), attr(1, &ETHTOOL.to_ne_bytes()), attr(7, &groups)])]
    });
    let family = kernel.family("ethtool").unwrap().unwrap();
    assert_eq!((family.id, family.group("monitor"), family.group("nothing")), (ETHTOOL, Some(9), None));
}

#[test]
fn an_odd_answer_about_a_family_is_malformed_and_odd_groups_are_passed_over() {
    let family = |attributes: Vec<Vec<u8>>| -> Result<Option<Family>, GenericError> {
        played(LONG, move |seqs| vec![newfamily(seqs[0], &attributes)]).family("ethtool")
    };
    assert!(matches!(family(vec![]), Err(GenericError::Malformed)));
    assert!(matches!(family(vec![attr(1, &[21])]), Err(GenericError::Malformed)));

    let groups = [attr(1, &attr(1, b"monitor\0")), attr(2, &attr(1, &[])), attr(3, &group(b"monitor", 9))].concat();
    let seen = family(vec![attr(1, &ETHTOOL.to_ne_bytes()), attr(7, &groups)]).unwrap().unwrap();
    assert_eq!(seen.group("monitor"), Some(9));
}

#[test]
fn a_kernel_without_the_family_is_none_and_any_other_refusal_an_error() {
    let open = |errno| Ethtool::over(played(LONG, move |seqs| vec![refused(seqs[0], errno)]));
    assert!(open(libc::ENOENT).unwrap().is_none());
    let error = open(libc::EPERM).unwrap_err();
    assert!(matches!(&error, GenericError::Family(refusal) if refusal.errno == libc::EPERM), "{error:?}");
    // A bare acknowledgement tells nothing.
    assert!(matches!(open(0), Err(GenericError::Malformed)));
}

#[test]
fn a_family_the_real_kernel_does_not_have_is_none() {
    assert_eq!(Generic::open(LONG).unwrap().family("nobody").unwrap(), None);
}

#[test]
fn answers_find_their_questions_in_any_order() {
    let mut ethtool = asking(LONG, |seqs| {
        let answers = seqs.chunks(2).enumerate().flat_map(|(at, pair)| {
            let speed = 1000 + u32::try_from(at).unwrap();
            [modes(pair[0], speed), state(pair[1], u8::from(at != 2))]
        });
        let mut answers: Vec<_> = answers.collect();
        answers.reverse();
        // Some in one datagram, some alone.
        answers.chunks(3).map(<[_]>::concat).collect()
    });
    let seen: Vec<_> = ethtool.modes(&[9, 8, 7, 6]).unwrap().into_iter().map(|modes| modes.speed).collect();
    assert_eq!(seen, [Some(1000), Some(1001), None, Some(1003)]);
}

#[test]
fn a_link_that_is_down_has_no_modes() {
    for (answer, expected) in [(0, Modes::default()), (1, FULL)] {
        let mut ethtool = asking(LONG, move |seqs| vec![modes(seqs[0], 1000), state(seqs[1], answer)]);
        assert_eq!(ethtool.modes(&[3]).unwrap(), [expected]);
    }
}

#[test]
fn the_word_of_a_driver_that_does_not_know_its_carrier_holds() {
    let mut ethtool = asking(LONG, |seqs| vec![modes(seqs[0], 1000), refused(seqs[1], libc::EOPNOTSUPP)]);
    assert_eq!(ethtool.modes(&[3]).unwrap(), [FULL]);
}

#[test]
fn no_refusal_of_one_link_is_an_error() {
    for errno in [libc::ENODEV, libc::EOPNOTSUPP, libc::EINVAL, libc::EIO, libc::ETIMEDOUT] {
        let mut ethtool = asking(LONG, move |seqs| {
            vec![refused(seqs[0], errno), refused(seqs[1], errno), modes(seqs[2], 1000), state(seqs[3], 1)]
        });
        assert_eq!(ethtool.modes(&[3, 4]).unwrap(), [Modes::default(), FULL], "{errno}");
    }
}

#[test]
fn answers_that_say_nothing_are_answers() {
    let mut ethtool = asking(LONG, |seqs| {
        vec![framed(ETHTOOL, seqs[0], &[]), framed(ETHTOOL, seqs[1], &[6]), refused(seqs[2], 0), refused(seqs[3], 0)]
    });
    assert_eq!(ethtool.modes(&[3, 4]).unwrap(), [Modes::default(); 2]);
}

#[test]
fn answers_to_others_are_not_ours() {
    let mut ethtool = asking(LONG, |seqs| {
        let (first, second) = (seqs[0], seqs[1]);
        vec![
            modes(first.wrapping_sub(1), 10),
            refused(second + 1, libc::EPERM),
            // Another family's message, one that says nothing at all, then ours; what is said twice counts once.
            [framed(30, first, &[0; 4]), framed(1, second, &[]), modes(first, 1000), modes(first, 10)].concat(),
            state(second, 1),
        ]
    });
    assert_eq!(ethtool.modes(&[3]).unwrap(), [FULL]);
}

#[test]
fn each_question_has_a_number_of_its_own_and_the_numbers_may_run_over() {
    let (number, numbers) = mpsc::channel();
    let mut ethtool = asking(LONG, move |seqs| {
        seqs.iter().for_each(|seq| number.send(*seq).unwrap());
        vec![[modes(seqs[0], 1000), state(seqs[1], 1)].concat()]
    });
    ethtool.socket.seq_before_the_end();
    for _ in 0..3 {
        assert_eq!(ethtool.modes(&[3]).unwrap(), [FULL]);
    }
    assert_eq!(numbers.try_iter().collect::<Vec<_>>(), [u32::MAX - 2, u32::MAX - 1, u32::MAX, 0, 1, 2]);
}

#[test]
fn a_silent_kernel_meets_the_deadline() {
    let mut ethtool = asking(SHORT, |seqs| vec![modes(seqs[0], 1000)]);
    let started = Instant::now();
    assert!(matches!(ethtool.modes(&[3]), Err(GenericError::Deadline { after: SHORT })));
    assert!(started.elapsed() >= SHORT);
    assert!(matches!(Ethtool::over(played(SHORT, |_| vec![])), Err(GenericError::Deadline { after: SHORT })));
}

#[test]
fn answers_to_others_do_not_outlast_the_deadline() {
    let (ours, kernel) = pair();
    let mut ethtool = Ethtool { socket: Generic::over(ours, Duration::ZERO), family: ETHTOOL };
    // All of it is there before the question, so that nothing is waited for.
    for datagram in [modes(99, 10), modes(1, 1000), state(2, 1)] {
        say(&kernel, &datagram);
    }
    assert!(matches!(ethtool.modes(&[3]), Err(GenericError::Deadline { after: Duration::ZERO })));
}

#[test]
fn garbage_is_malformed() {
    for garbage in [vec![7; 9], framed(2, 1, &[0; 2]), vec![0; 40 << 10]] {
        let Ok(Some(mut ethtool)) = Ethtool::open(LONG) else { return no_family("garbage_is_malformed") };
        ethtool.socket = played(LONG, move |_| vec![garbage.clone()]);
        assert!(matches!(ethtool.modes(&[3]), Err(GenericError::Malformed)));
        is_usable(&mut ethtool);
    }
}

fn no_family(test: &str) {
    skip::skip(&format!("{}::{test}", module_path!()), "this kernel has no ethtool family");
}

#[test]
fn late_answers_are_never_taken_for_answers_to_something_else() {
    let Ok(Some(mut ethtool)) = Ethtool::open(LONG) else {
        return no_family("late_answers_are_never_taken_for_answers_to_something_else");
    };
    let (failed, wait) = mpsc::channel::<()>();
    let (said, sent) = mpsc::channel();
    ethtool.socket = played(SHORT, move |seqs| {
        wait.recv().unwrap();
        said.send(()).unwrap();
        (seqs[0]..seqs[0] + 9).map(|seq| modes(seq, 10)).collect()
    });
    assert!(matches!(ethtool.modes(&[1]), Err(GenericError::Deadline { after: SHORT })));
    failed.send(()).unwrap();
    sent.recv().unwrap();
    is_usable(&mut ethtool);
}

#[test]
fn lost_answers_are_noticed() {
    let Ok(Some(mut ethtool)) = Ethtool::open(LONG) else { return no_family("lost_answers_are_noticed") };
    ethtool.socket.shrink();
    assert!(matches!(ethtool.modes(&[1; 32]), Err(GenericError::Overrun)));
    is_usable(&mut ethtool);
    let mut ethtool = asking(LONG, |seqs| vec![framed(4, seqs[0], &[])]);
    assert!(matches!(ethtool.modes(&[1]), Err(GenericError::Overrun)));
}

#[test]
fn nobody_but_the_kernel_can_answer() {
    let (ours, other) = (Port::open().unwrap(), Port::open().unwrap());
    let to = getsockname::<NetlinkAddr>(ours.as_fd().as_raw_fd()).unwrap();
    let forged = sendto(other.as_fd().as_raw_fd(), &modes(1, 10), &to, MsgFlags::empty());
    // Who is not root may not even try.
    assert!(matches!(forged, Err(Errno::ECONNREFUSED | Errno::EPERM)), "{forged:?}");
}

#[test]
fn a_thread_in_another_namespace_does_not_reopen_the_socket() {
    let mut ethtool = asking(SHORT, |_| vec![]);
    ethtool.modes(&[1]).unwrap_err();
    ethtool.socket.namespace = Some((0, 0));
    assert!(matches!(ethtool.modes(&[1]), Err(GenericError::Namespace)));
}

/// A notification about a link's modes, and one about its rings.
fn notified(index: u32) -> [Vec<u8>; 2] {
    let header = attr(1 | 0x8000, &attr(1, &index.to_ne_bytes()));
    [5, 16].map(|command| framed(ETHTOOL, 0, &[vec![command, 1, 0, 0], header.clone()].concat()))
}

fn drained(monitor: &mut EthtoolMonitor) -> (Vec<u32>, Drained) {
    let mut seen = Vec::new();
    let drained = monitor.drain(&mut |index| seen.push(index)).unwrap();
    (seen, drained)
}

#[test]
fn changes_are_told_until_the_queue_is_empty() {
    let (ours, kernel) = pair();
    let mut monitor = EthtoolMonitor(Monitor::over(ours, Some(ETHTOOL)));
    assert_eq!(drained(&mut monitor), (vec![], Drained::Empty));
    say(&kernel, &notified(3).concat());
    say(&kernel, &notified(4)[0]);
    let mut foreign = notified(5)[0].clone();
    foreign[4] = 99;
    say(&kernel, &foreign);
    assert_eq!(drained(&mut monitor), (vec![3, 4], Drained::Empty));
}

#[test]
fn changes_that_cannot_be_read_are_lost_and_what_follows_is_not() {
    let unnamed = framed(ETHTOOL, 0, &[5, 1, 0, 0]);
    for lost in [vec![7; 9], vec![7; 40 << 10], unnamed, framed(4, 0, &[])] {
        let (ours, kernel) = pair();
        let mut monitor = EthtoolMonitor(Monitor::over(ours, Some(ETHTOOL)));
        for datagram in [&notified(3)[0], &lost, &notified(4)[0]] {
            say(&kernel, datagram);
        }
        assert_eq!(drained(&mut monitor), (vec![3], Drained::Lost));
        assert_eq!(drained(&mut monitor), (vec![4], Drained::Empty));
    }
}

#[test]
fn a_monitor_that_hangs_up_is_an_error() {
    let (ours, kernel) = pair();
    drop(kernel);
    let result = EthtoolMonitor(Monitor::over(ours, Some(ETHTOOL))).drain(&mut |_| {});
    assert!(matches!(result, Err(GenericError::Receive(_))), "{result:?}");
}
