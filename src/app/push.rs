//! Push: a numbered message at a fixed interval to everyone who listens, and a bounded history of
//! them for those who come back.
//!
//! Message N is planned at `started + N * every`, so every core numbers alike without a word
//! between them, and a listener may come back to another core. A core without listeners does not
//! wake for messages that nobody hears: it makes up for them, in order, when the next one comes.

use super::{App, Effects, Message, Missed, Notice, Reach, Seat, User};
use crate::limits;
use crate::time::Instant;
use std::collections::VecDeque;
use std::fmt::Write as _;
use std::time::Duration;

/// What a push message is called.
pub const NAME: &str = "push";
/// Late messages broadcast in one call: a core that fell behind catches up over several turns.
const CATCH_UP: u64 = 64;
/// Bytes of a message beside its text, at most.
const AROUND: usize = 128;
/// The shortest interval: below it a core would do nothing else.
const SHORTEST: Duration = Duration::from_millis(1);

/// What a run of push messages looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PushConfig {
    /// When message 0 would have been: the same on every core.
    pub started: Instant,
    /// What tells this run's messages from those of another: the same on every core.
    pub run: u32,
    /// Time between messages; at least 1 ms is taken.
    pub every: Duration,
    /// Bytes of a message's text, padded up to here; a message never needs fewer than about 40.
    pub bytes: usize,
    /// Messages kept for listeners who come back.
    pub history: usize,
}

/// The sequence of messages of one core.
#[derive(Debug)]
pub struct Push {
    config: PushConfig,
    /// The number of the newest message that was made.
    last: u64,
    /// While messages are overdue: when the next of them may leave.
    resume: Option<Instant>,
    /// When the newest messages were made, in order; the back one is message `last`.
    made: VecDeque<Instant>,
    text: String,
}

impl Push {
    /// No message yet.
    #[must_use]
    pub fn new(config: PushConfig) -> Self {
        let every = config.every.max(SHORTEST);
        let config = PushConfig { every, ..config };
        Self {
            config,
            last: 0,
            resume: None,
            made: VecDeque::with_capacity(config.history),
            text: String::new(),
        }
    }

    /// When the next message is due.
    #[must_use]
    pub fn due_at(&self) -> Instant {
        self.planned(self.last + 1)
            .max(self.resume.unwrap_or_default())
    }

    /// Broadcasts the messages that are due. Returns how many of them were late by more than an
    /// interval: this core was late, not its listeners. So those that are overdue leave a few at a
    /// time, twice as fast as planned if they are large: a listener that keeps up with that is no
    /// slow consumer.
    pub fn make_due(&mut self, now: Instant, effects: &mut impl Effects<()>) -> u64 {
        if self.resume.is_some_and(|at| now < at) {
            return 0;
        }
        let all = self.due(now);
        let each = self.config.bytes.saturating_add(AROUND);
        let few = u64::try_from(limits::CATCH_UP_BYTES / each).unwrap_or(CATCH_UP);
        let due = all.min(self.last + few.clamp(1, CATCH_UP));
        let late = due.min(all.saturating_sub(1)).saturating_sub(self.last);
        self.resume = (due < all).then(|| now + self.config.every / 2);
        while self.last < due {
            self.make(now);
            write(&mut self.text, self.last, now, self.config.bytes);
            effects.broadcast(Notice {
                id: self.last,
                run: Some(self.config.run),
                cursor: None,
                name: NAME,
                text: &self.text,
            });
        }
        late
    }

    /// Somebody listens again after nobody did: makes what nobody heard, for the history, as if at
    /// its time, so that it is told alike by a core that did have listeners.
    pub fn catch_up(&mut self, now: Instant) {
        self.resume = None;
        let due = self.due(now);
        let kept = u64::try_from(self.config.history).unwrap_or(u64::MAX);
        if due.saturating_sub(self.last) > kept {
            self.made.clear();
            self.last = due - kept;
        }
        while self.last < due {
            self.make(self.planned(self.last + 1));
        }
    }

    /// What a listener missed whose newest message was `id`, as it sent it: `RUN:N`, as
    /// [`Notice::write_id`] writes it.
    #[must_use]
    pub fn missed_since(&self, id: &str) -> Missed {
        match self.number(id) {
            Some(after) if after > self.last => Missed::Foreign,
            Some(after) if after + 1 >= self.oldest() => {
                let each = self.config.bytes.saturating_add(AROUND);
                let each = u64::try_from(each).unwrap_or(u64::MAX);
                let bytes = (self.last - after).saturating_mul(each);
                Missed::Kept { after, bytes }
            }
            Some(after) => Missed::Lost { from: after + 1 },
            None => Missed::Foreign,
        }
    }

    /// The number in an id of this run.
    fn number(&self, id: &str) -> Option<u64> {
        let (run, number) = id.split_once(':')?;
        // Digits only, here too.
        let is_plain = run.len() == 8 && run.bytes().all(|byte| byte.is_ascii_hexdigit());
        let is_run = is_plain && u32::from_str_radix(run, 16) == Ok(self.config.run);
        // Digits only: `parse` alone would take "+7".
        let is_number = number.bytes().all(|byte| byte.is_ascii_digit());
        number.parse().ok().filter(|_| is_run && is_number)
    }

    /// The number of the newest message; 0 before the first.
    #[must_use]
    pub fn last(&self) -> u64 {
        self.last
    }

    /// The number of the oldest message that is still here; `last + 1` if none is.
    #[must_use]
    pub fn oldest(&self) -> u64 {
        self.last + 1 - u64::try_from(self.made.len()).unwrap_or(0)
    }

    /// Hands out every message after `after` that is still here, oldest first.
    pub fn replay_after(&mut self, after: u64, mut each: impl FnMut(Notice<'_>)) {
        let oldest = self.oldest();
        let (made, text) = (&self.made, &mut self.text);
        for (id, at) in (oldest..).zip(made).filter(|(id, _)| *id > after) {
            write(text, id, *at, self.config.bytes);
            each(Notice {
                id,
                run: Some(self.config.run),
                cursor: None,
                name: NAME,
                text,
            });
        }
    }

    /// The number of the newest message that should have been made by `now`.
    fn due(&self, now: Instant) -> u64 {
        let count = now.since(self.config.started).as_nanos() / self.config.every.as_nanos();
        u64::try_from(count).unwrap_or(u64::MAX)
    }

    /// When a message belongs.
    fn planned(&self, number: u64) -> Instant {
        let after = u128::from(number) * self.config.every.as_nanos();
        self.config.started + Duration::from_nanos(u64::try_from(after).unwrap_or(u64::MAX))
    }

    fn make(&mut self, now: Instant) {
        self.last += 1;
        if self.made.len() >= self.config.history {
            self.made.pop_front();
        }
        if self.config.history > 0 {
            self.made.push_back(now);
        }
    }
}

impl App for Push {
    type Batch = ();
    const REACH: Reach = Reach::All;
    const HEARS: bool = false;

    fn said(&mut self, _: User, _: Seat, _: Message<'_>, _: &mut impl Effects<()>) {}

    fn deadline(&self) -> Option<Instant> {
        Some(self.due_at())
    }

    fn expired(&mut self, now: Instant, effects: &mut impl Effects<()>) -> u64 {
        self.make_due(now, effects)
    }

    fn awake(&mut self, now: Instant) {
        self.catch_up(now);
    }

    fn missed(&self, id: &str) -> Option<Missed> {
        Some(self.missed_since(id))
    }

    fn replay(&mut self, after: u64, each: &mut dyn FnMut(Notice<'_>)) {
        self.replay_after(after, each);
    }

    fn newest(&self) -> (u32, u64) {
        (self.config.run, self.last)
    }
}

/// The text of a message: `{"seq":N,"sent_ns":T}`, padded to `bytes`.
fn write(text: &mut String, seq: u64, sent: Instant, bytes: usize) {
    const PAD: &str = ",\"pad\":\"\"";
    text.clear();
    // Writing to a String does not fail.
    let _ = write!(text, "{{\"seq\":{seq},\"sent_ns\":{}", sent.as_nanos());
    let short = bytes.saturating_sub(text.len() + 1);
    if short > 0 {
        text.push_str(",\"pad\":\"");
        text.extend(std::iter::repeat_n('x', short.saturating_sub(PAD.len())));
        text.push('"');
    }
    text.push('}');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Heard(Vec<(u64, String)>);

    impl Effects<()> for Heard {
        fn reply(&mut self, message: Message<'_>) {
            panic!("push replied {message:?}");
        }

        fn tell(&mut self, users: &[User], _: Notice<'_>) {
            panic!("push told {users:?}");
        }

        fn say(&mut self, user: User, _: Message<'_>) {
            panic!("push told {user:?}");
        }

        fn turn_away(&mut self, user: User) {
            panic!("push turned {user:?} away");
        }

        fn dismiss(&mut self, user: User, goodbye: crate::app::Goodbye) {
            panic!("push closed {user:?} with {goodbye:?}");
        }

        fn respond(&mut self, asker: User, _: crate::app::ApiResponse) {
            panic!("push answered {asker:?}");
        }

        fn answer(&mut self, asker: User, _: crate::app::Answer) {
            panic!("push answered {asker:?}");
        }

        fn forward(&mut self, _: crate::shard::Core, item: std::convert::Infallible) {
            match item {}
        }

        fn now(&self) -> Instant {
            panic!("a push is told the time")
        }

        fn is_behind(&self, user: User) -> bool {
            panic!("push asked for {user:?}")
        }

        fn hold(&mut self) {
            panic!("push held a user")
        }

        fn release(&mut self, user: User) {
            panic!("push released {user:?}");
        }

        fn broadcast(&mut self, notice: Notice<'_>) {
            assert_eq!(notice.name, NAME);
            self.0.push((notice.id, notice.text.to_owned()));
        }
    }

    /// Messages without text are counted as what is around one.
    fn kept(after: u64, count: u64) -> Missed {
        let bytes = count * 128;
        Missed::Kept { after, bytes }
    }

    fn at(ms: u64) -> Instant {
        Instant::from_nanos(ms * 1_000_000)
    }

    fn push(history: usize) -> Push {
        let every = Duration::from_millis(10);
        Push::new(PushConfig {
            started: at(1000),
            run: 0xbeef,
            every,
            bytes: 0,
            history,
        })
    }

    fn heard(push: &mut Push, now: Instant) -> Vec<u64> {
        let mut heard = Heard::default();
        push.make_due(now, &mut heard);
        heard.0.into_iter().map(|(id, _)| id).collect()
    }

    fn replayed(push: &mut Push, after: u64) -> Vec<u64> {
        let mut ids = Vec::new();
        push.replay_after(after, |notice| ids.push(notice.id));
        ids
    }

    #[test]
    fn the_first_message_is_number_1_after_one_interval() {
        let mut push = push(4);
        assert_eq!(push.due_at(), at(1010));
        assert_eq!(heard(&mut push, at(1009)), [0; 0]);
        assert_eq!(heard(&mut push, at(1010)), [1]);
        assert_eq!(push.due_at(), at(1020));
    }

    #[test]
    fn late_messages_are_caught_up_in_order_a_bounded_number_a_turn() {
        let mut push = push(4);
        assert_eq!(heard(&mut push, at(1045)), [1, 2, 3, 4]);
        assert_eq!(heard(&mut push, at(9000)).len(), 64);
        assert_eq!(push.due_at(), at(9005), "a moment for whoever listens");
        assert_eq!(heard(&mut push, at(9004)), [0; 0]);
        assert_eq!(heard(&mut push, at(9005))[0], 69);
    }

    #[test]
    fn large_overdue_messages_leave_twice_as_fast_as_planned_and_count_as_late() {
        let mut push = push(4);
        push.config.bytes = 64 * 1024;
        let (mut now, mut late) = (at(1705), 0);
        loop {
            let mut heard = Heard::default();
            late += push.make_due(now, &mut heard);
            assert_eq!(heard.0.len(), 1, "one at a time");
            if push.resume.is_none() {
                break;
            }
            now = push.due_at();
        }
        assert!(now < at(1705 + 710), "it has caught up");
        assert!((130..=140).contains(&late), "{late}");
        let mut heard = Heard::default();
        assert_eq!(push.make_due(push.due_at(), &mut heard), 0, "in time again");
    }

    #[test]
    fn a_message_tells_its_number_and_when_it_was_made() {
        let mut heard = Heard::default();
        push(4).make_due(at(1010), &mut heard);
        assert_eq!(
            heard.0,
            [(1, r#"{"seq":1,"sent_ns":1010000000}"#.to_owned())]
        );
    }

    #[test]
    fn a_message_is_padded_to_the_bytes_asked_for_and_stays_json() {
        for bytes in 0..100 {
            let mut text = String::new();
            write(&mut text, 12, at(5), bytes);
            let json: serde_json::Value = serde_json::from_str(&text).expect("json");
            assert_eq!(json["seq"], 12);
            let bare = r#"{"seq":12,"sent_ns":5000000}"#.len();
            let least = if bytes <= bare {
                bare
            } else {
                bytes.max(bare + 9)
            };
            assert_eq!(text.len(), least, "{bytes}");
        }
    }

    #[test]
    fn who_comes_back_gets_what_was_missed() {
        let mut push = push(4);
        heard(&mut push, at(1100));
        assert_eq!(push.missed_since("0000beef:8"), kept(8, 2));
        assert_eq!(replayed(&mut push, 8), [9, 10]);
        assert_eq!(push.missed_since("0000beef:6"), kept(6, 4));
        assert_eq!(replayed(&mut push, 6), [7, 8, 9, 10]);
        assert_eq!(replayed(&mut push, 10), [0; 0]);
    }

    #[test]
    fn an_id_that_is_too_old_is_lost() {
        let mut push = push(4);
        heard(&mut push, at(1100));
        assert_eq!(push.missed_since("0000beef:5"), Missed::Lost { from: 6 });
        assert_eq!(push.missed_since("0000BEEF:0"), Missed::Lost { from: 1 });
    }

    #[test]
    fn an_id_of_another_run_is_never_taken_for_one_of_this() {
        let mut push = push(4);
        heard(&mut push, at(1100));
        for id in [
            "0000beee:8",
            "8",
            "0000beef:11",
            "0000beef:",
            "0000beef",
            "beef:8",
            ":8",
            "",
            "x",
            "0000beef:+8",
            "0000beef:-1",
            "0000beef:8 ",
            "+000beef:8",
            "0000beef:8:8",
            "0000beef:18446744073709551616",
        ] {
            assert_eq!(push.missed_since(id), Missed::Foreign, "{id:?}");
        }
    }

    #[test]
    fn a_replayed_message_is_the_same_text() {
        let mut push = push(4);
        let mut heard = Heard::default();
        push.make_due(at(1025), &mut heard);
        push.make_due(at(1033), &mut heard);
        let mut again = Vec::new();
        push.replay_after(0, |notice| again.push((notice.id, notice.text.to_owned())));
        assert_eq!(again, heard.0);
    }

    #[test]
    fn what_nobody_heard_is_in_the_history_for_who_comes_back() {
        let mut push = push(4);
        heard(&mut push, at(1020));
        push.catch_up(at(1045));
        assert_eq!(push.missed_since("0000beef:2"), kept(2, 2));
        let mut told = Vec::new();
        push.replay_after(2, |notice| told.push(notice.text.to_owned()));
        let third = r#"{"seq":3,"sent_ns":1030000000}"#;
        let fourth = r#"{"seq":4,"sent_ns":1040000000}"#;
        assert_eq!(told, [third, fourth]);
        push.catch_up(at(100_000_000));
        assert_eq!(push.missed_since("0000beef:4"), Missed::Lost { from: 5 });
        assert_eq!(replayed(&mut push, 9_999_898), [9_999_899, 9_999_900]);
    }

    #[test]
    fn without_a_history_everything_but_the_newest_is_lost() {
        let mut push = push(0);
        assert_eq!(heard(&mut push, at(1030)), [1, 2, 3]);
        assert_eq!(push.missed_since("0000beef:2"), Missed::Lost { from: 3 });
        assert_eq!(push.missed_since("0000beef:3"), kept(3, 0));
        push.catch_up(at(2000));
        assert_eq!(push.missed_since("0000beef:100"), kept(100, 0));
    }
}
