//! The messages of the `ethtool` family, as far as speed and duplex go; `settings.rs` has the rest.
//!
//! Nothing is sent or received here.
//! The numbers are those of `linux/ethtool_netlink.h`; what they mean is in the
//! kernel's `Documentation/networking/ethtool-netlink.rst`.

use neli::types::GenlBuffer;

use super::{Duplex, Modes};
use crate::{
    attrs::{Attrs, find, u8, u32},
    generic::{
        Told,
        message::{Attribute, Message, attribute, attributes, message},
    },
};

/// `ETHTOOL_GENL_NAME`
pub(super) const FAMILY: &str = "ethtool";
/// `ETHTOOL_MCGRP_MONITOR_NAME`
pub(super) const MONITOR: &str = "monitor";

/// `ETHTOOL_GENL_VERSION`
pub(super) const VERSION: u8 = 1;

/// `ETHTOOL_MSG_LINKMODES_GET`
pub(super) const LINKMODES_GET: u8 = 4;
/// `ETHTOOL_MSG_LINKSTATE_GET`
pub(super) const LINKSTATE_GET: u8 = 6;
/// `ETHTOOL_MSG_LINKMODES_NTF`; what the kernel says is counted apart from what it is asked.
const LINKMODES_NTF: u8 = 5;

/// `ETHTOOL_A_LINKMODES_HEADER` and `ETHTOOL_A_LINKSTATE_HEADER`: each message begins with it.
const HEADER: u16 = 1;
/// `ETHTOOL_A_HEADER_DEV_INDEX`
const HEADER_DEV_INDEX: u16 = 1;
/// `ETHTOOL_A_HEADER_FLAGS`
const HEADER_FLAGS: u16 = 3;
/// `ETHTOOL_FLAG_COMPACT_BITSETS`; without it the answer names each link mode in words, which nobody reads.
const COMPACT_BITSETS: u32 = 1;

const LINKMODES_SPEED: u16 = 5;
const LINKMODES_DUPLEX: u16 = 6;
const LINKSTATE_LINK: u16 = 2;

/// A question about one link.
pub(super) fn about(command: u8, index: u32) -> Message {
    message(command, VERSION, [header(index, COMPACT_BITSETS)])
}

/// What each message of the family begins with: the link, and how to answer.
pub(super) fn header(index: u32, flags: u32) -> Attribute {
    let header = [attribute(HEADER_DEV_INDEX, false, index), attribute(HEADER_FLAGS, false, flags)];
    attribute(HEADER, true, GenlBuffer::from_iter(header))
}

/// Reads `ETHTOOL_MSG_LINKMODES_GET_REPLY`. What is missing or cut short is not known.
pub(super) fn modes(payload: &[u8]) -> Modes {
    let attributes = attributes(payload);
    Modes {
        // SPEED_UNKNOWN is -1, of which some drivers keep 16 bits.
        speed: find(attributes.clone(), LINKMODES_SPEED)
            .and_then(u32)
            .filter(|speed| ![0, u16::MAX.into(), u32::MAX].contains(speed)),
        duplex: match find(attributes, LINKMODES_DUPLEX).and_then(u8) {
            Some(0) => Some(Duplex::Half),
            Some(1) => Some(Duplex::Full),
            // DUPLEX_UNKNOWN is 255.
            _ => None,
        },
    }
}

/// Whether `ETHTOOL_MSG_LINKSTATE_GET_REPLY` says that the link is down. Some drivers say nothing.
pub(super) fn is_down(payload: &[u8]) -> bool {
    find(attributes(payload), LINKSTATE_LINK).and_then(u8) == Some(0)
}

/// Reads a message of the group `monitor`: whose modes it tells.
pub(super) fn told(payload: &[u8]) -> Told {
    match u8(payload) {
        Some(LINKMODES_NTF) => find(attributes(payload), HEADER)
            .and_then(|header| find(Attrs::new(header), HEADER_DEV_INDEX))
            .and_then(u32)
            .map_or(Told::Unreadable, Told::Of),
        Some(_) => Told::Else,
        None => Told::Unreadable,
    }
}

#[cfg(test)]
#[path = "message_tests.rs"]
pub(super) mod tests;
