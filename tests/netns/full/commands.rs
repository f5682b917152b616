//! The commands a plan shows, typed by hand, lead where the daemon leads.

use std::process::Command;

use serde_json::{Value, json};

use crate::lab::{Lab, Nics::Dummy, story};
use crate::look::{Look, assert_same, without_indexes};

/// Types the commands of the plan; then the daemon must find nothing to do.
#[track_caller]
fn by_hand(lab: &mut Lab, networks: Value, bondings: Value) {
    let params = json!({ "networks": networks, "bondings": bondings, "options": { "connectivityCheck": false } });
    let plan = lab.call("Host.planNetworks", params.clone()).unwrap();
    let commands: Vec<&str> = plan["plan"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|step| step["commands"].as_array().unwrap())
        .map(|c| c.as_str().unwrap())
        .collect();
    // sysfs shows the namespace of who mounted it.
    let script = format!("set -e\nmount -t sysfs sysfs /sys\n{}\n", commands.join("\n"));
    let done = Command::new("unshare").args(["--mount", "sh", "-c", &script]).output().unwrap();
    assert!(done.status.success(), "{script}{}", String::from_utf8_lossy(&done.stderr));
    let now = Look::now().text(None);
    let answer = lab.request(params).unwrap_or_else(|e| panic!("after\n{script}{e:?}"));
    assert_eq!(
        answer["changed"],
        false,
        "after\n{script}still to do:\n{}",
        without_indexes(&crate::common::state::difference(&now, &Look::now().text(None)))
    );
}

#[test]
fn the_commands_of_a_plan_lead_where_the_daemon_leads() {
    story(Dummy, 5, |lab| {
        let red = |vlan: u16, custom: &str| json!({ "bonding": "bond0", "vlan": vlan, "mtu": 2000, "stp": true, "ipaddr": "10.0.0.1", "prefix": 24, "gateway": "10.0.0.254", "defaultRoute": true, "custom": { "bridge_opts": custom } });
        let plain = json!({ "bonding": "bond0", "bridged": false, "ipv6addr": "fd00::1/64" });
        let bond = |options: &str, nics: &[&str]| json!({ "nics": nics, "options": options });
        by_hand(
            lab,
            json!({ "red": red(10, "hello_time=300 multicast_snooping=0 multicast_querier=1"), "plain": plain }),
            json!({ "bond0": bond("mode=4 lacp_rate=fast miimon=100 xmit_hash_policy=layer2+3", &["dummy_0", "dummy_1"]) }),
        );
        by_hand(
            lab,
            json!({ "red": red(20, "ageing_time=6000") }),
            json!({ "bond0": bond("mode=1 num_grat_arp=3 miimon=100 primary=dummy_1", &["dummy_1", "dummy_2"]), "bond1": bond("mode=1 arp_interval=200 arp_ip_target=10.0.0.250,10.0.0.251 arp_validate=all", &["dummy_3"]) }),
        );
        by_hand(
            lab,
            json!({ "plain": { "remove": true }, "red": { "nic": "dummy_4", "mtu": 1400 } }),
            json!({ "bond1": { "remove": true }, "bond0": bond("mode=0 packets_per_slave=2", &["dummy_3", "dummy_1"]) }),
        );
        by_hand(lab, json!({ "red": { "remove": true } }), json!({ "bond0": { "remove": true } }));
    });
}

#[test]
fn the_commands_make_every_mode_of_a_bond() {
    story(Dummy, 1, |lab| {
        for options in [
            "mode=0 packets_per_slave=2",
            "mode=1 fail_over_mac=active num_unsol_na=2",
            "mode=2 xmit_hash_policy=1",
            "mode=3 all_slaves_active=1",
            "mode=4 ad_select=count lacp_rate=1",
            "mode=5 tlb_dynamic_lb=0",
            "mode=6 lp_interval=3",
        ] {
            let bond = json!({ "bond0": { "nics": ["dummy_0"], "options": options } });
            let before = Look::now().text(None);
            by_hand(lab, json!({}), bond.clone());
            let wanted = without_indexes(&Look::now().text(None));
            lab.bonds(json!({ "bond0": { "remove": true } }));
            lab.bonds(bond);
            assert_same(&wanted, &without_indexes(&Look::now().text(None)), options);
            lab.bonds(json!({ "bond0": { "remove": true } }));
            let but_nic =
                |text: &str| text.lines().filter(|l| !l.starts_with("dummy_0")).collect::<Vec<_>>().join("\n");
            assert_same(&but_nic(&before), &but_nic(&Look::now().text(None)), options);
        }
    });
}
