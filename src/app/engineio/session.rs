//! One session: what carries it, what waits to be told, what waits to be heard.

use super::letter::Carrier;
use super::unheard::Unheard;
use crate::app::{Kind, Message, Seat};
use crate::limits;
use crate::protocol::socketio::polling::{push_binary, push_text};
use std::collections::VecDeque;

/// One session.
#[derive(Debug)]
pub(super) struct EngineSession {
    /// Its client's place among the users; `None` while it comes.
    pub(super) seat: Option<Seat>,
    pub(super) way: SessionWay,
    /// The request that waits for something to be told.
    pub(super) poll: Option<Carrier>,
    /// The WebSocket that it is about to move to.
    pub(super) upgrade: Option<EngineUpgrade>,
    /// What waits for the next poll: a payload.
    queue: String,
    /// What is not heard yet.
    inbox: VecDeque<Unheard>,
    inbox_bytes: usize,
    /// It is not heard until it is released.
    pub(super) is_held: bool,
    /// Its WebSocket, on another core, takes less than it is told.
    pub(super) is_behind: bool,
    /// What its browser is told to keep with the first answer.
    pub(super) cookie: Option<Box<str>>,
    /// The address that it counts for while it polls.
    pub(super) address: Option<u64>,
    /// Whose it is, for who reads the log and for who counts connections.
    pub(super) holder: Option<Box<str>>,
}

/// What carries what a session is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SessionWay {
    /// Polls.
    Polling,
    /// A WebSocket.
    Socket(Carrier),
    /// It is over, which the next poll is told.
    Over,
}

/// A WebSocket that a session is about to move to.
#[derive(Clone, Copy, Debug)]
pub(super) struct EngineUpgrade {
    pub(super) socket: Carrier,
    /// It was found to work: polls end at once.
    pub(super) is_probed: bool,
}

impl EngineSession {
    /// One that begins with a poll.
    pub(super) fn new(poll: Carrier, cookie: Option<Box<str>>, address: Option<u64>) -> Self {
        Self {
            seat: None,
            way: SessionWay::Polling,
            poll: Some(poll),
            upgrade: None,
            queue: String::new(),
            inbox: VecDeque::new(),
            inbox_bytes: 0,
            is_held: false,
            is_behind: false,
            cookie,
            address,
            holder: None,
        }
    }

    /// Bytes that wait to be told or to be heard.
    pub(super) fn waiting(&self) -> usize {
        self.queue.len() + self.inbox_bytes
    }

    /// Whether more waits than one session may have.
    pub(super) fn is_too_much(&self) -> bool {
        self.queue.len().max(self.inbox_bytes) > limits::IO_QUEUE_BYTES
    }

    /// Whether it polls and does not take what it is told.
    pub(super) fn is_late(&self) -> bool {
        self.queue.len() > limits::BACKLOG_HIGH
    }

    /// The next poll is told that.
    pub(super) fn push(&mut self, message: Message<'_>) {
        match message.kind {
            Kind::Text => {
                let text = str::from_utf8(message.bytes).unwrap_or_default();
                push_text(&mut self.queue, text);
            }
            Kind::Binary => push_binary(&mut self.queue, message.bytes),
        }
    }

    /// What waits for the next poll.
    pub(super) fn take_queue(&mut self) -> String {
        std::mem::take(&mut self.queue)
    }

    /// Whether nothing waits for the next poll.
    pub(super) fn is_told(&self) -> bool {
        self.queue.is_empty()
    }

    /// Whether a message of its WebSocket may be heard before it is kept.
    pub(super) fn may_be_heard_at_once(&self) -> bool {
        self.inbox.is_empty() && !self.is_held
    }

    /// Whether what waits to be heard may be heard now: not before what it was told is taken.
    pub(super) fn may_be_heard(&self) -> bool {
        !self.is_held && !self.is_late() && self.way != SessionWay::Over
    }

    /// Keeps what is not heard yet.
    pub(super) fn keep(&mut self, inbound: Unheard) {
        self.inbox_bytes += inbound.bytes();
        self.inbox.push_back(inbound);
    }

    /// What is to be heard next.
    pub(super) fn take_inbound(&mut self) -> Option<Unheard> {
        let first = self.inbox.pop_front()?;
        self.inbox_bytes -= first.bytes();
        Some(first)
    }

    /// That is still to be heard, before all else.
    pub(super) fn put_back(&mut self, inbound: Unheard) {
        self.inbox_bytes += inbound.bytes();
        self.inbox.push_front(inbound);
    }
}
