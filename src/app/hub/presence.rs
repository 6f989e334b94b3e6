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
    clients: BTreeMap<ClientId, Arc<ClientInfo>>,
    /// How many clients of each named user are here.
    users: BTreeMap<Box<str>, u32>,
    /// Clients of nobody in particular: together they are one user, as in Centrifugo.
    anonymous: u32,
}

impl Attendance {
    /// A client comes. False if it was here.
    pub fn enter(&mut self, info: Arc<ClientInfo>) -> bool {
        let user = info.user.clone();
        if self.clients.insert(info.client, info).is_some() {
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
        let info = self.clients.remove(&client)?;
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
        self.clients.values().take(most).cloned().collect()
    }

    /// Whether nobody is here.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.clients.is_empty()
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
}
