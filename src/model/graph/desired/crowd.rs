//! Places that have several default routes: nothing is changed there.
//!
//! IPv4 takes a second one with `ip route append`, and both families one over several next hops. Of
//! those one would have to know the order, and give back all at once what belongs to several devices.
//! What routers announce to IPv6 is not meant: the kernel gives that back itself.

use std::collections::BTreeSet;

use super::super::Graph;
use super::Builder;
use crate::ip::{MAIN_TABLE, Route};
use crate::name::DeviceName;
use crate::problem::{Problem, Subject};

impl Builder<'_> {
    /// The places with several default routes where the wish has others than there are.
    pub(super) fn crowded(&self, prior: &Graph) -> Vec<Problem> {
        let links = || self.seen.with_default_routes();
        let all: Vec<(DeviceName, &Route)> = links()
            .flat_map(|link| link.routes.iter().chain(&link.shared_routes).map(move |route| (link.name, route)))
            .filter(|(_, route)| route.to.prefix == 0 && route.table == MAIN_TABLE)
            .collect();
        let mut told = BTreeSet::new();
        let mut problems = Vec::new();
        for (_, place) in &all {
            let here: Vec<&(DeviceName, &Route)> = all.iter().filter(|(_, it)| it.rivals(place)).collect();
            let is_crowd = here.iter().any(|(_, it)| it.shared) || here.len() > 1 && place.to.addr.is_ipv4();
            if is_crowd && told.insert((place.to.addr, place.metric)) && at(place, prior) != at(place, &self.graph) {
                let routes = here.iter().map(|(device, route)| format!("{route} on {device}")).collect();
                problems.push(Problem::CrowdedDefaultRoute { of: self.owner(), routes });
            }
        }
        problems
    }

    /// Whose default route it is about.
    fn owner(&self) -> Subject {
        let owner = self.merged.config.default_route().or(self.running.default_route());
        owner.map_or(Subject::Request, |owner| Subject::Network(owner.to_string()))
    }
}

/// The routes of a graph that are in the place of this one.
fn at(place: &Route, graph: &Graph) -> BTreeSet<(DeviceName, Route)> {
    let all = graph.ips().flat_map(|(device, ip)| ip.routes.iter().map(|route| (*device, *route)));
    all.filter(|(_, route)| route.rivals(place)).collect()
}
