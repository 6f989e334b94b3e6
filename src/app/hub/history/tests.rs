//! What of a history is kept, read and recovered.

use super::*;
use proptest::prelude::*;
use std::time::Duration;

const EPOCH: Epoch = Epoch(7);

fn options(count: usize) -> HistoryOptions {
    let life = Duration::from_secs(10);
    let bytes = 1 << 20;
    HistoryOptions {
        count,
        bytes,
        life,
        is_stored: false,
    }
}

fn at(seconds: u64) -> Instant {
    Instant::from_nanos(seconds * 1_000_000_000)
}

fn say(history: &mut ChannelHistory, text: &str, options: HistoryOptions, now: Instant) -> u64 {
    let publication = Publication {
        offset: 0,
        data: text.into(),
        by: None,
        tags: None,
        spares_author: false,
    };
    history.push(publication, options, now).offset
}

fn of(count: u64, options: HistoryOptions) -> ChannelHistory {
    let mut history = ChannelHistory::new(EPOCH);
    for number in 1..=count {
        assert_eq!(
            say(&mut history, &number.to_string(), options, at(number)),
            number
        );
    }
    history
}

fn since(offset: u64) -> Since {
    Position {
        epoch: EPOCH,
        offset,
    }
    .into()
}

fn offsets(catchup: &Catchup) -> Vec<u64> {
    catchup
        .publications
        .iter()
        .map(|found| found.offset)
        .collect()
}

#[test]
fn who_knows_no_place_gets_what_was_made_from_a_time_on() {
    let wanted = |history: &ChannelHistory, from: u64, now: u64| {
        let caught = history.catch_up(Since::time(at(from)), options(4), at(now));
        (caught.whole, offsets(&caught))
    };
    // One each second, and the newest four are kept for ten.
    let mut history = of(10, options(4));
    assert_eq!(wanted(&history, 9, 10), (true, vec![9, 10]));
    assert_eq!(wanted(&history, 8, 10), (true, vec![8, 9, 10]));
    assert!(
        !wanted(&history, 7, 10).0,
        "the sixth may be of that second too"
    );
    assert_eq!(wanted(&history, 11, 12), (true, vec![]));
    history.expire(options(4), at(18));
    assert_eq!(
        wanted(&history, 9, 18),
        (true, vec![9, 10]),
        "what is gone was older"
    );
    assert!(!wanted(&history, 7, 18).0);
    history.expire(options(4), at(60));
    assert_eq!(wanted(&history, 55, 60), (true, vec![]));
    assert!(!wanted(&history, 50, 60).0);
    assert_eq!(
        wanted(&of(2, options(4)), 0, 60),
        (true, vec![1, 2]),
        "all there ever was"
    );
    assert_eq!(wanted(&of(0, options(4)), 0, 60), (true, vec![]));
    let none = of(3, options(0)).catch_up(Since::time(at(3)), options(0), at(3));
    assert!(!none.whole, "nothing is kept");
}

#[test]
fn who_comes_back_gets_all_that_it_missed_or_is_told_that_it_does_not() {
    let history = of(10, options(4));
    let caught = history.since(since(7));
    assert!(caught.whole);
    assert_eq!(offsets(&caught), [8, 9, 10]);
    let caught = history.since(since(6));
    assert!(caught.whole, "7 is the oldest, and the next after 6");
    assert_eq!(offsets(&caught), [7, 8, 9, 10]);
    let caught = history.since(since(5));
    assert!(!caught.whole && caught.publications.is_empty());
    assert_eq!(caught.position.offset, 10);
    assert!(history.since(since(10)).whole, "it has missed nothing");
}

#[test]
fn a_place_of_another_history_or_of_the_future_is_none_of_this() {
    let history = of(3, options(4));
    assert!(!history.since(since(4)).whole);
    for epoch in [None, Some(Epoch(8))] {
        let offset = 3;
        assert!(!history.since(Since::place(epoch, offset)).whole);
    }
    assert!(!history.since(since(u64::MAX)).whole);
}

#[test]
fn what_is_too_old_is_forgotten_and_its_number_is_not() {
    let mut history = of(3, options(4));
    assert_eq!(history.expires_at(options(4)), Some(at(11)));
    history.expire(options(4), at(12));
    assert_eq!(history.len(), 1);
    history.expire(options(4), at(13));
    assert!(history.is_empty() && history.bytes() == 0);
    assert_eq!(history.top().offset, 3);
    assert!(!history.since(since(2)).whole);
    assert!(history.since(since(3)).whole);
    assert_eq!(say(&mut history, "x", options(4), at(20)), 4);
}

#[test]
fn more_bytes_than_allowed_are_not_kept() {
    let mut options = options(100);
    options.bytes = 1000;
    let history = of(100, options);
    assert!(history.bytes() <= 1000 && history.len() >= 9);
    let mut history = of(2, options);
    say(&mut history, &"x".repeat(1000), options, at(3));
    assert!(history.is_empty(), "what came before it would leave a gap");
    assert!(history.since(since(3)).whole);
}

#[test]
fn more_than_a_client_takes_at_once_is_told_to_be_lost_and_read_in_parts() {
    let mut options = options(100);
    options.bytes = 8 << 20;
    let mut history = ChannelHistory::new(EPOCH);
    for _ in 0..40 {
        say(
            &mut history,
            &"x".repeat(limits::PUBLICATION_BYTES),
            options,
            at(0),
        );
    }
    assert_eq!(history.len(), 40);
    assert!(!history.since(since(0)).whole && history.since(since(30)).whole);
    for reverse in [false, true] {
        let (since, limit) = (None, 100);
        let part = history.excerpt(Excerpt {
            since,
            limit,
            reverse,
        });
        assert!((10..20).contains(&part.publications.len()), "{reverse}");
    }
}

#[test]
fn a_part_is_read_from_either_end() {
    let history = of(10, options(5));
    let read = |since: Option<Since>, limit: usize, reverse: bool| {
        let excerpt = Excerpt {
            since,
            limit,
            reverse,
        };
        offsets(&history.excerpt(excerpt))
    };
    assert_eq!(read(None, 2, false), [6, 7]);
    assert_eq!(read(None, 2, true), [10, 9]);
    assert_eq!(read(Some(since(7)), 10, false), [8, 9, 10]);
    assert_eq!(read(Some(since(8)), 10, true), [7, 6]);
    assert_eq!(read(Some(since(1)), 10, false), [6, 7, 8, 9, 10]);
    assert_eq!(read(None, 0, false), [0; 0]);
    let offset = 0;
    let foreign = Since::place(None, offset);
    let foreign = Excerpt {
        since: Some(foreign),
        limit: 9,
        reverse: false,
    };
    assert!(!history.excerpt(foreign).whole);
}

proptest! {
    /// Whatever was kept and forgotten: never a silent gap, never a publication twice.
    #[test]
    fn recovery_is_whole_or_said_to_be_not(
        count in 0usize..6, ages in prop::collection::vec(0u64..8, 0..40), from in 0u64..45,
    ) {
        let (mut history, mut now) = (ChannelHistory::new(EPOCH), 0);
        for age in &ages {
            now += age;
            history.expire(options(count), at(now));
            say(&mut history, "x", options(count), at(now));
        }
        let caught = history.since(since(from));
        let top = ages.len() as u64;
        prop_assert_eq!(caught.position.offset, top);
        prop_assert!(!caught.whole || offsets(&caught) == (from + 1..=top).collect::<Vec<_>>());
        prop_assert!(caught.whole || from > top || top - from > history.len() as u64);
    }
}

#[test]
fn a_history_goes_on_where_it_was_and_what_lies_before_a_gap_is_not_taken() {
    let history = of(5, options(4));
    let all: Vec<(Instant, Publication)> = (2..=5)
        .zip(history.all().cloned())
        .map(|(second, publication)| (at(second), publication))
        .collect();
    let position = history.top();
    let mut again = ChannelHistory::restored(position, all.clone());
    assert_eq!((again.len(), again.bytes()), (4, history.bytes()));
    assert_eq!(offsets(&again.since(since(2))), [3, 4, 5]);
    assert_eq!(again.expires_at(options(4)), Some(at(12)));
    assert_eq!(say(&mut again, "6", options(4), at(20)), 6);
    let torn = [all[0].clone(), all[2].clone(), all[3].clone()];
    let torn = ChannelHistory::restored(position, torn.to_vec());
    assert_eq!((torn.len(), torn.oldest()), (2, 4));
    assert!(!torn.since(since(2)).whole && torn.since(since(3)).whole);
    let older = ChannelHistory::restored(position, all[..3].to_vec());
    assert!(older.is_empty(), "the newest is missing");
    assert_eq!((older.top(), older.oldest()), (position, 6));
}
