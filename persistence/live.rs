//! What is on the disk now: which directory is the configuration, and its files.
//!
//! Reads only, takes no lock, and returns nothing that never was: what changed
//! while it was read is read again. Repair is the business of `atomic.rs`.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::{self, DirEntry, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use crate::error::{BrokenFile, StoreError, reading};
use crate::tree::{Folder, Tree};

/// The name of the link readers follow.
pub(crate) const NETCONF: &str = "netconf";
/// What the directories and temporary links beside it are called, before the random part.
pub(crate) const TREE_PREFIX: &str = "netconf.";
/// What a file is called until it moves into its folder, before the random part.
pub(crate) const FILE_PREFIX: &str = ".save.";
/// Longer than any random part VDSM or a person would choose: what ends so is ours to remove.
pub(crate) const RANDOM_LENGTH: usize = 16;

const ATTEMPTS: u32 = 50;

/// Reads the configuration below `dir`.
pub(crate) fn load(dir: &Path) -> Result<Tree, StoreError> {
    let (live, snapshot) = settled(dir, &|_, _, _| true)?;
    if let Live::Dangling { link, target } = live {
        return Err(StoreError::Dangling { link, target });
    }
    let mut tree = Tree::default();
    let mut files = Vec::new();
    for (folder, name, found) in snapshot.entities() {
        let taken = match &found.content {
            Ok(bytes) => tree.take(folder, name, bytes),
            Err(e) => Err(e.to_string()),
        };
        if let Err(reason) = taken {
            files.push(BrokenFile { path: live.path_of(folder, name), reason });
        }
    }
    match files.is_empty() {
        true => Ok(tree),
        false => Err(StoreError::Broken { files, rest: Box::new(tree) }),
    }
}

/// Whether one wants to know what is in a file of that folder, name and size.
pub(crate) type Wanted<'a> = &'a dyn Fn(Folder, &OsStr, u64) -> bool;

/// What `dir` holds, as it was at one moment, however busily another process saves.
pub(crate) fn settled(dir: &Path, wanted: Wanted) -> Result<(Live, Snapshot), StoreError> {
    for attempt in 0..ATTEMPTS {
        let live = Live::look(dir)?;
        let snapshot = Snapshot::take(live.root(), wanted)?;
        // An old tree is removed only after the link has moved on,
        // so a link that stayed proves that its tree was whole.
        if let Some(snapshot) = snapshot
            && Live::look(dir)? == live
        {
            return Ok((live, snapshot));
        }
        thread::sleep(Duration::from_millis(attempt.into()));
    }
    Err(StoreError::Busy { path: dir.join(NETCONF) })
}

/// Which directory is the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Live {
    /// None: nothing was saved yet.
    Missing,
    /// The usual: `link` says `target`, which is the directory `root`.
    Linked { link: PathBuf, target: PathBuf, root: PathBuf },
    /// A directory without a link: very old, or made by hand. `id` tells it from its successor.
    Plain { root: PathBuf, id: (u64, u64) },
    /// A link to nothing.
    Dangling { link: PathBuf, target: PathBuf },
}

impl Live {
    pub(crate) fn look(dir: &Path) -> Result<Live, StoreError> {
        let netconf = dir.join(NETCONF);
        match fs::symlink_metadata(&netconf) {
            Ok(meta) if meta.is_symlink() => Live::follow(dir, netconf),
            Ok(meta) if meta.is_dir() => Ok(Live::Plain { root: netconf, id: (meta.dev(), meta.ino()) }),
            Ok(_) => Err(reading(&netconf)(io::ErrorKind::NotADirectory.into())),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Live::interrupted(dir),
            Err(e) => Err(reading(&netconf)(e)),
        }
    }

    fn follow(dir: &Path, link: PathBuf) -> Result<Live, StoreError> {
        let target = match fs::read_link(&link) {
            Ok(target) => target,
            // Gone or replaced since; whoever looks twice will see it.
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Live::Missing),
            Err(e) => return Err(reading(&link)(e)),
        };
        match fs::canonicalize(dir.join(&target)) {
            Ok(root) if root.is_dir() => Ok(Live::Linked { link, target, root }),
            Ok(_) => Ok(Live::Dangling { link, target }),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Live::Dangling { link, target }),
            Err(e) => Err(reading(&target)(e)),
        }
    }

    /// Where a plain directory cannot be exchanged for a link, it is moved away first. Who is
    /// interrupted there leaves the new link behind under its temporary name, and it counts.
    fn interrupted(dir: &Path) -> Result<Live, StoreError> {
        let mut links: Vec<PathBuf> = match list(dir) {
            Ok(entries) => entries.iter().filter(|e| is_link(e)).map(DirEntry::path).collect(),
            Err(e) => return Err(reading(dir)(e)),
        };
        links.retain(|link| is_ours(link, TREE_PREFIX));
        links.sort();
        for link in links {
            if let linked @ Live::Linked { .. } = Live::follow(dir, link)? {
                return Ok(linked);
            }
        }
        Ok(Live::Missing)
    }

    /// The directory to read, if there is one.
    pub(crate) fn root(&self) -> Option<&Path> {
        match self {
            Live::Linked { root, .. } | Live::Plain { root, .. } => Some(root),
            Live::Missing | Live::Dangling { .. } => None,
        }
    }

    /// The directory, if it is a linked one beside the link: only such are changed and removed.
    pub(crate) fn own_root(&self, dir: &Path) -> Option<&Path> {
        let Live::Linked { root, .. } = self else {
            return None;
        };
        let name = root.file_name()?.to_str()?;
        let beside = fs::canonicalize(dir).ok()?.as_path() == root.parent()?;
        (beside && name.starts_with(TREE_PREFIX)).then_some(root)
    }

    /// Whether removing `path`, an entry of `dir`, would harm the configuration.
    pub(crate) fn needs(&self, dir: &Path, path: &Path) -> bool {
        match self {
            Live::Missing => false,
            Live::Linked { link, target, root } => {
                path == link || path == dir.join(target) || path.file_name() == root.file_name()
            }
            Live::Plain { root, .. } => path == root,
            // The tree may only have been moved, and one of its neighbours be the last copy.
            Live::Dangling { .. } => true,
        }
    }

    pub(crate) fn path_of(&self, folder: Folder, name: &OsStr) -> PathBuf {
        self.root().unwrap_or(Path::new("")).join(folder.name()).join(name)
    }
}

/// The files of a configuration, and what one must know to make others of them.
#[derive(Debug, Default)]
pub(crate) struct Snapshot {
    /// The folders that exist.
    pub(crate) folders: BTreeMap<Folder, BTreeMap<OsString, Found>>,
}

/// One file as it was found.
#[derive(Debug)]
pub(crate) struct Found {
    stamp: Stamp,
    /// What is in it, or why nobody knows.
    pub(crate) content: io::Result<Vec<u8>>,
}

impl Found {
    /// Whether this is a plain file with just these bytes, so that a second name serves as a copy.
    pub(crate) fn can_stand_for(&self, bytes: &[u8]) -> bool {
        self.stamp.kind == Kind::File && self.holds(bytes)
    }

    /// What is in it, read now where it was not asked for before; none if nobody can read it.
    pub(crate) fn known(&self, path: &Path) -> Option<Vec<u8>> {
        match &self.content {
            Ok(bytes) => Some(bytes.clone()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => content(path, self.stamp.kind).ok(),
            Err(_) => None,
        }
    }

    pub(crate) fn holds(&self, bytes: &[u8]) -> bool {
        self.content.as_ref().is_ok_and(|found| found == bytes)
    }
}

impl Snapshot {
    /// Reads the files that are wanted, or returns None if any changed meanwhile.
    fn take(root: Option<&Path>, wanted: Wanted) -> Result<Option<Snapshot>, StoreError> {
        let Some(root) = root else {
            return Ok(Some(Snapshot::default()));
        };
        let before = stamps(root)?;
        let mut folders = BTreeMap::new();
        for (folder, names) in &before {
            let read = |(name, stamp): (&OsString, &Stamp)| {
                let content = match wanted(*folder, name, stamp.size) {
                    true => content(&root.join(folder.name()).join(name), stamp.kind),
                    false => Err(unread()),
                };
                (name.clone(), Found { stamp: stamp.clone(), content })
            };
            folders.insert(*folder, names.iter().map(read).collect());
        }
        // Each file was the same before and after all were read, so all were so at one moment.
        Ok((stamps(root)? == before).then_some(Snapshot { folders }))
    }

    /// The networks and bonds.
    fn entities(&self) -> impl Iterator<Item = (Folder, &OsStr, &Found)> {
        self.folders
            .iter()
            .filter(|(folder, _)| !Folder::FOREIGN.contains(folder))
            .flat_map(|(folder, files)| files.iter().map(|(name, found)| (*folder, name.as_os_str(), found)))
    }
}

/// What changes about a file when another takes its place. No ctime: a second name changes that, too.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stamp {
    kind: Kind,
    inode: (u64, u64),
    modified: (i64, i64),
    size: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    File,
    LinkToFile,
    /// A directory, a pipe, a ring of links: opening it might block, reading it makes no sense.
    Odd,
}

impl Stamp {
    fn of(entry: &DirEntry, meta: &Metadata) -> Stamp {
        let kind = match meta.is_file() {
            true if is_link(entry) => Kind::LinkToFile,
            true => Kind::File,
            false => Kind::Odd,
        };
        Stamp { kind, inode: (meta.dev(), meta.ino()), modified: (meta.mtime(), meta.mtime_nsec()), size: meta.size() }
    }
}

/// Why the content of a file is not known that nobody asked for.
fn unread() -> io::Error {
    io::Error::new(io::ErrorKind::WouldBlock, "was not read")
}

type Stamps = BTreeMap<Folder, BTreeMap<OsString, Stamp>>;

fn stamps(root: &Path) -> Result<Stamps, StoreError> {
    let mut stamps = Stamps::new();
    for folder in Folder::ALL {
        let path = root.join(folder.name());
        if !path.is_dir() {
            continue;
        }
        let mut files = BTreeMap::new();
        for entry in list(&path).map_err(reading(&path))? {
            let stamp = match fs::metadata(entry.path()) {
                Ok(meta) => Stamp::of(&entry, &meta),
                Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
                Err(_) => Stamp { kind: Kind::Odd, inode: (0, 0), modified: (0, 0), size: 0 },
            };
            files.insert(entry.file_name(), stamp);
        }
        stamps.insert(folder, files);
    }
    Ok(stamps)
}

fn content(path: &Path, kind: Kind) -> io::Result<Vec<u8>> {
    match kind {
        Kind::Odd => Err(io::Error::other("is not a file one can read")),
        Kind::File | Kind::LinkToFile => fs::read(path),
    }
}

/// The entries of a directory; none if it is missing.
pub(crate) fn list(dir: &Path) -> io::Result<Vec<DirEntry>> {
    match fs::read_dir(dir) {
        Ok(entries) => entries.collect(),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(e) => Err(e),
    }
}

fn is_link(entry: &DirEntry) -> bool {
    entry.file_type().is_ok_and(|kind| kind.is_symlink())
}

/// Whether a name is one that `atomic.rs` makes up.
pub(crate) fn is_ours(path: &Path, prefix: &str) -> bool {
    let random = path.file_name().and_then(OsStr::to_str).and_then(|name| name.strip_prefix(prefix));
    random.is_some_and(|r| r.len() == RANDOM_LENGTH && r.bytes().all(|b| b.is_ascii_alphanumeric()))
}
