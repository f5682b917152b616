//! `custom.ethtool_opts`: which nics it means, and what of it they can have.
//!
//! A network's nics are its nic, or its bond's slaves; `*` is all of them. The bond itself cannot
//! be named: its features follow its slaves'. What is named no more stays as it is, as it did with
//! the original: what was there before us is known within a transaction only.

use std::collections::{BTreeMap, BTreeSet};

use super::Graph;
use super::merge::{Merged, named};
use crate::config::{Base, NetConfig, NetworkConfig, Networks};
use crate::ethtool_options::{Key, Tuned, Wish};
use crate::name::{DeviceName, NetworkName};
use crate::netinfo::NetInfo;
use crate::problem::Problem;

/// What networks wish of nics.
#[derive(Default)]
pub(super) struct Wishes {
    /// Who wished first stands beside what is wished.
    by_nic: BTreeMap<DeviceName, BTreeMap<Key, (Wish, NetworkName)>>,
}

impl Wishes {
    /// The wishes of the networks that a request touches, or whose bond it touches.
    pub(super) fn of(merged: &Merged, problems: &mut Vec<Problem>) -> Wishes {
        let networks = with_users(&merged.config.networks, &merged.networks, &merged.bonds);
        Wishes::all(networks, &merged.config, problems)
    }

    fn all<'a>(
        networks: impl IntoIterator<Item = (&'a NetworkName, &'a NetworkConfig)>,
        config: &NetConfig,
        problems: &mut Vec<Problem>,
    ) -> Wishes {
        let mut wishes = Wishes::default();
        networks.into_iter().for_each(|(name, net)| wishes.add(name, net, config, problems));
        wishes
    }

    fn add(&mut self, name: &NetworkName, net: &NetworkConfig, config: &NetConfig, problems: &mut Vec<Problem>) {
        let wrong = |problem: String| Problem::EthtoolOption { network: name.clone(), problem };
        if net.ethtool_options.is_empty() {
            return;
        }
        let nics = nics_of(net, config);
        let strangers: BTreeSet<DeviceName> = net.ethtool_options.devices().filter(|d| !nics.contains(d)).collect();
        problems.extend(strangers.iter().map(|device| wrong(format!("'{device}' is no nic of this network"))));
        for nic in nics {
            let known = self.by_nic.entry(nic).or_default();
            for (key, wish) in net.ethtool_options.of(nic) {
                let (had, whose) = known.entry(key).or_insert_with(|| (wish, name.clone()));
                if had.value != wish.value {
                    let [one, other] = [wish.value, had.value].map(|value| key.shown(value));
                    problems
                        .push(wrong(format!("'{key}' of {nic} is to be {one}, but network '{whose}' says {other}")));
                }
                had.alias = had.alias.and(wish.alias);
            }
        }
    }

    /// The groups that must be known for the wishes to be judged.
    pub(super) fn tuned(&self, seen: &NetInfo) -> Tuned {
        let there = self.by_nic.iter().filter(|(nic, wishes)| !wishes.is_empty() && seen.link(nic).is_some());
        there.map(|(nic, wishes)| (*nic, wishes.keys().map(|key| key.group()).collect())).collect()
    }

    /// Says in the wished graph what is wished of nics that were asked what they can do; of the
    /// prior one only the same settings stay, so that a rollback touches no others.
    pub(super) fn put(self, seen: &NetInfo, prior: &mut Graph, graph: &mut Graph, problems: &mut Vec<Problem>) {
        graph.settings.clear();
        for (nic, wishes) in self.by_nic {
            let Some(found) = seen.link(&nic).and_then(|link| link.settings.as_ref()) else { continue };
            let plain = wishes.iter().map(|(key, (wish, _))| (*key, *wish)).collect();
            match found.possible(&plain) {
                Ok(settings) => drop(graph.settings.insert(nic, settings)),
                Err(sentences) => {
                    let askers: BTreeSet<&NetworkName> = wishes.values().map(|(_, network)| network).collect();
                    for sentence in sentences {
                        problems.extend(askers.iter().map(|network| Problem::EthtoolOption {
                            network: (*network).clone(),
                            problem: format!("{nic}: {sentence}"),
                        }));
                    }
                }
            }
        }
        prior.settings.retain(|nic, had| {
            let wished = graph.settings.get(nic);
            had.retain(|key, _| wished.is_some_and(|wished| wished.contains_key(key)));
            !had.is_empty()
        });
    }
}

/// The nics of a network: its nic, or the slaves of its bond.
fn nics_of(net: &NetworkConfig, config: &NetConfig) -> BTreeSet<DeviceName> {
    match net.base {
        Some(Base::Nic(nic)) => BTreeSet::from([nic]),
        Some(Base::Bond(bond)) => config.bonds.get(&bond).map(|bond| bond.nics.clone()).unwrap_or_default(),
        None => BTreeSet::new(),
    }
}

/// The networks of these names, and those on these bonds as far as they wish for anything.
fn with_users<'a>(
    networks: &'a Networks,
    names: &BTreeSet<NetworkName>,
    bonds: &BTreeSet<DeviceName>,
) -> BTreeMap<&'a NetworkName, &'a NetworkConfig> {
    named(networks, names).chain(bonds.iter().flat_map(|bond| networks.wishing_of(*bond))).collect()
}

/// What must be known of nics to judge a configuration, or only the networks of it that are named
/// and those on the bonds that are.
pub fn tuned(
    config: &NetConfig,
    only: Option<(&BTreeSet<NetworkName>, &BTreeSet<DeviceName>)>,
    seen: &NetInfo,
) -> Tuned {
    let nobody = &mut Vec::new();
    let wishes = match only {
        Some((names, bonds)) => Wishes::all(with_users(&config.networks, names, bonds), config, nobody),
        None => Wishes::all(config.networks.iter(), config, nobody),
    };
    wishes.tuned(seen)
}
