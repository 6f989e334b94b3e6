//! Rooms: each newcomer gets a room of at most so many, and everyone in it hears everything said
//! there, in one order.
//!
//! Members may sit on any core. The first core is the *directory*: it knows which rooms have a free
//! place. Each room has a *home*, the core of its first member: it numbers what happens there and
//! tells each core that has members, once. Those write the text themselves, for their own members.
//!
//! ```text
//! user's core --Enter--> directory --Place--> home --Welcome--> user's core
//! user's core --Say, Leave--> home --Tell--> each core with members;  home --Vacated--> directory
//! ```
//! Messages between two cores keep their order, so a welcome is followed by exactly what the room
//! hears after it. What a core would say to itself it does at once.
//!
//! A room's events have one sequence: `joined`, `left` and `said` take the next number each, and a
//! welcome (`room`) tells the newest one so far. A room that empties is given to newcomers again;
//! its numbers go on, so that nothing late is taken for new.

mod directory;
mod flow;
mod home_rooms;
mod local;
mod message;
#[cfg(test)]
mod tests;
mod text;

pub use message::{Member, MessageBatch, Room, RoomEvent, RoomMessage, SayAddress};
pub use text::SAY;

use super::{App, Effects, Kind, Message, Notice, Reach, Seat, Unsaid, User, close};
use crate::limits;
use crate::shard::Core;
use crate::time::Instant;
use directory::Directory;
use flow::TalkTurn;
use home_rooms::HomeRooms;
use local::LocalMembers;
use ring::hmac;
use std::collections::BTreeSet;

/// The core that knows which rooms have a free place.
const DIRECTORY: Core = Core(0);

/// What the rooms of a server are like, as one core sees it.
#[derive(Clone, Copy, Debug)]
pub struct RoomsConfig {
    /// The core that is asked.
    pub here: Core,
    /// How many cores there are.
    pub cores: u16,
    /// Members of one room, 1 to [`limits::ROOM_SIZE_MAX`].
    pub size: u16,
    /// The key of the MACs in members' addresses: random, the same on every core, told to nobody.
    pub secret: [u8; 32],
}

/// One core's part in all rooms.
#[derive(Debug)]
pub struct Rooms {
    config: RoomsConfig,
    mac: hmac::Key,
    directory: Directory,
    home: HomeRooms,
    local: LocalMembers,
    /// Where a notice is written.
    text: String,
    /// Rooms whose home waits for a member of this core that is behind, and until when.
    waits: BTreeSet<(Instant, Room)>,
    /// Everyone is leaving.
    closing: bool,
}

impl Rooms {
    /// Nobody is here.
    #[must_use]
    pub fn new(config: RoomsConfig) -> Self {
        let size = config.size.clamp(1, limits::ROOM_SIZE_MAX);
        let config = RoomsConfig { size, ..config };
        Self {
            config,
            mac: hmac::Key::new(hmac::HMAC_SHA256, &config.secret),
            directory: Directory::new(config.cores, size),
            home: HomeRooms::default(),
            local: LocalMembers::new(config.cores),
            text: String::new(),
            waits: BTreeSet::new(),
            closing: false,
        }
    }

    /// A user says something to its room.
    ///
    /// # Errors
    /// [`Unsaid`]; then nobody hears it.
    #[inline]
    pub(super) fn say(
        &mut self,
        seat: Seat,
        text: &str,
        effects: &mut impl Effects<MessageBatch>,
    ) -> Result<(), Unsaid> {
        if text.len() > limits::SAID_BYTES {
            return Err(Unsaid::TooLong);
        }
        let member = self.local.member(seat).ok_or(Unsaid::Early)?;
        if let Some(room) = self.local.room(member.room) {
            room.sends.said(flow::weight(text));
        }
        self.send(member.room.home, RoomMessage::Say { member, text }, effects);
        Ok(())
    }

    /// Somebody, perhaps on another core than the member, says something as a member. `asker` is
    /// answered, at once or later.
    ///
    /// # Errors
    /// [`Unsaid`]; then no answer comes.
    pub(super) fn post(
        &mut self,
        asker: User,
        address: SayAddress,
        text: &str,
        effects: &mut impl Effects<MessageBatch>,
    ) -> Result<(), Unsaid> {
        if text.len() > limits::SAID_BYTES {
            return Err(Unsaid::TooLong);
        }
        let member = address.member;
        let fits = member.room.home.0 < self.config.cores && address.key == self.key(member);
        if !fits {
            return Err(Unsaid::Gone);
        }
        let message = RoomMessage::Post {
            member,
            asker,
            text,
        };
        self.send(member.room.home, message, effects);
        Ok(())
    }

    /// The rooms of another core say something.
    pub(super) fn take(
        &mut self,
        from: Core,
        message: RoomMessage<&str>,
        effects: &mut impl Effects<MessageBatch>,
    ) {
        match message {
            RoomMessage::Enter { seat } => match self.directory.enter(from) {
                Some(room) => {
                    let message = RoomMessage::Place { room, from, seat };
                    self.send(room.home, message, effects);
                }
                None => self.send(from, RoomMessage::Full { seat }, effects),
            },
            RoomMessage::Place { room, from, seat } => self.place(room, from, seat, effects),
            RoomMessage::Welcome {
                seat,
                member,
                members,
                seq,
                is_only,
            } => {
                self.local.expect(member.room, is_only);
                self.welcome(seat, member, members, seq, effects);
            }
            RoomMessage::Full { seat } => {
                if let Some(user) = self.local.refused(seat) {
                    effects.turn_away(user);
                }
            }
            RoomMessage::Say { member, text } => {
                // It may have left, but said this before.
                self.tell(member.room, RoomEvent::Said { member, text }, effects);
                self.home.said(member.room, from, flow::weight(text));
                self.give_credit(member.room, effects);
            }
            RoomMessage::Post {
                member,
                asker,
                text,
            } => {
                let answer = if !self.home.has(member) {
                    Err(Unsaid::Gone)
                } else if !self.home.is_open(member.room) {
                    Err(Unsaid::Busy)
                } else {
                    Ok(self.tell(member.room, RoomEvent::Said { member, text }, effects))
                };
                self.send(from, RoomMessage::Answer { asker, answer }, effects);
            }
            RoomMessage::Answer { asker, answer } => effects.answer(asker, answer),
            RoomMessage::Leave { member } => {
                if let Some(members) = self.home.leave(member).filter(|_| !self.closing) {
                    self.tell(member.room, RoomEvent::Left { member, members }, effects);
                    let room = member.room;
                    self.send(DIRECTORY, RoomMessage::Vacated { room }, effects);
                    self.give_credit(room, effects);
                }
            }
            RoomMessage::Heard { room, bytes } => {
                self.home.heard(room, from, bytes);
                self.give_credit(room, effects);
            }
            RoomMessage::Credit { room, bytes } => {
                let room = self.local.room(room);
                for user in room.into_iter().flat_map(|it| it.sends.credited(bytes)) {
                    effects.release(user);
                }
            }
            RoomMessage::Tell { room, seq, event } => self.hear(room, seq, event, effects),
            RoomMessage::Vacated { room } => self.directory.vacate(room),
        }
    }

    /// The room's members, the newcomer included, are told by its home; then it is welcomed.
    fn place(
        &mut self,
        room: Room,
        from: Core,
        seat: Seat,
        effects: &mut impl Effects<MessageBatch>,
    ) {
        let member = self.home.number(room);
        let members = self.home.members(room) + 1;
        let seq = self.tell(room, RoomEvent::Joined { member, members }, effects);
        let is_only = self.home.join(member, from);
        let message = RoomMessage::Welcome {
            seat,
            member,
            members,
            seq,
            is_only,
        };
        self.send(from, message, effects);
    }

    fn welcome(
        &mut self,
        seat: Seat,
        member: Member,
        members: u16,
        seq: u64,
        effects: &mut impl Effects<MessageBatch>,
    ) {
        let Some(user) = self.local.seated(seat, member) else {
            // It went before it had a place.
            return self.send(member.room.home, RoomMessage::Leave { member }, effects);
        };
        let address = SayAddress {
            member,
            key: self.key(member),
        };
        let size = self.config.size;
        text::welcome(&mut self.text, address, (members, size), seq);
        let notice = Notice {
            id: seq,
            // Who comes back is a new member: it asks for nothing that it missed.
            run: None,
            cursor: None,
            name: "room",
            text: &self.text,
        };
        effects.tell(&[user], notice);
    }

    /// Something happened in a room that lives here: numbers it and tells every core with members.
    fn tell(
        &mut self,
        room: Room,
        event: RoomEvent<&str>,
        effects: &mut impl Effects<MessageBatch>,
    ) -> u64 {
        let seq = self.home.count(room);
        self.home.told(room, event.weight());
        let mut at = 0;
        while let Some(core) = self.home.branch(room, at) {
            if core == self.config.here {
                self.hear(room, seq, event, effects);
            } else {
                effects.forward(core, RoomMessage::Tell { room, seq, event });
            }
            at += 1;
        }
        seq
    }

    /// Members of this core hear what happened in their room.
    fn hear(
        &mut self,
        room: Room,
        seq: u64,
        event: RoomEvent<&str>,
        effects: &mut impl Effects<MessageBatch>,
    ) {
        let users = self.local.of(room);
        if !users.is_empty() {
            let name = text::write_event(&mut self.text, seq, event);
            let notice = Notice {
                id: seq,
                // Who comes back is a new member: it asks for nothing that it missed.
                run: None,
                cursor: None,
                name,
                text: &self.text,
            };
            effects.tell(users, notice);
        }
        let local = self.local.room(room);
        if local.is_some_and(|local| local.receives.told(event.weight())) {
            self.acknowledge(room, effects);
        }
    }

    /// Tells the home of a room that the members here have heard what they were told, unless one is
    /// behind: then it waits, for a while.
    fn acknowledge(&mut self, room: Room, effects: &mut impl Effects<MessageBatch>) {
        let mut users = self.local.of(room).iter();
        let is_behind = users.any(|&user| effects.is_behind(user));
        let Some(local) = self.local.room(room) else {
            return;
        };
        let waited = local.receives.waits_until();
        let now = effects.now();
        if is_behind && waited.is_none_or(|until| until > now) {
            if waited.is_none() {
                self.waits.insert((local.receives.wait(now), room));
            }
            return;
        }
        let bytes = local.receives.acknowledge(is_behind);
        if let Some(until) = waited {
            self.waits.remove(&(until, room));
        }
        self.send(room.home, RoomMessage::Heard { room, bytes }, effects);
    }

    /// Gives the cores of a room's talkers the credit that they are owed, if its members keep up.
    fn give_credit(&mut self, room: Room, effects: &mut impl Effects<MessageBatch>) {
        if !self.home.is_open(room) {
            return;
        }
        let least = flow::share(self.config.cores) / 2;
        while let Some((core, bytes)) = self.home.credit(room, least) {
            self.send(core, RoomMessage::Credit { room, bytes }, effects);
        }
    }

    /// Whether a talker may say something; it waits for credit if not.
    fn may_say(&mut self, user: User, seat: Seat, turn: TalkTurn) -> bool {
        let share = flow::share(self.config.cores);
        let room = self.local.member(seat).map(|member| member.room);
        let Some(local) = room.and_then(|room| self.local.room(room)) else {
            return true;
        };
        let is_open = local.sends.is_open(share);
        if !is_open {
            local.sends.wait(user, turn);
        }
        is_open
    }

    /// A member has caught up, or is gone: does its room's home still wait?
    fn look_again(&mut self, room: Room, effects: &mut impl Effects<MessageBatch>) {
        let local = self.local.room(room);
        if local.is_some_and(|local| local.receives.waits_until().is_some()) {
            self.acknowledge(room, effects);
        }
    }

    fn send(
        &mut self,
        to: Core,
        message: RoomMessage<&str>,
        effects: &mut impl Effects<MessageBatch>,
    ) {
        if to == self.config.here {
            self.take(to, message, effects);
        } else {
            effects.forward(to, message);
        }
    }

    /// What only the member itself knows: HMAC-SHA-256 over its name, truncated to 128 bits
    /// (RFC 2104, 5: no less than half). Members are never numbered twice in a room.
    fn key(&self, member: Member) -> u128 {
        let Member { room, number } = member;
        let [home_high, home_low] = room.home.0.to_be_bytes();
        let [a, b, c, d] = room.index.to_be_bytes();
        let [e, f, g, h] = number.to_be_bytes();
        let name = [home_high, home_low, a, b, c, d, e, f, g, h];
        let tag = hmac::sign(&self.mac, &name);
        let half = tag.as_ref().first_chunk();
        half.map_or(0, |half| u128::from_be_bytes(*half))
    }
}

impl App for Rooms {
    type Batch = MessageBatch;
    const REACH: Reach = Reach::Named;

    fn started(&mut self, here: Core, cores: u16) {
        *self = Self::new(RoomsConfig {
            here,
            cores,
            ..self.config
        });
    }

    /// A newcomer is welcomed or turned away, at once or later.
    fn came(&mut self, user: User, effects: &mut impl Effects<MessageBatch>) -> Seat {
        let seat = self.local.came(user);
        self.send(DIRECTORY, RoomMessage::Enter { seat }, effects);
        seat
    }

    #[inline]
    fn hears(&mut self, user: User, seat: Seat) -> bool {
        self.may_say(user, seat, TalkTurn::Missed)
    }

    fn said(
        &mut self,
        user: User,
        seat: Seat,
        message: Message<'_>,
        effects: &mut impl Effects<MessageBatch>,
    ) {
        let text = match message.kind {
            // The server has checked it, and no app is given bytes that it would have to trust.
            Kind::Text => std::str::from_utf8(message.bytes).ok(),
            Kind::Binary => None,
        };
        let code = match text.map(|text| self.say(seat, text, effects)) {
            Some(Ok(())) if self.may_say(user, seat, TalkTurn::Had) => return,
            Some(Ok(())) => return effects.hold(),
            None => close::UNSUPPORTED,
            Some(Err(Unsaid::TooLong)) => close::TOO_BIG,
            Some(Err(Unsaid::Early | Unsaid::Gone | Unsaid::Busy)) => close::POLICY,
        };
        effects.close(user, code);
    }

    fn caught_up(&mut self, _: User, seat: Seat, effects: &mut impl Effects<MessageBatch>) {
        if let Some(member) = self.local.member(seat) {
            self.look_again(member.room, effects);
        }
    }

    fn left(&mut self, _: User, seat: Seat, effects: &mut impl Effects<MessageBatch>) {
        if let Some(member) = self.local.left(seat) {
            self.look_again(member.room, effects);
            self.send(member.room.home, RoomMessage::Leave { member }, effects);
        }
    }

    fn deadline(&self) -> Option<Instant> {
        self.waits.first().map(|(until, _)| *until)
    }

    fn expired(&mut self, now: Instant, effects: &mut impl Effects<MessageBatch>) -> u64 {
        while let Some(&(until, room)) = self.waits.first()
            && until <= now
        {
            self.waits.remove(&(until, room));
            self.look_again(room, effects);
        }
        0
    }

    fn took(&mut self, from: Core, batch: &MessageBatch, effects: &mut impl Effects<MessageBatch>) {
        for message in batch.messages() {
            self.take(from, message, effects);
        }
    }

    fn closing(&mut self) {
        self.closing = true;
    }

    fn is_address(&self, query: &str) -> bool {
        SayAddress::parse(query).is_some()
    }

    fn posted(
        &mut self,
        asker: User,
        query: &str,
        text: &str,
        effects: &mut impl Effects<MessageBatch>,
    ) -> Result<(), Unsaid> {
        let address = SayAddress::parse(query).ok_or(Unsaid::Gone)?;
        self.post(asker, address, text, effects)
    }
}
