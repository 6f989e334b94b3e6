//! The door: who is let in, how fast it may speak, for how long it may stay.

use super::*;

fn at(ms: u64) -> Instant {
    Instant::default() + Duration::from_millis(ms)
}

fn door(limits: DoorLimits) -> Door {
    Door::new(limits, AddressTable::default(), at(0))
}

fn id(slot: u32) -> ConnectionId {
    ConnectionId::new(slot, 1)
}

fn address(text: &str) -> Option<IpAddr> {
    Some(text.parse().unwrap())
}

#[test]
fn an_address_has_so_many_connections_over_all_cores_and_gets_them_back() {
    let limits = DoorLimits {
        per_address: Some(2),
        ..DoorLimits::default()
    };
    let table = AddressTable::default();
    let [mut one, mut two] = [(); 2].map(|()| Door::new(limits.clone(), table.clone(), at(0)));
    assert_eq!(one.enter(id(0), address("192.0.2.1"), at(0)), Ok(()));
    // The same by another name (RFC 4291, 2.5.5.2).
    assert_eq!(two.enter(id(0), address("::ffff:192.0.2.1"), at(0)), Ok(()));
    let refused = Err(DoorRefusal::Address);
    assert_eq!(one.enter(id(1), address("192.0.2.1"), at(0)), refused);
    one.left(id(1));
    assert_eq!(one.enter(id(1), address("192.0.2.1"), at(0)), refused);
    assert_eq!(one.enter(id(2), address("192.0.2.2"), at(0)), Ok(()));
    two.left(id(0));
    assert_eq!(one.enter(id(3), address("192.0.2.1"), at(0)), Ok(()));
    // A network of one subscriber, whatever its hosts call themselves.
    assert_eq!(one.enter(id(4), address("2001:db8::1"), at(0)), Ok(()));
    assert_eq!(one.enter(id(5), address("2001:db8::2:1"), at(0)), Ok(()));
    assert_eq!(one.enter(id(6), address("2001:db8::3"), at(0)), refused);
    assert_eq!(one.enter(id(7), address("2001:db8:0:1::3"), at(0)), Ok(()));
}

#[test]
fn whoever_asks_counts_for_its_address_or_for_that_which_its_proxy_names() {
    let mut door = door(DoorLimits {
        per_address: Some(7),
        trusted: vec!["10.0.0.0/8".parse().unwrap()],
        ..DoorLimits::default()
    });
    door.enter(id(1), address("192.0.2.1"), at(0)).unwrap();
    door.enter(id(2), address("10.0.0.1"), at(0)).unwrap();
    door.enter(id(3), address("127.0.0.1"), at(0)).unwrap();
    let of = |text: &str| Some((AddressKey::of(text.parse().unwrap()), 7));
    // Only a proxy is believed.
    for named in [None, address("198.51.100.1")] {
        assert_eq!(door.share(id(1), named), of("192.0.2.1"));
        assert_eq!(door.share(id(3), named), None);
    }
    assert_eq!(
        door.share(id(2), address("198.51.100.1")),
        of("198.51.100.1")
    );
    assert_eq!(door.share(id(2), address("127.0.0.1")), None);
    assert_eq!(door.share(id(2), None), None);
    door.renew(DoorLimits::default());
    assert_eq!(door.share(id(1), None), None);
}

#[test]
fn loopback_is_counted_only_if_it_is_told_and_who_is_unknown_never() {
    for (counts_loopback, expected) in [(false, Ok(())), (true, Err(DoorRefusal::Address))] {
        let mut door = door(DoorLimits {
            per_address: Some(1),
            counts_loopback,
            ..DoorLimits::default()
        });
        for loopback in ["127.0.0.1", "::1"] {
            assert_eq!(door.enter(id(1), address(loopback), at(0)), Ok(()));
            assert_eq!(door.enter(id(2), address(loopback), at(0)), expected);
        }
        for slot in 3..10 {
            assert_eq!(door.enter(id(slot), None, at(0)), Ok(()));
        }
    }
}

#[test]
fn a_proxy_counts_for_whom_it_speaks_and_is_looked_through_only_if_it_is_trusted() {
    let mut door = door(DoorLimits {
        per_address: Some(1),
        trusted: vec!["192.0.2.0/24".parse().unwrap()],
        ..DoorLimits::default()
    });
    for slot in 0..3 {
        assert_eq!(door.enter(id(slot), address("192.0.2.9"), at(0)), Ok(()));
        assert!(door.is_proxy(id(slot)));
    }
    let [ann, bob] = ["203.0.113.1", "203.0.113.2"].map(|it| it.parse().unwrap());
    assert_eq!(door.speaks_for(id(0), ann), Ok(()));
    assert_eq!(door.speaks_for(id(1), ann), Err(DoorRefusal::Address));
    assert_eq!(door.speaks_for(id(1), bob), Ok(()));
    // The same connection for another: the first is free again.
    assert_eq!(door.speaks_for(id(0), bob), Err(DoorRefusal::Address));
    assert_eq!(door.speaks_for(id(2), ann), Ok(()));
    assert_eq!(door.enter(id(3), address("198.51.100.1"), at(0)), Ok(()));
    assert!(!door.is_proxy(id(3)));
}

#[test]
fn newcomers_come_so_fast_and_a_seconds_worth_at_once() {
    let mut door = door(DoorLimits {
        connects: DoorRate::per_second(10),
        ..DoorLimits::default()
    });
    let mut came = |ms| {
        (0..100)
            .filter(|_| door.enter(id(0), None, at(ms)).is_ok())
            .count()
    };
    assert_eq!(
        [came(0), came(50), came(100), came(1100), came(9999)],
        [10, 0, 1, 10, 10]
    );
}

#[test]
fn what_is_sent_is_metered_for_each_connection_alone() {
    let mut door = door(DoorLimits {
        messages: DoorRate::per_second(10),
        bytes: DoorRate::per_second(1000),
        ..DoorLimits::default()
    });
    assert!(door.listens() && !door.counts_addresses());
    assert_eq!(door.heard(id(0), 10, 500, at(0)), None);
    assert_eq!(door.heard(id(1), 10, 500, at(0)), None);
    assert_eq!(door.heard(id(0), 1, 1, at(0)), Some(Eviction::Messages));
    assert_eq!(door.heard(id(1), 0, 501, at(0)), Some(Eviction::Bytes));
    assert_eq!(door.heard(id(1), 1, 100, at(100)), None);
    // Another in the same slot has nothing to do with it.
    door.left(id(0));
    assert_eq!(door.heard(ConnectionId::new(0, 2), 10, 0, at(0)), None);
}

#[test]
fn a_holder_of_a_token_has_so_many_connections_over_all_cores_and_one_rate_on_each() {
    let limits = DoorLimits {
        per_token: Some(2),
        token_messages: DoorRate::per_second(10),
        ..DoorLimits::default()
    };
    let tokens = AddressTable::default();
    let [mut one, mut two] = [(); 2].map(|()| door(limits.clone()).with_tokens(tokens.clone()));
    assert_eq!(one.named(id(0), "ann"), None);
    // The same once more.
    assert_eq!(one.named(id(0), "ann"), None);
    assert_eq!(two.named(id(0), "ann"), None);
    assert_eq!(two.named(id(1), "ann"), Some(Eviction::Token));
    two.left(id(1));
    assert_eq!(two.named(id(2), "bob"), None);
    // They speak together, and nobody with them.
    assert_eq!(one.heard(id(0), 6, 60, at(0)), None);
    one.left(id(0));
    assert_eq!(one.named(id(1), "ann"), None);
    assert_eq!(two.heard(id(0), 6, 60, at(0)), None);
    assert_eq!(two.heard(id(2), 10, 60, at(0)), None);
    assert_eq!(two.heard(id(0), 6, 60, at(0)), Some(Eviction::Messages));
    assert_eq!(
        two.heard(id(9), 99, 60, at(0)),
        None,
        "nobody in particular"
    );
    // Who becomes another has left a place.
    assert_eq!(two.named(id(0), "bob"), None);
    assert_eq!(two.named(id(3), "ann"), None);
    for core in [&mut one, &mut two] {
        (0..9).for_each(|slot| core.left(id(slot)));
    }
    assert!(tokens.is_empty() && one.holders.is_empty() && two.holders.is_empty());
}

#[test]
fn who_says_nothing_is_ended_and_who_speaks_in_time_is_not() {
    let mut door = door(DoorLimits {
        first_message: Some(Duration::from_secs(1)),
        ..DoorLimits::default()
    });
    for slot in [0, 1] {
        assert_eq!(door.enter(id(slot), None, at(0)), Ok(()));
        door.upgraded(id(slot), at(0));
    }
    assert_eq!(door.heard(id(1), 1, 10, at(500)), None);
    let mut due = Vec::new();
    door.take_due(at(1100), &mut due);
    let found: Vec<_> = due
        .iter()
        .filter_map(|id| door.judge(*id, at(1100)))
        .collect();
    assert_eq!((due.len(), &*found), (2, &[Eviction::Silence][..]));
    assert_eq!(door.deadline(), None);
}

#[test]
fn lifetimes_end_within_a_tenth_and_not_together() {
    let mut door = door(DoorLimits {
        lifetime: Some(Duration::from_secs(100)),
        ..DoorLimits::default()
    });
    for slot in 0..1000 {
        assert_eq!(door.enter(id(slot), None, at(0)), Ok(()));
    }
    let (mut due, mut ends) = (Vec::new(), Vec::new());
    for second in 0..=120 {
        let now = at(second * 1000);
        door.take_due(now, &mut due);
        for id in due.drain(..) {
            if let Some(eviction) = door.judge(id, now) {
                assert_eq!(eviction, Eviction::Lifetime);
                ends.push(second);
            }
        }
    }
    assert_eq!(ends.len(), 1000);
    assert!(ends.iter().all(|end| (90..=111).contains(end)), "{ends:?}");
    let early = ends.iter().filter(|end| **end <= 100).count();
    assert!(
        (400..600).contains(&early),
        "{early} of 1000 in the first half"
    );
}

#[test]
fn the_table_of_addresses_has_an_end() {
    let table = AddressTable::of_at_most(3);
    let key = |number: u32| AddressKey::of(std::net::Ipv4Addr::from_bits(number).into());
    for number in 0..3 {
        assert_eq!(table.enter(key(number), 9), Ok(()));
    }
    assert_eq!(table.enter(key(9), 9), Err(DoorRefusal::Addresses));
    assert_eq!(table.enter(key(1), 9), Ok(()));
    assert_eq!(table.len(), 3);
    table.leave(key(1));
    assert_eq!(table.enter(key(9), 9), Err(DoorRefusal::Addresses));
    table.leave(key(0));
    assert_eq!((table.enter(key(9), 9), table.len()), (Ok(()), 3));
}
