//! The flags that make a run one part of a larger one, of several processes or hosts.

use crate::cli::{Failure, print};
use crate::engine::Stop;
use crate::load::Stripe;
use crate::report::RunPart;
use clap::Args;
use std::time::{Duration, SystemTime};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// How long a wait is not looked after.
const LOOK_TIME: Duration = Duration::from_millis(50);

/// The flags of `load` that make it one of several.
#[derive(Args, Clone, Copy, Debug, Default)]
#[command(next_help_heading = "Several load clients")]
pub(in crate::cli) struct PartFlags {
    /// This is part I of N of one run, whose other flags are those of the whole: it has its share
    /// of -c and, of the one plan, every Nth message and connect. ringstorm merge makes one record
    /// of the parts.
    #[arg(long, value_name = "I/N", value_parser = part)]
    pub(super) part: Option<Stripe>,
    /// Begins then, as the other parts do: a time with its zone (2026-01-31T12:00:00Z), or seconds
    /// since 1970.
    #[arg(long, value_name = "TIME", value_parser = time_of_day)]
    start_at: Option<SystemTime>,
}

impl PartFlags {
    /// As the record has it.
    pub(super) fn recorded(&self) -> Option<RunPart> {
        let (number, of) = self.part?.place();
        Some(RunPart { number, of })
    }

    /// Which part of the run this is.
    pub(super) fn stripe(&self) -> Stripe {
        self.part.unwrap_or_default()
    }

    /// The part's connections, of so many of the whole.
    pub(super) fn connections(&self, whole: u32) -> Result<u32, Failure> {
        let share = self.stripe().share(u64::from(whole));
        match u32::try_from(share) {
            Ok(share) if share > 0 => Ok(share),
            _ => {
                let (part, parts) = self.stripe().place();
                Err(Failure::Usage(format!(
                    "--part: part {part} of {parts} has none of {whole} connections; raise -c, \
                     or take fewer parts"
                )))
            }
        }
    }

    /// Refuses a start that has passed.
    pub(super) fn check(&self) -> Result<(), Failure> {
        let late = self.start_at.and_then(|at| at.elapsed().ok());
        late.map_or(Ok(()), |late| {
            Err(Failure::Usage(format!(
                "--start-at: that was {:.1} s ago; name a time to come, on a host whose clock is \
                 right",
                late.as_secs_f64()
            )))
        })
    }

    /// Waits for the start; whether somebody asked to end meanwhile.
    pub(super) fn wait(&self, stop: &Stop, says: bool) -> bool {
        let left = || self.start_at?.duration_since(SystemTime::now()).ok();
        if let Some(left) = left().filter(|_| says) {
            print::note(format!("it starts in {:.1} s", left.as_secs_f64()));
        }
        while let Some(left) = left().filter(|_| !stop.is_thrown()) {
            std::thread::sleep(left.min(LOOK_TIME));
        }
        stop.is_thrown()
    }
}

fn part(text: &str) -> Result<Stripe, String> {
    let numbers = text.split_once('/').and_then(|(part, parts)| {
        let (part, parts): (u16, u16) = (part.trim().parse().ok()?, parts.trim().parse().ok()?);
        (1..=parts).contains(&part).then_some((part, parts))
    });
    let (part, parts) =
        numbers.ok_or("write I/N, part I from 1 to N of N, such as 2/4".to_owned())?;
    Ok(Stripe::new(part - 1, parts))
}

fn time_of_day(text: &str) -> Result<SystemTime, String> {
    let seconds = text.parse().ok().map(Duration::try_from_secs_f64);
    if let Some(since) = seconds {
        let time = since
            .ok()
            .and_then(|since| SystemTime::UNIX_EPOCH.checked_add(since));
        return time.ok_or("write seconds since 1970, such as 1800000000".to_owned());
    }
    OffsetDateTime::parse(text, &Rfc3339)
        .map(SystemTime::from)
        .map_err(|_| "write a time with its zone, such as 2026-01-31T12:00:00Z".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_one_of_so_many() {
        assert_eq!(part("1/1"), Ok(Stripe::WHOLE));
        assert_eq!(part("2/4").map(Stripe::place), Ok((2, 4)));
        for wrong in [
            "", "2", "0/4", "5/4", "1/0", "-1/2", "1/2/3", "1/70000", "a/b",
        ] {
            let why = part(wrong).expect_err(wrong);
            assert!(why.contains("such as 2/4"), "{wrong}: {why}");
        }
    }

    #[test]
    fn all_parts_together_have_all_connections() {
        for whole in [4, 5, 6, 7, 1_000_003] {
            let of = |n| {
                let part = Some(Stripe::new(n, 4));
                let flags = PartFlags {
                    part,
                    ..PartFlags::default()
                };
                flags.connections(whole).expect("a share")
            };
            assert_eq!((0..4).map(of).sum::<u32>(), whole);
        }
        let part = Some(Stripe::new(3, 4));
        let flags = PartFlags {
            part,
            ..PartFlags::default()
        };
        let Err(Failure::Usage(why)) = flags.connections(3) else {
            panic!("a part without a connection runs");
        };
        assert!(why.contains("part 4 of 4 has none of 3"), "{why}");
    }

    #[test]
    fn a_start_is_a_time_with_its_zone_or_unix_seconds() {
        let at = |text| {
            let time: SystemTime = time_of_day(text).unwrap_or_else(|why| panic!("{text}: {why}"));
            time.duration_since(SystemTime::UNIX_EPOCH)
                .expect("after it")
        };
        // RFC 3339, 5.8: both are the same moment.
        assert_eq!(
            at("1985-04-12T23:20:50.52Z"),
            at("1985-04-13T00:20:50.52+01:00")
        );
        assert_eq!(at("1985-04-12T23:20:50Z"), at("482196050"));
        assert_eq!(at("482196050.25").subsec_millis(), 250);
        for wrong in [
            "",
            "12:00",
            "2026-01-31T12:00:00",
            "tomorrow",
            "-5",
            "1e300",
            "nan",
        ] {
            assert!(time_of_day(wrong).is_err(), "{wrong}");
        }
    }
}
