//! What is told of every device: addresses, gateways and MTU.
//!
//! Which devices are told, and what else of them, is not here.

use std::net::{IpAddr, Ipv6Addr};

use vdsm_model::ip::{Address, MAIN_TABLE, Route};
use vdsm_model::netinfo::SeenLink;
use vdsm_model::units::netmask_of;

use super::json::Object;

/// `RT_SCOPE_LINK` of linux/rtnetlink.h.
const RT_SCOPE_LINK: u8 = 253;

/// Writes the keys that every device and every network has.
pub(super) fn tell(link: &SeenLink, keys: &mut Object<'_>) {
    let told = || link.addresses.iter().filter(|address| !is_of_link(address));
    let of_family = |v4: bool| told().filter(move |address| address.ip.addr.is_ipv4() == v4);
    let (route4, route6) = (default_route(link, IpAddr::is_ipv4), default_route(link, IpAddr::is_ipv6));
    let gateway = route4.map(|(_, gateway)| gateway);
    let primary = primary(of_family(true), gateway);
    keys.text("addr", primary.map(|address| address.ip.addr));
    keys.text("netmask", primary.map(|address| netmask_of(address.ip.prefix)));
    keys.texts("ipv4addrs", of_family(true));
    keys.texts("ipv6addrs", of_family(false));
    keys.text("gateway", gateway);
    keys.text("ipv6gateway", route6.map_or(Ipv6Addr::UNSPECIFIED.into(), |(_, gateway)| gateway));
    keys.truth("ipv4defaultroute", route4.is_some_and(|(route, _)| route.table == MAIN_TABLE));
    // The engine once took nothing but text.
    keys.text("mtu", u64::from(link.mtu.get()));
    // Somebody else's client shows by what it sets: an address that ends, of IPv6 a whole one.
    let leased = |v4: bool| {
        link.addresses.iter().any(|it| it.is_dynamic() && it.ip.addr.is_ipv4() == v4 && (v4 || it.ip.prefix == 128))
    };
    keys.truth("dhcpv4", link.dhcp.v4.is_some() || leased(true));
    keys.truth("dhcpv6", link.dhcp.v6.is_some() || leased(false));
    keys.truth(
        "ipv6autoconf",
        link.ipv6_disabled == Some(false) && link.adverts.is_some_and(|it| it.are_heard() && it.autoconf),
    );
}

/// The device's default route of one family, whoever made it, and its gateway. The source routes of
/// a network that is not the host's default lie in a table of their own; the main table comes first.
fn default_route(link: &SeenLink, family: impl Fn(&IpAddr) -> bool) -> Option<(&Route, IpAddr)> {
    let default = |route: &&Route| route.to.prefix == 0 && family(&route.to.addr);
    let routes = link.routes.iter().chain(&link.made_routes).filter(default);
    // An IPv4 route through an IPv6 gateway (RFC 5549) is nothing the engine could read.
    let routes = routes.filter_map(|route| Some((route, route.gateway.filter(&family)?)));
    routes.min_by_key(|(route, _)| (route.table != MAIN_TABLE, route.metric, route.table))
}

/// Whether it reaches no farther than the link: the engine is told of none (vdsm-facts 6.1).
fn is_of_link(address: &Address) -> bool {
    match address.ip.addr {
        IpAddr::V4(_) => address.more.scope == RT_SCOPE_LINK,
        IpAddr::V6(addr) => addr.is_unicast_link_local(),
    }
}

/// The address in the gateway's subnet, or else the first.
fn primary<'a>(addresses: impl Iterator<Item = &'a Address> + Clone, gateway: Option<IpAddr>) -> Option<&'a Address> {
    let reaches = |a: &&Address| gateway.is_some_and(|addr| a.ip.covers(addr));
    addresses.clone().find(reaches).or_else(|| addresses.clone().next())
}
