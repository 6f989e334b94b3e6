//! What channels are like: of each namespace, what is kept, who is told of, who may publish.

use super::pattern::ChannelPattern;
use super::session::is_session;
use crate::limits;
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
}

/// What becomes of a subscriber that does not read as fast as its channel speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
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
    /// What becomes of slow subscribers.
    pub slow: SlowPolicy,
}

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
    };

    /// Whether anything is kept.
    #[must_use]
    pub const fn is_on(self) -> bool {
        self.count > 0 && !self.life.is_zero()
    }
}

impl ChannelOptions {
    /// Nothing is kept, nobody is told of, only the application publishes.
    pub const PLAIN: Self = Self {
        history: HistoryOptions::OFF,
        presence: false,
        join_leave: false,
        clients_publish: false,
        slow: SlowPolicy::Disconnect,
    };

    /// What `serve --dev` gives every channel: everything.
    pub const DEV: Self = Self {
        history: HistoryOptions {
            count: 100,
            bytes: limits::CHANNEL_HISTORY_BYTES,
            life: Duration::from_secs(300),
        },
        presence: true,
        join_leave: true,
        clients_publish: true,
        slow: SlowPolicy::Disconnect,
    };

    /// What a session is like: what it holds is kept until it is forgotten.
    pub const SESSION: Self = Self {
        history: HistoryOptions {
            count: 1,
            bytes: limits::CHANNEL_HISTORY_BYTES,
            life: Duration::from_secs(10 * 365 * 86_400),
        },
        presence: true,
        ..Self::PLAIN
    };

    /// Whether anybody is told who is here.
    #[must_use]
    pub const fn shows_who(self) -> bool {
        self.presence || self.join_leave
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

    /// The options of that channel; `None` if there is no such channel.
    #[must_use]
    pub fn of(&self, channel: &str) -> Option<ChannelOptions> {
        if is_session(channel) {
            return Some(ChannelOptions::SESSION);
        }
        let mut rows = self.rows.iter();
        let found = rows.find(|(pattern, _)| pattern.matches(channel));
        found.map(|(_, options)| *options)
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
        assert_eq!(
            Namespaces::all(ChannelOptions::DEV).of("x"),
            Some(ChannelOptions::DEV)
        );
    }
}
