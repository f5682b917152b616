//! Saving, so that a crash at any moment leaves the old or the new configuration.
//!
//! Three ways, the cheapest that will do: nothing, one file within the live
//! tree, or a new tree beside it and the link moved over. A file that exists
//! is never written into, because an older tree may share it by a hard link.
//! One writer at a time is the caller's promise; readers need not be known.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::disk::Disk;
use crate::error::{StoreError, reading, writing};
use crate::live::{FILE_PREFIX, Found, Live, NETCONF, RANDOM_LENGTH, Snapshot, TREE_PREFIX};
use crate::live::{is_ours, list, settled};
use crate::tree::{Files, Folder, Tree, encode, file_name};

/// Makes `tree` the configuration below `dir`. An error means that the old one stands.
pub(crate) fn save(disk: &dyn Disk, dir: &Path, tree: &Tree) -> Result<(), StoreError> {
    let wished = tree.files()?;
    // Leftovers of a crash do no harm beyond their size, so whatever cannot be removed stays.
    let _ = sweep(disk, dir, None);
    finish(disk, dir)?;
    // A file of another size differs, and one that goes need not be known: only those that may stay
    // are read, and those we do not understand, which are carried along.
    let may_stay = |folder: Folder, name: &OsStr, size: u64| {
        let bytes = wished.get(&folder).and_then(|files| files.get(name));
        Folder::FOREIGN.contains(&folder) || bytes.is_some_and(|bytes| bytes.len() as u64 == size)
    };
    let (live, prior) = settled(dir, &may_stay)?;
    match Change::between(&live, &prior, &wished) {
        Change::Nothing => Ok(()),
        Change::One(edit) if edit.fits(dir, &live, &prior) => in_place(disk, dir, &live, &edit),
        Change::One(_) | Change::Much => swap(disk, dir, &live, &prior, &with_foreign(wished, &prior)),
    }
}

/// Makes one entity of the configuration what is wished, without looking at the others; `false`
/// where that cannot be done within the live tree, which is then untouched.
pub(crate) fn save_one(
    disk: &dyn Disk,
    dir: &Path,
    folder: Folder,
    name: &str,
    wished: Option<&Value>,
) -> Result<bool, StoreError> {
    let name = file_name(name)?;
    let wished = wished.map(|value| encode(&name.to_string_lossy(), value)).transpose()?;
    let live = Live::look(dir)?;
    let proper = matches!(&live, Live::Linked { link, .. } if *link == dir.join(NETCONF));
    let Some(root) = live.own_root(dir).filter(|root| proper && root.join(folder.name()).is_dir()) else {
        return Ok(false);
    };
    let prior = match fs::read(root.join(folder.name()).join(&name)) {
        Ok(bytes) => Some(bytes),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(_) => return Ok(false),
    };
    if prior != wished {
        let edit = Edit { folder, name: &name, prior, wished: wished.as_deref() };
        in_place(disk, dir, &live, &edit)?;
    }
    Ok(true)
}

/// Removes the configuration below `dir`. An error means that it stands.
pub(crate) fn clear(disk: &dyn Disk, dir: &Path) -> Result<(), StoreError> {
    let live = Live::look(dir)?;
    // With the link gone, a temporary one left by a crash would pass for its successor.
    sweep(disk, dir, None)?;
    let moved = match &live {
        Live::Missing => return Ok(()),
        Live::Linked { link, .. } | Live::Dangling { link, .. } => {
            disk.unlink(link).map_err(writing(link))?;
            None
        }
        Live::Plain { root, .. } => {
            Some(fresh(dir, TREE_PREFIX, |path| disk.rename(root, path)).map_err(writing(root))?)
        }
    };
    settle(disk, dir, &live, moved.as_deref())?;
    let _ = sweep(disk, dir, live.own_root(dir));
    match live {
        // Beside a link to nothing `sweep` dares not remove what may now have come into its place.
        Live::Dangling { .. } => clear(disk, dir),
        _ => Ok(()),
    }
}

/// Gives a link that counts under its temporary name its proper one, see `Live::interrupted`.
fn finish(disk: &dyn Disk, dir: &Path) -> Result<(), StoreError> {
    let netconf = dir.join(NETCONF);
    match Live::look(dir)? {
        Live::Linked { link, .. } if link != netconf => {
            disk.rename(&link, &netconf).map_err(writing(&netconf))?;
            disk.sync_dir(dir).map_err(writing(dir))
        }
        _ => Ok(()),
    }
}

/// How far the wish is from what is there.
enum Change<'a> {
    Nothing,
    One(Edit<'a>),
    Much,
}

/// One file to be added, replaced or removed.
struct Edit<'a> {
    folder: Folder,
    name: &'a OsStr,
    prior: Option<Vec<u8>>,
    wished: Option<&'a [u8]>,
}

impl<'a> Change<'a> {
    fn between(live: &Live, prior: &'a Snapshot, wished: &'a Files) -> Change<'a> {
        let mut edits = wished.iter().flat_map(|(folder, files)| {
            let found = prior.folders.get(folder);
            let new = files.iter().map(move |(name, bytes)| {
                (*folder, name.as_os_str(), found.and_then(|f| f.get(name)), Some(bytes.as_slice()))
            });
            let old = found.into_iter().flatten().filter(|(name, _)| !files.contains_key(*name));
            new.chain(old.map(|(name, found)| (*folder, name.as_os_str(), Some(found), None)))
                .filter(|(.., found, bytes)| !same(*found, *bytes))
        });
        match (edits.next(), edits.next()) {
            (None, _) if matches!(live, Live::Dangling { .. }) => Change::Much,
            (None, _) => Change::Nothing,
            (Some((folder, name, found, wished)), None) => {
                let prior = found.map(|found| found.known(&live.path_of(folder, name)));
                match prior {
                    // What nobody can read, nobody can put back.
                    Some(None) => Change::Much,
                    prior => Change::One(Edit { folder, name, prior: prior.flatten(), wished }),
                }
            }
            (Some(_), Some(_)) => Change::Much,
        }
    }
}

fn same(found: Option<&Found>, wished: Option<&[u8]>) -> bool {
    match (found, wished) {
        (Some(found), Some(bytes)) => found.holds(bytes),
        (None, None) => true,
        _ => false,
    }
}

impl Edit<'_> {
    /// Whether the live tree lies where ours do and has the folder the file goes to.
    fn fits(&self, dir: &Path, live: &Live, prior: &Snapshot) -> bool {
        live.own_root(dir).is_some() && prior.folders.contains_key(&self.folder)
    }
}

fn in_place(disk: &dyn Disk, dir: &Path, live: &Live, edit: &Edit) -> Result<(), StoreError> {
    let Some(root) = live.own_root(dir) else {
        return Ok(());
    };
    let done = put(disk, root, edit, edit.wished);
    if done.is_err() {
        let now = fs::read(root.join(edit.folder.name()).join(edit.name)).ok();
        if now != edit.prior {
            let _ = put(disk, root, edit, edit.prior.as_deref());
        }
        let _ = sweep(disk, dir, None);
    }
    done
}

/// The file is written outside of its folder, where no reader takes it for an entity, and moves in whole.
fn put(disk: &dyn Disk, root: &Path, edit: &Edit, bytes: Option<&[u8]>) -> Result<(), StoreError> {
    let folder = root.join(edit.folder.name());
    let path = folder.join(edit.name);
    match bytes {
        Some(bytes) => {
            fresh(root, FILE_PREFIX, |temp| disk.write(temp, bytes)).and_then(|temp| disk.rename(&temp, &path))
        }
        None => disk.unlink(&path),
    }
    .map_err(writing(&path))?;
    disk.sync_dir(&folder).map_err(writing(&folder))
}

/// The folders that are not ours to understand go into the new tree as they were.
fn with_foreign(mut files: Files, prior: &Snapshot) -> Files {
    for folder in Folder::FOREIGN {
        if let Some(found) = prior.folders.get(&folder) {
            let bytes = |(name, found): (&OsString, &Found)| {
                found.content.as_ref().ok().map(|bytes| (name.clone(), bytes.clone()))
            };
            files.insert(folder, found.iter().filter_map(bytes).collect());
        }
    }
    files
}

fn swap(disk: &dyn Disk, dir: &Path, live: &Live, prior: &Snapshot, files: &Files) -> Result<(), StoreError> {
    let done = make_dir(disk, dir)
        .and_then(|()| build(disk, dir, live, prior, files))
        .and_then(|root| switch(disk, dir, live, &root));
    // Of the two trees, the one that is not live goes. If it will not, the next save tries again.
    let retired = done.is_ok().then(|| live.own_root(dir)).flatten();
    let _ = sweep(disk, dir, retired);
    done
}

/// Makes a directory and those above it that are missing; their names are on the disk when this returns.
pub(crate) fn make_dir(disk: &dyn Disk, dir: &Path) -> Result<(), StoreError> {
    if dir.as_os_str().is_empty() || dir.is_dir() {
        return Ok(());
    }
    let parent = dir.parent().unwrap_or(Path::new("/"));
    make_dir(disk, parent)?;
    disk.mkdir(dir).map_err(writing(dir))?;
    let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
    disk.sync_dir(parent).map_err(writing(parent))
}

/// Writes the whole tree beside the live one and flushes it; what did not change is linked, not copied.
fn build(disk: &dyn Disk, dir: &Path, live: &Live, prior: &Snapshot, files: &Files) -> Result<PathBuf, StoreError> {
    let root = fresh(dir, TREE_PREFIX, |path| disk.mkdir(path)).map_err(writing(dir))?;
    for (folder, files) in files {
        let path = root.join(folder.name());
        disk.mkdir(&path).map_err(writing(&path))?;
        for (name, bytes) in files {
            let old = prior.folders.get(folder).and_then(|found| found.get(name));
            let old = old.filter(|found| found.can_stand_for(bytes)).and(live.root());
            let linked =
                old.is_some_and(|old| disk.hard_link(&old.join(folder.name()).join(name), &path.join(name)).is_ok());
            if !linked {
                disk.write(&path.join(name), bytes).map_err(writing(&path.join(name)))?;
            }
        }
        disk.sync_dir(&path).map_err(writing(&path))?;
    }
    disk.sync_dir(&root).map_err(writing(&root))?;
    disk.sync_dir(dir).map_err(writing(dir))?;
    Ok(root)
}

/// The moment of truth: `netconf` comes to mean the tree in `root`.
fn switch(disk: &dyn Disk, dir: &Path, live: &Live, root: &Path) -> Result<(), StoreError> {
    let netconf = dir.join(NETCONF);
    let target = std::path::absolute(root).map_err(reading(root))?;
    if *live == Live::Missing {
        disk.symlink(&target, &netconf).map_err(writing(&netconf))?;
        return settle(disk, dir, live, None);
    }
    let link = fresh(dir, TREE_PREFIX, |path| disk.symlink(&target, path)).map_err(writing(&netconf))?;
    let placed = match live {
        Live::Plain { .. } => replace_dir(disk, dir, &link).map(Some),
        _ => disk.rename(&link, &netconf).map(|()| None),
    };
    match placed {
        Ok(moved) => settle(disk, dir, live, moved.as_deref()),
        // The link that did not make it is swept away with its tree.
        Err(e) => Err(writing(&netconf)(e)),
    }
}

/// Puts `link` in the place of the directory `netconf`; returns where the directory is then.
fn replace_dir(disk: &dyn Disk, dir: &Path, link: &Path) -> io::Result<PathBuf> {
    let netconf = dir.join(NETCONF);
    match disk.exchange(link, &netconf) {
        Ok(()) => return Ok(link.to_owned()),
        Err(e) if matches!(e.kind(), io::ErrorKind::Unsupported | io::ErrorKind::InvalidInput) => {}
        Err(e) => return Err(e),
    }
    // Between the two renames `link` counts, see `Live::interrupted`. It must survive a power cut.
    disk.sync_dir(dir)?;
    let moved = fresh(dir, TREE_PREFIX, |path| disk.rename(&netconf, path))?;
    if let Err(e) = disk.rename(link, &netconf) {
        let _ = disk.rename(&moved, &netconf);
        return Err(e);
    }
    Ok(moved)
}

/// Flushes what happened to `netconf`, or takes it back.
fn settle(disk: &dyn Disk, dir: &Path, prior: &Live, moved: Option<&Path>) -> Result<(), StoreError> {
    disk.sync_dir(dir).map_err(|e| {
        let _ = restore(disk, dir, prior, moved);
        writing(dir)(e)
    })
}

fn restore(disk: &dyn Disk, dir: &Path, prior: &Live, moved: Option<&Path>) -> io::Result<()> {
    let netconf = dir.join(NETCONF);
    match (prior, moved) {
        (Live::Linked { target, .. } | Live::Dangling { target, .. }, _) => {
            let link = fresh(dir, TREE_PREFIX, |path| disk.symlink(target, path))?;
            disk.rename(&link, &netconf)
        }
        (Live::Plain { .. }, Some(moved)) => disk.exchange(moved, &netconf).or_else(|_| {
            let _ = disk.unlink(&netconf);
            disk.rename(moved, &netconf)
        }),
        (Live::Missing | Live::Plain { .. }, _) => disk.unlink(&netconf),
    }
}

/// Removes what earlier saves left behind, and `retired`; never what is live. Goes on after
/// a failure and returns the first.
fn sweep(disk: &dyn Disk, dir: &Path, retired: Option<&Path>) -> Result<(), StoreError> {
    let live = Live::look(dir)?;
    let mut stale = Vec::new();
    for entry in list(dir).map_err(reading(dir))? {
        let path = entry.path();
        let is_retired = retired.is_some_and(|r| r.file_name() == path.file_name());
        if (is_retired || is_ours(&path, TREE_PREFIX)) && !live.needs(dir, &path) {
            stale.push(path);
        }
    }
    if let Some(root) = live.own_root(dir) {
        let entries = list(root).map_err(reading(root))?;
        stale.extend(entries.iter().map(|e| e.path()).filter(|path| is_ours(path, FILE_PREFIX)));
    }
    if stale.is_empty() {
        return Ok(());
    }
    // The link must be known to have moved on before that which it left may go.
    disk.sync_dir(dir).map_err(writing(dir))?;
    let removed: Vec<_> = stale.iter().map(|path| remove(disk, path)).collect();
    removed.into_iter().collect()
}

fn remove(disk: &dyn Disk, path: &Path) -> Result<(), StoreError> {
    match fs::symlink_metadata(path).is_ok_and(|meta| meta.is_dir()) {
        true => disk.remove_tree(path),
        false => disk.unlink(path),
    }
    .map_err(writing(path))
}

/// Finds a name nobody has, and lets `make` make something there.
fn fresh(dir: &Path, prefix: &str, make: impl FnMut(&Path) -> io::Result<()>) -> io::Result<PathBuf> {
    let made = tempfile::Builder::new()
        .prefix(prefix)
        .rand_bytes(RANDOM_LENGTH)
        // Only `sweep` removes, because only it knows what is live.
        .disable_cleanup(true)
        .make_in(dir, make)?;
    Ok(made.path().to_owned())
}
