//! Alerts within a handshake, at each of its records: which of them end it, and as what (RFC 8446,
//! 6; RFC 5246, 7.2).

use super::*;
use crate::limits;
use crate::shard::TlsFault;
use crate::tls::record::Sealer;
use ring::hmac;
use rustls::crypto::cipher::{AeadKey, Iv};
use rustls::crypto::ring::cipher_suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256;
use rustls::{ConnectionTrafficSecrets, KeyLog, ProtocolVersion};
use std::sync::Mutex;

/// A handshake of which the layer has read some records.
struct Begun {
    layer: Layer,
    /// Goes on with it.
    peer: Handshake,
    /// What the peer has said and the layer has not read.
    unread: Vec<u8>,
    /// It has read a record after which the peer's are encrypted.
    is_keyed: bool,
    /// So many were read.
    records: usize,
    is_modern: bool,
    side: Side,
    /// Of TLS 1.2, what its keys are made of.
    secret: Arc<Secret>,
    /// What the server has said first.
    server_hello: Vec<u8>,
}

/// The client's random bytes, and the master secret.
#[derive(Debug, Default)]
struct Secret(Mutex<(Vec<u8>, Vec<u8>)>);

impl KeyLog for Secret {
    fn log(&self, label: &str, client_random: &[u8], secret: &[u8]) {
        if label == "CLIENT_RANDOM" {
            *self.0.lock().unwrap() = (client_random.to_vec(), secret.to_vec());
        }
    }
}

/// RFC 5246, 5: so many bytes that follow from the secret.
fn expanded(secret: &[u8], seed: &[u8], len: usize) -> Vec<u8> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    let (mut a, mut bytes) = (hmac::sign(&key, seed), Vec::new());
    while bytes.len() < len {
        bytes.extend_from_slice(hmac::sign(&key, &[a.as_ref(), seed].concat()).as_ref());
        a = hmac::sign(&key, a.as_ref());
    }
    bytes
}

impl Begun {
    /// `None` if it is over after fewer records.
    fn after(records: usize, side: Side, spoken: Spoken) -> Option<Self> {
        let mut layer = Layer::new(side, spoken);
        layer.open(side, ID);
        let secret = Arc::new(Secret::default());
        let peer = match side {
            Side::Server => {
                let mut config = spoken.client();
                config.key_log = Arc::clone(&secret) as Arc<dyn KeyLog>;
                Handshake::client(Arc::new(config), name()).unwrap()
            }
            Side::Client => {
                let mut config = spoken.server();
                config.key_log = Arc::clone(&secret) as Arc<dyn KeyLog>;
                Handshake::server(Arc::new(config), Origin::Accepted { listener: 0 })
            }
        };
        let is_modern = spoken.version == &TLS13;
        let mut begun = Self {
            layer,
            peer,
            unread: Vec::new(),
            is_keyed: false,
            records: 0,
            is_modern,
            side,
            secret,
            server_hello: Vec::new(),
        };
        let last_clear = if is_modern { 23 } else { 20 };
        begun.converse();
        while begun.records < records {
            let len = record::length(&begun.unread).unwrap().unwrap();
            let rest = begun.unread.split_off(len);
            let record = std::mem::replace(&mut begun.unread, rest);
            begun.is_keyed |= record[0] == last_clear;
            begun.records += 1;
            begun.layer.receive(ID, &record);
            begun.converse();
            if !begun.layer.told().is_empty() {
                return None;
            }
        }
        Some(begun)
    }

    /// The peer hears what the layer has said, and answers.
    fn converse(&mut self) {
        let bytes = self.layer.sent(ID);
        if self.records > 0 && bytes.is_empty() {
            return;
        }
        if self.peer.go_on(&bytes, &mut self.unread) == Progress::Waits {
            self.peer.answer(&mut self.unread);
        }
        if self.server_hello.is_empty() {
            self.server_hello = match self.side {
                Side::Server => bytes,
                Side::Client => self.unread.clone(),
            };
        }
    }

    /// The peer says this and no more.
    fn alerts(&mut self, level: u8, description: u8) {
        self.layer
            .receive(ID, &[21, 3, 3, 0, 2, level, description]);
    }

    /// The peer says this in its first encrypted record of TLS 1.2, where its Finished should be.
    fn alerts_sealed(&mut self, level: u8, description: u8) {
        let (client_random, secret) = self.secret.0.lock().unwrap().clone();
        // RFC 5246, 6.3 and 7.4.1.3: behind the headers of record and message, and a version.
        let server_random = &self.server_hello[11..43];
        let seed = [b"key expansion", server_random, &client_random].concat();
        let block = expanded(&secret, &seed, 2 * (32 + 12));
        let (keys, ivs) = block.split_at(2 * 32);
        // The client's come first.
        let at = usize::from(self.side == Side::Client);
        let key: [u8; 32] = keys[32 * at..][..32].try_into().unwrap();
        let iv: [u8; 12] = ivs[12 * at..][..12].try_into().unwrap();
        let (key, iv) = (AeadKey::from(key), Iv::from(iv));
        let secrets = ConnectionTrafficSecrets::Chacha20Poly1305 { key, iv };
        let mut sealer = Sealer::new((0, secrets), ProtocolVersion::TLSv1_2).unwrap();
        let mut record = vec![0; sealer.room()];
        record.extend([level, description]);
        sealer.seal(Content::Alert, &mut record).unwrap();
        self.layer.receive(ID, &record);
    }

    fn goes_on(&mut self) -> bool {
        self.layer.line.sent.is_empty() && self.layer.closes().is_empty()
    }

    /// The rest of the handshake, to its end.
    fn finishes(&mut self) -> bool {
        while !self.unread.is_empty() {
            let unread = std::mem::take(&mut self.unread);
            self.layer.receive(ID, &unread);
            self.converse();
        }
        matches!(self.layer.told()[..], [Told::Opened(_)])
    }

    /// Why it ended.
    fn fault(&mut self) -> Option<TlsFault> {
        assert_eq!(self.layer.closes(), [Close::Flush]);
        let counts = self.layer.tls.book.handshakes();
        assert!(counts.is_none_or(|it| it.under_way + it.waiting + it.done == 0));
        self.layer.closed(ID, CloseCause::Local);
        match self.layer.told()[..] {
            [Told::Closed(CloseCause::Insecure(why))] => Some(why),
            _ => None,
        }
    }
}

/// Calls it for each record of each handshake, before which something else may come.
fn everywhere(mut check: impl FnMut(Begun, &str)) {
    for (side, spoken) in ALL {
        let mut stages = 0;
        while let Some(begun) = Begun::after(stages, side, spoken) {
            let place = format!("{side:?} {:?} after {stages}", spoken.version.version);
            check(begun, &place);
            stages += 1;
        }
        assert!(stages >= 3, "{side:?} {spoken:?}: {stages}");
    }
}

/// RFC 8446, 6.1; RFC 5246, 7.2.1: the peer says no more, and is to hear the same of us, where
/// neither side has keys. In TLS 1.3 it hears that there are no such warnings.
#[test]
fn close_notify_ends_a_handshake_at_once() {
    for level in [1, 2] {
        everywhere(|mut begun, place| {
            let (side, is_new) = (begun.side, begun.records == 0);
            let is_modern = begun.is_modern && !is_new;
            begun.alerts(level, 0);
            let answer = begun.layer.sent(ID);
            if !is_modern && (is_new || side == Side::Server) {
                assert_eq!(answer, record::CLOSE_NOTIFY, "{place}");
            } else {
                assert_eq!(answer.is_empty(), !is_modern || level == 2, "{place}");
            }
            let counts = begun.layer.tls.book.handshakes();
            assert!(counts.is_none_or(|it| it.left == 1), "{place}");
            assert_eq!(begun.fault(), Some(TlsFault::Ended), "{place}");
            begun.layer.receive(ID, &begun.unread);
            assert_eq!(begun.layer.line.sent, [], "{place}: it is over");
        });
    }
}

/// RFC 5246, 7.4.9: Finished follows "immediately" what changes the cipher, so no handshake comes
/// of what an alert is said in instead, be it a warning.
#[test]
fn an_encrypted_alert_in_place_of_finished_ends_a_handshake_at_once() {
    let spoken = Spoken {
        version: &TLS12,
        cipher: Some(TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256),
    };
    let cases = [
        (1, 0, TlsFault::Ended),
        (2, 0, TlsFault::Ended),
        (1, 90, TlsFault::Ended),
        (2, 80, TlsFault::Alert(80)),
    ];
    for side in [Side::Server, Side::Client] {
        for (level, description, why) in cases {
            let begun = (1..).map_while(|records| Begun::after(records, side, spoken));
            let mut begun = begun
                .into_iter()
                .find(|it| it.is_keyed)
                .expect("keys come first");
            assert!(begun.layer.line.sent.is_empty(), "{side:?}: all was heard");
            begun.alerts_sealed(level, description);
            let answer = begun.layer.sent(ID);
            let is_answered = side == Side::Server && why == TlsFault::Ended && level == 1;
            let expected: &[u8] = if is_answered {
                &record::CLOSE_NOTIFY
            } else {
                &[]
            };
            assert_eq!(answer, expected, "{side:?} {level} {description}");
            assert_eq!(begun.fault(), Some(why), "{side:?} {level} {description}");
        }
    }
}

/// No signature is made for a peer that leaves.
#[test]
fn a_peer_whose_first_word_is_close_notify_waits_for_no_answer() {
    let mut layer = Layer::new(Side::Server, MODERN);
    layer.open(Side::Server, ID);
    let mut bytes = record::CLOSE_NOTIFY;
    layer.tls.received(ID, &mut bytes, &mut layer.line);
    assert_eq!(layer.closes(), [Close::Flush], "before the turn ends");
    assert_eq!(layer.sent(ID), record::CLOSE_NOTIFY);
}

#[test]
fn a_fatal_alert_ends_a_handshake_and_is_named() {
    for description in [40, 80, 109] {
        everywhere(|mut begun, place| {
            begun.alerts(2, description);
            let is_keyed = begun.is_keyed;
            if !is_keyed {
                assert_eq!(begun.layer.line.sent, [], "{place}: it needs no answer");
            }
            let why = begun.fault().expect(place);
            // With keys what is in clear is no record of the peer's.
            assert!(
                is_keyed || why == TlsFault::Alert(description),
                "{place}: {why}"
            );
        });
    }
}

/// RFC 8446, 6.1: it "SHOULD be followed by a close_notify", and is itself no end.
#[test]
fn a_handshake_that_is_canceled_ends_with_the_close_notify_that_follows() {
    everywhere(|mut begun, place| {
        if begun.is_keyed {
            return;
        }
        begun.alerts(1, 90);
        assert!(begun.goes_on(), "{place}");
        begun.alerts(1, 0);
        assert_eq!(begun.fault(), Some(TlsFault::Ended), "{place}");
    });
}

/// RFC 5246, 7.2.2: after a warning the connection can go on. RFC 8446, 6: in TLS 1.3 every alert
/// but those that close is an error, whatever its level says.
#[test]
fn a_warning_ends_a_handshake_in_tls_1_3_alone() {
    for description in [90, 112] {
        everywhere(|mut begun, place| {
            if begun.is_keyed {
                return;
            }
            let is_error = begun.is_modern && begun.records > 0 && description != 90;
            begun.alerts(1, description);
            if is_error {
                assert_eq!(begun.fault(), Some(TlsFault::Alert(description)), "{place}");
            } else {
                assert!(begun.goes_on(), "{place}");
                assert!(begun.finishes(), "{place}");
            }
        });
    }
}

#[test]
fn warnings_without_end_end_a_handshake() {
    everywhere(|mut begun, place| {
        if begun.is_keyed {
            return;
        }
        for _ in 0..limits::TLS_WARNINGS {
            begun.alerts(1, 90);
            assert!(begun.goes_on(), "{place}");
        }
        begun.alerts(1, 90);
        assert_eq!(begun.fault(), Some(TlsFault::Misbehaved), "{place}");
    });
}
