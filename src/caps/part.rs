//! What each kind of device contributes to the report (design document, "Object oriented
//! representations", 7).
//!
//! What all devices have in common is in `device.rs`, what networks tell in `network.rs`.

use vdsm_model::bond_options::BondOptions;
use vdsm_model::bridge_options;
use vdsm_model::config::Switch;
use vdsm_model::name::DeviceName;
use vdsm_model::netinfo::{SeenKind, SeenLink};
use vdsm_model::units::{Mac, VlanTag};
use vdsm_netlink::attrs::Attrs;

use super::device;
use super::host::Host;
use super::json::Object;
use super::qos;
use super::speed::speed;

/// Something that is told.
pub(super) trait Part {
    /// The device whose addresses and routes it has.
    fn device(&self) -> &SeenLink;

    /// Writes the keys that only it has.
    fn own(&self, host: &Host<'_>, keys: &mut Object<'_>);

    /// Writes all its keys.
    fn tell(&self, host: &Host<'_>, keys: &mut Object<'_>) {
        self.own(host, keys);
        device::tell(self.device(), keys);
    }
}

/// A kernel bridge.
pub(super) struct Bridge<'a> {
    pub(super) link: &'a SeenLink,
    stp: bool,
    options: &'a [u8],
}

impl<'a> Bridge<'a> {
    pub(super) fn of(link: &'a SeenLink) -> Option<Bridge<'a>> {
        let SeenKind::Bridge { options, report } = &link.kind else { return None };
        Some(Bridge { link, stp: options.get("stp_state").is_some_and(|state| state != 0), options: report })
    }

    /// Its ports, and whether it runs a spanning tree.
    pub(super) fn tell_ports(&self, host: &Host<'_>, keys: &mut Object<'_>) {
        keys.texts("ports", host.names_of_ports(self.link));
        keys.text("stp", if self.stp { "on" } else { "off" });
    }
}

impl Part for Bridge<'_> {
    fn device(&self) -> &SeenLink {
        self.link
    }

    fn own(&self, host: &Host<'_>, keys: &mut Object<'_>) {
        self.tell_ports(host, keys);
        keys.object("opts", |opts| {
            for (name, value) in bridge_options::report(Attrs::new(self.options)) {
                opts.text(name, value);
            }
        });
    }
}

/// A bonding master.
pub(super) struct Bond<'a> {
    link: &'a SeenLink,
    options: &'a BondOptions,
    active: Option<DeviceName>,
    lacp: Option<(u16, Mac)>,
}

impl<'a> Bond<'a> {
    pub(super) fn of(link: &'a SeenLink) -> Option<Bond<'a>> {
        let SeenKind::Bond { options, active, lacp } = &link.kind else { return None };
        Some(Bond { link, options, active: *active, lacp: *lacp })
    }
}

impl Part for Bond<'_> {
    fn device(&self) -> &SeenLink {
        self.link
    }

    fn own(&self, host: &Host<'_>, keys: &mut Object<'_>) {
        let ours = host.running.bonds.get(&self.link.name).map_or(Switch::Legacy, |bond| bond.switch);
        keys.texts("slaves", host.names_of_ports(self.link));
        keys.text("active_slave", self.active);
        keys.object("opts", |opts| {
            for (name, value) in self.options.report() {
                opts.text(&name, value.as_str());
            }
        });
        keys.text("hwaddr", self.link.mac);
        keys.text("switch", word(ours));
        keys.number("speed", speed(host.seen, self.link));
        qos::tell_all(self.link, keys);
        if let Some((aggregator, partner)) = self.lacp {
            keys.text("ad_aggregator_id", u64::from(aggregator));
            keys.text("ad_partner_mac", partner);
        }
    }
}

/// What networks may use as a nic.
pub(super) struct Nic<'a> {
    link: &'a SeenLink,
}

impl<'a> Nic<'a> {
    pub(super) fn of(link: &'a SeenLink) -> Option<Nic<'a>> {
        link.nic.then_some(Nic { link })
    }
}

impl Part for Nic<'_> {
    fn device(&self) -> &SeenLink {
        self.link
    }

    fn own(&self, host: &Host<'_>, keys: &mut Object<'_>) {
        keys.text("hwaddr", self.link.mac);
        keys.number("speed", speed(host.seen, self.link));
        qos::tell_all(self.link, keys);
        if let Some(own) = self.link.permanent_mac {
            keys.text("permhwaddr", own);
        }
        if let Some(aggregator) = self.link.aggregator {
            keys.text("ad_aggregator_id", u64::from(aggregator));
        }
    }
}

/// A VLAN device.
pub(super) struct Vlan<'a> {
    link: &'a SeenLink,
    tag: VlanTag,
    base: DeviceName,
}

impl<'a> Vlan<'a> {
    pub(super) fn of(link: &'a SeenLink) -> Option<Vlan<'a>> {
        // One that stands on a device of another namespace has no `iface` to tell.
        let SeenKind::Vlan { tag, device: Some(base) } = link.kind else { return None };
        Some(Vlan { link, tag, base })
    }
}

impl Part for Vlan<'_> {
    fn device(&self) -> &SeenLink {
        self.link
    }

    fn own(&self, _: &Host<'_>, keys: &mut Object<'_>) {
        keys.text("iface", self.base);
        keys.number("vlanid", self.tag.get().into());
    }
}

/// The engine's word for a switch.
pub(super) fn word(switch: Switch) -> &'static str {
    match switch {
        Switch::Legacy => "legacy",
        Switch::Ovs => "ovs",
    }
}
