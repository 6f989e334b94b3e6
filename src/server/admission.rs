//! Which newcomers are let in: as many connections as configured, and a few more, so that each
//! newcomer gets an answer and health and figures are told when the server is full.

use super::Config;
use super::guard::Entrance;
use crate::door::DoorRefusal;
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
    reason: "only /healthz, /stats, /metrics, /dash/, /report/ and /logs/ here",
};

/// What a newcomer gets that a limit does not let in (RFC 6585, 4; RFC 9110, 15.6.4).
pub(super) const fn barred(refusal: DoorRefusal) -> Fault {
    let (status, reason) = match refusal {
        DoorRefusal::Address => (429, "too many connections of this address"),
        DoorRefusal::Addresses => (503, "too many addresses"),
        DoorRefusal::Connects => (503, "too many newcomers"),
        DoorRefusal::Token => (429, "too many connections of one token"),
    };
    Fault::Http { status, reason }
}

/// What an accepted connection counts as.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Place {
    /// One of those that were configured.
    #[default]
    Regular,
    /// One beyond them: it gets an answer and is ended.
    Spare,
    /// One that a limit does not let in: it gets that answer and is ended.
    Barred(DoorRefusal),
    /// One on the listener for health and figures.
    Admin,
    /// None: there is not even a spare one.
    Nowhere,
}

impl Place {
    /// How long a connection there may take over its head.
    pub(super) fn head_time(self, config: &Config) -> Duration {
        match self {
            Self::Regular | Self::Admin => config.head_time(),
            Self::Spare | Self::Barred(_) | Self::Nowhere => limits::SPARE_TIME,
        }
    }

    /// Where it came in.
    pub(super) const fn entrance(self) -> Entrance {
        match self {
            Self::Admin => Entrance::Admin,
            Self::Regular | Self::Spare | Self::Barred(_) | Self::Nowhere => Entrance::Regular,
        }
    }

    /// Whether a connection there is to end with its answer.
    pub(super) const fn is_brief(self) -> bool {
        matches!(self, Self::Spare | Self::Barred(_))
    }
}

/// Paths that are answered however full the server is. So is what is posted to an application:
/// whoever listens to an event stream has to make a connection to speak.
const ALWAYS: [&str; 3] = ["/healthz", "/stats", "/metrics"];

/// Whether a path is one of the pages for operators, or of what they are made of.
fn is_for_operators(path: &str) -> bool {
    let first = path.split('/').nth(1).unwrap_or_default();
    ["console", "report", "logs", "dash"].contains(&first)
}

/// How many connections of one core there are in each place.
#[derive(Debug, Default)]
pub(super) struct Admission {
    regular: u32,
    spare: u32,
    admin: u32,
}

impl Admission {
    /// A newcomer takes a place: one beside the others if it is not let in for that.
    pub(super) fn enter(
        &mut self,
        listener: u16,
        refusal: Option<DoorRefusal>,
        config: &Config,
    ) -> Place {
        let place = if config.is_admin(listener) {
            if self.admin < limits::ADMIN_CONNECTIONS {
                Place::Admin
            } else {
                Place::Nowhere
            }
        } else if let Some(refusal) = refusal {
            if self.spare < limits::SPARE_CONNECTIONS {
                Place::Barred(refusal)
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
            Place::Admin if is_for_operators(path) => Ok(()),
            Place::Admin => Err(ADMIN_ONLY),
            Place::Barred(refusal) => {
                config.barred();
                Err(barred(refusal))
            }
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
            Place::Spare | Place::Barred(_) => Some(&mut self.spare),
            Place::Admin => Some(&mut self.admin),
            Place::Nowhere => None,
        }
    }
}
