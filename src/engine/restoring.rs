//! The persistent configuration back onto the host, at boot or when somebody asks.
//!
//! What of it is possible now is `restore.rs`'s; what waits for a device that comes later, the
//! keeper's.

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError};

use vdsm_model::config::{Combination, NetConfig, Policy};
use vdsm_model::name::{DeviceName, NetworkName};
use vdsm_model::plan::Plan;
use vdsm_model::request::Request;
use vdsm_persistence::{StoreError, Tree};

use super::journal::Asker;
use super::{Engine, EngineError, RESTORE, Restored, mark, tree, typed};
use crate::asking::{Leaseless, without_lease};
use crate::host::Host;
use crate::restore::{self, Omission};
use crate::transaction::chain;

impl Engine {
    /// Brings the persistent configuration back; once since boot unless forced.
    pub fn restore(&self, force: bool) -> Result<Restored, EngineError> {
        self.alone(|host| {
            if self.store.marker.exists() && !force {
                return Ok(Restored::default());
            }
            let loaded = self.store.persistent.load();
            if let Err(error @ StoreError::Dangling { .. }) = loaded {
                // What cannot be read was not unwished.
                return Err(error.into());
            }
            let names = names_in(&loaded);
            let (stored, mut skipped) = typed(loaded, "persistent");
            let mut stored = stored?;
            keep_unreadable(&mut stored, &names, &self.running());
            let possible = restore::possible(&stored, &host.eyes.look()?, &self.policy);
            skipped.extend(possible.skipped);
            let (before, mut plans) = (self.running(), Vec::new());
            let failed = self.restore_parts(host, &stored, &possible.config, &mut skipped, &mut plans);
            let trouble = self.history.remember_restore(&Asker::ourselves(RESTORE), &before, &self.running(), &plans);
            skipped.extend(trouble.map(|reason| Omission { name: "history".to_owned(), reason }));
            skipped.extend(self.await_leases(host));
            for Omission { name, reason } in skipped.iter().chain(&failed) {
                tracing::warn!("{name} was not restored: {reason}");
            }
            if failed.is_empty()
                && let Err(error) = mark(&self.store.marker)
            {
                tracing::warn!("cannot write {}: {error}", self.store.marker.display());
            }
            Ok(Restored { done: true, skipped, failed })
        })
    }

    /// Who comes after a restore counts on addresses. A network without one is there all the same, and
    /// its client goes on asking.
    fn await_leases(&self, host: &Host) -> Vec<Omission> {
        let running = self.running();
        let asking: Vec<NetworkName> =
            running.networks.iter().filter(|(_, net)| net.asks()).map(|(name, _)| name.clone()).collect();
        if asking.is_empty() {
            return Vec::new();
        }
        host.eyes.wait_until(self.dhcp_timeout, &|seen| without_lease(&running, &asking, seen).is_empty());
        let Ok(seen) = host.eyes.look() else { return Vec::new() };
        let left = without_lease(&running, &asking, &seen).into_iter();
        let omission = |Leaseless { network, why }| {
            let why = why.map(|why| format!(": {why}")).unwrap_or_default();
            let reason = format!("restored, but no lease has come yet; it goes on asking{why}");
            Omission { name: network.to_string(), reason }
        };
        left.map(omission).collect()
    }

    /// All at once, or else one by one. What is stored stays in the running configuration, had or
    /// not: a nic that comes back tomorrow finds its network there.
    fn restore_parts(
        &self,
        host: &mut Host,
        stored: &NetConfig,
        wanted: &NetConfig,
        skipped: &mut Vec<Omission>,
        plans: &mut Vec<Plan>,
    ) -> Vec<Omission> {
        let asker = Asker::ourselves(RESTORE);
        let all = Request::between(&self.running(), wanted);
        // What was stored was allowed once: a stricter rule of today must not keep a host from booting.
        let policy = Policy { combination: Combination::Relaxed, ..self.policy.clone() };
        match self.transact(host, &all, &policy, &asker, |config| complete(config, stored)) {
            Ok(done) => {
                plans.push(done.plan);
                return Vec::new();
            }
            Err(error) => tracing::warn!("not all networks can be restored together, trying each: {}", chain(&error)),
        }
        let mut failed = Vec::new();
        for (name, request) in restore::one_by_one(&self.running(), wanted) {
            let mut done = |request: &Request| {
                let done = self.transact(host, request, &policy, &asker, |_| {})?;
                plans.push(done.plan);
                Ok::<(), EngineError>(())
            };
            let Err(error) = done(&request) else { continue };
            let reason = chain(&error);
            // Another nic may be there now, that does not have what the old one had.
            match restore::without_ethtool(&request) {
                Some(plain) if done(&plain).is_ok() => {
                    let reason = format!("restored without custom.ethtool_opts: {reason}");
                    skipped.push(Omission { name, reason });
                }
                _ => failed.push(Omission { name, reason }),
            }
        }
        let mut all = (*self.running()).clone();
        complete(&mut all, stored);
        match self.store.running.save(&tree(&all)) {
            Ok(()) => *self.running.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(all),
            Err(error) => failed.push(Omission { name: "running configuration".to_owned(), reason: chain(&error) }),
        }
        failed
    }
}

/// The names of everything a store holds, readable or not.
fn names_in(loaded: &Result<Tree, StoreError>) -> BTreeSet<String> {
    let of = |tree: &Tree| tree.nets.keys().chain(tree.bonds.keys()).cloned().collect::<BTreeSet<String>>();
    match loaded {
        Ok(tree) => of(tree),
        Err(StoreError::Broken { files, rest }) => {
            let broken = files.iter().filter_map(|f| Some(f.path.file_name()?.to_str()?.to_owned()));
            of(rest).into_iter().chain(broken).collect()
        }
        Err(_) => BTreeSet::new(),
    }
}

/// What is stored and cannot be used stays as it runs: it was not unwished.
fn keep_unreadable(stored: &mut NetConfig, names: &BTreeSet<String>, running: &NetConfig) {
    let is_kept = |name: &NetworkName| names.contains(name.as_str()) && !stored.networks.contains_key(name);
    let networks: Vec<_> = running.networks.iter().filter(|(name, _)| is_kept(name)).collect();
    let is_kept = |name: &DeviceName| names.contains(name.as_str()) && !stored.bonds.contains_key(name);
    let bonds: Vec<_> = running.bonds.iter().filter(|(name, _)| is_kept(name)).collect();
    stored.networks.extend(networks.into_iter().map(|(name, net)| (name.clone(), net.clone())));
    stored.bonds.extend(bonds.into_iter().map(|(name, bond)| (*name, bond.clone())));
}

/// Puts what is stored into a configuration, had or not, and with what could not be had of it.
fn complete(config: &mut NetConfig, stored: &NetConfig) {
    for (name, net) in stored.networks.iter() {
        config.networks.insert(name.clone(), net.clone());
    }
    for (name, bond) in stored.bonds.iter() {
        // With the slaves that are missing now, too.
        config.bonds.insert(*name, bond.clone());
    }
}
