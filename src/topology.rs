//! The host and its networks in one document, for `vdsm-tool show` and `graph`: Host.getTopology.
//!
//! Unlike the engine's report it has all links, whose they are, and what of a network is missing.
//! Its keys are ours. How it is drawn is `show.rs`'s and `picture.rs`'s.

use std::collections::BTreeSet;
use std::net::IpAddr;

use serde_json::{Value, json};
use vdsm_model::config::{Base, NetConfig, NetworkConfig};
use vdsm_model::graph::Stack;
use vdsm_model::ip::{MAIN_TABLE, Route};
use vdsm_model::name::{DeviceName, NetworkName};
use vdsm_model::netinfo::{Driver, NetInfo, Port, SeenKind, SeenLink};
use vdsm_model::units::Mac;

use crate::check::{Checked, Verdict};

/// The document.
pub fn topology(seen: &NetInfo, running: &NetConfig, checked: &Checked, nameservers: &[String], dirty: bool) -> Value {
    let ours = ours(seen, running);
    let links: Vec<Value> = seen.links().map(|it| link(it, seen, ours.contains(&it.name))).collect();
    let networks: Vec<Value> =
        running.networks.iter().map(|(name, config)| network(name, config, seen, checked)).collect();
    let bonds: Vec<Value> = (running.bonds.iter())
        .map(|(name, config)| {
            let mut bond = json!({ "name": name, "slaves": config.nics, "mode": config.options.mode().name() });
            verdict(checked.bonds.get(name), &mut bond);
            bond
        })
        .collect();
    json!({ "links": links, "networks": networks, "bonds": bonds, "nameservers": nameservers, "dirty": dirty })
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

fn link(link: &SeenLink, seen: &NetInfo, ours: bool) -> Value {
    let details = &link.details;
    let is_hidden = !link.nic && matches!(link.kind, SeenKind::Nic);
    let mut out = json!({
        "name": link.name, "index": link.index, "kind": kind(link), "ours": ours, "nic": link.nic,
        "hidden": is_hidden, "up": link.up, "running": link.running, "state": details.state.word(),
        "mtu": link.mtu.get(), "mac": link.mac.map(|mac| mac.to_string()), "speed": details.speed,
        "duplex": details.duplex.map(|duplex| duplex.to_string()), "master": link.master, "base": link.base,
        "port_state": details.port.as_ref().map(Port::word).filter(|word| !word.is_empty()),
        "addresses": link.addresses.iter().map(ToString::to_string).collect::<Vec<_>>(),
    });
    match &link.kind {
        SeenKind::Vlan { tag, .. } => out["tag"] = json!(tag.get()),
        SeenKind::Bond { options, active, lacp } => {
            out["mode"] = json!(options.mode().name());
            out["active"] = json!(active);
            // All zeros: nobody answers.
            let partner = lacp.map(|(_, partner)| partner).filter(|partner| *partner != Mac([0; 6]));
            out["partner"] = json!(partner.map(|partner| partner.to_string()));
        }
        _ => {}
    }
    match &details.driver {
        Driver::Veth { peer } => out["peer"] = json!(peer.filter(|peer| seen.link(peer).is_some())),
        Driver::Macvlan { mode } => out["macvlan_mode"] = json!(Driver::macvlan_mode(*mode)),
        _ => {}
    }
    gateways(link, &mut out);
    out
}

/// A word for what it is; a nic without hardware keeps the kernel's word for it.
fn kind(link: &SeenLink) -> &str {
    match (&link.kind, &link.details.driver) {
        (SeenKind::Nic, Driver::Veth { .. }) => "veth",
        (SeenKind::Nic, Driver::Macvlan { .. }) => "macvlan",
        (kind, _) => kind.word(),
    }
}

fn gateways(link: &SeenLink, out: &mut Value) {
    let all = || link.routes.iter().chain(&link.made_routes).filter(|route| route.to.prefix == 0);
    let best = |v6: bool| {
        let of_family = all().filter(|route| route.to.addr.is_ipv6() == v6);
        of_family.min_by_key(|route| (route.table != MAIN_TABLE, route.metric, route.table))
    };
    let via = |route: Option<&Route>| route.and_then(|route| route.gateway).as_ref().map(IpAddr::to_string);
    out["gateway"] = json!(via(best(false)));
    out["gateway6"] = json!(via(best(true)));
    out["default_route"] = json!(all().any(|route| route.table == MAIN_TABLE && route.to.addr.is_ipv4()));
}

fn network(name: &NetworkName, config: &NetworkConfig, seen: &NetInfo, checked: &Checked) -> Value {
    let stack = Stack::of(name, config, seen);
    let mut wants = Vec::new();
    let base = config.base.map(Base::device);
    if let (Some(vlan), Some(base)) = (stack.vlan, base) {
        wants.push(json!({ "device": vlan, "kind": "vlan", "on": [base] }));
    }
    if let Some(bridge) = stack.bridge {
        let port = stack.vlan.or(base);
        wants.push(json!({ "device": bridge, "kind": "bridge", "ports": port.into_iter().collect::<Vec<_>>() }));
    }
    let addresses = [config.ipv4.map(|it| it.to_string()), config.ipv6.map(|it| it.to_string())];
    let mut out = json!({
        "name": name.as_str(), "bridged": config.bridged, "top": stack.top, "base": base,
        "vlan": config.vlan.map(|tag| tag.get()), "mtu": config.mtu.get(), "wants": wants,
        "addresses": addresses.into_iter().flatten().collect::<Vec<_>>(),
        "gateway": config.gateway.map(|it| it.to_string()), "gateway6": config.ipv6_gateway.map(|it| it.to_string()),
        "default_route": config.default_route,
    });
    verdict(checked.networks.get(name), &mut out);
    out
}

/// In sync, or not and how.
fn verdict(verdict: Option<&Verdict>, out: &mut Value) {
    let differences = verdict.map(|it| it.differences.iter().map(|it| it.text.as_str()).collect::<Vec<_>>());
    out["state"] = json!(verdict.map(|it| it.state.word()));
    out["differences"] = json!(differences.unwrap_or_default());
}

#[cfg(test)]
mod tests;
