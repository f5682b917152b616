//! Questions and answers byte by byte, odd ones too.

use super::*;

use std::io::Cursor;

use neli::ToBytes;
use proptest::prelude::*;

const UNKNOWN: Modes = Modes { speed: None, duplex: None };

fn attr(kind: u16, value: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::from(u16::try_from(4 + value.len()).unwrap().to_ne_bytes());
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

fn answer(attributes: &[Vec<u8>]) -> Vec<u8> {
    [vec![4, VERSION, 0, 0], attributes.concat()].concat()
}

/// An answer about a link that runs like this, between what else the kernel says.
fn running(speed: u32, duplex: u8) -> Vec<u8> {
    let header = [attr(HEADER_DEV_INDEX, &7_u32.to_ne_bytes()), attr(2, b"eth0\0")].concat();
    let bits = [attr(2, &100_u32.to_ne_bytes()), attr(4, &[0xff; 16]), attr(5, &[0xff; 16])].concat();
    answer(&[
        attr(HEADER | 0x8000, &header),
        attr(2, &[1]),
        attr(3 | 0x8000, &bits),
        attr(LINKMODES_SPEED, &speed.to_ne_bytes()),
        attr(LINKMODES_DUPLEX, &[duplex]),
        attr(9, &4_u32.to_ne_bytes()),
    ])
}

#[test]
fn a_question_has_the_bytes_the_kernel_documents() {
    let mut bytes = Cursor::new(Vec::new());
    about(LINKMODES_GET, 0x0102).to_bytes(&mut bytes).unwrap();
    let header = [attr(1, &0x0102_u32.to_ne_bytes()), attr(3, &1_u32.to_ne_bytes())].concat();
    assert_eq!(bytes.into_inner(), [vec![4, 1, 0, 0], attr(0x8001, &header)].concat());
}

#[test]
fn speed_and_duplex_are_found_between_what_else_is_said() {
    assert_eq!(modes(&running(25_000, 1)), Modes { speed: Some(25_000), duplex: Some(Duplex::Full) });
    assert_eq!(modes(&running(10, 0)), Modes { speed: Some(10), duplex: Some(Duplex::Half) });
    assert_eq!(modes(&running(800_000, 1)).speed, Some(800_000));
}

#[test]
fn what_drivers_say_for_unknown_is_unknown() {
    for speed in [0, 65_535, u32::MAX] {
        assert_eq!(modes(&running(speed, 255)), UNKNOWN, "{speed}");
    }
    assert_eq!(modes(&running(65_534, 2)), Modes { speed: Some(65_534), duplex: None });
}

#[test]
fn an_answer_without_attributes_says_nothing() {
    for bytes in [&[][..], &[4], &[4, 1, 0], &[4, 1, 0, 0]] {
        assert_eq!(modes(bytes), UNKNOWN);
        assert!(!is_down(bytes));
    }
}

#[test]
fn attributes_that_are_too_short_say_nothing() {
    let bytes = answer(&[attr(LINKMODES_SPEED, &[16, 39]), attr(LINKMODES_DUPLEX, &[])]);
    assert_eq!(modes(&bytes), UNKNOWN);
    assert!(!is_down(&answer(&[attr(LINKSTATE_LINK, &[])])));
}

#[test]
fn an_answer_that_is_cut_off_says_what_came_before() {
    let whole = answer(&[attr(LINKMODES_DUPLEX, &[0]), attr(LINKMODES_SPEED, &1000_u32.to_ne_bytes())]);
    assert_eq!(modes(&whole[..whole.len() - 1]), Modes { speed: None, duplex: Some(Duplex::Half) });
}

#[test]
fn only_a_link_that_is_said_to_be_down_is_down() {
    assert!(is_down(&answer(&[attr(LINKSTATE_LINK, &[0])])));
    assert!(!is_down(&answer(&[attr(LINKSTATE_LINK, &[1])])));
    assert!(!is_down(&answer(&[])));
}

#[test]
fn a_notification_tells_the_link_or_that_it_cannot_be_read() {
    let mut bytes = running(1000, 1);
    bytes[0] = LINKMODES_NTF;
    assert_eq!(told(&bytes), Told::Of(7));
    bytes[0] = 3;
    assert_eq!(told(&bytes), Told::Else);

    let header = |value: &[u8]| {
        let mut bytes = answer(&[attr(HEADER | 0x8000, value)]);
        bytes[0] = LINKMODES_NTF;
        bytes
    };
    let short = attr(HEADER_DEV_INDEX, &[7, 0]);
    for bytes in [vec![], vec![LINKMODES_NTF], header(&[]), header(&short), header(&attr(2, b"eth0\0"))] {
        assert_eq!(told(&bytes), Told::Unreadable, "{bytes:?}");
    }
}

/// All that reads a message of the family.
pub(crate) fn read_all(bytes: &[u8]) {
    let _ = (modes(bytes), is_down(bytes), told(bytes));
}

proptest! {
    #[test]
    fn no_bytes_make_the_readers_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        read_all(&bytes);
    }

    /// As above, but cut from or spoilt in a sound answer.
    #[test]
    fn no_spoilt_answer_makes_the_readers_panic(at in 0..100_usize, byte in any::<u8>(), length in 0..120_usize) {
        let mut bytes = running(1000, 1);
        if let Some(spoilt) = bytes.get_mut(at) {
            *spoilt = byte;
        }
        bytes.truncate(length);
        read_all(&bytes);
    }
}
