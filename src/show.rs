//! What a person is told of the host's networks: `vdsm-tool show`, from the answer of
//! `Host.getTopology`.
//!
//! Networks are drawn above what they stand on, and many on one bond share its drawing. Nothing
//! here asks the host or knows where the answer came from: what is missing in it is passed over.
//! Pictures with boxes and lines are in `picture`.

pub(crate) mod json; // words and numbers
pub(crate) mod natural; // net2 before net10
mod page; // lines and colours
pub(crate) mod topology; // the answer becomes types
pub(crate) mod words; // 10G, no carrier, default via

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use page::{Page, Paint, Part};
use topology::{Agreement, Kind, Light, Link, Network, Topology};
use words::a_few;

/// The networks of a host with all they stand on, then our devices that are in no network, then
/// those of others.
///
/// `topology` is the answer of `Host.getTopology`; any JSON will do, and what is not understood is
/// left out. In natural order: `net2` comes before `net10`. Ends with a newline. `colour` adds the
/// escape sequences of a terminal and changes nothing else.
pub fn tree(topology: &Value, colour: bool) -> String {
    let topology = Topology::read(topology);
    let mut tree = Tree { host: &topology, page: Page::default(), used: HashSet::new() };
    for group in groups(&topology) {
        tree.draw_group(&group);
    }
    if tree.page.is_empty() {
        tree.page.heading("no networks", Paint::Plain);
    }
    tree.draw_rest("in no network", |link| link.ours);
    tree.draw_rest("not ours", |link| !link.ours);
    tree.draw_remarks();
    tree.page.print(colour)
}

/// More VM ports of a bridge than these are counted, not named.
const NAMED_PORTS: usize = 4;

struct Tree<'a> {
    host: &'a Topology,
    page: Page,
    /// The devices that are told already.
    used: HashSet<&'a str>,
}

/// The networks on one nic or bond; on nothing, each is a group of its own.
struct Group<'a> {
    base: Option<&'a str>,
    networks: Vec<&'a Network>,
}

/// By the name of their first network.
fn groups(host: &Topology) -> Vec<Group<'_>> {
    let mut groups: Vec<Group> = Vec::new();
    let mut places = HashMap::new();
    for network in &host.networks {
        let base = network.base.as_deref();
        let known = base.and_then(|base| places.get(base).copied());
        let place = known.unwrap_or(groups.len());
        if known.is_none() {
            groups.push(Group { base, networks: Vec::new() });
            places.extend(base.map(|base| (base, place)));
        }
        groups[place].networks.push(network);
    }
    groups
}

/// Whether the network upon a device has told its addresses already.
#[derive(Clone, Copy, PartialEq)]
enum Addresses {
    Told,
    ToTell,
}

impl<'a> Tree<'a> {
    fn draw_group(&mut self, group: &Group<'a>) {
        self.page.blank();
        for (at, network) in group.networks.iter().enumerate() {
            let [corner, below] = match (group.base, at) {
                (None, _) => ["── ", "   "],
                (Some(_), 0) => ["┌─ ", "│  "],
                (Some(_), _) => ["├─ ", "│  "],
            };
            let parts = self.network(network);
            self.page.line(corner, Part::new(network.name.as_str(), Paint::Strong), parts);
            self.page.remarks(below, &network.differences, paint(network.agreement));
        }
        if let Some(base) = group.base {
            // What a bridgeless network has on its base is told with the network.
            let told = group.networks.iter().any(|network| network.top.as_deref() == Some(base));
            self.draw_device(["└─ ", "   "], base, if told { Addresses::Told } else { Addresses::ToTell });
        }
    }

    /// What a network is, in a line.
    fn network(&mut self, network: &'a Network) -> Vec<Part> {
        let top = network.top.as_deref().unwrap_or(&network.name);
        let device = self.host.link(top);
        self.used.insert(top);
        self.used.extend(network.wants.iter().map(|want| want.device.as_str()));
        let mut parts = vec![mark(network.agreement)];
        if network.bridged {
            parts.push(Part::plain(if top == network.name { "bridge".to_owned() } else { format!("bridge {top}") }));
        }
        parts.extend(self.tag(network));
        match device {
            Some(device) => parts.push(light(device.light)),
            None if network.agreement == Agreement::Missing || network.top.is_none() => {}
            None => parts.push(Part::new(format!("{top} is missing"), Paint::Bad)),
        }
        parts.extend(mtu(device.and_then(|device| device.mtu).or(network.mtu)));
        parts.extend(network.layer3(device).words().into_iter().map(Part::plain));
        if network.bridged {
            parts.extend(self.vm_ports(top));
        }
        if network.base.is_none() {
            parts.push(Part::plain("no nic"));
        }
        parts
    }

    /// `vlan 7 (fcoe7)`: the device is named where its name is not the usual one.
    fn tag(&mut self, network: &'a Network) -> Option<Part> {
        let tag = network.vlan?;
        let wanted = network.wants.iter().find(|want| want.kind == Kind::Vlan).map(|want| want.device.as_str());
        let bridge = network.top.as_deref().filter(|_| network.bridged);
        let port = || self.host.ports(bridge?).find(|port| port.kind == Kind::Vlan).map(|port| port.name.as_str());
        let bridgeless = network.top.as_deref().filter(|_| !network.bridged);
        let name = wanted.or(bridgeless).or_else(port);
        let device = name.and_then(|name| self.host.link(name));
        self.used.extend(name);
        let usual = format!("{}.{tag}", network.base.as_deref().unwrap_or_default());
        let unusual = name.filter(|name| *name != usual).map(|name| format!(" ({name})")).unwrap_or_default();
        let state = match (device, device.and_then(|device| self.host.stranger_above(device))) {
            (_, Some(master)) => format!(" held by {master}"),
            (None, _) if name.is_some() && network.agreement == Agreement::Drifted => " missing".to_owned(),
            (Some(device), _) if bridge.is_some() && device.light.is_dark() => format!(" {}", device.light.word()),
            (Some(device), _) => device.odd_port_state().map(|state| format!(" {state}")).unwrap_or_default(),
            (None, _) => String::new(),
        };
        let paint = if state.is_empty() { Paint::Plain } else { Paint::Warning };
        Some(Part::new(format!("vlan {tag}{unusual}{state}"), paint))
    }

    /// A nic, a bond with its slaves below, or whatever else there is; the second lead is that of
    /// the slaves.
    fn draw_device(&mut self, lead: [&str; 2], name: &'a str, layer3: Addresses) {
        self.used.insert(name);
        let host = self.host;
        let (bond, device) = (host.bond(name), host.link(name));
        let agreement = bond.map_or(Agreement::Agrees, |bond| bond.agreement);
        let mut parts = vec![mark(if device.is_none() { Agreement::Missing } else { agreement })];
        parts.extend(device.and_then(|device| held(host, device)));
        match device {
            Some(device) => parts.extend(self.device(device, layer3)),
            None => parts.extend(bond.map(|_| Part::plain("bond"))),
        }
        self.page.line(lead[0], Part::plain(name), parts);
        let wanted = bond.map_or(&[][..], |bond| &bond.slaves);
        let mut slaves: Vec<&str> = wanted.iter().map(String::as_str).collect();
        if device.is_some_and(|device| matches!(device.kind, Kind::Bond | Kind::Team)) {
            slaves.extend(host.ports(name).map(|port| port.name.as_str()));
        }
        natural::sort(&mut slaves, |slave| slave);
        slaves.dedup();
        if let Some(bond) = bond {
            let rail = if slaves.is_empty() { "" } else { "│" };
            self.page.remarks(&format!("{}{rail}", lead[1]), &bond.differences, paint(agreement));
        }
        for (at, slave) in slaves.iter().enumerate() {
            let corner = if at + 1 == slaves.len() { "└─ " } else { "├─ " };
            self.used.insert(slave);
            let wanted = bond.is_none() || wanted.iter().any(|it| it == slave);
            let parts = self.slave(name, slave, wanted);
            self.page.line(&format!("{}{corner}", lead[1]), Part::plain(*slave), parts);
        }
    }

    fn slave(&self, bond: &str, name: &str, wanted: bool) -> Vec<Part> {
        let Some(link) = self.host.link(name) else { return vec![mark(Agreement::Missing)] };
        let odd = match (link.master.as_deref() == Some(bond), wanted) {
            (false, _) => "! not a slave",
            (true, false) => "! not wanted",
            (true, true) => "",
        };
        let odd = held(self.host, link).unwrap_or_else(|| Part::new(odd, Paint::Warning));
        let mut parts = vec![odd, kind(link), light(link.light)];
        parts.extend(link.speed_words().map(Part::plain));
        parts.push(Part::plain(link.mac.as_str()));
        let active = self.host.link(bond).is_some_and(|bond| bond.active.as_deref() == Some(name));
        parts.push(Part::plain(if active { "active" } else { "" }));
        parts.extend(link.odd_port_state().map(|state| Part::new(state, Paint::Warning)));
        parts
    }

    /// What a device is, in a line.
    fn device(&self, link: &Link, layer3: Addresses) -> Vec<Part> {
        let mut parts = vec![kind(link), light(link.light)];
        parts.extend(link.speed_words().map(Part::plain));
        parts.extend(mtu(link.mtu));
        parts.push(Part::plain(link.mac.as_str()));
        parts.extend(link.partner.as_ref().map(|partner| Part::plain(format!("partner {partner}"))));
        parts.extend(link.odd_port_state().map(|state| Part::new(state, Paint::Warning)));
        if layer3 == Addresses::ToTell {
            parts.extend(link.layer3.words().into_iter().map(Part::plain));
        }
        parts
    }

    /// Devices in no network, of one owner: bridges first, as these are the likeliest to matter.
    fn draw_rest(&mut self, heading: &str, owner: fn(&Link) -> bool) {
        let host = self.host;
        let rank = |link: &Link| match link.kind {
            _ if link.nic => 3,
            Kind::Bridge => 0,
            Kind::Vlan => 1,
            Kind::Bond | Kind::Team => 2,
            Kind::Nic => 3,
            _ => 4,
        };
        let mut links: Vec<&Link> = host.links.iter().filter(|link| host.is_shown(link) && owner(link)).collect();
        links.sort_by_key(|link| rank(link));
        let above = std::mem::take(&mut self.page);
        // Bonds tell their slaves, and come before them.
        let missing = host.bonds.iter().filter(|bond| host.link(&bond.name).is_none()).map(|bond| bond.name.as_str());
        let missing: Vec<&str> = if heading == "not ours" { Vec::new() } else { missing.collect() };
        for name in links.iter().map(|link| link.name.as_str()).chain(missing) {
            if !self.used.contains(name) {
                self.draw_alone(name);
            }
        }
        let section = std::mem::replace(&mut self.page, above);
        self.page.section(heading, section);
    }

    fn draw_alone(&mut self, name: &'a str) {
        let host = self.host;
        match host.link(name) {
            Some(link) if !matches!(link.kind, Kind::Bond | Kind::Team) => {
                self.used.insert(name);
                let mut parts = self.device(link, Addresses::ToTell);
                parts.extend(link.master.as_ref().map(|master| Part::plain(format!("port of {master}"))));
                parts.extend(link.peer.as_ref().map(|peer| Part::plain(format!("peer {peer}"))));
                let ports = a_few(host.ports(name).map(|port| port.name.as_str()), NAMED_PORTS);
                parts.push(Part::plain(if ports.is_empty() { ports } else { format!("ports {ports}") }));
                let paint = if link.ours { Paint::Plain } else { Paint::Faint };
                self.page.line("   ", Part::new(name, paint), parts);
            }
            _ => self.draw_device(["   ", "   "], name, Addresses::ToTell),
        }
    }

    fn vm_ports(&self, bridge: &str) -> Option<Part> {
        let ports = a_few(self.host.vm_ports(bridge).map(|port| port.name.as_str()), NAMED_PORTS);
        (!ports.is_empty()).then(|| Part::plain(format!("VM ports {ports}")))
    }

    fn draw_remarks(&mut self) {
        let (page, host) = (&mut self.page, self.host);
        if host.unsaved || !host.nameservers.is_empty() {
            page.blank();
        }
        if !host.nameservers.is_empty() {
            page.heading(format!("name servers: {}", host.nameservers.join(", ")), Paint::Plain);
        }
        if host.unsaved {
            let text = "not saved: a reboot brings back the networks as they were last saved";
            page.heading(text, Paint::Warning);
        }
    }
}

fn paint(agreement: Agreement) -> Paint {
    match agreement {
        Agreement::Agrees => Paint::Plain,
        Agreement::Drifted => Paint::Warning,
        Agreement::Missing => Paint::Bad,
    }
}

fn mark(agreement: Agreement) -> Part {
    Part::new(agreement.mark(), paint(agreement))
}

/// A device of ours that is drawn below its network, and that a stranger's bridge or bond has.
fn held(host: &Topology, link: &Link) -> Option<Part> {
    let master = host.stranger_above(link)?;
    Some(Part::new(format!("! held by {master}, which is not ours"), Paint::Warning))
}

fn light(light: Light) -> Part {
    let paint = match light {
        Light::Up => Paint::Good,
        Light::Unknown => Paint::Plain,
        _ => Paint::Warning,
    };
    Part::new(light.word(), paint)
}

fn mtu(mtu: Option<u64>) -> Option<Part> {
    Some(Part::plain(format!("mtu {}", mtu?)))
}

/// `nic`, `bond 802.3ad`, `vlan 5 on eth0`. A nic is called one whatever drives it.
fn kind(link: &Link) -> Part {
    let word = if link.nic { "nic" } else { link.kind.word() };
    let detail = match (&link.mode, link.tag) {
        (Some(mode), _) => format!(" {mode}"),
        (None, Some(tag)) => format!(" {tag}"),
        (None, None) => String::new(),
    };
    let base = link.base.as_ref().map(|base| format!(" on {base}")).unwrap_or_default();
    Part::plain(format!("{word}{detail}{base}"))
}

#[cfg(test)]
pub(crate) mod any; // answers for property tests
#[cfg(test)]
mod tests;
