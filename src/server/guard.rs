//! Who may look into the server: whoever shows the token, or without one whoever comes to a
//! listener on loopback itself, or at a path for operators. No page of another site, in either
//! case.

use crate::app::console;
use crate::app::dialect::api::NEEDS_API_KEY;
use crate::protocol::Fault;
use crate::protocol::http::{Headers, Request};
use std::net::IpAddr;
use std::sync::Arc;

/// What is asked of whoever wants to look into the server.
#[derive(Clone, Debug, Default)]
pub struct Guard {
    /// What is to be shown: `Authorization: Bearer` (RFC 6750, 2.1).
    pub token: Option<Arc<str>>,
    /// Where none is, if none is set.
    pub local: LocalListeners,
}

/// Which listeners nobody reaches from elsewhere: on loopback, or at paths for operators.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LocalListeners {
    /// All that everybody comes to.
    pub regular: bool,
    /// That for health and figures.
    pub admin: bool,
}

/// Where somebody comes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entrance {
    /// Where everybody does.
    Regular,
    /// At the listener for health and figures.
    Admin,
}

/// Fields that a proxy adds for whom it asks.
const PROXIED: [&str; 4] = ["Forwarded", "X-Forwarded-For", "X-Real-IP", "Via"];

/// Why somebody without a token is refused, and with another one.
const NO_TOKEN: &str = "Authorization: Bearer with the --admin-token";
const NOT_THE_TOKEN: &str = "not the token of --admin-token";

/// What is to be shown, to whoever was refused with 401 for that reason (RFC 9110, 11.6.1;
/// RFC 6750, 3).
pub(super) fn challenge(reason: &str) -> &'static str {
    match reason {
        NOT_THE_TOKEN => "Bearer realm=\"operators\", error=\"invalid_token\"",
        NO_TOKEN => "Bearer realm=\"operators\"",
        NEEDS_API_KEY => "apikey realm=\"api\", Bearer realm=\"api\"",
        _ => "Bearer realm=\"channels\"",
    }
}

const fn refusal(status: u16, reason: &'static str) -> Fault {
    Fault::Http { status, reason }
}

impl Guard {
    /// Whether a request that came there may have what it asks for.
    ///
    /// # Errors
    /// What it gets instead.
    pub(super) fn check(&self, entrance: Entrance, request: &Request<'_>) -> Result<(), Fault> {
        if !console::PRIVATE.contains(&request.path()) {
            return Ok(());
        }
        if is_of_another_site(&request.headers) {
            return Err(refusal(403, "no page of another site may look in here"));
        }
        if let Some(token) = &self.token {
            let shown = request.headers.get("Authorization");
            let shown = shown.and_then(|it| it.split_once(' '));
            let shown = shown.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("Bearer"));
            return match shown {
                Some((_, shown)) if is_same(shown.trim(), token) => Ok(()),
                Some(_) => Err(refusal(401, NOT_THE_TOKEN)),
                None => Err(refusal(401, NO_TOKEN)),
            };
        }
        let is_local = match entrance {
            Entrance::Admin => self.local.admin,
            Entrance::Regular => self.local.regular,
        };
        let is_passed_on = request.headers.iter().any(|(name, _)| {
            let mut fields = PROXIED.iter();
            fields.any(|field| field.eq_ignore_ascii_case(name))
        });
        if !is_local || is_passed_on || !request.headers.get("Host").is_some_and(is_here) {
            return Err(refusal(
                403,
                "only at a listener on loopback or at a path for operators, such as --admin-listen \
                 127.0.0.1:9001, or with --admin-token",
            ));
        }
        Ok(())
    }
}

/// Whether a browser says that a page of another site asks (Fetch Metadata, 2.1; Fetch, 3.1).
fn is_of_another_site(headers: &Headers<'_>) -> bool {
    let is_foreign = |site| !["same-origin", "none"].contains(&site);
    let is_foreign = headers.all("Sec-Fetch-Site").any(is_foreign);
    let host = headers.get("Host").unwrap_or_default();
    let is_other = |origin: &str| {
        let authority = origin.split_once("://").map(|(_, authority)| authority);
        authority.is_none_or(|it| !it.eq_ignore_ascii_case(host))
    };
    is_foreign || headers.all("Origin").any(is_other)
}

/// Whether a host is this one by any name that leads nowhere else: another may be made to lead
/// here (DNS rebinding).
fn is_here(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    let is_loopback = |address: IpAddr| address.is_loopback();
    name.eq_ignore_ascii_case("localhost") || name.parse().is_ok_and(is_loopback)
}

/// Compares all bytes, so that the time tells nothing of where they differ.
fn is_same(shown: &str, token: &str) -> bool {
    let pairs = shown.bytes().zip(token.bytes());
    shown.len() == token.len() && pairs.fold(0, |sum, (a, b)| sum | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCAL: LocalListeners = LocalListeners {
        regular: false,
        admin: true,
    };

    fn status(guard: &Guard, place: Entrance, fields: &str) -> u16 {
        let text = format!("GET /report/data?from=1 HTTP/1.1\r\n{fields}\r\n");
        let request = Request::parse(text.as_bytes()).unwrap();
        match guard.check(place, &request) {
            Ok(()) => 200,
            Err(Fault::Http { status, .. }) => status,
            Err(_) => 0,
        }
    }

    #[test]
    fn without_a_token_only_who_is_on_loopback_itself_may_look() {
        let guard = Guard {
            token: None,
            local: LOCAL,
        };
        for (place, fields, expected) in [
            (Entrance::Admin, "Host: 127.0.0.1:9001\r\n", 200),
            (Entrance::Admin, "Host: localhost\r\n", 200),
            (Entrance::Admin, "Host: [::1]:9001\r\n", 200),
            (Entrance::Regular, "Host: 127.0.0.1:9001\r\n", 403),
            (Entrance::Admin, "Host: evil.example:9001\r\n", 403),
            (Entrance::Admin, "Host: 127.0.0.1.evil.example\r\n", 403),
            (
                Entrance::Admin,
                "Host: localhost\r\nX-Forwarded-For: 1.2.3.4\r\n",
                403,
            ),
            (
                Entrance::Admin,
                "Host: localhost\r\nForwarded: for=1.2.3.4\r\n",
                403,
            ),
            (
                Entrance::Admin,
                "Host: localhost\r\nOrigin: http://localhost\r\n",
                200,
            ),
            (
                Entrance::Admin,
                "Host: localhost\r\nOrigin: http://localhost:1\r\n",
                403,
            ),
            (Entrance::Admin, "Host: localhost\r\nOrigin: null\r\n", 403),
            (
                Entrance::Admin,
                "Host: localhost\r\nSec-Fetch-Site: same-origin\r\n",
                200,
            ),
            (
                Entrance::Admin,
                "Host: localhost\r\nSec-Fetch-Site: none\r\n",
                200,
            ),
            (
                Entrance::Admin,
                "Host: localhost\r\nSec-Fetch-Site: same-site\r\n",
                403,
            ),
            (
                Entrance::Admin,
                "Host: localhost\r\nSec-Fetch-Site: cross-site\r\n",
                403,
            ),
        ] {
            assert_eq!(status(&guard, place, fields), expected, "{fields}");
        }
        assert_eq!(
            status(&Guard::default(), Entrance::Admin, "Host: localhost\r\n"),
            403
        );
    }

    #[test]
    fn with_a_token_it_is_asked_for_everywhere() {
        let guard = Guard {
            token: Some("s3cret".into()),
            local: LOCAL,
        };
        for (fields, expected) in [
            ("Host: localhost\r\n", 401),
            ("Host: a.example\r\nAuthorization: Bearer s3cret\r\n", 200),
            ("Host: a.example\r\nAuthorization: bearer s3cret\r\n", 200),
            ("Host: a.example\r\nAuthorization: Bearer s3cre\r\n", 401),
            ("Host: a.example\r\nAuthorization: Bearer s3crex\r\n", 401),
            ("Host: a.example\r\nAuthorization: Basic s3cret\r\n", 401),
            (
                "Host: a.example\r\nAuthorization: Bearer s3cret\r\nOrigin: http://b.example\r\n",
                403,
            ),
        ] {
            for place in [Entrance::Admin, Entrance::Regular] {
                assert_eq!(status(&guard, place, fields), expected, "{fields}");
            }
        }
    }

    #[test]
    fn whoever_is_refused_is_told_what_to_show() {
        let guard = Guard {
            token: Some("s3cret".into()),
            local: LOCAL,
        };
        let told = |fields: &str| {
            let text = format!("GET /dash/events HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
            let request = Request::parse(text.as_bytes()).unwrap();
            match guard.check(Entrance::Regular, &request) {
                Err(Fault::Http { reason, .. }) => challenge(reason),
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(told(""), "Bearer realm=\"operators\"");
        let wrong = told("Authorization: Bearer x\r\n");
        assert_eq!(wrong, "Bearer realm=\"operators\", error=\"invalid_token\"");
        let api = challenge(NEEDS_API_KEY);
        assert_eq!(api, "apikey realm=\"api\", Bearer realm=\"api\"");
    }

    #[test]
    fn what_is_for_everybody_is_not_guarded() {
        let text = "GET /echo HTTP/1.1\r\nHost: a\r\nOrigin: http://b\r\n\r\n";
        let request = Request::parse(text.as_bytes()).unwrap();
        assert_eq!(Guard::default().check(Entrance::Regular, &request), Ok(()));
    }
}
