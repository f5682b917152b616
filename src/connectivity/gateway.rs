//! The probe `gateway`: each gateway answers on its link, asked after the change.
//!
//! What the kernel knew before proves nothing, so it is made to ask anew: first the hardware address it
//! knows, which disturbs nobody, and after a second everybody, for behind another port or VLAN the
//! gateway may have another one. An entry that is set for good is left alone, and proves nothing.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use vdsm_model::netinfo::NetInfo;
use vdsm_netlink::WireError;
use vdsm_netlink::neighbour::{Neighbour, Neighbours};

use super::Outcome;
use super::subjects::{Hop, Subjects};
use crate::transaction::chain;

/// The kernel asks a known address three times, a second apart (`ucast_solicit`, `retrans_time_ms`).
/// Who is there answers the first time.
const PATIENCE: Duration = Duration::from_secs(1);
/// The kernel answers at once, and a deadline is to be kept.
const ANSWER: Duration = Duration::from_secs(1);

/// What was done about the gateways so far.
#[derive(Default)]
pub(super) struct Asking {
    neighbours: Option<Neighbours>,
    hops: BTreeMap<Hop, Asked>,
}

/// Who was asked for a gateway.
#[derive(Clone, Copy)]
enum Asked {
    Nobody,
    Itself(Instant),
    Everybody,
    Answered,
}

impl Asking {
    pub(super) fn go_on(&mut self, subjects: &Subjects, seen: &NetInfo) -> Outcome {
        let found = subjects.gateways(seen);
        let leaseless = found.leaseless.iter();
        let mut parts: Vec<Outcome> = leaseless
            .map(|name| Outcome::unmet(format!("{name} has no lease yet, and so no gateway is known")))
            .collect();
        for group in found.groups {
            parts.push(Outcome::of_any(group.into_iter().map(|hop| self.try_one(hop)).collect()));
        }
        Outcome::of_all(parts, "no gateway is configured")
    }

    fn try_one(&mut self, hop: Hop) -> Outcome {
        let Hop { device, link, ip } = hop;
        let (name, how) = (format!("gateway {ip} on {device}"), if ip.is_ipv4() { "ARP" } else { "ND" });
        let Some(link) = link else {
            return Outcome::unmet(format!("{name} cannot be asked: {device} is not there"));
        };
        match self.ask(hop, Neighbour { link, ip }) {
            Ok(Asked::Answered) => Outcome::met(format!("{name} answered ({how})")),
            Ok(Asked::Nobody) => Outcome::inapplicable(format!(
                "{name} is never asked, as its entry was set for good or the device has no {how}"
            )),
            Ok(_) => Outcome::unmet(format!("no answer from {name} ({how})")),
            Err(error) => Outcome::unmet(format!("{name} cannot be asked: {}", chain(&error))),
        }
    }

    /// Looks whether it has answered, and has it asked if it is not being asked.
    fn ask(&mut self, hop: Hop, at: Neighbour) -> Result<Asked, WireError> {
        let asked = self.hops.entry(hop).or_insert(Asked::Nobody);
        if matches!(asked, Asked::Answered) {
            return Ok(Asked::Answered);
        }
        let neighbours = match &mut self.neighbours {
            Some(open) => open,
            none => none.insert(Neighbours::open(ANSWER)?),
        };
        let entry = neighbours.look(at)?;
        *asked = match (entry, *asked) {
            (Some(entry), _) if entry.is_fixed() => Asked::Nobody,
            (Some(entry), Asked::Itself(_) | Asked::Everybody) if entry.is_reachable() => Asked::Answered,
            (Some(entry), Asked::Itself(since)) if entry.is_probed() && since.elapsed() < PATIENCE => *asked,
            // Known from before the change, or from an announcement, which is no answer.
            (Some(entry), Asked::Nobody | Asked::Everybody) if entry.is_known() => {
                neighbours.ask_known(at, entry)?;
                Asked::Itself(Instant::now())
            }
            // Nothing was known, so whatever comes of it is an answer.
            (Some(entry), _) if entry.is_searched() => Asked::Everybody,
            (entry, _) => {
                neighbours.ask_everybody(at, entry)?;
                Asked::Everybody
            }
        };
        Ok(*asked)
    }
}
