//! Many alike become one: five hundred VLANs on a bond are one box, not a wall of boxes.
//!
//! Only decides what goes together; `scene` makes the box. Networks of one shape on one base go
//! together, and so do strangers' devices of one kind that nothing stands on. Networks that do not
//! agree with the configuration stay by themselves, as each of them wants to be looked at.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;

use crate::show::topology::{Agreement, Kind, Light, Link, Network, Topology};

/// Up to here everything is drawn by itself: networks, and devices of others.
pub(super) const PLAIN: usize = 60;

/// Fewer than these are not worth a box that hides their names.
const FEWEST: usize = 4;

/// More networks out of agreement than these are no longer looked at one by one.
const ODD: usize = 200;

/// Networks to draw as one box, in natural order; mostly each by itself.
pub(super) fn networks(host: &Topology) -> Vec<Vec<&Network>> {
    let many = host.networks.len() > PLAIN;
    let odd = host.networks.iter().filter(|network| network.agreement != Agreement::Agrees).count();
    let shape = |network: &Network| {
        let alike = network.agreement == Agreement::Agrees || odd > ODD;
        (many && alike && !network.layer3.default_route).then(|| Shape::of(network, host))
    };
    classes(host.networks.iter(), shape)
}

/// What two networks must have in common to be drawn as one.
#[derive(PartialEq, Eq, Hash)]
struct Shape {
    base: Option<String>,
    bridged: bool,
    tagged: bool,
    mtu: Option<u64>,
    addressed: bool,
    agreement: Agreement,
    light: Light,
}

impl Shape {
    fn of(network: &Network, host: &Topology) -> Shape {
        Shape {
            base: network.base.clone(),
            bridged: network.bridged,
            tagged: network.vlan.is_some(),
            mtu: network.mtu,
            addressed: !network.layer3.addresses.is_empty(),
            agreement: network.agreement,
            light: network.top.as_deref().and_then(|top| host.link(top)).map_or(Light::Unknown, |top| top.light),
        }
    }
}

/// Devices that are in no network, to draw as one box, in natural order.
pub(super) fn links<'a>(host: &'a Topology, left: &[&'a Link]) -> Vec<Vec<&'a Link>> {
    let many = left.iter().filter(|link| !link.ours).count() > PLAIN;
    let carriers: HashSet<&str> = host
        .links
        .iter()
        .filter(|link| !host.is_vm_port(link))
        .flat_map(|link| [&link.base, &link.master])
        .flatten()
        .map(String::as_str)
        .collect();
    let wanted: HashSet<&str> = host
        .bonds
        .iter()
        .flat_map(|bond| bond.slaves.iter().chain([&bond.name]))
        .chain(host.networks.iter().flat_map(|network| {
            let below = network.wants.iter().flat_map(|want| want.below.iter().chain([&want.device]));
            below.chain(&network.base).chain(&network.top)
        }))
        .map(String::as_str)
        .collect();
    let shape = |link: &&'a Link| {
        let name = link.name.as_str();
        let folds = many && !link.ours && !carriers.contains(name) && !wanted.contains(name);
        let shape: (&Kind, bool, _, _, _) = (&link.kind, link.nic, &link.base, &link.master, link.light);
        folds.then_some(shape)
    };
    classes(left.iter(), shape).into_iter().map(|class| class.into_iter().copied().collect()).collect()
}

/// Items of one shape together, at the place of the first; those without a shape, and those of a
/// shape that is too rare, by themselves.
fn classes<'a, T, S: Hash + Eq>(
    items: impl Iterator<Item = &'a T>,
    shape: impl Fn(&T) -> Option<S>,
) -> Vec<Vec<&'a T>> {
    let mut classes: Vec<Vec<&T>> = Vec::new();
    let mut places = HashMap::new();
    for item in items {
        let place = shape(item).map_or(classes.len(), |shape| *places.entry(shape).or_insert(classes.len()));
        match classes.get_mut(place) {
            Some(class) => class.push(item),
            None => classes.push(vec![item]),
        }
    }
    classes
        .into_iter()
        .flat_map(|class| match class.len() < FEWEST {
            true => class.into_iter().map(|item| vec![item]).collect(),
            false => vec![class],
        })
        .collect()
}
