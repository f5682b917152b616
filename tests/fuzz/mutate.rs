//! One input becomes another: a few small changes, made anywhere.

use proptest::prelude::Rng;
use proptest::test_runner::{RngAlgorithm, TestRng};

/// Whoever makes them.
pub(super) struct Mutator {
    words: &'static [&'static [u8]],
    rng: TestRng,
}

/// Numbers at which things change.
const EDGES: [u32; 12] = [0, 1, 3, 4, 5, 8, 15, 16, 127, 255, 0xffff, u32::MAX];

impl Mutator {
    pub(super) fn new(words: &'static [&'static [u8]], seed: u64) -> Mutator {
        let seed = [seed.to_le_bytes(), (!seed).to_le_bytes()].concat();
        Mutator { words, rng: TestRng::from_seed(RngAlgorithm::XorShift, &seed) }
    }

    /// A number below `end`, which is not 0.
    fn below(&mut self, end: usize) -> usize {
        (self.rng.next_u64() % end as u64) as usize
    }

    /// One of the corpus, changed; the later ones, which led farther, are taken more often.
    pub(super) fn changed(&mut self, corpus: &[Vec<u8>], longest: usize) -> Vec<u8> {
        let (one, other) = (self.below(corpus.len()), self.below(corpus.len()));
        let mut bytes = corpus[one.max(other)].clone();
        for _ in 0..1 << self.below(4) {
            self.change(&mut bytes, corpus);
        }
        bytes.truncate(longest);
        bytes
    }

    fn change(&mut self, bytes: &mut Vec<u8>, corpus: &[Vec<u8>]) {
        let at = self.below(bytes.len() + 1);
        let some = 1 + self.below(8);
        let end = bytes.len().min(at + some);
        match self.below(10) {
            0 if at < bytes.len() => bytes[at] ^= 1 << self.below(8),
            1 if at < bytes.len() => bytes[at] = self.rng.next_u32() as u8,
            2 => drop(bytes.drain(at..end)),
            3 => {
                let long = bytes.len().min(at + self.below(200));
                bytes.drain(at..long);
            }
            4 => {
                let again = bytes[at..end].to_vec();
                bytes.splice(at..at, again);
            }
            5 | 6 if !self.words.is_empty() => {
                let word = self.words[self.below(self.words.len())];
                let over = if self.below(2) == 0 { at } else { bytes.len().min(at + word.len()) };
                bytes.splice(at..over, word.iter().copied());
            }
            7 => {
                // A part of another one.
                let other = &corpus[self.below(corpus.len())];
                let from = self.below(other.len() + 1);
                let to = from + self.below(other.len() - from + 1);
                let over = if self.below(2) == 0 { at } else { bytes.len().min(at + to - from) };
                bytes.splice(at..over, other[from..to].iter().copied());
            }
            8 => {
                let edge = EDGES[self.below(EDGES.len())].to_le_bytes();
                let width = [1, 2, 4][self.below(3)];
                let over = bytes.len().min(at + width);
                bytes.splice(at..over, edge[..width].iter().copied());
            }
            _ => {
                let byte = self.rng.next_u32() as u8;
                bytes.insert(at, byte);
            }
        }
    }
}
