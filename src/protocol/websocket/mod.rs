//! WebSocket (RFC 6455): the opening handshake of both sides, frames, messages, the closing.

pub mod closing;
pub mod decoder;
pub mod deflate;

pub mod frame;
pub mod handshake;
mod head;
pub mod mask;
mod pieces;

pub use decoder::{Decoder, Event, Pool};
pub use deflate::Deflater;
pub use frame::{Extension, Fin, Header, Kind, Opcode, Role};
pub use handshake::{Accepted, ClientHandshake, Offer, OriginPolicy};

use crate::protocol::Fault;

/// The other side broke the protocol (RFC 6455, 7.4.1: 1002).
const fn broken(reason: &'static str) -> Fault {
    Fault::WebSocket {
        code: closing::PROTOCOL_ERROR,
        reason,
    }
}

/// Text that is not UTF-8 (RFC 6455, 8.1: 1007).
const NOT_UTF8: Fault = Fault::WebSocket {
    code: closing::INVALID_PAYLOAD,
    reason: "text that is not UTF-8",
};

/// A message that exceeds a limit (RFC 6455, 7.4.1: 1009).
const TOO_BIG: Fault = Fault::WebSocket {
    code: closing::TOO_BIG,
    reason: "a message too big",
};

/// A message in more fragments than allowed: bytes are not all that a message costs (1009).
const TOO_MANY: Fault = Fault::WebSocket {
    code: closing::TOO_BIG,
    reason: "a message in too many fragments",
};
