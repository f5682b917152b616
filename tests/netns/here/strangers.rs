//! What is not ours stays exactly as it is, whatever happens beside it.

use serde_json::json;

use crate::lab::{Nics::Veth, story};
use crate::look::{Look, assert_same};

const THEIRS: &str = "link add theirs type bridge stp_state 1 ageing_time 12345
link add their0 type veth peer name their1
link set their0 master theirs up
link set their1 mtu 1400 up
link set theirs up
addr add 192.0.2.1/24 dev theirs
addr add 2001:db8::1/64 dev theirs nodad
addr add 192.0.2.2/24 brd + dev theirs
addr add 198.51.100.1/24 dev veth_2
route add 203.0.113.0/24 via 192.0.2.9 dev theirs
route add default via 192.0.2.254 dev theirs metric 500
route add default via 192.0.2.253 dev theirs table 77
tuntap add dev their-tap mode tap
link set their-tap up
";

#[test]
fn what_is_not_ours_is_never_touched() {
    story(Veth, 3, |lab| {
        lab.ip(THEIRS);
        let devices: &[&str] = &["lo", "theirs", "their0", "their1", "their-tap", "veth_2", "peer2", "peer0", "peer1"];
        let text = || Look::now().text(Some(devices));
        let before = text();
        let steps = [
            json!({ "red": { "nic": "veth_0", "ipaddr": "10.0.0.1", "prefix": 24, "gateway": "10.0.0.254", "defaultRoute": true } }),
            json!({ "blue": { "nic": "veth_1", "mtu": 9000, "ipv6addr": "fd00::1/64" }, "red": { "nic": "veth_0" } }),
            json!({ "red": { "remove": true }, "blue": { "nic": "veth_0" } }),
            json!({ "blue": { "remove": true } }),
        ];
        for step in steps {
            lab.nets(step.clone());
            assert_same(&before, &text(), &step.to_string());
        }
        let bad = json!({ "red": { "nic": "veth_0", "ipaddr": "10.0.0.1", "prefix": 24, "gateway": "10.5.0.254", "defaultRoute": true } });
        lab.expect_error(29, json!({ "networks": bad }));
        assert_same(&before, &text(), "after a rollback");
        lab.set_safe();
        lab.restore(true);
        assert_same(&before, &text(), "after a restore");
        lab.refused(27, json!({ "theirs": { "remove": true } }), json!({}));
    });
}

#[test]
fn a_nic_that_a_stranger_holds_is_refused_with_24() {
    story(Veth, 1, |lab| {
        lab.ip("link add theirs type bridge\nlink set veth_0 master theirs\n");
        let before = Look::now().text(None);
        let error = lab.refused(24, json!({ "red": { "nic": "veth_0" } }), json!({}));
        assert!(error.message.contains("theirs"), "{error:?}");
        assert_same(&before, &Look::now().text(None), "after a refusal");
    });
}

#[test]
fn a_name_that_something_else_has_is_refused_with_27() {
    story(Veth, 1, |lab| {
        lab.ip("link add red type veth peer name blue\n");
        let before = Look::now().text(None);
        lab.refused(27, json!({ "red": { "nic": "veth_0" } }), json!({}));
        assert_same(&before, &Look::now().text(None), "after a refusal");
        // Without a bridge a network's name is no device's.
        lab.nets(json!({ "red": { "nic": "veth_0", "bridged": false } }));
    });
}
