//! The layer against the record layer of rustls, which shares no code with ours.

use super::*;
use rustls::{ClientConnection, Connection, ServerConnection};
use std::io::{Read, Write};

/// Carries bytes between both until nobody has any; what the peer reads.
fn carry(layer: &mut Layer, peer: &mut Connection) -> Vec<u8> {
    let mut text = Vec::new();
    loop {
        let mut bytes = Vec::new();
        while peer.wants_write() {
            peer.write_tls(&mut bytes).unwrap();
        }
        layer.receive(ID, &bytes);
        let sent = layer.sent(ID);
        let mut rest = &sent[..];
        while !rest.is_empty() {
            peer.read_tls(&mut rest).unwrap();
            peer.process_new_packets().unwrap();
            let mut read = [0; 4096];
            while let Ok(len @ 1..) = peer.reader().read(&mut read) {
                text.extend_from_slice(&read[..len]);
            }
        }
        if bytes.is_empty() && sent.is_empty() {
            return text;
        }
    }
}

/// A layer, and rustls on the other end.
fn secured(side: Side, spoken: Spoken) -> (Layer, Connection) {
    let mut layer = Layer::new(side, spoken);
    layer.tls.inner.echoes = true;
    let mut peer = match side {
        Side::Server => ClientConnection::new(Arc::new(spoken.client()), name())
            .unwrap()
            .into(),
        Side::Client => ServerConnection::new(Arc::new(spoken.server()))
            .unwrap()
            .into(),
    };
    layer.open(side, ID);
    carry(&mut layer, &mut peer);
    assert_eq!(layer.told().len(), 1, "opened");
    (layer, peer)
}

#[test]
fn what_rustls_says_comes_back_to_it() {
    for (side, spoken) in ALL {
        let (mut layer, mut peer) = secured(side, spoken);
        for len in [1, 100, 16_384, 40_000] {
            let text = vec![b'x'; len];
            peer.writer().write_all(&text).unwrap();
            assert_eq!(carry(&mut layer, &mut peer), text, "{side:?} {spoken:?}");
            layer.told();
        }
    }
}

#[test]
fn both_sides_may_renew_their_keys_again_and_again() {
    for side in [Side::Server, Side::Client] {
        let (mut layer, mut peer) = secured(side, MODERN);
        for round in 0..50 {
            // It requests ours, too.
            peer.refresh_traffic_keys().unwrap();
            peer.writer().write_all(b"round").unwrap();
            assert_eq!(carry(&mut layer, &mut peer), b"round", "{round}");
            layer.tls.book.renew(ID, &mut layer.line);
            layer.order(Order::Send(b"ours".to_vec()));
            assert_eq!(carry(&mut layer, &mut peer), b"ours", "{round}");
        }
    }
}

#[test]
fn rustls_sees_a_clean_end_whoever_closes() {
    for (side, spoken) in ALL {
        for theirs in [true, false] {
            let (mut layer, mut peer) = secured(side, spoken);
            if theirs {
                peer.send_close_notify();
            } else {
                layer.order(Order::Close(Close::Flush));
            }
            carry(&mut layer, &mut peer);
            // 0 is an end by close_notify; without it there is an error.
            let end = peer.reader().read(&mut [0; 1]).unwrap();
            assert_eq!(end, 0, "{side:?} {spoken:?}");
            assert_eq!(layer.closes(), [Close::Flush]);
        }
    }
}

#[test]
fn rustls_is_told_what_was_wrong() {
    for (side, spoken) in ALL {
        let (mut layer, mut peer) = secured(side, spoken);
        layer.receive(ID, &[&[23, 3, 3, 0, 64][..], &[0; 64]].concat());
        let sent = layer.sent(ID);
        peer.read_tls(&mut &sent[..]).unwrap();
        let error = peer.process_new_packets().unwrap_err();
        let alert = rustls::AlertDescription::BadRecordMac;
        assert_eq!(error, rustls::Error::AlertReceived(alert));
    }
}
