//! Listens on every connection and counts what arrives: the deliveries of a broadcast.

use crate::count::{Counter, Events, Frames};
use crate::peer::Protocol;
use crate::ring::{Kind, Ring};
use crate::{Load, Reading};
use io_uring::cqueue;
use serde_json::Value;
use std::error::Error;
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

pub(crate) const BUFFERS: u16 = 8192;
pub(crate) const BUFFER_BYTES: u32 = 512;
pub(crate) const TURN: Duration = Duration::from_millis(20);

/// Counts for the window and returns its figures.
pub(crate) fn run(load: &Load) -> Result<Value, Box<dyn Error>> {
    match load.protocol {
        Protocol::Ws | Protocol::Polled => listen::<Frames>(load),
        Protocol::Sse => listen::<Events>(load),
        Protocol::Tcp => Err("there is no push over bare TCP".into()),
    }
}

fn listen<C: Counter>(load: &Load) -> Result<Value, Box<dyn Error>> {
    let sockets = load.target().open(load.connections)?;
    let mut ring = Ring::new(BUFFERS, BUFFER_BYTES)?;
    let descriptors: Vec<_> = sockets.iter().map(AsRawFd::as_raw_fd).collect();
    ring.submitter().register_files(&descriptors)?;
    for index in 0..sockets.len() {
        ring.receive(u32::try_from(index)?)?;
    }
    let mut counters = vec![C::of_at_least(load.least); sockets.len()];
    let window = load.window();
    let warm = until(&mut ring, &mut counters, window.starts)?;
    let start = Reading::take(load, warm)?;
    let measured = until(&mut ring, &mut counters, window.ends)?;
    let end = Reading::take(load, warm + measured)?;
    Ok(end.json_since(&start))
}

fn until<C: Counter>(
    ring: &mut Ring,
    counters: &mut [C],
    end: Instant,
) -> Result<u64, Box<dyn Error>> {
    let mut done = Vec::new();
    let mut messages = 0;
    while Instant::now() < end {
        ring.turn(Some(TURN), &mut done)?;
        for completion in &done {
            messages += received(ring, counters, completion)?;
        }
        ring.buffers.publish();
    }
    Ok(messages)
}

pub(crate) fn received<C: Counter>(
    ring: &mut Ring,
    counters: &mut [C],
    completion: &cqueue::Entry,
) -> Result<u64, Box<dyn Error>> {
    let (_, id) = Kind::of(completion);
    let messages = match completion.result() {
        starved if starved == -libc::ENOBUFS => 0,
        length if length > 0 => {
            let buffer = cqueue::buffer_select(completion.flags()).ok_or("no buffer")?;
            let bytes = ring.buffers.received(buffer, usize::try_from(length)?);
            let messages = counters[id as usize].count(bytes);
            ring.buffers.give_back(buffer);
            messages
        }
        0 => return Err("the server closed a connection".into()),
        error => return Err(std::io::Error::from_raw_os_error(-error).into()),
    };
    if !cqueue::more(completion.flags()) {
        ring.receive(id)?;
    }
    Ok(messages)
}
