//! The engine over the simulated host, with its files in a directory of the test's own: what is on
//! the disk after what, what a reboot brings back, and who waits for whom.

mod guard;
mod history;
mod interrupted;
mod trouble;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use vdsm_configurators::fault::Fuse;
use vdsm_configurators::iproute2::{Action, Kernel};
use vdsm_configurators::sim::Sim;
use vdsm_configurators::{Begin, RunError};
use vdsm_model::netinfo::NetInfo;
use vdsm_model::problem::Code;
use vdsm_model::request::{Request, UnknownKeys};
use vdsm_net::conf::Settings;
use vdsm_net::engine::{Engine, EngineError, Restored};
use vdsm_net::host::Host;
use vdsm_net::restore::Omission;
use vdsm_net::transaction::{Cause, SetupError, chain};

use crate::common::{host, state};
use crate::world::{NICS, dev, net};

/// A host with its disk. Rebooted, it has its nics and its disk, and nothing of `/run`.
struct Machine {
    disk: TempDir,
    sim: Sim,
    fuse: Fuse,
    engine: Arc<Engine>,
}

fn request(networks: Value, bonds: Value, options: Value) -> Request {
    let request = Request::read(&networks, &bonds, &options, UnknownKeys::Refuse);
    assert_eq!(request.problems, []);
    request
}

fn unchecked(networks: Value, bonds: Value) -> Request {
    request(networks, bonds, json!({ "connectivityCheck": false }))
}

impl Machine {
    fn new() -> Machine {
        let (disk, sim, fuse) = (TempDir::new().unwrap(), Sim::with_nics(&NICS), Fuse::never());
        let engine = open(disk.path(), &sim, host(sim.clone(), sim.clone(), &fuse));
        Machine { disk, sim, fuse, engine }
    }

    /// With these networks and bonds, set by the engine.
    fn with(networks: Value, bonds: Value) -> Machine {
        let machine = Machine::new();
        machine.set(networks, bonds);
        machine
    }

    fn set(&self, networks: Value, bonds: Value) {
        self.engine.setup(&unchecked(networks, bonds)).unwrap_or_else(|e| panic!("{}", chain(&e)));
    }

    /// The same disk, other nics perhaps.
    fn reboot(self, nics: &[&str]) -> Machine {
        let Machine { disk, .. } = self;
        if disk.path().join("run").exists() {
            fs::remove_dir_all(disk.path().join("run")).unwrap();
        }
        let (sim, fuse) = (Sim::with_nics(nics), Fuse::never());
        let engine = open(disk.path(), &sim, host(sim.clone(), sim.clone(), &fuse));
        Machine { disk, sim, fuse, engine }
    }

    /// The daemon alone dies and comes back.
    fn restart(self) -> Machine {
        let Machine { disk, sim, fuse, .. } = self;
        let engine = open(disk.path(), &sim, host(sim.clone(), sim.clone(), &fuse));
        Machine { disk, sim, fuse, engine }
    }

    fn restore(&self) -> Restored {
        self.engine.restore(false).unwrap_or_else(|e| panic!("{}", chain(&e)))
    }

    fn text(&self) -> String {
        state::text(&self.sim.look())
    }

    fn index(&self, name: &str) -> u32 {
        self.sim.look().link(&dev(name)).unwrap_or_else(|| panic!("there is no {name}")).index
    }

    fn has(&self, name: &str) -> bool {
        self.sim.look().link(&dev(name)).is_some()
    }

    fn running(&self) -> PathBuf {
        self.disk.path().join("run/netconf")
    }

    fn persistent(&self) -> PathBuf {
        self.disk.path().join("lib/persistence/netconf")
    }
}

fn settings(disk: &Path) -> Settings {
    Settings { run_dir: disk.join("run"), lib_dir: disk.join("lib"), ..Settings::default() }
}

fn open(disk: &Path, sim: &Sim, changing: Host) -> Arc<Engine> {
    let reader = host(sim.clone(), sim.clone(), &Fuse::never());
    Arc::new(Engine::with(changing, reader, &settings(disk)).unwrap())
}

/// The files of a configuration by folder and name.
fn files(netconf: &Path) -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    for folder in ["nets", "bonds"] {
        for file in fs::read_dir(netconf.join(folder)).into_iter().flatten() {
            let path = file.unwrap().path();
            files.insert(
                format!("{folder}/{}", path.file_name().unwrap().to_str().unwrap()),
                fs::read_to_string(path).unwrap(),
            );
        }
    }
    files
}

fn names(netconf: &Path) -> Vec<String> {
    files(netconf).into_keys().collect()
}

/// As somebody who was there before us would have stored it.
fn store(machine: &Machine, file: &str, content: &str) {
    let path = machine.persistent().join(file);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

fn omitted(name: &str, reason: &str) -> Omission {
    Omission { name: name.to_owned(), reason: reason.to_owned() }
}

fn two_networks() -> (Value, Value) {
    let networks = json!({
        "mgmt": { "nic": "dummy_0", "ipaddr": "192.0.2.10", "prefix": "24", "gateway": "192.0.2.1", "defaultRoute": true },
        "vm10": { "bonding": "bond1", "vlan": "10", "mtu": 9000, "STP": "yes" },
    });
    (networks, json!({ "bond1": { "nics": ["dummy_2", "dummy_1"], "options": "mode=4 lacp_rate=1" } }))
}

fn machine() -> Machine {
    let (networks, bonds) = two_networks();
    Machine::with(networks, bonds)
}

// ---- The disk.

#[test]
fn the_running_configuration_is_on_disk_in_the_originals_form() {
    let machine = machine();
    let files = files(&machine.running());
    assert_eq!(files.keys().collect::<Vec<_>>(), ["bonds/bond1", "nets/mgmt", "nets/vm10"]);
    let lines =
        |rows: &[&str]| format!("{{\n{}\n}}", rows.iter().map(|r| format!("    {r}")).collect::<Vec<_>>().join("\n"));
    assert_eq!(
        files["bonds/bond1"],
        lines(&[
            r#""options": "mode=4 lacp_rate=1","#,
            r#""nics": ["#,
            r#"    "dummy_1","#,
            r#"    "dummy_2""#,
            "],",
            r#""switch": "legacy""#
        ])
    );
    assert_eq!(
        files["nets/vm10"],
        lines(&[
            r#""bonding": "bond1","#,
            r#""vlan": 10,"#,
            r#""bridged": true,"#,
            r#""switch": "legacy","#,
            r#""defaultRoute": false,"#,
            r#""mtu": 9000,"#,
            r#""stp": true,"#,
            r#""bootproto": "none","#,
            r#""dhcpv6": false,"#,
            r#""ipv6autoconf": false,"#,
            r#""nameservers": []"#,
        ])
    );
    let mgmt: Value = serde_json::from_str(&files["nets/mgmt"]).unwrap();
    assert_eq!(
        (&mgmt["netmask"], &mgmt["prefix"], &mgmt["defaultRoute"]),
        (&json!("255.255.255.0"), &Value::Null, &json!(true))
    );
    assert!(fs::symlink_metadata(machine.running()).unwrap().is_symlink());

    machine.set(json!({ "vm10": { "remove": true } }), json!({}));
    assert_eq!(names(&machine.running()), ["bonds/bond1", "nets/mgmt"]);
}

#[test]
fn what_is_made_safe_is_the_running_configuration() {
    let machine = machine();
    assert!(!machine.persistent().exists() && machine.engine.is_dirty());
    machine.engine.set_safe().unwrap();
    assert_eq!(files(&machine.persistent()), files(&machine.running()));
    assert!(!machine.engine.is_dirty());
    machine.set(json!({ "mgmt": { "remove": true } }), json!({}));
    assert!(machine.engine.is_dirty());
    assert_eq!(names(&machine.persistent()), ["bonds/bond1", "nets/mgmt", "nets/vm10"]);
    machine.engine.set_safe().unwrap();
    assert_eq!(names(&machine.persistent()), ["bonds/bond1", "nets/vm10"]);
}

#[test]
fn what_a_boot_would_lose_is_unsaved_whatever_was_asked() {
    let machine = machine();
    let engine = &machine.engine;
    assert!(engine.is_unsaved());
    engine.set_safe().unwrap();
    assert!(!engine.is_unsaved());
    // Refused, rolled back, and asked for again as it is: the original calls all of them dirty.
    let wrong = unchecked(json!({ "mgmt": { "nic": "nowhere" } }), json!({}));
    engine.setup(&wrong).map(|_| ()).unwrap_err();
    machine.fuse.after(3);
    engine.setup(&unchecked(json!({ "mgmt": { "nic": "dummy_3" } }), json!({}))).map(|_| ()).unwrap_err();
    machine.fuse.after(usize::MAX);
    let (networks, bonds) = two_networks();
    machine.set(networks, bonds);
    assert!(engine.is_dirty() && !engine.is_unsaved());
    // A daemon that begins anew was asked for nothing, and what runs is not what is saved.
    machine.set(json!({ "mgmt": { "remove": true } }), json!({}));
    assert!(machine.engine.is_unsaved());
    let machine = machine.restart();
    assert!(!machine.engine.is_dirty() && machine.engine.is_unsaved());
    let (networks, bonds) = two_networks();
    machine.set(networks, bonds);
    assert!(!machine.engine.is_unsaved(), "it is as it was saved again");
    // Boots, before and after the restore.
    let machine = machine.reboot(&NICS);
    assert!(machine.engine.is_unsaved());
    machine.restore();
    assert!(!machine.engine.is_unsaved());
    store(&machine, "nets/mgmt", "{ broken");
    assert!(machine.restart().engine.is_unsaved());
}

#[test]
fn commit_on_success_makes_the_change_safe() {
    let machine = Machine::new();
    let safe = json!({ "connectivityCheck": false, "commitOnSuccess": true });
    machine.engine.setup(&request(json!({ "n": { "nic": "dummy_0" } }), json!({}), safe.clone())).unwrap();
    assert_eq!(names(&machine.persistent()), ["nets/n"]);
    assert!(!machine.engine.is_dirty());
    // And only a success.
    machine.fuse.after(0);
    machine.engine.setup(&request(json!({ "m": { "nic": "dummy_1" } }), json!({}), safe)).map(|_| ()).unwrap_err();
    assert_eq!(
        (names(&machine.persistent()), names(&machine.running())),
        (vec!["nets/n".to_owned()], vec!["nets/n".to_owned()])
    );
    assert!(machine.engine.is_dirty());
}

#[test]
fn a_daemon_that_comes_back_knows_what_is_running() {
    let machine = machine();
    let (before, text) = ((*machine.engine.running()).clone(), machine.text());
    let machine = machine.restart();
    assert_eq!((*machine.engine.running()).clone(), before);
    assert!(!machine.engine.is_dirty());
    machine.set(json!({ "mgmt": { "nic": "dummy_3" } }), json!({}));
    assert_ne!(machine.text(), text);
}

// ---- Restore.

#[test]
fn a_reboot_brings_back_what_was_safe() {
    let machine = machine();
    machine.engine.set_safe().unwrap();
    let before = machine.text();
    machine.set(json!({ "unsafe": { "nic": "dummy_3" } }), json!({}));

    let machine = machine.reboot(&NICS);
    assert_eq!(machine.sim.look().links().count(), NICS.len());
    let restored = machine.restore();
    assert_eq!((restored.done, restored.skipped, restored.failed), (true, vec![], vec![]));
    assert_eq!(machine.text(), before);
    assert_eq!(files(&machine.running()), files(&machine.persistent()));
    assert!(!machine.has("unsafe"));
}

#[test]
fn what_was_restored_is_restored_again_only_by_force() {
    let machine = machine();
    machine.engine.set_safe().unwrap();
    let machine = machine.reboot(&NICS);
    assert!(machine.restore().done);
    machine.set(json!({ "mgmt": { "remove": true } }), json!({}));
    let text = machine.text();
    assert!(!machine.restore().done);
    assert_eq!(machine.text(), text);
    let machine = machine.restart();
    assert!(!machine.restore().done, "nor by a daemon that was restarted");
    assert!(machine.engine.restore(true).unwrap().done);
    assert!(machine.has("mgmt"));
}

#[test]
fn a_restore_changes_only_what_differs() {
    let machine = machine();
    machine.engine.set_safe().unwrap();
    let untouched = ["bond1", "bond1.10", "vm10"];
    let before = untouched.map(|name| machine.index(name));
    machine.set(json!({ "mgmt": { "nic": "dummy_3" }, "volatile": { "bonding": "bond1", "vlan": 11 } }), json!({}));
    let restored = machine.restore();
    assert_eq!((restored.done, restored.failed), (true, vec![]));
    assert_eq!(untouched.map(|name| machine.index(name)), before);
    assert_eq!(machine.sim.look().link(&dev("dummy_0")).unwrap().master, Some(dev("mgmt")));
    assert!(!machine.has("volatile") && !machine.has("bond1.11"), "what is running and not safe goes");
    assert_eq!(names(&machine.running()), ["bonds/bond1", "nets/mgmt", "nets/vm10"]);
}

#[test]
fn a_bond_that_is_running_and_not_safe_goes() {
    let machine = Machine::with(json!({ "n": { "nic": "dummy_0" } }), json!({}));
    machine.engine.set_safe().unwrap();
    machine.set(json!({ "n": { "bonding": "bond1" } }), json!({ "bond1": { "nics": ["dummy_0", "dummy_1"] } }));
    assert_eq!(machine.restore().failed, []);
    assert!(!machine.has("bond1"));
    assert_eq!(machine.sim.look().link(&dev("dummy_0")).unwrap().master, Some(dev("n")));
}

#[test]
fn a_bond_goes_on_without_the_primary_slave_that_is_missing() {
    let bonds = json!({ "bond1": { "nics": ["dummy_0", "dummy_1"], "options": "mode=1 primary=dummy_0" } });
    let machine = Machine::with(json!({ "n": { "bonding": "bond1" } }), bonds);
    machine.engine.set_safe().unwrap();
    let machine = machine.reboot(&["dummy_1"]);
    let restored = machine.restore();
    assert_eq!(restored.skipped, [omitted("bond1", "restored without missing slaves: dummy_0")]);
    assert_eq!(restored.failed, []);
    assert!(machine.has("n"));
    // It waits for the slave, with the option that names it; and nothing can be done until then.
    assert_eq!(machine.engine.running().bonds.get(&dev("bond1")).unwrap().options_text, "mode=1 primary=dummy_0");
    let checked = machine.engine.check(None, true).unwrap();
    assert!(!checked.in_sync() && checked.plan.is_empty(), "{}", checked.plan);
}

#[test]
fn what_stands_on_a_missing_nic_is_skipped_and_not_forgotten() {
    let (mut networks, mut bonds) = two_networks();
    networks["storage"] = json!({ "nic": "dummy_3", "vlan": 20, "bridged": false });
    bonds["bond2"] = json!({ "nics": ["dummy_3x"] });
    networks["far"] = json!({ "bonding": "bond2" });
    let machine = Machine::new().reboot(&["dummy_0", "dummy_1", "dummy_2", "dummy_3", "dummy_3x"]);
    machine.set(networks, bonds);
    machine.engine.set_safe().unwrap();

    let machine = machine.reboot(&["dummy_0", "dummy_1"]);
    let restored = machine.restore();
    assert_eq!(
        restored.skipped,
        [
            omitted("bond1", "restored without missing slaves: dummy_2"),
            omitted("bond2", "none of its slaves is there: dummy_3x"),
            omitted("far", "its bond bond2 is missing"),
            omitted("storage", "its nic dummy_3 is missing"),
        ]
    );
    assert_eq!(restored.failed, []);
    assert!(machine.has("mgmt") && machine.has("vm10") && !machine.has("far"));
    // A later setSafeNetworkConfig loses nothing.
    assert_eq!(files(&machine.running()), files(&machine.persistent()));

    // The nics come back, and with them the rest.
    machine.engine.set_safe().unwrap();
    let machine = machine.reboot(&["dummy_0", "dummy_1", "dummy_2", "dummy_3", "dummy_3x"]);
    assert_eq!(machine.restore().skipped, []);
    assert!(machine.has("far") && machine.has("dummy_3.20"));
    assert_eq!(machine.sim.look().ports_of(dev("bond1")).count(), 2);
}

#[test]
fn a_skipped_network_is_in_nobodys_way() {
    let machine = Machine::with(json!({ "a": { "nic": "dummy_0" }, "b": { "nic": "dummy_1" } }), json!({}));
    machine.engine.set_safe().unwrap();
    let machine = machine.reboot(&["dummy_0"]);
    assert_eq!(machine.restore().skipped, [omitted("b", "its nic dummy_1 is missing")]);
    machine.set(json!({ "a": { "nic": "dummy_0", "mtu": 9000 } }), json!({}));
    machine.set(json!({ "b": { "remove": true } }), json!({}));
    assert_eq!(names(&machine.running()), ["nets/a"]);
}

#[test]
fn one_broken_file_does_not_keep_the_others_away() {
    let machine = machine();
    machine.engine.set_safe().unwrap();
    store(&machine, "nets/broken", "{ this is no JSON");
    store(&machine, "nets/wrong", r#"{ "nic": "dummy_3", "mtu": "big" }"#);
    let machine = machine.reboot(&NICS);
    let restored = machine.restore();
    assert!(restored.done && restored.failed.is_empty());
    let [broken, wrong] = restored.skipped.as_slice() else { panic!("{:?}", restored.skipped) };
    assert!(broken.name.ends_with("/nets/broken"), "{broken:?}");
    assert_eq!(
        wrong,
        &omitted(
            "persistent configuration",
            "network 'wrong': mtu is \"big\", but it must be a number of bytes from 68 to 65535"
        )
    );
    assert!(machine.has("mgmt") && machine.has("vm10"));
}

#[test]
fn a_network_that_is_not_supported_does_not_keep_the_others_away() {
    let machine = machine();
    machine.engine.set_safe().unwrap();
    store(&machine, "nets/ovs", r#"{ "nic": "dummy_3", "switch": "ovs" }"#);
    let machine = machine.reboot(&NICS);
    let restored = machine.restore();
    assert_eq!(
        restored.failed,
        [omitted("ovs", "network 'ovs': switch is ovs, which is not supported by this configurator (iproute2) yet")]
    );
    assert!(machine.has("mgmt") && machine.has("vm10") && !machine.has("ovs"));
    assert_eq!(
        names(&machine.running()),
        ["bonds/bond1", "nets/mgmt", "nets/ovs", "nets/vm10"],
        "nothing is forgotten"
    );
    // It is tried again.
    assert!(machine.restore().done);
}

#[test]
fn networks_that_exclude_one_another_cost_only_themselves() {
    let machine = machine();
    machine.engine.set_safe().unwrap();
    store(&machine, "nets/rival", r#"{ "nic": "dummy_0" }"#);
    let machine = machine.reboot(&NICS);
    let restored = machine.restore();
    let rule = "networks 'mgmt' and 'rival' share the interface 'dummy_0', but each needs a VLAN tag of its own, and only one may be without";
    assert_eq!(restored.failed, [omitted("rival", rule)]);
    assert!(machine.has("mgmt") && machine.has("vm10"));
}

#[test]
fn before_the_restore_nothing_is_made_safe_in_place_of_what_is() {
    let machine = machine();
    machine.engine.set_safe().unwrap();
    let safe = files(&machine.persistent());
    let machine = machine.reboot(&NICS);
    assert!(matches!(machine.engine.set_safe(), Err(EngineError::NotRestored)));
    assert_eq!(files(&machine.persistent()), safe);
    machine.restore();
    machine
        .set(json!({ "mgmt": { "remove": true }, "vm10": { "remove": true } }), json!({ "bond1": { "remove": true } }));
    machine.engine.set_safe().unwrap();
    assert_eq!(names(&machine.persistent()), [""; 0], "an empty configuration that was wished for is one");
}

#[test]
fn an_empty_host_has_nothing_to_restore() {
    let machine = Machine::new();
    let before = machine.text();
    let restored = machine.restore();
    assert_eq!((restored.done, restored.skipped, restored.failed), (true, vec![], vec![]));
    assert_eq!(machine.text(), before);
    assert!(!machine.restore().done, "it was done");
}
