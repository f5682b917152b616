//! One client: it waits for its device, speaks DHCP while there is a carrier, and keeps its lease.
//!
//! How each protocol is spoken is in `v4.rs` and `v6.rs`; starting and stopping in `service.rs`.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use vdsm_netlink::{BatchError, Wire};

use crate::devices::{Device, Devices};
use crate::files::{Files, Mac};
use crate::service::Board;
use crate::types::{Family, Lease, State, Wanted};
use crate::{v4, v6, wire};

/// Between two attempts of a client that cannot even ask.
const PAUSE: Duration = Duration::from_secs(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// What all clients share.
pub(crate) struct Host {
    pub(crate) devices: Arc<Devices>,
    pub(crate) files: Files,
    pub(crate) board: Board,
    pub(crate) wire: Mutex<Wire>,
    pub(crate) duid: u128,
}

/// One client.
pub(crate) struct Client {
    pub(crate) wanted: Wanted,
    pub(crate) host: Arc<Host>,
    held: Mutex<Option<Held>>,
}

/// A lease whose address is on a device.
#[derive(Clone)]
pub(crate) struct Held {
    pub(crate) index: u32,
    pub(crate) mac: Mac,
    pub(crate) lease: Lease,
    /// When it is over, on a clock nobody sets.
    over: Option<Instant>,
}

/// Why a client cannot go on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Trouble {
    #[error("it is no Ethernet device")]
    NotEthernet,
    #[error("it has no usable IPv6 link-local address; is IPv6 off?")]
    NoLinkLocal,
    #[error("{0}")]
    Protocol(#[from] mozim::DhcpError),
    #[error("cannot set {address}: {}", words(.source))]
    Address { address: std::net::IpAddr, source: BatchError },
}

fn words(error: &BatchError) -> String {
    std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string)
}

impl Client {
    /// `held` is what a client before it left on the device.
    pub(crate) fn new(wanted: Wanted, host: Arc<Host>, held: Option<Held>) -> Client {
        Client { wanted, host, held: Mutex::new(held) }
    }

    /// Runs for ever; it may be dropped at any time.
    pub(crate) async fn run(self: Arc<Client>) {
        let mut watch = self.host.devices.watch(self.wanted.device);
        let mut pause = PAUSE;
        loop {
            let device = watch.borrow_and_update().clone();
            tokio::select! {
                trouble = self.serve(device.as_ref()) => {
                    tracing::warn!(device = %self.wanted.device, family = %self.wanted.family, %trouble, "DHCP fails");
                    self.tell(State::Failed(trouble.to_string()));
                    // A change of the device may be what was missing.
                    let _ = tokio::time::timeout(pause, changed(&mut watch, &device)).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
                () = changed(&mut watch, &device) => pause = PAUSE,
            }
        }
    }

    /// Comes back only with what keeps the client from asking.
    async fn serve(&self, device: Option<&Device>) -> Trouble {
        let Some(device) = device else {
            self.forget_held();
            self.tell(State::NoDevice);
            return self.outlast().await;
        };
        let Some(mac) = device.mac else { return Trouble::NotEthernet };
        self.adopt(device, mac);
        if !device.running {
            self.tell(State::NoCarrier);
            return self.outlast().await;
        }
        if self.held().is_none() {
            self.tell(State::Asking);
        }
        match self.wanted.family {
            Family::V4 => v4::serve(self, device, mac).await,
            Family::V6 => v6::serve(self, device, mac).await,
        }
    }

    /// Without a carrier nobody can be asked, but a lease ends all the same.
    async fn outlast(&self) -> Trouble {
        loop {
            self.expiry().await;
            self.give_up();
        }
    }

    /// What an earlier process left on the device is taken over; what belongs to a device or a MAC that is
    /// no more is forgotten.
    fn adopt(&self, device: &Device, mac: Mac) {
        if let Some(held) = self.held() {
            match held.index == device.index {
                true if held.mac == mac => return,
                true => self.give_up(),
                // The kernel removed the address with the device.
                false => self.forget_held(),
            }
        }
        if let Some(lease) = self.stored(mac)
            && self.host.devices.has(device.index, lease.address)
        {
            self.set_held(Some(Held::new(device.index, mac, lease)));
            self.tell(State::Bound);
        }
    }

    /// The lease to ask for first.
    pub(crate) fn stored(&self, mac: Mac) -> Option<Lease> {
        let family = self.wanted.family;
        self.host.files.lease(mac, self.wanted.key(), |name| self.host.board.has((name, family)))
    }

    /// A server granted this, or it is still valid: the address comes or lives on. Another one goes.
    pub(crate) fn bind(&self, device: &Device, mac: Mac, lease: Lease) -> Result<(), Trouble> {
        if let Some(old) = self.held()
            && (old.lease.address, old.lease.prefix) != (lease.address, lease.prefix)
        {
            // First: of two addresses in one subnet the later one would go with the earlier one.
            self.give_up();
        }
        let mut wire = self.host.wire.lock().unwrap_or_else(PoisonError::into_inner);
        wire::set(&mut wire, device.index, &lease)
            .map_err(|source| Trouble::Address { address: lease.address, source })?;
        drop(wire);
        if let Err(error) = self.host.files.store_lease(mac, self.wanted.key(), &lease) {
            tracing::error!(%error, device = %device.name, "the lease cannot be stored");
        }
        self.set_held(Some(Held::new(device.index, mac, lease)));
        self.tell(State::Bound);
        Ok(())
    }

    /// The lease is over, or was taken back: the address goes.
    pub(crate) fn give_up(&self) {
        let Some(held) = self.held() else { return };
        self.remove_address(&held);
        if let Err(error) = self.host.files.forget_lease(held.mac, self.wanted.key()) {
            tracing::error!(%error, "the lease cannot be forgotten");
        }
        self.forget_held();
        if self.host.board.state(self.wanted.key()) == Some(State::Bound) {
            self.tell(State::Asking);
        } else {
            self.tell_again();
        }
    }

    pub(crate) fn remove_address(&self, held: &Held) {
        let mut wire = self.host.wire.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = wire::remove(&mut wire, held.index, held.lease.address, held.lease.prefix) {
            tracing::warn!(error = words(&error), address = %held.lease.address, "cannot remove the address");
        }
    }

    /// The server refused what was stored.
    pub(crate) fn refused(&self, mac: Mac) {
        tracing::info!(device = %self.wanted.device, "the server takes the lease back");
        self.give_up();
        if let Err(error) = self.host.files.forget_lease(mac, self.wanted.key()) {
            tracing::error!(%error, "the lease cannot be forgotten");
        }
    }

    /// Until the lease that is held is over; for ever without one.
    pub(crate) async fn expiry(&self) {
        match self.held().and_then(|held| held.over) {
            Some(over) => tokio::time::sleep_until(over.into()).await,
            None => std::future::pending().await,
        }
    }

    pub(crate) fn held(&self) -> Option<Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_held(&self, held: Option<Held>) {
        *self.held.lock().unwrap_or_else(PoisonError::into_inner) = held;
    }

    pub(crate) fn forget_held(&self) {
        self.set_held(None);
    }

    /// The address that DHCPv6 is sent from.
    pub(crate) fn link_local(&self) -> Option<std::net::Ipv6Addr> {
        let watch = self.host.devices.watch(self.wanted.device);
        let device = watch.borrow();
        device.as_ref().and_then(|device| device.link_local)
    }

    pub(crate) fn tell(&self, state: State) {
        self.host.board.tell(&self.wanted, state, self.held().map(|held| held.lease));
    }

    fn tell_again(&self) {
        if let Some(state) = self.host.board.state(self.wanted.key()) {
            self.tell(state);
        }
    }
}

impl Held {
    fn new(index: u32, mac: Mac, lease: Lease) -> Held {
        let over = (lease.valid != u32::MAX).then(|| Instant::now().checked_add(lease.left())).flatten();
        Held { index, mac, lease, over }
    }
}

/// Until the device is another one than `seen`.
async fn changed(watch: &mut watch::Receiver<Option<Device>>, seen: &Option<Device>) {
    // The sender lives as long as somebody looks.
    if watch.wait_for(|now| now != seen).await.is_err() {
        std::future::pending().await
    }
}
