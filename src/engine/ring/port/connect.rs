//! Connecting: a socket in the file table, its options, perhaps its source address, the connect.
//!
//! Where the kernel can (6.7, with a source address 6.11), all of it are entries of the ring: no
//! system call of its own, and no descriptor even for a moment. The entries need no link: the
//! kernel issues them in order, and all but the connect are over when it has. Should it ever not,
//! the connect finds no socket and fails. An older kernel gets a socket from plain calls.
//!
//! Who connects speaks first, at once. So its socket has `TCP_DEFER_ACCEPT`: the last packet of the
//! TCP handshake is left out, and the first bytes carry its acknowledgement (net/ipv4/tcp_input.c,
//! `tcp_rcv_synsent_state_process`: "Save one ACK"). Without bytes it goes after 0.2 s.

use super::Port;
use crate::engine::cause;
use crate::engine::ring::operation::{Operation, tag};
use crate::engine::ring::option::{BIND_ADDRESS_NO_PORT, DEFER_ACCEPT, NO_DELAY, ON};
use crate::engine::ring::slot::Phase;
use crate::shard::{ConnectionId, NoSlot};
use io_uring::types::DestinationSlot;
use io_uring::{opcode, squeue};
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd};

impl<M> Port<M> {
    /// Starts a connect.
    pub(in crate::engine::ring) fn dial(
        &mut self,
        to: SocketAddr,
        from: Option<IpAddr>,
    ) -> Result<ConnectionId, NoSlot> {
        let id = self.slots.connecting().ok_or(NoSlot)?;
        let installed = if self.features.sockets && (from.is_none() || self.features.bind) {
            self.queue_socket(id, to, from);
            Ok(())
        } else {
            self.install_socket(id, to, from)
        };
        let Some(slot) = self.slots.get(id) else {
            return Err(NoSlot);
        };
        slot.owed = true;
        match installed {
            Ok(()) => {
                slot.busy = true;
                let address = self.addresses.place(to);
                let entry = opcode::Connect::new(
                    self.rings.direct(id),
                    address.as_ptr().cast(),
                    address.len(),
                )
                .build();
                self.rings
                    .push(id, &entry.user_data(tag(Operation::Connect, id)));
            }
            Err(error) => {
                slot.phase = Phase::Ending;
                slot.cause = cause::from_error(&error);
                self.mark(id);
            }
        }
        Ok(id)
    }

    /// Queues what makes a socket in the connection's place.
    fn queue_socket(&mut self, id: ConnectionId, to: SocketAddr, from: Option<IpAddr>) {
        let place = self.rings.direct(id);
        let domain = Domain::for_address(to).into();
        let made = opcode::Socket::new(domain, libc::SOCK_STREAM, libc::IPPROTO_TCP)
            .file_index(DestinationSlot::try_from_slot_target(place.0).ok())
            .build();
        self.push_step(id, made);
        self.push_step(id, NO_DELAY.entry(place, &ON));
        self.push_step(id, DEFER_ACCEPT.entry(place, &ON));
        if let Some(from) = from {
            self.push_step(id, BIND_ADDRESS_NO_PORT.entry(place, &ON));
            let address = self.addresses.place(SocketAddr::new(from, 0));
            let bound = opcode::Bind::new(place, address.as_ptr().cast(), address.len()).build();
            self.push_step(id, bound);
        }
    }

    /// Makes a socket by plain calls and puts it into the connection's place.
    fn install_socket(
        &mut self,
        id: ConnectionId,
        to: SocketAddr,
        from: Option<IpAddr>,
    ) -> io::Result<()> {
        let socket = socket(to, from)?;
        // The table holds the socket from here on; our descriptor closes at the brace.
        let place = self.rings.direct(id).0;
        self.rings.home(id).ring.install(place, socket.as_raw_fd())
    }

    /// A step before the connect: silent, unless it fails.
    fn push_step(&mut self, id: ConnectionId, entry: squeue::Entry) {
        let entry = entry.flags(squeue::Flags::SKIP_SUCCESS);
        self.rings
            .push(id, &entry.user_data(tag(Operation::Prepare, id)));
    }
}

fn socket(to: SocketAddr, from: Option<IpAddr>) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(to), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_tcp_nodelay(true)?;
    DEFER_ACCEPT.set(socket.as_fd(), 1)?;
    if let Some(from) = from {
        BIND_ADDRESS_NO_PORT.set(socket.as_fd(), 1)?;
        socket.bind(&SocketAddr::new(from, 0).into())?;
    }
    Ok(socket)
}
