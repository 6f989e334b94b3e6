//! WebSocket (RFC 6455): the opening handshake of both sides, frames, messages, the closing.

pub mod closing;

pub mod frame;
pub mod handshake;
pub mod mask;

pub use frame::{Fin, Header, Opcode, Role};
pub use handshake::{Accepted, ClientHandshake, OriginPolicy};

use crate::protocol::Fault;

/// The other side broke the protocol (RFC 6455, 7.4.1: 1002).
pub(super) const fn broken(reason: &'static str) -> Fault {
    Fault::WebSocket {
        code: closing::PROTOCOL_ERROR,
        reason,
    }
}

/// Text that is not UTF-8 (RFC 6455, 8.1: 1007).
pub(super) const NOT_UTF8: Fault = Fault::WebSocket {
    code: closing::INVALID_PAYLOAD,
    reason: "text that is not UTF-8",
};
