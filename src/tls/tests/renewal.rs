//! What a peer may say after the handshake, how often, and what it gets for it (RFC 8446, 4.6;
//! RFC 5246, 7.4.1.1).

use super::*;
use crate::limits;
use crate::shard::TlsFault;

const UNEXPECTED: u8 = 10;
const QUIET: usize = limits::TLS_QUIET_RECORDS as usize;
const KEY_UPDATE: [u8; 5] = [24, 0, 0, 1, 0];
const KEY_UPDATE_REQUESTED: [u8; 5] = [24, 0, 0, 1, 1];
const NO_RENEGOTIATION: u8 = 100;

/// A pair whose last record was of data: a server begins with tickets.
fn talking(side: Side, spoken: Spoken) -> Pair {
    let mut pair = Pair::new(side, spoken);
    pair.say(Content::Data, b"first");
    assert_eq!(pair.layer.text(), b"first");
    pair
}

/// The peer replaces its key.
fn update(pair: &mut Pair, message: &[u8]) {
    pair.say(Content::Handshake, message);
    pair.peer.sealer = pair.peer.next_sealer().unwrap();
}

/// The connection ended because of what the peer said.
fn refused(pair: &mut Pair, description: u8, why: TlsFault) {
    assert_eq!(pair.heard(), [alert(2, description)]);
    assert_eq!(pair.end(), CloseCause::Insecure(why));
}

#[test]
fn a_requested_key_update_is_answered_under_the_old_key_and_one_unasked_is_not() {
    for side in [Side::Server, Side::Client] {
        let mut pair = Pair::new(side, MODERN);
        update(&mut pair, &KEY_UPDATE_REQUESTED);
        // `heard` opens what follows with the next key.
        pair.layer.order(Order::Send(b"new key".to_vec()));
        let answer = (Content::Handshake, KEY_UPDATE.to_vec());
        let heard = [answer, (Content::Data, b"new key".to_vec())];
        assert_eq!(pair.heard(), heard, "{side:?}");
        update(&mut pair, &KEY_UPDATE);
        pair.layer.order(Order::Send(b"same key".to_vec()));
        assert_eq!(pair.heard(), [(Content::Data, b"same key".to_vec())]);
        pair.say(Content::Data, b"its new key");
        assert_eq!(pair.layer.text(), b"its new key");
    }
}

#[test]
fn what_gathered_before_a_key_update_leaves_before_its_answer() {
    for side in [Side::Server, Side::Client] {
        let mut pair = Pair::new(side, MODERN);
        pair.layer.tls.inner.echoes = true;
        let mut bytes = pair.sealed(Content::Data, b"echo");
        bytes.extend(pair.sealed(Content::Handshake, &KEY_UPDATE_REQUESTED));
        pair.peer.sealer = pair.peer.next_sealer().unwrap();
        bytes.extend(pair.sealed(Content::Data, b"more"));
        pair.layer.receive(ID, &bytes);
        let heard = [
            (Content::Data, b"echo".to_vec()),
            (Content::Handshake, KEY_UPDATE.to_vec()),
            (Content::Data, b"more".to_vec()),
        ];
        assert_eq!(pair.heard(), heard, "{side:?}");
    }
}

#[test]
fn key_updates_are_bounded_between_application_data_of_either_side() {
    for side in [Side::Server, Side::Client] {
        for theirs in [true, false] {
            let mut pair = talking(side, MODERN);
            for _ in 0..3 {
                for _ in 0..QUIET {
                    update(&mut pair, &KEY_UPDATE_REQUESTED);
                }
                assert_eq!(pair.heard().len(), QUIET);
                if theirs {
                    pair.say(Content::Data, b"data");
                } else {
                    pair.layer.order(Order::Send(b"data".to_vec()));
                    assert_eq!(pair.heard().len(), 1);
                }
            }
            // An answer is no data either.
            for _ in 0..QUIET {
                update(&mut pair, &KEY_UPDATE_REQUESTED);
            }
            assert_eq!(pair.heard().len(), QUIET);
            pair.say(Content::Handshake, &KEY_UPDATE);
            refused(&mut pair, UNEXPECTED, TlsFault::Misbehaved);
        }
    }
}

#[test]
fn empty_records_are_bounded_between_application_data() {
    for (side, spoken) in ALL {
        let mut pair = talking(side, spoken);
        for _ in 0..2 {
            for _ in 0..QUIET {
                pair.say(Content::Data, b"");
            }
            pair.say(Content::Data, b"data");
        }
        assert_eq!(pair.layer.text(), b"datadata");
        for _ in 0..QUIET {
            pair.say(Content::Data, b"");
        }
        assert_eq!(pair.heard(), [], "{side:?} {spoken:?}");
        assert_eq!(pair.layer.told(), [], "there is nothing to tell");
        pair.say(Content::Data, b"");
        refused(&mut pair, UNEXPECTED, TlsFault::Misbehaved);
    }
}

#[test]
fn alerts_that_end_nothing_are_bounded_between_application_data() {
    // `user_canceled` in both; in TLS 1.2 any warning, such as `unrecognized_name`.
    let cases = [(MODERN, 1, 90), (MODERN, 2, 90), (CLASSIC, 1, 112)];
    for side in [Side::Server, Side::Client] {
        for (spoken, level, description) in cases {
            let mut pair = talking(side, spoken);
            for _ in 0..2 {
                for _ in 0..limits::TLS_WARNINGS {
                    pair.say(Content::Alert, &[level, description]);
                }
                pair.say(Content::Data, b"on");
            }
            assert_eq!(pair.layer.text(), b"onon", "{side:?} {spoken:?}");
            for _ in 0..=limits::TLS_WARNINGS {
                pair.say(Content::Alert, &[level, description]);
            }
            refused(&mut pair, UNEXPECTED, TlsFault::Misbehaved);
        }
    }
}

/// RFC 8446, 6: "All other alerts are error alerts"; RFC 5246, 7.2.2: a fatal one is.
#[test]
fn an_alert_that_is_no_warning_of_its_version_ends_the_connection() {
    for side in [Side::Server, Side::Client] {
        for (spoken, level, description) in [(MODERN, 1, 100), (CLASSIC, 2, 90), (CLASSIC, 3, 90)] {
            let mut pair = Pair::new(side, spoken);
            pair.say(Content::Alert, &[level, description]);
            assert_eq!(pair.heard(), [], "{side:?} {spoken:?}");
            assert_eq!(
                pair.end(),
                CloseCause::Insecure(TlsFault::Alert(description))
            );
        }
    }
}

#[test]
fn tickets_are_the_servers_to_send_and_bounded_too() {
    let ticket = [4, 0, 0, 3, 7, 7, 7];
    let mut pair = talking(Side::Client, MODERN);
    for _ in 0..QUIET {
        pair.say(Content::Handshake, &ticket);
    }
    assert_eq!(pair.heard(), []);
    pair.say(Content::Handshake, &ticket);
    refused(&mut pair, UNEXPECTED, TlsFault::Misbehaved);
    let mut pair = talking(Side::Server, MODERN);
    pair.say(Content::Handshake, &ticket);
    refused(&mut pair, UNEXPECTED, TlsFault::UnexpectedMessage);
}

/// RFC 5246, 7.2.2: `no_renegotiation` is a warning, and the connection goes on.
#[test]
fn renegotiation_is_refused_once_and_ends_the_connection_the_second_time() {
    let hello = [&[1, 0, 0, 5][..], b"hello"].concat();
    for (side, request) in [(Side::Server, &hello[..]), (Side::Client, &[0, 0, 0, 0])] {
        let mut pair = Pair::new(side, CLASSIC);
        pair.say(Content::Handshake, request);
        assert_eq!(pair.heard(), [alert(1, NO_RENEGOTIATION)], "{side:?}");
        pair.say(Content::Data, b"on");
        assert_eq!(pair.layer.text(), b"on");
        pair.say(Content::Handshake, request);
        refused(&mut pair, UNEXPECTED, TlsFault::Misbehaved);
    }
}

#[test]
fn every_other_handshake_message_is_refused_in_either_role_and_version() {
    for (side, spoken) in ALL {
        for kind in 0..=30 {
            let is_modern = spoken.version == &TLS13;
            let may = match (kind, side) {
                (0, Side::Client) | (1, Side::Server) => !is_modern,
                (4, Side::Client) => is_modern,
                _ => false,
            };
            if may {
                continue;
            }
            let mut pair = Pair::new(side, spoken);
            pair.say(Content::Handshake, &[kind, 0, 0, 0]);
            refused(&mut pair, UNEXPECTED, TlsFault::UnexpectedMessage);
        }
    }
}

/// RFC 8446, 4.6.3: "If an implementation receives any other value".
#[test]
fn a_key_update_of_an_unknown_kind_is_an_illegal_parameter() {
    for side in [Side::Server, Side::Client] {
        let mut pair = Pair::new(side, MODERN);
        pair.say(Content::Handshake, &[24, 0, 0, 1, 2]);
        refused(&mut pair, 47, TlsFault::Misbehaved);
    }
}

/// RFC 8446, 5.1: "there MUST NOT be any other records between them".
#[test]
fn nothing_comes_between_the_records_of_a_handshake_message() {
    for (content, text) in [
        (Content::Data, &b"data"[..]),
        (Content::Data, b""),
        (Content::Alert, &[1, 90]),
    ] {
        for begun in [&[4, 0, 0][..], &[4, 0, 0, 2, 7]] {
            let mut pair = Pair::new(Side::Client, MODERN);
            pair.say(Content::Handshake, begun);
            pair.say(content, text);
            assert_eq!(pair.layer.told(), []);
            refused(&mut pair, UNEXPECTED, TlsFault::UnexpectedMessage);
        }
        let mut pair = Pair::new(Side::Client, MODERN);
        pair.say(Content::Handshake, &[4, 0, 0, 2, 7]);
        pair.say(Content::Handshake, &[7]);
        pair.say(Content::Data, b"data");
        assert_eq!(pair.layer.text(), b"data");
    }
}

#[test]
fn a_handshake_message_that_is_empty_is_refused() {
    for (side, spoken) in ALL {
        let mut pair = Pair::new(side, spoken);
        pair.say(Content::Handshake, b"");
        refused(&mut pair, UNEXPECTED, TlsFault::UnexpectedMessage);
    }
}

/// Then there are two new keys, one after the other.
#[test]
fn a_key_that_wears_out_before_its_renewal_is_answered_is_replaced_twice() {
    for side in [Side::Server, Side::Client] {
        let mut pair = Pair::new(side, MODERN);
        pair.layer.tls.inner.echoes = true;
        let session = pair.layer.tls.book.session(ID).unwrap();
        session.sealer.wear(limits::TLS_RECORDS_PER_KEY - 1);
        pair.peer.opener.wear(limits::TLS_RECORDS_PER_KEY - 1);
        let mut bytes = pair.sealed(Content::Data, b"last");
        bytes.extend(pair.sealed(Content::Handshake, &KEY_UPDATE_REQUESTED));
        pair.layer.receive(ID, &bytes);
        pair.layer.order(Order::Send(b"new".to_vec()));
        let renewed = (Content::Handshake, KEY_UPDATE.to_vec());
        let heard = [
            (Content::Data, b"last".to_vec()),
            renewed.clone(),
            renewed,
            (Content::Data, b"new".to_vec()),
        ];
        assert_eq!(pair.heard(), heard, "{side:?}");
    }
}

#[test]
fn a_worn_key_is_replaced_where_the_version_can_and_ends_the_connection_where_not() {
    for (side, spoken) in ALL {
        let mut pair = Pair::new(side, spoken);
        let session = pair.layer.tls.book.session(ID).unwrap();
        session.sealer.wear(limits::TLS_RECORDS_PER_KEY - 1);
        pair.peer.opener.wear(limits::TLS_RECORDS_PER_KEY - 1);
        pair.layer.order(Order::Send(b"worn".to_vec()));
        let worn = (Content::Data, b"worn".to_vec());
        if spoken.version == &TLS13 {
            pair.layer.order(Order::Send(b"new".to_vec()));
            let renewed = (Content::Handshake, KEY_UPDATE.to_vec());
            assert_eq!(
                pair.heard(),
                [worn, renewed, (Content::Data, b"new".to_vec())]
            );
            assert_eq!(pair.layer.closes(), []);
        } else {
            assert_eq!(pair.heard(), [worn, alert(2, 80)]);
            assert_eq!(pair.end(), CloseCause::Insecure(TlsFault::KeyWorn));
        }
    }
}
