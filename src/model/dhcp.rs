//! DHCP as far as planning has to know of it: whose clients serve a device, and what a lease means.
//!
//! The clients themselves, and what keeps the leased addresses, are the crate in `src/dhcp`; how
//! other people's clients are found is known there as well.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::ip::{DHCP, IpConfig, Route};
use crate::name::DeviceName;
use crate::source_routing;
use crate::units::Prefixed;

/// Who asks for addresses on a device.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clients {
    /// Our client of DHCP (RFC 2131).
    pub v4: bool,
    /// Our client of DHCPv6 (RFC 8415).
    pub v6: bool,
    /// Other people's.
    pub foreign: BTreeSet<Foreign>,
}

impl Clients {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        *self == Clients::default()
    }

    /// Those that are there and may stay, if these are to be.
    pub fn kept(&self, to: &Clients) -> Clients {
        Clients {
            v4: self.v4 && to.v4,
            v6: self.v6 && to.v6,
            foreign: self.foreign.intersection(&to.foreign).cloned().collect(),
        }
    }
}

/// Somebody else's client, by what is needed to start it again: which process it is does not matter.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Foreign {
    /// Its program, an absolute path.
    #[serde(with = "bytes")]
    pub exe: PathBuf,
    /// Its command line, its name first.
    pub argv: Vec<OsString>,
    /// The folder it runs in.
    #[serde(with = "bytes")]
    pub cwd: PathBuf,
}

/// A path need not be UTF-8.
mod bytes {
    use std::ffi::OsString;
    use std::path::{Path, PathBuf};

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(path: &Path, to: S) -> Result<S::Ok, S::Error> {
        path.as_os_str().serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<PathBuf, D::Error> {
        OsString::deserialize(from).map(PathBuf::from)
    }
}

impl fmt::Display for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<_> = self.argv.iter().map(|word| word.to_string_lossy()).collect();
        f.write_str(&words.join(" "))
    }
}

/// The clients of a device as they stand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SeenClients {
    /// Ours of DHCP.
    pub v4: Option<SeenClient>,
    /// Ours of DHCPv6.
    pub v6: Option<SeenClient>,
    /// Other people's. A picture of the host has none: only a transaction looks for them.
    pub foreign: BTreeSet<Foreign>,
}

impl SeenClients {
    /// Who is there.
    pub fn clients(&self) -> Clients {
        Clients { v4: self.v4.is_some(), v6: self.v6.is_some(), foreign: self.foreign.clone() }
    }
}

/// One client of ours.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SeenClient {
    /// Whose address is on the device.
    pub lease: Option<Lease>,
    /// Why it cannot even ask.
    pub trouble: Option<String>,
}

/// What a server granted, as far as something follows from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The address.
    pub address: Prefixed<IpAddr>,
    /// The router; IPv6's are known from their advertisements.
    pub gateway: Option<Ipv4Addr>,
    /// Option 121 (RFC 3442): networks and the routers to them, those on the link without one.
    pub routes: Vec<(Prefixed<Ipv4Addr>, Option<Ipv4Addr>)>,
    /// Name servers, the preferred one first.
    pub nameservers: Vec<IpAddr>,
}

/// Adds to a device's routes and rules what follows from its IPv4 lease. `default` says whether the
/// host's default route is to lead there. A gateway beside the lease's subnet, as clouds hand out with a
/// prefix of 32, is on the link all the same. The address itself is the client's business.
pub fn follow(device: DeviceName, lease: &Lease, default: bool, config: &mut IpConfig) {
    let IpAddr::V4(addr) = lease.address.addr else { return };
    let through = |gateway: Ipv4Addr| {
        let onlink = !lease.address.covers(gateway.into());
        Route { protocol: DHCP, onlink, ..Route::default_via(gateway.into()) }
    };
    for (to, via) in &lease.routes {
        let to = Prefixed { addr: to.addr.into(), prefix: to.prefix }.network();
        config.routes.insert(match via {
            Some(via) => Route { to, ..through(*via) },
            None => Route { protocol: DHCP, ..Route::on_link(to) },
        });
    }
    if let Some(gateway) = lease.gateway.map(through) {
        if default {
            config.routes.insert(gateway);
        }
        source_routing::add(device, Prefixed { addr, prefix: lease.address.prefix }, gateway, config);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gateway_beside_the_subnet_is_on_the_link() {
        for (prefix, gateway, onlink) in
            [(32, [10, 7, 0, 1], true), (24, [10, 99, 0, 1], true), (24, [10, 7, 0, 1], false)]
        {
            let address = Prefixed { addr: "10.7.0.5".parse().unwrap(), prefix };
            let gateway = Ipv4Addr::from(gateway);
            let routes = vec![(Prefixed { addr: [10, 8, 0, 0].into(), prefix: 16 }, Some(gateway))];
            let lease = Lease { address, gateway: Some(gateway), routes, nameservers: Vec::new() };
            let mut config = IpConfig::default();
            follow(DeviceName::try_from("red").unwrap(), &lease, true, &mut config);
            let through: Vec<&Route> = config.routes.iter().filter(|route| route.gateway.is_some()).collect();
            assert!(through.len() == 3 && through.iter().all(|route| route.onlink == onlink), "{config:?}");
        }
    }

    #[test]
    fn a_lease_leads_to_routes_and_rules_as_a_static_address_does() {
        let device = DeviceName::try_from("red").unwrap();
        let four = |text: &str, prefix| Prefixed { addr: text.parse::<Ipv4Addr>().unwrap(), prefix };
        let lease = Lease {
            address: Prefixed { addr: "10.7.0.5".parse().unwrap(), prefix: 24 },
            gateway: Some(Ipv4Addr::new(10, 7, 0, 1)),
            routes: vec![(four("10.8.0.0", 16), Some(Ipv4Addr::new(10, 7, 0, 2))), (four("10.9.0.0", 24), None)],
            nameservers: Vec::new(),
        };
        let told = |default| {
            let mut config = IpConfig::default();
            follow(device, &lease, default, &mut config);
            assert_eq!(config.rules.len(), 2);
            config.routes.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        let others =
            ["10.7.0.0/24 table 168230917", "10.8.0.0/16 via 10.7.0.2", "10.9.0.0/24"].map(str::to_owned).to_vec();
        let own = "default via 10.7.0.1 table 168230917".to_owned();
        assert_eq!(told(false), [vec![own.clone()], others.clone()].concat());
        assert_eq!(told(true), [vec!["default via 10.7.0.1".to_owned(), own], others].concat());
    }
}
