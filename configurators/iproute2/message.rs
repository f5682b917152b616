//! Actions as rtnetlink messages. Pure; the indexes of devices are asked of whoever calls.

use netlink_packet_core::{DefaultNla, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE};
use netlink_packet_route::address::{AddressAttribute, AddressMessage};
use netlink_packet_route::link::{InfoBond, InfoBridge, InfoData, InfoKind, LinkAttribute, LinkInfo, LinkMessage};
use netlink_packet_route::route::{RouteAttribute, RouteMessage, RouteProtocol, RouteScope, RouteType, RouteVia};
use netlink_packet_route::rule::{RuleAction, RuleAttribute, RuleMessage};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use rtnetlink::{LinkBond, LinkBridge, LinkMessageBuilder, LinkUnspec, LinkVlan, RouteMessageBuilder};
use std::net::IpAddr;
use vdsm_model::bond_options::{Attribute, Payload};
use vdsm_model::bridge_options;
use vdsm_model::ip::{Address, Route};
use vdsm_model::name::DeviceName;
use vdsm_model::rule::Rule;
use vdsm_netlink::Request;

use super::action::{Action, LinkChange, NewLink, named};
use super::qos;
use crate::RunError;

/// Who knows the indexes of devices, those made a moment ago included.
pub(super) trait Indexes {
    /// The index of a device.
    fn index(&self, name: &DeviceName) -> Result<u32, RunError>;
    /// A fresh index for a device about to be made.
    fn fresh(&mut self, name: &DeviceName) -> u32;
}

/// The message of an action; none for what is no message.
pub(super) fn request(action: &Action, indexes: &mut impl Indexes) -> Result<Option<Request>, RunError> {
    Ok(Some(match action {
        Action::AddLink { name, kind, mtu, mac } => {
            let index = indexes.fresh(name);
            let message = match kind {
                NewLink::Vlan { device, tag } => {
                    complete(LinkVlan::new(name.as_str(), indexes.index(device)?, tag.get()), index, *mtu, *mac)
                }
                NewLink::Bridge(options) => {
                    let data = options
                        .iter()
                        .filter_map(|(name, value)| bridge_options::encode(name, value))
                        .map(|(kind, bytes)| InfoBridge::Other(DefaultNla::new(kind, bytes)));
                    // `LinkBridge::new` would bring it up at once.
                    complete(
                        LinkMessageBuilder::<LinkBridge>::new(name.as_str())
                            .set_info_data(InfoData::Bridge(data.collect())),
                        index,
                        *mtu,
                        *mac,
                    )
                }
                NewLink::Bond(options) => {
                    let data: Result<Vec<InfoBond>, RunError> =
                        options.attributes().iter().map(|a| bond_data(a, indexes)).collect();
                    complete(LinkBond::new(name.as_str()).set_info_data(InfoData::Bond(data?)), index, *mtu, *mac)
                }
            };
            Request::new(RouteNetlinkMessage::NewLink(message), NLM_F_CREATE | NLM_F_EXCL)
        }
        Action::SetLink { name, change } => {
            Request::new(RouteNetlinkMessage::SetLink(set_link(indexes, name, change)?), 0)
        }
        Action::SetTap { name, mtu } => {
            let change = LinkChange { mtu: Some(*mtu), ..LinkChange::default() };
            Request::new(RouteNetlinkMessage::SetLink(set_link(indexes, name, &change)?), 0)
        }
        Action::SetBond { name, change } => {
            let data = InfoData::Bond(vec![bond_data(&change.attribute, indexes)?]);
            link_data(indexes.index(name)?, InfoKind::Bond, data)
        }
        Action::SetBridge { name, change } => {
            let data =
                InfoData::Bridge(vec![InfoBridge::Other(DefaultNla::new(change.attribute, change.bytes.clone()))]);
            link_data(indexes.index(name)?, InfoKind::Bridge, data)
        }
        Action::DelLink { name } => {
            Request::new(RouteNetlinkMessage::DelLink(LinkUnspec::new_with_index(indexes.index(name)?).build()), 0)
        }
        Action::Qos { device, change } => qos::request(indexes.index(device)?, change),
        Action::AddAddress { device, address, replace } => Request::new(
            RouteNetlinkMessage::NewAddress(self::address(indexes.index(device)?, address)),
            NLM_F_CREATE | if *replace { NLM_F_REPLACE } else { NLM_F_EXCL },
        ),
        Action::DelAddress { device, address } => {
            Request::new(RouteNetlinkMessage::DelAddress(self::address(indexes.index(device)?, address)), 0)
        }
        Action::AddRoute { device, route, replace } => Request::new(
            RouteNetlinkMessage::NewRoute(self::route(indexes.index(device)?, route)?),
            NLM_F_CREATE | if *replace { NLM_F_REPLACE } else { NLM_F_EXCL },
        ),
        Action::DelRoute { device, route } => {
            Request::new(RouteNetlinkMessage::DelRoute(self::route(indexes.index(device)?, route)?), 0)
        }
        Action::AddRule { rule } => {
            Request::new(RouteNetlinkMessage::NewRule(self::rule(rule)), NLM_F_CREATE | NLM_F_EXCL)
        }
        Action::DelRule { rule } => Request::new(RouteNetlinkMessage::DelRule(self::rule(rule)), 0),
        Action::Ipv6 { .. }
        | Action::Adverts { .. }
        | Action::Solicit { .. }
        | Action::Dhcp { .. }
        | Action::Ethtool { .. }
        | Action::Resolver { .. } => {
            return Ok(None);
        }
    }))
}

/// Moves a link into a group, as `ip link set NAME group GROUP`.
pub(super) fn to_group(index: u32, group: u32) -> Request {
    Request::new(RouteNetlinkMessage::SetLink(LinkUnspec::new_with_index(index).link_group(group).build()), 0)
}

/// Deletes all links of a group, as `ip link del group GROUP`.
pub(super) fn delete_group(group: u32) -> Request {
    let mut message = LinkMessage::default();
    message.attributes.push(LinkAttribute::Group(group));
    Request::new(RouteNetlinkMessage::DelLink(message), 0)
}

fn complete<T>(
    mut builder: LinkMessageBuilder<T>,
    index: u32,
    mtu: Option<vdsm_model::units::Mtu>,
    mac: Option<vdsm_model::units::Mac>,
) -> LinkMessage {
    builder = builder.index(index);
    if let Some(mtu) = mtu {
        builder = builder.mtu(mtu.get());
    }
    if let Some(mac) = mac {
        builder = builder.address(mac.0.to_vec());
    }
    builder.build()
}

fn set_link(indexes: &impl Indexes, name: &DeviceName, change: &LinkChange) -> Result<LinkMessage, RunError> {
    let mut builder = LinkUnspec::new_with_index(indexes.index(name)?);
    if let Some(mtu) = change.mtu {
        builder = builder.mtu(mtu.get());
    }
    if let Some(mac) = change.mac {
        builder = builder.address(mac.0.to_vec());
    }
    builder = match change.master {
        Some(Some(master)) => builder.controller(indexes.index(&master)?),
        Some(None) => builder.nocontroller(),
        None => builder,
    };
    Ok(match change.up {
        Some(true) => builder.up(),
        Some(false) => builder.down(),
        None => builder,
    }
    .build())
}

fn link_data(index: u32, kind: InfoKind, data: InfoData) -> Request {
    let mut message = LinkUnspec::new_with_index(index).build();
    message.attributes.push(LinkAttribute::LinkInfo(vec![LinkInfo::Kind(kind), LinkInfo::Data(data)]));
    // RTM_NEWLINK without NLM_F_CREATE changes what is there, as `ip link set type` does.
    Request::new(RouteNetlinkMessage::NewLink(message), 0)
}

fn bond_data(attribute: &Attribute, indexes: &impl Indexes) -> Result<InfoBond, RunError> {
    let bytes = match (&attribute.payload, named(&attribute.payload)) {
        (Payload::Bytes(bytes), _) => bytes.clone(),
        // No device is index 0.
        (_, None | Some("")) => vec![0; 4],
        (_, Some(text)) => {
            let name = DeviceName::try_from(text)
                .map_err(|e| RunError::Unspeakable(format!("'{text}' is no device's name: {e}")))?;
            indexes.index(&name)?.to_ne_bytes().to_vec()
        }
    };
    Ok(InfoBond::Other(DefaultNla::new(attribute.number, bytes)))
}

fn address(index: u32, address: &Address) -> AddressMessage {
    let ip = address.ip.addr;
    let more = &address.more;
    let mut message = AddressMessage::default();
    message.header.family = if ip.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    message.header.prefix_len = address.ip.prefix;
    message.header.index = index;
    message.header.scope = more.scope.into();
    message.attributes.push(AddressAttribute::Local(ip));
    message.attributes.push(AddressAttribute::Address(more.peer.unwrap_or(ip)));
    message.attributes.extend(address.broadcast.map(AddressAttribute::Broadcast));
    let other = |kind: u16, bytes: Vec<u8>| AddressAttribute::Other(DefaultNla::new(kind, bytes));
    if let Some(label) = more.label {
        message.attributes.push(other(libc::IFA_LABEL, label.to_vec()));
    }
    if let Some((preferred, valid)) = more.lifetime {
        // ifa_cacheinfo; its two time stamps are the kernel's.
        let bytes = [preferred, valid, 0, 0].iter().flat_map(|n| n.to_ne_bytes()).collect();
        message.attributes.push(other(libc::IFA_CACHEINFO, bytes));
    }
    if more.flags != 0 {
        message.attributes.push(other(libc::IFA_FLAGS, more.flags.to_ne_bytes().to_vec()));
    }
    if more.metric != 0 {
        message.attributes.push(other(IFA_RT_PRIORITY, more.metric.to_ne_bytes().to_vec()));
    }
    message
}

/// Of linux/if_addr.h.
const IFA_RT_PRIORITY: u16 = 9;

/// Of linux/rtnetlink.h.
const RTA_NH_ID: u16 = 30;

/// Whether the kernel wants to be told a device: not where a nexthop object says it, nor where an IPv4
/// route leads nowhere. IPv6 has such routes at the loopback, and would else take another one
/// without a gateway for it.
fn has_device(route: &Route) -> bool {
    route.nhid.is_none() && route.leaves()
}

fn route(index: u32, route: &Route) -> Result<RouteMessage, RunError> {
    let impossible = |_| RunError::Unspeakable(format!("{route} mixes address families"));
    let mut builder = RouteMessageBuilder::<IpAddr>::new()
        .destination_prefix(route.to.addr, route.to.prefix)
        .map_err(impossible)?
        .table_id(route.table)
        .protocol(RouteProtocol::from(route.protocol))
        .scope(RouteScope::from(route.scope));
    if let Some(nhid) = route.nhid {
        builder.get_mut().attributes.push(RouteAttribute::Other(DefaultNla::new(RTA_NH_ID, nhid.to_ne_bytes().into())));
    } else {
        builder = builder.kind(RouteType::from(route.fate.number()));
    }
    if has_device(route) {
        builder = builder.output_interface(index);
    }
    if route.metric != 0 {
        builder = builder.priority(route.metric);
    }
    match route.gateway.filter(|_| route.nhid.is_none()) {
        // An IPv4 route through an IPv6 neighbour (RFC 5549).
        Some(IpAddr::V6(via)) if route.to.addr.is_ipv4() => {
            builder.get_mut().attributes.push(RouteAttribute::Via(RouteVia::Inet6(via)))
        }
        Some(gateway) => builder = builder.gateway(gateway).map_err(impossible)?,
        None => {}
    }
    if route.onlink && route.nhid.is_none() {
        builder = builder.onlink();
    }
    if let Some(source) = route.source {
        builder = builder.pref_source(source).map_err(impossible)?;
    }
    let metrics: Vec<u8> = (0u16..)
        .zip(route.metrics)
        .filter(|(_, number)| *number != 0)
        .flat_map(|(kind, number)| {
            [8u16.to_ne_bytes(), kind.to_ne_bytes()]
                .concat()
                .into_iter()
                .chain(number.to_ne_bytes())
                .collect::<Vec<u8>>()
        })
        .collect();
    if !metrics.is_empty() {
        builder.get_mut().attributes.push(RouteAttribute::Other(DefaultNla::new(libc::RTA_METRICS, metrics)));
    }
    Ok(builder.build())
}

/// A rule of ours: those of others have conditions that are not spelled here, and are never sent.
fn rule(rule: &Rule) -> RuleMessage {
    let mut message = RuleMessage::default();
    message.header.family = if rule.v6 { AddressFamily::Inet6 } else { AddressFamily::Inet };
    message.header.action = RuleAction::from(rule.action);
    let all = &mut message.attributes;
    if let Some(from) = rule.from {
        message.header.src_len = from.prefix;
        all.push(RuleAttribute::Source(from.addr));
    }
    if let Some(to) = rule.to {
        message.header.dst_len = to.prefix;
        all.push(RuleAttribute::Destination(to.addr));
    }
    all.extend(rule.iif.map(|iif| RuleAttribute::Iifname(iif.to_string())));
    all.push(RuleAttribute::Priority(rule.priority));
    all.push(RuleAttribute::Table(rule.table));
    all.push(RuleAttribute::Protocol(RouteProtocol::from(rule.protocol)));
    message
}
