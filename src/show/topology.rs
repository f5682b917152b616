//! The answer of `Host.getTopology`, read once into types for those who draw it.
//!
//! A drawing is worth having of a host that is half broken, or of a report by another version, so
//! nothing is refused here: what is absent, null or of an unexpected type is passed over, an
//! entry without a name too, and of two with one name the first counts. Nothing is drawn here.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use super::json::{flag, list, number, text, texts};
use super::natural;

/// What stands on the host, and what should.
#[derive(Debug, Default)]
pub(crate) struct Topology {
    /// In natural order of their names, as all lists here.
    pub(crate) links: Vec<Link>,
    pub(crate) networks: Vec<Network>,
    pub(crate) bonds: Vec<Bond>,
    pub(crate) nameservers: Vec<String>,
    /// The running networks differ from those that a boot restores.
    pub(crate) unsaved: bool,
    places: HashMap<String, usize>,
    ports: HashMap<String, Vec<usize>>,
    bond_places: HashMap<String, usize>,
}

/// One device of the kernel.
#[derive(Debug, Default)]
pub(crate) struct Link {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    /// Part of a network or bond of the running configuration.
    pub(crate) ours: bool,
    /// Fit to be a nic of a network, whatever its kind: a laboratory's nics are veths.
    pub(crate) nic: bool,
    /// The host's administrator wants it out of sight.
    pub(crate) hidden: bool,
    pub(crate) light: Light,
    /// In bytes.
    pub(crate) mtu: Option<u64>,
    pub(crate) mac: String,
    /// In Mbit/s; `None` where the device cannot tell.
    pub(crate) speed: Option<u64>,
    pub(crate) half_duplex: Option<bool>,
    /// The bridge or bond it is a port of.
    pub(crate) master: Option<String>,
    /// What it stands on, as a VLAN on its nic.
    pub(crate) base: Option<String>,
    /// The other end of a veth.
    pub(crate) peer: Option<String>,
    /// The VLAN tag.
    pub(crate) tag: Option<u64>,
    /// A bond's mode, by name.
    pub(crate) mode: Option<String>,
    /// A bond's active slave.
    pub(crate) active: Option<String>,
    /// The hardware address of a bond's LACP partner.
    pub(crate) partner: Option<String>,
    /// As a port of its master: `forwarding`, `blocking`, `active`, `backup` and their like.
    pub(crate) port_state: Option<String>,
    pub(crate) layer3: Layer3,
}

/// Addresses and the ways out.
#[derive(Clone, Debug, Default)]
pub(crate) struct Layer3 {
    pub(crate) addresses: Vec<String>,
    pub(crate) gateway: Option<String>,
    pub(crate) gateway6: Option<String>,
    /// The host's default route for IPv4 leads through here.
    pub(crate) default_route: bool,
}

/// A network of the running configuration.
#[derive(Debug, Default)]
pub(crate) struct Network {
    pub(crate) name: String,
    pub(crate) bridged: bool,
    /// The device that carries it, which may not exist.
    pub(crate) top: Option<String>,
    /// The nic or bond at its bottom.
    pub(crate) base: Option<String>,
    pub(crate) vlan: Option<u64>,
    pub(crate) mtu: Option<u64>,
    pub(crate) layer3: Layer3,
    pub(crate) agreement: Agreement,
    /// Sentences.
    pub(crate) differences: Vec<String>,
    pub(crate) wants: Vec<Want>,
}

/// A device that a network needs.
#[derive(Debug, Default)]
pub(crate) struct Want {
    pub(crate) device: String,
    pub(crate) kind: Kind,
    /// What must be below it: what it stands on, then its ports.
    pub(crate) below: Vec<String>,
}

/// A bond of the running configuration.
#[derive(Debug, Default)]
pub(crate) struct Bond {
    pub(crate) name: String,
    pub(crate) slaves: Vec<String>,
    pub(crate) agreement: Agreement,
    pub(crate) differences: Vec<String>,
}

/// How the host agrees with the configuration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum Agreement {
    #[default]
    Agrees,
    Drifted,
    Missing,
}

/// What a device is, as far as drawings differ.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    Nic,
    Bond,
    Team,
    Vlan,
    Bridge,
    Loopback,
    /// The host's end of a virtual machine's or a container's cable: `tap`, `veth` and their like.
    Cable(String),
    Other(String),
    #[default]
    Unknown,
}

/// Whether a device carries frames, as its lights would say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum Light {
    Up,
    /// Up as far as we can make it, but nobody at the other end.
    NoCarrier,
    Down,
    /// Waiting for somebody, as for an 802.1X login.
    Dormant,
    NotPresent,
    #[default]
    Unknown,
}

impl Topology {
    pub(crate) fn read(answer: &Value) -> Topology {
        let links = named(answer, "links", Link::read, |link| &link.name);
        let places = links.iter().enumerate().map(|(at, link)| (link.name.clone(), at)).collect();
        let mut ports: HashMap<String, Vec<usize>> = HashMap::new();
        for (at, link) in links.iter().enumerate() {
            if let Some(master) = &link.master {
                ports.entry(master.clone()).or_default().push(at);
            }
        }
        let bonds = named(answer, "bonds", Bond::read, |bond| &bond.name);
        let bond_places = bonds.iter().enumerate().map(|(at, bond)| (bond.name.clone(), at)).collect();
        Topology {
            links,
            networks: named(answer, "networks", Network::read, |network| &network.name),
            bonds,
            nameservers: texts(answer, "nameservers"),
            unsaved: flag(answer, "unsaved"),
            places,
            ports,
            bond_places,
        }
    }

    pub(crate) fn link(&self, name: &str) -> Option<&Link> {
        self.places.get(name).map(|&at| &self.links[at])
    }

    /// The configured bond of this name.
    pub(crate) fn bond(&self, name: &str) -> Option<&Bond> {
        self.bond_places.get(name).map(|&at| &self.bonds[at])
    }

    /// The ports of a bridge or bond.
    pub(crate) fn ports(&self, master: &str) -> impl Iterator<Item = &Link> {
        self.ports.get(master).into_iter().flatten().map(|&at| &self.links[at])
    }

    /// The ports of a bridge that lead to virtual machines and containers.
    pub(crate) fn vm_ports(&self, bridge: &str) -> impl Iterator<Item = &Link> {
        self.ports(bridge).filter(|port| self.is_vm_port(port))
    }

    pub(crate) fn is_vm_port(&self, link: &Link) -> bool {
        let bridge = || link.master.as_deref().and_then(|master| self.link(master));
        !link.ours && matches!(link.kind, Kind::Cable(_)) && bridge().is_some_and(|it| it.kind == Kind::Bridge)
    }

    /// The device of a stranger's that has this one of ours as its port.
    pub(crate) fn stranger_above(&self, link: &Link) -> Option<&str> {
        let master = self.link(link.master.as_deref()?)?;
        (link.ours && !master.ours).then_some(master.name.as_str())
    }

    /// Whether a person wants to see it at all, as a device of its own.
    pub(crate) fn is_shown(&self, link: &Link) -> bool {
        link.ours || !(link.hidden || link.kind == Kind::Loopback || self.is_vm_port(link))
    }
}

impl Link {
    fn read(entry: &Value) -> Link {
        let name = text(entry, "name").unwrap_or_default();
        Link {
            name,
            kind: Kind::read(entry),
            ours: flag(entry, "ours"),
            nic: flag(entry, "nic"),
            hidden: flag(entry, "hidden"),
            light: Light::read(entry),
            mtu: number(entry, "mtu"),
            mac: text(entry, "mac").unwrap_or_default(),
            speed: number(entry, "speed").filter(|speed| *speed > 0),
            half_duplex: match text(entry, "duplex").as_deref() {
                Some("half") => Some(true),
                Some("full") => Some(false),
                _ => None,
            },
            master: text(entry, "master"),
            base: text(entry, "base"),
            peer: text(entry, "peer"),
            tag: number(entry, "tag"),
            mode: text(entry, "mode"),
            active: text(entry, "active"),
            partner: text(entry, "partner"),
            port_state: text(entry, "port_state"),
            layer3: Layer3::read(entry).without_link_local(),
        }
    }
}

impl Layer3 {
    /// Every device has one, and it is the kernel's own affair.
    fn without_link_local(mut self) -> Layer3 {
        self.addresses.retain(|address| !address.starts_with("fe80:"));
        self
    }

    fn read(entry: &Value) -> Layer3 {
        // `::` is how older reports spell the absence of a gateway.
        let gateway = |key| text(entry, key).filter(|gateway| !matches!(gateway.as_str(), "::" | "0.0.0.0"));
        Layer3 {
            addresses: texts(entry, "addresses"),
            gateway: gateway("gateway"),
            gateway6: gateway("gateway6"),
            default_route: flag(entry, "default_route"),
        }
    }
}

impl Network {
    fn read(entry: &Value) -> Network {
        Network {
            name: text(entry, "name").unwrap_or_default(),
            bridged: flag(entry, "bridged"),
            top: text(entry, "top"),
            base: text(entry, "base"),
            vlan: number(entry, "vlan"),
            mtu: number(entry, "mtu"),
            layer3: Layer3::read(entry),
            agreement: Agreement::read(entry),
            differences: texts(entry, "differences"),
            wants: list(entry, "wants").map(Want::read).filter(|want| !want.device.is_empty()).collect(),
        }
    }
}

impl Network {
    /// What it has of layer 3, given the device that carries it: the addresses found there, and
    /// the ways out that are configured. A device that is not known to have drifted has what was
    /// asked for.
    pub(crate) fn layer3(&self, top: Option<&Link>) -> Layer3 {
        let mut addresses = top.map(|top| top.layer3.addresses.clone()).unwrap_or_default();
        if addresses.is_empty() && (top.is_none() || self.agreement == Agreement::Agrees) {
            addresses.clone_from(&self.layer3.addresses);
        }
        Layer3 { addresses, ..self.layer3.clone() }
    }
}

impl Want {
    fn read(entry: &Value) -> Want {
        let mut below = texts(entry, "on");
        below.extend(texts(entry, "ports"));
        Want { device: text(entry, "device").unwrap_or_default(), kind: Kind::read(entry), below }
    }
}

impl Bond {
    fn read(entry: &Value) -> Bond {
        let mut slaves = texts(entry, "slaves");
        natural::sort(&mut slaves, |slave| slave);
        slaves.dedup();
        Bond {
            name: text(entry, "name").unwrap_or_default(),
            slaves,
            agreement: Agreement::read(entry),
            differences: texts(entry, "differences"),
        }
    }
}

impl Agreement {
    fn read(entry: &Value) -> Agreement {
        match text(entry, "state").as_deref() {
            Some("drifted") => Agreement::Drifted,
            Some("missing") => Agreement::Missing,
            _ => Agreement::Agrees,
        }
    }
}

impl Kind {
    fn read(entry: &Value) -> Kind {
        match text(entry, "kind") {
            None => Kind::Unknown,
            Some(word) => match word.as_str() {
                "nic" => Kind::Nic,
                "bond" => Kind::Bond,
                "team" => Kind::Team,
                "vlan" => Kind::Vlan,
                "bridge" => Kind::Bridge,
                "loopback" => Kind::Loopback,
                "tap" | "tun" | "veth" | "macvtap" | "ipvtap" => Kind::Cable(word),
                _ => Kind::Other(word),
            },
        }
    }

    pub(crate) fn word(&self) -> &str {
        match self {
            Kind::Nic => "nic",
            Kind::Bond => "bond",
            Kind::Team => "team",
            Kind::Vlan => "vlan",
            Kind::Bridge => "bridge",
            Kind::Loopback => "loopback",
            Kind::Cable(word) | Kind::Other(word) => word,
            Kind::Unknown => "device",
        }
    }
}

impl Light {
    /// `IFF_UP` says what was asked for, `IFF_RUNNING` and the operational state what came of it
    /// (Linux `Documentation/networking/operstates.rst`). Devices without an opinion report `unknown`.
    fn read(entry: &Value) -> Light {
        let state = text(entry, "state").unwrap_or_default();
        let running = entry.get("running").and_then(Value::as_bool);
        match (entry.get("up").and_then(Value::as_bool), state.as_str()) {
            (_, "notpresent") => Light::NotPresent,
            (Some(false), _) => Light::Down,
            (_, "dormant") => Light::Dormant,
            (Some(true), "down") | (_, "lowerlayerdown") => Light::NoCarrier,
            (None, "down") => Light::Down,
            (Some(true), _) if running == Some(false) => Light::NoCarrier,
            (Some(true), _) | (None, "up") => Light::Up,
            (None, _) => Light::Unknown,
        }
    }
}

/// The entries of a list that have a name, each name once, in natural order.
fn named<T>(answer: &Value, key: &str, read: fn(&Value) -> T, name: fn(&T) -> &String) -> Vec<T> {
    let mut known = HashSet::new();
    let mut entries: Vec<T> = list(answer, key).map(read).collect();
    entries.retain(|entry| !name(entry).is_empty() && known.insert(name(entry).clone()));
    natural::sort(&mut entries, |entry| name(entry));
    entries
}
