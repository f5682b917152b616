//! One `RTM_NEWADDR` or `RTM_NEWROUTE` message becomes an address or a route and its link's index.
//!
//! What the model has no use for is left out here, so that it takes no memory:
//! - addresses: IPv6's link-local ones;
//! - routes: link-local ones the kernel made, and what redirects say; and, as the
//!   host may carry a full routing table, those of routing daemons except for default routes.
//!   Routes over several next hops belong to no single link, and those that lead nowhere (unreachable,
//!   blackhole) to none. They are left out too, but where one of ours might stumble over them: default routes, and
//!   tables beside the main one. There the former are kept as their next hops ([`hops`]), and the
//!   latter at the loopback, where IPv6 itself has them. Left out are those that ask for a source or a
//!   type of service, as [`Route`] cannot tell them from others to the same destination.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use vdsm_model::ip::{Address, DHCP, Fate, More, RA, ROUTE_METRICS, Route};
use vdsm_model::units::Prefixed;
use vdsm_netlink::attrs::{self, Attrs};

/// Length of `ifaddrmsg`, of `rtmsg` and of `rtnexthop`.
const IFADDRMSG: usize = 8;
const RTMSG: usize = 12;
const RTNEXTHOP: usize = 8;

pub(super) const INET: u8 = libc::AF_INET as u8;
pub(super) const INET6: u8 = libc::AF_INET6 as u8;

/// The loopback's index, the same in each network namespace (net/core/dev.c).
pub(super) const LOOPBACK: u32 = 1;
/// `RTA_NH_ID` of linux/rtnetlink.h.
const RTA_NH_ID: u16 = 30;
// Of linux/rtnetlink.h; the libc crate has the others.
/// `RTNH_F_ONLINK` of linux/rtnetlink.h, in the flags of a route with one next hop.
const RTNH_F_ONLINK: u32 = 4;
/// Of linux/if_addr.h: who made an address, and that it comes from a secret (RFC 7217).
const IFA_PROTO: u16 = 11;
const IFA_RT_PRIORITY: u16 = 9;
/// `nodad`, `home`, `mngtmpaddr` and `noprefixroute`.
const IFA_WISHES: u32 = 0x02 | 0x10 | 0x100 | 0x200;
const IFA_F_DADFAILED: u32 = 0x08;
const RTAX_CC_ALGO: u16 = 16;
const IFA_F_STABLE_PRIVACY: u32 = 0x800;
/// IPv6's temporary addresses have the same flag.
const IFA_F_SECONDARY: u32 = 1;

/// What an `RTM_NEWADDR` or `RTM_DELADDR` message tells.
pub(super) struct Told {
    /// Its link.
    pub(super) index: u32,
    /// None for a link-local address that the kernel made by itself.
    pub(super) address: Option<Address>,
    /// IPv4: another address of its subnet came before it.
    pub(super) secondary: bool,
}

/// The address of the message.
pub(super) fn address(payload: &[u8]) -> Option<Told> {
    let [family, prefix, _, scope, ..] = *payload.first_chunk::<IFADDRMSG>()?;
    let index = attrs::u32(&payload[4..])?;
    let (mut local, mut remote, mut broadcast) = (None, None, None);
    let (mut generated, mut secondary) = (false, false);
    let mut more = More { scope, ..More::default() };
    for (kind, value) in Attrs::after(payload, IFADDRMSG) {
        match kind {
            libc::IFA_LOCAL => local = ip(family, value),
            libc::IFA_ADDRESS => remote = ip(family, value),
            libc::IFA_BROADCAST => broadcast = ip(family, value),
            libc::IFA_FLAGS => {
                let flags = attrs::u32(value)?;
                generated |= flags & IFA_F_STABLE_PRIVACY != 0;
                secondary = family == INET && flags & IFA_F_SECONDARY != 0;
                more.flags = flags & IFA_WISHES;
                more.duplicate = flags & IFA_F_DADFAILED != 0;
            }
            libc::IFA_LABEL => more.label = label(value),
            libc::IFA_CACHEINFO => more.lifetime = lifetime(value),
            IFA_RT_PRIORITY => more.metric = attrs::u32(value)?,
            IFA_PROTO => generated |= attrs::u8(value)? != 0,
            _ => {}
        }
    }
    // IFA_ADDRESS is the other end's on a point-to-point link, and our own elsewhere.
    let addr = local.or(remote)?;
    if is_link_local(&addr, generated) {
        return Some(Told { index, address: None, secondary });
    }
    let broadcast = match broadcast {
        Some(IpAddr::V4(broadcast)) => Some(broadcast),
        _ => None,
    };
    more.peer = remote.filter(|remote| *remote != addr);
    let ip = prefixed(addr, prefix)?;
    Some(Told { index, address: Some(Address { ip, broadcast, more }), secondary })
}

fn label(value: &[u8]) -> Option<[u8; 16]> {
    let mut label = [0; 16];
    let text = attrs::text_bytes(value);
    label.get_mut(..text.len())?.copy_from_slice(text);
    Some(label)
}

/// `ifa_cacheinfo`: seconds preferred and valid; all ones are forever.
fn lifetime(value: &[u8]) -> Option<(u32, u32)> {
    let lifetime = (attrs::u32(value.get(..4)?)?, attrs::u32(value.get(4..8)?)?);
    (lifetime != (u32::MAX, u32::MAX)).then_some(lifetime)
}

/// Whether the kernel made a route by itself: of an address, or of what a router announced.
pub(super) fn is_made(route: &Route) -> bool {
    matches!(route.protocol, libc::RTPROT_KERNEL | RA)
}

/// The route of an `RTM_NEWROUTE` message, with the interface index it leaves through.
pub(super) fn route(payload: &[u8]) -> Option<(u32, Route)> {
    match read(payload)? {
        (route, Ways::One(index)) => Some((index, route)),
        (_, Ways::Several(_)) => None,
    }
}

/// The next hops of a route that goes over several, each with the index it leaves through, where one of
/// ours might want its place.
pub(super) fn hops(payload: &[u8]) -> Vec<(u32, Route)> {
    let exclusive = read(payload).filter(|(route, _)| route.is_exclusive());
    let Some((route, Ways::Several(mut rest))) = exclusive else { return Vec::new() };
    let mut all = Vec::new();
    // `struct rtnexthop` of linux/rtnetlink.h: length, flags, weight, index; its attributes follow.
    while let (Some(length), Some(index)) = (attrs::u16(rest).map(usize::from), rest.get(4..).and_then(attrs::u32)) {
        let Some(own) = rest.get(RTNEXTHOP..length) else { break };
        let mut hop = Route { shared: true, ..route };
        for (kind, value) in Attrs::new(own) {
            match kind {
                libc::RTA_GATEWAY => hop.gateway = ip(payload[0], value),
                libc::RTA_VIA => hop.gateway = via(value),
                _ => {}
            }
        }
        all.push((index, hop));
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    all
}

/// Where a route leaves through.
enum Ways<'a> {
    /// The link of that index.
    One(u32),
    /// The links of its next hops, in the kernel's bytes.
    Several(&'a [u8]),
}

fn read(payload: &[u8]) -> Option<(Route, Ways<'_>)> {
    let [family, prefix, from, tos, table, protocol, scope, kind, ..] = *payload.first_chunk::<RTMSG>()?;
    let flags = attrs::u32(&payload[8..])?;
    let cached = flags & libc::RTM_F_CLONED != 0;
    let fate = Fate::from_kernel(kind)?;
    if from != 0 || tos != 0 || cached || !is_kept(protocol, prefix) {
        return None;
    }
    let any: IpAddr = match family {
        INET => Ipv4Addr::UNSPECIFIED.into(),
        INET6 => Ipv6Addr::UNSPECIFIED.into(),
        _ => return None,
    };
    let mut route = Route {
        to: prefixed(any, prefix)?,
        gateway: None,
        table: table.into(),
        metric: 0,
        protocol,
        scope,
        source: None,
        onlink: flags & RTNH_F_ONLINK != 0,
        metrics: [0; ROUTE_METRICS],
        shared: false,
        fate,
        nhid: None,
    };
    let (mut index, mut hops) = (None, None);
    for (kind, value) in Attrs::after(payload, RTMSG) {
        match kind {
            libc::RTA_OIF => index = attrs::u32(value),
            libc::RTA_DST => route.to.addr = ip(family, value)?,
            libc::RTA_GATEWAY => route.gateway = Some(ip(family, value)?),
            libc::RTA_VIA => route.gateway = Some(via(value)?),
            libc::RTA_TABLE => route.table = attrs::u32(value)?,
            libc::RTA_PRIORITY => route.metric = attrs::u32(value)?,
            libc::RTA_PREFSRC => route.source = Some(ip(family, value)?),
            libc::RTA_METRICS => metrics(value, &mut route.metrics),
            libc::RTA_MULTIPATH => hops = Some(value),
            RTA_NH_ID => route.nhid = Some(attrs::u32(value)?),
            _ => {}
        }
    }
    if route.table == u32::from(libc::RT_TABLE_LOCAL) || (is_made(&route) && is_link_local_subnet(&route.to)) {
        return None;
    }
    let leads_nowhere = fate != Fate::Forwarded;
    // Of a nexthop object the kernel may tell no more than its number (nexthop_compat_mode).
    let is_unnamed = leads_nowhere || route.nhid.is_some() && index.is_none();
    let way = match (hops, index) {
        (Some(hops), _) => Ways::Several(hops),
        _ if is_unnamed && route.is_exclusive() => Ways::One(LOOPBACK),
        (None, Some(index)) if !is_unnamed => Ways::One(index),
        _ => return None,
    };
    Some((route, way))
}

/// Whether it is one of the routes to a host's own addresses, of which each has a few.
pub(super) fn is_local(payload: &[u8]) -> bool {
    let kinds = [libc::RTN_LOCAL, libc::RTN_BROADCAST, libc::RTN_ANYCAST, libc::RTN_MULTICAST];
    payload.get(7).is_some_and(|kind| kinds.contains(kind))
}

/// Table, destination and metric of the message's route, whatever kind of route it is: with
/// `NLM_F_REPLACE` it takes the place of one that has the same.
pub(super) fn place(payload: &[u8]) -> Option<(u32, Prefixed<IpAddr>, u32)> {
    let [family, prefix, _, _, table, ..] = *payload.first_chunk::<RTMSG>()?;
    let any: IpAddr = match family {
        INET => Ipv4Addr::UNSPECIFIED.into(),
        INET6 => Ipv6Addr::UNSPECIFIED.into(),
        _ => return None,
    };
    let (mut to, mut table, mut metric) = (prefixed(any, prefix)?, u32::from(table), 0);
    for (kind, value) in Attrs::after(payload, RTMSG) {
        match kind {
            libc::RTA_DST => to.addr = ip(family, value)?,
            libc::RTA_TABLE => table = attrs::u32(value)?,
            libc::RTA_PRIORITY => metric = attrs::u32(value)?,
            _ => {}
        }
    }
    Some((table, to, metric))
}

/// The congestion algorithm (`RTAX_CC_ALGO`) is a text and is passed over.
fn metrics(value: &[u8], into: &mut [u32; ROUTE_METRICS]) {
    for (kind, value) in Attrs::new(value) {
        if let (Some(place), Some(number), true) =
            (into.get_mut(usize::from(kind)), attrs::u32(value), kind != RTAX_CC_ALGO)
        {
            *place = number;
        }
    }
}

/// Whether such a route may concern us, see the head of this file.
fn is_kept(protocol: u8, prefix: u8) -> bool {
    match protocol {
        libc::RTPROT_BOOT | libc::RTPROT_STATIC | DHCP | libc::RTPROT_KERNEL | RA => true,
        libc::RTPROT_REDIRECT => false,
        _ => prefix == 0,
    }
}

pub(super) fn ip(family: u8, value: &[u8]) -> Option<IpAddr> {
    match family {
        INET => Some(<[u8; 4]>::try_from(value).ok()?.into()),
        INET6 => Some(<[u8; 16]>::try_from(value).ok()?.into()),
        _ => None,
    }
}

/// `struct rtvia`: a next hop of another family than the destination's.
fn via(value: &[u8]) -> Option<IpAddr> {
    let family = u8::try_from(attrs::u16(value)?).ok()?;
    ip(family, value.get(2..)?)
}

/// A link-local address that the kernel made by itself. Since Linux 5.18 it says so; before, one
/// made of the hardware address (RFC 4291 appendix A) is taken for such.
fn is_link_local(addr: &IpAddr, generated: bool) -> bool {
    let of_hardware = |addr: &std::net::Ipv6Addr| addr.octets()[11..13] == [0xff, 0xfe];
    matches!(addr, IpAddr::V6(addr) if addr.is_unicast_link_local() && (generated || of_hardware(addr)))
}

fn is_link_local_subnet(to: &Prefixed<IpAddr>) -> bool {
    matches!(to.addr, IpAddr::V6(addr) if addr.is_unicast_link_local())
}

fn prefixed(addr: IpAddr, prefix: u8) -> Option<Prefixed<IpAddr>> {
    let longest = if addr.is_ipv4() { 32 } else { 128 };
    (prefix <= longest).then_some(Prefixed { addr, prefix })
}

#[cfg(test)]
#[path = "layer3_tests.rs"]
mod tests;
