//! Thresholds: what a run has to keep to, written as `metric op value`, and how it did.

use super::comparison::Op;
use super::figures::{float, rate, rounded, span, whole};
use super::metric::{Figure, Metrics, Unit};
use super::record::{Facts, Record};
use super::verdict::Verdict;
use crate::load::Config;
use crate::load::outcome::Outcome;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A threshold as typed: `response.p99<50ms`, `errors<0.1%`, `messages.replied_per_s>=19k`.
#[derive(Clone, Debug, PartialEq)]
pub struct Threshold {
    text: String,
    metric: String,
    op: Op,
    number: f64,
    suffix: String,
}

/// Why a threshold cannot be meant; each text shows one that can.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ThresholdError {
    /// It is not `metric op value`.
    #[error("{0}: write metric, one of < <= > >= ==, and a value, such as response.p99<50ms")]
    Syntax(String),
    /// A run of this kind has no such metric.
    #[error("{text}: there is no metric {metric} in this run; there are: {known}")]
    Unknown {
        /// The threshold.
        text: String,
        /// What it names.
        metric: String,
        /// What it may name.
        known: String,
    },
    /// The value's unit is not the metric's.
    #[error("{text}: {metric} is {unit}; write a value such as {example}")]
    Unit {
        /// The threshold.
        text: String,
        /// What it names.
        metric: String,
        /// What that is.
        unit: &'static str,
        /// A value that would do.
        example: &'static str,
    },
}

/// How a run did against one threshold: an entry of key `thresholds` of the schema.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "docs/record.md documents every key")]
pub struct Met {
    pub threshold: String,
    pub metric: String,
    pub result: Verdict,
    pub measured: Option<f64>,
    pub bound: f64,
    pub unit: String,
    pub interval: Option<(f64, Option<f64>)>,
    pub reason: Option<String>,
}

/// When a threshold is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// The run goes on: a count that is too small may still grow.
    Meanwhile,
    /// It is over.
    End,
}

impl Threshold {
    /// Refuses a threshold on a metric that such a run does not have, or in another unit.
    ///
    /// # Errors
    /// [`ThresholdError`] with what there is.
    pub fn check(&self, metrics: &Metrics<'_>) -> Result<(), ThresholdError> {
        let Some(figure) = metrics.figure(&self.metric) else {
            return Err(ThresholdError::Unknown {
                text: self.text.clone(),
                metric: self.metric.clone(),
                known: metrics.known().join(" "),
            });
        };
        self.bound(figure.unit).map(drop)
    }

    /// How the run did; for a threshold that [`Self::check`] has let pass.
    #[must_use]
    pub fn judge(&self, metrics: &Metrics<'_>, moment: Moment) -> Met {
        let unknown = Figure::unknown(Unit::Count, "there is no such metric in this run");
        let figure = metrics.figure(&self.metric).unwrap_or(unknown);
        let bound = self.bound(figure.unit).unwrap_or(self.number);
        let too_early = moment == Moment::Meanwhile && !figure.tells_early(self.op.is_upper());
        let (result, reason) = match figure.value {
            _ if too_early => {
                let text = "can be told at the end only";
                (Verdict::Inconclusive, Some(text.to_owned()))
            }
            Ok(value) => (self.op.judge(value, figure.interval, bound), None),
            Err(ref why) => (Verdict::Inconclusive, Some(why.clone())),
        };
        Met {
            threshold: self.text.clone(),
            metric: self.metric.clone(),
            result,
            measured: figure.value.ok(),
            bound,
            unit: figure.unit.to_string(),
            interval: figure.interval,
            reason,
        }
    }

    /// The bound in the metric's own unit.
    fn bound(&self, unit: Unit) -> Result<f64, ThresholdError> {
        let factor = unit.factor(&self.suffix);
        factor
            .map(|factor| self.number * factor)
            .ok_or_else(|| ThresholdError::Unit {
                text: self.text.clone(),
                metric: self.metric.clone(),
                unit: unit.described(),
                example: unit.example(),
            })
    }
}

impl Met {
    /// The upper bound of a latency, as the same percentile of another latency is compared with
    /// it: the metric's name, its statistic and the bound in nanoseconds.
    pub(super) fn latency_bound_ns(&self) -> Option<(&str, &str, f64)> {
        let is_upper = self.threshold.contains('<');
        let (latency, statistic) = self.metric.split_once('.')?;
        let is_percentile = statistic.starts_with('p');
        (is_upper && is_percentile && self.unit == Unit::Nanoseconds.to_string())
            .then_some((latency, statistic, self.bound))
    }

    /// The measured value as people read it, and what makes it doubtful.
    pub(super) fn shown(&self) -> String {
        let value = self.measured.map(|value| self.as_text(value));
        let mut text = value.unwrap_or_else(|| "-".to_owned());
        if let Some(reason) = &self.reason {
            text += &format!(" ({reason})");
        }
        if let (Verdict::Inconclusive, None, Some((low, high))) =
            (self.result, &self.reason, self.interval)
        {
            let low = self.as_text(low);
            let interval = match high {
                Some(high) => format!("{low} to {}", self.as_text(high)),
                None => format!("{low} and more: messages without a reply leave it open"),
            };
            text += &format!(" (the bound is within its 95 % interval, {interval})");
        }
        text
    }

    fn as_text(&self, value: f64) -> String {
        match self.unit.as_str() {
            "ns" => span(rounded(value)),
            "us" => span(rounded(value * 1e3)),
            "ms" => span(rounded(value * 1e6)),
            "s" => span(rounded(value * 1e9)),
            "share" => percent(value),
            "per_s" => rate(value),
            _ if value.fract() == 0.0 => whole(rounded(value)),
            _ => format!("{value:.3}"),
        }
    }
}

/// Enough digits to tell 99.99 % from 100 %.
fn percent(share: f64) -> String {
    let text = format!("{:.4}", share * 100.0);
    let short = text.trim_end_matches('0').trim_end_matches('.');
    format!("{short} %")
}

impl FromStr for Threshold {
    type Err = ThresholdError;

    fn from_str(text: &str) -> Result<Self, ThresholdError> {
        let syntax = || ThresholdError::Syntax(text.to_owned());
        let at = text.find(['<', '>', '=']).ok_or_else(syntax)?;
        let (metric, rest) = text.split_at(at);
        let (sign, op) = Op::ALL
            .into_iter()
            .find(|(sign, _)| rest.starts_with(sign))
            .ok_or_else(syntax)?;
        let value = rest.get(sign.len()..).unwrap_or_default().trim();
        let is_digit = |c: char| c.is_ascii_digit() || c == '.' || c == '_';
        let end = value.find(|c| !is_digit(c)).unwrap_or(value.len());
        let (digits, suffix) = value.split_at(end);
        let number: f64 = digits.replace('_', "").parse().map_err(|_| syntax())?;
        let metric = metric.trim();
        if metric.is_empty() {
            return Err(syntax());
        }
        Ok(Self {
            text: text.trim().to_owned(),
            metric: metric.to_owned(),
            op,
            number,
            suffix: suffix.trim().to_owned(),
        })
    }
}

impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Refuses thresholds on what such a run does not measure. Of the facts it needs the thresholds,
/// and whether the server is asked.
///
/// # Errors
/// [`ThresholdError`] of the first one, with what there is.
pub fn check(facts: &Facts, config: &Config) -> Result<(), ThresholdError> {
    let outcome = Outcome::default();
    let record = Record::new(facts, config, &outcome);
    let metrics = Metrics::new(config, &record, &outcome);
    let each = &mut facts.thresholds.iter();
    each.try_for_each(|threshold| threshold.check(&metrics))
}

/// Part of all; `None` of nothing.
pub(super) fn share(part: u64, all: u64) -> Option<f64> {
    (all > 0).then(|| float(part) / float(all))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::{Loop, Pace, Rate, Scenario, Transport};
    use proptest::prelude::*;

    fn threshold(text: &str) -> Threshold {
        text.parse().unwrap()
    }

    fn config() -> Config {
        let address = "127.0.0.1:9000".parse().unwrap();
        Config::new(address, "localhost".to_owned(), "/echo".to_owned())
    }

    fn open_loop() -> Config {
        let pace = Pace::Constant(Rate::per_second(1_000.0).unwrap());
        Config {
            messages: Loop::Open { pace, burst: 1 },
            ..config()
        }
    }

    /// How a run with that outcome did.
    fn met(text: &str, outcome: &Outcome) -> Met {
        let config = open_loop();
        let record = Record::new(&Facts::default(), &config, outcome);
        threshold(text).judge(&Metrics::new(&config, &record, outcome), Moment::End)
    }

    fn refused(text: &str) -> String {
        refused_by(&open_loop(), text)
    }

    fn refused_by(config: &Config, text: &str) -> String {
        let facts = Facts {
            thresholds: vec![threshold(text)],
            ..Facts::default()
        };
        check(&facts, config).unwrap_err().to_string()
    }

    /// An outcome with that many responses, of 1, 2, 3.. us.
    fn responses(n: u64) -> Outcome {
        let mut outcome = Outcome::default();
        (1..=n).for_each(|us| outcome.latencies.response.record_ns(us * 1_000));
        (outcome.messages.sent, outcome.messages.replied) = (n, n);
        outcome
    }

    #[test]
    fn a_percentile_is_compared_in_its_own_unit() {
        let outcome = responses(10_000);
        for (text, result) in [
            ("response.p99<9.95ms", Verdict::Pass),
            ("response.p99 < 9850us", Verdict::Fail),
            ("response.p50>=4ms", Verdict::Pass),
            ("response.max<1s", Verdict::Pass),
            ("response.samples==10k", Verdict::Pass),
            ("response.p97_5<9.8ms", Verdict::Pass),
        ] {
            assert_eq!(met(text, &outcome).result, result, "{text}");
        }
    }

    #[test]
    fn a_threshold_is_judged_by_the_rank_interval_and_not_by_the_count_of_samples() {
        let mut slow = Outcome::default();
        (0..800).for_each(|_| slow.latencies.response.record_ns(300_000_000));
        for (text, result) in [
            ("response.p95<50ms", Verdict::Fail),
            ("response.p99<50ms", Verdict::Fail),
            ("response.p99.99<50ms", Verdict::Fail),
            ("response.p95<400ms", Verdict::Pass),
            ("response.p99.99<400ms", Verdict::Pass),
            ("response.p50>=400ms", Verdict::Fail),
            ("response.p50>200ms", Verdict::Pass),
            ("response.p50==400ms", Verdict::Fail),
        ] {
            assert_eq!(met(text, &slow).result, result, "{text}");
        }
        // Ranks 27 to 63 of 100 are the interval of the 45th.
        let open = met("response.p45<50us", &responses(100));
        assert_eq!(open.result, Verdict::Inconclusive, "{open:?}");
        assert_eq!(open.reason, None);
        assert!(
            open.shown().contains("within its 95 % interval"),
            "{open:?}"
        );
    }

    #[test]
    fn messages_without_a_reply_break_a_percentile_that_they_reach() {
        let mut outcome = responses(790);
        outcome.messages.sent = 1_000;
        outcome.messages.lost = 210;
        let result = |text| met(text, &outcome).result;
        assert_eq!(result("response.p50<1ms"), Verdict::Pass);
        assert_eq!(result("response.p90<50ms"), Verdict::Fail);
        // They were waited for 10 s: a reply within the minute is not excluded.
        assert_eq!(result("response.p90<60s"), Verdict::Inconclusive);
    }

    #[test]
    fn a_metric_that_such_a_run_cannot_have_is_refused_before_it() {
        let closed = config();
        let text = refused_by(&closed, "response.p99<50ms");
        assert!(text.contains("{service,"), "{text}");
        assert!(refused_by(&closed, "slip.p99<1ms").contains("service"));
        let stream = Config {
            scenario: Scenario::Listen,
            transport: Transport::Sse,
            ..config()
        };
        assert!(refused_by(&stream, "response.p99<50ms").contains("one_way"));
        let idle = Config {
            scenario: Scenario::Idle,
            ..config()
        };
        assert!(!refused_by(&idle, "reach>=99%").contains("reach failures"));
    }

    #[test]
    fn shares_are_of_work_and_nothing_is_no_share() {
        let mut outcome = responses(1_000);
        outcome.messages.lost = 1;
        assert_eq!(met("errors<0.1%", &outcome).result, Verdict::Fail);
        assert_eq!(met("errors<=0.001", &outcome).result, Verdict::Pass);
        outcome.messages.replied = 999;
        let reach = met("reach>=99.99%", &outcome);
        assert_eq!(
            (reach.result, reach.shown().as_str()),
            (Verdict::Fail, "99.9 %")
        );
        let nothing = met("errors<1%", &Outcome::default());
        assert_eq!(nothing.result, Verdict::Inconclusive);
    }

    #[test]
    fn any_number_of_the_record_is_a_metric() {
        let mut outcome = responses(10);
        outcome.connects.failed = 3;
        assert_eq!(met("connects.failed<=2", &outcome).result, Verdict::Fail);
        assert_eq!(
            met("messages.dropped_by.late==0", &outcome).result,
            Verdict::Pass
        );
        assert_eq!(met("failures.refused==0", &outcome).result, Verdict::Pass);
        // Nothing was measured for any time, so there is no rate.
        let rate = met("messages.sent_per_s>=10k/s", &outcome);
        assert_eq!((rate.result, rate.bound), (Verdict::Inconclusive, 10_000.0));
    }

    #[test]
    fn what_cannot_be_meant_is_refused_with_what_can() {
        assert!(refused("respnse.p99<5ms").contains("response,service,slip"));
        assert!(refused("connects.fialed<5").contains("failed"));
        assert!(refused("failures.dsn<5").contains("refused,timed_out"));
        assert!(
            refused("events.gaps<5").contains("messages.{"),
            "an echo has no events"
        );
        assert!(refused("response.p99<50").contains("50ms"));
        assert!(refused("response.p100<50ms").contains("p99.9"));
        assert!(refused("errors<5ms").contains("0.1%"));
        assert!(refused("connects.up>5s").contains("10k"));
        for text in [
            "",
            "response.p99",
            "response.p99<",
            "<5ms",
            "a=5",
            "a<ms",
            "a<1.2.3",
        ] {
            assert!(text.parse::<Threshold>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_count_that_may_still_grow_is_not_too_small_yet() {
        let (outcome, config) = (responses(10_000), open_loop());
        let record = Record::new(&Facts::default(), &config, &outcome);
        let metrics = Metrics::new(&config, &record, &outcome);
        let meanwhile = |text| threshold(text).judge(&metrics, Moment::Meanwhile).result;
        assert_eq!(meanwhile("messages.sent>=20k"), Verdict::Inconclusive);
        assert_eq!(meanwhile("messages.sent<5k"), Verdict::Fail);
        assert_eq!(meanwhile("response.p50<1ms"), Verdict::Fail);
        assert_eq!(meanwhile("reach>=100%"), Verdict::Inconclusive);
    }

    #[test]
    fn a_bound_within_the_interval_is_said_to_be() {
        let met = met("response.p99<9.91ms", &responses(10_000));
        assert!(
            met.shown().contains("within its 95 % interval"),
            "{}",
            met.shown()
        );
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic_and_every_threshold_reads_back(text in ".{0,40}") {
            if let Ok(threshold) = text.parse::<Threshold>() {
                prop_assert_eq!(threshold.to_string().parse(), Ok(threshold));
            }
        }
    }
}
