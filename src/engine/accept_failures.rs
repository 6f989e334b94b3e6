//! Accepts that failed for want of descriptors or memory, counted over all cores by what lacked.

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering::Relaxed};

/// Kinds of what may lack: descriptors of the process, files of the system, memory, anything else.
const KINDS: usize = 4;

/// How often accepting failed on all cores, and for want of what: whoever tells the operator holds
/// a copy.
#[derive(Clone, Debug, Default)]
pub struct AcceptFailures(Arc<[FailureCount; KINDS]>);

#[derive(Debug, Default)]
struct FailureCount {
    count: AtomicU64,
    /// The last one.
    errno: AtomicI32,
}

impl AcceptFailures {
    /// An accept failed with that errno.
    pub fn note(&self, errno: i32) {
        let kind = match errno {
            libc::EMFILE => 0,
            libc::ENFILE => 1,
            libc::ENOMEM | libc::ENOBUFS => 2,
            _ => 3,
        };
        self.0[kind].errno.store(errno, Relaxed);
        self.0[kind].count.fetch_add(1, Relaxed);
    }

    /// How often accepts have failed for each kind of want, and the last errno of that kind.
    #[must_use]
    pub fn read(&self) -> [(u64, i32); KINDS] {
        let read = |kind: &FailureCount| (kind.count.load(Relaxed), kind.errno.load(Relaxed));
        std::array::from_fn(|kind| read(&self.0[kind]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_want_is_counted_by_itself() {
        let failures = AcceptFailures::default();
        for errno in [
            libc::EMFILE,
            libc::ENFILE,
            libc::EMFILE,
            libc::ENOMEM,
            libc::ENOBUFS,
            libc::EPERM,
        ] {
            failures.note(errno);
        }
        let wants = [
            (2, libc::EMFILE),
            (1, libc::ENFILE),
            (2, libc::ENOBUFS),
            (1, libc::EPERM),
        ];
        assert_eq!(failures.clone().read(), wants);
    }
}
