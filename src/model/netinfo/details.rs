//! What reports and people want of a link, and no plan is made of.
//!
//! Numbers and names are the kernel's (linux/if_link.h, linux/if_bridge.h, linux/pkt_sched.h,
//! linux/if_team.h); the program `ip` prints the same things under the names given here, and of a team `teamnl`.

use std::fmt;

use crate::name::DeviceName;
use crate::qos::ROOT;
use crate::units::{Mac, VlanTag};

/// See the head of this file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Details {
    /// RFC 2863's operational state.
    pub state: OperState,
    /// Mbit/s; none where the link does not say, or is down.
    pub speed: Option<u32>,
    /// None where the link does not say.
    pub duplex: Option<Duplex>,
    /// The address the hardware was made with (`IFLA_PERM_ADDRESS`).
    pub hardware: Option<Mac>,
    /// How it stands with its master.
    pub port: Option<Port>,
    /// What its driver has to say.
    pub driver: Driver,
    /// The virtual functions of a physical one, by their number.
    pub vfs: Vec<Vf>,
    /// Queueing disciplines that somebody gave it; the kernel's own defaults have no handle and
    /// are left out.
    pub qdiscs: Vec<Qdisc>,
}

/// RFC 2863's operational state (`IFLA_OPERSTATE`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum OperState {
    #[default]
    Unknown,
    NotPresent,
    Down,
    LowerLayerDown,
    Testing,
    Dormant,
    Up,
}

impl OperState {
    /// By the kernel's number; numbers nobody has given a meaning are unknown.
    pub fn from_kernel(number: u8) -> OperState {
        use OperState::*;
        [Unknown, NotPresent, Down, LowerLayerDown, Testing, Dormant, Up]
            .get(usize::from(number))
            .copied()
            .unwrap_or_default()
    }

    /// As `ip` spells it, in small letters.
    pub fn word(self) -> &'static str {
        match self {
            OperState::Unknown => "unknown",
            OperState::NotPresent => "notpresent",
            OperState::Down => "down",
            OperState::LowerLayerDown => "lowerlayerdown",
            OperState::Testing => "testing",
            OperState::Dormant => "dormant",
            OperState::Up => "up",
        }
    }
}

/// Whether both ends may send at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Duplex {
    Half,
    Full,
}

impl fmt::Display for Duplex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if *self == Duplex::Half { "half" } else { "full" })
    }
}

/// A link as its master has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Port {
    /// A port of a kernel bridge.
    Bridge(BridgePort),
    /// A slave of a bond.
    Bond(BondPort),
    /// A port of a team.
    Team(TeamPort),
    /// A port of something else, by the kernel's word for it (vrf, openvswitch).
    Other(String),
}

impl Port {
    /// The state in one word: `forwarding`, `active` and so on. Of a team's port its team knows more
    /// ([`Team::has_active`]).
    pub fn word(&self) -> &'static str {
        match self {
            Port::Bridge(port) => port.word(),
            Port::Bond(BondPort { active: true, .. }) | Port::Team(TeamPort { enabled: true, .. }) => "active",
            Port::Bond(_) | Port::Team(_) => "backup",
            Port::Other(_) => "",
        }
    }
}

/// A bridge's port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BridgePort {
    /// 0 disabled, 1 listening, 2 learning, 3 forwarding, 4 blocking.
    pub state: u8,
    /// The spanning tree's.
    pub priority: u16,
    /// The spanning tree's.
    pub cost: u32,
    /// The switches that are on: bit n is `IFLA_BRPORT_*` number n; see [`BRIDGE_PORT_SWITCHES`].
    pub switches: u64,
}

/// The switches of a bridge's port: the number of the attribute and `bridge`'s word for it.
pub const BRIDGE_PORT_SWITCHES: [(u16, &str); 13] = [
    (4, "hairpin"),
    (5, "guard"),
    (6, "root_block"),
    (7, "fastleave"),
    (8, "learning"),
    (9, "flood"),
    (27, "mcast_flood"),
    (28, "mcast_to_unicast"),
    (29, "vlan_tunnel"),
    (30, "bcast_flood"),
    (32, "neigh_suppress"),
    (33, "isolated"),
    (39, "locked"),
];

impl BridgePort {
    /// The state in a word.
    pub fn word(&self) -> &'static str {
        ["disabled", "listening", "learning", "forwarding", "blocking"].get(usize::from(self.state)).unwrap_or(&"")
    }

    /// Whether a switch is on, by its attribute's number.
    pub fn is_on(&self, attribute: u16) -> bool {
        attribute < 64 && self.switches & (1 << attribute) != 0
    }
}

/// A bond's slave.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BondPort {
    /// It carries traffic.
    pub active: bool,
    /// The link monitor's verdict: 0 up, 1 going down, 2 down, 3 coming back.
    pub mii: u8,
    /// How often its link has failed.
    pub failures: u32,
    /// The queue it serves.
    pub queue: u16,
    /// LACP's state of our side (IEEE 802.1AX 6.4.2.3).
    pub actor: Option<u8>,
    /// The same of the partner's side.
    pub partner: Option<u16>,
}

/// A port of a team, as the team has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TeamPort {
    /// Its link is up, as far as the team knows.
    pub linkup: bool,
    /// Mbit/s, as the team knows it; none where the link is not up or does not say.
    pub speed: Option<u32>,
    /// It takes part: the team sends through it and takes what comes, where its mode has a use for it.
    pub enabled: bool,
}

/// What a driver says of its link.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Driver {
    /// Nothing we would tell.
    #[default]
    Silent,
    /// One end of a pair.
    Veth {
        /// The other end; none when it is in another namespace.
        peer: Option<DeviceName>,
    },
    /// A macvlan or macvtap.
    Macvlan {
        /// 1 private, 2 vepa, 4 bridge, 8 passthru, 16 source.
        mode: u32,
    },
    /// A tun or tap.
    Tun {
        /// It carries Ethernet frames.
        tap: bool,
        /// It stays when nobody holds it.
        persist: bool,
        /// It has several queues.
        multi_queue: bool,
        /// Its user, where it has one.
        owner: Option<u32>,
    },
    /// A team.
    Team(Team),
}

/// A team device, which its daemon runs (teamd mostly).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Team {
    /// `activebackup`, `loadbalance`, `roundrobin`, `broadcast` or `random`; none: nobody has chosen.
    pub mode: Option<String>,
    /// The port that carries the traffic, where the mode has one.
    pub active: Option<DeviceName>,
}

impl Team {
    /// Whether a port of it carries traffic: in the mode `activebackup` one does, whoever else is enabled.
    pub fn has_active(&self, name: &DeviceName, port: &TeamPort) -> bool {
        port.enabled && (self.mode.as_deref() != Some("activebackup") || self.active.as_ref() == Some(name))
    }
}

impl Driver {
    /// A macvlan's mode as `ip` spells it.
    pub fn macvlan_mode(mode: u32) -> &'static str {
        match mode {
            1 => "private",
            2 => "vepa",
            4 => "bridge",
            8 => "passthru",
            16 => "source",
            _ => "unknown",
        }
    }
}

/// A virtual function of a nic (SR-IOV), as its physical function tells it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Vf {
    /// Its number.
    pub number: u32,
    /// Its address; all zeros: none was given.
    pub mac: Option<Mac>,
    /// The VLAN it is put into.
    pub vlan: Option<VlanTag>,
    /// 802.1p priority of that VLAN.
    pub qos: u32,
    /// Mbit/s it may send at most and has for sure; 0: no limit.
    pub max_rate: u32,
    /// See `max_rate`.
    pub min_rate: u32,
    /// Whether it may send under its own address only.
    pub spoof_check: Option<bool>,
    /// 0 as the physical function, 1 always up, 2 always down.
    pub link_state: u32,
    /// Whether it may do privileged things.
    pub trust: Option<bool>,
}

/// A queueing discipline.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Qdisc {
    /// Where it hangs; `0xffff_ffff` is the root.
    pub parent: u32,
    /// Its own handle, `major << 16`.
    pub handle: u32,
    /// hfsc, fq_codel, clsact and so on.
    pub kind: String,
    /// HFSC's class for what no filter wants.
    pub default_class: Option<u16>,
}

impl Qdisc {
    /// Whether it is a device's root, and somebody's wish.
    pub fn is_root(&self) -> bool {
        self.parent == u32::MAX && self.handle != 0
    }

    /// Whether it is the root that host QoS makes.
    pub fn is_our_root(&self) -> bool {
        self.is_root() && self.kind == "hfsc" && self.handle == u32::from(ROOT) << 16
    }
}
