//! What a rule keeps from clients: publications, as they are told and as they are read.

use super::{Audience, ChannelEvent, Desk, Effects, HubAnswer, HubLetter, User};

impl<E: Effects<Vec<HubLetter>>> Desk<'_, E> {
    /// Tells those of a publication who may hear it: that JSON, within that channel.
    pub(super) fn tell_allowed(
        &mut self,
        to: Audience<'_>,
        (channel, event): (&str, ChannelEvent<'_>),
        (within, data): (&str, &str),
        late: &mut Vec<usize>,
    ) {
        let gatekeeper = &mut *self.gatekeeper;
        let all = to.users.iter().enumerate();
        let allowed = all.filter(|(_, user)| gatekeeper.may_hear(**user, within, data));
        let (places, users): (Vec<usize>, Vec<User>) = allowed.unzip();
        let mut passed_over = Vec::new();
        if !users.is_empty() {
            let users = &users;
            self.tell_all(Audience { users, ..to }, channel, event, &mut passed_over);
        }
        late.extend(passed_over.iter().filter_map(|at| places.get(*at)));
    }

    /// Takes out of an answer what its client may not hear.
    pub(super) fn withhold(&mut self, to: User, answer: &mut HubAnswer) {
        let gatekeeper = &mut *self.gatekeeper;
        let (channel, caught) = match answer {
            HubAnswer::Subscribed(it) => (it.channel.clone(), it.missed.as_mut()),
            HubAnswer::History(channel, caught) => (channel.clone(), Some(caught)),
            HubAnswer::Published(_)
            | HubAnswer::Presence(_)
            | HubAnswer::Headcount(_)
            | HubAnswer::Reached { .. }
            | HubAnswer::Done
            | HubAnswer::Refused(_) => return,
        };
        if let Some(caught) = caught {
            let publications = &mut caught.publications;
            publications.retain(|it| gatekeeper.may_hear(to, &channel, &it.data));
        }
    }
}
