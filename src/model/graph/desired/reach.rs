//! How far a request reaches: the devices that are held against the wish, and no others.
//!
//! What belongs to one network or bond is `scope.rs`'s, what the devices are to be `desired.rs`'s.

use super::super::Graph;
use super::Builder;
use crate::device::NetDevice;
use crate::name::{DeviceName, NetworkName};

impl Builder<'_> {
    /// The devices of the touched networks and bonds, and those whose routes give way to theirs.
    pub(super) fn find_scope(&mut self) {
        for (name, net) in self.former() {
            self.scope.add_network(name, net, self.running, self.seen);
        }
        for (name, net) in self.wanted() {
            self.scope.add_network(name, net, &self.merged.config, self.seen);
            for ours in self.exclusive_routes(name, net) {
                self.scope.add_rivals(&ours, self.seen);
            }
        }
        self.over.iter().for_each(|(device, _)| self.scope.add(*device));
        for bond in &self.merged.bonds {
            self.scope.add_bond(*bond, self.running, self.seen);
            self.scope.add_bond(*bond, &self.merged.config, self.seen);
        }
        self.add_masters();
    }

    /// An untouched bridge whose port is in the scope must show that it has it.
    fn add_masters(&mut self) {
        let masters: Vec<DeviceName> =
            self.scope.devices().filter_map(|d| self.seen.link(d)?.master).filter(|m| self.is_ours(m)).collect();
        masters.into_iter().for_each(|master| self.scope.add(master));
    }

    /// Whether the scope has grown by what stands on bonds that are not to stay as they are: it may
    /// suffer from that. There may be thousands of those, which are nobody's concern otherwise.
    pub(super) fn finds_bonds_shaken(&mut self, prior: &Graph) -> bool {
        let stays = |bond: &DeviceName| match (prior.device(bond), self.graph.device(bond)) {
            (Some(is), Some(wished)) => is.same(wished),
            _ => false,
        };
        let shaken: Vec<DeviceName> = self.merged.bonds.iter().filter(|bond| !stays(bond)).copied().collect();
        let before = self.scope.clone();
        shaken.iter().for_each(|bond| self.scope.add_above(*bond, self.seen));
        let is_wider = self.scope != before;
        if is_wider {
            self.add_masters();
        }
        is_wider
    }

    /// Whether a device belongs to one of our networks or bonds, touched or not.
    fn is_ours(&self, device: &DeviceName) -> bool {
        self.running.bonds.contains_key(device)
            || NetworkName::try_from(device.as_str())
                .is_ok_and(|name| self.running.networks.get(&name).is_some_and(|n| n.bridged))
    }
}
