//! Host QoS: from one shaper to another, in the kernel's small steps, and each step as a message.
//!
//! What a shaper is stands in the model. The attributes are those that `tc` sends; the kernel's side
//! of them is net/sched/sch_hfsc.c, cls_u32.c, cls_basic.c and em_meta.c.

use std::collections::BTreeMap;
use std::fmt;

use netlink_packet_core::{DefaultNla, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::tc::{TcAttribute, TcHandle, TcMessage};
use vdsm_model::name::DeviceName;
use vdsm_model::qos::{Class, Curve, Curves, DEFAULT_CLASS, Filter, ROOT, Shaper, tag_of};
use vdsm_netlink::Request;

/// One change of a device's shaper. Classes go by their number.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub enum QosChange {
    AddRoot {
        default: u16,
    },
    /// Another class for what no filter wants.
    SetRoot {
        default: u16,
    },
    /// All goes with it, and the kernel's own discipline comes back.
    DelRoot,
    AddClass {
        class: u16,
        curves: Curves,
    },
    /// The kernel takes new values, but keeps a curve that is not told.
    SetClass {
        class: u16,
        curves: Curves,
    },
    /// Its fair queue goes along; its filter must be gone.
    DelClass {
        class: u16,
    },
    /// A fair queue, in the place of whatever is in the class.
    AddLeaf {
        class: u16,
    },
    DelLeaf {
        class: u16,
    },
    AddFilter {
        class: u16,
    },
    /// All that is at the filter's preference.
    DelFilter {
        class: u16,
    },
}

/// The changes that make one shaper of another. What a filter points to is made before it and goes
/// after it.
pub(super) fn changes(from: Option<&Shaper>, to: Option<&Shaper>) -> Vec<QosChange> {
    let Some(to) = to else { return from.map(|_| QosChange::DelRoot).into_iter().collect() };
    let mut out = Vec::new();
    match from {
        None => out.push(QosChange::AddRoot { default: to.default }),
        Some(from) if from.default != to.default => out.push(QosChange::SetRoot { default: to.default }),
        Some(_) => {}
    }
    let none = BTreeMap::new();
    let had = from.map_or(&none, |from| &from.classes);
    for (class, old) in had.iter().filter(|(class, _)| !to.classes.contains_key(*class)) {
        remove(*class, old, &mut out);
    }
    for (class, new) in &to.classes {
        match had.get(class) {
            Some(old) if old.curves.become_in_place(&new.curves) => alter(*class, old, new, &mut out),
            old => {
                old.into_iter().for_each(|old| remove(*class, old, &mut out));
                out.push(QosChange::AddClass { class: *class, curves: new.curves });
                alter(*class, &Class { curves: new.curves, ..Class::default() }, new, &mut out);
            }
        }
    }
    out
}

fn remove(class: u16, old: &Class, out: &mut Vec<QosChange>) {
    if old.filter != Filter::None {
        out.push(QosChange::DelFilter { class });
    }
    out.push(QosChange::DelClass { class });
}

fn alter(class: u16, old: &Class, new: &Class, out: &mut Vec<QosChange>) {
    if old.curves != new.curves {
        out.push(QosChange::SetClass { class, curves: new.curves });
    }
    match (old.leaf, new.leaf) {
        (false, true) => out.push(QosChange::AddLeaf { class }),
        (true, false) => out.push(QosChange::DelLeaf { class }),
        _ => {}
    }
    let goes = old.filter != Filter::None && old.filter != new.filter;
    if goes {
        out.push(QosChange::DelFilter { class });
    }
    if new.filter == Filter::Ours && old.filter != Filter::Ours {
        out.push(QosChange::AddFilter { class });
    }
}

/// A change with its device, as the command that would make it.
pub(super) struct Spelled<'a>(pub(super) &'a DeviceName, pub(super) &'a QosChange);

impl fmt::Display for Spelled<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Spelled(device, change) = self;
        match change {
            QosChange::AddRoot { default } => {
                write!(f, "tc qdisc add dev {device} root handle {ROOT:x}: hfsc default {default:x}")
            }
            QosChange::SetRoot { default } => {
                write!(f, "tc qdisc change dev {device} root handle {ROOT:x}: hfsc default {default:x}")
            }
            QosChange::DelRoot => write!(f, "tc qdisc del dev {device} root"),
            QosChange::AddClass { class, curves } => {
                write!(f, "tc class add dev {device} parent {ROOT:x}: classid {ROOT:x}:{class:x} hfsc {curves}")
            }
            QosChange::SetClass { class, curves } => {
                write!(f, "tc class change dev {device} parent {ROOT:x}: classid {ROOT:x}:{class:x} hfsc {curves}")
            }
            QosChange::DelClass { class } => write!(f, "tc class del dev {device} classid {ROOT:x}:{class:x}"),
            QosChange::AddLeaf { class } => {
                write!(f, "tc qdisc replace dev {device} parent {ROOT:x}:{class:x} handle {class:x}: fq_codel")
            }
            QosChange::DelLeaf { class } => write!(f, "tc qdisc del dev {device} parent {ROOT:x}:{class:x}"),
            QosChange::AddFilter { class } => {
                write!(f, "tc filter add dev {device} parent {ROOT:x}: protocol all pref {class} ")?;
                match tag_of(*class).flatten() {
                    Some(tag) => write!(f, "basic match 'meta(vlan mask 0xfff eq {tag})'")?,
                    None => write!(f, "u32 match u32 0 0")?,
                }
                write!(f, " flowid {ROOT:x}:{class:x}")
            }
            QosChange::DelFilter { class } => {
                write!(f, "tc filter del dev {device} parent {ROOT:x}: pref {class}")
            }
        }
    }
}

// Of linux/pkt_sched.h, linux/pkt_cls.h and linux/tc_ematch/tc_em_meta.h.
const TCA_OPTIONS: u16 = 2;
const TCA_HFSC_RSC: u16 = 1;
const TCA_HFSC_FSC: u16 = 2;
const TCA_HFSC_USC: u16 = 3;

const TC_ROOT: TcHandle = TcHandle { major: 0xffff, minor: 0xffff };
const OUR_ROOT: TcHandle = TcHandle { major: ROOT, minor: 0 };

/// The message of a change, for the device with that index.
pub(super) fn request(index: u32, change: &QosChange) -> Request {
    use RouteNetlinkMessage as M;
    let handle = |class: u16| TcHandle { major: ROOT, minor: class };
    let leaf = |class: u16| TcHandle { major: class, minor: 0 };
    let none = TcHandle { major: 0, minor: 0 };
    let new = NLM_F_CREATE | NLM_F_EXCL;
    match change {
        QosChange::AddRoot { default } | QosChange::SetRoot { default } => {
            let flags = if matches!(change, QosChange::AddRoot { .. }) { new } else { 0 };
            let message = message(index, OUR_ROOT, TC_ROOT, "hfsc", &default.to_ne_bytes());
            Request::new(M::NewQueueDiscipline(message), flags)
        }
        QosChange::DelRoot => Request::new(M::DelQueueDiscipline(bare(index, OUR_ROOT, TC_ROOT)), 0),
        QosChange::AddClass { class, curves } | QosChange::SetClass { class, curves } => {
            let flags = if matches!(change, QosChange::AddClass { .. }) { new } else { 0 };
            let message = message(index, handle(*class), OUR_ROOT, "hfsc", &curves_of(curves));
            Request::new(M::NewTrafficClass(message), flags)
        }
        QosChange::DelClass { class } => Request::new(M::DelTrafficClass(bare(index, handle(*class), none)), 0),
        QosChange::AddLeaf { class } => Request::new(
            M::NewQueueDiscipline(message(index, leaf(*class), handle(*class), "fq_codel", &[])),
            NLM_F_CREATE | NLM_F_REPLACE,
        ),
        QosChange::DelLeaf { class } => Request::new(M::DelQueueDiscipline(bare(index, none, handle(*class))), 0),
        QosChange::AddFilter { class } => {
            let (kind, options) = filter(*class);
            let mut message = message(index, none, OUR_ROOT, kind, &options);
            message.header.info = at(*class);
            Request::new(M::NewTrafficFilter(message), new)
        }
        QosChange::DelFilter { class } => {
            let mut message = bare(index, none, OUR_ROOT);
            message.header.info = at(*class);
            Request::new(M::DelTrafficFilter(message), 0)
        }
    }
}

/// The preference, and that all protocols are meant.
fn at(class: u16) -> u32 {
    u32::from(class) << 16 | u32::from((libc::ETH_P_ALL as u16).to_be())
}

fn bare(index: u32, handle: TcHandle, parent: TcHandle) -> TcMessage {
    let mut message = TcMessage::with_index(index.cast_signed());
    (message.header.handle, message.header.parent) = (handle, parent);
    message
}

fn message(index: u32, handle: TcHandle, parent: TcHandle, kind: &str, options: &[u8]) -> TcMessage {
    let mut message = bare(index, handle, parent);
    message.attributes.push(TcAttribute::Kind(kind.to_owned()));
    if !options.is_empty() {
        message.attributes.push(TcAttribute::Other(DefaultNla::new(TCA_OPTIONS, options.to_vec())));
    }
    message
}

fn curves_of(curves: &Curves) -> Vec<u8> {
    let mut out = Vec::new();
    for (kind, curve) in [(TCA_HFSC_RSC, curves.rt), (TCA_HFSC_FSC, curves.ls), (TCA_HFSC_USC, curves.ul)] {
        if let Some(Curve { m1, d, m2 }) = curve {
            put(&mut out, kind, &[m1, d, m2].map(u32::to_ne_bytes).concat());
        }
    }
    out
}

/// What makes a class's filter: all frames for the default class, those with its tag for another.
/// The four upper bits of a tag are no part of it.
fn filter(class: u16) -> (&'static str, Vec<u8>) {
    const TCA_CLASSID: u16 = 1;
    const TCA_U32_SEL: u16 = 5;
    let mut out = Vec::new();
    put(&mut out, TCA_CLASSID, &(u32::from(ROOT) << 16 | u32::from(class)).to_ne_bytes());
    let Some(tag) = tag_of(class).flatten().filter(|_| class != DEFAULT_CLASS) else {
        put(&mut out, TCA_U32_SEL, &MATCH_ALL);
        return ("u32", out);
    };
    put(&mut out, 2, &ematch(tag.get().into()));
    ("basic", out)
}

/// `tc_u32_sel`, terminal and with one key, and a key that compares nothing.
const MATCH_ALL: [u8; 32] = {
    let mut bytes = [0; 32];
    (bytes[0], bytes[2]) = (1, 1);
    bytes
};

/// `meta(vlan mask 0xfff eq TAG)` as an attribute of `TCA_BASIC_EMATCHES`.
fn ematch(tag: u32) -> Vec<u8> {
    const KIND_META: u16 = 4;
    const INT_VLAN: u16 = 1 << 12 | 46;
    const INT_VALUE: u16 = 1 << 12;
    let (mut meta, mut list, mut out) = (Vec::new(), Vec::new(), Vec::new());
    // Kind, and no shift and `eq` in the other half, for each side.
    put(&mut meta, 1, &[INT_VLAN, 0, INT_VALUE, 0].map(u16::to_ne_bytes).concat());
    put(&mut meta, 2, &0xfff_u32.to_ne_bytes());
    put(&mut meta, 3, &tag.to_ne_bytes());
    // Identity, kind, flags and padding.
    let head = [0, KIND_META, 0, 0].map(u16::to_ne_bytes).concat();
    put(&mut list, 1, &[head, meta].concat());
    // One match.
    put(&mut out, 1, &[1, 0].map(u16::to_ne_bytes).concat());
    put(&mut out, 2, &list);
    out
}

fn put(out: &mut Vec<u8>, kind: u16, value: &[u8]) {
    let length = u16::try_from(4 + value.len()).unwrap_or(u16::MAX);
    out.extend(length.to_ne_bytes());
    out.extend(kind.to_ne_bytes());
    out.extend(value);
    out.resize(out.len().next_multiple_of(4), 0);
}

#[cfg(test)]
mod tests {
    use vdsm_model::units::VlanTag;

    use super::*;

    fn shaper(networks: &[(Option<i64>, Curves)]) -> Shaper {
        Shaper::of(networks.iter().map(|(tag, curves)| (tag.and_then(VlanTag::new), *curves))).unwrap()
    }

    fn weight(m2: u32) -> Curves {
        Curves { ls: Some(Curve { m2, ..Curve::default() }), ..Curves::default() }
    }

    fn said(from: Option<&Shaper>, to: Option<&Shaper>) -> Vec<String> {
        let device = DeviceName::try_from("d").unwrap();
        changes(from, to).iter().map(|change| Spelled(&device, change).to_string()).collect()
    }

    #[test]
    fn a_filter_comes_after_its_class_and_goes_before_it() {
        let (one, two) = (shaper(&[(Some(10), weight(1))]), shaper(&[(None, weight(1)), (Some(11), weight(1))]));
        assert_eq!(
            said(Some(&one), Some(&two)),
            [
                "tc filter del dev d parent 1389: pref 10",
                "tc class del dev d classid 1389:a",
                "tc class add dev d parent 1389: classid 1389:b hfsc ls m1 0bit d 0us m2 8bit",
                "tc qdisc replace dev d parent 1389:b handle b: fq_codel",
                "tc filter add dev d parent 1389: protocol all pref 11 basic match 'meta(vlan mask 0xfff eq 11)' flowid 1389:b",
                "tc filter add dev d parent 1389: protocol all pref 5000 u32 match u32 0 0 flowid 1389:1388",
            ]
        );
        assert_eq!(said(Some(&two), None), ["tc qdisc del dev d root"]);
        assert_eq!(said(Some(&two), Some(&two)), [""; 0]);
        assert_eq!(said(None, None), [""; 0]);
    }

    #[test]
    fn a_class_that_loses_a_curve_is_made_anew_and_another_is_changed() {
        let limited = Curves { ul: Some(Curve { m2: 2, ..Curve::default() }), ..weight(1) };
        let (with, without) = (shaper(&[(None, limited)]), shaper(&[(None, weight(1))]));
        assert_eq!(
            said(Some(&without), Some(&with)),
            [
                "tc class change dev d parent 1389: classid 1389:1388 hfsc ls m1 0bit d 0us m2 8bit ul m1 0bit d 0us m2 16bit"
            ]
        );
        assert_eq!(said(Some(&with), Some(&without)).len(), 5);
    }

    /// The bytes that `tc` (iproute2 6.1) has sent and the kernel told again.
    #[test]
    fn a_filter_is_the_one_that_tc_makes() {
        let hex = |bytes: Vec<u8>| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let (kind, options) = filter(10);
        let told = "080001000a0089133800020008000100010000002c000200\
                    2800010000000400000000000c0001002e1000000010000008000200ff0f0000080003000a000000";
        assert_eq!((kind, hex(options).as_str()), ("basic", told));
    }
}
