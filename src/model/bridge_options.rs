//! The options of one bridge, by the names of the files under `/sys/class/net/BR/bridge/`.
//!
//! `custom.bridge_opts` is made of them, and getCapabilities shows them all. Ports have options of
//! their own, and those are not here; neither is the bridge's MAC or MTU.
//!
//! Measured on Linux 6.1, by netlink and by sysfs, with the same result:
//! * STP off: any `forward_delay` is kept. Turning STP on moves it into 200..=3000, silently. STP
//!   on: a value out of there is `ERANGE`, even in the message that turns STP off, as the kernel
//!   applies the delay before the state.
//! * `hello_time` and `max_age` have their range whether STP is on or off.
//! * What is true or false takes any number and keeps 1, but `vlan_stats_enabled` and
//!   `vlan_stats_per_port` are `EINVAL` above 1; the latter is `EBUSY` while a port has a VLAN.
//! * `hash_elasticity` is taken and ignored (since Linux 4.20).
//! * The query intervals are moved into 100..=8640000, silently.

use std::collections::BTreeMap;
use std::fmt;

/// Values for some or all of a bridge's settable options.
///
/// A time is in centiseconds, a truth 0 or 1, a MAC address its 48 bits.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BridgeOptions {
    values: BTreeMap<&'static str, u64>,
}

/// One option to be set, in a message of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BridgeChange {
    /// The option.
    pub name: &'static str,
    /// Its new value.
    pub value: u64,
    /// The number of its `IFLA_BR_*` attribute inside `IFLA_INFO_DATA`.
    pub attribute: u16,
    /// The attribute's content.
    pub bytes: Vec<u8>,
}

/// What is wrong with an option string.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BridgeOptionProblem {
    /// A word that is not `name=value`.
    #[error("'{text}' is not of the form name=value")]
    Unparsable {
        /// The word.
        text: String,
    },
    /// No kernel has such an option.
    #[error("'{name}' is not a bridge option{}", did_you_mean(.nearest))]
    Unknown {
        /// The name asked for.
        name: String,
        /// A name it may have been meant to be.
        nearest: Option<&'static str>,
    },
    /// One can read it, or trigger something with it, but there is nothing to keep.
    #[error("bridge option {name} cannot be set: {reason}")]
    NotSettable {
        /// The name asked for.
        name: &'static str,
        /// Why.
        reason: &'static str,
    },
    /// The kernel refuses the value (`EINVAL`, `ERANGE`, `EPROTONOSUPPORT`).
    #[error("bridge option {name} cannot be '{value}'; allowed: {allowed}")]
    BadValue {
        /// The option.
        name: &'static str,
        /// The value asked for.
        value: String,
        /// What the kernel would take.
        allowed: String,
    },
}

impl BridgeOptions {
    /// Reads `name=value name=value`, and tells all that is wrong with it.
    ///
    /// Numbers are decimal, `0x` hexadecimal or `0` octal, as sysfs reads them. Of an option named
    /// twice the last counts.
    pub fn parse(text: &str) -> Result<BridgeOptions, Vec<BridgeOptionProblem>> {
        let (mut options, mut problems) = (BridgeOptions::default(), Vec::new());
        for word in text.split_whitespace() {
            match parse_word(word) {
                Ok((row, value)) => drop(options.values.insert(row.name, value)),
                Err(problem) => problems.push(problem),
            }
        }
        if problems.is_empty() { Ok(options) } else { Err(problems) }
    }

    /// Reads the attributes of `IFLA_INFO_DATA`, as a netlink dump has them.
    pub fn from_kernel<'a>(attributes: impl Iterator<Item = (u16, &'a [u8])>) -> BridgeOptions {
        let attributes: BTreeMap<u16, &[u8]> = attributes.map(|(kind, bytes)| (kind & TYPE_MASK, bytes)).collect();
        let value = |row: &'static Row| Some((row.name, row.kind.decode(attributes.get(&row.attribute)?)?));
        BridgeOptions { values: settable().filter_map(value).collect() }
    }

    /// The value of an option that was named.
    pub fn get(&self, name: &str) -> Option<u64> {
        self.values.get(name).copied()
    }

    /// Names an option. A name that is no settable option is passed over.
    pub fn set(&mut self, name: &str, value: u64) {
        if let Some(row) = settable().find(|row| row.name == name) {
            self.values.insert(row.name, row.kind.kept(value));
        }
    }

    /// Takes over all that the other names.
    pub fn extend(&mut self, other: &BridgeOptions) {
        self.values.extend(&other.values);
    }

    /// Sets to the kernel's default what the other names.
    pub fn reset(&mut self, other: &BridgeOptions) {
        for name in other.values.keys() {
            if let Some(value) = default_of(name) {
                self.set(name, value);
            }
        }
    }

    /// The names and values, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        self.values.iter().map(|(name, value)| (*name, *value))
    }

    /// Whether nothing is named.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// One spelling for all that mean the same: sorted by name, values as sysfs shows them.
    pub fn canonical(&self) -> String {
        let words = self.iter().filter_map(|(name, value)| Some(format!("{name}={}", row(name)?.kind.shown(value))));
        words.collect::<Vec<_>>().join(" ")
    }

    /// What the kernel will hold once all of this is set: with STP on it moves the forward delay
    /// into its range.
    pub fn effective(&self) -> BridgeOptions {
        let mut options = self.clone();
        if options.get("stp_state").is_some_and(|state| state != 0) {
            options.values.entry("forward_delay").and_modify(|delay| *delay = (*delay).clamp(200, 3000));
        }
        options
    }

    /// What to set, one message after the other, on a bridge that has `seen`, to make it as we
    /// say. What we do not name stays as it is.
    pub fn changes_from(&self, seen: &BridgeOptions) -> Vec<BridgeChange> {
        let mut goal = self.clone();
        if !goal.values.contains_key("stp_state") {
            // It stays, and with it the rule for the forward delay.
            goal.values.extend(seen.get("stp_state").map(|state| ("stp_state", state)));
        }
        let wanted = goal.effective();
        let differs = |(name, value): &(&'static str, u64)| !seen.get(name).is_some_and(|had| same(name, had, *value));
        let mut changes: Vec<_> = wanted
            .iter()
            .filter(differs)
            .filter(|(name, _)| self.values.contains_key(name))
            .filter_map(|(name, value)| {
                let (attribute, bytes) = encode(name, value)?;
                Some(BridgeChange { name, value, attribute, bytes })
            })
            .collect();
        // With STP on the delay has a range: leave that first, and enter it last.
        changes.sort_by_key(|change| match (change.name, change.value) {
            ("stp_state", 0) => 0,
            ("stp_state", _) => 2,
            _ => 1,
        });
        changes
    }
}

/// As in [`BridgeOptions::canonical`].
impl fmt::Display for BridgeOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.canonical())
    }
}

/// The value of a new bridge (Linux 6.1). `None`: no settable option of that name.
///
/// The `nf_call_*` options are 0 here; a host may have a system-wide 1 besides, in
/// `net.bridge.bridge-nf-call-*`.
pub fn default_of(name: &str) -> Option<u64> {
    settable().find(|row| row.name == name).map(|row| row.default)
}

/// Whether a bridge with the one value behaves like one with the other.
///
/// A kernel with 250 ticks a second, as Debian's, rounds centiseconds down on the way in and out.
pub fn same(name: &str, one: u64, other: u64) -> bool {
    match row(name).map(|row| (row.kind, row.name)) {
        // Nobody can change it since Linux 4.20.
        Some((_, "hash_elasticity")) => true,
        Some((Kind::Time32 | Kind::Time64, _)) => one.abs_diff(other) <= 1,
        // 1 is STP in the kernel, 2 in a daemon that the kernel called for it.
        Some((Kind::Truth8 | Kind::Truth32 | Kind::Bit, _)) => (one != 0) == (other != 0),
        _ => one == other,
    }
}

/// The attribute to set an option: its number and content.
pub fn encode(name: &str, value: u64) -> Option<(u16, Vec<u8>)> {
    let row = settable().find(|row| row.name == name)?;
    Some((row.attribute, row.kind.encode(value)))
}

/// The `opts` of a bridge in getCapabilities: every option, by name, as sysfs shows it, as far as
/// the dump has it. `flush` is not there: it is a trigger.
pub fn report<'a>(attributes: impl Iterator<Item = (u16, &'a [u8])>) -> Vec<(String, String)> {
    let attributes: BTreeMap<u16, &[u8]> = attributes.map(|(kind, bytes)| (kind & TYPE_MASK, bytes)).collect();
    let shown = |row: &Row| {
        let bytes = attributes.get(&row.attribute)?;
        Some((row.name.to_owned(), row.kind.shown(row.kind.decode(bytes)?)))
    };
    let mut report: Vec<_> = ROWS.iter().filter_map(shown).collect();
    report.sort();
    report
}

/// `NLA_F_NESTED` and `NLA_F_NET_BYTEORDER` are flags beside an attribute's type.
const TYPE_MASK: u16 = 0x3fff;

/// One file of `/sys/class/net/BR/bridge/`.
struct Row {
    name: &'static str,
    /// The number of `IFLA_BR_*`, from `linux/if_link.h`.
    attribute: u16,
    kind: Kind,
    default: u64,
    range: (u64, u64),
    /// Why it cannot be set, if so.
    fixed: Option<&'static str>,
}

/// What a value is, and in how many bytes it travels.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Truth8,
    Truth32,
    U8,
    U16,
    U32,
    /// Centiseconds.
    Time32,
    Time64,
    /// 16 bits that sysfs shows in hexadecimal.
    Mask,
    /// 0x8100 or 0x88a8, in network byte order.
    Protocol,
    Mac,
    /// Two bytes of priority, six of MAC.
    Id,
    /// `BR_BOOLOPT_NO_LL_LEARN`, bit 0 of `IFLA_BR_MULTI_BOOLOPT` (value, then mask).
    Bit,
}

impl Kind {
    fn decode(self, bytes: &[u8]) -> Option<u64> {
        let big = |bytes: &[u8]| bytes.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
        Some(match self {
            Kind::Truth8 | Kind::U8 => u64::from(*bytes.first()?),
            Kind::U16 | Kind::Mask => u64::from(u16::from_ne_bytes(*bytes.first_chunk()?)),
            Kind::Truth32 | Kind::U32 | Kind::Time32 => u64::from(u32::from_ne_bytes(*bytes.first_chunk()?)),
            Kind::Time64 => u64::from_ne_bytes(*bytes.first_chunk()?),
            Kind::Protocol => big(bytes.first_chunk::<2>()?),
            Kind::Mac => big(bytes.first_chunk::<6>()?),
            Kind::Id => big(bytes.first_chunk::<8>()?),
            Kind::Bit => u64::from(u32::from_ne_bytes(*bytes.first_chunk()?) & 1),
        })
    }

    fn encode(self, value: u64) -> Vec<u8> {
        let narrow = u32::try_from(value).unwrap_or(u32::MAX);
        let short = u16::try_from(value).unwrap_or(u16::MAX);
        match self {
            Kind::Truth8 | Kind::U8 => vec![u8::try_from(value).unwrap_or(u8::MAX)],
            Kind::U16 | Kind::Mask => short.to_ne_bytes().to_vec(),
            Kind::Truth32 | Kind::U32 | Kind::Time32 => narrow.to_ne_bytes().to_vec(),
            Kind::Time64 => value.to_ne_bytes().to_vec(),
            Kind::Protocol => short.to_be_bytes().to_vec(),
            Kind::Mac => value.to_be_bytes()[2..].to_vec(),
            Kind::Id => value.to_be_bytes().to_vec(),
            Kind::Bit => [u32::from(value != 0).to_ne_bytes(), 1u32.to_ne_bytes()].concat(),
        }
    }

    fn shown(self, value: u64) -> String {
        let mac = |bytes: &[u8], between: &str| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(between);
        match (self, &value.to_be_bytes()) {
            (Kind::Mask, _) => format!("{value:#x}"),
            (Kind::Protocol, _) => format!("{value:#06x}"),
            (Kind::Mac, bytes) => mac(&bytes[2..], ":"),
            (Kind::Id, bytes) => format!("{}.{}", mac(&bytes[..2], ""), mac(&bytes[2..], "")),
            _ => value.to_string(),
        }
    }

    /// What the kernel makes of a value it takes.
    fn kept(self, value: u64) -> u64 {
        match self {
            Kind::Truth8 | Kind::Truth32 | Kind::Bit => u64::from(value != 0),
            _ => value,
        }
    }
}

impl Row {
    fn allowed(&self) -> String {
        match self.kind {
            Kind::Truth8 | Kind::Truth32 | Kind::Bit => "0, 1".to_owned(),
            Kind::Mask => "0x0 to 0xffff without the bits 0, 1 and 2 (STP, pause and LACP frames)".to_owned(),
            Kind::Protocol => "0x8100 (802.1Q), 0x88a8 (802.1ad)".to_owned(),
            Kind::Mac => "01:80:c2:00:00:00, 01:80:c2:00:00:04 to 01:80:c2:00:00:0f".to_owned(),
            Kind::Time32 | Kind::Time64 => format!("{} to {} (centiseconds)", self.range.0, self.range.1),
            _ => format!("{} to {}", self.range.0, self.range.1),
        }
    }

    fn parse(&self, text: &str) -> Option<u64> {
        let value = match self.kind {
            Kind::Mac => crate::bond_options::parse_mac(text).and_then(|mac| Kind::Mac.decode(&mac))?,
            _ => parse_number(text)?,
        };
        let taken = match self.kind {
            Kind::Mask => value & 7 == 0,
            Kind::Protocol => matches!(value, 0x8100 | 0x88a8),
            // 1, 2 and 3 belong to pause frames, LACP and 802.1X.
            Kind::Mac => value >> 4 == 0x0180_c200_0000 >> 4 && !matches!(value & 15, 1..=3),
            _ => true,
        };
        let value = if matches!(self.name, "multicast_query_interval" | "multicast_startup_query_interval") {
            value.clamp(self.range.0, self.range.1)
        } else {
            value
        };
        (taken && (self.range.0..=self.range.1).contains(&value)).then(|| self.kind.kept(value))
    }

    const fn normally(self, default: u64) -> Row {
        Row { default, ..self }
    }

    const fn range(self, low: u64, high: u64) -> Row {
        Row { range: (low, high), ..self }
    }

    const fn fixed(self, reason: &'static str) -> Row {
        Row { fixed: Some(reason), ..self }
    }
}

const fn new(name: &'static str, attribute: u16, kind: Kind) -> Row {
    let limit = match kind {
        Kind::Truth8 | Kind::Truth32 | Kind::Bit | Kind::U8 => u8::MAX as u64,
        Kind::U16 | Kind::Mask | Kind::Protocol => u16::MAX as u64,
        Kind::U32 | Kind::Time32 => u32::MAX as u64,
        // The kernel counts in ticks, of which there may be ten in a centisecond.
        Kind::Time64 => u32::MAX as u64,
        Kind::Mac => 0xffff_ffff_ffff,
        Kind::Id => u64::MAX,
    };
    Row { name, attribute, kind, default: 0, range: (0, limit), fixed: None }
}

const STATE: &str = "it tells what STP found";
const TIMER: &str = "it tells when a timer will fire";

use Kind::{Bit, Id, Mac, Mask, Protocol, Time32, Time64, Truth8, Truth32, U8, U16, U32};

#[rustfmt::skip]
static ROWS: &[Row] = &[
    new("forward_delay", 1, Time32).normally(1500),
    new("hello_time", 2, Time32).normally(200).range(100, 1000),
    new("max_age", 3, Time32).normally(2000).range(600, 4000),
    new("ageing_time", 4, Time32).normally(30000),
    new("stp_state", 5, Truth32),
    new("priority", 6, U16).normally(32768),
    new("vlan_filtering", 7, Truth8),
    new("vlan_protocol", 8, Protocol).normally(0x8100),
    new("group_fwd_mask", 9, Mask),
    new("root_id", 10, Id).fixed(STATE),
    new("bridge_id", 11, Id).fixed("it is made of the priority and the MAC address"),
    new("root_port", 12, U16).fixed(STATE),
    new("root_path_cost", 13, U32).fixed(STATE),
    new("topology_change", 14, U8).fixed(STATE),
    new("topology_change_detected", 15, U8).fixed(STATE),
    new("hello_timer", 16, Time64).fixed(TIMER),
    new("tcn_timer", 17, Time64).fixed(TIMER),
    new("topology_change_timer", 18, Time64).fixed(TIMER),
    new("gc_timer", 19, Time64).fixed(TIMER),
    new("group_addr", 20, Mac).normally(0x0180_c200_0000),
    new("multicast_router", 22, U8).normally(1).range(0, 2),
    new("multicast_snooping", 23, Truth8).normally(1),
    new("multicast_query_use_ifaddr", 24, Truth8),
    new("multicast_querier", 25, Truth8),
    new("hash_elasticity", 26, U32).normally(16),
    new("hash_max", 27, U32).normally(4096),
    new("multicast_last_member_count", 28, U32).normally(2),
    new("multicast_startup_query_count", 29, U32).normally(2),
    new("multicast_last_member_interval", 30, Time64).normally(100),
    new("multicast_membership_interval", 31, Time64).normally(26000),
    new("multicast_querier_interval", 32, Time64).normally(25500),
    new("multicast_query_interval", 33, Time64).normally(12500).range(100, 8_640_000),
    new("multicast_query_response_interval", 34, Time64).normally(1000),
    new("multicast_startup_query_interval", 35, Time64).normally(3125).range(100, 8_640_000),
    new("nf_call_iptables", 36, Truth8),
    new("nf_call_ip6tables", 37, Truth8),
    new("nf_call_arptables", 38, Truth8),
    new("default_pvid", 39, U16).normally(1).range(0, 4094),
    new("vlan_stats_enabled", 41, U8).range(0, 1),
    new("multicast_stats_enabled", 42, Truth8),
    new("multicast_igmp_version", 43, U8).normally(2).range(2, 3),
    new("multicast_mld_version", 44, U8).normally(1).range(1, 2),
    new("vlan_stats_per_port", 45, U8).range(0, 1),
    new("no_linklocal_learn", 46, Bit),
];

fn row(name: &str) -> Option<&'static Row> {
    ROWS.iter().find(|row| row.name == name)
}

fn settable() -> impl Iterator<Item = &'static Row> {
    ROWS.iter().filter(|row| row.fixed.is_none())
}

fn names() -> Vec<&'static str> {
    settable().map(|row| row.name).collect()
}

fn parse_word(word: &str) -> Result<(&'static Row, u64), BridgeOptionProblem> {
    let (name, value) = word
        .split_once('=')
        .filter(|(name, _)| !name.is_empty())
        .ok_or_else(|| BridgeOptionProblem::Unparsable { text: word.to_owned() })?;
    if name == "flush" {
        let reason = "it forgets the learned addresses once, and keeps nothing";
        return Err(BridgeOptionProblem::NotSettable { name: "flush", reason });
    }
    let row = row(name).ok_or_else(|| BridgeOptionProblem::Unknown { name: name.to_owned(), nearest: crate::nearest(name, &names()) })?;
    if let Some(reason) = row.fixed {
        return Err(BridgeOptionProblem::NotSettable { name: row.name, reason });
    }
    let value = row.parse(value).ok_or_else(|| BridgeOptionProblem::BadValue {
        name: row.name,
        value: value.to_owned(),
        allowed: row.allowed(),
    })?;
    Ok((row, value))
}

/// As `kstrtoul(.., 0, ..)` in the kernel.
fn parse_number(text: &str) -> Option<u64> {
    let (digits, radix) = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => (digits, 16),
        None if text.len() > 1 && text.starts_with('0') => (&text[1..], 8),
        None => (text, 10),
    };
    // `from_str_radix` would take a sign.
    digits.starts_with(|first: char| first.is_digit(radix)).then(|| u64::from_str_radix(digits, radix).ok())?
}

fn did_you_mean(nearest: &Option<&'static str>) -> String {
    nearest.map(|name| format!("; did you mean '{name}'?")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> BridgeOptions {
        BridgeOptions::parse(text).unwrap()
    }

    fn says(text: &str, sentences: &[&str]) {
        let problems = BridgeOptions::parse(text).unwrap_err();
        assert_eq!(problems.iter().map(ToString::to_string).collect::<Vec<_>>(), sentences, "{text}");
    }

    #[test]
    fn all_spellings_of_one_wish_have_one_canonical_form() {
        for (text, canonical) in [
            ("", ""),
            ("multicast_snooping=0 multicast_querier=1", "multicast_querier=1 multicast_snooping=0"),
            ("multicast_querier=2", "multicast_querier=1"),
            ("group_fwd_mask=8", "group_fwd_mask=0x8"),
            ("priority=0x10", "priority=16"),
            ("priority=010", "priority=8"),
            ("vlan_protocol=34984", "vlan_protocol=0x88a8"),
            ("group_addr=01:80:C2:00:00:0f", "group_addr=01:80:c2:00:00:0f"),
            ("hello_time=100 hello_time=200", "hello_time=200"),
            ("multicast_query_interval=1", "multicast_query_interval=100"),
            ("multicast_startup_query_interval=9999999", "multicast_startup_query_interval=8640000"),
            ("no_linklocal_learn=1", "no_linklocal_learn=1"),
            ("stp_state=1 forward_delay=0", "forward_delay=0 stp_state=1"),
        ] {
            assert_eq!(parse(text).canonical(), canonical, "{text}");
            assert_eq!(parse(canonical), parse(text), "{text}");
        }
    }

    #[test]
    fn every_problem_is_told_at_once() {
        says(
            "oops =1 multicast_snoping=0 what=1 bridge_id=1 gc_timer=1 root_port=1 flush=1 hello_time=99",
            &[
                "'oops' is not of the form name=value",
                "'=1' is not of the form name=value",
                "'multicast_snoping' is not a bridge option; did you mean 'multicast_snooping'?",
                "'what' is not a bridge option",
                "bridge option bridge_id cannot be set: it is made of the priority and the MAC address",
                "bridge option gc_timer cannot be set: it tells when a timer will fire",
                "bridge option root_port cannot be set: it tells what STP found",
                "bridge option flush cannot be set: it forgets the learned addresses once, and keeps nothing",
                "bridge option hello_time cannot be '99'; allowed: 100 to 1000 (centiseconds)",
            ],
        );
    }

    #[test]
    fn values_are_taken_in_the_kernels_range() {
        let edges: &[(&str, &[&str], &[&str])] = &[
            ("forward_delay", &["0", "4294967295"], &["4294967296", "-1", "+1", "", "0x", "2s", "08"]),
            ("hello_time", &["100", "1000"], &["99", "1001", "0"]),
            ("max_age", &["600", "4000"], &["599", "4001"]),
            ("priority", &["0", "65535"], &["65536"]),
            ("group_fwd_mask", &["0x0", "8", "0xfff8"], &["1", "2", "4", "0x10000"]),
            ("multicast_router", &["0", "2"], &["3"]),
            ("default_pvid", &["0", "4094"], &["4095"]),
            ("multicast_igmp_version", &["2", "3"], &["1", "4"]),
            ("multicast_mld_version", &["1", "2"], &["0", "3"]),
            ("vlan_stats_per_port", &["0", "1"], &["2"]),
            ("stp_state", &["0", "1"], &["on", "256"]),
            ("vlan_protocol", &["0x8100", "0x88a8"], &["0x9100", "8100"]),
            ("group_addr", &["01:80:c2:00:00:00", "01:80:c2:00:00:04"], &["01:80:c2:00:00:01", "01:80:c2:00:00:10", "02:00:00:00:00:00", "0"]),
        ];
        for (name, good, bad) in edges {
            let row = row(name).unwrap();
            for value in *good {
                assert_eq!(BridgeOptions::parse(&format!("{name}={value}")).err(), None, "{name}={value}");
            }
            for value in *bad {
                let problem = BridgeOptionProblem::BadValue { name: row.name, value: (*value).to_owned(), allowed: row.allowed() };
                assert_eq!(BridgeOptions::parse(&format!("{name}={value}")), Err(vec![problem]), "{name}={value}");
            }
        }
    }

    #[test]
    fn what_is_encoded_is_what_a_dump_gives_back() {
        for row in settable() {
            let value = if row.range.1 == 255 { 1 } else { row.range.0.max(8) & row.range.1 };
            let (attribute, bytes) = encode(row.name, value).unwrap();
            let read = BridgeOptions::from_kernel([(attribute, &*bytes)].into_iter());
            assert_eq!(read.get(row.name), Some(value), "{}", row.name);
        }
        assert_eq!(encode("vlan_protocol", 0x88a8), Some((8, vec![0x88, 0xa8])));
        assert_eq!(encode("group_addr", 0x0180_c200_000f), Some((20, vec![1, 0x80, 0xc2, 0, 0, 15])));
        assert_eq!(encode("no_linklocal_learn", 1).unwrap().1, [1u32.to_ne_bytes(), 1u32.to_ne_bytes()].concat());
        assert_eq!(encode("bridge_id", 1), None);
    }

    #[test]
    fn the_default_is_what_the_kernel_takes() {
        for row in settable() {
            let text = format!("{}={}", row.name, row.kind.shown(row.default));
            assert_eq!(parse(&text).get(row.name), default_of(row.name), "{text}");
        }
        assert_eq!(default_of("forward_delay"), Some(1500));
        assert_eq!(default_of("gc_timer"), None);
    }

    #[test]
    fn a_tick_more_or_less_makes_no_difference() {
        assert!(same("ageing_time", 30000, 29999));
        assert!(!same("ageing_time", 30000, 29998));
        assert!(!same("hash_max", 4096, 4095));
        assert!(same("hash_elasticity", 4, 16));
        assert!(same("stp_state", 1, 2));
    }

    /// `name=value` of each change.
    fn road(seen: &str, wanted: &str) -> String {
        let changes = parse(wanted).changes_from(&parse(seen));
        changes.iter().map(|change| format!("{}={}", change.name, change.value)).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn the_forward_delay_is_set_while_stp_is_off() {
        assert_eq!(road("stp_state=1 forward_delay=200", "stp_state=0 forward_delay=0"), "stp_state=0 forward_delay=0");
        assert_eq!(road("stp_state=0 forward_delay=0", "stp_state=1 forward_delay=0"), "forward_delay=200 stp_state=1");
        assert_eq!(road("stp_state=1 forward_delay=200", "stp_state=1 forward_delay=0"), "");
        assert_eq!(road("stp_state=1 forward_delay=200", "forward_delay=0"), "");
        assert_eq!(road("stp_state=0 forward_delay=1500", "forward_delay=0"), "forward_delay=0");
        assert_eq!(road("stp_state=0 hash_max=4096", "hash_max=512 multicast_snooping=0"), "hash_max=512 multicast_snooping=0");
    }

    #[test]
    fn what_was_named_before_returns_to_the_default() {
        let mut options = parse("stp_state=0");
        options.reset(&parse("priority=7 multicast_querier=1"));
        options.extend(&parse("priority=9"));
        assert_eq!(options.canonical(), "multicast_querier=0 priority=9 stp_state=0");
    }

    #[test]
    fn the_report_has_the_keys_and_formats_of_the_sample() {
        let id = [0x80, 0, 0xd6, 0xfe, 0x37, 0xcb, 0x25, 0xa4];
        let mut dump: Vec<(u16, Vec<u8>)> = settable().map(|row| (row.attribute, row.kind.encode(row.default))).collect();
        dump.extend(ROWS.iter().filter(|row| row.fixed.is_some()).map(|row| (row.attribute, vec![0; 8])));
        dump.extend([(10, id.to_vec()), (11, id.to_vec()), (1, vec![0; 4]), (19, 29225u64.to_ne_bytes().to_vec()), (40, vec![])]);
        let report = report(dump.iter().map(|(number, bytes)| (*number, &**bytes)));
        let report: Vec<String> = report.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
        let sample = "ageing_time=30000 bridge_id=8000.d6fe37cb25a4 default_pvid=1 forward_delay=0 gc_timer=29225 \
            group_addr=01:80:c2:00:00:00 group_fwd_mask=0x0 hash_elasticity=16 hash_max=4096 hello_time=200 hello_timer=0 \
            max_age=2000 multicast_igmp_version=2 multicast_last_member_count=2 multicast_last_member_interval=100 \
            multicast_membership_interval=26000 multicast_mld_version=1 multicast_querier=0 multicast_querier_interval=25500 \
            multicast_query_interval=12500 multicast_query_response_interval=1000 multicast_query_use_ifaddr=0 \
            multicast_router=1 multicast_snooping=1 multicast_startup_query_count=2 multicast_startup_query_interval=3125 \
            multicast_stats_enabled=0 nf_call_arptables=0 nf_call_ip6tables=0 nf_call_iptables=0 no_linklocal_learn=0 \
            priority=32768 root_id=8000.d6fe37cb25a4 root_path_cost=0 root_port=0 stp_state=0 tcn_timer=0 topology_change=0 \
            topology_change_detected=0 topology_change_timer=0 vlan_filtering=0 vlan_protocol=0x8100 vlan_stats_enabled=0 \
            vlan_stats_per_port=0";
        assert_eq!(report.join(" "), sample);
    }
}
