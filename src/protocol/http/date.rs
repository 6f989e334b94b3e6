//! Writes and reads times of day as HTTP does: `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110, 5.6.7).

/// Bytes of a date.
pub const DATE_BYTES: usize = 29;

const DAYS: [&[u8; 3]; 7] = [b"Thu", b"Fri", b"Sat", b"Sun", b"Mon", b"Tue", b"Wed"];
const MONTHS: [&[u8; 3]; 12] = [
    b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec",
];
const SECONDS_OF_A_DAY: u64 = 86_400;
/// The last second of the year 9999: the form has four digits for a year.
const LAST: u64 = 253_402_300_799;

/// The date of that many seconds since 1970, in UTC; later than the year 9999 is its end.
#[must_use]
pub fn imf_fixdate(unix_s: u64) -> [u8; DATE_BYTES] {
    let unix_s = unix_s.min(LAST);
    let (days, second) = (unix_s / SECONDS_OF_A_DAY, unix_s % SECONDS_OF_A_DAY);
    let (year, month, day) = civil(days);
    let name = |names: &[&[u8; 3]], at: u64| {
        let at = usize::try_from(at).unwrap_or_default();
        names.get(at).map_or(*b"   ", |name| **name)
    };
    let weekday = name(&DAYS, days % 7);
    let month = name(&MONTHS, month - 1);
    let mut text = *b"Thu, 01 Jan 1970 00:00:00 GMT";
    for (at, part) in [
        (0, &weekday[..]),
        (5, &two(day)),
        (8, &month),
        (12, &two(year / 100)),
        (14, &two(year % 100)),
        (17, &two(second / 3600)),
        (20, &two(second / 60 % 60)),
        (23, &two(second % 60)),
    ] {
        if let Some(place) = text.get_mut(at..at + part.len()) {
            place.copy_from_slice(part);
        }
    }
    text
}

/// The seconds since 1970 of a date in any of the three forms that a recipient must accept (RFC
/// 9110, 5.6.7); `None` for what is none, or before 1970.
#[must_use]
pub fn parse(text: &str) -> Option<u64> {
    let separators = |c: char| matches!(c, ' ' | ',' | '-');
    let mut words = text.split(separators).filter(|word| !word.is_empty());
    let weekday = words.next()?;
    if !DAYS.iter().any(|day| weekday.as_bytes().starts_with(*day)) {
        return None;
    }
    let words: Vec<&str> = words.take(6).collect();
    let (day, month, year, time) = match *words.as_slice() {
        // Sun, 06 Nov 1994 08:49:37 GMT and Sunday, 06-Nov-94 08:49:37 GMT
        [day, month, year, time, "GMT"] => (day, month, year, time),
        // Sun Nov  6 08:49:37 1994
        [month, day, time, year] => (day, month, year, time),
        _ => return None,
    };
    let number = |text: &str| {
        let is_number = text.bytes().all(|byte| byte.is_ascii_digit()) && text.len() <= 4;
        is_number.then(|| text.parse::<u64>().ok()).flatten()
    };
    let month = MONTHS.iter().position(|name| month.as_bytes() == *name)?;
    let month = u64::try_from(month).ok()? + 1;
    let year = match (number(year)?, year.len()) {
        // Two digits are those of a year that is not far.
        (year @ 0..70, 2) => 2000 + year,
        (year, 2) => 1900 + year,
        (year @ 1970.., 4) => year,
        _ => return None,
    };
    let mut clock = time.split(':').map(number);
    let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next()??);
    let day = number(day)?;
    // A leap second is written as :60.
    let is_time = hour < 24 && minute < 60 && second <= 60 && clock.next().is_none();
    if !is_time || !(1..=31).contains(&day) {
        return None;
    }
    let days = days_until(year, month, day);
    Some(days * SECONDS_OF_A_DAY + hour * 3600 + minute * 60 + second)
}

/// Days from 1970-01-01 to a day of the Gregorian calendar, as in [`civil`] (Hinnant,
/// `days_from_civil`).
const fn days_until(year: u64, month: u64, day: u64) -> u64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year / 400, year % 400);
    let march_month = if month > 2 { month - 3 } else { month + 9 };
    let of_year = (153 * march_month + 2) / 5 + day - 1;
    let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year;
    days - 719_468
}

/// The day of the Gregorian calendar that is so many after 1970-01-01: year, month and day from 1.
/// Years are counted from March, so that a leap day comes last (Hinnant, `civil_from_days`).
const fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 {
        march_month + 3
    } else {
        march_month - 9
    };
    let year = year_of_era + era * 400 + if month <= 2 { 1 } else { 0 };
    (year, month, day)
}

fn two(number: u64) -> [u8; 2] {
    let digit = |number: u64| b'0' + u8::try_from(number % 10).unwrap_or_default();
    [digit(number / 10), digit(number)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(unix_s: u64) -> String {
        String::from_utf8(imf_fixdate(unix_s).to_vec()).unwrap()
    }

    #[test]
    fn a_date_is_written_as_rfc_9110_writes_it() {
        // RFC 9110, 5.6.7 has the second one; the others are from GNU date.
        for (unix_s, wanted) in [
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"),
            (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"),
            (1_709_251_199, "Thu, 29 Feb 2024 23:59:59 GMT"),
            (4_107_542_400, "Mon, 01 Mar 2100 00:00:00 GMT"),
            (LAST, "Fri, 31 Dec 9999 23:59:59 GMT"),
            (u64::MAX, "Fri, 31 Dec 9999 23:59:59 GMT"),
        ] {
            assert_eq!(text(unix_s), wanted);
        }
    }

    #[test]
    fn a_date_is_read_in_all_three_forms_and_what_is_none_is_refused() {
        for date in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
        ] {
            assert_eq!(parse(date), Some(784_111_777), "{date}");
        }
        // Two digits are of a year that is not far: 2000 to 2069, 1970 to 1999.
        for (date, unix_s) in [
            ("Tuesday, 06-Nov-35 08:49:37 GMT", 2_077_951_777),
            ("Tuesday, 31-Dec-69 23:59:59 GMT", 3_155_759_999),
            ("Thursday, 01-Jan-70 00:00:00 GMT", 0),
        ] {
            assert_eq!(parse(date), Some(unix_s), "{date}");
        }
        for unix_s in (0..LAST).step_by(86_400 * 97 + 12_345) {
            assert_eq!(parse(&text(unix_s)), Some(unix_s));
        }
        for none in [
            "",
            "120",
            "Sun, 06 Nov 1994 08:49:37 CET",
            "Sun, 06 Nov 1994 24:49:37 GMT",
            "Sun, 06 Nov 1994 08:49 GMT",
            "Sun, 00 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nix 1994 08:49:37 GMT",
            "Sun, 06 Nov 1969 08:49:37 GMT",
            "Sun, 06 Nov 99999999999999999999 08:49:37 GMT",
            "Foo, 06 Nov 1994 08:49:37 GMT",
        ] {
            assert_eq!(parse(none), None, "{none}");
        }
    }

    #[test]
    fn days_follow_each_other() {
        let mut before = (1970, 1, 0);
        for days in 0..200_000 {
            let (year, month, day) = civil(days);
            let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            assert!(day >= 1 && day <= if month == 2 && !is_leap { 28 } else { 31 });
            let next = (year, month, day) == (before.0, before.1, before.2 + 1);
            let month_turns = day == 1 && (year, month) == (before.0, before.1 + 1);
            let year_turns = (year, month, day, before.1) == (before.0 + 1, 1, 1, 12);
            assert!(
                next || month_turns || year_turns,
                "{before:?} {year} {month} {day}"
            );
            before = (year, month, day);
        }
    }
}
