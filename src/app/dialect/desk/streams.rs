//! What event streams of channels are told: each publication with the cursor that it moves to.

use super::{
    Audience, ChannelEvent, CloseAdvice, Desk, Effects, ErrorCode, HubAnswer, HubLetter, Notice,
    Position, STREAM, User, as_text, channels, plain, views,
};

impl<E: Effects<Vec<HubLetter>>> Desk<'_, E> {
    /// A topic is not to be had.
    pub fn refuse(&mut self, user: User, topic: &str, error: ErrorCode) {
        self.complaints.count(error.code);
        let mut text = Vec::new();
        channels::write_refused(&mut text, topic, error);
        let notice = Notice::new(0, channels::REFUSED, as_text(&text));
        self.effects.tell(&[user], notice);
        self.topic_answered(user);
    }

    /// Tells event streams of channels.
    pub(super) fn stream(
        &mut self,
        to: Audience<'_>,
        channel: &str,
        event: ChannelEvent<'_>,
        late: &mut Vec<usize>,
    ) {
        let mut text = std::mem::take(self.text);
        text.clear();
        match event {
            ChannelEvent::Publication(epoch, it) => {
                channels::write(&mut text, channel, it);
                let place = Position {
                    epoch,
                    offset: it.offset,
                };
                self.step(to, (channel, place), as_text(&text), late);
            }
            ChannelEvent::Matched(within, it) => {
                channels::write_matched(&mut text, (channel, within), it);
                // Nothing to come back to.
                self.send(to, plain(as_text(&text)), late);
            }
            ChannelEvent::Missed(count) => {
                channels::write_missed(&mut text, channel, count);
                let name = channels::STALE;
                let notice = Notice::new(0, name, as_text(&text));
                self.send(to, notice, late);
            }
            // It comes back by itself, with its cursor.
            ChannelEvent::Interrupted | ChannelEvent::Unsubscribed => {
                for user in to.users {
                    self.dismiss(*user, CloseAdvice::INSUFFICIENT_STATE);
                }
            }
            ChannelEvent::Changed(_) => {}
        }
        *self.text = text;
    }

    /// Tells event streams a publication, which moves their cursors.
    fn step(
        &mut self,
        to: Audience<'_>,
        (channel, place): (&str, Position),
        text: &str,
        late: &mut Vec<usize>,
    ) {
        let mut cursor = String::new();
        if place.offset == 0 {
            // Nothing to come back to.
            return self.send(to, plain(text), late);
        }
        if to.encoding == STREAM {
            channels::write_place(&mut cursor, place.epoch, place.offset);
            let notice = plain(text).at(&cursor);
            return self.send(to, notice, late);
        }
        for (at, user) in to.users.iter().enumerate() {
            self.streams.moved(*user, channel, place, &mut cursor);
            let users = std::slice::from_ref(user);
            let before = late.len();
            self.send(Audience { users, ..to }, plain(text).at(&cursor), late);
            if let Some(passed_over) = late.get_mut(before) {
                *passed_over = at;
            }
        }
    }

    /// What became of a topic that an event stream wants.
    pub(super) fn topic(&mut self, user: User, channel: &str, answer: &HubAnswer) {
        let mut text = std::mem::take(self.text);
        text.clear();
        let mut cursor = String::new();
        match answer {
            HubAnswer::Subscribed(it) => {
                let missed = it.missed.as_ref();
                let whole = missed.filter(|caught| caught.whole);
                for publication in whole.iter().flat_map(|caught| &caught.publications) {
                    text.clear();
                    channels::write(&mut text, channel, publication);
                    let (epoch, offset) = (it.position.epoch, publication.offset);
                    let place = Position { epoch, offset };
                    self.streams.moved(user, channel, place, &mut cursor);
                    self.effects
                        .tell(&[user], plain(as_text(&text)).at(&cursor));
                }
                self.streams.moved(user, channel, it.position, &mut cursor);
                if missed.is_some() && whole.is_none() {
                    text.clear();
                    channels::write_stale(&mut text, it);
                    let notice = Notice::new(0, channels::STALE, as_text(&text));
                    self.effects.tell(&[user], notice.at(&cursor));
                }
            }
            HubAnswer::Refused(error) => {
                *self.text = text;
                return self.refuse(user, channel, views::error(*error));
            }
            HubAnswer::Published(_)
            | HubAnswer::History(..)
            | HubAnswer::Presence(_)
            | HubAnswer::Headcount(_)
            | HubAnswer::Reached { .. }
            | HubAnswer::Done => {}
        }
        *self.text = text;
        self.topic_answered(user);
    }

    /// One topic more of an event stream is answered.
    fn topic_answered(&mut self, user: User) {
        if self.streams.answered(user) {
            let (mut text, mut cursor) = (Vec::new(), String::new());
            self.streams.cursor(user, &mut cursor);
            self.streams.ready(user, &mut text);
            let notice = Notice::new(0, channels::READY, as_text(&text));
            self.effects.tell(&[user], notice.at(&cursor));
        }
    }
}
