//! A kernel booted with `ipv6.disable=1`. `cargo xtask test` boots one for these stories alone.
//!
//! The module is loaded there all the same, and knows no address family: neither its tables nor its
//! sysctls exist.

use serde_json::{Value, json};

use crate::beyond::server::{Offers, Server};
use crate::lab::{Lab, Nics::Veth, skip, story, story_needing};
use crate::look::{Look, assert_same};

/// Whether this is such a kernel; where it is not, that is told.
fn is_so(test: &str) -> bool {
    let has_ipv6 = std::path::Path::new("/proc/sys/net/ipv6").exists();
    if has_ipv6 {
        skip(&format!("without_ipv6::{test}"), "this kernel has IPv6");
    }
    !has_ipv6
}

fn red() -> Value {
    json!({ "nic": "veth_0", "ipaddr": "10.0.0.5", "prefix": 24, "gateway": "10.0.0.1", "defaultRoute": true })
}

#[track_caller]
fn is_refused(lab: &mut Lab, key: &str, value: Value, told: &str) {
    let (before, stored) = (Look::now().text(None), lab.running_files());
    let mut networks = json!({ "blue": { "nic": "veth_1" }, "green": { "nic": "eth77" } });
    networks["blue"][key] = value;
    // With what is wrong besides, whose code comes first.
    let error = lab.refused(23, networks.clone(), json!({}));
    assert!(error.message.contains("eth77") && error.message.contains(told), "{error:?}");
    networks.as_object_mut().unwrap().remove("green");
    assert_eq!(lab.refused(22, networks, json!({})).message, told);
    assert_same(&before, &Look::now().text(None), key);
    assert_eq!(lab.running_files(), stored);
}

#[test]
fn who_asks_for_it_is_told_and_all_else_works() {
    if !is_so("who_asks_for_it_is_told_and_all_else_works") {
        return;
    }
    story(Veth, 2, |lab| {
        assert_eq!(lab.capabilities()["supportsIPv6"], false);
        lab.nets(json!({ "red": red() }));
        let says = |what: &str| format!("network 'blue': {what}, but this kernel has no IPv6");
        is_refused(lab, "ipv6addr", json!("fd00::5/64"), &says("ipv6addr is fd00::5/64"));
        is_refused(lab, "ipv6autoconf", json!(true), &says("ipv6autoconf is true"));
        is_refused(lab, "dhcpv6", json!("1"), &says("dhcpv6 is true"));
        lab.again(json!({ "red": red() }), json!({}));
        let now = Look::now();
        assert_eq!(
            (now.addresses("red"), now.default_routes()),
            (vec!["10.0.0.5/24".to_owned()], vec!["10.0.0.1 red".to_owned()])
        );
        assert_eq!(now.source_rules().len(), 2);
        // The size at which IPv6 comes and goes elsewhere.
        for mtu in [1200, 1500] {
            let mut smaller = red();
            smaller["mtu"] = json!(mtu);
            lab.nets(json!({ "red": smaller.clone() }));
            lab.again(json!({ "red": smaller }), json!({}));
        }
        // What fails is undone there as well.
        let before = Look::now().text(None);
        let bad =
            json!({ "nic": "veth_1", "ipaddr": "10.1.0.5", "prefix": 24, "gateway": "10.7.0.1", "defaultRoute": true });
        lab.expect_error(29, json!({ "networks": { "blue": bad, "red": { "nic": "veth_0", "bridged": true } } }));
        assert_same(&before, &Look::now().text(None), "rolled back");
        lab.nets(json!({ "red": { "remove": true } }));
        assert!(!Look::now().has("red"));
    });
}

#[test]
fn what_was_stored_with_it_is_restored_without_it() {
    if !is_so("what_was_stored_with_it_is_restored_without_it") {
        return;
    }
    story(Veth, 2, |lab| {
        lab.nets(json!({ "red": red(), "blue": { "nic": "veth_1", "bridged": false } }));
        lab.set_safe();
        // As another kernel has left it.
        let of = |name: &str| lab.path(&format!("lib/persistence/netconf/nets/{name}"));
        for (path, keys) in [
            (of("red"), json!({ "ipv6addr": "fd00::5/64", "ipv6gateway": "fd00::1" })),
            (of("blue"), json!({ "ipv6autoconf": true, "dhcpv6": true })),
        ] {
            let mut stored: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
            stored.as_object_mut().unwrap().extend(keys.as_object().unwrap().clone());
            std::fs::write(path, stored.to_string()).unwrap();
        }
        lab.reboot();
        let told = lab.restore(false);
        let skipped = told["skipped"].to_string();
        assert!(skipped.contains("restored without ipv6addr = fd00::5/64, for this kernel has no IPv6"), "{told}");
        assert!(skipped.contains("restored without ipv6autoconf = true, dhcpv6 = true"), "{told}");
        assert!(!skipped.contains("lease"), "nobody waits for one: {told}");
        assert_eq!(told["failed"], json!([]));
        assert_eq!(
            (Look::now().addresses("red"), lab.running_files()),
            (vec!["10.0.0.5/24".to_owned()], lab.persistent_files())
        );
        let checked = lab.call("Host.checkNetworks", json!({})).unwrap();
        let differences = checked["networks"]["red"]["differences"].to_string();
        assert!(differences.contains("this kernel has no IPv6") && checked["plan"] == json!([]), "{checked}");
        // Others can be changed, the default route can leave it, and it can go.
        lab.nets(json!({ "green": { "nic": "veth_1", "vlan": 5 } }));
        lab.nets(json!({ "green": { "nic": "veth_1", "vlan": 5, "ipaddr": "10.2.0.5", "prefix": 24, "gateway": "10.2.0.1", "defaultRoute": true } }));
        assert_eq!(Look::now().default_routes(), ["10.2.0.1 green"]);
        lab.nets(json!({ "red": { "remove": true }, "blue": { "remove": true } }));
        assert!(!Look::now().has("red"));
    });
}

#[test]
fn leases_of_ipv4_come_and_bring_what_follows() {
    if !is_so("leases_of_ipv4_come_and_bring_what_follows") {
        return;
    }
    story_needing(&["dnsmasq"], Veth, 1, |lab| {
        let mut server = Server::behind(0);
        server.start(&Offers { v4: Some(100..=100), lease: 120, ..Offers::default() });
        lab.nets(
            json!({ "red": { "nic": "veth_0", "bootproto": "dhcp", "blockingdhcp": true, "defaultRoute": true } }),
        );
        let now = Look::now();
        assert_eq!(
            (now.addresses("red"), now.default_routes()),
            (vec!["10.77.0.100/24".to_owned()], vec!["10.77.0.1 red".to_owned()])
        );
        lab.nets(json!({ "red": { "remove": true } }));
        assert_eq!(Look::now().source_rules(), [""; 0]);
    });
}
