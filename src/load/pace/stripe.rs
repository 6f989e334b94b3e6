//! Which pieces of a plan are one core's.

use std::num::NonZeroU64;

/// Which pieces of the run are one core's: global index `local * cores + core`.
///
/// Neighbours in time go to different cores, so every core carries the same rate at all times.
/// A core beyond the number of connections has no piece of anything. Where each connection has
/// its own place in the plan, the pieces go round the connections, and a core's are those of its
/// connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stripe {
    core: u64,
    cores: u64,
    /// Connections that the pieces go round.
    round: Option<NonZeroU64>,
}

impl Stripe {
    /// No piece at all.
    pub const NOTHING: Self = Self {
        core: 1,
        cores: 1,
        round: None,
    };

    /// All of a run, of one core alone or of the only process.
    pub const WHOLE: Self = Self {
        core: 0,
        cores: 1,
        round: None,
    };

    /// The stripe of core `core` (from 0) of `cores` (at least 1).
    #[must_use]
    pub fn new(core: u16, cores: u16) -> Self {
        assert!(core < cores, "a core outside the run has no stripe");
        Self {
            core: u64::from(core),
            cores: u64::from(cores),
            round: None,
        }
    }

    /// The stripe of a core of a run with so many connections: only cores that have one share.
    #[must_use]
    pub fn among(core: u16, cores: u16, connections: u32) -> Self {
        let sharing = u64::from(cores).min(u64::from(connections)).max(1);
        Self {
            core: u64::from(core),
            cores: sharing,
            round: None,
        }
    }

    /// The same core's stripe of a plan that goes round so many connections, which are striped.
    #[must_use]
    pub fn per_connection(self, connections: u32) -> Self {
        Self {
            round: NonZeroU64::new(u64::from(connections)),
            ..self
        }
    }

    /// How many of the first `total` pieces are this core's.
    #[must_use]
    pub fn share(self, total: u64) -> u64 {
        match self.round {
            None => self.striped(total),
            Some(round) => {
                self.striped(round.get()) * (total / round) + self.striped(total % round)
            }
        }
    }

    /// The index in the whole run of this core's piece `local`.
    #[must_use]
    pub fn global(self, local: u64) -> u64 {
        let Some(round) = self.round else {
            return local.saturating_mul(self.cores).saturating_add(self.core);
        };
        let connections = self.striped(round.get()).max(1);
        let (rounds, connection) = (local / connections, local % connections);
        let within = connection * self.cores + self.core;
        rounds.saturating_mul(round.get()).saturating_add(within)
    }

    /// The place, from 0, of a connection among those of this core.
    #[must_use]
    pub fn local(self, number: u64) -> u64 {
        number / self.cores
    }

    /// Which part it is, from 1, and of how many.
    #[must_use]
    pub fn place(self) -> (u64, u64) {
        (self.core + 1, self.cores)
    }

    fn striped(self, total: u64) -> u64 {
        if self.core >= self.cores {
            return 0;
        }
        total.saturating_add(self.cores - 1 - self.core) / self.cores
    }
}

impl Default for Stripe {
    fn default() -> Self {
        Self::WHOLE
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn cores_without_a_connection_share_nothing() {
        let shares = [0, 1, 2, 3].map(|core| Stripe::among(core, 4, 2).share(1_000));
        assert_eq!(shares, [500, 500, 0, 0]);
        assert_eq!(Stripe::NOTHING.share(u64::MAX), 0);
    }

    proptest! {
        #[test]
        fn the_stripes_share_everything_once(
            cores in 1..70_u16,
            total in 0..5_000_u64,
            connections in prop::option::of(1..200_u32),
        ) {
            let mut seen = vec![0_u32; usize::try_from(total).unwrap()];
            for core in 0..cores {
                let stripe = match connections {
                    Some(all) => Stripe::among(core, cores, all).per_connection(all),
                    None => Stripe::new(core, cores),
                };
                for local in 0..stripe.share(total) {
                    seen[usize::try_from(stripe.global(local)).unwrap()] += 1;
                }
                let next = stripe.global(stripe.share(total));
                prop_assert!(next >= total || stripe.share(u64::MAX / 2) == 0);
            }
            prop_assert!(seen.iter().all(|&n| n == 1));
        }

        #[test]
        fn a_seat_s_pieces_are_those_of_its_connection(
            cores in 1..9_u16, connections in 1..50_u32, local in 0..1_000_u64,
        ) {
            for core in 0..cores.min(u16::try_from(connections).unwrap()) {
                let plain = Stripe::among(core, cores, connections);
                let own = plain.share(u64::from(connections));
                let global = plain.per_connection(connections).global(local);
                let number = global % u64::from(connections);
                prop_assert_eq!(plain.local(number), local % own);
                prop_assert_eq!(plain.global(local % own), number);
            }
        }
    }
}
