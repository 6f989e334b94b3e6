//! How much more than its plan a generator could have done: the search for its ceiling, and what
//! that says of a run.

use super::figures::rate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::Duration;

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
/// No run of a search begins when its runs have taken so long.
pub const SEARCH_TIME: Duration = Duration::from_secs(40);

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
    /// The search was ended by its bound on time or runs, before it was sure.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub cut_short: bool,
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
    /// What the runs took.
    spent: Duration,
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
            spent: Duration::ZERO,
        }
    }

    /// The rate to try next, a second; `None` when it is known well enough, or the search has run
    /// for as long as it may.
    #[must_use]
    pub fn next_per_s(&self) -> Option<f64> {
        let is_over = self.runs >= runs_max(self.held.is_some()) || self.spent >= SEARCH_TIME;
        self.open_per_s().filter(|_| !is_over)
    }

    /// The rate that would say more.
    fn open_per_s(&self) -> Option<f64> {
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

    /// Takes in what came of a run at that rate, which took so long.
    pub fn tried(&mut self, per_s: f64, trial: Trial, took: Duration) {
        self.runs += 1;
        self.spent += took;
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
        let cut_short = self.open_per_s().is_some();
        let is_near = |broken| broken <= ceiling_per_s * NEAR;
        let by_generator = matches!(
            self.broken,
            Some((broken, Trial::GeneratorLimited)) if !cut_short || is_near(broken)
        );
        Headroom {
            headroom: ceiling_per_s / self.planned_per_s.max(1e-9),
            ceiling_per_s,
            planned_per_s: self.planned_per_s,
            is_lower_bound: !by_generator,
            failed_below_per_s: self.failed_below.filter(|failed| *failed < ceiling_per_s),
            cut_short,
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
        let advice = if self.cut_short {
            "the calibration was not done; see below"
        } else if self.is_lower_bound {
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

    /// A search that was not done.
    pub(super) fn unsure(&self) -> Option<String> {
        let runs = self.runs;
        let why = if runs >= runs_max(self.ceiling_per_s > 0.0) {
            "as many as it makes".to_owned()
        } else {
            format!("no run begins after {} s", SEARCH_TIME.as_secs())
        };
        self.cut_short.then(|| {
            format!(
                "the calibration was ended after {runs} runs, before it was sure ({why}): on a \
                 quieter host it is sooner"
            )
        })
    }

    const fn bound(&self) -> &'static str {
        if self.is_lower_bound { ">= " } else { "" }
    }
}

/// How many runs a search has at most; more while nothing was held yet.
const fn runs_max(has_held: bool) -> u32 {
    if has_held { RUNS_MAX } else { 2 * RUNS_MAX }
}

#[cfg(test)]
mod tests;
