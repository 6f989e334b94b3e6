//! The end of the list of a server's applications: no index reaches it.

use super::{AppIndex, Apps};
use crate::app::{
    Admittance, ApiCall, Arrival, Goodbye, Holdings, Message, Missed, Notice, Reach, Refusal,
    Unsaid,
};
use crate::protocol::websocket::closing;
use crate::server::framing::Framing;
use crate::server::members::Moves;
use crate::server::outgoing::Outgoing;
use crate::server::route::Route;
use crate::shard::{ConnectionId, Core, PeerNames, Wire};
use crate::time::Instant;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

impl Apps for () {
    type Letters = Infallible;

    fn routes(&self, _: u8, _: &mut dyn FnMut(AppIndex, &'static Route)) {}

    fn manner(_: AppIndex) -> (Reach, bool) {
        (Reach::Replies, false)
    }

    fn started(&mut self, _: Core, _: u16) {}

    fn took<M, W: Wire<M>>(&mut self, _: Core, none: Infallible, _: &mut Outgoing<'_, M, W>) {
        match none {}
    }

    fn lost<M, W: Wire<M>>(&mut self, _: Core, _: &mut Outgoing<'_, M, W>) {}

    fn deliver<M, W: Wire<M>>(&mut self, _: &dyn Fn(Infallible) -> M, _: &mut W) {}

    fn expired<M, W: Wire<M>>(&mut self, _: Duration, _: &mut Outgoing<'_, M, W>) {}

    fn holdings(&self) -> Holdings {
        Holdings::default()
    }

    fn measured<M, W: Wire<M>>(&mut self, _: &str, _: &mut Outgoing<'_, M, W>) {}

    fn deadline(&self, _: Duration) -> Option<Instant> {
        None
    }

    fn closing<M, W: Wire<M>>(&mut self, _: &mut Outgoing<'_, M, W>) {}

    fn trim(&mut self) {}

    fn hears(&mut self, _: AppIndex, _: (ConnectionId, Framing, u32)) -> bool {
        true
    }

    #[inline]
    fn said<M, W: Wire<M>>(
        &mut self,
        _: AppIndex,
        _: (ConnectionId, Framing, u32),
        _: Message<'_>,
        _: &mut Outgoing<'_, M, W>,
    ) {
    }

    fn caught_up<M, W: Wire<M>>(
        &mut self,
        _: AppIndex,
        _: (ConnectionId, Framing, u32),
        _: &mut Outgoing<'_, M, W>,
    ) {
    }

    fn came<M, W: Wire<M>>(
        &mut self,
        _: AppIndex,
        _: (ConnectionId, Framing),
        _: &mut Outgoing<'_, M, W>,
    ) -> u32 {
        0
    }

    fn left<M, W: Wire<M>>(
        &mut self,
        _: AppIndex,
        _: (ConnectionId, Framing, u32),
        _: &mut Outgoing<'_, M, W>,
    ) -> Moves {
        Moves::default()
    }

    fn requested(&mut self, _: &str, _: Instant) -> Result<(), Refusal> {
        Ok(())
    }

    fn session(&mut self, _: &Arrival<'_>) -> Option<(Box<str>, Option<Box<str>>)> {
        None
    }

    fn certified(&mut self, _: Option<&Arc<PeerNames>>) {}

    fn arriving(&mut self, _: AppIndex, _: &Arrival<'_>) -> Result<Admittance, Refusal> {
        Ok(Admittance::default())
    }

    fn called<M, W: Wire<M>>(
        &mut self,
        _: AppIndex,
        _: ConnectionId,
        _: ApiCall<'_>,
        _: &mut Outgoing<'_, M, W>,
    ) {
    }

    fn hung_up<M, W: Wire<M>>(&mut self, _: AppIndex, _: ConnectionId, _: &mut Outgoing<'_, M, W>) {
    }

    fn too_slow(_: AppIndex) -> Goodbye {
        let code = closing::TRY_AGAIN_LATER;
        Goodbye { code, reason: "" }
    }

    fn awake(&mut self, _: AppIndex, _: Instant) {}

    fn posted<M, W: Wire<M>>(
        &mut self,
        _: AppIndex,
        _: ConnectionId,
        _: (&str, &str),
        _: &mut Outgoing<'_, M, W>,
    ) -> Result<(), Unsaid> {
        Err(Unsaid::Gone)
    }

    fn is_address(&self, _: AppIndex, _: &str) -> bool {
        false
    }

    fn missed(&self, _: AppIndex, _: &str) -> Option<Missed> {
        None
    }

    fn replay(&mut self, _: AppIndex, _: u64, _: &mut dyn FnMut(Notice<'_>)) {}

    fn newest(&self, _: AppIndex) -> (u32, u64) {
        (0, 0)
    }
}
