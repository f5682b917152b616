//! Whom a change of some devices may concern, so that an event of the kernel costs a check of few.
//!
//! Rather too many than too few: what is named here is looked at, and mostly found in sync. Nothing
//! here walks through all networks or all links: the configuration and the host are asked about the
//! devices in question, so that a change costs the same however many others there are.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use vdsm_model::config::{Base, NetConfig};
use vdsm_model::graph::Stack;
use vdsm_model::ip::MAIN_TABLE;
use vdsm_model::name::{DeviceName, NetworkName};
use vdsm_model::netinfo::{NetInfo, SeenLink};

use super::Selection;

/// The networks and bonds that a change of these devices may concern, by the running configuration
/// and the host as it is: those made of them, of their masters and ports, or of what they stand on.
///
/// The owner of the default route is always among them, since any device may get or lose a rival
/// of it; and so are those in whose tables for source routing a device has a route. A device that is
/// gone says no more what it stood on and belonged to: who knows adds that to `devices`.
pub fn concerned(running: &NetConfig, seen: &NetInfo, devices: &BTreeSet<DeviceName>) -> Selection {
    if devices.is_empty() {
        return Selection::default();
    }
    let mut touched = around(running, seen, devices);
    let masters = touched.iter().flat_map(|device| running.bonds.masters_of(*device)).map(|(bond, _)| *bond);
    let mut bonds: BTreeSet<DeviceName> =
        masters.chain(touched.iter().filter(|device| running.bonds.contains_key(device)).copied()).collect();
    touched.extend(bonds.iter().copied());
    let mut networks: BTreeSet<&NetworkName> =
        touched.iter().flat_map(|device| Stack::with(*device, &running.networks, seen)).map(|(name, _)| name).collect();
    networks.extend(running.networks.default_routes());
    networks.extend(devices.iter().filter_map(|device| seen.link(device)).flat_map(|link| routed(running, link)));
    let base_of = |name: &NetworkName| running.networks.get(name)?.base.map(Base::device);
    let bases: BTreeSet<DeviceName> = networks.iter().filter_map(|name| base_of(name)).chain(bonds.clone()).collect();
    networks.extend(bases.iter().flat_map(|base| lifting(running, seen, *base)));
    bonds.extend(bases.into_iter().filter(|base| running.bonds.contains_key(base)));
    Selection { networks: networks.into_iter().cloned().collect(), bonds }
}

/// The devices with those directly around them: a master has them, or they are ports of it; and
/// what a stranger stands on, which must be as large as it. One of ours above others is no matter
/// to those.
fn around(running: &NetConfig, seen: &NetInfo, devices: &BTreeSet<DeviceName>) -> BTreeSet<DeviceName> {
    let mut touched = devices.clone();
    for link in devices.iter().filter_map(|device| seen.link(device)) {
        touched.extend(link.master);
        touched.extend(link.base.filter(|_| !is_our_vlan(running, seen, link)));
        touched.extend(seen.ports_of(link.name).map(|port| port.name));
    }
    touched
}

/// The networks in whose tables for source routing a link has a route.
fn routed<'a>(running: &'a NetConfig, link: &SeenLink) -> Vec<&'a NetworkName> {
    let tables: BTreeSet<u32> = link.routes.iter().map(|route| route.table).filter(|it| *it != MAIN_TABLE).collect();
    tables.into_iter().flat_map(|table| running.networks.routed_from(Ipv4Addr::from(table))).collect()
}

fn is_our_vlan(running: &NetConfig, seen: &NetInfo, link: &SeenLink) -> bool {
    let mut users = Stack::with(link.name, &running.networks, seen);
    users.any(|(name, net)| Stack::of(name, net, seen).vlan == Some(link.name))
}

/// The networks whose VLANs are larger than all that is configured on a nic or bond: looked at
/// without them, it would seem to need that size.
fn lifting<'a>(running: &'a NetConfig, seen: &'a NetInfo, base: DeviceName) -> impl Iterator<Item = &'a NetworkName> {
    let largest = running.networks.largest_on(base);
    let above = seen.standing_on(base).take_while(move |link| Some(link.mtu) > largest);
    let users = above.flat_map(|link| Stack::with(link.name, &running.networks, seen));
    users.filter(move |(_, net)| net.base.map(Base::device) == Some(base)).map(|(name, _)| name)
}
