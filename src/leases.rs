//! The host's DHCP clients as the daemon sees them: what their process tells goes into the picture of
//! the host, and what is started or ended goes through here, so that the picture knows it at once.
//!
//! The process itself is the crate in `src/dhcp`. It is reached, or started, when the first client is
//! wanted; a host without DHCP has none.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

use vdsm_dhcp_client::{Afterwards, Clients, ClientsError, DhcpClients, Family, News, State, Status, Wanted, Watch};
use vdsm_model::config::{NetConfig, NetworkConfig};
use vdsm_model::dhcp::{Lease, SeenClient, SeenClients};
use vdsm_model::graph::Stack;
use vdsm_model::name::DeviceName;
use vdsm_model::units::Prefixed;

use crate::conf::Settings;
use crate::netinfo::Live;

/// All clients of ours.
pub struct Leases {
    place: Place,
    live: Arc<Live>,
    process: OnceLock<Process>,
    /// Held while the process is asked, so that what it told last is what is known.
    known: Mutex<Known>,
    me: Weak<Leases>,
}

#[derive(Default)]
struct Known {
    clients: BTreeMap<(DeviceName, Family), Status>,
    /// What each client had last. One that is started again, by a rollback say, asks for the same, and
    /// until that is answered what follows from it stays while its address is there.
    last: BTreeMap<(DeviceName, Family), Lease>,
}

/// Where the process listens, keeps its state, and has its program.
struct Place {
    socket: PathBuf,
    state: PathBuf,
    program: PathBuf,
}

struct Process {
    clients: Clients,
    _watch: Watch,
}

impl Leases {
    /// Nobody is asked yet.
    pub fn new(settings: &Settings, live: Arc<Live>) -> Arc<Leases> {
        let place = Place {
            socket: settings.run_dir.join("vdsm-dhcp.sock"),
            state: settings.lib_dir.join("dhcp"),
            program: program("vdsm-dhcp"),
        };
        Arc::new_cyclic(|me| Leases {
            place,
            live,
            process: OnceLock::new(),
            known: Mutex::default(),
            me: Weak::clone(me),
        })
    }

    /// Learns of the clients that have outlived the last daemon, if there may be any.
    ///
    /// # Errors
    /// When their process cannot be reached.
    pub fn resume(&self) -> Result<(), ClientsError> {
        if self.may_be_there() {
            self.refresh(|_| Ok(()))?;
        }
        Ok(())
    }

    fn may_be_there(&self) -> bool {
        self.place.socket.exists() || vdsm_dhcp_client::any_wanted(&self.place.state)
    }

    /// Takes up the clients that have outlived the last daemon, or a reboot, and ends those that no
    /// network of the running configuration has. Where none can be, nobody is asked.
    ///
    /// # Errors
    /// When their process cannot be reached.
    pub fn adopt(&self, running: &NetConfig) -> Result<(), ClientsError> {
        let wanted = running.networks.values().any(NetworkConfig::asks);
        if !wanted && !self.may_be_there() {
            return Ok(());
        }
        let statuses = self.refresh(|_| Ok(()))?;
        let seen = self.live.latest();
        let serves = |status: &Status| {
            let Wanted { device, family, .. } = status.wanted;
            let asks = |net: &NetworkConfig| if family == Family::V4 { net.dhcpv4 } else { net.dhcpv6 };
            Stack::topped_by(device, &running.networks, &seen).any(|(_, net)| asks(net))
        };
        for status in statuses.iter().filter(|status| !serves(status)) {
            let Wanted { device, family, .. } = status.wanted;
            tracing::info!("no network wants the DHCP{family} client of {device} any more");
            self.stop(device, family, Afterwards::Keep)?;
        }
        Ok(())
    }

    /// The process, started if it has to be.
    fn process(&self) -> Result<&Process, ClientsError> {
        if let Some(process) = self.process.get() {
            return Ok(process);
        }
        let Place { socket, state, program } = &self.place;
        let clients = Clients::connect_or_spawn(socket, state, program)?;
        let me = Weak::clone(&self.me);
        let watch = clients.watch(move |news| {
            if let Some(me) = me.upgrade() {
                me.hear(news);
            }
        });
        Ok(self.process.get_or_init(|| Process { clients, _watch: watch }))
    }

    /// Does something, and takes what the process knows then.
    fn refresh(&self, act: impl FnOnce(&Clients) -> Result<(), ClientsError>) -> Result<Vec<Status>, ClientsError> {
        let process = self.process()?;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        act(&process.clients)?;
        let statuses = process.clients.list()?;
        known.clients = statuses.iter().map(|it| ((it.wanted.device, it.wanted.family), it.clone())).collect();
        self.publish(&mut known);
        Ok(statuses)
    }

    /// News may be older than what was listed since: so only what it is about is taken from it, and
    /// whoever was started or ended is asked about.
    fn hear(&self, news: News) {
        if let News::Changed(status) = news {
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            let key = (status.wanted.device, status.wanted.family);
            if let Some(entry) = known.clients.get_mut(&key) {
                let lost = entry.lease.is_some() && status.lease.is_none();
                *entry = *status;
                if lost {
                    known.last.remove(&key);
                }
                self.publish(&mut known);
                return;
            }
        }
        if self.process.get().is_some()
            && let Err(error) = self.refresh(|_| Ok(()))
        {
            tracing::warn!("the DHCP clients are not known: {error}");
        }
    }

    fn publish(&self, known: &mut Known) {
        let mut all: BTreeMap<DeviceName, SeenClients> = BTreeMap::new();
        for ((device, family), status) in &known.clients {
            let seen = all.entry(*device).or_default();
            let mut client = seen_client(status);
            match &client.lease {
                Some(lease) => drop(known.last.insert((*device, *family), lease.clone())),
                None => client.lease = known.last.get(&(*device, *family)).cloned(),
            }
            let client = Some(client);
            match family {
                Family::V4 => seen.v4 = client,
                Family::V6 => seen.v6 = client,
            }
        }
        self.live.learn_clients(all.into_iter().map(|(device, seen)| (device, Arc::new(seen))).collect());
    }
}

impl DhcpClients for Leases {
    fn start(&self, wanted: &Wanted) -> Result<(), ClientsError> {
        self.refresh(|clients| clients.start(wanted)).map(drop)
    }

    fn stop(&self, device: DeviceName, family: Family, lease: Afterwards) -> Result<(), ClientsError> {
        self.refresh(|clients| clients.stop(device, family, lease)).map(drop)
    }
}

/// A program of ours: they stand beside one another.
pub(crate) fn program(name: &str) -> PathBuf {
    std::env::current_exe().unwrap_or_else(|_| "/usr/sbin/vdsm-netd".into()).with_file_name(name)
}

fn seen_client(status: &Status) -> SeenClient {
    let trouble = match &status.state {
        State::Failed(why) => Some(why.clone()),
        _ => None,
    };
    let lease = status.lease.as_ref().map(|lease| Lease {
        address: Prefixed { addr: lease.address, prefix: lease.prefix },
        gateway: lease.gateway.filter(|it| !it.is_unspecified()),
        routes: lease
            .routes
            .iter()
            .map(|it| {
                let via = Some(it.gateway).filter(|it| !it.is_unspecified());
                (Prefixed { addr: it.destination, prefix: it.prefix }, via)
            })
            .collect(),
        nameservers: lease.nameservers.clone(),
    });
    SeenClient { lease, trouble }
}
