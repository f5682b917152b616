//! The promises of the store, with the plug pulled at every single operation.

mod history;
mod journal;
mod states;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use proptest::prelude::*;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::disk::{Disk, HostDisk};
use crate::{PersistentConfig, RunningConfig, Store, StoreError, Tree, atomic, make_safe};

#[derive(Debug, Clone, Copy, PartialEq)]
enum Fault {
    Never,
    /// Before the operation, and nothing ever after.
    Crash,
    /// In the midst of the operation: half a file, half a tree removed.
    CrashHalfway,
    /// This operation fails, half done; the next ones work.
    Once(io::ErrorKind),
    /// From this operation on nothing can be made, only renamed and removed.
    Full,
}

/// The host's disk, until operation number `at`.
struct Flaky {
    fault: Fault,
    at: usize,
    exchange: bool,
    count: Cell<usize>,
    log: RefCell<Vec<&'static str>>,
    /// Directories with names that a power cut might take.
    pending: RefCell<BTreeSet<PathBuf>>,
    /// Those of them where the name is one of a new directory.
    made: RefCell<BTreeSet<PathBuf>>,
}

impl Flaky {
    fn new(fault: Fault, at: usize, exchange: bool) -> Flaky {
        Flaky {
            fault,
            at,
            exchange,
            count: Cell::new(0),
            log: RefCell::default(),
            pending: RefCell::default(),
            made: RefCell::default(),
        }
    }

    fn sound() -> Flaky {
        Flaky::new(Fault::Never, usize::MAX, true)
    }

    fn reached(&self) -> bool {
        self.count.get() > self.at
    }

    fn step(
        &self,
        name: &'static str,
        makes: bool,
        half: impl FnOnce(),
        whole: impl FnOnce() -> io::Result<()>,
    ) -> io::Result<()> {
        let now = self.count.replace(self.count.get() + 1);
        self.log.borrow_mut().push(name);
        match self.fault {
            Fault::Crash if now >= self.at => Err(io::Error::other("power is off")),
            Fault::CrashHalfway if now >= self.at => {
                if now == self.at {
                    half();
                }
                Err(io::Error::other("power is off"))
            }
            Fault::Once(kind) if now == self.at => {
                half();
                Err(kind.into())
            }
            Fault::Full if now >= self.at && makes => Err(io::ErrorKind::StorageFull.into()),
            _ => whole(),
        }
    }

    /// `path` is about to become or replace `netconf`: all it leads to is on the disk, or this panics.
    fn commits(&self, path: &Path) {
        if path.ends_with("netconf") {
            let pending = self.pending.borrow();
            let dir = path.parent().expect("a directory");
            let lost: Vec<_> = pending.iter().filter(|p| p.starts_with(dir) && **p != dir).collect();
            assert!(lost.is_empty(), "{lost:?} was not flushed before the switch");
            assert!(!self.made.borrow().contains(dir), "the new tree's name was not flushed");
        }
    }

    fn touched(&self, path: &Path) {
        self.pending.borrow_mut().insert(path.parent().expect("a directory").to_owned());
    }

    fn removes(&self, path: &Path) {
        let dir = path.parent().expect("a directory");
        assert!(!self.pending.borrow().contains(dir), "{path:?} goes before the switch is on the disk");
    }
}

impl Disk for Flaky {
    fn mkdir(&self, path: &Path) -> io::Result<()> {
        self.touched(path);
        self.made.borrow_mut().insert(path.parent().expect("a directory").to_owned());
        self.step("mkdir", true, || (), || HostDisk.mkdir(path))
    }
    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.touched(path);
        let half = || fs::write(path, &bytes[..bytes.len() / 2]).expect("half a file");
        self.step("write", true, half, || HostDisk.write(path, bytes))
    }
    fn append(&self, path: &Path, bytes: &[u8], flush: bool) -> io::Result<()> {
        let half = || HostDisk.append(path, &bytes[..bytes.len() / 2], false).expect("half a line");
        self.step("append", false, half, || HostDisk.append(path, bytes, flush))
    }
    fn reserve(&self, path: &Path, size: u64) -> io::Result<()> {
        self.step("reserve", true, || (), || HostDisk.reserve(path, size))
    }
    fn hard_link(&self, file: &Path, name: &Path) -> io::Result<()> {
        self.touched(name);
        self.step("link", true, || (), || HostDisk.hard_link(file, name))
    }
    fn symlink(&self, target: &Path, link: &Path) -> io::Result<()> {
        self.commits(link);
        self.touched(link);
        self.step("symlink", true, || (), || HostDisk.symlink(target, link))
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.commits(to);
        self.touched(to);
        self.step("rename", false, || (), || HostDisk.rename(from, to))
    }
    fn exchange(&self, one: &Path, other: &Path) -> io::Result<()> {
        if !self.exchange {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        self.commits(other);
        self.touched(other);
        self.step("exchange", false, || (), || HostDisk.exchange(one, other))
    }
    fn unlink(&self, path: &Path) -> io::Result<()> {
        self.step("unlink", false, || (), || HostDisk.unlink(path))
    }
    fn remove_tree(&self, path: &Path) -> io::Result<()> {
        self.removes(path);
        let half = || {
            let first = fs::read_dir(path.join("nets")).ok().and_then(|mut e| e.next());
            if let Some(Ok(first)) = first {
                fs::remove_file(first.path()).expect("a file");
            }
        };
        self.step("remove", false, half, || HostDisk.remove_tree(path))
    }
    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let done = self.step("sync", false, || (), || HostDisk.sync_dir(path));
        if done.is_ok() {
            self.pending.borrow_mut().remove(path);
            self.made.borrow_mut().remove(path);
        }
        done
    }
}

/// In memory where there is such a place: the tests flush thousands of times.
fn scratch() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a directory")
}

fn tree(nets: &[(&str, i64)], bonds: &[(&str, i64)]) -> Tree {
    let entities = |list: &[(&str, i64)]| -> BTreeMap<String, Value> {
        list.iter().map(|(name, n)| (name.to_string(), json!({"nic": "ens3", "vlan": n}))).collect()
    };
    Tree { nets: entities(nets), bonds: entities(bonds) }
}

/// How the old tree came to the disk.
#[derive(Debug, Clone, Copy)]
enum Form {
    Ours,
    /// As VDSM would have left it: another random part, a relative link, a folder of its own.
    Vdsm,
    Plain,
    Elsewhere,
}
const FORMS: [Form; 4] = [Form::Ours, Form::Vdsm, Form::Plain, Form::Elsewhere];

fn lay(dir: &Path, form: Form, tree: &Tree) {
    let write = |root: &Path| {
        for (folder, entities) in [("nets", &tree.nets), ("bonds", &tree.bonds)] {
            fs::create_dir_all(root.join(folder)).expect("mkdir");
            for (name, value) in entities {
                let text = tree_text(value);
                fs::write(root.join(folder).join(name), text).expect("write");
            }
        }
    };
    let netconf = dir.join("netconf");
    match form {
        Form::Ours => Store::new(dir).save(tree).expect("saved"),
        Form::Vdsm => {
            write(&dir.join("netconf.a1b2c3d4"));
            symlink("netconf.a1b2c3d4", netconf).expect("link");
        }
        Form::Plain => write(&netconf),
        Form::Elsewhere => {
            write(&dir.join("other/place"));
            symlink(dir.join("other/place"), netconf).expect("link");
        }
    }
}

fn tree_text(value: &Value) -> Vec<u8> {
    let one = Tree { nets: [("x".to_owned(), value.clone())].into(), ..Tree::default() };
    let mut files = one.files().expect("sound");
    files.pop_first().and_then(|(_, mut nets)| nets.pop_first()).expect("one").1
}

fn load(dir: &Path) -> Tree {
    Store::new(dir).load().expect("whole")
}

/// Names in `dir` that are neither the link nor what it points to, and unfinished files in the tree.
fn leftovers(dir: &Path) -> Vec<PathBuf> {
    let live = fs::canonicalize(dir.join("netconf")).expect("a link that leads somewhere");
    let names = |dir: &Path| -> Vec<PathBuf> {
        fs::read_dir(dir).expect("readable").map(|e| e.expect("an entry").path()).collect()
    };
    let known = |p: &PathBuf| {
        *p == live || ["netconf", "other", "nets", "bonds", "netconf.a1b2c3d4"].iter().any(|n| p.ends_with(n))
    };
    names(dir).into_iter().chain(names(&live)).filter(|p| !known(p)).collect()
}

/// One save from `old` to `new` with `fault` at operation `at`. False once the fault lies beyond the end.
fn interrupted_save(form: Form, old: &Tree, new: &Tree, fault: Fault, at: usize, exchange: bool) -> bool {
    let scratch = scratch();
    let dir = scratch.path();
    lay(dir, form, old);
    let disk = Flaky::new(fault, at, exchange);
    let result = atomic::save(&disk, dir, new);
    let found = load(dir);
    let story = format!("{form:?} {fault:?} at {at}, exchange {exchange}: {result:?} after {:?}", disk.log.borrow());
    match (&result, fault) {
        (Ok(()), _) => assert_eq!(found, *new, "{story}"),
        (Err(_), Fault::Once(_) | Fault::Full) => assert_eq!(found, *old, "{story}"),
        (Err(_), _) => assert!(found == *old || found == *new, "{story}\n{found:?}"),
    }
    let third = tree(&[("third", 3), ("a", 1)], &[]);
    Store::new(dir).save(&third).unwrap_or_else(|e| panic!("{story}: {e}"));
    assert_eq!(load(dir), third, "{story}");
    assert_eq!(leftovers(dir), [] as [PathBuf; 0], "{story}");
    disk.reached()
}

const FAULTS: [Fault; 5] = [
    Fault::Crash,
    Fault::CrashHalfway,
    Fault::Once(io::ErrorKind::StorageFull),
    Fault::Once(io::ErrorKind::Other),
    Fault::Full,
];

fn every_interruption(form: Form, old: &Tree, new: &Tree) {
    for exchange in [true, false] {
        for fault in FAULTS {
            let mut at = 0;
            while interrupted_save(form, old, new, fault, at, exchange) {
                at += 1;
            }
        }
    }
}

fn pairs() -> Vec<(Tree, Tree)> {
    let two = tree(&[("a", 1), ("b", 2)], &[("bond0", 0)]);
    vec![
        (Tree::default(), Tree::default()),
        (Tree::default(), tree(&[("a", 1)], &[])),
        (Tree::default(), two.clone()),
        (two.clone(), two.clone()),
        (two.clone(), tree(&[("a", 9), ("b", 2)], &[("bond0", 0)])),
        (two.clone(), tree(&[("a", 1), ("b", 2), ("c", 3)], &[("bond0", 0)])),
        (two.clone(), tree(&[("a", 1), ("b", 2)], &[])),
        (two.clone(), tree(&[("a", 7), ("b", 8)], &[("bond0", 0)])),
        (two.clone(), tree(&[("c", 1), ("d", 2)], &[("bond1", 0)])),
        (two, Tree::default()),
    ]
}

#[test]
fn a_save_cut_short_anywhere_leaves_the_old_or_the_new() {
    for form in FORMS {
        for (old, new) in pairs() {
            every_interruption(form, &old, &new);
        }
    }
}

fn any_tree() -> impl Strategy<Value = Tree> {
    let entities = || prop::collection::btree_map("[a-d]", (0..3i64).prop_map(|n| json!({"vlan": n})), 0..4);
    (entities(), entities()).prop_map(|(nets, bonds)| Tree { nets, bonds })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn any_two_trees_are_never_mixed(old in any_tree(), new in any_tree(), form in 0..FORMS.len()) {
        every_interruption(FORMS[form], &old, &new);
    }

    /// Crash upon crash upon crash: each finds what the one before it left.
    #[test]
    fn crashes_in_a_row_leave_one_of_the_trees(
        trees in prop::collection::vec(any_tree(), 2..6), cuts in prop::collection::vec(0..30usize, 6), exchange: bool, form in 0..FORMS.len(),
    ) {
        let scratch = scratch();
        let dir = scratch.path();
        lay(dir, FORMS[form], &trees[0]);
        let mut before = trees[0].clone();
        for (tree, cut) in trees[1..].iter().zip(cuts) {
            let result = atomic::save(&Flaky::new(Fault::CrashHalfway, cut, exchange), dir, tree);
            let found = load(dir);
            prop_assert!(found == *tree || result.is_err() && found == before);
            before = found;
        }
        Store::new(dir).save(&trees[0]).expect("saved");
        prop_assert_eq!(load(dir), trees[0].clone());
    }
}

#[test]
fn a_clearing_cut_short_anywhere_leaves_the_old_or_nothing() {
    let old = tree(&[("a", 1), ("b", 2)], &[("bond0", 0)]);
    for form in FORMS {
        for fault in FAULTS {
            for at in 0..20 {
                let scratch = scratch();
                lay(scratch.path(), form, &old);
                let result = atomic::clear(&Flaky::new(fault, at, at % 2 == 0), scratch.path());
                let found = load(scratch.path());
                match (&result, fault) {
                    (Ok(()), _) => assert_eq!(found, Tree::default()),
                    (Err(_), Fault::Once(_) | Fault::Full) => assert_eq!(found, old),
                    (Err(_), _) => assert!(found == old || found == Tree::default()),
                }
                Store::new(scratch.path()).clear().expect("cleared");
                assert_eq!(load(scratch.path()), Tree::default());
                let left: Vec<_> =
                    fs::read_dir(scratch.path()).expect("readable").flatten().map(|e| e.file_name()).collect();
                assert!(
                    left.iter().all(|n| n == "other" || n == "netconf.a1b2c3d4"),
                    "{form:?} {fault:?} {at}: {left:?}"
                );
            }
        }
    }
}
