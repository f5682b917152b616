//! What the log says of drift and of healing that fails: each state once, however often it is tried.
//!
//! When something is looked at, or mended, is not known here. Whoever asks for a check is told by
//! [`Healing`] of what fails.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use super::Brought;
use super::pauses::Pauses;
use super::waiting::Entity;
use crate::check::Selection;
use crate::engine::{Failing, Healing};

/// What was said, and what could not be brought back the last time.
#[derive(Default)]
pub(super) struct Noted {
    failing: BTreeMap<Entity, String>,
    said: BTreeMap<Entity, (Vec<String>, Fate)>,
}

/// What will become of something that is out of sync.
#[derive(Clone, PartialEq)]
pub(super) enum Fate {
    /// It is left to those who listen.
    Told,
    /// It could not be brought back, and why; it is tried again.
    Failed(String),
    /// It was brought back a moment ago, and was changed again.
    Fought,
    /// No plan brings it back as the host is now.
    Lasting,
}

impl Noted {
    /// What came of an attempt; those of whom that is news.
    pub(super) fn tried(&mut self, tried: &BTreeSet<Entity>, brought: &Brought) -> BTreeSet<Entity> {
        let failed: BTreeMap<&Entity, &String> = brought.failed.iter().map(|(entity, why)| (entity, why)).collect();
        let mut news = BTreeSet::new();
        for entity in tried {
            match failed.get(entity) {
                Some(why) if self.failing.insert(entity.clone(), (*why).clone()).as_ref() == Some(*why) => {}
                Some(_) => drop(news.insert(entity.clone())),
                None => drop(self.failing.remove(entity)),
            }
        }
        news
    }

    /// Why the last attempt at it failed, if it did.
    pub(super) fn why(&self, entity: &Entity) -> Option<&String> {
        self.failing.get(entity)
    }

    /// It is out of sync.
    pub(super) fn out(&mut self, entity: &Entity, differences: &[String], fate: Fate, again: Option<u64>) {
        if fate == Fate::Lasting {
            self.failing.remove(entity);
        }
        let state = (differences.to_vec(), fate);
        if self.said.get(entity) != Some(&state) {
            let (what, later) = (differences.join("; "), again.unwrap_or(1));
            let fate = match &state.1 {
                Fate::Told => String::new(),
                Fate::Failed(why) => {
                    format!("; it cannot be brought back: {why}; tried again in {later} s, and less and less often")
                }
                Fate::Fought => format!("; it was brought back a moment ago, and is left alone for {later} s"),
                Fate::Lasting => {
                    "; nothing brings that back now, and it is looked at again when the host changes".into()
                }
            };
            tracing::warn!("{entity} is out of sync: {what}{fate}");
            self.said.insert(entity.clone(), state);
        }
    }

    /// What these stand on is gone: when it comes again, whatever fails is news.
    pub(super) fn begin_anew(&mut self, whose: &Selection) {
        self.failing.retain(|entity, _| !entity.is_in(whose));
    }

    /// It is in sync, or nobody's any more.
    pub(super) fn forget(&mut self, is_out: impl Fn(&Entity) -> bool, is_ours: impl Fn(&Entity) -> bool) {
        self.failing.retain(|entity, _| is_out(entity));
        self.said.retain(|entity, _| {
            let stays = is_out(entity);
            if !stays && is_ours(entity) {
                tracing::info!("{entity} is in sync again");
            }
            stays
        });
    }

    /// Tells whoever checks.
    pub(super) fn publish(&self, healing: &Healing, pauses: &Pauses, now: Instant) {
        let failing = self.failing.iter().map(|(entity, why)| {
            let failing = Failing { why: why.clone(), again: pauses.until(entity).unwrap_or(now) };
            (entity.key(), failing)
        });
        healing.set(failing.collect());
    }
}
