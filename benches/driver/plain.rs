//! The neutral driver: plain epoll, one message in flight on each connection, one read and one
//! write for each readiness, as most clients are written.

use crate::echo::{Figures, Shape};
use crate::peer::Protocol;
use crate::{Load, Reading};
use serde_json::Value;
use std::error::Error;
use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::{Duration, Instant};

/// Bounds a wait, so that a silent server does not hold the driver.
const TURN_MS: libc::c_int = 100;
/// A server that says nothing for so long has stalled.
const STALL: Duration = Duration::from_secs(10);
/// Bytes of one read.
const READ_BYTES: usize = 64 * 1024;

struct Connection {
    stream: TcpStream,
    /// Bytes of the request that the kernel has taken, and of the reply that are here.
    written: usize,
    /// It waits for room for the rest.
    waits: bool,
    read: usize,
    replies: u64,
}

struct Driver {
    epoll: OwnedFd,
    connections: Vec<Connection>,
    request: Vec<u8>,
    reply: Vec<u8>,
    buffer: Vec<u8>,
    messages: u64,
}

/// Runs the loop and returns the window's figures.
pub(crate) fn run(load: &Load, shape: &Shape) -> Result<Value, Box<dyn Error>> {
    let sockets = load.target().open(load.connections)?;
    let mut driver = Driver::new(load, shape, sockets)?;
    let window = load.window();
    driver.until(window.starts)?;
    let start = Reading::take(load, driver.messages)?;
    let gap = driver.until(window.ends)?;
    let end = Reading::take(load, driver.messages)?;
    let replies = driver.connections.iter().map(|it| it.replies);
    Ok(Figures {
        lost: 0,
        gap,
        least: replies.min(),
    }
    .json(end.json_since(&start)))
}

impl Driver {
    fn new(load: &Load, shape: &Shape, sockets: Vec<TcpStream>) -> Result<Self, Box<dyn Error>> {
        if shape.pipeline != 1 {
            return Err("--epoll has one message in flight on each connection".into());
        }
        let request = shape.request.clone();
        let reply = match load.protocol {
            Protocol::Tcp => request.clone(),
            Protocol::Ws | Protocol::Polled => shape.reply.clone(),
            Protocol::Sse => return Err("an event stream does not echo".into()),
        };
        // SAFETY: takes no pointer.
        let epoll = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        if epoll < 0 {
            return Err(io::Error::last_os_error().into());
        }
        // SAFETY: a descriptor of ours that nothing else closes.
        let epoll = unsafe { OwnedFd::from_raw_fd(epoll) };
        let mut driver = Self {
            epoll,
            connections: Vec::with_capacity(sockets.len()),
            request,
            reply,
            buffer: vec![0; READ_BYTES],
            messages: 0,
        };
        for stream in sockets {
            stream.set_nonblocking(true)?;
            driver.connections.push(Connection {
                stream,
                written: 0,
                waits: false,
                read: 0,
                replies: 0,
            });
            let index = driver.connections.len() - 1;
            driver.register(libc::EPOLL_CTL_ADD, index, libc::EPOLLIN)?;
            driver.write(index)?;
        }
        Ok(driver)
    }

    /// Turns until then; returns the longest silence.
    fn until(&mut self, end: Instant) -> Result<Duration, Box<dyn Error>> {
        let mut events = vec![libc::epoll_event { events: 0, u64: 0 }; self.connections.len()];
        let most = i32::try_from(events.len())?;
        let (mut last_reply, mut gap_max) = (Instant::now(), Duration::ZERO);
        loop {
            let before = self.messages;
            // SAFETY: the kernel writes at most `most` events into as many.
            let ready = unsafe {
                let epoll = self.epoll.as_raw_fd();
                libc::epoll_wait(epoll, events.as_mut_ptr(), most, TURN_MS)
            };
            let ready = usize::try_from(ready).map_err(|_| io::Error::last_os_error())?;
            for event in events.iter().take(ready).copied() {
                let index = usize::try_from(event.u64)?;
                if event.events & libc::EPOLLOUT.cast_unsigned() != 0 {
                    self.write(index)?;
                }
                if event.events & !libc::EPOLLOUT.cast_unsigned() != 0 {
                    self.read(index)?;
                }
            }
            let now = Instant::now();
            if self.messages > before {
                last_reply = now;
            } else {
                gap_max = gap_max.max(now - last_reply);
            }
            if gap_max > STALL {
                return Err("stalled".into());
            }
            if now >= end {
                return Ok(gap_max);
            }
        }
    }

    /// One read; a reply that is complete asks for the next message.
    fn read(&mut self, index: usize) -> Result<(), Box<dyn Error>> {
        let connection = &mut self.connections[index];
        let most = (self.reply.len() - connection.read).min(READ_BYTES);
        let length = match connection.stream.read(&mut self.buffer[..most]) {
            Ok(0) => return Err("the server closed a connection".into()),
            Ok(length) => length,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        let expected = &self.reply[connection.read..connection.read + length];
        if self.buffer[..length] != *expected {
            return Err(format!("connection {index} got other bytes than it sent").into());
        }
        connection.read += length;
        if connection.read == self.reply.len() {
            (connection.read, connection.written) = (0, 0);
            connection.replies += 1;
            self.messages += 1;
            self.write(index)?;
        }
        Ok(())
    }

    /// One write of what is left of the request; the rest when there is room.
    fn write(&mut self, index: usize) -> Result<(), Box<dyn Error>> {
        let connection = &mut self.connections[index];
        match connection.stream.write(&self.request[connection.written..]) {
            Ok(length) => connection.written += length,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error.into()),
        }
        let rest = connection.written < self.request.len();
        match (std::mem::replace(&mut connection.waits, rest), rest) {
            (false, true) => {
                self.register(libc::EPOLL_CTL_MOD, index, libc::EPOLLIN | libc::EPOLLOUT)
            }
            (true, false) => self.register(libc::EPOLL_CTL_MOD, index, libc::EPOLLIN),
            (true, true) | (false, false) => Ok(()),
        }
    }

    fn register(
        &self,
        operation: libc::c_int,
        index: usize,
        interest: libc::c_int,
    ) -> Result<(), Box<dyn Error>> {
        let mut event = libc::epoll_event {
            events: interest.cast_unsigned(),
            u64: index as u64,
        };
        let descriptor = self.connections[index].stream.as_raw_fd();
        // SAFETY: the kernel copies the event.
        let failed = unsafe {
            let epoll = self.epoll.as_raw_fd();
            libc::epoll_ctl(epoll, operation, descriptor, &raw mut event)
        };
        if failed == 0 {
            Ok(())
        } else {
            Err(io::Error::last_os_error().into())
        }
    }
}
