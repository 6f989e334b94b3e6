//! What clients of `SocketCluster` are told: responses by the number of a call, publications.

use super::{
    Asker, Audience, ChannelEvent, CloseAdvice, Desk, Effects, HubAnswer, HubLetter, SOCKETCLUSTER,
    User, as_text, plain, views,
};
use crate::app::hub::answer::HubError;
use crate::protocol::socketcluster::{self as codec, close};

impl<E: Effects<Vec<HubLetter>>> Desk<'_, E> {
    /// Takes a client off a channel, and tells it why.
    pub fn kick_out(&mut self, user: User, channel: &str, why: &str) {
        self.say(user, |into| codec::kick_out(into, channel, why));
    }

    /// Responds to a call: 0 is the number of none, else it is one more.
    pub(super) fn cluster_answer(&mut self, to: Asker, answer: &HubAnswer) {
        let refused = match answer {
            // It did not ask, and is told what it has not asked for by no packet of its protocol.
            HubAnswer::Subscribed(it) if it.by_server => return,
            HubAnswer::Refused(error) => Some(*error),
            HubAnswer::Subscribed(_)
            | HubAnswer::Published(_)
            | HubAnswer::History(..)
            | HubAnswer::Presence(_)
            | HubAnswer::Headcount(_)
            | HubAnswer::Reached { .. }
            | HubAnswer::Done => None,
        };
        // It is told as if it were not: whoever subscribes twice has subscribed.
        let error = refused.filter(|error| *error != HubError::AlreadySubscribed);
        let error = error.map(views::error);
        if let Some(error) = error {
            self.complain(error.code);
        }
        let Some(call) = to.ticket.checked_sub(1) else {
            return;
        };
        self.say(to.user, |into| match error {
            Some(error) => codec::failure(into, &call, views::cluster_error(error)),
            None => codec::response(into, &call, None),
        });
    }

    /// Tells clients of an event of a channel.
    pub(super) fn cluster_event(
        &mut self,
        to: Audience<'_>,
        channel: &str,
        event: ChannelEvent<'_>,
        late: &mut Vec<usize>,
    ) {
        let mut text = std::mem::take(self.text);
        text.clear();
        match event {
            ChannelEvent::Publication(_, it) => {
                codec::publication(&mut text, channel, None, &it.data);
            }
            ChannelEvent::Matched(within, it) => {
                codec::publication(&mut text, channel, Some(within), &it.data);
            }
            ChannelEvent::Unsubscribed => {
                codec::kick_out(&mut text, channel, "unsubscribed by the server");
            }
            ChannelEvent::Missed(count) => {
                let missed = serde_json::json!({ "channel": channel, "missed": count });
                codec::event(&mut text, MISSED, Some(&missed.to_string()));
            }
            // Who comes back subscribes again.
            ChannelEvent::Interrupted => {
                for user in to.users {
                    let code = close::BROKER;
                    self.dismiss(*user, CloseAdvice { code, reason: "" });
                }
            }
            // Nobody is told who comes and goes.
            ChannelEvent::Changed(_) => {}
        }
        if !text.is_empty() {
            debug_assert_eq!(to.encoding, SOCKETCLUSTER, "nobody else reads it");
            self.send(to, plain(as_text(&text)), late);
        }
        *self.text = text;
    }
}

/// The event that tells a client how many publications it was not told because it did not read.
const MISSED: &str = "missed";

/// How a client is ended that the application ends: where Centrifugo's clients do not come back,
/// it does not either.
pub(super) const fn advice(CloseAdvice { code, reason }: CloseAdvice) -> CloseAdvice {
    let code = match code {
        3500..=3999 => code - 3500 + close::FINAL,
        code => code,
    };
    CloseAdvice { code, reason }
}
