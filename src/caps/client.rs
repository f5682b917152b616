//! Through which device the host answers whoever asks: `lastClientIface`.

use std::cmp::Reverse;
use std::net::IpAddr;

use vdsm_model::ip::{Fate, MAIN_TABLE};
use vdsm_model::name::DeviceName;
use vdsm_model::netinfo::{NetInfo, SeenLink};
use vdsm_model::units::Prefixed;

/// The device behind which `client` is: by the longest prefix of the main table, whoever made the
/// route, and among equals by the lowest metric. The host itself is behind the device with the
/// address. None when there is no way, or when a link-local address leaves it open.
pub(crate) fn towards(seen: &NetInfo, client: IpAddr) -> Option<DeviceName> {
    let is_link_local = matches!(client, IpAddr::V6(addr) if addr.is_unicast_link_local());
    let has = |link: &&SeenLink| link.addresses.iter().any(|address| is_own(&address.ip, client));
    if let Some(own) = seen.links().find(has) {
        return Some(own.name);
    }
    let routes = seen.links().flat_map(|link| {
        let all = link.routes.iter().chain(&link.made_routes);
        let fit = all.filter(|route| route.table == MAIN_TABLE && route.to.covers(client));
        fit.map(|route| (Reverse(route.to.prefix), route.metric, link.name, route.fate))
    });
    let best = routes.filter(|_| !is_link_local).min();
    best.filter(|(.., fate)| *fate == Fate::Forwarded).map(|(_, _, name, _)| name)
}

/// Of the loopback's network, every address is the host's (RFC 1122, section 3.2.1.3).
fn is_own(own: &Prefixed<IpAddr>, client: IpAddr) -> bool {
    own.addr == client || own.addr.is_loopback() && own.covers(client)
}
