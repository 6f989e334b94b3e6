//! What all cores count, told once a second to whoever looks: one text for all who look at one
//! core, and nothing where nobody does.

use super::super::{App, Effects, Message, Notice, Reach, Seat, User};
use crate::time::Instant;
use std::time::Duration;

/// Time between two texts.
const SECOND: Duration = Duration::from_secs(1);

/// What one core's lookers are told.
#[derive(Debug, Default)]
pub struct Dash {
    next: Instant,
    /// The cores have been asked.
    is_asked: bool,
}

impl App for Dash {
    type Batch = ();
    const REACH: Reach = Reach::All;
    const HEARS: bool = false;

    fn said(&mut self, _: User, _: Seat, _: Message<'_>, _: &mut impl Effects<()>) {}

    fn awake(&mut self, now: Instant) {
        self.next = now;
    }

    fn deadline(&self) -> Option<Instant> {
        Some(self.next)
    }

    fn expired(&mut self, now: Instant, effects: &mut impl Effects<()>) -> u64 {
        self.next = now + SECOND;
        self.is_asked = true;
        effects.measure();
        0
    }

    fn measured(&mut self, figures: &str, effects: &mut impl Effects<()>) {
        if std::mem::take(&mut self.is_asked) {
            effects.broadcast(Notice::new(0, "", figures));
        }
    }
}
