//! Accept queues of listening sockets, by the kernel's socket diagnosis (sock_diag(7)).
//!
//! It lists the sockets of one state, here the listening ones, which have a table of their own
//! (net/ipv4/inet_diag.c, `inet_diag_dump_icsk`): the cost does not grow with the connections.

use super::diagnosis::{AddressFamily, Diagnosis, Question};
use netlink_packet_sock_diag::inet::{ExtensionFlags, StateFlags};
use std::io;
use std::ops::ControlFlow;

/// A listening socket of this network namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Queue {
    /// Its port.
    pub port: u16,
    /// Its inode.
    pub inode: u32,
    /// Connections that wait to be accepted.
    pub length: u32,
    /// How many may wait.
    pub limit: u32,
}

/// A socket to ask on.
pub struct Queues {
    diagnosis: Diagnosis,
    questions: Vec<Vec<u8>>,
}

impl Queues {
    /// Opens one.
    ///
    /// # Errors
    /// The kernel's: without socket diagnosis, or where a container forbids it.
    pub fn open(families: &[AddressFamily]) -> io::Result<Self> {
        Ok(Self {
            diagnosis: Diagnosis::open()?,
            questions: families.iter().copied().map(question).collect(),
        })
    }

    /// All listening TCP sockets, now.
    ///
    /// # Errors
    /// The kernel's, or an answer that cannot be read.
    pub fn read(&mut self) -> io::Result<Vec<Queue>> {
        let mut queues = Vec::new();
        for question in &self.questions {
            self.diagnosis.ask(question, |response| {
                queues.push(Queue {
                    port: response.header.socket_id.source_port,
                    inode: response.header.inode,
                    // For a listening socket these are its accept queue.
                    length: response.header.recv_queue,
                    limit: response.header.send_queue,
                });
                ControlFlow::Continue(())
            })?;
        }
        Ok(queues)
    }
}

impl std::fmt::Debug for Queues {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Queues").finish_non_exhaustive()
    }
}

fn question(family: AddressFamily) -> Vec<u8> {
    let question = Question {
        family,
        states: StateFlags::LISTEN,
        extensions: ExtensionFlags::empty(),
        peer_port: 0,
    };
    question.encoded()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsFd;
    use std::os::unix::fs::MetadataExt;

    fn of(queues: &mut Queues, listener: &TcpListener) -> Vec<Queue> {
        let file = File::from(listener.as_fd().try_clone_to_owned().expect("a copy"));
        let inode = file.metadata().expect("metadata").ino();
        let mut all = queues.read().expect("an answer");
        all.retain(|queue| u64::from(queue.inode) == inode);
        all
    }

    #[test]
    fn an_accept_queue_counts_what_was_not_accepted_yet() {
        let mut queues =
            Queues::open(&[AddressFamily::V4, AddressFamily::V6]).expect("socket diagnosis");
        for any in ["127.0.0.1:0", "[::1]:0"] {
            let listener = TcpListener::bind(any).expect("a port");
            let address = listener.local_addr().expect("an address");
            let quiet = of(&mut queues, &listener);
            assert_eq!((quiet.len(), quiet[0].length), (1, 0), "{any}");
            assert_eq!(quiet[0].port, address.port());
            assert!(quiet[0].limit >= 128, "{quiet:?}");
            let ends = [(); 2].map(|()| TcpStream::connect(address).expect("connected"));
            assert_eq!(of(&mut queues, &listener)[0].length, 2, "{any}");
            drop(listener.accept().expect("one waits"));
            assert_eq!(of(&mut queues, &listener)[0].length, 1, "{any}");
            drop(ends);
        }
    }

    #[test]
    fn more_listeners_than_one_answer_holds_are_all_listed() {
        let mut queues =
            Queues::open(&[AddressFamily::V4, AddressFamily::V6]).expect("socket diagnosis");
        let bind = |_| TcpListener::bind("127.0.0.1:0").expect("a port");
        let listeners: Vec<TcpListener> = (0..600).map(bind).collect();
        let all = queues.read().expect("an answer");
        for listener in &listeners {
            let port = listener.local_addr().expect("an address").port();
            assert!(all.iter().any(|queue| queue.port == port), "{port}");
        }
    }
}
