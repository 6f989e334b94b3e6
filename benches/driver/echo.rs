//! The closed loop: every reply is checked byte by byte and asks for the next message; whatever
//! came back on a connection within a turn is asked again with one send. Texts of another length
//! than a reply to a text are a dialect's pings: they are passed over.

use crate::hello;
use crate::peer::Protocol;
use crate::ring::{Kind, Ring};
use crate::{Load, Reading};
use io_uring::cqueue;
use serde_json::Value;
use std::error::Error;
use std::net::TcpStream;
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

/// Bounds a turn, so that a silent server does not hold the driver.
const TURN: Duration = Duration::from_millis(100);
/// Time that replies have to arrive after the last message was sent.
const GRACE: Duration = Duration::from_secs(3);
/// A server that says nothing for so long has stalled.
const STALL: Duration = Duration::from_secs(10);
/// Bytes of a receive buffer at most, and where a reply is longer than that.
const SMALL: usize = 4096;
const BULK: usize = 64 * 1024;
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// What is in flight on one connection.
#[derive(Clone)]
pub(crate) struct Shape {
    pub(crate) pipeline: u32,
    /// One message, and its reply: frames.
    pub(crate) request: Vec<u8>,
    pub(crate) reply: Vec<u8>,
}

impl Shape {
    /// Messages of so many bytes that come back as they are.
    pub(crate) fn echoed(pipeline: u32, payload: usize) -> Self {
        let (request, reply) = (masked(payload), unmasked(payload));
        Self {
            pipeline,
            request,
            reply,
        }
    }

    /// A text that is answered by another.
    pub(crate) fn said(pipeline: u32, say: &str, hear: &str) -> Self {
        let (request, reply) = (hello::masked(say), hello::unmasked(hear));
        Self {
            pipeline,
            request,
            reply,
        }
    }
}

#[derive(Clone, Copy, Default)]
struct Connection {
    /// Bytes of the next reply that are here already.
    offset: usize,
    /// Bytes to come of a message that is no reply.
    strange: usize,
    in_flight: u32,
    /// Messages to send at the end of the turn.
    due: u32,
    replies: u64,
}

struct Driver {
    ring: Ring,
    connections: Vec<Connection>,
    dirty: Vec<u32>,
    /// As many requests in a row as can be due at once.
    requests: Vec<u8>,
    request_bytes: usize,
    /// Replies in a row: more than fit into a receive buffer.
    replies: Vec<u8>,
    reply_bytes: usize,
    messages: u64,
    in_flight: u64,
}

/// Runs the loop and returns the window's figures.
pub(crate) fn run(load: &Load, shape: &Shape) -> Result<Value, Box<dyn Error>> {
    let sockets = load.target().open(load.connections)?;
    let mut driver = Driver::new(load, shape, &sockets)?;
    driver.start(shape.pipeline)?;
    let window = load.window();
    driver.until(window.starts, Ask::Again)?;
    let start = Reading::take(load, driver.messages)?;
    let gap = driver.until(window.ends, Ask::Again)?;
    let end = Reading::take(load, driver.messages)?;
    driver.until(Instant::now() + GRACE, Ask::NoMore)?;
    let replies = driver.connections.iter().map(|it| it.replies);
    Ok(Figures {
        lost: driver.in_flight,
        gap,
        least: replies.min(),
    }
    .json(end.json_since(&start)))
}

/// What a loop knows beside what it cost.
pub(crate) struct Figures {
    /// Messages without a reply.
    pub(crate) lost: u64,
    /// The longest silence of all connections.
    pub(crate) gap: Duration,
    /// Replies on the connection that had the fewest.
    pub(crate) least: Option<u64>,
}

impl Figures {
    /// Added to the window's figures.
    pub(crate) fn json(self, mut figures: Value) -> Value {
        figures["lost"] = self.lost.into();
        figures["gap_ms_max"] = (self.gap.as_secs_f64() * 1e3).into();
        figures["messages_on_the_slowest"] = self.least.into();
        figures
    }
}

/// Whether a reply asks for the next message.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ask {
    Again,
    NoMore,
}

impl Connection {
    /// Replies that end in these bytes, among short texts that are none; `None` if other bytes are
    /// there.
    fn picked(&mut self, bytes: &[u8], reply: &[u8]) -> Option<u32> {
        let mut replies = 0;
        for &byte in bytes {
            if self.strange > 0 {
                self.strange -= 1;
            } else if self.offset == 1 && byte != reply[1] && byte < 126 && reply[0] == 0x81 {
                (self.offset, self.strange) = (0, usize::from(byte));
            } else if byte == reply[self.offset] {
                self.offset = (self.offset + 1) % reply.len();
                replies += u32::from(self.offset == 0);
            } else {
                return None;
            }
        }
        Some(replies)
    }
}

impl Driver {
    fn new(load: &Load, shape: &Shape, sockets: &[TcpStream]) -> Result<Self, Box<dyn Error>> {
        let request = shape.request.clone();
        let reply = match load.protocol {
            Protocol::Tcp => request.clone(),
            Protocol::Ws | Protocol::Polled => shape.reply.clone(),
            Protocol::Sse => return Err("an event stream does not echo".into()),
        };
        let expected = reply.len() * shape.pipeline as usize;
        // Large replies in large buffers: whoever drives must cost less than what it drives.
        let most = if reply.len() > SMALL { BULK } else { SMALL };
        let buffer_bytes = u32::try_from(expected.next_power_of_two().clamp(64, most))?;
        let least = if most == BULK { 32 } else { 256 };
        let buffers = sockets.len().next_power_of_two().clamp(least, 16_384);
        let ring = Ring::new(u16::try_from(buffers)?, buffer_bytes)?;
        let descriptors: Vec<_> = sockets.iter().map(AsRawFd::as_raw_fd).collect();
        ring.submitter().register_files(&descriptors)?;
        Ok(Self {
            ring,
            connections: vec![Connection::default(); sockets.len()],
            dirty: Vec::with_capacity(sockets.len()),
            requests: request.repeat(shape.pipeline as usize),
            request_bytes: request.len(),
            replies: reply.repeat(buffer_bytes as usize / reply.len() + 2),
            reply_bytes: reply.len(),
            messages: 0,
            in_flight: 0,
        })
    }

    fn start(&mut self, pipeline: u32) -> Result<(), Box<dyn Error>> {
        for index in 0..self.connections.len() {
            let id = u32::try_from(index)?;
            self.ring.receive(id)?;
            self.connections[index].due = pipeline;
            self.dirty.push(id);
        }
        Ok(())
    }

    /// Turns until then, or until nothing is in flight any more. Returns the longest silence.
    fn until(&mut self, end: Instant, ask: Ask) -> Result<Duration, Box<dyn Error>> {
        let mut done = Vec::new();
        let mut last_reply = Instant::now();
        let mut gap_max = Duration::ZERO;
        loop {
            self.send()?;
            let before = self.messages;
            self.ring.turn(Some(TURN), &mut done)?;
            for completion in &done {
                self.completed(completion, ask)?;
            }
            self.ring.buffers.publish();
            let now = Instant::now();
            if self.messages > before {
                last_reply = now;
            } else {
                // Only a turn that found nothing counts: a driver that did not run is no silence.
                gap_max = gap_max.max(now - last_reply);
            }
            if gap_max > STALL {
                return Err(format!("stalled with {} in flight", self.in_flight).into());
            }
            if now >= end || (ask == Ask::NoMore && self.in_flight == 0) {
                return Ok(gap_max);
            }
        }
    }

    fn send(&mut self) -> Result<(), Box<dyn Error>> {
        for id in self.dirty.drain(..) {
            let connection = &mut self.connections[id as usize];
            let due = std::mem::take(&mut connection.due);
            connection.in_flight += due;
            self.in_flight += u64::from(due);
            self.ring
                .send(id, &self.requests[..due as usize * self.request_bytes])?;
        }
        Ok(())
    }

    fn completed(&mut self, completion: &cqueue::Entry, ask: Ask) -> Result<(), Box<dyn Error>> {
        let (kind, id) = Kind::of(completion);
        let length = match completion.result() {
            error if kind != Kind::Receive => return Err(failed("send", error)),
            starved if starved == -libc::ENOBUFS => return Ok(self.ring.receive(id)?),
            error if error < 0 => return Err(failed("receive", error)),
            0 => return Err("the server closed a connection".into()),
            length => usize::try_from(length)?,
        };
        let buffer = cqueue::buffer_select(completion.flags()).ok_or("a receive has a buffer")?;
        let bytes = self.ring.buffers.received(buffer, length);
        let connection = &mut self.connections[id as usize];
        let expected = &self.replies[connection.offset..connection.offset + length];
        let replies = if connection.strange == 0 && bytes == expected {
            let here = connection.offset + length;
            connection.offset = here % self.reply_bytes;
            u32::try_from(here / self.reply_bytes)?
        } else {
            let reply = &self.replies[..self.reply_bytes];
            connection
                .picked(bytes, reply)
                .ok_or_else(|| format!("connection {id} got other bytes than it should"))?
        };
        connection.in_flight = connection
            .in_flight
            .checked_sub(replies)
            .ok_or_else(|| format!("connection {id} got more replies than it asked for"))?;
        connection.replies += u64::from(replies);
        self.in_flight -= u64::from(replies);
        self.messages += u64::from(replies);
        if ask == Ask::Again && replies > 0 {
            if connection.due == 0 {
                self.dirty.push(id);
            }
            connection.due += replies;
        }
        self.ring.buffers.give_back(buffer);
        if !cqueue::more(completion.flags()) {
            self.ring.receive(id)?;
        }
        Ok(())
    }
}

fn failed(operation: &str, result: i32) -> Box<dyn Error> {
    format!(
        "{operation}: {}",
        std::io::Error::from_raw_os_error(-result)
    )
    .into()
}

fn payload(length: usize) -> impl Iterator<Item = u8> {
    (b'a'..=b'z').cycle().take(length)
}

/// A client's binary frame. RFC 6455, 5.2 and 5.3.
fn masked(length: usize) -> Vec<u8> {
    let mut frame = header(length, 0x80);
    frame.extend(MASK);
    frame.extend(
        payload(length)
            .zip(MASK.into_iter().cycle())
            .map(|(byte, key)| byte ^ key),
    );
    frame
}

/// A server's binary frame.
fn unmasked(length: usize) -> Vec<u8> {
    let mut frame = header(length, 0);
    frame.extend(payload(length));
    frame
}

/// The first bytes of a binary frame, in the shortest form. RFC 6455, 5.2.
fn header(length: usize, masked: u8) -> Vec<u8> {
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(short @ 0..=125), _) => vec![0x82, masked | short],
        (_, Ok(medium)) => {
            let [a, b] = medium.to_be_bytes();
            vec![0x82, masked | 126, a, b]
        }
        _ => {
            let mut frame = vec![0x82, masked | 127];
            frame.extend((length as u64).to_be_bytes());
            frame
        }
    }
}
