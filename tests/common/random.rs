//! Random sound configurations over a few nics, from a seed that a failing test prints.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};
use vdsm_model::config::NetConfig;

/// SplitMix64 (public domain, Sebastiano Vigna): the same walk from the same seed everywhere.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    pub fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    pub fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())].clone()
    }
}

/// What a kernel can do, so that a walk stays within it.
#[derive(Clone, Copy)]
pub struct Kinds {
    pub bonds: bool,
    pub vlans: bool,
}

/// What only one network of a configuration can have.
#[derive(Default)]
struct Used {
    /// The default route is given away.
    default: bool,
    /// The kernel can shape; where it has VLANs it has that, too.
    shapes: bool,
    /// Addresses that have a gateway.
    with_gateway: BTreeSet<String>,
}

/// A configuration that every rule allows.
pub fn config(random: &mut Random, nics: &[String], kinds: Kinds) -> NetConfig {
    let mut free: Vec<String> = nics.to_vec();
    let mut nets = Map::new();
    let mut bonds = Map::new();
    let mut bases: Vec<(&str, String)> = Vec::new();
    if kinds.bonds {
        for number in 0..random.below(3) {
            let mut slaves = Vec::new();
            for _ in 0..=random.below(2) {
                if !free.is_empty() {
                    slaves.push(free.remove(random.below(free.len())));
                }
            }
            if !slaves.is_empty() {
                let name = format!("bond{number}");
                bonds.insert(name.clone(), json!({ "nics": slaves, "options": bond_options(random) }));
                bases.push(("bonding", name));
            }
        }
    }
    bases.extend(free.into_iter().map(|nic| ("nic", nic)));
    let mut used = Used { shapes: kinds.vlans, ..Used::default() };
    for (key, base) in bases {
        on_base(random, key, &base, kinds, &mut nets, &mut used);
    }
    if random.chance(30) {
        nets.insert("lonely".to_owned(), network(random, true, &mut Used { default: true, ..used }));
    }
    let to_stored = |map: Map<String, Value>| map.into_iter().collect();
    let (config, problems) = NetConfig::from_stored(&to_stored(nets), &to_stored(bonds));
    assert_eq!(problems, [], "the generator makes sound configurations only");
    config
}

/// The networks on one nic or bond, within the strict rule.
fn on_base(random: &mut Random, key: &str, base: &str, kinds: Kinds, nets: &mut Map<String, Value>, used: &mut Used) {
    let short: String = base.replace("dummy_", "d").replace("veth_", "v").replace("bond", "b");
    let mut add = |name: String, mut net: Value| {
        net[key] = json!(base);
        nets.insert(name, net);
    };
    match random.below(if kinds.vlans { 4 } else { 2 }) {
        0 => {}
        1 => {
            let bridged = random.chance(70);
            add(format!("n{short}"), network(random, bridged, used));
        }
        _ => {
            for _ in 0..=random.below(3) {
                let tag = random.pick(&[0, 10, 20, 30, 4094]);
                let bridged = random.chance(60);
                let mut net = network(random, bridged, used);
                net["vlan"] = json!(tag);
                add(format!("n{short}v{tag}"), net);
            }
            if random.chance(30) {
                add(format!("n{short}"), network(random, false, used));
            }
        }
    }
}

fn network(random: &mut Random, bridged: bool, used: &mut Used) -> Value {
    let mtu = random.pick(&[1500, 1500, 1500, 9000, 2000, 1400, 1280, 600]);
    let mut net = json!({ "bridged": bridged, "mtu": mtu });
    if bridged {
        net["stp"] = json!(random.chance(20));
        if random.chance(25) {
            net["custom"] = json!({ "bridge_opts": random.pick(&["hello_time=300", "ageing_time=6000 multicast_snooping=0", "priority=4096", "max_age=1500 hello_time=150"]) });
        }
    }
    // Several networks may have addresses of one subnet, and the same ones at different times.
    let host = 1 + random.below(200);
    if random.chance(50) {
        net["ipaddr"] = json!(format!("10.{}.0.{host}", random.below(4)));
        net["prefix"] = json!(random.pick(&[24, 24, 16, 30]));
        let address = net["ipaddr"].as_str().unwrap_or_default().to_owned();
        let front = address.rsplit_once('.').map_or("", |(front, _)| front);
        // What came to one address is answered through one gateway.
        if net["prefix"] != json!(30) && random.chance(60) && used.with_gateway.insert(address.clone()) {
            net["gateway"] = json!(format!("{front}.254"));
            if !used.default && random.chance(70) {
                net["defaultRoute"] = json!(true);
                used.default = true;
                let servers = [json!(["192.0.2.53"]), json!([]), json!(["2001:db8::53", "fe80::53%lo"])];
                if let Some(servers) = servers.get(host % 4) {
                    net["nameservers"] = servers.clone();
                }
            }
        }
    }
    if mtu >= 1280 && random.chance(30) {
        net["ipv6addr"] = json!(format!("fd00:{}::{host:x}/64", random.below(4)));
        if net.get("defaultRoute").is_some() && random.chance(50) {
            let front = net["ipv6addr"]
                .as_str()
                .and_then(|a| a.split_once("::"))
                .map(|(front, _)| front.to_owned())
                .unwrap_or_default();
            net["ipv6gateway"] = json!(format!("{front}::ffff"));
        }
    }
    if random.chance(35) && used.shapes {
        net["hostQos"] = json!({ "out": curves(random) });
    }
    net
}

fn curves(random: &mut Random) -> Value {
    let mut out = json!({ "ls": { "m2": random.pick(&[100, 5_000_000]) } });
    if random.chance(30) {
        out["ul"] = json!({ "m1": 1_000_000, "d": random.below(2000), "m2": 80_000_001 });
    }
    if random.chance(30) {
        out["rt"] = json!({ "m2": random.pick(&["8000", "1000000"]) });
    }
    out
}

fn bond_options(random: &mut Random) -> &'static str {
    random.pick(&[
        "mode=4 miimon=100",
        "mode=4 lacp_rate=1",
        "mode=802.3ad lacp_rate=fast xmit_hash_policy=layer2+3",
        "mode=1 miimon=100",
        "mode=1 miimon=150 updelay=300",
        "miimon=100 mode=balance-rr",
        "mode=2 xmit_hash_policy=layer3+4 miimon=50",
        "mode=1 arp_interval=200 arp_ip_target=10.0.0.250",
        "mode=5",
        "mode=6 miimon=200",
        "mode=3",
    ])
}
