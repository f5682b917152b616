//! What survives: the running and the persistent configuration on disk, and what was before them.
//!
//! Both configurations are a directory with one JSON file a network and a bond, in the layout
//! of oVirt's VDSM. A save is all or nothing, whenever the power goes. What a
//! network *means* is not known here: an entity is a JSON object with a name.

mod atomic;
mod config;
mod disk;
mod error;
pub mod fault; // the plug, for tests
mod history;
mod journal;
mod live;
mod tree;

#[cfg(test)]
mod crash_tests;

pub use config::{Entity, PersistentConfig, RunningConfig, Store, make_safe};
pub use error::{BrokenFile, StoreError};
pub use history::History;
pub use journal::{Journal, Place, Unfinished, Verdict};
pub use tree::Tree;
