//! What the hub of one core does for sessions: sockets join them, the application reads and writes
//! what they hold, and is told when they have ended.

use super::Hub;
use super::answer::{Asker, EncodingId, HubError};
use super::broker::Broker;
use super::letter::ChannelQuestion;
use super::outlet::Outlet;
use super::publication::Publication;
use super::session::{SESSIONS_ENDED, SessionId};
use crate::app::{Seat, User};
use std::sync::Arc;

/// Nobody: what it asks is answered to nobody.
pub const NOBODY: Asker = Asker {
    user: User(u64::MAX),
    encoding: EncodingId(u8::MAX),
    ticket: 0,
};

impl<B: Broker> Hub<B> {
    /// A socket joins its session. It is answered at once or later, to
    /// [`SESSION_TICKET`](super::session::SESSION_TICKET), unless it is refused here.
    ///
    /// # Errors
    /// [`HubError`]; then no answer comes.
    pub fn join(
        &mut self,
        seat: Seat,
        session: SessionId,
        out: &mut impl Outlet,
    ) -> Result<(), HubError> {
        self.enter_session(seat, session, out)
    }

    /// Somebody asks something of a session, and is answered at once or later.
    pub fn ask_session(
        &mut self,
        asker: Asker,
        session: SessionId,
        question: ChannelQuestion,
        out: &mut impl Outlet,
    ) {
        self.put(asker, session.channel().into(), question, out);
    }

    /// Tells of the sessions that have ended since.
    pub(super) fn tell_ended(&mut self, out: &mut impl Outlet) {
        for (session, data) in self.home.ended() {
            out.session_ended(session, &data);
            let event = format!(
                "{{\"event\":\"session ended\",\"session\":\"{session}\",\"data\":{data}}}"
            );
            let publication = Publication {
                offset: 0,
                data: event.into(),
                by: None,
                tags: None,
                spares_author: false,
            };
            let channel: Arc<str> = SESSIONS_ENDED.into();
            let question = ChannelQuestion::Publish(publication);
            self.put(NOBODY, channel, question, out);
        }
    }
}
