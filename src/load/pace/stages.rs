//! A rate that changes with time: straight lines between targets, summed exactly.
//!
//! Work done by time t is the integral of the rate. It is kept in grains, of which a piece has
//! `2 * per`: then the integral of a straight line from `a / per` to `b / per` pieces a
//! nanosecond is `2 a t + (b - a) t^2 / T` grains, and nothing but the last term is a fraction.

use super::float;
use std::fmt;
use std::time::Duration;

/// One stage: the rate goes in a straight line from where it was to `target_milli`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stage {
    /// The rate at the end of the stage, in thousandths of a piece a second.
    pub target_milli: u64,
    /// How long it takes; zero is a jump.
    pub lasts: Duration,
}

/// Stages that cannot be planned. Each message says what would do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StagesError {
    /// No stage at all.
    #[error("there is no stage; write one, such as 10k,30s")]
    None,
    /// All targets are 0.
    #[error("every stage is at 0; give one a target, such as 10k,30s")]
    Nothing,
    /// The sums do not fit.
    #[error("the stages are too long or too fast to plan; use at most 1G a second for a day")]
    Large,
}

/// A line of the rate over time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Line {
    /// Rate at both ends, in pieces per `per` nanoseconds.
    from: u64,
    to: u64,
    lasts_ns: u64,
    /// Time and grains at its beginning.
    start_ns: u64,
    start: u128,
}

/// Lines one after the other. After the last one its target holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stages {
    lines: Vec<Line>,
    /// Nanoseconds that rates are counted per: 10^9, or 10^12 if one is a fraction.
    per: u64,
    end_ns: u64,
    end: u128,
    last: u64,
}

const SECOND_NS: u64 = 1_000_000_000;

impl Stages {
    /// Stages that begin at a rate of `start_milli` thousandths of a piece a second.
    ///
    /// # Errors
    /// [`StagesError`] with the reason.
    pub fn new(start_milli: u64, stages: &[Stage]) -> Result<Self, StagesError> {
        if stages.is_empty() {
            return Err(StagesError::None);
        }
        let targets = || stages.iter().map(|stage| stage.target_milli);
        if targets().all(|target| target == 0) && start_milli == 0 {
            return Err(StagesError::Nothing);
        }
        let is_whole = targets().chain([start_milli]).all(|n| n % 1000 == 0);
        let (per, part) = if is_whole {
            (SECOND_NS, 1000)
        } else {
            (SECOND_NS * 1000, 1)
        };
        let mut made = Self {
            lines: Vec::with_capacity(stages.len()),
            per,
            end_ns: 0,
            end: 0,
            last: start_milli / part,
        };
        for stage in stages {
            made.push(stage.target_milli / part, stage.lasts)
                .ok_or(StagesError::Large)?;
        }
        Ok(made)
    }

    /// One rate for ever, in thousandths of a piece a second.
    ///
    /// # Errors
    /// [`StagesError`] for 0.
    pub fn hold(milli: u64) -> Result<Self, StagesError> {
        let stage = Stage {
            target_milli: milli,
            lasts: Duration::ZERO,
        };
        Self::new(milli, &[stage])
    }

    /// Grains of a piece: `time_of(index * grains())` is the time of a piece.
    pub(super) fn grains(&self) -> u128 {
        2 * u128::from(self.per)
    }

    /// The time at which so many grains are done, rounded down: the latest whole nanosecond by
    /// which no more are.
    pub(super) fn time_of(&self, grains: u128) -> u64 {
        if grains >= self.end {
            let rest = (grains - self.end).checked_div(2 * u128::from(self.last));
            let rest = rest.and_then(|ns| u64::try_from(ns).ok());
            return rest.map_or(u64::MAX, |ns| self.end_ns.saturating_add(ns));
        }
        let place = self.lines.partition_point(|line| line.start <= grains);
        match self.lines.get(place.saturating_sub(1)) {
            Some(line) => line.start_ns + line.time_of(grains - line.start),
            None => 0,
        }
    }

    /// Grains done by a time, rounded up.
    pub(super) fn grains_by(&self, elapsed_ns: u64) -> u128 {
        if let Some(rest) = elapsed_ns.checked_sub(self.end_ns) {
            return self.end + 2 * u128::from(self.last) * u128::from(rest);
        }
        let place = self
            .lines
            .partition_point(|line| line.start_ns <= elapsed_ns);
        match self.lines.get(place.saturating_sub(1)) {
            Some(line) => line.start + line.grains_by(elapsed_ns - line.start_ns),
            None => 0,
        }
    }

    /// How long the stages last together.
    #[must_use]
    pub fn lasts(&self) -> Duration {
        Duration::from_nanos(self.end_ns)
    }

    fn push(&mut self, to: u64, lasts: Duration) -> Option<()> {
        let lasts_ns = u64::try_from(lasts.as_nanos()).ok()?;
        let line = Line {
            from: self.last,
            to,
            lasts_ns,
            start_ns: self.end_ns,
            start: self.end,
        };
        // The largest product of a line's sums; what passes here never overflows.
        let rates = u128::from(line.from) + u128::from(line.to);
        let long = u128::from(lasts_ns);
        rates.checked_mul(long)?.checked_mul(long)?.checked_mul(2)?;
        self.end = self.end.checked_add(rates * long)?;
        self.end_ns = self.end_ns.checked_add(lasts_ns)?;
        self.last = to;
        if lasts_ns > 0 {
            self.lines.push(line);
        }
        Some(())
    }

    fn per_second(&self, rate: u64) -> f64 {
        float(rate) * float(SECOND_NS) / float(self.per)
    }
}

impl Line {
    /// Grains done so long after its beginning, rounded up.
    fn grains_by(&self, ns: u64) -> u128 {
        let ns = u128::from(ns);
        let flat = 2 * u128::from(self.from) * ns;
        let (slope, lasts) = (self.to.abs_diff(self.from), u128::from(self.lasts_ns));
        let bent = u128::from(slope) * ns * ns;
        if self.to >= self.from {
            flat + bent.div_ceil(lasts)
        } else {
            flat - bent / lasts
        }
    }

    /// The latest whole nanosecond within it by which no more grains are done; there are fewer
    /// than the line has.
    fn time_of(&self, grains: u128) -> u64 {
        if self.from == self.to {
            let ns = grains.checked_div(2 * u128::from(self.from));
            return ns.map_or(0, |ns| u64::try_from(ns).unwrap_or(u64::MAX));
        }
        let guess = self.guess(grains).min(self.lasts_ns - 1);
        latest(guess, self.lasts_ns, |ns| self.grains_by(ns) <= grains)
    }

    /// Where the quadratic has its root, to the precision of a float; without the cancellation
    /// of the usual form.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a guess that whole numbers correct"
    )]
    fn guess(&self, grains: u128) -> u64 {
        let (from, to) = (self.from as f64, self.to as f64);
        let grains = grains as f64;
        let under = from * from + (to - from) * grains / self.lasts_ns as f64;
        (grains / (from + under.max(0.0).sqrt())) as u64
    }
}

impl fmt::Display for Stages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(first) = self.lines.first() else {
            return write!(f, "{}/s", self.per_second(self.last));
        };
        write!(f, "{}/s", self.per_second(first.from))?;
        let mut rate = first.from;
        for line in &self.lines {
            if line.from != rate {
                write!(f, ", at once {}/s", self.per_second(line.from))?;
            }
            let seconds = Duration::from_nanos(line.lasts_ns).as_secs_f64();
            if line.to == line.from {
                write!(f, ", held {seconds} s")?;
            } else {
                write!(f, ", to {}/s in {seconds} s", self.per_second(line.to))?;
            }
            rate = line.to;
        }
        if self.last != rate {
            write!(f, ", at once {}/s", self.per_second(self.last))?;
        }
        Ok(())
    }
}

/// The greatest number below `end` of which `holds` is true, near a guess: it is true up to some
/// number, of 0 at least, and false from there on.
fn latest(guess: u64, end: u64, holds: impl Fn(u64) -> bool) -> u64 {
    let (mut yes, mut no) = (0, end);
    let mut step = 1;
    if holds(guess) {
        yes = guess;
        while yes + step < no {
            if !holds(yes + step) {
                no = yes + step;
                break;
            }
            yes += step;
            step *= 2;
        }
    } else {
        no = guess;
        while no > step {
            if holds(no - step) {
                yes = no - step;
                break;
            }
            no -= step;
            step *= 2;
        }
    }
    while no - yes > 1 {
        let middle = yes + (no - yes) / 2;
        if holds(middle) {
            yes = middle;
        } else {
            no = middle;
        }
    }
    yes
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn stage(target: u64, seconds: u64) -> Stage {
        Stage {
            target_milli: target * 1000,
            lasts: Duration::from_secs(seconds),
        }
    }

    fn time(stages: &Stages, piece: u128) -> u64 {
        stages.time_of(piece * stages.grains())
    }

    #[test]
    fn a_ramp_from_zero_has_its_pieces_at_square_roots() {
        // N(t) = 10 t^2 / 2 / 10: piece i at sqrt(2 i) seconds.
        let stages = Stages::new(0, &[stage(10, 10)]).unwrap();
        for (piece, ms) in [(0, 0), (2, 2_000), (8, 4_000), (18, 6_000), (32, 8_000)] {
            assert_eq!(time(&stages, piece), ms * 1_000_000);
        }
        assert_eq!(time(&stages, 1), 1_414_213_562);
        // Then 10 a second: piece 50 at 10 s, piece 51 at 10.1 s.
        let after = [50, 51].map(|piece| time(&stages, piece));
        assert_eq!(after, [10 * SECOND_NS, 10_100_000_000]);
    }

    #[test]
    fn the_area_under_ramps_and_plateaus_is_what_is_planned() {
        let stages = [stage(100, 10), stage(100, 20), stage(0, 10), stage(0, 5)];
        let stages = Stages::new(0, &stages).unwrap();
        let pieces = |seconds: u64| stages.grains_by(seconds * SECOND_NS) / stages.grains();
        assert_eq!(
            [10, 30, 40, 45, 1_000].map(pieces),
            [500, 2500, 3000, 3000, 3000]
        );
        assert_eq!(
            time(&stages, 3000),
            u64::MAX,
            "nothing comes after an end at 0"
        );
    }

    #[test]
    fn a_stage_without_a_length_is_a_jump_and_a_silent_one_delays_what_follows() {
        let stages = Stages::new(0, &[stage(0, 3), stage(50, 0), stage(50, 2)]).unwrap();
        assert_eq!(time(&stages, 0), 3 * SECOND_NS);
        assert_eq!(time(&stages, 50), 4 * SECOND_NS);
        assert_eq!(stages.lasts(), Duration::from_secs(5));
        assert_eq!(stages.to_string(), "0/s, held 3 s, at once 50/s, held 2 s");
    }

    #[test]
    fn stages_that_cannot_be_planned_are_refused() {
        assert_eq!(Stages::new(0, &[]), Err(StagesError::None));
        assert_eq!(Stages::new(0, &[stage(0, 9)]), Err(StagesError::Nothing));
        let endless = stage(1_000_000_000, 100 * 86_400);
        assert_eq!(Stages::new(500, &[endless]), Err(StagesError::Large));
        assert!(Stages::new(0, &[stage(1_000_000_000, 86_400)]).is_ok());
    }

    proptest! {
        #[test]
        fn time_and_grains_are_each_others_inverse(
            start in 0..5_000_000_u64,
            stages in prop::collection::vec((0..2_000_000_000_u64, 0..100_000_u64), 1..6),
            thousandth in 0..1_200_u128,
        ) {
            let stages: Vec<Stage> = stages
                .into_iter()
                .map(|(target_milli, ms)| Stage { target_milli, lasts: Duration::from_millis(ms) })
                .collect();
            let Ok(stages) = Stages::new(start, &stages) else { return Ok(()) };
            let piece = stages.end / stages.grains() * thousandth / 1000;
            let grains = piece * stages.grains();
            let time = stages.time_of(grains);
            prop_assert!(stages.grains_by(time) <= grains || time == 0);
            if time < u64::MAX {
                prop_assert!(stages.grains_by(time + 1) > grains);
                prop_assert!(stages.time_of(grains + stages.grains()) >= time);
            }
        }
    }
}
