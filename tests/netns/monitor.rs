//! All that the kernel tells while something is done: whether anything was removed, or added again.
//!
//! What the kernel tells nobody, and the local table's routes, are not here.

use std::net::IpAddr;

use netlink_packet_core::{NetlinkDeserializable, NetlinkHeader};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::address::AddressAttribute;
use netlink_packet_route::link::LinkAttribute;
use netlink_packet_route::route::{RouteAddress, RouteAttribute, RouteMessage};
use netlink_packet_route::rule::{RuleAttribute, RuleMessage};
use nix::net::if_::if_indextoname;
use vdsm_netlink::{Drained, Event, Listener, Topic};

/// `+ address 10.0.0.1/24 of red`, `- link veth_0` and the like for each notification about this
/// namespace's links, addresses, rules and routes that `act` leads to, in order.
///
/// `+` is a change as well: the kernel says the same of both.
pub fn changes(act: impl FnOnce()) -> Vec<String> {
    let mut listener = Listener::open(Topic::All, None).unwrap();
    act();
    // The kernel has queued what there is to tell before a call returns.
    let mut told = Vec::new();
    loop {
        match listener.drain(1000, &mut |event| told.extend(sentence(&event))).unwrap() {
            Drained::Empty => return told,
            Drained::More => {}
            Drained::Lost => panic!("more than one can hear"),
        }
    }
}

fn sentence(event: &Event<'_>) -> Option<String> {
    use RouteNetlinkMessage::*;
    let mut header = NetlinkHeader::default();
    header.message_type = event.kind;
    Some(match RouteNetlinkMessage::deserialize(&header, event.payload).unwrap() {
        NewLink(link) => format!("+ link {}", link_name(&link.attributes)),
        DelLink(link) => format!("- link {}", link_name(&link.attributes)),
        NewAddress(it) => format!("+ {}", address(it.header.index, it.header.prefix_len, &it.attributes)),
        DelAddress(it) => format!("- {}", address(it.header.index, it.header.prefix_len, &it.attributes)),
        NewRoute(it) => format!("+ {}", route(&it)),
        DelRoute(it) => format!("- {}", route(&it)),
        NewRule(it) => format!("+ {}", rule(&it)),
        DelRule(it) => format!("- {}", rule(&it)),
        // Queueing disciplines, and settings without a state of their own.
        _ => return None,
    })
}

fn link_name(attributes: &[LinkAttribute]) -> &str {
    let name = attributes.iter().find_map(|a| if let LinkAttribute::IfName(name) = a { Some(name) } else { None });
    name.map_or("?", String::as_str)
}

/// The name of a device, or its number if it is gone.
fn device(index: u32) -> String {
    if_indextoname(index).map_or_else(|_| index.to_string(), |name| name.to_string_lossy().into_owned())
}

fn address(index: u32, prefix: u8, attributes: &[AddressAttribute]) -> String {
    let local = attributes.iter().find_map(|a| if let AddressAttribute::Local(ip) = a { Some(*ip) } else { None });
    let address = attributes.iter().find_map(|a| if let AddressAttribute::Address(ip) = a { Some(*ip) } else { None });
    let ip = local.or(address).map_or_else(|| "?".to_owned(), |ip: IpAddr| ip.to_string());
    format!("address {ip}/{prefix} of {}", device(index))
}

fn route(it: &RouteMessage) -> String {
    let ip = |address: &RouteAddress| match address {
        RouteAddress::Inet(ip) => ip.to_string(),
        RouteAddress::Inet6(ip) => ip.to_string(),
        _ => "?".to_owned(),
    };
    let (mut to, mut via, mut by, mut table) =
        (String::new(), String::new(), String::new(), u32::from(it.header.table));
    for attribute in &it.attributes {
        match attribute {
            RouteAttribute::Destination(address) => to = ip(address),
            RouteAttribute::Gateway(address) => via = format!(" via {}", ip(address)),
            RouteAttribute::Oif(index) => by = format!(" by {}", device(*index)),
            RouteAttribute::Table(number) => table = *number,
            _ => {}
        }
    }
    let to = if to.is_empty() { "default".to_owned() } else { format!("{to}/{}", it.header.destination_prefix_length) };
    format!("route {to}{via}{by} in table {table}")
}

fn rule(it: &RuleMessage) -> String {
    let (mut from, mut to, mut priority, mut table) = (String::new(), String::new(), 0, u32::from(it.header.table));
    for attribute in &it.attributes {
        match attribute {
            RuleAttribute::Source(ip) => from = format!(" from {ip}/{}", it.header.src_len),
            RuleAttribute::Destination(ip) => to = format!(" to {ip}/{}", it.header.dst_len),
            RuleAttribute::Priority(number) => priority = *number,
            RuleAttribute::Table(number) => table = *number,
            _ => {}
        }
    }
    format!("rule {priority}{from}{to} of table {table}")
}
