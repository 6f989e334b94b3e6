//! The clients of one core: by slot, and as a dense list of those that are up.

use super::in_flight::{InFlight, Rings};
use crate::load::attempt::{Attempt, RetryState};
use crate::load::measure::send_times::SendTimes;
use crate::load::redirect::Redirect;
use crate::load::scenario::Part;
use crate::protocol::http::body::BodyReader;
use crate::protocol::http::{HeadReader, Inflater};
use crate::protocol::sse;
use crate::protocol::websocket::decoder::Decoder;
use crate::shard::ConnectionId;
use crate::time::Instant;
use std::time::Duration;

/// How far a client is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::load) enum State {
    /// The slot has no client.
    Free,
    /// TCP is under way.
    Connecting,
    /// The request is sent, its response is not complete.
    Upgrading,
    /// Upgraded; the scenario's own handshake is under way.
    Greeting,
    /// Up.
    Open,
    /// Our close frame is sent (RFC 6455, 7.1.2), the peer's is awaited.
    CloseSent,
    /// Nothing more is said or heard; the engine has yet to say `closed`.
    Over,
}

/// What the bytes of a connection are, by transport.
#[derive(Debug)]
pub(in crate::load) enum Stream {
    /// A response head.
    Head(HeadReader),
    /// WebSocket frames.
    WebSocket(Decoder),
    /// An event stream, boxed: its parser is larger than all the rest together.
    Sse(Box<EventStream>),
}

/// The body of a response that is an event stream.
#[derive(Debug)]
pub(in crate::load) struct EventStream {
    pub(in crate::load) body: BodyReader,
    /// If the content is coded, though that was not asked for.
    pub(in crate::load) inflater: Option<Box<Inflater>>,
    pub(in crate::load) parser: sse::Parser,
    /// The body lasts until the connection ends, so that the end is in good order.
    pub(in crate::load) is_until_end: bool,
    /// What the server asks to be waited before the next connect.
    pub(in crate::load) retry: Option<Duration>,
}

/// What a scenario remembers of one connection.
#[derive(Debug)]
pub(in crate::load) struct Talk {
    /// Sequence number of the next message to send.
    pub(in crate::load) next: u32,
    /// Sequence number of the next reply expected. `next - expected` messages are under way.
    pub(in crate::load) expected: u32,
    /// When they went.
    pub(in crate::load) flight: InFlight,
    /// The last pushed sequence number, or 0.
    pub(in crate::load) pushed: u64,
    /// When a listener last heard something, or came up.
    pub(in crate::load) heard_at: Instant,
    /// When the connect was meant to start; 0 once the first event was heard.
    pub(in crate::load) unheard_since: Instant,
    /// What went wrong before, while it connects again or has not heard anything since.
    pub(in crate::load) past: Option<Box<RetryState>>,
}

impl Talk {
    /// The last event ID before the loss that this connect follows.
    pub(in crate::load) fn last_event_id(&self) -> Option<&str> {
        let lost = self.past.as_ref()?.lost.as_ref()?;
        Some(lost.last_event_id.as_str()).filter(|id| !id.is_empty())
    }

    /// The redirect that this connect follows.
    pub(in crate::load) fn redirect(&self) -> Option<&Redirect> {
        self.past.as_ref()?.redirect.as_deref()
    }

    /// Messages under way.
    #[inline]
    pub(in crate::load) fn in_flight(&self) -> u32 {
        self.next.wrapping_sub(self.expected)
    }

    /// Notes a message as sent.
    #[inline]
    pub(in crate::load) fn sent(&mut self, departure: SendTimes, rings: &mut Rings) {
        self.flight.push(departure, rings);
        self.next = self.next.wrapping_add(1);
    }
}

/// One connection's state.
#[derive(Debug)]
pub(in crate::load) struct Client {
    /// The slot's generation, so that nothing late reaches a client that took the slot over.
    generation: u32,
    /// Its place in the list of those that are up; meaningless in other states than open.
    place: u32,
    /// Its place among the core's connections of the plan, from 0.
    pub(in crate::load) seat: u32,
    /// It has set itself an alarm to speak.
    pub(in crate::load) thinks: bool,
    /// Its last ping has not been answered.
    pub(in crate::load) awaits_pong: bool,
    /// The connection's index in the whole run.
    pub(in crate::load) number: u32,
    pub(in crate::load) state: State,
    /// When its present state began.
    pub(in crate::load) since: Instant,
    pub(in crate::load) talk: Talk,
    pub(in crate::load) stream: Stream,
}

const _: () = assert!(
    size_of::<Client>() <= 128,
    "400 bytes of user memory for all of a client"
);

impl Client {
    /// A client whose connect was meant for `intended` and started at `now`.
    pub(in crate::load) fn new(
        number: u32,
        sequence: u32,
        intended: Instant,
        now: Instant,
    ) -> Self {
        Self {
            generation: 0,
            place: 0,
            seat: 0,
            thinks: false,
            awaits_pong: false,
            number,
            state: State::Connecting,
            since: now,
            talk: Talk {
                next: sequence,
                expected: sequence,
                flight: InFlight::None,
                pushed: 0,
                heard_at: intended,
                unheard_since: intended,
                past: None,
            },
            stream: Stream::Head(HeadReader::of_responses()),
        }
    }

    /// Its connect, to be tried again; what went wrong before goes with it.
    pub(in crate::load) fn attempt(&mut self) -> Attempt {
        Attempt {
            number: self.number,
            seat: self.seat,
            intended: self.talk.unheard_since,
            past: self.talk.past.take(),
        }
    }

    fn free() -> Self {
        let never = Instant::from_nanos(0);
        Self {
            state: State::Free,
            ..Self::new(0, 0, never, never)
        }
    }
}

/// All clients of a core.
#[derive(Debug, Default)]
pub(in crate::load) struct ClientTable {
    clients: Vec<Client>,
    /// Slots of the open ones: first those that take turns, then those that do not.
    up: Vec<u32>,
    /// The slot of the open client of each seat, if somebody asks for it by that.
    seats: Vec<Option<u32>>,
    /// How many take turns.
    speakers: usize,
    len: usize,
}

impl ClientTable {
    /// Makes room for that many clients, without the slack of doubling.
    pub(in crate::load) fn reserve(&mut self, clients: usize) {
        self.clients.reserve_exact(clients);
        self.up.reserve_exact(clients);
    }

    /// Keeps which client has which seat: from now on [`ClientTable::in_seat`] knows it.
    pub(in crate::load) fn keep_seats(&mut self, seats: usize) {
        self.seats = vec![None; seats];
    }

    /// Puts a client into its slot, which is free.
    pub(in crate::load) fn insert(&mut self, id: ConnectionId, client: Client) {
        while self.clients.len() <= id.slot() {
            self.clients.push(Client::free());
        }
        if let Some(slot) = self.clients.get_mut(id.slot()) {
            debug_assert_eq!(
                slot.state,
                State::Free,
                "a slot is reused only after `closed`"
            );
            *slot = Client {
                generation: id.generation(),
                ..client
            };
            self.len += 1;
        }
    }

    /// The client of that connection.
    #[inline]
    pub(in crate::load) fn get(&mut self, id: ConnectionId) -> Option<&mut Client> {
        let client = self.clients.get_mut(id.slot())?;
        let is_it = client.generation == id.generation() && client.state != State::Free;
        is_it.then_some(client)
    }

    /// Lists a client as up.
    pub(in crate::load) fn raise(&mut self, id: ConnectionId) {
        let place = u32::try_from(self.up.len()).unwrap_or(u32::MAX);
        let slot = u32::try_from(id.slot()).unwrap_or(u32::MAX);
        if let Some(client) = self.get(id) {
            client.state = State::Open;
            client.place = place;
            let seat = client.seat as usize;
            self.up.push(slot);
            if let Some(taken) = self.seats.get_mut(seat) {
                *taken = Some(slot);
            }
            self.set_part(id, Part::Speaks);
        }
    }

    /// Lets an open client take turns, or not.
    pub(in crate::load) fn set_part(&mut self, id: ConnectionId, part: Part) {
        let Some(client) = self.get(id) else { return };
        debug_assert_eq!(client.state, State::Open, "only open clients are listed");
        let place = client.place as usize;
        match (part, place < self.speakers) {
            (Part::Speaks, true) | (Part::Listens, false) => {}
            (Part::Speaks, false) => {
                self.exchange(place, self.speakers);
                self.speakers += 1;
            }
            (Part::Listens, true) => {
                self.speakers -= 1;
                self.exchange(place, self.speakers);
            }
        }
    }

    /// Whether an open client takes turns.
    pub(in crate::load) fn speaks(&mut self, id: ConnectionId) -> bool {
        let speakers = self.speakers;
        self.get(id)
            .is_some_and(|client| client.state == State::Open && (client.place as usize) < speakers)
    }

    /// Takes an open client off that list and gives it another state.
    pub(in crate::load) fn lower(&mut self, id: ConnectionId, to: State) {
        let Some(client) = self.get(id) else { return };
        assert!(
            client.state == State::Open && to != State::Open,
            "only open clients are listed"
        );
        self.set_part(id, Part::Listens);
        let Some(client) = self.get(id) else { return };
        client.state = to;
        let (place, seat) = (client.place as usize, client.seat as usize);
        self.exchange(place, self.up.len() - 1);
        self.up.pop();
        if let Some(taken) = self.seats.get_mut(seat) {
            *taken = None;
        }
    }

    /// Forgets a client; it is not listed as up.
    pub(in crate::load) fn remove(&mut self, id: ConnectionId) {
        if let Some(client) = self.get(id) {
            debug_assert_ne!(client.state, State::Open, "lower it first");
            *client = Client::free();
            self.len -= 1;
        }
    }

    /// Clients in any state.
    pub(in crate::load) fn len(&self) -> usize {
        self.len
    }

    /// Clients that are up.
    #[inline]
    pub(in crate::load) fn up(&self) -> usize {
        self.up.len()
    }

    /// Clients that take turns.
    pub(in crate::load) fn speakers(&self) -> usize {
        self.speakers
    }

    /// The open client whose turn it is, when turns go round.
    #[inline]
    pub(in crate::load) fn in_turn(&self, turn: u64) -> Option<ConnectionId> {
        let len = u64::try_from(self.speakers).ok()?;
        let place = usize::try_from(turn.checked_rem(len)?).ok()?;
        let slot = *self.up.get(place)?;
        let client = self.clients.get(slot as usize)?;
        Some(ConnectionId::new(slot, client.generation))
    }

    /// The open client in the seat whose turn it is, when turns go round all seats.
    #[inline]
    pub(in crate::load) fn in_seat(&self, turn: u64) -> Option<ConnectionId> {
        let seats = u64::try_from(self.seats.len()).ok()?;
        let seat = usize::try_from(turn.checked_rem(seats)?).ok()?;
        let slot = (*self.seats.get(seat)?)?;
        let client = self.clients.get(slot as usize)?;
        Some(ConnectionId::new(slot, client.generation))
    }

    /// The client in a slot with its state; `None` past the last slot.
    pub(in crate::load) fn at(&self, slot: usize) -> Option<(ConnectionId, State)> {
        let client = self.clients.get(slot)?;
        let id = ConnectionId::new(u32::try_from(slot).ok()?, client.generation);
        Some((id, client.state))
    }

    /// Those that are up.
    pub(in crate::load) fn open(&self) -> impl Iterator<Item = &Client> {
        let open = |client: &&Client| client.state == State::Open;
        self.clients.iter().filter(open)
    }

    /// How many clients are in that state.
    pub(in crate::load) fn count(&self, state: State) -> u64 {
        let alike = self.clients.iter().filter(|client| client.state == state);
        u64::try_from(alike.count()).unwrap_or(u64::MAX)
    }

    /// Whether every client has been told goodbye or is gone.
    pub(in crate::load) fn is_over(&self) -> bool {
        self.len() == 0
    }

    /// Clients whose closing handshake has not ended.
    pub(in crate::load) fn unanswered(&self) -> u64 {
        self.count(State::CloseSent)
    }

    /// Lets two of the list change places.
    fn exchange(&mut self, a: usize, b: usize) {
        self.up.swap(a, b);
        for place in [a, b] {
            let slot = self.up.get(place).copied();
            if let Some(client) = slot.and_then(|slot| self.clients.get_mut(slot as usize)) {
                client.place = u32::try_from(place).unwrap_or(u32::MAX);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client() -> Client {
        Client::new(0, 0, Instant::default(), Instant::default())
    }

    #[test]
    fn a_late_event_does_not_reach_a_reused_slot() {
        let mut fleet = ClientTable::default();
        let (old, new) = (ConnectionId::new(3, 0), ConnectionId::new(3, 1));
        fleet.insert(old, client());
        fleet.remove(old);
        fleet.insert(new, client());
        assert!(fleet.get(old).is_none());
        assert!(fleet.get(new).is_some());
        assert_eq!(fleet.len(), 1);
    }

    #[test]
    fn turns_go_round_among_those_that_are_up() {
        let mut fleet = ClientTable::default();
        let ids: Vec<_> = (0..5).map(|slot| ConnectionId::new(slot, slot)).collect();
        for &id in &ids {
            fleet.insert(id, client());
            fleet.raise(id);
        }
        fleet.lower(ids[1], State::Over);
        fleet.lower(ids[4], State::Over);
        let turns: Vec<usize> = (0..6)
            .map(|turn| fleet.in_turn(turn).unwrap().slot())
            .collect();
        assert_eq!(turns, [0, 3, 2, 0, 3, 2]);
        fleet.lower(ids[3], State::Over);
        fleet.lower(ids[0], State::Over);
        fleet.lower(ids[2], State::Over);
        assert_eq!(fleet.in_turn(0), None);
        assert_eq!(fleet.count(State::Over), 5);
    }

    #[test]
    fn a_seat_is_its_client_s_while_that_is_up_and_nobody_s_then() {
        let mut fleet = ClientTable::default();
        fleet.keep_seats(3);
        let ids = [(5, 0), (0, 2)].map(|(slot, seat)| {
            let id = ConnectionId::new(slot, 1);
            let mut client = client();
            client.seat = seat;
            fleet.insert(id, client);
            fleet.raise(id);
            id
        });
        let seated = |fleet: &ClientTable| [3, 4, 5].map(|turn| fleet.in_seat(turn));
        assert_eq!(seated(&fleet), [Some(ids[0]), None, Some(ids[1])]);
        fleet.lower(ids[0], State::Over);
        assert_eq!(seated(&fleet), [None, None, Some(ids[1])]);
    }

    #[test]
    fn who_only_listens_has_no_turn_whatever_others_do() {
        let mut fleet = ClientTable::default();
        let ids: Vec<_> = (0..20).map(|slot| ConnectionId::new(slot, 1)).collect();
        let mut rng = fastrand::Rng::with_seed(11);
        let mut speakers = std::collections::BTreeSet::new();
        for _ in 0..5_000 {
            let id = ids[rng.usize(..ids.len())];
            let is_up = fleet.get(id).is_some();
            match (is_up, rng.u8(..4)) {
                (false, _) => {
                    fleet.insert(id, client());
                    fleet.raise(id);
                    speakers.insert(id);
                }
                (true, 0) => {
                    fleet.lower(id, State::Over);
                    fleet.remove(id);
                    speakers.remove(&id);
                }
                (true, 1) => {
                    fleet.set_part(id, Part::Speaks);
                    speakers.insert(id);
                }
                (true, _) => {
                    fleet.set_part(id, Part::Listens);
                    speakers.remove(&id);
                }
            }
            let turns = (0..speakers.len() as u64).map(|turn| fleet.in_turn(turn).unwrap());
            assert_eq!(turns.collect::<std::collections::BTreeSet<_>>(), speakers);
            assert_eq!(
                (fleet.speakers(), fleet.up()),
                (speakers.len(), fleet.len())
            );
            assert!(
                ids.iter()
                    .all(|id| fleet.speaks(*id) == speakers.contains(id))
            );
        }
    }
}
