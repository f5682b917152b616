//! What a person is told of the host's networks: `vdsm-tool show`, from the JSON of `caps.rs`.
//!
//! Networks are drawn above what they stand on, and many on one bond share its drawing. Nothing
//! here asks the host or knows where the JSON came from: what is missing in it is passed over.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value};
use vdsm_model::bond_options::BondMode;

/// The networks of a host with all they stand on, then the devices that are in no network.
///
/// In natural order: `net2` comes before `net10`. Ends with a newline. `colour` adds the escape
/// sequences of a terminal and changes nothing else.
pub fn tree(caps: &Value, colour: bool) -> String {
    let host = Host { caps };
    let mut page = Page::default();
    let mut used = HashSet::new();
    for group in host.groups() {
        host.draw_group(&group, &mut page, &mut used);
    }
    if page.lines.is_empty() {
        page.heading("no networks");
    }
    host.draw_rest(&mut page, &mut used);
    let nameservers = texts(caps.get("nameservers"));
    let dirty = text(caps, "netConfigDirty") == "True";
    if dirty || !nameservers.is_empty() {
        page.blank();
    }
    if !nameservers.is_empty() {
        page.heading(&format!("name servers: {}", nameservers.join(", ")));
    }
    if dirty {
        page.heading("not saved: a reboot brings back the networks as they were last saved");
    }
    page.print(colour)
}

/// More ports of a bridge than these are counted, not named: a host may run hundreds of VMs.
const NAMED_PORTS: usize = 4;

struct Host<'a> {
    caps: &'a Value,
}

/// The networks on one nic or bond; on nothing, each is a group of its own.
struct Group<'a> {
    base: Option<&'a str>,
    networks: Vec<(&'a str, &'a Value)>,
}

/// Whether the network upon a device has told them already.
#[derive(Clone, Copy, PartialEq)]
enum Addresses {
    Told,
    ToTell,
}

impl<'a> Host<'a> {
    /// By the name of their first network.
    fn groups(&self) -> Vec<Group<'a>> {
        let mut groups: Vec<Group<'a>> = Vec::new();
        let mut places = HashMap::new();
        for (name, network) in self.sorted("networks") {
            let base = self.base(network);
            let known = base.and_then(|base| places.get(base).copied());
            let place = known.unwrap_or(groups.len());
            if known.is_none() {
                groups.push(Group { base, networks: Vec::new() });
                places.extend(base.map(|base| (base, place)));
            }
            groups[place].networks.push((name, network));
        }
        groups
    }

    fn draw_group(&self, group: &Group<'a>, page: &mut Page, used: &mut HashSet<&'a str>) {
        page.blank();
        for (at, (name, network)) in group.networks.iter().enumerate() {
            let corner = match (group.base, at) {
                (None, _) => "── ",
                (Some(_), 0) => "┌─ ",
                (Some(_), _) => "├─ ",
            };
            page.line(corner, name, Weight::Strong, &self.network(network));
            used.extend([text(network, "iface"), text(network, "southbound")]);
            used.extend(texts(network.get("ports")));
        }
        if let Some(base) = group.base {
            // What a bridgeless network has on its base is told with the network.
            let told = group.networks.iter().any(|(_, network)| text(network, "iface") == base);
            let addresses = if told { Addresses::Told } else { Addresses::ToTell };
            self.draw_device(["└─ ", "   "], base, addresses, page, used);
        }
    }

    /// A nic, or a bond with its slaves below; the second lead is that of the slaves.
    fn draw_device(
        &self,
        lead: [&str; 2],
        name: &'a str,
        layer3: Addresses,
        page: &mut Page,
        used: &mut HashSet<&'a str>,
    ) {
        let mut parts = Vec::new();
        used.insert(name);
        let bond = self.device("bondings", name);
        let (device, slaves) = match (bond, self.device("nics", name)) {
            (Some(bond), _) => {
                parts.push(format!("bond{}", mode(bond)));
                (bond, texts(bond.get("slaves")))
            }
            (None, Some(nic)) => {
                parts.push("nic".to_owned());
                (nic, Vec::new())
            }
            (None, None) => return page.line(lead[0], name, Weight::Plain, "not shown by the host"),
        };
        parts.extend(mtu(device));
        parts.push(mac(device).to_owned());
        parts.extend(options(device));
        if layer3 == Addresses::ToTell {
            parts.extend(addresses(device));
        }
        page.line(lead[0], name, Weight::Plain, &joined(parts));
        for (at, slave) in slaves.iter().enumerate() {
            used.insert(slave);
            let corner = if at + 1 == slaves.len() { "└─ " } else { "├─ " };
            let nic = self.device("nics", slave);
            let parts = [
                nic.map_or("", |_| "nic"),
                nic.map_or("", mac),
                if text(device, "active_slave") == *slave { "active" } else { "" },
            ];
            page.line(&format!("{}{corner}", lead[1]), slave, Weight::Plain, &joined(parts.map(str::to_owned)));
        }
    }

    /// Bridges, VLANs, bonds and nics without a network.
    fn draw_rest(&self, page: &mut Page, used: &mut HashSet<&'a str>) {
        let rest = |section| self.sorted(section).into_iter();
        let mut lines = Page::default();
        for (name, bridge) in rest("bridges").filter(|(name, _)| !used.contains(name)) {
            let parts = ["bridge".to_owned()]
                .into_iter()
                .chain(mtu(bridge))
                .chain(stp(bridge))
                .chain(addresses(bridge))
                .chain(ports(bridge, ""));
            lines.line("   ", name, Weight::Plain, &joined(parts));
        }
        for (name, vlan) in rest("vlans").filter(|(name, _)| !used.contains(name)) {
            let what = format!("vlan {} on {}", vlan.get("vlanid").unwrap_or(&Value::Null), text(vlan, "iface"));
            lines.line("   ", name, Weight::Plain, &joined([what].into_iter().chain(mtu(vlan)).chain(addresses(vlan))));
        }
        for (name, _) in rest("bondings").chain(rest("nics")) {
            if !used.contains(name) {
                self.draw_device(["   ", "   "], name, Addresses::ToTell, &mut lines, used);
            }
        }
        if !lines.lines.is_empty() {
            page.blank();
            page.heading("in no network");
            page.lines.append(&mut lines.lines);
        }
    }

    /// What a network is, in a line.
    fn network(&self, network: &Value) -> String {
        let southbound = text(network, "southbound");
        let mut parts = Vec::new();
        if network.get("bridged") == Some(&Value::Bool(true)) {
            parts.push("bridge".to_owned());
        }
        if let Some(tag) = network.get("vlanid").or_else(|| self.device("vlans", southbound)?.get("vlanid")) {
            let usual = format!("{}.{tag}", self.base(network).unwrap_or_default());
            let device = if southbound == usual { String::new() } else { format!(" ({southbound})") };
            parts.push(format!("vlan {tag}{device}"));
        }
        parts.extend(
            mtu(network).into_iter().chain(stp(network)).chain(addresses(network)).chain(ports(network, southbound)),
        );
        if southbound.is_empty() {
            parts.push("no nic".to_owned());
        }
        joined(parts)
    }

    /// The nic or bond at the bottom of a network.
    fn base(&self, network: &'a Value) -> Option<&'a str> {
        let southbound = text(network, "southbound");
        let base = self.device("vlans", southbound).map_or(southbound, |vlan| text(vlan, "iface"));
        (!base.is_empty()).then_some(base)
    }

    fn device(&self, section: &str, name: &str) -> Option<&'a Value> {
        self.caps.get(section)?.get(name)
    }

    fn sorted(&self, section: &str) -> Vec<(&'a str, &'a Value)> {
        let section = self.caps.get(section).and_then(Value::as_object);
        let mut all: Vec<_> =
            section.into_iter().flat_map(Map::iter).map(|(name, value)| (name.as_str(), value)).collect();
        all.sort_by_cached_key(|(name, _)| (natural(name), *name));
        all
    }
}

/// ` 802.3ad (4)`; nothing when the report has no mode.
fn mode(bond: &Value) -> String {
    let number = text(bond.get("opts").unwrap_or(&Value::Null), "mode");
    let mode = number.parse().ok().and_then(BondMode::from_number);
    mode.map(|mode| format!(" {} ({number})", mode.name())).unwrap_or_default()
}

fn options(bond: &Value) -> Option<String> {
    let opts = bond.get("opts")?.as_object()?;
    let others = opts.iter().filter(|(name, _)| *name != "mode");
    Some(others.map(|(name, value)| format!("{name}={}", value.as_str().unwrap_or("?"))).collect::<Vec<_>>().join(" "))
}

fn mtu(device: &Value) -> Option<String> {
    let mtu = text(device, "mtu");
    (!mtu.is_empty()).then(|| format!("mtu {mtu}"))
}

fn stp(bridge: &Value) -> Option<String> {
    (text(bridge, "stp") == "on").then(|| "stp".to_owned())
}

/// A slave's own address, which its bond hides.
fn mac(device: &Value) -> &str {
    Some(text(device, "permhwaddr")).filter(|own| !own.is_empty()).unwrap_or(text(device, "hwaddr"))
}

/// Where they come from, the addresses themselves, and the way out.
fn addresses(device: &Value) -> Vec<String> {
    let sources = [("dhcpv4", "dhcp"), ("dhcpv6", "dhcpv6"), ("ipv6autoconf", "autoconf")];
    let sources =
        sources.into_iter().filter(|(key, _)| device.get(key) == Some(&Value::Bool(true))).map(|(_, word)| word);
    let addresses = texts(device.get("ipv4addrs")).into_iter().chain(texts(device.get("ipv6addrs")));
    let word = if device.get("ipv4defaultroute") == Some(&Value::Bool(true)) { "default via" } else { "gateway" };
    let gateways = [(word, text(device, "gateway")), ("gateway", text(device, "ipv6gateway"))];
    let gateways = gateways.into_iter().filter(|(_, gateway)| !matches!(*gateway, "" | "::"));
    sources
        .chain(addresses)
        .map(str::to_owned)
        .chain(gateways.map(|(word, gateway)| format!("{word} {gateway}")))
        .collect()
}

/// The ports of a bridge but for the one that leads out.
fn ports(bridge: &Value, southbound: &str) -> Option<String> {
    let ports: Vec<_> = texts(bridge.get("ports")).into_iter().filter(|port| *port != southbound).collect();
    let named = ports[..ports.len().min(NAMED_PORTS)].join(" ");
    match ports.len().saturating_sub(NAMED_PORTS) {
        _ if ports.is_empty() => None,
        0 => Some(format!("ports {named}")),
        more => Some(format!("ports {named} and {more} more")),
    }
}

fn joined(parts: impl IntoIterator<Item = String>) -> String {
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", ")
}

fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn texts(list: Option<&Value>) -> Vec<&str> {
    list.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect()
}

/// A key to sort by in which digits count as a number, of any length: the words before each
/// number, with the number's digits and how many there are.
fn natural(name: &str) -> Vec<(&str, usize, &str)> {
    let (mut rest, mut key) = (name, Vec::new());
    while !rest.is_empty() {
        let (word, after) = rest.split_at(rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len()));
        let (digits, after) = after.split_at(after.find(|c: char| !c.is_ascii_digit()).unwrap_or(after.len()));
        let digits = digits.trim_start_matches('0');
        key.push((word, digits.len(), digits));
        rest = after;
    }
    key
}

/// Lines whose explanations are to begin in one column.
#[derive(Default)]
struct Page {
    lines: Vec<Line>,
}

struct Line {
    lead: String,
    name: String,
    weight: Weight,
    text: String,
}

#[derive(Clone, Copy, PartialEq)]
enum Weight {
    Strong,
    Plain,
    /// A line of its own, in no column.
    Heading,
}

impl Page {
    /// A longer name pushes its own explanation away, and nobody else's.
    const WIDEST: usize = 28;

    fn line(&mut self, lead: &str, name: &str, weight: Weight, text: &str) {
        self.lines.push(Line { lead: lead.to_owned(), name: name.to_owned(), weight, text: text.to_owned() });
    }

    fn heading(&mut self, text: &str) {
        self.line("", text, Weight::Heading, "");
    }

    /// Between what was and what will be.
    fn blank(&mut self) {
        if !self.lines.is_empty() {
            self.heading("");
        }
    }

    fn print(&self, colour: bool) -> String {
        let width = |line: &Line| line.lead.chars().count() + line.name.chars().count();
        let columns = self.lines.iter().filter(|line| line.weight != Weight::Heading).map(width);
        let column = columns.filter(|width| *width <= Page::WIDEST).max().unwrap_or(0);
        let painted = |code: &str, text: &str| {
            if colour && !text.is_empty() { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
        };
        let mut out = String::new();
        for line in &self.lines {
            let name = if line.weight == Weight::Strong { painted("1", &line.name) } else { line.name.clone() };
            out.push_str(&painted("2", &line.lead));
            out.push_str(&name);
            if !line.text.is_empty() {
                out.push_str(&" ".repeat(column.saturating_sub(width(line)) + 2));
                out.push_str(&line.text);
            }
            out.push('\n');
        }
        out
    }
}

#[cfg(test)]
mod tests;
