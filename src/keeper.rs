//! Reacting to the host: events are told, drift is found, and what comes late finds its network.
//!
//! A thread of its own, woken by the live picture. Nothing here changes the host by itself: mending
//! is the engine's, an ordinary transaction, and it waits while a change is under way.
//!
//! Restore is a standing goal: when a nic appears that networks or bonds of the running
//! configuration stand on, they are brought back, whatever `drift` says. What was changed on devices
//! that were there all the time is drift, and `drift` decides. While no daemon ran nobody saw what
//! came: a nic of ours that bears nothing at all counts as come (see `waiting.rs`). Who waits for a nic is `waiting.rs`'s,
//! how long something is left alone `pauses.rs`'s.

mod noting;
mod pauses;
#[cfg(test)]
mod tests;
mod waiting;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use vdsm_model::config::{Changed, NetConfig, NetworkConfig};
use vdsm_model::name::DeviceName;
use vdsm_model::netinfo::NetInfo;

use crate::check::{Checked, Selection, Verdict};
use crate::conf::Drift;
use crate::engine::{Engine, EngineError, Watch};
use crate::events::{self, Event};
use crate::hub::Hub;
use crate::netinfo::Moment;
use crate::transaction::{Done, SetupError, chain};
use noting::{Fate, Noted};
use pauses::Pauses;
use waiting::{Entity, bare, mendable, waiting};

/// A nic that appears has this long to get its final name and its carrier.
const SETTLING: Duration = Duration::from_millis(200);
/// Changes within this time are judged together.
const GATHERING: Duration = Duration::from_millis(100);
/// A busy engine is asked again after this.
const BUSY: Duration = Duration::from_millis(250);
/// What follows from a lease and has failed is tried again after this.
const LATER: Duration = Duration::from_secs(5);
/// Judging may take one part in so many of the time.
const SHARE: u32 = 20;
/// A configuration may change without any device, and then nothing wakes us; so it is compared so often.
const COMPARING: Duration = Duration::from_secs(1);

/// Starts the thread. It ends when the picture ends, and can be waited for then.
///
/// # Errors
/// When there is no thread to be had.
pub fn start(
    engine: Arc<Engine>,
    watch: Watch,
    hub: Arc<Hub>,
    drift: Drift,
) -> std::io::Result<(Watch, std::thread::JoinHandle<()>)> {
    let live = Arc::clone(&watch.live);
    let mut keeper = Keeper::new(engine, hub, drift, Instant::now());
    let thread = std::thread::Builder::new().name("keeper".to_owned()).spawn(move || {
        loop {
            let (moment, more) = live.news(keeper.patience(Instant::now()));
            if let Some(moment) = &moment {
                keeper.see(moment, Instant::now());
            }
            if !more {
                return;
            }
            keeper.act(Instant::now());
        }
    })?;
    Ok((watch, thread))
}

/// What is known and what is to be done.
struct Keeper {
    engine: Arc<Engine>,
    hub: Arc<Hub>,
    drift: Drift,
    /// Devices that changed since drift was looked for.
    changed: BTreeSet<DeviceName>,
    /// The configuration when drift was looked for.
    judged: Arc<NetConfig>,
    /// When to look for it.
    judge_at: Option<Instant>,
    /// And when not yet: a storm of changes is judged now and then.
    resting: Instant,
    /// Links that appeared, and when they have settled.
    appeared: BTreeMap<DeviceName, Instant>,
    /// Links that appeared and whose networks are not what they should be yet: the next thing that
    /// happens to them is as good as their coming.
    unserved: BTreeSet<DeviceName>,
    /// Devices whose leases changed, so that routes and rules have to follow, and since when.
    leased: BTreeMap<DeviceName, Instant>,
    /// Whether it has looked for links that came while there was no keeper.
    awake: bool,
    /// Networks and bonds that are out of sync, and what was said of them.
    out: BTreeMap<Entity, Vec<String>>,
    /// What was mended lately, or could not be.
    pauses: Pauses,
    /// What the log has said of them.
    noted: Noted,
}

impl Keeper {
    fn new(engine: Arc<Engine>, hub: Arc<Hub>, drift: Drift, now: Instant) -> Keeper {
        Keeper {
            engine,
            hub,
            drift,
            changed: BTreeSet::new(),
            // Nothing was judged yet, and drift may be older than this daemon.
            judged: Arc::default(),
            judge_at: Some(now),
            resting: now,
            appeared: BTreeMap::new(),
            unserved: BTreeSet::new(),
            leased: BTreeMap::new(),
            awake: false,
            out: BTreeMap::new(),
            pauses: Pauses::default(),
            noted: Noted::default(),
        }
    }

    /// How long there is nothing to do but wait.
    fn patience(&self, now: Instant) -> Duration {
        let judge_at = self.judge_at.map(|at| at.max(self.resting)).into_iter();
        let next = judge_at.chain(self.appeared.values().copied()).chain(self.leased.values().copied()).min();
        next.map_or(COMPARING, |at| at.saturating_duration_since(now)).min(COMPARING)
    }

    /// Tells a change, and notes what follows from it.
    fn see(&mut self, moment: &Moment, now: Instant) {
        self.hub.publish(&events::between(moment));
        for name in &moment.links {
            let index = |host: &NetInfo| host.link(name).map(|link| (link.index, link.nic));
            match (index(&moment.before), index(&moment.after)) {
                (_, None) => {
                    self.appeared.remove(name);
                    self.unserved.remove(name);
                    self.noted.begin_anew(&waiting(&self.engine.running(), &BTreeSet::from([*name])));
                }
                (before, after) if before != after || self.unserved.remove(name) => {
                    self.appeared.insert(*name, now + SETTLING);
                }
                _ => {}
            }
            let leases = |host: &NetInfo| host.link(name).map(|link| [false, true].map(|v6| link.lease(v6).cloned()));
            if leases(&moment.before) != leases(&moment.after) {
                self.leased.insert(*name, now);
            }
            // A link that is gone does not say any more what it belonged to.
            let former = moment.before.link(name).into_iter().flat_map(|link| [link.master, link.base]);
            self.changed.extend(former.flatten().chain([*name]));
        }
        self.judge_by(now + GATHERING);
    }

    fn judge_by(&mut self, at: Instant) {
        self.judge_at = Some(self.judge_at.map_or(at, |before| before.min(at)));
    }

    /// Does what is due.
    fn act(&mut self, now: Instant) {
        if !self.awake {
            self.wake(now);
        }
        let settled: BTreeSet<DeviceName> =
            self.appeared.iter().filter(|(_, at)| **at <= now).map(|(name, _)| *name).collect();
        if !settled.is_empty() {
            let again = self.greet(&settled, now);
            self.appeared.retain(|name, at| {
                if let Some(again) = again.filter(|_| settled.contains(name)) {
                    *at = again;
                }
                again.is_some() || !settled.contains(name)
            });
        }
        if self.leased.values().any(|at| *at <= now) {
            match self.follow_leases(now) {
                Some(again) => self.leased.values_mut().for_each(|at| *at = again),
                None => self.leased.clear(),
            }
        }
        if !Arc::ptr_eq(&self.judged, &self.engine.running()) {
            self.judge_by(now + GATHERING);
        }
        if self.judge_at.is_some_and(|at| at.max(self.resting) <= now) {
            self.judge_at = self.judge(now);
        }
    }

    /// Links that came while there was no keeper appear now.
    fn wake(&mut self, now: Instant) {
        let seen = match self.engine.look() {
            Ok(seen) => seen,
            Err(error) => return tracing::warn!("whether links came meanwhile is not known: {}", chain(&error)),
        };
        self.awake = true;
        let came = bare(&self.engine.running(), &seen);
        self.appeared.extend(came.into_iter().map(|name| (name, now + SETTLING)));
    }

    /// Brings back what waited for the links that appeared; when to try again, if that.
    fn greet(&mut self, settled: &BTreeSet<DeviceName>, now: Instant) -> Option<Instant> {
        let running = self.engine.running();
        let selection = waiting(&running, settled);
        // Without keeping those away who want to change something, if there is nothing to be done.
        let checked = match self.engine.check(Some(&selection), false) {
            Err(EngineError::Busy) => return Some(now + BUSY),
            // It was restored meanwhile, say, and those who wait are others.
            _ if !Arc::ptr_eq(&running, &self.engine.running()) => return Some(now),
            Ok(checked) if checked.plan.is_empty() => {
                if !checked.in_sync() {
                    self.unserved.extend(settled);
                }
                return None;
            }
            checked => checked,
        };
        let brought = checked.and_then(|checked| {
            let wanted = mendable(&checked);
            Ok((self.bring_back(&wanted)?, wanted))
        });
        let appeared = settled.iter().filter(|name| !waiting(&running, &BTreeSet::from([**name])).is_empty());
        let appeared = appeared.map(ToString::to_string).collect::<Vec<_>>().join(", ");
        match brought {
            Err(EngineError::Busy) => return Some(now + BUSY),
            Err(error) => tracing::warn!("{appeared} appeared, and who waits for it is not known: {}", chain(&error)),
            Ok((brought, wanted)) => {
                let news = self.noted.tried(&wanted, &brought);
                brought.tell(&format!("{appeared} appeared"), |entity| news.contains(entity));
                // What has failed is tried again, later each time.
                brought.failed.iter().for_each(|(entity, _)| self.pauses.lengthen(entity, now));
                return brought.failed.iter().filter_map(|(entity, _)| self.pauses.until(entity)).min();
            }
        }
        None
    }

    /// Does what follows from leases that came, changed or went, whatever `drift` says; when to try
    /// again, if that.
    fn follow_leases(&self, now: Instant) -> Option<Instant> {
        let running = self.engine.running();
        let devices: BTreeSet<DeviceName> = self.leased.keys().copied().collect();
        let networks = self.engine.concerned(&devices).map(|selection| Selection {
            networks: selection
                .networks
                .into_iter()
                .filter(|n| running.networks.get(n).is_some_and(NetworkConfig::asks))
                .collect(),
            ..Selection::default()
        });
        let checked = networks.and_then(|selection| self.engine.check(Some(&selection), false));
        match checked.and_then(|checked| self.bring_back(&mendable(&checked))) {
            Err(EngineError::Busy) => return Some(now + BUSY),
            Err(error) => tracing::warn!("what follows from a lease is not known: {}", chain(&error)),
            Ok(brought) => {
                brought.tell("a lease changed", |_| true);
                if !brought.failed.is_empty() {
                    return Some(now + LATER);
                }
            }
        }
        None
    }

    /// Looks for drift among what changed; when to look again, if that.
    fn judge(&mut self, now: Instant) -> Option<Instant> {
        let running = self.engine.running();
        if self.drift == Drift::Ignore {
            self.changed.clear();
            self.judged = running;
            return None;
        }
        let start = Instant::now();
        let checked = self.suspects(&running).and_then(|selection| {
            let is_none = selection.is_empty();
            Ok(if is_none { None } else { Some((self.engine.check(Some(&selection), false)?, selection)) })
        });
        self.resting = now + start.elapsed() * SHARE;
        let again = match checked {
            Err(EngineError::Busy) => return Some(now + BUSY),
            Err(error) => {
                tracing::warn!("cannot look for drift: {}", chain(&error));
                None
            }
            Ok(None) => None,
            Ok(Some((checked, selection))) => {
                self.tell(&checked, &selection, now);
                if self.drift == Drift::Heal {
                    self.mend(&checked, now)
                } else {
                    self.note(&checked, &BTreeSet::new(), now);
                    None
                }
            }
        };
        self.judged = running;
        // Those who wait for a nic that settles are judged after that.
        let settling = self.appeared.keys().copied().collect();
        self.changed = if waiting(&self.judged, &settling).is_empty() { BTreeSet::new() } else { settling };
        let later = self.appeared.values().max().filter(|_| !self.changed.is_empty()).copied();
        again.into_iter().chain(later).min()
    }

    /// Whoever may have drifted, or may be back.
    fn suspects(&self, running: &NetConfig) -> Result<Selection, EngineError> {
        let mut selection = self.engine.concerned(&self.changed)?;
        self.out.keys().for_each(|entity| entity.select(&mut selection));
        // To compare a configuration with itself costs what all its networks cost.
        let changes =
            if std::ptr::eq(running, &*self.judged) { Vec::new() } else { running.changes_from(&self.judged) };
        for changed in changes {
            match changed {
                Changed::Network(name) => selection.networks.insert(name),
                Changed::Bond(name) => selection.bonds.insert(name),
            };
        }
        let waiting = waiting(running, &self.appeared.keys().copied().collect());
        selection.networks.retain(|name| !waiting.networks.contains(name));
        selection.bonds.retain(|name| !waiting.bonds.contains(name));
        Ok(selection)
    }

    /// Tells what went out of sync, and what came back.
    fn tell(&mut self, checked: &Checked, selection: &Selection, now: Instant) {
        let mut events = Vec::new();
        let networks = checked.networks.iter().map(|(name, verdict)| (Entity::Network(name.clone()), verdict));
        let bonds = checked.bonds.iter().map(|(name, verdict)| (Entity::Bond(*name), verdict));
        let mut seen = BTreeSet::new();
        for (entity, verdict) in networks.chain(bonds) {
            let differences = sentences(verdict);
            let known = self.out.get(&entity);
            if differences.is_empty() && known.is_some() || !differences.is_empty() && known != Some(&differences) {
                events.push(event(&entity, differences.clone()));
            }
            if differences.is_empty() {
                self.out.remove(&entity);
            } else {
                self.out.insert(entity.clone(), differences);
            }
            seen.insert(entity);
        }
        // What is not in the configuration any more is none of ours.
        self.out.retain(|entity, _| seen.contains(entity) || !entity.is_in(selection));
        self.pauses.forget(|entity| self.out.contains_key(entity), now);
        self.noted.forget(|entity| self.out.contains_key(entity), |entity| seen.contains(entity));
        self.hub.publish(&events);
    }

    /// Mends what has drifted, unless that was tried a moment ago; when to look again, if that.
    fn mend(&mut self, checked: &Checked, now: Instant) -> Option<Instant> {
        let (due, waiting): (BTreeSet<Entity>, BTreeSet<Entity>) =
            mendable(checked).into_iter().partition(|entity| self.pauses.is_over(entity, now));
        if due.is_empty() {
            self.note(checked, &due, now);
            return waiting.iter().filter_map(|entity| self.pauses.until(entity)).min();
        }
        match self.bring_back(&due) {
            Err(EngineError::Busy) => return Some(now + BUSY),
            Err(error) => {
                let mut nothing = Brought::default();
                due.iter().for_each(|entity| nothing.fail(Some(entity), &error));
                self.noted.tried(&due, &nothing);
            }
            Ok(brought) => {
                self.noted.tried(&due, &brought);
                // What failed is noted with what is the matter with it.
                brought.tell("drift was found", |_| false);
            }
        }
        // Whoever changes it again and again is not fought without end, nor is what cannot be had.
        due.iter().for_each(|entity| self.pauses.lengthen(entity, now));
        self.note(checked, &due, now);
        Some(now + GATHERING)
    }

    /// Has the log say what is out of sync and what becomes of that, if it has not said so yet; of those who were
    /// `tried`, what failed.
    fn note(&mut self, checked: &Checked, tried: &BTreeSet<Entity>, now: Instant) {
        let helped = mendable(checked);
        let is_judged = |entity: &Entity| match entity {
            Entity::Network(name) => checked.networks.contains_key(name),
            Entity::Bond(name) => checked.bonds.contains_key(name),
        };
        for (entity, differences) in self.out.iter().filter(|(entity, _)| is_judged(entity)) {
            let fate = match self.noted.why(entity) {
                _ if self.drift != Drift::Heal => Fate::Told,
                _ if !helped.contains(entity) => Fate::Lasting,
                Some(why) => Fate::Failed(why.clone()),
                None if tried.contains(entity) => continue,
                None => Fate::Fought,
            };
            let again = self.pauses.until(entity).map(|at| at.saturating_duration_since(now));
            self.noted.out(entity, differences, fate, again.map(|wait| wait.as_secs_f64().ceil() as u64));
        }
        if self.drift == Drift::Heal {
            self.noted.publish(&self.engine.healing, &self.pauses, now);
        }
    }

    /// Brings back networks and bonds, all together or, if that fails, each by itself.
    ///
    /// # Errors
    /// When the engine is busy, or the host cannot be looked at.
    fn bring_back(&self, entities: &BTreeSet<Entity>) -> Result<Brought, EngineError> {
        let mut brought = Brought::default();
        match self.heal(entities.iter()) {
            Ok(done) => brought.done.extend(done),
            Err(EngineError::Setup(error)) if entities.len() > 1 => {
                tracing::debug!("not all can be brought back together, trying each: {}", chain(&error));
                self.bring_back_each(entities, &mut brought);
            }
            Err(error @ EngineError::Setup(_)) => brought.fail(entities.first(), &error),
            Err(error) => return Err(error),
        }
        Ok(brought)
    }

    /// Bonds come first, and what stands on one that cannot be had is not tried.
    fn bring_back_each(&self, entities: &BTreeSet<Entity>, brought: &mut Brought) {
        let running = self.engine.running();
        let mut lost = BTreeSet::new();
        for entity in entities {
            if let Some(base) = entity.base(&running).filter(|base| lost.contains(base)) {
                brought.failed.push((entity.clone(), format!("its bond {base} cannot be brought back")));
                continue;
            }
            match self.heal(std::iter::once(entity)) {
                Ok(done) => brought.done.extend(done),
                Err(error) => {
                    brought.fail(Some(entity), &error);
                    lost.extend(entity.bond());
                }
            }
        }
    }

    fn heal<'a>(&self, entities: impl Iterator<Item = &'a Entity>) -> Result<Option<Done>, EngineError> {
        let mut selection = Selection::default();
        entities.for_each(|entity| entity.select(&mut selection));
        self.engine.react(&selection)
    }
}

/// What came of bringing something back.
#[derive(Default)]
struct Brought {
    done: Vec<Done>,
    failed: Vec<(Entity, String)>,
}

impl Brought {
    fn fail(&mut self, entity: Option<&Entity>, error: &EngineError) {
        let mut reason = chain(error);
        if let EngineError::Setup(SetupError::Stuck { leftover, .. }) = error {
            reason = format!("{reason}: {}", leftover.join("; "));
        }
        self.failed.extend(entity.map(|entity| (entity.clone(), reason)));
    }

    /// Has the log say it; what failed, where it is news.
    fn tell(&self, why: &str, is_news: impl Fn(&Entity) -> bool) {
        for done in &self.done {
            tracing::info!("{why}; brought back: {}", done.plan.to_string().trim_end().replace('\n', "; "));
        }
        for (entity, reason) in self.failed.iter().filter(|(entity, _)| is_news(entity)) {
            tracing::warn!("{why}; {entity} cannot be brought back: {reason}");
        }
    }
}

fn event(entity: &Entity, differences: Vec<String>) -> Event {
    let (bond, name) = match entity {
        Entity::Network(name) => (false, name.to_string()),
        Entity::Bond(name) => (true, name.to_string()),
    };
    Event::Sync { bond, name, differences }
}

fn sentences(verdict: &Verdict) -> Vec<String> {
    verdict.differences.iter().map(|difference| difference.text.clone()).collect()
}
