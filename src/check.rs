//! Drift: the running configuration held against the host as it is, each difference in words.
//!
//! Nothing is compared here that the planner would not compare: what re-applying the running
//! configuration leaves alone is in sync. Who looks at the host, and when, and who mends it, is
//! not known here; mending is an ordinary transaction of [`Checked::request`].

mod concerned;
mod judge;
mod owners;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

pub use concerned::concerned;
use judge::{Judged, judge};
use owners::{Entity, Owners};
use serde_json::{Map, Value, json};
use vdsm_model::config::{Base, Combination, NetConfig, NetworkConfig, Networks, Policy};
use vdsm_model::graph::Stack;
use vdsm_model::name::{DeviceName, NetworkName};
use vdsm_model::netinfo::{NetInfo, SeenLink};
use vdsm_model::plan::{Part, Plan};
use vdsm_model::request::Request;

use crate::restore;

/// Some networks and bonds of a configuration; names of others mean nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// By name.
    pub networks: BTreeSet<NetworkName>,
    /// By name.
    pub bonds: BTreeSet<DeviceName>,
}

impl Selection {
    /// Whether nothing is selected.
    pub fn is_empty(&self) -> bool {
        self.networks.is_empty() && self.bonds.is_empty()
    }

    fn add(&mut self, entity: Entity<'_>) {
        match entity {
            Entity::Network(name) => self.networks.insert(name.clone()),
            Entity::Bond(name) => self.bonds.insert(name),
        };
    }
}

/// What was found, and what would mend it.
#[derive(Clone, Debug)]
pub struct Checked {
    /// Each network that was looked at.
    pub networks: BTreeMap<NetworkName, Verdict>,
    /// Each bond that was looked at; those below the networks among them.
    pub bonds: BTreeMap<DeviceName, Verdict>,
    /// What would mend all that can be mended now.
    pub plan: Plan,
    /// The request whose plan that is, under the relaxed combination rule. It names what is in sync
    /// as well, and leaves out what cannot be had now: a missing slave, a network on a missing nic.
    /// Who carries it out keeps the running configuration as it was.
    pub request: Request,
}

/// How one network or bond is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// In a word.
    pub state: State,
    /// In sentences; none when it is in sync, and only then.
    pub differences: Vec<Difference>,
}

/// How a network or bond is, in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// Re-applying it would change nothing.
    InSync,
    /// Something of it is otherwise, or cannot be judged by the rules.
    Drifted,
    /// Its device, or one it must stand on, is not there.
    Missing,
}

impl State {
    /// As the API spells it.
    pub fn word(self) -> &'static str {
        match self {
            State::InSync => "in_sync",
            State::Drifted => "drifted",
            State::Missing => "missing",
        }
    }
}

/// One thing that is not as configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The device; none where it is not about a single one.
    pub device: Option<DeviceName>,
    /// One plain sentence, without a full stop.
    pub text: String,
    /// The step of the plan, from 0, after which it is gone; none where nothing can mend it now.
    pub mends: Option<usize>,
}

/// Holds the running configuration against the host.
///
/// `only`: the networks and bonds to look at, the bonds below these networks with them; none for
/// all. Few of many cost little more than planning for these few.
///
/// Never fails: what cannot be judged is itself a difference, in words. What cannot be had now (a
/// missing nic, see [`restore::possible`]) is told, and the rest is judged without it.
/// What strangers hold is left alone, and what else is the matter with it is told from a second look, on
/// a host on which they do not.
pub fn check(running: &NetConfig, seen: &NetInfo, policy: &Policy, only: Option<&Selection>) -> Checked {
    // What runs was allowed once: a stricter rule of today makes it no drift.
    let policy = Policy { combination: Combination::Relaxed, ..policy.clone() };
    let (mut checked, held) = look(running, seen, &policy, only);
    if !held.devices.is_empty() {
        // What else is the matter with those shows on a host on which nobody held anything.
        let free = held.devices.iter().filter_map(|device| seen.link(device));
        let free = free.map(|link| (link.name, Some(SeenLink { master: None, ..link.clone() })));
        let (freed, _) = look(running, &seen.clone().with(free), &policy, Some(&held.whose));
        checked.tell_also(&held.whose, freed);
    }
    checked
}

/// What strangers hold, and whose it is.
#[derive(Default)]
struct Held {
    whose: Selection,
    devices: BTreeSet<DeviceName>,
}

fn look(running: &NetConfig, seen: &NetInfo, policy: &Policy, only: Option<&Selection>) -> (Checked, Held) {
    let chosen = chosen(running, only);
    let possible = restore::possible(&chosen, seen, policy).config;
    let mut judged = judge(running, &chosen, possible, seen, policy);
    judged.tell_of_what_was_left_out(&chosen, seen);
    let (networks, bonds) = Checker::new(&chosen, seen, &judged).verdicts();
    let Judged { plan, request, held, .. } = judged;
    (Checked { networks, bonds, plan, request }, held)
}

/// The selected part of a configuration, with the bonds that it stands on.
fn chosen<'a>(running: &'a NetConfig, only: Option<&Selection>) -> Cow<'a, NetConfig> {
    let Some(only) = only else { return Cow::Borrowed(running) };
    let networks = only.networks.iter().filter_map(|name| Some((name.clone(), running.networks.shared(name)?.clone())));
    let networks: Networks = networks.collect();
    let below = networks.values().filter_map(|net| net.base.map(Base::device));
    let bonds = below.chain(only.bonds.iter().copied());
    let bonds = bonds.filter_map(|name| Some((name, running.bonds.shared(&name)?.clone()))).collect();
    Cow::Owned(NetConfig { networks, bonds })
}

/// Makes verdicts of what was judged.
struct Checker<'a> {
    chosen: &'a NetConfig,
    seen: &'a NetInfo,
    judged: &'a Judged<'a>,
    /// What the graphs say, by whom it concerns.
    told: BTreeMap<Entity<'a>, Vec<Difference>>,
}

impl<'a> Checker<'a> {
    fn new(chosen: &'a NetConfig, seen: &'a NetInfo, judged: &'a Judged<'a>) -> Checker<'a> {
        let slaves = |bond: DeviceName| judged.wished.device(&bond).and_then(|d| d.ports().cloned());
        let owners = Owners::new(chosen, seen, |bond, config| slaves(bond).unwrap_or_else(|| config.nics.clone()));
        let mut told: BTreeMap<Entity<'a>, Vec<Difference>> = BTreeMap::new();
        for (entities, difference) in judged.differences(&owners, chosen, seen) {
            for entity in entities {
                told.entry(entity).or_default().push(difference.clone());
            }
        }
        Checker { chosen, seen, judged, told }
    }

    fn verdicts(mut self) -> (BTreeMap<NetworkName, Verdict>, BTreeMap<DeviceName, Verdict>) {
        let chosen = self.chosen;
        let bonds = chosen.bonds.keys().map(|name| (*name, self.bond(*name))).collect();
        let networks = chosen.networks.iter().map(|(name, net)| (name.clone(), self.network(name, net, &bonds)));
        (networks.collect(), bonds)
    }

    fn is_there(&self, device: DeviceName) -> bool {
        self.seen.link(&device).is_some()
    }

    fn bond(&mut self, name: DeviceName) -> Verdict {
        let nics = self.chosen.bonds.get(&name).map(|bond| &bond.nics);
        let (there, missing): (Vec<DeviceName>, Vec<DeviceName>) =
            nics.into_iter().flatten().copied().partition(|nic| self.is_there(*nic));
        let mut differences: Vec<Difference> =
            missing.iter().map(|nic| lasting(Some(*nic), format!("its slave {nic} is missing"))).collect();
        differences.extend(self.said_of(Entity::Bond(name)));
        let lost = !self.is_there(name) || there.is_empty() && !missing.is_empty();
        Verdict::of(lost, differences)
    }

    fn network(
        &mut self,
        name: &'a NetworkName,
        net: &NetworkConfig,
        bonds: &BTreeMap<DeviceName, Verdict>,
    ) -> Verdict {
        let mut differences: Vec<Difference> = self.base(net, bonds).into_iter().collect();
        differences.extend(self.said_of(Entity::Network(name)));
        let lost = Stack::of(name, net, self.seen).devices().any(|device| !self.is_there(device));
        Verdict::of(lost, differences)
    }

    /// What is the matter with the nic or bond that a network stands on. What exactly it is with a
    /// bond of ours, the bond's verdict says.
    fn base(&self, net: &NetworkConfig, bonds: &BTreeMap<DeviceName, Verdict>) -> Option<Difference> {
        match net.base? {
            Base::Nic(nic) if !self.is_there(nic) => Some(lasting(Some(nic), format!("its nic {nic} is missing"))),
            Base::Nic(_) => None,
            Base::Bond(bond) => {
                let what = match bonds.get(&bond) {
                    _ if !self.is_there(bond) => "missing",
                    Some(verdict) if verdict.state != State::InSync => "out of sync",
                    _ => return None,
                };
                let mends = self.judged.mends(bond, Part::Device);
                Some(Difference { device: Some(bond), text: format!("its bond {bond} is {what}"), mends })
            }
        }
    }

    /// What the rules, and then the graphs, say of an entity.
    fn said_of(&mut self, entity: Entity<'a>) -> Vec<Difference> {
        let refused = self.judged.refused.get(&entity).into_iter().flatten();
        let refused = refused.map(|text| lasting(None, text.clone()));
        refused.chain(self.told.remove(&entity).unwrap_or_default()).collect()
    }
}

/// A difference that no step mends.
fn lasting(device: Option<DeviceName>, text: String) -> Difference {
    Difference { device, text, mends: None }
}

impl Verdict {
    fn of(lost: bool, differences: Vec<Difference>) -> Verdict {
        let state = match (differences.is_empty(), lost) {
            (true, _) => State::InSync,
            (false, false) => State::Drifted,
            (false, true) => State::Missing,
        };
        Verdict { state, differences }
    }

    fn tell_also(&mut self, more: Verdict) {
        for found in more.differences {
            if self.differences.iter().all(|known| known.text != found.text) {
                self.differences.push(lasting(found.device, found.text));
            }
        }
    }

    fn to_json(&self) -> Value {
        let difference = |d: &Difference| json!({ "device": d.device, "text": d.text });
        let differences: Vec<Value> = self.differences.iter().map(difference).collect();
        json!({ "state": self.state.word(), "differences": differences })
    }
}

impl Checked {
    /// Adds what another look tells of these; nothing of it can be mended now.
    fn tell_also(&mut self, whose: &Selection, mut other: Checked) {
        for name in &whose.networks {
            if let (Some(verdict), Some(more)) = (self.networks.get_mut(name), other.networks.remove(name)) {
                verdict.tell_also(more);
            }
        }
        for name in &whose.bonds {
            if let (Some(verdict), Some(more)) = (self.bonds.get_mut(name), other.bonds.remove(name)) {
                verdict.tell_also(more);
            }
        }
    }

    /// Whether re-applying what was looked at would change nothing.
    pub fn in_sync(&self) -> bool {
        let mut all = self.networks.values().chain(self.bonds.values());
        self.plan.is_empty() && all.all(|verdict| verdict.state == State::InSync)
    }

    /// As the API answers it: `in_sync`, `networks` and `bonds` by name, each with its `state`
    /// (`in_sync`, `drifted` or `missing`) and `differences`, the steps of `plan`, and the same as
    /// `text`.
    pub fn to_json(&self) -> Value {
        let networks: Map<String, Value> =
            self.networks.iter().map(|(name, verdict)| (name.to_string(), verdict.to_json())).collect();
        let bonds: Map<String, Value> =
            self.bonds.iter().map(|(name, verdict)| (name.to_string(), verdict.to_json())).collect();
        json!({
            "in_sync": self.in_sync(),
            "networks": networks,
            "bonds": bonds,
            "plan": self.plan.to_json(),
            "text": self.plan.to_string(),
        })
    }
}
