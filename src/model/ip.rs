//! What a device has at layer three: addresses and the routes that leave through it.
//!
//! One [`IpConfig`] belongs to the top device of a network. How addresses come about (static,
//! DHCP) is the network's business in `config.rs`; here stands what the kernel is to hold.

use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

use crate::name::DeviceName;
use crate::rule::Rule;
use crate::units::Prefixed;

/// The kernel's main routing table (`RT_TABLE_MAIN`).
pub const MAIN_TABLE: u32 = 254;
/// The metric the kernel gives an IPv6 route that names none (`IP6_RT_PRIO_USER`).
pub const IPV6_METRIC: u32 = 1024;
/// The `RTAX_*` numbers end before this (linux/rtnetlink.h).
pub const ROUTE_METRICS: usize = 18;
/// Who made a route: `static`, an administrator's doing (`RTPROT_STATIC`, rtnetlink(7)).
pub const STATIC: u8 = 4;
/// Who made a route: `dhcp` (`RTPROT_DHCP`).
pub const DHCP: u8 = 16;
/// Who made a route: `ra`, a router that announced itself (`RTPROT_RA`).
pub const RA: u8 = 9;
/// `RT_SCOPE_LINK` of linux/rtnetlink.h: the destination is on the link itself.
const LINK_SCOPE: u8 = 253;

/// See [`Route::place`].
pub type Place = (u32, Prefixed<IpAddr>, u32);

/// Everything a device is to have at layer three; what is not named here goes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IpConfig {
    /// In the kernel's order: the first of a subnet is the primary one.
    pub addresses: Vec<Address>,
    /// Routes through the device that the kernel did not make by itself.
    pub routes: BTreeSet<Route>,
    /// The rules of routing that are for it (`source_routing.rs`).
    pub rules: BTreeSet<Rule>,
    /// Of a seen device: what routers announced and no lasting address accounts for. Nobody can
    /// wish for it; it goes where nobody listens to routers any more, and where a default route of
    /// ours takes its place.
    pub announced: BTreeSet<Route>,
    /// In which families somebody else sees to addresses of limited life, and to what is announced.
    pub dynamic: Dynamic,
}

/// Families in which addresses come and go by themselves: a DHCP client's, or those made of what
/// routers announce.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dynamic {
    /// IPv4 addresses.
    pub v4: bool,
    /// IPv6 addresses, and routes to what is on the link.
    pub v6: bool,
    /// Announced default routes.
    pub router: bool,
}

impl Dynamic {
    /// Whether an address is not ours to say.
    fn tolerates(self, address: &Address) -> bool {
        address.is_dynamic() && if address.ip.addr.is_ipv4() { self.v4 } else { self.v6 }
    }

    /// The same of what routers announced.
    fn hears(self, route: &Route) -> bool {
        if route.to.prefix == 0 { self.router } else { self.v6 }
    }
}

impl IpConfig {
    /// Whether there is nothing at all.
    pub fn is_empty(&self) -> bool {
        self.addresses.is_empty() && self.routes.is_empty() && self.rules.is_empty()
    }

    /// Its routes, whether somebody made them or a router announced them.
    pub fn all_routes(&self) -> impl Iterator<Item = &Route> {
        self.routes.iter().chain(&self.announced)
    }

    /// Default routes that routers announced and that a device with `now` does not have any more.
    pub fn unheard<'a>(&'a self, now: &'a IpConfig) -> impl Iterator<Item = Route> + 'a {
        self.announced.difference(&now.announced).filter(|route| route.to.prefix == 0).copied()
    }

    /// Whether a default route of the device gives way to another one here, which takes its place.
    pub fn replaces(&self, route: &Route) -> bool {
        route.to.prefix == 0 && self.all_routes().any(|ours| ours != route && ours.rivals(route))
    }

    /// Whether a route's gateway is on a subnet of the device's addresses, so that the kernel takes it.
    pub fn reaches(&self, route: &Route) -> bool {
        let is_near = |gateway: IpAddr| self.addresses.iter().any(|a| a.ip.covers(gateway));
        // A device with IPv6 has a link-local address, which is not among these.
        let is_link_local = |gateway: IpAddr| {
            matches!(gateway, IpAddr::V6(it) if it.is_unicast_link_local())
                && self.addresses.iter().any(|a| a.ip.addr.is_ipv6())
        };
        // A nexthop object was told so when it was made.
        route.onlink || route.nhid.is_some() || route.gateway.is_none_or(|it| is_near(it) || is_link_local(it))
    }

    /// Whether any of it needs IPv6.
    pub fn uses_ipv6(&self) -> bool {
        self.addresses.iter().any(|a| a.ip.addr.is_ipv6()) || self.routes.iter().any(|r| r.to.addr.is_ipv6())
    }

    /// The addresses of one subnet, in order: the unit in which the kernel removes them, since
    /// with a primary address its secondaries go (unless `promote_secondaries` is set). Those that
    /// `dynamic` tolerates do not count.
    fn subnet(&self, of: &Address, dynamic: Dynamic) -> Vec<Address> {
        let same = |a: &&Address| a.ip.network() == of.ip.network() && !dynamic.tolerates(a);
        self.addresses.iter().filter(same).copied().collect()
    }

    /// What stays when `self` is to become `to`: the addresses whose place in their subnet does
    /// not change, those that are not ours to say, and the routes and rules both have.
    pub fn kept(&self, to: &IpConfig) -> IpConfig {
        let stays = |a: &Address| {
            if to.dynamic.tolerates(a) {
                return true;
            }
            // IPv6 knows no primary address, and the kernel lists the newest first.
            if a.ip.addr.is_ipv6() {
                return to.addresses.contains(a);
            }
            let (old, new) = (self.subnet(a, to.dynamic), to.subnet(a, to.dynamic));
            let place = old.iter().position(|o| o == a);
            // Everything before it must stay as well: it may be the primary one.
            place.is_some_and(|p| new.len() > p && old[..=p] == new[..=p])
        };
        let addresses: Vec<Address> = self.addresses.iter().filter(|a| stays(a)).copied().collect();
        let has_ipv4 = |addresses: &[Address]| addresses.iter().any(|a| a.ip.addr.is_ipv4());
        // With its last IPv4 address a device loses all IPv4 routes (fib_disable_ip).
        let lost = has_ipv4(&self.addresses) && !has_ipv4(&addresses);
        let routes = self.routes.intersection(&to.routes).filter(|r| !(lost && r.to.addr.is_ipv4())).copied().collect();
        let rules = self.rules.intersection(&to.rules).cloned().collect();
        let announced =
            self.announced.iter().filter(|r| to.dynamic.hears(r) || to.announced.contains(r)).copied().collect();
        IpConfig { addresses, routes, rules, announced, dynamic: to.dynamic }
    }

    /// The addresses that both have but not for as long: of the one it ends by itself, of the other it
    /// does not. As `to` has them; what somebody sees to there is not ours to say, unless `to` has an end
    /// that was taken away.
    pub fn outliving<'a>(&'a self, to: &'a IpConfig) -> impl Iterator<Item = &'a Address> {
        let ends = |a: &Address| a.more.lifetime.is_some();
        let other = move |a: &&Address| {
            let now = self.addresses.iter().find(|now| now == a);
            now.is_some_and(|now| ends(now) != ends(a) && !to.dynamic.tolerates(now))
        };
        to.addresses.iter().filter(other)
    }

    /// Whether both mean the same: the order matters within a subnet only, and what comes and goes
    /// by itself in `to` is as it happens to be.
    pub fn same(&self, to: &IpConfig) -> bool {
        let lasting = |of: &IpConfig| of.addresses.iter().filter(|a| !to.dynamic.tolerates(a)).count();
        let kept = self.kept(to);
        self.routes == to.routes
            && self.rules == to.rules
            && kept.announced.len() == self.announced.len()
            && kept.addresses.len() == self.addresses.len()
            && lasting(self) == lasting(to)
            && self.outliving(to).next().is_none()
    }
}

/// An address on a device. Two of them are equal when address and prefix are.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Address {
    /// The address and its prefix length.
    pub ip: Prefixed<IpAddr>,
    /// IPv4 only; none on prefixes longer than 30 (RFC 3021).
    pub broadcast: Option<Ipv4Addr>,
    /// What a stranger gave it besides, to be given back; ours have nothing of it.
    pub more: More,
}

/// The rest of an address, as the kernel spells it (linux/if_addr.h).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct More {
    /// The other end of a point-to-point link (`IFA_ADDRESS` beside `IFA_LOCAL`).
    pub peer: Option<IpAddr>,
    /// IPv4's label (`IFA_LABEL`), ending with zeros; none where it is the device's name.
    pub label: Option<[u8; 16]>,
    /// `ifa_scope`: 0 universe, 253 link, 254 host.
    pub scope: u8,
    /// Those flags that are a wish: `noprefixroute`, `home`, `mngtmpaddr`, `nodad`.
    pub flags: u32,
    /// Seconds preferred and valid; none: forever.
    pub lifetime: Option<(u32, u32)>,
    /// Another host has it as well (`IFA_F_DADFAILED`); that is found out, and no wish.
    pub duplicate: bool,
    /// The metric of its prefix route (`IFA_RT_PRIORITY`); 0: the usual one.
    pub metric: u32,
}

impl Address {
    /// The address as we set it, with the broadcast address of its subnet.
    pub fn new(addr: IpAddr, prefix: u8) -> Address {
        let broadcast = match addr {
            IpAddr::V4(a) if prefix <= 30 => {
                Some(Ipv4Addr::from(u32::from(a) | u32::MAX.checked_shr(prefix.into()).unwrap_or(0)))
            }
            _ => None,
        };
        Address { ip: Prefixed { addr, prefix }, broadcast, more: More::default() }
    }

    /// Whether it ends by itself: its valid lifetime is limited.
    pub fn is_dynamic(&self) -> bool {
        self.more.lifetime.is_some_and(|(_, valid)| valid != u32::MAX)
    }
}

impl PartialEq for Address {
    fn eq(&self, other: &Address) -> bool {
        self.ip == other.ip
    }
}

impl Eq for Address {}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.ip.fmt(f)
    }
}

/// What becomes of the packets that take a route (`rtm_type`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Fate {
    /// They leave through a device.
    #[default]
    Forwarded,
    /// They are dropped.
    Blackhole,
    /// They are turned away: host unreachable.
    Unreachable,
    /// They are turned away: administratively prohibited.
    Prohibit,
    /// This table has nothing to say of them.
    Throw,
}

impl Fate {
    /// The kernel's numbers (`RTN_*` of linux/rtnetlink.h), and what `ip` says before the destination.
    const ALL: [(u8, &str, Fate); 5] = [
        (1, "", Fate::Forwarded),
        (6, "blackhole ", Fate::Blackhole),
        (7, "unreachable ", Fate::Unreachable),
        (8, "prohibit ", Fate::Prohibit),
        (9, "throw ", Fate::Throw),
    ];

    /// By the kernel's number; none for what a host's own addresses, broadcasts and the like are routed by.
    pub fn from_kernel(number: u8) -> Option<Fate> {
        Fate::ALL.iter().find(|(it, ..)| *it == number).map(|(.., fate)| *fate)
    }

    fn row(self) -> &'static (u8, &'static str, Fate) {
        Fate::ALL.iter().find(|(.., fate)| *fate == self).unwrap_or(&Fate::ALL[0])
    }

    /// The kernel's number.
    pub fn number(self) -> u8 {
        self.row().0
    }
}

/// A route through one device; and, at the loopback, one that leads nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Route {
    /// The destination; prefix 0 is the default route.
    pub to: Prefixed<IpAddr>,
    /// The next hop, if it is not on the link itself.
    pub gateway: Option<IpAddr>,
    /// The routing table; [`MAIN_TABLE`] mostly.
    pub table: u32,
    /// The kernel's priority: the lowest wins.
    pub metric: u32,
    /// Who made it (`rtm_protocol`).
    pub protocol: u8,
    /// `rtm_scope`: 0 universe, 253 link.
    pub scope: u8,
    /// The preferred source address.
    pub source: Option<IpAddr>,
    /// The gateway counts as a neighbour although no address of the device says so.
    pub onlink: bool,
    /// `mtu`, `advmss`, `initcwnd` and so on, by their `RTAX_*` number; 0: not given.
    pub metrics: [u32; ROUTE_METRICS],
    /// It is one of several next hops of one route, which no one device has for itself.
    #[serde(default)]
    pub shared: bool,
    /// Whether packets leave by it at all.
    #[serde(default)]
    pub fate: Fate,
    /// The nexthop object (ip-nexthop(8)) that says the way: gateway and device are only what it says.
    #[serde(default)]
    pub nhid: Option<u32>,
}

impl Route {
    /// The default route through a gateway, in the main table.
    pub fn default_via(gateway: IpAddr) -> Route {
        let (any, metric) = match gateway {
            IpAddr::V4(_) => (IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0),
            IpAddr::V6(_) => (IpAddr::V6(Ipv6Addr::UNSPECIFIED), IPV6_METRIC),
        };
        Route {
            to: Prefixed { addr: any, prefix: 0 },
            gateway: Some(gateway),
            table: MAIN_TABLE,
            metric,
            protocol: STATIC,
            scope: 0,
            source: None,
            onlink: false,
            metrics: [0; ROUTE_METRICS],
            shared: false,
            fate: Fate::Forwarded,
            nhid: None,
        }
    }

    /// A route to what is on the link itself, in the main table; IPv4's.
    pub fn on_link(to: Prefixed<IpAddr>) -> Route {
        Route { to, gateway: None, scope: LINK_SCOPE, ..Route::default_via(Ipv4Addr::UNSPECIFIED.into()) }
    }

    /// Whether this would stand in the way of ours: same destination, same table, same metric.
    pub fn rivals(&self, ours: &Route) -> bool {
        self.place() == ours.place()
    }

    /// Where the kernel has room for one: table, destination and metric.
    pub fn place(&self) -> Place {
        (self.table, self.to, self.metric)
    }

    /// Whether it is in a place where one of ours does not suffer another: one for default routes,
    /// or any of a table for source routing.
    pub fn is_exclusive(&self) -> bool {
        self.to.prefix == 0 || self.table != MAIN_TABLE
    }

    /// Whether it hangs on a device: one that leads nowhere is IPv4's own, and is the loopback's here only to
    /// be somebody's. IPv6 itself has those at the loopback.
    pub fn leaves(&self) -> bool {
        self.fate == Fate::Forwarded || self.to.addr.is_ipv6()
    }

    /// In a sentence, with its device unless it leads nowhere.
    pub fn on(&self, device: DeviceName) -> String {
        if self.fate == Fate::Forwarded { format!("{self} on {device}") } else { self.to_string() }
    }
}

impl fmt::Display for Route {
    /// As iproute2 takes it after `ip route add`, the device left out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A nexthop object has its own fate.
        f.write_str(if self.nhid.is_none() { self.fate.row().1 } else { "" })?;
        if self.to.prefix == 0 {
            f.write_str("default")?
        } else {
            write!(f, "{}", self.to)?
        }
        match (self.nhid, self.gateway) {
            (Some(nhid), _) => write!(f, " nhid {nhid}")?,
            (None, Some(gateway)) => write!(f, " via {gateway}")?,
            (None, None) => {}
        }
        if self.table != MAIN_TABLE {
            write!(f, " table {}", self.table)?;
        }
        let usual = if self.to.addr.is_ipv6() { IPV6_METRIC } else { 0 };
        if self.metric != usual {
            write!(f, " metric {}", self.metric)?;
        }
        if let Some(source) = self.source {
            write!(f, " src {source}")?;
        }
        if self.onlink {
            f.write_str(" onlink")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> Address {
        let (addr, prefix) = text.split_once('/').unwrap();
        Address::new(addr.parse().unwrap(), prefix.parse().unwrap())
    }

    impl IpConfig {
        fn with(self, dynamic: Dynamic) -> IpConfig {
            IpConfig { dynamic, ..self }
        }
    }

    fn config(texts: &[&str]) -> IpConfig {
        IpConfig { addresses: texts.iter().map(|t| ip(t)).collect(), ..IpConfig::default() }
    }

    #[test]
    fn a_secondary_address_goes_with_its_primary() {
        let from = config(&["10.0.0.1/24", "10.0.0.2/24", "10.1.0.1/24"]);
        let to = config(&["10.0.0.2/24", "10.1.0.1/24"]);
        assert_eq!(from.kept(&to), config(&["10.1.0.1/24"]));
        assert_eq!(from.kept(&config(&["10.0.0.1/24"])), config(&["10.0.0.1/24"]));
    }

    #[test]
    fn the_order_of_ipv6_addresses_means_nothing() {
        let (one, other) = (config(&["fd01::1/64", "fd01::2/64"]), config(&["fd01::2/64", "fd01::1/64"]));
        assert!(one.same(&other));
        assert_eq!(one.kept(&config(&["fd01::2/64"])), config(&["fd01::2/64"]));
    }

    #[test]
    fn what_comes_and_goes_by_itself_is_no_difference_where_it_may() {
        let leased = |text| {
            let more = More { lifetime: Some((60, 120)), ..More::default() };
            Address { more, ..ip(text) }
        };
        let now = IpConfig { addresses: vec![leased("10.0.0.9/24"), leased("fd00::9/64")], ..IpConfig::default() };
        let v4 = Dynamic { v4: true, ..Dynamic::default() };
        let both = Dynamic { v6: true, ..v4 };
        let wish = |dynamic| IpConfig { dynamic, ..IpConfig::default() };
        assert!(now.same(&wish(both)) && !now.same(&wish(v4)) && !now.same(&wish(Dynamic::default())));
        assert_eq!(now.kept(&wish(v4)).addresses, [ip("10.0.0.9/24")]);
        assert!(IpConfig::default().same(&now.clone().with(both)), "nobody can make them come");
        // One without an end is somebody's doing.
        assert!(!config(&["10.0.0.9/24"]).same(&wish(both)));
        // A static one beside it has its own place.
        let beside = IpConfig { addresses: vec![leased("10.0.0.9/24"), ip("10.0.0.1/24")], ..IpConfig::default() };
        assert!(beside.same(&config(&["10.0.0.1/24"]).with(both)));
    }

    #[test]
    fn an_address_that_ends_is_not_the_one_that_stays() {
        let ending = Address { more: More { lifetime: Some((60, 120)), ..More::default() }, ..ip("10.0.0.1/24") };
        let now = IpConfig { addresses: vec![ending], ..IpConfig::default() };
        let to = config(&["10.0.0.1/24"]);
        assert!(!now.same(&to) && !to.same(&now) && now.same(&now));
        // It keeps its place, and is only told anew how long it is there.
        assert_eq!(now.kept(&to), to);
        let outliving =
            |from: &IpConfig, to: &IpConfig| from.outliving(to).map(|a| a.more.lifetime).collect::<Vec<_>>();
        assert_eq!(outliving(&now, &to), [None]);
        assert_eq!(outliving(&to, &now), [Some((60, 120))]);
        // Beside a client of ours it is a lease.
        let v4 = Dynamic { v4: true, ..Dynamic::default() };
        assert!(outliving(&now, &to.clone().with(v4)).is_empty());
        // Nor does one count that stays but is not to be used (`preferred_lft 0`).
        let unloved = More { lifetime: Some((0, u32::MAX)), ..More::default() };
        let now = IpConfig { addresses: vec![Address { more: unloved, ..ip("10.0.0.1/24") }], ..IpConfig::default() };
        assert!(!now.same(&to));
    }

    #[test]
    fn what_routers_announced_goes_where_nobody_listens_to_them() {
        let route = Route { protocol: 9, ..Route::default_via("fe80::1".parse().unwrap()) };
        let now = IpConfig { announced: [route].into(), ..IpConfig::default() };
        let router = Dynamic { router: true, ..Dynamic::default() };
        assert!(now.same(&IpConfig::default().with(router)) && now.same(&now));
        assert!(!now.same(&IpConfig::default()) && now.kept(&IpConfig::default()).announced.is_empty());
    }

    #[test]
    fn order_matters_within_a_subnet_only() {
        let both = config(&["10.0.0.1/24", "10.1.0.1/24"]);
        assert!(both.same(&config(&["10.1.0.1/24", "10.0.0.1/24"])));
        assert!(!config(&["10.0.0.1/24", "10.0.0.2/24"]).same(&config(&["10.0.0.2/24", "10.0.0.1/24"])));
    }

    #[test]
    fn the_broadcast_address_has_all_host_bits() {
        assert_eq!(ip("192.0.2.10/24").broadcast, Some(Ipv4Addr::new(192, 0, 2, 255)));
        assert_eq!(ip("192.0.2.10/0").broadcast, Some(Ipv4Addr::BROADCAST));
        assert_eq!(ip("192.0.2.10/31").broadcast, None);
        assert_eq!(ip("2001:db8::1/64").broadcast, None);
    }
}
