//! Stopping: announced, spread, and with the code that was asked for.

use super::*;

fn draining(change: impl FnOnce(&mut Config)) -> Rig {
    let mut config = config();
    change(&mut config);
    Rig::new(config)
}

#[test]
fn during_the_delay_health_says_503_and_all_else_is_served() {
    let mut rig = draining(|config| config.drain_delay = Duration::from_secs(10));
    let socket = rig.socket("/echo");
    rig.stop();
    rig.pass(Duration::from_secs(9));
    assert!(rig.wire.accepting && rig.closed(socket).is_none());
    let health = rig.asked(&get("/healthz"));
    assert!(rig.text(health).starts_with("HTTP/1.1 503 "));
    assert_eq!(rig.closed(health), None, "who asks for health asks again");
    let late = rig.socket("/echo");
    rig.receive(late, &masked(Opcode::Text, b"still"));
    assert_eq!(rig.sent(late), plain(Opcode::Text, b"still"));
    rig.pass(Duration::from_secs(2));
    assert!(!rig.wire.accepting);
    for id in [socket, late] {
        // RFC 6455, 7.4.1.
        assert_eq!(rig.sent(id)[2..4], 1001_u16.to_be_bytes());
    }
    assert!(!rig.server.finished());
    // The time to drain counts from there.
    rig.pass(Duration::from_secs(6));
    assert!(rig.server.finished());
}

#[test]
fn connections_are_ended_evenly_over_the_spread() {
    let mut rig = draining(|config| {
        config.drain_spread = Duration::from_secs(10);
        config.drain_code = 1012;
    });
    let sockets: Vec<_> = (0..100).map(|_| rig.socket("/echo")).collect();
    rig.stop();
    assert!(!rig.wire.accepting);
    let mut before = 0;
    for second in 1..=10 {
        rig.pass(Duration::from_secs(1));
        let closed = |&&id: &&ConnectionId| !rig.wire.lines[&id].sent.is_empty();
        let ended = sockets.iter().filter(closed).count();
        let fair = second * 10 - 1..=second * 10 + 1;
        assert!(
            fair.contains(&ended) && ended > before,
            "{ended} after {second} s"
        );
        before = ended;
        if second == 5 {
            // One whose turn has not come is served; who asks for more is refused.
            let last = sockets[99];
            rig.receive(last, &masked(Opcode::Text, b"more"));
            assert_eq!(rig.sent(last), plain(Opcode::Text, b"more"));
        }
    }
    for id in sockets {
        // The IANA registry of close codes: service restart.
        assert_eq!(rig.sent(id)[2..4], 1012_u16.to_be_bytes());
    }
}

#[test]
fn each_event_stream_is_told_another_time_to_come_back() {
    let mut rig = draining(|config| {
        config.retry_ms = 2000;
        config.drain_spread = Duration::from_secs(20);
    });
    let streams: Vec<_> = (0..50).map(|_| rig.stream()).collect();
    rig.stop();
    rig.pass(Duration::from_secs(21));
    let mut times: Vec<u64> = Vec::new();
    for id in streams {
        assert_eq!(rig.closed(id), Some(Close::Flush));
        let text = rig.text(id);
        let told = text.trim_end().rsplit("retry: ").next().expect("a retry");
        assert!(text.ends_with("\n\n"), "{text:?}");
        times.push(told.parse().expect("digits"));
    }
    assert!(
        times.iter().all(|ms| (2000..22_000).contains(ms)),
        "{times:?}"
    );
    times.sort_unstable();
    times.dedup();
    assert!(times.len() > 40, "{times:?}");
    let (first, last) = (times[0], times[times.len() - 1]);
    assert!(
        first < 7_000 && last > 17_000,
        "over the whole window: {times:?}"
    );
}

#[test]
fn a_connection_that_is_gone_before_its_turn_is_no_trouble() {
    let mut rig = draining(|config| config.drain_spread = Duration::from_secs(4));
    let sockets: Vec<_> = (0..8).map(|_| rig.socket("/echo")).collect();
    rig.stop();
    for &id in sockets.iter().step_by(2) {
        rig.gone(id, CloseCause::Reset);
    }
    rig.pass(Duration::from_secs(5));
    for &id in sockets.iter().skip(1).step_by(2) {
        assert_eq!(rig.sent(id)[2..4], 1001_u16.to_be_bytes());
        rig.gone(id, CloseCause::PeerEnded);
    }
    assert!(rig.server.finished());
}

#[test]
fn a_server_without_connections_ends_after_the_delay_at_once() {
    let mut rig = draining(|config| {
        config.drain_delay = Duration::from_secs(3);
        config.drain_spread = Duration::from_secs(60);
    });
    rig.stop();
    rig.pass(Duration::from_millis(2_900));
    assert!(!rig.server.finished());
    rig.pass(Duration::from_millis(200));
    assert!(rig.server.finished());
}

#[test]
fn whoever_asks_a_server_that_has_handed_over_is_served_and_health_is_well() {
    let mut rig = draining(|config| config.drain_spread = Duration::from_secs(4));
    let (socket, kept) = (rig.socket("/echo"), rig.open());
    rig.server.core.shared.config().handed_over.say();
    rig.stop();
    for path in ["/healthz", "/stats"] {
        rig.receive(
            kept,
            format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes(),
        );
        let answer = rig.text(kept);
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    rig.pass(crate::limits::HANDOVER_TIME + Duration::from_secs(5));
    // The IANA registry of close codes: service restart.
    assert_eq!(rig.sent(socket)[2..4], 1012_u16.to_be_bytes());
}
