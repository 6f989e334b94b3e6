//! How heartbeats are spread over the time between two of them: a core with very many event streams
//! never sends to all of them at once.

use std::time::Duration;

/// Streams that are sent a heartbeat at once, unless there are very many.
const AT_ONCE: usize = 64;
/// The shortest time between two steps: each wakes the core.
const GAP: Duration = Duration::from_millis(10);

/// The steps of one round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Spread {
    /// How many are looked at in one step.
    pub(super) each: usize,
    /// Time between two steps.
    pub(super) gap: Duration,
    steps: u32,
}

impl Spread {
    /// Spreads a round among so many over that time.
    pub(super) fn new(count: usize, within: Duration) -> Self {
        let most = usize::try_from(within.as_millis() / GAP.as_millis()).unwrap_or(usize::MAX);
        let each = count.div_ceil(most.max(1)).max(AT_ONCE);
        let steps = u32::try_from(count.div_ceil(each))
            .unwrap_or(u32::MAX)
            .max(1);
        let gap = within / steps;
        Self { each, gap, steps }
    }

    /// From the first step to the last.
    pub(super) fn span(self) -> Duration {
        self.gap * (self.steps - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_reaches_all_in_its_time_by_small_steps() {
        let within = Duration::from_secs(15);
        for count in [0, 1, 64, 65, 1000, 39_744, 131_072, 10_000_000] {
            let spread = Spread::new(count, within);
            let steps = spread.steps as usize;
            assert!(steps * spread.each >= count && steps.saturating_sub(1) * spread.each <= count);
            assert!(spread.span() < within && spread.gap * spread.steps <= within);
            assert!(
                spread.gap >= GAP && (spread.each <= 128 || count > 131_072),
                "{spread:?}"
            );
        }
        assert_eq!(Spread::new(3, within).span(), Duration::ZERO);
    }
}
