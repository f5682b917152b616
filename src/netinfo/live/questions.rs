//! Questions to the kernel, and how their answers come into the picture.
//!
//! An answer may be older or newer than the events that are queued. So whatever is queued is taken
//! first, and where an event has told of a link since the question, it is asked again.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use vdsm_configurators::iproute2::ethtool;
use vdsm_model::ethtool_options::{SeenSettings, Tuned};
use vdsm_model::ip::Route;
use vdsm_model::name::DeviceName;
use vdsm_model::netinfo::NetInfo;
use vdsm_netlink::Drained;
use vdsm_netlink::ethtool::{Ethtool, Modes};
use vdsm_netlink::generic::GenericError;
use vdsm_netlink::team::{Team, Teams};

use super::super::dump::Dump;
use super::super::layer3::LOOPBACK;
use super::super::mirror::{Mirror, Wants};
use super::super::reader::{LookError, Reader};
use super::{AT_ONCE, Live, Pumped, ROUNDS};

/// Whoever asks the kernel.
pub(super) struct Asker {
    pub(super) reader: Reader,
    /// None on a kernel without it.
    pub(super) ethtool: Option<Ethtool>,
    pub(super) teams: Option<Teams>,
}

impl Live {
    /// The moment with some links read anew, whatever was told of them: those by these names, with
    /// their addresses and routes. Takes a whole look where that is cheaper.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn refreshed(&self, names: &BTreeSet<DeviceName>) -> Result<Arc<NetInfo>, LookError> {
        let mut asker = self.asker();
        self.listen(&mut self.side());
        for _ in 0..ROUNDS {
            if matches!(self.pump(), Pumped::Lost) {
                break;
            }
            let (known, shapers) = {
                let mut side = self.side();
                side.mirror.begin_question();
                (side.mirror.count(), side.mirror.take_shapers())
            };
            let mut dump = Dump::new(&*self.nics);
            let read = asker.reader.deep(names, known, &mut dump);
            let read = read.and_then(|whole| asker.reader.shapers(&shapers, &mut dump).map(|()| whole));
            let mut side = self.side();
            if !matches!(read, Ok(true)) {
                side.mirror.want(Wants { shapers, ..Wants::default() });
                drop(side);
                match read {
                    Err(error) => return Err(error),
                    Ok(_) => break,
                }
            }
            self.take_queued(&mut side);
            // An event may be older or newer than the answer; where there was one, ask again.
            let asked =
                dump.heads().map(|(index, ..)| index).chain(names.iter().filter_map(|it| side.mirror.index_of(it)));
            if asked.into_iter().chain(shapers.iter().copied()).any(|index| side.mirror.was_touched(index)) {
                side.mirror.want(Wants { shapers, ..Wants::default() });
                continue;
            }
            side.mirror.learn_shapers(&shapers, &dump.pieces);
            if asker.reader.is_crowded() {
                let has_routes = |(index, _, up): &(u32, DeviceName, bool)| *up || *index == LOOPBACK;
                let up: Vec<u32> = dump.heads().filter(has_routes).map(|(index, ..)| index).collect();
                dump.routes.extend(side.mirror.routes_of(&up));
            }
            side.mirror.refresh(dump, names);
            self.publish(&mut side);
            return Ok(self.published());
        }
        self.read_anew(&mut asker)?;
        Ok(self.published())
    }

    /// The moment after everything was read anew, whatever events have told.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn reread(&self) -> Result<Arc<NetInfo>, LookError> {
        self.read_anew(&mut self.asker())?;
        self.settled()
    }

    /// All routes through these links, also where there are more than the picture keeps.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn all_routes(&self, links: &[DeviceName]) -> Result<Vec<(DeviceName, Vec<Route>)>, LookError> {
        let mut asker = self.asker();
        let now = self.published();
        let found = links.iter().filter_map(|name| now.link(name));
        found.map(|link| Ok((link.name, asker.reader.all_routes(link.index, &*self.nics)?))).collect()
    }

    /// What ethtool says of these groups of these nics; those that are gone are left out.
    ///
    /// # Errors
    /// When it cannot be asked.
    pub fn settings(&self, tuned: &Tuned) -> Result<Vec<(DeviceName, SeenSettings)>, LookError> {
        let mut asker = self.asker();
        let now = self.published();
        let there = tuned.iter().filter_map(|(nic, groups)| Some((now.link(nic)?, groups)));
        let mut ask = |index, groups| ethtool::read(asker.ethtool.as_mut(), index, groups);
        there.map(|(link, groups)| Ok((link.name, ask(link.index, groups).map_err(LookError::Settings)?))).collect()
    }

    /// Asks what events have left open.
    pub(super) fn ask(&self, asker: &mut Asker) -> Result<(), LookError> {
        let wants = self.side().mirror.take_wants();
        let links: Vec<u32> = wants.links.union(&wants.lacp).copied().collect();
        let mut dump = Dump::new(&*self.nics);
        let reader = &mut asker.reader;
        let read = reader.links(&links, &mut dump).and_then(|()| reader.routes(&wants.routes, &mut dump));
        let read = read.and_then(|()| reader.shapers(&wants.shapers, &mut dump));
        if let Err(error) = read {
            self.side().mirror.want(wants);
            return Err(error);
        }
        let speeds = asker.speeds(&wants);
        let teams = self.teams(asker, &wants).unwrap_or_else(|error| {
            tracing::warn!("cannot ask teams: {error}");
            Vec::new()
        });
        let mut side = self.side();
        self.take_queued(&mut side);
        // An event may be older or newer than the answer; where there was one, ask again.
        let touched = |index: &u32| side.mirror.was_touched(*index);
        let (again, links): (BTreeSet<u32>, BTreeSet<u32>) = wants.links.into_iter().partition(touched);
        let (routes_again, routes) = wants.routes.into_iter().partition(touched);
        let (shapers_again, shapers) = wants.shapers.into_iter().partition(touched);
        side.mirror.want(Wants { links: again, routes: routes_again, shapers: shapers_again, ..Wants::default() });
        side.mirror.learn_shapers(&shapers, &dump.pieces);
        side.mirror.refresh_routes(&routes, &dump);
        dump.routes.clear();
        let silent: Vec<_> = dump.links.extract_if(.., |head| !links.contains(&head.link.index)).collect();
        side.mirror.refresh(dump, &BTreeSet::new());
        // Of what was touched an event has told as much as an answer could.
        for head in silent.into_iter().filter(|head| wants.lacp.contains(&head.link.index)) {
            if !side.mirror.was_touched(head.link.index) {
                side.mirror.learn_lacp(head);
            }
        }
        for (index, modes) in speeds {
            side.mirror.learn_speed(index, modes);
        }
        for (index, team) in teams {
            if !side.mirror.wants_team(index) {
                side.mirror.learn_team(index, team);
            }
        }
        if !side.lost {
            self.publish(&mut side);
        }
        Ok(())
    }

    /// What teams say of themselves. Who asks one listens to it first, so that nothing is missed.
    fn teams(&self, asker: &mut Asker, wants: &Wants) -> Result<Vec<(u32, Team)>, GenericError> {
        let Some(teams) = asker.teams.as_mut().filter(|_| !wants.teams.is_empty()) else { return Ok(Vec::new()) };
        let Some(family) = teams.family()? else { return Ok(Vec::new()) };
        if let Some(monitor) = &mut self.side().teams {
            monitor.join(&family)?;
        }
        let mut told = Vec::new();
        for index in &wants.teams {
            told.extend(teams.team(&family, *index)?.map(|team| (*index, team)));
        }
        Ok(told)
    }

    /// Reads everything. Events wait meanwhile, and are taken afterwards.
    pub(super) fn read_anew(&self, asker: &mut Asker) -> Result<(), LookError> {
        {
            let mut side = self.side();
            self.listen(&mut side);
            side.reading = true;
            side.lost = false;
            // What is queued is older than what will be read. A socket that has lost something stays
            // deaf until it is empty.
            let listener = &mut side.listener;
            let is_left = |_: &usize| !matches!(listener.drain(AT_ONCE, &mut |_| {}), Ok(Drained::Empty) | Err(_));
            let _ = (0..ROUNDS).take_while(is_left).count();
        }
        let mut dump = Dump::new(&*self.nics);
        // Of thousands of links it takes a while, and nobody is to wait for it.
        let read = asker.reader.whole(&mut dump).map(|has_ipv6| Mirror::of(dump, has_ipv6));
        let mut side = self.side();
        side.reading = false;
        let mut mirror = read.inspect_err(|_| side.lost = true)?;
        self.readings.fetch_add(1, Ordering::Relaxed);
        mirror.keep_untold(&side.mirror);
        let (speeds, teams) = (mirror.nics().collect(), mirror.teams().collect());
        mirror.want(Wants { speeds, teams, ..Wants::default() });
        side.mirror = mirror;
        self.take_queued(&mut side);
        if !side.lost {
            let former = self.published();
            let (info, mut links) = side.mirror.compose();
            links.extend(former.links().map(|link| link.name));
            self.publish_as(info, links);
        }
        Ok(())
    }
}

impl Asker {
    fn speeds(&mut self, wants: &Wants) -> Vec<(u32, Modes)> {
        let links: Vec<u32> = wants.speeds.iter().copied().collect();
        let Some(ethtool) = self.ethtool.as_mut().filter(|_| !links.is_empty()) else { return Vec::new() };
        match ethtool.modes(&links) {
            Ok(modes) => links.into_iter().zip(modes).collect(),
            Err(error) => {
                tracing::warn!("cannot ask for link speeds: {error}");
                Vec::new()
            }
        }
    }
}
