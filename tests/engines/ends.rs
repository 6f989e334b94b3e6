//! Ends: every way in which a connection is over gives `closed` once, with its cause.

use super::Engine;
use super::peer::{connect, read_all, reset, stream_from, verify};
use super::script::{Event, Scene, plan, start};
use ringstorm::limits;
use ringstorm::shard::{Close, CloseCause, ConnectionId, Half, Unsent};
use std::io::{Read, Write};
use std::net::Shutdown;
use std::time::{Duration, Instant};

/// The causes seen, and the end at the first of them.
fn note(scene: Scene<'_, Vec<CloseCause>>, event: &Event<'_>) {
    if let Event::Closed(_, cause) = event {
        scene.state.push(*cause);
        *scene.finished = true;
    }
}

pub(crate) fn a_flush_close_delivers_everything_first<E: Engine>() {
    let running = start::<E, _>(
        plan(1, 1),
        |_| Vec::new(),
        |scene, event| {
            if let Event::Opened(id, _) = event {
                for place in (0..3_000_000).step_by(100_000) {
                    scene.wire.send(id, &stream_from(place, 100_000)).unwrap();
                }
                scene.wire.close(id, Close::Flush);
            }
            note(scene, &event);
        },
    );
    let mut peer = connect(running.address());
    // A slow reader: longer than the linger time in all, but never standing still so long.
    std::thread::sleep(Duration::from_millis(300));
    let (bytes, reset) = read_all(&mut peer);
    assert!(!reset);
    assert_eq!(bytes.len(), 3_000_000);
    verify(0, &bytes);
    let ended = Instant::now();
    drop(peer);
    assert_eq!(running.finish(), [[CloseCause::Local]]);
    assert!(
        ended.elapsed() < Duration::from_secs(1),
        "the peer's FIN ends the lingering"
    );
}

pub(crate) fn an_abort_resets_and_drops_what_is_queued<E: Engine>() {
    let running = start::<E, _>(
        plan(1, 1),
        |_| Vec::new(),
        |scene, event| {
            if let Event::Received(id, _) = event {
                scene.wire.send(id, &[1; 3_000_000]).unwrap();
                scene.wire.close(id, Close::Abort);
            }
            note(scene, &event);
        },
    );
    let mut peer = connect(running.address());
    peer.write_all(b"go").unwrap();
    let (bytes, reset) = read_all(&mut peer);
    assert!(reset, "{} bytes", bytes.len());
    assert_eq!(running.finish(), [[CloseCause::Local]]);
}

pub(crate) fn an_abort_after_a_flush_close_ends_at_once<E: Engine>() {
    let running = start::<E, _>(
        plan(1, 1),
        |_| (None, Vec::new()),
        |scene, event| match event {
            Event::Opened(id, _) => {
                scene.state.0 = Some(id);
                scene.wire.send(id, &[1; 4_000_000]).unwrap();
                scene.wire.close(id, Close::Flush);
                *scene.deadline = Some(scene.wire.now() + Duration::from_millis(200));
            }
            Event::Expired => scene.wire.close(scene.state.0.unwrap(), Close::Abort),
            Event::Closed(_, cause) => {
                scene.state.1.push(cause);
                *scene.finished = true;
            }
            _ => {}
        },
    );
    let started = Instant::now();
    let mut peer = connect(running.address());
    assert_eq!(running.finish()[0].1, [CloseCause::Local]);
    assert!(
        started.elapsed() < Duration::from_secs(1),
        "{:?}",
        started.elapsed()
    );
    assert!(read_all(&mut peer).1, "reset");
}

/// RFC 9112, 9.6: what the kernel took is not what the peer has.
pub(crate) fn a_flush_close_waits_for_a_slow_steady_reader<E: Engine>() {
    let running = start::<E, _>(
        plan(1, 1),
        |_| Vec::new(),
        |scene, event| {
            if let Event::Opened(id, _) = event {
                scene.wire.send(id, &stream_from(0, 3_000_000)).unwrap();
                scene.wire.close(id, Close::Flush);
            }
            note(scene, &event);
        },
    );
    let mut peer = connect(running.address());
    let socket = socket2::SockRef::from(&peer);
    socket.set_recv_buffer_size(64 * 1024).unwrap();
    let started = Instant::now();
    let (mut all, mut piece) = (Vec::new(), vec![0; 60_000]);
    loop {
        let count = peer.read(&mut piece).unwrap();
        if count == 0 {
            break;
        }
        all.extend_from_slice(&piece[..count]);
        // At 500 kB a second: far longer than the linger time in all.
        std::thread::sleep(Duration::from_secs_f64(count as f64 / 500_000.0));
    }
    assert!(started.elapsed() > limits::LINGER_TIME * 2);
    assert_eq!(all.len(), 3_000_000);
    verify(0, &all);
    drop(peer);
    assert_eq!(running.finish(), [[CloseCause::Local]]);
}

pub(crate) fn a_flush_close_does_not_wait_for_ever<E: Engine>() {
    const STALL: Duration = Duration::from_secs(5);
    for (queued, cause) in [(0, CloseCause::Local), (4_000_000, CloseCause::CutOff)] {
        let mut plan = plan(1, 1);
        plan.stall = STALL;
        let running = start::<E, _>(
            plan,
            |_| Vec::new(),
            move |scene, event| {
                if let Event::Opened(id, _) = event {
                    scene.wire.send(id, &vec![1; queued]).unwrap();
                    scene.wire.close(id, Close::Flush);
                }
                note(scene, &event);
            },
        );
        let started = Instant::now();
        // It neither reads nor ends.
        let mut peer = connect(running.address());
        assert_eq!(running.finish(), [[cause]]);
        let took = started.elapsed();
        let least = if queued == 0 {
            limits::LINGER_TIME / 2
        } else {
            STALL
        };
        assert!(took > least, "{took:?} with {queued} queued");
        assert!(
            took < least + limits::LINGER_TIME * 4,
            "{took:?} with {queued} queued"
        );
        let (bytes, reset) = read_all(&mut peer);
        assert_eq!(reset, queued > 0, "after {} bytes", bytes.len());
    }
}

pub(crate) fn a_flush_close_throws_input_away<E: Engine>() {
    let running = start::<E, _>(
        plan(1, 1),
        |_| Vec::new(),
        |scene, event| {
            if let Event::Opened(id, _) = event {
                scene.wire.pause(id);
                scene.wire.send(id, b"bye").unwrap();
                scene.wire.close(id, Close::Flush);
            }
            note(scene, &event);
        },
    );
    let mut peer = connect(running.address());
    // More than the kernel's buffers hold: without reading, this would stand still.
    peer.write_all(&vec![7; 20_000_000]).unwrap();
    peer.shutdown(Shutdown::Write).unwrap();
    assert_eq!(read_all(&mut peer), (b"bye".to_vec(), false));
    assert_eq!(running.finish(), [[CloseCause::Local]]);
}

pub(crate) fn a_peers_end_closes_once<E: Engine>() {
    let running = start::<E, _>(
        plan(1, 1),
        |_| Vec::new(),
        |scene, event| note(scene, &event),
    );
    let mut peer = connect(running.address());
    peer.write_all(b"last words").unwrap();
    drop(peer);
    assert_eq!(running.finish(), [[CloseCause::PeerEnded]]);
}

pub(crate) fn a_peers_reset_closes_once<E: Engine>() {
    let running = start::<E, _>(
        plan(1, 1),
        |_| Vec::new(),
        |scene, event| {
            if let Event::Received(id, _) = event {
                scene.wire.send(id, b"hello").unwrap();
            }
            note(scene, &event);
        },
    );
    let mut peer = connect(running.address());
    peer.write_all(b"hello").unwrap();
    peer.read_exact(&mut [0; 5]).unwrap();
    reset(peer);
    assert_eq!(running.finish(), [[CloseCause::Reset]]);
}

pub(crate) fn a_peer_that_ended_gets_what_was_queued<E: Engine>() {
    let running = start::<E, _>(
        plan(1, 1),
        |_| Vec::new(),
        |scene, event| {
            if let Event::Received(id, _) = event {
                scene.wire.send(id, &stream_from(0, 3_000_000)).unwrap();
            }
            note(scene, &event);
        },
    );
    let mut peer = connect(running.address());
    peer.write_all(b"?").unwrap();
    peer.shutdown(Shutdown::Write).unwrap();
    let (bytes, reset) = read_all(&mut peer);
    assert_eq!((bytes.len(), reset), (3_000_000, false));
    verify(0, &bytes);
    assert_eq!(running.finish(), [[CloseCause::PeerEnded]]);
}

/// RFC 9293, 3.6: who has ended its stream may still receive.
pub(crate) fn a_peer_that_ended_gets_an_answer_that_came_later<E: Engine>() {
    let running = start::<E, _>(
        plan(1, 1),
        |_| (None, Vec::new()),
        |scene, event| match event {
            Event::Ended(id, half) => {
                *half = Half::Keep;
                scene.state.0 = Some(id);
                // Pausing and resuming what has ended changes nothing.
                scene.wire.pause(id);
                scene.wire.resume(id);
                *scene.deadline = Some(scene.wire.now() + Duration::from_millis(200));
            }
            Event::Expired => {
                let id = scene.state.0.unwrap();
                scene.wire.send(id, &stream_from(0, 3_000_000)).unwrap();
                scene.wire.close(id, Close::Flush);
            }
            Event::Closed(_, cause) => {
                scene.state.1.push(cause);
                *scene.finished = true;
            }
            _ => {}
        },
    );
    let mut peer = connect(running.address());
    peer.write_all(b"?").unwrap();
    peer.shutdown(Shutdown::Write).unwrap();
    let (bytes, reset) = read_all(&mut peer);
    assert_eq!((bytes.len(), reset), (3_000_000, false));
    verify(0, &bytes);
    assert_eq!(running.finish()[0].1, [CloseCause::Local]);
}

pub(crate) fn a_peer_that_ended_while_paused_is_heard_of_after_it<E: Engine>() {
    let running = start::<E, _>(
        plan(1, 1),
        |_| (None, 0, Vec::new()),
        |scene, event| match event {
            Event::Opened(id, _) => {
                scene.state.0 = Some(id);
                scene.wire.pause(id);
                *scene.deadline = Some(scene.wire.now() + Duration::from_millis(200));
            }
            Event::Expired => scene.wire.resume(scene.state.0.unwrap()),
            Event::Received(_, bytes) => scene.state.1 += bytes.len(),
            Event::Ended(..) => assert_eq!(scene.state.1, 100_000, "the end comes last"),
            Event::Closed(_, cause) => {
                scene.state.2.push(cause);
                *scene.finished = true;
            }
            _ => {}
        },
    );
    let mut peer = connect(running.address());
    peer.write_all(&[1; 100_000]).unwrap();
    peer.shutdown(Shutdown::Write).unwrap();
    assert_eq!(read_all(&mut peer), (Vec::new(), false));
    assert_eq!(running.finish()[0].2, [CloseCause::PeerEnded]);
}

pub(crate) fn a_close_in_opened_gives_only_closed<E: Engine>() {
    for how in [Close::Flush, Close::Abort] {
        let running = start::<E, _>(
            plan(1, 1),
            |_| Vec::new(),
            move |scene, event| {
                match event {
                    Event::Opened(id, _) => scene.wire.close(id, how),
                    // The checker panics too.
                    Event::Received(..) => panic!("received after close"),
                    _ => {}
                }
                note(scene, &event);
            },
        );
        let mut peer = connect(running.address());
        let _ = peer.write_all(b"nobody wants to know");
        let _ = peer.read(&mut [0]);
        drop(peer);
        assert_eq!(running.finish(), [[CloseCause::Local]]);
    }
}

pub(crate) fn after_closing_nothing_is_sent_and_a_second_close_is_ignored<E: Engine>() {
    let running = start::<E, _>(
        plan(1, 1),
        |_| (Vec::new(), None),
        |scene, event| match event {
            Event::Opened(id, _) => {
                scene.wire.send(id, b"last").unwrap();
                scene.wire.close(id, Close::Flush);
                scene.wire.close(id, Close::Flush);
                assert_eq!(scene.wire.send(id, b"more"), Err(Unsent::Gone));
                scene.wire.pause(id);
                scene.wire.resume(id);
            }
            Event::Closed(id, cause) => {
                scene.state.0.push(cause);
                scene.state.1 = Some(id);
                poke_dead(scene.wire, id);
                *scene.deadline = Some(scene.wire.now() + Duration::from_millis(50));
            }
            Event::Expired => {
                poke_dead(scene.wire, scene.state.1.unwrap());
                poke_dead(scene.wire, ConnectionId::new(200, 3));
                *scene.finished = true;
            }
            _ => {}
        },
    );
    let mut peer = connect(running.address());
    assert_eq!(read_all(&mut peer), (b"last".to_vec(), false));
    drop(peer);
    assert_eq!(running.finish()[0].0, [CloseCause::Local]);
}

/// Every call with an id that names nothing.
fn poke_dead(wire: &mut dyn ringstorm::shard::Wire<u64>, id: ConnectionId) {
    assert_eq!(wire.send(id, b"x"), Err(Unsent::Gone));
    let payload = ringstorm::shard::Payload::new(vec![1]);
    assert_eq!(wire.share(id, &payload), Err(Unsent::Gone));
    assert_eq!(wire.backlog(id), 0);
    wire.pause(id);
    wire.resume(id);
    wire.close(id, Close::Flush);
    wire.close(id, Close::Abort);
}

pub(crate) fn finishing_drops_what_is_open<E: Engine>() {
    let running = start::<E, _>(
        plan(1, 1),
        |_| 0,
        |scene, event| match event {
            Event::Opened(..) => *scene.state += 1,
            Event::Received(..) => *scene.finished = true,
            Event::Closed(..) => panic!("closed after finished, or before"),
            _ => {}
        },
    );
    let address = running.address();
    let mut idle = connect(address);
    let mut peer = connect(address);
    peer.write_all(b"end").unwrap();
    assert!(running.finish()[0] >= 1);
    assert_eq!(read_all(&mut idle).0, b"");
    assert_eq!(read_all(&mut peer).0, b"");
    assert!(
        std::net::TcpStream::connect(address).is_err(),
        "the listener is closed"
    );
}
