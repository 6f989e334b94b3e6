//! Who is in one channel: how many clients and users, at any time in constant time, and a list.

use super::publication::{ClientId, ClientInfo};
use std::collections::BTreeMap;
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
    pub info: Arc<ClientInfo>,
    /// It came.
    pub came: bool,
}

/// Who is in a channel.
#[derive(Debug, Default)]
pub struct Attendance {
    clients: PresentClients,
    /// How many clients of each named user are here.
    users: BTreeMap<Box<str>, u32>,
    /// Clients of nobody in particular: together they are one user, as in Centrifugo.
    anonymous: u32,
}

/// Clients by their names: a list while they are few, as in sessions, which takes a sixth of the
/// memory.
#[derive(Debug)]
enum PresentClients {
    Few(Vec<Arc<ClientInfo>>),
    Many(BTreeMap<ClientId, Arc<ClientInfo>>),
}

/// So many are few.
const FEW: usize = 6;

impl Default for PresentClients {
    fn default() -> Self {
        Self::Few(Vec::new())
    }
}

impl PresentClients {
    /// Adds one, in the place of the one of its name, which is returned.
    fn insert(&mut self, info: Arc<ClientInfo>) -> Option<Arc<ClientInfo>> {
        match self {
            Self::Many(all) => all.insert(info.client, info),
            Self::Few(all) => {
                if let Some(known) = all.iter_mut().find(|known| known.client == info.client) {
                    return Some(std::mem::replace(known, info));
                }
                if all.len() < FEW {
                    all.reserve_exact(1);
                    all.push(info);
                    return None;
                }
                let all = std::mem::take(all).into_iter().chain([info]);
                *self = Self::Many(all.map(|info| (info.client, info)).collect());
                None
            }
        }
    }

    fn remove(&mut self, client: ClientId) -> Option<Arc<ClientInfo>> {
        match self {
            Self::Many(all) => all.remove(&client),
            Self::Few(all) => {
                let at = all.iter().position(|known| known.client == client)?;
                Some(all.remove(at))
            }
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Many(all) => all.len(),
            Self::Few(all) => all.len(),
        }
    }

    fn list(&self, most: usize) -> Vec<Arc<ClientInfo>> {
        match self {
            Self::Many(all) => all.values().take(most).cloned().collect(),
            Self::Few(all) => all.iter().take(most).cloned().collect(),
        }
    }
}

impl Attendance {
    /// A client comes. False if it was here.
    pub fn enter(&mut self, info: Arc<ClientInfo>) -> bool {
        let user = info.user.clone();
        if self.clients.insert(info).is_some() {
            return false;
        }
        if user.is_empty() {
            self.anonymous += 1;
        } else {
            *self.users.entry(user).or_default() += 1;
        }
        true
    }

    /// A client goes: who it was, if it was here.
    pub fn leave(&mut self, client: ClientId) -> Option<Arc<ClientInfo>> {
        let info = self.clients.remove(client)?;
        if info.user.is_empty() {
            self.anonymous -= 1;
        } else if let Some(clients) = self.users.get_mut(&info.user) {
            *clients -= 1;
            if *clients == 0 {
                self.users.remove(&info.user);
            }
        }
        Some(info)
    }

    /// How many are here.
    #[must_use]
    pub fn count(&self) -> Headcount {
        Headcount {
            clients: self.clients.len(),
            users: self.users.len() + usize::from(self.anonymous > 0),
        }
    }

    /// Who is here, so many at most.
    #[must_use]
    pub fn list(&self, most: usize) -> Vec<Arc<ClientInfo>> {
        self.clients.list(most)
    }

    /// Whether nobody is here.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.clients.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(id: u128, user: &str) -> Arc<ClientInfo> {
        Arc::new(ClientInfo {
            client: ClientId(id),
            user: user.into(),
            info: Box::default(),
        })
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
            here.leave(ClientId(2)).map(|info| info.user.clone()),
            Some("ann".into())
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
