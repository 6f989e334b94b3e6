//! One channel on its home core: which cores have subscribers, how far they have been told, and who
//! waits to be.

use super::answer::{HubError, Subscribed};
use super::history::Catchup;
use super::letter::{HubLetter, LocalRef, SubscriptionRef};
use super::options::ChannelOptions;
use super::position::{Epoch, Position};
use super::presence::PresenceChange;
use super::publication::{ClientId, ClientInfo, Publication};
use crate::limits;
use crate::shard::Core;
use std::collections::VecDeque;
use std::sync::Arc;

/// What the home core says, and to which.
pub(super) type Said = VecDeque<(Core, HubLetter)>;

/// One channel that somebody on some core has subscribed to.
#[derive(Debug)]
pub(super) struct HomeChannel {
    pub(super) options: ChannelOptions,
    branches: Vec<HubBranch>,
    /// The newest publication that the branches were told; `None` until it is known.
    last: Option<Position>,
    /// The number of the newest publication that was heard of in that history.
    seen: u64,
    /// Whether the broker was asked for what it did not tell.
    pub(super) is_catching_up: bool,
    /// Subscriptions that begin at a place which the branches have not come to.
    held: Vec<(Core, SubscriptionRef, Box<Subscribed>)>,
    /// Who came and went and is not told of yet.
    changes: Vec<PresenceChange>,
    /// So many did that nobody is told of them.
    is_crowded: bool,
}

/// A core with subscribers.
#[derive(Clone, Copy, Debug)]
struct HubBranch {
    core: Core,
    local: LocalRef,
    subscribers: u32,
}

/// What has to be done about a publication that was heard of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Continuity {
    /// Nothing.
    Done,
    /// Something before it was not told: the broker has to be asked for what follows that place.
    Gap(Position),
}

impl HomeChannel {
    pub(super) fn new(options: ChannelOptions) -> Self {
        Self {
            options,
            branches: Vec::new(),
            last: None,
            seen: 0,
            is_catching_up: false,
            held: Vec::new(),
            changes: Vec::new(),
            is_crowded: false,
        }
    }

    /// One more subscriber there. Whether it is the first of all.
    pub(super) fn enter(&mut self, core: Core, local: LocalRef) -> bool {
        let is_first = self.branches.is_empty();
        let mut branches = self.branches.iter_mut();
        match branches.find(|branch| branch.core == core) {
            Some(branch) => {
                // The core forgets a channel only when it has said that nobody is left.
                debug_assert_eq!(branch.local, local, "{core:?} renamed a channel in use");
                branch.subscribers += 1;
            }
            None => {
                // Most channels have one.
                self.branches.reserve_exact(1);
                self.branches.push(HubBranch {
                    core,
                    local,
                    subscribers: 1,
                });
            }
        }
        is_first
    }

    /// One subscriber less there. Whether nobody is left.
    pub(super) fn leave(&mut self, core: Core) -> bool {
        for branch in &mut self.branches {
            if branch.core == core {
                branch.subscribers -= 1;
            }
        }
        self.branches.retain(|branch| branch.subscribers > 0);
        self.branches.is_empty()
    }

    /// That core has lost all it had. Whether nobody is left.
    pub(super) fn lose(&mut self, core: Core) -> bool {
        self.branches.retain(|branch| branch.core != core);
        self.held.retain(|(held, ..)| *held != core);
        self.branches.is_empty()
    }

    /// A publication was heard of: the branches are told if it is the next.
    pub(super) fn published(
        &mut self,
        epoch: Epoch,
        publication: &Publication,
        said: &mut Said,
    ) -> Continuity {
        let offset = publication.offset;
        if offset == 0 {
            self.tell(epoch, publication, said);
            return Continuity::Done;
        }
        let position = Position { epoch, offset };
        let last = *self.last.get_or_insert(Position {
            epoch,
            offset: offset - 1,
        });
        if last.epoch != epoch {
            self.interrupt(said);
            self.last = Some(position);
            self.seen = offset;
            return Continuity::Done;
        }
        self.seen = self.seen.max(offset);
        match offset.checked_sub(last.offset) {
            // It was told before.
            None | Some(0) => Continuity::Done,
            Some(1) => {
                self.deliver(epoch, publication, said);
                Continuity::Done
            }
            Some(_) if self.is_catching_up => Continuity::Done,
            Some(_) => Continuity::Gap(last),
        }
    }

    /// The broker has told what follows the branches' place, or that it cannot.
    pub(super) fn caught_up(&mut self, caught: &Catchup, said: &mut Said) -> Continuity {
        self.is_catching_up = false;
        let Position { epoch, offset } = caught.position;
        match self.last {
            Some(last) if last.epoch == epoch && caught.whole => {
                for publication in &caught.publications {
                    if self
                        .last
                        .is_some_and(|last| publication.offset == last.offset + 1)
                    {
                        self.deliver(epoch, publication, said);
                    }
                }
            }
            // Told meanwhile.
            Some(last) if last.epoch == epoch && last.offset >= offset => {}
            Some(_) => {
                self.interrupt(said);
                self.last = Some(caught.position);
                self.seen = offset;
            }
            None => self.last = Some(caught.position),
        }
        match self.last {
            Some(last) if last.offset < self.seen => Continuity::Gap(last),
            Some(_) | None => Continuity::Done,
        }
    }

    /// A subscription begins, once the branches are where it does. False if they are past that: it
    /// has to be asked for anew.
    pub(super) fn subscribed(
        &mut self,
        (core, subscription): (Core, SubscriptionRef),
        subscribed: Box<Subscribed>,
        said: &mut Said,
    ) -> bool {
        let position = subscribed.position;
        let last = *self.last.get_or_insert(position);
        if last.epoch != position.epoch {
            self.interrupt(said);
            self.last = Some(position);
            self.seen = position.offset;
        } else if last.offset > position.offset {
            return false;
        } else if last.offset < position.offset {
            self.seen = self.seen.max(position.offset);
            self.held.push((core, subscription, subscribed));
            return true;
        }
        let letter = HubLetter::Subscribed {
            subscription,
            subscribed,
        };
        said.push_back((core, letter));
        true
    }

    /// A client came, who is one of so many.
    pub(super) fn came(&mut self, info: Arc<ClientInfo>, clients: usize, said: &mut Said) {
        self.change(PresenceChange { info, came: true }, clients, said);
    }

    /// A client went, of whom so many are left.
    pub(super) fn went(&mut self, info: Arc<ClientInfo>, clients: usize, said: &mut Said) {
        self.change(PresenceChange { info, came: false }, clients, said);
    }

    /// Tells who came and went in the last second.
    pub(super) fn tell_changes(&mut self, said: &mut Said) {
        let changes = std::mem::take(&mut self.changes);
        if !std::mem::take(&mut self.is_crowded) && !changes.is_empty() {
            self.tell_these(&changes, said);
        }
    }

    /// Whether somebody came or went and is not told of yet.
    pub(super) fn has_changes(&self) -> bool {
        self.is_crowded || !self.changes.is_empty()
    }

    /// The place that the branches were told up to, if they were told any.
    pub(super) fn last(&self) -> Option<Position> {
        self.last
    }

    /// The place that the branches were told up to, if a subscription waits for a later one.
    pub(super) fn waits_after(&self) -> Option<Position> {
        self.last.filter(|_| !self.held.is_empty())
    }

    /// How many have subscribed on each core.
    pub(super) fn cores(&self) -> impl Iterator<Item = (Core, u32)> {
        let each = self.branches.iter();
        each.map(|branch| (branch.core, branch.subscribers))
    }

    /// How many have subscribed, and on how many cores.
    pub(super) fn reach(&self) -> (u64, u16) {
        let each = self.branches.iter();
        let clients = each.map(|branch| u64::from(branch.subscribers)).sum();
        (
            clients,
            u16::try_from(self.branches.len()).unwrap_or(u16::MAX),
        )
    }

    /// Something was lost for good: nobody's subscription goes on as if it had not been.
    fn interrupt(&mut self, said: &mut Said) {
        for HubBranch { core, local, .. } in &self.branches {
            said.push_back((*core, HubLetter::Interrupted { local: *local }));
        }
        let error = HubError::Unreachable;
        for (core, subscription, _) in self.held.drain(..) {
            let refused = HubLetter::Refused {
                subscription,
                error,
            };
            said.push_back((core, refused));
        }
    }

    /// Tells the branches a publication, numbered or not.
    fn tell(&self, epoch: Epoch, publication: &Publication, said: &mut Said) {
        for HubBranch { core, local, .. } in &self.branches {
            let letter = HubLetter::Deliver {
                local: *local,
                epoch,
                publication: publication.clone(),
            };
            said.push_back((*core, letter));
        }
    }

    fn deliver(&mut self, epoch: Epoch, publication: &Publication, said: &mut Said) {
        self.tell(epoch, publication, said);
        let offset = publication.offset;
        self.last = Some(Position { epoch, offset });
        let is_due =
            |held: &mut (Core, SubscriptionRef, Box<Subscribed>)| held.2.position.offset <= offset;
        for (core, subscription, subscribed) in self.held.extract_if(.., is_due) {
            let letter = HubLetter::Subscribed {
                subscription,
                subscribed,
            };
            said.push_back((core, letter));
        }
    }

    fn change(&mut self, change: PresenceChange, clients: usize, said: &mut Said) {
        if !self.options.join_leave {
            return;
        }
        if clients > limits::PRESENCE_TOLD {
            // Of those who came before the channel was so large nobody is told either.
            self.changes.clear();
            return;
        }
        if clients <= limits::PRESENCE_TOLD_AT_ONCE && !self.has_changes() {
            return self.tell_these(&[change], said);
        }
        let client = change.info.client;
        // Whoever came and went within a second was not here.
        match self.position_of(client).filter(|_| !change.came) {
            Some(at) => drop(self.changes.remove(at)),
            None if self.changes.len() < limits::PRESENCE_CHANGES => self.changes.push(change),
            None => self.is_crowded = true,
        }
    }

    /// Where among the changes that client's coming is.
    fn position_of(&self, client: ClientId) -> Option<usize> {
        let mut changes = self.changes.iter();
        changes.position(|change| change.came && change.info.client == client)
    }

    fn tell_these(&self, changes: &[PresenceChange], said: &mut Said) {
        let changes: Arc<[PresenceChange]> = changes.into();
        for HubBranch { core, local, .. } in &self.branches {
            let (local, changes) = (*local, changes.clone());
            said.push_back((*core, HubLetter::Changed { local, changes }));
        }
    }
}
