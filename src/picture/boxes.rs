//! What a box says: its name, the lines in it and the details one asks for.
//!
//! Which boxes there are and what is wired to what is decided in `scene`.

use crate::show::topology::{Agreement, Bond, Kind, Layer3, Light, Link, Network, Topology};
use crate::show::words::a_few;

use super::scene::{Layer, Node, Standing};

/// More VM ports than these are counted, not named.
const NAMED_PORTS: usize = 3;

/// As many names, or differences, as one reads in a tooltip.
const NAMES: usize = 40;

/// What everybody has is not worth a line, in bytes.
const USUAL_MTU: u64 = 1500;

/// A network with the bridge that carries it, if one does.
pub(super) fn single(network: &Network, host: &Topology) -> Node {
    let top = network.top.as_deref().unwrap_or(&network.name);
    let found = host.link(top);
    let standing = match (network.agreement, found) {
        // A bridge is the network; of another device the wire will tell.
        (Agreement::Agrees, None) if network.bridged && network.top.is_some() => Standing::Missing,
        (agreement, _) => Standing::of(agreement),
    };
    let light = found.map_or(Light::Unknown, |top| top.light);
    let mtu = found.and_then(|top| top.mtu).or(network.mtu);
    let bridge = match network.bridged {
        true if top != network.name => format!("bridge {top}"),
        true => "bridge".to_owned(),
        false => "bridgeless".to_owned(),
    };
    let layer3 = network.layer3(found);
    let facts = [bridge, odd_mtu(mtu), dark(light)];
    let mut details =
        vec![if network.bridged { format!("network on bridge {top}") } else { format!("network on {top}") }];
    details.extend(network.vlan.map(|tag| format!("VLAN {tag}")));
    details.extend(mtu.map(|mtu| format!("MTU {mtu}")));
    details.push(light.word().to_owned());
    details.extend(layer3.words());
    details.extend(some_of(&network.differences));
    let mut lines = vec![dotted(&facts)];
    lines.extend(addressed(&layer3));
    node(&network.name, Layer::Network, standing, light, lines, details)
}

/// `eth0 (10G)`'s line of layer 3: the first address, how many others, and the way out.
fn addressed(layer3: &Layer3) -> Vec<String> {
    let more = layer3.addresses.len().saturating_sub(1);
    let first = layer3.addresses.first().map(|first| match more {
        0 => first.clone(),
        _ => format!("{first} +{more}"),
    });
    first.into_iter().chain(layer3.ways_out().into_iter().take(1).filter(|_| layer3.default_route)).collect()
}

/// Networks of one shape.
pub(super) fn group(networks: &[&Network]) -> Node {
    let Some(first) = networks.first() else {
        return node("", Layer::Network, Standing::Ours, Light::Unknown, Vec::new(), Vec::new());
    };
    let bridgeless = if first.bridged { "" } else { "bridgeless " };
    let tagged = if first.vlan.is_some() { "VLAN " } else { "" };
    let base = first.base.as_ref().map(|base| format!(" on {base}")).unwrap_or_default();
    let addressed = if first.layer3.addresses.is_empty() { "" } else { "with addresses" };
    let lines = vec![
        format!("{} {bridgeless}{tagged}networks{base}", networks.len()),
        dotted(&[odd_mtu(first.mtu), addressed.to_owned()]),
    ];
    let details = vec![a_few(networks.iter().map(|network| network.name.as_str()), NAMES)];
    let name = span(networks.iter().map(|network| network.name.as_str()));
    node(&name, Layer::Network, Standing::of(first.agreement), Light::Unknown, lines, details)
}

/// A device of the kernel. Its addresses are told with the network that is nothing but it.
pub(super) fn device(link: &Link, bond: Option<&Bond>, told: bool) -> Node {
    let agreement = bond.map_or(Agreement::Agrees, |bond| bond.agreement);
    let standing = match (link.ours || bond.is_some(), agreement) {
        (false, _) => Standing::Foreign,
        // It is there, whatever was said of it.
        (true, Agreement::Missing) => Standing::Drifted,
        (true, agreement) => Standing::of(agreement),
    };
    let layer = layer(link);
    let word = match (&link.kind, layer) {
        (Kind::Nic, _) => String::new(),
        (Kind::Bond | Kind::Team, _) => link.mode.clone().unwrap_or_else(|| link.kind.word().to_owned()),
        (Kind::Vlan, _) => link.tag.map_or_else(|| "VLAN".to_owned(), |tag| format!("VLAN {tag}")),
        (kind, _) => kind.word().to_owned(),
    };
    let grounded = matches!(layer, Layer::Nic | Layer::Bond);
    let state = if grounded { link.light.word().to_owned() } else { dark(link.light) };
    let speed = link.speed_words().filter(|_| grounded).unwrap_or_default();
    let odd = link.odd_port_state().unwrap_or_default().to_owned();
    let mut lines = vec![dotted(&[word, speed, state, odd]), odd_mtu(link.mtu)];
    lines.extend(link.peer.as_ref().map(|peer| format!("peer {peer}")));
    if !told {
        lines.extend(addressed(&link.layer3));
    }
    let tag = link.tag.map(|tag| format!(" {tag}")).unwrap_or_default();
    let mut details = vec![format!("{}{tag}", link.kind.word()), link.light.word().to_owned()];
    details.extend(link.speed_words());
    details.extend(link.mtu.map(|mtu| format!("MTU {mtu}")));
    details.push(link.mac.clone());
    details.extend(link.mode.as_ref().map(|mode| format!("mode {mode}")));
    let slave = if link.kind == Kind::Team { "port" } else { "slave" };
    details.extend(link.active.as_ref().map(|active| format!("active {slave} {active}")));
    details.extend(link.partner.as_ref().map(|partner| format!("partner {partner}")));
    details.extend(link.base.as_ref().map(|base| format!("on {base}")));
    details.extend(link.master.as_ref().map(|master| format!("port of {master}")));
    details.extend(link.port_state.clone());
    details.extend(link.peer.as_ref().map(|peer| format!("peer {peer}")));
    details.extend(link.layer3.words());
    details.extend(bond.into_iter().flat_map(|bond| some_of(&bond.differences)));
    node(&link.name, layer, standing, link.light, lines, details)
}

/// Where a device is drawn. A nic is one whatever drives it.
fn layer(link: &Link) -> Layer {
    match link.kind {
        _ if link.nic => Layer::Nic,
        Kind::Bond | Kind::Team => Layer::Bond,
        Kind::Bridge => Layer::Bridge,
        Kind::Vlan => Layer::Vlan,
        _ if link.base.is_some() => Layer::Vlan,
        _ => Layer::Nic,
    }
}

/// Devices of others that nothing stands on, of one kind.
pub(super) fn crowd(links: &[&Link]) -> Node {
    let names = || links.iter().map(|link| link.name.as_str());
    let Some(first) = links.first() else {
        return node("", Layer::Nic, Standing::Foreign, Light::Unknown, Vec::new(), Vec::new());
    };
    let lines = vec![dotted(&[format!("{} {} devices", links.len(), first.kind.word()), dark(first.light)])];
    node(&span(names()), layer(first), Standing::Foreign, first.light, lines, vec![a_few(names(), NAMES)])
}

/// A device that is wanted and not there.
pub(super) fn absent(name: &str, kind: &Kind, bond: Option<&Bond>) -> Node {
    let layer = match kind {
        Kind::Bond | Kind::Team => Layer::Bond,
        Kind::Vlan => Layer::Vlan,
        Kind::Bridge => Layer::Bridge,
        _ => Layer::Nic,
    };
    let mut details = vec![kind.word().to_owned()];
    details.extend(bond.into_iter().flat_map(|bond| some_of(&bond.differences)));
    node(name, layer, Standing::Missing, Light::Unknown, Vec::new(), details)
}

/// The ports of virtual machines and containers on one bridge.
pub(super) fn cables(links: &[&Link], standing: Standing) -> Node {
    let names = || links.iter().map(|link| link.name.as_str());
    let vm = if standing == Standing::Foreign { "" } else { "VM " };
    let name = format!("{} {vm}port{}", links.len(), if links.len() == 1 { "" } else { "s" });
    // Two names fit on a line.
    let names_of_two: Vec<&str> = names().take(NAMED_PORTS).collect();
    let lines = match links.len() <= NAMED_PORTS {
        true => names_of_two.chunks(2).map(|two| two.join(" ")).collect(),
        false => Vec::new(),
    };
    node(&name, Layer::Ports, standing, Light::Unknown, lines, vec![a_few(names(), NAMES)])
}

/// The title of a picture, and remarks on the host as a whole.
pub(super) fn told(host: &Topology) -> (String, Vec<String>) {
    let count = |agreement| host.networks.iter().filter(|network| network.agreement == agreement).count();
    let plural = |count: usize, word: &str| format!("{count} {word}{}", if count == 1 { "" } else { "s" });
    let mut title = plural(host.networks.len(), "network");
    for (agreement, word) in [(Agreement::Drifted, "drifted"), (Agreement::Missing, "missing")] {
        match count(agreement) {
            0 => {}
            count => title.push_str(&format!(", {count} {word}")),
        }
    }
    let mut remarks = Vec::new();
    if !host.nameservers.is_empty() {
        remarks.push(format!("name servers: {}", host.nameservers.join(", ")));
    }
    if host.unsaved {
        remarks.push("not saved: a reboot brings back the networks as they were last saved".to_owned());
    }
    (title, remarks)
}

fn node(name: &str, layer: Layer, standing: Standing, light: Light, lines: Vec<String>, details: Vec<String>) -> Node {
    let filled = |mut lines: Vec<String>| {
        lines.retain(|line| !line.is_empty());
        lines
    };
    let mut lines = filled(lines);
    if let Some(mark) = standing.mark() {
        lines.insert(0, mark.to_owned());
    }
    Node { name: name.to_owned(), layer, standing, light, lines, details: filled(details) }
}

/// `vm100 … vm599`.
fn span<'a>(mut names: impl Iterator<Item = &'a str>) -> String {
    let first = names.next().unwrap_or_default();
    names.last().map_or_else(|| first.to_owned(), |last| format!("{first} … {last}"))
}

fn some_of(sentences: &[String]) -> impl Iterator<Item = String> + '_ {
    let more = sentences.len().saturating_sub(NAMES);
    let rest = (more > 0).then(|| format!("and {more} more"));
    sentences.iter().take(NAMES).cloned().chain(rest)
}

fn dotted(facts: &[String]) -> String {
    facts.iter().filter(|fact| !fact.is_empty()).map(String::as_str).collect::<Vec<_>>().join(" · ")
}

fn odd_mtu(mtu: Option<u64>) -> String {
    mtu.filter(|mtu| *mtu != USUAL_MTU).map(|mtu| format!("mtu {mtu}")).unwrap_or_default()
}

fn dark(light: Light) -> String {
    if light.is_dark() { light.word().to_owned() } else { String::new() }
}
