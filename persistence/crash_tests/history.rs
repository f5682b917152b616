//! The promises of the history, with the plug pulled at every operation, and with what a power cut
//! may leave of names that were not flushed.

use super::*;
use crate::history::History;

fn entry(number: u64) -> Value {
    json!({ "number": number, "filler": "x".repeat(300) })
}

fn with(dir: &Path, count: u64) -> History {
    let history = History::new(dir.join("lib/history"));
    for number in 1..=count {
        history.keep(number, &entry(number)).expect("kept");
    }
    history
}

/// What a reader finds: every number with its entry, none of them a half.
fn found(dir: &Path) -> Vec<u64> {
    let history = History::new(dir.join("lib/history"));
    let numbers = history.numbers().expect("readable");
    for number in &numbers {
        assert_eq!(history.read(*number).expect("whole"), Some(entry(*number)));
    }
    numbers
}

#[test]
fn an_entry_cut_short_anywhere_is_whole_or_not_there_and_in_nobodys_way() {
    for fault in FAULTS {
        for before in [0, 3] {
            for at in 0.. {
                let scratch = scratch();
                let dir = scratch.path();
                with(dir, before);
                let history = History::on(Flaky::new(fault, at, true), dir.join("lib/history"));
                let number = before + 1;
                let kept = history.keep(number, &entry(number));
                let trouble = if kept.is_ok() { history.prune(2) } else { Vec::new() };
                let story = format!("{fault:?} at {at}, behind {before}: {kept:?}, {trouble:?}");
                let numbers = found(dir);
                let is_there = numbers.last() == Some(&number);
                assert!(is_there || kept.is_err(), "{story}: {numbers:?}");
                let is_cut = history.disk().reached();
                // Only old ones may be gone, and only for one that is there.
                let all: Vec<u64> = (1..=before + u64::from(is_there)).collect();
                let young = &all[if is_there { all.len().saturating_sub(2) } else { 0 }..];
                assert!(numbers.ends_with(young) && numbers.iter().all(|it| all.contains(it)), "{story}: {numbers:?}");
                assert!(is_cut || numbers.len() <= 2, "{story}: {numbers:?}");

                // Whoever comes next finishes it, and it is there once; the next one gets its own number.
                let next = History::new(dir.join("lib/history"));
                next.keep(number, &entry(number)).unwrap_or_else(|error| panic!("{story}: {error}"));
                assert_eq!(next.next().expect("readable"), number + 1, "{story}");
                next.keep(number + 1, &entry(number + 1)).unwrap_or_else(|error| panic!("{story}: {error}"));
                assert!(next.prune(2).is_empty(), "{story}");
                assert_eq!(found(dir), [number, number + 1], "{story}");
                let left = fs::read_dir(dir.join("lib/history")).expect("there").count();
                assert_eq!(left, 2, "{story}: nothing else is left");
                if !is_cut {
                    assert!(at >= 3, "{fault:?}: only {at} operations");
                    break;
                }
            }
        }
    }
}

#[test]
fn an_entry_that_is_replaced_is_the_old_or_the_new() {
    for fault in FAULTS {
        for at in 0.. {
            let scratch = scratch();
            let dir = scratch.path();
            with(dir, 2);
            let history = History::on(Flaky::new(fault, at, true), dir.join("lib/history"));
            let (old, new) = (entry(2), json!({ "number": 2, "safe": true }));
            let done = history.replace(2, &new);
            let now = History::new(dir.join("lib/history")).read(2).expect("whole");
            assert!(now == Some(new) || (now == Some(old) && done.is_err()), "{fault:?} at {at}: {done:?}, {now:?}");
            if !history.disk().reached() {
                break;
            }
        }
    }
}

#[test]
fn a_full_disk_is_told_and_loses_nothing() {
    let scratch = scratch();
    let dir = scratch.path();
    with(dir, 2);
    let full = History::on(Flaky::new(Fault::Full, 0, true), dir.join("lib/history"));
    let error = full.keep(3, &entry(3)).expect_err("full");
    assert!(error.to_string().ends_with("lib/history/3.json"), "{error}");
    assert_eq!(found(dir), [1, 2]);
}

/// What a power cut may leave: names that were not flushed may be the old ones.
#[test]
fn what_was_kept_is_there_after_a_power_cut() {
    let scratch = scratch();
    let dir = scratch.path();
    let history = History::on(Flaky::sound(), dir.join("lib/history"));
    history.keep(1, &entry(1)).expect("kept");
    assert_eq!(*history.disk().pending.borrow(), BTreeSet::new(), "every name is flushed");
    let log = history.disk().log.borrow().clone();
    let tail = ["write", "rename", "sync"];
    assert!(log.ends_with(&tail), "flushed (by `write`), then named, and the name flushed: {log:?}");
    // One that is there already may not have been flushed by whoever put it there.
    history.keep(1, &entry(1)).expect("kept");
    assert_eq!(history.disk().log.borrow()[log.len()..], ["sync"]);
}

#[test]
fn what_is_no_entry_is_nobodys_and_what_cannot_be_read_is_named() {
    let scratch = scratch();
    let dir = scratch.path();
    let history = with(dir, 2);
    let place = dir.join("lib/history");
    for name in ["02.json", "0.json", "x.json", "3", "3.json.bak", "1234567890123456.json", ".json", "+4.json"] {
        fs::write(place.join(name), "{}").expect("written");
    }
    assert_eq!(history.numbers().expect("read"), [1, 2]);
    fs::write(place.join("3.json"), "{\"number\": ").expect("written");
    fs::write(place.join("4.json"), "[]").expect("written");
    fs::create_dir(place.join("5.json")).expect("made");
    assert_eq!(history.next().expect("read"), 6, "an unreadable one's number is not given again");
    let told = |number| history.read(number).expect_err("unreadable").to_string();
    assert!(told(3).contains("lib/history/3.json: EOF"), "{}", told(3));
    assert!(told(4).ends_with("lib/history/4.json: is not a JSON object"), "{}", told(4));
    assert!(told(5).ends_with("lib/history/5.json"), "{}", told(5));
    assert_eq!(history.read(9).expect("none"), None);
    history.keep(6, &entry(6)).expect("kept");
    // They are as old as the others, and go as the others do; what will not go is told and stays.
    assert!(history.prune(2).is_empty());
    assert_eq!(history.numbers().expect("read"), [5, 6]);
    let trouble = history.prune(1);
    assert!(trouble.len() == 1 && trouble[0].to_string().ends_with("5.json"), "{trouble:?}");
    assert_eq!(found(&dir.join("nowhere")), [] as [u64; 0], "none where nothing is");
}
