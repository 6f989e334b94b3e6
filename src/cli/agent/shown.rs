//! Figures as people read them. What is not known is `-`, never 0.

use crate::cli::print::whole;

/// A whole number with its thousands apart.
pub(in crate::cli) fn count(number: Option<u64>) -> String {
    number.map_or_else(unknown, whole)
}

/// A rate: whole from 10 on, with one digit behind the point below.
pub(in crate::cli) fn rate(number: Option<f64>) -> String {
    number.map_or_else(unknown, |number| {
        if number > 0.0 && number < 9.95 {
            format!("{number:.1}")
        } else {
            let text = format!("{number:.0}");
            text.parse().map_or(text, whole)
        }
    })
}

/// Bytes in the unit that fits.
pub(super) fn bytes(number: Option<f64>) -> String {
    let Some(mut number) = number else {
        return unknown();
    };
    for unit in ["B", "KiB", "MiB", "GiB"] {
        if number < 1023.95 {
            return if unit == "B" {
                format!("{number:.0} B")
            } else {
                format!("{number:.1} {unit}")
            };
        }
        number /= 1024.0;
    }
    format!("{number:.1} TiB")
}

/// As [`bytes`], of a whole number.
pub(super) fn whole_bytes(number: Option<u64>) -> String {
    bytes(number.map(|number| number as f64))
}

/// A share.
pub(super) fn percent(number: Option<f64>) -> String {
    number.map_or_else(unknown, |number| format!("{number:.0} %"))
}

/// One or more digits behind the point.
pub(super) fn decimal(number: Option<f64>, digits: usize) -> String {
    number.map_or_else(unknown, |number| format!("{number:.digits$}"))
}

/// A span of time in its two largest units.
pub(super) fn span(seconds: f64) -> String {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "whole seconds; `as` saturates"
    )]
    let whole = seconds as u64;
    match whole {
        0..60 => format!("{whole}s"),
        60..3600 => format!("{}m {:02}s", whole / 60, whole % 60),
        3600..86_400 => format!("{}h {:02}m", whole / 3600, whole / 60 % 60),
        _ => format!("{}d {:02}h", whole / 86_400, whole / 3600 % 24),
    }
}

fn unknown() -> String {
    "-".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_short_and_what_is_not_known_is_a_dash() {
        assert_eq!(rate(Some(0.0)), "0");
        assert_eq!(rate(Some(3.25)), "3.2");
        assert_eq!(rate(Some(20_000.4)), "20,000");
        assert_eq!(bytes(Some(1023.0)), "1023 B");
        assert_eq!(bytes(Some(1_572_864.0)), "1.5 MiB");
        assert_eq!(span(61.9), "1m 01s");
        assert_eq!(span(90_000.0), "1d 01h");
        assert_eq!(
            (count(None), rate(None), bytes(None)),
            ("-".into(), "-".into(), "-".into())
        );
    }
}
