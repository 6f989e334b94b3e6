//! What clients of Centrifugo's protocol are told: replies by the number of their command, pushes.

use super::{
    Asker, ChannelEvent, Desk, Effects, HubAnswer, HubLetter, UNIDIRECTIONAL, views, wrap,
};
use crate::protocol::centrifugo::code::{UNSUBSCRIBED_BY_SERVER, UNSUBSCRIBED_INSUFFICIENT};
use crate::protocol::centrifugo::{self as codec, ErrorCode, Wrap};

impl<E: Effects<Vec<HubLetter>>> Desk<'_, E> {
    /// Answers a command of a Centrifugo client.
    pub(super) fn reply(&mut self, to: Asker, answer: &HubAnswer) {
        let (user, id) = (to.user, to.ticket);
        if let HubAnswer::Subscribed(it) = answer
            && it.by_server
        {
            let wrap = wrap(to.encoding);
            let place = views::place(it);
            return self.say(user, |into| {
                codec::push_subscribe(into, wrap, &it.channel, place)
            });
        }
        if to.encoding == UNIDIRECTIONAL {
            return;
        }
        let ttl_s = self.lives.remove(&(user, id));
        if let HubAnswer::Refused(error) = answer {
            return self.fail(user, id, views::error(*error));
        }
        self.say(user, |into| {
            codec::reply(into, id, |into| content(into, answer, ttl_s))
        });
    }

    /// Writes an event for clients of Centrifugo.
    pub(super) fn push(&mut self, wrap: Wrap, channel: &str, event: ChannelEvent<'_>) {
        self.text.clear();
        let into = &mut *self.text;
        match event {
            ChannelEvent::Publication(_, it) => {
                codec::push_publication(into, wrap, channel, views::publication(it));
            }
            ChannelEvent::Matched(within, it) => {
                codec::push_publication(into, wrap, channel, views::matched(within, it));
            }
            ChannelEvent::Changed(changes) => {
                for (at, change) in changes.iter().enumerate() {
                    if at > 0 {
                        into.push(b'\n');
                    }
                    let write = match change.came {
                        true => codec::push_join,
                        false => codec::push_leave,
                    };
                    write(into, wrap, channel, views::info(&change.info));
                }
            }
            ChannelEvent::Missed(count) => codec::push_missed(into, wrap, channel, count),
            ChannelEvent::Interrupted => {
                let (code, why) = (UNSUBSCRIBED_INSUFFICIENT, "insufficient state");
                codec::push_unsubscribe(into, wrap, channel, code, why);
            }
            ChannelEvent::Unsubscribed => {
                let (code, why) = (UNSUBSCRIBED_BY_SERVER, "server unsubscribe");
                codec::push_unsubscribe(into, wrap, channel, code, why);
            }
        }
    }
}

/// The content of a reply.
fn content(into: &mut Vec<u8>, answer: &HubAnswer, ttl_s: Option<u64>) {
    match answer {
        HubAnswer::Subscribed(it) => codec::subscribe(into, views::subscribed(it, ttl_s)),
        HubAnswer::Published(_) => into.extend_from_slice(b"\"publish\":{}"),
        HubAnswer::History(_, caught) => {
            let at = codec::StreamView {
                epoch: &caught.position.epoch,
                offset: caught.position.offset,
            };
            let publications = caught.publications.iter().map(views::publication);
            codec::history(into, at, publications);
        }
        HubAnswer::Presence(list) => {
            codec::presence(into, list.iter().map(|info| views::info(info)));
        }
        HubAnswer::Headcount(count) => codec::presence_stats(into, count.clients, count.users),
        // No command of a client has these answers.
        HubAnswer::Reached { .. } | HubAnswer::Done => {
            codec::error(into, ErrorCode::INTERNAL);
        }
        HubAnswer::Refused(error) => codec::error(into, views::error(*error)),
    }
}
