//! What the host must look like after a step, and what `ip` says it does.
//!
//! A candidate that silently did less would win every race. The expectation is the same for all
//! of them, so what passes is equal among them; `ip` is asked because none of our code is in it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Command;

use serde_json::Value;

use crate::raw::ipv6_switch;
use crate::workload::{BOND, NICS, Step, Workload, bridge, mtu_after, vlan};

/// What is compared of each link, by its name.
pub(crate) type State = BTreeMap<String, String>;

/// The links after a step.
pub(crate) fn expected(step: Step, workload: Workload) -> State {
    let left = workload.left_by(step);
    if left == 0 {
        return NICS.iter().map(|nic| (nic.to_string(), FREE.to_owned())).collect();
    }
    let mtu = mtu_after(step);
    let line = |what: String, master: &str| format!("{what} up, mtu {mtu}, master {master}, ipv6 off");
    let bond = line(format!("bond {} miimon 100", workload.mode.name()), "-");
    let nics = NICS.iter().map(|nic| (nic.to_string(), line("dummy".into(), BOND)));
    let networks = (1..=left).flat_map(|tag| {
        let port = line(format!("vlan {tag} on {BOND}"), &bridge(tag));
        [(bridge(tag), line("bridge delay 0 stp 0".into(), "-")), (vlan(tag), port)]
    });
    nics.chain([(BOND.to_owned(), bond)]).chain(networks).collect()
}

/// A nic nobody uses: what a candidate leaves of its settings is its own affair.
const FREE: &str = "dummy, free";

/// The links of this network namespace, but for `others`.
pub(crate) fn seen(others: &BTreeSet<String>) -> Result<State, String> {
    let links = links()?;
    let ours = links
        .iter()
        .filter_map(|link| Some((link["ifname"].as_str()?, link)))
        .filter(|(name, _)| !others.contains(*name));
    Ok(ours.map(|(name, link)| (name.to_owned(), described(name, link))).collect())
}

/// The names of all links.
pub(crate) fn names() -> Result<BTreeSet<String>, String> {
    Ok(links()?.iter().filter_map(|link| link["ifname"].as_str()).map(str::to_owned).collect())
}

/// The first differences in words; none if there is none.
pub(crate) fn difference(expected: &State, seen: &State) -> Option<String> {
    const SHOWN: usize = 3;
    let names: BTreeSet<&String> = expected.keys().chain(seen.keys()).collect();
    let differing = names.into_iter().filter(|name| expected.get(*name) != seen.get(*name));
    let said: Vec<String> = differing
        .map(|name| {
            let [want, have] = [expected, seen].map(|state| state.get(name).map_or("nothing", String::as_str));
            format!("{name}: wanted {want}; found {have}")
        })
        .collect();
    let more = said.len().saturating_sub(SHOWN);
    let counts = format!("{} links wanted, {} found", expected.len(), seen.len());
    let text = said.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join("\n  ");
    (!said.is_empty())
        .then(|| format!("{counts}\n  {text}{}", if more > 0 { format!("\n  and {more} more") } else { String::new() }))
}

fn links() -> Result<Vec<Value>, String> {
    let output = Command::new("ip").args(["-d", "-j", "link"]).output().map_err(|e| format!("ip: {e}"))?;
    if !output.status.success() {
        return Err(format!("ip -d -j link: {}: {}", output.status, String::from_utf8_lossy(&output.stderr)));
    }
    serde_json::from_slice(&output.stdout).map_err(|e| format!("ip -d -j link: {e}"))
}

fn described(name: &str, link: &Value) -> String {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let info = &link["linkinfo"];
    let data = &info["info_data"];
    let master = link["master"].as_str();
    let kind = info["info_kind"].as_str().unwrap_or("nic");
    let what = match kind {
        "bond" => format!("bond {} miimon {}", text(&data["mode"]), text(&data["miimon"])),
        "bridge" => format!("bridge delay {} stp {}", text(&data["forward_delay"]), text(&data["stp_state"])),
        "vlan" => format!("vlan {} on {}", text(&data["id"]), text(&link["link"])),
        "dummy" if master.is_none() => return FREE.to_owned(),
        other => other.to_owned(),
    };
    let up = link["flags"].as_array().is_some_and(|flags| flags.iter().any(|flag| flag == "UP"));
    // Below 1280 bytes, or without IPv6 in the kernel, there is no such file, and no IPv6.
    let ipv6_off = fs::read_to_string(ipv6_switch(name)).is_ok_and(|text| text.trim() == "1");
    format!(
        "{what} {}, mtu {}, master {}, ipv6 {}",
        if up { "up" } else { "down" },
        link["mtu"],
        master.unwrap_or("-"),
        if ipv6_off { "off" } else { "on" }
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::BondMode;

    #[test]
    fn a_link_that_is_missing_or_other_is_named() {
        let workload = Workload { n: 1, mode: BondMode::ActiveBackup };
        let wanted = expected(Step::Create, workload);
        assert_eq!(difference(&wanted, &wanted), None);
        let mut seen = wanted.clone();
        seen.remove("n1");
        seen.insert("bond0.1".into(), "vlan 2".into());
        let text = difference(&wanted, &seen).unwrap_or_default();
        assert!(text.contains("n1: wanted bridge") && text.contains("found vlan 2"), "{text}");
    }

    #[test]
    fn a_link_of_ip_is_described() {
        let link = serde_json::json!({
            "ifname": "no_such_bridge", "flags": ["BROADCAST", "UP"], "mtu": 1400, "linkinfo":
            {"info_kind": "bridge", "info_data": {"forward_delay": 0, "stp_state": 0}}
        });
        assert_eq!(described("no_such_bridge", &link), "bridge delay 0 stp 0 up, mtu 1400, master -, ipv6 on");
    }
}
