//! What peers that do not read make a core hold, on sockets.

use crate::script::{Act, Script, masked};
use crate::{Harness, Setup};
use ringstorm::protocol::websocket::Opcode;

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
