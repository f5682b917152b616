//! What is written, what is read, and what is left alone: the states a directory may be found in.

use super::*;
use crate::config::Entity;
use crate::tree::Folder;

fn many(n: i64) -> Tree {
    let nets = (0..n).map(|i| (format!("net{i}"), json!({"nic": "ens3", "vlan": i}))).collect();
    Tree { nets, ..Tree::default() }
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
    let times = |p: &Path| fs::metadata(p).map(|m| (m.ino(), m.mtime_nsec(), m.ctime_nsec())).expect("there");
    let before = [times(dir), times(&root), times(&root.join("nets")), times(&root.join("nets/net7"))];

    let disk = Flaky::sound();
    atomic::save(&disk, dir, &tree).expect("saved");
    assert_eq!(*disk.log.borrow(), [] as [&str; 0], "nothing changed");
    assert_eq!(before, [times(dir), times(&root), times(&root.join("nets")), times(&root.join("nets/net7"))]);

    tree.nets.insert("net7".into(), json!({"vlan": 4000}));
    let disk = Flaky::sound();
    atomic::save(&disk, dir, &tree).expect("saved");
    assert_eq!(*disk.log.borrow(), ["write", "rename", "sync"], "one changed");

    tree.nets.remove("net8");
    let disk = Flaky::sound();
    atomic::save(&disk, dir, &tree).expect("saved");
    assert_eq!(*disk.log.borrow(), ["unlink", "sync"], "one removed");
    assert_eq!(fs::canonicalize(dir.join("netconf")).expect("a tree"), root);

    tree.nets.insert("net9".into(), json!({}));
    tree.bonds.insert("bond0".into(), json!({"nics": []}));
    let disk = Flaky::sound();
    atomic::save(&disk, dir, &tree).expect("saved");
    assert_eq!((count(&disk, "write"), count(&disk, "link"), count(&disk, "remove")), (2, 998, 1));
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
        tree.nets.values_mut().for_each(|v| *v = json!({ "all": all }));
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
            assert!(a == b && (all == a || all == a - 1) || a == b + 1 && all == b, "{a} {b} {all}");
            seen.insert((a, b, all));
        }
    });
    assert!(seen.len() > 3, "the reader hardly ever got through: {seen:?}");
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
    for mend in [|s: &Store| s.save(&many(1)), |s: &Store| s.save(&Tree::default()), |s: &Store| s.clear()] {
        let scratch = scratch();
        let store = Store::new(scratch.path());
        symlink("/no/such/place", scratch.path().join("netconf")).expect("link");
        let error = store.load().expect_err("dangling");
        assert!(matches!(&error, StoreError::Dangling { target, .. } if target.as_os_str() == "/no/such/place"));
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
    assert_eq!(load(dir), many(2), "the link counts under its temporary name");
    symlink("/no/such/place", dir.join("netconf")).expect("link");
    Store::new(dir).clear().expect("cleared");
    assert_eq!(load(dir), Tree::default());
    assert_eq!(fs::read_dir(dir).expect("readable").count(), 0);
}

#[test]
fn every_broken_file_is_named_and_the_others_are_kept() {
    let scratch = scratch();
    let store = Store::new(scratch.path());
    store.save(&tree(&[("good", 1), ("half", 2)], &[("list", 3)])).expect("saved");
    let root = fs::canonicalize(scratch.path().join("netconf")).expect("a tree");
    fs::write(root.join("nets/half"), "{\"nic\": ").expect("written");
    fs::write(root.join("bonds/list"), "[]").expect("written");
    fs::create_dir(root.join("bonds/folder")).expect("made");
    symlink("/no/such/file", root.join("nets/vanished")).expect("linked");
    match store.load() {
        Err(StoreError::Broken { files, rest }) => {
            let paths: Vec<_> = files.iter().map(|f| f.path.clone()).collect();
            assert_eq!(paths, [root.join("nets/half"), root.join("bonds/folder"), root.join("bonds/list")]);
            assert_eq!(*rest, tree(&[("good", 1)], &[]));
        }
        other => panic!("{other:?}"),
    }
    store.save(&tree(&[("good", 1)], &[])).expect("a save mends it");
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
    assert_eq!(fs::read(scratch.path().join("netconf")).expect("there"), b"mine");
}

#[test]
fn what_others_keep_beside_us_is_kept() {
    let scratch = scratch();
    let dir = scratch.path();
    lay(dir, Form::Vdsm, &many(2));
    fs::create_dir(dir.join("netconf/devices")).expect("made");
    fs::write(dir.join("netconf/devices/ens1f0"), "{\"sriov\": {\"numvfs\": 2}}").expect("written");
    fs::create_dir(dir.join("netconf.backup")).expect("made");
    fs::write(dir.join("netconf.tar.gz"), "backup").expect("written");
    Store::new(dir).save(&many(5)).expect("saved");
    assert_eq!(fs::read_to_string(dir.join("netconf/devices/ens1f0")).expect("kept"), "{\"sriov\": {\"numvfs\": 2}}");
    assert!(dir.join("netconf.backup").exists() && dir.join("netconf.tar.gz").exists());
    assert!(!dir.join("netconf.a1b2c3d4").exists(), "the tree that was live before goes");
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
    assert_eq!(load(dir), wished, "neither lost with the old tree nor left dangling");
}

#[test]
fn the_link_is_absolute_and_everyone_may_read() {
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o077));
    let scratch = scratch();
    let dir = scratch.path().join("made");
    Store::new(&dir).save(&many(2)).expect("saved");
    let target = fs::read_link(dir.join("netconf")).expect("a link");
    assert!(target.is_absolute() && target.starts_with(&dir), "{target:?}");
    let mode = |p: PathBuf| fs::metadata(p).expect("there").permissions().mode() & 0o7777;
    assert_eq!(
        [mode(dir.clone()), mode(target.clone()), mode(target.join("nets")), mode(target.join("bonds"))],
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
    assert!(matches!(make_safe(&running, &persistent), Err(StoreError::Broken { .. })));
    assert_eq!(persistent.load().expect("whole"), many(7));
}

/// One entity, cut short at `at`. False once the fault lies beyond the end.
fn interrupted_one(entity: (Folder, &str), value: Option<&Value>, new: &Tree, fault: Fault, at: usize) -> bool {
    let scratch = scratch();
    let dir = scratch.path();
    let old = tree(&[("a", 1), ("b", 2)], &[("bond0", 0)]);
    Store::new(dir).save(&old).expect("saved");
    let disk = Flaky::new(fault, at, true);
    let result = atomic::save_one(&disk, dir, entity.0, entity.1, value);
    let found = load(dir);
    let story = format!("{entity:?} {fault:?} at {at}: {result:?} after {:?}", disk.log.borrow());
    match (&result, fault) {
        (Ok(done), _) => assert!(*done && found == *new, "{story}"),
        (Err(_), Fault::Once(_) | Fault::Full) => assert_eq!(found, old, "{story}"),
        (Err(_), _) => assert!(found == old || found == *new, "{story}\n{found:?}"),
    }
    Store::new(dir).save(new).unwrap_or_else(|e| panic!("{story}: {e}"));
    assert_eq!(load(dir), *new, "{story}");
    assert_eq!(leftovers(dir), [] as [PathBuf; 0], "{story}");
    disk.reached()
}

#[test]
fn one_entity_cut_short_anywhere_is_the_old_or_the_new() {
    let nine = tree(&[("x", 9)], &[]).nets["x"].clone();
    let cases = [
        ((Folder::Nets, "c"), Some(&nine), tree(&[("a", 1), ("b", 2), ("c", 9)], &[("bond0", 0)])),
        ((Folder::Nets, "a"), Some(&nine), tree(&[("a", 9), ("b", 2)], &[("bond0", 0)])),
        ((Folder::Nets, "a"), None, tree(&[("b", 2)], &[("bond0", 0)])),
        ((Folder::Bonds, "bond0"), None, tree(&[("a", 1), ("b", 2)], &[])),
    ];
    for (entity, value, new) in cases {
        for fault in FAULTS {
            let mut at = 0;
            while interrupted_one(entity, value, &new, fault, at) {
                at += 1;
            }
        }
    }
}

#[test]
fn one_entity_needs_a_tree_of_ours_and_does_not_look_at_the_others() {
    let scratch = scratch();
    let dir = scratch.path();
    let store = Store::new(dir);
    let value = json!({"vlan": 1});
    assert!(!store.save_one(Entity::Network("a"), Some(&value)).expect("no error"), "there is no tree yet");
    assert!(!dir.join("netconf").exists());
    store.save(&many(3)).expect("saved");
    let broken = dir.join("netconf/nets/net1");
    fs::write(&broken, "{").expect("written");
    assert!(store.save_one(Entity::Network("net2"), Some(&value)).expect("saved"));
    assert_eq!(fs::read_to_string(&broken).expect("there"), "{");
    assert!(store.save_one(Entity::Network("../x"), Some(&value)).is_err());
}
