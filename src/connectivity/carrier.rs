//! The probe `carrier`: something is at the other end of each nic and bond, and speaks LACP where
//! that is wanted.
//!
//! The only probe that is no event: a carrier may go again while others are waited for, so what
//! counts is the moment at which the others have come true.

use vdsm_model::bond_options::BondMode;
use vdsm_model::name::DeviceName;
use vdsm_model::netinfo::{NetInfo, SeenKind};
use vdsm_model::units::Mac;

use super::Outcome;
use super::subjects::Subjects;

/// What a bond says of its partner while it has none (`bond_3ad_get_active_agg_info`).
const NOBODY: Mac = Mac([0; 6]);

pub(super) fn look(subjects: &Subjects, seen: &NetInfo) -> Outcome {
    let each = subjects.carriers(seen).into_iter().map(|device| of(device, seen)).collect();
    Outcome::of_all(each, "no nic or bond is below these networks")
}

fn of(device: DeviceName, seen: &NetInfo) -> Outcome {
    let Some(link) = seen.link(&device) else {
        return Outcome::unmet(format!("{device} is not there"));
    };
    if !link.up {
        return Outcome::unmet(format!("{device} is down"));
    }
    if !link.running {
        return Outcome::unmet(format!("{device} has no carrier"));
    }
    match &link.kind {
        SeenKind::Bond { options, lacp, .. }
            if options.mode() == BondMode::Lacp && lacp.is_none_or(|(_, partner)| partner == NOBODY) =>
        {
            Outcome::unmet(format!("{device} has no LACP partner"))
        }
        _ => Outcome::met(format!("{device} has a carrier")),
    }
}
