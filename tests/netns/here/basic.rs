//! Networks on nics: they come, change and go.

use serde_json::{Value, json};

use crate::lab::{Lab, Nics::Veth, story};
use crate::look::{Look, assert_same};

const NIC: &str = "veth_0";

#[test]
fn a_network_comes_on_a_nic_and_goes_without_a_trace() {
    story(Veth, 2, |lab| {
        let before = Look::now().text(None);
        let red = json!({ "red": { "nic": NIC } });
        assert!(lab.nets(red.clone()));
        let now = Look::now();
        assert_eq!((now.kind("red"), now.ports("red")), ("bridge", vec![NIC]));
        assert_eq!((now.mtu("red"), now.is_up("red"), now.is_up(NIC)), (1500, true, true));
        assert_eq!((&now.info("red")["stp_state"], &now.info("red")["forward_delay"]), (&json!(0), &json!(0)));
        now.assert_no_ipv6(&["red", NIC]);
        assert_eq!(lab.running_files().keys().collect::<Vec<_>>(), ["nets/red"]);
        lab.again(red, json!({}));

        assert!(lab.nets(json!({ "red": { "remove": true } })));
        let now = Look::now();
        assert!(!now.has("red") && now.is_up(NIC) && now.master(NIC).is_empty());
        assert_eq!(lab.running_files(), serde_json::Map::new());
        // The nic's IPv6, switched off below the bridge, is off still (vdsm-facts 3.14).
        let text = |text: &str| text.lines().filter(|l| !l.starts_with(NIC)).collect::<Vec<_>>().join("\n");
        assert_same(&text(&before), &text(&now.text(None)), "all but the nic");
    });
}

#[test]
fn a_network_without_nic_is_a_bridge_alone_with_the_spanning_tree_as_asked() {
    story(Veth, 0, |lab| {
        let stp = |value: &str| json!({ "lonely": { "STP": value, "bridged": "true" } });
        let seen =
            || (Look::now().info("lonely")["stp_state"].clone(), Look::now().info("lonely")["forward_delay"].clone());
        lab.nets(stp("yes"));
        assert_eq!(seen(), (json!(1), json!(200)));
        lab.again(stp("on"), json!({}));
        lab.nets(stp("no"));
        assert_eq!(seen(), (json!(0), json!(0)));
        lab.nets(json!({ "lonely": { "mtu": 2000 } }));
        let now = Look::now();
        assert_eq!((now.mtu("lonely"), now.ports("lonely").len(), now.is_up("lonely")), (2000, 0, true));
        let opts = &lab.capabilities()["networks"]["lonely"];
        assert_eq!((&opts["stp"], &opts["ports"], &opts["mtu"]), (&json!("off"), &json!([]), &json!("2000")));
        lab.nets(json!({ "lonely": { "remove": true } }));
        assert!(!Look::now().has("lonely"));
    });
}

#[test]
fn a_network_changes_between_bridged_and_bridgeless() {
    story(Veth, 1, |lab| {
        let net =
            |bridged: bool| json!({ "red": { "nic": NIC, "bridged": bridged, "ipaddr": "10.0.0.1", "prefix": 24 } });
        for bridged in [true, false, true] {
            lab.nets(net(bridged));
            let now = Look::now();
            assert_eq!(now.has("red"), bridged);
            let (top, below) = if bridged { ("red", Some(NIC)) } else { (NIC, None) };
            assert_eq!(now.addresses(top), ["10.0.0.1/24"]);
            assert!(below.is_none_or(|nic| now.addresses(nic).is_empty()));
            lab.again(net(bridged), json!({}));
        }
        lab.nets(net(false));
        lab.nets(json!({ "red": { "remove": true } }));
        let now = Look::now();
        assert!(now.addresses(NIC).is_empty() && now.is_up(NIC));
    });
}

#[test]
fn a_network_moves_to_another_nic_and_the_first_is_released() {
    story(Veth, 2, |lab| {
        lab.nets(json!({ "red": { "nic": NIC, "mtu": 2000, "ipaddr": "10.0.0.1", "prefix": 24 } }));
        let before = Look::now();
        assert_eq!(before.mtus(&["red", NIC, "veth_1"]), [2000, 2000, 1500]);
        lab.nets(json!({ "red": { "nic": "veth_1", "mtu": 2000, "ipaddr": "10.0.0.1", "prefix": 24 } }));
        let now = Look::now();
        assert_eq!(now.index("red"), before.index("red"));
        assert_eq!((now.ports("red"), now.mtus(&["red", NIC, "veth_1"])), (vec!["veth_1"], vec![2000, 1500, 2000]));
        assert!(now.is_up(NIC));
        assert_eq!(now.addresses("red"), ["10.0.0.1/24"]);
        // Two networks exchange their nics in one request.
        lab.nets(json!({ "blue": { "nic": NIC } }));
        let before = Look::now();
        lab.nets(json!({ "red": { "nic": NIC }, "blue": { "nic": "veth_1" } }));
        let now = Look::now();
        assert_eq!((now.ports("red"), now.ports("blue")), (vec![NIC], vec!["veth_1"]));
        assert_eq!((now.index("red"), now.index("blue")), (before.index("red"), before.index("blue")));
    });
}

#[test]
fn what_a_network_does_not_name_goes_back_to_its_default() {
    story(Veth, 1, |lab| {
        let custom = json!({ "bridge_opts": "hello_time=300 ageing_time=6000", "color": "red" });
        lab.nets(json!({ "red": { "nic": NIC, "mtu": 3000, "stp": true, "custom": custom, "ipaddr": "10.0.0.1", "netmask": "255.255.255.0" } }));
        let now = Look::now();
        assert_eq!((&now.info("red")["hello_time"], &now.info("red")["ageing_time"]), (&json!(300), &json!(6000)));
        assert_eq!(lab.running_files()["nets/red"]["custom"]["color"], "red");
        lab.nets(json!({ "red": { "nic": NIC } }));
        let after = Look::now();
        let info = after.info("red");
        assert_eq!(
            (&info["hello_time"], &info["ageing_time"], &info["stp_state"]),
            (&json!(200), &json!(30000), &json!(0))
        );
        assert_eq!(
            (after.index("red"), after.mtus(&["red", NIC]), after.addresses("red").len()),
            (now.index("red"), vec![1500, 1500], 0)
        );
        assert_eq!(lab.running_files()["nets/red"].get("custom"), None);
    });
}

#[test]
fn the_engines_own_spelling_is_understood() {
    story(Veth, 1, |lab| {
        // As today's engine sends it (vdsm-facts 15).
        let network = json!({
            "ovirtmgmt": {
                "nic": NIC, "mtu": 1500, "bridged": "true", "STP": "no", "ipaddr": "10.0.0.1", "prefix": "24", "gateway": "10.0.0.254",
                "ipv6addr": "fd00::1/64", "ipv6gateway": "::", "ipv6autoconf": false, "dhcpv6": false, "defaultRoute": true, "switch": "legacy", "custom": {}
            }
        });
        let options = json!({ "connectivityCheck": "false", "commitOnSuccess": true });
        lab.request(json!({ "networks": network, "bondings": {}, "options": options })).unwrap();
        let now = Look::now();
        assert_eq!(now.addresses("ovirtmgmt"), ["10.0.0.1/24", "fd00::1/64"]);
        assert_eq!(now.default_routes(), ["10.0.0.254 ovirtmgmt"]);
        assert_eq!(lab.persistent_files(), lab.running_files());
        let told = lab.capabilities()["networks"]["ovirtmgmt"].clone();
        let keys = ["iface", "addr", "netmask", "gateway", "ipv4defaultroute", "ipv6addrs", "mtu"]
            .map(|key| told[key].clone());
        let wanted = json!(["ovirtmgmt", "10.0.0.1", "255.255.255.0", "10.0.0.254", true, ["fd00::1/64"], "1500"]);
        assert_eq!(Value::from(keys.to_vec()), wanted);
        let removal = json!({ "ovirtmgmt": { "remove": "true" } });
        lab.request(json!({ "networks": removal, "bondings": {}, "options": options })).unwrap();
        assert!(!Look::now().has("ovirtmgmt") && lab.persistent_files().is_empty());
    });
}

#[test]
fn the_older_verbs_do_what_their_names_say() {
    story(Veth, 2, |lab| {
        let done = |lab: &mut Lab, verb: &str, params: Value| lab.call(verb, params).unwrap();
        done(
            lab,
            "Host.addNetwork",
            json!({ "bridge": "red", "vlan": "", "bond": "", "nics": [NIC], "options": { "IPADDR": "10.0.0.1", "NETMASK": "255.255.255.0" } }),
        );
        assert_eq!(
            (Look::now().ports("red"), Look::now().addresses("red")),
            (vec![NIC], vec!["10.0.0.1/24".to_owned()])
        );
        let again = lab.call("Host.addNetwork", json!({ "bridge": "red", "nics": [NIC] })).unwrap_err();
        assert_eq!(again.data.as_ref().unwrap()["problems"][0]["code"], 28);
        assert_eq!(again.code, 28, "{again:?}");
        done(lab, "Host.editNetwork", json!({ "oldBridge": "red", "newBridge": "blue", "nics": ["veth_1"] }));
        let now = Look::now();
        assert!(!now.has("red"));
        assert_eq!(now.ports("blue"), ["veth_1"]);
        done(lab, "Host.delNetwork", json!({ "bridge": "blue" }));
        assert!(!Look::now().has("blue"));
        let gone = lab.call("Host.delNetwork", json!({ "bridge": "blue" })).unwrap_err();
        assert_eq!(gone.code, 27, "{gone:?}");
    });
}
