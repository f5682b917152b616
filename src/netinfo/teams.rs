//! What teams have answered, kept beside the links it is about: no link's message has it.
//!
//! No socket here. When a team is asked is `mirror.rs`'s to know and `live/questions.rs`'s to do.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use vdsm_model::name::DeviceName;
use vdsm_model::netinfo::{self, Driver, SeenLink, TeamPort};
use vdsm_netlink::team::Team;

/// The option `mode` of a team that has none (drivers/net/team, `__no_mode`).
const NO_MODE: &str = "*NOMODE*";

/// The answers, by the index of the team.
#[derive(Default)]
pub(super) struct Teams(BTreeMap<u32, Team>);

impl Teams {
    /// Takes an answer; the links it makes different.
    pub(super) fn learn(&mut self, index: u32, team: Team) -> BTreeSet<u32> {
        let ports = |team: &Team| team.ports.iter().map(|port| port.index).collect::<BTreeSet<u32>>();
        let now = ports(&team);
        match self.0.insert(index, team) {
            Some(former) if self.0.get(&index) == Some(&former) => BTreeSet::new(),
            former => now.into_iter().chain(former.iter().flat_map(ports)).chain([index]).collect(),
        }
    }

    /// What is known of these teams, for another picture.
    pub(super) fn of(&self, wanted: &dyn Fn(u32) -> bool) -> Teams {
        Teams(self.0.iter().filter(|(index, _)| wanted(**index)).map(|(index, team)| (*index, team.clone())).collect())
    }

    /// A team is gone.
    pub(super) fn forget(&mut self, index: u32) {
        self.0.remove(&index);
    }

    /// The teams whose active port this link is.
    pub(super) fn led_by(&self, index: u32) -> impl Iterator<Item = u32> {
        self.0.iter().filter(move |(_, team)| team.active == Some(index)).map(|(index, _)| *index)
    }

    /// Fills in what is known of a link that is a team, or the port of one.
    pub(super) fn complete(
        &self,
        link: &mut SeenLink,
        master: Option<u32>,
        name_of: &dyn Fn(u32) -> Option<DeviceName>,
    ) {
        let of_master = master.and_then(|master| self.0.get(&master));
        let port = of_master.and_then(|team| team.ports.iter().find(|port| port.index == link.index));
        if let (Some(port), Some(netinfo::Port::Team(_))) = (port, &link.details.port) {
            let port = TeamPort { linkup: port.linkup, speed: port.speed, enabled: port.enabled };
            Arc::make_mut(&mut link.details).port = Some(netinfo::Port::Team(port));
        }
        if let (Some(team), Driver::Team(_)) = (self.0.get(&link.index), &link.details.driver) {
            let mode = Some(&team.mode).filter(|mode| !mode.is_empty() && *mode != NO_MODE).cloned();
            let team = netinfo::Team { mode, active: team.active.and_then(name_of) };
            Arc::make_mut(&mut link.details).driver = Driver::Team(team);
        }
    }
}

#[cfg(test)]
#[path = "teams_tests.rs"]
mod tests;
