//! Batches: order, memory, caps, marks and progress.

use super::*;

const CAP: usize = 1 << 20;

fn joined(batch: &Batch, from: usize) -> Vec<u8> {
    batch.pieces(from).flatten().copied().collect()
}

fn payload(byte: u8, len: usize) -> Payload {
    Payload::new(vec![byte; len])
}

#[test]
fn pieces_keep_the_order_from_every_offset() {
    let (mut batch, payloads) = (Batch::default(), &mut 0);
    let mut model = Vec::new();
    for step in 0..40u8 {
        let len = usize::from(step) * 31 % 1200;
        if step % 3 == 0 {
            batch.push_parts(&[&vec![step; len], b"x"], payloads);
            model.extend(vec![step; len]);
            model.push(b'x');
        } else {
            batch.share(&payload(step, len), payloads);
            model.extend(vec![step; len]);
        }
        assert_eq!(batch.len(), model.len());
    }
    for from in 0..=model.len() {
        assert_eq!(joined(&batch, from), model[from..]);
        assert!(batch.pieces(from).all(|piece| !piece.is_empty()));
    }
}

#[test]
fn copies_and_a_lone_payload_are_one_piece() {
    let (mut batch, payloads) = (Batch::default(), &mut 0);
    assert_eq!(batch.single(), Some(&b""[..]));
    batch.share(&payload(7, 3), payloads);
    assert_eq!(batch.single(), Some(&[7, 7, 7][..]));
    batch.push_parts(&[b"ab", b"c"], payloads);
    assert_eq!(
        batch.single(),
        Some(&b"\x07\x07\x07abc"[..]),
        "small: copied"
    );
    batch.share(&payload(1, limits::SHARED_BYTES_MIN), payloads);
    assert!(batch.single().is_some(), "small: copied");
    batch.share(&payload(2, limits::SHARED_BYTES_MIN + 1), payloads);
    assert_eq!(batch.single(), None);
    assert_eq!(batch.pieces(0).count(), 2);
    batch.clear(payloads);
    batch.share(&payload(3, 4000), payloads);
    assert_eq!(batch.single().map(<[u8]>::len), Some(4000));
    batch.push_parts(&[b"tail"], payloads);
    assert_eq!(batch.single(), None);
    assert_eq!(joined(&batch, 3999), b"\x03tail");
}

#[test]
fn an_idle_connection_holds_no_batch_and_a_flight_is_never_changed() {
    let mut pool = BatchPool::default();
    let mut out = Outbound::default();
    assert!(out.flight(&pool).is_none());
    out.push_parts(&mut pool, CAP, &[b"first"]).unwrap();
    let before = out.flight(&pool).unwrap().0.single().unwrap().as_ptr();
    out.push_parts(&mut pool, CAP, &[&[b'y'; 5000]]).unwrap();
    let (batch, sent) = out.flight(&pool).unwrap();
    assert_eq!((batch.single().unwrap(), sent), (&b"first"[..], 0));
    assert_eq!(batch.single().unwrap().as_ptr(), before);
    assert_eq!(
        out.took(&mut pool, 2),
        Taken {
            drained: false,
            landed: false
        }
    );
    assert_eq!(out.flight(&pool).unwrap().1, 2);
    assert!(out.took(&mut pool, 3).landed);
    assert_eq!(out.flight(&pool).unwrap().0.len(), 5000);
    assert!(out.took(&mut pool, 5000).landed);
    assert_eq!((pool.taken(), out.backlog()), (0, 0));
}

#[test]
fn the_cap_is_strict_and_checked_before_queuing() {
    let mut pool = BatchPool::default();
    let mut out = Outbound::default();
    out.push_parts(&mut pool, 10, &[b"12345", b"67890"])
        .unwrap();
    assert_eq!(out.push_parts(&mut pool, 10, &[b"1"]), Err(Unsent::Full));
    assert_eq!(out.share(&mut pool, 10, &payload(0, 1)), Err(Unsent::Full));
    assert_eq!(out.push_parts(&mut pool, 10, &[b""]), Ok(()));
    assert_eq!(out.flight(&pool).unwrap().0.len(), 10);
}

#[test]
fn memory_is_counted_once_however_many_share_it() {
    let mut pool = BatchPool::default();
    let mut many: Vec<Outbound> = (0..10).map(|_| Outbound::default()).collect();
    let payload = payload(1, 10_000);
    for out in &mut many {
        out.share(&mut pool, CAP, &payload).unwrap();
    }
    let each = |pool: &BatchPool, many: &[Outbound]| -> usize {
        many.iter().map(|out| out.held(pool)).sum()
    };
    assert_eq!((pool.held(), each(&pool, &many)), (10_000, 10_000));
    many[0].push_parts(&mut pool, CAP, &[&[0; 5000]]).unwrap();
    assert!(pool.held() >= 15_000, "{}", pool.held());
    assert_eq!(each(&pool, &many), pool.held());
    for out in &mut many[..9] {
        out.clear(&mut pool);
    }
    assert_eq!((pool.held(), each(&pool, &many)), (10_000, 10_000));
    many[9].flight(&pool);
    many[9].took(&mut pool, 10_000);
    assert_eq!((pool.held(), each(&pool, &many)), (0, 0));
}

#[test]
fn what_is_held_is_what_the_buffers_have_room_for_and_not_what_is_in_them() {
    let mut pool = BatchPool::default();
    let mut out = Outbound::default();
    // A small payload alone, that is copied when something follows.
    out.share(&mut pool, CAP, &payload(1, 100)).unwrap();
    assert_eq!(pool.held(), 100);
    out.push_parts(&mut pool, CAP, &[b"x"]).unwrap();
    let mut buffer = Vec::with_capacity(60_000);
    buffer.resize(10_000, 7);
    out.share(&mut pool, CAP, &Payload::new(buffer)).unwrap();
    let copies = pool.held() - 60_000;
    assert!((101..1000).contains(&copies), "{copies}");
    assert_eq!(out.held(&pool), pool.held());
    out.flight(&pool);
    out.took(&mut pool, 5_000);
    assert_eq!(pool.held(), 60_000 + copies, "freed as a whole");
    out.clear(&mut pool);
    assert_eq!(pool.held(), 0);
    // A batch keeps its memory in the pool, and counts again when it is used again.
    out.push_parts(&mut pool, CAP, &[b"y"]).unwrap();
    assert!(pool.held() >= 101, "{}", pool.held());
}

#[test]
fn progress_changes_whenever_something_is_taken_and_not_else() {
    let mut pool = BatchPool::default();
    let mut out = Outbound::default();
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..5 {
        out.push_parts(&mut pool, CAP, &[b"12345"]).unwrap();
        assert!(seen.insert(out.progress(&pool)));
        out.flight(&pool);
        assert!(!seen.insert(out.progress(&pool)), "nothing was taken");
        out.push_parts(&mut pool, CAP, &[b"6"]).unwrap();
        assert!(!seen.insert(out.progress(&pool)), "nothing was taken");
        out.took(&mut pool, 2);
        assert!(seen.insert(out.progress(&pool)));
        out.took(&mut pool, 3);
        out.flight(&pool);
        assert!(seen.insert(out.progress(&pool)));
        out.took(&mut pool, 1);
    }
}

#[test]
fn drained_is_said_once_between_the_marks() {
    let mut pool = BatchPool::default();
    let mut out = Outbound::default();
    let all = limits::BACKLOG_HIGH + 1;
    out.push_parts(&mut pool, CAP, &[&vec![0; all]]).unwrap();
    out.flight(&pool);
    assert!(!out.took(&mut pool, all - limits::BACKLOG_LOW - 1).drained);
    assert!(out.took(&mut pool, 1).drained);
    assert!(!out.took(&mut pool, limits::BACKLOG_LOW).drained);
    out.push_parts(&mut pool, CAP, &[&vec![0; limits::BACKLOG_HIGH]])
        .unwrap();
    out.flight(&pool);
    assert!(
        !out.took(&mut pool, limits::BACKLOG_HIGH).drained,
        "never above the mark"
    );
}

#[test]
fn a_big_batch_and_a_full_pool_keep_no_memory() {
    let mut pool = BatchPool::default();
    let mut out = Outbound::default();
    out.push_parts(&mut pool, CAP, &[&vec![0; limits::BATCH_BYTES_KEPT + 1]])
        .unwrap();
    assert_eq!(out.clear(&mut pool), limits::BATCH_BYTES_KEPT + 1);
    assert_eq!((pool.kept, pool.taken()), (0, 0));
    let mut many: Vec<Outbound> = (0..2000).map(|_| Outbound::default()).collect();
    for out in &mut many {
        out.push_parts(&mut pool, CAP, &[&[0; 8000]]).unwrap();
    }
    for out in &mut many {
        assert_eq!(out.drop_queued(&mut pool), 8000);
    }
    assert!(pool.kept <= limits::BATCH_POOL_BYTES && pool.kept > 0);
}

#[test]
fn a_pool_that_is_trimmed_keeps_no_memory_and_what_is_queued_stays() {
    let mut pool = BatchPool::default();
    let mut many: Vec<Outbound> = (0..9).map(|_| Outbound::default()).collect();
    for out in &mut many {
        out.push_parts(&mut pool, CAP, &[&[7; 8000]]).unwrap();
    }
    for out in &mut many[1..] {
        out.clear(&mut pool);
    }
    assert!(pool.kept >= 8 * 8000);
    let held = pool.held();
    pool.trim();
    let capacities: usize = pool.batches.iter().map(Batch::capacity).sum();
    assert_eq!((pool.kept, pool.held(), capacities), (0, held, held));
    assert_eq!(
        many[0].flight(&pool).unwrap().0.single(),
        Some(&[7; 8000][..])
    );
    assert_eq!(pool.batches.len(), 1, "one is in use");
    // What was freed is taken and counted again.
    many[1].push_parts(&mut pool, CAP, &[&[7; 8000]]).unwrap();
    assert_eq!(pool.held(), 2 * held);
}
