//! Dialogues: ready, turns, exchanges, times, notes between them, and their ways to end.

use super::world::{Echo, World};
use super::{MS, config, open};
use crate::load::measure::failure::{Kind, Stage};
use crate::load::measure::outcome::{Ending, Outcome};
use crate::load::scenario::{
    Address, Context, Dialogue, Exchange, Incoming, Note, Part, Piece, Program, Stray, Turns,
};
use crate::load::{Config, Scenario};
use std::sync::Arc;
use std::time::Duration;

/// Greets, then asks: everything is echoed. What it does beside that is its trick.
#[derive(Clone, Copy, Debug)]
struct Asker {
    turns: Turns,
    /// Turns that each takes.
    limit: u32,
    trick: Trick,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Trick {
    Plain,
    /// Only every second client speaks.
    HalfListen,
    /// Fails when its first reply comes.
    Fail,
    /// Never says that it is ready.
    Mute,
    /// Closes after its last turn.
    Close,
    /// Asks after a pause, not at once.
    Slow,
    /// Tells everyone's replies to the one whose address is in them.
    Tell,
}

#[derive(Debug)]
struct Asking {
    plan: Asker,
    under_way: Option<Exchange>,
    asked: u32,
    is_greeted: bool,
}

impl Program for Asker {
    fn name(&self) -> &'static str {
        "ask"
    }
    fn turns(&self) -> Turns {
        self.turns
    }
    fn begin(&self, _number: u32) -> Box<dyn Dialogue> {
        Box::new(Asking {
            plan: *self,
            under_way: None,
            asked: 0,
            is_greeted: false,
        })
    }
}

impl Dialogue for Asking {
    fn on_open(&mut self, context: &mut Context<'_>) {
        context.text("hello");
    }

    fn on_message(&mut self, heard: Incoming<'_>, context: &mut Context<'_>) {
        let Incoming::Text(text) = heard else {
            return context.wrong();
        };
        if !self.is_greeted {
            assert_eq!(text, b"hello");
            self.is_greeted = true;
            return match self.plan.trick {
                Trick::Mute => {}
                Trick::HalfListen if context.number() % 2 == 1 => context.ready(Part::Listens),
                _ => context.ready(Part::Speaks),
            };
        }
        match self.plan.trick {
            Trick::Fail => context.fail("had_enough"),
            Trick::Tell => {
                let who: Address = std::str::from_utf8(text).unwrap().parse().unwrap();
                let (sequence, from, at) = (u64::from(self.asked), context.number(), context.now());
                context.tell(who, Note { sequence, from, at });
            }
            _ => self.finish(context),
        }
    }

    fn on_turn(&mut self, piece: Piece, context: &mut Context<'_>) {
        if self.under_way.is_some() {
            return;
        }
        let exchange = context.begin(piece);
        self.asked += 1;
        if self.plan.trick == Trick::Tell {
            context.broadcast(&exchange, 1);
            context.text(&context.address().to_string());
        } else if self.plan.trick == Trick::Slow {
            context.wake_after(Duration::from_millis(20));
        } else {
            context.text("question");
        }
        self.under_way = Some(exchange);
    }

    fn on_timer(&mut self, context: &mut Context<'_>) {
        context.text("late question");
    }

    fn on_note(&mut self, note: Note, context: &mut Context<'_>) {
        assert_eq!(u64::from(self.asked), note.sequence);
        if let Some(exchange) = &self.under_way {
            context.delivered(exchange);
            context.spread(exchange, &mut [1_000]);
            context.stray(Stray::Gap(2));
        }
        self.finish(context);
    }
}

impl Asking {
    fn finish(&mut self, context: &mut Context<'_>) {
        if let Some(exchange) = self.under_way.take() {
            context.finish(exchange);
        }
        if self.asked == self.plan.limit {
            context.done();
            if self.plan.trick == Trick::Close {
                context.close(1000);
            }
        }
    }
}

fn plan(turns: Turns, limit: u32, trick: Trick) -> Config {
    let program = Asker {
        turns,
        limit,
        trick,
    };
    Config {
        scenario: Scenario::Dialogue(Arc::new(program)),
        ..config()
    }
}

/// Runs it against a server whose echoes take 10 ms.
fn run(config: &Config, cores: u16) -> (Outcome, Duration) {
    World::new(cores, config, Echo::new(|_, now| Some(now + 10 * MS))).run()
}

#[test]
fn a_connection_is_up_when_its_dialogue_says_so_and_the_run_ends_with_the_turns() {
    for cores in [1, 3] {
        let (outcome, took) = run(&plan(Turns::Limited, 5, Trick::Plain), cores);
        let messages = outcome.messages;
        assert_eq!(
            (messages.planned, messages.sent, messages.replied),
            (20, 20, 20)
        );
        assert_eq!(outcome.ending, Ending::Complete);
        assert!(took < Duration::from_millis(200), "{took:?}");
        let latencies = &outcome.latencies;
        assert_eq!(latencies.ready.histogram().len(), 4);
        assert!(latencies.ready.histogram().min() >= 9_990_000);
        assert!(latencies.connect.histogram().min() > latencies.ready.histogram().min());
        assert_eq!(latencies.service.histogram().len(), 20);
        assert_eq!(outcome.failures.total(), 0);
    }
}

#[test]
fn an_open_loop_s_turns_are_all_taken_or_dropped() {
    let config = Config {
        messages: open(1_000.0),
        ..plan(Turns::Endless, 0, Trick::Plain)
    };
    let (outcome, _) = run(&config, 2);
    let messages = outcome.messages;
    assert_eq!(messages.planned, 1_000);
    // Four clients with one exchange of 10 ms at a time: 400 a second at most.
    assert!((300..=400).contains(&messages.sent), "{messages:?}");
    assert_eq!(messages.dropped.in_flight, 1_000 - messages.sent);
    assert_eq!(
        outcome.latencies.response.histogram().len(),
        messages.replied
    );
}

#[test]
fn who_listens_gets_no_turn() {
    let (outcome, _) = run(&plan(Turns::Limited, 3, Trick::HalfListen), 2);
    assert_eq!((outcome.connects.up, outcome.messages.sent), (4, 6));
    assert_eq!(outcome.ending, Ending::Complete);
}

#[test]
fn cores_whose_clients_only_listen_have_no_part_of_the_plan() {
    // Of two cores one has the two clients that speak; of three each has one or both of them.
    for cores in [2, 3, 4] {
        let config = Config {
            messages: open(100.0),
            ..plan(Turns::Endless, 0, Trick::HalfListen)
        };
        let (outcome, _) = run(&config, cores);
        let messages = outcome.messages;
        assert_eq!(outcome.connects.up, 4);
        assert_eq!((messages.planned, messages.sent), (100, 100), "{cores}");
        assert_eq!(messages.dropped.total(), 0, "{cores}");
        assert_eq!(messages.replied, 100);
    }
}

#[test]
fn a_dialogue_s_failure_is_counted_by_its_name_and_its_exchange_is_lost() {
    let (outcome, _) = run(&plan(Turns::Endless, 0, Trick::Fail), 1);
    let kind = Kind::Application("had_enough");
    assert_eq!(outcome.failures.of(Stage::Open, kind), 4);
    assert_eq!((outcome.messages.sent, outcome.messages.lost), (4, 4));
    assert_eq!(outcome.ending, Ending::Deserted);
}

#[test]
fn a_dialogue_that_is_never_ready_is_a_connect_that_timed_out() {
    let config = Config {
        connect_time: 500 * MS,
        ..plan(Turns::Endless, 0, Trick::Mute)
    };
    let (outcome, took) = run(&config, 1);
    assert_eq!(outcome.failures.of(Stage::Ready, Kind::TimedOut), 4);
    assert_eq!((outcome.connects.up, outcome.connects.failed), (0, 4));
    assert!(took < Duration::from_secs(1), "{took:?}");
}

#[test]
fn a_dialogue_that_closes_has_left_and_nothing_failed() {
    let mut world = World::new(
        2,
        &plan(Turns::Limited, 2, Trick::Close),
        Echo::new(|_, now| Some(now + 10 * MS)),
    );
    let (outcome, _) = world.run();
    assert_eq!((outcome.connects.left, outcome.failures.total()), (4, 0));
    assert_eq!(outcome.messages.replied, 8);
    assert_eq!(world.peer.closes, [Some(1000); 4]);
}

#[test]
fn a_dialogue_s_time_comes_when_it_asked_for_it() {
    let (outcome, _) = run(&plan(Turns::Limited, 3, Trick::Slow), 1);
    let service = outcome.latencies.service.histogram();
    // 20 ms, rounded up to a millisecond, and the echo's 10 ms.
    assert_eq!(service.len(), 12);
    assert!(service.min() >= 29_900_000 && service.max() <= 31_100_000);
}

#[test]
fn a_note_reaches_the_dialogue_that_it_names() {
    let (outcome, _) = run(&plan(Turns::Limited, 4, Trick::Tell), 2);
    assert_eq!(outcome.messages.replied, 16);
    let fan_out = outcome.fan_out.expect("there were broadcasts");
    assert_eq!((fan_out.broadcasts, fan_out.complete), (16, 16));
    assert_eq!(
        (fan_out.expected, fan_out.received, fan_out.gaps),
        (16, 16, 32)
    );
    assert!((fan_out.reach() - 1.0).abs() < f64::EPSILON);
    assert_eq!(fan_out.last.histogram().max(), 1_000);
}
