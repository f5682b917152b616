//! What survives a reboot, a crash, and an administrator.

use serde_json::{Map, json};

use crate::lab::{Nics::Veth, story};
use crate::look::{Look, assert_same, without_indexes};

#[test]
fn what_was_not_made_safe_is_gone_after_a_reboot() {
    story(Veth, 2, |lab| {
        lab.nets(json!({ "red": { "nic": "veth_0" } }));
        assert_eq!(lab.capabilities()["netConfigDirty"], "True");
        lab.set_safe();
        assert_eq!(lab.capabilities()["netConfigDirty"], "False");
        let safe = lab.running_files();
        lab.nets(json!({ "blue": { "nic": "veth_1", "ipaddr": "10.0.0.1", "prefix": 24 } }));
        assert_eq!(lab.persistent_files(), safe);
        lab.reboot();
        assert!(!Look::now().has("red"), "nothing is restored unasked");
        let told = lab.restore(false);
        assert_eq!((&told["restored"], &told["skipped"], &told["failed"]), (&json!(true), &json!([]), &json!([])));
        let now = Look::now();
        assert_eq!(now.ports("red"), ["veth_0"]);
        assert!(!now.has("blue"));
        assert_eq!(lab.running_files(), safe);
        assert_eq!(lab.capabilities()["netConfigDirty"], "False");
    });
}

#[test]
fn what_was_made_safe_comes_back_whole() {
    story(Veth, 3, |lab| {
        let red = json!({ "nic": "veth_0", "mtu": 2000, "stp": true, "ipaddr": "10.0.0.1", "prefix": 24, "gateway": "10.0.0.254", "defaultRoute": true, "ipv6addr": "fd00::1/64", "custom": { "bridge_opts": "hello_time=300" } });
        lab.nets(json!({ "red": red, "blue": { "nic": "veth_1", "bridged": false, "ipaddr": "10.1.0.1", "prefix": 24 }, "alone": {} }));
        lab.set_safe();
        // Peers get other addresses, and a nic's IPv6 starts anew.
        let text = || without_indexes(&Look::now().text(Some(&["red", "veth_0", "veth_1"])));
        let (before, stored) = (text(), lab.running_files());
        lab.reboot();
        lab.restore(false);
        assert_same(&before, &text(), "after a reboot");
        assert_eq!(lab.running_files(), stored);
        let now = Look::now();
        assert!(now.has("alone") && now.is_up("alone"));
        assert_eq!(now.default_routes(), ["10.0.0.254 red"]);
    });
}

#[test]
fn a_restore_happens_once_since_boot_unless_forced_and_changes_only_what_differs() {
    story(Veth, 2, |lab| {
        lab.nets(
            json!({ "red": { "nic": "veth_0", "ipaddr": "10.0.0.1", "prefix": 24 }, "blue": { "nic": "veth_1" } }),
        );
        lab.set_safe();
        let safe = Look::now();
        assert_eq!(lab.restore(false)["restored"], true);
        assert_same(&safe.text(None), &Look::now().text(None), "a restore of what is there");
        lab.nets(json!({ "red": { "nic": "veth_0", "ipaddr": "10.0.0.2", "prefix": 24 }, "green": {} }));
        let told = lab.restore(false);
        assert_eq!(told["restored"], false);
        assert!(Look::now().has("green"));
        lab.ip("tuntap add dev vnet0 mode tap\nlink set vnet0 master red\nlink set vnet0 up\n");
        lab.restore(true);
        let now = Look::now();
        assert!(!now.has("green"), "in running, not in persistent");
        assert_eq!((now.addresses("red"), now.ports("red")), (vec!["10.0.0.1/24".to_owned()], vec!["veth_0", "vnet0"]));
        assert_eq!((now.index("red"), now.index("blue")), (safe.index("red"), safe.index("blue")));
        assert_eq!(lab.running_files(), lab.persistent_files());
    });
}

#[test]
fn a_network_whose_nic_is_missing_is_told_and_does_not_keep_the_others_away() {
    story(Veth, 2, |lab| {
        lab.nets(
            json!({ "red": { "nic": "veth_0" }, "blue": { "nic": "veth_1", "ipaddr": "10.0.0.1", "prefix": 24 } }),
        );
        lab.set_safe();
        let stored = lab.running_files();
        lab.reboot();
        lab.ip("link del veth_0\n");
        let told = lab.restore(false);
        assert_eq!((&told["skipped"][0]["name"], &told["failed"]), (&json!("red"), &json!([])));
        assert!(told["skipped"][0]["reason"].as_str().unwrap().contains("veth_0"), "{told}");
        let now = Look::now();
        assert!(!now.has("red"));
        assert_eq!(now.addresses("blue"), ["10.0.0.1/24"]);
        assert_eq!(lab.running_files(), stored, "a nic that comes back finds its network");
        lab.ip("link add veth_0 type veth peer name peer9\n");
        lab.restore(true);
        assert_eq!(Look::now().ports("red"), ["veth_0"]);
    });
}

#[test]
fn a_network_the_kernel_refuses_does_not_keep_the_others_away() {
    story(Veth, 2, |lab| {
        lab.nets(
            json!({ "red": { "nic": "veth_0" }, "blue": { "nic": "veth_1", "ipaddr": "10.0.0.1", "prefix": 24 } }),
        );
        lab.set_safe();
        // Since then somebody has taken the name.
        lab.reboot();
        lab.ip("link add red type veth peer name thief\n");
        let error = lab.call("Host.restoreNetworks", json!({})).unwrap_err();
        assert_eq!(error.code, 29, "{error:?}");
        assert_eq!(error.data.unwrap()["failed"][0]["name"], "red");
        assert_eq!(Look::now().addresses("blue"), ["10.0.0.1/24"]);
        lab.ip("link del red\n");
        // It has not happened since boot, then: no force is needed.
        assert_eq!(lab.restore(false)["restored"], true);
        assert_eq!(Look::now().ports("red"), ["veth_0"]);
    });
}

#[test]
fn files_of_older_versions_and_broken_ones_are_read_as_far_as_they_go() {
    story(Veth, 2, |lab| {
        let folder = lab.path("lib/persistence/netconf");
        std::fs::create_dir_all(folder.join("nets")).unwrap();
        std::fs::create_dir_all(folder.join("bonds")).unwrap();
        let old = r#"{"nic": "veth_0", "bridged": "True", "STP": "yes", "mtu": "1400", "IPADDR0": "x", "ONBOOT": "yes", "ipaddr": "10.0.0.1", "netmask": "255.255.255.0", "defaultRoute": "False"}"#;
        std::fs::write(folder.join("nets/red"), old).unwrap();
        std::fs::write(folder.join("nets/blue"), "{ half a fi").unwrap();
        let told = lab.restore(false);
        assert_eq!(told["skipped"].as_array().map(Vec::len), Some(1), "{told}");
        assert!(told["skipped"][0]["name"].as_str().unwrap().contains("blue"), "{told}");
        let now = Look::now();
        assert_eq!(
            (now.mtu("red"), now.addresses("red"), &now.info("red")["stp_state"]),
            (1400, vec!["10.0.0.1/24".to_owned()], &json!(1))
        );
    });
}

#[test]
fn a_killed_daemon_knows_its_networks_again_and_goes_on() {
    story(Veth, 2, |lab| {
        lab.nets(json!({ "red": { "nic": "veth_0", "ipaddr": "10.0.0.1", "prefix": 24 } }));
        let before = Look::now();
        lab.kill();
        assert_same(&before.text(None), &Look::now().text(None), "after kill -9");
        lab.start();
        assert_eq!(lab.capabilities()["networks"]["red"]["addr"], "10.0.0.1");
        assert!(!lab.nets(json!({ "red": { "nic": "veth_0", "ipaddr": "10.0.0.1", "prefix": 24 } })));
        lab.nets(json!({ "red": { "nic": "veth_1" } }));
        assert_eq!((Look::now().index("red"), Look::now().ports("red")), (before.index("red"), vec!["veth_1"]));
        lab.nets(json!({ "red": { "remove": true } }));
        assert_eq!(lab.running_files(), Map::new());
    });
}

#[test]
fn a_daemon_killed_in_the_middle_of_a_change_arrives_when_asked_again() {
    story(Veth, 2, |lab| {
        lab.nets(json!({ "red": { "nic": "veth_0", "ipaddr": "10.0.0.1", "prefix": 24 } }));
        let stored = lab.running_files();
        // It waits for a sign of life, with everything applied and nothing stored.
        let wanted = json!({ "red": { "nic": "veth_1", "mtu": 2000 }, "blue": { "nic": "veth_0" } });
        let mut client = lab.client();
        let params = json!({ "networks": wanted, "options": { "connectivityTimeout": 60 } });
        let waiting = std::thread::spawn(move || client.call("Host.setupNetworks", params));
        while !Look::now().has("blue") || Look::now().mtu("red") != 2000 {}
        lab.kill();
        waiting.join().unwrap().unwrap_err();
        lab.start();
        assert_eq!(lab.running_files(), stored);
        lab.nets(wanted);
        let now = Look::now();
        assert_eq!((now.ports("red"), now.ports("blue"), now.mtu("red")), (vec!["veth_1"], vec!["veth_0"], 2000));
    });
}
