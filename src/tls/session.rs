//! A secured connection: its ciphers, a record in pieces, and what follows a handshake.

use super::record::{Bad, Content, Opener, Sealer};
use crate::limits;
use crate::shard::PeerNames;
use rustls::client::ClientConnectionData;
use rustls::kernel::KernelConnection;
use rustls::server::ServerConnectionData;
use rustls::{AlertDescription, ProtocolVersion};
use std::sync::Arc;

/// `new_session_ticket` (RFC 8446, 4.6.1).
const TICKET: u8 = 4;
/// `key_update` (RFC 8446, 4.6.3).
const KEY_UPDATE: u8 = 24;
/// `hello_request` (RFC 5246, 7.4.1.1).
const HELLO_REQUEST: u8 = 0;
/// `client_hello` (RFC 5246, 7.4.1.2).
const CLIENT_HELLO: u8 = 1;
/// Bytes of a session ticket at most: its fields, a ticket of 64 KiB, extensions.
const TICKET_BYTES: u32 = 80 * 1024;
/// Bytes of another `ClientHello` at most: it is skipped.
const HELLO_BYTES: u32 = 16 * 1024;

/// One secured connection.
pub(super) struct Session {
    pub(super) opener: Opener,
    pub(super) sealer: Sealer,
    /// A record of which not all has come; holds no memory in between.
    pub(super) partial: Vec<u8>,
    /// The peer has ended its stream: nothing more of it is read.
    pub(super) ended: bool,
    /// The names of the certificate that a client has shown.
    pub(super) names: Option<Arc<PeerNames>>,
    keys: Keys,
    version: ProtocolVersion,
    after: After,
    quiet: Quiet,
}

/// What came since the last application data, whoever sent that.
///
/// Each of these makes work and moves no bytes of anybody's, so a peer may not send them for ever:
/// BoringSSL (`kMaxKeyUpdates`, `kMaxEmptyRecords`, `kMaxWarningAlerts`) and rustls
/// (`TemperCounters`) bound them in this way, and by these figures.
#[derive(Clone, Copy, Debug, Default)]
struct Quiet {
    /// Records that are none of application data, or empty.
    records: u8,
    /// Of those, alerts that end nothing.
    warnings: u8,
    /// Requests for another handshake, over the whole connection.
    renegotiations: u8,
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
    /// Another handshake, which is refused.
    Renegotiation,
}

/// A handshake message that may come after the handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Late {
    KeyUpdate { answer: bool },
    Renegotiation,
}

/// Which side sent it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sender {
    Client,
    Server,
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
            names: None,
            keys,
            version,
            after: After::default(),
            quiet: Quiet::default(),
        }
    }

    /// Application data came.
    ///
    /// # Errors
    /// It came between the pieces of a handshake message (RFC 8446, 5.1).
    #[inline]
    pub(super) const fn data_came(&mut self) -> Result<(), Bad> {
        self.data_left();
        self.ends_a_message()
    }

    /// Application data was sent: what a peer says on a connection that carries data is no flood.
    #[inline]
    pub(super) const fn data_left(&mut self) {
        self.quiet.records = 0;
        self.quiet.warnings = 0;
    }

    /// A record came that carries no application data.
    pub(super) fn quiet_came(&mut self, content: Content) -> Result<(), Bad> {
        if content != Content::Handshake {
            self.ends_a_message()?;
        }
        self.quiet.records += 1;
        if self.quiet.records > limits::TLS_QUIET_RECORDS {
            return Err(Bad::Excess);
        }
        Ok(())
    }

    /// An alert came that ends nothing, if this version has such a thing.
    pub(super) fn warned(&mut self, level: u8, alert: AlertDescription) -> Result<bool, Bad> {
        const WARNING: u8 = 1;
        let ends = if self.version == ProtocolVersion::TLSv1_3 {
            // RFC 8446, 6: the level says nothing there, and every other alert is an error.
            alert != AlertDescription::UserCanceled
        } else {
            // RFC 5246, 7.2.2: with a warning the connection can generally go on.
            level != WARNING
        };
        if ends {
            return Ok(false);
        }
        self.quiet.warnings += 1;
        if self.quiet.warnings > limits::TLS_WARNINGS {
            return Err(Bad::Excess);
        }
        Ok(true)
    }

    /// RFC 8446, 5.1: nothing else comes between the records of one handshake message.
    const fn ends_a_message(&self) -> Result<(), Bad> {
        if self.after.have == 0 && self.after.left == 0 {
            Ok(())
        } else {
            Err(Bad::Unexpected)
        }
    }

    /// Reads handshake messages that come after the handshake.
    pub(super) fn hear(&mut self, bytes: &[u8]) -> Result<Asked, Bad> {
        let sender = match &self.keys {
            Keys::Client(_) => Sender::Server,
            Keys::Server(_) => Sender::Client,
        };
        let answer = match self.after.hear(bytes, self.version, sender)? {
            None => return Ok(Asked::Nothing),
            Some(Late::Renegotiation) => {
                // rustls refuses the first as RFC 5246, 7.2.2 wants it, and ends with the second.
                self.quiet.renegotiations += 1;
                return match self.quiet.renegotiations {
                    1 => Ok(Asked::Renegotiation),
                    _ => Err(Bad::Excess),
                };
            }
            Some(Late::KeyUpdate { answer }) => answer,
        };
        let secrets = match &mut self.keys {
            Keys::Client(keys) => keys.update_rx_secret(),
            Keys::Server(keys) => keys.update_rx_secret(),
        };
        let secrets = secrets.map_err(|_| Bad::KeyWorn)?;
        self.opener = Opener::new(secrets, self.version).ok_or(Bad::KeyWorn)?;
        Ok(if answer {
            Asked::NewKey
        } else {
            Asked::Nothing
        })
    }

    /// The message that says that what follows has a new key; it is sealed under the old one.
    pub(super) const KEY_UPDATE_MESSAGE: [u8; 5] = [KEY_UPDATE, 0, 0, 1, 0];

    /// The next key for what is sent.
    ///
    /// # Errors
    /// TLS 1.2 has no such thing.
    pub(super) fn next_sealer(&mut self) -> Result<Sealer, Bad> {
        let secrets = match &mut self.keys {
            Keys::Client(keys) => keys.update_tx_secret(),
            Keys::Server(keys) => keys.update_tx_secret(),
        };
        let secrets = secrets.map_err(|_| Bad::KeyWorn)?;
        Sealer::new(secrets, self.version).ok_or(Bad::KeyWorn)
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
    /// What came, if it is more than a ticket: it is the last of its record, or alone in it.
    fn hear(
        &mut self,
        bytes: &[u8],
        version: ProtocolVersion,
        sender: Sender,
    ) -> Result<Option<Late>, Bad> {
        let mut rest = bytes;
        let mut late = None;
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
            match (kind, is_modern, sender) {
                // RFC 8446, 4.6.1: the server sends it.
                (TICKET, true, Sender::Server) if len <= TICKET_BYTES => self.left = len,
                (KEY_UPDATE, true, _) => return key_update(len, rest).map(Some),
                // RFC 5246, 7.4.1.1: the server asks, and the client begins.
                (HELLO_REQUEST, false, Sender::Server) if len == 0 => again(&mut late)?,
                (CLIENT_HELLO, false, Sender::Client) if len <= HELLO_BYTES => {
                    self.left = len;
                    again(&mut late)?;
                }
                // RFC 8446, 4.6.2: nobody here offers `post_handshake_auth`.
                _ => return Err(Bad::Unexpected),
            }
        }
        Ok(late)
    }
}

/// RFC 8446, 4.6.3, and 5.1: a change of keys is the last thing in its record.
const fn key_update(len: u32, rest: &[u8]) -> Result<Late, Bad> {
    match *rest {
        _ if len != 1 => Err(Bad::Unexpected),
        [0] => Ok(Late::KeyUpdate { answer: false }),
        [1] => Ok(Late::KeyUpdate { answer: true }),
        [_] => Err(Bad::Illegal),
        _ => Err(Bad::Unexpected),
    }
}

/// Notes a request for another handshake; two in one record are one too many.
const fn again(late: &mut Option<Late>) -> Result<(), Bad> {
    match late.replace(Late::Renegotiation) {
        None => Ok(()),
        Some(_) => Err(Bad::Excess),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Sender::{Client, Server};

    const MODERN: ProtocolVersion = ProtocolVersion::TLSv1_3;
    const CLASSIC: ProtocolVersion = ProtocolVersion::TLSv1_2;

    #[test]
    fn tickets_are_skipped_at_every_split_and_a_key_update_is_heard_behind_them() {
        let mut bytes = vec![TICKET, 0, 0, 3, 7, 7, 7, TICKET, 0, 0, 0];
        bytes.extend(Session::KEY_UPDATE_MESSAGE);
        let last = bytes.len() - 5;
        let update = Late::KeyUpdate { answer: false };
        for at in 1..=last {
            let mut after = After::default();
            assert_eq!(after.hear(&bytes[..at], MODERN, Server), Ok(None));
            let heard = after.hear(&bytes[at..], MODERN, Server);
            assert_eq!(heard, Ok(Some(update)), "{at}");
        }
    }

    /// RFC 8446, 4.6 and 5.1; RFC 5246, 7.4.1. `None` for a message that is taken.
    #[test]
    fn every_message_after_the_handshake_is_taken_from_its_sender_in_its_version_alone() {
        let renegotiation = Ok(Some(Late::Renegotiation));
        for version in [MODERN, CLASSIC] {
            for sender in [Client, Server] {
                for kind in 0..=u8::MAX {
                    let heard = After::default().hear(&[kind, 0, 0, 0], version, sender);
                    let taken = match (kind, version, sender) {
                        (TICKET, MODERN, Server) => Ok(None),
                        (HELLO_REQUEST, CLASSIC, Server) => renegotiation,
                        (CLIENT_HELLO, CLASSIC, Client) => renegotiation,
                        _ => Err(Bad::Unexpected),
                    };
                    assert_eq!(heard, taken, "{kind} {version:?} {sender:?}");
                    let heard = After::default().hear(&[kind, 0, 0, 1, 1], version, sender);
                    let is_update = kind == KEY_UPDATE && version == MODERN;
                    let answer = Ok(Some(Late::KeyUpdate { answer: true }));
                    assert_eq!(heard == answer, is_update, "{kind} {version:?}");
                }
            }
        }
    }

    #[test]
    fn what_does_not_belong_after_a_handshake_is_refused() {
        let hear = |bytes: &[u8], version| After::default().hear(bytes, version, Server);
        let unexpected = Err(Bad::Unexpected);
        assert_eq!(hear(&[], MODERN), unexpected);
        assert_eq!(hear(&[TICKET, 1, 64, 0], MODERN), Ok(None));
        assert_eq!(hear(&[TICKET, 1, 64, 1], MODERN), unexpected);
        // RFC 8446, 4.6.3: any other value is an illegal parameter.
        assert_eq!(hear(&[24, 0, 0, 1, 2], MODERN), Err(Bad::Illegal));
        assert_eq!(hear(&[24, 0, 0, 1, 0, 4], MODERN), unexpected);
        assert_eq!(hear(&[24, 0, 0, 1], MODERN), unexpected);
        assert_eq!(hear(&[24, 0, 0, 2, 0, 0], MODERN), unexpected);
        assert_eq!(hear(&[24, 0, 0, 2, 0], MODERN), unexpected);
        assert_eq!(hear(&[24, 0, 0, 0, 1], MODERN), unexpected);
        assert_eq!(hear(&[HELLO_REQUEST, 0, 0, 1, 0], CLASSIC), unexpected);
        assert_eq!(hear(&[0; 8], CLASSIC), Err(Bad::Excess));
        let hello = |bytes| After::default().hear(bytes, CLASSIC, Client);
        let again = Ok(Some(Late::Renegotiation));
        assert_eq!(hello(&[CLIENT_HELLO, 0, 64, 0]), again);
        assert_eq!(hello(&[CLIENT_HELLO, 0, 64, 1]), unexpected);
    }
}
