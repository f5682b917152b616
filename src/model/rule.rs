//! A routing rule (ip-rule(8)): which packets look up which table.

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::name::DeviceName;
use crate::units::Prefixed;

/// Look up a table: the action `FR_ACT_TO_TBL` of linux/fib_rules.h.
pub const TO_TABLE: u8 = 1;

/// One rule. The kernel has no two that are equal.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Rule {
    /// Rules are tried from the lowest number.
    pub priority: u32,
    /// IPv6, or else IPv4.
    pub v6: bool,
    /// It holds for what does not fit (`FIB_RULE_INVERT`).
    pub not: bool,
    /// Sources; none: all.
    pub from: Option<Prefixed<IpAddr>>,
    /// Destinations; none: all.
    pub to: Option<Prefixed<IpAddr>>,
    /// The device packets came in on, by name: it may not exist.
    pub iif: Option<DeviceName>,
    /// The device a socket is bound to.
    pub oif: Option<DeviceName>,
    /// The firewall's mark, and which bits of it count.
    pub mark: Option<(u32, u32)>,
    /// Type of service.
    pub tos: u8,
    /// `FR_ACT_*`: 1 to a table, 2 go to another rule, 3 nothing, 6 blackhole, 7 unreachable, 8 prohibit.
    pub action: u8,
    /// The table, for action 1.
    pub table: u32,
    /// The rule to go on with, for action 2.
    pub goto: Option<u32>,
    /// Who made it (`rtm_protocol`).
    pub protocol: u8,
    /// Any other condition, attribute by attribute, as the kernel sent it.
    pub rest: Vec<(u16, Vec<u8>)>,
}

impl Rule {
    /// One without any condition that does nothing; the first of its priority in the order of rules.
    pub(crate) fn new(priority: u32) -> Rule {
        Rule {
            priority,
            v6: false,
            not: false,
            from: None,
            to: None,
            iif: None,
            oif: None,
            mark: None,
            tos: 0,
            action: 0,
            table: 0,
            goto: None,
            protocol: 0,
            rest: Vec::new(),
        }
    }

    /// As `ip rule add` takes it; of ours, which have no conditions but these.
    pub fn spelled(&self) -> String {
        let text = self.to_string();
        let conditions = text.split_once(": ").map_or(text.as_str(), |(_, conditions)| conditions);
        format!("{conditions} priority {} protocol {}", self.priority, self.protocol)
    }
}

impl fmt::Display for Rule {
    /// Close to what `ip rule` shows; conditions that have no field here are counted.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}from ", self.priority, if self.not { "not " } else { "" })?;
        match &self.from {
            Some(from) => write!(f, "{from}")?,
            None => f.write_str("all")?,
        }
        if let Some(to) = &self.to {
            write!(f, " to {to}")?;
        }
        if let Some(iif) = &self.iif {
            write!(f, " iif {iif}")?;
        }
        if let Some(oif) = &self.oif {
            write!(f, " oif {oif}")?;
        }
        if let Some((mark, mask)) = self.mark {
            write!(f, " fwmark {mark:#x}/{mask:#x}")?;
        }
        if !self.rest.is_empty() {
            write!(f, " (and {} more conditions)", self.rest.len())?;
        }
        match self.action {
            TO_TABLE => write!(f, " lookup {}", self.table),
            2 => write!(f, " goto {}", self.goto.unwrap_or_default()),
            6 => f.write_str(" blackhole"),
            7 => f.write_str(" unreachable"),
            8 => f.write_str(" prohibit"),
            _ => f.write_str(" nop"),
        }
    }
}
