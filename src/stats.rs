//! What went through the host's devices: Host.getStats (vdsm-facts 6.2).
//!
//! Every link is told, as the original does, but those that are hidden from the engine. Counters
//! come from `netinfo::counters`, all else from the picture of the host; nobody is asked here. Only
//! the last samples are kept: rates are since one that is a second old at least, whoever asked for it.
//!
//! What differs from the original's report (4.30), and why:
//!
//! | key | here | why |
//! |---|---|---|
//! | `rxRate`, `txRate` | beside the counters | the first original had them instead of the counters |
//! | `rxDropped`, `txDropped` of the host | each its own | the original swapped them (vdsm-facts 9, 30) |

mod sampler;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use vdsm_model::name::DeviceName;
use vdsm_model::netinfo::{Duplex, NetInfo, SeenKind, SeenLink};

use crate::caps::json::Object;
use crate::caps::speed::speed;
use crate::caps::{Sight, Visibility};
use crate::netinfo::Counters;

pub(crate) use sampler::Sampler;

/// What is told of a device that does not know its own speed, in Mbit/s.
const USUAL_SPEED: u64 = 1000;

/// Rates over less than this many seconds say nothing.
const SHORTEST: f64 = 1.0;

/// The last samples.
#[derive(Debug, Default)]
pub struct Stats {
    last: Mutex<Last>,
}

/// So that several may ask at once, a sample is compared with one that is [`SHORTEST`] older.
#[derive(Debug, Default)]
struct Last {
    older: Arc<Sample>,
    newer: Arc<Sample>,
}

impl Last {
    /// Keeps a sample, and gives back the one to compare it with.
    fn keep(&mut self, now: Sample) -> Arc<Sample> {
        // A clock that was set back starts anew.
        if now.at - self.newer.at >= SHORTEST || now.at < self.newer.at {
            self.older = std::mem::replace(&mut self.newer, Arc::new(now));
        }
        Arc::clone(&self.older)
    }
}

#[derive(Debug, Default)]
struct Sample {
    /// Seconds since the epoch.
    at: f64,
    /// By interface index.
    devices: HashMap<u32, (DeviceName, Counters)>,
}

impl Stats {
    /// Nothing sampled yet.
    pub fn new() -> Stats {
        Stats::default()
    }

    /// The report of Host.getStats: one JSON object on one line.
    ///
    /// `at` is when the counters were read, in seconds since the epoch, and finite. Links that are
    /// only in the counters or only in the picture came or went between the two, and are left out.
    pub fn sample(&self, counters: &[(u32, Counters)], at: f64, seen: &NetInfo, visible: &Visibility) -> Vec<u8> {
        let counters: HashMap<u32, Counters> = counters.iter().copied().collect();
        let sight = Sight::of(seen, visible);
        let links = || {
            let known = seen.links().filter(|link| sight.shows(link));
            known.filter_map(|link| Some((link, *counters.get(&link.index)?)))
        };
        let devices = links().map(|(link, counters)| (link.index, (link.name, counters))).collect();
        let now = Sample { at, devices };
        let before = self.last.lock().unwrap_or_else(PoisonError::into_inner).keep(now);
        let mut speeds = Speeds::of(seen);
        Object::document(1024 + 256 * counters.len(), |report| {
            let (mut rx_dropped, mut tx_dropped) = (0_u64, 0_u64);
            report.object("network", |network| {
                for (link, counters) in links() {
                    rx_dropped = rx_dropped.saturating_add(counters.rx_dropped);
                    tx_dropped = tx_dropped.saturating_add(counters.tx_dropped);
                    let device = Device { link, counters, speed: speeds.get(link), at };
                    network.entry(link.name.as_str(), |keys| device.tell(&before, keys));
                }
            });
            report.number("rxDropped", rx_dropped);
            report.number("txDropped", tx_dropped);
        })
    }
}

/// One device in one sample.
struct Device<'a> {
    link: &'a SeenLink,
    counters: Counters,
    /// Mbit/s.
    speed: u64,
    at: f64,
}

impl Device<'_> {
    fn tell(&self, before: &Sample, keys: &mut Object<'_>) {
        let Counters { rx, tx, rx_errors, tx_errors, rx_dropped, tx_dropped } = self.counters;
        let (rx_rate, tx_rate) = self.rates(before).unwrap_or_default();
        keys.text("name", self.link.name);
        keys.text("speed", self.speed);
        keys.text("rx", rx);
        keys.text("tx", tx);
        keys.text("rxDropped", rx_dropped);
        keys.text("txDropped", tx_dropped);
        keys.text("rxErrors", rx_errors);
        keys.text("txErrors", tx_errors);
        keys.text("state", if self.link.running { "up" } else { "down" });
        keys.text(
            "duplex",
            match self.link.details.duplex {
                Some(Duplex::Half) => "half",
                Some(Duplex::Full) => "full",
                None => "unknown",
            },
        );
        keys.fraction("sampleTime", self.at);
        keys.text("rxRate", format!("{rx_rate:.1}").as_str());
        keys.text("txRate", format!("{tx_rate:.1}").as_str());
    }

    /// In and out, in percent of the speed. None when there is nothing to compare with: a first
    /// sample, a clock that was set back, or another device of the same name or index.
    fn rates(&self, before: &Sample) -> Option<(f64, f64)> {
        let (name, then) = before.devices.get(&self.link.index)?;
        let seconds = self.at - before.at;
        // A device that was made anew counts from zero; both ways it is another one.
        let rx = self.counters.rx.checked_sub(then.rx)?;
        let tx = self.counters.tx.checked_sub(then.tx)?;
        let whole = self.speed as f64 * 1e6 / 8.0 * seconds;
        (*name == self.link.name && seconds > 0.0).then(|| (rx as f64 / whole * 100.0, tx as f64 / whole * 100.0))
    }
}

/// Speeds of devices. Thousands of VLANs stand on one bond: it is asked once.
struct Speeds<'a> {
    seen: &'a NetInfo,
    bases: HashMap<DeviceName, u64>,
}

impl<'a> Speeds<'a> {
    fn of(seen: &'a NetInfo) -> Speeds<'a> {
        Speeds { seen, bases: HashMap::new() }
    }

    /// Mbit/s, [`USUAL_SPEED`] where nobody knows.
    fn get(&mut self, link: &SeenLink) -> u64 {
        let known = match link.kind {
            SeenKind::Vlan { device: Some(base), .. } => {
                let ask = || self.seen.link(&base).map_or(0, |base| speed(self.seen, base));
                *self.bases.entry(base).or_insert_with(ask)
            }
            _ => speed(self.seen, link),
        };
        if known == 0 { USUAL_SPEED } else { known }
    }
}

#[cfg(test)]
mod tests;
