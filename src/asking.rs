//! Waiting for leases: a request that says `blockingdhcp`, and a restore, end when they are there.
//!
//! What follows from a lease is planned in `model`; the clients are `leases.rs`'s.

use std::fmt;

use vdsm_model::config::NetConfig;
use vdsm_model::graph::Stack;
use vdsm_model::name::NetworkName;
use vdsm_model::netinfo::NetInfo;

/// A network that has no lease of a family it asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leaseless {
    /// The network.
    pub network: NetworkName,
    /// Why its client cannot even ask, where it cannot.
    pub why: Option<String>,
}

impl fmt::Display for Leaseless {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.network.as_str())?;
        self.why.as_ref().map_or(Ok(()), |why| write!(f, " ({why})"))
    }
}

/// The networks among these that have no lease of a family they ask for. Where the kernel has no IPv6,
/// nobody asks for any of it.
pub fn without_lease(config: &NetConfig, names: &[NetworkName], seen: &NetInfo) -> Vec<Leaseless> {
    let leaseless = |name: &NetworkName| {
        let net = config.networks.get(name)?;
        let link = Stack::of(name, net, seen).top.and_then(|top| seen.link(&top));
        let asked = [(net.dhcpv4, false), (net.dhcpv6 && seen.has_ipv6, true)].into_iter().filter(|(asked, _)| *asked);
        let mut lacking = asked.filter(|(_, v6)| link.is_none_or(|link| link.lease(*v6).is_none())).peekable();
        lacking.peek()?;
        let client = |v6: bool| link.and_then(|link| if v6 { link.dhcp.v6.as_ref() } else { link.dhcp.v4.as_ref() });
        let why = lacking.filter_map(|(_, v6)| client(v6)?.trouble.clone()).next();
        Some(Leaseless { network: name.clone(), why })
    };
    names.iter().filter_map(leaseless).collect()
}
