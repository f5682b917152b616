//! What there is to tell of two moments of the host, and of drift; as JSON-RPC notifications.
//!
//! Pure: who listens and how much he gets is `hub.rs`'s, when it is looked at `keeper.rs`'s. Each
//! event has a subject, and a later event about the same subject makes an earlier one needless.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;

use serde_json::{Map, Value, json};
use vdsm_model::dhcp::SeenClient;
use vdsm_model::ip::{Fate, MAIN_TABLE};
use vdsm_model::name::DeviceName;
use vdsm_model::netinfo::{Driver, NetInfo, SeenKind, SeenLink};
use vdsm_model::units::Mac;

use crate::netinfo::Moment;
use crate::rpc::Notification;

/// The method of every notification.
pub const METHOD: &str = "Host.event";

/// Something that happened to the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A link came to be.
    Appeared {
        /// Its name.
        link: DeviceName,
        /// What it is.
        kind: String,
    },
    /// A link is gone.
    Vanished {
        /// Its name.
        link: DeviceName,
    },
    /// A link carries traffic now, or no longer.
    State {
        /// Its name.
        link: DeviceName,
        /// Whether it runs.
        up: bool,
    },
    /// A link has an address now, or no longer.
    Address {
        /// Its name.
        link: DeviceName,
        /// With its prefix.
        address: String,
        /// Whether it has it.
        added: bool,
    },
    /// A DHCP client of ours was granted an address, another one, or has lost it.
    Lease {
        /// Its device.
        link: DeviceName,
        /// DHCPv6, or else DHCP.
        v6: bool,
        /// With its prefix; none: there is no lease.
        address: Option<String>,
    },
    /// Another host has this address as well: duplicate address detection has failed (RFC 4862).
    Duplicate {
        /// The device.
        link: DeviceName,
        /// With its prefix.
        address: String,
    },
    /// The best default route of the main table is another one.
    DefaultRoute {
        /// IPv6's, or else IPv4's.
        v6: bool,
        /// Its gateway and device; none: there is none.
        via: Option<(String, DeviceName)>,
    },
    /// Another slave carries a bond's traffic, or another port that of a team.
    ActiveSlave {
        /// The bond or team.
        bond: DeviceName,
        /// None: none does.
        slave: Option<DeviceName>,
    },
    /// Another LACP partner.
    Partner {
        /// The bond.
        bond: DeviceName,
        /// All zeros: none answers.
        partner: Mac,
    },
    /// A network or bond of ours is not, or is again, as its configuration says.
    Sync {
        /// Whether it is a bond.
        bond: bool,
        /// Its name.
        name: String,
        /// What is different, in words; nothing: it is in sync.
        differences: Vec<String>,
    },
}

/// The kinds of events, as subscribers name them.
pub const KINDS: [&str; 14] = [
    "link_appeared",
    "link_vanished",
    "link_up",
    "link_down",
    "address_added",
    "address_removed",
    "lease",
    "lease_lost",
    "duplicate_address",
    "default_route",
    "active_slave",
    "lacp_partner",
    "out_of_sync",
    "in_sync",
];

/// What an event is about: the latest about a subject is enough.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// Whether a link is there.
    Presence(DeviceName),
    /// Whether it runs.
    State(DeviceName),
    /// Whether it has that address.
    Address(DeviceName, String),
    /// The lease of one family.
    Lease(DeviceName, bool),
    /// Whether another host has that address.
    Duplicate(DeviceName, String),
    /// The default route of one family.
    DefaultRoute(bool),
    /// A bond's active slave, or a team's port.
    ActiveSlave(DeviceName),
    /// A bond's partner.
    Partner(DeviceName),
    /// Whether a network, or a bond, is in sync.
    Sync(bool, String),
}

impl Event {
    /// What it is about.
    pub fn subject(&self) -> Subject {
        match self {
            Event::Appeared { link, .. } | Event::Vanished { link } => Subject::Presence(*link),
            Event::State { link, .. } => Subject::State(*link),
            Event::Address { link, address, .. } => Subject::Address(*link, address.clone()),
            Event::Lease { link, v6, .. } => Subject::Lease(*link, *v6),
            Event::Duplicate { link, address } => Subject::Duplicate(*link, address.clone()),
            Event::DefaultRoute { v6, .. } => Subject::DefaultRoute(*v6),
            Event::ActiveSlave { bond, .. } => Subject::ActiveSlave(*bond),
            Event::Partner { bond, .. } => Subject::Partner(*bond),
            Event::Sync { bond, name, .. } => Subject::Sync(*bond, name.clone()),
        }
    }

    /// One of [`KINDS`].
    pub fn kind(&self) -> &'static str {
        match self {
            Event::Appeared { .. } => "link_appeared",
            Event::Vanished { .. } => "link_vanished",
            Event::State { up: true, .. } => "link_up",
            Event::State { .. } => "link_down",
            Event::Address { added: true, .. } => "address_added",
            Event::Address { .. } => "address_removed",
            Event::Lease { address: Some(_), .. } => "lease",
            Event::Lease { .. } => "lease_lost",
            Event::Duplicate { .. } => "duplicate_address",
            Event::DefaultRoute { .. } => "default_route",
            Event::ActiveSlave { .. } => "active_slave",
            Event::Partner { .. } => "lacp_partner",
            Event::Sync { differences, .. } if differences.is_empty() => "in_sync",
            Event::Sync { .. } => "out_of_sync",
        }
    }

    /// As it is told, at a time in seconds since 1970.
    pub fn to_notification(&self, at: f64) -> Notification {
        let details = match self {
            Event::Appeared { link, kind } => json!({ "link": link, "kind": kind }),
            Event::Vanished { link } | Event::State { link, .. } => json!({ "link": link }),
            Event::Address { link, address, .. } | Event::Duplicate { link, address } => {
                json!({ "link": link, "address": address })
            }
            Event::Lease { link, v6, address } => json!({ "link": link, "family": family(*v6), "address": address }),
            Event::DefaultRoute { v6, via } => {
                let (gateway, device) = via.as_ref().map(|(gateway, device)| (gateway.as_str(), device)).unzip();
                json!({ "family": family(*v6), "gateway": gateway, "link": device })
            }
            Event::ActiveSlave { bond, slave } => json!({ "bond": bond, "slave": slave }),
            Event::Partner { bond, partner } => json!({ "bond": bond, "partner": partner.to_string() }),
            Event::Sync { bond: true, name, differences } => json!({ "bond": name, "differences": differences }),
            Event::Sync { name, differences, .. } => json!({ "network": name, "differences": differences }),
        };
        let mut params = Map::from_iter([("event".to_owned(), json!(self.kind())), ("time".to_owned(), json!(at))]);
        if let Value::Object(details) = details {
            params.extend(details);
        }
        Notification { method: METHOD.to_owned(), params: Value::Object(params) }
    }
}

fn family(v6: bool) -> &'static str {
    if v6 { "ipv6" } else { "ipv4" }
}

/// Told to one who did not take what there was to tell: how much of it is lost.
pub fn missed(count: u64, at: f64) -> Notification {
    let params = json!({ "event": "missed", "time": at, "count": count });
    Notification { method: METHOD.to_owned(), params }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&sentence(&self.to_notification(0.0).params))
    }
}

/// An event's parameters for a person, in one line. What is unknown is shown as it is.
pub fn sentence(params: &Value) -> String {
    let text = |key: &str| params.get(key).and_then(Value::as_str).unwrap_or_default();
    let (link, bond) = (text("link"), text("bond"));
    match text("event") {
        "link_appeared" => format!("{link} appeared ({})", text("kind")),
        "link_vanished" => format!("{link} vanished"),
        "link_up" => format!("{link} is up"),
        "link_down" => format!("{link} is down"),
        "address_added" => format!("{link} has address {}", text("address")),
        "address_removed" => format!("{link} lost address {}", text("address")),
        "lease" => format!("{link} has a lease: {}", text("address")),
        "lease_lost" => format!("{link} has no {} lease any more", text("family")),
        "duplicate_address" => format!("{link}: another host has address {} as well", text("address")),
        "default_route" if link.is_empty() => format!("there is no {} default route", text("family")),
        "default_route" if text("gateway").is_empty() => format!("{} default route: dev {link}", text("family")),
        "default_route" => format!("{} default route: via {} dev {link}", text("family"), text("gateway")),
        "active_slave" if text("slave").is_empty() => format!("{bond} has no active slave"),
        "active_slave" => format!("{bond}: the active slave is {}", text("slave")),
        "lacp_partner" => format!("{bond}: the LACP partner is {}", text("partner")),
        kind @ ("out_of_sync" | "in_sync") => {
            let who = if bond.is_empty() { format!("network {}", text("network")) } else { format!("bond {bond}") };
            let what = params.get("differences").and_then(Value::as_array).into_iter().flatten();
            let what: Vec<_> = what.filter_map(Value::as_str).collect();
            match kind {
                "in_sync" => format!("{who} is in sync again"),
                _ => format!("{who} is out of sync: {}", what.join("; ")),
            }
        }
        "missed" => format!("{} events were missed", params.get("count").and_then(Value::as_u64).unwrap_or_default()),
        _ => params.to_string(),
    }
}

/// What there is to tell of a change. The links' own events come by name, the default routes last.
pub fn between(moment: &Moment) -> Vec<Event> {
    let Moment { before, after, links } = moment;
    let mut events = Vec::new();
    for name in links {
        match (before.shared(name), after.shared(name)) {
            (Some(old), Some(new)) if std::sync::Arc::ptr_eq(old, new) => {}
            (Some(old), Some(new)) if old.index == new.index => changed(old, new, &mut events),
            (old, new) => {
                // One of the same name in its place is another link.
                if old.is_some() && new.is_none() {
                    events.push(Event::Vanished { link: *name });
                }
                if let Some(new) = new {
                    events.push(Event::Appeared { link: *name, kind: new.kind.word().to_owned() });
                    if new.running {
                        events.push(Event::State { link: *name, up: true });
                    }
                    addresses(None, new, &mut events);
                    leases(None, new, &mut events);
                }
            }
        }
    }
    for v6 in [false, true] {
        // Only a link that has changed can have brought or taken the best one.
        let had = |host: &NetInfo| links.iter().filter_map(|name| host.link(name)).any(|link| has_default(link, v6));
        if had(before) || had(after) {
            let (old, new) = (default_route(before, v6), default_route(after, v6));
            if old != new {
                events.push(Event::DefaultRoute { v6, via: new });
            }
        }
    }
    events
}

fn changed(old: &SeenLink, new: &SeenLink, events: &mut Vec<Event>) {
    if old.running != new.running {
        events.push(Event::State { link: new.name, up: new.running });
    }
    addresses(Some(old), new, events);
    leases(Some(old), new, events);
    if let (SeenKind::Bond { active: old_active, lacp: old_lacp, .. }, SeenKind::Bond { active, lacp, .. }) =
        (&old.kind, &new.kind)
    {
        if old_active != active {
            events.push(Event::ActiveSlave { bond: new.name, slave: *active });
        }
        let partner = |lacp: &Option<(u16, Mac)>| lacp.map_or(Mac([0; 6]), |(_, partner)| partner);
        if partner(old_lacp) != partner(lacp) {
            events.push(Event::Partner { bond: new.name, partner: partner(lacp) });
        }
    }
    if let (Driver::Team(old), Driver::Team(team)) = (&old.details.driver, &new.details.driver)
        && old.active != team.active
    {
        events.push(Event::ActiveSlave { bond: new.name, slave: team.active });
    }
}

fn leases(old: Option<&SeenLink>, new: &SeenLink, events: &mut Vec<Event>) {
    let address = |client: &Option<SeenClient>| {
        client.as_ref().and_then(|client| client.lease.as_ref()).map(|lease| lease.address.to_string())
    };
    let of = |link: &SeenLink| [address(&link.dhcp.v4), address(&link.dhcp.v6)];
    let (had, has) = (old.map(of).unwrap_or_default(), of(new));
    for ((had, has), v6) in had.into_iter().zip(has).zip([false, true]) {
        if had != has {
            events.push(Event::Lease { link: new.name, v6, address: has });
        }
    }
}

fn addresses(old: Option<&SeenLink>, new: &SeenLink, events: &mut Vec<Event>) {
    let list = |link: &SeenLink| link.addresses.iter().map(ToString::to_string).collect::<BTreeSet<_>>();
    let (had, has) = (old.map(list).unwrap_or_default(), list(new));
    let event = |address: &String, added| Event::Address { link: new.name, address: address.clone(), added };
    events.extend(had.difference(&has).map(|address| event(address, false)));
    events.extend(has.difference(&had).map(|address| event(address, true)));
    let failed = |link: &SeenLink| {
        let failed = link.addresses.iter().filter(|address| address.more.duplicate);
        failed.map(ToString::to_string).collect::<BTreeSet<_>>()
    };
    let (had, has) = (old.map(failed).unwrap_or_default(), failed(new));
    events.extend(has.difference(&had).map(|address| Event::Duplicate { link: new.name, address: address.clone() }));
}

fn defaults(link: &SeenLink, v6: bool) -> impl Iterator<Item = &vdsm_model::ip::Route> {
    let all = link.routes.iter().chain(&link.made_routes);
    all.filter(move |route| route.to.prefix == 0 && route.table == MAIN_TABLE && route.to.addr.is_ipv6() == v6)
}

fn has_default(link: &SeenLink, v6: bool) -> bool {
    defaults(link, v6).next().is_some()
}

/// The default route that wins: gateway and device.
fn default_route(host: &NetInfo, v6: bool) -> Option<(String, DeviceName)> {
    let all = host
        .with_default_routes()
        .flat_map(|link| defaults(link, v6).map(move |route| (route.metric, link.name, route)));
    let best = all.min_by_key(|(metric, device, _)| (*metric, *device));
    // One that leads nowhere is as good as none.
    let (_, device, route) = best.filter(|(.., route)| route.fate == Fate::Forwarded)?;
    Some((route.gateway.as_ref().map(IpAddr::to_string).unwrap_or_default(), device))
}

#[cfg(test)]
mod tests;
