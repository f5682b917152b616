//! The tables of `vdsm-bench live`: one for each number of networks. Whether the numbers are good is
//! `goals.rs`'s.

use super::figures::{Figures, What, When};
use crate::clock::CpuClock;
use crate::host::Layout;
use crate::report::{kernel, number, ratio};

pub(super) fn head(layout: Layout, clock: CpuClock) -> String {
    format!(
        "Kernel {}; workload {}: {}.\nMilliseconds; p50 and p99 of wall time, CPU as a mean; \
         \u{d7}raw and \u{d7}ip are ratios to those rows.\nClock {}: {}.\n",
        kernel(),
        layout.name(),
        layout.explained(),
        clock.name(),
        clock.explained()
    )
}

/// The table of one number of networks.
pub(super) fn table(n: usize, figures: &Figures) -> String {
    let links = figures.links(n).map_or_else(|| "-".to_owned(), |links| links.to_string());
    let mut text = format!(
        "\nN={n}, {links} links\n{:<21} {:>9} {:>9} {:>7} {:>7} {:>9} {:>7} {:>7} {:>6}\n",
        "", "p50", "p99", "\u{d7}raw", "\u{d7}ip", "CPU", "\u{d7}raw", "KB", "times"
    );
    for what in What::ALL.into_iter().filter(|what| figures.times(n, *what) > 0) {
        text += &row(n, what, figures);
    }
    for when in [When::Start, When::Asked] {
        if let Some(memory) = figures.memory(n, when) {
            let mb = |kib: u64| kib as f64 * 1024.0 / 1e6;
            text += &format!(
                "memory of vdsm-netd {}: {:.1} MB, at most {:.1} MB\n",
                when.name(),
                mb(memory.now),
                mb(memory.peak)
            );
        }
    }
    text
}

fn row(n: usize, what: What, figures: &Figures) -> String {
    let (wall, cpu) = (figures.wall(n, what), figures.cpu(n, what));
    // Changes are compared with one another, not with a dump.
    let is_reading = what <= What::Check;
    let beside = |value, other: Option<f64>| if is_reading { number(ratio(value, other)) } else { String::new() };
    format!(
        "{:<21} {:>9} {:>9} {:>7} {:>7} {:>9} {:>7} {:>7} {:>6}\n",
        what.name(),
        exact(wall),
        exact(figures.worst(n, what)),
        beside(wall, figures.wall(n, What::Raw)),
        beside(wall, figures.wall(n, What::Ip)),
        exact(cpu),
        beside(cpu, figures.cpu(n, What::Raw)),
        figures.bytes(n, what).map_or_else(String::new, |bytes| format!("{:.1}", bytes as f64 / 1000.0)),
        figures.times(n, what)
    )
}

/// Microseconds still show.
fn exact(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.3}"))
}
