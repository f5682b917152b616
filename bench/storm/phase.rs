//! One phase of the story of storms: what was measured in it, and how it travels to the report.

use std::time::Duration;

use serde_json::{Value, json};

use super::prober::Probed;
use crate::ours::Memory;
use crate::results::Latency;

/// What happens in a phase. Between two of them is a rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// The storm without a daemon: the kernel's part.
    Alone,
    /// Nothing happens.
    Rest,
    /// A storm while a subscriber reads nothing.
    Deaf,
    /// Subscribers come and go.
    Visits,
    /// A storm that nobody subscribed to.
    Storm,
    /// A storm over a live picture in this process, with nobody to ask.
    Picture,
}

impl Kind {
    const ALL: [Kind; 6] = [Kind::Alone, Kind::Rest, Kind::Deaf, Kind::Visits, Kind::Storm, Kind::Picture];

    pub(super) fn name(self) -> &'static str {
        match self {
            Kind::Alone => "storm, no daemon",
            Kind::Rest => "at rest",
            Kind::Deaf => "storm, one never reads",
            Kind::Visits => "subscribers come and go",
            Kind::Storm => "storm",
            Kind::Picture => "storm, picture only",
        }
    }
}

/// See the head of this file.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Phase {
    pub(super) kind: Kind,
    /// How often something happened, and in what time.
    pub(super) count: usize,
    pub(super) took: Duration,
    /// The CPU time of all that, together.
    pub(super) cpu: Duration,
    /// Of the daemon, at the end.
    pub(super) memory: Option<Memory>,
    pub(super) files: Option<usize>,
    /// What another client waited for, and for the same from one who does nothing.
    pub(super) ping: Option<Latency>,
    pub(super) as_ping: Option<Latency>,
    pub(super) capabilities: Option<Latency>,
    pub(super) as_capabilities: Option<Latency>,
    /// A sentence about what came of it.
    pub(super) note: String,
}

impl Phase {
    /// One with nothing measured yet.
    pub(super) fn new(kind: Kind) -> Phase {
        let none = Duration::ZERO;
        Phase {
            kind,
            count: 0,
            took: none,
            cpu: none,
            memory: None,
            files: None,
            ping: None,
            as_ping: None,
            capabilities: None,
            as_capabilities: None,
            note: String::new(),
        }
    }

    /// With what another client waited for.
    pub(super) fn probed(&mut self, probed: &Probed) {
        self.ping = Latency::of(&probed.ping);
        self.as_ping = Latency::of(&probed.as_ping);
        self.capabilities = Latency::of(&probed.capabilities);
        self.as_capabilities = Latency::of(&probed.as_capabilities);
    }

    /// Microseconds of CPU time for each thing that happened.
    pub(super) fn cpu_each(&self) -> Option<f64> {
        (self.count > 0).then(|| self.cpu.as_secs_f64() * 1e6 / self.count as f64)
    }

    /// The line that says it.
    pub(super) fn line(&self) -> Value {
        let latency = |it: Option<Latency>| it.map(Latency::json);
        json!({
            "phase": self.kind.name(), "count": self.count, "took_ns": self.took.as_nanos() as u64,
            "cpu_ns": self.cpu.as_nanos() as u64, "memory_kib": self.memory.map(|it| [it.now, it.peak]),
            "files": self.files, "ping_ms": latency(self.ping), "as_ping_ms": latency(self.as_ping),
            "capabilities_ms": latency(self.capabilities), "as_capabilities_ms": latency(self.as_capabilities),
            "note": self.note,
        })
    }

    /// Reads such a line.
    pub(super) fn read(line: &Value) -> Option<Phase> {
        let nanos = |key: &str| line[key].as_u64().map(Duration::from_nanos);
        let latency = |key: &str| Latency::read(&line[key]);
        let memory = &line["memory_kib"];
        Some(Phase {
            kind: Kind::ALL.into_iter().find(|it| line["phase"] == it.name())?,
            count: line["count"].as_u64()? as usize,
            took: nanos("took_ns")?,
            cpu: nanos("cpu_ns")?,
            memory: memory
                .get(0)
                .and_then(Value::as_u64)
                .zip(memory.get(1).and_then(Value::as_u64))
                .map(|(now, peak)| Memory { now, peak }),
            files: line["files"].as_u64().map(|files| files as usize),
            ping: latency("ping_ms"),
            as_ping: latency("as_ping_ms"),
            capabilities: latency("capabilities_ms"),
            as_capabilities: latency("as_capabilities_ms"),
            note: line["note"].as_str()?.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_phase_says_arrives() {
        let mut phase = Phase { count: 4, cpu: Duration::from_micros(6), ..Phase::new(Kind::Deaf) };
        assert_eq!(Phase::read(&phase.line()), Some(phase.clone()));
        phase.memory = Some(Memory { now: 3, peak: 4 });
        phase.files = Some(9);
        phase.note = "so".into();
        let times = |millis| vec![Duration::from_millis(millis); 3];
        let [ping, as_ping, capabilities, as_capabilities] = [1, 2, 3, 4].map(times);
        phase.probed(&Probed { ping, as_ping, capabilities, as_capabilities });
        assert_eq!(Phase::read(&phase.line()), Some(phase.clone()));
        assert_eq!((phase.cpu_each(), phase.as_ping.map(|it| it.p99)), (Some(1.5), Some(2.0)));
    }
}
