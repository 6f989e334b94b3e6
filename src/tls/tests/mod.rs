//! What the layer promises in either role and version, against a peer on a scripted wire.

mod alerts;
mod closing;
mod foreign;
mod fuzzing;
mod handshakes;
mod hellos;
mod line;
mod places;
mod records;
mod renewal;

use self::line::Line;
use super::handshake::{Handshake, Progress};
use super::record::{self, Content};
use super::session::Session;
use super::{Role, Tls};
use crate::shard::{
    Close, CloseCause, ConnectionId, Core, Half, NoSlot, Origin, Payload, Shard, Unsent, Vitals,
    Wire,
};
use crate::time::Instant;
use rcgen::{CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use rustls::version::{TLS12, TLS13};
use rustls::{
    ClientConfig, RootCertStore, ServerConfig, SupportedCipherSuite, SupportedProtocolVersion,
};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, LazyLock};

/// The connection of most tests.
const ID: ConnectionId = ConnectionId::new(3, 7);
/// Bytes that may be queued for one connection.
const CAP: usize = 1 << 20;

/// An authority, and what it signed for `peer`.
static CERTIFICATES: LazyLock<Certificates> = LazyLock::new(Certificates::new);

struct Certificates {
    root: CertificateDer<'static>,
    leaf: CertificateDer<'static>,
    key: Vec<u8>,
}

impl Certificates {
    fn new() -> Self {
        let params = |name: &str| CertificateParams::new(vec![name.to_owned()]).unwrap();
        let mut authority = params("authority");
        authority.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let authority =
            CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let leaf = params("peer").signed_by(&key, &authority).unwrap();
        Self {
            root: authority.der().clone(),
            leaf: leaf.der().clone(),
            key: key.serialize_der(),
        }
    }
}

/// Which side the layer under test is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Server,
    Client,
}

/// A version, and if it matters a cipher.
#[derive(Clone, Copy, Debug)]
struct Spoken {
    version: &'static SupportedProtocolVersion,
    cipher: Option<SupportedCipherSuite>,
}

const MODERN: Spoken = Spoken {
    version: &TLS13,
    cipher: None,
};
const CLASSIC: Spoken = Spoken {
    version: &TLS12,
    cipher: None,
};
/// Both roles in both versions.
const ALL: [(Side, Spoken); 4] = [
    (Side::Server, MODERN),
    (Side::Server, CLASSIC),
    (Side::Client, MODERN),
    (Side::Client, CLASSIC),
];

impl Spoken {
    fn server(self) -> ServerConfig {
        let mut provider = default_provider();
        provider
            .cipher_suites
            .retain(|suite| self.cipher.is_none_or(|it| it == *suite));
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(CERTIFICATES.key.clone()));
        let mut config = ServerConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(&[self.version])
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![CERTIFICATES.leaf.clone()], key)
            .unwrap();
        config.enable_secret_extraction = true;
        config
    }

    fn client(self) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(CERTIFICATES.root.clone()).unwrap();
        let mut config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_protocol_versions(&[self.version])
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.enable_secret_extraction = true;
        config
    }
}

fn name() -> ServerName<'static> {
    ServerName::try_from("peer").unwrap()
}

fn target() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 443))
}

/// What the inner shard was told.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Told {
    Opened(Origin),
    Received(Vec<u8>),
    Drained,
    Ended,
    Closed(CloseCause),
}

/// What a test has the inner shard do.
#[derive(Clone, Debug)]
enum Order {
    Send(Vec<u8>),
    Close(Close),
    /// The same bytes of all who hear them.
    Share(Vec<u8>),
    /// The same, the first half as what is said to this one before.
    ShareBehind(Vec<u8>),
    /// To give memory back, after a look at what is held.
    Trim,
    /// Both in one event.
    Finish(Vec<u8>),
    /// Both in one event.
    Twice(Vec<u8>),
    /// To this connection, to another, and to this one again, in one event.
    Across(ConnectionId, Vec<u8>),
    Connect,
}

/// Notes what it is told, and does as it is bid.
#[derive(Default)]
struct Inner {
    told: Vec<(ConnectionId, Told)>,
    /// Where what it received last lay.
    place: usize,
    /// Sends back what it receives.
    echoes: bool,
    /// Has something to say when its peer has ended.
    keeps: bool,
    deadline: Option<Instant>,
    expired: usize,
    started: usize,
    reached: usize,
    stopped: usize,
    coalesces: bool,
    is_over: bool,
    sent: Vec<Result<(), Unsent>>,
}

impl Shard for Inner {
    type Message = Order;
    type Outcome = ();
    fn started(&mut self, _: &mut impl Wire<Order>) {
        self.started += 1;
    }
    fn opened(&mut self, id: ConnectionId, origin: Origin, _: &mut impl Wire<Order>) {
        self.told.push((id, Told::Opened(origin)));
    }
    fn reached(&mut self, _: ConnectionId, _: &mut impl Wire<Order>) {
        self.reached += 1;
    }
    fn received(&mut self, id: ConnectionId, bytes: &mut [u8], wire: &mut impl Wire<Order>) {
        self.told.push((id, Told::Received(bytes.to_vec())));
        self.place = bytes.as_ptr().addr();
        if self.echoes {
            self.sent.push(wire.send(id, bytes));
        }
    }
    fn drained(&mut self, id: ConnectionId, _: &mut impl Wire<Order>) {
        self.told.push((id, Told::Drained));
    }
    fn ended(&mut self, id: ConnectionId, _: &mut impl Wire<Order>) -> Half {
        self.told.push((id, Told::Ended));
        if self.keeps { Half::Keep } else { Half::Close }
    }
    fn closed(&mut self, id: ConnectionId, cause: CloseCause, _: &mut impl Wire<Order>) {
        self.told.push((id, Told::Closed(cause)));
    }
    fn forwarded(&mut self, _: Core, order: Order, wire: &mut impl Wire<Order>) {
        match order {
            Order::Send(bytes) => self.sent.push(wire.send(ID, &bytes)),
            Order::Share(bytes) => self.sent.push(wire.share(ID, &Payload::new(bytes))),
            Order::ShareBehind(bytes) => {
                let (head, rest) = bytes.split_at(bytes.len() / 2);
                let rest = Payload::new(rest.to_vec());
                self.sent.push(wire.share_behind(ID, head, &rest));
            }
            Order::Trim => {
                assert!(wire.held(ID) >= wire.backlog(ID));
                wire.trim_memory();
                let _ = wire.vitals();
            }
            Order::Close(how) => wire.close(ID, how),
            Order::Twice(bytes) => self.sent.extend([(); 2].map(|()| wire.send(ID, &bytes))),
            Order::Across(other, bytes) => {
                for id in [ID, other, ID] {
                    assert_eq!(wire.backlog(id), 0, "what has gathered is another's");
                    self.sent.push(wire.send(id, &bytes));
                    assert_eq!(wire.backlog(id), bytes.len());
                }
            }
            Order::Finish(bytes) => {
                self.sent.push(wire.send(ID, &bytes));
                assert_eq!(wire.backlog(ID), bytes.len(), "it has gathered");
                wire.close(ID, Close::Flush);
            }
            Order::Connect => assert_eq!(wire.connect(target(), None), Ok(ID)),
        }
    }
    fn expired(&mut self, _: &mut impl Wire<Order>) {
        self.expired += 1;
        self.deadline = None;
    }
    fn stopped(&mut self, _: &mut impl Wire<Order>) {
        self.stopped += 1;
    }
    fn may_coalesce(&self) -> bool {
        self.coalesces
    }
    fn deadline(&self) -> Option<Instant> {
        self.deadline
    }
    fn finished(&self) -> bool {
        self.is_over
    }
    fn outcome(self) {}
}

/// The layer around an inner shard, on its wire.
struct Layer {
    tls: Tls<Inner>,
    line: Line,
}

impl Layer {
    fn new(side: Side, spoken: Spoken) -> Self {
        let role = match side {
            Side::Server => Role::Server(Arc::new(spoken.server())),
            Side::Client => Role::Client {
                config: Arc::new(spoken.client()),
                names: vec![(target(), name())],
            },
        };
        Self {
            tls: Tls::new(Inner::default(), role, CAP),
            line: Line {
                now: Instant::from_nanos(1),
                ..Line::default()
            },
        }
    }

    /// A connection comes about.
    fn open(&mut self, side: Side, id: ConnectionId) {
        let origin = match side {
            Side::Server => Origin::Accepted { listener: 0 },
            Side::Client => {
                self.order(Order::Connect);
                Origin::Connected
            }
        };
        self.tls.opened(id, origin, &mut self.line);
    }

    /// Bytes come, and the turn in which they do ends.
    fn receive(&mut self, id: ConnectionId, bytes: &[u8]) {
        self.tls.received(id, &mut bytes.to_vec(), &mut self.line);
        self.end_turn();
    }

    /// As an engine ends one.
    fn end_turn(&mut self) {
        while self.tls.deadline().is_some_and(|at| at <= self.line.now) {
            self.tls.expired(&mut self.line);
        }
    }

    fn order(&mut self, order: Order) {
        self.tls.forwarded(Core(0), order, &mut self.line);
    }

    fn closed(&mut self, id: ConnectionId, cause: CloseCause) {
        self.tls.closed(id, cause, &mut self.line);
    }

    /// What was sent to that connection.
    fn sent(&mut self, id: ConnectionId) -> Vec<u8> {
        let (to, others) = std::mem::take(&mut self.line.sent)
            .into_iter()
            .partition(|(to, _)| *to == id);
        self.line.sent = others;
        let to: Vec<(_, Vec<u8>)> = to;
        to.into_iter().flat_map(|(_, bytes)| bytes).collect()
    }

    /// What the inner shard was told since.
    fn told(&mut self) -> Vec<Told> {
        let told = std::mem::take(&mut self.tls.inner.told);
        told.into_iter().map(|(_, told)| told).collect()
    }

    /// The inner shard's bytes since.
    fn text(&mut self) -> Vec<u8> {
        let told = self.told().into_iter();
        let text = told.filter_map(|told| match told {
            Told::Received(bytes) => Some(bytes),
            Told::Opened(_) | Told::Drained | Told::Ended | Told::Closed(_) => None,
        });
        text.flatten().collect()
    }

    /// How the connection was closed.
    fn closes(&self) -> Vec<Close> {
        self.line.closes.iter().map(|(_, how)| *how).collect()
    }
}

/// A layer and a peer, secured.
struct Pair {
    layer: Layer,
    /// The peer's end: it says whatever a test wants it to.
    peer: Session,
}

impl Pair {
    fn new(side: Side, spoken: Spoken) -> Self {
        let mut layer = Layer::new(side, spoken);
        let peer = Self::secure(&mut layer, ID, side, spoken);
        Self { layer, peer }
    }

    /// The peer's end of a connection that comes about and is secured.
    fn secure(layer: &mut Layer, id: ConnectionId, side: Side, spoken: Spoken) -> Session {
        layer.open(side, id);
        let mut peer = match side {
            Side::Server => Handshake::client(Arc::new(spoken.client()), name()).unwrap(),
            Side::Client => {
                Handshake::server(Arc::new(spoken.server()), Origin::Accepted { listener: 0 })
            }
        };
        let mut bytes = layer.sent(id);
        loop {
            let mut out = Vec::new();
            let mut progress = peer.go_on(&bytes, &mut out);
            if progress == Progress::Waits {
                progress = peer.answer(&mut out);
            }
            layer.receive(id, &out);
            bytes = layer.sent(id);
            match progress {
                Progress::Done => break,
                Progress::Under | Progress::Waits => assert!(!bytes.is_empty() || !out.is_empty()),
                Progress::Failed(why) => panic!("{why}"),
            }
        }
        let (mut peer, rest) = peer.into_session().unwrap();
        assert!(rest.is_empty());
        let connected = Instant::from_nanos(1);
        let origin = match side {
            Side::Server => Origin::Accepted { listener: 0 },
            Side::Client => Origin::Secured { connected },
        };
        assert_eq!(layer.told(), [Told::Opened(origin)]);
        // Of a connect it is told before the handshake begins.
        assert_eq!(layer.tls.inner.reached, usize::from(side == Side::Client));
        // The tickets of a server.
        for (content, _) in read(&mut peer, &bytes) {
            assert_eq!(content, Content::Handshake);
        }
        peer
    }

    /// A record of the peer's, sealed.
    fn sealed(&mut self, content: Content, text: &[u8]) -> Vec<u8> {
        let mut record = vec![0; self.peer.sealer.room()];
        record.extend_from_slice(text);
        self.peer.sealer.seal(content, &mut record).unwrap();
        record
    }

    /// The peer says something in one record.
    fn say(&mut self, content: Content, text: &[u8]) {
        let record = self.sealed(content, text);
        self.layer.receive(ID, &record);
    }

    /// What the layer has sent since, opened.
    fn heard(&mut self) -> Vec<(Content, Vec<u8>)> {
        let bytes = self.layer.sent(ID);
        read(&mut self.peer, &bytes)
    }

    /// The connection ends as the layer wants it to, and the inner shard hears why.
    fn end(&mut self) -> CloseCause {
        assert_eq!(self.layer.closes(), [Close::Flush]);
        self.layer.closed(ID, CloseCause::Local);
        match self.layer.told().pop() {
            Some(Told::Closed(cause)) => cause,
            told => panic!("{told:?}"),
        }
    }
}

/// Opens records; a change of keys takes effect.
fn read(session: &mut Session, bytes: &[u8]) -> Vec<(Content, Vec<u8>)> {
    let mut bytes = bytes.to_vec();
    let mut rest = &mut bytes[..];
    let mut records = Vec::new();
    while let Some(len) = record::length(rest).unwrap() {
        let (record, behind) = rest.split_at_mut(len);
        let (content, place) = session.opener.open(record).unwrap();
        let text = record[place].to_vec();
        if content == Content::Handshake {
            session.hear(&text).unwrap();
        }
        records.push((content, text));
        rest = behind;
    }
    assert!(rest.is_empty());
    records
}

/// An alert of that level.
fn alert(level: u8, description: u8) -> (Content, Vec<u8>) {
    (Content::Alert, vec![level, description])
}
