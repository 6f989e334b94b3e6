//! Places: connects, slots, ids, listeners.

use super::Engine;
use super::bytes::echoes;
use super::peer::{connect, echo, read_all, stream_from, until};
use super::script::{Event, Running, plan, start};
use ringstorm::shard::{Close, CloseCause, ConnectionId, NoSlot, Origin};
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    opened: usize,
    closed: Vec<CloseCause>,
}

/// Connects once, notes what comes of it; `talk` is what to do with what comes.
fn connector<E: Engine>(to: SocketAddr, from: Option<IpAddr>, how: Option<Close>) -> Running<Seen> {
    start::<E, _>(
        plan(1, 0),
        |_| Seen::default(),
        move |scene, event| match event {
            Event::Started => {
                let id = scene.wire.connect(to, from).unwrap();
                if let Some(how) = how {
                    scene.wire.close(id, how);
                }
            }
            Event::Opened(id, origin) => {
                assert_eq!(origin, Origin::Connected);
                scene.state.opened += 1;
                scene.wire.send(id, &stream_from(0, 10_000)).unwrap();
            }
            Event::Received(id, bytes) if bytes.ends_with(b"!") => {
                scene.wire.close(id, Close::Flush);
            }
            Event::Closed(_, cause) => {
                scene.state.closed.push(cause);
                *scene.deadline = Some(scene.wire.now() + Duration::from_millis(30));
            }
            Event::Expired => *scene.finished = true,
            _ => {}
        },
    )
}

pub(crate) fn a_connect_opens_talks_and_closes<E: Engine>() {
    for address in ["127.0.0.1:0", "[::1]:0"] {
        let listener = TcpListener::bind(address).unwrap();
        let running = connector::<E>(listener.local_addr().unwrap(), None, None);
        let (mut peer, _) = listener.accept().unwrap();
        peer.write_all(b"enough!").unwrap();
        let (bytes, reset) = read_all(&mut peer);
        assert!(bytes == stream_from(0, 10_000) && !reset);
        drop(peer);
        assert_eq!(
            running.finish(),
            [Seen {
                opened: 1,
                closed: vec![CloseCause::Local]
            }]
        );
    }
}

pub(crate) fn a_connect_uses_its_source_address<E: Engine>() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let source = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 9));
    let running = connector::<E>(listener.local_addr().unwrap(), Some(source), None);
    let (peer, address) = listener.accept().unwrap();
    assert_eq!(address.ip(), source);
    (&peer).write_all(b"!").unwrap();
    peer.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(running.finish()[0].opened, 1);
}

pub(crate) fn a_connect_to_a_dead_port_is_refused_without_opened<E: Engine>() {
    let dead = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let running = connector::<E>(dead, None, None);
    assert_eq!(
        running.finish(),
        [Seen {
            opened: 0,
            closed: vec![CloseCause::Refused]
        }]
    );
}

pub(crate) fn a_connect_from_a_foreign_address_fails_without_opened<E: Engine>() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    // TEST-NET-1, RFC 5737: nobody's.
    let foreign = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
    let running = connector::<E>(listener.local_addr().unwrap(), Some(foreign), None);
    assert_eq!(
        running.finish(),
        [Seen {
            opened: 0,
            closed: vec![CloseCause::NoSourcePort]
        }]
    );
}

pub(crate) fn a_connect_that_is_closed_at_once_gives_only_closed<E: Engine>() {
    for how in [Close::Flush, Close::Abort] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let running = connector::<E>(listener.local_addr().unwrap(), None, Some(how));
        assert_eq!(
            running.finish(),
            [Seen {
                opened: 0,
                closed: vec![CloseCause::Local]
            }]
        );
    }
}

pub(crate) fn connects_are_refused_when_every_slot_is_taken<E: Engine>() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let to = listener.local_addr().unwrap();
    let mut plan = plan(1, 0);
    plan.slots = 8;
    let running = start::<E, _>(
        plan,
        |_| 0,
        move |scene, event| match event {
            Event::Started => {
                for _ in 0..8 {
                    scene.wire.connect(to, None).unwrap();
                }
                assert_eq!(scene.wire.connect(to, None), Err(NoSlot));
            }
            Event::Opened(id, _) => scene.wire.close(id, Close::Abort),
            Event::Closed(..) => {
                *scene.state += 1;
                *scene.deadline = Some(scene.wire.now() + Duration::from_millis(20));
            }
            // The slots are free again.
            Event::Expired if *scene.state < 16 => {
                for _ in 0..8 {
                    scene.wire.connect(to, None).unwrap();
                }
            }
            Event::Expired => *scene.finished = true,
            _ => {}
        },
    );
    assert_eq!(running.finish(), [16]);
}

pub(crate) fn accepting_pauses_when_slots_run_out_and_goes_on<E: Engine>() {
    let mut plan = plan(1, 1);
    plan.slots = 8;
    let open = Arc::new(AtomicUsize::new(0));
    let most = Arc::new(AtomicUsize::new(0));
    let (count, peak) = (Arc::clone(&open), Arc::clone(&most));
    let running = start::<E, _>(
        plan,
        |_| 0,
        move |scene, event| match event {
            Event::Opened(..) => {
                let now = count.fetch_add(1, SeqCst) + 1;
                peak.fetch_max(now, SeqCst);
            }
            Event::Received(id, bytes) => scene.wire.send(id, bytes).unwrap(),
            Event::Closed(..) => {
                count.fetch_sub(1, SeqCst);
            }
            Event::Stopped => {
                *scene.state = scene.wire.vitals().counters.accept_pauses;
                *scene.finished = true;
            }
            _ => {}
        },
    );
    let mut peers: Vec<_> = (0..24).map(|_| connect(running.address())).collect();
    // An engine may keep a few of the slots for connects.
    until("the slots are full", || open.load(SeqCst) >= 6);
    std::thread::sleep(Duration::from_millis(100));
    assert!(open.load(SeqCst) <= 8);
    // Every peer is served once those before it are gone.
    while !peers.is_empty() {
        echo(&mut peers.remove(0), b"my turn");
    }
    until("all are closed", || open.load(SeqCst) == 0);
    assert!(most.load(SeqCst) <= 8);
    let pauses = running.stop()[0];
    assert!(pauses > 0, "the pause is counted");
}

pub(crate) fn a_slot_is_reused_under_another_id<E: Engine>() {
    let running = start::<E, _>(
        plan(1, 1),
        |_| Vec::<ConnectionId>::new(),
        |scene, event| match event {
            Event::Opened(id, _) => scene.state.push(id),
            Event::Received(id, _) => {
                for &old in scene.state.iter().filter(|&&old| old != id) {
                    assert!(scene.wire.send(old, b"late").is_err());
                    scene.wire.close(old, Close::Abort);
                }
                scene.wire.send(id, b"you").unwrap();
            }
            Event::Stopped => *scene.finished = true,
            _ => {}
        },
    );
    for _ in 0..20 {
        let mut peer = connect(running.address());
        peer.write_all(b"hello").unwrap();
        peer.shutdown(std::net::Shutdown::Write).unwrap();
        assert_eq!(read_all(&mut peer).0, b"you");
    }
    let ids = running.stop().remove(0);
    let mut distinct = ids.clone();
    distinct.sort_unstable();
    distinct.dedup();
    assert_eq!((ids.len(), distinct.len()), (20, 20));
    assert!(ids.iter().any(|id| {
        ids.iter()
            .any(|other| other.slot() == id.slot() && other != id)
    }));
}

pub(crate) fn stop_accepting_refuses_new_peers_and_keeps_the_old<E: Engine>() {
    let running = start::<E, _>(
        plan(1, 1),
        |_| (),
        |scene, event| match event {
            Event::Received(_, bytes) if bytes == b"stop" => scene.wire.stop_accepting(),
            other => echoes(scene, other),
        },
    );
    let mut peer = connect(running.address());
    echo(&mut peer, b"before");
    peer.write_all(b"stop").unwrap();
    std::thread::sleep(Duration::from_millis(100));
    // Refused, or at least never served.
    if let Ok(mut late) = std::net::TcpStream::connect(running.address()) {
        late.set_read_timeout(Some(Duration::from_millis(200)))
            .unwrap();
        let _ = late.write_all(b"late");
        let served = std::io::Read::read(&mut late, &mut [0; 4]);
        assert!(!matches!(served, Ok(4)), "served after the stop");
    }
    echo(&mut peer, b"after");
    running.stop();
}
