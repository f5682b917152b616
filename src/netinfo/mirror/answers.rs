//! How answers to questions come into the picture. Who asks, and whether an answer is still worth
//! having, is `live/questions.rs`'s.

use std::collections::BTreeSet;
use std::sync::Arc;

use vdsm_model::name::DeviceName;
use vdsm_model::netinfo::Duplex;
use vdsm_netlink::ethtool::{self, Modes};
use vdsm_netlink::team::Team;

use super::super::dump::Dump;
use super::super::link::Head;
use super::super::shaping::{self, Piece};
use super::Mirror;

impl Mirror {
    /// Answers to questions: all that is below our root on these links, as it is now.
    pub(in super::super) fn learn_shapers(&mut self, links: &BTreeSet<u32>, pieces: &[(u32, Piece)]) {
        for index in links {
            let own = pieces.iter().filter(|(it, _)| it == index).map(|(_, piece)| piece);
            self.estate.of_mut(*index).set_classes(shaping::classes(own));
            self.stale.insert(*index);
        }
    }

    /// Answers to questions: all routes through these links, as they are now.
    pub(in super::super) fn refresh_routes(&mut self, links: &BTreeSet<u32>, dump: &Dump<'_>) {
        for index in links {
            self.estate.clear_routes(*index);
            self.stale.insert(*index);
        }
        for (index, route) in dump.routes.iter().filter(|(index, _)| links.contains(index)) {
            self.estate.add_route(*index, *route);
        }
    }

    /// Answers to questions: these links as they are told now. Of `deep` ones their addresses and
    /// routes were read, too, and those that were not found are gone.
    pub(in super::super) fn refresh(&mut self, dump: Dump<'_>, deep: &BTreeSet<DeviceName>) {
        let Dump { links, addresses, routes, .. } = dump;
        let found: BTreeSet<DeviceName> = links.iter().map(|head| head.link.name).collect();
        for name in deep.difference(&found) {
            if let Some(index) = self.index_of(name) {
                self.drop_link(index);
                self.estate.drop_all(index);
                self.stale.insert(index);
            }
        }
        let mut lost = BTreeSet::new();
        for mut head in links {
            let index = head.link.index;
            self.keep_speed(&mut head);
            if deep.contains(&head.link.name) {
                let (former, addresses) = self.estate.take_all(index);
                self.estate.start_with(index, former);
                lost.extend(addresses);
            }
            self.put(head);
        }
        for told in addresses {
            self.estate.append_address(told);
        }
        lost.into_iter().for_each(|addr| self.estate.nobody_has(addr));
        for (index, route) in routes {
            self.estate.add_route(index, route);
        }
        self.note_disturbed();
    }

    /// The speed of a nic, as it was answered. One that waits for others (dormant) has a carrier and
    /// would tell, but the next event would not.
    pub(in super::super) fn learn_speed(&mut self, index: u32, modes: Modes) {
        if let Some(head) = self.heads.get_mut(&index).filter(|head| head.link.running) {
            let details = Arc::make_mut(&mut head.link.details);
            details.speed = modes.speed;
            details.duplex = modes.duplex.map(|duplex| match duplex {
                ethtool::Duplex::Half => Duplex::Half,
                ethtool::Duplex::Full => Duplex::Full,
            });
            self.stale.insert(index);
        }
    }

    /// A link's message does not have it.
    fn keep_speed(&self, head: &mut Head) {
        if let Some(old) = self.heads.get(&head.link.index).filter(|_| head.link.running) {
            let known = Arc::clone(&old.link.details);
            let own = Arc::make_mut(&mut head.link.details);
            (own.speed, own.duplex) = (known.speed, known.duplex);
        }
    }

    /// What LACP has learned, as it was answered. Mostly that is nothing new.
    pub(in super::super) fn learn_lacp(&mut self, mut head: Head) {
        if self.heads.get(&head.link.index).is_some_and(|known| known.lacp() != head.lacp()) {
            self.keep_speed(&mut head);
            self.put(head);
        }
    }

    /// What a team says of itself and its ports. Only a change makes anything stale.
    pub(in super::super) fn learn_team(&mut self, index: u32, team: Team) {
        if self.is_team(index) {
            self.stale.extend(self.teams.learn(index, team));
        }
    }
}
