//! What becomes of channels when another core has lost all it had, or is gone for good.

use super::Hub;
use super::answer::{HubAnswer, HubError};
use super::broker::Broker;
use super::letter::HubLetter;
use super::outlet::Outlet;
use super::pattern::is_pattern;
use crate::app::Seat;
use crate::shard::Core;

impl<B: Broker> Hub<B> {
    /// Another core is gone for good: what it was the home of cannot be reached any more, and who
    /// asks for it is told so.
    pub fn ended(&mut self, core: Core, out: &mut impl Outlet) {
        self.gone.insert(core);
        self.lost(core, out);
    }

    /// Another core has begun anew, and lost all it had: nothing that was said to it before, or by
    /// it, arrives after this.
    pub fn lost(&mut self, core: Core, out: &mut impl Outlet) {
        self.home.tick(out.now());
        self.home.lost(core);
        self.deliver(out);
        self.lose_sessions(core, out);
        let all = self.subscribers.names();
        let homed = all.filter(|(name, _)| is_pattern(name) || self.home_of(name) == core);
        let homed: Vec<u32> = homed.map(|(_, index)| index).collect();
        let seats: Vec<Seat> = self.clients.taken().collect();
        for index in homed {
            self.interrupt(index, out);
            // Whoever asked is not answered any more.
            for &seat in &seats {
                let asked = self.clients.to(seat, index).map(|asked| asked.ticket);
                if let Some(ticket) = asked
                    && let Some(asker) = self.clients.asker(seat, ticket)
                {
                    self.end(seat, index, out);
                    out.answer(asker, HubAnswer::Refused(HubError::Unreachable));
                }
            }
        }
    }

    /// Answers what is said to a core that is gone.
    pub(super) fn unheard(&mut self, letter: HubLetter, out: &mut impl Outlet) {
        let error = HubError::Unreachable;
        match letter {
            HubLetter::Subscribe(order) => self.refused(order.subscription, error, out),
            HubLetter::Watch { subscription, .. } => self.refused(subscription, error, out),
            HubLetter::Ask { asker, .. } => out.answer(asker, HubAnswer::Refused(error)),
            HubLetter::Order { asker, .. } => {
                let (clients, channels) = (0, Vec::new());
                out.answer(asker, HubAnswer::Reached { clients, channels });
            }
            // Nobody waits for these.
            HubLetter::Unsubscribe { .. }
            | HubLetter::Attend(_)
            | HubLetter::Unwatch { .. }
            | HubLetter::Watching { .. }
            | HubLetter::Matched { .. }
            | HubLetter::Answer { .. }
            | HubLetter::Subscribed { .. }
            | HubLetter::Refused { .. }
            | HubLetter::Deliver { .. }
            | HubLetter::Changed { .. }
            | HubLetter::Interrupted { .. }
            | HubLetter::Carried { .. }
            | HubLetter::Recall { .. }
            | HubLetter::Recalled { .. } => {}
        }
    }
}
