//! A VLAN's own rules: its name must be free, or its own already, or have been its own.

use crate::device::{Link, NetDevice, Vlan};
use crate::graph::Judge;
use crate::name::DeviceName;
use crate::netinfo::SeenKind;
use crate::problem::{Code, Problem};

impl Vlan {
    /// Whether the kernel would have to make it anew to be that one: with another tag or base it is another.
    pub fn is_another(&self, to: &Vlan) -> bool {
        (self.tag, self.device) != (to.tag, to.device)
    }
}

impl NetDevice for Vlan {
    fn link(&self) -> &Link {
        &self.link
    }

    fn lower(&self) -> Vec<DeviceName> {
        vec![self.device]
    }

    fn same(&self, to: &Vlan) -> bool {
        !self.is_another(to) && self.link.same(&to.link)
    }

    fn check(&self, judge: &Judge<'_>) -> Vec<Problem> {
        let device = self.link.name;
        let Some(found) = judge.seen.link(&device) else { return Vec::new() };
        let own =
            matches!(found.kind, SeenKind::Vlan { tag, device } if tag == self.tag && device == Some(self.device));
        if own || judge.goes(device) {
            return judge.held_by_a_stranger(device).into_iter().collect();
        }
        if judge.displaces_ours(found) {
            // It goes for ours to come back.
            let users: Vec<DeviceName> = judge.seen.standing_on(device).map(|link| link.name).collect();
            let lost = (!users.is_empty()).then_some(Problem::VlanInUse { vlan: device, users });
            return judge.held_by_a_stranger(device).into_iter().chain(lost).collect();
        }
        let network = judge.network_of(device);
        let kind = match found.kind {
            SeenKind::Vlan { tag, device } => format!(
                "vlan with tag {tag} on {}",
                device.map_or_else(|| "another host".to_owned(), |d| d.to_string())
            ),
            ref other => other.word().to_owned(),
        };
        network.map(|network| Problem::NameTaken { network, device, kind, code: Code::BadVlan }).into_iter().collect()
    }
}
