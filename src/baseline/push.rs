//! The published messages of `/push` and `/events`: encoded once, shared by reference.

use super::Shared;
use crate::engine;
use hyper::body::Bytes;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast;
use tokio::time::MissedTickBehavior;
use tokio_tungstenite::tungstenite::Utf8Bytes;

/// Messages that a listener may be behind before it loses some.
const QUEUE_MESSAGES: usize = 16;

/// A channel for each of the two encodings.
pub(super) struct Channels {
    messages: broadcast::Sender<Utf8Bytes>,
    events: broadcast::Sender<Bytes>,
}

impl Channels {
    pub(super) fn new() -> Self {
        Self {
            messages: broadcast::Sender::new(QUEUE_MESSAGES),
            events: broadcast::Sender::new(QUEUE_MESSAGES),
        }
    }

    /// From now on, as WebSocket text.
    pub(super) fn messages(&self) -> broadcast::Receiver<Utf8Bytes> {
        self.messages.subscribe()
    }

    /// From now on, as whole Server-Sent Events.
    pub(super) fn events(&self) -> broadcast::Receiver<Bytes> {
        self.events.subscribe()
    }

    fn publish(&self, sequence: u64, text: String) {
        if self.events.receiver_count() > 0 {
            let event = format!("id: {sequence}\nevent: push\ndata: {text}\n\n");
            // Nobody listens any more: nothing to do.
            drop(self.events.send(Bytes::from(event)));
        }
        if self.messages.receiver_count() > 0 {
            drop(self.messages.send(Utf8Bytes::from(text)));
        }
    }
}

/// Publishes a message every so often.
pub(super) struct Publisher {
    chunk: Duration,
    chunk_bytes: usize,
}

impl Publisher {
    /// A message every `chunk`, at least `chunk_bytes` long.
    pub(super) fn new(chunk: Duration, chunk_bytes: usize) -> Self {
        Self {
            chunk: chunk.max(Duration::from_millis(1)),
            chunk_bytes,
        }
    }

    /// Publishes until the server is asked to end.
    pub(super) async fn run(self, shared: Arc<Shared>) {
        let publish = async {
            let mut ticks = tokio::time::interval(self.chunk);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
            ticks.tick().await;
            for sequence in 1.. {
                ticks.tick().await;
                let text = message(sequence, engine::now().as_nanos(), self.chunk_bytes);
                shared.push.publish(sequence, text);
            }
        };
        tokio::select! {
            () = publish => {}
            () = shared.stopped() => {}
        }
    }
}

fn message(sequence: u64, sent_ns: u64, bytes: usize) -> String {
    let mut text = format!(r#"{{"seq":{sequence},"sent_ns":{sent_ns}"#);
    let frame = r#","pad":""}"#;
    if text.len() + 1 < bytes {
        let pad = bytes.saturating_sub(text.len() + frame.len());
        text.push_str(r#","pad":""#);
        text.extend(std::iter::repeat_n('x', pad));
        text.push('"');
    }
    text.push('}');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_padded_up_to_the_size_asked_for() {
        assert_eq!(message(1, 2, 0), r#"{"seq":1,"sent_ns":2}"#);
        assert_eq!(
            message(1, 2, 40),
            r#"{"seq":1,"sent_ns":2,"pad":"xxxxxxxxxx"}"#
        );
        assert_eq!(message(1, 2, 200).len(), 200);
    }
}
