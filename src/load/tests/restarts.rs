//! Servers that count again when their clients come back: with a run in their ids, and without.

use super::config;
use super::returning::{AGAIN, Events};
use super::world::World;
use crate::load::{Config, Outcome, Scenario, Transport};

/// What a listener counts that hears these numbers, sent at these times, before its loss and after
/// it.
fn heard(before: &[(u64, u64)], after: &[(u64, u64)]) -> Outcome {
    let texts = [before, after].map(|events| {
        let event = |(n, ns): &_| format!("data: {{\"seq\":{n},\"sent_ns\":{ns}}}\n\n");
        events.iter().map(event).collect::<String>()
    });
    let config = Config {
        retry: AGAIN,
        transport: Transport::Sse,
        scenario: Scenario::Listen,
        connections: 1,
        ..config()
    };
    let [first, then] = texts;
    let (outcome, _) = World::new(1, &config, Events::new(first, then)).run();
    assert_eq!(outcome.returns.resumed, 1);
    outcome
}

fn counts(outcome: &Outcome) -> (u64, u64, u64, u64) {
    let (returns, events) = (&outcome.returns, &outcome.events);
    (
        returns.missed,
        returns.duplicated,
        events.repeated,
        events.gaps,
    )
}

#[test]
fn a_server_that_counts_again_repeats_nothing_and_what_it_had_said_by_then_is_missed() {
    let later = 3_000_000_000;
    for (after, missed) in [
        // Half of the last number or less.
        ([(3, 5_000), (4, 6_000)], 2),
        ([(1, 5_000), (2, 6_000)], 0),
        // So long after it that no core is as late.
        ([(26, later), (27, later + 1)], 25),
    ] {
        let outcome = heard(&[(26, 1_000), (27, 2_000)], &after);
        assert_eq!(counts(&outcome), (missed, 0, 0, 0), "{after:?}");
        let numbering = outcome.due.numberings[0];
        assert_eq!((numbering.run, numbering.newest.0), (1, after[1].0));
    }
}

#[test]
fn what_a_late_core_or_a_replay_says_again_is_a_duplicate() {
    for after in [[(26, 3_000), (28, 4_000)], [(27, 2_000), (28, 4_000)]] {
        let outcome = heard(&[(26, 1_000), (27, 2_000)], &after);
        let (_, duplicated, ..) = counts(&outcome);
        assert_eq!(duplicated, 1, "{after:?}");
        assert_eq!(outcome.due.numberings[0].run, 0);
    }
}

#[test]
fn a_server_that_was_restarted_is_neither_repeating_nor_skipping() {
    let event = |n: u64| format!("id: b:{n}\ndata: {{\"seq\":{n},\"sent_ns\":1}}\n\n");
    // The same run as before has lost 28 and 29; the other has only come to 2.
    let cases = [("a:29", [30, 31], 2), ("b:2", [3, 4], 2)];
    for (id, then, missed) in cases {
        let stale = format!("id: {id}\nevent: stale\ndata: {{}}\n\n");
        let first = [26, 27].map(|n| event(n).replace("b:", "a:")).concat();
        let events = Events::new(first, stale + &then.map(event).concat());
        let config = Config {
            retry: AGAIN,
            transport: Transport::Sse,
            scenario: Scenario::Listen,
            connections: 1,
            ..config()
        };
        let (outcome, _) = World::new(1, &config, events).run();
        let returns = outcome.returns;
        assert_eq!((returns.missed, returns.duplicated), (missed, 0), "{id}");
        let events = outcome.events;
        assert_eq!((events.gaps, events.repeated), (0, 0), "{id}");
    }
}
