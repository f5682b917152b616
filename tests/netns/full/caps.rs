//! The reports beside the original's: its own sample request through the daemon, its own reports
//! of the host it made of that (4.30), held against ours key by key.

use std::collections::{BTreeMap, BTreeSet};
use std::net::UdpSocket;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::lab::{Lab, Nics::Dummy, mac, story, story_with};

/// Everything in which the report differs on purpose: where, and why.
const DIFFERENCES: &[(&str, &str)] = &[
    ("netConfigDirty", "the original puts it in beside the network report, whence the sample is"),
    ("lastClient", "likewise"),
    ("lastClientIface", "likewise"),
    ("networks/st20/vlanid", "the later original tells it, and the engine of today reads it"),
    ("networks/vm10/vlanid", "likewise"),
    ("bondings/bond1/slaves", "in natural order; the original's is that of a set, different each time"),
];

/// The same for the statistics; `*` stands for any device.
const STATS_DIFFERENCES: &[(&str, &str)] = &[
    ("network/*/rxRate", "of the first original, which the others left out for the counters"),
    ("network/*/txRate", "likewise"),
];

/// Longer than LACP takes to choose an aggregator on the slowest ground.
const PATIENCE: Duration = Duration::from_secs(120);

fn sample(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// An untagged network beside tagged ones is the later original's rule.
const RULES: &str = "network_combination = relaxed";

/// The original's request, but for what this version refuses (see README.md).
fn set_up_as_the_original(lab: &mut Lab) {
    let request = sample(include_str!("../../data/legacy-request.json"));
    lab.request(request).unwrap();
}

/// The original's report, as if its nics had had our addresses. What runs by itself is no matter.
fn original(text: &str) -> Value {
    let macs = ["d6:fe:37:cb:25:a4", "92:d6:ea:49:b1:08", "1e:cb:b0:30:31:3b"];
    let mut text = text.to_owned();
    for (number, theirs) in macs.iter().enumerate() {
        text = text.replace(theirs, &mac(number));
        text = text.replace(&theirs.replace(':', ""), &mac(number).replace(':', ""));
    }
    sample(&text)
}

/// Every value that is no object, by the way to it: `networks/mgmt/addr`.
fn leaves(value: &Value, path: &str, into: &mut BTreeMap<String, Value>) {
    match value {
        Value::Object(map) => {
            let slash = if path.is_empty() { "" } else { "/" };
            map.iter().for_each(|(key, value)| leaves(value, &format!("{path}{slash}{key}"), into));
        }
        // A timer runs, and rounds.
        _ if path.ends_with("_timer") => drop(into.insert(path.to_owned(), Value::Null)),
        other => drop(into.insert(path.to_owned(), other.clone())),
    }
}

fn flat(value: &Value) -> BTreeMap<String, Value> {
    let mut all = BTreeMap::new();
    leaves(value, "", &mut all);
    all
}

/// Where two reports differ: the entries of the table that apply, and what is in no table.
fn differences(ours: &Value, theirs: &Value, table: &[(&'static str, &str)]) -> (BTreeSet<&'static str>, Vec<String>) {
    let (ours, theirs) = (flat(ours), flat(theirs));
    let (mut expected, mut surprising) = (BTreeSet::new(), Vec::new());
    for path in ours.keys().chain(theirs.keys()).collect::<BTreeSet<_>>() {
        let (one, other) = (ours.get(path), theirs.get(path));
        if one == other {
            continue;
        }
        match table.iter().find(|(known, _)| is_at(path, known)) {
            Some((known, _)) => drop(expected.insert(*known)),
            None => surprising.push(format!("{path}: {one:?}, but the original has {other:?}")),
        }
    }
    (expected, surprising)
}

/// Whether the way leads there, or further down.
fn is_at(path: &str, place: &str) -> bool {
    let mut steps = path.split('/');
    place.split('/').all(|word| steps.next().is_some_and(|step| word == "*" || word == step))
}

/// Asks until the reports differ in nothing but what the table says: LACP takes its time.
#[track_caller]
fn comes_to_differ_by(table: &[(&'static str, &str)], theirs: &Value, mut ask: impl FnMut() -> Value) -> Value {
    let end = Instant::now() + PATIENCE;
    loop {
        let ours = ask();
        let (expected, surprising) = differences(&ours, theirs, table);
        if surprising.is_empty() && expected.len() == table.len() {
            return ours;
        }
        if Instant::now() > end {
            let moot: Vec<_> = table.iter().filter(|(known, _)| !expected.contains(known)).collect();
            panic!("surprising: {surprising:#?}\nno difference any more: {moot:#?}");
        }
    }
}

#[test]
fn the_originals_request_is_reported_as_the_original_reported_it() {
    story_with(RULES, Dummy, 3, |lab| {
        set_up_as_the_original(lab);
        let theirs = original(include_str!("../../data/legacy-caps.json"));
        let ours = comes_to_differ_by(DIFFERENCES, &theirs, || lab.capabilities());
        assert_eq!((&ours["netConfigDirty"], &ours["lastClient"]), (&json!("True"), &json!("")));
        assert_eq!(ours["lastClientIface"], json!(""));
        assert_eq!(ours["networks"]["vm10"]["vlanid"], json!(10));
        assert_eq!(ours["bondings"]["bond1"]["slaves"], json!(["dummy_0", "dummy_1"]));
    });
}

#[test]
fn the_client_is_behind_the_network_that_reaches_him() {
    story_with(RULES, Dummy, 3, |lab| {
        set_up_as_the_original(lab);
        for (client, iface) in [
            ("192.0.2.77", "mgmt"),
            ("203.0.113.1", "mgmt"),
            ("198.51.100.77", "dummy_2.20"),
            ("2001:db8::77", "mgmt"),
            ("2001:db8:1::77", ""),
            ("127.0.0.1", "lo"),
        ] {
            let ours = lab.call("Host.getCapabilities", json!({ "lastClient": client })).unwrap();
            assert_eq!((&ours["lastClient"], &ours["lastClientIface"]), (&json!(client), &json!(iface)));
        }
    });
}

#[test]
fn the_network_part_alone_is_the_same_report() {
    story_with(RULES, Dummy, 3, |lab| {
        set_up_as_the_original(lab);
        let mut theirs = original(include_str!("../../data/legacy-caps.json"));
        let beside = ["netConfigDirty", "lastClient", "lastClientIface"];
        let table: Vec<_> = DIFFERENCES.iter().copied().filter(|(path, _)| !beside.contains(path)).collect();
        comes_to_differ_by(&table, &theirs, || lab.call("Host.getNetworkCapabilities", json!({})).unwrap());
        // Nothing is told of what went.
        lab.nets(json!({ "vm10": { "remove": true } }));
        for (section, gone) in [("networks", "vm10"), ("bridges", "vm10"), ("vlans", "bond1.10")] {
            theirs[section].as_object_mut().unwrap().remove(gone);
        }
        // It alone had asked for a share; what the other had was the default class (vdsm-facts 3.10).
        theirs["networks"]["mgmt"].as_object_mut().unwrap().remove("hostQos");
        theirs["bondings"]["bond1"].as_object_mut().unwrap().remove("qos");
        let table: Vec<_> = table.into_iter().filter(|(path, _)| !path.contains("vm10")).collect();
        comes_to_differ_by(&table, &theirs, || lab.call("Host.getNetworkCapabilities", json!({})).unwrap());
    });
}

#[test]
fn what_vdsm_conf_hides_is_in_no_report() {
    story_with("hidden_bonds = bondx*\nhidden_vlans = *.77", Dummy, 2, |lab| {
        lab.ip("link add bondx1 type bond\nlink add bondy1 type bond\nlink add link dummy_0 name dummy_0.77 type vlan id 77\nlink add link dummy_0 name dummy_0.78 type vlan id 78\n");
        let seen = lab.capabilities();
        let has = |section: &str, name: &str| seen[section].get(name).is_some();
        assert!(has("bondings", "bondy1") && !has("bondings", "bondx1"), "{}", seen["bondings"]);
        assert!(has("vlans", "dummy_0.78") && !has("vlans", "dummy_0.77"), "{}", seen["vlans"]);
    });
}

/// Counters and moments, in the form they have.
fn form(report: &mut Value) {
    for device in report["network"].as_object_mut().unwrap().values_mut() {
        for (key, value) in device.as_object_mut().unwrap() {
            let is_counter = ["rx", "tx"].iter().any(|way| key.starts_with(way)) && !key.ends_with("Rate");
            if is_counter && value.as_str().is_some_and(|text| text.parse::<u64>().is_ok()) {
                *value = json!("a counter");
            } else if key == "sampleTime" && value.is_f64() {
                *value = json!("a moment");
            }
        }
    }
}

#[test]
fn the_statistics_have_the_form_of_the_originals() {
    story_with(RULES, Dummy, 3, |lab| {
        set_up_as_the_original(lab);
        let mut theirs = sample(include_str!("../../data/legacy-stats.json"));
        form(&mut theirs);
        comes_to_differ_by(STATS_DIFFERENCES, &theirs, || {
            let mut ours = lab.call("Host.getStats", json!({})).unwrap();
            form(&mut ours);
            ours
        });
    });
}

#[test]
fn traffic_becomes_a_rate_and_a_new_device_has_none() {
    story(Dummy, 1, |lab| {
        let lo = |lab: &mut Lab, key: &str| {
            let stats = lab.call("Host.getStats", json!({})).unwrap();
            stats["network"]["lo"][key].as_str().unwrap().to_owned()
        };
        assert_eq!(lo(lab, "rxRate"), "0.0", "there is nothing to compare the first sample with");
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let end = Instant::now() + PATIENCE;
        while lo(lab, "txRate") == "0.0" {
            assert!(Instant::now() < end, "no rate");
            for _ in 0..100 {
                socket.send_to(&[0; 8192], socket.local_addr().unwrap()).unwrap();
            }
        }
        assert!(lo(lab, "tx").parse::<u64>().unwrap() >= 100 * 8192);
        lab.nets(json!({ "red": { "nic": "dummy_0" } }));
        let stats = lab.call("Host.getStats", json!({})).unwrap();
        let red = &stats["network"]["red"];
        assert_eq!((&red["rxRate"], &red["txRate"]), (&json!("0.0"), &json!("0.0")));
        lab.nets(json!({ "red": { "remove": true } }));
        let stats = lab.call("Host.getStats", json!({})).unwrap();
        assert_eq!(stats["network"].get("red"), None);
    });
}
