//! What strangers do to a host behind our back, at random.
//!
//! Whether it is noticed is asked in `laws.rs`.

use std::net::{IpAddr, Ipv4Addr};

use proptest::prelude::*;
use proptest::sample::{Index, select};
use vdsm_configurators::iproute2::{Action, LinkChange, NewLink};
use vdsm_configurators::sim::Sim;
use vdsm_model::bond_options::{BondOptions, Needs};
use vdsm_model::bridge_options::BridgeOptions;
use vdsm_model::device::Adverts;
use vdsm_model::ip::{Address, Route};
use vdsm_model::name::DeviceName;
use vdsm_model::netinfo::{NetInfo, SeenKind, SeenLink};
use vdsm_model::units::{Mtu, VlanTag};

use crate::world::dev;

/// One thing, done to whichever link of the host the index means.
#[derive(Clone, Debug)]
pub(super) enum Drift {
    /// To any link.
    Link(Index, Change),
    /// To one that has an address.
    DropAddress(Index),
    /// To one that has an address, which is to end.
    EndAddress(Index),
    /// To one that has a route.
    DropRoute(Index),
    /// To a VLAN: another one of its name, with this tag.
    Retag(Index, i64),
    /// Into a bond or bridge.
    Join(Index, Index),
    /// To whatever is no nic.
    Delete(Index),
    /// To a nic.
    Unplug(Index),
    /// To a bond.
    BondOptions(Index, &'static str),
    /// To a bridge.
    BridgeOptions(Index, &'static str),
    /// To a bridge.
    PlugTap(Index),
}

#[derive(Clone, Debug)]
pub(super) enum Change {
    Mtu(i64),
    Up(bool),
    Mac(u8),
    Leave,
    Ipv6(bool),
    Autoconf(bool),
    AddAddress(u8, u8),
    AddDefaultRoute,
    /// A VLAN upon it, with this tag and MTU.
    AddVlan(i64, i64),
    /// A new bridge that takes it.
    AddBridge,
    /// A new bond that takes it.
    AddBond,
}

fn change() -> impl Strategy<Value = Change> {
    let mtu = || select(vec![600, 1280, 1400, 1500, 2000, 9000]);
    prop_oneof![
        3 => mtu().prop_map(Change::Mtu),
        1 => any::<bool>().prop_map(Change::Up),
        1 => any::<u8>().prop_map(Change::Mac),
        2 => Just(Change::Leave),
        1 => any::<bool>().prop_map(Change::Ipv6),
        1 => any::<bool>().prop_map(Change::Autoconf),
        2 => (0u8..4, any::<u8>()).prop_map(|(net, host)| Change::AddAddress(net, host)),
        1 => Just(Change::AddDefaultRoute),
        1 => (5i64..12, mtu()).prop_map(|(tag, mtu)| Change::AddVlan(tag, mtu)),
        1 => Just(Change::AddBridge),
        1 => Just(Change::AddBond),
    ]
}

pub(super) fn drift() -> impl Strategy<Value = Drift> {
    let index = any::<Index>;
    let bond = || select(vec!["mode=1 miimon=130", "mode=4 lacp_rate=1", "miimon=100 updelay=200", "mode=3"]);
    let bridge = || select(vec!["stp_state=1", "stp_state=0", "hello_time=400", "priority=7", "forward_delay=900"]);
    prop_oneof![
        15 => (index(), change()).prop_map(|(at, change)| Drift::Link(at, change)),
        2 => index().prop_map(Drift::DropAddress),
        1 => index().prop_map(Drift::EndAddress),
        1 => index().prop_map(Drift::DropRoute),
        1 => (index(), 5i64..12).prop_map(|(at, tag)| Drift::Retag(at, tag)),
        2 => (index(), index()).prop_map(|(at, to)| Drift::Join(at, to)),
        2 => index().prop_map(Drift::Delete),
        1 => index().prop_map(Drift::Unplug),
        1 => (index(), bond()).prop_map(|(at, to)| Drift::BondOptions(at, to)),
        1 => (index(), bridge()).prop_map(|(at, to)| Drift::BridgeOptions(at, to)),
        1 => index().prop_map(Drift::PlugTap),
    ]
}

fn is_bond(link: &SeenLink) -> bool {
    matches!(link.kind, SeenKind::Bond { .. })
}

fn is_bridge(link: &SeenLink) -> bool {
    matches!(link.kind, SeenKind::Bridge { .. })
}

fn is_nic(link: &SeenLink) -> bool {
    matches!(link.kind, SeenKind::Nic)
}

/// The one that an index means; none of none.
fn pick<T: Clone>(at: &Index, among: impl Iterator<Item = T>) -> Option<T> {
    let all: Vec<T> = among.collect();
    (!all.is_empty()).then(|| at.get(&all).clone())
}

impl Drift {
    /// Whether it may put something of a stranger's on a device of ours, or take one away.
    pub(super) fn brings_strangers(&self) -> bool {
        let change = |it: &Change| matches!(it, Change::AddVlan(..) | Change::AddBridge | Change::AddBond);
        matches!(self, Drift::Join(..) | Drift::Unplug(_)) || matches!(self, Drift::Link(_, it) if change(it))
    }

    /// Does it, as far as the kernel lets anybody.
    pub(super) fn happen(&self, sim: &mut Sim) {
        let seen = sim.look();
        match self {
            Drift::Unplug(at) => {
                let nic = pick(at, seen.links().filter(|l| is_nic(l)));
                nic.into_iter().for_each(|nic| sim.unplug(nic.name.as_str()));
            }
            Drift::PlugTap(at) if seen.link(&dev("vnet1")).is_none() => {
                let bridge = pick(at, seen.links().filter(|l| is_bridge(l)));
                bridge.into_iter().for_each(|bridge| sim.plug_tap("vnet1", bridge.name.as_str()));
            }
            _ => {
                for action in self.actions(&seen).unwrap_or_default() {
                    // What the kernel refuses, it refuses.
                    let _ = sim.act(&action);
                }
            }
        }
    }

    fn actions(&self, seen: &NetInfo) -> Option<Vec<Action>> {
        let links = || seen.links();
        Some(match self {
            Drift::Link(at, change) => change.actions(pick(at, links())?, seen)?,
            Drift::DropAddress(at) => {
                let all = links().flat_map(|l| l.addresses.iter().map(|a| (l.name, *a)));
                pick(at, all).map(|(device, address)| vec![Action::DelAddress { device, address }])?
            }
            Drift::EndAddress(at) => {
                let (device, mut address) = pick(at, links().flat_map(|l| l.addresses.iter().map(|a| (l.name, *a))))?;
                address.more.lifetime = Some((60, 120));
                vec![Action::AddAddress { device, address, replace: true }]
            }
            Drift::Retag(at, tag) => {
                let vlan = |link: &SeenLink| matches!(link.kind, SeenKind::Vlan { .. });
                let found = pick(at, links().filter(|l| vlan(l)))?;
                let tag =
                    VlanTag::new(*tag).filter(|tag| found.base.is_some_and(|base| seen.vlan(base, *tag).is_none()))?;
                let kind = NewLink::Vlan { device: found.base?, tag };
                let new = Action::AddLink { name: found.name, kind, mtu: None, mac: None };
                vec![Action::DelLink { name: found.name }, new]
            }
            Drift::DropRoute(at) => {
                let all = links().flat_map(|l| l.routes.iter().map(|r| (l.name, *r)));
                pick(at, all).map(|(device, route)| vec![Action::DelRoute { device, route }])?
            }
            Drift::Join(at, to) => {
                let master = pick(to, links().filter(|l| is_bond(l) || is_bridge(l)))?;
                let port = pick(at, links())?;
                // The kernel lets no device stand on itself, and no bridge be a port; the simulated one does.
                let refused = is_bridge(port) || stands_on(seen, port.name, master.name);
                if refused { return None } else { join(port, master.name, is_bond(master))? }
            }
            Drift::Delete(at) => vec![Action::DelLink { name: pick(at, links().filter(|l| !is_nic(l)))?.name }],
            Drift::BondOptions(at, to) => bond_changes(pick(at, links().filter(|l| is_bond(l)))?, to),
            Drift::BridgeOptions(at, to) => bridge_changes(pick(at, links().filter(|l| is_bridge(l)))?, to),
            Drift::Unplug(_) | Drift::PlugTap(_) => return None,
        })
    }
}

impl Change {
    fn actions(&self, link: &SeenLink, seen: &NetInfo) -> Option<Vec<Action>> {
        let name = link.name;
        let set = |change| Action::SetLink { name, change };
        let free = |name: &str| seen.link(&dev(name)).is_none().then(|| dev(name));
        let new = |name, kind, mtu| Action::AddLink { name, kind, mtu, mac: None };
        Some(match self {
            Change::Mtu(mtu) => vec![set(LinkChange { mtu: Mtu::new(*mtu), ..LinkChange::default() })],
            Change::Up(up) => vec![set(LinkChange { up: Some(*up), ..LinkChange::default() })],
            Change::Mac(last) => {
                let mac = format!("52:54:00:00:00:{last:02x}").parse().ok();
                vec![set(LinkChange { mac, ..LinkChange::default() })]
            }
            Change::Leave => vec![set(LinkChange { master: Some(None), ..LinkChange::default() })],
            Change::Ipv6(on) => vec![Action::Ipv6 { name, on: *on }],
            Change::Autoconf(on) => {
                let adverts = if *on { Adverts::heard(true, true) } else { Adverts::IGNORED };
                vec![Action::Adverts { name, adverts }]
            }
            Change::AddAddress(net, host) => {
                let addr = Ipv4Addr::new(10, *net, 0, *host).into();
                vec![Action::AddAddress { device: name, address: Address::new(addr, 24), replace: false }]
            }
            Change::AddDefaultRoute => {
                vec![Action::AddRoute { device: name, route: default_near(link)?, replace: false }]
            }
            Change::AddVlan(tag, mtu) => {
                let kind = NewLink::Vlan { device: name, tag: VlanTag::new(*tag)? };
                vec![new(free(&format!("theirs{tag}"))?, kind, Mtu::new(*mtu))]
            }
            Change::AddBridge => {
                let bridge = free("br9")?;
                [vec![new(bridge, NewLink::Bridge(Default::default()), None)], join(link, bridge, false)?].concat()
            }
            Change::AddBond => {
                let bond = free("bond9")?;
                [vec![new(bond, NewLink::Bond(Default::default()), None)], join(link, bond, true)?].concat()
            }
        })
    }
}

/// A default route through a neighbour that an address of the device knows.
fn default_near(link: &SeenLink) -> Option<Route> {
    let near = |a: &Address| match a.ip.addr {
        IpAddr::V4(v4) => Some(Ipv4Addr::from(u32::from(v4) & 0xffff_ff00 | 77)),
        IpAddr::V6(_) => None,
    };
    link.addresses.iter().find_map(near).map(|gateway| Route::default_via(gateway.into()))
}

/// Bonds take more than nics, but nobody gives them more.
fn join(port: &SeenLink, master: DeviceName, bond: bool) -> Option<Vec<Action>> {
    let set = |change| Action::SetLink { name: port.name, change };
    // The bonding driver takes none that is up.
    let down = LinkChange { up: Some(false), ..LinkChange::default() };
    let joining = LinkChange { master: Some(Some(master)), ..LinkChange::default() };
    (!bond || is_nic(port)).then(|| vec![set(down), set(joining)])
}

/// Whether a device stands on another, at whatever distance.
fn stands_on(seen: &NetInfo, upper: DeviceName, lower: DeviceName) -> bool {
    let below = |device: DeviceName| {
        let base = seen.link(&device).and_then(|link| link.base);
        base.into_iter().chain(seen.ports_of(device).map(|port| port.name)).collect::<Vec<_>>()
    };
    let mut all = vec![upper];
    while let Some(device) = all.pop() {
        if device == lower {
            return true;
        }
        all.extend(below(device));
    }
    false
}

fn bond_changes(bond: &SeenLink, to: &str) -> Vec<Action> {
    let SeenKind::Bond { options, .. } = &bond.kind else { return vec![] };
    let changes = options.changes(&BondOptions::parse(to).unwrap()).into_iter();
    changes.filter(|c| c.needs == Needs::Nothing).map(|change| Action::SetBond { name: bond.name, change }).collect()
}

fn bridge_changes(bridge: &SeenLink, to: &str) -> Vec<Action> {
    let SeenKind::Bridge { options, .. } = &bridge.kind else { return vec![] };
    let changes = BridgeOptions::parse(to).unwrap().changes_from(options).into_iter();
    changes.map(|change| Action::SetBridge { name: bridge.name, change }).collect()
}
