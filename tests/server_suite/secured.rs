//! What only TLS has: keys that change, and records that somebody changed.

use crate::script::{Act, Script, masked, plain};
use crate::{Harness, Setup};
use ringstorm::limits;
use ringstorm::protocol::websocket::Opcode;

/// RFC 8446, 4.6.3: each side may take a new key at any time, and asks the other for one.
pub(crate) fn keys_change_on_both_sides_while_messages_go_on<H: Harness>() {
    let mut script = Script::default();
    script.upgrade(0, "/echo");
    for round in 0..100u32 {
        let text = vec![b'a' + (round % 26) as u8; (round * 997 % 40_000) as usize];
        script
            .act(0, Act::RenewKeys)
            .send(0, masked(Opcode::Binary, &text))
            .expect(0, plain(Opcode::Binary, &text));
    }
    let outcomes = H::run(Setup::default(), script);
    assert_eq!(outcomes[0].tally.messages_in, 100);
    assert_eq!(outcomes[0].tally.closed.insecure, 0);
}

/// Each costs the server a key and an answer, and moves nothing: as rustls and BoringSSL do.
pub(crate) fn keys_that_change_without_end_end_the_connection<H: Harness>() {
    let mut script = Script::default();
    script.upgrade(0, "/echo").upgrade(1, "/echo");
    for _ in 0..=limits::TLS_QUIET_RECORDS {
        script.act(0, Act::RenewKeys).send(0, b"");
    }
    script.stats(|json| json["total"]["closed"]["insecure"].as_u64() == Some(1));
    script
        .send(1, masked(Opcode::Text, b"still here"))
        .expect(1, plain(Opcode::Text, b"still here"));
    H::run(Setup::default(), script);
}

/// RFC 8446, 5.2: `bad_record_mac`, for whoever sent it.
pub(crate) fn a_record_that_was_changed_ends_only_its_own_connection<H: Harness>() {
    let mut script = Script::default();
    script
        .upgrade(0, "/echo")
        .upgrade(1, "/echo")
        .act(0, Act::Forge)
        .stats(|json| json["total"]["closed"]["insecure"].as_u64() == Some(1));
    script
        .send(1, masked(Opcode::Text, b"still here"))
        .expect(1, plain(Opcode::Text, b"still here"));
    H::run(Setup::default(), script);
}
