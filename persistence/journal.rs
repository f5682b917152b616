//! The record of the one change that is under way, so that its undoing survives whoever makes it.
//!
//! A journal is a file of JSON lines in two places: the run directory, which is the authority while
//! it has one, and a directory that survives a reboot. The first line, the head, is on the disk
//! before anything is changed; a verdict, committed or abandoned, is on the disk before anything
//! follows from it. What is noted in between is for who reads it after the writer's death, which it
//! outlives once write(2) has returned; after the machine's there is nothing left that it speaks of.
//! So it is not flushed.
//!
//! What a line means is not known here, and neither is how a change is undone.

use std::fs;
use std::io;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use serde::Serialize;
use serde_json::{Value, json};

use crate::disk::{Disk, HostDisk, PLAIN};
use crate::error::{StoreError, reading, writing};

/// The file in each place.
const NAME: &str = "journal";
/// Bytes set aside behind the head, and twice the head besides, so that what is added and the verdict
/// find room on a disk that is full by then.
const RESERVE: u64 = 16 * 1024;
/// The key of a verdict's line.
const VERDICT: &str = "verdict";

/// What was decided of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing yet: it is to be undone.
    None,
    /// The host is as wished: what is stored follows.
    Committed,
    /// It was committed and could not be stored: it is to be undone.
    Abandoned,
}

/// Which copy was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The run directory's, which decides.
    Run,
    /// The one that survives a reboot, alone. It is written last and removed first: if the machine was
    /// not booted since, its change had ended.
    Lasting,
}

/// What an interrupted change left.
#[derive(Debug, Clone, PartialEq)]
pub struct Unfinished {
    /// Where it was found.
    pub place: Place,
    /// What was written before the change.
    pub head: Value,
    /// What was noted since, in order.
    pub notes: Vec<Value>,
    /// What was decided.
    pub verdict: Verdict,
}

impl Unfinished {
    /// What the bytes of a journal found at `place` say. A line that is not whole was being written
    /// when its writer died, or when the disk was full, and says nothing; without a whole head there
    /// was no change.
    pub fn of(bytes: &[u8], place: Place) -> Option<Unfinished> {
        let mut lines = bytes.split_inclusive(|byte| *byte == b'\n').map(|line| {
            let whole = line.strip_suffix(b"\n")?;
            serde_json::from_slice::<Value>(whole).ok()
        });
        let head = lines.next().flatten().filter(Value::is_object)?;
        let (mut notes, mut verdict) = (Vec::new(), Verdict::None);
        for line in lines.flatten() {
            match Verdict::of(&line) {
                Some(decided) => verdict = decided,
                None => notes.push(line),
            }
        }
        Some(Unfinished { place, head, notes, verdict })
    }
}

/// Where journals are kept.
#[derive(Debug)]
pub struct Journal<D = HostDisk> {
    run: PathBuf,
    lasting: PathBuf,
    disk: D,
    /// Whether the lasting copy is of the change that is under way, and no leftover.
    both: AtomicBool,
}

impl Journal {
    /// A journal in the run directory and in one that survives a reboot; neither need exist.
    pub fn new(run: impl Into<PathBuf>, lasting: impl Into<PathBuf>) -> Journal {
        Journal::on(HostDisk, run, lasting)
    }
}

impl<D: Disk> Journal<D> {
    #[cfg(test)]
    pub(crate) fn disk(&self) -> &D {
        &self.disk
    }

    pub(crate) fn on(disk: D, run: impl Into<PathBuf>, lasting: impl Into<PathBuf>) -> Journal<D> {
        Journal { run: run.into().join(NAME), lasting: lasting.into().join(NAME), disk, both: AtomicBool::new(false) }
    }

    /// Writes the head; it is on the disk when this returns. Where the lasting copy cannot be
    /// written and `needs_both` is not said, one is enough, and the trouble is returned.
    ///
    /// # Errors
    ///
    /// [`StoreError::Write`]; nothing is left behind then. One that is there already is an error:
    /// it belongs to a change that was not finished.
    pub fn begin(&self, head: &impl Serialize, needs_both: bool) -> Result<Option<StoreError>, StoreError> {
        let line = line_of(head).map_err(writing(&self.run))?;
        self.both.store(false, Ordering::SeqCst);
        self.put(&self.run, &line)?;
        match self.put(&self.lasting, &line) {
            Ok(()) => {
                self.both.store(true, Ordering::SeqCst);
                Ok(None)
            }
            Err(trouble) if !needs_both => Ok(Some(trouble)),
            Err(trouble) => {
                let _ = self.remove(&self.run);
                Err(trouble)
            }
        }
    }

    /// Adds a line for whoever reads it after our death. It is not flushed: what write(2) has taken
    /// outlives the process, and only the process.
    ///
    /// # Errors
    ///
    /// [`StoreError::Write`]; a change need not fail for want of a note.
    pub fn note(&self, note: &impl Serialize) -> Result<(), StoreError> {
        added(note).and_then(|line| self.disk.append(&self.run, &line, false)).map_err(writing(&self.run))
    }

    /// Adds a line without which the head is not enough; it is on the disk when this returns.
    ///
    /// # Errors
    ///
    /// [`StoreError::Write`].
    pub fn add(&self, line: &impl Serialize) -> Result<(), StoreError> {
        added(line).and_then(|line| self.disk.append(&self.run, &line, true)).map_err(writing(&self.run))
    }

    /// Decides; it is on the disk when this returns. The run directory's copy decides, so an error
    /// of the other one is none, unless it would stand for what is taken back.
    ///
    /// # Errors
    ///
    /// [`StoreError::Write`]; what was decided before stands then, or this does.
    pub fn decide(&self, verdict: Verdict) -> Result<(), StoreError> {
        let line = added(&json!({ VERDICT: verdict.word() })).map_err(writing(&self.run))?;
        let run = self.disk.append(&self.run, &line, true).map_err(writing(&self.run));
        // Were it to come last, a reboot would know of it and we would not.
        if run.is_ok() || verdict == Verdict::Abandoned {
            let is_ours = self.both.load(Ordering::SeqCst);
            let lasting = if is_ours { self.disk.append(&self.lasting, &line, true) } else { Ok(()) };
            if lasting.is_err() && verdict == Verdict::Abandoned {
                self.remove(&self.lasting)?;
            }
        }
        run
    }

    /// Gets what nobody here understands out of the way, for people to look at.
    ///
    /// # Errors
    ///
    /// [`StoreError::Write`].
    pub fn set_aside(&self) -> Result<(), StoreError> {
        for path in [&self.lasting, &self.run] {
            match self.disk.rename(path, &path.with_extension("unfinished")) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                done => done.map_err(writing(path))?,
            }
        }
        Ok(())
    }

    /// Ends the change: there is no journal any more. The copy that decides goes last.
    ///
    /// # Errors
    ///
    /// [`StoreError::Write`].
    pub fn end(&self) -> Result<(), StoreError> {
        let lasting = self.remove(&self.lasting);
        self.remove(&self.run).and(lasting)
    }

    /// What an interrupted change left; none where nothing was begun, or not in full, for then
    /// nothing was changed either. The lasting copy counts where the other is not there.
    ///
    /// # Errors
    ///
    /// [`StoreError::Read`].
    pub fn left(&self) -> Result<Option<Unfinished>, StoreError> {
        match read(&self.run, Place::Run)? {
            Some(unfinished) => Ok(Some(unfinished)),
            None => read(&self.lasting, Place::Lasting),
        }
    }

    fn put(&self, path: &Path, line: &[u8]) -> Result<(), StoreError> {
        let dir = path.parent().unwrap_or(Path::new("/"));
        fs::create_dir_all(dir).map_err(writing(dir))?;
        let put = self
            .disk
            .write(path, line)
            .and_then(|()| self.disk.reserve(path, 3 * line.len() as u64 + RESERVE))
            .and_then(|()| self.disk.sync_dir(dir));
        put.map_err(|source| {
            // One that was there before is not ours to remove.
            if source.kind() != io::ErrorKind::AlreadyExists {
                let _ = self.remove(path);
            }
            writing(path)(source)
        })
    }

    fn remove(&self, path: &Path) -> Result<(), StoreError> {
        match self.disk.unlink(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            done => done.map_err(writing(path))?,
        }
        let dir = path.parent().unwrap_or(Path::new("/"));
        self.disk.sync_dir(dir).map_err(writing(dir))
    }
}

impl Verdict {
    fn word(self) -> &'static str {
        match self {
            Verdict::None => "none",
            Verdict::Committed => "committed",
            Verdict::Abandoned => "abandoned",
        }
    }

    fn of(line: &Value) -> Option<Verdict> {
        let word = line.get(VERDICT)?.as_str()?;
        [Verdict::None, Verdict::Committed, Verdict::Abandoned].into_iter().find(|it| it.word() == word)
    }
}

fn line_of(what: &impl Serialize) -> io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(what)?;
    line.push(b'\n');
    Ok(line)
}

/// A line after others, the last of which may have remained a half.
fn added(what: &impl Serialize) -> io::Result<Vec<u8>> {
    Ok([b"\n".to_vec(), line_of(what)?].concat())
}

fn read(path: &Path, place: Place) -> Result<Option<Unfinished>, StoreError> {
    match plain_file(path) {
        Ok(bytes) => Ok(Unfinished::of(&bytes, place)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(reading(path)(error)),
    }
}

/// Neither a link nor anything that would keep us waiting: the folder may be another user's.
fn plain_file(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = fs::OpenOptions::new().read(true).custom_flags(PLAIN).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("is not a file one can read"));
    }
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}
