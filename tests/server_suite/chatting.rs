//! Chats: two on several cores, what is no message, one who does not read.

use crate::script::{Script, masked};
use crate::{Harness, Setup};
use ringstorm::protocol::websocket::Opcode;

impl Script {
    fn says(&mut self, peer: usize, json: &str) -> &mut Self {
        self.send(peer, masked(Opcode::Text, json.as_bytes()))
    }

    fn enters(&mut self, peer: usize, name: &str) -> &mut Self {
        self.upgrade(peer, "/chat");
        self.says(peer, &format!(r#"{{"type":"enter","name":"{name}"}}"#));
        self.tells(peer, r#"{"type":"waiting"}"#)
    }

    /// Two who have come one after the other, on whichever cores, talk and part.
    fn chats(&mut self, [one, other]: [usize; 2]) -> &mut Self {
        self.enters(one, "Ann \\\"<b>").enters(other, "Bob");
        self.tells(one, r#"{"type":"matched","partner":"Bob"}"#);
        self.tells(other, r#"{"type":"matched","partner":"Ann \"<b>"}"#);
        self.says(one, r#"{"type":"typing","on":true}"#);
        let long = format!(r#"{{"type":"say","text":"{}"}}"#, "grüße".repeat(1000));
        self.says(one, &long);
        self.tells(other, r#"{"type":"typing","on":true}"#);
        self.tells(other, &long);
        for count in 0..20 {
            self.says(other, &format!(r#"{{"type":"say","text":"{count}"}}"#));
        }
        for count in 0..20 {
            self.tells(one, &format!(r#"{{"type":"say","text":"{count}"}}"#));
        }
        self.says(one, r#"{"type":"leave"}"#);
        self.tells(one, r#"{"type":"left"}"#);
        self.tells(other, r#"{"type":"gone","reason":"left"}"#)
    }
}

pub(crate) fn two_who_come_are_matched_and_talk_on_whichever_cores<H: Harness>() {
    let mut script = Script::default();
    for pair in 0..4 {
        script.chats([2 * pair, 2 * pair + 1]);
    }
    let setup = Setup {
        cores: 3,
        ..Setup::default()
    };
    H::run_with(setup, script, ringstorm::server::built_in);
}

pub(crate) fn what_is_no_message_of_a_chat_is_told_so_and_bytes_end_it<H: Harness>() {
    let mut script = Script::default();
    script.enters(0, "Ann").enters(1, "Bob");
    script.tells(0, r#"{"type":"matched"}"#);
    script.tells(1, r#"{"type":"matched"}"#);
    for (said, code) in [
        ("hello", "not_understood"),
        (r#"{"type":"say","text":""}"#, "empty"),
        (r#"{"type":"enter","name":"Eve"}"#, "already_entered"),
    ] {
        let error = format!(r#"{{"type":"error","code":"{code}"}}"#);
        script.says(0, said).tells(0, &error);
    }
    script
        .send(0, masked(Opcode::Binary, b"\x00"))
        .closes(0, 1003);
    script.tells(1, r#"{"type":"gone","reason":"disconnected"}"#);
    H::run(Setup::default(), script);
}
