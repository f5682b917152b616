//! The ageing time of a bridge whose spanning tree is changing.
//!
//! While it does, the kernel ages addresses after twice the forward delay, tells that time as if
//! somebody had set it, and takes the time that was set again in the end, without an event
//! (net/bridge/br_stp.c, `__br_set_topology_change`). That is nobody's change, and no drift: the
//! picture has the time that was set, or none.

use vdsm_model::bridge_options::{BridgeOptions, same};
use vdsm_model::netinfo::SeenKind;
use vdsm_netlink::attrs::{self, Attrs};

const AGEING_TIME: &str = "ageing_time";
const IFLA_BR_FORWARD_DELAY: u16 = 1;
const IFLA_BR_AGEING_TIME: u16 = 4;
const IFLA_BR_TOPOLOGY_CHANGE: u16 = 14;

/// What a bridge tells of its ageing time while its tree changes; none at other times.
fn told_in_change(report: &[u8]) -> Option<u64> {
    let find = |kind| attrs::find(Attrs::new(report), kind);
    find(IFLA_BR_TOPOLOGY_CHANGE).and_then(attrs::u8).filter(|changing| *changing != 0)?;
    find(IFLA_BR_AGEING_TIME).and_then(attrs::u32).map(u64::from)
}

/// The options of a bridge, without an ageing time that is its tree's.
pub(super) fn options(report: &[u8]) -> BridgeOptions {
    let mut options = BridgeOptions::from_kernel(Attrs::new(report));
    let delay = attrs::find(Attrs::new(report), IFLA_BR_FORWARD_DELAY).and_then(attrs::u32).map(u64::from);
    if let (Some(told), Some(delay)) = (told_in_change(report), delay)
        && same(AGEING_TIME, told, 2 * delay)
    {
        options.forget(AGEING_TIME);
    }
    options
}

/// Keeps the time that was known before the tree changed. A forward delay that is set meanwhile makes
/// no other time of what is told; an ageing time that is set meanwhile is told, and counts.
pub(super) fn keep(now: &mut SeenKind, known: &SeenKind) {
    let (SeenKind::Bridge { options, report }, SeenKind::Bridge { options: before, report: former }) = (now, known)
    else {
        return;
    };
    let Some(set) = before.get(AGEING_TIME) else { return };
    let told = told_in_change(report);
    if told.is_some() && (options.get(AGEING_TIME).is_none() || told_in_change(former) == told) {
        options.set(AGEING_TIME, set);
    }
}
