//! What an object may ask about its surroundings when it judges itself.

use std::collections::BTreeSet;

use super::Graph;
use super::merge::Merged;
use super::scope::{Scope, bridge_of, vlan_of};
use super::stack::made;
use crate::config::{Base, BondConfig, NetConfig};
use crate::device::NetDevice;
use crate::name::{DeviceName, NetworkName};
use crate::netinfo::{NetInfo, SeenKind, SeenLink};
use crate::problem::{Problem, Subject, THE_REQUEST};

/// What an object may ask about its surroundings when it judges itself.
#[derive(Clone, Copy)]
pub struct Judge<'a> {
    /// The graph wished for.
    pub graph: &'a Graph,
    /// The host.
    pub seen: &'a NetInfo,
    pub(super) running: &'a NetConfig,
    pub(super) scope: &'a Scope,
    pub(super) going: &'a BTreeSet<DeviceName>,
    pub(super) merged: &'a Merged,
}

impl Judge<'_> {
    /// The problems of every device that the request touches.
    pub(super) fn all(&self) -> Vec<Problem> {
        let touched: BTreeSet<DeviceName> = self.touched();
        self.graph.devices().filter(|d| touched.contains(&d.name())).flat_map(|d| d.check(self)).collect()
    }

    fn touched(&self) -> BTreeSet<DeviceName> {
        let mut touched: BTreeSet<DeviceName> = (self.merged.touched())
            .flat_map(|(name, net)| [bridge_of(name, net), vlan_of(net, self.seen), net.base.map(Base::device)])
            .flatten()
            .collect();
        touched.extend(self.bonds().flat_map(|(name, bond)| bond.nics.iter().chain([name])));
        touched
    }

    /// The bonds that the request touches.
    fn bonds(&self) -> impl Iterator<Item = (&DeviceName, &BondConfig)> {
        self.merged.bonds.iter().filter_map(|name| self.merged.config.bonds.get_key_value(name))
    }

    /// Whether a device is to go, so that its name and its place are free.
    pub fn goes(&self, device: DeviceName) -> bool {
        self.going.contains(&device)
    }

    /// The touched network that needs a device.
    pub fn network_of(&self, device: DeviceName) -> Option<NetworkName> {
        let made = made(device, &self.merged.config.networks, self.seen).map(|(name, _)| name);
        made.filter(|name| self.merged.networks.contains(*name)).min().cloned()
    }

    /// Whether a VLAN is in the place of one that a touched network had, and is no network's: somebody made
    /// ours anew with another tag, or upon another link.
    pub fn displaces_ours(&self, vlan: &SeenLink) -> bool {
        let SeenKind::Vlan { tag, device: Some(base) } = vlan.kind else { return false };
        let had = made(vlan.name, &self.running.networks, self.seen);
        let is_a_networks =
            [self.running, &self.merged.config].iter().any(|it| it.networks.on(base, Some(tag)).next().is_some());
        had.into_iter().any(|(name, _)| self.merged.networks.contains(name)) && !is_a_networks
    }

    /// Who of the request asks for a nic.
    pub fn askers_of(&self, nic: DeviceName) -> Vec<Subject> {
        let nets = self.merged.touched().filter(|(_, net)| net.base.map(Base::device) == Some(nic));
        let bonds = self.bonds().filter(|(_, bond)| bond.nics.contains(&nic));
        nets.map(|(name, _)| Subject::Network(name.to_string()))
            .chain(bonds.map(|(name, _)| Subject::Bond(name.to_string())))
            .collect()
    }

    /// The problem that a device has a master which is not ours to take it from.
    pub fn held_by_a_stranger(&self, device: DeviceName) -> Option<Problem> {
        let holder = self.seen.link(&device)?.master?;
        let ours = self.scope.contains(&holder) || self.graph.master_of(&device) == Some(holder);
        (!ours).then(|| {
            let kind = self.seen.link(&holder).map_or("device", |l| match l.kind {
                SeenKind::Bond { .. } => "slave of",
                _ => "port of",
            });
            Problem::UsedNic {
                nic: device,
                users: vec![format!("{kind} {holder}, which is not ours"), THE_REQUEST.to_owned()],
            }
        })
    }
}
