//! Options of bonds in every mode, as `ip` tells them.

use serde_json::{Value, json};

use crate::lab::{Nics::Dummy, story};
use crate::look::Look;

#[test]
fn the_options_of_every_mode_arrive_in_the_kernel() {
    story(Dummy, 2, |lab| {
        let cases = [
            (
                "mode=0 packets_per_slave=2 miimon=100",
                json!({ "mode": "balance-rr", "packets_per_slave": 2, "miimon": 100 }),
            ),
            (
                "mode=balance-rr arp_interval=200 arp_ip_target=10.0.0.250,10.0.0.251",
                json!({ "mode": "balance-rr", "arp_interval": 200, "arp_ip_target": ["10.0.0.250", "10.0.0.251"], "miimon": 0 }),
            ),
            (
                "mode=1 miimon=100 updelay=200 downdelay=300 fail_over_mac=active",
                json!({ "mode": "active-backup", "miimon": 100, "updelay": 200, "downdelay": 300, "fail_over_mac": "active" }),
            ),
            (
                "mode=active-backup arp_interval=100 arp_ip_target=10.0.0.250 arp_validate=all num_grat_arp=3",
                json!({ "arp_validate": "all", "arp_interval": 100, "num_peer_notif": 3 }),
            ),
            (
                "primary=dummy_1 miimon=100 primary_reselect=better mode=1",
                json!({ "primary": "dummy_1", "primary_reselect": "better" }),
            ),
            (
                "mode=2 xmit_hash_policy=layer3+4 miimon=50",
                json!({ "mode": "balance-xor", "xmit_hash_policy": "layer3+4", "miimon": 50 }),
            ),
            ("mode=balance-xor xmit_hash_policy=1", json!({ "mode": "balance-xor", "xmit_hash_policy": "layer3+4" })),
            ("mode=3 miimon=100 all_slaves_active=1", json!({ "mode": "broadcast", "all_slaves_active": 1 })),
            (
                "mode=4 lacp_rate=fast miimon=120 ad_select=bandwidth min_links=1",
                json!({ "mode": "802.3ad", "ad_lacp_rate": "fast", "miimon": 120, "ad_select": "bandwidth", "min_links": 1 }),
            ),
            (
                "mode=802.3ad lacp_rate=0 xmit_hash_policy=layer2+3",
                json!({ "mode": "802.3ad", "ad_lacp_rate": "slow", "xmit_hash_policy": "layer2+3" }),
            ),
            (
                "mode=5 miimon=100 tlb_dynamic_lb=0 lp_interval=5",
                json!({ "mode": "balance-tlb", "tlb_dynamic_lb": 0, "lp_interval": 5 }),
            ),
            (
                "mode=balance-alb miimon=100 resend_igmp=4",
                json!({ "mode": "balance-alb", "miimon": 100, "resend_igmp": 4 }),
            ),
        ];
        // Each made anew, and each from the one before it.
        for (options, wanted) in &cases {
            let request = json!({ "bond0": { "nics": ["dummy_0", "dummy_1"], "options": options } });
            lab.bonds(request.clone());
            holds(options, wanted);
            assert!(!lab.bonds(request), "{options} a second time");
        }
        let kept = Look::now().index("bond0");
        for (options, wanted) in cases.iter().rev() {
            lab.bonds(json!({ "bond0": { "nics": ["dummy_0", "dummy_1"], "options": options } }));
            holds(options, wanted);
        }
        assert_eq!(Look::now().index("bond0"), kept);
        for (options, wanted) in &cases {
            lab.bonds(json!({ "bond0": { "remove": true } }));
            lab.bonds(json!({ "bond0": { "nics": ["dummy_0", "dummy_1"], "options": options } }));
            holds(options, wanted);
        }
    });
}

#[track_caller]
fn holds(options: &str, wanted: &Value) {
    let now = Look::now();
    let told = now.info("bond0");
    for (key, value) in wanted.as_object().unwrap() {
        // `ip` writes a list of targets as a list or a map, by its version.
        let mut seen = told[key].clone();
        if let Some(map) = seen.as_object() {
            seen = map.values().cloned().collect();
        }
        assert_eq!(seen, *value, "{options}: {key} of {told}");
    }
    assert_eq!(now.ports("bond0"), ["dummy_0", "dummy_1"], "{options}");
    assert!(now.is_up("bond0") && now.is_up("dummy_0") && now.is_up("dummy_1"), "{options}");
    now.assert_no_ipv6(&["bond0", "dummy_0", "dummy_1"]);
}

#[test]
fn a_change_of_mode_resets_the_other_options() {
    story(Dummy, 2, |lab| {
        let bond = |options: &str| json!({ "bond0": { "nics": ["dummy_0", "dummy_1"], "options": options } });
        lab.setup(json!({ "red": { "bonding": "bond0", "vlan": 5, "ipaddr": "10.0.0.1", "prefix": 24, "ipv6addr": "fd00::1/64" } }), bond("mode=1 miimon=150 updelay=300"));
        let before = Look::now();
        lab.bonds(bond("mode=3"));
        let now = Look::now();
        let info = now.info("bond0");
        assert_eq!((&info["mode"], &info["miimon"], &info["updelay"]), (&json!("broadcast"), &json!(0), &json!(0)));
        // What stands on it has come through: numbers and addresses.
        for device in ["bond0", "bond0.5", "red"] {
            assert_eq!(
                (now.index(device), now.addresses(device)),
                (before.index(device), before.addresses(device)),
                "{device}"
            );
            assert!(now.is_up(device));
        }
        lab.bonds(bond("miimon=150 mode=balance-alb"));
        assert_eq!(
            (&Look::now().info("bond0")["mode"], &Look::now().info("bond0")["miimon"]),
            (&json!("balance-alb"), &json!(150))
        );
        assert_eq!(lab.running_files()["bonds/bond0"]["options"], "miimon=150 mode=balance-alb", "as it was asked for");
        let told = lab.capabilities()["bondings"]["bond0"]["opts"].clone();
        assert_eq!((&told["mode"], &told["miimon"]), (&json!("6"), &json!("150")));
    });
}

#[test]
fn an_untagged_bonded_networks_addresses_and_routes_survive_a_change_of_mode() {
    story(Dummy, 2, |lab| {
        let bond = |options: &str| json!({ "bond0": { "nics": ["dummy_0", "dummy_1"], "options": options } });
        let plain = json!({ "bonding": "bond0", "bridged": false, "ipaddr": "10.0.0.1", "prefix": 24, "gateway": "10.0.0.254", "ipv6addr": "fd00::1/64", "ipv6gateway": "fd00::fffe", "defaultRoute": true });
        let tagged = json!({ "bonding": "bond0", "vlan": 5, "bridged": false, "ipaddr": "10.1.0.1", "prefix": 24, "ipv6addr": "fd01::1/64" });
        lab.setup(json!({ "plain": plain, "tagged": tagged }), bond("mode=1 miimon=100"));
        let text = || {
            Look::now()
                .text(None)
                .lines()
                .filter(|l| l.contains(" address {") || l.starts_with("route"))
                .collect::<Vec<_>>()
                .join("\n")
        };
        let before = text();
        for options in ["mode=4 lacp_rate=1", "mode=4 lacp_rate=0 miimon=50", "mode=0", "mode=6"] {
            lab.bonds(bond(options));
            crate::look::assert_same(&before, &text(), options);
        }
    });
}

#[test]
fn options_that_need_no_interruption_cause_none() {
    story(Dummy, 2, |lab| {
        let bond =
            |options: &str| json!({ "bondings": { "bond0": { "nics": ["dummy_0", "dummy_1"], "options": options } } });
        lab.request(bond("mode=1 miimon=100")).unwrap();
        for (options, interrupts) in [
            ("mode=1 miimon=200", false),
            ("mode=1 miimon=100 updelay=400", false),
            ("mode=1 miimon=100 num_grat_arp=5", false),
            ("mode=4 miimon=100", true),
        ] {
            let plan = lab.call("Host.planNetworks", bond(options)).unwrap();
            let stops = plan["plan"].as_array().unwrap().iter().any(|step| !step["interrupts"].is_null());
            assert_eq!(stops, interrupts, "{options}: {plan}");
        }
        lab.request(bond("mode=4 miimon=100 lacp_rate=slow")).unwrap();
        lab.request(bond("mode=4 miimon=100 lacp_rate=fast")).unwrap();
        assert_eq!(Look::now().info("bond0")["ad_lacp_rate"], "fast");
    });
}

#[test]
fn an_option_that_slept_in_another_mode_does_not_wake_up() {
    story(Dummy, 1, |lab| {
        // Only 802.3ad takes lacp_rate, so it cannot be reset on the way out.
        for options in ["mode=4 lacp_rate=fast", "mode=1 fail_over_mac=active", "mode=4"] {
            lab.bonds(json!({ "bond0": { "nics": ["dummy_0"], "options": options } }));
        }
        assert_eq!(Look::now().info("bond0")["ad_lacp_rate"], "slow");
        lab.bonds(json!({ "bond0": { "nics": ["dummy_0"], "options": "mode=1" } }));
        assert_eq!(Look::now().info("bond0")["fail_over_mac"], "none");
    });
}

#[test]
fn the_custom_option_is_kept_on_disk_and_never_told_to_the_kernel() {
    story(Dummy, 1, |lab| {
        let options = "custom=a:b,c:d mode=1 miimon=100";
        lab.bonds(json!({ "bond0": { "nics": ["dummy_0"], "options": options } }));
        assert_eq!(Look::now().info("bond0")["mode"], "active-backup");
        assert_eq!(lab.running_files()["bonds/bond0"]["options"], options);
        assert!(!lab.bonds(json!({ "bond0": { "nics": ["dummy_0"], "options": options } })));
        // Without options those so far stay, this one too.
        lab.bonds(json!({ "bond0": { "nics": ["dummy_0"], "hwaddr": "02:00:00:00:bb:01" } }));
        assert_eq!(lab.running_files()["bonds/bond0"]["options"], options);
    });
}
