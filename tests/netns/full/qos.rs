//! Host QoS, as `tc` tells it and as packets find it.

use std::net::UdpSocket;
use std::process::Command;

use serde_json::{Value, json};

use crate::lab::{Lab, Nics::Dummy, story};
use crate::look::{Look, assert_same, without_indexes};

fn tc(words: &str) -> String {
    let output = Command::new("tc").args(words.split_whitespace()).output().unwrap();
    assert!(output.status.success(), "tc {words}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// All that `tc` says of a device, but for its name, what the kernel made by itself, and flows that
/// come and go in a fair queue.
pub(super) fn all(device: &str) -> String {
    let asked = ["qdisc show dev", "class show dev", "filter show dev"];
    let text: String = asked.iter().map(|what| tc(&format!("{what} {device}"))).collect();
    let lines = text.lines().filter(|line| !line.contains(" 0: ") && !line.starts_with("class fq_codel"));
    lines.map(|line| format!("{line}\n")).collect::<String>().replace(device, "DEV")
}

fn weight(m2: u64) -> Value {
    json!({ "out": { "ls": { "m2": m2 } } })
}

/// Bytes and packets that a class has sent.
fn sent(device: &str, class: &str) -> (u64, u64) {
    let text = tc(&format!("-s class show dev {device}"));
    let mut lines = text.lines().skip_while(|line| !line.starts_with(&format!("class hfsc 1389:{class} "))).skip(1);
    let words: Vec<&str> = lines.next().unwrap_or_else(|| panic!("no class {class}:\n{text}")).split(' ').collect();
    let number = |word: &str| words[words.iter().position(|it| *it == word).unwrap() - 1].parse().unwrap();
    (number("bytes"), number("pkt"))
}

#[test]
fn the_kernel_has_what_tc_would_have_made() {
    story(Dummy, 2, |lab| {
        let curves = json!({ "out": { "ls": { "m1": 1_015_432, "d": 777, "m2": 5_000_001 }, "ul": { "m2": "34359738360" }, "rt": { "m2": 9_999_999 } } });
        lab.nets(json!({ "a": { "nic": "dummy_0", "vlan": 10, "hostQos": curves } }));
        for command in [
            "qdisc add dev dummy_1 root handle 1389: hfsc default 1388",
            "class add dev dummy_1 parent 1389: classid 1389:a hfsc rt m2 9999999bit ls m1 8123456bit d 777us m2 40000008bit ul m2 34359738360bit",
            "qdisc add dev dummy_1 parent 1389:a handle a: fq_codel",
            "class add dev dummy_1 parent 1389: classid 1389:1388 hfsc ls m2 40000008bit",
            "qdisc add dev dummy_1 parent 1389:1388 handle 1388: fq_codel",
        ] {
            tc(command);
        }
        let tag =
            ["filter", "add", "dev", "dummy_1", "parent", "1389:", "protocol", "all", "pref", "10", "basic", "match"];
        let made = Command::new("tc").args(tag).args(["meta(vlan mask 0xfff eq 10)", "flowid", "1389:a"]).status();
        assert!(made.unwrap().success());
        assert_same(&all("dummy_0"), &all("dummy_1"), "a tagged network");
        lab.nets(json!({ "b": { "nic": "dummy_0", "bridged": false, "hostQos": weight(10) } }));
        tc("class change dev dummy_1 parent 1389: classid 1389:1388 hfsc ls m2 80bit");
        tc("filter add dev dummy_1 parent 1389: protocol all pref 5000 u32 match u32 0 0 flowid 1389:1388");
        assert_same(&all("dummy_0"), &all("dummy_1"), "an untagged one beside it");
        let caps = lab.capabilities();
        let zeros = |m2: u64| json!({ "out": { "ls": { "m1": 0, "d": 0, "m2": m2 } } });
        let full = json!({ "out": { "ls": { "m1": 1_015_432, "d": 777, "m2": 5_000_001 }, "ul": { "m1": 0, "d": 0, "m2": 34_359_738_360_u64 }, "rt": { "m1": 0, "d": 0, "m2": 9_999_992 } } });
        let listed = json!([{ "hostQos": zeros(10), "vlan": -1 }, { "hostQos": full, "vlan": 10 }]);
        assert_eq!(caps["nics"]["dummy_0"]["qos"], listed);
        assert_eq!((&caps["networks"]["a"]["hostQos"], &caps["networks"]["b"]["hostQos"]), (&full, &zeros(10)));
        lab.again(json!({ "a": { "nic": "dummy_0", "vlan": 10, "hostQos": curves } }), json!({}));
        // All of them go, one by one, and so does the root.
        lab.nets(json!({ "b": { "remove": true } }));
        lab.nets(json!({ "a": { "nic": "dummy_0", "vlan": 10 } }));
        assert_eq!(tc("qdisc show dev dummy_0").trim(), "qdisc noqueue 0: root refcnt 2");
        assert_eq!(all("dummy_0"), "");
    });
}

#[test]
fn frames_go_through_the_class_of_their_network() {
    story(Dummy, 1, |lab| {
        lab.ip("link add veth_0 type veth peer name peer0\nlink set veth_0 up\nlink set peer0 up\n");
        let nets = json!({
            "a": { "nic": "veth_0", "vlan": 10, "bridged": false, "ipaddr": "10.0.0.1", "prefix": 24, "hostQos": weight(5) },
            "b": { "nic": "veth_0", "vlan": 20, "ipaddr": "10.2.0.1", "prefix": 24, "hostQos": weight(5) },
            "z": { "nic": "veth_0", "vlan": 0, "bridged": false, "ipaddr": "10.4.0.1", "prefix": 24, "hostQos": weight(5) },
            "c": { "nic": "veth_0", "vlan": 30, "bridged": false, "ipaddr": "10.3.0.1", "prefix": 24 },
            "u": { "nic": "veth_0", "bridged": false, "ipaddr": "10.1.0.1", "prefix": 24 },
        });
        lab.nets(nets.clone());
        let ways = [
            ("10.0.0.2", "veth_0.10", "a"),
            ("10.2.0.2", "b", "14"),
            ("10.4.0.2", "veth_0.0", "1000"),
            ("10.3.0.2", "veth_0.30", "1388"),
            ("10.1.0.2", "veth_0", "1388"),
        ];
        for (to, device, _) in ways {
            lab.ip(&format!("neigh add {to} lladdr 02:00:00:00:00:99 dev {device} nud permanent\n"));
        }
        let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
        for (to, _, class) in ways {
            let before = ["a", "14", "1000", "1388"].map(|class| sent("veth_0", class));
            let arrived = received();
            (0..50).for_each(|_| assert_eq!(socket.send_to(&[7; 1000], (to, 9)).unwrap(), 1000));
            let after = ["a", "14", "1000", "1388"].map(|class| sent("veth_0", class));
            for (number, name) in ["a", "14", "1000", "1388"].into_iter().enumerate() {
                let packets = after[number].1 - before[number].1;
                // The kernel says a word of its own now and then, untagged and through bridges.
                match name == class {
                    true => assert!(packets >= 50 && after[number].0 - before[number].0 >= 50_000, "{to}: {packets}"),
                    false => assert!(packets < 25, "{to} went through {name}: {packets}"),
                }
            }
            assert!(received() - arrived >= 50, "{to} did not reach the other end");
        }
        // A class that stays keeps its count, so it was not made anew.
        let before = sent("veth_0", "a");
        lab.again(nets, json!({}));
        lab.nets(json!({ "b": { "remove": true }, "a": { "nic": "veth_0", "vlan": 10, "bridged": false, "ipaddr": "10.0.0.1", "prefix": 24, "hostQos": weight(9) } }));
        assert!(sent("veth_0", "a").1 >= before.1);
        assert!(tc("class show dev veth_0").contains("1389:1388 parent 1389: leaf 1388: ls m1 0bit d 0us m2 72bit"));
    });
}

fn received() -> u64 {
    let output = Command::new("ip").args(["-s", "-j", "link", "show", "peer0"]).output().unwrap();
    let links: Value = serde_json::from_slice(&output.stdout).unwrap();
    links[0]["stats64"]["rx"]["packets"].as_u64().unwrap()
}

#[test]
fn a_root_of_somebody_elses_is_refused_and_stays() {
    story(Dummy, 2, |lab| {
        tc("qdisc add dev dummy_0 root handle 8: fq_codel limit 77");
        let theirs = all("dummy_0");
        let error = lab.refused(21, json!({ "a": { "nic": "dummy_0", "hostQos": weight(5) } }), json!({}));
        assert!(error.message.contains("'dummy_0', but that is fq_codel 8: of somebody else"), "{}", error.message);
        lab.nets(json!({ "a": { "nic": "dummy_0" } }));
        assert_eq!(all("dummy_0"), theirs);
        // Beside ours, mirroring and the like of others is in nobody's way.
        tc("qdisc add dev dummy_1 clsact");
        tc("filter add dev dummy_1 ingress matchall action mirred egress mirror dev dummy_0");
        let theirs = tc("filter show dev dummy_1 ingress");
        lab.nets(json!({ "b": { "nic": "dummy_1", "hostQos": weight(5) } }));
        lab.nets(json!({ "b": { "remove": true } }));
        assert_eq!(tc("filter show dev dummy_1 ingress"), theirs);
        assert!(all("dummy_1").contains("clsact") && !all("dummy_1").contains("hfsc"));
    });
}

/// Fails at the very end, when everything else has been done.
#[track_caller]
fn fails(lab: &mut Lab, devices: &[&str], mut networks: Value, bondings: Value) {
    networks["new"] =
        json!({ "nic": "dummy_3", "ipaddr": "10.5.0.1", "prefix": 24, "gateway": "10.7.0.254", "defaultRoute": true });
    let text = || devices.iter().map(|device| all(device)).collect::<Vec<_>>().join("\n");
    let (shaped, before) = (text(), Look::now().text(None));
    let error = lab.expect_error(29, json!({ "networks": networks, "bondings": bondings }));
    assert_eq!(error.data.unwrap()["rolled_back"], true);
    assert_same(&shaped, &text(), "tc");
    // A VLAN that goes and comes back has another number.
    assert_same(&without_indexes(&before), &without_indexes(&Look::now().text(None)), "ip");
}

#[test]
fn a_change_that_fails_brings_all_of_it_back() {
    story(Dummy, 4, |lab| {
        let devices = ["dummy_0", "dummy_1", "dummy_2"];
        fails(lab, &devices, json!({ "a": { "nic": "dummy_0", "vlan": 10, "hostQos": weight(5) } }), json!({}));
        assert_eq!(tc("qdisc show dev dummy_0").trim(), "qdisc noqueue 0: root refcnt 2");
        lab.setup(
            json!({
                "a": { "nic": "dummy_0", "vlan": 10, "hostQos": weight(5) },
                "b": { "nic": "dummy_0", "vlan": 20, "hostQos": { "out": { "ls": { "m2": 7 }, "ul": { "m2": 80_000 } } } },
                "c": { "bonding": "bond0", "hostQos": weight(3) },
            }),
            json!({ "bond0": { "nics": ["dummy_2"] } }),
        );
        let devices = ["dummy_0", "dummy_1", "dummy_2", "bond0"];
        let edit = json!({ "a": { "nic": "dummy_0", "vlan": 10 }, "b": { "nic": "dummy_0", "vlan": 20, "hostQos": weight(9) }, "c": { "bonding": "bond0" } });
        fails(lab, &devices, edit, json!({}));
        fails(
            lab,
            &devices,
            json!({ "a": { "nic": "dummy_1", "vlan": 10, "hostQos": weight(5) } , "c": { "bonding": "bond0", "hostQos": weight(4) } }),
            json!({}),
        );
        // What is moved for good leaves nothing behind.
        lab.setup(
            json!({ "c": { "nic": "dummy_2", "hostQos": weight(3) }, "b": { "remove": true } }),
            json!({ "bond0": { "remove": true } }),
        );
        assert!(all("dummy_2").contains("1389:1388") && !all("dummy_0").contains("pref 20"));
    });
}

#[test]
fn what_strangers_did_below_our_root_is_told_and_restored() {
    story(Dummy, 2, |lab| {
        lab.nets(json!({ "a": { "nic": "dummy_0", "vlan": 10, "hostQos": weight(5) } }));
        lab.set_safe();
        let before = all("dummy_0");
        for (commands, told) in [
            (
                "filter del dev dummy_0 parent 1389: pref 10",
                "the host QoS of tag 10 on dummy_0 lacks its filter or queue",
            ),
            (
                "qdisc replace dev dummy_0 parent 1389:a handle 77: pfifo",
                "the host QoS of tag 10 on dummy_0 lacks its filter or queue",
            ),
            (
                "qdisc change dev dummy_0 root handle 1389: hfsc default a",
                "what has no host QoS on dummy_0 goes into another class",
            ),
            (
                "class change dev dummy_0 parent 1389: classid 1389:1388 hfsc ls m2 8bit",
                "the host QoS of untagged frames on dummy_0 is ls m1 0bit d 0us m2 8bit instead of ls m1 0bit d 0us m2 40bit",
            ),
            (
                "filter add dev dummy_0 parent 1389: protocol ip pref 10 basic flowid 1389:1388",
                "the host QoS of tag 10 on dummy_0 lacks its filter or queue",
            ),
            ("qdisc del dev dummy_0 root", "the host QoS of dummy_0 is missing"),
        ] {
            // Another protocol may not share a preference.
            if Command::new("tc").args(commands.split(' ')).status().unwrap().success() {
                let found = lab.call("Host.checkNetworks", json!({})).unwrap();
                assert_eq!(found["networks"]["a"]["differences"][0]["text"], told, "{commands}");
                lab.restore(true);
            }
            assert_same(&before, &all("dummy_0"), commands);
        }
        lab.reboot();
        lab.restore(false);
        assert_same(&before, &all("dummy_0"), "after a boot");
    });
}
