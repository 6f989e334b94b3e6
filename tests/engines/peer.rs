//! The other end in a test: blocking sockets, and bytes that say where they belong.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// A connected blocking socket that gives up after a while rather than hang a test.
pub(crate) fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("the engine accepts");
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .expect("a time-out can be set");
    stream
        .set_write_timeout(Some(Duration::from_secs(20)))
        .expect("a time-out can be set");
    stream.set_nodelay(true).expect("a socket option");
    stream
}

/// The byte at a place of the test stream: tells a lost, doubled or moved byte.
pub(crate) fn byte_at(place: usize) -> u8 {
    let place = place as u64;
    (place.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8
}

/// The test stream from a place on.
pub(crate) fn stream_from(place: usize, len: usize) -> Vec<u8> {
    (place..place + len).map(byte_at).collect()
}

/// Panics at the first byte that is not the test stream's at that place.
pub(crate) fn verify(place: usize, bytes: &[u8]) {
    let wrong = (place..)
        .zip(bytes)
        .position(|(place, &byte)| byte != byte_at(place));
    assert_eq!(wrong, None, "the first wrong byte after {place}");
}

/// Reads to the end of the stream; the bytes and whether it was a reset that ended it.
pub(crate) fn read_all(stream: &mut TcpStream) -> (Vec<u8>, bool) {
    let mut all = Vec::new();
    match stream.read_to_end(&mut all) {
        Ok(_) => (all, false),
        Err(error) if error.kind() == ErrorKind::ConnectionReset => (all, true),
        Err(error) => panic!("{error} after {} bytes", all.len()),
    }
}

/// Sends and expects the same back.
pub(crate) fn echo(stream: &mut TcpStream, bytes: &[u8]) {
    stream.write_all(bytes).expect("the engine reads");
    let mut back = vec![0; bytes.len()];
    stream.read_exact(&mut back).expect("the engine answers");
    assert!(back == bytes, "echo");
}

/// Resets the connection.
pub(crate) fn reset(stream: TcpStream) {
    let socket = socket2::Socket::from(stream);
    socket
        .set_linger(Some(Duration::ZERO))
        .expect("a socket option");
}

/// Waits for a condition of another thread.
pub(crate) fn until(what: &str, condition: impl Fn() -> bool) {
    for _ in 0..2000 {
        if condition() {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("waited in vain: {what}");
}
