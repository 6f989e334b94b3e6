//! What a client has said that is not heard yet: a payload, or a message of its WebSocket.

use super::letter::Carrier;
use crate::app::Kind;
use crate::protocol::Malformed;
use crate::protocol::socketio::polling::{PolledPacket, next_packet};

/// What a client has said that is not heard yet.
#[derive(Debug)]
pub(super) struct Unheard {
    what: UnheardWhat,
    /// What brought it.
    pub(super) from: Carrier,
}

#[derive(Debug)]
enum UnheardWhat {
    /// A payload, from there on; nothing is left behind its end.
    Payload(Box<str>, Option<usize>),
    /// A message; it is taken once.
    Message(Kind, Option<Box<[u8]>>, usize),
}

impl Unheard {
    /// A payload that was posted.
    pub(super) const fn payload(body: Box<str>, from: Carrier) -> Self {
        let what = UnheardWhat::Payload(body, Some(0));
        Self { what, from }
    }

    /// A message of a WebSocket.
    pub(super) fn message(kind: Kind, bytes: Box<[u8]>, from: Carrier) -> Self {
        let len = bytes.len();
        let what = UnheardWhat::Message(kind, Some(bytes), len);
        Self { what, from }
    }

    /// Bytes of all of it.
    pub(super) const fn bytes(&self) -> usize {
        match &self.what {
            UnheardWhat::Payload(body, _) => body.len(),
            UnheardWhat::Message(_, _, len) => *len,
        }
    }

    /// Whether it is answered once it is heard.
    pub(super) const fn is_request(&self) -> bool {
        matches!(self.what, UnheardWhat::Payload(..))
    }

    /// Whether the last packet was taken.
    pub(super) const fn is_done(&self) -> bool {
        match &self.what {
            UnheardWhat::Payload(_, at) => at.is_none(),
            UnheardWhat::Message(_, bytes, _) => bytes.is_none(),
        }
    }

    /// The next packet; `None` behind the last.
    ///
    /// # Errors
    /// [`Malformed`]: a payload has something else.
    pub(super) fn next(&mut self) -> Option<Result<UnheardPacket<'_>, Malformed>> {
        match &mut self.what {
            UnheardWhat::Payload(body, at) => {
                let payload = body.get((*at)?..)?;
                let (packet, rest) = match next_packet(payload) {
                    Ok(found) => found,
                    Err(malformed) => return Some(Err(malformed)),
                };
                *at = rest.map(|rest| body.len() - rest.len());
                Some(Ok(match packet {
                    PolledPacket::Close => UnheardPacket::Close,
                    PolledPacket::Text(text) => UnheardPacket::Text(text),
                    PolledPacket::Binary(bytes) => UnheardPacket::Whole(Kind::Binary, bytes),
                }))
            }
            UnheardWhat::Message(kind, bytes, _) => {
                let bytes = bytes.take()?.into_vec();
                Some(Ok(UnheardPacket::Whole(*kind, bytes)))
            }
        }
    }
}

/// A packet of what a client has said.
pub(super) enum UnheardPacket<'a> {
    /// The session is over.
    Close,
    /// A text.
    Text(&'a str),
    /// A message with bytes of its own.
    Whole(Kind, Vec<u8>),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::User;
    use crate::shard::Core;

    #[test]
    fn each_packet_is_heard_once_and_in_its_order() {
        let from = Carrier {
            core: Core(0),
            user: User(1),
            link: 0,
        };
        let mut post = Unheard::payload("3\u{1e}bAQ==\u{1e}1".into(), from);
        assert!(matches!(post.next(), Some(Ok(UnheardPacket::Text("3")))));
        assert!(matches!(
            post.next(),
            Some(Ok(UnheardPacket::Whole(Kind::Binary, bytes))) if bytes == [1]
        ));
        assert!(matches!(post.next(), Some(Ok(UnheardPacket::Close))));
        assert!(post.is_done() && post.next().is_none() && post.is_request());
        let mut said = Unheard::message(Kind::Text, (*b"42").into(), from);
        assert!(said.bytes() == 2 && !said.is_done());
        assert!(said.next().is_some() && said.next().is_none() && !said.is_request());
        assert_eq!(said.bytes(), 2);
    }
}
