//! Two things compared by pairs of runs: the ratio with its interval, and what that decides.
//!
//! Each pair is measured within seconds, A B and then B A, so that what the host does by the minute
//! meets both. Ratios are compared by their logarithms: twice as fast and half as fast are equally
//! far apart. No pair is left out.

use super::ConfidenceRange;
use super::order::count;
use super::sequence;
use super::signed_rank;

/// Which of two goes first in a pair: A B B A, and again.
#[must_use]
pub const fn is_a_first(pair: usize) -> bool {
    pair.is_multiple_of(2)
}

/// Whether more of a quantity is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Better {
    /// As of a throughput.
    Higher,
    /// As of a latency.
    Lower,
}

/// When pairs end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ends {
    /// After a number that was said before: the interval is Wilcoxon's.
    Fixed,
    /// As soon as it is decided: the interval holds at every look.
    WhenSure,
}

/// How one quantity of B compares with that of A.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Contrast {
    /// Pairs.
    pub pairs: usize,
    /// B's by A's: the centre of the pairs' ratios (Hodges and Lehmann).
    pub ratio: f64,
    /// Where it lies, with 95 % confidence.
    pub range: ConfidenceRange,
    /// What follows.
    pub decision: Decision,
}

/// What a comparison decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// B is better.
    Better,
    /// B is worse.
    Worse,
    /// The whole interval lies within the margin around equal.
    NoDifference,
    /// It reaches further than that, and includes equal.
    TooNoisy {
        /// Pairs that are wanting, about: the interval narrows with the root of their number.
        more: usize,
    },
}

/// Compares by pairs of values, A's and B's; `None` without a pair of positive values.
///
/// A margin of 0.05 is 5 %: a difference within that is none.
#[must_use]
pub fn contrast(pairs: &[(f64, f64)], better: Better, ends: Ends, margin: f64) -> Option<Contrast> {
    let positive = pairs.iter().filter(|(a, b)| *a > 0.0 && *b > 0.0);
    let logarithms: Vec<f64> = positive.map(|(a, b)| (b / a).ln()).collect();
    let (centre, by_rank) = signed_rank::centre(&logarithms)?;
    let range = match ends {
        Ends::Fixed => by_rank,
        Ends::WhenSure => sequence::range(&logarithms),
    };
    Some(Contrast {
        pairs: logarithms.len(),
        ratio: centre.exp(),
        range: ConfidenceRange {
            low: range.low.exp(),
            high: range.high.exp(),
        },
        decision: decision(logarithms.len(), centre, range, better, margin.ln_1p()),
    })
}

fn decision(
    pairs: usize,
    centre: f64,
    range: ConfidenceRange,
    better: Better,
    margin: f64,
) -> Decision {
    let (is_more, is_less) = (range.low > 0.0, range.high < 0.0);
    match better {
        Better::Higher if is_more => Decision::Better,
        Better::Higher if is_less => Decision::Worse,
        Better::Lower if is_more => Decision::Worse,
        Better::Lower if is_less => Decision::Better,
        Better::Higher | Better::Lower if range.low >= -margin && range.high <= margin => {
            Decision::NoDifference
        }
        Better::Higher | Better::Lower => Decision::TooNoisy {
            more: wanting(pairs, centre, range, margin),
        },
    }
}

/// How many pairs more would decide, if they were like those so far.
fn wanting(pairs: usize, centre: f64, range: ConfidenceRange, margin: f64) -> usize {
    let half = (range.high - range.low) / 2.0;
    if !half.is_finite() {
        return super::resample::LEAST.saturating_sub(pairs).max(2);
    }
    // Either the interval leaves equal out, or it comes to lie within the margin.
    let narrow = centre.abs().max(margin - centre.abs()).max(margin / 4.0);
    let times = (half / narrow).powi(2).min(1e4);
    let all = (count(pairs) * times).ceil();
    let more = all - count(pairs);
    (1..=1_000_000)
        .find(|&n| count(n) >= more)
        .unwrap_or(1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How runs of 2 s vary on a host whose CPUs others use wholly: ratios of messages per CPU
    /// second of a server with itself, of `ringstorm compare ./ringstorm ./ringstorm --pairs 40`.
    const RECORDED: &[f64] = &include!("recorded_noise.in");

    /// Pairs whose noise is drawn from what was recorded, B so many times A.
    fn pairs(rng: &mut fastrand::Rng, times: f64) -> (f64, f64) {
        let noise = *rng.choice(RECORDED).unwrap();
        // Which of the two was first is tossed: noise has no side.
        let noise = if rng.bool() { noise } else { 1.0 / noise };
        (1_000.0, 1_000.0 * times * noise)
    }

    /// The same where the host has little else to do: runs vary by 3 %.
    fn quiet_pairs(rng: &mut fastrand::Rng, times: f64) -> (f64, f64) {
        let mut normal = || (0..12).map(|_| rng.f64()).sum::<f64>() - 6.0;
        let mut run = |mean: f64| mean * (1.0 + 0.03 * normal());
        (run(1_000.0), run(1_000.0 * times))
    }

    fn decided(pairs: &[(f64, f64)], ends: Ends) -> Decision {
        contrast(pairs, Better::Higher, ends, 0.05)
            .unwrap()
            .decision
    }

    #[test]
    fn of_a_server_with_itself_one_verdict_of_twenty_is_false_at_most() {
        for (ends, most) in [(Ends::Fixed, 11), (Ends::WhenSure, 32)] {
            let mut rng = fastrand::Rng::with_seed(1);
            let is_false = |_: &u32| {
                let mut all = Vec::new();
                loop {
                    all.push(pairs(&mut rng, 1.0));
                    let is_looked_at = match ends {
                        Ends::Fixed => all.len() == most,
                        Ends::WhenSure => all.len().is_multiple_of(4),
                    };
                    if !is_looked_at {
                        continue;
                    }
                    match decided(&all, ends) {
                        Decision::Better | Decision::Worse => return true,
                        Decision::NoDifference => return false,
                        Decision::TooNoisy { .. } if all.len() >= most => return false,
                        Decision::TooNoisy { .. } => {}
                    }
                }
            };
            let found = (0..1_000).filter(is_false).count();
            assert!(found <= 50, "{ends:?}: {found} of 1,000");
        }
    }

    #[test]
    fn a_slowdown_of_five_percent_is_found_in_twenty_pairs() {
        let mut rng = fastrand::Rng::with_seed(2);
        let mut needed: Vec<usize> = (0..301)
            .map(|_| {
                let mut all = Vec::new();
                loop {
                    all.push(quiet_pairs(&mut rng, 0.95));
                    match decided(&all, Ends::WhenSure) {
                        Decision::Worse => return all.len(),
                        Decision::Better => panic!("{all:?}"),
                        Decision::NoDifference | Decision::TooNoisy { .. } => {}
                    }
                }
            })
            .collect();
        needed.sort_unstable();
        assert!(needed[150] <= 20, "median {}", needed[150]);
    }

    #[test]
    fn lower_is_better_of_a_latency() {
        let faster = [(10.0, 5.0); 8];
        let of = |better| contrast(&faster, better, Ends::Fixed, 0.05).unwrap();
        assert_eq!(of(Better::Lower).decision, Decision::Better);
        assert_eq!(of(Better::Higher).decision, Decision::Worse);
        assert!((of(Better::Lower).ratio - 0.5).abs() < 1e-9);
    }

    #[test]
    fn few_or_noisy_pairs_say_how_many_more() {
        let few = [(1.0, 1.0), (1.0, 1.01)];
        assert_eq!(decided(&few, Ends::Fixed), Decision::TooNoisy { more: 4 });
        let noisy = [
            (1.0, 1.3),
            (1.0, 0.8),
            (1.0, 1.2),
            (1.0, 0.7),
            (1.0, 1.1),
            (1.0, 0.95),
        ];
        let Decision::TooNoisy { more } = decided(&noisy, Ends::Fixed) else {
            panic!("{:?}", decided(&noisy, Ends::Fixed));
        };
        assert!((20..2_000).contains(&more), "{more}");
        assert!(contrast(&[(0.0, 1.0)], Better::Higher, Ends::Fixed, 0.05).is_none());
    }

    #[test]
    fn what_is_alike_shows_no_difference() {
        let alike = [
            (1.0, 1.01),
            (1.0, 0.99),
            (1.0, 1.0),
            (1.0, 1.02),
            (1.0, 0.98),
            (1.0, 1.0),
        ];
        assert_eq!(decided(&alike, Ends::Fixed), Decision::NoDifference);
    }

    #[test]
    fn who_is_first_changes_every_time() {
        let firsts: Vec<bool> = (0..4).map(is_a_first).collect();
        assert_eq!(firsts, [true, false, true, false]);
    }
}
