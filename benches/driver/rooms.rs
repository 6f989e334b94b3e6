//! Members of rooms: the first of each says something, and again as soon as it hears it; what is
//! counted are the deliveries to all members.

use crate::count::{Counter, Frames};
use crate::listen::{BUFFER_BYTES, BUFFERS, TURN, received};
use crate::ring::{Kind, Ring};
use crate::{Load, Reading};
use serde_json::Value;
use std::error::Error;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

/// What is said: a masked text frame of 32 bytes, its key zero.
fn said() -> Vec<u8> {
    let mut frame = vec![0x81, 0x80 | 32, 0, 0, 0, 0];
    frame.extend([b'x'; 32]);
    frame
}

/// Counts for the window and returns its figures.
pub(crate) fn run(load: &Load) -> Result<Value, Box<dyn Error>> {
    let mut sockets = load.target().open(load.connections)?;
    let mut counters = vec![Frames::default(); sockets.len()];
    // All are members now: what they were told so far is no delivery.
    let mut speaks = vec![false; sockets.len()];
    std::thread::sleep(Duration::from_millis(500));
    for (index, socket) in sockets.iter_mut().enumerate() {
        let told = told(socket)?;
        let text = String::from_utf8_lossy(&told);
        speaks[index] = text.contains("\"member\":1,\"members\":1,");
        counters[index].count(&told);
    }
    let mut ring = Ring::new(BUFFERS, BUFFER_BYTES)?;
    let descriptors: Vec<_> = sockets.iter().map(AsRawFd::as_raw_fd).collect();
    ring.submitter().register_files(&descriptors)?;
    let frame = said();
    for index in 0..sockets.len() {
        ring.receive(u32::try_from(index)?)?;
        if speaks[index] {
            sockets[index].write_all(&frame)?;
        }
    }
    let window = load.window();
    let mut messages = 0;
    let mut done = Vec::new();
    let mut until = |end: Instant| -> Result<u64, Box<dyn Error>> {
        while Instant::now() < end {
            ring.turn(Some(TURN), &mut done)?;
            for completion in &done {
                let (_, id) = Kind::of(completion);
                let heard = received(&mut ring, &mut counters, completion)?;
                messages += heard;
                if heard > 0 && speaks[id as usize] {
                    sockets[id as usize].write_all(&frame)?;
                }
            }
            ring.buffers.publish();
        }
        Ok(messages)
    };
    let warm = until(window.starts)?;
    let start = Reading::take(load, warm)?;
    let end = until(window.ends)?;
    Ok(Reading::take(load, end)?.json_since(&start))
}

/// What is there to read.
fn told(socket: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; 4096];
    socket.set_nonblocking(true)?;
    let read = socket.read(&mut bytes)?;
    socket.set_nonblocking(false)?;
    bytes.truncate(read);
    Ok(bytes)
}
