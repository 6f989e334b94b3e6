//! How much more than its plan a generator could have done: the search for its ceiling, and what
//! that says of a run.

use super::figures::rate;
use serde::{Deserialize, Serialize};

/// A headroom below that is worth a note: the plan is near to what the generator can.
const ENOUGH: f64 = 2.0;
/// The search goes no further up or down than so many times the plan.
const MOST: f64 = 32.0;
const LEAST: f64 = 0.125;
/// How near the bisection comes.
const NEAR: f64 = 1.05;
/// Runs of one search at most.
const RUNS_MAX: u32 = 16;

/// Key `generator.headroom` of the schema.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "docs/record.md documents every key")]
pub struct Headroom {
    pub headroom: f64,
    pub ceiling_per_s: f64,
    pub planned_per_s: f64,
    pub is_lower_bound: bool,
    pub connections: u32,
    pub runs: u32,
}

/// What came of a short run at some rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trial {
    /// All of it was sent in time.
    Held,
    /// The generator was the limit.
    GeneratorLimited,
    /// The server was: of the generator it shows nothing but what it held before.
    ServerLimited,
}

/// The search for the highest rate that a generator holds: doubled, then bisected. A single breach
/// is measured again (docs/measurement.md, verdicts).
#[derive(Clone, Debug)]
pub struct Ceiling {
    planned_per_s: f64,
    held: Option<f64>,
    broken: Option<(f64, Trial)>,
    /// Broke once, to be tried again.
    doubted: Option<f64>,
    runs: u32,
}

impl Ceiling {
    /// Nothing tried yet.
    #[must_use]
    pub fn new(planned_per_s: f64) -> Self {
        Self {
            planned_per_s,
            held: None,
            broken: None,
            doubted: None,
            runs: 0,
        }
    }

    /// The rate to try next, a second; `None` when it is known well enough.
    #[must_use]
    pub fn next_per_s(&self) -> Option<f64> {
        if self.runs >= RUNS_MAX {
            return None;
        }
        let planned = self.planned_per_s;
        let next = match (self.doubted, self.held, self.broken) {
            (Some(doubted), ..) => Some(doubted),
            (None, None, None) => Some(planned * ENOUGH),
            (None, Some(held), None) => (held < planned * MOST).then_some(held * 2.0),
            (None, None, Some((broken, _))) => (broken > planned * LEAST).then_some(broken / 2.0),
            (None, Some(held), Some((broken, _))) => {
                (broken > held * NEAR).then(|| (held * broken).sqrt())
            }
        };
        next.map(f64::round).filter(|next| *next >= 1.0)
    }

    /// Takes in what came of a run at that rate.
    pub fn tried(&mut self, per_s: f64, trial: Trial) {
        self.runs += 1;
        let is_doubted = self.doubted.take().is_some();
        match trial {
            Trial::Held => self.held = Some(self.held.map_or(per_s, |held| held.max(per_s))),
            Trial::GeneratorLimited if !is_doubted => self.doubted = Some(per_s),
            Trial::GeneratorLimited | Trial::ServerLimited => self.broken = Some((per_s, trial)),
        }
    }

    /// What was found, with so many connections.
    #[must_use]
    pub fn found(&self, connections: u32) -> Headroom {
        let ceiling_per_s = self.held.unwrap_or(0.0);
        let by_generator = matches!(self.broken, Some((_, Trial::GeneratorLimited)));
        Headroom {
            headroom: ceiling_per_s / self.planned_per_s.max(1e-9),
            ceiling_per_s,
            planned_per_s: self.planned_per_s,
            is_lower_bound: !by_generator,
            connections,
            runs: self.runs,
        }
    }
}

impl Headroom {
    /// For the generator's line: `headroom 5.3 (to 106,000/s)`.
    pub(super) fn shown(&self) -> String {
        let (bound, headroom) = (self.bound(), self.headroom);
        format!(
            "headroom {bound}{headroom:.1} (to {})",
            rate(self.ceiling_per_s)
        )
    }

    /// A warning, if the plan is near to the ceiling.
    pub(super) fn note(&self) -> Option<String> {
        let (bound, headroom) = (self.bound(), self.headroom);
        let advice = if self.is_lower_bound {
            "the calibration's own server was the limit; give --cores that leave it a CPU"
        } else {
            "the generator can hardly do more; use more --cores, or a lower rate"
        };
        (headroom < ENOUGH).then(|| format!("headroom {bound}{headroom:.1} is below 2: {advice}"))
    }

    const fn bound(&self) -> &'static str {
        if self.is_lower_bound { ">= " } else { "" }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Searches for a generator that holds so much and a server that holds so much.
    fn searched(planned: f64, generator: f64, server: f64) -> Headroom {
        let mut ceiling = Ceiling::new(planned);
        while let Some(per_s) = ceiling.next_per_s() {
            let trial = if per_s > generator {
                Trial::GeneratorLimited
            } else if per_s > server {
                Trial::ServerLimited
            } else {
                Trial::Held
            };
            ceiling.tried(per_s, trial);
        }
        ceiling.found(64)
    }

    #[test]
    fn the_ceiling_is_found_from_above_and_from_below() {
        for generator in [2_600.0, 9_000.0, 20_000.0, 31_000.0, 333_000.0] {
            let found = searched(20_000.0, generator, 1e9);
            let ratio = generator / found.ceiling_per_s;
            assert!((1.0..=NEAR).contains(&ratio), "{generator}: {found:?}");
            assert!(!found.is_lower_bound && found.runs <= RUNS_MAX);
            assert!((found.headroom - found.ceiling_per_s / 20_000.0).abs() < 1e-9);
        }
    }

    #[test]
    fn what_the_search_or_the_server_ends_is_a_lower_bound() {
        let far = searched(1_000.0, 1e9, 1e9);
        assert!(far.is_lower_bound && far.headroom >= MOST && far.runs == 5);
        let short = searched(1_000.0, 1e9, 2_500.0);
        assert!(
            short.is_lower_bound && short.ceiling_per_s <= 2_500.0,
            "{short:?}"
        );
        assert!(short.shown().starts_with("headroom >= 2."), "{short:?}");
    }

    #[test]
    fn a_single_breach_is_measured_again() {
        let mut ceiling = Ceiling::new(100.0);
        ceiling.tried(200.0, Trial::GeneratorLimited);
        assert_eq!(ceiling.next_per_s(), Some(200.0));
        ceiling.tried(200.0, Trial::Held);
        assert_eq!(ceiling.next_per_s(), Some(400.0));
    }

    #[test]
    fn a_generator_that_holds_nothing_ends_the_search() {
        let none = searched(1_000.0, 0.0, 1e9);
        assert_eq!((none.headroom, none.is_lower_bound), (0.0, false));
        assert!(
            none.note()
                .is_some_and(|note| note.contains("more --cores"))
        );
        assert_eq!(searched(0.5, 0.0, 1e9).headroom, 0.0);
    }

    #[test]
    fn enough_headroom_is_no_note() {
        assert_eq!(searched(1_000.0, 2_100.0, 1e9).note(), None);
    }
}
