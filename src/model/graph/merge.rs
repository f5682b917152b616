//! Running configuration and request become the configuration wished for, and the list of what
//! the request touches. What the host makes of it is not known here, save for bonds taken over.

use std::collections::BTreeSet;

use super::waiting;
use crate::config::{Base, BondConfig, NetConfig, NetworkConfig, Networks, Switch};
use crate::device::follows_its_slave;
use crate::name::{DeviceName, NetworkName};
use crate::netinfo::{NetInfo, SeenKind};
use crate::problem::Problem;
use crate::request::{BondRequest, Request};

/// What a request makes of a configuration.
pub(super) struct Merged {
    pub(super) config: NetConfig,
    /// Networks set, removed, or changed by implication.
    pub(super) networks: BTreeSet<NetworkName>,
    /// Bonds set or removed.
    pub(super) bonds: BTreeSet<DeviceName>,
    pub(super) problems: Vec<Problem>,
}

pub(super) fn merge(running: &NetConfig, request: &Request, seen: &NetInfo) -> Merged {
    let mut merged = Merged {
        config: running.clone(),
        networks: BTreeSet::new(),
        bonds: BTreeSet::new(),
        problems: request.problems.clone(),
    };
    merged.networks(running, request);
    merged.bonds(running, request, seen);
    merged.take_over(seen);
    merged.move_default_route(request);
    merged.networks.extend(waiting::due(running, &merged, seen));
    merged
}

impl Merged {
    /// The slaves of the bonds that are set.
    pub(super) fn slaves(&self) -> impl Iterator<Item = DeviceName> {
        self.bonds.iter().filter_map(|bond| self.config.bonds.get(bond)).flat_map(|bond| bond.nics.iter().copied())
    }

    /// The networks that are touched, as they are to be.
    pub(super) fn touched(&self) -> impl Iterator<Item = (&NetworkName, &NetworkConfig)> {
        named(&self.config.networks, &self.networks)
    }

    fn networks(&mut self, running: &NetConfig, request: &Request) {
        for (name, wanted) in &request.networks {
            // One that could not be read says nothing about the others.
            let Some(wanted) = wanted.as_ref().filter(|_| !request.broken.contains(name)) else {
                self.config.networks.remove(name);
                if wanted.is_none() {
                    self.networks.insert(name.clone());
                    if !running.networks.contains_key(name) {
                        self.problems.push(Problem::NoSuchNetwork { network: name.clone() });
                    }
                }
                continue;
            };
            self.networks.insert(name.clone());
            // Restoring and judging name networks as they are.
            if self.config.networks.get(name) != Some(wanted) {
                // Whoever reacts to what becomes of a lease later waits for none.
                self.config.networks.insert(name.clone(), NetworkConfig { blocking_dhcp: false, ..wanted.clone() });
            }
        }
    }

    fn bonds(&mut self, running: &NetConfig, request: &Request, seen: &NetInfo) {
        for (name, wanted) in &request.bonds {
            self.bonds.insert(*name);
            let Some(wanted) = wanted else {
                self.config.bonds.remove(name);
                let exists = running.bonds.contains_key(name)
                    || seen.link(name).is_some_and(|l| matches!(l.kind, SeenKind::Bond { .. }));
                if !exists {
                    self.problems.push(Problem::NoSuchBond { bond: *name });
                }
                continue;
            };
            let kept = self.config.bonds.get(name).cloned().or_else(|| live_bond(*name, seen));
            self.config.bonds.insert(*name, renewed(wanted, kept));
        }
    }

    /// A bond that only a network names becomes ours as it is.
    fn take_over(&mut self, seen: &NetInfo) {
        let named: Vec<(NetworkName, DeviceName)> = self
            .touched()
            .filter_map(|(name, net)| match net.base {
                Some(Base::Bond(bond)) if !self.config.bonds.contains_key(&bond) => Some((name.clone(), bond)),
                _ => None,
            })
            .collect();
        for (network, bond) in named {
            // The request removes it: what stands on it is told so elsewhere.
            if self.bonds.contains(&bond) {
                continue;
            }
            match live_bond(bond, seen) {
                Some(live) => self.config.bonds.insert(bond, live),
                None => self.problems.push(Problem::UnknownBond { network, bond }),
            }
        }
    }

    /// A host has one default route: the owner so far gives it up (vdsm-facts 3.2).
    fn move_default_route(&mut self, request: &Request) {
        // Those that could not be read whole count as well.
        let wants = |net: &Option<NetworkConfig>| net.as_ref().is_some_and(|net| net.default_route);
        let asked: Vec<NetworkName> =
            request.networks.iter().filter(|(_, net)| wants(net)).map(|(name, _)| name.clone()).collect();
        let owners = self.config.networks.default_routes().cloned();
        let before: Vec<NetworkName> = owners.filter(|name| !request.networks.contains_key(name)).collect();
        if asked.len() > 1 {
            self.problems.push(Problem::ManyDefaultRoutes { networks: asked });
        } else if !asked.is_empty() {
            for name in before {
                self.config.networks.change(&name, |net| {
                    net.default_route = false;
                    net.nameservers = None;
                });
                self.networks.insert(name);
            }
        }
    }
}

/// Those networks that have one of these names, by name.
pub(super) fn named<'a>(
    networks: &'a Networks,
    names: &BTreeSet<NetworkName>,
) -> impl Iterator<Item = (&'a NetworkName, &'a NetworkConfig)> {
    names.iter().filter_map(|name| networks.get_key_value(name))
}

/// A bond of the request; without options it keeps those it has.
fn renewed(wanted: &BondRequest, kept: Option<BondConfig>) -> BondConfig {
    let (options_text, options) = match (&wanted.options, &kept) {
        (Some((text, options)), _) => (text.clone(), options.clone()),
        (None, Some(kept)) => (kept.options_text.clone(), kept.options.clone()),
        (None, None) => Default::default(),
    };
    // An address once pinned stays so (vdsm-facts 1.1.2).
    let hwaddr = wanted.hwaddr.or(kept.and_then(|k| k.hwaddr).filter(|_| !follows_its_slave(&options)));
    BondConfig { nics: wanted.nics.clone(), options, options_text, hwaddr, switch: wanted.switch }
}

/// A bond of the host as if it had been requested; its address is pinned, since nobody knows
/// which slave it came from.
fn live_bond(name: DeviceName, seen: &NetInfo) -> Option<BondConfig> {
    let link = seen.link(&name)?;
    let SeenKind::Bond { options, .. } = &link.kind else { return None };
    Some(BondConfig {
        nics: seen.ports_of(name).map(|l| l.name).collect(),
        options: options.clone(),
        options_text: options.canonical(),
        hwaddr: link.mac.filter(|_| !follows_its_slave(options)),
        switch: Switch::Legacy,
    })
}
