//! Accept queues of listening sockets, by the kernel's socket diagnosis (sock_diag(7)).
//!
//! It lists the sockets of one state, here the listening ones, which have a table of their own
//! (net/ipv4/inet_diag.c, `inet_diag_dump_icsk`): the cost does not grow with the connections.

use netlink_packet_core::{
    NLM_F_DUMP, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload,
};
use netlink_packet_sock_diag::SockDiagMessage;
use netlink_packet_sock_diag::constants::{AF_INET, AF_INET6, IPPROTO_TCP};
use netlink_packet_sock_diag::inet::{ExtensionFlags, InetRequest, SocketId, StateFlags};
use netlink_sys::protocols::NETLINK_SOCK_DIAG;
use netlink_sys::{Socket, SocketAddr};
use std::io;

/// Bytes of one answer of the kernel, at most (net/netlink/af_netlink.c, `netlink_dump`).
const ANSWER_BYTES: usize = 32 * 1024;
/// Answers to one question at most: a kernel that never says that it is done is not believed.
const ANSWERS_MAX: usize = 1024;

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

/// Which listening sockets are asked for: a question of its own for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// That of the address.
    #[must_use]
    pub const fn of(address: std::net::SocketAddr) -> Self {
        match address {
            std::net::SocketAddr::V4(_) => Self::V4,
            std::net::SocketAddr::V6(_) => Self::V6,
        }
    }
}

/// A socket to ask on.
pub struct Queues {
    socket: Socket,
    questions: Vec<Vec<u8>>,
    answer: Vec<u8>,
}

impl Queues {
    /// Opens one.
    ///
    /// # Errors
    /// The kernel's: without socket diagnosis, or where a container forbids it.
    pub fn open(families: &[Family]) -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_SOCK_DIAG)?;
        socket.bind_auto()?;
        socket.connect(&SocketAddr::new(0, 0))?;
        Ok(Self {
            socket,
            questions: families.iter().copied().map(question).collect(),
            answer: Vec::with_capacity(ANSWER_BYTES),
        })
    }

    /// All listening TCP sockets, now.
    ///
    /// # Errors
    /// The kernel's, or an answer that cannot be read.
    pub fn read(&mut self) -> io::Result<Vec<Queue>> {
        let mut queues = Vec::new();
        for index in 0..self.questions.len() {
            self.socket.send(&self.questions[index], 0)?;
            self.take(&mut queues)?;
        }
        Ok(queues)
    }

    /// Takes the answers to one question, up to its last.
    fn take(&mut self, queues: &mut Vec<Queue>) -> io::Result<()> {
        for _ in 0..ANSWERS_MAX {
            self.answer.clear();
            let length = self.socket.recv(&mut self.answer, 0)?;
            let mut rest = self.answer.get(..length).unwrap_or_default();
            while !rest.is_empty() {
                let message = NetlinkMessage::<SockDiagMessage>::deserialize(rest);
                let message = message.map_err(io::Error::other)?;
                match message.payload {
                    NetlinkPayload::Done(_) => return Ok(()),
                    NetlinkPayload::Error(error) => return Err(error.to_io()),
                    NetlinkPayload::InnerMessage(SockDiagMessage::InetResponse(response)) => {
                        queues.push(Queue {
                            port: response.header.socket_id.source_port,
                            inode: response.header.inode,
                            // For a listening socket these are its accept queue.
                            length: response.header.recv_queue,
                            limit: response.header.send_queue,
                        });
                    }
                    _ => {}
                }
                // A message is followed by the next at a multiple of four.
                let length = (message.header.length as usize).next_multiple_of(4).max(4);
                rest = rest.get(length..).unwrap_or_default();
            }
        }
        Err(io::Error::other("the kernel's answer has no end"))
    }
}

impl std::fmt::Debug for Queues {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Queues").finish_non_exhaustive()
    }
}

fn question(family: Family) -> Vec<u8> {
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST | NLM_F_DUMP;
    let (family, any) = match family {
        Family::V4 => (AF_INET, SocketId::new_v4()),
        Family::V6 => (AF_INET6, SocketId::new_v6()),
    };
    let request = InetRequest {
        family,
        protocol: IPPROTO_TCP,
        extensions: ExtensionFlags::empty(),
        states: StateFlags::LISTEN,
        socket_id: any,
    };
    let mut message = NetlinkMessage::new(header, SockDiagMessage::InetRequest(request).into());
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    bytes
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
        let mut queues = Queues::open(&[Family::V4, Family::V6]).expect("socket diagnosis");
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
        let mut queues = Queues::open(&[Family::V4, Family::V6]).expect("socket diagnosis");
        let bind = |_| TcpListener::bind("127.0.0.1:0").expect("a port");
        let listeners: Vec<TcpListener> = (0..600).map(bind).collect();
        let all = queues.read().expect("an answer");
        for listener in &listeners {
            let port = listener.local_addr().expect("an address").port();
            assert!(all.iter().any(|queue| queue.port == port), "{port}");
        }
    }
}
