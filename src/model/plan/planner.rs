//! The order of change.
//!
//! Compares two graphs and lists the steps from one to the other. Nothing here knows of ifcfg or
//! netlink, and nothing here can fail: a wrong wish was turned away in `graph/`.
//!
//! 0. A default route that moves to a device which stands already, before its former one may go.
//!    Where a router had announced that, its device first stops to hear of others.
//! 1. Addresses and routes that go, so that another device can have them.
//! 2. Ports that leave a bond or bridge that stays: two bonds that swap a nic form a cycle that no
//!    order of whole modifications can solve. A bond whose mode changes loses all slaves.
//! 3. Devices that go, from the top. A VLAN that changes its base or tag is another VLAN.
//! 4. MTUs that fall, from the top: an upper one must not exceed its lower.
//! 5. Devices that come or change, from the ground, MTUs that rise among it.
//! 6. Settings of nics that ethtool knows: a nic may go away for a moment as it gets them.
//! 7. Host QoS, on devices that are there by now.
//! 8. DHCP clients that start; those that end do so before everything else.
//! 9. Addresses and routes that come. A default route that moves is replaced, so that there is
//!    never a moment with two, nor one without unless its device or its last address had to go.
//!    Leased addresses come back with a client that is started again by a rollback.
//! 10. The host's resolver: its servers are mostly reached through what came before.
//!
//! The kernel does some things of itself: it takes a slave down when releasing it, and IPv6
//! addresses and routes off a device that goes down. `now` follows that, so that what is lost on
//! the way is given back.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Change, Step, goes_down};
use crate::device::{Bond, Device, NetDevice};
use crate::dhcp::Clients;
use crate::ethtool_options::changes;
use crate::graph::Graph;
use crate::ip::{IpConfig, RA, Route};
use crate::name::DeviceName;
use crate::units::Mtu;

pub(super) fn steps(from: &Graph, to: &Graph) -> Vec<Step> {
    if arrived(from, to) {
        return Vec::new();
    }
    let mut planner = Planner {
        now: from.clone(),
        to,
        going: going(from, to),
        joining: joining(from, to),
        fixed: BTreeSet::new(),
        started: BTreeSet::new(),
        masters: from.masters(),
        steps: Vec::new(),
    };
    planner.hand_over();
    planner.stop_clients();
    planner.withdraw();
    planner.release();
    planner.tear_down();
    planner.lower_mtus();
    planner.build();
    planner.tune();
    planner.shape();
    planner.start_clients();
    planner.address();
    planner.resolve();
    planner.steps
}

/// Whether there is nothing to do: the usual case of a verification.
fn arrived(from: &Graph, to: &Graph) -> bool {
    let none = IpConfig::default();
    to.devices().all(|device| from.device(&device.name()).is_some_and(|now| now.same(device)))
        && to.tuned().all(|(device, wished)| changes(from.settings(device), wished).is_empty())
        && to.ips().all(|(device, ip)| from.ip(device).unwrap_or(&none).same(ip))
        && from.shaped(to).iter().all(|device| same_shaping(from, to, device))
        && from.served(to).iter().all(|device| from.clients(device) == to.clients(device))
        // Rules outlive their device.
        && from.ips().all(|(device, ip)| ip.rules.is_empty() || to.ip(device).is_some())
        && from.devices().all(|device| matches!(device, Device::Nic(_)) || to.device(&device.name()).is_some())
        && to.resolver().is_none_or(|wish| from.resolver().is_some_and(|now| now.is_as(wish)))
}

fn same_shaping(from: &Graph, to: &Graph, device: &DeviceName) -> bool {
    match (from.shaper(device), to.shaper(device)) {
        (Some(from), Some(to)) => from.same(to),
        (from, to) => from == to,
    }
}

struct Planner<'a> {
    /// The host as it is after the steps so far.
    now: Graph,
    to: &'a Graph,
    going: BTreeSet<DeviceName>,
    /// Devices that join a bond.
    joining: BTreeSet<DeviceName>,
    /// Bridges whose MTU the plan has set: they do not follow their ports any more.
    fixed: BTreeSet<DeviceName>,
    /// Devices where the plan starts a client of ours, by its family: IPv6 or not.
    started: BTreeSet<(DeviceName, bool)>,
    /// Who had which master in the beginning.
    masters: BTreeMap<DeviceName, DeviceName>,
    steps: Vec<Step>,
}

/// Slaves that a bond does not have yet, or will lose on the way.
fn joining(from: &Graph, to: &Graph) -> BTreeSet<DeviceName> {
    let bonds = to.devices().filter_map(|d| if let Device::Bond(bond) = d { Some(bond) } else { None });
    let fresh = |to: &Bond| match from.device(&to.link.name) {
        Some(Device::Bond(from)) if !loses_all(from, to) => to.slaves.difference(&from.slaves).copied().collect(),
        _ => to.slaves.clone(),
    };
    bonds.flat_map(fresh).collect()
}

/// Whether the kernel makes a bond give up all its slaves for its options to change.
fn loses_all(from: &Bond, to: &Bond) -> bool {
    from.options.changes(&to.options).iter().any(|c| c.needs.no_slaves())
}

/// Devices that must go, or be made anew.
fn going(from: &Graph, to: &Graph) -> BTreeSet<DeviceName> {
    let mut going = BTreeSet::new();
    let mut order: Vec<(usize, &Device)> = {
        let floors = from.floors();
        from.devices().map(|d| (floors[&d.name()], d)).collect()
    };
    order.sort_by_key(|(floor, _)| *floor);
    for (_, device) in order {
        let goes = match (device, to.device(&device.name())) {
            (Device::Nic(_), _) => false,
            (Device::Bond(_), Some(Device::Bond(_))) | (Device::Bridge(_), Some(Device::Bridge(_))) => false,
            // The kernel takes a VLAN away together with what it stands on.
            (Device::Vlan(a), Some(Device::Vlan(b))) => a.is_another(b) || going.contains(&a.device),
            _ => true,
        };
        if goes {
            going.insert(device.name());
        }
    }
    going
}

/// A client of ours takes its address along, and with a last one all IPv4 routes go.
fn without_leased(ip: &IpConfig) -> IpConfig {
    let mut left = IpConfig { dynamic: Default::default(), ..ip.clone() };
    left.addresses.retain(|a| !(a.is_dynamic() && a.ip.addr.is_ipv4()));
    IpConfig { dynamic: ip.dynamic, ..ip.kept(&left) }
}

impl Planner<'_> {
    /// Emits a modification of a device, unless it changes nothing, and follows it.
    fn modify(&mut self, to: Device) {
        let Some(from) = self.now.device(&to.name()) else { return };
        let resized = to.link().mtu.is_some() && from.link().mtu != to.link().mtu;
        if !from.same(&to) {
            self.steps.push(Step::from(Change::Modify { from: from.clone(), to: to.clone() }));
        }
        let name = to.name();
        if resized && matches!(to, Device::Bridge(_)) {
            self.fixed.insert(name);
        }
        self.now.insert(to);
        if let Some(master) = self.masters.get(&name).copied().filter(|_| resized) {
            self.follow_ports(&master);
        }
    }

    /// A bridge whose MTU nobody set takes the smallest of its ports', whenever one of them comes,
    /// goes or changes (br_mtu_auto_adjust); and below 1280 it has no IPv6, above it has.
    fn follow_ports(&mut self, bridge: &DeviceName) {
        if matches!(self.now.device(bridge), Some(Device::Bridge(_))) && !self.fixed.contains(bridge) {
            self.forget(bridge, |link| {
                if link.mtu.is_none_or(|m| m < Mtu::IPV6_MINIMUM) {
                    (link.ipv6, link.adverts) = (None, None);
                }
                link.mtu = None;
            });
        }
    }

    /// A default route that moves to a device which stands already as it is to be goes there before
    /// anything else: the one that has it, or its client, may be about to go.
    fn hand_over(&mut self) {
        let ready: Vec<DeviceName> = self.to.ips().map(|(device, _)| *device).filter(|it| self.stands(it)).collect();
        for device in ready {
            let (Some(from), Some(wish)) = (self.now.ip(&device).cloned(), self.to.ip(&device)) else { continue };
            let ends = self.now.clients(&device).v4 && !self.to.clients(&device).v4;
            let kept = if ends { without_leased(&from).kept(wish) } else { from.kept(wish) };
            let mut replaces = self.taken_by(&device);
            let moving = |route: &&Route| {
                let has = from.all_routes().any(|it| it == *route);
                // A router that was heard is on the link.
                let reaches = route.protocol == RA || kept.reaches(route);
                // And one that comes back there comes before the device hears it again, which would make two.
                let returns = route.protocol == RA && from.routes.iter().any(|it| it.rivals(route));
                !has && reaches && (returns || replaces.iter().any(|(_, it)| it.rivals(route)))
            };
            let routes: Vec<Route> = wish.routes.iter().filter(moving).copied().collect();
            let announced: Vec<Route> = wish.announced.iter().filter(moving).copied().collect();
            let fresh: Vec<Route> = routes.iter().chain(&announced).copied().collect();
            if fresh.is_empty() {
                continue;
            }
            replaces.retain(|(_, theirs)| fresh.iter().any(|ours| theirs.rivals(ours)));
            let mut to = from.clone();
            for had in [&mut to.routes, &mut to.announced] {
                had.retain(|had| !fresh.iter().any(|ours| had.rivals(ours)));
            }
            to.routes.extend(routes);
            to.announced.extend(announced);
            self.stop_hearing(&replaces);
            self.take(&replaces);
            self.now.set_ip(device, to.clone());
            self.steps.push(Step::Ip { device, from, to, replaces });
        }
    }

    /// What the next announcement brought would stand beside the route that took the place of this one.
    fn stop_hearing(&mut self, replaces: &[(DeviceName, Route)]) {
        for (other, _) in replaces.iter().filter(|(_, route)| route.protocol == RA) {
            let wish = self.to.device(other).and_then(|to| to.link().adverts);
            if let (Some(wish), Some(mut now)) = (wish, self.now.device(other).cloned()) {
                now.link_mut().adverts = Some(wish);
                self.modify(now);
            }
        }
    }

    /// Whether a device, and what it stands on, is as it is to be; which routers it hears can wait.
    fn stands(&self, device: &DeviceName) -> bool {
        let Some(now) = self.now.device(device) else { return self.to.device(device).is_none() };
        let hears_alike = |to: &Device| {
            let mut now = now.clone();
            now.link_mut().adverts = to.link().adverts;
            now.same(to)
        };
        let is_as_wished = self.to.device(device).is_some_and(|to| now.same(to) || hears_alike(to));
        is_as_wished && !self.going.contains(device) && now.lower().iter().all(|lower| self.stands(lower))
    }

    /// Routes of others that were replaced are gone.
    fn take(&mut self, replaces: &[(DeviceName, Route)]) {
        for (other, route) in replaces {
            if let Some(mut ip) = self.now.ip(other).cloned() {
                ip.routes.remove(route);
                ip.announced.remove(route);
                self.now.set_ip(*other, ip);
            }
        }
    }

    /// First of all, so that nobody brings back what is taken away. A device that is made anew has no
    /// client that would know it.
    fn stop_clients(&mut self) {
        for device in self.now.served(self.to) {
            let now = self.now.clients(&device).clone();
            let left =
                if self.going.contains(&device) { Clients::default() } else { now.kept(self.to.clients(&device)) };
            let ends = self.now.clients(&device).v4 && !left.v4;
            self.change_clients(device, left);
            if ends && let Some(ip) = self.now.ip(&device) {
                let ip = without_leased(ip);
                self.now.set_ip(device, ip);
            }
        }
    }

    fn start_clients(&mut self) {
        for device in self.now.served(self.to) {
            let (from, to) = (self.now.clients(&device), self.to.clients(&device));
            let families = [(false, from.v4, to.v4), (true, from.v6, to.v6)];
            self.started.extend(families.into_iter().filter(|(_, was, is)| !was && *is).map(|(v6, ..)| (device, v6)));
            self.change_clients(device, self.to.clients(&device).clone());
        }
    }

    fn change_clients(&mut self, device: DeviceName, to: Clients) {
        let from = self.now.clients(&device).clone();
        if from != to {
            self.now.set_clients(device, to.clone());
            let stay = self.to.stay_for(&device).filter(|_| to.v4 && !from.v4).cloned();
            self.steps.push(Step::Dhcp { device, from, to, stay });
        }
    }

    fn withdraw(&mut self) {
        let left = |device: &DeviceName, from: &IpConfig| match self.to.ip(device) {
            Some(to) if !self.going.contains(device) => Some(from.kept(&self.with_moving(*device, from, to))),
            // All but the rules goes with the device.
            _ if from.rules.is_empty() => None,
            _ => Some(IpConfig { rules: BTreeSet::new(), ..from.clone() }),
        };
        let changes: Vec<_> = (self.now.ips())
            .filter_map(|(device, ip)| Some((*device, ip.clone(), left(device, ip)?)))
            .filter(|(_, from, kept)| !from.same(kept))
            .collect();
        for (device, from, to) in changes {
            self.now.set_ip(device, to.clone());
            self.steps.push(Step::Ip { device, from, to, replaces: Vec::new() });
        }
    }

    /// What a device is to have, and for now the default route that another one will take over, or
    /// that gets another gateway: so the host is never without.
    fn with_moving(&self, device: DeviceName, from: &IpConfig, to: &IpConfig) -> IpConfig {
        let moves = |route: &&Route| {
            let others = || self.to.ips().filter(|(other, _)| **other != device);
            route.to.prefix == 0
                && (to.replaces(route) || others().any(|(_, ip)| ip.all_routes().any(|r| r.rivals(route))))
        };
        let mut kept = to.clone();
        kept.routes.extend(from.routes.iter().filter(moves).copied());
        kept.announced.extend(from.announced.iter().filter(moves).copied());
        kept
    }

    fn release(&mut self) {
        let masters: Vec<Device> =
            self.now.devices().filter(|d| d.ports().is_some() && !self.going.contains(&d.name())).cloned().collect();
        for mut master in masters {
            let (Some(ports), Some(wanted)) = (master.ports().cloned(), self.to.device(&master.name())) else {
                continue;
            };
            let all = matches!((&master, wanted), (Device::Bond(from), Device::Bond(to)) if loses_all(from, to));
            let stays = |port: &DeviceName| {
                self.going.contains(port) || !all && wanted.ports().is_some_and(|w| w.contains(port))
            };
            let (kept, leaving): (BTreeSet<_>, BTreeSet<_>) = ports.into_iter().partition(stays);
            if leaving.is_empty() {
                continue;
            }
            let empty = kept.is_empty();
            if let Some(ports) = master.ports_mut() {
                *ports = kept;
            }
            let is_bond = matches!(master, Device::Bond(_));
            let name = master.name();
            self.modify(master);
            if is_bond {
                leaving.iter().for_each(|slave| self.released(slave));
                // Without slaves a bond makes up an address (bond_release_one).
                if empty {
                    self.forget(&name, |link| link.mac = None);
                }
            } else {
                self.follow_ports(&name);
            }
        }
    }

    /// The kernel takes a slave down when it releases it, and gives it back an MTU of its own; if
    /// one of the two is too small for IPv6, that comes or goes as well.
    fn released(&mut self, slave: &DeviceName) {
        self.forget(slave, |link| {
            link.up = false;
            link.mtu = None;
            link.ipv6 = None;
            link.adverts = None;
        });
    }

    /// Follows what the kernel does of itself.
    fn forget(&mut self, device: &DeviceName, change: impl FnOnce(&mut crate::device::Link)) {
        if let Some(device) = self.now.device_mut(device) {
            change(device.link_mut());
        }
    }

    fn tear_down(&mut self) {
        let floors = self.now.floors();
        let mut order: Vec<DeviceName> = self.going.iter().copied().collect();
        order.sort_by_key(|name| (std::cmp::Reverse(floors.get(name).copied().unwrap_or(0)), *name));
        let masters = self.now.masters();
        for name in order {
            let Some(device) = self.now.device(&name).cloned() else { continue };
            if let Device::Bond(bond) = &device {
                bond.slaves.iter().for_each(|slave| self.released(slave));
            }
            if let Some(master) = masters.get(&name) {
                self.follow_ports(master);
            }
            if let Some(ports) = masters.get(&name).and_then(|m| self.now.device_mut(m)).and_then(Device::ports_mut) {
                ports.remove(&name);
            }
            self.now.remove(&name);
            self.steps.push(Step::from(Change::Remove(device)));
        }
    }

    fn lower_mtus(&mut self) {
        for name in self.ground_up().into_iter().rev() {
            let (Some(now), Some(to)) = (self.now.device(&name), self.to.device(&name)) else { continue };
            let (Some(is), Some(wanted)) = (now.link().mtu, to.link().mtu) else { continue };
            if wanted >= is {
                continue;
            }
            let mut lowered = now.clone();
            lowered.link_mut().mtu = Some(wanted);
            if let (Device::Bridge(lowered), Device::Bridge(to)) = (&mut lowered, to) {
                lowered.guests.iter_mut().for_each(|(tap, mtu)| *mtu = to.guests.get(tap).copied().unwrap_or(*mtu));
            }
            self.modify(lowered);
            self.follow_mtu(&name, wanted);
        }
    }

    /// A bond's slaves have its MTU: the kernel sets them along with it.
    fn follow_mtu(&mut self, bond: &DeviceName, mtu: Mtu) {
        if let Some(Device::Bond(bond)) = self.now.device(bond).cloned() {
            bond.slaves.iter().for_each(|slave| self.forget(slave, |link| link.mtu = Some(mtu)));
        }
    }

    fn ground_up(&self) -> Vec<DeviceName> {
        let floors: BTreeMap<DeviceName, usize> = self.to.floors();
        let mut order: Vec<DeviceName> = self.to.devices().map(Device::name).collect();
        order.sort_by_key(|name| (floors[name], *name));
        order
    }

    fn build(&mut self) {
        for name in self.ground_up() {
            let Some(to) = self.to.device(&name) else { continue };
            let mut to = to.clone();
            // Hardware that came by the name of ours is no less in the way for being taken for ours.
            let same_kind = |now: &&Device| now.word() == to.word();
            let Some(now) = self.now.device(&name).filter(same_kind).cloned() else {
                self.steps.push(Step::from(Change::Create(to.clone())));
                self.now.insert(to.clone());
                self.joined(&to, &BTreeSet::new());
                continue;
            };
            self.wake_ipv6(&now, &to);
            if self.joining.contains(&name) {
                // The bonding driver takes no slave that is up; it brings it up itself.
                to.link_mut().up = false;
            }
            if let (Device::Bond(now), Device::Bond(to)) = (&now, &to)
                && goes_down(now, to)
            {
                self.modify(Device::Bond(to.clone()));
                self.shaken(now);
            }
            let had = now.ports().cloned().unwrap_or_default();
            self.modify(to.clone());
            self.joined(&to, &had);
        }
    }

    /// A device whose MTU rises to 1280 or above gets IPv6 back from the kernel, running.
    fn wake_ipv6(&mut self, now: &Device, to: &Device) {
        if now.link().mtu.is_none_or(|m| m < Mtu::IPV6_MINIMUM)
            && to.link().mtu.is_some_and(|m| m >= Mtu::IPV6_MINIMUM)
            && now.link().mtu.is_some()
        {
            self.forget(&now.name(), |link| (link.ipv6, link.adverts) = (Some(true), None));
        }
    }

    /// What the kernel does to devices that join a bond: up, with the bond's MTU.
    fn joined(&mut self, master: &Device, had: &BTreeSet<DeviceName>) {
        let Device::Bond(bond) = master else { return };
        for slave in bond.slaves.difference(had) {
            self.forget(slave, |link| link.up = true);
        }
        if let Some(mtu) = bond.link.mtu {
            self.follow_mtu(&bond.link.name, mtu);
        }
    }

    /// A bond that went down and up again took its VLANs along, and all of them lost their routes
    /// and IPv6 addresses.
    fn shaken(&mut self, bond: &Bond) {
        let mut all = vec![bond.link.name];
        let mut at = 0;
        while let Some(base) = all.get(at).copied() {
            all.extend(
                self.now.devices().filter(|d| matches!(d, Device::Vlan(v) if v.device == base)).map(Device::name),
            );
            at += 1;
        }
        for device in &all[1..] {
            self.forget(device, |link| link.up = true);
        }
        for device in all {
            if let Some(ip) = self.now.ip(&device) {
                let addresses = ip.addresses.iter().filter(|a| a.ip.addr.is_ipv4()).copied().collect();
                let rules = ip.rules.clone();
                self.now.set_ip(device, IpConfig { addresses, rules, ..IpConfig::default() });
            }
        }
    }

    fn tune(&mut self) {
        for (device, to) in self.to.tuned() {
            let from = self.now.settings(device);
            if !changes(from, to).is_empty() {
                self.steps.push(Step::Ethtool { device: *device, from: from.clone(), to: to.clone() });
            }
        }
    }

    fn shape(&mut self) {
        for device in self.now.shaped(self.to) {
            if !same_shaping(&self.now, self.to, &device) {
                let (from, to) = (self.now.shaper(&device).cloned(), self.to.shaper(&device).cloned());
                self.steps.push(Step::Qos { device, from, to });
            }
        }
    }

    /// Whoever takes a default route over comes before the one who loses it by that.
    fn address(&mut self) {
        let (takers, others): (Vec<DeviceName>, Vec<DeviceName>) =
            self.to.ips().map(|(device, _)| *device).partition(|device| !self.taken_by(device).is_empty());
        for device in takers.into_iter().chain(others) {
            let (Some(to), from) = (self.to.ip(&device), self.now.ip(&device).cloned().unwrap_or_default()) else {
                continue;
            };
            let replaces = self.taken_by(&device);
            let comes = self.returns_leased(device, &from, to) || to.unheard(&from).next().is_some();
            if replaces.is_empty() && from.same(to) && !comes {
                continue;
            }
            self.take(&replaces);
            self.now.set_ip(device, to.clone());
            self.steps.push(Step::Ip { device, from, to: to.clone(), replaces });
        }
    }

    /// Whether a device is to have a leased address that it lost with the client that is started again:
    /// a rollback does not leave that to the client, who asks the server first.
    fn returns_leased(&self, device: DeviceName, from: &IpConfig, to: &IpConfig) -> bool {
        let mut lost = to.addresses.iter().filter(|a| a.is_dynamic() && !from.addresses.contains(a));
        lost.any(|a| self.started.contains(&(device, a.ip.addr.is_ipv6())))
    }

    /// The default routes that others still have and a device is to have instead. One that a router
    /// had announced there comes back like that as well, where one of ours took its place.
    fn taken_by(&self, device: &DeviceName) -> Vec<(DeviceName, Route)> {
        let has = |of: Option<&IpConfig>, route: &Route| of.is_some_and(|ip| ip.all_routes().any(|it| it == route));
        let wish = self.to.ip(device).into_iter().flat_map(IpConfig::all_routes);
        let fresh: Vec<&Route> = wish.filter(|r| r.to.prefix == 0 && !has(self.now.ip(device), r)).collect();
        if fresh.is_empty() {
            return Vec::new();
        }
        let others = self.now.ips().filter(|(other, _)| *other != device);
        let all = others.flat_map(|(other, ip)| ip.all_routes().map(|route| (*other, *route)));
        let goes = |(other, route): &(DeviceName, Route)| !has(self.to.ip(other), route);
        all.filter(|(_, route)| fresh.iter().any(|ours| route.rivals(ours))).filter(goes).collect()
    }

    fn resolve(&mut self) {
        let Some(to) = self.to.resolver() else { return };
        let from = self.now.resolver().cloned().unwrap_or_default();
        if !from.is_as(to) {
            self.steps.push(Step::Resolver { from: Arc::new(from.as_far_as(to)), to: Arc::clone(to) });
        }
    }
}
