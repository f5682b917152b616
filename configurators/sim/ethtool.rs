//! What the simulated nics say to ethtool, and take from it: as a modest driver would.

use std::collections::BTreeSet;

use vdsm_model::ethtool_options::{Group, Key, SeenSettings, Settings};

/// The settings of one nic.
#[derive(Clone, Debug)]
pub(super) struct Tuning {
    values: Settings,
    fixed: BTreeSet<Key>,
}

/// Of these the nic has no more (`ethtool -g`, `ethtool -l`).
const MOST: [(Group, u32); 2] = [(Group::Rings, 4096), (Group::Channels, 4)];

/// What a new nic has; features by the kernel's names.
const FEATURES: &[(&str, u32)] = &[
    ("rx-checksum", 1),
    ("tx-checksum-ip-generic", 1),
    ("tx-scatter-gather", 1),
    ("tx-tcp-segmentation", 1),
    ("tx-tcp6-segmentation", 1),
    ("tx-generic-segmentation", 1),
    ("rx-gro", 1),
    ("tx-nocache-copy", 0),
];
const OTHERS: &[(Group, &str, u32)] = &[
    (Group::Rings, "rx", 256),
    (Group::Rings, "tx", 256),
    (Group::Channels, "combined", 1),
    (Group::Coalesce, "rx-usecs", 3),
    (Group::Coalesce, "tx-usecs", 3),
    (Group::Coalesce, "adaptive-rx", 0),
];
/// What it has, and nobody can change.
const FIXED: &[(&str, u32)] = &[("highdma", 1), ("rx-vlan-filter", 1)];

impl Default for Tuning {
    fn default() -> Tuning {
        let fixed: BTreeSet<Key> =
            Key::features().filter(|key| !FEATURES.iter().any(|(name, _)| *name == key.name())).collect();
        let on = |key: Key| FEATURES.iter().chain(FIXED).find(|(name, _)| *name == key.name()).map_or(0, |(_, on)| *on);
        let mut values: Settings = Key::features().map(|key| (key, on(key))).collect();
        values.extend(OTHERS.iter().filter_map(|(group, name, value)| Some((Key::new(*group, name)?, *value))));
        Tuning { values, fixed }
    }
}

impl Tuning {
    /// As the kernel tells it.
    pub(super) fn seen(&self, groups: &BTreeSet<Group>) -> SeenSettings {
        let asked = |key: &Key| groups.contains(&key.group());
        let has = |group: &Group| self.values.keys().any(|key| key.group() == *group);
        SeenSettings {
            values: self.values.iter().filter(|(key, _)| asked(key)).map(|(key, value)| (*key, *value)).collect(),
            changeable: self
                .values
                .keys()
                .filter(|key| asked(key) && is_feature(key) && !self.fixed.contains(*key))
                .copied()
                .collect(),
            refused: groups.iter().filter(|group| !has(group)).map(|group| (*group, REFUSAL.to_owned())).collect(),
            asked: groups.clone(),
        }
    }

    /// As a driver takes it: all or nothing.
    pub(super) fn change(&mut self, settings: &Settings) -> Result<(), String> {
        for (key, value) in settings {
            let most = MOST.iter().find(|(group, _)| *group == key.group()).map_or(u32::MAX, |(_, most)| *most);
            if !self.values.contains_key(key) {
                return Err(REFUSAL.to_owned());
            }
            if *value > most {
                return Err("Invalid argument (EINVAL): requested value exceeds maximum".to_owned());
            }
        }
        // A feature that is fixed stays as it is, without a word (`ethnl_set_features`).
        self.values.extend(settings.iter().filter(|(key, _)| !self.fixed.contains(key)));
        Ok(())
    }
}

const REFUSAL: &str = "Operation not supported on transport endpoint (EOPNOTSUPP)";

fn is_feature(key: &Key) -> bool {
    key.group() == Group::Features
}
