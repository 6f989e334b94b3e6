//! Subscriptions to patterns (`news.*`): a client is told of whatever is published in a channel
//! that its pattern takes, whichever core that is homed on. It has no place, and is not made whole.
//!
//! Each core is asked, and the subscription stands once all have confirmed. From then on it is told
//! everything that is published, in the order of each channel.

use super::Hub;
use super::answer::{ChannelEvent, HubError, SubscribeWish, Subscribed};
use super::broker::Broker;
use super::history::Catchup;
use super::letter::{HubLetter, LocalRef, SubscriptionRef};
use super::options::{ChannelOptions, HistoryOptions};
use super::outlet::Outlet;
use super::position::Position;
use super::publication::Publication;
use crate::app::Seat;
use crate::limits;
use crate::shard::Core;
use std::sync::Arc;

/// A subscription to a pattern that not every core has confirmed.
#[derive(Clone, Copy, Debug)]
pub(super) struct PendingWatch {
    /// So many have not.
    cores: u16,
    options: ChannelOptions,
    /// The client comes back: it is told that something may be lost.
    was_here: bool,
}

impl<B: Broker> Hub<B> {
    /// A client subscribes to a pattern.
    pub(super) fn watch(
        &mut self,
        seat: Seat,
        wish: SubscribeWish<'_>,
        out: &mut impl Outlet,
    ) -> Result<(), HubError> {
        let name = wish.channel;
        let options = self.plan.namespaces.of(name);
        let options = options.ok_or(HubError::UnknownChannel)?;
        if !options.patterns {
            return Err(HubError::NotAvailable);
        }
        if !self.gone.is_empty() {
            return Err(HubError::Unreachable);
        }
        let known = self.subscribers.find(name);
        if known.is_some_and(|known| self.clients.to(seat, known).is_some()) {
            return Err(HubError::AlreadySubscribed);
        }
        if known.is_none() && self.subscribers.patterns() >= limits::PATTERNS {
            return Err(HubError::LimitExceeded);
        }
        let local = self.subscribers.enter(name);
        let subscription = match self.clients.begin(seat, local.index, wish) {
            Ok(subscription) => subscription,
            Err(error) => {
                self.subscribers.leave(local.index);
                return Err(error);
            }
        };
        if let Some(channel) = self.subscribers.get_mut(local.index) {
            channel.slow = options.slow;
        }
        let pending = PendingWatch {
            cores: self.plan.cores,
            options,
            was_here: wish.since.is_some(),
        };
        self.watching.insert(subscription, pending);
        let pattern = self.name(local.index);
        for core in 0..self.plan.cores {
            let watch = HubLetter::Watch {
                pattern: pattern.clone(),
                local,
                subscription,
            };
            self.send(Core(core), watch, out);
        }
        Ok(())
    }

    /// A client of that core subscribes to a pattern: it is told of what is homed here.
    pub(super) fn watched(
        &mut self,
        from: Core,
        (pattern, local): (&str, LocalRef),
        subscription: SubscriptionRef,
        out: &mut impl Outlet,
    ) {
        self.home.watchers.enter(from, pattern, local);
        self.send(from, HubLetter::Watching { subscription }, out);
    }

    /// A client is out of a pattern.
    pub(super) fn unwatch(&mut self, pattern: &Arc<str>, out: &mut impl Outlet) {
        for core in 0..self.plan.cores {
            let pattern = pattern.clone();
            self.send(Core(core), HubLetter::Unwatch { pattern }, out);
        }
    }

    /// One core more has confirmed a subscription to a pattern: it stands with the last.
    pub(super) fn watching(&mut self, it: SubscriptionRef, out: &mut impl Outlet) {
        let Some(pending) = self.watching.get_mut(&it) else {
            return;
        };
        pending.cores = pending.cores.saturating_sub(1);
        if pending.cores > 0 {
            return;
        }
        let Some(pending) = self.watching.remove(&it) else {
            return;
        };
        let subscription = self.clients.subscription(it);
        let Some(index) = subscription.map(|subscription| subscription.channel) else {
            // It is over, and its end was said.
            return;
        };
        let channel = self.name(index);
        let position = Position::default();
        let caught = Catchup {
            position,
            publications: Vec::new(),
            whole: false,
        };
        let subscribed = Subscribed {
            channel,
            options: ChannelOptions {
                history: HistoryOptions::OFF,
                presence: false,
                join_leave: false,
                ..pending.options
            },
            position,
            missed: pending.was_here.then_some(caught),
            by_server: false,
        };
        self.subscribed(it, Box::new(subscribed), out);
    }

    /// Something was published in a channel that a pattern takes.
    pub(super) fn matched(
        &mut self,
        local: LocalRef,
        channel: &str,
        publication: &Publication,
        out: &mut impl Outlet,
    ) {
        if self.subscribers.meant(local).is_none() {
            return;
        }
        if let Some(pattern) = self.subscribers.get_mut(local.index) {
            // Who is late is told how many it missed.
            pattern.told.offset += 1;
        }
        self.tell(local, ChannelEvent::Matched(channel, publication), out);
    }
}
