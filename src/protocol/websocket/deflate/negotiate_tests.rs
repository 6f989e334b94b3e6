//! Offers and answers, right and wrong ones.

use super::*;

const NEVER: Terms = Terms {
    takeover: ContextTakeover::Never,
    sent: Kept::Last,
    room: usize::MAX,
};

/// A server with context takeover and windows of 4 KiB.
const USUAL: Terms = Terms {
    takeover: ContextTakeover::Within(WindowBits::USUAL),
    ..NEVER
};

fn answer(offer: &str, terms: Terms) -> Option<String> {
    agree([offer.as_bytes()].into_iter(), terms).map(|agreed| agreed.answer())
}

fn verdict(value: &str, takeover: ContextTakeover) -> Result<Option<Agreement>, &'static str> {
    agreed([value.as_bytes()].into_iter(), takeover)
}

/// What a client is told that keeps no context.
fn plain(value: &str) -> Result<bool, &'static str> {
    verdict(value, ContextTakeover::Never).map(|agreed| agreed.is_some())
}

#[test]
fn the_first_offer_that_can_be_kept_is_agreed_to() {
    let limited = |bits: u8| format!("{OFFER}; server_max_window_bits={bits}");
    for (offer, wanted) in [
        ("permessage-deflate", Some(OFFER.to_owned())),
        (
            "PerMessage-Deflate ; client_max_window_bits",
            Some(OFFER.to_owned()),
        ),
        (
            "permessage-deflate; client_max_window_bits=8",
            Some(OFFER.to_owned()),
        ),
        (OFFER, Some(OFFER.to_owned())),
        (
            "permessage-deflate; server_max_window_bits=15",
            Some(limited(12)),
        ),
        (
            "permessage-deflate; server_max_window_bits=\"12\"",
            Some(limited(12)),
        ),
        (
            "permessage-deflate; server_max_window_bits=11",
            Some(limited(9)),
        ),
        (
            "permessage-deflate; server_max_window_bits=9, permessage-deflate",
            Some(limited(9)),
        ),
        (
            "permessage-deflate; server_max_window_bits=8",
            Some(limited(8)),
        ),
        (
            "x-webkit-deflate-frame, permessage-deflate",
            Some(OFFER.to_owned()),
        ),
        // RFC 7692, 7.1.2.1: in an offer it has a value.
        (
            "permessage-deflate; server_max_window_bits, permessage-deflate",
            Some(OFFER.to_owned()),
        ),
        ("x-webkit-deflate-frame", None),
        ("", None),
    ] {
        assert_eq!(answer(offer, NEVER), wanted, "{offer}");
    }
}

#[test]
fn context_is_kept_by_whom_the_client_lets_and_in_windows_that_both_can_hold() {
    // RFC 7692, 7.1.1 and 7.1.2.
    for (offered, wanted) in [
        ("", ""),
        ("; client_max_window_bits", "; client_max_window_bits=12"),
        ("; client_max_window_bits=15", "; client_max_window_bits=12"),
        ("; client_max_window_bits=10", "; client_max_window_bits=10"),
        ("; server_max_window_bits=15", "; server_max_window_bits=12"),
        ("; server_max_window_bits=10", "; server_max_window_bits=10"),
        ("; server_max_window_bits=8", "; server_max_window_bits=8"),
        (
            "; server_no_context_takeover",
            "; server_no_context_takeover",
        ),
        (
            "; server_no_context_takeover; server_max_window_bits=10",
            "; server_no_context_takeover; server_max_window_bits=9",
        ),
        (
            "; client_no_context_takeover; client_max_window_bits",
            "; client_no_context_takeover",
        ),
    ] {
        let offer = format!("permessage-deflate{offered}");
        let wanted = Some(format!("permessage-deflate{wanted}"));
        assert_eq!(answer(&offer, USUAL), wanted, "{offer}");
    }
}

#[test]
fn without_room_for_its_windows_no_side_keeps_context() {
    let offer = "permessage-deflate; client_max_window_bits";
    let within = |room| answer(offer, Terms { room, ..USUAL });
    assert_eq!(within(8_191).as_deref(), Some(OFFER));
    let kept = "permessage-deflate; client_max_window_bits=12";
    assert_eq!(within(8_192).as_deref(), Some(kept));
    let sent = Kept::Nothing;
    let heard = "permessage-deflate; server_no_context_takeover; client_max_window_bits=12";
    let terms = Terms {
        sent,
        room: 4_096,
        ..USUAL
    };
    assert_eq!(answer(offer, terms).as_deref(), Some(heard));
}

#[test]
fn a_wrong_parameter_is_never_agreed_to() {
    // RFC 7692, 7.1; CVE-2026-2229: bad window bits.
    for parameter in [
        "server_max_window_bits",
        "server_max_window_bits=",
        "server_max_window_bits=7",
        "server_max_window_bits=16",
        "server_max_window_bits=08",
        "server_max_window_bits=012",
        "server_max_window_bits=+9",
        "server_max_window_bits=1e1",
        "server_max_window_bits=-12",
        "server_max_window_bits=99999999999999999999",
        "server_max_window_bits=\"12",
        "client_max_window_bits=0",
        "client_max_window_bits=16",
        "client_max_window_bits=x",
        "client_max_window_bits; client_max_window_bits=9",
        "server_no_context_takeover=1",
        "server_no_context_takeover; server_no_context_takeover",
        "client_no_context_takeover=true",
        "unknown",
        "",
    ] {
        let offer = format!("permessage-deflate; {parameter}");
        for terms in [NEVER, USUAL] {
            assert_eq!(answer(&offer, terms), None, "{offer}");
            let told = format!("{OFFER}; {parameter}");
            assert!(verdict(&told, terms.takeover).is_err(), "{told}");
        }
    }
}

#[test]
fn a_client_takes_only_what_it_offered() {
    assert_eq!(plain(""), Ok(false));
    assert_eq!(plain(OFFER), Ok(true));
    let alone = "permessage-deflate; server_no_context_takeover";
    assert_eq!(plain(alone), Ok(true));
    for answer in [
        "permessage-deflate".to_owned(),
        format!("{OFFER}; client_max_window_bits=15"),
        format!("{OFFER}, {OFFER}"),
        "x-webkit-deflate-frame".to_owned(),
        format!("{OFFER}; server_max_window_bits"),
    ] {
        assert!(plain(&answer).is_err(), "{answer}");
    }
    for bits in 8..=15 {
        let answer = format!("{OFFER}; server_max_window_bits={bits}");
        assert_eq!(plain(&answer), Ok(true), "{answer}");
    }
}

#[test]
fn a_client_with_takeover_keeps_what_the_server_says() {
    let takeover = ContextTakeover::Within(WindowBits::USUAL);
    let (least, narrow) = (WindowBits::LEAST, WindowBits::NARROW);
    let (usual, most) = (WindowBits::USUAL, WindowBits::MOST);
    for (told, server, client) in [
        ("", (most, Kept::Last), (usual, Kept::Last)),
        (
            "; server_max_window_bits=9; client_max_window_bits=8",
            (narrow, Kept::Last),
            (least, Kept::Last),
        ),
        (
            "; server_no_context_takeover; client_max_window_bits=15",
            (most, Kept::Nothing),
            (usual, Kept::Last),
        ),
        (
            "; client_no_context_takeover; client_max_window_bits=9",
            (most, Kept::Last),
            (narrow, Kept::Nothing),
        ),
    ] {
        let agreed = verdict(&format!("permessage-deflate{told}"), takeover);
        let agreed = agreed.unwrap().unwrap();
        assert_eq!(agreed.sent_by(Role::Server), server, "{told}");
        assert_eq!(agreed.received_by(Role::Client), server, "{told}");
        assert_eq!(agreed.sent_by(Role::Client), client, "{told}");
    }
    let wrong = "permessage-deflate; client_max_window_bits";
    assert!(verdict(wrong, takeover).is_err());
}

#[test]
fn what_a_client_offers_is_agreed_to_by_a_server_of_any_windows() {
    for wanted in (9..=15).filter_map(WindowBits::new) {
        for own in (9..=15).filter_map(WindowBits::new) {
            let offer = offer(ContextTakeover::Within(wanted));
            let takeover = ContextTakeover::Within(own);
            let terms = Terms { takeover, ..NEVER };
            let there = agree([offer.as_bytes()].into_iter(), terms).expect("an agreement");
            let here = verdict(&there.answer(), ContextTakeover::Within(wanted));
            let here = here.unwrap().expect("an agreement");
            for role in [Role::Server, Role::Client] {
                let (sends, (receives, kept)) = (there.sent_by(role), here.sent_by(role));
                // Whoever inflates keeps at least as much as is referred to.
                assert_eq!(sends.1, kept);
                match role {
                    Role::Server => assert!(receives >= sends.0),
                    Role::Client => assert!(receives <= sends.0),
                }
            }
        }
    }
}
