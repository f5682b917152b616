//! Name servers in a `resolv.conf` that is nobody's, and one that is somebody's: what is in the
//! file is what counts.

use std::fs;
use std::os::unix::fs::symlink;

use serde_json::{Value, json};

use crate::lab::{Lab, Nics::Veth, RESOLV_CONF, story};
use crate::look::Look;

/// The default route network with these name servers; none: it does not speak of any.
fn red(servers: Option<Value>) -> Value {
    let mut net =
        json!({ "nic": "veth_0", "ipaddr": "10.0.0.1", "prefix": 24, "gateway": "10.0.0.254", "defaultRoute": true });
    servers.into_iter().for_each(|servers| net["nameservers"] = servers);
    net
}

fn file(lab: &Lab) -> String {
    fs::read_to_string(lab.path("resolv.conf")).unwrap()
}

fn ours(servers: &str) -> String {
    RESOLV_CONF.replace("nameserver 192.0.2.1\n", servers)
}

#[test]
fn set_changed_moved_and_removed_the_file_is_what_it_was() {
    story(Veth, 2, |lab| {
        let report = |lab: &mut Lab| lab.capabilities()["nameservers"].clone();
        assert_eq!(report(lab), json!(["192.0.2.1"]));
        lab.nets(json!({ "red": red(Some(json!(["192.0.2.53", "fe80::1%red"]))) }));
        assert_eq!(file(lab), ours("nameserver 192.0.2.53\nnameserver fe80::1%red\n"));
        assert_eq!(report(lab), json!(["192.0.2.53", "fe80::1%red"]));
        lab.again(json!({ "red": red(Some(json!(["192.0.2.53", "fe80::1%red"]))) }), json!({}));
        // A request that has nothing to do with it leaves it alone, drifted or not.
        let edited = file(lab).replace("example.org", "example.com");
        fs::write(lab.path("resolv.conf"), &edited).unwrap();
        lab.nets(json!({ "other": {} }));
        assert_eq!(file(lab), edited);
        fs::write(lab.path("resolv.conf"), edited.replace("example.com", "example.org")).unwrap();

        lab.nets(json!({ "red": red(Some(json!(["2001:db8::53"]))) }));
        assert_eq!(file(lab), ours("nameserver 2001:db8::53\n"));
        // The default route goes to another network, and the name servers with it.
        let mut blue = red(Some(json!(["192.0.2.54"])));
        (blue["nic"], blue["ipaddr"], blue["gateway"]) = (json!("veth_1"), json!("10.1.0.1"), json!("10.1.0.254"));
        lab.nets(json!({ "blue": blue }));
        assert_eq!((file(lab), report(lab)), (ours("nameserver 192.0.2.54\n"), json!(["192.0.2.54"])));
        lab.nets(json!({ "blue": { "remove": true } }));
        assert_eq!(file(lab), RESOLV_CONF);
        assert!(!lab.path("lib/former-resolver").exists(), "nothing is kept any more");
    });
}

#[test]
fn a_network_that_names_none_leaves_the_hosts_own() {
    story(Veth, 1, |lab| {
        for none in [None, Some(json!([]))] {
            lab.nets(json!({ "red": red(none.clone()) }));
            assert_eq!(file(lab), RESOLV_CONF, "{none:?}");
            lab.nets(json!({ "red": red(Some(json!(["192.0.2.53"]))) }));
            lab.nets(json!({ "red": red(none.clone()) }));
            assert_eq!(file(lab), RESOLV_CONF, "{none:?}, after it had some");
        }
    });
}

#[test]
fn a_change_that_fails_leaves_the_file_as_it_was() {
    story(Veth, 1, |lab| {
        let lost = json!({ "connectivityCheck": true, "connectivityTimeout": 0.1 });
        for prior in [None, Some(json!(["192.0.2.53"]))] {
            lab.nets(json!({ "red": red(prior.clone()) }));
            let (before, kept) = (file(lab), fs::read(lab.path("lib/former-resolver")).ok());
            for wish in [red(Some(json!(["192.0.2.54", "192.0.2.55"]))), red(None), json!({ "remove": true })] {
                if prior.is_none() && wish.get("nameservers").is_none() && wish.get("remove").is_none() {
                    continue;
                }
                lab.expect_error(10, json!({ "networks": { "red": wish }, "options": lost }));
                assert_eq!(file(lab), before, "{wish}");
                assert_eq!(fs::read(lab.path("lib/former-resolver")).ok(), kept, "{wish}");
            }
        }
        // The last step itself fails: what was before cannot be kept, for a folder is in its place.
        lab.nets(json!({ "red": { "remove": true } }));
        fs::create_dir(lab.path("lib/former-resolver")).unwrap();
        let error = lab.request(json!({ "networks": { "red": red(Some(json!(["192.0.2.53"]))) } })).unwrap_err();
        assert!(error.message.contains("former-resolver"), "{error:?}");
        assert_eq!((file(lab), Look::now().has("red")), (RESOLV_CONF.to_owned(), false));
    });
}

#[test]
fn after_a_crash_and_a_boot_it_finds_back() {
    story(Veth, 1, |lab| {
        lab.nets(json!({ "red": red(Some(json!(["192.0.2.53"]))) }));
        lab.set_safe();
        lab.nets(json!({ "red": red(Some(json!(["192.0.2.54"]))) }));
        // resolv.conf lasts as the disk does, and so does what it was before.
        lab.reboot();
        assert_eq!(file(lab), ours("nameserver 192.0.2.54\n"));
        lab.restore(false);
        assert_eq!(file(lab), ours("nameserver 192.0.2.53\n"));
        lab.nets(json!({ "red": { "remove": true } }));
        assert_eq!(file(lab), RESOLV_CONF);
        // What was not made safe and is not restored leaves no servers behind.
        lab.set_safe();
        lab.nets(json!({ "red": red(Some(json!(["192.0.2.55"]))) }));
        lab.reboot();
        lab.restore(false);
        assert_eq!(file(lab), RESOLV_CONF);
    });
}

#[test]
fn what_is_somebody_elses_is_refused_and_left_alone() {
    story(Veth, 1, |lab| {
        let theirs = "# Generated by NetworkManager\nnameserver 9.9.9.9\n";
        fs::write(lab.path("resolv.conf"), theirs).unwrap();
        let before = Look::now().text(None);
        let error = lab.refused(21, json!({ "red": red(Some(json!(["192.0.2.53"]))) }), json!({}));
        assert!(error.message.contains("is generated by NetworkManager"), "{error:?}");
        assert_eq!((Look::now().text(None), file(lab)), (before, theirs.to_owned()));
        assert_eq!(lab.capabilities()["nameservers"], json!(["9.9.9.9"]));
        // Without name servers it is none of our business.
        lab.nets(json!({ "red": red(None) }));
        fs::remove_file(lab.path("resolv.conf")).unwrap();
        symlink("/run/NetworkManager/resolv.conf", lab.path("resolv.conf")).unwrap();
        let error = lab.refused(21, json!({ "red": red(Some(json!(["192.0.2.53"]))) }), json!({}));
        assert!(error.message.contains("a link to /run/NetworkManager/resolv.conf"), "{error:?}");
        // Where systemd-resolved should be, and is not.
        fs::remove_file(lab.path("resolv.conf")).unwrap();
        symlink("/run/systemd/resolve/stub-resolv.conf", lab.path("resolv.conf")).unwrap();
        lab.refused(21, json!({ "red": red(Some(json!(["192.0.2.53"]))) }), json!({}));
    });
}

#[test]
fn a_restore_goes_on_without_name_servers_that_cannot_be_had() {
    story(Veth, 1, |lab| {
        lab.nets(json!({ "red": red(Some(json!(["192.0.2.53"]))) }));
        lab.set_safe();
        lab.reboot();
        let theirs = "# Generated by resolvconf\nnameserver 9.9.9.9\n";
        fs::write(lab.path("resolv.conf"), theirs).unwrap();
        let told = lab.restore(false);
        assert_eq!((&told["failed"], &told["skipped"][0]["name"]), (&json!([]), &json!("red")), "{told}");
        assert!(told["skipped"][0]["reason"].as_str().unwrap().contains("resolvconf"), "{told}");
        assert_eq!((Look::now().default_routes(), file(lab)), (vec!["10.0.0.254 red".to_owned()], theirs.to_owned()));
    });
}

#[test]
fn servers_changed_behind_our_back_are_drift_and_are_healed() {
    story(Veth, 1, |lab| {
        lab.nets(json!({ "red": red(Some(json!(["192.0.2.53"]))) }));
        fs::write(lab.path("resolv.conf"), "nameserver 9.9.9.9\nsearch theirs\n").unwrap();
        let checked = lab.call("Host.checkNetworks", json!({})).unwrap();
        let told = &checked["networks"]["red"]["differences"];
        assert_eq!(told[0]["text"], "the name servers are 9.9.9.9 instead of 192.0.2.53", "{checked}");
        lab.nets(json!({ "red": red(Some(json!(["192.0.2.53"]))) }));
        assert_eq!(file(lab), "nameserver 192.0.2.53\nsearch theirs\n");
    });
}
