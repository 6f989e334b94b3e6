//! An interval that may be looked at after every pair, and stopped at: it is wrong at any time, and
//! be it once, in one comparison of twenty.
//!
//! A bet on each value: of a value `x` that is as likely above the centre as below it by the
//! same amount, `exp(l x) / cosh(l x)` is 1 in the mean, whatever the distribution (de la Peña,
//! A general class of exponential inequalities, 1999). So the product over values is a fair
//! game's fortune, and by Ville's inequality it reaches 40 in one game of forty at most. A
//! centre against which it did is out; what is left lies between two ends, one for each
//! direction of the bet. How strongly to bet depends on the noise, which is not known: the
//! fortune is spread over bets of all strengths.

use super::ConfidenceRange;

/// A fortune that one game of forty reaches: 2.5 % for each end.
const REFUTED: f64 = 40.0;
/// The weakest bet: of differences of a fifth.
const WEAKEST: f64 = 4.0;
/// How many bets there are, each twice as strong as the one before.
const BETS: u8 = 9;
/// Logarithms of ratios are looked for within this.
const FARTHEST: f64 = 12.0;
/// Bisections of it: to a millionth.
const HALVINGS: u32 = 24;

/// The range of centres that the values so far have not refuted.
pub(super) fn range(values: &[f64]) -> ConfidenceRange {
    let negated: Vec<f64> = values.iter().map(|value| -value).collect();
    ConfidenceRange {
        low: lower_end(values),
        high: -lower_end(&negated),
    }
}

/// The highest centre that is refuted as too low.
fn lower_end(values: &[f64]) -> f64 {
    let (mut refuted, mut kept) = (-FARTHEST, FARTHEST);
    if !is_too_low(values, refuted) {
        return f64::NEG_INFINITY;
    }
    for _ in 0..HALVINGS {
        let centre = f64::midpoint(refuted, kept);
        if is_too_low(values, centre) {
            refuted = centre;
        } else {
            kept = centre;
        }
    }
    refuted
}

/// Whether bets that the values lie above the centre have made a fortune.
fn is_too_low(values: &[f64], centre: f64) -> bool {
    let bets = (0..BETS).map(|power| WEAKEST * f64::from(1_u16 << power));
    let fortunes = bets.map(|strength| {
        let each = values.iter().map(|value| gain(strength * (value - centre)));
        each.sum::<f64>().exp()
    });
    // Fortunes of very many values overflow to infinity, which is enough.
    fortunes.sum::<f64>() / f64::from(BETS) >= REFUTED
}

/// The logarithm of `exp(x) / cosh(x) = 2 / (1 + exp(-2 x))`.
fn gain(x: f64) -> f64 {
    let (above, twice) = (x.max(0.0), 2.0 * x.abs());
    std::f64::consts::LN_2 - (-twice).exp().ln_1p() - 2.0 * (above - x)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bet_gains_what_its_formula_says() {
        for x in [-3.0, -0.5, 0.0, 0.1, 4.0_f64] {
            assert!((gain(x) - (x.exp() / x.cosh()).ln()).abs() < 1e-12, "{x}");
        }
        assert!(gain(-1e6) < -1e6 && gain(1e6) <= std::f64::consts::LN_2);
    }

    #[test]
    fn nothing_is_known_of_five_values_and_much_of_seven_alike() {
        assert_eq!(range(&[0.05; 5]), ConfidenceRange::OPEN);
        let seven = range(&[0.05; 7]);
        assert!(
            seven.low > 0.0 && seven.low < 0.05 && seven.high > 0.05,
            "{seven:?}"
        );
    }

    #[test]
    fn the_true_centre_is_refuted_at_any_time_in_one_of_twenty_at_most() {
        let mut rng = fastrand::Rng::with_seed(7);
        let refuted = (0..1_000).filter(|_| {
            let mut values = Vec::new();
            (0..60).any(|_| {
                // Mostly quiet, and now and then far out: as hosts are.
                let scale = if rng.u8(..) < 26 { 0.2 } else { 0.01 };
                values.push((rng.f64() - 0.5) * scale);
                let negated: Vec<f64> = values.iter().map(|value| -value).collect();
                is_too_low(&values, 0.0) || is_too_low(&negated, 0.0)
            })
        });
        let refuted = refuted.count();
        assert!(refuted <= 50, "{refuted} of 1,000");
    }
}
