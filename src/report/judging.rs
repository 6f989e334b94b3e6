//! Judges a run: its metrics against its thresholds, and the record as a whole.

use super::facts::Facts;
use super::judgement::Verdict;
use super::met::Met;
use super::metric::{Figure, Metrics};
use super::network::Network;
use super::record::Record;
use super::threshold::{Threshold, ThresholdError};
use super::unit::Unit;
use super::verdict;
use crate::load::deliveries::Deliveries;
use crate::load::outcome::Outcome;
use crate::load::{Config, Recovery, Scenario};
use std::time::Duration;

/// When a threshold is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// The run goes on: a count that is too small may still grow.
    Meanwhile,
    /// It is over.
    End,
}

/// The record of a run: what was measured, how it did against its thresholds, and the verdict.
#[must_use]
pub fn judged(facts: &Facts, config: &Config, outcome: &Outcome) -> Record {
    let mut record = Record::measured(facts, config, outcome);
    let metrics = Metrics::new(config, &record, outcome);
    let each = facts.thresholds.iter();
    record.thresholds = each
        .map(|threshold| met(threshold, &metrics, Moment::End))
        .collect();
    record.verdict = verdict::judge(&record);
    record.verdict.notes.extend(clock_note(config, outcome));
    record
}

/// Refuses thresholds on what such a run does not measure. Of the facts it needs the thresholds,
/// and whether the server is asked.
///
/// # Errors
/// [`ThresholdError`] of the first one, with what there is.
pub fn check(facts: &Facts, config: &Config) -> Result<(), ThresholdError> {
    let (facts_then, outcome) = possible(facts, config);
    let record = Record::measured(&facts_then, config, &outcome);
    let metrics = Metrics::new(config, &record, &outcome);
    let each = &mut facts.thresholds.iter();
    each.try_for_each(|threshold| check_one(threshold, &metrics))
}

/// All that a run of that kind may leave, with nothing in it.
fn possible(facts: &Facts, config: &Config) -> (Facts, Outcome) {
    let mut outcome = Outcome::default();
    let program = match &config.scenario {
        Scenario::Dialogue(program) => program.name(),
        Scenario::Echo | Scenario::Listen | Scenario::Idle => "",
    };
    match program {
        "rooms" | "cable" => outcome.fan_out = Some(Box::default()),
        "channels" | "sse-channels" => outcome.deliveries = Some(Deliveries::default()),
        "connect" => outcome.rounds.push(Duration::ZERO),
        _ => {}
    }
    outcome.recovery = config.outage.map(|_| Recovery::default());
    let has_network = program != "connect";
    let network = has_network.then(Network::default).or(facts.network);
    (
        Facts {
            network,
            ..facts.clone()
        },
        outcome,
    )
}

/// How the run did; for a threshold that [`check`] has let pass.
#[must_use]
pub fn met(threshold: &Threshold, metrics: &Metrics<'_>, moment: Moment) -> Met {
    let unknown = Figure::unknown(Unit::Count, "there is no such metric in this run");
    let figure = metrics.figure(&threshold.metric).unwrap_or(unknown);
    let bound = threshold.bound(figure.unit).unwrap_or(threshold.number);
    let too_early = moment == Moment::Meanwhile && !figure.tells_early(threshold.op.is_upper());
    let (result, reason) = match figure.value {
        _ if too_early => {
            let text = "can be told at the end only";
            (Verdict::Inconclusive, Some(text.to_owned()))
        }
        Ok(value) => (threshold.op.judge(value, figure.interval, bound), None),
        Err(ref why) => (Verdict::Inconclusive, Some(why.clone())),
    };
    Met {
        threshold: threshold.text.clone(),
        metric: threshold.metric.clone(),
        result,
        measured: figure.value.ok(),
        bound,
        unit: figure.unit.to_string(),
        interval: figure.interval,
        reason,
    }
}

/// Refuses a threshold on a metric that such a run does not have, or in another unit.
fn check_one(threshold: &Threshold, metrics: &Metrics<'_>) -> Result<(), ThresholdError> {
    let Some(figure) = metrics.figure(&threshold.metric) else {
        return Err(ThresholdError::Unknown {
            text: threshold.text.clone(),
            metric: threshold.metric.clone(),
            known: metrics.known().join(" "),
        });
    };
    threshold.bound(figure.unit).map(drop)
}

/// Stamps of a server elsewhere are by another clock.
fn clock_note(config: &Config, outcome: &Outcome) -> Option<String> {
    let has_stamps = !outcome.latencies.one_way.histogram().is_empty();
    let mut targets = config.targets.iter().filter_map(|it| it.address());
    let is_elsewhere = targets.any(|at| !at.ip().is_loopback());
    (has_stamps && is_elsewhere).then(|| {
        "one_way takes the server's clock for this host's: of a server on another host it is off \
         by the difference of the two, which is not known"
            .to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::scenario::{Connect, rooms::Rooms};
    use crate::load::{Loop, Pace, PlannedOutage, Rate, Transport};
    use proptest::prelude::*;
    use std::sync::Arc;

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
        let record = Record::measured(&Facts::default(), &config, outcome);
        super::met(
            &threshold(text),
            &Metrics::new(&config, &record, outcome),
            Moment::End,
        )
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
    fn what_a_run_may_leave_is_a_metric_before_anything_has_been_measured() {
        let rooms = Arc::new(Rooms {
            iterations: None,
            payload_bytes: 100,
            size: None,
            comes_and_goes: false,
        });
        let rooms = Config {
            scenario: Scenario::Dialogue(rooms),
            ..open_loop()
        };
        let outage = Config {
            outage: Some(PlannedOutage {
                permille: 500,
                at: Duration::from_secs(1),
            }),
            ..open_loop()
        };
        let connect = Config {
            scenario: Scenario::Dialogue(Arc::new(Connect)),
            ..config()
        };
        let checked = |config: &Config, text: &str| {
            let facts = Facts {
                thresholds: vec![threshold(text)],
                ..Facts::default()
            };
            check(&facts, config).map_err(|error| error.to_string())
        };
        for (config, text) in [
            (&rooms, "fan_out.reach>=99%"),
            (&rooms, "fan_out.gaps==0"),
            (&rooms, "network.retransmits==0"),
            (&outage, "storm.dropped>=1"),
            (&open_loop(), "network.rtt_p99_us<5ms"),
            (&connect, "rounds.mean_s<10s"),
        ] {
            let checked = checked(config, text);
            assert_eq!(checked, Ok(()), "{text}");
        }
        assert!(checked(&open_loop(), "fan_out.gaps==0").is_err());
        assert!(checked(&connect, "network.retransmits==0").is_err());
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
        let record = Record::measured(&Facts::default(), &config, &outcome);
        let metrics = Metrics::new(&config, &record, &outcome);
        let meanwhile = |text| super::met(&threshold(text), &metrics, Moment::Meanwhile).result;
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
