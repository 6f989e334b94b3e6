//! Newcomers of a full server, and the listener for health and figures.

use super::*;
use std::sync::atomic::Ordering::Relaxed;

const ADMIN: u16 = 1;

fn full(connections: u32) -> Rig {
    Rig::new(Config {
        max_connections: connections,
        admin_listener: Some(ADMIN),
        ..config()
    })
}

#[test]
fn as_many_as_configured_are_served_and_the_next_gets_503_and_when_to_come_back() {
    let mut rig = full(3);
    for path in ["/echo", "/push", "/echo"] {
        rig.socket(path);
    }
    for request in [get("/"), upgrade("/echo"), get("/events"), get("/nowhere")] {
        let late = rig.asked(&request);
        let answer = rig.text(late);
        assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
        // RFC 9110, 15.6.4 and 10.2.3.
        assert!(answer.contains("\r\nRetry-After: 1\r\n"), "{answer}");
        assert!(answer.contains("\r\nConnection: close\r\n"), "{answer}");
        assert_eq!(rig.closed(late), Some(Close::Flush));
    }
    assert_eq!((rig.tally().refused, rig.tally().decided.full), (4, 4));
    let refusals = &rig.server.core.shared.config().refusals;
    assert_eq!(refusals.answered.load(Relaxed), 4);
}

#[test]
fn a_full_server_tells_its_health_and_its_figures() {
    let mut rig = full(1);
    rig.socket("/echo");
    for path in ["/healthz", "/stats", "/metrics"] {
        let late = rig.asked(&get(path));
        let answer = rig.text(late);
        assert!(answer.starts_with("HTTP/1.1 200 "), "{path}: {answer}");
        // It holds a place that others wait for.
        assert_eq!(rig.closed(late), Some(Close::Flush), "{path}");
    }
    // What a member of a room says comes on a connection of its own; this one is of no room.
    let said = get("/rooms/say?room=0-0&member=1&key=0").replace("GET", "POST");
    let speaker = rig.asked(&said.replace("\r\n\r\n", "\r\nContent-Length: 1\r\n\r\nx"));
    assert!(!rig.text(speaker).starts_with("HTTP/1.1 503 "));
    assert_eq!(rig.tally().refused, 0);
}

#[test]
fn a_place_that_is_left_is_the_next_ones() {
    let mut rig = full(1);
    let first = rig.socket("/echo");
    let late = rig.asked(&upgrade("/echo"));
    assert!(rig.text(late).starts_with("HTTP/1.1 503 "));
    // One on its way out takes no regular place.
    let waiting = rig.open();
    rig.gone(first, CloseCause::Reset);
    rig.receive(waiting, upgrade("/echo").as_bytes());
    assert!(rig.text(waiting).starts_with("HTTP/1.1 101 "));
    let late = rig.asked(&upgrade("/echo"));
    assert!(rig.text(late).starts_with("HTTP/1.1 503 "));
    rig.gone(waiting, CloseCause::PeerEnded);
    rig.socket("/echo");
}

#[test]
fn newcomers_that_say_nothing_hold_no_spare_place_for_long_and_more_are_reset() {
    let mut rig = full(0);
    let silent: Vec<_> = (0..limits::SPARE_CONNECTIONS).map(|_| rig.open()).collect();
    let beyond = rig.open();
    assert_eq!(rig.closed(beyond), Some(Close::Abort));
    assert_eq!(rig.tally().refused, 1);
    let refusals = &rig.server.core.shared.config().refusals;
    assert_eq!(refusals.reset.load(Relaxed), 1);
    rig.gone(beyond, CloseCause::Local);
    rig.pass(limits::SPARE_TIME + Duration::from_millis(200));
    for id in silent {
        assert_eq!(rig.closed(id), Some(Close::Flush));
        rig.gone(id, CloseCause::Local);
    }
    let late = rig.asked(&get("/healthz"));
    assert!(rig.text(late).starts_with("HTTP/1.1 200 "));
}

#[test]
fn the_listener_for_figures_tells_nothing_else_and_its_connections_do_not_count() {
    let mut rig = full(1);
    rig.socket("/echo");
    let admin = rig.open_at(ADMIN);
    for path in ["/healthz", "/stats", "/metrics", "/healthz"] {
        rig.receive(admin, get(path).as_bytes());
        let answer = rig.text(admin);
        assert!(answer.starts_with("HTTP/1.1 200 "), "{path}: {answer}");
    }
    assert_eq!(rig.closed(admin), None, "it may ask again");
    for request in [upgrade("/echo"), get("/events"), get("/rooms"), get("/")] {
        let id = rig.open_at(ADMIN);
        rig.receive(id, request.as_bytes());
        let answer = rig.text(id);
        assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
        rig.gone(id, CloseCause::Local);
    }
    let others: Vec<_> = (1..limits::ADMIN_CONNECTIONS)
        .map(|_| rig.open_at(ADMIN))
        .collect();
    let beyond = rig.open_at(ADMIN);
    assert_eq!(rig.closed(beyond), Some(Close::Abort));
    assert!(others.iter().all(|&id| rig.closed(id).is_none()));
}

#[test]
fn who_waits_for_an_answer_is_ended_with_it_for_its_own_place_and_not_for_anothers() {
    let on_two_cores = || {
        let config = Config {
            max_connections: 1,
            ..config()
        };
        Rig::on(Core(0), 2, config)
    };
    // The other core never tells, so both answers come with the end of the round.
    let mut rig = on_two_cores();
    let regular = rig.asked(&get("/stats"));
    let spare = rig.asked(&get("/healthz"));
    assert_eq!(rig.closed(spare), Some(Close::Flush));
    rig.pass(Duration::from_secs(1));
    let answer = rig.text(regular);
    assert!(
        answer.contains("\r\nConnection: keep-alive\r\n"),
        "{answer}"
    );
    assert_eq!(rig.closed(regular), None);
    let mut rig = on_two_cores();
    let regular = rig.open();
    let spare = rig.asked(&get("/stats"));
    rig.receive(regular, get("/healthz").as_bytes());
    assert_eq!(rig.closed(regular), None);
    rig.pass(Duration::from_secs(1));
    let answer = rig.text(spare);
    assert!(answer.contains("\r\nConnection: close\r\n"), "{answer}");
    assert_eq!(rig.closed(spare), Some(Close::Flush));
}
