//! What an application is asked and told of, and what holds while it cannot be asked.

/// What it is asked, or told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum HookKind {
    /// A client connects, or an event stream comes.
    Connect,
    /// A client subscribes, and shows no token for the channel.
    Subscribe,
    /// A client publishes.
    Publish,
    /// A client calls a procedure.
    Call,
    /// A client is gone that was let in; nothing is answered.
    Disconnect,
    /// A session has ended; nothing is answered.
    SessionEnd,
}

/// Some of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HookSet(u8);

/// What is decided while nobody answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HookFailure {
    /// It may not be; later it may.
    #[default]
    Deny,
    /// It may be, unless a rule refuses it. A call fails all the same.
    Allow,
}

impl HookKind {
    /// Each.
    pub const ALL: [Self; 6] = [
        Self::Connect,
        Self::Subscribe,
        Self::Publish,
        Self::Call,
        Self::Disconnect,
        Self::SessionEnd,
    ];

    /// What it is called.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Subscribe => "subscribe",
            Self::Publish => "publish",
            Self::Call => "call",
            Self::Disconnect => "disconnect",
            Self::SessionEnd => "session_end",
        }
    }
}

impl HookSet {
    /// Those.
    #[must_use]
    pub fn of(kinds: &[HookKind]) -> Self {
        Self(kinds.iter().fold(0, |set, kind| set | 1 << *kind as u8))
    }

    /// Whether that is one of them.
    #[must_use]
    pub const fn has(self, kind: HookKind) -> bool {
        self.0 & 1 << kind as u8 != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_has_what_it_is_of() {
        let some = HookSet::of(&[HookKind::Connect, HookKind::SessionEnd]);
        let found: Vec<&str> = HookKind::ALL
            .into_iter()
            .filter(|kind| some.has(*kind))
            .map(HookKind::word)
            .collect();
        assert_eq!(found, ["connect", "session_end"]);
    }
}
