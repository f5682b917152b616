//! The kernel's messages about links, addresses and routes, collected until they make a whole.
//!
//! One message names others by interface index, and those may come later; so
//! everything is collected first and put together at the end. No socket here:
//! which messages to ask for is `reader.rs`'s business. Bytes that make no sense
//! are passed over, and none make it panic.

use std::collections::HashMap;

use vdsm_model::ip::{Address, Route};
use vdsm_model::name::DeviceName;
use vdsm_model::netinfo::{NetInfo, SeenLink};

use super::NicRule;
use super::layer3;
use super::link::Half;

/// What has come from the kernel so far.
pub struct Dump<'r> {
    rule: &'r dyn NicRule,
    links: Vec<Half>,
    addresses: Vec<(u32, Address)>,
    routes: Vec<(u32, Route)>,
    ipv6: bool,
}

/// How far a dump had come, to forget what an interrupted reading added since.
#[derive(Clone, Copy, Debug)]
pub struct Mark {
    links: usize,
    addresses: usize,
    routes: usize,
}

impl<'r> Dump<'r> {
    /// Nothing yet.
    pub fn new(rule: &'r dyn NicRule) -> Dump<'r> {
        Dump { rule, links: Vec::new(), addresses: Vec::new(), routes: Vec::new(), ipv6: false }
    }

    /// Takes one message: `RTM_NEWLINK`, `RTM_NEWADDR`, `RTM_NEWROUTE`; any other is passed over.
    pub fn take(&mut self, kind: u16, payload: &[u8]) {
        match kind {
            libc::RTM_NEWLINK => {
                if let Some(half) = Half::read(payload, self.rule) {
                    self.ipv6 |= half.link.ipv6_disabled.is_some();
                    self.links.push(half);
                }
            }
            libc::RTM_NEWADDR => self.addresses.extend(layer3::address(payload)),
            libc::RTM_NEWROUTE => self.routes.extend(layer3::route(payload)),
            _ => {}
        }
    }

    /// This moment, for [`Dump::back_to`].
    pub fn mark(&self) -> Mark {
        Mark { links: self.links.len(), addresses: self.addresses.len(), routes: self.routes.len() }
    }

    /// Forgets what has come since.
    pub fn back_to(&mut self, mark: &Mark) {
        self.links.truncate(mark.links);
        self.addresses.truncate(mark.addresses);
        self.routes.truncate(mark.routes);
    }

    /// Whether a link showed that this kernel has IPv6.
    pub fn shows_ipv6(&self) -> bool {
        self.ipv6
    }

    /// The links so far, without what belongs to them: index, name and whether they are up.
    pub(super) fn heads(&self) -> impl Iterator<Item = (u32, DeviceName, bool)> + '_ {
        self.links.iter().map(|half| (half.link.index, half.link.name, half.link.up))
    }

    /// Puts together a whole host.
    pub fn net_info(self, has_ipv6: bool) -> NetInfo {
        NetInfo::new(self.into_links(&|_| None), has_ipv6)
    }

    /// Puts together the links that came, in the order in which they came. `elsewhere` knows the
    /// names of others by their index.
    pub(super) fn into_links(self, elsewhere: &dyn Fn(u32) -> Option<DeviceName>) -> Vec<SeenLink> {
        let places: HashMap<u32, (usize, DeviceName)> =
            (self.links.iter().enumerate()).map(|(at, half)| (half.link.index, (at, half.link.name))).collect();
        let name_of = |index: u32| match places.get(&index) {
            Some((_, name)) => Some(*name),
            None => elsewhere(index),
        };
        let mut links: Vec<SeenLink> = (self.links.into_iter()).map(|half| half.resolve(&name_of)).collect();
        // Addresses or routes of a link that came to be after the links were dumped find no place.
        let place = |index: u32| places.get(&index).map(|(at, _)| *at);
        for (index, address) in self.addresses {
            if let Some(link) = place(index).and_then(|at| links.get_mut(at)) {
                link.addresses.push(address);
            }
        }
        for (index, route) in self.routes {
            if let Some(link) = place(index).and_then(|at| links.get_mut(at)) {
                link.routes.push(route);
            }
        }
        links
    }
}

#[cfg(test)]
#[path = "dump_tests.rs"]
mod tests;
