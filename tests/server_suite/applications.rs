//! An application of one's own, mounted beside those that every server has.

#[path = "../../examples/counter.rs"]
#[expect(dead_code, reason = "its own `main` is for whoever runs it")]
mod counter;

use crate::script::{Script, get, masked, plain};
use crate::{Harness, Setup};
use ringstorm::protocol::websocket::Opcode;

impl Script {
    /// Expects events with counts up to that one, in order, each larger than the one before.
    fn counts_in_events(&mut self, peer: usize, last: u64) -> &mut Self {
        self.read(peer, "events up to the last count", move |bytes| {
            let text = String::from_utf8_lossy(bytes);
            // A notice of number 0 has no place in the sequence, so its event no id.
            let id = match last {
                0 => String::new(),
                _ => format!("id: {last}\n"),
            };
            let end = format!("{id}event: count\ndata: {last}\n\n");
            let at = text.find(&end)?;
            let ids: Vec<u64> = text
                .lines()
                .filter_map(|line| line.strip_prefix("id: ")?.parse().ok())
                .collect();
            assert!(ids.is_sorted_by(|one, next| one < next), "{text}");
            Some(at + end.len())
        })
    }

    /// Expects frames with counts up to that one, in order, each larger than the one before.
    fn counts_in_frames(&mut self, peer: usize, last: u64) -> &mut Self {
        self.read(peer, "frames up to the last count", move |bytes| {
            let (mut at, mut before) = (0, None);
            while let [0x81, len, rest @ ..] = bytes.get(at..)? {
                let text = rest.get(..usize::from(*len))?;
                let count: u64 = std::str::from_utf8(text).unwrap().parse().unwrap();
                assert!(before.is_none_or(|before| before < count), "{count}");
                (at, before) = (at + 2 + text.len(), Some(count));
                if count == last {
                    return Some(at);
                }
            }
            None
        })
    }
}

pub(crate) fn everyone_on_every_core_sees_the_counter<H: Harness>() {
    let mut script = Script::default();
    // Enough for users on each of the cores, on whichever the kernel puts one.
    for peer in 0..8 {
        script
            .upgrade(peer, "/counter")
            .expect(peer, plain(Opcode::Text, b"0"));
    }
    script.send(8, get("/counter")).counts_in_events(8, 0);
    for peer in 0..8 {
        script.send(peer, masked(Opcode::Text, b"one more"));
    }
    for peer in 0..8 {
        script.counts_in_frames(peer, 8);
    }
    script.counts_in_events(8, 8);
    script.upgrade(9, "/counter").counts_in_frames(9, 8);
    let setup = Setup {
        cores: 3,
        ..Setup::default()
    };
    let outcomes = H::run_with(setup, script, counter::applications);
    let heard: u64 = outcomes.iter().map(|it| it.tally.messages_in).sum();
    let told: u64 = outcomes.iter().map(|it| it.tally.messages_out).sum();
    assert_eq!(heard, 8);
    // Whoever came last may have found a core that had not been told of all yet.
    assert!(told >= 10 + 9 * 8, "{told}");
}

pub(crate) fn what_is_mounted_beside_the_built_in_applications_leaves_them_as_they_are<
    H: Harness,
>() {
    let mut script = Script::default();
    script.send(0, get("/")).response(0, 200, |_, body| {
        for route in ["/counter", "/echo", "/push", "/events", "/rooms", "/stats"] {
            assert!(body.lines().any(|line| line.starts_with(route)), "{body}");
        }
    });
    script.upgrade(1, "/echo");
    script.send(1, masked(Opcode::Binary, b"hello"));
    script.expect(1, plain(Opcode::Binary, b"hello"));
    script.upgrade(2, "/rooms").read(2, "a welcome", |bytes| {
        let text = String::from_utf8_lossy(bytes);
        text.ends_with('}').then_some(bytes.len())
    });
    script.ask(3, &get("/nowhere"), 404);
    H::run_with(Setup::default(), script, counter::applications);
}
