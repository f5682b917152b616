//! What was committed, told by `vdsm-tool`, and the way back to it on a real kernel.

use std::io::Write;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use nix::mount::{MsFlags, mount, umount};
use nix::sched::{CloneFlags, unshare};
use serde_json::{Value, json};

use crate::here::tool::tool;
use crate::lab::{Lab, Nics::Veth, program, story, story_with};
use crate::look::{Look, without_indexes};

fn shown() -> String {
    without_indexes(&Look::now().text(None))
}

fn numbers(lab: &Lab) -> Vec<u64> {
    let listed = tool(lab, "history --json", "").expect(0).json();
    listed["entries"].as_array().unwrap().iter().map(|entry| entry["number"].as_u64().unwrap()).collect()
}

const FIRST: &str = "\
networks:
  red: {nic: veth_0, mtu: 1400, ipaddr: 192.0.2.2, prefix: 24, gateway: 192.0.2.1, defaultRoute: true}
  blue: {nic: veth_1, STP: true}
options: {reason: the rack is new}
";

const SECOND: &str = "\
networks:
  red: {nic: veth_1, mtu: 1450, ipaddr: 192.0.2.3, prefix: 24}
  blue: {remove: true}
  green: {nic: veth_0, bridged: false, ipv6addr: '2001:db8::7/64'}
";

#[test]
fn one_sees_what_was_changed_and_goes_back_to_it() {
    story(Veth, 2, |lab| {
        assert_eq!(tool(lab, "history", "").expect(0).out, "the history is empty\n");
        tool(lab, "setup-networks -", FIRST).expect(0);
        let (first, files) = (shown(), lab.running_files());
        // Once more changes nothing, and a refusal neither.
        tool(lab, "setup-networks -", FIRST).expect(0);
        tool(lab, "setup-networks -", "networks: {grey: {nic: veth_9}}").expect(3);
        tool(lab, "set-safe-config", "").expect(0);
        tool(lab, "setup-networks --reason because -", SECOND).expect(0);
        let second = shown();

        let listed = tool(lab, "history", "").expect(0).out;
        for part in [
            "root (pid ",
            "Host.setupNetworks",
            "safe\n",
            "+blue +red\n",
            "\"the rack is new\"",
            "+green ~red -blue\n",
            "\"because\"",
        ] {
            assert!(listed.contains(part), "{part} in {listed}");
        }
        let one = tool(lab, "history 2", "").expect(0).out;
        assert!(one.contains("\"mtu\": 1450") && one.contains("remove bridge blue"), "{one}");

        let wanted = [
            "--- entry 1",
            "+++ what runs now",
            "- network blue",
            "    nic: veth_1",
            "    stp: true",
            "+ network green",
            "    ipv6addr: 2001:db8::7/64",
            "~ network red",
            "    gateway: 192.0.2.1 -> (nothing)",
            "    ipaddr: 192.0.2.2 -> 192.0.2.3",
            "    mtu: 1400 -> 1450",
            "    nic: veth_0 -> veth_1",
        ];
        let told = tool(lab, "diff 1", "").expect(0).out;
        let at: Vec<_> = wanted
            .iter()
            .map(|line| told.lines().position(|it| it == *line).unwrap_or_else(|| panic!("{line} in {told}")))
            .collect();
        assert!(at.is_sorted(), "{told}");
        assert_eq!(told.replace("what runs now", "entry 2"), tool(lab, "diff 1 2", "").expect(0).out);
        assert!(tool(lab, "diff 2", "").expect(0).out.ends_with("no difference\n"));

        let plan = tool(lab, "rollback --to 1 --plan", "").expect(0).out;
        assert!(plan.contains("create bridge blue") && plan.contains("ip link add name blue"), "{plan}");
        assert_eq!((shown(), numbers(lab)), (second.clone(), vec![1, 2]), "after a plan");
        assert!(tool(lab, "rollback --to 1", "").expect(0).out.starts_with("done in "));
        assert_eq!((shown(), lab.running_files()), (first, files));
        assert!(tool(lab, "rollback --to 1", "").expect(0).out.contains("nothing to do"));
        let missing = tool(lab, "rollback --to 9", "").expect(3).err;
        assert!(missing.contains("the history has no entry 9; it has 1 to 3 (code 21)"), "{missing}");

        // Nobody says that he is still there.
        let params = json!({ "to": 2, "options": { "connectivityTimeout": 0.1 } });
        let error = lab.call("Host.rollbackNetworks", params).unwrap_err();
        assert_eq!((error.code, &error.data.unwrap()["rolled_back"]), (10, &json!(true)));
        assert_eq!(numbers(lab), [1, 2, 3]);
        tool(lab, "rollback --to 2", "").expect(0);
        assert_eq!((shown(), numbers(lab)), (second, vec![1, 2, 3, 4]));
        let last = lab.call("Host.getHistoryEntry", json!({ "number": 4 })).unwrap();
        let request = json!({ "to": 2, "options": { "connectivityCheck": false } });
        assert_eq!(
            (&last["verb"], &last["request"], &last["caller"]["uid"]),
            (&json!("Host.rollbackNetworks"), &request, &json!(0))
        );
    });
}

#[test]
fn the_history_outlives_the_daemon_and_the_host_and_has_bounds() {
    story_with("history_entries = 3", Veth, 1, |lab| {
        for mtu in 1401..=1405 {
            lab.nets(json!({ "red": { "nic": "veth_0", "mtu": mtu } }));
        }
        assert_eq!(numbers(lab), [3, 4, 5]);
        lab.set_safe();
        lab.kill();
        lab.start();
        lab.reboot();
        assert_eq!(numbers(lab), [3, 4, 5]);
        lab.restore(false);
        assert_eq!(numbers(lab), [3, 4, 5], "as it was before");
        tool(lab, "rollback --to 3", "").expect(0);
        assert_eq!((Look::now().mtu("red"), numbers(lab)), (1403, vec![4, 5, 6]));
        // Where it cannot be written, changes go on and say so.
        std::fs::remove_dir_all(lab.path("lib/history")).unwrap();
        std::fs::write(lab.path("lib/history"), "").unwrap();
        let done = lab.request(json!({ "networks": { "red": { "remove": true } } })).unwrap();
        let warning = done["warnings"][0].as_str().unwrap();
        assert!(warning.starts_with("the history has no entry of this change: "), "{warning}");
        assert_eq!(done["history"], Value::Null);
        assert!(!Look::now().has("red"));
    });
}

#[test]
fn a_disk_that_is_full_fails_no_change() {
    story(Veth, 1, |lab| {
        let net = |mtu: u32| json!({ "networks": { "red": { "nic": "veth_0", "mtu": mtu } } });
        lab.kill();
        std::fs::create_dir_all(lab.path("lib/history")).unwrap();
        // A disk of the history's own, that nobody outside of this thread and its daemon sees.
        unshare(CloneFlags::CLONE_NEWNS).unwrap();
        let none = None::<&str>;
        mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).unwrap();
        mount(Some("tmpfs"), &lab.path("lib/history"), Some("tmpfs"), MsFlags::empty(), Some("size=16k")).unwrap();
        lab.start();
        assert_eq!(lab.request(net(1401)).unwrap()["history"], 1);
        std::fs::write(lab.path("lib/history/filler"), vec![0; 12 << 10]).unwrap();
        let done = lab.request(net(1402)).unwrap();
        let warning = done["warnings"][0].as_str().unwrap();
        assert!(warning.contains("No space left") || warning.contains("no storage space"), "{warning}");
        assert_eq!((Look::now().mtu("red"), numbers(lab)), (1402, vec![1]));
        std::fs::remove_file(lab.path("lib/history/filler")).unwrap();
        assert_eq!(lab.request(net(1403)).unwrap()["history"], 2);
        let left = std::fs::read_dir(lab.path("lib/history")).unwrap().count();
        assert_eq!((numbers(lab), left), (vec![1, 2], 2));
        lab.kill();
        umount(&lab.path("lib/history")).unwrap();
    });
}

#[test]
fn a_person_who_does_not_answer_has_not_gone_back() {
    // The carrier alone would do, were nobody asked.
    story_with("connectivity_probes = call, carrier\nconnectivity_quorum = 1", Veth, 1, |lab| {
        lab.nets(json!({ "red": { "nic": "veth_0", "mtu": 1401 } }));
        lab.nets(json!({ "red": { "nic": "veth_0", "mtu": 1402 } }));
        let line = |seconds: u32| {
            let (tool, conf) = (program("vdsm-tool"), lab.path("conf"));
            let line = format!("{} --config {} rollback --to 1 --confirm {seconds}", tool.display(), conf.display());
            // `script` lends a terminal.
            let mut command = Command::new("script");
            command.args(["-q", "-e", "-c", &line, "/dev/null"]).stdin(Stdio::piped()).stdout(Stdio::piped());
            command.spawn().unwrap()
        };
        let mut silent = line(1);
        let keys = silent.stdin.take();
        assert_eq!((silent.wait().unwrap().code(), Look::now().mtu("red")), (Some(4), 1402));
        drop(keys);
        let mut answered = line(60);
        let mut keys = answered.stdin.take().unwrap();
        while answered.try_wait().unwrap().is_none() {
            let _ = keys.write_all(b"\n");
            thread::sleep(Duration::from_millis(200));
        }
        assert_eq!((answered.wait().unwrap().code(), Look::now().mtu("red")), (Some(0), 1401));
    });
}
