//! `custom.ethtool_opts` on this kernel's veth and tap devices; the ethtool program says how they are.

use std::process::Command;

use serde_json::{Value, json};

use crate::ears::until;
use crate::lab::{Lab, Nics::Veth, skip, story};
use crate::look::Look;

/// What `ethtool` prints about a nic, line by line.
pub fn ethtool(flag: &str, nic: &str) -> Vec<String> {
    let mut command = Command::new("ethtool");
    let output = if flag.is_empty() { command.arg(nic) } else { command.args([flag, nic]) }.output().unwrap();
    String::from_utf8(output.stdout).unwrap().lines().map(|line| line.trim().to_owned()).collect()
}

/// As somebody else would.
pub fn change(args: &[&str]) {
    assert!(Command::new("ethtool").args(args).status().unwrap().success(), "{args:?}");
}

/// Lines that are not as they were.
pub fn differing(before: &[String], after: &[String]) -> Vec<String> {
    assert_eq!(before.len(), after.len());
    before.iter().zip(after).filter(|(one, other)| one != other).map(|(_, after)| after.clone()).collect()
}

pub fn is_missing(test: &str) -> bool {
    let missing = Command::new("ethtool").arg("--version").output().is_err();
    if missing {
        skip(test, "there is no ethtool program to compare with");
    }
    missing
}

fn tuned(options: &str) -> Value {
    json!({ "red": { "nic": "veth_0", "custom": { "ethtool_opts": options } } })
}

fn all(nic: &str) -> [Vec<String>; 2] {
    ["-k", "-l"].map(|flag| ethtool(flag, nic))
}

#[test]
fn a_nic_gets_what_is_named_and_nothing_else() {
    if is_missing("here::ethtool::a_nic_gets_what_is_named_and_nothing_else") {
        return;
    }
    story(Veth, 2, |lab| {
        change(&["-K", "veth_0", "rx-gro-list", "on"]);
        let (before, other) = (all("veth_0"), all("veth_1"));
        assert!(lab.nets(tuned("--offload veth_0 tso off gro on")));
        let after = all("veth_0");
        let expected: Vec<String> = [
            "tcp-segmentation-offload: off",
            "tx-tcp-segmentation: off",
            "tx-tcp-ecn-segmentation: off",
            "tx-tcp-mangleid-segmentation: off",
            "tx-tcp6-segmentation: off",
            "tx-tcp-accecn-segmentation: off",
            "generic-receive-offload: on",
        ]
        .map(str::to_owned)
        .into();
        let changed = differing(&before[0], &after[0]);
        assert!(changed.iter().all(|line| expected.contains(line)) && changed.len() >= 6, "{changed:?}");
        assert_eq!((&after[1], all("veth_1")), (&before[1], other));
        lab.again(tuned("--offload veth_0 tso off gro on"), json!({}));
        assert_eq!(lab.running_files()["nets/red"]["custom"]["ethtool_opts"], "--offload veth_0 tso off gro on");
        // Named no more, it stays.
        lab.nets(json!({ "red": { "nic": "veth_0" } }));
        assert_eq!(all("veth_0"), after);
    });
}

#[test]
fn what_the_driver_does_not_have_is_refused_in_the_kernels_words() {
    if is_missing("here::ethtool::what_the_driver_does_not_have_is_refused_in_the_kernels_words") {
        return;
    }
    story(Veth, 2, |lab| {
        let before = all("veth_0");
        for (options, words) in [
            ("-K * lro on", "veth_0: its driver does not let -K large-receive-offload be changed to on"),
            ("-A * rx on", "veth_0: its driver has no '-A': Operation not supported"),
            ("-C * rx-usecs 3", "veth_0: its driver has no '-C': Operation not supported"),
            ("-L * combined 2", "veth_0: its driver has no -L combined"),
            ("-K veth_1 gro on", "'veth_1' is no nic of this network"),
        ] {
            let error = lab.refused(21, tuned(options), json!({}));
            assert!(error.message.contains(words), "{options}: {}", error.message);
        }
        // The driver says no when it is told: everything is as it was, down to the features set before.
        let request = json!({ "networks": tuned("-K * tx off gro on -L * rx 4000"), "bondings": {} });
        let error = lab.expect_error(29, request);
        assert!(error.message.contains("requested channel count exceeds maximum"), "{}", error.message);
        assert!(error.message.contains("ethtool -L veth_0 rx 4000"), "{}", error.message);
        assert_eq!(all("veth_0"), before);
        // Without checksums the kernel does no segmentation, whatever is requested.
        change(&["-K", "veth_0", "tso", "off"]);
        let before = all("veth_0");
        let request = json!({ "networks": tuned("-K * tx off tso on"), "bondings": {} });
        let error = lab.expect_error(29, request);
        assert!(error.message.contains("keeps tx-tcp-segmentation off"), "{}", error.message);
        assert_eq!(all("veth_0"), before);
    });
}

#[test]
fn drift_of_what_is_named_is_found_and_healed() {
    if is_missing("here::ethtool::drift_of_what_is_named_is_found_and_healed") {
        return;
    }
    story(Veth, 1, |lab| {
        lab.nets(tuned("-K * gro on"));
        let check = |lab: &mut Lab| lab.call("Host.checkNetworks", json!({})).unwrap();
        change(&["-K", "veth_0", "tx-nocache-copy", "on"]);
        assert_eq!(check(lab)["in_sync"], true);
        change(&["-K", "veth_0", "gro", "off"]);
        let told = check(lab);
        let text = &told["networks"]["red"]["differences"][0]["text"];
        assert_eq!(text, "rx-gro of veth_0 (ethtool -K) is off instead of on", "{told}");
        lab.call("Host.healNetworks", json!({})).unwrap();
        assert_eq!(check(lab)["in_sync"], true);
        let now = ethtool("-k", "veth_0");
        assert!(
            now.contains(&"generic-receive-offload: on".to_owned()) && now.contains(&"tx-nocache-copy: on".to_owned())
        );
    });
}

#[test]
fn a_nic_that_comes_late_gets_its_options() {
    if is_missing("here::ethtool::a_nic_that_comes_late_gets_its_options") {
        return;
    }
    story(Veth, 1, |lab| {
        lab.nets(tuned("-K * gro on"));
        lab.ip("link del veth_0\nlink add veth_0 type veth peer name peer0\nlink set peer0 up\n");
        until("it is back", |look| look.ports("red") == ["veth_0"]);
        until("it is tuned", |_| ethtool("-k", "veth_0").contains(&"generic-receive-offload: on".to_owned()));
    });
}

#[test]
fn coalescing_and_speed_are_set_on_a_tap_and_given_back() {
    if is_missing("here::ethtool::coalescing_and_speed_are_set_on_a_tap_and_given_back") {
        return;
    }
    story(Veth, 1, |lab| {
        lab.ip("tuntap add dev veth_tap mode tap\nlink set veth_tap up\n");
        let all = || ["-c", ""].map(|flag| ethtool(flag, "veth_tap"));
        let before = all();
        let red = |options: &str| json!({ "red": { "nic": "veth_tap", "bridged": false, "custom": { "ethtool_opts": options } } });
        let options = "-C * rx-frames 10 -s veth_tap speed 1000 duplex half autoneg off";
        lab.nets(red(options));
        let after = all();
        assert_eq!(differing(&before[0], &after[0]), ["rx-frames: 10"]);
        assert_eq!(differing(&before[1], &after[1]), ["Speed: 1000Mb/s", "Duplex: Half"]);
        lab.again(red(options), json!({}));
        // No address can have that gateway: it fails after the nic is tuned.
        let mut bad = red("-C * rx-frames 20 -s * speed 100 autoneg off");
        for (key, value) in [
            ("ipaddr", json!("10.1.0.1")),
            ("prefix", json!(24)),
            ("gateway", json!("10.7.0.254")),
            ("defaultRoute", json!(true)),
        ] {
            bad["red"][key] = value;
        }
        lab.expect_error(29, json!({ "networks": bad, "bondings": {} }));
        assert_eq!(all(), after);
    });
}

#[test]
fn a_nic_that_cannot_have_its_options_is_restored_without_them() {
    if is_missing("here::ethtool::a_nic_that_cannot_have_its_options_is_restored_without_them") {
        return;
    }
    story(Veth, 2, |lab| {
        let net = |nic: &str, number: u8| {
            let custom = json!({ "ethtool_opts": "-L * rx 1" });
            json!({ "nic": nic, "bridged": false, "ipaddr": format!("10.{number}.0.1"), "prefix": 24, "custom": custom })
        };
        lab.nets(json!({ "red": net("veth_0", 0), "blue": net("veth_1", 1) }));
        lab.set_safe();
        let stored = lab.running_files();
        lab.reboot();
        lab.ip("link del veth_0\ntuntap add dev veth_0 mode tap\n");
        let told = lab.restore(false);
        let skipped = told["skipped"].as_array().unwrap();
        assert_eq!(skipped.len(), 1, "{told}");
        let reason = skipped[0].to_string();
        assert!(reason.contains("restored without custom.ethtool_opts") && reason.contains("veth_0"), "{told}");
        let now = Look::now();
        assert_eq!(now.addresses("veth_0"), ["10.0.0.1/24"]);
        assert_eq!(now.addresses("veth_1"), ["10.1.0.1/24"]);
        assert_eq!(lab.running_files(), stored, "another nic may have them tomorrow");
    });
}
