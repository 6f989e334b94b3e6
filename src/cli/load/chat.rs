//! What the flags of the scenario `chat` mean.

use super::flags::LoadFlags;
use crate::cli::Failure;
use crate::cli::url::Scheme;
use crate::load::Scenario;
use crate::load::scenario::{CHAT_TEXT_BYTES, ChatScenario, Senders};
use std::sync::Arc;

/// The scenario, if its flags go together.
pub(super) fn chat(flags: &LoadFlags) -> Result<Scenario, Failure> {
    let usage = |text: String| Err(Failure::Usage(text));
    if flags.urls.iter().any(|url| url.scheme == Scheme::Http) {
        return usage("--scenario chat: a chat is a WebSocket; try: ws://HOST:PORT/chat".into());
    }
    if flags.connections % 2 == 1 {
        let (few, more) = (flags.connections, flags.connections + 1);
        return usage(format!(
            "-c: {few} clients leave one without a partner; try: -c {more}"
        ));
    }
    if flags.payload > CHAT_TEXT_BYTES {
        return usage(format!(
            "--payload: a text of a chat has at most {CHAT_TEXT_BYTES} bytes; try: --payload 2000"
        ));
    }
    Ok(Scenario::Dialogue(Arc::new(ChatScenario {
        messages: flags.iterations,
        payload_bytes: flags.payload,
        types: flags.realtime.typing,
        senders: flags.realtime.senders.map_or(Senders::ALL, Senders),
        next_after: flags.realtime.next_after,
        comes_and_goes: flags.churn.session().is_some() || flags.churn.storm().is_some(),
    })))
}
