//! The daemon among its clients: one change at a time, who may what, and systemd.

use std::io::ErrorKind;
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;
use vdsm_net::client::ClientError;

use crate::lab::{Nics::Veth, program, story};
use crate::look::Look;

#[test]
fn a_second_change_is_turned_away_at_once_and_reads_are_answered_meanwhile() {
    story(Veth, 2, |lab| {
        let mut client = lab.client();
        let params = json!({ "networks": { "red": { "nic": "veth_0" } }, "options": { "connectivityTimeout": 60 } });
        let waiting = thread::spawn(move || client.call("Host.setupNetworks", params));
        while !Look::now().has("red") {}
        let start = Instant::now();
        for verb in ["Host.setupNetworks", "Host.setSafeNetworkConfig", "Host.restoreNetworks"] {
            assert_eq!(lab.call(verb, json!({})).unwrap_err().code, 40, "{verb}");
        }
        lab.call("Host.ping2", json!({})).unwrap();
        assert!(lab.capabilities()["bridges"]["red"].is_object());
        lab.call("Host.planNetworks", json!({ "networks": { "blue": { "nic": "veth_1" } } })).unwrap();
        assert!(start.elapsed() < Duration::from_secs(10), "nobody waited: {:?}", start.elapsed());
        assert!(!waiting.is_finished());
        lab.call("Host.confirmConnectivity", json!({})).unwrap();
        waiting.join().unwrap().unwrap();
        lab.nets(json!({ "blue": { "nic": "veth_1" } }));
    });
}

#[test]
fn a_stranger_may_look_and_not_change() {
    story(Veth, 1, |lab| {
        lab.nets(json!({ "red": { "nic": "veth_0" } }));
        let socket = lab.path("socket");
        let stranger = thread::spawn(move || {
            const NOBODY: i64 = 65534;
            // The raw calls change this thread alone; the C library's would change the test.
            // SAFETY: no memory is handed over but an empty list of groups.
            let dropped = unsafe {
                [
                    libc::syscall(libc::SYS_setgroups, 0, std::ptr::null::<u32>()),
                    libc::syscall(libc::SYS_setresgid, NOBODY, NOBODY, NOBODY),
                    libc::syscall(libc::SYS_setresuid, NOBODY, NOBODY, NOBODY),
                ]
            };
            assert_eq!(dropped, [0, 0, 0]);
            let mut client = vdsm_net::client::Client::connect(&socket, Duration::from_secs(60)).unwrap();
            assert!(client.call("Host.getCapabilities", json!({})).unwrap()["networks"]["red"].is_object());
            client.call("Host.planNetworks", json!({ "networks": { "red": { "remove": true } } })).unwrap();
            client.call("Host.ping2", json!({})).unwrap();
            for verb in [
                "Host.setupNetworks",
                "Host.addNetwork",
                "Host.editNetwork",
                "Host.delNetwork",
                "Host.setSafeNetworkConfig",
                "Host.restoreNetworks",
                "Host.confirmConnectivity",
                "Host.ping",
            ] {
                match client.call(verb, json!({})) {
                    Err(ClientError::Rpc(error)) => assert_eq!(error.code, -32001, "{verb}: {error:?}"),
                    other => panic!("{verb}: {other:?}"),
                }
            }
        });
        if let Err(panic) = stranger.join() {
            std::panic::resume_unwind(panic);
        }
        assert!(Look::now().has("red"));
    });
}

#[test]
fn systemd_is_told_when_the_daemon_is_ready_and_when_it_stops() {
    story(Veth, 1, |lab| {
        lab.kill();
        let path = lab.path("notify");
        let notify = UnixDatagram::bind(&path).unwrap();
        notify.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let hear = || {
            let mut text = [0; 4096];
            let length = notify.recv(&mut text).unwrap();
            String::from_utf8_lossy(&text[..length]).into_owned()
        };
        let mut command = lab.daemon();
        command.env("NOTIFY_SOCKET", &path);
        lab.start_as(command);
        assert!(hear().contains("READY=1"));
        lab.nets(json!({ "red": { "nic": "veth_0" } }));
        kill(Pid::from_raw(lab.pid()), Signal::SIGTERM).unwrap();
        assert!(hear().contains("STOPPING=1"));
        assert_eq!(lab.ended(), Some(0));
        assert!(!lab.path("socket").exists(), "a clean end leaves no socket");
        assert!(Look::now().has("red"), "the networks stay");
    });
}

#[test]
fn a_change_that_waits_to_be_confirmed_is_undone_before_the_daemon_ends() {
    story(Veth, 1, |lab| {
        let mut client = lab.client();
        let params = json!({ "networks": { "red": { "nic": "veth_0" } }, "options": { "connectivityTimeout": 3600 } });
        let waiting = thread::spawn(move || client.call("Host.setupNetworks", params));
        while !Look::now().has("red") {}
        kill(Pid::from_raw(lab.pid()), Signal::SIGTERM).unwrap();
        match waiting.join().unwrap() {
            Err(ClientError::Rpc(error)) => assert_eq!(error.code, 10, "{error:?}"),
            other => panic!("{other:?}"),
        }
        assert_eq!(lab.ended(), Some(0));
        assert!(!Look::now().has("red"));
    });
}

#[test]
fn a_socket_that_systemd_opened_is_used_and_left() {
    story(Veth, 1, |lab| {
        lab.kill();
        let path = lab.path("socket");
        let _ = std::fs::remove_file(&path);
        let listener = UnixListener::bind(&path).unwrap();
        // The descriptor is the third, and the process the one that the variables name.
        let script = r#"exec env LISTEN_PID=$$ LISTEN_FDS=1 "$0" --config "$1" 3<&0 </dev/null"#;
        let mut command = Command::new("sh");
        command
            .args(["-c", script])
            .arg(program("vdsm-netd"))
            .arg(lab.path("conf"))
            .stdin(Stdio::from(OwnedFd::from(listener)));
        command.stderr(std::fs::File::options().append(true).open(lab.path("log")).unwrap());
        lab.start_as(command);
        lab.nets(json!({ "red": { "nic": "veth_0" } }));
        kill(Pid::from_raw(lab.pid()), Signal::SIGTERM).unwrap();
        assert_eq!(lab.ended(), Some(0));
        assert!(path.exists(), "it is systemd's");
    });
}

#[test]
fn a_second_daemon_on_the_same_socket_does_not_start() {
    story(Veth, 0, |lab| {
        let mut second = lab.daemon();
        let output = second.stderr(Stdio::piped()).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(text.contains("another process answers"), "{text}");
        lab.call("Host.ping2", json!({})).unwrap();
        std::fs::write(lab.path("conf"), "[vars]\nrun_dir = here\n").unwrap();
        let output = lab.daemon().stderr(Stdio::piped()).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert!(String::from_utf8_lossy(&output.stderr).contains("run_dir"));
    });
}

#[test]
fn a_dead_daemons_socket_is_taken_over() {
    story(Veth, 0, |lab| {
        lab.kill();
        let error = std::os::unix::net::UnixStream::connect(lab.path("socket")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        lab.start();
        lab.call("Host.ping2", json!({})).unwrap();
    });
}

#[test]
fn the_daemon_and_what_it_starts_may_only_do_what_they_have_to() {
    story(Veth, 1, |lab| {
        let sets = |pid: i32| {
            let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
            let set = |name: &str| {
                let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
                u64::from_str_radix(line.trim(), 16).unwrap()
            };
            ["CapEff:", "CapPrm:", "CapBnd:", "CapInh:"].map(set)
        };
        // chown, dac_override, kill, net_bind_service, net_admin, net_raw, sys_ptrace (capabilities(7)).
        let of_the_daemon = [0, 1, 5, 10, 12, 13, 19].iter().fold(0, |set, number| set | 1 << number);
        assert_eq!(sets(lab.pid()), [of_the_daemon, of_the_daemon, of_the_daemon, 0]);
        lab.nets(json!({ "red": { "nic": "veth_0", "bootproto": "dhcp" } }));
        let of_dhcp = [1, 10, 12, 13].iter().fold(0, |set, number| set | 1 << number);
        // The daemon cannot take from its bound what it does not need any more.
        assert_eq!(sets(lab.dhcp_pid().unwrap()), [of_dhcp, of_dhcp, of_the_daemon, 0]);
    });
}
