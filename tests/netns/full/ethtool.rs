//! `custom.ethtool_opts` upon a bond: its slaves are meant, also those that join later.

use serde_json::json;

use crate::here::ethtool::{change, ethtool, is_missing};
use crate::lab::{Nics::Dummy, story};

fn has(nic: &str, line: &str) -> bool {
    ethtool("-k", nic).contains(&line.to_owned())
}

#[test]
fn slaves_are_tuned_now_and_when_they_join() {
    if is_missing("full::ethtool::slaves_are_tuned_now_and_when_they_join") {
        return;
    }
    story(Dummy, 3, |lab| {
        let red = json!({ "red": { "bonding": "bond0", "vlan": 5, "custom": { "ethtool_opts": "-K * tso off" } } });
        let bond = |nics: &[&str]| json!({ "bond0": { "nics": nics, "options": "mode=1 miimon=100" } });
        let off = "tcp-segmentation-offload: off";
        lab.setup(red.clone(), bond(&["dummy_0", "dummy_1"]));
        assert!(has("dummy_0", off) && has("dummy_1", off) && !has("dummy_2", off));
        lab.again(red, bond(&["dummy_0", "dummy_1"]));
        lab.bonds(bond(&["dummy_0", "dummy_1", "dummy_2"]));
        assert!(has("dummy_2", off));
        change(&["-K", "dummy_1", "tso", "on"]);
        let told = lab.call("Host.checkNetworks", json!({})).unwrap();
        assert!(told["text"].as_str().unwrap().contains("tune nic dummy_1"), "{told}");
        assert!(!told["text"].as_str().unwrap().contains("dummy_0"), "{told}");
    });
}
