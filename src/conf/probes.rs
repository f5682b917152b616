//! What proves after a change that the host is still reachable: which probes, and how many of them
//! must come true.
//!
//! Their spelling in vdsm.conf, and the law of the quorum. How a probe is tried is
//! `connectivity/`'s.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

/// One of `connectivity_probes`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Probe {
    /// Somebody who may change the network calls Host.confirmConnectivity or Host.ping.
    Call,
    /// The gateways answer ARP or neighbour discovery.
    Gateway,
    /// The nics and bonds have a carrier, and bonds with LACP a partner.
    Carrier,
    /// Somebody takes a connection at this address and port.
    Tcp(SocketAddr),
}

impl fmt::Display for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Probe::Call => f.write_str("call"),
            Probe::Gateway => f.write_str("gateway"),
            Probe::Carrier => f.write_str("carrier"),
            Probe::Tcp(to) => write!(f, "tcp:{to}"),
        }
    }
}

/// `connectivity_quorum`: how many of the probes must come true. Those that do not apply to a
/// change do not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quorum {
    /// Each of them.
    All,
    /// More than half of them.
    Majority,
    /// So many; all where fewer apply. 1 or more.
    AtLeast(usize),
}

impl Quorum {
    /// How many must come true of those that apply; 0 only where none does.
    pub fn of(self, applying: usize) -> usize {
        match self {
            Quorum::All => applying,
            Quorum::Majority if applying == 0 => 0,
            Quorum::Majority => applying / 2 + 1,
            Quorum::AtLeast(count) => count.min(applying),
        }
    }
}

/// Commas between them, each once.
pub(super) fn probes(value: &str) -> Result<Vec<Probe>, String> {
    let mut probes = Vec::new();
    for word in value.split(',').map(str::trim) {
        let probe = probe(word)?;
        if probes.contains(&probe) {
            return Err(format!("names `{probe}` twice"));
        }
        probes.push(probe);
    }
    Ok(probes)
}

fn probe(word: &str) -> Result<Probe, String> {
    match word {
        "call" => Ok(Probe::Call),
        "gateway" => Ok(Probe::Gateway),
        "carrier" => Ok(Probe::Carrier),
        _ => {
            let rule = "must be a list of call, gateway, carrier and tcp:ADDRESS:PORT";
            let to = word.strip_prefix("tcp:").ok_or_else(|| format!("{rule}; `{word}` is none of them"))?;
            tcp(to).map(Probe::Tcp).map_err(|why| format!("{rule}; `{word}` {why}"))
        }
    }
}

/// Numbers only: a name would have to be looked up, through the very network that is in question.
fn tcp(to: &str) -> Result<SocketAddr, &'static str> {
    let to: SocketAddr =
        to.parse().map_err(|_| "has no numeric address and port, as tcp:192.0.2.5:22 or tcp:[2001:db8::1]:22")?;
    let ip = to.ip().to_canonical();
    let is_broadcast = ip == IpAddr::from([255; 4]);
    if ip.is_unspecified() || ip.is_loopback() || ip.is_multicast() || is_broadcast {
        return Err("is no address of another host");
    }
    if matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local()) {
        return Err("is a link-local address, which says nothing without its link");
    }
    if to.port() == 0 { Err("has no port from 1 to 65535") } else { Ok(SocketAddr::new(ip, to.port())) }
}

pub(super) fn quorum(value: &str) -> Result<Quorum, String> {
    match value {
        "all" => Ok(Quorum::All),
        "majority" => Ok(Quorum::Majority),
        _ => match value.parse() {
            Ok(count @ 1..) => Ok(Quorum::AtLeast(count)),
            _ => Err("must be all, majority, or a whole number from 1 to the number of connectivity_probes".to_owned()),
        },
    }
}

/// What is wrong with both together: more are wanted than there are.
pub(super) fn together(probes: &[Probe], quorum: Quorum) -> Result<(), String> {
    match quorum {
        Quorum::AtLeast(count) if count > probes.len() => {
            Err(format!("must not be more than the number of connectivity_probes, which is {}", probes.len()))
        }
        _ => Ok(()),
    }
}
