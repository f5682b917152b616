//! What shows after a change that the host is still reachable, besides a call: gateways that answer,
//! carriers, connections. At the other end of the cables is a real router, or nobody.

use std::fs;
use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use vdsm_net::client::ClientError;
use vdsm_net::rpc::RpcError;
use vdsm_netlink::neighbour::{Neighbour, Neighbours};

use crate::beyond::server::{Announce, Offers, Server};
use crate::beyond::upstream::{Upstream, gateway, gateway6};
use crate::ears::until;
use crate::lab::{Lab, Nics::Veth, story, story_needing_with, story_with};
use crate::look::{Look, assert_same, batch, without_indexes};

/// A network on nic 0 with an address of each family, and this IPv4 gateway.
fn red(gateway: &str) -> Value {
    json!({
        "nic": "veth_0", "ipaddr": "10.0.0.5", "prefix": 24, "gateway": gateway, "defaultRoute": true,
        "ipv6addr": "fd00::5/64"
    })
}

fn request(networks: Value, seconds: f64) -> Value {
    json!({ "networks": networks, "options": { "connectivityTimeout": seconds } })
}

/// It is done although nobody calls; long before a minute is over.
#[track_caller]
fn kept(lab: &mut Lab, networks: Value) {
    lab.request(request(networks, 60.0)).unwrap();
}

/// It is undone with 10, and the host as before; what is told of it.
#[track_caller]
fn taken_back(lab: &mut Lab, networks: Value, seconds: f64) -> RpcError {
    let (before, stored) = (Look::now().text(None), lab.running_files());
    let error = lab.expect_error(10, request(networks, seconds));
    assert_same(&without_indexes(&before), &without_indexes(&Look::now().text(None)), "after the rollback");
    assert_eq!(lab.running_files(), stored);
    assert_eq!(error.data.as_ref().unwrap()["rolled_back"], true);
    error
}

/// What is told of a failed check by probes.
#[track_caller]
fn assert_told(error: &RpcError, sentence: &str, probes: Value) {
    let whole = format!("the change failed and was rolled back: connectivity check failed: {sentence}");
    assert_eq!(error.message, whole);
    assert_eq!(error.data.as_ref().unwrap()["connectivity"]["probes"], probes);
}

/// State, hardware address and flags of a neighbour, as `ip` tells them.
fn neighbour(device: &str, ip: &str) -> Value {
    let text = batch(&["-j"], &format!("neigh show dev {device}\n")).unwrap();
    let all: Value = serde_json::from_str(&text).unwrap_or_default();
    let found = all.as_array().into_iter().flatten().find(|it| it["dst"] == ip);
    found.cloned().unwrap_or(Value::Null)
}

#[track_caller]
fn assert_state(device: &str, ip: &str, state: &str) {
    assert_eq!(neighbour(device, ip)["state"], json!([state]), "{ip}: {}", neighbour(device, ip));
}

#[test]
fn gateways_that_answer_after_the_change_keep_it() {
    story_with("connectivity_probes = gateway", Veth, 1, |lab| {
        let _upstream = Upstream::behind(&[0]);
        let mut network = red("10.0.0.254");
        network["ipv6gateway"] = json!(gateway6(0));
        kept(lab, json!({ "red": network }));
        assert_state("red", "10.0.0.254", "REACHABLE");
        assert_state("red", "fd00::fffe", "REACHABLE");
        // What changes nothing waits for nothing.
        lab.request(request(json!({ "red": network }), 0.0)).unwrap();
        let told = fs::read_to_string(lab.path("log")).unwrap();
        assert!(told.contains("gateway 10.0.0.254 on red answered (ARP), gateway fd00::fffe on red answered (ND)"));
    });
}

#[test]
fn a_gateway_that_does_not_answer_is_named_and_the_change_undone() {
    story_with("connectivity_probes = gateway", Veth, 1, |lab| {
        let _upstream = Upstream::behind(&[0]);
        let error = taken_back(lab, json!({ "red": red("10.0.0.77") }), 0.5);
        let why = "no answer from gateway 10.0.0.77 on red (ARP)";
        assert_told(
            &error,
            &format!("0 of 1 probes came true within 0.5 s of the change, and 1 had to: {why}"),
            json!([{ "probe": "gateway", "outcome": "failed", "reason": why }]),
        );
        let mut network = red("10.0.0.254");
        network["ipv6gateway"] = json!("fd00::77");
        let error = taken_back(lab, json!({ "red": network }), 0.5);
        assert!(error.message.ends_with(": no answer from gateway fd00::77 on red (ND)"), "{}", error.message);
    });
}

#[test]
fn what_was_known_of_a_gateway_before_the_change_proves_nothing() {
    story_with("connectivity_probes = gateway", Veth, 2, |lab| {
        let upstream = Upstream::behind(&[0]);
        kept(lab, json!({ "red": red("10.0.0.254") }));
        // It is gone, and nobody here knows. The change is about something else.
        upstream.place.ip("addr flush dev peer0\n");
        assert_state("red", "10.0.0.254", "REACHABLE");
        let error = taken_back(lab, json!({ "blue": { "nic": "veth_1" } }), 0.5);
        assert!(error.message.ends_with("no answer from gateway 10.0.0.254 on red (ARP)"), "{}", error.message);

        // An entry for good is nobody's answer, and stays what it is.
        lab.ip("neigh replace 10.0.0.254 lladdr 02:00:00:00:99:99 dev red nud permanent\n");
        let error = taken_back(lab, json!({ "blue": { "nic": "veth_1" } }), 0.2);
        let why = "gateway 10.0.0.254 on red is never asked, as its entry was set for good or the device has no ARP";
        assert_told(
            &error,
            &format!(
                "nobody called within 0.2 s of the change, and no probe takes the place of that: {why}; no call came"
            ),
            json!([
                { "probe": "gateway", "outcome": "inapplicable", "reason": why },
                { "probe": "call", "outcome": "failed", "reason": "no call came" },
            ]),
        );
        assert_state("red", "10.0.0.254", "PERMANENT");
        calling(lab, |lab| kept(lab, json!({ "blue": { "nic": "veth_1" } })));
    });
}

#[test]
fn a_gateway_that_has_another_hardware_address_now_is_found() {
    story_with("connectivity_probes = gateway", Veth, 2, |lab| {
        let upstream = Upstream::behind(&[0]);
        kept(lab, json!({ "red": red("10.0.0.254") }));
        let mac = neighbour("red", "10.0.0.254")["lladdr"].clone();
        upstream.place.ip("link set peer0 down\nlink set peer0 address 02:00:00:00:99:98 up\n");
        until("the carrier is back", |look| look.has_carrier("veth_0"));
        lab.ip(&format!("neigh replace 10.0.0.254 lladdr {} dev red nud stale\n", mac.as_str().unwrap()));
        // By itself the kernel would ask the old one for longer than anybody waits.
        fs::write("/proc/sys/net/ipv4/neigh/red/ucast_solicit", "1000").unwrap();
        kept(lab, json!({ "blue": { "nic": "veth_1" } }));
        assert_state("red", "10.0.0.254", "REACHABLE");
        assert_eq!(neighbour("red", "10.0.0.254")["lladdr"], "02:00:00:00:99:98");
    });
}

#[test]
fn a_gateway_that_comes_with_a_lease_or_an_announcement_is_asked_once_it_is_known() {
    story_needing_with(&["dnsmasq"], "connectivity_probes = gateway", Veth, 1, |lab| {
        let dhcp = json!({ "red": { "nic": "veth_0", "bootproto": "dhcp", "defaultRoute": true } });
        let mut server = Server::behind(0);
        let error = taken_back(lab, dhcp.clone(), 0.3);
        assert!(error.message.ends_with("red has no lease yet, and so no gateway is known"), "{}", error.message);
        server.start(&Offers { v4: Some(50..=99), announce: Announce::Prefix, lease: 600, ..Offers::default() });
        kept(lab, dhcp);
        assert_state("red", "10.77.0.1", "REACHABLE");
        lab.nets(json!({ "red": { "remove": true } }));
        // Until the router has spoken there is no gateway, and nobody calls.
        kept(lab, json!({ "red": { "nic": "veth_0", "ipv6autoconf": true, "defaultRoute": true } }));
        let routes = Look::now().default_routes();
        let [router] = &routes[..] else { panic!("{routes:?}") };
        let router = router.strip_suffix(" red").unwrap();
        assert!(router.starts_with("fe80:"), "{router}");
        assert_state("red", router, "REACHABLE");
    });
}

/// While somebody calls again and again.
fn calling<T>(lab: &mut Lab, act: impl FnOnce(&mut Lab) -> T) -> T {
    let (mut client, done) = (lab.client(), AtomicBool::new(false));
    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::SeqCst) {
                client.call("Host.confirmConnectivity", json!({})).unwrap();
                thread::sleep(Duration::from_millis(5));
            }
        });
        let came = act(lab);
        done.store(true, Ordering::SeqCst);
        came
    })
}

/// How many connections were begun in this namespace.
fn dialled() -> u64 {
    let text = fs::read_to_string("/proc/thread-self/net/snmp").unwrap();
    let mut tcp = text.lines().filter(|line| line.starts_with("Tcp:")).map(|line| line.split_whitespace());
    let at = tcp.next().unwrap().position(|word| word == "ActiveOpens").unwrap();
    tcp.next().unwrap().nth(at).unwrap().parse().unwrap()
}

#[test]
fn a_connection_keeps_the_change_and_a_refused_one_does_not() {
    story_with("connectivity_probes = tcp:10.0.0.254:4242, tcp:[fd00::fffe]:4242", Veth, 1, |lab| {
        let upstream = Upstream::behind(&[0]);
        let network = || json!({ "red": red("10.0.0.254") });
        let gone = json!({ "red": { "remove": true } });
        let listen = |ip| upstream.place.run(move || TcpListener::bind((ip, 4242)).unwrap());
        let open = || fs::read_dir(format!("/proc/{}/fd", lab.pid())).unwrap().count();
        let before = open();
        let listeners = [listen(gateway(0)), listen(gateway6(0))];
        lab.request(request(network(), 60.0)).unwrap();
        let begun = dialled();
        assert!(begun >= 2, "{begun}");
        let without_a_check = |lab: &mut Lab| lab.nets(gone.clone());
        without_a_check(lab);

        drop(listeners);
        let error = taken_back(lab, network(), 3.0);
        let [v4, v6] = ["10.0.0.254:4242", "[fd00::fffe]:4242"].map(|to| format!("TCP {to}: connection refused"));
        assert_told(
            &error,
            &format!("0 of 2 probes came true within 3 s of the change, and 2 had to: {v4}; {v6}"),
            json!([
                { "probe": "tcp:10.0.0.254:4242", "outcome": "failed", "reason": v4 },
                { "probe": "tcp:[fd00::fffe]:4242", "outcome": "failed", "reason": v6 },
            ]),
        );
        let attempts = dialled() - begun;
        assert!((4..=24).contains(&attempts), "a few a second: {attempts} in 3 s");
        // Nobody is there at all.
        upstream.place.ip("addr flush dev peer0\n");
        let error = taken_back(lab, network(), 0.5);
        assert!(error.message.contains("TCP 10.0.0.254:4242: no answer"), "{}", error.message);
        // No way leads there.
        let error = taken_back(lab, json!({ "red": { "nic": "veth_0" } }), 0.5);
        assert!(error.message.contains("TCP 10.0.0.254:4242: network unreachable"), "{}", error.message);
        assert_eq!(fs::read_dir(format!("/proc/{}/fd", lab.pid())).unwrap().count(), before, "no socket is left");
    });
}

#[test]
fn a_carrier_that_comes_in_time_keeps_the_change() {
    story_with("connectivity_probes = carrier", Veth, 1, |lab| {
        lab.ip("link set peer0 down\n");
        let error = taken_back(lab, json!({ "red": { "nic": "veth_0" } }), 0.2);
        assert_told(
            &error,
            "0 of 1 probes came true within 0.2 s of the change, and 1 had to: veth_0 has no carrier",
            json!([{ "probe": "carrier", "outcome": "failed", "reason": "veth_0 has no carrier" }]),
        );
        let mut client = lab.client();
        let params = request(json!({ "red": { "nic": "veth_0" } }), 60.0);
        let waiting = thread::spawn(move || client.call("Host.setupNetworks", params));
        until("the network", |look| look.master("veth_0") == "red");
        assert!(!waiting.is_finished());
        lab.ip("link set peer0 up\n");
        waiting.join().unwrap().unwrap();
        assert!(Look::now().has_carrier("veth_0"));
    });
}

#[test]
fn as_many_as_the_quorum_says_are_needed() {
    let probes = "connectivity_probes = call, carrier, gateway\n";
    let conf: &'static str = Box::leak(format!("{probes}connectivity_quorum = majority").into_boxed_str());
    story_with(conf, Veth, 1, |lab| {
        // There is a carrier, and no gateway answers: it takes the call, and the call is enough.
        let networks = || json!({ "red": red("10.0.0.77") });
        let error = taken_back(lab, networks(), 0.3);
        let data = error.data.unwrap();
        assert_eq!((&data["connectivity"]["met"], &data["connectivity"]["needed"]), (&json!(1), &json!(2)));
        calling(lab, |lab| kept(lab, networks()));
        lab.nets(json!({ "red": { "remove": true } }));
        // Without any gateway two of two are more than the half.
        let error = taken_back(lab, json!({ "red": { "nic": "veth_0" } }), 0.3);
        assert!(
            error.message.contains("1 of 2 probes came true within 0.3 s of the change, and 2 had to: no call came")
        );
        // A call is needed of whoever is asked himself.
        lab.ip("link set peer0 down\n");
        let asked = |networks: Value| json!({ "networks": networks, "options": { "connectivityTimeout": 0.3, "connectivityCall": true } });
        lab.expect_error(10, asked(networks()));
    });
    story_with("connectivity_probes = call, carrier\nconnectivity_quorum = 1", Veth, 1, |lab| {
        let networks = || json!({ "red": { "nic": "veth_0" } });
        let asked =
            json!({ "networks": networks(), "options": { "connectivityTimeout": 0.3, "connectivityCall": true } });
        let error = lab.expect_error(10, asked);
        assert!(error.message.contains("nobody called within 0.3 s of the change, and no probe takes the place"));
        kept(lab, networks());
    });
}

#[test]
fn a_daemon_that_is_to_end_or_dies_amid_its_probes_leaves_the_host_as_it_was() {
    story_with("connectivity_probes = gateway, tcp:10.0.0.77:22, carrier", Veth, 1, |lab| {
        let params = || request(json!({ "red": red("10.0.0.77") }), 3600.0);
        let begin = |lab: &Lab| {
            let mut client = lab.client();
            let waiting = thread::spawn(move || client.call("Host.setupNetworks", params()));
            until("the gateway is asked", |look| look.has("red") && neighbour("red", "10.0.0.77") != Value::Null);
            waiting
        };
        let waiting = begin(lab);
        kill(Pid::from_raw(lab.pid()), Signal::SIGTERM).unwrap();
        match waiting.join().unwrap() {
            Err(ClientError::Rpc(error)) => assert_eq!(error.code, 10, "{error:?}"),
            other => panic!("{other:?}"),
        }
        assert_eq!(lab.ended(), Some(0));
        assert!(!Look::now().has("red"));

        lab.start();
        let waiting = begin(lab);
        lab.kill();
        waiting.join().unwrap().unwrap_err();
        until("the dead man has undone it", |look| !look.has("red"));
        lab.start();
        assert!(!Look::now().has("red"));
    });
}

#[test]
fn who_is_asked_anew_keeps_what_else_is_known_of_him() {
    story(Veth, 1, |lab| {
        let _upstream = Upstream::behind(&[0]);
        lab.ip("addr add 10.0.0.5/24 dev veth_0\naddr add fd00::5/64 dev veth_0 nodad\n");
        lab.ip("neigh add 10.0.0.254 lladdr 02:00:00:00:99:99 dev veth_0 nud stale extern_learn\n");
        lab.ip("neigh add fd00::fffe lladdr 02:00:00:00:99:99 dev veth_0 nud stale router\n");
        let mut neighbours = Neighbours::open(Duration::from_secs(10)).unwrap();
        let link = u32::try_from(Look::now().index("veth_0")).unwrap();
        for (ip, flag) in [(gateway(0), "extern_learn"), (gateway6(0), "router")] {
            let (at, text) = (Neighbour { link, ip }, ip.to_string());
            let entry = neighbours.look(at).unwrap().unwrap();
            assert!(entry.is_known() && !entry.is_reachable() && !entry.is_fixed(), "{entry:?}");
            neighbours.ask_known(at, entry).unwrap();
            let entry = neighbours.look(at).unwrap().unwrap();
            assert!(entry.is_probed(), "nobody has the address that is asked: {entry:?}");
            let known = neighbour("veth_0", &text);
            assert_eq!((&known["lladdr"], &known["state"]), (&json!("02:00:00:00:99:99"), &json!(["PROBE"])));
            assert!(known[flag].is_null() && known.get(flag).is_some(), "{known}");
            neighbours.ask_everybody(at, Some(entry)).unwrap();
            until("it answers", |_| neighbour("veth_0", &text)["state"] == json!(["REACHABLE"]));
            assert!(neighbours.look(at).unwrap().unwrap().is_reachable());
            // Whether he is a router is his own word now.
            let known = neighbour("veth_0", &text);
            assert!(known["lladdr"] != "02:00:00:00:99:99" && (ip.is_ipv6() || known.get(flag).is_some()), "{known}");
        }
        let stranger = Neighbour { link, ip: "10.0.0.9".parse().unwrap() };
        assert_eq!(neighbours.look(stranger).unwrap(), None);
        neighbours.ask_everybody(stranger, None).unwrap();
        assert!(neighbours.look(stranger).unwrap().unwrap().is_searched());
    });
}
