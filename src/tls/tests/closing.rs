//! How a secured connection ends, from either side (RFC 8446, 6.1; RFC 5246, 7.2.1).

use super::*;
use crate::shard::TlsFault;

#[test]
fn a_close_sends_what_is_queued_then_close_notify_and_nothing_after_it() {
    for (side, spoken) in ALL {
        let mut pair = Pair::new(side, spoken);
        pair.layer.order(Order::Finish(b"last".to_vec()));
        pair.layer.order(Order::Send(b"late".to_vec()));
        let heard = [(Content::Data, b"last".to_vec()), alert(1, 0)];
        assert_eq!(pair.heard(), heard, "{side:?} {spoken:?}");
        assert_eq!(pair.layer.closes(), [Close::Flush]);
        assert_eq!(pair.layer.tls.inner.sent, [Ok(()), Err(Unsent::Gone)]);
        // Nor is what the peer still says delivered.
        pair.say(Content::Data, b"too late");
        assert_eq!(pair.layer.told(), []);
        // A second close asks for nothing, and an abort is passed on.
        pair.layer.order(Order::Close(Close::Flush));
        assert_eq!(pair.layer.closes(), [Close::Flush]);
        pair.layer.order(Order::Close(Close::Abort));
        assert_eq!(pair.layer.closes(), [Close::Flush, Close::Abort]);
        pair.layer.closed(ID, CloseCause::Local);
        assert_eq!(pair.layer.told(), [Told::Closed(CloseCause::Local)]);
        assert_eq!(pair.heard(), []);
    }
}

#[test]
fn an_abort_after_a_failure_does_not_hide_why_it_failed() {
    for (side, spoken) in ALL {
        let mut pair = Pair::new(side, spoken);
        pair.say(Content::Alert, &[2, 80]);
        pair.layer.order(Order::Close(Close::Abort));
        assert_eq!(pair.layer.closes(), [Close::Flush, Close::Abort]);
        pair.layer.closed(ID, CloseCause::Local);
        let why = CloseCause::Insecure(TlsFault::Alert(80));
        assert_eq!(pair.layer.told(), [Told::Closed(why)]);
    }
}

#[test]
fn an_abort_sends_nothing() {
    for (side, spoken) in ALL {
        let mut pair = Pair::new(side, spoken);
        pair.layer.order(Order::Close(Close::Abort));
        assert_eq!(pair.heard(), []);
        assert_eq!(pair.layer.closes(), [Close::Abort]);
        pair.layer.closed(ID, CloseCause::Reset);
        assert_eq!(pair.layer.told(), [Told::Closed(CloseCause::Reset)]);
    }
}

#[test]
fn a_fatal_alert_ends_the_connection_and_is_named() {
    for (side, spoken) in ALL {
        let mut pair = Pair::new(side, spoken);
        pair.say(Content::Alert, &[2, 80]);
        pair.say(Content::Data, b"behind it");
        assert_eq!(pair.heard(), [], "{side:?} {spoken:?}");
        assert_eq!(pair.end(), CloseCause::Insecure(TlsFault::Alert(80)));
    }
}

#[test]
fn the_end_of_the_stream_is_passed_on_as_it_is() {
    for (side, spoken) in ALL {
        for cause in [
            CloseCause::PeerEnded,
            CloseCause::Reset,
            CloseCause::TimedOut,
        ] {
            let mut pair = Pair::new(side, spoken);
            pair.layer.closed(ID, cause);
            assert_eq!(pair.layer.told(), [Told::Closed(cause)]);
            assert_eq!(pair.heard(), []);
            // The id is dead.
            pair.say(Content::Data, b"late");
            pair.layer.order(Order::Send(b"late".to_vec()));
            pair.layer.order(Order::Close(Close::Flush));
            pair.layer.tls.drained(ID, &mut pair.layer.line);
            assert_eq!(pair.layer.told(), []);
            assert_eq!((pair.heard(), pair.layer.closes()), (vec![], vec![]));
        }
    }
}

#[test]
fn a_truncated_record_is_never_delivered() {
    for (side, spoken) in ALL {
        let mut pair = Pair::new(side, spoken);
        let record = pair.sealed(Content::Data, b"whole or not at all");
        pair.layer.receive(ID, &record[..record.len() - 1]);
        assert_eq!(pair.layer.told(), []);
        pair.layer.closed(ID, CloseCause::PeerEnded);
        assert_eq!(
            pair.layer.told(),
            [Told::Closed(CloseCause::PeerEnded)],
            "{side:?} {spoken:?}"
        );
    }
}

#[test]
fn the_peers_close_notify_is_answered_and_ends_the_connection_as_its_fin_would() {
    for (side, spoken) in ALL {
        let mut pair = Pair::new(side, spoken);
        pair.layer.tls.inner.echoes = true;
        let mut bytes = pair.sealed(Content::Data, b"bye");
        bytes.extend(pair.sealed(Content::Alert, &[1, 0]));
        bytes.extend(pair.sealed(Content::Data, b"after the end"));
        pair.layer.receive(ID, &bytes);
        let heard = [(Content::Data, b"bye".to_vec()), alert(1, 0)];
        assert_eq!(pair.heard(), heard, "{side:?} {spoken:?}");
        let told = [Told::Received(b"bye".to_vec()), Told::Ended];
        assert_eq!(pair.layer.told(), told);
        assert_eq!(pair.end(), CloseCause::PeerEnded);
    }
}

#[test]
fn who_has_something_to_say_after_the_peers_end_says_it_then_close_notify() {
    for (side, spoken) in ALL {
        for by_fin in [true, false] {
            let mut pair = Pair::new(side, spoken);
            pair.layer.tls.inner.keeps = true;
            if by_fin {
                let half = pair.layer.tls.ended(ID, &mut pair.layer.line);
                assert_eq!(half, Half::Keep);
            } else {
                pair.say(Content::Alert, &[1, 0]);
                pair.say(Content::Data, b"after the end");
                // The FIN behind it is no news.
                let half = pair.layer.tls.ended(ID, &mut pair.layer.line);
                assert_eq!(half, Half::Keep);
            }
            assert_eq!(pair.layer.told(), [Told::Ended], "{side:?} {spoken:?}");
            assert_eq!((pair.heard(), pair.layer.closes()), (vec![], vec![]));
            pair.layer.order(Order::Send(b"answer".to_vec()));
            pair.layer.order(Order::Close(Close::Flush));
            let heard = [(Content::Data, b"answer".to_vec()), alert(1, 0)];
            assert_eq!(pair.heard(), heard);
        }
    }
}

/// RFC 8446, 6.1: "Each party MUST send a "close_notify" alert before closing its write side of the
/// connection".
#[test]
fn a_fin_without_close_notify_is_answered_with_ours_after_what_is_queued() {
    for (side, spoken) in ALL {
        let mut pair = Pair::new(side, spoken);
        pair.layer.order(Order::Send(b"last".to_vec()));
        assert_eq!(pair.layer.tls.ended(ID, &mut pair.layer.line), Half::Close);
        pair.layer.order(Order::Send(b"late".to_vec()));
        let heard = [(Content::Data, b"last".to_vec()), alert(1, 0)];
        assert_eq!(pair.heard(), heard, "{side:?} {spoken:?}");
        assert_eq!(pair.layer.tls.inner.sent, [Ok(()), Err(Unsent::Gone)]);
        assert_eq!(pair.layer.told(), [Told::Ended]);
        assert_eq!(pair.end(), CloseCause::PeerEnded);
    }
}

/// What the peer has sent a fatal alert about is over: nothing leaves after it, and what gathered
/// for it reaches nobody else.
#[test]
fn what_gathered_before_a_fatal_alert_is_dropped() {
    for (side, spoken) in ALL {
        let mut pair = Pair::new(side, spoken);
        pair.layer.tls.inner.echoes = true;
        let mut bytes = pair.sealed(Content::Data, b"echo");
        bytes.extend(pair.sealed(Content::Alert, &[2, 80]));
        pair.layer.receive(ID, &bytes);
        assert_eq!(pair.layer.closes(), [Close::Flush], "{side:?} {spoken:?}");
        assert_eq!(pair.layer.line.sent, []);
    }
}

/// Then it is no ordinary end: the peer has not what was left for it.
#[test]
fn a_peer_that_ended_and_was_cut_off_is_said_to_have_been() {
    for (side, spoken) in ALL {
        let mut pair = Pair::new(side, spoken);
        pair.say(Content::Alert, &[1, 0]);
        pair.layer.closed(ID, CloseCause::CutOff);
        let told = [Told::Ended, Told::Closed(CloseCause::CutOff)];
        assert_eq!(pair.layer.told(), told, "{side:?} {spoken:?}");
    }
}
