//! What can be judged is judged together, as one request; what the rules refuse is left out with
//! what they say of it, and the rest is judged without it.
//!
//! Restoring tries each part by itself when all together fail. Here the problems name those they
//! concern, so that one strange device among thousands of networks costs one more round.

use std::collections::{BTreeMap, BTreeSet};

use vdsm_model::config::{Base, NetConfig, NetworkConfig, Policy};
use vdsm_model::device::{Device, NetDevice};
use vdsm_model::graph::{Desired, Graph, Stack, no_ipv6};
use vdsm_model::ip::{MAIN_TABLE, Place, Route};
use vdsm_model::name::{DeviceName, NetworkName};
use vdsm_model::netinfo::{NetInfo, SeenKind};
use vdsm_model::plan::{Part, Plan, Step, deviations};
use vdsm_model::problem::{Problem, Problems, Subject, THE_REQUEST};
use vdsm_model::request::{BondRequest, Options, Request};

use super::owners::{Entity, Owners};
use super::{Difference, Held};

/// What can be judged, and what cannot.
pub(super) struct Judged<'a> {
    /// All that could be judged.
    pub(super) request: Request,
    /// The host as it is, as far as the request is concerned.
    prior: Graph,
    /// As it is to be.
    pub(super) wished: Graph,
    /// From the one to the other.
    pub(super) plan: Plan,
    /// What the rules say of the rest.
    pub(super) refused: BTreeMap<Entity<'a>, BTreeSet<String>>,
    /// What of the rest cannot be had because strangers hold these devices.
    pub(super) held: Held,
    /// The last step that each device owes something to.
    steps: BTreeMap<(Option<DeviceName>, Layer), usize>,
    /// The master that each port is to have.
    masters: BTreeMap<DeviceName, DeviceName>,
}

/// The kinds of steps that a device, or the host, may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Layer {
    Device,
    Addresses,
    Resolver,
}

/// Judges the entities of `chosen`, a part of what is running, as far as they are in `possible`.
pub(super) fn judge<'a>(
    running: &NetConfig,
    chosen: &'a NetConfig,
    possible: NetConfig,
    seen: &NetInfo,
    policy: &Policy,
) -> Judged<'a> {
    let mut trial = Trial {
        chosen,
        request: asking_for(possible),
        owners: Owners::new(chosen, seen, |bond, config| {
            config.nics.iter().copied().chain(seen.ports_of(bond).map(|l| l.name)).collect()
        }),
        refused: BTreeMap::new(),
        held: Held::default(),
    };
    loop {
        match Desired::build(running, &trial.request, seen, policy) {
            Ok(desired) if trial.without_impossible(&desired) => {}
            Ok(desired) => return Judged::of(trial, desired.prior, desired.graph),
            // An empty request has no problems; if it has, the configuration is not to blame.
            Err(_) if trial.is_empty() => {
                return Judged::of(trial, Graph::default(), Graph::default());
            }
            Err(problems) => trial.leave_out(&problems, seen),
        }
    }
}

/// The request for all of a configuration.
fn asking_for(config: NetConfig) -> Request {
    Request {
        networks: config.networks.iter().map(|(name, net)| (name.clone(), Some(net.clone()))).collect(),
        bonds: config.bonds.iter().map(|(name, bond)| (*name, Some(BondRequest::from(bond)))).collect(),
        options: Options { connectivity_check: false, ..Options::default() },
        ..Request::default()
    }
}

/// A request that loses what cannot be judged.
struct Trial<'a> {
    chosen: &'a NetConfig,
    request: Request,
    owners: Owners<'a>,
    refused: BTreeMap<Entity<'a>, BTreeSet<String>>,
    held: Held,
}

impl<'a> Trial<'a> {
    fn is_empty(&self) -> bool {
        self.request.networks.is_empty() && self.request.bonds.is_empty()
    }

    fn size(&self) -> usize {
        self.request.networks.len() + self.request.bonds.len()
    }

    /// Takes those out that the problems concern, one at least.
    fn leave_out(&mut self, problems: &Problems, seen: &NetInfo) {
        let before = self.size();
        let mut blamed = BTreeSet::new();
        for problem in problems.all() {
            let parties = self.parties(problem);
            for party in &parties {
                self.refused.entry(*party).or_default().insert(words(problem, seen));
                if let Some((nic, _)) = held(problem) {
                    self.held.devices.insert(nic);
                    self.held.whose.add(*party);
                }
            }
            blamed.extend(parties);
        }
        blamed.iter().for_each(|entity| self.drop(*entity));
        if self.size() < before {
            return;
        }
        // A bond that is left out already cannot be had by those upon it either.
        self.drop_upon(&blamed);
        if self.size() < before {
            return;
        }
        // Nobody is named: all are concerned.
        for entity in entities(self.chosen) {
            self.refused.entry(entity).or_default().extend(problems.all().iter().map(Problem::to_string));
        }
        self.request = Request { options: self.request.options.clone(), ..Request::default() };
    }

    /// A bond that is left out may come back in with the networks upon it, as it ran, and with nics
    /// that are missing or hidden: nobody can make those. Whether such networks were left out.
    fn without_impossible(&mut self, desired: &Desired) -> bool {
        let nics = desired.graph.devices().filter(|device| matches!(device, Device::Nic(_))).map(NetDevice::name);
        let impossible = nics.filter(|nic| desired.prior.device(nic).is_none());
        let blamed = impossible.flat_map(|nic| self.owners.of(nic)).copied().collect();
        let before = self.size();
        self.drop_upon(&blamed);
        self.size() < before
    }

    /// Takes out the networks upon these bonds.
    fn drop_upon(&mut self, bonds: &BTreeSet<Entity<'a>>) {
        let upon = |base: Option<Base>| base.is_some_and(|b| bonds.contains(&Entity::Bond(b.device())));
        self.request.networks.retain(|_, net| !net.as_ref().is_some_and(|net| upon(net.base)));
    }

    fn drop(&mut self, entity: Entity<'a>) {
        match entity {
            Entity::Bond(name) => drop(self.request.bonds.remove(&name)),
            Entity::Network(name) => drop(self.request.networks.remove(name)),
        }
    }

    /// Those of the chosen whom a problem concerns.
    fn parties(&self, problem: &Problem) -> Vec<Entity<'a>> {
        let network =
            |name: &NetworkName| self.chosen.networks.get_key_value(name).map(|(name, _)| Entity::Network(name));
        match problem {
            Problem::Value { of, .. }
            | Problem::Missing { of, .. }
            | Problem::Both { of, .. }
            | Problem::UnknownNic { of, .. }
            | Problem::CrowdedRoute { of, .. }
            | Problem::NotSupported { of, .. } => self.subject(of),
            Problem::SharedInterface { networks, .. }
            | Problem::SharedAddress { networks, .. }
            | Problem::ManyDefaultRoutes { networks } => networks.iter().filter_map(network).collect(),
            Problem::BridgeOption { network: name, .. }
            | Problem::UnknownBond { network: name, .. }
            | Problem::NoDevices { network: name }
            | Problem::VlanName { network: name, .. }
            | Problem::NameTaken { network: name, .. }
            | Problem::EthtoolOption { network: name, .. }
            | Problem::ForeignQdisc { network: name, .. }
            | Problem::ForeignResolver { network: name, .. }
            | Problem::NoIpv6 { network: name, .. }
            | Problem::BridgeInUse { network: name, .. } => network(name).into_iter().collect(),
            Problem::BondOption { bond: device, .. }
            | Problem::BondNameTaken { bond: device, .. }
            | Problem::BondInUse { bond: device, .. }
            | Problem::UsedNic { nic: device, .. }
            | Problem::VlanInUse { vlan: device, .. } => self.owners.of(*device).to_vec(),
            // Of names and removals: there are none here.
            _ => Vec::new(),
        }
    }

    fn subject(&self, of: &Subject) -> Vec<Entity<'a>> {
        match of {
            Subject::Network(name) => {
                let known = NetworkName::try_from(name.as_str()).ok();
                let known = known.and_then(|name| self.chosen.networks.get_key_value(&name));
                known.map(|(name, _)| Entity::Network(name)).into_iter().collect()
            }
            Subject::Bond(name) => {
                DeviceName::try_from(name.as_str()).map(|bond| self.owners.of(bond).to_vec()).unwrap_or_default()
            }
            Subject::Options | Subject::Request => Vec::new(),
        }
    }
}

/// What a rule says, for people who made no request.
fn words(problem: &Problem, seen: &NetInfo) -> String {
    match problem {
        Problem::UnknownNic { nic, .. } => match seen.link(nic).map(|link| &link.kind) {
            Some(SeenKind::Nic) => format!("{nic} is hidden from networks"),
            Some(other) => format!("{nic} is no nic that networks may use ({})", other.word()),
            None => format!("{nic} is missing"),
        },
        Problem::NameTaken { device: name, kind, .. } | Problem::BondNameTaken { bond: name, kind } => {
            format!("{name} is another device ({kind}); nothing here is mended until the name is free")
        }
        Problem::VlanInUse { vlan, users } => {
            let users = users.iter().map(DeviceName::to_string).collect::<Vec<_>>().join(", ");
            format!("{vlan} is another VLAN and carries {users}; nothing here is mended until it does not")
        }
        _ => match held(problem) {
            Some((nic, holder)) => format!("{nic} is {holder}; nothing here is mended until it is free"),
            None => problem.to_string(),
        },
    }
}

/// The device that a stranger holds, and what it is to him.
fn held(problem: &Problem) -> Option<(DeviceName, &str)> {
    match problem {
        Problem::UsedNic { nic, users } => match &users[..] {
            [holder, request] if request == THE_REQUEST => Some((*nic, holder)),
            _ => None,
        },
        _ => None,
    }
}

fn entities(config: &NetConfig) -> impl Iterator<Item = Entity<'_>> {
    config.bonds.keys().map(|bond| Entity::Bond(*bond)).chain(config.networks.keys().map(Entity::Network))
}

impl<'a> Judged<'a> {
    fn of(trial: Trial<'a>, prior: Graph, wished: Graph) -> Judged<'a> {
        let Trial { request, refused, held, .. } = trial;
        let plan = Plan::between(&prior, &wished);
        let layer = |step: &Step| match step {
            Step::Ip { .. } => Layer::Addresses,
            Step::Resolver { .. } => Layer::Resolver,
            _ => Layer::Device,
        };
        // Who takes a default route over mends the one who had it, too.
        let losers = |step: &Step| match step {
            Step::Ip { replaces, .. } => replaces.iter().map(|(device, _)| Some(*device)).collect(),
            _ => Vec::new(),
        };
        let steps = plan.steps().iter().enumerate();
        let steps = steps.flat_map(|(at, step)| {
            let devices = losers(step).into_iter().chain([step.device()]);
            devices.map(move |device| ((device, layer(step)), at)).collect::<Vec<_>>()
        });
        let steps = steps.collect();
        let masters = if plan.is_empty() { BTreeMap::new() } else { wished.masters() };
        Judged { request, prior, wished, plan, refused, held, steps, masters }
    }

    /// The step after which a part of a device is as wished.
    pub(super) fn mends(&self, device: DeviceName, part: Part) -> Option<usize> {
        let layer = if part == Part::Addresses { Layer::Addresses } else { Layer::Device };
        let step = |device| self.steps.get(&(Some(device), layer)).copied();
        // A bond brings its slaves along.
        step(device).or_else(|| step(*self.masters.get(&device)?))
    }

    /// How the host is not as wished, and whom it concerns.
    pub(super) fn differences(
        &self,
        owners: &Owners<'a>,
        chosen: &'a NetConfig,
        seen: &NetInfo,
    ) -> Vec<(Vec<Entity<'a>>, Difference)> {
        if self.plan.is_empty() {
            return Vec::new();
        }
        let difference =
            |device, part, text| Difference { device: Some(device), text, mends: self.mends(device, part) };
        let mut all = Vec::new();
        for d in deviations(&self.prior, &self.wished) {
            all.push(match d.device {
                Some(device) => (owners.of_part(device, d.part), difference(device, d.part, d.text)),
                None => (self.owner_of_the_host(chosen), self.of_the_host(d.text)),
            });
        }
        for (port, master) in self.withheld() {
            // The master tells it of itself.
            let theirs = owners.of(master);
            let losers = owners.of(port).iter().filter(|entity| !theirs.contains(entity)).copied().collect();
            all.push((losers, difference(master, Part::Device, format!("{port} is held by {master}"))));
        }
        for (network, device, route) in self.rivals(chosen, seen) {
            let whose = if route.table == MAIN_TABLE { "default route" } else { "source routing" };
            let text = format!("{} is in the way of its {whose}", route.on(device));
            all.push((vec![Entity::Network(network)], difference(device, Part::Addresses, text)));
        }
        all
    }

    /// What was left out to judge the rest, see [`restore::possible`](crate::restore::possible).
    pub(super) fn tell_of_what_was_left_out(&mut self, chosen: &'a NetConfig, seen: &NetInfo) {
        let mut told: Vec<(&NetworkName, Problem)> = Vec::new();
        if let Some(why) = seen.resolver.closed() {
            let bringing =
                |name: &&NetworkName| chosen.networks.get(name).is_some_and(NetworkConfig::brings_nameservers);
            let closed =
                |network: &NetworkName| Problem::ForeignResolver { network: network.clone(), why: why.to_owned() };
            told.extend(chosen.networks.default_routes().filter(bringing).map(|network| (network, closed(network))));
        }
        if !seen.has_ipv6 {
            let wanting = |(network, net)| no_ipv6(network, net).into_iter().map(move |problem| (network, problem));
            told.extend(chosen.networks.iter().flat_map(wanting));
        }
        for (network, problem) in told {
            self.refused.entry(Entity::Network(network)).or_default().insert(problem.to_string());
        }
    }

    /// Who has the default route, and with it the name servers.
    fn owner_of_the_host(&self, chosen: &'a NetConfig) -> Vec<Entity<'a>> {
        let owner = chosen.default_route().filter(|name| self.request.networks.contains_key(*name));
        owner.map(Entity::Network).into_iter().collect()
    }

    fn of_the_host(&self, text: String) -> Difference {
        Difference { device: None, text, mends: self.steps.get(&(None, Layer::Resolver)).copied() }
    }

    /// Ports that a master has and is not to have.
    fn withheld(&self) -> Vec<(DeviceName, DeviceName)> {
        let mut pairs = Vec::new();
        for master in self.prior.devices() {
            let name = master.name();
            let (Some(ports), Some(wished)) = (master.ports(), self.wished.device(&name).and_then(|d| d.ports()))
            else {
                continue;
            };
            pairs.extend(ports.difference(wished).map(|port| (*port, name)));
        }
        pairs
    }

    /// Routes that others have and a network's own do not suffer.
    fn rivals(&self, chosen: &'a NetConfig, seen: &NetInfo) -> Vec<(&'a NetworkName, DeviceName, Route)> {
        let mut going: BTreeMap<Place, Vec<(DeviceName, Route)>> = BTreeMap::new();
        for (device, ip) in self.prior.ips() {
            let stays = |route: &Route| self.wished.ip(device).is_some_and(|left| left.routes.contains(route));
            for route in ip.routes.iter().filter(|route| route.is_exclusive() && !stays(route)) {
                going.entry(route.place()).or_default().push((*device, *route));
            }
        }
        if going.is_empty() {
            return Vec::new();
        }
        let mut rivals = Vec::new();
        for (top, ip) in self.wished.ips() {
            let theirs = ip.routes.iter().filter_map(|ours| going.get(&ours.place())).flatten();
            let theirs: Vec<_> = theirs.filter(|(device, _)| device != top).collect();
            if theirs.is_empty() {
                continue;
            }
            let owners = Stack::topped_by(*top, &chosen.networks, seen).map(|(name, _)| name);
            for owner in owners.filter(|name| self.request.networks.contains_key(*name)) {
                rivals.extend(theirs.iter().map(|(device, route)| (owner, *device, *route)));
            }
        }
        rivals
    }
}
