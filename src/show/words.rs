//! How devices are told to people, in the tree and in the pictures alike: speeds, lights, ways out.
//!
//! Short words without a place or a colour; those are the drawing's own.

use super::topology::{Agreement, Layer3, Light, Link};

impl Light {
    /// Empty where the device has no opinion.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Light::Up => "up",
            Light::NoCarrier => "no carrier",
            Light::Down => "down",
            Light::Dormant => "dormant",
            Light::NotPresent => "not present",
            Light::Unknown => "",
        }
    }

    /// It was made ready to carry frames and does not.
    pub(crate) fn is_dark(self) -> bool {
        !matches!(self, Light::Up | Light::Unknown)
    }
}

impl Agreement {
    /// The mark of what does not agree; empty where all is well.
    pub(crate) fn mark(self) -> &'static str {
        match self {
            Agreement::Agrees => "",
            Agreement::Drifted => "! drifted",
            Agreement::Missing => "! missing",
        }
    }
}

impl Link {
    /// `10G`, `2.5G`, `100M full`: a duplex worth a word is half, or that of an old cable.
    pub(crate) fn speed_words(&self) -> Option<String> {
        let speed = self.speed?;
        let duplex = match self.half_duplex {
            Some(true) => " half",
            Some(false) if speed < 1000 => " full",
            _ => "",
        };
        Some(format!("{}{duplex}", short_speed(speed)))
    }

    /// What it is as a port, where that is not what one expects of a port.
    pub(crate) fn odd_port_state(&self) -> Option<&str> {
        self.port_state.as_deref().filter(|state| !matches!(*state, "forwarding" | "active" | "backup"))
    }
}

/// From Mbit/s: at most one digit after the point.
pub(crate) fn short_speed(mbit: u64) -> String {
    let tenths = |unit: u64| {
        let tenths = (u128::from(mbit) * 10 + u128::from(unit) / 2) / u128::from(unit);
        if tenths % 10 == 0 { format!("{}", tenths / 10) } else { format!("{}.{}", tenths / 10, tenths % 10) }
    };
    match mbit {
        0..1_000 => format!("{mbit}M"),
        1_000..1_000_000 => format!("{}G", tenths(1_000)),
        _ => format!("{}T", tenths(1_000_000)),
    }
}

impl Layer3 {
    /// The addresses, then the ways out.
    pub(crate) fn words(&self) -> Vec<String> {
        self.addresses.iter().cloned().chain(self.ways_out()).collect()
    }

    pub(crate) fn ways_out(&self) -> Vec<String> {
        let word = if self.default_route { "default via" } else { "gateway" };
        match (&self.gateway, self.default_route) {
            (Some(gateway), _) => Some(format!("{word} {gateway}")),
            (None, true) => Some("default route".to_owned()),
            (None, false) => None,
        }
        .into_iter()
        .chain(self.gateway6.as_ref().map(|gateway| format!("gateway {gateway}")))
        .collect()
    }
}

/// The first few of them by name, the others by number: a host may run hundreds of VMs.
pub(crate) fn a_few<'a>(names: impl Iterator<Item = &'a str>, few: usize) -> String {
    let names: Vec<&str> = names.collect();
    let named = names[..names.len().min(few)].join(" ");
    match names.len().saturating_sub(few) {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_speed_is_told_as_on_the_box() {
        let told = [0, 10, 100, 1_000, 2_500, 10_000, 999_949, 1_000_000, 1_600_000, u64::MAX].map(short_speed);
        assert_eq!(told[..9], ["0M", "10M", "100M", "1G", "2.5G", "10G", "999.9G", "1T", "1.6T"]);
        assert_eq!(told[9], "18446744073709.6T");
    }

    #[test]
    fn a_duplex_is_told_where_it_matters() {
        let told = |speed, half_duplex| Link { speed: Some(speed), half_duplex, ..Link::default() }.speed_words();
        assert_eq!(told(10_000, Some(false)).as_deref(), Some("10G"));
        assert_eq!(told(100, Some(false)).as_deref(), Some("100M full"));
        assert_eq!(told(1_000, Some(true)).as_deref(), Some("1G half"));
        assert_eq!(told(100, None).as_deref(), Some("100M"));
        assert_eq!(Link::default().speed_words(), None);
    }

    #[test]
    fn a_few_are_named_and_the_rest_are_counted() {
        assert_eq!(a_few(["a", "b", "c"].into_iter(), 3), "a b c");
        assert_eq!(a_few(["a", "b", "c", "d", "e"].into_iter(), 3), "a b c and 2 more");
        assert_eq!(a_few([].into_iter(), 3), "");
    }
}
