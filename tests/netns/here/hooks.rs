//! The scripts of a site before and after a change.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::lab::{Lab, Nics::Veth, story, story_with};
use crate::look::{Look, assert_same};

fn script(lab: &Lab, name: &str, mode: u32, text: &str) {
    let path = lab.path("hooks").join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, format!("#!/bin/sh\ncd {}\n{text}\n", lab.path("").display())).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
}

/// What a script has copied.
fn told(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// A request that fails with this code and leaves everything as it was.
#[track_caller]
fn untouched(lab: &mut Lab, code: i64, params: Value) -> vdsm_net::rpc::RpcError {
    let (before, stored) = (Look::now().text(None), lab.running_files());
    let error = lab.expect_error(code, params);
    assert_same(&before, &Look::now().text(None), "a refused request");
    assert_eq!(lab.running_files(), stored);
    error
}

#[test]
fn a_request_is_done_as_a_script_has_left_it() {
    story(Veth, 2, |lab| {
        script(lab, "before_network_setup/10", 0o755, "sed -i 's/veth_0/veth_1/' $_hook_json");
        script(lab, "after_network_setup/10", 0o755, "cat $_hook_json >after; exit 2");
        script(lab, "after_network_setup_fail/10", 0o755, "touch fail");
        lab.nets(json!({ "red": { "nic": "veth_0" } }));
        let look = Look::now();
        assert!(
            look.has("red") && look.link("veth_1")["master"] == "red" && look.link("veth_0").get("master").is_none()
        );
        assert_eq!(lab.running_files()["nets/red"]["nic"], "veth_1");
        let asked = json!({ "networks": { "red": { "nic": "veth_1" } }, "bondings": {}, "options": { "connectivityCheck": false } });
        assert_eq!(told(&lab.path("after")), json!({ "request": asked }));
        assert!(!lab.path("fail").exists());
        // Older verbs are the same change; a plan is none, and neither is bringing back what was.
        lab.call("Host.delNetwork", json!({ "bridge": "red" })).unwrap();
        assert_eq!(told(&lab.path("after"))["request"]["networks"], json!({ "red": { "remove": true } }));
        fs::remove_file(lab.path("after")).unwrap();
        script(lab, "before_network_setup/20", 0o755, "touch before; exit 2");
        let plan = lab.call("Host.planNetworks", json!({ "networks": { "red": { "nic": "veth_0" } } })).unwrap();
        assert!(plan["text"].as_str().unwrap().contains("veth_0"), "{plan}");
        lab.restore(true);
        lab.call("Host.healNetworks", json!({})).unwrap();
        assert!(!lab.path("before").exists() && !lab.path("after").exists());
    });
}

#[test]
fn a_request_that_a_script_has_spoilt_is_refused_whole() {
    story(Veth, 1, |lab| {
        script(lab, "before_network_setup/10", 0o755, r#"sed -i 's/"nic":"veth_0"/"nic":"none","mtu":1/' $_hook_json"#);
        script(lab, "after_network_setup_fail/10", 0o755, "cat $_hook_json >fail");
        let wish = json!({ "networks": { "red": { "nic": "veth_0" } } });
        let error = untouched(lab, 21, wish.clone());
        let problems = error.data.unwrap()["problems"].clone();
        let codes: Vec<&Value> = problems.as_array().unwrap().iter().map(|p| &p["code"]).collect();
        assert!(codes.contains(&&json!(21)) && error.message.contains("mtu"), "{problems}");
        // Who let it pass is told that it did not come about.
        assert_eq!(told(&lab.path("fail"))["request"]["networks"]["red"]["mtu"], 1);

        script(lab, "before_network_setup/10", 0o755, "echo no >$_hook_json");
        let error = untouched(lab, 78, wish);
        assert!(error.message.contains("before_network_setup/10 left no request: this is not JSON"), "{error:?}");
        // A request that is no good as it came is no script's business.
        script(lab, "before_network_setup/10", 0o755, "touch before");
        fs::remove_file(lab.path("fail")).unwrap();
        untouched(lab, 23, json!({ "networks": { "red": { "nic": "none" } } }));
        assert!(!lab.path("before").exists() && !lab.path("fail").exists());
    });
}

#[test]
fn a_script_that_fails_stops_the_change_with_78() {
    story_with("hook_timeout = 1", Veth, 1, |lab| {
        script(lab, "before_network_setup/10", 0o755, "echo 'not on a Friday' >&2; exit 1");
        script(lab, "before_network_setup/20", 0o755, "echo 'nor by you' >&2; exit 2");
        script(lab, "after_network_setup_fail/10", 0o755, "touch fail");
        let wish = json!({ "networks": { "red": { "nic": "veth_0" } } });
        let error = untouched(lab, 78, wish.clone());
        assert_eq!(error.message, "Hook error: not on a Friday\nnor by you");
        let data = error.data.unwrap();
        let problems = data["problems"].as_array().unwrap();
        assert_eq!((problems.len(), &data["rolled_back"], &data["leftover"]), (2, &Value::Null, &json!([])));
        for (problem, name) in problems.iter().zip(["10", "20"]) {
            assert_eq!(problem["code"], 78);
            assert!(problem["script"].as_str().unwrap().ends_with(&format!("hooks/before_network_setup/{name}")));
        }
        assert!(!lab.path("fail").exists(), "no change was to begin");

        // Nobody waits for a script without end, nor for what one leaves behind.
        fs::remove_file(lab.path("hooks/before_network_setup/20")).unwrap();
        script(lab, "before_network_setup/10", 0o755, "exec sleep 300");
        let start = Instant::now();
        let error = untouched(lab, 78, wish.clone());
        assert!(error.message.ends_with("before_network_setup/10 did not end within 1 s and was killed"), "{error:?}");
        script(lab, "before_network_setup/10", 0o755, "sleep 250 & echo $! >pid");
        assert!(lab.request(wish).is_ok());
        assert!(start.elapsed() < Duration::from_secs(100), "{:?}", start.elapsed());
        let pid = fs::read_to_string(lab.path("pid")).unwrap().trim().parse().unwrap();
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL).unwrap();
    });
}

#[test]
fn a_change_that_is_undone_is_told_to_the_scripts_for_failures() {
    story(Veth, 1, |lab| {
        script(lab, "after_network_setup/10", 0o755, "touch after");
        script(lab, "after_network_setup_fail/10", 0o755, "cat $_hook_json >fail; ip link show red 2>there");
        let bad = json!({ "nic": "veth_0", "ipaddr": "10.1.0.1", "prefix": 24, "gateway": "10.7.0.254", "defaultRoute": true });
        let error = untouched(lab, 29, json!({ "networks": { "red": bad } }));
        assert_eq!(error.data.unwrap()["rolled_back"], true);
        assert_eq!(told(&lab.path("fail"))["request"]["networks"]["red"], bad);
        assert!(fs::read_to_string(lab.path("there")).unwrap().contains("does not exist"), "it was undone before");
        assert!(!lab.path("after").exists());
    });
}

#[test]
fn a_script_that_strangers_can_write_is_not_run_and_the_answer_says_so() {
    story(Veth, 1, |lab| {
        script(lab, "before_network_setup/10", 0o777, "touch before; exit 2");
        let answer = lab.request(json!({ "networks": { "red": { "nic": "veth_0" } } })).unwrap();
        let warning = answer["warnings"][0].as_str().unwrap();
        assert!(warning.ends_with("/before_network_setup/10 is not run: it can be written by its group or by others"));
        assert!(!lab.path("before").exists() && Look::now().has("red"));
    });
}

#[test]
fn while_a_script_runs_no_other_change_begins_and_who_looks_does_not_wait() {
    story(Veth, 2, |lab| {
        script(lab, "before_network_setup/10", 0o755, "mkfifo hold; touch runs; read line <hold");
        let mut client = lab.client();
        let wish = json!({ "networks": { "red": { "nic": "veth_0" } }, "options": { "connectivityCheck": false } });
        let change = thread::spawn(move || client.call("Host.setupNetworks", wish));
        while !lab.path("runs").exists() {}
        assert_eq!(lab.call("Host.setupNetworks", json!({})).unwrap_err().code, 40);
        assert!(lab.capabilities()["bridges"].as_object().unwrap().is_empty());
        assert!(!change.is_finished());
        fs::write(lab.path("hold"), "go\n").unwrap();
        change.join().unwrap().unwrap();
        assert!(Look::now().has("red"));
    });
}
