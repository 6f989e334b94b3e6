//! Requests that no route takes, passed on to a web application behind the server: what of them is
//! passed on, and what comes back.
//!
//! ```text
//! core -> PassLine::pass -> the thread that passes on -> the application, over HTTP
//! core -> PassedExchange::offer (body) -> ...
//! core <- PassLine::take_ready <- PassedExchange::set_head, give, finish <- its response
//! ```
//! Neither waits for the other: each has a bounded queue in either direction.

mod exchange;
mod line;
mod ready;

pub use exchange::{PassedEnd, PassedExchange, PassedHead};
pub use line::{PassLine, PassedRequest, PassedWaker};
pub use ready::ReadyExchanges;

use std::time::Duration;

/// Fields of a head: names, and values as they came (RFC 9110, 5.5: bytes).
pub type PassedFields = Vec<(Box<str>, Box<[u8]>)>;

/// How requests are passed on.
#[derive(Clone, Debug)]
pub struct PassPlan {
    /// A line for each core.
    pub lines: Vec<PassLine>,
    /// Clients come over TLS.
    pub is_secure: bool,
    /// For so long nothing may move in either direction.
    pub time: Duration,
}

/// Fields that are about one connection, not about what is said there (RFC 9110, 7.6.1).
const HOP_BY_HOP: [&str; 9] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Whether a field is about one connection; `connection` has the values of the fields of that name.
pub fn is_hop_by_hop<'c>(name: &str, mut connection: impl Iterator<Item = &'c str>) -> bool {
    let is_named = |list: &str| {
        let mut names = list.split(',').map(str::trim);
        names.any(|named| named.eq_ignore_ascii_case(name))
    };
    HOP_BY_HOP.iter().any(|it| name.eq_ignore_ascii_case(it)) || connection.any(is_named)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_about_one_connection_is_known_and_named() {
        let named = || ["close, X-Mine"].into_iter();
        for (name, is) in [
            ("Transfer-Encoding", true),
            ("upgrade", true),
            ("x-mine", true),
            ("Cookie", false),
            ("Content-Length", false),
            ("X-Min", false),
        ] {
            assert_eq!(is_hop_by_hop(name, named()), is, "{name}");
        }
        assert!(!is_hop_by_hop("x-mine", std::iter::empty()));
    }
}
