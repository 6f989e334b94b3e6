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

    /// What was kept before: the newest of so many there were, none missing between. What is older
    /// than a gap is not taken.
    #[must_use]
    pub fn restored(position: Position, mut publications: Vec<(Instant, Publication)>) -> Self {
        let newest_first = publications.iter().rev().zip((0..=position.offset).rev());
        let whole = newest_first.take_while(|((_, it), offset)| it.offset == *offset);
        let whole = whole.count();
        publications.drain(..publications.len() - whole);
        let bytes = publications.iter().map(|(_, it)| it.bytes()).sum();
        let all = VecDeque::from(publications);
        Self {
            top: position.offset,
            epoch: position.epoch,
            is_open: false,
            kept: (whole > 0).then(|| Box::new(KeptPublications { all, bytes })),
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
        let oldest = self.oldest();
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

    /// The number of the oldest that is kept; that of the next one if none is.
    #[must_use]
    pub fn oldest(&self) -> u64 {
        self.top + 1 - self.len() as u64
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
        let oldest = self.oldest();
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
mod tests;
