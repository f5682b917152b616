//! Clients in memory, for tests of those who call them.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use vdsm_model::name::DeviceName;

use crate::handle::{ClientsError, DhcpClients};
use crate::types::{Afterwards, Family, Key, Lease, State, Status, Wanted};

/// Clients that are bound as soon as they have a lease, and have one when the test says so.
#[derive(Debug, Default)]
pub struct Fake {
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    offered: BTreeMap<Key, Lease>,
    running: BTreeMap<Key, Status>,
}

impl Fake {
    /// From now on a client of this device has this lease.
    pub fn offer(&self, device: DeviceName, family: Family, lease: Lease) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(status) = seen.running.get_mut(&(device, family)) {
            (status.state, status.lease) = (State::Bound, Some(lease.clone()));
        }
        seen.offered.insert((device, family), lease);
    }

    /// From now on no client of this device has a lease.
    pub fn withdraw(&self, device: DeviceName, family: Family) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(status) = seen.running.get_mut(&(device, family)) {
            (status.state, status.lease) = (State::Asking, None);
        }
        seen.offered.remove(&(device, family));
    }
}

impl DhcpClients for Fake {
    fn start(&self, wanted: &Wanted) -> Result<(), ClientsError> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let lease = seen.offered.get(&wanted.key()).cloned();
        let state = if lease.is_some() { State::Bound } else { State::Asking };
        seen.running.insert(wanted.key(), Status { wanted: wanted.clone(), state, lease });
        Ok(())
    }

    fn stop(&self, device: DeviceName, family: Family, lease: Afterwards) -> Result<(), ClientsError> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.running.remove(&(device, family));
        if lease == Afterwards::Release {
            seen.offered.remove(&(device, family));
        }
        Ok(())
    }

    fn list(&self) -> Result<Vec<Status>, ClientsError> {
        Ok(self.seen.lock().unwrap_or_else(PoisonError::into_inner).running.values().cloned().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_has_what_is_offered_while_it_runs() {
        let (fake, device) = (Fake::default(), DeviceName::try_from("eth0").unwrap());
        let lease = || Lease::of([10, 0, 0, 7].into(), 24);
        let stands = |fake: &Fake| fake.list().unwrap().into_iter().next().map(|it| (it.state, it.lease));
        fake.start(&Wanted { device, family: Family::V4, hostname: None }).unwrap();
        assert_eq!(stands(&fake), Some((State::Asking, None)));
        fake.offer(device, Family::V4, lease());
        assert_eq!(stands(&fake), Some((State::Bound, Some(lease()))));
        fake.withdraw(device, Family::V4);
        assert_eq!(stands(&fake), Some((State::Asking, None)));
        fake.stop(device, Family::V4, Afterwards::Keep).unwrap();
        assert_eq!(stands(&fake), None);
    }
}
