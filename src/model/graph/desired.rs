//! The graph a request wishes for. [`Desired::build`] is the only door: what came through it has
//! passed every rule, and nothing of the host has been touched.
//!
//! Devices the request does not touch are wished for exactly as they are, drifted or not.

mod crowd;
mod layer3;
mod reach;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use super::judge::Judge;
use super::merge::{self, Merged, named};
use super::scope::{Scope, bridge_of, southbound_of, vlan_of};
use super::tuning::Wishes;
use super::waiting::{self, Stay};
use super::{Graph, nameservers, shaping, sharing};
use crate::bridge_options::BridgeOptions;
use crate::config::{Base, BondAddresses, NetConfig, NetworkConfig, Policy};
use crate::device::{Adverts, Bond, Bridge, Device, Link, Nic, Vlan};
use crate::ethtool_options::Tuned;
use crate::ip::{IpConfig, Route};
use crate::name::{DeviceName, NetworkName};
use crate::netinfo::{NetInfo, SeenKind};
use crate::problem::{Code, Problem, Problems, Subject};
use crate::request::Request;
use crate::units::{Mac, Mtu};

/// A sound wish: where the host is to arrive, and from where it starts.
#[derive(Clone, Debug)]
pub struct Desired {
    /// The configuration that is then running.
    pub config: NetConfig,
    /// The devices the request may touch, as they are to be.
    pub graph: Graph,
    /// The same devices as they are now: where a rollback returns to.
    pub prior: Graph,
    /// Their names, those to be made and those to be removed included.
    pub scope: Scope,
    /// What must be known of nics' settings for the request to be judged. Where the host was looked
    /// at without it, look again and build anew: what is not known is not wished for.
    pub tuned: Tuned,
    /// Keys of the request that have no effect, in sentences.
    pub warnings: Vec<String>,
}

impl Desired {
    /// Judges a request against the running configuration and the host; all problems at once.
    pub fn build(running: &NetConfig, request: &Request, seen: &NetInfo, policy: &Policy) -> Result<Desired, Problems> {
        let merged = merge::merge(running, request, seen);
        let mut problems = merged.problems.clone();
        problems.extend(sharing::check(&merged, policy));

        let mut builder = Builder::new(running, &merged, seen, policy);
        builder.check_vlan_names(&mut problems);
        builder.check_shared_vlans(&mut problems);
        builder.check_bridge_names(&mut problems);
        builder.check_bases(&mut problems);
        builder.check_ipv6(request, &mut problems);
        builder.check_broken(request, &mut problems);
        builder.find_scope();
        let (mut prior, mut wrong) = builder.draw();
        if builder.finds_bonds_shaken(&prior) {
            (prior, wrong) = builder.draw();
        }
        problems.extend(wrong);
        problems.extend(builder.crowded(&prior));
        let wishes = Wishes::of(&merged, &mut problems);
        let tuned = wishes.tuned(seen);
        wishes.put(seen, &mut prior, &mut builder.graph, &mut problems);
        builder.warnings.extend(builder.wanted().filter_map(|(name, net)| shaping::idle(name, net)));
        shaping::shape(&mut builder.graph, &builder.bases, &merged, seen, &mut problems);
        let nameservers = nameservers::wish(running, &merged, seen, policy);
        prior.set_resolver(nameservers.resolver.as_ref().map(|wish| seen.resolver.as_far_as(wish)));
        builder.graph.set_resolver(nameservers.resolver);
        builder.warnings.extend(nameservers.warning);
        problems.extend(nameservers.problem);

        let judge = Judge {
            graph: &builder.graph,
            seen,
            running,
            scope: &builder.scope,
            going: &builder.going,
            merged: &merged,
        };
        problems.extend(judge.all());
        Problems::check(problems)?;
        let Builder { scope, graph, warnings, .. } = builder;
        let warnings = request.warnings.iter().cloned().chain(warnings).collect();
        Ok(Desired { graph, prior, scope, tuned, warnings, config: merged.config })
    }

    /// Goes on with the same wish as it is by now, with leases that have come. What it concerns
    /// besides is to come back as `seen`; what it concerns no more stays so.
    pub fn renew(&mut self, wish: Desired, seen: &NetInfo) {
        let (fresh, left) = (wish.scope.without(&self.scope), self.scope.without(&wish.scope));
        fresh.devices().for_each(|device| self.scope.add(*device));
        let now = Graph::seen(seen, &self.scope);
        self.prior.take(&now, &fresh);
        if self.prior.resolver().is_none() {
            self.prior.set_resolver(wish.prior.resolver().map(|it| (**it).clone()));
        }
        self.graph = wish.graph;
        self.graph.take(&now, &left);
        // What was said of the time until the leases is over.
        self.warnings = wish.warnings;
    }
}

struct Builder<'a> {
    running: &'a NetConfig,
    merged: &'a Merged,
    seen: &'a NetInfo,
    policy: &'a Policy,
    scope: Scope,
    graph: Graph,
    /// Devices of the touched networks as they were that the wish has no more.
    going: BTreeSet<DeviceName>,
    /// What happens to others, in sentences.
    warnings: Vec<String>,
    /// The default route that stays for now where it is not to be.
    stay: Option<Stay>,
    /// Those that have stayed for a network that waits no more.
    over: Vec<(DeviceName, Route)>,
    /// The nics and bonds that the touched networks stand on, or stood on,
    bases: BTreeSet<DeviceName>,
    /// and the VLANs they have, or had.
    vlans: BTreeSet<DeviceName>,
}

impl<'a> Builder<'a> {
    fn new(running: &'a NetConfig, merged: &'a Merged, seen: &'a NetInfo, policy: &'a Policy) -> Builder<'a> {
        let mut builder = Builder {
            running,
            merged,
            seen,
            policy,
            scope: Scope::default(),
            graph: Graph::default(),
            going: BTreeSet::new(),
            warnings: Vec::new(),
            stay: waiting::stay(running, &merged.config, seen),
            over: waiting::over(running, merged, seen),
            bases: BTreeSet::new(),
            vlans: BTreeSet::new(),
        };
        for (_, net) in builder.wanted().chain(builder.former()) {
            builder.bases.extend(net.base.map(Base::device));
            builder.vlans.extend(vlan_of(net, seen));
        }
        builder
    }

    /// The touched networks as they are to be.
    fn wanted(&self) -> impl Iterator<Item = (&'a NetworkName, &'a NetworkConfig)> + use<'a> {
        self.merged.touched()
    }

    /// The touched networks as they were.
    fn former(&self) -> impl Iterator<Item = (&'a NetworkName, &'a NetworkConfig)> + use<'a> {
        named(&self.running.networks, &self.merged.networks)
    }

    /// The network that has a nic or bond for itself, without a tag, touched or not.
    fn untagged_on(&self, base: DeviceName) -> Option<(&'a NetworkName, &'a NetworkConfig)> {
        self.merged.config.networks.on(base, None).next()
    }

    /// Whether a touched network had a nic or bond for itself, without a tag.
    fn was_untagged_on(&self, base: DeviceName) -> bool {
        self.running.networks.on(base, None).any(|(name, _)| self.merged.networks.contains(name))
    }

    /// The devices of the scope as they are, and the wish for them; beside it, what is wrong with that.
    fn draw(&mut self) -> (Graph, Vec<Problem>) {
        let prior = Graph::seen(self.seen, &self.scope).following(self.seen);
        self.graph = prior.clone();
        self.warnings.clear();
        let mut problems = Vec::new();
        self.remove_what_goes(&mut problems);
        self.put_what_comes();
        (prior, problems)
    }

    /// A VLAN that the host has already may have any name; one to be made is called `BASE.TAG`.
    fn check_vlan_names(&self, problems: &mut Vec<Problem>) {
        for (name, net) in self.wanted().filter(|(_, net)| vlan_of(net, self.seen).is_none()) {
            if let (Some(base), Some(tag)) = (net.base.map(Base::device), net.vlan)
                && let Err(error) = DeviceName::of_vlan(&base, tag.get())
            {
                problems.push(Problem::VlanName { network: name.clone(), base, tag: tag.get(), error });
            }
        }
    }

    /// The graph knows each name once: a VLAN of one network by its tag must not be another's by its name.
    fn check_shared_vlans(&self, problems: &mut Vec<Problem>) {
        for (network, net) in self.wanted() {
            let Some((base, tag)) = net.base.map(Base::device).zip(net.vlan) else { continue };
            let Some(found) = vlan_of(net, self.seen).and_then(|name| self.seen.link(&name)) else { continue };
            let SeenKind::Vlan { tag: other_tag, device: Some(other) } = found.kind else { continue };
            let shared = (base, tag) != (other, other_tag)
                && self.merged.config.networks.on(other, Some(other_tag)).next().is_some();
            if shared {
                problems.push(Problem::NameTaken {
                    network: network.clone(),
                    device: found.name,
                    kind: format!("vlan with tag {other_tag} on {other}"),
                    code: Code::BadVlan,
                });
            }
        }
    }

    /// The graph knows each name once: a bridge or VLAN that the request makes must not take the
    /// place of a nic or bond that it needs by that name. So these are looked for on the host.
    fn check_bases(&self, problems: &mut Vec<Problem>) {
        problems.extend(self.wanted().filter_map(|(network, net)| self.unknown_base(network, net)));
        let bonds = self.merged.bonds.iter().filter_map(|name| self.merged.config.bonds.get_key_value(name));
        for (name, bond) in bonds {
            let missing = bond.nics.iter().filter(|nic| self.seen.link(nic).is_none());
            problems.extend(missing.map(|nic| Problem::UnknownNic { of: Subject::Bond(name.to_string()), nic: *nic }));
        }
    }

    /// What the request itself asks of a kernel without IPv6, also of networks that could not be read
    /// whole. Those that it touches by the way go on without, as they have so far.
    fn check_ipv6(&self, request: &Request, problems: &mut Vec<Problem>) {
        if self.seen.has_ipv6 {
            return;
        }
        let asked = request.networks.iter().filter_map(|(name, net)| Some((name, net.as_ref()?)));
        problems.extend(asked.flat_map(|(name, net)| no_ipv6(name, net)));
    }

    /// The problem that a network's nic is none of the host's.
    fn unknown_base(&self, network: &NetworkName, net: &NetworkConfig) -> Option<Problem> {
        let Some(Base::Nic(nic)) = net.base else { return None };
        let is_nic = self.seen.link(&nic).is_some_and(|l| l.nic);
        (!is_nic).then(|| Problem::UnknownNic { of: Subject::Network(network.to_string()), nic })
    }

    fn check_bridge_names(&self, problems: &mut Vec<Problem>) {
        let config = &self.merged.config;
        for (network, net) in self.wanted() {
            let Some(bridge) = bridge_of(network, net) else { continue };
            if config.bonds.contains_key(&bridge) && self.seen.link(&bridge).is_none() {
                problems.push(Problem::NameTaken {
                    network: network.clone(),
                    device: bridge,
                    kind: "bond".to_owned(),
                    code: Code::BadBridge,
                });
            }
        }
    }

    /// What can be said of networks that could not be read whole: it does not depend on the rest.
    fn check_broken(&self, request: &Request, problems: &mut Vec<Problem>) {
        for name in &request.broken {
            let Some(Some(net)) = request.networks.get(name) else { continue };
            problems.extend(self.unknown_base(name, net));
            problems.extend(sharing::unsupported_of(name, net, self.policy));
        }
    }

    fn remove_what_goes(&mut self, problems: &mut Vec<Problem>) {
        let seen = self.seen;
        let made = |(name, net): (&NetworkName, &NetworkConfig)| [bridge_of(name, net), vlan_of(net, seen)];
        let wanted: BTreeSet<DeviceName> = self.wanted().flat_map(made).flatten().collect();
        self.going = self.former().flat_map(made).flatten().filter(|d| !wanted.contains(d)).collect();
        self.going.extend(self.merged.bonds.iter().filter(|b| !self.merged.config.bonds.contains_key(*b)));
        for name in &self.going {
            let users = self.strangers_at(*name);
            match (self.graph.device(name), users.is_empty()) {
                // Whatever else hangs on it would lose its connection (vdsm-facts 2.2).
                (Some(Device::Bridge(_)), false) => problems.extend(
                    NetworkName::try_from(name.as_str()).map(|network| Problem::BridgeInUse { network, ports: users }),
                ),
                (Some(Device::Bond(_)), false) => problems.push(Problem::BondInUse { bond: *name, users }),
                (Some(Device::Vlan(_)), false) => problems.push(Problem::VlanInUse { vlan: *name, users }),
                _ => {}
            }
        }
        self.graph.remove_all(&self.going);
    }

    /// Devices not in our care that a device carries, or that is its master; what goes along with
    /// it and what stays are no strangers.
    fn strangers_at(&self, device: DeviceName) -> Vec<DeviceName> {
        let ours = |other: &DeviceName| self.scope.contains(other);
        let ports = self.seen.ports_of(device).map(|l| l.name);
        // Those of our networks are told of as such.
        let networks: BTreeSet<DeviceName> =
            self.merged.config.networks.users_of(device).filter_map(|(_, net)| vlan_of(net, self.seen)).collect();
        let vlans =
            self.seen.standing_on(device).map(|l| l.name).filter(|v| !self.going.contains(v) && !networks.contains(v));
        let master = self.seen.link(&device).and_then(|l| l.master).filter(|_| self.merged.bonds.contains(&device));
        ports.chain(master).filter(|other| !ours(other)).chain(vlans).collect()
    }

    fn put_what_comes(&mut self) {
        let bases: BTreeSet<Base> = self.wanted().chain(self.former()).filter_map(|(_, net)| net.base).collect();
        for base in &bases {
            match base {
                Base::Nic(nic) => self.put_nic(*nic),
                Base::Bond(bond) => self.put_bond(*bond),
            }
        }
        for bond in self.merged.bonds.clone() {
            self.put_bond(bond);
        }
        for (_, net) in self.wanted() {
            self.put_vlan(net);
        }
        for (name, net) in self.wanted() {
            self.put_bridge(name, net);
        }
        self.put_clients();
        self.put_stays();
        self.put_aside_rivals();
    }

    fn link(&self, name: DeviceName, mtu: Mtu, ipv6: Option<bool>) -> Link {
        // A kernel without IPv6 has no such sysctl.
        let ipv6 = ipv6.filter(|_| self.seen.has_ipv6);
        // Beside a static address of ours nothing is to come that routers advertise.
        Link { ipv6, adverts: (ipv6 == Some(true)).then_some(Adverts::IGNORED), ..Link::new(name, mtu) }
    }

    /// The device that carries a network's addresses. Routers are known from their advertisements
    /// alone, those of a DHCPv6 network as well. The host's default route is one network's, and others
    /// must not get another by the way.
    fn top_link(&self, name: DeviceName, mtu: Mtu, net: &NetworkConfig, ipv6: bool) -> Link {
        let link = self.link(name, mtu, Some(ipv6));
        let heard = Adverts::heard(net.ipv6_autoconf, net.default_route);
        Link { adverts: link.adverts.map(|off| if net.hears_routers() { heard } else { off }), ..link }
    }

    /// A nic or bond, and what it has at layer three.
    fn base_link(&self, base: DeviceName, policy: BondAddresses) -> (Link, IpConfig) {
        let (ipv6, ip) = self.layer_three(base, policy);
        let mtu = self.mtu_of_base(base);
        let mut untagged = self.merged.config.networks.on(base, None);
        let own = untagged.find(|(name, net)| !net.bridged && self.merged.networks.contains(*name));
        match (own, ipv6) {
            (Some((_, net)), Some(ipv6)) => (self.top_link(base, mtu, net, ipv6), ip),
            _ => (self.link(base, mtu, ipv6), ip),
        }
    }

    /// A nic that touched networks stand on, or stood on.
    fn put_nic(&mut self, nic: DeviceName) {
        // One that is gone is no hindrance to those who leave it; who wants it has been told.
        if self.slave_of(nic).is_some() || self.seen.link(&nic).is_none() {
            return;
        }
        let (link, ip) = self.base_link(nic, BondAddresses::Replace);
        self.leave_masters(nic);
        self.graph.insert(Device::Nic(Nic { link }));
        self.graph.set_ip(nic, ip);
    }

    /// A bond that touched networks stand on, or that the request names.
    fn put_bond(&mut self, name: DeviceName) {
        let touched = self.merged.bonds.contains(&name);
        let Some(config) = self.merged.config.bonds.get(&name) else {
            // Removed: its slaves are free.
            let slaves: Vec<DeviceName> = self
                .running
                .bonds
                .get(&name)
                .into_iter()
                .flat_map(|b| b.nics.iter().copied())
                .chain(self.seen.ports_of(name).map(|l| l.name))
                .collect();
            slaves.into_iter().for_each(|slave| self.release(slave));
            return;
        };
        let (mut link, ip) = self.base_link(name, self.policy.bond_addresses);
        let mtu = self.mtu_of_base(name);
        let (slaves, options) = match self.graph.device(&name) {
            Some(Device::Bond(live)) if !touched => (live.slaves.clone(), live.options.clone()),
            _ => (config.nics.clone(), config.options.clone()),
        };
        if touched {
            link.mac = config.hwaddr;
        }
        let former = self.graph.device(&name).and_then(Device::ports).cloned().unwrap_or_default();
        for slave in former.difference(&slaves) {
            self.release(*slave);
        }
        for slave in &slaves {
            self.put_slave(*slave, mtu);
        }
        self.leave_masters(name);
        self.graph.insert(Device::Bond(Bond { link, slaves, options }));
        self.graph.set_ip(name, ip);
    }

    /// A slave has its bond's MTU and nothing at layer three.
    fn put_slave(&mut self, slave: DeviceName, mtu: Mtu) {
        let link = self.link(slave, mtu, Some(false));
        self.leave_masters(slave);
        let vlan = match self.graph.device(&slave) {
            Some(Device::Vlan(vlan)) => Some((vlan.tag, vlan.device)),
            _ => None,
        };
        self.graph.insert(match vlan {
            Some((tag, device)) => Device::Vlan(Vlan { link, tag, device }),
            None => Device::Nic(Nic { link }),
        });
        self.graph.set_ip(slave, IpConfig::default());
    }

    /// A slave that its bond loses: back to 1500 and up, unless something else wants it
    /// (vdsm-facts 3.8; nics stay up after any network operation).
    fn release(&mut self, slave: DeviceName) {
        if self.seen.link(&slave).is_none() || self.slave_of(slave).is_some() || self.is_used(slave) {
            return;
        }
        let mtu = self.mtu_of_base(slave);
        if let Some(device) = self.graph.device_mut(&slave) {
            *device.link_mut() = Link::new(slave, mtu);
        }
    }

    fn put_vlan(&mut self, net: &NetworkConfig) {
        let (Some(name), Some(base), Some(tag)) = (vlan_of(net, self.seen), net.base, net.vlan) else { return };
        let link = if net.bridged {
            self.link(name, net.mtu, Some(false))
        } else {
            self.top_link(name, net.mtu, net, net.wants_ipv6())
        };
        self.leave_masters(name);
        let vlan = Vlan { link, tag, device: base.device() };
        if let Some(Device::Vlan(now)) = self.graph.device(&name)
            && now.is_another(&vlan)
        {
            let (tag, device) = (now.tag, now.device);
            self.warnings.push(format!("the vlan {name} is made anew: somebody gave it tag {tag} on {device}"));
        }
        self.graph.insert(Device::Vlan(vlan));
        self.graph.set_ip(name, if net.bridged { IpConfig::default() } else { self.ip_of(name, net) });
    }

    fn put_bridge(&mut self, name: &NetworkName, net: &NetworkConfig) {
        let Some(bridge) = bridge_of(name, net) else { return };
        let port = southbound_of(net, self.seen);
        if let Some(port) = port {
            self.leave_masters(port);
        }
        let mut guests = match self.graph.device(&bridge) {
            Some(Device::Bridge(live)) => live.guests.clone(),
            _ => BTreeMap::new(),
        };
        // VMs follow a change of their network's MTU, and are left alone otherwise.
        if self.seen.link(&bridge).is_some_and(|l| l.mtu != net.mtu) {
            guests.values_mut().for_each(|mtu| *mtu = net.mtu);
        }
        let link = self.top_link(bridge, net.mtu, net, net.wants_ipv6());
        let link =
            Link { mac: port.filter(|_| net.dhcpv4 || net.dhcpv6).and_then(|p| self.mac_for(bridge, p)), ..link };
        let options = self.bridge_options(name, net);
        self.graph.insert(Device::Bridge(Bridge { link, ports: port.into_iter().collect(), options, guests }));
        self.graph.set_ip(bridge, self.ip_of(bridge, net));
    }

    /// The address that a bridge must be given for a DHCP server to know it by its port's: a VM's tap
    /// may come first, and udev gives new bridges one of its own choice (vdsm-facts 3.17).
    fn mac_for(&self, bridge: DeviceName, port: DeviceName) -> Option<Mac> {
        let of = |device: DeviceName| self.seen.link(&device).and_then(|link| link.mac);
        let below = match self.graph.device(&port)? {
            Device::Vlan(vlan) => vlan.device,
            _ => port,
        };
        let first = |bond: &Bond| bond.slaves.iter().min_by(|a, b| DeviceName::natural_cmp(a, b)).copied();
        let mac = match self.graph.device(&below)? {
            Device::Bond(bond) => bond.link.mac.or_else(|| of(below)).or_else(|| of(first(bond)?)),
            _ => of(below),
        };
        mac.filter(|mac| of(bridge) != Some(*mac))
    }

    /// What the network names, and the kernel's default for what it named before.
    fn bridge_options(&self, name: &NetworkName, net: &NetworkConfig) -> BridgeOptions {
        let base = &BASE_OPTIONS[usize::from(net.stp)];
        let mut options = base.clone();
        if let Some(former) = self.running.networks.get(name) {
            options.reset(&former.bridge_options);
            options.extend(base);
        }
        options.extend(&net.bridge_options);
        options
    }

    /// The highest MTU that anybody needs of a nic or bond: our networks, touched or not, and
    /// VLANs of strangers, which the kernel would lower along with it (vdsm-facts 3.9).
    fn mtu_of_base(&self, base: DeviceName) -> Mtu {
        let ours = self.merged.config.networks.largest_on(base);
        // The largest of them comes first.
        let mut others = self.seen.standing_on(base);
        let other = others.find(|l| !self.vlans.contains(&l.name) && !self.going.contains(&l.name)).map(|l| l.mtu);
        ours.max(other).unwrap_or(Mtu::DEFAULT)
    }

    fn is_used(&self, base: DeviceName) -> bool {
        self.merged.config.networks.users_of(base).next().is_some()
    }

    fn slave_of(&self, nic: DeviceName) -> Option<DeviceName> {
        self.merged.config.bonds.masters_of(nic).next().map(|(name, _)| *name)
    }

    /// A device has one master: it leaves whichever had it, but for the bridge of a network that
    /// the request does not touch.
    fn leave_masters(&mut self, port: DeviceName) {
        let (merged, seen) = (self.merged, self.seen);
        let Some(master) = seen.link(&port).and_then(|l| l.master) else { return };
        let untouched =
            |name: &NetworkName| merged.config.networks.get(name).filter(|_| !merged.networks.contains(name));
        let stays = NetworkName::try_from(master.as_str()).is_ok_and(|name| {
            untouched(&name).is_some_and(|net| net.bridged && southbound_of(net, seen) == Some(port))
        });
        if !stays && let Some(ports) = self.graph.device_mut(&master).and_then(Device::ports_mut) {
            ports.remove(&port);
        }
    }
}

/// What a network asks of IPv6, each as the problem that there is none.
pub fn no_ipv6(network: &NetworkName, net: &NetworkConfig) -> Vec<Problem> {
    let problem = |(key, value)| Problem::NoIpv6 { network: network.clone(), key, value };
    net.spelled_ipv6().into_iter().map(problem).collect()
}

/// What every bridge of ours is told, without and with the spanning tree protocol. The original
/// always writes DELAY=0; with the protocol on, the kernel makes two seconds of it
/// (BR_MIN_FORWARD_DELAY).
static BASE_OPTIONS: LazyLock<[BridgeOptions; 2]> = LazyLock::new(|| {
    [(0, 0), (1, 200)].map(|(stp, delay)| {
        let mut options = BridgeOptions::default();
        options.set("stp_state", stp);
        options.set("forward_delay", delay);
        options
    })
});
