//! A daemon that dies in the middle of a change, at anything it does to the host or to the disk, and
//! what the next one makes of it; and one whose thread alone dies.

use vdsm_configurators::iproute2::LinkChange;
use vdsm_dhcp_client::Family;
use vdsm_model::config::NetConfig;
use vdsm_model::dhcp::Lease;
use vdsm_model::units::Prefixed;

use super::*;
use crate::common::plugged::{Batched, Runs, account, assert_told, cut, quietly};
use crate::common::random::{Kinds, Random, config};

const KINDS: Kinds = Kinds { bonds: true, vlans: true };

/// A daemon and its host; the disk is in memory, for it is flushed thousands of times.
struct Node {
    disk: TempDir,
    sim: Sim,
}

impl Node {
    fn new(config: &NetConfig) -> Node {
        let disk = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let node = Node { disk, sim: Sim::with_nics(&NICS) };
        node.daemon().setup(&between(&NetConfig::default(), config)).unwrap();
        node
    }

    fn daemon(&self) -> Arc<Engine> {
        self.daemon_in_batches(3).0
    }

    /// One whose kernel takes so many actions at a time, and what it was asked to do.
    fn daemon_in_batches(&self, size: usize) -> (Arc<Engine>, Runs) {
        let runs = Runs::default();
        let kernel = Batched { sim: self.sim.clone(), size, runs: Arc::clone(&runs) };
        (open(self.disk.path(), &self.sim, host(self.sim.clone(), kernel, &Fuse::never())), runs)
    }

    /// A DHCP server has something for the network `dyn`.
    fn lease(&self) {
        let address = Prefixed { addr: [10, 77, 0, 5].into(), prefix: 24 };
        let gateway = Some([10, 77, 0, 1].into());
        let lease = Lease { address, gateway, routes: Vec::new(), nameservers: Vec::new() };
        self.sim.offer(dev("dyn"), Family::V4, Some(lease));
    }

    /// The host and the running configuration on disk.
    fn state(&self) -> (String, BTreeMap<String, String>) {
        (state::text(&self.sim.look()), files(&self.disk.path().join("run/netconf")))
    }

    /// The numbers of what is in the history, each of them whole.
    fn history(&self) -> Vec<u64> {
        let listed = self.daemon().history(None, None).unwrap();
        assert!(listed.iter().all(|entry| entry.get("unreadable").is_none()), "{listed:?}");
        listed.iter().map(|entry| entry["number"].as_u64().unwrap()).collect()
    }

    fn journals(&self) -> Vec<&'static str> {
        ["run/journal", "lib/journal"].into_iter().filter(|it| self.disk.path().join(it).exists()).collect()
    }
}

/// Without a connectivity check.
fn between(from: &NetConfig, to: &NetConfig) -> Request {
    let mut request = Request::between(from, to);
    request.options.connectivity_check = false;
    request
}

#[test]
fn whoever_dies_anywhere_the_host_and_the_disk_are_as_before_or_as_wished() {
    quietly(|| {
        let mut random = Random(20_261_128);
        let (mut undone, mut finished, mut cuts) = (0, 0, 0);
        for _ in 0..4 {
            let nics: Vec<String> = NICS.iter().map(|nic| (*nic).to_owned()).collect();
            let (old, new) = (config(&mut random, &nics, KINDS), config(&mut random, &nics, KINDS));
            let wish = between(&old, &new);
            let node = Node::new(&old);
            let before = node.state();
            node.daemon().setup(&wish).unwrap();
            let after = node.state();
            for at in 0.. {
                let (node, torn) = (Node::new(&old), random.chance(50));
                assert_eq!(node.state(), before);
                let daemon = node.daemon();
                let kept = node.history();
                if cut(at, torn, || daemon.setup(&wish).map(|_| ()).unwrap()).is_some() {
                    break;
                }
                drop(daemon);
                cuts += 1;
                // The one that comes to mend it dies, too, now and then.
                if random.chance(50) {
                    let second = random.below(40);
                    cut(second, torn, || drop(node.daemon()));
                }
                let daemon = node.daemon();
                let found = node.state();
                let story = format!("cut at {at} (torn: {torn})");
                match (found == before, found == after) {
                    (true, _) => undone += 1,
                    (_, true) => finished += 1,
                    _ => panic!("{story}\n{found:#?}\nis neither\n{before:#?}\nnor\n{after:#?}"),
                }
                assert_eq!(node.journals(), [""; 0], "{story}");
                // What was done is in the history, once, and what was undone is not.
                let mut wanted = kept;
                if found == after {
                    wanted.push(wanted.len() as u64 + 1);
                    assert_eq!(
                        daemon.entry(wanted.len() as u64).unwrap().config,
                        daemon.running_as_stored(),
                        "{story}"
                    );
                }
                assert_eq!(node.history(), wanted, "{story}");
                assert_eq!(daemon.running().to_stored(), if found == before { &old } else { &new }.to_stored());
                // Nothing is in the way of doing it again.
                daemon.setup(&between(&daemon.running(), &new)).unwrap_or_else(|e| panic!("{story}: {}", chain(&e)));
                assert_eq!(node.state(), after, "{story}");
                wanted.extend((found == before).then_some(wanted.len() as u64 + 1));
                assert_eq!(node.history(), wanted, "{story}");
            }
        }
        assert!(undone > 60 && finished > 10, "{cuts} cuts: {undone} undone, {finished} finished");
    });
}

#[test]
fn what_was_committed_is_what_the_next_one_makes_of_the_host_too() {
    quietly(|| {
        let old = NetConfig::default();
        let wish = request(
            json!({ "red": { "nic": "dummy_0", "vlan": 7 } }),
            json!({}),
            json!({ "connectivityCheck": false }),
        );
        let (mut committed, mut undone) = (0, 0);
        for at in 0.. {
            let node = Node::new(&old);
            let (before, daemon) = (node.state(), node.daemon());
            if cut(at, false, || daemon.setup(&wish).map(|_| ()).unwrap()).is_some() {
                break;
            }
            drop(daemon);
            // Before and after its journal there is no change: what comes then is drift.
            if !node.journals().contains(&"run/journal") {
                continue;
            }
            // Somebody else is at work while there is no daemon.
            let change = LinkChange { up: Some(false), ..LinkChange::default() };
            let _ = node.sim.clone().act(&Action::SetLink { name: dev("red"), change });
            drop(node.daemon());
            match node.sim.look().link(&dev("red")) {
                None => {
                    assert_eq!(node.state(), before, "cut at {at}");
                    undone += 1;
                }
                Some(red) => {
                    assert!(red.up && node.disk.path().join("run/netconf/nets/red").exists(), "cut at {at}");
                    committed += 1;
                }
            }
        }
        assert!(committed > 1 && undone > 10, "{committed} {undone}");
    });
}

#[test]
fn what_was_to_be_safe_is_safe_after_the_verdict_and_not_before_also_after_a_reboot() {
    quietly(|| {
        let (old, new) = (
            json!({ "n": { "nic": "dummy_0" } }),
            json!({ "n": { "nic": "dummy_0", "mtu": 9000 }, "m": { "nic": "dummy_1" } }),
        );
        let read = |networks: &Value, safe| {
            request(networks.clone(), json!({}), json!({ "connectivityCheck": false, "commitOnSuccess": safe }))
        };
        let wish = || read(&new, true);
        let mut seen = BTreeMap::<(bool, &str), usize>::new();
        for reboot in [false, true] {
            for at in 0.. {
                let node = Node::new(&NetConfig::default());
                let daemon = node.daemon();
                daemon.setup(&read(&old, true)).unwrap();
                if cut(at, false, || daemon.setup(&wish()).map(|_| ()).unwrap()).is_some() {
                    break;
                }
                drop(daemon);
                let disk = node.disk.path();
                let sim = if reboot {
                    // The kernel gives itself a new identity.
                    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
                    if let Ok(journal) = fs::read_to_string(disk.join("lib/journal")) {
                        fs::write(disk.join("lib/journal"), journal.replace(boot.trim(), "another")).unwrap();
                    }
                    fs::remove_dir_all(disk.join("run")).unwrap();
                    Sim::with_nics(&NICS)
                } else {
                    node.sim.clone()
                };
                drop(open(disk, &sim, host(sim.clone(), sim.clone(), &Fuse::never())));
                let [running, persistent] = ["run/netconf", "lib/persistence/netconf"].map(|it| names(&disk.join(it)));
                let is_new = persistent.len() == 2;
                assert!(is_new || persistent == ["nets/n"], "at {at}: {persistent:?}");
                assert_eq!(node.journals(), [""; 0], "at {at}");
                let entries = vdsm_persistence::History::new(disk.join("lib/history"));
                assert_eq!(entries.numbers().unwrap(), if is_new { vec![1, 2] } else { vec![1] }, "at {at}");
                assert_eq!(entries.read(1).unwrap().unwrap()["safe"], true, "at {at}");
                if reboot {
                    assert_eq!(running, [""; 0], "at {at}: a fresh kernel has no networks");
                    assert_eq!(state::text(&sim.look()), state::text(&Sim::with_nics(&NICS).look()));
                } else {
                    assert_eq!(running, persistent, "at {at}");
                }
                *seen.entry((reboot, if is_new { "new" } else { "old" })).or_default() += 1;
            }
        }
        assert_eq!(seen.len(), 4, "{seen:?}");
    });
}

#[test]
fn what_whoever_dies_has_done_is_said_to_be_done_or_perhaps_done_and_what_is_said_is_so() {
    quietly(|| {
        let mut random = Random(20_261_129);
        let (mut told, mut backs) = (0, 0);
        for change in 0..12 {
            let nics: Vec<String> = NICS.iter().map(|nic| (*nic).to_owned()).collect();
            let (old, new) = (config(&mut random, &nics, KINDS), config(&mut random, &nics, KINDS));
            let size = [1, 2, 5, 1000][change % 4];
            // Now and then the kernel does not want to, and the way back is cut off as well.
            let refused = (change % 3 == 0).then(|| random.below(20));
            for at in 0.. {
                let (node, torn) = (Node::new(&old), random.chance(50));
                let (runs, fuse) = (Runs::default(), Fuse::never());
                let kernel = Batched { sim: node.sim.clone(), size, runs: Arc::clone(&runs) };
                let daemon = open(node.disk.path(), &node.sim, host(node.sim.clone(), kernel, &fuse));
                refused.into_iter().for_each(|count| fuse.after(count));
                if cut(at, torn, || drop(daemon.setup(&between(&old, &new)))).is_some() {
                    break;
                }
                let Some(account) = account(&node.disk.path().join("run")) else { continue };
                let story = format!("change {change}, cut at {at} (torn: {torn}), by {size}");
                assert_told(&account, &runs, size, &node.sim.look(), &story);
                told += account.legs.len().min(1);
                backs += usize::from(account.legs.len() > 1);
            }
        }
        assert!(told > 300 && backs > 40, "{told} told, {backs} on the way back");
    });
}

/// A kernel that takes as much at a time as the real one, and measures the journal after each word.
#[derive(Debug)]
struct Measuring(Sim, PathBuf, Arc<Mutex<Vec<u64>>>);

impl Kernel for Measuring {
    fn run(
        &mut self,
        actions: &[(usize, Action)],
        _: &NetInfo,
        begin: &mut Begin<'_>,
    ) -> Result<(), (usize, RunError)> {
        for (at, (_, action)) in actions.iter().enumerate() {
            if at % 64 == 0 {
                begin(at..actions.len().min(at + 64));
                self.2.lock().unwrap().push(fs::metadata(&self.1).unwrap().len());
            }
            self.0.act(action).map_err(|error| (at, error))?;
        }
        Ok(())
    }
}

#[test]
fn what_is_noted_of_a_large_change_is_little_beside_its_plan() {
    let (disk, sim) = (TempDir::new().unwrap(), Sim::with_nics(&NICS));
    let (journal, sizes) = (disk.path().join("run/journal"), Arc::<Mutex<Vec<u64>>>::default());
    let hands = Measuring(sim.clone(), journal, Arc::clone(&sizes));
    let engine = open(disk.path(), &sim, host(sim.clone(), hands, &Fuse::never()));
    let network = |tag: u16| (format!("n{tag}"), json!({ "nic": "dummy_0", "vlan": tag, "bridged": true }));
    let networks: serde_json::Map<_, _> = (1..=500).map(network).collect();
    let done = engine.setup(&unchecked(networks.into(), json!({}))).unwrap();
    let plan = done.plan.to_string().len() as u64;
    let sizes = sizes.lock().unwrap();
    let notes = sizes.last().unwrap() - sizes.first().unwrap();
    assert!(sizes.len() > 20 && 0 < notes && notes < plan / 20, "{notes} bytes of a plan of {plan}");
}

#[test]
fn a_change_whose_thread_dies_is_undone_before_the_next_one() {
    quietly(|| {
        let machine = |networks| {
            let node = Node::new(&NetConfig::default());
            node.daemon().setup(&unchecked(networks, json!({}))).unwrap();
            node
        };
        let node = machine(json!({ "n": { "nic": "dummy_0" } }));
        let daemon = node.daemon();
        let wish = || unchecked(json!({ "n": { "remove": true }, "m": { "nic": "dummy_1" } }), json!({}));
        // Behind the journal's own eight operations.
        assert!(cut(12, false, || daemon.setup(&wish()).map(|_| ()).unwrap()).is_none());
        assert_eq!(node.journals(), ["run/journal", "lib/journal"]);
        daemon.setup(&unchecked(json!({ "o": { "nic": "dummy_2" } }), json!({}))).unwrap();
        let other = machine(json!({ "n": { "nic": "dummy_0" }, "o": { "nic": "dummy_2" } }));
        assert_eq!(node.state(), other.state());
        assert_eq!(node.journals(), [""; 0]);
    });
}

#[test]
fn what_cannot_be_written_down_is_not_begun_but_a_host_is_restored_all_the_same() {
    let machine = Machine::with(json!({ "n": { "nic": "dummy_0" } }), json!({}));
    machine.engine.set_safe().unwrap();
    let before = (machine.text(), files(&machine.running()));
    let lib = machine.disk.path().join("lib");
    // Nobody can make a file in it, root neither: as on a disk without room.
    fs::create_dir(lib.join("journal")).unwrap();
    let asker = vdsm_net::engine::journal::Asker {
        verb: "Host.setupNetworks".to_owned(),
        caller: Some((0, 1)),
        request: Value::Null,
    };
    let asked = vdsm_net::asked::Asked {
        networks: json!({ "m": { "nic": "dummy_1" } }),
        bondings: Value::Null,
        options: json!({ "connectivityCheck": false }),
    };
    let error = machine.engine.setup_with_hooks(asked, &asker).map(|_| ()).unwrap_err();
    let text = chain(&error);
    assert!(text.starts_with("the change was not begun, for it cannot be written down: cannot write"), "{text}");
    let EngineError::Setup(error @ SetupError::Unwritable(_)) = error else { panic!("{text}") };
    assert_eq!((error.code(), (machine.text(), files(&machine.running()))), (Code::Unexpected, before));
    let machine = machine.reboot(&NICS);
    let restored = machine.restore();
    assert_eq!((restored.skipped, restored.failed), (vec![], vec![]));
    assert!(machine.has("n"));
}

#[test]
fn a_graph_is_read_as_it_was_written() {
    let mut random = Random(7);
    for _ in 0..40 {
        let nics: Vec<String> = NICS.iter().map(|nic| (*nic).to_owned()).collect();
        let node = Node::new(&config(&mut random, &nics, KINDS));
        let policy = crate::common::policy();
        let daemon = node.daemon();
        let wish = between(&daemon.running(), &config(&mut random, &nics, KINDS));
        let seen = node.sim.look();
        let desired = vdsm_model::graph::Desired::build(&daemon.running(), &wish, &seen, &policy).unwrap();
        for graph in [desired.prior, desired.graph] {
            let text = serde_json::to_string(&graph).unwrap();
            let read: vdsm_model::graph::Graph = serde_json::from_str(&text).unwrap();
            assert_eq!(read, graph);
            // What does not count for equality is there as well.
            assert_eq!(serde_json::to_string(&read).unwrap(), text);
        }
    }
}

#[test]
fn what_a_lease_makes_of_strangers_is_undone_as_well() {
    use vdsm_model::ip::{Address, Route};

    quietly(|| {
        let wish = || {
            let dynamic = json!({ "nic": "dummy_0", "bootproto": "dhcp", "blockingdhcp": true, "defaultRoute": true });
            unchecked(json!({ "dyn": dynamic }), json!({}))
        };
        let (mut undone, mut finished) = (0, 0);
        for at in 0.. {
            let node = Node::new(&NetConfig::default());
            // Somebody else's default route gives way when the lease comes, and not before.
            let address = Address::new([10, 1, 0, 5].into(), 24);
            let route = Route::default_via(std::net::IpAddr::from([10, 1, 0, 1]));
            for action in [
                Action::AddAddress { device: dev("dummy_3"), address, replace: false },
                Action::AddRoute { device: dev("dummy_3"), route, replace: false },
            ] {
                node.sim.act(&action).unwrap();
            }
            node.lease();
            let (daemon, before) = (node.daemon(), node.state());
            let done = cut(at, false, || daemon.setup(&wish()).map(|_| ()).unwrap_or_else(|e| panic!("{}", chain(&e))));
            drop(daemon);
            let daemon = node.daemon();
            let has_route = node.sim.look().link(&dev("dummy_3")).unwrap().routes.contains(&route);
            if daemon.running().networks.is_empty() {
                assert!(done.is_none());
                assert_eq!(node.state(), before, "cut at {at}");
                undone += 1;
            } else {
                assert!(!has_route, "cut at {at}");
                finished += 1;
            }
            assert_eq!(node.journals(), [""; 0]);
            if done.is_some() {
                break;
            }
        }
        assert!(undone > 15 && finished > 3, "{undone} undone, {finished} finished");
    });
}

/// A kernel that does something besides before its first action.
#[derive(Debug)]
struct Meanwhile(Sim, Option<PathBuf>);

impl Kernel for Meanwhile {
    fn run(
        &mut self,
        actions: &[(usize, Action)],
        seen: &NetInfo,
        begin: &mut Begin<'_>,
    ) -> Result<(), (usize, RunError)> {
        if let Some(journal) = self.1.take() {
            fs::remove_file(&journal).unwrap();
            fs::create_dir(journal).unwrap();
        }
        self.0.run(actions, seen, begin)
    }
}

#[test]
fn who_has_waited_for_a_lease_waits_for_none_that_follows() {
    let node = Node::new(&NetConfig::default());
    node.lease();
    let daemon = node.daemon();
    let dynamic = json!({ "nic": "dummy_0", "bootproto": "dhcp", "blockingdhcp": true });
    daemon.setup(&unchecked(json!({ "dyn": dynamic, "other": { "nic": "dummy_1" } }), json!({}))).unwrap();
    assert!(daemon.running().networks.values().all(|net| !net.blocking_dhcp));
}

#[test]
fn what_follows_from_a_lease_and_cannot_be_written_down_is_not_done() {
    let node = Node::new(&NetConfig::default());
    node.lease();
    let before = node.state();
    let hands = Meanwhile(node.sim.clone(), Some(node.disk.path().join("run/journal")));
    let daemon = open(node.disk.path(), &node.sim, host(node.sim.clone(), hands, &Fuse::never()));
    let dynamic = json!({ "nic": "dummy_0", "bootproto": "dhcp", "blockingdhcp": true, "defaultRoute": true });
    let error = daemon.setup(&unchecked(json!({ "dyn": dynamic }), json!({}))).map(|_| ()).unwrap_err();
    let EngineError::Setup(SetupError::RolledBack { cause: Cause::Unwritable(_), .. }) = &error else {
        panic!("{}", chain(&error))
    };
    assert!(chain(&error).contains("what follows from its leases cannot be written down: cannot write"), "{error}");
    assert_eq!(node.state(), before);
}

#[test]
fn a_bond_of_nobodys_may_go_with_a_network_that_waits_for_its_lease() {
    let node = Node::new(&NetConfig::default());
    let bond = vdsm_configurators::iproute2::NewLink::Bond(Default::default());
    let action = Action::AddLink { name: dev("bond9"), kind: bond, mtu: None, mac: None };
    node.sim.act(&action).unwrap();
    node.lease();
    let dynamic = json!({ "nic": "dummy_0", "bootproto": "dhcp", "blockingdhcp": true });
    let wish = unchecked(json!({ "dyn": dynamic }), json!({ "bond9": { "remove": true } }));
    node.daemon().setup(&wish).unwrap_or_else(|error| panic!("{}", chain(&error)));
    assert!(node.sim.look().link(&dev("bond9")).is_none());
}

/// A host with `n`, and the daemon that was to replace it by `m` dead in the middle.
fn cut_in_the_middle() -> Node {
    let node = Node::new(&NetConfig::default());
    node.daemon().setup(&unchecked(json!({ "n": { "nic": "dummy_0" } }), json!({}))).unwrap();
    let daemon = node.daemon();
    let wish = unchecked(json!({ "n": { "remove": true }, "m": { "nic": "dummy_1" } }), json!({}));
    assert!(cut(12, false, || daemon.setup(&wish).map(|_| ()).unwrap()).is_none());
    node
}

#[test]
fn a_lasting_copy_alone_says_nothing_until_the_next_boot() {
    quietly(|| {
        let node = cut_in_the_middle();
        let lasting = node.disk.path().join("lib/journal");
        let stale = fs::read(&lasting).unwrap();
        node.daemon().setup(&unchecked(json!({ "o": { "nic": "dummy_2" } }), json!({}))).unwrap();
        let after = node.state();
        // As if it could not be removed, on a disk that was read-only for a while.
        fs::write(&lasting, stale).unwrap();
        drop(node.daemon());
        assert_eq!((node.state(), node.journals()), (after, vec![]));
    });
}

#[test]
fn what_cannot_be_undone_now_is_undone_later_and_keeps_nobody_from_changing_anything() {
    quietly(|| {
        let act = |node: &Node, action| node.sim.act(&action).unwrap();
        let stage = || {
            let node = cut_in_the_middle();
            if node.sim.look().link(&dev("n")).is_some() {
                act(&node, Action::DelLink { name: dev("n") });
            }
            // Hardware that is called so comes meanwhile.
            node.sim.plug("n");
            node
        };
        let node = stage();
        let daemon = node.daemon();
        assert!(daemon.is_unfinished());
        assert_eq!(node.journals(), ["run/journal", "lib/journal"]);
        drop(daemon);
        node.sim.unplug("n");
        let daemon = node.daemon();
        assert!(!daemon.is_unfinished() && node.sim.look().link(&dev("n")).is_some());
        assert_eq!(names(&node.disk.path().join("run/netconf")), ["nets/n"]);
        drop(daemon);
        // Where it never can be, the next change is made all the same, and the journal kept for people.
        let node = stage();
        let daemon = node.daemon();
        daemon.setup(&unchecked(json!({ "o": { "nic": "dummy_2" } }), json!({}))).unwrap();
        assert!(!daemon.is_unfinished());
        assert_eq!(node.journals(), [""; 0]);
        assert!(node.disk.path().join("run/journal.unfinished").exists());
    });
}
