//! Watches a server's process from outside: its private memory, its accept queue.

use std::fs;

/// Bytes that only that process holds and has written (`Private_Dirty` of `smaps_rollup`); 0 if
/// it cannot be read. The code that server and load share does not count.
pub(super) fn private_bytes(pid: u32) -> u64 {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let line = rollup
        .lines()
        .find_map(|line| line.strip_prefix("Private_Dirty:"));
    let kib = line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}

/// Connections that wait to be accepted on that port of 127.0.0.1, over all its sockets.
pub(super) fn accept_queue(port: u16) -> u64 {
    // Listening sockets come first in this file (net/ipv4/tcp_ipv4.c, `tcp_seq_next`): it is not
    // read beyond them, so that watching costs the same with many connections.
    let Ok(file) = fs::File::open("/proc/net/tcp") else {
        return 0;
    };
    let lines = std::io::BufRead::lines(std::io::BufReader::with_capacity(4096, file));
    let rows = lines
        .skip(1)
        .map_while(Result::ok)
        .map_while(|line| listening(&line));
    rows.filter(|&(found, _)| found == port)
        .map(|(_, queue)| queue)
        .sum()
}

/// Port and accept queue of a line, if it is a listening socket's.
fn listening(line: &str) -> Option<(u16, u64)> {
    let mut fields = line.split_ascii_whitespace();
    let (_, port) = fields.nth(1)?.split_once(':')?;
    let state = fields.nth(1)?;
    let (_, queue) = fields.next()?.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    (state == "0A").then_some((port, u64::from_str_radix(queue, 16).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn an_accept_queue_counts_who_waits_on_that_port() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        assert_eq!(accept_queue(address.port()), 0);
        let waiting = [
            TcpStream::connect(address).unwrap(),
            TcpStream::connect(address).unwrap(),
        ];
        assert_eq!(accept_queue(address.port()), 2);
        drop(waiting);
    }

    #[test]
    fn the_memory_of_this_process_is_something() {
        assert!(private_bytes(std::process::id()) > 4096);
        assert_eq!(private_bytes(u32::MAX), 0);
    }
}
