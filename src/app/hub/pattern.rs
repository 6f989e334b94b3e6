//! Patterns over the names of channels: `news`, `news:*`, `news.*`, `*`.

use super::session::{is_reserved, is_session};

/// Which channels are meant: one by its name, or all whose names begin alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelPattern {
    /// What the name is, or begins with.
    text: Box<str>,
    /// Whether anything may follow.
    open: bool,
}

/// Why a text is no pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// It is empty.
    #[error("an empty pattern; `*` stands for every channel")]
    Empty,
    /// A `*` that is not its end.
    #[error("a `*` stands at the end of a pattern only: `news:*`")]
    Inside,
}

impl ChannelPattern {
    /// Every channel.
    #[must_use]
    pub fn every() -> Self {
        let (text, open) = (Box::default(), true);
        Self { text, open }
    }

    /// Reads a pattern.
    ///
    /// # Errors
    /// [`PatternError`], which says what is written instead.
    pub fn parse(pattern: &str) -> Result<Self, PatternError> {
        let (text, open) = match pattern.strip_suffix('*') {
            Some(text) => (text, true),
            None => (pattern, false),
        };
        match text {
            _ if pattern.is_empty() => Err(PatternError::Empty),
            _ if text.contains('*') => Err(PatternError::Inside),
            text => {
                let text = text.into();
                Ok(Self { text, open })
            }
        }
    }

    /// Whether it takes only what begins so.
    #[must_use]
    pub fn is_within(&self, begins: &str) -> bool {
        self.text.starts_with(begins)
    }

    /// Whether that channel is one of them.
    #[must_use]
    pub fn matches(&self, channel: &str) -> bool {
        match self.open {
            true => channel.starts_with(&*self.text),
            false => channel == &*self.text,
        }
    }
}

/// Whether a client that names that subscribes to a pattern, not to one channel.
#[must_use]
pub fn is_pattern(name: &str) -> bool {
    name.ends_with('*')
}

/// Whether a channel is one of a pattern that takes what begins like that. What is reserved is only
/// of those that begin as it does, and a session of none.
#[must_use]
pub fn is_of_pattern(begins: &str, channel: &str) -> bool {
    let may = is_reserved(begins) || !is_reserved(channel);
    may && !is_session(channel) && channel.starts_with(begins)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_takes_what_begins_with_it_or_is_it() {
        let takes = |pattern: &str, channel: &str| {
            let pattern = ChannelPattern::parse(pattern).expect("a pattern");
            pattern.matches(channel)
        };
        assert!(takes("news", "news") && !takes("news", "news:a") && !takes("news", "new"));
        assert!(takes("news:*", "news:a") && takes("news:*", "news:") && !takes("news:*", "news"));
        assert!(takes("news.*", "news.a.b") && !takes("news.*", "newsxa"));
        assert!(takes("*", "") && takes("*", "anything") && ChannelPattern::every().matches("x"));
    }

    #[test]
    fn what_is_no_pattern_says_what_to_write() {
        assert_eq!(ChannelPattern::parse(""), Err(PatternError::Empty));
        for text in ["a*b", "**", "*:news"] {
            assert_eq!(
                ChannelPattern::parse(text),
                Err(PatternError::Inside),
                "{text}"
            );
        }
    }
}
