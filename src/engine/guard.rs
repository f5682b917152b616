//! The way to whoever manages the host: a plan that interrupts it says so, and is refused if nobody
//! would notice.
//!
//! Which way that is stands in vdsm.conf (`management_network`), or in the request (`peer`). What a
//! step interrupts is the plan's to say.

use vdsm_model::config::NetConfig;
use vdsm_model::graph::Stack;
use vdsm_model::name::NetworkName;
use vdsm_model::netinfo::NetInfo;
use vdsm_model::plan::Plan;
use vdsm_model::problem::{Problem, Problems};
use vdsm_model::request::Options;

use crate::caps::towards;
use crate::transaction::SetupError;

/// A way that must not be lost, and the steps that interrupt it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Interrupted {
    whom: String,
    steps: Vec<String>,
}

impl Interrupted {
    /// For the answer to those who only ask, or have somebody wait for a sign of life.
    pub(super) fn warning(&self) -> String {
        format!("the way to {} is interrupted by {}", self.whom, self.steps.join(", "))
    }
}

/// The ways that a plan interrupts.
pub(super) fn interrupted(
    plan: &Plan,
    seen: &NetInfo,
    running: &NetConfig,
    management: Option<&NetworkName>,
    options: &Options,
) -> Vec<Interrupted> {
    let of_network = management.and_then(|name| {
        let top = Stack::of(name, running.networks.get(name)?, seen).top?;
        Some((format!("network '{name}'"), top))
    });
    let of_peer = options.peer.and_then(|peer| Some((peer.to_string(), towards(seen, peer)?)));
    let ways = of_network.into_iter().chain(of_peer);
    let stopped = ways.map(|(whom, top)| {
        let way = seen.below(top);
        let stops = plan.steps().iter().filter(|step| step.device().is_some_and(|device| way.contains(&device)));
        let told = stops.filter_map(|step| Some(format!("{}: {}", step.device()?, step.interruption()?)));
        Interrupted { whom, steps: told.collect() }
    });
    stopped.filter(|it| !it.steps.is_empty()).collect()
}

/// Turns away who would cut the host off without anybody noticing.
pub(super) fn judge(interrupted: &[Interrupted], options: &Options) -> Result<(), SetupError> {
    if options.connectivity_check || options.allow_interruption {
        return Ok(());
    }
    let problem = |it: &Interrupted| Problem::CutsOff { whom: it.whom.clone(), steps: it.steps.clone() };
    Problems::check(interrupted.iter().map(problem).collect()).map_err(SetupError::Refused)
}
