//! Sockets that systemd hands over (sd_listen_fds(3)): they listen already, from descriptor 3 on.

use crate::cli::{Failure, upgrade};
use crate::engine::{HandedSocket, ListenPlace, ring};
use rustix::process::{getpid, getppid};
use std::env;
use std::os::fd::RawFd;

/// The first descriptor (`SD_LISTEN_FDS_START`).
const FIRST: RawFd = 3;

/// How many sockets were handed over.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::cli) struct HandedSockets {
    count: RawFd,
}

impl HandedSockets {
    /// Those of this process; where another one watches it or is upgraded to it, those of that one,
    /// which passes them on.
    pub(in crate::cli) fn new(is_watched: bool) -> Self {
        let number = |name: &str| env::var(name).ok()?.parse::<RawFd>().ok();
        let parent = getppid().filter(|_| is_watched || upgrade::is_under_way());
        let mut ours = parent.into_iter().chain([getpid()]);
        let of = number("LISTEN_PID");
        let is_ours = of.is_some_and(|of| ours.any(|it| it.as_raw_nonzero().get() == of));
        let count = number("LISTEN_FDS").filter(|_| is_ours);
        Self {
            count: count.unwrap_or(0).max(0),
        }
    }

    /// Whether there is none.
    pub(in crate::cli) const fn is_empty(self) -> bool {
        self.count == 0
    }

    /// Where they listen.
    pub(super) fn places(self) -> Result<Vec<ListenPlace>, Failure> {
        let all = FIRST..FIRST.saturating_add(self.count);
        all.map(|descriptor| {
            let handed = ring::duplicate(descriptor).and_then(HandedSocket::new);
            handed.map(ListenPlace::Handed).map_err(|error| {
                Failure::Usage(format!(
                    "--listen systemd: descriptor {descriptor}: {error}; try: ListenStream= alone \
                     in the socket unit, without Accept="
                ))
            })
        })
        .collect()
    }
}
