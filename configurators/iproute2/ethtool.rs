//! Settings of nics through the kernel's `ethtool` family: the model's words in the family's.
//!
//! What is to be set is thought out by then; whether a feature came on, only the kernel knows.

use std::collections::BTreeSet;

use vdsm_model::ethtool_options::{Group, Key, Kind, SeenSettings, Settings};
use vdsm_netlink::ethtool::{Ethtool, Found, Group as Message, Setting};
use vdsm_netlink::generic::GenericError;

use crate::RunError;

/// What a nic says of some groups. Of a kernel without the family each is refused.
///
/// # Errors
/// Only trouble with the socket.
pub fn read(ethtool: Option<&mut Ethtool>, index: u32, groups: &BTreeSet<Group>) -> Result<SeenSettings, GenericError> {
    let mut seen = SeenSettings { asked: groups.clone(), ..SeenSettings::default() };
    let Some(ethtool) = ethtool else {
        seen.refused = groups.iter().map(|group| (*group, NO_FAMILY.to_owned())).collect();
        return Ok(seen);
    };
    let questions: Vec<(u32, Message)> = groups.iter().map(|group| (index, message_of(*group))).collect();
    for (group, answer) in groups.iter().zip(ethtool.settings(&questions)?) {
        match answer {
            Ok(found) => take(&mut seen, *group, &found),
            Err(refusal) => drop(seen.refused.insert(*group, refusal.to_string())),
        }
    }
    Ok(seen)
}

/// `CONFIG_ETHTOOL_NETLINK`
const NO_FAMILY: &str = "this kernel has no ethtool netlink (Linux 5.6 is the first to have it)";

fn take(seen: &mut SeenSettings, group: Group, found: &Found) {
    match found {
        Found::Features(features) => {
            for key in Key::features() {
                let may = features.changeable.contains(key.name());
                let on = if may { &features.wanted } else { &features.active }.contains(key.name());
                seen.values.insert(key, on.into());
                if may {
                    seen.changeable.insert(key);
                }
            }
        }
        Found::Values(values) => {
            let known = values.iter().filter_map(|(kind, value)| Some((Key::of_attribute(group, *kind)?, *value)));
            seen.values.extend(known);
            let is_on = |(key, value): (&Key, &u32)| key.name() == "autoneg" && *value == 1;
            if group == Group::Modes && seen.values.iter().filter(|(key, _)| key.group() == group).any(is_on) {
                // They are the outcome of a negotiation, and nothing that somebody has set.
                seen.values.retain(|key, _| key.group() != group || key.name() == "autoneg");
            }
        }
    }
}

/// Changes settings of one group of a nic.
pub(super) fn change(
    ethtool: Option<&mut Ethtool>,
    index: u32,
    group: Group,
    settings: &Settings,
) -> Result<(), RunError> {
    let ethtool = ethtool.ok_or_else(|| RunError::Unspeakable(NO_FAMILY.to_owned()))?;
    let spelled: Vec<Setting<'static>> = settings.iter().map(|(key, value)| spelled(*key, *value)).collect();
    ethtool.change(index, message_of(group), &spelled).map_err(RunError::Ethtool)?.map_err(RunError::Kernel)?;
    if group == Group::Features { came_on(ethtool, index, settings) } else { Ok(()) }
}

/// The kernel takes the request for a feature, and leaves it off where it needs another one.
fn came_on(ethtool: &mut Ethtool, index: u32, settings: &Settings) -> Result<(), RunError> {
    let found = ethtool.settings(&[(index, Message::Features)]).map_err(RunError::Ethtool)?;
    let Some(Ok(Found::Features(now))) = found.into_iter().next() else { return Ok(()) };
    let differs = |(key, value): &(&Key, &u32)| now.active.contains(key.name()) != (**value == 1);
    let kept: Vec<String> = settings
        .iter()
        .filter(differs)
        .map(|(key, value)| format!("{} {}", key.name(), key.shown(u32::from(*value == 0))))
        .collect();
    match kept.is_empty() {
        true => Ok(()),
        false => Err(RunError::Unspeakable(format!(
            "the kernel took it, and keeps {}: another feature must change first, or the driver does not let it",
            kept.join(", ")
        ))),
    }
}

fn spelled(key: Key, value: u32) -> Setting<'static> {
    match (key.group(), key.kind()) {
        (Group::Features, _) => Setting::Feature(key.name(), value == 1),
        (_, Kind::Truth | Kind::Duplex) => Setting::Byte(key.attribute(), u8::try_from(value).unwrap_or(u8::MAX)),
        (_, Kind::Number | Kind::Speed) => Setting::Word(key.attribute(), value),
    }
}

fn message_of(group: Group) -> Message {
    match group {
        Group::Features => Message::Features,
        Group::Modes => Message::Modes,
        Group::Channels => Message::Channels,
        Group::Rings => Message::Rings,
        Group::Coalesce => Message::Coalesce,
        Group::Pause => Message::Pause,
    }
}
