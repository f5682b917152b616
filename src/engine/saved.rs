//! Whether what runs is what a boot brings back.
//!
//! The two configurations are compared. That is another question than whether something was asked
//! since one was made safe, which the engine wants to know ([`Engine::is_dirty`]): a request that was
//! refused leaves nothing to save, and a daemon that starts does not save anything.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use vdsm_model::config::NetConfig;

use super::{Engine, typed};
use crate::transaction::chain;

/// What was read of the persistent configuration: who draws pictures asks often, and reading it takes a file for
/// each network.
#[derive(Default)]
pub(super) struct Saved(Mutex<Option<(Stamp, Known)>>);

/// None: it cannot be read.
type Known = Option<Arc<NetConfig>>;

/// A configuration that is saved has new directories, and one that is edited by hand mostly new times.
type Stamp = [Option<(u64, i64, i64)>; 3];

fn stamp(dir: &Path) -> Stamp {
    let netconf = dir.join("netconf");
    [netconf.join("nets"), netconf.join("bonds"), netconf].map(|folder| {
        // Followed to where its link leads.
        let found = fs::metadata(folder).ok()?;
        Some((found.ino(), found.mtime(), found.mtime_nsec()))
    })
}

impl Engine {
    /// Whether a boot would not bring back just the networks and bonds that run.
    pub fn is_unsaved(&self) -> bool {
        let (running, persistent) = (self.running(), self.persistent());
        // Two spellings of the same are stored alike.
        persistent.is_none_or(|saved| *saved != *running && saved.to_stored() != running.to_stored())
    }

    fn persistent(&self) -> Known {
        let mut saved = self.saved.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Before it is read: what is saved meanwhile is read the next time.
        let stamp = stamp(self.store.persistent.dir());
        if let Some((known, config)) = &*saved
            && *known == stamp
        {
            return config.clone();
        }
        let config = typed(self.store.persistent.load(), "persistent").0;
        let config = config.inspect_err(|error| tracing::warn!("what is saved is not known: {}", chain(error)));
        let config = config.ok().map(Arc::new);
        *saved = Some((stamp, config.clone()));
        config
    }
}
