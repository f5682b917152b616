//! What our picture of a host says, thing by thing, in the words of the tools it is held against.
//!
//! The other side is in `tools.rs`. Which facts the kernel keeps to itself is in `silence.rs`.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::net::IpAddr;

use vdsm_model::bond_options::{BOND_OPTIONS, BondOptions, OptionValue};
use vdsm_model::bridge_options;
use vdsm_model::ip::{Address, Route};
use vdsm_model::netinfo::{
    BRIDGE_PORT_SWITCHES, BridgePort, Details, Driver, NetInfo, Port, Qdisc, SeenKind, SeenLink, Team,
};
use vdsm_model::rule::Rule;
use vdsm_net::netinfo::NicRule;
use vdsm_netlink::attrs::Attrs;

/// A thing and one of its properties, such as `d0` and `mtu`, and the value.
pub type Facts = BTreeMap<(String, String), String>;

/// Whatever is no bond, bridge or VLAN stands in for a nic.
pub struct Nics;

impl NicRule for Nics {
    fn is_fake(&self, name: &str) -> bool {
        is_fake(name)
    }

    fn is_hidden(&self, _: &str) -> bool {
        false
    }
}

/// The links of these names are nics, where their kind allows it.
pub fn is_fake(name: &str) -> bool {
    name.starts_with(['d', 't'])
}

/// What only one of them says.
pub fn differences(ours: &Facts, theirs: &Facts) -> String {
    let mut lines = String::new();
    let keys: std::collections::BTreeSet<_> = ours.keys().chain(theirs.keys()).collect();
    for key in keys.into_iter().filter(|key| ours.get(*key) != theirs.get(*key)) {
        let say = |facts: &Facts| facts.get(key).map_or("nothing".to_owned(), |it| format!("{it:?}"));
        lines += &format!("{} {}: the picture has {}, the tools {}\n", key.0, key.1, say(ours), say(theirs));
    }
    lines
}

/// A thing to be told about.
pub struct Subject<'f> {
    pub facts: &'f mut Facts,
    pub name: String,
}

impl Subject<'_> {
    pub fn is(&mut self, property: &str, value: impl Display) {
        self.facts.insert((self.name.clone(), property.to_owned()), value.to_string());
    }

    /// Nothing is said where there is nothing.
    pub fn may_be(&mut self, property: &str, value: Option<impl Display>) {
        if let Some(value) = value {
            self.is(property, value);
        }
    }
}

/// All that the picture holds of these links, and of the rules.
pub fn ours(host: &NetInfo, wanted: &dyn Fn(&str) -> bool) -> Facts {
    let mut facts = Facts::new();
    for link in host.links().filter(|link| wanted(link.name.as_str())) {
        let subject = &mut Subject { facts: &mut facts, name: link.name.to_string() };
        head(subject, link);
        kind(subject, link);
        details(subject, &link.details);
        layer3(subject, link);
        assert_eq!(host.name_of(link.index), Some(link.name));
        if let Some(master) = link.master {
            assert!(host.ports_of(master).any(|port| port.name == link.name), "{} is no port", link.name);
        }
        if let Some(base) = link.base {
            assert!(host.standing_on(base).any(|upper| upper.name == link.name), "{} stands on nothing", link.name);
        }
    }
    for (family, v6) in [("rules -4", false), ("rules -6", true)] {
        let rules = host.rules().filter(|rule| rule.v6 == v6).map(rule).collect();
        Subject { facts: &mut facts, name: family.to_owned() }.is("all", sorted_by_priority(rules));
    }
    facts
}

fn head(link: &mut Subject<'_>, seen: &SeenLink) {
    link.is("index", seen.index);
    link.is("mtu", seen.mtu.get());
    link.is("up", seen.up);
    link.is("running", seen.running);
    link.may_be("mac", seen.mac);
    link.may_be("slave's own mac", seen.permanent_mac);
    link.may_be("aggregator", seen.aggregator);
    link.may_be("master", seen.master);
    link.may_be("base", seen.base);
    link.is("group", seen.group);
    link.may_be("disable_ipv6", seen.ipv6_disabled);
    link.may_be("accept_ra", seen.adverts.map(|it| it.accept));
    link.may_be("autoconf", seen.adverts.map(|it| it.autoconf));
    link.may_be("accept_ra_defrtr", seen.adverts.and_then(|it| it.default_route));
    link.is("nic", seen.nic);
}

fn kind(link: &mut Subject<'_>, seen: &SeenLink) {
    link.is("kind", seen.kind.word());
    match &seen.kind {
        SeenKind::Bond { options, active, lacp } => {
            link.is("mode", options.mode().name());
            bond(link, options);
            link.may_be("active slave", *active);
            link.may_be("lacp", lacp.map(|(aggregator, partner)| format!("{aggregator} {partner}")));
        }
        SeenKind::Vlan { tag, device } => {
            link.is("tag", tag.get());
            assert_eq!(*device, seen.base);
        }
        SeenKind::Bridge { options, report } => {
            options.iter().for_each(|(name, value)| link.is(name, value));
            let report = bridge_options::report(Attrs::new(report));
            report.filter(|(name, _)| TREE.contains(name)).for_each(|(name, value)| link.is(name, value));
        }
        SeenKind::Nic | SeenKind::Tap | SeenKind::Other(_) => {}
    }
}

/// What a bridge's spanning tree has found out, by the name in sysfs.
pub const TREE: [&str; 4] = ["bridge_id", "root_id", "root_port", "root_path_cost"];

fn bond(link: &mut Subject<'_>, options: &BondOptions) {
    for option in BOND_OPTIONS.iter().filter(|option| option.works_in(options.mode())) {
        let value = options.get(option.name).filter(|value| *value != OptionValue::Device(String::new()));
        link.may_be(option.name, value);
    }
}

fn details(link: &mut Subject<'_>, seen: &Details) {
    link.is("state", seen.state.word());
    link.may_be("speed", seen.speed);
    link.may_be("duplex", seen.duplex);
    link.may_be("permanent mac", seen.hardware);
    match &seen.port {
        Some(Port::Bridge(port)) => bridge_port(link, port),
        Some(Port::Bond(port)) => {
            link.is("port of", "bond");
            link.is("slave state", if port.active { "ACTIVE" } else { "BACKUP" });
            link.is("mii", ["UP", "GOING_DOWN", "DOWN", "GOING_BACK"][usize::from(port.mii)]);
            link.is("failures", port.failures);
            link.is("queue", port.queue);
            link.may_be("actor", port.actor);
            link.may_be("partner", port.partner);
        }
        Some(Port::Team(port)) => {
            link.is("port of", "team");
            link.is("link to the team", if port.linkup { "up" } else { "down" });
            link.is("speed to the team", port.speed.unwrap_or(0));
            link.is("enabled", port.enabled);
        }
        Some(Port::Other(word)) => link.is("port of", word),
        None => {}
    }
    match &seen.driver {
        Driver::Silent => {}
        Driver::Veth { peer } => link.may_be("peer", *peer),
        Driver::Macvlan { mode } => link.is("macvlan mode", Driver::macvlan_mode(*mode)),
        Driver::Tun { tap, persist, multi_queue, owner } => {
            link.is("tap", tap);
            link.is("persist", persist);
            link.is("multi_queue", multi_queue);
            link.may_be("owner", *owner);
        }
        Driver::Team(Team { mode, active }) => {
            link.may_be("team mode", mode.as_ref());
            link.may_be("active port", *active);
        }
    }
    assert!(seen.vfs.is_empty(), "there are no virtual functions here");
    link.is("qdiscs", sorted(seen.qdiscs.iter().map(qdisc).collect()));
}

fn bridge_port(link: &mut Subject<'_>, port: &BridgePort) {
    link.is("port of", "bridge");
    link.is("port state", port.word());
    link.is("priority", port.priority);
    link.is("cost", port.cost);
    for (attribute, word) in BRIDGE_PORT_SWITCHES {
        link.is(word, port.is_on(attribute));
    }
}

/// As `tc` writes it.
fn qdisc(qdisc: &Qdisc) -> String {
    let handle = |number: u32| match number & 0xffff {
        0 => format!("{:x}:", number >> 16),
        minor => format!("{:x}:{minor:x}", number >> 16),
    };
    let parent = if qdisc.parent == u32::MAX { "root".to_owned() } else { handle(qdisc.parent) };
    format!("{parent} {} {}", handle(qdisc.handle), qdisc.kind)
}

fn layer3(link: &mut Subject<'_>, seen: &SeenLink) {
    let four = |it: &&Address| it.ip.addr.is_ipv4();
    link.is("addresses -4", seen.addresses.iter().filter(four).map(address).collect::<Vec<_>>().join("\n"));
    link.is("addresses -6", seen.addresses.iter().filter(|it| !four(it)).map(address).collect::<Vec<_>>().join("\n"));
    link.is("routes", sorted(seen.routes.iter().map(route).collect()));
    link.is("made routes", sorted(seen.made_routes.iter().map(route).collect()));
    assert!(!seen.many_routes, "there are not that many here");
}

fn address(address: &Address) -> String {
    let more = &address.more;
    let or_none = |text: Option<String>| text.unwrap_or("-".to_owned());
    let label = more.label.map(|label| String::from_utf8_lossy(&label).trim_end_matches('\0').to_owned());
    let flags: Vec<_> = FLAGS.iter().filter(|(bit, _)| more.flags & bit != 0).map(|(_, word)| *word).collect();
    format!(
        "{address} brd {} peer {} label {} scope {} {flags:?} metric {} {}",
        or_none(address.broadcast.map(|it| it.to_string())),
        or_none(more.peer.map(|it| it.to_string())),
        or_none(label),
        more.scope,
        more.metric,
        // It runs down without a word.
        if more.lifetime.is_some() { "for a while" } else { "forever" },
    )
}

/// The flags of addresses that are kept, of linux/if_addr.h, by `ip`'s words.
pub const FLAGS: [(u32, &str); 4] = [(0x02, "nodad"), (0x10, "home"), (0x100, "mngtmpaddr"), (0x200, "noprefixroute")];

/// What has no order.
pub fn sorted(mut lines: Vec<String>) -> String {
    lines.sort();
    lines.join("\n")
}

fn route(route: &Route) -> String {
    let or_none = |ip: Option<IpAddr>| ip.map_or("-".to_owned(), |ip| ip.to_string());
    let metrics: Vec<_> = METRICS.iter().filter(|(at, _)| route.metrics[*at] != 0).collect();
    let metrics: Vec<_> = metrics.iter().map(|(at, word)| format!("{word} {}", route.metrics[*at])).collect();
    format!(
        "{} via {} table {} metric {} proto {} scope {} src {} onlink {} {}",
        route.to,
        or_none(route.gateway),
        route.table,
        route.metric,
        route.protocol,
        route.scope,
        or_none(route.source),
        route.onlink,
        metrics.join(" "),
    )
}

/// A route's metrics by their `RTAX_*` number, and `ip`'s words.
pub const METRICS: [(usize, &str); 6] =
    [(2, "mtu"), (8, "advmss"), (10, "hoplimit"), (11, "initcwnd"), (14, "initrwnd"), (15, "quickack")];

/// The kernel lists those of one priority as they came; nothing depends on that here.
pub fn sorted_by_priority(mut rules: Vec<(u32, String)>) -> String {
    rules.sort();
    rules.into_iter().map(|(_, line)| line).collect::<Vec<_>>().join("\n")
}

/// One rule, behind its priority.
fn rule(rule: &Rule) -> (u32, String) {
    let or_all = |it: &Option<_>| {
        it.as_ref().map_or("all".to_owned(), |it: &vdsm_model::units::Prefixed<IpAddr>| it.to_string())
    };
    let name = |it: &Option<_>| it.as_ref().map_or("-".to_owned(), |it: &vdsm_model::name::DeviceName| it.to_string());
    let rest: Vec<_> = CONDITIONS.iter().filter(|(number, _)| rule.rest.iter().any(|(it, _)| it == number)).collect();
    let table = if rule.action == 1 { rule.table } else { 0 };
    let line = format!(
        "{} not {} from {} to {} iif {} oif {} mark {:?} tos {} action {} table {table} goto {:?} proto {} {:?}",
        rule.priority,
        rule.not,
        or_all(&rule.from),
        or_all(&rule.to),
        name(&rule.iif),
        name(&rule.oif),
        rule.mark,
        rule.tos,
        rule.action,
        rule.goto,
        rule.protocol,
        rest.iter().map(|(_, word)| *word).collect::<Vec<_>>(),
    );
    (rule.priority, line)
}

/// Further conditions of a rule: the number of their `FRA_*` attribute, and `ip`'s word.
pub const CONDITIONS: [(u16, &str); 5] =
    [(12, "tun_id"), (14, "suppress_prefixlen"), (22, "ipproto"), (23, "sport"), (24, "dport")];
