//! Steps become actions. Pure.
//!
//! Devices made one after the other are made together (all created, IPv6 off on all, all up), so
//! that the kernel gets few large batches: IPv6 is to be off before a device is up, and that is a
//! sysctl, no message. The order among dependent things is the plan's.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use vdsm_model::bond_options::OptionChange;
use vdsm_model::bridge_options::{BridgeOptions, default_of, same};
use vdsm_model::device::{Adverts, Bond, Bridge, Link, Nic, Vlan};
use vdsm_model::ethtool_options::{Group, Settings, changes};
use vdsm_model::ip::{IpConfig, Route};
use vdsm_model::name::DeviceName;
use vdsm_model::netinfo::NetInfo;
use vdsm_model::plan::{Change, Step};
use vdsm_model::units::Mtu;

use super::action::{Action, LinkChange, NewLink};
use super::clients;
use super::qos;

pub(super) fn lower(steps: &[Step], seen: &NetInfo) -> Vec<(usize, Action)> {
    let mut out = Lowered::default();
    let ports =
        steps.iter().filter_map(|s| if let Step::Bridge(Change::Create(b)) = s { Some(&b.ports) } else { None });
    out.joining = ports.flatten().copied().collect();
    out.mtus = out.joining.iter().filter_map(|port| Some((*port, seen.link(port)?.mtu))).collect();
    for (index, step) in steps.iter().enumerate() {
        let kind = Phase::of(step);
        if kind.is_none() || kind != out.phase {
            out.flush();
        }
        out.phase = kind;
        out.step = index;
        out.lower(step);
    }
    out.flush();
    out.actions
}

/// Steps of one phase do not depend on one another.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    NewVlans,
    NewBridges,
}

impl Phase {
    fn of(step: &Step) -> Option<Phase> {
        match step {
            Step::Vlan(Change::Create(_)) => Some(Phase::NewVlans),
            Step::Bridge(Change::Create(_)) => Some(Phase::NewBridges),
            _ => None,
        }
    }
}

#[derive(Default)]
struct Lowered {
    actions: Vec<(usize, Action)>,
    /// What waits until all devices of the phase exist: sysctls, then the rest.
    sysctls: Vec<(usize, Action)>,
    ups: Vec<(usize, Action)>,
    /// Ports of bridges that the plan makes.
    joining: BTreeSet<DeviceName>,
    /// The new VLANs among them: they come up as they join, with the same message.
    fresh: BTreeSet<DeviceName>,
    /// The MTUs of all these ports.
    mtus: BTreeMap<DeviceName, Mtu>,
    phase: Option<Phase>,
    step: usize,
}

impl Lowered {
    fn push(&mut self, action: Action) {
        self.actions.push((self.step, action));
    }

    fn flush(&mut self) {
        self.actions.append(&mut self.sysctls);
        self.actions.append(&mut self.ups);
    }

    fn lower(&mut self, step: &Step) {
        if let Step::Nic(Change::Modify { to: Nic { link }, .. })
        | Step::Vlan(Change::Create(Vlan { link, .. }) | Change::Modify { to: Vlan { link, .. }, .. })
        | Step::Bond(Change::Create(Bond { link, .. }) | Change::Modify { to: Bond { link, .. }, .. }) = step
            && let Some(mtu) = link.mtu
        {
            self.mtus.insert(link.name, mtu);
        }
        match step {
            // Nobody makes a nic: the first action on it says that it is not there.
            Step::Nic(Change::Create(nic)) => self.link(None, &nic.link),
            Step::Nic(Change::Modify { from, to }) => self.nic(from, to),
            Step::Nic(Change::Remove(_)) => {}
            Step::Ethtool { device, from, to } => self.tune(*device, from, to),
            Step::Bond(Change::Create(bond)) => self.new_bond(bond),
            Step::Bond(Change::Modify { from, to }) => self.bond(from, to),
            Step::Vlan(Change::Create(vlan)) => self.new_vlan(vlan),
            Step::Vlan(Change::Modify { from, to }) => self.link(Some(&from.link), &to.link),
            Step::Bridge(Change::Create(bridge)) => self.new_bridge(bridge),
            Step::Bridge(Change::Modify { from, to }) => self.bridge(from, to),
            Step::Bond(Change::Remove(_)) | Step::Vlan(Change::Remove(_)) | Step::Bridge(Change::Remove(_)) => {
                step.device().into_iter().for_each(|name| self.push(Action::DelLink { name }));
            }
            Step::Qos { device, from, to } => {
                for change in qos::changes(from.as_ref(), to.as_ref()) {
                    self.push(Action::Qos { device: *device, change });
                }
            }
            Step::Dhcp { device, from, to, .. } => {
                let device = *device;
                clients::changes(from, to).into_iter().for_each(|change| self.push(Action::Dhcp { device, change }));
            }
            Step::Ip { device, from, to, replaces } => self.ip(*device, from, to, replaces),
            Step::Resolver { from, to } => self.push(Action::Resolver { from: Arc::clone(from), to: Arc::clone(to) }),
        }
    }

    fn set(&mut self, name: DeviceName, change: LinkChange) {
        if !change.is_empty() {
            self.push(Action::SetLink { name, change });
        }
    }

    /// What differs between two states of a link. IPv6 goes off before a link comes up, and its
    /// sysctl is there only once the MTU is 1280 or more.
    fn link(&mut self, from: Option<&Link>, to: &Link) {
        let mtu = to.mtu.filter(|_| from.is_none_or(|f| f.mtu != to.mtu));
        let mac = to.mac.filter(|_| from.is_none_or(|f| f.mac != to.mac));
        let ipv6 = to.ipv6.filter(|_| from.is_none_or(|f| f.ipv6 != to.ipv6));
        let up = Some(to.up).filter(|_| from.is_none_or(|f| f.up != to.up));
        let rest = LinkChange { up, ..LinkChange::default() };
        let first = LinkChange { mtu, mac, ..LinkChange::default() };
        let now = from.and_then(|f| f.adverts);
        let adverts = to.adverts.filter(|to| !now.is_some_and(|now| now.meets(*to)));
        let mut sysctls = sysctls(to.name, ipv6, adverts);
        // Where IPv6 starts now, the kernel asks the routers by itself.
        if adverts.is_some_and(Adverts::are_heard) && from.is_some_and(|f| f.ipv6 == Some(true) && f.up) {
            sysctls.push(Action::Solicit { device: to.name });
        }
        if sysctls.is_empty() {
            self.set(to.name, LinkChange { up, ..first });
        } else {
            self.set(to.name, first);
            sysctls.into_iter().for_each(|action| self.push(action));
            self.set(to.name, rest);
        }
    }

    fn nic(&mut self, from: &Nic, to: &Nic) {
        self.link(Some(&from.link), &to.link);
    }

    /// A message for each group.
    fn tune(&mut self, name: DeviceName, from: &Settings, to: &Settings) {
        let mut groups: BTreeMap<Group, Settings> = BTreeMap::new();
        for (key, value) in changes(from, to) {
            groups.entry(key.group()).or_default().insert(key, value);
        }
        for (group, settings) in groups {
            self.push(Action::Ethtool { name, group, settings });
        }
    }

    /// Complete and up before anything stands on it: a VLAN takes its address from it.
    fn new_bond(&mut self, bond: &Bond) {
        let name = bond.link.name;
        self.push(Action::AddLink {
            name,
            kind: NewLink::Bond(bond.options.clone()),
            mtu: bond.link.mtu,
            mac: bond.link.mac,
        });
        sysctls(name, bond.link.ipv6, bond.link.adverts).into_iter().for_each(|action| self.push(action));
        self.enslave(name, bond.slaves.iter().copied().collect());
        if bond.link.up {
            self.set(name, LinkChange { up: Some(true), ..LinkChange::default() });
        }
    }

    /// In natural order: the first slave gives the bond its address.
    fn enslave(&mut self, bond: DeviceName, mut slaves: Vec<DeviceName>) {
        slaves.sort_by(DeviceName::natural_cmp);
        for slave in slaves {
            self.set(slave, LinkChange { master: Some(Some(bond)), ..LinkChange::default() });
        }
    }

    fn bond(&mut self, from: &Bond, to: &Bond) {
        let name = to.link.name;
        for slave in from.slaves.difference(&to.slaves) {
            self.set(*slave, LinkChange { master: Some(None), ..LinkChange::default() });
        }
        let changes = from.options.changes(&to.options);
        let down = from.link.up && OptionChange::needs_of(&changes).down();
        if down {
            self.set(name, LinkChange { up: Some(false), ..LinkChange::default() });
        }
        for change in changes {
            self.push(Action::SetBond { name, change });
        }
        // Slaves take over its MTU as they join: it is to have the new one by then.
        let now = Link { up: from.link.up && !down, ..from.link.clone() };
        self.link(Some(&now), &Link { up: now.up, ..to.link.clone() });
        self.enslave(name, to.slaves.difference(&from.slaves).copied().collect());
        let up = Some(to.link.up).filter(|up| *up != now.up);
        self.set(name, LinkChange { up, ..LinkChange::default() });
    }

    fn new_vlan(&mut self, vlan: &Vlan) {
        let Link { name, mtu, up, ipv6, adverts, mac } = vlan.link;
        self.push(Action::AddLink { name, kind: NewLink::Vlan { device: vlan.device, tag: vlan.tag }, mtu, mac });
        self.sysctls.extend(sysctls(name, ipv6, adverts).into_iter().map(|action| (self.step, action)));
        if up && self.joining.contains(&name) {
            self.fresh.insert(name);
        } else if up {
            self.ups.push((
                self.step,
                Action::SetLink { name, change: LinkChange { up: Some(true), ..LinkChange::default() } },
            ));
        }
    }

    /// It comes up with its ports, whose hardware address it takes: its link-local address is made of the one
    /// it has then. The MTU is set on the bridge once it exists, not with its creation: only then does the
    /// kernel know it as somebody's wish (BROPT_MTU_SET_BY_USER) and not follow the ports. To say 1500 to a
    /// new bridge says nothing, and it follows a port of another size: so that is said afterwards, where it
    /// makes a difference.
    fn new_bridge(&mut self, bridge: &Bridge) {
        let Link { name, mtu, up, ipv6, adverts, mac } = bridge.link;
        self.push(Action::AddLink { name, kind: NewLink::Bridge(uncommon(&bridge.options)), mtu: None, mac });
        self.sysctls.extend(sysctls(name, ipv6, adverts).into_iter().map(|action| (self.step, action)));
        let follows = bridge.ports.iter().any(|port| self.mtus.get(port) != mtu.as_ref());
        let (at_first, at_last) = match mtu {
            Some(Mtu::DEFAULT) => (None, mtu.filter(|_| follows)),
            other => (other, None),
        };
        let first = (name, LinkChange { mtu: at_first, ..LinkChange::default() });
        let joins = bridge.ports.iter().map(|port| {
            let up = self.fresh.contains(port).then_some(true);
            (*port, LinkChange { master: Some(Some(name)), up, ..LinkChange::default() })
        });
        let last = (name, LinkChange { mtu: at_last, up: up.then_some(true), ..LinkChange::default() });
        let all = std::iter::once(first).chain(joins).chain([last]).filter(|(_, change)| !change.is_empty());
        let all: Vec<_> = all.map(|(name, change)| (self.step, Action::SetLink { name, change })).collect();
        self.ups.extend(all);
    }

    fn bridge(&mut self, from: &Bridge, to: &Bridge) {
        let name = to.link.name;
        for port in from.ports.difference(&to.ports) {
            self.set(*port, LinkChange { master: Some(None), ..LinkChange::default() });
        }
        for change in to.options.changes_from(&from.options) {
            self.push(Action::SetBridge { name, change });
        }
        for (tap, mtu) in &to.guests {
            if from.guests.get(tap).is_some_and(|old| old != mtu) {
                self.push(Action::SetTap { name: *tap, mtu: *mtu });
            }
        }
        self.link(Some(&from.link), &to.link);
        for port in to.ports.difference(&from.ports) {
            self.set(*port, LinkChange { master: Some(Some(name)), ..LinkChange::default() });
        }
    }

    /// Removals first; a primary address last, since its secondaries go with it.
    fn ip(&mut self, device: DeviceName, from: &IpConfig, to: &IpConfig, replaces: &[(DeviceName, Route)]) {
        let kept = from.kept(to);
        for rule in from.rules.difference(&kept.rules) {
            self.push(Action::DelRule { rule: rule.clone() });
        }
        let lost = from.routes.difference(&kept.routes).chain(from.announced.difference(&kept.announced)).copied();
        let former: Vec<_> = lost.map(|route| (device, route)).chain(replaces.iter().copied()).collect();
        // Those of the link itself first: a gateway may be reached through them.
        let (direct, via): (Vec<_>, Vec<_>) =
            to.routes.difference(&kept.routes).copied().partition(|r| r.gateway.is_none());
        // What a router announced it announces again when it is asked. Until then one like it keeps the
        // host from being without.
        let heard = to.unheard(&kept).find(|route| former.iter().any(|(_, it)| it.rivals(route)));
        let fresh: Vec<Route> = direct.into_iter().chain(via).chain(heard).collect();
        let is_taken = |route: &Route| route.to.prefix == 0 && fresh.iter().any(|it| it != route && it.rivals(route));
        for (_, route) in former.iter().filter(|(holder, route)| *holder == device && !is_taken(route)) {
            self.push(Action::DelRoute { device, route: *route });
        }
        for address in from.addresses.iter().rev().filter(|a| !kept.addresses.contains(a)) {
            self.push(Action::DelAddress { device, address: *address });
        }
        // The kernel lists IPv6 addresses newest first: added backwards they are listed as before.
        let missing = to.addresses.iter().filter(|a| !kept.addresses.contains(a));
        let (v4, v6): (Vec<_>, Vec<_>) = missing.copied().partition(|a| a.ip.addr.is_ipv4());
        for address in v4.into_iter().chain(v6.into_iter().rev()) {
            // One that ends by itself may have been given back by whoever sees to it.
            self.push(Action::AddAddress { device, address, replace: address.is_dynamic() });
        }
        for address in from.outliving(to).copied() {
            self.push(Action::AddAddress { device, address, replace: true });
        }
        for route in fresh {
            self.add_route(device, route, &former);
        }
        if to.unheard(&kept).next().is_some() {
            self.push(Action::Solicit { device });
        }
        // Nothing is led into a table before it is complete.
        for rule in to.rules.difference(&kept.rules) {
            self.push(Action::AddRule { rule: rule.clone() });
        }
    }

    /// A replacement takes the place of one route. IPv6 may have several there, beside one of ours
    /// those that routers announced: the others go after it.
    fn add_route(&mut self, device: DeviceName, route: Route, former: &[(DeviceName, Route)]) {
        let given: Vec<_> =
            former.iter().filter(|it| it.1.rivals(&route) && **it != (device, route)).copied().collect();
        self.push(Action::AddRoute { device, route, replace: !given.is_empty() });
        if given.len() > 1 {
            given.into_iter().for_each(|(device, route)| self.push(Action::DelRoute { device, route }));
        }
    }
}

/// IPv6 comes on last, so that no advertisement is taken before it may not be.
fn sysctls(name: DeviceName, ipv6: Option<bool>, adverts: Option<Adverts>) -> Vec<Action> {
    let adverts = adverts.map(|adverts| Action::Adverts { name, adverts });
    adverts.into_iter().chain(ipv6.map(|on| Action::Ipv6 { name, on })).collect()
}

/// What a new bridge does not have by itself. Nothing more is sent: a kernel built without VLAN
/// filtering refuses even to be told that it is off.
fn uncommon(options: &BridgeOptions) -> BridgeOptions {
    let mut out = BridgeOptions::default();
    for (name, value) in options.iter() {
        if !default_of(name).is_some_and(|default| same(name, default, value)) {
            out.set(name, value);
        }
    }
    out
}
