//! The ring's bookkeeping against a kernel that follows a script: what is legal but rare.

mod accepts;
mod choices;
mod echo;
mod large;
mod lent;
mod messages;
mod orders;
mod parks;
mod rearming;
mod sends;
mod waits;
mod world;

use self::echo::Echoing;
use super::accept::Acceptor;
use super::buffers::{Buffers, ReceiveBuffers};
use super::driver::Driver;
use super::intake::Group;
use super::kernel::{Completion, EnterWait, Kernel};
use super::mailer::{Mailboxes, Mailer, mailboxes_for};
use super::operation::{Operation, tag, untag};
use super::probe::Features;
use super::rings::Rings;
use super::slot::{Phase, Receive, Send, Size, Slots};
use super::waker::WakeHandle;
use super::{port::Port, queue::Ring};
use crate::engine::Stop;
use crate::shard::{Close, CloseCause, ConnectionId, Core, Counters, Wire};
use crate::time::Instant;
use io_uring::{opcode, squeue};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::os::fd::RawFd;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// Entries of the scripted submission queue.
const ROOM: usize = 4;
/// Receive buffers of each kind: how many, and their bytes.
const SMALL: (u16, u32) = (4, 64);
const LARGE: (u16, u32) = (2, 512);
/// `IORING_CQE_F_BUFFER` and `IORING_CQE_F_MORE` of include/uapi/linux/io_uring.h.
const BUFFER: u32 = 1;
const MORE: u32 = 2;

/// What the kernel does, and what it was asked.
#[derive(Default)]
struct Script {
    /// By their numbers, and whether only failure is to be told.
    queue: VecDeque<(u64, bool)>,
    /// Entries that it will not take yet.
    keeps: usize,
    refuses: Option<i32>,
    overflow: bool,
    completions: Vec<Completion>,
    taken: Vec<u64>,
    waits: Vec<EnterWait>,
    /// What the last cancellation of a receive was for.
    cancelled: Option<u64>,
    /// Bytes of the last send in one piece.
    sent: Option<usize>,
    /// What it does with what it has taken, where that is not for the test to say.
    world: Option<world::World>,
}

#[derive(Clone, Default)]
struct Scripted(Rc<RefCell<Script>>);

impl Scripted {
    fn completes(&self, user_data: u64, result: i32, flags: u32) {
        self.0.borrow_mut().completions.push(Completion {
            user_data,
            result,
            flags,
        });
    }

    /// What it has taken since it was last asked, timers left out.
    fn taken(&self) -> Vec<Operation> {
        let taken = std::mem::take(&mut self.0.borrow_mut().taken);
        let operations = taken.into_iter().filter_map(|it| Some(untag(it)?.0));
        operations
            .filter(|it| !matches!(it, Operation::Tick | Operation::Alarm))
            .collect()
    }
}

impl From<Scripted> for Box<dyn Kernel> {
    fn from(scripted: Scripted) -> Self {
        Box::new(scripted)
    }
}

impl Kernel for Scripted {
    fn push(&mut self, entry: &squeue::Entry) -> bool {
        let script = &mut *self.0.borrow_mut();
        let room = script.queue.len() < ROOM;
        if room {
            let number = entry.get_user_data();
            script.queue.push_back((number, is_silent(entry)));
            match untag(number) {
                Some((Operation::CancelReceive, _)) => {
                    script.cancelled = Some(large::target(entry));
                }
                Some((Operation::Send, _)) => script.sent = Some(large::length(entry)),
                _ => {}
            }
        }
        room
    }

    fn submit(&mut self) -> io::Result<usize> {
        self.enter(EnterWait::Not)
    }

    fn enter(&mut self, wait: EnterWait) -> io::Result<usize> {
        let script = &mut *self.0.borrow_mut();
        script.waits.push(wait);
        if let Some(errno) = script.refuses {
            return Err(io::Error::from_raw_os_error(errno));
        }
        let takes = script.queue.len().saturating_sub(script.keeps);
        for (user_data, silent) in script.queue.drain(..takes) {
            script.taken.push(user_data);
            if let Some(world) = &mut script.world {
                world.begin(user_data, silent, &mut script.completions);
            }
        }
        Ok(takes)
    }

    fn take(&mut self, into: &mut Vec<Completion>) {
        into.append(&mut self.0.borrow_mut().completions);
    }

    fn is_settled(&mut self) -> bool {
        let script = self.0.borrow();
        script.queue.is_empty() && !script.overflow
    }

    fn has_completions(&mut self) -> bool {
        !self.0.borrow().completions.is_empty()
    }

    fn has_entries(&mut self) -> bool {
        !self.0.borrow().queue.is_empty()
    }

    fn has_deferred(&mut self) -> bool {
        self.0.borrow().overflow
    }

    fn descriptor(&self) -> RawFd {
        -1
    }

    fn register_buffers(&mut self, group: Group, size: (u16, u32)) -> io::Result<Buffers> {
        Buffers::map(group, size)
    }

    fn reserve_below(&mut self, _: u32, _: u32) -> io::Result<()> {
        Ok(())
    }

    fn register_eventfd(&mut self, _: RawFd) -> io::Result<()> {
        Ok(())
    }

    fn enable_eventfd(&mut self) {}

    fn disable_eventfd(&mut self) {}

    fn install(&mut self, _: u32, _: RawFd) -> io::Result<()> {
        Ok(())
    }
}

/// Whether only an entry's failure is told.
fn is_silent(entry: &squeue::Entry) -> bool {
    let flags = std::ptr::from_ref(entry).cast::<u8>().wrapping_add(1);
    // SAFETY: an entry is an io_uring_sqe, whose second byte is its flags.
    let flags = unsafe { *flags };
    flags & squeue::Flags::SKIP_SUCCESS.bits() != 0
}

/// The first of two cores, with four slots for connects and four for accepts.
fn core() -> (Driver<Echoing>, Scripted, Mailboxes<u8>) {
    let kernel = Scripted::default();
    let size = Size {
        outgoing: 4,
        incoming: 4,
        table: 8,
    };
    let (driver, mailboxes) = core_on(&kernel, Arc::default(), (size, 4));
    (driver, kernel, mailboxes)
}

/// The first of two cores on that kernel: a table, and how many accepted connections at most.
fn core_on(
    kernel: &Scripted,
    listeners: Arc<Vec<crate::engine::ListenSocket>>,
    (size, most): (Size, u32),
) -> (Driver<Echoing>, Mailboxes<u8>) {
    let mut ring = Ring::new(kernel.clone());
    let buffers = ReceiveBuffers {
        small: ring.register_buffers(Group::Small, SMALL).unwrap(),
        large: ring.register_buffers(Group::Large, LARGE).unwrap(),
    };
    let mailboxes = mailboxes_for(2);
    Mailer::new(Arc::clone(&mailboxes), Core(1)).set_doorbell(-1, WakeHandle::new().unwrap());
    let port = Port {
        rings: Rings::new(vec![ring], size.table),
        slots: Slots::new(1, size, most),
        pool: Default::default(),
        lent: Default::default(),
        acceptor: Acceptor::new(listeners, 1),
        addresses: Default::default(),
        mailer: Mailer::new(Arc::clone(&mailboxes), Core(0)),
        now: crate::engine::now(),
        core: Core(0),
        max_backlog: 1 << 20,
        stall: Duration::from_secs(30),
        features: Features {
            socket_options: true,
            sockets: true,
            bind: true,
        },
        counters: Counters::default(),
        dirty: Vec::new(),
        lingering: Default::default(),
        querying: Default::default(),
        pending: Default::default(),
        waiting: Default::default(),
        peers: None,
        trims: false,
    };
    let waker = WakeHandle::new().unwrap();
    let driver = Driver::new(
        Echoing::default(),
        port,
        vec![buffers],
        Stop::default(),
        waker,
    );
    (driver, mailboxes)
}

fn turn(driver: &mut Driver<Echoing>) {
    driver.turn(Duration::from_millis(10)).unwrap();
}

/// A connection is accepted in that slot, and its receive armed.
fn accept(driver: &mut Driver<Echoing>, index: u32) -> ConnectionId {
    let id = driver.port.slots.accepted(0, index);
    driver.port.slots.get(id).unwrap().owed = true;
    driver.port.mark(id);
    for _ in 0..2 {
        turn(driver);
    }
    id
}

/// Five bytes come for a connection.
fn receive(driver: &mut Driver<Echoing>, kernel: &Scripted, id: ConnectionId) {
    driver.buffers[0]
        .small
        .bytes(0, 5)
        .copy_from_slice(b"hello");
    kernel.completes(tag(Operation::Receive, id), 5, BUFFER | MORE);
    turn(driver);
}

fn send(driver: &mut Driver<Echoing>, id: ConnectionId) -> Send {
    driver.port.slots.get(id).unwrap().send
}

#[test]
fn entries_without_room_wait_in_order_while_the_kernel_takes_none() {
    for errno in [libc::EAGAIN, libc::EBUSY, libc::ENOMEM] {
        let kernel = Scripted::default();
        let mut ring = Ring::new(kernel.clone());
        kernel.0.borrow_mut().refuses = Some(errno);
        let numbers: Vec<u64> = (0..11).collect();
        for &number in &numbers {
            ring.push(&opcode::Nop::new().build().user_data(number));
        }
        ring.enter(EnterWait::ForOne).unwrap();
        assert!(ring.has_entries() && ring.has_work() && !ring.is_settled());
        kernel.0.borrow_mut().refuses = None;
        kernel.0.borrow_mut().waits.clear();
        while ring.has_entries() {
            assert!(!ring.is_settled(), "some are held back");
            ring.enter(EnterWait::ForOne).unwrap();
        }
        assert!(ring.is_settled());
        let script = kernel.0.borrow();
        assert_eq!(script.taken, numbers);
        assert_eq!(
            script.waits,
            [EnterWait::Not, EnterWait::Not, EnterWait::ForOne],
            "only the last may wait: what it waits for may follow from what was held back"
        );
    }
}

#[test]
fn a_send_is_not_proven_before_the_kernel_has_taken_it() {
    let (mut driver, kernel, _mailboxes) = core();
    let id = accept(&mut driver, 4);
    receive(&mut driver, &kernel, id);
    assert_eq!(send(&mut driver, id), Send::Unproven);
    kernel.0.borrow_mut().keeps = usize::MAX;
    turn(&mut driver);
    assert_eq!(send(&mut driver, id), Send::Unproven, "still in the queue");
    assert_eq!(driver.port.slots.backlog(id), 5, "its buffer is kept");
    kernel.0.borrow_mut().keeps = 0;
    turn(&mut driver);
    assert_eq!(send(&mut driver, id), Send::Off);
    assert_eq!(driver.port.slots.backlog(id), 0);
}

#[test]
fn a_send_is_not_proven_while_a_failure_may_wait_for_room() {
    let (mut driver, kernel, _mailboxes) = core();
    let id = accept(&mut driver, 4);
    receive(&mut driver, &kernel, id);
    kernel.0.borrow_mut().overflow = true;
    turn(&mut driver);
    assert_eq!(send(&mut driver, id), Send::Unproven);
    // The overflow held this: it found no room in the socket.
    kernel.0.borrow_mut().overflow = false;
    kernel.completes(tag(Operation::Send, id), -libc::EAGAIN, 0);
    turn(&mut driver);
    assert_eq!(send(&mut driver, id), Send::Waiting);
    assert_eq!(driver.port.slots.backlog(id), 5);
    kernel.completes(tag(Operation::Send, id), 2, 0);
    turn(&mut driver);
    assert_eq!(
        driver.port.slots.backlog(id),
        3,
        "cut short: the rest again"
    );
    assert_eq!(send(&mut driver, id), Send::Waiting);
    kernel.completes(tag(Operation::Send, id), 3, 0);
    turn(&mut driver);
    assert_eq!(driver.port.slots.backlog(id), 0);
    assert_eq!(driver.port.counters.bytes_out, 5);
}

#[test]
fn a_cancellation_that_misses_is_repeated_until_what_it_was_for_ends() {
    let (mut driver, kernel, _mailboxes) = core();
    let id = accept(&mut driver, 4);
    kernel.taken();
    driver.port.close(id, Close::Abort);
    for _ in 0..3 {
        turn(&mut driver);
        turn(&mut driver);
        let taken = kernel.taken();
        assert!(taken.contains(&Operation::CancelReceive), "{taken:?}");
        assert!(!taken.contains(&Operation::Close), "it is still held");
        kernel.completes(tag(Operation::CancelReceive, id), -libc::ENOENT, 0);
    }
    // It ends in the same turn as the last of them misses, in either order.
    kernel.completes(tag(Operation::Receive, id), -libc::ECANCELED, 0);
    turn(&mut driver);
    turn(&mut driver);
    kernel.completes(tag(Operation::CancelReceive, id), -libc::ENOENT, 0);
    turn(&mut driver);
    turn(&mut driver);
    let taken = kernel.taken();
    assert_eq!(
        taken.iter().filter(|&&it| it == Operation::Close).count(),
        1
    );
    assert_eq!(driver.shard.closed, [(id, CloseCause::Local)]);
}

#[test]
fn a_missed_cancellation_of_a_send_and_of_a_connect_is_repeated() {
    let (mut driver, kernel, _mailboxes) = core();
    let to = "127.0.0.1:9".parse().unwrap();
    let connecting = driver.port.connect(to, None).unwrap();
    let sending = accept(&mut driver, 4);
    receive(&mut driver, &kernel, sending);
    turn(&mut driver);
    receive(&mut driver, &kernel, sending);
    kernel.completes(tag(Operation::Send, sending), -libc::EAGAIN, 0);
    turn(&mut driver);
    assert_eq!(send(&mut driver, sending), Send::Waiting);
    let both = [
        (connecting, Operation::CancelConnect),
        (sending, Operation::CancelSend),
    ];
    for (id, cancel) in both {
        driver.port.close(id, Close::Abort);
        for _ in 0..2 {
            turn(&mut driver);
            turn(&mut driver);
            let taken = kernel.taken();
            assert!(taken.contains(&cancel), "{cancel:?} of {taken:?}");
            kernel.completes(tag(cancel, id), -libc::ENOENT, 0);
        }
    }
    assert!(driver.shard.closed.is_empty(), "the kernel holds both");
}

#[test]
fn a_paused_receive_whose_cancellation_missed_goes_on_when_it_is_resumed() {
    let (mut driver, kernel, _mailboxes) = core();
    let id = accept(&mut driver, 4);
    driver.port.pause(id);
    turn(&mut driver);
    driver.port.resume(id);
    kernel.completes(tag(Operation::CancelReceive, id), -libc::ENOENT, 0);
    turn(&mut driver);
    kernel.completes(tag(Operation::Receive, id), -libc::ECANCELED, 0);
    turn(&mut driver);
    assert_eq!(driver.port.slots.get(id).unwrap().receive, Receive::Armed);
}

#[test]
fn why_a_connect_has_no_socket_is_told_in_either_order() {
    for connect_first in [false, true] {
        let (mut driver, kernel, _mailboxes) = core();
        let to = "127.0.0.1:9".parse().unwrap();
        let id = driver.port.connect(to, None).unwrap();
        turn(&mut driver);
        let mut said = [
            (Operation::Prepare, -libc::EMFILE),
            (Operation::Connect, -libc::EBADF),
        ];
        if connect_first {
            said.reverse();
        }
        for (operation, result) in said {
            kernel.completes(tag(operation, id), result, 0);
        }
        turn(&mut driver);
        turn(&mut driver);
        assert_eq!(driver.shard.closed, [(id, CloseCause::NoDescriptor)]);
    }
}
