//! The flags that say when: at what pace connections are made and messages are sent.

use crate::cli::Failure;
use crate::cli::values::{self, Level, Levels};
use crate::load::config::IN_FLIGHT_DEFAULT;
use crate::load::{Buckets, Loop, Pace, Poisson, Rate, Stage, Stages, StagesError, Stripe, Think};
use clap::Args;
use std::time::Duration;

/// The measured time where neither a flag nor stages say it.
const DURATION_DEFAULT: Duration = Duration::from_secs(10);
/// What keeps the arrivals of connects apart from those of messages, with one seed.
const CONNECTS: u64 = 0x636f_6e6e_6563_7473;

/// The flags of `load` that make its paces.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Pace of messages")]
pub(in crate::cli) struct PaceFlags {
    /// Messages a second in all, at intended times (open loop) [default: each after its reply].
    #[arg(short = 'r', long, value_name = "N", value_parser = values::rate)]
    rate: Option<Rate>,
    /// Messages a second on each connection, at intended times.
    #[arg(long, value_name = "N", value_parser = values::rate)]
    #[arg(conflicts_with_all = ["rate", "stages", "poisson", "spike", "soak", "burst"])]
    rate_per_connection: Option<Rate>,
    /// Rates over time: "10k,30s;100k,2m" goes in a straight line from 0, or from --rate, to 10k a
    /// second in 30 s, then to 100k in 2 min. A time of 0s jumps. The last rate holds.
    #[arg(long, value_name = "RATE,TIME;...", value_parser = values::stages)]
    stages: Option<Levels>,
    /// The rate jumps from --rate to this one and back, once, in the middle: "50k,10s".
    #[arg(long, value_name = "RATE,TIME", value_parser = values::level)]
    #[arg(requires = "rate", conflicts_with_all = ["stages", "soak"])]
    spike: Option<Level>,
    /// Rises to --rate over this time, holds it, and falls over this time at the end.
    #[arg(long, value_name = "TIME", value_parser = values::duration)]
    #[arg(requires = "rate", conflicts_with = "stages")]
    soak: Option<Duration>,
    /// Independent arrivals (exponential gaps, by the seed) at the rate or stages.
    #[arg(long)]
    poisson: bool,
    /// So many messages at once, every --send-bucket-ms.
    #[arg(long, value_name = "N", value_parser = values::count_u32, requires = "send_bucket_ms")]
    #[arg(conflicts_with_all = ["rate", "stages", "poisson", "rate_per_connection"])]
    send_bucket_size: Option<u32>,
    /// Milliseconds from one bucket of messages to the next.
    #[arg(long, value_name = "MS", value_parser = values::count_u32)]
    #[arg(requires = "send_bucket_size")]
    send_bucket_ms: Option<u32>,
    /// Consecutive messages of the plan that go to one connection before the next one's turn.
    #[arg(long, value_name = "N", default_value = "1", value_parser = values::count_u32)]
    burst: u32,
    /// Messages of the plan leave in turns this far apart at least: a longer tick saves CPU, and
    /// adds up to itself to `slip` [default: 50us; 100us from 200k messages a second on a core].
    #[arg(long, value_name = "TIME", value_parser = values::duration)]
    #[arg(conflicts_with = "think")]
    tick: Option<Duration>,
    /// Closed loop: time from a reply to the next message, fixed or random: 100ms, 50ms-2s.
    #[arg(long, value_name = "TIME", value_parser = values::think)]
    #[arg(conflicts_with_all = ["rate", "stages", "rate_per_connection", "send_bucket_size"])]
    think: Option<Think>,
    /// Messages in flight on one connection at most [default: 1, or 1024 in an open loop].
    #[arg(long, value_name = "N", value_parser = values::count_u32)]
    pipeline: Option<u32>,

    /// Connects a second [default: as fast as they succeed].
    #[arg(long, value_name = "N", value_parser = values::rate)]
    #[arg(help_heading = "Pace of connects")]
    connect_rate: Option<Rate>,
    /// Connects a second over time, as --stages.
    #[arg(long, value_name = "RATE,TIME;...", value_parser = values::stages)]
    #[arg(help_heading = "Pace of connects")]
    connect_stages: Option<Levels>,
    /// Independent arrivals of connects at --connect-rate or --connect-stages.
    #[arg(long, help_heading = "Pace of connects")]
    connect_poisson: bool,
    /// So many connects at once, every --bucket-ms.
    #[arg(short = 'b', long, value_name = "N", value_parser = values::count_u32)]
    #[arg(requires = "bucket_ms", help_heading = "Pace of connects")]
    #[arg(conflicts_with_all = ["connect_rate", "connect_stages", "connect_poisson"])]
    bucket_size: Option<u32>,
    /// Milliseconds from one bucket of connects to the next.
    #[arg(short = 'm', long, value_name = "MS", value_parser = values::count_u32)]
    #[arg(requires = "bucket_size", help_heading = "Pace of connects")]
    bucket_ms: Option<u32>,
}

/// What a run's paces depend on beside their own flags.
#[derive(Clone, Copy, Debug)]
pub(super) struct RunFrame {
    pub(super) connections: u32,
    pub(super) warm_up: Duration,
    /// As typed.
    pub(super) duration: Option<Duration>,
    pub(super) seed: u64,
    /// What is this process's of the plans of messages and connects.
    pub(super) part: Stripe,
}

impl PaceFlags {
    /// The measured time: as typed, or what stages leave of it after the warm-up.
    pub(super) fn duration(&self, frame: &RunFrame) -> Duration {
        let stages = self.stages.as_ref();
        let planned = stages.map(|levels| levels.0.iter().map(|level| level.lasts).sum());
        let left = planned.map(|all: Duration| all.saturating_sub(frame.warm_up));
        frame
            .duration
            .or(left.filter(|left| !left.is_zero()))
            .unwrap_or(DURATION_DEFAULT)
    }

    /// Whether messages have a plan or a think time, which only those who send can follow.
    pub(super) fn typed(&self) -> Option<&'static str> {
        [
            ("--rate", self.rate.is_some()),
            ("--rate-per-connection", self.rate_per_connection.is_some()),
            ("--stages", self.stages.is_some()),
            ("--send-bucket-size", self.send_bucket_size.is_some()),
            ("--think", self.think.is_some()),
        ]
        .into_iter()
        .find_map(|(name, is_typed)| is_typed.then_some(name))
    }

    /// The flag of a plan by chance, if there is one.
    pub(super) fn by_chance(&self) -> Option<&'static str> {
        let flags = [
            ("--poisson", self.poisson),
            ("--connect-poisson", self.connect_poisson),
        ];
        flags
            .into_iter()
            .find_map(|(name, is_typed)| is_typed.then_some(name))
    }

    /// Whether messages follow their replies rather than a plan.
    pub(super) fn is_closed(&self) -> bool {
        self.typed().is_none_or(|flag| flag == "--think")
    }

    /// When messages are sent.
    pub(super) fn messages(&self, frame: &RunFrame) -> Result<Loop, Failure> {
        if self.tick.is_some() && self.is_closed() {
            return Err(usage("--tick", "there is no plan to follow; add -r 1000"));
        }
        if let Some(rate) = self.rate_per_connection {
            let all = rate.times(frame.connections);
            let pace = all.map(Pace::Constant).ok_or_else(|| {
                usage(
                    "--rate-per-connection",
                    "all together are beyond 1G a second",
                )
            })?;
            return Ok(Loop::PerConnection { pace });
        }
        if let Some(think) = self.think {
            return Ok(Loop::Thinking(think));
        }
        let burst = self.burst;
        if let Some(buckets) = buckets(self.send_bucket_size, self.send_bucket_ms) {
            let pace = Pace::Buckets(buckets).part(frame.part);
            return Ok(Loop::Open { pace, burst });
        }
        if self.poisson && self.rate.is_none() && self.stages.is_none() {
            return Err(usage(
                "--poisson",
                "it needs a rate; add -r 1000, or --stages",
            ));
        }
        let poisson = self.poisson.then_some(frame.seed);
        let pace = match self.curve(frame) {
            None => match (self.rate, poisson) {
                (None, _) => return Ok(Loop::Closed),
                (Some(rate), None) => Pace::Constant(rate),
                (Some(rate), Some(_)) => {
                    pace(Stages::hold(rate.milli_per_second()), poisson, "--rate")?
                }
            },
            Some((flag, stages)) => pace(stages, poisson, flag)?,
        };
        let pace = pace.part(frame.part);
        Ok(Loop::Open { pace, burst })
    }

    /// Messages in flight on one connection at most.
    pub(super) fn in_flight(&self, messages: &Loop) -> u32 {
        self.pipeline.unwrap_or(match messages {
            Loop::Open { .. } | Loop::PerConnection { .. } => IN_FLIGHT_DEFAULT,
            Loop::Closed | Loop::Thinking(_) => 1,
        })
    }

    /// From one turn for messages of the plan to the next, at least.
    pub(super) fn tick(&self) -> Option<Duration> {
        self.tick
    }

    /// When connects start; `None`: as fast as they succeed.
    pub(super) fn connects(&self, frame: &RunFrame) -> Result<Option<Pace>, Failure> {
        if let Some(buckets) = buckets(self.bucket_size, self.bucket_ms) {
            return Ok(Some(Pace::Buckets(buckets).part(frame.part)));
        }
        let poisson = self.connect_poisson.then_some(frame.seed ^ CONNECTS);
        let (flag, stages) = match (&self.connect_stages, self.connect_rate) {
            (Some(Levels(levels)), rate) => {
                let stages = Stages::new(rate.map_or(0, Rate::milli_per_second), &staged(levels));
                ("--connect-stages", stages)
            }
            (None, Some(rate)) if poisson.is_none() => {
                return Ok(Some(Pace::Constant(rate).part(frame.part)));
            }
            (None, Some(rate)) => ("--connect-rate", Stages::hold(rate.milli_per_second())),
            (None, None) if poisson.is_none() => return Ok(None),
            (None, None) => {
                let text = "it needs a rate; add --connect-rate 1000, or --connect-stages";
                return Err(usage("--connect-poisson", text));
            }
        };
        let pace = pace(stages, poisson, flag)?.part(frame.part);
        // A plan that ends at 0 may never come to the last connection.
        if pace.offset_ns(u64::from(frame.connections) - 1) == u64::MAX {
            let text = "the stages end before all are connected; end them above 0, or lower -c";
            return Err(usage(flag, text));
        }
        Ok(Some(pace))
    }

    /// The rate over time, if it is not constant, with the flag that says so.
    fn curve(&self, frame: &RunFrame) -> Option<(&'static str, Result<Stages, StagesError>)> {
        let base = self.rate.map_or(0, Rate::milli_per_second);
        let whole = frame.warm_up + self.duration(frame);
        let stage = |target_milli, lasts| Stage {
            target_milli,
            lasts,
        };
        if let Some(Levels(levels)) = &self.stages {
            return Some(("--stages", Stages::new(base, &staged(levels))));
        }
        if let Some(peak) = self.spike {
            let middle = frame.warm_up + self.duration(frame) / 2;
            let before = middle.saturating_sub(peak.lasts / 2);
            let stages = [
                stage(base, before),
                stage(peak.milli, Duration::ZERO),
                stage(peak.milli, peak.lasts),
                stage(base, Duration::ZERO),
            ];
            return Some(("--spike", Stages::new(base, &stages)));
        }
        let ramp = self.soak?.min(whole / 2);
        let held = whole - 2 * ramp;
        let stages = [stage(base, ramp), stage(base, held), stage(0, ramp)];
        Some(("--soak", Stages::new(0, &stages)))
    }
}

fn pace(
    stages: Result<Stages, StagesError>,
    poisson: Option<u64>,
    flag: &str,
) -> Result<Pace, Failure> {
    let stages = stages.map_err(|error| usage(flag, &error.to_string()))?;
    Ok(match poisson {
        Some(seed) => Pace::from(Poisson::new(stages, seed)),
        None => Pace::from(stages),
    })
}

fn staged(levels: &[Level]) -> Vec<Stage> {
    let stage = |level: &Level| Stage {
        target_milli: level.milli,
        lasts: level.lasts,
    };
    levels.iter().map(stage).collect()
}

fn buckets(size: Option<u32>, ms: Option<u32>) -> Option<Buckets> {
    let every = Duration::from_millis(u64::from(ms?));
    Buckets::new(u64::from(size?), every)
}

fn usage(flag: &str, why: &str) -> Failure {
    Failure::Usage(format!("{flag}: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Typed {
        #[command(flatten)]
        pace: PaceFlags,
    }

    const FRAME: RunFrame = RunFrame {
        connections: 10,
        warm_up: Duration::ZERO,
        duration: None,
        seed: 1,
        part: Stripe::WHOLE,
    };

    fn typed(line: &str) -> PaceFlags {
        let argv = std::iter::once("load").chain(line.split_whitespace());
        Typed::try_parse_from(argv)
            .unwrap_or_else(|error| panic!("{error}"))
            .pace
    }

    fn described(line: &str) -> String {
        match typed(line).messages(&FRAME).unwrap() {
            Loop::Open { pace, burst } => format!("open {burst} {pace}"),
            Loop::PerConnection { pace } => format!("seated {pace}"),
            Loop::Closed => "closed".to_owned(),
            Loop::Thinking(think) => format!("thinking {:?}..{:?}", think.least, think.most),
        }
    }

    #[test]
    fn each_flag_makes_its_pace() {
        for (line, is) in [
            ("", "closed"),
            ("-r 20k", "open 1 constant 20000/s"),
            ("-r 20k --burst 8", "open 8 constant 20000/s"),
            ("-r 20k --poisson", "open 1 Poisson 20000/s"),
            ("--rate-per-connection 2", "seated constant 20/s"),
            ("--think 100ms", "thinking 100ms..100ms"),
            ("--think 50ms-2s", "thinking 50ms..2s"),
            (
                "--stages 10,1s;5,0s",
                "open 1 stages 0/s, to 10/s in 1 s, at once 5/s",
            ),
            ("-r 10 --stages 10,1s", "open 1 stages 10/s, held 1 s"),
            (
                "-r 10 --spike 50,2s",
                "open 1 stages 10/s, held 4 s, at once 50/s, held 2 s, at once 10/s",
            ),
            (
                "-r 10 --soak 1s",
                "open 1 stages 0/s, to 10/s in 1 s, held 8 s, to 0/s in 1 s",
            ),
            (
                "--send-bucket-size 100 --send-bucket-ms 20",
                "open 1 buckets of 100 every 20 ms",
            ),
        ] {
            assert_eq!(described(line), is, "{line}");
        }
    }

    #[test]
    fn connects_have_paces_of_their_own() {
        let described = |line: &str| {
            let pace = typed(line).connects(&FRAME).unwrap();
            pace.map(|pace| pace.to_string()).unwrap_or_default()
        };
        assert_eq!(described(""), "");
        assert_eq!(described("--connect-rate 500"), "constant 500/s");
        assert_eq!(described("-b 50 -m 100"), "buckets of 50 every 100 ms");
        assert_eq!(
            described("--connect-stages 5,10s --connect-poisson"),
            "Poisson 0/s, to 5/s in 10 s"
        );
    }

    #[test]
    fn stages_say_how_long_a_run_is_unless_it_is_typed() {
        let flags = typed("--stages 10,30s;20,1m");
        let frame = |warm_up, duration| RunFrame {
            warm_up: Duration::from_secs(warm_up),
            duration: Option::map(duration, Duration::from_secs),
            ..FRAME
        };
        let seconds = |frame: &RunFrame| flags.duration(frame).as_secs();
        assert_eq!(seconds(&frame(0, None)), 90);
        assert_eq!(seconds(&frame(10, None)), 80);
        assert_eq!(seconds(&frame(10, Some(5))), 5);
        assert_eq!(typed("").duration(&FRAME), DURATION_DEFAULT);
    }

    #[test]
    fn what_cannot_be_meant_is_refused_with_what_would_do() {
        let refused = |line: &str| {
            let flags = typed(line);
            let (messages, connects) = (flags.messages(&FRAME), flags.connects(&FRAME));
            let error = messages.map(|_| ()).and(connects.map(|_| ())).unwrap_err();
            error.to_string()
        };
        for (line, remedy) in [
            ("--poisson", "-r 1000"),
            ("--connect-poisson", "--connect-rate 1000"),
            ("--stages 0,10s", "give one a target"),
            ("--connect-stages 2,1s;0,1s", "lower -c"),
            ("--rate-per-connection 500M", "beyond 1G"),
        ] {
            let error = refused(line);
            assert!(error.contains(remedy), "{line}: {error}");
        }
        for line in [
            "-b 5",
            "-r 5 --think 1s",
            "--spike 5,1s",
            "--stages x",
            "--think 2s-1s",
        ] {
            let argv = std::iter::once("load").chain(line.split_whitespace());
            assert!(Typed::try_parse_from(argv).is_err(), "{line}");
        }
    }
}
