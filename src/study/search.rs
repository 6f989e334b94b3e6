//! The search for the largest load that a server holds: doubled until it breaks, bisected, held for
//! longer, and checked to break a tenth above (docs/measurement.md, verdicts).
//!
//! A step that does not pass is measured again before it counts, and so is a pass where a fail is
//! expected; a pass above a fail is told, not smoothed away.

/// How near the bisection comes.
const NEAR: f64 = 1.03;
/// Where it is checked that more is too much.
const ABOVE: f64 = 1.1;
/// How much more is tried where more than the limit held.
const FURTHER: f64 = 1.25;
/// Steps of one search at most.
const STEPS_MAX: u32 = 48;

/// What came of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepAnswer {
    /// It kept to what was asked.
    Held,
    /// It did not.
    Broke,
    /// It was too near to say.
    Open,
    /// The generator did not apply the load: of the server it shows nothing.
    NotApplied,
}

/// What a step is for, which says how long it lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To find the limit: short, because it may be far beyond it.
    Probe,
    /// To see that it lasts: long.
    Soak,
    /// To see that more is too much.
    Check,
}

/// A load to measure next.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SearchStep {
    /// How much.
    pub load: f64,
    /// What for.
    pub purpose: Purpose,
}

/// Where a search begins and ends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SearchBounds {
    /// The first load.
    pub start: f64,
    /// The largest.
    pub most: f64,
}

/// What a search found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Found {
    /// The largest load that was held; `None` if none was.
    pub held: Option<f64>,
    /// The smallest above it that was not, and why.
    pub broke: Option<(f64, StepAnswer)>,
    /// It was held for longer as well, and a tenth more was not.
    pub is_confirmed: bool,
    /// A load below what was held that was too much all the same.
    pub broke_below: Option<f64>,
    /// Steps that were measured.
    pub steps: u32,
}

/// A search under way.
#[derive(Clone, Debug)]
pub struct Search {
    bounds: SearchBounds,
    held: Vec<f64>,
    broke: Option<(f64, StepAnswer)>,
    broke_below: Option<f64>,
    /// To be measured again.
    doubted: Option<SearchStep>,
    phase: SearchPhase,
    /// What held for a moment did not last: every step is long from then on.
    is_long: bool,
    steps: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SearchPhase {
    Searching,
    Soaking,
    /// The largest that held has held for long.
    Soaked,
    Checking,
    Confirmed,
}

/// The load to try next.
#[derive(Clone, Copy, Debug, PartialEq)]
enum NextLoad {
    Try(f64),
    /// What held is near enough to what broke.
    Near,
    /// Less than one.
    Nothing,
}

impl Search {
    /// Nothing measured yet.
    #[must_use]
    pub fn new(bounds: SearchBounds) -> Self {
        Self {
            bounds,
            held: Vec::new(),
            broke: None,
            broke_below: None,
            doubted: None,
            phase: SearchPhase::Searching,
            is_long: false,
            steps: 0,
        }
    }

    /// What to measure next; `None` when it is known, or as well as can be.
    #[must_use]
    pub fn next_step(&self) -> Option<SearchStep> {
        if self.steps >= STEPS_MAX {
            return None;
        }
        if self.doubted.is_some() {
            return self.doubted;
        }
        let held = self.largest_held();
        match self.phase {
            SearchPhase::Searching => match self.next_load(held) {
                NextLoad::Try(load) => Some(SearchStep {
                    load,
                    purpose: if self.is_long {
                        Purpose::Soak
                    } else {
                        Purpose::Probe
                    },
                }),
                NextLoad::Near | NextLoad::Nothing => None,
            },
            SearchPhase::Soaking => held.map(|load| SearchStep {
                load,
                purpose: Purpose::Soak,
            }),
            SearchPhase::Checking => held.map(|load| SearchStep {
                load: (load * ABOVE).ceil(),
                purpose: Purpose::Check,
            }),
            SearchPhase::Soaked | SearchPhase::Confirmed => None,
        }
    }

    fn next_load(&self, held: Option<f64>) -> NextLoad {
        let load = match (held, self.broke) {
            (None, None) => self.bounds.start,
            (Some(held), None) if held >= self.bounds.most => return NextLoad::Near,
            // What was thought to be the limit is near.
            (Some(held), None) if self.broke_below.is_some() => held * FURTHER,
            (Some(held), None) => held * 2.0,
            (None, Some((broke, _))) => (broke / 2.0).floor(),
            (Some(held), Some((broke, _))) => {
                let between = (held * broke).sqrt().round();
                if broke <= held * NEAR || between <= held || between >= broke {
                    return NextLoad::Near;
                }
                between
            }
        };
        if load >= 1.0 {
            NextLoad::Try(load.min(self.bounds.most))
        } else {
            NextLoad::Nothing
        }
    }

    /// Takes in what came of a step.
    pub fn took(&mut self, step: SearchStep, answer: StepAnswer) {
        self.steps += 1;
        let is_again = self.doubted.take().is_some();
        let is_expected = (answer == StepAnswer::Held) == (step.purpose != Purpose::Check);
        if !is_expected && !is_again {
            self.doubted = Some(step);
            return;
        }
        match (step.purpose, answer) {
            (Purpose::Probe, StepAnswer::Held) => self.held.push(step.load),
            (Purpose::Soak, StepAnswer::Held) => {
                self.held.push(step.load);
                self.phase = SearchPhase::Soaked;
            }
            (Purpose::Check, StepAnswer::Held) => {
                // More than what broke: that was not the limit.
                self.broke_below = self.broke.take().map(|(broke, _)| broke);
                self.held.push(step.load);
                self.phase = SearchPhase::Searching;
            }
            (Purpose::Probe | Purpose::Soak, _) => {
                if step.purpose == Purpose::Soak && !self.is_long {
                    self.is_long = true;
                    self.held.clear();
                }
                self.held.retain(|held| *held < step.load);
                self.broke = Some((step.load, answer));
                self.phase = SearchPhase::Searching;
            }
            (Purpose::Check, _) => {
                // What broke nearer says more, unless only this one was applied.
                let is_new = self
                    .broke
                    .is_none_or(|(_, why)| why == StepAnswer::NotApplied);
                if is_new {
                    self.broke = Some((step.load, answer));
                }
                self.phase = SearchPhase::Confirmed;
            }
        }
        self.go_on();
    }

    /// Goes on to soak what is near enough, and to check what was soaked.
    fn go_on(&mut self) {
        let held = self.largest_held();
        let is_near = matches!(self.next_load(held), NextLoad::Near);
        self.phase = match self.phase {
            SearchPhase::Searching if is_near => SearchPhase::Soaking,
            SearchPhase::Soaked if !is_near => SearchPhase::Searching,
            SearchPhase::Soaked if held >= Some(self.bounds.most) => SearchPhase::Confirmed,
            SearchPhase::Soaked => SearchPhase::Checking,
            phase => phase,
        };
    }

    /// What is known so far.
    #[must_use]
    pub fn found(&self) -> Found {
        let held = self.largest_held();
        Found {
            held,
            broke: self.broke,
            is_confirmed: self.phase == SearchPhase::Confirmed,
            broke_below: self
                .broke_below
                .filter(|below| held.is_some_and(|held| *below < held)),
            steps: self.steps,
        }
    }

    fn largest_held(&self) -> Option<f64> {
        self.held.iter().copied().reduce(f64::max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: SearchBounds = SearchBounds {
        start: 100.0,
        most: 1e7,
    };

    fn searched(bounds: SearchBounds, mut answer: impl FnMut(SearchStep) -> StepAnswer) -> Found {
        let mut search = Search::new(bounds);
        while let Some(step) = search.next_step() {
            let answer = answer(step);
            search.took(step, answer);
        }
        search.found()
    }

    fn plain(limit: f64) -> impl Fn(SearchStep) -> StepAnswer {
        move |step| {
            if step.load <= limit {
                StepAnswer::Held
            } else {
                StepAnswer::Broke
            }
        }
    }

    #[test]
    fn a_limit_is_found_from_above_and_from_below() {
        for limit in [1.0, 7.0, 99.0, 100.0, 5_000.0, 123_456.0] {
            let found = searched(BOUNDS, plain(limit));
            let held = found.held.unwrap();
            assert!(
                held <= limit && limit < held * NEAR + 1.0,
                "{limit}: {found:?}"
            );
            assert!(found.is_confirmed, "{found:?}");
        }
        let none = searched(BOUNDS, |_| StepAnswer::Broke);
        assert_eq!((none.held, none.is_confirmed), (None, false));
    }

    #[test]
    fn nothing_far_above_the_limit_is_held_for_long() {
        let limit = 3_333.0;
        searched(BOUNDS, |step| {
            let is_long = step.purpose != Purpose::Probe;
            assert!(!is_long || step.load <= 1.25 * limit, "{step:?}");
            plain(limit)(step)
        });
    }

    #[test]
    fn the_end_of_the_search_and_of_the_generator_are_no_limit_of_the_server() {
        let bounds = SearchBounds {
            most: 1_000.0,
            ..BOUNDS
        };
        let found = searched(bounds, plain(1e9));
        assert_eq!((found.held, found.broke), (Some(1_000.0), None));
        assert!(found.is_confirmed);
        let found = searched(BOUNDS, |step| {
            if step.load <= 700.0 {
                StepAnswer::Held
            } else {
                StepAnswer::NotApplied
            }
        });
        assert!(
            matches!(found.broke, Some((_, StepAnswer::NotApplied))),
            "{found:?}"
        );
    }

    #[test]
    fn a_single_breach_is_measured_again() {
        let mut has_failed = false;
        let found = searched(BOUNDS, |step| {
            let is_single = step.load >= 400.0 && !has_failed;
            has_failed |= is_single;
            if is_single {
                return StepAnswer::Broke;
            }
            plain(5_000.0)(step)
        });
        assert!(found.held.unwrap() > 4_800.0, "{found:?}");
    }

    #[test]
    fn a_pass_above_a_fail_is_told() {
        // Too much between 1,000 and 1,010 only.
        let found = searched(BOUNDS, |step| {
            let is_odd = (1_000.0..1_010.0).contains(&step.load);
            if is_odd {
                StepAnswer::Broke
            } else {
                plain(2_000.0)(step)
            }
        });
        if let Some(below) = found.broke_below {
            assert!((1_000.0..1_010.0).contains(&below) && found.held > Some(below));
        }
        let mut has_soaked = false;
        let found = searched(BOUNDS, |step| {
            has_soaked |= step.purpose == Purpose::Soak;
            // It got faster when it was warm.
            let limit = if has_soaked { 2_000.0 } else { 1_000.0 };
            plain(limit)(step)
        });
        assert!(
            found.held.unwrap() > 1_900.0 && found.broke_below.is_some(),
            "{found:?}"
        );
    }

    #[test]
    fn what_does_not_last_is_searched_below() {
        // Held for a moment up to 1,000, for long up to 600.
        let found = searched(BOUNDS, |step| {
            let limit = if step.purpose == Purpose::Probe {
                1_000.0
            } else {
                600.0
            };
            plain(limit)(step)
        });
        let held = found.held.unwrap();
        assert!(
            held <= 600.0 && held > 570.0 && found.is_confirmed,
            "{found:?}"
        );
    }

    #[test]
    fn of_a_thousand_noisy_servers_nineteen_in_twenty_are_found_within_a_twentieth() {
        let mut rng = fastrand::Rng::with_seed(11);
        let near = (0..1_000).filter(|_| {
            let limit = 10_f64.powf(1.0 + 4.5 * rng.f64()).round();
            let found = searched(BOUNDS, |step| {
                if rng.u8(..100) < 2 {
                    // A hiccup of the host.
                    return StepAnswer::Broke;
                }
                // The knee is where it is, give or take 1 %, and near it cannot be told.
                let noise = 1.0 + 0.01 * ((0..12).map(|_| rng.f64()).sum::<f64>() - 6.0);
                let distance = limit * noise / step.load;
                if (0.997..1.003).contains(&distance) {
                    StepAnswer::Open
                } else if distance > 1.0 {
                    StepAnswer::Held
                } else {
                    StepAnswer::Broke
                }
            });
            let held = found.held.unwrap_or(0.0);
            (held - limit).abs() <= (0.05 * limit).max(1.0)
        });
        let near = near.count();
        assert!(near >= 950, "{near} of 1,000");
    }
}
