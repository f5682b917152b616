//! Waiting for leases: a request that says `blockingdhcp`, and a restore, end when they are there.
//!
//! What follows from a lease is planned in `model`; the clients are `leases.rs`'s.

use vdsm_model::config::{NetConfig, NetworkConfig};
use vdsm_model::graph::Stack;
use vdsm_model::name::NetworkName;
use vdsm_model::netinfo::NetInfo;

/// The networks among these that have no lease of a family they ask for.
pub fn without_lease(config: &NetConfig, names: &[NetworkName], seen: &NetInfo) -> Vec<NetworkName> {
    let lacks = |name: &&NetworkName| {
        config.networks.get(*name).is_some_and(|net| {
            let link = Stack::of(name, net, seen).top.and_then(|top| seen.link(&top));
            let has = |wanted: bool, v6: bool| {
                !wanted
                    || link.is_some_and(|link| {
                        let client = if v6 { &link.dhcp.v6 } else { &link.dhcp.v4 };
                        let lease = client.as_ref().and_then(|client| client.lease.as_ref());
                        lease.is_some_and(|lease| link.addresses.iter().any(|it| it.ip == lease.address))
                    })
            };
            !has(net.dhcpv4, false) || !has(net.dhcpv6, true)
        })
    };
    names.iter().filter(lacks).cloned().collect()
}

/// Whether a network has any addresses to wait for.
pub fn asks(net: &NetworkConfig) -> bool {
    net.dhcpv4 || net.dhcpv6
}
