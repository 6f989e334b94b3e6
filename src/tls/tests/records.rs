//! Records that are whole, in pieces, too long, forged or of another kind (RFC 8446, 5; RFC 5246,
//! 6.2).

use super::*;
use crate::limits;
use crate::shard::TlsFault;
use crate::tls::sealed_bytes;
use crate::tls::wire::Secured;
use rustls::crypto::ring::cipher_suite as suites;

const RECORD: usize = limits::TLS_RECORD_BYTES;

/// Every cipher that the layer knows, in both versions.
fn ciphers() -> impl Iterator<Item = Spoken> {
    let modern = [
        suites::TLS13_AES_128_GCM_SHA256,
        suites::TLS13_AES_256_GCM_SHA384,
        suites::TLS13_CHACHA20_POLY1305_SHA256,
    ];
    let classic = [
        suites::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        suites::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
        suites::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    ];
    let of = |version, cipher| Spoken {
        version,
        cipher: Some(cipher),
    };
    let modern = modern.into_iter().map(move |it| of(&TLS13, it));
    modern.chain(classic.into_iter().map(move |it| of(&TLS12, it)))
}

/// The connection ended with that alert.
fn refused(pair: &mut Pair, description: u8, why: TlsFault) {
    assert_eq!(pair.heard(), [alert(2, description)], "{why}");
    assert_eq!(pair.layer.told(), []);
    assert_eq!(pair.end(), CloseCause::Insecure(why));
}

#[test]
fn what_one_side_says_the_other_hears_with_every_cipher_however_it_is_cut() {
    for spoken in ciphers() {
        for side in [Side::Server, Side::Client] {
            let mut pair = Pair::new(side, spoken);
            pair.layer.tls.inner.echoes = true;
            for piece in [1, 2, 5, 6, 21, 22, 4096] {
                let mut bytes = pair.sealed(Content::Data, b"first");
                bytes.extend(pair.sealed(Content::Data, &[b'x'; 300]));
                for part in bytes.chunks(piece) {
                    pair.layer.receive(ID, part);
                }
                let text = [b"first".to_vec(), vec![b'x'; 300]].concat();
                assert_eq!(pair.layer.text(), text, "{piece} {spoken:?}");
                let heard = pair.heard().into_iter().flat_map(|(_, text)| text);
                assert_eq!(heard.collect::<Vec<_>>(), text);
            }
        }
    }
}

#[test]
fn a_record_with_any_byte_changed_ends_the_connection_with_bad_record_mac() {
    for (side, spoken) in ALL {
        let len = Pair::new(side, spoken).sealed(Content::Data, b"text").len();
        for at in record::HEADER_BYTES..len {
            let mut pair = Pair::new(side, spoken);
            let mut record = pair.sealed(Content::Data, b"text");
            record[at] ^= 1;
            pair.layer.receive(ID, &record);
            refused(&mut pair, 20, TlsFault::BadRecord);
        }
    }
}

#[test]
fn a_record_that_comes_twice_or_too_short_for_a_tag_does_not_decrypt() {
    for (side, spoken) in ALL {
        let mut pair = Pair::new(side, spoken);
        let record = pair.sealed(Content::Data, b"once");
        pair.layer.receive(ID, &record);
        assert_eq!(pair.layer.text(), b"once");
        pair.layer.receive(ID, &record);
        refused(&mut pair, 20, TlsFault::BadRecord);
        for len in [0, 15, 16] {
            let mut pair = Pair::new(side, spoken);
            let record = [&[23, 3, 3, 0, len][..], &vec![0; usize::from(len)]].concat();
            pair.layer.receive(ID, &record);
            refused(&mut pair, 20, TlsFault::BadRecord);
        }
    }
}

#[test]
fn an_oversized_record_is_refused_at_its_header_and_the_longest_is_taken() {
    for (side, spoken) in ALL {
        let mut pair = Pair::new(side, spoken);
        let text = vec![b'x'; RECORD];
        pair.say(Content::Data, &text);
        assert_eq!(pair.layer.text(), text);
        let text = vec![b'x'; RECORD + 1];
        pair.say(Content::Data, &text);
        refused(&mut pair, 22, TlsFault::OversizedRecord);
        let mut pair = Pair::new(side, spoken);
        let [high, low] = u16::try_from(RECORD + 2049).unwrap().to_be_bytes();
        pair.layer.receive(ID, &[23, 3, 3, high, low]);
        refused(&mut pair, 22, TlsFault::OversizedRecord);
    }
}

/// RFC 8446, 5.2 and 5.4.
#[test]
fn padding_is_dropped_and_counts_against_the_length_of_a_record() {
    for side in [Side::Server, Side::Client] {
        let mut pair = Pair::new(side, MODERN);
        // A type, then zeros: `seal` appends a type of its own, which is zero here.
        let padded = |len: usize| {
            let mut text = b"text".to_vec();
            text.push(23);
            text.resize(len, 0);
            text
        };
        let record = sealed_as_padding(&mut pair, &padded(RECORD));
        pair.layer.receive(ID, &record);
        assert_eq!(pair.layer.text(), b"text");
        let record = sealed_as_padding(&mut pair, &padded(RECORD + 1));
        pair.layer.receive(ID, &record);
        refused(&mut pair, 22, TlsFault::OversizedRecord);
        let mut pair = Pair::new(side, MODERN);
        let record = sealed_as_padding(&mut pair, &padded(RECORD + 260));
        pair.layer.receive(ID, &record);
        refused(&mut pair, 22, TlsFault::OversizedRecord);
        // Nor is it decrypted first: RFC 8446, 5.2 bounds what is encrypted by itself.
        for (len, description, why) in [
            (RECORD + 256, 20, TlsFault::BadRecord),
            (RECORD + 257, 22, TlsFault::OversizedRecord),
        ] {
            let mut pair = Pair::new(side, MODERN);
            let [high, low] = u16::try_from(len).unwrap().to_be_bytes();
            let record = [&[23, 3, 3, high, low][..], &vec![0; len]].concat();
            pair.layer.receive(ID, &record);
            refused(&mut pair, description, why);
        }
        // Nothing but zeros: there is no type.
        let mut pair = Pair::new(side, MODERN);
        let record = sealed_as_padding(&mut pair, &[0; 9]);
        pair.layer.receive(ID, &record);
        refused(&mut pair, 10, TlsFault::UnexpectedMessage);
        let mut pair = Pair::new(side, MODERN);
        let record = sealed_as_padding(&mut pair, &[9, 9, 99]);
        pair.layer.receive(ID, &record);
        refused(&mut pair, 10, TlsFault::UnexpectedMessage);
    }
}

/// A record of TLS 1.3 whose text ends in one more zero.
fn sealed_as_padding(pair: &mut Pair, text: &[u8]) -> Vec<u8> {
    let mut record = vec![0; record::HEADER_BYTES];
    record.extend_from_slice(text);
    pair.peer.sealer.seal_raw(0, &mut record).unwrap();
    record
}

#[test]
fn what_is_no_record_or_of_another_kind_is_unexpected() {
    let not_encrypted = [
        // A type that no record has; another version; in the clear what must not be.
        (vec![80], MODERN),
        (vec![80], CLASSIC),
        (vec![23, 2, 3, 0, 40], MODERN),
        (vec![20, 3, 3, 0, 1, 1], MODERN),
        (vec![21, 3, 3, 0, 2, 1, 0], MODERN),
        (vec![22, 3, 3, 0, 4, 0, 0, 0, 0], MODERN),
    ];
    for side in [Side::Server, Side::Client] {
        for (bytes, spoken) in &not_encrypted {
            let mut pair = Pair::new(side, *spoken);
            pair.layer.receive(ID, bytes);
            refused(&mut pair, 10, TlsFault::UnexpectedMessage);
        }
        for spoken in [MODERN, CLASSIC] {
            let mut pair = Pair::new(side, spoken);
            pair.say(Content::ChangeCipherSpec, &[1]);
            refused(&mut pair, 10, TlsFault::UnexpectedMessage);
            for text in [&[][..], &[1], &[1, 0, 1, 0]] {
                let mut pair = Pair::new(side, spoken);
                pair.say(Content::Alert, text);
                refused(&mut pair, 10, TlsFault::UnexpectedMessage);
            }
        }
    }
}

#[test]
fn what_is_sent_in_one_event_travels_in_as_few_records_as_hold_it() {
    for (side, spoken) in ALL {
        let mut pair = Pair::new(side, spoken);
        let text: Vec<u8> = (0..251).cycle().take(2 * RECORD + 1).collect();
        pair.layer.order(Order::Send(text.clone()));
        let bytes = pair.layer.sent(ID);
        assert!(bytes.len() <= sealed_bytes(text.len()));
        let heard = read(&mut pair.peer, &bytes);
        let lengths: Vec<_> = heard.iter().map(|(_, text)| text.len()).collect();
        assert_eq!(lengths, [RECORD, RECORD, 1], "{side:?} {spoken:?}");
        let heard = heard.into_iter().flat_map(|(_, text)| text);
        assert_eq!(heard.collect::<Vec<_>>(), text);
        // Nothing is sent for nothing.
        pair.layer.order(Order::Send(Vec::new()));
        assert!(pair.layer.sent(ID).is_empty());
    }
}

#[test]
fn what_does_not_fit_the_backlog_once_sealed_is_refused_before_it_is_sealed() {
    for (side, spoken) in ALL {
        let mut pair = Pair::new(side, spoken);
        pair.layer.line.backlog = CAP - sealed_bytes(10);
        pair.layer.order(Order::Send(vec![0; 11]));
        assert_eq!(pair.heard(), []);
        pair.layer.order(Order::Send(vec![1; 10]));
        assert_eq!(pair.heard(), [(Content::Data, vec![1; 10])]);
        assert_eq!(pair.layer.tls.inner.sent, [Err(Unsent::Full), Ok(())]);
        // What has gathered counts.
        pair.layer.line.backlog -= 9;
        pair.layer.tls.inner.sent.clear();
        pair.layer.order(Order::Twice(vec![1; 10]));
        assert_eq!(pair.heard(), [(Content::Data, vec![1; 10])]);
        assert_eq!(pair.layer.tls.inner.sent, [Ok(()), Err(Unsent::Full)]);
        assert_eq!(pair.layer.closes(), []);
    }
}

#[test]
fn a_sealed_record_that_is_not_taken_breaks_the_connection() {
    for (side, spoken) in ALL {
        let mut pair = Pair::new(side, spoken);
        pair.layer.line.is_full = true;
        pair.layer.order(Order::Send(b"lost".to_vec()));
        assert_eq!(pair.layer.closes(), [Close::Flush, Close::Abort]);
        pair.layer.closed(ID, CloseCause::Local);
        let why = CloseCause::Insecure(TlsFault::Backlog);
        assert_eq!(pair.layer.told(), [Told::Closed(why)]);
    }
}

#[test]
fn a_whole_record_is_opened_where_it_was_received() {
    for (side, spoken) in ALL {
        let mut pair = Pair::new(side, spoken);
        let mut bytes = pair.sealed(Content::Data, b"first");
        bytes.extend(pair.sealed(Content::Data, b"second"));
        let range = bytes.as_ptr_range();
        let range = range.start.addr()..range.end.addr();
        let layer = &mut pair.layer;
        layer.tls.received(ID, &mut bytes, &mut layer.line);
        assert!(range.contains(&layer.tls.inner.place));
        assert_eq!(layer.text(), b"firstsecond");
    }
}

/// RFC 5246, 6.2.3: 2048 bytes more than the plaintext.
#[test]
fn a_header_says_a_record_that_there_can_be() {
    let header = |payload: usize| {
        let [high, low] = u16::try_from(payload).unwrap().to_be_bytes();
        record::length(&[23, 3, 3, high, low])
    };
    let most = RECORD + 2048;
    assert_eq!(header(most), Ok(Some(5 + most)));
    assert_eq!(header(most + 1), Err(record::Bad::Oversized));
    for other in [[19, 3, 3, 0, 1], [24, 3, 3, 0, 1], [23, 2, 3, 0, 1]] {
        assert_eq!(record::length(&other), Err(record::Bad::Unexpected));
    }
}

#[test]
fn drained_is_passed_on() {
    for (side, spoken) in ALL {
        let mut pair = Pair::new(side, spoken);
        pair.layer.tls.drained(ID, &mut pair.layer.line);
        assert_eq!(pair.layer.told(), [Told::Drained]);
    }
}

#[test]
fn what_is_sent_to_two_connections_in_one_event_reaches_each_alone() {
    for spoken in [MODERN, CLASSIC] {
        let other = ConnectionId::new(4, 1);
        let mut pair = Pair::new(Side::Server, spoken);
        let mut peer = Pair::secure(&mut pair.layer, other, Side::Server, spoken);
        pair.layer.order(Order::Across(other, b"each".to_vec()));
        let each = (Content::Data, b"each".to_vec());
        let bytes = pair.layer.sent(other);
        assert_eq!(read(&mut peer, &bytes), std::slice::from_ref(&each));
        assert_eq!(pair.heard(), [each.clone(), each]);
    }
}

#[test]
fn the_memory_of_a_record_in_pieces_is_counted_until_it_is_whole_or_its_connection_over() {
    let held = |pair: &mut Pair| {
        let book = &mut pair.layer.tls.book;
        let wire = &mut pair.layer.line;
        let wire = Secured { wire, book };
        (wire.held_bytes(), Wire::<Order>::held(&wire, ID))
    };
    for (side, spoken) in ALL {
        let ends: [fn(&mut Pair, &[u8]); 4] = [
            |pair, rest| pair.layer.receive(ID, rest),
            |pair, _| pair.layer.order(Order::Close(Close::Abort)),
            |pair, _| pair.layer.closed(ID, CloseCause::Reset),
            |pair, rest| pair.layer.receive(ID, &vec![0; rest.len()]),
        ];
        for end in ends {
            let mut pair = Pair::new(side, spoken);
            assert_eq!(held(&mut pair), (0, 0));
            let record = pair.sealed(Content::Data, &[b'x'; RECORD]);
            pair.layer.receive(ID, &record[..3]);
            pair.layer.receive(ID, &record[3..RECORD / 2]);
            let (all, own) = held(&mut pair);
            assert!(
                all == own && (RECORD / 2..RECORD + 64).contains(&all),
                "{all}"
            );
            let before = ConnectionId::new(3, 6);
            assert_eq!(
                pair.layer.tls.book.partial_bytes(before),
                0,
                "its slot's last"
            );
            end(&mut pair, &record[RECORD / 2..]);
            assert_eq!(held(&mut pair), (0, 0));
        }
    }
}
