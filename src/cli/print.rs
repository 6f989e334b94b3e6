//! Prints. A reader that has gone away (`ringstorm ... | head`) is no reason to fail.

use std::fmt::Display;
use std::io::{self, Write};

/// A line on stdout, at once: what the user asked for.
pub(super) fn line(text: impl Display) {
    let mut out = io::stdout().lock();
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}

/// Text on stdout that brings its own line breaks.
pub(super) fn text(text: &str) {
    let mut out = io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// A line on stderr: what goes on meanwhile.
pub(super) fn note(text: impl Display) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Why the program ends without having done what was asked.
pub(super) fn complain(failure: &impl Display) {
    note(format_args!("ringstorm: {failure}"));
}

/// A number with its thousands apart: 1,234,567.
pub(super) fn whole(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// Bytes in the unit that fits.
pub(super) fn bytes(bytes: u64) -> String {
    const UNITS: [(u32, &str); 3] = [(30, "GiB"), (20, "MiB"), (10, "KiB")];
    UNITS
        .into_iter()
        .find(|(shift, _)| bytes >> shift > 0)
        .map_or_else(
            || format!("{bytes} B"),
            |(shift, unit)| {
                let tenths = (bytes * 10) >> shift;
                format!("{}.{} {unit}", tenths / 10, tenths % 10)
            },
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_stand_apart() {
        let cases = [
            (0, "0"),
            (999, "999"),
            (1000, "1,000"),
            (1_234_567, "1,234,567"),
        ];
        for (number, text) in cases {
            assert_eq!(whole(number), text);
        }
    }

    #[test]
    fn bytes_take_the_unit_that_fits() {
        assert_eq!(bytes(1023), "1023 B");
        assert_eq!(bytes(1536), "1.5 KiB");
        assert_eq!(bytes(3 << 30), "3.0 GiB");
    }
}
