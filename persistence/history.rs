//! What was, one file for each: numbered entries of which only the newest are kept.
//!
//! An entry is written beside its place, flushed, and comes to its name by a rename, so that it is
//! there whole or not at all. Its number is the file's name: whoever cannot read an entry still
//! knows that it was there, and nobody gets its number again. One writer at a time is the caller's
//! promise; readers need not be known.
//!
//! What an entry says is not known here, and neither is when one is made.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::atomic::make_dir;
use crate::disk::{Disk, HostDisk};
use crate::error::{BrokenFile, StoreError, reading, writing};

/// An entry that has no name yet.
const NEW: &str = ".new";
/// What follows the number in an entry's name.
const SUFFIX: &str = ".json";
/// More digits than anybody's history has, and no more than every reader of JSON can count to.
const DIGITS: usize = 15;

/// Numbered entries in a directory of their own.
#[derive(Debug, Clone)]
pub struct History<D = HostDisk> {
    dir: PathBuf,
    disk: D,
}

impl History {
    /// A history in `dir`, which need not exist. Nothing is read or written yet.
    pub fn new(dir: impl Into<PathBuf>) -> History {
        History::on(HostDisk, dir)
    }
}

impl<D: Disk> History<D> {
    pub(crate) fn on(disk: D, dir: impl Into<PathBuf>) -> History<D> {
        History { dir: dir.into(), disk }
    }

    #[cfg(test)]
    pub(crate) fn disk(&self) -> &D {
        &self.disk
    }

    /// The numbers that have an entry, readable or not, in ascending order. What is called
    /// otherwise is none of ours.
    ///
    /// # Errors
    ///
    /// [`StoreError::Read`].
    pub fn numbers(&self) -> Result<Vec<u64>, StoreError> {
        let entries = match fs::read_dir(&self.dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(reading(&self.dir)(error)),
        };
        let mut numbers = Vec::new();
        for entry in entries {
            let name = entry.map_err(reading(&self.dir))?.file_name();
            numbers.extend(name.to_str().and_then(number_of));
        }
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// The number of the next entry: one more than the last one's, or 1.
    ///
    /// # Errors
    ///
    /// [`StoreError::Read`].
    pub fn next(&self) -> Result<u64, StoreError> {
        Ok(self.numbers()?.last().copied().unwrap_or_default() + 1)
    }

    /// The entry of that number, if there is one.
    ///
    /// # Errors
    ///
    /// [`StoreError::Broken`] where it is not a JSON object, and [`StoreError::Read`].
    pub fn read(&self, number: u64) -> Result<Option<Value>, StoreError> {
        let path = self.path(number);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(reading(&path)(error)),
        };
        let broken = |reason: String| StoreError::Broken {
            files: vec![BrokenFile { path: path.clone(), reason }],
            rest: Box::default(),
        };
        match serde_json::from_slice(&bytes) {
            Ok(entry @ Value::Object(_)) => Ok(Some(entry)),
            Ok(_) => Err(broken("is not a JSON object".to_owned())),
            Err(error) => Err(broken(error.to_string())),
        }
    }

    /// Writes an entry; it is on the disk when this returns, under its number, whole. One that is
    /// there already stays: whoever finishes the work of another does not know how far he came.
    ///
    /// # Errors
    ///
    /// [`StoreError::Write`]; there is no half of it then.
    pub fn keep(&self, number: u64, entry: &Value) -> Result<(), StoreError> {
        if self.path(number).exists() { self.settle() } else { self.replace(number, entry) }
    }

    /// The same in the place of one that is there.
    ///
    /// # Errors
    ///
    /// As [`History::keep`]; the old one stands then, or the new one.
    pub fn replace(&self, number: u64, entry: &Value) -> Result<(), StoreError> {
        make_dir(&self.disk, &self.dir)?;
        let (new, path) = (self.dir.join(NEW), self.path(number));
        // What was left there by somebody who died is not in our way.
        self.discard(&new);
        let mut line = entry.to_string().into_bytes();
        line.push(b'\n');
        if let Err(error) = self.disk.write(&new, &line).and_then(|()| self.disk.rename(&new, &path)) {
            self.discard(&new);
            return Err(writing(&path)(error));
        }
        self.settle()
    }

    /// Removes the oldest, until so many are left; those that will not go are returned, and stay.
    pub fn prune(&self, most: usize) -> Vec<StoreError> {
        let numbers = match self.numbers() {
            Ok(numbers) => numbers,
            Err(error) => return vec![error],
        };
        let oldest = numbers.len().saturating_sub(most);
        let remove = |number: &u64| {
            let path = self.path(*number);
            self.disk.unlink(&path).map_err(writing(&path)).err()
        };
        // Not flushed: one that comes back with the power goes with the next.
        numbers[..oldest].iter().filter_map(remove).collect()
    }

    fn settle(&self) -> Result<(), StoreError> {
        self.disk.sync_dir(&self.dir).map_err(writing(&self.dir))
    }

    fn discard(&self, new: &Path) {
        if new.exists() {
            let _ = self.disk.unlink(new);
        }
    }

    fn path(&self, number: u64) -> PathBuf {
        self.dir.join(format!("{number}{SUFFIX}"))
    }
}

/// Only the one way of writing a number that we have.
fn number_of(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(SUFFIX)?;
    let is_ours = digits.len() <= DIGITS && digits.bytes().all(|b| b.is_ascii_digit()) && !digits.starts_with('0');
    digits.parse().ok().filter(|_| is_ours)
}
