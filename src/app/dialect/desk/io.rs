//! What clients of Socket.IO are told: acknowledgements by the number of their event, publications.

use super::{
    Asker, Audience, ChannelEvent, CloseAdvice, Desk, Effects, HubAnswer, HubLetter, IoRecovery,
    Parked, Position, SOCKETIO_RETURNING, User, as_text, plain, views,
};
use crate::app::hub::answer::HubError;
use crate::protocol::centrifugo::ErrorCode;
use crate::protocol::socketio as codec;

/// The event that tells what was said in a room.
pub(in crate::app::dialect) const SAID: &str = "said";
/// The event that tells a client how many publications it was not told because it did not read.
const MISSED: &str = "missed";
/// How a client is ended that comes back by itself.
const AWAY: CloseAdvice = CloseAdvice {
    code: codec::CLOSE_AWAY,
    reason: "",
};

impl<E: Effects<Vec<HubLetter>>> Desk<'_, E> {
    /// Takes a client out for good: its library does not come back by itself then.
    pub fn io_disconnect(&mut self, user: User) {
        if let Some(recovery) = self.recovery() {
            recovery.leaves(user);
        }
        self.say(user, |into| {
            into.extend_from_slice(codec::DISCONNECTED.as_bytes());
        });
        self.dismiss(user, AWAY);
    }

    /// Ends a client as its application wants it: where Centrifugo's clients do not come back, it
    /// does not either.
    pub(super) fn io_end(&mut self, user: User, advice: CloseAdvice) {
        match advice.code {
            3500..=3999 | 4500..=4999 => self.io_disconnect(user),
            _ => self.dismiss(user, AWAY),
        }
    }

    /// Acknowledges an event with nothing, or with why it was not carried out.
    pub fn io_acknowledge(&mut self, user: User, id: Option<u64>, error: Option<ErrorCode>) {
        if let Some(error) = error {
            self.complain(error.code);
        }
        let Some(id) = id else {
            return;
        };
        let mut why = Vec::new();
        if let Some(ErrorCode { code, message, .. }) = error {
            let error = serde_json::json!({ "code": code, "message": message });
            why.push(error.to_string());
        }
        self.say(user, |into| {
            codec::acknowledgement(into, (id, 0), why.iter().map(String::as_str));
        });
    }

    /// Acknowledges what was answered later: 0 is the number of none, else it is one more.
    pub(super) fn io_answer(&mut self, to: Asker, answer: &HubAnswer) {
        if let Some(recovery) = self.recovery.as_deref_mut() {
            let entered = match answer {
                HubAnswer::Subscribed(it) => Some(&**it),
                _ => None,
            };
            if to.encoding == SOCKETIO_RETURNING {
                if recovery.answered(to.user, entered) {
                    self.parked.push(Parked::Returned(to.user));
                }
                return;
            }
            entered
                .into_iter()
                .for_each(|it| recovery.entered(to.user, it));
        }
        let refused = match answer {
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
        // Who joins twice is in the room.
        let error = refused.filter(|error| *error != HubError::AlreadySubscribed);
        let id = to.ticket.checked_sub(1).map(u64::from);
        self.io_acknowledge(to.user, id, error.map(views::error));
    }

    /// Tells clients of an event of a channel.
    pub(super) fn io_event(
        &mut self,
        to: Audience<'_>,
        channel: &str,
        event: ChannelEvent<'_>,
        late: &mut Vec<usize>,
    ) {
        let mut text = std::mem::take(self.text);
        text.clear();
        match event {
            ChannelEvent::Publication(epoch, it) => {
                let now = self.effects.now();
                let at = Position {
                    epoch,
                    offset: it.offset,
                };
                let recovery = self.recovery.as_deref_mut();
                let offset = recovery.map(|recovery| match at.offset {
                    0 => recovery.newest(),
                    _ => recovery.tells(channel, at, now),
                });
                codec::event(&mut text, SAID, &it.data, offset.as_ref().map(|it| it as _));
            }
            ChannelEvent::Matched(_, it) => {
                let offset = self.recovery.as_deref().map(IoRecovery::newest);
                codec::event(&mut text, SAID, &it.data, offset.as_ref().map(|it| it as _));
            }
            ChannelEvent::Missed(count) => {
                let missed = serde_json::json!({ "channel": channel, "missed": count });
                codec::event(&mut text, MISSED, &missed.to_string(), None);
            }
            // Who comes back joins again.
            ChannelEvent::Interrupted => {
                for user in to.users {
                    self.dismiss(*user, AWAY);
                }
            }
            // No packet says it: who leaves a room by the server's will is not told either.
            ChannelEvent::Unsubscribed | ChannelEvent::Changed(_) => {}
        }
        match self.recovery.as_deref_mut() {
            _ if text.is_empty() => {}
            Some(recovery) if to.encoding == SOCKETIO_RETURNING => {
                recovery.hold(to.users, as_text(&text));
            }
            Some(_) | None => self.send(to, plain(as_text(&text)), late),
        }
        *self.text = text;
    }
}
