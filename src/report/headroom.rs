//! How much more than its plan a generator could have done: the search for its ceiling, and what
//! that says of a run.

use super::figures::rate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A headroom below that is worth a note: the plan is near to what the generator can.
const ENOUGH: f64 = 2.0;
/// The search goes no further up or down than so many times the plan.
const MOST: f64 = 32.0;
const LEAST: f64 = 0.125;
/// How near the bisection comes.
const NEAR: f64 = 1.05;
/// How often the ends of the search are measured again and found to be none.
const REFUTED_MAX: u32 = 4;
/// So often a rate is too much before it is: what else a host does lasts for a run or three.
const BREACHES: u32 = 4;
/// Runs of one search at most, once some rate is held.
const RUNS_MAX: u32 = 60;

/// Key `generator.headroom` of the schema.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "docs/record.md documents every key")]
pub struct Headroom {
    pub headroom: f64,
    pub ceiling_per_s: f64,
    pub planned_per_s: f64,
    pub is_lower_bound: bool,
    /// A rate below the ceiling that was too much all the same.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub failed_below_per_s: Option<f64>,
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

/// The search for the highest rate that a generator holds: doubled, then bisected. What else the
/// host does for a second may break a rate or two that would be held, and a lucky run holds one
/// that is too much: a breach is measured again at once, up to three times, and both ends of the
/// result at the end. An
/// end that is none is left in small steps that grow, to be bisected anew. A rate that is too much
/// does not say that a higher one is: the one above the first is tried as well
/// (docs/measurement.md, verdicts).
#[derive(Clone, Debug)]
pub struct Ceiling {
    planned_per_s: f64,
    held: Option<f64>,
    /// The lowest rate above `held` that was too much.
    broken: Option<(f64, Trial)>,
    /// A rate that was too much, below one that was not.
    failed_below: Option<f64>,
    /// A rate that broke, to be tried again, and how often it did.
    doubted: Option<(f64, u32)>,
    /// The rate above the first that was too much has been looked at.
    has_looked_above: bool,
    /// How much further the next rate is while one end is unknown.
    step: f64,
    /// The ends were measured once more and are.
    confirmed: Confirmed,
    /// Ends that were measured once more and are none.
    refuted: u32,
    runs: u32,
}

/// Which ends of the search were measured once more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Confirmed {
    held: bool,
    broken: bool,
}

impl Ceiling {
    /// Nothing tried yet.
    #[must_use]
    pub fn new(planned_per_s: f64) -> Self {
        Self {
            planned_per_s,
            held: None,
            broken: None,
            failed_below: None,
            doubted: None,
            has_looked_above: false,
            step: ENOUGH,
            confirmed: Confirmed::default(),
            refuted: 0,
            runs: 0,
        }
    }

    /// The rate to try next, a second; `None` when it is known well enough.
    #[must_use]
    pub fn next_per_s(&self) -> Option<f64> {
        let most = if self.held.is_some() {
            RUNS_MAX
        } else {
            2 * RUNS_MAX
        };
        if self.runs >= most {
            return None;
        }
        let planned = self.planned_per_s;
        let next = match (self.doubted, self.held, self.broken) {
            (Some((doubted, _)), ..) => Some(doubted),
            (None, None, None) => Some(planned * ENOUGH),
            (None, Some(held), None) => (held < planned * MOST).then_some(held * self.step),
            (None, _, Some((broken, Trial::GeneratorLimited))) if self.looks_above(broken) => {
                Some(broken * 2.0)
            }
            (None, None, Some((broken, _))) => {
                (broken > planned * LEAST).then_some(broken / self.step)
            }
            (None, Some(held), Some((broken, _))) if broken > held * NEAR => {
                Some((held * broken).sqrt())
            }
            (None, Some(_), Some(_)) if self.refuted >= REFUTED_MAX => None,
            (None, Some(held), Some(_)) if !self.confirmed.held => Some(held),
            (None, Some(_), Some((broken, _))) => (!self.confirmed.broken).then_some(broken),
        };
        next.map(f64::round).filter(|next| *next >= 1.0)
    }

    /// Takes in what came of a run at that rate.
    pub fn tried(&mut self, per_s: f64, trial: Trial) {
        self.runs += 1;
        let breaches = self.doubted.take().map_or(1, |(_, breaches)| breaches + 1);
        match trial {
            Trial::Held => self.held_at(per_s),
            Trial::GeneratorLimited | Trial::ServerLimited
                if breaches < BREACHES && !self.is_known_broken(per_s) =>
            {
                self.doubted = Some((per_s, breaches));
            }
            Trial::GeneratorLimited | Trial::ServerLimited => self.broken_at(per_s, trial),
        }
    }

    fn held_at(&mut self, per_s: f64) {
        if self.held.is_some_and(|held| per_s <= held) {
            self.confirmed.held = true;
            return;
        }
        match self.broken {
            Some((broken, _)) if per_s > broken => {
                self.failed_below = Some(broken);
                self.broken = None;
            }
            // The end of the search is none.
            Some((broken, _)) if per_s >= broken => {
                self.refute();
                self.broken = None;
            }
            None | Some(_) => {}
        }
        if self.broken.is_none() && self.refuted > 0 {
            self.step = (self.step * self.step).min(2.0);
        }
        self.held = Some(per_s);
        self.confirmed = Confirmed::default();
    }

    fn broken_at(&mut self, per_s: f64, trial: Trial) {
        if let Some((broken, _)) = self.broken
            && per_s >= broken
        {
            // Not even so much was too much: what is below it is looked for.
            self.confirmed.broken |= per_s <= broken;
            self.has_looked_above = true;
            return;
        }
        if self.held.is_some_and(|held| per_s <= held) {
            self.held = None;
            self.refute();
        } else if self.held.is_none() && self.refuted > 0 {
            self.step = (self.step * self.step).min(2.0);
        }
        self.broken = Some((per_s, trial));
        self.confirmed = Confirmed::default();
    }

    /// An end that was found is none: the real one is near it.
    fn refute(&mut self) {
        self.refuted += 1;
        self.step = NEAR;
        self.has_looked_above = true;
    }

    /// Whether a rate was too much before, or a lower one.
    fn is_known_broken(&self, per_s: f64) -> bool {
        self.broken.is_some_and(|(broken, _)| per_s >= broken)
    }

    /// Whether a rate that was too much has yet to be doubled: only while it is the first one.
    fn looks_above(&self, broken: f64) -> bool {
        let is_first = self.held.is_none_or(|held| broken >= held * 1.9);
        is_first && !self.has_looked_above && broken < self.planned_per_s * MOST
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
            failed_below_per_s: self.failed_below.filter(|failed| *failed < ceiling_per_s),
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

    /// A pass above a fail.
    pub(super) fn uneven(&self) -> Option<String> {
        let (failed, held) = (rate(self.failed_below_per_s?), rate(self.ceiling_per_s));
        Some(format!(
            "the calibration held {held} and not {failed}: there is no single rate up to which \
             this client holds all"
        ))
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
    fn a_few_breaches_are_measured_again() {
        let mut ceiling = Ceiling::new(100.0);
        for _ in 1..BREACHES {
            ceiling.tried(200.0, Trial::GeneratorLimited);
            assert_eq!(ceiling.next_per_s(), Some(200.0));
        }
        ceiling.tried(200.0, Trial::Held);
        assert_eq!(ceiling.next_per_s(), Some(400.0));
        for _ in 0..BREACHES {
            assert_eq!(ceiling.next_per_s(), Some(400.0));
            ceiling.tried(400.0, Trial::GeneratorLimited);
        }
        // The one above is looked at once, as it is higher still.
        assert_eq!(ceiling.next_per_s(), Some(800.0));
        ceiling.tried(800.0, Trial::GeneratorLimited);
        assert_eq!(ceiling.next_per_s(), Some(283.0));
    }

    #[test]
    fn a_pass_above_a_fail_is_looked_for_and_told() {
        // Too much between 150,000 and 200,000 a second, and from 700,000 on.
        let holds = |per_s: f64| !(150e3..200e3).contains(&per_s) && per_s < 700e3;
        let mut ceiling = Ceiling::new(80e3);
        while let Some(per_s) = ceiling.next_per_s() {
            let trial = if holds(per_s) {
                Trial::Held
            } else {
                Trial::GeneratorLimited
            };
            ceiling.tried(per_s, trial);
        }
        let found = ceiling.found(64);
        let ratio = 700e3 / found.ceiling_per_s;
        assert!((1.0..=NEAR).contains(&ratio), "{found:?}");
        assert_eq!(found.failed_below_per_s, Some(160e3));
        assert!(
            found
                .uneven()
                .is_some_and(|note| note.contains("160,000/s"))
        );
    }

    #[test]
    fn a_result_that_does_not_hold_again_is_searched_below() {
        let mut ceiling = Ceiling::new(100.0);
        let mut lucky = true;
        while let Some(per_s) = ceiling.next_per_s() {
            // Once it held more than it does.
            let holds = per_s <= 1_000.0 || (per_s <= 1_400.0 && std::mem::take(&mut lucky));
            let trial = if holds {
                Trial::Held
            } else {
                Trial::GeneratorLimited
            };
            ceiling.tried(per_s, trial);
        }
        let found = ceiling.found(64);
        let ratio = 1_000.0 / found.ceiling_per_s;
        assert!((1.0..=1.15).contains(&ratio), "{found:?}");
    }

    #[test]
    fn a_rate_that_is_held_after_all_is_searched_above() {
        let (mut ceiling, mut disturbed) = (Ceiling::new(100.0), 14);
        while let Some(per_s) = ceiling.next_per_s() {
            // From the end of the search on, for a while, nothing much is held.
            let is_disturbed = per_s > 1_600.0 && disturbed > 0;
            disturbed -= u32::from(is_disturbed);
            let trial = if is_disturbed || per_s > 3_000.0 {
                Trial::GeneratorLimited
            } else {
                Trial::Held
            };
            ceiling.tried(per_s, trial);
        }
        let found = ceiling.found(64);
        let ratio = 3_000.0 / found.ceiling_per_s;
        assert!((1.0..=1.15).contains(&ratio), "{found:?}");
    }

    /// A generator that holds so much, but for a host that breaks what it does for three runs in a
    /// row so often, and for rates near the most that it holds, where chance decides.
    fn scattered(most: f64, disturbed_share: f64, seed: u64) -> Headroom {
        let mut rng = fastrand::Rng::with_seed(seed);
        let (mut ceiling, mut disturbed) = (Ceiling::new(10_000.0), 0);
        while let Some(per_s) = ceiling.next_per_s() {
            if disturbed == 0 && rng.f64() < disturbed_share {
                disturbed = 3;
            }
            let holds = 1.0 / (1.0 + (per_s / most).powi(40));
            let trial = match disturbed {
                0 if rng.f64() < holds => Trial::Held,
                // The server beside it is as disturbed as the generator.
                1.. if rng.bool() => Trial::ServerLimited,
                _ => Trial::GeneratorLimited,
            };
            disturbed = disturbed.max(1) - 1;
            ceiling.tried(per_s, trial);
        }
        ceiling.found(50)
    }

    #[test]
    fn what_disturbs_some_runs_does_not_move_the_result() {
        let calm_and_busy = [(0.0, 8), (0.04, 8), (0.1, 20)];
        for most in [40_000.0, 110_000.0, 245_000.0] {
            for (share, left_out) in calm_and_busy {
                let found = (0..400).map(|seed| scattered(most, share, seed));
                let mut all: Vec<f64> = found.map(|it| it.ceiling_per_s / most).collect();
                all.sort_by(f64::total_cmp);
                let (low, high) = (all[left_out], all[399 - left_out]);
                assert!(
                    high / low < 1.15 && low > 0.9,
                    "{most}, {share}: {low} {high} {all:?}"
                );
            }
        }
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
