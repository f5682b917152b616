//! Bytes made up at random, thrown at whatever reads what others have written, by who learns which
//! of them led somewhere new.
//!
//! Each crate has its targets in a `fuzzed.rs` and this file as a module of its unit tests, so that
//! nothing has to be opened for it. A target is a function of some bytes that panics when something is wrong.
//! `cargo test` takes what is kept in `tests/corpora` and a few thousand changes of it; `cargo xtask
//! fuzz` builds the same tests with LLVM's coverage counters (`-Cpasses=sancov-module`, which is what
//! libFuzzer and AFL++ use) and runs them for millions. What bytes are made of is `mutate.rs`'s, what
//! was reached `coverage.rs`'s.

mod coverage;
mod mutate;

use std::collections::BTreeSet;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use coverage::Coverage;
use mutate::Mutator;

/// How many executions there are, and whether what led somewhere new is kept.
const EXECUTIONS: &str = "VDSM_FUZZ";
/// What the test command affords.
const FEW: u64 = 5_000;
/// Longer than any input takes, on any machine.
const HANG: Duration = Duration::from_secs(20);
/// What once did harm stays, whatever it reaches.
const HARMFUL: &str = "harmful-";
/// What one target may hold more at its end than at a tenth of the way, in bytes.
const GROWTH: u64 = 64 << 20;

/// What a target is.
pub(crate) struct Target {
    /// The folder of `tests/corpora` that holds what led somewhere.
    pub(crate) name: &'static str,
    /// Words of the language it reads.
    pub(crate) words: &'static [&'static [u8]],
    /// Longer inputs only repeat themselves.
    pub(crate) longest: usize,
    /// Panics when something is wrong.
    pub(crate) run: fn(&[u8]),
}

/// Runs a target over its corpus and over changes of it.
///
/// # Panics
/// When the target does, with the name of the file that has its input now; and when it holds more
/// and more memory. An input that takes [`HANG`] ends the process.
pub(crate) fn fuzz(target: &Target) {
    let asked = std::env::var(EXECUTIONS).ok().map(|text| text.parse::<u64>().unwrap());
    let folder = folder(target.name);
    let mut corpus = read(&folder);
    assert!(!corpus.is_empty(), "{} is empty", folder.display());
    let run = Watched::new(target, &folder);
    let mut coverage = Coverage::of_this_program();
    let known = corpus.len();
    for input in &corpus {
        let _ = coverage.of(|| run.once(input));
    }
    let (executions, mut mutator) = (asked.unwrap_or(FEW), Mutator::new(target.words, seed(asked.is_some())));
    let mut early = None;
    let begun = Instant::now();
    for count in 0..executions {
        let input = mutator.changed(&corpus, target.longest);
        if coverage.of(|| run.once(&input)) {
            corpus.push(input);
        }
        if count == executions / 10 {
            early = Some(memory());
        }
    }
    let (early, late) = (early.unwrap_or_else(memory), memory());
    assert!(late < early + GROWTH, "{}: memory grew from {early} to {late} bytes", target.name);
    if asked.is_some() {
        let kept = keep(&folder, &corpus, |input| coverage.places(|| run.once(input)));
        println!(
            "{}: {executions} executions in {:.0} s, {} places of the program, {known} inputs before, {kept} now, memory {} -> {} KiB",
            target.name,
            begun.elapsed().as_secs_f64(),
            coverage.reached(),
            early >> 10,
            late >> 10
        );
    }
}

/// The test command's runs are the same each time; those who look for more begin elsewhere.
fn seed(is_search: bool) -> u64 {
    let mut hasher = DefaultHasher::new();
    if is_search {
        std::time::SystemTime::now().hash(&mut hasher)
    }
    hasher.finish()
}

fn folder(name: &str) -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let corpora = here.ancestors().map(|it| it.join("tests/corpora")).find(|it| it.is_dir());
    corpora.expect("there is tests/corpora").join(name)
}

/// In the order of their names.
fn read(folder: &Path) -> Vec<Vec<u8>> {
    let files = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let paths: BTreeSet<PathBuf> = files.map(|it| it.unwrap().path()).collect();
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

/// Leaves in the folder what is needed to reach every place, the shortest first; how many that are.
fn keep(folder: &Path, corpus: &[Vec<u8>], mut places: impl FnMut(&[u8]) -> Vec<usize>) -> usize {
    let mut by_length: Vec<&Vec<u8>> = corpus.iter().collect();
    by_length.sort_by_key(|input| input.len());
    let mut reached = BTreeSet::new();
    let mut names = BTreeSet::new();
    for input in by_length {
        let before = reached.len();
        reached.extend(places(input));
        if reached.len() > before {
            let path = folder.join(name_of(input));
            fs::write(&path, input).unwrap();
            names.insert(path);
        }
    }
    let is_spare = |path: &PathBuf| !names.contains(path) && !path.to_string_lossy().contains(HARMFUL);
    fs::read_dir(folder)
        .unwrap()
        .map(|it| it.unwrap().path())
        .filter(is_spare)
        .for_each(|it| fs::remove_file(it).unwrap());
    names.len()
}

fn name_of(input: &[u8]) -> String {
    let mut hasher = DefaultHasher::new();
    input.hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

/// An input that is being read, and since when.
type Current = (Instant, Vec<u8>);

/// A target whose inputs are written down when they do harm.
struct Watched<'t> {
    target: &'t Target,
    folder: PathBuf,
    current: Arc<Mutex<Option<Current>>>,
    done: Arc<AtomicBool>,
}

impl Watched<'_> {
    fn new<'t>(target: &'t Target, folder: &Path) -> Watched<'t> {
        let watched = Watched { target, folder: folder.to_owned(), current: Arc::default(), done: Arc::default() };
        let (current, done, folder) = (Arc::clone(&watched.current), Arc::clone(&watched.done), folder.to_owned());
        std::thread::spawn(move || {
            while !done.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_millis(500));
                if let Some((since, input)) = &*current.lock().unwrap()
                    && since.elapsed() > HANG
                {
                    eprintln!("{} hangs", harmful(&folder, input).display());
                    std::process::abort();
                }
            }
        });
        watched
    }

    fn once(&self, input: &[u8]) {
        *self.current.lock().unwrap() = Some((Instant::now(), input.to_owned()));
        let outcome = catch_unwind(AssertUnwindSafe(|| (self.target.run)(input)));
        *self.current.lock().unwrap() = None;
        if let Err(panic) = outcome {
            eprintln!("the input is {}", harmful(&self.folder, input).display());
            std::panic::resume_unwind(panic);
        }
    }
}

impl Drop for Watched<'_> {
    fn drop(&mut self) {
        self.done.store(true, Ordering::Relaxed);
    }
}

/// Kept with the others, so that it is among what every later run begins with.
fn harmful(folder: &Path, input: &[u8]) -> PathBuf {
    let path = folder.join(format!("{HARMFUL}{}", name_of(input)));
    fs::write(&path, input).unwrap();
    path
}

/// What this process holds, in bytes (`proc_pid_statm(5)`).
fn memory() -> u64 {
    let text = fs::read_to_string("/proc/self/statm").unwrap();
    text.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
}
