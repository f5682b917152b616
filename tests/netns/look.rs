//! The host as `ip` tells it: never our own reader's word.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::common::state::difference;

/// One moment of the namespace, from a single `ip`.
pub struct Look {
    links: BTreeMap<String, Value>,
    routes: Vec<Value>,
    rules: Vec<Value>,
}

/// Runs `ip -batch`, one command a line; a failing one is a failing test.
pub fn ip(commands: &str) {
    if let Err(why) = try_ip(commands) {
        panic!("ip -batch: {why}\n{commands}");
    }
}

/// The same for commands that this kernel may not know.
pub fn try_ip(commands: &str) -> Result<(), String> {
    batch(&[], commands).map(drop)
}

/// What `ip -batch` says, document after document.
pub fn batch(options: &[&str], commands: &str) -> Result<String, String> {
    let mut child = Command::new("ip")
        .args(options)
        .args(["-batch", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(commands.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    if output.status.success() {
        Ok(String::from_utf8(output.stdout).unwrap())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).trim().to_owned())
    }
}

impl Look {
    pub fn now() -> Look {
        let text = batch(&["-d", "-j"], "addr show\nroute show table all\nrule show\n").unwrap();
        let mut documents = serde_json::Deserializer::from_str(&text).into_iter::<Vec<Value>>().map(Result::unwrap);
        let links = documents
            .next()
            .unwrap()
            .into_iter()
            .map(|link| (link["ifname"].as_str().unwrap().to_owned(), link))
            .collect();
        let mut rest = || documents.next().unwrap_or_default();
        Look { links, routes: rest(), rules: rest() }
    }

    pub fn has(&self, name: &str) -> bool {
        self.links.contains_key(name)
    }

    pub fn names(&self) -> Vec<&str> {
        self.links.keys().map(String::as_str).collect()
    }

    pub fn link(&self, name: &str) -> &Value {
        self.links.get(name).unwrap_or_else(|| panic!("no {name} among {:?}", self.names()))
    }

    pub fn index(&self, name: &str) -> i64 {
        self.link(name)["ifindex"].as_i64().unwrap()
    }

    pub fn mtu(&self, name: &str) -> i64 {
        self.link(name)["mtu"].as_i64().unwrap()
    }

    pub fn mtus(&self, names: &[&str]) -> Vec<i64> {
        names.iter().map(|name| self.mtu(name)).collect()
    }

    pub fn mac(&self, name: &str) -> &str {
        self.link(name)["address"].as_str().unwrap()
    }

    pub fn kind(&self, name: &str) -> &str {
        self.link(name)["linkinfo"]["info_kind"].as_str().unwrap_or("")
    }

    /// The options of a bond, bridge or VLAN.
    pub fn info(&self, name: &str) -> &Value {
        &self.link(name)["linkinfo"]["info_data"]
    }

    pub fn is_up(&self, name: &str) -> bool {
        self.flags(name).contains(&"UP")
    }

    pub fn has_carrier(&self, name: &str) -> bool {
        self.flags(name).contains(&"LOWER_UP")
    }

    fn flags(&self, name: &str) -> Vec<&str> {
        self.link(name)["flags"].as_array().unwrap().iter().map(|f| f.as_str().unwrap()).collect()
    }

    /// The bridge or bond a device belongs to; "" if none.
    pub fn master(&self, name: &str) -> &str {
        self.link(name)["master"].as_str().unwrap_or("")
    }

    pub fn ports(&self, master: &str) -> Vec<&str> {
        self.names().into_iter().filter(|name| self.master(name) == master).collect()
    }

    /// The tag of a VLAN and the device below.
    pub fn vlan(&self, name: &str) -> (i64, &str) {
        (self.info(name)["id"].as_i64().unwrap(), self.link(name)["link"].as_str().unwrap())
    }

    /// `a.b.c.d/p` and `x::y/p`, in the order of the kernel, link-local ones left out.
    pub fn addresses(&self, name: &str) -> Vec<String> {
        self.all_addresses(name).into_iter().filter(|(_, scope)| scope != "link").map(|(address, _)| address).collect()
    }

    fn all_addresses(&self, name: &str) -> Vec<(String, String)> {
        let list = self.link(name)["addr_info"].as_array().unwrap().iter();
        list.filter(|a| a["local"].is_string())
            .map(|a| {
                (
                    format!("{}/{}", a["local"].as_str().unwrap(), a["prefixlen"]),
                    a["scope"].as_str().unwrap().to_owned(),
                )
            })
            .collect()
    }

    /// `10.0.0.254 red` for each default route of the main table.
    pub fn default_routes(&self) -> Vec<String> {
        let text = |v: &Value| v.as_str().unwrap_or("-").to_owned();
        self.routes
            .iter()
            .filter(|r| r["dst"] == "default" && r["table"] == "main")
            .map(|r| format!("{} {}", text(&r["gateway"]), text(&r["dev"])))
            .collect()
    }

    /// `10.0.0.0/24 via - of red, table 167772161`, for each IPv4 route of a table that is not the kernel's.
    pub fn source_routes(&self) -> Vec<String> {
        let text = |v: &Value| v.as_str().unwrap_or("-").to_owned();
        let others = self.routes.iter().filter(|r| !["main", "local"].contains(&r["table"].as_str().unwrap_or("main")));
        let mut all: Vec<String> = others
            .map(|r| {
                format!(
                    "{} via {} of {}, table {}",
                    text(&r["dst"]),
                    text(&r["gateway"]),
                    text(&r["dev"]),
                    text(&r["table"])
                )
            })
            .collect();
        all.sort();
        all
    }

    /// `from all to 10.0.0.0/24 iif red, table 167772161`, for each rule of priority 32000.
    pub fn source_rules(&self) -> Vec<String> {
        let subnet = |r: &Value, key: &str| match r[key].as_str() {
            Some(addr) if r[format!("{key}len")].is_number() => format!("{addr}/{}", r[format!("{key}len")]),
            other => other.unwrap_or("-").to_owned(),
        };
        let ours = self.rules.iter().filter(|r| r["priority"] == 32000);
        let mut all: Vec<String> = ours
            .map(|r| {
                let iif = r["iif"].as_str().unwrap_or("-");
                format!(
                    "from {} to {} iif {iif}, table {}",
                    subnet(r, "src"),
                    subnet(r, "dst"),
                    r["table"].as_str().unwrap()
                )
            })
            .collect();
        all.sort();
        all
    }

    /// IPv6 is off: by the sysctl, and no address came before it was.
    pub fn assert_no_ipv6(&self, names: &[&str]) {
        for name in names {
            assert_eq!(disable_ipv6(name), "1", "disable_ipv6 of {name}");
            let v6: Vec<_> = self.all_addresses(name).into_iter().filter(|(a, _)| a.contains(':')).collect();
            assert!(v6.is_empty(), "{name} has {v6:?}");
        }
    }

    /// All there is to compare, one line for each link, address and route; what changes by itself
    /// is left out. With `known`, only of those links.
    pub fn text(&self, known: Option<&[&str]>) -> String {
        let wanted = |name: &Value| known.is_none_or(|known| known.contains(&name.as_str().unwrap_or("")));
        let mut out = String::new();
        for link in self.links.values().filter(|l| wanted(&l["ifname"])) {
            let mut link = link.clone();
            let addresses = link["addr_info"].take();
            let name = link["ifname"].as_str().unwrap().to_owned();
            if link["linkinfo"]["info_data"]["mode"].as_str().is_some_and(|mode| mode != "802.3ad") {
                // It cannot be set in other modes, and sleeps.
                link["linkinfo"]["info_data"].as_object_mut().unwrap().remove("ad_lacp_rate");
            }
            steady(&mut link);
            flat(&name, &link, &mut out);
            let _ = writeln!(out, "{name} disable_ipv6 {}", disable_ipv6(&name));
            for address in
                addresses.as_array().into_iter().flatten().filter(|a| a["scope"] != "link" && a["local"].is_string())
            {
                let mut address = address.clone();
                steady(&mut address);
                let _ = writeln!(out, "{name} address {address}");
            }
        }
        let mut routes: Vec<String> = Vec::new();
        for route in self.routes.iter().filter(|r| {
            wanted(&r["dev"])
                && r["table"] != "local"
                && r["type"] != "multicast"
                && r["dst"] != "fe80::/64"
                && r["dst"] != "ff00::/8"
        }) {
            let mut route = route.clone();
            steady(&mut route);
            routes.push(format!("route {route}\n"));
        }
        routes.sort();
        if known.is_none() {
            routes.extend(self.rules.iter().map(|rule| format!("rule {rule}\n")));
        }
        out + &routes.concat()
    }
}

/// Drops what changes by itself: timers, carrier, the spanning tree, tentative addresses.
fn steady(value: &mut Value) {
    let Some(map) = value.as_object_mut() else { return };
    if let Some(flags) = map.get_mut("flags").and_then(Value::as_array_mut) {
        flags.retain(|flag| flag == "UP");
    }
    map.retain(|key, _| {
        ![
            "timer",
            "expires",
            "operstate",
            "tentative",
            "dadfailed",
            "topology",
            "root_",
            "life_time",
            "state",
            "ad_info",
            "promiscuity",
            "allmulti",
            "mii_status",
            "link_failure",
            "fdb_n_learned",
            "message_age",
            "active_slave",
        ]
        .iter()
        .any(|w| key.contains(w))
            || key == "stp_state"
            || key == "all_slaves_active"
    });
    map.values_mut().for_each(steady);
}

/// A line for each value within.
fn flat(path: &str, value: &Value, out: &mut String) {
    match value {
        Value::Object(map) => map.iter().for_each(|(key, value)| flat(&format!("{path} {key}"), value, out)),
        other => {
            let _ = writeln!(out, "{path} {other}");
        }
    }
}

/// The sysctl; "-" where IPv6 does not run on the device.
pub fn disable_ipv6(name: &str) -> String {
    std::fs::read_to_string(format!("/proc/sys/net/ipv6/conf/{name}/disable_ipv6"))
        .map_or("-".to_owned(), |text| text.trim().to_owned())
}

/// The same without the numbers of devices, which are the kernel's to give.
pub fn without_indexes(text: &str) -> String {
    text.lines().filter(|line| !line.contains(" ifindex ")).collect::<Vec<_>>().join("\n")
}

/// The two moments are the same.
#[track_caller]
pub fn assert_same(before: &str, after: &str, what: &str) {
    assert!(before == after, "{what}:\n{}", difference(before, after));
}
