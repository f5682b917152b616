//! The table of `vdsm-bench load`, and its goals judged.

use serde_json::Value;

use super::readers::METHODS;
use super::stage::IDLE;
use crate::goals::{Goal, Section, judged};
use crate::host::Layout;
use crate::report::{kernel, number, ratio};
use crate::results::Latency;

/// What 99 of 100 readers wait at most, in milliseconds.
const P99: f64 = 10.0;

pub(super) fn head(layout: Layout, n: usize, clients: usize) -> String {
    let cpus = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    format!(
        "Kernel {}, {cpus} CPU; workload {}: {}; N={n}, {clients} readers.\nAnswers in milliseconds, median/p99; \
         behind them the same bytes from one who does nothing.\n",
        kernel(),
        layout.name(),
        layout.explained()
    )
}

pub(super) fn table(phases: &[Value]) -> String {
    let mut text = format!(
        "\n{:<10} {:>9}  {:<22} {:>6} {:>8} {:>16} {:>16}\n",
        "meanwhile", "takes", "", "count", "bytes", "", "idle"
    );
    for phase in phases {
        for method in METHODS {
            let (read, takes) = (&phase["reads"][method], phase["change_ms"].as_f64());
            let latency = |key: &str| Latency::read(&read[key]).map_or_else(String::new, |it| it.to_string());
            text += &format!(
                "{:<10} {:>9}  {method:<22} {:>6} {:>8} {:>16} {:>16}\n",
                phase["phase"].as_str().unwrap_or_default(),
                takes.map_or_else(String::new, |it| format!("{it:.0} ms")),
                read["count"],
                read["bytes"],
                latency("ms"),
                latency("idle_ms"),
            );
        }
    }
    text
}

pub(super) fn goals(phases: &[Value]) -> Section {
    let rest = phases.iter().find(|phase| phase["phase"] == IDLE);
    let goals: Vec<Goal> = phases.iter().flat_map(|phase| METHODS.map(|method| goal(phase, rest, method))).collect();
    Section::new("GOALS", &goals)
}

fn goal(phase: &Value, rest: Option<&Value>, method: &str) -> Goal {
    let p99 = |of: &Value, key: &str| Latency::read(&of["reads"][method][key]).map(|it| it.p99);
    let this = p99(phase, "ms");
    let name = phase["phase"].as_str().unwrap_or_default();
    let beside = |key: &str| number(ratio(p99(phase, key), rest.and_then(|rest| p99(rest, key))));
    let mut numbers = format!("{} ms (at most {P99})", number(this));
    if name != IDLE {
        numbers += &format!("; {} times that at rest, from one who does nothing {}", beside("ms"), beside("idle_ms"));
    }
    Goal { what: format!("{method}, p99, meanwhile {name}"), verdict: judged(this, P99), numbers }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn phase(name: &str, p99: f64) -> Value {
        let read = json!({ "count": 9, "bytes": 70, "ms": [0.5, p99], "idle_ms": [0.5, 1.0] });
        let reads: serde_json::Map<String, Value> =
            METHODS.map(|method| (method.to_owned(), read.clone())).into_iter().collect();
        json!({ "phase": name, "change_ms": null, "reads": reads })
    }

    #[test]
    fn who_waits_too_long_has_missed_the_goal() {
        let goals = goals(&[phase(IDLE, 2.0), phase("all go", 10.0)]);
        assert!(goals.reached, "{}", goals.text);
        assert!(goals.text.contains("10.00 ms (at most 10); 5.00 times that at rest"), "{}", goals.text);
        let late = super::goals(&[phase(IDLE, 2.0), phase("all go", 10.1)]);
        assert!(!late.reached);
        assert_eq!(late.text.lines().filter(|line| line.starts_with("MISS")).count(), METHODS.len(), "{}", late.text);
    }
}
