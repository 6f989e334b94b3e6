//! Cores: messages, deadlines, stopping, sleeping, panics.

use super::Engine;
use super::peer::{connect, echo, read_all};
use super::script::{Event, plan, start};
use ringstorm::shard::{Close, Core};
use std::time::Duration;

const CORES: u16 = 3;
const ROUNDS: u64 = 3000;

pub(crate) fn messages_between_cores_arrive_once_and_in_order<E: Engine>() {
    // Each core sends every other core ROUNDS numbers, in bursts and as answers.
    let running = start::<E, _>(
        plan(usize::from(CORES), 0),
        |_| ([0u64; CORES as usize], 0u64),
        |scene, event| {
            let me = scene.wire.core();
            let others = (0..CORES).map(Core).filter(move |&core| core != me);
            let burst = match event {
                Event::Started => 100,
                Event::Forwarded(from, number) => {
                    let next = &mut scene.state.0[from.index()];
                    assert_eq!(*next, number, "from {from:?}");
                    *next += 1;
                    u64::from(number % 3 == 0) * 3
                }
                Event::Expired => {
                    *scene.finished = true;
                    0
                }
                _ => 0,
            };
            let upto = (scene.state.1 + burst).min(ROUNDS);
            for number in scene.state.1..upto {
                others
                    .clone()
                    .for_each(|core| scene.wire.forward(core, number));
            }
            scene.state.1 = upto;
            if others
                .clone()
                .all(|core| scene.state.0[core.index()] == ROUNDS)
            {
                // Late or doubled ones would still come.
                scene
                    .deadline
                    .get_or_insert(scene.wire.now() + Duration::from_millis(50));
            }
        },
    );
    for (core, (received, sent)) in running.finish().into_iter().enumerate() {
        let expected = [0, 1, 2].map(|from| if from == core { 0 } else { ROUNDS });
        assert_eq!((received, sent), (expected, ROUNDS));
    }
}

pub(crate) fn a_message_to_oneself_comes_as_an_event<E: Engine>() {
    let running = start::<E, _>(
        plan(1, 0),
        |_| (0, false),
        |scene, event| {
            assert!(!scene.state.1, "not inside the call");
            scene.state.1 = true;
            match event {
                Event::Started => scene.wire.forward(Core(0), 1),
                Event::Forwarded(from, number) => {
                    assert_eq!(from, Core(0));
                    *scene.finished = number == 5;
                    scene.wire.forward(Core(0), number + 1);
                    scene.state.0 = number;
                }
                _ => {}
            }
            scene.state.1 = false;
        },
    );
    assert_eq!(running.finish()[0].0, 5);
}

pub(crate) fn the_last_message_of_a_core_that_finishes_arrives<E: Engine>() {
    for round in 1..=5 {
        // Both sleep, then one speaks and finishes in the same turn: there is no later one in
        // which its engine could send what it has said.
        let running = start::<E, _>(
            plan(2, 0),
            |_| 0,
            move |scene, event| match event {
                Event::Started if scene.wire.core() == Core(0) => {
                    *scene.deadline = Some(scene.wire.now() + Duration::from_millis(60));
                }
                Event::Expired => {
                    scene.wire.forward(Core(1), round);
                    *scene.finished = true;
                }
                Event::Forwarded(_, number) => {
                    *scene.state = number;
                    *scene.finished = true;
                }
                _ => {}
            },
        );
        assert_eq!(running.finish(), [0, round]);
    }
}

pub(crate) fn a_deadline_is_kept_and_never_early<E: Engine>() {
    // That it is never early is the checker's assertion.
    const TIMES: u64 = 60;
    let running = start::<E, _>(
        plan(1, 0),
        |_| (0, 0),
        |scene, event| {
            if let Event::Expired = event {
                scene.state.0 += 1;
                *scene.finished = scene.state.0 == TIMES;
            }
            // Shorter and longer than the 1 ms of the ring's wait; one that is already past.
            let spans = [300, 3_000, 0, 12_000, 1_000].map(Duration::from_micros);
            let span = usize::try_from(scene.state.0).unwrap() % spans.len();
            *scene.deadline = Some(scene.wire.now() + spans[span]);
            scene.state.1 = scene.wire.vitals().counters.turns;
        },
    );
    let (expired, turns) = running.finish()[0];
    assert_eq!(expired, TIMES);
    // It sleeps for them, and does not look at the clock over and over.
    assert!(turns <= 20 * TIMES, "{turns} turns");
}

pub(crate) fn a_moved_deadline_counts_from_its_last_place<E: Engine>() {
    let running = start::<E, _>(
        plan(2, 0),
        |_| 0,
        |scene, event| match event {
            Event::Started => {
                // The other core says when to move it: nearer, then away.
                *scene.deadline = Some(scene.wire.now() + Duration::from_secs(30));
                scene.wire.forward(Core(1 - scene.wire.core().0), 40);
                scene.wire.forward(Core(1 - scene.wire.core().0), 120);
            }
            Event::Forwarded(_, ms) => {
                *scene.deadline = Some(scene.wire.now() + Duration::from_millis(ms));
                *scene.state = scene.wire.now().as_nanos();
            }
            Event::Expired => {
                *scene.state = scene.wire.now().as_nanos() - *scene.state;
                *scene.finished = true;
            }
            _ => {}
        },
    );
    for ns in running.finish() {
        // Not at its first place, which was half a minute away.
        assert!((120_000_000..29_000_000_000).contains(&ns), "{ns} ns");
    }
}

pub(crate) fn a_stop_reaches_every_parked_core<E: Engine>() {
    // The quickest of some: the machine may be busy with other things. Without a wake-up each would
    // wait for the ring's watchdog, who comes a second after the start.
    let woken = (0..8).any(|_| {
        let running = start::<E, _>(
            plan(3, 1),
            |_| 0,
            |scene, event| {
                if let Event::Stopped = event {
                    *scene.state += 1;
                    // Still alive for a while: a second throw must not come through.
                    *scene.deadline = Some(scene.wire.now() + Duration::from_millis(100));
                }
                *scene.finished = matches!(event, Event::Expired);
            },
        );
        std::thread::sleep(Duration::from_millis(300));
        let thrown = std::time::Instant::now();
        running.stop.throw();
        running.stop.throw();
        assert_eq!(running.finish(), [1, 1, 1]);
        thrown.elapsed() < Duration::from_millis(700)
    });
    assert!(woken, "by the watchdog alone");
}

pub(crate) fn a_stop_from_before_the_start_is_seen<E: Engine>() {
    let plan = plan(2, 0);
    plan.stop.throw();
    let running = start::<E, _>(
        plan,
        |_| 0,
        |scene, event| {
            match event {
                Event::Started => assert_eq!(*scene.state, 0, "started comes first"),
                Event::Stopped => *scene.finished = true,
                _ => {}
            }
            *scene.state += 1;
        },
    );
    assert_eq!(running.finish(), [2, 2]);
}

pub(crate) fn what_a_quiet_core_begins_ends_though_nothing_else_happens<E: Engine>() {
    // Each round begins long after anything has happened on this core.
    let running = start::<E, _>(
        plan(1, 1),
        |_| (Vec::new(), Vec::new(), 0),
        |scene, event| match event {
            Event::Started => *scene.deadline = Some(scene.wire.now() + Duration::from_millis(150)),
            Event::Opened(id, _) => scene.state.0.push(id),
            Event::Expired => scene.wire.forward(Core(0), 1),
            Event::Forwarded(..) => {
                scene.state.1.push("forwarded");
                let Some(id) = scene.state.0.pop() else {
                    scene.state.2 = scene.wire.vitals().counters.rescues;
                    *scene.finished = true;
                    return;
                };
                // More than the low mark and the high one: drained, then the end.
                scene.wire.send(id, &[b'x'; 70_000]).unwrap();
                *scene.deadline = None;
            }
            Event::Drained(id) => {
                scene.state.1.push("drained");
                scene.wire.send(id, b"the end").unwrap();
                scene.wire.close(id, Close::Flush);
            }
            Event::Closed(..) => {
                scene.state.1.push("closed");
                *scene.deadline = Some(scene.wire.now() + Duration::from_millis(150));
            }
            _ => {}
        },
    );
    let peers: Vec<_> = (0..3).map(|_| connect(running.address())).collect();
    let readers = peers.into_iter().map(|mut peer| {
        std::thread::spawn(move || assert_eq!(read_all(&mut peer).0.len(), 70_007))
    });
    for reader in readers.collect::<Vec<_>>() {
        reader.join().unwrap();
    }
    let (_, events, rescues) = running.finish().remove(0);
    let rounds = ["forwarded", "drained", "closed"].repeat(3);
    assert_eq!(events, [&rounds[..], &["forwarded"]].concat());
    assert_eq!(rescues, 0, "nobody had been woken for");
}

pub(crate) fn a_quiet_core_sleeps<E: Engine>() {
    let running = start::<E, _>(
        plan(1, 1),
        |_| 0,
        |scene, event| match event {
            // The first moments are set-up and the ring's quiet spell before it parks.
            Event::Started => *scene.deadline = Some(scene.wire.now() + Duration::from_millis(200)),
            Event::Expired if *scene.state == 0 => {
                *scene.state = scene.wire.vitals().counters.turns;
                *scene.deadline = Some(scene.wire.now() + Duration::from_secs(1));
            }
            Event::Expired => {
                *scene.state = scene.wire.vitals().counters.turns - *scene.state;
                *scene.finished = true;
            }
            _ => {}
        },
    );
    let turns = running.finish()[0];
    // The ring's quiet spell, its watchdog, and the deadline.
    assert!((1..20).contains(&turns), "{turns} turns in a quiet second");
}

pub(crate) fn a_parked_core_wakes_for_a_message_and_for_a_byte<E: Engine>() {
    const MESSAGES: u64 = 7;
    let running = start::<E, _>(
        plan(2, 1),
        |_| (Vec::new(), 0),
        |scene, event| {
            let again = scene.wire.now() + Duration::from_millis(120);
            let other = Core(1 - scene.wire.core().0);
            match event {
                Event::Started if other == Core(1) => *scene.deadline = Some(again),
                // It comes back as soon as it is there.
                Event::Expired => {
                    scene.state.0.push("sent");
                    let sent = scene.state.0.iter().filter(|it| **it == "sent").count() as u64;
                    scene.wire.forward(other, sent);
                    *scene.deadline = (sent < MESSAGES).then_some(again);
                }
                Event::Forwarded(_, number) if other == Core(0) => {
                    scene.wire.forward(other, number);
                }
                Event::Forwarded(..) => scene.state.0.push("returned"),
                Event::Received(id, bytes) => scene.wire.send(id, bytes).unwrap(),
                Event::Stopped => {
                    scene.state.1 = scene.wire.vitals().counters.rescues;
                    *scene.finished = true;
                }
                _ => {}
            }
        },
    );
    let mut peer = connect(running.address());
    for _ in 0..MESSAGES {
        std::thread::sleep(Duration::from_millis(120));
        echo(&mut peer, b"?");
    }
    // Time for the last of the messages.
    std::thread::sleep(Duration::from_millis(400));
    let cores = running.stop();
    assert_eq!(cores[0].0.len() as u64, 2 * MESSAGES);
    // The machine may be busy with other things. Without a wake-up they would wait for the ring's
    // watchdog, who comes once a second, when some have been sent behind them.
    let in_turn = cores[0]
        .0
        .windows(2)
        .filter(|two| two == &["sent", "returned"]);
    assert!(in_turn.count() > 3, "{:?}", cores[0].0);
    assert_eq!([cores[0].1, cores[1].1], [0; 2], "rescues");
}

pub(crate) fn a_panicking_shard_is_an_error_and_ends_the_others<E: Engine>() {
    let (tell, told) = std::sync::mpsc::channel();
    let running = start::<E, _>(
        plan(2, 0),
        |_| (),
        move |scene, event| match event {
            Event::Started => *scene.deadline = Some(scene.wire.now() + Duration::from_millis(50)),
            Event::Expired if scene.wire.core() == Core(1) => panic!("on purpose"),
            Event::Lost(core) => tell.send(Some(core)).unwrap(),
            Event::Stopped => {
                tell.send(None).unwrap();
                *scene.finished = true;
            }
            _ => {}
        },
    );
    let error = running.end().expect_err("a panic is an error");
    let told: Vec<_> = told.try_iter().collect();
    assert_eq!(
        told,
        [Some(Core(1)), None],
        "first who is gone, then the end"
    );
    assert!(
        error.contains("core 1") && error.contains("panic"),
        "{error}"
    );
}

pub(crate) fn outcomes_are_in_the_order_of_the_cores<E: Engine>() {
    let running = start::<E, _>(
        plan(4, 0),
        |core| core,
        |scene, event| match event {
            // The first core ends last.
            Event::Started => {
                let wait = Duration::from_millis(20 * u64::from(4 - scene.wire.core().0));
                *scene.deadline = Some(scene.wire.now() + wait);
            }
            Event::Expired => *scene.finished = true,
            _ => {}
        },
    );
    assert_eq!(running.finish(), [0, 1, 2, 3].map(Core));
}
