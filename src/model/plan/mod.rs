//! A plan: the steps from one graph to another, as a value that is printed, executed, verified
//! and, by planning back, undone.
//!
//! The order of the steps is `planner.rs`'s; what a step is to a backend, the backend's.

mod numbers;
mod planner;
mod text;
mod words;

use std::sync::Arc;

pub use numbers::{NoStepNumbers, StepNumbers};
pub use words::{Deviation, Part, deviations};

use crate::device::{Bond, Bridge, Device, NetDevice, Nic, Vlan};
use crate::dhcp::Clients;
use crate::ethtool_options::Settings;
use crate::graph::{Graph, Stay};
use crate::ip::{IpConfig, Route};
use crate::name::DeviceName;
use crate::qos::Shaper;
use crate::resolver::Resolver;

/// What becomes of one object. It carries whole objects, so that a backend that writes files or
/// profiles has all it needs.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub enum Change<T> {
    Create(T),
    Modify { from: T, to: T },
    Remove(T),
}

/// One step of a plan.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub enum Step {
    Nic(Change<Nic>),
    Ethtool {
        device: DeviceName,
        from: Settings,
        to: Settings,
    },
    Bond(Change<Bond>),
    Vlan(Change<Vlan>),
    Bridge(Change<Bridge>),
    /// A nic's or bond's root discipline; none: the kernel's own.
    Qos {
        device: DeviceName,
        from: Option<Shaper>,
        to: Option<Shaper>,
    },
    /// DHCP clients end or start. `stay` is the default route that somebody else keeps until there is
    /// a lease.
    Dhcp {
        device: DeviceName,
        from: Clients,
        to: Clients,
        stay: Option<Stay>,
    },
    /// `replaces` names the default routes of others that give way to one of `to`.
    Ip {
        device: DeviceName,
        from: IpConfig,
        to: IpConfig,
        replaces: Vec<(DeviceName, Route)>,
    },
    /// The host's resolver, the last of all.
    Resolver {
        from: Arc<Resolver>,
        to: Arc<Resolver>,
    },
}

impl Step {
    /// The device it changes; none where it changes the host.
    pub fn device(&self) -> Option<DeviceName> {
        fn of<T: NetDevice>(change: &Change<T>) -> DeviceName {
            match change {
                Change::Create(d) | Change::Remove(d) | Change::Modify { to: d, .. } => d.name(),
            }
        }
        Some(match self {
            Step::Nic(change) => of(change),
            Step::Ethtool { device, .. } => *device,
            Step::Bond(change) => of(change),
            Step::Vlan(change) => of(change),
            Step::Bridge(change) => of(change),
            Step::Qos { device, .. } | Step::Dhcp { device, .. } | Step::Ip { device, .. } => *device,
            Step::Resolver { .. } => return None,
        })
    }

    /// Why traffic through the device stops, where it does.
    pub fn interruption(&self) -> Option<String> {
        let lost = |from: &std::collections::BTreeSet<DeviceName>, to: &std::collections::BTreeSet<DeviceName>| {
            let gone: Vec<String> = from.difference(to).map(DeviceName::to_string).collect();
            (!gone.is_empty()).then(|| format!("{} leaves", gone.join(", ")))
        };
        match self {
            Step::Nic(Change::Modify { from, to }) if from.link.up && !to.link.up => {
                Some("the nic goes down".to_owned())
            }
            Step::Bond(Change::Remove(_)) | Step::Vlan(Change::Remove(_)) | Step::Bridge(Change::Remove(_)) => {
                Some("the device goes".to_owned())
            }
            Step::Bond(Change::Modify { from, to }) if goes_down(from, to) => {
                Some("the bond goes down for a moment".to_owned())
            }
            // A bond that keeps a slave goes on working.
            Step::Bond(Change::Modify { from, to }) if to.slaves.is_disjoint(&from.slaves) => {
                lost(&from.slaves, &to.slaves)
            }
            Step::Bridge(Change::Modify { from, to }) => lost(&from.ports, &to.ports),
            Step::Ip { from, to, .. } => {
                let kept = from.kept(to);
                let gone: Vec<String> = from
                    .addresses
                    .iter()
                    .filter(|a| !kept.addresses.contains(a))
                    .map(ToString::to_string)
                    .chain(from.routes.difference(&kept.routes).filter(|r| !to.replaces(r)).map(ToString::to_string))
                    .collect();
                (!gone.is_empty()).then(|| format!("{} goes", gone.join(", ")))
            }
            _ => None,
        }
    }
}

/// Whether the kernel makes a bond go down for its options to change.
pub fn goes_down(from: &Bond, to: &Bond) -> bool {
    from.link.up && from.options.changes(&to.options).iter().any(|c| c.needs.down())
}

/// Steps in the order in which they are to be done.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    steps: Vec<Step>,
}

impl Plan {
    /// The steps that lead from one graph to another; none when they mean the same.
    ///
    /// Pure and deterministic. Used for a request, for its verification, for rollback and for
    /// restore alike. Devices that `to` does not have are removed, nics excepted; what `to` leaves
    /// open is left alone.
    pub fn between(from: &Graph, to: &Graph) -> Plan {
        Plan { steps: planner::steps(from, to) }
    }

    /// The steps in order.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }
}

impl From<Change<Device>> for Step {
    /// The two sides of a modification are of one kind: a device of another kind is another device.
    fn from(change: Change<Device>) -> Step {
        fn map<T>(change: Change<Device>, pick: impl Fn(Device) -> Option<T>) -> Option<Change<T>> {
            Some(match change {
                Change::Create(d) => Change::Create(pick(d)?),
                Change::Remove(d) => Change::Remove(pick(d)?),
                Change::Modify { from, to } => Change::Modify { from: pick(from)?, to: pick(to)? },
            })
        }
        let step = match &change {
            Change::Create(Device::Nic(_))
            | Change::Remove(Device::Nic(_))
            | Change::Modify { to: Device::Nic(_), .. } => {
                map(change, |d| if let Device::Nic(x) = d { Some(x) } else { None }).map(Step::Nic)
            }
            Change::Create(Device::Bond(_))
            | Change::Remove(Device::Bond(_))
            | Change::Modify { to: Device::Bond(_), .. } => {
                map(change, |d| if let Device::Bond(x) = d { Some(x) } else { None }).map(Step::Bond)
            }
            Change::Create(Device::Vlan(_))
            | Change::Remove(Device::Vlan(_))
            | Change::Modify { to: Device::Vlan(_), .. } => {
                map(change, |d| if let Device::Vlan(x) = d { Some(x) } else { None }).map(Step::Vlan)
            }
            _ => map(change, |d| if let Device::Bridge(x) = d { Some(x) } else { None }).map(Step::Bridge),
        };
        step.expect("the planner modifies a device into one of its own kind only")
    }
}
