//! Who makes much work has a share of each turn, and everyone else is served in between.

use super::*;
use crate::protocol::websocket::deflate::ContextTakeover;
use crate::protocol::websocket::{Deflater, deflate};

const EXTENSIONS: &str =
    "Sec-WebSocket-Extensions: permessage-deflate; client_no_context_takeover\r\n";

fn rig() -> Rig {
    Rig::new(Config {
        deflate: Some(ContextTakeover::Never),
        ..config()
    })
}

fn deflating(rig: &mut Rig, path: &str) -> ConnectionId {
    let request = upgrade(path).replace("Host: a\r\n", &format!("Host: a\r\n{EXTENSIONS}"));
    let id = rig.asked(&request);
    let answer = rig.text(id);
    assert!(answer.contains("permessage-deflate"), "{answer}");
    id
}

/// A frame that becomes so many bytes.
fn bulk(bytes: usize) -> Vec<u8> {
    let (mut frame, key) = (Vec::new(), Some([1, 2, 3, 4]));
    let zeroes = vec![0; bytes];
    deflate::encode(
        &mut frame,
        Opcode::Binary,
        &zeroes,
        key,
        &mut Deflater::default(),
    );
    frame
}

#[test]
fn one_turn_of_a_peer_whose_messages_grow_is_bounded() {
    let mut rig = rig();
    let (talker, other) = (deflating(&mut rig, "/echo"), rig.socket("/echo"));
    let frame = bulk(10_000);
    let most = u64::try_from(limits::SHARE_BYTES / 10_000 + 1).expect("small");
    for _ in 0..3 {
        // As many receives as the kernel had ready.
        rig.receive(talker, &frame.repeat(20));
    }
    assert!(rig.line(talker).paused);
    let (mut before, mut others) = (0, 0);
    loop {
        let done = rig.tally().messages_in - others;
        assert!(
            (before + 1..=before + most).contains(&done),
            "{before} {done}"
        );
        before = done;
        rig.receive(other, &masked(Opcode::Text, b"x"));
        assert_eq!(rig.sent(other), plain(Opcode::Text, b"x"));
        others += 1;
        if done == 60 {
            break;
        }
        assert!(rig.line(talker).paused, "after {done}");
        assert!(rig.server.deadline().is_some_and(|at| at <= rig.wire.now));
        rig.server.expired(&mut rig.wire);
    }
    rig.pass(Duration::from_millis(1));
    assert!(!rig.line(talker).paused, "it is received again");
    rig.receive(talker, &masked(Opcode::Text, b"y"));
    assert!(rig.sent(talker).ends_with(&plain(Opcode::Text, b"y")));
}

#[test]
fn one_turn_of_a_peer_that_sends_tiny_frames_is_bounded() {
    let count = 3 * limits::SHARE_FRAMES as u64;
    for (frame, reply) in [
        (masked(Opcode::Text, b""), plain(Opcode::Text, b"")),
        (masked(Opcode::Ping, b"x"), plain(Opcode::Pong, b"x")),
    ] {
        let mut rig = rig();
        let (talker, other) = (rig.socket("/echo"), rig.socket("/echo"));
        // In as many receives as the kernel had ready.
        for _ in 0..6 {
            rig.receive(talker, &frame.repeat(limits::SHARE_FRAMES / 2));
        }
        let mut replies = 0;
        for _ in 0..3 {
            let bytes = rig.sent(talker).len();
            assert_eq!(bytes % reply.len(), 0);
            assert_eq!(bytes / reply.len(), limits::SHARE_FRAMES);
            replies += limits::SHARE_FRAMES as u64;
            rig.receive(other, &masked(Opcode::Text, b"x"));
            assert_eq!(rig.sent(other), plain(Opcode::Text, b"x"));
            assert!(rig.line(talker).paused && rig.closed(talker).is_none());
            rig.server.expired(&mut rig.wire);
        }
        assert_eq!(replies, count);
        rig.pass(Duration::from_millis(1));
        assert!(!rig.line(talker).paused, "it is received again");
    }
}

/// The tokio engine looks at the clock for each receive, of which a turn has two: each has a share
/// at most, and none is added by the next once it is used up.
#[test]
fn receives_of_one_turn_at_different_times_have_a_share_each_at_most() {
    let reply = plain(Opcode::Text, b"").len();
    for (frames, replies) in [
        (limits::SHARE_FRAMES - 1, 2 * (limits::SHARE_FRAMES - 1)),
        (limits::SHARE_FRAMES + 1, limits::SHARE_FRAMES),
    ] {
        let mut rig = rig();
        let talker = rig.socket("/echo");
        for _ in 0..2 {
            rig.receive(talker, &masked(Opcode::Text, b"").repeat(frames));
            rig.wire.now += Duration::from_micros(1);
        }
        assert_eq!(rig.sent(talker).len() / reply, replies);
        rig.pass(Duration::from_millis(1));
        let rest = 2 * frames - replies;
        assert_eq!(rig.sent(talker).len() / reply, rest);
    }
}

#[test]
fn one_turn_of_a_peer_that_pipelines_requests_is_bounded() {
    let mut rig = rig();
    for (path, most) in [("/healthz", 256), ("/stats", 64)] {
        let (asker, other) = (rig.asked(""), rig.socket("/echo"));
        rig.receive(asker, get(path).repeat(2000).as_bytes());
        let (mut answers, mut turns) = (0, 0);
        loop {
            let now = rig.text(asker).matches("HTTP/1.1 200 OK").count();
            assert!((1..=most).contains(&now), "{path}: {now} answers in a turn");
            (answers, turns) = (answers + now, turns + 1);
            rig.receive(other, &masked(Opcode::Text, b"x"));
            assert_eq!(rig.sent(other), plain(Opcode::Text, b"x"));
            if answers == 2000 {
                break;
            }
            assert!(rig.line(asker).paused);
            rig.server.expired(&mut rig.wire);
        }
        assert!(turns > 5, "{turns}");
        rig.pass(Duration::from_millis(1));
        assert!(!rig.line(asker).paused);
        assert_eq!(rig.server.core.shared.memory().inbound_bytes(), 0);
    }
}

/// RFC 9112, 9.6: a client may end its half after its last request.
#[test]
fn what_came_before_the_peers_end_is_answered_though_it_waits_for_a_share() {
    let mut rig = rig();
    let (asker, talker) = (rig.asked(""), rig.socket("/echo"));
    rig.receive(asker, get("/healthz").repeat(1000).as_bytes());
    rig.receive(
        talker,
        &masked(Opcode::Text, b"").repeat(3 * limits::SHARE_FRAMES),
    );
    for id in [asker, talker] {
        assert_eq!(rig.server.ended(id, &mut rig.wire), Half::Keep);
    }
    rig.pass(Duration::from_millis(1));
    assert_eq!(rig.text(asker).matches("HTTP/1.1 200 OK").count(), 1000);
    assert_eq!(rig.sent(talker).len(), 2 * 3 * limits::SHARE_FRAMES);
    for id in [asker, talker] {
        assert_eq!(rig.closed(id), Some(Close::Flush));
    }
    // Nothing waits: as ever.
    let quiet = rig.socket("/echo");
    assert_eq!(rig.server.ended(quiet, &mut rig.wire), Half::Close);
}

#[test]
fn what_waits_is_read_in_order_and_once() {
    let mut rig = rig();
    let id = deflating(&mut rig, "/echo");
    let mut all = bulk(200_000);
    all.extend(masked(Opcode::Text, b"1"));
    let (first, second) = all.split_at(all.len() - 3);
    rig.receive(id, first);
    rig.receive(id, second);
    rig.receive(id, &masked(Opcode::Text, b"2"));
    rig.pass(Duration::from_millis(1));
    let sent = rig.sent(id);
    let wanted = [plain(Opcode::Text, b"1"), plain(Opcode::Text, b"2")].concat();
    assert!(sent.ends_with(&wanted), "{:?}", &sent[sent.len() - 9..]);
    assert_eq!(rig.tally().messages_in, 3);
}

#[test]
fn who_has_a_high_backlog_waits_for_both_its_peer_and_its_share() {
    let mut rig = rig();
    let id = deflating(&mut rig, "/echo");
    rig.line(id).backlog = limits::BACKLOG_HIGH + 1;
    rig.receive(id, &bulk(200_000).repeat(3));
    rig.pass(Duration::from_millis(1));
    assert_eq!(rig.tally().messages_in, 1);
    rig.line(id).backlog = 0;
    rig.server.drained(id, &mut rig.wire);
    assert!(rig.line(id).paused);
    rig.pass(Duration::from_millis(1));
    assert_eq!(rig.tally().messages_in, 3);
    assert!(!rig.line(id).paused);
}

#[test]
fn who_leaves_while_it_waits_leaves_nothing() {
    let mut rig = rig();
    let (gone, reset) = (deflating(&mut rig, "/echo"), deflating(&mut rig, "/echo"));
    for id in [gone, reset] {
        rig.receive(id, &bulk(200_000).repeat(3));
    }
    rig.gone(gone, CloseCause::Reset);
    rig.stop();
    rig.gone(reset, CloseCause::Reset);
    rig.server.expired(&mut rig.wire);
    assert!(rig.server.core.shared.inbound().nothing_waits() && rig.server.finished());
}

#[test]
fn what_is_said_to_a_push_is_not_inflated() {
    let mut rig = rig();
    let id = deflating(&mut rig, "/push");
    rig.receive(id, &bulk(200_000).repeat(9));
    assert_eq!((rig.tally().messages_in, rig.line(id).paused), (9, false));
    let frames = 9 * limits::SHARE_BYTES_OF_A_FRAME;
    assert_eq!(rig.server.core.shared.inbound().worked(), frames);
}

#[test]
fn talkers_wait_for_a_member_that_is_behind_and_nobody_is_ended() {
    let mut rig = rig();
    let [talker, second, listener] = ["/rooms"; 3].map(|path| rig.asked(&upgrade(path)));
    let text = masked(Opcode::Text, &[b'x'; 16_000]);
    rig.line(listener).backlog = limits::BACKLOG_HIGH + 1;
    rig.receive(talker, &text.repeat(40));
    rig.receive(second, &text.repeat(40));
    assert!(rig.line(talker).paused && rig.line(second).paused);
    let window = u64::from(limits::ROOM_WINDOW) / 16_000 + 1;
    let most = 2 * window + 1;
    assert!((1..=most).contains(&rig.tally().messages_in));
    // The room waits for it, and no longer than that.
    rig.pass(limits::ROOM_PATIENCE);
    assert!((window..=2 * most).contains(&rig.tally().messages_in));
    rig.line(listener).backlog = 0;
    rig.server.drained(listener, &mut rig.wire);
    rig.pass(Duration::from_millis(1));
    assert_eq!(rig.tally().messages_in, 80);
    assert!(!rig.line(talker).paused && !rig.line(second).paused);
    let closed = [talker, second, listener].map(|id| rig.closed(id));
    assert_eq!(closed, [None; 3]);
}

#[test]
fn a_talker_that_is_held_is_not_taken_for_silent() {
    let mut rig = Rig::new(Config {
        idle_timeout: Some(limits::ROOM_PATIENCE / 4),
        ..config()
    });
    let [talker, listener] = [upgrade("/rooms"), get("/rooms")].map(|it| rig.asked(&it));
    rig.line(listener).backlog = limits::BACKLOG_HIGH + 1;
    rig.receive(talker, &masked(Opcode::Text, &[b'x'; 60_000]).repeat(20));
    rig.sent(talker);
    rig.pass(limits::ROOM_PATIENCE - Duration::from_millis(1));
    assert!(rig.line(talker).paused);
    assert_eq!((rig.sent(talker), rig.closed(talker)), (vec![], None));
}

#[test]
fn while_much_waits_between_cores_nothing_is_heard_that_is_told_to_others() {
    let mut rig = rig();
    let [member, echo] = ["/rooms", "/echo"].map(|path| rig.asked(&upgrade(path)));
    let welcome = String::from_utf8_lossy(&rig.sent(member)).into_owned();
    let at = welcome.find("/rooms/say?").expect("an address");
    let path = welcome[at..].split('"').next().expect("an end");
    rig.wire.full = true;
    let text = masked(Opcode::Text, b"hello");
    rig.receive(member, &text);
    rig.receive(echo, &text);
    assert_eq!(rig.tally().messages_in, 1, "the echo");
    let post = format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi");
    let poster = rig.asked(&post);
    let answer = rig.text(poster);
    // RFC 6585, 4.
    assert!(answer.starts_with("HTTP/1.1 429 ") && answer.contains("\r\nRetry-After: 1\r\n"));
    assert!(
        answer.contains("\r\nConnection: keep-alive\r\n"),
        "{answer}"
    );
    rig.pass(Duration::from_millis(50));
    assert_eq!(rig.tally().messages_in, 1);
    rig.wire.full = false;
    rig.pass(limits::MAIL_TIME);
    assert_eq!(rig.tally().messages_in, 2);
    rig.receive(poster, post.as_bytes());
    assert!(rig.text(poster).starts_with("HTTP/1.1 200 "));
}
