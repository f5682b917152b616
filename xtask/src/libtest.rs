//! What a test executable prints, as numbers.
//!
//! Only the lines that every stable Rust prints are read. Nothing is run here.

use std::collections::BTreeSet;

use crate::process::Ended;

/// How some tests ended.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) passed: usize,
    pub(crate) failed: usize,
    /// Each with its reason.
    pub(crate) skipped: Vec<String>,
}

impl Tally {
    /// One failure and nothing else.
    pub(crate) fn failure() -> Self {
        Self { failed: 1, ..Self::default() }
    }

    /// These tests did not run, all for one reason.
    pub(crate) fn skipping(names: &[String], reason: &str) -> Self {
        let reason = reason.lines().next().unwrap_or_default();
        let skipped = names.iter().map(|name| format!("{name}: {reason}")).collect();
        Self { skipped, ..Self::default() }
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped.extend(other.skipped);
    }

    /// The line with which everything ends.
    pub(crate) fn line(&self) -> String {
        format!("{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped.len())
    }
}

/// Reads the output of a run that was to run `expected` tests, if that is known.
///
/// `notes` are the lines that tests wrote about themselves when they could not do their
/// work: they returned as if all were well, so the harness took them for passed.
pub(crate) fn tally(stdout: &str, expected: Option<usize>, notes: &str, ended: Ended) -> Tally {
    let mut tally = Tally::default();
    let mut block = Block::default();
    let mut seen = 0;
    for line in stdout.lines() {
        if let Some(count) = announced(line) {
            tally.add(block.broken_off());
            block = Block { announced: count, ..Block::default() };
            seen += count;
        } else if let Some((passed, failed)) = result(line) {
            tally.passed += passed;
            tally.failed += failed;
            tally.skipped.append(&mut block.ignored);
            block = Block::default();
        } else if let Some((name, outcome)) = verdict(line) {
            match outcome.split([',', ' ']).next() {
                Some("ok") => block.passed += 1,
                Some("ignored") => block.ignored.push(format!("{name}: {outcome}")),
                _ => {}
            }
        }
    }
    tally.add(block.broken_off());
    tally.failed += expected.unwrap_or(seen).saturating_sub(seen);
    if ended != Ended::With(0) && tally.failed == 0 {
        tally.failed = 1;
    }
    let notes: BTreeSet<&str> = notes.lines().filter(|line| !line.trim().is_empty()).collect();
    tally.passed = tally.passed.saturating_sub(notes.len());
    tally.skipped.extend(notes.into_iter().map(str::to_owned));
    tally
}

/// The tests between "running N tests" and their result.
#[derive(Default)]
struct Block {
    announced: usize,
    passed: usize,
    ignored: Vec<String>,
}

impl Block {
    /// No result came: what is not known to have passed has failed.
    fn broken_off(&mut self) -> Tally {
        let ignored = std::mem::take(&mut self.ignored);
        let failed = self.announced.saturating_sub(self.passed + ignored.len());
        Tally { passed: self.passed, failed, skipped: ignored }
    }
}

/// `running 3 tests`
fn announced(line: &str) -> Option<usize> {
    let (count, word) = line.strip_prefix("running ")?.split_once(' ')?;
    matches!(word, "test" | "tests").then(|| count.parse().ok())?
}

/// `test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; ..`
fn result(line: &str) -> Option<(usize, usize)> {
    let (_, numbers) = line.strip_prefix("test result: ")?.split_once(". ")?;
    let number =
        |what: &str| numbers.split("; ").find_map(|part| part.strip_suffix(what)?.trim().parse::<usize>().ok());
    Some((number("passed")?, number("failed")?))
}

/// `test NAME ... ok`
fn verdict(line: &str) -> Option<(&str, &str)> {
    let (name, outcome) = line.strip_prefix("test ")?.rsplit_once(" ... ")?;
    Some((name.strip_suffix(" - should panic").unwrap_or(name), outcome))
}

/// The names in the output of `--list --format terse`.
pub(crate) fn names(list: &str) -> Vec<String> {
    list.lines().filter_map(|line| line.strip_suffix(": test")).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "
running 4 tests
test a::one ... ok
test a::two ... ignored, needs a moon
test panics - should panic ... ok
test b ... ok

test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 7 filtered out; finished in 0.01s
";

    fn counted(stdout: &str, notes: &str, ended: Ended) -> (usize, usize, Vec<String>) {
        let tally = tally(stdout, None, notes, ended);
        (tally.passed, tally.failed, tally.skipped)
    }

    #[test]
    fn the_closing_line_counts() {
        let ignored = vec!["a::two: ignored, needs a moon".to_owned()];
        assert_eq!(counted(GOOD, "", Ended::With(0)), (3, 0, ignored));
        let bad = "running 2 tests\ntest a ... ok\ntest b ... FAILED\n\ntest result: FAILED. 1 passed; 1 failed; \
                   0 ignored; 0 measured; 0 filtered out; finished in 0.00s";
        assert_eq!(counted(bad, "", Ended::With(101)), (1, 1, vec![]));
        assert_eq!(counted(&format!("{GOOD}{GOOD}"), "", Ended::With(0)).0, 6);
    }

    #[test]
    fn a_test_that_says_it_was_skipped_has_not_passed() {
        let (passed, failed, skipped) = counted(GOOD, "b: no radio here\nb: no radio here\n", Ended::With(0));
        assert_eq!((passed, failed), (2, 0));
        assert_eq!(skipped, ["a::two: ignored, needs a moon", "b: no radio here"]);
    }

    #[test]
    fn a_run_that_broke_off_has_failed() {
        let cut = "running 3 tests\ntest a ... ok\ntest b ... ";
        assert_eq!(counted(cut, "", Ended::AtLimit), (1, 2, vec![]));
        assert_eq!(counted("", "", Ended::With(139)), (0, 1, vec![]));
        assert_eq!(tally("", Some(5), "", Ended::With(125)).failed, 5);
        assert_eq!(counted(GOOD, "", Ended::With(1)).1, 1);
    }

    #[test]
    fn lists_are_read() {
        assert_eq!(names("here::a: test\nb: test\nc: benchmark\n"), ["here::a", "b"]);
    }
}
