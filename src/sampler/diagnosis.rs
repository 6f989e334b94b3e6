//! Questions to the kernel's socket diagnosis (sock_diag(7)) and its answers, socket by socket.

use netlink_packet_core::{
    NLM_F_DUMP, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload,
};
use netlink_packet_sock_diag::SockDiagMessage;
use netlink_packet_sock_diag::constants::{AF_INET, AF_INET6, IPPROTO_TCP};
use netlink_packet_sock_diag::inet::{
    ExtensionFlags, InetRequest, InetResponse, SocketId, StateFlags,
};
use netlink_sys::protocols::NETLINK_SOCK_DIAG;
use netlink_sys::{Socket, SocketAddr};
use std::io;
use std::ops::ControlFlow;

/// Bytes of one answer of the kernel, at most (net/netlink/af_netlink.c, `netlink_dump`).
const ANSWER_BYTES: usize = 32 * 1024;
/// Answers to one question at most: a kernel that never says that it is done is not believed.
const ANSWERS_MAX: usize = 1024;

/// Which sockets are asked for: a question of its own for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AddressFamily {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl AddressFamily {
    /// That of the address.
    #[must_use]
    pub const fn of(address: std::net::SocketAddr) -> Self {
        match address {
            std::net::SocketAddr::V4(_) => Self::V4,
            std::net::SocketAddr::V6(_) => Self::V6,
        }
    }
}

/// All TCP sockets of a family in some states.
#[derive(Clone, Debug)]
pub(super) struct Question {
    pub(super) family: AddressFamily,
    pub(super) states: StateFlags,
    /// What is told beside addresses, queues and inode.
    pub(super) extensions: ExtensionFlags,
    /// Of the peer; 0 is any (net/ipv4/inet_diag.c, `inet_diag_dump_icsk`).
    pub(super) peer_port: u16,
}

impl Question {
    /// As the kernel reads it.
    pub(super) fn encoded(self) -> Vec<u8> {
        let mut header = NetlinkHeader::default();
        header.flags = NLM_F_REQUEST | NLM_F_DUMP;
        let (family, any) = match self.family {
            AddressFamily::V4 => (AF_INET, SocketId::new_v4()),
            AddressFamily::V6 => (AF_INET6, SocketId::new_v6()),
        };
        let request = InetRequest {
            family,
            protocol: IPPROTO_TCP,
            extensions: self.extensions,
            states: self.states,
            socket_id: SocketId {
                destination_port: self.peer_port,
                ..any
            },
        };
        let mut message = NetlinkMessage::new(header, SockDiagMessage::InetRequest(request).into());
        message.finalize();
        let mut bytes = vec![0; message.buffer_len()];
        message.serialize(&mut bytes);
        bytes
    }
}

/// A socket to ask on.
pub(super) struct Diagnosis {
    socket: Socket,
    answer: Vec<u8>,
}

impl Diagnosis {
    /// Opens one.
    ///
    /// # Errors
    /// The kernel's: without socket diagnosis, or where a container forbids it.
    pub(super) fn open() -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_SOCK_DIAG)?;
        socket.bind_auto()?;
        socket.connect(&SocketAddr::new(0, 0))?;
        Ok(Self {
            socket,
            answer: Vec::with_capacity(ANSWER_BYTES),
        })
    }

    /// Asks, and hands over each socket that the kernel names, up to the last or until `take` has
    /// enough. Whoever has enough asks nothing more on this one: the rest of the answer is in it.
    ///
    /// # Errors
    /// The kernel's, or an answer that cannot be read.
    pub(super) fn ask(
        &mut self,
        question: &[u8],
        mut take: impl FnMut(&InetResponse) -> ControlFlow<()>,
    ) -> io::Result<()> {
        self.socket.send(question, 0)?;
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
                    NetlinkPayload::InnerMessage(SockDiagMessage::InetResponse(response))
                        if take(&response).is_break() =>
                    {
                        return Ok(());
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
