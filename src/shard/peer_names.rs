//! The names that a peer has proved with a certificate.

/// The names of a certificate that somebody trusted has signed, each with what it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeerNames {
    all: Vec<(PeerNameKind, Box<str>)>,
}

/// What a name is: a part of the subject (RFC 5280, 4.1.2.6), or an alternative of it (4.2.1.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerNameKind {
    /// `commonName` of the subject.
    CommonName,
    /// `organizationName` of the subject.
    Organization,
    /// `organizationalUnitName` of the subject.
    Unit,
    /// `dNSName`.
    Dns,
    /// `rfc822Name`.
    Email,
    /// `uniformResourceIdentifier`.
    Uri,
    /// `iPAddress`.
    Ip,
}

impl PeerNames {
    /// None.
    pub const NONE: &'static Self = &Self { all: Vec::new() };

    /// Those.
    #[must_use]
    pub const fn new(all: Vec<(PeerNameKind, Box<str>)>) -> Self {
        Self { all }
    }

    /// Those of that kind.
    pub fn of(&self, kind: PeerNameKind) -> impl Iterator<Item = &str> {
        let all = self.all.iter().filter(move |(of, _)| *of == kind);
        all.map(|(_, name)| &**name)
    }
}

impl PeerNameKind {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::CommonName,
        Self::Organization,
        Self::Unit,
        Self::Dns,
        Self::Email,
        Self::Uri,
        Self::Ip,
    ];

    /// What it is called in a file: as OpenSSL calls it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::CommonName => "cn",
            Self::Organization => "o",
            Self::Unit => "ou",
            Self::Dns => "dns",
            Self::Email => "email",
            Self::Uri => "uri",
            Self::Ip => "ip",
        }
    }

    /// What is called so.
    #[must_use]
    pub fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.word() == word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_by_their_kind_and_kinds_by_their_word() {
        let names = PeerNames::new(vec![
            (PeerNameKind::Dns, "a.test".into()),
            (PeerNameKind::CommonName, "a".into()),
            (PeerNameKind::Dns, "b.test".into()),
        ]);
        let dns: Vec<&str> = names.of(PeerNameKind::Dns).collect();
        assert_eq!(dns, ["a.test", "b.test"]);
        assert_eq!(names.of(PeerNameKind::Uri).count(), 0);
        for kind in PeerNameKind::ALL {
            assert_eq!(PeerNameKind::of_word(kind.word()), Some(kind));
        }
        assert_eq!(PeerNameKind::of_word("CN"), None);
    }
}
