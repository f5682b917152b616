//! What was measured, and its medians.
//!
//! A sample whose step failed, or left the host other than wanted, is kept for the record and
//! counts in no median.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde_json::{Value, json};

use crate::clock::CpuClock;
use crate::workload::{BondMode, Candidate, Step};

/// One step done once.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    pub(crate) wall: Duration,
    pub(crate) cpu: Duration,
    /// CPU time after the answer, until it is quiet; `cpu` ends with the answer.
    pub(crate) after: Duration,
}

/// Which samples belong together.
pub(crate) type Key = (usize, Step, Candidate);

/// Everything one run found out.
pub(crate) struct Results {
    pub(crate) clock: CpuClock,
    pub(crate) mode: BondMode,
    samples: BTreeMap<Key, Vec<Sample>>,
    failures: BTreeMap<Key, Vec<String>>,
    /// The daemon's peak memory in KiB, by the number of networks.
    peaks: BTreeMap<usize, Vec<u64>>,
    /// Milliseconds it takes to start `ip` and have it do nothing.
    pub(crate) ip_start: Option<f64>,
}

impl Results {
    pub(crate) fn new(clock: CpuClock, mode: BondMode) -> Results {
        Results {
            clock,
            mode,
            samples: BTreeMap::new(),
            failures: BTreeMap::new(),
            peaks: BTreeMap::new(),
            ip_start: None,
        }
    }

    pub(crate) fn add(&mut self, key: Key, sample: Sample) {
        self.samples.entry(key).or_default().push(sample);
    }

    pub(crate) fn fail(&mut self, key: Key, problem: String) {
        self.failures.entry(key).or_default().push(problem);
    }

    pub(crate) fn peak(&mut self, n: usize, kib: u64) {
        self.peaks.entry(n).or_default().push(kib);
    }

    /// How often a step was measured and found good.
    pub(crate) fn good(&self, key: Key) -> usize {
        self.samples.get(&key).map_or(0, Vec::len)
    }

    pub(crate) fn failures(&self, key: Key) -> &[String] {
        self.failures.get(&key).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn any_failure(&self) -> bool {
        !self.failures.is_empty()
    }

    /// Milliseconds of wall time.
    pub(crate) fn wall(&self, key: Key) -> Option<f64> {
        median(&self.millis(key, |sample| sample.wall))
    }

    /// Milliseconds of CPU time, the work after the answer as well.
    pub(crate) fn cpu(&self, key: Key) -> Option<f64> {
        self.of_cpu(&self.millis(key, |sample| sample.cpu + sample.after))
    }

    /// Of these the milliseconds after the answer.
    pub(crate) fn after(&self, key: Key) -> Option<f64> {
        self.of_cpu(&self.millis(key, |sample| sample.after))
    }

    /// The most memory the daemon had in any repetition, in KiB.
    pub(crate) fn peak_kib(&self, n: usize) -> Option<u64> {
        self.peaks.get(&n)?.iter().max().copied()
    }

    /// All of it.
    pub(crate) fn json(&self) -> Value {
        let nanos = |d: Duration| d.as_nanos() as u64;
        let samples = self.samples.iter().map(|((n, step, candidate), samples)| {
            let each = |of: fn(&Sample) -> Duration| samples.iter().map(|s| nanos(of(s))).collect::<Vec<_>>();
            json!({
                "n": n, "step": step.name(), "candidate": candidate.name(),
                "wall_ns": each(|s| s.wall), "cpu_ns": each(|s| s.cpu), "after_ns": each(|s| s.after),
            })
        });
        let failures = self.failures.iter().map(|((n, step, candidate), problems)| {
            json!({"n": n, "step": step.name(), "candidate": candidate.name(), "problems": problems})
        });
        json!({
            "clock": self.clock.name(), "ip_start_ms": self.ip_start, "mode": self.mode.name(),
            "samples": samples.collect::<Vec<_>>(), "failures": failures.collect::<Vec<_>>(),
            "daemon_peak_kib": self.peaks.iter().map(|(n, kib)| (n.to_string(), json!(kib))).collect::<serde_json::Map<_, _>>(),
        })
    }

    fn millis(&self, key: Key, of: impl Fn(&Sample) -> Duration) -> Vec<f64> {
        self.samples.get(&key).into_iter().flatten().map(|sample| of(sample).as_secs_f64() * 1000.0).collect()
    }

    /// Of a clock that ticks, single values are zero or a tick: only their mean means anything.
    fn of_cpu(&self, values: &[f64]) -> Option<f64> {
        match self.clock {
            CpuClock::Ticks => (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64),
            CpuClock::Process | CpuClock::Busy => median(values),
        }
    }
}

/// How long an answer was waited for, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Latency {
    pub(crate) median: f64,
    pub(crate) p99: f64,
}

impl Latency {
    /// None of nothing.
    pub(crate) fn of(times: &[Duration]) -> Option<Latency> {
        let millis: Vec<f64> = times.iter().map(|it| it.as_secs_f64() * 1000.0).collect();
        Some(Latency { median: median(&millis)?, p99: p99(&millis)? })
    }

    pub(crate) fn json(self) -> Value {
        json!([self.median, self.p99])
    }

    /// Reads that.
    pub(crate) fn read(value: &Value) -> Option<Latency> {
        Some(Latency { median: value.get(0)?.as_f64()?, p99: value.get(1)?.as_f64()? })
    }
}

impl fmt::Display for Latency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3}/{:.3}", self.median, self.p99)
    }
}

pub(crate) fn median(values: &[f64]) -> Option<f64> {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    let upper = *values.get(values.len() / 2)?;
    let lower = values[(values.len() - 1) / 2];
    Some((lower + upper) / 2.0)
}

/// The smallest value that no more than one in a hundred exceeds.
pub(crate) fn p99(values: &[f64]) -> Option<f64> {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values.get((values.len() * 99).div_ceil(100).checked_sub(1)?).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_lies_between() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
    }

    #[test]
    fn one_in_a_hundred_may_exceed_the_99th_percentile() {
        let ascending = |n: u32| (1..=n).map(f64::from).collect::<Vec<_>>();
        assert_eq!(p99(&[]), None);
        assert_eq!(p99(&[7.0]), Some(7.0));
        assert_eq!(p99(&ascending(100)), Some(99.0));
        assert_eq!(p99(&ascending(1000)), Some(990.0));
    }
}
