//! The tables: one for each number of networks. Whether the numbers are good is `goals.rs`.

use std::fmt::Write;

use crate::results::Results;
use crate::workload::{Candidate, Step};

pub(crate) fn head(results: &Results) -> String {
    let start = results.ip_start.map_or_else(String::new, |ms| {
        format!("\nip-batch pays {ms:.2} ms for each start of `ip`; raw and ours start nothing.")
    });
    format!(
        "Kernel {}, bond {}. Milliseconds, medians; \u{d7} is the ratio to raw.\nClock {}: {}.\n\
         CPU is counted until all is quiet; `after` is what of it came after the answer.{}\n",
        kernel(),
        results.mode.name(),
        results.clock.name(),
        results.clock.explained(),
        start
    )
}

/// The kernel's release.
pub(crate) fn kernel() -> String {
    std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim().to_owned()
}

/// The table of one number of networks.
pub(crate) fn table(n: usize, candidates: &[Candidate], results: &Results) -> String {
    let mut text = format!(
        "\nN={n}\n{:<11} {:<9} {:>10} {:>7} {:>10} {:>7} {:>8} {:>5} {:>7}\n",
        "step", "candidate", "wall", "\u{d7}", "CPU", "\u{d7}", "after", "reps", "failed"
    );
    for step in Step::ALL {
        for candidate in candidates {
            let (key, raw) = ((n, step, *candidate), (n, step, Candidate::Raw));
            let (wall, cpu) = (results.wall(key), results.cpu(key));
            let row = writeln!(
                text,
                "{:<11} {:<9} {:>10} {:>7} {:>10} {:>7} {:>8} {:>5} {:>7}",
                step.name(),
                candidate.name(),
                number(wall),
                number(ratio(wall, results.wall(raw))),
                number(cpu),
                number(ratio(cpu, results.cpu(raw))),
                number(results.after(key)),
                results.good(key),
                results.failures(key).len(),
            );
            debug_assert!(row.is_ok(), "a String takes everything");
        }
    }
    if let Some(kib) = results.peak_kib(n) {
        text += &format!("peak memory of vdsm-netd: {:.1} MB\n", kib as f64 * 1024.0 / 1e6);
    }
    text
}

/// `of` as a multiple of `floor`.
pub(crate) fn ratio(of: Option<f64>, floor: Option<f64>) -> Option<f64> {
    let floor = floor.filter(|floor| *floor > 0.0)?;
    Some(of? / floor)
}

/// A number for the eye; `-` for one we do not have.
pub(crate) fn number(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.2}"))
}
