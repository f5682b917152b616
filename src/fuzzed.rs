//! What callers send, files hold and the kernel says, read when it is anything at all; see `tests/fuzz`.
//!
//! No panic, no hang and no endless memory is asked of everything; what else must hold of what was
//! read stands in each target.

use std::pin::Pin;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncRead, ReadBuf};
use vdsm_configurators::iproute2::Iproute2;
use vdsm_configurators::sim::Sim;
use vdsm_model::config::{BondAddresses, Combination, Feature, NetConfig, Policy};
use vdsm_model::request::{Request, UnknownKeys};

use crate::asked::Asked;
use crate::fuzz::{Target, fuzz};
use crate::host::Host;
use crate::rpc::{Incoming, parse};
use crate::server::all_lines;
use crate::transaction::Transaction;

/// A host with networks, which requests meet; it is never changed.
struct Ground {
    host: Host,
    running: NetConfig,
    policy: Policy,
}

fn ground() -> Ground {
    let sim = Sim::with_nics(&["eth0", "eth1", "eth2", "eth3"]);
    let host = Host { eyes: Box::new(sim.clone()), hands: Box::new(Iproute2::new(sim)) };
    let features = [
        Feature::Dhcpv4,
        Feature::Dhcpv6,
        Feature::Ipv6Autoconf,
        Feature::Nameservers,
        Feature::EthtoolOptions,
        Feature::HostQos,
    ];
    let policy = Policy {
        combination: Combination::Strict,
        bond_addresses: BondAddresses::Preserve,
        configurator: "iproute2".to_owned(),
        features: features.into(),
    };
    let mut ground = Ground { host, running: NetConfig::default(), policy };
    let networks = json!({
        "mgmt": { "nic": "eth0", "ipaddr": "192.0.2.1", "prefix": 24, "gateway": "192.0.2.254", "defaultRoute": true },
        "v7": { "bonding": "bond0", "vlan": 7, "bridged": false, "ipv6addr": "2001:db8::1/64" },
    });
    let bonds = json!({ "bond0": { "nics": ["eth1", "eth2"], "options": "mode=4" } });
    let options = json!({ "connectivityCheck": false });
    let request = Request::read(&networks, &bonds, &options, UnknownKeys::Refuse);
    let Ground { host, running, policy } = &mut ground;
    let planned = Transaction::plan(host, running, &request, policy).unwrap();
    let done = planned.apply().unwrap().confirm(None, |_, _| Ok(())).unwrap().commit(|_| Ok(())).unwrap();
    ground.running = done.config;
    ground
}

/// A request is judged, and planned where nothing is wrong with it. What is to be stored of it can be read again.
fn request(bytes: &[u8]) {
    static GROUND: OnceLock<Mutex<Ground>> = OnceLock::new();
    let Ok(asked) = Asked::from_hook_json(bytes) else { return };
    let request = asked.read(UnknownKeys::Refuse);
    let mut ground = GROUND.get_or_init(|| ground().into()).lock().unwrap_or_else(PoisonError::into_inner);
    let Ground { host, running, policy } = &mut *ground;
    if let Ok(planned) = Transaction::plan(host, running, &request, policy) {
        stored_again(&planned.desired().config);
    }
}

fn stored_again(config: &NetConfig) {
    let (nets, bonds) = config.to_stored();
    let (again, problems) = NetConfig::from_stored(&nets, &bonds);
    assert!(problems.is_empty(), "{problems:?}\nof {nets:?} {bonds:?}");
    assert_eq!(again.to_stored(), (nets, bonds));
}

#[test]
fn requests() {
    const WORDS: &[&[u8]] = &[
        b"\"nic\":\"eth3\"",
        b"\"bonding\":\"bond0\"",
        b"\"vlan\":7",
        b"\"bridged\":false",
        b"\"ipaddr\":\"10.0.0.1\"",
        b"\"netmask\":\"255.255.255.0\"",
        b"\"prefix\":24",
        b"\"gateway\":\"10.0.0.254\"",
        b"\"defaultRoute\":true",
        b"\"bootproto\":\"dhcp\"",
        b"\"dhcpv6\":true",
        b"\"ipv6autoconf\":true",
        b"\"ipv6addr\":\"2001:db8::2/64\"",
        b"\"ipv6gateway\":\"fe80::1%eth0\"",
        b"\"mtu\":9000",
        b"\"stp\":\"yes\"",
        b"\"nameservers\":[\"192.0.2.53\"]",
        b"\"hostQos\":{\"out\":{\"ls\":{\"m1\":0,\"d\":0,\"m2\":1000}}}",
        b"\"custom\":{\"bridge_opts\":\"forward_delay=0\"}",
        b"\"custom\":{\"ethtool_opts\":\"--offload eth0 rx on\"}",
        b"\"remove\":true",
        b"\"switch\":\"legacy\"",
        b"\"options\":\"mode=1 miimon=100\"",
        b"\"nics\":[\"eth1\",\"eth3\"]",
        b"\"hwaddr\":\"02:00:00:00:00:01\"",
        b"\"connectivityTimeout\":0.5",
        b"\"commitOnSuccess\":true",
        b"\"reason\":\"x\"",
        b"null",
        b"true",
        b"-1",
        b"1e99",
        b"\"mgmt\":{",
        b"\"v7\":{",
        b"\"bond1\":{",
        b"{}",
        b"[]",
        b",",
        b"}",
        b"\\ud800",
        b"\"a/../b\":{",
        b"\xff",
    ];
    fuzz(&Target { name: "request", words: WORDS, longest: 2048, run: request });
}

/// Bytes that come a few at a time.
struct Dripping<'b> {
    rest: &'b [u8],
    step: usize,
}

impl AsyncRead for Dripping<'_> {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        let (now, later) = self.rest.split_at(self.rest.len().min(self.step).min(buf.remaining()));
        buf.put_slice(now);
        self.rest = later;
        Poll::Ready(Ok(()))
    }
}

/// Lines are the same however the bytes come, none is too long, and each has its answer or is a
/// request that is written as it was read.
fn rpc(bytes: &[u8]) {
    thread_local! {
        static RUNTIME: tokio::runtime::Runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    }
    const LIMIT: usize = 1000;
    let lines = |step| RUNTIME.with(|it| it.block_on(all_lines(Dripping { rest: bytes, step }, LIMIT, Duration::MAX)));
    let whole = lines(usize::MAX);
    assert_eq!(whole, lines(1 + bytes.first().map_or(0, |byte| usize::from(*byte) % 32)));
    for line in whole {
        assert!(line.len() <= LIMIT);
        let requests = match Incoming::read(&line) {
            Incoming::Single(one) => vec![one],
            Incoming::Batch(all) => all,
        };
        for request in requests {
            match request {
                Ok(request) => {
                    let text = serde_json::to_vec(&request).unwrap();
                    assert_eq!(Incoming::read(&text), Incoming::Single(Ok(request)));
                }
                Err(answer) => drop(serde_json::to_vec(&answer).unwrap()),
            }
        }
    }
}

#[test]
fn calls() {
    const WORDS: &[&[u8]] = &[
        b"\n",
        b"\r\n",
        b"\"jsonrpc\":\"2.0\"",
        b"\"id\":1",
        b"\"id\":null",
        b"\"method\":\"Host.ping2\"",
        b"\"params\":{}",
        b"\"params\":[]",
        b"[",
        b"]",
        b"{",
        b"}",
        b",",
        b":",
        b"\\u0000",
        b"\\ud83d\\ude00",
        b"1e400",
        b"-0",
        b"\xc3\x28",
        b"18446744073709551616",
        b"[[[[[[[[[[[[[[[[",
        b"{\"a\":{\"a\":{\"a\":",
    ];
    fuzz(&Target { name: "rpc", words: WORDS, longest: 512, run: rpc });
}

/// `{"nets": {..}, "bonds": {..}}` as the files have them: what can be used of it is stored again as it was read.
fn stored(bytes: &[u8]) {
    let Ok(parsed) = parse(bytes) else { return };
    let folder = |key| match parsed.value.get(key) {
        Some(Value::Object(all)) => {
            all.iter().filter(|(_, it)| it.is_object()).map(|(k, v)| (k.clone(), v.clone())).collect()
        }
        _ => Default::default(),
    };
    let (config, _) = NetConfig::from_stored(&folder("nets"), &folder("bonds"));
    stored_again(&config);
}

#[test]
fn configurations() {
    const WORDS: &[&[u8]] = &[
        b"\"nets\":{",
        b"\"bonds\":{",
        b"\"nic\":\"eth3\"",
        b"\"bonding\":\"bond0\"",
        b"\"vlan\":\"7\"",
        b"\"vlan\":7",
        b"\"bridged\":\"true\"",
        b"\"mtu\":\"1500\"",
        b"\"stp\":false",
        b"\"bootproto\":\"none\"",
        b"\"defaultRoute\":true",
        b"\"ipaddr\":\"10.0.0.1\"",
        b"\"netmask\":\"255.255.255.0\"",
        b"\"prefix\":\"24\"",
        b"\"gateway\":\"10.0.0.254\"",
        b"\"ipv6addr\":\"2001:db8::2/64\"",
        b"\"nics\":[\"eth1\"]",
        b"\"options\":\"mode=4\"",
        b"\"switch\":\"legacy\"",
        b"\"hostQos\":{\"out\":{\"ls\":{\"m2\":1000}}}",
        b"\"custom\":{\"bridge_opts\":\"forward_delay=0\"}",
        b"\"nameservers\":[\"192.0.2.53\"]",
        b"\"hwaddr\":\"02:00:00:00:00:01\"",
        b"null",
        b"true",
        b"{}",
        b"[]",
        b"}",
        b",",
    ];
    fuzz(&Target { name: "stored", words: WORDS, longest: 1024, run: stored });
}
