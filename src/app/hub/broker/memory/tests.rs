//! Channels come, are kept, forgotten and bounded.

use super::*;
use crate::app::hub::options::{ChannelOptions, HistoryOptions};
use std::time::Duration;

const DEV: HistoryOptions = ChannelOptions::DEV.history;

fn ask(memory: &mut Memory, name: &str, command: BrokerCommand, now: u64) -> Vec<BrokerEvent> {
    let (name, now) = (&Arc::from(name), Instant::from_nanos(now * 1_000_000_000));
    let mut events = VecDeque::new();
    let channel = OfChannel {
        name,
        history: DEV,
        now,
    };
    memory.ask(Ticket(7), channel, command, &mut events);
    events.into()
}

fn publication(text: &str) -> Publication {
    Publication {
        offset: 0,
        data: text.into(),
        by: None,
        tags: None,
        spares_author: false,
    }
}

fn publish(memory: &mut Memory, name: &str, text: &str, now: u64) -> (Position, usize) {
    let events = ask(memory, name, BrokerCommand::Publish(publication(text)), now);
    let Some(BrokerEvent::Reply {
        reply: BrokerReply::Published(position),
        ..
    }) = events.last()
    else {
        panic!("{events:?}");
    };
    (*position, events.len() - 1)
}

#[test]
fn a_publication_is_told_where_the_channel_is_open_and_before_the_answer() {
    let mut memory = Memory::new(1);
    assert_eq!(publish(&mut memory, "a", "1", 0).1, 0, "nobody has it open");
    ask(&mut memory, "a", BrokerCommand::Open, 0);
    let (position, told) = publish(&mut memory, "a", "2", 0);
    assert_eq!((position.offset, told), (2, 1));
    ask(&mut memory, "a", BrokerCommand::Close, 0);
    assert_eq!(publish(&mut memory, "a", "3", 0).1, 0);
}

#[test]
fn a_channel_that_nobody_needs_is_forgotten_with_its_history() {
    let mut memory = Memory::new(1);
    let (first, _) = publish(&mut memory, "a", "1", 0);
    assert_eq!((memory.channels(), memory.history_bytes() > 0), (1, true));
    let end = Instant::default() + DEV.life;
    assert_eq!(memory.deadline(), Some(end));
    memory.expired(end - Duration::from_nanos(1), &mut VecDeque::new());
    assert_eq!(memory.channels(), 1);
    memory.expired(end, &mut VecDeque::new());
    assert_eq!((memory.channels(), memory.history_bytes()), (0, 0));
    assert_eq!(memory.deadline(), None);
    let (next, _) = publish(&mut memory, "a", "1", 400);
    assert_ne!(
        first.epoch, next.epoch,
        "another history: nobody takes it for the first"
    );
}

#[test]
fn a_channel_with_subscribers_keeps_its_place_when_its_history_is_gone() {
    let mut memory = Memory::new(1);
    ask(&mut memory, "a", BrokerCommand::Open, 0);
    let (first, _) = publish(&mut memory, "a", "1", 0);
    memory.expired(Instant::default() + DEV.life, &mut VecDeque::new());
    let (second, _) = publish(&mut memory, "a", "2", 301);
    assert_eq!((second.epoch, second.offset), (first.epoch, 2));
    ask(&mut memory, "a", BrokerCommand::Close, 302);
    assert_eq!(memory.channels(), 1, "its history has not ended");
    ask(&mut memory, "a", BrokerCommand::Clear, 303);
    assert_eq!(memory.history_bytes(), 0);
    let (third, _) = publish(&mut memory, "a", "3", 304);
    assert_eq!(
        (third.epoch, third.offset),
        (first.epoch, 3),
        "as who left knows it"
    );
    memory.expired(
        Instant::from_nanos(604 * 1_000_000_000),
        &mut VecDeque::new(),
    );
    assert_eq!(memory.channels(), 0);
}

#[test]
fn what_is_too_old_is_read_by_nobody_though_no_timer_came() {
    let mut memory = Memory::new(1);
    publish(&mut memory, "a", "1", 0);
    publish(&mut memory, "a", "2", 200);
    let (since, limit, reverse) = (None, 10, false);
    let read = BrokerCommand::Read(Excerpt {
        since,
        limit,
        reverse,
    });
    let events = ask(&mut memory, "a", read, 310);
    let Some(BrokerEvent::Reply {
        reply: BrokerReply::Read(read),
        ..
    }) = events.last()
    else {
        panic!("{events:?}");
    };
    assert_eq!(read.publications.len(), 1);
    assert_eq!(read.publications[0].offset, 2);
}

#[test]
fn all_histories_together_are_bounded() {
    let mut memory = Memory::new(1);
    let text = "x".repeat(limits::PUBLICATION_BYTES);
    let mut kept = 0;
    for number in 0..2 * limits::HISTORY_BYTES / limits::PUBLICATION_BYTES {
        publish(&mut memory, &(number % 700).to_string(), &text, 0);
        assert!(memory.history_bytes() <= limits::HISTORY_BYTES);
        kept = kept.max(memory.history_bytes());
    }
    assert!(kept > limits::HISTORY_BYTES - 2 * limits::PUBLICATION_BYTES);
}
