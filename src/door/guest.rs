//! What is known of each connection that a limit is about, by slot.

use super::address::AddressKey;
use super::rate::Bucket;
use crate::shard::ConnectionId;
use crate::time::Instant;

/// A connection.
#[derive(Clone, Debug, Default)]
pub(super) struct Admitted {
    generation: Option<u32>,
    /// Whom it counts for.
    pub(super) address: Option<AddressKey>,
    /// Whose token it has shown.
    pub(super) holder: Option<AddressKey>,
    /// It is of a trusted proxy.
    pub(super) is_proxy: bool,
    pub(super) messages: Bucket,
    pub(super) bytes: Bucket,
    /// When it has to have said something.
    pub(super) speaks_by: Option<Instant>,
    /// When it has to go.
    pub(super) ends_at: Option<Instant>,
}

/// All of them: nothing where no limit is set.
#[derive(Debug, Default)]
pub(super) struct Guests {
    slots: Vec<Admitted>,
}

impl Admitted {
    /// When to look at it.
    pub(super) fn due(&self) -> Option<Instant> {
        let times = [self.speaks_by, self.ends_at];
        times.into_iter().flatten().min()
    }
}

impl Guests {
    /// What is known of that one, which may be new.
    pub(super) fn get(&mut self, id: ConnectionId) -> &mut Admitted {
        if self.slots.len() <= id.slot() {
            self.slots.resize_with(id.slot() + 1, Admitted::default);
        }
        #[expect(clippy::indexing_slicing, reason = "it was made so long")]
        let guest = &mut self.slots[id.slot()];
        if guest.generation != Some(id.generation()) {
            *guest = Admitted {
                generation: Some(id.generation()),
                ..Admitted::default()
            };
        }
        guest
    }

    /// What is known of that one, if anything is.
    pub(super) fn known(&mut self, id: ConnectionId) -> Option<&mut Admitted> {
        let guest = self.slots.get_mut(id.slot());
        guest.filter(|guest| guest.generation == Some(id.generation()))
    }

    /// Forgets it: what was known.
    pub(super) fn take(&mut self, id: ConnectionId) -> Option<Admitted> {
        self.known(id).map(std::mem::take)
    }
}
