//! Reads what an engine tells of its thread: CPU time, beside what it counts itself.

use crate::shard::{Counters, Table, Vitals};
use rustix::time::{ClockId, clock_gettime};
use std::time::Duration;

/// Reads the clocks of this thread and of the process: two system calls and no file, because it is
/// read on a core that has connections to serve.
#[must_use]
pub fn read(counters: Counters, tables: Vec<Table>) -> Vitals {
    Vitals {
        thread_cpu: cpu(ClockId::ThreadCPUTime),
        process_cpu: cpu(ClockId::ProcessCPUTime),
        tables,
        counters,
        handshakes: None,
    }
}

fn cpu(clock: ClockId) -> Duration {
    let t = clock_gettime(clock);
    Duration::new(
        t.tv_sec.cast_unsigned(),
        u32::try_from(t.tv_nsec).unwrap_or(0),
    )
}
