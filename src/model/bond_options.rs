//! The options of one bond: what was asked for, judged and normalised without touching a kernel.
//!
//! `table.rs` knows each option by itself, `change.rs` the way from one set to another. Whether a
//! device named as `primary` exists, or is a slave, is for the bond and the graph to judge.
//!
//! The rules are the kernel's, measured on Linux 6.1; nothing is refused here that the kernel
//! would take and keep. So `arp_interval` without a target and `arp_validate` without an interval
//! pass: the kernel takes both.

mod change;
mod differing;
mod table;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

pub use change::{Attribute, OptionChange, Payload};
pub use differing::Differing;
pub use table::{
    BOND_OPTIONS, BondMode, BondOption, Dumped, MAX_TARGETS, MODE_ATTRIBUTE, MODE_NEEDS, Needs, ValueKind, find,
};

/// The options of one bond: its mode, and every option that is not what the mode has by default.
///
/// Two that are equal by `==` were asked for alike. Whether a bond is as asked is [`same`].
///
/// [`same`]: BondOptions::same
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct BondOptions {
    mode: BondMode,
    #[serde(deserialize_with = "known")]
    values: BTreeMap<&'static str, OptionValue>,
    custom: Option<String>,
}

fn known<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeMap<&'static str, OptionValue>, D::Error> {
    let named = BTreeMap::<String, OptionValue>::deserialize(from)?;
    let name = |name: &str| find(name).map(|option| option.name);
    let known = named.into_iter().map(|(text, value)| Ok((name(&text).ok_or(text)?, value)));
    known.collect::<Result<_, String>>().map_err(|text| D::Error::custom(format!("no bond option is called {text}")))
}

/// The value of one option. A word for a number (`fast`) has become the number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum OptionValue {
    /// A number.
    Number(u32),
    /// A device's name; empty for none.
    Device(String),
    /// IPv4 addresses.
    Ips4(Vec<Ipv4Addr>),
    /// IPv6 addresses.
    Ips6(Vec<Ipv6Addr>),
    /// A MAC address; all zero for none.
    Mac([u8; 6]),
}

/// What is wrong with an option string.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BondOptionProblem {
    /// A word that is not `name=value`.
    #[error("Error parsing bonding options: '{text}' is not of the form name=value")]
    Unparsable {
        /// The word.
        text: String,
    },
    /// No kernel has such an option.
    #[error("'{name}' is not a valid bonding option{}", did_you_mean(.nearest))]
    Unknown {
        /// The name asked for.
        name: String,
        /// A name it may have been meant to be.
        nearest: Option<&'static str>,
    },
    /// The kernel refuses the option in this mode (`EACCES`), whatever its value.
    #[error("'{name}' is not a valid bonding option in mode {mode}")]
    NotInMode {
        /// The option.
        name: &'static str,
        /// The mode asked for.
        mode: BondMode,
    },
    /// The kernel refuses the value (`EINVAL`, `ERANGE`).
    #[error("bonding option {name} cannot be '{value}'; allowed: {allowed}")]
    BadValue {
        /// The option, or `mode`.
        name: &'static str,
        /// The value asked for.
        value: String,
        /// What the kernel would take.
        allowed: String,
    },
    /// The delays are counted in rounds of MII monitoring, so without it the kernel refuses them (`EPERM`).
    #[error("bonding option {name}={value} needs MII monitoring: miimon is 0")]
    DelayWithoutMiimon {
        /// `updelay`, `downdelay` or `peer_notif_delay`.
        name: &'static str,
        /// The value asked for.
        value: u32,
    },
    /// Two options the kernel refuses together (`EINVAL`), or of which it undoes the earlier one.
    #[error("bonding options {one} and {other} exclude each other: {rule}")]
    Conflict {
        /// The first, as `name=value`.
        one: String,
        /// The second, as `name=value`.
        other: String,
        /// Why.
        rule: &'static str,
    },
}

impl BondOptions {
    /// What a new bond of this mode has.
    pub fn defaults_of(mode: BondMode) -> BondOptions {
        BondOptions { mode, ..BondOptions::default() }
    }

    /// Reads the engine's `mode=4 miimon=100 custom=a:b,c:d`, and tells all that is wrong with it.
    ///
    /// The mode may stand anywhere, by name or number; without one it is 0, balance-rr. Of an
    /// option named twice the last counts, as if written to sysfs one after the other.
    pub fn parse(text: &str) -> Result<BondOptions, Vec<BondOptionProblem>> {
        let mut problems = Vec::new();
        let (mut mode, mut custom, mut asked) = (Ok(BondMode::default()), None, BTreeMap::new());
        for word in text.split_whitespace() {
            match word.split_once('=') {
                None | Some(("", _)) => problems.push(BondOptionProblem::Unparsable { text: word.to_owned() }),
                Some(("mode", value)) => mode = parse_mode(value),
                Some(("custom", value)) => custom = Some(value.to_owned()),
                Some((name, value)) => match find(name) {
                    Some(option) => drop(asked.insert(option.name, (option, value))),
                    None => problems.push(BondOptionProblem::Unknown {
                        name: name.to_owned(),
                        nearest: crate::nearest(name, &table::names()),
                    }),
                },
            }
        }
        let known_mode = mode.as_ref().ok().copied();
        let mut options = BondOptions { custom, ..BondOptions::defaults_of(known_mode.unwrap_or_default()) };
        problems.extend(mode.err());
        for (name, (option, value)) in asked {
            match parse_value(option, value) {
                Err(problem) => problems.push(problem),
                Ok(_) if known_mode.is_some_and(|mode| !option.works_in(mode)) => {
                    problems.push(BondOptionProblem::NotInMode { name, mode: options.mode });
                }
                Ok(value) => options.put(option, value),
            }
        }
        if known_mode.is_some() {
            problems.extend(options.conflicts());
        }
        if problems.is_empty() { Ok(options) } else { Err(problems) }
    }

    /// Reads the attributes of `IFLA_INFO_DATA`, as a netlink dump has them.
    ///
    /// What the kernel remembers but has no use for is left out: an option of another mode, and
    /// `arp_validate` beside MII monitoring. Attributes that are unknown or too short are skipped.
    pub fn from_kernel<'a>(
        attributes: impl Iterator<Item = (u16, &'a [u8])>,
        name_of_index: impl Fn(u32) -> Option<String>,
    ) -> BondOptions {
        let attributes: BTreeMap<u16, &[u8]> =
            attributes.map(|(kind, bytes)| (kind & change::TYPE_MASK, bytes)).collect();
        let mode = attributes.get(&MODE_ATTRIBUTE).and_then(|bytes| bytes.first());
        let mode = mode.and_then(|number| BondMode::from_number(u32::from(*number))).unwrap_or_default();
        let mut options = BondOptions::defaults_of(mode);
        for option in BOND_OPTIONS.iter().filter(|option| option.works_in(mode)) {
            let Some(bytes) = attributes.get(&option.attribute) else { continue };
            if let Some(value) = change::decode(option, bytes, &name_of_index) {
                options.put(option, value);
            }
        }
        if options.number("miimon") > 0 {
            options.values.remove("arp_validate");
        }
        options
    }

    /// The mode.
    pub fn mode(&self) -> BondMode {
        self.mode
    }

    /// The text after `custom=`: data for hooks, never sent to the kernel.
    pub fn custom(&self) -> Option<&str> {
        self.custom.as_deref()
    }

    /// The value of an option, or what the mode has when nobody asked. `None`: no such option.
    pub fn get(&self, name: &str) -> Option<OptionValue> {
        let option = find(name)?;
        Some(self.values.get(option.name).cloned().unwrap_or_else(|| default_value(option, self.mode)))
    }

    /// The same without `primary`, where that names one of these slaves.
    pub fn without_primary(&self, slaves: &[String]) -> Option<BondOptions> {
        match self.values.get("primary") {
            Some(OptionValue::Device(primary)) if slaves.contains(primary) => {
                let mut others = self.clone();
                others.values.remove("primary");
                Some(others)
            }
            _ => None,
        }
    }

    /// One spelling for all that mean the same: `mode=4 lacp_rate=1 custom=a:b`. The mode comes
    /// first, then in alphabetical order what is not the mode's default, all in numbers.
    pub fn canonical(&self) -> String {
        let mut words: Vec<_> = self.report().into_iter().map(|(name, value)| format!("{name}={value}")).collect();
        words.extend(self.custom.as_ref().map(|custom| format!("custom={custom}")));
        words.join(" ")
    }

    /// The `opts` of a bond in getCapabilities: the mode, and what is not the mode's default.
    pub fn report(&self) -> Vec<(String, String)> {
        let mode = ("mode".to_owned(), self.mode.number().to_string());
        let others = self.values.iter().map(|(name, value)| ((*name).to_owned(), value.to_string()));
        std::iter::once(mode).chain(others).collect()
    }

    /// Whether a bond with these options behaves like one with those: the kernel rounds the
    /// delays down to rounds of `miimon`, the order of targets is of no matter, and `custom` is
    /// none of its business.
    pub fn same(&self, other: &BondOptions) -> bool {
        self.mode == other.mode && BOND_OPTIONS.iter().all(|option| self.kept(option) == other.kept(option))
    }

    /// The value as the kernel keeps it.
    fn kept(&self, option: &'static BondOption) -> OptionValue {
        let value = self.values.get(option.name).cloned().unwrap_or_else(|| default_value(option, self.mode));
        match (value, self.number("miimon")) {
            (OptionValue::Number(_), 0) if is_delay(option) => OptionValue::Number(0),
            (OptionValue::Number(delay), miimon) if is_delay(option) => OptionValue::Number(delay - delay % miimon),
            (OptionValue::Ips4(mut addresses), _) => {
                addresses.sort();
                OptionValue::Ips4(addresses)
            }
            (OptionValue::Ips6(mut addresses), _) => {
                addresses.sort();
                OptionValue::Ips6(addresses)
            }
            (value, _) => value,
        }
    }

    fn put(&mut self, option: &'static BondOption, value: OptionValue) {
        if value == default_value(option, self.mode) {
            self.values.remove(option.name);
        } else {
            self.values.insert(option.name, value);
        }
    }

    /// The value of an option that is a number.
    fn number(&self, name: &str) -> u32 {
        match self.get(name) {
            Some(OptionValue::Number(number)) => number,
            _ => 0,
        }
    }

    fn conflicts(&self) -> Vec<BondOptionProblem> {
        let mut problems = Vec::new();
        let miimon = self.number("miimon");
        for name in DELAYS {
            // A delay of 0 is refused by the kernel too, but then we have no reason to send it.
            let value = self.number(name);
            if miimon == 0 && value != 0 {
                problems.push(BondOptionProblem::DelayWithoutMiimon { name, value });
            }
        }
        for name in ["arp_interval", "arp_validate"] {
            let value = self.number(name);
            if miimon != 0 && value != 0 {
                let (one, other) = (format!("miimon={miimon}"), format!("{name}={value}"));
                let rule = "a bond is monitored either by MII or by ARP";
                problems.push(BondOptionProblem::Conflict { one, other, rule });
            }
        }
        problems
    }
}

/// As `parse` reads it, and as sysfs and getCapabilities show it.
impl fmt::Display for OptionValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fn list<T: ToString>(items: &[T]) -> String {
            items.iter().map(T::to_string).collect::<Vec<_>>().join(",")
        }
        match self {
            OptionValue::Number(number) => write!(f, "{number}"),
            OptionValue::Device(name) => f.write_str(name),
            OptionValue::Ips4(addresses) => f.write_str(&list(addresses)),
            OptionValue::Ips6(addresses) => f.write_str(&list(addresses)),
            OptionValue::Mac([a, b, c, d, e, g]) => write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}"),
        }
    }
}

const DELAYS: [&str; 3] = ["updelay", "downdelay", "peer_notif_delay"];

fn is_delay(option: &BondOption) -> bool {
    DELAYS.contains(&option.name)
}

fn default_value(option: &BondOption, mode: BondMode) -> OptionValue {
    match option.kind {
        ValueKind::U8 | ValueKind::U16 | ValueKind::U32 => OptionValue::Number(option.default_number(mode)),
        ValueKind::Device => OptionValue::Device(String::new()),
        ValueKind::Ips4 => OptionValue::Ips4(Vec::new()),
        ValueKind::Ips6 => OptionValue::Ips6(Vec::new()),
        ValueKind::Mac => OptionValue::Mac([0; 6]),
    }
}

fn parse_mode(text: &str) -> Result<BondMode, BondOptionProblem> {
    parse_number(text, table::MODE_NAMES).and_then(BondMode::from_number).ok_or_else(|| {
        let modes: Vec<_> = BondMode::ALL.iter().map(BondMode::to_string).collect();
        BondOptionProblem::BadValue { name: "mode", value: text.to_owned(), allowed: modes.join(", ") }
    })
}

fn parse_value(option: &'static BondOption, text: &str) -> Result<OptionValue, BondOptionProblem> {
    let value = match option.kind {
        ValueKind::U8 | ValueKind::U16 | ValueKind::U32 => parse_number(text, option.symbols)
            .filter(|number| (option.range.0..=option.range.1).contains(number))
            .map(OptionValue::Number),
        ValueKind::Device => is_device_name(text).then(|| OptionValue::Device(text.to_owned())),
        ValueKind::Ips4 => parse_targets(text)
            .filter(|all: &Vec<Ipv4Addr>| !all.iter().any(|a| a.is_unspecified() || a.is_broadcast()))
            .map(OptionValue::Ips4),
        ValueKind::Ips6 => parse_targets(text)
            .filter(|all: &Vec<Ipv6Addr>| {
                !all.iter().any(|a| a.is_unspecified() || a.is_loopback() || a.is_multicast())
            })
            .map(OptionValue::Ips6),
        ValueKind::Mac => parse_mac(text).filter(|mac| mac[0] & 1 == 0).map(OptionValue::Mac),
    };
    let value_text = || text.to_owned();
    value.ok_or_else(|| BondOptionProblem::BadValue {
        name: option.name,
        value: value_text(),
        allowed: option.allowed(),
    })
}

/// As the kernel reads sysfs: digits are a decimal number, all else is a word, in lower case.
fn parse_number(text: &str, symbols: &[(&str, u32)]) -> Option<u32> {
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse().ok();
    }
    symbols.iter().find(|(word, _)| *word == text).map(|(_, number)| *number)
}

/// Comma separated, each with an optional `+` as one writes it to sysfs. None at all is no target.
fn parse_targets<T: std::str::FromStr + Ord + Copy>(text: &str) -> Option<Vec<T>> {
    if text.is_empty() {
        return Some(Vec::new());
    }
    let parse = |word: &str| word.strip_prefix('+').unwrap_or(word).parse().ok();
    let targets: Vec<T> = text.split(',').map(parse).collect::<Option<_>>()?;
    // The kernel refuses the same target twice, and a 17th.
    let different: BTreeSet<_> = targets.iter().copied().collect();
    (different.len() == targets.len() && targets.len() <= MAX_TARGETS).then_some(targets)
}

pub(crate) fn parse_mac(text: &str) -> Option<[u8; 6]> {
    let mut mac = [0; 6];
    let mut words = text.split(':');
    for byte in &mut mac {
        let word = words.next().filter(|word| word.len() == 2 && !word.starts_with('+'))?;
        *byte = u8::from_str_radix(word, 16).ok()?;
    }
    words.next().is_none().then_some(mac)
}

/// `IFNAMSIZ` leaves 15 bytes; empty is how one asks for no primary.
fn is_device_name(text: &str) -> bool {
    text.len() <= 15 && !matches!(text, "." | "..") && !text.contains(['/', ':'])
}

fn did_you_mean(nearest: &Option<&'static str>) -> String {
    nearest.map(|name| format!("; did you mean '{name}'?")).unwrap_or_default()
}
