//! What ethtool(8) shows and changes besides speeds: the messages of the `ethtool` family for
//! features, rings, channels, coalescing, flow control and link modes.
//!
//! One message reads or writes one group of one link. What a number means is the caller's
//! knowledge; features travel by name, since their bits move from one kernel to the next.

use std::collections::BTreeSet;

use neli::types::GenlBuffer;

use super::{Ethtool, message};
use crate::attrs::{Attrs, find, text, u8, u32};
use crate::error::KernelError;
use crate::generic::GenericError;
use crate::generic::message::{Attribute, Message, attribute, attributes, message as spelled};

/// Settings that one message carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    /// `ETHTOOL_MSG_FEATURES_*`
    Features,
    /// `ETHTOOL_MSG_LINKMODES_*`
    Modes,
    /// `ETHTOOL_MSG_CHANNELS_*`
    Channels,
    /// `ETHTOOL_MSG_RINGS_*`
    Rings,
    /// `ETHTOOL_MSG_COALESCE_*`
    Coalesce,
    /// `ETHTOOL_MSG_PAUSE_*`
    Pause,
}

impl Group {
    /// `ETHTOOL_MSG_*_GET`; `SET` is the next one.
    fn get(self) -> u8 {
        match self {
            Group::Features => 11,
            Group::Modes => message::LINKMODES_GET,
            Group::Channels => 17,
            Group::Rings => 15,
            Group::Coalesce => 19,
            Group::Pause => 21,
        }
    }
}

/// What a link told of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// Of [`Group::Features`].
    Features(Features),
    /// Of any other: attributes with one byte or four, by their number.
    Values(Vec<(u16, u32)>),
}

/// Features of a link, by the kernel's names.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Features {
    /// Those that may be changed.
    pub changeable: BTreeSet<String>,
    /// Those that are requested.
    pub wanted: BTreeSet<String>,
    /// Those that are on.
    pub active: BTreeSet<String>,
}

/// One setting to be changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Setting<'a> {
    /// A feature, by the kernel's name.
    Feature(&'a str, bool),
    /// An attribute of one byte.
    Byte(u16, u8),
    /// An attribute of four bytes.
    Word(u16, u32),
}

const FEATURES_HW: u16 = 2;
const FEATURES_WANTED: u16 = 3;
const FEATURES_ACTIVE: u16 = 4;
const FEATURES_NOCHANGE: u16 = 5;
/// `ETHTOOL_A_BITSET_NOMASK`
const BITSET_NOMASK: u16 = 1;
/// `ETHTOOL_A_BITSET_BITS`
const BITSET_BITS: u16 = 3;
/// `ETHTOOL_A_BITSET_BITS_BIT`
const BITS_BIT: u16 = 1;
/// `ETHTOOL_A_BITSET_BIT_NAME`
const BIT_NAME: u16 = 2;
/// `ETHTOOL_A_BITSET_BIT_VALUE`
const BIT_VALUE: u16 = 3;
/// `ETHTOOL_FLAG_OMIT_REPLY`: an acknowledgement is enough.
const OMIT_REPLY: u32 = 2;

impl Ethtool {
    /// What each of these links says of a group; a refusal is mostly that its driver does not have it.
    ///
    /// # Errors
    /// Only trouble with the socket.
    pub fn settings(&mut self, asked: &[(u32, Group)]) -> Result<Vec<Result<Found, KernelError>>, GenericError> {
        let mut all = Vec::with_capacity(asked.len());
        // Features are told by name, which makes for long answers.
        for chunk in asked.chunks(16) {
            let questions = chunk.iter().map(|(index, group)| match group {
                Group::Features => with_flags(group.get(), *index, 0, []),
                _ => message::about(group.get(), *index),
            });
            let mut found = vec![Ok(Found::Values(Vec::new())); chunk.len()];
            self.socket.exchange(self.family, questions.collect(), &mut |at, answer| {
                found[at] = answer.map(|payload| match chunk[at].1 {
                    Group::Features => Found::Features(features(payload)),
                    _ => Found::Values(values(payload)),
                });
            })?;
            all.extend(found);
        }
        Ok(all)
    }

    /// Changes settings of one group of a link. Nothing else of the group changes, but for what the
    /// driver does of itself. That a feature was taken does not mean that it is on: something else
    /// may keep it off.
    ///
    /// # Errors
    /// Trouble with the socket; the kernel's refusal stands inside.
    pub fn change(
        &mut self,
        index: u32,
        group: Group,
        settings: &[Setting<'_>],
    ) -> Result<Result<(), KernelError>, GenericError> {
        let bits = settings.iter().filter_map(|setting| match setting {
            Setting::Feature(name, on) => Some(bit(name, *on)),
            _ => None,
        });
        let attributes = match group {
            Group::Features => {
                let bits = attribute(BITSET_BITS, true, GenlBuffer::from_iter(bits));
                vec![attribute(FEATURES_WANTED, true, GenlBuffer::from_iter([bits]))]
            }
            _ => settings.iter().filter_map(plain).collect(),
        };
        let order = with_flags(group.get() + 1, index, OMIT_REPLY, attributes);
        let mut done = Ok(());
        self.socket.order(self.family, order, &mut |_, answer| done = answer.map(drop))?;
        Ok(done)
    }
}

fn with_flags(command: u8, index: u32, flags: u32, more: impl IntoIterator<Item = Attribute>) -> Message {
    let header = message::header(index, flags);
    spelled(command, message::VERSION, std::iter::once(header).chain(more))
}

fn plain(setting: &Setting<'_>) -> Option<Attribute> {
    match setting {
        Setting::Byte(kind, value) => Some(attribute(*kind, false, *value)),
        Setting::Word(kind, value) => Some(attribute(*kind, false, *value)),
        Setting::Feature(..) => None,
    }
}

/// One bit of a bitset with a mask: it is named, so it changes; it has the flag, so it is to be on.
fn bit(name: &str, on: bool) -> Attribute {
    let named = attribute(BIT_NAME, false, name);
    let value = on.then(|| attribute(BIT_VALUE, false, ()));
    attribute(BITS_BIT, true, GenlBuffer::from_iter(std::iter::once(named).chain(value)))
}

/// Reads `ETHTOOL_MSG_FEATURES_GET_REPLY` with its bits in words.
fn features(payload: &[u8]) -> Features {
    let names = |kind| -> BTreeSet<String> {
        let set = find(attributes(payload), kind).unwrap_or_default();
        let bits = find(Attrs::new(set), BITSET_BITS).unwrap_or_default();
        // Without a mask only the bits that are set are told; with one, those in the mask.
        let is_bare = find(Attrs::new(set), BITSET_NOMASK).is_some();
        let name = |bit| {
            let is_set = is_bare || find(Attrs::new(bit), BIT_VALUE).is_some();
            find(Attrs::new(bit), BIT_NAME).filter(|_| is_set).and_then(text).map(str::to_owned)
        };
        Attrs::new(bits).filter(|(kind, _)| *kind == BITS_BIT).filter_map(|(_, bit)| name(bit)).collect()
    };
    Features {
        changeable: &names(FEATURES_HW) - &names(FEATURES_NOCHANGE),
        wanted: names(FEATURES_WANTED),
        active: names(FEATURES_ACTIVE),
    }
}

/// Reads any other answer: what is neither one byte nor four is none of our settings.
fn values(payload: &[u8]) -> Vec<(u16, u32)> {
    let value = |(kind, value): (u16, &[u8])| match value.len() {
        1 => Some((kind, u8(value)?.into())),
        4 => Some((kind, u32(value)?)),
        _ => None,
    };
    attributes(payload).filter_map(value).collect()
}

#[cfg(test)]
#[path = "settings_tests.rs"]
pub(super) mod tests;
