//! `custom.ethtool_opts` on a host in memory: it arrives, a second time changes nothing, what is
//! not named stays, and from any interruption it finds back.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use vdsm_configurators::iproute2::Action;
use vdsm_model::config::NetConfig;
use vdsm_model::ethtool_options::{Group, Key, Settings, Tuned};
use vdsm_model::problem::Code;
use vdsm_net::restore;
use vdsm_net::transaction::SetupError;

use crate::world::{NICS, World, dev};

const GROUPS: [Group; 6] =
    [Group::Features, Group::Modes, Group::Channels, Group::Rings, Group::Coalesce, Group::Pause];

/// All settings of all nics.
fn settings(world: &World) -> BTreeMap<String, Settings> {
    let all: Tuned = NICS.iter().map(|nic| (dev(nic), GROUPS.into())).collect();
    world.sim.settings(&all).into_iter().map(|(nic, seen)| (nic.to_string(), seen.values)).collect()
}

/// What differs between two moments, as `dummy_0 -G rx 256 -> 512`.
fn differing(before: &BTreeMap<String, Settings>, after: &BTreeMap<String, Settings>) -> Vec<String> {
    let of = |nic: &String, was: &Settings| {
        let changed = after[nic].iter().filter(|(key, value)| was.get(key) != Some(value));
        changed.map(|(key, value)| format!("{nic} {key} {}", key.shown(*value))).collect::<Vec<_>>()
    };
    before.iter().flat_map(|(nic, was)| of(nic, was)).collect()
}

fn tuned(base: &str, device: &str, options: &str) -> Value {
    json!({ base: device, "custom": { "ethtool_opts": options } })
}

fn stranger(world: &mut World, nic: &str, group: Group, name: &str, value: u32) {
    let settings = Settings::from([(Key::new(group, name).unwrap(), value)]);
    world.act(Action::Ethtool { name: dev(nic), group, settings });
}

#[track_caller]
fn refused(world: &mut World, networks: Value, bonds: Value, expected: &[&str]) {
    let before = (world.text(), settings(world));
    match world.setup(networks, bonds) {
        Err(SetupError::Refused(problems)) => {
            assert_eq!(problems.code(), Code::BadParams);
            assert_eq!(problems.all().iter().map(ToString::to_string).collect::<Vec<_>>(), expected);
        }
        other => panic!("{:?}", other.map(|done| done.plan.to_string())),
    }
    assert_eq!((world.text(), settings(world)), before);
}

#[test]
fn only_what_is_named_changes_and_it_stays_when_it_is_named_no_more() {
    let mut world = World::new();
    stranger(&mut world, "dummy_0", Group::Rings, "tx", 1024);
    let before = settings(&world);
    let n = json!({ "n": tuned("nic", "dummy_0", "--offload dummy_0 tso off -G * rx 512 --coalesce * rx-usecs 14") });
    let (plan, commands) = world.explain(n.clone(), json!({}));
    assert!(plan.contains("tune nic dummy_0: -K tx-tcp-segmentation on -> off, -K tx-tcp6-segmentation on -> off, -G rx 256 -> 512, -C rx-usecs 3 -> 14\n"), "{plan}");
    let told: Vec<&String> = commands.iter().filter(|c| c.starts_with("ethtool")).collect();
    assert_eq!(
        told,
        [
            "ethtool -K dummy_0 tx-tcp-segmentation off tx-tcp6-segmentation off",
            "ethtool -G dummy_0 rx 512",
            "ethtool -C dummy_0 rx-usecs 14"
        ]
    );
    world.set(n.clone(), json!({}));
    let expected = [
        "dummy_0 -K tx-tcp-segmentation off",
        "dummy_0 -K tx-tcp6-segmentation off",
        "dummy_0 -G rx 512",
        "dummy_0 -C rx-usecs 14",
    ];
    assert_eq!(differing(&before, &settings(&world)), expected);
    // A stranger's change of what is not named is no business of ours, one of what is named is.
    stranger(&mut world, "dummy_0", Group::Coalesce, "tx-usecs", 99);
    world.set(n.clone(), json!({}));
    stranger(&mut world, "dummy_0", Group::Rings, "rx", 100);
    assert_eq!(world.set(n, json!({})).plan.to_string(), "tune nic dummy_0: -G rx 100 -> 512\n");
    let after = settings(&world);
    world.set(json!({ "n": { "nic": "dummy_0" } }), json!({}));
    world.set(json!({ "n": { "remove": true } }), json!({}));
    assert_eq!(settings(&world), after);
}

#[test]
fn a_star_is_each_slave_of_the_bond_and_one_that_joins_later_is_tuned_too() {
    let bond = |nics: Value| json!({ "bond0": { "nics": nics } });
    let mut world = World::new();
    let before = settings(&world);
    world.set(
        json!({ "n": tuned("bonding", "bond0", "-G * rx 300 -G dummy_1 tx 400") }),
        bond(json!(["dummy_0", "dummy_1"])),
    );
    assert_eq!(differing(&before, &settings(&world)), ["dummy_0 -G rx 300", "dummy_1 -G rx 300", "dummy_1 -G tx 400"]);
    let done = world.set(json!({}), bond(json!(["dummy_0", "dummy_1", "dummy_2"])));
    assert!(done.plan.to_string().contains("tune nic dummy_2: -G rx 256 -> 300"), "{}", done.plan);
    refused(
        &mut world,
        json!({ "n": tuned("bonding", "bond0", "-G bond0 rx 300 -G dummy_3 rx 300") }),
        json!({}),
        &[
            "network 'n': custom.ethtool_opts: 'bond0' is no nic of this network",
            "network 'n': custom.ethtool_opts: 'dummy_3' is no nic of this network",
        ],
    );
}

#[test]
fn what_cannot_be_had_is_refused_with_all_else_that_is_wrong() {
    let mut world = World::new();
    refused(
        &mut world,
        json!({ "n": tuned("nic", "dummy_0", "-K * gor off -X * equal 2") }),
        json!({}),
        &[
            "network 'n': custom.ethtool_opts: 'gor' is no setting of '-K'; did you mean 'gro'?",
            "network 'n': custom.ethtool_opts: ethtool's '-X' cannot be had here; what can is -K (--offload, --features), -s (--change), -L (--set-channels), -G (--set-ring), -C (--coalesce) and -A (--pause)",
        ],
    );
    refused(
        &mut world,
        json!({ "n": tuned("nic", "dummy_0", "-K * lro on -A * rx off -C * tx-frames 3") }),
        json!({}),
        &[
            "network 'n': custom.ethtool_opts: dummy_0: its driver does not let -K large-receive-offload be changed to on",
            "network 'n': custom.ethtool_opts: dummy_0: its driver has no -C tx-frames",
            "network 'n': custom.ethtool_opts: dummy_0: its driver has no '-A': Operation not supported on transport endpoint (EOPNOTSUPP)",
        ],
    );
    let vlan = |tag: u16, rx: u16| json!({ "nic": "dummy_0", "vlan": tag, "custom": { "ethtool_opts": format!("-G * rx {rx}") } });
    refused(
        &mut world,
        json!({ "a": vlan(5, 300), "b": vlan(6, 301) }),
        json!({}),
        &["network 'b': custom.ethtool_opts: '-G rx' of dummy_0 is to be 301, but network 'a' says 300"],
    );
}

#[test]
fn from_any_interruption_every_setting_is_as_it_was() {
    let mut world = World::new();
    stranger(&mut world, "dummy_1", Group::Features, "rx-gro", 0);
    let before = (world.text(), settings(&world));
    let networks =
        json!({ "n": tuned("bonding", "bond0", "-K * gro on tx off -G * rx 300 -C * rx-usecs 1 -L * combined 2") });
    let bonds = json!({ "bond0": { "nics": ["dummy_0", "dummy_1"] } });
    let mut failed = 0;
    for failing in 0.. {
        world.fuse.after(failing);
        let outcome = world.setup(networks.clone(), bonds.clone());
        if world.fuse.is_set() || outcome.is_ok() {
            world.fuse.after(usize::MAX);
            outcome.unwrap();
            break;
        }
        assert!(matches!(outcome, Err(SetupError::RolledBack { .. })), "failing at {failing}");
        assert_eq!((world.text(), settings(&world)), before, "failing at {failing}");
        failed += 1;
    }
    assert!(failed > 8, "each of two nics has four messages");
}

#[test]
fn a_value_the_driver_refuses_brings_everything_back() {
    let mut world = World::new();
    let before = (world.text(), settings(&world));
    let error =
        world.setup(json!({ "n": tuned("nic", "dummy_0", "-K * gro off -G * rx 5000") }), json!({})).unwrap_err();
    let text = vdsm_net::transaction::chain(&error);
    assert!(text.contains("ethtool -G dummy_0 rx 5000") && text.contains("exceeds maximum"), "{text}");
    assert!(matches!(error, SetupError::RolledBack { .. }), "{text}");
    assert_eq!((world.text(), settings(&world)), before);
}

#[test]
fn what_is_stored_and_cannot_be_said_is_left_out_rather_than_the_network() {
    let stored = |options: &str| BTreeMap::from([("n".to_owned(), tuned("nic", "dummy_0", options))]);
    let (config, problems) = NetConfig::from_stored(&stored("--set-eee * eee off"), &BTreeMap::new());
    assert_eq!(config.networks.len(), 1);
    assert!(problems[0].to_string().ends_with("what is stored is left out"), "{problems:?}");
    // What is said of slaves that are missing waits for them.
    let bonded = BTreeMap::from([("n".to_owned(), tuned("bonding", "bond0", "-G dummy_9 rx 5 -G * tx 6"))]);
    let bonds = BTreeMap::from([("bond0".to_owned(), json!({ "nics": ["dummy_0", "dummy_9"], "options": "mode=1" }))]);
    let (config, _) = NetConfig::from_stored(&bonded, &bonds);
    let world = World::new();
    let possible = restore::possible(&config, &world.sim.look(), &world.policy);
    let options = &possible.config.networks.values().next().unwrap().ethtool_options;
    assert_eq!(options.devices().count(), 0);
    assert!(!options.is_empty());
}
