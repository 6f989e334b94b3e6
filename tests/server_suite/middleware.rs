//! Rules, and middleware of one's own, on every engine: who is refused is told so, on every core.

#[path = "../../examples/members.rs"]
#[expect(dead_code, reason = "its own `main` is for whoever runs it")]
mod members;

use crate::script::{Script, get, masked};
use crate::{Harness, Setup};
use jsonwebtoken::{EncodingKey, Header, encode};
use ringstorm::app::realtime::RealtimePlan;
use ringstorm::app::rules::{MiddlewareSource, RuleSet};
use ringstorm::protocol::websocket::Opcode;

const SECRET: &[u8] = b"a secret of more than sixteen bytes";

impl Script {
    /// A client connects, subscribes to `a`, and says that.
    fn client_says(&mut self, peer: usize, token: &str, said: &str) -> &mut Self {
        let commands = format!(
            "{{\"id\":1,\"connect\":{{\"token\":\"{token}\"}}}}\n\
             {{\"id\":2,\"subscribe\":{{\"channel\":\"a\"}}}}\n{said}"
        );
        self.upgrade(peer, "/connection/websocket");
        self.send(peer, masked(Opcode::Text, commands.as_bytes()))
    }
}

fn setup(realtime: RealtimePlan) -> Setup {
    let mut setup = Setup::with(|config| config.realtime = Some(realtime));
    setup.cores = 2;
    setup
}

pub(crate) fn rules_refuse_requests_commands_and_publications<H: Harness>() {
    let rules = RuleSet::parse(
        r#"
        [[rule]]
        on = "request"
        action = "deny"
        path = "/push"
        reason = "not here"
        [[rule]]
        on = "publish-in"
        action = "deny"
        channel = "a"
        reason = "read only"
        "#,
    );
    let mut script = Script::default();
    script.send(0, get("/push"));
    script.response(0, 403, |_, body| assert_eq!(body, "not here\n"));
    script.ask(1, &get("/healthz"), 200);
    for peer in 2..6 {
        let publish = r#"{"id":3,"publish":{"channel":"a","data":1}}"#;
        script.client_says(peer, "", publish);
        script.read(peer, "a refusal", |bytes| {
            let heard = String::from_utf8_lossy(bytes);
            let refused = r#""error":{"code":103,"message":"read only"}"#;
            heard.contains(refused).then_some(bytes.len())
        });
    }
    H::run(
        setup(RealtimePlan {
            middleware: MiddlewareSource::rules(rules.unwrap()),
            ..RealtimePlan::dev([3; 32])
        }),
        script,
    );
}

pub(crate) fn members_speak_and_visitors_look_on<H: Harness>() {
    let key = EncodingKey::from_secret(SECRET).unwrap();
    let claims = serde_json::json!({"sub": "ann", "role": "member"});
    let member = encode(&Header::default(), &claims, &key).unwrap();
    let mut script = Script::default();
    let says = |text: &str| format!(r#"{{"id":3,"publish":{{"channel":"a","data":"{text}"}}}}"#);
    for peer in 0..3 {
        script.client_says(peer, "", &says("by a visitor"));
        // The refusal may come before the subscription stands.
        script.read(peer, "a subscription and a refusal", |bytes| {
            let heard = String::from_utf8_lossy(bytes);
            let is_both =
                heard.contains("members only") && heard.contains("\"id\":2,\"subscribe\"");
            is_both.then_some(bytes.len())
        });
    }
    script.client_says(3, &member, &says("by a member"));
    for peer in 0..4 {
        script.read(peer, "what a member says", |bytes| {
            let heard = String::from_utf8_lossy(bytes);
            heard.contains("by a member").then_some(bytes.len())
        });
    }
    script.send(3, masked(Opcode::Text, says("LOUD").as_bytes()));
    script.read(3, "nobody shouts", |bytes| {
        let heard = String::from_utf8_lossy(bytes);
        heard.contains("nobody shouts twice").then_some(bytes.len())
    });
    H::run(setup(members::plan(SECRET, [3; 32]).unwrap()), script);
}
