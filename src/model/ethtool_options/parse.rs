//! `custom.ethtool_opts`: command lines of ethtool(8), one after the other.

use std::collections::BTreeMap;

use super::{Group, Key, Kind, table};
use crate::name::DeviceName;
use crate::nearest;

/// What a network says of its nics.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EthtoolOptions {
    orders: Vec<Order>,
}

/// One command line.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Order {
    /// None is `*`: all nics of the network.
    device: Option<DeviceName>,
    wishes: Vec<(Key, Wish)>,
}

/// What a setting is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wish {
    /// Its value.
    pub value: u32,
    /// The name it was asked for by, where that is one of ethtool's own for several features.
    pub alias: Option<&'static str>,
}

/// What is wrong with an option string.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EthtoolOptionProblem {
    /// The first word of a command that is none.
    #[error("'{word}' is no option of ethtool{}", did_you_mean(.nearest))]
    UnknownCommand {
        /// The word.
        word: String,
        /// What it may have been meant to be.
        nearest: Option<&'static str>,
    },
    /// ethtool has it, and we do not.
    #[error(
        "ethtool's '{word}' cannot be had here; what can is -K (--offload, --features), -s (--change), \
         -L (--set-channels), -G (--set-ring), -C (--coalesce) and -A (--pause)"
    )]
    UnsupportedCommand {
        /// The option.
        word: &'static str,
    },
    /// A command without a device.
    #[error("'{command}' is followed by no device")]
    NoDevice {
        /// The option.
        command: String,
    },
    /// A word in a device's place that is no name for one.
    #[error("'{word}' is no device: {error}")]
    BadDevice {
        /// The word.
        word: String,
        /// Why not.
        error: crate::name::NameError,
    },
    /// A command that sets nothing.
    #[error("'{command} {device}' sets nothing")]
    Nothing {
        /// The option.
        command: String,
        /// The device.
        device: String,
    },
    /// No such setting.
    #[error("'{key}' is no setting of '{command}'{}", did_you_mean(.nearest))]
    UnknownKey {
        /// The option.
        command: String,
        /// The word.
        key: String,
        /// What it may have been meant to be.
        nearest: Option<&'static str>,
    },
    /// ethtool has it, and we do not.
    #[error("'{command} {key}' cannot be had here: nobody could give back what was there before")]
    UnsupportedKey {
        /// The option.
        command: String,
        /// The setting.
        key: &'static str,
    },
    /// A setting without a value, or with a wrong one.
    #[error("'{command} {key}' cannot be '{value}'; it is {allowed}")]
    BadValue {
        /// The option.
        command: String,
        /// The setting.
        key: String,
        /// The value; empty where there is none.
        value: String,
        /// What would be right.
        allowed: &'static str,
    },
    /// Speed and duplex are negotiated, or they are set.
    #[error("'{command}' with speed or duplex needs 'autoneg off': a nic that negotiates has them from its peer")]
    Negotiated {
        /// The option.
        command: String,
    },
    /// A setting named twice with two values.
    #[error("'{key}' of {device} is asked to be both {} and {}", .key.shown(.values[0]), .key.shown(.values[1]))]
    Twice {
        /// The device, or `*`.
        device: String,
        /// The setting.
        key: Key,
        /// The values.
        values: [u32; 2],
    },
}

fn did_you_mean(nearest: &Option<&'static str>) -> String {
    nearest.map(|name| format!("; did you mean '{name}'?")).unwrap_or_default()
}

/// What ethtool sets as well, or shows; named to be refused by name.
const OTHER_COMMANDS: &[&str] = &[
    "--set-eee",
    "--set-priv-flags",
    "--set-fec",
    "--set-module",
    "--set-phy-tunable",
    "--set-tunable",
    "--reset",
    "--negotiate",
    "-r",
    "--identify",
    "-p",
    "--test",
    "-t",
    "--config-nfc",
    "--config-ntuple",
    "-N",
    "-U",
    "--set-rxfh-indir",
    "--rxfh",
    "--set-rxfh",
    "-X",
    "--change-eeprom",
    "-E",
    "--flash",
    "-f",
    "--per-queue",
    "-Q",
    "--set-dump",
    "-W",
    "--statistics",
    "-S",
    "--show-features",
    "--show-offload",
    "-k",
    "--show-coalesce",
    "-c",
    "--show-ring",
    "-g",
    "--show-channels",
    "-l",
    "--show-pause",
    "-a",
    "--driver",
    "-i",
    "--register-dump",
    "-d",
];

/// What `ethtool -s` sets as well.
const OTHER_MODES: &[&str] =
    &["port", "mdix", "advertise", "phyad", "xcvr", "wol", "sopass", "msglvl", "lanes", "master-slave"];

impl EthtoolOptions {
    /// Reads `COMMAND DEVICE KEY VALUE ... COMMAND ...`, and tells all that is wrong with it.
    ///
    /// # Errors
    /// Everything wrong, in order.
    pub fn parse(text: &str) -> Result<EthtoolOptions, Vec<EthtoolOptionProblem>> {
        let (mut options, mut problems) = (EthtoolOptions::default(), Vec::new());
        let mut words: Vec<&str> = text.split_whitespace().collect();
        while !words.is_empty() {
            // A command goes until the next; no key begins with a dash, nor any value that is right.
            let end = words.iter().skip(1).position(|word| is_command(word)).map_or(words.len(), |at| at + 1);
            let rest = words.split_off(end);
            if let Some((command, rest)) = words.split_first() {
                options.orders.extend(parse_command(command, rest, &mut problems));
            }
            words = rest;
        }
        options.find_conflicts(&mut problems);
        if problems.is_empty() { Ok(options) } else { Err(problems) }
    }

    /// Whether nothing is asked for.
    pub fn is_empty(&self) -> bool {
        self.orders.is_empty()
    }

    /// The devices that are named; `*` names none.
    pub fn devices(&self) -> impl Iterator<Item = DeviceName> + '_ {
        self.orders.iter().filter_map(|order| order.device)
    }

    /// What is asked of one nic of the network, by its name or by `*`.
    pub fn of(&self, nic: DeviceName) -> BTreeMap<Key, Wish> {
        let orders = self.orders.iter().filter(|order| order.device.is_none_or(|device| device == nic));
        let mut all = BTreeMap::new();
        for (key, wish) in orders.flat_map(|order| &order.wishes) {
            // What is asked for by its own name must be had; a name for several leaves room.
            all.entry(*key).and_modify(|had: &mut Wish| had.alias = had.alias.and(wish.alias)).or_insert(*wish);
        }
        all
    }

    /// The same without what is said of devices that are missing.
    pub fn without(&self, missing: impl Fn(&DeviceName) -> bool) -> EthtoolOptions {
        let there = |order: &&Order| !order.device.as_ref().is_some_and(&missing);
        EthtoolOptions { orders: self.orders.iter().filter(there).cloned().collect() }
    }

    /// What is said of `*` is said of each device as well.
    fn find_conflicts(&self, problems: &mut Vec<EthtoolOptionProblem>) {
        let mut told: Vec<(Option<DeviceName>, Key, u32)> = Vec::new();
        for order in &self.orders {
            for (key, wish) in &order.wishes {
                let clash = told.iter().find(|(device, had, value)| {
                    had == key
                        && *value != wish.value
                        && (device.is_none() || order.device.is_none() || *device == order.device)
                });
                if let Some((device, _, value)) = clash {
                    let device = device.or(order.device).map_or("*".to_owned(), |name| name.to_string());
                    problems.push(EthtoolOptionProblem::Twice { device, key: *key, values: [*value, wish.value] });
                }
                told.push((order.device, *key, wish.value));
            }
        }
    }
}

fn is_command(word: &str) -> bool {
    word.strip_prefix('-').is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_digit()))
}

fn parse_command(command: &str, rest: &[&str], problems: &mut Vec<EthtoolOptionProblem>) -> Option<Order> {
    let Some(group) = Group::ALL.into_iter().find(|group| group.spellings().contains(&command)) else {
        problems.push(unknown_command(command));
        return None;
    };
    let command = || command.to_owned();
    let Some((word, pairs)) = rest.split_first() else {
        problems.push(EthtoolOptionProblem::NoDevice { command: command() });
        return None;
    };
    let device = match *word {
        "*" => None,
        word => match DeviceName::try_from(word) {
            Ok(name) => Some(name),
            Err(error) => {
                problems.push(EthtoolOptionProblem::BadDevice { word: word.to_owned(), error });
                None
            }
        },
    };
    if pairs.is_empty() {
        problems.push(EthtoolOptionProblem::Nothing { command: command(), device: (*word).to_owned() });
    }
    let mut wishes = Vec::new();
    for pair in pairs.chunks(2) {
        match parse_pair(group, pair[0], pair.get(1).copied().unwrap_or(""), &command()) {
            Ok(more) => wishes.extend(more),
            Err(problem) => problems.push(problem),
        }
    }
    if group == Group::Modes && !is_settled(&wishes) {
        problems.push(EthtoolOptionProblem::Negotiated { command: command() });
    }
    Some(Order { device, wishes })
}

fn unknown_command(word: &str) -> EthtoolOptionProblem {
    if let Some(word) = OTHER_COMMANDS.iter().find(|known| **known == word) {
        return EthtoolOptionProblem::UnsupportedCommand { word };
    }
    let known: Vec<&'static str> = Group::ALL.iter().flat_map(|group| group.spellings()).copied().collect();
    EthtoolOptionProblem::UnknownCommand { word: word.to_owned(), nearest: nearest(word, &known) }
}

/// Whether speed and duplex, if they are named, come with `autoneg off`.
fn is_settled(wishes: &[(Key, Wish)]) -> bool {
    let named = |name: &str| wishes.iter().find(|(key, _)| key.name() == name).map(|(_, wish)| wish.value);
    (named("speed").is_none() && named("duplex").is_none()) || named("autoneg") == Some(0)
}

fn parse_pair(group: Group, name: &str, value: &str, command: &str) -> Result<Vec<(Key, Wish)>, EthtoolOptionProblem> {
    let alias = table::ALIASES
        .iter()
        .filter(|_| group == Group::Features)
        .find(|alias| alias.short == name || alias.long == name);
    let keys: Vec<Key> = match alias {
        Some(alias) => Key::features().filter(|key| alias.covers(key.name())).collect(),
        None => vec![Key::new(group, name).ok_or_else(|| unknown_key(group, name, command))?],
    };
    let alias = alias.map(|alias| alias.long);
    let kind = keys.first().map_or(Kind::Truth, |key| key.kind());
    let (read, allowed) = match kind {
        Kind::Truth => (one_of(value, &["off", "on"]), "on or off"),
        Kind::Duplex => (one_of(value, &["half", "full"]), "half or full"),
        Kind::Number => (number(value), "a number from 0 to 4294967295"),
        Kind::Speed => (number(value).filter(|speed| (1..=MOST_SPEED).contains(speed)), "a number of Mbit/s"),
    };
    match read {
        Some(value) => Ok(keys.into_iter().map(|key| (key, Wish { value, alias })).collect()),
        None => Err(EthtoolOptionProblem::BadValue {
            command: command.to_owned(),
            key: name.to_owned(),
            value: value.to_owned(),
            allowed,
        }),
    }
}

/// `ethtool_validate_speed`: `INT_MAX`.
const MOST_SPEED: u32 = i32::MAX as u32;

fn one_of(word: &str, words: &[&str]) -> Option<u32> {
    words.iter().position(|known| *known == word).and_then(|at| u32::try_from(at).ok())
}

/// Decimal, or hexadecimal with `0x`.
fn number(text: &str) -> Option<u32> {
    match text.strip_prefix("0x") {
        Some(digits) if digits.bytes().all(|b| b.is_ascii_hexdigit()) => u32::from_str_radix(digits, 16).ok(),
        None if text.bytes().all(|b| b.is_ascii_digit()) => text.parse().ok(),
        _ => None,
    }
}

fn unknown_key(group: Group, name: &str, command: &str) -> EthtoolOptionProblem {
    let command = command.to_owned();
    if let Some(key) = OTHER_MODES.iter().find(|known| group == Group::Modes && **known == name) {
        return EthtoolOptionProblem::UnsupportedKey { command, key };
    }
    let mut known: Vec<&'static str> = table::rows().filter(|row| row.group == group).map(|row| row.name).collect();
    if group == Group::Features {
        known.extend(table::ALIASES.iter().flat_map(|alias| [alias.short, alias.long]));
    }
    EthtoolOptionProblem::UnknownKey { command, key: name.to_owned(), nearest: nearest(name, &known) }
}
