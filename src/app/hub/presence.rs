//! Who is in one channel: how many clients and users, at any time in constant time, and a list.

use super::publication::{ClientAbout, ClientId, ClientInfo};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// How many are in a channel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Headcount {
    /// Clients.
    pub clients: usize,
    /// Users: who has two clients here counts once.
    pub users: usize,
}

/// Somebody came or went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PresenceChange {
    /// Who.
    pub info: ClientInfo,
    /// It came.
    pub came: bool,
}

/// Who is in a channel.
#[derive(Debug, Default)]
pub struct Attendance {
    present: Present,
}

/// One client of whom there is nothing but a name, as in most sessions, takes no memory of its own.
#[derive(Debug, Default)]
enum Present {
    #[default]
    Nobody,
    One(ClientId),
    Several(Box<Crowd>),
}

/// Several clients.
#[derive(Debug, Default)]
struct Crowd {
    clients: PresentClients,
    /// How many clients of each named user are here.
    users: BTreeMap<Box<str>, u32>,
    /// Clients of nobody in particular: together they are one user, as in Centrifugo.
    anonymous: u32,
}

/// Clients by their names: a list while they are few, which takes a sixth of the memory.
#[derive(Debug)]
enum PresentClients {
    Few(Vec<ClientInfo>),
    Many(ManyPresent),
}

/// Very many.
#[derive(Debug, Default)]
struct ManyPresent {
    /// Those of whom there is nothing but a name.
    nameless: BTreeSet<ClientId>,
    known: BTreeMap<ClientId, Arc<ClientAbout>>,
}

/// So many are few.
const FEW: usize = 6;

const _: () = assert!(size_of::<Attendance>() <= 24, "a session is small");

impl Default for PresentClients {
    fn default() -> Self {
        Self::Few(Vec::new())
    }
}

impl PresentClients {
    /// Adds one, in the place of the one of its name. Whether there was one.
    fn insert(&mut self, info: ClientInfo) -> bool {
        match self {
            Self::Many(all) => all.insert(info),
            Self::Few(all) => {
                if let Some(known) = all.iter_mut().find(|known| known.client == info.client) {
                    *known = info;
                    return true;
                }
                if all.len() < FEW {
                    all.reserve_exact(1);
                    all.push(info);
                    return false;
                }
                let mut many = ManyPresent::default();
                for info in std::mem::take(all).into_iter().chain([info]) {
                    many.insert(info);
                }
                *self = Self::Many(many);
                false
            }
        }
    }

    fn remove(&mut self, client: ClientId) -> Option<ClientInfo> {
        match self {
            Self::Many(all) => {
                let about = all.known.remove(&client);
                let was_here = about.is_some() || all.nameless.remove(&client);
                was_here.then_some(ClientInfo { client, about })
            }
            Self::Few(all) => {
                let at = all.iter().position(|known| known.client == client)?;
                Some(all.remove(at))
            }
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Many(all) => all.nameless.len() + all.known.len(),
            Self::Few(all) => all.len(),
        }
    }

    fn list(&self, most: usize) -> Vec<ClientInfo> {
        match self {
            Self::Many(all) => {
                let nameless = all.nameless.iter().map(|client| ClientInfo {
                    client: *client,
                    about: None,
                });
                let known = all.known.iter().map(|(client, about)| ClientInfo {
                    client: *client,
                    about: Some(about.clone()),
                });
                nameless.chain(known).take(most).collect()
            }
            Self::Few(all) => all.iter().take(most).cloned().collect(),
        }
    }
}

impl ManyPresent {
    /// Adds one, in the place of the one of its name. Whether there was one.
    fn insert(&mut self, ClientInfo { client, about }: ClientInfo) -> bool {
        match about {
            None => self.known.remove(&client).is_some() | !self.nameless.insert(client),
            Some(about) => {
                self.nameless.remove(&client) | self.known.insert(client, about).is_some()
            }
        }
    }
}

impl Crowd {
    fn enter(&mut self, info: ClientInfo) -> bool {
        let about = info.about.clone();
        if self.clients.insert(info) {
            return false;
        }
        match about.filter(|about| !about.user.is_empty()) {
            None => self.anonymous += 1,
            Some(about) => *self.users.entry(about.user.clone()).or_default() += 1,
        }
        true
    }

    fn leave(&mut self, client: ClientId) -> Option<ClientInfo> {
        let info = self.clients.remove(client)?;
        let user = info.user();
        if user.is_empty() {
            self.anonymous -= 1;
        } else if let Some(clients) = self.users.get_mut(user) {
            *clients -= 1;
            if *clients == 0 {
                self.users.remove(user);
            }
        }
        Some(info)
    }
}

impl Attendance {
    /// A client comes. False if it was here.
    pub fn enter(&mut self, info: ClientInfo) -> bool {
        match &mut self.present {
            Present::Several(crowd) => crowd.enter(info),
            Present::One(client) if *client == info.client && info.about.is_none() => false,
            Present::Nobody if info.about.is_none() => {
                self.present = Present::One(info.client);
                true
            }
            Present::Nobody | Present::One(_) => {
                let mut crowd = Box::<Crowd>::default();
                for info in self.list(1) {
                    crowd.enter(info);
                }
                let is_new = crowd.enter(info);
                self.present = Present::Several(crowd);
                is_new
            }
        }
    }

    /// A client goes: who it was, if it was here.
    pub fn leave(&mut self, client: ClientId) -> Option<ClientInfo> {
        let gone = match &mut self.present {
            Present::Nobody => return None,
            Present::One(known) => {
                let about = None;
                (*known == client).then_some(ClientInfo { client, about })?
            }
            Present::Several(crowd) => crowd.leave(client)?,
        };
        if self.count().clients == 0 || matches!(self.present, Present::One(_)) {
            self.present = Present::Nobody;
        }
        Some(gone)
    }

    /// How many are here.
    #[must_use]
    pub fn count(&self) -> Headcount {
        let (clients, users) = match &self.present {
            Present::Nobody => (0, 0),
            Present::One(_) => (1, 1),
            Present::Several(crowd) => {
                let anonymous = usize::from(crowd.anonymous > 0);
                (crowd.clients.len(), crowd.users.len() + anonymous)
            }
        };
        Headcount { clients, users }
    }

    /// Who is here, so many at most.
    #[must_use]
    pub fn list(&self, most: usize) -> Vec<ClientInfo> {
        match &self.present {
            Present::Nobody => Vec::new(),
            Present::One(client) => {
                let (client, about) = (*client, None);
                let one = ClientInfo { client, about };
                std::iter::once(one).take(most).collect()
            }
            Present::Several(crowd) => crowd.clients.list(most),
        }
    }

    /// The client that is here, if it is the only one and nothing is known of it but its name.
    #[must_use]
    pub const fn only(&self) -> Option<ClientId> {
        match self.present {
            Present::One(client) => Some(client),
            Present::Nobody | Present::Several(_) => None,
        }
    }

    /// Whether nobody is here.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count().clients == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(id: u128, user: &str) -> ClientInfo {
        ClientInfo {
            client: ClientId(id),
            about: ClientAbout::new(user, ""),
        }
    }

    #[test]
    fn a_user_with_two_clients_counts_once() {
        let mut here = Attendance::default();
        for (id, user) in [(1, "ann"), (2, "ann"), (3, ""), (4, ""), (5, "bob")] {
            assert!(here.enter(client(id, user)));
        }
        assert!(!here.enter(client(5, "bob")), "it is here");
        let (clients, users) = (5, 3);
        assert_eq!(here.count(), Headcount { clients, users });
        assert!(here.leave(ClientId(1)).is_some() && here.leave(ClientId(3)).is_some());
        assert_eq!(here.count().users, 3);
        assert_eq!(here.leave(ClientId(1)), None, "it has gone");
        assert_eq!(
            here.leave(ClientId(2)).map(|info| info.user().to_owned()),
            Some("ann".to_owned())
        );
        assert_eq!(here.count().users, 2);
        assert_eq!(here.list(1).len(), 1, "a list has a cap");
        here.leave(ClientId(4));
        here.leave(ClientId(5));
        assert!(here.is_empty() && here.count() == Headcount::default());
    }

    #[test]
    fn few_and_many_are_counted_listed_and_replaced_alike() {
        let mut here = Attendance::default();
        for id in 0..20_u8 {
            assert!(here.enter(client(id.into(), "")) && !here.enter(client(id.into(), "")));
            assert_eq!(here.count().clients, usize::from(id) + 1);
            assert_eq!(here.list(99).len(), usize::from(id) + 1);
        }
        for id in 0..20_u8 {
            assert!(
                here.leave(ClientId(id.into())).is_some()
                    && here.leave(ClientId(id.into())).is_none()
            );
            assert_eq!(here.list(99).len(), 19 - usize::from(id));
        }
        assert!(here.is_empty());
    }
}
