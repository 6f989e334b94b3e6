//! Orders of completions: a kernel that does in each step one of the things that it may do.

use super::choices::{Choices, DEPTH};
use super::echo::LENT;
use super::world::{Asks, Held, KernelStep, World, completion, is_plain};
use super::*;
use crate::engine::ring::accept::spare_slots;
use crate::limits;
use std::net::TcpListener;

/// Runs of many steps, each chosen by a seed.
const SEEDS: u64 = 800;

struct Run {
    driver: Driver<Echoing>,
    kernel: Scripted,
    _mailboxes: Mailboxes<u8>,
    /// Connections that the shard has closed.
    left: Vec<ConnectionId>,
    dialled: Vec<ConnectionId>,
    /// Provided buffers taken since the last turn, small and large.
    buffers: (u16, u16),
}

impl Run {
    /// A core that accepts, with so many connections beyond those of a whole accept queue.
    fn new(choices: Choices, incoming: u32) -> Self {
        let kernel = Scripted::default();
        kernel.0.borrow_mut().world = Some(World {
            choices,
            ..World::default()
        });
        let listeners = Arc::new(vec![TcpListener::bind("127.0.0.1:0").unwrap().into()]);
        let size = Size {
            outgoing: 4,
            incoming,
            table: 4 + incoming + spare_slots(1),
        };
        let (mut driver, mailboxes) = core_on(&kernel, listeners, (size, incoming));
        driver.shard.lends = 2;
        turn(&mut driver);
        turn(&mut driver);
        Self {
            driver,
            kernel,
            _mailboxes: mailboxes,
            left: Vec::new(),
            dialled: Vec::new(),
            buffers: (0, 0),
        }
    }

    fn with_world<R>(&self, f: impl FnOnce(&mut World) -> R) -> R {
        f(self.kernel.0.borrow_mut().world.as_mut().unwrap())
    }

    fn turn(&mut self) {
        self.buffers = (0, 0);
        turn(&mut self.driver);
        let held = self.with_world(|world| world.held.clone());
        for (operation, id) in held.into_iter().map(Held::operation) {
            if is_plain(operation) || operation == Operation::Close {
                continue;
            }
            let slot = self.driver.port.slots.get(id).map(|slot| slot.phase);
            assert!(
                slot.is_some_and(|it| it != Phase::Closing),
                "{operation:?} of {slot:?}"
            );
            assert!(
                operation != Operation::ReceiveInto || self.driver.port.lent.holds(id),
                "its buffer is gone"
            );
            let backlog = self.driver.port.slots.backlog(id);
            assert!(
                operation != Operation::Send || backlog > 0,
                "its buffer is gone"
            );
        }
    }

    fn is_open(&self, id: ConnectionId) -> bool {
        let closed = |it: &&(ConnectionId, CloseCause)| it.0 == id;
        !self.left.contains(&id) && !self.driver.shard.closed.iter().any(|it| closed(&it))
    }

    fn steps(&self) -> Vec<KernelStep> {
        let mut steps = vec![KernelStep::Turn];
        steps.extend(self.with_world(|world| world.steps()));
        for &id in self
            .driver
            .shard
            .opened
            .iter()
            .filter(|&&id| self.is_open(id))
        {
            let asks = [Asks::Flush, Asks::Abort, Asks::Pause, Asks::Resume];
            steps.extend(asks.map(|it| KernelStep::Asks(id, it)));
        }
        if self.dialled.len() < 3 {
            steps.push(KernelStep::Connects);
        }
        steps.push(KernelStep::Writes);
        steps
    }

    fn step(&mut self, step: KernelStep) {
        let port = &mut self.driver.port;
        match step {
            KernelStep::Turn => self.turn(),
            KernelStep::Completes(place, way) => self.completes(place, way),
            KernelStep::Asks(id, asks) => match asks {
                Asks::Pause => port.pause(id),
                Asks::Resume => port.resume(id),
                Asks::Flush => {
                    port.close(id, Close::Flush);
                    self.left.push(id);
                }
                Asks::Abort => {
                    port.close(id, Close::Abort);
                    self.left.push(id);
                }
            },
            KernelStep::Connects => {
                let connect = port.connect("127.0.0.1:9".parse().unwrap(), None);
                self.dialled.extend(connect.ok());
            }
            KernelStep::Writes => port.forward(Core(1), 1),
        }
    }

    fn completes(&mut self, place: usize, way: usize) {
        let mut held = self.with_world(|world| world.held.remove(place));
        let (operation, id) = held.operation();
        let (result, flags) = match operation {
            _ if held.cancelled => (-libc::ECANCELED, 0),
            Operation::AcceptMultishot | Operation::AcceptSingle if way == 0 => {
                let goes_on = operation == Operation::AcceptMultishot;
                let index = (4..).find(|it| self.with_world(|world| world.open.insert(*it)));
                (
                    i32::try_from(index.unwrap()).unwrap(),
                    if goes_on { MORE } else { 0 },
                )
            }
            // What stood in the queue has been reset: ECONNABORTED.
            Operation::AcceptMultishot | Operation::AcceptSingle => (-libc::ECONNABORTED, 0),
            Operation::Connect => ([0, -libc::ECONNREFUSED][way], 0),
            Operation::Send => {
                let out = self.driver.port.slots.out(id);
                let rest = out.map_or(0, |out| out.flight_rest(&self.driver.port.pool));
                let rest = i32::try_from(rest).unwrap();
                ([rest, 1.min(rest), -libc::ECONNRESET][way], 0)
            }
            Operation::Receive => match way {
                0 | 1 | 5 if self.buffers.0 < SMALL.0 => {
                    let flags = u32::from(self.buffers.0) << 16 | BUFFER;
                    self.buffers.0 += 1;
                    match way {
                        0 => (5, flags | MORE),
                        1 => (5, flags),
                        _ => (SMALL.1.cast_signed(), flags | MORE),
                    }
                }
                0 | 1 | 5 => (-libc::ENOBUFS, 0),
                2 => (0, 0),
                3 => (-libc::ECONNRESET, 0),
                _ => (-libc::ENOBUFS, 0),
            },
            Operation::ReceiveLarge => match way {
                0 | 1 if self.buffers.1 < LARGE.0 => {
                    let flags = u32::from(self.buffers.1) << 16 | BUFFER;
                    self.buffers.1 += 1;
                    ([5, LARGE.1.cast_signed()][way], flags)
                }
                2 => (0, 0),
                3 => (-libc::ECONNRESET, 0),
                _ => (-libc::ENOBUFS, 0),
            },
            Operation::ReceiveInto => {
                let lent = i32::try_from(LENT).unwrap();
                ([5, lent, 0, -libc::ECONNRESET][way], 0)
            }
            _ => (0, 0),
        };
        if operation == Operation::Close && !held.ran {
            // From here on the descriptor is free, though nobody has been told.
            let slot = u32::try_from(id.slot()).unwrap();
            self.with_world(|world| world.open.remove(&slot));
            held.ran = true;
            self.with_world(|world| world.held.insert(place, held));
            return;
        }
        if flags & MORE != 0 {
            self.with_world(|world| world.held.insert(place, held));
        }
        self.kernel.completes(held.user_data, result, flags);
    }

    /// Every connection is closed, one way or the other, and the peers do what they should.
    fn close_all(&mut self) {
        self.with_world(|world| world.tame = true);
        self.turn();
        for turns in 0..100 {
            if turns > 8 && self.driver.port.slots.ids().next().is_none() {
                break;
            }
            // Those too that are let in meanwhile.
            for id in self.driver.shard.opened.clone() {
                let how = [Close::Flush, Close::Abort][id.slot() % 2];
                self.driver.port.close(id, how);
            }
            self.turn();
            let mut place = 0;
            while let Some(held) = self.with_world(|world| world.held.get(place).copied()) {
                let way = match held.operation().0 {
                    _ if held.cancelled => 0,
                    Operation::Receive | Operation::ReceiveLarge | Operation::ReceiveInto => 2,
                    Operation::Connect => 1,
                    Operation::Send | Operation::Shutdown | Operation::Close => 0,
                    _ => {
                        place += 1;
                        continue;
                    }
                };
                self.completes(place, way);
            }
        }
        let port = &mut self.driver.port;
        let left: Vec<_> = port.slots.ids().collect();
        let left = left
            .iter()
            .filter_map(|&id| Some(format!("{id:?} {:?}", port.slots.get(id)?)));
        assert_eq!(left.collect::<Vec<_>>(), [""; 0], "every close ends");
        assert_eq!(port.counters.backlog_bytes, 0);
        assert!(port.lent.is_empty(), "who is gone has lent nothing");
        let accepts = |held: &Held| is_accept(held.operation().0) && !held.cancelled;
        assert!(
            self.with_world(|world| world.held.iter().any(accepts)),
            "nobody is let in"
        );
        let mut told: Vec<_> = self.driver.shard.closed.iter().map(|it| it.0).collect();
        let mut owed = [&*self.driver.shard.opened, &*self.dialled].concat();
        told.sort_unstable();
        owed.sort_unstable();
        owed.dedup();
        assert_eq!(told, owed, "each is told once");
    }

    fn finish(mut self) {
        self.with_world(|world| world.tame = true);
        {
            let script = &mut *self.kernel.0.borrow_mut();
            let world = script.world.as_mut().unwrap();
            world.end_cancelled(&mut script.completions);
            // These end by themselves.
            let own = |it: &mut Held| it.operation().0 == Operation::Shutdown;
            let ended = world.held.extract_if(.., own);
            script
                .completions
                .extend(ended.map(|it| completion(it.user_data, 0, 0)));
        }
        self.driver.port.stop_accepting();
        self.driver.finish();
        let script = self.kernel.0.borrow();
        let held = &script.world.as_ref().unwrap().held;
        let held: Vec<_> = held.iter().map(|it| it.operation()).collect();
        assert_eq!(held, [], "its memory is freed");
    }
}

fn is_accept(operation: Operation) -> bool {
    matches!(
        operation,
        Operation::AcceptMultishot | Operation::AcceptSingle
    )
}

/// Runs so many steps.
fn run(choices: Choices, steps: usize, incoming: u32) -> Run {
    let mut run = Run::new(choices, incoming);
    // A connection that talks, so that there is something to be ended.
    run.completes(0, 0);
    run.turn();
    for _ in 0..steps {
        let steps = run.steps();
        let chosen = run.with_world(|world| world.choices.pick(steps.len()));
        run.step(steps[chosen]);
    }
    run
}

/// So many that the accept queue fits in and two more.
pub(super) fn roomy() -> u32 {
    let somaxconn = std::fs::read_to_string("/proc/sys/net/core/somaxconn").ok();
    let somaxconn = somaxconn.and_then(|text| text.trim().parse().ok());
    limits::LISTEN_BACKLOG.min(somaxconn.unwrap_or(u32::MAX)) + 2
}

#[test]
fn in_every_order_of_a_few_completions_every_close_ends() {
    let mut choices = Choices::default();
    let mut runs = 0;
    loop {
        let mut run = run(choices, DEPTH, 2);
        run.close_all();
        choices = run.with_world(|world| world.choices.clone());
        run.finish();
        runs += 1;
        if !choices.advance() {
            break;
        }
    }
    assert!(runs > 1000, "{runs} orders");
}

#[test]
fn in_any_order_of_many_completions_every_close_ends() {
    let seeds = match std::env::var("RINGSTORM_SEED") {
        Ok(seed) => seed.parse().map(|seed| seed..=seed).unwrap(),
        Err(_) => 0..=SEEDS,
    };
    for seed in seeds {
        let choices = Choices::seeded(seed);
        let incoming = [2, roomy()][usize::from(seed % 2 == 1)];
        let told = std::panic::catch_unwind(|| {
            let mut run = run(choices, 60, incoming);
            // Some cores end in the middle of it.
            if seed % 5 != 4 {
                run.close_all();
            }
            run.finish();
        });
        assert!(told.is_ok(), "RINGSTORM_SEED={seed}");
    }
}
