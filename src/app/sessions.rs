//! Sessions of browsers: the cookie that all tabs of one share, and who is given one.

use super::Arrival;
use super::hub::session::SessionId;
use crate::limits;
use crate::shard::Core;
use ring::hmac;
use std::fmt;
use std::time::Duration;

/// What the sessions of a server are like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionPlan {
    /// What the cookie is called.
    pub cookie: Box<str>,
    /// It is sent over TLS only.
    pub is_secure: bool,
    /// Time between a session's last socket and its end.
    pub grace: Duration,
    /// The origins, beside the server's own, whose pages have sessions here.
    pub origins: Vec<String>,
}

/// Reads and makes the cookies of one core. A cookie is `ID.TAG`: the session, and that the server
/// has made it (HMAC-SHA-256), so that nobody can choose one.
pub struct SessionCookies {
    plan: SessionPlan,
    /// What names are made with.
    key: hmac::Key,
    /// What cookies are signed with.
    signing: hmac::Key,
    here: Core,
    /// How many sessions were made here.
    made: u64,
}

/// Whose session somebody who comes is in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SessionEntry {
    /// The session.
    pub id: Option<SessionId>,
    /// What its browser is told to keep, if it is new.
    pub cookie: Option<Box<str>>,
    /// It showed a cookie that this server did not make.
    pub is_foreign: bool,
}

impl SessionPlan {
    /// Sessions whose cookie is called that, of the server's own pages.
    #[must_use]
    pub fn new(cookie: &str) -> Self {
        Self {
            cookie: cookie.into(),
            is_secure: false,
            grace: limits::SESSION_GRACE_TIME,
            origins: Vec::new(),
        }
    }

    /// Whether a cookie may be called that (RFC 6265, 4.1.1: a token).
    #[must_use]
    pub fn is_name(name: &str) -> bool {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        (1..=64).contains(&name.len()) && name.bytes().all(is_plain)
    }
}

impl SessionCookies {
    /// Cookies that are known again on every core with that secret.
    #[must_use]
    pub fn new(plan: SessionPlan, secret: &[u8; 32], here: Core) -> Self {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
        Self {
            plan,
            signing: key.clone(),
            key,
            here,
            made: 0,
        }
    }

    /// The same, signed with that: then they are known again in a run of another secret, which
    /// gives none of their names to anybody else.
    #[must_use]
    pub fn signed_with(self, secret: &[u8; 32]) -> Self {
        Self {
            signing: hmac::Key::new(hmac::HMAC_SHA256, secret),
            ..self
        }
    }

    /// Pages of those origins have sessions from now on.
    pub fn welcome(&mut self, origins: Vec<String>) {
        self.plan.origins = origins;
    }

    /// The session of who comes: that of its cookie, or a new one. A page of a foreign origin has
    /// none: it would act for whoever looks at it.
    pub fn enter(&mut self, arrival: &Arrival<'_>) -> SessionEntry {
        if !self.is_at_home(arrival) {
            return SessionEntry::default();
        }
        let cookies = (arrival.header)("Cookie").unwrap_or_default();
        let shown = self.shown(cookies);
        if let Some(Some(id)) = shown {
            return SessionEntry {
                id: Some(id),
                ..SessionEntry::default()
            };
        }
        let id = self.make();
        // RFC 6265, 4.1: the browser keeps it until it ends, scripts cannot read it.
        let secure = if self.plan.is_secure { "; Secure" } else { "" };
        let pair = self.pair(id);
        let cookie = format!("{pair}; Path=/; HttpOnly; SameSite=Lax{secure}");
        SessionEntry {
            id: Some(id),
            cookie: Some(cookie.into()),
            is_foreign: shown.is_some(),
        }
    }

    /// The cookie of a session, as its browser sends it.
    #[must_use]
    pub fn pair(&self, id: SessionId) -> String {
        let (name, tag) = (&self.plan.cookie, self.tag(id));
        format!("{name}={id}.{tag:016x}")
    }

    /// The session that a `Cookie` field names, if this server made it; `None` if it names none.
    fn shown(&self, cookies: &str) -> Option<Option<SessionId>> {
        let pairs = cookies.split(';').filter_map(|pair| pair.split_once('='));
        let ours = pairs.filter(|(name, _)| name.trim() == &*self.plan.cookie);
        let read = ours.map(|(_, value)| {
            let (id, tag) = value.trim().split_once('.')?;
            let id = SessionId::parse(id)?;
            // Of equal length: the time to compare tells nothing.
            let ours = format!("{:016x}", self.tag(id));
            let differ = tag.bytes().zip(ours.bytes());
            let differ = differ.fold(0, |differ, (a, b)| differ | (a ^ b));
            (tag.len() == 16 && differ == 0).then_some(id)
        });
        // Of several the first good one.
        read.reduce(|one, other| one.or(other))
    }

    /// Whether the page is the server's own, or of an origin that is trusted; who is no page is.
    fn is_at_home(&self, arrival: &Arrival<'_>) -> bool {
        let Some(origin) = (arrival.header)("Origin") else {
            return true;
        };
        let mut trusted = self.plan.origins.iter();
        let host = (arrival.header)("Host").unwrap_or_default();
        let own = origin.split_once("://").map(|(_, rest)| rest);
        own.is_some_and(|own| own.eq_ignore_ascii_case(host))
            || trusted.any(|it| it.eq_ignore_ascii_case(origin))
    }

    fn make(&mut self) -> SessionId {
        self.made += 1;
        let mut text = b"session".to_vec();
        text.extend_from_slice(&self.here.0.to_be_bytes());
        text.extend_from_slice(&self.made.to_be_bytes());
        SessionId(mac(&self.key, &text))
    }

    fn tag(&self, id: SessionId) -> u64 {
        let text = [b"cookie".as_slice(), &id.0.to_be_bytes()].concat();
        u64::try_from(mac(&self.signing, &text) >> 64).unwrap_or_default()
    }
}

fn mac(key: &hmac::Key, text: &[u8]) -> u128 {
    let tag = hmac::sign(key, text);
    let bytes = tag.as_ref().iter().take(16);
    bytes.fold(0, |all, byte| all << 8 | u128::from(*byte))
}

impl fmt::Debug for SessionCookies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The key is told to nobody.
        write!(
            f,
            "SessionCookies({}, {} made)",
            self.plan.cookie, self.made
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cookies(secret: u8, core: u16) -> SessionCookies {
        let plan = SessionPlan {
            origins: vec!["https://app.example".into()],
            ..SessionPlan::new("shop")
        };
        SessionCookies::new(plan, &[secret; 32], Core(core))
    }

    fn enter(cookies: &mut SessionCookies, fields: &[(&str, &str)]) -> SessionEntry {
        let header = |name: &str| {
            let found = fields.iter().find(|(field, _)| *field == name);
            found.map(|(_, value)| *value)
        };
        cookies.enter(&Arrival {
            share: None,
            purpose: crate::app::ArrivalPurpose::Stay,
            path: "/channels",
            query: "",
            header: &header,
        })
    }

    #[test]
    fn a_cookie_is_known_again_on_every_core_and_by_no_other_server() {
        let entry = enter(&mut cookies(1, 0), &[]);
        let cookie = entry.cookie.clone().expect("a new one");
        assert!(
            cookie.ends_with("; Path=/; HttpOnly; SameSite=Lax"),
            "{cookie}"
        );
        let pair = cookie.split(';').next().expect("a pair");
        let shown = format!("other=1; {pair}; shop2=x");
        let again = enter(&mut cookies(1, 3), &[("Cookie", &shown)]);
        assert_eq!((again.id, &again.cookie), (entry.id, &None));
        let foreign = enter(&mut cookies(2, 0), &[("Cookie", pair)]);
        assert!(foreign.id != entry.id && foreign.cookie.is_some() && foreign.is_foreign);
        assert!(!again.is_foreign && !entry.is_foreign);
        let others = [
            enter(&mut cookies(1, 0), &[]),
            enter(&mut cookies(1, 1), &[]),
        ];
        assert_ne!(others[0].id, others[1].id, "each core makes others");
    }

    #[test]
    fn a_cookie_is_known_in_a_run_that_signs_alike_and_its_name_given_to_nobody() {
        let run = |secret: u8| cookies(secret, 0).signed_with(&[9; 32]);
        let first = enter(&mut run(1), &[]);
        let cookie = first.cookie.expect("a new one");
        let pair = cookie.split(';').next().expect("a pair");
        let mut later = run(2);
        let again = enter(&mut later, &[("Cookie", pair)]);
        assert_eq!((again.id, again.cookie), (first.id, None));
        assert_ne!(enter(&mut later, &[]).id, first.id);
        assert!(enter(&mut cookies(1, 0), &[("Cookie", pair)]).is_foreign);
    }

    #[test]
    fn a_cookie_that_was_changed_is_none() {
        let mut cookies = cookies(1, 0);
        let first = enter(&mut cookies, &[]);
        let cookie = first.cookie.expect("a new one");
        let pair = cookie.split(';').next().expect("a pair").to_owned();
        let (name, value) = pair.split_once('=').expect("a value");
        let (id, tag) = value.split_once('.').expect("a tag");
        for changed in [
            format!("{name}={id}"),
            format!("{name}={id}."),
            format!("{name}={id}.{}", &tag[1..]),
            format!("{name}={id}.{tag}0"),
            format!("{name}={}.{tag}", "0".repeat(32)),
            format!("{name}2={value}"),
            format!("{name}={}", value.to_uppercase()),
        ] {
            let entry = enter(&mut cookies, &[("Cookie", &changed)]);
            assert!(entry.id != first.id && entry.cookie.is_some(), "{changed}");
        }
    }

    #[test]
    fn a_page_of_a_foreign_origin_has_no_session() {
        let mut cookies = cookies(1, 0);
        for (origin, has) in [
            ("http://a:9000", true),
            ("https://app.example", true),
            ("https://evil.example", false),
            ("http://a", false),
            ("null", false),
        ] {
            let entry = enter(&mut cookies, &[("Origin", origin), ("Host", "a:9000")]);
            assert_eq!(entry.id.is_some(), has, "{origin}");
        }
    }

    #[test]
    fn what_a_cookie_may_be_called() {
        assert!(SessionPlan::is_name("my-app_2"));
        for name in ["", "a b", "a=b", "a;b", "\u{e9}", &"a".repeat(65)] {
            assert!(!SessionPlan::is_name(name), "{name}");
        }
    }
}
