//! What all clients of a core share: buffers, spares and randomness.

use super::in_flight::Rings;
use crate::load::config::Config;
use crate::load::scenario::Actions;
use crate::protocol::sse;
use crate::protocol::websocket::decoder::Pool;
use crate::shard::Core;

/// What all clients of a core share: buffers, spares and randomness.
pub(super) struct Tools {
    pool: Pool,
    sse_pool: sse::Pool,
    rings: Rings,
    rng: fastrand::Rng,
    /// Outbound bytes of one call.
    scratch: Vec<u8>,
    /// What a dialogue wants that has not been done yet.
    actions: Actions,
}

impl Tools {
    pub(super) fn new(config: &Config, core: Core) -> Self {
        let (bytes, fragments) = config.read_caps();
        Self {
            pool: Pool::new(bytes, fragments),
            sse_pool: sse::Pool::new(bytes),
            rings: Rings::default(),
            rng: config.random(u64::MAX - u64::from(core.0)),
            scratch: Vec::new(),
            actions: Actions::default(),
        }
    }

    /// A mask (RFC 6455, 5.3).
    #[inline]
    pub(super) fn key(&mut self) -> [u8; 4] {
        self.rng.u32(..).to_ne_bytes()
    }

    /// Chance.
    pub(super) const fn rng(&mut self) -> &mut fastrand::Rng {
        &mut self.rng
    }

    /// Rings that no connection needs at the moment.
    pub(super) const fn rings(&mut self) -> &mut Rings {
        &mut self.rings
    }

    /// Buffers of connections that read frames.
    pub(super) const fn pool(&mut self) -> &mut Pool {
        &mut self.pool
    }

    /// Room for what is sent with one call.
    pub(super) fn scratch(&mut self) -> &mut Vec<u8> {
        self.scratch.clear();
        &mut self.scratch
    }

    /// What a dialogue wants that has not been done yet.
    pub(super) const fn actions(&mut self) -> &mut Actions {
        &mut self.actions
    }

    /// What a dialogue is called with.
    pub(super) const fn calling(&mut self) -> (&mut Actions, &mut fastrand::Rng) {
        (&mut self.actions, &mut self.rng)
    }

    /// What sending messages needs.
    #[inline]
    pub(super) const fn sending(&mut self) -> SendTools<'_> {
        SendTools {
            pool: &mut self.pool,
            rings: &mut self.rings,
            rng: &mut self.rng,
            scratch: &mut self.scratch,
        }
    }

    /// What reading bytes needs.
    #[inline]
    pub(super) const fn reading(&mut self) -> ReadTools<'_> {
        ReadTools {
            pool: &mut self.pool,
            sse_pool: &mut self.sse_pool,
            rings: &mut self.rings,
            rng: &mut self.rng,
            scratch: &mut self.scratch,
            actions: &mut self.actions,
        }
    }
}

/// What reading bytes needs.
pub(super) struct ReadTools<'a> {
    pub(super) pool: &'a mut Pool,
    pub(super) sse_pool: &'a mut sse::Pool,
    pub(super) rings: &'a mut Rings,
    pub(super) rng: &'a mut fastrand::Rng,
    pub(super) scratch: &'a mut Vec<u8>,
    pub(super) actions: &'a mut Actions,
}

/// What sending messages needs.
pub(super) struct SendTools<'a> {
    pub(super) pool: &'a mut Pool,
    pub(super) rings: &'a mut Rings,
    pub(super) rng: &'a mut fastrand::Rng,
    pub(super) scratch: &'a mut Vec<u8>,
}
