//! What becomes of sessions: sockets join them, what they hold changes, clients are told things in
//! no channel.

use super::{
    Asker, Audience, CENTRIFUGO, CONNECTING, CONNECTING_CLIENT, ChannelEvent, CloseAdvice, Desk,
    EMITTED, Effects, EncodingId, HubAnswer, HubLetter, Notice, Parked, SOCKETCLUSTER, SOCKETIO,
    STREAM, STREAMS, UNIDIRECTIONAL, User, as_text, codec, plain, wrap,
};
use crate::app::dialect::recovery::IoRecovery;
use crate::app::hub::session::{SESSION_TICKET, is_session};
use crate::protocol::{socketcluster, socketio};

/// The event of clients of `SocketCluster` and of Socket.IO that is in no channel.
const MESSAGE: &str = "message";

impl<E: Effects<Vec<HubLetter>>> Desk<'_, E> {
    /// Whether that answers a socket that joins its session: then it is known what that holds.
    pub(super) fn joined(&mut self, to: Asker, answer: &HubAnswer) -> bool {
        let data = match answer {
            HubAnswer::Subscribed(it) if is_session(&it.channel) => {
                let held = it.missed.as_ref();
                held.and_then(|held| held.publications.last())
            }
            HubAnswer::Refused(_) if to.ticket == SESSION_TICKET => None,
            HubAnswer::Subscribed(_)
            | HubAnswer::Published(_)
            | HubAnswer::History(..)
            | HubAnswer::Presence(_)
            | HubAnswer::Headcount(_)
            | HubAnswer::Reached { .. }
            | HubAnswer::Done
            | HubAnswer::Refused(_) => return false,
        };
        if !self.joining.remove(&to.user) {
            return false;
        }
        let data = data.map_or("{}", |held| &*held.data);
        self.gatekeeper.holds(&[to.user], data);
        self.parked.push(Parked::Joined(to.user));
        true
    }

    /// Something became of a session of these.
    pub(super) fn session_news(&mut self, to: Audience<'_>, event: ChannelEvent<'_>) {
        match event {
            ChannelEvent::Publication(_, it) => self.gatekeeper.holds(to.users, &it.data),
            // Who comes back joins it again.
            ChannelEvent::Interrupted => {
                for user in to.users {
                    self.end(*user, to.encoding, CloseAdvice::INSUFFICIENT_STATE);
                }
            }
            ChannelEvent::Matched(..)
            | ChannelEvent::Changed(_)
            | ChannelEvent::Missed(_)
            | ChannelEvent::Unsubscribed => {}
        }
    }

    /// Tells these something that is in no channel.
    pub(super) fn message(&mut self, encoding: EncodingId, users: &[User], data: &str) {
        self.text.clear();
        match encoding {
            STREAM | STREAMS => {
                self.effects.tell(users, Notice::new(0, EMITTED, data));
            }
            CENTRIFUGO | UNIDIRECTIONAL => {
                codec::push_message(self.text, wrap(encoding), data);
                self.effects.tell(users, plain(as_text(self.text)));
            }
            SOCKETCLUSTER => {
                socketcluster::event(self.text, MESSAGE, Some(data));
                self.effects.tell(users, plain(as_text(self.text)));
            }
            SOCKETIO => {
                let offset = self.recovery.as_deref().map(IoRecovery::newest);
                socketio::event(self.text, MESSAGE, data, offset.as_ref().map(|it| it as _));
                self.effects.tell(users, plain(as_text(self.text)));
            }
            CONNECTING | CONNECTING_CLIENT => {
                codec::push_message(self.text, wrap(encoding), data);
                let text = as_text(self.text);
                for user in users {
                    self.parked.push(Parked::Push(*user, text.to_owned()));
                }
            }
            EncodingId(_) => {}
        }
    }
}
