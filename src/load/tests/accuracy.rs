//! What is measured against a server of known delay is the known answer.

use super::world::{Echo, Key, World};
use super::{config, open};
use crate::load::Config;
use crate::load::measure::outcome::Outcome;
use crate::time::Instant;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

/// Every percentile up to 99.9 within 2 % of the known one.
fn assert_close(outcome: &Outcome, mut known_ns: Vec<u64>) {
    known_ns.sort_unstable();
    let measured = outcome.latencies.response.histogram();
    assert_eq!(measured.len(), known_ns.len() as u64);
    for quantile in [0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999] {
        let rank = ((known_ns.len() as f64 * quantile).ceil() as usize).max(1) - 1;
        let (known, measured) = (known_ns[rank], measured.value_at_quantile(quantile));
        let off = measured.abs_diff(known) as f64 / known as f64;
        assert!(
            off < 0.02,
            "p{}: known {known} ns, measured {measured} ns",
            quantile * 100.0
        );
    }
}

fn measured(rate: f64, delay: impl FnMut(Instant) -> Duration) -> Outcome {
    let mut delay = delay;
    let config = Config {
        connections: 20,
        duration: Duration::from_secs(20),
        messages: open(rate),
        in_flight: 10_000,
        ..config()
    };
    World::new(1, &config, Echo::new(move |_, now| Some(now + delay(now))))
        .run()
        .0
}

#[test]
fn a_constant_delay_is_measured() {
    let outcome = measured(5_000.0, |_| Duration::from_micros(1_700));
    assert_close(&outcome, vec![1_700_000; 100_000]);
}

#[test]
fn two_modes_are_measured() {
    let known = Rc::new(RefCell::new(Vec::new()));
    let config = Config {
        connections: 20,
        duration: Duration::from_secs(20),
        messages: open(5_000.0),
        in_flight: 10_000,
        ..config()
    };
    let noted = Rc::clone(&known);
    let mut free_at: BTreeMap<Key, Instant> = BTreeMap::new();
    let mut rng = fastrand::Rng::with_seed(11);
    let echo = Echo::new(move |key, now| {
        let delay = Duration::from_micros(if rng.u8(..) == 0 { 30_000 } else { 400 });
        // Frames are ordered: a reply behind a slow one on its connection waits for it.
        let at = free_at
            .get(&key)
            .copied()
            .unwrap_or_default()
            .max(now + delay);
        free_at.insert(key, at);
        noted.borrow_mut().push(at.since(now).as_nanos() as u64);
        Some(at)
    });
    let outcome = World::new(1, &config, echo).run().0;
    assert_close(&outcome, known.take());
    let histogram = outcome.latencies.response.histogram();
    assert!(histogram.value_at_quantile(0.5) < 410_000);
    assert!(histogram.value_at_quantile(0.99) > 10_000_000);
}

#[test]
fn a_stall_is_measured_from_intended_times_and_hidden_from_a_closed_loop() {
    // The server stops for 100 ms at the beginning of each second, and else takes 200 us.
    let service = Duration::from_micros(200);
    let stalled = move |begin: Instant, now: Instant| {
        let into = now.since(begin).as_nanos() as u64 % 1_000_000_000;
        Duration::from_nanos(100_000_000_u64.saturating_sub(into)) + service
    };
    let begin = Instant::from_nanos(1_000_000_000_000);
    let outcome = measured(5_000.0, move |now| stalled(begin, now));
    // Connecting takes 100 us: message i is sent at that time and 200 us times i.
    let known = (0..100_000_u64).map(|i| {
        let at = begin + Duration::from_micros(100 + 200 * i);
        stalled(begin, at).as_nanos() as u64
    });
    assert_close(&outcome, known.collect());
    let p99 = outcome
        .latencies
        .response
        .histogram()
        .value_at_quantile(0.99);
    assert!(
        p99 > 85_000_000,
        "a tenth of all messages met the stall: {p99}"
    );

    let config = Config {
        connections: 20,
        duration: Duration::from_secs(20),
        ..config()
    };
    let echo = Echo::new(move |_, now| Some(now + stalled(begin, now)));
    let closed = World::new(1, &config, echo).run().0;
    let hidden = closed.latencies.service.histogram().value_at_quantile(0.99);
    assert!(hidden < 1_000_000, "coordinated omission: {hidden}");
    assert!(
        closed.latencies.response.histogram().is_empty(),
        "and it is not called response"
    );
}

#[test]
fn slip_is_the_generator_s_own_delay() {
    // At 50,000 a second, turns for intended times are 50 us apart.
    let outcome = measured(50_000.0, |_| Duration::from_millis(1));
    let slip = outcome.latencies.slip.histogram();
    assert!(slip.max() <= 51_000, "{}", slip.max());
    let service = outcome.latencies.service.histogram();
    assert!(service.max() <= 1_001_000 && service.min() >= 999_000);
}
