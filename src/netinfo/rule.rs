//! One `RTM_NEWRULE` message becomes a rule of routing.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use vdsm_model::name::DeviceName;
use vdsm_model::rule::Rule;
use vdsm_model::units::Prefixed;
use vdsm_netlink::attrs::{self, Attrs};

use super::layer3::{INET, INET6, ip};

/// Length of `fib_rule_hdr` (linux/fib_rules.h); its attributes follow.
const HEADER: usize = 12;
const FIB_RULE_INVERT: u32 = 2;
const FRA_DST: u16 = 1;
const FRA_SRC: u16 = 2;
const FRA_IIFNAME: u16 = 3;
const FRA_GOTO: u16 = 4;
const FRA_PRIORITY: u16 = 6;
const FRA_FWMARK: u16 = 10;
const FRA_SUPPRESS_PREFIXLEN: u16 = 14;
const FRA_TABLE: u16 = 15;
const FRA_FWMASK: u16 = 16;
const FRA_OIFNAME: u16 = 17;
const FRA_PAD: u16 = 18;
const FRA_PROTOCOL: u16 = 21;

/// The rule of the message; none for the multicast routers' own rules.
pub(super) fn rule(payload: &[u8]) -> Option<Rule> {
    let [family, to, from, tos, table, _, _, action, ..] = *payload.first_chunk::<HEADER>()?;
    let flags = attrs::u32(&payload[8..])?;
    let any: IpAddr = match family {
        INET => Ipv4Addr::UNSPECIFIED.into(),
        INET6 => Ipv6Addr::UNSPECIFIED.into(),
        _ => return None,
    };
    let subnet = |prefix| (prefix != 0).then_some(Prefixed { addr: any, prefix });
    let (mut mark, mut mask) = (0, None);
    let mut rule = Rule {
        priority: 0,
        v6: family == INET6,
        not: flags & FIB_RULE_INVERT != 0,
        from: subnet(from),
        to: subnet(to),
        iif: None,
        oif: None,
        mark: None,
        tos,
        action,
        table: table.into(),
        goto: None,
        protocol: 0,
        rest: Vec::new(),
    };
    for (kind, value) in Attrs::after(payload, HEADER) {
        match kind {
            FRA_DST => rule.to = ip(family, value).map(|addr| Prefixed { addr, prefix: to }),
            FRA_SRC => rule.from = ip(family, value).map(|addr| Prefixed { addr, prefix: from }),
            FRA_IIFNAME => rule.iif = device(value),
            FRA_OIFNAME => rule.oif = device(value),
            FRA_GOTO => rule.goto = attrs::u32(value),
            FRA_PRIORITY => rule.priority = attrs::u32(value)?,
            FRA_FWMARK => mark = attrs::u32(value)?,
            FRA_FWMASK => mask = attrs::u32(value),
            FRA_TABLE => rule.table = attrs::u32(value)?,
            FRA_PROTOCOL => rule.protocol = attrs::u8(value)?,
            // All ones: none is suppressed.
            FRA_SUPPRESS_PREFIXLEN if attrs::u32(value) == Some(u32::MAX) => {}
            FRA_PAD => {}
            _ => rule.rest.push((kind, value.to_vec())),
        }
    }
    rule.mark = mask.map(|mask| (mark, mask));
    Some(rule)
}

fn device(value: &[u8]) -> Option<DeviceName> {
    attrs::text(value).and_then(|name| DeviceName::try_from(name).ok())
}
