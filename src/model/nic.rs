//! A nic's own rules: it must be there, visible, and free.

use crate::device::{Link, NetDevice, Nic};
use crate::graph::Judge;
use crate::name::DeviceName;
use crate::problem::Problem;

impl NetDevice for Nic {
    fn link(&self) -> &Link {
        &self.link
    }

    fn lower(&self) -> Vec<DeviceName> {
        Vec::new()
    }

    fn same(&self, to: &Nic) -> bool {
        self.link.same(&to.link)
    }

    fn check(&self, judge: &Judge<'_>) -> Vec<Problem> {
        let nic = self.link.name;
        match judge.seen.link(&nic) {
            Some(link) if link.nic => judge.held_by_a_stranger(nic).into_iter().collect(),
            _ => judge.askers_of(nic).into_iter().map(|of| Problem::UnknownNic { of, nic }).collect(),
        }
    }
}
