//! What a store held at the start: each core takes what is homed there.

use crate::app::hub::position::{Epoch, Position};
use crate::app::hub::publication::Publication;
use crate::shard::Core;
use crate::time::Instant;
use std::fmt;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};

/// One channel, as it was.
#[derive(Clone, Debug)]
pub struct RestoredChannel {
    /// What it is called.
    pub name: Arc<str>,
    /// Its history; `None` if something of it may be missing: then it goes on as another one.
    pub epoch: Option<Epoch>,
    /// The number of its newest publication.
    pub top: u64,
    /// What was kept, and when it was made, in order.
    pub publications: Vec<(Instant, Publication)>,
}

/// The channels of all cores; clones are the same.
#[derive(Clone, Default)]
pub struct RestoredChannels(Arc<RestoredShares>);

#[derive(Default)]
struct RestoredShares {
    at: Instant,
    of: Vec<Mutex<Vec<RestoredChannel>>>,
    is_taken: AtomicBool,
}

impl RestoredChannel {
    /// The place of the newest publication, in that history if it is another one.
    #[must_use]
    pub fn position(&self, other: impl FnOnce() -> Epoch) -> Position {
        Position {
            epoch: self.epoch.unwrap_or_else(other),
            offset: self.top,
        }
    }
}

impl RestoredChannels {
    /// What was read at that time, of so many cores, by the core that each channel is homed on.
    pub fn new(
        at: Instant,
        cores: u16,
        channels: Vec<RestoredChannel>,
        home: impl Fn(&str) -> Core,
    ) -> Self {
        // Names are dealt out evenly, as far as they are many.
        let each = channels.len() / usize::from(cores.max(1));
        let each = each + each / 16 + 16;
        let shares = (0..cores).map(|_| Vec::with_capacity(each));
        let mut of: Vec<Vec<RestoredChannel>> = shares.collect();
        for channel in channels {
            if let Some(share) = of.get_mut(home(&channel.name).index()) {
                share.push(channel);
            }
        }
        let of = of.into_iter().map(Mutex::new).collect();
        let is_taken = AtomicBool::new(false);
        Self(Arc::new(RestoredShares { at, of, is_taken }))
    }

    /// What is homed on that core, the first time.
    #[must_use]
    pub fn take(&self, core: Core) -> Vec<RestoredChannel> {
        self.0.is_taken.store(true, Relaxed);
        let share = self.0.of.get(core.index());
        let share = share.map(|it| it.lock().unwrap_or_else(PoisonError::into_inner));
        share.map_or_else(Vec::new, |mut it| std::mem::take(&mut *it))
    }

    /// Whether no core has begun with it.
    #[must_use]
    pub fn is_untouched(&self) -> bool {
        !self.0.is_taken.load(Relaxed)
    }

    /// When it was read.
    #[must_use]
    pub fn at(&self) -> Instant {
        self.0.at
    }
}

impl fmt::Debug for RestoredChannels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RestoredChannels({} cores)", self.0.of.len())
    }
}
