//! Netlink messages as bytes, made before the clock starts.
//!
//! Only what the workloads need: links, an address, and three dumps. Sending them is `netlink.rs`,
//! which ones make a step is `raw.rs`, which ones are a change is `host.rs`.

use libc::{
    IFA_LOCAL, IFF_UP, IFLA_EXT_MASK, IFLA_GROUP, IFLA_IFNAME, IFLA_INFO_DATA, IFLA_INFO_KIND, IFLA_LINK,
    IFLA_LINKINFO, IFLA_MASTER, IFLA_MTU, NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL, NLM_F_REQUEST, RTM_DELADDR,
    RTM_DELLINK, RTM_GETADDR, RTM_GETLINK, RTM_GETROUTE, RTM_NEWADDR, RTM_NEWLINK,
};

// Of linux/if_link.h; libc has them not.
const IFLA_BOND_MODE: u16 = 1;
const IFLA_BOND_MIIMON: u16 = 3;
const IFLA_VLAN_ID: u16 = 1;
const IFLA_BR_FORWARD_DELAY: u16 = 1;
const IFLA_BR_STP_STATE: u16 = 5;
const RTEXT_FILTER_SKIP_STATS: u32 = 1 << 3;

/// The length of `struct nlmsghdr`.
pub(crate) const HEADER: usize = 16;
/// The length of `struct ifinfomsg`.
pub(crate) const IFINFO: usize = 16;
/// The length of `struct ifaddrmsg`.
pub(crate) const IFADDR: usize = 8;
/// The length of `struct rtmsg`.
pub(crate) const RTMSG: usize = 12;

/// One message; only its sequence number is still open.
#[derive(Clone, Debug)]
pub(crate) struct Message(Vec<u8>);

impl Message {
    /// A bond that is down.
    pub(crate) fn bond(index: u32, name: &str, mode: u8, miimon: u32) -> Message {
        let data = Attributes::default().put(IFLA_BOND_MODE, &[mode]).number(IFLA_BOND_MIIMON, miimon);
        new_link(index, name, "bond", data, Attributes::default())
    }

    /// A bridge that is down, without STP and delay.
    pub(crate) fn bridge(index: u32, name: &str) -> Message {
        let data = Attributes::default().number(IFLA_BR_FORWARD_DELAY, 0).number(IFLA_BR_STP_STATE, 0);
        new_link(index, name, "bridge", data, Attributes::default())
    }

    /// A VLAN that is down, and already its bridge's port.
    pub(crate) fn vlan(index: u32, name: &str, tag: u16, below: u32, bridge: u32) -> Message {
        let data = Attributes::default().put(IFLA_VLAN_ID, &tag.to_ne_bytes());
        new_link(index, name, "vlan", data, Attributes::default().number(IFLA_LINK, below).number(IFLA_MASTER, bridge))
    }

    /// A dummy that is down.
    pub(crate) fn dummy(index: u32, name: &str) -> Message {
        Message::plain(index, name, "dummy")
    }

    /// A link that is down, of a kind that needs nothing said.
    pub(crate) fn plain(index: u32, name: &str, kind: &str) -> Message {
        new_link(index, name, kind, Attributes::default(), Attributes::default())
    }

    /// As `ip link set INDEX up`.
    pub(crate) fn up(index: u32) -> Message {
        flags(index, IFF_UP as u32)
    }

    /// As `ip link set INDEX down`.
    pub(crate) fn down(index: u32) -> Message {
        flags(index, 0)
    }

    /// As `ip address add ADDRESS/32 dev INDEX`.
    pub(crate) fn add_address(index: u32, address: [u8; 4]) -> Message {
        host_address(RTM_NEWADDR, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, index, address)
    }

    /// As `ip address del ADDRESS/32 dev INDEX`.
    pub(crate) fn delete_address(index: u32, address: [u8; 4]) -> Message {
        host_address(RTM_DELADDR, NLM_F_ACK, index, address)
    }

    /// As `ip link set INDEX master MASTER`.
    pub(crate) fn enslave(index: u32, master: u32) -> Message {
        link(RTM_NEWLINK, NLM_F_ACK, index, 0, Attributes::default().number(IFLA_MASTER, master))
    }

    /// As `ip link set INDEX mtu MTU`.
    pub(crate) fn mtu(index: u32, mtu: u32) -> Message {
        link(RTM_NEWLINK, NLM_F_ACK, index, 0, Attributes::default().number(IFLA_MTU, mtu))
    }

    /// As `ip link set INDEX group GROUP`.
    pub(crate) fn group(index: u32, group: u32) -> Message {
        link(RTM_NEWLINK, NLM_F_ACK, index, 0, Attributes::default().number(IFLA_GROUP, group))
    }

    /// As `ip link del group GROUP`.
    pub(crate) fn delete_group(group: u32) -> Message {
        link(RTM_DELLINK, NLM_F_ACK, 0, 0, Attributes::default().number(IFLA_GROUP, group))
    }

    /// All links without their counters; the socket must have asked for strict checks.
    pub(crate) fn dump_links() -> Message {
        link(RTM_GETLINK, NLM_F_DUMP, 0, 0, Attributes::default().number(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS))
    }

    /// All addresses of all families.
    pub(crate) fn dump_addresses() -> Message {
        message(RTM_GETADDR, NLM_F_DUMP, &[0; IFADDR])
    }

    /// All unicast routes of all tables and families; the others belong to addresses.
    pub(crate) fn dump_routes() -> Message {
        let mut header = [0; RTMSG];
        header[7] = libc::RTN_UNICAST;
        message(RTM_GETROUTE, NLM_F_DUMP, &header)
    }

    /// The bytes, numbered.
    pub(crate) fn numbered(mut self, sequence: u32) -> Vec<u8> {
        self.0[8..12].copy_from_slice(&sequence.to_ne_bytes());
        self.0
    }
}

/// As `ip link add`, everything in one message.
fn new_link(index: u32, name: &str, kind: &str, data: Attributes, more: Attributes) -> Message {
    let info = Attributes::default().text(IFLA_INFO_KIND, kind).put(IFLA_INFO_DATA, &data.0);
    let attributes = Attributes(more.0).text(IFLA_IFNAME, name).put(IFLA_LINKINFO, &info.0);
    link(RTM_NEWLINK, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, index, 0, attributes)
}

/// A message about a link; `flags` are those of the device to be set.
fn link(kind: u16, how: i32, index: u32, flags: u32, attributes: Attributes) -> Message {
    about_link(kind, how, index, [flags, flags], attributes)
}

/// Sets whether a link is up.
fn flags(index: u32, up: u32) -> Message {
    about_link(RTM_NEWLINK, NLM_F_ACK, index, [up, IFF_UP as u32], Attributes::default())
}

/// The flags come with those that are to be changed.
fn about_link(kind: u16, how: i32, index: u32, flags: [u32; 2], attributes: Attributes) -> Message {
    let mut payload = vec![0; 4]; // the family, padding, the hardware's type
    payload.extend(index.to_ne_bytes());
    payload.extend(flags.into_iter().flat_map(u32::to_ne_bytes));
    payload.extend(attributes.0);
    message(kind, how, &payload)
}

/// A message about an IPv4 address with the longest prefix, which brings no route into the main table.
fn host_address(kind: u16, how: i32, index: u32, address: [u8; 4]) -> Message {
    let mut payload = vec![libc::AF_INET as u8, 32, 0, 0]; // flags, scope
    payload.extend(index.to_ne_bytes());
    payload.extend(Attributes::default().put(IFA_LOCAL, &address).0);
    message(kind, how, &payload)
}

fn message(kind: u16, how: i32, payload: &[u8]) -> Message {
    let mut bytes = ((HEADER + payload.len()) as u32).to_ne_bytes().to_vec();
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(((how | NLM_F_REQUEST) as u16).to_ne_bytes());
    bytes.extend([0; 8]); // the sequence number, the kernel's port
    bytes.extend(payload);
    Message(bytes)
}

/// A row of attributes.
#[derive(Default)]
struct Attributes(Vec<u8>);

impl Attributes {
    fn put(mut self, kind: u16, value: &[u8]) -> Attributes {
        self.0.extend(((value.len() + 4) as u16).to_ne_bytes());
        self.0.extend(kind.to_ne_bytes());
        self.0.extend(value);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
        self
    }

    fn number(self, kind: u16, value: u32) -> Attributes {
        self.put(kind, &value.to_ne_bytes())
    }

    fn text(self, kind: u16, value: &str) -> Attributes {
        self.put(kind, &[value.as_bytes(), b"\0"].concat())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn going_down_changes_the_flag_that_going_up_sets() {
        let flags = |message: Message| message.numbered(1)[HEADER + 8..HEADER + 16].to_vec();
        let up = (IFF_UP as u32).to_ne_bytes();
        assert_eq!(flags(Message::up(7)), [up, up].concat());
        assert_eq!(flags(Message::down(7)), [[0; 4], up].concat());
    }

    #[test]
    fn a_message_says_its_own_length_and_number() {
        let bytes = Message::vlan(7, "bond0.7", 7, 100, 8).numbered(5);
        assert_eq!(bytes[0..4], (bytes.len() as u32).to_ne_bytes());
        assert_eq!(bytes[8..12], 5u32.to_ne_bytes());
        assert_eq!(bytes.len() % 4, 0);
    }
}
