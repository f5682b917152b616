//! Which places of this program an input reaches, and how often, as LLVM counts them.
//!
//! Built without its counters (`cargo test`), nothing is ever new.

use std::sync::Mutex;

/// Where the counters are: one byte for each place. Told before `main`.
static COUNTERS: Mutex<Vec<(usize, usize)>> = Mutex::new(Vec::new());

/// Called by each part of the program that was built with
/// `-Cllvm-args=-sanitizer-coverage-inline-8bit-counters` (clang's SanitizerCoverage, "Inline 8bit-counters").
#[unsafe(no_mangle)]
extern "C" fn __sanitizer_cov_8bit_counters_init(start: *mut u8, stop: *mut u8) {
    let mut all = COUNTERS.lock().unwrap();
    let part = (start.addr(), stop.addr());
    if !all.contains(&part) {
        all.push(part);
    }
}

/// What was reached so far.
pub(super) struct Coverage {
    parts: Vec<(usize, usize)>,
    /// For each counter, how often, as bits for 1, 2, 3, 4-7, 8-15, 16-31, 32-127 and more.
    seen: Vec<u8>,
}

impl Coverage {
    pub(super) fn of_this_program() -> Coverage {
        let parts = COUNTERS.lock().unwrap().clone();
        let length = parts.iter().map(|(start, stop)| stop - start).sum();
        Coverage { parts, seen: vec![0; length] }
    }

    /// Whether something is reached that was not before, or more often. What has counted since the
    /// last call counts with it: that are the fuzzer's own few places.
    pub(super) fn of(&mut self, run: impl FnOnce()) -> bool {
        run();
        let mut is_new = false;
        each(&self.parts, |place, count| {
            let bit = often(count);
            is_new |= self.seen[place] & bit == 0;
            self.seen[place] |= bit;
        });
        is_new
    }

    /// All that is reached, however often.
    pub(super) fn places(&self, run: impl FnOnce()) -> Vec<usize> {
        each(&self.parts, |_, _| {});
        run();
        let mut places = Vec::new();
        each(&self.parts, |place, _| places.push(place));
        places
    }

    /// How many places were reached at all.
    pub(super) fn reached(&self) -> usize {
        self.seen.iter().filter(|seen| **seen != 0).count()
    }
}

fn often(count: u8) -> u8 {
    match count {
        0 => 0,
        1..=3 => 1 << (count - 1),
        4..=7 => 8,
        8..=15 => 16,
        16..=31 => 32,
        32..=127 => 64,
        128.. => 128,
    }
}

/// So many counters are looked at at once.
const CHUNK: usize = 128;
const ZEROS: [u8; CHUNK] = [0; CHUNK];

/// Takes each counter that is not zero, and makes it zero.
fn each(parts: &[(usize, usize)], mut take: impl FnMut(usize, u8)) {
    let mut before = 0;
    for (start, stop) in parts {
        let start = std::ptr::with_exposed_provenance_mut::<u8>(*start);
        let length = *stop - start.addr();
        // SAFETY: the program's own counters, for as long as it runs. Targets have one thread, and
        // another's that counts meanwhile does no harm but to a count.
        let counters = unsafe { std::slice::from_raw_parts_mut(start, length) };
        // Almost all are zero. The C library compares, as this loop is counted itself.
        for (chunk, bytes) in counters.chunks_mut(CHUNK).enumerate().filter(|(_, it)| **it != ZEROS[..it.len()]) {
            for (at, byte) in bytes.iter_mut().enumerate().filter(|(_, byte)| **byte != 0) {
                take(before + chunk * CHUNK + at, *byte);
                *byte = 0;
            }
        }
        before += length;
    }
}
