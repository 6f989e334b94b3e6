//! A handshake in which anything happens on the way, with certificates of every kind: it ends, and
//! is taken for secured only if nothing was wrong.

use super::*;
use crate::shard::TlsFault;
use rcgen::{DnType, date_time_ymd};

/// What may be wrong with a server's certificate, and what its client finds.
const FAULTS: [Option<TlsFault>; 6] = [
    None,
    Some(TlsFault::CertificateExpired),
    Some(TlsFault::CertificateNotYetValid),
    Some(TlsFault::WrongName),
    Some(TlsFault::UnknownIssuer),
    Some(TlsFault::CaCertificate),
];

/// An authority that clients trust, and a certificate with each fault.
struct Faulty {
    root: CertificateDer<'static>,
    leaves: [(CertificateDer<'static>, Vec<u8>); FAULTS.len()],
}

static FAULTY: LazyLock<Faulty> = LazyLock::new(|| {
    let params = |name: &str| CertificateParams::new(vec![name.to_owned()]).unwrap();
    let authority = |name: &str| {
        let mut authority = params(name);
        let names = &mut authority.distinguished_name;
        names.push(DnType::CommonName, name);
        authority.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap()
    };
    let (trusted, other) = (authority("trusted"), authority("other"));
    let leaves = std::array::from_fn(|fault| {
        let mut params = params(if fault == 3 { "elsewhere" } else { "peer" });
        match fault {
            1 => params.not_after = date_time_ymd(2001, 1, 1),
            2 => params.not_before = date_time_ymd(2999, 1, 1),
            5 => params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained),
            _ => {}
        }
        let issuer = if fault == 4 { &other } else { &trusted };
        let key = KeyPair::generate().unwrap();
        let leaf = params.signed_by(&key, issuer).unwrap();
        (leaf.der().clone(), key.serialize_der())
    });
    Faulty {
        root: trusted.der().clone(),
        leaves,
    }
});

fn server(spoken: Spoken, fault: usize) -> ServerConfig {
    let mut provider = default_provider();
    provider
        .cipher_suites
        .retain(|suite| spoken.cipher.is_none_or(|it| it == *suite));
    let (leaf, key) = &FAULTY.leaves[fault];
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.clone()));
    let mut config = ServerConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[spoken.version])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![leaf.clone()], key)
        .unwrap();
    config.enable_secret_extraction = true;
    config
}

fn client(spoken: Spoken) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(FAULTY.root.clone()).unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(&[spoken.version])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.enable_secret_extraction = true;
    config
}

/// A handshake under way.
struct Course<'a> {
    layer: Layer,
    peer: Handshake,
    input: std::slice::Iter<'a, u8>,
    /// Something has happened to it.
    is_disturbed: bool,
}

impl Course<'_> {
    fn begin(side: Side, spoken: Spoken, fault: usize) -> Self {
        let server = Arc::new(server(spoken, fault));
        let client = Arc::new(client(spoken));
        let accepted = Origin::Accepted { listener: 0 };
        let (role, peer) = match side {
            Side::Server => (Role::Server(server), Handshake::client(client, name())),
            Side::Client => {
                let names = vec![(target(), name())];
                let config = client;
                let role = Role::Client { config, names };
                (role, Ok(Handshake::server(server, accepted)))
            }
        };
        let line = Line {
            now: Instant::from_nanos(1),
            ..Line::default()
        };
        let tls = Tls::new(Inner::default(), role, CAP);
        let mut layer = Layer { tls, line };
        layer.open(side, ID);
        Self {
            layer,
            peer: peer.unwrap(),
            input: [].iter(),
            is_disturbed: false,
        }
    }

    fn byte(&mut self) -> u8 {
        self.input.next().copied().unwrap_or(0)
    }

    /// What happens to bytes of the peer on their way, as the input says.
    fn happens(&mut self, bytes: &mut Vec<u8>) {
        let (what, how) = (self.byte() % 24, self.byte());
        if what < 16 || bytes.is_empty() || !self.layer.closes().is_empty() {
            return;
        }
        self.is_disturbed = true;
        let at = usize::from(how) * bytes.len() / 256;
        match what {
            16 | 17 => bytes[at] ^= 1 << (how % 8),
            // An alert that is not sealed, of any level.
            18 => drop(bytes.splice(0..0, [21, 3, 3, 0, 2, how % 3, self.byte()])),
            19 => bytes.truncate(at),
            20 => bytes.insert(at, how),
            21 => self.layer.line.now += Duration::from_secs(u64::from(how)),
            22 => self.layer.order(Order::Close(
                [Close::Flush, Close::Abort][usize::from(how % 2)],
            )),
            _ => drop(bytes.splice(at..at, [20, 3, 3, 0, 1, 1])),
        }
    }

    /// Both sides talk until nothing more is said.
    fn run(&mut self, piece: usize) {
        let mut bytes = self.layer.sent(ID);
        for _ in 0..8 {
            let mut out = Vec::new();
            let mut progress = self.peer.go_on(&bytes, &mut out);
            if progress == Progress::Waits {
                progress = self.peer.answer(&mut out);
            }
            let is_over = !matches!(progress, Progress::Under);
            self.happens(&mut out);
            for part in out.chunks(piece) {
                if self.layer.closes().is_empty() {
                    self.layer.receive(ID, part);
                }
            }
            bytes = self.layer.sent(ID);
            if is_over || bytes.is_empty() && out.is_empty() {
                break;
            }
        }
        if self.byte() % 4 == 3 && self.layer.closes().is_empty() {
            self.layer.tls.ended(ID, &mut self.layer.line);
        }
    }
}

#[test]
fn whatever_happens_within_a_handshake_it_ends_and_is_secured_only_if_nothing_was_wrong() {
    let check = |input: &[u8]| {
        let mut input = input.iter();
        let mut draw = || input.next().copied().unwrap_or(0);
        let (side, spoken) = ALL[usize::from(draw()) % ALL.len()];
        let spoken = with_cipher(spoken, draw());
        let (fault, piece) = (usize::from(draw()) % FAULTS.len(), usize::from(draw()) + 1);
        let mut course = Course::begin(side, spoken, fault);
        course.input = input;
        course.run(piece);
        let Course {
            mut layer,
            is_disturbed,
            ..
        } = course;
        let closes = layer.closes();
        // One whose time is over is reset.
        let is_once = matches!(*closes, [] | [_] | [Close::Flush, Close::Abort]);
        assert!(is_once, "{closes:?}");
        layer.closed(ID, CloseCause::Reset);
        let told = layer.told();
        let opened = told.iter().any(|told| matches!(told, Told::Opened(_)));
        let Some(Told::Closed(cause)) = told.last() else {
            panic!("{told:?}");
        };
        if !is_disturbed {
            assert_eq!(opened, fault == 0, "{told:?}");
            let found = FAULTS[fault].filter(|_| side == Side::Client);
            if let Some(why) = found {
                assert_eq!(*cause, CloseCause::Insecure(why));
            }
        }
        assert!(fault == 0 || !opened, "{told:?}");
        if let Some(counts) = layer.tls.book.handshakes() {
            assert_eq!(counts.under_way + counts.waiting, 0);
        }
    };
    for seed in 0..96 {
        check(&[seed % 4, seed / 4, seed % 6, 255, 0, 0, seed]);
        check(&[seed % 4, seed, 0, 7 + seed, 16 + seed % 8, 40 + seed, 90]);
    }
    bolero::check!()
        .with_test_time(Duration::from_millis(700))
        .with_iterations(1_000_000)
        .with_max_len(40)
        .for_each(check);
}
