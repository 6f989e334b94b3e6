//! The bytes of established connections: what the kernels at both ends do with them.

use super::{NetworkEvent, SimNetwork};
use crate::engine::outbound::Batch;
use crate::engine::sim::socket::{Read, SocketIndex, SocketState};
use crate::shard::CloseCause;
use crate::time::Instant;
use std::time::Duration;

impl SimNetwork {
    /// The kernel takes some of what follows the first `sent` bytes: 0 if there is no room.
    pub(in crate::engine::sim) fn write(
        &mut self,
        socket: SocketIndex,
        batch: &Batch,
        sent: usize,
    ) -> usize {
        let Some(peer) = self.sockets[socket].peer else {
            return 0;
        };
        let rx = &mut self.sockets[peer].rx;
        let room = rx.capacity.saturating_sub(rx.bytes.len());
        let mut take = room.min(batch.len() - sent);
        if take == 0 {
            rx.blocked = true;
            return 0;
        }
        if self.random.chance(self.conditions.short_write) {
            take = self.random.part(take);
        }
        let mut left = take;
        for piece in batch.pieces(sent) {
            let piece = &piece[..left.min(piece.len())];
            self.sockets[peer].rx.bytes.extend(piece);
            left -= piece.len();
        }
        self.send_off(peer, take);
        if self.sockets[socket].mute {
            self.plan_time_out(socket);
        }
        take
    }

    /// Bytes that the other end's kernel has not got, and so not acknowledged; the FIN is none.
    pub(in crate::engine::sim) fn unacknowledged(&self, socket: SocketIndex) -> usize {
        let flow = self.sockets[socket].peer.map(|peer| &self.sockets[peer].rx);
        flow.map_or(0, |rx| rx.bytes.len() - rx.arrived)
    }

    /// Cuts bytes into segments and sends each on its way.
    fn send_off(&mut self, to: SocketIndex, bytes: usize) {
        let mut left = bytes;
        while left > 0 {
            let split = self.random.chance(self.conditions.split);
            let bytes = if split { self.random.part(left) } else { left };
            left -= bytes;
            let at = self.in_order(to);
            self.plan(
                at,
                NetworkEvent::Arrive {
                    to,
                    bytes,
                    fin: false,
                },
            );
        }
    }

    /// When something sent now reaches that socket, behind all that was sent before.
    fn in_order(&mut self, to: SocketIndex) -> Instant {
        let at = self.travel();
        let rx = &mut self.sockets[to].rx;
        rx.last_at = at.max(rx.last_at + Duration::from_nanos(1));
        rx.last_at
    }

    /// Ends this end's stream.
    pub(in crate::engine::sim) fn shut_down(&mut self, socket: SocketIndex) {
        let Some(peer) = self.sockets[socket].peer else {
            return;
        };
        if std::mem::replace(&mut self.sockets[peer].rx.fin_sent, true) {
            return;
        }
        let at = self.in_order(peer);
        self.plan(
            at,
            NetworkEvent::Arrive {
                to: peer,
                bytes: 0,
                fin: true,
            },
        );
        if self.sockets[socket].mute {
            self.plan_time_out(socket);
        }
    }

    /// The core closes its end: a FIN, or a reset if asked for or if something was left unread.
    pub(in crate::engine::sim) fn drop_socket(&mut self, socket: SocketIndex, reset: bool) {
        let it = &mut self.sockets[socket];
        if it.state == SocketState::Gone {
            return;
        }
        it.state = SocketState::Gone;
        let reset = reset || it.rx.arrived > 0;
        it.rx.bytes.clear();
        it.rx.arrived = 0;
        let Some(peer) = it.peer else { return };
        if reset {
            let at = self.in_order(peer);
            self.plan(at, NetworkEvent::Reset { to: peer });
        } else {
            self.shut_down(socket);
        }
    }

    /// Moves some of what has arrived into `into`, at most `most` bytes.
    pub(in crate::engine::sim) fn read(
        &mut self,
        socket: SocketIndex,
        into: &mut Vec<u8>,
        most: usize,
    ) -> Read {
        into.clear();
        let split = self.random.chance(self.conditions.split);
        let it = &mut self.sockets[socket];
        if it.rx.arrived == 0 {
            return if it.rx.fin_arrived {
                Read::End
            } else {
                Read::Nothing
            };
        }
        let mut take = it.rx.arrived.min(most);
        if split || it.slow {
            take = self.random.part(take);
        }
        let rx = &mut it.rx;
        // In two pieces: byte by byte it would be most of the simulator's time.
        let (front, back) = rx.bytes.as_slices();
        let front = &front[..take.min(front.len())];
        into.extend_from_slice(front);
        into.extend_from_slice(&back[..take - front.len()]);
        rx.bytes.drain(..take);
        rx.arrived -= take;
        if rx.blocked
            && let Some(peer) = it.peer
        {
            rx.blocked = false;
            let at = self.travel();
            self.plan(at, NetworkEvent::Writable { socket: peer });
        }
        Read::Bytes
    }

    pub(in crate::engine::sim) fn arrive(&mut self, to: SocketIndex, bytes: usize, fin: bool) {
        let socket = &mut self.sockets[to];
        if socket.mute {
            return;
        }
        if socket.state == SocketState::Gone {
            // Nobody is there any more: RFC 9293, 3.10.7.1.
            if let (true, Some(peer)) = (bytes > 0, socket.peer) {
                let at = self.travel();
                self.plan(at, NetworkEvent::Reset { to: peer });
            }
            return;
        }
        socket.rx.arrived += bytes;
        socket.rx.fin_arrived |= fin;
        assert!(
            socket.rx.arrived <= socket.rx.bytes.len(),
            "only what was sent arrives"
        );
        self.plan_read(to);
    }

    pub(in crate::engine::sim) fn break_socket(&mut self, to: SocketIndex, cause: CloseCause) {
        let socket = &mut self.sockets[to];
        // A time-out comes from this end's own kernel, all else over the network.
        let unheard = socket.mute && cause != CloseCause::TimedOut;
        if socket.state == SocketState::Gone || socket.broken.is_some() || unheard {
            return;
        }
        socket.broken = Some(cause);
        self.ready(to);
    }
}
