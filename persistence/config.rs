//! The two configurations a host keeps, and the one way from one to the other.
//!
//! How a save survives a crash is told in `atomic.rs`.

use std::path::{Path, PathBuf};

use crate::disk::HostDisk;
use crate::error::StoreError;
use crate::tree::{Folder, Tree};
use crate::{atomic, live};
use serde_json::Value;

/// A configuration on disk: `DIR/netconf`, a link to `DIR/netconf.<random>` with `nets/` and
/// `bonds/` and in them one JSON file an entity, named as the entity.
///
/// Any number of processes may `load` while one saves; each gets the configuration as it was at
/// one moment. Two at once must not write: that is the caller's promise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Store {
    dir: PathBuf,
}

impl Store {
    /// A store in `dir`, which need not exist. Nothing is read or written yet.
    pub fn new(dir: impl Into<PathBuf>) -> Store {
        Store { dir: dir.into() }
    }

    /// The directory `netconf` lives in.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Reads everything. No directory means an empty configuration; so does a directory of the
    /// form before links existed mean what it holds.
    ///
    /// # Errors
    ///
    /// [`StoreError::Broken`] names every file that is not a JSON object, and holds the others;
    /// [`StoreError::Dangling`], [`StoreError::Busy`] and [`StoreError::Read`] as they say.
    pub fn load(&self) -> Result<Tree, StoreError> {
        live::load(&self.dir)
    }

    /// Makes `tree` the configuration, whole and on the disk when this returns. Files that did
    /// not change are not written; if none did, the disk is not touched. What the directory holds
    /// besides networks and bonds (`devices`, `virtual_functions`) is carried along.
    ///
    /// # Errors
    ///
    /// [`StoreError::Name`] and [`StoreError::NotAnObject`] before anything is touched;
    /// [`StoreError::Write`], [`StoreError::Read`] and [`StoreError::Busy`] with the old configuration in place.
    pub fn save(&self, tree: &Tree) -> Result<(), StoreError> {
        atomic::save(&HostDisk, &self.dir, tree)
    }

    /// Adds, replaces or (with `None`) removes one entity, whatever their number: the others are
    /// not even looked at. `false` means that nothing was done and [`Store::save`] is needed.
    ///
    /// # Errors
    ///
    /// As [`Store::save`].
    pub fn save_one(&self, entity: Entity<'_>, value: Option<&Value>) -> Result<bool, StoreError> {
        let (folder, name) = match entity {
            Entity::Network(name) => (Folder::Nets, name),
            Entity::Bond(name) => (Folder::Bonds, name),
        };
        atomic::save_one(&HostDisk, &self.dir, folder, name, value)
    }

    /// Removes the configuration, so that `load` finds an empty one. Also mends a dangling link.
    ///
    /// # Errors
    ///
    /// [`StoreError::Write`] and [`StoreError::Read`], with the old configuration in place.
    pub fn clear(&self) -> Result<(), StoreError> {
        atomic::clear(&HostDisk, &self.dir)
    }
}

/// One network or bond, by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entity<'a> {
    /// A file below `nets`.
    Network(&'a str),
    /// A file below `bonds`.
    Bond(&'a str),
}

/// What the host is configured to at this moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunningConfig(Store);

/// What the host shall be configured to after the next boot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PersistentConfig(Store);

macro_rules! as_its_store {
    ($config:ident) => {
        impl $config {
            /// The one in `dir`, see [`Store::new`].
            pub fn new(dir: impl Into<PathBuf>) -> $config {
                $config(Store::new(dir))
            }

            /// See [`Store::dir`].
            pub fn dir(&self) -> &Path {
                self.0.dir()
            }

            /// See [`Store::load`].
            ///
            /// # Errors
            ///
            /// As there.
            pub fn load(&self) -> Result<Tree, StoreError> {
                self.0.load()
            }

            /// See [`Store::save`].
            ///
            /// # Errors
            ///
            /// As there.
            pub fn save(&self, tree: &Tree) -> Result<(), StoreError> {
                self.0.save(tree)
            }

            /// See [`Store::save_one`].
            ///
            /// # Errors
            ///
            /// As there.
            pub fn save_one(&self, entity: Entity<'_>, value: Option<&Value>) -> Result<bool, StoreError> {
                self.0.save_one(entity, value)
            }

            /// See [`Store::clear`].
            ///
            /// # Errors
            ///
            /// As there.
            pub fn clear(&self) -> Result<(), StoreError> {
                self.0.clear()
            }
        }
    };
}

as_its_store!(RunningConfig);
as_its_store!(PersistentConfig);

/// `setSafeNetworkConfig`: the persistent configuration becomes the running one, whole or not at all.
///
/// A running configuration that was never saved is an empty one, and so then is the persistent one.
///
/// # Errors
///
/// Those of `load` for the running and of `save` for the persistent configuration, which then is as before.
pub fn make_safe(running: &RunningConfig, persistent: &PersistentConfig) -> Result<(), StoreError> {
    persistent.save(&running.load()?)
}
