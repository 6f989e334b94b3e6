//! The kernel's side of a run: what it holds, and what may happen to that next.

use super::choices::Choices;
use super::*;
use std::collections::BTreeSet;

/// A connection has one of these at a time.
const RECEIVES: [Operation; 3] = [
    Operation::Receive,
    Operation::ReceiveLarge,
    Operation::ReceiveInto,
];

/// An operation that the kernel has.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) user_data: u64,
    pub(super) cancelled: bool,
    /// A close that has run, and has not been reported yet.
    pub(super) ran: bool,
}

impl Held {
    pub(super) fn operation(self) -> (Operation, ConnectionId) {
        untag(self.user_data).unwrap()
    }
}

/// The kernel's side: what it holds, and which descriptors are open.
#[derive(Default)]
pub(super) struct World {
    pub(super) choices: Choices,
    pub(super) held: Vec<Held>,
    pub(super) open: BTreeSet<u32>,
    /// No more tricks: cancellations hit, and what was cancelled ends at once.
    pub(super) tame: bool,
}

impl World {
    /// Takes an entry.
    pub(super) fn begin(&mut self, user_data: u64, silent: bool, into: &mut Vec<Completion>) {
        let (operation, id) = untag(user_data).unwrap();
        let mut post = |result| into.push(completion(user_data, result, 0));
        let cancels = |what| tag(what, id);
        match operation {
            Operation::Send if silent => match self.fork(3) {
                0 => {}
                1 => post(-libc::EAGAIN),
                _ => post(-libc::ECONNRESET),
            },
            Operation::CancelReceive => {
                // A connection has one receive; the entry names the kind that it has.
                let held = |it: &u64| self.held.iter().any(|held| held.user_data == *it);
                let receive = RECEIVES.map(cancels).into_iter().find(held);
                self.cancel(receive.unwrap_or(cancels(Operation::Receive)), post);
            }
            Operation::CancelSend => self.cancel(cancels(Operation::Send), post),
            Operation::CancelConnect => self.cancel(cancels(Operation::Connect), post),
            Operation::CancelAccept => {
                // Some of them, perhaps: one on its way to the listener's queue is not found.
                let of = |held: &Held| {
                    let (what, whose) = held.operation();
                    let accept =
                        matches!(what, Operation::AcceptMultishot | Operation::AcceptSingle);
                    accept && whose.slot() == id.slot()
                };
                let found = self.fork(2) == 0;
                let all = self.held.iter_mut().filter(|it| of(it));
                all.for_each(|it| it.cancelled |= found);
                post(if found { 1 } else { -libc::ENOENT });
            }
            Operation::CancelRest => {
                self.held.iter_mut().for_each(|it| it.cancelled = true);
                post(0);
            }
            Operation::Prepare | Operation::ResetOnClose | Operation::RingDoorbell => {}
            Operation::Unacknowledged | Operation::PeerName => post(0),
            _ => self.hold(user_data, (operation, id)),
        }
        if self.tame {
            self.end_cancelled(into);
        }
    }

    fn hold(&mut self, user_data: u64, (operation, id): (Operation, ConnectionId)) {
        let mine = |it: &&Held| it.operation().1 == id && !is_plain(it.operation().0);
        let mine: Vec<Operation> = self
            .held
            .iter()
            .filter(mine)
            .map(|it| it.operation().0)
            .collect();
        match operation {
            Operation::Close => assert_eq!(mine, [], "closed while the kernel holds operations"),
            Operation::Receive
            | Operation::ReceiveLarge
            | Operation::ReceiveInto
            | Operation::Send => {
                let two =
                    RECEIVES.contains(&operation) && mine.iter().any(|it| RECEIVES.contains(it));
                assert!(!two, "a second receive, {id:?}");
                assert!(!mine.contains(&operation), "{operation:?} twice, {id:?}");
                assert!(
                    !mine.contains(&Operation::Close),
                    "{operation:?} after the close"
                );
            }
            _ => {}
        }
        self.held.push(Held {
            user_data,
            cancelled: false,
            ran: false,
        });
    }

    fn cancel(&mut self, user_data: u64, mut missed: impl FnMut(i32)) {
        let place = self.held.iter().position(|it| it.user_data == user_data);
        match place {
            Some(place) if self.fork(2) == 0 => self.held[place].cancelled = true,
            _ => missed(-libc::ENOENT),
        }
    }

    fn fork(&mut self, of: usize) -> usize {
        if self.tame { 0 } else { self.choices.pick(of) }
    }

    pub(super) fn end_cancelled(&mut self, into: &mut Vec<Completion>) {
        let cancelled = self.held.extract_if(.., |it| it.cancelled);
        into.extend(cancelled.map(|it| completion(it.user_data, -libc::ECANCELED, 0)));
    }

    /// What may happen now to what it holds: which of it, and in which of its ways.
    pub(super) fn steps(&self) -> Vec<KernelStep> {
        let mut steps = Vec::new();
        for (place, held) in self.held.iter().enumerate() {
            let first = self.held.iter().position(|it| it == held) == Some(place);
            let ways = match held.operation().0 {
                _ if held.cancelled => 1,
                Operation::AcceptMultishot | Operation::AcceptSingle | Operation::Connect => 2,
                Operation::Send => 3,
                Operation::Receive => 6,
                Operation::ReceiveLarge => 5,
                Operation::ReceiveInto => 4,
                Operation::Shutdown | Operation::Close => 1,
                _ => 0,
            };
            let ways = if first { ways } else { 0 };
            steps.extend((0..ways).map(|way| KernelStep::Completes(place, way)));
        }
        steps
    }
}

/// Whether it is of no connection.
pub(super) fn is_plain(operation: Operation) -> bool {
    let timer = matches!(operation, Operation::Tick | Operation::Alarm);
    timer
        || matches!(
            operation,
            Operation::AcceptMultishot | Operation::AcceptSingle
        )
}

/// A completion as the kernel posts it.
pub(super) fn completion(user_data: u64, result: i32, flags: u32) -> Completion {
    Completion {
        user_data,
        result,
        flags,
    }
}

/// One thing that may happen.
#[derive(Clone, Copy)]
pub(super) enum KernelStep {
    Turn,
    /// That operation, in that of its ways.
    Completes(usize, usize),
    Asks(ConnectionId, Asks),
    Connects,
    Writes,
}

/// What the shard may ask for.
#[derive(Clone, Copy)]
pub(super) enum Asks {
    Flush,
    Abort,
    Pause,
    Resume,
}
