//! The bytes on the wire, and what is read of any bytes.

use neli::ToBytes;
use proptest::prelude::*;

use super::*;

fn bytes(of: &impl ToBytes) -> Vec<u8> {
    let mut out = std::io::Cursor::new(Vec::new());
    of.to_bytes(&mut out).unwrap();
    out.into_inner()
}

fn attr(kind: u16, value: &[u8]) -> Vec<u8> {
    let mut all = [&u16::try_from(4 + value.len()).unwrap().to_ne_bytes()[..], &kind.to_ne_bytes(), value].concat();
    all.resize(all.len().next_multiple_of(4), 0);
    all
}

const NESTED: u16 = 0x8000;

#[test]
fn a_feature_is_named_and_flagged() {
    let named = attr(BIT_NAME, b"rx-gro\0");
    assert_eq!(bytes(&bit("rx-gro", false)), attr(BITS_BIT | NESTED, &named));
    assert_eq!(bytes(&bit("rx-gro", true)), attr(BITS_BIT | NESTED, &[named, attr(BIT_VALUE, &[])].concat()));
}

#[test]
fn an_order_names_its_link_and_wants_no_reply() {
    let order = with_flags(16, 7, OMIT_REPLY, plain(&Setting::Word(9, 512)));
    let header = [attr(1, &7_u32.to_ne_bytes()), attr(3, &2_u32.to_ne_bytes())].concat();
    let expected = [vec![16, 1, 0, 0], attr(1 | NESTED, &header), attr(9, &512_u32.to_ne_bytes())].concat();
    assert_eq!(bytes(&order), expected);
    assert_eq!(bytes(&plain(&Setting::Byte(3, 1)).unwrap()), attr(3, &[1]));
}

#[test]
fn features_that_can_be_changed_are_told_from_the_others() {
    let bit = |name: &str, more: Vec<u8>| {
        attr(BITS_BIT, &[attr(1, &[0; 4]), attr(BIT_NAME, &[name.as_bytes(), b"\0"].concat()), more].concat())
    };
    let bare = |names: &[&str]| {
        let bits: Vec<u8> = names.iter().flat_map(|name| bit(name, vec![])).collect();
        [attr(BITSET_NOMASK, &[]), attr(BITSET_BITS, &bits)].concat()
    };
    // What the nic has is told of all features there are: those it has are flagged.
    let masked: Vec<u8> = [("a", true), ("b", true), ("c", true), ("d", false)]
        .into_iter()
        .flat_map(|(name, on)| bit(name, if on { attr(BIT_VALUE, &[]) } else { vec![] }))
        .collect();
    let answer = [
        vec![11, 1, 0, 0],
        attr(FEATURES_HW, &attr(BITSET_BITS, &masked)),
        attr(FEATURES_WANTED, &bare(&["a"])),
        attr(FEATURES_ACTIVE, &bare(&["a", "d"])),
        attr(FEATURES_NOCHANGE, &bare(&["c"])),
    ];
    let seen = features(&answer.concat());
    let names = |all: &[&str]| all.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
    assert_eq!(seen, Features { changeable: names(&["a", "b"]), wanted: names(&["a"]), active: names(&["a", "d"]) });
    assert_eq!(
        values(&[vec![15, 1, 0, 0], attr(6, &[1, 0, 0, 0]), attr(13, &[1]), attr(2, b"..")].concat())[..1],
        [(6, u32::from_ne_bytes([1, 0, 0, 0]))]
    );
}

/// All that reads an answer.
pub(crate) fn read_all(payload: &[u8]) {
    let _ = (features(payload), values(payload));
}

proptest! {
    #[test]
    fn no_answer_makes_the_reader_panic(payload in prop::collection::vec(any::<u8>(), 0..200)) {
        read_all(&payload);
    }
}
