//! What the offline tests and those on a real kernel share: random configurations, a host with a
//! fuse in it, and what counts as "the same state".

#![allow(dead_code)] // each of the two test binaries uses its part

pub mod plugged;
pub mod random;
pub mod skip;
pub mod state;
pub mod vanishing;

use std::collections::BTreeSet;

use vdsm_configurators::fault::{Faulty, Fuse};
use vdsm_configurators::iproute2::{Iproute2, Kernel};
use vdsm_model::config::{BondAddresses, Combination, Feature, Policy};
use vdsm_net::host::{Eyes, Host};

pub fn policy() -> Policy {
    Policy {
        combination: Combination::Strict,
        bond_addresses: BondAddresses::Preserve,
        configurator: "iproute2".to_owned(),
        features: BTreeSet::from([
            Feature::Dhcpv4,
            Feature::Dhcpv6,
            Feature::Ipv6Autoconf,
            Feature::Nameservers,
            Feature::EthtoolOptions,
            Feature::HostQos,
        ]),
    }
}

/// A host whose kernel fails when the fuse blows.
pub fn host(eyes: impl Eyes + 'static, kernel: impl Kernel + 'static, fuse: &Fuse) -> Host {
    let hands = Iproute2::new(Faulty { inner: kernel, fuse: fuse.clone() });
    Host { eyes: Box::new(eyes), hands: Box::new(hands) }
}
