//! In which options two bonds differ, for people. What to do about it is `change.rs`'s.

use super::{BOND_OPTIONS, BondOptions, OptionValue};

/// An option in which two bonds differ: its name, and what the one and the other has, as sysfs
/// shows it; `none` for an empty value.
pub type Differing = (&'static str, String, String);

impl BondOptions {
    /// The options in which this bond is not [the same](BondOptions::same) as the other; none if,
    /// and only if, they are. The mode comes first, by name; under another mode, the options that
    /// the other's mode has no use for are not compared.
    pub fn differing(&self, other: &BondOptions) -> Vec<Differing> {
        let modes = (self.mode != other.mode).then(|| ("mode", self.mode.to_string(), other.mode.to_string()));
        let compared = BOND_OPTIONS.iter().filter(|option| modes.is_none() || option.works_in(other.mode));
        let differing = compared.filter_map(|option| {
            let (one, two) = (self.kept(option), other.kept(option));
            (one != two).then(|| (option.name, shown(&one), shown(&two)))
        });
        modes.iter().cloned().chain(differing).collect()
    }
}

fn shown(value: &OptionValue) -> String {
    let text = value.to_string();
    if text.is_empty() { "none".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn differing(one: &str, other: &str) -> Vec<String> {
        let parse = |text: &str| BondOptions::parse(text).unwrap();
        let (one, other) = (parse(one), parse(other));
        assert_eq!(one.differing(&other).is_empty(), one.same(&other));
        one.differing(&other).into_iter().map(|(name, one, other)| format!("{name} {one} {other}")).collect()
    }

    #[test]
    fn options_that_differ_are_named_with_both_values() {
        assert_eq!(differing("mode=1 miimon=100", "mode=1 miimon=150"), ["miimon 100 150"]);
        assert_eq!(differing("mode=1", "mode=1 primary=eth0"), ["primary none eth0"]);
        assert_eq!(
            differing("mode=1 arp_interval=100 arp_ip_target=10.0.0.1", "mode=1 arp_interval=100"),
            ["arp_ip_target 10.0.0.1 none"]
        );
    }

    #[test]
    fn another_mode_is_told_first_and_hides_what_it_has_no_use_for() {
        assert_eq!(
            differing("mode=1 miimon=100 primary=eth0", "mode=4 lacp_rate=1"),
            ["mode active-backup (1) 802.3ad (4)", "lacp_rate 0 1"]
        );
    }

    #[test]
    fn rounding_spelling_order_and_custom_data_are_no_difference() {
        for (one, other) in [
            ("mode=1 miimon=100 updelay=250", "miimon=100 updelay=200 mode=active-backup"),
            (
                "mode=1 arp_interval=100 arp_ip_target=10.0.0.2,10.0.0.1",
                "mode=1 arp_interval=100 arp_ip_target=10.0.0.1,10.0.0.2",
            ),
            ("mode=4 custom=a:b", "mode=4 lacp_rate=slow"),
        ] {
            assert_eq!(differing(one, other), [""; 0]);
        }
    }
}
