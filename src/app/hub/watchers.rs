//! The patterns that cores have subscribers to, as a home core knows them: each is told of whatever
//! is published here in a channel that it takes.

use super::letter::LocalRef;
use super::pattern::is_of_pattern;
use crate::shard::Core;
use std::collections::BTreeMap;
use std::sync::Arc;

/// All patterns with subscribers.
#[derive(Debug, Default)]
pub(super) struct Watchers {
    /// By how the names begin that it takes.
    patterns: BTreeMap<Arc<str>, Vec<WatchingCore>>,
    /// How many patterns begin with so many bytes: a name is looked up for each of these alone.
    lengths: BTreeMap<usize, usize>,
}

/// A core with subscribers to a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct WatchingCore {
    pub(super) core: Core,
    /// The pattern, as that core knows it.
    pub(super) local: LocalRef,
    pub(super) subscribers: u32,
}

impl Watchers {
    /// One more subscriber there to that pattern.
    pub(super) fn enter(&mut self, core: Core, pattern: &str, local: LocalRef) {
        let begins = beginning(pattern);
        if !self.patterns.contains_key(begins) {
            *self.lengths.entry(begins.len()).or_default() += 1;
        }
        let cores = self.patterns.entry(begins.into()).or_default();
        match cores.iter_mut().find(|it| it.core == core) {
            Some(known) => known.subscribers += 1,
            None => cores.push(WatchingCore {
                core,
                local,
                subscribers: 1,
            }),
        }
    }

    /// One subscriber less there.
    pub(super) fn leave(&mut self, core: Core, pattern: &str) {
        let begins = beginning(pattern);
        let Some(cores) = self.patterns.get_mut(begins) else {
            return;
        };
        for known in cores.iter_mut().filter(|it| it.core == core) {
            known.subscribers -= 1;
        }
        cores.retain(|it| it.subscribers > 0);
        self.tidy();
    }

    /// That core has lost all it had.
    pub(super) fn lose(&mut self, core: Core) {
        for cores in self.patterns.values_mut() {
            cores.retain(|it| it.core != core);
        }
        self.tidy();
    }

    /// Those who are told of that channel: a core once for each pattern.
    pub(super) fn of<'w>(&'w self, channel: &'w str) -> impl Iterator<Item = &'w WatchingCore> {
        let lengths = self.lengths.range(..=channel.len());
        // A length may fall into the middle of a character.
        let beginnings = lengths.filter_map(|(length, _)| channel.get(..*length));
        let taking = beginnings.filter(|begins| is_of_pattern(begins, channel));
        taking
            .filter_map(|begins| self.patterns.get(begins))
            .flatten()
    }

    fn tidy(&mut self) {
        let lengths = &mut self.lengths;
        self.patterns.retain(|begins, cores| {
            if cores.is_empty()
                && let Some(count) = lengths.get_mut(&begins.len())
            {
                *count -= 1;
            }
            !cores.is_empty()
        });
        lengths.retain(|_, count| *count > 0);
    }
}

/// What the names begin with that a pattern takes.
fn beginning(pattern: &str) -> &str {
    pattern.strip_suffix('*').unwrap_or(pattern)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn local(index: u32) -> LocalRef {
        let generation = 0;
        LocalRef { index, generation }
    }

    fn told(watchers: &Watchers, channel: &str) -> Vec<u32> {
        let mut told: Vec<u32> = watchers.of(channel).map(|it| it.local.index).collect();
        told.sort_unstable();
        told
    }

    #[test]
    fn who_watches_a_pattern_is_told_of_each_channel_that_it_takes() {
        let mut watchers = Watchers::default();
        for (core, pattern, index) in [
            (0, "news:*", 1),
            (1, "news:*", 2),
            (0, "*", 3),
            (1, "n*", 4),
        ] {
            watchers.enter(Core(core), pattern, local(index));
        }
        watchers.enter(Core(0), "news:*", local(1));
        assert_eq!(told(&watchers, "news:a"), [1, 2, 3, 4]);
        assert_eq!(told(&watchers, "new"), [3, 4]);
        assert_eq!(told(&watchers, "\u{e9}"), [3]);
        watchers.leave(Core(0), "news:*");
        assert_eq!(
            told(&watchers, "news:a"),
            [1, 2, 3, 4],
            "another is left there"
        );
        watchers.leave(Core(0), "news:*");
        watchers.lose(Core(1));
        assert_eq!(told(&watchers, "news:a"), [3]);
        watchers.leave(Core(0), "*");
        watchers.leave(Core(0), "*");
        assert!(watchers.patterns.is_empty() && watchers.lengths.is_empty());
    }

    #[test]
    fn sessions_are_no_pattern_s_and_what_is_reserved_only_of_one_that_says_so() {
        let mut watchers = Watchers::default();
        for (pattern, index) in [("*", 1), ("$*", 2), ("\u{1}*", 3)] {
            watchers.enter(Core(0), pattern, local(index));
        }
        assert_eq!(told(&watchers, "$sessions"), [2]);
        assert_eq!(told(&watchers, "\u{1}s:00"), [0; 0]);
    }

    proptest! {
        #[test]
        fn a_name_is_taken_by_what_it_begins_with(
            patterns in prop::collection::vec("[a-c\u{e9}]{0,4}", 0..8), name in "[a-c\u{e9}]{1,5}",
        ) {
            let mut watchers = Watchers::default();
            for (index, begins) in (0..).zip(&patterns) {
                watchers.enter(Core(index), &format!("{begins}*"), local(index.into()));
            }
            let all = (0..).zip(&patterns);
            let wanted = all.filter(|(_, begins)| name.starts_with(begins.as_str()));
            let wanted: Vec<u32> = wanted.map(|(index, _)| index).collect();
            prop_assert_eq!(told(&watchers, &name), wanted);
        }
    }
}
