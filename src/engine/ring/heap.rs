//! Gives freed memory back to the system.

/// glibc keeps what is freed below the top of a heap: after a flood of messages that is most of it.
pub(in crate::engine) fn trim() {
    #[cfg(target_env = "gnu")]
    // SAFETY: `malloc_trim` takes the locks of all heaps itself, and touches only what is free.
    unsafe {
        libc::malloc_trim(0);
    }
}
