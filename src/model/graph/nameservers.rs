//! Which name servers the host is to have from its networks, and what its resolver is then.
//!
//! What a resolver makes of servers is `resolver.rs`'s.

use super::merge::Merged;
use super::scope::top_of;
use crate::config::{Feature, NetConfig, NetworkConfig, Policy};
use crate::name::NetworkName;
use crate::netinfo::NetInfo;
use crate::problem::Problem;
use crate::resolver::{ASKED, Manager, Resolver, Server};

/// The name servers that a network brings to the host, in order; only the default route network
/// has any. The one place that says so, beside [`leased`].
///
/// None means that the host's own stay, or come back: `nameservers` is absent, or says of itself
/// that it has none. The engine sends an empty list for a network whose DNS settings were cleared,
/// and neither it nor the original meant by that a host that cannot resolve anything: no `DNS1=`
/// was written, and `resolv.conf` stayed.
fn servers_of(net: &NetworkConfig) -> Vec<Server> {
    let given = net.nameservers.iter().flatten().filter(|_| net.default_route);
    // They were judged when they were read.
    given.filter_map(|text| text.parse().ok()).collect()
}

/// Those that a DHCP server told the default route network, which names none itself.
fn leased(name: &NetworkName, net: &NetworkConfig, seen: &NetInfo) -> Vec<Server> {
    let asks = net.default_route && net.nameservers.is_none();
    let Some(link) = top_of(name, net, seen).and_then(|top| seen.link(&top)).filter(|_| asks) else {
        return Vec::new();
    };
    let leases = [(net.dhcpv4, false), (net.dhcpv6, true)].into_iter().filter(|(asked, _)| *asked);
    let servers = leases.filter_map(|(_, v6)| link.lease(v6)).flat_map(|lease| &lease.nameservers);
    servers.filter_map(|addr| addr.to_string().parse().ok()).collect()
}

/// What is wished of the resolver.
#[derive(Default)]
pub(super) struct Wish {
    /// None: it is not ours to say.
    pub(super) resolver: Option<Resolver>,
    pub(super) problem: Option<Problem>,
    pub(super) warning: Option<String>,
}

/// What a request makes of the resolver. It speaks of it when it touches the network that has the
/// default route or had it, and when there are servers of ours that no network wishes for any more.
pub(super) fn wish(running: &NetConfig, merged: &Merged, seen: &NetInfo, policy: &Policy) -> Wish {
    if !policy.features.contains(&Feature::Nameservers) {
        return Wish::default();
    }
    let owner = merged.config.default_route();
    let is_touched = |name: &NetworkName| merged.networks.contains(name);
    let brought = owner.and_then(|name| {
        let net = merged.config.networks.get(name)?;
        let mut servers = servers_of(net);
        if servers.is_empty() {
            servers = leased(name, net, seen);
        }
        (!servers.is_empty()).then_some((name, net, servers))
    });
    let Some((name, net, servers)) = brought else {
        return Wish { resolver: seen.resolver.released(), ..Wish::default() };
    };
    if !owner.into_iter().chain(running.default_route()).any(is_touched) {
        return Wish::default();
    }
    let Some(top) = top_of(name, net, seen) else { return Wish::default() };
    if let Some(why) = seen.resolver.closed() {
        if servers_of(net).is_empty() {
            let warning = format!("network '{name}': the name servers of its lease are not used: {why}");
            return Wish { warning: Some(warning), ..Wish::default() };
        }
        let problem = Problem::ForeignResolver { network: name.clone(), why: why.to_owned() };
        return Wish { problem: Some(problem), ..Wish::default() };
    }
    let is_file = matches!(seen.resolver.manager, Manager::File { .. });
    let warning = (is_file && servers.len() > ASKED)
        .then(|| format!("network '{name}': of {} name servers the host asks the first {ASKED} only", servers.len()));
    Wish { resolver: seen.resolver.with(top, &servers), problem: None, warning }
}

impl NetworkConfig {
    /// Whether it has name servers to bring, which it cannot where the resolver is somebody else's.
    pub fn brings_nameservers(&self) -> bool {
        !servers_of(self).is_empty()
    }
}
