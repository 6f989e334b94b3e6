//! What the query of a request says, and what is wrong with it in the words of `engine.io` 6.

use super::letter::EngineRequest;
use crate::app::dialect::query;
use crate::app::{ApiCall, ApiResponse, CallMethod, Refusal};
use std::borrow::Cow;

/// What the query of a request says.
pub(super) struct EngineQuery<'q> {
    transport: EngineTransport,
    is_fourth: bool,
    pub(super) sid: Option<Cow<'q, str>>,
}

/// How a client wants to speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum EngineTransport {
    Polling,
    WebSocket,
    Unknown,
}

/// What is wrong with a request (`Server.errors`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EngineFault {
    UnknownTransport,
    UnknownSession,
    HandshakeMethod,
    BadRequest,
    UnsupportedVersion,
    /// Ours: there are as many sessions as there may be.
    Full,
    /// The same of its address.
    Share,
}

impl<'q> EngineQuery<'q> {
    pub(super) fn read(text: &'q str) -> Self {
        let said = |name| query::values(text, name).next();
        Self {
            transport: match said("transport").as_deref() {
                Some("polling") => EngineTransport::Polling,
                Some("websocket") => EngineTransport::WebSocket,
                Some(_) | None => EngineTransport::Unknown,
            },
            is_fourth: said("EIO").as_deref() == Some("4"),
            sid: said("sid").filter(|sid| !sid.is_empty()),
        }
    }

    /// What is wrong with it for a WebSocket (`Server.verify`).
    pub(super) fn socket_fault(&self) -> Option<EngineFault> {
        match (self.transport, &self.sid) {
            (EngineTransport::Unknown | EngineTransport::Polling, _) => {
                Some(EngineFault::UnknownTransport)
            }
            (EngineTransport::WebSocket, _) if self.is_fourth => None,
            (EngineTransport::WebSocket, Some(_)) => Some(EngineFault::BadRequest),
            (EngineTransport::WebSocket, None) => Some(EngineFault::UnsupportedVersion),
        }
    }

    /// What is wrong with it for a request that has no session.
    pub(super) const fn handshake_fault(&self, method: CallMethod) -> Option<EngineFault> {
        match (self.transport, method) {
            (EngineTransport::Unknown, _) => Some(EngineFault::UnknownTransport),
            (_, CallMethod::Post) => Some(EngineFault::HandshakeMethod),
            (EngineTransport::WebSocket, _) => Some(EngineFault::BadRequest),
            (EngineTransport::Polling, _) if !self.is_fourth => {
                Some(EngineFault::UnsupportedVersion)
            }
            (EngineTransport::Polling, _) => None,
        }
    }

    /// What is wrong with it for a request to a session; looked at before it is looked for.
    pub(super) fn transport_fault(&self) -> Option<EngineFault> {
        (self.transport == EngineTransport::Unknown).then_some(EngineFault::UnknownTransport)
    }

    /// The same, once the session is found.
    pub(super) fn request_fault(&self) -> Option<EngineFault> {
        let fits = self.transport == EngineTransport::Polling && self.is_fourth;
        (!fits).then_some(EngineFault::BadRequest)
    }
}

/// The permit of a request whose body is no text.
pub(super) const STRANGE: u32 = 1;

/// What a call asks of a session.
pub(super) fn request(call: ApiCall<'_>) -> EngineRequest {
    match call.method {
        CallMethod::Get => EngineRequest::Poll,
        CallMethod::Post if call.permit == STRANGE => EngineRequest::Strange,
        CallMethod::Post => EngineRequest::Post(call.text.into()),
    }
}

impl EngineFault {
    const fn text(self) -> &'static str {
        match self {
            Self::UnknownTransport => "{\"code\":0,\"message\":\"Transport unknown\"}",
            Self::UnknownSession => "{\"code\":1,\"message\":\"Session ID unknown\"}",
            Self::HandshakeMethod => "{\"code\":2,\"message\":\"Bad handshake method\"}",
            Self::BadRequest => "{\"code\":3,\"message\":\"Bad request\"}",
            Self::UnsupportedVersion => "{\"code\":5,\"message\":\"Unsupported protocol version\"}",
            Self::Full => "{\"code\":3,\"message\":\"too many clients poll: come again later\"}",
            Self::Share => {
                "{\"code\":3,\"message\":\"too many of this address poll: come again later\"}"
            }
        }
    }

    const fn status(self) -> u16 {
        match self {
            Self::Full => 503,
            Self::Share => 429,
            _ => 400,
        }
    }

    /// The answer to the request.
    pub(super) fn response(self) -> ApiResponse {
        ApiResponse::json(self.status(), self.text().to_owned())
    }

    /// Why a WebSocket may not come.
    pub(super) const fn refusal(self) -> Refusal {
        Refusal {
            status: self.status(),
            reason: self.text(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `Server.verify` and `Server.handshake` of `engine.io` 6.6, as `tests/clients` compares them.
    #[test]
    fn what_is_wrong_is_said_in_the_order_of_its_servers() {
        let get = |query| EngineQuery::read(query).handshake_fault(CallMethod::Get);
        assert_eq!(get("EIO=4&transport=polling"), None);
        assert_eq!(get("EIO=4&transport=polling&sid="), None);
        assert_eq!(get(""), Some(EngineFault::UnknownTransport));
        assert_eq!(
            get("EIO=4&transport=x"),
            Some(EngineFault::UnknownTransport)
        );
        assert_eq!(
            get("transport=polling"),
            Some(EngineFault::UnsupportedVersion)
        );
        assert_eq!(
            get("EIO=4&transport=websocket"),
            Some(EngineFault::BadRequest)
        );
        let post = EngineQuery::read("EIO=4&transport=polling");
        let fault = post.handshake_fault(CallMethod::Post);
        assert_eq!(fault, Some(EngineFault::HandshakeMethod));
        for (query, fault) in [
            ("EIO=4&transport=websocket", None),
            ("EIO=4&transport=websocket&sid=x", None),
            ("", Some(EngineFault::UnknownTransport)),
            (
                "EIO=4&transport=polling",
                Some(EngineFault::UnknownTransport),
            ),
            (
                "EIO=3&transport=websocket",
                Some(EngineFault::UnsupportedVersion),
            ),
            (
                "EIO=3&transport=websocket&sid=x",
                Some(EngineFault::BadRequest),
            ),
        ] {
            assert_eq!(EngineQuery::read(query).socket_fault(), fault, "{query}");
        }
    }
}
