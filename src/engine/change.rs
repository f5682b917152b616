//! A change from its plan to what is stored of it: written down first, watched on its way, and kept in
//! the history.
//!
//! The stages themselves are `transaction.rs`'s, the journal's lines `journal.rs`'s.

use std::cell::{Cell, RefCell};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use vdsm_configurators::Headway;
use vdsm_model::config::{Changed, NetConfig, Policy};
use vdsm_model::graph::Desired;
use vdsm_model::name::{DeviceName, NetworkName};
use vdsm_model::netinfo::NetInfo;
use vdsm_model::request::Request;
use vdsm_persistence::{Entity, StoreError};

use super::guard::{self, Interrupted};
use super::journal::{Asker, Wish};
use super::{Engine, EngineError, account, tree};
use crate::connectivity::{Check, Lost, Subjects};
use crate::deadman::{self, DeadMan};
use crate::host::{Eyes, Host};
use crate::transaction::{Diary, Done, Leg, Planned, SetupError, Transaction, chain};

impl Engine {
    pub(super) fn change(&self, host: &mut Host, request: &Request, asker: &Asker) -> Result<Done, EngineError> {
        if request.options.commit_on_success {
            self.check_restored(&self.running())?;
        }
        self.transact(host, request, &self.policy, asker, |_| {})
    }

    /// The same, with a change of the configuration that is stored in the end.
    pub(super) fn transact(
        &self,
        host: &mut Host,
        request: &Request,
        policy: &Policy,
        asker: &Asker,
        adjust: impl FnOnce(&mut NetConfig),
    ) -> Result<Done, EngineError> {
        let before = self.running();
        let options = &request.options;
        let check = options.connectivity_check.then_some(options.connectivity_timeout);
        let planned = Transaction::plan(host, &before, request, policy)?;
        let interrupted =
            guard::interrupted(planned.plan(), planned.seen(), &before, self.management.as_ref(), options);
        // What we do by ourselves brings back what was.
        if asker.caller.is_some() {
            guard::judge(&interrupted, options)?;
        }
        // What changes nothing cuts nobody off.
        let check = check.filter(|_| !planned.plan().is_empty());
        let mut stored = planned.desired().config.clone();
        adjust(&mut stored);
        let safe = options.commit_on_success;
        let blocking: Vec<NetworkName> = (request.networks.iter())
            .filter(|(_, net)| net.as_ref().is_some_and(|net| net.blocking_dhcp && net.asks()))
            .map(|(name, _)| name.clone())
            .collect();
        // With the leases it waits for there may be something to do.
        let is_nothing = planned.plan().is_empty() && stored == *before && !safe && blocking.is_empty();
        let (number, blind) = if asker.is_restore() { (None, None) } else { self.history.number_for(&before, &stored) };
        let wish = Wish { asker, reason: options.reason.as_deref(), number, safe, before: &before, after: &stored };
        let head = if is_nothing { None } else { Some(self.journal.begin(&wish, &planned)?) };
        let longest = deadman::longest(planned.plan().steps().len(), self.netlink_timeout) + self.dhcp_timeout;
        let (dead_man, unarmed) = check.map_or((None, None), |_| self.arm(longest));
        let dead_man = RefCell::new(dead_man);
        let watch = Watched { engine: self, check, longest, dead_man, called: Cell::new(self.connectivity.calls()) };
        let outcome = self.carry_out(planned, request, policy, &blocking, &stored, &watch);
        let trouble = head.filter(|_| outcome.is_ok()).and_then(|head| self.history.remember(&head));
        // Done or undone; a panic on the way, or a way back that is blocked, leaves the journal to
        // whoever comes next.
        if self.journal.is_open() && !matches!(outcome, Err(SetupError::Stuck { .. })) {
            self.journal.end();
        }
        if let Some(dead_man) = watch.dead_man.into_inner() {
            dead_man.disarm();
        }
        let mut done = outcome?;
        done.history = number.filter(|_| trouble.is_none());
        done.warnings.extend(interrupted.iter().map(Interrupted::warning).chain(unarmed).chain(blind).chain(trouble));
        *self.running.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(stored);
        Ok(done)
    }

    fn carry_out(
        &self,
        planned: Planned<'_>,
        request: &Request,
        policy: &Policy,
        blocking: &[NetworkName],
        stored: &NetConfig,
        watch: &Watched<'_>,
    ) -> Result<Done, SetupError> {
        let before = self.running();
        let rejudge = |seen: &NetInfo| {
            // A bond that was none of ours and is gone by now has been removed.
            let mut left = request.clone();
            let is_left = |name: &DeviceName| before.bonds.contains_key(name) || seen.link(name).is_some();
            left.bonds.retain(|name, bond| bond.is_some() || is_left(name));
            Desired::build(&before, &left, seen, policy).map_err(SetupError::Refused)
        };
        let applied = planned.apply_noting(watch)?.leased(blocking, self.dhcp_timeout, rejudge)?;
        let check = |within: Duration, eyes: &dyn Eyes| {
            let subjects = Subjects::of(request, stored);
            let needs_call = request.options.connectivity_call;
            watch.await_signs(Check::new(&self.probes, self.quorum, needs_call, subjects), within, eyes)
        };
        applied.confirm(watch.check, check)?.commit(|_| {
            let start = Instant::now();
            let safe = request.options.commit_on_success;
            let kept = self.journal.commit().and_then(|()| self.keep(&before, stored, safe));
            if kept.is_err() {
                self.journal.abandon();
            }
            tracing::debug!(elapsed = ?start.elapsed(), "stored");
            kept
        })
    }

    /// Has somebody hold the deadline in our place; or a sentence about why we hold it alone.
    fn arm(&self, longest: Duration) -> (Option<DeadMan>, Option<String>) {
        match self.dead_man.as_ref().map(|launcher| launcher.arm(longest)) {
            None => (None, None),
            Some(Ok(dead_man)) => (Some(dead_man), None),
            Some(Err(error)) => {
                let text = format!("nobody would have undone this change had the daemon died: no dead man: {error}");
                tracing::error!("{text}");
                (None, Some(text))
            }
        }
    }

    /// Stores a configuration as the running one, and makes it safe where that is wanted.
    fn keep(&self, before: &NetConfig, now: &NetConfig, safe: bool) -> Result<(), StoreError> {
        self.save_running(before, now)?;
        if safe && let Err(error) = self.make_safe(now) {
            // The change is rolled back: so is what is stored of it.
            if let Err(second) = self.save_running(now, before) {
                tracing::error!("the running configuration on disk is that of a failed change: {}", chain(&second));
            }
            return Err(error);
        }
        Ok(())
    }

    /// Writes what differs. One network more among thousands costs one file.
    fn save_running(&self, before: &NetConfig, now: &NetConfig) -> Result<(), StoreError> {
        let changes = now.changes_from(before);
        let done = match changes.as_slice() {
            // A store that was never written is as good as an empty one.
            [] => true,
            [Changed::Network(name)] => {
                self.store.running.save_one(Entity::Network(name.as_str()), now.stored_network(name).as_ref())?
            }
            [Changed::Bond(name)] => {
                self.store.running.save_one(Entity::Bond(name.as_str()), now.stored_bond(name).as_ref())?
            }
            _ => false,
        };
        if done { Ok(()) } else { self.store.running.save(&tree(now)) }
    }
}

/// A change on its way: what it does is written down, and whoever holds its deadline hears that we live.
struct Watched<'e> {
    engine: &'e Engine,
    /// How long it waits for a sign of life, where it does.
    check: Option<Duration>,
    /// How many signs there were when the host had been changed.
    called: Cell<u64>,
    /// Who is silent for longer hangs.
    longest: Duration,
    dead_man: RefCell<Option<DeadMan>>,
}

impl Watched<'_> {
    fn within(&self, within: Duration) {
        if let Some(dead_man) = self.dead_man.borrow_mut().as_mut() {
            dead_man.within(within);
        }
    }

    fn await_signs(&self, check: Check, within: Duration, eyes: &dyn Eyes) -> Result<(), Lost> {
        self.within(within + deadman::MARGIN);
        let passed = check.pass(&self.engine.connectivity, self.called.get(), within, eyes);
        self.within(self.longest);
        passed
    }
}

impl Diary for Watched<'_> {
    fn leg(&self, leg: &Leg) {
        self.engine.journal.note(|| account::leg(leg));
        self.within(self.longest);
    }

    fn headway(&self, headway: &Headway) {
        // A batch may begin and end no step.
        if *headway != Headway::default() {
            self.engine.journal.note(|| account::headway(headway));
        }
        self.within(self.longest);
    }

    fn failed(&self, step: usize) {
        self.engine.journal.note(|| account::failed(step));
        self.within(self.longest);
    }

    fn changed(&self) {
        self.called.set(self.engine.connectivity.calls());
    }

    fn widen(&self, desired: &Desired) -> Result<(), String> {
        self.engine.journal.widen(desired)
    }
}
