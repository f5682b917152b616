//! The live picture beside what other tools see, while other tools change the host.
//!
//! `ip`, `bridge`, `tc`, `ethtool`, teamd, Open vSwitch and files in sysfs make random changes;
//! `ip`, `bridge`, `tc`, `teamnl` and sysfs say what came of them, field by field. Our own reader's word
//! counts for nothing here; it has tests of its own beside it in `src/netinfo/`.

mod bonds;
mod changes;
mod facts;
mod masses;
mod moved;
mod silence;
mod stage;
mod teams;
mod tools;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use vdsm_model::netinfo::{Port, SeenKind, SeenLink};

use crate::look::ip;
use changes::{By, Change, changes, make, switching};
use stage::{Noise, Switch, Team, agrees, agrees_wholly, listen, staged, until};

/// A source of random changes, the same at each run; `SEED` in the environment gives another.
fn runner(seed: u8) -> TestRunner {
    let seed = std::env::var("SEED").map_or(seed, |seed| seed.parse().unwrap());
    println!("SEED={seed}");
    TestRunner::new_with_rng(Config::default(), TestRng::from_seed(RngAlgorithm::ChaCha, &[seed; 32]))
}

/// One line for each change.
fn told(changes: &[Change]) -> String {
    changes.iter().map(|(by, line)| format!("{by:?}: {line}\n")).collect()
}

/// What is there in the beginning.
const HOST: &str = "link add d0 type bridge
link add d1 type dummy
link add d2 type dummy
link add d3 type bond mode active-backup miimon 100
link add d4 type veth peer name d5
link add d6 link d1 type vlan id 7
link set d1 master d3
link set d2 master d3
link set d4 master d0
link set d0 up
link set d1 up
link set d2 up
link set d3 up
link set d4 up
link set d5 up
addr add 10.0.0.1/24 dev d0
addr add 2001:db8::1/64 dev d0 nodad
tuntap add tap0 mode tap
link set tap0 up
";

fn rounds() -> usize {
    std::env::var("ROUNDS").map_or(40, |rounds| rounds.parse().unwrap())
}

#[test]
fn random_changes_by_other_tools_are_followed() {
    staged(&["teamd", "teamnl", "ethtool"], || {
        let mut runner = runner(1);
        ip(HOST);
        let (live, _watching) = listen(None);
        let _team = Team::start("tm0");
        let changes = prop::collection::vec(changes(), 1..8);
        // A guard, as much as the first change: whatever the source of the random ones holds, one is done.
        let mut done: Vec<Change> = vec![(By::Teamnl, "tm0 setoption mode roundrobin".to_owned())];
        assert_eq!(make(&done, None), 1, "teamnl changes nothing");
        agrees(&live, "a team's mode");
        for round in 0..rounds() {
            let lines = changes.new_tree(&mut runner).unwrap().current().concat();
            make(&lines, None);
            done.extend(lines);
            let from = done.len().saturating_sub(60);
            agrees(&live, &format!("round {round}, after\n{}", told(&done[from..])));
        }
        assert_eq!(live.readings(), 1, "nothing was lost, and nothing read anew");
        agrees_wholly(&live, "read anew");
    });
}

#[test]
fn the_picture_agrees_while_others_keep_changing_other_links() {
    staged(&["ovs-vsctl", "ovs-vswitchd", "ovsdb-server", "teamnl"], || {
        let mut runner = runner(2);
        let (live, _watching) = listen(None);
        let switch = Switch::start();
        let changes = (prop::collection::vec(changes(), 1..4), prop::collection::vec(switching(), 1..4));
        let noise = Noise::begin();
        for round in 0..rounds() / 4 {
            let (lines, switching) = changes.new_tree(&mut runner).unwrap().current();
            let lines = lines.concat();
            make(&lines, None);
            make(&switching, Some(&switch));
            agrees(&live, &format!("round {round}, after\n{}{}", told(&lines), told(&switching)));
        }
        ip("link add sw0 type dummy\nlink set sw0 up\n");
        switch.change("--may-exist add-br o2 -- add-port o2 sw0");
        until("Open vSwitch is in the picture", || {
            let seen = live.settled().unwrap();
            let kind = |link: &SeenLink| matches!(&link.kind, SeenKind::Other(word) if word == "openvswitch");
            let port = |link: &SeenLink| matches!(&link.details.port, Some(Port::Other(word)) if word == "openvswitch");
            let system = seen.links().any(|link| link.name.as_str() == "ovs-system" && kind(link));
            let ports = seen.links().any(|link| link.name.as_str() == "sw0" && port(link));
            if system && ports { Ok(()) } else { Err(format!("ovs-system: {system}, a port: {ports}")) }
        });
        agrees(&live, "with a port of Open vSwitch");
        assert!(noise.end() > 10, "it was quiet");
        agrees_wholly(&live, "in the end");
    });
}
