//! How connections came back after many were dropped at once.

use std::time::Duration;

/// What a storm did, and how its connections came back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Connections up before it.
    pub before: u64,
    /// Connections it dropped.
    pub dropped: u64,
    /// Messages that were under way on them.
    pub messages: u64,
    /// Time from one point of the curve to the next.
    pub step: Duration,
    /// Connections up: right after it, a step later, and so on.
    pub up: Vec<u64>,
}

impl Recovery {
    /// When as many were up as before, as far as the curve tells.
    #[must_use]
    pub fn recovered(&self) -> Option<Duration> {
        let point = self.up.iter().position(|&up| up >= self.before)?;
        Some(self.step * u32::try_from(point).ok()?)
    }

    /// Adds another core's.
    pub fn merge(&mut self, other: &Self) {
        self.before += other.before;
        self.dropped += other.dropped;
        self.messages += other.messages;
        self.step = self.step.max(other.step);
        // A core that ended before the others stays as it was.
        let len = self.up.len().max(other.up.len());
        let last = |up: &[u64]| up.last().copied().unwrap_or(0);
        self.up.resize(len, last(&self.up));
        let rest = std::iter::repeat(last(&other.up));
        for (sum, up) in self.up.iter_mut().zip(other.up.iter().copied().chain(rest)) {
            *sum += up;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEP: Duration = Duration::from_millis(100);

    #[test]
    fn curves_add_and_one_that_ended_stays_where_it_was() {
        let curve = |before, up: &[u64]| Recovery {
            before,
            step: STEP,
            up: up.to_vec(),
            ..Recovery::default()
        };
        let mut sum = curve(10, &[0, 4, 10]);
        sum.merge(&curve(5, &[1, 5]));
        assert_eq!(sum.up, [1, 9, 15]);
        assert_eq!(sum.recovered(), Some(2 * STEP));
        assert_eq!(curve(9, &[0, 8]).recovered(), None);
    }
}
