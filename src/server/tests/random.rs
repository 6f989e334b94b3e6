//! Rubbish, in any pieces: nothing that a peer sends ends a core.

use super::*;

/// Bytes that begin like something sensible and are then spoiled.
fn rubbish(random: &mut fastrand::Rng) -> Vec<u8> {
    let mut bytes = match random.u8(..6) {
        0 => get("/").into_bytes(),
        1 => get("/stats").repeat(3).into_bytes(),
        2 => get("/events?lastEventId=1").into_bytes(),
        3 => {
            b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n".to_vec()
        }
        _ => upgrade(["/echo", "/push"][random.usize(..2)]).into_bytes(),
    };
    for _ in 0..random.usize(..4) {
        let opcode = [Opcode::Text, Opcode::Binary, Opcode::Ping, Opcode::Close][random.usize(..4)];
        bytes.extend(masked(opcode, &vec![random.u8(..); random.usize(..126)]));
    }
    for _ in 0..random.usize(..3) {
        let at = random.usize(..bytes.len());
        bytes[at] = random.u8(..);
    }
    bytes
}

#[test]
fn nothing_a_peer_sends_ends_a_core() {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let idle_timeout = Some(Duration::from_secs(4));
    let mut rig = Rig::on(
        Core(0),
        2,
        Config {
            idle_timeout,
            ..config()
        },
    );
    let witness = rig.socket("/echo");
    for _ in 0..3000 {
        let id = rig.open();
        let bytes = rubbish(&mut random);
        for piece in bytes.chunks(random.usize(1..=bytes.len())) {
            rig.receive(id, piece);
        }
        rig.line(id).backlog = random.usize(..2) * limits::BACKLOG_BYTES;
        if random.bool() {
            rig.pass(Duration::from_millis(random.u64(..300)));
        }
        if random.bool() {
            let cause = if rig.closed(id).is_some() {
                CloseCause::Local
            } else {
                CloseCause::Reset
            };
            rig.gone(id, cause);
        }
        rig.sent(witness);
        rig.receive(witness, &masked(Opcode::Text, b"still there"));
        let sent = rig.sent(witness);
        assert!(
            sent.ends_with(&plain(Opcode::Text, b"still there")),
            "seed {seed}"
        );
    }
    let tally = rig.tally();
    assert_eq!(tally.opened(), rig.wire.lines.len() as u64, "seed {seed}");
    rig.stop();
    rig.pass(limits::DRAIN_TIME + Duration::from_millis(1));
    assert!(rig.server.finished(), "seed {seed}");
}
