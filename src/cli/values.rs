//! Reads values of flags as people write them: durations, counts, sizes, rates, lists of CPUs.
//! Every refusal shows what would do.

use crate::load::{Rate, Think};
use crate::protocol::websocket::closing;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::time::Duration;

/// A span of time: `10s`, `500ms`, `2m`, `1.5h`, `1h30m`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let (mut rest, mut sum, mut above) = (text, Duration::ZERO, f64::INFINITY);
    loop {
        let (number, after) = split(rest);
        let (unit, next) = after.split_at(
            after
                .find(|c: char| c.is_ascii_digit())
                .unwrap_or(after.len()),
        );
        let unit_s = match unit {
            "us" | "µs" => 1e-6,
            "ms" => 1e-3,
            "s" | "sec" => 1.0,
            "m" | "min" => 60.0,
            "h" => 3600.0,
            "d" => 86_400.0,
            _ => return Err(time_example()),
        };
        // `1h30m`, but neither `30m1h` nor `1h2h`.
        if unit_s >= above {
            return Err(time_example());
        }
        let number: f64 = number.parse().map_err(|_| time_example())?;
        let span = Duration::try_from_secs_f64(number * unit_s).map_err(|_| time_example())?;
        sum = sum.checked_add(span).ok_or_else(time_example)?;
        if next.is_empty() {
            return Ok(sum);
        }
        (rest, above) = (next, unit_s);
    }
}

fn time_example() -> String {
    "write numbers and their units, such as 500ms, 10s, 2m or 1h30m".to_owned()
}

/// A span of time, or `off`.
pub(super) fn duration_or_off(text: &str) -> Result<Switch, String> {
    if text == "off" {
        return Ok(Switch::Off);
    }
    match duration(text) {
        Ok(Duration::ZERO) => Ok(Switch::Off),
        Ok(span) => Ok(Switch::After(span)),
        Err(example) => Err(format!("{example}, or off")),
    }
}

/// The code that WebSockets are closed with when the server stops.
pub(super) fn drain_code(text: &str) -> Result<u16, String> {
    match text {
        "1001" => Ok(closing::GOING_AWAY),
        "1012" => Ok(closing::SERVICE_RESTART),
        _ => Err("write 1001 (going away) or 1012 (service restart)".to_owned()),
    }
}

/// A time-out that may be switched off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Switch {
    /// Never.
    Off,
    /// After that time.
    After(Duration),
}

/// A whole number of things: `64`, `10k`, `1.5M`, `100_000`.
pub(super) fn count(text: &str) -> Result<u64, String> {
    scaled(text, 1000).ok_or_else(|| "write a whole number, such as 64, 10k or 1M".to_owned())
}

/// A part of all: `1%`, `0.1%`, or `0.01` of 1.
pub(super) fn share(text: &str) -> Result<f64, String> {
    let (number, percent) = match text.strip_suffix('%') {
        Some(number) => (number.trim_end(), 100.0),
        None => (text, 1.0),
    };
    let is_plain = number.chars().all(|c| c.is_ascii_digit() || c == '.');
    let share = number.parse().ok().filter(|_: &f64| is_plain);
    share
        .map(|share: f64| share / percent)
        .filter(|share| *share <= 1.0)
        .ok_or_else(|| "write a part of all from 0% to 100%, such as 1% or 0.1%".to_owned())
}

/// As [`count`], for what fits in 32 bits and is at least 1.
pub(super) fn count_u32(text: &str) -> Result<u32, String> {
    let number = u32::try_from(count(text)?);
    number
        .ok()
        .filter(|&number| number > 0)
        .ok_or_else(|| "write a number from 1 to 4 billion, such as 64 or 10k".to_owned())
}

/// A number of bytes: `512`, `64k` (65,536), `4M`.
pub(super) fn size(text: &str) -> Result<usize, String> {
    let plain = text.strip_suffix("iB").or_else(|| text.strip_suffix('B'));
    scaled(plain.unwrap_or(text), 1024)
        .and_then(|bytes| usize::try_from(bytes).ok())
        .ok_or_else(|| "write a number of bytes, such as 512, 64k or 4M".to_owned())
}

/// Things a second: `500`, `20k`, `0.5`.
pub(super) fn rate(text: &str) -> Result<Rate, String> {
    let (number, unit) = split(text.strip_suffix("/s").unwrap_or(text));
    let factor = match unit {
        "" => 1.0,
        "k" | "K" => 1e3,
        "M" | "m" => 1e6,
        "G" | "g" => 1e9,
        _ => f64::NAN,
    };
    let number: f64 = number.replace('_', "").parse().unwrap_or(f64::NAN);
    Rate::per_second(number * factor).ok_or_else(|| {
        "write a number a second from 0.001 to 1G, such as 500, 20k or 0.5".to_owned()
    })
}

/// A rate and how long it takes or lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Level {
    /// In thousandths of a piece a second; may be 0.
    pub(super) milli: u64,
    pub(super) lasts: Duration,
}

/// Stages as typed. A type of its own, because clap takes a list for a flag given several times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Levels(pub(super) Vec<Level>);

/// A rate and a time: `10k,30s`; the rate may be 0.
pub(super) fn level(text: &str) -> Result<Level, String> {
    let example = || "write a rate and a time, such as 10k,30s".to_owned();
    let (rate, lasts) = text.split_once(',').ok_or_else(example)?;
    let rate = rate.trim();
    let milli = if rate.trim_end_matches("/s") == "0" {
        0
    } else {
        Rate::milli_per_second(self::rate(rate)?)
    };
    let lasts = duration(lasts.trim())?;
    Ok(Level { milli, lasts })
}

/// Rates and times: `10k,30s;100k,2m`.
pub(super) fn stages(text: &str) -> Result<Levels, String> {
    let levels: Result<Vec<Level>, String> = text.split(';').map(level).collect();
    let levels = levels.map_err(|_| "write rates and times, such as \"10k,30s;100k,2m\"");
    Ok(Levels(levels?))
}

/// A time or a range of times: `100ms`, `50ms-2s`.
pub(super) fn think(text: &str) -> Result<Think, String> {
    let example = |_| "write a time or a range of times, such as 100ms or 50ms-2s".to_owned();
    let (least, most) = text.split_once('-').unwrap_or((text, text));
    let least = duration(least).map_err(example)?;
    let most = duration(most).map_err(example)?;
    if most < least {
        return Err("write the shorter time first, such as 50ms-2s".to_owned());
    }
    Ok(Think { least, most })
}

/// The kernel's CPU numbers: `0`, `0-3,6`; sorted, each once.
pub(super) fn cpus(text: &str) -> Result<Cpus, String> {
    let example = || "write CPU numbers and ranges, such as 0 or 0-3,6".to_owned();
    let mut cpus = Vec::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let number = |text: &str| text.parse::<u16>().map_err(|_| example());
        let (first, last) = (number(first)?, number(last)?);
        if first > last {
            return Err(example());
        }
        cpus.extend((first..=last).map(usize::from));
    }
    cpus.sort_unstable();
    cpus.dedup();
    Ok(Cpus(cpus))
}

/// CPUs as typed: sorted, each once, at least one. A type of its own, because clap takes a list
/// for a flag that may be given several times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cpus(pub(super) Vec<usize>);

/// A header field: `Name: value`.
pub(super) fn header(text: &str) -> Result<(String, String), String> {
    let example = || "write it as \"Name: value\", such as \"Cookie: a=1\"".to_owned();
    let (name, value) = text.split_once(':').ok_or_else(example)?;
    if name.is_empty() || !name.chars().all(is_token) || value.contains(['\r', '\n', '\0']) {
        return Err(example());
    }
    Ok((name.to_owned(), value.trim().to_owned()))
}

/// The name of a subprotocol (RFC 6455, 4.1: a token of RFC 9110, 5.6.2).
pub(super) fn token(text: &str) -> Result<String, String> {
    let name = text.trim_matches([' ', '\t']);
    // Braces are no part of a token: a load fills in what is between them.
    let is_fitting = |c: char| is_token(c) || "{}".contains(c);
    if name.is_empty() || !name.chars().all(is_fitting) {
        return Err("write a name without blanks, such as chat or mqtt".to_owned());
    }
    Ok(name.to_owned())
}

/// What tokens consist of (RFC 9110, 5.6.2).
fn is_token(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c)
}

/// A cookie: `name=value` (RFC 6265, 4.2.1).
pub(super) fn cookie(text: &str) -> Result<String, String> {
    let example = || "write it as NAME=VALUE, such as session=abc".to_owned();
    let (name, value) = text.split_once('=').ok_or_else(example)?;
    let is_plain = |c: char| c.is_ascii_graphic() && !";,".contains(c);
    if name.is_empty() || !name.chars().chain(value.chars()).all(is_plain) {
        return Err(example());
    }
    Ok(text.to_owned())
}

/// The value of a header field that has no room for another.
pub(super) fn field(text: &str) -> Result<String, String> {
    if text.is_empty() || !text.chars().all(|c| c.is_ascii_graphic() || c == ' ') {
        return Err("write one line of ASCII, such as https://example.org or abc123".to_owned());
    }
    Ok(text.to_owned())
}

/// `user:password`, as `Authorization: Basic` has it (RFC 7617): base64 of its UTF-8.
pub(super) fn basic(text: &str) -> Result<String, String> {
    match text.split_once(':') {
        Some((user, _)) if !user.is_empty() && !text.contains(char::is_control) => {
            Ok(STANDARD.encode(text))
        }
        _ => Err("write it as USER:PASSWORD, such as ann:secret".to_owned()),
    }
}

fn scaled(text: &str, thousand: u32) -> Option<u64> {
    let (number, unit) = split(text);
    let power = match unit {
        "" => 0,
        "k" | "K" => 1,
        "m" | "M" => 2,
        "g" | "G" => 3,
        _ => return None,
    };
    let factor = u64::from(thousand).pow(power);
    let number = number.replace('_', "");
    match number.split_once('.') {
        None => number.parse::<u64>().ok()?.checked_mul(factor),
        Some((whole, part)) => {
            // `1.5k` is exact; a part that is no whole number of things is refused.
            let digits = u32::try_from(part.len())
                .ok()
                .filter(|&digits| digits <= 9)?;
            let denominator = 10_u64.pow(digits);
            let part = part.parse::<u64>().ok()?.checked_mul(factor)?;
            let whole = whole.parse::<u64>().ok()?.checked_mul(factor)?;
            (part % denominator == 0).then(|| whole.checked_add(part / denominator))?
        }
    }
}

/// The number and what follows it.
fn split(text: &str) -> (&str, &str) {
    let is_number = |c: char| c.is_ascii_digit() || c == '.' || c == '_';
    text.split_at(text.find(|c| !is_number(c)).unwrap_or(text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_needs_its_unit() {
        assert_eq!(duration("10s"), Ok(Duration::from_secs(10)));
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("1.5m"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("1h30m"), Ok(Duration::from_secs(5400)));
        assert_eq!(duration("1m0.5s250ms"), Ok(Duration::from_millis(60_750)));
        assert_eq!(duration("1d"), Ok(Duration::from_secs(86_400)));
        for wrong in [
            "10",
            "",
            "s",
            "-1s",
            "1w",
            "1e3s",
            "1h30",
            "30m1h",
            "1h1h",
            "1h 30m",
            "1hs",
            "1..2s",
            "99999999999999999999h",
        ] {
            assert!(
                duration(wrong).is_err_and(|text| text.contains("10s")),
                "{wrong}"
            );
        }
        assert_eq!(duration_or_off("off"), Ok(Switch::Off));
        assert_eq!(
            duration_or_off("1s"),
            Ok(Switch::After(Duration::from_secs(1)))
        );
    }

    #[test]
    fn a_share_is_a_percentage_or_a_part_of_one() {
        assert_eq!(share("1%"), Ok(0.01));
        assert_eq!(share("0%"), Ok(0.0));
        assert_eq!(share("100%"), Ok(1.0));
        assert_eq!(share("0.25"), Ok(0.25));
        for wrong in ["", "%", "-1%", "101%", "5", "inf", "nan", "1e-3", "1%%"] {
            assert!(share(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn counts_and_sizes_have_their_own_thousand() {
        assert_eq!(count("10k"), Ok(10_000));
        assert_eq!(count("1.5k"), Ok(1500));
        assert_eq!(count("100_000"), Ok(100_000));
        assert_eq!(size("64k"), Ok(65_536));
        assert_eq!(size("1MiB"), Ok(1 << 20));
        for wrong in ["", "k", "-1", "1.5", "1e3", "10q", "99999999999G"] {
            assert!(count(wrong).is_err(), "{wrong}");
            assert!(size(wrong).is_err(), "{wrong}");
        }
        assert!(count_u32("0").is_err());
        assert!(count_u32("5G").is_err());
    }

    #[test]
    fn a_rate_may_be_a_fraction() {
        assert_eq!(rate("20k"), rate("20000/s"));
        assert!(rate("0.5").is_ok() && rate("1G").is_ok());
        for wrong in ["0", "-1", "x", "", "1q", "2G"] {
            assert!(rate(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn cpus_are_numbers_and_ranges() {
        assert_eq!(cpus("0-3,6"), Ok(Cpus(vec![0, 1, 2, 3, 6])));
        assert_eq!(cpus("1,0,1"), Ok(Cpus(vec![0, 1])));
        for wrong in ["", "a", "3-1", "0-", ",", "-1", "0-99999999"] {
            assert!(cpus(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_user_and_his_password_are_base64_of_rfc_7617() {
        assert_eq!(
            basic("Aladdin:open sesame"),
            Ok("QWxhZGRpbjpvcGVuIHNlc2FtZQ==".to_owned())
        );
        assert_eq!(basic("a:"), Ok("YTo=".to_owned()));
        assert_eq!(basic("a:bc"), Ok("YTpiYw==".to_owned()));
        assert_eq!(basic("ab:cde"), Ok("YWI6Y2Rl".to_owned()));
        for wrong in ["", "a", ":b", "a:\n"] {
            assert!(basic(wrong).is_err_and(|text| text.contains("ann:secret")));
        }
    }

    #[test]
    fn cookies_and_tokens_cannot_smuggle_another() {
        assert_eq!(cookie("a=b=c"), Ok("a=b=c".to_owned()));
        for wrong in ["", "a", "=b", "a=b; c=d", "a=b\r\n", "a=b c"] {
            assert!(
                cookie(wrong).is_err_and(|text| text.contains("session=abc")),
                "{wrong}"
            );
        }
        assert!(field("a\r\nB: c").is_err() && field("").is_err() && field("a b").is_ok());
    }

    #[test]
    fn a_header_cannot_smuggle_another() {
        assert_eq!(header("A: b"), Ok(("A".to_owned(), "b".to_owned())));
        for wrong in ["A", ": b", "A b: c", "A: b\r\nC: d"] {
            assert!(header(wrong).is_err(), "{wrong}");
        }
    }
}
