//! Host QoS as the kernel tells it: the classes and filters below a root discipline of ours.
//!
//! What they are for stands in the model; that the leaves are disciplines and come with events of
//! their own is known to `belongings.rs`. Whoever reads these asks for one device and our root.

use std::collections::BTreeMap;

use vdsm_model::qos::{Class, Curve, Curves, DEFAULT_CLASS, Filter, ROOT, tag_of};
use vdsm_netlink::attrs::{self, Attrs};

/// Length of `tcmsg`, and the attributes behind it (linux/rtnetlink.h).
const TCMSG: usize = 20;
const TCA_KIND: u16 = 1;
const TCA_OPTIONS: u16 = 2;
// Of linux/pkt_sched.h and linux/pkt_cls.h.
const TCA_HFSC_RSC: u16 = 1;
const TCA_HFSC_FSC: u16 = 2;
const TCA_HFSC_USC: u16 = 3;
const TCA_CLASSID: u16 = 1;
const TCA_BASIC_EMATCHES: u16 = 2;
/// What the kernel adds to a filter: counters (`TCA_BASIC_PCNT`, `TCA_U32_PCNT`), aligned with padding, a table, flags.
const TCA_BASIC_PCNT: u16 = 5;
const TCA_BASIC_PAD: u16 = 6;
const TCA_U32_HASH: u16 = 2;
const TCA_U32_DIVISOR: u16 = 4;
const TCA_U32_SEL: u16 = 5;
const TCA_U32_PCNT: u16 = 9;
const TCA_U32_FLAGS: u16 = 11;
const TCA_U32_PAD: u16 = 12;

/// Our root's handle.
pub(super) const HANDLE: u32 = (ROOT as u32) << 16;

/// One piece of a shaper.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    Class(u16, Curves),
    /// At that preference.
    Filter(u16, Filter),
}

/// The classes of a device by number, without their leaves.
pub(super) type Classes = BTreeMap<u16, Class>;

/// Puts the pieces of a device together. Who has two filters has not only ours.
pub(super) fn classes<'a>(pieces: impl Iterator<Item = &'a Piece> + Clone) -> Classes {
    let mut classes = Classes::new();
    for piece in pieces.clone() {
        if let Piece::Class(number, curves) = piece {
            classes.insert(*number, Class { curves: *curves, ..Class::default() });
        }
    }
    for piece in pieces {
        if let Piece::Filter(at, filter) = piece
            && let Some(class) = classes.get_mut(at)
        {
            class.filter = if class.filter == Filter::None { *filter } else { Filter::Other };
        }
    }
    classes
}

/// The class of an `RTM_NEWTCLASS` message, with its link's index; none for the root's own.
pub(super) fn class(payload: &[u8]) -> Option<(u32, Piece)> {
    let [index, handle, ..] = head(payload)?;
    let number = (handle & 0xffff) as u16;
    if handle & 0xffff_0000 != HANDLE || number == 0 {
        return None;
    }
    let options = attrs::find(Attrs::after(payload, TCMSG), TCA_OPTIONS).unwrap_or_default();
    let find = |kind| attrs::find(Attrs::new(options), kind).and_then(curve);
    let curves = Curves { ls: find(TCA_HFSC_FSC), ul: find(TCA_HFSC_USC), rt: find(TCA_HFSC_RSC) };
    Some((index, Piece::Class(number, curves)))
}

fn curve(value: &[u8]) -> Option<Curve> {
    let word = |at: usize| attrs::u32(value.get(at..)?);
    Some(Curve { m1: word(0)?, d: word(4)?, m2: word(8)? })
}

/// The filter of an `RTM_NEWTFILTER` message, with its link's index; none for what is told of a
/// classifier or of a table without a match.
pub(super) fn filter(payload: &[u8]) -> Option<(u32, Piece)> {
    let [index, handle, _, info] = head(payload)?;
    let (at, protocol) = ((info >> 16) as u16, info as u16);
    let kind = attrs::find(Attrs::after(payload, TCMSG), TCA_KIND).and_then(attrs::text)?;
    let options = attrs::find(Attrs::after(payload, TCMSG), TCA_OPTIONS)?;
    let given = || Attrs::new(options);
    if handle == 0 || kind == "u32" && attrs::find(given(), TCA_U32_DIVISOR).is_some() {
        return None;
    }
    let tag = tag_of(at).flatten().filter(|_| at != DEFAULT_CLASS);
    let (matches, additions): (_, &[u16]) = match (kind, tag) {
        ("basic", Some(tag)) => (
            attrs::find(given(), TCA_BASIC_EMATCHES).is_some_and(|tree| matches_tag(tree, tag.get().into())),
            &[TCA_CLASSID, TCA_BASIC_EMATCHES, TCA_BASIC_PCNT, TCA_BASIC_PAD],
        ),
        ("u32", None) => (
            attrs::find(given(), TCA_U32_SEL).is_some_and(matches_all),
            &[TCA_CLASSID, TCA_U32_HASH, TCA_U32_SEL, TCA_U32_PCNT, TCA_U32_FLAGS, TCA_U32_PAD],
        ),
        _ => (false, &[]),
    };
    let leads_there = attrs::find(given(), TCA_CLASSID).and_then(attrs::u32) == Some(HANDLE | u32::from(at));
    let is_bare = given().all(|(kind, _)| additions.contains(&kind));
    let all_protocols = protocol == (libc::ETH_P_ALL as u16).to_be();
    let ours = matches && leads_there && is_bare && all_protocols;
    Some((index, Piece::Filter(at, if ours { Filter::Ours } else { Filter::Other })))
}

/// A selector with one key that compares nothing.
fn matches_all(selector: &[u8]) -> bool {
    let mut bare = [0; 32];
    (bare[0], bare[2]) = (1, 1);
    selector == bare
}

/// The tree of `meta(vlan mask 0xfff eq TAG)`: one match, of kind 4 (`TCF_EM_META`), which compares
/// number 46 (`TCF_META_ID_VLAN_TAG`) with a value.
fn matches_tag(tree: &[u8], tag: u32) -> bool {
    let find = |bytes, kind| attrs::find(Attrs::new(bytes), kind).unwrap_or_default();
    let words = |words: &[u16]| words.iter().flat_map(|word| word.to_ne_bytes()).collect::<Vec<u8>>();
    let list = find(tree, 2);
    let only = find(list, 1);
    let Some((head, meta)) = only.split_at_checked(8) else { return false };
    find(tree, 1) == words(&[1, 0])
        && Attrs::new(list).count() == 1
        && head == words(&[0, 4, 0, 0])
        && find(meta, 1) == words(&[1 << 12 | 46, 0, 1 << 12, 0])
        && find(meta, 2) == 0xfff_u32.to_ne_bytes()
        && find(meta, 3) == tag.to_ne_bytes()
}

/// The link's index, and handle, parent and info.
fn head(payload: &[u8]) -> Option<[u32; 4]> {
    let word = |at: usize| attrs::u32(payload.get(at..)?);
    Some([word(4)?, word(8)?, word(12)?, word(16)?])
}

#[cfg(test)]
#[path = "shaping_tests.rs"]
mod tests;
