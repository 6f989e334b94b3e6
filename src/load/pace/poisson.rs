//! Poisson arrivals: independent, exponentially distributed gaps, all from one seed, found
//! without a walk from the beginning.
//!
//! Pieces come in leaves of 256. The time that 2^k leaves take together has a gamma
//! distribution, and the part of it that the first half takes a beta distribution, independent
//! of each other; within a leaf the gaps are exponential, scaled to the leaf's time. So each
//! node of a binary tree can be drawn by itself, from the seed and its name, and the whole is
//! exactly a Poisson process. Finding a leaf costs a draw per level; the walker keeps the leaf.
//!
//! Arrivals are drawn at a rate of one and then put where the rate's integral has that value:
//! a Poisson process of any rate that changes with time (the time-rescaling theorem).

use super::stages::Stages;
use crate::load::seed::seeded;

/// Pieces of a leaf.
const LEAF: u64 = 256;
/// Parts of a piece that the process is drawn in.
const PARTS: u64 = 1_000_000;
/// Levels of the tree: its 2^35 leaves have more pieces than any run.
const LEVELS: u32 = 35;

/// Poisson arrivals along a rate that may change with time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Poisson {
    curve: Stages,
    seed: u64,
    /// Where, in parts, leaf 0 begins, leaf 1, and then leaves 2^k; last, where all end.
    spine: Vec<u64>,
}

/// The pieces of one leaf: parts, rising.
#[derive(Clone, Debug)]
pub(super) struct Leaf {
    number: u64,
    parts: Box<[u64]>,
}

/// Leaves one after the other, a power of two of them, and the parts they take together.
#[derive(Clone, Copy, Debug)]
struct Node {
    level: u32,
    first: u64,
    start: u64,
    len: u64,
}

impl Poisson {
    /// Arrivals whose rate is that curve's; the same seed gives the same arrivals.
    #[must_use]
    pub fn new(curve: Stages, seed: u64) -> Self {
        let mut spine = vec![0];
        let mut end = 0_u64;
        for place in 0..=LEVELS {
            let leaves = 1_u64 << place.saturating_sub(1);
            let mut rng = named(seed, u64::from(place));
            let pieces = gamma(float(LEAF * leaves), &mut rng);
            end = end.saturating_add(whole(pieces * float(PARTS)));
            spine.push(end);
        }
        Self { curve, seed, spine }
    }

    /// The rate over time.
    #[must_use]
    pub fn curve(&self) -> &Stages {
        &self.curve
    }

    /// Time of a piece, in nanoseconds, with a leaf that is kept for the next one.
    pub(super) fn offset_ns(&self, index: u64, kept: &mut Option<Leaf>) -> u64 {
        let number = index / LEAF;
        if kept.as_ref().is_none_or(|leaf| leaf.number != number) {
            let Some(node) = self.leaf_of(number) else {
                return u64::MAX;
            };
            // Its buffer is used again.
            let parts = kept.take().map_or_else(new_parts, |leaf| leaf.parts);
            *kept = Some(self.fill(node, parts));
        }
        let place = usize::try_from(index % LEAF).unwrap_or(0);
        let parts = kept.as_ref().and_then(|leaf| leaf.parts.get(place));
        parts.map_or(u64::MAX, |&parts| self.curve.time_of(self.grains(parts)))
    }

    /// Pieces with a smaller offset.
    pub(super) fn before(&self, elapsed_ns: u64) -> u64 {
        // offset < e  <=>  the grains of the parts are below those by e  <=>  so are the parts.
        let grains = self.curve.grains_by(elapsed_ns);
        let parts = (grains / self.curve.grains())
            .checked_mul(u128::from(PARTS))
            .and_then(|whole| {
                let rest = (grains % self.curve.grains()) * u128::from(PARTS);
                u64::try_from(whole + rest.div_ceil(self.curve.grains())).ok()
            });
        let Some(parts) = parts else { return u64::MAX };
        let Some(node) = self.leaf_at(parts) else {
            return u64::MAX;
        };
        let leaf = self.fill(node, new_parts());
        let within = leaf.parts.partition_point(|&piece| piece < parts);
        node.first * LEAF + u64::try_from(within).unwrap_or(0)
    }

    fn grains(&self, parts: u64) -> u128 {
        u128::from(parts) * self.curve.grains() / u128::from(PARTS)
    }

    /// The leaf with that number.
    fn leaf_of(&self, number: u64) -> Option<Node> {
        let place = u64::BITS - number.leading_zeros();
        self.descend(self.node(place)?, |node| number < node.first)
    }

    /// The leaf in which so many parts are reached.
    fn leaf_at(&self, parts: u64) -> Option<Node> {
        let place = self.spine.partition_point(|&start| start < parts);
        let node = self.node(u32::try_from(place.saturating_sub(1)).ok()?)?;
        // A leaf's last piece is at its end, so an end is still the leaf's own.
        self.descend(node, |node| parts <= node.start)
    }

    fn node(&self, place: u32) -> Option<Node> {
        let at = usize::try_from(place).ok()?;
        let (start, end) = (*self.spine.get(at)?, *self.spine.get(at + 1)?);
        let level = place.saturating_sub(1);
        Some(Node {
            level,
            first: if place == 0 { 0 } else { 1 << level },
            start,
            len: end - start,
        })
    }

    /// Halves a node until it is a leaf; `is_left` says of a second half that what is sought
    /// comes before it.
    fn descend(&self, mut node: Node, is_left: impl Fn(Node) -> bool) -> Option<Node> {
        while node.level > 0 {
            let half = 1_u64 << (node.level - 1);
            let mut rng = named(self.seed, (u64::from(node.level) << 40) | node.first);
            let [left, right] = [0, 1].map(|_| gamma(float(LEAF * half), &mut rng));
            let cut = whole(float(node.len) * (left / (left + right))).min(node.len);
            let second = Node {
                level: node.level - 1,
                first: node.first + half,
                start: node.start + cut,
                len: node.len - cut,
            };
            node = if is_left(second) {
                Node {
                    level: node.level - 1,
                    len: cut,
                    ..node
                }
            } else {
                second
            };
        }
        Some(node)
    }

    /// Draws the pieces of a leaf.
    fn fill(&self, node: Node, mut parts: Box<[u64]>) -> Leaf {
        let mut rng = named(self.seed, (1 << 50) | node.first);
        let mut gaps = [0.0; 256];
        let mut sum = 0.0;
        for gap in &mut gaps {
            sum -= (1.0 - rng.f64()).ln();
            *gap = sum;
        }
        for (piece, gap) in parts.iter_mut().zip(gaps) {
            *piece = node.start + whole(float(node.len) * (gap / sum)).min(node.len);
        }
        Leaf {
            number: node.first,
            parts,
        }
    }
}

fn new_parts() -> Box<[u64]> {
    vec![0; 256].into_boxed_slice()
}

/// The generator of one node.
fn named(seed: u64, name: u64) -> fastrand::Rng {
    seeded(seed, name)
}

/// A gamma variate of scale 1 (Marsaglia and Tsang, 2000; for shapes of at least 1).
fn gamma(shape: f64, rng: &mut fastrand::Rng) -> f64 {
    let d = shape - 1.0 / 3.0;
    let c = 1.0 / (9.0 * d).sqrt();
    loop {
        let x = normal(rng);
        let v = (1.0 + c * x).powi(3);
        if v > 0.0 && (1.0 - rng.f64()).ln() < 0.5 * x * x + d - d * v + d * v.ln() {
            return d * v;
        }
    }
}

/// A standard normal variate (Marsaglia's polar method).
fn normal(rng: &mut fastrand::Rng) -> f64 {
    loop {
        let (x, y) = (2.0 * rng.f64() - 1.0, 2.0 * rng.f64() - 1.0);
        let square = x * x + y * y;
        if square > 0.0 && square < 1.0 {
            return x * (-2.0 * square.ln() / square).sqrt();
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a sampled time needs no more")]
fn float(n: u64) -> f64 {
    n as f64
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a float-to-integer cast saturates, and no time is negative"
)]
fn whole(n: f64) -> u64 {
    n as u64
}

#[cfg(test)]
mod tests {
    use super::super::stages::Stage;
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;

    const SECOND_NS: u64 = 1_000_000_000;

    fn at(per_second: u64, seed: u64) -> Poisson {
        Poisson::new(Stages::hold(per_second * 1000).unwrap(), seed)
    }

    fn offsets(poisson: &Poisson, pieces: u64) -> Vec<u64> {
        let mut leaf = None;
        (0..pieces)
            .map(|index| poisson.offset_ns(index, &mut leaf))
            .collect()
    }

    /// Variance over mean of the counts in so many windows of that length: 1 for Poisson.
    fn dispersion(poisson: &Poisson, windows: u64, window_ns: u64) -> f64 {
        let by: Vec<u64> = (0..=windows)
            .map(|n| poisson.before(n * window_ns))
            .collect();
        let counts: Vec<f64> = by.windows(2).map(|pair| float(pair[1] - pair[0])).collect();
        let mean = counts.iter().sum::<f64>() / float(windows);
        let squares = counts.iter().map(|n| (n - mean).powi(2)).sum::<f64>();
        squares / float(windows - 1) / mean
    }

    #[test]
    fn the_gaps_are_exponential() {
        let offsets = offsets(&at(1_000, 7), 100_000);
        let gaps: Vec<f64> = offsets
            .windows(2)
            .map(|pair| float(pair[1] - pair[0]))
            .collect();
        let mean = gaps.iter().sum::<f64>() / float(gaps.len() as u64);
        assert!((mean / 1e6 - 1.0).abs() < 0.02, "{mean}");
        let beyond = |means: f64| {
            let n = gaps.iter().filter(|&&gap| gap > means * 1e6).count();
            n as f64 / gaps.len() as f64
        };
        for means in [0.1_f64, 0.5, 1.0, 2.0, 4.0] {
            let (is, should) = (beyond(means), (-means).exp());
            assert!((is - should).abs() < 0.006, "{means}: {is} {should}");
        }
    }

    #[test]
    fn counts_are_as_spread_as_they_should_be_within_leaves_and_across() {
        let poisson = at(1_000, 11);
        // 10, 256 and 10,000 pieces to a window; the error is about sqrt(2 / windows).
        for window_ns in [SECOND_NS / 100, 256_000_000, 10 * SECOND_NS] {
            let is = dispersion(&poisson, 2_000, window_ns);
            assert!((0.88..1.12).contains(&is), "{window_ns}: {is}");
        }
    }

    #[test]
    fn another_seed_gives_other_arrivals_and_the_same_seed_the_same() {
        let few = |seed| offsets(&at(50, seed), 600);
        assert_eq!(few(1), few(1));
        assert_ne!(few(1), few(2));
    }

    #[test]
    fn far_pieces_are_found_at_once_and_as_far_as_they_should_be() {
        let poisson = at(1_000_000, 3);
        let mut leaf = None;
        let far = 1_000_000_000_000;
        let seconds = poisson.offset_ns(far, &mut leaf) / SECOND_NS;
        assert!((999_990..1_000_010).contains(&seconds), "{seconds}");
        assert_eq!(poisson.offset_ns(u64::MAX, &mut leaf), u64::MAX);
        assert_eq!(poisson.before(u64::MAX), u64::MAX);
    }

    #[test]
    fn arrivals_follow_a_rate_that_changes() {
        let lasts = Duration::from_secs(10);
        let stage = |target_milli, lasts| Stage {
            target_milli,
            lasts,
        };
        let stages = [stage(2_000_000, lasts), stage(2_000_000, lasts)];
        let poisson = Poisson::new(Stages::new(0, &stages).unwrap(), 5);
        let [ramp, all] = [10, 20].map(|seconds| poisson.before(seconds * SECOND_NS));
        assert!((9_600..10_400).contains(&ramp), "{ramp}");
        assert!((29_300..30_700).contains(&all), "{all}");
    }

    proptest! {
        #[test]
        fn before_counts_exactly_the_pieces_with_a_smaller_offset(
            rate in 1..1_000_000_u64, seed: u64, index in 0..100_000_000_u64,
        ) {
            let poisson = at(rate, seed);
            let offset = poisson.offset_ns(index, &mut None);
            prop_assert!(poisson.before(offset) <= index);
            prop_assert!(poisson.before(offset + 1) > index);
            prop_assert!(poisson.offset_ns(index + 1, &mut None) >= offset);
        }
    }
}
