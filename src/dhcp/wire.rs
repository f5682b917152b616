//! The leased addresses in the kernel.
//!
//! Setting one that is there already extends its life and nothing else: nobody sees it go.

use std::net::IpAddr;

use netlink_packet_core::{NLM_F_CREATE, NLM_F_REPLACE};
use netlink_packet_route::address::{AddressAttribute, AddressFlags, AddressMessage, AddressScope, CacheInfo};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use vdsm_netlink::{BatchError, KernelError, Request, Wire};

use crate::types::Lease;

/// Even an endless lease's address has a finite life (136 years): by that the daemon tells it from
/// the addresses that people set. `u32::MAX` would make it permanent.
const LONGEST: u32 = u32::MAX - 1;

/// As `ip address replace ADDRESS dev DEVICE valid_lft .. preferred_lft ..`.
pub(crate) fn set(wire: &mut Wire, index: u32, lease: &Lease) -> Result<(), BatchError> {
    let mut message = message(index, lease.address, lease.prefix);
    let mut life = CacheInfo::default();
    life.ifa_valid = lease.left_of(lease.valid).min(LONGEST);
    life.ifa_preferred = lease.left_of(lease.preferred).min(life.ifa_valid);
    message.attributes.push(AddressAttribute::CacheInfo(life));
    match lease.address {
        IpAddr::V4(address) if lease.prefix < 31 => {
            let hosts = u32::MAX >> lease.prefix;
            message.attributes.push(AddressAttribute::Broadcast((u32::from(address) | hosts).into()));
        }
        IpAddr::V4(_) => {}
        // A route to the address alone leads nowhere, and the kernel would keep it when the address goes
        // before its time.
        IpAddr::V6(_) => message.attributes.push(AddressAttribute::Flags(AddressFlags::Noprefixroute)),
    }
    wire.batch(&[Request::new(RouteNetlinkMessage::NewAddress(message), NLM_F_CREATE | NLM_F_REPLACE)])
}

/// As `ip address del`; one that is gone already, or whose device is, is fine.
pub(crate) fn remove(wire: &mut Wire, index: u32, address: IpAddr, prefix: u8) -> Result<(), BatchError> {
    let message = message(index, address, prefix);
    match wire.batch(&[Request::new(RouteNetlinkMessage::DelAddress(message), 0)]) {
        Err(BatchError::Refused { source: KernelError { errno: libc::EADDRNOTAVAIL | libc::ENODEV, .. }, .. }) => {
            Ok(())
        }
        done => done,
    }
}

fn message(index: u32, address: IpAddr, prefix: u8) -> AddressMessage {
    let mut message = AddressMessage::default();
    message.header.family = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    message.header.prefix_len = prefix;
    message.header.index = index;
    message.header.scope = AddressScope::Universe;
    message.attributes.push(AddressAttribute::Local(address));
    message.attributes.push(AddressAttribute::Address(address));
    message
}
