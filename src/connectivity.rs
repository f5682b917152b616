//! Is the host still reachable after the change? Whoever calls shows it, and so do probes where
//! vdsm.conf has some: `connectivity/check.rs` waits for enough of them.
//!
//! Calls are counted, not timed: one counts when it comes after the change was made, whatever the
//! clocks say. Who calls is not asked here; the server knows who may. What becomes of a change that
//! nobody confirms is `transaction.rs`'s.

mod carrier;
mod check;
mod gateway;
mod subjects;
mod tcp;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use crate::conf::Probe;

pub use check::{Check, Lost};
pub use subjects::Subjects;

/// The calls so far.
#[derive(Debug, Default)]
pub struct Connectivity {
    calls: Mutex<u64>,
    called: Condvar,
    given_up: AtomicBool,
}

impl Connectivity {
    /// A client is there.
    pub fn confirm(&self) {
        *self.calls.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.called.notify_all();
    }

    /// Nobody will be able to call any more: whoever waits has lost, now and later. For a daemon
    /// that is to end; a change under way is then undone, not left behind.
    pub fn give_up(&self) {
        let _calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        self.given_up.store(true, Ordering::SeqCst);
        self.called.notify_all();
    }

    /// How many calls there were; those that come later are what a [`Check`] waits for.
    pub fn calls(&self) -> u64 {
        *self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a call beyond the first `before`, if there is none yet, but no longer than `most`.
    /// False: it is given up.
    fn pause(&self, before: u64, most: Duration) -> bool {
        let calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        // Who has called is not waited for, and goes on calling.
        let is_called = *calls != before;
        let goes_on = |calls: &mut u64| (is_called || *calls == before) && !self.given_up.load(Ordering::SeqCst);
        drop(self.called.wait_timeout_while(calls, most, goes_on).unwrap_or_else(PoisonError::into_inner));
        !self.given_up.load(Ordering::SeqCst)
    }
}

/// What has come of a probe so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It has come true since the change.
    Met,
    /// It has not.
    Unmet,
    /// It can tell nothing of this change, and does not count.
    Inapplicable,
}

impl Verdict {
    /// For programs.
    fn word(self) -> &'static str {
        match self {
            Verdict::Met => "met",
            Verdict::Unmet => "failed",
            Verdict::Inapplicable => "inapplicable",
        }
    }
}

/// The same with words for a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// What it comes to.
    pub verdict: Verdict,
    /// Why.
    pub words: String,
}

impl Outcome {
    fn met(words: impl fmt::Display) -> Outcome {
        Outcome { verdict: Verdict::Met, words: words.to_string() }
    }

    fn unmet(words: impl fmt::Display) -> Outcome {
        Outcome { verdict: Verdict::Unmet, words: words.to_string() }
    }

    fn inapplicable(words: impl fmt::Display) -> Outcome {
        Outcome { verdict: Verdict::Inapplicable, words: words.to_string() }
    }

    /// Of several that must all come true: what is missing, or else what was met, or else why none applies.
    fn of_all(parts: Vec<Outcome>, none: &str) -> Outcome {
        for verdict in [Verdict::Unmet, Verdict::Met, Verdict::Inapplicable] {
            let told: Vec<&str> = parts.iter().filter(|it| it.verdict == verdict).map(|it| it.words.as_str()).collect();
            if !told.is_empty() {
                return Outcome { verdict, words: told.join(", ") };
            }
        }
        Outcome::inapplicable(none)
    }

    /// Of several of which one is enough.
    fn of_any(parts: Vec<Outcome>) -> Outcome {
        match parts.iter().position(|it| it.verdict == Verdict::Met) {
            Some(at) => parts[at].clone(),
            None => Outcome::of_all(parts, ""),
        }
    }
}

/// A probe and what has come of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tried {
    /// Which one.
    pub probe: Probe,
    /// What has come of it.
    pub outcome: Outcome,
}
