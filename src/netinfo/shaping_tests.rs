//! Messages as Linux 6.1 sends them for what `tc` (iproute2 6.1) has made.

use vdsm_model::units::VlanTag;

use super::*;
use crate::netinfo::messages::{attribute, text};

fn message(words: [u32; 4], kind: &str, options: &str) -> Vec<u8> {
    let bytes: Vec<u8> =
        (0..options.len()).step_by(2).map(|at| u8::from_str_radix(&options[at..at + 2], 16).unwrap()).collect();
    let head = [vec![0; 4], words.iter().flat_map(|word| word.to_ne_bytes()).collect()].concat();
    [head, text(TCA_KIND, kind), attribute(TCA_OPTIONS, &bytes)].concat()
}

const TAG_TEN: &str = "080001000a00891314000500010000000000000000000000000000003800020008000100010000002c00020028000100000004\
                       00000000000c0001002e1000000010000008000200ff0f0000080003000a000000";
const ALL: &str = "2400050001000100000000000000000000000000000000000000000000000000000000000800020000000080080001008813891308\
                   000b000800000004000c001c000900010000000000000001000000000000000100000000000000";

#[test]
fn a_class_has_the_curves_that_it_was_given() {
    let told = "100001000000000000000000cf12130010000200887e0f0009030000414b4c00100003000000000000000000ffffffff";
    let curve = |m1, d, m2| Some(Curve { m1, d, m2 });
    let curves = Curves { rt: curve(0, 0, 1_249_999), ls: curve(1_015_432, 777, 5_000_001), ul: curve(0, 0, u32::MAX) };
    let whole = message([7, 0x1389_000a, HANDLE, 0xa_0000], "hfsc", told);
    assert_eq!(class(&whole), Some((7, Piece::Class(10, curves))));
    assert_eq!(class(&message([7, HANDLE, u32::MAX, 0], "hfsc", "")), None, "the root's own");
    assert_eq!(class(&message([7, 0x1388_0170, 0x1388_0000, 0], "fq_codel", "")), None, "a flow of a leaf's");
    assert!((0..20).all(|length| class(&whole[..length]).is_none()));
    (20..whole.len()).for_each(|length| assert!(class(&whole[..length]).is_some_and(|(index, _)| index == 7)));
}

#[test]
fn our_filters_are_known_from_others() {
    let told =
        |info, kind, options: &str| filter(&message([7, 1, HANDLE, info], kind, options)).map(|(_, piece)| piece);
    let piece = |at, filter| Some(Piece::Filter(at, filter));
    assert_eq!(told(0xa_0300, "basic", TAG_TEN), piece(10, Filter::Ours));
    assert_eq!(told(0x1388_0300, "u32", ALL), piece(5000, Filter::Ours));
    // Elsewhere, for one protocol, without the mask, with an action, into another class, on another tag.
    assert_eq!(told(0xb_0300, "basic", TAG_TEN), piece(11, Filter::Other));
    assert_eq!(told(0xa_0008, "basic", TAG_TEN), piece(10, Filter::Other));
    assert_eq!(told(0xa_0300, "basic", &TAG_TEN.replace("ff0f0000", "00000000")), piece(10, Filter::Other));
    assert_eq!(told(0xa_0300, "basic", &format!("{TAG_TEN}0800030000000000")), piece(10, Filter::Other));
    assert_eq!(told(0xa_0300, "basic", &TAG_TEN.replace("0a008913", "0b008913")), piece(10, Filter::Other));
    assert_eq!(told(0xa_0300, "basic", &TAG_TEN.replace("0a000000", "0b000000")), piece(10, Filter::Other));
    assert_eq!(told(0x1388_0300, "u32", &ALL.replace("2400050001", "2400050000")), piece(5000, Filter::Other));
    assert_eq!(told(0xa_0300, "flower", ""), piece(10, Filter::Other));
    // What a classifier and its table are told with.
    assert_eq!(told(0x1388_0300, "u32", "0800040001000000"), None);
    assert_eq!(filter(&message([7, 0, HANDLE, 0xa_0300], "basic", "")), None);
    let whole = message([7, 1, HANDLE, 0xa_0300], "basic", TAG_TEN);
    assert!((0..whole.len()).all(|length| filter(&whole[..length]) != filter(&whole)));
}

#[test]
fn pieces_make_classes_and_a_second_filter_is_no_longer_ours() {
    let pieces = [
        Piece::Filter(10, Filter::Ours),
        Piece::Class(10, Curves::default()),
        Piece::Class(11, Curves::default()),
        Piece::Filter(11, Filter::Ours),
        Piece::Filter(11, Filter::Ours),
        Piece::Filter(12, Filter::Ours),
        Piece::Class(13, Curves::default()),
    ];
    let filters: Vec<_> = classes(pieces.iter()).into_iter().map(|(number, class)| (number, class.filter)).collect();
    assert_eq!(filters, [(10, Filter::Ours), (11, Filter::Other), (13, Filter::None)]);
    assert_eq!(tag_of(10), Some(VlanTag::new(10)));
}
