//! Every pace is exact both ways: time from index, and count from time.

use super::*;
use proptest::prelude::*;

const SECOND_NS: u64 = 1_000_000_000;

fn constant(count: u64, window: Duration) -> Pace {
    Pace::Constant(Rate::new(count, window).unwrap())
}

#[test]
fn a_constant_pace_is_exact_at_every_index() {
    let pace = constant(3, Duration::from_secs(1));
    let offsets: Vec<u64> = (0..7).map(|i| pace.offset_ns(i)).collect();
    let third = 333_333_333;
    let expected = [
        0,
        third,
        2 * third,
        SECOND_NS,
        SECOND_NS + third,
        1_666_666_666,
        2 * SECOND_NS,
    ];
    assert_eq!(offsets, expected);
}

#[test]
fn an_hour_at_half_a_million_a_second_does_not_drift() {
    let pace = Pace::Constant(Rate::per_second(500_000.0).unwrap());
    let hour = 3_600 * SECOND_NS;
    assert_eq!(pace.before(hour), 1_800_000_000);
    assert_eq!(pace.offset_ns(1_800_000_000), hour);
    let beyond_u64 = 100_000_000_000;
    assert_eq!(pace.offset_ns(beyond_u64), beyond_u64 * 2_000);
}

#[test]
fn a_fractional_rate_is_kept_to_a_thousandth() {
    let pace = Pace::Constant(Rate::per_second(0.5).unwrap());
    assert_eq!(pace.offset_ns(3), 6 * SECOND_NS);
    let mean = pace.mean_per_second(Duration::ZERO..Duration::from_secs(10));
    assert!((mean - 0.5).abs() < 1e-9);
}

#[test]
fn a_bucket_comes_at_once() {
    let pace = Pace::Buckets(Buckets::new(3, Duration::from_millis(10)).unwrap());
    let offsets: Vec<u64> = (0..7).map(|i| pace.offset_ns(i) / 1_000_000).collect();
    assert_eq!(offsets, [0, 0, 0, 10, 10, 10, 20]);
    assert_eq!(
        [0, 1, 10_000_000, 10_000_001].map(|ns| pace.before(ns)),
        [0, 3, 3, 6]
    );
    assert_eq!(pace.to_string(), "buckets of 3 every 10 ms");
    assert_eq!(Buckets::new(0, Duration::from_secs(1)), None);
    assert_eq!(Buckets::new(1, Duration::ZERO), None);
}

#[test]
fn a_held_stage_is_the_constant_pace() {
    let held = Pace::from(Stages::hold(20_500).unwrap());
    let same = Pace::Constant(Rate::per_second(20.5).unwrap());
    for index in 0..10_000 {
        assert_eq!(held.offset_ns(index), same.offset_ns(index));
    }
    for ns in (0..100 * SECOND_NS).step_by(333_333_333) {
        assert_eq!(held.before(ns), same.before(ns));
    }
}

#[test]
fn a_walk_finds_what_the_pace_finds() {
    let stages = Stages::hold(1_000_000).unwrap();
    let pace = Pace::from(Poisson::new(stages, 9));
    let mut walk = pace.walk();
    for index in (0..5_000).step_by(3) {
        assert_eq!(walk.offset_ns(index), pace.offset_ns(index));
    }
}

/// Piece by piece, whatever the plan: by chance too, and of several at once.
#[test]
fn the_parts_of_a_plan_are_the_plan() {
    let ramp = || {
        let rise = Stage {
            target_milli: 900_000,
            lasts: Duration::from_secs(2),
        };
        Stages::new(1_000, &[rise]).unwrap()
    };
    let plans = [
        constant(1_000, Duration::from_secs(1)),
        Pace::Buckets(Buckets::new(7, Duration::from_millis(20)).unwrap()),
        Pace::from(ramp()),
        Pace::from(Poisson::new(ramp(), 5)),
    ];
    for plan in plans {
        for parts in [1, 2, 3, 5] {
            let of_parts: Vec<Pace> = (0..parts)
                .map(|part| plan.clone().part(Stripe::new(part, parts)))
                .collect();
            let mut all: Vec<u64> = Vec::new();
            for part in &of_parts {
                let (mut walk, planned) = (part.walk(), part.before(SECOND_NS));
                all.extend((0..planned).map(|index| walk.offset_ns(index)));
                assert!(part.offset_ns(planned) >= SECOND_NS);
            }
            all.sort_unstable();
            let whole: Vec<u64> = (0..plan.before(SECOND_NS))
                .map(|index| plan.offset_ns(index))
                .collect();
            assert_eq!(all, whole, "{plan} in {parts}");
            let second = Duration::ZERO..Duration::from_secs(1);
            let means = of_parts.iter().map(|it| it.mean_per_second(second.clone()));
            let (sum, mean) = (means.sum::<f64>(), plan.mean_per_second(second.clone()));
            assert!((sum - mean).abs() < 1e-6 * mean, "{sum} {mean}");
        }
    }
}

proptest! {
    #[test]
    fn before_counts_exactly_the_pieces_with_a_smaller_offset(
        count in 1..2_000_000_u64, window_ms in 1..5_000_u64, index in 0..10_000_000_000_u64,
    ) {
        let paces = [
            constant(count, Duration::from_millis(window_ms)),
            Pace::Buckets(Buckets::new(count, Duration::from_millis(window_ms)).unwrap()),
            Pace::from(Stages::new(count, &[
                Stage { target_milli: count * 500, lasts: Duration::from_millis(window_ms * 9) },
                Stage { target_milli: 0, lasts: Duration::from_millis(window_ms * 5) },
                Stage { target_milli: 0, lasts: Duration::from_millis(window_ms) },
                Stage { target_milli: count, lasts: Duration::from_millis(window_ms) },
            ]).unwrap()),
        ];
        for pace in paces {
            // Also near the beginning, where the stages are.
            for index in [index, index % 100_000, index % 100] {
                let offset = pace.offset_ns(index);
                // Five hundred years: what lies beyond 64 bits is cut there.
                if pace.offset_ns(index + 1) == u64::MAX {
                    continue;
                }
                prop_assert!(pace.before(offset) <= index, "{pace} {index} {offset}");
                prop_assert!(pace.before(offset + 1) > index, "{pace} {index} {offset}");
                prop_assert!(pace.offset_ns(index + 1) >= offset);
            }
        }
    }
}
