//! What peers that do not go on or do not read make a core hold, on sockets.

use crate::script::{Act, Script, masked, plain};
use crate::{Harness, Setup};
use ringstorm::protocol::websocket::Opcode;
use std::time::Duration;

const ROOMS: usize = 60;
/// One talks, and all six read nothing.
const MEMBERS: usize = 6;
const BUDGET: usize = 4 << 20;

pub(crate) fn rooms_that_do_not_read_hold_no_more_than_the_budget_and_give_it_back<H: Harness>() {
    let mut script = Script::default();
    for member in 0..ROOMS * MEMBERS {
        script.upgrade(member, "/rooms");
    }
    let talkers = (0..ROOMS * MEMBERS).step_by(MEMBERS).collect();
    let bytes = masked(Opcode::Text, "x".repeat(60_000).as_bytes());
    script.act(0, Act::Overwhelm { talkers, bytes });
    script.stats(move |json| {
        let held = json["total"]["held_bytes"].as_u64().expect("a level");
        let ended = json["total"]["decided"]["memory"]
            .as_u64()
            .expect("a count");
        // Somebody had to go, and what is left may have drained.
        ended > 0 && held <= BUDGET as u64
    });
    for member in 0..ROOMS * MEMBERS {
        script.act(member, Act::Leave);
    }
    script.stats(|json| {
        let total = &json["total"];
        total["open"]["websocket"] == 0 && total["held_bytes"] == 0
    });
    let mut setup = Setup::with(|config| {
        config.room_size = u16::try_from(MEMBERS).expect("small");
        config.memory = BUDGET;
    });
    setup.slots = 512;
    let outcomes = H::run(setup, script);
    let ended = outcomes[0].tally.decided;
    assert!(ended.memory > 0, "{ended:?}");
}

/// A message of 1 MiB.
fn large() -> Vec<u8> {
    masked(Opcode::Binary, &vec![7; 1 << 20])
}

pub(crate) fn large_messages_that_have_begun_are_held_within_the_budget<H: Harness>() {
    const PEERS: usize = 60;
    let (frame, mut script) = (large(), Script::default());
    script.upgrade(PEERS, "/echo");
    for peer in 0..PEERS {
        script
            .upgrade(peer, "/echo")
            .send(peer, &frame[..300_000])
            .send(PEERS, masked(Opcode::Text, b"quick"))
            .expect(PEERS, plain(Opcode::Text, b"quick"));
    }
    script.stats(|json| {
        let total = &json["total"];
        let held = total["inbound_bytes"].as_u64().expect("a level");
        let ended = total["decided"]["memory"].as_u64().expect("a count");
        ended > 0 && held <= BUDGET as u64
    });
    for peer in 0..PEERS {
        script.act(peer, Act::Leave);
    }
    script
        .stats(|json| json["total"]["held_bytes"] == 0)
        .send(PEERS, &frame)
        .expect(PEERS, plain(Opcode::Binary, &vec![7; 1 << 20]));
    let mut setup = Setup::with(|config| config.memory = BUDGET);
    setup.slots = 64;
    let outcomes = H::run(setup, script);
    let decided = outcomes[0].tally.decided;
    assert!(decided.memory > 30 && decided.stalled == 0, "{decided:?}");
}

pub(crate) fn who_stops_in_a_large_message_or_reads_no_echo_is_ended_in_its_time<H: Harness>() {
    const SILENT: usize = 3;
    let (frame, mut script) = (large(), Script::default());
    let (other, talkers) = (2 * SILENT, (SILENT..2 * SILENT).collect());
    for peer in 0..=other {
        script.upgrade(peer, "/echo");
    }
    for peer in 0..SILENT {
        script.send(peer, &frame[..200_000]);
    }
    let bytes = large();
    script.act(0, Act::Overwhelm { talkers, bytes });
    script
        .send(other, masked(Opcode::Text, b"quick"))
        .expect(other, plain(Opcode::Text, b"quick"))
        .stats(|json| json["total"]["decided"]["stalled"] == 2 * SILENT)
        .send(other, &frame)
        .expect(other, plain(Opcode::Binary, &vec![7; 1 << 20]));
    for peer in 0..SILENT {
        script.closes(peer, 1008).ended(peer);
    }
    for peer in 0..2 * SILENT {
        script.act(peer, Act::Leave);
    }
    script.stats(|json| json["total"]["held_bytes"] == 0);
    let setup = Setup::with(|config| {
        config.message_time = Some(Duration::from_secs(2));
        config.backlog_time = Some(Duration::from_secs(2));
    });
    H::run(setup, script);
}
