//! A handshake under way: rustls is fed one record at a time, so that it never sees what comes
//! after the handshake.

use super::names;
use super::reason;
use super::record::{self, Opener, Sealer};
use super::session::{Keys, Session};
use crate::limits;
use crate::shard::{Origin, TlsFault};
use rustls::client::{ClientConnectionData, UnbufferedClientConnection};
use rustls::pki_types::ServerName;
use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{ConnectionState, EncodeError, UnbufferedStatus};
use rustls::{ClientConfig, CommonState, Error, HandshakeKind, ProtocolVersion, ServerConfig};
use std::sync::Arc;

/// One connection that is not secure yet.
pub(super) struct Handshake {
    party: Party,
    /// How the connection came to be, as the inner shard is to be told.
    pub(super) origin: Origin,
    /// What was received and rustls is not done with.
    received: Vec<u8>,
    /// How much of that rustls has seen: whole records.
    shown: usize,
    /// Bytes that may wait for the rest of their message.
    bytes_max: usize,
    answer: Answer,
    /// It is in the queue for its answer.
    pub(super) is_queued: bool,
    /// The last record that rustls was shown is an encrypted alert of TLS 1.2.
    is_alerted: bool,
}

/// Whether the peer has its first answer: a server's costs a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    /// It has none, and waits for its turn to get it.
    Owed,
    /// It was asked to say hello once more (RFC 8446, 4.1.4), and waits for another turn.
    OwedAgain,
    /// It has it, or needs none.
    Given,
}

/// Which side this is.
enum Party {
    Client(Box<UnbufferedClientConnection>),
    Server(Box<UnbufferedServerConnection>),
    /// A server to which nothing has been said: most of those that wait in an overload.
    Waiting(Arc<ServerConfig>),
}

/// How a handshake stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// More has to come.
    Under,
    /// An answer is due, for which it waits its turn: [`Handshake::answer`].
    Waits,
    /// The keys are there.
    Done,
    /// It will not be: why.
    Failed(TlsFault),
}

/// What one call of rustls came to.
enum Step {
    Again,
    Sent,
    Wants,
    Failed(TlsFault),
}

impl Handshake {
    /// The client's side, towards the server of that name.
    pub(super) fn client(
        config: Arc<ClientConfig>,
        name: ServerName<'static>,
    ) -> Result<Self, Error> {
        let party = Party::Client(Box::new(UnbufferedClientConnection::new(config, name)?));
        Ok(Self::new(party, Origin::Connected, Answer::Given))
    }

    /// The server's side.
    pub(super) const fn server(config: Arc<ServerConfig>, origin: Origin) -> Self {
        Self::new(Party::Waiting(config), origin, Answer::Owed)
    }

    const fn new(party: Party, origin: Origin, answer: Answer) -> Self {
        Self {
            party,
            origin,
            received: Vec::new(),
            shown: 0,
            bytes_max: limits::TLS_HELLO_BYTES,
            answer,
            is_queued: false,
            is_alerted: false,
        }
    }

    /// Goes on with what was received; appends what is to be sent, an alert included.
    pub(super) fn go_on(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Progress {
        self.received.extend_from_slice(bytes);
        if self.answer == Answer::Given {
            return self.proceed(out);
        }
        match record::length(self.unseen()) {
            Ok(Some(_)) if self.is_left() => self.left(out),
            Ok(Some(len)) if len <= self.unseen().len() => Progress::Waits,
            // No record is longer than a hello may be, or hardly.
            Ok(_) => Progress::Under,
            Err(_) => self.fail(TlsFault::NotTls, out),
        }
    }

    /// Its turn has come.
    pub(super) fn answer(&mut self, out: &mut Vec<u8>) -> Progress {
        if let Party::Waiting(config) = &self.party {
            match UnbufferedServerConnection::new(Arc::clone(config)) {
                Ok(party) => self.party = Party::Server(Box::new(party)),
                Err(error) => return Progress::Failed(reason::of_error(&error)),
            }
        }
        let before = out.len();
        let progress = self.proceed(out);
        if out.len() > before {
            let kind = self.common().and_then(CommonState::handshake_kind);
            let again = kind == Some(HandshakeKind::FullWithHelloRetryRequest);
            self.answer = match self.answer {
                Answer::Owed if again => Answer::OwedAgain,
                Answer::Owed | Answer::OwedAgain | Answer::Given => Answer::Given,
            };
        }
        progress
    }

    /// Bytes of memory of what it has received.
    pub(super) const fn held(&self) -> usize {
        self.received.capacity()
    }

    fn proceed(&mut self, out: &mut Vec<u8>) -> Progress {
        loop {
            let step = self.step(out);
            match step {
                Step::Again => {}
                Step::Sent | Step::Wants if self.is_over() => return Progress::Done,
                Step::Sent => {}
                // RFC 5246, 7.4.9: Finished comes "immediately after" what changes the cipher. In
                // its place the peer has said something that rustls takes for a warning.
                Step::Wants if self.is_alerted => return self.left(out),
                Step::Wants => match record::length(self.unseen()) {
                    Ok(Some(_)) if self.is_left() => return self.left(out),
                    Ok(Some(len)) if len <= self.unseen().len() => {
                        self.is_alerted = record::is_sealed_alert(self.unseen());
                        self.shown += len;
                    }
                    Ok(_) if self.received.len() <= self.bytes_max => return Progress::Under,
                    Ok(_) => return Progress::Failed(TlsFault::OversizedHandshake),
                    // What does not begin like a record is another protocol.
                    Err(_) => return self.fail(TlsFault::NotTls, out),
                },
                Step::Failed(why) => return self.fail(why, out),
            }
        }
    }

    /// The keys, once it is done, and what was received after it.
    pub(super) fn into_session(self) -> Result<(Session, Vec<u8>), TlsFault> {
        let rest = self.received.get(self.shown..).unwrap_or(&[]).to_vec();
        let mut names = None;
        let (version, secrets, keys) = match self.party {
            Party::Client(party) => {
                let version = party.protocol_version();
                let made = party.dangerous_into_kernel_connection();
                let (secrets, keys) = made.map_err(|error| reason::of_error(&error))?;
                (version, secrets, Keys::Client(keys))
            }
            Party::Server(party) => {
                let version = party.protocol_version();
                names = names::of(party.peer_certificates());
                let made = party.dangerous_into_kernel_connection();
                let (secrets, keys) = made.map_err(|error| reason::of_error(&error))?;
                (version, secrets, Keys::Server(keys))
            }
            Party::Waiting(_) => return Err(TlsFault::Other),
        };
        let version = version.ok_or(TlsFault::Other)?;
        let opener = Opener::new(secrets.rx, version).ok_or(TlsFault::Incompatible)?;
        let sealer = Sealer::new(secrets.tx, version).ok_or(TlsFault::Incompatible)?;
        let mut session = Session::new(opener, sealer, keys, version);
        session.names = names;
        Ok((session, rest))
    }

    /// Lets rustls look at the records it was shown, once.
    fn step(&mut self, out: &mut Vec<u8>) -> Step {
        let shown = self.received.get_mut(..self.shown).unwrap_or(&mut []);
        let (used, step) = match &mut self.party {
            Party::Client(party) => outcome_client(party.process_tls_records(shown), out),
            Party::Server(party) => outcome_server(party.process_tls_records(shown), out),
            Party::Waiting(_) => (0, Step::Wants),
        };
        if used > 0 {
            self.received.drain(..used);
            self.shown -= used;
            if self.received.is_empty() {
                // It may be long until the peer goes on, and there may be many of them.
                self.received = Vec::new();
            }
            // A hello was in order: what follows may be a chain of certificates.
            self.bytes_max = limits::TLS_FLIGHT_BYTES;
        }
        step
    }

    /// Whether the peer has said `close_notify` in clear, and rustls would take that for a warning
    /// and wait for more, because anybody could have sent it: who could might as well reset the
    /// connection. TLS 1.3 knows no such warnings.
    fn is_left(&self) -> bool {
        let version = self.common().and_then(CommonState::protocol_version);
        version != Some(ProtocolVersion::TLSv1_3) && record::is_close_notify(self.unseen())
    }

    /// RFC 8446, 6.1; RFC 5246, 7.2.1: nothing follows, nor from here.
    fn left(&self, out: &mut Vec<u8>) -> Progress {
        let is_clear = match &self.party {
            // Its first key is that of its last message.
            Party::Waiting(_) | Party::Server(_) => true,
            Party::Client(party) => party.protocol_version().is_none(),
        };
        if is_clear {
            out.extend_from_slice(&record::CLOSE_NOTIFY);
        }
        Progress::Failed(TlsFault::Ended)
    }

    /// Collects the alert that says why, and no more: asked once again, rustls looks at what failed
    /// again, and asserts that it has not failed before.
    fn fail(&mut self, why: TlsFault, out: &mut Vec<u8>) -> Progress {
        while self.common().is_some_and(CommonState::wants_write)
            && matches!(self.step(out), Step::Again)
        {}
        Progress::Failed(why)
    }

    fn is_over(&self) -> bool {
        self.common().is_some_and(|common| !common.is_handshaking())
    }

    fn common(&self) -> Option<&CommonState> {
        match &self.party {
            Party::Client(party) => Some(party),
            Party::Server(party) => Some(party),
            Party::Waiting(_) => None,
        }
    }

    fn unseen(&self) -> &[u8] {
        self.received.get(self.shown..).unwrap_or(&[])
    }
}

fn outcome_client(
    status: UnbufferedStatus<'_, '_, ClientConnectionData>,
    out: &mut Vec<u8>,
) -> (usize, Step) {
    (status.discard, outcome(status.state, out))
}

fn outcome_server(
    status: UnbufferedStatus<'_, '_, ServerConnectionData>,
    out: &mut Vec<u8>,
) -> (usize, Step) {
    (status.discard, outcome(status.state, out))
}

fn outcome<Data>(state: Result<ConnectionState<'_, '_, Data>, Error>, out: &mut Vec<u8>) -> Step {
    match state {
        Ok(ConnectionState::EncodeTlsData(mut data)) => {
            let begin = out.len();
            // Asked for too little, it says how much it needs.
            while let Err(EncodeError::InsufficientSize(needed)) =
                data.encode(out.get_mut(begin..).unwrap_or(&mut []))
            {
                out.resize(begin + needed.required_size, 0);
            }
            Step::Again
        }
        Ok(ConnectionState::TransmitTlsData(data)) => {
            data.done();
            Step::Sent
        }
        Ok(ConnectionState::BlockedHandshake | ConnectionState::WriteTraffic(_)) => Step::Wants,
        Ok(ConnectionState::PeerClosed | ConnectionState::Closed) => Step::Failed(TlsFault::Ended),
        // Early data is never offered, and a foreign enum may grow.
        Ok(_) => Step::Failed(TlsFault::UnexpectedMessage),
        Err(error) => Step::Failed(reason::of_error(&error)),
    }
}
