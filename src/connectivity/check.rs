//! The check itself: tries the probes again and again until enough of them have come true, or the
//! time is over.
//!
//! All of them are tried in turn by the one thread that waits: no probe waits for anything itself.

use std::cell::RefCell;
use std::fmt;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use vdsm_model::netinfo::NetInfo;

use super::gateway::Asking;
use super::subjects::Subjects;
use super::tcp::Dial;
use super::{Connectivity, Outcome, Tried, Verdict, carrier};
use crate::conf::{Probe, Quorum};
use crate::host::Eyes;

/// How often all are tried. A call is heard at once.
const PACE: Duration = Duration::from_millis(50);

/// One check; for one change.
pub struct Check {
    trials: Vec<(Probe, Trial)>,
    quorum: Quorum,
    needs_call: bool,
    subjects: Subjects,
}

/// A probe under way.
enum Trial {
    Call,
    Gateway(Asking),
    Carrier,
    Tcp(Dial),
}

/// How many came true, of those that apply.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    met: usize,
    applying: usize,
    needed: usize,
    /// A call is needed, and none has come.
    lacks_call: bool,
}

impl Tally {
    pub(super) fn is_enough(self) -> bool {
        self.met >= self.needed && !self.lacks_call
    }
}

/// The check has failed. By default nobody has called, and nothing else was wanted.
#[derive(Debug, Default)]
pub struct Lost {
    tried: Vec<Tried>,
    tally: Tally,
}

impl Check {
    /// A check by these probes. `needs_call`: a call is needed whatever the others come to.
    pub fn new(probes: &[Probe], quorum: Quorum, needs_call: bool, subjects: Subjects) -> Check {
        let trial = |probe: &Probe| match probe {
            Probe::Call => Trial::Call,
            Probe::Gateway => Trial::Gateway(Asking::default()),
            Probe::Carrier => Trial::Carrier,
            Probe::Tcp(to) => Trial::Tcp(Dial::new(*to)),
        };
        Check { trials: probes.iter().map(|it| (*it, trial(it))).collect(), quorum, needs_call, subjects }
    }

    /// Waits until enough have come true; calls beyond the first `before` count. To be begun when the
    /// host has been changed.
    ///
    /// # Errors
    /// What was tried, if it did not come to that `within`, or is given up before.
    pub fn pass(
        mut self,
        connectivity: &Connectivity,
        before: u64,
        within: Duration,
        eyes: &dyn Eyes,
    ) -> Result<(), Lost> {
        let end = Instant::now() + within;
        let is_call_alone = self.trials.iter().all(|(probe, _)| *probe == Probe::Call);
        loop {
            let called = connectivity.calls() != before;
            let seen = if is_call_alone { NetInfo::default() } else { links(eyes) };
            let mut tried = self.go_on(called, &seen);
            let tally = tally(&tried, self.quorum, self.needs_call, called);
            if tally.is_enough() {
                tracing::info!("the host is reachable: {}", all_words(&tried));
                return Ok(());
            }
            let left = end.saturating_duration_since(Instant::now());
            let most = if is_call_alone { left } else { left.min(PACE) };
            if left.is_zero() || !connectivity.pause(before, most) {
                if tally.lacks_call && tried.iter().all(|it| it.probe != Probe::Call) {
                    tried.push(Tried { probe: Probe::Call, outcome: call(called) });
                }
                return Err(Lost { tried, tally });
            }
        }
    }

    fn go_on(&mut self, called: bool, seen: &NetInfo) -> Vec<Tried> {
        let subjects = &self.subjects;
        let one = |(probe, trial): &mut (Probe, Trial)| {
            let outcome = match trial {
                Trial::Call => call(called),
                Trial::Gateway(asking) => asking.go_on(subjects, seen),
                Trial::Carrier => carrier::look(subjects, seen),
                Trial::Tcp(dial) => dial.go_on(),
            };
            Tried { probe: *probe, outcome }
        };
        self.trials.iter_mut().map(one).collect()
    }
}

/// The links as they are by now. No glance: that asks for the resolver, too.
fn links(eyes: &dyn Eyes) -> NetInfo {
    let now = RefCell::new(NetInfo::default());
    eyes.wait_until(Duration::ZERO, &|seen| {
        *now.borrow_mut() = seen.clone();
        true
    });
    now.into_inner()
}

fn call(called: bool) -> Outcome {
    if called { Outcome::met("somebody called") } else { Outcome::unmet("no call came") }
}

/// The law: so many as the quorum wants of those that apply, and where none applies, a call.
pub(super) fn tally(tried: &[Tried], quorum: Quorum, needs_call: bool, called: bool) -> Tally {
    let count = |verdict| tried.iter().filter(|it| it.outcome.verdict == verdict).count();
    let met = count(Verdict::Met);
    let applying = met + count(Verdict::Unmet);
    Tally { met, applying, needed: quorum.of(applying), lacks_call: (needs_call || applying == 0) && !called }
}

fn all_words(tried: &[Tried]) -> String {
    tried.iter().map(|it| it.outcome.words.as_str()).collect::<Vec<_>>().join("; ")
}

impl Lost {
    /// A sentence on it; `after` is how long was waited.
    pub fn told(&self, after: Duration) -> impl fmt::Display + '_ {
        let seconds = after.as_secs_f64();
        let Tally { met, applying, needed, .. } = self.tally;
        let others = self.tried.iter().any(|it| it.probe != Probe::Call);
        match (others, met < needed) {
            (false, _) => format!("nobody called within {seconds} s of the change"),
            (true, true) => {
                let unmet = self.tried.iter().filter(|it| it.outcome.verdict == Verdict::Unmet);
                let why: Vec<&str> = unmet.map(|it| it.outcome.words.as_str()).collect();
                let why = why.join("; ");
                format!(
                    "{met} of {applying} probes came true within {seconds} s of the change, and {needed} had to: {why}"
                )
            }
            (true, false) => format!(
                "nobody called within {seconds} s of the change, and no probe takes the place of that: {}",
                all_words(&self.tried)
            ),
        }
    }

    /// For programs.
    pub fn to_json(&self) -> Value {
        let one = |it: &Tried| {
            json!({
                "probe": it.probe.to_string(), "outcome": it.outcome.verdict.word(), "reason": it.outcome.words
            })
        };
        let probes: Vec<Value> = self.tried.iter().map(one).collect();
        json!({ "probes": probes, "met": self.tally.met, "needed": self.tally.needed })
    }
}
