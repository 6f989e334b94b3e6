//! What channels are like: of each namespace, what is kept, who is told of, who may publish.

use super::pattern::ChannelPattern;
use super::session::is_session;
use crate::limits;
use schemars::JsonSchema;
use serde::Deserialize;
use std::time::Duration;

/// What of a channel's publications is kept for those who come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HistoryOptions {
    /// So many at most; 0 for none.
    pub count: usize,
    /// So many bytes at most.
    pub bytes: usize,
    /// None that is older.
    pub life: Duration,
    /// Whether it outlives the process, where there is a store.
    pub is_stored: bool,
}

/// What becomes of a subscriber that does not read as fast as its channel speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SlowPolicy {
    /// It is disconnected, once its backlog is full.
    #[default]
    Disconnect,
    /// It is passed over until it has read, then told how many publications it missed.
    Drop,
    /// The same, and it is then told the newest of them.
    Conflate,
}

/// What a channel is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChannelOptions {
    /// What is kept.
    pub history: HistoryOptions,
    /// Whether it is known who is here.
    pub presence: bool,
    /// Whether subscribers are told who comes and goes.
    pub join_leave: bool,
    /// Whether clients may publish.
    pub clients_publish: bool,
    /// Whether clients may subscribe to patterns that such names begin with.
    pub patterns: bool,
    /// What becomes of slow subscribers.
    pub slow: SlowPolicy,
}

/// What is else about some channels than about the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChannelChange {
    /// See [`HistoryOptions::count`].
    pub history_count: Option<usize>,
    /// See [`HistoryOptions::bytes`].
    pub history_bytes: Option<usize>,
    /// See [`HistoryOptions::life`].
    pub history_life: Option<Duration>,
    /// See [`HistoryOptions::is_stored`].
    pub history_stored: Option<bool>,
    /// See [`ChannelOptions::presence`].
    pub presence: Option<bool>,
    /// See [`ChannelOptions::join_leave`].
    pub join_leave: Option<bool>,
    /// See [`ChannelOptions::clients_publish`].
    pub clients_publish: Option<bool>,
    /// See [`ChannelOptions::patterns`].
    pub patterns: Option<bool>,
    /// See [`ChannelOptions::slow`].
    pub slow: Option<SlowPolicy>,
}

/// Which of all options those of a channel are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OptionsRow(u16);

/// The options of every channel: those of the first pattern that takes its name.
#[derive(Clone, Debug, Default)]
pub struct Namespaces {
    rows: Vec<(ChannelPattern, ChannelOptions)>,
}

impl HistoryOptions {
    /// Nothing is kept.
    pub const OFF: Self = Self {
        count: 0,
        bytes: 0,
        life: Duration::ZERO,
        is_stored: false,
    };

    /// Whether anything is kept.
    #[must_use]
    pub const fn is_on(self) -> bool {
        self.count > 0 && !self.life.is_zero()
    }

    /// Whether what is kept outlives the process, where there is a store.
    #[must_use]
    pub const fn is_stored(self) -> bool {
        self.is_stored && self.is_on()
    }
}

impl OptionsRow {
    /// Of sessions.
    const SESSION: Self = Self(u16::MAX);
}

impl ChannelOptions {
    /// Nothing is kept, nobody is told of, only the application publishes.
    pub const PLAIN: Self = Self {
        history: HistoryOptions::OFF,
        presence: false,
        join_leave: false,
        clients_publish: false,
        patterns: false,
        slow: SlowPolicy::Disconnect,
    };

    /// What `serve --dev` gives every channel: everything.
    pub const DEV: Self = Self {
        history: HistoryOptions {
            count: 100,
            bytes: limits::CHANNEL_HISTORY_BYTES,
            life: Duration::from_secs(300),
            is_stored: false,
        },
        presence: true,
        join_leave: true,
        clients_publish: true,
        patterns: true,
        slow: SlowPolicy::Disconnect,
    };

    /// What a session is like: what it holds is kept until it is forgotten.
    pub const SESSION: Self = Self {
        history: HistoryOptions {
            count: 1,
            bytes: limits::CHANNEL_HISTORY_BYTES,
            life: Duration::from_secs(10 * 365 * 86_400),
            is_stored: true,
        },
        presence: true,
        ..Self::PLAIN
    };

    /// The same, and what is kept outlives the process.
    #[must_use]
    pub const fn stored(self) -> Self {
        Self {
            history: HistoryOptions {
                is_stored: true,
                ..self.history
            },
            ..self
        }
    }

    /// Whether anybody is told who is here.
    #[must_use]
    pub const fn shows_who(self) -> bool {
        self.presence || self.join_leave
    }
}

impl ChannelChange {
    /// What channels of those options are then like.
    #[must_use]
    pub fn of(self, base: ChannelOptions) -> ChannelOptions {
        ChannelOptions {
            history: HistoryOptions {
                count: self.history_count.unwrap_or(base.history.count),
                bytes: self.history_bytes.unwrap_or(base.history.bytes),
                life: self.history_life.unwrap_or(base.history.life),
                is_stored: self.history_stored.unwrap_or(base.history.is_stored),
            },
            presence: self.presence.unwrap_or(base.presence),
            join_leave: self.join_leave.unwrap_or(base.join_leave),
            clients_publish: self.clients_publish.unwrap_or(base.clients_publish),
            patterns: self.patterns.unwrap_or(base.patterns),
            slow: self.slow.unwrap_or(base.slow),
        }
    }
}

impl Namespaces {
    /// The options of whatever each pattern takes, the first that does.
    #[must_use]
    pub fn new(rows: Vec<(ChannelPattern, ChannelOptions)>) -> Self {
        Self { rows }
    }

    /// Every channel alike.
    #[must_use]
    pub fn all(options: ChannelOptions) -> Self {
        Self::new(vec![(ChannelPattern::every(), options)])
    }

    /// The same, but for what these patterns take, the first that does: that is as the last of all
    /// was, with its change.
    #[must_use]
    pub fn changed(&self, changes: &[(ChannelPattern, ChannelChange)]) -> Self {
        let last = self.rows.last().map(|(_, options)| *options);
        let base = last.unwrap_or(ChannelOptions::PLAIN);
        let changed = changes.iter();
        let changed = changed.map(|(pattern, change)| (pattern.clone(), change.of(base)));
        Self::new(changed.chain(self.rows.iter().cloned()).collect())
    }

    /// Whether the history of any channel outlives the process.
    #[must_use]
    pub fn stores_any(&self) -> bool {
        self.rows.iter().any(|(_, it)| it.history.is_stored())
    }

    /// Whether one of the patterns is for channels whose names begin so.
    #[must_use]
    pub fn has_pattern_for(&self, begins: &str) -> bool {
        self.rows
            .iter()
            .any(|(pattern, _)| pattern.is_within(begins))
    }

    /// The options of that channel; `None` if there is no such channel.
    #[must_use]
    pub fn of(&self, channel: &str) -> Option<ChannelOptions> {
        self.row_of(channel).map(|row| self.at(row))
    }

    /// Which those are.
    #[must_use]
    pub fn row_of(&self, channel: &str) -> Option<OptionsRow> {
        if is_session(channel) {
            return Some(OptionsRow::SESSION);
        }
        let mut rows = (0..OptionsRow::SESSION.0).zip(&self.rows);
        let found = rows.find(|(_, (pattern, _))| pattern.matches(channel));
        found.map(|(row, _)| OptionsRow(row))
    }

    /// The options of a row.
    #[must_use]
    pub fn at(&self, row: OptionsRow) -> ChannelOptions {
        let of_session = ChannelOptions::SESSION;
        let found = self.rows.get(usize::from(row.0));
        found.map_or(of_session, |(_, options)| *options)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_pattern_that_takes_a_name_decides() {
        let pattern = |text| ChannelPattern::parse(text).expect("a pattern");
        let namespaces = Namespaces::new(vec![
            (pattern("news:sport"), ChannelOptions::DEV),
            (pattern("news:*"), ChannelOptions::PLAIN),
        ]);
        assert_eq!(namespaces.of("news:sport"), Some(ChannelOptions::DEV));
        assert_eq!(namespaces.of("news:x"), Some(ChannelOptions::PLAIN));
        assert_eq!(namespaces.of("chat"), None);
        assert_eq!(Namespaces::default().of("x"), None);
        let change = ChannelChange {
            history_count: Some(0),
            slow: Some(SlowPolicy::Drop),
            ..ChannelChange::default()
        };
        let changed = Namespaces::all(ChannelOptions::DEV).changed(&[(pattern("fast:*"), change)]);
        let fast = changed.of("fast:a").expect("options");
        assert!(!fast.history.is_on() && fast.presence && fast.slow == SlowPolicy::Drop);
        assert_eq!(changed.of("x"), Some(ChannelOptions::DEV));
        assert!(changed.has_pattern_for("fast:") && !changed.has_pattern_for("x:"));
        assert_eq!(
            Namespaces::all(ChannelOptions::DEV).of("x"),
            Some(ChannelOptions::DEV)
        );
    }
}
