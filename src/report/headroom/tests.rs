//! The search for a ceiling, by what runs would come to.

use super::*;

/// What a run takes.
const RUN: Duration = Duration::from_millis(600);

/// Searches for a generator that holds so much and a server that holds so much.
fn searched(planned: f64, generator: f64, server: f64) -> Headroom {
    let mut ceiling = Ceiling::new(planned);
    while let Some(per_s) = ceiling.next_per_s() {
        let trial = if per_s > generator {
            Trial::GeneratorLimited
        } else if per_s > server {
            Trial::ServerLimited
        } else {
            Trial::Held
        };
        ceiling.tried(per_s, trial, RUN);
    }
    ceiling.found(64)
}

#[test]
fn the_ceiling_is_found_from_above_and_from_below() {
    for generator in [2_600.0, 9_000.0, 20_000.0, 31_000.0, 333_000.0] {
        let found = searched(20_000.0, generator, 1e9);
        let ratio = generator / found.ceiling_per_s;
        assert!((1.0..=NEAR).contains(&ratio), "{generator}: {found:?}");
        assert!(!found.is_lower_bound && found.runs <= RUNS_MAX);
        assert!((found.headroom - found.ceiling_per_s / 20_000.0).abs() < 1e-9);
    }
}

#[test]
fn what_the_search_or_the_server_ends_is_a_lower_bound() {
    let far = searched(1_000.0, 1e9, 1e9);
    assert!(far.is_lower_bound && far.headroom >= MOST && far.runs == 5);
    let short = searched(1_000.0, 1e9, 2_500.0);
    assert!(
        short.is_lower_bound && short.ceiling_per_s <= 2_500.0,
        "{short:?}"
    );
    assert!(short.shown().starts_with("headroom >= 2."), "{short:?}");
}

#[test]
fn a_few_breaches_are_measured_again() {
    let mut ceiling = Ceiling::new(100.0);
    for _ in 1..BREACHES {
        ceiling.tried(200.0, Trial::GeneratorLimited, RUN);
        assert_eq!(ceiling.next_per_s(), Some(200.0));
    }
    ceiling.tried(200.0, Trial::Held, RUN);
    assert_eq!(ceiling.next_per_s(), Some(400.0));
    for _ in 0..BREACHES {
        assert_eq!(ceiling.next_per_s(), Some(400.0));
        ceiling.tried(400.0, Trial::GeneratorLimited, RUN);
    }
    // The one above is looked at once, as it is higher still.
    assert_eq!(ceiling.next_per_s(), Some(800.0));
    ceiling.tried(800.0, Trial::GeneratorLimited, RUN);
    assert_eq!(ceiling.next_per_s(), Some(283.0));
}

#[test]
fn a_pass_above_a_fail_is_looked_for_and_told() {
    // Too much between 150,000 and 200,000 a second, and from 700,000 on.
    let holds = |per_s: f64| !(150e3..200e3).contains(&per_s) && per_s < 700e3;
    let mut ceiling = Ceiling::new(80e3);
    while let Some(per_s) = ceiling.next_per_s() {
        let trial = if holds(per_s) {
            Trial::Held
        } else {
            Trial::GeneratorLimited
        };
        ceiling.tried(per_s, trial, RUN);
    }
    let found = ceiling.found(64);
    let ratio = 700e3 / found.ceiling_per_s;
    assert!((1.0..=NEAR).contains(&ratio), "{found:?}");
    assert_eq!(found.failed_below_per_s, Some(160e3));
    assert!(
        found
            .uneven()
            .is_some_and(|note| note.contains("160,000/s"))
    );
}

#[test]
fn a_result_that_does_not_hold_again_is_searched_below() {
    let mut ceiling = Ceiling::new(100.0);
    let mut lucky = true;
    while let Some(per_s) = ceiling.next_per_s() {
        // Once it held more than it does.
        let holds = per_s <= 1_000.0 || (per_s <= 1_400.0 && std::mem::take(&mut lucky));
        let trial = if holds {
            Trial::Held
        } else {
            Trial::GeneratorLimited
        };
        ceiling.tried(per_s, trial, RUN);
    }
    let found = ceiling.found(64);
    let ratio = 1_000.0 / found.ceiling_per_s;
    assert!((1.0..=1.15).contains(&ratio), "{found:?}");
}

#[test]
fn a_rate_that_is_held_after_all_is_searched_above() {
    let (mut ceiling, mut disturbed) = (Ceiling::new(100.0), 14);
    while let Some(per_s) = ceiling.next_per_s() {
        // From the end of the search on, for a while, nothing much is held.
        let is_disturbed = per_s > 1_600.0 && disturbed > 0;
        disturbed -= u32::from(is_disturbed);
        let trial = if is_disturbed || per_s > 3_000.0 {
            Trial::GeneratorLimited
        } else {
            Trial::Held
        };
        ceiling.tried(per_s, trial, RUN);
    }
    let found = ceiling.found(64);
    let ratio = 3_000.0 / found.ceiling_per_s;
    assert!((1.0..=1.15).contains(&ratio), "{found:?}");
}

/// A generator that holds so much, but for a host that breaks what it does for three runs in a
/// row so often, and for rates near the most that it holds, where chance decides.
fn scattered(most: f64, disturbed_share: f64, seed: u64) -> Headroom {
    let mut rng = fastrand::Rng::with_seed(seed);
    let (mut ceiling, mut disturbed) = (Ceiling::new(10_000.0), 0);
    while let Some(per_s) = ceiling.next_per_s() {
        if disturbed == 0 && rng.f64() < disturbed_share {
            disturbed = 3;
        }
        let holds = 1.0 / (1.0 + (per_s / most).powi(40));
        let trial = match disturbed {
            0 if rng.f64() < holds => Trial::Held,
            // The server beside it is as disturbed as the generator.
            1.. if rng.bool() => Trial::ServerLimited,
            _ => Trial::GeneratorLimited,
        };
        disturbed = disturbed.max(1) - 1;
        ceiling.tried(per_s, trial, RUN);
    }
    ceiling.found(50)
}

#[test]
fn what_disturbs_some_runs_does_not_move_the_result() {
    let calm_and_busy = [(0.0, 8), (0.04, 8), (0.1, 20)];
    for most in [40_000.0, 110_000.0, 245_000.0] {
        for (share, left_out) in calm_and_busy {
            let found = (0..400).map(|seed| scattered(most, share, seed));
            let mut all: Vec<f64> = found.map(|it| it.ceiling_per_s / most).collect();
            all.sort_by(f64::total_cmp);
            let (low, high) = (all[left_out], all[399 - left_out]);
            assert!(
                high / low < 1.15 && low > 0.9,
                "{most}, {share}: {low} {high} {all:?}"
            );
        }
    }
}

#[test]
fn a_generator_that_holds_nothing_ends_the_search() {
    let none = searched(1_000.0, 0.0, 1e9);
    assert_eq!((none.headroom, none.is_lower_bound), (0.0, false));
    assert!(
        none.note()
            .is_some_and(|note| note.contains("more --cores"))
    );
    assert_eq!(searched(0.5, 0.0, 1e9).headroom, 0.0);
}

#[test]
fn a_search_ends_in_its_time_whatever_comes_of_its_runs() {
    let most = SEARCH_TIME.as_secs_f64();
    let trials = [Trial::Held, Trial::GeneratorLimited, Trial::ServerLimited];
    let mut cut_short = 0;
    for seed in 0..500 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let (mut ceiling, mut spent) = (Ceiling::new(1_000.0), 0.0);
        let kinds = 1 + rng.usize(..3);
        while let Some(per_s) = ceiling.next_per_s() {
            assert!(spent < most, "seed {seed}: another run after {spent} s");
            let took = Duration::from_millis(rng.u64(500..4_000));
            spent += took.as_secs_f64();
            ceiling.tried(per_s, trials[rng.usize(..kinds)], took);
        }
        let found = ceiling.found(1);
        assert_eq!(found.unsure().is_some(), found.cut_short);
        // Where nothing more was to be found it was sure.
        assert!(
            !found.cut_short || spent >= most || found.runs >= RUNS_MAX,
            "{found:?}"
        );
        cut_short += u32::from(found.cut_short);
    }
    assert!((100..500).contains(&cut_short), "{cut_short}");
}

#[test]
fn a_search_that_was_cut_short_says_what_is_held_at_least() {
    let mut ceiling = Ceiling::new(1_000.0);
    let slow = Duration::from_secs(9);
    for (per_s, trial) in [
        (2_000.0, Trial::Held),
        (4_000.0, Trial::GeneratorLimited),
        (4_000.0, Trial::GeneratorLimited),
        (4_000.0, Trial::GeneratorLimited),
        (4_000.0, Trial::GeneratorLimited),
    ] {
        assert_eq!(ceiling.next_per_s(), Some(per_s));
        ceiling.tried(per_s, trial, slow);
    }
    assert_eq!(ceiling.next_per_s(), None);
    let found = ceiling.found(1);
    assert!(found.cut_short && found.is_lower_bound, "{found:?}");
    assert_eq!(found.shown(), "headroom >= 2.0 (to 2,000/s)");
    let why = found.unsure().unwrap_or_default();
    assert!(
        why.contains("after 5 runs") && why.contains("40 s"),
        "{why}"
    );
    let many = Headroom {
        runs: RUNS_MAX,
        ..found
    };
    let why = many.unsure().unwrap_or_default();
    assert!(
        why.contains("after 60 runs") && !why.contains("40 s"),
        "{why}"
    );
    let sure = searched(1_000.0, 2_100.0, 1e9);
    assert!(!sure.cut_short && sure.unsure().is_none(), "{sure:?}");
}

#[test]
fn enough_headroom_is_no_note() {
    assert_eq!(searched(1_000.0, 2_100.0, 1e9).note(), None);
}
