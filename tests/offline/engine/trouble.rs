//! What fails, who is there, and who waits for whom.

use vdsm_model::resolver::{Manager, Resolver};

use super::*;

// ---- Failures.

/// A directory where a file is in the way: root may write read-only ones.
fn spoil(dir: &Path) {
    let _ = fs::remove_dir_all(dir);
    fs::create_dir_all(dir.parent().unwrap()).unwrap();
    fs::write(dir, "").unwrap();
}

#[test]
fn a_change_that_cannot_be_stored_is_undone() {
    let machine = Machine::with(json!({ "n": { "nic": "dummy_0" } }), json!({}));
    let (text, running) = (machine.text(), machine.engine.running());
    // The journal has its place; what it was to be followed by has not.
    fs::remove_file(machine.running()).unwrap();
    spoil(&machine.running());
    let error = machine
        .engine
        .setup(&unchecked(json!({ "n": { "nic": "dummy_1" }, "m": {} }), json!({})))
        .map(|_| ())
        .unwrap_err();
    let EngineError::Setup(SetupError::RolledBack { cause: Cause::Store(_), ref missing }) = error else {
        panic!("{error:?}")
    };
    assert_eq!(missing, &[]);
    assert!(
        chain(&error).starts_with("the change failed and was rolled back: cannot store the configuration: cannot "),
        "{}",
        chain(&error)
    );
    assert_eq!((machine.text(), machine.engine.running()), (text, running));
}

#[test]
fn a_change_that_cannot_be_made_safe_is_undone_on_disk_as_well() {
    let machine = Machine::with(json!({ "n": { "nic": "dummy_0" } }), json!({}));
    machine.engine.set_safe().unwrap();
    let (text, running, stored) = (machine.text(), machine.engine.running(), files(&machine.running()));
    spoil(&machine.disk.path().join("lib"));
    let safe = json!({ "connectivityCheck": false, "commitOnSuccess": true });
    let error =
        machine.engine.setup(&request(json!({ "n": { "nic": "dummy_1" } }), json!({}), safe)).map(|_| ()).unwrap_err();
    assert!(matches!(error, EngineError::Setup(SetupError::RolledBack { cause: Cause::Store(_), .. })), "{error:?}");
    assert_eq!((machine.text(), machine.engine.running(), files(&machine.running())), (text, running, stored));
    assert!(machine.engine.is_dirty());
}

#[test]
fn a_failed_change_leaves_the_disk_alone() {
    let machine = machine();
    let (text, stored) = (machine.text(), files(&machine.running()));
    machine.fuse.after(3);
    let error =
        machine.engine.setup(&unchecked(json!({ "mgmt": { "nic": "dummy_3" } }), json!({}))).map(|_| ()).unwrap_err();
    assert!(matches!(error, EngineError::Setup(SetupError::RolledBack { cause: Cause::Apply(_), .. })), "{error:?}");
    assert_eq!((machine.text(), files(&machine.running())), (text, stored));
}

// ---- Is anybody there?

#[test]
fn nobody_called_so_all_is_as_before() {
    let machine = machine();
    let (text, stored, running) = (machine.text(), files(&machine.running()), machine.engine.running());
    machine.engine.connectivity.confirm(); // too early
    let wish = request(
        json!({ "mgmt": { "nic": "dummy_3" }, "vm11": { "bonding": "bond1", "vlan": 11 } }),
        json!({ "bond1": { "nics": ["dummy_1"] } }),
        json!({ "connectivityCheck": "true", "connectivityTimeout": 0.05 }),
    );
    let error = machine.engine.setup(&wish).map(|_| ()).unwrap_err();
    assert_eq!(
        chain(&error),
        "the change failed and was rolled back: connectivity check failed: nobody called within 0.05 s of the change"
    );
    let EngineError::Setup(error) = error else { panic!("{error:?}") };
    assert_eq!(error.code(), Code::LostConnection);
    assert_eq!((machine.text(), files(&machine.running()), machine.engine.running()), (text, stored, running));
}

#[test]
fn somebody_called_so_it_stays() {
    let machine = Machine::new();
    let engine = Arc::clone(&machine.engine);
    let (stop, stopped) = channel::<()>();
    let caller = std::thread::spawn(move || {
        // As the engine does: again and again.
        while stopped.try_recv().is_err() {
            engine.connectivity.confirm();
            std::thread::sleep(Duration::from_millis(1));
        }
    });
    machine
        .engine
        .setup(&request(
            json!({ "n": { "nic": "dummy_0" } }),
            json!({}),
            json!({ "connectivityCheck": true, "connectivityTimeout": 60 }),
        ))
        .unwrap();
    stop.send(()).unwrap();
    caller.join().unwrap();
    assert!(machine.has("n"));
}

// ---- One at a time.

/// A kernel that says when it was asked and waits until it may.
#[derive(Debug)]
struct Waiting {
    sim: Sim,
    asked: Sender<()>,
    may: Mutex<Receiver<()>>,
}

impl Kernel for Waiting {
    fn run(
        &mut self,
        actions: &[(usize, Action)],
        seen: &NetInfo,
        begin: &mut Begin<'_>,
    ) -> Result<(), (usize, RunError)> {
        self.asked.send(()).unwrap();
        self.may.lock().unwrap().recv().unwrap();
        self.sim.run(actions, seen, begin)
    }
}

#[test]
fn a_second_change_is_turned_away_and_reading_goes_on() {
    let (disk, sim) = (TempDir::new().unwrap(), Sim::with_nics(&NICS));
    let ((asked, was_asked), (let_go, may)) = (channel(), channel());
    let changing = host(sim.clone(), Waiting { sim: sim.clone(), asked, may: Mutex::new(may) }, &Fuse::never());
    let engine = open(disk.path(), &sim, changing);
    let wish = || unchecked(json!({ "n": { "nic": "dummy_0" } }), json!({}));

    let first = Arc::clone(&engine);
    let change = std::thread::spawn(move || first.setup(&wish()).map(|_| ()));
    was_asked.recv().unwrap();

    let busy = |outcome: Result<(), EngineError>| {
        let error = outcome.unwrap_err();
        assert!(matches!(error, EngineError::Busy));
        assert_eq!(error.to_string(), "another change of the network is under way");
    };
    busy(engine.setup(&unchecked(json!({ "m": { "nic": "dummy_1" } }), json!({}))).map(|_| ()));
    busy(engine.set_safe());
    busy(engine.restore(false).map(|_| ()));

    assert_eq!(engine.look().unwrap().links().count(), NICS.len());
    assert!(engine.running().networks.is_empty() && engine.is_dirty());
    let explained = engine.explain(&wish()).map_err(|e| chain(&e)).unwrap();
    assert_eq!(
        explained.plan.to_string(),
        "change nic dummy_0: ipv6 off\ncreate bridge n: port dummy_0, stp off, mtu 1500, up, ipv6 off\n"
    );
    assert_eq!(explained.commands.len(), 2);
    assert_eq!(explained.commands[0], ["echo 1 > /proc/sys/net/ipv6/conf/dummy_0/disable_ipv6"]);

    let_go.send(()).unwrap();
    change.join().unwrap().unwrap();
    assert!(engine.running().networks.contains_key(&net("n")));
    let_go.send(()).unwrap();
    engine.setup(&unchecked(json!({ "m": { "nic": "dummy_1" } }), json!({}))).map(|_| ()).unwrap();
}

#[test]
fn explaining_changes_nothing() {
    let machine = machine();
    let (text, stored) = (machine.text(), files(&machine.running()));
    let explained = machine
        .engine
        .explain(&unchecked(json!({ "mgmt": { "remove": true } }), json!({})))
        .map_err(|e| chain(&e))
        .unwrap();
    let plan = explained.plan.to_string();
    assert!(plan.ends_with("remove bridge mgmt  [interrupts: the device goes]\n"), "{plan}");
    assert_eq!(
        explained.commands.concat(),
        [
            "ip rule del from all to 192.0.2.0/24 iif mgmt lookup 3221225994 priority 32000 protocol 4",
            "ip rule del from 192.0.2.0/24 lookup 3221225994 priority 32000 protocol 4",
            "ip link del mgmt"
        ]
    );
    assert_eq!((machine.text(), files(&machine.running())), (text, stored));
    let refused =
        machine.engine.explain(&unchecked(json!({ "mgmt": { "nic": "dummy_9" } }), json!({}))).map(|_| ()).unwrap_err();
    let EngineError::Setup(SetupError::Refused(problems)) = refused else { panic!("{refused:?}") };
    assert_eq!(problems.code(), Code::BadNic);
}

// ---- What is stored and cannot be used.

#[test]
fn what_cannot_be_read_is_not_taken_down() {
    let nets = json!({ "n": { "nic": "dummy_0" }, "m": { "nic": "dummy_1" } });
    let machine = Machine::with(nets, json!({}));
    machine.engine.set_safe().unwrap();
    let store = machine.disk.path().join("lib/persistence/netconf");
    fs::write(store.join("nets/n"), "{").unwrap();
    let (text, running) = (machine.text(), machine.engine.running());
    let restored = machine.engine.restore(true).unwrap();
    assert!(restored.skipped.iter().any(|o| o.name.ends_with("nets/n")), "{restored:?}");
    assert_eq!((machine.text(), machine.engine.running()), (text.clone(), running.clone()));

    fs::remove_file(&store).unwrap();
    std::os::unix::fs::symlink("/nowhere", &store).unwrap();
    assert!(matches!(machine.engine.restore(true), Err(EngineError::Store(_))));
    assert_eq!((machine.text(), machine.engine.running()), (text, running));
}

#[test]
fn a_network_is_restored_without_what_no_configurator_has_yet() {
    let attributes =
        json!({ "nic": "dummy_0", "ipaddr": "192.0.2.10", "prefix": 24, "gateway": "192.0.2.1", "defaultRoute": true });
    let machine = Machine::with(json!({ "n": attributes }), json!({}));
    machine.engine.set_safe().unwrap();
    let path = machine.disk.path().join("lib/persistence/netconf/nets/n");
    let mut stored: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    stored["qosInbound"] = json!({ "average": 1 });
    fs::write(&path, stored.to_string()).unwrap();
    let restored = machine.engine.restore(true).unwrap();
    assert_eq!(restored.failed, []);
    let told: Vec<&str> = restored.skipped.iter().map(|o| o.name.as_str()).collect();
    assert_eq!(told, ["n"], "qosInbound");
    let running = machine.engine.running();
    let kept = running.networks.get(&net("n")).unwrap();
    assert!(kept.qos.contains_key("qosInbound"), "it stays in the configuration");
}

#[test]
fn a_network_is_restored_without_name_servers_where_the_resolver_is_somebody_elses() {
    let attributes = json!({
        "nic": "dummy_0", "ipaddr": "192.0.2.10", "prefix": 24, "gateway": "192.0.2.1", "defaultRoute": true, "nameservers": ["192.0.2.53"]
    });
    let machine = Machine::with(json!({ "n": attributes }), json!({}));
    assert_eq!(machine.sim.look().resolver.servers(), ["192.0.2.53"]);
    machine.engine.set_safe().unwrap();
    let why = "/etc/resolv.conf is generated by NetworkManager".to_owned();
    machine.sim.set_resolver(Resolver { manager: Manager::Closed { why, servers: Vec::new() }, kept: None });
    machine.sim.unplug("n");
    let restored = machine.engine.restore(true).unwrap();
    assert_eq!(restored.failed, []);
    let reasons: Vec<&str> = restored.skipped.iter().map(|o| o.reason.as_str()).collect();
    assert_eq!(
        reasons,
        [r#"restored without nameservers = ["192.0.2.53"], for /etc/resolv.conf is generated by NetworkManager"#]
    );
    assert!(machine.has("n"), "the host is reached");
    assert!(
        machine.engine.running().networks.get(&net("n")).unwrap().nameservers.is_some(),
        "they stay in the configuration"
    );
}

#[test]
fn a_network_is_restored_without_ipv6_where_the_kernel_has_none() {
    let attributes = json!({ "nic": "dummy_0", "ipaddr": "192.0.2.10", "prefix": 24, "ipv6addr": "fd00::5/64" });
    let asks = json!({ "nic": "dummy_1", "dhcpv6": true });
    let machine = Machine::with(json!({ "n": attributes, "six": asks }), json!({}));
    machine.engine.set_safe().unwrap();
    let machine = machine.reboot(&NICS);
    let _ = machine.sim.clone().without_ipv6();
    let restored = machine.restore();
    assert_eq!((restored.done, restored.failed), (true, vec![]));
    let reasons: Vec<&str> = restored.skipped.iter().map(|o| o.reason.as_str()).collect();
    assert_eq!(
        reasons,
        [
            "restored without ipv6addr = fd00::5/64, for this kernel has no IPv6",
            "restored without dhcpv6 = true, for this kernel has no IPv6",
        ]
    );
    assert!(machine.text().contains("192.0.2.10/24") && machine.has("six"), "the host is reached");
    assert!(machine.engine.running().networks.get(&net("n")).unwrap().ipv6.is_some(), "it stays in the configuration");
    // Somebody may go on from there.
    machine.set(json!({ "n": { "remove": true }, "more": { "nic": "dummy_2" } }), json!({}));
}

#[test]
fn what_was_allowed_once_is_restored_under_a_stricter_rule() {
    let machine = Machine::with(json!({ "n": { "nic": "dummy_0" } }), json!({}));
    machine.engine.set_safe().unwrap();
    let store = machine.disk.path().join("lib/persistence/netconf/nets/v");
    fs::write(store, json!({ "nic": "dummy_0", "vlan": 7 }).to_string()).unwrap();
    let restored = machine.engine.restore(true).unwrap();
    assert_eq!((restored.failed, restored.skipped), (vec![], vec![]));
    assert!(machine.text().contains("dummy_0.7 vlan 7"));
}
