//! The way to whoever manages the host is not interrupted unnoticed.

use vdsm_net::asked::Asked;
use vdsm_net::engine::journal::Asker;
use vdsm_net::transaction::Done;

use super::*;

fn managed() -> Machine {
    let (disk, sim, fuse) = (TempDir::new().unwrap(), Sim::with_nics(&NICS), Fuse::never());
    let settings = Settings { management_network: Some(net("mgmt")), ..settings(disk.path()) };
    let sides = || host(sim.clone(), sim.clone(), &fuse);
    let engine = Arc::new(Engine::with(sides(), sides(), &settings).unwrap());
    let machine = Machine { disk, sim, fuse, engine };
    machine.set(
        json!({
            "mgmt": { "bonding": "bond1", "vlan": 10, "ipaddr": "192.0.2.10", "prefix": 24 },
            "far": { "nic": "dummy_0", "ipaddr": "198.51.100.7", "prefix": 24, "gateway": "198.51.100.1", "defaultRoute": true },
        }),
        json!({ "bond1": { "nics": ["dummy_1", "dummy_2"], "options": "mode=1" } }),
    );
    machine
}

fn ask(machine: &Machine, networks: Value, bondings: Value, options: Value) -> Result<Done, EngineError> {
    let asker = Asker { verb: "Host.setupNetworks".to_owned(), caller: Some((0, 1)), request: Value::Null };
    machine.engine.setup_with_hooks(Asked { networks, bondings, options }, &asker)
}

#[track_caller]
fn refused(machine: &Machine, networks: Value, bondings: Value, options: Value) -> String {
    let before = machine.text();
    let error = ask(machine, networks, bondings, options).map(|_| ()).unwrap_err();
    let EngineError::Setup(SetupError::Refused(problems)) = &error else { panic!("{}", chain(&error)) };
    assert_eq!((problems.code(), machine.text()), (Code::BadParams, before));
    problems.to_string()
}

fn wish() -> Value {
    json!({ "mgmt": { "bonding": "bond1", "vlan": 11, "ipaddr": "192.0.2.10", "prefix": 24 } })
}

fn unchecked_with(more: Value) -> Value {
    let mut options = json!({ "connectivityCheck": false });
    options.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    options
}

#[test]
fn the_management_network_is_not_interrupted_unless_somebody_notices_or_wants_it() {
    let machine = managed();
    let text = refused(&machine, wish(), Value::Null, unchecked_with(json!({})));
    assert_eq!(
        text,
        "the way to network 'mgmt' is interrupted by 'bond1.10: the device goes': that takes a connectivityCheck, or \
         allowInterruption = true"
    );
    // Its bond loses all slaves it had, though it gets another.
    let bond = json!({ "bond1": { "nics": ["dummy_3"], "options": "mode=1" } });
    let text = refused(&machine, Value::Null, bond.clone(), unchecked_with(json!({})));
    assert!(text.contains("bond1: dummy_1, dummy_2 leaves"), "{text}");
    // Who only asks is told.
    let request = request(wish(), Value::Null, unchecked_with(json!({})));
    let warnings = machine.engine.explain(&request).unwrap().warnings;
    let told = "the way to network 'mgmt' is interrupted by bond1.10: the device goes";
    assert_eq!(warnings, [told]);
    let done = ask(&machine, wish(), Value::Null, unchecked_with(json!({ "allowInterruption": true }))).unwrap();
    assert_eq!(done.warnings, [told]);
    // Where somebody waits for a sign of life, and none comes, all is as before.
    let error = ask(&machine, Value::Null, bond, json!({ "connectivityTimeout": 0 })).map(|_| ()).unwrap_err();
    let EngineError::Setup(error) = error else { panic!("{}", chain(&error)) };
    assert_eq!(error.code(), Code::LostConnection);
}

#[test]
fn what_is_not_on_the_way_may_be_interrupted_and_what_interrupts_nothing_be_done() {
    let machine = managed();
    let gone = json!({ "far": { "remove": true } });
    ask(&machine, gone, Value::Null, unchecked_with(json!({}))).unwrap();
    // One slave of two is enough.
    let bond = json!({ "bond1": { "nics": ["dummy_1"], "options": "mode=1" } });
    ask(&machine, Value::Null, bond, unchecked_with(json!({}))).unwrap();
    let larger =
        json!({ "mgmt": { "bonding": "bond1", "vlan": 10, "ipaddr": "192.0.2.10", "prefix": 24, "mtu": 1400 } });
    ask(&machine, larger, Value::Null, unchecked_with(json!({}))).unwrap();
}

#[test]
fn who_is_reached_through_the_network_says_so() {
    let machine = managed();
    let gone = || json!({ "far": { "remove": true } });
    for peer in ["203.0.113.9", "198.51.100.7"] {
        let text = refused(&machine, gone(), Value::Null, unchecked_with(json!({ "peer": peer })));
        assert!(text.starts_with(&format!("the way to {peer} is interrupted by 'far: ")), "{text}");
    }
    let text = refused(
        &machine,
        gone(),
        Value::Null,
        unchecked_with(json!({ "peer": "there", "allowInterruption": "maybe" })),
    );
    assert!(text.contains("options: peer is \"there\", but it must be an IPv4 or IPv6 address"), "{text}");
    assert!(text.contains("allowInterruption"), "{text}");
}
