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
    /// Nobody else of its name is here.
    pub is_alone: bool,
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
    /// How many of each name are here.
    names: BTreeMap<Box<str>, NameCount>,
    /// How many named users are here.
    users: usize,
    /// Clients of nobody in particular: together they are one user, as in Centrifugo.
    anonymous: u32,
}

/// How many clients are of one name.
#[derive(Clone, Copy, Debug, Default)]
struct NameCount {
    /// Of that user.
    of_user: u32,
    /// Whom others know by that name: it is chosen, or that of their user.
    known_as: u32,
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
    fn enter(&mut self, info: ClientInfo) -> Option<bool> {
        if self.clients.insert(info.clone()) {
            return None;
        }
        match info.user() {
            "" => self.anonymous += 1,
            user => {
                let count = self.names.entry(user.into()).or_default();
                count.of_user += 1;
                self.users += usize::from(count.of_user == 1);
            }
        }
        let name = info.name();
        if name.is_empty() {
            return Some(true);
        }
        match self.names.get_mut(name) {
            Some(count) => {
                count.known_as += 1;
                Some(count.known_as == 1)
            }
            None => {
                let (of_user, known_as) = (0, 1);
                self.names
                    .insert(name.into(), NameCount { of_user, known_as });
                Some(true)
            }
        }
    }

    fn leave(&mut self, client: ClientId) -> Option<(ClientInfo, bool)> {
        let info = self.clients.remove(client)?;
        let (user, name) = (info.user(), info.name());
        if user.is_empty() {
            self.anonymous -= 1;
        } else if let Some(count) = self.names.get_mut(user) {
            count.of_user -= 1;
            self.users -= usize::from(count.of_user == 0);
        }
        let mut is_alone = true;
        if let Some(count) = self.names.get_mut(name).filter(|_| !name.is_empty()) {
            count.known_as -= 1;
            is_alone = count.known_as == 0;
        }
        for it in [user, name] {
            let count = self.names.get(it);
            if count.is_some_and(|count| count.of_user == 0 && count.known_as == 0) {
                self.names.remove(it);
            }
        }
        Some((info, is_alone))
    }
}

impl Attendance {
    /// A client comes: whether nobody else of its name is here; `None` if it was here itself.
    pub fn enter(&mut self, info: ClientInfo) -> Option<bool> {
        match &mut self.present {
            Present::Several(crowd) => crowd.enter(info),
            Present::One(client) if *client == info.client && info.about.is_none() => None,
            Present::Nobody if info.about.is_none() => {
                self.present = Present::One(info.client);
                Some(true)
            }
            Present::Nobody | Present::One(_) => {
                let mut crowd = Box::<Crowd>::default();
                for info in self.list(1) {
                    crowd.enter(info);
                }
                let is_alone = crowd.enter(info);
                self.present = Present::Several(crowd);
                is_alone
            }
        }
    }

    /// A client goes: who it was, if it was here, and whether nobody else of its name is.
    pub fn leave(&mut self, client: ClientId) -> Option<(ClientInfo, bool)> {
        let gone = match &mut self.present {
            Present::Nobody => return None,
            Present::One(known) => {
                let about = None;
                (*known == client).then_some((ClientInfo { client, about }, true))?
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
                (crowd.clients.len(), crowd.users + anonymous)
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
    use crate::app::hub::publication::ChosenName;

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
            assert!(here.enter(client(id, user)).is_some());
        }
        assert_eq!(here.enter(client(5, "bob")), None, "it is here");
        let (clients, users) = (5, 3);
        assert_eq!(here.count(), Headcount { clients, users });
        assert!(here.leave(ClientId(1)).is_some() && here.leave(ClientId(3)).is_some());
        assert_eq!(here.count().users, 3);
        assert_eq!(here.leave(ClientId(1)), None, "it has gone");
        assert_eq!(
            here.leave(ClientId(2))
                .map(|(info, _)| info.user().to_owned()),
            Some("ann".to_owned())
        );
        assert_eq!(here.count().users, 2);
        assert_eq!(here.list(1).len(), 1, "a list has a cap");
        here.leave(ClientId(4));
        here.leave(ClientId(5));
        assert!(here.is_empty() && here.count() == Headcount::default());
    }

    #[test]
    fn a_name_comes_with_its_first_client_and_goes_with_its_last() {
        let mut here = Attendance::default();
        let called = |id: u128, user: &str, name: &str| {
            let (name, info) = (name.into(), "".into());
            client(id, user).called(&ChosenName { name, info })
        };
        for (info, is_alone) in [
            (called(1, "", "x"), true),
            (called(2, "ann", "x"), false),
            (called(3, "", "ann"), true),
            (client(4, "ann"), false),
            (client(5, ""), true),
            (client(6, ""), true),
        ] {
            assert_eq!(here.enter(info.clone()), Some(is_alone), "{info:?}");
        }
        // Ann, and those of nobody.
        assert_eq!(here.count().users, 2);
        for (id, is_alone) in [
            (1, false),
            (2, true),
            (4, false),
            (3, true),
            (5, true),
            (6, true),
        ] {
            let gone = here.leave(ClientId(id)).map(|(_, is_alone)| is_alone);
            assert_eq!(gone, Some(is_alone), "{id}");
        }
        assert!(here.is_empty());
    }

    #[test]
    fn few_and_many_are_counted_listed_and_replaced_alike() {
        let mut here = Attendance::default();
        for id in 0..20_u8 {
            assert_eq!(here.enter(client(id.into(), "")), Some(true));
            assert_eq!(here.enter(client(id.into(), "")), None);
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
