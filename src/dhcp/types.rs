//! What both ends speak of: which clients are wanted, how they stand, what they were granted.
//!
//! How it travels is in `protocol.rs`.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use vdsm_model::name::DeviceName;

/// Which protocol a client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// DHCP (RFC 2131).
    V4,
    /// DHCPv6 (RFC 8415), one non-temporary address.
    V6,
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Family::V4 => "v4",
            Family::V6 => "v6",
        })
    }
}

/// A client that is to run until it is stopped, through restarts of either process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    /// The device, which may come later, go, and come again.
    pub device: DeviceName,
    /// The protocol.
    pub family: Family,
    /// Option 12, for servers that name their clients; nothing is sent without it. DHCPv6 has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
}

/// What names a client.
pub(crate) type Key = (DeviceName, Family);

impl Wanted {
    pub(crate) fn key(&self) -> Key {
        (self.device, self.family)
    }
}

/// What becomes of the lease of a client that is stopped. Its address goes in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Afterwards {
    /// The server is told nothing, so that who comes next with this MAC gets the same address.
    Keep,
    /// The server gets its address back.
    Release,
}

/// A route of option 121.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct StaticRoute {
    /// The network.
    pub destination: Ipv4Addr,
    /// Its prefix length, 1 to 32; a default route is the lease's `gateway`.
    pub prefix: u8,
    /// `0.0.0.0` when the network is on the link itself (RFC 3442).
    pub gateway: Ipv4Addr,
}

/// What a server granted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// The address.
    pub address: IpAddr,
    /// The length of its prefix; 128 for IPv6, where the prefix is the router's to tell.
    pub prefix: u8,
    /// The server, of IPv4 only.
    pub server: Option<Ipv4Addr>,
    /// The default route of option 121 where there is that option, else the first of option 3.
    pub gateway: Option<Ipv4Addr>,
    /// The other routes of option 121.
    pub routes: Vec<StaticRoute>,
    /// Name servers, the preferred one first.
    pub nameservers: Vec<IpAddr>,
    /// Option 15.
    pub domain: Option<String>,
    /// Option 119, or 24 of DHCPv6.
    pub search: Vec<String>,
    /// Option 26.
    pub mtu: Option<u16>,
    /// Seconds the address is valid from `obtained` on; `u32::MAX` is for ever.
    pub valid: u32,
    /// Seconds it is preferred; for IPv4 the same.
    pub preferred: u32,
    /// Seconds until it is renewed.
    pub t1: u32,
    /// Seconds until any server is asked.
    pub t2: u32,
    /// When, in seconds since 1970.
    pub obtained: u64,
    /// DHCPv6's identity of the server.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) server_duid: Vec<u8>,
    /// DHCPv6's number of what the address belongs to.
    #[serde(default)]
    pub(crate) iaid: u32,
}

impl Lease {
    /// A lease of an address for an hour, with nothing else in it: for those who make their own.
    pub fn of(address: IpAddr, prefix: u8) -> Lease {
        Lease {
            address,
            prefix,
            server: None,
            gateway: None,
            routes: Vec::new(),
            nameservers: Vec::new(),
            domain: None,
            search: Vec::new(),
            mtu: None,
            valid: 3600,
            preferred: 3600,
            t1: 1800,
            t2: 3150,
            obtained: now(),
            server_duid: Vec::new(),
            iaid: 0,
        }
    }

    /// What is left of `seconds` from `obtained` on; nothing is lost to a clock that was set back.
    pub(crate) fn left_of(&self, seconds: u32) -> u32 {
        if seconds == u32::MAX {
            return seconds;
        }
        let gone = u32::try_from(now().saturating_sub(self.obtained)).unwrap_or(u32::MAX);
        seconds.saturating_sub(gone)
    }

    /// How long the address is still valid.
    pub(crate) fn left(&self) -> Duration {
        Duration::from_secs(self.left_of(self.valid).into())
    }

    pub(crate) fn is_over(&self) -> bool {
        self.left().is_zero()
    }
}

pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// What a client does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", content = "why", rename_all = "kebab-case")]
pub enum State {
    /// There is no device of that name.
    NoDevice,
    /// The device is down, or has no carrier.
    NoCarrier,
    /// No server has granted anything yet.
    Asking,
    /// The lease stands.
    Bound,
    /// It cannot even ask; it is tried again by itself.
    Failed(String),
}

/// How a client stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The client.
    pub wanted: Wanted,
    /// What it does.
    pub state: State,
    /// Whose address is on the device now: also without a carrier, and while it is asked for again.
    pub lease: Option<Lease>,
}
