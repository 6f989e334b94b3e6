//! Bytes: order, one send a turn, caps and marks, pausing, fairness.

use super::Engine;
use super::peer::{byte_at, connect, echo, read_all, stream_from, until, verify};
use super::script::{Event, Scene, plan, start};
use ringstorm::limits;
use ringstorm::shard::{Close, Payload, Unsent};
use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

/// Echoes; pauses while the backlog is high.
pub(crate) fn echoes<T>(scene: Scene<'_, T>, event: Event<'_>) {
    match event {
        Event::Received(id, bytes) => {
            scene
                .wire
                .send(id, bytes)
                .expect("an echo that pauses never fills its backlog");
            if scene.wire.backlog(id) > limits::BACKLOG_HIGH {
                scene.wire.pause(id);
            }
        }
        Event::Drained(id) => scene.wire.resume(id),
        Event::Stopped => *scene.finished = true,
        _ => {}
    }
}

pub(crate) fn an_echo_returns_every_byte_in_order_to_every_peer<E: Engine>() {
    let running = start::<E, _>(plan(2, 1), |_| (), echoes);
    let address = running.address();
    let peers = (0..8).map(|peer| {
        std::thread::spawn(move || {
            let stream = connect(address);
            let mut reader = stream.try_clone().unwrap();
            let total = 600_000 + peer * 7001;
            let writer = std::thread::spawn(move || {
                let mut random = fastrand::Rng::with_seed(peer as u64);
                let mut sent = 0;
                while sent < total {
                    let len = random.usize(1..20_000).min(total - sent);
                    (&stream).write_all(&stream_from(sent, len)).unwrap();
                    sent += len;
                }
                stream
            });
            let mut place = 0;
            let mut buffer = vec![0; 50_000];
            while place < total {
                let len = reader.read(&mut buffer).expect("the echo comes");
                assert_ne!(len, 0, "ended after {place} of {total} bytes");
                verify(place, &buffer[..len]);
                place += len;
            }
            drop(writer.join().unwrap());
        })
    });
    for peer in peers.collect::<Vec<_>>() {
        peer.join().unwrap();
    }
    running.stop();
}

pub(crate) fn what_is_queued_in_one_turn_leaves_in_one_send<E: Engine>() {
    let running = start::<E, _>(
        plan(1, 1),
        |_| (0, 0),
        |scene, event| match event {
            Event::Received(id, _) => {
                scene.state.0 = scene.wire.vitals().counters.sends;
                for place in 0..100 {
                    scene
                        .wire
                        .send_parts(id, &[&[byte_at(2 * place)], &[byte_at(2 * place + 1)]])
                        .unwrap();
                }
                scene
                    .wire
                    .share(id, &Payload::new(stream_from(200, 2000)))
                    .unwrap();
                scene
                    .wire
                    .share(id, &Payload::new(stream_from(2200, 300)))
                    .unwrap();
                assert_eq!(scene.wire.backlog(id), 2500, "a call only queues");
            }
            Event::Closed(..) => {
                scene.state.1 = scene.wire.vitals().counters.sends;
                *scene.finished = true;
            }
            _ => {}
        },
    );
    let mut peer = connect(running.address());
    peer.write_all(b"go").unwrap();
    let mut bytes = vec![0; 2500];
    peer.read_exact(&mut bytes).unwrap();
    verify(0, &bytes);
    drop(peer);
    let ends = running.finish();
    assert_eq!(ends[0].1 - ends[0].0, 1, "sends");
}

/// How far a sender of the test stream is.
struct Sender {
    random: fastrand::Rng,
    place: usize,
    full: usize,
    drained: usize,
    /// Wake-ups that the watchdog had to make up for.
    rescues: u64,
}

const MIXED: usize = 24_000_000;

impl Sender {
    /// Queues the stream in random shapes until the cap is hit or all is queued.
    fn pump(scene: &mut Scene<'_, Self>, id: ringstorm::shard::ConnectionId) {
        let Self {
            random,
            place,
            full,
            ..
        } = scene.state;
        while *place < MIXED {
            let most = [20, 700, 5000, 150_000][random.usize(0..4)];
            let len = random.usize(1..=most).min(MIXED - *place);
            let bytes = stream_from(*place, len);
            let before = scene.wire.backlog(id);
            let queued = match random.u8(0..3) {
                0 => scene.wire.send(id, &bytes),
                1 => {
                    let (left, right) = bytes.split_at(random.usize(0..=len));
                    scene.wire.send_parts(id, &[left, b"", right])
                }
                _ => scene.wire.share(id, &Payload::new(bytes)),
            };
            match queued {
                Ok(()) => *place += len,
                Err(Unsent::Full) => {
                    assert!(before + len > 400_000, "full only above the cap");
                    assert_eq!(scene.wire.backlog(id), before, "nothing was queued");
                    *full += 1;
                    return;
                }
                Err(Unsent::Gone) => panic!("gone at {place}"),
            }
            assert!(scene.wire.backlog(id) <= 400_000, "the cap is strict");
        }
        scene.wire.close(id, Close::Flush);
    }
}

fn mixed_stream<E: Engine>(pause_reading: Duration) -> Sender {
    let mut plan = plan(1, 1);
    plan.max_backlog = 400_000;
    let running = start::<E, _>(
        plan,
        |_| Sender {
            random: fastrand::Rng::with_seed(7),
            place: 0,
            full: 0,
            drained: 0,
            rescues: 0,
        },
        |mut scene, event| match event {
            Event::Opened(id, _) => Sender::pump(&mut scene, id),
            Event::Drained(id) => {
                assert!(scene.wire.backlog(id) <= limits::BACKLOG_LOW);
                scene.state.drained += 1;
                Sender::pump(&mut scene, id);
            }
            Event::Closed(..) => {
                scene.state.rescues = scene.wire.vitals().counters.rescues;
                *scene.finished = true;
            }
            _ => {}
        },
    );
    let mut peer = connect(running.address());
    std::thread::sleep(pause_reading);
    let (bytes, reset) = read_all(&mut peer);
    assert!(!reset);
    assert_eq!(bytes.len(), MIXED);
    verify(0, &bytes);
    drop(peer);
    let sender = running.finish().remove(0);
    assert_eq!(
        sender.rescues, 0,
        "no round waited for what was not to come"
    );
    sender
}

pub(crate) fn payloads_and_copies_arrive_interleaved_as_queued<E: Engine>() {
    mixed_stream::<E>(Duration::ZERO);
}

pub(crate) fn the_backlog_is_capped_and_drained_is_said_when_it_is_low<E: Engine>() {
    let sender = mixed_stream::<E>(Duration::from_millis(200));
    assert!(
        sender.full >= MIXED / 8_000_000,
        "{} times full",
        sender.full
    );
    // Each time but the last it waited for the mark.
    assert!(
        sender.drained.abs_diff(sender.full) <= 1,
        "{} drained",
        sender.drained
    );
}

pub(crate) fn a_paused_connection_receives_nothing_until_it_is_resumed<E: Engine>() {
    const ALL: usize = 16_000_000;
    let written = Arc::new(AtomicUsize::new(0));
    let running = start::<E, _>(
        plan(1, 1),
        |_| (None, 0, 0),
        |scene, event| match event {
            Event::Opened(id, _) => {
                scene.state.0 = Some(id);
                scene.wire.pause(id);
                *scene.deadline = Some(scene.wire.now() + Duration::from_millis(400));
            }
            Event::Expired => {
                // What the kernel had already handed over may come although it is paused.
                assert!(
                    scene.state.1 < 1_000_000,
                    "{} bytes while paused",
                    scene.state.1
                );
                scene.state.2 = 1;
                scene.wire.resume(scene.state.0.unwrap());
            }
            Event::Received(id, bytes) => {
                verify(scene.state.1, bytes);
                let before = scene.state.1 / 1_000_000;
                scene.state.1 += bytes.len();
                // Pausing and resuming at once, while bytes flow, loses nothing.
                if scene.state.1 / 1_000_000 != before && scene.state.2 == 1 {
                    scene.wire.pause(id);
                    scene.wire.resume(id);
                }
            }
            Event::Closed(..) => *scene.finished = true,
            _ => {}
        },
    );
    let mut peer = connect(running.address());
    let count = Arc::clone(&written);
    let writer = std::thread::spawn(move || {
        for place in (0..ALL).step_by(100_000) {
            peer.write_all(&stream_from(place, 100_000)).unwrap();
            count.fetch_add(100_000, SeqCst);
        }
    });
    std::thread::sleep(Duration::from_millis(250));
    assert!(written.load(SeqCst) < ALL, "the peer feels the pause");
    writer.join().unwrap();
    assert_eq!(running.finish()[0].1, ALL);
}

pub(crate) fn a_flood_from_one_peer_does_not_starve_another<E: Engine>() {
    let running = start::<E, _>(
        plan(1, 2),
        |_| (),
        |scene, event| match event {
            Event::Received(id, bytes) if bytes[0] == b'?' => {
                scene.wire.send(id, bytes).unwrap();
            }
            Event::Stopped => *scene.finished = true,
            _ => {}
        },
    );
    let floods: Vec<_> = (0..3).map(|_| connect(running.address())).collect();
    let writers: Vec<_> = floods
        .iter()
        .map(|flood| {
            let mut flood = flood.try_clone().unwrap();
            std::thread::spawn(move || while flood.write_all(&[b'x'; 100_000]).is_ok() {})
        })
        .collect();
    let mut peer = connect(running.addresses[1]);
    let started = std::time::Instant::now();
    for _ in 0..20 {
        echo(&mut peer, b"?");
    }
    assert!(
        started.elapsed() < Duration::from_secs(5),
        "{:?}",
        started.elapsed()
    );
    running.stop();
    for writer in writers {
        writer.join().unwrap();
    }
}

pub(crate) fn many_connections_share_few_receive_buffers<E: Engine>() {
    let mut plan = plan(1, 1);
    plan.receive_buffers = 4;
    plan.receive_bytes = 256;
    plan.slots = 1024;
    let running = start::<E, _>(plan, |_| (), echoes);
    let mut peers: Vec<_> = (0..200).map(|_| connect(running.address())).collect();
    let done = Arc::new(AtomicUsize::new(0));
    for round in 0..5 {
        let bytes = stream_from(round, 3000);
        for peer in &mut peers {
            peer.write_all(&bytes).unwrap();
        }
        for peer in &mut peers {
            let mut back = vec![0; bytes.len()];
            peer.read_exact(&mut back).unwrap();
            assert!(back == bytes);
            done.fetch_add(1, SeqCst);
        }
    }
    until("every echo", || done.load(SeqCst) == 1000);
    running.stop();
}
