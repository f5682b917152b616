//! A process that dies: what it would have done after so many things is not done any more, and what it
//! did is what its journal says.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, Mutex};

use vdsm_configurators::iproute2::{Action, Kernel};
use vdsm_configurators::sim::Sim;
use vdsm_configurators::{Begin, RunError};
use vdsm_model::netinfo::NetInfo;
use vdsm_net::engine::account::Account;
use vdsm_persistence::fault::{self, Pulled};
use vdsm_persistence::{Place, Unfinished};

/// One plan as a kernel was asked for it.
#[derive(Debug)]
pub struct Run {
    /// All of its actions, each with its step.
    asked: Vec<(usize, Action)>,
    /// How many of them it did.
    done: usize,
}

/// All plans of a kernel's life.
pub type Runs = Arc<Mutex<Vec<Run>>>;

/// A kernel that is asked for nothing more once the plug is pulled.
#[derive(Debug)]
pub struct Plugged<K> {
    pub kernel: K,
    pub runs: Runs,
}

impl<K: Kernel> Kernel for Plugged<K> {
    /// What is noted on the way does not count: how many actions the kernel gets is settled before.
    fn run(
        &mut self,
        actions: &[(usize, Action)],
        seen: &NetInfo,
        begin: &mut Begin<'_>,
    ) -> Result<(), (usize, RunError)> {
        let allowed = fault::allowed(actions.len());
        let outcome = fault::free(|| self.kernel.run(&actions[..allowed], seen, begin));
        let done = outcome.as_ref().map_or_else(|(at, _)| *at, |()| allowed);
        self.runs.lock().unwrap().push(Run { asked: actions.to_vec(), done });
        outcome?;
        if allowed < actions.len() {
            return Err((allowed, RunError::Simulated(fault::cut().to_string())));
        }
        Ok(())
    }
}

/// A simulated kernel that is given so many actions at a time. It is cut off between any two of them,
/// and before, within and after what is noted of them.
#[derive(Debug)]
pub struct Batched {
    pub sim: Sim,
    pub size: usize,
    pub runs: Runs,
}

impl Kernel for Batched {
    fn run(
        &mut self,
        actions: &[(usize, Action)],
        _: &NetInfo,
        begin: &mut Begin<'_>,
    ) -> Result<(), (usize, RunError)> {
        self.runs.lock().unwrap().push(Run { asked: actions.to_vec(), done: 0 });
        for (at, (_, action)) in actions.iter().enumerate() {
            if at % self.size == 0 {
                begin(at..actions.len().min(at + self.size));
            }
            if fault::allowed(1) == 0 {
                return Err((at, RunError::Simulated(fault::cut().to_string())));
            }
            self.sim.act(action).map_err(|error| (at, error))?;
            self.runs.lock().unwrap().last_mut().unwrap().done += 1;
        }
        Ok(())
    }
}

/// What the journal in this folder says of a change that was cut off.
pub fn account(run_dir: &Path) -> Option<Account> {
    let bytes = std::fs::read(run_dir.join("journal")).ok()?;
    Unfinished::of(&bytes, Place::Run).map(|unfinished| Account::of(&unfinished))
}

/// The law of what is noted: a step of which the kernel did anything is said to be done, or perhaps
/// done; of what is said to be done it did all. Devices tell the same of the last plan. Steps that
/// are behind by more than `batch` actions are done for certain.
#[track_caller]
pub fn assert_told(account: &Account, runs: &Runs, batch: usize, seen: &NetInfo, story: &str) {
    let runs = runs.lock().unwrap();
    assert_eq!(account.legs.len(), runs.len(), "{story}: {account}");
    for (leg, run) in account.legs.iter().zip(&*runs) {
        for (at, (step, action)) in run.asked.iter().enumerate() {
            let story = || format!("{story}: {account}, but {} actions were done, and {at} is '{action}'", run.done);
            let is_last = run.asked.iter().rposition(|(it, _)| it == step) == Some(at);
            assert!(at >= run.done || !leg.untouched().contains(*step), "{}", story());
            assert!(at < run.done || !leg.done.contains(*step), "{}", story());
            assert!(!is_last || at + batch >= run.done || leg.done.contains(*step), "{}", story());
        }
    }
    if let (Some(leg), Some(run)) = (account.legs.last(), runs.last()) {
        for (at, (step, action)) in run.asked.iter().enumerate() {
            let (name, makes) = match action {
                Action::AddLink { name, .. } => (name, true),
                Action::DelLink { name } => (name, false),
                _ => continue,
            };
            let again = |others: &[(usize, Action)]| {
                let is_same = |other: &Action| matches!(other, Action::AddLink { name: it, .. } | Action::DelLink { name: it } if it == name);
                others.iter().any(|(_, other)| is_same(other))
            };
            let is_there = seen.link(name).is_some();
            if leg.done.contains(*step) && !again(&run.asked[at + 1..]) {
                assert_eq!(is_there, makes, "{story}: {account}, and '{action}' is said to be done");
            }
            if leg.untouched().contains(*step) && !again(&run.asked[..at]) {
                assert_eq!(is_there, !makes, "{story}: {account}, and '{action}' is said not to be begun");
            }
        }
    }
}

/// Cuts off what is done in `act` after so many things, of the kernel and of the disk; what it
/// returned, if it came to that. With `torn`, the last thing that was written is a half.
pub fn cut<T>(after: usize, torn: bool, act: impl FnOnce() -> T) -> Option<T> {
    fault::pull_after(after, torn);
    let outcome = catch_unwind(AssertUnwindSafe(act));
    fault::pull_after(usize::MAX, false);
    match outcome {
        Ok(done) => Some(done),
        Err(panic) if panic.is::<Pulled>() => None,
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

/// The panics of those who are cut off are no news.
pub fn quietly(test: impl FnOnce()) {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if !info.payload().is::<Pulled>() {
            hook(info);
        }
    }));
    test();
}
