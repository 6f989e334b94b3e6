//! What the hub asks for: it knows neither wire nor protocol.

use super::answer::{Asker, Audience, ChannelEvent, EncodingId, HubAnswer};
use super::letter::{HubLetter, Stay};
use super::session::SessionId;
use crate::app::{Seat, User};
use crate::shard::Core;
use crate::time::Instant;

/// Carries out what the hub asks for. Nothing of it calls back.
pub trait Outlet {
    /// The time.
    fn now(&self) -> Instant;
    /// Says something to the hub of another core.
    fn forward(&mut self, to: Core, letter: HubLetter);
    /// Tells who asked what has become of it.
    fn answer(&mut self, to: Asker, answer: HubAnswer);
    /// Tells subscribers of this core something: encoded once. Unless slow ones are to be
    /// disconnected, the places in `users` of those who were passed over are put into `late`, in
    /// order.
    fn tell(
        &mut self,
        to: Audience<'_>,
        channel: &str,
        event: ChannelEvent<'_>,
        late: &mut Vec<usize>,
    );
    /// Tells clients of this core that JSON, which is in no channel: encoded once.
    fn emit(&mut self, encoding: EncodingId, users: &[User], data: &str);
    /// A client may be here for so long.
    fn refresh(&mut self, client: (User, Seat), encoding: EncodingId, stay: Stay);
    /// A session has ended that held that JSON.
    fn session_ended(&mut self, session: SessionId, data: &str);
    /// Ends a client.
    fn disconnect(&mut self, user: User, encoding: EncodingId, code: u16);
}
