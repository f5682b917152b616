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

mod report;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, LazyLock};

pub use report::{Shown, report};

/// Values for some or all of a bridge's settable options.
///
/// A time is in centiseconds, a truth 0 or 1, a MAC address its 48 bits.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(into = "BTreeMap<&str, u64>", try_from = "BTreeMap<String, u64>")]
pub struct BridgeOptions {
    /// By place in [`ROWS`]. A host has thousands of these: no map, and one allocation each.
    /// Shared, since a host's graph is copied whole for every request.
    values: Arc<Vec<(u8, u64)>>,
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

impl From<BridgeOptions> for BTreeMap<&'static str, u64> {
    fn from(options: BridgeOptions) -> BTreeMap<&'static str, u64> {
        options.iter().collect()
    }
}

impl TryFrom<BTreeMap<String, u64>> for BridgeOptions {
    type Error = String;

    fn try_from(named: BTreeMap<String, u64>) -> Result<BridgeOptions, String> {
        let mut options = BridgeOptions::default();
        for (name, value) in named {
            let row = row(&name).ok_or_else(|| format!("no bridge option is called {name}"))?;
            options.put(row, value);
        }
        Ok(options)
    }
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
                Ok((row, value)) => options.put(row, value),
                Err(problem) => problems.push(problem),
            }
        }
        if problems.is_empty() { Ok(options) } else { Err(problems) }
    }

    /// Reads the attributes of `IFLA_INFO_DATA`, as a netlink dump has them.
    pub fn from_kernel<'a>(attributes: impl Iterator<Item = (u16, &'a [u8])>) -> BridgeOptions {
        let mut values = Vec::with_capacity(ROWS.len());
        for (kind, bytes) in attributes {
            let rows = BY_ATTRIBUTE.get(usize::from(kind & TYPE_MASK)).into_iter().flatten();
            values.extend(rows.filter_map(|place| Some((*place, ROWS[usize::from(*place)].kind.decode(bytes)?))));
        }
        values.sort_unstable_by_key(|(place, _)| *place);
        values.dedup_by_key(|(place, _)| *place);
        BridgeOptions { values: Arc::new(values) }
    }

    fn at(&self, place: u8) -> Option<u64> {
        let found = self.values.binary_search_by_key(&place, |(place, _)| *place).ok()?;
        Some(self.values[found].1)
    }

    fn put(&mut self, row: &'static Row, value: u64) {
        if let Some(place) = place_of(row.name) {
            let values = Arc::make_mut(&mut self.values);
            match values.binary_search_by_key(&place, |(place, _)| *place) {
                Ok(found) => values[found].1 = value,
                Err(gap) => values.insert(gap, (place, value)),
            }
        }
    }

    /// The value of an option that was named.
    pub fn get(&self, name: &str) -> Option<u64> {
        self.at(place_of(name)?)
    }

    /// Names an option. A name that is no settable option is passed over.
    pub fn set(&mut self, name: &str, value: u64) {
        if let Some(row) = settable().find(|row| row.name == name) {
            self.put(row, row.kind.kept(value));
        }
    }

    /// Names an option no more.
    pub fn forget(&mut self, name: &str) {
        if let Some(place) = place_of(name) {
            Arc::make_mut(&mut self.values).retain(|(it, _)| *it != place);
        }
    }

    /// Takes over all that the other names.
    pub fn extend(&mut self, other: &BridgeOptions) {
        for (place, value) in other.values.iter() {
            self.put(&ROWS[usize::from(*place)], *value);
        }
    }

    /// Sets to the kernel's default what the other names.
    pub fn reset(&mut self, other: &BridgeOptions) {
        for (place, _) in other.values.iter() {
            let row = &ROWS[usize::from(*place)];
            self.put(row, row.default);
        }
    }

    /// The names and values, in the order of the kernel's attributes.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        self.values.iter().map(|(place, value)| (ROWS[usize::from(*place)].name, *value))
    }

    /// Whether nothing is named.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// One spelling for all that mean the same: sorted by name, values as sysfs shows them.
    pub fn canonical(&self) -> String {
        let words =
            self.iter().filter_map(|(name, value)| Some(format!("{name}={}", Shown::new(row(name)?.kind, value))));
        let mut words: Vec<String> = words.collect();
        words.sort();
        words.join(" ")
    }

    /// What the kernel will hold once all of this is set: with STP on it moves the forward delay
    /// into its range.
    pub fn effective(&self) -> BridgeOptions {
        let mut options = self.clone();
        if let (Some(1..), Some(delay)) = (options.get("stp_state"), options.get("forward_delay")) {
            options.set("forward_delay", delay.clamp(200, 3000));
        }
        options
    }

    /// Whether a bridge that has `seen` is as we say. What we do not name may be anything.
    pub fn met_by(&self, seen: &BridgeOptions) -> bool {
        let same = |(place, value): &(u8, u64)| {
            seen.at(*place).is_some_and(|had| same(ROWS[usize::from(*place)].name, had, *value))
        };
        self.values.iter().all(same) || self.changes_from(seen).is_empty()
    }

    /// What to set, one message after the other, on a bridge that has `seen`, to make it as we
    /// say. What we do not name stays as it is; so does the ageing time that a spanning tree has
    /// shortened for a while, which is not seen.
    pub fn changes_from(&self, seen: &BridgeOptions) -> Vec<BridgeChange> {
        let mut goal = self.clone();
        if let (None, Some(state)) = (goal.get("stp_state"), seen.get("stp_state")) {
            // It stays, and with it the rule for the forward delay.
            goal.set("stp_state", state);
        }
        let wanted = goal.effective();
        let has_tree = seen.get("stp_state").is_some_and(|state| state != 0);
        let differs = |(name, value): &(&'static str, u64)| match seen.get(name) {
            Some(had) => !same(name, had, *value),
            None => *name != "ageing_time" || !has_tree,
        };
        let mut changes: Vec<_> = wanted
            .iter()
            .filter(differs)
            .filter(|(name, _)| self.get(name).is_some())
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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

use serde::{Deserialize, Serialize};

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

/// The place of a settable option in [`ROWS`].
fn place_of(name: &str) -> Option<u8> {
    ROWS.iter().position(|row| row.name == name && row.fixed.is_none()).and_then(|place| u8::try_from(place).ok())
}

/// The places of the settable options that travel in an attribute, by its number.
static BY_ATTRIBUTE: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let places = |number| {
        ROWS.iter().enumerate().filter(move |(_, row)| usize::from(row.attribute) == number && row.fixed.is_none())
    };
    let most = ROWS.iter().map(|row| usize::from(row.attribute)).max().unwrap_or(0);
    (0..=most).map(|number| places(number).filter_map(|(place, _)| u8::try_from(place).ok()).collect()).collect()
});

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
    let row = row(name).ok_or_else(|| BridgeOptionProblem::Unknown {
        name: name.to_owned(),
        nearest: crate::nearest(name, &names()),
    })?;
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
