//! The laws on a real kernel: it arrives, a second time changes nothing, and from any interruption
//! it finds back, kernel and disk. The same walk as offline, over this kernel's own devices.

use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use vdsm_configurators::fault::{Disturbed, Fuse};
use vdsm_configurators::iproute2::Rtnetlink;
use vdsm_configurators::resolver::HostResolver;
use vdsm_model::config::NetConfig;
use vdsm_model::request::Request;
use vdsm_net::host::{Host, WithResolver};
use vdsm_net::netinfo::{Live, NicRule, Reader, Watching};
use vdsm_net::transaction::{Done, SetupError, Transaction, chain};
use vdsm_persistence::{RunningConfig, Tree};

use crate::look::batch;

use crate::common::random::{Kinds, Random, config};
use crate::common::vanishing::{self, Victim};
use crate::common::{host, policy, state};

/// What the walks' nics are called.
pub struct Fakes;

impl NicRule for Fakes {
    fn is_fake(&self, name: &str) -> bool {
        name.starts_with("dummy_") || name.starts_with("veth_")
    }

    fn is_hidden(&self, _: &str) -> bool {
        false
    }
}

fn run(words: &str) {
    let mut words = words.split(' ');
    let done = Command::new(words.next().unwrap()).args(words).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

/// What `ip` and `tc` say, without what changes by itself or with a device made anew.
pub fn outside() -> String {
    let text = batch(&["-d", "-j"], "addr show\nroute show table all proto static\nrule show\n").unwrap();
    let mut tables =
        serde_json::Deserializer::from_str(&text).into_iter::<Vec<serde_json::Value>>().map(Result::unwrap);
    let mut lines: Vec<String> = tables.next().unwrap().iter_mut().map(line).collect();
    for mut other in tables.flatten() {
        // A carrier comes and goes by itself.
        other.as_object_mut().unwrap().remove("flags");
        lines.push(other.to_string());
    }
    let shaped = Command::new("tc").args(["qdisc", "show"]).output().unwrap();
    let shaped = String::from_utf8(shaped.stdout).unwrap();
    // The kernel's own have no handle. What fq_codel takes at once is the device's MTU when it is made.
    let steady = |line: &str| {
        let (front, rest) = line.split_once(" quantum ").unwrap_or((line, ""));
        format!("{front}{}", rest.trim_start_matches(|c: char| c.is_ascii_digit()))
    };
    lines.extend(shaped.lines().filter(|line| !line.contains(" 0: ")).map(steady));
    lines.sort();
    lines.join("\n")
}

fn line(link: &mut serde_json::Value) -> String {
    let pick =
        |v: &serde_json::Value, keys: &[&str]| -> Vec<String> { keys.iter().map(|k| v[*k].to_string()).collect() };
    let mut addresses: Vec<String> = link["addr_info"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|a| a["scope"] != "link")
        .map(|a| pick(a, &["local", "prefixlen", "broadcast", "secondary"]).join(" "))
        .collect();
    addresses.sort();
    let mut data = link["linkinfo"]["info_data"].clone();
    if let Some(map) = data.as_object_mut() {
        // Timers run, identifiers follow addresses, LACP talks, and a spanning tree that changes
        // shortens the ageing time for a while (net/bridge/br_stp.c).
        map.retain(|key, _| {
            !["timer", "_id", "root", "ad_info", "active_slave", "topology", "primary", "ageing_time"]
                .iter()
                .any(|w| key.contains(w))
        });
    }
    if data["mode"].is_string() && data["mode"] != "802.3ad" {
        // The kernel keeps the values of another mode asleep: they can be neither seen to matter
        // nor be set in this one.
        data.as_object_mut().unwrap().retain(|key, _| !key.starts_with("ad_") && !key.starts_with("tlb_"));
    }
    let up = link["flags"].as_array().unwrap().contains(&"UP".into());
    let kind = link["linkinfo"]["info_kind"].to_string();
    format!(
        "{} up {up} {kind} {data} {addresses:?}",
        pick(link, &["ifname", "mtu", "master", "link", "group"]).join(" ")
    )
}

/// A namespace of the calling thread's own, with these nics.
pub fn nics(names: &[String], kind: &str) {
    nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).unwrap();
    run("ip link set lo up");
    names.iter().for_each(|nic| plug(nic, kind));
}

/// A nic as new, up, and with the same hardware address each time.
fn plug(nic: &str, kind: &str) {
    let number: u8 = nic.rsplit('_').next().unwrap().parse().unwrap();
    let peer = if kind == "veth" { format!(" peer name peer{number}") } else { String::new() };
    run(&format!("ip link add {nic} address 02:00:00:00:01:{number:02x} type {kind}{peer}"));
    run(&format!("ip link set {nic} up"));
}

fn unplug(nic: &str) {
    run(&format!("ip link del {nic}"));
}

/// Does something in a thread, whose network namespace goes with it.
pub fn apart<T: Send + 'static>(act: impl FnOnce() -> T + Send + 'static) -> T {
    std::thread::spawn(act).join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

struct Walk {
    kind: &'static str,
    host: Host,
    live: Arc<Live>,
    eyes: Reader,
    _watching: Watching,
    /// When an action fails, and when something happens to the host.
    fuse: Fuse,
    misfortune: Fuse,
    store: RunningConfig,
    running: NetConfig,
    dir: tempfile::TempDir,
}

impl Walk {
    fn new(nics: &[String], kind: &'static str) -> Walk {
        Walk::with(nics, kind, || ())
    }

    /// One to whose host something happens.
    fn with(nics: &[String], kind: &'static str, what: impl FnMut() + Send + 'static) -> Walk {
        self::nics(nics, kind);
        // The eyes that change the host are the daemon's; those that judge read its tables.
        let (live, watching) = Live::open(Fakes, Duration::from_secs(60), None).unwrap();
        let eyes = Reader::open(Duration::from_secs(60)).unwrap();
        let fuse = Fuse::never();
        let dir = tempfile::tempdir_in(if Path::new("/dev/shm").exists() { "/dev/shm" } else { "/tmp" }).unwrap();
        let resolver = HostResolver::new(dir.path().join("resolv.conf"), dir.path().join("former-resolver"));
        let kernel = Rtnetlink::open(Duration::from_secs(60), resolver.clone()).unwrap();
        std::fs::write(dir.path().join("resolv.conf"), "search example.org\nnameserver 192.0.2.1").unwrap();
        let store = RunningConfig::new(dir.path().to_owned());
        let misfortune = Fuse::never();
        let kernel = Disturbed { inner: kernel, fuse: misfortune.clone(), what: Box::new(what) };
        Walk {
            kind,
            host: host(WithResolver { eyes: Arc::clone(&live), resolver }, kernel, &fuse),
            live,
            _watching: watching,
            eyes,
            fuse,
            misfortune,
            store,
            running: NetConfig::default(),
            dir,
        }
    }

    fn setup(&mut self, wanted: &NetConfig) -> Result<Done, SetupError> {
        let request = Request::between(&self.running, wanted);
        let store = &self.store;
        Transaction::plan(&mut self.host, &self.running, &request, &policy())?
            .apply()?
            .confirm(None, |_, _| Ok(()))?
            .commit(|config| {
                let (nets, bonds) = config.to_stored();
                store.save(&Tree { nets, bonds })
            })
    }

    fn state(&mut self) -> (String, Tree) {
        let resolver =
            ["resolv.conf", "former-resolver"].map(|name| std::fs::read_to_string(self.dir.path().join(name)));
        (format!("{}{resolver:?}", state::text(&self.eyes.look(&Fakes).unwrap())), self.store.load().unwrap())
    }

    /// Fails at each action in turn, then succeeds.
    fn step(&mut self, wanted: &NetConfig, every: usize, what: &str) {
        let before = self.state();
        let outside_before = outside();
        for failing in 0.. {
            self.fuse.after(failing * every);
            let outcome = self.setup(wanted);
            if self.fuse.is_set() || outcome.is_ok() {
                self.fuse.after(usize::MAX);
                let done = outcome.unwrap_or_else(|e| panic!("{what}: {}", chain(&e)));
                assert!(done.rounds <= 1, "{what}: {} rounds for\n{}from\n{}", done.rounds, done.plan, before.0);
                break;
            }
            match outcome {
                Err(SetupError::RolledBack { missing, .. }) if missing.is_empty() => {}
                Err(other) => panic!("{what}, failing at {failing}: {}", chain(&other)),
                Ok(_) => unreachable!(),
            }
            let after = self.state();
            assert_eq!(
                after.0,
                before.0,
                "{what}, failing at action {failing}:\n{}",
                state::difference(&before.0, &after.0)
            );
            assert_eq!(after.1, before.1, "{what}, failing at action {failing}: the disk");
            let outside_after = outside();
            assert_eq!(
                outside_after,
                outside_before,
                "{what}, failing at {failing}, as ip sees it:\n{}",
                state::difference(&outside_before, &outside_after)
            );
        }
        let arrived = outside();
        self.is_there(wanted, what);
        assert_eq!(outside(), arrived, "{what}");
        self.running = wanted.clone();
    }

    /// A second time changes nothing.
    fn is_there(&mut self, wanted: &NetConfig, what: &str) {
        let again = Transaction::plan(&mut self.host, wanted, &Request::between(wanted, wanted), &policy())
            .unwrap_or_else(|e| panic!("{what}: {}", chain(&e)));
        assert_eq!(again.plan().to_string(), "nothing to do\n", "{what}: a second time");
    }
}

impl vanishing::Ground for Walk {
    fn host(&mut self) -> &mut Host {
        &mut self.host
    }

    fn text(&mut self) -> String {
        self.state().0
    }

    fn plug(&mut self, nic: &str) {
        plug(nic, self.kind);
    }

    fn unplug(&mut self, nic: &str) {
        unplug(nic);
    }
}

/// Loses a nic before every `every`-th action.
pub fn vanishing(seeds: std::ops::Range<u64>, steps: usize, every: usize, kind: &'static str, kinds: Kinds) {
    for seed in seeds {
        let lost = apart(move || {
            let nics: Vec<String> = (0..5).map(|n| format!("{kind}_{n}")).collect();
            let victim = Victim::default();
            let what = {
                let victim = victim.clone();
                move || unplug(&victim.lock().unwrap())
            };
            let mut walk = Walk::with(&nics, kind, what);
            let fuse = walk.misfortune.clone();
            vanishing::everywhere(&mut walk, (&fuse, &victim), &nics, kinds, (seed, steps, every))
        });
        assert!(lost > steps, "seed {seed}: lost {lost} times");
    }
}

/// What another tool may do to a device of ours.
const PRANKS: [&str; 8] = [
    "link set DEV down",
    "link set DEV nomaster",
    "link set DEV mtu 1400",
    "link set DEV address 02:00:00:00:77:01",
    "addr add 10.99.0.1/24 dev DEV",
    "addr flush dev DEV",
    "route flush dev DEV",
    "link del DEV",
];

/// Before every `every`-th action of each step somebody else does one of [`PRANKS`]: it ends as before or
/// as wished.
pub fn meddling(seeds: std::ops::Range<u64>, steps: usize, every: usize, kind: &'static str, kinds: Kinds) {
    for seed in seeds {
        let (done, undone) = apart(move || {
            let nics: Vec<String> = (0..5).map(|n| format!("{kind}_{n}")).collect();
            let prank = Arc::new(Mutex::new(String::new()));
            let what = {
                let prank = prank.clone();
                // What the kernel refuses, it refuses.
                move || drop(crate::look::try_ip(&format!("{}\n", prank.lock().unwrap())))
            };
            let (mut walk, mut random) = (Walk::with(&nics, kind, what), Random(seed));
            let (mut done, mut undone) = (0, 0);
            for step in 0..steps {
                let wanted = config(&mut random, &nics, kinds);
                if [&walk.running, &wanted].iter().all(|it| it.networks.is_empty() && it.bonds.is_empty()) {
                    continue;
                }
                for at in 0.. {
                    let before = (walk.state(), outside());
                    let next = a_prank(&mut random, &walk.running, &wanted, &nics);
                    let story = format!("seed {seed}, step {step}, before action {}: {next}", at * every);
                    *prank.lock().unwrap() = next;
                    walk.misfortune.after(at * every);
                    let outcome = walk.setup(&wanted);
                    if walk.misfortune.is_set() {
                        walk.misfortune.after(usize::MAX);
                        outcome.unwrap_or_else(|e| panic!("{story}: {}", chain(&e)));
                        break;
                    }
                    match outcome {
                        Ok(_) => {
                            walk.is_there(&wanted, &story);
                            let former = std::mem::replace(&mut walk.running, wanted.clone());
                            walk.setup(&former).unwrap_or_else(|e| panic!("{story}, and back: {}", chain(&e)));
                            walk.running = former;
                            done += 1;
                        }
                        Err(SetupError::RolledBack { .. }) => {
                            let after = (walk.state(), outside());
                            let differs = state::difference(&before.0.0, &after.0.0);
                            assert!(after == before, "{story}:\n{differs}\n{}", state::difference(&before.1, &after.1));
                            undone += 1;
                        }
                        Err(other) => panic!("{story}: {}", chain(&other)),
                    }
                }
                walk.running = wanted;
            }
            (done, undone)
        });
        assert!(done + undone > steps, "seed {seed}: {done} done, {undone} undone");
    }
}

/// Something done to one of the devices that a change is about.
fn a_prank(random: &mut Random, old: &NetConfig, new: &NetConfig, nics: &[String]) -> String {
    let concerned = |nic: &&String| [old, new].iter().any(|it| vanishing::uses(it, nic));
    let mut devices: Vec<String> = nics.iter().filter(concerned).cloned().collect();
    for config in [old, new] {
        devices.extend(config.networks.keys().map(ToString::to_string));
        devices.extend(config.bonds.keys().map(ToString::to_string));
    }
    let device = random.pick(&devices);
    let prank = random.pick(&PRANKS).replace("DEV", &device);
    // A nic that is gone is the affair of another law.
    let is_nic = nics.contains(&device) && prank.starts_with("link del");
    if is_nic { format!("link set {device} down") } else { prank }
}

fn walk(seeds: std::ops::Range<u64>, steps: usize, every: usize, kind: &'static str, kinds: Kinds) {
    for seed in seeds {
        apart(move || {
            let nics: Vec<String> = (0..5).map(|n| format!("{kind}_{n}")).collect();
            let mut walk = Walk::new(&nics, kind);
            let mut random = Random(seed);
            for step in 0..steps {
                let wanted = config(&mut random, &nics, kinds);
                walk.step(&wanted, every, &format!("seed {seed}, step {step}"));
            }
        });
    }
}

/// On this kernel: bridges over veth.
pub fn bridges() {
    walk(0..6, 3, 3, "veth", Kinds { bonds: false, vlans: false });
}

/// Everything: bonds, VLANs and bridges over dummies.
pub fn everything(part: u64) {
    walk(part * 1000..part * 1000 + 20, 5, 4, "dummy", Kinds { bonds: true, vlans: true });
}

/// Failing at every single action.
pub fn every_action(part: u64) {
    walk(part * 1000 + 500..part * 1000 + 503, 4, 1, "dummy", Kinds { bonds: true, vlans: true });
}

/// What a request costs: no question until it changes something, and one whole look at most to verify it.
pub fn questions(kind: &'static str, kinds: Kinds) {
    apart(move || {
        let names: Vec<String> = (0..5).map(|n| format!("{kind}_{n}")).collect();
        let mut walk = Walk::new(&names, kind);
        let mut random = Random(99);
        for step in 0..6 {
            let wanted = config(&mut random, &names, kinds);
            let request = Request::between(&walk.running, &wanted);
            let readings = walk.live.readings();
            // Whoever listens may ask what the last change has left open; so it is tried until he is done.
            let mut is_quiet = || {
                walk.live.settled().unwrap();
                let before = walk.live.questions();
                Transaction::plan(&mut walk.host, &walk.running, &request, &policy()).unwrap();
                walk.live.questions() == before
            };
            assert!((0..100).any(|_| is_quiet()), "step {step}: a plan is made of what is known");
            let planned = Transaction::plan(&mut walk.host, &walk.running, &request, &policy()).unwrap();
            planned.apply().unwrap_or_else(|e| panic!("step {step}: {}", chain(&e)));
            assert!(walk.live.readings() - readings <= 1, "step {step}: it is verified by one look");
            walk.running = wanted;
        }
    });
}
