//! Connecting: socket and options by plain calls, then into the file table, then the ring.
//!
//! A socket made by the ring itself (SOCKET, SETSOCKOPT, BIND, linked) needs Linux 6.11 and a
//! fallback; made here it works from 6.1 on, holds a descriptor only for a moment, and costs a few
//! system calls of well below a microsecond each beside a connect of about ten.

use super::operation::{Operation, tag};
use super::option::BIND_ADDRESS_NO_PORT;
use super::port::Port;
use super::slot::Phase;
use crate::engine::cause;
use crate::shard::{ConnectionId, NoSlot};
use io_uring::opcode;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd};

/// Remote addresses at stable places: the kernel reads one when it takes the entry.
#[derive(Default)]
pub(super) struct Addresses(BTreeMap<SocketAddr, Box<SockAddr>>);

impl Addresses {
    fn place(&mut self, address: SocketAddr) -> &SockAddr {
        self.0
            .entry(address)
            .or_insert_with(|| Box::new(address.into()))
    }
}

impl<M> Port<M> {
    /// Starts a connect.
    pub(super) fn dial(
        &mut self,
        to: SocketAddr,
        from: Option<IpAddr>,
    ) -> Result<ConnectionId, NoSlot> {
        let id = self.slots.connecting().ok_or(NoSlot)?;
        let installed = socket(to, from).and_then(|socket| {
            // The table holds the socket from here on; our descriptor closes at the brace.
            let descriptor = self.rings.direct(id).0;
            self.rings
                .home(id)
                .ring
                .install(descriptor, socket.as_raw_fd())
        });
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
}

fn socket(to: SocketAddr, from: Option<IpAddr>) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(to), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_tcp_nodelay(true)?;
    if let Some(from) = from {
        BIND_ADDRESS_NO_PORT.set(socket.as_fd(), 1)?;
        socket.bind(&SocketAddr::new(from, 0).into())?;
    }
    Ok(socket)
}
