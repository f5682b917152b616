//! `vdsm-tool` as people and scripts call it: what is done, what is said, and the exit code.

use std::io::Write;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::lab::{Lab, Nics::Veth, program, story, story_with};
use crate::look::{Look, assert_same};

/// How a call ended.
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Said {
    #[track_caller]
    pub(crate) fn expect(self, code: i32) -> Said {
        assert_eq!(self.code, code, "out: {}\nerr: {}", self.out, self.err);
        self
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|e| panic!("{e}: {}", self.out))
    }
}

pub(crate) fn tool(lab: &Lab, words: &str, input: &str) -> Said {
    let mut command = Command::new(program("vdsm-tool"));
    command.args(words.split(' ')).arg("--config").arg(lab.path("conf"));
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // Who does not read has ended already.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Said { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
}

#[test]
fn yaml_and_json_set_up_the_same_and_the_plan_comes_first() {
    story(Veth, 1, |lab| {
        let yaml = "networks:\n  red: {nic: veth_0, mtu: 2000, STP: yes, ipaddr: 10.0.0.1, prefix: 24}\n";
        let json = json!({ "networks": { "red": { "nic": "veth_0", "mtu": 2000, "STP": "yes", "ipaddr": "10.0.0.1", "prefix": 24 } } }).to_string();
        let before = Look::now().text(None);
        let plan = tool(lab, "setup-networks --plan -", yaml).expect(0);
        for part in ["create bridge red", "ip link add name red", "ip addr add 10.0.0.1/24"] {
            assert!(plan.out.contains(part), "{part} in {}", plan.out);
        }
        assert_same(&before, &Look::now().text(None), "after a plan");
        let done = tool(lab, "setup-networks -", yaml).expect(0);
        assert!(done.out.starts_with("done in "), "{}", done.out);
        let now = Look::now();
        assert_eq!(
            (now.addresses("red"), now.mtu("red"), &now.info("red")["stp_state"]),
            (vec!["10.0.0.1/24".to_owned()], 2000, &json!(1))
        );
        assert!(tool(lab, "setup-networks -", &json).expect(0).out.contains("nothing to do"));
        assert_eq!(tool(lab, "--json setup-networks -", &json).expect(0).json()["changed"], false);
        std::fs::write(lab.path("wish.yaml"), "networks: {red: {remove: true}}\noptions: {commitOnSuccess: true}\n")
            .unwrap();
        tool(lab, &format!("setup-networks {}", lab.path("wish.yaml").display()), "").expect(0);
        assert!(!Look::now().has("red"));
    });
}

/// Run by hand, the commands of a plan lead where the daemon leads.
#[test]
fn the_commands_of_a_plan_do_what_the_daemon_does() {
    story(Veth, 2, |lab| {
        let wish = "networks:\n  red: {nic: veth_0, mtu: 2000, STP: yes, ipaddr: 10.0.0.1, prefix: 24, gateway: 10.0.0.254, defaultRoute: true, ipv6addr: 'fd00::1/64'}\n  blue: {nic: veth_1, bridged: false, ipaddr: 10.1.0.1, prefix: 16}\n";
        let plan = tool(lab, "--json setup-networks --plan -", wish).expect(0).json();
        let commands: Vec<&str> = plan["plan"]
            .as_array()
            .unwrap()
            .iter()
            .flat_map(|step| step["commands"].as_array().unwrap())
            .map(|c| c.as_str().unwrap())
            .collect();
        let script = format!("set -e\n{}\n", commands.join("\n"));
        let done = Command::new("sh").args(["-c", &script]).output().unwrap();
        assert!(done.status.success(), "{script}{}", String::from_utf8_lossy(&done.stderr));
        let answer = tool(lab, "setup-networks -", wish).expect(0);
        assert!(answer.out.contains("nothing to do"), "after\n{script}: {}", answer.out);
    });
}

#[test]
fn what_is_safe_is_restored_and_shown() {
    story(Veth, 2, |lab| {
        lab.nets(json!({ "red": { "nic": "veth_0", "ipaddr": "10.0.0.1", "prefix": 24 } }));
        assert!(tool(lab, "set-safe-config", "").expect(0).out.contains("safe"));
        lab.nets(json!({ "blue": { "nic": "veth_1" } }));
        lab.reboot();
        tool(lab, "restore-nets", "").expect(0);
        let now = Look::now();
        assert!(!now.has("blue"));
        assert_eq!(now.addresses("red"), ["10.0.0.1/24"]);
        let again = tool(lab, "restore-nets", "").expect(0);
        assert!(again.out.contains("nothing was restored"), "{}", again.out);
        tool(lab, "restore-nets --force", "").expect(0);
        let shown = tool(lab, "show", "").expect(0).out;
        for part in ["red", "veth_0", "10.0.0.1/24"] {
            assert!(shown.contains(part), "{part} in {shown}");
        }
        assert_eq!(tool(lab, "caps", "").expect(0).json()["networks"]["red"]["addr"], "10.0.0.1");
        tool(lab, r#"call Host.delNetwork {"bridge":"red"}"#, "").expect(0);
        assert!(!Look::now().has("red"));
    });
}

#[test]
fn each_way_to_fail_has_its_exit_code() {
    story(Veth, 1, |lab| {
        let before = Look::now().text(None);
        tool(lab, "nonsense", "").expect(2);
        let refused = tool(lab, "setup-networks -", "networks: {red: {nic: eth7}, blue: {vlan: 5}}").expect(3);
        assert!(
            refused.err.contains("eth7") && refused.err.contains("(code 23)") && refused.err.contains("(code 26)"),
            "{}",
            refused.err
        );
        assert!(tool(lab, "setup-networks -", "networks: {red: {nci: veth_0}}").expect(3).err.contains("'nic'"));
        let failed = tool(
            lab,
            "--json setup-networks -",
            "networks: {red: {nic: veth_0, ipaddr: 10.0.0.1, prefix: 24, gateway: 10.9.0.1, defaultRoute: true}}",
        )
        .expect(4);
        assert_eq!((&failed.json()["code"], &failed.json()["data"]["rolled_back"]), (&json!(29), &json!(true)));
        assert!(failed.err.contains("invalid gateway") && failed.err.contains("as they were before"), "{}", failed.err);
        let (data, words) = (&failed.json()["data"], &failed.err);
        assert_eq!((&data["device"], &data["step"].as_str().unwrap()[..6]), (&json!("red"), "addres"), "{data}");
        assert_eq!(data["kernel"], json!({ "errno": "ENETUNREACH", "text": "Nexthop has invalid gateway" }));
        assert!(data["command"].as_str().unwrap().starts_with("ip route "), "{data}");
        for part in [
            "  device:  red\n",
            "  kernel:  ENETUNREACH, Nexthop has invalid gateway\n",
            "What to do: ",
            "explain 29\n",
        ] {
            assert!(words.contains(part), "{part} in {words}");
        }
        tool(
            lab,
            "setup-networks -",
            "networks: {red: {nic: veth_0}}\noptions: {connectivityCheck: true, connectivityTimeout: 0.1}",
        )
        .expect(4);
        assert_same(&before, &Look::now().text(None), "after failures");

        let mut client = lab.client();
        let holding = thread::spawn(move || {
            client.call(
                "Host.setupNetworks",
                json!({ "networks": { "red": { "nic": "veth_0" } }, "options": { "connectivityTimeout": 60 } }),
            )
        });
        while !Look::now().has("red") {}
        tool(lab, "set-safe-config", "").expect(8);
        tool(lab, "show", "").expect(0);
        tool(lab, "call Host.confirmConnectivity", "").expect(0);
        holding.join().unwrap().unwrap();
        lab.kill();
        assert!(tool(lab, "explain 29", "").expect(0).out.contains("FAILED_IFUP"));
        assert!(tool(lab, "explain 99", "").expect(2).err.contains("no code 99"));
        assert!(tool(lab, "show", "").expect(6).err.contains("socket"));
    });
}

#[test]
fn a_stranger_is_told_that_changes_are_not_his() {
    story(Veth, 0, |lab| {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"]).arg(program("vdsm-tool"));
        let output = command.args(["set-safe-config", "--socket"]).arg(lab.path("socket")).output().unwrap();
        assert_eq!(output.status.code(), Some(7), "{}", String::from_utf8_lossy(&output.stderr));
    });
}

#[test]
fn a_person_at_the_terminal_keeps_the_change_and_silence_undoes_it() {
    story(Veth, 1, confirmed_by_hand);
}

#[test]
fn no_probe_answers_in_a_persons_place() {
    story_with("connectivity_probes = call, carrier\nconnectivity_quorum = 1", Veth, 1, confirmed_by_hand);
}

fn confirmed_by_hand(lab: &mut Lab) {
    let wish = |timeout: &str| {
        let path = lab.path("wish.yaml");
        std::fs::write(
            &path,
            format!("networks: {{red: {{nic: veth_0}}}}\noptions: {{connectivityTimeout: {timeout}}}\n"),
        )
        .unwrap();
        format!(
            "{} --config {} setup-networks --confirm {}",
            program("vdsm-tool").display(),
            lab.path("conf").display(),
            path.display()
        )
    };
    // `script` lends a terminal.
    let start = |line: String| {
        Command::new("script")
            .args(["-q", "-e", "-c", &line, "/dev/null"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap()
    };
    let mut silent = start(wish("1"));
    let keys = silent.stdin.take();
    assert_eq!(silent.wait().unwrap().code(), Some(4));
    drop(keys);
    assert!(!Look::now().has("red"));

    let mut child = start(wish("60"));
    let mut keys = child.stdin.take().unwrap();
    let code = loop {
        let _ = keys.write_all(b"\n");
        if let Some(status) = child.try_wait().unwrap() {
            break status.code();
        }
        thread::sleep(Duration::from_millis(200));
    };
    assert_eq!(code, Some(0));
    assert!(Look::now().has("red"));
}
