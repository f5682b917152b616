//! Two readings of a device's counters become rates, and rates become words.
//!
//! Nothing here knows of networks or screens.

use serde_json::Value;

/// What went through a device since the last reading.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Traffic {
    /// The device has no counters.
    Unknown,
    /// There is no earlier reading, or no time has passed since.
    Waiting,
    /// The device was not there before, or its counters began anew: it was made again.
    New,
    /// In bit/s, and packets since the last reading.
    Rates { rx: f64, tx: f64, drops: u64, errors: u64 },
}

/// Counters of one device at one time.
struct Reading {
    /// In seconds since any moment.
    time: Option<f64>,
    /// In the order of `COUNTERS`; bytes first, then packets.
    counters: [u64; COUNTERS.len()],
}

const COUNTERS: [&str; 6] = ["rx", "tx", "rxDropped", "txDropped", "rxErrors", "txErrors"];

impl Traffic {
    /// Between two entries of `Host.getStats`. `first` says that there was no earlier answer at all.
    pub(super) fn between(previous: Option<&Value>, current: Option<&Value>, first: bool) -> Traffic {
        let Some(now) = current.and_then(Reading::of) else { return Traffic::Unknown };
        let Some(before) = previous.and_then(Reading::of) else {
            return if first { Traffic::Waiting } else { Traffic::New };
        };
        if now.counters.iter().zip(&before.counters).any(|(now, before)| now < before) {
            return Traffic::New;
        }
        let [rx, tx, drops_in, drops_out, errors_in, errors_out] =
            std::array::from_fn(|at| now.counters[at] - before.counters[at]);
        let passed = now.time.zip(before.time).map_or(0.0, |(now, before)| now - before);
        let rate = |bytes: u64| bytes as f64 * 8.0 / passed;
        if passed <= 0.0 || !(rate(rx) + rate(tx)).is_finite() {
            return Traffic::Waiting;
        }
        Traffic::Rates {
            rx: rate(rx),
            tx: rate(tx),
            drops: drops_in.saturating_add(drops_out),
            errors: errors_in.saturating_add(errors_out),
        }
    }

    /// In bit/s, both directions together.
    pub(super) fn total(self) -> Option<f64> {
        match self {
            Traffic::Rates { rx, tx, .. } => Some(rx + tx),
            _ => None,
        }
    }

    /// The share of the line that is in use, 1 for all of it. A half-duplex line is one for both
    /// directions. `speed` is in Mbit/s.
    pub(super) fn utilisation(self, speed: Option<u64>, half_duplex: bool) -> Option<f64> {
        let Traffic::Rates { rx, tx, .. } = self else { return None };
        let busy = if half_duplex { rx + tx } else { rx.max(tx) };
        Some(busy / (speed.filter(|speed| *speed > 0)? as f64 * 1e6))
    }
}

impl Reading {
    /// Nothing if a byte counter is missing; other counters count as zero then.
    fn of(entry: &Value) -> Option<Reading> {
        let counter = |key| number(entry.get(key)?);
        let time = entry.get("sampleTime").and_then(|time| time.as_f64().or_else(|| time.as_str()?.parse().ok()));
        counter(COUNTERS[0]).and(counter(COUNTERS[1]))?;
        let counters = COUNTERS.map(|key| counter(key).unwrap_or(0));
        Some(Reading { time: time.filter(|time| time.is_finite()), counters })
    }
}

/// `Host.getStats` spells counters as strings.
pub(super) fn number(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

/// `1.23 Gbit/s`: three digits, in steps of a thousand, 11 characters at most.
pub(super) fn bits(rate: f64) -> String {
    const UNITS: [&str; 7] = ["bit/s", "kbit/s", "Mbit/s", "Gbit/s", "Tbit/s", "Pbit/s", "Ebit/s"];
    scaled(rate, &UNITS, " ")
}

/// `12.3k`: the same for packets.
pub(super) fn packets(count: u64) -> String {
    scaled(count as f64, &["", "k", "M", "G", "T", "P", "E"], "")
}

fn scaled(amount: f64, units: &[&str], gap: &str) -> String {
    // What would be rounded up to a thousand is one of the next unit.
    let (mut amount, mut at) = (amount, 0);
    while amount >= 999.5 && at + 1 < units.len() {
        (amount, at) = (amount / 1000.0, at + 1);
    }
    let digits = match amount {
        _ if at == 0 => 0,
        ..9.995 => 2,
        9.995..99.95 => 1,
        _ => 0,
    };
    match amount {
        ..999.5 => format!("{amount:.digits$}{gap}{}", units[at]),
        _ => format!(">999{gap}{}", units[at]),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn reading(rx: u64, tx: u64, time: f64) -> Value {
        json!({"rx": rx.to_string(), "tx": tx.to_string(), "rxDropped": "1", "txErrors": "2", "sampleTime": time})
    }

    fn between(before: Value, now: Value) -> Traffic {
        Traffic::between(Some(&before), Some(&now), false)
    }

    #[test]
    fn bytes_become_bits_per_second() {
        let rates = between(reading(1000, 0, 10.0), reading(3000, 500, 12.0));
        assert_eq!(rates, Traffic::Rates { rx: 8000.0, tx: 2000.0, drops: 0, errors: 0 });
        let mut later = reading(1000, 0, 12.0);
        later["rxDropped"] = json!("4");
        later["txDropped"] = json!("2");
        later["rxErrors"] = json!("7");
        let expected = Traffic::Rates { rx: 0.0, tx: 0.0, drops: 5, errors: 7 };
        assert_eq!(between(reading(1000, 0, 10.0), later), expected);
    }

    #[test]
    fn counters_that_went_backwards_are_of_a_new_device() {
        assert_eq!(between(reading(1000, 0, 10.0), reading(999, 500, 12.0)), Traffic::New);
        assert_eq!(
            between(reading(1000, 0, 10.0), reading(u64::MAX, 500, 12.0)).total().map(|it| it > 1e18),
            Some(true)
        );
        assert_eq!(Traffic::between(None, Some(&reading(9, 9, 1.0)), false), Traffic::New);
    }

    #[test]
    fn without_two_readings_there_is_no_rate() {
        assert_eq!(Traffic::between(None, Some(&reading(9, 9, 1.0)), true), Traffic::Waiting);
        assert_eq!(between(reading(1, 1, 10.0), reading(2, 2, 10.0)), Traffic::Waiting);
        assert_eq!(between(reading(1, 1, 10.0), reading(2, 2, 9.0)), Traffic::Waiting);
        assert_eq!(between(reading(1, 1, 0.0), reading(u64::MAX, 2, f64::MIN_POSITIVE)), Traffic::Waiting);
        assert_eq!(between(json!({"rx": "1", "tx": "1"}), json!({"rx": "2", "tx": "2"})), Traffic::Waiting);
        assert_eq!(between(reading(1, 1, 1.0), json!({"rx": "1"})), Traffic::Unknown);
        assert_eq!(Traffic::between(None, None, false), Traffic::Unknown);
    }

    #[test]
    fn both_directions_share_a_half_duplex_line() {
        let rates = Traffic::Rates { rx: 30e6, tx: 40e6, drops: 0, errors: 0 };
        assert_eq!(rates.utilisation(Some(100), false), Some(0.4));
        assert_eq!(rates.utilisation(Some(100), true), Some(0.7));
        assert_eq!(rates.utilisation(None, false), None);
        assert_eq!(rates.utilisation(Some(0), false), None);
        assert_eq!(Traffic::New.utilisation(Some(100), false), None);
    }

    #[test]
    fn rates_have_three_digits() {
        let told = [0.0, 7.4, 999.4, 999.6, 1234.0, 9_994.0, 9_996.0, 99_960.0, 12.3e6, 999.7e6, 1e20, 1e300].map(bits);
        let expected = [
            "0 bit/s",
            "7 bit/s",
            "999 bit/s",
            "1.00 kbit/s",
            "1.23 kbit/s",
            "9.99 kbit/s",
            "10.0 kbit/s",
            "100 kbit/s",
            "12.3 Mbit/s",
            "1.00 Gbit/s",
            "100 Ebit/s",
            ">999 Ebit/s",
        ];
        assert_eq!(told, expected);
        assert_eq!([0, 999, 12_345, u64::MAX].map(packets), ["0", "999", "12.3k", "18.4E"]);
    }
}
