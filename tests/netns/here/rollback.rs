//! Changes that fail: everything is as it was, and the error is the original one.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::lab::{Lab, Nics::Veth, story};
use crate::look::{Look, assert_same, without_indexes};

/// A network with all a network can have, on the first nic.
fn full_network(number: u8) -> Value {
    json!({
        "nic": "veth_0", "mtu": 2000, "stp": true, "ipaddr": format!("10.0.0.{number}"), "prefix": 24, "gateway": "10.0.0.254", "defaultRoute": true,
        "ipv6addr": format!("fd00::{number}/64"), "ipv6gateway": "fd00::fffe", "custom": { "bridge_opts": "hello_time=300" }
    })
}

/// In a request that lets a bridge go.
const GOING: [&str; 2] = ["remove", "\"bridged\":false"];

/// The same host after a request that fails, down to the files.
#[track_caller]
fn fails(lab: &mut Lab, code: i64, params: Value) -> vdsm_net::rpc::RpcError {
    let (mut before, stored) = (Look::now().text(None), lab.running_files());
    let error = lab.expect_error(code, params.clone());
    let mut after = Look::now().text(None);
    if GOING.iter().any(|going| params.to_string().contains(going)) {
        // A bridge made anew has another number.
        (before, after) = (without_indexes(&before), without_indexes(&after));
    }
    assert_same(&before, &after, &params.to_string());
    assert_eq!(lab.running_files(), stored);
    error
}

#[test]
fn a_change_the_kernel_refuses_leaves_everything_as_it_was() {
    story(Veth, 3, |lab| {
        lab.nets(json!({ "red": full_network(1), "other": { "nic": "veth_2", "bridged": false, "ipaddr": "10.9.0.1", "prefix": 24 } }));
        lab.ip("tuntap add dev vnet0 mode tap\nlink set vnet0 master red up\n");
        // A new bridge, an edited one, a removal; the last thing to be done fails.
        let bad = json!({ "nic": "veth_1", "ipaddr": "10.1.0.1", "prefix": 24, "gateway": "10.7.0.254", "defaultRoute": true });
        let networks = json!({ "new": bad, "red": { "nic": "veth_0", "ipaddr": "10.0.0.2", "prefix": 16 }, "other": { "remove": true } });
        let error = fails(lab, 29, json!({ "networks": networks }));
        assert!(error.message.contains("invalid gateway"), "the kernel's words: {}", error.message);
        assert!(error.message.contains("route") && error.message.contains("new"), "the step: {}", error.message);
        let data = error.data.unwrap();
        assert_eq!(
            (&data["rolled_back"], &data["leftover"], &data["problems"][0]["code"]),
            (&json!(true), &json!([]), &json!(29))
        );
        // And the next request finds nothing in its way.
        lab.nets(json!({ "new": { "nic": "veth_1" }, "other": { "remove": true } }));
    });
}

#[test]
fn without_a_sign_of_life_the_change_is_taken_back_with_10() {
    story(Veth, 2, |lab| {
        lab.nets(json!({ "red": full_network(1) }));
        for networks in [
            json!({ "red": full_network(2) }),
            json!({ "red": { "remove": true } }),
            json!({ "blue": { "nic": "veth_1" }, "red": { "nic": "veth_0", "bridged": false } }),
        ] {
            let start = Instant::now();
            let error = fails(
                lab,
                10,
                json!({ "networks": networks, "options": { "connectivityCheck": true, "connectivityTimeout": 0.1 } }),
            );
            assert!(start.elapsed() < Duration::from_secs(3), "0.1 s are a tenth of a second");
            let data = error.data.unwrap();
            assert_eq!(data["rolled_back"], true);
            let probes = json!([{ "probe": "call", "outcome": "failed", "reason": "no call came" }]);
            assert_eq!(data["connectivity"], json!({ "probes": probes, "met": 0, "needed": 1 }));
        }
        // The check is the default, and the engine's spelling of it is understood.
        fails(
            lab,
            10,
            json!({ "networks": { "red": full_network(2) }, "options": { "connectivityCheck": "true", "connectivityTimeout": "0" } }),
        );
        fails(lab, 10, json!({ "networks": { "red": full_network(2) }, "options": { "connectivityTimeout": 0 } }));
    });
}

#[test]
fn a_client_that_keeps_confirming_makes_the_change_stay() {
    story(Veth, 1, |lab| {
        // A call before the change is no sign of life after it.
        lab.call("Host.confirmConnectivity", json!({})).unwrap();
        let params = json!({ "networks": { "red": { "nic": "veth_0" } }, "options": { "connectivityCheck": true, "connectivityTimeout": 60 } });
        fails(lab, 10, json!({ "networks": params["networks"], "options": { "connectivityTimeout": 0.2 } }));
        for verb in ["Host.confirmConnectivity", "Host.ping"] {
            let mut client = lab.client();
            let done = AtomicBool::new(false);
            let start = Instant::now();
            thread::scope(|scope| {
                scope.spawn(|| {
                    while !done.load(Ordering::SeqCst) {
                        client.call(verb, json!({})).unwrap();
                        thread::sleep(Duration::from_millis(20));
                    }
                });
                let answer = lab.request(params.clone());
                done.store(true, Ordering::SeqCst);
                answer.unwrap();
            });
            assert!(start.elapsed() < Duration::from_secs(30), "it ends with the first sign of life");
            assert!(Look::now().has("red"));
            lab.nets(json!({ "red": { "remove": true } }));
        }
        // ping2 proves nothing (vdsm-facts 1.2).
        let mut client = lab.client();
        let mut other = lab.client();
        let params = json!({ "networks": { "red": { "nic": "veth_0" } }, "options": { "connectivityTimeout": 0.5 } });
        let waiting = thread::spawn(move || client.call("Host.setupNetworks", params));
        while !waiting.is_finished() {
            other.call("Host.ping2", json!({})).unwrap();
        }
        waiting.join().unwrap().unwrap_err();
        assert!(!Look::now().has("red"));
    });
}

#[test]
fn a_change_that_cannot_be_stored_is_taken_back() {
    story(Veth, 1, |lab| {
        lab.nets(json!({ "red": full_network(1) }));
        lab.call("Host.setSafeNetworkConfig", json!({})).unwrap();
        // A persistent configuration that cannot be written: a file is where its folder should be.
        std::fs::remove_dir_all(lab.path("lib/persistence")).unwrap();
        std::fs::write(lab.path("lib/persistence"), "").unwrap();
        let error = fails(
            lab,
            16,
            json!({ "networks": { "red": full_network(2) }, "options": { "connectivityCheck": false, "commitOnSuccess": true } }),
        );
        assert!(error.message.contains("store"), "{error:?}");
    });
}

#[test]
fn planning_changes_nothing_and_says_what_would_be_done() {
    story(Veth, 2, |lab| {
        lab.nets(json!({ "red": full_network(1) }));
        let (before, stored) = (Look::now().text(None), lab.running_files());
        let plan = lab.call("Host.planNetworks", json!({ "networks": { "red": { "remove": true }, "blue": full_network(2).as_object().map(|net| { let mut net = net.clone(); net["nic"] = json!("veth_1"); net }) } })).unwrap();
        let text = plan["text"].as_str().unwrap();
        assert!(
            text.contains("remove bridge red") && text.contains("create bridge blue") && text.contains("interrupts"),
            "{text}"
        );
        let commands: Vec<&str> = plan["plan"]
            .as_array()
            .unwrap()
            .iter()
            .flat_map(|step| step["commands"].as_array().unwrap())
            .map(|c| c.as_str().unwrap())
            .collect();
        assert!(commands.iter().any(|c| c.starts_with("ip link del red")), "{commands:?}");
        assert_same(&before, &Look::now().text(None), "after planning");
        assert_eq!(lab.running_files(), stored);
        assert_eq!(
            lab.call("Host.planNetworks", json!({ "networks": { "red": full_network(1) } })).unwrap()["plan"],
            json!([])
        );
        assert_eq!(
            lab.call("Host.planNetworks", json!({ "networks": { "x": { "remove": true } } })).unwrap_err().code,
            27
        );
    });
}

/// An ordinary host: two IPv6 addresses of one subnet, which the kernel lists newest first, and
/// the default route of a cloud.
#[test]
fn a_strangers_addresses_and_onlink_route_come_back() {
    story(Veth, 2, |lab| {
        lab.ip("addr add fd01::1/64 dev veth_0\naddr add fd01::2/64 dev veth_0\n\
             addr add 192.168.1.7/32 dev veth_0\nroute add default via 192.168.9.9 dev veth_0 onlink mtu 1400 advmss 1360\n\
             addr add 10.2.0.1 peer 10.2.0.2/32 dev veth_0\naddr add 10.3.0.1/24 label veth_0:x dev veth_0\n\
             addr add 10.4.0.1/24 dev veth_0 noprefixroute metric 77\naddr add 10.5.0.1/24 scope link dev veth_0\n\
             route add fd99::/64 via fd01::9 dev veth_0 mtu 1300\n");
        let bad = json!({ "networks": { "red": {
            "nic": "veth_0", "ipaddr": "10.0.0.1", "prefix": 24, "gateway": "10.9.9.9", "defaultRoute": true
        } }, "options": { "connectivityCheck": false } });
        fails(lab, 29, bad);
    });
}
