//! Places that have several routes: nothing is changed there.
//!
//! IPv4 takes a second one with `ip route append`, and both families one over several next hops. Of
//! those one would have to know the order, and give back all at once what belongs to several devices.
//! What routers announced to IPv6 is not meant: the kernel gives that back itself.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use super::super::Graph;
use super::Builder;
use crate::ip::{MAIN_TABLE, Place, Route};
use crate::name::DeviceName;
use crate::problem::{Problem, Subject};

impl Builder<'_> {
    /// The places with several routes where the wish has others than there are.
    pub(super) fn crowded(&self, prior: &Graph) -> Vec<Problem> {
        let (is, wished) = (routes(prior), routes(&self.graph));
        let changed: BTreeSet<Place> = is.symmetric_difference(&wished).map(|(_, route)| route.place()).collect();
        changed.into_iter().filter_map(|place| self.crowd(place)).collect()
    }

    fn crowd(&self, place: Place) -> Option<Problem> {
        let links = self.seen.with_routes_in(place.0);
        let all = links.flat_map(|link| link.routes.iter().chain(&link.shared_routes).map(|route| (link.name, route)));
        let here: Vec<(DeviceName, &Route)> = all.filter(|(_, route)| route.place() == place).collect();
        let is_crowd = here.len() > 1 || here.iter().any(|(_, route)| route.shared);
        let routes = || here.iter().map(|(device, route)| route.on(*device)).collect();
        is_crowd.then(|| Problem::CrowdedRoute { of: self.owner(place), routes: routes() })
    }

    /// Whose route it is about.
    fn owner(&self, (table, ..): Place) -> Subject {
        let configs = [&self.merged.config, self.running];
        let owner = configs.into_iter().find_map(|config| match table {
            MAIN_TABLE => config.default_route(),
            _ => config.networks.routed_from(Ipv4Addr::from(table)).next(),
        });
        owner.map_or(Subject::Request, |owner| Subject::Network(owner.to_string()))
    }
}

/// The routes of a graph that have a place for themselves.
fn routes(graph: &Graph) -> BTreeSet<(DeviceName, &Route)> {
    let all = graph.ips().flat_map(|(device, ip)| ip.routes.iter().map(|route| (*device, route)));
    all.filter(|(_, route)| route.is_exclusive()).collect()
}
