//! Hellos in pieces and in several records, and how long they and what follows may be.

use super::handshakes::{counts, greet, hello, id};
use super::*;
use crate::limits;
use crate::shard::TlsFault;

/// A record of a handshake.
fn record(content: &[u8]) -> Vec<u8> {
    let [high, low] = u16::try_from(content.len()).unwrap().to_be_bytes();
    [&[22, 3, 1, high, low], content].concat()
}

#[test]
fn part_of_a_hello_waits_for_no_answer() {
    let (_, bytes) = hello(MODERN);
    for at in 1..bytes.len() {
        let mut layer = Layer::new(Side::Server, MODERN);
        layer.open(Side::Server, ID);
        let mut part = bytes[..at].to_vec();
        layer.tls.received(ID, &mut part, &mut layer.line);
        assert_eq!(counts(&mut layer).waiting, 0, "{at}");
    }
}

/// RFC 8446, 5.1: a message may be fragmented over several records. What waits for an answer is
/// the whole of it.
#[test]
fn a_hello_in_two_records_is_answered_in_its_turn() {
    let (_, bytes) = hello(MODERN);
    let body = &bytes[record::HEADER_BYTES..];
    for at in [1, 4, 40, body.len() - 1] {
        let mut layer = Layer::new(Side::Server, MODERN);
        layer.open(Side::Server, ID);
        layer.receive(ID, &record(&body[..at]));
        assert!(layer.line.sent.is_empty(), "{at}");
        let mut rest = record(&body[at..]);
        layer.tls.received(ID, &mut rest, &mut layer.line);
        assert!(layer.line.sent.is_empty(), "{at}: before its turn");
        assert_eq!(counts(&mut layer).waiting, 1);
        layer.end_turn();
        assert!(!layer.line.sent.is_empty(), "{at}");
    }
}

#[test]
fn a_hello_that_never_ends_is_refused_at_its_bound() {
    let mut layer = Layer::new(Side::Server, MODERN);
    layer.open(Side::Server, ID);
    // Of 60,000 bytes: below the 64 KiB beyond which rustls refuses its first record.
    let mut first = vec![1, 0, 0xea, 0x60];
    first.resize(1024, 0);
    layer.receive(ID, &record(&first));
    let mut came = record(&first).len();
    while came < limits::TLS_HELLO_BYTES {
        let left = limits::TLS_HELLO_BYTES - came - record::HEADER_BYTES;
        // No record is left that would be shorter than its header.
        let len = if left > 2048 { 1024 } else { left };
        came += record::HEADER_BYTES + len;
        layer.receive(ID, &record(&vec![0; len]));
    }
    assert_eq!((came, layer.closes()), (limits::TLS_HELLO_BYTES, vec![]));
    layer.receive(ID, &record(&[0]));
    assert_eq!(layer.closes(), [Close::Flush]);
    layer.closed(ID, CloseCause::Local);
    let why = CloseCause::Insecure(TlsFault::OversizedHandshake);
    assert_eq!(layer.told(), [Told::Closed(why)]);
}

/// What follows a hello may be a chain of certificates, longer than any hello.
#[test]
fn a_chain_of_certificates_may_be_longer_than_a_hello() {
    let root = &CERTIFICATES.root;
    let copies = 2 * limits::TLS_HELLO_BYTES / root.len();
    let mut chain = vec![CERTIFICATES.leaf.clone()];
    chain.extend(std::iter::repeat_n(root.clone(), copies));
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(CERTIFICATES.key.clone()));
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(&[&TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let origin = Origin::Accepted { listener: 0 };
    let mut server = Handshake::server(Arc::new(config), origin);
    let mut layer = Layer::new(Side::Client, MODERN);
    layer.open(Side::Client, ID);
    let mut flight = Vec::new();
    server.go_on(&layer.sent(ID), &mut flight);
    server.answer(&mut flight);
    assert!(flight.len() > 2 * limits::TLS_HELLO_BYTES);
    for part in flight.chunks(1000) {
        layer.receive(ID, part);
    }
    assert_eq!(layer.closes(), []);
    let connected = layer.line.now;
    let opened = Told::Opened(Origin::Secured { connected });
    assert_eq!(layer.told(), [opened]);
}

#[test]
fn who_left_before_an_answer_is_forgotten_though_others_always_wait() {
    let most = u32::try_from(limits::TLS_ANSWERS_PER_TURN).unwrap();
    let mut layer = Layer::new(Side::Server, MODERN);
    for round in 0..50 {
        let first = round * (most + 1);
        for slot in first..=first + most {
            greet(&mut layer, id(slot));
        }
        layer.tls.expired(&mut layer.line);
        // The oldest had no answer.
        layer.closed(id(first), CloseCause::Reset);
    }
    let waiting = layer.tls.book.queue.waiting.len();
    assert!(waiting <= 2, "{waiting} are remembered");
}

/// What is counted is memory: a buffer that grew by a byte may have twice the room.
#[test]
fn the_room_of_a_handshakes_buffer_counts_and_is_freed_once_it_is_answered() {
    let mut layer = Layer::new(Side::Server, MODERN);
    layer.tls.book.queue.bytes_max = 1500;
    layer.open(Side::Server, ID);
    layer.receive(ID, &[&[22, 3, 1, 16, 0][..], &[0; 995]].concat());
    assert_eq!(layer.closes(), []);
    layer.receive(ID, &[0]);
    assert_eq!(layer.closes(), [Close::Flush, Close::Abort]);
    // Many that were answered, and whose peers have not gone on.
    let mut layer = Layer::new(Side::Server, MODERN);
    layer.tls.book.queue.bytes_max = 2 * hello(MODERN).1.len();
    for slot in 0..9 {
        greet(&mut layer, id(slot));
        layer.end_turn();
    }
    assert_eq!((layer.closes(), counts(&mut layer).under_way), (vec![], 9));
}
