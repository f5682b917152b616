//! VLANs: several networks on one interface.

use serde_json::{Value, json};

use crate::lab::{Lab, Nics::Dummy, story};
use crate::look::{Look, assert_same};

/// The story on a nic, and again on a bond.
fn on_both(tell: fn(&mut Lab, &'static str, &'static str)) {
    story(Dummy, 3, move |lab| tell(lab, "nic", "dummy_0"));
    story(Dummy, 3, move |lab| {
        lab.bonds(json!({ "bond0": { "nics": ["dummy_0", "dummy_1"] } }));
        tell(lab, "bonding", "bond0");
    });
}

fn net(key: &str, base: &str, vlan: impl Into<Value>, bridged: bool) -> Value {
    let vlan: Value = vlan.into();
    json!({ key: base, "vlan": vlan, "bridged": bridged })
}

#[test]
fn several_tags_share_an_interface_the_zero_included() {
    on_both(|lab, key, base| {
        let before = Look::now().text(None);
        let networks = json!({ "zero": net(key, base, 0, true), "ten": net(key, base, "10", true), "high": net(key, base, 4094, false), "plain": net(key, base, Value::Null, false) });
        lab.nets(networks.clone());
        let now = Look::now();
        for (bridge, tag) in [("zero", 0), ("ten", 10)] {
            let device = format!("{base}.{tag}");
            assert_eq!((now.vlan(&device), now.ports(bridge)), ((tag, base), vec![device.as_str()]));
        }
        assert_eq!(now.vlan(&format!("{base}.4094")), (4094, base));
        assert_eq!(lab.running_files()["nets/ten"]["vlan"], 10);
        assert_eq!(lab.capabilities()["networks"]["ten"]["vlanid"], 10);
        lab.again(networks, json!({}));
        // One by one, each leaves the others as they are.
        for name in ["ten", "plain", "high"] {
            let stay = ["zero".to_owned(), format!("{base}.0")];
            let stay = [stay[0].as_str(), stay[1].as_str()];
            let others = Look::now().text(Some(&stay));
            lab.nets(json!({ name: { "remove": true } }));
            assert_same(&others, &Look::now().text(Some(&stay)), name);
        }
        lab.nets(json!({ "zero": { "remove": true } }));
        let but_nic = |text: &str| text.lines().filter(|l| !l.starts_with("dummy_0")).collect::<Vec<_>>().join("\n");
        assert_same(&but_nic(&before), &but_nic(&Look::now().text(None)), "all gone");
    });
}

#[test]
fn a_tagged_network_changes_tag_base_and_bridge() {
    on_both(|lab, key, base| {
        let mut red = net(key, base, 10, true);
        red["ipaddr"] = json!("10.0.0.1");
        red["prefix"] = json!(24);
        lab.nets(json!({ "red": red }));
        lab.ip("tuntap add dev vnet0 mode tap\nlink set vnet0 master red up\n");
        let index = Look::now().index("red");
        let check = |lab: &mut Lab, red: &Value, device: &str| {
            lab.nets(json!({ "red": red }));
            let now = Look::now();
            let vlans: Vec<&str> = now.names().into_iter().filter(|n| now.kind(n) == "vlan").collect();
            let expected: Vec<&str> = if device.contains('.') { vec![device] } else { vec![] };
            assert_eq!(vlans, expected, "{red}");
            let mut ports = [device, "vnet0"];
            ports.sort();
            assert_eq!(
                (now.ports("red"), now.index("red"), now.addresses("red")),
                (ports.to_vec(), index, vec!["10.0.0.1/24".to_owned()]),
                "{red}"
            );
        };
        red["vlan"] = json!(20);
        check(lab, &red, &format!("{base}.20"));
        red["vlan"] = Value::Null;
        check(lab, &red, base);
        red["vlan"] = json!(10);
        red.as_object_mut().unwrap().remove(key);
        red["nic"] = json!("dummy_2");
        check(lab, &red, "dummy_2.10");
        // Without the VM it may lose its bridge and get it back.
        lab.ip("link del vnet0\n");
        for bridged in [false, true] {
            red["bridged"] = json!(bridged);
            lab.nets(json!({ "red": red }));
            let now = Look::now();
            assert_eq!(
                (now.has("red"), now.addresses(if bridged { "red" } else { "dummy_2.10" })),
                (bridged, vec!["10.0.0.1/24".to_owned()])
            );
        }
    });
}

#[test]
fn the_same_tag_twice_or_two_without_one_are_refused() {
    on_both(|lab, key, base| {
        lab.nets(json!({ "a": net(key, base, 10, true), "b": net(key, base, Value::Null, false) }));
        let before = Look::now().text(None);
        lab.refused(21, json!({ "c": net(key, base, 10, false) }), json!({}));
        lab.refused(21, json!({ "c": net(key, base, Value::Null, false) }), json!({}));
        // The design document's rule: an untagged bridge has the interface for itself.
        lab.refused(21, json!({ "c": net(key, base, Value::Null, true), "b": { "remove": true } }), json!({}));
        assert_same(&before, &Look::now().text(None), "after refusals");
        // The same tag on two interfaces, and a tag that changes hands.
        lab.nets(json!({ "c": net("nic", "dummy_2", 10, true) }));
        lab.nets(json!({ "a": net(key, base, 11, true), "d": net(key, base, 10, true) }));
        let now = Look::now();
        assert_eq!(
            (now.ports("a"), now.ports("d")),
            (vec![format!("{base}.11").as_str()], vec![format!("{base}.10").as_str()])
        );
    });
}

#[test]
fn a_vlan_deleted_by_hand_can_be_set_again_or_its_network_removed() {
    on_both(|lab, key, base| {
        let red = json!({ "red": net(key, base, 10, true), "blue": net(key, base, 20, false) });
        lab.nets(red.clone());
        lab.ip(&format!("link del {base}.10\nlink del {base}.20\n"));
        assert!(lab.capabilities()["networks"].get("blue").is_none());
        assert!(lab.nets(red.clone()));
        assert_eq!(Look::now().ports("red"), [format!("{base}.10")]);
        lab.ip(&format!("link del {base}.10\nlink del {base}.20\n"));
        lab.nets(json!({ "red": { "remove": true }, "blue": { "remove": true } }));
        assert!(!Look::now().has("red"));
    });
}

#[test]
fn an_address_goes_with_its_untagged_network_while_tagged_ones_stay() {
    on_both(|lab, key, base| {
        let mut plain = net(key, base, Value::Null, false);
        plain.as_object_mut().unwrap().extend(
            json!({ "ipaddr": "10.0.0.1", "prefix": 24, "ipv6addr": "fd00::1/64" }).as_object().unwrap().clone(),
        );
        lab.nets(json!({ "plain": plain, "red": net(key, base, 10, true) }));
        assert_eq!(Look::now().addresses(base), ["10.0.0.1/24", "fd00::1/64"]);
        let devices = ["red".to_owned(), format!("{base}.10")];
        let devices = [devices[0].as_str(), devices[1].as_str()];
        let tagged = Look::now().text(Some(&devices));
        lab.nets(json!({ "plain": { "remove": true } }));
        let now = Look::now();
        assert!(now.addresses(base).is_empty() && now.is_up(base));
        now.assert_no_ipv6(&[base]);
        assert_same(&tagged, &now.text(Some(&devices)), "the tagged one");
    });
}

#[test]
fn a_name_too_long_for_its_vlan_is_refused_with_26() {
    story(Dummy, 1, |lab| {
        lab.ip("link set dummy_0 down\nlink set dummy_0 name dummy_123456\nlink set dummy_123456 up\n");
        lab.nets(json!({ "red": { "nic": "dummy_123456", "vlan": 10 } }));
        lab.refused(26, json!({ "blue": { "nic": "dummy_123456", "vlan": 1000 } }), json!({}));
        assert_eq!(Look::now().ports("red"), ["dummy_123456.10"]);
    });
}
