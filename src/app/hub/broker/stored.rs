//! What the memory of one core knows of a channel; of most sessions hardly anything.

use super::OfChannel;
use crate::app::hub::history::{Catchup, ChannelHistory};
use crate::app::hub::options::HistoryOptions;
use crate::app::hub::position::{Epoch, Position, Since};
use crate::app::hub::presence::Attendance;
use crate::app::hub::publication::{ClientId, ClientInfo};
use crate::time::Instant;

/// A channel, or what is known of one that there is hardly anything to: of most sessions.
#[derive(Debug)]
pub(super) enum StoredChannel {
    /// It is open, that client alone is there, of whom there is nothing but a name, and nothing was
    /// ever published.
    Bare {
        epoch: Epoch,
        client: ClientId,
    },
    Whole(Box<Stored>),
}

const _: () = assert!(size_of::<StoredChannel>() <= 24, "a session is small");

/// One channel.
#[derive(Debug)]
pub(super) struct Stored {
    pub(super) history: ChannelHistory,
    pub(super) present: Attendance,
    /// What is known of one that has something that becomes too old.
    pub(super) aging: Option<Box<Aging>>,
}

/// What of a channel becomes too old.
#[derive(Debug)]
pub(super) struct Aging {
    pub(super) options: HistoryOptions,
    /// Since when nobody has the channel open, as far as somebody may come back to it.
    pub(super) closed_at: Option<Instant>,
    /// Its entry in `expiries`.
    pub(super) expiry: Option<Instant>,
}

impl StoredChannel {
    pub(super) const fn whole(&self) -> Option<&Stored> {
        match self {
            Self::Bare { .. } => None,
            Self::Whole(stored) => Some(stored),
        }
    }

    pub(super) const fn whole_mut(&mut self) -> Option<&mut Stored> {
        match self {
            Self::Bare { .. } => None,
            Self::Whole(stored) => Some(stored),
        }
    }

    /// From here on it is whole.
    pub(super) fn unpack(&mut self) {
        if let Self::Bare { epoch, client } = *self {
            let mut stored = Box::new(Stored::new(epoch));
            stored.history.is_open = true;
            let about = None;
            stored.present.enter(ClientInfo { client, about });
            *self = Self::Whole(stored);
        }
    }

    /// It is bare, if there is nothing else to it.
    pub(super) fn pack(&mut self) {
        if let Some(stored) = self.whole()
            && let Some(client) = stored.present.only()
            && let Position { epoch, offset: 0 } = stored.history.top()
            && stored.history.is_open
            && stored.aging.is_none()
        {
            *self = Self::Bare { epoch, client };
        }
    }
}

impl Stored {
    /// What came after that place, or from that time on, of which something may have been forgotten
    /// up to then.
    pub(super) fn catch_up(
        &self,
        since: Option<Since>,
        channel: OfChannel<'_>,
        forgot_at: Option<Instant>,
    ) -> Catchup {
        match since {
            // Perhaps that was of this channel.
            Some(since) if since.from.is_some_and(|from| forgot_at >= Some(from)) => {
                self.history.since(Since::place(None, 0))
            }
            Some(since) => self.history.catch_up(since, channel.history, channel.now),
            None => Catchup::nothing(self.history.top()),
        }
    }

    pub(super) fn new(epoch: Epoch) -> Self {
        Self {
            history: ChannelHistory::new(epoch),
            present: Attendance::default(),
            aging: None,
        }
    }
}

impl Aging {
    pub(super) fn of(channel: OfChannel<'_>) -> Box<Self> {
        Box::new(Self {
            options: channel.history,
            closed_at: None,
            expiry: None,
        })
    }
}
