//! Watches a server's process from outside: its private memory, its accept queue.

use crate::sampler::diagnosis::AddressFamily;
use crate::sampler::queues::Queues;
use procfs::process::Process;

/// Bytes that only that process holds and has written (`Private_Dirty` of `smaps_rollup`); 0 if
/// it cannot be read. The code that server and load share does not count.
pub(super) fn private_bytes(pid: u32) -> u64 {
    let process = pid.try_into().ok().and_then(|pid| Process::new(pid).ok());
    let rollup = process.and_then(|process| process.smaps_rollup().ok());
    let maps = rollup.iter().flat_map(|it| &it.memory_map_rollup);
    maps.filter_map(|map| map.extension.map.get("Private_Dirty"))
        .sum()
}

/// Connections that wait to be accepted on that port, over all its sockets; 0 if the kernel does
/// not tell.
pub(super) fn accept_queue(port: u16) -> u64 {
    let queues = Queues::open(&[AddressFamily::V4]).and_then(|mut queues| queues.read());
    let queues = queues.unwrap_or_default();
    let waiting = queues.iter().filter(|queue| queue.port == port);
    waiting.map(|queue| u64::from(queue.length)).sum()
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
