//! The promises of the journal, with the plug pulled at every operation, and with what a power cut
//! may leave of data that was not flushed.

use super::*;
use crate::journal::{Journal, Place, Unfinished, Verdict};

fn head() -> Value {
    json!({ "prior": "as it was", "filler": "x".repeat(600) })
}

/// What a change has done when it ends or is cut off.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
enum Stage {
    Nothing,
    Begun,
    Committed,
    /// The end was asked for: from here on all has been done.
    Ending,
}

/// A whole change; how far it came.
fn change(journal: &Journal<Flaky>, needs_both: bool) -> Stage {
    let stage = std::cell::Cell::new(Stage::Nothing);
    let run = || -> Result<(), StoreError> {
        journal.begin(&head(), needs_both)?;
        stage.set(Stage::Begun);
        let _ = journal.note(&json!({ "step": 1 }));
        journal.decide(Verdict::Committed)?;
        stage.set(Stage::Committed);
        stage.set(Stage::Ending);
        journal.end()
    };
    let _ = run();
    stage.get()
}

fn found(dir: &Path) -> Option<Unfinished> {
    Journal::new(dir.join("run"), dir.join("lib")).left().expect("readable")
}

fn cut(fault: Fault, at: usize, needs_both: bool) -> bool {
    let scratch = scratch();
    let dir = scratch.path();
    let journal = Journal::on(Flaky::new(fault, at, true), dir.join("run"), dir.join("lib"));
    let stage = change(&journal, needs_both);
    let left = found(dir);
    let story = format!("{fault:?} at {at}, both {needs_both}: {stage:?}");
    let verdict = left.as_ref().map(|it| it.verdict);
    match stage {
        // Nothing was touched, so that undoing does nothing.
        Stage::Nothing => assert!(matches!(verdict, None | Some(Verdict::None)), "{story}: {left:?}"),
        // The verdict may have been written, and its writer not have lived to know.
        Stage::Begun => assert!(matches!(verdict, Some(Verdict::None | Verdict::Committed)), "{story}: {left:?}"),
        Stage::Committed => assert_eq!(verdict, Some(Verdict::Committed), "{story}"),
        Stage::Ending => assert!(matches!(verdict, None | Some(Verdict::Committed)), "{story}: {left:?}"),
    }
    if let Some(left) = left {
        assert_eq!(left.head, head(), "{story}");
    }
    // Whoever comes next cleans up, and begins anew.
    let next = Journal::new(dir.join("run"), dir.join("lib"));
    next.end().unwrap_or_else(|error| panic!("{story}: {error}"));
    assert_eq!(found(dir), None, "{story}");
    next.begin(&head(), true).unwrap_or_else(|error| panic!("{story}: {error}"));
    assert_eq!(found(dir).expect(&story).verdict, Verdict::None, "{story}");
    journal.disk().reached()
}

#[test]
fn a_journal_cut_short_anywhere_says_what_may_have_happened() {
    for fault in FAULTS {
        for needs_both in [true, false] {
            let mut at = 0;
            while cut(fault, at, needs_both) {
                at += 1;
            }
            assert!(at > 8, "{fault:?}: only {at} operations");
        }
    }
}

#[test]
fn a_journal_says_what_its_whole_lines_say_wherever_it_ends() {
    let lines = [head(), json!({ "step": 1 }), json!({ "step": 2 }), json!({ "verdict": "committed" })];
    let mut bytes = Vec::new();
    let mut ends = Vec::new();
    for line in &lines {
        bytes.extend(format!("{line}\n").bytes());
        ends.push(bytes.len());
        // What a later line begins with, should this one be a half.
        bytes.push(b'\n');
    }
    for end in 0..=bytes.len() {
        let whole = ends.iter().filter(|it| **it <= end).count();
        let said = Unfinished::of(&bytes[..end], Place::Run);
        let Some(said) = said else {
            assert_eq!(whole, 0, "{end}");
            continue;
        };
        assert_eq!((said.place, &said.head), (Place::Run, &lines[0]), "{end}");
        assert_eq!(said.notes, lines[1..whole.min(3)], "{end}");
        assert_eq!(said.verdict, if whole == 4 { Verdict::Committed } else { Verdict::None }, "{end}");
    }
    for nothing in [&b""[..], b"\n", b"[]\n", b"{}", b"\0\0\n{}\n", b"\xff\n"] {
        assert_eq!(Unfinished::of(nothing, Place::Lasting), None, "{nothing:?}");
    }
}

#[test]
fn a_disk_that_cannot_take_it_is_found_out_before_anything_is_touched() {
    let scratch = scratch();
    let dir = scratch.path();
    let journal = |at| Journal::on(Flaky::new(Fault::Full, at, true), dir.join("run"), dir.join("lib"));
    // The run directory's copy is made, its room set aside and flushed; then there is no room left.
    let error = journal(3).begin(&head(), true).expect_err("full");
    assert!(error.to_string().ends_with("lib/journal"), "{error}");
    assert_eq!(found(dir), None);
    let trouble = journal(3).begin(&head(), false).expect("one is enough").expect("told");
    assert!(trouble.to_string().ends_with("lib/journal"), "{trouble}");
    // What somebody else has begun and not ended is neither overwritten nor removed.
    let error = Journal::new(dir.join("run"), dir.join("lib")).begin(&json!({}), true).expect_err("begun");
    assert!(matches!(error, StoreError::Write { source, .. } if source.kind() == io::ErrorKind::AlreadyExists));
    assert_eq!(found(dir).expect("still there").head, head());
}

#[test]
fn an_abandoned_commit_is_none_whatever_was_half_written() {
    let scratch = scratch();
    let dir = scratch.path();
    let journal = Journal::new(dir.join("run"), dir.join("lib"));
    journal.begin(&head(), true).expect("begun");
    journal.decide(Verdict::Committed).expect("decided");
    let path = dir.join("run/journal");
    let mut torn = fs::read(&path).expect("read");
    torn.extend_from_slice(b"\n{\"verdict\": \"comm");
    fs::write(&path, torn).expect("written");
    journal.decide(Verdict::Abandoned).expect("decided");
    assert_eq!(found(dir).expect("left").verdict, Verdict::Abandoned);
    // After a reboot the run directory is empty, and the other copy says the same.
    fs::remove_dir_all(dir.join("run")).expect("removed");
    assert_eq!(found(dir).expect("left").verdict, Verdict::Abandoned);
}

#[test]
fn a_lasting_copy_that_would_stand_for_a_commit_that_is_taken_back_goes() {
    // Two copies are made, with room and flushed (6); both say committed (2); the next says no longer,
    // and the one after that fails.
    let scratch = scratch();
    let dir = scratch.path();
    let disk = Flaky::new(Fault::Once(io::ErrorKind::Other), 9, true);
    let journal = Journal::on(disk, dir.join("run"), dir.join("lib"));
    journal.begin(&head(), true).expect("begun");
    journal.decide(Verdict::Committed).expect("decided");
    journal.decide(Verdict::Abandoned).expect("decided");
    assert!(journal.disk().reached());
    assert_eq!(found(dir).expect("left").verdict, Verdict::Abandoned);
    fs::remove_dir_all(dir.join("run")).expect("removed");
    assert_eq!(found(dir), None);
}

#[test]
fn only_a_plain_file_is_a_journal_and_what_is_strange_is_set_aside() {
    let scratch = scratch();
    let dir = scratch.path();
    let journal = Journal::new(dir.join("run"), dir.join("lib"));
    journal.begin(&head(), true).expect("begun");
    journal.set_aside().expect("renamed");
    assert_eq!(found(dir), None);
    for place in ["run", "lib"] {
        assert!(dir.join(place).join("journal.unfinished").exists());
    }
    // Whoever would read a pipe would wait for ever, and whoever follows a link reads another's file.
    nix::unistd::mkfifo(&dir.join("run/journal"), nix::sys::stat::Mode::S_IRWXU).expect("a pipe");
    journal.left().expect_err("a pipe");
    fs::remove_file(dir.join("run/journal")).expect("removed");
    symlink(dir.join("run/journal.unfinished"), dir.join("run/journal")).expect("a link");
    journal.left().expect_err("a link");
}

/// Remembers what was done, in order.
#[derive(Debug, Default)]
struct Recorder(RefCell<Vec<Op>>);

#[derive(Debug, Clone)]
enum Op {
    Write(Vec<u8>),
    Append(Vec<u8>, bool),
    SyncDir,
    Unlink,
    /// No operation: a promise was made here.
    Reached(Stage),
}

/// Only what happens to the lasting copy: the other one is gone after a power cut.
fn is_lasting(path: &Path) -> bool {
    path.components().any(|part| part.as_os_str() == "lib")
}

impl Recorder {
    fn note(&self, path: &Path, op: Op) {
        if is_lasting(path) {
            self.0.borrow_mut().push(op);
        }
    }
}

impl Disk for &Recorder {
    fn mkdir(&self, _: &Path) -> io::Result<()> {
        unreachable!()
    }
    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.note(path, Op::Write(bytes.to_vec()));
        HostDisk.write(path, bytes)
    }
    fn append(&self, path: &Path, bytes: &[u8], flush: bool) -> io::Result<()> {
        self.note(path, Op::Append(bytes.to_vec(), flush));
        HostDisk.append(path, bytes, flush)
    }
    fn reserve(&self, path: &Path, size: u64) -> io::Result<()> {
        HostDisk.reserve(path, size)
    }
    fn hard_link(&self, _: &Path, _: &Path) -> io::Result<()> {
        unreachable!()
    }
    fn symlink(&self, _: &Path, _: &Path) -> io::Result<()> {
        unreachable!()
    }
    fn rename(&self, _: &Path, _: &Path) -> io::Result<()> {
        unreachable!()
    }
    fn exchange(&self, _: &Path, _: &Path) -> io::Result<()> {
        unreachable!()
    }
    fn unlink(&self, path: &Path) -> io::Result<()> {
        self.note(path, Op::Unlink);
        HostDisk.unlink(path)
    }
    fn remove_tree(&self, _: &Path) -> io::Result<()> {
        unreachable!()
    }
    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.note(path, Op::SyncDir);
        HostDisk.sync_dir(path)
    }
}

/// Every content that the lasting copy may have after a power cut behind these operations; none
/// where its name may be gone.
fn after_power_cut(ops: &[Op]) -> Vec<Option<Vec<u8>>> {
    let (mut flushed, mut pending): (Vec<u8>, Vec<u8>) = Default::default();
    let (mut exists, mut name_may_differ) = (false, false);
    for op in ops {
        match op {
            // `Disk::write` flushes the file.
            Op::Write(bytes) => (flushed, pending, exists, name_may_differ) = (bytes.clone(), Vec::new(), true, true),
            Op::Append(bytes, flush) => {
                pending.extend(bytes);
                if *flush {
                    flushed.append(&mut pending);
                }
            }
            Op::SyncDir => name_may_differ = false,
            Op::Unlink => (exists, name_may_differ) = (false, true),
            Op::Reached(_) => {}
        }
    }
    let mut states = Vec::new();
    if exists || name_may_differ {
        states.extend((0..=pending.len()).map(|kept| Some([&flushed, &pending[..kept]].concat())));
        // Blocks may be there before their data.
        states.push(Some([flushed, vec![0; pending.len()]].concat()));
    }
    if !exists || name_may_differ {
        states.push(None);
    }
    states
}

#[test]
fn after_a_power_cut_the_lasting_copy_holds_what_was_promised() {
    let recorder = Recorder::default();
    let scratch = scratch();
    let journal = Journal::on(&recorder, scratch.path().join("run"), scratch.path().join("lib"));
    let reached = |stage| recorder.0.borrow_mut().push(Op::Reached(stage));
    journal.begin(&head(), true).expect("begun");
    reached(Stage::Begun);
    journal.note(&json!({ "step": 1 })).expect("noted");
    journal.decide(Verdict::Committed).expect("decided");
    reached(Stage::Committed);
    reached(Stage::Ending);
    journal.end().expect("ended");
    let ops = recorder.0.borrow().clone();
    let mut states = 0;
    for cut in 0..=ops.len() {
        let is_promise = |op: &Op| if let Op::Reached(stage) = op { Some(*stage) } else { None };
        let promised = ops[..cut].iter().rev().find_map(is_promise).unwrap_or(Stage::Nothing);
        for content in after_power_cut(&ops[..cut]) {
            states += 1;
            let dir = scratch.path().join(format!("cut{states}"));
            if let Some(bytes) = &content {
                fs::create_dir_all(dir.join("lib")).expect("made");
                fs::write(dir.join("lib/journal"), bytes).expect("written");
            }
            let verdict = found(&dir).map(|left| left.verdict);
            let fits = match promised {
                Stage::Nothing => verdict != Some(Verdict::Committed),
                Stage::Begun => verdict.is_some(),
                Stage::Committed => verdict == Some(Verdict::Committed),
                Stage::Ending => matches!(verdict, None | Some(Verdict::Committed)),
            };
            assert!(fits, "cut {cut} of {ops:?}, promised {promised:?}: {verdict:?}");
        }
    }
    assert!(states > 10, "{states}");
}
