//! The promises of the store, with the plug pulled at every single operation.

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
            let lost: Vec<_> = pending
                .iter()
                .filter(|p| p.starts_with(dir) && **p != dir)
                .collect();
            assert!(
                lost.is_empty(),
                "{lost:?} was not flushed before the switch"
            );
            assert!(
                !self.made.borrow().contains(dir),
                "the new tree's name was not flushed"
            );
        }
    }

    fn touched(&self, path: &Path) {
        self.pending
            .borrow_mut()
            .insert(path.parent().expect("a directory").to_owned());
    }

    fn removes(&self, path: &Path) {
        let dir = path.parent().expect("a directory");
        assert!(
            !self.pending.borrow().contains(dir),
            "{path:?} goes before the switch is on the disk"
        );
    }
}

impl Disk for Flaky {
    fn mkdir(&self, path: &Path) -> io::Result<()> {
        self.touched(path);
        self.made
            .borrow_mut()
            .insert(path.parent().expect("a directory").to_owned());
        self.step("mkdir", true, || (), || HostDisk.mkdir(path))
    }
    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.touched(path);
        let half = || fs::write(path, &bytes[..bytes.len() / 2]).expect("half a file");
        self.step("write", true, half, || HostDisk.write(path, bytes))
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
            let first = fs::read_dir(path.join("nets"))
                .ok()
                .and_then(|mut e| e.next());
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
    tempfile::tempdir_in("/dev/shm")
        .or_else(|_| tempfile::tempdir())
        .expect("a directory")
}

fn tree(nets: &[(&str, i64)], bonds: &[(&str, i64)]) -> Tree {
    let entities = |list: &[(&str, i64)]| -> BTreeMap<String, Value> {
        list.iter()
            .map(|(name, n)| (name.to_string(), json!({"nic": "ens3", "vlan": n})))
            .collect()
    };
    Tree {
        nets: entities(nets),
        bonds: entities(bonds),
    }
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
    let one = Tree {
        nets: [("x".to_owned(), value.clone())].into(),
        ..Tree::default()
    };
    let mut files = one.files().expect("sound");
    files
        .pop_first()
        .and_then(|(_, mut nets)| nets.pop_first())
        .expect("one")
        .1
}

fn load(dir: &Path) -> Tree {
    Store::new(dir).load().expect("whole")
}

/// Names in `dir` that are neither the link nor what it points to, and unfinished files in the tree.
fn leftovers(dir: &Path) -> Vec<PathBuf> {
    let live = fs::canonicalize(dir.join("netconf")).expect("a link that leads somewhere");
    let names = |dir: &Path| -> Vec<PathBuf> {
        fs::read_dir(dir)
            .expect("readable")
            .map(|e| e.expect("an entry").path())
            .collect()
    };
    let known = |p: &PathBuf| {
        *p == live
            || ["netconf", "other", "nets", "bonds", "netconf.a1b2c3d4"]
                .iter()
                .any(|n| p.ends_with(n))
    };
    names(dir)
        .into_iter()
        .chain(names(&live))
        .filter(|p| !known(p))
        .collect()
}

/// One save from `old` to `new` with `fault` at operation `at`. False once the fault lies beyond the end.
fn interrupted_save(
    form: Form,
    old: &Tree,
    new: &Tree,
    fault: Fault,
    at: usize,
    exchange: bool,
) -> bool {
    let scratch = scratch();
    let dir = scratch.path();
    lay(dir, form, old);
    let disk = Flaky::new(fault, at, exchange);
    let result = atomic::save(&disk, dir, new);
    let found = load(dir);
    let story = format!(
        "{form:?} {fault:?} at {at}, exchange {exchange}: {result:?} after {:?}",
        disk.log.borrow()
    );
    match (&result, fault) {
        (Ok(()), _) => assert_eq!(found, *new, "{story}"),
        (Err(_), Fault::Once(_) | Fault::Full) => assert_eq!(found, *old, "{story}"),
        (Err(_), _) => assert!(found == *old || found == *new, "{story}\n{found:?}"),
    }
    let third = tree(&[("third", 3), ("a", 1)], &[]);
    Store::new(dir)
        .save(&third)
        .unwrap_or_else(|e| panic!("{story}: {e}"));
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
        (
            two.clone(),
            tree(&[("a", 1), ("b", 2), ("c", 3)], &[("bond0", 0)]),
        ),
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
    let entities =
        || prop::collection::btree_map("[a-d]", (0..3i64).prop_map(|n| json!({"vlan": n})), 0..4);
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
                let left: Vec<_> = fs::read_dir(scratch.path())
                    .expect("readable")
                    .flatten()
                    .map(|e| e.file_name())
                    .collect();
                assert!(
                    left.iter().all(|n| n == "other" || n == "netconf.a1b2c3d4"),
                    "{form:?} {fault:?} {at}: {left:?}"
                );
            }
        }
    }
}

fn many(n: i64) -> Tree {
    let nets = (0..n)
        .map(|i| (format!("net{i}"), json!({"nic": "ens3", "vlan": i})))
        .collect();
    Tree {
        nets,
        ..Tree::default()
    }
}

fn count(disk: &Flaky, name: &str) -> usize {
    disk.log.borrow().iter().filter(|n| **n == name).count()
}

#[test]
fn a_save_does_what_changed_and_no_more() {
    let scratch = scratch();
    let dir = scratch.path();
    let mut tree = many(1000);
    Store::new(dir).save(&tree).expect("saved");
    let root = fs::canonicalize(dir.join("netconf")).expect("a tree");
    let times = |p: &Path| {
        fs::metadata(p)
            .map(|m| (m.ino(), m.mtime_nsec(), m.ctime_nsec()))
            .expect("there")
    };
    let before = [
        times(dir),
        times(&root),
        times(&root.join("nets")),
        times(&root.join("nets/net7")),
    ];

    let disk = Flaky::sound();
    atomic::save(&disk, dir, &tree).expect("saved");
    assert_eq!(*disk.log.borrow(), [] as [&str; 0], "nothing changed");
    assert_eq!(
        before,
        [
            times(dir),
            times(&root),
            times(&root.join("nets")),
            times(&root.join("nets/net7"))
        ]
    );

    tree.nets.insert("net7".into(), json!({"vlan": 4000}));
    let disk = Flaky::sound();
    atomic::save(&disk, dir, &tree).expect("saved");
    assert_eq!(
        *disk.log.borrow(),
        ["write", "rename", "sync"],
        "one changed"
    );

    tree.nets.remove("net8");
    let disk = Flaky::sound();
    atomic::save(&disk, dir, &tree).expect("saved");
    assert_eq!(*disk.log.borrow(), ["unlink", "sync"], "one removed");
    assert_eq!(fs::canonicalize(dir.join("netconf")).expect("a tree"), root);

    tree.nets.insert("net9".into(), json!({}));
    tree.bonds.insert("bond0".into(), json!({"nics": []}));
    let disk = Flaky::sound();
    atomic::save(&disk, dir, &tree).expect("saved");
    assert_eq!(
        (
            count(&disk, "write"),
            count(&disk, "link"),
            count(&disk, "remove")
        ),
        (2, 998, 1)
    );
    assert_eq!(load(dir), tree);
}

#[test]
fn a_written_file_is_never_written_into() {
    let scratch = scratch();
    let dir = scratch.path();
    let store = Store::new(dir);
    store.save(&many(3)).expect("saved");
    fs::hard_link(dir.join("netconf/nets/net0"), dir.join("kept")).expect("linked");
    let text = fs::read(dir.join("kept")).expect("read");
    let mut tree = many(3);
    tree.nets.insert("net0".into(), json!({"changed": true}));
    store.save(&tree).expect("in place");
    store.save(&many(9)).expect("swapped");
    assert_eq!(fs::read(dir.join("kept")).expect("read"), text);
}

#[test]
fn readers_see_one_state_or_the_next() {
    let scratch = scratch();
    let dir = scratch.path();
    let state = |a: i64, b: i64, all: i64| {
        let mut tree = many(12);
        tree.nets
            .values_mut()
            .for_each(|v| *v = json!({ "all": all }));
        tree.nets.insert("a".into(), json!({ "n": a }));
        tree.nets.insert("b".into(), json!({ "n": b }));
        tree
    };
    Store::new(dir).save(&state(0, 0, 0)).expect("saved");
    let done = AtomicBool::new(false);
    let mut seen = BTreeSet::new();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for n in 1..200 {
                for tree in [state(n, n - 1, n - 1), state(n, n, n - 1), state(n, n, n)] {
                    Store::new(dir).save(&tree).expect("saved");
                    std::thread::sleep(std::time::Duration::from_micros(300));
                }
            }
            done.store(true, Ordering::Relaxed);
        });
        while !done.load(Ordering::Relaxed) {
            let tree = match Store::new(dir).load() {
                Ok(tree) => tree,
                Err(StoreError::Busy { .. }) => continue,
                Err(e) => panic!("{e}: {e:?}"),
            };
            let number = |name: &str, key: &str| tree.nets[name][key].as_i64().expect("a number");
            let (a, b, all) = (number("a", "n"), number("b", "n"), number("net0", "all"));
            assert_eq!(tree, state(a, b, all));
            assert!(
                a == b && (all == a || all == a - 1) || a == b + 1 && all == b,
                "{a} {b} {all}"
            );
            seen.insert((a, b, all));
        }
    });
    assert!(
        seen.len() > 3,
        "the reader hardly ever got through: {seen:?}"
    );
}

/// Each edit within the tree is whole by itself; a reader overtaken by two must not mix them.
#[test]
fn a_reader_overtaken_by_several_edits_reads_again() {
    let scratch = scratch();
    let dir = scratch.path();
    let write = |name: &str, n: usize| {
        let temp = dir.join("netconf/.save.0123456789abcdef");
        let text = json!({ "n": n, "pad": "x".repeat(n % 7) }).to_string();
        fs::write(&temp, text).expect("written");
        fs::rename(temp, dir.join("netconf/nets").join(name)).expect("renamed");
    };
    Store::new(dir).save(&many(300)).expect("saved");
    write("a", 0);
    write("z", 0);
    let done = AtomicBool::new(false);
    let mut whole = 0;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for n in 1..20_000 {
                write("a", n);
                write("z", n);
                if n % 500 == 0 {
                    std::thread::sleep(std::time::Duration::from_millis(20));
                }
            }
            done.store(true, Ordering::Relaxed);
        });
        while !done.load(Ordering::Relaxed) {
            let Ok(tree) = Store::new(dir).load() else {
                continue;
            };
            let number = |name: &str| tree.nets[name]["n"].as_u64().expect("a number");
            let (a, z) = (number("a"), number("z"));
            assert!(a == z || a == z + 1, "{a} {z}");
            whole += 1;
        }
    });
    assert!(whole > 0, "the reader never got through");
}

#[test]
fn nothing_there_is_an_empty_configuration() {
    let scratch = scratch();
    let store = Store::new(scratch.path().join("not/yet"));
    assert_eq!(store.load().expect("empty"), Tree::default());
    store.save(&Tree::default()).expect("nothing to do");
    store.clear().expect("nothing to do");
    assert!(!scratch.path().join("not").exists());
    store.save(&many(2)).expect("saved");
    assert_eq!(store.load().expect("there"), many(2));
    store.clear().expect("cleared");
    assert_eq!(store.load().expect("empty"), Tree::default());
    assert_eq!(fs::read_dir(store.dir()).expect("readable").count(), 0);
}

#[test]
fn a_link_to_nothing_is_named_and_mended() {
    for mend in [
        |s: &Store| s.save(&many(1)),
        |s: &Store| s.save(&Tree::default()),
        |s: &Store| s.clear(),
    ] {
        let scratch = scratch();
        let store = Store::new(scratch.path());
        symlink("/no/such/place", scratch.path().join("netconf")).expect("link");
        let error = store.load().expect_err("dangling");
        assert!(
            matches!(&error, StoreError::Dangling { target, .. } if target.as_os_str() == "/no/such/place")
        );
        mend(&store).expect("mended");
        store.load().expect("mended");
    }
}

#[test]
fn clearing_beside_a_dangling_link_brings_nothing_back_to_life() {
    let scratch = scratch();
    let dir = scratch.path();
    Store::new(dir).save(&many(2)).expect("saved");
    let left = dir.join("netconf.0123456789abcdef");
    fs::rename(dir.join("netconf"), left).expect("an interrupted save");
    assert_eq!(
        load(dir),
        many(2),
        "the link counts under its temporary name"
    );
    symlink("/no/such/place", dir.join("netconf")).expect("link");
    Store::new(dir).clear().expect("cleared");
    assert_eq!(load(dir), Tree::default());
    assert_eq!(fs::read_dir(dir).expect("readable").count(), 0);
}

#[test]
fn every_broken_file_is_named_and_the_others_are_kept() {
    let scratch = scratch();
    let store = Store::new(scratch.path());
    store
        .save(&tree(&[("good", 1), ("half", 2)], &[("list", 3)]))
        .expect("saved");
    let root = fs::canonicalize(scratch.path().join("netconf")).expect("a tree");
    fs::write(root.join("nets/half"), "{\"nic\": ").expect("written");
    fs::write(root.join("bonds/list"), "[]").expect("written");
    fs::create_dir(root.join("bonds/folder")).expect("made");
    symlink("/no/such/file", root.join("nets/vanished")).expect("linked");
    match store.load() {
        Err(StoreError::Broken { files, rest }) => {
            let paths: Vec<_> = files.iter().map(|f| f.path.clone()).collect();
            assert_eq!(
                paths,
                [
                    root.join("nets/half"),
                    root.join("bonds/folder"),
                    root.join("bonds/list")
                ]
            );
            assert_eq!(*rest, tree(&[("good", 1)], &[]));
        }
        other => panic!("{other:?}"),
    }
    store
        .save(&tree(&[("good", 1)], &[]))
        .expect("a save mends it");
    assert_eq!(store.load().expect("whole"), tree(&[("good", 1)], &[]));
}

#[test]
fn a_file_in_the_place_of_the_link_is_left_alone() {
    let scratch = scratch();
    fs::write(scratch.path().join("netconf"), "mine").expect("written");
    let store = Store::new(scratch.path());
    assert!(matches!(store.load(), Err(StoreError::Read { .. })));
    assert!(matches!(store.save(&many(1)), Err(StoreError::Read { .. })));
    assert!(matches!(store.clear(), Err(StoreError::Read { .. })));
    assert_eq!(
        fs::read(scratch.path().join("netconf")).expect("there"),
        b"mine"
    );
}

#[test]
fn what_others_keep_beside_us_is_kept() {
    let scratch = scratch();
    let dir = scratch.path();
    lay(dir, Form::Vdsm, &many(2));
    fs::create_dir(dir.join("netconf/devices")).expect("made");
    fs::write(
        dir.join("netconf/devices/ens1f0"),
        "{\"sriov\": {\"numvfs\": 2}}",
    )
    .expect("written");
    fs::create_dir(dir.join("netconf.backup")).expect("made");
    fs::write(dir.join("netconf.tar.gz"), "backup").expect("written");
    Store::new(dir).save(&many(5)).expect("saved");
    assert_eq!(
        fs::read_to_string(dir.join("netconf/devices/ens1f0")).expect("kept"),
        "{\"sriov\": {\"numvfs\": 2}}"
    );
    assert!(dir.join("netconf.backup").exists() && dir.join("netconf.tar.gz").exists());
    assert!(
        !dir.join("netconf.a1b2c3d4").exists(),
        "the tree that was live before goes"
    );
}

#[test]
fn a_tree_made_by_hand_may_lack_a_folder_and_hold_links() {
    let scratch = scratch();
    let dir = scratch.path();
    let root = dir.join("netconf.byhand");
    fs::create_dir_all(root.join("nets")).expect("made");
    fs::write(root.join("text"), tree_text(&json!({"vlan": 1}))).expect("written");
    symlink("../text", root.join("nets/a")).expect("linked");
    symlink(root, dir.join("netconf")).expect("linked");
    let mut wished = Tree::default();
    wished.nets.insert("a".into(), json!({"vlan": 1}));
    assert_eq!(load(dir), wished);
    wished.bonds.insert("bond0".into(), json!({}));
    Store::new(dir).save(&wished).expect("saved");
    assert_eq!(
        load(dir),
        wished,
        "neither lost with the old tree nor left dangling"
    );
}

#[test]
fn the_link_is_absolute_and_everyone_may_read() {
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o077));
    let scratch = scratch();
    let dir = scratch.path().join("made");
    Store::new(&dir).save(&many(2)).expect("saved");
    let target = fs::read_link(dir.join("netconf")).expect("a link");
    assert!(
        target.is_absolute() && target.starts_with(&dir),
        "{target:?}"
    );
    let mode = |p: PathBuf| fs::metadata(p).expect("there").permissions().mode() & 0o7777;
    assert_eq!(
        [
            mode(dir.clone()),
            mode(target.clone()),
            mode(target.join("nets")),
            mode(target.join("bonds"))
        ],
        [0o755; 4]
    );
    assert_eq!(mode(target.join("nets/net1")), 0o644);
}

#[test]
fn the_persistent_configuration_becomes_the_running_one() {
    let scratch = scratch();
    let running = RunningConfig::new(scratch.path().join("run"));
    let persistent = PersistentConfig::new(scratch.path().join("lib"));
    persistent.save(&many(3)).expect("saved");
    running.save(&many(7)).expect("saved");
    make_safe(&running, &persistent).expect("safe");
    assert_eq!(persistent.load().expect("whole"), many(7));

    fs::write(scratch.path().join("run/netconf/nets/net0"), "").expect("written");
    assert!(matches!(
        make_safe(&running, &persistent),
        Err(StoreError::Broken { .. })
    ));
    assert_eq!(persistent.load().expect("whole"), many(7));
}
