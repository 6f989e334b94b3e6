//! What client and server agree on (RFC 7692, 5 and 7.1): every parameter is checked by both.

use super::window::{Kept, WindowBits};
use crate::protocol::http::headers::trim;
use crate::protocol::websocket::frame::{Extension, Role};
use std::fmt::Write as _;

/// The extension's name (7).
const NAME: &str = "permessage-deflate";
/// Extensions of one handshake that are looked at.
const OFFERS: usize = 16;

/// What a client here offers that keeps no context: neither side shall. It does not say that it
/// could limit its own window, so no server may ask it to (7.1.2.2).
pub const OFFER: &str =
    "permessage-deflate; server_no_context_takeover; client_no_context_takeover";

/// Whether a side here keeps what was said, for the messages that follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContextTakeover {
    /// Neither side does.
    Never,
    /// Both do, as far as the other side agrees. Windows are no larger than that, where the other
    /// side lets itself be told.
    Within(WindowBits),
}

/// What a server goes by when it agrees.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// What the server does.
    pub takeover: ContextTakeover,
    /// Whether the server keeps context for what it says on that connection, if it does at all.
    pub sent: Kept,
    /// Bytes that the windows of the connection may have: without room no side keeps any.
    pub room: usize,
}

/// How one side deflates: the window that it stays in, and whether messages refer to others.
pub type Way = (WindowBits, Kept);

/// What is agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Agreement {
    server: Way,
    client: Way,
    /// What the answer tells of the windows.
    server_bits: Option<WindowBits>,
    client_bits: Option<WindowBits>,
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
    Most(WindowBits),
}

impl ContextTakeover {
    /// Bytes that the windows of one connection have at most, of those that are sent and received
    /// through: the other side may not say how much it keeps.
    #[must_use]
    pub const fn bytes_max(self) -> (usize, usize) {
        match self {
            Self::Never => (0, 0),
            Self::Within(bits) => (bits.bytes(), WindowBits::MOST.bytes()),
        }
    }
}

impl Agreement {
    /// How that side deflates.
    #[must_use]
    pub const fn sent_by(&self, role: Role) -> Way {
        match role {
            Role::Server => self.server,
            Role::Client => self.client,
        }
    }

    /// How the other side does.
    #[must_use]
    pub const fn received_by(&self, role: Role) -> Way {
        match role {
            Role::Server => self.client,
            Role::Client => self.server,
        }
    }

    /// Whether a side keeps context.
    #[must_use]
    pub fn keeps(&self) -> bool {
        self.server.1 == Kept::Last || self.client.1 == Kept::Last
    }

    /// What that is for the frames that side sends.
    #[must_use]
    pub fn extension(&self, role: Role) -> Extension {
        match self.sent_by(role) {
            (_, Kept::Last) => Extension::DeflateTakeover,
            (bits, Kept::Nothing) if bits >= WindowBits::USUAL => Extension::Deflate,
            (_, Kept::Nothing) => Extension::DeflateNarrow,
        }
    }

    /// The value of `Sec-WebSocket-Extensions` in the answer.
    #[must_use]
    pub fn answer(&self) -> String {
        let mut answer = NAME.to_owned();
        for (name, (_, kept)) in [("server", self.server), ("client", self.client)] {
            if kept == Kept::Nothing {
                let _ = write!(answer, "; {name}_no_context_takeover");
            }
        }
        for (name, bits) in [("server", self.server_bits), ("client", self.client_bits)] {
            if let Some(bits) = bits {
                let _ = write!(answer, "; {name}_max_window_bits={}", bits.get());
            }
        }
        answer
    }
}

/// What a client offers: the best first (5.1). A server that keeps its window at 32 KiB passes over
/// an offer that limits it, and takes the next.
#[must_use]
pub fn offer(takeover: ContextTakeover) -> String {
    match takeover {
        ContextTakeover::Never => OFFER.to_owned(),
        ContextTakeover::Within(WindowBits::MOST) => format!("{NAME}; client_max_window_bits"),
        ContextTakeover::Within(bits) => {
            let bits = bits.get();
            let plain = format!("{NAME}; client_max_window_bits={bits}");
            format!("{plain}; server_max_window_bits={bits}, {plain}")
        }
    }
}

/// The server's choice among the offers in all `Sec-WebSocket-Extensions` of a request: the first
/// that it can keep (5.1). An offer with a parameter that is unknown, given twice or out of its
/// range is passed over (7.1).
#[must_use]
pub fn agree<'a>(values: impl Iterator<Item = &'a [u8]>, terms: Terms) -> Option<Agreement> {
    let offers = values.flat_map(extensions).take(OFFERS);
    let mut offers = offers.filter_map(parameters);
    offers.find_map(|offer| agreement(offer, terms))
}

fn agreement(offer: Parameters, terms: Terms) -> Option<Agreement> {
    let asked = match offer.server_max_window_bits {
        None => None,
        Some(Bits::Most(bits)) => Some(bits),
        // 7.1.2.1: in an offer it has a value.
        Some(Bits::Able) => return None,
    };
    let (sends, receives) = match terms.takeover {
        ContextTakeover::Never => (false, false),
        ContextTakeover::Within(_) => (
            terms.sent == Kept::Last && !offer.server_no_context_takeover,
            !offer.client_no_context_takeover,
        ),
    };
    let own = match terms.takeover {
        ContextTakeover::Within(bits) => bits,
        ContextTakeover::Never => WindowBits::USUAL,
    };
    let client_bits = match offer.client_max_window_bits {
        Some(Bits::Able) if receives => Some(own),
        Some(Bits::Most(bits)) if receives => Some(bits.min(own)),
        Some(_) | None => None,
    };
    let client = client_bits.unwrap_or(WindowBits::MOST);
    let server = asked.unwrap_or(WindowBits::MOST).min(own);
    let all = [(sends, server), (receives, client)];
    let wanted: usize = all
        .iter()
        .filter_map(|(is, bits)| is.then_some(bits.bytes()))
        .sum();
    let has_room = wanted <= terms.room;
    let sends = sends && has_room;
    // Messages by themselves are deflated with the usual window, or with the least.
    let server = match server {
        bits if sends => bits,
        bits if bits >= WindowBits::USUAL => WindowBits::USUAL,
        bits => bits.min(WindowBits::NARROW),
    };
    Some(Agreement {
        server: (server, kept(sends)),
        client: (client, kept(receives && has_room)),
        server_bits: asked.map(|_| server),
        client_bits: client_bits.filter(|_| has_room),
    })
}

const fn kept(is_kept: bool) -> Kept {
    if is_kept { Kept::Last } else { Kept::Nothing }
}

/// What the answer to [`offer`] agrees to; `None` if to nothing.
///
/// # Errors
/// Why it answers something that was not offered, or not what was offered.
pub fn agreed<'a>(
    values: impl Iterator<Item = &'a [u8]>,
    takeover: ContextTakeover,
) -> Result<Option<Agreement>, &'static str> {
    let mut answers = values.flat_map(extensions);
    let Some(answer) = answers.next() else {
        return Ok(None);
    };
    if answers.next().is_some() {
        return Err("101 with more extensions than were offered");
    }
    let Some(answer) = parameters(answer) else {
        return Err("101 with an extension or parameter that was not offered");
    };
    let (own, client_kept) = match takeover {
        // 7.1.1.1: a server that agrees says so.
        ContextTakeover::Never if !answer.server_no_context_takeover => {
            return Err("101 without server_no_context_takeover, which was offered");
        }
        ContextTakeover::Never => (WindowBits::USUAL, false),
        ContextTakeover::Within(bits) => (bits, !answer.client_no_context_takeover),
    };
    let client = match (answer.client_max_window_bits, takeover) {
        (None, _) => own,
        // 7.1.2.2: it was not offered.
        (Some(_), ContextTakeover::Never) => {
            return Err("101 with client_max_window_bits, which was not offered");
        }
        (Some(Bits::Able), ContextTakeover::Within(_)) => {
            return Err("101 with client_max_window_bits without a value");
        }
        (Some(Bits::Most(bits)), ContextTakeover::Within(_)) => bits.min(own),
    };
    let server = match answer.server_max_window_bits {
        None => WindowBits::MOST,
        Some(Bits::Most(bits)) => bits,
        // 7.1.2.1: in an answer it has a value.
        Some(Bits::Able) => return Err("101 with server_max_window_bits without a value"),
    };
    Ok(Some(Agreement {
        server: (server, kept(!answer.server_no_context_takeover)),
        client: (client, kept(client_kept)),
        server_bits: None,
        client_bits: None,
    }))
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
    let bits = match value.as_bytes() {
        [digit @ b'8'..=b'9'] => digit - b'0',
        [b'1', digit @ b'0'..=b'5'] => 10 + digit - b'0',
        _ => return None,
    };
    WindowBits::new(bits).map(Bits::Most)
}

#[cfg(test)]
#[path = "negotiate_tests.rs"]
mod tests;
