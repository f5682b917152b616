//! The running configuration held against the host, and brought back where it has drifted.
//!
//! What counts as drift is `check.rs`'s; when to look for it, the keeper's.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use vdsm_model::config::{Combination, Policy};
use vdsm_model::name::DeviceName;
use vdsm_model::netinfo::NetInfo;

use super::journal::Asker;
use super::{Engine, EngineError};
use crate::check::{Checked, Selection, check, concerned};
use crate::host::Host;
use crate::settings::with_all_settings;
use crate::transaction::Done;

/// How often somebody who looks is disturbed by changes before he is told to come back.
const ATTEMPTS: usize = 3;

impl Engine {
    /// Holds the running configuration, or some of it, against the host. `hard` reads the host
    /// anew; else what is known of it will do.
    ///
    /// # Errors
    /// [`EngineError::Busy`] while a change is under way, or one follows the other: what is half
    /// done is no drift.
    pub fn check(&self, only: Option<&Selection>, hard: bool) -> Result<Checked, EngineError> {
        for _ in 0..ATTEMPTS {
            let before = self.changes.load(Ordering::SeqCst);
            let is_same = || self.changes.load(Ordering::SeqCst) == before;
            if !before.is_multiple_of(2) {
                if !self.reaction.ended() && is_same() {
                    break;
                }
                continue;
            }
            let seen = if hard { Arc::new(self.eyes.look_hard()?) } else { self.look()? };
            let running = self.running();
            let seen = with_all_settings(&*self.eyes, (*seen).clone(), &running, only)?;
            let checked = check(&running, &seen, &self.policy, only);
            if is_same() {
                return Ok(checked);
            }
        }
        Err(EngineError::Busy)
    }

    /// The host as far as it is known, and how the running configuration stands to it. While a
    /// change is under way, what is half done may show as drift. Nics are not asked for what ethtool
    /// knows: whoever draws a picture does so often.
    ///
    /// # Errors
    /// When the host cannot be looked at.
    pub fn survey(&self) -> Result<(Arc<NetInfo>, Checked), EngineError> {
        let seen = self.look()?;
        let checked = check(&self.running(), &seen, &self.policy, None);
        Ok((seen, checked))
    }

    /// The networks and bonds that a change of these devices may concern.
    ///
    /// # Errors
    /// When the host cannot be looked at.
    pub fn concerned(&self, devices: &BTreeSet<DeviceName>) -> Result<Selection, EngineError> {
        Ok(concerned(&self.running(), &*self.look()?, devices))
    }

    /// Brings back what has drifted of the running configuration by an ordinary transaction; none
    /// if nothing had. The configuration stays what it is, had or not.
    ///
    /// # Errors
    /// As [`Engine::setup`].
    pub fn heal(&self) -> Result<Option<Done>, EngineError> {
        self.alone(|host| self.mend(host, None))
    }

    /// The same for some of it, and nobody has asked for it: who wants a change meanwhile waits
    /// until it is done.
    ///
    /// # Errors
    /// As [`Engine::setup`]; [`EngineError::Busy`] while a change is under way.
    pub fn react(&self, only: &Selection) -> Result<Option<Done>, EngineError> {
        let _under_way = self.reaction.begin();
        let host = self.take().ok_or(EngineError::Busy)?;
        self.counted(host, |host| self.mend(host, Some(only)))
    }

    fn mend(&self, host: &mut Host, only: Option<&Selection>) -> Result<Option<Done>, EngineError> {
        let running = self.running();
        let seen = with_all_settings(&*host.eyes, host.eyes.look()?, &running, only)?;
        let checked = check(&running, &seen, &self.policy, only);
        if checked.plan.is_empty() {
            return Ok(None);
        }
        // What runs was allowed once.
        let policy = Policy { combination: Combination::Relaxed, ..self.policy.clone() };
        self.transact(host, &checked.request, &policy, &Asker::ourselves("heal"), |config| *config = (*running).clone())
            .map(Some)
    }
}
