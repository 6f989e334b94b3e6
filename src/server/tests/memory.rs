//! What silent peers hold: it has a time, and a sum.

use super::*;
use crate::protocol::websocket::deflate::{ContextTakeover, WindowBits};
use proptest::prelude::*;

const PART: usize = 100_000;

/// The beginning of a message of a million bytes.
fn begun(bytes: usize) -> Vec<u8> {
    let mut frame = masked(Opcode::Binary, &vec![7; 1_000_000]);
    frame.truncate(bytes);
    frame
}

#[test]
fn a_message_that_does_not_go_on_is_ended_in_its_time() {
    let mut rig = Rig::new(config());
    let (held, header, whole) = (
        rig.socket("/echo"),
        rig.socket("/push"),
        rig.socket("/echo"),
    );
    rig.receive(held, &begun(PART));
    rig.receive(header, &begun(3));
    rig.receive(whole, &masked(Opcode::Text, b"x"));
    rig.pass(limits::STALL_TIME - Duration::from_secs(1));
    assert_eq!((rig.closed(held), rig.closed(header)), (None, None));
    rig.pass(Duration::from_secs(3));
    assert_eq!(close_code(&rig.sent(held)), 1008);
    assert_eq!(rig.closed(held), Some(Close::Flush));
    // The beginning of a header holds next to nothing, but is unfinished too.
    assert!(rig.closed(header).is_some());
    assert_eq!(rig.closed(whole), None);
    assert_eq!(rig.tally().decided.stalled, 2);
    assert_eq!(rig.server.core.shared.memory().inbound_bytes(), 0);
}

#[test]
fn a_trickle_is_no_progress_and_a_slow_upload_is() {
    let mut rig = Rig::new(config());
    let (slow, trickle) = (rig.socket("/echo"), rig.socket("/echo"));
    let frame = begun(1_000_006);
    let mut peers = [(slow, 300, PART), (trickle, 9, PART)];
    for (id, _, at) in peers {
        rig.receive(id, &frame[..at]);
    }
    for _ in 0..120 {
        for (id, bytes, at) in &mut peers {
            rig.receive(*id, &frame[*at..*at + *bytes]);
            *at += *bytes;
        }
        rig.pass(Duration::from_secs(1));
    }
    assert_eq!(rig.closed(slow), None);
    assert!(rig.closed(trickle).is_some());
}

#[test]
fn who_is_not_heard_is_not_blamed_for_its_silence() {
    let mut rig = Rig::new(config());
    let id = rig.socket("/echo");
    rig.line(id).backlog = limits::BACKLOG_HIGH + 1;
    rig.receive(id, &[masked(Opcode::Text, b"x"), begun(PART)].concat());
    assert!(rig.line(id).paused);
    for second in 0..60 {
        rig.line(id).progress = second;
        rig.pass(Duration::from_secs(1));
    }
    assert_eq!(rig.closed(id), None);
}

#[test]
fn a_backlog_of_which_nothing_is_taken_is_reset_in_its_time() {
    let mut rig = Rig::new(config());
    let (dead, slow, stream) = (rig.socket("/echo"), rig.socket("/echo"), rig.stream());
    for id in [dead, slow, stream] {
        rig.line(id).backlog = 9_000;
    }
    rig.receive(slow, &masked(Opcode::Text, b"x"));
    for second in 0..33 {
        rig.line(slow).progress = second;
        rig.pass(Duration::from_secs(1));
    }
    for id in [dead, stream] {
        assert_eq!(rig.closed(id), Some(Close::Abort));
    }
    assert_eq!(rig.closed(slow), None);
    assert_eq!(rig.tally().decided.stalled, 2);
}

#[test]
fn beyond_the_budget_the_largest_and_then_the_oldest_go() {
    let mut rig = Rig::new(Config {
        memory: 10 * PART,
        ..config()
    });
    let small = rig.socket("/echo");
    rig.receive(small, &begun(PART / 10));
    let mut sockets = Vec::new();
    for _ in 0..9 {
        let id = rig.socket("/echo");
        rig.receive(id, &begun(PART));
        sockets.push(id);
        rig.pass(Duration::from_millis(100));
    }
    assert!(sockets.iter().all(|&id| rig.closed(id).is_none()));
    let large = rig.socket("/echo");
    rig.receive(large, &begun(3 * PART));
    let ended: Vec<_> = sockets.iter().map(|&id| rig.closed(id).is_some()).collect();
    assert_eq!(close_code(&rig.sent(large)), 1013);
    let count = ended.iter().take_while(|ended| **ended).count();
    assert!(
        ended[count..].iter().all(|ended| !ended),
        "the oldest first: {ended:?}"
    );
    assert_eq!(rig.closed(small), None);
    assert!(rig.server.core.shared.memory().inbound_bytes() <= 10 * PART);
    assert_eq!(rig.tally().decided.memory, 1 + count as u64);
}

#[test]
fn backlogs_count_towards_the_budget_and_who_does_not_read_is_reset() {
    let mut rig = Rig::new(Config {
        memory: 10 * PART,
        ..config()
    });
    let (deaf, other) = (rig.socket("/echo"), rig.socket("/echo"));
    rig.line(deaf).backlog = 11 * PART;
    rig.receive(other, &masked(Opcode::Text, b"x"));
    assert_eq!(rig.closed(deaf), Some(Close::Abort));
    assert_eq!(rig.closed(other), None);
}

#[test]
fn what_is_held_is_told_and_given_back() {
    let mut rig = Rig::new(config());
    let (socket, asking) = (rig.socket("/echo"), rig.asked("GET / HTTP/1.1\r\n"));
    rig.receive(socket, &begun(PART + 8));
    let stats = rig.asked(&get("/stats"));
    let answer = rig.text(stats);
    let (_, body) = answer.split_once("\r\n\r\n").expect("a head");
    let json: serde_json::Value = serde_json::from_str(body).expect("JSON");
    let held = json["total"]["inbound_bytes"].as_u64().expect("a number");
    assert!((PART as u64..2 * PART as u64).contains(&held), "{held}");
    assert_eq!(json["total"]["held_bytes"], held);
    for id in [socket, asking, stats] {
        rig.gone(id, CloseCause::Reset);
    }
    assert_eq!(rig.server.core.shared.memory().inbound_bytes(), 0);
    rig.pass(Duration::from_secs(5));
    let is_watching = rig.server.core.shared.memory().is_watching();
    assert!(!is_watching, "nothing is left to look at");
}

#[test]
fn after_much_was_held_memory_is_given_back_once_and_not_in_between() {
    let mut rig = Rig::new(config());
    let ids: Vec<_> = (0..12).map(|_| rig.socket("/echo")).collect();
    for &id in &ids {
        rig.receive(id, &begun(900_000));
    }
    rig.pass(Duration::from_secs(9));
    assert_eq!(rig.wire.trimmed, 0);
    for &id in &ids {
        rig.gone(id, CloseCause::Reset);
    }
    rig.pass(Duration::from_secs(9));
    let other = rig.socket("/echo");
    rig.receive(other, &begun(9));
    rig.gone(other, CloseCause::Reset);
    rig.pass(Duration::from_secs(9));
    assert_eq!(rig.wire.trimmed, 1);
}

proptest! {
    #[test]
    fn the_sum_is_always_what_the_buffers_of_all_have_room_for(
        steps in prop::collection::vec((0..3_usize, 0..5_u8, 1..5_000_usize), 1..60),
    ) {
        let mut rig = Rig::new(Config {
            deflate: Some(ContextTakeover::Never),
            ..config()
        });
        let mut ids: Vec<_> = (0..3).map(|_| rig.socket("/echo")).collect();
        let whole = masked(Opcode::Text, &[b'x'; 9_000]);
        let mut at = [0; 3];
        for (which, act, bytes) in steps {
            let id = ids[which];
            match act {
                0 if at[which] == 0 => rig.receive(id, &masked(Opcode::Ping, b"x")),
                4 => {
                    rig.gone(id, CloseCause::Reset);
                    (ids[which], at[which]) = (rig.socket("/echo"), 0);
                }
                _ => {
                    let end = whole.len().min(at[which] + bytes);
                    rig.receive(id, &whole[at[which]..end]);
                    at[which] = end % whole.len();
                }
            }
            let kept: usize = at.iter().map(|at| at.saturating_sub(8)).sum();
            let held = rig.server.core.shared.memory().inbound_bytes();
            let CoreServer {
                connections,
                shared,
                ..
            } = &mut rig.server.core;
            let own = |&id| connections.get(id).map_or(0, |it| it.held(id, shared));
            prop_assert_eq!(held, ids.iter().map(own).sum::<usize>());
            prop_assert!(held >= kept, "{held} for {kept}");
        }
    }
}

#[test]
fn spare_buffers_of_large_messages_are_freed_once_none_has_come_for_a_while() {
    let mut rig = Rig::new(config());
    let id = rig.socket("/echo");
    let message = masked(Opcode::Binary, &vec![7; 1_000_000]);
    for _ in 0..2 {
        for piece in message.chunks(60_000) {
            rig.receive(id, piece);
        }
        let spare = rig.server.core.shared.inbound().spare();
        assert!(spare >= 1_000_000, "{spare} bytes for the next message");
        assert_eq!(rig.server.core.shared.memory().inbound_bytes(), 0);
        rig.sent(id);
        rig.pass(limits::QUIET_TIME + 2 * limits::SWEEP_TIME);
        assert_eq!(rig.server.core.shared.inbound().spare(), 0);
    }
    // What a few smaller ones leave is kept: freeing it costs more than it is worth.
    let message = masked(Opcode::Binary, &vec![7; 20_000]);
    for piece in message.chunks(15_000) {
        rig.receive(id, piece);
    }
    rig.pass(limits::QUIET_TIME + 2 * limits::SWEEP_TIME);
    assert!(rig.server.core.shared.inbound().spare() >= 20_000);
}

#[test]
fn the_room_of_a_buffer_counts_and_not_what_is_in_it() {
    let mut rig = Rig::new(Config {
        memory: 19 * PART,
        ..config()
    });
    let ids: Vec<_> = (0..10).map(|_| rig.socket("/echo")).collect();
    let frame = begun(PART);
    for &id in &ids {
        // Doubled twice, and no more than a little over half full in the end.
        for (from, to) in [
            (0, PART / 4),
            (PART / 4, PART / 4 + 8),
            (PART / 4 + 8, PART / 2 + 9),
        ] {
            rig.receive(id, &frame[from..to]);
        }
    }
    let held = rig.server.core.shared.memory().inbound_bytes();
    assert!(held > 9 * PART, "{held} bytes for half as many");
    assert!(ids.iter().all(|&id| rig.closed(id).is_none()));
    for &id in &ids {
        rig.receive(id, &frame[PART / 2 + 9..]);
        rig.receive(id, &[0; 4]);
    }
    assert!(rig.tally().decided.memory > 0, "{held}");
    assert!(rig.server.core.shared.memory().inbound_bytes() <= 19 * PART);
}

#[test]
fn spare_buffers_go_before_anybody_does() {
    let mut rig = Rig::new(Config {
        memory: 25 * PART,
        ..config()
    });
    let (large, small) = (rig.socket("/echo"), rig.socket("/echo"));
    let whole = masked(Opcode::Binary, &vec![7; 1_000_000]);
    for piece in whole.chunks(60_000) {
        rig.receive(large, piece);
    }
    rig.sent(large);
    assert!(rig.server.core.shared.inbound().spare() >= 10 * PART);
    for _ in 0..3 {
        rig.pass(Duration::from_millis(100));
        rig.line(small).backlog += 8 * PART;
        rig.receive(large, &masked(Opcode::Text, b"x"));
    }
    assert_eq!(rig.server.core.shared.inbound().spare(), 0);
    assert_eq!((rig.closed(small), rig.closed(large)), (None, None));
}

/// What the kernel writes into meanwhile, of a large message whose beginning came.
fn lent(rig: &mut Rig, id: ConnectionId) -> Vec<u8> {
    let into = rig.server.receive_into(id).expect("much is to come");
    assert!(into.most <= into.buffer.capacity() - into.buffer.len());
    into.buffer
}

#[test]
fn ten_thousand_messages_that_have_begun_are_held_within_the_budget_and_the_others_are_served() {
    const PEERS: usize = 10_000;
    const BUDGET: usize = 8 << 20;
    let mut rig = Rig::new(Config {
        memory: BUDGET,
        ..config()
    });
    let other = rig.socket("/echo");
    let frame = begun(20_000);
    let (mut begun, mut most) = (Vec::new(), 0);
    for peer in 0..PEERS {
        let id = rig.socket("/echo");
        rig.receive(id, &frame);
        // One that was ended at once has nothing lent.
        let buffer = rig.closed(id).is_none().then(|| lent(&mut rig, id));
        begun.push((id, buffer));
        most = most.max(rig.server.core.shared.memory().inbound_bytes());
        if peer % 100 == 0 {
            // A hundred in 2 ms: much faster than it is looked for them by time.
            rig.pass(Duration::from_millis(2));
            rig.receive(other, &masked(Opcode::Text, b"quick"));
            assert_eq!(rig.sent(other), plain(Opcode::Text, b"quick"));
        }
    }
    // Between two looks an eighth of the budget may come, and what one peer is lent.
    assert!(most <= BUDGET + BUDGET / 8 + 100_000, "{most} bytes");
    let ended = begun
        .iter()
        .filter(|(id, _)| rig.closed(*id).is_some())
        .count();
    assert_eq!(rig.tally().decided.memory, ended as u64);
    assert!((PEERS - 500..PEERS).contains(&ended), "{ended}");
    let is_left = |(id, _): &(ConnectionId, _)| rig.closed(*id).is_none();
    let oldest = begun.iter().position(is_left).expect("some are left");
    // The oldest unfinished ones went first: those that are left came last, but for the last few.
    assert!(begun[oldest..].iter().filter(|it| !is_left(it)).count() < 10);
    assert_eq!(close_code(&rig.sent(begun[0].0)), 1013);
    // What was lent to those that were ended comes back late, and is nobody's.
    for (id, buffer) in begun {
        if let Some(mut buffer) = buffer {
            buffer.extend_from_slice(&[0; 16]);
            rig.server.received_into(id, buffer, &mut rig.wire);
        }
        rig.gone(id, CloseCause::Reset);
    }
    assert_eq!(rig.server.core.shared.memory().inbound_bytes(), 0);
    rig.receive(other, &masked(Opcode::Text, b"after"));
    assert_eq!(rig.sent(other), plain(Opcode::Text, b"after"));
}

#[test]
fn a_message_that_stops_while_it_is_received_into_is_ended_in_its_time() {
    let mut rig = Rig::new(config());
    let (silent, slow) = (rig.socket("/echo"), rig.socket("/echo"));
    let frame = begun(1_000_014);
    rig.receive(silent, &frame[..PART]);
    rig.receive(slow, &frame[..PART]);
    let held = lent(&mut rig, silent);
    let mut at = PART;
    for _ in 0..limits::STALL_TIME.as_secs() + 3 {
        // As the kernel does that was given little.
        let mut buffer = lent(&mut rig, slow);
        buffer.extend_from_slice(&frame[at..at + 5_000]);
        at += 5_000;
        rig.server.received_into(slow, buffer, &mut rig.wire);
        rig.pass(Duration::from_secs(1));
    }
    assert_eq!(close_code(&rig.sent(silent)), 1008);
    assert_eq!(rig.closed(slow), None);
    assert_eq!(rig.tally().decided.stalled, 1);
    rig.server.received_into(silent, held, &mut rig.wire);
    for id in [silent, slow] {
        rig.gone(id, CloseCause::Reset);
    }
    assert_eq!(rig.server.core.shared.memory().inbound_bytes(), 0);
}

#[test]
fn windows_have_half_of_the_budget_and_nobody_is_ended_for_them() {
    let windows = 2 * WindowBits::USUAL.bytes();
    let budget = 8 * windows;
    let mut rig = Rig::new(Config {
        deflate: Some(ContextTakeover::Within(WindowBits::USUAL)),
        memory: budget,
        ..config()
    });
    let offer = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\nHost:";
    let open = |rig: &mut Rig, path| {
        let id = rig.asked(&upgrade(path).replacen("Host:", offer, 1));
        let answer = rig.text(id);
        (id, !answer.contains("client_no_context_takeover"))
    };
    let ids: Vec<_> = (0..4).map(|_| open(&mut rig, "/echo")).collect();
    assert!(ids.iter().all(|(_, keeps)| *keeps));
    assert_eq!(rig.server.core.shared.memory().windows(), budget / 2);
    let (last, keeps) = open(&mut rig, "/echo");
    assert!(!keeps, "there is no room for its windows");
    // What is unfinished has the rest of the budget.
    rig.receive(last, &begun(budget / 4));
    assert_eq!(rig.closed(last), None);
    rig.pass(Duration::from_millis(100));
    rig.receive(ids[0].0, &begun(budget / 2));
    assert_eq!(close_code(&rig.sent(ids[0].0)), 1013);
    assert_eq!(rig.closed(last), None);
    rig.gone(ids[0].0, CloseCause::Local);
    assert_eq!(rig.server.core.shared.memory().windows(), 3 * windows);
    // One that hears nothing keeps no window either.
    open(&mut rig, "/push");
    assert_eq!(rig.server.core.shared.memory().windows(), 3 * windows);
    rig.gone(last, CloseCause::Reset);
    for (id, _) in &ids[1..] {
        rig.gone(*id, CloseCause::Reset);
    }
    assert_eq!(rig.server.core.shared.memory().windows(), 0);
}
