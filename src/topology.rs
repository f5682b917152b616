//! The host and its networks in one document, for `vdsm-tool show` and `graph`: Host.getTopology.
//!
//! Unlike the engine's report it has all links, whose they are, and what of a network is missing.
//! Its keys are ours. How it is drawn is `show.rs`'s and `picture.rs`'s.

use std::collections::BTreeSet;
use std::net::IpAddr;

use vdsm_model::config::{Base, NetConfig, NetworkConfig};
use vdsm_model::graph::Stack;
use vdsm_model::ip::{Fate, MAIN_TABLE, Route};
use vdsm_model::name::{DeviceName, NetworkName};
use vdsm_model::netinfo::{Driver, NetInfo, Port, SeenKind, SeenLink};
use vdsm_model::units::Mac;

use crate::caps::json::Object;
use crate::check::{Checked, Verdict};

/// About what a link, and the network it may stand for, take.
const LINK_BYTES: usize = 700;

/// The document: one JSON object on one line.
pub fn topology(
    seen: &NetInfo,
    running: &NetConfig,
    checked: &Checked,
    nameservers: &[String],
    unsaved: bool,
) -> Vec<u8> {
    let ours = ours(seen, running);
    Object::document(seen.count() * LINK_BYTES, |all| {
        all.objects("links", seen.links(), |it, out| link(it, seen, ours.contains(&it.name), out));
        all.objects("networks", running.networks.iter(), |(name, config), out| {
            network(name, config, seen, checked, out);
        });
        all.objects("bonds", running.bonds.iter(), |(name, config), out| {
            out.text("name", *name);
            out.texts("slaves", config.nics.iter().copied());
            out.text("mode", config.options.mode().name());
            verdict(checked.bonds.get(name), out);
        });
        all.texts("nameservers", nameservers.iter().map(String::as_str));
        all.truth("unsaved", unsaved);
    })
}

/// The devices of the running configuration.
fn ours(seen: &NetInfo, running: &NetConfig) -> BTreeSet<DeviceName> {
    let mut ours: BTreeSet<DeviceName> = running.bonds.keys().copied().collect();
    ours.extend(running.bonds.values().flat_map(|bond| bond.nics.iter().copied()));
    for (name, config) in running.networks.iter() {
        ours.extend(Stack::of(name, config, seen).devices());
    }
    ours
}

fn link(link: &SeenLink, seen: &NetInfo, ours: bool, out: &mut Object<'_>) {
    let details = &link.details;
    out.text("name", link.name);
    out.number("index", link.index.into());
    out.text("kind", kind(link));
    out.truth("ours", ours);
    out.truth("nic", link.nic);
    out.truth("hidden", !link.nic && matches!(link.kind, SeenKind::Nic));
    out.truth("up", link.up);
    out.truth("running", link.running);
    out.text("state", details.state.word());
    out.number("mtu", link.mtu.get().into());
    out.text_or_null("mac", link.mac);
    out.number_or_null("speed", details.speed.map(u64::from));
    out.text_or_null("duplex", details.duplex.map(|duplex| duplex.to_string()).as_deref());
    out.text_or_null("master", link.master);
    out.text_or_null("base", link.base);
    out.text_or_null("port_state", port_state(link, seen).filter(|word| !word.is_empty()));
    out.texts("addresses", &link.addresses);
    match &link.kind {
        SeenKind::Vlan { tag, .. } => out.number("tag", tag.get().into()),
        SeenKind::Bond { options, active, lacp } => {
            out.text("mode", options.mode().name());
            out.text_or_null("active", *active);
            // All zeros: nobody answers.
            out.text_or_null("partner", lacp.map(|(_, partner)| partner).filter(|partner| *partner != Mac([0; 6])));
        }
        _ => {}
    }
    match &details.driver {
        Driver::Veth { peer } => out.text_or_null("peer", peer.filter(|peer| seen.link(peer).is_some())),
        Driver::Macvlan { mode } => out.text("macvlan_mode", Driver::macvlan_mode(*mode)),
        Driver::Team(team) => {
            out.text_or_null("mode", team.mode.as_deref());
            out.text_or_null("active", team.active);
        }
        _ => {}
    }
    gateways(link, out);
}

fn port_state(link: &SeenLink, seen: &NetInfo) -> Option<&'static str> {
    let port = link.details.port.as_ref()?;
    let master = link.master.as_ref().and_then(|master| seen.link(master));
    match (port, master.map(|master| &master.details.driver)) {
        (Port::Team(port), Some(Driver::Team(team))) if !team.has_active(&link.name, port) => Some("backup"),
        _ => Some(port.word()),
    }
}

/// A word for what it is; a nic without hardware keeps the kernel's word for it.
fn kind(link: &SeenLink) -> &str {
    match (&link.kind, &link.details.driver) {
        (SeenKind::Nic, Driver::Veth { .. }) => "veth",
        (SeenKind::Nic, Driver::Macvlan { .. }) => "macvlan",
        (kind, _) => kind.word(),
    }
}

fn gateways(link: &SeenLink, out: &mut Object<'_>) {
    let is_default = |route: &&Route| route.to.prefix == 0 && route.fate == Fate::Forwarded;
    let all = || link.routes.iter().chain(&link.made_routes).filter(is_default);
    let best = |v6: bool| {
        let of_family = all().filter(|route| route.to.addr.is_ipv6() == v6);
        of_family.min_by_key(|route| (route.table != MAIN_TABLE, route.metric, route.table))
    };
    out.text_or_null("gateway", best(false).and_then(|route| route.gateway));
    out.text_or_null("gateway6", best(true).and_then(|route| route.gateway));
    out.truth("default_route", all().any(|route| route.table == MAIN_TABLE && route.to.addr.is_ipv4()));
}

fn network(name: &NetworkName, config: &NetworkConfig, seen: &NetInfo, checked: &Checked, out: &mut Object<'_>) {
    let stack = Stack::of(name, config, seen);
    let base = config.base.map(Base::device);
    out.text("name", name.as_str());
    out.truth("bridged", config.bridged);
    out.text_or_null("top", stack.top);
    out.text_or_null("base", base);
    out.number_or_null("vlan", config.vlan.map(|tag| tag.get().into()));
    out.number("mtu", config.mtu.get().into());
    let vlan = stack.vlan.zip(base).map(|(vlan, base)| (vlan, "vlan", "on", Some(base)));
    let bridge = stack.bridge.map(|bridge| (bridge, "bridge", "ports", stack.vlan.or(base)));
    out.objects("wants", vlan.into_iter().chain(bridge), |(device, kind, below, what), out| {
        out.text("device", device);
        out.text("kind", kind);
        out.texts(below, what);
    });
    let addresses = [config.ipv4.map(|it| it.to_string()), config.ipv6.map(|it| it.to_string())];
    out.texts("addresses", addresses.iter().flatten().map(String::as_str));
    out.text_or_null("gateway", config.gateway);
    out.text_or_null("gateway6", config.ipv6_gateway.map(IpAddr::from));
    out.truth("default_route", config.default_route);
    verdict(checked.networks.get(name), out);
}

/// In sync, or not and how.
fn verdict(verdict: Option<&Verdict>, out: &mut Object<'_>) {
    out.text_or_null("state", verdict.map(|it| it.state.word()));
    let differences = verdict.into_iter().flat_map(|it| &it.differences);
    out.texts("differences", differences.map(|it| it.text.as_str()));
}

#[cfg(test)]
mod tests;
