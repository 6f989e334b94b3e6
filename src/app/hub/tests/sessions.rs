//! Sessions over cores: their sockets are told what they hold, and they end once nobody is in them.

use super::world::{Heard, Place, World};
use super::*;
use crate::app::hub::broker::{BrokerWeather, Unreliable};
use crate::app::hub::session::{SESSION_TICKET, SessionId};
use fastrand::Rng;
use serde_json::{Map, Value};

const SESSION: SessionId = SessionId(7);

impl<B: Broker> World<B> {
    fn join(&mut self, (core, seat, _): Place, session: SessionId) {
        let joined = self.on(core, |hub, post| hub.join(seat, session, post));
        assert_eq!(joined, Ok(()));
    }

    /// What a socket was told that its session holds when it joined; `None` if it was not.
    fn held(&mut self, (.., user): Place) -> Option<String> {
        let answers = &mut self.post.answers;
        let is_its = |asker: &Asker| asker.user == user && asker.ticket == SESSION_TICKET;
        let at = answers.iter().position(|(asker, _)| is_its(asker))?;
        let HubAnswer::Subscribed(joined) = answers.remove(at).1 else {
            return None;
        };
        let held = joined
            .missed
            .and_then(|held| held.publications.last().cloned());
        Some(held.map_or_else(|| "{}".to_owned(), |held| held.data.to_string()))
    }

    fn set(&mut self, core: usize, session: SessionId, members: &str) -> u32 {
        let asker = self.asker();
        let question = ChannelQuestion::Merge(members.into());
        self.on(core, |hub, post| {
            hub.ask_session(asker, session, question, post)
        });
        asker.ticket
    }
}

fn order(what: ClientAction) -> ClientOrder {
    ClientOrder {
        user: None,
        client: None,
        session: None,
        except: None,
        what,
    }
}

#[test]
fn sockets_on_every_core_share_what_their_session_holds() {
    for session in (0..8).map(SessionId) {
        let mut world = World::new(3, ChannelOptions::PLAIN);
        let first = world.came(0);
        world.join(first, session);
        world.settle();
        assert_eq!(world.held(first).as_deref(), Some("{}"));
        world.set(1, session, r#"{"cart":[1],"authorized":true}"#);
        world.set(1, session, r#"{"cart":null}"#);
        world.settle();
        let told = world.heard(first).last().map(Heard::text);
        let text = format!("{}#2 {{\"authorized\":true}}", session.channel());
        assert_eq!(told, Some(text));
        let second = world.came(2);
        world.join(second, session);
        world.settle();
        assert_eq!(
            world.held(second).as_deref(),
            Some(r#"{"authorized":true}"#)
        );
    }
}

#[test]
fn what_is_emitted_reaches_whom_it_is_for_and_says_how_many_those_are() {
    let mut world = World::new(2, ChannelOptions::PLAIN);
    let clients: Vec<Place> = (0..4).map(|number| world.came(number % 2)).collect();
    for client in &clients[..2] {
        world.join(*client, SESSION);
    }
    world.settle();
    world.identify(clients[2], "ann", "");
    let emit = || order(ClientAction::Emit("1".into()));
    let one = world.id(clients[0]);
    for (wanted, expected) in [
        (emit(), vec![0, 1, 2, 3]),
        (
            ClientOrder {
                client: one,
                ..emit()
            },
            vec![0],
        ),
        (
            ClientOrder {
                except: one,
                ..emit()
            },
            vec![1, 2, 3],
        ),
        (
            ClientOrder {
                session: Some(SESSION),
                ..emit()
            },
            vec![0, 1],
        ),
        (
            ClientOrder {
                session: Some(SESSION),
                except: one,
                ..emit()
            },
            vec![1],
        ),
        (
            ClientOrder {
                session: Some(SessionId(8)),
                ..emit()
            },
            vec![],
        ),
        (
            ClientOrder {
                user: Some("ann".into()),
                ..emit()
            },
            vec![2],
        ),
    ] {
        world.post.emitted.clear();
        let (reached, _) = world.order(1, wanted);
        let mut users: Vec<User> = world.post.emitted.iter().map(|(user, _)| *user).collect();
        users.sort();
        let expected: Vec<User> = expected.iter().map(|at: &usize| clients[*at].2).collect();
        assert_eq!((users.len() as u64, &users), (reached, &expected));
    }
}

#[test]
fn a_session_ends_once_its_last_socket_has_been_gone_for_the_grace_time() {
    let mut world = World::new(3, DEV);
    let listener = world.came(0);
    world.enter(listener, "$sessions");
    let clients = [world.came(1), world.came(2)];
    for client in clients {
        world.join(client, SESSION);
    }
    world.set(0, SESSION, r#"{"a":1}"#);
    world.settle();
    world.left(clients[0]);
    world.wait(Duration::from_secs(40));
    assert!(world.post.ended.is_empty(), "somebody is there");
    world.left(clients[1]);
    world.wait(Duration::from_secs(20));
    // A page that loads anew.
    let again = world.came(0);
    world.join(again, SESSION);
    world.settle();
    assert_eq!(world.held(again).as_deref(), Some(r#"{"a":1}"#));
    world.wait(Duration::from_secs(20));
    world.left(again);
    world.wait(Duration::from_secs(29));
    assert!(world.post.ended.is_empty(), "it was put off");
    world.wait(Duration::from_secs(1));
    assert_eq!(world.post.ended, [(SESSION, r#"{"a":1}"#.to_owned())]);
    let told = world
        .heard(listener)
        .last()
        .map(Heard::text)
        .expect("an event");
    assert!(
        told.contains("session ended") && told.contains(&SESSION.to_string()),
        "{told}"
    );
    let new = world.came(1);
    world.join(new, SESSION);
    world.settle();
    assert_eq!(world.held(new).as_deref(), Some("{}"), "it begins anew");
}

#[test]
fn what_is_set_before_anybody_comes_is_kept_for_the_grace_time() {
    let mut world = World::new(2, DEV);
    world.set(0, SESSION, r#"{"a":1}"#);
    world.settle();
    world.wait(Duration::from_secs(30));
    assert_eq!(world.post.ended.len(), 1);
    world.wait(Duration::from_secs(60));
    assert_eq!(world.post.ended.len(), 1, "once");
}

#[test]
fn no_order_of_the_application_takes_a_socket_out_of_its_session() {
    let mut world = World::new(2, DEV);
    let client = world.came(0);
    world.join(client, SESSION);
    world.enter(client, "news");
    assert_eq!(world.order(1, order(ClientAction::Unsubscribe(None))).0, 1);
    let all = order(ClientAction::Channels("".into()));
    assert!(world.order(1, all).1.is_empty(), "sessions are not listed");
    let emit = ClientOrder {
        session: Some(SESSION),
        ..order(ClientAction::Emit("1".into()))
    };
    assert_eq!(world.order(1, emit).0, 1, "it is there still");
}

/// Brokers that are late, repeat and lose their connection: what was acknowledged is held.
#[test]
fn what_was_set_and_acknowledged_is_held_whatever_the_broker_does() {
    for seed in 0..100 {
        let weather = BrokerWeather {
            late: 50,
            repeated: 20,
            lost: 2,
        };
        let mut rng = Rng::with_seed(seed);
        let mut world = World::of(3, Namespaces::all(DEV), |core| {
            Unreliable::new(seed << 8 | u64::from(core), weather)
        });
        let (mut clients, mut asked) = (Vec::new(), Vec::new());
        for step in 0..200 {
            match rng.u32(0..10) {
                0 => {
                    let client = world.came(rng.usize(0..3));
                    world.join(client, SESSION);
                    clients.push(client);
                }
                1 if !clients.is_empty() => {
                    let client = clients.swap_remove(rng.usize(0..clients.len()));
                    world.left(client);
                }
                2 => asked.push((step, world.set(rng.usize(0..3), SESSION, &member(step)))),
                3..8 => drop(world.carry(rng.usize(0..3), rng.usize(0..3))),
                _ => world.wait(Duration::from_millis(rng.u64(0..20))),
            }
        }
        for core in 0..3 {
            world.hubs[core].home.broker.calm();
        }
        world.settle();
        for _ in 0..10 {
            world.wait(Duration::from_millis(200));
        }
        let last = world.came(0);
        world.join(last, SESSION);
        world.settle();
        let held = world.held(last).expect("an answer");
        let held: Map<String, Value> = serde_json::from_str(&held).expect("an object");
        for (step, ticket) in asked {
            let answers = &world.post.answers;
            let answer = answers.iter().find(|(asker, _)| asker.ticket == ticket);
            let answer = &answer.expect("an answer").1;
            let is_kept = held.contains_key(&format!("k{step}"));
            match answer {
                HubAnswer::Published(_) => assert!(is_kept, "RINGSTORM_SEED={seed}: {step}"),
                HubAnswer::Refused(HubError::Unreachable) => {}
                other => panic!("RINGSTORM_SEED={seed}: {other:?}"),
            }
        }
        for client in clients.into_iter().chain([last]) {
            world.left(client);
        }
        world.wait(Duration::from_secs(31));
        world.wait(Duration::from_secs(31));
        assert_eq!(world.post.ended.len(), 1, "RINGSTORM_SEED={seed}");
    }
}

fn member(step: u32) -> String {
    format!("{{\"k{step}\":{step}}}")
}
