//! Which connection has joined which namespaces, and as which client.

use crate::app::{Seat, User};
use crate::limits;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What the connections of one core have joined beside `/`.
#[derive(Debug, Default)]
pub(super) struct JoinedNamespaces {
    last: u64,
    clients: BTreeMap<u64, NamespaceClient>,
    /// What each connection has joined, in order.
    joined: BTreeMap<User, Vec<u64>>,
    /// Whose binary messages are to come next, and how many.
    pending: BTreeMap<User, (u64, u32)>,
    /// Whose message is heard.
    pub(super) speaking: Option<u64>,
    /// Who is out of its namespace; what is under here is to be told.
    leaving: Vec<u64>,
    /// Who was pinged: its connection is pinged for it.
    pinged: Vec<u64>,
}

/// A client of a namespace.
#[derive(Clone, Debug)]
pub(super) struct NamespaceClient {
    pub(super) connection: User,
    pub(super) name: Arc<str>,
    /// Its place under here; `None` while it comes.
    pub(super) seat: Option<Seat>,
    /// It was told that it is out: its connection stays.
    is_out: bool,
}

/// What tells the clients of namespaces from other users of applications.
const OF_NAMESPACE: u64 = 1 << 62;

impl NamespaceClient {
    /// What it is called under here.
    pub(super) const fn user(number: u64) -> User {
        User::own(OF_NAMESPACE | number)
    }
}

/// Which client of a namespace a user is; `None` for one that is no such client.
#[inline]
pub(super) const fn number_of(user: User) -> Option<u64> {
    match user.own_number() {
        Some(number) if number & OF_NAMESPACE != 0 => Some(number & !OF_NAMESPACE),
        Some(_) | None => None,
    }
}

impl JoinedNamespaces {
    /// Whether nobody is in any.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.clients.is_empty()
    }

    /// A connection joins a namespace, if it may join one more.
    pub(super) fn join(&mut self, connection: User, name: &str) -> Option<u64> {
        let joined = self.joined.entry(connection).or_default();
        if joined.len() >= limits::IO_NAMESPACES {
            return None;
        }
        self.last += 1;
        joined.push(self.last);
        let client = NamespaceClient {
            connection,
            name: name.into(),
            seat: None,
            is_out: false,
        };
        self.clients.insert(self.last, client);
        Some(self.last)
    }

    /// It has that place under here.
    pub(super) fn seat(&mut self, number: u64, seat: Seat) {
        if let Some(client) = self.clients.get_mut(&number) {
            client.seat = Some(seat);
        }
    }

    pub(super) fn get(&self, number: u64) -> Option<&NamespaceClient> {
        self.clients.get(&number)
    }

    /// The client of a connection in a namespace.
    pub(super) fn find(&self, connection: User, name: &str) -> Option<u64> {
        let mut joined = self.of(connection).iter().copied();
        joined.find(|number| self.get(*number).is_some_and(|it| &*it.name == name))
    }

    /// The clients of a connection.
    pub(super) fn of(&self, connection: User) -> &[u64] {
        self.joined.get(&connection).map_or(&[], Vec::as_slice)
    }

    /// So many binary messages of that client are to come next.
    pub(super) fn expect(&mut self, connection: User, number: u64, count: u32) {
        self.pending.insert(connection, (number, count));
    }

    /// A binary message has come: whose it is.
    pub(super) fn attach(&mut self, connection: User) -> Option<u64> {
        let (number, count) = self.pending.get_mut(&connection)?;
        let number = *number;
        *count -= 1;
        if *count == 0 {
            self.pending.remove(&connection);
        }
        Some(number)
    }

    /// Whether binary messages are to come next.
    pub(super) fn is_pending(&self, connection: User) -> bool {
        self.pending.contains_key(&connection)
    }

    /// A client is told that: whether its connection is.
    pub(super) fn told(&mut self, number: u64, packet: &str) -> bool {
        let Some(client) = self.clients.get_mut(&number) else {
            return false;
        };
        match packet.as_bytes() {
            // It has a connection.
            [b'0', ..] => return false,
            [b'2'] => {
                self.pinged.push(number);
                return false;
            }
            [b'4', b'1'] => client.is_out = true,
            // It is not let in.
            [b'4', b'4', ..] => self.leaving.push(number),
            _ => {}
        }
        true
    }

    /// A client is dismissed: its connection with it, unless it is only out of its namespace.
    pub(super) fn dismiss(&mut self, number: u64) -> Option<User> {
        let client = self.clients.get(&number)?;
        if client.is_out {
            self.leaving.push(number);
            return None;
        }
        Some(client.connection)
    }

    /// A client is out of its namespace.
    pub(super) fn leave(&mut self, number: u64) {
        self.leaving.push(number);
    }

    /// Takes one that is out.
    pub(super) fn take_leaving(&mut self) -> Option<(u64, Seat)> {
        while let Some(number) = self.leaving.pop() {
            if let Some(client) = self.remove(number)
                && let Some(seat) = client.seat
            {
                return Some((number, seat));
            }
        }
        None
    }

    /// Takes one that was pinged.
    pub(super) fn take_pinged(&mut self) -> Option<(u64, Seat)> {
        while let Some(number) = self.pinged.pop() {
            if let Some(seat) = self.get(number).and_then(|it| it.seat) {
                return Some((number, seat));
            }
        }
        None
    }

    /// A connection is gone, and its clients with it.
    pub(super) fn left(&mut self, connection: User) {
        self.pending.remove(&connection);
        let joined = self.joined.get(&connection);
        self.leaving.extend(joined.into_iter().flatten());
    }

    fn remove(&mut self, number: u64) -> Option<NamespaceClient> {
        let client = self.clients.remove(&number)?;
        let connection = client.connection;
        if let Some(joined) = self.joined.get_mut(&connection) {
            joined.retain(|it| *it != number);
            if joined.is_empty() {
                self.joined.remove(&connection);
            }
        }
        self.pending.retain(|_, (of, _)| *of != number);
        Some(client)
    }
}
