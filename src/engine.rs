//! One host: its configuration, its backends, and one change at a time.
//!
//! A change holds the host alone, and a second one is turned away at once. Those who only look use
//! eyes of their own and never wait for a change.

pub mod account;
mod change;
mod drift;
#[cfg(test)]
mod fuzzed;
mod guard;
mod healing;
pub mod history;
mod hooked;
pub mod journal;
mod reaction;
mod restoring;
mod saved;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, TryLockError};
use std::time::Duration;

use vdsm_configurators::Configurator;
use vdsm_configurators::iproute2::{Iproute2, Rtnetlink};
use vdsm_configurators::resolver::HostResolver;
use vdsm_model::config::{BondAddresses, Combination, NetConfig, Policy};
use vdsm_model::name::NetworkName;
use vdsm_model::netinfo::NetInfo;
use vdsm_model::plan::Plan;
use vdsm_model::request::{Request, Stored, UnknownKeys};
use vdsm_persistence::{PersistentConfig, RunningConfig, StoreError, Tree, make_safe};

use crate::conf::{self, Settings};
use crate::connectivity::Connectivity;
use crate::deadman::Launcher;
use crate::hooks::{HookError, Hooks};
use crate::host::{Eyes, Host, WithResolver};
use crate::leases::Leases;
use crate::lock::Lock;
use crate::netinfo::{Live, LookError, NicRule, Watching};
use crate::restore::Omission;
use crate::settings::judged;
use crate::transaction::{Done, SetupError, chain};
use guard::Interrupted;
pub(crate) use healing::Failing;
pub use healing::Healing;
use history::{ChangeHistory, HistoryError};
use journal::{Asker, ChangeJournal};
use reaction::Reaction;
use saved::Saved;

/// A daemon that was killed, or whoever acts in its place, is done by then.
const LOCK_PATIENCE: Duration = Duration::from_secs(10);

/// What the host's resolver was before us, while name servers of ours are in it; in `lib_dir`.
const FORMER_RESOLVER: &str = "former-resolver";

/// What a restore is called by those who write down who asked.
const RESTORE: &str = "restore";

/// One host in our care.
pub struct Engine {
    host: Mutex<Host>,
    /// Those who only look have eyes of their own, so that no change is in their way.
    eyes: Box<dyn Eyes>,
    /// To say how a plan would be carried out.
    hands: Mutex<Box<dyn Configurator>>,
    running: RwLock<Arc<NetConfig>>,
    store: Stores,
    policy: Policy,
    unknown_keys: UnknownKeys,
    hooks: Hooks,
    journal: ChangeJournal,
    history: ChangeHistory,
    /// How long a request may wait for leases.
    dhcp_timeout: Duration,
    /// How long the kernel may take for one answer.
    netlink_timeout: Duration,
    /// The network through which the host is managed.
    management: Option<NetworkName>,
    /// What shows that the host is reachable after a change, and how many of it.
    probes: Vec<conf::Probe>,
    quorum: conf::Quorum,
    dirty: AtomicBool,
    saved: Saved,
    /// Odd while a change is under way.
    changes: AtomicU64,
    reaction: Reaction,
    /// None where nobody is to hold our deadlines.
    dead_man: Option<Launcher>,
    /// None for an engine over hands of a test's choice.
    _lock: Option<Lock>,
    /// What the keeper could not bring back.
    pub healing: Healing,
    /// Signs of life of the engine.
    pub connectivity: Connectivity,
}

/// Where configurations are kept.
struct Stores {
    running: RunningConfig,
    persistent: PersistentConfig,
    /// Says that the networks were restored since boot.
    marker: PathBuf,
    /// Says that the configuration was made safe since boot.
    safe: PathBuf,
}

/// Why a verb was not done.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// Another change is under way.
    #[error("another change of the network is under way")]
    Busy,
    /// Making the running configuration safe would lose what was safe before.
    #[error("the persistent configuration was not restored since boot, and would be lost: restore the networks first")]
    NotRestored,
    /// The site's scripts did not let the change begin; nothing was touched.
    #[error(transparent)]
    Hook(#[from] HookError),
    /// The change failed.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// There is no such way back; nothing was touched.
    #[error(transparent)]
    History(#[from] HistoryError),
    /// The host could not be read.
    #[error(transparent)]
    Look(#[from] LookError),
    /// Configurations could not be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why the host could not be taken into our care.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// No way to ask the kernel.
    #[error("cannot open a socket to the kernel")]
    Wire(#[from] vdsm_netlink::WireError),
    /// No way to look.
    #[error(transparent)]
    Look(#[from] LookError),
    /// The running configuration is not readable.
    #[error("cannot read the running configuration")]
    Store(#[from] StoreError),
    /// Another daemon has it in its care, or there is no saying so.
    #[error("cannot take {}, which another daemon may have", .dir.display())]
    Lock {
        /// The run directory.
        dir: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// What a request would do.
pub struct Explained {
    /// The steps.
    pub plan: Plan,
    /// The commands of each step.
    pub commands: Vec<Vec<String>>,
    /// Keys that have no effect.
    pub warnings: Vec<String>,
}

/// What a restore did.
#[derive(Debug, Default)]
pub struct Restored {
    /// False when it had been done since boot already.
    pub done: bool,
    /// What cannot be had now.
    pub skipped: Vec<Omission>,
    /// What could be had and failed.
    pub failed: Vec<Omission>,
}

/// The visibility rules of vdsm.conf.
struct Nics {
    fake: conf::Patterns,
    hidden: conf::Patterns,
}

impl NicRule for Nics {
    fn is_fake(&self, name: &str) -> bool {
        self.fake.matches(name)
    }

    fn is_hidden(&self, name: &str) -> bool {
        self.hidden.matches(name)
    }
}

/// Eyes that stay open: what the kernel tells of the host. The engine goes on without it, but
/// nobody reacts to anything any more.
pub struct Watch {
    /// The picture.
    pub live: Arc<Live>,
    _watching: Watching,
}

impl Engine {
    /// Takes the host of the caller's network namespace into our care.
    pub fn open(settings: &Settings) -> Result<(Engine, Watch), OpenError> {
        let lock = Lock::take(&settings.run_dir, LOCK_PATIENCE)
            .map_err(|source| OpenError::Lock { dir: settings.run_dir.clone(), source })?;
        let deadline = settings.netlink_timeout;
        let nics = Nics { fake: settings.fake_nics.clone(), hidden: settings.hidden_nics.clone() };
        let (live, watching) = Live::open(nics, deadline, None)?;
        let leases = Leases::new(settings, Arc::clone(&live));
        let resolver = HostResolver::new(settings.resolv_conf.clone(), settings.lib_dir.join(FORMER_RESOLVER));
        let hands = || -> Result<Box<dyn Configurator>, OpenError> {
            match settings.net_configurator {
                conf::Configurator::Iproute2 => {
                    let kernel = Rtnetlink::open(deadline, resolver.clone())?.with_dhcp(Arc::clone(&leases) as _);
                    Ok(Box::new(Iproute2::new(kernel)))
                }
            }
        };
        let eyes = || WithResolver { eyes: Arc::clone(&live), resolver: resolver.clone() };
        let host = || Ok::<Host, OpenError>(Host { eyes: Box::new(eyes()), hands: hands()? });
        if let Err(error) = leases.resume() {
            tracing::error!("the DHCP clients are not known: {}", chain(&error));
        }
        let engine = Engine { _lock: Some(lock), ..Engine::with(host()?, host()?, settings)? };
        // A host must be manageable without; what is missing shows as drift.
        if let Err(error) = leases.adopt(&engine.running()) {
            tracing::error!("the DHCP clients are not there: {}", chain(&error));
        }
        Ok((engine, Watch { live, _watching: watching }))
    }

    /// The same with somebody who holds its deadlines, should it die or hang.
    pub fn with_dead_man(self, launcher: Launcher) -> Engine {
        Engine { dead_man: Some(launcher), ..self }
    }

    /// The same with nothing written down of a change under way, for those who measure what that costs:
    /// nobody undoes it after our death.
    pub fn unwritten(mut self) -> Engine {
        self.journal.is_unwritten = true;
        self
    }

    /// The same over eyes and hands of the caller's choice: one host to change, and the same one
    /// again for those who only look.
    pub fn with(host: Host, reader: Host, settings: &Settings) -> Result<Engine, StoreError> {
        let store = Stores {
            running: RunningConfig::new(settings.run_dir.clone()),
            persistent: PersistentConfig::new(settings.lib_dir.join("persistence")),
            marker: settings.run_dir.join("nets_restored"),
            safe: settings.run_dir.join("nets_made_safe"),
        };
        let running = typed(store.running.load(), "running").0?;
        let policy = Policy {
            combination: match settings.network_combination {
                conf::NetworkCombination::Strict => Combination::Strict,
                conf::NetworkCombination::Relaxed => Combination::Relaxed,
            },
            bond_addresses: match settings.bond_foreign_addresses {
                conf::BondForeignAddresses::Preserve => BondAddresses::Preserve,
                conf::BondForeignAddresses::Replace => BondAddresses::Replace,
            },
            configurator: host.hands.name().to_owned(),
            features: host.hands.features(),
        };
        let unknown_keys = match settings.unknown_keys {
            conf::UnknownKeys::Warn => UnknownKeys::Warn,
            conf::UnknownKeys::Refuse => UnknownKeys::Refuse,
        };
        let engine = Engine {
            host: Mutex::new(host),
            eyes: reader.eyes,
            hands: Mutex::new(reader.hands),
            running: RwLock::new(Arc::new(running)),
            store,
            policy,
            unknown_keys,
            hooks: Hooks::new(settings),
            journal: ChangeJournal::new(settings),
            history: ChangeHistory::new(settings),
            dhcp_timeout: settings.dhcp_timeout,
            netlink_timeout: settings.netlink_timeout,
            management: settings.management_network.clone(),
            probes: settings.connectivity_probes.clone(),
            quorum: settings.connectivity_quorum,
            dirty: AtomicBool::new(false),
            saved: Saved::default(),
            changes: AtomicU64::new(0),
            reaction: Reaction::default(),
            dead_man: None,
            _lock: None,
            healing: Healing::default(),
            connectivity: Connectivity::default(),
        };
        engine.recover(&mut engine.host.lock().unwrap_or_else(PoisonError::into_inner));
        Ok(engine)
    }

    /// What requests are to do about unknown keys.
    pub fn unknown_keys(&self) -> UnknownKeys {
        self.unknown_keys
    }

    /// The configuration that is running.
    pub fn running(&self) -> Arc<NetConfig> {
        Arc::clone(&self.running.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether a change was asked for since the configuration was made safe, in this daemon's life, also one
    /// that failed: `netConfigDirty` of the original. What a boot would lose is [`Engine::is_unsaved`]'s.
    pub fn is_dirty(&self) -> bool {
        self.dirty.load(Ordering::SeqCst)
    }

    /// The host as it is, without waiting for anybody.
    pub fn look(&self) -> Result<Arc<NetInfo>, LookError> {
        self.eyes.glance()
    }

    /// A change that somebody has asked for. Nobody is turned away for what we do by ourselves.
    fn alone<T>(&self, act: impl FnOnce(&mut Host) -> Result<T, EngineError>) -> Result<T, EngineError> {
        loop {
            if let Some(host) = self.take() {
                return self.counted(host, act);
            }
            if !self.reaction.ended() {
                return Err(EngineError::Busy);
            }
        }
    }

    /// The host, unless it is being changed.
    fn take(&self) -> Option<MutexGuard<'_, Host>> {
        match self.host.try_lock() {
            Ok(host) => Some(host),
            Err(TryLockError::WouldBlock) => None,
            // A panic in a change: the next one looks at the host afresh, as each does.
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
        }
    }

    fn counted<T>(
        &self,
        mut host: MutexGuard<'_, Host>,
        act: impl FnOnce(&mut Host) -> Result<T, EngineError>,
    ) -> Result<T, EngineError> {
        /// Counts the end of a change as well, however it ends.
        struct Counted<'a>(&'a AtomicU64);
        impl Drop for Counted<'_> {
            fn drop(&mut self) {
                self.0.fetch_add(1, Ordering::SeqCst);
            }
        }
        self.changes.fetch_add(1, Ordering::SeqCst);
        let _counted = Counted(&self.changes);
        // A panic in the last change left it in the middle.
        if self.journal.is_open() {
            self.recover_or_give_up(&mut host);
        }
        act(&mut host)
    }

    /// Does what a request asks for.
    pub fn setup(&self, request: &Request) -> Result<Done, EngineError> {
        self.alone(|host| {
            self.dirty.store(true, Ordering::SeqCst);
            self.change(host, request, &Asker::ourselves("setup"))
        })
    }

    /// What a request would do; never waits for a change under way, and changes nothing.
    pub fn explain(&self, request: &Request) -> Result<Explained, EngineError> {
        let seen = self.look()?;
        let (seen, desired) = judged(&*self.eyes, &self.running(), request, (*seen).clone(), &self.policy)?;
        let plan = Plan::between(&desired.prior, &desired.graph);
        let commands = self.hands.lock().unwrap_or_else(PoisonError::into_inner).explain(&plan, &seen);
        let interrupted = guard::interrupted(&plan, &seen, &self.running(), self.management.as_ref(), &request.options);
        let mut warnings = desired.warnings;
        warnings.extend(interrupted.iter().map(Interrupted::warning));
        Ok(Explained { plan, commands, warnings })
    }

    /// Makes the running configuration the one that is restored at boot.
    pub fn set_safe(&self) -> Result<(), EngineError> {
        self.alone(|_| {
            let running = self.running();
            self.check_restored(&running)?;
            Ok(self.make_safe(&running)?)
        })
    }

    fn make_safe(&self, running: &NetConfig) -> Result<(), StoreError> {
        make_safe(&self.store.running, &self.store.persistent)?;
        self.dirty.store(false, Ordering::SeqCst);
        self.history.mark_safe(&tree(running));
        if let Err(error) = mark(&self.store.safe) {
            tracing::warn!("cannot write {}: {error}", self.store.safe.display());
        }
        Ok(())
    }

    /// What was safe before the last boot and was not brought back since would be lost for good.
    fn check_restored(&self, running: &NetConfig) -> Result<(), EngineError> {
        if self.store.marker.exists() || self.store.safe.exists() {
            return Ok(());
        }
        let persistent = typed(self.store.persistent.load(), "persistent").0?;
        let kept = persistent.networks.keys().all(|name| running.networks.contains_key(name))
            && persistent.bonds.keys().all(|name| running.bonds.contains_key(name));
        if kept { Ok(()) } else { Err(EngineError::NotRestored) }
    }
}

/// Leaves the marker; on an empty host the run directory may not be there yet.
fn mark(marker: &Path) -> std::io::Result<()> {
    if let Some(dir) = marker.parent() {
        std::fs::create_dir_all(dir)?;
    }
    // Not into what a link leads to: the folder may be another user's.
    match std::fs::remove_file(marker) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    std::fs::File::create_new(marker).map(drop)
}

fn tree(config: &NetConfig) -> Tree {
    let (nets, bonds) = config.to_stored();
    Tree { nets, bonds }
}

/// What is stored, as far as it can be read; what cannot is told and left out.
fn typed(loaded: Result<Tree, StoreError>, which: &str) -> (Result<NetConfig, StoreError>, Vec<Omission>) {
    let mut omitted = Vec::new();
    let tree = match loaded {
        Ok(tree) => tree,
        Err(StoreError::Broken { files, rest }) => {
            omitted.extend(
                files.iter().map(|f| Omission { name: f.path.display().to_string(), reason: f.reason.clone() }),
            );
            *rest
        }
        // A host must be manageable even then; the next change writes the store anew.
        Err(error @ StoreError::Dangling { .. }) => {
            omitted.push(Omission { name: format!("{which} configuration"), reason: chain(&error) });
            Tree::default()
        }
        Err(error) => return (Err(error), omitted),
    };
    let stored = |map: BTreeMap<String, serde_json::Value>| -> Stored { map };
    let (config, problems) = NetConfig::from_stored(&stored(tree.nets), &stored(tree.bonds));
    omitted.extend(problems.iter().map(|p| Omission { name: format!("{which} configuration"), reason: p.to_string() }));
    for Omission { name, reason } in &omitted {
        tracing::error!("{name} cannot be used: {reason}");
    }
    (Ok(config), omitted)
}
