//! The tables of `vdsm-bench journal`, and its goals judged.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::{Change, Writes};
use crate::clock::CpuClock;
use crate::goals::{Goal, Section, at_most};
use crate::host::Layout;
use crate::report::{kernel, number, ratio};
use crate::results::median;

/// The sizes at which the flushes rule: there the journal is judged beside a bare record.
const SMALL: usize = 10;
/// What it may take of a small change, in bare records.
const IN_BARE: f64 = 2.0;
/// What a large change may take, beside the same without a journal.
const WALL: f64 = 1.25;
/// The same of CPU time.
const CPU: f64 = 1.15;

/// Everything one run found out, in milliseconds.
#[derive(Default)]
pub(super) struct Figures {
    wall: BTreeMap<Key, Vec<f64>>,
    cpu: BTreeMap<Key, Vec<f64>>,
    bare: BTreeMap<usize, Vec<f64>>,
}

type Key = (usize, Change, Writes);

impl Figures {
    /// Takes a line of a stage; none if it is none.
    pub(super) fn note(&mut self, n: usize, line: &Value) -> Option<()> {
        let millis = |key: &str| Some(line[key].as_u64()? as f64 / 1e6);
        if let Some(bare) = millis("bare_ns") {
            self.bare.entry(n).or_default().push(bare);
            return Some(());
        }
        let key = (n, Change::named(line["change"].as_str()?)?, Writes::named(line["writes"].as_str()?)?);
        self.wall.entry(key).or_default().push(millis("wall_ns")?);
        self.cpu.entry(key).or_default().push(millis("cpu_ns")?);
        Some(())
    }

    fn bare(&self, n: usize) -> Option<f64> {
        median(self.bare.get(&n)?)
    }

    /// With the journal, and without.
    fn both(of: &BTreeMap<Key, Vec<f64>>, n: usize, change: Change) -> [Option<f64>; 2] {
        [Writes::Journal, Writes::Nothing].map(|writes| median(of.get(&(n, change, writes))?))
    }

    pub(super) fn json(&self) -> Value {
        let changes = self.wall.iter().map(|(key @ (n, change, writes), wall)| {
            json!({"n": n, "change": change.name(), "writes": writes.name(), "wall_ms": wall, "cpu_ms": self.cpu.get(key)})
        });
        json!({"changes": changes.collect::<Vec<_>>(), "bare_ms": self.bare.iter().collect::<Vec<_>>()})
    }
}

pub(super) fn head(layout: Layout, clock: CpuClock, dir: &Path) -> String {
    let disk = Command::new("stat").args(["-f", "-c", "%T"]).arg(dir.parent().unwrap_or(dir)).output();
    let disk = disk.map(|it| String::from_utf8_lossy(&it.stdout).trim().to_owned()).unwrap_or_default();
    format!(
        "Kernel {}; workload {}: {}.\nThe run directory is in memory, lib_dir on {} ({disk}). Milliseconds, medians, with the \
         journal and without.\nA bare record is a file flushed with its name, a word more flushed, and the file's \
         end.\nClock {}: {}.\n",
        kernel(),
        layout.name(),
        layout.explained(),
        dir.parent().unwrap_or(dir).display(),
        clock.name(),
        clock.explained()
    )
}

pub(super) fn table(n: usize, figures: &Figures) -> String {
    let mut text = format!(
        "\nN={n}, a bare record {} ms\n{:<11} {:>10} {:>10} {:>6} {:>10} {:>10} {:>6} {:>9}\n",
        number(figures.bare(n)),
        "change",
        "wall",
        "without",
        "\u{d7}",
        "CPU",
        "without",
        "\u{d7}",
        "in bare"
    );
    for change in Change::ALL {
        let [wall, bare_wall] = Figures::both(&figures.wall, n, change);
        let [cpu, bare_cpu] = Figures::both(&figures.cpu, n, change);
        text += &format!(
            "{:<11} {:>10} {:>10} {:>6} {:>10} {:>10} {:>6} {:>9}\n",
            change.name(),
            number(wall),
            number(bare_wall),
            number(ratio(wall, bare_wall)),
            number(cpu),
            number(bare_cpu),
            number(ratio(cpu, bare_cpu)),
            number(in_bare(n, change, figures)),
        );
    }
    text
}

/// What the journal takes of a change, in bare records.
fn in_bare(n: usize, change: Change, figures: &Figures) -> Option<f64> {
    let [with, without] = Figures::both(&figures.wall, n, change);
    ratio(with.zip(without).map(|(with, without)| with - without), figures.bare(n))
}

/// Small changes are judged by what a record costs at all, large ones by what they cost themselves.
pub(super) fn goals(counts: &[usize], figures: &Figures) -> Section {
    let mut goals: Vec<Goal> = Vec::new();
    for n in counts {
        for change in Change::ALL {
            let what = |of: &str| format!("{}, {of}, N={n}", change.name());
            if *n <= SMALL || matches!(change, Change::AddOne | Change::RemoveOne) {
                goals.push(at_most(what("wall more, in bare records"), in_bare(*n, change, figures), IN_BARE));
            } else {
                let of = |of| {
                    let [with, without] = Figures::both(of, *n, change);
                    ratio(with, without)
                };
                goals.push(at_most(what("wall to without"), of(&figures.wall), WALL));
                goals.push(at_most(what("CPU to without"), of(&figures.cpu), CPU));
            }
        }
    }
    Section::new("GOALS", &goals)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Changes of 10 ms without a journal, where a bare record takes 2.
    fn judged(n: usize, with: f64) -> Section {
        let mut figures = Figures::default();
        figures.note(n, &json!({"bare_ns": 2_000_000})).unwrap();
        for change in Change::ALL {
            for (writes, millis) in [("journal", with), ("nothing", 10.0)] {
                let nanos = (millis * 1e6) as u64;
                let line = json!({"change": change.name(), "writes": writes, "wall_ns": nanos, "cpu_ns": nanos});
                figures.note(n, &line).unwrap();
            }
        }
        goals(&[n], &figures)
    }

    #[test]
    fn small_changes_are_judged_in_bare_records_and_large_ones_by_themselves() {
        assert!(judged(1, 14.0).reached);
        assert!(!judged(1, 14.1).reached);
        assert!(judged(1000, 11.4).reached);
        assert!(!judged(1000, 11.6).reached);
        let unknown = goals(&[10], &Figures::default());
        assert!(unknown.reached && unknown.text.contains("?     create"), "{}", unknown.text);
    }

    #[test]
    fn a_line_of_nothing_we_know_is_none() {
        for line in [json!({}), json!({"change": "create"}), json!({"change": "paint", "writes": "journal"})] {
            assert_eq!(Figures::default().note(1, &line), None, "{line}");
        }
    }
}
