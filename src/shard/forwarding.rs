//! Hands calls of a wire on to the wire inside.

/// Methods of [`Wire`](super::Wire) that a wire around another, its field `wire`, hands on as they
/// are: the type of the messages, then their names. `tests/tidy.rs` holds that such a wire has each
/// method of the seam, here or of its own: a default would not ask the wire inside.
macro_rules! forward_wire {
    (@now $message:ty) => {
        #[inline]
        fn now(&self) -> $crate::time::Instant {
            self.wire.now()
        }
    };
    (@core $message:ty) => {
        #[inline]
        fn core(&self) -> $crate::shard::Core {
            self.wire.core()
        }
    };
    (@cores $message:ty) => {
        #[inline]
        fn cores(&self) -> u16 {
            self.wire.cores()
        }
    };
    (@peer $message:ty) => {
        fn peer(&self, id: $crate::shard::ConnectionId) -> Option<std::net::IpAddr> {
            self.wire.peer(id)
        }
    };
    (@peer_names $message:ty) => {
        fn peer_names(
            &self,
            id: $crate::shard::ConnectionId,
        ) -> Option<std::sync::Arc<$crate::shard::PeerNames>> {
            self.wire.peer_names(id)
        }
    };
    (@send_parts $message:ty) => {
        #[inline]
        fn send_parts(
            &mut self,
            id: $crate::shard::ConnectionId,
            parts: &[&[u8]],
        ) -> Result<(), $crate::shard::Unsent> {
            self.wire.send_parts(id, parts)
        }
    };
    (@share $message:ty) => {
        #[inline]
        fn share(
            &mut self,
            id: $crate::shard::ConnectionId,
            payload: &$crate::shard::Payload,
        ) -> Result<(), $crate::shard::Unsent> {
            self.wire.share(id, payload)
        }
    };
    (@share_behind $message:ty) => {
        #[inline]
        fn share_behind(
            &mut self,
            id: $crate::shard::ConnectionId,
            head: &[u8],
            payload: &$crate::shard::Payload,
        ) -> Result<(), $crate::shard::Unsent> {
            self.wire.share_behind(id, head, payload)
        }
    };
    (@backlog $message:ty) => {
        #[inline]
        fn backlog(&self, id: $crate::shard::ConnectionId) -> usize {
            self.wire.backlog(id)
        }
    };
    (@held_bytes $message:ty) => {
        #[inline]
        fn held_bytes(&self) -> usize {
            self.wire.held_bytes()
        }
    };
    (@held $message:ty) => {
        #[inline]
        fn held(&self, id: $crate::shard::ConnectionId) -> usize {
            self.wire.held(id)
        }
    };
    (@progress $message:ty) => {
        #[inline]
        fn progress(&self, id: $crate::shard::ConnectionId) -> u64 {
            self.wire.progress(id)
        }
    };
    (@trim_memory $message:ty) => {
        #[inline]
        fn trim_memory(&mut self) {
            self.wire.trim_memory();
        }
    };
    (@pause $message:ty) => {
        #[inline]
        fn pause(&mut self, id: $crate::shard::ConnectionId) {
            self.wire.pause(id);
        }
    };
    (@resume $message:ty) => {
        #[inline]
        fn resume(&mut self, id: $crate::shard::ConnectionId) {
            self.wire.resume(id);
        }
    };
    (@forward $message:ty) => {
        #[inline]
        fn forward(&mut self, to: $crate::shard::Core, message: $message) {
            self.wire.forward(to, message);
        }
    };
    (@forward_sized $message:ty) => {
        #[inline]
        fn forward_sized(&mut self, to: $crate::shard::Core, message: $message, bytes: usize) {
            self.wire.forward_sized(to, message, bytes);
        }
    };
    (@mail_is_full $message:ty) => {
        #[inline]
        fn mail_is_full(&self) -> bool {
            self.wire.mail_is_full()
        }
    };
    (@stop_accepting $message:ty) => {
        #[inline]
        fn stop_accepting(&mut self) {
            self.wire.stop_accepting();
        }
    };
    (@vitals $message:ty) => {
        #[inline]
        fn vitals(&mut self) -> $crate::shard::Vitals {
            self.wire.vitals()
        }
    };
    ($message:ty: $($name:ident)*) => {
        $($crate::shard::forward_wire!(@$name $message);)*
    };
}
pub(crate) use forward_wire;
