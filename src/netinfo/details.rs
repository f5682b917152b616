//! The parts of an `RTM_NEWLINK` message that only reports want, and queueing disciplines.
//!
//! What makes a plan is read in `link.rs`. Short or odd attributes are passed over.

use vdsm_model::netinfo::{
    BRIDGE_PORT_SWITCHES, BondPort, BridgePort, Details, Driver, OperState, Port, Qdisc, Team, TeamPort, Vf,
};
use vdsm_model::units::VlanTag;
use vdsm_netlink::attrs::{self, Attrs};

use super::link::{Info, mac_of};

// Of linux/if_link.h; the libc crate has the others.
pub(super) const IFLA_PERM_ADDRESS: u16 = 54;
const IFLA_MACVLAN_MODE: u16 = 1;
const IFLA_TUN_OWNER: u16 = 1;
const IFLA_TUN_TYPE: u16 = 3;
const IFLA_TUN_PERSIST: u16 = 6;
const IFLA_TUN_MULTI_QUEUE: u16 = 7;
/// `IFF_TAP` of linux/if_tun.h.
const TAP: u8 = 2;
const IFLA_BRPORT_STATE: u16 = 1;
const IFLA_BRPORT_PRIORITY: u16 = 2;
const IFLA_BRPORT_COST: u16 = 3;
const IFLA_BOND_SLAVE_STATE: u16 = 1;
const IFLA_BOND_SLAVE_MII_STATUS: u16 = 2;
const IFLA_BOND_SLAVE_LINK_FAILURE_COUNT: u16 = 3;
const IFLA_BOND_SLAVE_QUEUE_ID: u16 = 5;
const IFLA_BOND_SLAVE_AD_ACTOR_OPER_PORT_STATE: u16 = 7;
const IFLA_BOND_SLAVE_AD_PARTNER_OPER_PORT_STATE: u16 = 8;
const IFLA_VF_MAC: u16 = 1;
const IFLA_VF_VLAN: u16 = 2;
const IFLA_VF_SPOOFCHK: u16 = 4;
const IFLA_VF_LINK_STATE: u16 = 5;
const IFLA_VF_RATE: u16 = 6;
const IFLA_VF_TRUST: u16 = 9;
/// Those that begin with the function's number. A broadcast address, a list of VLANs and counters
/// do not.
const VF_NUMBERED: [u16; 6] =
    [IFLA_VF_MAC, IFLA_VF_VLAN, IFLA_VF_SPOOFCHK, IFLA_VF_LINK_STATE, IFLA_VF_RATE, IFLA_VF_TRUST];
/// Length of `tcmsg`, and its attribute with the kind.
const TCMSG: usize = 20;
const TCA_KIND: u16 = 1;
const TCA_OPTIONS: u16 = 2;

/// What a link's message tells beside the link itself. Speed, queueing disciplines and what a team says come from
/// elsewhere.
pub(super) fn of(info: &Info<'_>, operstate: u8, hardware: Option<vdsm_model::units::Mac>, vfs: Vec<Vf>) -> Details {
    Details {
        state: OperState::from_kernel(operstate),
        hardware: hardware.filter(|mac| mac.0 != [0; 6]),
        port: port(info),
        driver: driver(info),
        vfs,
        ..Details::default()
    }
}

fn port(info: &Info<'_>) -> Option<Port> {
    match info.slave_kind {
        b"" => None,
        b"bridge" => Some(Port::Bridge(bridge_port(info.slave_data))),
        b"bond" => Some(Port::Bond(bond_port(info.slave_data))),
        b"team" => Some(Port::Team(TeamPort::default())),
        other => Some(Port::Other(String::from_utf8_lossy(other).into_owned())),
    }
}

/// The `IFLA_BRPORT_*` attributes, of `IFLA_INFO_SLAVE_DATA` or of a bridge's own message.
pub(super) fn bridge_port(data: &[u8]) -> BridgePort {
    let mut port = BridgePort::default();
    for (kind, value) in Attrs::new(data) {
        match kind {
            IFLA_BRPORT_STATE => port.state = attrs::u8(value).unwrap_or_default(),
            IFLA_BRPORT_PRIORITY => port.priority = attrs::u16(value).unwrap_or_default(),
            IFLA_BRPORT_COST => port.cost = attrs::u32(value).unwrap_or_default(),
            kind if value.len() == 1 && value[0] != 0 && BRIDGE_PORT_SWITCHES.iter().any(|(it, _)| *it == kind) => {
                port.switches |= 1 << kind;
            }
            _ => {}
        }
    }
    port
}

fn bond_port(data: &[u8]) -> BondPort {
    let find = |kind| attrs::find(Attrs::new(data), kind);
    BondPort {
        active: find(IFLA_BOND_SLAVE_STATE).and_then(attrs::u8) == Some(0),
        mii: find(IFLA_BOND_SLAVE_MII_STATUS).and_then(attrs::u8).unwrap_or_default(),
        failures: find(IFLA_BOND_SLAVE_LINK_FAILURE_COUNT).and_then(attrs::u32).unwrap_or_default(),
        queue: find(IFLA_BOND_SLAVE_QUEUE_ID).and_then(attrs::u16).unwrap_or_default(),
        actor: find(IFLA_BOND_SLAVE_AD_ACTOR_OPER_PORT_STATE).and_then(attrs::u8),
        partner: find(IFLA_BOND_SLAVE_AD_PARTNER_OPER_PORT_STATE).and_then(attrs::u16),
    }
}

fn driver(info: &Info<'_>) -> Driver {
    let find = |kind| attrs::find(Attrs::new(info.data), kind);
    let is_set = |kind| find(kind).and_then(attrs::u8).is_some_and(|value| value != 0);
    match info.kind {
        Some("veth") => Driver::Veth { peer: None },
        Some("macvlan" | "macvtap") => {
            Driver::Macvlan { mode: find(IFLA_MACVLAN_MODE).and_then(attrs::u32).unwrap_or_default() }
        }
        Some("tun") => Driver::Tun {
            tap: find(IFLA_TUN_TYPE).and_then(attrs::u8) == Some(TAP),
            persist: is_set(IFLA_TUN_PERSIST),
            multi_queue: is_set(IFLA_TUN_MULTI_QUEUE),
            owner: find(IFLA_TUN_OWNER).and_then(attrs::u32),
        },
        Some("team") => Driver::Team(Team::default()),
        _ => Driver::Silent,
    }
}

/// The virtual functions of `IFLA_VFINFO_LIST`.
pub(super) fn vfs(list: &[u8]) -> Vec<Vf> {
    let word = |value: &[u8], at: usize| value.get(at * 4..).and_then(attrs::u32);
    let mut vfs = Vec::new();
    for (_, info) in Attrs::new(list) {
        let mut vf = Vf::default();
        for (kind, value) in Attrs::new(info) {
            let Some(number) = word(value, 0).filter(|_| VF_NUMBERED.contains(&kind)) else { continue };
            vf.number = number;
            let Some(first) = word(value, 1) else { continue };
            match kind {
                // Followed by 32 bytes of address, whatever its length.
                IFLA_VF_MAC => vf.mac = value.get(4..10).and_then(mac_of),
                IFLA_VF_VLAN => {
                    vf.vlan = VlanTag::new(first.into()).filter(|tag| tag.get() != 0);
                    vf.qos = word(value, 2).unwrap_or_default();
                }
                IFLA_VF_SPOOFCHK => vf.spoof_check = switch(first),
                IFLA_VF_LINK_STATE => vf.link_state = first,
                IFLA_VF_RATE => (vf.min_rate, vf.max_rate) = (first, word(value, 2).unwrap_or_default()),
                IFLA_VF_TRUST => vf.trust = switch(first),
                _ => {}
            }
        }
        vfs.push(vf);
    }
    vfs
}

/// All ones say that the driver does not know.
fn switch(value: u32) -> Option<bool> {
    (value != u32::MAX).then_some(value != 0)
}

/// The queueing discipline of an `RTM_NEWQDISC` message, with its link's index.
pub(super) fn qdisc(payload: &[u8]) -> Option<(u32, Qdisc)> {
    let index = attrs::u32(payload.get(4..)?)?;
    let handle = attrs::u32(payload.get(8..)?)?;
    let parent = attrs::u32(payload.get(12..)?)?;
    let find = |kind| attrs::find(Attrs::after(payload, TCMSG), kind);
    let kind = find(TCA_KIND).and_then(attrs::text)?;
    // `tc_hfsc_qopt` has nothing else.
    let default_class = find(TCA_OPTIONS).filter(|_| kind == "hfsc").and_then(attrs::u16);
    Some((index, Qdisc { parent, handle, kind: kind.to_owned(), default_class }))
}

/// The class of an `RTM_DELTCLASS` message, with its link's index.
pub(super) fn class(payload: &[u8]) -> Option<(u32, u32)> {
    Some((attrs::u32(payload.get(4..)?)?, attrs::u32(payload.get(8..)?)?))
}

#[cfg(test)]
#[path = "details_tests.rs"]
mod tests;
