//! The subscriptions of one client: of most there is one, which takes no memory of its own.

use std::ops::{Deref, DerefMut};

/// One subscription of a client.
#[derive(Clone, Copy, Debug)]
pub(super) struct HubSubscription {
    /// The channel's place on this core.
    pub(super) channel: u32,
    /// What the dialect knows it by.
    pub(super) ticket: u32,
    pub(super) token: u32,
    pub(super) stage: SubscriptionStage,
    /// The application wanted it, not the client.
    pub(super) by_server: bool,
    /// Rather nothing than a subscription with a gap.
    pub(super) whole: bool,
}

/// How far a subscription is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SubscriptionStage {
    /// The channel's home was asked.
    Asked,
    /// It is told what is said: its place in the channel's list.
    Live(u32),
    /// It does not read, and is passed over.
    Late,
}

/// All of a client's.
#[derive(Debug, Default)]
pub(super) enum Subscriptions {
    #[default]
    None,
    One(HubSubscription),
    // A list in a box takes a third of the room here that a list does.
    #[expect(clippy::box_collection, reason = "of most clients there is none")]
    Several(Box<Vec<HubSubscription>>),
}

impl Subscriptions {
    pub(super) fn push(&mut self, new: HubSubscription) {
        match self {
            Self::None => *self = Self::One(new),
            Self::One(one) => *self = Self::Several(Box::new(vec![*one, new])),
            Self::Several(all) => all.push(new),
        }
    }

    /// Takes the one at that place; the last comes there.
    pub(super) fn swap_remove(&mut self, at: usize) -> Option<HubSubscription> {
        let taken = *self.get(at)?;
        match self {
            Self::None | Self::One(_) => *self = Self::None,
            Self::Several(all) => {
                all.swap_remove(at);
                if let [one] = ***all {
                    *self = Self::One(one);
                }
            }
        }
        Some(taken)
    }
}

impl Deref for Subscriptions {
    type Target = [HubSubscription];

    fn deref(&self) -> &[HubSubscription] {
        match self {
            Self::None => &[],
            Self::One(one) => std::slice::from_ref(one),
            Self::Several(all) => all,
        }
    }
}

impl DerefMut for Subscriptions {
    fn deref_mut(&mut self) -> &mut [HubSubscription] {
        match self {
            Self::None => &mut [],
            Self::One(one) => std::slice::from_mut(one),
            Self::Several(all) => all,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(channel: u32) -> HubSubscription {
        HubSubscription {
            channel,
            ticket: 0,
            token: 0,
            stage: SubscriptionStage::Asked,
            by_server: false,
            whole: false,
        }
    }

    #[test]
    fn one_two_or_many_come_and_go_alike() {
        let mut all = Subscriptions::default();
        let channels =
            |all: &Subscriptions| -> Vec<u32> { all.iter().map(|it| it.channel).collect() };
        for channel in 0..4 {
            all.push(of(channel));
        }
        assert_eq!(channels(&all), [0, 1, 2, 3]);
        assert_eq!(all.swap_remove(1).map(|it| it.channel), Some(1));
        assert!(all.swap_remove(3).is_none());
        assert_eq!(channels(&all), [0, 3, 2]);
        all.swap_remove(2);
        all.swap_remove(0);
        assert!(matches!(all, Subscriptions::One(it) if it.channel == 3));
        all.swap_remove(0);
        assert!(matches!(all, Subscriptions::None) && all.swap_remove(0).is_none());
    }
}
