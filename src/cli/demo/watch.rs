//! Watches a server from outside: its accept queue.

use crate::sampler::diagnosis::AddressFamily;
use crate::sampler::queues::Queues;

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
}
