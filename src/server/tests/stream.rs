//! Event streams: head, events, resume, stale ids, heartbeats, slow readers.

use super::*;

const TICK: Duration = Duration::from_millis(100);

/// One event of push, as it is sent.
fn event(n: u32) -> String {
    let sent = START + TICK * n;
    format!(
        "id: 00000000:{n}\nevent: push\ndata: {{\"seq\":{n},\"sent_ns\":{}}}\n\n",
        sent.as_nanos()
    )
}

fn ids(text: &str) -> Vec<&str> {
    text.lines()
        .filter_map(|line| line.strip_prefix("id: 00000000:"))
        .collect()
}

#[test]
fn a_stream_begins_with_its_head_and_retry() {
    let mut rig = Rig::new(config());
    let id = rig.asked(&get("/events"));
    let answer = rig.text(id);
    for field in [
        "HTTP/1.1 200 OK",
        "Content-Type: text/event-stream",
        "Cache-Control: no-store, no-transform",
        "X-Accel-Buffering: no",
        "Access-Control-Allow-Origin: *",
        "Connection: close",
    ] {
        assert!(
            answer.contains(&format!("{field}\r\n")),
            "{field} in {answer}"
        );
    }
    assert!(answer.ends_with("\r\n\r\nretry: 3000\n"), "{answer}");
    assert!(!answer.contains("Content-Length"));
}

#[test]
fn every_stream_gets_every_event_encoded_once() {
    let mut rig = Rig::new(config());
    let (a, b) = (rig.stream(), rig.stream());
    rig.pass(TICK * 3);
    let heard = rig.text(a);
    assert_eq!(heard, event(1) + &event(2) + &event(3));
    assert_eq!(rig.text(b), heard);
    assert_eq!(rig.tally().messages_out, 6);
}

#[test]
fn a_broadcast_to_very_many_leaves_in_steps_and_whoever_comes_meanwhile_is_not_told() {
    let mut rig = Rig::new(config());
    let streams: Vec<_> = (0..3 * members::STEP).map(|_| rig.stream()).collect();
    let told = |rig: &mut Rig| {
        let told = |id: &&ConnectionId| !rig.line(**id).sent.is_empty();
        streams.iter().filter(told).count()
    };
    rig.wire.now += TICK;
    rig.server.expired(&mut rig.wire);
    assert_eq!(told(&mut rig), members::STEP);
    // The next step is due at once, but not before others had their turn.
    assert!(rig.server.deadline().is_some_and(|at| at <= rig.wire.now));
    let late = rig.stream();
    rig.gone(streams[0], CloseCause::Reset);
    rig.server.expired(&mut rig.wire);
    rig.server.expired(&mut rig.wire);
    for id in &streams[1..] {
        assert_eq!(rig.text(*id), event(1));
    }
    assert_eq!(rig.text(late), "");
    assert!(rig.server.deadline().is_some_and(|at| at > rig.wire.now));
    assert_eq!(rig.tally().messages_out, streams.len() as u64);
}

#[test]
fn what_the_client_of_a_stream_sends_is_ignored() {
    let mut rig = Rig::new(config());
    let id = rig.stream();
    rig.receive(id, get("/healthz").as_bytes());
    assert_eq!((rig.text(id), rig.closed(id)), (String::new(), None));
}

#[test]
fn who_comes_back_gets_what_was_missed_and_then_what_comes() {
    let resume = "GET /events HTTP/1.1\r\nHost: a\r\nLast-Event-ID: 00000000:2\r\n\r\n".to_owned();
    for request in [
        resume,
        get("/events?lastEventId=00000000:2"),
        get("/events?a=b&lastEventId=00000000:2&c"),
    ] {
        let mut rig = Rig::new(config());
        let first = rig.stream();
        rig.pass(TICK * 4);
        rig.gone(first, CloseCause::Reset);
        // Nobody listens: made up for when somebody does.
        rig.pass(TICK * 2);
        let id = rig.asked(&request);
        let answer = rig.text(id);
        let (_, events) = answer.split_once("retry: 3000\n").expect("retry");
        assert_eq!(ids(events), ["3", "4", "5", "6"], "{request}");
        assert!(events.starts_with(&(event(3) + &event(4))), "{events}");
        rig.pass(TICK);
        assert_eq!(rig.text(id), event(7));
    }
}

#[test]
fn an_empty_id_is_none() {
    // HTML, 9.2.2: the last event id is empty before the first one.
    let mut rig = Rig::new(config());
    let id = rig.asked("GET /events HTTP/1.1\r\nHost: a\r\nLast-Event-ID:\r\n\r\n");
    assert!(rig.text(id).ends_with("retry: 3000\n"));
}

#[test]
fn an_id_that_is_too_old_or_unknown_gets_a_stale_event() {
    let mut rig = Rig::new(Config {
        history: 3,
        ..config()
    });
    let _listener = rig.stream();
    rig.pass(TICK * 9);
    for (last, other, from) in [
        ("00000000:5", false, 6),
        ("00000000:0", false, 1),
        ("00000000:10", true, 1),
        // Of another run of the server, or of none.
        ("00000001:9", true, 1),
        ("6", true, 1),
        ("abc", true, 1),
        ("\"}\\", true, 1),
    ] {
        let request = format!("GET /events HTTP/1.1\r\nHost: a\r\nLast-Event-ID: {last}\r\n\r\n");
        let id = rig.asked(&request);
        let answer = rig.text(id);
        let stale = format!(
            "retry: 3000\nid: 00000000:9\nevent: stale\ndata: {{\"run\":\"00000000\",\
             \"other_run\":{other},\"missed_from\":{from},\"latest\":9}}\n\n"
        );
        assert!(answer.ends_with(&stale), "{last}: {answer}");
    }
    let id = rig.asked("GET /events HTTP/1.1\r\nHost: a\r\nLast-Event-ID: 00000000:6\r\n\r\n");
    assert_eq!(ids(&rig.text(id)), ["7", "8", "9"]);
}

#[test]
fn what_does_not_fit_into_a_backlog_is_stale() {
    let mut rig = Rig::new(Config {
        chunk_bytes: 1000,
        ..config()
    });
    rig.wire.cap = 3000;
    let _listener = rig.stream();
    rig.pass(TICK * 2);
    let (some, all) = ("Last-Event-ID: 00000000:1", "Last-Event-ID: 00000000:0");
    rig.wire.now += TICK / 2;
    let id = rig.asked(&get("/events").replace("Host: a", &format!("Host: a\r\n{some}")));
    assert_eq!(ids(&rig.text(id)), ["2"]);
    rig.pass(TICK);
    let id = rig.asked(&get("/events").replace("Host: a", &format!("Host: a\r\n{all}")));
    let answer = rig.text(id);
    assert!(
        answer.contains("event: stale") && answer.contains("\"missed_from\":1,"),
        "{answer}"
    );
}

#[test]
fn a_quiet_stream_gets_a_comment_and_a_busy_one_does_not() {
    let mut rig = Rig::new(Config {
        chunk: Duration::from_secs(40),
        ..config()
    });
    let id = rig.stream();
    rig.pass(Duration::from_secs(16));
    let comment = rig.text(id);
    assert!(
        comment.starts_with(':') && comment.ends_with("\n\n"),
        "{comment:?}"
    );
    rig.pass(Duration::from_secs(15));
    assert_eq!(rig.text(id), comment);
    rig.pass(Duration::from_secs(10));
    assert_eq!(ids(&rig.text(id)), ["1"]);
    let mut rig = Rig::new(config());
    let id = rig.stream();
    rig.pass(Duration::from_secs(60));
    assert!(!rig.text(id).contains("\n:"));
}

/// Lets that time pass: the times of the comments of each, and the most that left at once.
fn comments(rig: &mut Rig, ids: &[ConnectionId], span: Duration) -> (Vec<Vec<Instant>>, usize) {
    let (end, mut times, mut most) = (rig.wire.now + span, vec![Vec::new(); ids.len()], 0);
    while let Some(at) = rig.server.deadline().filter(|at| *at <= end) {
        rig.pass(at.since(rig.wire.now));
        let mut at_once = 0;
        for (times, id) in times.iter_mut().zip(ids) {
            let sent = rig.text(*id);
            if sent.starts_with(':') {
                times.push(rig.wire.now);
                at_once += 1;
            }
        }
        most = most.max(at_once);
    }
    (times, most)
}

#[test]
fn heartbeats_of_many_streams_are_spread_and_none_is_late() {
    let heartbeat = limits::HEARTBEAT_TIME;
    for path in ["/events", "/rooms"] {
        let mut rig = Rig::new(Config {
            chunk: Duration::from_secs(10_000),
            ..config()
        });
        let ids: Vec<_> = (0..1000).map(|_| rig.asked(&get(path))).collect();
        ids.iter().for_each(|id| drop(rig.sent(*id)));
        let mut last = vec![rig.wire.now; ids.len()];
        let (times, most) = comments(&mut rig, &ids, heartbeat * 6);
        assert!((1..=100).contains(&most), "{path}: {most} at once");
        for (last, times) in last.iter_mut().zip(&times) {
            assert!((5..=7).contains(&times.len()), "{path}: {times:?}");
            for at in times {
                let silent = at.since(*last);
                assert!(
                    silent <= heartbeat + Duration::from_millis(20),
                    "{path}: {silent:?}"
                );
                *last = *at;
            }
        }
    }
}

#[test]
fn a_message_ends_a_round_of_heartbeats() {
    let chunk = limits::HEARTBEAT_TIME - Duration::from_secs(3);
    let mut rig = Rig::new(Config { chunk, ..config() });
    let ids: Vec<_> = (0..1000).map(|_| rig.stream()).collect();
    let (times, _) = comments(&mut rig, &ids, limits::HEARTBEAT_TIME * 4);
    let some = times.iter().filter(|times| !times.is_empty()).count();
    // The round has come so far when the message does, each time.
    assert!((300..900).contains(&some), "{some}");
    assert!(times.iter().all(|times| times.len() <= 5));
}

#[test]
fn a_stream_that_does_not_read_is_reset_and_the_others_go_on() {
    let mut rig = Rig::new(config());
    let (slow, fast) = (rig.stream(), rig.stream());
    rig.line(slow).backlog = limits::BACKLOG_BYTES;
    rig.pass(TICK);
    assert_eq!(rig.closed(slow), Some(Close::Abort));
    rig.gone(slow, CloseCause::Local);
    rig.pass(TICK);
    assert_eq!(rig.text(fast), event(1) + &event(2));
    assert_eq!(rig.tally().decided.slow_consumer, 1);
}

/// A core that was stopped for 700 ms is late; who listens is not slow.
#[test]
fn a_late_core_catches_up_in_steps_that_its_listeners_can_take() {
    const BYTES: usize = 64 * 1024;
    let mut rig = Rig::new(Config {
        chunk: Duration::from_millis(10),
        chunk_bytes: BYTES,
        ..config()
    });
    let ids: Vec<_> = (0..20).map(|_| rig.stream()).collect();
    rig.pass(Duration::from_millis(50));
    assert_eq!(rig.tally().pushes_late, 0);
    ids.iter().for_each(|&id| drop(rig.sent(id)));
    rig.wire.now += Duration::from_millis(700);
    rig.server.expired(&mut rig.wire);
    for &id in &ids {
        let sent = rig.sent(id).len();
        assert!((BYTES..3 * BYTES).contains(&sent), "{sent} bytes at once");
    }
    rig.pass(Duration::from_millis(800));
    let text = rig.text(ids[7]);
    for number in 8..=155 {
        assert!(text.contains(&format!("{{\"seq\":{number},")), "{number}");
    }
    let tally = rig.tally();
    assert!(tally.pushes_late >= 69, "{}", tally.pushes_late);
    assert_eq!(tally.decided.slow_consumer, 0);
    ids.iter().for_each(|&id| drop(rig.sent(id)));
    let late = tally.pushes_late;
    rig.pass(Duration::from_millis(500));
    assert_eq!(rig.tally().pushes_late, late, "in time again");
}
