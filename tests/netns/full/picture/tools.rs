//! What `ip`, `bridge`, `tc`, `teamnl` and sysfs say of a host, thing by thing.
//!
//! Their JSON is read here and brought into the form of `facts.rs`. Nothing is left out because
//! the picture does not have it, but for what the model leaves out by its own rules.

use std::collections::BTreeMap;
use std::fs;

use serde_json::Value;
use vdsm_model::bond_options::{BOND_OPTIONS, BondMode, OptionValue, ValueKind};
use vdsm_model::bridge_options;
use vdsm_model::netinfo::BRIDGE_PORT_SWITCHES;

use super::facts::{CONDITIONS, FLAGS, Facts, METRICS, Subject, TREE, is_fake, sorted, sorted_by_priority};
use super::stage::{run, said};

/// All that the tools say of these links, and of the rules.
pub fn theirs(wanted: &dyn Fn(&str) -> bool) -> Facts {
    let all = run("ip", "-d -j -N -batch -", "link show\naddr show\nroute show table all\nrule show\n");
    let mut tables = documents(&all);
    let [links, addresses, routes, rules] = std::array::from_fn(|_| tables.next().expect("four tables"));
    let rules6 = documents(&said("ip -6 -d -j -N rule show")).next().unwrap_or_default();
    let ports = by_name(documents(&said("bridge -d -j link")).next().unwrap_or_default());
    // The tool's JSON is none where there is an hfsc (iproute2 6.1).
    let qdiscs = said("tc qdisc show");
    let mut facts = Facts::new();
    for shown in links.iter().filter(|link| wanted(text(&link["ifname"]))) {
        let name = text(&shown["ifname"]);
        let link = &mut Subject { facts: &mut facts, name: name.to_owned() };
        head(link, shown);
        kind(link, shown);
        details(link, shown, ports.get(name));
        link.is("qdiscs", sorted(qdiscs.lines().filter_map(|line| qdisc(line, name)).collect()));
        let own = addresses.iter().find(|it| it["ifname"] == shown["ifname"]);
        let own = own.and_then(|it| it["addr_info"].as_array()).cloned().unwrap_or_default();
        for (property, family) in [("addresses -4", "inet"), ("addresses -6", "inet6")] {
            let own = own.iter().filter(|it| it["family"] == family && !is_kernels_link_local(it));
            link.is(property, own.map(address).collect::<Vec<_>>().join("\n"));
        }
        for (property, made) in [("routes", false), ("made routes", true)] {
            let own = routes.iter().filter(|it| it["dev"] == shown["ifname"] && is_kept(it) && is_made(it) == made);
            link.is(property, sorted(own.map(route).collect()));
        }
    }
    for (family, rules) in [("rules -4", rules), ("rules -6", rules6)] {
        let rules: Vec<_> = rules.iter().map(|it| rule(it, family)).collect();
        Subject { facts: &mut facts, name: family.to_owned() }.is("all", sorted_by_priority(rules));
    }
    facts
}

fn documents(text: &str) -> impl Iterator<Item = Vec<Value>> {
    serde_json::Deserializer::from_str(text).into_iter().map(Result::unwrap)
}

fn by_name(all: Vec<Value>) -> BTreeMap<String, Value> {
    all.into_iter().map(|it| (text(&it["ifname"]).to_owned(), it)).collect()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("")
}

fn has(list: &Value, word: &str) -> bool {
    list.as_array().is_some_and(|list| list.iter().any(|it| it == word))
}

fn file(path: &str) -> Option<String> {
    Some(fs::read_to_string(path).ok()?.trim().to_owned())
}

fn head(link: &mut Subject<'_>, shown: &Value) {
    let name = link.name.clone();
    let (state, info) = (text(&shown["operstate"]), &shown["linkinfo"]);
    let (up, lower_up) = (has(&shown["flags"], "UP"), has(&shown["flags"], "LOWER_UP"));
    let running = state == "UP" || (state == "UNKNOWN" && lower_up);
    link.is("index", &shown["ifindex"]);
    link.is("mtu", &shown["mtu"]);
    link.is("up", up);
    link.is("running", running);
    link.is("state", state.to_lowercase());
    link.may_be("mac", shown["address"].as_str().filter(|mac| mac.len() == 17));
    link.may_be("permanent mac", shown["permaddr"].as_str());
    link.may_be("master", shown["master"].as_str());
    link.is("group", text(&shown["group"]));
    let other_end = if info["info_kind"] == "veth" { "peer" } else { "base" };
    link.may_be(other_end, shown["link"].as_str());
    let sysctl = |which: &str| file(&format!("/proc/sys/net/ipv6/conf/{name}/{which}")).map(|text| text != "0");
    link.may_be("disable_ipv6", sysctl("disable_ipv6"));
    link.may_be("accept_ra", file(&format!("/proc/sys/net/ipv6/conf/{name}/accept_ra")));
    link.may_be("autoconf", sysctl("autoconf"));
    link.may_be("accept_ra_defrtr", sysctl("accept_ra_defrtr"));
    let nic = !matches!(text(&info["info_kind"]), "bond" | "bridge" | "vlan" | "team") && is_fake(&name);
    link.is("nic", nic);
    // The drivers of veth and tun name a speed at any time.
    let mode = |which: &str| file(&format!("/sys/class/net/{name}/{which}")).filter(|_| nic && running);
    link.may_be("speed", mode("speed").filter(|speed| speed != "-1"));
    link.may_be("duplex", mode("duplex").filter(|duplex| duplex != "unknown"));
}

fn kind(link: &mut Subject<'_>, shown: &Value) {
    let info = &shown["linkinfo"];
    let data = &info["info_data"];
    let word = info["info_kind"].as_str();
    let nic = link.facts[&(link.name.clone(), "nic".to_owned())] == "true";
    let known = match word {
        None if has(&shown["flags"], "LOOPBACK") => "loopback",
        Some("tun") => "tap",
        // With -N: 0x88a8.
        Some("vlan") if data["protocol"] == "[34984]" => "802.1ad vlan",
        Some(_) if nic => "nic",
        Some(word) => word,
        None => "nic",
    };
    link.is("kind", known);
    match word {
        Some("bond") => bond(link, data),
        Some("bridge") => bridge(link, data),
        Some("vlan") if known == "vlan" => link.is("tag", &data["id"]),
        Some("macvlan" | "macvtap") => link.is("macvlan mode", text(&data["mode"])),
        Some("tun") => {
            link.is("tap", data["type"] == "tap");
            link.is("persist", data["persist"] == true);
            link.is("multi_queue", data["multi_queue"] == true);
            // By number, as nobody here has that one.
            link.may_be("owner", data["user"].as_u64());
        }
        Some("team") => team(link),
        _ => {}
    }
}

/// A team and, as it sees them, its ports.
fn team(link: &mut Subject<'_>) {
    let name = link.name.clone();
    let mut ports = BTreeMap::new();
    // `3: d8: up 10000Mbit FD`
    for line in said(&format!("teamnl {name} ports")).lines() {
        let [index, port, state, speed, _] = line.split_whitespace().collect::<Vec<_>>()[..] else { continue };
        let port = port.trim_end_matches(':');
        let subject = &mut Subject { facts: link.facts, name: port.to_owned() };
        subject.is("link to the team", state);
        subject.is("speed to the team", speed.trim_end_matches("Mbit"));
        ports.insert(index.trim_end_matches(':').to_owned(), port.to_owned());
    }
    // `enabled (port:d7) true`
    for line in said(&format!("teamnl {name} options")).lines() {
        match line.split_whitespace().collect::<Vec<_>>()[..] {
            ["mode", mode] if mode != "*NOMODE*" => link.is("team mode", mode),
            ["activeport", index] => link.may_be("active port", ports.get(index)),
            ["enabled", port, is_on] => {
                let name = port.trim_start_matches("(port:").trim_end_matches(')').to_owned();
                Subject { facts: link.facts, name }.is("enabled", is_on);
            }
            _ => {}
        }
    }
}

fn bond(link: &mut Subject<'_>, data: &Value) {
    let mode = BondMode::ALL.into_iter().find(|mode| data["mode"] == mode.name()).expect("a mode");
    link.is("mode", mode.name());
    link.may_be("active slave", data["active_slave"].as_str());
    let lacp = &data["ad_info"];
    link.may_be("lacp", lacp["aggregator"].as_u64().map(|it| format!("{it} {}", text(&lacp["partner_mac"]))));
    for option in BOND_OPTIONS.iter().filter(|option| option.works_in(mode)) {
        let value = match option.name {
            "peer_notif_delay" => &data["peer_notify_delay"],
            "num_grat_arp" => &data["num_peer_notif"],
            "lacp_active" | "lacp_rate" => &data[format!("ad_{}", option.name)],
            name => &data[name],
        };
        // What the picture has where the kernel says nothing.
        let usual = match option.kind {
            ValueKind::Ips4 | ValueKind::Ips6 => Some(String::new()),
            ValueKind::Device => None,
            ValueKind::Mac => Some(OptionValue::Mac([0; 6]).to_string()),
            _ => Some(option.default_number(mode).to_string()),
        };
        let number = |word: &str| option.symbols.iter().find(|(it, _)| *it == word).map(|(_, number)| *number);
        let value = match value {
            Value::Null => usual,
            Value::String(word) => Some(number(word).map_or(word.clone(), |number| number.to_string())),
            Value::Array(list) => Some(list.iter().map(text).collect::<Vec<_>>().join(",")),
            other => Some(other.to_string()),
        };
        // Beside MII monitoring the kernel remembers it, and has no use for it.
        let value = if option.name == "arp_validate" && data["miimon"] != 0 { usual_zero() } else { value };
        link.may_be(option.name, value);
    }
}

fn usual_zero() -> Option<String> {
    Some("0".to_owned())
}

fn bridge(link: &mut Subject<'_>, data: &Value) {
    let options = data.as_object().expect("a bridge's data");
    for (word, value) in options {
        let name = match word.as_str() {
            "vlan_default_pvid" => "default_pvid".to_owned(),
            "mcast_hash_elasticity" => "hash_elasticity".to_owned(),
            "mcast_hash_max" => "hash_max".to_owned(),
            word if word.ends_with("_intvl") || word.ends_with("_cnt") => {
                word.replace("mcast_", "multicast_").replace("_intvl", "_interval").replace("_cnt", "_count")
            }
            word => word.replace("mcast_", "multicast_"),
        };
        let value = match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        match name.as_str() {
            "bridge_id" | "root_id" => link.is(&name, id(&value)),
            name if TREE.contains(&name) => link.is(name, value),
            "vlan_protocol" => link.is(&name, value.trim_matches(['[', ']'])),
            "group_fwd_mask" => {
                link.is(&name, u64::from_str_radix(value.trim_start_matches("0x"), 16).expect("a mask"))
            }
            "group_addr" => link.is(&name, u64::from_str_radix(&value.replace(':', ""), 16).expect("a mac")),
            name if bridge_options::default_of(name).is_some() => link.is(name, value),
            _ => {}
        }
    }
}

/// A bridge's identifier as sysfs has it: `ip` leaves out zeros.
fn id(shown: &str) -> String {
    let (priority, mac) = shown.split_once('.').expect("an identifier");
    let bytes = mac.split(':').map(|byte| format!("{byte:0>2}"));
    format!("{priority}.{}", bytes.collect::<String>())
}

fn details(link: &mut Subject<'_>, shown: &Value, port: Option<&Value>) {
    let info = &shown["linkinfo"];
    let own = &info["info_slave_data"];
    match info["info_slave_kind"].as_str() {
        None => {}
        Some("bridge") => {
            // The bridge's own word for it, as far as it goes.
            let port = port.unwrap_or(own);
            link.is("port of", "bridge");
            link.is("port state", text(&port["state"]));
            link.is("priority", &port["priority"]);
            link.is("cost", &port["cost"]);
            for (_, word) in BRIDGE_PORT_SWITCHES {
                assert_eq!(own[word], port[word], "{} {word}", link.name);
                link.is(word, port[word] == true);
            }
        }
        Some("bond") => {
            link.is("port of", "bond");
            link.is("slave's own mac", text(&own["perm_hwaddr"]));
            link.is("slave state", text(&own["state"]));
            link.is("mii", text(&own["mii_status"]));
            link.is("failures", &own["link_failure_count"]);
            link.is("queue", &own["queue_id"]);
            link.may_be("aggregator", own["ad_aggregator_id"].as_u64());
            link.may_be("actor", own["ad_actor_oper_port_state"].as_u64());
            link.may_be("partner", own["ad_partner_oper_port_state"].as_u64());
        }
        Some(word) => link.is("port of", word),
    }
}

/// `qdisc tbf 10: dev d0 parent 1:1 ..`, or `root` in the place of the last two.
fn qdisc(line: &str, link: &str) -> Option<String> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let [_, kind, handle, "dev", dev, place, parent, ..] = words[..] else { return None };
    let parent = if place == "parent" { parent } else { place };
    (dev == link && handle != "0:").then(|| format!("{parent} {handle} {kind}"))
}

/// One that the kernel made of the hardware address; all of ours are not random.
fn is_kernels_link_local(shown: &Value) -> bool {
    let local = text(&shown["local"]);
    local.starts_with("fe80:") && local.contains("ff:fe")
}

fn address(shown: &Value) -> String {
    let flags: Vec<_> = FLAGS.iter().filter(|(_, word)| shown[word] == true).map(|(_, word)| *word).collect();
    let or_none = |key: &str| shown[key].as_str().unwrap_or("-").to_owned();
    let forever = shown["valid_life_time"] == u32::MAX && shown["preferred_life_time"] == u32::MAX;
    format!(
        "{}/{} brd {} peer {} label {} scope {} {flags:?} metric {} {}",
        text(&shown["local"]),
        shown["prefixlen"],
        or_none("broadcast"),
        or_none("address"),
        or_none("label"),
        text(&shown["scope"]),
        shown["metric"].as_u64().unwrap_or(0),
        if forever { "forever" } else { "for a while" },
    )
}

fn is_made(shown: &Value) -> bool {
    matches!(text(&shown["protocol"]), "2" | "9")
}

/// By the rules at the head of `src/netinfo/layer3.rs`.
fn is_kept(shown: &Value) -> bool {
    let default = shown["dst"] == "default";
    let by_whom = match text(&shown["protocol"]) {
        "2" | "3" | "4" | "9" | "16" => true,
        "1" => false,
        _ => default,
    };
    let link_local = is_made(shown) && text(&shown["dst"]).starts_with("fe80:");
    let special = ["nexthops", "tos", "src", "from"].iter().any(|key| shown.get(key).is_some());
    by_whom && !link_local && !special && shown["type"] == "1" && shown["table"] != "255"
}

fn route(shown: &Value) -> String {
    let (to, gateway) = (text(&shown["dst"]), shown["via"]["host"].as_str().or(shown["gateway"].as_str()));
    // The tool tells IPv6's preference of every IPv6 route, and of no other.
    let v6 = shown.get("pref").is_some();
    let to = match (to, v6) {
        ("default", false) => "0.0.0.0/0".to_owned(),
        ("default", true) => "::/0".to_owned(),
        (to, _) if to.contains('/') => to.to_owned(),
        (to, v6) => format!("{to}/{}", if v6 { 128 } else { 32 }),
    };
    let metrics = &shown["metrics"][0];
    let metrics = METRICS.iter().filter_map(|(_, word)| Some(format!("{word} {}", metrics[word].as_u64()?)));
    format!(
        "{to} via {} table {} metric {} proto {} scope {} src {} onlink {} {}",
        gateway.unwrap_or("-"),
        text(&shown["table"]),
        shown["metric"].as_u64().unwrap_or(0),
        text(&shown["protocol"]),
        text(&shown["scope"]),
        shown["prefsrc"].as_str().unwrap_or("-"),
        has(&shown["flags"], "onlink"),
        metrics.collect::<Vec<_>>().join(" "),
    )
}

fn rule(shown: &Value, family: &str) -> (u32, String) {
    let longest = if family.ends_with('6') { 128 } else { 32 };
    let prefix = |addr: &str, length: &str| match shown[addr].as_str() {
        None | Some("all") => "all".to_owned(),
        Some(addr) => format!("{addr}/{}", shown[length].as_u64().unwrap_or(longest)),
    };
    let hexadecimal = |key: &str| u32::from_str_radix(text(&shown[key]).trim_start_matches("0x"), 16).ok();
    let mark = hexadecimal("fwmark").map(|mark| (mark, hexadecimal("fwmask").unwrap_or(u32::MAX)));
    let action = match shown["action"].as_str() {
        Some(number) => number,
        None if shown.get("goto").is_some() => "2",
        None if shown.get("nop").is_some() => "3",
        None => "1",
    };
    let rest: Vec<_> = CONDITIONS.iter().map(|(_, word)| *word).filter(|word| has_condition(shown, word)).collect();
    let line = format!(
        "{} not {} from {} to {} iif {} oif {} mark {mark:?} tos {} action {action} table {} goto {:?} proto {} {rest:?}",
        shown["priority"],
        shown.get("not").is_some(),
        prefix("src", "srclen"),
        prefix("dst", "dstlen"),
        shown["iif"].as_str().unwrap_or("-"),
        shown["oif"].as_str().unwrap_or("-"),
        hexadecimal("tos").unwrap_or(0),
        shown["table"].as_str().unwrap_or("0"),
        shown["goto"].as_u64(),
        text(&shown["protocol"]),
    );
    (shown["priority"].as_u64().and_then(|it| it.try_into().ok()).expect("a priority"), line)
}

/// A range has other words than a single number.
fn has_condition(shown: &Value, word: &str) -> bool {
    let keys = [word.to_owned(), format!("{word}_start")];
    keys.iter().any(|key| shown.get(key).is_some())
}
