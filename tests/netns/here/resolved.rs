//! Name servers through systemd-resolved, the real one: what `resolvectl` says is what counts.

use std::fs;
use std::os::unix::fs::symlink;

use serde_json::{Value, json};

use crate::lab::{Lab, Nics::Veth, skip, story};
use crate::look::Look;
use crate::resolved::Resolved;

const STUB: &str = "/run/systemd/resolve/stub-resolv.conf";

/// A story on a host where systemd-resolved is in charge.
fn story_of_a_resolved_host(test: &'static str, tell: impl FnOnce(&mut Lab, &Resolved) + Send + 'static) {
    story(Veth, 2, move |lab| match Resolved::start(lab) {
        Err(why) => skip(&format!("here::resolved::{test}"), &why),
        Ok(resolved) => {
            lab.kill();
            fs::remove_file(lab.path("resolv.conf")).unwrap();
            symlink(STUB, lab.path("resolv.conf")).unwrap();
            start(lab, &resolved);
            tell(lab, &resolved);
            assert_eq!(fs::read_link(lab.path("resolv.conf")).unwrap().to_str(), Some(STUB), "the link stays");
        }
    });
}

fn start(lab: &mut Lab, resolved: &Resolved) {
    let mut daemon = lab.daemon();
    daemon.env("DBUS_SYSTEM_BUS_ADDRESS", resolved.bus());
    lab.start_as(daemon);
}

fn network(number: usize, servers: Value) -> Value {
    json!({
        "nic": format!("veth_{number}"), "ipaddr": format!("10.{number}.0.1"), "prefix": 24, "gateway": format!("10.{number}.0.254"),
        "defaultRoute": true, "nameservers": servers
    })
}

/// The servers of a link, and whether they are asked for any name.
#[track_caller]
fn told(resolved: &Resolved, link: &str, servers: &str, default_route: &str) {
    let number = Look::now().index(link);
    let words = if servers.is_empty() { String::new() } else { format!(" {servers}") };
    assert_eq!(resolved.says(&["dns", link]), format!("Link {number} ({link}):{words}"));
    assert_eq!(resolved.says(&["default-route", link]), format!("Link {number} ({link}): {default_route}"));
}

#[test]
fn the_link_of_the_default_route_network_has_the_servers_and_loses_them() {
    story_of_a_resolved_host(
        "the_link_of_the_default_route_network_has_the_servers_and_loses_them",
        |lab, resolved| {
            lab.nets(json!({ "red": network(0, json!(["192.0.2.53", "2001:db8::53"])) }));
            told(resolved, "red", "192.0.2.53 2001:db8::53", "yes");
            assert_eq!(lab.capabilities()["nameservers"], json!(["192.0.2.53", "2001:db8::53"]));
            lab.again(json!({ "red": network(0, json!(["192.0.2.53", "2001:db8::53"])) }), json!({}));
            // Behind our back.
            resolved.says(&["dns", "red", "9.9.9.9"]);
            let checked = lab.call("Host.checkNetworks", json!({})).unwrap();
            assert_eq!(
                checked["networks"]["red"]["differences"][0]["text"],
                "the name servers are 9.9.9.9 instead of 192.0.2.53 2001:db8::53"
            );
            lab.nets(json!({ "red": network(0, json!(["192.0.2.54", "fe80::53"])) }));
            told(resolved, "red", "192.0.2.54 fe80::53", "yes");
            // The report names the link on which such a server is.
            assert_eq!(lab.capabilities()["nameservers"], json!(["192.0.2.54", "fe80::53%red"]));
        },
    );
}

#[test]
fn servers_move_with_the_default_route_and_the_old_link_is_reverted() {
    story_of_a_resolved_host("servers_move_with_the_default_route_and_the_old_link_is_reverted", |lab, resolved| {
        lab.nets(json!({ "red": network(0, json!(["192.0.2.53"])) }));
        lab.nets(json!({ "blue": network(1, json!(["192.0.2.54"])) }));
        told(resolved, "blue", "192.0.2.54", "yes");
        told(resolved, "red", "", "no");
        // It loses its servers, and stays.
        lab.nets(json!({ "blue": network(1, json!([])) }));
        told(resolved, "blue", "", "no");
        assert!(!lab.path("lib/former-resolver").exists());
        lab.nets(json!({ "blue": network(1, json!(["192.0.2.54"])) }));
        lab.nets(json!({ "blue": { "remove": true } }));
        assert!(!Look::now().has("blue") && !lab.path("lib/former-resolver").exists());
    });
}

#[test]
fn a_change_that_fails_leaves_the_links_as_they_were() {
    story_of_a_resolved_host("a_change_that_fails_leaves_the_links_as_they_were", |lab, resolved| {
        let lost = json!({ "connectivityCheck": true, "connectivityTimeout": 0.1 });
        // A nic of its own, with servers that somebody has set.
        let bare = |servers: Value| {
            let mut net = network(0, servers);
            net["bridged"] = json!(false);
            net
        };
        resolved.says(&["dns", "veth_0", "9.9.9.9"]);
        resolved.says(&["default-route", "veth_0", "no"]);
        lab.expect_error(10, json!({ "networks": { "red": bare(json!(["192.0.2.53"])) }, "options": lost }));
        told(resolved, "veth_0", "9.9.9.9", "no");
        lab.nets(json!({ "red": bare(json!(["192.0.2.53"])) }));
        told(resolved, "veth_0", "192.0.2.53", "yes");
        for wish in
            [bare(json!(["192.0.2.54"])), bare(json!([])), json!({ "remove": true }), network(1, json!(["192.0.2.55"]))]
        {
            lab.expect_error(10, json!({ "networks": { "red": wish }, "options": lost }));
            told(resolved, "veth_0", "192.0.2.53", "yes");
        }
        lab.nets(json!({ "red": { "remove": true } }));
        told(resolved, "veth_0", "9.9.9.9", "no");
    });
}

#[test]
fn a_resolved_that_is_gone_is_told_and_nothing_is_touched() {
    story(Veth, 1, |lab| {
        const TEST: &str = "here::resolved::a_resolved_that_is_gone_is_told_and_nothing_is_touched";
        match Resolved::start(lab) {
            Err(why) => skip(TEST, &why),
            Ok(resolved) => {
                lab.kill();
                fs::remove_file(lab.path("resolv.conf")).unwrap();
                symlink(STUB, lab.path("resolv.conf")).unwrap();
                start(lab, &resolved);
                drop(resolved);
                let error = lab.refused(21, json!({ "red": network(0, json!(["192.0.2.53"])) }), json!({}));
                assert!(error.message.contains("systemd-resolved"), "{error:?}");
                assert!(!Look::now().has("red"));
            }
        }
    });
}
