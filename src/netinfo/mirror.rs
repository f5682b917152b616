//! The kernel's picture of the host, message by message: a dump or an event in, a moment out.
//!
//! No socket here, and no lock. Bytes that make no sense are passed over, and none make it panic.
//! What an event leaves open ("the bond above may have changed, too") is noted as a [`Wants`], for
//! whoever can ask the kernel; what comes of that is taken in `mirror/answers.rs`.

mod answers;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use vdsm_model::bond_options::BondMode;
use vdsm_model::dhcp::SeenClients;
use vdsm_model::ip::Route;
use vdsm_model::name::DeviceName;
use vdsm_model::netinfo::{Driver, NetInfo, Port, SeenKind, SeenLink};
use vdsm_netlink::attrs::{self, Attrs};

use super::belongings::Belongings;
use super::dump::Dump;
use super::estate::Estate;
use super::link::{Head, IFINFOMSG, Slot, ipv6_in};
use super::teams::Teams;
use super::{NicRule, ageing, details, layer3, rule};

/// `IFLA_PROTINFO` of linux/if_link.h: what a bridge or IPv6 has to say of a link.
const IFLA_PROTINFO: u16 = 12;
/// Of linux/netlink.h.
const NLM_F_REPLACE: u16 = 0x100;

/// A link with less has no IPv6 (RFC 8200, section 5).
const IPV6_MIN_MTU: u32 = 1280;

/// What is to be asked, since no event tells it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Wants {
    /// Links whose own message is to be read anew.
    pub(super) links: BTreeSet<u32>,
    /// Links whose routes are to be read anew.
    pub(super) routes: BTreeSet<u32>,
    /// Nics whose speed may have changed.
    pub(super) speeds: BTreeSet<u32>,
    /// Links of which LACP may have learned something.
    pub(super) lacp: BTreeSet<u32>,
    /// Links with a root discipline of ours, whose classes and filters may have changed.
    pub(super) shapers: BTreeSet<u32>,
    /// Teams whose options or ports may have changed.
    pub(super) teams: BTreeSet<u32>,
}

/// All that is known, and what follows from it.
pub(super) struct Mirror {
    heads: HashMap<u32, Head>,
    /// Who names whom: the link that is named, and the one that names it.
    referrers: BTreeSet<(u32, u32)>,
    estate: Estate,
    teams: Teams,
    /// Bonds in which LACP is at work.
    lacp_bonds: BTreeSet<u32>,
    /// DHCP clients, by the devices they serve, there or not.
    clients: BTreeMap<DeviceName, Arc<SeenClients>>,
    info: NetInfo,
    /// Links that are to be put together anew.
    stale: BTreeSet<u32>,
    rules_changed: bool,
    wants: Wants,
    /// Links of which an event told something since the last question.
    touched: HashSet<u32>,
}

impl Mirror {
    /// Nothing known yet.
    pub(super) fn new() -> Mirror {
        Mirror {
            heads: HashMap::new(),
            referrers: BTreeSet::new(),
            estate: Estate::default(),
            teams: Teams::default(),
            lacp_bonds: BTreeSet::new(),
            clients: BTreeMap::new(),
            info: NetInfo::default(),
            stale: BTreeSet::new(),
            rules_changed: false,
            wants: Wants::default(),
            touched: HashSet::new(),
        }
    }

    /// The host as a dump of all tables has it. Speeds are wanted.
    pub(super) fn of(dump: Dump<'_>, has_ipv6: bool) -> Mirror {
        let mut mirror = Mirror::new();
        mirror.info.has_ipv6 = has_ipv6;
        let Dump { links, addresses, routes, rules, qdiscs, pieces, .. } = dump;
        links.into_iter().for_each(|head| mirror.put(head));
        for told in addresses {
            mirror.estate.append_address(told);
        }
        for (index, route) in routes {
            mirror.estate.add_route(index, route);
        }
        for rule in rules {
            mirror.info.insert_rule(rule);
        }
        for (index, qdisc) in qdiscs {
            mirror.estate.of_mut(index).add_qdisc(qdisc);
        }
        mirror.learn_shapers(&pieces.iter().map(|(index, _)| *index).collect(), &pieces);
        mirror
    }

    /// What is known of DHCP clients; each link that differs is put together anew.
    pub(super) fn learn_clients(&mut self, all: BTreeMap<DeviceName, Arc<SeenClients>>) {
        let former = std::mem::replace(&mut self.clients, all);
        let devices: BTreeSet<DeviceName> = former.keys().chain(self.clients.keys()).copied().collect();
        for device in devices.iter().filter(|device| former.get(*device) != self.clients.get(*device)) {
            self.stale.extend(self.index_of(device));
        }
    }

    /// Keeps what another picture knew and no dump tells: speeds and what teams say, until they are asked
    /// anew, the ageing times of bridges whose tree changes, and the DHCP clients.
    pub(super) fn keep_untold(&mut self, former: &Mirror) {
        self.clients.clone_from(&former.clients);
        let is_team = |index| self.is_team(index) && former.is_team(index);
        self.teams = former.teams.of(&is_team);
        for (index, head) in &mut self.heads {
            let known = former.heads.get(index).filter(|it| it.link.name == head.link.name);
            if let Some(known) = known {
                ageing::keep(&mut head.link.kind, &known.link.kind);
            }
            if let Some(known) = known.map(|it| &it.link.details).filter(|it| it.speed.is_some() || it.duplex.is_some())
            {
                let details = Arc::make_mut(&mut head.link.details);
                (details.speed, details.duplex) = (known.speed, known.duplex);
            }
        }
    }

    /// The moment, put together; and the links that are not what they were.
    pub(super) fn compose(&mut self) -> (NetInfo, BTreeSet<DeviceName>) {
        let mut names = BTreeSet::new();
        for index in std::mem::take(&mut self.stale) {
            let head = self.heads.get(&index);
            if let Some(old) = self.info.name_of(index).filter(|old| head.is_none_or(|head| head.link.name != *old)) {
                self.info.remove(&old);
                names.insert(old);
            }
            if let Some(head) = head {
                names.insert(head.link.name);
                let link = self.whole(index, head);
                self.info.insert(Arc::new(link));
            }
        }
        self.rules_changed = false;
        (self.info.clone(), names)
    }

    /// Whether there is something to put together.
    pub(super) fn is_stale(&self) -> bool {
        !self.stale.is_empty() || self.rules_changed
    }

    fn whole(&self, index: u32, head: &Head) -> SeenLink {
        let name_of = |index| self.heads.get(&index).map(|head| head.link.name);
        let mut link = head.resolve(&name_of);
        self.teams.complete(&mut link, head.master(), &name_of);
        if let Some(clients) = self.clients.get(&link.name) {
            link.dhcp = Arc::clone(clients);
        }
        if let Some(own) = self.estate.of(index) {
            link.addresses = own.addresses().copied().collect();
            link.routes = own.routes().to_vec();
            link.made_routes = own.made().to_vec();
            link.shared_routes = own.shared().to_vec();
            link.many_routes = own.many;
            link.shaper = own.shaper().map(Arc::new);
            if !own.qdiscs.is_empty() {
                Arc::make_mut(&mut link.details).qdiscs = own.qdiscs.clone();
            }
        }
        link
    }

    /// What is to be asked; forgotten here with that.
    pub(super) fn take_wants(&mut self) -> Wants {
        self.begin_question();
        std::mem::take(&mut self.wants)
    }

    /// Whether there is anything to ask.
    pub(super) fn is_wanting(&self) -> bool {
        self.wants != Wants::default()
    }

    /// Whether a team is to be asked: an event has come since it was, or nobody has yet.
    pub(super) fn wants_team(&self, index: u32) -> bool {
        self.wants.teams.contains(&index)
    }

    /// From now on [`Mirror::was_touched`] counts.
    pub(super) fn begin_question(&mut self) {
        self.touched.clear();
    }

    /// How many links there were when the moment was last put together.
    pub(super) fn count(&self) -> usize {
        self.info.count()
    }

    /// Whether events have told of a link since the questions were taken.
    pub(super) fn was_touched(&self, index: u32) -> bool {
        self.touched.contains(&index)
    }

    /// Wants something asked, again or by somebody else's wish.
    pub(super) fn want(&mut self, more: Wants) {
        self.wants.links.extend(more.links);
        self.wants.routes.extend(more.routes);
        self.wants.speeds.extend(more.speeds);
        self.wants.lacp.extend(more.lacp);
        self.wants.shapers.extend(more.shapers);
        self.wants.teams.extend(more.teams);
    }

    /// The index of the link of that name.
    pub(super) fn index_of(&self, name: &DeviceName) -> Option<u32> {
        self.info.link(name).map(|link| link.index)
    }

    /// Takes one event.
    pub(super) fn take(&mut self, kind: u16, flags: u16, payload: &[u8], nics: &dyn NicRule) {
        self.take_message(kind, flags, payload, nics);
        self.note_disturbed();
    }

    fn take_message(&mut self, kind: u16, flags: u16, payload: &[u8], nics: &dyn NicRule) {
        match kind {
            libc::RTM_NEWLINK | libc::RTM_DELLINK => self.take_link(kind == libc::RTM_NEWLINK, payload, nics),
            libc::RTM_NEWADDR | libc::RTM_DELADDR => {
                let Some(told) = layer3::address(payload) else { return };
                self.touch(told.index);
                match told.address {
                    None => self.link_local(told.index, kind == libc::RTM_NEWADDR),
                    Some(address) if kind == libc::RTM_NEWADDR => {
                        self.estate.add_address(told.index, address, told.secondary);
                    }
                    Some(address) => self.estate.remove_address(told.index, &address),
                }
            }
            libc::RTM_NEWROUTE | libc::RTM_DELROUTE => self.take_route(kind == libc::RTM_NEWROUTE, flags, payload),
            libc::RTM_NEWRULE | libc::RTM_DELRULE => {
                let Some(rule) = rule::rule(payload) else { return };
                self.rules_changed = true;
                match kind {
                    libc::RTM_NEWRULE => self.info.insert_rule(rule),
                    _ => self.info.remove_rule(&rule),
                }
            }
            libc::RTM_NEWQDISC | libc::RTM_DELQDISC => {
                let Some((index, qdisc)) = details::qdisc(payload) else { return };
                self.touch(index);
                let own = self.estate.of_mut(index);
                match kind {
                    libc::RTM_NEWQDISC => own.add_qdisc(qdisc),
                    _ => own.remove_qdisc(qdisc.handle),
                }
                self.want_shaper(index);
            }
            // A class that goes takes its discipline along without a word of that
            // (net/sched/sch_htb.c, htb_delete).
            libc::RTM_DELTCLASS => {
                let Some((index, class)) = details::class(payload) else { return };
                self.touch(index);
                self.estate.of_mut(index).remove_class(class);
                self.want_shaper(index);
            }
            libc::RTM_NEWTCLASS | libc::RTM_NEWTFILTER | libc::RTM_DELTFILTER => {
                if let Some(index) = payload.get(4..).and_then(attrs::u32) {
                    self.want_shaper(index);
                }
            }
            _ => {}
        }
    }

    fn take_route(&mut self, is_there: bool, flags: u16, payload: &[u8]) {
        let route = layer3::route(payload);
        if is_there && flags & NLM_F_REPLACE != 0 {
            // Also one that is not kept, a blackhole say, takes another's place.
            let holders = layer3::place(payload).map(|place| self.estate.replace(place)).unwrap_or_default();
            let own = route.as_ref().map(|(index, _)| *index).filter(|_| !holders.is_empty());
            self.wants.routes.extend(holders.into_iter().chain(own));
        }
        let told = route.map_or_else(|| layer3::hops(payload), |it| vec![it]);
        for (index, route) in told {
            self.touch(index);
            self.wants.routes.extend(self.estate.sharing(&route));
            match is_there {
                true => self.estate.add_route(index, route),
                false => self.estate.remove_route(index, &route),
            }
            self.wants.routes.extend(self.estate.sharing(&route));
        }
    }

    /// What is below a root discipline of ours is read where something of it changes: a filter's
    /// event does not say whether it is the only one.
    fn want_shaper(&mut self, index: u32) {
        if self.estate.of(index).is_some_and(Belongings::is_shaped) {
            self.touch(index);
            self.wants.shapers.insert(index);
        }
    }

    /// Takes note of which shapers are wanted, as [`Mirror::take_wants`] does of everything.
    pub(super) fn take_shapers(&mut self) -> BTreeSet<u32> {
        std::mem::take(&mut self.wants.shapers)
    }

    /// What lost something by another link's change has changed, too, or may have.
    fn note_disturbed(&mut self) {
        self.estate.take_disturbed().into_iter().for_each(|index| self.touch(index));
        self.wants.routes.extend(self.estate.take_doubtful());
    }

    fn touch(&mut self, index: u32) {
        self.touched.insert(index);
        self.stale.insert(index);
    }

    fn take_link(&mut self, is_there: bool, payload: &[u8], nics: &dyn NicRule) {
        let Some(index) = payload.get(4..).and_then(attrs::u32) else { return };
        match (payload[0].into(), is_there) {
            (libc::AF_UNSPEC, true) => {
                self.touch(index);
                match Head::read(payload, nics) {
                    Some(head) => self.renew(head),
                    // A name we refuse.
                    None => self.drop_link(index),
                }
            }
            (libc::AF_UNSPEC, false) => {
                self.touch(index);
                self.drop_link(index);
                self.estate.drop_all(index);
            }
            (libc::AF_BRIDGE, true) => self.bridge_says(index, payload),
            (libc::AF_INET6, true) => {
                let told = attrs::find(Attrs::after(payload, IFINFOMSG), IFLA_PROTINFO).and_then(ipv6_in);
                if let (Some((disabled, adverts)), Some(head)) = (told, self.heads.get_mut(&index)) {
                    (head.link.ipv6_disabled, head.link.adverts) = (Some(disabled), Some(adverts));
                    self.info.has_ipv6 = true;
                    self.touch(index);
                }
            }
            _ => {}
        }
    }

    /// A port's state; and a bridge with a spanning tree may have another root by now.
    fn bridge_says(&mut self, index: u32, payload: &[u8]) {
        let Some(told) = attrs::find(Attrs::after(payload, IFINFOMSG), IFLA_PROTINFO) else { return };
        let Some(head) = self.heads.get_mut(&index) else { return };
        let master = head.master();
        Arc::make_mut(&mut head.link.details).port = Some(Port::Bridge(details::bridge_port(told)));
        self.touch(index);
        let has_tree = |head: &Head| matches!(&head.link.kind, SeenKind::Bridge { options, .. } if options.get("stp_state").unwrap_or(0) != 0);
        self.wants.links.extend(master.filter(|it| self.heads.get(it).is_some_and(has_tree)));
    }

    /// A link as an event tells it: with what events leave out, and what the kernel does without them.
    fn renew(&mut self, mut head: Head) {
        let index = head.link.index;
        let (is_nic, is_slave) = (head.link.nic, matches!(head.link.details.port, Some(Port::Bond(_))));
        let state = |link: &SeenLink| (link.up, link.running);
        let old = self.heads.get(&index).map(|old| &old.link);
        if is_nic && old.is_none_or(|old| !old.nic || state(old) != state(&head.link)) {
            self.wants.speeds.insert(index);
        }
        if let Some(old) = old {
            let (known, own) = (Arc::clone(&old.details), Arc::make_mut(&mut head.link.details));
            if head.link.running {
                (own.speed, own.duplex) = (known.speed, known.duplex);
            }
            if own.vfs.is_empty() && !known.vfs.is_empty() {
                own.vfs = known.vfs.clone();
                self.wants.links.insert(index);
            }
            // Of hardware, an event that tells nothing else may be about its first virtual function.
            let has = |link: &SeenLink| (link.name, link.mtu, link.up, link.running, link.mac, link.group);
            if head.slot != Slot::None && has(&head.link) == has(old) && head.link.details == known {
                self.wants.links.insert(index);
            }
            if old.up && !head.link.up {
                self.estate.went_down(index);
            }
            // In silence (drivers/net/bonding/bond_main.c) a bond that goes gives its slaves their MTU
            // back, and one that turns its first slave away takes a new address.
            let is_free = matches!(known.port, Some(Port::Bond(_))) && !is_slave;
            let is_bond = matches!(head.link.kind, SeenKind::Bond { .. });
            if is_free || is_bond && !self.has_ports(index) {
                self.wants.links.insert(index);
            }
        }
        if old.is_none() {
            self.want_vfs(head.slot);
        }
        if !self.is_team(index) && is_team(&head) {
            self.wants.teams.insert(index);
        }
        // IPv6 hears of a new MTU after us, and comes or goes with it.
        if (head.link.mtu.get() >= IPV6_MIN_MTU) != head.link.ipv6_disabled.is_some() && self.info.has_ipv6 {
            self.wants.links.insert(index);
        }
        // What LACP agreed on is the bond's to tell, and only its slaves have events of it.
        self.wants.links.extend(head.master().filter(|_| is_slave));
        self.put(head);
    }

    /// New hardware may be a virtual function, and its physical one has no event of that; nor has it
    /// when they go. Few functions can have them.
    fn want_vfs(&mut self, slot: Slot) {
        if slot != Slot::None {
            let first = self.heads.iter().filter(|(_, head)| head.slot == Slot::First);
            self.wants.links.extend(first.map(|(index, _)| *index));
        }
    }

    fn has_ports(&self, index: u32) -> bool {
        let mut named_by = self.referrers.range((index, 0)..=(index, u32::MAX));
        named_by.any(|(_, it)| self.heads.get(it).is_some_and(|head| head.master() == Some(index)))
    }

    /// Puts a link in, or in the place of the one of that index.
    fn put(&mut self, mut head: Head) {
        let index = head.link.index;
        let renamed = self.heads.get(&index).is_none_or(|old| old.link.name != head.link.name);
        self.info.has_ipv6 |= head.link.ipv6_disabled.is_some();
        if let Some(old) = self.heads.get(&index) {
            ageing::keep(&mut head.link.kind, &old.link.kind);
        }
        self.forget_references(index);
        self.referrers.extend(head.refers().map(|it| (it, index)));
        // Of a pair, the first end is told before there is a second.
        if let Some(peer) = head.peer
            && let Some(other) = self.heads.get_mut(&peer).filter(|it| it.peer.is_none() && it.is_veth())
        {
            other.peer = Some(index);
            self.referrers.insert((index, peer));
            self.stale.insert(peer);
        }
        match &head.link.kind {
            SeenKind::Bond { options, .. } if options.mode() == BondMode::Lacp => self.lacp_bonds.insert(index),
            _ => self.lacp_bonds.remove(&index),
        };
        self.heads.insert(index, head);
        self.stale.insert(index);
        if renamed {
            self.stale.extend(self.teams.led_by(index));
            self.stale.extend(self.referrers.range((index, 0)..=(index, u32::MAX)).map(|(_, it)| *it));
        }
    }

    fn drop_link(&mut self, index: u32) {
        self.forget_references(index);
        self.lacp_bonds.remove(&index);
        self.teams.forget(index);
        if let Some(gone) = self.heads.remove(&index) {
            self.want_vfs(gone.slot);
            self.stale.extend(self.teams.led_by(index));
            self.stale.extend(self.referrers.range((index, 0)..=(index, u32::MAX)).map(|(_, it)| *it));
        }
    }

    fn forget_references(&mut self, index: u32) {
        if let Some(old) = self.heads.get(&index) {
            for it in old.refers() {
                self.referrers.remove(&(it, index));
            }
        }
    }

    /// The routes that events have told of these links.
    pub(super) fn routes_of(&self, links: &[u32]) -> Vec<(u32, Route)> {
        let own = links.iter().filter_map(|index| Some((*index, self.estate.of(*index)?)));
        own.flat_map(|(index, own)| own.all_routes().map(move |route| (index, *route))).collect()
    }

    /// Bonds in which LACP is at work, and their slaves. What it learns from its partner changes by
    /// a clock and without an event (drivers/net/bonding/bond_3ad.c); only that a slave begins or
    /// ends to carry traffic is told.
    pub(super) fn lacp(&self) -> BTreeSet<u32> {
        let of = |bond: u32| {
            let named = self.referrers.range((bond, 0)..=(bond, u32::MAX)).map(|(_, it)| *it);
            named.filter(move |it| self.heads.get(it).is_some_and(|head| head.master() == Some(bond))).chain([bond])
        };
        self.lacp_bonds.iter().flat_map(|bond| of(*bond)).collect()
    }

    /// Whether LACP is at work anywhere.
    pub(super) fn has_lacp(&self) -> bool {
        !self.lacp_bonds.is_empty()
    }

    /// The nics whose speed can be asked for.
    pub(super) fn nics(&self) -> impl Iterator<Item = u32> {
        self.heads.iter().filter(|(_, head)| head.link.nic).map(|(index, _)| *index)
    }

    /// The teams, which can be asked about themselves.
    pub(super) fn teams(&self) -> impl Iterator<Item = u32> {
        self.heads.iter().filter(|(_, head)| is_team(head)).map(|(index, _)| *index)
    }

    fn is_team(&self, index: u32) -> bool {
        self.heads.get(&index).is_some_and(is_team)
    }

    /// A link-local address of the kernel's own shows that somebody turned IPv6 on or off: that has
    /// no event of its own.
    fn link_local(&mut self, index: u32, came: bool) {
        let known = self.heads.get(&index).map(|head| head.link.ipv6_disabled);
        if known.is_some_and(|disabled| disabled != Some(!came)) {
            self.wants.links.insert(index);
        }
    }
}

fn is_team(head: &Head) -> bool {
    matches!(head.link.details.driver, Driver::Team(_))
}

#[cfg(test)]
#[path = "mirror_tests.rs"]
mod tests;
