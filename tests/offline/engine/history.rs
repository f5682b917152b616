//! What is committed is remembered, once, whoever dies; and one can go back to it.

use std::os::unix::fs::PermissionsExt;

use vdsm_net::asked::Asked;
use vdsm_net::conf::Settings;
use vdsm_net::engine::history::{Caller, HistoryError, Names};
use vdsm_net::engine::journal::Asker;

use super::*;

/// The numbers that the engine tells of.
fn numbers(engine: &Engine) -> Vec<u64> {
    engine.history(None, None).unwrap().iter().map(|entry| entry["number"].as_u64().unwrap()).collect()
}

/// The same machine after a restart with other settings.
fn restarted(machine: Machine, entries: usize) -> Machine {
    let Machine { disk, sim, fuse, .. } = machine;
    let hosts = || host(sim.clone(), sim.clone(), &fuse);
    let settings = Settings { history_entries: entries, ..settings(disk.path()) };
    let engine = Arc::new(Engine::with(hosts(), hosts(), &settings).unwrap());
    Machine { disk, sim, fuse, engine }
}

fn asker(verb: &str) -> Asker {
    Asker { verb: verb.to_owned(), caller: Some((107, 4711)), request: json!({ "as": "it was made" }) }
}

fn names(added: &[&str], changed: &[&str], removed: &[&str]) -> Names {
    let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    Names { added: owned(added), changed: owned(changed), removed: owned(removed) }
}

#[test]
fn each_commit_is_an_entry_that_tells_who_when_why_and_what() {
    let machine = machine();
    let asked = Asked {
        networks: json!({ "mgmt": { "nic": "dummy_0", "mtu": 9000 }, "vm10": { "remove": true }, "new": { "nic": "dummy_3" } }),
        bondings: Value::Null,
        options: json!({ "connectivityCheck": false, "commitOnSuccess": true, "reason": "rack 7 moved" }),
    };
    let done = machine.engine.setup_with_hooks(asked, &asker("Host.setupNetworks")).unwrap();
    assert_eq!((done.history, done.warnings), (Some(2), vec![]));
    let entry = machine.engine.entry(2).unwrap();
    assert_eq!((entry.number, entry.verb.as_str(), entry.safe), (2, "Host.setupNetworks", true));
    assert_eq!(entry.caller, Some(Caller { uid: 107, pid: 4711 }));
    assert_eq!((entry.reason.as_deref(), &entry.request), (Some("rack 7 moved"), &json!({ "as": "it was made" })));
    let age = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() - entry.time;
    assert!(age < 600, "{age}");
    let steps: Vec<String> = done.plan.steps().iter().map(ToString::to_string).collect();
    assert_eq!((&entry.plan, entry.plan_hash), (&steps, vdsm_net::engine::journal::plan_hash(&done.plan)));
    assert_eq!(entry.changed.networks, names(&["new"], &["mgmt"], &["vm10"]));
    assert_eq!(entry.changed.bondings, names(&[], &[], &[]));
    let stored = machine.engine.running().to_stored();
    assert_eq!((&entry.config.networks, &entry.config.bondings), (&stored.0, &stored.1));
    assert_eq!(machine.engine.running_as_stored(), entry.config);

    let first = machine.engine.entry(1).unwrap();
    assert_eq!((first.caller, first.reason, first.safe), (None, None, false));
    assert_eq!(first.changed.networks, names(&["mgmt", "vm10"], &[], &[]));
    assert_eq!(first.changed.bondings, names(&["bond1"], &[], &[]));
    // The list has no configurations, requests or plans.
    let listed = machine.engine.history(None, None).unwrap();
    assert_eq!(listed[1]["steps"], steps.len());
    for long in ["config", "request", "plan"] {
        assert_eq!(listed[1].get(long), None, "{long}");
    }
    // A daemon that comes back has it.
    assert_eq!(numbers(&machine.restart().engine), [1, 2]);
}

#[test]
fn what_leaves_the_configuration_as_it_was_is_no_entry() {
    let machine = machine();
    let (networks, bonds) = two_networks();
    machine.set(networks, bonds);
    machine.sim.unplug("mgmt");
    assert!(machine.engine.heal().unwrap().is_some());
    machine.engine.set_safe().unwrap();
    machine.fuse.after(0);
    machine.engine.setup(&unchecked(json!({ "n": { "nic": "dummy_3" } }), json!({}))).map(|_| ()).unwrap_err();
    assert_eq!(numbers(&machine.engine), [1]);
    assert!(machine.engine.restore(true).unwrap().done);
    let machine = machine.reboot(&NICS);
    assert!(machine.restore().done);
    assert_eq!(numbers(&machine.engine), [1], "what runs after the boot is what ran before it");
    let again = json!({ "connectivityCheck": false, "commitOnSuccess": true });
    let (networks, bonds) = two_networks();
    let done = machine.engine.setup(&request(networks, bonds, again)).unwrap();
    assert_eq!((done.history, numbers(&machine.engine)), (None, vec![1]));
}

#[test]
fn a_restore_of_something_else_is_one_entry_however_many_changes_it_took() {
    let machine = machine();
    machine.engine.set_safe().unwrap();
    machine.set(json!({ "volatile": { "nic": "dummy_3" } }), json!({}));
    store(&machine, "nets/ovs", r#"{ "nic": "dummy_3x", "switch": "ovs" }"#);
    let machine = machine.reboot(&["dummy_0", "dummy_1", "dummy_2", "dummy_3x"]);
    // Together they cannot be had, so each is tried by itself.
    let restored = machine.restore();
    assert_eq!(restored.failed.len(), 1, "{restored:?}");
    assert_eq!(numbers(&machine.engine), [1, 2, 3]);
    let entry = machine.engine.entry(3).unwrap();
    assert_eq!((entry.verb.as_str(), entry.caller), ("restore", None));
    assert_eq!(entry.changed.networks, names(&["ovs"], &[], &["volatile"]));
    assert_eq!(entry.config, machine.engine.running_as_stored());
    assert!(entry.plan.len() > 3, "{:?}", entry.plan);
    machine.restore();
    assert_eq!(numbers(&machine.engine), [1, 2, 3]);
}

#[test]
fn an_entry_that_was_made_safe_says_so() {
    let machine = machine();
    machine.set(json!({ "n": { "nic": "dummy_3" } }), json!({}));
    let safe = |machine: &Machine| [1, 2].map(|number| machine.engine.entry(number).unwrap().safe);
    assert_eq!(safe(&machine), [false, false]);
    machine.engine.set_safe().unwrap();
    assert_eq!(safe(&machine), [false, true]);
}

#[test]
fn the_oldest_go_first_and_no_number_is_given_twice() {
    let machine = restarted(Machine::new(), 3);
    let change = |machine: &Machine, mtu: usize| {
        machine.engine.setup(&unchecked(json!({ "n": { "nic": "dummy_0", "mtu": mtu } }), json!({}))).unwrap().history
    };
    for number in 1..=5 {
        assert_eq!(change(&machine, 1400 + number), Some(number as u64));
    }
    assert_eq!(numbers(&machine.engine), [3, 4, 5]);
    let part = |from, count| -> Vec<u64> {
        let part = machine.engine.history(from, count).unwrap();
        part.iter().map(|entry| entry["number"].as_u64().unwrap()).collect()
    };
    assert_eq!((part(Some(4), None), part(None, Some(2)), part(Some(2), Some(1))), (vec![4, 5], vec![4, 5], vec![3]));
    let missing = machine.engine.entry(2).unwrap_err();
    assert_eq!(missing.to_string(), "the history has no entry 2; it has 3 to 5");
    // Without a history there are no more of them, and those that are there stay.
    let machine = restarted(machine, 0);
    assert_eq!(change(&machine, 2000), None);
    assert_eq!(numbers(&machine.engine), [3, 4, 5]);
    let machine = restarted(machine, 1);
    assert_eq!(change(&machine, 2001), Some(6));
    assert_eq!(numbers(&machine.engine), [6]);
}

#[test]
fn a_change_does_not_fail_for_want_of_an_entry_and_says_so() {
    let machine = Machine::with(json!({ "n": { "nic": "dummy_0" } }), json!({}));
    let place = machine.disk.path().join("lib/history");
    let change = |mtu| machine.engine.setup(&unchecked(json!({ "n": { "nic": "dummy_0", "mtu": mtu } }), json!({})));
    fs::remove_dir_all(&place).unwrap();
    fs::write(&place, "").unwrap();
    let done = change(1400).unwrap();
    assert_eq!(done.history, None);
    let [warning] = done.warnings.as_slice() else { panic!("{:?}", done.warnings) };
    assert!(warning.starts_with("the history has no entry of this change: cannot read "), "{warning}");
    // A name that cannot be made: as on a disk without room.
    fs::remove_file(&place).unwrap();
    fs::create_dir_all(place.join(".new/full")).unwrap();
    let done = change(1500).unwrap();
    let [warning] = done.warnings.as_slice() else { panic!("{:?}", done.warnings) };
    assert!(warning.starts_with("the history has no entry of this change: cannot write "), "{warning}");
    assert!(machine.engine.history(None, None).unwrap().is_empty());
    fs::remove_dir_all(place.join(".new")).unwrap();
    assert_eq!(change(1600).unwrap().history, Some(1));
}

#[test]
fn an_entry_that_cannot_be_read_is_named_and_in_nobodys_way() {
    let machine = machine();
    let place = machine.disk.path().join("lib/history");
    fs::write(place.join("2.json"), r#"{"format": 1, "num"#).unwrap();
    let text = fs::read_to_string(place.join("1.json")).unwrap();
    fs::write(place.join("3.json"), text.replace(r#""format":1"#, r#""format":9"#)).unwrap();
    fs::write(
        place.join("4.json"),
        text.replace(r#""mtu":9000"#, r#""mtu":"big""#).replace(r#""number":1"#, r#""number":4"#),
    )
    .unwrap();
    machine.set(json!({ "n": { "nic": "dummy_3" } }), json!({}));
    let listed = machine.engine.history(None, None).unwrap();
    assert_eq!(numbers(&machine.engine), [1, 2, 3, 4, 5]);
    let told = |at: usize| listed[at]["unreadable"].as_str().unwrap_or_default();
    assert!(told(1).contains("2.json: EOF while parsing"), "{}", told(1));
    assert!(told(2).ends_with("it is entry 1 in format 9"), "{}", told(2));
    assert_eq!([0, 3, 4].map(|at| listed[at].get("unreadable")), [None; 3]);
    // Without what cannot be read of it, it would be another configuration.
    let error = machine.engine.go_back(4, &Value::Null, &asker("v")).map(|_| ()).unwrap_err();
    assert!(matches!(error, EngineError::History(HistoryError::Unusable { number: 4, .. })), "{error:?}");
    assert!(error.to_string().contains("mtu is \"big\""), "{error}");
}

// ---- The way back.

fn quick() -> Value {
    json!({ "connectivityCheck": false })
}

#[test]
fn one_goes_back_by_an_ordinary_change() {
    let machine = machine();
    let (first, text) = (machine.engine.running_as_stored(), machine.text());
    let bonds = json!({ "bond1": { "nics": ["dummy_1", "dummy_3"], "options": "mode=1 miimon=50" } });
    machine.set(json!({ "mgmt": { "remove": true }, "vm11": { "bonding": "bond1", "vlan": 11 } }), bonds);
    let second = machine.engine.running_as_stored();

    let plan = machine.engine.explain_going_back(1, &quick()).map_err(|e| chain(&e)).unwrap();
    assert_eq!(machine.engine.running_as_stored(), second, "a plan changes nothing");
    let options = json!({ "connectivityCheck": false, "commitOnSuccess": true, "reason": "it was better" });
    let done = machine.engine.go_back(1, &options, &asker("Host.rollbackNetworks")).unwrap();
    assert_eq!(done.plan.to_string(), plan.plan.to_string());
    assert_eq!(machine.engine.running_as_stored(), first);
    // A nic that is left behind keeps its IPv6 off, as ever.
    let ours =
        |text: &str| text.lines().filter(|it| !it.starts_with("dummy_3 ")).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(ours(&machine.text()), ours(&text));
    assert_eq!(files(&machine.persistent()), files(&machine.running()));
    let entry = machine.engine.entry(3).unwrap();
    assert_eq!((entry.config, entry.reason.as_deref(), entry.safe), (first, Some("it was better"), true));
    assert_eq!(entry.changed.networks, names(&["mgmt"], &[], &["vm11"]));

    let again = machine.engine.go_back(1, &quick(), &asker("v")).unwrap();
    assert!(again.plan.is_empty() && again.history.is_none());
    machine.engine.go_back(2, &quick(), &asker("v")).unwrap();
    assert_eq!(machine.engine.running_as_stored(), second);
    assert_eq!(numbers(&machine.engine), [1, 2, 3, 4]);
}

#[test]
fn a_bond_without_options_gets_its_defaults_back() {
    let bond = |options: &str| json!({ "bond1": { "nics": ["dummy_1"], "options": options } });
    let machine = Machine::with(json!({ "n": { "bonding": "bond1" } }), bond(""));
    let text = machine.text();
    machine.set(json!({}), bond("mode=4 miimon=100"));
    assert_ne!(machine.text(), text);
    machine.engine.go_back(1, &quick(), &asker("v")).unwrap();
    assert_eq!(machine.text(), text);
    assert_eq!(machine.engine.running_as_stored(), machine.engine.entry(1).unwrap().config);
}

#[test]
fn a_way_back_is_judged_checked_and_undone_as_any_change() {
    let machine = Machine::with(json!({ "n": { "nic": "dummy_3" } }), json!({}));
    machine.set(json!({ "n": { "nic": "dummy_0" } }), json!({}));
    let text = machine.text();
    // Nobody calls.
    let options = json!({ "connectivityTimeout": 0.05 });
    let error = machine.engine.go_back(1, &options, &asker("v")).map(|_| ()).unwrap_err();
    let EngineError::Setup(error) = error else { panic!("{error:?}") };
    assert_eq!((error.code(), machine.text()), (Code::LostConnection, text));
    // What is wrong with the options is wrong here, too.
    let wrong = json!({ "connectivityTimeout": "soon", "reason": "x".repeat(1025) });
    let error = machine.engine.go_back(1, &wrong, &asker("v")).map(|_| ()).unwrap_err();
    let EngineError::Setup(SetupError::Refused(problems)) = error else { panic!("{error:?}") };
    assert_eq!(problems.all().len(), 2, "{problems}");
    // What it needs is not there any more.
    machine.engine.set_safe().unwrap();
    let machine = machine.reboot(&["dummy_0"]);
    machine.restore();
    let error = machine.engine.go_back(1, &quick(), &asker("v")).map(|_| ()).unwrap_err();
    let EngineError::Setup(error @ SetupError::Refused(_)) = error else { panic!("{error:?}") };
    assert_eq!(error.code(), Code::BadNic);
    assert_eq!(numbers(&machine.engine), [1, 2]);
}

#[test]
fn scripts_stand_around_the_way_back() {
    let machine = Machine::with(json!({ "n": { "nic": "dummy_0", "mtu": 1400 } }), json!({}));
    machine.set(json!({ "n": { "remove": true }, "m": { "nic": "dummy_0" } }), json!({}));
    let hooks = machine.disk.path().join("hooks");
    let script = |text: &str| {
        let path = hooks.join("before_network_setup/10");
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    };
    let Machine { disk, sim, fuse, .. } = machine;
    let hosts = || host(sim.clone(), sim.clone(), &fuse);
    let settings = Settings { hooks_dir: Some(hooks.clone()), ..settings(disk.path()) };
    let engine = Engine::with(hosts(), hosts(), &settings).unwrap();
    let seen = disk.path().join("seen");
    script(&format!("cat $_hook_json > {}; exit 2", seen.display()));
    let error = engine.go_back(1, &quick(), &asker("v")).map(|_| ()).unwrap_err();
    assert!(matches!(error, EngineError::Hook(_)), "{error:?}");
    let told: Value = serde_json::from_str(&fs::read_to_string(seen).unwrap()).unwrap();
    assert_eq!(told["request"]["networks"]["m"], json!({ "remove": true }));
    assert_eq!((&told["request"]["networks"]["n"]["mtu"], &told["request"]["options"]), (&json!(1400), &quick()));
    // They may change it, as they may any request.
    script("sed -i s/1400/1450/ $_hook_json");
    engine.go_back(1, &quick(), &asker("v")).unwrap();
    assert_eq!(engine.running().networks.get(&net("n")).unwrap().mtu.get(), 1450);
    assert!(!engine.running().networks.contains_key(&net("m")));
}
