//! The same words as the disk has them, and anything at all.

use super::*;

// ---- The disk.

fn stored_files(folder: &str) -> Stored {
    let dir = format!("{}/tests/data/stored/{folder}", env!("CARGO_MANIFEST_DIR"));
    let files = std::fs::read_dir(dir).unwrap().map(|f| f.unwrap().path());
    files
        .map(|path| {
            (
                path.file_name().unwrap().to_str().unwrap().to_owned(),
                serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap(),
            )
        })
        .collect()
}

/// Copied from a host that ran the original.
#[test]
fn the_originals_files_are_read_and_written_as_they_were() {
    let (nets, bonds) = (stored_files("nets"), stored_files("bonds"));
    assert_eq!((nets.len(), bonds.len()), (3, 1));
    let (config, problems) = NetConfig::from_stored(&nets, &bonds);
    assert_eq!(problems, []);
    assert_eq!(config.to_stored(), (nets, bonds));
    assert_eq!(config.networks.get(&net("vm10")).unwrap().qos["hostQos"]["out"]["ls"]["m2"], 5_000_000);
    assert_eq!(config.default_route(), Some(&net("mgmt")));
}

/// vdsm-facts 5.4: booleans and numbers as text, upper-case keys of ifcfg files.
#[test]
fn files_of_the_first_versions_are_read() {
    let nets = Stored::from([
        (
            "ovirtmgmt".to_owned(),
            json!({
                "nic": "", "bonding": "bond1", "vlan": "100", "bridged": "True", "STP": "yes", "mtu": "9000", "defaultRoute": "True", "bootproto": "none", "qosInbound": "", "qosOutbound": "",
                "ipaddr": "192.0.2.10", "netmask": "255.255.255.0", "gateway": "192.0.2.1", "HOTPLUG": "no", "NM_CONTROLLED": "no", "BOOTPROTO": "none", "DELAY": "0", "blockingdhcp": "true",
            }),
        ),
        (
            "plain".to_owned(),
            json!({ "nic": "em1", "bridged": "False", "STP": "no", "mtu": "1500", "defaultRoute": "False" }),
        ),
    ]);
    let bonds = Stored::from([
        ("bond1".to_owned(), json!({ "nics": ["em3", "em2"], "options": "mode=802.3ad miimon=150" })),
        ("bond2".to_owned(), json!({ "nics": ["em4"] })),
    ]);
    let (config, problems) = NetConfig::from_stored(&nets, &bonds);
    assert_eq!(problems, []);
    let (nets, bonds) = config.to_stored();
    assert_eq!(
        nets["ovirtmgmt"],
        json!({
            "bonding": "bond1", "vlan": 100, "bridged": true, "switch": "legacy", "ipaddr": "192.0.2.10", "netmask": "255.255.255.0", "gateway": "192.0.2.1",
            "defaultRoute": true, "mtu": 9000, "stp": true, "bootproto": "none", "dhcpv6": false, "ipv6autoconf": false,
        })
    );
    assert_eq!(
        nets["plain"],
        json!({ "nic": "em1", "bridged": false, "switch": "legacy", "defaultRoute": false, "mtu": 1500, "bootproto": "none", "dhcpv6": false, "ipv6autoconf": false, "nameservers": [] })
    );
    assert_eq!(
        bonds["bond1"],
        json!({ "options": "mode=802.3ad miimon=150", "nics": ["em2", "em3"], "switch": "legacy" })
    );
    assert_eq!(bonds["bond2"], json!({ "nics": ["em4"], "switch": "legacy" }));
}

#[test]
fn what_is_stored_wrong_is_left_out_and_told() {
    let nets = Stored::from([
        ("good".to_owned(), json!({ "nic": "em1" })),
        ("bad".to_owned(), json!({ "nic": "em2", "mtu": "big" })),
        ("a/b".to_owned(), json!({ "nic": "em3" })),
    ]);
    let (config, problems) = NetConfig::from_stored(&nets, &Stored::new());
    assert_eq!(config.networks.keys().collect::<Vec<_>>(), [&net("good")]);
    let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "network 'a/b': this is no name for it: it contains '/'",
            "network 'bad': mtu is \"big\", but it must be a number of bytes from 68 to 65535"
        ]
    );
}

#[test]
fn what_is_stored_wrong_of_a_bond_is_left_out_as_well() {
    let bonds = Stored::from([
        ("bond1".to_owned(), json!({ "nics": ["em1"], "options": "mode=9" })),
        ("bond2".to_owned(), json!({ "nics": ["em2"] })),
    ]);
    let (config, problems) = NetConfig::from_stored(&Stored::new(), &bonds);
    assert_eq!(problems.len(), 1);
    assert_eq!(
        config.bonds.keys().collect::<Vec<_>>(),
        [&dev("bond2")],
        "rather than a bond of mode 0 that nobody asked for"
    );
}

#[test]
fn a_configuration_comes_back_from_the_disk_as_it_was() {
    let nics = NICS.map(str::to_owned);
    for seed in 0..500 {
        let wanted = config(&mut Random(seed), &nics, Kinds { bonds: true, vlans: true });
        let (nets, bonds) = wanted.to_stored();
        let (read, problems) = NetConfig::from_stored(&nets, &bonds);
        assert_eq!((&read, problems.as_slice()), (&wanted, [].as_slice()), "seed {seed}");
        assert_eq!(read.to_stored(), (nets, bonds), "seed {seed}");
    }
}

#[test]
fn every_attribute_comes_back_from_the_disk() {
    let full = json!({
        "nic": "dummy_0", "vlan": 0, "bridged": true, "mtu": 9000, "stp": true, "bootproto": "none", "ipaddr": "192.0.2.10", "prefix": 24, "gateway": "192.0.2.1", "defaultRoute": true,
        "ipv6addr": "2001:db8::1/128", "ipv6gateway": "fe80::1", "nameservers": ["192.0.2.53", "fe80::1%eth0"], "switch": "ovs", "hostQos": { "out": { "ls": { "m2": 1 } } }, "qosInbound": { "average": 1 }, "qosOutbound": { "peak": 2 },
        "custom": { "bridge_opts": "priority=1", "ethtool_opts": "-K * gro off", "default_route": "true" },
    });
    for attributes in [
        full,
        json!({ "bonding": "bond1", "bridged": false, "bootproto": "dhcp", "dhcpv6": true, "ipv6autoconf": true }),
    ] {
        let config = NetConfig { networks: [(net("n"), read(attributes))].into(), ..NetConfig::default() };
        let (nets, bonds) = config.to_stored();
        assert_eq!(NetConfig::from_stored(&nets, &bonds), (config, vec![]));
    }
}

// ---- Anything at all.

/// Names and values as they might be met, right and wrong.
fn scalar() -> impl Strategy<Value = Value> {
    const TEXTS: &[&str] = &[
        "",
        " ",
        "true",
        "no",
        "on",
        "1",
        "-1",
        "0",
        "4094",
        "4095",
        "1500",
        "67",
        "65536",
        "dummy_0",
        "dummy_1",
        "dummy_9",
        "bond1",
        "bonda",
        "legacy",
        "ovs",
        "dhcp",
        "none",
        "192.0.2.10",
        "255.255.255.0",
        "255.0.255.0",
        "::",
        "::1/64",
        "fe80::1%x",
        "mode=4",
        "mode=9 x",
        "hello_time=99",
        "52:54:00:00:00:01",
        "\u{0}",
        "ä",
    ];
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        (0i64..5000).prop_map(Value::from),
        prop::sample::select(TEXTS).prop_map(Value::from),
        ".{0,20}".prop_map(Value::from),
    ]
}

fn anything() -> impl Strategy<Value = Value> {
    scalar().prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((key(), inner), 0..4).prop_map(object)
        ]
    })
}

fn object(entries: Vec<(String, Value)>) -> Value {
    Value::Object(Map::from_iter(entries))
}

fn key() -> impl Strategy<Value = String> {
    const KEYS: &[&str] = &["out", "ls", "m2", "bridge_opts", "default_route", "ovs", "ethtool_opts"];
    prop_oneof![prop::sample::select(KEYS).prop_map(str::to_owned), ".{0,8}"]
}

fn attributes(keys: &'static [&'static str]) -> impl Strategy<Value = Value> {
    let value =
        prop_oneof![4 => scalar(), 1 => prop::collection::vec(scalar(), 0..3).prop_map(Value::from), 1 => anything()];
    let entry = (prop_oneof![8 => prop::sample::select(keys).prop_map(str::to_owned), 1 => key()], value);
    prop_oneof![12 => prop::collection::vec(entry, 0..6).prop_map(object), 1 => anything()]
}

fn entries(names: &'static [&'static str], keys: &'static [&'static str]) -> impl Strategy<Value = Value> {
    let name = prop_oneof![12 => prop::sample::select(names).prop_map(str::to_owned), 1 => ".{0,20}"];
    prop_oneof![12 => prop::collection::vec((name, attributes(keys)), 0..4).prop_map(object), 1 => anything()]
}

const NETWORK_KEYS: &[&str] = &[
    "nic",
    "nic",
    "nic",
    "bonding",
    "bonding",
    "vlan",
    "vlan",
    "bridged",
    "mtu",
    "stp",
    "STP",
    "bootproto",
    "ipaddr",
    "netmask",
    "prefix",
    "gateway",
    "defaultRoute",
    "ipv6addr",
    "ipv6gateway",
    "ipv6autoconf",
    "dhcpv6",
    "blockingdhcp",
    "nameservers",
    "switch",
    "hostQos",
    "qosInbound",
    "custom",
    "remove",
];
const BOND_KEYS: &[&str] = &["nics", "nics", "nics", "options", "hwaddr", "switch", "remove"];
const OPTION_KEYS: &[&str] = &["connectivityCheck", "connectivityTimeout", "commitOnSuccess", "force", "reason"];

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Reading, judging, planning and printing: whatever comes, it is taken or refused.
    #[test]
    fn no_request_makes_anybody_panic(
        networks in entries(&["n", "m", "mgmt", "bond1", "dummy_0", "a.b"], NETWORK_KEYS),
        bonds in entries(&["bond1", "bond2", "bond9", "bonda"], BOND_KEYS),
        options in attributes(OPTION_KEYS),
    ) {
        let world = busy();
        for unknown in [UnknownKeys::Refuse, UnknownKeys::Warn, UnknownKeys::Ignore] {
            let request = Request::read(&networks, &bonds, &options, unknown);
            match Desired::build(&world.running, &request, &world.sim.look(), &policy()) {
                Ok(wish) => {
                    prop_assert!(request.problems.is_empty());
                    let _ = Plan::between(&wish.prior, &wish.graph).to_string();
                }
                Err(problems) => prop_assert!(!problems.all().is_empty() && !problems.to_string().is_empty()),
            }
        }
        let (Value::Object(nets), Value::Object(bonds)) = (networks, bonds) else { return Ok(()) };
        let (config, problems) = NetConfig::from_stored(&nets.into_iter().collect(), &bonds.into_iter().collect());
        if !problems.is_empty() {
            return Ok(());
        }
        let (nets, bonds) = config.to_stored();
        let (again, problems) = NetConfig::from_stored(&nets, &bonds);
        prop_assert_eq!(problems, vec![]);
        prop_assert_eq!(again.to_stored(), (nets, bonds));
    }
}

/// A host on which something runs already.
fn busy() -> World {
    let mut world = World::with(
        json!({ "mgmt": { "nic": "dummy_0", "defaultRoute": true, "ipaddr": "192.0.2.1", "prefix": 24 }, "n": { "bonding": "bond1", "vlan": 5 } }),
        json!({ "bond1": { "nics": ["dummy_1"] } }),
    );
    world.sim.plug_tap("vnet0", "mgmt");
    world.add_bond("bond9", "mode=1", &["dummy_2"]);
    world
}
