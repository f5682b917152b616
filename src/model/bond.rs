//! A bond's own rules: its slaves must be nics or VLANs, and carry nothing else. What its options
//! may be is judged in `bond_options.rs`.

use crate::bond_options::OptionValue;
use crate::device::{Bond, Device, Link, NetDevice, follows_its_slave};
use crate::graph::Judge;
use crate::name::DeviceName;
use crate::netinfo::SeenKind;
use crate::problem::{Problem, Subject};

impl NetDevice for Bond {
    fn link(&self) -> &Link {
        &self.link
    }

    fn lower(&self) -> Vec<DeviceName> {
        self.slaves.iter().copied().collect()
    }

    fn same(&self, to: &Bond) -> bool {
        self.slaves == to.slaves && self.options.same(&to.options) && self.link.same(&to.link)
    }

    fn check(&self, judge: &Judge<'_>) -> Vec<Problem> {
        let name = self.link.name;
        let mut problems: Vec<Problem> = judge.held_by_a_stranger(name).into_iter().collect();
        if let Some(found) = judge.seen.link(&name)
            && !matches!(found.kind, SeenKind::Bond { .. })
        {
            problems.push(Problem::BondOption {
                bond: name,
                problem: format!("a device of that name exists already ({})", found.kind.word()),
            });
        }
        problems.extend(self.check_options());
        for slave in &self.slaves {
            problems.extend(self.check_slave(*slave, judge));
        }
        problems
    }
}

impl Bond {
    /// What its options say of its slaves and its address.
    fn check_options(&self) -> Vec<Problem> {
        let wrong = |problem: String| Problem::BondOption { bond: self.link.name, problem };
        let mut problems = Vec::new();
        if let Some(OptionValue::Device(primary)) = self.options.get("primary")
            && !primary.is_empty()
            && !self.slaves.iter().any(|slave| slave.as_str() == primary)
        {
            problems.push(wrong(format!("primary is {primary}, but that is none of its slaves")));
        }
        // bond_set_mac_address: with fail_over_mac the address is that of the active slave.
        if self.link.mac.is_some() && follows_its_slave(&self.options) {
            problems.push(wrong("fail_over_mac and hwaddr exclude each other".to_owned()));
        }
        problems
    }

    fn check_slave(&self, slave: DeviceName, judge: &Judge<'_>) -> Vec<Problem> {
        // A nic answers for itself; whatever else is no nic to the original.
        if !matches!(judge.graph.device(&slave), Some(Device::Nic(_) | Device::Vlan(_))) {
            return vec![Problem::UnknownNic { of: Subject::Bond(self.link.name.to_string()), nic: slave }];
        }
        let users: Vec<String> = judge
            .seen
            .vlans_on(slave)
            .filter(|vlan| !judge.goes(vlan.name))
            .map(|vlan| format!("the vlan {} upon it", vlan.name))
            .collect();
        if users.is_empty() {
            return Vec::new();
        }
        vec![Problem::UsedNic {
            nic: slave,
            users: std::iter::once(format!("slave of {}", self.link.name)).chain(users).collect(),
        }]
    }
}
