//! A daemon that dies in the middle of a change of a real kernel, at any single thing it does to the
//! kernel or to the disk, and what the next one makes of it.
//!
//! Here it stops where a killed process would, which can be had at each point; that a real one is
//! killed at some moment is in `here/killed.rs`.

use std::sync::Arc;
use std::time::Duration;

use vdsm_configurators::iproute2::{Iproute2, Rtnetlink};
use vdsm_configurators::resolver::HostResolver;
use vdsm_model::config::NetConfig;
use vdsm_model::request::Request;
use vdsm_net::conf::Settings;
use vdsm_net::engine::Engine;
use vdsm_net::host::{Host, WithResolver};
use vdsm_net::netinfo::{Live, Reader, Watching};
use vdsm_net::transaction::chain;
use vdsm_netlink::CHUNK_MESSAGES;
use vdsm_persistence::{RunningConfig, Tree};

use crate::common::plugged::{Plugged, Runs, account, assert_told, cut, quietly};
use crate::common::random::{Kinds, Random, config};
use crate::common::state;
use crate::walk::{Fakes, apart, nics, outside};

const PATIENCE: Duration = Duration::from_secs(60);

struct Node {
    live: Arc<Live>,
    eyes: Reader,
    _watching: Watching,
    dir: tempfile::TempDir,
    /// Of the last daemon.
    runs: Runs,
}

/// The kernel as we read it; as `ip` and `tc` do, which takes long; and the disk.
type State = (String, Option<String>, Tree);

impl Node {
    fn new(names: &[String], kind: &str) -> Node {
        nics(names, kind);
        let (live, watching) = Live::open(Fakes, PATIENCE, None).unwrap();
        let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        std::fs::write(dir.path().join("resolv.conf"), "nameserver 192.0.2.1\n").unwrap();
        Node { live, eyes: Reader::open(PATIENCE).unwrap(), _watching: watching, dir, runs: Runs::default() }
    }

    fn host(&self) -> Host {
        let resolver = HostResolver::new(self.dir.path().join("resolv.conf"), self.dir.path().join("former-resolver"));
        let kernel =
            Plugged { kernel: Rtnetlink::open(PATIENCE, resolver.clone()).unwrap(), runs: Arc::clone(&self.runs) };
        let eyes = WithResolver { eyes: Arc::clone(&self.live), resolver };
        Host { eyes: Box::new(eyes), hands: Box::new(Iproute2::new(kernel)) }
    }

    fn daemon(&mut self) -> Engine {
        self.runs = Runs::default();
        let dir = self.dir.path();
        let settings = Settings { run_dir: dir.join("run"), lib_dir: dir.join("lib"), ..Settings::default() };
        Engine::with(self.host(), self.host(), &settings).unwrap()
    }

    fn state(&mut self, also_outside: bool) -> State {
        let resolver = std::fs::read_to_string(self.dir.path().join("resolv.conf")).unwrap();
        let seen = self.eyes.look(&Fakes).unwrap();
        let stored = RunningConfig::new(self.dir.path().join("run")).load().unwrap();
        (format!("{}{resolver}", state::text(&seen)), also_outside.then(outside), stored)
    }

    /// Dies at each thing in turn on the way to `wanted`, and arrives there; how often it died.
    fn step(&mut self, wanted: &NetConfig, random: &mut Random, what: &str) -> usize {
        let daemon = self.daemon();
        let wish = between(&daemon.running(), wanted);
        let old = (*daemon.running()).clone();
        // Nics that no network has any more keep IPv6 as it was, so a first time is not like a second.
        let [_, _, after, before] = [wanted, &old, wanted, &old].map(|config| {
            let request = between(&daemon.running(), config);
            daemon.setup(&request).unwrap_or_else(|e| panic!("{what}: {}", chain(&e)));
            self.state(true)
        });
        drop(daemon);
        for at in 0.. {
            let (torn, daemon) = (random.chance(50), self.daemon());
            let done =
                cut(at, torn, || daemon.setup(&wish).map(|_| ()).unwrap_or_else(|e| panic!("{what}: {}", chain(&e))));
            drop(daemon);
            if done.is_some() {
                assert_same(&self.state(true), &after, what);
                return at;
            }
            let story = format!("{what}, cut at {at} (torn: {torn})");
            if let Some(account) = account(&self.dir.path().join("run")) {
                let seen = self.eyes.look(&Fakes).unwrap();
                assert_told(&account, &self.runs, CHUNK_MESSAGES, &seen, &story);
            }
            if random.chance(30) {
                cut(random.below(30), torn, || drop(self.daemon()));
            }
            let daemon = self.daemon();
            let found = self.state(random.chance(15));
            if *daemon.running() == old {
                assert_same(&found, &before, &story);
            } else {
                // It was finished; so it goes back on its own feet.
                assert_same(&found, &after, &story);
                daemon.setup(&between(&daemon.running(), &old)).unwrap_or_else(|e| panic!("{story}: {}", chain(&e)));
                let back = self.state(false);
                assert_same(&back, &before, &format!("{story}, and back"));
            }
        }
        unreachable!()
    }
}

#[track_caller]
fn assert_same(found: &State, wished: &State, story: &str) {
    assert_eq!(found.0, wished.0, "{story}:\n{}", state::difference(&wished.0, &found.0));
    if let (Some(found), Some(wished)) = (&found.1, &wished.1) {
        assert_eq!(found, wished, "{story}, as ip sees it:\n{}", state::difference(wished, found));
    }
    assert_eq!(found.2, wished.2, "{story}: the disk");
}

fn between(from: &NetConfig, to: &NetConfig) -> Request {
    let mut request = Request::between(from, to);
    request.options.connectivity_check = false;
    request
}

/// How many changes, and over what. `VDSM_KILLED_CHANGES` asks for another number.
pub fn die_everywhere(seed: u64, changes: usize, kind: &'static str, kinds: Kinds) {
    let asked = std::env::var("VDSM_KILLED_CHANGES").ok().and_then(|text| text.parse().ok());
    let changes: usize = asked.unwrap_or(changes);
    apart(move || {
        quietly(|| {
            let names: Vec<String> = (0..5).map(|n| format!("{kind}_{n}")).collect();
            let mut node = Node::new(&names, kind);
            let mut random = Random(seed);
            let mut deaths = 0;
            for change in 0..changes {
                let wanted = config(&mut random, &names, kinds);
                deaths += node.step(&wanted, &mut random, &format!("seed {seed}, change {change}"));
            }
            println!("{changes} changes, {deaths} deaths");
            assert!(deaths > 10 * changes, "{changes} changes, {deaths} deaths");
        });
    });
}
