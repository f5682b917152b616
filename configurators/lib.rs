//! Those who act: a configurator turns the steps of a plan into changes of the host.
//!
//! In the order in which a plan meets the modules. What a network is stands in `src/model`; when
//! a configurator is called, and what happens when it fails, in `src/transaction.rs`.

mod error;
pub mod fault; // failures on purpose, for tests
pub mod iproute2; // the kernel's own devices, through rtnetlink
mod progress; // how far they have come with a plan
pub mod resolver; // the host's name servers, for every configurator
pub mod sim; // a host in memory

use std::collections::BTreeSet;
use std::fmt::{Debug, Display};

pub use error::{ApplyError, RunError};
use progress::Tally;
pub use progress::{Begin, Headway};
use vdsm_model::config::Feature;
use vdsm_model::netinfo::NetInfo;
use vdsm_model::plan::{Plan, Step};

/// Somebody who can carry out plans.
pub trait Configurator: Debug + Send {
    /// As vdsm.conf calls it.
    fn name(&self) -> &'static str;

    /// The parts of a request that it can do beyond devices and static addresses.
    fn features(&self) -> BTreeSet<Feature>;

    /// For each step of a plan, the commands that would do the same by hand.
    fn explain(&self, plan: &Plan, seen: &NetInfo) -> Vec<Vec<String>>;

    /// Carries out a plan that was made for the host as seen. Who follows its `progress` hears which
    /// steps are begun before they are, and which are done.
    fn apply(&mut self, plan: &Plan, seen: &NetInfo, progress: &mut dyn FnMut(&Headway)) -> Result<(), ApplyError>;
}

/// How a configurator is usually written: translate, then do. [`Configurator`] follows for free.
pub trait Backend: Debug + Send {
    /// What it can do to the host. `Display` is the command that would do the same.
    type Action: Display;

    /// As vdsm.conf calls it.
    fn name(&self) -> &'static str;

    /// The parts of a request that it can do beyond devices and static addresses.
    fn features(&self) -> BTreeSet<Feature>;

    /// Translates steps into actions, each with the number of the step it belongs to. Pure. The
    /// actions of independent steps may be interleaved.
    fn lower(&self, steps: &[Step], seen: &NetInfo) -> Vec<(usize, Self::Action)>;

    /// Does them, and calls `begin` before each batch; the error comes with the number of the action
    /// that failed.
    fn run(
        &mut self,
        actions: &[(usize, Self::Action)],
        seen: &NetInfo,
        begin: &mut Begin<'_>,
    ) -> Result<(), (usize, RunError)>;
}

impl<B: Backend> Configurator for B {
    fn name(&self) -> &'static str {
        Backend::name(self)
    }

    fn features(&self) -> BTreeSet<Feature> {
        Backend::features(self)
    }

    fn explain(&self, plan: &Plan, seen: &NetInfo) -> Vec<Vec<String>> {
        let mut commands = vec![Vec::new(); plan.steps().len()];
        for (step, action) in self.lower(plan.steps(), seen) {
            commands[step].push(action.to_string());
        }
        commands
    }

    fn apply(&mut self, plan: &Plan, seen: &NetInfo, progress: &mut dyn FnMut(&Headway)) -> Result<(), ApplyError> {
        let actions = self.lower(plan.steps(), seen);
        let mut tally = Tally::new(plan.steps().len(), actions.iter().map(|(step, _)| *step).collect());
        let done = self.run(&actions, seen, &mut |batch| progress(&tally.before(batch)));
        done.map_err(|(failed, source)| {
            let (index, command) =
                actions.get(failed).map_or((0, String::new()), |(step, action)| (*step, action.to_string()));
            let step = plan.steps().get(index);
            let (device, step) = (step.and_then(Step::device), step.map_or_else(String::new, Step::to_string));
            ApplyError { index, step, device, command, source }
        })?;
        progress(&tally.end());
        Ok(())
    }
}
