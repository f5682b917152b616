//! What of the host the engine is shown (vdsm-facts 6.1, "Visibility").
//!
//! Which links are nics at all, and which of those are hidden, the reader of the kernel knows
//! already (`netinfo::NicRule`).

use std::collections::HashSet;

use vdsm_model::netinfo::{NetInfo, SeenKind, SeenLink};
use vdsm_model::units::Mac;

use crate::conf::Patterns;

/// The bridge that VDSM keeps for VMs whose nics are plugged in nowhere.
const DUMMY_BRIDGE: &str = ";vdsmdummy;";

/// What the administrator keeps from the engine. A network of ours is told whatever it stands on.
#[derive(Clone, Debug, Default)]
pub struct Visibility {
    /// Bonds, and their slaves with them.
    pub hidden_bonds: Patterns,
    /// VLAN devices.
    pub hidden_vlans: Patterns,
}

/// The same for one moment of the host.
pub(crate) struct Sight<'a> {
    seen: &'a NetInfo,
    visible: &'a Visibility,
    /// The addresses of virtual functions that are in the hands of VMs.
    lent: HashSet<Mac>,
}

impl<'a> Sight<'a> {
    pub(crate) fn of(seen: &'a NetInfo, visible: &'a Visibility) -> Sight<'a> {
        Sight { seen, visible, lent: lent(seen) }
    }

    /// Whether the engine is to know of a link. What is neither nic nor bond, bridge or VLAN is
    /// nothing to hide.
    pub(crate) fn shows(&self, link: &SeenLink) -> bool {
        match &link.kind {
            SeenKind::Bond { .. } => !self.hides_bond(link),
            SeenKind::Bridge { .. } => link.name.as_str() != DUMMY_BRIDGE,
            SeenKind::Vlan { .. } => !self.visible.hidden_vlans.matches(link.name.as_str()),
            // The reader took the right to be one from hardware that is hidden.
            SeenKind::Nic if !link.nic => false,
            _ if link.nic => {
                let master = link.master.and_then(|master| self.seen.link(&master));
                !master.is_some_and(|master| self.hides_bond(master)) && !self.is_lent(link)
            }
            _ => true,
        }
    }

    fn hides_bond(&self, link: &SeenLink) -> bool {
        matches!(link.kind, SeenKind::Bond { .. }) && self.visible.hidden_bonds.matches(link.name.as_str())
    }

    fn is_lent(&self, link: &SeenLink) -> bool {
        link.mac.is_some_and(|mac| self.lent.contains(&mac))
    }
}

/// A macvtap that passes a virtual function through has its address (macvlan mode `passthru`).
/// Which links are virtual functions their physical function says, by their addresses.
fn lent(seen: &NetInfo) -> HashSet<Mac> {
    let no_address = Mac([0; 6]);
    let functions = seen.links().flat_map(|link| &link.details.vfs).filter_map(|vf| vf.mac);
    let functions: HashSet<Mac> = functions.filter(|mac| *mac != no_address).collect();
    if functions.is_empty() {
        return functions;
    }
    let is_macvtap = |link: &&SeenLink| matches!(&link.kind, SeenKind::Other(kind) if kind == "macvtap");
    seen.links().filter(is_macvtap).filter_map(|link| link.mac).filter(|mac| functions.contains(mac)).collect()
}
