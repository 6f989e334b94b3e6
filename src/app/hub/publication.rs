//! What is said in a channel, and by whom. Texts are shared: cores, histories and presence hold
//! references to them.

use crate::shard::Core;
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

/// Names a client for as long as it is connected: no other has that name on any core.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
// Where very many are kept no space is left between them and what is beside them.
#[repr(Rust, packed(8))]
pub struct ClientId(pub u128);

/// Who a client is, as others are told. Of most there is nothing but a name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientInfo {
    /// The client.
    pub client: ClientId,
    /// What else is known of it.
    pub about: Option<Arc<ClientAbout>>,
}

/// What is known of a client beside its name.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct ClientAbout {
    /// The user that it is of; empty for nobody in particular.
    pub user: Box<str>,
    /// What the application says of it: JSON, or empty.
    pub info: Box<str>,
    /// What it calls itself in that channel, if it has chosen a name there.
    pub chosen: Option<Box<ChosenName>>,
}

/// What a client calls itself in one channel: nobody has looked at that.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChosenName {
    /// Its name: several clients may have one.
    pub name: Box<str>,
    /// What it says of itself: JSON, or empty.
    pub info: Box<str>,
}

/// Something said in a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publication {
    /// Its number in the channel's history, from 1; 0 for what has none.
    pub offset: u64,
    /// The content: JSON.
    pub data: Arc<str>,
    /// Who said it, if a client did.
    pub by: Option<ClientInfo>,
    /// What it is labelled with, a JSON object; `None` without labels.
    pub tags: Option<Arc<str>>,
    /// Whoever said it is not told it.
    pub spares_author: bool,
}

impl ClientId {
    /// A client of that core, told from its others by bits that mean nothing.
    #[must_use]
    pub const fn new(core: Core, bits: u128) -> Self {
        let bits = bits & !0xffff | core.0 as u128;
        Self(Self(bits).uuid())
    }

    /// Reads what [`ClientId`] is written as; `None` for any other text.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digits: String = text.split('-').collect();
        let id = Self(u128::from_str_radix(&digits, 16).ok()?);
        (id.to_string() == text).then_some(id)
    }

    /// The core that it is on.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the part that `new` joined"
    )]
    pub const fn core(self) -> Core {
        Core(self.0 as u16)
    }

    /// The bits of a UUID.
    const fn uuid(self) -> u128 {
        self.0 & !(0xf << 76) & !(0b11 << 62) | 8 << 76 | 0b10 << 62
    }
}

impl ClientInfo {
    /// The user that it is of; empty for nobody in particular.
    #[must_use]
    pub fn user(&self) -> &str {
        self.about.as_ref().map_or("", |about| &about.user)
    }

    /// What the application says of it: JSON, or empty.
    #[must_use]
    pub fn info(&self) -> &str {
        self.about.as_ref().map_or("", |about| &about.info)
    }

    /// What it is called among those who are there, and that about it: the name that it has
    /// chosen, else that of its user, else its own.
    #[must_use]
    pub fn presented(&self) -> (Cow<'_, str>, &str) {
        match self.name() {
            "" => (Cow::Owned(self.client.to_string()), self.info()),
            name => (
                Cow::Borrowed(name),
                self.chosen().map_or(self.info(), |it| &it.info),
            ),
        }
    }

    /// The name that it has chosen, else that of its user; empty for nobody in particular.
    #[must_use]
    pub fn name(&self) -> &str {
        self.chosen().map_or(self.user(), |chosen| &chosen.name)
    }

    /// The same client, under a name that it has chosen.
    #[must_use]
    pub fn called(&self, chosen: &ChosenName) -> Self {
        let about = ClientAbout {
            user: self.user().into(),
            info: self.info().into(),
            chosen: Some(Box::new(chosen.clone())),
        };
        Self {
            client: self.client,
            about: Some(Arc::new(about)),
        }
    }

    fn chosen(&self) -> Option<&ChosenName> {
        self.about.as_ref()?.chosen.as_deref()
    }
}

impl ClientAbout {
    /// Of that user, and that about it; `None` if both are empty.
    #[must_use]
    pub fn new(user: &str, info: &str) -> Option<Arc<Self>> {
        let is_known = !user.is_empty() || !info.is_empty();
        is_known.then(|| {
            Arc::new(Self {
                user: user.into(),
                info: info.into(),
                chosen: None,
            })
        })
    }
}

impl Publication {
    /// What it costs to keep, in bytes: the texts, and something for what is around them.
    #[must_use]
    pub fn bytes(&self) -> usize {
        const AROUND: usize = 96;
        self.data.len() + self.tags.as_ref().map_or(0, |tags| tags.len()) + AROUND
    }
}

/// As a UUID (RFC 9562, 4), of the version for those whose bits mean nothing else (5.8).
impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bits = self.uuid();
        let part = |shift: u32, digits: u32| bits >> shift & ((1 << (digits * 4)) - 1);
        write!(
            f,
            "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
            part(96, 8),
            part(80, 4),
            part(64, 4),
            part(48, 4),
            part(0, 12)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 9562, 4.1 and 4.2: the variant is `10`, and this version is 8.
    #[test]
    fn a_client_is_named_by_a_uuid_of_version_8() {
        for id in [0, 1, u128::MAX, 0x0123_4567_89ab_cdef_0123_4567_89ab_cdef] {
            let text = ClientId(id).to_string();
            let parts: Vec<&str> = text.split('-').collect();
            let lengths: Vec<usize> = parts.iter().map(|part| part.len()).collect();
            assert_eq!(lengths, [8, 4, 4, 4, 12], "{text}");
            assert!(parts[2].starts_with('8'), "{text}");
            assert!(parts[3].starts_with(['8', '9', 'a', 'b']), "{text}");
        }
    }

    #[test]
    fn a_client_is_read_as_it_is_written_and_knows_its_core() {
        let id = ClientId::new(Core(3), u128::MAX / 5);
        assert_eq!(id.core(), Core(3));
        assert_eq!(ClientId::parse(&id.to_string()), Some(id));
        for text in [
            "",
            "x",
            "00000000-0000-0000-0000-000000000000",
            &id.to_string()[1..],
        ] {
            assert_eq!(ClientId::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn what_a_publication_costs_grows_with_its_texts() {
        let publication = |data: &str, tags: Option<&str>| Publication {
            offset: 1,
            data: data.into(),
            by: None,
            tags: tags.map(Into::into),
            spares_author: false,
        };
        let bare = publication("", None).bytes();
        assert_eq!(publication("12345", Some("{}")).bytes(), bare + 7);
    }
}
