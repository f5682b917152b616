//! The keeper over the simulated host, with a clock of the test's own: what it does, what it tells,
//! and when it leaves things alone.
//!
//! Here is the stage: a host, somebody who listens, and time that passes when it is told to.

mod drift;
mod late;
mod leases;
mod quiet;
#[path = "../../tests/common/random.rs"]
#[allow(dead_code, unreachable_pub)]
mod random;

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};

use tempfile::TempDir;
use vdsm_configurators::iproute2::{Action, Iproute2, Kernel, LinkChange, NewLink};
use vdsm_configurators::sim::Sim;
use vdsm_configurators::{Begin, RunError};
use vdsm_model::bond_options::BondOptions;
use vdsm_model::config::{Base, BondConfig, NetworkConfig, Switch};
use vdsm_model::ip::{Address, Route};
use vdsm_model::name::NetworkName;
use vdsm_model::request::Request;
use vdsm_model::units::{Mtu, Prefixed, VlanTag};

use super::*;
use crate::conf::Settings;
use crate::host::Host;

use crate::hub::{Kinds, Mailbox};
use crate::server::Feed;

const NICS: [&str; 4] = ["eth0", "eth1", "eth2", "eth3"];

fn dev(name: &str) -> DeviceName {
    DeviceName::try_from(name).unwrap()
}

fn network(name: &str) -> NetworkName {
    NetworkName::try_from(name).unwrap()
}

/// Bridged, on a nic.
fn on_nic(nic: &str) -> NetworkConfig {
    NetworkConfig { base: Some(Base::Nic(dev(nic))), ..NetworkConfig::new() }
}

/// The same with an address of 10.0.0.0/24.
fn with_address(nic: &str, last: u8) -> NetworkConfig {
    NetworkConfig { ipv4: Some(Prefixed { addr: [10, 0, 0, last].into(), prefix: 24 }), ..on_nic(nic) }
}

fn on_bond(bond: &str, tag: i64) -> NetworkConfig {
    NetworkConfig { base: Some(Base::Bond(dev(bond))), vlan: VlanTag::new(tag), ..NetworkConfig::new() }
}

fn address(text: &str) -> Address {
    Address::new(text.parse().unwrap(), 24)
}

fn config<const N: usize>(networks: [(&str, NetworkConfig); N]) -> NetConfig {
    let networks = networks.into_iter().map(|(name, net)| (network(name), net)).collect();
    NetConfig { networks, ..NetConfig::default() }
}

/// The configuration with one more bond.
fn and_bond(mut config: NetConfig, name: &str, nics: &[&str]) -> NetConfig {
    let text = "mode=1 miimon=100";
    let bond = BondConfig {
        nics: nics.iter().map(|nic| dev(nic)).collect(),
        options: BondOptions::parse(text).unwrap(),
        options_text: text.to_owned(),
        hwaddr: None,
        switch: Switch::Legacy,
    };
    config.bonds.insert(dev(name), bond);
    config
}

/// What the kernel is asked for, and refuses.
#[derive(Debug, Default)]
struct Moods {
    /// Bridges it does not make.
    refused: BTreeSet<DeviceName>,
    refusals: usize,
    changes: usize,
    /// At its next change it says that it was asked, and waits until it may.
    gate: Option<(Sender<()>, Receiver<()>)>,
}

#[derive(Debug)]
struct Moody(Sim, Arc<Mutex<Moods>>);

impl Kernel for Moody {
    fn run(
        &mut self,
        actions: &[(usize, Action)],
        seen: &NetInfo,
        begin: &mut Begin<'_>,
    ) -> Result<(), (usize, RunError)> {
        let gate = self.1.lock().unwrap().gate.take();
        if let Some((asked, may)) = gate {
            asked.send(()).unwrap();
            may.recv().unwrap();
        }
        let mut moods = self.1.lock().unwrap();
        moods.changes += 1;
        let is_refused =
            |action: &Action| matches!(action, Action::AddLink { name, .. } if moods.refused.contains(name));
        if let Some(at) = actions.iter().position(|(_, action)| is_refused(action)) {
            moods.refusals += 1;
            self.0.run(&actions[..at], seen, begin)?;
            return Err((at, RunError::Simulated("not today".to_owned())));
        }
        self.0.run(actions, seen, begin)
    }
}

struct Stage {
    sim: Sim,
    moods: Arc<Mutex<Moods>>,
    engine: Arc<Engine>,
    hub: Arc<Hub>,
    mailbox: Arc<Mailbox>,
    keeper: Keeper,
    known: Arc<NetInfo>,
    now: Instant,
    disk: TempDir,
}

impl Stage {
    /// A host with this configuration, and a keeper who has seen that all is well.
    fn new(drift: Drift, config: NetConfig) -> Stage {
        let (sim, moods, disk) = (Sim::with_nics(&NICS), Arc::default(), TempDir::new().unwrap());
        let engine = open(&sim, &moods, &disk);
        let (hub, now) = (Arc::new(Hub::default()), Instant::now());
        let kinds = Kinds::NONE.and("out_of_sync").unwrap().and("in_sync").unwrap();
        let mailbox = hub.subscribe(kinds);
        let keeper = Keeper::new(Arc::clone(&engine), Arc::clone(&hub), drift, now);
        let mut stage = Stage { known: Arc::new(sim.look()), sim, moods, engine, hub, mailbox, keeper, now, disk };
        stage.set(&config);
        stage.rest();
        assert_eq!(stage.heard(), [""; 0]);
        stage.moods.lock().unwrap().changes = 0;
        stage
    }

    /// The daemon alone begins anew.
    fn restart(&mut self) {
        self.engine = open(&self.sim, &self.moods, &self.disk);
        self.keeper = Keeper::new(Arc::clone(&self.engine), Arc::clone(&self.hub), self.keeper.drift, self.now);
        self.known = Arc::new(self.sim.look());
    }

    fn set(&self, config: &NetConfig) {
        let request = Request::between(&self.engine.running(), config);
        self.engine.setup(&request).unwrap_or_else(|error| panic!("{}", chain(&error)));
    }

    /// Has the keeper see what has changed, and do what is due.
    fn turn(&mut self) {
        let after = Arc::new(self.sim.look());
        let names = self.known.links().chain(after.links()).map(|link| link.name);
        let text = |host: &NetInfo, name: &DeviceName| format!("{:?}", host.link(name));
        let links: BTreeSet<DeviceName> = names.filter(|name| text(&self.known, name) != text(&after, name)).collect();
        if !links.is_empty() {
            let before = std::mem::replace(&mut self.known, Arc::clone(&after));
            self.keeper.see(&Moment { before, after, links }, self.now);
        }
        self.keeper.act(self.now);
    }

    /// Lets time pass, with the keeper awake whenever it wants to be.
    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            self.turn();
            let patience = self.keeper.patience(self.now);
            if self.now + patience > end {
                self.now = end;
                return;
            }
            // A patience of nothing is for what comes right after.
            self.now += patience.max(Duration::from_micros(1));
        }
    }

    /// Lets time pass until all that follows has followed.
    fn rest(&mut self) {
        self.pass(Duration::from_millis(900));
    }

    /// What was said of drift since the last time.
    fn heard(&self) -> Vec<String> {
        let mut all = Vec::new();
        while let Some(lines) = self.mailbox.take() {
            let lines = String::from_utf8(lines).unwrap();
            let params = lines.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
            all.extend(params.map(|line| events::sentence(&line["params"])));
        }
        all
    }

    /// How often the kernel was asked for a change since the last time.
    fn changes(&self) -> usize {
        std::mem::take(&mut self.moods.lock().unwrap().changes)
    }

    fn refusals(&self) -> usize {
        std::mem::take(&mut self.moods.lock().unwrap().refusals)
    }

    fn refuse(&self, bridges: &[&str]) {
        self.moods.lock().unwrap().refused = bridges.iter().map(|name| dev(name)).collect();
    }

    // The host, looked at.

    fn index(&self, name: &str) -> Option<u32> {
        self.sim.look().link(&dev(name)).map(|link| link.index)
    }

    fn has(&self, name: &str) -> bool {
        self.index(name).is_some()
    }

    fn ports(&self, master: &str) -> Vec<String> {
        self.sim.look().ports_of(dev(master)).map(|port| port.name.to_string()).collect()
    }

    fn addresses(&self, name: &str) -> Vec<String> {
        let look = self.sim.look();
        look.link(&dev(name)).unwrap().addresses.iter().map(ToString::to_string).collect()
    }

    // Strangers, who do as they like.

    fn act(&self, action: Action) {
        self.sim.act(&action).unwrap();
    }

    fn change(&self, name: &str, change: LinkChange) {
        self.act(Action::SetLink { name: dev(name), change });
    }

    fn set_mtu(&self, name: &str, mtu: i64) {
        self.change(name, LinkChange { mtu: Mtu::new(mtu), ..LinkChange::default() });
    }

    fn release(&self, port: &str) {
        self.change(port, LinkChange { master: Some(None), ..LinkChange::default() });
    }

    fn add_bridge(&self, name: &str, port: &str) {
        let kind = NewLink::Bridge(Default::default());
        self.act(Action::AddLink { name: dev(name), kind, mtu: None, mac: None });
        self.change(port, LinkChange { master: Some(Some(dev(name))), ..LinkChange::default() });
    }

    fn delete(&self, name: &str) {
        self.act(Action::DelLink { name: dev(name) });
    }

    fn drop_address(&self, device: &str, text: &str) {
        self.act(Action::DelAddress { device: dev(device), address: address(text) });
    }

    fn add_address(&self, device: &str, text: &str) {
        self.act(Action::AddAddress { device: dev(device), address: address(text), replace: false });
    }

    fn drop_route(&self, device: &str, route: Route) {
        self.act(Action::DelRoute { device: dev(device), route });
    }
}

fn open(sim: &Sim, moods: &Arc<Mutex<Moods>>, disk: &TempDir) -> Arc<Engine> {
    let settings =
        Settings { run_dir: disk.path().join("run"), lib_dir: disk.path().join("lib"), ..Settings::default() };
    let host = || {
        let hands = Iproute2::new(Moody(sim.clone(), Arc::clone(moods)));
        Host { eyes: Box::new(sim.clone()), hands: Box::new(hands) }
    };
    Arc::new(Engine::with(host(), host(), &settings).unwrap())
}
