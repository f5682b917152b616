//! The set of clients: started, stopped, listed, told of.
//!
//! Who may ask is in `connection.rs`, what a client does in `client.rs`.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use mozim::{DhcpV4Client, DhcpV6Client};
use tokio::sync::broadcast;
use tokio::task::JoinHandle;

use crate::client::{Client, Held, Host};
use crate::files::Mac;
use crate::protocol::{Event, Stop};
use crate::types::{Afterwards, Family, Key, Lease, State, Status, Wanted};
use crate::{v4, v6};

/// So many events wait for a slow subscriber; one that is slower is told everything anew.
const EVENTS: usize = 1024;

/// How all clients stand, and whom to tell.
pub(crate) struct Board {
    all: Mutex<BTreeMap<Key, Status>>,
    events: broadcast::Sender<Event>,
}

impl Board {
    pub(crate) fn new() -> Board {
        Board { all: Mutex::default(), events: broadcast::channel(EVENTS).0 }
    }

    pub(crate) fn tell(&self, wanted: &Wanted, state: State, lease: Option<Lease>) {
        let status = Status { wanted: wanted.clone(), state, lease };
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        if all.get(&wanted.key()) != Some(&status) {
            tracing::debug!(?status, "a client's state");
            all.insert(wanted.key(), status.clone());
            // That nobody listens is no error.
            let _ = self.events.send(Event::Changed(Box::new(status)));
        }
    }

    fn forget(&self, wanted: &Wanted) {
        self.all.lock().unwrap_or_else(PoisonError::into_inner).remove(&wanted.key());
        let _ = self.events.send(Event::Stopped(wanted.clone()));
    }

    pub(crate) fn list(&self) -> Vec<Status> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    pub(crate) fn has(&self, key: Key) -> bool {
        self.all.lock().unwrap_or_else(PoisonError::into_inner).contains_key(&key)
    }

    pub(crate) fn state(&self, key: Key) -> Option<State> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner).get(&key).map(|status| status.state.clone())
    }

    /// The number of a device's address (RFC 8415, section 12): of its MAC, so that whoever comes next
    /// with this MAC has the same; another one where a second device has this MAC too.
    pub(crate) fn iaid(&self, key: Key, mac: Mac) -> u32 {
        let all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        let others = all.iter().filter(|(other, _)| **other != key).filter_map(|(_, status)| status.lease.as_ref());
        let taken: Vec<u32> = others.map(|lease| lease.iaid).collect();
        let mut iaid = u32::from_be_bytes([mac[2], mac[3], mac[4], mac[5]]);
        while taken.contains(&iaid) {
            iaid = iaid.wrapping_add(1);
        }
        iaid
    }

    /// Everything now, and what comes after it.
    pub(crate) fn subscribe(&self) -> (Vec<Status>, broadcast::Receiver<Event>) {
        let all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        (all.values().cloned().collect(), self.events.subscribe())
    }
}

/// A client and the task it runs in.
type Running = (Arc<Client>, JoinHandle<()>);

/// The running clients.
pub(crate) struct Service {
    pub(crate) host: Arc<Host>,
    /// Held over a whole start or stop: they come one after the other.
    running: tokio::sync::Mutex<BTreeMap<Key, Running>>,
}

impl Service {
    /// Starts what was wanted before.
    pub(crate) async fn resume(host: Host) -> Service {
        let service = Service { host: Arc::new(host), running: tokio::sync::Mutex::default() };
        let mut running = service.running.lock().await;
        for wanted in service.host.files.wanted() {
            service.spawn(&mut running, wanted, None);
        }
        drop(running);
        service
    }

    fn spawn(&self, running: &mut BTreeMap<Key, Running>, wanted: Wanted, held: Option<Held>) {
        let key = wanted.key();
        // What is listed must never lack what was started, nor the lease whose address is there.
        let state = if held.is_some() { State::Bound } else { State::Asking };
        let client = Arc::new(Client::new(wanted, Arc::clone(&self.host), held));
        client.tell(state);
        let task = tokio::spawn(Arc::clone(&client).run());
        running.insert(key, (client, task));
    }

    /// A client that runs with the same wishes is left alone.
    pub(crate) async fn start(&self, wanted: Wanted) -> io::Result<()> {
        let mut running = self.running.lock().await;
        if running.get(&wanted.key()).is_some_and(|(client, _)| client.wanted == wanted) {
            return Ok(());
        }
        let key = wanted.key();
        let others = running.values().map(|(client, _)| &client.wanted).filter(|it| it.key() != key);
        let all: Vec<&Wanted> = others.chain([&wanted]).collect();
        self.host.files.store_wanted(&all)?;
        let mut held = None;
        if let Some((client, task)) = running.remove(&key) {
            end(task).await;
            held = client.held();
        }
        self.spawn(&mut running, wanted, held);
        Ok(())
    }

    /// Stops a client, if it runs, and removes its address.
    pub(crate) async fn stop(&self, stop: &Stop) -> io::Result<()> {
        let mut running = self.running.lock().await;
        let key = (stop.device, stop.family);
        let left = running.iter().filter(|(other, _)| **other != key).map(|(_, (client, _))| &client.wanted);
        self.host.files.store_wanted(&left.collect::<Vec<_>>())?;
        let Some((client, task)) = running.remove(&key) else { return Ok(()) };
        end(task).await;
        if let Some(held) = client.held() {
            if stop.lease == Afterwards::Release {
                release(&client, &held).await;
            }
            client.remove_address(&held);
            client.forget_held();
        }
        self.host.board.forget(&client.wanted);
        Ok(())
    }
}

async fn end(task: JoinHandle<()>) {
    task.abort();
    // It was cancelled; that is all it can say.
    let _ = task.await;
}

/// Tells the server, as far as it can be told: RFC 2131 has no answer to that.
async fn release(client: &Client, held: &Held) {
    let told = match client.wanted.family {
        Family::V4 => release_v4(client, held).await,
        Family::V6 => release_v6(client, held).await,
    };
    if let Err(error) = told {
        tracing::warn!(%error, device = %client.wanted.device, "the server cannot be told that its address is free");
    }
    if let Err(error) = client.host.files.forget_lease(held.mac, client.wanted.key()) {
        tracing::error!(%error, "the lease cannot be forgotten");
    }
}

async fn release_v4(client: &Client, held: &Held) -> Result<(), crate::client::Trouble> {
    let lease = v4::to_mozim(&held.lease);
    let config = v4::config(client, held.index, held.mac)?;
    Ok(DhcpV4Client::init(config, Some(lease.clone())).await?.release(&lease).await?)
}

async fn release_v6(client: &Client, held: &Held) -> Result<(), crate::client::Trouble> {
    let Some(source) = client.link_local() else { return Err(crate::client::Trouble::NoLinkLocal) };
    let config = v6::config(client, held.index, held.lease.iaid, source);
    Ok(DhcpV6Client::init(config, None).await?.release(&v6::to_mozim(&held.lease)).await?)
}
