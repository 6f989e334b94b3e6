//! Where a URL leads: to one address, to several of one name, or nowhere that is known.

use std::net::SocketAddr;
use std::sync::Arc;

/// Where a URL leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// There.
    At(SocketAddr),
    /// To several addresses of one name: connections take them in turn, and the next one where one
    /// does not answer (RFC 8305).
    Any(Arc<[SocketAddr]>),
    /// Nobody knows: its name was not found. Whoever is to go there has failed.
    Unknown,
}

impl Target {
    /// The first address, if one is known.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        self.addresses().first().copied()
    }

    /// All addresses that are known.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        match self {
            Self::At(address) => std::slice::from_ref(address),
            Self::Any(addresses) => addresses,
            Self::Unknown => &[],
        }
    }
}

/// Where a client goes whose server is overloaded: to the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Onward {
    /// So many turns further among the targets.
    pub(super) turns: u32,
    /// How many servers it goes round in all.
    pub(super) servers: u32,
    /// That is another URL, and not another address of the same name.
    pub(super) is_other_url: bool,
}

/// The next server after that of a turn, where turns go round targets and then round the addresses
/// of each; `None` if there is no other that is known.
pub(super) fn onward(targets: &[Target], turn: u64) -> Option<Onward> {
    let urls = u32::try_from(targets.len()).ok()?;
    let at = |turns: u32| {
        let place = turn
            .checked_add(u64::from(turns))?
            .checked_rem(u64::from(urls))?;
        targets.get(usize::try_from(place).ok()?)
    };
    let is_known = |turns: &u32| at(*turns).is_some_and(|it| it.address().is_some());
    let addresses = u32::try_from(at(0)?.addresses().len()).ok()?;
    let servers = if urls > 1 { urls } else { addresses };
    let turns = (1..urls).find(is_known);
    let turns = turns.or_else(|| (addresses > 1).then_some(urls))?;
    Some(Onward {
        turns,
        servers,
        is_other_url: turns < urls,
    })
}

/// What a URL asks for, and of whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The Host header.
    pub host: String,
    /// The request target: path and query; `Values` says what may stand in it.
    pub target: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::slice;

    fn at(port: u16) -> SocketAddr {
        ([127, 0, 0, 1], port).into()
    }

    #[test]
    fn the_next_server_is_of_the_next_url_that_is_known_or_the_next_address_of_the_name() {
        let (one, other) = (Target::At(at(1)), Target::At(at(2)));
        let several = Target::Any([at(3), at(4), at(5)].into());
        let turns = |targets: &[Target], turn| {
            let onward = onward(targets, turn);
            onward.map(|it| (it.turns, it.servers, it.is_other_url))
        };
        assert_eq!(turns(slice::from_ref(&one), 7), None, "there is no other");
        assert_eq!(turns(slice::from_ref(&several), 7), Some((1, 3, false)));
        assert_eq!(turns(&[one.clone(), other.clone()], 7), Some((1, 2, true)));
        // A name that was not found is passed over.
        let unknown = [one.clone(), Target::Unknown, other];
        assert_eq!(turns(&unknown, 0), Some((2, 3, true)));
        assert_eq!(turns(&unknown, 2), Some((1, 3, true)));
        assert_eq!(turns(&[one, Target::Unknown], 0), None);
        assert_eq!(turns(&[several, Target::Unknown], 0), Some((2, 2, false)));
    }
}
