//! A bridge's own rules: its name must be free, or a bridge's already.

use crate::device::{Bridge, Link, NetDevice};
use crate::graph::Judge;
use crate::name::DeviceName;
use crate::netinfo::SeenKind;
use crate::problem::{Code, Problem};

impl NetDevice for Bridge {
    fn link(&self) -> &Link {
        &self.link
    }

    fn lower(&self) -> Vec<DeviceName> {
        self.ports.iter().copied().collect()
    }

    fn same(&self, to: &Bridge) -> bool {
        self.ports == to.ports
            && self.link.same(&to.link)
            && to.options.met_by(&self.options)
            // A tap that is gone needs nothing.
            && self.guests.iter().all(|(tap, mtu)| to.guests.get(tap).is_none_or(|wanted| wanted == mtu))
    }

    fn check(&self, judge: &Judge<'_>) -> Vec<Problem> {
        let device = self.link.name;
        match judge.seen.link(&device) {
            Some(found) if !matches!(found.kind, SeenKind::Bridge { .. }) && !judge.goes(device) => judge
                .network_of(device)
                .map(|network| Problem::NameTaken {
                    network,
                    device,
                    kind: found.kind.word().to_owned(),
                    code: Code::BadBridge,
                })
                .into_iter()
                .collect(),
            _ => Vec::new(),
        }
    }
}
