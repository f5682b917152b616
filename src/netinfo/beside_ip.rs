//! Holding what is seen against what `ip` shows of the same network namespace, for the tests.
//!
//! `ip` reads the same dumps, but all its code is another's.

use std::any::type_name_of_val;
use std::collections::BTreeSet;
use std::process::Command;
use std::sync::Arc;
use std::{fs, thread};

use nix::sched::{CloneFlags, unshare};
use serde_json::Value;
use vdsm_model::name::DeviceName;
use vdsm_model::netinfo::{NetInfo, SeenKind, SeenLink};
use vdsm_netlink::attrs::Attrs;

use super::NicRule;
use crate::skip::skip;

/// Lets in what is called `fake..`, and hides what ends with a `w`.
pub(super) struct Rule;

impl NicRule for Rule {
    fn is_fake(&self, name: &str) -> bool {
        name.starts_with("fake")
    }

    fn is_hidden(&self, name: &str) -> bool {
        name.ends_with('w')
    }
}

/// Runs the test on a thread with a network namespace of its own.
pub(super) fn in_namespace(test: impl FnOnce() + Send) {
    let name = type_name_of_val(&test).trim_end_matches("::{{closure}}");
    thread::scope(|scope| {
        let run = scope.spawn(|| {
            if let Err(errno) = unshare(CloneFlags::CLONE_NEWNET) {
                return skip(name, &format!("no network namespace may be made here: {errno}"));
            }
            if Command::new("ip").arg("-V").output().is_err() {
                return skip(name, "there is no ip command to compare with");
            }
            test();
        });
        run.join().unwrap();
    });
}

/// One line for each link, but for timers and speeds, which a look does not ask for; and one for each rule.
fn print(host: &NetInfo) -> BTreeSet<String> {
    let links = host.links().cloned().map(|mut link| {
        if let SeenKind::Bridge { report, .. } = &mut link.kind {
            assert!(Attrs::new(report).count() > 30, "no report");
            *report = Default::default();
        }
        assert_eq!(host.name_of(link.index), Some(link.name));
        link.routes.sort();
        link.made_routes.sort();
        let details = Arc::make_mut(&mut link.details);
        (details.speed, details.duplex) = (None, None);
        format!("{link:?}")
    });
    let rules = host.rules().map(|rule| format!("{rule:?}"));
    links.chain(rules).chain([format!("{}", host.has_ipv6)]).collect()
}

/// What only one of two looks at one host has.
pub(super) fn differences(one: &NetInfo, other: &NetInfo) -> String {
    let (one, other) = (print(one), print(other));
    let only = |one: &BTreeSet<String>, other: &BTreeSet<String>| {
        one.difference(other).map(|line| format!("{line}\n\n")).collect::<String>()
    };
    match one == other {
        true => String::new(),
        false => format!("only here:\n{}\nonly there:\n{}", only(&one, &other), only(&other, &one)),
    }
}

/// Holds two looks at one host against each other.
#[track_caller]
pub(super) fn is_the_same(seen: &NetInfo, truth: &NetInfo, when: &str) {
    let differences = differences(seen, truth);
    assert!(differences.is_empty(), "{when}\n{differences}");
}

/// Holds all that is seen against what `ip` shows.
pub(super) fn agrees(host: NetInfo) -> NetInfo {
    assert!(host.has_ipv6, "a kernel without IPv6 cannot be compared");
    let shown = json("-d -j address show");
    let names: Vec<_> = shown.iter().map(|l| l["ifname"].as_str().unwrap()).collect();
    assert_eq!(host.links().count(), names.len(), "{names:?}");
    for shown in &shown {
        let link = host.link(&name(shown["ifname"].as_str().unwrap())).unwrap();
        link_agrees(link, shown);
        addresses_agree(link, shown);
    }
    routes_agree(&host);
    host
}

fn link_agrees(link: &SeenLink, shown: &Value) {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let flags: Vec<_> = shown["flags"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    let state = shown["operstate"].as_str().unwrap();
    assert_eq!(Some(u64::from(link.index)), shown["ifindex"].as_u64());
    assert_eq!(Some(u64::from(link.mtu.get())), shown["mtu"].as_u64());
    assert_eq!(link.up, flags.contains(&"UP"));
    assert_eq!(link.running, state == "UP" || (state == "UNKNOWN" && flags.contains(&"LOWER_UP")));
    assert_eq!(link.mac.map(|m| m.to_string()), text(&shown["address"]));
    assert_eq!(link.master.map(|m| m.to_string()), text(&shown["master"]));
    let group = if link.group == 0 { "default".to_owned() } else { link.group.to_string() };
    assert_eq!(Some(group), text(&shown["group"]));
    let sysctl = format!("/proc/sys/net/ipv6/conf/{}/disable_ipv6", link.name);
    let disabled = fs::read_to_string(&sysctl).ok().map(|text| text.trim() != "0");
    assert_eq!(link.ipv6_disabled, disabled, "{sysctl}");

    let info = &shown["linkinfo"];
    let (data, slave) = (&info["info_data"], &info["info_slave_data"]);
    let is_slave = info["info_slave_kind"] == "bond";
    assert_eq!(link.permanent_mac.map(|m| m.to_string()), text(&slave["perm_hwaddr"]).filter(|_| is_slave));
    assert_eq!(link.aggregator.map(u64::from), slave["ad_aggregator_id"].as_u64());
    match (&link.kind, info["info_kind"].as_str()) {
        (SeenKind::Nic, kind) => {
            assert!(kind.is_none() || Rule.is_fake(link.name.as_str()));
            assert_eq!(link.nic, !Rule.is_hidden(link.name.as_str()));
        }
        (SeenKind::Bond { options, active, lacp }, Some("bond")) => {
            assert_eq!(Some(options.mode().name().to_owned()), text(&data["mode"]));
            assert_eq!(options.get("miimon").unwrap().to_string(), data["miimon"].to_string());
            assert_eq!(options.get("primary").unwrap().to_string(), text(&data["primary"]).unwrap_or_default());
            assert_eq!(active.map(|a| a.to_string()), text(&data["active_slave"]));
            let partner = text(&data["ad_info"]["partner_mac"]);
            assert_eq!(lacp.map(|(_, mac)| mac.to_string()), partner);
            assert_eq!(lacp.map(|(id, _)| u64::from(id)), data["ad_info"]["aggregator"].as_u64());
        }
        (SeenKind::Vlan { tag, device }, Some("vlan")) => {
            assert_eq!(data["protocol"], "802.1Q");
            assert_eq!(Some(u64::from(tag.get())), data["id"].as_u64());
            assert_eq!(device.map(|d| d.to_string()), text(&shown["link"]));
        }
        // A bridge that is down changes in silence.
        (SeenKind::Bridge { .. }, Some("bridge")) if !link.up => {}
        (SeenKind::Bridge { options, .. }, Some("bridge")) => {
            assert_eq!(options.get("stp_state"), data["stp_state"].as_u64());
            assert_eq!(options.get("forward_delay"), data["forward_delay"].as_u64());
        }
        (SeenKind::Tap, kind) => assert_eq!(kind, Some("tun")),
        (SeenKind::Other(word), Some("vlan")) => {
            assert_eq!((word.as_str(), &data["protocol"]), ("802.1ad vlan", &Value::from("802.1ad")));
        }
        (SeenKind::Other(word), Some(kind)) => assert_eq!(word, kind),
        (SeenKind::Other(word), None) => {
            assert_eq!(flags.contains(&"LOOPBACK"), word == "loopback")
        }
        (kind, shown) => panic!("{kind:?} is {shown:?}"),
    }
}

fn addresses_agree(link: &SeenLink, shown: &Value) {
    let mut expected = Vec::new();
    for address in shown["addr_info"].as_array().unwrap() {
        let local = address["local"].as_str().unwrap();
        // Nobody is told of those without duplicate detection until the link runs.
        let told = link.running || !local.contains(':');
        if !local.starts_with("fe80:") && told {
            let broadcast = address["broadcast"].as_str().unwrap_or("-");
            expected.push(format!("{local}/{} {broadcast}", address["prefixlen"]));
        }
    }
    let show = |a: &vdsm_model::ip::Address| format!("{a} {}", a.broadcast.map_or("-".into(), |b| b.to_string()));
    let seen = link.addresses.iter().filter(|a| link.running || a.ip.addr.is_ipv4()).map(show);
    assert_eq!(seen.collect::<Vec<_>>(), expected, "{}", link.name);
}

fn routes_agree(host: &NetInfo) {
    let mut expected = BTreeSet::new();
    let families = ["-4", "-6"].map(|family| json(&format!("{family} -N -d -j route show table all")));
    for (family, routes) in families.iter().enumerate() {
        for route in routes {
            let text = |key: &str| route[key].as_str().unwrap_or("-").to_owned();
            let (protocol, table) = (text("protocol"), text("table"));
            let default = route["dst"] == "default";
            let kept = match protocol.as_str() {
                "3" | "4" | "16" => true,
                "1" | "2" | "9" => false,
                _ => default,
            };
            // Those that lead nowhere are kept where one of ours might want the place.
            let (fate, exclusive) = (text("type"), default || !["254", "-"].contains(&table.as_str()));
            let is_told = fate == "1" || exclusive && ["6", "7", "8", "9"].contains(&fate.as_str());
            if !kept || !is_told || table == "255" || route.get("nexthops").is_some() {
                continue;
            }
            let gateway = route["via"]["host"].as_str().unwrap_or(route["gateway"].as_str().unwrap_or("-"));
            let metric = route["metric"].as_u64().unwrap_or(0);
            let table = if table == "-" { "254" } else { &table };
            let to = match (default, family) {
                (true, 0) => "0.0.0.0/0".to_owned(),
                (true, _) => "::/0".to_owned(),
                (false, _) if text("dst").contains('/') => text("dst"),
                (false, family) => format!("{}/{}", text("dst"), [32, 128][family]),
            };
            let (dev, source) = (text("dev"), text("prefsrc"));
            let dev = if fate == "1" { &dev } else { "lo" };
            expected.insert(format!(
                "{fate} {to} via {gateway} dev {dev} table {table} metric {metric} proto {protocol} src {source}"
            ));
        }
    }
    let seen = host.links().flat_map(|link| link.routes.iter().map(move |route| (link.name, route)));
    let seen: BTreeSet<_> = seen
        .map(|(dev, r)| {
            let or_none = |ip: Option<std::net::IpAddr>| ip.map_or("-".to_owned(), |ip| ip.to_string());
            let (gateway, source) = (or_none(r.gateway), or_none(r.source));
            format!(
                "{} {} via {gateway} dev {dev} table {} metric {} proto {} src {source}",
                r.fate.number(),
                r.to,
                r.table,
                r.metric,
                r.protocol
            )
        })
        .collect();
    assert_eq!(seen, expected);
}

pub(super) fn name(text: &str) -> DeviceName {
    DeviceName::try_from(text).unwrap()
}

pub(super) fn try_ip(line: &str) -> Result<String, String> {
    let output = Command::new("ip").args(line.split_whitespace()).output().unwrap();
    match output.status.success() {
        true => Ok(String::from_utf8(output.stdout).unwrap()),
        false => Err(String::from_utf8(output.stderr).unwrap()),
    }
}

pub(super) fn ip(lines: &str) {
    for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
        try_ip(line).unwrap_or_else(|error| panic!("ip {line}: {error}"));
    }
}

fn json(line: &str) -> Vec<Value> {
    let text = try_ip(line).unwrap();
    match text.trim().is_empty() {
        true => Vec::new(),
        false => serde_json::from_str(&text).unwrap(),
    }
}
