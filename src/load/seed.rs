//! Randomness of a run: one generator for each purpose, all from one seed.

/// The generator of one purpose of a run: the same for the same seed, unlike any other's.
pub(super) fn seeded(seed: u64, purpose: u64) -> fastrand::Rng {
    let mut rng = fastrand::Rng::with_seed(seed ^ purpose.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    // Neighbouring seeds begin alike: one draw apart they do not.
    let seed = rng.u64(..);
    fastrand::Rng::with_seed(seed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_purpose_draws_the_same_again_and_no_other_purpose_does() {
        let draw = |seed, purpose| seeded(seed, purpose).u64(..);
        assert_eq!(draw(1, 2), draw(1, 2));
        let mut drawn = std::collections::BTreeSet::new();
        for (seed, purpose) in (0..20).flat_map(|seed| (0..20).map(move |of| (seed, of))) {
            assert!(drawn.insert(draw(seed, purpose)), "{seed} {purpose}");
        }
    }
}
