//! Bridges with guests: VMs must not notice that their network changes.

use serde_json::json;

use crate::lab::{Nics::Veth, story};
use crate::look::Look;

#[test]
fn a_bridge_with_a_vm_is_kept_whatever_changes_below_and_upon_it() {
    story(Veth, 2, |lab| {
        lab.nets(json!({ "red": { "nic": "veth_0" } }));
        lab.ip("tuntap add dev vnet0 mode tap\nlink set vnet0 master red up\n");
        let index = Look::now().index("red");
        let changes = [
            json!({ "nic": "veth_1" }),
            json!({ "nic": "veth_1", "mtu": 9000 }),
            json!({ "nic": "veth_0", "mtu": 2000, "ipaddr": "10.0.0.1", "prefix": 24 }),
            json!({ "nic": "veth_0", "mtu": 2000, "ipaddr": "10.0.0.2", "prefix": 24, "ipv6addr": "fd00::1/64" }),
            json!({ "nic": "veth_0", "stp": true }),
            json!({ "nic": "veth_0", "custom": { "bridge_opts": "hello_time=500" } }),
            json!({}),
            json!({ "nic": "veth_1" }),
        ];
        for change in changes {
            let red = json!({ "red": change });
            lab.nets(red.clone());
            let now = Look::now();
            let mtu = change["mtu"].as_i64().unwrap_or(1500);
            let mut ports: Vec<&str> = change["nic"].as_str().into_iter().collect();
            ports.push("vnet0");
            assert_eq!((now.index("red"), now.ports("red")), (index, ports), "{red}");
            assert_eq!(now.mtus(&["red", "vnet0"]), [mtu, mtu], "{red}");
            assert!(now.is_up("vnet0"));
            lab.again(red, json!({}));
        }
    });
}

#[test]
fn a_tap_with_an_mtu_of_its_own_is_left_alone_until_the_network_changes_its_own() {
    story(Veth, 1, |lab| {
        lab.nets(json!({ "red": { "nic": "veth_0", "mtu": 2000 } }));
        lab.ip("tuntap add dev vnet0 mode tap\nlink set vnet0 mtu 1400 master red up\n");
        lab.nets(json!({ "red": { "nic": "veth_0", "stp": true, "mtu": 2000 } }));
        assert_eq!(Look::now().mtus(&["red", "vnet0"]), [2000, 1400]);
        lab.nets(json!({ "red": { "nic": "veth_0", "mtu": 1300 } }));
        assert_eq!(Look::now().mtus(&["red", "vnet0", "veth_0"]), [1300, 1300, 1300]);
    });
}

#[test]
fn a_bridge_with_a_vm_does_not_go() {
    story(Veth, 1, |lab| {
        lab.nets(json!({ "red": { "nic": "veth_0" } }));
        lab.ip("tuntap add dev vnet0 mode tap\nlink set vnet0 master red up\n");
        let before = Look::now().text(None);
        let error = lab.refused(28, json!({ "red": { "remove": true } }), json!({}));
        assert!(error.message.contains("vnet0"), "{error:?}");
        lab.refused(28, json!({ "red": { "nic": "veth_0", "bridged": false } }), json!({}));
        assert_eq!(before, Look::now().text(None));
        lab.ip("link del vnet0\n");
        lab.nets(json!({ "red": { "remove": true } }));
        assert!(!Look::now().has("red"));
    });
}

#[test]
fn a_strangers_bridge_of_the_same_name_is_taken_over_with_its_ports() {
    story(Veth, 1, |lab| {
        lab.ip("link add red type bridge stp_state 1\nlink add their0 type veth peer name their1\nlink set their0 master red up\nlink set red mtu 1400 up\naddr add 10.9.9.9/24 dev red\n");
        let before = Look::now();
        lab.nets(json!({ "red": { "nic": "veth_0", "ipaddr": "10.0.0.1", "prefix": 24 } }));
        let now = Look::now();
        assert_eq!((now.index("red"), now.ports("red")), (before.index("red"), vec!["their0", "veth_0"]));
        assert_eq!((now.addresses("red"), &now.info("red")["stp_state"]), (vec!["10.0.0.1/24".to_owned()], &json!(0)));
        assert_eq!((now.mtu("red"), now.is_up("red")), (1500, true));
        lab.refused(28, json!({ "red": { "remove": true } }), json!({}));
        lab.ip("link set their0 nomaster\n");
        lab.nets(json!({ "red": { "remove": true } }));
        let now = Look::now();
        assert!(!now.has("red") && now.has("their0"));
    });
}

#[test]
fn what_somebody_did_to_a_bridge_by_hand_is_put_right_by_the_next_request() {
    story(Veth, 1, |lab| {
        let red = json!({ "red": { "nic": "veth_0", "ipaddr": "10.0.0.1", "prefix": 24, "stp": true } });
        lab.nets(red.clone());
        let whole = Look::now().text(None);
        let harms = [
            "link set veth_0 nomaster\n",
            "link set red down\n",
            "link set red mtu 1400\n",
            "addr flush dev red\naddr add 10.0.0.7/24 dev red\n",
            "link set red type bridge stp_state 0\n",
            "link set veth_0 down\n",
        ];
        for harm in harms {
            lab.ip(harm);
            assert!(lab.nets(red.clone()), "{harm}");
            crate::look::assert_same(&whole, &Look::now().text(None), harm);
        }
        lab.ip("link del red\n");
        assert!(lab.nets(red.clone()));
        assert_eq!(Look::now().addresses("red"), ["10.0.0.1/24"]);
        lab.ip("link del red\n");
        lab.nets(json!({ "red": { "remove": true } }));
        assert!(lab.running_files().is_empty());
    });
}
