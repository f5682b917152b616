//! systemd-resolved over the system bus, as `resolvectl dns` and `resolvectl default-route` speak
//! with it: org.freedesktop.resolve1(5).
//!
//! A connection lives as long as one look or one change, so that none has to be mended when the
//! bus or the daemon was started anew.

use std::collections::BTreeMap;
use std::future::Future;
use std::net::IpAddr;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};
use vdsm_model::name::DeviceName;
use vdsm_model::resolver::LinkDns;
use zbus::proxy::CacheProperties;
use zbus::{Connection, OwnedObjectPath, Proxy};

/// No call may take longer.
const DEADLINE: Duration = Duration::from_secs(5);
/// systemd-resolved hears of a new link from the kernel as everybody does, and may know it a moment
/// later than we do.
const GETTING_TO_KNOW: Duration = Duration::from_secs(5);
const PACE: Duration = Duration::from_millis(10);

const SERVICE: &str = "org.freedesktop.resolve1";
const PATH: &str = "/org/freedesktop/resolve1";
const MANAGER: &str = "org.freedesktop.resolve1.Manager";
const LINK: &str = "org.freedesktop.resolve1.Link";

/// Why systemd-resolved did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum BusError {
    /// It, or the bus, did not answer.
    #[error("systemd-resolved did not answer {method} within {} s", DEADLINE.as_secs())]
    Late {
        /// What was asked.
        method: &'static str,
    },
    /// It, or the bus, said no.
    #[error("systemd-resolved refused {method}")]
    Refused {
        /// What was asked.
        method: &'static str,
        /// Its words.
        #[source]
        source: Box<zbus::Error>,
    },
    /// No thread of our own to wait in.
    #[error("cannot wait for systemd-resolved")]
    Waiting(#[source] std::io::Error),
}

impl BusError {
    /// Whether this is the error of that name.
    fn is(&self, name: &str) -> bool {
        matches!(self, BusError::Refused { source, .. } if matches!(&**source, zbus::Error::MethodError(it, ..) if it.as_str() == name))
    }
}

/// What it knows.
pub(super) struct Known {
    pub(super) links: BTreeMap<DeviceName, LinkDns>,
    pub(super) global: Vec<IpAddr>,
}

/// Asks what it knows; none when it does not run. It is not started by being asked.
pub(super) fn look(name_of: impl Fn(u32) -> Option<DeviceName>) -> Result<Option<Known>, BusError> {
    block_on(async {
        let bus = connect().await?;
        let Some(manager) = manager(&bus).await? else { return Ok(None) };
        let all: Vec<(i32, i32, Vec<u8>)> = within("DNS", manager.get_property("DNS")).await?;
        let mut known = Known { links: BTreeMap::new(), global: Vec::new() };
        for (index, _, bytes) in all {
            let (Some(addr), Ok(index)) = (address(&bytes), u32::try_from(index)) else { continue };
            match name_of(index) {
                _ if index == 0 => known.global.push(addr),
                // A link in another state of ours than its: gone, or just made.
                None => {}
                Some(name) => {
                    let link = match known.links.entry(name) {
                        std::collections::btree_map::Entry::Occupied(entry) => entry.into_mut(),
                        std::collections::btree_map::Entry::Vacant(entry) => {
                            let default_route = is_default_route(&bus, &manager, index).await?;
                            entry.insert(LinkDns { servers: Vec::new(), default_route })
                        }
                    };
                    link.servers.push(addr);
                }
            }
        }
        Ok(Some(known))
    })
}

/// One thing to tell it of a link, by interface index.
pub(super) enum Told {
    /// Its servers.
    Dns(u32, LinkDns),
    /// That it has none, nor anything else that was told of it.
    Revert(u32),
}

/// Tells it, in order.
pub(super) fn tell(all: &[Told]) -> Result<(), BusError> {
    block_on(async {
        let bus = connect().await?;
        let manager = proxy(&bus, PATH, MANAGER).await?;
        for one in all {
            match one {
                Told::Dns(index, dns) => set(&manager, *index, dns).await?,
                Told::Revert(index) => match within("RevertLink", manager.call("RevertLink", &(*index as i32))).await {
                    // With the link went what it knew of it.
                    Err(error) if error.is("org.freedesktop.resolve1.NoSuchLink") => {}
                    done => done?,
                },
            }
        }
        Ok(())
    })
}

async fn set(manager: &Proxy<'_>, index: u32, dns: &LinkDns) -> Result<(), BusError> {
    let servers: Vec<(i32, Vec<u8>)> = dns.servers.iter().map(spelled).collect();
    let end = Instant::now() + GETTING_TO_KNOW;
    loop {
        match within("SetLinkDNS", manager.call("SetLinkDNS", &(index as i32, &servers))).await {
            Err(error) if error.is("org.freedesktop.resolve1.NoSuchLink") && Instant::now() < end => sleep(PACE).await,
            done => break done?,
        }
    }
    match within("SetLinkDefaultRoute", manager.call("SetLinkDefaultRoute", &(index as i32, dns.default_route))).await {
        // Before systemd 240 a link with servers was one for all names.
        Err(error) if error.is("org.freedesktop.DBus.Error.UnknownMethod") => Ok(()),
        done => done,
    }
}

async fn is_default_route(bus: &Connection, manager: &Proxy<'_>, index: u32) -> Result<bool, BusError> {
    let path: OwnedObjectPath = match within("GetLink", manager.call("GetLink", &(index as i32))).await {
        Err(error) if error.is("org.freedesktop.resolve1.NoSuchLink") => return Ok(false),
        path => path?,
    };
    let link = proxy(bus, path.as_str(), LINK).await?;
    match within("DefaultRoute", link.get_property("DefaultRoute")).await {
        Err(error) if error.is("org.freedesktop.DBus.Error.UnknownProperty") => Ok(true),
        answer => answer,
    }
}

/// The address of the bus is in DBUS_SYSTEM_BUS_ADDRESS, or the usual one.
async fn connect() -> Result<Connection, BusError> {
    within("a connection", Connection::system()).await
}

/// Whom to ask; none when it does not run.
async fn manager(bus: &Connection) -> Result<Option<Proxy<'static>>, BusError> {
    let broker = proxy(bus, "/org/freedesktop/DBus", "org.freedesktop.DBus").await?;
    let runs: bool = within("NameHasOwner", broker.call("NameHasOwner", &SERVICE)).await?;
    if runs { Ok(Some(proxy(bus, PATH, MANAGER).await?)) } else { Ok(None) }
}

async fn proxy(bus: &Connection, path: &str, interface: &'static str) -> Result<Proxy<'static>, BusError> {
    let service = if interface == "org.freedesktop.DBus" { interface } else { SERVICE };
    let builder = async {
        let builder = zbus::proxy::Builder::<Proxy<'static>>::new(bus);
        let builder = builder.destination(service).path(path.to_owned()).interface(interface);
        builder.cache_properties(CacheProperties::No).build().await
    };
    within("a proxy", builder).await
}

async fn within<T>(method: &'static str, call: impl Future<Output = zbus::Result<T>>) -> Result<T, BusError> {
    let answer = timeout(DEADLINE, call).await.map_err(|_| BusError::Late { method })?;
    answer.map_err(|source| BusError::Refused { method, source: Box::new(source) })
}

fn block_on<T>(work: impl Future<Output = Result<T, BusError>>) -> Result<T, BusError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(BusError::Waiting)?;
    runtime.block_on(work)
}

/// As the bus has it: the family of the socket(2) API, and the bytes.
fn spelled(addr: &IpAddr) -> (i32, Vec<u8>) {
    match addr {
        IpAddr::V4(addr) => (libc::AF_INET, addr.octets().to_vec()),
        IpAddr::V6(addr) => (libc::AF_INET6, addr.octets().to_vec()),
    }
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    <[u8; 4]>::try_from(bytes).map(IpAddr::from).or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from)).ok()
}
