//! How far a plan has come, told in batches by those who carry it out.
//!
//! A kernel knows of actions only; here they become the plan's steps again. Who writes it down, and
//! for whom, is `src/engine/account.rs`'s.

use std::ops::Range;

use vdsm_model::plan::StepNumbers;

/// What is told before each batch of actions: which ones are in it. Those of the batches before are
/// done, and nothing of those behind it is begun. Batches come in order and leave none out.
pub type Begin<'a> = dyn FnMut(Range<usize>) + 'a;

/// What has changed since the last word on a plan.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headway {
    /// Steps of which nothing had been begun: from now on they may be done, or a part of them.
    pub begun: StepNumbers,
    /// Steps that are done by now.
    pub done: StepNumbers,
}

/// Counts steps by their actions, which may be interleaved with those of other steps.
pub(crate) struct Tally {
    /// Each action's step.
    steps: Vec<usize>,
    /// Each step's first and last action; none of one that takes no action.
    spans: Vec<Option<(usize, usize)>>,
    /// Actions that are done.
    done: usize,
    /// Actions that are done or begun.
    begun: usize,
    told: bool,
}

impl Tally {
    /// Of a plan of `count` steps, by the step of each action.
    pub(crate) fn new(count: usize, steps: Vec<usize>) -> Tally {
        let mut spans = vec![None; count];
        for (at, step) in steps.iter().enumerate() {
            if let Some(span) = spans.get_mut(*step) {
                *span = Some((span.map_or(at, |(first, _)| first), at));
            }
        }
        Tally { steps, spans, done: 0, begun: 0, told: false }
    }

    /// These actions are about to be done, and all before them are.
    pub(crate) fn before(&mut self, batch: Range<usize>) -> Headway {
        let (done, begun) = (self.done..batch.start, self.begun..batch.end);
        (self.done, self.begun) = (batch.start, batch.end);
        let first = |at: &usize| self.span(*at).is_some_and(|(first, _)| first == *at);
        let last = |at: &usize| self.span(*at).is_some_and(|(_, last)| last == *at);
        let headway = Headway {
            begun: begun.filter(first).map(|at| self.steps[at]).collect(),
            done: done.filter(last).map(|at| self.steps[at]).chain(self.idle()).collect(),
        };
        self.told = true;
        headway
    }

    /// All is done.
    pub(crate) fn end(mut self) -> Headway {
        let count = self.steps.len();
        self.before(count..count)
    }

    fn span(&self, action: usize) -> Option<(usize, usize)> {
        *self.spans.get(*self.steps.get(action)?)?
    }

    /// Where nothing is to be done for a step, it is done with the first word.
    fn idle(&self) -> impl Iterator<Item = usize> {
        let idle = |(step, span): (usize, &Option<_>)| (span.is_none() && !self.told).then_some(step);
        self.spans.iter().enumerate().filter_map(idle)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is told of a plan of five steps, whose actions are these steps', in batches that end there.
    fn told(steps: &[usize], ends: &[usize]) -> Vec<String> {
        let mut tally = Tally::new(5, steps.to_vec());
        let mut all: Vec<Headway> =
            ends.iter().scan(0, |start, end| Some(tally.before(std::mem::replace(start, *end)..*end))).collect();
        all.push(tally.end());
        all.iter().map(|it| format!("{} done, {} begun", it.done, it.begun)).collect()
    }

    #[test]
    fn a_step_is_done_with_its_last_action_and_begun_with_its_first() {
        // Steps 2 and 3 are interleaved; step 5 takes no action.
        let steps = [0, 1, 2, 1, 2, 3];
        assert_eq!(
            told(&steps, &[2, 4, 6]),
            ["5 done, 1-2 begun", "1 done, 3 begun", "2 done, 4 begun", "3-4 done,  begun"]
        );
        assert_eq!(told(&steps, &[6]), ["5 done, 1-4 begun", "1-4 done,  begun"]);
        assert_eq!(told(&[], &[]), ["1-5 done,  begun"]);
    }
}
