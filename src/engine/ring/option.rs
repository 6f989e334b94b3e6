//! Socket options for which there is no safe binding.

use io_uring::{opcode, squeue, types};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// An option whose value is an `int`.
#[derive(Clone, Copy)]
pub(super) struct IntOption {
    level: libc::c_int,
    name: libc::c_int,
}

/// The port is chosen at connect, so that one port serves several destinations and 28,000 ports
/// are not the end (ip(7)).
pub(super) const BIND_ADDRESS_NO_PORT: IntOption = IntOption {
    level: libc::IPPROTO_IP,
    name: libc::IP_BIND_ADDRESS_NO_PORT,
};

/// A listener wakes only when a peer has sent something, or after so many seconds (tcp(7)). On a
/// socket that connects, the acknowledgement that ends the handshake waits for the first bytes.
pub(super) const DEFER_ACCEPT: IntOption = IntOption {
    level: libc::IPPROTO_TCP,
    name: libc::TCP_DEFER_ACCEPT,
};

/// Small messages leave at once (tcp(7)).
pub(super) const NO_DELAY: IntOption = IntOption {
    level: libc::IPPROTO_TCP,
    name: libc::TCP_NODELAY,
};

/// The value that switches an option on, where the kernel reads it later.
pub(super) static ON: libc::c_int = 1;

impl IntOption {
    /// An entry that sets it.
    pub(super) fn entry(self, on: types::Fixed, value: &'static libc::c_int) -> squeue::Entry {
        let (level, name) = (self.level.cast_unsigned(), self.name.cast_unsigned());
        let value = (&raw const *value).cast();
        opcode::SetSockOpt::new(on, level, name, value, socklen::<libc::c_int>()).build()
    }

    /// Sets it.
    ///
    /// # Errors
    /// The kernel's.
    pub(super) fn set(self, socket: BorrowedFd<'_>, value: libc::c_int) -> io::Result<()> {
        // SAFETY: setsockopt(2) reads one int.
        let failed = unsafe {
            libc::setsockopt(
                socket.as_raw_fd(),
                self.level,
                self.name,
                (&raw const value).cast(),
                socklen::<libc::c_int>(),
            )
        };
        if failed == 0 {
            Ok(())
        } else {
            Err(io::Error::last_os_error())
        }
    }
}

/// Bytes that the peer has not acknowledged, our FIN included (`SIOCOUTQ`: tcp(7)).
///
/// # Errors
/// The kernel's.
pub(in crate::engine) fn unacknowledged(socket: BorrowedFd<'_>) -> io::Result<u64> {
    let mut bytes: libc::c_int = 0;
    // SAFETY: ioctl(2) writes one int for this request.
    let failed = unsafe { libc::ioctl(socket.as_raw_fd(), libc::TIOCOUTQ, &raw mut bytes) };
    if failed == 0 {
        Ok(u64::try_from(bytes).unwrap_or(0))
    } else {
        Err(io::Error::last_os_error())
    }
}

/// An entry that asks the same of a direct descriptor; its result is the number. `include/uapi/
/// linux/io_uring.h`: `SOCKET_URING_OP_SIOCOUTQ`, since Linux 6.7.
pub(super) fn unacknowledged_entry(on: types::Fixed) -> squeue::Entry {
    const SOCKET_URING_OP_SIOCOUTQ: u32 = 1;
    opcode::UringCmd16::new(on, SOCKET_URING_OP_SIOCOUTQ).build()
}

/// An entry that asks for the address of the peer of a direct descriptor (`SO_PEERNAME`, which
/// takes no more bytes than the address of its family has). `include/uapi/linux/io_uring.h`:
/// `SOCKET_URING_OP_GETSOCKOPT`, since Linux 6.7. The kernel writes into `name` until it completes.
pub(super) fn peer_name_entry(
    on: types::Fixed,
    name: &mut libc::sockaddr_in6,
    is_v6: bool,
) -> squeue::Entry {
    const SOCKET_URING_OP_GETSOCKOPT: u32 = 2;
    // include/uapi/asm-generic/socket.h.
    const SO_PEERNAME: u32 = 28;
    let level = libc::SOL_SOCKET.cast_unsigned();
    let length = match is_v6 {
        true => socklen::<libc::sockaddr_in6>(),
        false => socklen::<libc::sockaddr_in>(),
    };
    let name = (&raw mut *name).cast_const().cast();
    let mut entry = opcode::SetSockOpt::new(on, level, SO_PEERNAME, name, length).build();
    // There is no opcode for it: it differs in the operation, 4 bytes at 8 of the entry (`cmd_op`).
    let operation = (&raw mut entry).cast::<u32>().wrapping_add(2);
    // SAFETY: an entry is 64 bytes, and aligned to 8.
    unsafe { operation.write(SOCKET_URING_OP_GETSOCKOPT) };
    entry
}

/// The size of a socket option's value.
pub(super) const fn socklen<T>() -> libc::socklen_t {
    #[expect(clippy::cast_possible_truncation, reason = "options are a few bytes")]
    let len = size_of::<T>() as libc::socklen_t;
    len
}
