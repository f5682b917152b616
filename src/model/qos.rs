//! Host QoS: how the networks on one nic or bond share what it can send (vdsm-facts 3.10).
//!
//! An HFSC discipline at the root of the device, a class for each network, and a filter that sends
//! a network's frames into its class by their VLAN tag. Here stands what it is, in the kernel's
//! units; the engine's spelling is `request/qos.rs`'s, the messages are the configurator's.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::units::VlanTag;

/// The major number of our root discipline, `1389:`: how one knows it from others'.
pub const ROOT: u16 = 0x1389;
/// The class of untagged frames, and of all that no filter wants: beyond every tag.
pub const DEFAULT_CLASS: u16 = 5000;
/// The class of the tag 0. Neither a class nor a filter's preference can be 0, and 4096 is no tag.
const TAG_ZERO: u16 = 0x1000;

/// A service curve (`tc_service_curve` of linux/pkt_sched.h): until `d` the slope `m1`, then `m2`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Curve {
    /// Bytes a second.
    pub m1: u32,
    /// Microseconds.
    pub d: u32,
    /// Bytes a second.
    pub m2: u32,
}

impl Curve {
    /// Whether it serves nothing: for the kernel it is not there (hfsc_change_class).
    pub fn is_zero(&self) -> bool {
        self.m1 == 0 && self.m2 == 0
    }
}

impl fmt::Display for Curve {
    /// As `tc` takes it, in bits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bits = |bytes: u32| u64::from(bytes) * 8;
        write!(f, "m1 {}bit d {}us m2 {}bit", bits(self.m1), self.d, bits(self.m2))
    }
}

/// What a class is served.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Curves {
    /// Its share of what is left, in relation to the others' (`HFSC_FSC`); ours all have it.
    pub ls: Option<Curve>,
    /// What it never exceeds (`HFSC_USC`).
    pub ul: Option<Curve>,
    /// What it has for sure (`HFSC_RSC`).
    pub rt: Option<Curve>,
}

impl Curves {
    /// The engine's and `tc`'s words, in the order of the engine's reports.
    pub fn named(&self) -> [(&'static str, Option<Curve>); 3] {
        [("ls", self.ls), ("ul", self.ul), ("rt", self.rt)]
    }

    /// Whether the kernel can change a class with these curves into one with those: it takes new
    /// values, but forgets none.
    pub fn become_in_place(&self, to: &Curves) -> bool {
        self.named().iter().zip(to.named()).all(|((_, from), (_, to))| from.is_none() || to.is_some())
    }
}

impl fmt::Display for Curves {
    /// As `tc` takes them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let given = self.named().into_iter().filter_map(|(name, curve)| Some(format!("{name} {}", curve?)));
        f.write_str(&given.collect::<Vec<_>>().join(" "))
    }
}

/// What is at the preference of a class's filter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Filter {
    /// Nothing.
    #[default]
    None,
    /// The filter that we would make.
    Ours,
    /// Something else.
    Other,
}

/// One class of a shaper.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Class {
    /// What it is served.
    pub curves: Curves,
    /// What sends frames into it; its preference is the class's number.
    pub filter: Filter,
    /// Whether our fair queue is in it (`fq_codel`, its handle the class's number).
    pub leaf: bool,
}

/// A root discipline of ours.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shaper {
    /// The class of all that no filter wants.
    pub default: u16,
    /// By number, see [`class_of`].
    pub classes: BTreeMap<u16, Class>,
}

impl Shaper {
    /// The shaper for these networks; none without any. Where none of them is untagged, the rest of
    /// the traffic weighs as much as the heaviest of them.
    pub fn of(networks: impl IntoIterator<Item = (Option<VlanTag>, Curves)>) -> Option<Shaper> {
        let class = |curves, filter| Class { curves, filter, leaf: true };
        let mut classes: BTreeMap<u16, Class> =
            networks.into_iter().map(|(tag, curves)| (class_of(tag), class(curves, Filter::Ours))).collect();
        let weight = |class: &Class| class.curves.ls.map(|ls| if ls.m2 == 0 { ls.m1 } else { ls.m2 });
        let m2 = classes.values().filter_map(weight).max()?;
        let rest = Curves { ls: Some(Curve { m2, ..Curve::default() }), ..Curves::default() };
        classes.entry(DEFAULT_CLASS).or_insert(class(rest, Filter::None));
        Some(Shaper { default: DEFAULT_CLASS, classes })
    }

    /// Whether both mean the same. What is not ours at a filter's preference cannot be brought
    /// back: once gone it is as if it had never been.
    pub fn same(&self, to: &Shaper) -> bool {
        self.default == to.default
            && self.classes.len() == to.classes.len()
            && self.classes.iter().all(|(number, class)| to.classes.get(number).is_some_and(|to| class.same(to)))
    }
}

impl Class {
    /// See [`Shaper::same`].
    pub fn same(&self, to: &Class) -> bool {
        let filter = self.filter == to.filter || self.filter == Filter::None && to.filter == Filter::Other;
        filter && (self.curves, self.leaf) == (to.curves, to.leaf)
    }
}

/// The number of a network's class: its tag, or the default class for untagged frames.
pub fn class_of(tag: Option<VlanTag>) -> u16 {
    match tag.map(VlanTag::get) {
        None => DEFAULT_CLASS,
        Some(0) => TAG_ZERO,
        Some(tag) => tag,
    }
}

/// The tag whose class it is, none for untagged frames; or no class of ours at all.
pub fn tag_of(class: u16) -> Option<Option<VlanTag>> {
    match class {
        DEFAULT_CLASS => Some(None),
        TAG_ZERO => Some(VlanTag::new(0)),
        0 => None,
        tag => Some(Some(VlanTag::new(tag.into())?)),
    }
}

/// A class in sentences.
pub fn spelled(class: u16) -> String {
    match tag_of(class) {
        Some(None) => "untagged frames".to_owned(),
        Some(Some(tag)) => format!("tag {tag}"),
        None => format!("class {ROOT:x}:{class:x}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curves(m2: u32) -> Curves {
        Curves { ls: Some(Curve { m2, ..Curve::default() }), ..Curves::default() }
    }

    #[test]
    fn what_nobody_speaks_of_weighs_as_much_as_the_heaviest() {
        let shaper = Shaper::of([(VlanTag::new(10), curves(3)), (VlanTag::new(0), curves(7))]).unwrap();
        assert_eq!(shaper.classes.keys().copied().collect::<Vec<_>>(), [10, 4096, 5000]);
        assert_eq!(shaper.classes[&5000], Class { curves: curves(7), filter: Filter::None, leaf: true });
        let explicit = Shaper::of([(VlanTag::new(10), curves(3)), (None, curves(1))]).unwrap();
        assert_eq!(explicit.classes[&5000], Class { curves: curves(1), filter: Filter::Ours, leaf: true });
        assert_eq!(Shaper::of([]), None);
    }

    #[test]
    fn a_curve_with_a_first_slope_only_weighs_by_that() {
        let first = Curves { ls: Some(Curve { m1: 9, d: 5, m2: 0 }), ..Curves::default() };
        let shaper = Shaper::of([(VlanTag::new(1), first)]).unwrap();
        assert_eq!(shaper.classes[&5000].curves, curves(9));
    }

    #[test]
    fn each_tag_has_a_class_of_its_own() {
        for tag in 0..=4094 {
            let tag = VlanTag::new(tag);
            assert_eq!(tag_of(class_of(tag)), Some(tag));
        }
        assert_eq!(tag_of(class_of(None)), Some(None));
        assert_eq!([0, 4095, 4097, u16::MAX].map(tag_of), [None; 4]);
    }

    #[test]
    fn what_was_a_strangers_may_be_gone() {
        let with = |filter| Class { filter, ..Class::default() };
        assert!(with(Filter::None).same(&with(Filter::Other)));
        assert!(!with(Filter::Other).same(&with(Filter::None)) && !with(Filter::Other).same(&with(Filter::Ours)));
    }
}
