//! The settings of a nic that ethtool(8) changes, and `custom.ethtool_opts`, which names some of
//! them (vdsm-facts 1.1.1).
//!
//! What ethtool netlink can say is here; messages are not. The text is read in `parse.rs`, the
//! names are in `table.rs`; which nics are meant is judged in `graph/tuning.rs`.

mod parse;
mod table;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub use parse::{EthtoolOptionProblem, EthtoolOptions, Wish};

/// Settings that the kernel reads and writes with one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Group {
    /// `ethtool -K`: what the nic, or the kernel in its place, does with packets.
    Features,
    /// `ethtool -s`: speed, duplex, autonegotiation.
    Modes,
    /// `ethtool -L`: queues.
    Channels,
    /// `ethtool -G`: lengths of the queues.
    Rings,
    /// `ethtool -C`: when the nic interrupts.
    Coalesce,
    /// `ethtool -A`: flow control.
    Pause,
}

impl Group {
    const ALL: [Group; 6] =
        [Group::Features, Group::Modes, Group::Channels, Group::Rings, Group::Coalesce, Group::Pause];

    /// ethtool's option for it, in short and at length.
    fn spellings(self) -> &'static [&'static str] {
        match self {
            Group::Features => &["-K", "--offload", "--features"],
            Group::Modes => &["-s", "--change"],
            Group::Channels => &["-L", "--set-channels"],
            Group::Rings => &["-G", "--set-ring"],
            Group::Coalesce => &["-C", "--coalesce"],
            Group::Pause => &["-A", "--pause"],
        }
    }

    /// ethtool's option for it, in short.
    pub fn flag(self) -> &'static str {
        self.spellings()[0]
    }
}

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `on` is 1, `off` is 0; one byte on the wire.
    Truth,
    /// 32 bits.
    Number,
    /// Mbit/s, not 0; 32 bits.
    Speed,
    /// `half` is 0, `full` is 1; one byte.
    Duplex,
}

/// One setting.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(u8);

impl Serialize for Key {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Key {
    /// As it is displayed: `-G rx`.
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Key, D::Error> {
        let text = String::deserialize(from)?;
        let named = text.split_once(' ').and_then(|(flag, name)| {
            let group = Group::ALL.into_iter().find(|group| group.flag() == flag)?;
            Key::new(group, name)
        });
        named.ok_or_else(|| D::Error::custom(format!("no setting is called '{text}'")))
    }
}

impl Key {
    /// The setting of that name; features by the kernel's name only.
    pub fn new(group: Group, name: &str) -> Option<Key> {
        let place = table::rows().position(|row| row.group == group && row.name == name)?;
        u8::try_from(place).ok().map(Key)
    }

    /// The setting with that attribute in the group's messages; none for features, which have names.
    pub fn of_attribute(group: Group, attribute: u16) -> Option<Key> {
        let is_it = |row: &table::Row| row.group == group && row.attribute == attribute && attribute != 0;
        u8::try_from(table::rows().position(is_it)?).ok().map(Key)
    }

    /// All features, by the kernel's names.
    pub fn features() -> impl Iterator<Item = Key> {
        (0..).zip(table::rows()).filter(|(_, row)| row.group == Group::Features).map(|(place, _)| Key(place))
    }

    fn row(self) -> &'static table::Row {
        table::row_at(self.0)
    }

    /// The message it is in.
    pub fn group(self) -> Group {
        self.row().group
    }

    /// Its name; unique within its group.
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// The number of its attribute; 0 for a feature.
    pub fn attribute(self) -> u16 {
        self.row().attribute
    }

    /// What its value is.
    pub fn kind(self) -> Kind {
        self.row().kind
    }

    /// A value as ethtool takes it.
    pub fn shown(self, value: u32) -> String {
        match (self.kind(), value) {
            (Kind::Truth, 0) => "off".to_owned(),
            (Kind::Truth, _) => "on".to_owned(),
            (Kind::Duplex, 0) => "half".to_owned(),
            (Kind::Duplex, 1) => "full".to_owned(),
            (_, number) => number.to_string(),
        }
    }

    /// Its value among these, for people.
    pub fn told(self, settings: &Settings) -> String {
        settings.get(&self).map_or("unknown".to_owned(), |value| self.shown(*value))
    }
}

impl fmt::Display for Key {
    /// As `ethtool` takes it: `-G rx`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.group().flag(), self.name())
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// Values of some settings of one nic.
pub type Settings = BTreeMap<Key, u32>;

/// Which groups of which nics matter to somebody.
pub type Tuned = BTreeMap<crate::name::DeviceName, BTreeSet<Group>>;

/// The settings in `to` that are otherwise in `from`. What `to` does not name may be anything.
pub fn changes(from: &Settings, to: &Settings) -> Settings {
    to.iter().filter(|(key, value)| from.get(key) != Some(value)).map(|(key, value)| (*key, *value)).collect()
}

/// What a nic told of its settings when it was asked.
///
/// A feature counts as on when it is requested (`wanted` in the kernel), active or not: what keeps
/// it off for the time being, another feature mostly, is a setting of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SeenSettings {
    /// What it has. Speed and duplex are missing while it negotiates them.
    pub values: Settings,
    /// The features that can be changed.
    pub changeable: BTreeSet<Key>,
    /// For each group that was asked for, and that its driver does not have: the kernel's words.
    pub refused: BTreeMap<Group, String>,
    /// The groups that were asked for.
    pub asked: BTreeSet<Group>,
}

impl SeenSettings {
    /// What of the wishes is to be set, or why not, in sentences without the nic's name.
    pub(crate) fn possible(&self, wishes: &BTreeMap<Key, Wish>) -> Result<Settings, Vec<String>> {
        let mut settings = Settings::new();
        let mut problems: Vec<String> = Vec::new();
        // Several features may be asked for by one name.
        let mut tell = |sentence: String| {
            if !problems.contains(&sentence) {
                problems.push(sentence);
            }
        };
        for (key, wish) in wishes {
            let is_fixed = key.group() == Group::Features && !self.changeable.contains(key);
            let is_met = self.values.get(key) == Some(&wish.value);
            if let Some(words) = self.refused.get(&key.group()) {
                tell(format!("its driver has no '{}': {words}", key.group().flag()));
            } else if !is_fixed && self.has(*key) {
                settings.insert(*key, wish.value);
            } else if !is_met && wish.alias.is_none_or(|alias| !self.has_some(alias, wish.value, wishes)) {
                let word = wish.alias.map_or(key.to_string(), |alias| format!("{} {alias}", key.group().flag()));
                tell(match is_fixed {
                    true => format!("its driver does not let {word} be changed to {}", key.shown(wish.value)),
                    false => format!("its driver has no {word}"),
                });
            }
        }
        if problems.is_empty() { Ok(settings) } else { Err(problems) }
    }

    /// The driver leaves out what it does not have; and speed and duplex while it negotiates.
    fn has(&self, key: Key) -> bool {
        matches!(key.group(), Group::Features | Group::Modes) || self.values.contains_key(&key)
    }

    /// ethtool changes what it can of the features that one name stands for: that one can be
    /// changed, or (when none can) is as wished already, will do.
    fn has_some(&self, alias: &str, value: u32, wishes: &BTreeMap<Key, Wish>) -> bool {
        let mut members = wishes.iter().filter(|(_, wish)| wish.alias == Some(alias)).map(|(key, _)| key);
        members.any(|key| self.changeable.contains(key) || value == 1 && self.values.get(key) == Some(&1))
    }
}
