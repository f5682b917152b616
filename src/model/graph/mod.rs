//! Devices and what they have to do with one another: a host's network, or the part in our care.
//!
//! A graph is either seen ([`Graph::seen`]) or wished ([`Desired`]). How to get from one to the
//! other is `plan.rs`'s business.

mod desired;
mod judge;
mod merge;
mod nameservers;
mod scope;
mod shaping;
mod sharing;
mod stack;
mod tuning;
mod waiting;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

pub use desired::{Desired, no_ipv6};
pub use judge::Judge;
pub use scope::Scope;
pub use stack::Stack;
pub use tuning::tuned;
pub use waiting::Stay;

use serde::{Deserialize, Serialize};

use crate::device::{Adverts, Bond, Bridge, Device, Link, NetDevice, Nic, Vlan};
use crate::dhcp::Clients;
use crate::ethtool_options::Settings;
use crate::ip::{Dynamic, IpConfig, Route};
use crate::name::DeviceName;
use crate::netinfo::{NetInfo, SeenKind, SeenLink};
use crate::qos::Shaper;
use crate::resolver::Resolver;
use crate::source_routing::rules_of;
use crate::units::Prefixed;

/// Devices, and what some of them have at layer three.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Graph {
    /// Shared with the graphs copied from this one.
    devices: BTreeMap<DeviceName, Arc<Device>>,
    ip: BTreeMap<DeviceName, IpConfig>,
    settings: BTreeMap<DeviceName, Settings>,
    /// Where clients are, or are to be.
    clients: BTreeMap<DeviceName, Clients>,
    /// Of nics and bonds; one that is not here has no root discipline of ours.
    shapers: BTreeMap<DeviceName, Shaper>,
    /// The host's; none: not ours to say.
    resolver: Option<Arc<Resolver>>,
    /// Of a wish: the default route that stays for now where it is not to be.
    stay: Option<Stay>,
}

impl Graph {
    /// The devices of `scope` as the host has them. Masters and ports outside of it are not ours
    /// and do not appear.
    pub fn seen(seen: &NetInfo, scope: &Scope) -> Graph {
        let mut devices = BTreeMap::new();
        let mut ip = BTreeMap::new();
        let mut shapers = BTreeMap::new();
        // Rules outlive their device.
        for device in scope.devices().filter(|name| seen.link(name).is_none()) {
            let rules = rules_of(seen, *device, None);
            if !rules.is_empty() {
                ip.insert(*device, IpConfig { rules, ..IpConfig::default() });
            }
        }
        let mut settings = BTreeMap::new();
        for link in scope.devices().filter_map(|name| seen.link(name)) {
            let device = seen_device(link);
            if let (Some(shaper), Device::Nic(_) | Device::Bond(_)) = (&link.shaper, &device) {
                shapers.insert(link.name, shaper.as_ref().clone());
            }
            devices.insert(link.name, device);
            if let Some(found) = &link.settings {
                settings.insert(link.name, found.values.clone());
            }
            let routes = link.routes.iter().copied().collect();
            let rules = rules_of(seen, link.name, Some(link));
            let announced = announced(link);
            let dynamic = Dynamic {
                v4: link.dhcp.v4.is_some(),
                v6: link.dhcp.v6.is_some() || link.adverts.is_some_and(Adverts::are_heard),
                router: link.adverts.is_some_and(|it| it.are_heard() && it.default_route == Some(true)),
            };
            let addresses = link.addresses.clone();
            ip.insert(link.name, IpConfig { addresses, routes, rules, announced, dynamic });
        }
        for (name, device) in &mut devices {
            for link in seen.ports_of(*name) {
                match &mut *device {
                    Device::Bridge(bridge) if matches!(link.kind, SeenKind::Tap) => {
                        bridge.guests.insert(link.name, link.mtu);
                    }
                    device if scope.contains(&link.name) => {
                        device.ports_mut().map(|ports| ports.insert(link.name));
                    }
                    _ => {}
                }
            }
        }
        let devices = devices.into_iter().map(|(name, device)| (name, Arc::new(device))).collect();
        let seen_clients = |name: &DeviceName| seen.link(name).map(|link| link.dhcp.clients());
        let clients = scope.devices().filter_map(|name| Some((*name, seen_clients(name).filter(|it| !it.is_empty())?)));
        let clients = clients.collect();
        Graph { devices, ip, settings, clients, shapers, resolver: Some(Arc::clone(&seen.resolver)), stay: None }
    }

    /// The same as somebody may wish for it: a hardware address that a VLAN or a bridge has from
    /// below is the kernel's to say, since once set it would not follow any more.
    fn following(mut self, seen: &NetInfo) -> Graph {
        let mac = |device: &DeviceName| seen.link(device).and_then(|link| link.mac);
        let follows = |device: &Device| match device {
            Device::Vlan(vlan) => mac(&vlan.device) == mac(&vlan.link.name),
            Device::Bridge(bridge) => seen.ports_of(bridge.link.name).any(|port| port.mac == mac(&bridge.link.name)),
            _ => false,
        };
        let names: Vec<DeviceName> = self.devices().filter(|device| follows(device)).map(Device::name).collect();
        for name in names {
            if let Some(device) = self.device_mut(&name) {
                device.link_mut().mac = None;
            }
        }
        self
    }

    /// Takes over from another graph what it has of these devices.
    fn take(&mut self, other: &Graph, devices: &Scope) {
        fn some<V: Clone>(to: &mut BTreeMap<DeviceName, V>, from: &BTreeMap<DeviceName, V>, of: &Scope) {
            to.extend(of.devices().filter_map(|name| Some((*name, from.get(name)?.clone()))));
        }
        some(&mut self.devices, &other.devices, devices);
        some(&mut self.ip, &other.ip, devices);
        some(&mut self.settings, &other.settings, devices);
        some(&mut self.clients, &other.clients, devices);
        some(&mut self.shapers, &other.shapers, devices);
    }

    /// The device of that name.
    pub fn device(&self, name: &DeviceName) -> Option<&Device> {
        self.devices.get(name).map(Arc::as_ref)
    }

    /// The same, to be changed.
    pub fn device_mut(&mut self, name: &DeviceName) -> Option<&mut Device> {
        self.devices.get_mut(name).map(Arc::make_mut)
    }

    /// All devices, by name.
    pub fn devices(&self) -> impl DoubleEndedIterator<Item = &Device> {
        self.devices.values().map(Arc::as_ref)
    }

    /// Puts a device in, or in the place of the one of that name.
    pub fn insert(&mut self, device: Device) {
        self.devices.insert(device.name(), Arc::new(device));
    }

    /// Takes a device out; a master's ports may still name it.
    pub fn remove(&mut self, name: &DeviceName) {
        self.devices.remove(name);
        self.ip.remove(name);
        self.settings.remove(name);
        self.shapers.remove(name);
        self.clients.remove(name);
    }

    /// Takes devices out, and out of their masters.
    pub fn remove_all(&mut self, names: &BTreeSet<DeviceName>) {
        names.iter().for_each(|name| self.remove(name));
        for device in self.devices.values_mut().filter(|d| d.ports().is_some_and(|ports| !ports.is_disjoint(names))) {
            if let Some(ports) = Arc::make_mut(device).ports_mut() {
                ports.retain(|port| !names.contains(port));
            }
        }
    }

    /// The master of every device that has one.
    pub fn masters(&self) -> BTreeMap<DeviceName, DeviceName> {
        let pairs = |master: &Device| {
            master.ports().into_iter().flatten().map(|port| (*port, master.name())).collect::<Vec<_>>()
        };
        self.devices().flat_map(pairs).collect()
    }

    /// What a device has at layer three; none: not ours to say.
    pub fn ip(&self, name: &DeviceName) -> Option<&IpConfig> {
        self.ip.get(name)
    }

    /// All that is known of layer three, by device.
    pub fn ips(&self) -> impl Iterator<Item = (&DeviceName, &IpConfig)> {
        self.ip.iter()
    }

    /// Says what a device is to have at layer three.
    pub fn set_ip(&mut self, name: DeviceName, ip: IpConfig) {
        self.ip.insert(name, ip);
    }

    /// What ethtool says of a nic, as far as it is known or ours to say.
    pub fn settings(&self, name: &DeviceName) -> &Settings {
        static NONE: Settings = Settings::new();
        self.settings.get(name).unwrap_or(&NONE)
    }

    /// All that is known or wished of nics' settings, by nic.
    pub fn tuned(&self) -> impl Iterator<Item = (&DeviceName, &Settings)> {
        self.settings.iter()
    }

    /// Who asks for addresses on a device.
    pub fn clients(&self, name: &DeviceName) -> &Clients {
        static NONE: Clients = Clients { v4: false, v6: false, foreign: BTreeSet::new() };
        self.clients.get(name).unwrap_or(&NONE)
    }

    /// The devices with clients here or there.
    pub fn served(&self, other: &Graph) -> BTreeSet<DeviceName> {
        self.clients.keys().chain(other.clients.keys()).copied().collect()
    }

    /// Says who is to ask for addresses on a device.
    pub fn set_clients(&mut self, name: DeviceName, clients: Clients) {
        match clients.is_empty() {
            true => drop(self.clients.remove(&name)),
            false => drop(self.clients.insert(name, clients)),
        }
    }

    /// How a nic or bond shares what it sends; none: no discipline of ours is at its root.
    pub fn shaper(&self, name: &DeviceName) -> Option<&Shaper> {
        self.shapers.get(name)
    }

    /// The devices with a shaper here or there, as far as both graphs have them.
    pub fn shaped(&self, other: &Graph) -> BTreeSet<DeviceName> {
        let both = |name: &&DeviceName| self.device(name).is_some() && other.device(name).is_some();
        self.shapers.keys().chain(other.shapers.keys()).filter(both).copied().collect()
    }

    /// Says how a nic or bond is to share what it sends.
    pub fn set_shaper(&mut self, name: DeviceName, shaper: Shaper) {
        self.shapers.insert(name, shaper);
    }

    /// Says that a nic or bond is to send as the kernel does by itself.
    pub fn remove_shaper(&mut self, name: &DeviceName) {
        self.shapers.remove(name);
    }

    /// The host's resolver; none: not ours to say.
    pub fn resolver(&self) -> Option<&Arc<Resolver>> {
        self.resolver.as_ref()
    }

    /// Says what the host's resolver is to be, or that it is not ours to say.
    pub fn set_resolver(&mut self, resolver: Option<Resolver>) {
        self.resolver = resolver.map(Arc::new);
    }

    /// The default route that another device keeps until this one has a lease.
    pub fn stay_for(&self, waiting: &DeviceName) -> Option<&Stay> {
        self.stay.as_ref().filter(|stay| stay.waiting == *waiting)
    }

    /// Says which default route stays for now where it is not to be.
    pub fn set_stay(&mut self, stay: Option<Stay>) {
        self.stay = stay;
    }

    /// The bond or bridge a device belongs to. Not a field of the device, so that it cannot
    /// disagree with the master's ports.
    pub fn master_of(&self, name: &DeviceName) -> Option<DeviceName> {
        self.devices().find(|d| d.ports().is_some_and(|p| p.contains(name))).map(Device::name)
    }

    /// How high above the nics each device stands: it is built after all below it.
    pub fn floors(&self) -> BTreeMap<DeviceName, usize> {
        let mut floors = BTreeMap::new();
        for name in self.devices.keys() {
            self.floor(*name, &mut floors, 0);
        }
        floors
    }

    fn floor(&self, name: DeviceName, floors: &mut BTreeMap<DeviceName, usize>, depth: usize) -> usize {
        if let Some(floor) = floors.get(&name) {
            return *floor;
        }
        // The kernel lets no device stand on itself; a graph that does is cut here.
        let Some(device) = self.device(&name).filter(|_| depth <= 8) else { return 0 };
        let below = device.lower().into_iter().map(|lower| self.floor(lower, floors, depth + 1) + 1).max().unwrap_or(0);
        // An empty bond or bridge is no nic: what may come to stand on it does so later.
        let floor = below.max(usize::from(!matches!(device, Device::Nic(_))));
        floors.insert(name, floor);
        floor
    }

    /// The graph without the hardware addresses of devices that a stranger has taken into his bond since: as
    /// long as he has them they wear the bond's, and theirs comes back with their release.
    pub fn without_hidden_macs(mut self, seen: &NetInfo, ours: &Scope) -> Graph {
        let hidden =
            |link: &SeenLink| link.permanent_mac.is_some() && link.master.is_some_and(|it| !ours.contains(&it));
        let names = self.devices().map(Device::name).filter(|name| seen.link(name).is_some_and(hidden));
        for name in names.collect::<Vec<_>>() {
            if let Some(device) = self.device_mut(&name) {
                device.link_mut().mac = None;
            }
        }
        self
    }

    /// The graph without nics that the host has lost, and without what cannot be without them;
    /// beside it, what was left out.
    pub fn without_missing(mut self, seen: &NetInfo) -> (Graph, Vec<DeviceName>) {
        let mut missing: Vec<DeviceName> = self
            .devices()
            .filter(|d| matches!(d, Device::Nic(_)))
            .map(Device::name)
            .filter(|n| seen.link(n).is_none())
            .collect();
        let mut at = 0;
        while let Some(gone) = missing.get(at).copied() {
            missing
                .extend(self.devices().filter(|d| matches!(d, Device::Vlan(v) if v.device == gone)).map(Device::name));
            at += 1;
        }
        self.remove_all(&missing.iter().copied().collect());
        (self, missing)
    }
}

/// What routers announced and no lasting address accounts for: their default routes, and routes to
/// their prefixes, which the kernel keeps when the addresses made of these are taken away.
fn announced(link: &SeenLink) -> BTreeSet<Route> {
    let lasting = |to: Prefixed<IpAddr>| link.addresses.iter().any(|a| !a.is_dynamic() && a.ip.network() == to);
    link.made_routes.iter().filter(|r| r.to.addr.is_ipv6() && !lasting(r.to)).copied().collect()
}

/// A link as one of our objects; none when it is nothing we could handle. Its ports come later.
/// A device as it is found. What nobody here makes (a tunnel, a tap, a VLAN upon another namespace's
/// device) is in a graph for the routes that it may lose to ours: all that is done to it is to these.
fn seen_device(link: &SeenLink) -> Device {
    let slave = link.permanent_mac.is_some();
    let object = Link {
        name: link.name,
        mtu: Some(link.mtu),
        up: link.up,
        // Where the kernel has taken IPv6 away (MTU below 1280) it does not run.
        ipv6: Some(link.ipv6_disabled == Some(false)),
        adverts: link.adverts,
        // A slave wears its bond's address; its own comes back with its release.
        mac: link.mac.filter(|mac| !slave && mac.0 != [0; 6]),
    };
    match &link.kind {
        SeenKind::Bond { options, .. } => {
            Device::Bond(Bond { link: object, slaves: Default::default(), options: options.clone() })
        }
        SeenKind::Vlan { tag, device: Some(base) } => Device::Vlan(Vlan { link: object, tag: *tag, device: *base }),
        SeenKind::Bridge { options, .. } => Device::Bridge(Bridge {
            link: object,
            ports: Default::default(),
            options: options.clone(),
            guests: Default::default(),
        }),
        SeenKind::Nic | SeenKind::Tap | SeenKind::Vlan { device: None, .. } | SeenKind::Other(_) => {
            Device::Nic(Nic { link: object })
        }
    }
}
