//! Numbers as people read them: three digits and a unit, thousands apart, rates.

use std::time::Duration;

/// Nanoseconds in the unit that leaves at most three digits before the point.
#[must_use]
pub fn span(ns: u64) -> String {
    let value = float(ns);
    match ns {
        0..1_000 => format!("{ns} ns"),
        1_000..1_000_000 => digits(value / 1e3, "us"),
        1_000_000..1_000_000_000 => digits(value / 1e6, "ms"),
        1_000_000_000.. => digits(value / 1e9, "s"),
    }
}

/// A whole number with its thousands apart.
pub(super) fn whole(n: u64) -> String {
    let plain = n.to_string();
    let mut apart = String::with_capacity(plain.len() * 4 / 3 + 1);
    for (place, digit) in plain.chars().enumerate() {
        if place > 0 && (plain.len() - place).is_multiple_of(3) {
            apart.push(',');
        }
        apart.push(digit);
    }
    apart
}

/// A rate: whole from 100 on, else with a decimal.
pub(super) fn rate(per_second: f64) -> String {
    if per_second >= 100.0 {
        return format!("{}/s", whole(rounded(per_second)));
    }
    format!("{per_second:.1}/s")
}

/// `n` in a second, over that time; `None` if there was no time.
pub(super) fn per_second(n: u64, time: Duration) -> Option<f64> {
    (!time.is_zero()).then(|| float(n) / time.as_secs_f64())
}

/// `part / whole`; `None` if the whole is nothing.
pub(super) fn ratio(part: f64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part / float(whole))
}

/// Part of all; `None` of nothing.
pub(super) fn share(part: u64, all: u64) -> Option<f64> {
    (all > 0).then(|| float(part) / float(all))
}

/// Seconds in the unit that leaves at most three digits before the point.
pub(super) fn seconds(seconds: f64) -> String {
    span(rounded(seconds * 1e9))
}

#[expect(clippy::cast_precision_loss, reason = "for figures that people read")]
pub(super) fn float(n: u64) -> f64 {
    n as f64
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a float-to-integer cast saturates, which is what a figure needs"
)]
pub(super) fn rounded(n: f64) -> u64 {
    n.round() as u64
}

fn digits(value: f64, unit: &str) -> String {
    let decimals = if value < 9.995 {
        2
    } else if value < 99.95 {
        1
    } else {
        0
    };
    format!("{value:.decimals$} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_have_three_digits_in_every_unit() {
        let spans = [
            0,
            999,
            1_000,
            12_345,
            99_960,
            999_400,
            1_234_567,
            60_000_000_000,
        ]
        .map(span);
        let expected = [
            "0 ns", "999 ns", "1.00 us", "12.3 us", "100 us", "999 us", "1.23 ms", "60.0 s",
        ];
        assert_eq!(spans, expected);
    }

    #[test]
    fn thousands_are_apart() {
        assert_eq!(
            [0, 999, 1_000, 1_234_567].map(whole),
            ["0", "999", "1,000", "1,234,567"]
        );
        assert_eq!(
            [0.0, 99.94, 100.0, 20_000.4].map(rate),
            ["0.0/s", "99.9/s", "100/s", "20,000/s"]
        );
    }
}
