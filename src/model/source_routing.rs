//! Source routing: what came to a network's address is answered through the network's own gateway,
//! wherever the host's default route leads (vdsm-facts 3.11).
//!
//! A routing table for each such address, by the address's own number, and two rules that lead
//! there. Only IPv4 has it, as in the original. That rules belong to a device is our view: the kernel
//! keeps them apart, and they stay when a device goes.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};

use crate::ip::{IpConfig, MAIN_TABLE, Route, STATIC};
use crate::name::DeviceName;
use crate::netinfo::{NetInfo, SeenLink};
use crate::rule::{Rule, TO_TABLE};
use crate::units::Prefixed;

/// The original's, since 2018: behind whatever an administrator puts first.
pub const PRIORITY: u32 = 32_000;

/// Adds to a device's routes and rules what its address needs.
///
/// The original sends the subnet's packets `via` the host's own address, which the kernel takes for
/// "directly"; here it says so. An address with prefix 0 has no subnet to tell apart. `default` is the way
/// through the gateway, as the main table would have it.
pub fn add(device: DeviceName, ip: Prefixed<Ipv4Addr>, default: Route, config: &mut IpConfig) {
    if ip.prefix == 0 {
        return;
    }
    let table = u32::from(ip.addr);
    let subnet = Prefixed { addr: IpAddr::from(ip.addr), prefix: ip.prefix }.network();
    config.routes.insert(Route { table, ..Route::on_link(subnet) });
    config.routes.insert(Route { table, protocol: STATIC, ..default });
    let to_table = Rule { action: TO_TABLE, table, protocol: STATIC, ..Rule::new(PRIORITY) };
    config.rules.insert(Rule { from: Some(subnet), ..to_table.clone() });
    config.rules.insert(Rule { to: Some(subnet), iif: Some(device), ..to_table });
}

/// What a pair of rules has in common: the table, and the subnet whose packets it is for.
type Pair = (u32, Prefixed<IpAddr>);

/// The rules of a host that are of our making and for a device. They may be older than what it has
/// now, or be all that is left of it. One that names no device belongs where its other half does;
/// without that, to whoever has the address or a route in the table.
pub(crate) fn rules_of(seen: &NetInfo, device: DeviceName, link: Option<&SeenLink>) -> BTreeSet<Rule> {
    let named = || seen.rules_from(device, PRIORITY).filter(|rule| pair_of(rule).is_some());
    let halves = |pair: Pair| seen.rules_to(pair.0, PRIORITY).filter(move |rule| pair_of(rule) == Some(pair));
    let is_claimed = |pair: &Pair| halves(*pair).any(|rule| rule.iif.is_some());
    let mut pairs: BTreeSet<Pair> = named().filter_map(pair_of).collect();
    if let Some(link) = link {
        let of_addresses = link.addresses.iter().filter_map(|address| match address.ip.addr {
            IpAddr::V4(addr) => Some((u32::from(addr), address.ip.network())),
            IpAddr::V6(_) => None,
        });
        let others = link.routes.iter().filter(|route| route.table != MAIN_TABLE);
        let of_routes = others.map(|route| (route.table, route.to));
        pairs.extend(of_addresses.chain(of_routes).filter(|pair| !is_claimed(pair)));
    }
    let nameless = pairs.iter().flat_map(|pair| halves(*pair)).filter(|rule| rule.iif.is_none());
    named().chain(nameless).cloned().collect()
}

/// The pair of a rule that has the shape of the two above, whoever made it: the original left the
/// protocol to `ip`.
fn pair_of(rule: &Rule) -> Option<Pair> {
    let Rule { v6, not, from, to, iif, oif, mark, tos, action, goto, rest, .. } = rule;
    let plain = !v6 && !not && oif.is_none() && mark.is_none() && *tos == 0 && goto.is_none() && rest.is_empty();
    let subnet = match (iif, from, to) {
        (Some(_), None, Some(subnet)) | (None, Some(subnet), None) => *subnet,
        _ => return None,
    };
    (plain && *action == TO_TABLE).then_some((rule.table, subnet))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ip::Address;
    use crate::netinfo::SeenKind;

    fn name(text: &str) -> DeviceName {
        DeviceName::try_from(text).unwrap()
    }

    fn of(device: &str) -> IpConfig {
        let mut config = IpConfig::default();
        let ip = Prefixed { addr: Ipv4Addr::new(10, 7, 0, 5), prefix: 24 };
        add(name(device), ip, Route::default_via(Ipv4Addr::new(10, 7, 0, 1).into()), &mut config);
        config
    }

    #[test]
    fn the_table_is_the_address_and_two_rules_lead_there() {
        let config = of("prod");
        let routes: Vec<String> = config.routes.iter().map(ToString::to_string).collect();
        assert_eq!(routes, ["default via 10.7.0.1 table 168230917", "10.7.0.0/24 table 168230917"]);
        let rules: Vec<String> = config.rules.iter().map(ToString::to_string).collect();
        assert_eq!(
            rules,
            ["32000: from all to 10.7.0.0/24 iif prod lookup 168230917", "32000: from 10.7.0.0/24 lookup 168230917"]
        );
    }

    #[test]
    fn an_address_without_a_subnet_has_none() {
        let mut config = IpConfig::default();
        let ip = Prefixed { addr: Ipv4Addr::new(10, 7, 0, 5), prefix: 0 };
        add(name("prod"), ip, Route::default_via(Ipv4Addr::LOCALHOST.into()), &mut config);
        assert!(config.is_empty());
    }

    #[test]
    fn rules_are_found_by_device_by_address_and_by_what_is_left() {
        let ours = of("prod").rules;
        let stranger = Rule { oif: Some(name("prod")), ..ours.first().unwrap().clone() };
        let elsewhere = Rule { priority: 100, ..ours.first().unwrap().clone() };
        let mut seen = NetInfo::default();
        ours.iter().chain([&stranger, &elsewhere]).for_each(|rule| seen.insert_rule(rule.clone()));
        // The device is gone, and one of the two leads to the other.
        assert_eq!(rules_of(&seen, name("prod"), None), ours);
        assert_eq!(rules_of(&seen, name("other"), None), BTreeSet::new());
        // Another one with that address has no part in it, unless the other half is gone.
        let mut link = SeenLink::new(1, name("eth0"), SeenKind::Nic);
        link.addresses.push(Address::new(Ipv4Addr::new(10, 7, 0, 5).into(), 24));
        assert_eq!(rules_of(&seen, name("eth0"), Some(&link)), BTreeSet::new());
        let (halves, rest): (BTreeSet<Rule>, BTreeSet<Rule>) = ours.into_iter().partition(|rule| rule.iif.is_some());
        halves.iter().for_each(|half| seen.remove_rule(half));
        assert_eq!(rules_of(&seen, name("eth0"), Some(&link)), rest);
        // Nor has one with the same address in another subnet.
        link.addresses = vec![Address::new(Ipv4Addr::new(10, 7, 0, 5).into(), 30)];
        assert_eq!(rules_of(&seen, name("eth0"), Some(&link)), BTreeSet::new());
    }
}
