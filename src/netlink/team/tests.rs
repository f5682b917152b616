//! Questions and answers byte by byte, odd ones too, and against a kernel which the test plays itself.

use super::*;

use std::io::Cursor;

use neli::ToBytes;
use proptest::prelude::*;

use crate::generic::played::{attr, framed, newfamily, pair, played, refused, say};

const LONG: Duration = Duration::from_secs(20);
const TEAM: u16 = 27;
/// `NLM_F_MULTI`, and the end of what has it.
const MULTI: u16 = 2;
const DONE: u16 = 3;

fn number(kind: u16, value: u32) -> Vec<u8> {
    attr(kind, &value.to_ne_bytes())
}

fn nest(kind: u16, parts: &[Vec<u8>]) -> Vec<u8> {
    attr(kind, &parts.concat())
}

/// An option as the kernel has it, with its type between name and data.
fn option(name: &str, more: &[Vec<u8>]) -> Vec<u8> {
    let name = attr(OPTION_NAME, &[name.as_bytes(), &[0]].concat());
    nest(1, &[name, attr(3, &[3]), more.concat()])
}

fn switch(port: u32, is_on: bool) -> Vec<u8> {
    let data = if is_on { attr(OPTION_DATA, &[]) } else { Vec::new() };
    option("enabled", &[data, number(OPTION_PORT_IFINDEX, port)])
}

fn port(index: u32, linkup: bool, speed: u32) -> Vec<u8> {
    let linkup = if linkup { attr(PORT_LINKUP, &[]) } else { Vec::new() };
    nest(1, &[number(PORT_IFINDEX, index), attr(2, &[]), linkup, number(PORT_SPEED, speed), attr(5, &[1])])
}

fn payload(command: u8, list: u16, items: &[Vec<u8>]) -> Vec<u8> {
    [vec![command, VERSION, 0, 0], number(TEAM_IFINDEX, 9), nest(list, items)].concat()
}

/// As the kernel answers: a part that others follow.
fn part(seq: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = framed(TEAM, seq, payload);
    bytes[6..8].copy_from_slice(&MULTI.to_ne_bytes());
    bytes
}

fn done(seq: u32) -> Vec<u8> {
    framed(DONE, seq, &[])
}

fn options() -> Vec<Vec<u8>> {
    let active = option("activeport", &[number(OPTION_DATA, 5)]);
    let mode = option("mode", &[attr(OPTION_DATA, b"activebackup\0")]);
    // A port's option of that name would be another.
    let odd = option("mode", &[attr(OPTION_DATA, b"loadbalance\0"), number(OPTION_PORT_IFINDEX, 5)]);
    vec![switch(5, true), switch(6, false), odd, active, mode]
}

fn family() -> Family {
    let group = [attr(1, b"change_event\0"), number(2, 12)].concat();
    let attributes = [attr(1, &TEAM.to_ne_bytes()), attr(7, &attr(1, &group))];
    let kernel = played(LONG, move |seqs| vec![newfamily(seqs[0], &attributes)]);
    Teams(kernel).family().unwrap().unwrap()
}

/// What is told by a kernel that gives these answers.
fn told_by(play: impl Fn(&[u32]) -> Vec<Vec<u8>> + Send + 'static) -> Option<Team> {
    Teams(played(LONG, play)).team(&family(), 9).unwrap()
}

fn whole() -> Team {
    let ports = vec![
        Port { index: 5, linkup: true, speed: Some(10_000), enabled: true },
        Port { index: 6, linkup: false, speed: None, enabled: false },
    ];
    Team { mode: "activebackup".to_owned(), active: Some(5), ports }
}

#[test]
fn a_question_has_the_bytes_the_kernel_reads() {
    let mut bytes = Cursor::new(Vec::new());
    about(OPTIONS_GET, 0x0102).to_bytes(&mut bytes).unwrap();
    assert_eq!(bytes.into_inner(), [vec![2, 1, 0, 0], attr(1, &0x0102_u32.to_ne_bytes())].concat());
}

#[test]
fn a_team_is_put_together_from_all_parts_of_its_answers() {
    let team = told_by(|seqs| {
        let options = options();
        let ports = [port(5, true, 10_000), port(6, false, 10_000)];
        let mut parts: Vec<_> =
            options.iter().map(|it| part(seqs[0], &payload(2, LIST_OPTION, std::slice::from_ref(it)))).collect();
        parts.extend(ports.iter().map(|it| part(seqs[1], &payload(3, LIST_PORT, std::slice::from_ref(it)))));
        // What ends the first answer comes with its last part, and late.
        parts.push([done(seqs[0]), part(seqs[1], &payload(3, LIST_PORT, &[])), done(seqs[1])].concat());
        parts
    });
    assert_eq!(team, Some(whole()));
}

#[test]
fn what_is_being_removed_is_not_there_and_nothing_is_no_index() {
    let team = told_by(|seqs| {
        let gone = nest(1, &[number(PORT_IFINDEX, 7), attr(PORT_REMOVED, &[])]);
        let left =
            option("enabled", &[attr(OPTION_DATA, &[]), number(OPTION_PORT_IFINDEX, 6), attr(OPTION_REMOVED, &[])]);
        let nobody = option("activeport", &[number(OPTION_DATA, 0)]);
        vec![
            [part(seqs[0], &payload(2, LIST_OPTION, &[left, nobody])), done(seqs[0])].concat(),
            [part(seqs[1], &payload(3, LIST_PORT, &[gone, port(6, true, u32::MAX)])), done(seqs[1])].concat(),
        ]
    });
    let port = Port { index: 6, linkup: true, speed: None, enabled: false };
    assert_eq!(team, Some(Team { ports: vec![port], ..Team::default() }));
}

#[test]
fn of_a_team_that_is_gone_nothing_is_known() {
    assert_eq!(told_by(|seqs| vec![refused(seqs[0], libc::EINVAL), refused(seqs[1], libc::EINVAL)]), None);
    // It went between the two.
    let half = |seqs: &[u32]| {
        vec![part(seqs[0], &payload(2, LIST_OPTION, &options())), done(seqs[0]), refused(seqs[1], libc::EINVAL)]
    };
    assert_eq!(told_by(half), None);
}

#[test]
fn an_answer_without_its_end_meets_the_deadline() {
    let short = Duration::from_millis(40);
    let mut teams =
        Teams(played(short, |seqs| vec![part(seqs[0], &payload(2, LIST_OPTION, &options())), done(seqs[1])]));
    assert!(matches!(teams.team(&family(), 9), Err(GenericError::Deadline { .. })));
}

#[test]
fn a_kernel_without_teams_is_none_and_a_family_without_the_group_malformed() {
    let kernel = played(LONG, |seqs| vec![refused(seqs[0], libc::ENOENT)]);
    assert_eq!(Teams(kernel).family().unwrap(), None);
    let kernel = played(LONG, |seqs| vec![newfamily(seqs[0], &[attr(1, &TEAM.to_ne_bytes())])]);
    let family = Teams(kernel).family().unwrap().unwrap();
    assert!(matches!(TeamMonitor::open().unwrap().join(&family), Err(GenericError::Malformed)));
}

#[test]
fn changes_of_options_and_ports_are_told_by_team() {
    let (ours, kernel) = pair();
    let mut monitor = TeamMonitor(Monitor::over(ours, Some(TEAM)));
    let drained = |monitor: &mut TeamMonitor| {
        let mut seen = Vec::new();
        let drained = monitor.drain(&mut |index| seen.push(index)).unwrap();
        (seen, drained)
    };
    // Each ends as an answer does.
    say(&kernel, &[part(0, &payload(2, LIST_OPTION, &options()[..1])), done(0)].concat());
    say(&kernel, &[part(0, &payload(3, LIST_PORT, &[port(5, true, 10)])), done(0)].concat());
    say(&kernel, &framed(TEAM, 0, &[0, 1, 0, 0]));
    assert_eq!(drained(&mut monitor), (vec![9, 9], Drained::Empty));
    say(&kernel, &framed(TEAM, 0, &[2, 1, 0, 0]));
    assert_eq!(drained(&mut monitor), (vec![], Drained::Lost), "of an unknown team");
}

#[test]
fn nobody_is_heard_before_there_is_a_family() {
    let (ours, kernel) = pair();
    let mut monitor = TeamMonitor(Monitor::over(ours, None));
    say(&kernel, &part(0, &payload(2, LIST_OPTION, &options())));
    assert_eq!(monitor.drain(&mut |index| panic!("{index}")).unwrap(), Drained::Empty);
}

/// All that reads a message of the family.
pub(crate) fn read_all(bytes: &[u8]) {
    let (mut team, mut enabled) = (Team::default(), Vec::new());
    take_options(bytes, &mut team, &mut enabled);
    let _ = (ports(bytes).count(), told(bytes));
}

proptest! {
    #[test]
    fn no_bytes_make_the_readers_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        read_all(&bytes);
    }

    /// As above, but cut from or spoilt in a sound answer.
    #[test]
    fn no_spoilt_answer_makes_the_readers_panic(at in 0..200_usize, byte in any::<u8>(), length in 0..240_usize) {
        for sound in [payload(2, LIST_OPTION, &options()), payload(3, LIST_PORT, &[port(5, true, 10), port(6, false, 0)])] {
            let mut bytes = sound;
            if let Some(spoilt) = bytes.get_mut(at) {
                *spoilt = byte;
            }
            bytes.truncate(length);
            read_all(&bytes);
        }
    }
}
