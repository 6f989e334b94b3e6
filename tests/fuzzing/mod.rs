//! What peers may say, as properties: under `cargo test` for a moment each, first the seeds and
//! then random bytes, and under `scripts/fuzz` for as long as one likes.

mod deflating;
mod dialects;
mod linear;
mod protocols;
mod shards;
mod told;
mod wire;
mod written;

use std::time::Duration;

/// How long a property is tried where `BOLERO_RANDOM_TEST_TIME_MS` does not say.
pub(crate) const TIME: Duration = Duration::from_millis(700);

/// Inputs that are tried first: some words of each grammar in their order, and what once failed.
pub(crate) const SEEDS: &[&[u8]] = &[
    &[],
    &[0, 0],
    &[
        0, 1, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21,
    ],
    &[0, 2, 0, 2, 5, 7, 12, 0, 2, 5, 8, 12, 3],
    &[0, 3, 19, 12, 19, 9, 12, 19, 8, 12],
    &[0, 4, 0, 4, 4, 6, 7, 5, 4, 8, 9, 9],
    &[0, 5, 0, 8, 12, 0, 4, 8, 3, 8],
    &[0, 6, 4, 0, 0, 1, 2, 3, 255, 0, 255, 255, 200, 12],
    // No text at all: a ping of SocketCluster.
    &[137, 130],
];

/// Runs a property over bytes that a peer may send.
macro_rules! property {
    ($check:expr) => {
        let check = $check;
        crate::fuzzing::SEEDS.iter().for_each(|seed| check(seed));
        bolero::check!()
            .with_test_time(crate::fuzzing::TIME)
            .with_iterations(1_000_000)
            .with_max_len(600)
            .for_each(check);
    };
}
pub(crate) use property;

/// A peer's bytes and how they are cut: the first two bytes seed the cuts.
pub(crate) struct Cut {
    bytes: Vec<u8>,
    seed: u64,
}

impl Cut {
    /// Reads an input. A byte below 128 stands for one of `words`, and one above for itself
    /// or, behind 255, for the byte that follows: so random inputs are nearly grammatical.
    pub(crate) fn new(input: &[u8], words: &[&[u8]]) -> Self {
        let (seed, rest) = input.split_at(input.len().min(2));
        let seed = seed
            .iter()
            .fold(1, |seed, byte| seed << 8 | u64::from(*byte));
        let mut bytes = Vec::new();
        let mut rest = rest.iter();
        while let Some(&byte) = rest.next() {
            match byte {
                0..128 => bytes.extend_from_slice(words[usize::from(byte) % words.len()]),
                255 => bytes.extend(rest.next()),
                _ => bytes.push(byte),
            }
        }
        Self { bytes, seed }
    }

    /// All at once.
    pub(crate) fn whole(&self) -> Vec<&[u8]> {
        vec![&self.bytes]
    }

    /// In pieces: of one byte each for a seed in eight, else of random lengths.
    pub(crate) fn pieces(&self) -> Vec<&[u8]> {
        let mut random = fastrand::Rng::with_seed(self.seed);
        let most = if random.u8(..8) == 0 {
            1
        } else {
            random.usize(2..200)
        };
        let mut rest = &self.bytes[..];
        let mut pieces = Vec::new();
        while !rest.is_empty() {
            let (piece, behind) = rest.split_at(random.usize(1..=most.min(rest.len())));
            pieces.push(piece);
            rest = behind;
        }
        pieces
    }
}
