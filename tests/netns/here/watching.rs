//! `vdsm-tool` for eyes: show, graph, top, monitor and check; on a terminal, into a pipe, as JSON,
//! and when somebody has seen enough.

use std::io::{BufRead, BufReader, Read};
use std::os::fd::AsFd;
use std::process::{Child, ChildStdout, Command, Stdio};

use nix::poll::{PollFd, PollFlags, poll};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use super::tool::tool;
use crate::lab::{Lab, Nics::Veth, program, story};
use crate::look::ip;

/// In milliseconds; longer than anything takes on the slowest ground.
const A_MINUTE: u16 = 60_000;

/// A host with one network that is well and one that is not.
fn wired(lab: &mut Lab) {
    lab.nets(json!({ "red": { "nic": "veth_0", "ipaddr": "10.0.0.1", "prefix": 24 }, "blue": { "nic": "veth_1" } }));
    lab.ip("tuntap add dev vnet0 mode tap\nlink set vnet0 master red\nlink set veth_1 nomaster\n");
}

#[test]
fn networks_are_shown_and_drawn_with_what_is_wrong() {
    story(Veth, 2, |lab| {
        wired(lab);
        let shown = tool(lab, "show", "").expect(0).out;
        for part in ["red ", "10.0.0.1/24", "VM ports vnet0", "veth_1 left blue", "! drifted", "not ours"] {
            assert!(shown.contains(part), "{part} in\n{shown}");
        }
        assert!(!shown.contains('\x1b'), "{shown}");
        let topology = tool(lab, "show --json", "").expect(0).json();
        assert_eq!(topology["networks"][0]["name"], "blue");
        assert_eq!(topology["networks"][0]["differences"], json!(["veth_1 left blue"]));
        for (format, start) in [("svg", "<svg"), ("dot", "digraph"), ("mermaid", "flowchart")] {
            let drawn = tool(lab, &format!("graph --format {format}"), "").expect(0).out;
            assert!(drawn.contains(start), "{format}: {drawn}");
            for part in ["red", "blue", "veth_0", "veth_1", "vnet0"] {
                assert!(drawn.contains(part), "{part} in {format}:\n{drawn}");
            }
        }
        assert_eq!(tool(lab, "graph", "").expect(0).out, tool(lab, "graph --format svg", "").expect(0).out);
        // Carriers are settled in the kernel's own time.
        let steady = |told: &serde_json::Value| {
            let mut links = told["links"].clone();
            for link in links.as_array_mut().unwrap() {
                for key in ["state", "running"] {
                    link.as_object_mut().unwrap().remove(key);
                }
            }
            links
        };
        assert_eq!(steady(&tool(lab, "--json graph", "").expect(0).json()), steady(&topology));
        let checked = tool(lab, "check --json", "").expect(3).json();
        assert_eq!(checked["networks"]["blue"]["differences"][0]["text"], "veth_1 left blue");
        assert_eq!(checked["networks"]["red"], json!({ "state": "in_sync", "differences": [] }));
        assert_eq!(checked["plan"].as_array().map(Vec::len), Some(1), "{checked}");
    });
}

/// Runs a command line on a terminal, which `script` lends.
fn on_terminal(lab: &Lab, environment: &str, words: &str) -> String {
    let (program, conf) = (program("vdsm-tool"), lab.path("conf"));
    let line = format!("{environment} {} --config {} {words}", program.display(), conf.display());
    let output = Command::new("script")
        .args(["-q", "-e", "-c", &line, "/dev/null"])
        .env_remove("NO_COLOR")
        .env("TERM", "xterm")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{words}: {text}");
    text
}

#[test]
fn a_terminal_gets_colours_unless_they_are_unwanted() {
    story(Veth, 2, |lab| {
        wired(lab);
        for words in ["show", "top --frames 1"] {
            let coloured = on_terminal(lab, "", words);
            assert!(coloured.contains("\x1b[3"), "{words}: {coloured:?}");
            for unwanted in ["NO_COLOR=1", "TERM=dumb"] {
                let plain = on_terminal(lab, unwanted, words);
                assert!(!plain.contains("\x1b[3") && plain.contains("red"), "{words}, {unwanted}: {plain:?}");
            }
        }
        assert!(on_terminal(lab, "NO_COLOR=", "show").contains("\x1b[3"), "it counts when it is not empty");
        let top = on_terminal(lab, "NO_COLOR=1", "top --frames 1");
        assert!(top.contains("\x1b[H\x1b[2J"), "a screen in place of the last one: {top:?}");
        assert!(!on_terminal(lab, "TERM=dumb", "top --frames 1").contains('\x1b'));
    });
}

#[test]
fn traffic_is_shown_a_screen_for_each_look() {
    story(Veth, 2, |lab| {
        wired(lab);
        let shown = tool(lab, "top --frames 2 --interval 0.1", "").expect(0).out;
        assert_eq!(shown.matches("2 networks, 1 not as configured").count(), 2, "{shown}");
        assert!(shown.contains("NETWORK") && shown.contains("veth_0") && !shown.contains('\x1b'), "{shown}");
        let lines = tool(lab, "--json top --frames 3 --interval 0.1", "").expect(0).out;
        let looks: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(looks.len(), 3, "{lines}");
        assert!(looks.iter().all(|look| look.is_object()), "{lines}");
        tool(lab, "top --frames 0", "").expect(2);
    });
}

#[test]
fn what_is_sent_meanwhile_is_a_rate() {
    story(Veth, 2, |lab| {
        wired(lab);
        let (over, is_over) = std::sync::mpsc::channel::<()>();
        let shown = std::thread::scope(|scope| {
            scope.spawn(move || {
                let socket = std::net::UdpSocket::bind("10.0.0.1:0").unwrap();
                socket.set_broadcast(true).unwrap();
                while is_over.try_recv() == Err(std::sync::mpsc::TryRecvError::Empty) {
                    // Of a full queue it may be refused.
                    let _ = socket.send_to(&[0; 1400], "10.0.0.255:9");
                    std::thread::sleep(std::time::Duration::from_micros(100));
                }
            });
            let shown = tool(lab, "top --frames 2 --interval 0.5", "").expect(0).out;
            drop(over);
            shown
        });
        let screens: Vec<&str> = shown.split("2 networks, ").collect();
        let line = |screen: &str| screen.lines().find(|line| line.contains("red")).unwrap().to_owned();
        let has_rate = |line: &str| ["kbit/s", "Mbit/s", "Gbit/s"].iter().any(|unit| line.contains(unit));
        assert!(!has_rate(&line(screens[1])) && has_rate(&line(screens[2])), "{shown}");
    });
}

/// A monitor, and what it prints.
struct Monitor {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Monitor {
    /// Starts it, and lets nics flap until it shows something: from then on it listens.
    fn start(lab: &Lab, words: &str) -> Monitor {
        let mut command = Command::new(program("vdsm-tool"));
        command.arg("--config").arg(lab.path("conf")).args(words.split(' '));
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let stdout = child.stdout.take().unwrap();
        let mut monitor = Monitor { child, lines: BufReader::new(stdout) };
        std::thread::scope(|scope| {
            let (over, is_over) = std::sync::mpsc::channel::<()>();
            scope.spawn(move || {
                while is_over.try_recv() == Err(std::sync::mpsc::TryRecvError::Empty) {
                    ip("link add start type veth peer name started\nlink del start\n");
                }
            });
            monitor.until("start");
            drop(over);
        });
        monitor
    }

    /// The next line that says this.
    #[track_caller]
    fn until(&mut self, what: &str) -> String {
        let mut heard = String::new();
        loop {
            let before = heard.len();
            let mut ready = [PollFd::new(self.lines.get_ref().as_fd(), PollFlags::POLLIN)];
            let is_said = !self.lines.buffer().is_empty() || poll(&mut ready, A_MINUTE).unwrap() > 0;
            assert!(is_said, "{what}: not shown, but\n{heard}");
            let count = self.lines.read_line(&mut heard).unwrap();
            assert!(count > 0, "{what}: never shown before the end, but\n{heard}");
            if heard[before..].contains(what) {
                return heard.split_off(before);
            }
        }
    }

    /// Its exit code and its last words.
    fn ended(mut self) -> (Option<i32>, String) {
        let mut said = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        (self.child.wait().unwrap().code(), said)
    }
}

#[test]
fn events_are_shown_as_they_happen_until_the_daemon_ends() {
    story(Veth, 2, |lab| {
        wired(lab);
        let (mut people, mut programs) = (Monitor::start(lab, "monitor"), Monitor::start(lab, "--json monitor"));
        let mut few = Monitor::start(lab, "monitor --events out_of_sync,in_sync,link_vanished");
        lab.ip("link set red mtu 1400\n");
        let line = people.until("network red is out of sync: the MTU of red is 1400 instead of 1500");
        let (clock, _) = line.split_once("  ").unwrap();
        assert!(clock.len() == 13 && clock.ends_with('Z') && clock.as_bytes()[2] == b':', "{line}");
        let event: Value = serde_json::from_str(&programs.until(r#""network":"red""#)).unwrap();
        assert_eq!(
            (&event["event"], &event["differences"][0]),
            (&json!("out_of_sync"), &json!("the MTU of red is 1400 instead of 1500"))
        );
        few.until("network red is out of sync");
        lab.ip("link add veth_9 type veth peer name peer9\n");
        people.until("veth_9 appeared");
        lab.ip("link del veth_9\nlink set red mtu 1500\n");
        people.until("network red is in sync again");
        let mut shown = few.until("veth_9 vanished");
        shown += &few.until("network red is in sync again");
        assert!(!shown.contains("appeared"), "{shown}");
        tool(lab, "monitor --events nonsense", "").expect(2);

        kill(Pid::from_raw(lab.pid()), Signal::SIGTERM).unwrap();
        assert_eq!(lab.ended(), Some(0), "they do not keep it");
        for monitor in [people, few] {
            assert_eq!(monitor.ended(), (Some(1), "error: the daemon has ended\n".to_owned()));
        }
        let mut last = String::new();
        programs.lines.read_to_string(&mut last).unwrap();
        let last = &last[last.rfind("{\n").unwrap()..];
        assert_eq!(serde_json::from_str::<Value>(last).unwrap()["message"], "the daemon has ended");
        assert_eq!(programs.ended().0, Some(1));
    });
}

#[test]
fn who_has_seen_enough_ends_them_quietly() {
    story(Veth, 2, |lab| {
        wired(lab);
        let head = |words: &str| {
            let (program, conf) = (program("vdsm-tool"), lab.path("conf"));
            let line = format!("{} --config {} {words} | head -n 1", program.display(), conf.display());
            let script = format!("set -o pipefail; {line}");
            let output = Command::new("bash").args(["-c", &script]).output().unwrap();
            let (out, said) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
            assert_eq!((output.status.code(), out.lines().count(), said.as_str()), (Some(0), 1, ""), "{words}: {out}");
        };
        ["show", "graph", "caps", "top --interval 0.1", "top --interval 3600", "--json top --interval 0.1"]
            .iter()
            .for_each(|words| head(words));
        // One whose reader goes while nothing happens ends, too.
        for words in ["monitor", "--json monitor"] {
            let Monitor { mut child, lines } = Monitor::start(lab, words);
            drop(lines);
            assert_eq!(child.wait().unwrap().code(), Some(0), "{words}");
        }
    });
}
