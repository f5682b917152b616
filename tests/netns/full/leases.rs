//! Failure at every step of a change that is about DHCP: leases, clients of ours and of somebody
//! else's, addresses, routes, rules, classes, name servers and sysctls are as they were.
//!
//! With real servers at the other end. The host is changed from within, as in `walk.rs`, since a daemon
//! has no fuse; what static networks make of failures is told there and in `rollback.rs`.

use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use vdsm_configurators::fault::Fuse;
use vdsm_configurators::iproute2::Rtnetlink;
use vdsm_configurators::resolver::HostResolver;
use vdsm_dhcp_client::{Clients, State, foreign};
use vdsm_model::config::NetConfig;
use vdsm_model::graph::Desired;
use vdsm_model::name::NetworkName;
use vdsm_model::netinfo::NetInfo;
use vdsm_model::request::{Request, UnknownKeys};
use vdsm_net::conf::Settings;
use vdsm_net::host::{Host, WithResolver};
use vdsm_net::leases::Leases;
use vdsm_net::netinfo::{Live, Watching};
use vdsm_net::transaction::{Done, SetupError, Transaction, chain};

use super::qos;
use crate::beyond::server::{Offers, Server};
use crate::common::{host, policy};
use crate::lab::{Lab, Nics::Veth, program, story_needing};
use crate::look::{Look, assert_same, without_indexes};
use crate::walk::Fakes;

/// Longer than anything takes on the slowest ground.
const PATIENCE: Duration = Duration::from_secs(60);

/// Whose settings are compared, beside what `ip` says.
const NICS: [&str; 4] = ["veth_0", "veth_1", "veth_2", "veth_3"];

/// A host with a fuse, and the process that holds its clients.
struct Fused {
    host: Host,
    fuse: Fuse,
    clients: Clients,
    running: NetConfig,
    _watching: Watching,
}

impl Fused {
    /// In the place of the lab's daemon.
    fn instead_of(lab: &mut Lab) -> Fused {
        lab.kill();
        let settings = Settings { run_dir: lab.path("run"), lib_dir: lab.path("lib"), ..Settings::default() };
        let (socket, state) = (settings.run_dir.join("vdsm-dhcp.sock"), settings.lib_dir.join("dhcp"));
        let clients = Clients::connect_or_spawn(&socket, &state, &program("vdsm-dhcp")).unwrap();
        let (live, watching) = Live::open(Fakes, PATIENCE, None).unwrap();
        let leases = Leases::new(&settings, Arc::clone(&live));
        let resolver = HostResolver::new(lab.path("resolv.conf"), settings.lib_dir.join("former-resolver"));
        let kernel = Rtnetlink::open(PATIENCE, resolver.clone()).unwrap().with_dhcp(leases);
        let fuse = Fuse::never();
        let host = host(WithResolver { eyes: live, resolver }, kernel, &fuse);
        Fused { host, fuse, clients, running: NetConfig::default(), _watching: watching }
    }

    /// A request that waits for the leases of all who ask.
    fn setup(&mut self, networks: &Value) -> Result<Done, SetupError> {
        let request = Request::read(networks, &json!({}), &json!({ "connectivityCheck": false }), UnknownKeys::Refuse);
        let asking = request.networks.iter().filter(|(_, net)| net.as_ref().is_some_and(|net| net.asks()));
        let asking: Vec<NetworkName> = asking.map(|(name, _)| name.clone()).collect();
        let (running, policy) = (self.running.clone(), policy());
        let rejudge = |seen: &NetInfo| Desired::build(&running, &request, seen, &policy).map_err(SetupError::Refused);
        let done = Transaction::plan(&mut self.host, &running, &request, &policy)?
            .apply()?
            .leased(&asking, PATIENCE, rejudge)?
            .confirm(None, |_, _| Ok(()))?
            .commit(|_| Ok(()))?;
        self.running = done.config.clone();
        Ok(done)
    }

    /// Our clients with their leases, once all of them have one.
    fn leases(&self) -> String {
        let end = Instant::now() + PATIENCE;
        loop {
            let all = self.clients.list().unwrap();
            if all.iter().all(|client| client.state == State::Bound && client.lease.is_some()) {
                return all.iter().fold(String::new(), |mut out, client| {
                    let lease = client.lease.as_ref().unwrap();
                    let (device, family) = (client.wanted.device, client.wanted.family);
                    let _ = writeln!(
                        out,
                        "{device} {family} {}/{} of {:?} via {:?} {:?}",
                        lease.address, lease.prefix, lease.server, lease.gateway, lease.nameservers
                    );
                    out
                });
            }
            assert!(Instant::now() < end, "{all:#?}");
            thread::sleep(Duration::from_millis(5));
        }
    }
}

/// All that a rollback must bring back but the leases, which the clients ask for again meanwhile. In which
/// order ours are among the rules of one priority means nothing: each has a subnet of its own.
fn state(lab: &Lab) -> String {
    // A bridge made anew has another number.
    let look = without_indexes(&Look::now().text(None));
    let (mut rules, others): (Vec<&str>, Vec<&str>) = look.lines().partition(|line| line.starts_with("rule "));
    rules.sort();
    let mut out = others.iter().chain(&rules).fold(String::new(), |out, line| out + line + "\n");
    for nic in NICS {
        let _ = write!(out, "{}", qos::all(nic).replace("DEV", nic));
        for family in ["ipv4", "ipv6"] {
            out += &sysctls(Path::new(&format!("/proc/sys/net/{family}/conf/{nic}")));
        }
    }
    for file in ["resolv.conf", "lib/former-resolver"] {
        let _ = writeln!(out, "{file} {:?}", fs::read_to_string(lab.path(file)).ok());
    }
    out
}

/// Each that can be read, with its value.
fn sysctls(folder: &Path) -> String {
    let mut all: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    all.sort();
    let told = |path: &Path| Some(format!("{} {}", path.display(), fs::read_to_string(path).ok()?));
    all.iter().filter_map(|path| told(path)).collect()
}

/// Other people's clients, once so many of them run.
fn foreigners(count: usize) -> String {
    let end = Instant::now() + PATIENCE;
    loop {
        let all = foreign::all().unwrap();
        if all.len() == count {
            return all.iter().map(|it| format!("{:?} {:?} in {:?}\n", it.exe, it.argv, it.cwd)).collect();
        }
        assert!(Instant::now() < end, "{all:#?}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Somebody's client, which configures nothing: whether it is there is what matters.
fn udhcpc(nic: &str) -> Child {
    let words = ["-f", "-i", nic, "-s", "/bin/true", "-t", "1000"];
    Command::new("udhcpc").args(words).stdin(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

fn share(m2: u64) -> Value {
    json!({ "out": { "ls": { "m2": m2 } } })
}

fn before() -> Value {
    json!({
        "red": { "nic": "veth_0", "bridged": false, "bootproto": "dhcp", "defaultRoute": true, "hostQos": share(5) },
        "green": {
            "nic": "veth_2", "vlan": 5, "ipaddr": "10.5.0.5", "prefix": 24, "gateway": "10.5.0.1", "hostQos": share(5),
        },
        "yellow": { "nic": "veth_3", "dhcpv6": true },
    })
}

/// The leased network gets a bridge and loses the default route, name servers among it; the static
/// one gets that with another address, and shares otherwise; somebody's client gives way to ours; and a
/// network that asks by DHCPv6 goes.
fn wish() -> Value {
    json!({
        "red": { "nic": "veth_0", "bootproto": "dhcp", "hostQos": share(9) },
        "green": {
            "nic": "veth_2", "vlan": 5, "ipaddr": "10.6.0.5", "prefix": 24, "gateway": "10.6.0.1", "defaultRoute": true,
            "nameservers": ["192.0.2.53"], "mtu": 1400,
        },
        "blue": { "nic": "veth_1", "vlan": 0, "bridged": false, "hostQos": share(3) },
        "cyan": { "nic": "veth_1", "bridged": false, "bootproto": "dhcp", "dhcpv6": true },
        "yellow": { "remove": true },
    })
}

#[test]
fn whatever_fails_leases_and_all_that_followed_are_as_before() {
    story_needing(&["dnsmasq", "udhcpc"], Veth, 4, |lab| {
        let servers = [0, 1, 3].map(|number| {
            let mut server = Server::behind(number);
            let offers = Offers { v4: Some(100..=100), v6: Some(0x100..=0x100), lease: 600, ..Offers::default() };
            server.start(&offers);
            server
        });
        let mut fused = Fused::instead_of(lab);
        let mut theirs = udhcpc("veth_1");
        fused.setup(&before()).unwrap_or_else(|error| panic!("{}", chain(&error)));
        let was = (fused.leases(), foreigners(1), state(lab));
        assert!(was.0.contains("veth_0 v4 10.77.0.") && was.0.contains("yellow v6 fd77:3::"), "{}", was.0);
        assert!(was.2.contains("nameserver 10.77.0.1") && was.2.contains("\"dynamic\":true"), "{}", was.2);
        let mut failed = 0;
        loop {
            fused.fuse.after(failed);
            let outcome = fused.setup(&wish());
            if fused.fuse.is_set() || outcome.is_ok() {
                fused.fuse.after(usize::MAX);
                outcome.unwrap_or_else(|error| panic!("{}", chain(&error)));
                break;
            }
            let what = format!("failing at action {failed}");
            match outcome {
                Err(SetupError::RolledBack { missing, .. }) if missing.is_empty() => {}
                outcome => {
                    panic!("{what}: {}", outcome.map_or_else(|error| chain(&error), |done| done.plan.to_string()))
                }
            }
            assert_same(&was.2, &state(lab), &what);
            assert_same(&was.1, &foreigners(1), &what);
            // And still so when the clients have asked whether they may keep what they have: a second each
            // time. Mostly the next change comes before that, as it may.
            if failed % 4 == 0 {
                assert_same(&was.0, &fused.leases(), &what);
                assert_same(&was.2, &state(lab), &format!("{what}, later"));
            }
            failed += 1;
        }
        assert!(failed > 30, "there is more to fail than that: {failed}");
        // In the end it arrives as if nothing had been.
        let now = Look::now();
        assert_eq!((now.default_routes(), foreigners(0)), (vec!["10.6.0.1 green".to_owned()], String::new()));
        assert!(now.addresses("red")[0].starts_with("10.77.0.") && fused.leases().contains("veth_1 v6 fd77:1::"));
        drop(servers);
        let _ = theirs.wait();
    });
}
