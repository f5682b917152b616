//! What was measured of the live picture, and how it travels from a stage to the report.
//!
//! A stage prints one JSON line for each figure; what they mean for our goals is `goals.rs`'s.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use crate::clock::Measured;
use crate::ours::Memory;
use crate::results::{median, p99};

/// What is measured, in the order of the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum What {
    /// Links, addresses and routes dumped and walked: the floor.
    Raw,
    /// `ip -d -j link` and `ip -d -j address`.
    Ip,
    /// `Live::open` within this process.
    Open,
    /// From before vdsm-netd is started until it has answered.
    ColdStart,
    /// A method of the API, on a host at rest.
    Capabilities,
    /// The same, each time after a link has changed.
    CapabilitiesAfterChange,
    Statistics,
    Topology,
    Check,
    /// A change of one link, acknowledged; nobody listens.
    Change,
    /// From before such a change until the picture shows it.
    Snapshot,
    /// From before a new address until a subscriber has read of it.
    Told,
    /// The daemon's CPU time for one of many changes in a row,
    Dense,
    /// for one that comes alone,
    Lone,
    /// and for one that comes alone to a link of a network's.
    LoneOurs,
}

impl What {
    pub(crate) const ALL: [What; 15] = [
        What::Raw,
        What::Ip,
        What::Open,
        What::ColdStart,
        What::Capabilities,
        What::CapabilitiesAfterChange,
        What::Statistics,
        What::Topology,
        What::Check,
        What::Change,
        What::Snapshot,
        What::Told,
        What::Dense,
        What::Lone,
        What::LoneOurs,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            What::Raw => "raw dump",
            What::Ip => "ip -d -j link, addr",
            What::Open => "Live::open",
            What::ColdStart => "cold start",
            What::Capabilities => "getCapabilities",
            What::CapabilitiesAfterChange => "  after a change",
            What::Statistics => "getStats",
            What::Topology => "getTopology",
            What::Check => "checkNetworks",
            What::Change => "change, bare",
            What::Snapshot => "change to snapshot",
            What::Told => "change to subscriber",
            What::Dense => "change among many",
            What::Lone => "change alone",
            What::LoneOurs => "  of a network's link",
        }
    }

    /// Its name where it stands by itself, without the row above it.
    pub(crate) fn title(self) -> &'static str {
        match self {
            What::CapabilitiesAfterChange => "getCapabilities after a change",
            What::LoneOurs => "change alone, of a network's link",
            other => other.name(),
        }
    }

    fn named(word: &str) -> Result<What, String> {
        Self::ALL.into_iter().find(|it| it.name() == word).ok_or_else(|| format!("{word}: no figure"))
    }
}

/// One thing, measured many times.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Series {
    /// Each time it took; none where only CPU time means something.
    wall: Vec<Duration>,
    /// CPU time together, and of how many.
    cpu: Duration,
    times: u32,
    /// The length of an answer.
    bytes: Option<usize>,
}

impl Series {
    pub(crate) fn add(&mut self, measured: Measured) {
        self.add_wall(measured.wall);
        self.add_cpu(measured.cpu, 1);
    }

    pub(crate) fn add_wall(&mut self, wall: Duration) {
        self.wall.push(wall);
    }

    pub(crate) fn add_cpu(&mut self, cpu: Duration, times: u32) {
        self.cpu += cpu;
        self.times += times;
    }

    pub(crate) fn answer(&mut self, bytes: usize) {
        self.bytes = Some(bytes);
    }

    pub(crate) fn times(&self) -> usize {
        self.wall.len().max(self.times as usize)
    }

    pub(crate) fn wall(&self) -> &[Duration] {
        &self.wall
    }

    /// CPU time of one, a mean: in nanoseconds, where a clock ticks, of none.
    pub(crate) fn cpu_each(&self) -> Option<Duration> {
        (self.times > 0).then(|| self.cpu / self.times)
    }

    /// The line that says it.
    pub(crate) fn line(&self, what: What) -> Value {
        let nanos = |d: &Duration| d.as_nanos() as u64;
        json!({
            "what": what.name(), "wall_ns": self.wall.iter().map(nanos).collect::<Vec<_>>(),
            "cpu_ns": nanos(&self.cpu), "times": self.times, "bytes": self.bytes,
        })
    }

    fn read(line: &Value) -> Option<Series> {
        let wall = line["wall_ns"].as_array()?.iter().map(|it| it.as_u64().map(Duration::from_nanos));
        Some(Series {
            wall: wall.collect::<Option<_>>()?,
            cpu: Duration::from_nanos(line["cpu_ns"].as_u64()?),
            times: line["times"].as_u64()?.try_into().ok()?,
            bytes: line["bytes"].as_u64().map(|bytes| bytes as usize),
        })
    }
}

/// When the daemon's memory was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum When {
    /// After its start.
    Start,
    /// After ten times getCapabilities.
    Asked,
}

impl When {
    const ALL: [When; 2] = [When::Start, When::Asked];

    pub(crate) fn name(self) -> &'static str {
        match self {
            When::Start => "after the start",
            When::Asked => "after 10 getCapabilities",
        }
    }

    /// The line that says how much it was.
    pub(crate) fn line(self, memory: Memory) -> Value {
        json!({"when": self.name(), "now_kib": memory.now, "peak_kib": memory.peak})
    }
}

/// Everything one run found out, by the number of networks.
#[derive(Default)]
pub(crate) struct Figures {
    series: BTreeMap<(usize, What), Series>,
    memory: BTreeMap<(usize, When), Memory>,
    links: BTreeMap<usize, usize>,
}

impl Figures {
    /// Takes a line of a stage.
    pub(crate) fn note(&mut self, n: usize, line: &Value) -> Result<(), String> {
        let strange = || format!("no line of a stage: {line}");
        if let Some(links) = line["links"].as_u64() {
            self.links.insert(n, links as usize);
        } else if let Some(name) = line["when"].as_str() {
            let when = When::ALL.into_iter().find(|it| it.name() == name).ok_or_else(strange)?;
            let kib = |key: &str| line[key].as_u64().ok_or_else(strange);
            self.memory.insert((n, when), Memory { now: kib("now_kib")?, peak: kib("peak_kib")? });
        } else {
            let what = What::named(line["what"].as_str().ok_or_else(strange)?)?;
            self.series.insert((n, what), Series::read(line).ok_or_else(strange)?);
        }
        Ok(())
    }

    /// How many links N networks were, with those of the sandbox.
    pub(crate) fn links(&self, n: usize) -> Option<usize> {
        self.links.get(&n).copied()
    }

    /// Milliseconds, the median.
    pub(crate) fn wall(&self, n: usize, what: What) -> Option<f64> {
        median(&self.millis(n, what))
    }

    /// Milliseconds that one in a hundred exceeds.
    pub(crate) fn worst(&self, n: usize, what: What) -> Option<f64> {
        p99(&self.millis(n, what))
    }

    /// Milliseconds of CPU time, the mean.
    pub(crate) fn cpu(&self, n: usize, what: What) -> Option<f64> {
        Some(self.series.get(&(n, what))?.cpu_each()?.as_secs_f64() * 1000.0)
    }

    pub(crate) fn times(&self, n: usize, what: What) -> usize {
        self.series.get(&(n, what)).map_or(0, Series::times)
    }

    pub(crate) fn bytes(&self, n: usize, what: What) -> Option<usize> {
        self.series.get(&(n, what))?.bytes
    }

    pub(crate) fn memory(&self, n: usize, when: When) -> Option<Memory> {
        self.memory.get(&(n, when)).copied()
    }

    /// All of it.
    pub(crate) fn json(&self) -> Value {
        let with_n = |n: usize, mut line: Value| {
            line["n"] = json!(n);
            line
        };
        let series = self.series.iter().map(|((n, what), series)| with_n(*n, series.line(*what)));
        let memory = self.memory.iter().map(|((n, when), memory)| with_n(*n, when.line(*memory)));
        series.chain(memory).collect()
    }

    fn millis(&self, n: usize, what: What) -> Vec<f64> {
        self.series.get(&(n, what)).map_or(&[][..], Series::wall).iter().map(|it| it.as_secs_f64() * 1000.0).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_stage_says_arrives() {
        let mut series = Series::default();
        for millis in [3, 1, 2] {
            let time = Duration::from_millis(millis);
            series.add(Measured { wall: time, cpu: time / 2 });
        }
        series.answer(77);
        let mut figures = Figures::default();
        figures.note(10, &series.line(What::Topology)).unwrap();
        figures.note(10, &When::Asked.line(Memory { now: 5, peak: 6 })).unwrap();
        figures.note(10, &json!({"links": 22})).unwrap();
        assert_eq!(figures.series[&(10, What::Topology)], series);
        assert_eq!(figures.wall(10, What::Topology), Some(2.0));
        assert_eq!(figures.cpu(10, What::Topology), Some(1.0));
        assert_eq!((figures.bytes(10, What::Topology), figures.times(10, What::Topology)), (Some(77), 3));
        assert_eq!(figures.memory(10, When::Asked), Some(Memory { now: 5, peak: 6 }));
        assert_eq!(figures.links(10), Some(22));
        figures.note(10, &json!({"what": "nothing we know"})).unwrap_err();
    }
}
