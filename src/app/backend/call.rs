//! One question to the application, as JSON.

use super::kind::HookKind;
use crate::app::hub::session::SessionId;
use crate::protocol::json;
use crate::shard::Core;
use std::sync::Arc;

/// What is asked, or told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HookQuestion {
    /// Which question it is.
    pub kind: HookKind,
    /// The channel, or the procedure; empty for none.
    pub about: Box<str>,
    /// What the client says with it (JSON); empty for nothing.
    pub data: Box<str>,
}

/// About whom.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HookCaller {
    /// What the client is called; empty for none.
    pub client: Box<str>,
    /// The user of its token, or whom the application says that it is; empty for nobody.
    pub user: Box<str>,
    /// Its session, if there are any.
    pub session: Option<SessionId>,
    /// Where it came; empty for no client.
    pub path: &'static str,
    /// Some fields of the head that it came with: a JSON object, or empty.
    pub headers: Box<str>,
}

/// A question on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HookCall {
    /// The core that asks.
    pub core: Core,
    /// What the answer is known by on that core; `None` for what is only told.
    pub number: Option<u64>,
    /// About whom.
    pub caller: Arc<HookCaller>,
    /// What.
    pub question: HookQuestion,
}

impl HookQuestion {
    /// A question about that, with what the client says.
    #[must_use]
    pub fn new(kind: HookKind, about: &str, data: Option<&str>) -> Self {
        Self {
            kind,
            about: about.into(),
            data: data.unwrap_or_default().into(),
        }
    }

    /// Whether it asks just that.
    #[must_use]
    pub fn is(&self, kind: HookKind, about: &str, data: Option<&str>) -> bool {
        let is_said = |data: &str| *self.data == *data;
        self.kind == kind && *self.about == *about && data.is_none_or(is_said)
    }
}

impl HookCall {
    /// Writes it behind `into`: an object.
    pub fn write(&self, into: &mut Vec<u8>) {
        let HookQuestion { kind, about, data } = &self.question;
        into.extend_from_slice(b"{\"hook\":\"");
        into.extend_from_slice(kind.word().as_bytes());
        into.push(b'"');
        let about_key = match kind {
            HookKind::Subscribe | HookKind::Publish => "channel",
            HookKind::Call => "method",
            HookKind::Connect | HookKind::Disconnect | HookKind::SessionEnd => "about",
        };
        let session = self.caller.session.map(|it| it.to_string());
        for (key, text) in [
            ("client", &*self.caller.client),
            ("user", &*self.caller.user),
            ("path", self.caller.path),
            ("session", session.as_deref().unwrap_or_default()),
            (about_key, &**about),
        ] {
            if !text.is_empty() {
                field(into, key);
                json::string(into, text);
            }
        }
        for (key, raw) in [("headers", &self.caller.headers), ("data", data)] {
            if !raw.is_empty() {
                field(into, key);
                into.extend_from_slice(raw.as_bytes());
            }
        }
        into.push(b'}');
    }
}

fn field(into: &mut Vec<u8>, key: &str) {
    into.extend_from_slice(b",\"");
    into.extend_from_slice(key.as_bytes());
    into.extend_from_slice(b"\":");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_an_object_with_what_is_known() {
        let caller = HookCaller {
            client: "c-1".into(),
            user: "a\"b".into(),
            session: Some(SessionId(7)),
            path: "/here",
            headers: r#"{"cookie":"x"}"#.into(),
        };
        let mut call = HookCall {
            core: Core(0),
            number: Some(1),
            caller: Arc::new(caller),
            question: HookQuestion::new(HookKind::Publish, "news", Some("[1]")),
        };
        let mut text = Vec::new();
        call.write(&mut text);
        let read: serde_json::Value = serde_json::from_slice(&text).unwrap();
        let expected = serde_json::json!({
            "hook": "publish", "client": "c-1", "user": "a\"b", "path": "/here",
            "session": "00000000000000000000000000000007", "channel": "news",
            "headers": {"cookie": "x"}, "data": [1],
        });
        assert_eq!(read, expected);
        call.caller = Arc::default();
        call.question = HookQuestion::new(HookKind::Connect, "", None);
        text.clear();
        call.write(&mut text);
        assert_eq!(text, br#"{"hook":"connect"}"#);
    }
}
