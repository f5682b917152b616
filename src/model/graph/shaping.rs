//! Who shares a nic or bond, and how: the shapers that a wish makes of the networks' `hostQos`.
//!
//! Only devices that the request's networks stand on, or stood on, are spoken of; slaves have none,
//! for it is their bond that sends.

use std::collections::BTreeSet;

use super::Graph;
use super::merge::Merged;
use crate::config::NetworkConfig;
use crate::name::{DeviceName, NetworkName};
use crate::netinfo::{NetInfo, Qdisc};
use crate::problem::Problem;
use crate::qos::Shaper;

/// Puts the shapers of these nics and bonds into a wish, and notes whose way a stranger's discipline is in.
pub(super) fn shape(
    graph: &mut Graph,
    bases: &BTreeSet<DeviceName>,
    merged: &Merged,
    seen: &NetInfo,
    problems: &mut Vec<Problem>,
) {
    for base in bases.union(&merged.slaves().collect()) {
        let users =
            || merged.config.networks.wishing_of(*base).filter_map(|(name, net)| Some((name, net, net.host_qos?)));
        if let Some(qdisc) = strangers_root(*base, seen) {
            let touched = users().filter(|(name, ..)| merged.networks.contains(*name));
            problems.extend(touched.map(|(name, ..)| foreign(name, *base, qdisc)));
            continue;
        }
        match Shaper::of(users().map(|(_, net, curves)| (net.vlan, curves))) {
            Some(shaper) if graph.device(base).is_some() => graph.set_shaper(*base, shaper),
            _ => graph.remove_shaper(base),
        }
    }
}

/// What is to be said of a network that wants a share of nothing.
pub(super) fn idle(name: &NetworkName, net: &NetworkConfig) -> Option<String> {
    (net.base.is_none() && net.host_qos.is_some())
        .then(|| format!("network '{name}': hostQos has no effect without nic or bonding"))
}

/// The root discipline that somebody else gave a device; the kernel's own have no handle.
fn strangers_root(device: DeviceName, seen: &NetInfo) -> Option<&Qdisc> {
    seen.link(&device)?.details.qdiscs.iter().find(|qdisc| qdisc.is_root() && !qdisc.is_our_root())
}

fn foreign(network: &NetworkName, device: DeviceName, qdisc: &Qdisc) -> Problem {
    Problem::ForeignQdisc { network: network.clone(), device, kind: qdisc.kind.clone(), major: qdisc.handle >> 16 }
}
