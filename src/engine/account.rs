//! How far a change has come, as lines of its journal: written while it goes, and read by whoever
//! finds it interrupted.
//!
//! A change goes in legs, each of them a plan: the one it was begun with, which the journal's head
//! holds; what was left after it; the way back. Of a leg's steps there are numbers only, as ranges:
//! each step is named twice at most, so that the notes stay a fraction of the plan. A step counts as
//! begun before anything of it is done, and as done when all of it is. A line is there once written,
//! whatever becomes of its writer; it is not flushed, since the kernel's state does not outlive the
//! machine either (see `persistence/journal.rs`).

use std::fmt;

use serde_json::{Value, json};
use vdsm_configurators::Headway;
use vdsm_model::plan::{Plan, StepNumbers};
use vdsm_persistence::Unfinished;

use crate::transaction::Leg;

/// The key of a line that begins a leg, and of its plan's steps where the head does not hold them.
const LEG: &str = "leg";
const PLAN: &str = "plan";
const PLANNED: &str = "planned";
const ANEW: &str = "anew";
const BACK: &str = "back";
const RECOVERY: &str = "recovery";
/// The keys of a leg's progress.
const BEGUN: &str = "begun";
const DONE: &str = "done";
const FAILED: &str = "failed";
/// Of so many steps that may have been done the log tells which they are.
const TOLD: usize = 10;

/// The line that begins a leg.
pub(super) fn leg(leg: &Leg) -> Value {
    match leg {
        Leg::Planned(_) => json!({ LEG: PLANNED }),
        Leg::Anew(plan) => json!({ LEG: ANEW, PLAN: texts(plan) }),
        Leg::Back(plan) => json!({ LEG: BACK, PLAN: texts(plan) }),
    }
}

/// The line that begins the undoing by a recovery. What it does is not noted: it may come again and
/// again, and the journal is not to grow with it.
pub(super) fn recovery() -> Value {
    json!({ LEG: RECOVERY })
}

/// The line with what is begun and what is done.
pub(super) fn headway(headway: &Headway) -> Value {
    let numbers = [(BEGUN, &headway.begun), (DONE, &headway.done)];
    numbers.into_iter().filter(|(_, it)| !it.is_empty()).map(|(key, it)| (key, it.to_string())).collect()
}

/// The line with the step, counted from 0, at which a leg ended.
pub(super) fn failed(step: usize) -> Value {
    json!({ FAILED: step + 1 })
}

/// A plan's steps in words.
pub(super) fn texts(plan: &Plan) -> Vec<String> {
    plan.steps().iter().map(ToString::to_string).collect()
}

/// How far an interrupted change has come.
#[derive(Clone, Debug, PartialEq)]
pub struct Account {
    /// The legs that were begun, in order.
    pub legs: Vec<LegAccount>,
}

/// The same of one of its legs.
#[derive(Clone, Debug, PartialEq)]
pub struct LegAccount {
    /// Which one it is.
    pub kind: LegKind,
    /// Its steps, in words.
    pub steps: Vec<String>,
    /// Those of which all is done.
    pub done: StepNumbers,
    /// Those that may be done, or a part of them.
    pub uncertain: StepNumbers,
    /// The one that could not be done.
    pub failed: Option<usize>,
}

/// The kinds of legs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LegKind {
    /// The plan that the change was begun with.
    Planned,
    /// What was left to do after it.
    Anew,
    /// The way back.
    Back,
    /// The way back, by whoever found the change interrupted; which steps it takes is not noted.
    Recovery,
}

impl LegKind {
    fn named(word: &str) -> Option<LegKind> {
        Some(match word {
            PLANNED => LegKind::Planned,
            ANEW => LegKind::Anew,
            BACK => LegKind::Back,
            RECOVERY => LegKind::Recovery,
            _ => return None,
        })
    }
}

impl Account {
    /// By what was left of it. Lines that say nothing of it are passed over.
    pub fn of(unfinished: &Unfinished) -> Account {
        let mut legs: Vec<LegAccount> = Vec::new();
        for note in &unfinished.notes {
            if let Some(kind) = note[LEG].as_str().and_then(LegKind::named) {
                let plan = if kind == LegKind::Planned { &unfinished.head[PLAN] } else { &note[PLAN] };
                legs.push(LegAccount::new(kind, plan));
            } else if let Some(leg) = legs.last_mut() {
                leg.hear(note);
            }
        }
        Account { legs }
    }

    /// The steps of the last leg that may have been done, in words; none where it is known of each.
    pub fn uncertain(&self) -> Option<String> {
        let leg = self.legs.last().filter(|leg| !leg.uncertain.is_empty())?;
        let told = leg.uncertain.iter().filter_map(|step| leg.steps.get(step)).take(TOLD);
        let told = told.cloned().collect::<Vec<_>>().join("; ");
        let rest = leg.uncertain.len().saturating_sub(TOLD);
        Some(if rest == 0 { told } else { format!("{told}; and {rest} more") })
    }
}

impl LegAccount {
    fn new(kind: LegKind, plan: &Value) -> LegAccount {
        let steps = plan.as_array().into_iter().flatten().map(|step| step.as_str().unwrap_or_default().to_owned());
        let none = StepNumbers::default();
        LegAccount { kind, steps: steps.collect(), done: none.clone(), uncertain: none, failed: None }
    }

    fn hear(&mut self, note: &Value) {
        // A plan has no more steps than it has.
        let beyond = |numbers: &StepNumbers| numbers.without(&StepNumbers::first(self.steps.len()));
        let numbers = |key: &str| note[key].as_str().and_then(|text| text.parse().ok()).unwrap_or_default();
        let (begun, done): (StepNumbers, StepNumbers) = (numbers(BEGUN), numbers(DONE));
        let (begun, done) = (begun.without(&beyond(&begun)), done.without(&beyond(&done)));
        self.done = self.done.and(&done);
        self.uncertain = self.uncertain.and(&begun).without(&self.done);
        let failed = note[FAILED].as_u64().and_then(|number| usize::try_from(number).ok()?.checked_sub(1));
        self.failed = failed.or(self.failed);
    }

    /// Those of which nothing was begun.
    pub fn untouched(&self) -> StepNumbers {
        StepNumbers::first(self.steps.len()).without(&self.done).without(&self.uncertain)
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.legs.is_empty() {
            return f.write_str("nothing was begun");
        }
        for (at, leg) in self.legs.iter().enumerate() {
            write!(f, "{}{leg}", if at == 0 { "" } else { "; " })?;
        }
        Ok(())
    }
}

impl fmt::Display for LegAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.steps.len();
        match self.kind {
            LegKind::Planned => write!(f, "of {count} steps ")?,
            LegKind::Anew => write!(f, "then, of {count} steps ")?,
            LegKind::Back => write!(f, "on the way back, of {count} steps ")?,
            LegKind::Recovery => return f.write_str("its undoing was begun"),
        }
        if self.done.len() == count {
            return f.write_str("all were done");
        }
        let untouched = self.untouched();
        let parts = [(&self.done, "done"), (&self.uncertain, "perhaps done"), (&untouched, "not begun")];
        let parts = parts.into_iter().filter(|(numbers, _)| !numbers.is_empty());
        let parts: Vec<String> = parts.map(|(numbers, what)| format!("{numbers} {what}")).collect();
        f.write_str(&parts.join(", "))?;
        self.failed.map_or(Ok(()), |step| write!(f, ", {} failed", step + 1))
    }
}

#[cfg(test)]
mod tests {
    use vdsm_persistence::{Place, Verdict};

    use super::*;

    /// What notes of a change of twelve steps say.
    fn account(notes: &[Value]) -> Account {
        let plan: Vec<String> = (1..=12).map(|number| format!("step {number}")).collect();
        let head = json!({ PLAN: plan });
        Account::of(&Unfinished { place: Place::Run, head, notes: notes.to_vec(), verdict: Verdict::None })
    }

    fn headway(begun: &[usize], done: &[usize]) -> Value {
        let [begun, done] = [begun, done].map(|steps| steps.iter().copied().collect());
        super::headway(&Headway { begun, done })
    }

    #[test]
    fn it_tells_of_each_step_whether_it_was_done() {
        assert_eq!(account(&[]).to_string(), "nothing was begun");
        let planned = leg(&Leg::Planned(Plan::default()));
        let mut notes = vec![planned];
        assert_eq!(account(&notes).to_string(), "of 12 steps 1-12 not begun");
        notes.push(headway(&[0, 1, 2, 5], &[]));
        assert_eq!(account(&notes).to_string(), "of 12 steps 1-3,6 perhaps done, 4-5,7-12 not begun");
        assert_eq!(account(&notes).uncertain().unwrap(), "step 1; step 2; step 3; step 6");
        notes.push(headway(&[3], &[0, 1]));
        assert_eq!(account(&notes).to_string(), "of 12 steps 1-2 done, 3-4,6 perhaps done, 5,7-12 not begun");
        notes.push(headway(&[4, 6, 7, 8, 9, 10, 11], &[]));
        assert!(account(&notes).uncertain().unwrap().ends_with("step 12"));
        notes.push(failed(6));
        let text = "of 12 steps 1-2 done, 3-12 perhaps done, 7 failed";
        assert_eq!(account(&notes).to_string(), text);
        notes.push(json!({ LEG: BACK, PLAN: ["a", "b"] }));
        notes.push(headway(&[0, 1], &[]));
        assert_eq!(account(&notes).to_string(), format!("{text}; on the way back, of 2 steps 1-2 perhaps done"));
        assert_eq!(account(&notes).uncertain().unwrap(), "a; b");
        notes.push(headway(&[], &[0, 1]));
        notes.push(recovery());
        let text = format!("{text}; on the way back, of 2 steps all were done; its undoing was begun");
        assert_eq!((account(&notes).to_string(), account(&notes).uncertain()), (text, None));
    }

    #[test]
    fn the_log_names_ten_of_many() {
        let begun: Vec<usize> = (0..12).collect();
        let uncertain = account(&[json!({ LEG: PLANNED }), headway(&begun, &[])]).uncertain().unwrap();
        assert!(uncertain.ends_with("step 10; and 2 more"), "{uncertain}");
    }

    #[test]
    fn what_says_nothing_or_what_cannot_be_is_passed_over() {
        let strange = [
            headway(&[0], &[]),
            json!(7),
            json!({ LEG: "nowhere" }),
            json!({ LEG: PLANNED }),
            json!({ BEGUN: "1-18446744073709551615", DONE: "13-99", FAILED: 0 }),
            json!({ BEGUN: 5, DONE: ["1"], FAILED: "x" }),
        ];
        assert_eq!(account(&strange).to_string(), "of 12 steps 1-12 perhaps done");
    }
}
