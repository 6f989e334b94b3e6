//! One channel on its home core: which cores have subscribers, how far they have been told, and who
//! waits to be.

use super::answer::{HubError, Subscribed};
use super::history::Catchup;
use super::letter::{HubLetter, LocalRef, SubscriptionRef};
use super::options::OptionsRow;
use super::position::{Epoch, Position};
use super::presence::PresenceChange;
use super::publication::Publication;
use crate::limits;
use crate::shard::Core;
use std::collections::VecDeque;
use std::sync::Arc;

/// What the home core says, and to which.
pub(super) type Said = VecDeque<(Core, HubLetter)>;

/// One channel that somebody on some core has subscribed to.
#[derive(Debug)]
pub(super) struct HomeChannel {
    branches: HubBranches,
    /// The newest publication that the branches were told, once it is known.
    offset: u64,
    epoch: Epoch,
    pub(super) row: OptionsRow,
    is_known: bool,
    /// Whether the broker was asked for what it did not tell.
    pub(super) is_catching_up: bool,
    /// What most channels have nothing of.
    pending: Option<Box<PendingNews>>,
}

const _: () = assert!(size_of::<HomeChannel>() <= 48, "a session is small");

/// What is to be told of a channel later.
#[derive(Debug, Default)]
struct PendingNews {
    /// The number of the newest publication that was heard of, if the branches were not told it.
    seen: u64,
    /// Subscriptions that begin at a place which the branches have not come to.
    held: Vec<(Core, SubscriptionRef, Box<Subscribed>)>,
    /// Who came and went and is not told of yet.
    changes: Vec<PresenceChange>,
    /// So many did that nobody is told of them.
    is_crowded: bool,
}

/// The cores with subscribers: most channels have one.
#[derive(Debug)]
enum HubBranches {
    None,
    One(HubBranch),
    // A list in a box takes a third of the room here that a list does.
    #[expect(clippy::box_collection, reason = "of most channels there is none")]
    Several(Box<Vec<HubBranch>>),
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
    pub(super) const fn new(row: OptionsRow) -> Self {
        Self {
            branches: HubBranches::None,
            offset: 0,
            epoch: Epoch(0),
            row,
            is_known: false,
            is_catching_up: false,
            pending: None,
        }
    }

    /// One more subscriber there. Whether it is the first of all.
    pub(super) fn enter(&mut self, core: Core, local: LocalRef) -> bool {
        let is_first = self.branches.all().is_empty();
        let mut branches = self.branches.all_mut().iter_mut();
        match branches.find(|branch| branch.core == core) {
            Some(branch) => {
                // The core forgets a channel only when it has said that nobody is left.
                debug_assert_eq!(branch.local, local, "{core:?} renamed a channel in use");
                branch.subscribers += 1;
            }
            None => self.branches.push(HubBranch {
                core,
                local,
                subscribers: 1,
            }),
        }
        is_first
    }

    /// One subscriber less there. Whether nobody is left.
    pub(super) fn leave(&mut self, core: Core) -> bool {
        for branch in self.branches.all_mut() {
            if branch.core == core {
                branch.subscribers -= 1;
            }
        }
        self.branches.retain(|branch| branch.subscribers > 0);
        self.branches.all().is_empty()
    }

    /// That core has lost all it had. Whether nobody is left.
    pub(super) fn lose(&mut self, core: Core) -> bool {
        self.branches.retain(|branch| branch.core != core);
        if let Some(pending) = &mut self.pending {
            pending.held.retain(|(held, ..)| *held != core);
        }
        self.branches.all().is_empty()
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
        let last = self.last_or(Position {
            epoch,
            offset: offset - 1,
        });
        if last.epoch != epoch {
            self.begin_at(position, said);
            return Continuity::Done;
        }
        match offset.checked_sub(last.offset) {
            // It was told before.
            None | Some(0) => Continuity::Done,
            Some(1) => {
                self.deliver(epoch, publication, said);
                Continuity::Done
            }
            Some(_) => {
                self.hear_of(offset);
                match self.is_catching_up {
                    true => Continuity::Done,
                    false => Continuity::Gap(last),
                }
            }
        }
    }

    /// The broker has told what follows the branches' place, or that it cannot.
    pub(super) fn caught_up(&mut self, caught: &Catchup, said: &mut Said) -> Continuity {
        self.is_catching_up = false;
        let Position { epoch, offset } = caught.position;
        match self.last() {
            Some(last) if last.epoch == epoch && caught.whole => {
                for publication in &caught.publications {
                    if publication.offset == self.offset + 1 {
                        self.deliver(epoch, publication, said);
                    }
                }
            }
            // Told meanwhile.
            Some(last) if last.epoch == epoch && last.offset >= offset => {}
            Some(_) => self.begin_at(caught.position, said),
            None => self.be_at(caught.position),
        }
        let seen = self.pending.as_ref().map_or(0, |pending| pending.seen);
        match self.last() {
            Some(last) if last.offset < seen => Continuity::Gap(last),
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
        let last = self.last_or(position);
        if last.epoch != position.epoch {
            self.begin_at(position, said);
        } else if last.offset > position.offset {
            return false;
        } else if last.offset < position.offset {
            self.hear_of(position.offset);
            self.pending().held.push((core, subscription, subscribed));
            return true;
        }
        let letter = HubLetter::Subscribed {
            subscription,
            subscribed,
        };
        said.push_back((core, letter));
        true
    }

    /// Tells who came and went in the last second.
    pub(super) fn tell_changes(&mut self, said: &mut Said) {
        let Some(pending) = &mut self.pending else {
            return;
        };
        let changes = std::mem::take(&mut pending.changes);
        if !std::mem::take(&mut pending.is_crowded) && !changes.is_empty() {
            self.tell_these(&changes, said);
        }
        self.forget_pending();
    }

    /// Whether somebody came or went and is not told of yet.
    pub(super) fn has_changes(&self) -> bool {
        let pending = self.pending.as_ref();
        pending.is_some_and(|it| it.is_crowded || !it.changes.is_empty())
    }

    /// The place that the branches were told up to, if they were told any.
    pub(super) fn last(&self) -> Option<Position> {
        let Self { epoch, offset, .. } = *self;
        self.is_known.then_some(Position { epoch, offset })
    }

    /// The place that the branches were told up to, if a subscription waits for a later one.
    pub(super) fn waits_after(&self) -> Option<Position> {
        let pending = self.pending.as_ref();
        let waits = pending.is_some_and(|pending| !pending.held.is_empty());
        self.last().filter(|_| waits)
    }

    /// How many have subscribed on each core.
    pub(super) fn cores(&self) -> impl Iterator<Item = (Core, u32)> {
        let each = self.branches.all().iter();
        each.map(|branch| (branch.core, branch.subscribers))
    }

    /// How many have subscribed, and on how many cores.
    pub(super) fn reach(&self) -> (u64, u16) {
        let each = self.branches.all().iter();
        let clients = each.map(|branch| u64::from(branch.subscribers)).sum();
        (
            clients,
            u16::try_from(self.branches.all().len()).unwrap_or(u16::MAX),
        )
    }

    /// Something was lost for good: nobody's subscription goes on as if it had not been. What is
    /// told next follows that place.
    fn begin_at(&mut self, position: Position, said: &mut Said) {
        for HubBranch { core, local, .. } in self.branches.all() {
            said.push_back((*core, HubLetter::Interrupted { local: *local }));
        }
        if let Some(pending) = &mut self.pending {
            let error = HubError::Unreachable;
            for (core, subscription, _) in pending.held.drain(..) {
                let refused = HubLetter::Refused {
                    subscription,
                    error,
                };
                said.push_back((core, refused));
            }
            pending.seen = 0;
        }
        self.be_at(position);
    }

    fn be_at(&mut self, Position { epoch, offset }: Position) {
        (self.epoch, self.offset, self.is_known) = (epoch, offset, true);
        self.forget_pending();
    }

    /// The place that the branches were told up to: that one if they were told nothing.
    fn last_or(&mut self, first: Position) -> Position {
        self.last().unwrap_or_else(|| {
            self.be_at(first);
            first
        })
    }

    /// A publication was heard of that the branches are not told yet.
    fn hear_of(&mut self, offset: u64) {
        let pending = self.pending();
        pending.seen = pending.seen.max(offset);
    }

    fn pending(&mut self) -> &mut PendingNews {
        self.pending.get_or_insert_default()
    }

    /// Gives the memory back, if nothing is to be told later.
    fn forget_pending(&mut self) {
        let offset = self.offset;
        let is_over = |it: &mut Box<PendingNews>| {
            it.seen <= offset && it.held.is_empty() && it.changes.is_empty() && !it.is_crowded
        };
        self.pending.take_if(is_over);
    }

    /// Tells the branches a publication, numbered or not.
    fn tell(&self, epoch: Epoch, publication: &Publication, said: &mut Said) {
        for HubBranch { core, local, .. } in self.branches.all() {
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
        if let Some(pending) = &mut self.pending {
            let is_due = |held: &mut (Core, SubscriptionRef, Box<Subscribed>)| {
                held.2.position.offset <= offset
            };
            for (core, subscription, subscribed) in pending.held.extract_if(.., is_due) {
                let letter = HubLetter::Subscribed {
                    subscription,
                    subscribed,
                };
                said.push_back((core, letter));
            }
        }
        self.be_at(Position { epoch, offset });
    }

    /// A client came or went, where so many are now.
    pub(super) fn change(&mut self, change: PresenceChange, clients: usize, said: &mut Said) {
        if clients > limits::PRESENCE_TOLD {
            // Of those who came before the channel was so large nobody is told either.
            if let Some(pending) = &mut self.pending {
                pending.changes.clear();
            }
            return self.forget_pending();
        }
        if clients <= limits::PRESENCE_TOLD_AT_ONCE && !self.has_changes() {
            return self.tell_these(&[change], said);
        }
        // Whoever came and went within a second was not here.
        let pending = self.pending();
        match pending.undone_by(&change) {
            Some(at) => drop(pending.changes.remove(at)),
            None if pending.changes.len() < limits::PRESENCE_CHANGES => {
                pending.changes.push(change);
            }
            None => pending.is_crowded = true,
        }
    }

    fn tell_these(&self, changes: &[PresenceChange], said: &mut Said) {
        let changes: Arc<[PresenceChange]> = changes.into();
        for HubBranch { core, local, .. } in self.branches.all() {
            let (local, changes) = (*local, changes.clone());
            said.push_back((*core, HubLetter::Changed { local, changes }));
        }
    }
}

impl PendingNews {
    /// Which change a client's going undoes: its coming under the same name, if that name is then
    /// as much here as it was.
    fn undone_by(&self, going: &PresenceChange) -> Option<usize> {
        let is_undone =
            |it: &PresenceChange| it.came && it.info == going.info && it.is_alone == going.is_alone;
        let at = self.changes.iter().rposition(is_undone);
        at.filter(|_| !going.came)
    }
}

impl HubBranches {
    fn all(&self) -> &[HubBranch] {
        match self {
            Self::None => &[],
            Self::One(one) => std::slice::from_ref(one),
            Self::Several(all) => all,
        }
    }

    fn all_mut(&mut self) -> &mut [HubBranch] {
        match self {
            Self::None => &mut [],
            Self::One(one) => std::slice::from_mut(one),
            Self::Several(all) => all,
        }
    }

    fn push(&mut self, new: HubBranch) {
        match self {
            Self::None => *self = Self::One(new),
            Self::One(one) => *self = Self::Several(Box::new(vec![*one, new])),
            Self::Several(all) => all.push(new),
        }
    }

    fn retain(&mut self, stays: impl Fn(&HubBranch) -> bool) {
        match self {
            Self::None => {}
            Self::One(one) if stays(one) => {}
            Self::One(_) => *self = Self::None,
            Self::Several(all) => {
                all.retain(stays);
                match ***all {
                    [] => *self = Self::None,
                    [one] => *self = Self::One(one),
                    [_, ..] => {}
                }
            }
        }
    }
}
