//! How one graph is not like another, device by device, in sentences.
//!
//! A plan says what to do, and has steps that give back what an earlier one takes; here stands
//! only what is otherwise now. Whose devices they are is not known here.

use std::collections::BTreeSet;

use crate::bridge_options::BridgeOptions;
use crate::device::{Adverts, Bond, Bridge, Device, Link, NetDevice, Vlan};
use crate::dhcp::Clients;
use crate::ethtool_options::{Settings, changes};
use crate::graph::Graph;
use crate::ip::{Address, IpConfig, Route};
use crate::name::DeviceName;
use crate::qos::{self, Shaper};

/// One way in which a device is not as wished.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deviation {
    /// The device; none where it is about the host.
    pub device: Option<DeviceName>,
    /// What of it.
    pub part: Part,
    /// One plain sentence, without a full stop.
    pub text: String,
}

/// What of a device, or of the host, is not as wished. The last step of a plan upon the device mends it: the last
/// [`Step::Ip`](super::Step::Ip) its addresses, the last of the other kinds the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// Its being there, its link, its ports, its options or its host QoS.
    Device,
    /// Whether IPv6 runs on it, and listens to routers.
    Ipv6,
    /// Who asks for addresses on it.
    Clients,
    /// Its addresses and routes.
    Addresses,
    /// The host's name servers.
    Resolver,
}

/// How `now` is not as `wished`; nothing if, and only if, the plan between them is empty. From the
/// ground up: what is the matter below may be why it is above.
///
/// What follows from something told already is left out: the addresses of a device that is not
/// there, the state and MTU of one that has to join or leave a bond.
pub fn deviations(now: &Graph, wished: &Graph) -> Vec<Deviation> {
    let moving = moving(now, wished);
    let mut out = Vec::new();
    for device in wished.devices() {
        let name = device.name();
        let mut tell = Teller { device: name, out: &mut out };
        match now.device(&name) {
            None => tell.device(format!("the {} {name} is missing", device.word())),
            Some(found) => {
                if !found.same(device) {
                    // Of another VLAN it means nothing what it is like besides.
                    if !matches!((found, device), (Device::Vlan(a), Device::Vlan(b)) if a.is_another(b)) {
                        tell.links(found.link(), device.link(), moving.contains(&name));
                    }
                    tell.kinds(found, device);
                }
                tell.settings(now.settings(&name), wished.settings(&name));
                tell.shaping(now.shaper(&name), wished.shaper(&name));
                tell.clients(now.clients(&name), wished.clients(&name));
                if let Some(ip) = wished.ip(&name) {
                    tell.addresses(now.ip(&name).unwrap_or(&IpConfig::default()), ip);
                }
            }
        }
    }
    // A plan removes no nics.
    let surplus = now.devices().filter(|d| !matches!(d, Device::Nic(_)) && wished.device(&d.name()).is_none());
    for device in surplus {
        let name = device.name();
        Teller { device: name, out: &mut out }.device(format!("the {} {name} is not ours", device.word()));
    }
    if !out.is_empty() {
        let floors = wished.floors();
        out.sort_by_key(|deviation| floors.get(&deviation.device?).copied());
    }
    out.extend(resolvers(now, wished));
    out
}

/// How the host's resolver is not as wished.
fn resolvers(now: &Graph, wished: &Graph) -> Option<Deviation> {
    let wished = wished.resolver()?;
    let now = now.resolver().cloned().unwrap_or_default();
    let text = match (now.as_far_as(wished).told(), wished.told()) {
        (found, asked) if found == asked => "the host's resolver is not as it was left".to_owned(),
        (found, asked) => format!("the name servers are {found} instead of {asked}"),
    };
    (!now.is_as(wished)).then_some(Deviation { device: None, part: Part::Resolver, text })
}

/// The devices that join or leave a bond.
fn moving(now: &Graph, wished: &Graph) -> BTreeSet<DeviceName> {
    fn slaves<'a>(graph: &'a Graph, bond: &DeviceName) -> Option<&'a BTreeSet<DeviceName>> {
        graph.device(bond).filter(|d| matches!(d, Device::Bond(_))).and_then(Device::ports)
    }
    let none = BTreeSet::new();
    let bonds: BTreeSet<DeviceName> =
        now.devices().chain(wished.devices()).filter(|d| matches!(d, Device::Bond(_))).map(Device::name).collect();
    let differing = |bond: &DeviceName| {
        let (from, to) = (slaves(now, bond).unwrap_or(&none), slaves(wished, bond).unwrap_or(&none));
        from.symmetric_difference(to).copied().collect::<Vec<_>>()
    };
    bonds.iter().flat_map(differing).collect()
}

/// Tells of one device.
struct Teller<'a> {
    device: DeviceName,
    out: &'a mut Vec<Deviation>,
}

impl Teller<'_> {
    fn tell(&mut self, part: Part, text: String) {
        self.out.push(Deviation { device: Some(self.device), part, text });
    }

    fn device(&mut self, text: String) {
        self.tell(Part::Device, text);
    }

    fn links(&mut self, now: &Link, wished: &Link, moving: bool) {
        let name = self.device;
        if let (Some(mtu), false) = (wished.mtu.filter(|_| wished.mtu != now.mtu), moving) {
            let found = now.mtu.map_or_else(|| "unknown".to_owned(), |m| m.to_string());
            self.device(format!("the MTU of {name} is {found} instead of {mtu}"));
        }
        if now.up != wished.up && !moving {
            let [found, other] = if now.up { ["up", "down"] } else { ["down", "up"] };
            self.device(format!("{name} is {found} instead of {other}"));
        }
        if let Some(mac) = wished.mac.filter(|_| wished.mac != now.mac) {
            let found = now.mac.map_or_else(|| "unknown".to_owned(), |m| m.to_string());
            self.device(format!("the hardware address of {name} is {found} instead of {mac}"));
        }
        if let Some(on) = wished.ipv6.filter(|_| wished.ipv6 != now.ipv6) {
            self.tell(Part::Ipv6, format!("IPv6 on {name} is {}", instead(on)));
        } else if let Some(adverts) = wished.adverts.filter(|to| !now.adverts.is_some_and(|now| now.meets(*to))) {
            // Where IPv6 does not run as wished, this follows from it.
            let is_on = |adverts: Adverts| adverts.are_heard() || adverts.autoconf;
            self.tell(
                Part::Ipv6,
                match now.adverts {
                    Some(now) if is_on(now) == is_on(adverts) => {
                        format!("{name} does not take from router advertisements what it should")
                    }
                    _ => format!("IPv6 autoconfiguration on {name} is {}", instead(is_on(adverts))),
                },
            );
        }
    }

    fn settings(&mut self, now: &Settings, wished: &Settings) {
        let name = self.device;
        for (key, asked) in changes(now, wished) {
            let (flag, found, asked) = (key.group().flag(), key.told(now), key.shown(asked));
            self.device(format!("{} of {name} (ethtool {flag}) is {found} instead of {asked}", key.name()));
        }
    }

    fn kinds(&mut self, now: &Device, wished: &Device) {
        match (now, wished) {
            (Device::Nic(_), Device::Nic(_)) => {}
            (Device::Bond(now), Device::Bond(wished)) => self.bonds(now, wished),
            (Device::Vlan(now), Device::Vlan(wished)) => self.vlans(now, wished),
            (Device::Bridge(now), Device::Bridge(wished)) => self.bridges(now, wished),
            _ => self.device(format!("{} is a {} instead of a {}", self.device, now.word(), wished.word())),
        }
    }

    fn shaping(&mut self, now: Option<&Shaper>, wished: Option<&Shaper>) {
        let name = self.device;
        let Some(wished) = wished else {
            if now.is_some() {
                self.device(format!("the host QoS of {name} is not ours"));
            }
            return;
        };
        let Some(now) = now else { return self.device(format!("the host QoS of {name} is missing")) };
        if now.default != wished.default {
            self.device(format!("what has no host QoS on {name} goes into another class"));
        }
        for (number, class) in &wished.classes {
            let of = qos::spelled(*number);
            match now.classes.get(number) {
                Some(found) if found.same(class) => {}
                Some(found) if found.curves != class.curves => self
                    .device(format!("the host QoS of {of} on {name} is {} instead of {}", found.curves, class.curves)),
                Some(_) => self.device(format!("the host QoS of {of} on {name} lacks its filter or queue")),
                None => self.device(format!("the host QoS of {of} on {name} is missing")),
            }
        }
        let surplus = now.classes.keys().filter(|number| !wished.classes.contains_key(*number));
        surplus.for_each(|number| {
            self.device(format!("the host QoS of {} on {name} is not ours", qos::spelled(*number)));
        });
    }

    fn bonds(&mut self, now: &Bond, wished: &Bond) {
        let name = self.device;
        self.ports("slave", &now.slaves, &wished.slaves);
        for (option, found, asked) in now.options.differing(&wished.options) {
            self.device(match option {
                "mode" => format!("the mode of {name} is {found} instead of {asked}"),
                _ => format!("option {option} of {name} is {found} instead of {asked}"),
            });
        }
    }

    fn ports(&mut self, word: &str, now: &BTreeSet<DeviceName>, wished: &BTreeSet<DeviceName>) {
        let name = self.device;
        wished.difference(now).for_each(|port| self.device(format!("{port} left {name}")));
        now.difference(wished).for_each(|port| self.device(format!("{word} {port} of {name} is not ours")));
    }

    fn vlans(&mut self, now: &Vlan, wished: &Vlan) {
        let name = self.device;
        if now.tag != wished.tag {
            self.device(format!("the tag of {name} is {} instead of {}", now.tag, wished.tag));
        }
        if now.device != wished.device {
            self.device(format!("{name} stands on {} instead of {}", now.device, wished.device));
        }
    }

    fn bridges(&mut self, now: &Bridge, wished: &Bridge) {
        let name = self.device;
        self.ports("port", &now.ports, &wished.ports);
        let changes = wished.options.changes_from(&now.options);
        let goal = wished.options.effective();
        for option in changes.iter().map(|change| change.name) {
            self.device(match option {
                "stp_state" => {
                    let [found, asked] = if wished.stp() { ["off", "on"] } else { ["on", "off"] };
                    format!("STP on {name} is {found} instead of {asked}")
                }
                _ => {
                    let [found, asked] = [&now.options, &goal].map(|options| shown(options, option));
                    format!("option {option} of {name} is {found} instead of {asked}")
                }
            });
        }
        for (tap, mtu) in &now.guests {
            if let Some(asked) = wished.guests.get(tap).filter(|asked| *asked != mtu) {
                self.device(format!("the MTU of {tap} on {name} is {mtu} instead of {asked}"));
            }
        }
    }

    fn clients(&mut self, now: &Clients, wished: &Clients) {
        let name = self.device;
        for (family, is, asked) in [("DHCP", now.v4, wished.v4), ("DHCPv6", now.v6, wished.v6)] {
            if is != asked {
                let text = if asked {
                    format!("no {family} client serves {name}")
                } else {
                    format!("a {family} client of ours serves {name}")
                };
                self.tell(Part::Clients, text);
            }
        }
        now.foreign
            .difference(&wished.foreign)
            .for_each(|it| self.tell(Part::Clients, format!("'{it}' serves {name} and is not ours")));
    }

    fn addresses(&mut self, now: &IpConfig, wished: &IpConfig) {
        if now.same(wished) {
            return;
        }
        let name = self.device;
        let mut tell = |text: String| self.tell(Part::Addresses, text);
        let absent = |of: &IpConfig, a: &&Address| !of.addresses.contains(a);
        let missing: Vec<&Address> = wished.addresses.iter().filter(|a| absent(now, a)).collect();
        let surplus: Vec<&Address> = now.addresses.iter().filter(|a| absent(wished, a)).collect();
        missing.iter().for_each(|a| tell(format!("address {a} on {name} is missing")));
        surplus.iter().for_each(|a| tell(format!("address {a} on {name} is not ours")));
        now.outliving(wished).for_each(|a| {
            let how =
                if a.more.lifetime.is_some() { "stays, and is to have an end" } else { "has an end, and is to stay" };
            tell(format!("address {a} on {name} {how}"));
        });
        let told: BTreeSet<_> = missing.iter().chain(&surplus).map(|a| a.ip.network()).collect();
        disordered(now, wished)
            .difference(&told)
            .for_each(|subnet| tell(format!("the addresses of {subnet} on {name} are out of order")));
        routes(now, wished).into_iter().for_each(|route| tell(route.told(name)));
        let left = now.kept(wished).announced;
        now.announced.difference(&left).for_each(|r| tell(format!("route {r} on {name} was announced to nobody")));
        wished.rules.difference(&now.rules).for_each(|rule| tell(format!("the rule {rule} of {name} is missing")));
        now.rules.difference(&wished.rules).for_each(|rule| tell(format!("the rule {rule} of {name} is not ours")));
    }
}

fn instead(on: bool) -> &'static str {
    if on { "off instead of on" } else { "on instead of off" }
}

/// An option's value as sysfs shows it.
fn shown(options: &BridgeOptions, name: &str) -> String {
    let canonical = options.canonical();
    let value = canonical.split(' ').find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
    value.unwrap_or("unknown").to_owned()
}

/// The subnets whose first address, or a later one, is another than wished.
fn disordered(now: &IpConfig, wished: &IpConfig) -> BTreeSet<crate::units::Prefixed<std::net::IpAddr>> {
    let kept = now.kept(wished);
    let moved = wished.addresses.iter().filter(|a| !kept.addresses.contains(a));
    moved.map(|a| a.ip.network()).collect()
}

/// What is wrong with a route.
enum Wrong<'a> {
    Missing(&'a Route),
    Surplus(&'a Route),
    /// To the same place, but not quite as ours.
    Other(&'a Route),
}

impl Wrong<'_> {
    fn told(&self, device: DeviceName) -> String {
        let spelled = |route: &Route| match route.to.prefix {
            0 => route.to_string().replacen("default", "default route", 1),
            _ => format!("route {route}"),
        };
        match self {
            Wrong::Missing(route) => format!("{} on {device} is missing", spelled(route)),
            Wrong::Surplus(route) => format!("{} on {device} is not ours", spelled(route)),
            Wrong::Other(route) => format!("{} on {device} has other attributes than ours", spelled(route)),
        }
    }
}

fn routes<'a>(now: &'a IpConfig, wished: &'a IpConfig) -> Vec<Wrong<'a>> {
    let missing: Vec<&Route> = wished.routes.difference(&now.routes).collect();
    let surplus: Vec<&Route> = now.routes.difference(&wished.routes).collect();
    // Protocol, scope and metrics are not spelled.
    let alike = |one: &Route, other: &Route| one.to_string() == other.to_string();
    let is_other = |route: &&Route, among: &[&Route]| among.iter().any(|other| alike(route, other));
    let told_missing = missing.iter().map(|route| match is_other(route, &surplus) {
        true => Wrong::Other(route),
        false => Wrong::Missing(route),
    });
    let told_surplus = surplus.iter().filter(|route| !is_other(route, &missing)).map(|route| Wrong::Surplus(route));
    told_missing.chain(told_surplus).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::Nic;
    use crate::plan::Plan;
    use crate::units::{Mtu, VlanTag};

    fn name(text: &str) -> DeviceName {
        DeviceName::try_from(text).unwrap()
    }

    fn link(text: &str) -> Link {
        Link::new(name(text), Mtu::DEFAULT)
    }

    fn nic(text: &str) -> Device {
        Device::Nic(Nic { link: link(text) })
    }

    fn vlan(text: &str, tag: i64, device: &str) -> Device {
        Device::Vlan(Vlan { link: link(text), tag: VlanTag::new(tag).unwrap(), device: name(device) })
    }

    fn graph(devices: &[Device]) -> Graph {
        let mut graph = Graph::default();
        devices.iter().for_each(|device| graph.insert(device.clone()));
        graph
    }

    #[track_caller]
    fn told<const N: usize>(now: &Graph, wished: &Graph, expected: [&str; N]) {
        let texts: Vec<String> = deviations(now, wished).into_iter().map(|d| d.text).collect();
        assert_eq!(texts, expected);
        assert_eq!(texts.is_empty(), Plan::between(now, wished).is_empty());
    }

    #[test]
    fn a_vlan_that_is_another_is_told_why() {
        let wished = graph(&[nic("d0"), nic("d1"), vlan("v", 5, "d0")]);
        told(&wished, &wished, []);
        let now = graph(&[nic("d0"), nic("d1"), vlan("v", 6, "d1")]);
        told(&now, &wished, ["the tag of v is 6 instead of 5", "v stands on d1 instead of d0"]);
    }

    #[test]
    fn what_is_not_wished_for_is_told_but_for_nics() {
        let now = graph(&[nic("d0"), nic("d1"), vlan("v", 5, "d0")]);
        told(&now, &graph(&[nic("d0")]), ["the vlan v is not ours"]);
    }

    #[test]
    fn what_is_below_is_told_first() {
        let wished = graph(&[nic("z"), vlan("b", 5, "z"), vlan("a", 6, "b")]);
        told(&Graph::default(), &wished, ["the nic z is missing", "the vlan b is missing", "the vlan a is missing"]);
    }

    #[test]
    fn addresses_are_told_to_be_out_of_order_where_nothing_else_is_wrong_with_them() {
        let with = |addresses: &[&str]| {
            let mut graph = graph(&[nic("d0")]);
            let address = |text: &&str| {
                let (addr, prefix) = text.split_once('/').unwrap();
                Address::new(addr.parse().unwrap(), prefix.parse().unwrap())
            };
            let ip = IpConfig { addresses: addresses.iter().map(address).collect(), ..IpConfig::default() };
            graph.set_ip(name("d0"), ip);
            graph
        };
        let wished = with(&["10.0.0.1/24", "10.0.0.2/24", "fd00::1/64", "fd00::2/64"]);
        told(&with(&["10.0.0.1/24", "fd00::2/64", "fd00::1/64", "10.0.0.2/24"]), &wished, []);
        told(
            &with(&["10.0.0.2/24", "10.0.0.1/24", "fd00::1/64", "fd00::2/64"]),
            &wished,
            ["the addresses of 10.0.0.0/24 on d0 are out of order"],
        );
        told(
            &with(&["10.0.0.3/24", "10.0.0.1/24", "10.0.0.2/24", "fd00::1/64", "fd00::2/64"]),
            &wished,
            ["address 10.0.0.3/24 on d0 is not ours"],
        );
    }
}
