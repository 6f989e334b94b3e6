//! Times: no event has a time from before what it tells of, however long the turn takes.

use super::Engine;
use super::peer::{connect, reset};
use super::script::{Event, Scene, plan, start};
use ringstorm::engine::now;
use ringstorm::shard::Core;
use std::io::Write;
use std::net::Shutdown;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::Duration;

pub(crate) fn nothing_is_received_before_it_was_sent<E: Engine>() {
    let early_ns = Arc::new(AtomicU64::new(0));
    let noted = Arc::clone(&early_ns);
    let running = start::<E, _>(
        plan(1, 1),
        |_| (),
        move |scene, event| match event {
            Event::Received(_, bytes) => {
                for stamp in bytes.chunks_exact(8) {
                    let sent = u64::from_be_bytes(stamp.try_into().unwrap());
                    let early = sent.saturating_sub(scene.wire.now().as_nanos());
                    noted.fetch_max(early, SeqCst);
                }
                // Meanwhile the other peer says something that the same turn may read.
                std::thread::sleep(Duration::from_millis(3));
            }
            Event::Stopped => *scene.finished = true,
            _ => {}
        },
    );
    let address = running.address();
    let peers = [0, 1].map(|_| {
        std::thread::spawn(move || {
            let mut stream = connect(address);
            for _ in 0..150 {
                let now = now().as_nanos();
                stream.write_all(&now.to_be_bytes()).unwrap();
                std::thread::sleep(Duration::from_millis(1));
            }
        })
    });
    for peer in peers {
        peer.join().unwrap();
    }
    running.stop();
    assert_eq!(early_ns.load(SeqCst), 0);
}

/// Something that happens while a core is in the middle of a turn, and how much too early the core
/// was told of it.
#[derive(Clone, Default)]
struct Meanwhile {
    is_busy: Arc<AtomicBool>,
    /// A time before it, once it has happened.
    at_ns: Arc<AtomicU64>,
    /// One more than that, once the core has been told.
    early_ns: Arc<AtomicU64>,
}

impl Meanwhile {
    /// The core is in a handler: it stays there until it has happened. Does nothing a second time.
    fn wait(&self) {
        self.is_busy.store(true, SeqCst);
        while self.at_ns.load(SeqCst) == 0 {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Makes it happen while the core waits for it.
    fn happens(&self, happen: impl FnOnce()) {
        while !self.is_busy.load(SeqCst) {
            std::thread::sleep(Duration::from_millis(1));
        }
        let at = now().as_nanos();
        std::thread::sleep(Duration::from_millis(2));
        happen();
        self.at_ns.store(at, SeqCst);
    }

    /// The core is told of it.
    fn told<T>(&self, scene: &Scene<'_, T>) {
        let early = self
            .at_ns
            .load(SeqCst)
            .saturating_sub(scene.wire.now().as_nanos());
        self.early_ns.store(1 + early, SeqCst);
    }

    fn is_told(&self) -> bool {
        self.early_ns.load(SeqCst) > 0
    }
}

pub(crate) fn nothing_is_forwarded_before_it_was_said<E: Engine>() {
    let mail = Meanwhile::default();
    let noted = mail.clone();
    let running = start::<E, _>(
        plan(2, 1),
        |_| 0,
        move |scene, event| match event {
            // One core is busy, before it looks for messages in that turn.
            Event::Opened(..) => noted.wait(),
            // The other speaks meanwhile.
            Event::Started | Event::Expired => {
                let (now, me) = (scene.wire.now(), scene.wire.core().0);
                *scene.deadline = Some(now + Duration::from_millis(1));
                if *scene.state > 0 {
                    // It has left with the turn before.
                    noted.at_ns.store(*scene.state, SeqCst);
                    *scene.finished = true;
                } else if noted.is_busy.load(SeqCst) && noted.at_ns.load(SeqCst) == 0 {
                    scene.wire.forward(Core(1 - me), 0);
                    *scene.state = now.as_nanos();
                }
            }
            Event::Forwarded(..) => {
                noted.told(&scene);
                *scene.finished = true;
            }
            _ => {}
        },
    );
    let peer = connect(running.address());
    running.finish();
    assert_eq!(mail.early_ns.load(SeqCst), 1);
    drop(peer);
}

pub(crate) fn nothing_is_opened_before_it_was_asked_for<E: Engine>() {
    let second = Meanwhile::default();
    let noted = second.clone();
    let running = start::<E, _>(
        plan(1, 1),
        |_| 0,
        move |scene, event| {
            if let Event::Opened(..) = event {
                *scene.state += 1;
                if *scene.state == 1 {
                    noted.wait();
                } else {
                    noted.told(&scene);
                    *scene.finished = true;
                }
            }
        },
    );
    let address = running.address();
    let first = connect(address);
    let mut late = None;
    second.happens(|| late = Some(connect(address)));
    running.finish();
    assert_eq!(second.early_ns.load(SeqCst), 1);
    drop((first, late));
}

/// A peer that says so much that one read does not empty its socket, and ends while the core
/// handles what was read.
fn an_end<E: Engine>(end: impl FnOnce(std::net::TcpStream)) {
    let over = Meanwhile::default();
    let noted = over.clone();
    let running = start::<E, _>(
        plan(1, 1),
        |_| None,
        move |scene, event| match event {
            Event::Opened(id, _) => {
                // All of it is there when it is read.
                scene.wire.pause(id);
                *scene.state = Some(id);
                *scene.deadline = Some(scene.wire.now() + Duration::from_millis(30));
            }
            Event::Expired => scene.wire.resume(scene.state.unwrap()),
            Event::Received(..) => noted.wait(),
            Event::Ended(..) | Event::Closed(..) => {
                if !noted.is_told() {
                    noted.told(&scene);
                }
                *scene.finished = matches!(event, Event::Closed(..));
            }
            _ => {}
        },
    );
    let mut peer = connect(running.address());
    peer.write_all(&[0; 65_536]).unwrap();
    over.happens(|| end(peer));
    running.finish();
    assert_eq!(over.early_ns.load(SeqCst), 1);
}

pub(crate) fn a_peer_ends_when_it_does_and_not_before<E: Engine>() {
    let mut kept = None;
    an_end::<E>(|peer| {
        peer.shutdown(Shutdown::Write).unwrap();
        kept = Some(peer);
    });
}

pub(crate) fn a_peer_resets_when_it_does_and_not_before<E: Engine>() {
    an_end::<E>(reset);
}
