//! How fast a link is, as the original tells it (vdsm-facts 6.1).
//!
//! What a nic says of itself is in the picture already; nobody is asked here.

use vdsm_model::bond_options::BondMode;
use vdsm_model::netinfo::{NetInfo, SeenKind, SeenLink};

/// The kernel stacks no more devices upon one another (`MAX_NEST_DEV`, linux/netdevice.h).
const DEEPEST: usize = 8;

/// Mbit/s; 0 where it is down or nobody knows.
///
/// A bond is as fast as its slaves together, or as the active one where only that sends; a VLAN is
/// as fast as what it stands on. In mode broadcast no slave is the active one: there it is 0.
pub(crate) fn speed(seen: &NetInfo, link: &SeenLink) -> u64 {
    within(seen, link, DEEPEST)
}

fn within(seen: &NetInfo, link: &SeenLink, depth: usize) -> u64 {
    let Some(depth) = depth.checked_sub(1) else { return 0 };
    match &link.kind {
        SeenKind::Bond { options, active, .. } => match options.mode() {
            BondMode::ActiveBackup | BondMode::Broadcast => {
                let active = active.and_then(|name| seen.link(&name));
                active.map_or(0, |slave| within(seen, slave, depth))
            }
            _ => seen.ports_of(link.name).map(|slave| within(seen, slave, depth)).sum(),
        },
        SeenKind::Vlan { device, .. } => {
            let base = device.and_then(|base| seen.link(&base));
            base.map_or(0, |base| within(seen, base, depth))
        }
        _ => link.details.speed.unwrap_or(0).into(),
    }
}
