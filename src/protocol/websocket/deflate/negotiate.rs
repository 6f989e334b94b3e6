//! What client and server agree on (RFC 7692, 5 and 7.1): every parameter is checked by both.

use super::{NARROW_BITS, WINDOW_BITS};
use crate::protocol::http::headers::trim;
use crate::protocol::websocket::frame::Extension;

/// The extension's name (7).
const NAME: &str = "permessage-deflate";
/// Extensions of one handshake that are looked at.
const OFFERS: usize = 16;

/// What a client here offers: no context is kept by either side. It does not say that it could
/// limit its own window, so no server may ask it to (7.1.2.2).
pub const OFFER: &str =
    "permessage-deflate; server_no_context_takeover; client_no_context_takeover";

/// What a server here agrees to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Agreement {
    /// The client did not limit the server's window.
    Free,
    /// The client limited the server's window to no less than what is used here, and is told.
    Limited,
    /// The client limited it to less: it is sent what the least of windows makes, and told.
    Narrow,
}

/// The parameters of one offer or answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Parameters {
    server_no_context_takeover: bool,
    client_no_context_takeover: bool,
    server_max_window_bits: Option<Bits>,
    client_max_window_bits: Option<Bits>,
}

/// The value of a window parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bits {
    /// Only the name: the client could limit its window (7.1.2.2).
    Able,
    /// 8 to 15.
    Most(u8),
}

impl Agreement {
    /// What that is for the frames that follow.
    #[must_use]
    pub const fn extension(self) -> Extension {
        match self {
            Self::Free | Self::Limited => Extension::Deflate,
            Self::Narrow => Extension::DeflateNarrow,
        }
    }

    /// The value of `Sec-WebSocket-Extensions` in the answer.
    #[must_use]
    pub const fn answer(self) -> &'static str {
        match self {
            Self::Free => OFFER,
            // WINDOW_BITS, in words.
            Self::Limited => {
                "permessage-deflate; server_no_context_takeover; client_no_context_takeover; \
                 server_max_window_bits=12"
            }
            // NARROW_BITS.
            Self::Narrow => {
                "permessage-deflate; server_no_context_takeover; client_no_context_takeover; \
                 server_max_window_bits=9"
            }
        }
    }
}

/// The server's choice among the offers in all `Sec-WebSocket-Extensions` of a request: the first
/// that it can keep (5.1). An offer with a parameter that is unknown, given twice or out of its
/// range is passed over (7.1), as is one that wants a window of 256 bytes: no deflater here has it.
#[must_use]
pub fn agree<'a>(values: impl Iterator<Item = &'a [u8]>) -> Option<Agreement> {
    let offers = values.flat_map(extensions).take(OFFERS);
    offers.filter_map(parameters).find_map(agreement)
}

fn agreement(offer: Parameters) -> Option<Agreement> {
    match offer.server_max_window_bits {
        None => Some(Agreement::Free),
        Some(Bits::Most(bits)) if bits >= WINDOW_BITS => Some(Agreement::Limited),
        Some(Bits::Most(bits)) if bits >= NARROW_BITS => Some(Agreement::Narrow),
        Some(Bits::Most(_) | Bits::Able) => None,
    }
}

/// Whether the answer to [`OFFER`] agrees to it.
///
/// # Errors
/// Why it answers something that was not offered, or not what was offered.
pub fn agreed<'a>(values: impl Iterator<Item = &'a [u8]>) -> Result<bool, &'static str> {
    let mut answers = values.flat_map(extensions);
    let Some(answer) = answers.next() else {
        return Ok(false);
    };
    if answers.next().is_some() {
        return Err("101 with more extensions than were offered");
    }
    let Some(parameters) = parameters(answer) else {
        return Err("101 with an extension or parameter that was not offered");
    };
    match parameters {
        // 7.1.1.1: a server that agrees says so.
        Parameters {
            server_no_context_takeover: false,
            ..
        } => Err("101 without server_no_context_takeover, which was offered"),
        // 7.1.2.2: it was not offered.
        Parameters {
            client_max_window_bits: Some(_),
            ..
        } => Err("101 with client_max_window_bits, which was not offered"),
        // 7.1.2.1: in an answer it has a value.
        Parameters {
            server_max_window_bits: Some(Bits::Able),
            ..
        } => Err("101 with server_max_window_bits without a value"),
        Parameters { .. } => Ok(true),
    }
}

/// The extensions of one field, in order, as they are written (RFC 6455, 9.1). A comma within
/// quotes would cut one in two, neither of which is ours.
fn extensions(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    let parts = value.split(|byte| *byte == b',').map(trim);
    parts.filter(|part| !part.is_empty())
}

/// The parameters of permessage-deflate; `None` for another extension or a wrong parameter.
fn parameters(extension: &[u8]) -> Option<Parameters> {
    let text = std::str::from_utf8(extension).ok()?;
    let mut parts = text.split(';').map(|part| part.trim_matches([' ', '\t']));
    if !parts.next()?.eq_ignore_ascii_case(NAME) {
        return None;
    }
    let mut found = Parameters::default();
    for part in parts {
        let (name, value) = match part.split_once('=') {
            Some((name, value)) => (name.trim_end(), Some(unquoted(value.trim_start())?)),
            None => (part, None),
        };
        let is_new = match (name, value) {
            ("server_no_context_takeover", None) => {
                !std::mem::replace(&mut found.server_no_context_takeover, true)
            }
            ("client_no_context_takeover", None) => {
                !std::mem::replace(&mut found.client_no_context_takeover, true)
            }
            ("server_max_window_bits", Some(value)) => {
                found.server_max_window_bits.replace(bits(value)?).is_none()
            }
            ("client_max_window_bits", value) => {
                let bits = value.map_or(Some(Bits::Able), bits)?;
                found.client_max_window_bits.replace(bits).is_none()
            }
            _ => return None,
        };
        if !is_new {
            return None;
        }
    }
    Some(found)
}

/// A value without its quotes (RFC 6455, 9.1). No value here has an escape in it.
fn unquoted(value: &str) -> Option<&str> {
    match value.strip_prefix('"') {
        Some(rest) => rest.strip_suffix('"'),
        None => Some(value),
    }
}

/// 7.1.2: a decimal integer from 8 to 15 without leading zeroes.
fn bits(value: &str) -> Option<Bits> {
    match value.as_bytes() {
        [digit @ b'8'..=b'9'] => Some(Bits::Most(digit - b'0')),
        [b'1', digit @ b'0'..=b'5'] => Some(Bits::Most(10 + digit - b'0')),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agree_to(value: &str) -> Option<Agreement> {
        agree([value.as_bytes()].into_iter())
    }

    fn verdict(value: &str) -> Result<bool, &'static str> {
        agreed([value.as_bytes()].into_iter())
    }

    #[test]
    fn the_first_offer_that_can_be_kept_is_agreed_to() {
        for (offer, wanted) in [
            ("permessage-deflate", Some(Agreement::Free)),
            (
                "PerMessage-Deflate ; client_max_window_bits",
                Some(Agreement::Free),
            ),
            (
                "permessage-deflate; client_max_window_bits=8",
                Some(Agreement::Free),
            ),
            (OFFER, Some(Agreement::Free)),
            (
                "permessage-deflate; server_max_window_bits=15",
                Some(Agreement::Limited),
            ),
            (
                "permessage-deflate; server_max_window_bits=\"12\"",
                Some(Agreement::Limited),
            ),
            (
                "permessage-deflate; server_max_window_bits=11",
                Some(Agreement::Narrow),
            ),
            (
                "permessage-deflate; server_max_window_bits=9, permessage-deflate",
                Some(Agreement::Narrow),
            ),
            // RFC 7692, 7.1.2.1: it may be declined, and the next one taken.
            ("permessage-deflate; server_max_window_bits=8", None),
            (
                "permessage-deflate; server_max_window_bits=8, permessage-deflate",
                Some(Agreement::Free),
            ),
            (
                "x-webkit-deflate-frame, permessage-deflate",
                Some(Agreement::Free),
            ),
            ("x-webkit-deflate-frame", None),
            ("", None),
        ] {
            assert_eq!(agree_to(offer), wanted, "{offer}");
        }
    }

    #[test]
    fn a_wrong_parameter_is_never_agreed_to() {
        // RFC 7692, 7.1; CVE-2026-2229: bad window bits.
        for parameter in [
            "server_max_window_bits",
            "server_max_window_bits=",
            "server_max_window_bits=7",
            "server_max_window_bits=16",
            "server_max_window_bits=08",
            "server_max_window_bits=012",
            "server_max_window_bits=+9",
            "server_max_window_bits=1e1",
            "server_max_window_bits=-12",
            "server_max_window_bits=99999999999999999999",
            "server_max_window_bits=\"12",
            "client_max_window_bits=0",
            "client_max_window_bits=16",
            "client_max_window_bits=x",
            "client_max_window_bits; client_max_window_bits=9",
            "server_no_context_takeover=1",
            "server_no_context_takeover; server_no_context_takeover",
            "client_no_context_takeover=true",
            "unknown",
            "",
        ] {
            let offer = format!("permessage-deflate; {parameter}");
            assert_eq!(agree_to(&offer), None, "{offer}");
            let answer = format!("{OFFER}; {parameter}");
            assert!(verdict(&answer).is_err(), "{answer}");
        }
    }

    #[test]
    fn a_client_takes_only_what_it_offered() {
        assert_eq!(verdict(""), Ok(false));
        assert_eq!(verdict(OFFER), Ok(true));
        assert_eq!(verdict(Agreement::Limited.answer()), Ok(true));
        assert_eq!(
            verdict("permessage-deflate; server_no_context_takeover"),
            Ok(true)
        );
        for answer in [
            "permessage-deflate".to_owned(),
            format!("{OFFER}; client_max_window_bits=15"),
            format!("{OFFER}, {OFFER}"),
            "x-webkit-deflate-frame".to_owned(),
            format!("{OFFER}; server_max_window_bits"),
        ] {
            assert!(verdict(&answer).is_err(), "{answer}");
        }
        for bits in 8..=15 {
            let answer = format!("{OFFER}; server_max_window_bits={bits}");
            assert_eq!(verdict(&answer), Ok(true), "{answer}");
        }
    }

    #[test]
    fn the_answer_tells_the_window_that_is_used() {
        for (agreement, bits) in [
            (Agreement::Limited, WINDOW_BITS),
            (Agreement::Narrow, NARROW_BITS),
        ] {
            let told = format!("server_max_window_bits={bits}");
            assert!(agreement.answer().ends_with(&told));
        }
    }
}
