//! A secured connection: its ciphers, a record in pieces, and what follows a handshake.

use super::record::{Bad, Opener, Sealer};
use rustls::ProtocolVersion;
use rustls::client::ClientConnectionData;
use rustls::kernel::KernelConnection;
use rustls::server::ServerConnectionData;

/// `new_session_ticket` (RFC 8446, 4.6.1).
const TICKET: u8 = 4;
/// `key_update` (RFC 8446, 4.6.3).
const KEY_UPDATE: u8 = 24;
/// `hello_request` (RFC 5246, 7.4.1.1).
const HELLO_REQUEST: u8 = 0;
/// Bytes of a session ticket at most: its fields, a ticket of 64 KiB, extensions.
const TICKET_BYTES: u32 = 80 * 1024;

/// One secured connection.
pub(super) struct Session {
    pub(super) opener: Opener,
    pub(super) sealer: Sealer,
    /// A record of which not all has come; holds no memory in between.
    pub(super) partial: Vec<u8>,
    /// The peer has ended its stream: nothing more of it is read.
    pub(super) ended: bool,
    keys: Keys,
    version: ProtocolVersion,
    after: After,
}

/// What makes the next keys.
pub(super) enum Keys {
    Client(KernelConnection<ClientConnectionData>),
    Server(KernelConnection<ServerConnectionData>),
}

/// What the peer's handshake messages ask for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Asked {
    #[default]
    Nothing,
    /// Our next records are to have a new key.
    NewKey,
}

impl Session {
    pub(super) fn new(
        opener: Opener,
        sealer: Sealer,
        keys: Keys,
        version: ProtocolVersion,
    ) -> Self {
        Self {
            opener,
            sealer,
            partial: Vec::new(),
            ended: false,
            keys,
            version,
            after: After::default(),
        }
    }

    /// Reads handshake messages that come after the handshake.
    pub(super) fn hear(&mut self, bytes: &[u8]) -> Result<Asked, Bad> {
        let heard = self.after.hear(bytes, self.version)?;
        let Some(request) = heard else {
            return Ok(Asked::Nothing);
        };
        let secrets = match &mut self.keys {
            Keys::Client(keys) => keys.update_rx_secret(),
            Keys::Server(keys) => keys.update_rx_secret(),
        };
        let secrets = secrets.map_err(|_| Bad::Unexpected)?;
        self.opener = Opener::new(secrets, self.version).ok_or(Bad::Unexpected)?;
        match request {
            0 => Ok(Asked::Nothing),
            1 => Ok(Asked::NewKey),
            _ => Err(Bad::Unexpected),
        }
    }

    /// The message that says so, to be sealed under the old key, before [`Session::renew`].
    pub(super) const KEY_UPDATE_MESSAGE: [u8; 5] = [KEY_UPDATE, 0, 0, 1, 0];

    /// Whether the key of what is sent can be replaced: TLS 1.2 has no such thing.
    pub(super) fn is_renewable(&self) -> bool {
        self.version == ProtocolVersion::TLSv1_3
    }

    /// What is sent from now on has a new key.
    pub(super) fn renew(&mut self) -> Result<(), Bad> {
        let secrets = match &mut self.keys {
            Keys::Client(keys) => keys.update_tx_secret(),
            Keys::Server(keys) => keys.update_tx_secret(),
        };
        let secrets = secrets.map_err(|_| Bad::KeyWorn)?;
        self.sealer = Sealer::new(secrets, self.version).ok_or(Bad::KeyWorn)?;
        Ok(())
    }
}

/// Reads handshake messages over record boundaries, and keeps nothing of them: tickets are not
/// used, because a load client that resumes would measure less than a new client costs.
#[derive(Clone, Copy, Debug, Default)]
struct After {
    head: [u8; 4],
    have: u8,
    /// Bytes of the present message that are still to come and skipped.
    left: u32,
}

impl After {
    /// The request of a key update, if that is what came.
    fn hear(&mut self, bytes: &[u8], version: ProtocolVersion) -> Result<Option<u8>, Bad> {
        let mut rest = bytes;
        // RFC 8446, 5.1: no empty fragments of handshake messages.
        if rest.is_empty() {
            return Err(Bad::Unexpected);
        }
        while let Some((&first, behind)) = rest.split_first() {
            if self.left > 0 {
                let skip = rest.len().min(self.left as usize);
                self.left -= u32::try_from(skip).unwrap_or(u32::MAX);
                rest = rest.get(skip..).unwrap_or(&[]);
                continue;
            }
            if let Some(byte) = self.head.get_mut(usize::from(self.have)) {
                *byte = first;
                self.have += 1;
                rest = behind;
            }
            if self.have < 4 {
                continue;
            }
            self.have = 0;
            let [kind, high, middle, low] = self.head;
            let len = u32::from_be_bytes([0, high, middle, low]);
            let is_modern = version == ProtocolVersion::TLSv1_3;
            match (kind, is_modern) {
                (TICKET, true) if len <= TICKET_BYTES => self.left = len,
                (HELLO_REQUEST, false) if len == 0 => {}
                // RFC 8446, 5.1: a change of keys is the last thing in its record.
                (KEY_UPDATE, true) => match *rest {
                    [request] if len == 1 => return Ok(Some(request)),
                    _ => return Err(Bad::Unexpected),
                },
                _ => return Err(Bad::Unexpected),
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODERN: ProtocolVersion = ProtocolVersion::TLSv1_3;

    #[test]
    fn tickets_are_skipped_at_every_split_and_a_key_update_is_heard_behind_them() {
        let mut bytes = vec![TICKET, 0, 0, 3, 7, 7, 7, TICKET, 0, 0, 0];
        bytes.extend(Session::KEY_UPDATE_MESSAGE);
        let last = bytes.len() - 5;
        for at in 1..=last {
            let mut after = After::default();
            assert_eq!(after.hear(&bytes[..at], MODERN), Ok(None));
            assert_eq!(after.hear(&bytes[at..], MODERN), Ok(Some(0)), "{at}");
        }
    }

    #[test]
    fn what_does_not_belong_after_a_handshake_is_refused() {
        let hear = |bytes: &[u8], version| After::default().hear(bytes, version);
        let classic = ProtocolVersion::TLSv1_2;
        assert_eq!(hear(&[1, 0, 0, 0], MODERN), Err(Bad::Unexpected));
        assert_eq!(hear(&[], MODERN), Err(Bad::Unexpected));
        assert_eq!(hear(&[TICKET, 255, 0, 0], MODERN), Err(Bad::Unexpected));
        assert_eq!(hear(&[24, 0, 0, 1, 0, 4], MODERN), Err(Bad::Unexpected));
        assert_eq!(hear(&[24, 0, 0, 1], MODERN), Err(Bad::Unexpected));
        assert_eq!(hear(&[24, 0, 0, 1, 0], classic), Err(Bad::Unexpected));
        assert_eq!(hear(&[HELLO_REQUEST, 0, 0, 0], classic), Ok(None));
    }
}
