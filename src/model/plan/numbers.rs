//! Some of a plan's steps, by number: for who writes down how far a plan has come.
//!
//! Kept and written as ranges, since a plan is mostly carried out in its order: a thousand steps are
//! `1-1000`. What the steps are is not here.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

/// A set of step numbers. Within the program they count from 0; in text from 1, as in messages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StepNumbers {
    /// In order, none empty, none touching the next.
    ranges: Vec<Range<usize>>,
}

impl StepNumbers {
    /// The first `count` ones.
    pub fn first(count: usize) -> StepNumbers {
        StepNumbers::of_ranges(std::iter::once(0..count))
    }

    fn of_ranges(ranges: impl IntoIterator<Item = Range<usize>>) -> StepNumbers {
        let mut ranges: Vec<Range<usize>> = ranges.into_iter().filter(|range| !range.is_empty()).collect();
        ranges.sort_unstable_by_key(|range| range.start);
        let mut joined: Vec<Range<usize>> = Vec::new();
        for range in ranges {
            match joined.last_mut() {
                Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
                _ => joined.push(range),
            }
        }
        StepNumbers { ranges: joined }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.ranges.iter().map(ExactSizeIterator::len).sum()
    }

    /// Whether this step is one of them.
    pub fn contains(&self, step: usize) -> bool {
        self.ranges.iter().any(|range| range.contains(&step))
    }

    /// Them, in order.
    pub fn iter(&self) -> impl Iterator<Item = usize> {
        self.ranges.iter().flat_map(Range::clone)
    }

    /// These and the others.
    pub fn and(&self, others: &StepNumbers) -> StepNumbers {
        StepNumbers::of_ranges([self.ranges.as_slice(), &others.ranges].concat())
    }

    /// These without the others.
    pub fn without(&self, others: &StepNumbers) -> StepNumbers {
        let mut left = Vec::new();
        let mut others = others.ranges.iter().peekable();
        for range in &self.ranges {
            let mut at = range.start;
            while let Some(other) = others.peek().filter(|other| other.start < range.end) {
                left.push(at..other.start.max(at));
                at = at.max(other.end);
                if other.end > range.end {
                    break;
                }
                others.next();
            }
            left.push(at..range.end);
        }
        StepNumbers::of_ranges(left)
    }
}

impl FromIterator<usize> for StepNumbers {
    fn from_iter<I: IntoIterator<Item = usize>>(steps: I) -> StepNumbers {
        StepNumbers::of_ranges(steps.into_iter().map(|step| step..step.saturating_add(1)))
    }
}

impl fmt::Display for StepNumbers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, range) in self.ranges.iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            write!(f, "{comma}{}", range.start + 1)?;
            if range.len() > 1 {
                write!(f, "-{}", range.end)?;
            }
        }
        Ok(())
    }
}

/// A text that is no list of step numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a list of step numbers, as 1-4,7")]
pub struct NoStepNumbers;

impl FromStr for StepNumbers {
    type Err = NoStepNumbers;

    fn from_str(text: &str) -> Result<StepNumbers, NoStepNumbers> {
        let number = |word: &str| match word.parse::<usize>() {
            Ok(number) if number > 0 && word.starts_with(|first: char| first.is_ascii_digit()) => Ok(number),
            _ => Err(NoStepNumbers),
        };
        let range = |word: &str| {
            let (first, last) = word.split_once('-').unwrap_or((word, word));
            let range = number(first)? - 1..number(last)?;
            if range.is_empty() { Err(NoStepNumbers) } else { Ok(range) }
        };
        let words = text.split(',').filter(|_| !text.is_empty());
        Ok(StepNumbers::of_ranges(words.map(range).collect::<Result<Vec<_>, _>>()?))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn they_are_a_set_whose_text_says_all_of_it() {
        // All pairs of sets of up to seven steps.
        let sets: Vec<BTreeSet<usize>> =
            (0..1 << 7).map(|bits: u32| (0..7).filter(|step| bits >> step & 1 == 1).collect()).collect();
        for one in &sets {
            let numbers: StepNumbers = one.iter().rev().copied().collect();
            assert_eq!(numbers.iter().collect::<BTreeSet<_>>(), *one);
            assert_eq!((numbers.len(), numbers.is_empty()), (one.len(), one.is_empty()));
            assert!((0..9).all(|step| numbers.contains(step) == one.contains(&step)));
            assert_eq!(numbers.to_string().parse(), Ok(numbers.clone()), "{numbers}");
            for other in &sets {
                let others: StepNumbers = other.iter().copied().collect();
                assert_eq!(numbers.and(&others), one.union(other).copied().collect(), "{numbers} and {others}");
                assert_eq!(
                    numbers.without(&others),
                    one.difference(other).copied().collect(),
                    "{numbers} without {others}"
                );
            }
        }
    }

    #[test]
    fn they_are_written_as_people_count() {
        assert_eq!([0, 1, 2, 3, 6, 9, 8].into_iter().collect::<StepNumbers>().to_string(), "1-4,7,9-10");
        assert_eq!(StepNumbers::first(1000).to_string(), "1-1000");
        assert_eq!(StepNumbers::default().to_string(), "");
        // A range is not counted out, however long it is said to be.
        assert_eq!(format!("1-{}", usize::MAX).parse::<StepNumbers>().unwrap().len(), usize::MAX);
        for wrong in ["0", "x", "1,", ",", "2-1", "1-", "-1", "+1", "1-2-3", " 1", "99999999999999999999999"] {
            assert_eq!(wrong.parse::<StepNumbers>(), Err(NoStepNumbers), "{wrong}");
        }
    }
}
