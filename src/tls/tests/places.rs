//! A listener that is plain, and handshakes that take the places of newcomers.

use super::handshakes::{counts, greeted, id};
use super::*;
use crate::tls::wire::Secured;

#[test]
fn one_listener_may_be_plain_and_the_others_are_not() {
    const PLAIN: u16 = 3;
    let (mut layer, _) = greeted(5..6);
    layer.tls = layer.tls.except(Some(PLAIN));
    layer.tls.inner.echoes = true;
    let origin = Origin::Accepted { listener: PLAIN };
    layer.tls.opened(ID, origin, &mut layer.line);
    layer.receive(ID, b"GET");
    assert_eq!(layer.sent(ID), b"GET");
    layer.tls.drained(ID, &mut layer.line);
    assert_eq!(layer.tls.ended(ID, &mut layer.line), Half::Close);
    layer.order(Order::Close(Close::Flush));
    assert_eq!(layer.line.closes, [(ID, Close::Flush)]);
    let after = layer.line.sent.iter();
    assert_eq!(after.filter(|it| it.0 == ID).count(), 0, "no close_notify");
    layer.tls.closed(ID, CloseCause::Local, &mut layer.line);
    let told = std::mem::take(&mut layer.tls.inner.told);
    let all = [
        Told::Opened(origin),
        Told::Received(b"GET".to_vec()),
        Told::Drained,
        Told::Ended,
        Told::Closed(CloseCause::Local),
    ];
    assert_eq!(told, all.map(|told| (ID, told)));
    // On another listener the same bytes are no hello.
    layer.line.closes.clear();
    layer.open(Side::Server, id(9));
    layer.receive(id(9), b"GET / HTTP/1.1\r\n\r\n");
    assert!(layer.tls.inner.told.is_empty());
    assert_eq!(layer.line.closes, [(id(9), Close::Flush)]);
}

#[test]
fn where_connections_are_many_the_oldest_handshake_makes_room_for_each_newcomer() {
    let (mut layer, _) = greeted(0..3);
    layer.tls = layer.tls.at_most(3);
    for slot in 3..5 {
        layer.open(Side::Server, id(slot));
    }
    assert_eq!(
        layer.line.closes[..]
            .chunks(2)
            .map(|it| it[1])
            .collect::<Vec<_>>(),
        [(id(0), Close::Abort), (id(1), Close::Abort)]
    );
    assert_eq!(counts(&mut layer).refused, 2);
    for slot in 0..2 {
        layer
            .tls
            .closed(id(slot), CloseCause::Local, &mut layer.line);
    }
    layer.open(Side::Server, id(0));
    assert_eq!(counts(&mut layer).refused, 3, "three are left");
    for slot in [0, 2] {
        layer
            .tls
            .closed(id(slot), CloseCause::Local, &mut layer.line);
    }
    layer.open(Side::Server, id(7));
    assert_eq!(counts(&mut layer).refused, 3);
}

#[test]
fn what_is_about_no_connection_is_passed_on() {
    let mut layer = Layer::new(Side::Server, MODERN);
    layer.tls.started(&mut layer.line);
    assert_eq!((layer.tls.inner.started, layer.tls.inner.stopped), (1, 0));
    layer.tls.stopped(&mut layer.line);
    assert_eq!((layer.tls.inner.started, layer.tls.inner.stopped), (1, 1));
    for is in [false, true] {
        layer.tls.inner.is_over = is;
        layer.tls.inner.coalesces = !is;
        assert_eq!((layer.tls.finished(), layer.tls.may_coalesce()), (is, !is));
    }
}

#[test]
fn what_the_layer_has_no_part_in_is_the_wires() {
    fn ask(wire: &mut impl Wire<Order>) {
        assert_eq!((wire.now(), wire.progress(ID)), (Instant::from_nanos(1), 7));
        assert_eq!((wire.core(), wire.cores()), (Core(0), 1));
        assert_eq!((wire.held_bytes(), wire.held(ID)), (100, 100));
        assert!(wire.mail_is_full());
        wire.trim_memory();
        wire.pause(ID);
        wire.resume(ID);
        wire.forward(Core(0), Order::Connect);
        wire.forward_sized(Core(0), Order::Connect, 9);
        wire.stop_accepting();
    }
    let mut layer = Layer::new(Side::Server, MODERN);
    (layer.line.backlog, layer.line.is_full) = (100, true);
    ask(&mut Secured {
        wire: &mut layer.line,
        book: &mut layer.tls.book,
    });
    let asked = [
        "trim_memory",
        "pause",
        "resume",
        "forward",
        "forward_sized",
        "stop_accepting",
    ];
    assert_eq!(layer.line.asked, asked);
}

#[test]
fn memory_that_is_given_back_is_that_of_spare_buffers_too() {
    let mut layer = Layer::new(Side::Server, MODERN);
    let room_of_the_next = |layer: &mut Layer| {
        let mut next = Vec::new();
        layer.tls.book.spares.extend(&mut next, &[1]);
        let room = next.capacity();
        layer.tls.book.spares.put(next);
        room
    };
    let mut partial = Vec::new();
    layer.tls.book.spares.extend(&mut partial, &[1; 500]);
    layer.tls.book.spares.put(partial);
    assert!(room_of_the_next(&mut layer) >= 500);
    let (wire, book) = (&mut layer.line, &mut layer.tls.book);
    Wire::<Order>::trim_memory(&mut Secured { wire, book });
    assert!(room_of_the_next(&mut layer) < 500);
}

#[test]
fn beside_a_plain_listener_a_secured_connection_stays_secured() {
    for spoken in [MODERN, CLASSIC] {
        let mut pair = Pair::new(Side::Server, spoken);
        pair.layer.tls = pair.layer.tls.except(Some(3));
        pair.layer.tls.inner.keeps = true;
        pair.say(Content::Alert, &[1, 0]);
        assert_eq!(pair.layer.told(), [Told::Ended]);
        assert_eq!(pair.layer.tls.ended(ID, &mut pair.layer.line), Half::Keep);
        assert_eq!(pair.layer.told(), [], "it has heard of the end");
        pair.layer.order(Order::Finish(b"last".to_vec()));
        let heard = [(Content::Data, b"last".to_vec()), alert(1, 0)];
        assert_eq!(pair.heard(), heard);
        pair.layer.receive(ID, b"behind it");
        pair.layer.tls.drained(ID, &mut pair.layer.line);
        assert_eq!(pair.layer.told(), []);
    }
}
