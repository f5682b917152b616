//! The kernel's own bridges, bonds and VLANs through rtnetlink, as iproute2 would make them.
//!
//! `lower.rs` thinks, `run.rs` acts; `message.rs` spells. Nothing is persisted here.

mod action;
mod clients;
pub mod ethtool;
mod lower;
mod message;
mod qos;
mod routers;
mod run;

use std::collections::BTreeSet;
use std::fmt::Debug;

pub use action::{Action, LinkChange, NewLink};
pub use clients::{ClientChange, as_model};
pub use qos::QosChange;
pub use run::Rtnetlink;
use vdsm_model::config::Feature;
use vdsm_model::netinfo::NetInfo;
use vdsm_model::plan::Step;

use crate::{Backend, Begin, RunError};

/// Who does the actions: the kernel, or something in its place.
pub trait Kernel: Debug + Send {
    /// Does them in order, and calls `begin` before each batch; the error comes with the number of the
    /// one that failed. What of its batch was done then is not said.
    fn run(
        &mut self,
        actions: &[(usize, Action)],
        seen: &NetInfo,
        begin: &mut Begin<'_>,
    ) -> Result<(), (usize, RunError)>;
}

/// The configurator, over a kernel.
#[derive(Debug)]
pub struct Iproute2<K> {
    kernel: K,
}

impl<K: Kernel> Iproute2<K> {
    /// A configurator that acts on this kernel.
    pub fn new(kernel: K) -> Iproute2<K> {
        Iproute2 { kernel }
    }
}

impl<K: Kernel> Backend for Iproute2<K> {
    type Action = Action;

    fn name(&self) -> &'static str {
        "iproute2"
    }

    fn features(&self) -> BTreeSet<Feature> {
        BTreeSet::from([
            Feature::Dhcpv4,
            Feature::Dhcpv6,
            Feature::Ipv6Autoconf,
            Feature::Nameservers,
            Feature::EthtoolOptions,
            Feature::HostQos,
        ])
    }

    fn lower(&self, steps: &[Step], seen: &NetInfo) -> Vec<(usize, Action)> {
        lower::lower(steps, seen)
    }

    fn run(
        &mut self,
        actions: &[(usize, Action)],
        seen: &NetInfo,
        begin: &mut Begin<'_>,
    ) -> Result<(), (usize, RunError)> {
        self.kernel.run(actions, seen, begin)
    }
}
