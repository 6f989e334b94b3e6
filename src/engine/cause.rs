//! Which [`CloseCause`] an error number of the kernel means.

use crate::shard::CloseCause;

/// The cause that an errno stands for.
#[must_use]
pub(crate) const fn from_errno(errno: i32) -> CloseCause {
    match errno {
        libc::ECONNRESET | libc::EPIPE | libc::ECONNABORTED => CloseCause::Reset,
        libc::ETIMEDOUT => CloseCause::TimedOut,
        libc::ECONNREFUSED => CloseCause::Refused,
        libc::ENETUNREACH | libc::EHOSTUNREACH | libc::ENETDOWN | libc::EHOSTDOWN => {
            CloseCause::Unreachable
        }
        libc::EADDRNOTAVAIL => CloseCause::NoSourcePort,
        libc::EMFILE | libc::ENFILE => CloseCause::NoDescriptor,
        other => CloseCause::Os(other),
    }
}

/// The cause that an I/O error stands for.
#[must_use]
pub(crate) fn from_error(error: &std::io::Error) -> CloseCause {
    from_errno(error.raw_os_error().unwrap_or(libc::EIO))
}
