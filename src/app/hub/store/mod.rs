//! What outlives the process, as a home core sees it: it tells what has become of a channel and
//! waits for nothing. Where that is written, and when, is not known there.
//!
//! ```text
//! broker::Memory --StoreEntry--> StoreLine --> StoreKeeper --> StoreDisk
//!         ^---------- RestoredChannels, at the start --------------'
//! ```
//! A core puts what is new into its line. Whoever owns the keeper, a thread of its own, writes it
//! in batches, each whole or not at all. So what is on the disk is always what was some time ago,
//! by [`limits::STORE_GATHER_TIME`] and the time that the disk takes.
//!
//! [`limits::STORE_GATHER_TIME`]: crate::limits::STORE_GATHER_TIME

mod counts;
mod entry;
mod keeper;
mod line;
mod pending;
mod record;
mod restored;

pub use counts::{StoreCounts, StoreFigures};
pub use entry::{StoreChange, StoreEntry};
pub use keeper::{StoreDisk, StoreEnd, StoreKeeper, StoreNews};
pub use line::StoreLine;
pub use pending::{ChannelWrites, StoreBatch};
pub use record::StoreRecord;
pub use restored::{RestoredChannel, RestoredChannels};

/// The store of a server, as its cores see it.
#[derive(Clone, Debug)]
pub struct StorePlan {
    /// A line for each core.
    pub lines: Vec<StoreLine>,
    /// How that goes.
    pub counts: StoreCounts,
    /// What was there at the start.
    pub restored: RestoredChannels,
    /// What the cookies of sessions are signed with: the same in every run.
    pub cookie_secret: [u8; 32],
}
