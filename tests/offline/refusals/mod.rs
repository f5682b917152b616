//! Every way a request is turned away: the problem, its code, and once its sentence.
//!
//! The codes are the original's (vdsm-facts 1.3, 2 and 14). What a legal request does is in
//! `edits.rs`; which spellings are legal in `requests.rs`.

mod names;
mod sharing;
mod together;
mod values;

use std::collections::BTreeMap;

use serde_json::{Value, json};
use vdsm_configurators::sim::Sim;
use vdsm_model::config::{Combination, NetConfig};
use vdsm_model::graph::Desired;
use vdsm_model::name::{DeviceName, NameError};
use vdsm_model::netinfo::NetInfo;
use vdsm_model::problem::{Code, Problem, Stage, Subject};
use vdsm_model::request::{Request, UnknownKeys};

use crate::common::policy;
use crate::world::{World, dev, net, request};

use Code::*;
use Stage::{Apply, Canonical, Ip, Link, Sharing, Switch};

pub(super) fn of_net(name: &str) -> Subject {
    Subject::Network(name.to_owned())
}

pub(super) fn of_bond(name: &str) -> Subject {
    Subject::Bond(name.to_owned())
}

pub(super) fn value(of: Subject, key: &str, value: &str, rule: &str, code: Code, stage: Stage) -> Problem {
    Problem::Value { of, key: key.to_owned(), value: value.to_owned(), rule: rule.to_owned(), code, stage }
}

pub(super) fn used(nic: &str, users: &[&str]) -> Problem {
    Problem::UsedNic { nic: dev(nic), users: users.iter().map(ToString::to_string).collect() }
}

pub(crate) fn unknown_nic(of: Subject, nic: &str) -> Problem {
    Problem::UnknownNic { of, nic: dev(nic) }
}

pub(super) fn shared(interface: &str, networks: &[&str], rule: &'static str) -> Problem {
    Problem::SharedInterface { interface: dev(interface), networks: networks.iter().map(|n| net(n)).collect(), rule }
}

pub(super) const OWN_TAG: &str = "each needs a VLAN tag of its own, and only one may be without";
pub(super) const ALONE: &str = "a bridged network without VLAN tag must be the only one (network_combination = strict)";

/// A fresh host refuses the request, for these reasons and no others.
#[track_caller]
pub(crate) fn rejects(networks: Value, bonds: Value, expected: &[Problem]) {
    refuses(&World::new(), networks, bonds, expected);
}

/// The same on a host with a past. The first problem's code is the answer's, and nothing happens.
#[track_caller]
pub(crate) fn refuses(world: &World, networks: Value, bonds: Value, expected: &[Problem]) {
    let asked = format!("{networks} {bonds}");
    let seen = world.sim.look();
    let refused =
        Desired::build(&world.running, &request(networks, bonds), &seen, &world.policy).map(|_| ()).expect_err(&asked);
    assert_eq!(refused.all(), expected, "{asked}");
    assert_eq!(refused.code(), expected[0].code(), "{asked}");
}

#[track_caller]
pub(super) fn accepts(world: &World, networks: Value, bonds: Value) {
    let asked = format!("{networks} {bonds}");
    assert_eq!(world.problems(networks, bonds), [], "{asked}");
}

/// A network `n` on a nic with these attributes besides.
pub(super) fn on_nic(more: Value) -> Value {
    let mut attributes = json!({ "nic": "dummy_0" });
    attributes.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({ "n": attributes })
}

#[track_caller]
pub(super) fn rejects_network(more: Value, expected: &[Problem]) {
    rejects(on_nic(more), json!({}), expected);
}

pub(super) fn unknown(of: Subject, key: &str, nearest: Option<&str>) -> Problem {
    Problem::UnknownKey { of, key: key.to_owned(), nearest: nearest.map(str::to_owned) }
}
