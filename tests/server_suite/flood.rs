//! Rooms whose members say as much as they can and read steadily, on sockets.

use crate::rooms::Told;
use crate::script::{Act, Script, masked};
use crate::{Harness, Setup};
use ringstorm::limits;
use ringstorm::protocol::websocket::Opcode;

const MEMBERS: usize = 6;

/// Nobody is ended, and everybody hears everything.
fn flood<H: Harness>(cores: usize, talkers: usize, text: &str, times: usize) {
    let told = Told::default();
    let mut script = Script::default();
    for member in 0..MEMBERS {
        script.upgrade(member, "/rooms").news(member, &told);
    }
    for member in 0..MEMBERS {
        for _ in member + 1..MEMBERS {
            script.tells(member, r#"{"type":"joined"}"#);
        }
    }
    script.act(
        0,
        Act::Flood {
            peers: MEMBERS,
            talkers,
            bytes: masked(Opcode::Text, text.as_bytes()),
            times,
        },
    );
    // What a room lets wait for each core is far less, however much is said.
    let escaped = if text.starts_with('x') { 1 } else { 6 };
    let max_backlog = escaped * 512 * 1024;
    let setup = Setup {
        cores,
        max_backlog,
        ..Setup::default()
    };
    let outcomes = H::run(setup, script);
    let slow: u64 = outcomes
        .iter()
        .map(|it| it.tally.decided.slow_consumer)
        .sum();
    let told: u64 = outcomes.iter().map(|it| it.tally.messages_out).sum();
    let said = u64::try_from(MEMBERS * talkers * times).expect("small");
    assert!(slow == 0 && told >= said, "{slow} {told}");
}

pub(crate) fn members_that_read_stay_whatever_one_of_them_says<H: Harness>() {
    flood::<H>(1, 1, &"x".repeat(16_000), 400);
    flood::<H>(1, 1, &"x".repeat(10), 4000);
}

pub(crate) fn members_that_read_stay_whatever_all_of_them_say<H: Harness>() {
    flood::<H>(1, MEMBERS, &"x".repeat(16_000), 60);
    flood::<H>(1, 3, &"x".repeat(limits::SAID_BYTES), 40);
}

pub(crate) fn members_that_read_stay_on_two_cores<H: Harness>() {
    flood::<H>(2, 1, &"x".repeat(16_000), 300);
    flood::<H>(2, MEMBERS, &"x".repeat(16_000), 60);
}

pub(crate) fn long_texts_of_control_characters_end_nobody_that_reads<H: Harness>() {
    flood::<H>(2, 2, &"\u{1}".repeat(limits::SAID_BYTES), 10);
}
