//! The engines that `load` runs on and `doctor` plans for, as typed.

use clap::ValueEnum;

/// What moves the load client's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum LoadEngine {
    /// `io_uring`, a thread per core.
    Ring,
    /// The same client over epoll, for hosts that forbid `io_uring`.
    Tokio,
}
