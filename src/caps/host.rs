//! One moment of the host, sorted by what is told of it.
//!
//! Everything is found by one walk through the links, so that a report's cost grows with their
//! number and no faster. What is told of each is its own affair (`part.rs`).

use std::collections::HashMap;

use vdsm_model::config::NetConfig;
use vdsm_model::name::DeviceName;
use vdsm_model::netinfo::{NetInfo, SeenKind, SeenLink};
use vdsm_model::units::VlanTag;

use super::part::{Bond, Bridge, Nic, Vlan};
use super::visibility::{Sight, Visibility};

/// The host, the configuration, and what of the host the engine may know.
pub(super) struct Host<'a> {
    pub(super) seen: &'a NetInfo,
    pub(super) running: &'a NetConfig,
    pub(super) bridges: Vec<Bridge<'a>>,
    pub(super) bonds: Vec<Bond<'a>>,
    pub(super) nics: Vec<Nic<'a>>,
    pub(super) vlans: Vec<Vlan<'a>>,
    // The picture has these, too; but each of its answers is a walk down a tree.
    links: HashMap<DeviceName, &'a SeenLink>,
    tags: HashMap<(DeviceName, VlanTag), &'a SeenLink>,
    ports: HashMap<DeviceName, Vec<&'a SeenLink>>,
}

impl<'a> Host<'a> {
    pub(super) fn of(seen: &'a NetInfo, running: &'a NetConfig, visible: &'a Visibility) -> Host<'a> {
        let sight = Sight::of(seen, visible);
        let (mut bridges, mut bonds, mut nics, mut vlans) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let mut links = HashMap::with_capacity(seen.count());
        let (mut tags, mut ports) = (HashMap::new(), HashMap::<DeviceName, Vec<&SeenLink>>::new());
        for link in seen.links() {
            links.insert(link.name, link);
            if let SeenKind::Vlan { tag, device: Some(base) } = link.kind {
                tags.insert((base, tag), link);
            }
            if let Some(master) = link.master {
                ports.entry(master).or_default().push(link);
            }
            if sight.shows(link) {
                bridges.extend(Bridge::of(link));
                bonds.extend(Bond::of(link));
                nics.extend(Nic::of(link));
                vlans.extend(Vlan::of(link));
            }
        }
        ports.values_mut().for_each(|all| all.sort_by(|one, other| one.name.natural_cmp(&other.name)));
        Host { seen, running, bridges, bonds, nics, vlans, links, tags, ports }
    }

    /// The link of that name.
    pub(super) fn link(&self, name: &DeviceName) -> Option<&'a SeenLink> {
        self.links.get(name).copied()
    }

    /// The VLAN device with that tag on that link, whatever it is called.
    pub(super) fn vlan(&self, base: DeviceName, tag: VlanTag) -> Option<&'a SeenLink> {
        self.tags.get(&(base, tag)).copied()
    }

    /// The ports of a bridge or the slaves of a bond, in natural order.
    pub(super) fn ports(&self, master: &SeenLink) -> &[&'a SeenLink] {
        self.ports.get(&master.name).map_or(&[], Vec::as_slice)
    }

    /// Their names.
    pub(super) fn names_of_ports(&self, master: &SeenLink) -> impl Iterator<Item = DeviceName> {
        self.ports(master).iter().map(|port| port.name)
    }
}
