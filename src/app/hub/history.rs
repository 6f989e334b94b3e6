//! The newest publications of one channel, bounded by count, bytes and age.

use super::options::HistoryOptions;
use super::position::{Epoch, Position, Since};
use super::publication::Publication;
use crate::limits;
use crate::time::Instant;
use std::collections::VecDeque;

/// A channel's publications: how many there were, and the newest of them.
#[derive(Debug)]
pub struct ChannelHistory {
    /// The number of the newest.
    top: u64,
    epoch: Epoch,
    /// Whether the channel has subscribers.
    pub is_open: bool,
    /// Most sessions have none.
    kept: Option<Box<KeptPublications>>,
}

const _: () = assert!(size_of::<ChannelHistory>() <= 24, "a session is small");

/// Those that are kept.
#[derive(Debug, Default)]
struct KeptPublications {
    /// With the time each was made; the back one is the newest of all, and none is missing between.
    all: VecDeque<(Instant, Publication)>,
    bytes: usize,
}

/// A history has room for so many at first.
const FEW: usize = 4;

/// What somebody who comes back has missed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Catchup {
    /// The newest publication.
    pub position: Position,
    /// What came after the place that was asked for, oldest first, as far as it is still here.
    pub publications: Vec<Publication>,
    /// Whether that is everything.
    pub whole: bool,
}

/// Which part of a history is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Excerpt {
    /// After that place; from the beginning (or the end) if `None`.
    pub since: Option<Since>,
    /// So many at most.
    pub limit: usize,
    /// Newest first, and before that place.
    pub reverse: bool,
}

impl Catchup {
    /// Whoever did not ask has missed nothing.
    #[must_use]
    pub const fn nothing(position: Position) -> Self {
        Self {
            position,
            publications: Vec::new(),
            whole: true,
        }
    }
}

impl ChannelHistory {
    /// Nothing was said yet.
    #[must_use]
    pub const fn new(epoch: Epoch) -> Self {
        Self {
            top: 0,
            epoch,
            is_open: false,
            kept: None,
        }
    }

    /// Gives a publication its number and keeps it as far as the options say.
    pub fn push(
        &mut self,
        mut publication: Publication,
        options: HistoryOptions,
        now: Instant,
    ) -> Publication {
        self.top += 1;
        publication.offset = self.top;
        if options.is_on() && publication.bytes() <= options.bytes {
            let kept = self.kept.get_or_insert_default();
            if kept.all.is_empty() {
                kept.all.reserve_exact(options.count.min(FEW));
            }
            kept.bytes += publication.bytes();
            kept.all.push_back((now, publication.clone()));
            while kept.all.len() > options.count || kept.bytes > options.bytes {
                kept.drop_oldest();
            }
        } else {
            // What is kept has no gap.
            self.clear();
        }
        publication
    }

    /// Forgets what is older than that.
    pub fn expire(&mut self, options: HistoryOptions, now: Instant) {
        while self.expires_at(options).is_some_and(|at| at <= now) {
            self.drop_oldest();
        }
    }

    /// When something becomes too old next.
    #[must_use]
    pub fn expires_at(&self, options: HistoryOptions) -> Option<Instant> {
        let oldest = self.kept.as_ref().and_then(|kept| kept.all.front());
        oldest.map(|(made, _)| *made + options.life)
    }

    /// Forgets the oldest publication, if there is one.
    pub fn drop_oldest(&mut self) {
        if let Some(kept) = &mut self.kept {
            kept.drop_oldest();
            if kept.all.is_empty() {
                self.kept = None;
            }
        }
    }

    /// Forgets everything but how many publications there were.
    pub fn clear(&mut self) {
        self.kept = None;
    }

    /// What came after that place.
    #[must_use]
    pub fn since(&self, since: Since) -> Catchup {
        let position = self.top();
        let Position { epoch, offset: top } = position;
        let oldest = top + 1 - self.len() as u64;
        let has_place = since.epoch == Some(epoch) && since.offset <= top;
        let is_here = has_place && since.offset + 1 >= oldest;
        let missed = self.after(since.offset);
        let bytes: usize = missed.map(Publication::bytes).sum();
        let whole = is_here && bytes <= limits::RECOVERY_BYTES;
        let publications = match whole {
            true => self.after(since.offset).cloned().collect(),
            false => Vec::new(),
        };
        Catchup {
            position,
            publications,
            whole,
        }
    }

    /// The same, or what was published from a time on: nothing of that is passed over but what has
    /// too little room beside what is newer, which whoever keeps it knows of.
    #[must_use]
    pub fn catch_up(&self, since: Since, options: HistoryOptions, now: Instant) -> Catchup {
        let Some(from) = since.from else {
            return self.since(since);
        };
        let kept = self.kept.iter().flat_map(|kept| &kept.all);
        let wanted = kept.rev().take_while(|(made, _)| *made >= from).count();
        let reaches_back = wanted < self.len() || self.len() as u64 == self.top;
        // While there is room, only what is too old is forgotten.
        let has_room = self.len() < options.count && from + options.life > now;
        let epoch = (reaches_back || has_room).then_some(self.epoch);
        self.since(Since::place(epoch, self.top - wanted as u64))
    }

    /// That part of it; `whole` if the place that it begins at is one of this history.
    #[must_use]
    pub fn excerpt(&self, excerpt: Excerpt) -> Catchup {
        let position = self.top();
        let is_here = |since: Since| since.epoch == Some(position.epoch);
        let whole = excerpt.since.is_none_or(is_here);
        let mut bytes = 0;
        let fits = |publication: &&Publication| {
            bytes += publication.bytes();
            bytes <= limits::RECOVERY_BYTES
        };
        let publications = match (whole, excerpt.reverse) {
            (false, _) => Vec::new(),
            (true, false) => {
                let after = excerpt.since.map_or(0, |since| since.offset);
                let wanted = self.after(after).take(excerpt.limit);
                wanted.take_while(fits).cloned().collect()
            }
            (true, true) => {
                let before = excerpt.since.map_or(u64::MAX, |since| since.offset);
                let wanted = self.all().rev().filter(|found| found.offset < before);
                let wanted = wanted.take(excerpt.limit);
                wanted.take_while(fits).cloned().collect()
            }
        };
        Catchup {
            position,
            publications,
            whole,
        }
    }

    /// The newest publication's place.
    #[must_use]
    pub const fn top(&self) -> Position {
        Position {
            epoch: self.epoch,
            offset: self.top,
        }
    }

    /// The newest publication, if it is kept.
    #[must_use]
    pub fn newest(&self) -> Option<&Publication> {
        self.all().next_back()
    }

    /// How many are kept.
    #[must_use]
    pub fn len(&self) -> usize {
        self.kept.as_ref().map_or(0, |kept| kept.all.len())
    }

    /// Whether none is kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of those that are kept.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.kept.as_ref().map_or(0, |kept| kept.bytes)
    }

    fn after(&self, offset: u64) -> impl Iterator<Item = &Publication> {
        let oldest = self.top + 1 - self.len() as u64;
        let skipped =
            usize::try_from(offset.saturating_add(1).saturating_sub(oldest)).unwrap_or(usize::MAX);
        self.all().skip(skipped)
    }

    fn all(&self) -> impl DoubleEndedIterator<Item = &Publication> {
        let kept = self.kept.iter().flat_map(|kept| &kept.all);
        kept.map(|(_, publication)| publication)
    }
}

impl KeptPublications {
    fn drop_oldest(&mut self) {
        if let Some((_, dropped)) = self.all.pop_front() {
            self.bytes -= dropped.bytes();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;

    const EPOCH: Epoch = Epoch(7);

    fn options(count: usize) -> HistoryOptions {
        let life = Duration::from_secs(10);
        let bytes = 1 << 20;
        HistoryOptions { count, bytes, life }
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
}
