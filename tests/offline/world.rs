//! A host in memory with its running configuration, and short words for what the tests ask of it.
//!
//! What is promised stands in the tests; nothing is asserted here but that a story's own steps
//! succeed.

use serde_json::{Value, json};
use vdsm_configurators::fault::Fuse;
use vdsm_configurators::iproute2::{Action, Kernel, LinkChange, NewLink};
use vdsm_configurators::sim::Sim;
use vdsm_model::bond_options::BondOptions;
use vdsm_model::bridge_options::BridgeOptions;
use vdsm_model::config::{NetConfig, NetworkConfig, Policy};
use vdsm_model::graph::Desired;
use vdsm_model::ip::{Address, MAIN_TABLE, Route};
use vdsm_model::name::{DeviceName, NetworkName};
use vdsm_model::netinfo::{NetInfo, SeenLink};
use vdsm_model::problem::Problem;
use vdsm_model::request::{Request, UnknownKeys};
use vdsm_model::units::{Mtu, VlanTag};
use vdsm_net::host::Host;
use vdsm_net::transaction::{Done, SetupError, Transaction, chain};

use crate::common::{host, policy, state};

pub(crate) const NICS: [&str; 4] = ["dummy_0", "dummy_1", "dummy_2", "dummy_3"];

pub(crate) fn dev(name: &str) -> DeviceName {
    DeviceName::try_from(name).unwrap()
}

pub(crate) fn net(name: &str) -> NetworkName {
    NetworkName::try_from(name).unwrap()
}

/// As the engine sends it, but for the connectivity check.
pub(crate) fn request(networks: Value, bonds: Value) -> Request {
    Request::read(&networks, &bonds, &json!({ "connectivityCheck": false }), UnknownKeys::Refuse)
}

pub(crate) struct World {
    pub(crate) sim: Sim,
    pub(crate) host: Host,
    pub(crate) fuse: Fuse,
    pub(crate) running: NetConfig,
    pub(crate) policy: Policy,
}

impl World {
    pub(crate) fn new() -> World {
        let sim = Sim::with_nics(&NICS);
        World::over(sim.clone(), sim)
    }

    /// With a kernel of the test's own between the configurator and the simulated host.
    pub(crate) fn over(sim: Sim, kernel: impl Kernel + 'static) -> World {
        let fuse = Fuse::never();
        World { host: host(sim.clone(), kernel, &fuse), sim, fuse, running: NetConfig::default(), policy: policy() }
    }

    /// A host with these networks and bonds already.
    pub(crate) fn with(networks: Value, bonds: Value) -> World {
        let mut world = World::new();
        world.set(networks, bonds);
        world
    }

    /// A change that must succeed, in one round and so that a second time changes nothing.
    pub(crate) fn set(&mut self, networks: Value, bonds: Value) -> Done {
        let done =
            self.setup(networks.clone(), bonds.clone()).unwrap_or_else(|e| panic!("{}\n{}", chain(&e), self.text()));
        assert!(done.rounds <= 1, "{} rounds for\n{}", done.rounds, done.plan);
        let mut again = request(networks, bonds);
        again.networks.retain(|_, net| net.is_some());
        again.bonds.retain(|_, bond| bond.is_some());
        let again = Transaction::plan(&mut self.host, &self.running, &again, &self.policy)
            .unwrap_or_else(|e| panic!("{}", chain(&e)));
        assert_eq!(again.plan().to_string(), "nothing to do\n", "a second time, after\n{}", done.plan);
        done
    }

    pub(crate) fn setup(&mut self, networks: Value, bonds: Value) -> Result<Done, SetupError> {
        self.try_request(&request(networks, bonds))
    }

    fn try_request(&mut self, request: &Request) -> Result<Done, SetupError> {
        let done = Transaction::plan(&mut self.host, &self.running, request, &self.policy)?
            .apply()?
            .confirm(None, |_, _| Ok(()))?
            .commit(|_| Ok(()))?;
        self.running = done.config.clone();
        Ok(done)
    }

    /// A change that must succeed, by a request that somebody has made already.
    pub(crate) fn setup_request(&mut self, request: &Request) -> Done {
        self.try_request(request).unwrap_or_else(|e| panic!("{}\n{}", chain(&e), self.text()))
    }

    /// What is wrong with a request; empty when nothing is.
    pub(crate) fn problems(&self, networks: Value, bonds: Value) -> Vec<Problem> {
        self.judge(&request(networks, bonds), &self.sim.look())
    }

    pub(crate) fn judge(&self, request: &Request, seen: &NetInfo) -> Vec<Problem> {
        match Desired::build(&self.running, request, seen, &self.policy) {
            Ok(_) => Vec::new(),
            Err(problems) => problems.all().to_vec(),
        }
    }

    /// The plan of a request and its commands, without doing it.
    pub(crate) fn explain(&mut self, networks: Value, bonds: Value) -> (String, Vec<String>) {
        let planned = Transaction::plan(&mut self.host, &self.running, &request(networks, bonds), &self.policy)
            .unwrap_or_else(|e| panic!("{}", chain(&e)));
        (planned.plan().to_string(), planned.explain().concat())
    }

    pub(crate) fn network(&self, name: &str) -> &NetworkConfig {
        self.running.networks.get(&net(name)).unwrap()
    }

    // The host, looked at.

    pub(crate) fn link(&self, name: &str) -> SeenLink {
        self.sim.look().link(&dev(name)).unwrap_or_else(|| panic!("there is no {name}")).clone()
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.sim.look().link(&dev(name)).is_some()
    }

    pub(crate) fn mtu(&self, name: &str) -> u32 {
        self.link(name).mtu.get()
    }

    pub(crate) fn mtus<const N: usize>(&self, names: [&str; N]) -> [u32; N] {
        names.map(|name| self.mtu(name))
    }

    pub(crate) fn master(&self, name: &str) -> Option<String> {
        self.link(name).master.map(|m| m.to_string())
    }

    pub(crate) fn addresses(&self, name: &str) -> Vec<String> {
        self.link(name).addresses.iter().map(ToString::to_string).collect()
    }

    /// Those of the main table.
    pub(crate) fn routes(&self, name: &str) -> Vec<String> {
        self.routes_where(name, |route| route.table == MAIN_TABLE)
    }

    pub(crate) fn source_routes(&self, name: &str) -> Vec<String> {
        self.routes_where(name, |route| route.table != MAIN_TABLE)
    }

    fn routes_where(&self, name: &str, which: impl Fn(&Route) -> bool) -> Vec<String> {
        self.link(name).routes.iter().filter(|route| which(route)).map(ToString::to_string).collect()
    }

    pub(crate) fn rules(&self) -> Vec<String> {
        self.sim.look().rules().map(ToString::to_string).collect()
    }

    /// All that a rollback must bring back, as text.
    pub(crate) fn text(&self) -> String {
        state::text(&self.sim.look())
    }

    // Strangers, who do as they like.

    pub(crate) fn act(&mut self, action: Action) {
        self.sim.act(&action).unwrap();
    }

    pub(crate) fn change(&mut self, name: &str, change: LinkChange) {
        self.act(Action::SetLink { name: dev(name), change });
    }

    pub(crate) fn set_mtu(&mut self, name: &str, mtu: i64) {
        self.change(name, LinkChange { mtu: Mtu::new(mtu), ..LinkChange::default() });
    }

    pub(crate) fn set_up(&mut self, name: &str, up: bool) {
        self.change(name, LinkChange { up: Some(up), ..LinkChange::default() });
    }

    pub(crate) fn add_address(&mut self, device: &str, address: &str) {
        let (addr, prefix) = address.split_once('/').unwrap();
        self.act(Action::AddAddress {
            device: dev(device),
            address: Address::new(addr.parse().unwrap(), prefix.parse().unwrap()),
            replace: false,
        });
    }

    pub(crate) fn add_default_route(&mut self, device: &str, gateway: &str) {
        self.act(Action::AddRoute {
            device: dev(device),
            route: Route::default_via(gateway.parse().unwrap()),
            replace: false,
        });
    }

    pub(crate) fn add_vlan(&mut self, name: &str, base: &str, tag: i64) {
        self.act(Action::AddLink {
            name: dev(name),
            kind: NewLink::Vlan { device: dev(base), tag: VlanTag::new(tag).unwrap() },
            mtu: None,
            mac: None,
        });
        self.set_up(name, true);
    }

    pub(crate) fn add_bridge(&mut self, name: &str, ports: &[&str]) {
        self.act(Action::AddLink {
            name: dev(name),
            kind: NewLink::Bridge(BridgeOptions::default()),
            mtu: None,
            mac: None,
        });
        self.set_up(name, true);
        ports.iter().for_each(|port| self.join(port, name));
    }

    pub(crate) fn add_bond(&mut self, name: &str, options: &str, slaves: &[&str]) {
        self.act(Action::AddLink {
            name: dev(name),
            kind: NewLink::Bond(BondOptions::parse(options).unwrap()),
            mtu: None,
            mac: None,
        });
        for slave in slaves {
            self.set_up(slave, false);
            self.join(slave, name);
        }
        self.set_up(name, true);
    }

    pub(crate) fn join(&mut self, port: &str, master: &str) {
        self.change(port, LinkChange { master: Some(Some(dev(master))), ..LinkChange::default() });
    }
}
