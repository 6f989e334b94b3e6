//! What all large messages of a core's clients have in common, masked once for many of them: each
//! leaves from the same memory, which stays in the cache, and only its head is its own.
//!
//! RFC 6455, 5.3 wants a key that nobody foresees, so that no page makes a browser send bytes of
//! its choice to what stands between. Here every byte is the load's own. A key is drawn anew after
//! [`MESSAGES`] messages of the core.

use crate::load::client::payload::Template;
use crate::load::wording::MessageId;
use crate::protocol::websocket::Pool;
use crate::shard::Payload;

/// Messages that share one key: the cost of masking is divided by so many.
const MESSAGES: u32 = 32;

/// The masked filler of large messages.
#[derive(Debug, Default)]
pub(super) struct SharedFiller {
    masked: Option<Payload>,
    key: [u8; 4],
    /// Messages that may still share it.
    left: u32,
}

impl SharedFiller {
    /// A masked frame of that message: its head goes into `head`, which is emptied first, and what
    /// follows it is returned.
    pub(super) fn frame(
        &mut self,
        head: &mut Vec<u8>,
        message: MessageId,
        (template, pool): (&Template, &Pool),
        rng: &mut fastrand::Rng,
    ) -> &Payload {
        if self.left == 0 {
            // What is under way keeps the one before it: that goes back to the shelf with the last.
            self.masked = None;
        }
        if self.masked.is_none() {
            (self.key, self.left) = (rng.u32(..).to_ne_bytes(), MESSAGES);
        }
        self.left -= 1;
        head.clear();
        template.encode_head(head, message, self.key);
        let key = self.key;
        self.masked.get_or_insert_with(|| {
            let mut filler = pool.shelf.buffer();
            template.encode_filler(&mut filler, key);
            pool.shelf.wrap(filler)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits;
    use crate::load::transport::PayloadKind;
    use crate::protocol::websocket::{Decoder, Event, Role};
    use std::collections::BTreeSet;

    #[test]
    fn each_frame_is_the_message_and_keys_change_while_earlier_ones_are_under_way() {
        let mut rng = fastrand::Rng::with_seed(5);
        let template = Template::new(PayloadKind::Binary, 20_000, &mut rng);
        let (mut filler, mut head) = (SharedFiller::default(), Vec::new());
        let mut pool = Pool::new(limits::MESSAGE_BYTES, 1);
        let mut under_way = Vec::new();
        for sequence in 0..3 * MESSAGES {
            let message = MessageId {
                number: 3,
                sequence,
            };
            let parts = (&template, &pool);
            let shared = filler.frame(&mut head, message, parts, &mut rng).clone();
            under_way.push((message, [&head[..], shared.bytes()].concat(), shared));
        }
        let mut keys = BTreeSet::new();
        for (message, bytes, shared) in under_way {
            assert!(
                bytes.ends_with(shared.bytes()),
                "it was written to meanwhile"
            );
            keys.insert(bytes[4..8].to_vec());
            let (mut bytes, mut at) = (bytes, 0);
            let mut decoder = Decoder::new(Role::Server);
            match decoder.next(&mut bytes, &mut at, &mut pool) {
                Ok(Some(Event::Message { bytes, .. })) => {
                    assert!(template.is(message, PayloadKind::Binary, bytes));
                }
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(keys.len(), 3);
    }
}
