//! Others at work at the same time: VMs come and go, nics vanish, the daemon is killed.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::json;

use crate::lab::{Nics::Veth, story};
use crate::look::{Look, assert_same, ip, without_indexes};

#[test]
fn vms_may_come_and_go_while_their_network_changes() {
    story(Veth, 2, |lab| {
        lab.nets(json!({ "red": { "nic": "veth_0" } }));
        let index = Look::now().index("red");
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            let vms = scope.spawn(|| {
                while !over.load(Ordering::SeqCst) {
                    ip("tuntap add dev vnet0 mode tap\nlink set vnet0 master red up\ntuntap add dev vnet1 mode tap\nlink set vnet1 master red up\nlink del vnet0\nlink del vnet1\n");
                }
            });
            let outcomes: Vec<_> = (0..12)
                .map(|n| {
                    lab.request(
                        json!({ "networks": { "red": { "nic": format!("veth_{}", n % 2), "mtu": 1400 + n * 100 } } }),
                    )
                })
                .collect();
            over.store(true, Ordering::SeqCst);
            vms.join().unwrap();
            for outcome in outcomes {
                outcome.unwrap();
            }
        });
        let now = Look::now();
        assert_eq!(
            (now.index("red"), now.ports("red"), now.mtus(&["red", "veth_1"])),
            (index, vec!["veth_1"], vec![2500, 2500])
        );
    });
}

#[test]
fn a_nic_that_vanishes_meanwhile_does_not_keep_the_rest_from_coming_back() {
    story(Veth, 3, |lab| {
        lab.nets(json!({ "red": { "nic": "veth_0", "ipaddr": "10.0.0.1", "prefix": 24 }, "blue": { "nic": "veth_1", "ipaddr": "10.1.0.1", "prefix": 24 } }));
        let (before, devices) = (Look::now(), ["red", "veth_0"]);
        let mut client = lab.client();
        let wanted = json!({ "red": { "nic": "veth_2" }, "blue": { "nic": "veth_1", "mtu": 2000 } });
        let waiting = thread::spawn(move || {
            client.call("Host.setupNetworks", json!({ "networks": wanted, "options": { "connectivityTimeout": 2 } }))
        });
        while Look::now().mtu("blue") != 2000 {}
        // The MTU is set in the middle of the change. A moment later it waits for a call.
        thread::sleep(Duration::from_millis(700));
        lab.ip("link del veth_1\n");
        let error = match waiting.join().unwrap() {
            Err(vdsm_net::client::ClientError::Rpc(error)) => error,
            other => panic!("{other:?}"),
        };
        assert_eq!(error.code, 10, "{error:?}");
        assert!(error.message.contains("veth_1") && error.message.contains("vanished"), "{error:?}");
        let now = Look::now();
        assert_same(&before.text(Some(&devices)), &now.text(Some(&devices)), "what is still there");
        assert_eq!((now.addresses("blue"), now.mtu("blue")), (vec!["10.1.0.1/24".to_owned()], 1500));
        lab.nets(json!({ "blue": { "remove": true } }));
    });
}

#[test]
fn from_a_kill_at_any_moment_the_next_request_arrives() {
    story(Veth, 3, |lab| {
        let old = json!({ "red": { "nic": "veth_0", "ipaddr": "10.0.0.1", "prefix": 24 }, "blue": { "nic": "veth_1", "bridged": false, "ipaddr": "10.1.0.1", "prefix": 24 } });
        let new = json!({ "red": { "nic": "veth_1", "mtu": 2000, "ipv6addr": "fd00::1/64" }, "blue": { "nic": "veth_0", "stp": true }, "green": { "nic": "veth_2", "ipaddr": "10.2.0.1", "prefix": 24 } });
        lab.nets(old.clone());
        lab.nets(new.clone());
        let text = || without_indexes(&Look::now().text(Some(&["red", "blue", "green", "veth_0", "veth_1", "veth_2"])));
        let arrived = text();
        for round in 0..12 {
            let mut back = old.clone();
            if lab.running_files().contains_key("nets/green") {
                back["green"] = json!({ "remove": true });
            }
            lab.request(json!({ "networks": back })).unwrap();
            let mut client = lab.client();
            let request =
                json!({ "networks": new, "options": { "connectivityCheck": false, "commitOnSuccess": true } });
            let call = thread::spawn(move || client.call("Host.setupNetworks", request).is_ok());
            thread::sleep(Duration::from_micros(700 * round));
            lab.kill();
            call.join().unwrap();
            lab.start();
            lab.request(json!({ "networks": new })).unwrap_or_else(|e| panic!("round {round}: {e:?}"));
            assert_same(&arrived, &text(), &format!("round {round}"));
            assert_eq!(lab.running_files().len(), 3);
        }
    });
}
