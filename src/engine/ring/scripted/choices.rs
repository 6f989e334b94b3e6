//! Choices that a test makes: every combination of a few, or as a seed says.

/// Steps that are tried in every combination.
pub(super) const DEPTH: usize = 5;

/// Which way to go at each fork: all ways in turn, as an odometer counts, or as a seed says.
#[derive(Clone, Default)]
pub(super) struct Choices {
    digits: Vec<(usize, usize)>,
    at: usize,
    seed: Option<u64>,
}

impl Choices {
    pub(super) fn seeded(seed: u64) -> Self {
        Self {
            seed: Some(seed),
            ..Self::default()
        }
    }

    pub(super) fn pick(&mut self, of: usize) -> usize {
        if let Some(state) = &mut self.seed {
            // Steele et al., "Fast splittable pseudorandom number generators", 2014.
            *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut bits = (*state ^ *state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            bits = (bits ^ bits >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
            return usize::try_from((bits ^ bits >> 31) % of as u64).unwrap();
        }
        if self.at == self.digits.len() {
            if self.at == DEPTH {
                return 0;
            }
            self.digits.push((0, of));
        }
        let (digit, known) = self.digits[self.at];
        assert_eq!(known, of, "the same choices lead to the same fork");
        self.at += 1;
        digit
    }

    /// The next combination; false after the last.
    pub(super) fn advance(&mut self) -> bool {
        self.at = 0;
        while let Some((digit, of)) = self.digits.last_mut() {
            *digit += 1;
            if digit < of {
                return true;
            }
            self.digits.pop();
        }
        false
    }
}
