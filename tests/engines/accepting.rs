//! Accepting under all mixtures of listeners, tables and fullness: nobody is left waiting for ever.

use super::peer::{connect, echo, until};
use super::script::{Event, Running, Scene, plan, start};
use super::{Engine, Ring};
use ringstorm::engine::{ListenPlace, Listeners};
use ringstorm::shard::{Close, ConnectionId, Core, Origin};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

/// How many are open now, and how many were at most.
#[derive(Clone, Default)]
struct Open(Arc<AtomicUsize>, Arc<AtomicUsize>);

impl Open {
    fn now(&self) -> usize {
        self.0.load(SeqCst)
    }

    fn most(&self) -> usize {
        self.1.load(SeqCst)
    }
}

/// An echo on one core with so many slots and listeners, which counts what is open.
fn counting<E: Engine>(slots: u32, listeners: usize, open: &Open) -> Running<()> {
    let mut plan = plan(1, listeners);
    plan.slots = slots;
    let open = open.clone();
    start::<E, _>(
        plan,
        |_| (),
        move |scene: Scene<'_, ()>, event| match event {
            Event::Opened(..) => {
                let now = open.0.fetch_add(1, SeqCst) + 1;
                open.1.fetch_max(now, SeqCst);
            }
            Event::Received(id, bytes) => scene.wire.send(id, bytes).unwrap(),
            Event::Closed(..) => {
                open.0.fetch_sub(1, SeqCst);
            }
            Event::Stopped => *scene.finished = true,
            _ => {}
        },
    )
}

/// Whether the peer is served within that time; it has sent one byte.
fn is_served(peer: &mut TcpStream, within: Duration) -> bool {
    peer.set_read_timeout(Some(within)).unwrap();
    let served = matches!(peer.read(&mut [0; 1]), Ok(1));
    peer.set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    served
}

pub(crate) fn every_slot_is_filled_whichever_listeners_are_idle<E: Engine>() {
    for (slots, listeners) in [(1, 1), (1, 3), (2, 2), (3, 3), (8, 2), (100, 1), (100, 3)] {
        for busy in 0..listeners {
            let open = Open::default();
            let running = counting::<E>(slots, listeners, &open);
            let to = running.addresses[busy];
            let mut peers: Vec<_> = (0..slots).map(|_| connect(to)).collect();
            for peer in &mut peers {
                echo(peer, b"?");
            }
            assert_eq!(open.now(), slots as usize, "{slots} slots, {listeners}");
            // No slot is left, on no listener; then one is, and goes to one that waits.
            let wait = |&address: &SocketAddr| {
                let mut peer = connect(address);
                peer.write_all(b"?").unwrap();
                peer
            };
            let mut late: Vec<_> = running.addresses.iter().map(wait).collect();
            assert!(!is_served(&mut late[0], Duration::from_millis(30)));
            assert_eq!(open.most(), slots as usize);
            drop(peers);
            for peer in &mut late {
                assert!(is_served(peer, Duration::from_secs(20)), "after the others");
                peer.shutdown(std::net::Shutdown::Both).unwrap();
            }
            drop(late);
            until("all are closed", || open.now() == 0);
            assert!(open.most() <= slots as usize);
            running.stop();
        }
    }
}

pub(crate) fn slots_of_a_full_table_go_to_every_listener_in_its_turn<E: Engine>() {
    const LISTENERS: usize = 3;
    for slots in [1, 2, 5] {
        let mut plan = plan(1, LISTENERS);
        plan.slots = slots;
        // A peer that was served is closed, so that there is always one slot for the next.
        let running = start::<E, _>(
            plan,
            |_| (Vec::new(), BTreeMap::<ConnectionId, u16>::new()),
            |scene, event| match event {
                Event::Opened(id, Origin::Accepted { listener }) => {
                    scene.state.1.insert(id, listener);
                }
                Event::Received(id, _) => {
                    scene.state.0.push(scene.state.1[&id]);
                    scene.wire.close(id, Close::Abort);
                }
                Event::Stopped => *scene.finished = true,
                _ => {}
            },
        );
        // Twenty for each listener wait; the first listener's come first.
        let peers: Vec<_> = (0..20 * LISTENERS)
            .map(|number| connect(running.addresses[number / 20]))
            .collect();
        std::thread::sleep(Duration::from_millis(50));
        for mut peer in &peers {
            // One that was opened early may be closed by now.
            let _ = peer.write_all(b"?");
        }
        for mut peer in &peers {
            let _ = peer.read(&mut [0; 1]);
        }
        let (served, _) = running.stop().remove(0);
        assert_eq!(served.len(), peers.len());
        // Not one listener's all before the first of another.
        for listener in 0..3 {
            let first = served.iter().position(|&one| one == listener).unwrap();
            assert!(first < 50, "listener {listener} waited: {served:?}");
        }
    }
}

pub(crate) fn a_slot_that_is_taken_and_left_again_and_again_stays_usable<E: Engine>() {
    let open = Open::default();
    let running = counting::<E>(4, 2, &open);
    for round in 0..60 {
        let to = running.addresses[usize::from(round % 7 == 0)];
        let mut peers: Vec<_> = (0..7).map(|_| connect(to)).collect();
        for mut peer in peers.drain(..) {
            echo(&mut peer, b"round");
        }
    }
    until("all are closed", || open.now() == 0);
    assert!(open.most() <= 4);
    running.stop();
}

pub(crate) fn peers_that_wait_are_let_go_when_accepting_stops<E: Engine>() {
    let mut plan = plan(1, 2);
    plan.slots = 2;
    let running = start::<E, _>(
        plan,
        |_| 0,
        |scene, event| match event {
            Event::Opened(..) => *scene.state += 1,
            Event::Received(_, bytes) if bytes == b"stop" => scene.wire.stop_accepting(),
            Event::Received(id, bytes) => scene.wire.send(id, bytes).unwrap(),
            Event::Stopped => *scene.finished = true,
            _ => {}
        },
    );
    let mut first = connect(running.addresses[1]);
    let mut second = connect(running.addresses[1]);
    echo(&mut first, b"a");
    echo(&mut second, b"b");
    let mut waiting: Vec<_> = (0..6)
        .map(|number| connect(running.addresses[number % 2]))
        .collect();
    first.write_all(b"stop").unwrap();
    for peer in &mut waiting {
        let end = peer.read(&mut [0; 1]);
        let gone = matches!(&end, Ok(0))
            || matches!(&end, Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset);
        assert!(gone, "{end:?}");
    }
    echo(&mut second, b"still here");
    drop((first, second));
    assert_eq!(running.stop(), [2]);
}

pub(crate) fn a_panicked_cores_listener_leaves_the_others_the_newcomers<E: Engine>() {
    let running = start::<E, _>(
        plan(2, 1),
        |_| (),
        |scene, event| match event {
            Event::Started if scene.wire.core() == Core(1) => {
                *scene.deadline = Some(scene.wire.now() + Duration::from_millis(50));
            }
            Event::Expired if scene.wire.core() == Core(1) => panic!("on purpose"),
            Event::Received(id, bytes) => {
                if bytes == b"end" {
                    *scene.finished = true;
                }
                let _ = scene.wire.send(id, bytes);
            }
            // As a draining server does that still accepts.
            _ => {}
        },
    );
    std::thread::sleep(Duration::from_millis(50));
    until("the panic is over", || running.stop.is_thrown());
    std::thread::sleep(Duration::from_millis(200));
    for number in 0..40 {
        let mut peer = connect(running.address());
        echo(&mut peer, format!("{number}").as_bytes());
    }
    connect(running.address()).write_all(b"end").unwrap();
    let error = running.end().expect_err("a panic is an error");
    assert!(error.contains("core 1"), "{error}");
}

/// So many peers one after the other at a socket that two cores share: how many came to each.
fn shared<E: Engine>(name: &str, peers: usize) -> Vec<usize> {
    let path = format!(
        "{}-{name}-{}",
        std::process::id(),
        std::any::type_name::<E>()
    );
    let path = std::env::temp_dir().join(path.replace(':', "-"));
    let mut plan = plan(2, 0);
    let mut listeners = Listeners::open(&[ListenPlace::Path(path.clone(), 0o600)], 2).unwrap();
    let files = listeners.take_files();
    plan.listeners = listeners;
    let running = start::<E, usize>(
        plan,
        |_| 0,
        move |scene, event| match event {
            Event::Opened(..) => *scene.state += 1,
            Event::Received(id, bytes) => scene.wire.send(id, bytes).unwrap(),
            Event::Stopped => *scene.finished = true,
            _ => {}
        },
    );
    let open: Vec<UnixStream> = (0..peers)
        .map(|_| {
            let mut peer = UnixStream::connect(&path).unwrap();
            peer.set_read_timeout(Some(Duration::from_secs(20)))
                .unwrap();
            peer.write_all(b"hello").unwrap();
            let mut answer = [0; 5];
            peer.read_exact(&mut answer).unwrap();
            assert_eq!(&answer, b"hello");
            peer
        })
        .collect();
    drop(open);
    let each = running.stop();
    drop(files);
    assert!(!path.exists());
    each
}

pub(crate) fn a_socket_that_cores_share_serves_every_peer<E: Engine>() {
    let each = shared::<E>("every", 40);
    assert_eq!(each.iter().sum::<usize>(), 40, "{each:?}");
}

/// The kernel wakes the core that waits longest.
#[test]
fn cores_of_the_ring_take_turns_at_a_socket_that_they_share() {
    let each = shared::<Ring>("turns", 40);
    assert!(each.iter().all(|&peers| peers >= 5), "{each:?}");
}
