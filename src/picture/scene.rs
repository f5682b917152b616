//! Devices and networks become boxes and wires, without places yet: all three kinds of pictures
//! begin with the same scene.
//!
//! Wires lead upwards, from what carries to what is carried. What a network or bond wants and does
//! not have is in the scene too, marked as missing. Where boxes go is decided in `layout`.

use std::collections::{HashMap, HashSet};

use crate::show::topology::{Agreement, Bond, Kind, Light, Link, Network, Topology};

use super::boxes::{absent, cables, crowd, device, group, single, told};
use super::fold;

/// Boxes in the order of their names within each layer, and wires between them.
#[derive(Debug, Default)]
pub(super) struct Scene {
    pub(super) nodes: Vec<Node>,
    pub(super) wires: Vec<Wire>,
    /// What one is told of the host as a whole: a title and short remarks.
    pub(super) title: String,
    pub(super) remarks: Vec<String>,
}

/// A box.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) name: String,
    pub(super) layer: Layer,
    pub(super) standing: Standing,
    pub(super) light: Light,
    /// What is worth a line in the box.
    pub(super) lines: Vec<String>,
    /// What one may want to know when looking closer.
    pub(super) details: Vec<String>,
}

/// From the ground up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Layer {
    Nic,
    Bond,
    Vlan,
    Bridge,
    Network,
    Ports,
}

/// Whose it is, and how well it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Standing {
    Ours,
    Drifted,
    Missing,
    Foreign,
}

/// Between the places of two boxes in `Scene::nodes`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wire {
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) state: WireState,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum WireState {
    /// Wanted, and not there.
    Missing,
    Foreign,
    /// A slave that waits for the active one to fail.
    Standby,
    Laid,
}

impl Layer {
    pub(super) const ALL: [Layer; 6] =
        [Layer::Nic, Layer::Bond, Layer::Vlan, Layer::Bridge, Layer::Network, Layer::Ports];

    pub(super) fn word(self) -> &'static str {
        match self {
            Layer::Nic => "nic",
            Layer::Bond => "bond",
            Layer::Vlan => "vlan",
            Layer::Bridge => "bridge",
            Layer::Network => "network",
            Layer::Ports => "ports",
        }
    }
}

impl Standing {
    /// As classes of styles.
    pub(super) fn word(self) -> &'static str {
        match self {
            Standing::Ours => "ours",
            Standing::Drifted => "drifted",
            Standing::Missing => "missing",
            Standing::Foreign => "foreign",
        }
    }

    /// What the box says of it, for eyes that do not tell colours.
    pub(super) fn mark(self) -> Option<&'static str> {
        match self {
            Standing::Drifted => Some("! drifted"),
            Standing::Missing => Some("! missing"),
            Standing::Ours | Standing::Foreign => None,
        }
    }

    pub(super) fn of(agreement: Agreement) -> Standing {
        match agreement {
            Agreement::Agrees => Standing::Ours,
            Agreement::Drifted => Standing::Drifted,
            Agreement::Missing => Standing::Missing,
        }
    }
}

impl Scene {
    pub(super) fn of(host: &Topology) -> Scene {
        let mut builder = Builder {
            host,
            scene: Scene::default(),
            places: HashMap::new(),
            wired: HashSet::new(),
            carried: HashSet::new(),
        };
        let networks = fold::networks(host);
        let boxes: Vec<usize> = networks.iter().map(|networks| builder.networks(networks)).collect();
        builder.links();
        builder.missing();
        builder.wire_links();
        for (networks, &node) in networks.iter().zip(&boxes) {
            networks.iter().for_each(|network| builder.wire_network(network, node));
        }
        host.bonds.iter().for_each(|bond| builder.wire_bond(bond));
        builder.vm_ports();
        let (title, remarks) = told(host);
        Scene { title, remarks, ..builder.scene }
    }
}

struct Builder<'a> {
    host: &'a Topology,
    scene: Scene,
    /// The box in which a device is drawn.
    places: HashMap<&'a str, usize>,
    /// The ends of the wires: devices that are in one box have one wire together.
    wired: HashSet<(usize, usize)>,
    /// Boxes with a wire from below.
    carried: HashSet<usize>,
}

impl<'a> Builder<'a> {
    fn add(&mut self, node: Node) -> usize {
        self.scene.nodes.push(node);
        self.scene.nodes.len() - 1
    }

    /// A box for networks that are drawn as one, mostly a single one.
    fn networks(&mut self, networks: &[&'a Network]) -> usize {
        let node = match networks {
            [network] => single(network, self.host),
            _ => group(networks),
        };
        let place = self.add(node);
        for network in networks {
            let top = network.top.as_deref().unwrap_or(&network.name);
            if network.bridged {
                self.places.entry(top).or_insert(place);
            }
            if networks.len() > 1 {
                // Its VLAN is in the box too. The base is not: others stand on it.
                let host = self.host;
                let vlans = host.ports(top).filter(|port| port.ours && port.kind == Kind::Vlan);
                let wanted = network.wants.iter().filter(|want| want.kind == Kind::Vlan);
                let names = vlans.map(|vlan| vlan.name.as_str()).chain(wanted.map(|want| want.device.as_str()));
                let below = (!network.bridged && network.vlan.is_some()).then_some(top);
                for name in names.chain(below).filter(|name| Some(*name) != network.base.as_deref()) {
                    self.places.entry(name).or_insert(place);
                }
            }
        }
        place
    }

    /// Devices that are in no box yet.
    fn links(&mut self) {
        let host = self.host;
        let told: HashSet<&str> = host
            .networks
            .iter()
            .filter(|network| !network.bridged)
            .filter_map(|network| network.top.as_deref())
            .collect();
        let open = |link: &&Link| host.is_shown(link) && !self.places.contains_key(link.name.as_str());
        let left: Vec<&Link> = host.links.iter().filter(open).collect();
        for links in fold::links(host, &left) {
            let node = match links[..] {
                [link] => device(link, host.bond(&link.name), told.contains(link.name.as_str())),
                _ => crowd(&links),
            };
            let place = self.add(node);
            self.places.extend(links.iter().map(|link| (link.name.as_str(), place)));
        }
    }

    /// Devices that are wanted and not there.
    fn missing(&mut self) {
        let host = self.host;
        let mut wanted: Vec<(&str, Kind)> = host.bonds.iter().map(|bond| (bond.name.as_str(), Kind::Bond)).collect();
        for network in &host.networks {
            wanted.extend(network.wants.iter().map(|want| (want.device.as_str(), want.kind.clone())));
        }
        // Devices of which nothing is known but that something is to stand on them come last.
        for network in &host.networks {
            let below = network.wants.iter().flat_map(|want| &want.below).chain(&network.base);
            wanted.extend(below.map(|name| (name.as_str(), Kind::Nic)));
            let top = network.top.as_ref().filter(|_| !network.bridged);
            wanted.extend(top.map(|top| (top.as_str(), if network.vlan.is_some() { Kind::Vlan } else { Kind::Nic })));
        }
        wanted.extend(host.bonds.iter().flat_map(|bond| &bond.slaves).map(|slave| (slave.as_str(), Kind::Nic)));
        for (name, kind) in wanted {
            if !self.places.contains_key(name) {
                // A device that is there and out of sight is drawn after all: somebody wants it.
                let node = match host.link(name) {
                    Some(link) => device(link, host.bond(name), false),
                    None => absent(name, &kind, host.bond(name)),
                };
                let place = self.add(node);
                self.places.insert(name, place);
            }
        }
    }

    fn wire(&mut self, from: Option<usize>, to: Option<usize>, state: WireState) {
        let (Some(from), Some(to)) = (from, to) else { return };
        if from == to {
            return;
        }
        self.carried.insert(to);
        if self.wired.insert((from, to)) {
            self.scene.wires.push(Wire { from, to, state });
        }
    }

    fn place(&self, name: &str) -> Option<usize> {
        self.places.get(name).copied()
    }

    /// What the kernel has wired.
    fn wire_links(&mut self) {
        let host = self.host;
        for link in host.links.iter().filter(|link| !host.is_vm_port(link)) {
            let here = self.place(&link.name);
            let foreign = if link.ours { WireState::Laid } else { WireState::Foreign };
            if let Some(base) = &link.base {
                self.wire(self.place(base), here, foreign);
            }
            if let Some(master) = link.master.as_deref() {
                let active = host.link(master).and_then(|master| master.active.as_deref());
                let standby = active.is_some_and(|active| active != link.name);
                let state = if standby && link.ours { WireState::Standby } else { foreign };
                self.wire(here, self.place(master), state);
            }
        }
    }

    /// What a network wants, and what carries it.
    fn wire_network(&mut self, network: &'a Network, node: usize) {
        for want in &network.wants {
            let to = self.place(&want.device);
            for below in &want.below {
                self.wire_wanted(self.place(below), to, network.agreement);
            }
        }
        match &network.top {
            // A bridgeless network is nothing but its device.
            Some(top) if !network.bridged => {
                let there = network.agreement != Agreement::Missing && self.host.link(top).is_some();
                self.wire(self.place(top), Some(node), if there { WireState::Laid } else { WireState::Missing });
            }
            // Where nothing says what is between, the wire goes to the bottom.
            _ if network.wants.is_empty() && !self.carried.contains(&node) => {
                let base = network.base.as_deref().and_then(|base| self.place(base));
                self.wire_wanted(base, Some(node), network.agreement);
            }
            _ => {}
        }
    }

    fn wire_bond(&mut self, bond: &Bond) {
        for slave in &bond.slaves {
            self.wire_wanted(self.place(slave), self.place(&bond.name), bond.agreement);
        }
    }

    /// A wire that the kernel did not tell of is there only if all was found as it should be; one
    /// that it did tell of stays as it is.
    fn wire_wanted(&mut self, from: Option<usize>, to: Option<usize>, agreement: Agreement) {
        let (Some(from), Some(to)) = (from, to) else { return };
        let absent = [from, to].iter().any(|&end| self.scene.nodes[end].standing == Standing::Missing);
        let there = agreement == Agreement::Agrees && !absent;
        self.wire(Some(from), Some(to), if there { WireState::Laid } else { WireState::Missing });
    }

    /// One box for all VM ports of a bridge, or of bridges that are drawn as one.
    fn vm_ports(&mut self) {
        let host = self.host;
        let mut ports: Vec<(usize, Vec<&Link>)> = Vec::new();
        let mut known = HashMap::new();
        for link in host.links.iter().filter(|link| host.is_vm_port(link)) {
            let Some(bridge) = link.master.as_deref().and_then(|master| self.place(master)) else { continue };
            let at = *known.entry(bridge).or_insert_with(|| {
                ports.push((bridge, Vec::new()));
                ports.len() - 1
            });
            ports[at].1.push(link);
        }
        for (bridge, links) in ports {
            let (standing, state) = match self.scene.nodes[bridge].standing {
                Standing::Foreign => (Standing::Foreign, WireState::Foreign),
                _ => (Standing::Ours, WireState::Laid),
            };
            let place = self.add(cables(&links, standing));
            self.wire(Some(bridge), Some(place), state);
        }
    }
}
