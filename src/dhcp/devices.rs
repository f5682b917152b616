//! The devices as the clients need them: there or not, with a carrier, with which addresses.
//!
//! One listener for all clients. What a client makes of a change is its own business.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::address::AddressMessage;
use netlink_packet_route::link::LinkMessage;
use tokio::io::unix::AsyncFd;
use tokio::sync::watch;
use vdsm_model::name::DeviceName;
use vdsm_netlink::attrs::{self, Attrs};
use vdsm_netlink::{Drained, Dumped, Listener, Topic, Wire, WireError};

use crate::files::Mac;

/// Length of `ifinfomsg` and of `ifaddrmsg`.
const IFINFOMSG: usize = 16;
const IFADDRMSG: usize = 8;
/// Enough for the few links we ask about; 8 MiB would be charged to a small process.
const BUFFER: usize = 1 << 20;
/// The kernel answers a dump of thousands of links within it.
const PATIENCE: Duration = Duration::from_secs(30);

/// A device as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Device {
    pub(crate) name: DeviceName,
    pub(crate) index: u32,
    /// Nothing for links that are not Ethernet's.
    pub(crate) mac: Option<Mac>,
    /// Up, and with a carrier.
    pub(crate) running: bool,
    /// An address of fe80::/10 that can be used: its duplicates have been looked for.
    pub(crate) link_local: Option<Ipv6Addr>,
}

/// Everything the kernel told of links and addresses.
#[derive(Default)]
pub(crate) struct Devices {
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    links: HashMap<u32, Link>,
    watched: HashMap<DeviceName, watch::Sender<Option<Device>>>,
}

struct Link {
    name: DeviceName,
    mac: Option<Mac>,
    running: bool,
    /// With whether it can be used.
    addresses: HashMap<IpAddr, bool>,
}

impl Devices {
    /// What becomes of the device of that name.
    pub(crate) fn watch(&self, name: DeviceName) -> watch::Receiver<Option<Device>> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        // Those nobody looks at any more make room.
        seen.watched.retain(|_, sender| sender.receiver_count() > 0);
        let now = seen.device(name);
        seen.watched.entry(name).or_insert_with(|| watch::channel(now).0).subscribe()
    }

    /// Whether the link has that address.
    pub(crate) fn has(&self, index: u32, address: IpAddr) -> bool {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.links.get(&index).is_some_and(|link| link.addresses.contains_key(&address))
    }

    fn read_all(&self, wire: &mut Wire) -> Result<(), WireError> {
        let mut fresh = Seen::default();
        wire.dump(RouteNetlinkMessage::GetLink(LinkMessage::default()), &mut |told| match told {
            Dumped::Start => fresh.links.clear(),
            Dumped::Object { kind, payload } => drop(fresh.take(kind, payload)),
        })?;
        wire.dump(RouteNetlinkMessage::GetAddress(AddressMessage::default()), &mut |told| match told {
            Dumped::Start => fresh.links.values_mut().for_each(|link| link.addresses.clear()),
            Dumped::Object { kind, payload } => drop(fresh.take(kind, payload)),
        })?;
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.links = fresh.links;
        let all: Vec<DeviceName> = seen.watched.keys().copied().collect();
        seen.publish(all);
        Ok(())
    }
}

impl Seen {
    fn device(&self, name: DeviceName) -> Option<Device> {
        let (index, link) = self.links.iter().find(|(_, link)| link.name == name)?;
        let local = |(address, usable): (&IpAddr, &bool)| match address {
            IpAddr::V6(address) if *usable && address.is_unicast_link_local() => Some(*address),
            _ => None,
        };
        // The same one each time, whatever the order of the map.
        let link_local = link.addresses.iter().filter_map(local).min();
        Some(Device { name, index: *index, mac: link.mac, running: link.running, link_local })
    }

    /// Takes a message; the names it was about.
    fn take(&mut self, kind: u16, payload: &[u8]) -> HashSet<DeviceName> {
        match kind {
            libc::RTM_NEWLINK | libc::RTM_DELLINK => self.link(kind, payload).unwrap_or_default(),
            libc::RTM_NEWADDR | libc::RTM_DELADDR => self.address(kind, payload).into_iter().collect(),
            _ => HashSet::new(),
        }
    }

    fn link(&mut self, kind: u16, payload: &[u8]) -> Option<HashSet<DeviceName>> {
        // The bridge tells of its ports with the same types, and does not mean the links themselves.
        if i32::from(*payload.first()?) != libc::AF_UNSPEC {
            return None;
        }
        let (index, flags) = (attrs::u32(payload.get(4..)?)?, attrs::u32(payload.get(8..)?)?);
        let old = self.links.remove(&index);
        let mut about: HashSet<DeviceName> = old.iter().map(|link| link.name).collect();
        if kind == libc::RTM_NEWLINK {
            let find = |kind| attrs::find(Attrs::after(payload, IFINFOMSG), kind);
            let name = DeviceName::try_from(find(libc::IFLA_IFNAME).and_then(attrs::text)?).ok()?;
            let ethernet = attrs::u16(payload.get(2..)?)? == libc::ARPHRD_ETHER;
            let mac = find(libc::IFLA_ADDRESS).and_then(|bytes| Mac::try_from(bytes).ok()).filter(|_| ethernet);
            let running = [libc::IFF_UP, libc::IFF_RUNNING].iter().all(|flag| flags & *flag as u32 != 0);
            let addresses = old.map(|link| link.addresses).unwrap_or_default();
            self.links.insert(index, Link { name, mac, running, addresses });
            about.insert(name);
        }
        Some(about)
    }

    fn address(&mut self, kind: u16, payload: &[u8]) -> Option<DeviceName> {
        let [family, _, flags, ..] = *payload.first_chunk::<IFADDRMSG>()?;
        let index = attrs::u32(payload.get(4..)?)?;
        let find = |kind| attrs::find(Attrs::after(payload, IFADDRMSG), kind);
        let bytes = find(libc::IFA_LOCAL).or_else(|| find(libc::IFA_ADDRESS))?;
        let address: IpAddr = match i32::from(family) {
            libc::AF_INET => Ipv4Addr::from(<[u8; 4]>::try_from(bytes).ok()?).into(),
            libc::AF_INET6 => Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?).into(),
            _ => return None,
        };
        let flags = find(libc::IFA_FLAGS).and_then(attrs::u32).unwrap_or(flags.into());
        let link = self.links.get_mut(&index)?;
        if kind == libc::RTM_NEWADDR {
            let usable = flags & (libc::IFA_F_TENTATIVE | libc::IFA_F_DADFAILED) == 0;
            link.addresses.insert(address, usable);
        } else {
            link.addresses.remove(&address);
        }
        Some(link.name)
    }

    fn publish(&self, about: impl IntoIterator<Item = DeviceName>) {
        for name in about {
            if let Some(sender) = self.watched.get(&name) {
                let now = self.device(name);
                sender.send_if_modified(|last| {
                    let changed = *last != now;
                    *last = now;
                    changed
                });
            }
        }
    }
}

/// Keeps the devices true for ever.
pub(crate) struct Ears {
    devices: Arc<Devices>,
    listener: AsyncFd<Ear>,
    wire: Wire,
}

struct Ear(Listener);

impl AsRawFd for Ear {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

impl Ears {
    /// Listens, and reads what there is.
    pub(crate) fn open() -> Result<(Ears, Arc<Devices>), WireError> {
        let listener = Listener::open(Topic::Links, Some(BUFFER))?;
        // SAFETY: the ear owns its descriptor and keeps it open, and the same, as long as it lives.
        let listener = unsafe { AsyncFd::register(Ear(listener)) };
        let listener = listener.map_err(|error| WireError::Receive(error.into()))?;
        let mut wire = Wire::open(PATIENCE)?;
        let devices = Arc::new(Devices::default());
        devices.read_all(&mut wire)?;
        Ok((Ears { devices: Arc::clone(&devices), listener, wire }, devices))
    }

    /// Never comes back unless the kernel cannot be heard any more.
    pub(crate) async fn listen(mut self) -> WireError {
        loop {
            match self.listener.readable_mut().await {
                Ok(mut guard) => guard.clear_ready(),
                Err(error) => return WireError::Receive(error),
            }
            if let Err(error) = self.hear() {
                tracing::warn!(%error, "what the kernel told is read anew");
                // Whatever it was, it must not keep us busy.
                tokio::time::sleep(Duration::from_millis(100)).await;
                if let Err(error) = self.devices.read_all(&mut self.wire) {
                    return error;
                }
            }
        }
    }

    /// Takes all that is queued.
    fn hear(&mut self) -> Result<(), WireError> {
        let mut lost = false;
        loop {
            let mut about = HashSet::new();
            let mut seen = self.devices.seen.lock().unwrap_or_else(PoisonError::into_inner);
            let drained = self.listener.get_mut().0.drain(usize::MAX, &mut |event| {
                about.extend(seen.take(event.kind, event.payload));
            })?;
            if !lost {
                seen.publish(about);
            }
            drop(seen);
            match drained {
                Drained::Empty if lost => return self.devices.read_all(&mut self.wire),
                Drained::Empty => return Ok(()),
                Drained::More => {}
                Drained::Lost => lost = true,
            }
        }
    }
}
