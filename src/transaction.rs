//! One setupNetworks, from plan to commit or rollback.
//!
//! Each stage consumes the one before, so that none can be left out. A stage that fails has
//! already rolled back when its caller sees the error, and the error is the original one.
//!
//! Verification, rollback and restore are not special code: look at the host, plan from there.

use std::time::{Duration, Instant};

use vdsm_configurators::{ApplyError, Configurator, Headway};
use vdsm_model::config::{NetConfig, Policy};
use vdsm_model::device::Device;
use vdsm_model::ethtool_options::Tuned;
use vdsm_model::graph::{Desired, Graph, Scope};
use vdsm_model::name::{DeviceName, NetworkName};
use vdsm_model::netinfo::{NetInfo, SeenLink};
use vdsm_model::plan::Plan;
use vdsm_model::problem::{Code, Problems};
use vdsm_model::request::Request;
use vdsm_persistence::StoreError;

use crate::asking::{Leaseless, without_lease};
use crate::connectivity::Lost;
use crate::host::{Eyes, Host};
use crate::netinfo::LookError;
use crate::settings::{judged, with_foreign_clients, with_settings};

/// How often a plan is made anew when somebody else makes devices at the same time, or the kernel
/// did more of itself than the planner foresaw.
const ROUNDS: usize = 3;

/// Why a change did not come about.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The request is wrong; nothing was touched.
    #[error("{0}")]
    Refused(Problems),
    /// What is about to be done could not be written down, so that nobody could undo it after our
    /// death; nothing was touched.
    #[error("the change was not begun, for it cannot be written down: {0}")]
    Unwritable(String),
    /// The host could not be read; nothing was touched.
    #[error("cannot read the state of the host")]
    Blind(#[source] LookError),
    /// It failed, and the host is as it was before.
    #[error("the change failed and was rolled back{}", missing_text(.missing))]
    RolledBack {
        /// Why it failed.
        #[source]
        cause: Cause,
        /// Devices that were there before, are gone, and could not be brought back.
        missing: Vec<DeviceName>,
    },
    /// It failed, and so did the rollback.
    #[error("the change failed, and its rollback too ({rollback}; {} commands are left to do by hand)", .leftover.len())]
    Stuck {
        /// Why it failed.
        #[source]
        cause: Cause,
        /// Why the rollback failed.
        rollback: String,
        /// The commands that would complete the rollback.
        leftover: Vec<String>,
    },
}

fn missing_text(missing: &[DeviceName]) -> String {
    if missing.is_empty() {
        return String::new();
    }
    let names: Vec<String> = missing.iter().map(ToString::to_string).collect();
    format!(", but {} vanished meanwhile and could not be brought back", names.join(", "))
}

/// What made a change fail.
#[derive(Debug, thiserror::Error)]
pub enum Cause {
    /// The host refused a step.
    #[error(transparent)]
    Apply(#[from] ApplyError),
    /// All steps were done, and yet the host is not as wished.
    #[error("the host did not become as wished; still to do: {}", one_line(.left))]
    Verify {
        /// What is missing.
        left: Plan,
    },
    /// The host could not be read any more.
    #[error("cannot read the state of the host")]
    Look(#[from] LookError),
    /// What it concerns by now could not be written down.
    #[error("what follows from its leases cannot be written down: {0}")]
    Unwritable(String),
    /// Whoever made the change is no more.
    #[error("the change was interrupted")]
    Interrupted,
    /// There was no sign of life, or not enough of them.
    #[error("connectivity check failed: {}", .lost.told(*.after))]
    LostConnection {
        /// How long we waited.
        after: Duration,
        /// For what.
        lost: Lost,
    },
    /// With its leases the host does not bear the wish any more.
    #[error("with its leases the host does not bear it: {0}")]
    Rejudged(String),
    /// No DHCP server granted what a network was to wait for.
    #[error("no lease came within {} s for {}", .after.as_secs_f64(), listed(.networks))]
    NoLease {
        /// How long we waited.
        after: Duration,
        /// Who has none.
        networks: Vec<Leaseless>,
    },
    /// The configuration could not be stored.
    #[error("cannot store the configuration")]
    Store(#[from] StoreError),
}

fn listed(networks: &[Leaseless]) -> String {
    networks.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn one_line(plan: &Plan) -> String {
    plan.to_string().trim_end().replace('\n', "; ")
}

impl SetupError {
    /// The code the engine gets.
    pub fn code(&self) -> Code {
        match self {
            SetupError::Refused(problems) => problems.code(),
            SetupError::Blind(_) | SetupError::Unwritable(_) => Code::Unexpected,
            SetupError::RolledBack { cause, .. } | SetupError::Stuck { cause, .. } => match cause {
                // What the original called a failing ifup.
                Cause::Apply(_) | Cause::Verify { .. } | Cause::NoLease { .. } => Code::FailedIfup,
                Cause::LostConnection { .. } => Code::LostConnection,
                Cause::Look(_) | Cause::Store(_) | Cause::Rejudged(_) | Cause::Unwritable(_) | Cause::Interrupted => {
                    Code::Unexpected
                }
            },
        }
    }
}

/// A sound wish and the way to it; nothing has been touched.
pub struct Planned<'a> {
    host: &'a mut Host,
    seen: NetInfo,
    desired: Desired,
    plan: Plan,
}

/// The first stage.
pub struct Transaction;

impl Transaction {
    /// Judges a request and plans for it.
    pub fn plan<'a>(
        host: &'a mut Host,
        running: &NetConfig,
        request: &Request,
        policy: &Policy,
    ) -> Result<Planned<'a>, SetupError> {
        let start = Instant::now();
        let seen = host.eyes.look().map_err(SetupError::Blind)?;
        let looked = start.elapsed();
        let (mut seen, mut desired) = judged(&*host.eyes, running, request, seen, policy)?;
        let judged = start.elapsed();
        let mut plan = Plan::between(&desired.prior, &desired.graph);
        if !plan.is_empty() && has_many_routes(&seen, &desired.scope) {
            seen = with_all_routes(&*host.eyes, seen, &desired.scope).map_err(SetupError::Blind)?;
            desired = Desired::build(running, request, &seen, policy).map_err(SetupError::Refused)?;
            plan = Plan::between(&desired.prior, &desired.graph);
        }
        if !plan.is_empty() {
            let known = seen.clone();
            seen = with_foreign_clients(&*host.eyes, seen, &desired.scope).map_err(SetupError::Blind)?;
            if desired.scope.devices().any(|name| seen.link(name).map(|l| &l.dhcp) != known.link(name).map(|l| &l.dhcp))
            {
                desired = Desired::build(running, request, &seen, policy).map_err(SetupError::Refused)?;
                plan = Plan::between(&desired.prior, &desired.graph);
            }
        }
        tracing::debug!(?looked, ?judged, planned = ?start.elapsed(), steps = plan.steps().len(), "planned");
        Ok(Planned { host, seen, desired, plan })
    }
}

impl<'a> Planned<'a> {
    /// What would be done.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// For each step, the commands that would do the same by hand.
    pub fn explain(&self) -> Vec<Vec<String>> {
        self.host.hands.explain(&self.plan, &self.seen)
    }

    /// Keys of the request that have no effect.
    pub fn warnings(&self) -> &[String] {
        &self.desired.warnings
    }

    /// The host the plan was made for.
    pub fn seen(&self) -> &NetInfo {
        &self.seen
    }

    /// The wish itself, and where a rollback would return to.
    pub fn desired(&self) -> &Desired {
        &self.desired
    }

    /// Carries out the plan, and looks whether the host became as wished.
    pub fn apply(self) -> Result<Applied<'a>, SetupError> {
        self.apply_noting(&Silent)
    }

    /// The same, with a word on how far it has come for whoever might have to go on.
    pub fn apply_noting(self, diary: &'a dyn Diary) -> Result<Applied<'a>, SetupError> {
        let Planned { host, seen, desired, plan } = self;
        // VMs' taps are nobody's but follow their bridge's MTU, so they are looked at again as well.
        let taps = desired
            .graph
            .devices()
            .filter_map(|d| if let Device::Bridge(b) = d { Some(b.guests.keys().copied()) } else { None });
        let names: Vec<DeviceName> = desired.scope.devices().copied().chain(taps.flatten()).collect();
        let mut work = Work { host, seen, desired, diary };
        match work.arrive(Leg::Planned(plan.clone()), &names) {
            Ok(rounds) => Ok(Applied { work, plan, rounds, names }),
            Err(cause) => Err(work.roll_back(cause)),
        }
    }
}

fn has_many_routes(seen: &NetInfo, scope: &Scope) -> bool {
    scope.devices().any(|name| seen.link(name).is_some_and(|link| link.many_routes))
}

/// A change must give back what it takes, and a look at the host leaves routes out where they are
/// very many.
fn with_all_routes(eyes: &dyn Eyes, seen: NetInfo, scope: &Scope) -> Result<NetInfo, LookError> {
    if !has_many_routes(&seen, scope) {
        return Ok(seen);
    }
    let many = scope.devices().filter(|name| seen.link(name).is_some_and(|link| link.many_routes));
    let routes = eyes.all_routes(&many.copied().collect::<Vec<_>>())?;
    let whole = routes
        .into_iter()
        .filter_map(|(name, routes)| Some((name, Some(SeenLink { routes, ..seen.link(&name)?.clone() }))));
    let whole: Vec<_> = whole.collect();
    Ok(seen.with(whole))
}

/// A plan on the way of a change, there or back.
#[derive(Clone, Debug)]
pub enum Leg {
    /// The one the change was begun with.
    Planned(Plan),
    /// What was left to do, or has come to be.
    Anew(Plan),
    /// Back to what was before.
    Back(Plan),
}

impl Leg {
    /// What is to be done.
    pub fn plan(&self) -> &Plan {
        let (Leg::Planned(plan) | Leg::Anew(plan) | Leg::Back(plan)) = self;
        plan
    }
}

/// Who writes down how far a change has come, for whoever might have to go on.
pub trait Diary {
    /// A plan is about to be carried out.
    fn leg(&self, leg: &Leg);

    /// So far it has come. What is begun is told before it is.
    fn headway(&self, headway: &Headway);

    /// It has ended at this step, counted from 0; those of its batch may be done or not.
    fn failed(&self, step: usize);

    /// The host is as it is to be, but for a look at it: whoever calls from now on calls through the
    /// changed network.
    fn changed(&self);

    /// The wish, and where a rollback returns to, as they are by now.
    ///
    /// # Errors
    /// Why it cannot be written down; the change is rolled back then.
    fn widen(&self, desired: &Desired) -> Result<(), String>;
}

/// Nobody.
struct Silent;

impl Diary for Silent {
    fn leg(&self, _: &Leg) {}

    fn headway(&self, _: &Headway) {}

    fn failed(&self, _: usize) {}

    fn changed(&self) {}

    fn widen(&self, _: &Desired) -> Result<(), String> {
        Ok(())
    }
}

/// What all stages after the plan hold.
struct Work<'a> {
    host: &'a mut Host,
    seen: NetInfo,
    desired: Desired,
    diary: &'a dyn Diary,
}

impl Work<'_> {
    fn arrive(&mut self, mut leg: Leg, names: &[DeviceName]) -> Result<usize, Cause> {
        for round in 0..ROUNDS {
            if leg.plan().is_empty() {
                return Ok(round);
            }
            let start = Instant::now();
            let _held = self.host.eyes.hold(leg.plan().steps().len());
            let applied = go(&mut *self.host.hands, &leg, &self.seen, self.diary);
            if applied.is_ok() {
                self.diary.changed();
            }
            tracing::debug!(elapsed = ?start.elapsed(), "applied");
            match applied {
                Err(error) if error.source.is_collision() && round + 1 < ROUNDS => {
                    tracing::info!("somebody else makes devices at the same time, planning anew: {error}");
                    self.seen = self.host.eyes.look()?;
                }
                Err(error) => return Err(Cause::Apply(error)),
                Ok(()) => {
                    let known = std::mem::take(&mut self.seen);
                    self.seen = self.host.eyes.look_at(known, names)?;
                }
            }
            let seen = std::mem::take(&mut self.seen);
            self.seen = self.whole(seen)?;
            tracing::debug!(elapsed = ?start.elapsed(), "looked again");
            let plan = Plan::between(&Graph::seen(&self.seen, &self.desired.scope), &self.desired.graph);
            if !plan.is_empty() {
                tracing::info!(round, "not there yet: {}", one_line(&plan));
            }
            leg = Leg::Anew(plan);
        }
        let left = leg.plan().clone();
        if left.is_empty() { Ok(ROUNDS) } else { Err(Cause::Verify { left }) }
    }

    /// Everything anew: what failed may have failed because what was known was wrong.
    fn look_hard(&self) -> Result<NetInfo, LookError> {
        self.whole(self.host.eyes.look_hard()?)
    }

    /// With what a look leaves out and this request is about.
    fn whole(&self, seen: NetInfo) -> Result<NetInfo, LookError> {
        let eyes = &*self.host.eyes;
        let seen = with_settings(eyes, with_all_routes(eyes, seen, &self.desired.scope)?, &self.desired.tuned)?;
        with_foreign_clients(eyes, seen, &self.desired.scope)
    }

    /// The prior graph as far as it can be had by now; beside it, what cannot.
    fn former(&self, seen: &NetInfo) -> (Graph, Vec<DeviceName>) {
        self.desired.prior.clone().without_hidden_macs(seen, &self.desired.scope).without_missing(seen)
    }

    /// Brings back the prior graph, through the same planner and configurator.
    fn roll_back(&mut self, cause: Cause) -> SetupError {
        tracing::warn!("rolling back: {}", chain(&cause));
        let mut trouble = String::new();
        let mut leftover = Vec::new();
        let mut missing = Vec::new();
        for _ in 0..ROUNDS {
            let seen = match self.look_hard() {
                Ok(seen) => seen,
                Err(error) => {
                    trouble = chain(&error);
                    continue;
                }
            };
            let (prior, gone) = self.former(&seen);
            missing = gone;
            let leg = Leg::Back(Plan::between(&Graph::seen(&seen, &self.desired.scope), &prior));
            if leg.plan().is_empty() {
                return SetupError::RolledBack { cause, missing };
            }
            leftover = self.host.hands.explain(leg.plan(), &seen).concat();
            let _held = self.host.eyes.hold(leg.plan().steps().len());
            trouble = match go(&mut *self.host.hands, &leg, &seen, self.diary) {
                Ok(()) => "the host did not become as it was".to_owned(),
                Err(error) => chain(&error),
            };
        }
        // The last round may have done it.
        if let Ok(seen) = self.look_hard() {
            let (prior, _) = self.former(&seen);
            if Plan::between(&Graph::seen(&seen, &self.desired.scope), &prior).is_empty() {
                return SetupError::RolledBack { cause, missing };
            }
        }
        SetupError::Stuck { cause, rollback: trouble, leftover }
    }
}

/// Carries out a plan, and has every batch of it written down.
fn go(hands: &mut dyn Configurator, leg: &Leg, seen: &NetInfo, diary: &dyn Diary) -> Result<(), ApplyError> {
    diary.leg(leg);
    let applied = hands.apply(leg.plan(), seen, &mut |headway| diary.headway(headway));
    if let Err(error) = &applied {
        diary.failed(error.index);
    }
    applied
}

/// Brings a host back to where an interrupted change began; the devices that were there then, are
/// gone, and could not be had again.
///
/// # Errors
/// [`SetupError::Stuck`], and [`SetupError::Blind`] if the host cannot be read at all.
pub fn undo(host: &mut Host, prior: Graph, scope: Scope, tuned: Tuned) -> Result<Vec<DeviceName>, SetupError> {
    match left_at(host, prior, scope, tuned).map_err(SetupError::Blind)?.roll_back(Cause::Interrupted) {
        SetupError::RolledBack { missing, .. } => Ok(missing),
        stuck => Err(stuck),
    }
}

/// Brings a host to where a change had arrived, whatever was done to it since.
///
/// # Errors
/// Why it is not there; it stays as it is then.
pub fn complete(host: &mut Host, target: Graph, scope: Scope, tuned: Tuned) -> Result<(), Cause> {
    let mut work = left_at(host, target, scope, tuned)?;
    work.seen = work.look_hard()?;
    work.desired.graph = work.former(&work.seen).0;
    let plan = Plan::between(&Graph::seen(&work.seen, &work.desired.scope), &work.desired.graph);
    if !plan.is_empty() {
        tracing::warn!("the host is not as it was committed: {}", one_line(&plan));
    }
    let names: Vec<DeviceName> = work.desired.scope.devices().copied().collect();
    work.arrive(Leg::Anew(plan), &names).map(drop)
}

/// The work of a change that somebody else has left, on a host that is to be like this graph.
fn left_at(host: &mut Host, graph: Graph, scope: Scope, tuned: Tuned) -> Result<Work<'_>, LookError> {
    let seen = host.eyes.look()?;
    let desired =
        Desired { config: NetConfig::default(), prior: graph.clone(), graph, scope, tuned, warnings: Vec::new() };
    Ok(Work { host, seen, desired, diary: &Silent })
}

/// The host is as wished; nobody has confirmed that it can still be reached.
pub struct Applied<'a> {
    work: Work<'a>,
    plan: Plan,
    rounds: usize,
    names: Vec<DeviceName>,
}

impl<'a> Applied<'a> {
    /// Waits for the leases of these networks, and does what follows from them: routes and rules.
    /// `rejudge` makes the same wish anew, of a host that has them.
    pub fn leased(
        mut self,
        networks: &[NetworkName],
        within: Duration,
        rejudge: impl FnOnce(&NetInfo) -> Result<Desired, SetupError>,
    ) -> Result<Applied<'a>, SetupError> {
        if networks.is_empty() {
            return Ok(self);
        }
        match self.follow_leases(networks, within, rejudge) {
            Ok(rounds) => Ok(Applied { rounds: self.rounds.max(rounds), ..self }),
            Err(cause) => Err(self.work.roll_back(cause)),
        }
    }

    fn follow_leases(
        &mut self,
        networks: &[NetworkName],
        within: Duration,
        rejudge: impl FnOnce(&NetInfo) -> Result<Desired, SetupError>,
    ) -> Result<usize, Cause> {
        let config = self.work.desired.config.clone();
        let eyes = &*self.work.host.eyes;
        eyes.wait_until(within, &|seen| without_lease(&config, networks, seen).is_empty());
        let seen = eyes.look()?;
        let missing = without_lease(&config, networks, &seen);
        if !missing.is_empty() {
            return Err(Cause::NoLease { after: within, networks: missing });
        }
        self.work.seen = self.work.whole(seen)?;
        match rejudge(&self.work.seen) {
            Ok(wish) => self.work.desired.renew(wish, &self.work.seen),
            Err(error) => return Err(Cause::Rejudged(error.to_string())),
        }
        // It may concern devices that it did not concern before.
        self.work.diary.widen(&self.work.desired).map_err(Cause::Unwritable)?;
        let plan = Plan::between(&Graph::seen(&self.work.seen, &self.work.desired.scope), &self.work.desired.graph);
        let names: Vec<DeviceName> = self.names.iter().chain(self.work.desired.scope.devices()).copied().collect();
        self.work.arrive(Leg::Anew(plan), &names)
    }

    /// Waits for a sign of life, where one is asked for. `wait` does so; it has eyes for what it looks at.
    pub fn confirm(
        mut self,
        within: Option<Duration>,
        wait: impl FnOnce(Duration, &dyn Eyes) -> Result<(), Lost>,
    ) -> Result<Confirmed<'a>, SetupError> {
        if let Some(after) = within
            && let Err(lost) = wait(after, &*self.work.host.eyes)
        {
            return Err(self.work.roll_back(Cause::LostConnection { after, lost }));
        }
        Ok(Confirmed { work: self.work, plan: self.plan, rounds: self.rounds })
    }
}

/// The host is as wished and reachable; it is not stored yet.
pub struct Confirmed<'a> {
    work: Work<'a>,
    plan: Plan,
    rounds: usize,
}

/// A change that came about.
#[derive(Debug)]
pub struct Done {
    /// The configuration that is running now.
    pub config: NetConfig,
    /// What was done for it.
    pub plan: Plan,
    /// In how many rounds; 0 when there was nothing to do, 1 when all went as foreseen.
    pub rounds: usize,
    /// Keys of the request that had no effect, and what else is to be known.
    pub warnings: Vec<String>,
    /// The number of its entry in the history, where it has one.
    pub history: Option<u64>,
}

impl Confirmed<'_> {
    /// Stores the new configuration; a host whose configuration cannot be stored is rolled back.
    pub fn commit(mut self, store: impl FnOnce(&NetConfig) -> Result<(), StoreError>) -> Result<Done, SetupError> {
        match store(&self.work.desired.config) {
            Err(error) => Err(self.work.roll_back(Cause::Store(error))),
            Ok(()) => {
                let Desired { config, warnings, .. } = self.work.desired;
                Ok(Done { config, plan: self.plan, rounds: self.rounds, warnings, history: None })
            }
        }
    }
}

/// An error and all its sources, in one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut at = error.source();
    while let Some(source) = at {
        let next = source.to_string();
        if !text.ends_with(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
        at = source.source();
    }
    text
}
