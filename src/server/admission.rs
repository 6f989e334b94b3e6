//! Which newcomers are let in: as many connections as configured, and a few more, so that each
//! newcomer gets an answer and health and figures are told when the server is full.

use super::Config;
use crate::limits;
use crate::protocol::Fault;
use std::time::Duration;

/// What a newcomer gets that finds every place taken.
pub(super) const FULL: Fault = Fault::Http {
    status: 503,
    reason: "no room for another connection",
};

const ADMIN_ONLY: Fault = Fault::Http {
    status: 404,
    reason: "only /healthz, /stats and /metrics here",
};

/// What an accepted connection counts as.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Place {
    /// One of those that were configured.
    #[default]
    Regular,
    /// One beyond them: it gets an answer and is ended.
    Spare,
    /// One on the listener for health and figures.
    Admin,
    /// None: there is not even a spare one.
    Nowhere,
}

impl Place {
    /// How long a connection there may take over its head.
    pub(super) const fn head_time(self) -> Duration {
        match self {
            Self::Regular | Self::Admin => limits::HEAD_TIME,
            Self::Spare | Self::Nowhere => limits::SPARE_TIME,
        }
    }

    /// Whether a connection there is to end with its answer.
    pub(super) const fn is_brief(self) -> bool {
        matches!(self, Self::Spare)
    }
}

/// Paths that are answered however full the server is. So is what is posted to an application:
/// whoever listens to an event stream has to make a connection to speak.
const ALWAYS: [&str; 3] = ["/healthz", "/stats", "/metrics"];

/// How many connections of one core there are in each place.
#[derive(Debug, Default)]
pub(super) struct Admission {
    regular: u32,
    spare: u32,
    admin: u32,
}

impl Admission {
    /// A newcomer takes a place.
    pub(super) fn enter(&mut self, listener: u16, config: &Config) -> Place {
        let place = if config.is_admin(listener) {
            if self.admin < limits::ADMIN_CONNECTIONS {
                Place::Admin
            } else {
                Place::Nowhere
            }
        } else if config.has_room(self.regular) {
            Place::Regular
        } else if self.spare < limits::SPARE_CONNECTIONS {
            Place::Spare
        } else {
            Place::Nowhere
        };
        if let Some(count) = self.count(place) {
            *count += 1;
        }
        place
    }

    /// A connection is over.
    pub(super) fn leave(&mut self, place: Place) {
        if let Some(count) = self.count(place) {
            *count = count.saturating_sub(1);
        }
    }

    /// Whether the connection that asks may have what it asks for; one on a spare place gets a
    /// regular one if there is one by now.
    ///
    /// # Errors
    /// The refusal it gets instead.
    pub(super) fn admit(
        &mut self,
        place: &mut Place,
        path: &str,
        is_post: bool,
        config: &Config,
    ) -> Result<(), Fault> {
        match *place {
            Place::Regular => Ok(()),
            _ if ALWAYS.contains(&path) => Ok(()),
            Place::Admin => Err(ADMIN_ONLY),
            Place::Spare | Place::Nowhere if is_post => Ok(()),
            Place::Spare if config.has_room(self.regular) => {
                self.leave(Place::Spare);
                self.regular += 1;
                *place = Place::Regular;
                Ok(())
            }
            Place::Spare | Place::Nowhere => {
                config.refused_by_answer();
                Err(FULL)
            }
        }
    }

    fn count(&mut self, place: Place) -> Option<&mut u32> {
        match place {
            Place::Regular => Some(&mut self.regular),
            Place::Spare => Some(&mut self.spare),
            Place::Admin => Some(&mut self.admin),
            Place::Nowhere => None,
        }
    }
}
