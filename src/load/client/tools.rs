//! What all clients of a core share: buffers, spares and randomness.

use super::in_flight::Rings;
use super::payload::Template;
use crate::load::config::Config;
use crate::load::measure::send_times::SendTimes;
use crate::load::scenario::Actions;
use crate::load::seed::seeded;
use crate::protocol::sse;
use crate::protocol::websocket::Deflater;
use crate::protocol::websocket::decoder::Pool;
use crate::shard::Core;

/// What all connections share: buffers, spares and randomness.
pub(in crate::load) struct Tools {
    pub(in crate::load) template: Template,
    /// If messages are deflated.
    pub(in crate::load) deflater: Option<Box<Deflater>>,
    pub(in crate::load) pool: Pool,
    pub(in crate::load) sse_pool: sse::Pool,
    pub(in crate::load) rings: Rings,
    pub(in crate::load) rng: fastrand::Rng,
    /// Outbound bytes of one call.
    pub(in crate::load) scratch: Vec<u8>,
    /// What a dialogue has said and is not carried out yet.
    pub(in crate::load) said: Actions,
    /// Messages to send next on one connection.
    pub(in crate::load) batch: Vec<SendTimes>,
}

impl Tools {
    pub(in crate::load) fn new(config: &Config, core: Core) -> Self {
        let mut filler = fastrand::Rng::with_seed(config.seed);
        Self {
            template: Template::new(config.payload_kind, config.payload_bytes, &mut filler),
            deflater: config.deflate.then(Box::default),
            pool: Pool::new(config.message_bytes_max, config.fragments_max),
            sse_pool: sse::Pool::new(config.message_bytes_max),
            rings: Rings::default(),
            rng: seeded(config.seed, u64::MAX - u64::from(core.0)),
            scratch: Vec::new(),
            said: Actions::default(),
            batch: Vec::new(),
        }
    }
}
