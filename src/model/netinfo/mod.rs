//! One moment of the host, as the kernel told it. Immutable; nobody here asks the kernel.
//!
//! `src/netinfo/` of the root crate fills it, `configurators/sim` invents it. A copy shares
//! everything with its original, and a change of one link costs the same however many there are:
//! so each event of the kernel can make a moment of its own.

mod details;
mod link;
#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::sync::Arc;

use rpds::{HashTrieMapSync, RedBlackTreeMapSync, RedBlackTreeSetSync};

pub use details::{
    BRIDGE_PORT_SWITCHES, BondPort, BridgePort, Details, Driver, Duplex, OperState, Port, Qdisc, Team, TeamPort, Vf,
};
pub use link::{MANY_ROUTES, SeenKind, SeenLink};

use crate::ip::MAIN_TABLE;
use crate::name::DeviceName;
use crate::resolver::Resolver;
use crate::rule::Rule;
use crate::units::{Mtu, VlanTag};

/// All links, with their addresses and routes, and the rules of routing.
#[derive(Clone, Debug, Default)]
pub struct NetInfo {
    links: RedBlackTreeMapSync<DeviceName, Arc<SeenLink>>,
    // The same links by what else one asks for them.
    names: HashTrieMapSync<u32, DeviceName>,
    ports: RedBlackTreeSetSync<(DeviceName, DeviceName)>,
    uppers: RedBlackTreeSetSync<(DeviceName, Reverse<Mtu>, DeviceName)>,
    tags: RedBlackTreeMapSync<(DeviceName, VlanTag), DeviceName>,
    // The tables in which a link has an exclusive route, see `Route::is_exclusive`.
    tables: RedBlackTreeSetSync<(u32, DeviceName)>,
    rules: RedBlackTreeSetSync<Arc<Rule>>,
    // The same rules by the device packets come in on, and by the table they lead to.
    incoming: RedBlackTreeSetSync<(DeviceName, Arc<Rule>)>,
    leading: RedBlackTreeSetSync<(u32, Arc<Rule>)>,
    /// Whether this kernel has IPv6 (`ipv6.disable=1` takes it away).
    pub has_ipv6: bool,
    /// Who looks names up. The kernel does not know: whoever looks for a request or a report adds it.
    pub resolver: Arc<Resolver>,
}

impl NetInfo {
    /// A host with these links.
    pub fn new(links: impl IntoIterator<Item = SeenLink>, has_ipv6: bool) -> NetInfo {
        let mut host = NetInfo { has_ipv6, ..NetInfo::default() };
        links.into_iter().for_each(|link| host.insert(Arc::new(link)));
        host
    }

    /// Puts a link in, or in the place of the one of that name. Copies made before stay as they are.
    pub fn insert(&mut self, link: Arc<SeenLink>) {
        self.remove(&link.name);
        self.names.insert_mut(link.index, link.name);
        if let Some(master) = link.master {
            self.ports.insert_mut((master, link.name));
        }
        if let Some(base) = link.base {
            self.uppers.insert_mut((base, Reverse(link.mtu), link.name));
        }
        if let Some(key) = tag_of(&link) {
            self.tags.insert_mut(key, link.name);
        }
        tables_of(&link).into_iter().for_each(|table| self.tables.insert_mut((table, link.name)));
        self.links.insert_mut(link.name, link);
    }

    /// Takes a link out, and gives it back.
    pub fn remove(&mut self, name: &DeviceName) -> Option<Arc<SeenLink>> {
        let link = Arc::clone(self.links.get(name)?);
        self.links.remove_mut(name);
        // An index may have passed to another link since.
        if self.names.get(&link.index) == Some(name) {
            self.names.remove_mut(&link.index);
        }
        if let Some(master) = link.master {
            self.ports.remove_mut(&(master, *name));
        }
        if let Some(base) = link.base {
            self.uppers.remove_mut(&(base, Reverse(link.mtu), *name));
        }
        if let Some(key) = tag_of(&link).filter(|key| self.tags.get(key) == Some(name)) {
            self.tags.remove_mut(&key);
        }
        for table in tables_of(&link) {
            self.tables.remove_mut(&(table, *name));
        }
        Some(link)
    }

    /// The link of that name.
    pub fn link(&self, name: &DeviceName) -> Option<&SeenLink> {
        self.links.get(name).map(Arc::as_ref)
    }

    /// The same, to be kept.
    pub fn shared(&self, name: &DeviceName) -> Option<&Arc<SeenLink>> {
        self.links.get(name)
    }

    /// The name of an interface index.
    pub fn name_of(&self, index: u32) -> Option<DeviceName> {
        self.names.get(&index).copied()
    }

    /// All links, by name.
    pub fn links(&self) -> impl Iterator<Item = &SeenLink> {
        self.links.values().map(Arc::as_ref)
    }

    /// How many links there are.
    pub fn count(&self) -> usize {
        self.links.size()
    }

    /// The links that have this one as master, by name.
    pub fn ports_of(&self, master: DeviceName) -> impl Iterator<Item = &SeenLink> {
        let from_there = self.ports.range((master, DeviceName::LOWEST)..);
        from_there.take_while(move |(it, _)| *it == master).filter_map(|(_, name)| self.link(name))
    }

    /// The VLAN devices that stand on this link, the largest first, then by name.
    pub fn vlans_on(&self, base: DeviceName) -> impl Iterator<Item = &SeenLink> {
        self.standing_on(base).filter(|link| matches!(link.kind, SeenKind::Vlan { .. }))
    }

    /// A link and all that it stands on. Of a bond's slaves one is enough, so they are the bond's affair.
    pub fn below(&self, top: DeviceName) -> BTreeSet<DeviceName> {
        let (mut way, mut open) = (BTreeSet::new(), vec![top]);
        while let Some(link) = open.pop().and_then(|name| self.link(&name)) {
            if !way.insert(link.name) {
                continue;
            }
            open.extend(link.base);
            if matches!(link.kind, SeenKind::Bridge { .. }) {
                let ports = self.ports_of(link.name).filter(|port| !matches!(port.kind, SeenKind::Tap));
                open.extend(ports.map(|port| port.name));
            }
        }
        way
    }

    /// Everything that stands on this link, VLANs among it, the largest first, then by name.
    pub fn standing_on(&self, base: DeviceName) -> impl Iterator<Item = &SeenLink> {
        let from_there = self.uppers.range((base, Reverse(Mtu::LARGEST), DeviceName::LOWEST)..);
        from_there.take_while(move |(it, ..)| *it == base).filter_map(|(.., name)| self.link(name))
    }

    /// The links with a default route of the main table, by name, whoever made it.
    pub fn with_default_routes(&self) -> impl Iterator<Item = &SeenLink> {
        self.with_routes_in(MAIN_TABLE)
    }

    /// The links with a route in a table, of the main table a default route, by name, whoever made it.
    pub fn with_routes_in(&self, table: u32) -> impl Iterator<Item = &SeenLink> {
        let from_there = self.tables.range((table, DeviceName::LOWEST)..);
        from_there.take_while(move |(it, _)| *it == table).filter_map(|(_, name)| self.link(name))
    }

    /// The VLAN device with that tag on that link, whatever it is called.
    pub fn vlan(&self, base: DeviceName, tag: VlanTag) -> Option<&SeenLink> {
        self.link(self.tags.get(&(base, tag))?)
    }

    /// The rules of routing, by priority, IPv4's before IPv6's.
    pub fn rules(&self) -> impl Iterator<Item = &Rule> {
        self.rules.iter().map(Arc::as_ref)
    }

    /// The rules of one priority for what comes in on a device, there or not.
    pub fn rules_from(&self, device: DeviceName, priority: u32) -> impl Iterator<Item = &Rule> {
        let from_there = self.incoming.range((device, Arc::new(Rule::new(priority)))..);
        let these = from_there.take_while(move |(it, rule)| (*it, rule.priority) == (device, priority));
        these.map(|(_, rule)| rule.as_ref())
    }

    /// The rules of one priority that lead to a table.
    pub fn rules_to(&self, table: u32, priority: u32) -> impl Iterator<Item = &Rule> {
        let from_there = self.leading.range((table, Arc::new(Rule::new(priority)))..);
        let these = from_there.take_while(move |(it, rule)| (*it, rule.priority) == (table, priority));
        these.map(|(_, rule)| rule.as_ref())
    }

    /// The same links with the rules of another moment.
    pub fn with_rules_of(mut self, other: &NetInfo) -> NetInfo {
        self.rules = other.rules.clone();
        self.incoming = other.incoming.clone();
        self.leading = other.leading.clone();
        self
    }

    /// Adds a rule.
    pub fn insert_rule(&mut self, rule: Rule) {
        let rule = Arc::new(rule);
        if let Some(device) = rule.iif {
            self.incoming.insert_mut((device, Arc::clone(&rule)));
        }
        self.leading.insert_mut((rule.table, Arc::clone(&rule)));
        self.rules.insert_mut(rule);
    }

    /// Takes a rule out.
    pub fn remove_rule(&mut self, rule: &Rule) {
        // The sets are asked by value, and what they hold is shared.
        let Some(rule) = self.rules.get(rule).cloned() else { return };
        self.rules.remove_mut(&rule);
        if let Some(device) = rule.iif {
            self.incoming.remove_mut(&(device, Arc::clone(&rule)));
        }
        self.leading.remove_mut(&(rule.table, rule));
    }

    /// This moment with some links looked at anew: `Some` replaces, `None` says it is gone.
    pub fn with(mut self, fresh: impl IntoIterator<Item = (DeviceName, Option<SeenLink>)>) -> NetInfo {
        for (name, link) in fresh {
            match link {
                Some(link) => self.insert(Arc::new(link)),
                None => drop(self.remove(&name)),
            }
        }
        self
    }
}

fn tables_of(link: &SeenLink) -> BTreeSet<u32> {
    let all = link.routes.iter().chain(&link.made_routes).chain(&link.shared_routes);
    all.filter(|route| route.is_exclusive()).map(|route| route.table).collect()
}

fn tag_of(link: &SeenLink) -> Option<(DeviceName, VlanTag)> {
    match link.kind {
        SeenKind::Vlan { tag, device: Some(base) } => Some((base, tag)),
        _ => None,
    }
}
